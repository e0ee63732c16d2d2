"""The plan of the study, `plan.toml`: its arms with all their settings, its questions, and the runs that follow."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from utils.claims.words import Estimand, estimand_of
from utils.study import TIERS, VALUES, Record, of_role, read_plan

__all__ = [
    "ROLES",
    "Plan",
    "PlanError",
    "Record",
    "Run",
    "arms_of",
    "best_rate",
    "estimands_of",
    "load_plan",
    "runs_of",
]

ROLES = ("search", "final", "twice")
STEP = 10**0.5  # by which a grid of rates goes on, about
MOST_STEPS = 2  # beyond either end of a grid
CHOICES = {
    "norm": {"none", "batch", "group", "layer", "instance", "rms", "weights", "tanh"},
    "init": {"default", "he", "lsuv"},
    "branch": {"plain", "skipinit"},
    "pixels": {"standardized", "unit", "raw"},
    "decay_of": {"all", "weights", "none"},
    "precision": {"float32", "bfloat16"},
    "noise": {"", "moderate", "strong"},
    "dropout": {"", "before", "behind"},
    "learns": {"all", "affine", "two", "head"},
    "gamma": {"ones", "uniform"},
}
# What an arm may set beside the plan's own defaults, and what it is when it does not.
OTHER = {
    "text": False, "rate_of": "", "few": 0, "ghost": 0, "steps": 0, "noise": "", "precise": False, "renorm": False,
    "dropout": "", "recompressed": 0, "learns": "all", "gamma": "ones", "threads": 1, "everything": False,
    "searches_epochs": 0,
}  # fmt: skip


class PlanError(ValueError):
    """The plan makes no sense; the text says where, and what is possible."""


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        arm: its slug.
        role: "search", "final" or "twice" (a final run of twice the epochs).
        rate: the largest learning rate of its schedule.
        seed: of weights, order and augmentation.
        settings: of the arm, with all defaults.
        tier: of whose plan it is.
    """

    arm: str
    role: str
    rate: float
    seed: int
    settings: Mapping[str, Any]
    tier: str = "hours"

    @property
    def name(self) -> str:
        """Of its record: `bn-20.final.0.1.3`."""
        return f"{self.arm}.{self.role}.{self.rate:g}.{self.seed}"

    @property
    def epochs(self) -> int:
        if self.role == "search" and self.settings["searches_epochs"]:
            return self.settings["searches_epochs"]
        return self.settings["epochs"] * (2 if self.role == "twice" else 1)


@dataclass(frozen=True)
class Plan:
    """Arms (slug → settings) and questions (slug → what stands in the plan), in the order in which they are run."""

    arms: Mapping[str, Mapping[str, Any]]
    questions: Mapping[str, Mapping[str, Any]]
    tier: str = "hours"


@cache
def load_plan(tier: str = "hours", path: Path | None = None) -> Plan:
    """Read and check the plan of a tier, "hours" of two cores or "gpu", or one that stands elsewhere.

    Raises:
        PlanError: an unknown setting or choice, an estimand about an arm that is not there, or that cannot fail.
    """
    read = read_plan(path or TIERS[tier][0])
    defaults = {**OTHER, **read["defaults"]}
    arms = {}
    for slug, own in read["arms"].items():
        if unknown := sorted(own.keys() - defaults.keys()):
            raise PlanError(f"arm {slug}: unknown: {', '.join(unknown)}; there are: {', '.join(sorted(defaults))}")
        arms[slug] = MappingProxyType({**defaults, **own})
        for name, choices in CHOICES.items():
            if arms[slug][name] not in choices:
                raise PlanError(
                    f"arm {slug}: {name} is one of {', '.join(sorted(choices))}; given: {arms[slug][name]!r}"
                )
        if sorted(arms[slug]["rates"]) != arms[slug]["rates"]:
            raise PlanError(f"arm {slug}: its rates must rise; given: {arms[slug]['rates']}")
        if (other := arms[slug]["rate_of"]) and other not in read["arms"]:
            raise PlanError(f"arm {slug}: its rate is that of an arm that is not there, {other}")
    plan = Plan(MappingProxyType(arms), MappingProxyType(read["questions"]), tier)
    for question, asked in plan.questions.items():
        try:
            estimands_of(asked)
            if unknown := {given.get("value", "test") for given in asked["estimands"].values()} - VALUES:
                raise ValueError(f"a value is one of {', '.join(sorted(VALUES))}; given: {', '.join(sorted(unknown))}")
            if asked.get("reproduction") and any("claims" in given for given in asked["estimands"].values()):
                raise ValueError("no claim rests on a reproduction")
        except (KeyError, ValueError) as error:
            raise PlanError(f"question {question}: {error}") from error
        if unknown := sorted(set(arms_of(asked)) - arms.keys()):
            raise PlanError(f"question {question}: no arm {', '.join(unknown)}")
    return plan


