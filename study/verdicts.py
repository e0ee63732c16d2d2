"""What the records say: each estimand of a plan with its verdict, and the claims that follow from them."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from study.plan import Plan, Record, best_rate, estimands_of
from study.text import STEPS
from utils.claims.verdicts import Judged, judged, together
from utils.claims.words import Estimand
from utils.files import atomic_file
from utils.study import of_role, values
from utils.tables import markdown_table

__all__ = ["found", "markdown", "store"]


def _runs(plan: Plan, records: Mapping[str, Record], arm: str, role: str) -> list[Record] | None:
    """The search of an arm and its runs at the best rate; None if some are missing."""
    settings, every = plan.arms[arm], list(records.values())
    chosen = settings["rate_of"] or arm
    searched = of_role(every, chosen, "search")
    rate, _ = best_rate(plan.arms[chosen], searched)
    last = [record for record in of_role(every, arm, role) if record["rate"] == rate]
    return searched + last if rate is not None and len(last) >= settings["seeds"] else None


def _judged(plan: Plan, records: Mapping[str, Record], estimand: Estimand, value: str, role: str) -> Judged | None:
    runs = {arm: _runs(plan, records, arm, role) for arm in estimand.arms}
    if None in runs.values():
        return None
    if len(seen := {record["pixels"] for found in runs.values() for record in found if "pixels" in record}) > 1:
        raise ValueError(
            f"the runs of {', '.join(runs)} were made with different pictures ({', '.join(sorted(seen))}, by `pixels` "
            "in their records), and cannot be compared: delete those of one kind"
        )
    return judged(estimand, {arm: values(found, arm, value, role) for arm, found in runs.items()})


def _length(settings: Mapping[str, Any]) -> str:
    epochs = settings["epochs"]
    return f"{epochs * STEPS:,} steps" if settings["text"] else f"{epochs} epochs"


def _alike(once: Judged, twice: Judged) -> bool:
    """Whether two independent estimates may be of one effect."""
    return abs(once.found.value - twice.found.value) <= 2 * math.hypot(once.found.error, twice.found.error)


def found(plan: Plan, records: Mapping[str, Record]) -> dict[str, Any]:
    """What is known, as plain data.

    Returns:
        "estimands": question → slug → what was compared, the rule, the effect as text and as numbers, the verdict, the
        length of the runs, and `lasts`, whether the effect at twice the epochs may be the same (None: not tried);
        "claims": slug → the verdict, of claims all of whose estimands are known.
    """
    estimands: dict[str, dict[str, Any]] = {}
    about: dict[str, list[str | None]] = {}
    for question, asked in plan.questions.items():
        for slug, estimand in estimands_of(asked).items():
            given = asked["estimands"][slug]
            once, twice = (_judged(plan, records, estimand, given.get("value", "test"), r) for r in ("final", "twice"))
            for claim in given.get("claims", []):
                about.setdefault(claim, []).append(once.verdict if once else None)
            if once is not None:
                value, low, high = (float(f"{x:.4g}") for x in (once.found.value, once.found.low, once.found.high))
                estimands.setdefault(question, {})[slug] = {
                    "what": estimand.what, "rule": estimand.rule, "text": once.text, "verdict": once.verdict,
                    "value": value, "low": low, "high": high, "claims": given.get("claims", []),
                    "length": _length(plan.arms[max(estimand.arms, key=lambda arm: plan.arms[arm]["epochs"])]),
                    "lasts": None if twice is None else _alike(once, twice),
                }  # fmt: skip
    claims = {slug: together(verdicts) for slug, verdicts in about.items() if None not in verdicts}
    return {"estimands": estimands, "claims": claims}


def store(known: Mapping[str, Any], path: Path) -> None:
    """Keep what is known, for the cards of the claims: whole, or not at all."""
    with atomic_file(path) as file:
        file.write((json.dumps(known, indent=1, ensure_ascii=False) + "\n").encode())


def markdown(plan: Plan, known: Mapping[str, Any]) -> str:
    """The questions and their answers, a section each."""
    parts = []
    for question, asked in plan.questions.items():
        rows = []
        for slug, estimand in estimands_of(asked).items():
            answer = known["estimands"].get(question, {}).get(slug)
            lasts = {True: "yes", False: "no", None: "not tried"}[answer["lasts"]] if answer else ""
            rows.append([estimand.what, estimand.rule, answer["text"] if answer else "not run yet",
                         answer["verdict"] if answer else "", lasts])  # fmt: skip
        header = ["compared", "holds if", "found", "verdict", "also at twice the epochs"]
        parts.append(f"### {asked['asks']}\n\n{markdown_table(header, rows)}")
    return "\n\n".join(parts)
