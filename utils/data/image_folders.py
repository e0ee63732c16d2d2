"""CIFAR-10 as folders of images: `train/<class>/*` and `test/<class>/*`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.data.batches import CLASSES
from utils.data.errors import DataError
from utils.data.torchvision_files import Arrays
from utils.files import reason
from utils.progress import Bar

# PIL is imported where it is needed: a kernel that only reads the cache starts sooner without it.

__all__ = ["PLACES", "is_image", "read"]

PLACES = [(part, label) for part in ("train", "test") for label in CLASSES]
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
TOGETHER = 250  # images that a thread reads before it reports them


def read(root: Path) -> tuple[Arrays, Arrays]:
    """All images, class by class: of train/ and of test/, uint8 (N, 3, 32, 32) and int64 (N,).

    Raises DataError that names what is missing, too much, unreadable or of another kind.
    """
    try:
        return _read_part(root / "train"), _read_part(root / "test")
    except OSError as error:
        raise DataError(f"cannot read the folders in {root}: {reason(error)}.") from error


def is_image(name: str) -> bool:
    """Whether a file of this name counts: by its suffix, unless it is hidden."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")


def _read_part(part: Path) -> Arrays:
    """All images below one of the two folders, class by class."""
    if not part.is_dir():
        raise DataError(f"{part} is missing: folders of images need train/ and test/. Unpack the images again.")
    found = {entry.name for entry in os.scandir(part) if entry.is_dir() and not entry.name.startswith(".")}
    if missing := [name for name in CLASSES if name not in found]:
        raise DataError(f"{part} has no folder for {', '.join(missing)}. It needs one for each class of CIFAR-10.")
    if extra := sorted(found - set(CLASSES)):
        raise DataError(f"{part} has a folder that is not a class of CIFAR-10: {', '.join(extra)}. Move it away.")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(CLASSES):
        files = sorted(path for path in (part / name).iterdir() if is_image(path.name))
        if not files:
            raise DataError(f"{part / name} holds no image. Unpack the images again.")
        paths += files
        labels += [label] * len(files)
    return _decode(paths), np.array(labels, dtype=np.int64)


def _decode(paths: Sequence[Path]) -> np.ndarray:
    """Read images in a few threads (decoding releases Python's lock): uint8 (N, 3, 32, 32)."""
    from concurrent.futures import ThreadPoolExecutor

    def read_from(start: int) -> np.ndarray:
        return np.stack([_read_image(path) for path in paths[start : start + TOGETHER]])

    parts = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool, Bar(len(paths), "reading", "images") as bar:
        for images in pool.map(read_from, range(0, len(paths), TOGETHER)):  # after an error, it cancels what is left
            parts.append(images)
            bar.update(len(images))
    return np.concatenate(parts)


def _read_image(path: Path) -> np.ndarray:
    """One image as uint8 (3, 32, 32). A grey or palette image is converted (encoders make them of colourless ones)."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.size != (32, 32):
                raise DataError(f"{path} is {image.width} x {image.height} pixels; CIFAR-10's images are 32 x 32.")
            if image.mode not in ("RGB", "L", "P"):
                raise DataError(f"{path} has the colour mode {image.mode}; it must be RGB (or grey).")
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except DataError:
        raise
    except Exception as error:  # a broken file can fail in any way that its decoder can
        raise DataError(f"cannot read the image {path}: {reason(error)}. Replace it, or unpack them again.") from error
