"""Every figure of the course, in one visual language.

Without normalization is orange, dashed, round; with it blue, solid, square (readable without colour). Theory is a thin
grey line, the learner's guess a black star. Layers run from left to right. Each function shows one figure; its
alternative text stands in `lessons/`, under the figure's slug.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from utils.lessons import alternative_text
from utils.stats import ActivationStats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# matplotlib is imported where it is needed: the kernel of a notebook starts most of a second earlier, and the first
# figure pays for it.

__all__ = [
    "Line",
    "bars",
    "cockpit",
    "cubes",
    "graph",
    "histograms",
    "images",
    "layer_lines",
    "matrix",
    "runs",
    "show",
    "signal",
]

WITHOUT, WITH, THEORY = "without", "with", "theory"
COLORS = {WITHOUT: ("#D95F02", "#7A3300", "#C27A10"), WITH: ("#0072B2", "#003F66", "#2F86BF"), THEORY: ("#555555",)}
MARKERS = {WITHOUT: ("o", "^", "v"), WITH: ("s", "D", "P"), THEORY: ("",)}
DASHES = {WITHOUT: ((0, (4, 1.5)), (0, (1.5, 1)), (0, (6, 1, 1, 1))), WITH: ("-", "-", "-"), THEORY: ("-",)}
COLOR_MAPS = {WITHOUT: "Oranges", WITH: "Blues"}
INK = "#222222"
STYLE = {
    "font.size": 17,
    "axes.titlesize": 19,
    "axes.labelsize": 17,
    "xtick.labelsize": 15,
    "ytick.labelsize": 15,
    "legend.fontsize": 15,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "axes.axisbelow": True,
    "lines.linewidth": 3,
    "lines.markersize": 7,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "svg.hashsalt": "batchnorm",
}


@dataclass(frozen=True)
class Line:
    """One curve over the layers (or over anything that runs from left to right).

    Attributes:
        label: written at the curve's end.
        kind: "without", "with" or "theory": decides colour, dashes and marker.
        y: shape (points,), or (seeds, points): then the median is drawn, with a band from the least to the greatest.
        x: shape (points,); 1 … points by default.
        shade: 0, 1 or 2, to tell curves of one kind apart.
    """

    label: str
    kind: str
    y: np.ndarray
    x: np.ndarray | None = None
    shade: int = 0


# --- showing


def show(figure: Figure, slug: str | None = None) -> None:
    """Display a finished figure as a PNG, and close it.

    The alternative text that `lessons/` has under the figure's slug goes into the image's metadata (for pages made from
    the notebook) and stands folded under it: it says what is to be guessed.

    Raises:
        ValueError: no lesson has a figure with this slug.
    """
    from IPython.display import display
    from matplotlib import pyplot as plt

    try:
        alt = alternative_text(slug) if slug else ""
    except ValueError:
        plt.close(figure)
        raise
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, metadata={"Software": None})
    width = round(figure.get_figwidth() * 60)
    plt.close(figure)
    display(
        {"image/png": buffer.getvalue(), "text/plain": "<figure>"},
        metadata={"image/png": {"alt": alt, "width": width}, "figure": slug or ""},
        raw=True,
    )
    if alt:
        words = f"<details><summary>The figure in words</summary>{escape(alt)}</details>"
        display({"text/html": words, "text/plain": alt}, raw=True)


@contextmanager
def _drawing() -> Iterator[None]:
    """The course's style, and no figure left open if drawing one fails."""
    import matplotlib
    from matplotlib import pyplot as plt

    already_open = set(plt.get_fignums())
    with matplotlib.rc_context(STYLE):
        try:
            yield
        except BaseException:
            for number in set(plt.get_fignums()) - already_open:
                plt.close(number)
            raise


def _figure(rows: int, columns: int, width: float, height: float, **options) -> tuple[Figure, np.ndarray]:
    from matplotlib import pyplot as plt

    return plt.subplots(rows, columns, figsize=(width, height), squeeze=False, **options)


