"""What `make handouts` writes: nothing that is to be found out, and everything else."""

from __future__ import annotations

import os
import re
import subprocess
from types import SimpleNamespace

import nbformat
import notebook_rules as rules
import pytest
from claim_lessons import displayed
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebook_rules import NOTEBOOKS, ROOT

from tools import handouts, run, slide_texts
from tools import test as test_tool
from utils import lessons
from utils.exercises import check
from utils.exercises.definitions import of_notebook

OF_EXECUTED = {"claims", "committed_form", "data_in_use", "exercises", "figures"}  # they ask for outputs, or solutions
TRIVIAL = 12  # characters: a shorter line of a solution may stand anywhere, such as `return x`

each = pytest.mark.parametrize("name", [path.name for path in NOTEBOOKS], ids=lambda name: name[:2])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The handouts and the instructor's copies of all notebooks: name → notebook."""
    root = tmp_path_factory.mktemp("project")
    (root / "data").mkdir()
    (root / "data" / "README.md").touch()
    for path in NOTEBOOKS:
        handouts.build(path, root)

    def read(folder):
        return {path.name: nbformat.read(path, as_version=4) for path in (root / "build" / folder).glob("*.ipynb")}

    stored = {path.name: nbformat.read(path, as_version=4) for path in NOTEBOOKS}
    return SimpleNamespace(root=root, stored=stored, handouts=read("handouts"), instructor=read("instructor"))


def lines(cells):
    return {line.strip() for cell in cells for line in cell.source.splitlines()}


def solutions(notebook):
    return [cell for cell in notebook.cells if "solution" in rules.tags(cell)]


def test_every_notebook_has_both_copies(built):
    names = {path.name for path in NOTEBOOKS}
    assert set(built.handouts) == set(built.instructor) == names


def test_no_handout_holds_a_line_of_a_solution(built):
    """But for lines that the lesson itself holds, in a cell that is no solution."""
    told = lines(
        cell for notebook in built.stored.values() for cell in notebook.cells if cell not in solutions(notebook)
    )
    secret = lines(cell for notebook in built.stored.values() for cell in solutions(notebook)) - told
    secret = {line for line in secret if len(line) >= TRIVIAL and not any(line in other for other in told)}
    assert len(secret) > 20
    for name, notebook in built.handouts.items():
        text = nbformat.writes(notebook)
        plain = "\n".join(cell.source for cell in notebook.cells)
        assert not [line for line in secret if line in plain], name
        assert "Solution to exercise" not in text
        assert "_solution" not in text
        assert handouts.OF_SOLUTIONS.strip() not in plain


@each
def test_a_handout_is_the_notebook_without_outputs_and_solutions(built, name):
    kept = [cell for cell in built.stored[name].cells if "solution" not in rules.tags(cell)]
    made = built.handouts[name].cells
    assert [cell.id for cell in made] == [cell.id for cell in kept]
    for mine, theirs in zip(made, kept, strict=True):
        if mine.cell_type == "code":
            assert mine.source == theirs.source
            assert mine.outputs == []
            assert mine.execution_count is None


@each
def test_a_handout_gives_no_figure_and_no_remark_away(built, name):
    """But for words that the lesson itself has: what is to be found out stands in lessons/, and nowhere else."""
    text = nbformat.writes(built.handouts[name])
    for slug in lessons.slugs(name[:2], "figures"):
        assert lessons.alternative_text(slug) not in text
    for words in slide_texts.read(ROOT / "notebooks" / name, built.stored[name]).values():
        assert not words.remark or words.remark not in text


@each
@pytest.mark.parametrize("folder", ["handouts", "instructor"])
def test_form(built, folder, name):
    notebook, path = getattr(built, folder)[name], built.root / "build" / folder / name
    faults = {rule.__name__: rule(notebook, path) for rule in rules.RULES if rule.__name__ not in OF_EXECUTED}
    assert not {rule: found for rule, found in faults.items() if found}


