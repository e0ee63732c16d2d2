"""Images in memory and what is done with them: the two parts of the data, and passes over them in batches."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["CLASSES", "Batches", "ImageData", "Split", "whole_number"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PAD = 4  # pixels of black around an image before it is cropped again


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """One part of the data, in a fixed random order: any prefix of it is a fair sample.

    images: uint8 (N, 3, 32, 32), red, green, blue, 0 to 255; labels: int64 (N,), indices into the classes.
    Raises ValueError if the two are anything else.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        _check_pair(self.images, self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Split({len(self):,} images)"


@dataclass(frozen=True, eq=False, repr=False)
class ImageData:
    """Training and test images, and what they are.

    mean, std: float32 (3,), per channel over the training images, in pixel values (0 to 255).
    source: where they come from, in words, without a path; classes: the ten names, in the order of the labels.
    str(data) is the one line that every notebook shows.
    """

    train: Split
    test: Split
    mean: Tensor
    std: Tensor
    source: str
    is_stand_in: bool
    classes: tuple[str, ...] = CLASSES

    def __str__(self) -> str:
        counts = f"{len(self.train):,} training and {len(self.test):,} test images"
        if self.is_stand_in:
            how = "how to get the real one: data/README.md"
            return f"Stand-in data (not CIFAR-10): {counts} of drawn shapes; {self.source}; {how}"
        return f"CIFAR-10: {counts} (from {self.source})"

    __repr__ = __str__

    def batches(
        self,
        part: str = "train",
        batch_size: int = 128,
        *,
        size: int | None = None,
        shuffle: bool | None = None,
        augment: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        device: torch.device | str | None = None,
        standardize: bool = True,
    ) -> Batches:
        """Batches of the "train" or "test" images; see `Batches`.

        size: only the first `size` images, a fair sample of all classes. shuffle: None means: the training images yes,
        the test images no. standardize: with this data's mean and std; if False, the images are in 0 to 1.
        Raises ValueError for an unknown part or a size outside 1..N.
        """
        if part not in ("train", "test"):
            raise ValueError(f'part must be "train" or "test", not {part!r}')
        split = self.train if part == "train" else self.test
        size = len(split) if size is None else whole_number("size", size)
        if not 1 <= size <= len(split):
            raise ValueError(f"size must be between 1 and {len(split):,} (the {part} images there are), not {size:,}")
        return Batches(
            split.images[:size],
            split.labels[:size],
            batch_size,
            shuffle=part == "train" if shuffle is None else shuffle,
            augment=augment,
            drop_last=drop_last,
            seed=seed,
            mean=self.mean if standardize else None,
            std=self.std if standardize else None,
            device=device,
        )


class Batches:
    """Batches of images in memory: iterate over it for (float32 (B, 3, 32, 32), int64 (B,)).

    images: uint8 (N, 3, 32, 32); labels: int64 (N,). A value is (pixel - mean) / std, with mean and std in pixel
    values: one number, or one for each channel; left out they are 0 and 255, which puts the images in 0 to 1.
    shuffle: a new order on every pass, which depends on nothing but the seed and the number of the pass.
    augment: each image is padded with 4 black pixels a side, cropped to 32 x 32 at random, and half of them mirrored.
    drop_last: leave out a last batch that is not full. device: where the batches are; the images are moved there once.
    The tensors are new ones: what is done to a batch is not done to the data.
    Raises ValueError that says what was given.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int = 128,
        *,
        shuffle: bool = False,
        augment: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        mean: Tensor | Sequence[float] | float | None = None,
        std: Tensor | Sequence[float] | float | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        _check_pair(images, labels)
        self.batch_size = whole_number("batch_size", batch_size)
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {self.batch_size}")
        if drop_last and len(labels) < self.batch_size:
            raise ValueError(f"drop_last leaves no batch at all: {len(labels)} images, batch_size {self.batch_size}")
        self.device = images.device if device is None else torch.device(device)
        self.images = images.to(self.device)
        self.labels = labels.to(self.device)
        self.shuffle, self.augment, self.drop_last = bool(shuffle), bool(augment), bool(drop_last)
        self.seed = whole_number("seed", seed)
        self.epoch = 0  # the number of the next pass
        self.mean = _per_channel("mean", 0.0 if mean is None else mean, self.device)
        self.std = _per_channel("std", 255.0 if std is None else std, self.device, positive=True)

    def __len__(self) -> int:
        full, left_over = divmod(len(self.labels), self.batch_size)
        return full + (left_over > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        # The number of the pass is taken here, not at the first batch, so that two passes at once differ.
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self._pass(epoch)

    def _pass(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        # A generator of its own, on the CPU: the same order on every machine, and the global one is left alone. The
        # factor keeps seed 0's second pass from being seed 1's first.
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
        order = torch.randperm(len(self.labels), generator=generator).to(self.device) if self.shuffle else None
        for i in range(len(self)):
            start, stop = i * self.batch_size, min((i + 1) * self.batch_size, len(self.labels))
            if order is None:
                images, labels = self.images[start:stop], self.labels[start:stop].clone()
            else:
                images, labels = self.images[order[start:stop]], self.labels[order[start:stop]]
            if self.augment:
                images = _crop_and_flip(images, generator)
            yield images.to(torch.float32).sub_(self.mean).div_(self.std), labels


def _crop_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror half of the images and crop each from its padded self: uint8 (B, 3, 32, 32) to the same.

    Every crop lies in one run of the padded batch's bytes: 32 rows, each starting 40 after the one before. So one
    indexed copy fetches them all, and only the strides say where the rows are: ten times as fast as indexing pixels.
    """
    n, side = len(images), 32 + 2 * PAD
    top, left = torch.randint(0, 2 * PAD + 1, (2, n), generator=generator).to(images.device)
    mirrored = torch.randint(0, 2, (n, 1, 1, 1), generator=generator).to(images.device)
    images = torch.where(mirrored == 1, images.flip(3), images)
    padded = torch.nn.functional.pad(images, (PAD, PAD, PAD, PAD))  # (B, 3, 40, 40)
    length = 31 * side + 32
    runs = padded.flatten().unfold(0, length, 1)  # every run there is, nothing copied
    plane = torch.arange(3 * n, device=images.device).view(n, 3)
    start = plane * side * side + (top * side + left)[:, None]
    crops = runs.index_select(0, start.flatten())  # (3 B, 1272)
    return crops.as_strided((n, 3, 32, 32), (3 * length, length, side, 1))


def _check_pair(images: Any, labels: Any) -> None:
    """Raise ValueError unless images are uint8 (N, 3, 32, 32) and labels int64 (N,), N at least 1."""
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        raise ValueError(f"images must be a uint8 tensor, not {_kind(images)}")
    if images.ndim != 4 or images.shape[1:] != (3, 32, 32):
        raise ValueError(f"images must have the shape (N, 3, 32, 32), not {tuple(images.shape)}")
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64:
        raise ValueError(f"labels must be an int64 tensor, not {_kind(labels)}")
    if labels.ndim != 1:
        raise ValueError(f"labels must have the shape (N,), not {tuple(labels.shape)}")
    if len(images) != len(labels):
        raise ValueError(f"there must be a label for every image: {len(images)} images, {len(labels)} labels")
    if len(images) == 0:
        raise ValueError("there must be at least one image, not 0")


def _kind(value: Any) -> str:
    return f"{value.dtype}".removeprefix("torch.") if isinstance(value, Tensor) else type(value).__name__


def whole_number(name: str, value: Any) -> int:
    """value as an int; ValueError if it is not a whole number (True is none)."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, not {value!r}") from None


def _per_channel(name: str, value: Any, device: torch.device, positive: bool = False) -> Tensor:
    """One number, or one a channel, as float32 (1, 3, 1, 1) to broadcast over a batch."""
    tensor = torch.as_tensor(value, dtype=torch.float32)
    if tuple(tensor.shape) not in ((), (3,)):
        raise ValueError(f"{name} must be one number or three, one a channel, not of shape {tuple(tensor.shape)}")
    if not tensor.isfinite().all():
        raise ValueError(f"{name} must be finite, not {tensor.tolist()}")
    if positive and not (tensor > 0).all():
        raise ValueError(f"{name} must be positive in every channel, not {tensor.tolist()}")
    return tensor.expand(3).reshape(1, 3, 1, 1).to(device)
