"""utils.distributed: many processes train as one does, nobody waits in vain, and no other machine can reach them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import distributed_workers as workers
import numpy as np
import psutil
import pytest
import torch
from data_files import truncate

from utils import data
from utils.distributed import NORMS, CheckpointError, ProcessError, Settings, processes, read_results, run, train
from utils.distributed.__main__ import main, process_group
from utils.distributed.checkpoints import newest_first
from utils.layers import BatchNorm2d
from utils.models import ConvNet
from utils.training import History, evaluate, fit

ROOT = Path(__file__).resolve().parent.parent
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")
TINY = Settings(depth=4, widths=(4, 8), norm="sync", epochs=3, batch_size=32, lr=0.05)


@pytest.fixture(scope="module")
def images() -> data.ImageData:
    """Batches of 32, 32, 32 and 5 training images, and 41 test images."""
    return data.stand_in(101, 41)


@pytest.fixture
def alone():
    """A process group of this process alone."""
    with process_group(20):
        yield


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    yield
    children = psutil.Process().children()
    if sys.platform == "linux":  # where a server forks them
        children = [grandchild for child in children for grandchild in child.children()]
    left = [
        child.pid for child in children if workers.alive(child.pid) and "resource_tracker" not in str(child.cmdline())
    ]
    assert left == []


def same(a: History, b: History) -> None:
    """The same to the last bit, but for the seconds."""
    assert a.loss.tolist() == b.loss.tolist()
    assert (a.accuracy, a.stopped) == (b.accuracy, b.stopped)


# --- one start of two processes answers most of the questions --------------------------------------------------------

RUNS = {
    "none": replace(TINY, norm="none", epochs=2),
    "group": replace(TINY, norm="group", epochs=2, augment=True, init="he", seed=1),
    "layer": replace(TINY, norm="layer", epochs=1),
    "sync": TINY,
    "batch": replace(TINY, norm="batch"),
    "diverging": replace(TINY, norm="none", lr=1e20),
    "unknown": replace(TINY, norm="spectral"),
    "no epoch": replace(TINY, epochs=0),
    "too small": replace(TINY, batch_size=50),  # the last batch has one image
    "fewer epochs": replace(TINY, epochs=2),
    "as many epochs": TINY,
    "another run": replace(TINY, lr=0.1, widths=(4, 4)),
    "foreign": TINY,
}
FOLDERS = {"fewer epochs": "sync", "as many epochs": "sync", "another run": "sync"}  # of their checkpoints


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> Path:
    """A folder for the checkpoints of each run; in one of them lies what another program wrote."""
    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "foreign").mkdir()
    torch.save({"weight": torch.ones(3)}, folder / "foreign" / "epoch-0007.pt")
    return folder


@pytest.fixture(scope="module")
def answers(images, checkpoints) -> list[dict[str, Any]]:
    """What each of two processes says of itself, and of the runs."""
    runs = {name: replace(each, checkpoint=checkpoints / FOLDERS.get(name, name)) for name, each in RUNS.items()}
    addresses = [(name, each.address) for name, found in psutil.net_if_addrs().items() for each in found]
    reachable = [name for name, address in addresses if "." in address and not address.startswith("127.")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("A_TEST", "now")  # later than the start of the server that forks
        if reachable:  # there gloo would listen by itself
            patch.setenv("GLOO_SOCKET_IFNAME", reachable[0])
        return run(workers.everything, 2, runs, images, timeout=300)


def test_what_a_function_returns_in_each_process(answers, images):
    assert [(answer["rank"], answer["size"], answer["setting"]) for answer in answers] == [(0, 2, "now"), (1, 2, "now")]
    assert len({answer["pid"] for answer in answers} | {os.getpid()}) == 3
    assert [answer["images"] for answer in answers] == [len(images.train)] * 2


def test_no_other_machine_can_reach_them(answers):
    for answer in answers:
        assert set(answer["listening"]) == {"127.0.0.1"}


def on_one(settings: Settings, images: data.ImageData) -> tuple[History, ConvNet]:
    """The same with the course's own loop, nothing of torch.distributed."""
    norm = BatchNorm2d if settings.norm == "sync" else NORMS[settings.norm]
    model = ConvNet(settings.depth, settings.widths, norm, seed=settings.seed, init=settings.init)
    optimizer = torch.optim.SGD(model.parameters(), settings.lr, momentum=0.9)
    batches = images.batches("train", settings.batch_size, seed=settings.seed, augment=settings.augment)
    test = images.batches("test", 1000)
    return fit(model, batches, optimizer, settings.epochs, test=test, progress=False), model


