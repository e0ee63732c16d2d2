"""`make site`: the course as a site, from the executed notebooks, into build/site/, which needs no network.

    python -m tools.site             builds it; open build/site/index.html
    python -m tools.site --to FOLDER the same, into another folder

Its pages are staged in a folder beside it (build/site-src/) and built by Sphinx with docs/conf.py, every warning an
error. Decks and handouts are part of it if `make slides` and `make handouts` have written them. MathJax comes from a
package of the environment.
"""

import argparse
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat

from tools import site_board, site_home, site_pages, touch
from tools.calling import call
from tools.files import copy, package, write
from tools.run import select
from tools.site_links import PAGES, Links
from tools.site_notebooks import staged
from utils.touch import THINGS, embed

ROOT = Path(__file__).resolve().parent.parent
MARK = ".made-by-make-site"  # in a folder in which pages that are gone may be removed
MATHJAX = ("LICENSE", "MathJax.js", "config/TeX-AMS-MML_HTMLorMML-full.js", "extensions", "jax/element", "jax/input",
           "jax/output/HTML-CSS", "fonts/HTML-CSS/STIX-Web/woff")  # fmt: skip
OURS = ("site.css", "site.js", "mark.svg")
PACKAGES = ("myst_nb", "furo", "jupyter_server_mathjax")


def settings(root):
    """The repository and the branch that docs/conf.py names; errors as Python has them."""
    names = runpy.run_path(str(root / "docs" / "conf.py"))
    return names["REPOSITORY"], names["BRANCH"]


def fonts(folder, target):
    """The course's typefaces, compressed for the web, with their licence."""
    from fontTools.ttLib import TTFont

    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.ttf")):
        font = TTFont(path)
        font.flavor = "woff"
        font.save(target / f"{path.stem}.woff")
    shutil.copyfile(folder / "OFL.txt", target / "OFL.txt")


def static(root, target):
    """All that is not a page: styles, scripts, typefaces, MathJax, the signature figure."""
    for name in OURS:
        copy(root / "docs" / "site" / name, target / name)
    shutil.copytree(root / "docs" / "live", target / "live", dirs_exist_ok=True)
    touch.build(target / "touch")
    fonts(root / "utils" / "plots" / "fonts", target / "fonts")
    source = package("jupyter_server_mathjax", "site") / "static"
    for part in MATHJAX:
        if (source / part).exists():
            copy(source / part, target / "mathjax" / part)
    config = target / "mathjax" / MATHJAX[2]
    config.write_text(config.read_text("utf-8").replace("url('about:blank')", "local('MathJax_Blank')"), "utf-8")
    copy(root / "docs" / "signal.svg", target / "signal.svg")


def still(root):
    """What stands in the place of the network that learns on the home page, for those without scripts."""
    page = (root / "docs" / "live" / "index.html").read_text("utf-8")
    return page.partition("<!-- still -->")[2].partition("<!-- /still -->")[0].strip()


def figures():
    """The figures that one can touch, name → the HTML that embeds one in a notebook's page."""
    return {name: embed(name, "../_static/touch") for name in THINGS}


def stage(root, folder):
    """Write every page as Sphinx is to read it; the notebooks' lessons.

    Raises:
        FileNotFoundError: a package is missing.
        ValueError: a notebook, a claim or a page is not in order; the text says which.
    """
    old = {path for path in folder.rglob("*") if path.suffix in (".md", ".ipynb")}
    for name in PACKAGES:
        package(name, "site")
    links, lessons = Links(root, *settings(root)), []
    static(root, folder / "_static")
    there = figures()
    for path in select(root / "notebooks", []):
        about, notebook = staged(path, links, there)
        lessons.append(about)
        old -= renew(nbformat.writes(notebook), folder / "notebooks" / path.name)
    generated = {
        "index": site_home.home(root / "docs" / "site", lessons, still(root)),
        "claims": site_board.claims_page(links),
        "symptoms": site_board.symptoms_page(),
        "references": site_board.references_page(),
        "api": site_pages.api_page(root),
        "decks": site_pages.decks_page(root, lessons),
        "licence": site_pages.licence_page(root, links),
    }
    for name, page in PAGES.items():
        if page not in generated and (root / name).exists():
            text = links.on_site((root / name).read_text("utf-8"), root / name)
            generated[page] = site_board.linked_claims(text) if page in ("paper", "study") else site_pages.tidy(text)
    for page, text in generated.items():
        old -= renew(text, folder / f"{page}.md")
    for path in old:
        path.unlink()
    return lessons


def renew(text, path):
    """Write a page if it has changed, so that Sphinx reads only those; its path, in a set."""
    if not path.exists() or path.read_text("utf-8") != text:
        write(text, path)
    return {path}


def build(root, source, target):
    """Run Sphinx; whether it had nothing to complain about."""
    command = [
        sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-c", str(root / "docs"),
        "-D", f"html_static_path={source / '_static'}", "-D", f"html_favicon={source / '_static' / 'mark.svg'}",
        "-d", str(source.with_name(f"{source.name}-doctrees")), str(source), str(target),
    ]  # fmt: skip
    return subprocess.run(command, cwd=root).returncode == 0


def clear(source, target):
    """Remove the pages whose sources are gone, and what is copied anew."""
    for name in ("slides", "handouts"):
        shutil.rmtree(target / name, ignore_errors=True)
    for page in target.rglob("*.html"):
        name = page.relative_to(target).with_suffix("")
        if page.stem != "search" and not any((source / name).with_suffix(kind).exists() for kind in (".md", ".ipynb")):
            page.unlink()


def extras(root, target, lessons):
    """What is no page of Sphinx's: decks, handouts, and what GitHub Pages wants to see."""
    (target / ".nojekyll").touch()
    if (root / "build" / "slides" / "index.html").exists():
        copy(root / "build" / "slides", target / "slides")
    for path in site_pages.handouts(root, lessons):
        copy(path, target / "handouts" / path.name)
    for path in target.rglob("*.map"):
        path.unlink()


def main(arguments, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=root / "build" / "site", metavar="FOLDER", help="where it goes")
    target = parser.parse_args(arguments).to.resolve()
    source, start = target.with_name(f"{target.name}-src"), time.monotonic()
    for folder in (target, source):  # pages that are gone are removed there: in nobody else's folder
        ours = folder.parent == root / "build" or (folder / MARK).exists()
        if not ours and folder.exists() and any(folder.iterdir()):
            print(f"[site] {folder} holds other files: name a new or an empty folder", file=sys.stderr)
            return 1
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
    try:
        lessons = stage(root, source)
        clear(source, target)
        if not build(root, source, target):
            print("[site] Sphinx reported faults: its messages are above", file=sys.stderr)
            return 1
        extras(root, target, lessons)
    except (OSError, ValueError) as problem:
        print(f"[site] {problem}", file=sys.stderr)
        return 1
    pages = len(list(target.rglob("*.html")))
    print(f"[site] {pages} pages in {time.monotonic() - start:.0f} s: open {target / 'index.html'}")
    return 0


if __name__ == "__main__":
    call("site", main)
