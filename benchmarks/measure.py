"""Times that are taken in turn, ratios of them, and whether a ratio reaches its target."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Row", "compare", "linear", "ratios", "seconds", "skipped", "stepwise"]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what, against: what was measured, and what it is compared with.
        values: the ratio in each repeat; none when it was not measured.
        target: what the median should be, at most or (at_least) at least; None: for information only.
        note: why it was not measured, or what one should know.
        unit: of the values; "×" for a ratio.
        explanation: why a target is missed, as far as a profile shows.
    """

    what: str
    against: str
    values: tuple[float, ...] = ()
    target: float | None = None
    at_least: bool = False
    note: str = ""
    unit: str = "×"
    explanation: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def verdict(self) -> str:
        if not self.values:
            return "not measured"
        if self.target is None:
            return "–"
        reached = self.median >= self.target if self.at_least else self.median <= self.target
        return "reached" if reached else "missed"


def seconds(arms: Mapping[str, Callable[[], object]], repeats: int, clock=time.perf_counter) -> dict[str, list[float]]:
    """How long each of them takes, `repeats` times, in turn and every other time in the reverse order.

    So whatever else the machine does falls on all of them alike. Each runs once before, untimed.
    """
    for run in arms.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in arms}
    for repeat in range(repeats):
        for name in list(arms)[:: 1 if repeat % 2 == 0 else -1]:
            start = clock()
            arms[name]()
            times[name].append(clock() - start)
    return times


def stepwise(
    arms: Mapping[str, Callable[[], Iterator]], repeats: int, clock=time.perf_counter
) -> dict[str, list[float]]:
    """As `seconds`, for what goes in steps: each arm makes an iterator, and they take turns after every step of it.

    So neighbours in time are milliseconds apart, and not the seconds in which a machine changes its pace.
    """
    times: dict[str, list[float]] = {name: [] for name in arms}
    done = object()
    for repeat in range(repeats + 1):
        running, taken = {name: make() for name, make in arms.items()}, dict.fromkeys(arms, 0.0)
        order = list(arms)
        while running:
            order.reverse()
            for name in [name for name in order if name in running]:
                start = clock()
                ended = next(running[name], done) is done
                taken[name] += clock() - start
                if ended:
                    del running[name]
        if repeat:  # the first is untimed
            for name in arms:
                times[name].append(taken[name])
    return times


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, ...]:
    """Each over its neighbour in time."""
    return tuple(a / b for a, b in zip(above, below, strict=True))


def compare(run: Callable[[], object], against: Callable[[], object], repeats: int) -> tuple[float, ...]:
    """The time of one over the time of the other, in each repeat."""
    times = seconds({"run": run, "against": against}, repeats)
    return ratios(times["run"], times["against"])


def skipped(what: str, against: str, why: str, target: float | None = None, at_least: bool = False) -> Row:
    return Row(what, against, (), target, at_least, note=why)


def linear(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """The straight line through the points by least squares: slope, intercept, and R², the share it explains."""
    slope, intercept = statistics.linear_regression(x, y)
    return slope, intercept, statistics.correlation(x, y) ** 2
