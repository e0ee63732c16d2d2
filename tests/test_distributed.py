"""utils.distributed and utils.distributed.processes: many processes train as one does, and nobody waits in vain."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import distributed_workers as workers
import numpy as np
import psutil
import pytest
import torch
from data_files import truncate
from PIL import Image

from utils import data, distributed
from utils.distributed import CheckpointError, ProcessError, Settings, Share, main, processes, read_results, run, train
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
def alone(monkeypatch):
    """A process group of this process alone."""
    monkeypatch.setattr(os, "environ", dict(os.environ))  # gloo's interface is set there
    with distributed._process_group(20):
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


# --- starting processes ----------------------------------------------------------------------------------------------


def test_what_a_function_returns_in_each_process(monkeypatch):
    monkeypatch.setenv("A_TEST", "now")  # later than the start of the server that forks
    answers = run(workers.rank_of, 3, "plain", torch.ones(2))
    assert [(rank, size, setting) for rank, size, _, _, setting in answers] == [(rank, 3, "now") for rank in range(3)]
    assert len({pid for _, _, pid, *_ in answers} | {os.getpid()}) == 4
    assert all(given[0] == "plain" and torch.equal(given[1], torch.ones(2)) for *_, given, _ in answers)


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        (workers.fail, ["my words"], "process 1: KeyError: 'my words'"),
        (workers.leave, [7], r"process 1 ended without an answer \(exit status 7\)"),
        pytest.param(workers.be_killed, [], "process 1 was killed by the signal SIGKILL", marks=posix),
        (workers.mismatch, [], r"process [01](: RuntimeError: .+| was killed .+)"),
        (workers.layers_differ, [], "ValueError: .* num_features: 2 on process 0, 3 on process 1"),
        (workers.answer_what_cannot_be_sent, [], "process [01]: .*(pickle|local object)"),
    ],
)
def test_an_error_in_one_process_ends_all_within_seconds(function, arguments, words):
    start = time.monotonic()
    with pytest.raises(ProcessError, match=words) as caught:
        run(function, 2, *arguments)
    assert time.monotonic() - start < 15  # on the busiest machine; it is one or two
    if function is workers.fail:
        assert "in fail\n" in caught.value.__notes__[0]


def test_nobody_is_waited_for_longer_than_asked():
    start = time.monotonic()
    with pytest.raises(ProcessError, match=r"no answer from process 0, 1 within 1\.5 seconds: all of them were ended"):
        run(workers.hang, 2, timeout=1.5)
    assert time.monotonic() - start < 10


def test_what_cannot_be_sent_to_another_process(monkeypatch):
    with pytest.raises(
        ValueError, match=r"another process cannot import .*lambda.*: write it to a file, in a notebook"
    ):
        run(lambda: 0, 2)
    with pytest.raises(ValueError, match="rank_of and its arguments cannot be sent to another process"):
        run(workers.rank_of, 2, lambda: 0)
    monkeypatch.setattr(workers.rank_of, "__module__", "__main__")
    with pytest.raises(ValueError, match="another process cannot import rank_of: write it to a file"):
        run(workers.rank_of, 2)


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_process(count):
    with pytest.raises(ValueError, match=f"at least one process; given: {count}"):
        run(workers.rank_of, count)


def test_an_interrupt_ends_all(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "_collect", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(workers.hang, 2)


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
    until(lambda: not workers.alive(pid), 10)


def until(condition, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


# --- training on many processes is training on one -------------------------------------------------------------------


def on_one(settings: Settings, images: data.ImageData) -> tuple[History, ConvNet]:
    """The same with the course's own loop, nothing of torch.distributed."""
    norm = {"none": None, "sync": BatchNorm2d}.get(settings.norm, distributed.NORMS[settings.norm])
    model = ConvNet(settings.depth, settings.widths, norm, seed=settings.seed, init=settings.init)
    optimizer = torch.optim.SGD(model.parameters(), settings.lr, momentum=0.9)
    batches = images.batches("train", settings.batch_size, seed=settings.seed, augment=settings.augment)
    test = images.batches("test", 1000)
    return fit(model, batches, optimizer, settings.epochs, test=test, progress=False), model


