"""Bars, and tables of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np

from utils.plots.lines import NOTE, size_of_type
from utils.plots.lines import percent as in_percent
from utils.plots.showing import show
from utils.plots.style import INK, THEMES, THEORY, WITH, at_step, drawing, look, shades, subplots

__all__ = ["bars", "intervals", "matrix"]

LABEL = 44  # letters in a line of a row's label
STRONGEST = 0.8  # field of a matrix: its number is read on it, dark on light as well as light on dark


def bars(
    groups: Mapping[str, Sequence[float]],
    *,
    kinds: Sequence[str],
    ylabel: str,
    slug: str | None = None,
    reference: tuple[float, str] | None = None,
    guess: float | None = None,
    percent: bool = True,
    each: str = "seeds",
) -> None:
    """One bar a group at the mean of its values, a dot each, the number written above.

    Args:
        groups: label → its values, one a seed or whatever `each` says.
        kinds: for each group an arm of the course, or "without", "with" or "other".
        ylabel: the axis' name.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
        reference: (value, name) of a horizontal line, for instance chance.
        guess: the learner's guess for the last bar.
        percent: write the values as percentages.
        each: what the values of a group are, in the plural; said under the figure.
    """
    width = min(15, max(10, 2.9 * len(groups)))
    with drawing(width):
        figure, axes = subplots(1, 1, width, 0.36 * width + 2)
        ax = axes[0, 0]
        for i, (values, arm) in enumerate(zip(groups.values(), kinds, strict=True)):
            values, style = np.asarray(values, dtype=float), look(arm)
            parts = list(ax.bar(i, values.mean(), color=style.color, hatch=style.hatch, edgecolor="white", width=0.62))
            if len(values) > 1:
                parts += ax.plot(i + np.linspace(-0.12, 0.12, len(values)), values, "o", color=INK, markersize=9,
                                 markeredgecolor="white", zorder=4)  # fmt: skip
            text = f"{values.mean():.0%}" if percent else f"{values.mean():.3g}"
            parts.append(ax.annotate(text, (i, values.max()), xytext=(0, 12), textcoords="offset points", ha="center",
                                     fontweight="bold", fontsize=1.2 * size_of_type()))  # fmt: skip
            if i and i == len(groups) - 1:  # a slide reveals the last one, which is guessed, after the others
                for part in parts:
                    part.set_gid(at_step(1))
        if reference is not None:
            ax.axhline(reference[0], color=THEMES[THEORY][0], linewidth=1.8, zorder=1)
            ax.text(1.01, reference[0], reference[1], transform=ax.get_yaxis_transform(), va="center",
                    color=THEMES[THEORY][0])  # fmt: skip
        ax.set_xticks(range(len(groups)), list(groups))
        ax.set_ylabel(ylabel)
        ax.margins(y=0.16)
        if percent:
            in_percent(ax, decimals=0)
        ax.grid(axis="x", visible=False)
        counts = sorted({len(values) for values in groups.values() if len(values) > 1})
        if counts:
            figure.supxlabel(f"bar: mean · dots: {' or '.join(map(str, counts))} {each}", x=0.99, ha="right",
                             color=THEMES[THEORY][0], fontsize=NOTE * size_of_type())  # fmt: skip
        if guess is not None:
            last = len(groups) - 1
            ax.plot([last - 0.42, last + 0.42], [guess, guess], color=INK, linewidth=2.5, linestyle=":", zorder=5)
            ax.plot(last + 0.42, guess, marker="*", markersize=22, color=INK, markerfacecolor="none", markeredgewidth=2,
                    zorder=5, label="your guess")  # fmt: skip
            ax.text(last + 0.55, guess, "your\nguess", va="center", fontweight="bold", linespacing=1)
        show(figure, slug)


def matrix(
    values: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    label: str,
    slug: str | None = None,
    limits: tuple[float, float] = (0, 1),
) -> None:
    """A table of numbers with two digits, each on a field that is stronger the larger it is.

    Args:
        values: shape (rows, columns).
        rows, columns: their names.
        label: what the numbers are.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
        limits: the values whose fields are empty and strong.

    Raises:
        ValueError: the names do not fit the shape.
    """
    values = np.asarray(values, dtype=float)
    if values.shape != (len(rows), len(columns)):
        raise ValueError(f"{len(rows)} rows and {len(columns)} columns have names; given: values {values.shape}")
    low, high = limits
    width = 4.5 + 2.1 * len(columns)
    with drawing(width):
        figure, axes = subplots(1, 1, width, 2 + 0.72 * len(rows))
        ax = axes[0, 0]
        ax.imshow(values, cmap=shades(WITH), vmin=low + 1e-9, vmax=high, aspect="auto", alpha=STRONGEST)
        for (i, j), value in np.ndenumerate(values):
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontweight="bold")
        ax.set_xticks(range(len(columns)), columns)
        ax.set_yticks(range(len(rows)), rows)
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.set_xlabel(label)
        show(figure, slug)


def intervals(
    rows: Sequence[tuple[str, tuple[float, float], Sequence[tuple[float, float, float]]]],
    *,
    names: Sequence[str],
    xlabel: str,
    slug: str | None = None,
) -> None:
    """Estimates with their intervals, a row each, over the band in which the claim would hold.

    Args:
        rows: of each its label, where it would have to lie, and an estimate with both ends of its interval a name.
        names: what the estimates are, at most two: the first thin with a diamond, the second thick with a square.
        xlabel: what they are estimates of, with its unit.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
    """
    looks = ((THEMES[THEORY][0], "D", 2.2, "none", 0.2), (INK, "s", 4.5, INK, -0.2))
    width = 13
    with drawing(width):
        figure, axes = subplots(1, 1, width, 1.8 + 0.66 * len(rows))
        ax = axes[0, 0]
        ends = [end for _, _, found in rows for each in found for end in each]
        room = 0.1 * (max(*ends, 0) - min(*ends, 0) or 1)
        low, high = min(*ends, 0) - room, max(*ends, 0) + room
        for place, (_, holds, found) in enumerate(rows):
            left, right = max(holds[0], low), min(holds[1], high)
            ax.barh(-place, max(right - left, 0), left=left, height=0.8, color=THEMES["grid"][0], zorder=0)
            for (value, *interval), (color, marker, thick, face, up) in zip(found, looks, strict=False):
                [drawn] = ax.plot(interval, [up - place] * 2, color=color, linewidth=thick, solid_capstyle="butt")
                [dot] = ax.plot(value, up - place, marker, color=color, markersize=11, markerfacecolor=face,
                                markeredgewidth=2)  # fmt: skip
                if marker == "s":  # a slide shows the second after all of the first
                    for part in (drawn, dot):
                        part.set_gid(at_step(1))
        for name, (color, marker, thick, face, _) in zip(names, looks, strict=False):
            ax.plot(
                [], [], marker=marker, color=color, linewidth=thick, markersize=11, markerfacecolor=face, label=name
            )
        ax.axvline(0, color=INK, linewidth=1)
        ax.set_yticks([-place for place in range(len(rows))], [fill(label, LABEL) for label, _, _ in rows])
        ax.set(xlim=(low, high), ylim=(0.6 - len(rows), 0.6), xlabel=xlabel)
        ax.grid(axis="y", visible=False)
        ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1), ncols=2, frameon=False)
        figure.supxlabel("grey: where the claim would hold", x=0.99, ha="right", color=THEMES[THEORY][0],
                         fontsize=NOTE * size_of_type())  # fmt: skip
        show(figure, slug)
