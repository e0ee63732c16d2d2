"""utils.plots: what each figure shows, how it is displayed, and whether everyone can read its colours."""

import io
import json
import re
import warnings
from html import escape
from xml.etree import ElementTree

import IPython.display
import matplotlib
import numpy as np
import pytest
import torch
from contrast import contrast, linear
from matplotlib import colors as mcolors
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from utils import plots
from utils.lessons import alternative_text
from utils.models import ConvNet
from utils.plots import Line, blocks, comparison, diagrams, distributions, moving, pictures, showing, while_training
from utils.plots import lines as line_figures
from utils.plots.style import (
    ARMS,
    BETWEEN,
    DASHES,
    FONTS,
    HATCHES,
    INK,
    KINDS,
    MARKERS,
    OTHER,
    THEMES,
    THEORY,
    VARIANTS,
    WITH,
    WITHOUT,
    at_step,
    look,
    shades,
)  # fmt: skip
from utils.stats import ActivationStats

MODULES = (
    comparison,
    blocks,
    while_training,
    diagrams,
    distributions,
    line_figures,
    pictures,
)  # those that show a figure

SLUG = "the-leak"  # any figure of the lessons
DEPTH, STEPS_SEEN = 4, 3


def recording(norm_layer) -> ActivationStats:
    model = ConvNet(DEPTH, (4, 4), norm_layer)
    x = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with ActivationStats(model, model.layers) as stats:
        for _ in range(STEPS_SEEN):
            model.zero_grad()
            model(x).square().sum().backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad
    return stats


@pytest.fixture(scope="module")
def pair() -> tuple[ActivationStats, ActivationStats]:
    """Recordings without and with normalization."""
    return recording(None), recording(torch.nn.BatchNorm2d)


@pytest.fixture(autouse=True)
def displayed(monkeypatch):
    """What was displayed: (arguments, keywords) of each call. Nothing may be left open, nothing set globally."""
    calls = []
    monkeypatch.setattr(IPython.display, "display", lambda *args, **kwargs: calls.append((args, kwargs)))
    before = dict(matplotlib.rcParams)
    yield calls
    assert dict(matplotlib.rcParams) == before
    plt.close("all")


@pytest.fixture
def figures(monkeypatch) -> list[Figure]:
    """The figures that were shown; their contents can be looked at after they were closed."""
    seen = []
    spy_on(monkeypatch, seen)
    return seen


def spy_on(patch: pytest.MonkeyPatch, seen: list[Figure]) -> None:
    """Note every figure before it is shown."""

    def spy(figure: Figure, slug: str | None = None) -> None:
        seen.append(figure)
        showing.show(figure, slug)

    def spy_moving(figure: Figure, *rest) -> None:
        seen.append(figure)
        play(figure, *rest)

    play = moving._play
    for module in MODULES:
        patch.setattr(module, "show", spy)
    patch.setattr(moving, "_play", spy_moving)


def some_lines(points: int = 5) -> list[Line]:
    y = np.linspace(1, 0.1, points)
    return [
        Line("without", WITHOUT, y),
        Line("with", WITH, np.stack([y + 1, y + 2, y + 4])),
        Line("0.9ⁿ", THEORY, 0.9 ** np.arange(points)),
    ]


def curves(ax) -> list:
    """The curves that have a name: not what joins a label to its curve."""
    return [line for line in ax.lines if not line.get_label().startswith("_")]


