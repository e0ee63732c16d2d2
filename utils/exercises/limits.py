"""Runs a learner's code so that nothing it does can spoil the notebook: it may raise, hang, print or ask for memory.

Time is limited by a timer's signal where there is one (POSIX, main thread), elsewhere by a second thread. Neither
can interrupt a single long call into C, such as `sum(range(10**11))`. Memory is limited three times: no tensor
operation may make a tensor above the limit, which is found out before it is made; on Linux, the address space may not
grow by more than 4 GB, nor the memory in use by more than 1 GB, which is looked at every 50 ms.
"""

import contextlib
import ctypes
import io
import math
import os
import re
import signal
import sys
import threading
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

try:
    import resource
except ImportError:  # Windows
    resource = None

__all__ = ["MEGABYTE", "Outcome", "Place", "TimeUp", "TooLarge", "is_allocation", "place", "run"]

MEGABYTE = 2**20
TENSOR_BYTES = 256 * MEGABYTE
GROWTH = 1024 * MEGABYTE  # of the resident memory
ADDRESSES = 4096 * MEGABYTE  # growth of the address space
TICK = 0.05
PATIENCE = 1.0  # seconds between two attempts to stop code that catches everything
ALLOCATION = re.compile(r"can't allocate memory|not enough memory|out of memory", re.IGNORECASE)
LIBRARIES = [str(Path(__file__).resolve().parents[1]), os.path.dirname(torch.__file__), os.path.dirname(os.__file__)]


class TimeUp(BaseException):
    """The code took too long. No `Exception`, so that the learner's own `except Exception` does not catch it."""


class TooLarge(MemoryError):
    """The code asked for more memory than an exercise can need."""


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


def run(function: Callable[[], Any], seconds: float = 10.0, tensor_bytes: int = TENSOR_BYTES) -> Outcome:
    """Call a function of the learner's, within limits; the state of torch's random numbers stays as it is.

    Args:
        function: takes nothing.
        seconds: of wall-clock time.
        tensor_bytes: the largest tensor that may be made.

    Returns:
        The `Outcome`. Nothing that the function raises gets through, but KeyboardInterrupt.
    """
    outcome, printed = Outcome(), io.StringIO()

    def body() -> None:
        try:
            with _TensorLimit(tensor_bytes):
                outcome.value = function()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            outcome.error = TooLarge(str(error)) if is_allocation(error) else error
            outcome.error.__traceback__ = error.__traceback__

    with (
        torch.random.fork_rng(devices=[]),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        warnings.catch_warnings(record=True, action="always") as warned,
        _address_limit(),
    ):
        torch.manual_seed(0)
        timed = _with_signal if _has_signal() else _with_thread
        timed(body, seconds, outcome)
    lines = [f"{warning.category.__name__}: {warning.message}\n" for warning in warned]
    outcome.printed = printed.getvalue() + "".join(lines)
    return outcome


def is_allocation(error: BaseException) -> bool:
    """Whether an error means that there was not enough memory; PyTorch's own is a RuntimeError."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(ALLOCATION.search(str(error))))


# --- memory


class _TensorLimit(TorchDispatchMode):
    """Refuses each operation whose output is larger than the limit, before it is computed."""

    def __init__(self, limit: int):
        super().__init__()
        self.limit = limit

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spares the import of torch._dynamo at the first operation, which takes seconds."""
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self._bound(args, kwargs) > self.limit:
            self._refuse_above(self._predicted(func, args, kwargs))
        out = func(*args, **kwargs)
        self._refuse_above(_bytes(out))
        return out

    def _refuse_above(self, size: int) -> None:
        if size > self.limit:
            raise TooLarge(f"a tensor of {size / MEGABYTE:,.0f} MB, where {self.limit / MEGABYTE:,.0f} MB are allowed")

    @staticmethod
    def _bound(args: tuple, kwargs: dict) -> int:
        """More bytes than nearly any operation on these arguments can make: most stay far below the limit."""
        bound = 16
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor):
                bound *= max(1, leaf.numel())
            elif isinstance(leaf, (int, float)) and math.isfinite(leaf) and abs(leaf) > 1:
                bound *= int(abs(leaf)) + 1
        return bound

    @staticmethod
    def _predicted(func: Callable, args: tuple, kwargs: dict) -> int:
        """The bytes of the output, found out with tensors that have a shape and no memory; 0 if that fails."""

        def meta(leaf: Any) -> Any:
            if isinstance(leaf, Tensor):
                return torch.empty_strided(leaf.shape, leaf.stride(), dtype=leaf.dtype, device="meta")
            return torch.device("meta") if isinstance(leaf, torch.device) else leaf

        names = {argument.name for argument in func._schema.arguments}
        made = {**tree_map(meta, kwargs), **({"device": "meta"} if "device" in names else {})}
        try:
            return _bytes(func(*tree_map(meta, args), **made))
        except Exception:  # no meta version, or a real mistake, which the real call then reports
            return 0


