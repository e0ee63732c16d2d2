"""The notebooks' form, the form tests themselves on broken notebooks, and nbval on planted faults.

The rules are in notebook_rules.py. What the notebooks compute is tested by nbval: see tools/test.py.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch
from xml.etree import ElementTree

import nbformat
import notebook_rules as rules
import pytest
from claim_lessons import displayed, forget
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebook_rules import NOTEBOOKS, ROOT

from tools import run
from tools import test as test_tool
from utils import lessons, plots
from utils.claims import claim
from utils.claims.made import claim_of
from utils.claims.verdicts import NOT


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name[:2])
def test_every_notebook_keeps_every_rule_and_was_executed_on_cifar10(path):
    notebook = nbformat.read(path, as_version=4)
    found = {f"{rule.__name__}: {rule.__doc__}": rule(notebook, path) for rule in rules.RULES}
    assert not any(found.values()), f"{path.name}:\n" + "\n".join(
        "\n".join([rule, *messages]) for rule, messages in found.items() if messages
    )
    printed = "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))
    assert "Stand-in data" not in printed, "it was executed on the stand-in: run `make notebooks` on CIFAR-10"


@pytest.mark.parametrize("kind", ["claims", "exercises", "figures"])
def test_a_slug_names_one_thing_in_the_whole_course(kind):
    used = Counter(slug for number in lessons.numbers() for slug in lessons.slugs(number, kind))
    assert len(used) > 15
    assert [slug for slug, times in used.items() if times > 1] == []
    assert [slug for slug in used if not rules.SLUG.fullmatch(slug)] == []


# --- every rule finds what it is for

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WORDS = "One pixel, which stands for a whole figure here."
EXERCISE = '[{slug}]\nminutes = 3\ndifficulty = "★☆☆ easy"\nright = 2\ntolerance = 0\nhints = ["Add."]\nlook = "it"\n'


def text(source: str, slide: str = "-"):
    return new_markdown_cell(source, metadata={"slideshow": {"slide_type": slide}})


def code(source: str, *tags: str, outputs=()):
    metadata = {"slideshow": {"slide_type": "-"}, **({"tags": list(tags)} if tags else {})}
    return new_code_cell(source, metadata=metadata, outputs=list(outputs))


def said(words: str, name: str = "stdout"):
    return new_output("stream", name=name, text=words)


def drawn(slug: str = "a-pixel", words: str = WORDS) -> list:
    """What a figure leaves in a notebook: the picture, and its words folded under it."""
    metadata = {"image/png": {"alt": words}, "figure": slug}
    folded = {"text/html": f"<details><summary>In words</summary>{words}</details>", "text/plain": words}
    return [new_output("display_data", {"image/png": PIXEL}, metadata=metadata), new_output("display_data", folded)]


def carded(kind: str, **card):
    return new_output("display_data", {"text/plain": "a card"}, metadata={kind: card})


def notebook_of(cells):
    """A notebook of these cells, as if they had been run in their order."""
    return run.normalise(new_notebook(cells=cells))


def exercise(number: str = "1.1", slug: str = "twice", name: str = "double") -> list:
    """The four cells of an exercise that is right."""
    other = f"{name}Solution" if name[0].isupper() else f"{name}_solution"
    shown = [carded("exercise", number=number, state=state, key="") for state in ("not solved yet", "right")]
    cells = [
        text(f"### Exercise {number} · Twice\n\n*3 minutes · ★☆☆ easy*\n\nDouble it.", "skip"),
        code(f"def {name}(x):\n    raise NotImplementedError", "exercise"),
        code(f'check("{slug}", {name})', "exercise-check", outputs=shown[:1]),
        code(
            f'# Solution to exercise {number}\ndef {other}(x):\n    return 2 * x\n\n\ncheck("{slug}", {other})',
            "solution", "hide-input", outputs=shown[1:],
        ),
    ]  # fmt: skip
    cells[3].metadata["jupyter"] = {"source_hidden": True}
    return cells


def section() -> list:
    """The section of exercises: its heading, and two of them."""
    return [text("## Exercises\n\nDo them.", "skip"), *exercise(), *exercise("1.2", "a-layer", "Layer")]


def good_notebook():
    """A small notebook that keeps every rule: 01 of a series of three."""
    cells = [
        text("# 01 · What's in the middle?\n\nAfter [this one](00_first.ipynb).", "slide"),
        code("import torch\n\nfrom utils.data import load", "setup"),
        text("## The `data`, $x = 1$\n\n```python\n# no heading\n```\n\n$$\n# nor this\n$$"),
        code("data = load()", "nbval-ignore-output", outputs=[said("CIFAR-10: 1 image\n")]),
        text("### A figure\n\nSee [above](#The-data,-$x-=-1$)."),
        code("plots.bars(data, ylabel='a;', slug='a-pixel')", outputs=drawn()),
        code("assert data\nprint('It holds;')", outputs=[said("It holds;\n")]),
        text("## What we found\n\nOne thing.\n\n**Next:** [02 · And then?](02_and_then.ipynb)", "slide"),
        *section(),
    ]
    for place, cell in enumerate(cells):
        cell.id = f"c{place}"
    return notebook_of(cells)


def define(lesson: Path, claims=(), exercises=("twice", "a-layer"), figures=(f"a-pixel = '{WORDS}'",), slides=""):
    """Write the sample's lesson: its claims' and exercises' slugs, the lines of its figures, its slides."""
    lesson.mkdir(parents=True, exist_ok=True)
    (lesson / "claims.toml").write_text("".join(f"[{slug}]\n" for slug in claims), "utf-8")
    (lesson / "exercises.toml").write_text("".join(EXERCISE.format(slug=slug) for slug in exercises), "utf-8")
    (lesson / "figures.toml").write_text("\n".join(figures), "utf-8")
    (lesson / "slides.md").write_text(slides, "utf-8")
    lessons.table.cache_clear()


