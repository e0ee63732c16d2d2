"""Every check of every exercise: it accepts what is right, and tells each wrong answer what is wrong with it."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import nbformat
import notebook_rules as rules
import pytest
import torch
from claim_cards import displayed

from utils.exercises import check, examine
from utils.exercises.definitions import Code, of_notebook

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RIGHT, WRONG = 2, 5  # at least so many answers an exercise


def cells_tagged(path, tag):
    return [cell for cell in nbformat.read(path, as_version=4).cells if tag in rules.tags(cell)]


def in_notebooks():
    """(number, path, solution cell) of every exercise in the notebooks."""
    pairs = [(path, cell) for path in NOTEBOOKS for cell in cells_tagged(path, "solution")]
    return [(rules.checked(cell)[0][0], path, cell) for path, cell in pairs]


def answers(notebook):
    """The lists of a notebook's answers; empty if there is no such module."""
    name = f"exercise_answers.nb{notebook}"
    return importlib.import_module(name).ANSWERS if importlib.util.find_spec(name) else {}


ALL = {
    number: listed
    for module in sorted((ROOT / "tests" / "exercise_answers").glob("nb??.py"))
    for number, listed in answers(module.stem[2:]).items()
}
SOLUTIONS = in_notebooks()


def test_every_exercise_has_its_lists_and_every_list_its_exercise():
    there = [number for number, _, _ in SOLUTIONS]
    assert sorted(there) == sorted(set(there))
    assert set(there) == set(ALL), (
        "tests/exercise_answers/ must list answers for the notebooks' exercises, and no other"
    )
    defined = {number for path in NOTEBOOKS for number in of_notebook(path.name[:2])}
    assert set(there) == defined, "utils.exercises must define the notebooks' exercises, and no other"


@pytest.mark.parametrize("number", ALL)
def test_the_lists_are_long_enough_and_cover_every_mistake(number):
    listed, exercise = ALL[number], of_notebook(f"{int(number.split('.')[0]):02d}")[number]
    assert len(listed.right) >= RIGHT
    assert len(listed.wrong) >= WRONG
    keys = [mistake.key for mistake in exercise.mistakes]
    assert len(keys) == len(set(keys)), "two mistakes of one exercise have the same key"
    assert set(keys) <= {key for key, _ in listed.wrong}, "an expected mistake that no wrong answer makes"


@pytest.mark.parametrize(("number", "path", "cell"), SOLUTIONS, ids=[number for number, _, _ in SOLUTIONS])
def test_the_solution_is_right_and_needs_the_setup_cell_alone(number, path, cell):
    setup, names = nbformat.read(path, as_version=4).cells[1], {}
    with displayed() as outputs:
        exec(compile(setup.source + "\n" + cell.source, path.name, "exec"), names)
    [output] = outputs
    assert output.metadata["exercise"] == {"number": number, "state": "right", "key": ""}, output.data["text/plain"]


RIGHT_ONES = [(number, i) for number, listed in ALL.items() for i in range(len(listed.right))]
WRONG_ONES = [(number, i) for number, listed in ALL.items() for i in range(len(listed.wrong))]


@pytest.mark.parametrize(("number", "place"), RIGHT_ONES)
def test_what_is_right_is_accepted(number, place):
    verdict = examine(number, ALL[number].right[place])
    assert (verdict.state, verdict.key) == ("right", ""), verdict.message


@pytest.mark.parametrize(
    ("number", "place"), WRONG_ONES, ids=[f"{number}-{ALL[number].wrong[i][0]}-{i}" for number, i in WRONG_ONES]
)
def test_what_is_wrong_is_rejected_with_its_message(number, place):
    key, answer = ALL[number].wrong[place]
    verdict = examine(number, answer)
    assert (verdict.state, verdict.key) == ("not right yet", key), verdict.message
    assert len(verdict.message) > 20
    expected = [m.message for m in of_notebook(f"{int(number.split('.')[0]):02d}")[number].mistakes if m.key == key]
    assert not expected or verdict.message.startswith(expected[0])


@pytest.mark.parametrize(("number", "path", "cell"), SOLUTIONS, ids=[number for number, _, _ in SOLUTIONS])
def test_the_stub_is_not_solved_yet(number, path, cell):
    cells = nbformat.read(path, as_version=4).cells
    place = next(i for i, other in enumerate(cells) if other.id == cell.id)
    with displayed() as outputs:
        exec("\n".join([cells[1].source, cells[place - 2].source, cells[place - 1].source]), {})
    [output] = outputs
    assert output.metadata["exercise"]["state"] == "not solved yet"
    assert output.data["text/html"].count("<details>") == len(of_notebook(path.name[:2])[number].hints)


@pytest.mark.parametrize("number", ALL)
def test_no_message_and_no_hint_holds_a_line_of_the_solution(number):
    """A line of the solution as it stands there. The last hint may name a method, but writes no whole line."""
    [cell] = [cell for other, _, cell in SOLUTIONS if other == number]
    exercise = of_notebook(f"{int(number.split('.')[0]):02d}")[number]
    told = " ".join([*exercise.hints, exercise.look, *(mistake.message for mistake in exercise.mistakes)])
    told = re.sub(r"\s+", "", told)
    lines = [re.sub(r"\s+|#.*", "", line) for line in cell.source.splitlines()]
    lines = [line for line in lines if len(line) > 30 and not line.startswith(("def", "class", "check"))]
    assert not [line for line in lines if line in told]


@pytest.mark.parametrize("number", ALL)
def test_the_inputs_are_the_same_every_time(number):
    exercise = of_notebook(f"{int(number.split('.')[0]):02d}")[number]
    if not isinstance(exercise, Code):
        pytest.skip("it has none")
    torch.manual_seed(0)
    first = exercise.cases()
    torch.manual_seed(1)
    again = exercise.cases()
    assert list(first) == list(again)
    assert repr(first) == repr(again)


def test_a_check_shows_one_card():
    with displayed() as outputs:
        check("2.1", 3)
    [output] = outputs
    assert output.metadata["exercise"]["key"] == "scale_of_the_convolution"
    assert "✘ not right yet" in output.data["text/html"]
    assert "Hint 1 of 3" in output.data["text/html"]
    assert output.data["text/plain"].startswith("Exercise 2.1: not right yet.\nThreefold")


def test_answer_modules_are_plain_python():
    for path in (ROOT / "tests" / "exercise_answers").glob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text("utf-8")))
