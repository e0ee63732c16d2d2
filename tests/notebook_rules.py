"""The form of a notebook, one rule a function: (notebook, path) -> the faults found, each with its cell and a remedy.

A rule sees the notebook as nbformat reads it, and its path for what lies beside it. RULES holds all of them.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from copy import deepcopy
from html import escape
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat

from tools import run, slide_texts
from utils import lessons, plots
from utils.touch import touched

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TAGS = {"setup", "exercise", "exercise-check", "solution", "hide-input", "nbval-ignore-output", "raises-exception"}
SLIDES = {"slide", "subslide", "skip", "notes", "-"}
METADATA = {"tags", "slideshow", "jupyter", "store_output"}
FILES = {"claims": "claims.toml", "exercises": "exercises.toml", "figures": "figures.toml"}
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
PATTERN = ("exercise", "exercise-check", "solution")  # the tags of the three cells under each exercise's heading
PACKAGES = {"utils", "torch", "torchvision", "numpy", "matplotlib"} | set(sys.stdlib_module_names)
DRAWING = {f"plots.{name}" for name in plots.__all__ if "slug" in inspect.signature(getattr(plots, name)).parameters}
CLAIMING = {"claim", "claims.claim"}
MAX_BYTES = 1_500_000
MAX_LINES = 40

Notebook = Any
RULES: list[Callable[[Notebook, Path], list[str]]] = []


def rule(function: Callable[[Notebook, Path], Iterator[str]]) -> Callable[[Notebook, Path], list[str]]:
    """Make a list of what a rule yields, and enter the rule in RULES."""

    def faults(notebook: Notebook, path: Path) -> list[str]:
        return list(function(notebook, path))

    faults.__name__, faults.__doc__ = function.__name__, function.__doc__
    RULES.append(faults)
    return faults


# --- reading a notebook


def at(notebook: Notebook, cell: Any) -> str:
    """Which cell, for a message: its number, counted from 1 over all cells, and how it begins."""
    number = next(i for i, other in enumerate(notebook.cells, 1) if other is cell)
    first = (cell.source.strip().splitlines() or ["empty"])[0]
    return f'cell {number} ("{first[:50]}")'


def tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def code_cells(notebook: Notebook) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def markdown_cells(notebook: Notebook) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


def tree(cell: Any) -> ast.Module:
    """The parsed code of a cell; empty if it is not Python, which is the fault of another rule."""
    try:
        return ast.parse(cell.source)
    except SyntaxError:
        return ast.parse("")


def prose(source: str) -> str:
    """Markdown without what is not read as markdown: fenced code and displayed mathematics."""
    source = re.sub(r"(?ms)^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\1[`~]*[ \t]*$", "CODE", source)
    return re.sub(r"(?s)\$\$.*?\$\$", "MATH", source)


def headings(source: str) -> list[tuple[int, str, bool]]:
    """(level, text, whether anything stands between it and the next heading) of each heading in a markdown source."""
    found: list[tuple[int, str, bool]] = []
    for line in prose(source).splitlines():
        if match := re.fullmatch(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*", line):
            found.append((len(match[1]), (match[2] or "").strip(), False))
        elif line.strip() and found:
            found[-1] = (*found[-1][:2], True)
    return found


def all_headings(notebook: Notebook) -> list[tuple[Any, int, str, bool]]:
    """(cell, level, text, whether content follows) of every heading of a notebook."""
    found: list[tuple[Any, int, str, bool]] = []
    for cell in notebook.cells:
        here = headings(cell.source) if cell.cell_type == "markdown" else []
        before = prose(cell.source).lstrip() if cell.cell_type == "markdown" else cell.source
        if found and before.strip() and not (here and re.match(r"#{1,6}(\s|$)", before)):
            found[-1] = (*found[-1][:3], True)
        found += [(cell, *heading) for heading in here]
    return found


def plain(heading: str) -> str:
    """A heading as it is read: without the marks of links, code and emphasis."""
    heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[`*]", "", heading)


def anchors(notebook: Notebook) -> set[str]:
    """The anchors that Jupyter gives to the headings: their text with - for a space."""
    return {plain(text).replace(" ", "-") for _, _, text, _ in all_headings(notebook)}


def links(cell: Any) -> list[str]:
    """Where the links and pictures of a markdown cell lead."""
    text = re.sub(r"`[^`\n]*`", "CODE", prose(cell.source))
    inline = re.findall(r"\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\)", text)
    return inline + re.findall(r"(?m)^\s*\[[^\]]+\]:\s*(\S+)", text) + re.findall(r"(?:href|src)=[\"']([^\"']+)", text)


def series(path: Path) -> list[str]:
    """The names of all notebooks of the series, in order."""
    return sorted(other.name for other in path.parent.glob("[0-9][0-9]_*.ipynb"))


def calls(cell: Any, names: set[str]) -> list[ast.Call]:
    """The calls of functions with these names in a cell, in the order in which they stand there."""
    found = [node for node in ast.walk(tree(cell)) if isinstance(node, ast.Call) and ast.unparse(node.func) in names]
    return sorted(found, key=lambda call: (call.lineno, call.col_offset))


def literal(call: ast.Call, name: str, place: int | None = None) -> str | None:
    """The text that an argument is given as a literal; None if it is missing or computed."""
    value = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    if value is None and place is not None and place < len(call.args):
        value = call.args[place]
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def cards(cell: Any, kind: str) -> list[dict]:
    """What the cards in a cell's stored output show; `kind` is "claim" or "exercise"."""
    return [output.metadata[kind] for output in cell.outputs if kind in output.get("metadata", {})]


