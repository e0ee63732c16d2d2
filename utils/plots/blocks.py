"""The tensor (N, C, H, W) as a block of cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from utils.plots.diagrams import arrow, box
from utils.plots.showing import show
from utils.plots.style import WITH, at_step, drawing, subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cubes", "one_channel"]

RIGHT, UP, BACK = np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([0.5, 0.36])  # channels, places, pictures
FACES = ("#ffffff", "#f2f2f2", "#e6e6e6")  # as the marks, the same on every ground
LIT, EDGE = "#8cc4ea", "#0b4a73"


def cubes(panels: Mapping[str, np.ndarray], *, slug: str | None = None) -> None:
    """The tensor (N, C, H, W) as a block of cells, once in each panel, some of them marked.

    Args:
        panels: title → which cells are marked, boolean, shape (N, C, places). Seen are the faces of picture 0 (the
            front), of the last channel (the right side) and of place 0 (the top).
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
    """
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    with drawing(5 * columns):
        figure, axes = subplots(rows, columns, 5 * columns, 4.4 * rows)
        for ax in axes.flat:
            ax.set_axis_off()
        for number, (ax, (title, marked)) in enumerate(zip(axes.flat, panels.items(), strict=False)):
            _block(ax, np.asarray(marked, dtype=bool))
            ax.set_title(title)
            if number:
                ax.set_gid(at_step(number))
        show(figure, slug)


def one_channel(*, slug: str | None = None) -> None:
    """What the layer does, as a drawing: one channel of the block, its μ and σ, then γ and β.

    Args:
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
    """
    pictures, channels, places = 4, 6, 4
    marked = np.zeros((pictures, channels, places), dtype=bool)
    marked[:, -1] = True
    with drawing(16):
        figure, axes = subplots(1, 1, 16, 6)
        ax = axes[0, 0]
        ax.set_axis_off()
        _block(ax, marked, "N pictures", "C channels", "H·W places")
        middle, x = 2.0, channels + 0.5 * pictures + 2.4
        stages = [
            ("mean  μ\nwidth  σ", "over N·H·W values:\none of each a channel"),
            ("x̂ = (x − μ) / σ", "mean 0, variance 1"),
            ("y = γ · x̂ + β", "two numbers a channel,\nlearned"),
        ]
        previous = (channels + 0.25 * pictures + 0.45, middle + 0.4)
        for number, (formula, words) in enumerate(stages, start=1):
            text = box(ax, x, middle + 0.4, formula, WITH)
            below = ax.text(x, middle - 1.0, words, ha="center", va="top", linespacing=1.15)
            parts = [text, below, arrow(ax, previous, text, WITH)]
            for part in parts:
                part.set_gid(at_step(number))
            previous, x = text, x + 4.9
        ax.set(xlim=(-1.6, x - 2.2), ylim=(-1.5, places + 0.36 * pictures + 0.4), aspect="equal")
        show(figure, slug)


def _block(ax: Axes, marked: np.ndarray, deep: str = "pictures", wide: str = "channels", high: str = "places") -> None:
    from matplotlib.patches import Polygon

    pictures, channels, places = marked.shape
    front, top, side = FACES
    faces = [  # two edges, a corner, the shade, whether it is marked
        *((RIGHT, UP, c * RIGHT + (places - 1 - p) * UP, front, marked[0, c, p])
          for c in range(channels) for p in range(places)),
        *((RIGHT, BACK, c * RIGHT + places * UP + n * BACK, top, marked[n, c, 0])
          for c in range(channels) for n in range(pictures)),
        *((UP, BACK, channels * RIGHT + (places - 1 - p) * UP + n * BACK, side, marked[n, -1, p])
          for n in range(pictures) for p in range(places)),
    ]  # fmt: skip
    for a, b, corner, shade, is_marked in faces:
        style = {"facecolor": shade, "edgecolor": "#999999", "linewidth": 1, "zorder": 2}
        if is_marked:  # hatched and in bold outline, for those who see no colour
            style = {"facecolor": LIT, "edgecolor": EDGE, "linewidth": 2.2, "zorder": 3, "hatch": "//"}
        ax.add_patch(Polygon([corner, corner + a, corner + a + b, corner + b], closed=True, **style))
    ax.annotate(wide, (channels / 2, -0.35), ha="center", va="top")
    ax.annotate(high, (-0.3, places / 2), ha="right", va="center", rotation=90)
    ax.annotate(
        deep, channels * RIGHT + pictures / 2 * BACK + (0.3, -0.25), va="center", rotation=36,
        rotation_mode="anchor",
    )  # fmt: skip
    ax.set(xlim=(-1.1, channels + 0.5 * pictures + 0.9), ylim=(-1.2, places + 0.36 * pictures + 0.2), aspect="equal")
