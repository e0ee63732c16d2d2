"""A claim is put to the test each time its notebook runs.

A claim holds its own falsification. Beside the condition that must hold, it names a control: the same measurement
without the effect. If the condition were to hold there too, it would test nothing, and the claim raises as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from utils.claims.card import VERDICTS, Arm, Claim, html, numbers
from utils.lessons import number_of

__all__ = ["ClaimError", "claim"]

SEEDS = 3

Measured = Mapping[str, np.ndarray]
Changes = Mapping[str, str | np.ndarray]  # arm → the arm, or the values, that take its place in the control


class ClaimError(AssertionError):
    """A claim that the measurement does not bear out, or one that would be borne out by anything."""


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
        listed = "; ".join(f"{arm.name}: {numbers(arm)}" for arm in made.arms)
        return f"claim {made.number} is not borne out. Expected: {made.finding} Measured: {listed}"
    swapped = {name: arms[values] if isinstance(values, str) else values for name, values in changes.items()}
    if condition({**arms, **swapped}):
        return f"claim {made.number} tests nothing: its condition also holds with {made.control}"
    return ""


def _arm(name: str, values: np.ndarray) -> Arm:
    median, least, greatest = (float(f"{number:.3g}") for number in (np.median(values), values.min(), values.max()))
    return Arm(name, median, least, greatest, len(values))


def _display(made: Claim, problem: str) -> None:
    from IPython.display import display  # here, so that the tools can read claims without IPython

    display(
        {"text/plain": repr(made), "text/html": html(made, problem)},
        metadata={"claim": {**asdict(made), "arms": [_stored(arm) for arm in made.arms], "problem": problem}},
        raw=True,
    )


def _stored(arm: Arm) -> dict:
    """JSON knows no infinity: numbers that are not finite are stored as text."""
    return {key: value if not isinstance(value, float) or np.isfinite(value) else str(value)
            for key, value in asdict(arm).items()}  # fmt: skip
