"""What `make handouts` writes: nothing that is to be found out, and everything else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import nbformat
import notebook_rules as rules
import pytest
import torch
from claim_lessons import displayed
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebook_rules import NOTEBOOKS, ROOT
from test_house import FORBIDDEN, found

from tools import archive, handouts, run, sheet, slide_texts
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
    for page in ("data/README.md", "docs/symbols.md"):  # what notebooks link to
        (root / page).parent.mkdir()
        (root / page).touch()
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


# --- one student's archive


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """One student's archive, unpacked: its folder, and of each file what can be read in it, spaces aside."""
    root = tmp_path_factory.mktemp("student")
    packed = handouts.for_one_student(ROOT, root / "handouts.zip")
    with zipfile.ZipFile(packed) as opened:
        assert {name.split("/")[0] for name in opened.namelist()} == {archive.TOP}
        opened.extractall(root)
    folder = root / archive.TOP
    texts = {}
    for path in filter(Path.is_file, folder.rglob("*")):
        text = path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".ipynb":
            text += "\n".join(cell.source for cell in nbformat.reads(text, as_version=4).cells)
        texts[path.relative_to(folder).as_posix()] = plain(text)
    return SimpleNamespace(folder=folder, texts=texts, packed=packed)


def plain(text):
    return " ".join(text.split())


def found_in(student, secrets):
    """(the secret, the file) of each that can be read somewhere."""
    return [(secret, name) for secret in secrets for name, text in student.texts.items() if secret in text]


def test_the_archive_is_the_same_bytes_every_time(student, tmp_path):
    again = handouts.for_one_student(ROOT, tmp_path / "again.zip")
    assert again.read_bytes() == student.packed.read_bytes()


def test_no_solution_can_be_read_in_the_archive(student, built):
    """But for lines that the lessons hold themselves, or the code that they import."""
    rooms = [path for room in ("utils", "kit/src") for path in (ROOT / room).rglob("*.py")]
    told = {
        plain(line)
        for path in [*rooms, *(ROOT / "tools").glob("*.py")]
        for line in path.read_text("utf-8").splitlines()
    }
    given = [cell for notebook in built.stored.values() for cell in notebook.cells if cell not in solutions(notebook)]
    told |= set(map(plain, lines(given)))
    secret = {plain(line) for notebook in built.stored.values() for line in lines(solutions(notebook))} - told
    secret = {line for line in secret if len(line) >= TRIVIAL and not any(line in other for other in told)}
    assert len(secret) > 300
    assert found_in(student, secret) == []


def test_no_message_and_no_figure_and_no_finding_can_be_read_in_the_archive(student):
    secret = set()
    for number in lessons.numbers():
        for exercise in of_notebook(number).values():
            secret |= {*exercise.hints, exercise.remark, *(mistake.message for mistake in exercise.mistakes)}
        secret |= {lessons.alternative_text(slug) for slug in lessons.slugs(number, "figures")}
        secret |= {claim.get("finding", "") for claim in lessons.table(number, "claims").values()}
    secret = {plain(words) for words in secret if len(words) >= TRIVIAL}
    assert len(secret) > 500
    assert found_in(student, secret) == []


def test_no_code_of_a_check_can_be_read_in_the_archive(student):
    first = [path.read_text("utf-8").splitlines()[0] for path in (ROOT / "lessons").glob("nb*/exercises.py")]
    assert len(first) > 10
    assert found_in(student, map(plain, first)) == []
    assert not [name for name, text in student.texts.items() if "exercises.definitions import Code" in text]
    assert not [
        name for name in student.texts if name.startswith("lessons/") or name.endswith(("answers.py", "slides.md"))
    ]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_archive_names_no_registry_and_no_machine(student, what):
    hits = {name: found(text, FORBIDDEN[what]) for name, text in student.texts.items() if "\0" not in text}
    assert not {name: lines for name, lines in hits.items() if lines}
    assert not [name for name, text in student.texts.items() if str(ROOT) in text or "index-url" in text]


