"""What JupyterHub costs for a class: time, memory and processor time of one student alone, then of all at once.

    python benchmarks/hub.py                              8 students run notebook 02
    python benchmarks/hub.py --students 20 --notebook 03

Each student logs in, gets a server with JupyterLab, opens the notebook and runs all its cells; all of them at the same
moment. JupyterHub is no part of the course's environment: it is installed into build/hub-venv, or is found where --venv
says. The kernels are the course's. Prints a table, and writes build/hub.json. Linux only, and loopback only.
"""

import argparse
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # where `benchmarks` is: it is no part of what gets installed

from benchmarks.hub_server import PASSED_ON, Failure, Hub, prepare, proxy  # noqa: E402
from benchmarks.hub_table import conditions, summary, table  # noqa: E402
from benchmarks.hub_usage import Sampler  # noqa: E402

VERSIONS = (
    "import importlib.metadata as m, json, sys; print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
)


def attend(student, path, cells, together):
    """One student's lesson: the seconds of its three parts. `together`: where everybody waits for everybody."""
    together.wait()
    start = time.perf_counter()
    student.log_in()
    student.wait_for_server()
    ready = time.perf_counter()
    together.wait()
    opened = time.perf_counter()
    student.open(path)
    answered = time.perf_counter()
    student.run(cells)
    done = time.perf_counter()
    student.close()
    return {"server_s": ready - start, "kernel_s": answered - opened, "cells_s": done - answered}


def everybody(students, path, cells):
    """All of them at once: {name: seconds}. The first Failure ends it."""
    outcomes, together = queue.SimpleQueue(), threading.Barrier(len(students))

    def go(student):
        try:
            outcomes.put((student.name, attend(student, path, cells, together)))
        except Exception as error:
            outcomes.put((student.name, error))
            together.abort()

    for student in students:
        threading.Thread(target=go, args=(student,), name=f"lesson of {student.name}", daemon=True).start()
    times = {}
    for _ in students:
        name, outcome = outcomes.get()
        if isinstance(outcome, Failure):
            raise Failure(f"{name}: {outcome}")
        if isinstance(outcome, Exception):
            raise outcome
        times[name] = outcome
    return dict(sorted(times.items()))


def lesson(venv, python, count, notebook):
    """A hub, `count` students, and what was measured."""
    # Needs a package that JupyterLab brings; where it is not there, main can say so.
    from benchmarks.hub_student import Student, code_cells

    names = [f"student{number:02}" for number in range(1, count + 1)]
    load, spent = os.getloadavg()[0], time.process_time()
    with Hub(venv, python, names) as hub, Sampler(hub.mark) as sampler:
        students = [Student(hub.url, name, hub.password) for name in names]
        times = everybody(students, f"notebooks/{notebook.name}", code_cells(notebook))
    return {"load_before": load, "browsers_cpu_s": time.process_time() - spent, **summary(times, sampler.samples)}


def versions(python, *names):
    """The installed versions of these packages; a Failure if one of them is not there."""
    done = subprocess.run([python, "-c", VERSIONS, *names], capture_output=True, text=True)
    if done.returncode:
        missing = (done.stderr.strip().splitlines() or ["?"])[-1].rpartition(" ")[2]
        raise Failure(f"{python} has no {missing}: name the course's Python with --python (make setup builds it)")
    return json.loads(done.stdout)


def machine():
    """Processor, cores and memory; no name of a machine, and no path."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = {"processor": model[1].strip() if model else os.uname().machine}
    return {**found, "cores": len(os.sched_getaffinity(0)), "memory_gb": round(memory / 1e9, 1)}


def data_in_use():
    """Which setting says where the kernels find the images; not what it says, since that is a path."""
    return next((name for name in PASSED_ON if os.environ.get(name)), "what the course finds by itself")


def measure(options, notebook):
    """A trial pass, which fills the caches; one student alone; all of them."""
    if not Path("/proc/self/smaps_rollup").exists():
        raise Failure("memory is read from /proc/PID/smaps_rollup, which only Linux has (4.14 or newer)")
    course = versions(options.python, "torch", "ipykernel")
    prepare(options.venv, options.proxy)
    brought = versions(str(options.venv / "bin" / "python"), "jupyterhub", "jupyterlab")
    result = {
        "machine": machine(),
        "versions": {**brought, f"proxy ({proxy(options.venv)[0]})": _proxy_version(options.venv), **course},
        "notebook": notebook.stem,
        "data": data_in_use(),
    }
    for phase, count in (("trial", 1), ("alone", 1), ("together", options.students)):
        print(f"[hub] {phase}: {count} student{'s' * (count > 1)} ...", flush=True)
        result[phase] = lesson(options.venv, options.python, count, notebook)
    return result


def _proxy_version(venv):
    done = subprocess.run([str(proxy(venv)[1]), "--version"], capture_output=True, text=True)
    return (re.findall(r"\d+(?:\.\d+)+", done.stdout) or ["unknown"])[0]


def arguments_of(arguments):
    """What the command line says, and the notebook it names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--students", type=int, default=8, help="how many at once (%(default)s)")
    parser.add_argument("--notebook", default="02", help="the beginning of its name (%(default)s)")
    parser.add_argument("--venv", type=Path, default=ROOT / "build" / "hub-venv", help="an environment with JupyterHub")
    parser.add_argument("--python", default=sys.executable, help="the course's Python, for the kernels")
    kind = "npm" if shutil.which("npm") else "pypi"
    parser.add_argument("--proxy", choices=("npm", "pypi"), default=kind, help="which to install (here: %(default)s)")
    options = parser.parse_args(arguments)
    found = sorted((ROOT / "notebooks").glob(f"{options.notebook}*.ipynb"))
    if len(found) != 1:
        parser.error(f"{len(found)} notebooks begin with {options.notebook!r}")
    options.python = os.path.abspath(shutil.which(options.python) or parser.error(f"there is no {options.python}"))
    if options.students < 1:
        parser.error("there must be a student")
    return options, found[0]


def main(arguments, target=ROOT / "build" / "hub.json"):
    options, notebook = arguments_of(arguments)
    try:
        result = measure(options, notebook)
    except Failure as failure:
        print(f"[hub] {failure}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"[hub] no module {error.name}: run this with the course's Python (make setup)", file=sys.stderr)
        return 1
    print(table(result["alone"], result["together"]), *conditions(result), sep="\n")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"[hub] written: {target.parent.name}/{target.name}")
    return 0


def _stop(number, _):
    raise SystemExit(128 + number)  # so that everything that was started is ended


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _stop)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\n[hub] stopped", file=sys.stderr)
        sys.exit(130)
