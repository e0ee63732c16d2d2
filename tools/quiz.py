"""What the lecturer's guide says of each notebook: what to ask, the misunderstandings to expect, the quiz."""

import re
from dataclasses import dataclass, field

from tools.slide_texts import DeckError

__all__ = ["Guide", "read"]

PAGE = "docs/lecturers.md"
SECTION = re.compile(r"(?m)^## (?P<number>\d\d) · .+$")
PARAGRAPH = re.compile(r"(?m)^\*\*(?P<name>[\w ]+)\.\*\* +(?P<text>.+)$")
MISUNDERSTANDING = re.compile(r'\*(?P<said>"[^*]+)\*\s*(?P<answer>.*?)(?=\s*\*"|\Z)')
QUESTION = re.compile(r"(?P<question>.+?[?…:.])\s+\((?P<answer>.+)\)")


@dataclass(frozen=True)
class Guide:
    """What the guide says of a notebook.

    Attributes:
        idea: the one idea.
        clock: fifty minutes, by the clock.
        ask: what to ask.
        misunderstandings: what somebody will say, and what to answer.
        quiz: questions, and their answers.
    """

    idea: str = ""
    clock: str = ""
    ask: str = ""
    misunderstandings: tuple[tuple[str, str], ...] = ()
    quiz: tuple[tuple[str, str], ...] = field(default=())

    def told(self, what):
        """A part of it as a paragraph for the speaker's view.

        Args:
            what: "idea", "clock", "ask", or "misunderstanding 1" and so on.

        Raises:
            DeckError: the guide has nothing of that sort for this notebook.
        """
        if what.startswith("misunderstanding"):
            place = int(what.split()[1])
            if not 1 <= place <= len(self.misunderstandings):
                raise DeckError(f"{what}: {PAGE} has {len(self.misunderstandings)} of them for this notebook")
            said, answer = self.misunderstandings[place - 1]
            return f"**Somebody will say:** *{said}* {answer}"
        names = {"idea": "The idea.", "clock": "The clock.", "ask": "Ask."}
        if not getattr(self, what):
            raise DeckError(f"{what}: {PAGE} has no **{names[what]}** for this notebook")
        return f"**{names[what]}** {getattr(self, what)}"

    @property
    def parts(self):
        """What a slide may take over from it."""
        return [
            *(["ask"] if self.ask else []),
            *(f"misunderstanding {i + 1}" for i in range(len(self.misunderstandings))),
        ]


def read(root):
    """The guide of each notebook, number → `Guide`; none if the project has no guide.

    Raises:
        DeckError: a question without an answer; the text says which.
    """
    page = root / PAGE
    if not page.exists():
        return {}
    _, *parts = SECTION.split(page.read_text("utf-8"))
    return {number: guide(number, text) for number, text in zip(parts[::2], parts[1::2], strict=True)}


def guide(number, text):
    found = {match["name"]: match["text"].strip() for match in PARAGRAPH.finditer(text)}
    told = MISUNDERSTANDING.findall(found.get("Misunderstandings", ""))
    return Guide(
        idea=found.get("The idea", ""),
        clock=found.get("The clock", ""),
        ask=found.get("Ask", ""),
        misunderstandings=tuple((said, answer.strip()) for said, answer in told),
        quiz=tuple(question(number, part) for part in filter(None, found.get("Quiz", "").split(" · "))),
    )


def question(number, text):
    """A question of the quiz, and its answer."""
    match = QUESTION.fullmatch(text.strip())
    if not match:
        raise DeckError(f'{PAGE}, notebook {number}: "{text.strip()[:60]}" is not a question? with its (Answer.)')
    return match["question"], match["answer"]
