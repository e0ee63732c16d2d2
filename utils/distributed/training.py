"""One training run in each of its processes: settings, shares of batches, and the loop over the epochs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from utils.data import Batches, ImageData, load
from utils.distributed.checkpoints import differences, resume, save
from utils.layers import BatchNorm2d
from utils.layers.synchronized import AllReduce, SyncBatchNorm2d
from utils.models import ConvNet
from utils.training import History, fit

__all__ = ["NORMS", "Settings", "Share", "group_device", "train"]

NORMS: dict[str, Callable[[int], nn.Module] | None] = {
    "none": None,
    "batch": BatchNorm2d,
    "sync": SyncBatchNorm2d,
    "group": lambda channels: nn.GroupNorm(math.gcd(4, channels), channels),  # four groups, where that is possible
    "layer": lambda channels: nn.GroupNorm(1, channels),
}
TEST_BATCH = 1000  # images of all processes together; it changes no result


@dataclass(frozen=True)
class Settings:
    """What is trained, and on what. The defaults are notebook 03's network.

    Attributes:
        depth, widths, init: of the `ConvNet`; seed: of its weights and of the order of the images.
        norm: "none", "batch" (each process normalizes its own share), "sync" (all shares together), "group", "layer".
        epochs: passes over the training images.
        batch_size: images in a batch, all processes together.
        lr: learning rate of SGD with momentum 0.9.
        size, test_size: how many training and test images; None for all.
        augment: crop and flip the training images.
        checkpoint: a folder; after each epoch a checkpoint is written there, and training goes on from the last one.
    """

    depth: int = 20
    norm: str = "batch"
    epochs: int = 3
    batch_size: int = 128
    lr: float = 0.03
    seed: int = 0
    widths: Sequence[int] = (8, 16, 32)
    size: int | None = None
    test_size: int | None = None
    augment: bool = False
    init: str | float = "default"
    checkpoint: str | os.PathLike[str] | None = None


class Share:
    """Of every batch, the part that is one process's to do: the parts in the order of the processes are the batch.

    Args:
        batches: the same on all processes, in the same order.
        rank: of this process, from 0.
        processes: how many there are.

    Attributes:
        in_batch: images in the present batch, all processes together.
        seen: images of this pass that were this process's.

    Raises:
        ValueError: a batch has fewer images than there are processes, and somebody would have nothing to do.
    """

    def __init__(self, batches: Batches, rank: int, processes: int):
        smallest = len(batches.labels) - (len(batches) - 1) * batches.batch_size
        if smallest < processes:
            raise ValueError(
                f"a batch of {smallest} images is too small for {processes} processes: choose another size"
            )
        self.batches, self.rank, self.processes = batches, rank, processes
        self.in_batch = self.seen = 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.seen = 0
        for images, labels in self.batches:
            own_labels = labels.tensor_split(self.processes)[self.rank]
            self.in_batch = len(labels)
            self.seen += len(own_labels)
            yield images.tensor_split(self.processes)[self.rank], own_labels

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean cross entropy over the whole batch, the same number on all processes.

        So all of them stop at the same step when it is not finite. Its gradient is as many times too large as there
        are processes, which DistributedDataParallel's average takes back.
        """
        return AllReduce.apply(F.cross_entropy(outputs, labels, reduction="sum") / self.in_batch)


