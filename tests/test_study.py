"""The study: its plan, the rule that chooses a rate, the arms' networks, runs and records, and work that is cut off."""

from __future__ import annotations

import base64
import copy
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch
from claim_nulls import null_rate
from distributed import LocalCluster
from filelock import FileLock
from torch import nn

from study import check, one, records, schedule, verdicts
from study.cluster import _usable, sender
from study.networks import Block, build, learning, start_by_data
from study.normalizations import Ghosts, Renorm, norm_layer
from study.plan import PlanError, Run, arms_of, best_rate, estimands_of, load_plan, runs_of
from study.text import NORMS, Model, read_text
from study.training import _estimate_statistics, _parts, code, recompressed, train
from tools import study as command
from utils import study
from utils.claims import at_both_scales
from utils.claims.verdicts import of_interval
from utils.data import stand_in
from utils.lessons import LESSONS, number_of

LOOPBACK = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None, "silence_logs": 50}
PLAN, PLAN_FILE = load_plan(), study.PLAN
SMALL = {"widths": [2, 2, 4], "depth": 5, "epochs": 1, "batch": 10, "steps": 0, "threads": 1}
PLANS = (PLAN, load_plan("gpu"))
NOT_DONE_YET: set[str] = set()  # arms of which the plan asks for runs that are still to be made
BY = {"torch": "2.14.1"}  # what every record says of who made it
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
each_arm = pytest.mark.parametrize(
    ("plan", "arm"), [pytest.param(plan, arm, id=f"{plan.tier}-{arm}") for plan in PLANS for arm in plan.arms]
)


def small(arm, role="final", plan=PLAN, **changes):
    settings = {**plan.arms[arm], **SMALL, **changes}
    return Run(arm, role, settings["rates"][0], 0, settings)


@pytest.fixture(scope="module")
def data():
    return stand_in(120, 40)


