"""The series of notebooks, executed as many at a time as there are cores: the longest of them, and all."""

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Row

__all__ = ["series"]

ROOT = Path(__file__).resolve().parent.parent
ALL = re.compile(r"ran through in ([\d.]+) s")
LINE = re.compile(r"^\[run\] (\d\d)_\w+ +([\d.]+) s  ok", re.MULTILINE)


def series(quick: bool = False) -> list[Row]:
    """What `make run` says of each notebook; with `quick`, of the first alone."""
    command = [sys.executable, "-m", "tools.run", *(["00"] if quick else [])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    seconds = {number: float(taken) for number, taken in LINE.findall(done.stdout)}
    if done.returncode or not (seconds and ALL.search(done.stdout)):
        return [Row("the series", "the clock", note=f"`make run` ended with {done.returncode}: run it by itself.")]
    longest = max(seconds, key=seconds.get)
    whole = float(ALL.search(done.stdout)[1])
    listed = ", ".join(f"{number}: {taken:.0f}" for number, taken in seconds.items())
    return [
        Row(f"the longest notebook, {longest}", "the clock", (seconds[longest],), 120, unit="s"),
        Row("the series", "the clock", (whole / 60,), 10, unit="min", note=f"Seconds: {listed}."),
    ]
