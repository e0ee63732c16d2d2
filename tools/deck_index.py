"""The page that lists the decks: each with its first picture, its question, its minutes and how many slides it has."""

import re
from html import escape
from pathlib import Path

import nbformat

from tools import plans
from tools.decks import COURSE, MINUTES, TITLE
from tools.run import select

__all__ = ["page"]

TEMPLATE = Path(__file__).resolve().parent / "deck" / "index.html.j2"
PICTURE = re.compile(r'<div class="picture">(.*?)</div>\s*<div class="foot">', re.DOTALL)
KEYS = (
    ("→", "the next slide, or what comes next on it"),
    ("←", "back"),
    ("S", "the speaker's view, with notes and a clock"),
    ("O", "all slides"),
    ("F", "full screen"),
    ("B", "black"),
    ("?", "every key"),
)


def page(root, folder, faces):
    """The HTML of the index.

    Args:
        root: of the project.
        folder: with the decks that have been written.
        faces: the CSS that names the typefaces.
    """
    from jinja2 import Environment, FileSystemLoader  # here: --help needs none of it

    environment = Environment(loader=FileSystemLoader(TEMPLATE.parent), autoescape=False)
    return environment.get_template(TEMPLATE.name).render(
        course=escape(COURSE), decks=decks(root, folder), plans=merged(root, folder), keys=KEYS, fonts=faces
    )


def decks(root, folder):
    """The cards of the notebooks' decks."""
    cards = []
    for path in select(root / "notebooks", []):
        file = folder / f"{path.name[:2]}.html"
        if not file.exists():
            continue
        first = nbformat.read(path, as_version=4).cells[0].source
        title, minutes = TITLE.match(first), MINUTES.search(first)
        cards.append({
            "file": file.name, "number": path.name[:2], "question": escape(title["question"] if title else path.stem),
            "minutes": minutes[1] if minutes else "", **written(file),
        })  # fmt: skip
    return cards


def merged(root, folder):
    """The cards of the plans' decks."""
    cards = []
    for name, title in plans.names(root).items():
        file = folder / f"{name}.html"
        if file.exists():
            minutes = plans.read(root, name).seconds / 60
            cards.append({"file": file.name, "question": escape(title), "minutes": f"{minutes:g}", **written(file)})
    return cards


def written(file):
    """What a deck that has been written shows: its first picture, and how many slides it has."""
    text = file.read_text("utf-8")
    found = PICTURE.search(text)
    return {"slides": text.count("<section "), "picture": found[1] if found else ""}
