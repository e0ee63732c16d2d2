"""Copies of CIFAR-10: its three layouts, the download, and the faults of a copy that somebody may have."""

from __future__ import annotations

import errno
import io
import os
import pickle
import tarfile
import time
import urllib.error
import urllib.request
import warnings

import numpy as np
import pytest
from data_files import (
    ARCHIVE,
    Evil,
    batch_files,
    close,
    fails,
    files_of_python_2,
    same,
    tar_of,
    trust,
    write_batches,
    write_folders,
)
from PIL import Image

from utils import data
from utils.data import CLASSES, DataWarning, download, loading, torchvision_files

pytestmark = pytest.mark.usefixtures("isolated")
real_download, real_unreachable = download.download, download.unreachable  # the tests replace them


# --- folders of images -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "JPEG"])
def test_folders_of_images(home, tmp_path, suffix, capsys):
    root = write_folders(tmp_path / "c10", train=3, test=2, suffix=suffix)
    (root / "train" / "cat" / "notes.txt").write_text("not an image")
    (root / "train" / "cat" / ".hidden.png").write_text("nor this")
    (root / "train" / ".ipynb_checkpoints").mkdir()
    d = data.load(home, root)
    assert capsys.readouterr() == (f"{d}\n", "")
    assert str(d) == "CIFAR-10: 30 training and 20 test images (from the folder given)"
    assert d.classes == CLASSES
    for part, count in ((d.train, 3), (d.test, 2)):
        assert part.labels.bincount().tolist() == [count] * 10
        colour = part.images.float().mean((2, 3))
        assert (colour[:, 0] - 20.0 * part.labels).abs().max() < 4, "every image with its own label"
    assert d.train.labels.tolist() != sorted(d.train.labels.tolist()), "in a random order"
    pixels = d.train.images.double()
    close(d.mean, pixels.mean((0, 2, 3)).float())
    close(d.std, pixels.var((0, 2, 3), correction=0).sqrt().float())


def test_grey_and_palette_images_are_converted(home, tmp_path):
    root = write_folders(tmp_path / "c10")
    Image.new("L", (32, 32), 77).save(root / "train" / "cat" / "0000.png")
    Image.new("RGB", (32, 32), (1, 2, 3)).quantize(4).save(root / "train" / "cat" / "0001.png")
    d = data.load(home, root, verbose=False)
    cats = d.train.images[d.train.labels == CLASSES.index("cat")].float().mean((2, 3)).tolist()
    assert sorted(cats) == [[1, 2, 3], [77, 77, 77]]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda root: (root / "test").rename(root / "valid"), "/test is missing"),
        (lambda root: (root / "test" / "frog").rename(root / "frog"), "/test has no folder for frog"),
        (lambda root: (root / "train" / "unicorn").mkdir(), "a folder that is not a class of CIFAR-10: unicorn"),
        (lambda root: (root / "test" / "ship" / "0000.png").unlink(), "/test/ship holds no image"),
        (lambda root: (root / "train" / "bird" / "0000.png").write_bytes(b""), "cannot read the image"),
        (lambda root: os.truncate(root / "train" / "bird" / "0000.png", 60), "/train/bird/0000.png"),
        (lambda root: Image.new("RGB", (64, 48)).save(root / "train" / "bird" / "0000.png"), "0.png is 64 x 48 pixels"),
        (lambda root: Image.new("RGBA", (32, 32)).save(root / "train" / "bird" / "0000.png"), "the colour mode RGBA"),
    ],
)
def test_faults_of_folders_are_named(home, tmp_path, damage, words):
    root = write_folders(tmp_path / "c10")
    damage(root)
    fails(home, root, words.replace("/", os.sep), str(root))


