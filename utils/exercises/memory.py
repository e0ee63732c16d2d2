"""Limits the memory that a learner's code may ask for.

No tensor operation may make a tensor above the limit, which is found out before it is made. On Linux, the address
space may not grow by more than 4 GB; how much memory is in use can be asked for.
"""

import contextlib
import math
import re
from collections.abc import Callable, Iterator
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

__all__ = ["MEGABYTE", "TENSOR_BYTES", "TensorLimit", "TooLarge", "address_limit", "is_allocation", "statm", "words"]

MEGABYTE = 2**20
TENSOR_BYTES = 256 * MEGABYTE
ADDRESSES = 4096 * MEGABYTE  # growth of the address space
ALLOCATION = re.compile(r"can't allocate memory|not enough memory|out of memory", re.IGNORECASE)


class TooLarge(MemoryError):
    """The code asked for more memory than an exercise can need."""


def words(error: BaseException) -> str:
    """The text of an error; empty if it has none, or if making it fails."""
    try:
        return str(error)
    except Exception:
        return ""


def is_allocation(error: BaseException) -> bool:
    """Whether an error means that there was not enough memory; PyTorch's own is a RuntimeError."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(ALLOCATION.search(words(error))))


class TensorLimit(TorchDispatchMode):
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
def address_limit() -> Iterator[None]:
    """On Linux, let the address space grow by no more than ADDRESSES: `[0] * 10**10` fails at once.

    Left out where CUDA is in use, since it reserves far more addresses than memory.
    """
    size = statm(0) if resource and not torch.cuda.is_initialized() else None
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


def statm(column: int) -> int | None:
    """Bytes of address space (0) or of resident memory (1) of this process; None where Linux does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[column]) * resource.getpagesize()
    except (OSError, AttributeError):
        return None