RUNS = {
    "none": replace(TINY, norm="none", epochs=2),
    "sync": replace(TINY, epochs=2),
    "augmented, He's start, group": replace(TINY, norm="group", epochs=2, augment=True, init="he", seed=1),
    "layer": replace(TINY, norm="layer", epochs=1),
    "whole": replace(TINY),
    "whole, batch": replace(TINY, norm="batch"),
    "diverging": replace(TINY, norm="none", lr=1e20),
    "unknown": replace(TINY, norm="spectral"),
    "no epoch": replace(TINY, epochs=0),
    "too small": replace(TINY, batch_size=50),  # the last batch has one image
}


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory) -> dict[str, tuple]:
    """By the name of the run: process 0's result, process 1's, and what the last checkpoint says of the network."""
    folder = tmp_path_factory.mktemp("checkpoints")
    runs = [replace(settings, checkpoint=folder / name) for name, settings in RUNS.items()]
    results = run(workers.train_all, 2, runs, images, timeout=300)
    found = {}
    for name, first, second in zip(RUNS, *results, strict=True):
        newest = distributed._checkpoints(folder / name)
        found[name] = (first, second, torch.load(newest[0]) if newest else None)
    return found


@pytest.mark.parametrize("name", ["none", "sync", "augmented, He's start, group", "layer"])
def test_training_equals_that_of_one_process(trained, images, name):
    ours, others, state = trained[name]
    one, model = on_one(RUNS[name], images)
    same(ours, others)
    np.testing.assert_allclose(ours.loss, one.loss, rtol=1e-4)
    np.testing.assert_allclose(ours.accuracy, one.accuracy, atol=1.5 / len(images.test))
    for key, value in model.state_dict().items():
        np.testing.assert_allclose(state["model"][key], value, rtol=1e-3, atol=1e-4, err_msg=key)
    assert ours.seconds > 0


def test_each_share_normalized_by_itself_is_something_else(trained, images):
    """The control: with "batch" the losses are not those of one process, and process 0's statistics are evaluated."""
    ours, others, state = trained["whole, batch"]
    same(ours, others)
    sync = trained["whole"][0]
    assert np.abs(ours.loss / sync.loss - 1).max() > 1e-3
    model = ConvNet(TINY.depth, TINY.widths, BatchNorm2d)
    model.load_state_dict(state["model"])
    assert ours.accuracy[-1] == pytest.approx(evaluate(model, images.batches("test", 1000)))


def test_a_loss_that_is_not_finite_stops_all(trained):
    ours, others, state = trained["diverging"]
    same(ours, others)
    assert ours.stopped.startswith("Epoch 1: Stopped: ")
    assert ours.accuracy == []
    assert state is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unknown", "ValueError: norm is one of none, batch, sync, group, layer; given: 'spectral'"),
        ("no epoch", "ValueError: training needs at least one epoch; given: 0"),
        ("too small", "ValueError: a batch of 1 images is too small for 2 processes"),
    ],
)
def test_settings_that_make_no_sense(trained, name, words):
    assert trained[name][0] == trained[name][1]
    assert words in trained[name][0]


def test_settings_that_differ(images):
    for said in run(workers.train_differently, 2, images):
        assert said == [
            "ValueError: process 1 was started with other settings than process 0: lr is 0.02, not 0.01",
            "ValueError: process 1 was started with other settings than process 0: seed is 5, not 0",
        ]


def test_shares_are_the_batch(images):
    batches = images.batches("train", 32, seed=3)
    shares = [Share(batches, rank, 3) for rank in range(3)]
    whole = list(batches)
    for k, (inputs, labels) in enumerate(whole):
        parts = []
        for share in shares:
            batches.epoch = 0
            parts.append(list(share)[k])
        assert torch.equal(torch.cat([part[0] for part in parts]), inputs)
        assert torch.equal(torch.cat([part[1] for part in parts]), labels)
    assert sum(share.images for share in shares) == 101
    assert [len(share) for share in shares] == [4, 4, 4]


