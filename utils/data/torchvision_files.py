"""CIFAR-10 as its authors publish it: seven pickles, in a folder or in the archive that torchvision downloads.

The MD5 sum of each file is compared before it is unpickled, and unpickled are plain values and arrays only.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from utils.data.batches import CLASSES
from utils.data.errors import DataError
from utils.files import reason

# torchvision is imported where it is needed: a kernel that only reads the cache starts seconds earlier without it.

__all__ = ["ARCHIVE", "BATCHES", "NAMES", "Arrays", "checksums", "read_archive", "read_folder"]

ARCHIVE = "cifar-10-python.tar.gz"
BATCHES = "cifar-10-batches-py"
NAMES = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch", "batches.meta"]
IMAGE_SHAPE = (3, 32, 32)
LARGEST = 64e6  # bytes; a batch has 30.7 MB of pixels

Arrays = tuple[np.ndarray, np.ndarray]  # images uint8 (N, 3, 32, 32), labels int64 (N,)


def checksums() -> tuple[str, dict[str, str]]:
    """torchvision's MD5 sums: of the archive, and of each file in it by name (the training batches come first)."""
    from torchvision.datasets import CIFAR10

    meta = (CIFAR10.meta["filename"], CIFAR10.meta["md5"])
    return CIFAR10.tgz_md5, dict([*CIFAR10.train_list, *CIFAR10.test_list, meta])


def read_folder(folder: Path) -> tuple[Arrays, Arrays]:
    """The unpacked files, `cifar-10-batches-py/*`: training and test images; DataError that names a bad file."""
    files = {}
    for name in NAMES:
        try:
            files[name] = (folder / name).read_bytes()
        except FileNotFoundError:
            raise DataError(f"{folder / name} is missing. Unpack {ARCHIVE} again.") from None
        except OSError as error:
            raise DataError(f"cannot read {folder / name}: {reason(error)}.") from error
    return _unpickle_all(files, str(folder))


def read_archive(archive: Path) -> tuple[Arrays, Arrays]:
    """The archive, read without unpacking it to disk: only the files that are expected; DataError if it is damaged."""
    import tarfile
    import zlib

    advice = "It is damaged, or its download was not finished. Delete it and run this again."
    expected = checksums()[0]
    files = {}
    try:
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            if digest != expected:
                raise DataError(f"{archive} has the MD5 sum {digest} instead of {expected}. {advice}")
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:gz") as tar:
                for member in tar:
                    folder, _, name = member.name.rpartition("/")
                    if folder == BATCHES and name in NAMES and member.isreg() and member.size < LARGEST:
                        files[name] = tar.extractfile(member).read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"cannot unpack {archive}: {reason(error)}. {advice}") from error
    if missing := [name for name in NAMES if name not in files]:
        raise DataError(f"{archive} does not hold {', '.join(missing)}. {advice}")
    return _unpickle_all(files, str(archive))


def _unpickle_all(files: dict[str, bytes], where: str) -> tuple[Arrays, Arrays]:
    """Check the MD5 sum of every file, then unpickle them, from the same bytes and in torchvision's order."""
    for name, expected in checksums()[1].items():
        digest = hashlib.md5(files[name], usedforsecurity=False).hexdigest()
        if digest != expected:
            raise DataError(
                f"{name} in {where} has the MD5 sum {digest} instead of {expected}: it is damaged, incomplete or not "
                f"CIFAR-10. Nothing in it was used. Delete it and get it again."
            )
    *batches, meta = NAMES
    if tuple(_unpickle(files[meta], meta, where).get("label_names") or ()) != CLASSES:
        raise DataError(f"{meta} in {where} names other classes than CIFAR-10's. Get it again.")
    *train, test = (_batch(files[name], name, where) for name in batches)
    return tuple(np.concatenate(part) for part in zip(*train, strict=True)), test


def _batch(content: bytes, name: str, where: str) -> Arrays:
    """The images and labels of one pickled batch."""
    batch = _unpickle(content, name, where)
    images, labels = batch.get("data"), batch.get("labels")
    well_formed = isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape[1:] == (3072,)
    well_formed = well_formed and isinstance(labels, list) and len(labels) == len(images) > 0
    if not well_formed or not all(type(label) is int and 0 <= label < len(CLASSES) for label in labels):
        raise DataError(f"{name} in {where} does not hold CIFAR-10's images and labels. Delete it and get it again.")
    return images.reshape(-1, *IMAGE_SHAPE), np.array(labels, dtype=np.int64)


class _Unpickler(pickle.Unpickler):
    """Unpickles plain values and numpy arrays, and nothing that could run code.

    The checksum has been compared before; this is the second line of defence, since MD5 is no proof against malice.
    """

    # NumPy warns when an old pickle's `align=0` is not a bool, hence the function in place of np.dtype.
    _reconstruct = staticmethod(np.empty(0).__reduce__()[0])
    _allowed = {  # noqa: RUF012
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): lambda kind, align=False, copy=False: np.dtype(kind, align=bool(align), copy=bool(copy)),
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no file of CIFAR-10 does") from None


def _unpickle(content: bytes, name: str, where: str) -> dict[str, Any]:
    try:
        value = _Unpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # what a broken pickle raises depends on where it is broken
        raise DataError(f"cannot read {name} in {where}: {reason(error)}. Delete it and get it again.") from error
    if not isinstance(value, dict):
        raise DataError(f"{name} in {where} does not hold what CIFAR-10's files hold. Delete it and get it again.")
    return value
