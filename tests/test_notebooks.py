"""The notebooks' form, the form tests themselves on broken notebooks, and nbval on planted faults.

The rules are in notebook_rules.py. What the notebooks compute is tested by nbval: see tools/test.py.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import nbformat
import notebook_rules as rules
import pytest
from claim_cards import card, displayed
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_tools import test_tool

from utils.exercises.definitions import Number

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS, "notebooks/ holds no notebook"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name[:2])
@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_form(rule, path):
    faults = rule(nbformat.read(path, as_version=4), path)
    assert not faults, f"{path.name}: {rule.__doc__}\n" + "\n".join(faults)


# --- every rule finds what it is for

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ALT = {"image/png": {"alt": "One pixel, which stands for a whole figure here."}}


def text(source: str, slide: str = "-"):
    return new_markdown_cell(source, metadata={"slideshow": {"slide_type": slide}})


def code(source: str, *tags: str, outputs=()):
    metadata = {"slideshow": {"slide_type": "-"}, **({"tags": list(tags)} if tags else {})}
    return new_code_cell(source, metadata=metadata, outputs=list(outputs))


def said(words: str, name: str = "stdout"):
    return new_output("stream", name=name, text=words)


def notebook_of(cells):
    """A notebook of these cells, as if they had been run in their order."""
    for count, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), 1):
        cell.execution_count = count
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def exercise(number: str = "1.1", name: str = "double") -> list:
    """The four cells of an exercise that is right."""
    other = f"{name}Solution" if name[0].isupper() else f"{name}_solution"

    def shown(state: str):
        return new_output("display_data", data={"text/plain": state}, metadata={
            "exercise": {"number": number, "state": state, "key": ""}
        })  # fmt: skip

    cells = [
        text(f"### Exercise {number} · Twice\n\n*3 minutes · ★☆☆ easy*\n\nDouble it.", "skip"),
        code(f"def {name}(x):\n    raise NotImplementedError", "exercise"),
        code(f'check("{number}", {name})', "exercise-check", outputs=[shown("not solved yet")]),
        code(
            f'# Solution to exercise {number}\ndef {other}(x):\n    return 2 * x\n\n\ncheck("{number}", {other})',
            "solution", "hide-input", outputs=[shown("right")],
        ),
    ]  # fmt: skip
    cells[3].metadata["jupyter"] = {"source_hidden": True}
    return cells


def section() -> list:
    """The section of exercises: its heading, and two of them."""
    return [text("## Exercises\n\nDo them.", "skip"), *exercise("1.1"), *exercise("1.2", "Layer")]


def define(patch, *numbers: str) -> None:
    """Let `utils.exercises` have exercises of these numbers, and no others."""
    made = Number(minutes=3, difficulty="★☆☆ easy", hints=["Add it to itself."], look="it", right=2, tolerance=0)
    patch(rules, "of_notebook", lambda notebook: dict.fromkeys(numbers, made))


def good_notebook():
    """A small notebook that keeps every rule: 01 of a series of three."""
    picture = new_output("display_data", data={"image/png": PIXEL, "text/plain": "a figure"}, metadata=ALT)
    cells = [
        text("# 01 · What's in the middle?\n\nAfter [this one](00_first.ipynb).", "slide"),
        code("import torch\n\nfrom utils.data import load", "setup"),
        text("## The `data`, $x = 1$\n\n```python\n# no heading\n```\n\n$$\n# nor this\n$$"),
        code("data = load()", "nbval-ignore-output", outputs=[said("CIFAR-10: 1 image\n")]),
        text("### A figure\n\nSee [above](#The-data,-$x-=-1$)."),
        code("draw(data, label='a;')", outputs=[picture]),
        code("assert data\nprint('It holds;')", outputs=[said("It holds;\n")]),
        text("## What we found\n\nOne thing.\n\n**Next:** [02 · And then?](02_and_then.ipynb)", "slide"),
        *section(),
    ]
    return notebook_of(cells)


@pytest.fixture
def sample(tmp_path, monkeypatch):
    """A good notebook on the disk, between two others; `write` stores what a test has made of it."""
    (tmp_path / "00_first.ipynb").write_text("{}", "utf-8")
    (tmp_path / "02_and_then.ipynb").write_text("{}", "utf-8")
    result = SimpleNamespace(notebook=good_notebook(), path=tmp_path / "01_whats_in_the_middle.ipynb", folder=tmp_path)
    result.patch = monkeypatch.setattr
    define(result.patch, "1.1", "1.2")
    result.cells = result.notebook.cells

    def write():
        result.path.write_text(nbformat.writes(result.notebook) + "\n", "utf-8")

    result.write = write
    write()
    return result


def faults(sample) -> dict[str, list[str]]:
    """What each rule finds in a sample, without the rules that find nothing."""
    found = {rule.__name__: rule(sample.notebook, sample.path) for rule in rules.RULES}
    return {name: messages for name, messages in found.items() if messages}


def test_a_good_notebook_keeps_every_rule(sample):
    assert faults(sample) == {}


def put(place: int, source: str):
    """Make this the source of a cell."""
    return lambda s: s.cells[place].update(source=source)


def output(place: int, *outputs):
    return lambda s: s.cells[place].update(outputs=list(outputs))


def tag(place: int, *tags: str):
    return lambda s: s.cells[place].metadata.update(tags=list(tags))


def meta(place: int, **values):
    return lambda s: s.cells[place].metadata.update(values)


def rename(name: str):
    return lambda s: setattr(s, "path", s.path.rename(s.folder / name))


def claimed(number: str = "1.1", verdict: str = "holds", **changes):
    """A code cell that makes a claim, with its card; its tags are none, since nbval compares the card."""
    source = f'claim("{number}", "It takes longer.", verdict="{verdict}")'
    return code(source, outputs=[card(number, verdict=verdict, **changes)])


def claims_of(*cells):
    """Put cells with claims into the sample, before its last section."""
    return lambda s: (s.cells.__setitem__(slice(7, 7), cells), notebook_of(s.cells))


def put_source(source: str):
    return lambda cell: cell.update(source=source)


def claims_with(change):
    """A good claim, changed: `change` gets its cell."""

    def apply(sample):
        cell = claimed()
        change(cell)
        claims_of(cell)(sample)

    return apply


def on_card(**changes):
    return claims_with(lambda cell: cell.outputs[0].metadata["claim"].update(changes))


def home(name: str = "home") -> str:
    return f"/{name}/somebody/course"  # put together, as in the rules


def exercises_with(change=lambda cells: None, defined=("1.1", "1.2")):
    """The sample with its exercises changed: `change` gets the section's cells, the heading first."""

    def apply(sample):
        cells = section()
        change(cells)
        sample.cells[8:] = cells
        notebook_of(sample.cells)
        define(sample.patch, *defined)

    return apply