def bound(cell: Any) -> set[str]:
    """The names that a cell gives a meaning to, outside functions and classes."""
    names: set[str] = set()
    for node in tree(cell).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def checked(cell: Any) -> list[tuple[str, str]]:
    """(slug, name) of each statement `check("slug", name)` of a cell."""
    found = []
    for node in tree(cell).body:
        if isinstance(node, ast.Expr) and (match := re.fullmatch(r"check\('([\w-]+)', (\w+)\)", ast.unparse(node))):
            found.append((match[1], match[2]))
    return found


def pictures(cell: Any) -> list[int]:
    """The places of the pictures among a cell's stored outputs."""
    return [place for place, output in enumerate(cell.outputs) if "image/png" in output.get("data", {})]


# --- the file


@rule
def committed_form(notebook: Notebook, path: Path) -> Iterator[str]:
    """A valid notebook of less than 1.5 MB, as `make notebooks` leaves it: no time stamps, counts from 1 to n."""
    content = path.read_bytes()
    if len(content) >= MAX_BYTES:
        yield f"{path.name} has {len(content) / 1e6:.1f} MB: draw fewer or smaller figures, below 1.5 MB"
    try:
        nbformat.validate(notebook)
        wanted = run.as_text(run.normalise(deepcopy(notebook))).split("\n")
    except (nbformat.ValidationError, run.NotebookFailure) as problem:
        yield f"{path.name}: {str(problem).splitlines()[0]}"
        return
    lines = content.decode("utf-8", errors="replace").split("\n")
    for number, (line, want) in enumerate(zip_longest(lines, wanted), 1):
        if line != want:
            yield f"{path.name}, line {number}: {line and line.strip()} and not {want and want.strip()}: restart and " \
                  "run all, with `make notebooks`"  # fmt: skip
            return


# --- the text


@rule
def title(notebook: Notebook, path: Path) -> Iterator[str]:
    """Cell 1 is markdown and holds the only H1, `# NN · Question?`: its words are the file's name, its number once."""
    first = notebook.cells[0] if notebook.cells else None
    top = [(cell, text) for cell, level, text, _ in all_headings(notebook) if level == 1]
    if first is None or first.cell_type != "markdown" or not top or top[0][0] is not first:
        yield "cell 1 must be markdown and begin with the title, # NN · Question?"
        return
    for cell, text in top[1:]:
        yield f'{at(notebook, cell)}: "# {text}" is a second H1: make it ## or lower'
    if not first.source.startswith("# "):
        yield f"{at(notebook, first)}: the title must be its first line"
    number, _, question = plain(top[0][1]).partition(" · ")
    if number != path.name[:2] or not question.endswith("?"):
        yield f'{at(notebook, first)}: the title must be "# {path.name[:2]} · Question?"'
    words = re.findall(r"[a-z0-9]+", re.sub(r"['’]", "", question.lower()))
    if path.stem != "_".join([number, *words]):
        yield f"{path.name}: its title asks for the name {'_'.join([number, *words])}.ipynb"
    if same := [name for name in series(path) if name[:2] == path.name[:2] and name != path.name]:
        yield f"{path.name} has the same number as {', '.join(same)}: move one of them"


