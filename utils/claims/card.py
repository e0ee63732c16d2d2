"""What was claimed, measured and found, and the card that shows it."""

from dataclasses import dataclass
from html import escape

from utils.tables import Markup, html_table

__all__ = ["ORIGIN", "VERDICTS", "Arm", "Claim", "badge", "html", "numbers", "repeated"]

ORIGIN = "the page this course started from"
VERDICTS = {  # what a card and the board show: a sign for those who see no colour, a colour for the others
    "holds": ("✔", "#00674F"),
    "holds with a caveat": ("◐", "#0B5C8A"),
    "does not hold at this scale": ("▽", "#8A5A00"),
    "does not hold": ("✘", "#A33A00"),
}


@dataclass(frozen=True)
class Arm:
    """One arm of an experiment: its name, and the median, least, greatest and number of its values."""

    name: str
    median: float
    least: float
    greatest: float
    count: int


@dataclass(frozen=True)
class Claim:
    """What a card shows and a notebook stores; the arguments of `claim`, with the values summed up as arms."""

    slug: str
    number: str
    sentence: str
    source: str
    finding: str
    verdict: str
    unit: str
    over: str | None
    margin: str
    control: str
    arms: tuple[Arm, ...]
    notebook: str = ""

    def __repr__(self) -> str:
        return f"Claim {self.number}: {self.verdict}. {self.finding}"

    def _repr_html_(self) -> str:
        return html(self)


def numbers(arm: Arm) -> str:
    """An arm's median, and where it has several values the least and the greatest."""
    return f"{arm.median:.3g}" if arm.count == 1 else f"{arm.median:.3g} [{arm.least:.3g}, {arm.greatest:.3g}]"


def repeated(made: Claim) -> str:
    """What the numbers of an arm are: over 5 seeds, or over 3–5 seeds if the arms differ."""
    counts = [arm.count for arm in made.arms]
    span = "–".join(str(count) for count in sorted({min(counts), max(counts)}))
    return f"median [least, greatest] over {span} {made.over}" if made.over else ""


def badge(verdict: str) -> str:
    """A verdict with its sign, white on its colour."""
    sign, color = VERDICTS[verdict]
    style = f"background: {color}; color: white; padding: 2px 10px; border-radius: 4px"
    return f'<strong style="{style}">{sign} {verdict}</strong>'


def html(made: Claim, problem: str = "") -> str:
    """A claim's card, with what went wrong if something did.

    Numbers stand in <data> elements, which nbval is told to leave out: they differ from machine to machine.
    """
    rows = [(arm.name, Markup(f'<data value="{arm.median}">{numbers(arm)}</data>')) for arm in made.arms]
    unit = "; ".join(filter(None, [made.unit, repeated(made)]))
    failed = f"<p><strong>Not borne out here.</strong> <data>{escape(problem)}</data></p>" if problem else ""
    return (
        f'<div style="border-left: 6px solid {VERDICTS[made.verdict][1]}; padding: 4px 16px; margin: 8px 0">'
        f"<p><strong>Claim {made.number}</strong> &nbsp; {badge(made.verdict)}</p>"
        f'<p style="font-size: 115%">“{escape(made.sentence)}” <em>({escape(made.source)})</em></p>'
        f"<p><strong>Found:</strong> {escape(made.finding)}</p>"
        f"{html_table(('', unit), rows)}"
        f"<p><small><strong>Margin:</strong> {escape(made.margin)} "
        f"<strong>Control:</strong> with {escape(made.control)}, the same condition fails.</small></p>{failed}</div>"
    )
