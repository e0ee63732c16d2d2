"""A new lesson, and a notebook with another number: every number that is one follows, and nothing else changes."""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from notebook_rules import ROOT

from tools import lesson, notebook_numbers, renumber, run

COURSE = notebook_numbers.Course(
    stems={3: "03_what", 9: "09_how_large", 10: "10_what_size", 11: "11_over_what"},
    questions={9: "How large?", 10: "What size?"},
    counts={(9, "claim"): 6, (9, "exercise"): 3, (10, "exercise"): 3},
)
MOVED = renumber.moving(9, 11)


def follow(text, own=None):
    return notebook_numbers.renumbered(text, notebook_numbers.spans(text, COURSE, own), MOVED)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Before: [09 · How large?](09_how_large.ipynb)", "Before: [11 · How large?](11_how_large.ipynb)"),
        ("[09](../x/09_how_large.ipynb), [10](10_x.ipynb)", "[11](../x/11_how_large.ipynb), [10](10_x.ipynb)"),
        ("| [9.1](notebooks/09_how_large.ipynb) | 9.1 % |", "| [11.1](notebooks/11_how_large.ipynb) | 9.1 % |"),
        ('<a href="09_how_large.ipynb">9.1</a> 9.1', '<a href="11_how_large.ipynb">11.1</a> 9.1'),
        ("# 10 · What size?\n\n10 · Other", "# 09 · What size?\n\n10 · Other"),
        ("notebook 03, notebooks 09, 10 and 11, notebook 12", "notebook 03, notebooks 11, 09 and 10, notebook 12"),
        ("Notebook\n10; notebook [10](10_what_size.ipynb).", "Notebook\n09; notebook [09](09_what_size.ipynb)."),
        ("notebooks 09 to 11: 10 of them", "notebooks 11 to 10: 10 of them"),
        ("claims 9.1 and 9.6, claim 9.7, claims 0.3", "claims 11.1 and 11.6, claim 9.7, claims 0.3"),
        ("### Exercise 10.2 · Ten\n\n*10 minutes*", "### Exercise 9.2 · Ten\n\n*10 minutes*"),
        ("# Solution to exercise 9.3\nx = 9.3", "# Solution to exercise 11.3\nx = 9.3"),
        ("<strong>Claim 9.2</strong> 9.2", "<strong>Claim 11.2</strong> 9.2"),
        ("lessons/nb09/slides.md, nb12", "lessons/nb11/slides.md, nb12"),
        ('board(".", before="10")', 'board(".", before="09")'),
        ("0.09, 10 %, 09:10, 2009, 10-fold, 1109_how_large, CIFAR-10, $10$", None),
        ("# --- 10.2 accumulate", None),
    ],
)  # fmt: skip
def test_numbers_of_notebooks_follow_and_no_others(text, wanted):
    assert follow(text) == (wanted or text)


def test_a_lessons_own_sections_follow():
    assert follow("# --- 10.2 accumulate\n# --- 9.1", own=10) == "# --- 9.2 accumulate\n# --- 9.1"


@pytest.mark.parametrize(("start", "end"), [(9, 11), (11, 9), (9, 10)])
def test_all_numbers_change_at_once_and_come_back(start, end):
    there = renumber.moving(start, end)
    assert sorted(there) == sorted(there.values())
    assert {new: old for old, new in there.items()} == renumber.moving(end, start)


@pytest.mark.parametrize(
    ("text", "doubts"),
    [
        ("01, 02; then 10, 12\n10 more", ["1: … 01, 02; then 10, 12 …"]),
        ("the gap stays (09)", ["1: … the gap stays (09) …"]),
        ("notebooks 09 to 12", ["1: a range: notebooks 09 to 12"]),
        ("the second claim of notebook 09 is 9.2", ["1: … claim of notebook 09 is 9.2 …"]),
        ("10 minutes, <!-- cell 09 -->, 0.09, notebook 09, | 10 |", []),
    ],
)
def test_what_cannot_be_decided_is_told(text, doubts):
    found = notebook_numbers.doubtful(text, notebook_numbers.spans(text, COURSE), MOVED)
    assert [f"{line}: {what}" for line, what in found] == doubts


def test_rows_and_sections_come_in_the_order_of_their_numbers():
    rows = [f"| [{number}](x.ipynb) | b |\n" for number in ("2.10", "2.9", "10.1", "1.1")]
    assert notebook_numbers.in_order("| [7](y) |\n\n" + "".join(rows)) == "| [7](y) |\n\n" + "".join(
        rows[i] for i in (3, 1, 0, 2)
    )
    assert notebook_numbers.in_order("## 02 · B\n\nb\n\n## 01 · A\n\na\n\n## End\n") == (
        "## 01 · A\n\na\n\n## 02 · B\n\nb\n\n## End\n"
    )


