"""The form of a notebook, one rule a function: (notebook, path) -> the faults found, each with its cell and a remedy.

A rule sees the notebook as nbformat reads it, and its path for what lies beside it. RULES holds all of them.
"""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat
from test_tools import load

from utils.claims import VERDICTS
from utils.exercises.definitions import of_notebook

cut = load("cut")
ROOT = Path(__file__).resolve().parent.parent
TAGS = {"setup", "exercise", "exercise-check", "solution", "hide-input", "nbval-ignore-output", "raises-exception"}
SLIDES = {"slide", "subslide", "fragment", "skip", "notes", "-"}
PACKAGES = {"utils", "torch", "torchvision", "numpy", "matplotlib"} | set(sys.stdlib_module_names)
MAGICS = {"%%writefile": "other processes import what the cell defines, so it has to be a file"}
MAX_BYTES = 1_500_000
MAX_LINES = 40
NAME = re.compile(r"(\d\d)_[a-z0-9]+(_[a-z0-9]+)*\.ipynb")
SLASH = "/"  # the patterns are put together here, so that a search of this file for such a path finds none
MACHINE_PATHS = [f"{SLASH}{folder}{SLASH}" for folder in ("home", "Users", "root", "tmp", "private", "content")]
MACHINE_PATHS += ["C:\\" + "Users", str(ROOT)]

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


def python(cell: Any) -> str:
    """The Python of a code cell: all of it, or what follows an allowed magic in its first line."""
    first, _, rest = cell.source.partition("\n")
    return rest if first.split(" ")[0] in MAGICS else cell.source


def tree(cell: Any) -> ast.Module:
    """The parsed code of a cell; empty if it is not Python, which is the fault of another rule."""
    try:
        return ast.parse(python(cell))
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


def keys(value: Any) -> Iterator[str]:
    """Every key in nested metadata."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def claim_calls(cell: Any) -> list[ast.Call]:
    """The calls of `claim` in a cell, in the order in which they stand there."""
    calls = [node for node in ast.walk(tree(cell)) if isinstance(node, ast.Call)]
    calls = [call for call in calls if ast.unparse(call.func) in ("claim", "claims.claim")]
    return sorted(calls, key=lambda call: (call.lineno, call.col_offset))


def literal(call: ast.Call, name: str, place: int | None = None) -> str | None:
    """The text that an argument is given as a literal; None if it is missing or computed."""
    value = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    if value is None and place is not None and place < len(call.args):
        value = call.args[place]
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def cards(cell: Any) -> dict[str, dict]:
    """What the cards in a cell's stored output show: {number: its claim}."""
    stored = [output.metadata["claim"] for output in cell.outputs if "claim" in output.get("metadata", {})]
    return {claim["number"]: claim for claim in stored}


def exercise_states(cell: Any) -> list[tuple[str, str]]:
    """(number, state) of each exercise's card in a cell's stored output."""
    found = [output.metadata["exercise"] for output in cell.outputs if "exercise" in output.get("metadata", {})]
    return [(card["number"], card["state"]) for card in found]


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
    """(number, name) of each statement `check("2.1", name)` of a cell."""
    found = []
    for node in tree(cell).body:
        if isinstance(node, ast.Expr) and (match := re.fullmatch(r"check\('([\d.]+)', (\w+)\)", ast.unparse(node))):
            found.append((match[1], match[2]))
    return found


def has_picture(cell: Any) -> bool:
    return any("image/png" in output.get("data", {}) for output in cell.outputs)


# --- the file


@rule
def file_is_a_notebook(notebook: Notebook, path: Path) -> Iterator[str]:
    """Valid nbformat 4.5, UTF-8, a newline at its end."""
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        yield f"{path.name} is not UTF-8 ({error}): save it from JupyterLab"
    if not content.endswith(b"\n"):
        yield f"{path.name} does not end in a newline: add one"
    if (notebook.nbformat, notebook.nbformat_minor) != (4, 5):
        yield f"{path.name} is nbformat {notebook.nbformat}.{notebook.nbformat_minor}: convert it to 4.5"
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        yield f"{path.name} is not valid: {error.message}"