def in_section(place: int, **changes):
    """An exercise's cell with another source, other tags, or other outputs; 0 is the section's heading."""

    def change(cells):
        if "tags" in changes:
            cells[place].metadata["tags"] = changes.pop("tags")
        cells[place].update(changes)

    return exercises_with(change)


def without_exercises(change=lambda sample: None):
    """The sample without that section."""
    return lambda s: (s.cells.__delitem__(slice(8, None)), change(s))


BROKEN = [
    ("file_is_a_notebook", lambda s: s.path.write_bytes(s.path.read_bytes().rstrip()), "newline"),
    ("file_is_a_notebook", lambda s: s.path.write_bytes(b"\xff\n"), "not UTF-8"),
    ("file_is_a_notebook", lambda s: s.notebook.update(nbformat_minor=4), "4.4"),
    ("file_is_a_notebook", meta(1, tags="setup"), "not valid"),
    ("file_name", rename("01_What_is_it.ipynb"), "lower case"),
    ("file_name", rename("1_what.ipynb"), "NN_snake_case"),
    ("file_name", rename("01-what.ipynb"), "NN_snake_case"),
    ("file_name", lambda s: (s.folder / "01_other.ipynb").touch(), "same number as 01_other"),
    ("size", lambda s: s.path.write_bytes(b" " * 1_500_000), "1.5 MB"),
    ("kernel", lambda s: s.notebook.metadata.kernelspec.update(name="conda-env"), "python3"),
    ("kernel", lambda s: s.notebook.metadata.language_info.update(version="3.11.2"), "version"),
    ("no_widget_state", lambda s: s.notebook.metadata.update(widgets={}), "widgets"),
    ("no_time_stamps", meta(3, execution={"iopub.status.busy": "2024"}), "cell 4"),
    ("no_time_stamps", meta(3, x={"shell.execute_reply": "2024"}), "shell"),
    ("no_time_stamps", lambda s: s.notebook.metadata.update(execution={}), "the notebook"),
    ("no_machine_paths", output(6, said(f"reading {home()}\n")), "cell 7"),
    ("no_machine_paths", put(5, f"open('{home('Users')}')"), "cell 6"),
    ("no_machine_paths", put(5, "open(r'C:\\" + "Users\\me')"), "cell 6"),
    ("no_machine_paths", meta(2, source_file=home("root")), "cell 3"),
    ("no_machine_paths", lambda s: s.notebook.metadata.update(path=home("tmp")), "the notebook"),
    ("no_machine_paths", output(6, said(f"{ROOT}/data\n")), "cell 7"),
    ("title", put(0, "## 01 · What's in the middle?"), "cell 1 must"),
    ("title", lambda s: s.cells.pop(0), "cell 1 must"),
    ("title", put(0, "Welcome.\n\n# 01 · What's in the middle?"), "first line"),
    ("title", put(0, "# 02 · What's in the middle?"), '"# 01 · Question?"'),
    ("title", put(0, "# 01 · What's in the middle"), '"# 01 · Question?"'),
    ("title", put(0, "# 01 · What is in it?"), "01_what_is_in_it.ipynb"),
    ("title", put(4, "# A figure\n\nmore"), "second H1"),
    ("heading_levels", put(4, "#### A figure\n\nmore"), "skips a level: use ###"),
    ("no_empty_headings", put(2, "## The data\n\n## And more\n\ntext"), 'under "The data"'),
    ("no_empty_headings", lambda s: s.cells.append(text("### Exercises")), 'under "Exercises"'),
    ("no_empty_headings", put(4, "###\n\ntext"), "without words"),
    ("ending", put(7, "## Conclusions\n\nOne thing."), "What we found"),
    ("ending", lambda s: s.cells.extend([text("## More\n\nx"), text("## Still more\n\nx")]), "last but one"),
    ("ending", put(7, "## What we found\n\nOne thing. [Next](02_and_then.ipynb)"), "**Next:**"),
    ("ending", put(7, "## What we found\n\n**Next:** something"), "**Next:**"),
    ("links_resolve", put(2, "## X\n\n[there](03_not_yet.ipynb)"), "03_not_yet.ipynb leads nowhere"),
    ("links_resolve", put(2, "## X\n\n![figure](figures/none.png)"), "leads nowhere"),
    ("links_resolve", put(2, "## X\n\n[a]\n\n[a]: none.md"), "leads nowhere"),
    ("links_resolve", put(2, '## X\n\n<a href="none.md">a</a>'), "leads nowhere"),
    ("links_resolve", put(4, "### Y\n\n[above](#the-data)"), "no heading for the link #the-data"),
    ("neighbours", put(0, "# 01 · What's in the middle?\n\nAlone."), "00_first.ipynb"),
    ("neighbours", put(7, "## What we found\n\n**Next:** [nothing](#A-figure)"), "02_and_then.ipynb"),
    ("setup", tag(1), "cell 2 must"),
    ("setup", tag(5, "setup"), "only cell 2"),
    ("known_tags", tag(5, "hide-cell"), '"hide-cell" is not in the list'),
    ("slides", lambda s: s.cells[4].metadata.pop("slideshow"), "cell 5"),
    ("slides", meta(4, slideshow={"slide_type": "page"}), "'page'"),
    ("execution_counts", lambda s: s.cells[5].update(execution_count=7), "execution count 7, not 3"),
    ("execution_counts", lambda s: s.cells[5].update(execution_count=None), "None, not 3"),
    ("clean_outputs", output(6, said("a warning\n", "stderr")), "stderr"),
    ("clean_outputs", output(6, new_output("error", ename="ValueError", evalue="", traceback=[])), "ValueError"),
    ("alternative_text", lambda s: s.cells[5].outputs[0].update(metadata={}), "alternative text"),
    ("alternative_text", lambda s: s.cells[5].outputs[0].metadata["image/png"].update(alt="a plot"), "alternative"),
    ("unstored_outputs", meta(3, store_output=False), "clear them"),
    ("unstored_outputs", lambda s: s.cells[1].metadata.update(store_output=False), "needs the tag"),
    ("claims_follow", put(6, "print('It holds')"), "cell 4"),
    ("claims_follow", put(6, "print('It holds')"), "cell 6"),
    ("claims_follow", tag(6, "nbval-ignore-output"), "cell 7"),
    ("claims_follow", lambda s: (put(6, "print('It holds')")(s), s.cells.insert(3, claimed())), "cell 5"),
    ("claims", claims_of(claimed("7.1")), 'must be a literal "1.1": 7.1 is given'),
    ("claims", claims_of(claimed("1.2")), 'must be a literal "1.1"'),
    ("claims", claims_of(claimed("1.1"), claimed("1.3")), 'cell 9 ("claim("1.3", "It takes'),
    ("claims", claims_of(claimed("1.2"), claimed("1.1")), 'must be a literal "1.2": 1.1 is given'),
    ("claims", claims_of(claimed("1.1"), claimed("1.1")), 'must be a literal "1.2"'),
    ("claims", claims_with(put_source('claim(name, verdict="holds")')), "None is given"),
    ("claims", claims_with(put_source('claim(f"1.{k}", verdict="holds")')), "None is given"),
    ("claims", claims_with(put_source('claim(1.1, verdict="holds")')), "None is given"),
    ("claims", claims_with(put_source("claim(verdict='holds')")), "None is given"),
    ("claims", claims_with(put_source('claim("1.1", verdict="true")')), "write one verdict of: holds, "),
    ("claims", claims_with(put_source('claim("1.1", verdict=verdict)')), "write one verdict"),
    ("claims", claims_with(put_source('claim("1.1")')), "write one verdict"),
    ("claims", claims_with(put_source('claim("1.1", verdict="does not hold")')), "the card of claim 1.1 is not in"),
    ("claims", claims_with(lambda cell: cell.update(outputs=[])), "the card of claim 1.1 is not in its output"),
    ("claims", claims_with(lambda cell: cell.update(outputs=[said("Claim 1.1: holds\n")])), "is not in its output"),
    ("claims", claims_with(put_source("print('no claim any more')")), "the card of claim 1.1 and does not call it"),
    ("claims", on_card(problem="claim 1.1 is not borne out."), "not borne out: mend"),
    ("claims", on_card(sentence=" "), "its sentence is empty"),
    ("claims", on_card(source=""), "its source is empty"),
    ("claims", on_card(finding=""), "its finding is empty"),
    ("claims", on_card(unit=""), "its unit is empty"),
    ("claims", on_card(over=""), "its over is empty"),
    ("claims", on_card(margin="\n"), "its margin is empty"),
    ("claims", on_card(control=""), "its control is empty"),
    ("claims", on_card(arms=[{"name": ""}]), "an arm has no name"),
    ("claims", on_card(sentence="It takes longer"), "its sentence is a sentence: end it with a full stop"),
    ("claims", on_card(finding="It took twice as long,"), "its finding is a sentence"),
    ("exercises", without_exercises(), 'it has no exercises: two to four belong under "## Exercises"'),
    ("exercises", without_exercises(tag(5, "exercise")), 'exercises belong under "## Exercises"'),
    ("exercises", tag(5, "exercise"), "under no exercise's heading"),
    ("exercises", exercises_with(lambda c: c.__delitem__(slice(1, 9)), []), "holds 0 exercises"),
    ("exercises", in_section(0, source="## Exercises\n\nx\n\n## More"), "the last two sections"),
    ("exercises", exercises_with(lambda c: c.__delitem__(slice(5, 9)), ["1.1"]), "holds 1 exercises"),
    ("exercises", exercises_with(lambda c: [c.extend(exercise("1.3")) for _ in range(3)]), "holds 5 exercises"),
    ("exercises", exercises_with(defined=["1.1"]), "nb01 defines 1.1: define 1.1, 1.2"),
    ("exercises", exercises_with(defined=[]), "nb01 defines nothing"),
    ("exercises", in_section(5, source="### Exercise 1.3 · Twice\n\nx"), '"### Exercise 1.2 · What it is about"'),
    ("exercises", in_section(1, source="### Exercise 1.1\n\nx"), '"### Exercise 1.1 · What it is about"'),
    ("exercises", in_section(1, source="### Exercise 1.1 · A\n\n*4 minutes · ★☆☆ easy*"), "*3 minutes · ★☆☆ easy*"),
    ("exercises", in_section(3, tags=["exercise"]), "tagged exercise, exercise-check, solution"),
    ("exercises", exercises_with(lambda c: c.pop(8)), "three code cells must follow"),
    ("exercises", exercises_with(lambda c: c.insert(5, code("x = 1", "exercise"))), "under no exercise's heading"),
    ("exercises", in_section(2, source="def double(x):\n    return x"), "a stub defines one name"),
    ("exercises", in_section(2, source="x = None\ny = None"), "a stub defines one name"),
    ("exercises", in_section(3, source='check("1.2", double)'), 'nothing else: check("1.1", double)'),
    ("exercises", in_section(3, source='x = 1\ncheck("1.1", double)'), "nothing else"),
    ("exercises", in_section(3, outputs=[]), 'the card "not solved yet"'),
    ("exercises", in_section(4, source='double_solution = 1\ncheck("1.1", double_solution)'), "its first line must be"),
    ("exercises", in_section(4, tags=["solution"]), "fold it"),
    ("exercises", exercises_with(lambda c: c[4].metadata.pop("jupyter")), "fold it"),
    (
        "exercises",
        in_section(4, source='# Solution to exercise 1.1\ndouble = 2\ncheck("1.1", double)'),
        "and not double",
    ),
    ("exercises", in_section(4, source="# Solution to exercise 1.1\ndouble_solution = 2"), "end with check"),
    ("exercises", in_section(4, outputs=[]), 'the card "right"'),
    ("data_in_use", output(3), "does not say which"),
    ("plain_python", put(5, "%matplotlib inline"), "%matplotlib"),
    ("plain_python", put(5, "files = !ls"), "!ls"),
    ("plain_python", put(5, "%%time\nx = 1"), "%%time"),
    ("no_trailing_semicolons", put(5, "x = 1\nplot(x);"), "line 2"),
    ("no_trailing_semicolons", put(5, "plot('a;');  # quiet"), "line 1"),
    ("short_cells", put(5, "x = 1\n" * 41), "41 lines"),
    ("imports", put(5, "import pandas as pd"), "pandas"),
    ("imports", put(5, "def f():\n    from sklearn.svm import SVC"), "sklearn.svm"),
    ("imports", put(5, "from .other import x"), ".other"),
    ("imports", put(5, "import worker"), "worker"),
]