@rule
def heading_order(notebook: Notebook, path: Path) -> Iterator[str]:
    """Headings never skip a level, have words, and something under them."""
    found, above = all_headings(notebook), 0
    following = [level for _, level, _, _ in found[1:]] + [0]
    for (cell, level, text, content), after in zip(found, following, strict=True):
        if level > above + 1:
            yield f'{at(notebook, cell)}: "{"#" * level} {text}" skips a level: use {"#" * (above + 1)}'
        above = level
        if not text:
            yield f"{at(notebook, cell)}: a heading without words: write them or remove it"
        elif not content and after <= level:
            yield f'{at(notebook, cell)}: nothing stands under "{text}": write it or remove the heading'


@rule
def ending(notebook: Notebook, path: Path) -> Iterator[str]:
    """The last sections are "What we found" and "Exercises", and behind them a **Next:** paragraph links onwards."""
    if [text for _, level, text, _ in all_headings(notebook) if level == 2][-2:] != ["What we found", "Exercises"]:
        yield 'the last two sections must be "## What we found" and "## Exercises"'
        return
    text = "\n\n".join(prose(cell.source) for cell in markdown_cells(notebook))
    after = re.split(r"(?m)^## What we found[ \t]*$", text)[-1]
    if path.name != series(path)[-1] and not re.search(r"(?m)^\*\*Next:\*\*(?:.+\n?)*?.*\]\(", after):
        yield 'after "## What we found", a paragraph must begin with **Next:** and link to the next notebook'


@rule
def links_resolve(notebook: Notebook, path: Path) -> Iterator[str]:
    """Relative links lead to files that exist, and their anchors to headings that exist."""
    for cell in markdown_cells(notebook):
        for link in links(cell):
            if re.match(r"[a-z][a-z+.-]*:", link) or link.startswith("//"):
                continue
            name, _, anchor = (unquote(part) for part in link.partition("#"))
            target = path.parent / name if name else path
            if not target.exists():
                yield f"{at(notebook, cell)}: the link {link} leads nowhere: correct it"
            elif anchor and target.suffix == ".ipynb":
                there = notebook if target == path else nbformat.read(target, as_version=4)
                if anchor not in anchors(there):
                    yield f"{at(notebook, cell)}: {target.name} has no heading for the link {link}"


@rule
def neighbours(notebook: Notebook, path: Path) -> Iterator[str]:
    """Links to the notebook before and to the notebook after, where there is one."""
    names = series(path)
    place = names.index(path.name) if path.name in names else 0
    leading = {unquote(link).partition("#")[0] for cell in markdown_cells(notebook) for link in links(cell)}
    for name in names[max(place - 1, 0) : place] + names[place + 1 : place + 2]:
        if name not in leading:
            yield f"{path.name} has no link to its neighbour: add a link to {name}"


# --- the cells


@rule
def setup(notebook: Notebook, path: Path) -> Iterator[str]:
    """Cell 2, and no other, is code with the tag setup."""
    if len(notebook.cells) < 2 or notebook.cells[1].cell_type != "code" or "setup" not in tags(notebook.cells[1]):
        yield "cell 2 must be a code cell with the tag setup: imports and the seed"
    for i, cell in enumerate(notebook.cells):
        if i != 1 and "setup" in tags(cell):
            yield f"{at(notebook, cell)}: only cell 2 has the tag setup"


