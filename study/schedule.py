"""Makes the runs that are due: so many at a time, here or on a cluster, until nothing is left."""

import contextlib
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Protocol

from study.one import ATTENDED, HOPELESS
from study.plan import Plan, Record, Run, arms_of, best_rate, runs_of
from utils.files import atomic_file
from utils.study import of_role

__all__ = ["RUNNING", "Begun", "due", "estimate", "start", "work"]

ROOT = Path(__file__).resolve().parent.parent
ASK = 5.0  # seconds after which one asks again how many can run
RUNNING = ".running"  # in the folder of the records: the names of the runs that are being made, a line each


class Begun(Protocol):
    """A run that was begun, as a process is."""

    returncode: int | None

    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def wait(self) -> object: ...


def due(plan: Plan, questions: Sequence[str], done: Mapping[str, Record], seeds: int | None = None) -> list[Run]:
    """The runs that can be made now, each once, those of the first question first."""
    found = {run.name: run for question in questions for run in runs_of(plan, done, question, seeds)}
    return list(found.values())


def estimate(
    plan: Plan, questions: Sequence[str], done: Mapping[str, Record], seeds: int | None = None
) -> tuple[int, int, float, int]:
    """What is done and what is left.

    Returns:
        (runs done; runs that will still be needed, at least; the seconds on one core that those take of which another
        run of the same arm is done, or of the one whose rate it has; how many the others are).
    """
    mine = list(dict.fromkeys(arm for question in questions for arm in arms_of(plan.questions[question])))
    paces: dict[str, list[float]] = {}
    for record in done.values():
        paces.setdefault(record["arm"], []).append(record["seconds"] / record["epochs"])
    left, seconds, unknown = 0, 0.0, 0
    for arm in mine:
        settings = plan.arms[arm]
        chosen = settings["rate_of"] or arm
        searched = of_role(done.values(), chosen, "search")
        rate, missing = best_rate(plan.arms[chosen], searched)
        finals = settings["seeds"] if seeds is None else seeds
        twice = any(arm in plan.questions[question].get("twice", []) for question in questions)
        wanted = {"search": 0, "final": finals, "twice": finals * twice}
        if chosen == arm:
            have = Counter(record["rate"] for record in searched)
            wanted["search"] = sum(settings["searches"] - have[rate] for rate in missing)
        for role in ("final", "twice"):  # those at another rate do not count; while it is not known, it may be theirs
            at = Counter(record["rate"] for record in of_role(done.values(), arm, role))
            wanted[role] -= at[rate] if rate is not None else max(at.values(), default=0)
        for role, count in wanted.items():
            count = max(0, count)
            left += count
            if known := paces.get(arm) or paces.get(chosen):
                seconds += count * median(known) * Run(arm, role, 0, 0, settings).epochs
            else:
                unknown += count
    return sum(record["arm"] in mine for record in done.values()), left, seconds, unknown


def start(run: Run, folder: Path) -> subprocess.Popen:
    """A process that makes one run and writes its record."""
    given = (str(folder), run.tier, run.arm, run.role, repr(run.rate), str(run.seed), ATTENDED)
    return subprocess.Popen([sys.executable, "-m", "study.one", *given], cwd=ROOT, stdin=subprocess.PIPE)


def work(
    find: Callable[[], list[Run]],
    folder: Path,
    jobs: int | Callable[[], int] = 2,
    say: Callable[[str], None] = print,
    begin: Callable[[Run, Path], Begun] = start,
) -> int:
    """Make what is due, `jobs` at a time, and what becomes due by it; a run that fails is not tried again here.

    Args:
        find: what is due now, the most urgent first.
        folder: where the records go.
        jobs: runs at a time, or what says so (a cluster grows); a run that wants two threads waits until two are free.
        begin: starts a run.

    Returns:
        How many runs failed.
    """
    running: dict[str, tuple[Run, Begun, float]] = {}
    failed: set[str] = set()
    hopeless = False  # whether a run has said that all others will fail as well
    free = True  # whether there may be something to begin: at the start, and whenever a run has ended or more can run
    most, asked = 0, -math.inf
    try:
        while True:
            if time.monotonic() - asked > ASK:
                before, most, asked = most, jobs() if callable(jobs) else jobs, time.monotonic()
                free |= most > before
            for name, (run, begun, since) in list(running.items()):
                if begun.poll() is not None:
                    del running[name]
                    free = True
                    if begun.returncode:
                        failed.add(name)
                        hopeless |= begun.returncode == HOPELESS
                    how = f"FAILED ({begun.returncode})" if begun.returncode else "done"
                    say(f"[study] {run.name:<44} {time.monotonic() - since:7.0f} s  {how}")
            waiting = [run for run in find() if run.name not in running and run.name not in failed] if free else []
            waiting = [] if hopeless else waiting
            busy = sum(run.settings["threads"] for run, _, _ in running.values())
            for run in waiting:
                if running and busy + run.settings["threads"] > most:
                    break
                running[run.name] = (run, begin(run, folder), time.monotonic())
                busy += run.settings["threads"]
            if free:
                with atomic_file(folder / RUNNING) as file:
                    file.write("".join(f"{name}\n" for name in running).encode())
            free = False
            if not running:
                return len(failed)
            time.sleep(0.2)
    finally:  # interrupted: what is half done is done again another time
        for _, begun, _ in running.values():
            begun.terminate()
            begun.wait()
        with contextlib.suppress(OSError):
            (folder / RUNNING).unlink()
