"""What runs say of an effect: an estimate with an interval that covers other seeds and other test pictures.

An arm is an array: (S,), a number for each of S seeds, or (S, P), whether each of P test pictures was right. Of the
first kind an interval covers other seeds; of the second, other pictures as well.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit  # scipy.stats would take a second to import

__all__ = ["LEVEL", "SCALES", "SEEDS", "Estimate", "estimate", "paired", "shift"]

LEVEL = 0.95
SEEDS = 3  # the fewest that an interval is computed from
SCALES = ("difference", "ratio", "failures")

Arms = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """An effect, and its interval at any level; both on the scale that a reader sees: a ratio is a ratio.

    error and df: standard error and degrees of freedom, of the logarithm for a ratio; NaN for counted failures.
    """

    value: float
    interval: Callable[[float], tuple[float, float]]
    error: float = math.nan
    df: float = math.nan

    @property
    def low(self) -> float:
        return self.interval(LEVEL)[0]

    @property
    def high(self) -> float:
        return self.interval(LEVEL)[1]


def estimate(arms: Arms, weights: Mapping[str, float], scale: str = "difference") -> Estimate:
    """The weighted sum of the arms' means, {"with": 1, "without": -1} say, with an interval.

    Args:
        arms: name → (S,) numbers or (S, P) right or wrong; at least three seeds.
        weights: name → its weight; arms without a weight play no part.
        scale: "difference" for the sum itself; "ratio" for the product of the geometric means, each to the power of
            its weight, worked out in logarithms; "failures" for shares of runs that fail: an arm's values are true, or
            not finite, where a run failed, and the weights are 1, or 1 and -1.

    Returns:
        The estimate. Intervals are Student's, of two variance components, seeds (of each arm by itself: seeds are not
        paired) and pictures (the same for all arms), with Satterthwaite's (1946) degrees of freedom; Newcombe's (1998,
        method 10) for failures.

    Raises:
        ValueError: an arm is missing, has fewer than three seeds, holds NaN or infinity, or is not positive in a ratio.
    """
    if scale not in SCALES:
        raise ValueError(f"a scale is one of: {', '.join(SCALES)}; given: {scale!r}")
    rows = {name: _checked(name, arms, scale) for name in weights}
    if scale == "failures":
        return _failures(rows, weights)
    value, terms = 0.0, []
    for name, weight in weights.items():
        means = rows[name].reshape(len(rows[name]), -1).mean(1)  # (S,)
        means = np.log(means) if scale == "ratio" else means
        value += weight * means.mean()
        terms.append((weight**2 * means.var(ddof=1) / len(means), len(means) - 1))
    if scale == "difference" and len(shapes := {row.shape[1:] for row in rows.values()}) == 1 and shapes != {()}:
        terms += _of_pictures(rows, weights)
    variance = max(sum(v for v, _ in terms), *(v for v, _ in terms))
    parts = sum(v**2 / df for v, df in terms)
    df = variance**2 / parts if parts else math.inf
    error = math.sqrt(variance)
    shown = math.exp if scale == "ratio" else float

    def interval(level: float) -> tuple[float, float]:
        half = stdtrit(df, (1 + level) / 2) * error if error else 0.0
        return shown(value - half), shown(value + half)

    return Estimate(shown(value), interval, error, df)


def paired(arms: Arms, weights: Mapping[str, float]) -> np.ndarray:
    """The effect of each seed, (S,) or (S, P): for arms that are the same networks looked at in several ways.

    Raises:
        ValueError: as `estimate`; or the arms have not the same seeds and pictures.
    """
    rows = {name: _checked(name, arms, "difference") for name in weights}
    if len({row.shape for row in rows.values()}) > 1:
        raise ValueError(f"arms are paired seed by seed; given: {', '.join(str(row.shape) for row in rows.values())}")
    return sum(weight * rows[name] for name, weight in weights.items())


def shift(first: np.ndarray, second: np.ndarray) -> Estimate:
    """By how much one arm's runs lie above another's, by ranks: for arms of which some runs broke down.

    A mean over runs that learned and runs that did not has no Student's interval: of a few runs of both kinds it covers
    far less than it says, and reaches to values that no run can have.

    Args:
        first, second: a number for each run, (S,) and (T,).

    Returns:
        Hodges & Lehmann's (1963) estimate, the median of all differences between a run of the one and one of the other,
        with the interval that inverts Mann & Whitney's exact test: infinite where there are too few runs for its level.
    """
    differences = np.sort(np.subtract.outer(first, second).ravel())
    n, together = len(first), len(first) + len(second)
    ways = np.zeros((n + 1, n * together + 1))  # in how many ways so many ranks have this sum
    ways[0, 0] = 1
    for rank in range(together):
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank]
    orders = ways[n][ways[n] > 0].cumsum()  # how many have the least sum, one of the two least, ...

    def interval(level: float) -> tuple[float, float]:
        cut = int((orders <= (1 - level) / 2 * orders[-1]).sum())  # so many sums are too small
        return (float(differences[cut - 1]), float(differences[-cut])) if cut else (-math.inf, math.inf)

    return Estimate(float(np.median(differences)), interval)


def _of_pictures(rows: Arms, weights: Mapping[str, float]) -> list[tuple[float, float]]:
    """The pictures' part of the variance, and what is in both parts, to be taken away: (variance, df) each."""
    pictures = next(iter(rows.values())).shape[1]
    effect = sum(weight * rows[name].mean(0) for name, weight in weights.items())  # (P,)
    both, of_both = 0.0, 0
    for name, weight in weights.items():
        row = rows[name]
        rest = row - row.mean(0) - row.mean(1, keepdims=True) + row.mean()  # seeds × pictures
        free = (len(row) - 1) * (pictures - 1)
        both += weight**2 * (rest**2).sum() / free / row.size
        of_both += free
    return [(effect.var(ddof=1) / pictures, pictures - 1), (-both, of_both)]


