"""`make test`: which data, ruff, the unit tests with their coverage, then every notebook re-executed and compared.

    python tools/test.py              everything
    python tools/test.py --notebooks  the notebooks, and the tests that depend on the data in use

Every stage runs, also after one has failed; the exit status is 1 if any did.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

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


def stages(root, available, notebooks_only=False):
    """(name, command, environment) of each stage."""
    python = [sys.executable, "-m"]
    data = ("data", [*python, "utils.data"], {})
    options, env = parallel(len(list((root / "notebooks").glob("*.ipynb"))), available)
    notebooks = (
        "notebooks",
        [
            *python, "pytest", "notebooks", "-v", "--nbval", "--nbval-current-env",
            "--nbval-sanitize-with", "tests/nbval_sanitize.cfg", "--nbval-cell-timeout", str(CELL_SECONDS), *options,
        ],
        env,
    )  # fmt: skip
    options, env = parallel(len(list((root / "tests").glob("test_*.py"))), available)
    if notebooks_only:
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
    parser.add_argument("--notebooks", action="store_true", help="only the notebooks and the data's tests")
    results = {}
    for name, command, extra in stages(ROOT, cores(), parser.parse_args(arguments).notebooks):
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
