"""Makes the runs that are due: so many processes of this machine at a time, until nothing is left."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from study.plan import Plan, Run, arms_of, runs_of
from utils.study import RECORDS, read_all

__all__ = ["due", "estimate", "work"]

ROOT = Path(__file__).resolve().parent.parent


def due(plan: Plan, questions: Sequence[str], seeds: int | None = None, folder: Path = RECORDS) -> list[Run]:
    """The runs that can be made now, each once, those of the first question first."""
    done = read_all(folder)
    found = {run.name: run for question in questions for run in runs_of(plan, done, question, seeds)}
    return list(found.values())


def estimate(plan: Plan, questions: Sequence[str], folder: Path = RECORDS) -> tuple[int, int, float]:
    """(runs done, runs that will still be needed at least, their seconds on one core, by what like runs took)."""
    done = read_all(folder)
    mine = {arm for question in questions for arm in arms_of(plan.questions[question])}
    finished = [record for record in done.values() if record["arm"] in mine]
    pace = [record["seconds"] / record["epochs"] for record in finished] or [12.0]
    left, seconds = 0, 0.0
    for arm in mine:
        settings = plan.arms[arm]
        own = [r["seconds"] / r["epochs"] for r in finished if r["arm"] == arm]
        each = median(own or pace)
        roles = [record["role"] for record in finished if record["arm"] == arm]
        searches = (
            0 if len(settings["rates"]) == 1 or settings["rate_of"] else len(settings["rates"]) * settings["searches"]
        )
        twice = any(arm in plan.questions[question].get("twice", []) for question in questions)
        wanted = {"search": searches, "final": settings["seeds"], "twice": settings["seeds"] * twice}
        for role, count in wanted.items():
            missing = max(0, count - roles.count(role))
            left += missing
            seconds += missing * each * settings["epochs"] * (2 if role == "twice" else 1)
    return len(finished), left, seconds


def start(run: Run, folder: Path) -> subprocess.Popen:
    """A process that makes one run and writes its record."""
    command = [sys.executable, "-m", "study.one", str(folder), run.arm, run.role, repr(run.rate), str(run.seed)]
    return subprocess.Popen(command, cwd=ROOT)


def work(
    find: Callable[[], list[Run]],
    folder: Path = RECORDS,
    jobs: int = 2,
    say: Callable[[str], None] = print,
    begin: Callable[[Run, Path], subprocess.Popen] = start,
) -> int:
    """Make what is due, `jobs` at a time, and what becomes due by it; a run that fails is not tried again here.

    Args:
        find: what is due now, the most urgent first.
        folder: where the records go.
        jobs: processes at a time; a run that wants two threads waits until it is alone.

    Returns:
        How many runs failed.
    """
    running: dict[str, tuple[Run, subprocess.Popen, float]] = {}
    failed: set[str] = set()
    try:
        while True:
            for name, (run, process, since) in list(running.items()):
                if process.poll() is not None:
                    del running[name]
                    if process.returncode:
                        failed.add(name)
                    how = f"FAILED ({process.returncode})" if process.returncode else "done"
                    say(f"[study] {run.name:<44} {time.monotonic() - since:7.0f} s  {how}")
            waiting = [run for run in find() if run.name not in running and run.name not in failed]
            busy = sum(run.settings["threads"] for run, _, _ in running.values())
            for run in waiting:
                if running and busy + run.settings["threads"] > jobs:
                    break
                running[run.name] = (run, begin(run, folder), time.monotonic())
                busy += run.settings["threads"]
            if not running:
                return len(failed)
            time.sleep(0.2)
    finally:  # interrupted: what is half done is done again another time
        for _, process, _ in running.values():
            process.terminate()
            process.wait()
