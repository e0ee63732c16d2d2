"""How an exercise is written down: what is right, which mistakes are expected, what is said about each, which hints.

Three kinds: `Code` (a function or a class, run on made-up inputs), `Choice` (a letter), `Number` (a prediction).
Texts are plain, with `code` between backticks. None of them holds the solution.
"""

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

__all__ = ["DIFFICULTIES", "Choice", "Code", "Exercise", "Mistake", "Number", "Unusable", "find", "of_notebook"]

DIFFICULTIES = ("★☆☆ easy", "★★☆ medium", "★★★ hard")
NUMBER = re.compile(r"([1-9]?\d)\.[1-9]")
HINTS = 3


class Unusable(Exception):
    """The answer does not have the form that the task asks for; the text says what is missing."""


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that is expected, how it is recognised, and what the learner is told.

    Attributes:
        key: its name, for the tests.
        message: what went wrong and where to look; never the solution.
        like: an answer that makes this mistake. It is recognised when the learner's gives the same results.
        raising: a pattern of "ErrorType: text". It is recognised when the learner's answer raises that.
        value: in a `Number`, the number that it leads to.
    """

    key: str
    message: str
    like: Callable | None = None
    raising: str = ""
    value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """What all kinds have in common.

    Attributes:
        minutes: how long it takes.
        difficulty: one of `DIFFICULTIES`.
        hints: up to three, each giving away a little more, none the solution.
        look: where in the notebook to look again, as the end of "Look again at …".
        remark: what to take along, shown with a right answer.

    Raises:
        ValueError: an unknown difficulty, or no hint, or more than three.
    """

    minutes: int
    difficulty: str
    hints: Sequence[str]
    look: str
    remark: str = ""

    def __post_init__(self):
        if self.difficulty not in DIFFICULTIES:
            raise ValueError(f"a difficulty is one of {', '.join(DIFFICULTIES)}; given: {self.difficulty}")
        if not 1 <= len(self.hints) <= HINTS:
            raise ValueError(f"an exercise has one to {HINTS} hints; given: {len(self.hints)}")


def call(answer: Callable, *arguments: Any) -> dict[str, Any]:
    """The trial of a function: its result."""
    return {"result": answer(*arguments)}


@dataclass(frozen=True, kw_only=True)
class Code(Exercise):
    """A function or a class, run on made-up inputs and compared with the truth.

    Attributes:
        truth: an answer that is right.
        cases: makes the inputs, the same every time: name of the case → arguments of the trial.
        mistakes: those that are expected, the likely ones first.
        trial: (answer, *arguments) → name of an observation → its value: a tensor, a number, or a text. The default
            calls the answer. It raises `Unusable` if the answer has the wrong form.
        form: brings tensors of different shapes that are equally right into one, in the truth as in the answer.
        axes: what the axes of an observation are called, from the left.
        seconds: how long all cases together may take.
    """

    truth: Callable
    cases: Callable[[], Mapping[str, tuple]]
    mistakes: Sequence[Mistake]
    trial: Callable[..., Mapping[str, Any]] = call
    form: Callable[[Tensor], Tensor] = lambda tensor: tensor
    axes: Sequence[str] = ()
    seconds: float = 10


@dataclass(frozen=True, kw_only=True)
class Choice(Exercise):
    """One of several letters, which stand in the notebook with their texts.

    Attributes:
        right: the letter.
        wrong: each other letter → what speaks against it.
    """

    right: str
    wrong: Mapping[str, str]

    @property
    def mistakes(self) -> list[Mistake]:
        return [Mistake(letter, message) for letter, message in self.wrong.items()]


@dataclass(frozen=True, kw_only=True)
class Number(Exercise):
    """A number to predict.

    Attributes:
        right: the number.
        tolerance: how far from it, or from a mistake's value, an answer may be.
        mistakes: expected ones, each with its value.
    """

    right: float
    tolerance: float
    mistakes: Sequence[Mistake] = field(default=())


def of_notebook(notebook: str) -> Mapping[str, Exercise]:
    """The exercises of a notebook, number → exercise; empty if it has none. `notebook` is its number, "02"."""
    name = f"utils.exercises.nb{notebook}"
    try:
        return importlib.import_module(name).EXERCISES
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return {}


def find(number: str) -> Exercise:
    """The exercise with this number.

    Raises:
        ValueError: there is none.
    """
    match = NUMBER.fullmatch(number) if isinstance(number, str) else None
    there = of_notebook(f"{int(match[1]):02d}") if match else {}
    if number not in there:
        known = f"; this notebook has {', '.join(there)}" if there else ', write it as in "2.1"'
        raise ValueError(f"there is no exercise {number!r}{known}")
    return there[number]