def test_what_the_archive_is_installed_from_is_in_it(student):
    project = tomllib.loads((student.folder / "pyproject.toml").read_text("utf-8"))["project"]
    kit = tomllib.loads((student.folder / "kit" / "pyproject.toml").read_text("utf-8"))["project"]
    needed = [project["readme"], *project["license-files"], f"kit/{kit['readme']}", "requirements.txt", "Makefile"]
    assert not [name for name in needed if not (student.folder / name).is_file()]
    assert {f"notebooks/{path.name}" for path in NOTEBOOKS} <= set(student.texts)
    drawn = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "utils" / "plots").rglob("*") if path.suffix != ".pyc"
    }
    assert {name for name in drawn if (ROOT / name).is_file()} <= set(student.texts)
    assert not [name for name in student.texts if "__pycache__" in name or ".egg-info" in name]
    for path in NOTEBOOKS:  # its links lead to what is there
        for cell in nbformat.read(student.folder / "notebooks" / path.name, as_version=4).cells:
            for target in re.findall(r"\]\((?!http)([^)#\s]+)", cell.source if cell.cell_type == "markdown" else ""):
                assert (student.folder / "notebooks" / target).exists(), f"{path.name}: {target}"


def in_folder(folder, code):
    """What a Python prints whose course is the one in `folder`; JSON."""
    places = os.pathsep.join([str(folder), str(folder / "kit" / "src")])
    env = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


ASKED = """
import importlib.util, json, pathlib, sys
import utils
from utils import lessons
from utils.exercises import examine
from utils.exercises.definitions import Choice, Number, Task, of_notebook

answers = pathlib.Path({answers!r})
said = []

def ask(slug, name, answer):
    verdict = examine(slug, answer)
    said.append([slug, name, verdict.number, verdict.state, verdict.key, verdict.message])

for number in lessons.numbers():
    tried = {{}}
    if number in {tried}:
        spec = importlib.util.spec_from_file_location("answers", answers / f"nb{{number}}" / "answers.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        tried = module.ANSWERS
    for slug, exercise in of_notebook(number).items():
        ask(slug, "nothing", None)
        if isinstance(exercise, (Choice, Number)):
            ask(slug, "right", exercise.right)
            for mistake in exercise.mistakes:
                ask(slug, mistake.key, mistake.key if isinstance(exercise, Choice) else mistake.value)
        elif slug in tried:
            for place, answer in enumerate(tried[slug].right):
                ask(slug, f"right {{place}}", answer)
            for key, answer in tried[slug].wrong:
                ask(slug, key, answer)
print(json.dumps({{"from": utils.__path__[0], "said": said}}))
"""


@pytest.mark.proof
def test_the_checks_say_in_the_archive_what_they_say_here(student, tmp_path):
    """Of every letter and number, and in some lessons of every answer that is code, right or wrong."""
    tried = ["02", "03", "12"]
    for number in tried:  # elsewhere: in the folder of the lessons they would not count as a learner's
        (tmp_path / f"nb{number}").mkdir()
        shutil.copy(ROOT / "lessons" / f"nb{number}" / "answers.py", tmp_path / f"nb{number}")
    code = ASKED.format(answers=str(tmp_path), tried=tried)
    here, there = in_folder(ROOT, code), in_folder(student.folder, code)
    assert Path(here["from"]) == ROOT / "utils"
    assert Path(there["from"]) == student.folder / "utils"
    assert there["said"] == here["said"]
    states = Counter(state for _, name, _, state, key, message in there["said"])
    assert states["not solved yet"] == sum(len(of_notebook(number)) for number in lessons.numbers())
    assert states["right"] > 30
    assert states["not right yet"] > 80
    for slug, name, _, state, key, message in there["said"]:
        if name.startswith("right"):
            assert state == "right", slug
        elif name != "nothing":
            assert (state, key) == ("not right yet", name), slug
            assert message


def test_an_error_in_the_archive_names_the_learners_line_and_no_line_of_the_check(student):
    code = """
import json, linecache
source = "def standardize(x):\\n    return x.no_such_thing\\n"
linecache.cache["<cell>"] = (len(source), None, source.splitlines(keepends=True), "<cell>")
exec(compile(source, "<cell>", "exec"))
from utils.exercises import examine
verdict = examine("without-a-matrix", standardize)
print(json.dumps([verdict.state, verdict.message]))
"""
    state, message = in_folder(student.folder, code)
    assert state == "not right yet"
    assert "ine 2 of the cell, `return x.no_such_thing`, raises AttributeError" in message
    assert "lessons.packed" not in message


