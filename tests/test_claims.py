"""utils.claims: a claim is shown and tested, its control must fail, and the board says what the notebooks hold."""

from __future__ import annotations

import json
import math
import re
import warnings
from dataclasses import replace
from html import unescape
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from claim_cards import BASE, call, card, displayed, write_notebook
from nbformat.v4 import new_markdown_cell, new_output
from nbval.plugin import get_sanitize_patterns

from utils.claims import VERDICTS, Arm, Board, Claim, ClaimError, board, claim, collect

SANITIZE = Path(__file__).resolve().parent / "nbval_sanitize.cfg"
FAILS = {"without": [1, 2, 3], "with": [10, 20, 1234]}
NASTY = "<script>alert(\"x\")</script> & 'it' <b>"


class Reader:
    """What a browser would read: the elements, the links, the text, and the text inside <data>."""

    def __init__(self, source: str):
        self.tags = re.findall(r"<(\w+)", source)
        self.links = re.findall(r'href="(.*?)"', source)
        self.text = plain(source)
        self.data = [plain(inside) for inside in re.findall(r"<data.*?>(.*?)</data>", source)]


def plain(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


def failed(**changes):
    """The error of a claim that does not stand, and the output that was displayed before."""
    with displayed() as outputs, pytest.raises(ClaimError) as caught:
        call(**changes)
    [output] = outputs
    return str(caught.value), output


def stored(output) -> dict:
    return output.metadata["claim"]


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2 defines it, of "#rrggbb"."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


# --- the call


def test_a_claim_that_holds_is_displayed_once_under_the_number_of_its_slug():
    with displayed() as outputs:
        assert claim("before-or-after-relu", **BASE) is None
    [output] = outputs
    assert set(output.data) == {"text/plain", "text/html"}
    assert set(output.metadata) == {"claim"}
    assert output.data["text/plain"] == "Claim 5.3: holds. Without, it takes more steps."
    assert stored(output)["number"] == "5.3"
    nbformat.validate(output, ref="output", version=4)
    for slug, words in (("relu", "there is: .*before-or-after-relu"), ("", "no lesson has claim"), (5.3, "5.3")):
        with displayed() as outputs, pytest.raises(ValueError, match=words):
            claim(slug, **BASE)
        assert not outputs


def test_what_a_card_says():
    read = Reader(card().data["text/html"])
    for name in ("sentence", "source", "unit", "finding", "margin", "verdict"):
        assert BASE[name] in read.text, name
    assert "Claim 7.1" in read.text
    assert "with the arms exchanged, the same condition fails" in read.text
    assert "median [least, greatest] over 5 seeds" in read.text
    assert read.data == ["60 [50, 70]", "20 [10, 30]"]
    assert "Not borne out" not in read.text


def test_what_a_notebook_stores():
    made = stored(card())
    assert json.loads(json.dumps(made, allow_nan=False)) == {
        **{name: BASE[name] for name in ("sentence", "source", "unit", "finding", "margin", "verdict")},
        "slug": "7.1",
        "number": "7.1",
        "over": "seeds",
        "control": "the arms exchanged",
        "arms": [
            {"name": "without", "median": 60.0, "least": 50.0, "greatest": 70.0, "count": 5},
            {"name": "with", "median": 20.0, "least": 10.0, "greatest": 30.0, "count": 5},
        ],
        "notebook": "",
        "problem": "",
    }


@pytest.mark.parametrize("kind", [tuple, lambda row: np.array(row, dtype=np.float32), torch.tensor])
def test_values_of_every_kind_reach_the_condition_as_rows_of_floats(kind):
    seen = []

    def condition(measured):
        seen.append(measured)
        return measured["a"].min() > 0

    measured = {"a": kind([1, 2, 3]), "b": kind([4, 5, 6])}
    card(measured=measured, condition=condition, control=("nothing measured", {"a": kind([0, 0, 0])}))
    for measured in seen:
        assert list(measured) == ["a", "b"]
        assert all(row.dtype == np.float64 and row.shape == (3,) for row in measured.values())


def test_numbers_keep_three_digits():
    made = card(measured={"without": [0.123456, 2.34567, 98765.4], "with": [0, 1e-9, 1.2345e-5]})
    assert Reader(made.data["text/html"]).data == ["2.35 [0.123, 9.88e+04]", "1e-09 [0, 1.23e-05]"]


def test_a_condition_that_fails_raises_after_the_card_and_both_hold_the_numbers():
    message, output = failed(measured=FAILS)
    assert "claim 7.1 is not borne out" in message
    assert "Expected: Without, it takes more steps." in message
    assert "without: 2 [1, 3]" in message
    assert "with: 20 [10, 1.23e+03]" in message
    read = Reader(output.data["text/html"])
    assert "Not borne out here." in read.text
    assert message in read.data
    assert stored(output)["problem"] == message


def test_a_condition_that_holds_on_its_control_tests_nothing():
    message, output = failed(condition=lambda m: m["without"].min() > 0)
    assert message == "claim 7.1 tests nothing: its condition also holds with the arms exchanged"
    assert message in Reader(output.data["text/html"]).data


def test_arms_are_exchanged_by_name_at_once():
    seen = []
    card(condition=lambda m: seen.append({k: list(v) for k, v in m.items()}) or len(seen) == 1)
    assert seen[0] == {name: list(map(float, row)) for name, row in BASE["measured"].items()}
    assert seen[1] == {"without": seen[0]["with"], "with": seen[0]["without"]}


def test_a_control_may_change_one_arm_by_name_or_by_numbers_of_its_own():
    for change in ("with", [1, 2, 3], 5, np.zeros(7)):
        made = card(control=("the effect taken away", {"without": change}))
        assert stored(made)["arms"] == stored(card())["arms"], "the card has what was measured"
    for change in ([51, 61, 71], "without"):
        message, _ = failed(control=("nearly the same", {"without": change}))
        assert "tests nothing" in message


def test_every_verdict_has_a_sign_of_its_own_in_white_that_can_be_read_on_its_colour():
    for verdict, (sign, color) in VERDICTS.items():
        made = card(verdict=verdict)
        html = made.data["text/html"]
        assert f"{sign} {verdict}" in Reader(html).text
        assert f"background: {color}; color: white; " in html
        assert 1.05 / (luminance(color) + 0.05) >= 4.5
        assert made.data["text/plain"].startswith(f"Claim 7.1: {verdict}.")
    assert len({sign for sign, _ in VERDICTS.values()}) == len(VERDICTS), "for those who see no colour"
    assert luminance("#ffffff") == pytest.approx(1)


def test_an_exact_statement_needs_one_number_and_says_nothing_of_seeds():
    made = card(over=None, measured={"without": 3e-15, "with": [0.25]}, condition=lambda m: m["without"] < m["with"])
    read = Reader(made.data["text/html"])
    assert read.data == ["3e-15", "0.25"]
    assert "seeds" not in read.text.replace(BASE["margin"], "")
    assert "median" not in read.text
    assert stored(made)["over"] is None


def test_what_was_repeated_is_named_and_what_are_no_seeds_may_be_fewer():
    text = Reader(card(over="images", measured={"without": [5, 6], "with": [1, 2]}).data["text/html"]).text
    assert "over 2 images" in text
    text = Reader(card(measured={"without": [5, 6, 7], "with": [1] * 5}).data["text/html"]).text
    assert "over 3–5 seeds" in text


# --- what is wrong with a call


MALFORMED = {
    "unknown verdict": ({"verdict": "true"}, "one of: holds, holds with a caveat, .* given: 'true'"),
    "2-D arm": ({"measured": {"without": np.ones((3, 2)), "with": [1, 2, 3]}}, r"the arm 'without' .* shape \(3, 2\)"),
    "two seeds": ({"measured": {"without": [5, 6, 7], "with": [1, 2]}}, "the arm 'with' has 2 of at least 3 seeds"),
    "empty arm, exact": ({"over": None, "measured": {"without": [], "with": 1}}, "the arm 'without' needs a row"),
    "no control": ({"control": ("nothing", {})}, "the control changes no arm"),
    "control of an unknown arm": ({"control": ("x", {"wihout": "with"})}, "'wihout'; there are: without, with"),
    "control by an unknown arm": ({"control": ("x", {"without": "wiht"})}, "'wiht'; there are: without, with"),
    "control of an unknown arm by numbers": ({"control": ("x", {"other": [1, 2, 3]})}, "names the arm 'other'"),
    "control without numbers": ({"control": ("x", {"without": []})}, "the control of 'without' needs a row"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_call_shows_no_card_and_says_what_is_wrong(name):
    changes, words = MALFORMED[name]
    with displayed() as outputs, pytest.raises(ValueError, match=words):
        call(**changes)
    assert not outputs


def test_an_error_inside_the_condition_is_not_hidden():
    with pytest.raises(KeyError, match="other"):
        call(condition=lambda m: m["other"].min() > 0)


# --- the card


def test_every_text_is_escaped():
    names = ("sentence", "source", "unit", "finding", "margin")
    texts = {name: f"{name} {NASTY}" for name in names}
    arm, control = f"arm {NASTY}", f"control {NASTY}"
    changes = {
        **texts,
        "over": f"over {NASTY}",
        "measured": {arm: [4, 5, 6]},
        "condition": lambda m: m[arm].min() > 0,
        "control": (control, {arm: [0, 0, 0]}),
    }
    output = card(**changes)
    read = Reader(output.data["text/html"])
    assert not {"script", "b"} & set(read.tags)
    for text in (*texts.values(), arm, control, changes["over"]):
        assert text in read.text
    assert not {"script", "b"} & set(Reader(Board([restored(output)])._repr_html_()).tags)
    message, output = failed(**{**changes, "condition": lambda m: False})
    read = Reader(output.data["text/html"])
    assert not {"script", "b"} & set(read.tags)
    assert message in read.data


def sanitized(html: str) -> str:
    """What nbval compares: with its own reading of the file, and its own way of replacing."""
    for pattern, replacement in get_sanitize_patterns(SANITIZE.read_text("utf-8")):
        html = re.sub(pattern, replacement, html)
    return html


def test_nbval_finds_cards_with_other_numbers_equal():
    first = card()
    for factor in (1.234, 1e-9, 1e12, math.inf):
        other = card(measured={"without": factor * np.array(BASE["measured"]["without"]), "with": [0] * 5})
        html = other.data["text/html"]
        assert html != first.data["text/html"]
        assert sanitized(html) == sanitized(first.data["text/html"])
        assert other.data["text/plain"] == first.data["text/plain"]
        assert sanitized(html).count("MEASURED") == 2


def test_nbval_sees_every_other_change():
    changes = (
        {"finding": "Without, it takes more steps here."},
        {"verdict": "holds with a caveat"},
        {"sentence": "It takes far longer."},
        {"margin": "None."},
        {"measured": {name: row[:4] for name, row in BASE["measured"].items()}},
        {"measured": {**BASE["measured"], "other": [1, 2, 3, 4, 5]}},
    )
    others = [card(**change) for change in changes]
    others.append(failed(measured={name: [*row, 3, 4] for name, row in FAILS.items()})[1])
    for other in others:
        assert sanitized(other.data["text/html"]) != sanitized(card().data["text/html"])


# --- the board


def restored(output) -> Claim:
    """The claim of a card, as `collect` reads it back."""
    made = dict(stored(output))
    made.pop("problem")
    return Claim(**{**made, "arms": tuple(Arm(**arm) for arm in made["arms"])})


@pytest.fixture
def folder(tmp_path):
    """Two notebooks with claims, one without, and what is no notebook of the course."""
    write_notebook(tmp_path / "02_b.ipynb", *(card(f"2.{i}") for i in (9, 10, 1)))
    picture = new_output("display_data", data={"text/plain": "figure"}, metadata={"image/png": {"alt": "A line."}})
    path = write_notebook(tmp_path / "00_a.ipynb", new_output("stream", text="nothing claimed"), picture)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, new_markdown_cell("# 00"))
    nbformat.write(notebook, path)
    write_notebook(tmp_path / "14_z.ipynb", card("14.1", verdict="does not hold"))
    write_notebook(tmp_path / "draft.ipynb", card("3.1"))
    (tmp_path / "02_b.txt").write_text("no notebook")
    return tmp_path


def test_collect_gives_back_every_claim_of_the_series(folder):
    found = {made.number: made for made in collect(str(folder))}
    assert {number: made.notebook for number, made in found.items()} == {
        "2.9": "02_b.ipynb",
        "2.10": "02_b.ipynb",
        "2.1": "02_b.ipynb",
        "14.1": "14_z.ipynb",
    }
    output = card("14.1", verdict="does not hold")
    assert found["14.1"] == replace(restored(output), notebook="14_z.ipynb")
    assert found["14.1"]._repr_html_() == output.data["text/html"]
    assert repr(found["14.1"]) == output.data["text/plain"]


def test_numbers_that_are_not_finite_are_stored_without_a_warning_and_come_back_as_they_were(tmp_path):
    measured = {"without": [1, math.inf, math.inf, math.inf], "with": [math.nan, -math.inf, 0, 0]}
    condition = {"condition": lambda m: np.isinf(m["without"]).any(), "control": ("x", {"without": [1]})}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning would be stored in the notebook, as text on stderr
        output = card(measured=measured, **condition)
    json.dumps(stored(output), allow_nan=False)
    write_notebook(tmp_path / "99_a.ipynb", output)
    [made] = collect(tmp_path)
    assert made.arms[0] == Arm("without", math.inf, 1.0, math.inf, 4)
    assert math.isnan(made.arms[1].median)
    assert "inf [1, inf]" in made._repr_html_()
    assert "inf [1, inf]" in Board([made]).markdown(measured=True)


def test_the_boards_order_is_that_of_the_numbers(folder):
    order = ["2.1", "2.9", "2.10", "14.1"]
    assert [made.number for made in board(folder, before="15").claims] == order
    assert len(board(folder)) == 4
    assert [line.split()[0] for line in repr(board(folder)).splitlines()] == order


def test_only_the_notebooks_before_one(folder):
    assert {made.number for made in collect(folder, before="14")} == {"2.1", "2.9", "2.10"}
    assert {made.number for made in collect(folder, before="9")} == {"2.1", "2.9", "2.10"}
    assert collect(folder, before="02") == []


def test_a_number_given_twice(folder):
    write_notebook(folder / "03_c.ipynb", card("2.9"))
    with pytest.raises(ValueError, match=r"two claims have the number 2\.9: renumber one, in 03_c\.ipynb"):
        collect(folder)


def test_a_claim_that_failed_is_never_collected(folder):
    message, output = failed(measured=FAILS)
    write_notebook(folder / "07_x.ipynb", output)
    with pytest.raises(ValueError, match=r"07_x\.ipynb: claim 7\.1 is not borne out") as caught:
        collect(folder)
    assert str(caught.value) == f"07_x.ipynb: {message}"


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_notebooks(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=rf"{name} holds no notebooks NN_\*\.ipynb"):
        board(tmp_path / name)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_file_that_is_no_notebook(folder, content):
    (folder / "03_broken.ipynb").write_text(content)
    with pytest.raises(ValueError, match=r"03_broken\.ipynb is no notebook"):
        collect(folder)


def test_the_board_in_a_notebook(folder):
    read = Reader(board(folder)._repr_html_())
    assert read.tags.count("tr") == 5
    assert read.links == ["02_b.ipynb", "02_b.ipynb", "02_b.ipynb", "14_z.ipynb"]
    assert "✘ does not hold" in read.text
    assert not read.data, "the board holds nothing that was measured, so nbval compares all of it"


def rows(table: str) -> list[list[str]]:
    lines = [re.split(r"(?<!\\)\|", line) for line in table.splitlines()]
    assert all(cells[0] == cells[-1] == "" for cells in lines)
    return [[cell.strip() for cell in cells[1:-1]] for cells in lines]


def test_the_board_as_markdown(folder):
    header, rule, *body = rows(board(folder).markdown("notebooks/"))
    assert header == ["", "claim", "said by", "verdict"]
    assert rule == ["---"] * 4
    assert [row[0] for row in body] == [
        "[2.1](notebooks/02_b.ipynb)",
        "[2.9](notebooks/02_b.ipynb)",
        "[2.10](notebooks/02_b.ipynb)",
        "[14.1](notebooks/14_z.ipynb)",
    ]
    assert body[-1][1:] == [BASE["sentence"], BASE["source"], "✘ does not hold"]


def test_the_board_as_markdown_with_numbers(folder):
    header, _, *body = rows(board(folder).markdown(measured=True))
    assert header[4:] == ["found", "measured", "margin", "control"]
    assert body[0][0] == "[2.1](02_b.ipynb)"
    assert body[0][4:] == [
        BASE["finding"],
        "steps to 40 % (median [least, greatest] over 5 seeds): without 60 [50, 70]; with 20 [10, 30]",
        BASE["margin"],
        "the arms exchanged",
    ]
    exact = card(over=None, measured={"without": 3, "with": 1})
    assert "steps to 40 %: without 3; with 1 |" in Board([restored(exact)]).markdown(measured=True)


def test_pipes_and_line_ends_do_not_break_a_markdown_table():
    texts = {name: f"|{name}| of\n|x|" for name in ("sentence", "source", "unit", "finding", "margin")}
    output = card(**texts, control=("a|b", {"without": "with", "with": "without"}))
    table = Board([restored(output)]).markdown(measured=True)
    header, _, body = rows(table)
    assert len(body) == len(header) == 8
    assert body[1] == r"\|sentence\| of \|x\|"
    assert body[7] == r"a\|b"


def test_a_board_without_claims(tmp_path):
    write_notebook(tmp_path / "00_a.ipynb")
    empty = board(tmp_path)
    assert len(empty) == 0
    assert empty.markdown(measured=True) == ""
    assert repr(empty).startswith("No claims yet: run the other notebooks")
    assert "tr" not in Reader(empty._repr_html_()).tags
    assert repr(empty) in empty._repr_html_()
