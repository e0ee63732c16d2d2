"""Cards for the tests of claims: what a call of `claim` displays, caught before it reaches Jupyter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

from utils.claims import ORIGIN, claim

BASE = {
    "sentence": "It takes longer without.",
    "source": ORIGIN,
    "measured": {"without": [50, 60, 70, 65, 55], "with": [10, 20, 30, 25, 15]},
    "unit": "steps to 40 %",
    "finding": "Without, it takes more steps.",
    "condition": lambda m: m["without"].min() > m["with"].max(),
    "control": ("the arms exchanged", {"without": "with", "with": "without"}),
    "margin": "Five seeds on each data set; the ranges never meet.",
    "verdict": "holds",
}


@contextmanager
def displayed() -> Iterator[list]:
    """The outputs that are displayed inside, as a notebook stores them."""
    outputs: list = []

    def display(*bundles, metadata=None, raw=False):
        assert raw, "not a bundle, but an object of which IPython would make one"
        outputs.extend(new_output("display_data", data=bundle, metadata=metadata or {}) for bundle in bundles)

    with patch("IPython.display.display", display):
        yield outputs


def call(number: str = "7.1", **changes) -> None:
    """A claim that holds, or one changed; its slug is its number, which no lesson has."""
    with patch("utils.claims.trial.number_of", lambda kind, slug: slug):
        claim(number, **{**BASE, **changes})


def card(number: str = "7.1", **changes):
    """The one output of such a claim."""
    with displayed() as outputs:
        call(number, **changes)
    [output] = outputs
    return output


def write_notebook(path: Path, *outputs) -> Path:
    """A notebook with one cell for each output."""
    cells = [new_code_cell("", outputs=[output]) for output in outputs]
    nbformat.write(new_notebook(cells=cells), path)
    return path
