"""Copies of CIFAR-10, tiny, that the tests of the data make, and the ways to damage them."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from utils import data
from utils.data import CLASSES, DataError, ImageData, torchvision_files

ROOT = Path(__file__).resolve().parent.parent
ARCHIVE = torchvision_files.ARCHIVE


def close(a: torch.Tensor, b: torch.Tensor, rtol: float = 1e-6, atol: float = 1e-6) -> None:
    """As torch.testing.assert_close, whose first call costs seconds."""
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=rtol, atol=atol)


def write_folders(root: Path, train: int = 2, test: int = 1, suffix: str = "png") -> Path:
    """A tiny CIFAR-10 as folders of images: every pixel of image i of class c is (c, i, part)."""
    for part, (name, count) in enumerate((("train", train), ("test", test))):
        for c, cls in enumerate(CLASSES):
            (root / name / cls).mkdir(parents=True)
            for i in range(count):
                pixels = np.full((32, 32, 3), (c * 20, i * 50, part * 200), dtype=np.uint8)
                Image.fromarray(pixels).save(root / name / cls / f"{i:04}.{suffix}")
    return root


def batch_files(n: int = 4) -> dict[str, bytes]:
    """torchvision's seven files, tiny, as pickles of this Python."""
    files = {"batches.meta": pickle.dumps({"label_names": list(CLASSES)}, protocol=2)}
    for k, name in enumerate(torchvision_files.NAMES[:-1]):
        pixels = np.random.default_rng(k).integers(0, 256, (n, 3072), dtype=np.uint8)
        files[name] = pickle.dumps({"data": pixels, "labels": [(k + i) % 10 for i in range(n)]}, protocol=4)
    return files


def files_of_python_2(labels: list[int]) -> tuple[dict[str, bytes], np.ndarray]:
    """The seven files as CIFAR-10's own are, by Python 2 and an old NumPy, byte by byte; and the pixels in each."""

    def text(value: bytes) -> bytes:  # a str of Python 2
        return (b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + len(value).to_bytes(4, "little")) + value

    def pickled(pixels: np.ndarray) -> bytes:
        dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN"
        dtype += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        array += b"(K\x01K" + bytes([len(pixels)]) + b"M\x00\x0c\x86" + dtype + b"\x89" + text(pixels.tobytes()) + b"tb"
        numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
        pairs = text(b"data") + array + text(b"labels") + numbers + text(b"batch_label") + text(b"testing batch 1 of 1")
        return b"\x80\x02}(" + pairs + b"u."

    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    return batch_files() | {name: pickled(pixels) for name in torchvision_files.NAMES[:-1]}, pixels


def trust(monkeypatch, files: dict[str, bytes], archive: bytes = b"") -> None:
    """Make these files the ones whose checksums are expected."""
    sums = {name: hashlib.md5(files[name]).hexdigest() for name in torchvision_files.NAMES}
    for module in (torchvision_files, data.download):
        monkeypatch.setattr(module, "checksums", lambda: (hashlib.md5(archive).hexdigest(), sums))


def write_batches(home: Path, files: dict[str, bytes]) -> Path:
    folder = home / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def tar_of(files: dict[str, bytes], extra: list[tarfile.TarInfo] = ()) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return buffer.getvalue()


def same(a: ImageData, b: ImageData) -> bool:
    parts = ("images", "labels")
    return all(
        torch.equal(getattr(getattr(a, s), p), getattr(getattr(b, s), p)) for s in ("train", "test") for p in parts
    )


def caches(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "cache").iterdir() if path.suffix != ".lock")


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


class Evil:
    """Unpickled, it runs something: here it creates the file that the test looks for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def fails(home: Path, root: Path, *words: str) -> None:
    """Loading fails with one clear line that holds these words, and leaves no cache behind."""
    with pytest.raises(DataError) as caught:
        data.load(home, root)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert not (home / "cache").exists() or caches(home) == []
