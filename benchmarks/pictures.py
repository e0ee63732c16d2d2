"""Pictures: how fast they come in batches, and how soon they are there; beside torchvision's ways."""

import hashlib
import pickle
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks.measure import Row, in_turn, ratios
from utils.data import Batches, ImageData, load

__all__ = ["batches", "loading"]


def batches(quick: bool = False) -> list[Row]:
    """Augmented, standardized batches from `utils.data`, over `ImageFolder` with a `DataLoader` of two workers."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    images, repeats = (60, 2) if quick else (5000, 7)
    data = load(verbose=False)
    images = min(images, len(data.train))
    ours = data.batches("train", 20 if quick else 128, size=images, augment=True)
    mean, std = (data.mean / 255).tolist(), (data.std / 255).tolist()
    transforms = v2.Compose(
        [
            v2.RandomCrop(32, padding=4),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean, std),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        _write_pictures(ours, Path(folder))
        # Their starts, seconds each epoch, are not counted: the workers stay.
        theirs = DataLoader(
            ImageFolder(folder, transforms),
            ours.batch_size,
            shuffle=True,
            num_workers=0 if quick else 2,
            persistent_workers=not quick,
        )
        times = in_turn({"ours": lambda: _pass(ours), "theirs": lambda: _pass(theirs)}, repeats)
    per_second = images / float(np.median(times["ours"]))
    return [
        Row(
            "images/s: batches with crop and flip from `utils.data`",
            "`ImageFolder`, `DataLoader` with 2 workers, transforms v2",
            ratios(times["theirs"], times["ours"]),
            20,
            at_least=True,
            note=f"Ours: {per_second:,.0f} images/s.",
        )
    ]


def _write_pictures(batches: Batches, folder: Path) -> None:
    for i, (image, label) in enumerate(zip(batches.images, batches.labels.tolist(), strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / str(label) / f"{i}.png")


def _pass(batches) -> None:
    for _ in batches:
        pass


def loading(quick: bool = False) -> list[Row]:
    """`load` with its cache, over torchvision's `CIFAR10` class on pickles of the same pictures."""
    repeats = 2 if quick else 9
    data = load(verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        theirs = _as_pickles(data, Path(folder))
        times = in_turn({"ours": lambda: load(verbose=False), "theirs": theirs}, repeats)
    what = "ready to train: `load`, from its cache"
    against = "torchvision's `CIFAR10`, from its pickles, as tensors; both verify what they read"
    return [
        Row(what, against, ratios(times["theirs"], times["ours"]), 10, at_least=True, note=_size(data)),
        Row(what, "the clock", tuple(times["ours"]), 0.3, unit="s"),
    ]


def _size(data: ImageData) -> str:
    return f"{len(data.train):,} + {len(data.test):,} pictures."


def _as_pickles(data: ImageData, folder: Path):
    """Writes the pictures as the original's batches; returns what makes tensors of them in torchvision's way."""
    from torchvision.datasets import CIFAR10

    target = folder / CIFAR10.base_folder
    target.mkdir()

    def written(name: str, content: dict) -> list[str]:
        """The file's name and its check sum, which the class verifies each time."""
        pickled = pickle.dumps(content)
        (target / name).write_bytes(pickled)
        return [name, hashlib.md5(pickled, usedforsecurity=False).hexdigest()]

    def batch(name: str, images: torch.Tensor, labels: torch.Tensor) -> list[str]:
        return written(name, {"data": images.flatten(1).numpy(), "labels": labels.tolist()})

    parts = zip(data.train.images.chunk(5), data.train.labels.chunk(5), strict=True)
    meta_name, meta_sum = written("batches.meta", {"label_names": list(data.classes)})

    class Written(CIFAR10):
        """The same class with the names and check sums of these files."""

        train_list = [batch(f"data_batch_{i}", *part) for i, part in enumerate(parts, 1)]  # noqa: RUF012
        test_list = [batch("test_batch", data.test.images, data.test.labels)]  # noqa: RUF012
        meta = {"filename": meta_name, "key": "label_names", "md5": meta_sum}  # noqa: RUF012

    def ready() -> list[torch.Tensor]:
        tensors = []
        for train in (True, False):
            part = Written(folder, train=train)
            tensors += [torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)]
        return tensors

    return ready
