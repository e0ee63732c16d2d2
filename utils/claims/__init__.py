"""A claim, the measurement, the verdict: shown as a card, tested each time the notebook runs, collected into a board.

A claim holds its own falsification. Beside the condition that must hold, it names a control: the same measurement
without the effect. If the condition were to hold there too, it would test nothing, and the claim raises as well.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

import numpy as np

from utils.lessons import number_of

__all__ = ["ORIGIN", "VERDICTS", "Arm", "Board", "Claim", "ClaimError", "board", "claim", "collect"]

ORIGIN = "the page this course started from"
VERDICTS = {  # what a card and the board show: a sign for those who see no colour, a colour for the others
    "holds": ("✔", "#00674F"),
    "holds with a caveat": ("◐", "#0B5C8A"),
    "does not hold at this scale": ("▽", "#8A5A00"),
    "does not hold": ("✘", "#A33A00"),
}
NONE_YET = "No claims yet: run the other notebooks of this folder, and save them."
SEEDS = 3

Measured = Mapping[str, np.ndarray]
Changes = Mapping[str, str | np.ndarray]  # arm → the arm, or the values, that take its place in the control


class ClaimError(AssertionError):
    """A claim that the measurement does not bear out, or one that would be borne out by anything."""


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
        return _card(self)


def claim(
    slug: str,
    sentence: str,
    *,
    source: str,
    measured: Mapping[str, Sequence[float] | float],
    unit: str,
    finding: str,
    condition: Callable[[Measured], bool],
    control: tuple[str, Mapping[str, str | Sequence[float] | float]],
    margin: str,
    verdict: str,
    over: str | None = "seeds",
) -> None:
    """Put a claim to the test, and show it as a card.

    Args:
        slug: names the claim for good, as in "before-or-after-relu"; `lessons/nbNN/lesson.toml` has those of a notebook
            in their order, from which the number follows that readers see.
        sentence: the claim, as people make it.
        source: who makes it: `ORIGIN`, or a paper and its section.
        measured: arm → its values, shape (seeds,), or a single number.
        unit: what the values are.
        finding: what was found, in words; this is what `condition` tests.
        condition: of the measured values, each an array (seeds,): whether the finding is borne out.
        control: what the control is, in words, and for each arm that it changes either the name of the arm whose
            values take its place, or values measured without the effect. The condition must fail there.
        margin: how the condition's margin was chosen: how many seeds, on which data, how far they spread.
        verdict: on the sentence (not on the finding), one of `VERDICTS`.
        over: what the values of an arm were repeated over; None for an exact statement that needs no repetition.

    Raises:
        ClaimError: the condition fails on what was measured, or holds on the control.
        ValueError: an unknown slug, verdict or arm, an arm without values, or fewer than three seeds.
    """
    arms = {name: _row(values) for name, values in measured.items()}
    changes = {name: v if isinstance(v, str) else _row(v) for name, v in control[1].items()}
    _check(arms, changes, verdict, over)
    made = Claim(
        slug, number_of("claims", slug), sentence, source, finding, verdict, unit, over, margin, control[0],
        tuple(_arm(name, values) for name, values in arms.items()),
    )  # fmt: skip
    problem = _problem(made, condition, arms, changes)
    _display(made, problem)
    if problem:
        raise ClaimError(problem)


def _row(values: Sequence[float] | float) -> np.ndarray:
    return np.atleast_1d(np.asarray(values, dtype=float))


def _check(arms: Measured, changes: Changes, verdict: str, over: str | None) -> None:
    if verdict not in VERDICTS:
        raise ValueError(f"a verdict is one of: {', '.join(VERDICTS)}; given: {verdict!r}")
    for name, values in arms.items():
        _check_row(f"the arm {name!r}", values)
        if over == "seeds" and len(values) < SEEDS:
            raise ValueError(f"the arm {name!r} has {len(values)} of at least {SEEDS} seeds")
    if not changes:
        raise ValueError("the control changes no arm: say what takes the place of which")
    for name, values in changes.items():
        for arm in (name, values) if isinstance(values, str) else (name,):
            if arm not in arms:
                raise ValueError(f"the control names the arm {arm!r}; there are: {', '.join(arms)}")
        if not isinstance(values, str):  # without values most conditions fail, and a control that fails proves nothing
            _check_row(f"the control of {name!r}", values)


def _check_row(name: str, values: np.ndarray) -> None:
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name} needs a row of numbers; given: shape {values.shape}")


def _problem(made: Claim, condition: Callable[[Measured], bool], arms: Measured, changes: Changes) -> str:
    """Why the claim cannot stand; empty if it does."""
    if not condition(arms):
        numbers = "; ".join(f"{arm.name}: {_numbers(arm)}" for arm in made.arms)
        return f"claim {made.number} is not borne out. Expected: {made.finding} Measured: {numbers}"
    swapped = {name: arms[values] if isinstance(values, str) else values for name, values in changes.items()}
    if condition({**arms, **swapped}):
        return f"claim {made.number} tests nothing: its condition also holds with {made.control}"
    return ""


def _arm(name: str, values: np.ndarray) -> Arm:
    median, least, greatest = (float(f"{number:.3g}") for number in (np.median(values), values.min(), values.max()))
    return Arm(name, median, least, greatest, len(values))


# --- the card


def _display(made: Claim, problem: str) -> None:
    from IPython.display import display  # here, so that the tools can read claims without IPython

    display(
        {"text/plain": repr(made), "text/html": _card(made, problem)},
        metadata={"claim": {**asdict(made), "arms": [_stored(arm) for arm in made.arms], "problem": problem}},
        raw=True,
    )


def _stored(arm: Arm) -> dict:
    """JSON knows no infinity: numbers that are not finite are stored as text."""
    return {key: value if not isinstance(value, float) or np.isfinite(value) else str(value)
            for key, value in asdict(arm).items()}  # fmt: skip


def _numbers(arm: Arm) -> str:
    return f"{arm.median:.3g}" if arm.count == 1 else f"{arm.median:.3g} [{arm.least:.3g}, {arm.greatest:.3g}]"


def _repeated(made: Claim) -> str:
    """What the numbers of an arm are: over 5 seeds, or over 3–5 seeds if the arms differ."""
    counts = [arm.count for arm in made.arms]
    span = "–".join(str(count) for count in sorted({min(counts), max(counts)}))
    return f"median [least, greatest] over {span} {made.over}" if made.over else ""


def _badge(verdict: str) -> str:
    sign, color = VERDICTS[verdict]
    style = f"background: {color}; color: white; padding: 2px 10px; border-radius: 4px"
    return f'<strong style="{style}">{sign} {verdict}</strong>'


def _card(made: Claim, problem: str = "") -> str:
    """Numbers stand in <data> elements, which nbval is told to leave out: they differ from machine to machine."""
    rows = "".join(
        f'<tr><th scope="row" style="text-align: left">{escape(arm.name)}</th>'
        f'<td style="text-align: right"><data value="{arm.median}">{_numbers(arm)}</data></td></tr>'
        for arm in made.arms
    )
    unit = "; ".join(filter(None, [made.unit, _repeated(made)]))
    failed = f"<p><strong>Not borne out here.</strong> <data>{escape(problem)}</data></p>" if problem else ""
    return (
        f'<div style="border-left: 6px solid {VERDICTS[made.verdict][1]}; padding: 4px 16px; margin: 8px 0">'
        f"<p><strong>Claim {made.number}</strong> &nbsp; {_badge(made.verdict)}</p>"
        f'<p style="font-size: 115%">“{escape(made.sentence)}” <em>({escape(made.source)})</em></p>'
        f"<p><strong>Found:</strong> {escape(made.finding)}</p>"
        f'<table><thead><tr><th></th><th scope="col">{escape(unit)}</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
        f"<p><small><strong>Margin:</strong> {escape(made.margin)} "
        f"<strong>Control:</strong> with {escape(made.control)}, the same condition fails.</small></p>{failed}</div>"
    )


# --- the board


class Board:
    """All claims in one table, for a notebook (HTML), a page (Markdown) and a terminal."""

    def __init__(self, claims: Iterable[Claim]):
        self.claims = sorted(claims, key=lambda c: tuple(map(int, c.number.split("."))))

    def __len__(self) -> int:
        return len(self.claims)

    def __repr__(self) -> str:
        if not self.claims:
            return NONE_YET
        return "\n".join(f"{c.number:>5}  {c.verdict:<28} {c.sentence}" for c in self.claims)

    def _repr_html_(self) -> str:
        if not self.claims:
            return f"<p>{NONE_YET}</p>"
        head = "".join(f'<th scope="col">{name}</th>' for name in ("", "claim", "said by", "verdict"))
        body = "".join(
            f'<tr><td><a href="{escape(c.notebook)}">{c.number}</a></td>'
            f'<td style="text-align: left">{escape(c.sentence)}</td>'
            f'<td style="text-align: left">{escape(c.source)}</td>'
            f'<td style="text-align: left">{_badge(c.verdict)}</td></tr>'
            for c in self.claims
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def markdown(self, folder: str = "", numbers: bool = False) -> str:
        """A Markdown table; links lead into `folder`. With `numbers`, also what was measured and the margins.

        Without a claim there is no table: the text is empty.
        """
        if not self.claims:
            return ""
        header = ["", "claim", "said by", "verdict", *(["found", "measured", "margin", "control"] if numbers else [])]
        lines = [header, ["---"] * len(header)]
        for c in self.claims:
            row = [f"[{c.number}]({folder}{c.notebook})", c.sentence, c.source, f"{VERDICTS[c.verdict][0]} {c.verdict}"]
            if numbers:
                repeated = f" ({_repeated(c)})" if c.over else ""
                arms = "; ".join(f"{arm.name} {_numbers(arm)}" for arm in c.arms)
                row += [c.finding, f"{c.unit}{repeated}: {arms}", c.margin, c.control]
            lines.append([cell.replace("|", "\\|").replace("\n", " ") for cell in row])
        return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def collect(folder: Path | str, before: str = "100") -> list[Claim]:
    """The claims stored in the executed notebooks of a folder.

    Args:
        folder: holds NN_*.ipynb.
        before: only notebooks whose number is smaller ("14": all up to 13).

    Raises:
        ValueError: the folder holds no such notebook, a file is no notebook, a claim failed when its notebook was
            executed, or two claims have the same number.
    """
    paths = [path for path in sorted(Path(folder).glob("[0-9][0-9]_*.ipynb")) if int(path.name[:2]) < int(before)]
    if not paths:
        raise ValueError(f"{folder} holds no notebooks NN_*.ipynb: name the folder that holds the course's")
    found: dict[str, Claim] = {}
    for path in paths:
        for made in map(_restored, _cards(path)):
            if made.number in found:
                raise ValueError(f"two claims have the number {made.number}: renumber one, in {path.name}")
            found[made.number] = made
    return list(found.values())


def _cards(path: Path) -> list[dict]:
    """What `_display` stored with each card of a notebook, and the notebook's name."""
    try:
        cells = json.loads(path.read_text("utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is no notebook: execute it again") from error
    metadata = [output.get("metadata", {}) for cell in cells for output in cell.get("outputs", [])]
    return [{**each["claim"], "notebook": path.name} for each in metadata if "claim" in each]


def _restored(stored: dict) -> Claim:
    problem = stored.pop("problem", "")
    if problem:
        raise ValueError(f"{stored['notebook']}: {problem}")
    arms = (
        Arm(arm["name"], *(float(arm[key]) for key in ("median", "least", "greatest")), arm["count"])
        for arm in stored.pop("arms")
    )
    return Claim(**stored, arms=tuple(arms))


def board(folder: Path | str = ".", before: str = "100") -> Board:
    """The board of all claims that the executed notebooks of a folder hold; arguments and errors as `collect`."""
    return Board(collect(folder, before))