def arms_of(question: Mapping[str, Any]) -> list[str]:
    """The arms that a question needs, each once, in its order."""
    named = [arm for estimand in question["estimands"].values() for arm in estimand["arms"]]
    return list(dict.fromkeys([*named, *question.get("twice", []), *question.get("also", [])]))


def estimands_of(question: Mapping[str, Any]) -> dict[str, Estimand]:
    """The estimands of a question, in the words of the claims; errors as `utils.claims.words.estimand_of`."""
    own = {"claims", "value", "minute"}
    return {
        slug: estimand_of(
            slug,
            ({} if given.get("scale") == "ratio" else {"show": "points"})
            | {name: each for name, each in given.items() if name not in own},
        )
        for slug, given in question["estimands"].items()
    }


def best_rate(settings: Mapping[str, Any], searched: Sequence[Record]) -> tuple[float | None, list[float]]:
    """The rate with the best mean validation accuracy, and what must still be searched.

    Args:
        settings: of the arm.
        searched: the records of its search.

    Returns:
        (rate, []) if the search is done; (None, rates) if these are missing, the grid's own or those beyond its end.
        A grid of one rate is no grid: that rate is given.
    """
    grid = list(settings["rates"])
    if len(grid) == 1:
        return grid[0], []
    scores: dict[float, list[float]] = {}
    for record in searched:
        scores.setdefault(record["rate"], []).append(0.0 if record["stopped"] else record["validation"][-1])
    wanted = [rate for rate in sorted({*grid, *scores}) if len(scores.get(rate, [])) < settings["searches"]]
    if wanted:
        return None, wanted
    below = [float(f"{grid[0] / STEP**k:.1g}") for k in range(1, MOST_STEPS + 1)]
    above = [float(f"{grid[-1] * STEP**k:.1g}") for k in range(1, MOST_STEPS + 1)]
    known = sorted(scores)
    best = max(known, key=lambda rate: sum(scores[rate]) / len(scores[rate]))
    if best == known[0] and (further := [rate for rate in below if rate < best]):
        return None, further[:1]
    if best == known[-1] and (further := [rate for rate in above if rate > best]):
        return None, further[:1]
    return best, []


def runs_of(plan: Plan, records: Mapping[str, Record], question: str, seeds: int | None = None) -> Iterator[Run]:
    """The runs of a question that can be made now: searches, and where a search is done, the final runs.

    Args:
        plan: whose.
        records: name of a run → its record, of all that are done.
        question: its slug.
        seeds: final runs an arm, instead of the plan's.
    """
    asked = plan.questions[question]
    named = arms_of(asked)
    lent = [other for arm in named if (other := plan.arms[arm]["rate_of"]) and other not in named]
    for arm in [*lent, *named]:
        settings = plan.arms[arm]
        chosen = settings["rate_of"] or arm
        rate, missing = best_rate(plan.arms[chosen], of_role(records.values(), chosen, "search"))
        tried = [] if settings["rate_of"] else range(settings["searches"])
        runs = [Run(arm, "search", each, seed, settings, plan.tier) for seed in tried for each in missing]
        if rate is not None and arm not in lent:
            roles = ["final", *(["twice"] if arm in asked.get("twice", []) else [])]
            count = settings["seeds"] if seeds is None else seeds
            # Other seeds than the search's: the rate was chosen on those.
            runs = [Run(arm, role, rate, 100 + seed, settings, plan.tier) for role in roles for seed in range(count)]
        yield from (run for run in runs if run.name not in records)
