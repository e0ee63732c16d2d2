"""Breaks each claim's experiment on purpose, runs it again, and sees whether the claim goes red.

    python -m tools.broken [NAME...]   NAME is the beginning of a notebook's file name (`make broken`)

How an experiment is broken stands in lessons/nbNN/claims.toml: under `[slug.broken]`, what is written in a code cell
of the notebook, and what takes its place: the effect is taken out of the code, or, where the claim is that something
makes no difference, the smallest effect that matters is put in; or, where the claim is refuted already, what it says is
put in. With six seeds, the claim's verdict, computed from what the broken notebook measures up to the claim, must be
another one than the verdict that is recorded.
"""

import argparse
import ast
import json
import os
import tempfile
from pathlib import Path

import nbformat

from tools import run
from tools.calling import call
from tools.claims import SEEDS
from utils import lessons
from utils.claims import records
from utils.claims.made import Claim, claim_of

ROOT = Path(__file__).resolve().parent.parent


def breakages(number):
    """What is exchanged → the slugs of the claims that must go red by it; several claims may share one."""
    found = {}
    for slug, words in lessons.table(number, "claims").items():
        if "broken" in words:
            found.setdefault(tuple(words["broken"].items()), []).append(slug)
    return found


def broken(notebook, exchanged, slugs):
    """The notebook up to the claims, with its code exchanged; a ValueError if no code cell holds what is replaced."""
    code = [place for place, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    claimed = [p for p in code if any(f'"{slug}"' in notebook.cells[p].source for slug in slugs)]
    last = max(claimed, default=code[-1])
    notebook.cells = notebook.cells[: last + 1]
    for old, new in exchanged:
        cells = [cell for cell in notebook.cells if cell.cell_type == "code" and old in cell.source]
        if not cells:
            raise ValueError(f"no code cell holds {old!r}")
        for cell in cells:
            cell.source = cell.source.replace(old, new)
    for cell in notebook.cells:
        cell.metadata["tags"] = [*cell.metadata.get("tags", []), "raises-exception"]
        if cell.cell_type == "code":
            cell.source = without_asserts(cell.source)
    return notebook


def without_asserts(source):
    """Code without the asserts between its statements: of a broken experiment they fail, and the claims count."""
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assert):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(lines)


def measured(path, exchanged, slugs):
    """slug → (data set, arms) of what a broken notebook measures."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update({records.FOLDER: folder, records.COUNT: str(SEEDS)})
        try:
            run.execute(broken(nbformat.read(path, as_version=4), exchanged, slugs), path.parent)
        finally:
            for name in (records.FOLDER, records.COUNT):
                os.environ.pop(name)
        files = {file.stem: json.loads(file.read_text("utf-8")) for file in Path(folder).glob("*.json")}
    return {slug: (name, records.unpacked(arms)) for slug, sets in files.items() for name, arms in sets.items()}


def tried(path):
    """(slug, the verdict that is recorded, the broken experiment's; what went wrong) of each claim of a notebook."""
    for exchanged, slugs in breakages(path.name[:2]).items():
        try:
            found, problem = measured(path, exchanged, slugs), ""
        except (ValueError, SyntaxError, run.NotebookFailure) as error:
            found, problem = {}, str(error)
        for slug in slugs:
            made = claim_of(slug)
            if slug not in found:
                yield slug, made.verdict, "", problem or "it did not reach the claim"
                continue
            name, arms = found[slug]
            try:
                now = Claim(made.words, {name: arms}).verdict
            except ValueError as error:
                now = f"none, {error}"  # runs that fail where none did are a result, too
                problem = problem or ("" if "NaN" in now or "not positive" in now else now)  # or the breakage is wrong
            yield slug, made.verdict_on(name), now, problem


def main(arguments, folder=ROOT / "notebooks"):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="the beginning of a file's name, such as 01")
    green = 0
    for path in run.select(folder, parser.parse_args(arguments).names):
        for slug, before, now, problem in tried(path):
            green += bool(problem) or now == before
            word = "FAILED" if problem else "STILL GREEN" if now == before else "red"
            print(f"[broken] {word:<11} {slug}: {before}; broken: {problem or now}", flush=True)
    return 1 if green else 0


if __name__ == "__main__":
    call("broken", main)
