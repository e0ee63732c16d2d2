"""utils.data.sources: the layouts of CIFAR-10, the download, and every fault of a copy that somebody may have."""

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
from data_files import BATCH_NAMES, Evil, batch_files, close, fails, same, tar_of, trust, write_batches, write_folders
from PIL import Image

from utils import data
from utils.data import CLASSES, DataWarning, sources

pytestmark = pytest.mark.usefixtures("isolated")


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG"])
def test_folders_of_images(home, tmp_path, suffix, capsys):
    root = write_folders(tmp_path / "c10", train=3, test=2, suffix=suffix)
    (root / "train" / "cat" / "notes.txt").write_text("not an image")
    (root / "train" / "cat" / ".hidden.png").write_text("nor this")
    (root / "train" / ".ipynb_checkpoints").mkdir()
    d = data.load(home, root)
    assert capsys.readouterr() == (f"{d}\n", "")
    assert str(d) == "CIFAR-10: 30 training and 20 test images (from the folder given)"
    assert d.classes == CLASSES
    assert not d.is_stand_in
    assert d.train.images.is_contiguous()
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


def test_torchvision_layout_and_archive_give_the_same(home, tmp_path, monkeypatch):
    files = batch_files()
    archive = tar_of(files)
    trust(monkeypatch, files, archive)
    write_batches(home, files)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "cifar-10-python.tar.gz").write_bytes(archive)
    a = data.load(home, verbose=False)
    b = data.load(tmp_path / "other", verbose=False)
    c = data.load(tmp_path / "third", home / "cifar-10-batches-py", verbose=False)
    assert same(a, b)
    assert same(a, c)
    assert str(a) == "CIFAR-10: 20 training and 4 test images (from data/)"
    first = pickle.loads(files["test_batch"])
    order = data._fixed_order(4)
    assert np.array_equal(a.test.images.numpy(), first["data"][order].reshape(-1, 3, 32, 32))
    assert a.test.labels.tolist() == np.array(first["labels"])[order].tolist()


def test_pickles_of_python_2(home, monkeypatch):
    """CIFAR-10's own files were written by Python 2 and an old NumPy: byte by byte in that form here."""

    def text(value: bytes) -> bytes:  # a str of Python 2
        return (b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + len(value).to_bytes(4, "little")) + value

    def old(pixels: np.ndarray, labels: list[int]) -> bytes:
        dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN"
        dtype += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        array += b"(K\x01K" + bytes([len(pixels)]) + b"M\x00\x0c\x86" + dtype + b"\x89" + text(pixels.tobytes()) + b"tb"
        numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
        pairs = text(b"data") + array + text(b"labels") + numbers + text(b"batch_label") + text(b"testing batch 1 of 1")
        return b"\x80\x02}(" + pairs + b"u."

    rng = np.random.default_rng(0)
    pixels = {name: rng.integers(0, 256, (3, 3072), dtype=np.uint8) for name in BATCH_NAMES}
    files = {name: old(pixels[name], [7, 1, 4]) for name in BATCH_NAMES}
    files["batches.meta"] = batch_files()["batches.meta"]
    trust(monkeypatch, files)
    write_batches(home, files)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # newer NumPys warn of such a dtype
        d = data.load(home, verbose=False)
    order = data._fixed_order(3)
    assert np.array_equal(d.test.images.numpy(), pixels["test_batch"][order].reshape(-1, 3, 32, 32))
    assert d.test.labels.tolist() == np.array([7, 1, 4])[order].tolist()


def test_the_checksums_are_torchvisions():
    archive, files = sources._checksums()
    assert list(files) == [*BATCH_NAMES, "batches.meta"]
    assert all(len(value) == 32 for value in [archive, *files.values()])


def test_a_folder_that_may_not_be_read(home, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    root = write_folders(tmp_path / "c10")
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        fails(home, root, f"cannot read the folders in {root}: Permission denied")
    monkeypatch.setattr(sources, "_fingerprint", refuse)
    fails(home, root, f"cannot look into {root}: Permission denied")


def test_no_test_folder(home, tmp_path):
    root = write_folders(tmp_path / "c10")
    (root / "test").rename(root / "valid")
    fails(home, root, f"{root / 'test'} is missing")


def test_one_class_missing(home, tmp_path):
    root = write_folders(tmp_path / "c10")
    (root / "test" / "frog").rename(tmp_path / "frog")
    fails(home, root, "has no folder for frog", str(root / "test"))


def test_one_class_too_many(home, tmp_path):
    root = write_folders(tmp_path / "c10")
    (root / "train" / "unicorn").mkdir()
    fails(home, root, "no class of CIFAR-10: unicorn")


def test_an_empty_class(home, tmp_path):
    root = write_folders(tmp_path / "c10", test=1)
    (root / "test" / "ship" / "0000.png").unlink()
    fails(home, root, f"{root / 'test' / 'ship'} holds no image")


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_an_unreadable_image_is_named(home, tmp_path, content):
    root = write_folders(tmp_path / "c10")
    path = root / "train" / "truck" / "0001.png"
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    fails(home, root, f"cannot read the image {path}")


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image.new("RGB", (64, 48)), ("64 x 48 pixels", "32 x 32")),
        (Image.new("RGBA", (32, 32)), ("colour mode RGBA", "RGB (or grey)")),
        (Image.new("I;16", (32, 32)), ("colour mode I;16",)),
    ],
)
def test_an_image_of_another_kind_is_named(home, tmp_path, image, words):
    root = write_folders(tmp_path / "c10")
    image.save(root / "train" / "bird" / "0000.png")
    fails(home, root, str(root / "train" / "bird" / "0000.png"), *words)


