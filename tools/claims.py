"""Measures the claims, and shows them.

    python -m tools.claims                     the tables in README.md, docs/claims.md and docs/symptoms.md
    python -m tools.claims --record [NAME...]  first runs the notebooks on both data sets, over more seeds than in
                                               class, and records each claim's arms in lessons/nbNN/claims.json
                                               (`make claims`; ONLY="03 04" for some); an hour on two cores

A notebook that does not run through keeps its old records. NAME is the beginning of a file's name: 01, or 03_what.
"""

import argparse
import json
import os
import sys
import tempfile
from itertools import groupby
from pathlib import Path

from tools import run
from tools.calling import call
from tools.files import between_markers, write
from utils import lessons
from utils.claims import Board, board, records
from utils.machine import cores
from utils.symptoms import symptoms

ROOT = Path(__file__).resolve().parent.parent
SEEDS = 6  # so many that two sets of three, as many as in class, can be drawn from them; or what a claim wants
CELL_SECONDS = 1800
BEGIN, END = "<!-- claims -->", "<!-- /claims -->"
PAGE = """# The claims, and what was measured

What is said about batch normalization, each sentence tested: what was compared, what came out on two data sets, and the
verdict.

{count}

**How a verdict is reached.** A measured claim names what is compared (the estimand) and the smallest effect that
would matter. `make claims` runs the arms on CIFAR-10 and on the stand-in, over six seeds or more, and computes the
estimate with a 95 % interval. For accuracies it is one over seeds *and* test pictures (two variance components,
Satterthwaite's degrees of freedom); for ratios it is taken on their logarithms; for the share of runs that fail it is
Newcombe's. The claim *holds* where the whole interval lies where the rule wants it, *does not hold* where none of it
does, and is *undecided at this scale* otherwise, or where the data sets disagree. A star marks what survives Holm's
correction for all tests together. (CIFAR-10 is here a copy of it in JPEG, at 29.6 dB; what one more copying costs,
the [study](../study/README.md) has measured.) A caveat is a further estimand: where the sentence fails, or what it
costs. If it holds, too, the verdict is *holds, with a caveat*. An identity is shown to within rounding; of a fact one
witness is enough. Each time the notebook runs, the claim is measured again, and fails if it contradicts the record.
*After hours* is the study's verdict, where it asks the same, mostly of deeper networks.

**What was changed after a look.** Notebook 10 was recorded over 6, then 12, then 24 seeds, and two claims of 04 and two
of 11 over 6, then 12, because intervals were too wide to decide; the intervals and the stars take no account of such
looks. 10.5 was undecided at 12. The edges of 8.5 were narrowed when its result was known, to where theory could fail.

**At which rates.** Where arms are trained and compared, each is at its own best rate, unless the card says otherwise.
The rate is from a grid on training pictures of CIFAR-10 that were held out; the card has the grid, or that of a sibling
has it. On the stand-in the rates are the same, unless a grid there, on held-out pictures of its own, would change what
the claim says: then each data set has its own, and the card has both.

**What the rules can see.** *Power* is how often an effect twice as large as the smallest that matters would be found
with these seeds; where it is low, "undecided" says little. `make proofs` deals out the arms of the recorded runs
anew, a thousand times, so that no effect is left: no rule may find one in more than 2.5 % of the deals. `make broken`
takes the effect out of each experiment's code and wants another verdict.

{table}

{chance}
"""

SYMPTOMS = """# The index of symptoms

What goes wrong with batch normalization, by what one sees; in the order of a network's life. Look for a word of your
error message. The notebooks show each case, how to tell that it is yours, and the cure. In a notebook:
`from utils.symptoms import symptoms; symptoms("inplace")`.

{table}
"""


def pages(root=ROOT):
    """The pages that show the claims, and the index of symptoms, as the lessons want them: {path: text}."""
    readme, all_claims = root / "README.md", board()
    shown = Board((c for c in all_claims.claims if c.words.surprising), all_claims.claims).markdown("notebooks/")
    page = PAGE.format(
        count=all_claims.count(), table=all_claims.markdown("../notebooks/", measured=True), chance=all_claims.chance()
    )
    return {
        readme: between_markers(readme, BEGIN, END, f"{all_claims.count()}\n\n{shown}".rstrip()),
        root / "docs" / "claims.md": page,
        root / "docs" / "symptoms.md": SYMPTOMS.format(table=symptoms().markdown("../notebooks/")),
    }


def seeds_of(path):
    """How many seeds the claims of a notebook are recorded over: what the most demanding of them wants."""
    return max(SEEDS, *(words.get("seeds", 0) for words in lessons.table(path.name[:2], "claims").values()), 0)


def measure(paths, data_set, folder, jobs):
    """Run the notebooks on a data set; each that ran through, as it ends. Each claim's arms are in `folder`."""
    os.environ[records.FOLDER] = str(folder)
    if data_set == "stand-in":
        os.environ["COURSE_DATA"] = "stand-in"
    try:
        for count, some in groupby(sorted(paths, key=seeds_of), seeds_of):
            os.environ[records.COUNT] = str(count)
            for path, seconds, failure in run.results(list(some), folder, False, CELL_SECONDS, jobs):
                print(f"[claims] {data_set:<9} {path.stem:<52} {seconds:6.1f} s  {failure or 'ok'}", flush=True)
                if not failure:
                    yield path
    finally:
        for name in (records.FOLDER, records.COUNT, "COURSE_DATA"):
            os.environ.pop(name, None)


def record(paths, jobs):
    """Measure the claims of these notebooks and record them, each as it ends; whether all of them ran through."""
    complete = True
    for data_set in records.DATA_SETS:
        with tempfile.TemporaryDirectory() as folder:
            through = 0
            for path in measure(paths, data_set, Path(folder), jobs):
                through += 1
                if path.exists():
                    merge(path.name[:2], data_set, Path(folder))
                else:
                    complete = False
                    print(f"[claims] {path.name} was moved while it ran: nothing is recorded", file=sys.stderr)
            complete &= through == len(paths)
            kept = {name for path in Path(folder).glob("*.json") for name in json.loads(path.read_text("utf-8"))}
            if kept and data_set not in kept:
                complete = False
                print(f"[claims] no {data_set} here (data/README.md): its old record stays", file=sys.stderr)
    return complete


def merge(number, data_set, folder):
    """Put what was just measured on one data set into a lesson's records; what it no longer claims goes."""
    path = lessons.LESSONS / f"nb{number}" / "claims.json"
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    found = {}
    for slug in lessons.slugs(number, "claims"):
        new = folder / f"{slug}.json"
        sets = known.get(slug, {}) | (json.loads(new.read_text("utf-8")) if new.exists() else {})
        if sets := {name: arms for name, arms in sets.items() if arms}:
            found[slug] = {name: sets[name] for name in records.DATA_SETS if name in sets}
    if found:
        records.save(number, found)


def main(arguments, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="with --record: only these notebooks")
    parser.add_argument("--record", action="store_true", help="run the notebooks and record what they measure")
    parser.add_argument("--jobs", type=int, default=cores(), help="notebooks at a time (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        complete = True
        if options.record:
            paths = run.select(root / "notebooks", options.names)
            complete = record(paths, max(1, min(options.jobs, len(paths))))
        renewed = pages(root)  # all of them, before the first is written
        for path, text in renewed.items():
            write(text, path)
    except (OSError, ValueError) as error:
        print(f"[claims] {error}", file=sys.stderr)
        return 1
    print(f"[claims] renewed: {', '.join(path.relative_to(root).as_posix() for path in renewed)}")
    return 0 if complete else 1


if __name__ == "__main__":
    call("claims", main)