@pytest.mark.proof
def test_the_claims_and_figures_are_there_in_the_archive(student):
    code = """
import json
from utils import lessons, plots
from utils.claims.board import collect, page
from utils.symptoms import symptoms
claims = collect()
slug = lessons.slugs("03", "figures")[0]
said = [str(claims[0].verdict), lessons.alternative_text(slug), str(symptoms("inplace"))]
print(json.dumps([len(claims), page(claims[-1]), *said]))
"""
    there, here = in_folder(student.folder, code), in_folder(ROOT, code)
    assert there == here
    assert there[0] > 50


def test_lab_finds_its_notebooks_in_the_archive(student):
    command = [sys.executable, "-m", "tools.lab", "--only", "99"]
    done = subprocess.run(command, cwd=student.folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "no notebook begins with '99'; there are: 00_is_everything_ready, 01_" in done.stderr


@pytest.mark.proof
def test_a_notebook_runs_in_the_archive(student, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(student.folder), str(student.folder / "kit" / "src")]))
    monkeypatch.setenv("COURSE_DATA", "stand-in")
    [path] = (student.folder / "notebooks").glob("02_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(new_code_cell("import utils\nprint(utils.__path__[0])"))
    run.execute(notebook, path.parent)
    assert notebook.cells[-1].outputs[0].text.strip() == str(student.folder / "utils")
    states = [output.metadata.exercise.state for cell in notebook.cells for output in cell.get("outputs", [])
              if "exercise" in output.get("metadata", {})]  # fmt: skip
    assert states == ["not solved yet"] * len(of_notebook("02"))


def test_a_course_that_has_its_folder_does_not_look_at_a_packed_file(tmp_path):
    assert lessons.opened(tmp_path) == tmp_path / "lessons", "with neither, the error names the folder"
    (tmp_path / lessons.PACKED).write_bytes(archive.packed(ROOT / "lessons"))
    opened = lessons.opened(tmp_path)
    assert (opened / "nb03" / "exercises.toml").exists()
    assert not (opened / "nb03" / "answers.py").exists()
    assert opened.parent == tmp_path
    common = {path.name for path in (ROOT / "lessons").iterdir() if path.is_file()}
    assert common <= {path.name for path in opened.iterdir()}
    (tmp_path / "lessons").mkdir()
    assert lessons.opened(tmp_path) == tmp_path / "lessons"


# --- the page for paper


def test_make_handouts_writes_all_and_of_one_notebook_only_that(tmp_path, monkeypatch, capsys):
    small_notebook(tmp_path / "notebooks")
    made = []
    monkeypatch.setattr(handouts.archive, "write", lambda *given: made.append("archive") or NOTEBOOKS[0])
    monkeypatch.setattr(handouts.sheet, "write", lambda root: made.append("sheet") or "the page")
    assert handouts.main(["02"], tmp_path) == 0
    assert made == []
    assert handouts.main([], tmp_path) == 0
    assert made == ["archive", "sheet"]
    assert "[handouts] the page" in capsys.readouterr().out

    def too_long(root):
        raise sheet.SheetError("it takes 2 pages")

    monkeypatch.setattr(handouts.sheet, "write", too_long)
    assert handouts.main([], tmp_path) == 1
    assert "FAILED: it takes 2 pages" in capsys.readouterr().out


def test_the_page_says_what_a_student_looks_up():
    text = (ROOT / sheet.SOURCE).read_text("utf-8")
    html = sheet.page(text, ROOT / "utils" / "plots" / "fonts")
    assert html.count("@font-face") == len(sheet.FONTS)
    assert html.count('<table class="symbols">') == html.count('<table class="pitfalls">') == 1
    assert len(re.findall(r"(?m)^\| \d+ \|", text)) == 10
    numbers = {path.name[:2] for path in NOTEBOOKS}
    places = [row.split("|")[-2] for row in re.findall(r"(?m)^\| \d+ \|.*", text)]
    assert all(place.strip() and set(re.findall(r"\d\d", place)) <= numbers for place in places)
    for name in ("weight", "bias", "running_mean", "running_var", "momentum=0.1", "eps=1e-5"):
        assert f"<code>{name}</code>" in html, name
    layer = torch.nn.BatchNorm2d(1)
    assert (layer.momentum, layer.eps) == (0.1, 1e-5)


def test_without_a_browser_the_page_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(sheet, "executable", lambda: None)
    assert "left out" in sheet.write(tmp_path)
    assert not (tmp_path / sheet.PLACE).exists()


@pytest.mark.browser
def test_the_page_is_one_page(tmp_path):
    (tmp_path / "docs").mkdir()
    source = (ROOT / sheet.SOURCE).read_text("utf-8")
    (tmp_path / sheet.SOURCE).write_text(source, "utf-8")
    assert "one page" in sheet.write(tmp_path)
    made = (tmp_path / sheet.PLACE).read_bytes()
    assert made.startswith(b"%PDF")
    assert len(made) < 500_000
    (tmp_path / sheet.SOURCE).write_text(source + source, "utf-8")
    with pytest.raises(sheet.SheetError, match=r"takes 2 pages: shorten docs/symbols\.md"):
        sheet.write(tmp_path)


# --- the lecturer's guide


def headings(number):
    """The heading of each section of a lesson's slides: cell → heading; those without one are left out."""
    text = (ROOT / "lessons" / f"nb{number}" / "slides.md").read_text("utf-8")
    parts = re.split(r"(?m)^<!-- (?:cell )?([\w-]+).*-->$", text)[1:]
    found = {cell: re.findall(r"(?m)^## (.+)$", part) for cell, part in zip(parts[::2], parts[1::2], strict=True)}
    return {cell: lines[0] for cell, lines in found.items() if lines}


def planned(name):
    """A plan of lessons/plans.toml by the clock: (minute, notebook, heading, or "" where the slide has none)."""
    plan, rows, now = tomllib.loads((ROOT / "lessons" / "plans.toml").read_text("utf-8"))[name], [], 0
    for part in plan["parts"]:
        [number] = [path.name[:2] for path in NOTEBOOKS if path.stem[3:] == part["notebook"]]
        for cell, minutes in part["minutes"].items():
            rows.append((f"{now:g}".replace(".5", "½"), number, headings(number).get(cell, "")))
            now += minutes
    return rows, now


def test_the_slides_of_each_minute_are_those_of_the_plan():
    guide = (ROOT / "docs" / "lecturers.md").read_text("utf-8")
    said = re.findall(r"(?m)^\| ([\d½]+) \| (0\d) \| (.+?)(?: \*\*\?\*\*)? \|$", guide)
    rows, whole = planned("lecture")
    assert whole == 50
    wanted = "\n".join(f"| {minute} | {number} | {heading or '…'} |" for minute, number, heading in rows)
    assert [row[:2] for row in said] == [row[:2] for row in rows], f"docs/lecturers.md wants:\n{wanted}"
    wrong = [(mine, row) for mine, row in zip(said, rows, strict=True) if row[2] and mine[2] != row[2]]
    assert not wrong, f"docs/lecturers.md wants:\n{wanted}"


def test_the_slides_of_each_hour_are_slides_that_there_are():
    """In the order of the decks; the minutes go up, and end within the hour."""
    guide = (ROOT / "docs" / "lecturers.md").read_text("utf-8")
    rows = [row.split("|")[1:-1] for row in re.findall(r"(?m)^\| \d+ \|.+\| \d+ \|.+\| \d+ \|.+\|$", guide)]
    rows = [row for row in rows if row[1].strip()]
    assert len(rows) > 10
    for place, number in enumerate(("02", "03", "04")):
        minutes = [int(row[2 * place]) for row in rows]
        assert minutes == sorted(set(minutes))
        assert minutes[0] == 0
        assert minutes[-1] < 50
        there = list(headings(number).values())
        places = [there.index(row[2 * place + 1].replace("**?**", "").strip()) for row in rows]
        assert places == sorted(places)


def test_the_slow_cells_are_cells_that_there_are(built):
    """By their section and their code, which may be moved; the seconds are the guide's."""
    guide = (ROOT / "docs" / "lecturers.md").read_text("utf-8")
    rows = re.findall(r"(?m)^\| (\d\d) \| ([^|]+) \| `([^`]+)` \| \d+ \|$", guide)
    assert len(rows) > 10
    for number, section, code in rows:
        heading, sections = "", []
        [notebook] = [made for name, made in built.stored.items() if name.startswith(number)]
        for cell in notebook.cells:
            heading = cell.source.splitlines()[0] if cell.source.startswith("## ") else heading
            if code.replace("\\|", "|").split("…")[0].rstrip() in cell.source:
                sections.append(heading)
        assert f"## {section}" in sections, (number, section, code)
