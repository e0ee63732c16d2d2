"""Examines an answer: runs it, compares it with the truth, and finds the expected mistake that explains it."""

import copy
import functools
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from utils.exercises import limits
from utils.exercises.definitions import Choice, Code, Mistake, Number, Task, Unusable, find
from utils.exercises.differences import Difference, as_tensor, compare, digits
from utils.exercises.memory import words
from utils.exercises.state import fixed_state
from utils.exercises.unsolved import hands_over_a_solution, is_empty, is_stub
from utils.exercises.verdicts import Verdict, display_card

__all__ = ["check", "examine"]

PRINTED = 400  # characters of what the learner's code prints, and of an error's text

Results = dict[str, Any]  # name of a case → its observations, or the error it raised
_KEPT: dict[tuple[int, int], tuple[Code, Callable, Results]] = {}


def check(slug: str, answer: Any) -> None:
    """Check an answer and say at once what is right or wrong with it. Nothing is raised for a wrong answer.

    A right answer whose variable ends in `_solution` or `Solution` is the notebook's own, and is called that.

    Args:
        slug: of the exercise, as in "without-a-matrix".
        answer: what the task asks for: the function or class itself (not its result), a letter, or a number.

    Raises:
        ValueError: there is no such exercise.
    """
    verdict = examine(slug, answer)
    if verdict.state == "right" and hands_over_a_solution(sys._getframe(1)):
        verdict = replace(verdict, ours=True)
    display_card(verdict, find(slug)[1])


def examine(slug: str, answer: Any) -> Verdict:
    """What `check` says, without showing it; arguments and errors as there."""
    number, exercise = find(slug)
    if answer is None or answer is ...:
        return Verdict(number, "not solved yet")
    if isinstance(exercise, Task):
        return _examine_code(number, exercise, answer)
    examine_value = _examine_choice if isinstance(exercise, Choice) else _examine_number
    key, message = examine_value(exercise, answer)
    return _right(number, exercise) if not key else Verdict(number, "not right yet", key, message)


def _right(number: str, exercise: Any, printed: str = "") -> Verdict:
    return Verdict(number, "right", message=exercise.remark, printed=printed)


# --- letters and numbers


def _examine_choice(exercise: Choice, answer: Any) -> tuple[str, str]:
    letter = answer.strip().strip("().").lower() if isinstance(answer, str) else ""
    if letter == exercise.right:
        return "", ""
    if letter in exercise.wrong:
        return letter, exercise.wrong[letter]
    letters = ", ".join(f'"{letter}"' for letter in sorted({*exercise.wrong, exercise.right}))
    return "no_option", f"Give one letter of {letters}."


def _examine_number(exercise: Number, answer: Any) -> tuple[str, str]:
    try:
        value = as_tensor(answer)
        given = (answer if value is None else value).__float__()  # unlike float(), it reads no text
    except Exception:  # whatever the learner's own class may raise
        given = None
    if not isinstance(given, float):
        return "wrong_type", f"Give one number, such as 0.5; this is a {type(answer).__name__}."
    if abs(given - exercise.right) <= exercise.tolerance:
        return "", ""
    for mistake in exercise.mistakes:
        if abs(given - mistake.value) <= exercise.tolerance:
            return mistake.key, mistake.message
    if given != given:
        return "nan", "NaN is not a number. Look at how it came about."
    direction = "high" if given > exercise.right else "low"
    return f"too_{direction}", f"{digits(given, 6)} is too {direction}. Look again at {exercise.look}."


# --- code


def _examine_code(number: str, exercise: Task, answer: Any) -> Verdict:
    asked = "class" if isinstance(exercise.code.truth, type) else "function or class"
    made = asked == "class" and not (isinstance(answer, (type, functools.partial)) or inspect.isroutine(answer))
    if made or not callable(answer):
        message = f"Hand over the {asked} itself, without calling it; this is a {type(answer).__name__}."
        return Verdict(number, "not right yet", "not_callable", message)
    results: Results = {}
    changed: list[str] = []
    outcome = limits.run(lambda: _try_out(exercise.code, answer, results, changed), exercise.code.seconds)
    printed = outcome.printed[:PRINTED] + ("…" if len(outcome.printed) > PRINTED else "")
    if is_stub(outcome.error):
        return Verdict(number, "not solved yet")
    key, message = _judge(exercise, results, changed, outcome)
    if not key:
        return _right(number, exercise, printed)
    if is_empty(answer):
        return Verdict(number, "not solved yet")
    return Verdict(number, "not right yet", key, message, printed)


def _try_out(code: Code, answer: Callable, results: Results, changed: list[str]) -> None:
    """Run the trial on every case. An error ends its case; what must end the whole check goes through."""
    for name, arguments in code.cases().items():
        before = copy.deepcopy(arguments)
        try:
            results[name] = dict(code.trial(answer, *arguments))
        except (Exception, SystemExit) as error:
            if limits.is_allocation(error) or is_stub(error):
                raise
            results[name] = error
        if not _alike(before, arguments):
            changed.append(name)


