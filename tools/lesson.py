"""Lays a new lesson, and gives a notebook another number: everything that shows numbers follows, no slug changes.

    python -m tools.lesson new "How deep is deep?"    in front of the last notebook, which moves up by one
    python -m tools.lesson move 09 11                 the first number becomes the second; those in between move by one
    … --dry-run                                       only lists what would be replaced, file by file

What cannot be decided is listed at the end, for somebody to read. The first notebook and the last stay where they are.
"""

import argparse
import os
import re
import sys
from pathlib import Path

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import files, run
from tools.calling import call
from tools.renumber import LessonError, Project, move

ROOT = Path(__file__).resolve().parent.parent
NOT_YET = "Not written yet."
CLAIMS = "# The claims that this notebook tests, in its order; utils/claims/words.py says what each line means.\n"
FIGURES = "# What each figure shows, in words, for whoever cannot see it.\n"
EXERCISE = """[{slug}]
minutes = 5
difficulty = "★☆☆ easy"
right = 0.0
tolerance = 0.01
hints = ["Not written yet."]
look = "what is not written yet"
"""
TASKS = """## Exercises

Write your answer into the cell under the task, run it, then run the check below it: it says at once what is right or \
wrong. Its hints are folded away, each inside the one before. The solution is the folded cell after the check."""


class New:
    """A new lesson in front of the last one, worked out and not yet written.

    Raises:
        LessonError: it is no question, or there is a notebook of this name.
    """

    def __init__(self, question: str, root: Path):
        self.number = max(int(path.name[:2]) for path in run.select(root / "notebooks", []))
        self.question = question
        words = re.findall(r"[a-z0-9]+", re.sub(r"['’]", "", question.lower()))
        if not question.endswith("?") or not words:
            raise LessonError(f'a notebook asks one question, with a question mark: "{question}" is none')
        self.slug, self.name = "-".join(words), "_".join([f"{self.number:02d}", *words])
        self.project = Project({self.number: self.number + 1}, root)
        if self.name[3:] in {stem[3:] for stem in self.project.course.stems.values()}:
            raise LessonError(f"there is a notebook {self.name[3:]} already")
        self.project.links[self.number] = f"[{self.number:02d} · {question}]({self.name}.ipynb)"
        self.project.renumber()
        last, title = f"{self.number + 1:02d}", f"{self.number:02d} · {question}"
        self.insert("README.md", f"| [{last}](notebooks/",
                    f"| [{self.number:02d}](notebooks/{self.name}.ipynb) | {question} | 0 / 0 |\n")  # fmt: skip
        self.insert("docs/lecturers.md", f"## {last} · ", f"## {title}\n\n{NOT_YET}\n\n")

    def insert(self, page: str, before: str, text: str) -> None:
        """Put a text into a page, in front of the line that begins so; nothing if the page has no such line."""
        path = self.project.root / page
        found = self.project.texts.get(path) or path.read_text("utf-8")
        if place := found.find(f"\n{before}") + 1:
            self.project.texts[path] = found[:place] + text + found[place:]
            self.project.said.append(f"{page}: {text.splitlines()[0]}")

    def write(self) -> None:
        """Move the last lesson, write the new one's folder and notebook, and execute that."""
        self.project.write()
        folder = self.project.root / "lessons" / f"nb{self.number:02d}"
        path = self.project.root / "notebooks" / f"{self.name}.ipynb"
        slugs = [f"{self.slug}-{i}" for i in (1, 2)]
        files.write(CLAIMS, folder / "claims.toml")
        files.write("\n\n".join(EXERCISE.format(slug=slug) for slug in slugs), folder / "exercises.toml")
        files.write(FIGURES, folder / "figures.toml")
        files.write(f"<!-- cell 03 -->\n\n## {NOT_YET}\n\nNote: {NOT_YET}\n", folder / "slides.md")
        run.write(self.skeleton(slugs), path)
        _, failure = run.run_one(path, path, in_place=True)
        if failure:
            raise LessonError(f"the new notebook does not run through: {failure}")

    def skeleton(self, slugs: list[str]):
        """The notebook in which nothing is written yet."""
        before, after = self.project.links[self.number - 1], self.project.links[self.number + 1]
        minutes = "0 minutes to read, 0 with the exercises."
        intro = f"**After this notebook** you … {NOT_YET}\n\n*{minutes} {NOT_YET} Before: {before}*"
        cells = [
            markdown(f"# {self.number:02d} · {self.question}\n\n{intro}", "slide"),
            code("import torch\n\nfrom utils.exercises import check\n\n_ = torch.manual_seed(0)", ["setup"]),
            markdown(f"## {NOT_YET}\n\nSomething to look at, a guess, the figure, then why.", "slide"),
            markdown(f"## What we found\n\n- {NOT_YET}", "slide"),
            markdown(TASKS, "slide"),
        ]
        for i, slug in enumerate(slugs, 1):
            number = f"{self.number}.{i}"
            right = f'# Solution to exercise {number}\nanswer_{i}_solution = 0.0\ncheck("{slug}", answer_{i}_solution)'
            cells += [
                markdown(f"### Exercise {number} · {NOT_YET}\n\n*5 minutes · ★☆☆ easy*\n\n{NOT_YET}", "-"),
                code(f"answer_{i} = None  # a number", ["exercise"]),
                code(f'check("{slug}", answer_{i})', ["exercise-check"]),
                code(right, ["solution", "hide-input"], jupyter={"source_hidden": True}),
            ]
        cells.append(markdown(f"**Next:** {after}", "-"))
        for place, cell in enumerate(cells, 1):
            cell.id = f"{place:02d}"
        return new_notebook(cells=cells)


def markdown(source: str, kind: str):
    return new_markdown_cell(source, metadata={"slideshow": {"slide_type": kind}})


def code(source: str, tags: list[str], **metadata):
    return new_code_cell(source, metadata={**metadata, "slideshow": {"slide_type": "skip"}, "tags": tags})


def main(arguments, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry-run", action="store_true", help="only list what would be replaced")
    commands = parser.add_subparsers(dest="command", required=True)
    laid = commands.add_parser("new", help="lay a new lesson, in front of the last one")
    asked = os.environ.get("NAME", "")  # `make notebook NAME=…`: what is in it is not for a shell to read
    laid.add_argument("question", nargs="?", default=asked, help='its question, as in "How deep is deep?"')
    moved = commands.add_parser("move", help="give a notebook another number")
    moved.add_argument("start", metavar="FROM")
    moved.add_argument("end", metavar="TO")
    options = parser.parse_args(arguments)
    try:
        new = New(options.question, root) if options.command == "new" else None
        project = new.project if new else move(options.start, options.end, root)
        if options.dry_run:
            print("\n".join(project.said))
        else:
            (new or project).write()
    except (LessonError, OSError) as problem:
        print(f"[lesson] {problem}", file=sys.stderr)
        return 1
    print(f"[lesson] {len(project.said)} replacements in {len(project.texts)} files")
    if new:
        print(f"[lesson] the new lesson: notebooks/{new.name}.ipynb and lessons/nb{new.number:02d}/")
    if project.doubts:
        print("\n".join(["[lesson] please check these by hand:", *(f"    {doubt}" for doubt in project.doubts)]))
    return 0


if __name__ == "__main__":
    call("lesson", main)
