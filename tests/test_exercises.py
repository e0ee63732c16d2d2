"""Every check of every exercise: it accepts what is right, and tells each wrong answer what is wrong with it.

The answers to a letter or a number are made from its table. Those to a function or a class stand in
`lessons/nbNN/answers.py`, and the mistakes that `exercises.py` computes are answers, too.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from claim_lessons import displayed

from utils import lessons
from utils.exercises import examine
from utils.exercises.definitions import Answers, Choice, Number, Task, of_notebook

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = {path.name[:2]: nbformat.read(path, as_version=4) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
EXERCISES = {slug: exercise for number in NOTEBOOKS for slug, exercise in of_notebook(number).items()}
HOME = {slug: number for number in NOTEBOOKS for slug in of_notebook(number)}
TASKS = {slug: exercise for slug, exercise in EXERCISES.items() if isinstance(exercise, Task)}
RIGHT, WRONG = 2, 3  # at least so many answers to a task, written as a learner would


def cells_of(number):
    """Slug → (stub, check, solution): the three cells of each exercise in a notebook, in its order."""
    cells = NOTEBOOKS[number].cells
    places = [place for place, cell in enumerate(cells) if "solution" in cell.metadata.get("tags", [])]
    return {re.search(r'^check\("([^"]+)"', cells[i].source, re.M)[1]: cells[i - 2 : i + 1] for i in places}


def answers(number):
    """Slug → `Answers` of a notebook's tasks; empty if it has none."""
    module = lessons.load_module(number, "answers")
    return module.ANSWERS if module else {}


ANSWERS = {slug: Answers([], []) for slug in TASKS}
ANSWERS |= {slug: listed for number in NOTEBOOKS for slug, listed in answers(number).items()}


def wrong_numbers(exercise):
    """(key, answer) of wrong answers to a `Number`."""
    known = [exercise.right, *(mistake.value for mistake in exercise.mistakes)]
    far = 1 + 10 * exercise.tolerance
    yield from ((mistake.key, mistake.value) for mistake in exercise.mistakes)
    yield from [("too_high", max(known) + far), ("too_high", torch.inf), ("too_low", np.float64(min(known) - far))]
    yield from [("nan", math.nan), ("wrong_type", str(exercise.right)), ("wrong_type", torch.ones(2))]


def right_answers(slug):
    """(how it is written, answer) of right answers."""
    exercise = EXERCISES[slug]
    if isinstance(exercise, Choice):
        letter = exercise.right
        return [(text, text) for text in (letter, letter.upper(), f" {letter} ", f"({letter})", f"{letter}.")]
    if isinstance(exercise, Number):
        low, high = (exercise.right + 0.99 * sign * exercise.tolerance for sign in (-1, 1))
        double = torch.tensor(high, dtype=torch.float64)
        return [("float", low), ("tensor", double), ("array", np.array([low])), ("fraction", Fraction(high))]
    return [(getattr(answer, "__name__", "answer"), answer) for answer in ANSWERS[slug].right]


def wrong_answers(slug):
    """(key of the message that it must get, answer)."""
    exercise = EXERCISES[slug]
    if isinstance(exercise, Choice):
        return [(letter, letter.upper()) for letter in exercise.wrong] + [("no_option", "z"), ("no_option", 3)]
    if isinstance(exercise, Number):
        return list(wrong_numbers(exercise))
    likes = [(mistake.key, mistake.like) for mistake in exercise.mistakes if mistake.like]
    return likes + list(ANSWERS[slug].wrong)


RIGHT_ONES = [(slug, *named) for slug in EXERCISES for named in right_answers(slug)]
WRONG_ONES = [(slug, *keyed) for slug in EXERCISES for keyed in wrong_answers(slug)]
SOLUTIONS = [(slug, *three) for number in NOTEBOOKS for slug, three in cells_of(number).items()]


def ids(cases):
    return [f"{slug}-{name}" for slug, name, _ in cases]


@pytest.mark.parametrize("number", NOTEBOOKS)
def test_notebook_and_lesson_hold_the_same_exercises_in_the_same_order(number):
    assert list(cells_of(number)) == list(of_notebook(number))
    assert answers(number).keys() == {slug for slug in TASKS if HOME[slug] == number}


