"""One run of the study: it trains an arm, and gives back what its record holds."""

import base64
import contextlib
import hashlib
import io
import time
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from study.networks import Stack, build, learning, start_by_data
from study.plan import Run
from study.text import learn
from utils.data import Batches, ImageData
from utils.machine import processor
from utils.training import History, evaluate, fit, right_pictures

__all__ = ["HELD_OUT", "code", "pixels_of", "train"]

HELD_OUT = 5000  # of the training pictures: rates are chosen on them
POINTS = 100  # of a loss curve in a record
PRECISE = 4000  # pictures over which statistics are estimated anew
SCALES = {"unit": (0.0, 255.0), "raw": (0.0, 1.0)}


class Fast(nn.Module):
    """A network in channels_last, which is a third faster on a processor, and if wanted in bfloat16 (autocast)."""

    def __init__(self, model: nn.Module, half: bool):
        super().__init__()
        self.model, self.half = model.to(memory_format=torch.channels_last), half

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.half):
            return self.model(x.contiguous(memory_format=torch.channels_last)).float()


class Pass:
    """So many batches of an endless stream: what counts as an epoch where the plan counts steps."""

    def __init__(self, batches: Batches, steps: int):
        self.stream = chain.from_iterable(repeat(batches))
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (next(self.stream) for _ in range(self.steps))


def train(run: Run, data: ImageData, device: torch.device | str = "cpu", only: int | None = None) -> dict[str, Any]:
    """Train one arm; the test pictures (or the last part of a text) are looked at once, at the end of a final run.

    Args:
        run: which.
        data: of which the last of the training pictures are held out; a tenth, at most `HELD_OUT`.
        device: where.
        only: so many epochs of it, for a comparison with its record, and the loss of each step; None for all.

    Returns:
        A record, plain data: arm, role, rate, seed, epochs, settings; `loss`, thinned; `validation` after each epoch;
        `norms`, of all convolutions' weights together after each epoch; `training`, the accuracy on as many training
        pictures; and of a final run `test`, `right` (a bit a test picture, packed, base64); `pixels`, a hash of the
        test pictures; `stopped`, why it ended early, or None (a network that broke down says class 0 of everything);
        what it ran on, and its seconds of processor time.
    """
    start = time.process_time()
    torch.manual_seed(run.seed)
    found = learn(run, device, only) if run.settings["text"] else _pictures(run, data, device, only)
    loss = _thinned(found["loss"]) if only is None else found["loss"].tolist()
    record = {
        "arm": run.arm, "role": run.role, "rate": run.rate, "seed": run.seed, "epochs": run.epochs, **found,
        "loss": loss, "training": round(float(found["training"]), 5),
        "settings": dict(run.settings), "code": code(), "device": str(device), "threads": torch.get_num_threads(),
        "machine": processor(), "torch": torch.__version__,
    }  # fmt: skip
    if run.role != "search":
        record["test"] = round(float(found["right"].mean()), 5)
        record["pictures"] = len(found["right"])
        record["right"] = base64.b64encode(np.packbits(found["right"])).decode()
    return {**record, "seconds": round(time.process_time() - start, 1)}


def _pictures(run: Run, data: ImageData, device: torch.device | str, only: int | None) -> dict[str, Any]:
    """Of a network for pictures, what `train` says: the loss of each step, and of the test pictures each answer."""
    settings, parts = run.settings, _parts(run, data, device)
    model = build(settings, run.seed).to(device)
    if settings["init"] == "lsuv":
        start_by_data(model, next(iter(parts["train"]))[0])
    parameters, between = learning(model, settings, run.seed)
    optimizer = _optimizer(parameters, settings, run.rate)
    optimizer.register_step_pre_hook(lambda *_: between())
    passes, rounds = parts["train"], run.epochs
    if settings["steps"]:
        passes, rounds = Pass(parts["train"], settings["steps"] // 5), 5 * (2 if run.role == "twice" else 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, run.rate, rounds * len(passes), pct_start=settings["warmup"], cycle_momentum=False
    )
    trained = Fast(model, settings["precision"] == "bfloat16")
    losses, validation, norms, stopped = [], [], [], None
    for _ in range(rounds if only is None else only):
        history: History = fit(trained, passes, optimizer, scheduler=schedule, progress=False)
        losses.append(history.loss)
        stopped = history.stopped
        if stopped is None and not all(bool(p.isfinite().all()) for p in model.parameters()):
            stopped = "Stopped: some of the network's parameters are not finite."
        if stopped:
            break
        if settings["precise"]:
            _estimate_statistics(trained, parts["train"])
        validation.append(round(evaluate(trained, parts["validation"]), 5))
        norms.append(round(_norm(model), 4))
    found = {
        "loss": np.concatenate(losses), "validation": validation, "norms": norms, "stopped": stopped,
        "training": _class_0(parts["seen"]).mean() if stopped else evaluate(trained, parts["seen"]),
        "data": data.source if data.is_stand_in else "CIFAR-10",
        "pixels": pixels_of(data),
    }  # fmt: skip
    if run.role != "search":
        found["right"] = _class_0(parts["test"]) if stopped else right_pictures(trained, parts["test"])
    return found


