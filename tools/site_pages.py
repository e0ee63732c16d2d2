"""The smaller pages of the site: the code by its docstrings, decks and handouts, the licence and how to cite."""

import ast
import re

__all__ = ["api_page", "decks_page", "handouts", "licence_page", "tidy"]

COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def tidy(text):
    """A page of the project without its comments."""
    return COMMENT.sub("", text)


def modules(root):
    """The public modules of `utils` and the kit, with what each says it offers, in the order of their names."""
    places = [root / "utils", root / "kit" / "src" / "normdoctor"]
    files = [places[1] / "__init__.py"]
    files += [path for path in places[0].glob("*.py") if path.name != "__init__.py"]
    files += list(places[0].glob("*/__init__.py"))
    known = set()
    for path in sorted(files, key=lambda path: path.as_posix().replace("/__init__.py", "")):
        start = places[1].parent if path.is_relative_to(places[1]) else root
        name = ".".join(path.relative_to(start).with_suffix("").parts).removesuffix(".__init__")
        names = [each for each in offered(ast.parse(path.read_text("utf-8"))) if each not in known]
        known.update(names)  # doors offer what another module defines
        if names:
            yield name, names


def offered(tree):
    """The names in a module's `__all__`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def api_page(root):
    """What `utils` and `normdoctor` offer, from their docstrings."""
    parts = []
    for name, names in modules(root):
        parts.append(f"## `{name}`\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members: {', '.join(names)}\n```\n")
    return (
        "# The code\n\nWhat the notebooks import from `utils`, and `normdoctor`, by their docstrings.\n\n"
        + "\n".join(parts)
    )


def handouts(root, lessons):
    """What `make handouts` has written to give away, of the notebooks that there are."""
    folder = root / "build" / "handouts"
    wanted = [root / "build" / "batchnorm-handouts.zip", folder / "symbols.pdf"]
    return [path for path in wanted + [folder / f"{each.name}.ipynb" for each in lessons] if path.exists()]


def decks_page(root, lessons):
    """Where the decks and the handouts are, of which there are any."""
    decks, given = root / "build" / "slides", {path.name for path in handouts(root, lessons)}
    rows = []
    for each in lessons:
        deck = f'<a href="slides/{each.number}.html">slides</a>' if (decks / f"{each.number}.html").exists() else ""
        there = f"{each.name}.ipynb" in given
        handout = f'<a href="handouts/{each.name}.ipynb" download>handout</a>' if there else ""
        rows.append(f"| [{each.number} · {each.question}](notebooks/{each.name}.ipynb) | {deck} | {handout} |")
    plans = [(name, words) for name, words in (("lecture", "one lecture"), ("half-day", "half a day"))
             if (decks / f"{name}.html").exists()]  # fmt: skip
    also = [f'<a href="slides/{name}.html">{words}, by the clock</a>' for name, words in plans]
    if "symbols.pdf" in given:
        also.append('<a href="handouts/symbols.pdf">symbols and pitfalls, one page for paper</a>')
    if "batchnorm-handouts.zip" in given:
        also.append('<a href="handouts/batchnorm-handouts.zip">all that a student needs, packed</a>')
    missing = (
        ""
        if (decks / "index.html").exists() and given
        else "\nWhat has no link here was not there when this site was made: `make slides`, `make handouts`.\n"
    )
    return (
        "# Slides and handouts\n\nA deck is a page that needs no network: → goes on, S opens the speaker's view, O"
        " shows all slides, ? lists the keys. A handout is the notebook without solutions and outputs. The"
        " [lecturer's guide](lecturers.md) says how to use both.\n\n"
        + (f"Also: {' · '.join(also)}.\n\n" if also else "")
        + "| notebook | | |\n| --- | --- | --- |\n" + "\n".join(rows) + f"\n{missing}"
    )  # fmt: skip


def licence_page(root, links):
    """Who may do what with it, and how to cite it: from LICENSE, LICENSE-prose and CITATION.cff."""
    citation = (root / "CITATION.cff").read_text("utf-8")
    prose = (root / "LICENSE-prose").read_text("utf-8")
    code = (root / "LICENSE").read_text("utf-8")
    return (
        f"# Licence, and how to cite\n\n## Cite\n\n```yaml\n{citation.strip()}\n```\n\n## Prose and figures\n\n"
        f"{prose.strip()}\n\n## Code\n\n```text\n{code.strip()}\n```\n\n## What in these pages is by others\n\n"
        "The typefaces are versions of others under the SIL Open Font License (`_static/fonts/OFL.txt`); formulas are"
        " set by MathJax (Apache 2.0, `_static/mathjax/LICENSE`); the layout is Furo's (MIT), the builder Sphinx (BSD)."
        f" CIFAR-10 is not part of the project. The [repository](https://github.com/{links.repository}) has the rest.\n"
    )