@each
def test_the_instructors_copy_shows_everything(built, name):
    made, stored = built.instructor[name], built.stored[name]
    assert [c.get("outputs") for c in made.cells if c.cell_type == "code"] == [
        c.get("outputs") for c in stored.cells if c.cell_type == "code"
    ]
    for cell in solutions(made):
        assert "hide-input" not in rules.tags(cell)
        assert "jupyter" not in cell.metadata
    text = "\n".join(cell.source for cell in made.cells)
    assert all(words.remark in text for words in slide_texts.read(ROOT / "notebooks" / name, stored).values())
    for slug, exercise in of_notebook(name[:2]).items():
        assert f"**For the lecturer: exercise {lessons.number_of('exercises', slug)}.**" in text
        assert all(mistake.message in text for mistake in exercise.mistakes)


# --- running them


SLUG = lessons.slugs("02", "exercises")[0]
SMALL = "02_a_small_one.ipynb"


def small_notebook(folder, number="None"):
    """A notebook with one exercise, of which the handout takes a second to run; `number` is the stub's answer."""
    with displayed() as card:
        check(SLUG, None)
    slide = {"slideshow": {"slide_type": "skip"}}
    cells = [
        new_markdown_cell("# 02 · A small one?", metadata=slide),
        new_code_cell(
            "from utils.exercises import check", metadata=slide, outputs=[new_output("stream", text="an output\n")]
        ),
        new_markdown_cell(f"## Exercises\n\nTry.{handouts.OF_SOLUTIONS}", metadata=slide),
        new_code_cell(f"number = {number}", metadata={**slide, "tags": ["exercise"]}),
        new_code_cell(f'check("{SLUG}", number)', metadata={**slide, "tags": ["exercise-check"]}, outputs=card),
    ]
    run.write(new_notebook(cells=cells), folder / SMALL)


@pytest.mark.proof
@pytest.mark.parametrize(("number", "failed"), [("None", []), ("1", ["Cell 2"]), ("1 / 0", ["Cell 1", "Cell 2"])])
def test_nbval_compares_what_the_checks_of_the_handouts_say(tmp_path, number, failed):
    """By the command of `make test-handouts`: green if they say "not solved yet", red if not, or if a cell fails."""
    small_notebook(tmp_path / "notebooks", number)
    left = tmp_path / "build" / handouts.FOR_NBVAL / "01_left_from_before.ipynb"
    left.parent.mkdir(parents=True)
    left.touch()
    assert handouts.main(["--expect"], tmp_path) == 0
    stages = {name: command for name, command, _ in test_tool.stages(ROOT, 1, "handouts")}
    assert stages["making of handouts"][1:] == ["-m", "tools.handouts", "--expect"]
    command = [str(left.parent) if word == f"build/{handouts.FOR_NBVAL}" else word for word in stages["handouts"]]
    assert str(left.parent) in command
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-rf"], cwd=ROOT, capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert re.findall(r"(?m)^FAILED .*::(Cell \d+)", done.stdout) == failed, done.stdout + done.stderr
    assert done.returncode == bool(failed)


@each
def test_handouts_for_nbval_are_the_handouts_and_expect_what_the_checks_say(built, name):
    made, given = handouts.expecting(built.stored[name]), built.handouts[name]
    assert [cell.source for cell in made.cells] == [cell.source for cell in given.cells]
    compared = [cell for cell in rules.code_cells(made) if cell.execution_count is not None]
    assert [rules.checked(cell)[0][0] for cell in compared] == list(of_notebook(name[:2]))
    assert all("not solved yet" in cell.outputs[0].data["text/html"] for cell in compared)
    assert all("nbval-ignore-output" not in rules.tags(cell) for cell in compared)
    assert all(not cell.outputs for cell in rules.code_cells(made) if cell not in compared)


def test_a_stored_check_that_says_anything_else_is_a_failure(tmp_path, capsys):
    path = tmp_path / "notebooks" / SMALL
    small_notebook(path.parent)
    stored = nbformat.read(path, as_version=4)
    stored.cells[4].outputs[0].metadata["exercise"]["state"] = "right"
    run.write(stored, path)
    assert handouts.main(["--expect"], tmp_path) == 1
    assert "FAILED: cell 5: its check says ['right']" in capsys.readouterr().out