def _parts(run: Run, data: ImageData, device: torch.device | str) -> dict[str, Batches]:
    """The batches of the run: train, validation, test, and seen, training pictures for the gap."""
    settings = run.settings
    mean, std = SCALES.get(settings["pixels"], (data.mean, data.std))
    images, labels, new = data.train.images, data.train.labels, data.test.images
    if quality := settings["recompressed"]:
        images, new = recompressed(images, quality), recompressed(new, quality)
    held = min(HELD_OUT, len(labels) // 10)
    kept = len(labels) if settings["everything"] and run.role != "search" else len(labels) - held
    kept = min(kept, settings["few"] or kept)

    def batches(images: Tensor, labels: Tensor, size: int = 500, **options: Any) -> Batches:
        return Batches(images, labels, size, mean=mean, std=std, device=device, **options)

    learned = {"shuffle": True, "augment": settings["augment"], "drop_last": True, "seed": run.seed}
    return {
        "train": batches(images[:kept], labels[:kept], settings["batch"], **learned),
        "validation": batches(images[-held:], labels[-held:]),
        "seen": batches(images[:held], labels[:held]),
        "test": batches(new, data.test.labels),
    }


def recompressed(images: Tensor, quality: int) -> Tensor:
    """The pictures, (N, 3, H, W) uint8, after one more JPEG compression of this quality."""
    made = np.empty((len(images), *images.shape[2:], 3), np.uint8)
    for place, picture in enumerate(images.permute(0, 2, 3, 1).numpy()):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "jpeg", quality=quality)
        made[place] = Image.open(buffer).convert("RGB")
    return torch.from_numpy(made).permute(0, 3, 1, 2).contiguous()


def _optimizer(parameters: list[nn.Parameter], settings: Any, rate: float) -> torch.optim.SGD:
    decayed = {"all": lambda p: True, "weights": lambda p: p.ndim > 1, "none": lambda p: False}[settings["decay_of"]]
    groups = [
        {"params": [p for p in parameters if decayed(p)], "weight_decay": settings["decay"]},
        {"params": [p for p in parameters if not decayed(p)], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.SGD(groups, rate, momentum=settings["momentum"], nesterov=True)


def _estimate_statistics(model: nn.Module, batches: Batches) -> None:
    """Running statistics anew, as the plain average over training pictures (precise BN, Wu & Johnson 2021)."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.eval()  # no noise and no dropout: they are not there in evaluation either
    for norm in norms:
        norm.train()
    with torch.no_grad(), contextlib.closing(iter(batches)) as stream:
        for _ in range(max(1, PRECISE // batches.batch_size)):
            if (batch := next(stream, None)) is None:
                break
            model(batch[0])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _class_0(batches: Batches) -> np.ndarray:
    return torch.cat([labels == 0 for _, labels in batches]).cpu().numpy()


def _hash_of_the_sources() -> str:
    room = Path(__file__).resolve().parent
    others = ("training.py", "models.py", "data/batches.py")
    files = [*sorted(room.glob("*.py")), *(room.parent / "utils" / name for name in others)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


_CODE = _hash_of_the_sources()  # as this module was imported: the files may change while a run goes on


def code() -> str:
    """Of what a run is made by: a hash of the sources, so that two machines know whether they do the same."""
    return _CODE


def pixels_of(data: ImageData) -> str:
    """Which pictures these are: a hash of those for the test."""
    return hashlib.sha256(data.test.images.numpy().tobytes()).hexdigest()[:16]


def _norm(model: Stack) -> float:
    weights = [module.weight.detach().norm() for module in model.modules() if isinstance(module, nn.Conv2d)]
    return torch.stack(weights).norm().item()


def _thinned(loss: np.ndarray) -> list[float]:
    """The means of so many equal parts of a curve."""
    return [float(f"{part.mean():.4g}") for part in np.array_split(loss, min(POINTS, len(loss)))] if len(loss) else []