PICTURES = torch.randint(0, 256, (7, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
DRAW = {  # four of them with a guess, which is a star
    "layer_lines": lambda pair, slug: plots.layer_lines(
        {"a": some_lines(), "b": some_lines()}, ylabel="y", slug=slug, guess=(3, 0.5)
    ),
    "signal": lambda pair, slug: plots.signal(*pair, slug=slug, guess=0.5),
    "histograms": lambda pair, slug: plots.histograms(
        {"a": np.eye(3), "b": np.arange(8.0).reshape(2, 4)}, kinds=[WITHOUT, WITH], rows=["channel", "image"],
        xlabel="v", slug=slug, guess=(0.5, 1),
    ),
    "cockpit": lambda pair, slug: plots.cockpit(*pair, slug=slug),
    "runs": lambda pair, slug: plots.runs([Line("a", WITH, np.arange(60.0))], ylabel="loss", slug=slug),
    "bars": lambda pair, slug: plots.bars(
        {"a": [0.1, 0.3], "b": [0.5]}, kinds=[WITHOUT, WITH], ylabel="y", slug=slug, guess=0.4
    ),
    "graph": lambda pair, slug: plots.graph(
        {"x": (0, 0, "x"), "mu": (1, 1, "μ"), "d": (2, 0, "x - μ")}, edges=[("x", "d")],
        through_statistics=[("x", "mu"), ("mu", "d")], slug=slug,
    ),
    "images": lambda pair, slug: plots.images(PICTURES, list("abcdefg"), columns=4, slug=slug),
    "matrix": lambda pair, slug: plots.matrix(
        np.array([[0, 0.5], [0, 0.126], [2, 0]]), rows=["a", "b", "c"], columns=["d", "e"], label="v", slug=slug
    ),
    "intervals": lambda pair, slug: plots.intervals(
        [("a", (1, np.inf), [(0.5, -1, 2), (2, 1.5, 2.5)]), ("b", (-np.inf, 0), [(-1, -2, 0), (1, 0.5, 1.5)])],
        names=("one", "two"), xlabel="points", slug=slug,
    ),
    "cubes": lambda pair, slug: plots.cubes({"a": np.ones((2, 3, 4)), "b": np.zeros((2, 3, 4))}, slug=slug),
    "one_channel": lambda pair, slug: plots.one_channel(slug=slug),
    "network": lambda pair, slug: plots.network(stages=((2, "8 channels"), (3, "16 channels")), slug=slug),
    "exchange": lambda pair, slug: plots.exchange(3, slug=slug),
    "company": lambda pair, slug: plots.company(PICTURES[0], [PICTURES[1:], PICTURES[3:]], ["cat", "dog"], slug=slug),
    "histogram_over_steps": lambda pair, slug: plots.histogram_over_steps(*pair, every=1, slug=slug),
    "running_mean": lambda pair, slug: plots.running_mean(
        np.array([1.0, 3.0, 2.0]), {"α = 0.1": np.array([0.1, 0.4, 0.6])}, ylabel="mean", slug=slug
    ),
}  # fmt: skip
MOVING = ("histogram_over_steps", "running_mean")
STARS = {"layer_lines": (3, 0.5), "signal": (DEPTH, 0.5), "histograms": (0.5, 1.4), "bars": (1.42, 0.4)}
NO_AXES = {"images", "graph", "matrix", "cubes", "one_channel", "network", "exchange", "company"}
COLORS = {kind: [look(kind, number).color for number in range(VARIANTS)] for kind in KINDS}


@pytest.fixture(scope="module")
def drawn(pair):
    """drawn(name): one of the functions above, called once: its figure, what was displayed, what was warned."""
    kept = {}

    def draw(name: str) -> tuple[Figure, list, list]:
        if name not in kept:
            seen, calls = [], []
            with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                patch.setattr(IPython.display, "display", lambda *args, **kwargs: calls.append((args, kwargs)))
                spy_on(patch, seen)
                DRAW[name](pair, SLUG)
                assert plt.get_fignums() == [], "it is closed"
            (figure,) = seen
            kept[name] = figure, calls, [str(warning.message) for warning in warned]
        return kept[name]

    return draw


def picture(displayed) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(displayed[0][0][0]["image/png"])).convert("RGB")) / 255


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


# --- every figure ----------------------------------------------------------------------------------------------------


def test_every_function_that_draws_is_tested_here():
    assert set(plots.__all__) == {*DRAW, "Line"}


@pytest.mark.parametrize("name", DRAW)
def test_every_figure_is_one_picture_and_one_caption_in_letters_for_the_back_row(name, drawn):
    figure, displayed, warned = drawn(name)
    assert warned == []
    (image, options), (words, _) = displayed
    assert list(image[0]) == [
        "text/html" if name in MOVING else "image/svg+xml", "image/png", "text/plain"
    ]  # fmt: skip
    assert options["metadata"].get("moving", False) == (name in MOVING)
    assert image[0]["image/png"].startswith(b"\x89PNG\r\n")
    assert options["raw"] is True
    assert options["metadata"]["image/png"]["alt"] == alternative_text(SLUG)
    assert options["metadata"]["figure"] == SLUG
    assert words[0]["text/html"].startswith("<details><summary>The figure in words</summary>")
    assert escape(alternative_text(SLUG)) in words[0]["text/html"]
    pixels = picture(displayed)
    assert 0.5 < pixels.shape[1] / options["metadata"]["image/png"]["width"] < 2
    assert 0.2 < (pixels.min(2) > 0.98).mean() < 0.999, "on white, and something is on it"
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 15


def test_the_same_figure_is_the_same_file(pair, drawn, displayed):
    _, first, _ = drawn("bars")
    DRAW["bars"](pair, SLUG)
    assert displayed[0][0][0]["image/png"] == first[0][0][0]["image/png"]
    assert "Software" not in Image.open(io.BytesIO(displayed[0][0][0]["image/png"])).info