# --- the plan


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.tier)
def test_every_estimand_names_claims_of_the_lessons_and_every_arm_is_used(plan):
    used = {arm for asked in plan.questions.values() for arm in arms_of(asked)}
    assert used == set(plan.arms)
    for asked in plan.questions.values():
        for estimand in asked["estimands"].values():
            assert all(number_of("claims", claim) for claim in estimand.get("claims", []))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('norm = "group"', 'norm = "groups"', "norm is one of"),
        ("[arms.he-20]", "[arms.he-20]\ndepht = 3", "unknown: depht"),
        (
            "holds = [0.01, inf]",
            "holds = [-0.01, inf]",
            "question order: before-over-after: it holds where there is no",
        ),
        ("default-20 = -1", "default-19 = -1", "question depth: no arm default-19"),
        ('rate_of = "he-20"', 'rate_of = "he-19"', "bn-20-at-he: its rate is that of an arm that is not there"),
        ("rates = [0.1, 0.2, 0.4]", "rates = [0.2, 0.1]", "its rates must rise"),
        ('asks = "Does it matter', 'reproduction = true\nasks = "Does it matter', "no claim rests on a reproduction"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(tmp_path, old, new, words):
    text = (schedule.ROOT / "study" / "plan.toml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "plan.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PlanError, match=words):
        load_plan(path=tmp_path / "plan.toml")


def searched(**scores):
    return [
        {"rate": float(rate), "validation": [score], "stopped": None if score else "Stopped."}
        for rate, score in scores.items()
    ]


def test_the_best_rate_lies_inside_its_grid_or_the_grid_goes_on():
    settings = {"rates": [0.01, 0.03, 0.1], "searches": 1}
    assert best_rate(settings, searched(**{"0.01": 0.2})) == (None, [0.03, 0.1])
    assert best_rate(settings, searched(**{"0.01": 0.2, "0.03": 0.4, "0.1": 0.3})) == (0.03, [])
    low = {"0.01": 0.5, "0.03": 0.4, "0.1": 0.3}
    assert best_rate(settings, searched(**low)) == (None, [0.003])
    assert best_rate(settings, searched(**low, **{"0.003": 0.1})) == (0.01, [])
    high = {"0.01": 0.1, "0.03": 0.2, "0.1": 0.3}
    assert best_rate(settings, searched(**high)) == (None, [0.3])
    assert best_rate(settings, searched(**high, **{"0.3": 0.4})) == (None, [1.0])
    assert best_rate(settings, searched(**high, **{"0.3": 0.4, "1.0": 0.5})) == (1.0, [])  # twice at most
    assert best_rate({"rates": [0.1], "searches": 1}, []) == (0.1, [])
    # Of several seeds the mean counts, beyond the grid as well.
    two = {"rates": [0.01, 0.03, 0.1], "searches": 2}
    assert best_rate(two, 2 * searched(**high) + searched(**{"0.3": 0.4})) == (None, [0.3])


def searched_arm(arm, best):
    settings = PLAN.arms[arm]
    return {
        f"{arm} {rate} {seed}": {"arm": arm, "role": "search", "rate": rate, "seed": seed, "stopped": None,
                           "validation": [0.5 - abs(rate - best)], "machine": "Intel(R) Xeon(R)"}
        for rate in settings["rates"] for seed in range(settings["searches"])
    }  # fmt: skip


def test_final_runs_wait_for_the_search_and_have_other_seeds():
    first = list(runs_of(PLAN, {}, "order"))
    assert {run.role for run in first} == {"search"}
    done = searched_arm("bn-20", best=0.1)
    now = [run for run in runs_of(PLAN, done, "order") if run.arm == "bn-20"]
    assert {(run.role, run.rate) for run in now} == {("final", 0.1), ("twice", 0.1)}
    assert {run.epochs for run in now} == {10, 20}
    assert not {run.seed for run in now} & {run.seed for run in first}


def test_an_arm_may_take_another_arms_best_rate_and_searches_for_none():
    assert not [run for run in runs_of(PLAN, {}, "rates") if run.arm == "bn-20-at-he"]
    done = searched_arm("he-20", best=0.03)
    [rate] = {run.rate for run in runs_of(PLAN, done, "rates") if run.arm == "bn-20-at-he"}
    assert rate == 0.03


# --- the arms


@pytest.mark.proof
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
@each_arm
def test_every_arm_trains_and_leaves_a_whole_record(plan, arm, data, device, monkeypatch):
    monkeypatch.setattr("study.text.STEPS", 3)
    record = train(small(arm, plan=plan), data, device)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["stopped"] is None
    assert len(record["validation"]) == len(record["norms"]) == 1
    right = study.right_answers(record)
    assert right.shape == ((len(read_text().test) - 1) // 32 * 32 if plan.arms[arm].get("text") else 40,)
    assert right.mean() == pytest.approx(record["test"], abs=1e-5)


@pytest.mark.parametrize(("norm", "of_notebook"), [*zip(NORMS, ("none", "batch", "layer", "RMS", "DyT"), strict=True)])
def test_the_model_that_reads_is_that_of_its_notebook(norm, of_notebook):
    number = number_of("claims", "batch-norm-fails-on-text").split(".")[0]
    (path,) = (schedule.ROOT / "notebooks").glob(f"{int(number):02}_*.ipynb")
    cells = {cell.id: cell.source for cell in nbformat.read(path, as_version=4).cells}
    there: dict = {"LESSONS": LESSONS, "torch": torch, "F": torch.nn.functional, "nn": nn, "Tensor": torch.Tensor}
    for name in ("model", "norms"):
        exec(cells[name], there)
    theirs, ours = there["Model"](there["NORMS"][of_notebook]), Model(norm, len(there["letters"]), 0)
    for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert torch.equal(a, b)  # from the same seed
    read = read_text()
    for a, b in ((there["train"], read.train), (there["test"], read.test)):
        assert torch.equal(a, b)
    assert torch.equal(theirs(read.train[:64].view(2, 32)), ours(read.train[:64].view(2, 32)))


def test_a_model_that_breaks_down_on_a_text_is_a_record_too(monkeypatch):
    monkeypatch.setattr("study.text.STEPS", 20)
    record = train(Run("text-none", "final", 1e30, 0, {**PLAN.arms["text-none"], "epochs": 2}), None)
    assert record["stopped"]
    assert record["test"] == 0
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_what_is_compressed_once_more_is_farther_off_the_less_is_kept():
    images = stand_in(40, 10).train.images
    off = []
    for quality in (95, PLAN.arms["bn-recompressed"]["recompressed"], 10):
        once = recompressed(images, quality)
        assert (once.shape, once.dtype) == (images.shape, images.dtype)
        off.append((once.double() - images.double()).square().mean().item())
    assert 0 < off[0] < off[1] < off[2] < 255**2 / 10


def test_a_search_does_not_look_at_the_test_pictures(data, monkeypatch):
    monkeypatch.setattr("study.training.right_pictures", lambda *_: pytest.fail("the test pictures were looked at"))
    assert "test" not in train(small("bn-20", "search"), data)


def test_a_run_that_diverges_is_a_record_too(data):
    record = train(Run("he-20", "final", 1e6, 0, {**PLAN.arms["he-20"], **SMALL, "epochs": 3}), data)
    assert record["stopped"]
    assert record["test"] == pytest.approx((data.test.labels == 0).double().mean().item(), abs=1e-5)  # class 0 of all
    assert study.right_answers(record).mean() == pytest.approx(record["test"], abs=1e-5)
    assert best_rate({"rates": [0.1, 1e6], "searches": 1}, [{**record, "rate": 1e6}])[0] is None


def test_arms_of_one_shape_start_from_the_same_convolutions():
    plain, normalized = (build(PLAN.arms[arm], 3) for arm in ("he-20", "bn-20"))
    for a, b in zip(plain.layers, normalized.layers, strict=True):
        assert torch.equal(a.conv.weight, b.conv.weight)


def test_skipinit_starts_as_the_shortcut_alone():
    model = build({**PLAN.arms["skips-skipinit-21"], **SMALL, "depth": 21}, 0)
    x = torch.rand(4, 3, 32, 32)
    for layer in model.layers:
        y = layer(x)
        if isinstance(layer, Block) and y.shape == x.shape:
            assert torch.equal(y, x)
        x = y


def test_the_start_by_data_gives_every_layer_unit_variance():
    model, x = build(PLAN.arms["lsuv-5"], 0), torch.randn(64, 3, 32, 32)
    start_by_data(model, x)
    with torch.no_grad():
        for layer in model.layers:
            assert layer.conv(x).std() == pytest.approx(1, abs=0.03)
            x = layer(x)


def test_ghosts_are_batches_of_their_own_and_renorm_is_evaluation_with_the_batchs_gradient():
    x = torch.randn(10, 3, 4, 4) * 2 + 5
    parts = torch.cat([nn.BatchNorm2d(3)(part) for part in (x[:4], x[4:])])
    torch.testing.assert_close(Ghosts(3, 4)(x), parts)
    layer = Renorm(3)
    layer(torch.randn(10, 3, 4, 4))
    leaf, before = x.clone().requires_grad_(), copy.deepcopy(layer).eval()
    out = layer(leaf)
    torch.testing.assert_close(out, before(x), rtol=1e-4, atol=1e-4)  # by the running statistics before this batch
    usual = nn.BatchNorm2d(3)
    usual.load_state_dict(before.state_dict())
    usual(x)
    assert (layer.running_mean - usual.running_mean).abs().max() < 1e-5
    (gradient,) = torch.autograd.grad((out * torch.randn(out.shape)).sum(), leaf)
    assert gradient.mean((0, 2, 3)).abs().max() < 1e-4 < gradient.abs().max()  # as behind the batch's own statistics


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
def test_two_weights_a_channel_learn_and_no_others(device):
    run = small("random-two-a-channel", plan=PLANS[1])
    model = build(run.settings, 0).to(device)
    parameters, between = learning(model, run.settings, 0)
    model(torch.randn(8, 3, 32, 32, device=device)).square().sum().backward()
    between()
    for weight in parameters:
        assert ((weight.grad != 0).flatten(1).sum(1) <= 2).all()
    affine, _ = learning(model, {**run.settings, "learns": "affine"}, 0)
    assert {id(p) for p in affine} == {
        id(p) for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()
    }
    assert norm_layer({**run.settings, "norm": "none"}) is None


# --- records, and work that is cut off


def test_records_are_whole_fit_the_plan_and_are_read_by_name(tmp_path, data):
    run = Run("bn-20", "final", 0.1, 100, PLAN.arms["bn-20"])
    made = {"arm": "bn-20", "role": "final", "rate": 0.1, "settings": dict(run.settings), "code": code(), **BY}
    path = records.write(run, made, tmp_path)
    assert path.name == "bn-20.final.0.1.100.json"
    [(name, record)] = records.read_all(tmp_path).items()
    assert name == run.name
    assert records.fits_plan(record, PLAN) == ""
    record["settings"]["decay"] = 0.1
    assert records.fits_plan(record, PLAN) == "the plan says otherwise about decay"
    path.write_text(path.read_text(encoding="utf-8")[:50], encoding="utf-8")
    with pytest.raises(ValueError, match=r"bn-20\.final\.0\.1\.100\.json is not a record .*delete it"):
        records.read_all(tmp_path)


def test_a_shorter_final_run_leaves_the_searches_that_have_a_length_of_their_own():
    arm = PLAN.arms["resnet-20-bn"]
    longer = {"arm": "resnet-20-bn", "settings": {**arm, "epochs": arm["epochs"] + 10}}
    assert records.fits_plan({**longer, "role": "search"}, PLAN) == ""
    assert records.fits_plan({**longer, "role": "final"}, PLAN) == "the plan says otherwise about epochs"


def test_what_was_cut_off_is_done_again_and_a_failure_does_not_stop_the_others(tmp_path):
    runs = [Run("bn-20", "final", 0.1, seed, PLAN.arms["bn-20"]) for seed in range(3)]
    script = "import sys; sys.exit(int(sys.argv[1] == '1'))"

    def begin(run, folder):
        if run.seed != 1:
            records.write(run, {"arm": run.arm, "settings": dict(run.settings), "code": code(), **BY}, folder)
        return subprocess.Popen([sys.executable, "-c", script, str(run.seed)])

    said: list[str] = []

    def find():
        return [run for run in runs if run.name not in records.read_all(tmp_path)]

    assert schedule.work(find, tmp_path, 2, said.append, begin) == 1
    assert [run.seed for run in find()] == [1]
    assert sum("FAILED (1)" in line for line in said) == 1

    def interrupted(text):
        raise KeyboardInterrupt

    started = []

    def slow(run, folder):
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        started.append(subprocess.Popen([sys.executable, "-c", ""]))
        return started[-1]

    with pytest.raises(KeyboardInterrupt):
        schedule.work(find, tmp_path, 2, interrupted, slow)
    started[0].kill()
    assert started[-1].poll() is not None


@pytest.mark.proof
def test_a_cluster_that_loses_a_worker_makes_every_run_and_keeps_each_once(tmp_path, monkeypatch):
    runs = [Run("bn-20", "final", 0.1, seed, PLAN.arms["bn-20"]) for seed in range(6)]
    begun, ended, said = tmp_path / "begun.txt", tmp_path / "ended.txt", []

    def slow(tier, arm, role, rate, seed, *_):  # in the place of training; cloudpickle takes it to the workers
        import os
        import time

        with open(begun, "a") as file:
            file.write(f"{seed} {os.getpid()}\n")
        time.sleep(0.2 + seed % 2)  # the second is being made when the first has ended
        with open(ended, "a") as file:
            file.write(f"{seed}\n")
        return {"arm": arm, "role": role, "rate": rate, "seed": seed, **also}

    also = {"settings": dict(PLAN.arms["bn-20"]), "code": code(), **BY}
    monkeypatch.setattr(one, "record_elsewhere", slow)
    monkeypatch.setenv("COURSE_DATA", "stand-in")
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    with (
        LocalCluster(n_workers=2, **LOOPBACK) as cluster,
        sender(cluster.scheduler_address) as (begin, jobs),
    ):
        assert jobs() == 2
        killed = []

        def say(line):
            said.append(line)
            until = time.monotonic() + 20
            while len(said) == 1 and not killed and time.monotonic() < until:  # a worker in the middle of a run
                done = ended.read_text().split()
                making = [line.split() for line in begun.read_text().splitlines() if line.split()[0] not in done]
                for seed, worker in making[:1]:
                    os.kill(int(worker), getattr(signal, "SIGKILL", signal.SIGTERM))
                    killed.append(seed)

        def find():
            return [run for run in runs if run.name not in records.read_all(tmp_path)]

        assert schedule.work(find, tmp_path, jobs, say, begin) == 0
    assert not find()
    assert sorted(line.split()[1] for line in said) == sorted(run.name for run in runs)
    assert killed, "no run was being made when the first had ended"
    begun_seeds = [line.split()[0] for line in begun.read_text().splitlines()]
    assert begun_seeds.count(killed[0]) == 2  # it was begun again, and nothing else was lost
    assert len(begun_seeds) == len(runs) + 1


def test_a_worker_that_cannot_be_used_is_named_and_one_that_joins_counts(monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "stand-in")
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    with LocalCluster(n_workers=1, **LOOPBACK) as cluster:
        with sender(cluster.scheduler_address) as (_, how_many):
            assert how_many() == 1
            cluster.scale(2)
            cluster.wait_for_workers(2)
            assert how_many() == 2
        monkeypatch.setattr(one, "version", lambda: "0")
        with (
            pytest.raises(OSError, match=r"tcp://\S+ has another version of the course or.*in the same commit"),
            sender(cluster.scheduler_address),
        ):
            pytest.fail("it takes others")
    assert _usable(1, ("0", "b"), {"a"}) == ("other pictures", "b")
    assert _usable(2, ("0", "a"), {"a"})[0] == "several threads"
    assert _usable(1, OSError("none here"), {"a"})[0] == "a problem (none here)"


def test_a_cluster_without_workers_is_refused():
    with (
        LocalCluster(n_workers=0, **LOOPBACK) as cluster,
        pytest.raises(OSError, match="the cluster has no worker: start workers by"),
        sender(cluster.scheduler_address),
    ):
        pytest.fail("there is nobody to work")


def test_a_first_epoch_is_made_again_and_a_record_of_another_is_told(data, monkeypatch):
    run = small("bn-20", epochs=2)
    record = {**train(run, data), "settings": dict(run.settings)}
    plan = SimpleNamespace(arms={"bn-20": run.settings})
    assert (found := check.again(record, plan, data)).agrees
    assert found.exactly
    assert len(found.loss[1]) == len(record["loss"]) / 2
    changes = ({"norm_first": False}, {"warmup": 0.0}, {"pixels": "unit"}, {"decay_of": "none"}, {"augment": False})
    for change in changes:
        other = SimpleNamespace(arms={"bn-20": {**run.settings, **change}})
        assert not check.again(record, other, data).exactly, change
    nearly = {**record, "loss": [1.01 * each for each in record["loss"]]}
    assert check.again(nearly, plan, data).words.startswith("agrees roughly, not to the last digit")
    assert not check.again({**record, "norms": [2 * each for each in record["norms"]]}, plan, data).agrees
    few = {**run.settings, "steps": 50}  # counted in steps, and not in epochs
    short = {**train(Run("bn-20", "final", 0.003, 0, few), data), "settings": few}
    assert check.again(short, SimpleNamespace(arms={"bn-20": few}), data).exactly
    with pytest.raises(ValueError, match="was made on mps, which is not here"):
        check.again({**record, "device": "mps"}, plan, data)
    elsewhere = {**record, "machine": "another", "role": "final"}
    assert check.draw({"a": record, "b": {**record, "stopped": "Stopped."}}, 5, 0) == ["a"]
    assert check.draw({"a": record, "c": elsewhere}, 1, 0) == ["a"]


def test_the_command_says_what_is_left_and_what_was_found(capsys, tmp_path):
    tiers = {"hours": (PLAN_FILE, tmp_path / "records"), "gpu": (None, tmp_path / "others")}
    page = "".join([command.BEGIN, "old", command.END, *command.ARMS, *command.SUMMARY])
    (tmp_path / "README.md").write_text(page, encoding="utf-8")
    assert command.main(["order", "--list"], tiers, tmp_path) == 0
    assert "order           0 done,   48 left: 48 of arms of which no run is done yet" in capsys.readouterr().out
    assert "not run yet" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "verdicts.json").read_text(encoding="utf-8"))["claims"] == {}
    assert command.main(["odrer"], tiers, tmp_path) == 2
    assert "there are: order" in capsys.readouterr().err
    mine = tmp_path / "mine"
    assert command.main(["order", "--list", "--records", str(mine)], tiers, tmp_path / "nowhere") == 0
    assert "not run yet" in capsys.readouterr().out
    assert command.main(["--check", "3", "--records", str(mine)], tiers, tmp_path) == 2
    assert "mine has no records to compare with" in capsys.readouterr().err
    assert command.main(["--tier", "gpu", "--list"], tiers, tmp_path) == 0
    assert "Before the ReLU or after it, in ResNet-18?" in capsys.readouterr().out


