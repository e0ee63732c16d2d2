"""The signature figure: what happened in a network while it trained, without normalization and with it."""

from __future__ import annotations

import numpy as np

from utils.plots.distributions import heat
from utils.plots.lines import NOTE, layer_ticks, percent, size_of_type
from utils.plots.showing import show
from utils.plots.style import THEMES, THEORY, WITH, WITHOUT, at_step, drawing, look, subplots
from utils.stats import ActivationStats

__all__ = ["cockpit"]

TITLES = ("mean ± spread\nacross images", "values of layer {}", "dead channels", "gradient\nthat arrives ←")
PANELS = ("signal", "values", "dead", "gradient")


def cockpit(without: ActivationStats, with_: ActivationStats, *, slug: str | None = None) -> None:
    """What happened in a network while it trained: without normalization on top, with it below.

    Columns: the mean of each layer ± its spread across images, at the first recorded step (dotted) and the last; the
    distribution of the last layer's values over the steps; the share of dead channels; the norm of the gradient, which
    travels from the last layer to the first.

    Args:
        without, with_: recordings of two networks of the same depth over the same number of steps.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
    """
    with drawing(18):
        figure, axes = subplots(2, len(PANELS), 18, 9.4, sharex="col", sharey="col")
        for row, stats, kind in zip(axes, (without, with_), (WITHOUT, WITH), strict=True):
            for ax, panel in zip(row, PANELS, strict=True):
                _panel(ax, panel, stats, kind)
            row[0].annotate(kind.upper(), (0, 0.5), xycoords="axes fraction", xytext=(-4.6 * size_of_type(), 0),
                            rotation=90, textcoords="offset points", va="center", ha="center", fontweight="bold",
                            color=look(kind).color, annotation_clip=False)  # fmt: skip
        for i, (panel, title) in enumerate(zip(PANELS, TITLES, strict=True)):
            axes[0, i].set_title(title.format(len(without.names)), fontsize=size_of_type())
            axes[1, i].set_xlabel("training step" if panel == "values" else "layer")
            if i:  # a slide introduces one column after the other
                for ax in axes[:, i]:
                    ax.set_gid(at_step(i))
        note = "dotted: first step · line: last step, band: ± spread · the stronger the colour, the more of the values"
        figure.supxlabel(note, x=0.99, ha="right", color=THEMES[THEORY][0], fontsize=NOTE * size_of_type())
        show(figure, slug)


def _panel(ax, panel: str, stats: ActivationStats, kind: str) -> None:
    x, style = np.arange(1, len(stats.names) + 1), look(kind)
    if panel == "values":
        every = stats.steps[1] - stats.steps[0] if len(stats.steps) > 1 else 1
        heat(ax, stats.histogram[:, -1], stats.bin_edges, kind, x0=stats.steps[0], column=every)
        ax.set_ylabel("activation")
        return
    values = {"signal": stats.mean, "dead": stats.dead, "gradient": stats.gradient_norm}[panel]
    for at, width, dashes in ((0, 2.5, (0, (1, 1.2))), (-1, 3.5, style.dashes)):
        ax.plot(x, values[at], color=style.color, linewidth=width, linestyle=dashes)
    if panel == "signal":
        low, high = stats.mean[-1] - stats.spread[-1], stats.mean[-1] + stats.spread[-1]
        ax.fill_between(x, low, high, color=style.color, alpha=0.25, linewidth=0)
        ax.set_ylabel("activation")
    elif panel == "dead":
        ax.set_ylim(-0.03, 1.03)
        percent(ax)
        ax.set_ylabel("share of channels")
    else:
        ax.set_yscale("log")
        ax.set_ylabel("‖∂loss/∂output‖")
    layer_ticks(ax, len(x))
