"""The visual language: three kinds, told apart by colour and by line or hatch and by marker; a look for every arm.

Without normalization is orange, dashed, round; with batch normalization blue, solid, square; another normalization or
treatment plum, dashes and dots in turn, with crosses. Theory is thin and grey, the learner's guess a hollow star.
Within a kind, arms differ by their dashes and markers. Every colour has two values, for light and for dark grounds, and
each has 4.5 : 1 against its ground.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

__all__ = [
    "ARMS",
    "KINDS",
    "OTHER",
    "THEMES",
    "THEORY",
    "WITH",
    "WITHOUT",
    "Look",
    "at_step",
    "drawing",
    "look",
    "shades",
    "subplots",
]

# matplotlib is imported where it is needed: the kernel of a notebook starts most of a second earlier, and the first
# figure pays for it.

WITHOUT, WITH, OTHER, THEORY = "without", "with", "other", "theory"
KINDS = (WITHOUT, WITH, OTHER, THEORY)
VARIANTS = 5  # looks of one kind

# What each colour is called in an SVG, on a light ground and on a dark one. They are different from each other, so that
# one can be found by its value in what matplotlib has drawn.
THEMES = {
    "paper": ("#fefefe", "#151515"),
    "ink": ("#222222", "#ececec"),
    "grid": ("#dddddd", "#3d3d3d"),
    "theory": ("#555555", "#b4b4b4"),
    "without": ("#b84a00", "#ff9f5a"),
    "without-deep": ("#7a3300", "#ffcba3"),
    "without-pale": ("#8f5c08", "#e0b23c"),
    "with": ("#0069a6", "#63b7f2"),
    "with-deep": ("#00375c", "#b8dffb"),
    "with-pale": ("#2a76ac", "#3fa0e0"),
    "other": ("#7a1f5c", "#e89ad1"),
    "other-deep": ("#4a0f38", "#f7cfea"),
    "other-pale": ("#9c3f7d", "#cf76b6"),
}
INK, PAPER, GRID = (THEMES[name][0] for name in ("ink", "paper", "grid"))
SHADES = ("", "-deep", "-pale", "", "-deep")
DASHES = {
    WITHOUT: ((0, (4, 1.5)), (0, (1.2, 1.1)), (0, (7, 1.4, 1.2, 1.4)), (0, (2.2, 2.2)),
              (0, (7, 1.4, 1.2, 1.4, 1.2, 1.4))),
    WITH: ("-", (0, (14, 1.6)), (0, (9, 1.2)), (0, (18, 1.4, 4, 1.4)), (0, (9, 1.2, 4, 1.2))),
    OTHER: ((0, (6, 1.3, 1.3, 1.3)), (0, (3, 1.2, 1.2, 1.2, 1.2, 1.2)), (0, (1.3, 1.3, 4, 1.3, 4, 1.3)), (0, (1.2, 2)),
            (0, (6, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3, 1.3))),
    THEORY: ("-",) * VARIANTS,
}  # fmt: skip
MARKERS = {
    WITHOUT: ("o", "^", "v", "<", ">"),
    WITH: ("s", "D", "P", "d", "H"),
    OTHER: ("X", "*", "p", "8", "h"),
    THEORY: ("",) * VARIANTS,
}
BETWEEN = {WITHOUT: "#dd6b1d", WITH: "#1f7fc0"}  # of what is a picture, and so the same on every ground
HATCHES = {WITHOUT: "//", WITH: "", OTHER: "xx", THEORY: ""}
FONTS = Path(__file__).resolve().parent / "fonts"

# One arm has one look in the whole course: its kind, and which of its looks.
ARMS = {
    "default": (WITHOUT, 0),  # the default start
    "He": (WITHOUT, 1),
    "LSUV": (WITHOUT, 2),
    "without, changed": (WITHOUT, 3),
    "without, otherwise": (WITHOUT, 4),
    "normalized": (WITH, 0),  # the usual layer, before the ReLU, with the statistics of the whole batch or exact ones
    "first layer": (WITH, 1),
    "running": (WITH, 2),  # judged by running statistics
    "with, changed": (WITH, 3),
    "with, otherwise": (WITH, 4),
    "group": (OTHER, 0),
    "layer": (OTHER, 1),
    "RMS": (OTHER, 2),
    "instance": (OTHER, 3),
    "no statistics": (OTHER, 4),  # of activations: DyT, standardized weights, frozen parameters
}


@dataclass(frozen=True)
class Look:
    """How an arm is drawn: its kind, its colour on a light ground, its dashes, its marker, its hatch."""

    kind: str
    color: str
    dashes: str | tuple
    marker: str
    hatch: str


def look(arm: str, variant: int = 0) -> Look:
    """The look of an arm: one of `ARMS`, or a kind and which of its looks (0 to 4).

    Raises:
        ValueError: neither an arm nor a kind, or no such look.
    """
    kind, number = ARMS.get(arm, (arm, variant))
    if kind not in KINDS:
        raise ValueError(f"no arm or kind {arm!r}; kinds: {', '.join(KINDS)}; arms: {', '.join(sorted(ARMS))}")
    if not 0 <= number < VARIANTS:
        raise ValueError(f"a kind has the looks 0 to {VARIANTS - 1}; given: {number}")
    color = THEMES[kind if kind == THEORY else kind + SHADES[number]][0]
    return Look(kind, color, DASHES[kind][number], MARKERS[kind][number], HATCHES[kind])


def shades(kind: str) -> Colormap:
    """From nothing to a colour of this kind that stands out from light and dark: what is little shows the ground."""
    from matplotlib.colors import ListedColormap, to_rgb

    rgb = np.tile(to_rgb(BETWEEN[kind]), (256, 1))
    colors = ListedColormap(np.column_stack([rgb, np.linspace(0.08, 1, 256)]))
    return colors.with_extremes(bad=(0, 0, 0, 0), under=(0, 0, 0, 0))


def settings(width: float) -> dict[str, object]:
    """matplotlib's settings for a figure so many inches wide: its letters have 20 pixels where it fills a slide."""
    size = max(17.0, 1.3 * width)
    return {
        "font.family": "Course Sans",
        "mathtext.fontset": "custom",
        "mathtext.rm": "Course Sans",
        "mathtext.it": "Course Sans:italic",
        "mathtext.bf": "Course Sans:bold",
        "mathtext.bfit": "Course Sans:bold",
        "mathtext.sf": "Course Sans",
        "mathtext.cal": "Course Sans",  # matplotlib looks for all of them
        "mathtext.tt": "Course Mono",
        "font.size": size,
        "axes.titlesize": size * 1.08,
        "axes.titleweight": "bold",
        "axes.titlepad": 12,
        "axes.labelsize": size,
        "xtick.labelsize": size * 0.95,
        "ytick.labelsize": size * 0.95,
        "legend.fontsize": size * 0.95,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.facecolor": "none",
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.grid": True,
        "grid.color": GRID,
        "axes.axisbelow": True,
        "lines.linewidth": 3,
        "lines.markersize": 8,
        "hatch.linewidth": 1.6,
        "figure.constrained_layout.use": True,
        "figure.facecolor": PAPER,
        "svg.hashsalt": "batchnorm",
    }


@contextmanager
def drawing(width: float = 11) -> Iterator[None]:
    """The course's style, and no figure left open if drawing one fails."""
    import matplotlib
    from matplotlib import font_manager
    from matplotlib import pyplot as plt

    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in sorted(FONTS.glob("*.ttf")):
        if str(path) not in known:
            font_manager.fontManager.addfont(path)
    already_open = set(plt.get_fignums())
    with matplotlib.rc_context(settings(width)):
        try:
            yield
        except BaseException:
            for number in set(plt.get_fignums()) - already_open:
                plt.close(number)
            raise


def subplots(rows: int, columns: int, width: float, height: float, **options) -> tuple[Figure, np.ndarray]:
    """A figure of so many inches, and its axes (rows, columns)."""
    from matplotlib import pyplot as plt

    return plt.subplots(rows, columns, figsize=(width, height), squeeze=False, **options)


_made = count()


def at_step(number: int) -> str:
    """The name (`gid`) of what a slide reveals at this step, the first being 1: another each time."""
    return f"step-{number}-{next(_made)}"
