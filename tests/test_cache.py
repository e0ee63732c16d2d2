"""utils.data.cache: filled once, read as a memory map, damaged, locked, on a full disk and on a read-only one."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from data_files import ROOT, Evil, batch_files, caches, fails, same, tar_of, truncate, trust, write_folders

from utils import data
from utils.data import DataError, DataWarning, cache, sources

pytestmark = pytest.mark.usefixtures("isolated")

FRESH = """
import sys
from utils import data
data.STAND_IN_SIZE = (60, 20)
data.load(sys.argv[1])
print([name for name in ("torchvision", "PIL", "filelock", "matplotlib") if name in sys.modules])
try:
    import resource, signal
except ImportError:
    sys.exit()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
print(len(data.load(sys.argv[2]).train))
"""


@pytest.fixture(scope="module")
def fresh_process(tmp_path_factory):
    """One new Python for two tests: it reads a cache, and then fails to write one. What it said, and both folders."""
    full, limited = tmp_path_factory.mktemp("full"), tmp_path_factory.mktemp("limited")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_DATA", "stand-in")
        patch.setattr(data, "STAND_IN_SIZE", (60, 20))
        data.load(full, verbose=False)
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(full), str(limited)],
        cwd=ROOT,
        env={**os.environ, "COURSE_DATA": "stand-in", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done, full, limited


def test_the_second_time_comes_from_the_cache(home, tmp_path, monkeypatch):
    root = write_folders(tmp_path / "c10")
    first = data.load(home, root, verbose=False)
    monkeypatch.setattr(sources, "_read_folders", lambda *_: pytest.fail("read again"))
    assert same(data.load(home, root, verbose=False), first)
    assert len(caches(home)) == 1
    assert caches(home)[0].endswith(".pt"), "nothing temporary is left"


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells what a map holds in memory")
def test_a_cache_that_was_read_takes_no_memory_until_it_is_used(home):
    """Adding it up touches every page of it; those must not stay with this process."""
    contents = cache.Cache(home, "big").get("1", lambda: {"numbers": torch.zeros(3_000_000)})
    [path] = home.glob("big-*.pt")

    def held() -> int:
        """Of all maps of the file, in kB."""
        maps = re.findall(r"^\S+-\S+ .*?(\S+)\n(?:\S+:.*\n)*?Rss:\s+(\d+)", Path("/proc/self/smaps").read_text(), re.M)
        return sum(int(size) for name, size in maps if name == str(path))

    assert held() < 1000
    assert contents["numbers"].sum() == 0
    assert held() > 11_000, "this finds the map"


def test_the_cache_sees_that_the_folder_changed(home, tmp_path):
    root = write_folders(tmp_path / "c10")
    data.load(home, root, verbose=False)
    (root / "train" / "dog" / "0001.png").unlink()
    assert len(data.load(home, root, verbose=False).train) == 19
    assert len(caches(home)) == 1, "the one before is not kept"
    assert len(data.load(home, write_folders(tmp_path / "other", train=1), verbose=False).train) == 10
    assert len(caches(home)) == 2, "another folder has another cache"
    assert data.load(home, verbose=False).is_stand_in, "and neither is used when CIFAR10_DIR is unset"


def test_the_cache_of_data_outlives_its_source(home, monkeypatch):
    files = batch_files()
    archive = tar_of(files)
    trust(monkeypatch, files, archive)
    (home / "cifar-10-python.tar.gz").write_bytes(archive)
    first = data.load(home, verbose=False)
    (home / "cifar-10-python.tar.gz").unlink()
    again = data.load(home, verbose=False)
    assert same(again, first)
    assert str(again) == str(first)


def test_the_stand_in_does_not_stand_in_the_way(home, monkeypatch):
    assert data.load(home, verbose=False).is_stand_in
    files = batch_files()
    archive = tar_of(files)
    trust(monkeypatch, files, archive)
    monkeypatch.setattr(sources, "reachable", lambda: True)
    monkeypatch.setattr(sources, "download", lambda folder: (folder / "cifar-10-python.tar.gz").write_bytes(archive))
    assert str(data.load(home, verbose=False)) == "CIFAR-10: 20 training and 4 test images (from data/)"
    monkeypatch.setattr(sources, "reachable", lambda: pytest.fail("there is nothing left to ask for"))
    assert not data.load(home, verbose=False).is_stand_in


def test_the_tensors_are_a_private_memory_map(home):
    data.load(home, verbose=False)
    (path,) = (home / "cache").glob("*.pt")
    before = path.read_bytes()
    d = data.load(home, verbose=False)
    d.train.images.zero_()
    d.test.labels.fill_(3)
    assert path.read_bytes() == before
    assert data.load(home, verbose=False).train.images.any()


def test_a_reader_keeps_its_data_when_the_file_is_replaced(home, tmp_path):
    root = write_folders(tmp_path / "c10")
    d = data.load(home, root, verbose=False)
    before = d.train.images.clone()
    (root / "train" / "dog" / "0001.png").unlink()
    data.load(home, root, verbose=False)
    assert torch.equal(d.train.images, before)


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def other_version(path: Path) -> None:
    torch.save({**torch.load(path), "version": 0}, path)


def incomplete(path: Path) -> None:
    payload = torch.load(path)
    del payload["test_labels"]
    torch.save(payload, path)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (truncate, ""),
        (flip_a_byte, "images have changed"),
        (other_version, "it has version 0, not 1"),
        (incomplete, "test_labels"),
        (lambda path: path.write_bytes(b""), ""),
        (lambda path: path.write_bytes(b"something else"), ""),
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


def test_what_a_killed_process_left_is_cleaned_up(home):
    (home / "cache").mkdir()
    (home / "cache" / ".stand-in-99999.tmp").write_bytes(b"half")
    data.load(home, verbose=False)
    assert [name for name in caches(home) if name.endswith(".tmp")] == []


FILL = """
import sys, time
from utils import data
from utils.data import sources
slow = sources._read_folders
def read(root):
    with open(sys.argv[1] + "/reads", "a") as file: file.write("read\\n")
    time.sleep(1)
    return slow(root)