@rule
def file_name(notebook: Notebook, path: Path) -> Iterator[str]:
    """NN_snake_case.ipynb, and no number twice."""
    if not NAME.fullmatch(path.name):
        yield f"{path.name}: name it NN_snake_case.ipynb, in lower case"
    same = [name for name in series(path) if name[:2] == path.name[:2] and name != path.name]
    if same:
        yield f"{path.name} has the same number as {', '.join(same)}: renumber one of them"


@rule
def size(notebook: Notebook, path: Path) -> Iterator[str]:
    """Less than 1.5 MB."""
    if path.stat().st_size >= MAX_BYTES:
        yield f"{path.name} has {path.stat().st_size / 1e6:.1f} MB: draw fewer or smaller figures, below 1.5 MB"


@rule
def kernel(notebook: Notebook, path: Path) -> Iterator[str]:
    """The kernel python3, and no version of Python that changes with whoever saved it."""
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernelspec must be python3: choose the kernel Python 3 and save"
    if "version" in notebook.metadata.get("language_info", {}):
        yield "language_info holds a version: remove it"


@rule
def no_widget_state(notebook: Notebook, path: Path) -> Iterator[str]:
    """No state of widgets."""
    if "widgets" in notebook.metadata:
        yield "the metadata holds the state of widgets: remove metadata.widgets (Settings: do not save widget state)"


@rule
def no_time_stamps(notebook: Notebook, path: Path) -> Iterator[str]:
    """No times of execution in any metadata."""
    places = [("the notebook", notebook.metadata), *((at(notebook, cell), cell.metadata) for cell in notebook.cells)]
    for place, metadata in places:
        for key in keys(metadata):
            if re.search(r"^execution|executetime|timestamp|iopub|shell", key.lower()):
                yield f'{place}: the metadata key "{key}" is a time stamp: remove it (record_timing=False)'


@rule
def no_machine_paths(notebook: Notebook, path: Path) -> Iterator[str]:
    """No path of somebody's machine in sources, outputs or metadata."""
    parts = [("the notebook", notebook.metadata)]
    for cell in notebook.cells:
        outputs = [
            {**output, "data": {kind: data for kind, data in output.get("data", {}).items() if kind != "image/png"}}
            for output in cell.get("outputs", [])
        ]
        parts.append((at(notebook, cell), [cell.source, cell.metadata, outputs]))
    for place, part in parts:
        text = json.dumps(part, ensure_ascii=False).replace("\\\\", "\\")
        for pattern in MACHINE_PATHS:
            # Not behind another name or a dot, as in an address or a relative path.
            if re.search(rf"(?<![\w.-]){re.escape(pattern)}", text):
                yield f"{place} holds a path of the machine, {pattern}…: print relative names only"


# --- the text


@rule
def title(notebook: Notebook, path: Path) -> Iterator[str]:
    """Cell 1 is markdown and holds the only H1, `# NN · Question?`, whose words are the file's name."""
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


@rule
def heading_levels(notebook: Notebook, path: Path) -> Iterator[str]:
    """Headings never skip a level."""
    above = 0
    for cell, level, text, _ in all_headings(notebook):
        if level > above + 1:
            yield f'{at(notebook, cell)}: "{"#" * level} {text}" skips a level: use {"#" * (above + 1)}'
        above = level


@rule
def no_empty_headings(notebook: Notebook, path: Path) -> Iterator[str]:
    """Every heading has words, and something under it."""
    found = all_headings(notebook)
    following = [level for _, level, _, _ in found[1:]] + [0]
    for (cell, level, text, content), after in zip(found, following, strict=True):
        if not text:
            yield f"{at(notebook, cell)}: a heading without words: write them or remove it"
        elif not content and after <= level:
            yield f'{at(notebook, cell)}: nothing stands under "{text}": write it or remove the heading'