@pytest.mark.parametrize(("name", "break_it", "words"), BROKEN, ids=[f"{b[0]}-{i}" for i, b in enumerate(BROKEN)])
def test_a_broken_notebook_is_found(sample, name, break_it, words):
    break_it(sample)
    if not any(word in words for word in ("newline", "UTF-8", "1.5 MB")):
        sample.write()
    rule = next(rule for rule in rules.RULES if rule.__name__ == name)
    messages = rule(sample.notebook, sample.path)
    assert any(words in message for message in messages), messages


def test_every_rule_is_tested_and_says_what_it_wants():
    assert {rule.__name__ for rule in rules.RULES} == {name for name, _, _ in BROKEN}
    assert all(rule.__doc__ for rule in rules.RULES)


def instead_of_an_assert(cell):
    """The sample's cell that asserts, gone, and this one in the place of the one with a picture."""

    def change(sample):
        put(6, "print('It holds;')")(sample)
        sample.cells.insert(6, cell)
        notebook_of(sample.cells)

    return change


def picture_and_claim():
    """One cell that draws and claims, with nothing below it that asserts."""
    cell = claimed()
    cell.source = "draw(data)\n" + cell.source
    cell.outputs.insert(0, new_output("display_data", data={"image/png": PIXEL, "text/plain": "x"}, metadata=ALT))
    return cell


