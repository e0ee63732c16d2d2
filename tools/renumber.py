"""Gives notebooks other numbers: their files' names, and whatever shows a number in the project. No slug changes."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import nbformat

from tools import files, run
from tools.notebook_numbers import Course, Span, code_comments, doubtful, in_order, line_of, renumbered, spans
from utils import lessons

__all__ = ["LessonError", "Project", "move", "moving"]

PAGES = ("README.md", "CONTRIBUTING.md", "data/README.md", "docs/*.md", "docs/site/*.md")
FOLDERS = ("lessons", "utils", "kit", "benchmarks", "study", "tools", "tests")
EXAMPLES = ("tools", "tests")  # their strings hold made-up notebooks: only comments and docstrings are changed
BEFORE = re.compile(r"Before: (?P<link>\[\d\d · [^\]]*\]\(\d\d_\w+\.ipynb\))")
NEXT = re.compile(r"(?m)^\*\*Next:\*\*(?:.+\n?)*?.*?(?P<link>\[\d\d · [^\]]*\]\(\d\d_\w+\.ipynb\))")


class LessonError(ValueError):
    """What is asked for cannot be done; the text says why."""


class Project:
    """The course in a folder, what is to change in it, and what has to be read by somebody.

    Attributes:
        new: number → number, of the notebooks that change.
        texts: path → text that replaces the one there, under the old paths.
        said: one line for each replacement.
        doubts: one line for each place that cannot be decided.
    """

    def __init__(self, new: Mapping[int, int], root: Path):
        self.new, self.root = new, root
        self.paths = {int(path.name[:2]): path for path in run.select(root / "notebooks", [])}
        self.notebooks = {n: nbformat.read(path, nbformat.NO_CONVERT) for n, path in self.paths.items()}
        self.course = Course(
            {n: path.stem for n, path in self.paths.items()},
            {n: notebook.cells[0].source.split("\n")[0].partition(" · ")[2] for n, notebook in self.notebooks.items()},
            {
                (n, kind): len(lessons.slugs(f"{n:02d}", f"{kind}s"))
                for n in self.paths
                for kind in ("claim", "exercise")
            },
        )
        self.links = {new.get(n, n): self.link(n, new.get(n, n)) for n in self.paths}
        self.texts: dict[Path, str] = {}
        self.said: list[str] = []
        self.doubts: list[str] = []

    def link(self, old: int, number: int) -> str:
        """The link to a notebook as it will be."""
        return f"[{number:02d} · {self.course.questions[old]}]({number:02d}{self.course.stems[old][2:]}.ipynb)"

    def renumber(self) -> None:
        """Work out every text with its new numbers."""
        for number, notebook in self.notebooks.items():
            place, before = self.paths[number].relative_to(self.root).as_posix(), run.as_text(notebook)
            for cell in notebook.cells:
                cell.source = self.linked(self.follow(cell.source, f"{place}, cell {cell.id}", number), place, number)
                for output in cell.get("outputs", []):
                    self.follow_output(output, f"{place}, output of {cell.id}", number)
            self.change(self.paths[number], before, run.as_text(notebook))
        for path, own in self.files():
            place, before = path.relative_to(self.root).as_posix(), path.read_text("utf-8")
            text = self.follow(before, place, own)
            if path.suffix == ".md":
                text = in_order(self.linked(text, place, own) if own is not None else text)
            self.change(path, before, text)

    def files(self) -> Iterator[tuple[Path, int | None]]:
        """Every other file that may show numbers, and the notebook that it belongs to."""
        for pattern in PAGES:
            yield from ((path, None) for path in sorted(self.root.glob(pattern)))
        for folder in FOLDERS:
            for path in sorted((self.root / folder).rglob("*")):
                if path.suffix in (".py", ".md", ".toml"):
                    own = re.fullmatch(r"nb(\d\d)", path.parent.name)
                    yield path, int(own[1]) if own else None

    def follow(self, text: str, place: str, own: int | None) -> str:
        """A text with its new numbers; in `EXAMPLES`, only in comments and docstrings."""
        found = spans(text, self.course, own)
        if place.startswith(EXAMPLES) and place.endswith(".py"):
            inside = code_comments(text)
            found = [span for span in found if any(start <= span.start < end for start, end in inside)]
        elif ", output of " not in place:  # its sentences are those of the sources
            doubts = doubtful(text, found, self.new)
            self.doubts += [f"{place}, line {line}: {what}" for line, what in doubts]
        for span in found:
            self.say(text, span, place)
        return renumbered(text, found, self.new)

    def say(self, text: str, span: Span, place: str) -> None:
        number = int(text[span.start : span.end])
        if number in self.new:
            before, after = text[: span.start].split("\n")[-1][-30:], text[span.end :].split("\n")[0][:30]
            change = f"{text[span.start : span.end]} → {self.new[number]:{span.form}}"
            self.said.append(f"{place}, line {line_of(text, span.start)}: {before}[{change}]{after}")

    def follow_output(self, output: dict, place: str, own: int) -> None:
        """What a stored output shows, and the number that its card stores."""
        for kind, shown in output.get("data", {}).items():
            if kind.startswith("text/"):
                output["data"][kind] = self.board(in_order(self.follow(shown, place, own)))
        if "text" in output:
            output["text"] = self.follow(output["text"], place, own)
        for card in (output.get("metadata", {}).get(kind) for kind in ("claim", "exercise")):
            for key, value in (card or {}).items():
                if key == "number":
                    card[key] = f"{self.new.get(own, own)}.{value.partition('.')[2]}"
                elif isinstance(value, str):
                    card[key] = self.follow(value, place, own)

    def board(self, shown: str) -> str:
        """A board of claims as plain text, each line beginning with a number; any other text as it is."""
        rows = [re.fullmatch(r" *(\d+)\.(\d+)(  .+)", line) for line in shown.split("\n")]
        if not all(rows):
            return shown
        made = sorted((self.new.get(int(row[1]), int(row[1])), int(row[2]), row[3]) for row in rows)
        return "\n".join(f"{f'{number}.{place}':>5}{rest}" for number, place, rest in made)

    def linked(self, text: str, place: str, own: int) -> str:
        """A text of notebook `own` whose links to the one before and the one after lead to its new neighbours."""
        number = self.new.get(own, own)
        for pattern, neighbour in ((BEFORE, number - 1), (NEXT, number + 1)):
            match = pattern.search(text)
            if match and neighbour in self.links and match["link"] != self.links[neighbour]:
                text = text[: match.start("link")] + self.links[neighbour] + text[match.end("link") :]
                self.said.append(f"{place}: {match['link']} → {self.links[neighbour]}")
                self.doubts.append(f"{place}: its neighbour is now {self.links[neighbour]}: does the sentence fit?")
        return text

    def change(self, path: Path, before: str, after: str) -> None:
        if after != before:
            self.texts[path] = after

    def write(self) -> None:
        """Write the texts, then rename the notebooks and the lessons, all at once.

        Raises:
            LessonError: something stands where a notebook or a lesson has to go; nothing is changed.
        """
        there = {
            path: path.with_name(f"{self.new[n]:02d}{path.name[2:]}") for n, path in self.paths.items() if n in self.new
        }
        folders = {n: self.root / "lessons" / f"nb{n:02d}" for n in self.new}
        there |= {path: path.with_name(f"nb{self.new[n]:02d}") for n, path in folders.items() if path.exists()}
        moving = {path: path.with_name(f"{path.name}.moving") for path in there}
        for path in (*(set(there.values()) - there.keys()), *moving.values()):
            if path.exists():
                raise LessonError(f"{path.relative_to(self.root)} is in the way: move it elsewhere")
        for path, text in self.texts.items():
            files.write(text, path)
        for path in there:
            path.rename(moving[path])
        for path, target in there.items():
            moving[path].rename(target)


def moving(start: int, end: int) -> dict[int, int]:
    """Which number becomes which when a notebook moves; those that stay are left out."""
    step = 1 if end < start else -1
    return {start: end} | {n: n + step for n in range(min(start, end), max(start, end) + 1) if n != start}


def move(start: str, end: str, root: Path) -> Project:
    """A notebook that gets another number, worked out and not yet written.

    Raises:
        LessonError: no such numbers, or one that stays.
    """
    numbers = sorted(path.name[:2] for path in run.select(root / "notebooks", []))
    free = numbers[1:-1]
    if start not in free or end not in free or start == end:
        raise LessonError(f"two different numbers from {free[0]} to {free[-1]}: {numbers[0]} is the first, "
                          f"{numbers[-1]} always the last")  # fmt: skip
    project = Project(moving(int(start), int(end)), root)
    project.renumber()
    return project
