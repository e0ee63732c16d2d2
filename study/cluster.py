"""Runs of the study on many machines: Dask's scheduler shares them out, and what comes back is written here.

    .venv/bin/python -m dask scheduler                                  on one machine; it says its address
    .venv/bin/python -m dask worker tcp://ADDRESS:8786 --nthreads 1     on each machine, in the course's folder, a core
    make study SCHEDULER=tcp://ADDRESS:8786                             anywhere, in the same commit of the course

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
from study.training import code

__all__ = ["Sent", "sender"]


class Sent:
    """A run that is somewhere on the cluster; it answers as a process does that was started here."""

    def __init__(self, client: Client, run: Run, folder: Path):
        self.run, self.folder, self.returncode = run, folder, None
        given = (run.tier, run.arm, run.role, run.rate, run.seed)
        self.future = client.submit(
            one.record_elsewhere, *given, code(), records.pixels_in(folder), key=f"{run.name} {code()}", pure=False
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

    Raises:
        OSError: nobody answers there, or the cluster has no worker, or one with several threads (two trainings in one
            process would share torch's random numbers), or with another version of the course, or other pictures.
    """
    with Client(address, timeout="10s", set_as_default=False) as client:
        workers = client.nthreads()
        if not workers or max(workers.values()) > 1:
            what = "a worker with several threads" if workers else "no worker"
            raise OSError(f"the cluster at {address} has {what}: start them by `dask worker {address} --nthreads 1`")
        here = one.versions_here()
        others = [worker for worker, there in client.run(one.versions_here, on_error="return").items() if there != here]
        if others:
            raise OSError(
                f"another version of the course, or other pictures, or none, at {', '.join(others)}: end them"
            )
        yield (lambda run, folder: Sent(client, run, folder)), lambda: len(client.nthreads())
