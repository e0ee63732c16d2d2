"""utils.data.cache: filled once, read as a memory map, damaged, locked, on a full disk and on a read-only one."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from data_files import ROOT, Evil, caches, same, truncate, write_folders

from utils import data
from utils.data import DataError, DataWarning, cache, download, image_folders
from utils.files import atomic_file

pytestmark = pytest.mark.usefixtures("isolated")

# --- which file belongs to which copy --------------------------------------------------------------------------------


@pytest.fixture
def readings(monkeypatch):
    """The folders of images that were read, and not found in the cache."""
    read, calls = image_folders.read, []

    def counted(root: Path):
        calls.append(root)
        return read(root)

    monkeypatch.setattr(image_folders, "read", counted)
    return calls


def test_the_second_time_comes_from_the_cache_wherever_the_copy_lies(home, tmp_path, readings):
    """As when the same archive is unpacked into a new temporary folder for every run: other paths, other times."""
    first = data.load(home, write_folders(tmp_path / "run 1"), verbose=False)
    os.utime(shutil.copytree(tmp_path / "run 1", tmp_path / "run 2") / "train" / "dog", (1, 1))
    shutil.rmtree(tmp_path / "run 1")
    assert same(data.load(home, tmp_path / "run 2", verbose=False), first)
    assert len(readings) == 1
    assert re.fullmatch(r"folder-[0-9a-f]{16}\.pt", caches(home)[0])
    assert len(caches(home)) == 1, "and nothing temporary is left"


def swap(root: Path) -> None:
    """Two classes change their names: the files in them have the same names as before."""
    for old, new in (("cat", "x"), ("dog", "cat"), ("x", "dog")):
        (root / "train" / old).rename(root / "train" / new)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "train" / "dog" / "0001.png").unlink(),
        lambda root: (root / "train" / "dog" / "0001.png").rename(root / "train" / "dog" / "0007.png"),
        lambda root: shutil.copy(root / "train" / "cat" / "0000.png", root / "train" / "dog" / "0000.png"),
        swap,
    ],
)
def test_the_cache_sees_that_the_copy_changed(home, tmp_path, readings, change):
    root = write_folders(tmp_path / "c10")
    data.load(home, root, verbose=False)
    (root / "train" / "dog" / "notes.txt").touch()
    data.load(home, root, verbose=False)
    assert len(readings) == 1, "what is no image does not count"
    change(root)
    data.load(home, root, verbose=False)
    assert len(readings) == 2


def test_the_newest_few_are_kept(home, tmp_path, readings):
    (home / "cache").mkdir()
    for name in ("folder-0123456789ab.pt", ".folder-9.tmp"):
        (home / "cache" / name).touch()
    roots = [write_folders(tmp_path / str(n), train=n) for n in (1, 2, 3)]
    for root in roots[:2] * 2:
        data.load(home, root, verbose=False)
    assert len(readings) == 2, "who goes back and forth between two copies waits once for each"
    assert len(list((home / "cache").glob("folder-*"))) == 2
    data.load(home, roots[2], verbose=False)
    assert len(caches(home)) == 2
    assert data.load(home, verbose=False).is_stand_in, "none of them is used when CIFAR10_DIR is unset"


def test_what_a_reader_does_to_its_data_is_not_done_to_the_file(home):
    data.load(home, verbose=False).train.images.zero_()
    data.load(home, verbose=False).test.labels.fill_(3)
    assert data.load(home, verbose=False).train.images.any()
    assert data.load(home, verbose=False).test.labels.max() == 9


# --- damaged, shared, full, read-only --------------------------------------------------------------------------------


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (truncate, ""),
        (flip_a_byte, "images have changed"),
        (lambda path: torch.save({**torch.load(path), "version": 0}, path), "it has version 0, not 1"),
        (lambda path: torch.save({"weights": torch.zeros(3)}, path), "it is something else"),
        (lambda path: torch.save({"x": Evil(path.parent / "evil")}, path), ""),
    ],
)
def test_a_damaged_cache_is_made_again_with_one_warning(home, damage, why):
    before = data.load(home, verbose=False).train.images.clone()  # a copy: Windows replaces no file that is mapped
    (path,) = (home / "cache").glob("*.pt")
    copy = home / "copy.pt"
    copy.write_bytes(path.read_bytes())
    damage(copy)
    os.replace(copy, path)
    with pytest.warns(
        DataWarning, match=rf"the cache file stand-in-.*\.pt is damaged \(.*{why}.*\), so the data is prepared again"
    ) as seen:
        again = data.load(home, verbose=False)
    assert len(seen) == 1
    assert torch.equal(again.train.images, before)
    assert not (path.parent / "evil").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.load(home, verbose=False)


FILL = """
import sys, time
from utils import data
from utils.data import image_folders
read = image_folders.read
def read_slowly(root):
    with open(sys.argv[1] + "/reads", "a") as file: file.write("read\\n")
    time.sleep(1)
    return read(root)
