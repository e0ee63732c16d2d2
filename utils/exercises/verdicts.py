"""What the learner is told, and the card that shows it in a notebook or a terminal."""

import re
from dataclasses import dataclass
from html import escape

from utils.exercises.definitions import Exercise

__all__ = ["Verdict", "display_card"]

SIGNS = {"right": ("✔", "#00674F"), "not solved yet": ("○", "#4A4A4A"), "not right yet": ("✘", "#A33A00")}


@dataclass(frozen=True)
class Verdict:
    """What became of an answer.

    Attributes:
        number: of the exercise.
        state: "right", "not solved yet" or "not right yet".
        key: which mistake; empty if there is none.
        message: for the learner.
        printed: what the learner's code printed, or warned of.
    """

    number: str
    state: str
    key: str = ""
    message: str = ""
    printed: str = ""


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
    parts = [f"Exercise {verdict.number}: {verdict.state}.", verdict.message]
    if verdict.printed:
        parts.append(f"Your code printed: {verdict.printed}")
    if verdict.state == "not solved yet":
        parts.insert(1, f"{exercise.minutes} minutes, {exercise.difficulty}.")
    return "\n".join(filter(None, parts)).replace("`", "")


def html(verdict: Verdict, exercise: Exercise) -> str:
    """A verdict as a card."""
    sign, color = SIGNS[verdict.state]
    badge = (
        f'<strong style="background: {color}; color: white; padding: 2px 10px; border-radius: 4px">'
        f"{sign} {verdict.state}</strong>"
    )
    waiting = f" &nbsp; {exercise.minutes} minutes · {exercise.difficulty}" if verdict.state == "not solved yet" else ""
    said = "".join(f"<p>{_marked(part)}</p>" for part in verdict.message.split("\n") if part)
    if verdict.state == "right" and said:  # folded: the solution's card stands in the notebook for all to see
        said = f"<details><summary>Why, and what to take along</summary>{said}</details>"
    printed = f"<p>Your code printed:</p><pre>{escape(verdict.printed)}</pre>" if verdict.printed else ""
    hints = "" if verdict.state == "right" else _hints(exercise)
    return (
        f'<div style="border-left: 6px solid {color}; padding: 4px 16px; margin: 8px 0">'
        f"<p><strong>Exercise {verdict.number}</strong> &nbsp; {badge}{waiting}</p>{said}{printed}{hints}</div>"
    )


def _hints(exercise: Exercise) -> str:
    """Each hint folded away inside the one before, so that they can only be opened one at a time."""
    folded = ""
    for place in range(len(exercise.hints), 0, -1):
        folded = (
            f"<details><summary>Hint {place} of {len(exercise.hints)}</summary>"
            f"<p>{_marked(exercise.hints[place - 1])}</p>{folded}</details>"
        )
    return folded


def _marked(message: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(message, quote=False))
