"""The same training on many processes, on torch.distributed: one CPU, many GPUs or many machines.

    torchrun --nproc-per-node 2 -m utils.distributed --depth 20 --norm sync --epochs 3 --out results.json
    python -m utils.distributed ...                     # the same on one process

Each process holds the whole network, computes the gradient of its share of every batch, and the gradients are averaged
before each step (DistributedDataParallel). The batches are those that one process would see, and so is the loss. The
loop is `utils.training.fit`. GPUs talk over nccl, CPUs over gloo.

Running statistics: with "sync" they are the same on all processes. With "batch" each process keeps those of its own
shares in training; evaluated and kept are those of process 0, which DistributedDataParallel sends to all.

From a notebook, `run(train, 2, Settings(depth=5))` starts the processes; see `utils.distributed.processes`.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import json
import math
import os
import sys
import warnings
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
from utils.data.cache import whole_file
from utils.data.errors import reason
from utils.distributed.processes import TIMEOUT, ProcessError, run, stay_on_this_machine
from utils.layers import BatchNorm2d
from utils.layers.synchronized import AllReduce, SyncBatchNorm2d
from utils.models import ConvNet
from utils.training import History, fit

__all__ = ["NORMS", "CheckpointError", "ProcessError", "Settings", "Share", "main", "read_results", "run", "train"]

NORMS: dict[str, Callable[[int], nn.Module] | None] = {
    "none": None,
    "batch": BatchNorm2d,
    "sync": SyncBatchNorm2d,
    "group": lambda channels: nn.GroupNorm(math.gcd(4, channels), channels),  # four groups, where that is possible
    "layer": lambda channels: nn.GroupNorm(1, channels),
}
TEST_BATCH = 1000  # images of all processes together; it changes no result


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used, or not be written; the message says why, and what to do."""


# --- one training run, in each of its processes ----------------------------------------------------------------------


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
        count: images in the whole of the present batch.
        images: how many of the images seen in this pass were this process's.

    Raises:
        ValueError: a batch has fewer images than there are processes, and somebody would have nothing to do.
    """

    def __init__(self, batches: Batches, rank: int, processes: int):
        last = len(batches.labels) - (len(batches) - 1) * batches.batch_size
        if last < processes:
            raise ValueError(f"a batch of {last} images is too small for {processes} processes: choose another size")
        self.batches, self.rank, self.processes = batches, rank, processes
        self.count = self.images = 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.images = 0
        for images, labels in self.batches:
            mine = labels.tensor_split(self.processes)[self.rank]
            self.count = len(labels)
            self.images += len(mine)
            yield images.tensor_split(self.processes)[self.rank], mine

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean cross entropy over the whole batch, the same number on all processes.

        So all of them stop at the same step when it is not finite. Its gradient is as many times too large as there
        are processes, which DistributedDataParallel's average takes back.
        """
        return AllReduce.apply(F.cross_entropy(outputs, labels, reduction="sum") / self.count)


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
        CheckpointError: on all processes: the checkpoints that are there are of another run, or damaged; on process
            0: one cannot be written.
        RuntimeError: a process has gone away, or has not come within the group's timeout.
    """
    rank, processes = dist.get_rank(), dist.get_world_size()
    progress = progress and rank == 0
    data = load(verbose=progress) if data is None else data
    run_of = _configuration(settings, data, processes)
    _same_everywhere(run_of)

    device = _device()
    batches = data.batches(
        "train", settings.batch_size, size=settings.size, augment=settings.augment, seed=settings.seed, device=device
    )
    share = Share(batches, rank, processes)
    test = Share(data.batches("test", TEST_BATCH, size=settings.test_size, device=device), rank, processes)
    model = ConvNet(settings.depth, settings.widths, NORMS[settings.norm], init=settings.init, seed=settings.seed)
    model = model.to(device)
    optimizer = torch.optim.SGD(model.parameters(), settings.lr, momentum=0.9)
    history = _resume(settings, run_of, model, optimizer)
    together = DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)

    for batches.epoch in range(len(history.accuracy), settings.epochs):
        epoch = fit(together, share, optimizer, test=test, loss_function=share.loss, progress=progress)
        history.loss = np.append(history.loss, epoch.loss)
        history.seconds += epoch.seconds
        if epoch.stopped:
            history.stopped = f"Epoch {batches.epoch}: {epoch.stopped}"  # the number of the next pass: counted from 1
            break
        history.accuracy.append(_over_all(epoch.accuracy[0], test.images))
        if progress:
            print(f"epoch {batches.epoch}: loss {epoch.loss.mean():.3f}, test accuracy {history.accuracy[-1]:.3f}")
        if rank == 0 and settings.checkpoint:
            _save(Path(settings.checkpoint), run_of, model, optimizer, history)
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


def _same_everywhere(run_of: dict[str, Any]) -> None:
    """Raise ValueError, on all processes, unless all have the same configuration."""
    everybodys: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everybodys, run_of)
    for rank, other in enumerate(everybodys):
        if other != everybodys[0]:
            what = _differences(other, everybodys[0])
            raise ValueError(f"process {rank} was started with other settings than process 0: {what}")


def _differences(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    names = [name for name in ours | theirs if ours.get(name) != theirs.get(name)]
    return "; ".join(f"{name} is {ours.get(name)}, not {theirs.get(name)}" for name in names)


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")


def _over_all(accuracy: float, images: int) -> float:
    """The accuracy on the images of all processes, from each one's own."""
    counts = torch.tensor([round(accuracy * images), images], device=_device())
    dist.all_reduce(counts)
    correct, total = counts.tolist()
    return correct / total


