"""Code, and what it prints, on a slide: in type that can be read from the back row, and block by block."""

import re

from tools.slide_texts import DeckError

__all__ = ["excerpt", "highlighted", "pixels"]

LARGEST, SMALLEST = 34, 20  # pixels, of a slide of 1280 x 720
UNWRAPPED = 21  # below which it is better to wrap a line, in type that is a little larger
WRAPPED = 24
WIDE, HIGH = 1800, 390  # the room: columns times pixels, lines times pixels
HANGING = 4  # columns, by which the rest of a wrapped line is moved in
LINE_OF_TEXT = 46  # characters that take as much height as a line of code at 30 pixels


def pixels(code, printed="", above=0):
    """The largest type in which code, and what it prints, fit on a slide; long lines are wrapped if they must be.

    Args:
        code: the code.
        printed: what it prints.
        above: how many characters of text stand above it.

    Raises:
        DeckError: it would be too small to be read.
    """
    lines = [*code.splitlines(), *printed.splitlines()]
    room = max(HIGH // 2, HIGH - 30 * (above // LINE_OF_TEXT)) - 24 * (bool(code) and bool(printed))
    longest = max(map(len, lines), default=0)
    for wrapped in (False, True):
        for size in range(*((WRAPPED, SMALLEST - 1) if wrapped else (LARGEST, UNWRAPPED - 1)), -1):
            columns = WIDE // size
            high = sum(1 + max(0, -(-(len(line) - columns) // (columns - HANGING))) for line in lines)
            if (wrapped or longest <= columns) and high * size <= room:
                return size
    raise DeckError(f"{len(lines)} lines of up to {longest} characters are too much: show less of it, or some lines")


def excerpt(source, lines):
    """Those lines of a cell's code, moved to the left as far as they go."""
    if lines is None:
        return source
    part = source.splitlines()[lines[0] - 1 : lines[1]]
    margin = min((len(line) - len(line.lstrip()) for line in part if line.strip()), default=0)
    return "\n".join(line[margin:] for line in part)


def highlighted(code, blocks=(), first=0):
    """The HTML of Python code: every line an element of its own, every block of lines a fragment.

    Args:
        code: the code.
        blocks: pairs of lines, the first and the last of each block, counted from 1.
        first: the index of its first fragment.
    """
    from pygments import highlight  # here: it takes a while, and --help needs none of it
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    lexer = PythonLexer(stripnl=False, ensurenl=False)
    lines = [line_of(line) for line in highlight(code, lexer, HtmlFormatter(nowrap=True)).rstrip("\n").split("\n")]
    begins = {begin: first + i for i, (begin, _) in enumerate(blocks)}
    ends = {end for _, end in blocks}
    made = []
    for number, line in enumerate(lines, 1):
        if number in begins:
            made.append(f'<span class="block fragment" data-fragment-index="{begins[number]}">')
        made.append(line)
        if number in ends:
            made.append("</span>")
    return f"<pre><code>{''.join(made)}</code></pre>"


def line_of(html):
    """A line whose rest, if it is wrapped, is moved in behind its own beginning."""
    margin = len(re.match(r"(?:<[^>]*>)*( *)", html)[1])
    return f'<span class="line" style="--in: {margin + HANGING}ch">{html or " "}\n</span>'
