"""What the learner is told, and the card that shows it in a notebook or a terminal."""

from dataclasses import dataclass
from html import escape

from utils.exercises.definitions import Exercise
from utils.tables import with_code

__all__ = ["Verdict", "display_card"]

SIGNS = {"right": ("✔", "#00674F"), "not solved yet": ("○", "#4A4A4A"), "not right yet": ("✘", "#A33A00")}
OURS = "the solution passes"
# Close together: stub, check and verdict are to fit on one screen, at a projector's zoom too.
TIGHT = "margin: 2px 0"


@dataclass(frozen=True)
class Verdict:
    """What became of an answer.

    Attributes:
        number: of the exercise.
        state: "right", "not solved yet" or "not right yet".
        key: which mistake; empty if there is none.
        message: for the learner.
        printed: what the learner's code printed, or warned of.
        ours: whether it is the notebook's own solution that is right, and nothing that the learner did.
    """

    number: str
    state: str
    key: str = ""
    message: str = ""
    printed: str = ""
    ours: bool = False


def display_card(verdict: Verdict, exercise: Exercise) -> None:
    """Show a verdict, with the hints unless it is right. The notebook stores number, state and key with it."""
    from IPython.display import display  # here, so that the tests can examine answers without IPython

    display(
        {"text/plain": text(verdict, exercise), "text/html": html(verdict, exercise)},
        metadata={"exercise": {"number": verdict.number, "state": verdict.state, "key": verdict.key}},
        raw=True,
    )


def text(verdict: Verdict, exercise: Exercise) -> str:
    """A verdict as plain text; the hints are left to the HTML, which can fold them away."""
    parts = [f"Exercise {verdict.number}: {OURS if verdict.ours else verdict.state}.", verdict.message]
    if verdict.printed:
        parts.append(f"Your code printed: {verdict.printed}")
    if verdict.state == "not solved yet":
        parts.insert(1, f"{exercise.minutes} minutes, {exercise.difficulty}.")
    return "\n".join(filter(None, parts)).replace("`", "")


def html(verdict: Verdict, exercise: Exercise) -> str:
    """A verdict as a card; of the notebook's own solution it is a quiet one."""
    sign, color = SIGNS[verdict.state]
    badge = (
        f'<strong style="background: {color}; color: white; padding: 1px 8px; border-radius: 4px">'
        f"{sign} {verdict.state}</strong>"
    )
    if verdict.ours:
        color, badge = "#8A8A8A", f'<span style="opacity: 0.8">{OURS}</span>'
    waiting = f" &nbsp; {exercise.minutes} minutes · {exercise.difficulty}" if verdict.state == "not solved yet" else ""
    said = "".join(map(_paragraph, filter(None, verdict.message.split("\n"))))
    if verdict.state == "right" and said:  # folded: the solution's card stands in the notebook for all to see
        said = _folded("Why, and what to take away", said)
    printed = ""
    if verdict.printed:
        style = f"{TIGHT}; max-height: 8em; overflow: auto"
        printed = f'{_paragraph("Your code printed:")}<pre style="{style}">{escape(verdict.printed)}</pre>'
    hints = "" if verdict.state == "right" else _hints(exercise)
    return (
        f'<div style="border-left: 6px solid {color}; padding: 1px 12px; margin: 4px 0; line-height: 1.4">'
        f'<p style="{TIGHT}"><strong>Exercise {verdict.number}</strong> &nbsp; {badge}{waiting}</p>'
        f"{said}{printed}{hints}</div>"
    )


def _hints(exercise: Exercise) -> str:
    """Each hint folded away inside the one before, so that they can only be opened one at a time."""
    folded = ""
    for place in range(len(exercise.hints), 0, -1):
        folded = _folded(f"Hint {place} of {len(exercise.hints)}", _paragraph(exercise.hints[place - 1]) + folded)
    return folded


def _folded(summary: str, inside: str) -> str:
    return f"<details><summary>{summary}</summary>{inside}</details>"


def _paragraph(message: str) -> str:
    return f'<p style="{TIGHT}">{with_code(escape(message, quote=False))}</p>'
