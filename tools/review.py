"""`make review`: what a reviewer reads of the notebooks that have changed, by nbdime: sources, tags and the like.

    python -m tools.review [BASE]    against a commit, a branch or a tag (default: main)

Outputs, counts and pictures are left out: they follow from the sources, and the tests compare them. A notebook that got
another number is compared with what it was under its old one. `.gitattributes` tells git, and the pages where pull
requests are read, that the rest of a notebook's file need not be shown.
"""

import argparse
import io
import subprocess
import sys
from pathlib import Path

import nbformat
from nbdime.diffing.notebooks import diff_notebooks, set_notebook_diff_targets
from nbdime.prettyprint import PrettyPrintConfig, pretty_print_notebook_diff

from tools.calling import call

ROOT = Path(__file__).resolve().parent.parent


class ReviewError(ValueError):
    """There is nothing to compare with; the text says why."""


def git(root, *arguments):
    """What a git command says.

    Raises:
        ReviewError: with git's own last line.
    """
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise ReviewError((done.stderr.strip().splitlines() or ["git failed"])[-1])
    return done.stdout


def changed(base, root):
    """(path before, path now) of each notebook that differs from `base`; None where there is none."""
    common = git(root, "merge-base", base, "HEAD").strip()
    listed = git(root, "diff", "--name-status", "--find-renames=40%", "-z", common, "--", "notebooks").split("\0")
    fields = iter(field for field in listed if field)
    for status in fields:
        before = next(fields)
        now = next(fields) if status[0] == "R" else before
        yield (None if status == "A" else (common, before)), (None if status == "D" else root / now)
    for name in git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", "notebooks").split("\0"):
        if name.endswith(".ipynb"):
            yield None, root / name


def difference(before, now, color=False):
    """What has changed from one notebook to another, without outputs; empty if nothing else has."""
    set_notebook_diff_targets(
        sources=True, outputs=False, attachments=True, metadata=True, identifier=False, details=False
    )
    found = diff_notebooks(before, now)
    if not found:
        return ""
    shown = io.StringIO()
    config = PrettyPrintConfig(out=shown, use_git=False, use_diff=False, use_color=color)
    pretty_print_notebook_diff("before", "now", before, found, config)
    return "\n".join(shown.getvalue().splitlines()[3:]) + "\n"  # nbdime's heading names files that are none


def main(arguments, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", nargs="?", default="main", metavar="BASE", help="a commit, branch or tag (%(default)s)")
    base, outputs = parser.parse_args(arguments).base, []
    try:
        for before, now in changed(base, root):
            name = now.name if now else Path(before[1]).name
            if not (before and now):
                print(f"=== {name}: {'new' if now else 'gone'}")
                continue
            old = nbformat.reads(git(root, "show", ":".join(before)), as_version=4)
            if text := difference(old, nbformat.read(now, as_version=4), sys.stdout.isatty()):
                moved = "" if before[1].endswith(name) else f" (was {Path(before[1]).name})"
                print(f"=== {name}{moved}\n{text}")
            else:
                outputs.append(name)
    except ReviewError as problem:
        print(f"[review] {problem}", file=sys.stderr)
        return 1
    print(f"[review] against {base}; only outputs differ in: {', '.join(outputs) or 'none'}")
    return 0


if __name__ == "__main__":
    call("review", main)