def _bytes(out: Any) -> int:
    """The bytes of the largest memory behind a tensor in `out`; a view counts as what it is a view of."""
    tensors = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor) and leaf.layout == torch.strided]
    return max((tensor.untyped_storage().nbytes() for tensor in tensors), default=0)


@contextlib.contextmanager
def _address_limit() -> Iterator[None]:
    """On Linux, let the address space grow by no more than ADDRESSES: `[0] * 10**10` fails at once.

    Left out where CUDA is in use, since it reserves far more addresses than memory.
    """
    size = _statm(0) if resource and not torch.cuda.is_initialized() else None
    if size is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = size + ADDRESSES
    for known in (soft, hard):
        wanted = wanted if known == resource.RLIM_INFINITY else min(wanted, known)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _statm(column: int) -> int | None:
    """Bytes of address space (0) or of resident memory (1) of this process; None where Linux does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[column]) * resource.getpagesize()
    except (OSError, AttributeError):
        return None


# --- time


def _has_signal() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def _with_signal(body: Callable[[], None], seconds: float, outcome: Outcome) -> None:
    end, resident, ended = time.monotonic() + seconds, _statm(1), False

    def tick(number, frame):
        nonlocal end, resident
        if ended:
            return
        if time.monotonic() > end and _imports(frame):
            end = time.monotonic() + PATIENCE  # stopped now, it would leave half a module behind
        if time.monotonic() > end:
            end += PATIENCE
            raise TimeUp
        now = _statm(1)
        if resident is not None and now is not None and now - resident > GROWTH:
            resident += GROWTH  # not at once again, while the first is on its way out
            raise TooLarge(f"the memory in use grew by more than {GROWTH / MEGABYTE:,.0f} MB")

    before = signal.signal(signal.SIGALRM, tick)
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


def _interrupt(worker: threading.Thread) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident), ctypes.py_object(TimeUp))


def _imports(frame: types.FrameType | None) -> bool:
    """Whether a frame stands inside an import."""
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def _with_thread(body: Callable[[], None], seconds: float, outcome: Outcome) -> None:
    worker = threading.Thread(target=body, daemon=True)
    worker.start()
    worker.join(seconds)
    while worker.is_alive() and _imports(sys._current_frames().get(worker.ident)):
        worker.join(PATIENCE)
    if worker.is_alive():
        _interrupt(worker)
        worker.join(PATIENCE)
        outcome.error, outcome.unstoppable = outcome.error or TimeUp(), worker.is_alive()


# --- where it went wrong


def place(error: BaseException) -> Place | None:
    """The last line of the learner's own code on the way to an error; None if there is none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_learners(frame.filename)]
    return Place(frames[-1].lineno, (frames[-1].line or "").strip()) if frames else None


def _is_learners(filename: str) -> bool:
    if filename.startswith("<frozen") or "site-packages" in filename:
        return False
    return not any(os.path.abspath(filename).startswith(folder + os.sep) for folder in LIBRARIES)
