"""Things to touch: puts each together from docs/touch, its parts, its data and its still, and embeds it in a page.

python -m tools.touch            # writes each as one file that a page can take as it is, into build/touch/
python -m tools.touch --record   # measures the networks of notebook 01 anew, into docs/touch/factors.json
python -m tools.touch --stills   # draws the stills anew, in an installed Chromium or Chrome
"""

from __future__ import annotations

import json
import re
import sys
from html import escape
from pathlib import Path

from tools.files import write
from tools.sheet import browser
from tools.touch_data import TouchError, as_script, measured, records
from utils import study
from utils.plots.style import THEMES

__all__ = ["THINGS", "build", "built", "embed", "still", "stylesheet"]

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "touch"
BUILT = ROOT / "build" / "touch"
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
SHOWN = {  # name → what is pressed before the still is drawn: it shows the answer, folded away
    "batch": ["some sink, some rise"],
    "factors": ["look"],
    "axes": ["24"],
    "explorer": ["0.3", "look"],
}
HERE = "// HERE: touch.css, parts.js and the data"
DRAWN = "new XMLSerializer().serializeToString(document.querySelector('.touch').shadowRoot.querySelector('svg'))"


# --- the files


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
        raise TouchError(f"docs/touch/{name}.js needs the line {HERE}")
    lines = [f"const CSS = {as_script(stylesheet())};"]
    lines += [] if data is None else [f"const DATA = {as_script(data)};"]
    return source.replace(
        HERE, "\n".join([*lines, (FOLDER / "parts.js").read_text("utf-8").partition("*/\n")[2].strip()])
    )


def build(folder: Path) -> None:
    """All things and their stills, into a folder, for pages that embed them."""
    for name in THINGS:
        write(built(name), folder / f"{name}.js")
        write((FOLDER / f"{name}.svg").read_text("utf-8"), folder / f"{name}.svg")


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
        f"<details><summary>A figure to touch, which needs a script. Still, with its answer</summary>{still}</details>"
    )
    return f'<div class="touch" data-touch="{name}">{folded}</div>\n{script}'


# --- the stills


def stills() -> dict[str, str]:
    """The stills, name → SVG, drawn in the browser that is installed.

    Raises:
        TouchError: there is none.
    """
    if not browser():
        raise TouchError("the stills need a Chromium or a Chrome")
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--disable-background-networking"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser(), args=options)
        found = {name: still(name, opened) for name in THINGS}
        opened.close()
    return found


def still(name: str, opened, width: int = 1100) -> str:
    """The first figure of a thing, drawn by itself in this browser, as an SVG that follows the reader's theme."""
    style = f"svg{{color-scheme:light dark;font-size:16px;background:var(--paper);{colors()}}}"
    style += "".join(re.findall(r"(?<=\})svg[^{}]*\{[^}]*\}", stylesheet()))
    page = opened.new_page(viewport={"width": width, "height": 900})
    page.set_content(f'<div class="touch" data-touch="{name}"></div><script>{built(name)}</script>')
    for text in SHOWN[name]:
        page.locator(f"button:text-is('{text}'), label:text-is('{text}')").first.click()
    svg = page.evaluate(DRAWN)
    page.close()
    svg = re.sub(r' (?:tabindex|data-[a-z]+|role|aria-[a-z]+)="[^"]*"', "", svg)
    svg = re.sub(r'<path class="hollow plain"[^>]*/>', "", svg)  # the guess, which nobody made
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(THINGS[name])}" ', 1)
    return re.sub(r"(<svg[^>]*>)", lambda tag: f"{tag[0]}<style>{style}</style>", svg, count=1) + "\n"


def main(arguments: list[str]) -> int:
    if unknown := set(arguments) - {"--record", "--stills"}:
        print(f"[touch] what is {' '.join(sorted(unknown))}? There are --record and --stills.", file=sys.stderr)
        return 1
    try:
        if "--record" in arguments:
            from utils.data import load

            write(as_script(measured(load())) + "\n", FOLDER / "factors.json")
        build(BUILT)
        print(f"[touch] {', '.join(THINGS)}: written to build/touch/, for a page to embed")
        if "--stills" in arguments:
            for name, svg in stills().items():
                write(svg, FOLDER / f"{name}.svg")
    except (TouchError, ValueError) as error:
        print(f"[touch] {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
