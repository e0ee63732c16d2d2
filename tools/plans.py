"""Plans for a lecture and for half a day: slides of several notebooks in one deck, each with its minutes.

A plan stands in `lessons/plans.toml`:

    [lecture]
    title = "Batch normalization in one lecture"

    [[lecture.parts]]
    notebook = "what_does_normalizing_one_batch_do"     # without its number, which may change
    [lecture.parts.minutes]                             # its slides in order, each by its first cell
    title = 0.5
    03 = 1

    [[lecture.parts]]
    pause = "Break"                                     # a slide of its own
    minutes = 10

The slides that no cell begins are called title, verdicts (verdicts-2, …), quiz and last.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.deck_slides import Slide
from tools.decks import Deck
from tools.slide_texts import DeckError

__all__ = ["Plan", "merged", "names", "read"]

PLACE = "lessons/plans.toml"


@dataclass(frozen=True)
class Plan:
    """A plan: its title, and its parts as they stand in the file."""

    name: str
    title: str
    parts: tuple[Mapping, ...]

    @property
    def seconds(self) -> int:
        """How long it takes altogether."""
        return round(sum(sum(map(seconds, minutes_of(part))) for part in self.parts))


def minutes_of(part: Mapping) -> list[float]:
    minutes = part["minutes"]
    return list(minutes.values()) if isinstance(minutes, Mapping) else [minutes]


def seconds(minutes: float) -> int:
    return round(60 * minutes)


def names(root: Path) -> dict[str, str]:
    """The plans of a project, name → title."""
    path = root / PLACE
    return (
        {name: plan["title"] for name, plan in tomllib.loads(path.read_text("utf-8")).items()} if path.exists() else {}
    )


def read(root: Path, name: str) -> Plan:
    """A plan by its name.

    Raises:
        DeckError: there is no such plan, or a part of it says neither notebook nor pause, or no minutes.
    """
    if name not in names(root):
        raise DeckError(f'{PLACE}: there is no plan "{name}"; there are: {", ".join(names(root)) or "none"}')
    plan = tomllib.loads((root / PLACE).read_text("utf-8"))[name]
    for number, part in enumerate(plan["parts"], 1):
        if len({"notebook", "pause"} & set(part)) != 1 or "minutes" not in part:
            raise DeckError(f"{PLACE}: {name}, part {number}: it needs a notebook or a pause, and its minutes")
    return Plan(name, plan["title"], tuple(plan["parts"]))


def merged(plan: Plan, decks: Mapping[str, Callable[[], Deck]]) -> Deck:
    """The deck of a plan.

    Args:
        plan: the plan.
        decks: the name of a notebook, without its number → a function that cuts its deck.

    Raises:
        DeckError: a notebook, or a slide of one, that is not there.
    """
    slides = [opening(plan)]
    cut: dict[str, dict[str, Slide]] = {}
    for number, part in enumerate(plan.parts, 1):
        where = f"{PLACE}: {plan.name}, part {number}"
        if "pause" in part:
            slide = Slide(f"pause-{number}", plan.title, "pause")
            slide.heading, slide.seconds = part["pause"], seconds(part["minutes"])
            slides.append(slide)
            continue
        name = part["notebook"]
        if name not in decks:
            raise DeckError(f'{where}: there is no notebook "{name}"; there are: {", ".join(decks)}')
        if name not in cut:
            cut[name] = {name_of(slide): slide for slide in decks[name]().slides}
        for cell, minutes in part["minutes"].items():
            if cell not in cut[name]:
                raise DeckError(f'{where}: no slide begins with "{cell}"; there are: {", ".join(cut[name])}')
            slide = cut[name].pop(cell)
            slide.seconds = seconds(minutes)
            slides.append(slide)
    return Deck(number="", question=plan.title, slides=slides)


def name_of(slide: Slide) -> str:
    """What a plan calls a slide: its first cell, or what it is."""
    return "title" if slide.kind == "opening" else slide.name.partition("-")[2]


def opening(plan: Plan) -> Slide:
    """The title of a plan, with what comes, and when, in the speaker's view."""
    slide = Slide("title", plan.title, "opening")
    slide.heading, slide.seconds = plan.title, 1  # reveal.js takes 0 for "not planned"
    rows, minute = [], 0.0
    for part in plan.parts:
        rows.append(f"- **{minute:g}** {part.get('pause') or part['notebook'].replace('_', ' ')}")
        minute += sum(minutes_of(part))
    slide.notes = ["\n".join([*rows, f"- **{minute:g}** the end"])]
    return slide
