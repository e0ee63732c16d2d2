"""How an exercise is written down: what is right, which mistakes are expected, what is said about each, which hints.

Three kinds: `Code` (a function or a class, run on made-up inputs), `Choice` (a letter), `Number` (a prediction). The
words of all three stand in `lessons/nbNN/exercises.toml`, plain, with `code` between backticks, and none of them holds
the solution. What has to be computed for a `Code` stands beside it in `exercises.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from torch import Tensor

from utils import lessons
from utils.lessons import paragraphs

__all__ = [
    "DIFFICULTIES",
    "Answers",
    "Choice",
    "Code",
    "Exercise",
    "Mistake",
    "Number",
    "Task",
    "Unusable",
    "call",
    "described",
    "find",
    "of_notebook",
]

DIFFICULTIES = ("★☆☆ easy", "★★☆ medium", "★★★ hard")
HINTS = 3


class Unusable(Exception):
    """The answer does not have the form that the task asks for; the text says what is missing."""


def described(made: Any) -> str:
    """What an answer has returned, for a message: "a tensor of shape (3,)", "a list", or that it is nothing."""
    if made is None:
        return "nothing: is a `return` missing?"
    if isinstance(made, Tensor):
        return f"a tensor of shape {tuple(made.shape)}"
    return f"a {type(made).__name__}"


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
        remark: what to take away, shown with a right answer.

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
class Code:
    """What is computed for an exercise whose answer is a function or a class; `exercises.py` gives one for each slug.

    Attributes:
        truth: an answer that is right.
        cases: makes the inputs, the same every time: name of the case → arguments of the trial.
        mistakes: key of an expected mistake → an answer that makes it, the likely ones first.
        trial: (answer, *arguments) → name of an observation → its value: a tensor, a number, or a text. The default
            calls the answer. It raises `Unusable` if the answer has the wrong form.
        form: brings tensors of different shapes that are equally right into one, in the truth as in the answer.
        axes: what the axes of an observation are called, from the left.
        seconds: how long all cases together may take.
    """

    truth: Callable
    cases: Callable[[], Mapping[str, tuple]]
    mistakes: Mapping[str, Callable] = field(default_factory=dict)
    trial: Callable[..., Mapping[str, Any]] = call
    form: Callable[[Tensor], Tensor] = lambda tensor: tensor
    axes: Sequence[str] = ()
    seconds: float = 10


@dataclass(frozen=True, kw_only=True)
class Task(Exercise):
    """A function or a class to write: its words, and the `Code` that tries it.

    Attributes:
        code: how it is tried.
        mistakes: those that are expected, in the order in which they are looked for.
    """

    code: Code
    mistakes: Sequence[Mistake] = ()


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


@dataclass(frozen=True)
class Answers:
    """What the check of one `Code` exercise must say of whom; `answers.py` gives them, for the tests.

    Attributes:
        right: at least two, differently written; the notebook's own solution comes on top.
        wrong: (the key of the message that it must get, the answer), at least three, in other words than in
            `Code.mistakes`, which are tried as well; at least one is no expected mistake.
    """

    right: Sequence[Any]
    wrong: Sequence[tuple[str, Any]]


@cache
def of_notebook(notebook: str) -> Mapping[str, Exercise]:
    """The exercises of a notebook, slug → exercise; empty if it has none. `notebook` is its number, "02".

    Raises:
        ValueError: the words do not fit what is computed; the text says which, and how.
    """
    module = lessons.load_module(notebook, "exercises")
    computed = module.EXERCISES if module else {}
    words = lessons.table(notebook, "exercises")
    if unknown := computed.keys() - words.keys():
        raise ValueError(f"lessons/nb{notebook}/exercises.toml has no words for {', '.join(sorted(unknown))}")
    return {slug: _exercise(f"lessons/nb{notebook}: {slug}", told, computed.get(slug)) for slug, told in words.items()}


def _exercise(where: str, told: Mapping[str, Any], code: Code | None) -> Exercise:
    made = {key: _reflowed(value) for key, value in told.items()}
    if isinstance(told.get("right"), str):
        return Choice(**made)
    likes = code.mistakes if code else {}
    made["mistakes"] = [
        Mistake(key, like=likes.get(key), **(said if isinstance(said, dict) else {"message": said}))
        for key, said in made.get("mistakes", {}).items()
    ]
    if unknown := likes.keys() - {mistake.key for mistake in made["mistakes"]}:
        raise ValueError(f"{where}: exercises.toml has no message for {', '.join(sorted(unknown))}")
    if "right" in told:
        return Number(**made)
    if code is None:
        raise ValueError(f"{where}: it has neither `right` in exercises.toml nor a Code in exercises.py")
    return Task(code=code, **made)


def _reflowed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: each if key == "raising" else _reflowed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_reflowed(each) for each in value]
    return paragraphs(value) if isinstance(value, str) else value


def find(slug: str) -> tuple[str, Exercise]:
    """The exercise with this slug, and the number that readers see.

    Raises:
        ValueError: there is none.
    """
    number = lessons.number_of("exercises", slug)
    return number, of_notebook(lessons.lesson_of("exercises", slug))[slug]
