"""`make slides`: reveal.js decks from the notebooks, into build/slides/, with all that they need beside them.

    python -m tools.slides [NAME...]        build/slides/NN.html for each notebook, and build/slides/index.html
    python -m tools.slides --plan lecture   build/slides/lecture.html: slides of several notebooks, by the clock

The folder can be carried away on a stick: nothing in it asks for a network. reveal.js, MathJax and their fonts come
from two packages of the environment that bring copies of them. S opens the speaker's view, O shows all slides, ? lists
the keys; `NN.html?print-pdf&showNotes=separate-page` is for paper.

NAME is the beginning of a file's name: 01, or 03_what. The plans stand in lessons/plans.toml.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import nbformat

from tools import deck_index, plans, quiz, slide_texts
from tools.calling import call
from tools.deck_motif import motif
from tools.deck_scales import STAR
from tools.decks import COURSE, cut
from tools.files import copy, package
from tools.run import select
from tools.slide_texts import DeckError

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = Path(__file__).resolve().parent / "deck"
FONTS = ROOT / "utils" / "plots" / "fonts"
FACES = (("Sans", "Regular", 400, "normal"), ("Sans", "Bold", 700, "normal"), ("Sans", "Italic", 400, "italic"),
         ("Mono", "Regular", 400, "normal"), ("Mono", "Bold", 700, "normal"))  # fmt: skip
MATHJAX = "mathjax/MathJax.js?config=TeX-AMS-MML_HTMLorMML-full"
LECTURE = 50  # minutes of a deck that no plan cuts: what the speaker's clock counts
# folder in build/slides → (package that brings it, its place there, the parts that are needed)
ASSETS = {
    "reveal": ("sphinx_revealjs", "_static/revealjs", ("LICENSE", "dist/reveal.css", "dist/reveal.js", "plugin/notes")),
    "mathjax": ("jupyter_server_mathjax", "static", ("LICENSE", "MathJax.js", "config", "extensions", "fonts", "jax")),
}


def copy_assets(folder):
    """reveal.js, MathJax, all fonts and their licences, into the folder of the decks.

    Raises:
        OSError: a package is not installed, or a file cannot be copied.
    """
    for name, (brings, place, parts) in ASSETS.items():
        source, target = package(brings, "slides") / place, folder / name
        shutil.rmtree(target, ignore_errors=True)
        for part in parts:
            copy(source / part, target / part)
    shutil.rmtree(folder / "fonts", ignore_errors=True)
    shutil.copytree(
        FONTS, folder / "fonts", ignore=lambda _, names: [n for n in names if not n.endswith(("ttf", "txt"))]
    )


def faces():
    """The CSS that names the course's own typefaces."""
    return "\n".join(
        f'@font-face {{ font-family: "Course {family}"; font-weight: {weight}; font-style: {style}; '
        f'src: url("fonts/Course{family}-{cut}.ttf"); }}'
        for family, cut, weight, style in FACES
    )


def page(deck, seconds=60 * LECTURE):
    """The HTML of a deck.

    Args:
        deck: a `tools.decks.Deck`.
        seconds: how long it takes altogether, for the clock in the speaker's view.
    """
    from jinja2 import Environment, FileSystemLoader  # here: --help needs none of it

    for slide in deck.slides:
        slide.course, slide.number, slide.picture = COURSE, "", ""
        if slide.kind in {"opening", "closing", "pause"}:
            slide.number = slide.where[:2] if slide.kind == "opening" and slide.where[:2].isdigit() else ""
            slide.picture = (deck.hero if slide.kind == "opening" else "") or motif(part_of(slide.where))
    environment = Environment(loader=FileSystemLoader(TEMPLATE), trim_blocks=False)
    return environment.get_template("deck.html.j2").render(
        title=f"{deck.title} · {COURSE}",
        slides=deck.slides,
        fonts=faces(),
        css=(TEMPLATE / "deck.css").read_text("utf-8"),
        javascript=(TEMPLATE / "deck.js").read_text("utf-8"),
        mathjax=MATHJAX,
        seconds=seconds,
        star=f'<svg viewBox="-20 -20 40 40" aria-hidden="true"><path d="{STAR}"/></svg>',
    )


def part_of(where):
    """How far in the series a notebook stands, from 0 to 1; 1 for what is of no notebook."""
    last = int(max(path.name[:2] for path in select(ROOT / "notebooks", [])))
    return int(where[:2]) / last if where[:2].isdigit() else 1


def deck_of(path, guides):
    """The deck of the notebook at a path.

    Raises:
        DeckError: something in it, or in what is said about it, means nothing or does not fit.
    """
    notebook = nbformat.read(path, as_version=4)
    return cut(notebook, slide_texts.read(path, notebook), guides.get(path.name[:2]))


def write(root, folder, names):
    """The decks of notebooks, one after the other; how many could not be cut."""
    failed, guides = 0, quiz.read(root)
    for path in select(root / "notebooks", names):
        start = time.monotonic()
        try:
            deck = deck_of(path, guides)
            (folder / f"{path.name[:2]}.html").write_text(page(deck), encoding="utf-8")
        except (DeckError, OSError) as problem:
            failed += 1
            print(f"[slides] {path.stem:<48} FAILED: {problem}", flush=True)
        else:
            print(f"[slides] {path.stem:<48} {len(deck.slides):3} slides {time.monotonic() - start:6.1f} s", flush=True)
    return failed


def write_plan(root, folder, name):
    """The deck of a plan; 1 if it could not be cut, else 0."""
    guides = quiz.read(root)
    paths = {path.stem[3:]: path for path in select(root / "notebooks", [])}
    try:
        plan = plans.read(root, name)
        deck = plans.merged(plan, {stem: (lambda path=path: deck_of(path, guides)) for stem, path in paths.items()})
        (folder / f"{name}.html").write_text(page(deck, plan.seconds), encoding="utf-8")
    except DeckError as problem:
        print(f"[slides] {name:<48} FAILED: {problem}", flush=True)
        return 1
    print(f"[slides] {name:<48} {len(deck.slides):3} slides, {plan.seconds / 60:g} minutes", flush=True)
    return 0


def main(arguments, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="the beginning of a file's name, such as 01")
    parser.add_argument("--plan", metavar="PLAN", help="a plan of lessons/plans.toml, such as lecture")
    options = parser.parse_args(arguments)
    folder = root / "build" / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        copy_assets(folder)
    except OSError as problem:
        print(f"[slides] {problem}", file=sys.stderr)
        return 1
    failed = write_plan(root, folder, options.plan) if options.plan else write(root, folder, options.names)
    (folder / "index.html").write_text(deck_index.page(root, folder, faces()), encoding="utf-8")
    print("[slides] open build/slides/index.html; the folder needs no network, and can be carried away")
    return 1 if failed else 0


if __name__ == "__main__":
    call("slides", main)