@rule
def metadata(notebook: Notebook, path: Path) -> Iterator[str]:
    """Tags, slide types and fields from closed lists; ids that begin with no notebook's number, which may change."""
    for cell in notebook.cells:
        where, field = at(notebook, cell), cell.metadata.get("slideshow", {})
        for tag in sorted(set(tags(cell)) - TAGS):
            yield f'{where}: the tag "{tag}" is not in the list: {", ".join(sorted(TAGS))}'
        if field.get("slide_type") not in SLIDES:
            yield f"{where}: slide type {field.get('slide_type')!r}: choose one of {', '.join(sorted(SLIDES))}"
        if other := sorted((set(field) - {"slide_type"}) | (set(cell.metadata) - METADATA)):
            yield f"{where}: {', '.join(other)} in its metadata: remove it (what slides say stands in lessons/)"
        if re.match(r"(nb)?\d\d[-_.]", cell.get("id", "")):
            yield f"{where}: its id {cell.id} begins with the number of a notebook: give it another"


@rule
def slides(notebook: Notebook, path: Path) -> Iterator[str]:
    """What `lessons/nbNN/slides.md` says belongs to the notebook's cells, in words that tools/slide_texts.py knows."""
    try:
        slide_texts.read(path, notebook)
    except slide_texts.DeckError as problem:
        yield str(problem)


@rule
def outputs(notebook: Notebook, path: Path) -> Iterator[str]:
    """No error where none is announced; an output that is not stored is not compared either."""
    for cell in code_cells(notebook):
        errors = [output.ename for output in cell.outputs if output.output_type == "error"]
        if errors and "raises-exception" not in tags(cell):
            yield f"{at(notebook, cell)}: it raised {errors[0]}: mend it, or tag it raises-exception"
        if "store_output" in cell.metadata and "nbval-ignore-output" not in tags(cell):
            yield f"{at(notebook, cell)}: store_output needs the tag nbval-ignore-output"


# --- what lessons/ knows by slugs


def follows(notebook: Notebook, path: Path, kind: str, used: list[tuple[Any, str | None]]) -> Iterator[str]:
    """That slugs stand in a notebook as in `lessons/`: the same ones, in the same order. `used`: (cell, slug)."""
    known, file = lessons.slugs(path.name[:2], kind), f"lessons/nb{path.name[:2]}/{FILES[kind]}"
    for cell, slug in used:
        if slug not in known:
            yield f"{at(notebook, cell)}: {kind}: {file} has no {slug!r} (a literal, as it stands there)"
    there = [slug for _, slug in used if slug in known]
    if missing := [slug for slug in known if slug not in there]:
        yield f"{path.name} never uses {', '.join(missing)}, which {file} has: remove {kind} that are gone"
    elif there != known:
        yield f"{path.name}: its {kind} come as {', '.join(there)}: bring {file} into the same order, each once"


@rule
def figures(notebook: Notebook, path: Path) -> Iterator[str]:
    """Each figure has a slug, and under it in `lessons` a sentence, which is stored in the picture and folded below."""
    drawn = [(cell, literal(call, "slug")) for cell in code_cells(notebook) for call in calls(cell, DRAWING)]
    yield from follows(notebook, path, "figures", drawn)
    known = lessons.slugs(path.name[:2], "figures")
    for slug in known:
        words = lessons.alternative_text(slug)
        if len(words.split()) < 5 or not words.endswith("."):
            yield f'figure {slug}: "{words}" is no sentence: say what there is to see, and end it with a full stop'
    for cell in code_cells(notebook):
        slugs = [slug for other, slug in drawn if other is cell]
        stored = cell.metadata.get("store_output") is not False
        if stored and [cell.outputs[place].metadata.get("figure") for place in pictures(cell)] != slugs:
            yield f"{at(notebook, cell)}: its pictures are not {slugs or 'drawn by utils.plots'}: run `make notebooks`"
        for place, slug in zip(pictures(cell), slugs, strict=False):
            words = lessons.alternative_text(slug) if slug in known else ""
            below = cell.outputs[place + 1 : place + 2]
            folded = below and below[0].get("data", {}).get("text/html", "")
            shown = cell.outputs[place].metadata.get("image/png", {}).get("alt")
            if shown != words or not (folded and "<details>" in folded and escape(words) in folded):
                yield f"{at(notebook, cell)}: figure {slug} is not stored with its words: run `make notebooks`"


