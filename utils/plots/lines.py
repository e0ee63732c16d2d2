"""Curves over layers, steps, rates or sizes: the figure that the course uses most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from utils.plots.showing import show
from utils.plots.style import INK, THEMES, THEORY, Look, at_step, drawing, look, subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "NOTE",
    "Line",
    "draw",
    "label_ends",
    "layer_lines",
    "layer_ticks",
    "mark_guess",
    "percent",
    "runs",
    "size_of_type",
]

NOTE = 0.9  # size of what is said under a figure, of its other letters
WINDOW = 20  # steps over which a run is smoothed
GAP = 0.088  # between the middles of two labels, as a share of the axes' height


@dataclass(frozen=True)
class Line:
    """One curve over the layers (or over anything that runs from left to right).

    Attributes:
        label: written at the curve's end.
        kind: an arm of the course ("He", "group") or a kind: "without", "with" (batch normalization), "other" (another
            normalization or treatment) or "theory". Decides colour, dashes and marker.
        y: shape (points,), or (seeds, points): then the median is drawn, with a band from the least to the greatest.
        x: shape (points,); 1 … points by default.
        shade: 0 to 4, which look of its kind, to tell curves of one kind apart.

    Raises:
        ValueError: neither an arm nor a kind, or no such look.
    """

    label: str
    kind: str
    y: np.ndarray
    x: np.ndarray | None = None
    shade: int = 0

    def __post_init__(self):
        look(self.kind, self.shade)

    @property
    def look(self) -> Look:
        return look(self.kind, self.shade)


def layer_lines(
    panels: Mapping[str, Sequence[Line]],
    *,
    ylabel: str,
    slug: str | None = None,
    xlabel: str = "layer",
    log: bool = True,
    logx: bool = False,
    guess: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
) -> None:
    """One panel a key, side by side with a common y axis; its lines drawn over the layers.

    Args:
        panels: title → lines.
        ylabel, xlabel: the axes' names, with units.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
        log, logx: a logarithmic y axis, a logarithmic x axis.
        guess: (x, y) of the learner's guess, drawn in the last panel; None draws nothing.
        ylim: limits of the y axis.
    """
    width = max(11, 5.9 * len(panels))
    with drawing(width):
        figure, axes = subplots(1, len(panels), width, 5.9, sharey=True)
        steps = steps_of(panels)
        for ax, (title, lines) in zip(axes[0], panels.items(), strict=True):
            if log:
                ax.set_yscale("log")
            if logx:
                ax.set_xscale("log")
            for line in lines:
                draw(ax, line, steps.get(line.look))
            ax.set(title=title, xlabel=xlabel)
            if xlabel == "layer":
                layer_ticks(ax, max(np.shape(line.y)[-1] for line in lines))
            else:
                whole_ticks(ax, [places(line) for line in lines], logx)
        if ylim is not None:
            axes[0, 0].set_ylim(ylim)
        axes[0, 0].set_ylabel(ylabel)
        mark_guess(axes[0, -1], guess)
        say_what_bands_are(figure, [line for lines in panels.values() for line in lines])
        for ax, lines in zip(axes[0], panels.values(), strict=True):
            label_ends(ax, lines, steps, guess if ax is axes[0, -1] else None)
        show(figure, slug)


def runs(lines: Sequence[Line], *, ylabel: str, slug: str | None = None) -> None:
    """Curves over training steps, smoothed by a running mean over `WINDOW` steps; a band spans the seeds."""
    smoothed = []
    for line in lines:
        y = np.atleast_2d(np.asarray(line.y, dtype=float))
        if y.shape[1] < WINDOW:
            raise ValueError(f"{line.label!r} has {y.shape[1]} steps, fewer than the window of {WINDOW}")
        kernel = np.ones(WINDOW) / WINDOW
        mean = np.stack([np.convolve(row, kernel, mode="valid") for row in y])
        smoothed.append(Line(line.label, line.kind, mean, np.arange(WINDOW, y.shape[1] + 1), line.shade))
    ylabel = f"{ylabel}\n(mean of {WINDOW} steps)"
    layer_lines({"": smoothed}, ylabel=ylabel, xlabel="training step", slug=slug, log=False)


def steps_of(panels: Mapping[str, Sequence[Line]]) -> dict[Look, int]:
    """At which step a slide reveals each arm: one arm after the other, and theory from the start."""
    arms = dict.fromkeys(line.look for lines in panels.values() for line in lines if line.kind != THEORY)
    return {arm: number for number, arm in enumerate(arms, start=1)}


def places(line: Line) -> np.ndarray:
    """(points,): where its points lie, 1, 2, 3, … by default."""
    return np.arange(1, np.shape(line.y)[-1] + 1) if line.x is None else np.asarray(line.x)


def draw(ax: Axes, line: Line, at: int | None = None) -> None:
    """Its median, and a band from the least to the greatest seed; revealed at a step of a slide, if one is given."""
    y = np.atleast_2d(np.asarray(line.y, dtype=float))
    x, style = places(line), line.look
    [drawn] = ax.plot(
        x,
        np.median(y, axis=0),
        color=style.color,
        linestyle=style.dashes,
        marker=style.marker,
        linewidth=1.8 if style.kind == THEORY else None,
        markevery=max(1, len(x) // 10),
        label=line.label,
        zorder=2 if style.kind == THEORY else 3,
    )
    parts = [drawn]
    if len(y) > 1:
        parts.append(ax.fill_between(x, y.min(0), y.max(0), color=style.color, alpha=0.22, linewidth=0))
    for part in parts:
        if at is not None:
            part.set_gid(at_step(at))


def say_what_bands_are(figure: Figure, lines: Sequence[Line]) -> None:
    """One line under the figure, if its curves have bands."""
    counts = sorted({len(line.y) for line in lines if np.ndim(line.y) > 1 and len(line.y) > 1})
    if counts:
        seeds = " or ".join(map(str, counts))
        figure.supxlabel(
            f"line: median of {seeds} seeds · band: from the lowest to the highest",
            x=0.99, ha="right", color=THEMES[THEORY][0], fontsize=NOTE * size_of_type(),
        )  # fmt: skip


def size_of_type() -> float:
    """The size, in points, of the letters of the figure that is being drawn."""
    import matplotlib

    return matplotlib.rcParams["font.size"]


def label_ends(ax: Axes, lines: Sequence[Line], steps: Mapping[Look, int], guess=None) -> None:
    """Write each label beside the end of its curve, joined to it by a thin line where it had to be moved away."""
    ax.figure.canvas.draw()
    ends = []
    for line, drawn in zip(lines, ax.lines, strict=False):
        x, y = (np.asarray(values, dtype=float) for values in drawn.get_data())
        good = np.isfinite(y) & ((y > 0) | (ax.get_yscale() != "log"))
        if line.label and good.any():
            last = np.flatnonzero(good)[-1]
            place = ax.transAxes.inverted().transform(ax.transData.transform((x[last], y[last])))
            ends.append([np.clip(place[1], 0.02, 0.98), np.clip(place, 0, 1), line.label, line.look.color,
                         steps.get(line.look)])  # fmt: skip
    if guess is not None:
        place = ax.transAxes.inverted().transform(ax.transData.transform(guess))
        ends.append([np.clip(place[1], 0.02, 0.98), None, "your guess", INK, None])
    spread_out(ends)
    for height, place, label, color, at in ends:
        text = ax.text(1.045, height, label, transform=ax.transAxes, color=color, fontweight="bold", va="center",
                       fontsize=0.92 * size_of_type(), linespacing=1.05)  # fmt: skip
        parts = [text]
        if place is not None and (abs(place[1] - height) > 0.03 or place[0] < 0.97):
            parts += ax.plot([max(place[0], 0.985) + 0.012, 1.035], [place[1], height], color=color, linewidth=1.2,
                             transform=ax.transAxes, clip_on=False, label="_")  # fmt: skip
        for part in parts:
            if at is not None:
                part.set_gid(at_step(at))


def spread_out(ends: list) -> None:
    """Move labels up or down, so that none is closer to the next than a line of text."""
    ends.sort(key=lambda end: end[0])
    room = [GAP * (1 + 0.85 * end[2].count("\n")) for end in ends]
    for i in range(1, len(ends)):  # upwards: none too close to the one below
        ends[i][0] = max(ends[i][0], ends[i - 1][0] + (room[i] + room[i - 1]) / 2)
    for i in reversed(range(len(ends))):  # and down again from the top, as far as they collide
        limit = 0.98 if i == len(ends) - 1 else ends[i + 1][0] - (room[i] + room[i + 1]) / 2
        ends[i][0] = min(ends[i][0], limit)


def mark_guess(ax: Axes, guess: tuple[float, float] | None) -> None:
    """A hollow star, and a dotted line to its words at the side: nothing that is drawn is covered."""
    if guess is None:
        return
    ax.plot(*guess, marker="*", markersize=24, color=INK, markerfacecolor="none", markeredgewidth=2, linestyle="",
            zorder=5, label="your guess")  # fmt: skip
    ax.axhline(guess[1], color=INK, linewidth=1.2, linestyle=":", zorder=1, label="_")


def whole_ticks(ax: Axes, xs: list, logx: bool) -> None:
    """Whole numbers have no halves between them, and on a logarithmic axis the points themselves are read best."""
    points = np.unique(np.concatenate([np.ravel(x) for x in xs])) if xs else np.empty(0)
    if (points % 1).any() or not len(points):
        return
    if logx:
        ax.set_xticks(points, [f"{point:g}" for point in points])
        ax.minorticks_off()
    else:
        ax.locator_params(axis="x", integer=True)


def layer_ticks(ax: Axes, depth: int) -> None:
    """Layers are counted from 1: no tick at 0, and one at the first."""
    every = 1 if depth <= 6 else 5 if depth <= 25 else 10
    ax.set_xticks(sorted({1, *range(every, depth + 1, every)}))


def percent(ax: Axes, decimals: int | None = None) -> None:
    """Write the ticks of the y axis, which are fractions, as percentages."""
    from matplotlib.ticker import PercentFormatter

    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals))
