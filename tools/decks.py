"""Cuts a notebook into a deck: what `make slides` shows of each cell, and what it tells the lecturer.

Each cell's `slide_type`, which is Jupyter's own, says what becomes of it: `slide` and `subslide` begin a slide, `-` and
`fragment` go on with it, `notes` is for the speaker's view only, `skip` for neither. What the slide says in the place
of a Markdown cell's text or above code, what it shows of the code, and the remark for the lecturer stand in
`lessons/nbNN/slides.md` (see slide_texts.py); a Markdown cell that is replaced goes to the speaker's view in full.

The title is made from the first heading; a slide of the verdicts, from the claims; a slide of the exercises, from
their headings. A figure's alternative text would say what is to be guessed: what stands under it is left out.
"""

import re

import nbformat
from nbformat.v4 import new_markdown_cell, new_notebook

from tools.slide_texts import DeckError, SlideText
from utils.claims.card import VERDICTS, verdict
from utils.claims.made import claim_of
from utils.tables import markdown_table

COURSE = "BatchNorm, layer by layer"
TITLE = re.compile(r"# (?P<number>\d\d) · (?P<question>.+)")
TASK = re.compile(r"### Exercise (?P<name>.+)\n+\*(?P<time>.+)\*")
LINK = re.compile(r"(?<!!)\[(?P<words>[^\]]*)\]\((?P<target>[^)\s]+)\)")
CODE = (28, 15)  # pixels: the largest type for code and what it prints, and what is too small, on 1280 x 720
UNWRAPPED = 18  # below which it is better to wrap a printed line
WIDE, HIGH = 1840, 400  # the room for it: columns times pixels, lines times pixels
VERDICTS_A_SLIDE = 4
NOTHING = SlideText()


class Slide:
    """One slide: the cells that it shows, and what its lecturer is told."""

    def __init__(self, name=""):
        self.name, self.cells, self.remarks, self.notes = name, [], [], []

    def write(self, text, kind="-"):
        """Put Markdown on the slide: a first heading by itself, and list items after list items into one list."""
        heading, _, rest = text.partition("\n") if text.startswith("#") else ("", "", text)
        if heading:
            self.cells.append(new_markdown_cell(heading, metadata={"kind": kind, "heading": True}))
        rest, before = linked(rest.strip()), self.cells[-1] if self.cells else None
        if rest.startswith("- ") and before is not None and before.source.startswith("- "):
            before.source += "\n" + rest
        elif rest:
            self.cells.append(new_markdown_cell(rest, metadata={"kind": kind}))

    def written(self):
        """Its cells as nbconvert's slide exporter wants them: the first begins a slide, the last has the notes."""
        for i, cell in enumerate(self.cells):
            kind = cell.metadata.pop("kind", "-")
            cell.metadata["slideshow"] = {"slide_type": "slide" if i == 0 else kind}
        if not self.name and all(cell.cell_type == "markdown" for cell in self.cells):
            self.name = "words"
        if self.cells and self.name:
            self.cells[0].metadata["deck_class"] = self.name
        text = "\n\n".join([*(f"**{remark}**" for remark in self.remarks), *self.notes])
        notes = [new_markdown_cell(text, metadata={"slideshow": {"slide_type": "notes"}})] if text else []
        return [*self.cells, *notes]


def cut(notebook, texts):
    """The deck of an executed notebook, as a notebook of slides; `metadata.title` is its title.

    Args:
        notebook: as nbformat reads it.
        texts: what `tools.slide_texts.read` found about its cells, id → `SlideText`.

    Raises:
        DeckError: code, or what it prints, that does not fit on a slide; the text names its cell.
    """
    slides = []
    for cell in notebook.cells:
        kind = cell.metadata.get("slideshow", {}).get("slide_type", "-")
        if kind == "skip":
            continue
        if not slides or kind in {"slide", "subslide"}:
            slides.append(Slide())
        try:
            add(slides[-1], cell, kind, texts.get(cell.id, NOTHING))
        except DeckError as problem:
            raise DeckError(f"cell {cell.id}: {problem}") from None
    place = next((i for i, slide in enumerate(slides) if slide.name == "exercises"), len(slides))
    slides[place:place] = verdicts(notebook)
    deck = new_notebook(cells=[cell for slide in slides for cell in slide.written()])
    found = TITLE.match(notebook.cells[0].source)
    deck.metadata["title"] = f"{found['number']} · {found['question']}" if found else COURSE
    return deck