def _alike(before: tuple, after: tuple) -> bool:
    """Whether the tensors among the arguments are what they were; networks may be meant to change."""
    pairs = zip(tree_leaves(before), tree_leaves(after), strict=False)
    return all(_same(a, b) for a, b in pairs if isinstance(a, Tensor) and isinstance(b, Tensor))


def _same(a: Tensor, b: Tensor) -> bool:
    """Equal in shape, type and values, NaN being equal to NaN."""
    return a.shape == b.shape and a.dtype == b.dtype and bool(((a == b) | ((a != a) & (b != b))).all())


def _results(code: Code, answer: Callable) -> Results:
    """What the truth, or an expected mistake, gives: without limits, in the state of `limits.run`."""
    key = id(code), id(answer)
    if key not in _KEPT:
        results: Results = {}
        with fixed_state(), warnings.catch_warnings(action="ignore"):
            _try_out(code, answer, results, [])
        _KEPT[key] = (code, answer, results)  # the first two only so that no other object gets their ids
    return _KEPT[key][2]


def _judge(exercise: Task, results: Results, changed: list[str], outcome: limits.Outcome) -> tuple[str, str]:
    """(key, message) of what is wrong; two empty texts if nothing is."""
    if outcome.error is not None:
        return _stopped(exercise, outcome)
    true = _results(exercise.code, exercise.code.truth)
    first = next(((name, found) for name in true if (found := _different(exercise, results[name], true[name]))), None)
    if first is None:
        if not changed:
            return "", ""
        return (
            "changes_input",
            "The result is right, but your code has changed its input. Work on a new tensor instead.",
        )
    name, found = first
    error = results[name] if isinstance(results[name], BaseException) else None
    where = "" if error is None else f"\n{_at(error)}"
    for mistake in exercise.mistakes:
        if _explains(exercise, mistake, results, error):
            return mistake.key, mistake.message + where
    if isinstance(error, Unusable):
        return "unusable", str(error)
    if error is not None:
        return "raises", f"{_at(error)}\nThe input was: {name}."
    return found.key, f"With {name}, {found.text}\nLook again at {exercise.look}."


def _different(exercise: Task, given: Any, expected: Any) -> Difference | None:
    """The first difference in a case, with the name of what was observed."""
    if isinstance(expected, BaseException) or isinstance(given, BaseException):
        same = type(expected) is type(given)
        return None if same else Difference("raises", "")
    for what, value in expected.items():
        found = compare(given.get(what), value, exercise.code.form, exercise.code.axes)
        if found:
            return Difference(found.key, f"look at the {what}: {found.text}")
    return None


def _explains(exercise: Task, mistake: Mistake, results: Results, error: BaseException | None) -> bool:
    if mistake.raising and error is not None and not isinstance(error, Unusable):  # that one's text is ours
        return bool(re.search(mistake.raising, f"{type(error).__name__}: {words(error)}"))
    if mistake.like is None:
        return False
    wrong = _results(exercise.code, mistake.like)
    if not any(isinstance(results[name], Mapping) and isinstance(wrong[name], Mapping) for name in wrong):
        return False  # errors of the same type alone say too little
    return not any(_different(exercise, results[name], wrong[name]) for name in wrong)


def _stopped(exercise: Task, outcome: limits.Outcome) -> tuple[str, str]:
    """The answer was stopped, or raised what ends a check."""
    error, spot = outcome.error, limits.place(outcome.error)
    line = f" It was at {_line(spot)}." if spot else ""
    if isinstance(error, limits.TimeUp):
        message = f"Your code was stopped after {exercise.code.seconds:g} seconds: does a loop never end?{line}"
        if outcome.unstoppable:
            message += "\nBut that did not succeed, and it is still running: restart the kernel."
        return "takes_too_long", message
    if isinstance(error, MemoryError):
        asked = f" ({words(error)})" if words(error) else ""
        return "too_large", f"Your code was stopped since it asked for too much memory{asked}.{line}"
    return "raises", _at(error)


def _at(error: BaseException) -> str:
    """An error with the learner's own line."""
    said = words(error).strip().split("\n")[0] or "(no message)"
    text = f"{type(error).__name__}: {said[:PRINTED]}{'…' * (len(said) > PRINTED)}"
    spot = limits.place(error)
    if spot is None:
        return f"Your answer cannot be used as the task asks. {text}"
    line = _line(spot)
    return f"{line[0].upper()}{line[1:]}, raises {text}"


def _line(spot: limits.Place) -> str:
    return f"line {spot.line} of the cell, `{spot.text}`" if spot.text else f"line {spot.line}"