# --- what the records say


def made_up(arm, role, accuracies, rate=0.1, pictures=1000, seed=100):
    """Records of final runs that got so many pictures right, each run others."""
    rows = [np.random.default_rng([seed, s]).permutation(pictures) < share * pictures
            for s, share in enumerate(accuracies)]  # fmt: skip
    return {
        f"{arm}.{role}.{s}": {
            "arm": arm, "role": role, "rate": rate, "seed": s, "stopped": None, "epochs": 10, "training": 0.9,
            "test": float(row.mean()), "pixels": "0", "pictures": pictures, "machine": "Intel(R) Xeon(R)",
            "right": base64.b64encode(np.packbits(row)).decode(),
        }
        for s, row in enumerate(rows)
    }  # fmt: skip


def test_a_verdict_waits_for_all_runs_and_twice_the_epochs_are_compared():
    searches = searched_arm("bn-20", 0.1) | searched_arm("bn-after-20", 0.1)
    before = made_up("bn-20", "final", [0.65, 0.66, 0.64, 0.65, 0.66])
    after = made_up("bn-after-20", "final", [0.60, 0.61, 0.59, 0.60, 0.61])
    assert verdicts.found(PLAN, {**searches, **before}) == {"estimands": {}, "claims": {}}
    few = dict(list(after.items())[:4])
    assert verdicts.found(PLAN, {**searches, **before, **few})["claims"] == {}
    other_rate = {name: {**record, "rate": 0.3} for name, record in after.items()}
    assert verdicts.found(PLAN, {**searches, **before, **other_rate})["claims"] == {}
    known = verdicts.found(PLAN, {**searches, **before, **after})
    assert known["claims"] == {"before-or-after-relu": "holds"}
    answer = known["estimands"]["order"]["before-over-after"]
    assert answer["value"] == pytest.approx(0.05, abs=1e-3)
    assert answer["low"] > 0.01
    assert answer["lasts"] is None
    other_pictures = {name: {**record, "pixels": "1"} for name, record in list(after.items())[:1]}
    with pytest.raises(ValueError, match="the runs of bn-20, bn-after-20 were made with different pictures"):
        verdicts.found(PLAN, {**searches, **before, **after, **other_pictures})
    for shares, lasts in ([0.70] * 5, True), ([0.80] * 5, False):
        longer = made_up("bn-20", "twice", shares) | made_up("bn-after-20", "twice", [0.65] * 5)
        known = verdicts.found(PLAN, {**searches, **before, **after, **longer})
        assert known["estimands"]["order"]["before-over-after"]["lasts"] is lasts
    page = verdicts.markdown(PLAN, known)
    assert "accuracy before the ReLU minus after it | above 1.0 points | 5.0 points" in page
    assert "| holds * | 15.0 points" in page  # it survives a correction for one test
    assert "(another effect)" in page
    assert page.startswith("Of the 1 comparisons whose runs are done 1 are decided.")
    assert "†" not in page
    elsewhere = {name: {**record, "machine": "AMD EPYC 9"} for name, record in after.items()}
    page = verdicts.markdown(PLAN, verdicts.found(PLAN, {**searches, **before, **elsewhere}))
    assert "†" in page


