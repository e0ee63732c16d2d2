"""A function in several processes that can talk to each other, started from a notebook, and ended whatever happens.

    run(function, 2, *arguments)      # what it returned in each of them

The processes are in one torch.distributed group; no other machine can reach them (`utils.distributed.loopback`).
"""

from __future__ import annotations

import contextlib
import datetime
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
import torch.distributed as dist

from utils.distributed.loopback import loopback_backend

__all__ = ["TIMEOUT", "ProcessError", "run"]

TIMEOUT = 60.0  # seconds
GRACE = 0.5  # seconds: who loses a neighbour may be heard before the neighbour's death is noticed
PRELOADED = [__name__, "torch._dynamo"]  # the latter is what every optimizer imports: four seconds


class ProcessError(RuntimeError):
    """A process of `run` failed, died or gave no answer; the message says which one, and its last words."""


def run(function: Callable[..., Any], processes: int, *arguments: Any, timeout: float = TIMEOUT) -> list[Any]:
    """Call a function in several processes at once; `torch.distributed.get_rank()` tells them apart.

        run(train, 2, Settings(depth=5, widths=(16, 32, 64), size=2560))

    Args:
        function: any; one that is written in a notebook's cell is sent along with all that it uses of the notebook.
        processes: how many; each has one thread. What they print goes to the terminal, not into the notebook.
        arguments: plain data or tensors, the same for all.
        timeout: seconds from start to end (the first start takes some ten of them), and for each exchange.

    Returns:
        What the function returned, in the order of the ranks: plain data or tensors on the CPU.

    Raises:
        ValueError: a function or an argument that cannot be sent to another process, or fewer than one process.
        ProcessError: one of them raised, died or was not done in time. The others are killed; so are all of them when
            this process is interrupted or ends.
    """
    if processes < 1:
        raise ValueError(f"there must be at least one process; given: {processes}")
    task = _packed(function, arguments)
    context = _context()
    started: list[Any] = []
    ends: list[Connection] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            for rank in range(processes):
                our_end, worker_end = context.Pipe()
                ends.append(our_end)
                worker = (rank, processes, os.path.join(folder, "store"), task, worker_end, timeout, dict(os.environ))
                started.append(context.Process(target=_worker, args=worker, daemon=True))
                started[-1].start()
                worker_end.close()  # so that the worker holds the only one, and its death is noticed
            answers = _collect(ends, started, timeout)
            for end in ends:
                end.close()  # now they may go
            for process in started:
                process.join(GRACE)
            return answers
        finally:
            for process in started:
                if process.pid is not None:
                    process.kill()
                    process.join()
            for end in ends:
                end.close()


def _context() -> Any:
    """How processes are started: on Linux, forked from a server that has imported everything once, and nothing else.

    So the first one costs seven seconds, and each one after it a tenth. Elsewhere it is not safe to fork.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _packed(function: Callable[..., Any], arguments: Sequence[Any]) -> bytes:
    import cloudpickle  # here, since a kernel that starts no process needs none of it

    try:
        return cloudpickle.dumps((function, arguments))
    except Exception as error:
        name = getattr(function, "__qualname__", repr(function))
        raise ValueError(f"{name} and its arguments cannot be sent to another process: {error}") from error


def _worker(
    rank: int, processes: int, store: str, task: bytes, end: Connection, timeout: float, environment: dict[str, str]
) -> None:
    """What runs in each process: join the group, call the function, answer, and wait until all have."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)  # the server's is that of its start
    torch.set_num_threads(1)
    try:
        limit = datetime.timedelta(seconds=timeout)
        shared = dist.FileStore(store, processes)
        dist.init_process_group(loopback_backend(), store=shared, rank=rank, world_size=processes, timeout=limit)
        function, arguments = pickle.loads(task)
        answer = pickle.dumps((True, function(*arguments)))
    except BaseException as error:
        answer = pickle.dumps((False, (f"{type(error).__name__}: {error}", traceback.format_exc())))
    sys.stdout.flush()
    with contextlib.suppress(EOFError, OSError):
        end.send_bytes(answer)
        end.recv_bytes()  # nothing ever comes; the other end is closed when all have answered
    if dist.is_initialized():
        dist.destroy_process_group()


def _end_with_parent() -> None:
    """End this process when the one that called `run` is gone, even if that was killed and could not say so."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _collect(ends: Sequence[Connection], started: Sequence[Any], timeout: float) -> list[Any]:
    """Everybody's answer; ProcessError as soon as it is clear that there will not be all of them."""
    values: dict[int, Any] = {}
    failures: list[tuple[bool, int, str, str]] = []  # (raised and not died, order, what, traceback)
    waiting = {end: rank for rank, end in enumerate(ends)}
    deadline = time.monotonic() + timeout
    while waiting and (ready := wait(list(waiting), max(0, deadline - time.monotonic()))):
        for end in ready:
            rank = waiting.pop(end)
            try:
                returned, answer = pickle.loads(end.recv_bytes())
            except (EOFError, OSError):
                failures.append((False, len(failures), f"process {rank} {_how_it_ended(started[rank])}", ""))
                continue
            if returned:
                values[rank] = answer
            else:
                failures.append((True, len(failures), f"process {rank}: {answer[0]}", answer[1]))
        if failures:
            deadline = min(deadline, time.monotonic() + GRACE)
    if failures:
        _, _, what, text = min(failures)  # a death first: whoever lost it raises too
        error = ProcessError(what)
        if text:
            error.add_note(text)
        raise error
    if waiting:
        late = ", ".join(map(str, sorted(waiting.values())))
        raise ProcessError(f"no answer from process {late} within {timeout:g} seconds: all processes were stopped")
    return [values[rank] for rank in range(len(ends))]


def _how_it_ended(process: Any) -> str:
    process.join(GRACE)
    code = process.exitcode
    if code is not None and code < 0:
        return f"was killed by the signal {signal.Signals(-code).name}"
    return f"ended without an answer (exit status {code})"
