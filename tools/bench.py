"""`make bench`: measures what is promised to be fast, and writes build/benchmarks.md.

    python -m tools.bench                 everything but the series of notebooks, which takes ten minutes by itself
    python -m tools.bench layers series   only these (`make bench ONLY="layers series"`)
    python -m tools.bench --quick         everything in seconds, too small to mean anything; writes nothing

A run without names renews docs/benchmarks.md as well: that page is always of one machine and of one run.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import layers, pictures, series, steps
from benchmarks.page import page, table
from tools.calling import call

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = {
    "pictures": ("Pictures", [pictures.batches, pictures.loading]),
    "steps": ("A training step", [steps.training]),
    "layers": ("Batch normalization, forward and backward", [layers.normalizing]),
    "series": ("The series", [series.series]),
}
ON_REQUEST = {"series"}


def main(arguments, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(SECTIONS)}")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; the numbers mean nothing")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(SECTIONS)):
        print(f"[bench] no {', '.join(unknown)}; there are: {', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    measured = {}
    for name in options.names or [name for name in SECTIONS if name not in ON_REQUEST]:
        title, functions = SECTIONS[name]
        print(f"[bench] {name} ...", flush=True)
        measured[title] = [row for function in functions for row in function(options.quick)]
        print(table(measured[title]) + "\n", flush=True)
    if options.quick:
        return 0
    for target in ["build"] if options.names else ["build", "docs"]:
        (root / target).mkdir(exist_ok=True)
        (root / target / "benchmarks.md").write_text(page(measured), encoding="utf-8", newline="\n")
        print(f"[bench] written: {target}/benchmarks.md")
    return 0


if __name__ == "__main__":
    call("bench", main)