def test_arms_of_which_runs_broke_down_are_compared_by_ranks():
    searches = searched_arm("bn-20", 0.1) | searched_arm("tanh-20", 0.03) | searched_arm("he-20", 0.03)
    good = made_up("bn-20", "final", [0.63, 0.64, 0.62, 0.63, 0.64]) | made_up(
        "he-20", "final", [0.47, 0.46, 0.48, 0.47, 0.46], rate=0.03
    )
    some = made_up("tanh-20", "final", [0.42, 0.10, 0.39, 0.10, 0.24], rate=0.03)
    answers = verdicts.found(PLAN, {**searches, **good, **some})["estimands"]["kinds"]
    answer = answers["bn-over-tanh"]
    assert answer["verdict"] == "holds"
    assert 0.2 < answer["low"] < answer["value"] < answer["high"] < 0.55  # no run is further from another
    assert answer["text"].endswith("(by ranks: 2 of 5 runs of tanh-20 broke down)")
    assert answers["tanh-over-none"]["verdict"] == "does not hold"
    one = made_up("tanh-20", "final", [0.62, 0.10, 0.62, 0.62, 0.62], rate=0.03)
    mixed = verdicts.found(PLAN, {**searches, **good, **one})["estimands"]["kinds"]["bn-over-tanh"]
    assert mixed["verdict"] == "undecided at this scale"


