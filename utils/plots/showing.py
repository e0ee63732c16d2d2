"""Displays a finished figure: as an SVG that follows the reader's theme, and as a PNG where no SVG is shown.

In the SVG every colour of the course is a CSS property with a value for light and one for dark grounds, letters are
outlines of the course's own typeface, and what a slide reveals one after another are groups with `data-step`.
"""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING

from utils.lessons import alternative_text
from utils.plots.style import THEMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["hand_over", "pictures", "show", "theme"]

PIXELS = 60  # of a notebook's column, for an inch
# JupyterLab shows an SVG as a picture, which follows the colour scheme of the element that it stands in, and leaves it
# as wide as it is.
FOLLOW = (
    "<style>.jp-RenderedSVG img {max-width: 100%; height: auto} "
    '[data-jp-theme-light="false"] .jp-RenderedSVG img {color-scheme: dark}</style>'
)
NAMES = re.compile(r'(\bid="|href="#|url\(#)')
STEP = re.compile(r'<g id="step-(\d+)-\d+"')


def show(figure: Figure, slug: str | None = None) -> None:
    """Display a finished figure, and close it.

    The alternative text that `lessons/` has under the figure's slug goes into the picture's metadata (for pages made
    from the notebook) and stands folded under it: it says what is to be guessed.

    Raises:
        ValueError: no lesson has a figure with this slug.
    """
    from matplotlib import pyplot as plt

    try:
        alt = alternative_text(slug) if slug else ""
        bundle = pictures(figure, slug or "figure")
    finally:
        plt.close(figure)
    hand_over(figure, {**bundle, "text/plain": "<figure>"}, alt, FOLLOW, figure=slug or "")


def hand_over(drawn: Figure, bundle: dict, alt: str, style: str = "", **metadata: object) -> None:
    """Display a figure's MIME bundle, and under it, folded away, what it shows in words."""
    from IPython.display import display

    width = round(drawn.get_figwidth() * PIXELS)
    display(bundle, metadata={"image/png": {"alt": alt, "width": width}, **metadata}, raw=True)
    if alt:
        words = f"<details><summary>The figure in words</summary>{escape(alt)}</details>{style}"
        display({"text/html": words, "text/plain": alt}, raw=True)


def pictures(figure: Figure, name: str) -> dict[str, str | bytes]:
    """The figure as a MIME bundle, SVG and PNG; `name` makes the names in it its own."""
    png, svg = io.BytesIO(), io.StringIO()
    figure.savefig(png, format="png", dpi=80, metadata={"Software": None}, facecolor="white")
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return {
        "image/svg+xml": themed(svg.getvalue(), name, figure.get_figwidth()),
        "image/png": in_few_colors(png.getvalue()),
    }


def in_few_colors(png: bytes) -> bytes:
    """The picture in 256 colours, at a third of the size."""
    from PIL import Image

    made = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(made, "png", optimize=True)
    return made.getvalue()


def shortened(svg: str) -> str:
    """Without comments and empty space, and with two digits behind the point: a hundredth of a pixel is not seen.

    Numbers below one, which may be scales, keep four.
    """
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(?<![\w.])(-?[1-9]\d*\.\d\d)\d+", r"\1", svg)
    svg = re.sub(r"(?<![\w.])(-?0\.\d{4})\d+", r"\1", svg)
    return re.sub(r"\s*\n\s*", "\n", svg)


def themed(svg: str, name: str, width: float) -> str:
    """matplotlib's SVG with the course's colours as CSS properties, names of its own, and steps for slides."""
    svg = shortened(svg[svg.index("<svg") :])
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = STEP.sub(r'<g class="step" data-step="\1"', svg)
    svg = NAMES.sub(rf"\g<1>{name}-", svg)
    for key, (light, _) in THEMES.items():
        svg = svg.replace(light, f"var(--{key})")
    height = float(re.search(r'height="([\d.]+)pt"', svg)[1]) / 72
    size = f'width="{round(width * PIXELS)}" height="{round(height * PIXELS)}"'
    svg = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"|height="[\d.]+pt"(.*?)width="[\d.]+pt"', size, svg, count=1)
    svg = svg.replace("<svg", '<svg class="course-figure" role="img"', 1)
    return svg.replace("<defs>", f"<style>{theme()}</style>\n<defs>", 1)


def theme() -> str:
    """The properties on a light ground and on a dark one, where the picture has no ground of its own."""
    values = {**THEMES, "paper": ("#ffffff", "transparent")}
    pairs = "".join(f"--{key}:light-dark({light},{dark});" for key, (light, dark) in values.items())
    return f".course-figure{{color-scheme:light dark;{pairs}}}.course-figure image{{image-rendering:pixelated}}"
