"""Writing what a run leaves behind: a file each, whole or not there; reading is the business of `utils.study`."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from study.plan import OTHER, Plan, Record, Run
from study.training import code
from utils.files import atomic_file
from utils.study import RECORDS, read_all

__all__ = [
    "RECORDS",
    "OtherPictures",
    "fits_plan",
    "minor",
    "of_plan",
    "pixels_in",
    "read_all",
    "refuse_another_torch",
    "refuse_others",
    "torches",
    "write",
]


class OtherPictures(ValueError):
    """What cannot be compared with the records that are there."""


def write(run: Run, record: Mapping[str, Any], folder: Path = RECORDS) -> Path:
    """Keep a record under the run's name; it is there in full or not at all.

    Raises:
        ValueError: it was made by another plan, or by other code: on a machine with another version of the course; or
            with other pictures, or another torch, than the records that are there.
    """
    refuse_another_torch(record["torch"], read_all(folder).values())
    if record.get("data") != "text" and "pixels" in record:
        refuse_others(record["pixels"], folder)
    if record["settings"] != dict(run.settings) or record["code"] != code():
        raise ValueError(f"{run.name} was made by another version of the course: use the same one on all machines")
    target = folder / run.arm / f"{run.name}.json"
    with atomic_file(target) as file:
        file.write(json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n")
    return target


def pixels_in(folder: Path) -> frozenset[str]:
    """Of which pictures the records in a folder are, by their hashes."""
    kept = [record for record in read_all(folder).values() if record.get("data") != "text"]
    return frozenset(record["pixels"] for record in kept if "pixels" in record)


def refuse_others(pixels: str, folder: Path) -> None:
    """OtherPictures if the records in a folder are of others than those with this hash."""
    seen = pixels_in(folder)
    if seen and pixels not in seen:
        raise OtherPictures(
            f"the records in {folder} are of other pictures ({', '.join(sorted(seen))}) than those here ({pixels}), "
            "and cannot be compared: use those pictures, or a folder of your own (--records FOLDER)"
        )


def minor(version: str) -> str:
    """ "2.14" of "2.14.1+cpu": another patch of torch counts as the same."""
    return ".".join(version.split(".")[:2])


def torches(done: Iterable[Record]) -> set[str]:
    """By which torch the records were made, as "2.14"."""
    return {minor(record["torch"]) for record in done}


def refuse_another_torch(version: str, done: Iterable[Record]) -> None:
    """ValueError if the records are of another torch than this version, "2.14.1": an arm would be of both."""
    made = torches(done)
    if made - {minor(version)}:
        raise ValueError(
            f"the records are of torch {', '.join(sorted(made))}, and here is {version}: use that one, or a folder of "
            "your own (--records FOLDER), or make them all anew (study/README.md, “A new torch”)"
        )


def of_plan(plan: Plan, folder: Path = RECORDS) -> dict[str, Record]:
    """Name of a run → its record, of those that belong to the plan as it is; errors as `read_all`."""
    return {name: record for name, record in read_all(folder).items() if not fits_plan(record, plan)}


def fits_plan(record: Record, plan: Plan) -> str:
    """Why a record does not belong to the plan, in words; empty if it does."""
    arm = plan.arms.get(record["arm"])
    if arm is None:
        return f"the plan has no arm {record['arm']}"
    # Which rates and how many seeds are tried may change: what was run at a rate stays what it was.
    free = {"rates", "searches", "seeds"}
    if record["role"] == "search" and arm["searches_epochs"]:
        free.add("epochs")  # of the final runs alone
    then = {**OTHER, **record["settings"]}
    differs = [name for name, value in arm.items() if name not in free and then.get(name) != value]
    return f"the plan says otherwise about {', '.join(differs)}" if differs else ""