def _failures(rows: Arms, weights: Mapping[str, float]) -> Estimate:
    """The share of runs that failed, or the difference of two shares."""
    if sorted(weights.values()) not in ([1], [-1, 1]):
        raise ValueError(f"failures are counted in one arm, or compared in two with weights 1 and -1; given: {weights}")
    first, *second = (rows[name] for name in sorted(weights, key=weights.get, reverse=True))
    share = first.mean() - (second[0].mean() if second else 0)

    def interval(level: float) -> tuple[float, float]:
        (p, low, high), *rest = (_wilson(row, level) for row in (first, *second))
        if not rest:
            return low, high
        q, below, above = rest[0]
        return p - q - math.hypot(p - low, above - q), p - q + math.hypot(high - p, q - below)

    return Estimate(float(share), interval)


def _wilson(failed: np.ndarray, level: float) -> tuple[float, float, float]:
    """The share of failures, and Wilson's (1927) interval."""
    n, share, z = len(failed), failed.mean(), ndtri((1 + level) / 2)
    if not np.isfinite(z):
        return share, 0.0, 1.0
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return share, middle - half, middle + half


def _checked(name: str, arms: Arms, scale: str) -> np.ndarray:
    if name not in arms:
        raise ValueError(f"there is no arm {name!r}; there are: {', '.join(arms)}")
    row = np.asarray(arms[name], dtype=float)
    if row.ndim not in (1, 2) or not row.size:
        raise ValueError(f"the arm {name!r} has shape {row.shape}: give (seeds,), or (seeds, pictures)")
    if len(row) < SEEDS:
        raise ValueError(f"the arm {name!r} has {len(row)} of at least {SEEDS} seeds")
    if scale == "failures":
        if row.ndim != 1:
            raise ValueError(f"the arm {name!r} has shape {row.shape}: whether a run failed is one value a seed")
        return (~np.isfinite(row) | (row == 1)).astype(float)
    if not np.isfinite(row).all():
        raise ValueError(f"the arm {name!r} holds NaN or infinity: judge runs that fail by their number (failures)")
    if scale == "ratio" and (row <= 0).any():
        raise ValueError(f"the arm {name!r} has values that are not positive: they have no ratio")
    return row
