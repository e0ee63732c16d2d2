"""What `make claims` has measured: the arms of each claim, on both data sets, in `lessons/nbNN/claims.json`.

Of an arm of right and wrong answers each seed's row is kept in bits, so that an interval can cover the pictures.
"""

import base64
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from utils import lessons
from utils.files import atomic_file
from utils.lessons import lesson_of

__all__ = ["DATA_SETS", "keep", "load", "packed", "save", "seeds", "stored", "unpacked"]

DATA_SETS = ("CIFAR-10", "stand-in")
FOLDER, COUNT = "COURSE_RECORD", "COURSE_SEEDS"  # in the environment: where to keep what is measured; how many seeds


def seeds(count: int) -> range:
    """The seeds of an experiment: so many in class, and more where `make claims` records it."""
    return range(max(count, int(os.environ.get(COUNT, "0"))))


def stored(slug: str) -> dict[str, dict[str, np.ndarray]]:
    """data set → arm → values (S,) or right answers (S, P); empty for a claim that nobody has recorded yet."""
    return load(lesson_of("claims", slug)).get(slug, {})


@cache
def load(number: str) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """slug → data set → arm → values, of all claims recorded in the lesson with this number.

    Raises:
        ValueError: the file is not what `make claims` writes.
    """
    path = lessons.LESSONS / f"nb{number}" / "claims.json"
    if not path.exists():
        return {}
    try:
        return {
            slug: {name: unpacked(arms) for name, arms in sets.items()}
            for slug, sets in json.loads(path.read_text("utf-8")).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not what `make claims` writes ({error}): run it again") from error


def save(number: str, found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Write the records of a lesson, given as they are kept: whole, or not at all."""
    with atomic_file(lessons.LESSONS / f"nb{number}" / "claims.json") as file:
        file.write((json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode())
    load.cache_clear()


def keep(slug: str, data_set: str, arms: Mapping[str, np.ndarray]) -> bool:
    """Write down what was just measured, if the environment names a folder for it; whether it does."""
    if not (folder := os.environ.get(FOLDER)):
        return False
    with atomic_file(Path(folder) / f"{slug}.json") as file:
        file.write(json.dumps({data_set: {arm: packed(row) for arm, row in arms.items()}}).encode())
    return True


def unpacked(arms: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """arm → values, from what is kept in a file."""
    return {arm: _unpacked(row) for arm, row in arms.items()}


def packed(row: np.ndarray) -> Any:
    """Numbers as text of five digits, which says infinity too; right answers as bits."""
    if row.ndim == 1:
        return " ".join(f"{value:.5g}" for value in row)
    return {"pictures": row.shape[1], "right": [base64.b64encode(np.packbits(each > 0.5)).decode() for each in row]}


def _unpacked(kept: Any) -> np.ndarray:
    if isinstance(kept, str):
        return np.array([float(value) for value in kept.split()])
    bits = [np.frombuffer(base64.b64decode(each), np.uint8) for each in kept["right"]]
    return np.stack([np.unpackbits(each, count=kept["pictures"]) for each in bits]).astype(bool)
