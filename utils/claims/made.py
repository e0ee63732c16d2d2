"""A claim as it stands: its words, what is recorded of it on both data sets, and the verdict computed from that."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from utils.claims.records import stored
from utils.claims.verdicts import HOLDS, OPEN, UNDECIDED, Judged, judge, p_value, together
from utils.claims.words import Words, words_of

__all__ = ["Claim", "claim_of"]


@dataclass(frozen=True)
class Claim:
    """A claim and what is recorded of it: data set → arm → values."""

    words: Words
    arms: Mapping[str, Mapping[str, np.ndarray]]

    @cached_property
    def judged(self) -> dict[str, list[Judged]]:
        """data set → each estimand, judged by what was recorded there."""
        return {name: judge(self.words, arms) for name, arms in self.arms.items()}

    def verdict_on(self, name: str) -> str:
        """The verdict by one data set."""
        return together([each.verdict for each in self.judged[name] if not each.estimand.caveat])

    @property
    def verdict(self) -> str:
        """The verdict: where the data sets disagree, it is undecided."""
        if self.words.kind == "open":
            return OPEN
        found = {self.verdict_on(name) for name in self.judged}
        return found.pop() if len(found) == 1 else UNDECIDED

    @property
    def has_caveat(self) -> bool:
        """Whether it holds, and so does a caveat, on all data sets."""
        rows = zip(*self.judged.values(), strict=True)
        held = [all(each.verdict == HOLDS for each in row) for row in rows if row[0].estimand.caveat]
        return self.verdict == HOLDS and any(held)

    @property
    def finding(self) -> str:
        """What was found, its gaps filled with the numbers of the first data set; empty if none is recorded."""
        for name, rows in self.judged.items():
            numbers = {each.estimand.name: each.text for each in rows}
            numbers |= {f"{each.estimand.name}:value": each.estimand.number(each.found.value) for each in rows}
            means = {f"arm:{arm}": f"{row.mean():.3g}" for arm, row in self.arms[name].items()}
            return _filled(self.words.finding, numbers | means)
        return self.words.decides

    @property
    def p(self) -> float:
        """How surely the verdict was reached: of both data sets, the less sure.

        All estimands have to hold, so the least sure of them counts; any one refutes, so of k the surest does, k times.
        """
        rows = [[p_value(each) for each in rows if not each.estimand.caveat and each.verdict == self.verdict]
                for rows in self.judged.values()]  # fmt: skip
        if self.verdict == HOLDS:
            return max(max(each) for each in rows)
        return max(min(1.0, min(each) * sum(not e.caveat for e in self.words.estimands)) for each in rows)


def _filled(text: str, numbers: Mapping[str, str]) -> str:
    for name, number in numbers.items():
        text = text.replace("{" + name + "}", number)
    if "{" in text:
        raise ValueError(f"a finding has gaps for {', '.join(numbers)}; given: {text!r}")
    return text


def claim_of(slug: str) -> Claim:
    """The claim with this slug, as it stands; errors as `words_of` and `stored`."""
    return Claim(words_of(slug), stored(slug))