@pytest.fixture
def sample(tmp_path, monkeypatch):
    """A good notebook on the disk, between two others, and its lesson; `write` stores what a test has made of it."""
    folder, lesson = tmp_path / "notebooks", tmp_path / "lessons" / "nb01"
    folder.mkdir()
    for name in ("00_first", "02_and_then"):
        (folder / f"{name}.ipynb").write_text("{}", "utf-8")
    result = SimpleNamespace(
        notebook=good_notebook(), path=folder / "01_whats_in_the_middle.ipynb", folder=folder, lesson=lesson
    )
    result.cells = result.notebook.cells
    result.write = lambda: run.write(result.notebook, result.path)
    monkeypatch.setattr(lessons, "LESSONS", lesson.parent)
    define(lesson)
    result.write()
    yield result
    monkeypatch.undo()
    forget()


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


def claimed(slug: str = "slower", number: str = "1.1", written: str = "", problem: str = ""):
    """A code cell that makes a claim, with its card; its tags are none, since nbval compares the card."""
    card = carded("claim", slug=slug, number=number, problem=problem)
    return code(written or f'claim("{slug}", steps)', outputs=[card])


def claims_of(*cells, slugs=("slower",)):
    """Put cells with claims into the sample, before its last section, and their slugs into its lesson."""
    return lambda s: (s.cells.__setitem__(slice(7, 7), cells), notebook_of(s.cells), define(s.lesson, claims=slugs))


def exercises_with(change, defined=("twice", "a-layer")):
    """The sample with its exercises changed: `change` gets the section's cells, the heading first."""

    def apply(sample):
        cells = section()
        change(cells)
        sample.cells[8:] = cells
        notebook_of(sample.cells)
        define(sample.lesson, exercises=defined)

    return apply


def in_section(place: int, **changes):
    """An exercise's cell with another source, other tags, or other outputs; 0 is the section's heading."""

    def change(cells):
        if "tags" in changes:
            cells[place].metadata["tags"] = changes.pop("tags")
        cells[place].update(changes)

    return exercises_with(change)


def lesson(**changes):
    return lambda s: define(s.lesson, **changes)


def stored(change):
    """Change the file itself, behind the notebook that was read."""
    return lambda s: s.path.write_text(change(s.path.read_text("utf-8")), "utf-8")


