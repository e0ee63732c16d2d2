"""Runs of the study on many machines: Dask's scheduler shares them out, and what comes back is written here.

    .venv/bin/python -m dask scheduler                                  on one machine; it says its address
    .venv/bin/python -m dask worker tcp://ADDRESS:8786 --nthreads 1     on each machine, in the course's folder, a core
    make study SCHEDULER=tcp://ADDRESS:8786                             anywhere, in the same commit of the course; the
                                                                        pictures are needed by the workers alone

A worker that is lost takes nothing along: the scheduler gives its run to another one. A run is known by its name, so
that it is never made twice at a time, and its record is written once, by the process that asked for it.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

from study import one, records
from study.plan import Run

__all__ = ["Sent", "sender"]


class Sent:
    """A run that is somewhere on the cluster; it answers as a process does that was started here."""

    def __init__(self, client: Client, run: Run, folder: Path):
        self.run, self.folder, self.returncode = run, folder, None
        given, version = (run.tier, run.arm, run.role, run.rate, run.seed), one.version()
        self.future = client.submit(
            one.record_elsewhere, *given, version, records.pixels_in(folder), key=f"{run.name} {version}", pure=False
        )

    def poll(self) -> int | None:
        """None while it runs; 0 once its record is written; else, as a process of its own would end."""
        if self.returncode is None and self.future.done():
            try:
                records.write(self.run, self.future.result(), self.folder)
                self.returncode = 0
            except Exception as error:  # the run's own, whatever it was, or a worker with another version
                print(f"[study] {self.run.name}: {error}", file=sys.stderr)
                self.returncode = one.HOPELESS if isinstance(error, records.OtherPictures) else 1
            self.future.release()
        return self.returncode

    def terminate(self) -> None:
        self.future.cancel()

    def wait(self) -> None:
        """Nothing to wait for: what is cancelled ends when it may."""


@contextmanager
def sender(address: str) -> Iterator[tuple[Callable[[Run, Path], Sent], Callable[[], int]]]:
    """What sends a run to the cluster at this address ("tcp://127.0.0.1:8786"), and how many it can take now.

    A worker that joins later is asked what it is before it counts, and sent away if it cannot be used.

    Raises:
        OSError: nobody answers there, or the cluster has no worker, or one that cannot be used: with several threads
            (two trainings in one process would share torch's random numbers), with another version of the course or
            of torch, or with other pictures than the others, or none.
    """
    with Client(address, timeout="10s", set_as_default=False) as client:
        found: dict[str, tuple[str, str]] = {}  # worker → why it cannot be used, if so; its pictures

        def ask() -> list[str]:
            """Ask those that are new; what is wrong with them, beginning with their names."""
            threads = client.nthreads()
            new = sorted(threads.keys() - found.keys())
            answers = client.run(one.versions_here, workers=new, on_error="return") if new else {}
            for worker in new:
                seen = {pictures for problem, pictures in found.values() if not problem}
                found[worker] = _usable(threads[worker], answers.get(worker), seen)
            for worker in found.keys() - threads.keys():
                del found[worker]
            return [f"{worker} has {found[worker][0]}" for worker in new if found[worker][0]]

        def how_many() -> int:
            for problem in ask():
                print(f"[study] {problem}: it gets no work", file=sys.stderr)
                client.retire_workers([problem.split()[0]])
            return sum(not problem for problem, _ in found.values())

        problems = ask() or ([] if found else ["the cluster has no worker"])
        if problems:
            how = f"start workers by `dask worker {address} --nthreads 1`, in the same commit of the course"
            raise OSError(f"{'; '.join(problems)}: {how}")
        yield (lambda run, folder: Sent(client, run, folder)), how_many


def _usable(threads: int, answer: object, others: set[str]) -> tuple[str, str]:
    """Why a worker cannot be used, if so, and its pictures; `others`: those of the workers that can."""
    if threads > 1:
        return "several threads", ""
    if not isinstance(answer, tuple):
        return f"a problem ({answer})", ""
    theirs, seen = answer
    if theirs != one.version():
        return "another version of the course or of torch", seen
    return "other pictures" if others - {seen} else "", seen
