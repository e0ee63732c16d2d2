"""Cuts a notebook into a deck: what `make slides` shows of each cell, and what it tells the lecturer.

Each cell's `slide_type`, which is Jupyter's own, says what becomes of it: `slide` and `subslide` begin a slide, `-`
goes on with it, `notes` is for the speaker's view only, `skip` for neither. What the slide says in the place of a
Markdown cell's text or above code, what it shows of the code, and the remark for the lecturer stand in
`lessons/nbNN/slides.md` (see slide_texts.py); a Markdown cell that is replaced goes to the speaker's view in full.

The title is made from the first heading; the verdicts from the claims; the quiz from the guide; the exercises from
their cells; the last slide from what slides.md says of it. A figure's alternative text would say what is to be guessed:
it is named after its slide, and what stands under it is left out.
"""

import re
from dataclasses import dataclass, field

from tools import deck_ends
from tools.deck_code import excerpt
from tools.deck_figures import figure, is_figure
from tools.deck_slides import Slide
from tools.quiz import Guide
from tools.slide_texts import LAST, DeckError, SlideText
from utils.touch import embed, touched

__all__ = ["COURSE", "Deck", "cut"]

COURSE = "BatchNorm, layer by layer"
TITLE = re.compile(r"# (?P<number>\d\d) · (?P<question>.+)")
MINUTES = re.compile(r"(?m)^\*(\d+) minutes")
NOTHING = SlideText()


@dataclass
class Deck:
    """The slides of a notebook.

    Attributes:
        number: of the notebook, two digits.
        question: its title.
        minutes: how long one reads it.
        slides: from the title to the last one.
        hero: the HTML of the figure on its title; empty if it has none.
    """

    number: str
    question: str
    minutes: str = ""
    slides: list = field(default_factory=list)
    hero: str = ""

    @property
    def title(self):
        return f"{self.number} · {self.question}" if self.number else self.question


def cut(notebook, texts, guide=None):
    """The deck of an executed notebook.

    Args:
        notebook: as nbformat reads it.
        texts: what `tools.slide_texts.read` found about its cells, id → `SlideText`.
        guide: what the lecturer's guide says of it, a `tools.quiz.Guide`.

    Raises:
        DeckError: code, or what it prints, that does not fit on a slide, or an option that means nothing there; the
            text names its cell.
    """
    guide = guide or Guide()
    found = TITLE.match(notebook.cells[0].source)
    minutes = MINUTES.search(notebook.cells[0].source)
    deck = Deck(*(found.groups() if found else ("", COURSE)), minutes[1] if minutes else "")
    left, ahead = guide.parts, ""
    for cell in notebook.cells:
        told, kind = texts.get(cell.id, NOTHING), cell.metadata.get("slideshow", {}).get("slide_type", "-")
        try:
            if told.hero:
                deck.hero = figure_of(notebook, cell.id, COURSE)
            if kind == "skip":
                continue
            if cell.source.startswith("**Next:**"):
                ahead = told.text or cell.source
                continue
            if not deck.slides or kind in {"slide", "subslide"}:
                deck.slides.append(Slide(f"c{deck.number}-{cell.id}", deck.title))
            slide = deck.slides[-1]
            add(slide, cell, kind, told)
            for part in told.guide:
                slide.notes.append(guide.told(part))
                left = [other for other in left if other != part]
        except DeckError as problem:
            raise DeckError(f"cell {cell.id}: {problem}") from None
    title = deck.slides[0]
    title.notes += [guide.told(part) for part in ("clock", *left) if part != "clock" or guide.clock]
    place = next((i for i, slide in enumerate(deck.slides) if slide.kind == "exercises"), len(deck.slides))
    deck.slides[place:place] = [*deck_ends.verdicts(notebook, deck), *deck_ends.quiz(guide.quiz, deck)]
    last = texts.get(LAST, NOTHING)
    if last.text or guide.idea or ahead:
        try:
            shown = figure_of(notebook, last.figure, last.text) if last.figure else ""
        except DeckError as problem:
            raise DeckError(f"the last slide, cell {last.figure}: {problem}") from None
        deck.slides.append(deck_ends.closing(deck, last, guide.idea, ahead, shown))
    for slide in deck.slides:
        slide.finish()
    for before, after in zip(deck.slides, deck.slides[1:], strict=False):
        if before.scales and not after.scales:
            after.recall(before)
    return deck


def figure_of(notebook, name, heading):
    """The figure of a cell, at once, for the title or the last slide."""
    [cell] = [cell for cell in notebook.cells if cell.id == name]
    shown = [output for output in cell.get("outputs", []) if is_figure(output)]
    if not cell.get("outputs"):
        return ""  # it has not been run yet
    if not shown:
        raise DeckError("it has no figure to show on the title or on the last slide")
    return figure(shown[0], f"Figure: {heading}", whole=True)[0]


def add(slide, cell, kind, told):
    """Put a cell on a slide, or into its notes."""
    if told.remark:
        slide.remarks.append(told.remark)
    if kind == "notes":
        slide.notes.append(cell.source)
    elif cell.cell_type == "markdown":
        add_text(slide, cell.source, told)
    elif name := touched(cell.source):
        slide.text(told.text)
        slide.thing(embed(name, inline=True))
    else:
        slide.text(told.text)
        shown = [output for output in cell.outputs if is_figure(output)] or cell.outputs
        show = told.show or ("output" if shown else "code")
        code = excerpt(cell.source, told.lines) if show in {"code", "both"} else ""
        slide.code(code, shown if show in {"output", "both"} else [], told)
    if told.scales:
        slide.ask(told.scales)


def add_text(slide, source, told):
    """Put a Markdown cell on a slide: what makes its own slide, what is said instead of it, or its text."""
    if title := TITLE.match(source):
        slide.kind, slide.heading = "opening", title["question"]
        slide.notes.append(source[title.end() :].strip())
    elif source.startswith("## Exercises"):
        slide.kind, slide.heading = "exercises", "Exercises"
    elif exercise := deck_ends.exercise(source, told.text):
        slide.parts.append(exercise)
    else:
        slide.text(told.text or source, told.build)
        if told.text:  # the slide has its heading, or one like it
            slide.notes.append(re.sub(r"\A#+ .*\n*", "", source))
