"""docs/benchmarks.md: the table, the machine in three words, and why a target is missed."""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from benchmarks.measure import Row

__all__ = ["machine", "page", "table"]

HEADER = ("what", "against", "measured", "target", "verdict")
PAGE = """# How fast it is

What `make bench` measured. Each line is a ratio: the two are measured in turn, in one run, and the number is the
median over the repeats, with the least and the greatest in brackets. On another machine the numbers are others.

*{machine}*

{sections}
"""


def machine() -> str:
    """The processor's model, its cores and PyTorch's version; no name of a machine, and no path."""
    parts = [_processor(), f"{_cores()} cores, {torch.get_num_threads()} threads", f"torch {torch.__version__}"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return "; ".join(parts)


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown; notes and explanations below."""
    lines = ["| " + " | ".join(HEADER) + " |", "| --- | --- | --: | --: | --- |"]
    remarks: list[str] = []
    for row in rows:
        mark = ""
        if text := _remark(row):
            if text not in remarks:
                remarks.append(text)
            mark = f" ({remarks.index(text) + 1})"
        cells = (row.what, row.against, _measured(row), _target(row), row.verdict + mark)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if remarks:
        lines += ["", *(f"{number}. {text}" for number, text in enumerate(remarks, 1))]
    return "\n".join(lines)


def page(sections: Mapping[str, Sequence[Row]]) -> str:
    """The whole page: a heading and a table for each section."""
    parts = [f"## {title}\n\n{table(rows)}" for title, rows in sections.items()]
    return PAGE.format(machine=machine(), sections="\n\n".join(parts))


def _measured(row: Row) -> str:
    if not row.values:
        return "–"
    unit = "" if row.unit == "×" else f" {row.unit}"
    if len(row.values) == 1:
        return f"{_number(row.median)}{unit}"
    return f"**{_number(row.median)}** [{_number(min(row.values))}, {_number(max(row.values))}]{unit}"


def _number(value: float) -> str:
    """Three digits, as one would write them."""
    return (
        f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.01 or value == 0 else f"{value:.1e}"
    )


def _target(row: Row) -> str:
    return "–" if row.target is None else f"{'≥' if row.at_least else '≤'} {row.target:g}"


def _remark(row: Row) -> str:
    explanation = row.explanation if row.verdict == "missed" else ""
    return " ".join(filter(None, [row.note, explanation]))


def _processor() -> str:
    """The model, from the system; where it does not say, the architecture."""
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8"))):
        return found[1].strip()
    return platform.machine() or "an unknown processor"  # platform.processor() may hold anything


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
