"""`make test`: which data, ruff, the kit's types, the unit tests, then every notebook re-executed and compared.

    python -m tools.test              everything but what takes long or needs a browser
    python -m tools.test --notebooks  the notebooks, and the tests that depend on the data in use
    python -m tools.test --handouts   what `make handouts` gives away, executed as a learner gets it: every cell runs,
                                      and every check says "not solved yet"; and the tests of the data
    python -m tools.test --proofs     all unit tests with their coverage, also those marked `proof`, which take long,
                                      and `browser`, which need one
    python -m tools.test --browser    only those marked `browser`: decks, site, things to touch, JupyterLab
    python -m tools.test --lint       ruff's rules and its format, notebooks included; the kit's types

Every stage runs, also after one has failed; the exit status is 1 if any did.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from tools.calling import call
from utils.machine import cores

ROOT = Path(__file__).resolve().parent.parent
CELL_SECONDS = 300
CHOICES = {
    "notebooks": "the notebooks, and the tests that depend on the data",
    "handouts": "what `make handouts` gives away, run as a learner gets it",
    "proofs": "all unit tests, also those that take long or need a browser, with their coverage",
    "browser": "what is tested in a Chromium or Chrome",
    "lint": "ruff, and the types of the kit",
}
# In which order notebooks, and files of tests, start: the long ones first, as measured, and those that are not named
# here at the end, because the other cores have nothing to do while the last one runs.
LONG_FIRST = (
    "what_does_it_do_to_a_network",
    "how_large_a_learning_rate_does_it_buy_and_why",
    "what_is_a_learning_rate_worth",
    "what_must_the_gradient_know",
    "does_it_tame_152_layers",
    "why_does_it_fail_in_eval_mode",
    "so_what_is_true",
    "what_goes_wrong_on_the_way_out",
    "what_goes_wrong_while_it_trains",
    "why_not_in_a_transformer",
    "do_we_still_need_to_normalize_the_input",
    "what_does_the_batch_size_change",
    "how_does_it_work_on_many_machines",
    "normalize_over_what",
    "what_else_is_wrong_with_our_layer",
    "what_happens_to_a_signal_after_20_layers",
    "does_it_regularize",
)


LONG_TESTS_FIRST = (
    "kit_matrices",
    "site",
    "slides",
    "lab",
    "handouts",
    "distributed",
    "probes",
    "plots",
    "tools",
    "exercises",
    "study",
    "museum",
)


def long_first(paths, order=LONG_FIRST):
    """Notebooks or files of tests in this order, whatever the notebooks' numbers are."""
    rank = {words: place for place, words in enumerate(order)}
    return sorted(paths, key=lambda path: (rank.get(path.stem.partition("_")[2], len(rank)), path.name))


def parallel(files, available):
    """pytest's options, and the environment, for tests in parallel by file.

    One thread each when there are several workers: two processes with two torch threads thrash two cores. Never a
    notebook's cells on different workers, so loadfile and not xdist's default.
    """
    workers = max(1, min(files, available))
    if workers == 1:
        return ["-p", "no:xdist"], {}
    # By itself xdist would take those files first that have most tests.
    options = ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    return options, {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def stages(root, available, only=""):
    """(name, command, environment) of each stage; `only`: one of CHOICES, or "" for `make test`."""
    python = [sys.executable, "-m"]
    data = ("data", [*python, "utils.data"], {})
    typed = ["--config-file", "kit/pyproject.toml", "kit/src"]
    lint = [
        ("ruff", [*python, "ruff", "check", "."], {}),
        ("ruff's format", [*python, "ruff", "format", "--check", "."], {}),
        ("types of the kit", [*python, "mypy", "--cache-dir", "build/mypy", *typed], {}),
    ]
    if only == "lint":
        return lint
    files = long_first((root / "tests").glob("test_*.py"), LONG_TESTS_FIRST)
    options, env = parallel(len(files), available)
    unit = [*python, "pytest", *(path.relative_to(root).as_posix() for path in files), *options]
    if only == "browser":
        return [data, ("in a browser", [*unit, "-m", "browser", "--durations=10"], env)]
    if only == "proofs":
        coverage = ["--cov", "--cov-report=term-missing:skip-covered", "--cov-fail-under=95"]
        return [data, ("proofs", [*unit, *coverage, "--durations=10"], env)]
    paths = long_first((root / "notebooks").glob("*.ipynb"))
    options, notebook_env = parallel(len(paths), available)
    compared = [
        "-v", "--nbval", "--nbval-current-env",
        "--nbval-sanitize-with", "tests/nbval_sanitize.cfg", "--nbval-cell-timeout", str(CELL_SECONDS), *options,
    ]  # fmt: skip
    of_data = ("tests of the data", [*unit, "-m", "data and not proof and not browser"], env)
    if only == "handouts":
        making = ("making of handouts", [*python, "tools.handouts", "--expect"], {})
        handouts = ("handouts", [*python, "pytest", "build/handouts-test", *compared], notebook_env)
        return [data, of_data, making, handouts]
    paths = [path.relative_to(root).as_posix() for path in paths] or ["notebooks"]  # with no path, pytest takes others
    notebooks = ("notebooks", [*python, "pytest", *paths, *compared], notebook_env)
    if only == "notebooks":
        return [data, of_data, notebooks]
    return [data, *lint, ("unit tests", [*unit, "-m", "not proof and not browser"], env), notebooks]


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.set_defaults(only="")
    choice = parser.add_mutually_exclusive_group()
    for word, what in CHOICES.items():
        choice.add_argument(f"--{word}", dest="only", action="store_const", const=word, help=f"only {what}")
    results = {}
    for name, command, extra in stages(ROOT, cores(), parser.parse_args(arguments).only):
        print(f"[test] {name} ...", flush=True)
        start = time.monotonic()
        status = subprocess.run(command, cwd=ROOT, env={**os.environ, **extra}).returncode
        results[name] = (status == 0, time.monotonic() - start)
    print()
    for name, (good, seconds) in results.items():
        print(f"[test] {name:<18} {seconds:6.1f} s  {'ok' if good else 'FAILED'}")
    return 0 if all(good for good, _ in results.values()) else 1


if __name__ == "__main__":
    call("test", main)
