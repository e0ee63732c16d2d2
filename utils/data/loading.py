"""Where the images come from, in which order, and what is made of them: `load`, and the stand-in."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from utils.data import download, sources, standin
from utils.data.batches import CLASSES, ImageData, Split, whole_number
from utils.data.cache import Cache
from utils.data.errors import DataError, DataWarning
from utils.data.torchvision_files import Arrays

__all__ = ["default_folder", "in_use", "load", "stand_in"]

ROOT = Path(__file__).resolve().parents[2]
STAND_IN_SIZE = (12_000, 2_400)  # training and test images
_loaded: bool | None = None  # whether what was loaded last is the stand-in
KEPT_COPIES = 2  # caches of folders that somebody named, 185 MB each: who goes back and forth between two waits once


def load(
    data_dir: str | os.PathLike[str] | None = None,
    cifar10_dir: str | os.PathLike[str] | None = None,
    *,
    verbose: bool = True,
) -> ImageData:
    """The course's images, from the first source that is there; prints the one line that says which if verbose.

    data_dir: where downloads and caches go (default: see `default_folder`). cifar10_dir: a folder that holds
    CIFAR-10 (default: the environment variable CIFAR10_DIR; empty means not set). COURSE_DATA=stand-in in the
    environment asks for the stand-in, whatever else is there.
    Raises DataError if a source is named, or there, but cannot be used; warns with DataWarning where the course can go
    on, as when nothing can be written.
    """
    global _loaded
    data = _find_data(Path(os.path.expanduser(data_dir)) if data_dir else default_folder(), cifar10_dir)
    _loaded = data.is_stand_in
    if verbose:
        print(data)
    return data


def in_use() -> str:
    """Which images this process has loaded last, "CIFAR-10" or "stand-in"; before it has, which it was asked for."""
    asked = os.environ.get("COURSE_DATA") == "stand-in"
    return "stand-in" if (asked if _loaded is None else _loaded) else "CIFAR-10"


def default_folder(root: Path = ROOT) -> Path:
    """Where downloads and caches go: `data/` in the project, if `utils` stands in it, else in the user's cache folder.

    The latter is where an installed package may write: ~/.cache (or $XDG_CACHE_HOME) on Linux, ~/Library/Caches on
    macOS, %LOCALAPPDATA% on Windows, and in it `batchnorm-layer-by-layer`. root: the folder that `utils` is in.
    """
    if (root / "data" / "README.md").is_file():
        return root / "data"
    from platformdirs import user_cache_path

    return user_cache_path("batchnorm-layer-by-layer", appauthor=False) / "data"


def stand_in(train: int = STAND_IN_SIZE[0], test: int = STAND_IN_SIZE[1]) -> ImageData:
    """Draw the stand-in: ten classes of shapes, the same bytes on every machine; a few seconds, nothing cached.

    train, test: how many images. Raises ValueError if either is below 1.
    """
    for name, count in (("train", train), ("test", test)):
        if whole_number(name, count) < 1:
            raise ValueError(f"{name} must be at least 1, not {count}")
    return _as_data(_draw_stand_in(train, test), "it was asked for", is_stand_in=True)


def _find_data(data_dir: Path, cifar10_dir: str | os.PathLike[str] | None) -> ImageData:
    wish = os.environ.get("COURSE_DATA", "")
    if wish == "stand-in":
        return _load_stand_in(data_dir, "COURSE_DATA asks for it")
    if wish:
        raise DataError(f'COURSE_DATA is {wish!r}, and only "stand-in" is known. Set it to that, or unset it.')

    if named := cifar10_dir or os.environ.get("CIFAR10_DIR"):
        folder = Path(os.path.expanduser(named)).resolve()
        source = sources.find_named(folder, "cifar10_dir" if cifar10_dir else "CIFAR10_DIR")
        words = "the folder given" if cifar10_dir else "the folder in CIFAR10_DIR"
        return _load_copy(source, Cache(data_dir / "cache", "folder", KEPT_COPIES), words)

    cache = Cache(data_dir / "cache", "data")
    if source := sources.find(data_dir):
        return _load_copy(source, cache, "data/")
    if contents := cache.newest():  # what was downloaded may have been deleted since, to free the space
        return _as_data(contents, "data/")
    why_not = _try_download(data_dir, cache)
    if source := sources.find(data_dir):
        return _load_copy(source, cache, "data/")
    return _load_stand_in(data_dir, why_not)


def _try_download(data_dir: Path, cache: Cache) -> str:
    """Download the archive into data_dir if that is possible; the reason why not, in words, else ""."""
    if problem := download.unreachable():
        return f"no copy found, and the server does not answer ({problem})"
    with cache.locked(warn=False) as lock:
        if not lock:  # the stand-in's own cache says so in a warning
            return "no copy found, and data/ cannot be written to"
        if sources.find(data_dir) is None:  # else another process has downloaded it while this one waited
            try:
                download.download(data_dir)
            except DataError as error:
                message = f"CIFAR-10 could not be downloaded: {error} The course goes on with the stand-in."
                warnings.warn(message, DataWarning, stacklevel=2)
                return "the download failed"
    return ""


def _load_copy(source: sources.Source, cache: Cache, words: str) -> ImageData:
    return _as_data(cache.get(source.fingerprint, lambda: _contents(*source.read(), CLASSES)), words)


def _load_stand_in(data_dir: Path, why: str) -> ImageData:
    # The key changes when the way the stand-in is drawn does, so that nobody has to remember to count a version up.
    recipe = Path(standin.__file__).read_bytes() + str(STAND_IN_SIZE).encode()
    key = hashlib.sha256(recipe).hexdigest()[:16]
    contents = Cache(data_dir / "cache", "stand-in").get(key, lambda: _draw_stand_in(*STAND_IN_SIZE))
    return _as_data(contents, why, is_stand_in=True)


def _draw_stand_in(train: int, test: int) -> dict[str, Any]:
    # Another seed for the test images: neither part changes when the other gets longer.
    return _contents(standin.draw(train, seed=0), standin.draw(test, seed=1), standin.CLASSES)


def _contents(train: Arrays, test: Arrays, classes: Sequence[str]) -> dict[str, Any]:
    """What is kept in the cache: both parts in their fixed random order, and the statistics of the training images."""
    contents: dict[str, Any] = {"classes": list(classes)}
    for name, (images, labels) in (("train", train), ("test", test)):
        order = _fixed_order(len(labels))
        contents[f"{name}_images"] = torch.from_numpy(np.ascontiguousarray(images[order]))
        contents[f"{name}_labels"] = torch.from_numpy(labels[order])
    contents["mean"], contents["std"] = _channel_statistics(contents["train_images"])
    return contents


def _as_data(contents: dict[str, Any], source: str, is_stand_in: bool = False) -> ImageData:
    train, test = (Split(contents[f"{part}_images"], contents[f"{part}_labels"]) for part in ("train", "test"))
    return ImageData(train, test, contents["mean"], contents["std"], source, is_stand_in, tuple(contents["classes"]))


def _fixed_order(n: int) -> np.ndarray:
    """A random order of n things, the same on every machine and for every version of NumPy.

    Only the raw bits of the generator are promised never to change, so they are sorted, and nothing else is used.
    """
    return np.argsort(np.random.PCG64(20_091_110).random_raw(n), kind="stable")


def _channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, in pixel values: float32 (3,) twice."""
    # Counting the 256 values is exact, and needs no float copy of 184 MB of pixels.
    values = torch.arange(256, dtype=torch.float64)
    counts = torch.stack([torch.bincount(images[:, c].flatten(), minlength=256) for c in range(3)]).double()
    mean = counts @ values / counts.sum(1)
    variance = (counts * (values - mean[:, None]) ** 2).sum(1) / counts.sum(1)
    return mean.float(), variance.sqrt().float()