@rule
def claims_follow(notebook: Notebook, path: Path) -> Iterator[str]:
    """What nbval cannot compare (a picture, an ignored output) has a claim beside it, or a claim or an assert below."""
    cells = code_cells(notebook)
    claims = [bool(calls(cell, CLAIMING)) for cell in cells]
    asserts = [any(isinstance(node, ast.Assert) for node in ast.walk(tree(cell))) for cell in cells]
    for i, cell in enumerate(cells):
        if touched(cell.source):
            continue  # tests/test_touch.py holds it against PyTorch
        if (pictures(cell) or "nbval-ignore-output" in tags(cell)) and not any(claims[i:] + asserts[i + 1 :]):
            yield f"{at(notebook, cell)}: nothing tests what it shows: claim or assert what must hold, in a cell below"


@rule
def claims(notebook: Notebook, path: Path) -> Iterator[str]:
    """Claims follow one another as in `lessons`, in cells of five lines at most; their cards are stored, and stand."""
    made = [(cell, call, literal(call, "slug", 0)) for cell in code_cells(notebook) for call in calls(cell, CLAIMING)]
    yield from follows(notebook, path, "claims", [(cell, slug) for cell, _, slug in made])
    known = lessons.slugs(path.name[:2], "claims")
    for cell in code_cells(notebook):
        here = [(call, slug) for other, call, slug in made if other is cell]
        if here and sum(bool(line.strip()) for line in cell.source.splitlines()) > 5:
            yield f"{at(notebook, cell)}: five lines in all are plenty for a claim: compute its arms in a cell before"
        expected = [(slug, lessons.number_of("claims", slug) if slug in known else None) for _, slug in here]
        stored = cards(cell, "claim")
        if [(card.get("slug"), card["number"]) for card in stored] != expected:
            slugs = ", ".join(str(slug) for _, slug in here)
            yield f"{at(notebook, cell)}: its cards are not those of {slugs}: run `make notebooks`"
        for card in stored:
            if card["problem"]:
                yield f"{at(notebook, cell)}: claim {card['number']} was contradicted: mend the experiment"


@rule
def exercises(notebook: Notebook, path: Path) -> Iterator[str]:
    """`## Exercises` holds two to four, in order, as `lessons` has them, each with its three cells and their cards."""
    tagged = [cell for cell in notebook.cells if set(tags(cell)) & set(PATTERN)]
    found = [(cell, text) for cell, level, text, _ in all_headings(notebook) if level == 3]
    headings = [(cell, text) for cell, text in found if text.startswith("Exercise ")]
    if not 2 <= len(headings) <= 4:
        yield f'"## Exercises" holds {len(headings)} exercises: two to four are right'
    places = [next(i for i, other in enumerate(notebook.cells) if other is cell) for cell, _ in headings]
    used, slugs = [notebook.cells[place + 1 : place + 4] for place in places], []
    for i, ((cell, text), three) in enumerate(zip(headings, used, strict=True), 1):
        where, number = at(notebook, cell), f"{int(path.name[:2])}.{i}"
        if not text.startswith(f"Exercise {number} · "):
            yield f'{where}: the heading must be "### Exercise {number} · What it is about"'
        if len(three) < 3 or any(tag not in tags(other) for tag, other in zip(PATTERN, three, strict=True)):
            yield f"{where}: three code cells must follow, tagged {', '.join(PATTERN)}"
            continue
        slug = next((slug for slug, _ in checked(three[1])), None)
        slugs.append((three[1], slug))
        if told := lessons.table(path.name[:2], "exercises").get(slug):
            wanted = f"*{told['minutes']} minutes · {told['difficulty']}*"
            if wanted not in cell.source.split("\n"):
                yield f"{where}: a line must say {wanted}, as lessons/nb{path.name[:2]}/exercises.toml has it"
        yield from faults_of_exercise(notebook, number, slug, *three)
    yield from follows(notebook, path, "exercises", slugs)
    for cell in tagged:
        if not any(cell is other for three in used for other in three):
            yield f"{at(notebook, cell)}: it has an exercise's tag and stands under no exercise's heading"