def add(slide, cell, kind, told):
    """Put a cell on a slide, or into its notes."""
    if told.remark:
        slide.remarks.append(told.remark)
    if kind == "notes":
        slide.notes.append(linked(cell.source))
    elif cell.cell_type == "markdown":
        add_text(slide, cell.source, kind_of(kind), told.text)
    else:
        slide.write(told.text)
        shown = nbformat.from_dict(cell)
        output = worth_showing(shown.outputs)
        show = told.show or ("output" if output else "code")
        shown.outputs = output if show in {"output", "both"} else []
        shown.source = excerpt(cell.source, told.lines) if show in {"code", "both"} else ""
        printed = "".join(kept.text for kept in shown.outputs if kept.output_type == "stream")
        shown.metadata = nbformat.from_dict({"kind": kind_of(kind), "pixels": pixels(shown.source, printed)})
        if shown.source or shown.outputs:
            slide.cells.append(shown)


def add_text(slide, source, kind, instead):
    """Put a Markdown cell on a slide: what makes its own slide, what is said instead of it, or its text."""
    text, notes = source, []
    if title := TITLE.match(source):
        slide.name, notes = "opening", [source[title.end() :].strip()]
        text = f"# {title['question']}\n\nNotebook {title['number']} · {COURSE}"
    elif source.startswith("## Exercises"):
        slide.name, text = "exercises", "## Exercises"
    elif task := TASK.match(source):
        text = f"- **{task['name']}** · {task['time']}"
    elif instead:
        text, notes = instead, [re.sub(r"\A#+ .*\n*", "", source)]  # the slide has its heading, or one like it
    slide.notes += [linked(note) for note in notes]
    slide.write(text, kind)


def kind_of(slide_type):
    """What a cell is on its slide: there from the start, or a fragment that comes later."""
    return "fragment" if slide_type == "fragment" else "-"


def pixels(code, printed=""):
    """The largest size of type in which code, and what it prints, fit on a slide; what is printed may be wrapped.

    Raises:
        DeckError: it would be too small to be read.
    """
    widest = max(map(len, code.splitlines()), default=0)
    for wrapped in (False, True):
        for size in range(CODE[0], CODE[1] if wrapped else UNWRAPPED, -1):
            columns = WIDE // size
            high = code.count("\n") + 1 + sum(max(1, -(-len(line) // columns)) for line in printed.splitlines())
            long = widest if wrapped else max(widest, *map(len, printed.splitlines()), 0)
            if long <= columns and high * size <= HIGH:
                return size
    lines = code.count("\n") + 1 + printed.count("\n")
    raise DeckError(f"{lines} lines of up to {widest} characters are too much: show less of it, or only some lines")


def excerpt(source, lines):
    """Those lines of a cell's code, moved to the left as far as they go."""
    if lines is None:
        return source
    part = source.splitlines()[lines[0] - 1 : lines[1]]
    margin = min((len(line) - len(line.lstrip()) for line in part if line.strip()), default=0)
    return "\n".join(line[margin:] for line in part)


def worth_showing(outputs):
    """A cell's figures, or if it has none all that it puts out."""
    return [output for output in outputs if "image/png" in output.get("data", {})] or outputs


def linked(text):
    """Markdown whose links lead from deck to deck; a link that leads elsewhere in the project is only its words."""

    def replaced(match):
        words, target = match["words"], match["target"]
        if notebook := re.fullmatch(r"(\d\d)_\w+\.ipynb", target):
            return f"[{words}]({notebook[1]}.html)"
        return match[0] if re.match(r"https?://|#", target) else words

    return LINK.sub(replaced, text)


def verdicts(notebook):
    """Slides with the verdict on each claim that the notebook made."""
    claims = [claim_of(output.metadata.claim["slug"]) for cell in notebook.cells for output in cell.get("outputs", [])
              if "claim" in output.get("metadata", {})]  # fmt: skip
    parts = -(-len(claims) // VERDICTS_A_SLIDE)
    size = -(-len(claims) // parts) if parts else 0
    slides = []
    for part in range(parts):
        shown = claims[part * size : (part + 1) * size]
        rows = [
            [made.words.number, made.words.sentence, f"**{VERDICTS[verdict(made)][0]} {verdict(made)}**"]
            for made in shown
        ]
        heading = "## What is said, and what we found" + (f" ({part + 1} of {parts})" if parts > 1 else "")
        slide = Slide("verdicts")
        slide.write(f"{heading}\n\n{markdown_table(['', 'the claim', 'the verdict'], rows)}")
        slide.notes = ["\n".join(f"- {made.words.number}: {made.finding}" for made in shown)]
        slides.append(slide)
    return slides
