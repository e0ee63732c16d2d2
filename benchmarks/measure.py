"""Times that are taken in turn, ratios of them, and whether a ratio keeps its promise."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.utils.benchmark import Timer

__all__ = ["Row", "in_turn", "ratios"]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what, against: what was measured, and what it is compared with.
        values: one for each repeat; none if it could not be measured.
        promise: what the median is to be, at most or (at_least) at least; None: for information only.
        at_least: whether more is better.
        unit: of the values; "×" for a ratio.
        note: what one should know, or why nothing was measured.
    """

    what: str
    against: str
    values: tuple[float, ...] = ()
    promise: float | None = None
    at_least: bool = False
    unit: str = "×"
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def verdict(self) -> str:
        """ "kept" or "not kept"; "–" where nothing was promised, "not measured" where there is no value."""
        if not self.values:
            return "not measured"
        if self.promise is None:
            return "–"
        kept = self.median >= self.promise if self.at_least else self.median <= self.promise
        return "kept" if kept else "not kept"


def in_turn(arms: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds that each of them takes, `repeats` times, in turn and every other time in the reverse order.

    So whatever else the machine does falls on all of them alike. PyTorch's timer warms each up, and waits for a GPU.
    """
    threads = torch.get_num_threads()
    timers = {name: Timer("run()", globals={"run": run}, num_threads=threads) for name, run in arms.items()}
    times: dict[str, list[float]] = {name: [] for name in arms}
    for repeat in range(repeats):
        for name in list(arms)[:: 1 if repeat % 2 == 0 else -1]:
            times[name].append(timers[name].timeit(1).median)
    return times


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, ...]:
    """Each over its neighbour in time."""
    return tuple(a / b for a, b in zip(above, below, strict=True))
