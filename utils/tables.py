"""Tables as HTML, for a notebook, and as Markdown, for a page; code between backticks as HTML."""

import re
from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["Markup", "html_table", "markdown_table", "with_code"]


class Markup(str):
    """HTML that is to stand in a cell as it is; every other text is escaped."""


def with_code(html: str) -> str:
    """HTML in which what stands between backticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html)


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column names the rows. A header without any text is left out.

    Args:
        header: of the columns; an empty text makes no header of its column.
        rows: of cells; a `Markup` stands as it is.
    """
    left = ' style="text-align:left"'
    head = "".join(f'<th scope="col"{left}>{_cell(name)}</th>' if name else "<td></td>" for name in header)
    body = "".join(
        f'<tr><th scope="row"{left}>{_cell(first)}</th>{"".join(f"<td{left}>{_cell(text)}</td>" for text in rest)}</tr>'
        for first, *rest in rows
    )
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if any(header) else ''}<tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    return text if isinstance(text, Markup) else escape(text)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, a line a row."""
    lines = [list(header), ["---"] * len(header), *rows]
    cells = ([text.replace("|", "\\|").replace("\n", " ") for text in line] for line in lines)
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