@pytest.mark.parametrize("slug", TASKS)
def test_the_lists_are_long_enough_and_cover_every_mistake(slug):
    listed, mistakes = ANSWERS[slug], TASKS[slug].mistakes
    given = [key for key, _ in listed.wrong]
    assert len(listed.right) >= RIGHT
    assert len(given) >= WRONG
    assert set(given) - {mistake.key for mistake in mistakes}, "an answer that no expected mistake explains is missing"
    assert {mistake.key for mistake in mistakes if not mistake.like} <= set(given), "a mistake that no answer makes"


@pytest.mark.parametrize("slug", [slug for slug, exercise in EXERCISES.items() if isinstance(exercise, Number)])
def test_a_tolerance_tells_apart_what_is_right_and_each_mistake(slug):
    exercise = EXERCISES[slug]
    known = sorted([exercise.right, *(mistake.value for mistake in exercise.mistakes)])
    assert min(high - low for low, high in pairwise(known)) >= 2 * exercise.tolerance


@pytest.mark.parametrize(("slug", "name", "answer"), RIGHT_ONES, ids=ids(RIGHT_ONES))
def test_what_is_right_is_accepted(slug, name, answer):
    verdict = examine(slug, answer)
    assert (verdict.state, verdict.key) == ("right", ""), verdict.message


@pytest.mark.parametrize(("slug", "key", "answer"), WRONG_ONES, ids=ids(WRONG_ONES))
def test_what_is_wrong_is_rejected_with_its_message(slug, key, answer):
    verdict = examine(slug, answer)
    assert (verdict.state, verdict.key) == ("not right yet", key), verdict.message
    assert len(verdict.message) > 20
    expected = {mistake.key: mistake.message for mistake in EXERCISES[slug].mistakes}
    assert verdict.message.startswith(expected.get(key, ""))


@pytest.mark.parametrize(("slug", "stub", "checked", "solution"), SOLUTIONS, ids=[slug for slug, *_ in SOLUTIONS])
def test_the_stub_is_not_solved_and_the_solution_is_right_after_the_setup_cell_alone(slug, stub, checked, solution):
    setup = NOTEBOOKS[HOME[slug]].cells[1].source
    with displayed() as outputs:
        exec("\n".join([setup, stub.source, checked.source]), {})
        exec("\n".join([setup, solution.source]), {})
    first, second = outputs
    shown = {"number": lessons.number_of("exercises", slug), "key": ""}
    assert first.metadata["exercise"] == {**shown, "state": "not solved yet"}
    assert first.data["text/html"].count("<details>") == len(EXERCISES[slug].hints)
    assert second.metadata["exercise"] == {**shown, "state": "right"}, second.data["text/plain"]


def told(exercise):
    """All that a learner may be told before the answer is right."""
    return [*exercise.hints, exercise.look, *(mistake.message for mistake in exercise.mistakes)]


@pytest.mark.parametrize(("slug", "stub", "checked", "solution"), SOLUTIONS, ids=[slug for slug, *_ in SOLUTIONS])
def test_no_message_and_no_hint_holds_a_line_of_the_solution(slug, stub, checked, solution):
    """A line of the solution as it stands there. The last hint may name a method, but writes no whole line."""
    words = re.sub(r"\s+", "", " ".join(told(EXERCISES[slug])))
    lines = [re.sub(r"\s+|#.*", "", line) for line in solution.source.splitlines()]
    lines = [line for line in lines if len(line) > 30 and not line.startswith(("def", "class", "check"))]
    assert not [line for line in lines if line in words]


@pytest.mark.parametrize("slug", EXERCISES)
def test_the_sections_that_are_named_exist(slug):
    words = " ".join(told(EXERCISES[slug]))
    named = re.findall(r'(?:(?<=section )|(?<=sections )|(?<=" and ))"([^"]+)"', words)
    notebooks = [HOME[slug], *re.findall(r"of notebook (\d\d)", words)]
    lines = [line for number in notebooks for cell in NOTEBOOKS[number].cells for line in cell.source.splitlines()]
    there = {re.sub(r"[#$`\s]", "", line) for line in lines if line.startswith("#")}
    assert {re.sub(r"\s", "", name) for name in named} <= there


@pytest.mark.parametrize("slug", TASKS)
def test_the_inputs_are_the_same_every_time(slug):
    torch.manual_seed(0)
    first = TASKS[slug].code.cases()
    torch.manual_seed(1)
    again = TASKS[slug].code.cases()
    assert list(first) == list(again)
    assert repr(first) == repr(again)