BROKEN = [
    ("committed_form", stored(str.rstrip), "restart and run all"),
    ("committed_form", stored(lambda text: text + " " * 1_500_000), "1.5 MB"),
    ("committed_form", lambda s: s.notebook.update(nbformat_minor=4), "'id' was unexpected"),
    ("committed_form", meta(1, tags="setup"), "is not of type 'array'"),
    ("committed_form", lambda s: s.cells[5].update(execution_count=7), '"execution_count": 7, and not'),
    ("committed_form", output(6, said("a warning\n", "stderr")), "cell 7 wrote to stderr: a warning"),
    ("title", lambda s: s.cells.pop(0), "cell 1 must"),
    ("title", put(0, "Welcome.\n\n# 01 · What's in the middle?"), "first line"),
    ("title", put(0, "# 01 · What's in the middle"), '"# 01 · Question?"'),
    ("title", put(0, "# 01 · What is in it?"), "01_what_is_in_it.ipynb"),
    ("title", put(4, "# A figure\n\nmore"), "second H1"),
    ("title", rename("01_Whats_in_the_middle.ipynb"), "01_whats_in_the_middle.ipynb"),
    ("title", lambda s: (s.folder / "01_other.ipynb").touch(), "same number as 01_other"),
    ("heading_order", put(4, "#### A figure\n\nmore"), "skips a level: use ###"),
    ("heading_order", put(2, "## The data\n\n## And more\n\ntext"), 'under "The data"'),
    ("heading_order", put(4, "###\n\ntext"), "without words"),
    ("ending", put(7, "## Conclusions\n\nOne thing."), "What we found"),
    ("ending", lambda s: s.cells.append(text("## More\n\nx")), "the last two sections"),
    ("ending", put(7, "## What we found\n\nOne thing. [Next](02_and_then.ipynb)"), "**Next:**"),
    ("links_resolve", put(2, "## X\n\n[there](03_not_yet.ipynb)"), "03_not_yet.ipynb leads nowhere"),
    ("links_resolve", put(2, "## X\n\n[a]\n\n[a]: none.md"), "leads nowhere"),
    ("links_resolve", put(4, "### Y\n\n[above](#the-data)"), "no heading for the link #the-data"),
    ("neighbours", put(0, "# 01 · What's in the middle?\n\nAlone."), "00_first.ipynb"),
    ("neighbours", put(7, "## What we found\n\n**Next:** [nothing](#A-figure)"), "02_and_then.ipynb"),
    ("setup", tag(1), "cell 2 must"),
    ("setup", tag(5, "setup"), "only cell 2"),
    ("metadata", tag(5, "hide-cell"), '"hide-cell" is not in the list'),
    ("metadata", lambda s: s.cells[4].metadata.pop("slideshow"), "cell 5"),
    ("metadata", meta(4, slideshow={"slide_type": "page"}), "'page'"),
    ("metadata", meta(4, slideshow={"slide_type": "-", "text": "x"}), "text in its metadata: remove it"),
    ("metadata", meta(3, x={"shell.execute_reply": "2024"}), "x in its metadata"),
    ("metadata", lambda s: s.cells[3].update(id="17-load"), "begins with the number of a notebook"),
    ("slides", lesson(slides="<!-- cell c99 -->\n\nx"), "slides.md: cell c99: the notebook has no cell of this id"),
    ("slides", lesson(slides="<!-- cell c2, show code -->"), "cell c2: show and lines are for code"),
    ("outputs", output(6, new_output("error", ename="ValueError", evalue="", traceback=[])), "ValueError"),
    ("outputs", lambda s: s.cells[1].metadata.update(store_output=False), "needs the tag"),
    ("figures", put(5, "plots.bars(data, slug='a-picture')"), "figures.toml has no 'a-picture'"),
    ("figures", lesson(figures=["a-pixel = 'A plot.'"]), '"A plot." is no sentence'),
    ("figures", output(5), "its pictures are not ['a-pixel']"),
    ("figures", output(5, *drawn(words="Another pixel altogether, and red.")), "not stored with its words"),
    ("figures", output(5, *drawn()[:1]), "not stored with its words"),
    ("claims_follow", put(6, "print('It holds')"), "cell 4"),
    ("claims_follow", put(6, "print('It holds')"), "cell 6"),
    ("claims_follow", tag(6, "nbval-ignore-output"), "cell 7"),
    ("claims_follow", lambda s: (put(6, "print('It holds')")(s), s.cells.insert(3, claimed())), "cell 5"),
    ("claims", claims_of(claimed("faster")), "claims.toml has no 'faster'"),
    ("claims", claims_of(slugs=["slower"]), "never uses slower"),
    ("claims", claims_of(claimed(), claimed("b", "1.2"), slugs=["b", "slower"]), "come as slower, b: bring"),
    ("claims", claims_of(code('claim(f"slow{k}", steps)')), "has no None"),
    ("claims", claims_of(claimed(written='claim(\n"slower",\n{\n1: 2,\n},\n)')), "five lines in all are plenty"),
    ("claims", claims_of(claimed(written="x = 1\n" * 5 + 'claim("slower", steps)')), "five lines in all are plenty"),
    ("claims", claims_of(code('claim("slower", steps)')), "its cards are not those of slower"),
    ("claims", claims_of(claimed(number="1.2")), "its cards are not those of slower"),
    ("claims", claims_of(claimed(problem="steps: 3, where 40 was recorded")), "was contradicted: mend the"),
    ("exercises", tag(5, "exercise"), "under no exercise's heading"),
    ("exercises", exercises_with(lambda c: c.__delitem__(slice(5, 9)), ["twice"]), "holds 1 exercises"),
    ("exercises", exercises_with(lambda c: [c.extend(exercise("1.3")) for _ in range(3)]), "holds 5 exercises"),
    ("exercises", in_section(1, source="### Exercise 1.1\n\nx"), '"### Exercise 1.1 · What it is about"'),
    ("exercises", in_section(1, source="### Exercise 1.1 · A\n\n*4 minutes · ★☆☆ easy*"), "*3 minutes · ★☆☆ easy*"),
    ("exercises", in_section(3, tags=["exercise"]), "tagged exercise, exercise-check, solution"),
    ("exercises", exercises_with(lambda c: c.pop(8)), "three code cells must follow"),
    ("exercises", in_section(2, source="def double(x):\n    return x"), "a stub defines one name"),
    ("exercises", in_section(3, source='x = 1\ncheck("twice", double)'), "nothing else"),
    ("exercises", in_section(3, outputs=[]), 'the card "not solved yet" of 1.1'),
    ("exercises", in_section(4, source='double_solution = 1\ncheck("twice", double_solution)'), "its first line must"),
    ("exercises", exercises_with(lambda c: c[4].metadata.pop("jupyter")), "fold it"),
    ("exercises", in_section(4, source='# Solution to exercise 1.1\ndouble = 2\ncheck("twice", double)'), "not double"),
    ("exercises", in_section(4, source="# Solution to exercise 1.1\ndouble_solution = 2"), "end with check"),
    ("exercises", in_section(4, outputs=[]), 'the card "right" of 1.1'),
    ("data_in_use", output(3), "does not say which"),
    ("plain_python", put(5, "%%time\nx = 1"), "%%time"),
    ("plain_python", put(5, "x = 1\n" * 41), "41 lines"),
    ("no_trailing_semicolons", put(5, "plot('a;');  # quiet"), "line 1"),
    ("imports", put(5, "import pandas as pd"), "pandas"),
    ("imports", put(5, "def f():\n    from sklearn.svm import SVC"), "sklearn.svm"),
    ("imports", put(5, "from .other import x"), ".other"),
]