def test_a_reproduction_is_told_without_a_verdict():
    searches = searched_arm("resnet-20-bn", 0.2)
    known = verdicts.found(PLAN, searches | made_up("resnet-20-bn", "final", [0.91, 0.90, 0.92], rate=0.2))
    assert known["estimands"]["known"]["reached"]["verdict"] == ""
    page = verdicts.markdown(PLAN, known)
    assert page.startswith("Of the 0 comparisons")
    assert "| a reproduction: none |" in page
    assert "Published: 91.25 %" in page


def test_one_run_of_words_that_mean_nothing_is_refused():
    with pytest.raises(ValueError, match=r"a role \(search, final, twice\) are expected; given: hours bn-7 final"):
        one.named("hours", "bn-7", "final", "0.1", "0")


def test_an_estimand_is_about_what_a_record_holds(tmp_path):
    text = PLAN_FILE.read_text("utf-8")
    assert text.count('value = "curve"') > 1
    (tmp_path / "plan.toml").write_text(text.replace('value = "curve"', 'value = "curves"'), "utf-8")
    with pytest.raises(PlanError, match=r"question input: a value is one of curve, gap, .*; given: curves"):
        load_plan(path=tmp_path / "plan.toml")


def test_values_are_right_answers_gaps_curves_or_usable_rates():
    runs = [{**record, "validation": [0.2, 0.4]} for record in made_up("bn-20", "final", [0.6, 0.7]).values()]
    assert study.values(runs, "bn-20").mean(1) == pytest.approx([0.6, 0.7])
    assert study.values(runs, "bn-20", "gap") == pytest.approx([0.3, 0.2])
    assert study.values(runs, "bn-20", "curve") == pytest.approx([0.3, 0.3])
    runs = [{**record, "loss": [2.0, 1.5]} for record in runs]
    assert study.values(runs, "bn-20", "loss") == pytest.approx([1.75, 1.75])
    ends = {0: {0.1: 0.5, 1.0: 0.6, 10.0: 0.1}, 1: {0.1: 0.5, 1.0: 0.4}, 2: {0.1: 0.4, 1.0: 0.4, 10.0: 0.0}}
    search = [{"arm": "bn-20", "role": "search", "rate": rate, "seed": seed, "stopped": None if share else "Stopped.",
               "validation": [share]} for seed, of_seed in ends.items() for rate, share in of_seed.items()]  # fmt: skip
    # Half of the best is crossed at three fifths of the way from 1 to 10; not at all; at two thirds, for it guesses.
    assert study.values(search, "bn-20", "usable rate") == pytest.approx([10**0.6, 1.0, 10 ** (2 / 3)])


