"""Every figure of the course, in one visual language (`style`): each function draws one, and shows it.

A figure's alternative text stands in `lessons/`, under its slug. It is displayed as an SVG that follows the reader's
theme, with a PNG beside it (`showing`).
"""

from utils.plots.blocks import cubes, one_channel
from utils.plots.comparison import bars, intervals, matrix
from utils.plots.diagrams import exchange, graph, network
from utils.plots.distributions import histograms, signal
from utils.plots.lines import Line, layer_lines, runs
from utils.plots.moving import histogram_over_steps, running_mean
from utils.plots.pictures import company, images
from utils.plots.while_training import cockpit

__all__ = [
    "Line",
    "bars",
    "cockpit",
    "company",
    "cubes",
    "exchange",
    "graph",
    "histogram_over_steps",
    "histograms",
    "images",
    "intervals",
    "layer_lines",
    "matrix",
    "network",
    "one_channel",
    "running_mean",
    "runs",
    "signal",
]