def test_a_folder_that_may_not_be_read(home, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    root = write_folders(tmp_path / "c10")
    monkeypatch.setattr(os, "scandir", refuse)
    fails(home, root, f"cannot look into {root}: Permission denied")


# --- torchvision's files and archive ---------------------------------------------------------------------------------


def test_torchvision_layout_and_archive_give_the_same(home, tmp_path, monkeypatch):
    assert list(torchvision_files.checksums()[1]) == torchvision_files.NAMES
    files = batch_files()
    archive = tar_of(dict(reversed(files.items())), [tarfile.TarInfo("../outside")])
    trust(monkeypatch, files, archive)
    write_batches(home, files)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ARCHIVE).write_bytes(archive)
    a = data.load(home, verbose=False)
    assert same(a, data.load(tmp_path / "other", verbose=False))
    assert same(a, data.load(tmp_path / "third", home / "cifar-10-batches-py", verbose=False))
    assert str(a) == "CIFAR-10: 20 training and 4 test images (from data/)"
    first, order = pickle.loads(files["test_batch"]), loading._fixed_order(4)
    assert np.array_equal(a.test.images.numpy(), first["data"][order].reshape(-1, 3, 32, 32))
    assert a.test.labels.tolist() == np.array(first["labels"])[order].tolist()
    assert not (tmp_path / "outside").exists()


def test_pickles_of_python_2(home, monkeypatch):
    files, pixels = files_of_python_2([7, 1, 4])
    trust(monkeypatch, files)
    write_batches(home, files)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # newer NumPys warn of such a dtype
        d = data.load(home, verbose=False)
    order = loading._fixed_order(3)
    assert np.array_equal(d.test.images.numpy(), pixels[order].reshape(-1, 3, 32, 32))
    assert d.test.labels.tolist() == np.array([7, 1, 4])[order].tolist()


def test_damaged_files_are_named(home, tmp_path, monkeypatch):
    files = batch_files()
    trust(monkeypatch, files)
    path = write_batches(tmp_path, files) / "data_batch_3"
    path.write_bytes(files["data_batch_3"][:500])
    fails(home, tmp_path, "data_batch_3", "MD5 sum", "damaged, incomplete or not CIFAR-10", "get it again")
    trust(monkeypatch, {**files, "data_batch_3": files["data_batch_3"][:500]})
    fails(home, tmp_path, "cannot read data_batch_3")  # should the checksum be right all the same
    path.unlink()
    fails(home, tmp_path, "data_batch_3 is missing")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("test_batch", [1, 2], "does not hold"),
        ("test_batch", {"data": np.zeros((4, 300), np.uint8), "labels": [0] * 4}, "does not hold"),
        ("test_batch", {"data": np.zeros((4, 3072), np.uint8), "labels": [0] * 3}, "does not hold"),
        ("test_batch", {"data": np.zeros((4, 3072), np.uint8), "labels": [0, 1, 2, 10]}, "does not hold"),
        ("batches.meta", {"label_names": ["a", "b"]}, "other classes"),
    ],
)
def test_a_pickle_of_something_else(home, tmp_path, monkeypatch, name, value, words):
    files = {**batch_files(), name: pickle.dumps(value, protocol=4)}
    trust(monkeypatch, files)
    write_batches(tmp_path, files)
    fails(home, tmp_path, name, words)


def test_a_malicious_pickle_is_never_executed(home, tmp_path, monkeypatch):
    good = batch_files()
    evil = {**good, "test_batch": pickle.dumps({"data": Evil(tmp_path / "evil"), "labels": []})}
    write_batches(tmp_path, evil)
    trust(monkeypatch, good)
    fails(home, tmp_path, "test_batch", "MD5 sum")  # first line of defence: the checksum
    trust(monkeypatch, evil)
    fails(home, tmp_path, "cannot read test_batch", "mkdir")  # second: nothing but arrays is unpickled
    assert not (tmp_path / "evil").exists()


