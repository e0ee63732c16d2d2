"""Things to touch (utils/touch): writes them as files, measures what they show, draws their stills.

python -m tools.touch            # writes each as one file that a page can take as it is, into build/touch/
python -m tools.touch --record   # measures the networks of notebook 01 anew, into utils/touch/factors.json
python -m tools.touch --stills   # draws the stills anew, in an installed Chromium or Chrome
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from html import escape
from pathlib import Path

from tools.browser import chromium, executable
from tools.calling import call
from tools.files import write
from utils.touch import THINGS, TouchError
from utils.touch.made import FOLDER, built, colors, stylesheet
from utils.touch.recorded import as_script

__all__ = ["DEPTHS", "RECIPES", "build", "measured", "still"]

BUILT = Path(__file__).resolve().parent.parent / "build" / "touch"
DEPTHS, SEEDS, WIDTH = (5, 20, 50), 3, 32
RECIPES = {"default": "default", "He": "he", "0.2": 0.2}
SHOWN = {  # name → what is pressed before the still is drawn: it shows the answer, folded away
    "batch": ["some sink, some rise"],
    "factors": ["look"],
    "axes": ["24"],
    "explorer": ["0.3", "look"],
}
DRAWN = "new XMLSerializer().serializeToString(document.querySelector('.touch').shadowRoot.querySelector('svg'))"


def build(folder: Path) -> None:
    """All things and their stills, into a folder, for pages that embed them."""
    for name in THINGS:
        write(built(name), folder / f"{name}.js")
        write((FOLDER / f"{name}.svg").read_text("utf-8"), folder / f"{name}.svg")


# --- the networks of notebook 01


def measured(data) -> dict:
    """What notebook 01 records, relative to where each signal starts: recipe → depth → "forward" and "back", by seed.

    Forward is the spread across images, the first layer being 1; back the gradient's norm at each layer's output, the
    last layer being 1. "normalized" are the networks from He's start with a normalization in front of each ReLU.
    """
    import torch.nn.functional as F
    from torch import nn

    from utils.models import ConvNet
    from utils.stats import ActivationStats

    pictures, answers = next(iter(data.batches("train", 64)))
    kinds = {name: {"init": init} for name, init in RECIPES.items()}
    kinds["normalized"] = {"init": "he", "norm_layer": nn.BatchNorm2d, "norm_first": True}
    networks: dict = {name: {} for name in kinds}
    for name, options in kinds.items():
        for depth in DEPTHS:
            rows: dict[str, list] = {"forward": [], "back": []}
            for seed in range(SEEDS):
                network = ConvNet(depth=depth, widths=(WIDTH,), seed=seed, **options)
                with ActivationStats(network, network.layers, histogram=False) as stats:
                    F.cross_entropy(network(pictures), answers).backward()
                spread, gradient = stats.spread[0], stats.gradient_norm[0]
                rows["forward"].append(short(spread / spread[0]))
                rows["back"].append(short(gradient / gradient[-1]))
            networks[name][depth] = rows
    return {"data": "stand-in" if data.is_stand_in else "CIFAR-10", "seeds": SEEDS, "networks": networks}


def short(values: Iterable[float]) -> list[float]:
    """Three digits of each."""
    return [float(f"{value:.3g}") for value in values]


# --- the stills


def stills() -> dict[str, str]:
    """The stills, name → SVG, drawn in the browser that is installed.

    Raises:
        TouchError: there is none.
    """
    if not executable():
        raise TouchError("the stills need a Chromium or a Chrome, and playwright")
    with chromium() as browser:
        return {name: still(name, browser) for name in THINGS}


def still(name: str, browser) -> str:
    """The first figure of a thing, drawn by itself in this browser, as an SVG that follows the reader's theme."""
    style = f"svg{{color-scheme:light dark;font-size:16px;background:var(--paper);{colors()}}}"
    style += "".join(re.findall(r"(?<=\})svg[^{}]*\{[^}]*\}", stylesheet()))
    style = re.sub(r"\bsvg\b(?=[^{}]*\{)", "svg.still", style)  # where a still stands in a page, it is not the only SVG
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.set_content(f'<div class="touch" data-touch="{name}"></div><script>{built(name)}</script>')
    for text in SHOWN[name]:
        page.locator(f"button:text-is('{text}'), label:text-is('{text}')").first.click()
    svg = page.evaluate(DRAWN)
    page.close()
    svg = re.sub(r' (?:tabindex|data-[a-z]+|role|aria-[a-z]+)="[^"]*"', "", svg)
    svg = re.sub(r'<path class="hollow plain"[^>]*/>', "", svg)  # the guess, which nobody made
    svg = svg.replace("<svg ", f'<svg class="still" role="img" aria-label="{escape(THINGS[name])}" ', 1)
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
    call("touch", main)