# --- checkpoints -----------------------------------------------------------------------------------------------------


def _save(
    folder: Path, run_of: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer, history: History
) -> None:
    """Write the checkpoint of the epoch that has ended, all of it or nothing, and keep the one before."""
    content = io.BytesIO()
    state = {
        "configuration": run_of,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "loss": torch.from_numpy(history.loss),
        "accuracy": history.accuracy,
        "seconds": history.seconds,
    }
    torch.save(state, content)
    try:
        _write(folder / f"epoch-{len(history.accuracy):04}.pt", content.getvalue(), family="epoch")
        for old in _checkpoints(folder)[2:]:
            old.unlink()
    except OSError as error:
        raise CheckpointError(f"no checkpoint can be written to {folder}: {reason(error)}") from error


def _write(path: Path, content: bytes, family: str = "") -> None:
    """Write a file so that whenever this is cut off, there is the old one, or none, or all of the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path.parent, path.name, family) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # on the disk before it takes its name


def _checkpoints(folder: Path) -> list[Path]:
    """The newest first."""
    return sorted(folder.glob("epoch-*.pt"), key=lambda path: (len(path.name), path.name), reverse=True)


def _read_newest(folder: Path, run_of: dict[str, Any]) -> dict[str, Any] | None:
    """The newest checkpoint that can be read; None if there is none at all, CheckpointError if it is of another run."""
    paths = _checkpoints(folder)
    for path in paths:
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
        except Exception as error:  # a file that was cut off fails in many ways
            warnings.warn(f"the checkpoint {path.name} is damaged: {reason(error)}", stacklevel=2)
            continue
        if what := _differences(run_of, state["configuration"]):
            raise CheckpointError(
                f"the checkpoints in {folder} are of another run: {what}. Choose another folder, or delete them to "
                "start again"
            )
        return state
    if paths:
        raise CheckpointError(f"no checkpoint in {folder} can be read: delete them (epoch-*.pt) to start again")
    return None


def _resume(settings: Settings, run_of: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> History:
    """Put model and optimizer where the last checkpoint left them, and give back the history up to there.

    Process 0 reads and sends it to all, which need not see its disk; an error there is raised everywhere.
    """
    box: list[Any] = [None]
    if settings.checkpoint and dist.get_rank() == 0:
        try:
            box = [_read_newest(Path(settings.checkpoint), run_of)]
        except CheckpointError as error:
            box = [error]
    dist.broadcast_object_list(box, 0)
    state = box[0]
    if isinstance(state, CheckpointError):
        raise state
    if state is None:
        return History()
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return History(state["loss"].numpy(), state["accuracy"], state["seconds"])


# --- from a terminal -------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the command line says, alone or as one process of torchrun's; 0 if that worked, else 1 and one line."""
    options = vars(_parser().parse_args(arguments))
    out, timeout = options.pop("out"), options.pop("timeout")
    settings = Settings(**options)
    try:
        with _process_group(timeout):
            data = load(verbose=dist.get_rank() == 0)
            history = train(settings, data, progress=True)
            if dist.get_rank() == 0 and out:
                _write_results(Path(out), settings, history, data)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (RuntimeError, ValueError, OSError) as error:
        print(f"error: process {os.environ.get('RANK', 0)}: {reason(error)}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("utils.distributed", description="Train the course's network on many processes.")
    add, defaults = parser.add_argument, Settings()
    add("--depth", type=int, default=defaults.depth, help="convolutions")
    add("--norm", choices=NORMS, default=defaults.norm)
    add("--epochs", type=int, default=defaults.epochs)
    add("--batch-size", type=int, default=defaults.batch_size, help="images in a batch, all processes together")
    add("--lr", type=float, default=defaults.lr, help="learning rate")
    add("--seed", type=int, default=defaults.seed)
    add("--widths", type=int, nargs="+", default=defaults.widths, help="channels of each stage")
    add("--size", type=int, help="how many training images (default: all)")
    add("--test-size", type=int, help="how many test images (default: all)")
    add("--augment", action="store_true", help="crop and flip the images")
    add("--init", type=_init, default=defaults.init, help='"default", "he" or a standard deviation')
    add("--checkpoint", metavar="FOLDER", help="write a checkpoint after each epoch, go on from the last one")
    add("--out", metavar="FILE", help="write the results, as JSON")
    add("--timeout", type=float, default=TIMEOUT, help="seconds to wait for another process (default: %(default)g)")
    return parser


def _init(text: str) -> str | float:
    with contextlib.suppress(ValueError):
        return float(text)
    return text


@contextlib.contextmanager
def _process_group(timeout: float) -> Iterator[None]:
    """The group of torchrun's processes; without torchrun, a group of one."""
    local = int(os.environ.get("LOCAL_RANK", 0))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    on_gpus = torch.cuda.is_available() and dist.is_nccl_available() and here <= torch.cuda.device_count()
    if on_gpus:
        torch.cuda.set_device(local)
    if here == int(os.environ.get("WORLD_SIZE", 1)):
        stay_on_this_machine()
    alone: dict[str, Any] = {"store": dist.HashStore(), "rank": 0, "world_size": 1}
    dist.init_process_group(
        "nccl" if on_gpus else "gloo",
        timeout=datetime.timedelta(seconds=timeout),
        device_id=torch.device("cuda", local) if on_gpus else None,
        **({} if dist.is_torchelastic_launched() else alone),
    )
    try:
        yield
    finally:
        if not on_gpus or sys.exc_info()[0] is None:  # nccl would wait for those who do not come
            dist.destroy_process_group()


def _write_results(path: Path, settings: Settings, history: History, data: ImageData) -> None:
    configuration = asdict(settings) | {
        "processes": dist.get_world_size(),
        "device": _device().type,
        "torch": torch.__version__,
        "data": str(data),
    }
    del configuration["checkpoint"]  # a path says nothing on another machine
    results = {"configuration": configuration, **asdict(history), "loss": history.loss.tolist()}
    _write(path, (json.dumps(results, indent=1) + "\n").encode())


def read_results(path: str | os.PathLike[str]) -> tuple[History, dict[str, Any]]:
    """The results that `--out` wrote.

    Returns:
        The `History` (loss per step, shape (steps,); accuracy per epoch; seconds), and the configuration: the settings
        with "processes", "device", "torch" (its version) and "data" (the line that says which are in use).

    Raises:
        ValueError: it is no file of results.
        OSError: there is none.
    """
    try:
        results = json.loads(Path(path).read_text("utf-8"))
        configuration = results.pop("configuration")
        return History(**results | {"loss": np.array(results["loss"], dtype=np.float64)}), configuration
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{Path(path).name} does not hold results of utils.distributed") from error


if __name__ == "__main__":
    sys.exit(main())