def test_a_slug_that_no_lesson_has_is_refused(pair, displayed):
    with pytest.raises(ValueError, match="no lesson has figure 'a-plot'"):
        DRAW["runs"](pair, "a-plot")
    assert displayed == []
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", [name for name in DRAW if name not in NO_AXES])
def test_every_axis_has_a_name(name, drawn):
    """Where panels share an axis, one of them carries it."""
    figure, _, _ = drawn(name)
    for ax in figure.axes:
        for axis in "xy":
            together = getattr(ax, f"get_shared_{axis}_axes")()
            shared = [ax, *(other for other in figure.axes if together.joined(ax, other))]
            named = any(getattr(other, f"get_{axis}label")() for other in shared)
            assert named or (name, axis) in {("bars", "x"), ("intervals", "y")}, (axis, ax.get_title())


@pytest.mark.parametrize("name", STARS)
def test_a_guess_is_a_star_in_the_last_panel(name, drawn):
    figure, _, _ = drawn(name)
    found = [(ax, line.get_xydata().tolist()) for ax in figure.axes for line in ax.lines if line.get_marker() == "*"]
    assert found == [(figure.axes[-1], [list(STARS[name])])]
    assert [text.replace("\n", " ") for text in texts(figure)].count("your guess") == 1
    star = next(line for line in figure.axes[-1].lines if line.get_marker() == "*")
    assert star.get_markerfacecolor() == "none", "it covers nothing"


@pytest.mark.parametrize(("name", "columns"), [("signal", (0, 1)), ("cockpit", (1, 5))])
def test_heat_maps_show_the_shares(name, columns, pair, drawn):
    figure, _, _ = drawn(name)
    for column, stats, kind in zip(columns, pair, [WITHOUT, WITH], strict=True):
        (image,) = figure.axes[column].images
        shares = stats.histogram[0] if name == "signal" else stats.histogram[:, -1]
        expected = np.ma.log10(np.ma.masked_less_equal(shares.T, 0))
        np.testing.assert_array_equal(image.get_array().mask, expected.mask)
        assert expected.mask.any(), "nothing at all shows the ground"
        np.testing.assert_allclose(image.get_array().compressed(), expected.compressed(), rtol=1e-6)
        assert image.get_cmap() == shades(kind)
        left = 0.5 if name == "signal" else 0
        assert image.get_extent() == [left, left + len(shares), -4, 4]
        assert image.get_clim() == (-5, 0)
        assert image.origin == "lower"


# --- show ------------------------------------------------------------------------------------------------------------


def test_a_figure_of_ones_own_needs_no_slug_and_no_other_is_closed(displayed):
    other = plt.figure()
    showing.show(plt.figure(figsize=(10, 2)))
    [(_, options)] = displayed
    assert options["metadata"] == {"image/png": {"alt": "", "width": 600}, "figure": ""}
    assert picture(displayed).shape == (160, 800, 3)
    assert plt.get_fignums() == [other.number]


# --- curves ----------------------------------------------------------------------------------------------------------


def test_a_curve_is_the_median_and_its_band_the_range(figures):
    y = np.array([[1.0, 5.0, 3.0], [2.0, 9.0, 1.0], [4.0, 6.0, 8.0]])
    plots.layer_lines({"t": [Line("seeds", WITH, y), Line("one", WITHOUT, y[0])]}, ylabel="y", slug=SLUG, log=False)
    (ax,) = figures[0].axes
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1, 2], [2, 6], [3, 3]])
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[1, 1], [2, 5], [3, 3]])
    (band,) = ax.collections  # a single seed has none
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert {(1, 1), (2, 5), (3, 1), (1, 4), (2, 9), (3, 8)} <= corners


@pytest.mark.parametrize(("log", "logx"), [(True, False), (False, True)])
def test_panels_share_their_y_axis_and_each_axis_has_its_scale(figures, log, logx):
    places = np.array([0.01, 1])
    panels = {title: [Line("a", WITH, np.array([1.0, top]), places)] for title, top in (("low", 2.0), ("high", 5e3))}
    plots.layer_lines(panels, ylabel="spread", xlabel="rate", slug=SLUG, log=log, logx=logx)
    left, right = figures[0].axes
    assert [ax.get_title() for ax in (left, right)] == ["low", "high"]
    assert left.get_ylim() == right.get_ylim()
    assert (left.get_ylabel(), left.get_xlabel()) == ("spread", "rate")
    for ax in (left, right):
        assert ax.get_yscale() == ("log" if log else "linear")
        assert ax.get_xscale() == ("log" if logx else "linear")
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), places)


