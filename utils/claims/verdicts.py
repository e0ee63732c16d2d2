"""The verdict, computed from what was measured and from where it would have to lie."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtr, stdtrit

from utils.claims.estimates import LEVEL, Estimate, estimate, paired
from utils.claims.words import VALUES, Estimand, Words

__all__ = ["HOLDS", "NOT", "OPEN", "UNDECIDED", "Judged", "judge", "judged", "of_interval", "p_value", "power",
           "survive", "together"]  # fmt: skip

HOLDS, NOT, UNDECIDED, OPEN = "holds", "does not hold", "undecided at this scale", "open"

Arms = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Judged:
    """One estimand and what came out: an estimate, or the value that decides; and the verdict on it."""

    estimand: Estimand
    found: Estimate
    verdict: str

    @property
    def text(self) -> str:
        """The estimate with its interval, as a reader sees it: "3.4 points [1.2, 5.6]"."""
        number, low, high = map(self.estimand.number, (self.found.value, self.found.low, self.found.high))
        if self.estimand.scale in VALUES:
            return number
        inside = ",\u00a0".join(each.split(" ")[0] for each in (low, high))
        return f"{number} [{inside}]"


def judge(words: Words, arms: Arms) -> list[Judged]:
    """Each estimand of a claim, judged by these arms.

    Raises:
        ValueError: as `estimate`; or, of a fact or an identity, an arm is missing, empty or holds NaN.
    """
    return [judged(each, arms) for each in words.estimands]


def judged(estimand: Estimand, arms: Arms) -> Judged:
    """One estimand, judged by these arms; errors as `judge`."""
    if estimand.scale in VALUES:
        return _of_values(estimand, arms)
    weights = estimand.arms
    if estimand.paired:
        arms, weights = {"effect": paired(arms, weights)}, {"effect": 1.0}
    found = estimate(arms, weights, estimand.scale)
    return Judged(estimand, found, of_interval((found.low, found.high), estimand.holds))


def _of_values(estimand: Estimand, arms: Arms) -> Judged:
    """The value that decides: of every one, the farthest out; of some, the farthest in."""
    (arm,) = estimand.arms
    if arm not in arms:
        raise ValueError(f"there is no arm {arm!r}; there are: {', '.join(arms)}")
    values = np.asarray(arms[arm], dtype=float).ravel()
    if not values.size or np.isnan(values).any():
        raise ValueError(f"the arm {arm!r} is empty or holds NaN")
    low, high = estimand.holds
    if low == 0 <= values.min():  # of a size, the largest decides
        low = -math.inf
    outside = np.maximum(low - values, values - high)  # below 0: inside
    decides = float(values[outside.argmax() if estimand.scale == "every" else outside.argmin()])
    verdict = HOLDS if low <= decides <= high else NOT
    return Judged(estimand, Estimate(decides, lambda level: (decides, decides)), verdict)


def of_interval(interval: tuple[float, float], holds: tuple[float, float]) -> str:
    """Holds if the whole interval lies where it must, does not hold if none of it does."""
    if holds[0] <= interval[0] and interval[1] <= holds[1]:
        return HOLDS
    return NOT if interval[1] < holds[0] or interval[0] > holds[1] else UNDECIDED


def together(verdicts: list[str]) -> str:
    """Of several that must all hold: one that does not is enough to refute, one that is undecided to leave it open."""
    return NOT if NOT in verdicts else UNDECIDED if UNDECIDED in verdicts else HOLDS


def p_value(judged: Judged) -> float:
    """How surely a verdict was reached: the smallest p, of two sides, at which its interval would still give it."""
    low, high = 0.0, 1.0  # levels: the higher, the wider the interval
    for _ in range(50):
        middle = (low + high) / 2
        reached = of_interval(judged.found.interval(middle), judged.estimand.holds) == judged.verdict
        low, high = (middle, high) if reached else (low, middle)
    return 1 - low


def survive(decided: Mapping[str, float], tests: int) -> set[str]:
    """Which verdicts survive the correction for so many tests (Holm, 1979). Given: name → p of the decided ones."""
    surviving = set()
    for place, name in enumerate(sorted(decided, key=decided.get)):
        if decided[name] > (1 - LEVEL) / (tests - place):
            break
        surviving.add(name)
    return surviving


def power(judged: Judged) -> float:
    """How often an effect twice as far from the null as the edge would be found, with this error and these df.

    Of a claim that two things differ by no more than so much: no difference. NaN for failures, which are counted.
    """
    found, estimand = judged.found, judged.estimand
    if not found.error > 0:
        return 1.0 if found.error == 0 else math.nan
    of_ratio = estimand.scale == "ratio"
    low, high, null = (_log(edge) if of_ratio else edge for edge in (*estimand.holds, estimand.null))
    reach = stdtrit(found.df, (1 + LEVEL) / 2)
    if math.isinf(low) or math.isinf(high):
        distance = abs((high if math.isinf(low) else low) - null)
        return 1 - _missed(distance / found.error, found.df, reach)
    return max(0.0, 1 - 2 * _missed((high - low) / 2 / found.error, found.df, reach))


def _missed(distance: float, df: float, reach: float) -> float:
    """How often Student's t, so many errors from 0, stays below `reach`; far away its series does not converge."""
    share = float(nctdtr(df, distance, reach))
    return 0.0 if math.isnan(share) and distance > reach else share


def _log(edge: float) -> float:
    return math.log(edge) if edge > 0 else -math.inf