# --- curves over layers


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
        guess: (x, y) of the learner's guess, drawn as a star in the last panel; None draws nothing.
        ylim: limits of the y axis.
    """
    with _drawing():
        figure, axes = _figure(1, len(panels), max(11, 5.6 * len(panels)), 5.6, sharey=True)
        for ax, (title, lines) in zip(axes[0], panels.items(), strict=True):
            if log:
                ax.set_yscale("log")
            if logx:
                ax.set_xscale("log")
            for line in lines:
                _draw(ax, line)
            ax.set(title=title, xlabel=xlabel)
            if xlabel == "layer":
                _layer_ticks(ax, max(np.shape(line.y)[-1] for line in lines))
            else:
                _whole_ticks(ax, [line.x for line in lines if line.x is not None], logx)
        if ylim is not None:
            axes[0, 0].set_ylim(ylim)
        axes[0, 0].set_ylabel(ylabel)
        _star(axes[0, -1], guess)
        for ax, lines in zip(axes[0], panels.values(), strict=True):
            _label_ends(ax, lines)
        show(figure, slug)


def _draw(ax: Axes, line: Line) -> None:
    y = np.atleast_2d(np.asarray(line.y, dtype=float))
    x = np.arange(1, y.shape[1] + 1) if line.x is None else np.asarray(line.x)
    color = COLORS[line.kind][line.shade]
    ax.plot(
        x,
        np.median(y, axis=0),
        color=color,
        linestyle=DASHES[line.kind][line.shade],
        marker=MARKERS[line.kind][line.shade],
        linewidth=1.8 if line.kind == THEORY else None,
        markevery=max(1, len(x) // 10),
        label=line.label,
        zorder=2 if line.kind == THEORY else 3,
    )
    if len(y) > 1:
        ax.fill_between(x, y.min(0), y.max(0), color=color, alpha=0.25, linewidth=0)


def _label_ends(ax: Axes, lines: Sequence[Line]) -> None:
    """Write each label beside the end of its curve, moved up or down where two would overlap."""
    ax.figure.canvas.draw()
    ends = []
    for line, drawn in zip(lines, ax.lines, strict=False):
        x, y = (np.asarray(values, dtype=float) for values in drawn.get_data())
        good = np.isfinite(y) & ((y > 0) | (ax.get_yscale() != "log"))
        if line.label and good.any():
            last = np.flatnonzero(good)[-1]
            height = ax.transAxes.inverted().transform(ax.transData.transform((x[last], y[last])))[1]
            ends.append([float(np.clip(height, 0.02, 0.98)), line])
    ends.sort(key=lambda end: end[0])
    gap = 0.085
    for i in range(1, len(ends)):  # upwards: none closer to the one below than a line of text
        ends[i][0] = max(ends[i][0], ends[i - 1][0] + gap * (1 + ends[i - 1][1].label.count("\n")))
    limit = 0.98
    for end in reversed(ends):  # and down again from the top, as far as they collide
        end[0] = min(end[0], limit)
        limit = end[0] - gap * (1 + end[1].label.count("\n"))
    for height, line in ends:
        ax.text(
            1.02,
            height,
            line.label,
            transform=ax.transAxes,
            color=COLORS[line.kind][line.shade],
            fontweight="bold",
            fontsize=15,
            va="center",
        )


def _whole_ticks(ax: Axes, xs: list, logx: bool) -> None:
    """Whole numbers have no halves between them, and on a logarithmic axis the points themselves are read best."""
    points = np.unique(np.concatenate([np.ravel(x) for x in xs])) if xs else np.empty(0)
    if (points % 1).any() or not len(points):
        return
    if logx:
        ax.set_xticks(points, [f"{point:g}" for point in points])
        ax.minorticks_off()
    else:
        ax.locator_params(axis="x", integer=True)


def _layer_ticks(ax: Axes, depth: int) -> None:
    """Layers are counted from 1: no tick at 0, and one at the first."""
    every = 1 if depth <= 6 else 5 if depth <= 25 else 10
    ax.set_xticks(sorted({1, *range(every, depth + 1, every)}))


def _percent(ax: Axes, decimals: int | None = None) -> None:
    from matplotlib.ticker import PercentFormatter

    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals))


def _star(ax: Axes, guess: tuple[float, float] | None) -> None:
    if guess is not None:
        ax.plot(*guess, marker="*", markersize=24, color=INK, markeredgecolor="white", linestyle="", zorder=5)
        ax.annotate("your guess", guess, xytext=(0, 16), textcoords="offset points", ha="center", fontweight="bold")


# --- distributions


def signal(
    without: ActivationStats,
    with_: ActivationStats,
    *,
    slug: str | None = None,
    step: int = 0,
    guess: float | None = None,
) -> None:
    """A signal on its way through two networks at one step: every layer's values, then their spread across images.

    Args:
        without, with_: recordings of two networks of the same depth with histograms of the same bins.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
        step: which recorded step.
        guess: the learner's guess of the last layer's spread without normalization; None draws nothing.
    """
    with _drawing():
        figure, axes = _figure(1, 3, 19, 5.8, width_ratios=[1, 1, 1.25])
        for ax, stats, kind in zip(axes[0, :2], (without, with_), (WITHOUT, WITH), strict=True):
            _heat(ax, stats.histogram[step], stats.bin_edges, kind, x0=0.5)
            ax.set(xlabel="layer", ylabel="value of an activation", title=f"{kind} normalization")
            _layer_ticks(ax, len(stats.names))
        lines = [Line(kind, kind, stats.spread[step]) for kind, stats in ((WITHOUT, without), (WITH, with_))]
        for line in lines:
            _draw(axes[0, 2], line)
        axes[0, 2].set(yscale="log", xlabel="layer", ylabel="spread across images", title="how far images lie apart")
        _layer_ticks(axes[0, 2], len(without.names))
        _star(axes[0, 2], None if guess is None else (len(without.names), guess))
        _label_ends(axes[0, 2], lines)
        show(figure, slug)


def _heat(ax: Axes, shares: np.ndarray, edges: np.ndarray, kind: str, x0: float, column: float = 1) -> None:
    """shares: (columns, bins), each `column` wide, bins upward, darker where there is more (log scale)."""
    shares = np.ma.masked_less_equal(np.nan_to_num(shares), 0)  # nothing at all stays white
    ax.imshow(
        np.ma.log10(shares.T),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=COLOR_MAPS[kind],
        vmin=-5,
        vmax=0,
        extent=(x0, x0 + column * len(shares), edges[0], edges[-1]),
    )
    ax.grid(False)


def histograms(
    groups: Mapping[str, np.ndarray],
    *,
    kinds: Sequence[str],
    rows: Sequence[str],
    xlabel: str,
    slug: str | None = None,
    bins: int = 30,
    guess: tuple[float, int] | None = None,
) -> None:
    """A stack of histograms in each panel: row by row (channels, pictures …) the distribution of its values.

    Args:
        groups: panel title → array (rows, values).
        kinds: "without" or "with" for each panel: its colour.
        rows: for each panel, what a row is.
        xlabel: what the values are.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
        bins: of each histogram, from its least value to all but the last thousandth.
        guess: (value, row) that the learner guessed in the last panel; None draws nothing.
    """
    with _drawing():
        figure, axes = _figure(1, len(groups), 7 * len(groups), 6.4)
        for ax, (title, values), kind, row_name in zip(axes[0], groups.items(), kinds, rows, strict=True):
            values = np.asarray(values, dtype=float)
            for row in reversed(range(len(values))):
                # Edges of its own for each row: so a row that is moved and stretched keeps its form exactly.
                edges = np.linspace(values[row].min(), np.quantile(values[row], 0.999), bins + 1)
                counts = np.histogram(values[row], edges)[0].astype(float)
                ax.stairs(row + 0.9 * counts / counts.max(), edges, baseline=row, fill=True, color=COLORS[kind][0],
                          alpha=0.6)  # fmt: skip
                mean = values[row].mean()
                ax.plot([mean, mean], [row, row + 0.9], color=INK, linewidth=3, solid_capstyle="butt", zorder=4)
            ax.set(title=title, xlabel=xlabel, ylabel=f"{row_name} (bar: mean)")
            ax.set_yticks(np.arange(len(values)) + 0.4, range(len(values)))
            ax.set_ylim(-0.15, len(values))
            ax.grid(axis="y", visible=False)
        _star(axes[0, -1], None if guess is None else (guess[0], guess[1] + 0.4))
        show(figure, slug)


# --- training


def cockpit(
    without: ActivationStats,
    with_: ActivationStats,
    *,
    slug: str | None = None,
    layer: int = -1,
    names: tuple[str, str] = ("WITHOUT", "WITH"),
) -> None:
    """The signature figure: what happened in a network while it trained, without normalization on top, with it below.

    Columns: the mean of each layer ± its spread across images, at the first recorded step (pale) and the last; the
    distribution of one layer's values over the steps; the share of dead channels; the norm of the gradient.

    Args:
        without, with_: recordings of two networks of the same depth over the same number of steps.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
        layer: the layer in the heat map.
        names: of the two rows.
    """
    with _drawing():
        figure, axes = _figure(2, 4, 20, 9.2, sharex="col", sharey="col")
        for row, stats, kind, name in zip(axes, (without, with_), (WITHOUT, WITH), names, strict=True):
            _cockpit_row(row, stats, kind, layer)
            row[0].set_ylabel(f"{name}\nactivation")
        depth = len(without.names)
        number = layer % depth + 1
        for ax, title in zip(
            axes[0],
            ["signal: mean ± spread\nacross images", f"values of layer {number}\n(darker: more of them)",
             "channels that are dead", "gradient that arrives"],
            strict=True,
        ):  # fmt: skip
            ax.set_title(title)
        for ax, label in zip(axes[1], ["layer", "training step", "layer", "layer"], strict=True):
            ax.set_xlabel(label)
        axes[0, 3].legend(["first step", "last recorded"], loc="best")
        show(figure, slug)


def _cockpit_row(axes: np.ndarray, stats: ActivationStats, kind: str, layer: int) -> None:
    color, x = COLORS[kind][0], np.arange(1, len(stats.names) + 1)
    for step, alpha, width in ((0, 0.45, 2), (-1, 1.0, 3.5)):
        style = {"color": color, "alpha": alpha, "linewidth": width, "linestyle": DASHES[kind][0] if step else ":"}
        if step:
            low, high = stats.mean[step] - stats.spread[step], stats.mean[step] + stats.spread[step]
            axes[0].fill_between(x, low, high, color=color, alpha=0.3, linewidth=0)
        axes[0].plot(x, stats.mean[step], **style)
        axes[2].plot(x, stats.dead[step], **style)
        axes[3].plot(x, stats.gradient_norm[step], **style)
    every = stats.steps[1] - stats.steps[0] if len(stats.steps) > 1 else 1
    _heat(axes[1], stats.histogram[:, layer], stats.bin_edges, kind, x0=stats.steps[0], column=every)
    axes[1].set_ylabel("activation")
    axes[2].set_ylim(-0.03, 1.03)
    _percent(axes[2])
    axes[2].set_ylabel("share of channels")
    axes[3].set_yscale("log")
    axes[3].set_ylabel("‖∂loss/∂output‖")
    for ax in (axes[0], axes[2], axes[3]):
        _layer_ticks(ax, len(x))


def runs(
    lines: Sequence[Line], *, ylabel: str, slug: str | None = None, window: int = 20, xlabel: str = "training step"
) -> None:
    """Curves over training steps, smoothed by a running mean over `window` steps; a band spans the seeds."""
    smoothed = []
    for line in lines:
        y = np.atleast_2d(np.asarray(line.y, dtype=float))
        if y.shape[1] < window:
            raise ValueError(f"{line.label!r} has {y.shape[1]} steps, fewer than the window of {window}")
        kernel = np.ones(window) / window
        mean = np.stack([np.convolve(row, kernel, mode="valid") for row in y])
        smoothed.append(Line(line.label, line.kind, mean, np.arange(window, y.shape[1] + 1), line.shade))
    layer_lines({"": smoothed}, ylabel=f"{ylabel}\n(mean of {window} steps)", xlabel=xlabel, slug=slug, log=False)


def bars(
    groups: Mapping[str, Sequence[float]],
    *,
    kinds: Sequence[str],
    ylabel: str,
    slug: str | None = None,
    reference: tuple[float, str] | None = None,
    guess: float | None = None,
    percent: bool = True,
) -> None:
    """One bar a group at the mean over its seeds, a dot a seed, the number written above.

    Args:
        groups: label → one value a seed.
        kinds: "without" or "with" for each group.
        ylabel: the axis' name.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
        reference: (value, name) of a horizontal line, for instance chance.
        guess: the learner's guess for the last bar.
        percent: write the values as percentages.
    """
    with _drawing():
        figure, axes = _figure(1, 1, min(15, max(9, 2.9 * len(groups))), 6)
        ax = axes[0, 0]
        for i, (values, kind) in enumerate(zip(groups.values(), kinds, strict=True)):
            values = np.asarray(values, dtype=float)
            hatch = {WITHOUT: "//", WITH: ""}[kind]
            ax.bar(i, values.mean(), color=COLORS[kind][0], alpha=0.8, hatch=hatch, edgecolor="white", width=0.62)
            if len(values) > 1:
                ax.plot(i + np.linspace(-0.12, 0.12, len(values)), values, "o", color=INK, markersize=8, zorder=4)
            text = f"{values.mean():.0%}" if percent else f"{values.mean():.3g}"
            ax.annotate(text, (i, values.max()), xytext=(0, 12), textcoords="offset points", ha="center",
                        fontweight="bold", fontsize=20)  # fmt: skip
        if reference is not None:
            ax.axhline(reference[0], color=COLORS[THEORY][0], linewidth=1.8, zorder=1)
            ax.text(1.01, reference[0], reference[1], transform=ax.get_yaxis_transform(), va="center",
                    color=COLORS[THEORY][0])  # fmt: skip
        ax.set_xticks(range(len(groups)), list(groups))
        ax.set_ylabel(ylabel)
        ax.margins(y=0.16)
        if percent:
            _percent(ax, decimals=0)
        ax.grid(axis="x", visible=False)
        if guess is not None:
            _star(ax, (len(groups) - 1, guess))
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
    """A table of numbers with two digits, each on a field that is darker the larger it is.

    Args:
        values: shape (rows, columns).
        rows, columns: their names.
        label: what the numbers are.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
        limits: the values whose fields are white and dark.

    Raises:
        ValueError: the names do not fit the shape.
    """
    import matplotlib

    values = np.asarray(values, dtype=float)
    if values.shape != (len(rows), len(columns)):
        raise ValueError(f"{len(rows)} rows and {len(columns)} columns have names; given: values {values.shape}")
    low, high = limits
    with _drawing():
        figure, axes = _figure(1, 1, 4.5 + 2.1 * len(columns), 2 + 0.72 * len(rows))
        ax = axes[0, 0]
        shades = matplotlib.colormaps[COLOR_MAPS[WITH]].with_extremes(under="white")
        ax.imshow(values, cmap=shades, vmin=low + 1e-9, vmax=low + 1.3 * (high - low), aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            color = "white" if value > low + 0.8 * (high - low) else INK
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=18, fontweight="bold", color=color)
        ax.set_xticks(range(len(columns)), columns)
        ax.set_yticks(range(len(rows)), rows)
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.set_xlabel(label)
        show(figure, slug)


# --- drawings


RIGHT, UP, BACK = np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([0.5, 0.36])  # channels, places, pictures


def cubes(panels: Mapping[str, np.ndarray], *, slug: str | None = None) -> None:
    """The tensor (N, C, H, W) as a block of cells, once in each panel, some of them marked.

    Args:
        panels: title → which cells are marked, boolean, shape (N, C, places). Seen are the faces of picture 0 (the
            front), of the last channel (the right side) and of place 0 (the top).
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
    """
    with _drawing():
        columns = min(len(panels), 3)
        rows = -(-len(panels) // columns)
        figure, axes = _figure(rows, columns, 5 * columns, 4.1 * rows)
        for ax in axes.flat:
            ax.set_axis_off()
        for ax, (title, marked) in zip(axes.flat, panels.items(), strict=False):
            _block(ax, np.asarray(marked, dtype=bool))
            ax.set_title(title, fontweight="bold")
        show(figure, slug)


def _block(ax: Axes, marked: np.ndarray) -> None:
    from matplotlib.patches import Polygon

    pictures, channels, places = marked.shape
    faces = [  # two edges, a corner, the shade, whether it is marked
        *((RIGHT, UP, c * RIGHT + (places - 1 - p) * UP, "#FFFFFF", marked[0, c, p])
          for c in range(channels) for p in range(places)),
        *((RIGHT, BACK, c * RIGHT + places * UP + n * BACK, "#F2F2F2", marked[n, c, 0])
          for c in range(channels) for n in range(pictures)),
        *((UP, BACK, channels * RIGHT + (places - 1 - p) * UP + n * BACK, "#E6E6E6", marked[n, -1, p])
          for n in range(pictures) for p in range(places)),
    ]  # fmt: skip
    for a, b, corner, shade, is_marked in faces:
        look = {"facecolor": shade, "edgecolor": "#999999", "linewidth": 1, "zorder": 2}
        if is_marked:  # hatched and in bold outline, for those who see no colour
            look = {
                "facecolor": COLORS[WITH][2],
                "edgecolor": COLORS[WITH][1],
                "linewidth": 2.2,
                "zorder": 3,
                "hatch": "//",
            }
        ax.add_patch(Polygon([corner, corner + a, corner + a + b, corner + b], closed=True, **look))
    ax.annotate("channels", (channels / 2, -0.35), ha="center", va="top")
    ax.annotate("places", (-0.3, places / 2), ha="right", va="center", rotation=90)
    ax.annotate(
        "pictures", channels * RIGHT + pictures / 2 * BACK + (0.3, -0.25), va="center", rotation=36,
        rotation_mode="anchor",
    )  # fmt: skip
    ax.set(xlim=(-1.1, channels + 0.5 * pictures + 0.9), ylim=(-1.1, places + 0.36 * pictures + 0.2), aspect="equal")


def images(pictures: Tensor, labels: Sequence[str], *, slug: str | None = None, columns: int = 10) -> None:
    """A labelled grid of pictures.

    Args:
        pictures: uint8, (N, 3, H, W).
        labels: N names.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
        columns: pictures in a row.
    """
    if len(pictures) != len(labels):
        raise ValueError(f"each picture needs a label; given: {len(pictures)} pictures, {len(labels)} labels")
    with _drawing():
        rows = -(-len(pictures) // columns)
        figure, axes = _figure(rows, columns, 1.7 * columns, 1.95 * rows)
        for ax in axes.flat:
            ax.axis("off")
        for ax, picture, label in zip(axes.flat, pictures, labels, strict=False):
            ax.imshow(picture.permute(1, 2, 0).numpy())
            ax.set_title(label, fontsize=16)
        show(figure, slug)


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
    with _drawing():
        figure, axes = _figure(1, 1, 14, 4)
        ax = axes[0, 0]
        ax.axis("off")
        boxes = {
            name: ax.text(
                x, y, text, ha="center", va="center", fontsize=20, zorder=3,
                bbox={"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": INK, "linewidth": 2},
            )
            for name, (x, y, text) in nodes.items()
        }  # fmt: skip
        styles = [(pair, COLORS[WITH][0], "-") for pair in edges]
        styles += [(pair, COLORS[WITH][2], (0, (4, 1.5))) for pair in through_statistics]
        for (start, end), color, line in styles:
            ax.annotate(
                "", nodes[end][:2], nodes[start][:2],
                arrowprops={"arrowstyle": "-|>,head_width=.5,head_length=.8", "color": color, "linewidth": 3,
                            "linestyle": line, "patchA": boxes[start].get_bbox_patch(),
                            "patchB": boxes[end].get_bbox_patch(), "shrinkA": 2, "shrinkB": 4},
            )  # fmt: skip
        columns, heights = [x for x, _, _ in nodes.values()], [y for _, y, _ in nodes.values()]
        ax.set(xlim=(min(columns) - 0.6, max(columns) + 0.9), ylim=(min(heights) - 0.5, max(heights) + 0.5))
        show(figure, slug)