def test_truncated_pickle(home, tmp_path, monkeypatch):
    files = batch_files()
    trust(monkeypatch, files)
    folder = write_batches(tmp_path, files)
    (folder / "data_batch_3").write_bytes(files["data_batch_3"][:500])
    fails(home, tmp_path, "data_batch_3", "MD5 sum", "damaged, incomplete or not CIFAR-10", "get it again")
    # Should the checksum be right all the same, the pickle itself is at fault.
    files["data_batch_3"] = files["data_batch_3"][:500]
    trust(monkeypatch, files)
    fails(home, tmp_path, "cannot read data_batch_3")


def test_missing_batch(home, tmp_path, monkeypatch):
    files = batch_files()
    trust(monkeypatch, files)
    (write_batches(tmp_path, files) / "data_batch_2").unlink()
    fails(home, tmp_path, "data_batch_2 is missing")


@pytest.mark.parametrize(
    "value",
    [
        [1, 2],
        {"data": np.zeros((4, 3072), np.uint8)},
        {"data": np.zeros((4, 3072), np.float32), "labels": [0] * 4},
        {"data": np.zeros((4, 300), np.uint8), "labels": [0] * 4},
        {"data": np.zeros((4, 3072), np.uint8), "labels": [0] * 3},
        {"data": np.zeros((4, 3072), np.uint8), "labels": [0, 1, 2, 10]},
        {"data": np.zeros((4, 3072), np.uint8), "labels": [0, 1, 2, "x"]},
    ],
)
def test_a_pickle_of_something_else(home, tmp_path, monkeypatch, value):
    files = {**batch_files(), "test_batch": pickle.dumps(value, protocol=4)}
    trust(monkeypatch, files)
    write_batches(tmp_path, files)
    fails(home, tmp_path, "test_batch", "does not hold")


def test_other_label_names(home, tmp_path, monkeypatch):
    files = {**batch_files(), "batches.meta": pickle.dumps({"label_names": ["a", "b"]})}
    trust(monkeypatch, files)
    write_batches(tmp_path, files)
    fails(home, tmp_path, "batches.meta", "other classes")


def test_a_malicious_pickle_is_never_executed(home, tmp_path, monkeypatch):
    good = batch_files()
    evil = {**good, "test_batch": pickle.dumps({"data": Evil(tmp_path / "evil"), "labels": []})}
    write_batches(tmp_path, evil)
    trust(monkeypatch, good)
    fails(home, tmp_path, "test_batch", "MD5 sum")  # first line of defence: the checksum
    trust(monkeypatch, evil)
    fails(home, tmp_path, "cannot read test_batch", "mkdir")  # second: nothing but arrays is unpickled
    assert not (tmp_path / "evil").exists()


def test_wrong_checksum_of_the_archive(home, tmp_path, monkeypatch):
    files = batch_files()
    archive = tar_of(files)
    trust(monkeypatch, files, archive)
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(archive[:-1000])
    fails(home, tmp_path, str(path), "MD5 sum", "not downloaded to its end", "Delete it and run this again")


@pytest.mark.parametrize("keep", [0, 5, 0.5])
def test_truncated_archive(home, tmp_path, monkeypatch, keep):
    files = batch_files(40)
    archive = tar_of(files)
    archive = archive[: keep if isinstance(keep, int) else int(len(archive) * keep)]
    trust(monkeypatch, files, archive)  # even if the checksum were right
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(archive)
    fails(home, tmp_path, "cifar-10-python.tar.gz", "Delete it and run this again")


def test_a_truncated_archive_in_data_is_an_error_too(home):
    (home / "cifar-10-python.tar.gz").write_bytes(b"half of it")
    fails(home, None, "cifar-10-python.tar.gz has the MD5 sum")


