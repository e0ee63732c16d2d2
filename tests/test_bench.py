"""make bench: each row runs, small; what is a promise kept; how the page is written."""

import math
import subprocess
from types import SimpleNamespace

import pytest

from benchmarks import measure, series
from benchmarks.measure import Row
from benchmarks.page import page, table
from tools import bench


@pytest.mark.proof
@pytest.mark.parametrize("section", ["pictures", "steps", "layers"])
def test_every_row_runs_and_gives_finite_ratios(section, isolated):
    rows = [row for function in bench.SECTIONS[section][1] for row in function(True)]
    assert rows
    for row in rows:
        assert row.values, row.what
        assert all(math.isfinite(value) and value > 0 for value in row.values), row


def test_arms_run_in_turn_and_every_other_time_in_reverse():
    ran = []
    times = measure.in_turn({name: lambda name=name: ran.append(name) for name in "ab"}, 2)
    order = "".join(name for place, name in enumerate(ran) if place == 0 or ran[place - 1] != name)
    assert order == "aba"
    assert {name: len(each) for name, each in times.items()} == {"a": 2, "b": 2}


def test_what_is_a_promise_kept():
    assert Row("a", "b", (1.0, 1.4, 9.0), 1.5).verdict == "kept"
    assert Row("a", "b", (1.6,), 1.5).verdict == "not kept"
    assert Row("a", "b", (21.0,), 20, at_least=True).verdict == "kept"
    assert Row("a", "b", (1.0,)).verdict == "–"
    assert Row("a", "b", promise=3).verdict == "not measured"


def test_the_page_has_the_machine_each_section_and_each_note_once():
    rows = [Row("x", "y", (0.5, 1.5), 2, note="Why."), Row("z", "y", (61.0,), unit="s", note="Why."), Row("u", "v")]
    assert table(rows).splitlines()[2:] == [
        "| x | y | **1** [0.5, 1.5] | ≤ 2 | kept (1) |",
        "| z | y | **61** s | – | – (1) |",
        "| u | v | – | – | not measured |",
        "",
        "1. Why.",
    ]
    text = page({"One": rows, "Two": rows})
    assert text.index("torch 2") < text.index("## One") < text.index("## Two")


def test_the_series_is_what_make_run_says_of_each_notebook(monkeypatch):
    lines = [
        "00_is_everything_ready          12.5 s  ok",
        "03_what    61.0 s  ok",
        "2 of 2 notebooks ran through in 62 s",
    ]
    said = "".join(f"[run] {line}\n" for line in lines)
    result = SimpleNamespace(stdout=said, returncode=0)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: result)
    longest, together = series.series()
    assert (longest.what, longest.values, longest.verdict) == ("the longest notebook, 03", (61.0,), "kept")
    assert together.values == (62 / 60,)
    result.returncode = 1
    [row] = series.series()
    assert (row.verdict, row.note) == ("not measured", "`make run` ended with 1: run it by itself.")


def test_a_name_that_is_none_is_refused_and_a_part_leaves_the_page_alone(tmp_path, monkeypatch, capsys):
    assert bench.main(["nothing"]) == 2
    assert "there are: pictures, steps, layers, series" in capsys.readouterr().err
    made = lambda quick: [Row("x", "y", (1.0,))]  # noqa: E731
    monkeypatch.setattr(bench, "SECTIONS", {"one": ("One", [made]), "two": ("Two", [made])})
    assert bench.main(["one"], tmp_path) == 0
    assert (tmp_path / "build" / "benchmarks.md").exists()
    assert not (tmp_path / "docs").exists()
    assert bench.main([], tmp_path) == 0
    assert "## Two" in (tmp_path / "docs" / "benchmarks.md").read_text(encoding="utf-8")