def train(settings: Settings, data: ImageData | None = None, *, progress: bool = False) -> History:
    """Train a `ConvNet` together with the other processes; a process group must be there. All of them must call it.

    Args:
        settings: the same on all processes.
        data: the images; None for those that `utils.data.load` finds.
        progress: show a bar for each epoch, and a line after it (process 0 only).

    Returns:
        The `History`, the same on all processes but for the seconds; the losses are those of whole batches. Training
        that goes on from a checkpoint gives the history of an uninterrupted run. (The order of the images depends on
        nothing but the seed and the number of the epoch, and the network draws no random numbers, so there is no
        state of a random generator to keep.)

    Raises:
        ValueError: settings that make no sense, or that are not the same on all processes.
        CheckpointError: on all processes: the checkpoints that are there are of another run, of more epochs, damaged,
            or none of this training; on process 0: one cannot be written.
        RuntimeError: a process has gone away, or has not come within the group's timeout.
    """
    rank, processes = dist.get_rank(), dist.get_world_size()
    progress = progress and rank == 0
    data = load(verbose=progress) if data is None else data
    configuration = _configuration(settings, data, processes)
    _same_everywhere(configuration)

    device = group_device()
    batches = data.batches(
        "train", settings.batch_size, size=settings.size, augment=settings.augment, seed=settings.seed, device=device
    )
    share = Share(batches, rank, processes)
    test = Share(data.batches("test", TEST_BATCH, size=settings.test_size, device=device), rank, processes)
    model = ConvNet(settings.depth, settings.widths, NORMS[settings.norm], init=settings.init, seed=settings.seed)
    model = model.to(device)
    optimizer = torch.optim.SGD(model.parameters(), settings.lr, momentum=0.9)
    history = resume(settings.checkpoint, configuration, settings.epochs, model, optimizer)
    together = DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)

    for epoch in range(len(history.accuracy), settings.epochs):
        batches.epoch = epoch  # the order of the images follows from it, also when training goes on from a checkpoint
        name = f"epoch {epoch + 1} of {settings.epochs}"
        passed = fit(
            together, share, optimizer, test=test, loss_function=share.loss, progress=name if progress else False
        )
        history.loss = np.append(history.loss, passed.loss)
        history.seconds += passed.seconds
        if passed.stopped:
            history.stopped = f"Epoch {epoch + 1}: {passed.stopped}"
            break
        history.accuracy.append(_over_all(passed.accuracy[0], test.seen))
        if progress:
            print(f"epoch {epoch + 1}: loss {passed.loss.mean():.3f}, test accuracy {history.accuracy[-1]:.3f}")
        if rank == 0 and settings.checkpoint:
            save(Path(settings.checkpoint), configuration, model, optimizer, history)
    return history


def _configuration(settings: Settings, data: ImageData, processes: int) -> dict[str, Any]:
    """What makes this run this one: everything that its history depends on, in plain values."""
    if settings.norm not in NORMS:
        raise ValueError(f"norm is one of {', '.join(NORMS)}; given: {settings.norm!r}")
    if settings.epochs < 1:
        raise ValueError(f"training needs at least one epoch; given: {settings.epochs}")
    kind = "the stand-in" if data.is_stand_in else "CIFAR-10"
    mean = " ".join(f"{value:.3f}" for value in data.mean.tolist())
    configuration = asdict(settings) | {
        "widths": list(settings.widths),
        "data": f"{kind}, {len(data.train):,} and {len(data.test):,} images with the mean {mean}",
        "processes": processes if settings.norm == "batch" else "any",  # the others give the same up to rounding
    }
    del configuration["epochs"], configuration["checkpoint"]  # going on for longer is no other run
    return configuration


def _same_everywhere(configuration: dict[str, Any]) -> None:
    """Raise ValueError, on all processes, unless all have the same configuration."""
    of_all: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(of_all, configuration)
    for rank, other in enumerate(of_all):
        if other != of_all[0]:
            what = differences(other, of_all[0])
            raise ValueError(f"process {rank} was started with other settings than process 0: {what}")


def group_device() -> torch.device:
    """The device that this process computes on: its own GPU if the processes talk over nccl, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")


def _over_all(accuracy: float, images: int) -> float:
    """The accuracy on the images of all processes, from each one's own."""
    counts = torch.tensor([round(accuracy * images), images], device=group_device())
    dist.all_reduce(counts)
    correct, total = counts.tolist()
    return correct / total