def ignored_claim():
    cell = claimed()
    cell.metadata["tags"] = ["nbval-ignore-output"]
    return cell


KEPT = [
    put(5, "%%writefile worker.py\nimport torch"),
    lambda s: put(5, "%%writefile worker.py\nimport torch")(s) or put(6, "import worker\nassert worker")(s),
    put(5, "x = 1; y = 2\nname = 'a;'\ntext = '''\nplot(x);\n'''\n# x;"),
    put(5, "from matplotlib import pyplot as plt\nimport numpy as np, os.path"),
    put(2, "## X\n\n[a](https://example.org/home/x) [b](02_and_then.ipynb 'title') `[c](none.md)`"),
    put(7, "## What we found\n\n**Next:** a line,\nthen [02 · And then?](02_and_then.ipynb)"),
    lambda s: (
        s.cells[6].update(outputs=[new_output("error", ename="E", evalue="", traceback=[])])
        or s.cells[6].metadata.update(tags=["raises-exception"])
    ),
    lambda s: (s.folder / "02_and_then.ipynb").unlink() or put(7, "## What we found\n\nThe last of all.")(s),
    instead_of_an_assert(claimed()),
    instead_of_an_assert(picture_and_claim()),
    instead_of_an_assert(ignored_claim()),
    claims_of(*(claimed(f"1.{i}") for i in range(1, 12))),
    claims_of(claimed(verdict="does not hold at this scale")),
    claims_with(
        lambda cell: cell.update(source=f"{cell.source}\n{claimed('1.2').source}", outputs=[card("1.1"), card("1.2")])
    ),
    claims_with(put_source('claims.claim(number="1.1", verdict="holds")')),
    claims_with(put_source('for arm in arms:\n    measure(arm)\nclaim(\n    "1.1",\n    verdict="holds",\n)')),
    on_card(over=None, sentence='Is it "really" slower?', finding="“Not at all.”"),
    lambda s: (
        put(7, "## What we found\n\nOne thing.")(s)
        or s.cells.append(text("**Next:** [02 · And then?](02_and_then.ipynb)"))
    ),
    exercises_with(lambda c: c.extend(exercise("1.3") + exercise("1.4")), [f"1.{i}" for i in range(1, 5)]),
    in_section(2, source="double: int = None  # a number"),
]


