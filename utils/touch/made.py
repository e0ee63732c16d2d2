"""Things to touch: each is put together from its source, what all of them share, its data and its still.

`python -m tools.touch` records, draws and writes; here is what a page, a deck and a notebook need.
"""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

from utils import study
from utils.plots.style import THEMES
from utils.touch.recorded import TouchError, as_script, records

__all__ = ["FOLDER", "THINGS", "built", "colors", "embed", "stylesheet", "touch", "touched"]

FOLDER = Path(__file__).resolve().parent
THINGS = {  # name → what its still shows
    "batch": "Eight values of one channel with their mean and the band of one standard deviation; what comes out of "
    "the normalization; and how much each of the eight moves the fifth output, some of them up and some down.",
    "factors": "On a logarithmic axis over twenty layers, the spread across images of recorded networks: with σ = 0.2 "
    "it grows a million times, from He’s start it sinks a little, from the default start to less than a ten-millionth.",
    "axes": "Four pictures as slabs of six channels by four places. With layer normalization all 24 cells of one "
    "picture share a mean; they are hatched.",
    "explorer": "A recorded run of 20 normalized layers at a rate of 0.3: accuracy on held-out pictures, loss and norm "
    "of all weights over ten epochs.",
}
HERE = "// HERE: touch.css, parts.js and the data"


def colors() -> str:
    """The course's colours as CSS properties, each for light and for dark grounds."""
    return "".join(f"--{name}:light-dark({light},{dark});" for name, (light, dark) in THEMES.items())


def stylesheet() -> str:
    """touch.css with the course's colours, light and dark, on one line."""
    css = re.sub(r"/\*.*?\*/", "", (FOLDER / "touch.css").read_text("utf-8"), flags=re.DOTALL)
    return re.sub(r"\s*([{};:,>])\s*", r"\1", f":host{{{colors()}}}{css}".replace("\n", " ")).strip()


def data_of(name: str) -> object:
    """What a thing shows that it does not compute."""
    if name == "factors":
        return json.loads((FOLDER / "factors.json").read_text("utf-8"))
    return records(study.read_all(), study.read_plan()) if name == "explorer" else None


def built(name: str) -> str:
    """A thing's one file, which a page can take as it is.

    Raises:
        TouchError: its source does not say where the parts go.
    """
    source, data = (FOLDER / f"{name}.js").read_text("utf-8"), data_of(name)
    if source.count(HERE) != 1:
        raise TouchError(f"{name}.js needs the line {HERE}")
    lines = [f"const CSS = {as_script(stylesheet())};"]
    lines += [] if data is None else [f"const DATA = {as_script(data)};"]
    return source.replace(
        HERE, "\n".join([*lines, (FOLDER / "parts.js").read_text("utf-8").partition("*/\n")[2].strip()])
    )


def embed(name: str, folder: str = "touch", *, inline: bool = False) -> str:
    """The HTML by which a page embeds a thing: its place, in it the still for those without scripts, and the script.

    Args:
        name: of the thing.
        folder: where the page finds what `build` wrote.
        inline: everything in this text, for a notebook or a deck that is one file.

    Raises:
        KeyError: there is no such thing.
    """
    if inline:
        still = (FOLDER / f"{name}.svg").read_text("utf-8").strip()
        script = f"<script>\n{built(name)}</script>"
    else:
        still = f'<img src="{escape(folder)}/{name}.svg" alt="{escape(THINGS[name])}" style="max-width: 100%">'
        script = f'<script src="{escape(folder)}/{name}.js"></script>'
    folded = (
        f"<details><summary>A figure to touch, which needs a script. A still with its answer</summary>{still}</details>"
    )
    return f'<div class="touch" data-touch="{name}">{folded}</div>\n{script}'


def touched(source: str) -> str | None:
    """The name of the thing that a cell's source shows, if it does nothing else."""
    found = re.fullmatch(r'touch\("(\w+)"\)', source.strip())
    return found[1] if found else None


def touch(name: str) -> None:
    """Display a thing to touch, in a notebook: "batch", "factors", "axes" or "explorer".

    Raises:
        KeyError: there is no such thing; the text names those that there are.
    """
    from IPython.display import display

    if name not in THINGS:
        raise KeyError(f"{name!r} cannot be touched; there are {', '.join(THINGS)}")
    display({"text/html": embed(name, inline=True), "text/plain": THINGS[name]}, raw=True)
