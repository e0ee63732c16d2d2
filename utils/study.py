"""The one door from the engines to `study/`: its plan as it is written, and what its runs left behind.

Nothing here trains. Where the package stands alone, without a study beside it, every answer is empty.
"""

import base64
import json
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "GUESSING",
    "PLAN",
    "RECORDS",
    "STUDY",
    "TIERS",
    "VALUES",
    "Record",
    "estimands_about",
    "of_role",
    "read_all",
    "read_plan",
    "right_answers",
    "values",
    "verdicts",
]  # fmt: skip

STUDY = Path(__file__).resolve().parent.parent / "study"
TIERS = {  # which machines it is for → its plan, and the folder of its records
    "hours": (STUDY / "plan.toml", STUDY / "records"),
    "gpu": (STUDY / "gpu.toml", STUDY / "records-gpu"),
}
PLAN, RECORDS = TIERS["hours"]
VALUES = {"test", "training", "gap", "curve", "loss", "usable rate"}  # what `values` can take of a run
GUESSING = 0.1  # the accuracy of a network that gives the same answer to every picture
USABLE = 0.5  # of the best accuracy: a rate that ends above is usable

Record = Mapping[str, Any]  # what a run left behind


@cache
def read_plan(path: Path = PLAN) -> Mapping[str, Any]:
    """The plan as it is written: defaults, arms, questions.

    Raises:
        ValueError: the file is not TOML; the text says where.
    """
    if not path.exists():
        return {"defaults": {}, "arms": {}, "questions": {}}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: {error}") from error


def read_all(folder: Path | str = RECORDS) -> dict[str, Record]:
    """Name of a run → its record.

    Raises:
        ValueError: a file that is not a record; the text names it.
    """
    paths = sorted(Path(folder).glob("*/*.json"))
    return {path.name.removesuffix(".json"): _read(path, path.stat().st_mtime_ns) for path in paths}


@cache
def _read(path: Path, changed: int) -> Record:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is not a record ({error}): delete it, and `make study` makes it anew") from error


def of_role(records: Iterable[Record], arm: str, role: str) -> list[Record]:
    """The records of an arm with a role ("search", "final", "twice"), by rate and seed."""
    found = [record for record in records if (record["arm"], record["role"]) == (arm, role)]
    return sorted(found, key=lambda record: (record["rate"], record["seed"]))


def right_answers(record: Record) -> np.ndarray:
    """Which test pictures a final run got right: bool, (pictures,)."""
    bits = np.frombuffer(base64.b64decode(record["right"]), dtype=np.uint8)
    return np.unpackbits(bits, count=record["pictures"]).astype(bool)


def values(records: Iterable[Record], arm: str, value: str = "test", role: str = "final") -> np.ndarray:
    """What the runs of an arm say, for an estimate.

    Args:
        records: all there are.
        arm: its slug.
        value: "test", whether each test picture was right, (seeds, pictures); "training", the accuracy on training
            pictures, (seeds,); "gap", that minus the accuracy on test pictures, (seeds,); "curve", the mean
            accuracy on held-out pictures over all epochs, (seeds,); "loss", the mean loss while training, (seeds,);
            "usable rate", of the search, (seeds,): the largest rate that ends above half of the best accuracy on
            held-out pictures, interpolated between the rates that were tried.
        role: "final" or "twice".
    """
    if value == "usable rate":
        return _usable_rates(of_role(records, arm, "search"))
    found = of_role(records, arm, role)
    if value == "gap":
        return np.array([record["training"] - record["test"] for record in found])
    if value == "loss":
        return np.array([np.mean(record["loss"]) for record in found])
    if value == "training":
        return np.array([record["training"] for record in found])
    if value == "curve":
        return np.array([np.mean(record["validation"] or [GUESSING]) for record in found])
    return np.array([right_answers(record) for record in found])


def _usable_rates(searched: Iterable[Record]) -> np.ndarray:
    scores: dict[int, dict[float, float]] = {}
    for record in searched:
        end = GUESSING if record["stopped"] else record["validation"][-1]
        scores.setdefault(record["seed"], {})[record["rate"]] = end
    found = []
    for of_seed in scores.values():
        rates, ends = np.array(sorted(of_seed)), np.array([of_seed[rate] for rate in sorted(of_seed)])
        edge = USABLE * ends.max()
        last = int(np.flatnonzero(ends >= edge)[-1])
        if last + 1 == len(rates):
            found.append(rates[last])
            continue
        share = (ends[last] - edge) / (ends[last] - ends[last + 1])  # of the way to the next rate
        found.append(rates[last] * (rates[last + 1] / rates[last]) ** share)
    return np.array(found)


@cache
def verdicts(path: Path = STUDY / "verdicts.json") -> Mapping[str, Any]:
    """What `make study` found: "estimands", by question and slug, and "claims", slug → verdict, of those that are done.

    Raises:
        ValueError: the file is not what `make study` writes.
    """
    if not path.exists():
        return {"estimands": {}, "claims": {}}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is not what `make study` writes ({error}): run it again") from error


def estimands_about(slug: str, tier: str = "hours") -> list[tuple[str, str]]:
    """(question, slug) of the estimands that a claim rests on in the plan of a tier, whether they are done or not."""
    asked = read_plan(TIERS[tier][0])["questions"]
    return [(q, e) for q in asked for e, given in asked[q]["estimands"].items() if slug in given.get("claims", [])]