# --- checkpoints -----------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("name", ["whole", "whole, batch"])
def test_after_a_kill_training_goes_on_as_if_nothing_had_happened(trained, images, tmp_path, name):
    settings = replace(RUNS[name], checkpoint=tmp_path)
    start = time.monotonic()
    with pytest.raises(ProcessError, match="process 1 was killed by the signal SIGKILL"):
        run(workers.train_and_die, 2, settings, images, 3, 2)
    assert time.monotonic() - start < 60
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-0001.pt", "epoch-0002.pt"]
    for history in run(train, 2, settings, images):
        same(history, trained[name][0])
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


def test_training_that_has_been_done_is_not_done_again(two_epochs, images):
    history = train(replace(two_epochs, epochs=1), images)
    assert len(history.accuracy) == 2
    assert len(history.loss) == 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"norm": "none"}, "norm is none, not sync"),
        ({"lr": 0.1, "seed": 1}, "lr is 0.1, not 0.05; seed is 1, not 0"),
        ({"widths": (4, 4)}, r"widths is \[4, 4\], not \[4, 8\]"),
    ],
)
def test_the_checkpoints_of_another_run(two_epochs, images, change, words):
    with pytest.raises(CheckpointError, match=f"are of another run: {words}. Choose another folder"):
        train(replace(two_epochs, **change), images)


def test_checkpoints_of_other_images(two_epochs):
    with pytest.raises(CheckpointError, match="data is the stand-in, 64 and 32 images"):
        train(two_epochs, data.stand_in(64, 32))


def test_a_full_disk(two_epochs, images, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = {path: path.read_bytes() for path in two_epochs.checkpoint.iterdir()}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"no checkpoint can be written to .*checkpoints: the disk is full"):
        train(two_epochs, images)
    assert {path: path.read_bytes() for path in two_epochs.checkpoint.iterdir()} == before


def test_a_folder_that_is_none(alone, images, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"no checkpoint can be written to .*file: "):
        train(replace(TINY, checkpoint=tmp_path / "file"), images)


# --- from a terminal -------------------------------------------------------------------------------------------------

WORDS = "--depth 4 --widths 4 8 --norm sync --batch-size 32 --lr 0.05".split()  # noqa: SIM905


@pytest.fixture
def terminal(images, monkeypatch):
    monkeypatch.setattr(distributed, "load", lambda verbose: images)
    monkeypatch.setattr(os, "environ", dict(os.environ))


