"""What a claim says, before anything is measured: `lessons/nbNN/claims.toml`, read and checked.

    [before-or-after-relu]                      the slug; claims stand in the order of the notebook
    sentence = "…"                              as people say it
    said = "paraphrase"                         "quote", "paraphrase", or "ours": a question that this course asks
    source = "ioffe2015"                        a key of lessons/references.json; none if it is ours
    place = "section 3.2"
    protocol = "…"                              what the source did, and where we differ
    kind = "measured"                           identity, fact, measured or open
    unit = "accuracy on test pictures"          of the arms' values
    finding = "Before it, {gap} better."        what was found; {name} is filled with an estimand and its interval,
                                                {name:value} with the estimate alone, {arm:name} with an arm's mean

    surprising = true                           one of the few that the README shows
    pictures = false                            none play a part in it: its card does not tell the two data sets apart
    seeds = 12                                  to record, instead of six, which would miss an effect too often

    [before-or-after-relu.estimands.gap]        all of them have to hold for the claim to hold
    what = "accuracy before minus after, each at its best rate"
    arms = { before = 1, after = -1 }
    scale = "difference"                        "ratio", "failures"; for an identity or a fact "every" or "some" value
    holds = [0.02, inf]                         where the whole interval, or the value, must lie
    why = "…"                                   why an effect of this size would matter
    paired = true                               the arms are paired seed by seed: the same networks, looked at in two
                                                ways, or begun and fed alike
    null = 0.0                                  the effect if there is none (default: 0, or 1 for a ratio)
    show = "points"                             "points", "percent", "times" or "number"

    [before-or-after-relu.caveats.name]         a further estimand, tested too: if it holds, the claim has a caveat
    [before-or-after-relu.rates]                if searched: arm → rate → accuracy on held-out training examples
    before = { "0.01" = 0.31, "0.03" = 0.36, "0.1" = 0.34 }         the best must not stand at the edge
    [before-or-after-relu.rates-on-the-stand-in]                    the same there, of arms whose best rate is another
    [before-or-after-relu.broken]               how the experiment is broken each week, see `tools/broken.py`

An open question has `decides` in the place of estimands: what would decide it.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from utils import lessons
from utils.claims.estimates import SCALES
from utils.lessons import lesson_of, number_of, paragraphs, table

__all__ = ["KINDS", "Estimand", "Words", "estimand_of", "reference", "references", "words_of"]

KINDS = ("identity", "fact", "measured", "open")
SAID = ("quote", "paraphrase", "ours")
SHOWN = ("points", "percent", "times", "number")
GRIDS = {"rates": "CIFAR-10", "rates-on-the-stand-in": "stand-in"}  # the table of a grid of rates → the data set
VALUES = ("every", "some")  # scales of what is the same on every machine: each value of an arm, or a witness


@dataclass(frozen=True)
class Estimand:
    """What is compared, and what would have to come out; the fields are those of the table above."""

    name: str
    what: str
    arms: Mapping[str, float]
    scale: str
    holds: tuple[float, float]
    why: str
    null: float
    show: str
    caveat: bool
    paired: bool = False

    @property
    def rule(self) -> str:
        """The rule in words: "above 2 points", "between 0.9 and 1.1 times"."""
        low, high = self.holds
        if math.isinf(high):
            return f"{'at least' if self.scale in VALUES else 'above'} {self.number(low)}"
        if math.isinf(low) or (low == 0 and self.scale in VALUES):
            return f"{'at most' if self.scale in VALUES else 'below'} {self.number(high)}"
        if low == high:
            return f"exactly {self.number(low)}"
        return f"between {self.number(low).split(' ')[0]} and {self.number(high)}"

    def number(self, value: float) -> str:
        """A value as a reader sees it."""
        if self.show == "points":
            return f"{round(100 * value, 1) + 0.0:.1f} points".replace("-", "−")  # + 0.0: nothing is not −0
        if self.show == "percent":
            return f"{round(100 * value, 9) + 0.0:.3g} %".replace("-", "−")
        text = f"{value:.3g}".replace("-", "−")
        return f"{text} times" if self.show == "times" else text


@dataclass(frozen=True)
class Words:
    """A claim's words; the fields are those of the table above."""

    slug: str
    number: str
    sentence: str
    said: str
    source: str
    place: str
    protocol: str
    kind: str
    unit: str
    finding: str
    decides: str
    surprising: bool
    pictures: bool
    estimands: tuple[Estimand, ...]
    rates: Mapping[str, Mapping[str, Mapping[str, float]]]  # data set → arm → rate → accuracy

    @property
    def by(self) -> str:
        """Who says it: "Ioffe & Szegedy (2015), section 3.1"."""
        return ", ".join(filter(None, [reference(self.source)["short"] if self.source else "", self.place]))

    @property
    def arms(self) -> list[str]:
        """The names of all arms that the estimands need, in order."""
        return list(dict.fromkeys(arm for estimand in self.estimands for arm in estimand.arms))


@cache
def words_of(slug: str) -> Words:
    """The words of a claim.

    Raises:
        ValueError: no lesson has the claim, or its table lacks something or says something that is not known.
    """
    number = number_of("claims", slug)
    try:
        return _words(slug, number, table(lesson_of("claims", slug), "claims")[slug])
    except (KeyError, TypeError, ValueError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"claim {number}, {slug}, in lessons/nb{lesson_of('claims', slug)}/claims.toml: {reason}"
        ) from error


