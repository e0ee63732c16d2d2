"""The page of symbols and pitfalls, for paper: `docs/symbols.md` as build/handouts/symbols.pdf (`make handouts`).

    python -m tools.sheet

A Chromium or Chrome prints it, with the course's own fonts, on one side of A4. Without a browser it is left out.
"""

import base64
import re
import sys
from pathlib import Path

from tools.browser import chromium, executable

__all__ = ["SheetError", "page", "printed", "write"]

ROOT = Path(__file__).resolve().parent.parent
SOURCE, PLACE = "docs/symbols.md", "build/handouts/symbols.pdf"
FONTS = {  # file in utils/plots/fonts → what CSS calls it
    "CourseSans-Regular": "font-family: Course; font-weight: 400",
    "CourseSans-Bold": "font-family: Course; font-weight: 700",
    "CourseSans-Italic": "font-family: Course; font-style: italic",
    "CourseMono-Regular": "font-family: CourseMono",
}
CSS = """
@page { size: A4; margin: 13mm 14mm 11mm }
html { font: 9.6pt/1.3 Course, sans-serif; color: #111 }
body { margin: 0 }
h1 { font-size: 17pt; line-height: 1.15; margin: 0 0 2mm }
h2 { font-size: 12pt; margin: 4mm 0 1mm; color: #0072b2 }
p { margin: 0 0 1.5mm }
code { font: 0.9em CourseMono, monospace }
table { border-collapse: collapse; width: 100%; border-bottom: 1pt solid #111 }
th { text-align: left; font-weight: 700; border-bottom: 1pt solid #111 }
th, td { padding: 0.85mm 2.5mm 0.85mm 0; vertical-align: top }
tr + tr td { border-top: 0.4pt solid #bbb }
td:last-child, th:last-child { white-space: nowrap; padding-right: 0 }
table.symbols td:first-child { white-space: nowrap }
table.pitfalls td:first-child { font-weight: 700; color: #0072b2; text-align: right }
table.pitfalls td:nth-child(3) { width: 31% }
footer { margin-top: 3mm; color: #555; font-size: 8.5pt }
"""


class SheetError(Exception):
    """The page cannot be printed as it is; its text says why."""


def page(text, fonts):
    """The HTML of a page that is written in Markdown, with all that it needs in it; `fonts` is the folder of them."""
    import mistune  # here: nbconvert brings it, and --help needs neither

    body = mistune.create_markdown(plugins=["table"])(text)
    body = re.sub(r"<h2>(\w*) ?(\w*)</h2>\s*<table>", lambda m: m[0][:-1] + f' class="{(m[2] or m[1]).lower()}">', body)
    faces = "".join(
        f"@font-face {{ {what}; src: url(data:font/ttf;base64,{base64.b64encode(path.read_bytes()).decode()}) }}\n"
        for name, what in FONTS.items()
        if (path := fonts / f"{name}.ttf").exists()
    )
    title = text.partition("\n")[0].removeprefix("# ")
    foot = "BatchNorm, layer by layer. The numbers under “see” are those of the notebooks."
    head = f'<meta charset="utf-8"><title>{title}</title><style>{faces}{CSS}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}<footer>{foot}</footer></body></html>\n'


def printed(html):
    """A page of HTML as a PDF.

    Raises:
        SheetError: it takes more than one side, or the browser fails.
    """
    from playwright.sync_api import Error

    try:
        with chromium() as browser:
            sheet = browser.new_page(offline=True)
            sheet.set_content(html)
            sheet.evaluate("document.fonts.ready")
            made = sheet.pdf(prefer_css_page_size=True, print_background=True, tagged=True)
    except Error as error:
        raise SheetError(f"the browser failed: {str(error).splitlines()[0]}") from error
    pages = len(re.findall(rb"/Type\s*/Page\b", made))
    if pages != 1:
        raise SheetError(f"it takes {pages} pages: shorten {SOURCE}")
    return made


def write(root=ROOT):
    """Write the page, or leave it out; the sentence that says which.

    Raises:
        SheetError: as in `printed`.
    """
    if executable() is None:
        return f'{PLACE} was left out: it takes a Chromium or Chrome, and python -m pip install -e ".[slides]"'
    html = page((root / SOURCE).read_text("utf-8"), ROOT / "utils" / "plots" / "fonts")
    made = printed(html)
    (root / PLACE).parent.mkdir(parents=True, exist_ok=True)
    (root / PLACE).write_bytes(made)
    return f"{PLACE}: symbols and pitfalls, one page for paper"


if __name__ == "__main__":
    try:
        print(f"[sheet] {write()}")
    except SheetError as problem:
        sys.exit(f"[sheet] {problem}")
