"""What the processes of a JupyterHub take, read from Linux' /proc: memory with and without what they share, and time.

The processes of one run carry the same random mark in their environment, and whoever is started by them inherits it.
So they are found wherever they stand, and nobody else's ever is.
"""

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

__all__ = [
    "MARK", "Part", "Sample", "Sampler", "Usage", "add", "cpu_seconds", "marked", "memory", "part_of", "peak",
    "read_usage", "whole",
]  # fmt: skip

MARK = "COURSE_HUB_RUN"
PROC = Path("/proc")


@dataclass(frozen=True)
class Usage:
    """What processes take, in bytes and seconds.

    Attributes:
        uss: memory that is theirs alone, so what would be free without them.
        pss: with a share of the rest: a page that n processes of this machine use counts as 1/n.
        rss: with all of the rest, as `top` shows it.
        cpu: user and system time.
    """

    uss: int = 0
    pss: int = 0
    rss: int = 0
    cpu: float = 0.0


Part = tuple[str, str]  # whose, and which: ("student01", "kernel"); the hub and the proxy are nobody's
Sample = Mapping[Part, Usage]  # everything at one moment


def add(usages: Iterable[Usage]) -> Usage:
    """All of them together."""
    columns = zip(*(astuple(usage) for usage in [Usage(), *usages]), strict=True)
    return Usage(*map(sum, columns))


def whole(sample: Sample) -> int:
    """The memory of everything, in bytes: what is each one's alone, and what kernels share, or servers, once.

    Unlike the sum of the shares (PSS) it does not depend on who else on this machine uses the same libraries.
    """
    shared: dict[str, int] = {}
    for (_, part), usage in sample.items():
        shared[part] = max(shared.get(part, 0), usage.rss - usage.uss)
    return add(sample.values()).uss + sum(shared.values())


def memory(smaps_rollup: str) -> tuple[int, int, int]:
    """(USS, PSS, RSS) in bytes, from the text of /proc/PID/smaps_rollup; what was swapped out still counts."""
    rows = [line.split() for line in smaps_rollup.splitlines()]
    size = {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if row[-1:] == ["kB"]}
    swapped = size.get("SwapPss", 0)
    return size["Private_Clean"] + size["Private_Dirty"] + swapped, size["Pss"] + swapped, size["Rss"] + swapped


def cpu_seconds(stat: str, ticks: int) -> float:
    """User and system time from the text of /proc/PID/stat, its ended children's included."""
    fields = stat.rpartition(")")[2].split()  # a process may have any name, so count from behind it
    return sum(map(int, fields[11:15])) / ticks


def part_of(environment: Mapping[str, str], command: Sequence[str]) -> Part:
    """Whose process this is, and which part of the hub, from its environment and its command line."""
    student = environment.get("JUPYTERHUB_USER", "")
    line = " ".join(command)
    if student:
        return student, "server" if "singleuser" in line else "kernel"
    return "", "proxy" if "configurable-http-proxy" in line else "hub"


def marked(mark: str, proc: Path = PROC) -> dict[int, Part]:
    """The processes that carry this mark."""
    found = {}
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            lines = (folder / "environ").read_text(errors="replace").split("\0")
            environment = dict(line.partition("=")[::2] for line in lines)
            if environment.get(MARK) == mark:
                command = (folder / "cmdline").read_text(errors="replace").split("\0")
                found[int(folder.name)] = part_of(environment, command)
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def read_usage(pid: int, proc: Path = PROC) -> Usage:
    """What one process takes now; nothing if it has ended."""
    try:
        sizes = memory((proc / str(pid) / "smaps_rollup").read_text())
        cpu = cpu_seconds((proc / str(pid) / "stat").read_text(), os.sysconf("SC_CLK_TCK"))
    except (OSError, KeyError):
        return Usage()
    return Usage(*sizes, cpu)


def peak(samples: Iterable[Sample], owner: str) -> Sample:
    """What one owner's parts took at the moment at which they took most memory."""
    theirs = [{part: usage for part, usage in sample.items() if part[0] == owner} for sample in samples]
    return max(theirs, key=lambda sample: add(sample.values()).rss)


class Sampler:
    """Looks at all marked processes twice a second, from `with` to its end, and once more there."""

    def __init__(self, mark: str, seconds: float = 0.5):
        self.samples: list[Sample] = []
        self._mark, self._seconds = mark, seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join()
        self.samples.append(self._look())

    def _run(self) -> None:
        while True:
            start = time.monotonic()
            self.samples.append(self._look())
            if self._done.wait(max(0.0, self._seconds - (time.monotonic() - start))):
                return

    def _look(self) -> Sample:
        usages: dict[Part, list[Usage]] = {}
        for pid, part in marked(self._mark).items():
            usages.setdefault(part, []).append(read_usage(pid))
        return {part: add(found) for part, found in usages.items()}