@pytest.mark.parametrize(("name", "break_it", "words"), BROKEN, ids=[f"{b[0]}-{i}" for i, b in enumerate(BROKEN)])
def test_a_broken_notebook_is_found(sample, name, break_it, words):
    break_it(sample)
    if sample.path.read_text("utf-8") == run.as_text(good_notebook()):  # else the test has changed the file itself
        sample.write()
    rule = next(rule for rule in rules.RULES if rule.__name__ == name)
    messages = rule(sample.notebook, sample.path)
    assert any(words in message for message in messages), messages


def test_every_rule_is_tested_and_says_what_it_wants():
    assert {rule.__name__ for rule in rules.RULES} == {name for name, _, _ in BROKEN}
    assert NOTEBOOKS, "and there are notebooks to which it is applied"
    assert all(rule.__doc__ for rule in rules.RULES)


def instead_of_an_assert(cell):
    """The sample's cell that asserts, gone, and this one in its place."""
    return lambda s: (put(6, "print('It holds;')")(s), claims_of(cell)(s))


KEPT = [
    lambda s: put(2, "## X\n\n[a](https://example.org/home/x) [b](02_and_then.ipynb 'title') `[c](none.md)`")(s),
    put(6, "assert 1; y = 2\nname = 'a;'\ntext = '''\nplot(x);\n'''\n# x;"),
    put(6, "from matplotlib import pyplot as plt\nimport numpy as np, os.path\nassert np"),
    put(7, "## What we found\n\n**Next:** a line,\nthen [02 · And then?](02_and_then.ipynb)"),
    lambda s: (s.folder / "02_and_then.ipynb").unlink() or put(7, "## What we found\n\nThe last of all.")(s),
    lambda s: output(6, new_output("error", ename="E", evalue="", traceback=[]))(s) or tag(6, "raises-exception")(s),
    instead_of_an_assert(claimed()),
    claims_of(*(claimed(f"no{i}", f"1.{i}") for i in range(1, 12)), slugs=[f"no{i}" for i in range(1, 12)]),
    claims_of(claimed(written='claims.claim(slug="slower", arms=steps)')),
    claims_of(claimed(written='for arm in arms:\n    measure(arm)\n\n\nclaim("slower", steps)\nprint("done")')),
    exercises_with(
        lambda c: c.extend(exercise("1.3", "more") + exercise("1.4", "most")), ["twice", "a-layer", "more", "most"]
    ),
    in_section(2, source="double: int = None  # a number"),
    lesson(slides="<!-- cell c5, show both, lines 1-1 -->\n\n## One pixel\n\nNote: Ask.\n\n<!-- cell c2 -->\n\nLook."),
]