@rule
def ending(notebook: Notebook, path: Path) -> Iterator[str]:
    """`## What we found` is the last or the last but one section, and a **Next:** paragraph links onwards."""
    sections = [text for _, level, text, _ in all_headings(notebook) if level == 2]
    if "What we found" not in sections[-2:]:
        yield 'the last section, or the last but one, must be "## What we found"'
        return
    if path.name == series(path)[-1]:
        return
    text = "\n\n".join(prose(cell.source) for cell in markdown_cells(notebook))
    after = re.split(r"(?m)^## What we found[ \t]*$", text)[-1]
    if not re.search(r"(?m)^\*\*Next:\*\*(?:.+\n?)*?.*\]\(", after):
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
def known_tags(notebook: Notebook, path: Path) -> Iterator[str]:
    """Tags from the closed list."""
    for cell in notebook.cells:
        for tag in sorted(set(tags(cell)) - TAGS):
            yield f'{at(notebook, cell)}: the tag "{tag}" is not in the list: {", ".join(sorted(TAGS))}'


@rule
def slides(notebook: Notebook, path: Path) -> Iterator[str]:
    """Every cell says what it is in the slide show, in words that tools/cut.py knows."""
    for cell in notebook.cells:
        kind = cell.metadata.get("slideshow", {}).get("slide_type")
        if kind not in SLIDES:
            yield f"{at(notebook, cell)}: slide type {kind!r}: choose one of {', '.join(sorted(SLIDES))}"
        try:
            cut.fields(cell)
        except cut.DeckError as problem:
            yield f"{at(notebook, cell)}: {problem}"


@rule
def execution_counts(notebook: Notebook, path: Path) -> Iterator[str]:
    """Execution counts 1 to n: run in one go, top to bottom."""
    for i, cell in enumerate(code_cells(notebook), 1):
        counts = {cell.execution_count, *(o.execution_count for o in cell.outputs if "execution_count" in o)}
        if counts != {i}:
            yield f"{at(notebook, cell)}: execution count {cell.execution_count}, not {i}: restart and run all"
            return


@rule
def clean_outputs(notebook: Notebook, path: Path) -> Iterator[str]:
    """Nothing on stderr, and no error where none is announced."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                yield f"{at(notebook, cell)}: output on stderr: mend what it warns of, and run it again"
            if output.output_type == "error" and "raises-exception" not in tags(cell):
                yield f"{at(notebook, cell)}: it raised {output.ename}: mend it, or tag it raises-exception"


@rule
def alternative_text(notebook: Notebook, path: Path) -> Iterator[str]:
    """Every picture has a sentence for whoever cannot see it."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                alt = output.metadata.get("image/png", {}).get("alt", "")
                if not re.fullmatch(r"(?s)[A-Z0-9].{20,}[.!?]", alt):
                    yield f"{at(notebook, cell)}: a picture without a sentence of alternative text: pass alt="


@rule
def unstored_outputs(notebook: Notebook, path: Path) -> Iterator[str]:
    """A cell with store_output: false stores none, and nbval does not compare it."""
    for cell in code_cells(notebook):
        if cell.metadata.get("store_output") is False:
            if cell.outputs:
                yield f"{at(notebook, cell)}: its metadata says store_output: false, and it has outputs: clear them"
            if "nbval-ignore-output" not in tags(cell):
                yield f"{at(notebook, cell)}: store_output: false needs the tag nbval-ignore-output"


@rule
def claims_follow(notebook: Notebook, path: Path) -> Iterator[str]:
    """What nbval cannot compare (a picture, an ignored output) has a claim beside it, or a claim or an assert below."""
    cells = code_cells(notebook)
    claims = [bool(claim_calls(cell)) for cell in cells]
    asserts = [any(isinstance(node, ast.Assert) for node in ast.walk(tree(cell))) for cell in cells]
    for i, cell in enumerate(cells):
        if (has_picture(cell) or "nbval-ignore-output" in tags(cell)) and not any(claims[i:] + asserts[i + 1 :]):
            yield f"{at(notebook, cell)}: nothing tests what it shows: claim or assert what must hold, in a cell below"


