"""The index of symptoms: what one sees, why, what to do, and where this course shows it; `lessons/symptoms.toml`.

[nan-in-evaluation]                        the slug
see = "…"                                  what one sees; an error message word by word, between backticks
why = "…"
do = "…"
claims = ["skipped-step-does-no-harm"]     which claims of this course are about it
shown = ["what_else_is_wrong…"]            or the notebooks that show it: the file's name behind its number
asked = ["https://…"]                      public threads in which somebody asks about it
"""

import re
import tomllib
from collections.abc import Mapping
from html import escape
from typing import Any

from utils import lessons
from utils.tables import Markup, html_table, markdown_table, with_code

__all__ = ["Symptoms", "symptoms"]

HEADER = ("what I see", "why", "what to do", "where", "asked")


def _entries() -> Mapping[str, Mapping[str, Any]]:
    path = lessons.LESSONS / "symptoms.toml"
    return tomllib.loads(path.read_text("utf-8")) if path.exists() else {}


class Symptoms:
    """Rows of the index, as a table for a notebook (HTML) and for a page (Markdown)."""

    def __init__(self, entries: Mapping[str, Mapping[str, Any]]):
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return "\n".join(entry["see"] for entry in self.entries.values()) or "Nothing in the index has these words."

    def _repr_html_(self) -> str:
        if not self.entries:
            return f"<p>{self!r}</p>"
        rows = [
            [Markup(with_code(escape(entry[name]))) for name in ("see", "why", "do")]
            + [Markup(", ".join(f'<a href="{escape(to)}">{escape(text)}</a>' for text, to in links))
               for links in (places(entry), threads(entry))]
            for entry in self.entries.values()
        ]  # fmt: skip
        return html_table(HEADER, rows)

    def markdown(self, folder: str = "") -> str:
        """A Markdown table; links to notebooks lead into `folder`."""
        rows = [
            [entry["see"], entry["why"], entry["do"],
             ", ".join(f"[{text}]({folder}{to})" for text, to in places(entry)),
             ", ".join(f"[{text}]({to})" for text, to in threads(entry))]
            for entry in self.entries.values()
        ]  # fmt: skip
        return markdown_table(HEADER, rows)


def places(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(What is written, the notebook's file) of each claim, or of the notebook that shows it.

    Raises:
        ValueError: there is no such claim, or no such notebook.
    """
    notebooks = {path.name[3:-6]: path.name for path in (lessons.LESSONS.parent / "notebooks").glob("*.ipynb")}
    by_number = {name[:2]: name for name in notebooks.values()}
    found = [(lessons.number_of("claims", slug), by_number[lessons.lesson_of("claims", slug)])
             for slug in entry.get("claims", [])]  # fmt: skip
    for stem in entry.get("shown", []):
        if stem not in notebooks:
            raise ValueError(f"lessons/symptoms.toml: there is no notebook {stem!r}")
        found.append((notebooks[stem][:2], notebooks[stem]))
    return found


def threads(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(What is written, its address): `pytorch#96136` for an issue."""
    return [
        (
            f"{match[1]}#{match[2]}" if (match := re.search(r"github\.com/[^/]+/([^/]+)/\w+/(\d+)", url)) else "page",
            url,
        )
        for url in entry.get("asked", [])
    ]


def symptoms(words: str = "") -> Symptoms:
    """The index, or the rows that have all these words somewhere: a piece of an error message, for instance.

    Args:
        words: separated by spaces; upper or lower case is the same.
    """
    wanted = words.lower().split()
    return Symptoms({
        slug: entry
        for slug, entry in _entries().items()
        if all(word in " ".join(entry[name] for name in ("see", "why", "do")).lower() for word in wanted)
    })  # fmt: skip