def test_layers_are_counted_from_1_and_the_y_axis_may_have_limits(figures):
    depths = (1, 5, 6, 20, 50)
    panels = {str(depth): [Line("a", WITH, np.ones(depth))] for depth in depths}
    plots.layer_lines(panels, ylabel="y", slug=SLUG, log=False, ylim=(1e-3, 50))
    for ax, depth in zip(figures[0].axes, depths, strict=True):
        ticks = ax.get_xticks().tolist()
        assert (ticks[0], ticks[-1]) == (1, depth)
        assert len(ticks) <= 6
        assert ax.get_ylim() == (1e-3, 50)


def test_labels_do_not_stand_on_each_other(figures):
    ends = {"top": [1.0] * 8, "bottom": [0.0, 0.01, 0.01], "pairs": [0.5, 1.0, 0.51, 0.99]}
    panels = {
        title: [Line(f"line {k}", WITH, np.array([0.0, 1.0, end])) for k, end in enumerate(those)]
        for title, those in ends.items()
    }
    plots.layer_lines(panels, ylabel="y", slug=SLUG, log=False)
    for ax, those in zip(figures[0].axes, ends.values(), strict=True):
        heights = sorted(text.get_position()[1] for text in ax.texts)
        assert len(heights) == len(those)
        assert min(np.diff(heights)) > 0.08
        assert heights[-1] <= 0.99


@pytest.mark.filterwarnings("error")
def test_a_logarithmic_axis_bears_zeros_and_nan(figures):
    odd = [[1.0, 0.0, 0.1], [1.0, np.nan, 0.1], [0.0, 0.0, 1e-30], [1.0, -1.0, np.nan], [1, 1e30, np.inf], np.eye(2)]
    panels = {str(k): [Line("a", WITH, np.array(y)), *some_lines(len(y))] for k, y in enumerate(odd)}
    plots.layer_lines(panels, ylabel="y", slug=SLUG)
    for ax in figures[0].axes:
        label = next(text for text in ax.texts if text.get_text() == "a")
        assert -0.1 <= label.get_position()[1] <= 1
        assert np.isfinite(ax.get_ylim()).all()


@pytest.mark.filterwarnings("ignore:Data has no positive values")
def test_a_curve_that_cannot_be_drawn_has_no_label(figures):
    gone = {"zeros": np.zeros(4), "nan": np.full(4, np.nan)}
    panels = {title: [Line("gone", WITH, y), Line("here", WITHOUT, np.ones(4))] for title, y in gone.items()}
    plots.layer_lines(panels, ylabel="y", slug=SLUG)
    assert texts(figures[0]) == ["here", "here"]


def test_runs_are_smoothed_by_a_running_mean(figures):
    y = np.random.default_rng(0).normal(size=(3, 50))
    plots.runs([Line("a", WITH, y, shade=1)], ylabel="loss", slug=SLUG)
    (ax,) = figures[0].axes
    (line,) = curves(ax)
    means = np.array([[row[k - 20 : k].mean() for k in range(20, 51)] for row in y])
    np.testing.assert_array_equal(line.get_xdata(), np.arange(20, 51))
    np.testing.assert_allclose(line.get_ydata(), np.median(means, 0), atol=1e-12)
    assert line.get_color() == COLORS[WITH][1]
    assert len(ax.collections) == 1
    assert (ax.get_xlabel(), ax.get_yscale()) == ("training step", "linear")
    assert ax.get_ylabel() == "loss\n(mean of 20 steps)"


# --- distributions, training, pictures -------------------------------------------------------------------------------


def test_the_signal_of_both_networks(pair, figures):
    plots.signal(*pair, slug=SLUG)
    left, right, last = figures[0].axes
    assert [left.get_title(), right.get_title()] == ["without normalization", "with normalization"]
    for line, stats, kind in zip(curves(last), pair, (WITHOUT, WITH), strict=True):
        np.testing.assert_allclose(line.get_ydata(), stats.spread[0])
        assert line.get_color() == COLORS[kind][0]
    assert last.get_yscale() == "log"
    assert sorted(texts(figures[0])) == ["with", "without"]


def test_histograms_mark_the_mean_of_each_row(figures):
    groups = {"a": np.array([[0.0, 1.0, 5.0], [2.0, 2.0, 2.0]]), "b": np.arange(12.0).reshape(3, 4)}
    plots.histograms(groups, kinds=[WITHOUT, WITH], rows=["channel", "image"], xlabel="value", slug=SLUG)
    for ax, (title, values), kind, row in zip(
        figures[0].axes, groups.items(), (WITHOUT, WITH), ("channel", "image"), strict=True
    ):
        assert ax.get_title() == title
        assert ax.get_ylabel() == f"{row} (bar: mean)"
        assert sorted(line.get_xdata()[0] for line in ax.lines) == pytest.approx(sorted(values.mean(1)))
        assert len(ax.patches) == len(values)
        for patch in ax.patches:
            heights, edges, baseline = patch.get_data()
            row_values = values[round(float(np.ravel(baseline)[0]))]
            counts = np.histogram(row_values, edges)[0]
            np.testing.assert_allclose(heights - baseline, 0.9 * counts / counts.max())
            assert mcolors.to_hex(patch.get_facecolor()) == COLORS[kind][0].lower()
        assert [label.get_text() for label in ax.get_yticklabels()] == [str(k) for k in range(len(values))]


