"""Executes the notebooks, as many at a time as there are cores, with one line for each.

    python -m tools.run [NAME...]             into build/executed/, for reading (`make run`)
    python -m tools.run --in-place [NAME...]  back into notebooks/, in the form that is committed (`make notebooks`)

NAME is the beginning of a file's name: 01, or 03_what.

The committed form is the same whoever executed it: no time stamps, counts 1..n, no version of the machine's Python, no
path of the machine, no state of progress bars. The pictures of CIFAR-10 are not ours to hand out: a cell whose metadata
says `"store_output": "stand-in"` is committed with what it shows when the notebook is executed on the stand-in, one
that says `false` without its outputs. nbval would miss them, so the cell needs the tag `nbval-ignore-output` too. A
cell that writes to stderr is a failure here: its text would differ between machines.
"""

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from copy import deepcopy
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from tools import files
from tools.calling import call
from tools.kernels import OwnKernelManager
from tools.test import long_first
from utils.machine import cores

ROOT = Path(__file__).resolve().parent.parent
CELL_SECONDS = 300
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}


class NotebookFailure(Exception):
    """A notebook that did not run through, or must not be committed; its text says where and why."""


def execute(notebook, folder, timeout=CELL_SECONDS, **env):
    """Runs all cells of a notebook, with `folder` as its working folder and `env` in the environment; what was reached
    stays in it on failure."""
    place = {}

    def note(cell, cell_index):
        place["cell"] = cell_index + 1

    client = NotebookClient(
        notebook,
        kernel_name="python3",
        kernel_manager_class=OwnKernelManager,
        timeout=timeout,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=note,
    )
    try:
        client.execute(env={**os.environ, **env})
    except CellExecutionError as error:
        raise NotebookFailure(f"cell {place['cell']}: {error.ename}: {error.evalue}") from None
    except CellTimeoutError:
        raise NotebookFailure(f"cell {place['cell']}: not done after {timeout} s") from None
    except DeadKernelError:
        raise NotebookFailure(f"cell {place.get('cell', 1)}: the kernel died (out of memory?)") from None
    except RuntimeError as error:  # nbclient has no type of its own for it
        raise NotebookFailure(f"the kernel did not start: {error}") from None


def coalesce(outputs):
    """Neighbouring pieces of one stream as one output: how a text was cut depends on the machine's speed."""
    joined = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output["output_type"] == "stream" == last.get("output_type") and output["name"] == last["name"]:
            last["text"] += output["text"]
        else:
            joined.append(output)
    return joined


def without_paths(text, root):
    """A text without the folders of this machine."""
    home, names = Path.home(), []
    for folder, name in ((Path(sys.prefix), "<environment>"), (root, ".")):
        names.append((str(folder), name))
        if folder.is_relative_to(home):
            names.append((str(Path("~", folder.relative_to(home))), name))
    for folder, name in names:
        text = text.replace(folder, name)
    return text


def normalise(notebook):
    """Brings an executed notebook into the form that is committed; a NotebookFailure if it cannot be."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = dict(KERNELSPEC)
    notebook.metadata["language_info"] = dict(LANGUAGE)
    count = 0
    for number, cell in enumerate(notebook.cells, 1):
        for volatile in ("execution", "ExecuteTime", "trusted"):
            cell.metadata.pop(volatile, None)
        if cell.cell_type != "code":
            continue
        outputs = [output for output in cell.outputs if output.get("data", output)]  # a bar leaves one without data
        errors = [output["text"] for output in outputs if output.get("name") == "stderr"]
        if errors:
            raise NotebookFailure(f"cell {number} wrote to stderr: {errors[0].strip().splitlines()[-1]}")
        if cell.source.strip():
            count += 1
            cell.execution_count = count
        else:
            cell.execution_count = None
        for output in outputs:
            if output["output_type"] == "execute_result":
                output["execution_count"] = cell.execution_count
            if output["output_type"] == "error":
                output["traceback"] = [without_paths(line, ROOT) for line in output["traceback"]]
                output["evalue"] = without_paths(output["evalue"], ROOT)
            if output["output_type"] == "stream":
                output["text"] = without_paths(output["text"], ROOT)
        cell.outputs = [] if cell.metadata.get("store_output") is False else coalesce(outputs)
    return notebook


def as_text(notebook):
    """What the file of a notebook holds: as Jupyter writes it, with a newline at its end."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def write(notebook, path):
    files.write(as_text(notebook), path)


