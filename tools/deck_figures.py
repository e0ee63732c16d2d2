"""A cell's figures as a slide shows them: drawings whose parts come one after another, pictures, moving ones."""

import re
from html import escape

__all__ = ["figure", "is_figure"]

KINDS = ("image/svg+xml", "image/png")
ROOT = re.compile(r"<svg\b(?P<words>[^>]*)>", re.DOTALL)
LOST = re.compile(r"""\s(?:width|height|role|aria-[\w-]+)\s*=\s*(?:"[^"]*"|'[^']*')""")
STEP = re.compile(r'<g\b(?=[^>]*\bclass="(?P<class>[^"]*\bstep\b[^"]*)")(?=[^>]*\bdata-step="(?P<step>\d+)")[^>]*>')


def is_figure(output):
    """Whether a cell's output is a figure."""
    data = output.get("data", {})
    return moves(output) or any(kind in data for kind in KINDS)


def moves(output):
    return bool(output.get("metadata", {}).get("moving")) and "text/html" in output.get("data", {})


def figure(output, name, first=0, whole=False):
    """The HTML of a figure, and how many fragments it has.

    Args:
        output: of a cell, for which `is_figure`.
        name: what it is called for those who do not see it: nothing that gives an answer away.
        first: the index of its first fragment.
        whole: whether it comes at once.
    """
    data, count = output.data, 0
    if moves(output):
        shown = re.sub(r'role="img"(?! aria)', f'role="img" aria-label="{escape(name)}"', data["text/html"], count=1)
    elif "image/svg+xml" in data:
        shown, count = drawing(data["image/svg+xml"], name, first, whole)
    else:
        shown = f'<img alt="{escape(name)}" src="data:image/png;base64,{data["image/png"].replace(chr(10), "")}">'
    return f"<figure>{shown}</figure>", count


def drawing(svg, name, first, whole):
    """An SVG to stand in a page: as large as its room, named, its steps as fragments."""
    start = ROOT.search(svg)
    words = LOST.sub("", start["words"])
    inside = svg[start.end() :]
    order = {step: i for i, step in enumerate(sorted({int(match["step"]) for match in STEP.finditer(inside)}))}
    if not whole:

        def later(match):
            shown = f'class="{match["class"]} fragment" data-fragment-index="{first + order[int(match["step"])]}"'
            return match[0].replace(f'class="{match["class"]}"', shown, 1)

        inside = STEP.sub(later, inside)
    return f'<svg{words} role="img" aria-label="{escape(name)}">{inside}', 0 if whole else len(order)
