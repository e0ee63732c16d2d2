"""How values are distributed: layer after layer, and channel by channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from utils.plots.lines import NOTE, Line, draw, label_ends, layer_ticks, mark_guess, size_of_type
from utils.plots.showing import show
from utils.plots.style import INK, THEMES, THEORY, WITH, WITHOUT, at_step, drawing, look, shades, subplots
from utils.stats import ActivationStats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["heat", "histograms", "signal"]

BINS = 60  # of each histogram


def signal(
    without: ActivationStats, with_: ActivationStats, *, slug: str | None = None, guess: float | None = None
) -> None:
    """A signal on its way through two networks, at the first recorded step: values, then their spread across images.

    Args:
        without, with_: recordings of two networks of the same depth with histograms of the same bins.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
        guess: the learner's guess of the last layer's spread without normalization; None draws nothing.
    """
    with drawing(19):
        figure, axes = subplots(1, 3, 19, 6.6, width_ratios=[1, 1, 1.2])
        pairs = ((WITHOUT, without), (WITH, with_))
        for ax, (kind, stats) in zip(axes[0, :2], pairs, strict=True):
            heat(ax, stats.histogram[0], stats.bin_edges, kind, x0=0.5)
            ax.set(xlabel="layer", ylabel="value of an activation", title=f"{kind} normalization")
            layer_ticks(ax, len(stats.names))
        lines = [Line(kind, kind, stats.spread[0]) for kind, stats in pairs]
        steps = {line.look: number for number, line in enumerate(lines, start=1)}
        for line in lines:
            draw(axes[0, 2], line, steps[line.look])
        axes[0, 2].set(yscale="log", xlabel="layer", ylabel="spread across images", title="how far images lie apart")
        layer_ticks(axes[0, 2], len(without.names))
        guessed = None if guess is None else (len(without.names), guess)
        mark_guess(axes[0, 2], guessed)
        figure.supxlabel("left and middle: the stronger the colour, the more of the layer's values", x=0.01, ha="left",
                         color=THEMES[THEORY][0], fontsize=NOTE * size_of_type())  # fmt: skip
        label_ends(axes[0, 2], lines, steps, guessed)
        show(figure, slug)


def heat(ax: Axes, shares: np.ndarray, edges: np.ndarray, kind: str, x0: float, column: float = 1) -> None:
    """shares: (columns, bins), each `column` wide, bins upward, stronger where there is more (log scale)."""
    shares = np.ma.masked_less_equal(np.nan_to_num(shares), 0)  # nothing at all shows the ground
    ax.imshow(
        np.ma.log10(shares.T),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=shades(kind),
        vmin=-5,
        vmax=0,
        extent=(x0, x0 + column * len(shares), edges[0], edges[-1]),
    )
    ax.grid(False)


def histograms(
    groups: Mapping[str, np.ndarray],
    *,
    kinds: Sequence[str],
    xlabel: str,
    rows: Sequence[str],
    slug: str | None = None,
    guess: tuple[float, int] | None = None,
) -> None:
    """One panel a group: its rows of values as histograms above each other, with a bar at each row's mean.

    Args:
        groups: title → values, shape (rows, values).
        kinds: for each panel an arm of the course, or "without", "with" or "other": its colour.
        rows: for each panel, what a row is.
        xlabel: what the values are.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
        guess: (value, row) that the learner guessed in the last panel; None draws nothing.
    """
    with drawing(7.2 * len(groups)):
        figure, axes = subplots(1, len(groups), 7.2 * len(groups), 7)
        panels = zip(axes[0], groups.items(), kinds, rows, strict=True)
        for number, (ax, (title, values), kind, row_name) in enumerate(panels):
            values = np.asarray(values, dtype=float)
            parts = []
            for row in reversed(range(len(values))):
                # Edges of its own for each row, from its least value to all but the last thousandth: so a row that is
                # moved and stretched keeps its form exactly.
                edges = np.linspace(values[row].min(), np.quantile(values[row], 0.999), BINS + 1)
                counts = np.histogram(values[row], edges)[0].astype(float)
                parts.append(ax.stairs(row + 0.9 * counts / counts.max(), edges, baseline=row, fill=True,
                                       color=look(kind).color, alpha=0.75))  # fmt: skip
                mean = values[row].mean()
                parts += ax.plot(
                    [mean, mean], [row, row + 0.9], color=INK, linewidth=3, solid_capstyle="butt", zorder=4
                )
            ax.set(title=title, xlabel=xlabel, ylabel=f"{row_name} (bar: mean)")
            ax.set_yticks(np.arange(len(values)) + 0.4, range(len(values)))
            ax.set_ylim(-0.15, len(values))
            ax.grid(axis="y", visible=False)
            if number:
                for part in parts:
                    part.set_gid(at_step(number))
        if guess is not None:
            axes[0, -1].plot(guess[0], guess[1] + 0.4, marker="*", markersize=24, color=INK, markerfacecolor="none",
                             markeredgewidth=2, linestyle="", zorder=5, label="your guess")  # fmt: skip
            axes[0, -1].text(1.02, guess[1] + 0.4, "your\nguess", va="center", fontweight="bold", linespacing=1,
                             transform=axes[0, -1].get_yaxis_transform())  # fmt: skip
        show(figure, slug)