def test_histograms_of_one_value(displayed):
    groups = {"t": np.zeros((2, 5)), "u": np.full((1, 1), 3.0)}
    plots.histograms(groups, kinds=[WITH] * 2, rows=["channel"] * 2, xlabel="v", slug=SLUG)
    assert len(displayed) == 2


def test_the_cockpit(pair, drawn):
    figure, _, _ = drawn("cockpit")
    axes = np.array(figure.axes).reshape(2, 4)
    assert [ax.get_title().replace("\n", " ") for ax in axes[0]] == [
        "mean ± spread across images",
        f"values of layer {DEPTH}",
        "dead channels",
        "gradient that arrives ←",
    ]
    for row, stats, kind in zip(axes, pair, (WITHOUT, WITH), strict=True):
        assert [text.get_text() for text in row[0].texts] == [kind.upper()]
        for ax, values in ((row[0], stats.mean), (row[2], stats.dead), (row[3], stats.gradient_norm)):
            first, last = ax.lines
            np.testing.assert_array_equal(first.get_xdata(), np.arange(1, DEPTH + 1))
            np.testing.assert_array_equal(first.get_ydata(), values[0])
            np.testing.assert_array_equal(last.get_ydata(), values[-1])
            assert first.get_color() == last.get_color() == COLORS[kind][0]
            assert first.get_linewidth() < last.get_linewidth()
        corners = row[0].collections[0].get_paths()[0].vertices[:, 1]
        assert corners.max() == pytest.approx((stats.mean + stats.spread)[-1].max())
        assert corners.min() == pytest.approx((stats.mean - stats.spread)[-1].min())
        assert row[3].get_yscale() == "log"
    for top, bottom in axes.T:
        assert (top.get_xlim(), top.get_ylim()) == (bottom.get_xlim(), bottom.get_ylim()), "a pair shares its axes"


def test_bars(figures):
    groups = {"plain": [0.25, 0.35, 0.3], "normalized": [0.6, 0.7]}
    plots.bars(groups, kinds=[WITHOUT, WITH], ylabel="accuracy", slug=SLUG, reference=(0.1, "chance"))
    (ax,) = figures[0].axes
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.3, 0.65])
    assert [mcolors.to_hex(bar.get_facecolor()) for bar in ax.patches] == [
        COLORS[k][0].lower() for k in (WITHOUT, WITH)
    ]
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [dot.get_ydata().tolist() for dot in dots] == list(groups.values())
    assert texts(figures[0]) == ["30%", "65%", "chance"]
    (reference,) = (line for line in ax.lines if line.get_marker() != "o")
    assert list(reference.get_ydata()) == [0.1, 0.1]
    assert [label.get_text() for label in ax.get_xticklabels()] == list(groups)


def test_bars_that_are_no_percentages(figures):
    plots.bars({"a": [12.3456]}, kinds=[WITH], ylabel="steps", slug=SLUG, percent=False)
    assert texts(figures[0]) == ["12.3"]


@pytest.mark.parametrize(("n", "columns", "rows"), [(7, 4, 2), (4, 4, 1)])
def test_a_grid_of_pictures(figures, n, columns, rows):
    plots.images(PICTURES[:n], list("abcdefg")[:n], slug=SLUG, columns=columns)
    axes = figures[0].axes
    assert len(axes) == rows * columns
    assert [ax.get_title() for ax in axes] == [*"abcdefg"[:n], *[""] * (rows * columns - n)]
    for ax, shown in zip(axes, PICTURES[:n], strict=False):
        np.testing.assert_array_equal(ax.images[0].get_array(), shown.numpy().transpose(1, 2, 0))
    assert all(not ax.images for ax in axes[n:])
    assert all(not ax.axison for ax in axes)


