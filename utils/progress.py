"""How far a long computation is: one bar, named, with the seconds that are left, and nothing of it when it ends.

    with Bar(360, "He's start, seed 2 of 3") as bar:
        for loss in train():
            bar.update(note=f"loss {loss:.3f}")

In a notebook all bars of a cell share one output, as HTML, which a saved notebook shows without a kernel; in a terminal
a bar is a line on stderr; where nobody looks, as in a pipe, there is none.
"""

import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any, TypeVar

__all__ = ["Bar", "watched"]

T = TypeVar("T")

WAIT = 1.0  # seconds until the first bar of a cell appears: what is soon over shows none
REDRAW = 0.25  # seconds between two drawings


class Bar:
    """A bar that shows itself while its `with` block runs, or until it is closed.

    Args:
        total: what there is to do, in units; None if nobody knows.
        name: of what is running, such as "seed 2 of 3".
        unit: what is counted, in the plural.
        shown: False for a bar that nobody sees.
    """

    def __init__(self, total: float | None, name: str = "", unit: str = "steps", *, shown: bool = True):
        self.total, self.name, self.unit = total, name, unit
        self.done, self.note = 0.0, ""
        self._place = _place() if shown else None
        self._start = self._drawn = time.monotonic()

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def update(self, more: float = 1, note: str | None = None) -> None:
        """So many units more are done.

        Args:
            more: units since the last call.
            note: stands behind the count from now on, such as "loss 0.123"; None leaves the one that is there.
        """
        self.done += more
        self.note = self.note if note is None else note
        now = time.monotonic()
        if self._place is not None and now - self._place.since >= WAIT and now - self._drawn >= REDRAW:
            self._drawn = now
            self._place.draw(self)

    def close(self) -> None:
        """Take the bar away."""
        if self._place is not None:
            self._place.clear()
            self._place = None

    def __str__(self) -> str:
        name = f"{self.name}: " if self.name else ""
        of = "" if self.total is None else f" of {self.total:,.0f}"
        parts = [f"{name}{self.done:,.0f}{of} {self.unit}", self.note]
        if self.total and self.done:
            left = (time.monotonic() - self._start) * max(0.0, self.total / self.done - 1)
            parts.append(f"{left:.0f} s left" if left < 100 else f"{left / 60:.0f} min left")
        return ", ".join(filter(None, parts))

    def _repr_html_(self) -> str:
        extent = "" if self.total is None else f' value="{self.done:g}" max="{self.total:g}"'
        return f"<label><progress{extent}></progress> {escape(str(self))}</label>"


class _Cell:
    """The output of a notebook's cell in which its bars are drawn.

    It begins and ends as an output of no type at all, which shows nothing and in which nbval compares nothing.
    """

    def __init__(self, request: str):
        self.request, self.since, self._handle = request, time.monotonic(), None

    def draw(self, bar: Bar) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display({}, raw=True, display_id=True)
        self._handle.update({"text/html": bar._repr_html_(), "text/plain": str(bar)}, raw=True)

    def clear(self) -> None:
        if self._handle is not None:
            self._handle.update({}, raw=True)


class _Terminal:
    """A line of a terminal."""

    def __init__(self) -> None:
        self.since, self._width = time.monotonic(), 0

    def _write(self, text: str) -> None:
        text = text[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write(f"\r{text:<{self._width}}\r{text}")
        sys.stderr.flush()
        self._width = len(text)

    def draw(self, bar: Bar) -> None:
        self._write(str(bar))

    def clear(self) -> None:
        if self._width:
            self._write("")


_cell: _Cell | None = None  # the last cell that had a bar


def _place() -> Any:
    """Where a bar is seen: in the cell that is running, else in the terminal, else nowhere (None)."""
    global _cell
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if not hasattr(shell, "kernel"):
        return _Terminal() if sys.stderr.isatty() else None
    request = shell.get_parent()["header"]["msg_id"]
    if _cell is None or _cell.request != request:
        _cell = _Cell(request)
    return _cell


def watched(things: Iterable[T], name: str, unit: str = "runs") -> Iterator[T]:
    """The things, one after the other, with a bar that says how far it is: `for seed in watched(SEEDS, "noisy")`."""
    things = list(things)
    with Bar(len(things), name, unit) as bar:
        for thing in things:
            yield thing
            bar.update()