def test_statistics_are_estimated_as_in_evaluation_without_noise(data):
    model = build({**PLAN.arms["bn-noise-strong"], **SMALL}, 0)
    batches = _parts(small("bn-noise-strong"), data, "cpu")["train"]
    _estimate_statistics(model, batches)
    seen = []
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda _, __, y: seen.append(y.std((0, 2, 3)).mean().item()))
    with torch.no_grad():
        model(torch.cat([x for x, _ in batches]))
    assert seen == pytest.approx([1] * len(seen), abs=0.15)


@pytest.mark.proof
def test_nothing_lets_an_effect_of_the_study_pass_that_is_not_there():
    """As of the claims: over draws from the records, of all comparisons that are done and are not by ranks."""
    stored, asked = records.read_all(), 0
    for question, answers in study.verdicts()["estimands"].items():
        for slug, estimand in estimands_of(PLAN.questions[question]).items():
            value = PLAN.questions[question]["estimands"][slug].get("value", "test")
            if slug not in answers or "by ranks" in answers[slug]["text"] or value == "usable rate":
                continue
            runs = {arm: verdicts.runs_at_best(PLAN, stored, arm, "final") for arm in estimand.arms}
            arms = {arm: study.values(found, arm, value) for arm, found in runs.items()}
            arms = {arm: rows[:, ::20] if rows.ndim == 2 else rows for arm, rows in arms.items()}
            rate = null_rate(estimand, arms, draws=400)
            assert rate <= 0.025 + 4 * (0.025 * 0.975 / 400) ** 0.5, f"{question}, {slug}: {rate:.1%}"
            asked += 1
    assert asked > 30


