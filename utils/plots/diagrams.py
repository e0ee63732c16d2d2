"""Boxes and arrows: a computation, a network, what processes send each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from utils.plots.lines import size_of_type
from utils.plots.showing import show
from utils.plots.style import INK, OTHER, PAPER, THEMES, THEORY, WITH, WITHOUT, at_step, drawing, look, subplots

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.text import Text

__all__ = ["arrow", "box", "exchange", "graph", "network"]


def box(ax: Axes, x: float, y: float, text: str, kind: str = "", size: float = 1.1) -> Text:
    """A word or formula in a box, in the colour of a kind or in ink."""
    color = look(kind).color if kind else INK
    style = {"boxstyle": "round,pad=0.45", "facecolor": PAPER, "edgecolor": color, "linewidth": 2.4}
    return ax.text(x, y, text, ha="center", va="center", fontsize=size * size_of_type(), zorder=3, bbox=style)


def arrow(ax: Axes, start: Text | tuple, end: Text | tuple, kind: str = "", dashes: str | tuple = "-") -> Artist:
    """From one box, or point, to another."""
    color = look(kind).color if kind else INK
    ends = [each if isinstance(each, tuple) else each.get_position() for each in (start, end)]
    patches = [None if isinstance(each, tuple) else each.get_bbox_patch() for each in (start, end)]
    style = {"arrowstyle": "-|>,head_width=.45,head_length=.7", "color": color, "linewidth": 3, "linestyle": dashes,
             "patchA": patches[0], "patchB": patches[1], "shrinkA": 3, "shrinkB": 5}  # fmt: skip
    return ax.annotate("", ends[1], ends[0], arrowprops=style).arrow_patch


def graph(
    nodes: Mapping[str, tuple[float, float, str]],
    *,
    edges: Sequence[tuple[str, str]],
    through_statistics: Sequence[tuple[str, str]] = (),
    slug: str | None = None,
) -> None:
    """A computation graph: boxes joined by arrows, those that lead through the statistics dashed.

    Args:
        nodes: name → (column, row, text); rows count upwards.
        edges: (from, to), drawn solid.
        through_statistics: (from, to), drawn dashed.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
    """
    with drawing(14):
        figure, axes = subplots(1, 1, 14, 4.2)
        ax = axes[0, 0]
        ax.axis("off")
        boxes = {name: box(ax, x, y, text, size=1.15) for name, (x, y, text) in nodes.items()}
        for start, end in edges:
            arrow(ax, boxes[start], boxes[end], WITH)
        for start, end in through_statistics:
            arrow(ax, boxes[start], boxes[end], WITH, (0, (3, 1.5))).set_gid(at_step(1))
        columns, heights = [x for x, _, _ in nodes.values()], [y for _, y, _ in nodes.values()]
        ax.set(xlim=(min(columns) - 0.6, max(columns) + 0.9), ylim=(min(heights) - 0.5, max(heights) + 0.5))
        show(figure, slug)


def network(
    *,
    stages: Sequence[tuple[int, str]] = ((20, "20 layers of 32 channels"),),
    norm_first: bool = True,
    slug: str | None = None,
) -> None:
    """The same network twice, without normalization and with it: its layers in a row, and what one of them is.

    Args:
        stages: (layers, what they are) of each stage, from the first to the last; their layers are drawn smaller.
        norm_first: whether it stands before the ReLU.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
    """
    layers = {WITHOUT: ["conv", "ReLU"], WITH: ["conv", "norm", "ReLU"] if norm_first else ["conv", "ReLU", "norm"]}
    right = 2.5 + 0.52 * sum(count for count, _ in stages) + 0.3 * len(stages)
    with drawing(17):
        figure, axes = subplots(1, 1, 17, 6)
        ax = axes[0, 0]
        ax.axis("off")
        for y, kind in ((2.9, WITHOUT), (0, WITH)):
            ax.text(-0.9, y + 1.05, f"{kind} normalization", fontweight="bold", color=look(kind).color, va="bottom")
            pictures, x = box(ax, 0, y, "pictures"), 2.3
            for number, (count, what) in enumerate(stages):
                middle = x + 0.52 * (count - 1) / 2
                for _ in range(count):
                    _layer(ax, x, y, 0.8 - 0.2 * number, kind)
                    x += 0.52
                if kind == WITH:
                    ax.text(middle, y - 1.0, what, ha="center", va="top", color=THEMES[THEORY][0])
                x += 0.3
            arrow(ax, pictures, (2.05, y))
            arrow(ax, (right - 0.75, y), box(ax, right + 1.6, y, "10 classes"))
            ax.text(right + 3.7, y + 0.95, "each layer:", ha="left", va="bottom")
            x, before, previous = right + 4.3, "", pictures
            for word in layers[kind]:
                x += 1.3 + 0.12 * (len(before) + len(word)) if before else 0  # so that an arrow fits between
                part = box(ax, x, y, word, kind if word == "norm" else "")
                if before:
                    arrow(ax, previous, part)
                previous, before = part, word
        ax.set(xlim=(-1.2, right + 10.3), ylim=(-2.2, 4.4))
        show(figure, slug)


def _layer(ax: Axes, x: float, y: float, height: float, kind: str) -> None:
    """A small upright block, in the colour and with the hatch of its kind."""
    from matplotlib.patches import FancyBboxPatch

    style = look(kind)
    ax.add_patch(FancyBboxPatch((x - 0.13, y - height), 0.26, 2 * height, boxstyle="round,pad=0.02,rounding_size=.1",
                                facecolor=style.color, edgecolor="white", hatch=style.hatch, linewidth=0))  # fmt: skip


def exchange(processes: int = 2, *, slug: str | None = None) -> None:
    """What a synchronized layer sends: each process the count, the mean and M of its pictures (M: the squared distances
    from that mean, added up); then all of them know all, and compute the same mean and variance.

    Args:
        processes: how many are drawn.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
    """
    with drawing(16):
        figure, axes = subplots(1, 1, 16, 1.6 + 1.9 * processes)
        ax = axes[0, 0]
        ax.axis("off")
        middle = (processes - 1) / 2 * 2.0
        shared = box(ax, 7.6, middle, "all-reduce:\nall the rows", OTHER, 1.1)
        shared.set_gid(at_step(2))
        for i in range(processes):
            y = (processes - 1 - i) * 2.0
            ax.text(-0.2, y, f"process {i}", ha="right", va="center", fontweight="bold")
            part = box(ax, 1.0, y, "its part\nof the batch")
            sums = box(ax, 4.1, y, "n, μ, M of\nits pictures", WITH)
            back = box(ax, 11.1, y, "μ, σ² of\nall pictures", WITH)
            out = box(ax, 14.2, y, "its part,\nnormalized")
            parts = [(arrow(ax, part, sums), 1), (sums, 1), (arrow(ax, sums, shared, OTHER), 2),
                     (arrow(ax, shared, back, OTHER), 3), (back, 3), (arrow(ax, back, out), 3), (out, 3)]  # fmt: skip
            for each, number in parts:
                each.set_gid(at_step(number))
        ax.set(xlim=(-2.0, 15.6), ylim=(-1.0, 2.0 * (processes - 1) + 1.0))
        show(figure, slug)
