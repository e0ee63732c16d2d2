"""Right and wrong answers to the exercises, written as a learner would: one module a notebook, `nb02` for 02."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Answers:
    """What the check of one exercise must say of whom.

    Attributes:
        right: at least two, differently written; the notebook's own solution comes on top.
        wrong: at least five: (the key of the message that it must get, the answer).
    """

    right: list[Any] = field(default_factory=list)
    wrong: list[tuple[str, Any]] = field(default_factory=list)
