"""Reads what the slides of a notebook say: `lessons/nbNN/slides.md`, keyed by the ids of the notebook's cells.

    <!-- cell 04, show both, lines 1-9, build 3-4 6-9 -->

    ## What the slide says, in Markdown

    > **Predict.** A question, with a scale to point at.

    Scale: 0 % … 50 % … 100 %

    Note: What to ask, and what to wait for.

A section holds the slide's text, of a Markdown cell instead of its own text, of a code cell above it; scales; and a
last paragraph `Note: …`, the remark for the lecturer. Any of them may be missing.

A line `Scale: 0 … 5 … 10` is a number line with these marks, at equal distances; `Scale: shrinks | holds | grows` are
answers to choose from. `Scale (mean): …` gives it a name: there may be two. A slide that asks for a guess, by a scale
or by `> **Predict.** …`, is drawn as a question, and what is pointed at shows again, small, on the next slide.

Behind the id may stand, for a code cell:

    show     what the slide shows of it: code, output, both or none. Without it: the output, if it has one, or else the
             code
    lines    first-last, counted from 1: only this part of the code
    build    first-last first-last …: these lines come one block after another; the others are there from the start
    hero     its figure stands on the title as well. It must not show what is to be guessed

for a Markdown cell:

    build    its list comes item by item; without a list, its paragraphs come one after another

and for any cell that is on a slide, what its speaker's view takes over from the guide, docs/lecturers.md (what no cell
takes is told on the title):

    ask                 what to ask
    misunderstanding    2: the second one to expect, and what to answer

`<!-- last, figure 08 -->` is the last slide: one sentence, and the figure of a cell, or none.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["LAST", "DeckError", "Scale", "SlideText", "parse", "read"]

LAST = "last"  # the key of the last slide, among the ids of cells
SHOW = ("both", "code", "none", "output")
SECTION = re.compile(r"(?m)^<!-- (?P<cell>cell [\w-]+|last)(?P<words>[^>]*) -->$")
NOTE = re.compile(r"(?:\A|\n\s*\n)Note: (?P<remark>.+)\Z", re.DOTALL)
SCALE = re.compile(r"(?m)^Scale(?: \((?P<name>[^)]+)\))?: *(?P<marks>.*)$\n*")
POSSIBLE = f"show {'|'.join(SHOW)}, lines 1-9, build, build 1-3 4-6, hero, ask, misunderstanding 1"


class DeckError(ValueError):
    """Something about a slide that means nothing, or does not fit; its text says where, and what is possible."""


@dataclass(frozen=True)
class Scale:
    """What a guess is pointed at on.

    Attributes:
        marks: the marks of a number line, from its left end to its right; or the answers to choose from.
        choice: whether they are answers.
        name: what is guessed, if the slide asks for two things.
    """

    marks: tuple[str, ...]
    choice: bool = False
    name: str = ""


@dataclass(frozen=True)
class SlideText:
    """What stands about one cell.

    Attributes:
        text: what the slide says; empty if nothing of its own.
        remark: for the lecturer, above all else in the speaker's view.
        show: one of `SHOW`; empty if it is left to the cell.
        lines: first and last line of the code that is shown, counted from 1; None for all of it.
        build: whether it comes part by part.
        blocks: the lines of its code that come one block after another, counted as `lines`.
        hero: whether its figure stands on the title as well.
        guide: what is taken over from the guide: "ask", or "misunderstanding 1" and so on.
        scales: what the guess is pointed at on.
        figure: the cell whose figure is shown on the last slide; empty if none.
    """

    text: str = ""
    remark: str = ""
    show: str = ""
    lines: tuple[int, int] | None = None
    build: bool = False
    blocks: tuple[tuple[int, int], ...] = ()
    hero: bool = False
    guide: tuple[str, ...] = ()
    scales: tuple[Scale, ...] = ()
    figure: str = ""


def read(path: Path, notebook: Any) -> Mapping[str, SlideText]:
    """What is said about the cells of the notebook at a path, id → `SlideText`; nothing if it has no such file.

    Raises:
        DeckError: a section that cannot be read, or does not fit its cell; the text says which, and what is possible.
    """
    path = path.parent.parent / "lessons" / f"nb{path.name[:2]}" / "slides.md"
    if not path.exists():
        return {}
    try:
        found = parse(path.read_text(encoding="utf-8"))
        cells = {cell.id: cell for cell in notebook.cells}
        for name, said in found.items():
            for cell in filter(None, (said.figure, name if name != LAST else "")):
                if cell not in cells:
                    raise DeckError(f"cell {cell}: the notebook has no cell of this id; it has: {', '.join(cells)}")
            if name != LAST:
                require_fit(name, said, cells[name])
    except DeckError as problem:
        raise DeckError(f"{path.parent.name}/{path.name}: {problem}") from None
    return found


def parse(text: str) -> dict[str, SlideText]:
    """The sections of such a file, id → `SlideText`; errors as in `read`."""
    before, *sections = SECTION.split(text)
    if before.strip():
        raise DeckError(f'"{before.strip()[:40]}" stands under no cell: begin with <!-- cell ID -->')
    found: dict[str, SlideText] = {}
    for place, words, body in zip(sections[::3], sections[1::3], sections[2::3], strict=True):
        name = place.removeprefix("cell ")
        if name in found:
            raise DeckError(f"{place}: it has two sections: merge them")
        shown = options(place, words)
        if not (body.strip() or shown):
            raise DeckError(f"{place}: nothing is said about it: remove the section")
        found[name] = SlideText(**shown, **said(place, body.strip()))
    return found


def said(place: str, body: str) -> dict[str, Any]:
    """A section's text, its scales and its remark."""
    note = NOTE.search(body)
    remark = note["remark"].strip() if note else ""
    body = body[: note.start()].strip() if note else body
    scales = tuple(scale(place, match["name"] or "", match["marks"]) for match in SCALE.finditer(body))
    return {"text": SCALE.sub("", body).strip(), "remark": remark, "scales": scales}


