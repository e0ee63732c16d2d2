"""Collects the claims that executed notebooks hold.

    python -m tools.claims         those of notebooks/, as tables into README.md and docs/claims.md (`make claims`)
    python -m tools.claims FOLDER  those of notebooks executed elsewhere, with their numbers; writes nothing

After `COURSE_DATA=stand-in make run`, FOLDER can be build/executed: what the stand-in gives.
"""

import argparse
import sys
from pathlib import Path

from tools.files import write
from utils.claims import board

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- claims -->", "<!-- /claims -->"
NONE = "No claims yet."
PAGE = """# The claims, and what was measured

Each row is tested again whenever its notebook runs. The numbers are those of the stored notebooks, run on CIFAR-10.

{table}
"""


def table(folder, link, measured=False):
    """The claims of the notebooks in a folder; `link` is how a reader of the table gets to that folder."""
    return board(folder).markdown(link, measured) or NONE


def between_markers(page, text):
    """The page with `text` in place of what stands between its markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or page.count(BEGIN) + page.count(END) > 2:
        raise ValueError(f"README.md needs {BEGIN} and {END}, once each and in this order")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def pages(root=ROOT):
    """The pages that show the claims, as the stored notebooks want them: {path: text}."""
    readme, notebooks = root / "README.md", root / "notebooks"
    return {
        readme: between_markers(readme.read_text(encoding="utf-8"), table(notebooks, "notebooks/")),
        root / "docs" / "claims.md": PAGE.format(table=table(notebooks, "../notebooks/", measured=True)),
    }


def main(arguments, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="print the claims of these notebooks")
    folder = parser.parse_args(arguments).folder
    try:
        if folder:
            print(table(folder, "", measured=True))
            return 0
        renewed = pages(root)  # all of them, before the first is written
        for path, text in renewed.items():
            write(text, path)
    except (OSError, ValueError) as error:
        print(f"[claims] {error}", file=sys.stderr)
        return 1
    print(f"[claims] renewed: {', '.join(path.relative_to(root).as_posix() for path in renewed)}")
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # the verdicts' signs are in no code page of Windows
    sys.exit(main(sys.argv[1:]))
