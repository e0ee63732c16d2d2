"""Finds the numbers of notebooks in a text, and nothing else: what has to follow when a notebook gets another number.

A number counts only where its neighbourhood says that it is one: the name of a notebook's file, a title with its
question, the words of a link to a notebook, "notebook 03", "claims 7.1 and 7.2", "Exercise 7.2". What merely looks like
one is a doubt, and is left for somebody to read.
"""

import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Course", "Span", "code_comments", "doubtful", "in_order", "renumbered", "spans"]

JOIN = r"(?:, | and | or | to |–)"
STEM = re.compile(r"(?<!\w)(\d\d)_[a-z0-9_]+")
TITLE = re.compile(r"(?<!\w)(\d\d) · ")
FOLDER = re.compile(r"\bnb(\d\d)\b")
WORDS = re.compile(rf"\bnotebooks?[\s#]+\[?(\d\d(?:(?:\]\([^)\s]*\))?{JOIN}\[?\d\d)*)(?!\w|\.\d)", re.IGNORECASE)
ITEMS = re.compile(rf"\b(claim|exercise)s?\s+(\d\d?\.\d\d?(?:{JOIN}\d\d?\.\d\d?)*)(?!\d|\.\d)", re.IGNORECASE)
LINK = re.compile(
    r"\[(\d\d)(\.\d+)?\]\(([^)\s]*/)?(?P<stem>\d\d_\w+)\.ipynb|\[(\d)(\.\d+)\]\(([^)\s]*/)?(\d\d_\w+)\.ipynb"
)
BOARD = re.compile(r'<a href="(\d\d_\w+)\.ipynb">(\d\d?)\.\d+</a>')
BEFORE = re.compile(r'\bbefore="(\d\d)"')
SECTION = re.compile(r"(?m)^# --- (\d\d?)\.\d")
BARE = re.compile(r"(?<![\w.,:/$·–-])(?<!cell )(\d\d)(?![\w:%/]|[.,–-]\d)")
LIST = re.compile(rf"(?<![\w.])\d\d?\.\d(?:{JOIN}\d\d?\.\d)+(?![\w.%])")
BARE_ITEM = re.compile(r"(?<![\w.,:/$–-])(\d\d?)\.(\d)(?![\w.%])")
# Rows and sections that stand in the order of the numbers they begin with.
ORDERED = (
    re.compile(r"(?m)^\| \[(\d+)(?:\.(\d+))?\]\([^)\n]*\) \|.*\n"),
    re.compile(r'<tr><t[dh][^>]*><a href="[^"]*">(\d+)\.(\d+)</a></t[dh]>.*?</tr>', re.DOTALL),
    re.compile(r"(?ms)^## (\d\d)() · .*?(?=^## |\Z)"),
)


@dataclass(frozen=True)
class Course:
    """The notebooks as they are numbered now.

    Attributes:
        stems: number → name of the file, without its ending.
        questions: number → what stands behind the number in the title.
        counts: (number, "claim" or "exercise") → how many there are.
    """

    stems: Mapping[int, str]
    questions: Mapping[int, str]
    counts: Mapping[tuple[int, str], int]


@dataclass(frozen=True, order=True)
class Span:
    """Where a notebook's number stands in a text: its digits, and how it is written ("02d", or "d" as in 7.2)."""

    start: int
    end: int
    form: str


