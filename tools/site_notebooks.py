"""A notebook as a page of the site: what `make site` changes in its copy before Sphinx sees it.

A cell in which the learner is to write a guess becomes a small form; a stylesheet hides what follows it, up to the
next heading, until a guess is made (docs/site/site.css). Solutions and `hide-input` cells are folded, cards get names
that one can link to, links lead to pages of the site.
"""

import re
from dataclasses import dataclass
from html import escape

import nbformat
from nbformat.v4 import new_markdown_cell

from tools.site_links import Links
from utils.touch import touched

__all__ = ["Lesson", "lesson", "staged"]

TITLE = re.compile(r"# (?P<number>\d\d) · (?P<question>.+)")
MINUTES = re.compile(r"(?m)^\*(\d+) minutes to read(?:, (\d+) with the exercises)?")
GOAL = "**After this notebook**"
NEEDS = re.compile(r"\((\d\d)_[^)\s]+\.ipynb\)")
GUESS = re.compile(r"^(?P<names>\w*guess\w*(?:, \w*guess\w*)*) = None(?:, None)*(?:  # (?P<hint>.+))?$", re.MULTILINE)
CARD = re.compile(r'\A<div style="border-left: 6px solid (#\w{6});[^"]*">')
FOLLOW = re.compile(r"(</details>)<style>.*?</style>\Z", re.DOTALL)  # JupyterLab's way to follow the theme
HREF = re.compile(r'href="(\d\d_\w+)\.ipynb"')
DRAWING = '<svg class="course-figure" role="img"'
WORDS = "<details><summary>The figure in words</summary>"
# tag → how its code is folded, and under which words
FOLDED = {
    "solution": ("hide-cell", "The solution, and why"),
    "hide-input": ("hide-input", "The code"),
    "setup": ("hide-input", "What it imports"),
}


@dataclass(frozen=True)
class Lesson:
    """What a notebook's first cell says of it.

    Attributes:
        number: two digits; also the number of its exercises' and claims' first part.
        question: its title.
        minutes: to read, and with the exercises.
        needs: the numbers of the notebooks that one needs first.
        before: the number of the one before it.
        name: of its file, without the ending.
    """

    number: str
    question: str
    minutes: tuple[int, int]
    needs: tuple[str, ...]
    before: str
    name: str


def lesson(path, notebook):
    """What the first cell of a notebook says.

    Raises:
        ValueError: it is not in the form of a first cell.
    """
    source = notebook.cells[0].source
    title, minutes = TITLE.match(source), MINUTES.search(source)
    if not (title and minutes and GOAL in source):
        raise ValueError(f"{path.name}: its first cell has no title, no minutes or no **After this notebook**")
    needs, _, before = source.partition("Before:")
    read = int(minutes[1])
    return Lesson(
        title["number"], title["question"], (read, int(minutes[2] or read)),
        tuple(dict.fromkeys(NEEDS.findall(needs))), next(iter(NEEDS.findall(before)), ""), path.stem,
    )  # fmt: skip


def raw(html):
    """A Markdown cell that holds HTML."""
    return new_markdown_cell(f"~~~~~{{raw}} html\n{html}\n~~~~~")


def form(number, cell_id, guesses):
    """The form into which a guess is written; without a script it is not shown, and nothing is hidden."""
    rows = []
    for names, hint in guesses:
        for name in names.split(", "):
            label = name.replace("_", " ") if len(guesses) > 1 or ", " in names else "Your guess"
            example = re.search(r"for example (\S+?)(?:,| or |$)", hint or "")
            rows.append(
                f'<label><span>{escape(label)}</span><input name="{name}" autocomplete="off" size="14"'
                f' placeholder="{escape(example[1], quote=True) if example else ""}"></label>'
            )
            if hint:
                rows.append(f"<small>{escape(hint)}</small>")
                hint = ""
    return raw(
        f'<form class="guess" id="guess-{number}-{cell_id}">{"".join(rows)}<button type="submit">Look</button>'
        '<button type="button" class="show">Show me</button></form>'
    )


def cells_of(cell, number, there):
    """What becomes of a code cell: itself, a form, or both; or the figure to touch that it shows, out of `there`."""
    if name := touched(cell.source):
        yield raw(there[name])
        return
    tags = cell.metadata.get("tags", [])
    guesses = [] if "exercise" in tags else [(found["names"], found["hint"]) for found in GUESS.finditer(cell.source)]
    if guesses:
        cell.source = GUESS.sub("", cell.source).rstrip()
    if cell.source:
        cell.metadata = {"tags": []}
        for tag in FOLDED:
            if tag in tags:
                folded, words = FOLDED[tag]
                cell.metadata = {"tags": [folded], "mystnb": dict.fromkeys(PROMPTS, words)}
                break
        for output in cell.outputs:
            dressed(output)
        yield cell
    if guesses:
        yield form(number, cell.id, guesses)


PROMPTS = ("code_prompt_show", "code_prompt_hide")


def dressed(output):
    """Give the HTML of an output the classes and names of the site."""
    data = output.get("data", {})
    html = data.get("text/html")
    if not html:
        return
    if found := CARD.match(html):
        claim = output.metadata.get("claim", {}).get("slug")
        name = f' class="card claim" id="claim-{claim}"' if claim else ' class="card"'
        html = f'<div{name} style="--tone: {found[1]}">{html[found.end() :]}'
    html = FOLLOW.sub(r"\1", html).replace(DRAWING, f'{DRAWING} aria-label="The figure, described in words below"')
    html = HREF.sub(r'href="\1.html"', html)  # a table of claims or of symptoms
    data["text/html"] = html.replace(WORDS, WORDS.replace("<details>", '<details class="words">'))


def badges(links, name):
    """Where a notebook can be run."""
    where = f"{links.repository}/blob/{links.branch}/notebooks/{name}.ipynb"
    binder = f"https://mybinder.org/v2/gh/{links.repository}/{links.branch}?urlpath=lab/tree/notebooks/{name}.ipynb"
    return raw(
        '<p class="run"><span>Run it:</span>'
        f' <a href="{binder}">Binder</a>'
        f' <a href="https://github.com/{where}">the file</a> <code>make lab ONLY={name[:2]}</code></p>'
    )


def staged(path, links: Links, there):
    """The notebook at a path as Sphinx is to see it.

    Args:
        path: of the executed notebook.
        links: where its links lead.
        there: the figures to touch, name → the HTML that embeds one.
    """
    notebook = nbformat.read(path, as_version=4)
    about, cells = lesson(path, notebook), []
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cells += cells_of(cell, about.number, there)
            continue
        cell.source = links.on_site(cell.source, path)
        cell.metadata = {}
        cells.append(cell)
        if not place:
            cells.append(badges(links, about.name))
    notebook.cells = cells
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"},
                         "language_info": {"name": "python", "pygments_lexer": "ipython3"}}  # fmt: skip
    return about, notebook