def test_a_bad_archive_is_named(home, monkeypatch):
    files = batch_files(40)
    archive = tar_of(files)
    trust(monkeypatch, files, archive)
    (home / ARCHIVE).write_bytes(archive[: len(archive) // 2])
    fails(home, None, str(home / ARCHIVE), "MD5 sum", "its download was not finished", "Delete it and run this again")
    trust(monkeypatch, files, archive[: len(archive) // 2])  # even if the checksum were right
    fails(home, None, f"cannot unpack {home / ARCHIVE}", "Delete it and run this again")
    link = tarfile.TarInfo("cifar-10-batches-py/data_batch_4")
    link.type, link.linkname = tarfile.SYMTYPE, os.devnull
    archive = tar_of({name: content for name, content in files.items() if name != "data_batch_4"}, [link])
    trust(monkeypatch, files, archive)
    (home / ARCHIVE).write_bytes(archive)
    fails(home, None, "does not hold data_batch_4")


# --- the download ----------------------------------------------------------------------------------------------------


class Answer(io.BytesIO):
    """What a server sends; after its content it breaks off, if it is to."""

    def __init__(self, content: bytes, error: BaseException | None = None) -> None:
        super().__init__(content)
        self.headers, self.error = {"Content-Length": str(len(content))}, error

    def read(self, size=-1):
        chunk = super().read(size)
        if not chunk and self.error:
            raise self.error
        return chunk


@pytest.fixture
def server(monkeypatch):
    """Pretends to be the network: server(answer) sets what urlopen gives; without an answer it is the archive."""
    files = batch_files()
    archive = tar_of(files)
    trust(monkeypatch, files, archive)
    monkeypatch.setattr(download, "unreachable", lambda: "")
    monkeypatch.setattr(download, "download", real_download)

    def answer_with(answer=None):
        def urlopen(url, timeout=None):
            assert timeout, "without a time-out a dead connection hangs for ever"
            if isinstance(answer, Exception):
                raise answer
            return answer or Answer(archive)

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)

    return answer_with


def test_what_was_downloaded_stays_in_the_cache(home, server, capsys):
    server()
    first = data.load(home)
    assert capsys.readouterr() == ("CIFAR-10: 20 training and 4 test images (from data/)\n", "")
    (home / ARCHIVE).unlink()  # to free the space
    server(urllib.error.URLError("not asked for again"))
    again = data.load(home, verbose=False)
    assert same(again, first)
    assert str(again) == str(first)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(b"x" * 5000, TimeoutError("timed out")), "broke off (timed out)"),
        (Answer(b"<html>please log in</html>"), "not the archive, or not all of it (its MD5 sum is wrong)"),
        (Answer(b"x" * 5000, OSError(errno.ENOSPC, "No space left")), "the disk is full"),
        (urllib.error.URLError("no route to host"), "no route to host"),
    ],
)
def test_a_download_that_fails_leaves_nothing_and_the_course_goes_on(home, server, answer, words):
    server(answer)
    with pytest.warns(DataWarning, match="could not be downloaded") as seen:
        d = data.load(home, verbose=False)
    assert len(seen) == 1
    assert words in str(seen[0].message)
    assert d.is_stand_in
    assert "the download failed" in str(d)
    assert sorted(path.name for path in home.iterdir()) == ["cache"]
    server()
    assert not data.load(home, verbose=False).is_stand_in, "the next attempt starts afresh"
    assert sorted(path.name for path in home.iterdir()) == ["cache", ARCHIVE]


def test_the_probe_is_bounded(monkeypatch):
    waited = []
    monkeypatch.setattr(download, "PROBE_TIMEOUT", 0.2)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: waited.append(time.sleep(3)))
    assert real_unreachable() == "no answer in 0.2 s"
    assert not waited
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Answer(b""))
    assert real_unreachable() == ""


def test_the_probe_says_why_it_failed(monkeypatch):
    def refused(*_, **__):
        raise urllib.error.URLError(ConnectionRefusedError(111, "Connection refused"))

    monkeypatch.setattr(urllib.request, "urlopen", refused)
    assert "refused" in real_unreachable()
