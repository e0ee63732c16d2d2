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
    "PLAN",
    "RECORDS",
    "STUDY",
    "TIERS",
    "Record",
    "curves",
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


def read_all(folder: Path = RECORDS) -> dict[str, Record]:
    """Name of a run → its record.

    Raises:
        ValueError: a file that is no record; the text names it.
    """
    paths = sorted(folder.glob("*/*.json"))
    return {path.name.removesuffix(".json"): _read(path, path.stat().st_mtime_ns) for path in paths}


@cache
def _read(path: Path, changed: int) -> Record:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is no record ({error}): delete it, and `make study` makes it anew") from error


def of_role(records: Iterable[Record], arm: str, role: str) -> list[Record]:
    """The records of an arm with a role ("search", "final", "twice"), by rate and seed."""
    found = [record for record in records if (record["arm"], record["role"]) == (arm, role)]
    return sorted(found, key=lambda record: (record["rate"], record["seed"]))


def right_answers(record: Record) -> np.ndarray:
    """Which test pictures a final run told right: bool, (pictures,); of one that diverged, none."""
    if record["stopped"]:
        return np.zeros(0, dtype=bool)
    bits = np.frombuffer(base64.b64decode(record["right"]), dtype=np.uint8)
    return np.unpackbits(bits, count=record["pictures"]).astype(bool)


def values(records: Iterable[Record], arm: str, value: str = "test", role: str = "final") -> np.ndarray:
    """What the runs of an arm say, for an estimate.

    Args:
        records: all there are.
        arm: its slug.
        value: "test", whether each test picture was right, (seeds, pictures), of runs that diverged by guessing none;
            "gap", the accuracy on training pictures minus that on test pictures, (seeds,); "best rate" or "usable
            rate", of the search, (seeds,): the rate with the best accuracy on held-out pictures, the largest one that
            ends above half of it.
        role: "final" or "twice".
    """
    if value.endswith("rate"):
        return _rates(of_role(records, arm, "search"), value)
    found = of_role(records, arm, role)
    if value == "gap":
        return np.array([record["training"] - record["test"] for record in found])
    rows = [right_answers(record) for record in found]
    pictures = max(map(len, rows), default=0)
    return np.array([row if len(row) else np.zeros(pictures, dtype=bool) for row in rows])


def _rates(searched: Iterable[Record], value: str) -> np.ndarray:
    scores: dict[int, dict[float, float]] = {}
    for record in searched:
        scores.setdefault(record["seed"], {})[record["rate"]] = 0.0 if record["stopped"] else record["validation"][-1]
    if value == "best rate":
        return np.array([max(each, key=each.get) for each in scores.values()])
    return np.array([max(r for r in each if each[r] > USABLE * max(each.values())) for each in scores.values()])


def curves(arm: str, role: str = "final") -> np.ndarray:
    """The accuracy on held-out training pictures after each epoch: (seeds, epochs), of all stored runs that ended."""
    found = [record for record in of_role(read_all().values(), arm, role) if not record["stopped"]]
    return np.array([record["validation"] for record in found])


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


def estimands_about(slug: str, path: Path = PLAN) -> list[tuple[str, str]]:
    """(question, slug) of the estimands that a claim rests on after hours, whether they are done or not."""
    asked = read_plan(path)["questions"]
    return [(q, e) for q in asked for e, given in asked[q]["estimands"].items() if slug in given.get("claims", [])]
