"""What the records say: each estimand of a plan with its verdict, and the claims that follow from them."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from study.plan import Plan, Record, arms_of, best_rate, estimands_of
from study.text import STEPS
from utils.claims import card
from utils.claims.estimates import shift
from utils.claims.made import claim_of
from utils.claims.verdicts import UNDECIDED, Judged, judged, of_interval, p_value, power, survive, together
from utils.claims.words import Estimand
from utils.files import atomic_file
from utils.study import GUESSING, of_role, values
from utils.tables import markdown_table
from utils.touch.recorded import in_words

__all__ = ["arms_table", "found", "markdown", "runs_at_best", "store", "summary"]

NOT_DECIDED = "not decided"
OURS = " (The networks here are others, or train for less long; and see “Copies of the pictures”.)"
BROKEN = 1.5 * GUESSING  # a final run that ends below has broken down, or never began to learn


def runs_at_best(plan: Plan, records: Mapping[str, Record], arm: str, role: str) -> list[Record] | None:
    """The search of an arm and its runs at the best rate; None if some are missing."""
    settings, every = plan.arms[arm], list(records.values())
    chosen = settings["rate_of"] or arm
    searched = of_role(every, chosen, "search")
    rate, _ = best_rate(plan.arms[chosen], searched)
    last = [record for record in of_role(every, arm, role) if record["rate"] == rate]
    return searched + last if rate is not None and len(last) >= settings["seeds"] else None


def _judged(
    plan: Plan, records: Mapping[str, Record], estimand: Estimand, value: str, role: str
) -> tuple[Judged, str] | None:
    """The verdict, and in words which runs broke down; None if some are missing.

    A difference of two arms is judged by ranks if, of one of them, some runs broke down and others learned.
    """
    runs = {arm: runs_at_best(plan, records, arm, role) for arm in estimand.arms}
    if None in runs.values():
        return None
    if len(seen := {record["pixels"] for found in runs.values() for record in found if "pixels" in record}) > 1:
        raise ValueError(
            f"the runs of {', '.join(runs)} were made with different pictures ({', '.join(sorted(seen))}, by `pixels` "
            "in their records), and cannot be compared: delete those of one kind"
        )
    arms = {arm: values(found, arm, value, role) for arm, found in runs.items()}
    broken = {}
    for arm, found in runs.items():
        ends = [record["test"] for record in of_role(found, arm, role)]
        lost = sum(end < BROKEN for end in ends)
        if 0 < lost < len(ends):  # if all did, their mean is what it seems
            broken[arm] = f"{lost} of {len(ends)} runs of {arm} broke down"
    if not broken or value == "usable rate":
        return judged(estimand, arms), ""
    said = "; ".join(broken.values())
    if sorted(estimand.arms.values()) != [-1, 1]:  # no interval is known for such a sum
        return replace(judged(estimand, arms), verdict=UNDECIDED), f" ({said}: {NOT_DECIDED})"
    first, second = (arms[arm] for arm in sorted(estimand.arms, key=estimand.arms.get, reverse=True))
    by_ranks = shift(*(row.reshape(len(row), -1).mean(1) for row in (first, second)))
    verdict = of_interval((by_ranks.low, by_ranks.high), estimand.holds)
    return Judged(estimand, by_ranks, verdict), f" (by ranks: {said})"


def _makes(records: Iterable[Record]) -> list[str]:
    """Who made the processors of these runs, each once: ["AMD", "Intel"]."""
    return sorted({re.split(r"\W", record["machine"])[0] for record in records})


def _several_makes(plan: Plan, records: Mapping[str, Record], estimand: Estimand, value: str, role: str) -> bool:
    """Whether what is compared was run on several makes of processor."""
    role_of_value = "search" if value == "usable rate" else role
    runs = [runs_at_best(plan, records, arm, role) or [] for arm in estimand.arms]
    return len(_makes(record for each in runs for record in each if record["role"] == role_of_value)) > 1


def _length(settings: Mapping[str, Any]) -> str:
    epochs = settings["epochs"]
    steps = epochs * STEPS if settings["text"] else settings["steps"]
    return f"{steps:,} steps" if steps else f"{epochs} epochs"


def _alike(once: Judged, twice: Judged) -> bool:
    """Whether two estimates may be of one effect; roughly, for they share seeds and pictures. By ranks: overlap."""
    if math.isnan(once.found.error) or math.isnan(twice.found.error):
        return once.found.low <= twice.found.high and twice.found.low <= once.found.high
    return abs(once.found.value - twice.found.value) <= 2 * math.hypot(once.found.error, twice.found.error)


def found(plan: Plan, records: Mapping[str, Record]) -> dict[str, Any]:
    """What is known, as plain data.

    Returns:
        "estimands": question → slug → what was compared, the rule, the effect as text and as numbers, the verdict, the
        length of the runs, the effect at `twice` the epochs, and `lasts`, whether it may be the same (None: not tried);
        `makes` and `makes_twice`, whether the runs that are compared are of several makes of processor;
        `power`, as a claim's, None by ranks; `star`: the verdict survives Holm's correction for all estimands that are
        known; a question that is a reproduction has no verdicts, "", and is not counted;
        "claims": slug → the verdict, of claims all of whose estimands are known.
    """
    estimands: dict[str, dict[str, Any]] = {}
    p: dict[tuple[str, str], float] = {}  # of those that are decided
    about: dict[str, list[str | None]] = {}
    for question, asked in plan.questions.items():
        for slug, estimand in estimands_of(asked).items():
            given = asked["estimands"][slug]
            roles = ("final", "twice")
            asks = [(plan, records, estimand, given.get("value", "test"), role) for role in roles]
            both = [_judged(*each) for each in asks]
            (once, aside), (twice, later) = (each or (None, "") for each in both)
            for claim in given.get("claims", []):
                about.setdefault(claim, []).append(once.verdict if once else None)
            if once is not None:
                verdict = "" if asked.get("reproduction") else once.verdict
                if verdict not in ("", UNDECIDED):
                    p[question, slug] = p_value(once)
                chance = math.nan if NOT_DECIDED in aside else power(once)
                value, low, high = (float(f"{x:.4g}") for x in (once.found.value, once.found.low, once.found.high))
                estimands.setdefault(question, {})[slug] = {
                    "what": estimand.what, "rule": estimand.rule, "text": once.text + aside, "verdict": verdict,
                    "value": value, "low": low, "high": high, "claims": given.get("claims", []),
                    "length": _length(plan.arms[max(estimand.arms, key=lambda arm: plan.arms[arm]["epochs"])]),
                    "makes": _several_makes(*asks[0]),
                    "twice": None if twice is None else twice.text + later,
                    "makes_twice": twice is not None and _several_makes(*asks[1]),
                    "lasts": None if twice is None else _alike(once, twice),
                    "power": None if math.isnan(chance) else round(chance, 2),
                }  # fmt: skip
    surviving = survive(p, sum(answer["verdict"] != "" for found in estimands.values() for answer in found.values()))
    for question, answers in estimands.items():
        for slug, answer in answers.items():
            answer["star"] = (question, slug) in surviving
    claims = {slug: together(verdicts) for slug, verdicts in about.items() if None not in verdicts}
    return {"estimands": estimands, "claims": claims}


def store(known: Mapping[str, Any], path: Path) -> None:
    """Keep what is known, for the cards of the claims: whole, or not at all."""
    with atomic_file(path) as file:
        file.write((json.dumps(known, indent=1, ensure_ascii=False) + "\n").encode())


def markdown(plan: Plan, known: Mapping[str, Any]) -> str:
    """The questions and their answers, a section each."""
    made = [answer for answers in known["estimands"].values() for answer in answers.values() if answer["verdict"]]
    decided, starred = sum(each["verdict"] != UNDECIDED for each in made), sum(each["star"] for each in made)
    parts = [
        f"Of the {len(made)} comparisons whose runs are done {decided} are decided. With so many tests chance alone "
        f"decides a few: {starred} verdicts, with a star, survive a correction for that (Holm's; as comparisons join, "
        "a star may go). A dagger: the runs that are compared are from more than one make of processor."
    ]
    longer = {arm for asked in plan.questions.values() for arm in asked.get("twice", [])}
    for question, asked in plan.questions.items():
        rows = []
        for slug, estimand in estimands_of(asked).items():
            answer = known["estimands"].get(question, {}).get(slug)
            if answer is None:
                rows.append([estimand.what, estimand.rule, "not run yet", "", ""])
                continue
            twice = answer["twice"] or ("not run yet" if set(estimand.arms) <= longer else "not tried")
            differs = " (another effect)" if answer["lasts"] is False else ""
            verdict = (answer["verdict"] or "a reproduction: none") + " *" * answer["star"]
            text = answer["text"] + " †" * answer["makes"]
            twice += " †" * answer["makes_twice"]
            if answer["verdict"] == UNDECIDED and answer["power"] is not None:
                verdict += f" (power {answer['power']:.2f})"
            rows.append([estimand.what, estimand.rule, text, verdict, twice + differs])
        header = ["compared", "holds if", "found", "verdict", "at twice the epochs"]
        published = f"\n\nPublished: {asked['published']}{OURS}" if "published" in asked else ""
        parts.append(f"### {asked['asks']}\n\n{markdown_table(header, rows)}{published}")
    return "\n\n".join(parts)


def summary(plan: Plan, records: Mapping[str, Record], known: Mapping[str, Any]) -> str:
    """The questions, a line each: arms, runs, hours of one core, and the claims' verdicts at both scales.

    Args:
        plan, records: all of them; an arm that serves several questions counts for each, and once in the last line.
        known: as `found` returns it.
    """
    rows = []
    for asked in plan.questions.values():
        arms = arms_of(asked)
        mine = [record for record in records.values() if record["arm"] in arms]
        slugs = dict.fromkeys(slug for each in asked["estimands"].values() for slug in each.get("claims", []))
        said = [
            f"{made.words.number} {card.verdict(made)} → {known['claims'].get(made.words.slug, 'not run yet')}"
            for made in map(claim_of, slugs)
        ]
        rows.append([asked["asks"], len(arms), len(mine), _hours(mine), "; ".join(said)])
    rows.append(["together", len(plan.arms), len(records), _hours(records.values()), ""])
    header = ["question", "arms", "runs", "core hours", "claims: after a minute → after hours"]
    return markdown_table(header, [[str(cell) for cell in row] for row in rows])


def _hours(records: Iterable[Record]) -> str:
    return f"{sum(record['seconds'] for record in records) / 3600:.1f}"


def arms_table(plan: Plan, records: Mapping[str, Record]) -> str:
    """Each arm with final runs: in words, the rate it was given, and how those at this rate ended."""
    rows = []
    for arm, settings in plan.arms.items():
        mine = [record for record in records.values() if record["arm"] == arm]
        chosen = settings["rate_of"] or arm
        rate, _ = best_rate(plan.arms[chosen], of_role(records.values(), chosen, "search"))
        final = [record for record in of_role(mine, arm, "final") if record["rate"] == rate]
        if not final:
            continue
        ends, training = ([100 * record[name] for record in final] for name in ("test", "training"))
        broken = sum(record["test"] < BROKEN for record in final)
        rows.append([
            f"`{arm}`", in_words(settings), f"{rate:g}", len(of_role(mine, arm, "search")), len(final),
            f"{sum(ends) / len(ends):.1f} [{min(ends):.1f}, {max(ends):.1f}]", f"{sum(training) / len(training):.1f}",
            broken or "", f"{sum(record['seconds'] for record in mine) / 60:.0f}", ", ".join(_makes(final)),
        ])  # fmt: skip
    header = ["arm", "what it is", "rate", "runs of the search", "final runs", "% right of the test [lowest, highest]",
              "of training pictures", "broke down", "core-minutes", "processor"]  # fmt: skip
    return markdown_table(header, [[str(cell) for cell in row] for row in rows])