# --- on a copy of the course

FORM = """
import sys
sys.path.insert(0, "tests")
import nbformat, notebook_rules as rules
for path in rules.NOTEBOOKS:
    notebook = nbformat.read(path, as_version=4)
    print(path.stem[3:], *(len(rule(notebook, path)) for rule in rules.RULES))
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the course, in which commands run."""
    folder = tmp_path_factory.mktemp("course")
    unwanted = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    for name in ("notebooks", "lessons", "utils", "tools", "kit", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for name in ("README.md", "CONTRIBUTING.md", "data/README.md", "tests/notebook_rules.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def python(course, *arguments):
    env = {**os.environ, "PYTHONPATH": str(course), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=course, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def contents(course):
    return {path.relative_to(course): path.read_bytes() for path in course.rglob("*") if path.is_file()}


def faults(course):
    """Name of a notebook → how many faults each rule finds in it."""
    return dict(line.split(maxsplit=1) for line in python(course, "-c", FORM).splitlines())


@pytest.fixture(scope="module")
def form(course):
    """The faults before anything is moved."""
    return faults(course)


@pytest.mark.proof
def test_a_notebook_moves_with_all_its_numbers_and_back(course, form):
    before = contents(course)
    listed = python(course, "-m", "tools.lesson", "--dry-run", "move", "09", "11")
    assert "### Exercise [9 → 11].1" in listed
    assert contents(course) == before
    python(course, "-m", "tools.lesson", "move", "09", "11")
    assert faults(course) == form
    [path] = (course / "notebooks").glob("11_*")
    [old] = [name for name in before if name.match(f"notebooks/09_{path.name[3:]}")]
    assert nbformat.read(path, as_version=4).cells[0].source.startswith("# 11 · ")
    assert old.name not in "".join(page.read_text("utf-8") for page in course.rglob("*.md"))
    for name in ("claims.toml", "figures.toml"):
        assert (course / "lessons" / "nb11" / name).read_bytes() == before[
            (ROOT / "lessons" / "nb09" / name).relative_to(ROOT)
        ]
    python(course, "-m", "tools.lesson", "move", "11", "09")
    assert contents(course) == before


@pytest.mark.proof
def test_a_new_lesson_keeps_every_rule_and_the_last_stays_the_last(course, form):
    names = sorted(path.name for path in (course / "notebooks").iterdir())
    said = python(course, "-m", "tools.lesson", "new", "How deep is 'deep'?")
    place = int(names[-1][:2])
    assert f"lessons/nb{place:02d}/" in said
    now = faults(course)
    assert set(now.pop("how_deep_is_deep").split()) == {"0"}
    assert now == form
    last = sorted(path.name for path in (course / "notebooks").iterdir())[-2:]
    assert last == [f"{place:02d}_how_deep_is_deep.ipynb", f"{place + 1:02d}{names[-1][2:]}"]
    assert f"| [{place:02d}](notebooks/{last[0]}) | How deep is 'deep'? |" in (course / "README.md").read_text("utf-8")
    assert f"\n## {place:02d} · How deep is 'deep'?\n" in (course / "docs" / "lecturers.md").read_text("utf-8")


def test_what_is_in_the_way_changes_nothing(tmp_path):
    lesson = tmp_path / "lessons" / "nb02"
    lesson.mkdir(parents=True)
    project = renumber.Project.__new__(renumber.Project)
    project.root, project.new, project.paths, project.texts = tmp_path, {1: 2}, {}, {tmp_path / "README.md": "x"}
    (tmp_path / "lessons" / "nb01").mkdir()
    with pytest.raises(renumber.LessonError, match="nb02 is in the way"):
        project.write()
    assert not (tmp_path / "README.md").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["move", "00", "03"], "two different numbers from 01 to "),
        (["move", "3", "04"], "two different numbers"),
        (["new", "How deep"], "with a question mark"),
        (["new", "Normalize over what?"], "there is a notebook normalize_over_what already"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(arguments, words, capsys, monkeypatch):
    monkeypatch.setattr(run, "write", lambda *_: pytest.fail("it wrote"))
    assert lesson.main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("[lesson] ")
    assert said.count("\n") == 1
    assert words in said
