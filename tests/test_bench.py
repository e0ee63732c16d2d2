"""make bench: each row runs, small; how the table is written; what is a target reached."""

import importlib.util
import json
import math
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("bench", ROOT / "tools" / "bench.py")
bench = importlib.util.module_from_spec(spec)
sys.modules["bench"] = bench
spec.loader.exec_module(bench)

from benchmarks import gpu, measure, normalizing, page, recording, together  # noqa: E402
from benchmarks.measure import Row  # noqa: E402


@pytest.mark.parametrize("section", [name for name in bench.SECTIONS if name not in (*bench.ON_REQUEST, "gpu")])
def test_every_row_runs_and_gives_finite_ratios(section, isolated):
    rows = bench.measure(section, quick=True)
    assert rows
    for row in rows:
        assert row.values or row.note, row.what
        assert all(math.isfinite(value) for value in row.values), row
        assert row.what
        assert row.against


def test_what_needs_a_gpu_runs_on_a_cpu(isolated, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    rows = bench.measure("gpu", quick=True)
    assert {row.what for row in rows} > {
        "an epoch in bfloat16, channels_last, our layer",
        "an epoch in bfloat16, channels_last, our layer, compiled",
        "time to 94 % on the test images",
    }
    for row in rows:
        assert row.values, row.what
        assert all(math.isfinite(value) and value > 0 for value in row.values), row
    assert gpu.SmallNet(width=2)(torch.randn(3, 3, 32, 32)).shape == (3, 10)


def test_a_target_that_is_not_reached_is_no_time(isolated):
    taken, accuracy, _ = gpu.train_to(2.0, gpu.load(verbose=False), "cpu", width=2, batch=8, epochs=1, size=16)
    assert taken is None
    assert 0 <= accuracy <= 1


def test_the_time_to_an_accuracy_is_one_of_cifar_10(isolated):
    [row] = gpu.time_to_accuracy(device="cpu")
    assert row.verdict == "not measured"
    assert "Needs CIFAR-10" in row.note


def test_without_a_gpu_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    [row] = bench.measure("gpu")
    assert row.verdict == "not measured"
    assert "Has not run: no GPU here." in page.table([row])


def test_without_fastai_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(recording.importlib.util, "find_spec", lambda name: None)
    [row] = recording.fastai(quick=True)
    assert row.note == f"not installed: pip install fastai=={recording.FASTAI}"
    assert row.verdict == "not measured"


def test_without_a_compiler_it_says_so(monkeypatch):
    def fail(*_):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(normalizing, "_times", fail)
    [row] = normalizing.compiled(quick=True)
    assert row.verdict == "not measured"
    assert "RuntimeError" in row.note


def test_the_published_formulas_normalize_and_one_pass_does_not_far_from_zero():
    x = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 2 + 1
    expected = torch.nn.functional.batch_norm(x, None, None, training=True)
    for name, statistics in normalizing.EXHIBITS.items():
        out = normalizing.Exhibit(statistics, 3)(x)
        torch.testing.assert_close(out, expected, rtol=0.01, atol=0.01, msg=name)  # some take the unbiased variance
    leaf, dy = x.clone().requires_grad_(), torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    weight, bias = torch.ones(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    grads = torch.autograd.grad(normalizing.OnePass.apply(leaf, weight, bias), (leaf, weight, bias), dy)
    right = torch.nn.functional.batch_norm(leaf, None, None, weight, bias, training=True)
    for a, b in zip(grads, torch.autograd.grad(right, (leaf, weight, bias), dy), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    errors = {row.what.split(":")[0]: row.median for row in normalizing._errors((8, 3, 5, 5), "cpu")}
    assert errors["FastBatchNorm2d"] < 1e-5 < 1e-2 < errors["one pass"]


@pytest.fixture
def two_notebooks(tmp_path, monkeypatch):
    """A project of two notebooks that take no time, with the tools that run them."""
    for name in ("tools/run.py", "tools/kernels.py", "tests/nbval_sanitize.cfg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "notebooks").mkdir()
    for name, source in (("00_one", "x = bytearray(200_000_000)"), ("01_two", "1 + 1")):
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
        nbformat.write(made, tmp_path / "notebooks" / f"{name}.ipynb")
    monkeypatch.setattr(together, "ROOT", tmp_path)
    return tmp_path


def test_the_series_is_timed_together_and_one_by_one(two_notebooks, monkeypatch):
    monkeypatch.setattr(together.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    clock, share = together.series()
    assert clock.what == "the series under nbval, 2 workers"
    assert clock.verdict == "reached"
    assert 0 < share.median < 3
    with pytest.raises(RuntimeError, match="pytest --nbval ended with 4"):
        together._nbval([two_notebooks / "02_not_there.ipynb"], 1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not count it")
def test_the_memory_is_the_kernels_and_a_notebook_that_fails_has_none(two_notebooks):
    torch.ones(2**27)  # 0.5 GB here: it must not count
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(broken, two_notebooks / "notebooks" / "02_three.ipynb")
    first, second, third = together.memory()
    assert 0.2 < first.median < 0.5
    assert 0.02 < second.median < first.median - 0.15
    assert third.verdict == "not measured"
    assert third.note == "`make run ONLY=02` ended with 1."


# --- measuring


def test_arms_run_in_turn_and_every_other_time_in_reverse():
    ran, now = [], iter(range(100))
    arms = {name: lambda name=name: ran.append(name) for name in "ab"}
    times = measure.seconds(arms, 3, clock=lambda: next(now))
    assert "".join(ran) == "ab" + "ab" + "ba" + "ab"
    assert times == {"a": [1, 1, 1], "b": [1, 1, 1]}


def test_steps_are_taken_in_turn_to_the_end_of_each_arm():
    ran, now = [], iter(range(100))

    def arm(name, steps):
        for _ in range(steps):
            yield ran.append(name)
        ran.append(name.upper())  # what comes after the last step is timed with it

    times = measure.stepwise({"a": lambda: arm("a", 1), "b": lambda: arm("b", 2)}, 2, clock=lambda: next(now))
    assert "".join(ran) == 3 * "baAbB"
    assert times == {"a": [2, 2], "b": [3, 3]}


def test_the_straight_line():
    slope, intercept, share = measure.linear([1, 2, 4], [3, 5, 9])
    assert (slope, intercept, share) == pytest.approx((2, 1, 1))
    assert measure.linear([1, 2, 3], [1, 4, 9])[2] < 0.98


def test_the_verdict():
    assert Row("a", "b", (1, 2, 9), 2).verdict == "reached"
    assert Row("a", "b", (1, 2, 9), 1.9).verdict == "missed"
    assert Row("a", "b", (1, 2, 9), 2, at_least=True).verdict == "reached"
    assert Row("a", "b", (1, 2, 9), 3, at_least=True).verdict == "missed"
    assert Row("a", "b", (1,)).verdict == "–"
    assert measure.skipped("a", "b", "why", 3).verdict == "not measured"


# --- the page

ROWS = [
    Row("a", "b|c", (1.234, 1.0, 2.0), 1.5, explanation="never shown"),
    Row("d", "e", (130.0,), 20, at_least=True, note="Ours."),
    Row("f", "g", (1.6, 1.6), 1.5, explanation="Because."),
    Row("h", "i", (1.7, 1.7), 1.5, explanation="Because."),
    Row("j", "k", (4.5e-5,), unit="(absolute)"),
    measure.skipped("l", "m", "Not here.", 3, at_least=True),
]


def test_the_table():
    assert page.table(ROWS).splitlines() == [
        "| what | against | measured | target | verdict |",
        "| --- | --- | --: | --: | --- |",
        "| a | b\\|c | **1.23** [1, 2] | ≤ 1.5 | reached |",
        "| d | e | 130 | ≥ 20 | reached (1) |",
        "| f | g | **1.6** [1.6, 1.6] | ≤ 1.5 | missed (2) |",
        "| h | i | **1.7** [1.7, 1.7] | ≤ 1.5 | missed (2) |",
        "| j | k | 4.5e-05 (absolute) | – | – |",
        "| l | m | – | ≥ 3 | not measured (3) |",
        "",
        "1. Ours.",
        "2. Because.",
        "3. Not here.",
    ]


def test_the_machine_has_no_name_and_no_path(monkeypatch):
    import platform

    monkeypatch.setattr(platform, "node", lambda: pytest.fail("asked for the machine's name"))
    words = page.machine()
    assert re.search(r"\d+ cores, \d+ threads; torch \d", words)
    assert "/" not in words.replace("/proc", "")


def test_the_stored_page_names_every_section_that_make_bench_runs():
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert [title for title, _ in bench.SECTIONS.values() if f"## {title}\n" not in text] == []


# --- the command


FIRST, SECOND = Row("one", "x", (1.0,), 2), Row("two", "x", (3.0, 4.0), 2, note="N.")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project in which every section takes no time: FIRST for `fit`, else SECOND."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "benchmarks.md").write_text("All of it, on one machine.", encoding="utf-8")
    monkeypatch.setattr(bench, "measure", lambda name, quick: [FIRST if name == "fit" else SECOND])
    return tmp_path


def test_a_part_is_measured_anew_and_the_rest_kept(project, capsys):
    assert bench.main(["layers"], project) == 0
    assert bench.main(["fit"], project) == 0
    text = (project / "build" / "benchmarks.md").read_text(encoding="utf-8")
    assert text.index("## The training loop") < text.index("## Batch normalization")
    assert page.table([FIRST]) in text
    assert page.table([SECOND]) in text
    assert page.machine() in text
    assert set(json.loads((project / "build" / "benchmarks.json").read_text())["sections"]) == {"fit", "layers"}
    assert "written: build/benchmarks.md (docs/benchmarks.md waits for: data, stats," in capsys.readouterr().out
    assert (project / "docs" / "benchmarks.md").read_text(encoding="utf-8") == "All of it, on one machine."


def test_the_page_in_docs_is_renewed_when_all_of_it_is_there(project, capsys):
    assert bench.main([], project) == 0
    assert "docs/benchmarks.md waits for: series, memory)" in capsys.readouterr().out
    assert bench.main(["memory", "series"], project) == 0
    assert "[bench] renewed: docs/benchmarks.md" in capsys.readouterr().out
    text = (project / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert [title for title, _ in bench.SECTIONS.values() if f"## {title}\n" not in text] == []


def test_numbers_of_two_machines_are_not_put_together(project, monkeypatch, capsys):
    assert bench.main(["layers"], project) == 0
    monkeypatch.setattr(bench, "machine", lambda: "another one")
    assert bench.main(["fit"], project) == 0
    assert "measured on another machine" in capsys.readouterr().out
    assert page.table([SECOND]) not in (project / "build" / "benchmarks.md").read_text(encoding="utf-8")


def test_quick_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "measure", lambda name, quick: [Row("one", "x", (1.0,), 2)])
    assert bench.main(["--quick"], tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_not_there(tmp_path, capsys):
    assert bench.main(["layer"], tmp_path) == 2
    assert "no layer; there are: data, stats" in capsys.readouterr().err


def test_the_imports_of_a_notebook():
    [path] = (ROOT / "notebooks").glob("03_*.ipynb")
    lines = together._imports(path)
    assert "import torch" in lines
    assert "from utils.stats import ActivationStats" in lines