def test_a_matrix(drawn):
    figure, _, _ = drawn("matrix")
    (ax,) = figure.axes
    assert texts(figure) == ["0.00", "0.50", "0.00", "0.13", "2.00", "0.00"]
    assert {text.get_color() for text in ax.texts} == {INK}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["d", "e"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert ax.get_xlabel() == "v"


def test_a_matrix_with_other_limits(figures):
    plots.matrix(np.array([[0.5, 1.0]]), rows=["a"], columns=["b", "c"], label="v", slug=SLUG, limits=(0.5, 1))
    [image] = figures[0].axes[0].images
    assert image.get_clim() == pytest.approx((0.5, 1))


def test_every_number_of_a_matrix_is_read_on_its_field_in_both_themes():
    for ground, ink in zip(("#ffffff", "#111111"), THEMES["ink"], strict=True):
        for share in np.linspace(0, comparison.STRONGEST, 9):
            field = share * np.array(mcolors.to_rgb(BETWEEN[WITH])) + (1 - share) * np.array(mcolors.to_rgb(ground))
            assert contrast(ink, mcolors.to_hex(field)) >= 4.5


def test_cubes_show_the_marked_cells(figures):
    marked = np.zeros((2, 3, 4), dtype=bool)
    marked[0, 2, 0] = marked[1, 0, 0] = True  # a corner with three faces; one that is seen from above only
    marked[1, 1, 1] = True  # inside: not seen
    plots.cubes({"some": marked, "none": np.zeros((2, 3, 4))}, slug=SLUG)
    some, none = figures[0].axes
    assert [ax.get_title() for ax in (some, none)] == ["some", "none"]
    assert len(some.patches) == len(none.patches) == 3 * 4 + 3 * 2 + 2 * 4
    assert sum(patch.get_hatch() is not None for patch in some.patches) == 4
    assert not any(patch.get_hatch() for patch in none.patches)
    assert texts(figures[0]) == ["channels", "places", "pictures"] * 2


def test_intervals_lie_over_the_band_in_which_the_claim_would_hold(drawn):
    figure, _, _ = drawn("intervals")
    [ax] = figure.axes
    bands = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches]
    assert [bands[0][0], bands[1][1]] == [1, 0]
    assert (bands[0][1], bands[1][0]) == (ax.get_xlim()[1], ax.get_xlim()[0])
    drawn_from_to = [tuple(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2]
    assert {(-1, 2), (1.5, 2.5), (-2, 0), (0.5, 1.5)} <= set(drawn_from_to)


def test_empty_panels_of_cubes_are_left_blank(figures):
    plots.cubes({name: np.ones((1, 1, 1)) for name in "abcd"}, slug=SLUG)
    assert [len(ax.patches) for ax in figures[0].axes] == [3] * 4 + [0] * 2
    assert not any(ax.axison for ax in figures[0].axes)


def test_a_graph_has_a_box_a_node_and_an_arrow_an_edge(drawn):
    figure, _, _ = drawn("graph")
    texts = figure.axes[0].texts
    assert [text.get_text() for text in texts if text.get_text()] == ["x", "μ", "x - μ"]
    styles = [text.arrow_patch.get_linestyle() for text in texts if getattr(text, "arrow_patch", None)]
    assert len(styles) == 3
    assert styles.count("-") + styles.count("solid") == 1, "what goes through the statistics is dashed"


ONES, TWO = np.ones(4), {"a": np.eye(2), "b": np.eye(2)}
REFUSED = {
    "places": (lambda: plots.layer_lines({"t": [Line("a", WITH, ONES, np.arange(3))]}, ylabel="y"), "first dimension"),
    "kind": (lambda: plots.layer_lines({"t": [Line("a", "neither", ONES)]}, ylabel="y"), "neither"),
    "window": (lambda: plots.runs([Line("a", WITH, ONES)], ylabel="y"), "'a' has 4 steps, fewer than the window of 20"),
    "kinds": (lambda: plots.histograms(TWO, kinds=[WITH], rows=["r", "s"], xlabel="v"), "zip"),
    "rows": (lambda: plots.histograms(TWO, kinds=[WITH] * 2, rows=["r"], xlabel="v"), "zip"),
    "bars": (lambda: plots.bars({"a": [0.1], "b": [0.2]}, kinds=[WITH] * 3, ylabel="y"), "zip"),
    "labels": (lambda: plots.images(PICTURES, ["a"]), "given: 7 pictures, 1 labels"),
    "names": (lambda: plots.matrix(np.ones((1, 2)), rows=["a"], columns=["b"], label="v"), r"given: values \(1, 2\)"),
    "node": (lambda: plots.graph({"x": (0, 0, "x")}, edges=[("x", "y")]), "y"),
}


@pytest.mark.parametrize(("draw", "words"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_together_is_refused_and_leaves_no_figure_open(draw, words, displayed):
    with pytest.raises((ValueError, KeyError), match=words):
        draw()
    assert displayed == []
    assert plt.get_fignums() == []


# --- the visual language ---------------------------------------------------------------------------------------------

# Machado, Oliveira & Fernandes (2009), "A physiologically-based model for simulation of color vision deficiency",
# severity 1.0, on linear RGB
DEFICIENCIES = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "none": np.eye(3),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def lab(color: str, deficiency: str) -> np.ndarray:
    seen = np.clip(np.array(DEFICIENCIES[deficiency]) @ linear(color), 0, 1)
    t = TO_XYZ @ seen / TO_XYZ.sum(1)
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(a: str, b: str, deficiency: str) -> float:
    """ΔE 1976: 2 can just be told apart, side by side; 30 is another colour for everybody."""
    return float(np.linalg.norm(lab(a, deficiency) - lab(b, deficiency)))


def test_the_measure_of_differences_itself():
    assert lab("white", "none") == pytest.approx([100, 0, 0], abs=0.01)
    assert lab("#ff0000", "none") == pytest.approx([53.24, 80.09, 67.20], abs=0.1)
    assert difference("#d62728", "#7f7f00", "deuteranopia") < 30 < difference("#d62728", "#7f7f00", "none")


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_with_and_without_are_told_apart_by_every_eye(deficiency):
    assert difference(COLORS[WITHOUT][0], COLORS[WITH][0], deficiency) > 40


def test_each_kind_has_its_hue_in_every_shade():
    """Hues in degrees on the colour wheel, red at 0."""
    for kind, low, high in ((WITHOUT, 15, 45), (WITH, 195, 225), (OTHER, 305, 335)):
        for color in COLORS[kind]:
            hue, saturation, _ = mcolors.rgb_to_hsv(mcolors.to_rgb(color))
            assert low < 360 * hue < high
            assert saturation > 0.4


def test_kinds_are_told_apart_without_colour_too():
    three = (WITHOUT, WITH, OTHER)
    markers = [marker for kind in three for marker in MARKERS[kind]]
    assert len(set(markers)) == len(markers) == 3 * VARIANTS
    assert len({HATCHES[kind] for kind in three}) == 3
    assert [DASHES[kind].count("-") for kind in three] == [0, 1, 0]
    for kind in three:
        assert len(set(map(str, DASHES[kind]))) == VARIANTS, "no two arms of a kind differ by their shade alone"
    short = max(dashes[1][0] for dashes in DASHES[WITHOUT])
    assert short < min(dashes[1][0] for dashes in DASHES[WITH][1:]), "with: solid, or long strokes"


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_the_third_kind_is_told_from_the_others_by_every_eye(deficiency):
    for kind in (WITHOUT, WITH):
        assert difference(COLORS[OTHER][0], COLORS[kind][0], deficiency) > 20


def test_one_arm_has_one_look_and_two_arms_never_the_same():
    looks = {arm: look(arm) for arm in ARMS}
    assert all(kind in KINDS for kind, _ in ARMS.values())
    names = [arm for arm in ARMS if arm not in KINDS]
    assert len({ARMS[arm] for arm in names}) == len(names)
    assert looks["He"].kind == WITHOUT
    assert looks["group"].kind == OTHER


def test_unknown_arms_and_looks_are_refused():
    with pytest.raises(ValueError, match="no arm or kind 'neither'"):
        look("neither")
    with pytest.raises(ValueError, match="looks 0 to 4; given: 5"):
        Line("a", WITH, np.ones(3), shade=5)


def test_a_line_is_drawn_in_the_language_of_its_kind(figures, displayed):
    kinds = (WITHOUT, WITH, OTHER)
    lines = [
        Line(f"{kind} {k}", kind, np.full(4, 1 + k + 3.0 * i), shade=k) for i, kind in enumerate(kinds) for k in (0, 1)
    ]
    lines.append(Line("0.9ⁿ", THEORY, np.full(4, 9.0)))
    plots.layer_lines({"t": lines}, ylabel="y", slug=SLUG)
    (ax,) = figures[0].axes
    written = {text.get_text(): text.get_color() for text in ax.texts}
    pixels = picture(displayed)
    for line, drawn_line in zip(lines, curves(ax), strict=True):
        assert drawn_line.get_color() == written[line.label] == COLORS[line.kind][line.shade]
        assert drawn_line.get_marker() == MARKERS[line.kind][line.shade]
        assert drawn_line.is_dashed() == ((line.kind, line.shade) not in {(WITH, 0), (THEORY, 0)})
        assert (np.abs(pixels - mcolors.to_rgb(drawn_line.get_color())).max(2) < 0.02).sum() > 200, "on the picture"


@pytest.mark.parametrize("name", [name for name in THEMES if name not in ("paper", "grid")])
def test_text_stands_out_from_light_and_dark_grounds(name):
    light, dark = THEMES[name]
    bright, night = THEMES["paper"]
    for color, grounds in ((light, ("#ffffff", bright)), (dark, ("#111111", night, "#1e1e1e"))):
        assert all(contrast(color, ground) >= (7 if name == "ink" else 4.5) for ground in grounds)


# --- SVG: themes, names, steps ---------------------------------------------------------------------------------------


def svg_of(displayed) -> str:
    return displayed[0][0][0]["image/svg+xml"]


@pytest.mark.parametrize("name", [name for name in DRAW if name not in MOVING])
def test_the_svg_is_well_formed_and_follows_the_theme(name, drawn):
    _, displayed, _ = drawn(name)
    svg = svg_of(displayed)
    root = ElementTree.fromstring(svg)
    assert root.get("class") == "course-figure"
    assert root.get("role") == "img"
    assert "light-dark(#222222,#ececec)" in svg
    body = svg.replace(showing.theme(), "")
    assert not [key for key, (light, _) in THEMES.items() if light in body], (
        "no colour of the course is left as a number"
    )
    assert "<text" not in svg, "letters are outlines: no reader needs our typeface"
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert all(each.startswith(SLUG) for each in ids)
    wanted = {each[1:] for each in re.findall(r'href="(#[^"]+)"', svg)} | set(re.findall(r"url\(#([^)]+)\)", svg))
    assert wanted <= set(ids)


STEPS = {"layer_lines": 2, "signal": 2, "histograms": 1, "cockpit": 3, "bars": 1, "graph": 1, "cubes": 1,
         "one_channel": 3, "exchange": 3, "company": 2, "runs": 1}  # fmt: skip


@pytest.mark.parametrize(("name", "last"), STEPS.items())
def test_a_slide_can_reveal_a_figure_in_steps(name, last, drawn):
    _, displayed, _ = drawn(name)
    found = {int(number) for number in re.findall(r'class="step" data-step="(\d+)"', svg_of(displayed))}
    assert found == set(range(1, last + 1))


def test_steps_are_names_of_their_own():
    assert at_step(2) != at_step(2)


def test_the_typeface_has_every_letter_of_the_figures():
    from fontTools.ttLib import TTFont

    fonts = sorted(FONTS.glob("*.ttf"))
    assert len(fonts) == 5
    for path in fonts:
        font = TTFont(path)
        assert set(map(ord, "αβγδεημσλθφ∂‖√≤≥−→←·×½²ℓ∞≈Σ…–“”’")) <= set(font.getBestCmap()), path.name
        assert "Source" not in font["name"].getDebugName(1), "a name that the licence reserves"
    assert "SIL OPEN FONT LICENSE" in (FONTS / "OFL.txt").read_text("utf-8")


# --- what moves ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MOVING)
def test_what_moves_has_a_still_and_a_path_for_every_frame(name, drawn):
    _, displayed, _ = drawn(name)
    html = displayed[0][0][0]["text/html"]
    assert html.startswith(f'<div class="course-moving" id="{SLUG}-moving">')
    assert '<img alt="" src="data:image/png;base64,' in html, "where no script runs"
    data = json.loads(html[html.rindex(f'"{SLUG}-moving", ') + len(SLUG) + 11 : -len(");</script>")])
    assert len(data["captions"]) == STEPS_OF[name]
    for key, paths in data["frames"].items():
        assert f'id="{key}"' in html
        assert len(paths) == STEPS_OF[name]
        assert all(re.fullmatch(r"M[-\d. L]+", path) for path in paths)
    assert "nan" not in html.split("<script>")[1]


STEPS_OF = {"histogram_over_steps": STEPS_SEEN, "running_mean": 3}


def test_the_frames_of_a_running_mean_grow_batch_by_batch(drawn):
    _, displayed, _ = drawn("running_mean")
    html = displayed[0][0][0]["text/html"]
    for number in (0, 1):
        paths = re.search(rf'-moving-{number}":\[(.*?)\]', html)[1].split(",")
        assert [path.count("L") for path in paths] == [0, 1, 2]


def test_whole_numbers_have_no_halves_between_them_and_a_batch_size_is_read_as_one(figures):
    sizes = {"": [Line("a", WITH, [1, 2, 3], x=[2, 8, 32])]}
    plots.layer_lines(sizes, ylabel="y", xlabel="batch size", logx=True)
    plots.layer_lines({"": [Line("a", WITH, [1, 2, 3], x=[1, 2, 3])]}, ylabel="y", xlabel="step")
    ticks = [figure.axes[0].get_xticks() for figure in figures]
    assert ticks[0].tolist() == [2, 8, 32]
    assert [text.get_text() for text in figures[0].axes[0].get_xticklabels()] == ["2", "8", "32"]
    assert not (ticks[1] % 1).any()