def scale(place: str, name: str, marks: str) -> Scale:
    """A scale as it is written: `0 … 5 … 10`, or `shrinks | holds | grows`."""
    choice = "|" in marks
    parts = tuple(part.strip() for part in marks.split("|" if choice else "…"))
    if len(parts) < 2 or not all(parts):
        raise DeckError(f'{place}: "Scale: {marks}" has no two marks: write Scale: 0 … 5 … 10, or Scale: this | that')
    return Scale(parts, choice, name)


def options(place: str, words: str) -> dict[str, Any]:
    """What stands behind a cell's id, such as ", show both, lines 1-9"."""
    found: dict[str, Any] = {}
    for part in filter(None, map(str.strip, words.split(","))):
        if place == LAST:
            if not (match := re.fullmatch(r"figure ([\w-]+)", part)):
                raise DeckError(f'last: "{part}" means nothing: write figure, and the id of a cell')
            found["figure"] = match[1]
        elif match := re.fullmatch(r"lines (\d+)-(\d+)", part):
            found["lines"] = (int(match[1]), int(match[2]))
        elif (match := re.fullmatch(r"show (\w+)", part)) and match[1] in SHOW:
            found["show"] = match[1]
        elif match := re.fullmatch(r"build((?: \d+-\d+)*)", part):
            found["build"] = True
            found["blocks"] = tuple((int(a), int(b)) for a, b in (each.split("-") for each in match[1].split()))
        elif part == "hero":
            found["hero"] = True
        elif re.fullmatch(r"ask|misunderstanding \d", part):
            found["guide"] = (*found.get("guide", ()), part)
        else:
            raise DeckError(f'{place}: "{part}" means nothing: write {POSSIBLE}')
    return found


def require_fit(name: str, said: SlideText, cell: Any) -> None:
    """That a section's options mean something for its cell."""
    if cell.cell_type != "code":
        if said.show or said.lines:
            raise DeckError(f"cell {name}: show and lines are for code, and this is a Markdown cell")
        if said.hero or said.blocks:
            raise DeckError(f"cell {name}: hero and lines to build are for code, and this is a Markdown cell")
        return
    first, last = 1, len(cell.source.splitlines())
    if said.lines and not 1 <= said.lines[0] <= said.lines[1] <= last:
        raise DeckError(f"cell {name}: lines {said.lines[0]}-{said.lines[1]}: the cell has the lines 1-{last}")
    if said.build and (said.show not in {"code", "both"} or not said.blocks):
        raise DeckError(f"cell {name}: build needs show code or show both, and lines: show code, build 1-3 4-6")
    first, last = said.lines or (first, last)
    for begin, end in said.blocks:
        if not first <= begin <= end <= last:
            raise DeckError(
                f"cell {name}: build {begin}-{end}: its slide shows the lines {first}-{last}, in this order"
            )
        first = end + 1
