"""Reads what the slides of a notebook say: `lessons/nbNN/slides.md`, keyed by the ids of the notebook's cells.

    <!-- cell 04, show both, lines 1-3 -->

    ## What the slide says, in Markdown

    Note: What to ask, and what to wait for.

A section holds the slide's text, of a Markdown cell instead of its own text, of a code cell above it; and a last
paragraph `Note: …`, the remark for the lecturer. Either may be missing. Behind the id may stand, for a code cell:

    show     what the slide shows of it: code, output, both or none. Without it: the output, if it has one, or else the
             code
    lines    first-last, counted from 1: only this part of the code
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["DeckError", "SlideText", "parse", "read"]

SHOW = ("both", "code", "none", "output")
SECTION = re.compile(r"(?m)^<!-- cell (?P<cell>[\w-]+)(?P<words>[^>]*) -->$")
NOTE = re.compile(r"(?:\A|\n\s*\n)Note: (?P<remark>.+)\Z", re.DOTALL)


class DeckError(ValueError):
    """Something about a slide that means nothing, or does not fit; its text says where, and what is possible."""


@dataclass(frozen=True)
class SlideText:
    """What stands about one cell.

    Attributes:
        text: what the slide says; empty if nothing of its own.
        remark: for the lecturer, above all else in the speaker's view.
        show: one of `SHOW`; empty if it is left to the cell.
        lines: first and last line of the code that is shown, counted from 1; None for all of it.
    """

    text: str = ""
    remark: str = ""
    show: str = ""
    lines: tuple[int, int] | None = None


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
            if name not in cells:
                raise DeckError(f"cell {name}: the notebook has no cell of this id; it has: {', '.join(cells)}")
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
    for name, words, body in zip(sections[::3], sections[1::3], sections[2::3], strict=True):
        if name in found:
            raise DeckError(f"cell {name}: it has two sections: make one of them")
        body = body.strip()
        note = NOTE.search(body)
        shown = options(name, words)
        if not (body or shown):
            raise DeckError(f"cell {name}: nothing is said about it: remove the section")
        remark = note["remark"].strip() if note else ""
        found[name] = SlideText(text=body[: note.start()].strip() if note else body, remark=remark, **shown)
    return found


def options(name: str, words: str) -> dict[str, Any]:
    """What stands behind a cell's id, such as ", show both, lines 1-9"."""
    found: dict[str, Any] = {}
    for part in filter(None, map(str.strip, words.split(","))):
        if match := re.fullmatch(r"lines (\d+)-(\d+)", part):
            found["lines"] = (int(match[1]), int(match[2]))
        elif (match := re.fullmatch(r"show (\w+)", part)) and match[1] in SHOW:
            found["show"] = match[1]
        else:
            raise DeckError(f'cell {name}: "{part}" means nothing: write show {"|".join(SHOW)}, or lines 1-9')
    return found


def require_fit(name: str, said: SlideText, cell: Any) -> None:
    """That a section's `show` and `lines` mean something for its cell."""
    if cell.cell_type != "code" and (said.show or said.lines):
        raise DeckError(f"cell {name}: show and lines are for code, and this is a Markdown cell")
    last = len(cell.source.splitlines())
    if said.lines and not 1 <= said.lines[0] <= said.lines[1] <= last:
        raise DeckError(f"cell {name}: lines {said.lines[0]}-{said.lines[1]}: the cell has the lines 1-{last}")