def on_stand_in(notebook, folder, timeout):
    """What the cells show on the stand-in whose pictures are not ours to hand out: id → outputs."""
    ids = [cell.id for cell in notebook.cells if cell.metadata.get("store_output") == "stand-in"]
    if not ids:
        return {}
    other = deepcopy(notebook)
    execute(other, folder, timeout, COURSE_DATA="stand-in")
    return {cell.id: cell.outputs for cell in other.cells if cell.id in ids}


def select(folder, names):
    """The notebooks of a folder, in order; only those whose names begin with one of `names`, if there are any.

    A whole number is a notebook's: 3 is that of 03, and 1 not that of 10.

    Raises:
        SystemExit: the folder holds no notebook, or none whose name begins so; the text says which there are.
    """
    notebooks = sorted(folder.glob("*.ipynb"))
    if not notebooks:
        raise SystemExit(f"[run] {folder} has no notebooks")
    starts = {name: f"{int(name):02d}_" if name.isascii() and name.isdigit() else name for name in names}
    for name, start in starts.items():
        if not any(path.name.startswith(start) for path in notebooks):
            raise SystemExit(
                f"[run] no notebook begins with {name!r}; there are: {', '.join(p.stem for p in notebooks)}"
            )
    return [path for path in notebooks if not names or path.name.startswith(tuple(starts.values()))]


def run_one(path, target, in_place, timeout=CELL_SECONDS):
    """Executes one notebook and writes it to `target`; in place, only what may be committed is written.

    Returns:
        (seconds, why it failed); the latter is empty if it ran through.
    """
    start = time.monotonic()
    try:
        notebook = nbformat.read(path, as_version=4)
    except ValueError as error:
        return 0.0, f"it cannot be read: {str(error).splitlines()[0][:200]}"
    try:
        if in_place:
            drawn = on_stand_in(notebook, path.parent, timeout)
        execute(notebook, path.parent, timeout)
        if in_place:
            for cell in notebook.cells:
                if cell.id in drawn:
                    cell.outputs = drawn[cell.id]
            normalise(notebook)
    except NotebookFailure as failure:
        reason = str(failure)
    else:
        reason = ""
    try:
        if not reason or not in_place:
            write(notebook, target)
    except OSError as error:
        reason = f"it cannot be written: {error.strerror or error}"
    return time.monotonic() - start, reason


def results(paths, target, in_place, timeout, jobs):
    """(path, seconds, failure) of each notebook as it ends: so many at a time, each in a process of its own."""
    if jobs == 1:
        yield from ((path, *run_one(path, target / path.name, in_place, timeout)) for path in paths)
        return
    os.environ.update(
        OMP_NUM_THREADS="1", MKL_NUM_THREADS="1"
    )  # as `make test`: two times two threads thrash two cores
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(run_one, path, target / path.name, in_place, timeout): path for path in paths}
        for done in as_completed(running):
            yield running[done], *done.result()


def main(arguments, folder=ROOT / "notebooks", executed=ROOT / "build" / "executed"):
    parser = argparse.ArgumentParser(description="Executes the notebooks, with one line for each.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="the beginning of a file's name, such as 01")
    parser.add_argument("--in-place", action="store_true", help="write back to notebooks/, in the committed form")
    parser.add_argument("--timeout", type=int, default=CELL_SECONDS, help="seconds a cell may take (%(default)s)")
    parser.add_argument("--jobs", type=int, default=cores(), help="notebooks at a time (%(default)s)")
    options = parser.parse_args(arguments)
    paths, failed, start = long_first(select(folder, options.names)), 0, time.monotonic()
    target = folder if options.in_place else executed
    jobs = max(1, min(options.jobs, len(paths)))
    for path, seconds, failure in results(paths, target, options.in_place, options.timeout, jobs):
        failed += bool(failure)
        print(f"[run] {path.stem:<50} {seconds:6.1f} s  {'FAILED' if failure else 'ok'}", flush=True)
        if failure:
            left = "; the stored notebook was left as it was" if options.in_place else ""
            print(f"[run]     {failure}{left}", flush=True)
    print(f"[run] {len(paths) - failed} of {len(paths)} notebooks ran through in {time.monotonic() - start:.0f} s; "
          f"written to {target}")  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    call("run", main)
