"""A cache of tensors on disk: verified when it is read, memory-mapped, locked while it is made, written whole or not.

cache = Cache(folder, "stand-in")
contents = cache.get(key, make)     # make() is called if there is no whole file with that key
"""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.data.errors import DataError, DataWarning
from utils.files import atomic_file, reason

# filelock is imported where it is needed: who only reads does not need it.

__all__ = ["Cache"]

FORMAT = "batchnorm-layer-by-layer images"
VERSION = 1
LOCK_TIMEOUT = 900.0  # seconds; a download over a slow line is done while the lock is held

Contents = dict[str, Any]  # tensors and plain values by name


class Cache:
    """The cache files `<family>-<key>.pt` of one folder (a key has no hyphen), of which the newest few are kept.

    A file is written under another name and renamed, so whoever reads sees all of it or the one before; a lock keeps
    two processes from doing the same work at once. If nothing can be written, the course goes on from memory.
    """

    def __init__(self, folder: Path, family: str, kept: int = 1) -> None:
        self.folder, self.family, self.kept = folder, family, kept

    def get(self, key: str, make: Callable[[], Contents]) -> Contents:
        """The contents of the file with that key; if it is not there or damaged, make them and write it."""
        path = self.folder / f"{self.family}-{key}.pt"
        contents = _read(path)
        if contents is not None:
            return contents
        with self.locked() as lock:
            if not lock:
                return make()
            contents = _read(path, warn=False)  # another process may have written it while this one waited
            if contents is None:
                contents = make()
                if self._write(path, contents):
                    contents = _read(path) or contents  # as a memory map: shared, and given back when needed
            return contents

    def newest(self) -> Contents | None:
        """The contents of the newest file that is whole, or None."""
        return next((contents for path in self._newest_first() if (contents := _read(path)) is not None), None)

    def locked(self, warn: bool = True) -> contextlib.AbstractContextManager[Any]:
        """Hold the lock of this family; gives False, with a warning, if the folder cannot be written to.

        Raises DataError if another process holds it for a quarter of an hour.
        """
        from filelock import FileLock, Timeout

        path = self.folder / f"{self.family}.lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return FileLock(path).acquire(timeout=LOCK_TIMEOUT)
        except Timeout:
            raise DataError(
                f"another process has been preparing the data for {LOCK_TIMEOUT / 60:.0f} minutes. Wait for it and run "
                f"this again; if there is none, delete {path}."
            ) from None
        except (OSError, NotImplementedError) as error:
            if warn:
                _warn(
                    f"nothing can be kept in {self.folder} ({reason(error)}), so the data is prepared again every time"
                )
            return contextlib.nullcontext(False)

    def _write(self, path: Path, contents: Contents) -> bool:
        """Write a file, all of it or nothing; False, with a warning, if that fails. The lock must be held."""
        try:
            with atomic_file(path, self.family) as file:
                torch.save({"format": FORMAT, "version": VERSION, "sums": _sums(contents), **contents}, file)
        except (OSError, RuntimeError) as error:  # torch turns some of the system's errors into its own
            _warn(f"the data could not be kept in {path.parent} ({reason(error)}), so it is prepared again next time")
            return False
        for old in [other for other in self._newest_first() if other != path][self.kept - 1 :]:
            with contextlib.suppress(OSError):  # Windows keeps a file that is mapped by somebody
                old.unlink()
        return True

    def _newest_first(self) -> list[Path]:
        """The files of this family that are there."""
        try:
            return sorted(self.folder.glob(f"{self.family}-*.pt"), key=lambda path: path.stat().st_mtime, reverse=True)
        except OSError:
            return []


def _read(path: Path, warn: bool = True) -> Contents | None:
    """A cache file as a memory map, or None if it is not there or not whole."""
    if not path.exists():
        return None
    try:
        _check(torch.load(path, mmap=True, weights_only=True))
        # A map of its own: what was read to add it up would count as this process's memory as long as the map is there.
        contents = torch.load(path, mmap=True, weights_only=True)
    except Exception as error:  # whatever is wrong with it, it can be written again
        if warn:
            _warn(f"the cache file {path.name} is damaged ({reason(error)}), so the data is prepared again")
        return None
    return contents


def _check(contents: Any) -> None:
    """Raise ValueError unless this is what a cache file of this version holds, all of it."""
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise ValueError("it is something else")
    if contents.get("version") != VERSION:
        raise ValueError(f"it has version {contents.get('version')}, not {VERSION}")
    sums = _sums(contents)
    for name, total in contents["sums"].items():
        if name not in sums:
            raise ValueError(f"it has no {name}")
        if sums[name] != total:
            raise ValueError(f"its {name.replace('_', ' ')} have changed")


def _sums(contents: Contents) -> dict[str, int]:
    """All bytes of each tensor added up, to notice a change on the disk: for 184 MB hundredths of a second."""
    return {name: _sum(value) for name, value in contents.items() if isinstance(value, Tensor)}


def _sum(tensor: Tensor) -> int:
    size = tensor.numel() * tensor.element_size()
    words = next(kind for kind in (torch.int64, torch.int32, torch.uint8) if size % kind.itemsize == 0)
    return int(tensor.flatten().view(words).sum())


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=2)
