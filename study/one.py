"""One run in a process of its own, which `make study` starts; or somebody who wants one run alone:

python -m study.one FOLDER TIER ARM ROLE RATE SEED        for example: mine hours bn-5 final 0.1 7
"""

import os
import sys
import threading
from pathlib import Path
from typing import Any

import torch

from study import records
from study.plan import ROLES, Run, load_plan
from study.training import code, pixels_of, train
from utils.data import DataError, ImageData, load
from utils.study import TIERS
from utils.training import pick_device

__all__ = [
    "ATTENDED",
    "HOPELESS",
    "main",
    "named",
    "pictures_here",
    "record_elsewhere",
    "record_of",
    "version",
    "versions_here",
]

HOPELESS = 3  # the exit status that says: whatever is begun after this will fail in the same way
ATTENDED = "attended"  # a last argument: who started this holds its standard input, and it ends when they do


def record_of(tier: str, arm: str, role: str, rate: float, seed: int) -> dict[str, Any]:
    """Make a run of the plan of a tier on this machine; its record.

    Raises:
        OSError: the pictures of CIFAR-10 are not here, and nobody asked for the stand-in (`COURSE_DATA`).
    """
    run = Run(arm, role, rate, seed, load_plan(tier).arms[arm], tier)
    torch.set_num_threads(run.settings["threads"])
    return train(run, pictures_here(), pick_device())


def pictures_here() -> ImageData:
    """CIFAR-10, or the stand-in if it is asked for; errors as `record_of`."""
    data = load(verbose=False)
    if data.is_stand_in and os.environ.get("COURSE_DATA") != "stand-in":
        raise OSError("CIFAR-10 is not on this machine: see data/README.md")
    return data


def version() -> str:
    """Of the course and of torch on this machine: wherever an arm is trained, both must be the same."""
    return f"{code()} torch {records.minor(torch.__version__)}"


def versions_here() -> tuple[str, str]:
    """`version`, and the hash of the pictures on this machine; errors as `record_of`."""
    return version(), pixels_of(pictures_here())


def record_elsewhere(
    tier: str, arm: str, role: str, rate: float, seed: int, wanted: str, pixels: frozenset[str]
) -> dict[str, Any]:
    """`record_of` on another machine, which first asks whether its `version` and pictures are those of who sent it.

    Raises:
        ValueError: they are not. OSError: as `record_of`.
    """
    if wanted != version():
        raise ValueError("another version of the course or of torch is here: use the same ones on all machines")
    if pixels and load_plan(tier).arms[arm]["text"] is False and (here := pixels_of(load(verbose=False))) not in pixels:
        raise records.OtherPictures(f"the pictures here ({here}) are not those of the records")
    return record_of(tier, arm, role, rate, seed)


def _end_with_who_started_this() -> None:
    os.read(0, 1)  # nobody writes to it: this returns when they are gone, killed or not
    os._exit(1)


def named(tier: str, arm: str, role: str, rate: str, seed: str) -> Run:
    """The run of these words; a ValueError if there is none."""
    if tier not in TIERS or arm not in load_plan(tier).arms or role not in ROLES:
        known = f"a tier ({', '.join(TIERS)}), an arm of its plan and a role ({', '.join(ROLES)})"
        raise ValueError(f"{known} are expected; given: {tier} {arm} {role}")
    return Run(arm, role, float(rate), int(seed), load_plan(tier).arms[arm], tier)


def main(folder: str, tier: str, arm: str, role: str, rate: str, seed: str) -> None:
    """Make a run, and write its record; arguments as text. Errors as `named`, `record_of` and `records.write`."""
    run = named(tier, arm, role, rate, seed)
    if run.name in records.of_plan(load_plan(tier), Path(folder)):
        print(f"[study] {run.name} is there already")  # somebody else was faster
        return
    if not run.settings["text"]:
        records.refuse_others(pixels_of(load(verbose=False)), Path(folder))
    records.write(run, record_of(tier, arm, role, run.rate, run.seed), Path(folder))


if __name__ == "__main__":
    given = [each for each in sys.argv[1:] if each != ATTENDED]
    if len(given) != 6:
        sys.exit(__doc__)
    if given != sys.argv[1:]:  # after all imports: on Windows some libraries cannot be loaded while a pipe is read
        threading.Thread(target=_end_with_who_started_this, daemon=True).start()
    try:
        named(*given[1:])
    except ValueError as problem:
        sys.exit(f"[study] {problem}")
    try:
        main(*given)
    except (OSError, DataError, records.OtherPictures) as problem:  # the next run would meet it, too
        print(f"[study] {problem}", file=sys.stderr)
        sys.exit(HOPELESS)