@pytest.mark.proof
def test_a_run_is_begun_killed_begun_again_and_leaves_a_record(tmp_path, monkeypatch):
    """By the real door, on the stand-in; and nothing goes on when who started it is gone."""
    for name in ("CIFAR10_DIR", "CIFAR10_ARCHIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_DATA", "stand-in")
    long = Run("bn-45", "twice", 0.1, 0, PLAN.arms["bn-45"])
    for end in (lambda begun: begun.terminate(), lambda begun: begun.kill(), lambda begun: begun.stdin.close()):
        begun = schedule.start(long, tmp_path)
        with pytest.raises(subprocess.TimeoutExpired):
            begun.wait(timeout=6)
        end(begun)
        assert begun.wait(timeout=30) != 0
        assert records.read_all(tmp_path) == {}
    run = Run("bn-5", "search", 0.1, 0, PLAN.arms["bn-5"])
    assert schedule.work(lambda: [] if records.read_all(tmp_path) else [run], tmp_path, 1, lambda text: None) == 0
    [(name, record)] = records.read_all(tmp_path).items()
    assert (name, record["epochs"], len(record["validation"])) == (run.name, 10, 10)
    assert record["validation"][-1] > 2 * study.GUESSING
    assert "test" not in record
    assert not (tmp_path / schedule.RUNNING).exists()


def test_a_run_wants_the_pictures_and_is_not_made_twice(tmp_path, monkeypatch, data):
    monkeypatch.setattr(one, "load", lambda verbose: data)
    monkeypatch.delenv("COURSE_DATA", raising=False)
    with pytest.raises(OSError, match="CIFAR-10 is not on this machine"):
        one.record_of("hours", "bn-5", "search", 0.1, 0)
    run = Run("bn-5", "search", 0.1, 0, PLAN.arms["bn-5"])
    kept = {"arm": "bn-5", "role": "search", "rate": 0.1, "settings": dict(run.settings), "code": code(), **BY}
    records.write(run, kept, tmp_path)
    one.main(str(tmp_path), "hours", "bn-5", "search", "0.1", "0")
    with pytest.raises(ValueError, match="made by another version of the course"):
        records.write(run, {**kept, "code": "0"}, tmp_path)
    records.write(run, {**kept, "pixels": "0", "data": "CIFAR-10"}, tmp_path)
    with pytest.raises(ValueError, match=r"are of other pictures \(0\) than those here"):
        one.main(str(tmp_path), "hours", "bn-5", "search", "0.3", "0")
    elsewhere = ("hours", "bn-5", "search", 0.3, 0)
    with pytest.raises(records.OtherPictures, match="are not those of the records"):
        one.record_elsewhere(*elsewhere, one.version(), records.pixels_in(tmp_path))
    with pytest.raises(ValueError, match="another version of the course or of torch is here"):
        one.record_elsewhere(*elsewhere, "0", records.pixels_in(tmp_path))
    other = {**kept, "settings": {**kept["settings"], "decay": 0.1}}
    (tmp_path / "bn-5" / f"{run.name}.json").write_text(json.dumps(other), encoding="utf-8")
    assert records.of_plan(PLAN, tmp_path) == {}


def test_after_a_run_that_says_it_is_hopeless_no_other_is_begun(tmp_path):
    runs = [Run("bn-5", "search", rate, 0, PLAN.arms["bn-5"]) for rate in (0.03, 0.1, 0.3)]
    begun = []

    def begin(run, folder):
        begun.append(run)
        return SimpleNamespace(returncode=one.HOPELESS, poll=lambda: one.HOPELESS)

    assert schedule.work(lambda: runs, tmp_path, jobs=1, say=lambda text: None, begin=begin) == 1
    assert len(begun) == 1


def test_one_make_study_at_a_time(tmp_path, capsys):
    tiers = {"hours": (PLAN_FILE, tmp_path)}
    with FileLock(tmp_path / ".lock"):
        assert command.main(["order"], tiers, tmp_path) == 2
    assert "another `make study` is at work" in capsys.readouterr().err