@pytest.mark.parametrize("change", KEPT, ids=range(len(KEPT)))
def test_what_is_allowed_is_not_a_fault(sample, change):
    change(sample)
    if "## X" in sample.cells[2].source:
        sample.cells[4].source = "### A figure\n\nBelow."
    sample.write()
    assert faults(sample) == {}


def test_what_figures_and_claims_show_is_what_the_rules_ask_for(sample):
    claims_of(claimed())(sample)
    with patch("IPython.display.display") as display:  # it is given bytes, which Jupyter encodes
        plots.bars({"a": [1.0, 2.0, 3.0]}, kinds=["with"], ylabel="a", slug="a-pixel")
    shown = [(call.args[0], call.kwargs.get("metadata", {})) for call in display.call_args_list]
    shown = [({key: PIXEL if key == "image/png" else data[key] for key in data}, extra) for data, extra in shown]
    words = {"sentence": "It is.", "said": "ours", "kind": "open", "decides": "A longer run."}
    (sample.lesson / "claims.toml").write_text("[slower]\n" + "\n".join(f'{k} = "{v}"' for k, v in words.items()))
    forget()
    with displayed() as card:
        claim("slower")
    sample.cells[5].outputs = [new_output("display_data", data, metadata=extra) for data, extra in shown]
    sample.cells[7].outputs = card
    assert rules.figures(sample.notebook, sample.path) == []
    assert rules.claims(sample.notebook, sample.path) == []


def test_anchors_in_other_notebooks(sample):
    other = notebook_of([text("# 02 · And then?\n\n## Two `words`\n\nx")])
    run.write(other, sample.folder / "02_and_then.ipynb")
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


CLAIM = f"""from utils.claims import claim
from utils.claims.made import claim_of
from utils.claims.verdicts import NOT

claim("{lessons.slugs("01", "claims")[0]}", {{arms}})"""


def a_claim(alike: bool = False):
    """A cell that makes a claim, recorded not to hold, with its recorded arms, or all alike; and the card of others."""
    made = claim_of(lessons.slugs("01", "claims")[0])
    arms = {arm: row.tolist() for arm, row in made.arms["CIFAR-10"].items()}
    with displayed() as outputs:
        exec(CLAIM.format(arms={arm: [value * 1.001 for value in row] for arm, row in arms.items()}))
    assert made.verdict == NOT
    written = CLAIM.format(arms=dict.fromkeys(arms, next(iter(arms.values()))) if alike else arms)
    return code(written, outputs=outputs)


def planted_cells() -> tuple[list, set[int]]:
    """Cells of which some are faulty, and the places of those that nbval must find red."""
    made = [
        code("import random", "setup"),
        code("print('shape:', (2, 3))", outputs=[said("shape: (2, 3)\n")]),
        code("random.random()", "nbval-ignore-output", outputs=[said("0.25\n")]),
        a_claim(),
    ]
    good = len(made)
    made += [
        code("print('shape:', (2, 3))", outputs=[said("shape: (3, 2)\n")]),
        code("print('shape:', (2, 3))"),
        code("print('shape:', (2, 3))\nassert 1 == 2", outputs=[said("shape: (2, 3)\n")]),
        code("1 / 0", "nbval-ignore-output"),
        a_claim(),
        a_claim(),
        a_claim(alike=True),  # then there is no difference, and the record is contradicted
    ]
    other_words, more_often, _ = made[-3:]
    card = other_words.outputs[0].data
    card["text/html"] = card["text/html"].replace("Found:", "Found at last:")
    more_often.outputs *= 2
    return made, set(range(good, len(made)))


@pytest.mark.proof
def test_nbval_on_planted_faults(tmp_path):
    made, faulty = planted_cells()
    nbformat.write(notebook_of(made), tmp_path / "planted.ipynb")
    report = tmp_path / "report.xml"
    done = subprocess.run(
        [*nbval_command(tmp_path), f"--junit-xml={report}"], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    cases = {int(case.get("name").split()[-1]): case for case in ElementTree.parse(report).iter("testcase")}
    red = {place for place, case in cases.items() if any(child.tag in ("failure", "error") for child in case)}
    assert sorted(cases) == list(range(len(made))), done.stdout + done.stderr
    assert red == faulty, done.stdout + done.stderr
    assert done.returncode == 1