@pytest.mark.parametrize("name", ["none", "sync", "group", "layer"])
def test_training_equals_that_of_one_process(answers, checkpoints, images, name):
    ours, others = (answer["runs"][name] for answer in answers)
    one, model = on_one(RUNS[name], images)
    same(ours, others)
    np.testing.assert_allclose(ours.loss, one.loss, rtol=1e-4)
    np.testing.assert_allclose(ours.accuracy, one.accuracy, atol=1.5 / len(images.test))
    saved = torch.load(newest_first(checkpoints / name)[0])["model"]
    for key, value in model.state_dict().items():
        np.testing.assert_allclose(saved[key], value, rtol=1e-3, atol=1e-4, err_msg=key)
    assert ours.seconds > 0


def test_each_share_normalized_by_itself_is_something_else(answers, checkpoints, images):
    """The control: with "batch" the losses are not those of one process, and process 0's statistics are evaluated."""
    ours, others = (answer["runs"]["batch"] for answer in answers)
    same(ours, others)
    assert np.abs(ours.loss / answers[0]["runs"]["sync"].loss - 1).max() > 1e-3
    model = ConvNet(TINY.depth, TINY.widths, BatchNorm2d)
    model.load_state_dict(torch.load(newest_first(checkpoints / "batch")[0])["model"])
    assert ours.accuracy[-1] == pytest.approx(evaluate(model, images.batches("test", 1000)))


def test_a_loss_that_is_not_finite_stops_all(answers, checkpoints):
    ours, others = (answer["runs"]["diverging"] for answer in answers)
    same(ours, others)
    assert ours.stopped.startswith("Epoch 1: Stopped: ")
    assert ours.accuracy == []
    assert newest_first(checkpoints / "diverging") == []


def test_training_that_has_been_done_is_not_done_again(answers):
    same(answers[0]["runs"]["as many epochs"], answers[0]["runs"]["sync"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unknown", "ValueError: norm is one of none, batch, sync, group, layer; given: 'spectral'"),
        ("no epoch", "ValueError: training needs at least one epoch; given: 0"),
        ("too small", "ValueError: a batch of 1 images is too small for 2 processes"),
        ("fewer epochs", "are of 3 epochs, and epochs=2 asks for fewer. Ask for at least 3, or choose another folder"),
        ("another run", "are of another run: lr is 0.1, not 0.05; widths is [4, 4], not [4, 8]. Choose another folder"),
        ("foreign", "epoch-0007.pt is not a checkpoint of utils.distributed. Choose another folder, or move it away"),
        ("two rates", "process 1 was started with other settings than process 0: lr is 0.02, not 0.01"),
    ],
)
def test_one_clear_error_on_all_processes(answers, name, words):
    said = [answer["runs"][name] for answer in answers]
    assert said[0] == said[1]
    assert words in said[0]
    assert "\n" not in said[0]


# --- whatever happens, all of them end -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        (workers.fail, ["my words"], "process 1: KeyError: 'my words'"),
        (workers.leave, [7], r"process 1 ended without an answer \(exit status 7\)"),
        (workers.hang, [], r"no answer from process 0, 1 within 5 seconds: all processes were stopped"),
    ],
)
def test_an_error_in_one_process_ends_all(function, arguments, words):
    with pytest.raises(ProcessError, match=words) as caught:
        run(function, 2, *arguments, timeout=5 if function is workers.hang else 60)
    if function is workers.fail:
        assert "in fail\n" in caught.value.__notes__[0]


def test_a_function_of_a_notebook_is_sent_along_and_what_cannot_be_sent_is_said():
    offset = 3
    assert run(lambda rank: rank + offset, 1, 4) == [7]
    with pytest.raises(ValueError, match="fail and its arguments cannot be sent to another process"):
        run(workers.fail, 2, (number for number in range(3)))


@posix
def test_they_end_when_the_process_that_started_them_is_killed(tmp_path):
    parent = processes._context().Process(target=workers.parent_of_a_hanging_process, args=(str(tmp_path),))
    parent.start()
    try:
        until(lambda: list(tmp_path.iterdir()))
        pid = int(next(tmp_path.iterdir()).stem)
        assert workers.alive(pid)
    finally:
        parent.kill()
        parent.join()
    until(lambda: not workers.alive(pid))