def test_what_both_scales_have_asked_is_paired_once_and_by_the_plans_rule():
    pairs = at_both_scales()
    known = study.verdicts()["estimands"]
    of_accuracies = {
        (slug, given["text"])
        for question, estimands in known.items()
        for slug, given in estimands.items()
        if "value" not in PLAN.questions[question]["estimands"][slug]
    }
    assert len({(pair.number, pair.what) for pair in pairs}) == len(pairs) > 3
    for pair in pairs:
        asked = [
            PLAN.questions[question]["estimands"][slug]
            for question, estimands in known.items()
            for slug, given in estimands.items()
            if (given["value"], given["low"], given["high"]) == pair.hours and (slug, given["text"]) in of_accuracies
        ]
        assert tuple(pair.holds) in {tuple(given["holds"]) for given in asked}
        assert any(given.get("minute", True) for given in asked)
        assert pair.verdicts == tuple(of_interval(found[1:], pair.holds) for found in (pair.minute, pair.hours))


def test_the_stored_records_are_all_that_the_plan_asks_for_and_whole():
    stored = records.read_all()
    left = schedule.due(PLAN, list(PLAN.questions), stored)
    assert {run.arm for run in left} == NOT_DONE_YET, "run `make study`, or name above what is being made"
    assert len(left) == schedule.estimate(PLAN, list(PLAN.questions), stored)[1]
    for name, record in stored.items():
        run = Run(record["arm"], record["role"], record["rate"], record["seed"], PLAN.arms[record["arm"]])
        assert run.name == name
        if record["stopped"]:
            continue
        looks = 5 if run.settings["steps"] else record["epochs"]  # at the accuracy on held-out pictures
        assert (len(record["validation"]), len(record["norms"])) == (looks, looks), name
        assert len(record["loss"]) == 100, name
        assert np.isfinite(record["loss"]).all(), name
        if record["role"] != "search":
            assert record["test"] == pytest.approx(study.right_answers(record).mean(), abs=6e-6), name


def test_what_is_left_is_what_is_due_when_another_rate_has_come_out_best():
    order = {name: record for name, record in records.read_all().items() if record["arm"] in ("bn-20", "bn-after-20")}
    finished, left, *_ = schedule.estimate(PLAN, ["order"], order)
    assert (finished, left) == (len(order), 0)
    best, _ = best_rate(PLAN.arms["bn-after-20"], study.of_role(order.values(), "bn-after-20", "search"))
    other = next(rate for rate in PLAN.arms["bn-after-20"]["rates"][1:-1] if rate != best)
    moved = {
        name: {**record, "validation": [0.99]}
        if (record["arm"], record["role"], record["rate"]) == ("bn-after-20", "search", other)
        else record
        for name, record in order.items()
    }
    due = schedule.due(PLAN, ["order"], moved)
    assert len(due) == schedule.estimate(PLAN, ["order"], moved)[1] > 0


def test_records_of_another_torch_are_not_added_to(tmp_path, capsys, data, monkeypatch):
    records.refuse_another_torch("2.14.1+cpu", [{"torch": "2.14.0"}, {"torch": "2.14.1+cu130"}])
    run = Run("bn-5", "final", 0.1, 0, PLAN.arms["bn-5"])
    old = {"arm": "bn-5", "role": "final", "rate": 0.1, "seed": 0, "settings": dict(run.settings), "code": code()}
    old |= {"torch": "2.9.1", "machine": "another", "device": "cpu", "stopped": None}
    old |= {"validation": [0.5], "seconds": 1.0, "epochs": 1}
    records.write(run, old, tmp_path)
    with pytest.raises(ValueError, match=r"are of torch 2\.9, and here is 2\.14\.1: use that one, or a folder of your"):
        records.write(run, {**old, **BY}, tmp_path)
    assert command.main(["order", "--records", str(tmp_path)]) == 2
    assert "the records are of torch 2.9, and here is" in capsys.readouterr().err
    near = {**old, "machine": check.processor()}
    assert check.draw({"a": near, "b": old, "c": {**near, "role": "search"}}, 1, 0) == ["a"]  # this make, another torch
    monkeypatch.setattr("utils.data.load", lambda: data)
    again = SimpleNamespace(agrees=True, words="agrees roughly")
    monkeypatch.setattr(check, "again", lambda record, plan, data: again)
    assert command.main(["--check", "1", "--records", str(tmp_path)]) == 0
    assert "the records are of torch 2.9, and no digit need come again" in capsys.readouterr().out


def test_the_stored_records_fit_the_plan_and_yield_the_stored_verdicts():
    stored = records.read_all()
    assert study.verdicts() == verdicts.found(PLAN, stored), "run `make study ARGS=--list`"
    page = (schedule.ROOT / "study" / "README.md").read_text(encoding="utf-8")
    assert verdicts.markdown(PLAN, study.verdicts()) in page, "run `make study ARGS=--list`"
    assert verdicts.arms_table(PLAN, stored) in page, "run `make study ARGS=--list`"
    assert verdicts.summary(PLAN, stored, study.verdicts()) in page, "run `make study ARGS=--list`"
    problems = {name: problem for name, record in stored.items() if (problem := records.fits_plan(record, PLAN))}
    assert not problems
    assert all(np.isfinite(record["seconds"]) for record in stored.values())