def test_an_archive_cannot_write_anywhere(home, tmp_path, monkeypatch):
    files = batch_files()
    link = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    outside = tarfile.TarInfo("../outside")
    archive = tar_of({**files, "evil.py": b"print()"}, [link, outside])
    trust(monkeypatch, files, archive)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cifar-10-python.tar.gz").write_bytes(archive)
    d = data.load(home, tmp_path / "in", verbose=False)  # the unexpected members are not even looked at
    assert len(d.train) == 20
    assert not (tmp_path / "outside").exists()
    assert not list(tmp_path.rglob("evil.py"))


def test_an_archive_without_a_batch(home, tmp_path, monkeypatch):
    files = batch_files()
    archive = tar_of({name: content for name, content in files.items() if name != "data_batch_4"})
    trust(monkeypatch, files, archive)
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(archive)
    fails(home, tmp_path, "does not hold data_batch_4")


REAL_DOWNLOAD, REAL_REACHABLE = sources.download, sources.reachable


class Answer(io.BytesIO):
    """What a server sends; after its content it breaks off, if it is to."""

    def __init__(self, content: bytes, error: Exception | None = None) -> None:
        super().__init__(content)
        self.headers, self.error = {"Content-Length": str(len(content))}, error

    def read(self, size=-1):
        chunk = super().read(size)
        if not chunk and self.error:
            raise self.error
        return chunk


@pytest.fixture
def server(monkeypatch):
    """Pretends to be the network: server(answer) sets what urlopen gives."""
    monkeypatch.setattr(sources, "reachable", lambda: True)
    monkeypatch.setattr(sources, "download", REAL_DOWNLOAD)

    def answer_with(answer):
        def urlopen(url, timeout=None):
            assert timeout, "without a time-out a dead connection hangs for ever"
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)

    return answer_with


def test_download(home, server, monkeypatch, capsys):
    files = batch_files()
    archive = tar_of(files)
    trust(monkeypatch, files, archive)
    server(Answer(archive))
    (home / ".cifar-10-python.tar.gz-99999.tmp").write_bytes(b"what a killed process left")
    d = data.load(home)
    assert capsys.readouterr() == ("CIFAR-10: 20 training and 4 test images (from data/)\n", "")
    assert len(d.train) == 20
    assert sorted(path.name for path in home.iterdir()) == ["cache", "cifar-10-python.tar.gz"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda archive: Answer(archive[:5000], ConnectionResetError(errno.ECONNRESET, "Connection reset")), "reset"),
        (lambda archive: Answer(archive[:5000], TimeoutError("timed out")), "broke off (timed out)"),
        (lambda archive: Answer(archive[:5000]), "MD5 sum is wrong"),
        (lambda archive: Answer(b"<html>please log in</html>"), "not the archive"),
        (lambda archive: Answer(archive[:5000], OSError(errno.ENOSPC, "No space left")), "the disk is full"),
        (lambda archive: urllib.error.URLError("no route to host"), "no route to host"),
    ],
)
def test_a_download_that_fails_leaves_nothing_and_the_course_goes_on(home, server, monkeypatch, answer, words):
    files = batch_files()
    archive = tar_of(files)
    trust(monkeypatch, files, archive)
    server(answer(archive))
    with pytest.warns(DataWarning, match="could not be downloaded") as seen:
        d = data.load(home, verbose=False)
    assert len(seen) == 1
    assert words in str(seen[0].message)
    assert d.is_stand_in
    assert "the download failed" in str(d)
    assert sorted(path.name for path in home.iterdir()) == ["cache"]
    server(Answer(archive))
    assert not data.load(home, verbose=False).is_stand_in, "the next attempt starts afresh"


def test_an_interrupt_of_a_download_leaves_nothing(home, server):
    server(Answer(b"x" * 5000, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        data.load(home)
    assert sorted(path.name for path in home.iterdir()) == ["cache"]


def test_the_probe_is_bounded(monkeypatch):
    monkeypatch.setattr(sources, "PROBE_TIMEOUT", 0.2)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: time.sleep(5))
    start = time.perf_counter()
    assert REAL_REACHABLE() is False
    assert time.perf_counter() - start < 2
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Answer(b""))
    assert REAL_REACHABLE() is True

    def refuse(*_, **__):
        raise urllib.error.URLError("refused")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    assert REAL_REACHABLE() is False


def test_the_order_of_the_archives_members_does_not_matter(home, tmp_path, monkeypatch):
    files = batch_files()
    archive = tar_of(dict(reversed(files.items())))
    trust(monkeypatch, files, archive)
    write_batches(tmp_path, files)
    (home / "cifar-10-python.tar.gz").write_bytes(archive)
    assert same(data.load(home, verbose=False), data.load(home, tmp_path, verbose=False))
