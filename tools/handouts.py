"""Writes what a lecturer gives away, and what a lecturer keeps (`make handouts`).

    python -m tools.handouts [NAME...]        build/handouts/ and build/instructor/, from notebooks/; of all of them
                                              (no NAME) also one student's archive and the page of symbols
    python -m tools.handouts --expect         the same, and build/handouts-test/: the handouts once more,
                                              for nbval (`make test-handouts`)

A handout is a notebook without its solutions and its outputs. What is to be found out stands nowhere in it: the
figures' alternative texts, what the slides say and what the checks look for are in `lessons/`. The instructor's copy
has the solutions unfolded, the outputs, the remarks, and under each exercise what its check looks for. The archive
(archive.py) runs by itself, the page (sheet.py) is for paper.

A handout for nbval differs in one thing: the cell of each check holds what it must say, "not solved yet". nbval
compares cells that have a count, and those are the only ones; the others it only runs.

NAME is the beginning of a file's name: 01, or 03_what.
"""

import argparse
import shutil
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

from tools import archive, sheet, slide_texts
from tools.calling import call
from tools.run import NotebookFailure, select, write
from utils.exercises.definitions import Choice, Number, of_notebook
from utils.lessons import number_of

ROOT = Path(__file__).resolve().parent.parent
FOR_NBVAL = "handouts-test"  # the folder in build/
NOTES = {"slideshow": {"slide_type": "notes"}}
OF_SOLUTIONS = " The solution is the folded cell after the check."  # stands under "## Exercises"


def tags(cell):
    return cell.metadata.get("tags", [])


# --- the handout


def moved(source):
    """Markdown whose links lead out of build/handouts/ as they led out of notebooks/."""
    return source.replace("](../", "](../../")


def handout(notebook, links=moved):
    """A notebook as it is given away: a new one, without solutions and outputs; `links` puts a text's links right."""
    made = nbformat.from_dict(notebook)
    made.cells = [cell for cell in made.cells if "solution" not in tags(cell)]
    for cell in made.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = links(cell.source.replace(OF_SOLUTIONS, ""))
    return made


# --- the instructor's copy


def instructor(notebook, exercises, texts):
    """A notebook for the lecturer: outputs kept, solutions unfolded, and what each check looks for.

    Args:
        notebook: as nbformat reads it.
        exercises: slug → exercise, in the order in which their solutions stand there.
        texts: what `tools.slide_texts.read` found about its cells.
    """
    made = nbformat.from_dict(notebook)
    cells, left = [], iter(exercises.items())
    for cell in made.cells:
        if cell.cell_type == "markdown":
            cell.source = moved(cell.source)
        if cell.id in texts and (remark := texts[cell.id].remark):
            cells.append(new_markdown_cell(f"**For the lecturer.** {remark}", id=f"remark-{cell.id}", metadata=NOTES))
        cells.append(cell)
        if "solution" in tags(cell):
            cell.metadata["tags"] = [tag for tag in tags(cell) if tag != "hide-input"]
            cell.metadata.pop("jupyter", None)
            cells.append(new_markdown_cell(remarks(*next(left)), id=f"remarks-{cell.id}", metadata=NOTES))
    made.cells = cells
    return made


def remarks(slug, exercise):
    """What a lecturer wants to know of an exercise: the mistakes its check names, and the hints."""
    lines = [f"**For the lecturer: exercise {number_of('exercises', slug)}.** Its check names these mistakes:", ""]
    for mistake in exercise.mistakes:
        given = f"{mistake.value:.4g}: " if isinstance(exercise, Number) else ""
        given = f"{mistake.key}: " if isinstance(exercise, Choice) else given
        lines.append(f"- {given}{mistake.message}")
    lines += ["", "Its hints:", "", *(f"{i}. {hint}" for i, hint in enumerate(exercise.hints, 1))]
    return "\n".join([*lines, *(["", f"To take away: {exercise.remark}"] if exercise.remark else [])])


# --- running the handouts


def expecting(notebook):
    """A handout for nbval: the cells of its checks, and no others, hold what they must say.

    Raises:
        NotebookFailure: the stored notebook's check does not say "not solved yet".
    """
    made = handout(notebook)
    stored = {cell.id: cell for cell in notebook.cells}
    for number, cell in enumerate(made.cells, 1):
        if "exercise-check" in tags(cell):
            require_unsolved(number, stored[cell.id])
            cell.outputs, cell.execution_count = stored[cell.id].outputs, number
    return made


def require_unsolved(number, cell):
    states = [output.metadata.exercise.state for output in cell.outputs if "exercise" in output.get("metadata", {})]
    if states != ["not solved yet"]:
        raise NotebookFailure(f"cell {number}: its check says {states}, not 'not solved yet'")


def build(path, root=ROOT, expect=False):
    """Write the two copies of a notebook, and with `expect` the one for nbval; the path of the handout."""
    stored = nbformat.read(path, as_version=4)
    lecturers = instructor(stored, of_notebook(path.name[:2]), slide_texts.read(path, stored))
    copies = {"handouts": handout(stored), "instructor": lecturers}
    if expect:
        copies[FOR_NBVAL] = expecting(stored)
    for folder, made in copies.items():
        write(made, root / "build" / folder / path.name)
    return root / "build" / "handouts" / path.name


def for_one_student(root, path):
    """Write the archive that a student unpacks and runs. Its notebooks lie where they lay: no link moves."""
    stored = {there.name: nbformat.read(there, as_version=4) for there in select(root / "notebooks", [])}
    return archive.write(root, {name: handout(notebook, links=str) for name, notebook in stored.items()}, path)


def main(arguments, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="the beginning of a file's name, such as 01")
    parser.add_argument("--expect", action="store_true", help=f"write copies for nbval to build/{FOR_NBVAL}, too")
    options = parser.parse_args(arguments)
    failed = 0
    if options.expect:  # whatever is left there from before would be tested, too
        shutil.rmtree(root / "build" / FOR_NBVAL, ignore_errors=True)
    for path in select(root / "notebooks", options.names):
        start = time.monotonic()
        try:
            build(path, root, options.expect)
        except (NotebookFailure, OSError, ValueError) as problem:
            failed += 1
            print(f"[handouts] {path.stem:<48} FAILED: {problem}", flush=True)
        else:
            print(f"[handouts] {path.stem:<48} {time.monotonic() - start:6.1f} s  ok", flush=True)
    print("[handouts] written to build/handouts (to give away) and build/instructor (to keep)")
    if not options.names and not failed and not options.expect:
        size = for_one_student(root, root / archive.PLACE).stat().st_size / 1e6
        print(f"[handouts] {archive.PLACE}: all that a student needs, {size:.1f} MB")
        try:
            print(f"[handouts] {sheet.write(root)}")
        except sheet.SheetError as problem:
            failed += 1
            print(f"[handouts] {sheet.PLACE} FAILED: {problem}")
    return 1 if failed else 0


if __name__ == "__main__":
    call("handouts", main)