sources._read_folders = read
d = data.load(sys.argv[1], sys.argv[2])
assert len(d.train) == 20 and d.train.images.is_contiguous()
"""


def test_two_processes_fill_the_cache_at_once(home, tmp_path):
    root = write_folders(tmp_path / "c10")
    command = [sys.executable, "-c", FILL, str(home), str(root)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=ROOT, env=env, **pipes) for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        assert out == "CIFAR-10: 20 training and 10 test images (from the folder given)\n"
    assert (home / "reads").read_text() == "read\n", "the second one waits, then loads"
    assert len(caches(home)) == 1


def test_a_lock_that_is_never_released(home, monkeypatch):
    from filelock import FileLock

    (home / "cache").mkdir()
    monkeypatch.setattr(cache, "LOCK_TIMEOUT", 0.1)
    with FileLock(home / "cache" / "stand-in.lock"), pytest.raises(DataError) as caught:
        data.load(home)
    assert "another process has been preparing the data for" in str(caught.value)
    assert "stand-in.lock" in str(caught.value)


def goes_on_without_cache(home: Path, *words: str) -> None:
    """Loading works, with exactly one warning that holds these words, and nothing is left in the cache folder."""
    with pytest.warns(DataWarning) as seen:
        assert len(data.load(home, verbose=False).train) == 60
    assert len(seen) == 1
    for word in words:
        assert word in str(seen[0].message)
    if (home / "cache").is_dir():
        assert caches(home) == []


def test_full_disk(home, monkeypatch):
    def save(payload, file):
        file.write(b"x" * 1000)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("COURSE_DATA", "stand-in")
    monkeypatch.setattr(torch, "save", save)
    goes_on_without_cache(home, "the disk is full", "prepared again next time")


def test_full_disk_for_real(fresh_process):
    """The system itself refuses to write more than 20 kB: what torch.save makes of that is the question."""
    pytest.importorskip("resource", reason="POSIX only")
    done, _, limited = fresh_process
    assert done.stdout.endswith("\n60\n")
    assert done.stderr.count("DataWarning") == 1
    assert "the disk is full" in done.stderr
    assert caches(limited) == []


def test_read_only_folder(home, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "stand-in")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as root, no permission binds
    goes_on_without_cache(home, "Permission denied", "prepared again every time")


def test_data_folder_below_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "stand-in")
    (tmp_path / "file").touch()
    goes_on_without_cache(tmp_path / "file" / "data", "nothing can be kept in")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind root")
def test_read_only_folder_for_real(home, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "stand-in")
    home.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        goes_on_without_cache(home, "Permission denied")
    finally:
        home.chmod(stat.S_IRWXU)


def test_a_read_only_folder_with_a_cache_needs_no_warning(home, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "stand-in")
    data.load(home, verbose=False)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.load(home, verbose=False)


def test_read_only_and_nothing_there_warns_once(home, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.warns(DataWarning) as seen:
        d = data.load(home, verbose=False)
    assert len(seen) == 1
    assert d.is_stand_in
    assert "no network" in str(d)
    monkeypatch.setattr(sources, "reachable", lambda: True)
    with pytest.warns(DataWarning) as seen:
        d = data.load(home, verbose=False)
    assert len(seen) == 1
    assert "no copy found, and data/ cannot be written to" in str(d)


def test_an_error_while_reading_leaves_the_lock_free(home, tmp_path):
    root = write_folders(tmp_path / "c10")
    (root / "train" / "bird" / "0000.png").write_bytes(b"")
    fails(home, root, "cannot read the image")
    (root / "train" / "bird" / "0000.png").unlink()
    assert len(data.load(home, root, verbose=False).train) == 19


def test_reading_the_cache_imports_nothing_slow(fresh_process):
    done, _, _ = fresh_process
    assert done.stdout.splitlines()[1] == "[]"


def test_any_tensors_are_kept_and_verified(tmp_path):
    contents = {"bytes": torch.arange(5, dtype=torch.uint8), "one": torch.tensor(2.5), "none": torch.empty(0), "n": 3}
    store = cache.Cache(tmp_path, "things")
    assert store.newest() is None
    for _ in range(2):
        got = store.get("a", lambda: contents)
        assert all(torch.equal(got[name], contents[name]) for name in ("bytes", "one", "none"))
        assert got["n"] == 3
    assert torch.equal(store.newest()["bytes"], contents["bytes"])
    assert cache.Cache(tmp_path, "other").newest() is None


def test_a_file_is_whole_or_not_there(tmp_path):
    (tmp_path / "x").write_bytes(b"old")

    def break_off():
        with cache.whole_file(tmp_path, "x") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x", b"old")]
    with cache.whole_file(tmp_path, "x") as file:
        file.write(b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x", b"new")]
