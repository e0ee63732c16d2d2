"""`make bench`: measures what is promised to be fast, and writes build/benchmarks.md.

    python tools/bench.py                 everything but `series` and `memory`, which take minutes each
    python tools/bench.py layers fit      only these (`make bench ONLY="layers fit"`)
    python tools/bench.py --quick         everything in seconds, too small to mean anything; writes nothing

What was measured before on the same machine is kept in build/benchmarks.json, so that a part can be measured again by
itself. Once all parts are there, docs/benchmarks.md is renewed as well: that page is always of one machine.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # where `benchmarks` is: it is no part of what gets installed

import torch  # noqa: E402

from benchmarks import gpu, normalizing, pictures, recording, together  # noqa: E402
from benchmarks.measure import Row, skipped  # noqa: E402
from benchmarks.page import machine, page, table  # noqa: E402

SECTIONS = {
    "data": ("Pictures", [pictures.batches, pictures.loading]),
    "stats": ("Recording what every layer does", [recording.recording, recording.fastai]),
    "fit": ("The training loop", [recording.fitting]),
    "layers": ("Batch normalization, forward and backward", [normalizing.eager, normalizing.compiled]),
    "exhibits": ("Published layers' formulas, forward and backward", [normalizing.exhibits]),
    "sync": ("Synchronized statistics", [together.synchronized]),
    "imports": ("Starting", [together.importing]),
    "growth": ("Growth", [recording.growth]),
    "gpu": ("On a GPU", []),
    "series": ("The series", [together.series]),
    "memory": ("Memory", [together.memory]),
}
ON_GPU = [
    gpu.epochs,
    gpu.time_to_accuracy,
    recording.recording,
    normalizing.eager,
    normalizing.compiled,
    normalizing.exhibits,
]
ON_REQUEST = ("series", "memory")  # minutes each


def measure(section, quick=False):
    """The rows of a section."""
    if section != "gpu":
        return [row for function in SECTIONS[section][1] for row in function(quick)]
    if not quick and not torch.cuda.is_available():
        return [skipped("the table on a GPU, an epoch in bfloat16, the time to 94 %", "–", "Has not run: no GPU here.")]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return [row for function in ON_GPU for row in function(quick, device)]


def stored(path):
    """What was measured before on this machine: {section: rows}."""
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept.get("machine") != machine():
        print(f"[bench] what {path.name} holds was measured on another machine, or with another torch: left out")
        return {}
    return {
        name: [Row(**{**row, "values": tuple(row["values"])}) for row in rows]
        for name, rows in kept["sections"].items()
        if name in SECTIONS
    }


def write(text, path):
    """Under another name first: an interrupted run leaves the old file whole."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8", newline="\n")
    os.replace(new, path)


def main(arguments, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(SECTIONS)}")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; the numbers mean nothing")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(SECTIONS):
        print(f"[bench] no {', '.join(sorted(unknown))}; there are: {', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    results = root / "build" / "benchmarks.json"
    sections = {} if options.quick else stored(results)
    for name in options.names or [name for name in SECTIONS if name not in ON_REQUEST]:
        print(f"[bench] {name} ...", flush=True)
        start = time.monotonic()
        sections[name] = measure(name, options.quick)
        print(f"{table(sections[name])}\n[bench] {name}: {time.monotonic() - start:.0f} s\n", flush=True)
        if not options.quick:
            rows = {k: [dataclasses.asdict(row) for row in rows] for k, rows in sections.items()}
            write(json.dumps({"machine": machine(), "sections": rows}), results)
    if options.quick:
        return 0
    text = page({SECTIONS[name][0]: sections[name] for name in SECTIONS if name in sections})
    write(text, root / "build" / "benchmarks.md")
    if missing := [name for name in SECTIONS if name not in sections]:
        print(f"[bench] written: build/benchmarks.md (docs/benchmarks.md waits for: {', '.join(missing)})")
        return 0
    write(text, root / "docs" / "benchmarks.md")
    print("[bench] renewed: docs/benchmarks.md")
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\n[bench] stopped", file=sys.stderr)
        sys.exit(130)