def _words(slug: str, number: str, given: Mapping[str, Any]) -> Words:
    known = {"sentence", "said", "source", "place", "protocol", "kind", "unit", "finding", "decides"}
    others = {"surprising", "pictures", "seeds", "estimands", "caveats", "broken", *GRIDS}
    if unknown := set(given) - known - others:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    texts = {name: paragraphs(given.get(name, "")) for name in known}
    kind, estimands = _one_of(given["kind"], KINDS), given.get("estimands", {})
    if (kind == "open") == bool(estimands) or (kind == "open") != bool(texts["decides"]):
        raise ValueError(
            "an open question says what `decides` it and has no estimands; every other claim has estimands"
        )
    if (_one_of(given["said"], SAID) == "ours") == bool(texts["source"]):
        raise ValueError('a quote or a paraphrase needs a source, and what is "ours" has none')
    if texts["source"]:
        reference(texts["source"])
    for needed in ("sentence", *(("finding", "unit") if kind != "open" else ())):
        if not texts[needed]:
            raise KeyError(needed)
    made = [estimand_of(name, each, kind, False) for name, each in estimands.items()]
    made += [estimand_of(name, each, kind, True) for name, each in given.get("caveats", {}).items()]
    rates = {data_set: given.get(name, {}) for name, data_set in GRIDS.items()}
    for arm, grid in (each for grids in rates.values() for each in grids.items()):
        ordered = sorted(grid, key=float)
        if max(grid, key=grid.get) in (ordered[0], ordered[-1]):
            raise ValueError(f"the best rate of {arm!r} is at the edge of its grid, {', '.join(ordered)}: widen it")
    return Words(
        slug=slug, number=number, surprising=given.get("surprising", False),
        pictures=given.get("pictures", True), estimands=tuple(made), rates=rates, **texts,
    )  # fmt: skip


def estimand_of(name: str, given: Mapping[str, Any], kind: str = "measured", caveat: bool = False) -> Estimand:
    """An estimand from its table.

    Raises:
        KeyError, ValueError: something is missing, unknown, or lets it hold where there is no effect.
    """
    measured = kind == "measured"
    scale = _one_of(given.get("scale", "difference" if measured else "every"), SCALES if measured else VALUES)
    if unknown := set(given) - {"what", "arms", "scale", "holds", "why", "null", "show", "paired"}:
        raise ValueError(f"{name}: unknown: {', '.join(sorted(unknown))}")
    low, high = map(float, given["holds"])
    null = float(given.get("null", 1 if scale == "ratio" else 0))
    if not low <= high or (math.isinf(low) and math.isinf(high)):
        raise ValueError(f"{name}: where it holds is [low, high], one of them finite; given: {given['holds']}")
    if measured and not math.isfinite(low + high) and low <= null <= high:
        raise ValueError(
            f"{name}: it holds where there is no effect ({null:g}): move the edge, or say what the null is"
        )
    if measured and not given.get("why"):
        raise KeyError(f"{name}.why")
    if not measured and list(given["arms"].values()) != [1]:
        raise ValueError(f"{name}: {scale} value of one arm, with weight 1")
    if given.get("paired") and scale != "difference":
        raise ValueError(f"{name}: only differences are paired")
    show = _one_of(given.get("show", "times" if scale == "ratio" else "number"), SHOWN)
    weights = {arm: float(weight) for arm, weight in given["arms"].items()}
    return Estimand(name, paragraphs(given["what"]), weights, scale, (low, high), paragraphs(given.get("why", "")),
                    null, show, caveat, given.get("paired", False))  # fmt: skip


def _one_of(given: str, known: tuple[str, ...]) -> str:
    if given not in known:
        raise ValueError(f"one of {', '.join(known)} is expected; given: {given!r}")
    return given


@cache
def references() -> Mapping[str, Mapping[str, Any]]:
    """The bibliography, `lessons/references.json`: key → work, as CSL has it."""
    return {each["id"]: each for each in json.loads((lessons.LESSONS / "references.json").read_text("utf-8"))}


def reference(key: str) -> Mapping[str, str]:
    """A work of the bibliography, `lessons/references.json` (CSL): "short", as in a text; "full"; "url", maybe empty.

    Raises:
        ValueError: the bibliography has no such key.
    """
    if key not in references():
        raise ValueError(f"lessons/references.json has no {key!r}; there are: {', '.join(sorted(references()))}")
    work = references()[key]
    names = [name.get("family") or name["literal"] for name in work["author"]]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} & {names[-1]}"
    year = f" ({work['issued']['date-parts'][0][0]})" if "issued" in work else ""  # of pages that change there is none
    short = f"{listed if len(names) < 4 else f'{names[0]} et al.'}{year}"
    url = f"https://doi.org/{work['DOI']}" if work.get("DOI") else work.get("URL", "")
    where = f" {work['container-title']}." if work.get("container-title") else ""
    return {"short": short, "full": f"{listed}{year}. {work['title']}.{where}", "url": url}
