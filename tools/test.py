"""`make test`: which data, ruff, the unit tests with their coverage, then every notebook re-executed and compared.

    python tools/test.py              everything
    python tools/test.py --notebooks  the notebooks, and the tests that depend on the data in use
    python tools/test.py --handouts   what `make handouts` gives away, executed as a learner gets it: every cell runs,
                                      and every check says "not solved yet"

Every stage runs, also after one has failed; the exit status is 1 if any did.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from order import long_first

ROOT = Path(__file__).resolve().parent.parent
CELL_SECONDS = 300
NO_TESTS = 5  # pytest's exit status when it found none


def cores():
    """The cores this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel(files, available):
    """pytest's options, and the environment, for tests in parallel by file.

    One thread each when there are several workers: two processes with two torch threads thrash two cores. Never a
    notebook's cells on different workers, so loadfile and not xdist's default.
    """
    workers = max(1, min(files, available))
    if workers == 1:
        return ["-p", "no:xdist"], {}
    return ["-n", str(workers), "--dist", "loadfile"], {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def stages(root, available, only=""):
    """(name, command, environment) of each stage; `only`: "notebooks" or "handouts"."""
    python = [sys.executable, "-m"]
    data = ("data", [*python, "utils.data"], {})
    paths = long_first(root / "notebooks")
    options, env = parallel(len(paths), available)
    compared = [
        "-v", "--nbval", "--nbval-current-env",
        "--nbval-sanitize-with", "tests/nbval_sanitize.cfg", "--nbval-cell-timeout", str(CELL_SECONDS), *options,
    ]  # fmt: skip
    if only == "handouts":
        making = ("making of handouts", [sys.executable, str(root / "tools" / "handouts.py"), "--expect"], {})
        return [data, making, ("handouts", [*python, "pytest", "build/handouts-test", *compared], env)]
    paths = [path.relative_to(root).as_posix() for path in paths] or ["notebooks"]  # with no path, pytest takes others
    # By itself xdist would take those with most cells first.
    ordered = ["--no-loadscope-reorder"] if "loadfile" in options else []
    notebooks = ("notebooks", [*python, "pytest", *paths, *compared, *ordered], env)
    options, env = parallel(len(list((root / "tests").glob("test_*.py"))), available)
    if only == "notebooks":
        return [data, ("tests of the data", [*python, "pytest", "tests", "-m", "data", *options], env), notebooks]
    coverage = ["--cov=utils", "--cov-report=term-missing:skip-covered", "--cov-fail-under=95"]
    return [
        data,
        ("ruff", [*python, "ruff", "check", "."], {}),
        ("unit tests", [*python, "pytest", "tests", *coverage, *options], env),
        notebooks,
    ]


def passed(status, name):
    """No test depends on the data is no failure; anywhere else, pytest that finds nothing to test has failed."""
    return status == 0 or (name == "tests of the data" and status == NO_TESTS)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.set_defaults(only="")
    choice = parser.add_mutually_exclusive_group()
    for word, what in (("notebooks", "the notebooks and the data's tests"), ("handouts", "what is given away")):
        choice.add_argument(f"--{word}", dest="only", action="store_const", const=word, help=f"only {what}")
    results = {}
    for name, command, extra in stages(ROOT, cores(), parser.parse_args(arguments).only):
        print(f"[test] {name} ...", flush=True)
        start = time.monotonic()
        status = subprocess.run(command, cwd=ROOT, env={**os.environ, **extra}).returncode
        results[name] = (passed(status, name), time.monotonic() - start)
    print()
    for name, (good, seconds) in results.items():
        print(f"[test] {name:<18} {seconds:6.1f} s  {'ok' if good else 'FAILED'}")
    return 0 if all(good for good, _ in results.values()) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("[test] stopped", file=sys.stderr)
        sys.exit(130)