@rule
def claims(notebook: Notebook, path: Path) -> Iterator[str]:
    """Claims are numbered in order, have a verdict from the list and no empty text, and their cards are stored."""
    calls = [(cell, call) for cell in code_cells(notebook) for call in claim_calls(cell)]
    for place, (cell, call) in enumerate(calls, 1):
        wanted, number = f"{path.name[:2].removeprefix('0')}.{place}", literal(call, "number", 0)
        if number != wanted:
            yield f'{at(notebook, cell)}: the claim\'s number must be a literal "{wanted}": {number} is given'
        verdict = literal(call, "verdict")
        if verdict not in VERDICTS:
            yield f"{at(notebook, cell)}: claim {wanted}: write one verdict of: {', '.join(VERDICTS)}"
        card = cards(cell).get(number)
        if card is None or card["verdict"] != verdict:
            yield f"{at(notebook, cell)}: the card of claim {wanted} is not in its output: run `make notebooks`"
    for cell in code_cells(notebook):
        called = {literal(call, "number", 0) for call in claim_calls(cell)}
        for number, card in cards(cell).items():
            if number not in called:
                yield f"{at(notebook, cell)}: it holds the card of claim {number} and does not call it: run it again"
            yield from (f"{at(notebook, cell)}: claim {number}: {fault}" for fault in faults_of_card(card))


def faults_of_card(card: dict) -> Iterator[str]:
    if card.get("problem"):
        yield "it was not borne out: mend the experiment, or the claim"
    for arm in card["arms"]:
        if not arm["name"].strip():
            yield "an arm has no name: give it one"
    for name in ("sentence", "source", "finding", "unit", "over", "margin", "control"):
        if card[name] is None:  # only `over` may be
            continue
        if not card[name].strip():
            yield f"its {name} is empty: write it"
        elif name in ("sentence", "finding") and not re.search(r"[.?!…][\"'”’)]*$", card[name]):
            yield f"its {name} is a sentence: end it with a full stop"


# --- the exercises

PATTERN = ("exercise", "exercise-check", "solution")  # the tags of the three cells under each exercise's heading


@rule
def exercises(notebook: Notebook, path: Path) -> Iterator[str]:
    """`## Exercises` stands behind "What we found" and holds two to four, in order, as `utils.exercises` knows them."""
    found = all_headings(notebook)
    sections = [text for _, level, text, _ in found if level == 2]
    tagged = [cell for cell in notebook.cells if set(tags(cell)) & set(PATTERN)]
    if "Exercises" not in sections:
        what = f"{at(notebook, tagged[0])}: exercises belong" if tagged else "it has no exercises: two to four belong"
        yield f'{what} under "## Exercises", behind "## What we found"'
        return
    if sections[-2:] != ["What we found", "Exercises"]:
        yield 'the last two sections must be "## What we found" and "## Exercises"'
    headings = [(cell, text) for cell, level, text, _ in found if level == 3 and text.startswith("Exercise ")]
    if not 2 <= len(headings) <= 4:
        yield f'"## Exercises" holds {len(headings)} exercises: two to four are right'
    numbers = [f"{path.name[:2].removeprefix('0')}.{place}" for place in range(1, len(headings) + 1)]
    known = of_notebook(path.name[:2])
    if set(known) != set(numbers):
        yield f"utils.exercises.nb{path.name[:2]} defines {', '.join(known) or 'nothing'}: define {', '.join(numbers)}"
    used: set[int] = set()
    for number, (cell, text) in zip(numbers, headings, strict=True):
        where = at(notebook, cell)
        if not text.startswith(f"Exercise {number} · "):
            yield f'{where}: the heading must be "### Exercise {number} · What it is about"'
        if number in known:
            wanted = f"*{known[number].minutes} minutes · {known[number].difficulty}*"
            if wanted not in cell.source.split("\n"):
                yield f"{where}: a line must say {wanted}, as utils.exercises.nb{path.name[:2]} has it"
        place = next(i for i, other in enumerate(notebook.cells) if other is cell)
        three = notebook.cells[place + 1 : place + 4]
        if len(three) < 3 or any(tag not in tags(other) for tag, other in zip(PATTERN, three, strict=True)):
            yield f"{where}: three code cells must follow, tagged {', '.join(PATTERN)}"
            continue
        used |= {id(other) for other in three}
        yield from faults_of_exercise(notebook, number, *three)
    for cell in tagged:
        if id(cell) not in used:
            yield f"{at(notebook, cell)}: it has an exercise's tag and stands under no exercise's heading"