def test_one_process_from_a_terminal(terminal, images, tmp_path, capsys):
    out = tmp_path / "deep" / "results.json"
    assert main([*WORDS, "--epochs", "2", "--out", str(out), "--checkpoint", str(tmp_path / "c")]) == 0
    assert [line[:8] for line in capsys.readouterr().out.splitlines()] == ["epoch 1:", "epoch 2:"]
    history, configuration = read_results(out)
    one, _ = on_one(replace(TINY, epochs=2), images)
    np.testing.assert_allclose(history.loss, one.loss, rtol=1e-6)
    assert history.loss.dtype == np.float64
    assert history.accuracy == one.accuracy
    assert history.seconds > 0
    assert history.stopped is None
    assert configuration == {
        "depth": 4, "norm": "sync", "epochs": 2, "batch_size": 32, "lr": 0.05, "seed": 0, "widths": [4, 8],
        "size": None, "test_size": None, "augment": False, "init": "default", "processes": 1, "device": "cpu",
        "torch": torch.__version__, "data": str(images),
    }  # fmt: skip
    assert main([*WORDS, "--epochs", "3", "--init", "he", "--checkpoint", str(tmp_path / "c")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: process 0: the checkpoints in ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--depth", "1"], "a network of 3 stages needs at least as many layers; given: depth=1"),
        (["--epochs", "0"], "training needs at least one epoch; given: 0"),
        (["--size", "102"], "size must be between 1 and 101"),
        (["--init", "xavier"], 'init is "default", "he" or a standard deviation'),
        (["--init", "-1"], 'init is "default", "he" or a standard deviation; given: -1.0'),
    ],
)
def test_bad_settings_give_one_line(terminal, capsys, arguments, words):
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: process 0: {words}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--norm", "spectral"], ["--depth", "deep"], ["--deep", "5"]])
def test_bad_arguments(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("utils.distributed: error: ")


def test_an_interrupt_in_a_terminal(terminal, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(distributed, "train", interrupt)
    assert main([]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_results_that_are_none(tmp_path):
    path = tmp_path / "results.json"
    good = {"configuration": {}, "loss": [1.0], "accuracy": [], "seconds": 1.0, "stopped": None}
    path.write_text(json.dumps(good))
    assert read_results(path)[0].loss.tolist() == [1.0]
    for bad in ("", "[]", "3", "{}", '{"loss": [1]}', json.dumps(good | {"loss": "abc"}), json.dumps(good | {"x": 1})):
        path.write_text(bad)
        with pytest.raises(ValueError, match=r"results\.json does not hold results of utils\.distributed"):
            read_results(path)
    with pytest.raises(FileNotFoundError):
        read_results(tmp_path / "another.json")


# --- torchrun --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def elsewhere(images, tmp_path_factory) -> Path:
    """A copy of utils/ with pictures of its own, so that nothing is written into the project's folder of data."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(ROOT / "utils", folder / "utils", ignore=shutil.ignore_patterns("__pycache__"))
    for part, split in (("train", images.train), ("test", images.test)):
        for k, (pixels, label) in enumerate(zip(split.images, split.labels, strict=True)):
            place = folder / "pictures" / part / data.CLASSES[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(place / f"{k}.png")
    return folder


@contextlib.contextmanager
def torchrun(folder: Path, *arguments: str):
    """torchrun with two processes while the block runs; it gives the process, and no worker is left at its end."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "COURSE_DATA")}
    environment |= {"CIFAR10_DIR": str(folder / "pictures"), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = ["--nproc-per-node", "2", "-m", "utils.distributed", *WORDS, *arguments]
    process = processes._context().Process(target=workers.torchrun, args=(str(folder), command, environment))
    for name in ("stdout", "stderr"):
        (folder / name).write_text("")
    process.start()
    try:
        yield process
    finally:
        left = psutil.Process(process.pid).children(recursive=True) if process.is_alive() else []
        process.kill()
        process.join()
        for worker in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()


@posix
def test_torchrun(elsewhere):
    out = elsewhere / "results.json"
    with torchrun(elsewhere, "--epochs", "2", "--checkpoint", "checkpoints", "--out", str(out)) as process:
        process.join(120)
    assert process.exitcode == 0, (elsewhere / "stderr").read_text()
    printed = (elsewhere / "stdout").read_text()
    assert [line.split(":")[0] for line in printed.splitlines()] == ["CIFAR-10", "epoch 1", "epoch 2"]
    assert len(distributed._checkpoints(elsewhere / "checkpoints")) == 2
    history, configuration = read_results(out)
    assert history.loss.shape == (8,)
    assert len(history.accuracy) == 2
    assert configuration["processes"] == 2
    assert configuration["data"].startswith("CIFAR-10: 101 training and 41 test images")


@posix
def test_a_worker_of_torchrun_that_dies_ends_all_within_seconds(elsewhere):
    with torchrun(elsewhere, "--epochs", "100000") as process:
        until(lambda: "CIFAR-10" in (elsewhere / "stdout").read_text() or not process.is_alive())
        pids = psutil.Process(process.pid).children(recursive=True)
        ranks = {worker.environ().get("RANK"): worker for worker in pids}
        ranks["1"].kill()
        killed = time.monotonic()
        process.join(60)
        assert time.monotonic() - killed < 30  # on the busiest machine; it is one or two
    assert process.exitcode == 1
    assert "Signal 9 (SIGKILL) received" in (elsewhere / "stderr").read_text()
    assert not any(workers.alive(worker.pid) for worker in pids)
