"""`make slides`: reveal.js decks from the notebooks, into build/slides/, with all that they need beside them.

    python -m tools.slides [NAME...]    build/slides/NN.html for each notebook, and build/slides/index.html

The folder can be carried away on a stick: nothing in it asks for a network. reveal.js, MathJax and their fonts come
from two packages of the environment that bring copies of them. S opens the speaker's view, ? lists the keys.

NAME is the beginning of a file's name: 01, or 03_what.
"""

import argparse
import importlib.util
import shutil
import sys
import time
from html import escape
from pathlib import Path

import nbformat

from tools import slide_texts
from tools.decks import COURSE, cut
from tools.run import select
from tools.slide_texts import DeckError

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = Path(__file__).resolve().parent / "deck"
MATHJAX = "mathjax/MathJax.js?config=TeX-AMS-MML_HTMLorMML-full"
# folder in build/slides → (package that brings it, its place there, the parts that are needed)
ASSETS = {
    "reveal": ("sphinx_revealjs", "_static/revealjs", ("LICENSE", "dist/reveal.css", "dist/reveal.js",
               "dist/theme/fonts/source-sans-pro", "plugin/notes")),
    "mathjax": ("jupyter_server_mathjax", "static", ("LICENSE", "MathJax.js", "config", "extensions", "fonts", "jax")),
}  # fmt: skip


def asset_source(package, place):
    """Where a package keeps the files that it brings.

    Raises:
        DeckError: the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise DeckError(f'{package} is not installed: python -m pip install -e ".[slides]"')
    return Path(spec.submodule_search_locations[0]) / place


def copy_assets(folder):
    """reveal.js, MathJax, their fonts and their licences, into the folder of the decks."""
    for name, (package, place, parts) in ASSETS.items():
        source, target = asset_source(package, place), folder / name
        shutil.rmtree(target, ignore_errors=True)
        for part in parts:
            (target / part).parent.mkdir(parents=True, exist_ok=True)
            if (source / part).is_dir():
                shutil.copytree(source / part, target / part)
            else:
                shutil.copyfile(source / part, target / part)


def page(deck):
    """The HTML of a deck (see `cut`)."""
    from nbconvert.exporters import SlidesExporter  # here: it costs a second, and --help needs none of it
    from traitlets.config import Config

    exporter = SlidesExporter(
        config=Config({"CSSHTMLHeaderPreprocessor": {"style": "xcode"}}),
        extra_template_basedirs=[str(TEMPLATE.parent)],
        template_name=TEMPLATE.name,
        reveal_url_prefix="reveal",
        mathjax_url=MATHJAX,
        exclude_anchor_links=True,
    )
    own = {
        "title": f"{deck.metadata.title} · {COURSE}",
        "css": (TEMPLATE / "deck.css").read_text("utf-8"),
        "javascript": (TEMPLATE / "deck.js").read_text("utf-8"),
    }
    html, _ = exporter.from_notebook_node(deck, resources={"deck": own})
    return html


def count(deck):
    return sum(cell.metadata.slideshow.slide_type == "slide" for cell in deck.cells)


def index(titles):
    """The page that lists the decks, {file name: title}."""
    rows = "\n".join(f'<li><a href="{escape(name)}">{escape(title)}</a></li>' for name, title in sorted(titles.items()))
    return (TEMPLATE / "list.html").read_text("utf-8").format(course=escape(COURSE), rows=rows)


def title_of(notebook):
    return notebook.cells[0].source.splitlines()[0].removeprefix("# ")


def main(arguments, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="the beginning of a file's name, such as 01")
    options = parser.parse_args(arguments)
    folder = root / "build" / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        copy_assets(folder)
    except DeckError as problem:
        print(f"[slides] {problem}", file=sys.stderr)
        return 1
    failed = 0
    for path in select(root / "notebooks", options.names):
        start = time.monotonic()
        try:
            notebook = nbformat.read(path, as_version=4)
            deck = cut(notebook, slide_texts.read(path, notebook))
            (folder / f"{path.name[:2]}.html").write_text(page(deck), encoding="utf-8")
        except DeckError as problem:
            failed += 1
            print(f"[slides] {path.stem:<48} FAILED: {problem}", flush=True)
        else:
            print(f"[slides] {path.stem:<48} {count(deck):3} slides {time.monotonic() - start:6.1f} s", flush=True)
    notebooks = {f"{path.name[:2]}.html": path for path in select(root / "notebooks", [])}
    written = {name: path for name, path in notebooks.items() if (folder / name).exists()}
    titles = {name: title_of(nbformat.read(path, as_version=4)) for name, path in written.items()}
    (folder / "index.html").write_text(index(titles), encoding="utf-8")
    print("[slides] open build/slides/index.html; the folder needs no network, and can be carried away")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\n[slides] stopped", file=sys.stderr)
        sys.exit(130)
