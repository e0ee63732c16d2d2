"""Which values share their statistics, how many they are, and what a sum of squares is divided by."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["PARTS", "averaged", "factor", "sharing"]

DIMENSIONS: dict[str, Callable[[int], tuple[int, ...]]] = {
    "batch": lambda d: (0, *range(2, d)),
    "instance": lambda d: tuple(range(2, d)) or (1,),
    "image": lambda d: tuple(range(1, d)),
    "place": lambda d: (0,),
    "all": lambda d: tuple(range(d)),
    "channels": lambda d: (1,),
    "batch and channels": lambda d: (0, 1),
    "rows": lambda d: (0, *range(2, d - 1)) if d > 3 else (0,),  # all but the last dimension
    "columns": lambda d: (0, *range(3, d)),  # all but the first after the channels
    "all but the last": lambda d: tuple(range(d - 1)),
}


PARTS: dict[str, Callable[[Tensor], Tensor]] = {
    "first": lambda x: x[:1],
    "last": lambda x: x[-1:],
    "first half": lambda x: x[: -(-len(x) // 2)],
    "shorter half": lambda x: x[: max(1, len(x) // 2)],
    "every second": lambda x: x[::2],
    "inside": lambda x: x[..., 1:-1] if x.ndim > 2 and x.shape[-1] > 2 else x,
}


def averaged(x: Tensor, over: str) -> Tensor:
    """The mean over the values that share their statistics, for each value of x: the shape of x.

    `over` is a key of `DIMENSIONS`; or "halves", "quarters" (of the batch), a key of `PARTS`, or "groups of k"
    channels in each picture.
    """
    n, c, *places = x.shape
    if over in DIMENSIONS:
        return x.mean(DIMENSIONS[over](x.ndim), keepdim=True).expand_as(x)
    if over in ("halves", "quarters"):
        size = -(-n // (2 if over == "halves" else 4))
        return torch.cat([averaged(part, "batch") for part in x.split(size)])
    if over in PARTS:
        return PARTS[over](x).mean((0, *range(2, x.ndim)), keepdim=True).expand_as(x)
    size = int(over.removeprefix("groups of "))
    parts = x.reshape(n, c // size, size, *places)
    return parts.mean(tuple(range(2, parts.ndim)), keepdim=True).expand_as(parts).reshape(x.shape)


@functools.cache
def sharing(shape: tuple[int, ...], over: str) -> int:
    """How many values share their statistics."""
    if over in PARTS:
        return PARTS[over](torch.zeros(shape)).numel() // shape[1]
    one = torch.zeros(shape, dtype=torch.float64)
    one[(0,) * len(shape)] = 1
    return round(1 / averaged(one, over).max().item())


def factor(x: Tensor, count: str, over: str = "batch") -> float:
    """By what a mean of squares is multiplied; 1 for "n".

    "n-1": the unbiased variance; "N-1": N pictures are taken for the number of values; "places-1": so are the places;
    "unbiased twice"; "shrunk": (n - 1)/n instead of its inverse; "C": the channels are counted too; "sum": no division;
    "N": divided by the pictures alone.
    """
    return _factor(tuple(x.shape), count, over)


@functools.cache
def _factor(shape: tuple[int, ...], count: str, over: str) -> float:
    pictures, channels = shape[:2]
    places = torch.Size(shape[2:]).numel()
    n = sharing(shape, over)

    def unbiased(k: int) -> float:
        return k / (k - 1) if k > 1 else float("nan")

    return {
        "n": lambda: 1.0,
        "n-1": lambda: unbiased(n),
        "N-1": lambda: unbiased(pictures),
        "places-1": lambda: unbiased(places),
        "unbiased twice": lambda: unbiased(n) ** 2,
        "shrunk": lambda: (n - 1) / n,
        "C": lambda: unbiased(n * channels),
        "sum": lambda: float(n),
        "N": lambda: float(places),
        "n+1": lambda: n / (n + 1),
        "n-2": lambda: n / (n - 2) if n > 2 else float("nan"),
    }[count]()