@pytest.mark.parametrize("change", KEPT, ids=range(len(KEPT)))
def test_what_is_allowed_is_not_a_fault(sample, change):
    change(sample)
    if "[above]" in sample.cells[4].source:
        sample.cells[4].source = "### A figure\n\nBelow."
    sample.write()
    assert faults(sample) == {}


def test_anchors_in_other_notebooks(sample):
    other = new_notebook(cells=[text("# 02 · And then?\n\n## Two `words`\n\nx")])
    (sample.folder / "02_and_then.ipynb").write_text(nbformat.writes(other), "utf-8")
    put(2, "## X\n\n[a](02_and_then.ipynb#Two-words) [b](02_and_then.ipynb#Two-worlds)")(sample)
    (message,) = rules.links_resolve(sample.notebook, sample.path)[:1]
    assert "02_and_then.ipynb has no heading for the link 02_and_then.ipynb#Two-worlds" in message


# --- nbval goes red where it must, and only there


def nbval_command(path: Path) -> list[str]:
    """The command by which tools/test.py runs the notebooks, for other notebooks and without workers."""
    command = next(command for name, command, _ in test_tool.stages(ROOT, 1) if name == "notebooks")
    assert "--nbval" in command, "strict: not --nbval-lax"
    others = [word for word in command if not word.startswith("notebooks/")]
    assert len(others) == len(command) - len(list((ROOT / "notebooks").glob("*.ipynb")))
    return [*others, str(path), "-p", "no:cacheprovider"]