def faults_of_exercise(notebook: Notebook, number: str, stub: Any, check: Any, solution: Any) -> Iterator[str]:
    """The faults of an exercise's three cells."""
    names = bound(stub)
    if len(names) != 1 or not re.search(r"raise NotImplementedError\b|= None\b", stub.source):
        yield f"{at(notebook, stub)}: a stub defines one name, and raises NotImplementedError or is None"
        return
    name = names.pop()
    other = f"{name}Solution" if name[0].isupper() else f"{name}_solution"
    if len(tree(check).body) != 1 or checked(check) != [(number, name)]:
        yield f'{at(notebook, check)}: the check must be this and nothing else: check("{number}", {name})'
    if exercise_states(check) != [(number, "not solved yet")]:
        yield f'{at(notebook, check)}: its output must be the card "not solved yet": restart and run all'
    if not solution.source.startswith(f"# Solution to exercise {number}\n"):
        yield f'{at(notebook, solution)}: its first line must be "# Solution to exercise {number}"'
    if "hide-input" not in tags(solution) or not solution.metadata.get("jupyter", {}).get("source_hidden"):
        yield f"{at(notebook, solution)}: fold it: the tag hide-input, and jupyter.source_hidden in its metadata"
    if other not in bound(solution) or name in bound(solution) or checked(solution) != [(number, other)]:
        yield f'{at(notebook, solution)}: define {other}, and not {name}, and end with check("{number}", {other})'
    if exercise_states(solution) != [(number, "right")]:
        yield f'{at(notebook, solution)}: its output must be the card "right": restart and run all'


@rule
def data_in_use(notebook: Notebook, path: Path) -> Iterator[str]:
    """Where the images are loaded, the output says which they are."""
    for cell in code_cells(notebook):
        calls = [node.func for node in ast.walk(tree(cell)) if isinstance(node, ast.Call)]
        if any(isinstance(func, ast.Name) and func.id == "load" for func in calls):
            text = "".join(output.get("text", "") for output in cell.outputs)
            if not re.search(r"(?m)^(CIFAR-10:|Stand-in data)", text):
                yield f"{at(notebook, cell)}: it loads images and does not say which: keep load()'s line"


# --- the code


@rule
def plain_python(notebook: Notebook, path: Path) -> Iterator[str]:
    """Python without IPython's extras, but for the magics that have a reason."""
    for cell in code_cells(notebook):
        try:
            ast.parse(python(cell))
        except SyntaxError as error:
            line = python(cell).splitlines()[(error.lineno or 1) - 1 :][:1]
            yield f"{at(notebook, cell)}: not plain Python, {line}: no % or ! but {', '.join(MAGICS)}"


@rule
def no_trailing_semicolons(notebook: Notebook, path: Path) -> Iterator[str]:
    """No line of code ends in ; since nbval shows the output all the same."""
    line_ends = {tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER}
    for cell in code_cells(notebook):
        if not tree(cell).body:
            continue
        tokens = list(tokenize.generate_tokens(io.StringIO(python(cell)).readline))
        for token, after in pairwise(tokens):
            if token.string == ";" and token.type == tokenize.OP and after.type in line_ends:
                yield f"{at(notebook, cell)}, line {token.start[0]}: it ends in ; : write _ = … or plt.show()"


@rule
def short_cells(notebook: Notebook, path: Path) -> Iterator[str]:
    """No code cell is longer than what can be read aloud."""
    for cell in code_cells(notebook):
        lines = len(cell.source.splitlines())
        if lines > MAX_LINES:
            yield f"{at(notebook, cell)}: {lines} lines of code: split it, {MAX_LINES} are the most"


@rule
def imports(notebook: Notebook, path: Path) -> Iterator[str]:
    """Only the course's own package, torch, torchvision, numpy, matplotlib, the standard library, and what it wrote."""
    allowed = set(PACKAGES)
    for cell in code_cells(notebook):
        if written := re.match(r"%%writefile (\w+)\.py\n", cell.source):
            allowed.add(written[1])
        for node in ast.walk(tree(cell)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = ["." * node.level + (node.module or "")]
            else:
                continue
            for name in names:
                if name.split(".")[0] not in allowed:
                    only = "utils, torch, torchvision, numpy, matplotlib, Python's own"
                    yield f"{at(notebook, cell)}: it imports {name}: only {only}"