image_folders.read = read_slowly
assert len(data.load(sys.argv[1], sys.argv[2], verbose=False).train) == 20
print([name for name in ("torchvision", "PIL", "filelock", "matplotlib") if name in sys.modules])
"""


@pytest.mark.proof
def test_two_processes_fill_the_cache_at_once(home, tmp_path):
    """The second one waits, then loads; and whoever finds the cache filled imports nothing slow."""
    command = [sys.executable, "-c", FILL, str(home), str(write_folders(tmp_path / "c10"))]
    options = {"cwd": ROOT, "env": {**os.environ, "OMP_NUM_THREADS": "1"}, "text": True}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    for process in [subprocess.Popen(command, **options, **pipes) for _ in range(2)]:
        assert process.communicate(timeout=120)[1] == ""
        assert process.returncode == 0
    assert (home / "reads").read_text() == "read\n"
    assert len(caches(home)) == 1
    assert subprocess.check_output(command, **options) == "[]\n"


def test_a_lock_that_is_never_released(home, monkeypatch):
    from filelock import FileLock

    (home / "cache").mkdir()
    monkeypatch.setattr(cache, "LOCK_TIMEOUT", 0.1)
    with (
        FileLock(home / "cache" / "stand-in.lock"),
        pytest.raises(DataError, match=r"another process has been preparing the data for.*stand-in\.lock"),
    ):
        data.load(home)


def goes_on_without_cache(home: Path, *words: str) -> None:
    """Loading works, with exactly one warning that holds these words, and nothing is left in the cache folder."""
    with pytest.warns(DataWarning) as seen:
        assert len(data.load(home, verbose=False).train) == 60
    assert len(seen) == 1
    for word in words:
        assert word in str(seen[0].message)
    if (home / "cache").is_dir():
        assert caches(home) == []


class FullDisk(io.BytesIO):
    def write(self, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk(home, monkeypatch):
    """Whatever torch.save makes of the system's error."""
    monkeypatch.setattr(cache, "atomic_file", lambda *_: contextlib.nullcontext(FullDisk()))
    goes_on_without_cache(home, "the disk is full", "prepared again next time")


def test_read_only_folder(home, monkeypatch):
    (home / "file").touch()
    goes_on_without_cache(home / "file" / "data", "nothing can be kept in")
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: False)  # as root, no permission binds
        goes_on_without_cache(home, "Permission denied", "prepared again every time")
        patch.setattr(download, "unreachable", lambda: "")
        with pytest.warns(DataWarning) as seen:
            d = data.load(home, verbose=False)
        assert len(seen) == 1
        assert "no copy found, and data/ cannot be written to" in str(d)
    data.load(home, verbose=False)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # with a cache there is nothing to write, and to warn of
        data.load(home, verbose=False)


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "new" / "x"
    with atomic_file(path) as file:
        file.write(b"old")
    left = path.parent / ".x-99999.tmp"
    left.write_bytes(b"what a killed process left")
    os.utime(left, (0, 0))

    def break_off():
        with atomic_file(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert [(found.name, found.read_bytes()) for found in path.parent.iterdir()] == [("x", b"old")]