CLAIM = """from utils.claims import claim

claim(
    "1.1",
    "It takes longer.",
    source="an example",
    measured={"without": [5 + noise, 6 + noise, 7], "with": [1, 2, 3 - noise]},
    unit="steps",
    finding="Without, it takes more steps.",
    condition=lambda m: m["without"].min() > m["with"].max(),
    control=("the arms exchanged", {"without": "with", "with": "without"}),
    margin="An example has none.",
    verdict="holds",
)"""


def a_claim(noise: float):
    """A cell that makes the claim above with its own numbers, and stores the card that other numbers have given."""
    with displayed() as outputs:
        exec(CLAIM, {"noise": 0.5})
    return code(f"noise = {noise}\n{CLAIM}", outputs=outputs)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """What nbval says of a good notebook and of copies with one planted fault each: {name: {outcomes}}."""
    folder = tmp_path_factory.mktemp("planted")

    def cells():
        return [
            code("import random", "setup"),
            code("print('shape:', (2, 3))", outputs=[said("shape: (2, 3)\n")]),
            code("random.random()", "nbval-ignore-output", outputs=[said("0.25\n")]),
            a_claim(noise=0.25),
        ]

    changes = {
        "good": lambda made: None,
        "wrong": lambda made: made[1].update(outputs=[said("shape: (3, 2)\n")]),
        "missing": lambda made: made[1].update(outputs=[]),
        "raises": lambda made: made[1].update(source=made[1].source + "\nassert 1 == 2"),
        "ignored": lambda made: made[2].update(outputs=[said("something else\n")]),
        "ignored_raises": lambda made: made[2].update(source="1 / 0"),
        "claims_less": lambda made: made[3].update(source=made[3].source.replace("more steps", "many more steps")),
        "claims_more_often": lambda made: made[3].outputs.append(made[3].outputs[0]),
        "claims_in_vain": lambda made: made.__setitem__(3, a_claim(noise=-7.0)),
        "claims_anything": lambda made: made[3].update(source=made[3].source.replace(" > ", " != ")),
    }
    for name, change in changes.items():
        made = cells()
        change(made)
        nbformat.write(notebook_of(made), folder / f"{name}.ipynb")
    report = folder / "report.xml"
    done = subprocess.run(
        [*nbval_command(folder), f"--junit-xml={report}"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert report.exists(), done.stdout + done.stderr
    failed: dict[str, set[int]] = {name: set() for name in changes}
    for case in ElementTree.parse(report).iter("testcase"):
        name = next(part for part in case.get("classname").split(".") if part in changes)
        cell = int(case.get("name").split()[-1])
        if any(child.tag in ("failure", "error") for child in case):
            failed[name].add(cell)
    return SimpleNamespace(failed=failed, status=done.returncode, log=done.stdout + done.stderr)


@pytest.mark.parametrize(
    ("name", "red"),
    [
        ("good", set()),
        ("wrong", {1}),
        ("missing", {1}),
        ("raises", {1}),
        ("ignored", set()),
        ("ignored_raises", {2}),
        ("claims_less", {3}),
        ("claims_more_often", {3}),
        ("claims_in_vain", {3}),
        ("claims_anything", {3}),
    ],
)
def test_nbval_on_planted_faults(verdicts, name, red):
    assert verdicts.status == 1
    assert verdicts.failed[name] == red, verdicts.log


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name[:2])
def test_what_is_committed_was_executed_on_cifar10(path):
    outputs = [o for cell in nbformat.read(path, as_version=4).cells for o in cell.get("outputs", [])]
    printed = "".join(output.get("text", "") for output in outputs)
    assert "Stand-in data" not in printed, f"{path.name} was executed on the stand-in: run `make notebooks` on CIFAR-10"
