"""Copies of CIFAR-10 on disk: which one is in a folder, and what tells one copy from another.

    source = find(folder)                       # None if there is none
    (images, labels), test = source.read()      # uint8 (N, 3, 32, 32) and int64 (N,), in the order of the files

Three layouts: torchvision's files, the archive that they come in, and folders of images. Whatever is wrong with a copy
is one DataError that names the file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from utils.data import image_folders, torchvision_files
from utils.data.errors import DataError
from utils.data.torchvision_files import ARCHIVE, BATCHES, Arrays
from utils.files import reason

__all__ = ["Source", "find", "find_named"]

SAMPLE = 4096  # bytes of a file that are looked at: at its start, in its middle, at its end


@dataclass(frozen=True)
class Source:
    """A copy of CIFAR-10 on disk. fingerprint: that of its contents, wherever it lies; cheap to take."""

    read: Callable[[], tuple[Arrays, Arrays]]
    fingerprint: str


def find_named(folder: Path, name: str) -> Source:
    """What is in a folder that somebody named; DataError if it is nothing: it must not be passed over in silence."""
    if not os.path.isdir(folder):  # os.path, since Path.is_dir raises for a folder that may not be looked into
        what = "is not a folder: name the folder it is in" if os.path.exists(folder) else "does not exist: correct it"
        raise DataError(f"{name} names {folder}, which {what}, or unset it.")
    source = find(folder)
    if source is None:
        raise DataError(
            f"{name} names {folder}, which holds no CIFAR-10: neither {BATCHES}/, nor {ARCHIVE}, nor train/ and test/ "
            f"with a folder for each class. Correct it, or unset it; the layouts are in data/README.md."
        )
    return source


def find(folder: Path) -> Source | None:
    """The copy of CIFAR-10 in a folder, or None; torchvision's files first, since they are the original pixels."""
    try:
        for batches in (folder / BATCHES, folder):
            if batches.is_dir() and (batches != folder or (folder / "batches.meta").is_file()):
                files = [batches / name for name in torchvision_files.NAMES]
                return Source(partial(torchvision_files.read_folder, batches), _fingerprint(files))
        archive = folder / ARCHIVE
        if archive.is_file():
            return Source(partial(torchvision_files.read_archive, archive), _fingerprint([archive]))
        if (folder / "train").is_dir() or (folder / "test").is_dir():
            return Source(partial(image_folders.read, folder), _fingerprint_of_images(folder))
    except OSError as error:
        raise DataError(f"cannot look into {folder}: {reason(error)}.") from error
    return None


# A fingerprint depends on no path and no time of change, so that a copy that is moved, or unpacked once more somewhere
# else, is known again. It does not read 170 MB: names and sizes of all files, and of some of them a few bytes, tell two
# copies apart unless somebody overwrites images in place by others of the same size.


def _fingerprint(files: list[Path]) -> str:
    """A short name for some files: their names, sizes, and bytes at three places of each."""
    digest = hashlib.sha256()
    for path in files:
        if path.is_file():
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            digest.update(_sample(path))
    return digest.hexdigest()[:16]


def _fingerprint_of_images(folder: Path) -> str:
    """The same for folders of images: names and sizes of all of them, bytes of three of each class."""
    digest = hashlib.sha256()
    for part, label in image_folders.PLACES:
        place = folder / part / label
        digest.update(f"{part}/{label}\n".encode())
        if not place.is_dir():
            continue
        with os.scandir(place) as entries:  # on Windows it knows the sizes too
            images = (entry for entry in entries if image_folders.is_image(entry.name))
            sizes = sorted((entry.name, entry.stat().st_size) for entry in images)
        digest.update(repr(sizes).encode())
        for name, _ in sizes[:1] + sizes[len(sizes) // 2 :][:1] + sizes[-1:]:
            digest.update(_sample(place / name))
    return digest.hexdigest()[:16]


def _sample(path: Path) -> bytes:
    """Bytes from the start, the middle and the end of a file; all of a short one."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= 3 * SAMPLE:
            return file.read()
        pieces = []
        for start in (0, (size - SAMPLE) // 2, size - SAMPLE):
            file.seek(start)
            pieces.append(file.read(SAMPLE))
        return b"".join(pieces)