def faults_of_exercise(notebook: Notebook, number: str, slug: str, stub: Any, check: Any, solution: Any) -> Iterator:
    """The faults of an exercise's three cells."""
    names = bound(stub)
    if len(names) != 1 or not re.search(r"raise NotImplementedError\b|= None\b", stub.source):
        yield f"{at(notebook, stub)}: a stub defines one name, and raises NotImplementedError or is None"
        return
    name = names.pop()
    other = f"{name}Solution" if name[0].isupper() else f"{name}_solution"
    if len(tree(check).body) != 1 or checked(check) != [(slug, name)]:
        yield f'{at(notebook, check)}: the check must be this and nothing else: check("its-slug", {name})'
    if not solution.source.startswith(f"# Solution to exercise {number}\n"):
        yield f'{at(notebook, solution)}: its first line must be "# Solution to exercise {number}"'
    if "hide-input" not in tags(solution) or not solution.metadata.get("jupyter", {}).get("source_hidden"):
        yield f"{at(notebook, solution)}: fold it: the tag hide-input, and jupyter.source_hidden in its metadata"
    if other not in bound(solution) or name in bound(solution) or checked(solution) != [(slug, other)]:
        yield f'{at(notebook, solution)}: define {other}, and not {name}, and end with check("{slug}", {other})'
    for cell, state in ((check, "not solved yet"), (solution, "right")):
        if [(card["number"], card["state"]) for card in cards(cell, "exercise")] != [(number, state)]:
            yield f'{at(notebook, cell)}: its output must be the card "{state}" of {number}: restart and run all'


@rule
def data_in_use(notebook: Notebook, path: Path) -> Iterator[str]:
    """Where the images are loaded, the output says which they are."""
    for cell in code_cells(notebook):
        if calls(cell, {"load"}):
            text = "".join(output.get("text", "") for output in cell.outputs)
            if not re.search(r"(?m)^(CIFAR-10:|Stand-in data)", text):
                yield f"{at(notebook, cell)}: it loads images and does not say which: keep load()'s line"


# --- the code


@rule
def plain_python(notebook: Notebook, path: Path) -> Iterator[str]:
    """No more than can be read aloud, and without IPython's extras."""
    for cell in code_cells(notebook):
        if (lines := len(cell.source.splitlines())) > MAX_LINES:
            yield f"{at(notebook, cell)}: {lines} lines of code: split it, {MAX_LINES} are the most"
        try:
            ast.parse(cell.source)
        except SyntaxError as error:
            line = cell.source.splitlines()[(error.lineno or 1) - 1 :][:1]
            yield f"{at(notebook, cell)}: not plain Python, {line}: no % and no !"


@rule
def no_trailing_semicolons(notebook: Notebook, path: Path) -> Iterator[str]:
    """No line of code ends in ; since nbval shows the output all the same."""
    line_ends = {tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER}
    for cell in code_cells(notebook):
        if not tree(cell).body:
            continue
        tokens = list(tokenize.generate_tokens(io.StringIO(cell.source).readline))
        for token, after in pairwise(tokens):
            if token.string == ";" and token.type == tokenize.OP and after.type in line_ends:
                yield f"{at(notebook, cell)}, line {token.start[0]}: it ends in ; : write _ = … or plt.show()"


@rule
def imports(notebook: Notebook, path: Path) -> Iterator[str]:
    """Only the course's own package, torch, torchvision, numpy, matplotlib and the standard library."""
    for cell in code_cells(notebook):
        for node in ast.walk(tree(cell)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += ["." * node.level + (node.module or "")] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.split(".")[0] not in PACKAGES:
                    only = "utils, torch, torchvision, numpy, matplotlib, Python's own"
                    yield f"{at(notebook, cell)}: it imports {name}: only {only}"
