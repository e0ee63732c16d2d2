"""What the runs leave behind: a file each, whole or not there, in `study/records/`."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from study.plan import Plan, Record, Run
from utils.files import atomic_file

__all__ = ["RECORDS", "fits_plan", "read_all", "right_answers", "write"]

RECORDS = Path(__file__).resolve().parent / "records"


def write(run: Run, record: Mapping[str, Any], folder: Path = RECORDS) -> Path:
    """Keep a record under the run's name; it is there in full or not at all."""
    kept = {**record, "settings": dict(run.settings)}
    target = folder / run.arm / f"{run.name}.json"
    with atomic_file(target) as file:
        file.write(json.dumps(kept, separators=(",", ":"), allow_nan=False).encode() + b"\n")
    return target


def read_all(folder: Path = RECORDS) -> dict[str, Record]:
    """Name of a run → its record.

    Raises:
        ValueError: a file that is no record; the text names it.
    """
    found = {}
    for path in sorted(folder.glob("*/*.json")):
        try:
            found[path.name.removesuffix(".json")] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(
                f"{path.name} is no record ({error}): delete it, and `make study` makes it anew"
            ) from error
    return found


def right_answers(record: Record) -> np.ndarray:
    """Which test pictures a final run told right: bool, (pictures,)."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(record["right"]), dtype=np.uint8))
    return bits[: record["pictures"]].astype(bool)


def fits_plan(record: Record, plan: Plan) -> str:
    """Why a record does not belong to the plan, in words; empty if it does."""
    arm = plan.arms.get(record["arm"])
    if arm is None:
        return f"the plan has no arm {record['arm']}"
    # The grid may grow: what was run at a rate stays what it was.
    differs = [name for name, value in arm.items() if name != "rates" and record["settings"].get(name) != value]
    return f"the plan says otherwise about {', '.join(differs)}" if differs else ""
