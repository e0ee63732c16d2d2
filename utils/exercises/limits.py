"""Runs a learner's code so that nothing it does can spoil the notebook: it may raise, hang, print or ask for memory.

Time is limited by a timer's signal where there is one (POSIX, main thread), elsewhere by a second thread. Code that
catches everything is stopped as well: when the time is up, the error comes back at each further step, so that none of
the handlers around a step can be the last. In a thread it comes back once, which an `except` inside another outlives.
Neither can interrupt a single long call into C, such as `sum(range(10**11))`. Memory is limited by `memory`; how much
of it is in use is looked at every 50 ms, and may not grow by more than 1 GB.
"""

import contextlib
import ctypes
import io
import os
import signal
import sys
import threading
import time
import traceback
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from utils.exercises.memory import (
    MEGABYTE,
    TENSOR_BYTES,
    TensorLimit,
    TooLarge,
    address_limit,
    is_allocation,
    statm,
    words,
)
from utils.exercises.state import fixed_state
from utils.lessons import LESSONS

__all__ = ["Outcome", "Place", "TimeUp", "TooLarge", "is_allocation", "place", "run"]

GROWTH = 1024 * MEGABYTE  # of the resident memory
TICK = 0.05
PATIENCE = 1.0  # seconds between two attempts to stop code that is not the learner's own
UTILS = Path(__file__).resolve().parents[1]
LIBRARIES = [str(UTILS), os.path.abspath(str(LESSONS)), os.path.dirname(torch.__file__), os.path.dirname(os.__file__)]


class TimeUp(BaseException):
    """The code took too long. No `Exception`, so that the learner's own `except Exception` does not catch it."""


class Printed(io.StringIO):
    """What code prints; it can be read even if that code has closed `sys.stdout`."""

    def close(self) -> None:
        """Does nothing."""


@dataclass
class Outcome:
    """What became of a call: its value, or the error it raised; what it printed; whether it still runs."""

    value: Any = None
    error: BaseException | None = None
    printed: str = ""
    unstoppable: bool = False


@dataclass(frozen=True)
class Place:
    """A line of the learner's code: its number in the cell, and its text."""

    line: int
    text: str


def run(function: Callable[[], Any], seconds: float = 10.0) -> Outcome:
    """Call a function of the learner's, within limits, from a fixed state; the state of the process stays as it was.

    Args:
        function: takes nothing.
        seconds: of wall-clock time.

    Returns:
        The `Outcome`. Nothing that the function raises gets through, but KeyboardInterrupt.
    """
    outcome, printed = Outcome(), Printed()

    def body() -> None:
        try:
            with TensorLimit(TENSOR_BYTES):
                outcome.value = function()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            outcome.error = TooLarge(words(error)) if is_allocation(error) else error
            outcome.error.__traceback__ = error.__traceback__

    with (
        fixed_state(),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        warnings.catch_warnings(record=True, action="always") as warned,
        address_limit(),
    ):
        timed = _with_signal if _has_signal() else _with_thread
        timed(body, seconds, outcome)
    lines = [f"{warning.category.__name__}: {warning.message}\n" for warning in warned]
    outcome.printed = printed.getvalue() + "".join(lines)
    return outcome


# --- time


def _has_signal() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def _with_signal(body: Callable[[], None], seconds: float, outcome: Outcome) -> None:
    attempt, resident, late, ended = time.monotonic() + seconds, statm(1), False, False

    def tick(number, frame):
        nonlocal attempt, resident, late
        if ended:
            return
        anywhere = time.monotonic() > attempt
        if anywhere:
            attempt = time.monotonic() + PATIENCE
            late = not _imports(frame)  # stopped inside an import, it would leave half a module behind
        if late:
            sys.settrace(None)  # a traced function does not start before signals have ceased to arrive
            stops = anywhere or _is_learners(frame.f_code.co_filename)
            for _ in _signalled_again(number):
                if stops:
                    raise TimeUp
                return
        now = statm(1)
        if resident is not None and now is not None and now - resident > GROWTH:
            resident += GROWTH  # not at once again, while the first is on its way out
            raise TooLarge(f"the memory in use grew by more than {GROWTH / MEGABYTE:,.0f} MB")

    before, tracer = signal.signal(signal.SIGALRM, tick), sys.gettrace()
    try:
        signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
        body()
        ended = True
    except (TimeUp, TooLarge) as error:  # raised just as the body ended
        ended = True
        outcome.error = error
    finally:
        ended = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.settrace(tracer)


def _signalled_again(number: int) -> map:
    """Marks a signal as arrived, so that its handler is called at the next step at which Python looks for signals.

    It does so when its first item is asked for: within the handler, a `for` over it, unlike a call, is no such step.
    """
    return map(ctypes.pythonapi.PyErr_SetInterruptEx, (number,))


def _with_thread(body: Callable[[], None], seconds: float, outcome: Outcome) -> None:
    late = False

    def trace(frame, event, argument):
        """Raises TimeUp on the first line after the one that was interrupted. Python drops a trace that raises."""
        nonlocal late
        late = late or (event == "exception" and argument[0] is TimeUp)
        if late and event == "line":
            raise TimeUp
        return trace if _is_learners(frame.f_code.co_filename) else None

    def traced() -> None:
        sys.settrace(trace)
        body()

    worker = threading.Thread(target=traced, daemon=True)
    worker.start()
    worker.join(seconds)
    while worker.is_alive() and _imports(sys._current_frames().get(worker.ident)):
        worker.join(PATIENCE)
    while getattr(sys._current_frames().get(worker.ident), "f_code", None) is trace.__code__:
        worker.join(TICK / 10)  # interrupted itself, the trace would be dropped at once
    if worker.is_alive():
        _interrupt(worker)
        worker.join(PATIENCE)
        outcome.error, outcome.unstoppable = outcome.error or TimeUp(), worker.is_alive()


def _interrupt(worker: threading.Thread) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident), ctypes.py_object(TimeUp))


def _imports(frame: types.FrameType | None) -> bool:
    """Whether a frame stands inside an import."""
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


# --- where it went wrong


def place(error: BaseException) -> Place | None:
    """The last line of the learner's own code on the way to an error; None if there is none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_learners(frame.filename)]
    return Place(frames[-1].lineno, (frames[-1].line or "").strip()) if frames else None


@cache
def _is_learners(filename: str) -> bool:
    if filename.startswith("<frozen") or "site-packages" in filename:
        return False
    return not any(os.path.abspath(filename).startswith(folder + os.sep) for folder in LIBRARIES)
