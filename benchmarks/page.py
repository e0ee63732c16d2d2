"""docs/benchmarks.md: a table for each section, and the machine in a few words."""

from collections.abc import Mapping, Sequence

import torch

from benchmarks.measure import Row
from utils.machine import cores, processor

__all__ = ["page", "table"]

PAGE = """# How fast it is

What `make bench` measured, all of it on one machine. The two of a line are measured in turn, in one run; the number is
the median over the repeats, with the least and the greatest in brackets. A number without a unit is a ratio: under
*Pictures* how many times as fast as what stands beside it, elsewhere how many times as long. *Promised* is what the
course wants of the median. On another machine the numbers are others.
`make bench ONLY=series` says how long the notebooks take.

*{machine}*

{sections}
"""


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown, their notes numbered below."""
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    lines = ["| what | against | measured | promised | |", "| --- | --- | --: | --: | --- |"]
    for row in rows:
        mark = f" ({notes.index(row.note) + 1})" if row.note else ""
        promised = "–" if row.promise is None else f"{'≥' if row.at_least else '≤'} {row.promise:g}"
        lines.append(f"| {row.what} | {row.against} | {_measured(row)} | {promised} | {row.verdict}{mark} |")
    return "\n".join([*lines, *([""] if notes else []), *(f"{i}. {note}" for i, note in enumerate(notes, 1))])


def page(sections: Mapping[str, Sequence[Row]]) -> str:
    """The whole page: title of a section → its rows."""
    parts = [f"## {title}\n\n{table(rows)}" for title, rows in sections.items()]
    return PAGE.format(machine=_machine(), sections="\n\n".join(parts))


def _measured(row: Row) -> str:
    if not row.values:
        return "–"
    unit = "" if row.unit == "×" else f" {row.unit}"
    spread = f" [{min(row.values):.3g}, {max(row.values):.3g}]" if len(row.values) > 1 else ""
    return f"**{row.median:.3g}**{spread}{unit}"


def _machine() -> str:
    """The processor's model, its cores and PyTorch's version; no name of a machine, and no path."""
    return f"{processor()}; {cores()} cores, {torch.get_num_threads()} threads; torch {torch.__version__}"
