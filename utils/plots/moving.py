"""Figures that move: a still for print, and where scripts run a small loop with a button that stops it.

matplotlib draws the axes once, as everywhere; what moves is one path in each panel, whose points for every frame are
computed here and exchanged by a few lines of JavaScript (`moving.js`), inlined with them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.lessons import alternative_text
from utils.plots.lines import NOTE, size_of_type
from utils.plots.showing import hand_over, pictures
from utils.plots.style import THEMES, THEORY, WITH, WITHOUT, drawing, look, subplots
from utils.stats import ActivationStats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["histogram_over_steps", "running_mean"]

SCRIPT = Path(__file__).resolve().parent / "moving.js"
STYLE = """
.course-moving .stage, .course-moving .buttons {display: none}
.course-moving.live .stage {display: block}
.course-moving.live .buttons {display: flex; gap: .8em; align-items: center}
.course-moving.live > img {display: none}
.course-moving svg, .course-moving > img {max-width: 100%; height: auto}
.course-moving .course-figure {color-scheme: light}
[data-jp-theme-light="false"] .course-moving .course-figure {color-scheme: dark}
.course-moving input {flex: 1; max-width: 24em}
@media print {
  .course-moving.live .stage, .course-moving.live .buttons {display: none}
  .course-moving.live > img {display: block}
}
"""


def histogram_over_steps(
    without: ActivationStats, with_: ActivationStats, *, every: int = 2, slug: str | None = None
) -> None:
    """The values of the last layer while two networks train: a histogram that moves, without normalization and with it.

    Args:
        without, with_: recordings of two networks over the same steps, with histograms of the same bins.
        every: show each n-th recorded step.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
    """
    shown = range(0, len(without.steps), every)
    with drawing(14):
        figure, axes = subplots(1, 2, 14, 5.4, sharey=True)
        rows = []
        for ax, stats, kind in zip(axes[0], (without, with_), (WITHOUT, WITH), strict=True):
            heights = stats.histogram[:, -1] ** 0.5  # the root: a bin with a hundredth is still seen
            ax.set(xlim=stats.bin_edges[[0, -1]], ylim=(0, 1.02), title=f"{kind} normalization",
                   xlabel=f"value in layer {len(stats.names)}")  # fmt: skip
            ax.set_yticks(np.sqrt([0, 0.04, 0.25, 1]), ["0", "4 %", "25 %", "100 %"])
            rows.append((ax, stats.bin_edges, heights, kind))
        axes[0, 0].set_ylabel("share of the values")
        moving = []
        for ax, edges, heights, kind in rows:
            [patch] = ax.fill(*_stairs(edges, heights[shown[-1]]).T, color=look(kind).color, alpha=0.85)
            moving.append((patch, ax, [_stairs(edges, heights[t]) for t in shown]))
        _play(figure, moving, [f"step {without.steps[t]}" for t in shown], slug)


def running_mean(
    batches: np.ndarray, running: Mapping[str, np.ndarray], *, ylabel: str, slug: str | None = None
) -> None:
    """Running means that chase what the batches say, batch after batch.

    Args:
        batches: the mean of each batch, shape (steps,).
        running: label → the running mean after each batch, shape (steps,), at most three.
        ylabel: what it is a mean of.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
    """
    steps = np.arange(1, len(batches) + 1)
    with drawing(12):
        figure, axes = subplots(1, 1, 12, 5.6)
        ax = axes[0, 0]
        spread = np.ptp(batches) or 1.0
        ax.set(xlim=(0, len(batches) + 1), xlabel="batches seen", ylabel=ylabel,
               ylim=(min(batches.min(), 0) - 0.08 * spread, max(batches.max(), 0) + 0.08 * spread))  # fmt: skip
        [thin] = ax.plot(steps, batches, color=THEMES[THEORY][0], linewidth=1.6)
        moving = [(thin, ax, [np.column_stack([steps[:t], batches[:t]]) for t in steps])]
        for number, (label, values) in enumerate(running.items()):
            style = look(WITH, number)
            [line] = ax.plot(steps, values, color=style.color, linestyle=style.dashes, linewidth=4)
            ax.text(1.02, values[-1], label, transform=ax.get_yaxis_transform(), color=style.color, va="center",
                    fontweight="bold")  # fmt: skip
            moving.append((line, ax, [np.column_stack([steps[:t], values[:t]]) for t in steps]))
        figure.supxlabel("thin: the mean of each batch", x=0.99, ha="right", color=THEMES[THEORY][0],
                         fontsize=NOTE * size_of_type())  # fmt: skip
        _play(figure, moving, [f"batch {t}" for t in steps], slug)


def _stairs(edges: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """(2 · bins + 2, 2): the outline of a histogram, from the axis and back to it."""
    x, y = np.repeat(edges, 2), np.concatenate([[0], np.repeat(heights, 2), [0]])
    return np.column_stack([x, y])


def _play(figure: Figure, moving: Sequence[tuple], captions: Sequence[str], slug: str | None) -> None:
    """Display it: for each artist that moves its axes, and for every frame its points in data coordinates."""
    from matplotlib import pyplot as plt

    name, alt = slug or "figure", alternative_text(slug) if slug else ""
    figure.set_dpi(72)  # what an SVG is drawn at
    figure.canvas.draw()
    figure.set_layout_engine("none")  # as it is: the frames' points are computed for this place
    frames = {}
    for number, (artist, ax, points) in enumerate(moving):
        artist.set_gid(f"moving-{number}")
        frames[f"{name}-moving-{number}"] = [_path(figure, ax, each) for each in points]
    try:
        bundle = pictures(figure, name)
    finally:
        plt.close(figure)
    still = base64.b64encode(bundle["image/png"]).decode()
    data = json.dumps({"frames": frames, "captions": list(captions)}, separators=(",", ":"))
    html = (
        f'<div class="course-moving" id="{name}-moving"><style>{STYLE}</style>'
        f'<img alt="" src="data:image/png;base64,{still}"><div class="stage">{bundle["image/svg+xml"]}</div>'
        '<div class="buttons"><button type="button">stop</button>'
        '<input type="range" min="0" aria-label="which moment"><output></output></div></div>'
        f'<script>({SCRIPT.read_text("utf-8").strip()})("{name}-moving", {data});</script>'
    )
    shown = {"text/html": html, "image/png": bundle["image/png"], "text/plain": "<moving figure>"}
    hand_over(figure, shown, alt, figure=slug or "", moving=True)


def _path(figure: Figure, ax: Axes, points: np.ndarray) -> str:
    """Points in data coordinates as the path of an SVG, to a tenth of a point."""
    points = ax.transData.transform(points)
    points[:, 1] = figure.get_figheight() * 72 - points[:, 1]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
