"""Copies of CIFAR-10: find one on disk or download it, verify it, read it as arrays.

    source = find(folder)                       # None if there is none
    (images, labels), test = source.read()      # uint8 (N, 3, 32, 32) and int64 (N,), in the order of the files

Three layouts: torchvision's files, the archive that they come in, and folders of images. Whatever is wrong with a copy
is one DataError that names the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import sys
import threading
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from utils.data.cache import whole_file
from utils.data.errors import DataError, reason

# torchvision, PIL and tqdm are imported where they are needed: a kernel that only reads the cache starts seconds
# earlier without them.

__all__ = ["ARCHIVE", "CLASSES", "Source", "download", "find", "find_named", "reachable"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ARCHIVE = "cifar-10-python.tar.gz"
BATCHES = "cifar-10-batches-py"
IMAGE_SHAPE = (3, 32, 32)
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
PROBE_TIMEOUT = 3.0  # seconds; what having no network may cost
READ_TIMEOUT = 30.0  # seconds without a single byte before a download counts as broken off

Arrays = tuple[np.ndarray, np.ndarray]  # images uint8 (N, 3, 32, 32), labels int64 (N,)


@dataclass(frozen=True)
class Source:
    """A copy of CIFAR-10 on disk. fingerprint: changes when the copy does, and is cheap to take."""

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
                files = sorted(path for path in batches.iterdir() if path.is_file())
                return Source(partial(_read_batches, batches), _fingerprint("batches", files))
        archive = folder / ARCHIVE
        if archive.is_file():
            return Source(partial(_read_archive, archive), _fingerprint("archive", [archive]))
        if (folder / "train").is_dir() or (folder / "test").is_dir():
            folders = [folder / part / name for part in ("train", "test") for name in CLASSES]
            return Source(partial(_read_folders, folder), _fingerprint("images", folders))
    except OSError as error:
        raise DataError(f"cannot look into {folder}: {reason(error)}.") from error
    return None


def _fingerprint(kind: str, paths: Sequence[Path]) -> str:
    """A short name for the state of some files or folders: their names, sizes and times of change.

    A folder's time changes when a file is added, removed or renamed in it, so 60,000 images need not be listed.
    """
    digest = hashlib.sha256(kind.encode())
    for path in paths:
        if path.exists():
            status = path.stat()
            digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _read_folders(root: Path) -> tuple[Arrays, Arrays]:
    """Folders of images, `train/<class>/*` and `test/<class>/*`."""
    try:
        return _read_part(root / "train"), _read_part(root / "test")
    except OSError as error:
        raise DataError(f"cannot read the folders in {root}: {reason(error)}.") from error


def _read_part(part: Path) -> Arrays:
    """All images below one of the two folders, class by class."""
    if not part.is_dir():
        raise DataError(f"{part} is missing: folders of images need train/ and test/. Unpack the images again.")
    found = {entry.name for entry in os.scandir(part) if entry.is_dir() and not entry.name.startswith(".")}
    if missing := [name for name in CLASSES if name not in found]:
        raise DataError(f"{part} has no folder for {', '.join(missing)}. It needs one for each class of CIFAR-10.")
    if extra := sorted(found - set(CLASSES)):
        raise DataError(f"{part} has a folder that is no class of CIFAR-10: {', '.join(extra)}. Move it away.")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(CLASSES):
        files = sorted(path for path in (part / name).iterdir() if _is_image(path))
        if not files:
            raise DataError(f"{part / name} holds no image. Unpack the images again.")
        paths += files
        labels += [label] * len(files)
    return _decode(paths, part.name), np.array(labels, dtype=np.int64)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _decode(paths: Sequence[Path], name: str) -> np.ndarray:
    """Read images in a few threads (decoding releases Python's lock): uint8 (N, 3, 32, 32)."""
    from concurrent.futures import ThreadPoolExecutor

    def some(start: int) -> np.ndarray:
        return np.stack([_read_image(path) for path in paths[start : start + 250]])

    parts = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool, _bar(len(paths), f"reading {name}") as bar:
        for images in pool.map(some, range(0, len(paths), 250)):  # after an error, it cancels what is left
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


def _checksums() -> tuple[str, dict[str, str]]:
    """torchvision's MD5 sums: of the archive, and of each file in it by name (the training batches come first)."""
    from torchvision.datasets import CIFAR10

    meta = (CIFAR10.meta["filename"], CIFAR10.meta["md5"])
    return CIFAR10.tgz_md5, dict([*CIFAR10.train_list, *CIFAR10.test_list, meta])


def _read_batches(folder: Path) -> tuple[Arrays, Arrays]:
    """torchvision's unpacked files, `cifar-10-batches-py/*`."""
    files = {}
    for name in _checksums()[1]:
        try:
            files[name] = (folder / name).read_bytes()
        except FileNotFoundError:
            raise DataError(f"{folder / name} is missing. Unpack cifar-10-python.tar.gz again.") from None
        except OSError as error:
            raise DataError(f"cannot read {folder / name}: {reason(error)}.") from error
    return _unpickle_all(files, str(folder))


def _read_archive(archive: Path) -> tuple[Arrays, Arrays]:
    """torchvision's archive, read without unpacking it to disk: only the files that are expected, nothing else."""
    import tarfile
    import zlib

    advice = "It is damaged, or was not downloaded to its end. Delete it and run this again."
    archive_sum, sums = _checksums()
    files = {}
    try:
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            if digest != archive_sum:
                raise DataError(f"{archive} has the MD5 sum {digest} instead of {archive_sum}. {advice}")
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:gz") as tar:
                for member in tar:
                    folder, _, name = member.name.rpartition("/")
                    # The size is checked before anything is read: a batch has 30.7 MB of pixels.
                    if folder == BATCHES and name in sums and member.isreg() and member.size < 64e6:
                        files[name] = tar.extractfile(member).read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"cannot unpack {archive}: {reason(error)}. {advice}") from error
    if missing := [name for name in sums if name not in files]:
        raise DataError(f"{archive} does not hold {', '.join(missing)}. {advice}")
    return _unpickle_all(files, str(archive))