def until(condition, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


# --- checkpoints -----------------------------------------------------------------------------------------------------


@posix
def test_after_a_kill_training_goes_on_as_if_nothing_had_happened(answers, images, tmp_path):
    settings = replace(RUNS["batch"], checkpoint=tmp_path)  # the norm whose state differs between the processes
    with pytest.raises(ProcessError, match="process 1 was killed by the signal SIGKILL"):
        run(workers.train_and_die, 2, settings, images, 3, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-0001.pt", "epoch-0002.pt"]
    for history in run(train, 2, settings, images):
        same(history, answers[0]["runs"]["batch"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-0002.pt", "epoch-0003.pt"]


@pytest.fixture
def two_epochs(alone, images, tmp_path) -> Settings:
    settings = replace(TINY, checkpoint=tmp_path / "checkpoints")
    train(replace(settings, epochs=2), images)
    return settings


def test_a_damaged_checkpoint_costs_one_epoch(two_epochs, images):
    truncate(two_epochs.checkpoint / "epoch-0002.pt")
    with pytest.warns(UserWarning, match=r"the checkpoint epoch-0002\.pt is damaged"):
        history = train(two_epochs, images)
    same(history, train(TINY, images))
    for path in two_epochs.checkpoint.iterdir():
        path.write_bytes(b"no checkpoint")
    with (
        pytest.warns(UserWarning, match="is damaged"),
        pytest.raises(CheckpointError, match="can be read: delete them"),
    ):
        train(two_epochs, images)


def test_a_checkpoint_that_does_not_fit(two_epochs, images):
    with pytest.raises(CheckpointError, match="data is the stand-in, 64 and 32 images"):
        train(two_epochs, data.stand_in(64, 32))
    path = two_epochs.checkpoint / "epoch-0002.pt"
    state = torch.load(path)
    del state["model"]["head.weight"]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"does not fit this network .*Choose another folder, or delete it"):
        train(two_epochs, images)


def test_a_full_disk(two_epochs, images, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = {path: path.read_bytes() for path in two_epochs.checkpoint.iterdir()}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"no checkpoint can be written to .*checkpoints: the disk is full"):
        train(two_epochs, images)
    assert {path: path.read_bytes() for path in two_epochs.checkpoint.iterdir()} == before


# --- from a terminal -------------------------------------------------------------------------------------------------


def test_a_bad_setting_gives_one_line(images, monkeypatch, capsys):
    monkeypatch.setattr("utils.distributed.__main__.load", lambda verbose: images)
    assert main(["--init", "-1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith('error: process 0: init is "default", "he" or a standard deviation; given: -1.0')
    assert said.count("\n") == 1


def test_results_that_are_none(tmp_path):
    path = tmp_path / "results.json"
    good = {"configuration": {}, "loss": [1.0], "accuracy": [], "seconds": 1.0, "stopped": None}
    for bad in ("", "[]", "{}", json.dumps(good | {"loss": "abc"}), json.dumps(good | {"x": 1})):
        path.write_text(bad)
        with pytest.raises(ValueError, match=r"results\.json does not hold results of utils\.distributed"):
            read_results(path)


@pytest.mark.proof
@posix
def test_torchrun(tmp_path):
    """On a copy of utils/, so that nothing is written into the project's folder of data."""
    shutil.copytree(ROOT / "utils", tmp_path / "utils", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").touch()
    options = "--depth 4 --widths 4 8 --norm sync --epochs 2 --batch-size 32 --lr 0.05 --size 101 --test-size 41"
    code = f"import distributed_workers; distributed_workers.torchrun('{options} --checkpoint c --out new/out.json')"
    paths = os.pathsep.join([str(tmp_path), str(ROOT / "tests")])
    environment = {**os.environ, "COURSE_DATA": "stand-in", "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    environment["PYTHONFAULTHANDLER"] = "1"  # if one of them dies, it says where
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    line, *epochs = done.stdout.splitlines()
    assert [epoch[:7] for epoch in epochs] == ["epoch 1", "epoch 2"]
    assert len(newest_first(tmp_path / "c")) == 2
    history, configuration = read_results(tmp_path / "new" / "out.json")
    assert (history.loss.shape, history.loss.dtype, len(history.accuracy)) == ((8,), np.float64, 2)
    assert configuration == {
        "depth": 4, "norm": "sync", "epochs": 2, "batch_size": 32, "lr": 0.05, "seed": 0, "widths": [4, 8],
        "size": 101, "test_size": 41, "augment": False, "init": "default", "processes": 2, "device": "cpu",
        "torch": torch.__version__, "data": line,
    }  # fmt: skip