def spans(text: str, course: Course, own: int | None = None) -> list[Span]:
    """Every number of a notebook in a text, from left to right; `own`: the notebook to which the text belongs."""
    found = set()

    def add(match: re.Match, group: int, form: str = "02d") -> None:
        found.add(Span(*match.span(group), form))

    stems = set(course.stems.values())
    for match in STEM.finditer(text):
        if match[0] in stems:
            add(match, 1)
    for match in TITLE.finditer(text):
        question = course.questions.get(int(match[1]))
        if question and text.startswith(question, match.end()):
            add(match, 1)
    for match in [*FOLDER.finditer(text), *BEFORE.finditer(text)]:
        if int(match[1]) in course.stems:
            add(match, 1)
    for match in LINK.finditer(text):
        number, item, stem = (match[1], match[2], match["stem"]) if match[1] else (match[5], match[6], match[8])
        if course.stems.get(int(number)) == stem:
            add(match, 1 if match[1] else 5, "d" if item else "02d")
    for match in BOARD.finditer(text):
        if course.stems.get(int(match[2])) == match[1]:
            add(match, 2, "d")
    for match in SECTION.finditer(text):
        if int(match[1]) == own:
            add(match, 1, "d")
    for match, start in ((match, match.start(1)) for match in WORDS.finditer(text)):
        for each in re.finditer(r"\b\d\d\b", match[1]):
            if int(each[0]) in course.stems:
                found.add(Span(start + each.start(), start + each.end(), "02d"))
    for match in ITEMS.finditer(text):
        for each in re.finditer(r"(\d+)\.(\d+)", match[2]):
            if 1 <= int(each[2]) <= course.counts.get((int(each[1]), match[1].lower()), 0):
                found.add(Span(match.start(2) + each.start(1), match.start(2) + each.end(1), "d"))
    return sorted(found)


def renumbered(text: str, found: list[Span], new: Mapping[int, int]) -> str:
    """The text with each of these numbers replaced, all at once; `new`: number → number, of those that change."""
    for span in reversed(found):
        number = int(text[span.start : span.end])
        text = f"{text[: span.start]}{new.get(number, number):{span.form}}{text[span.end :]}"
    return text


def doubtful(text: str, found: list[Span], new: Mapping[int, int]) -> Iterator[tuple[int, str]]:
    """(line, what) of each place that may be the number of a notebook that changes, and cannot be told.

    A range is one, since what lies in it may change; so is a number with two digits that stands for itself, if it or
    another one in its line begins with 0; and 7.2 in a line that names its notebook, or in a list of such numbers.
    """
    known = {span.start for span in found}
    for match in WORDS.finditer(text):
        if re.search(r"\d( to |–)", match[1]) and any(int(n) in new for n in re.findall(r"\d\d", match[1])):
            yield line_of(text, match.start()), f"a range: {match[0]}"
    place = 0
    for number, line in enumerate(text.split("\n"), 1):
        inside = {text[span.start : span.end] for span in found if place <= span.start < place + len(line)}
        bare = [match for match in BARE.finditer(line) if place + match.start(1) not in known]
        padded = any(match[1].startswith("0") for match in bare) and not line.startswith("|")  # a table's are measured
        yield from ((number, around(line, match)) for match in bare if padded and int(match[1]) in new)
        listed = {item for match in LIST.finditer(line) for item in re.findall(r"\d\d?\.\d", match[0])}
        for match in BARE_ITEM.finditer(line):
            named = {int(digits) for digits in inside}
            sure = int(match[1]) in named or f"{match[1]}.{match[2]}" in listed
            if sure and int(match[1]) in new and place + match.start(1) not in known:
                yield number, around(line, match)
        place += len(line) + 1


def line_of(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def around(line: str, match: re.Match) -> str:
    return f"… {line[max(0, match.start() - 25) : match.end() + 25].strip()} …"


def in_order(text: str) -> str:
    """The text with its rows of claims and notebooks, and its sections headed by notebooks, in the order of numbers."""
    for pattern in ORDERED:
        rows = list(pattern.finditer(text))
        while rows:
            run = [rows.pop(0)]
            while rows and rows[0].start() == run[-1].end():
                run.append(rows.pop(0))
            key = lambda row: (int(row[1]), int(row[2] or 0))  # noqa: E731
            moved = "".join(row[0] for row in sorted(run, key=key))
            text = text[: run[0].start()] + moved + text[run[-1].end() :]
    return text


def code_comments(source: str) -> list[tuple[int, int]]:
    """(start, end) of every comment and docstring of a module."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found, before = [], tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        fresh = before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and fresh):
            (row, column), (last, end) = token.start, token.end
            found.append((starts[row - 1] + column, starts[last - 1] + end))
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            before = token.type
    return found