def _unpickle_all(files: dict[str, bytes], where: str) -> tuple[Arrays, Arrays]:
    """Check the MD5 sum of every file, then unpickle them, from the same bytes and in torchvision's order."""
    sums = _checksums()[1]
    for name, expected in sums.items():
        digest = hashlib.md5(files[name], usedforsecurity=False).hexdigest()
        if digest != expected:
            raise DataError(
                f"{name} in {where} has the MD5 sum {digest} instead of {expected}: it is damaged, incomplete or not "
                f"CIFAR-10. Nothing in it was used. Delete it and get it again."
            )
    names = _unpickle(files["batches.meta"], "batches.meta", where).get("label_names")
    if tuple(names or ()) != CLASSES:
        raise DataError(f"batches.meta in {where} names other classes than CIFAR-10's. Get it again.")
    batches = {name: _batch(files[name], name, where) for name in sums if name != "batches.meta"}
    train = [batch for name, batch in batches.items() if name != "test_batch"]
    return tuple(np.concatenate(part) for part in zip(*train, strict=True)), batches["test_batch"]


def _batch(content: bytes, name: str, where: str) -> Arrays:
    """The images and labels of one pickled batch."""
    batch = _unpickle(content, name, where)
    images, labels = batch.get("data"), batch.get("labels")
    good = isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape[1:] == (3072,)
    good = good and isinstance(labels, list) and len(labels) == len(images) > 0
    if not good or not all(type(label) is int and 0 <= label < len(CLASSES) for label in labels):
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


def reachable() -> bool:
    """Whether the server answers within seconds. In a thread, since looking up a name has no time-out of its own."""
    from torchvision.datasets import CIFAR10

    answers: list[bool] = []

    def ask() -> None:
        with contextlib.suppress(Exception):  # any failure has the same meaning: not now
            request = urllib.request.Request(CIFAR10.url, method="HEAD")
            with urllib.request.urlopen(request, timeout=PROBE_TIMEOUT):
                answers.append(True)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_TIMEOUT)
    return bool(answers)


def download(data_dir: Path) -> None:
    """Download torchvision's archive into data_dir, under another name until its checksum is right.

    Raises DataError, and leaves nothing behind, if the connection or the disk fails.
    """
    from torchvision.datasets import CIFAR10

    digest = hashlib.md5(usedforsecurity=False)
    try:
        with (
            urllib.request.urlopen(CIFAR10.url, timeout=READ_TIMEOUT) as response,
            whole_file(data_dir, ARCHIVE) as file,
        ):
            total = int(response.headers.get("Content-Length") or 0)
            with _bar(total, "downloading CIFAR-10", download=True) as bar:
                while chunk := response.read(1 << 16):
                    file.write(chunk)
                    digest.update(chunk)
                    bar.update(len(chunk))
            if digest.hexdigest() != _checksums()[0]:
                raise DataError(
                    "what arrived is not the archive, or not all of it (its MD5 sum is wrong). Run this again."
                )
    except DataError:
        raise
    except Exception as error:  # urllib, http, ssl and the disk each have their own
        raise DataError(f"it broke off ({reason(error)}). Run this again.") from error


def _bar(total: int, name: str, download: bool = False) -> Any:
    """A progress bar where somebody sees it and no test compares it.

    Reading a folder takes seconds and shows its bar in a terminal only: in a notebook it would become part of the
    output. A download takes minutes, and shows it in a notebook too.
    """
    from tqdm.auto import tqdm

    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    seen = sys.stderr.isatty() or (download and hasattr(shell, "kernel"))
    return tqdm(total=total or None, desc=name, unit="B" if download else " images", unit_scale=True, disable=not seen)
