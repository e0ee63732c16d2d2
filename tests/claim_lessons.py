"""A small course for the tests of claims, in a temporary folder: lesson 07 with words and, if asked for, records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from nbformat.v4 import new_output

from utils import lessons
from utils.claims import records, words

REFERENCES = """[
{"id": "ioffe2015", "type": "article", "author": [{"family": "Ioffe"}, {"family": "Szegedy"}],
 "issued": {"date-parts": [[2015]]}, "title": "Batch Normalization", "DOI": "10.1/x"},
{"id": "page", "type": "webpage", "author": [{"literal": "The page"}], "title": "What it is for"}
]"""
HEAD = """
[slower]
sentence = "It takes longer without."
said = "paraphrase"
source = "ioffe2015"
place = "section 3.1"
protocol = "They trained for days."
kind = "measured"
unit = "steps to 40 %"
finding = "Without, {gap} more: {arm:without} steps, about {gap:value}."
"""
GAP = """
[slower.estimands.gap]
what = "steps without, minus steps with"
arms = { without = 1, with = -1 }
holds = [10, inf]
why = "ten steps are a second"
"""
CAVEAT = """
[slower.caveats.steady]
what = "steps with"
arms = { with = 1 }
holds = [25, inf]
why = "as many as one sees"
"""
FACT = """
[exists]
sentence = "There is one above three."
said = "ours"
kind = "fact"
unit = "size"
finding = "There is: {witness}."

[exists.estimands.witness]
what = "the largest"
arms = { sizes = 1 }
scale = "some"
holds = [3, inf]
"""
OPEN = """
[nobody-knows]
sentence = "Nobody knows."
said = "ours"
kind = "open"
decides = "A longer run."
"""
ARMS = {"without": [50, 60, 70, 65, 55], "with": [10, 20, 30, 25, 15]}
BOTH = ("CIFAR-10", "stand-in")


class Course:
    """Lesson 07 of the course in a folder: `write` its claims, `record` what was measured of them."""

    def __init__(self, folder: Path):
        self.lesson = folder / "lessons" / "nb07"
        self.lesson.mkdir(parents=True)
        (folder / "notebooks").mkdir()
        (folder / "notebooks" / "07_is_it.ipynb").write_text("{}")
        (folder / "lessons" / "references.json").write_text(REFERENCES, "utf-8")
        self.recorded: dict = {}
        self.write(HEAD + GAP)

    def write(self, text: str) -> None:
        (self.lesson / "claims.toml").write_text(text, "utf-8")
        forget()

    def record(self, slug: str = "slower", arms=ARMS, sets=BOTH) -> None:
        kept = {arm: records.packed(np.atleast_1d(np.asarray(row, dtype=float))) for arm, row in arms.items()}
        self.recorded[slug] = self.recorded.get(slug, {}) | dict.fromkeys(sets, kept)
        records.save("07", self.recorded)


def forget() -> None:
    """What was read of lessons before."""
    for cached in (lessons.table, words.words_of, words.references, records.load):
        cached.cache_clear()


@pytest.fixture
def course(tmp_path, monkeypatch) -> Iterator[Course]:
    monkeypatch.setattr(lessons, "LESSONS", tmp_path / "lessons")
    yield Course(tmp_path)
    monkeypatch.undo()
    forget()


@contextmanager
def displayed() -> Iterator[list]:
    """The outputs that are displayed inside, as a notebook stores them."""
    outputs: list = []

    def display(*bundles, metadata=None, raw=False):
        assert raw, "not a bundle, but an object of which IPython would make one"
        outputs.extend(new_output("display_data", data=bundle, metadata=metadata or {}) for bundle in bundles)

    with patch("IPython.display.display", display):
        yield outputs
