"""What needs other processes: synchronized statistics, imports, the series of notebooks and their memory."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import Row, ratios, seconds, skipped
from tools.order import long_first
from utils.distributed.processes import run
from utils.layers import BatchNorm2d
from utils.layers.synchronized import convert
from utils.models import ConvNet

__all__ = ["importing", "memory", "series", "synchronized"]

ROOT = Path(__file__).resolve().parent.parent
WHY_SYNCHRONIZED = (
    "The two rows below take it apart: it is all waiting. There are ten exchanges, one forward and one back for each "
    "of five layers, and fewer there cannot be. By a profile on two free cores, an exchange takes 0.4 ms in the median "
    "and 1.4 in the mean once both processes have come: gloo's threads need a core, and both are at work. The rest is "
    "waiting for the other process."
)
WHY_IMPORTING = (
    "torchvision's models import `torch._dynamo`, which is nearly all they take; the first optimizer of any notebook "
    "imports it, so here it comes earlier and costs little more."
)
WHY_MEMORY = {
    "08": "ResNet-152: 58 million weights and their gradients are 0.47 GB, what its layers keep for the way back 0.1, "
    "over the 0.83 GB that the imports take (0.42 of them pages of torch's libraries, here with CUDA, which all "
    "processes share).",
    "13": "Our layer keeps ten tensors of 32 MiB for its backward pass there, which is the lesson.",
}
LATER = {  # what a notebook imports after its first cell
    "and matplotlib": ("import matplotlib.pyplot", "With its first figure; no notebook is without one."),
    "and `torch._dynamo`": ("import torch._dynamo", "With its first optimizer."),
}


def synchronized(quick: bool = False) -> list[Row]:
    """A training step on two processes with statistics of both batches, over the same step with their own."""
    settings = (2, 2, 4, 4) if quick else (25, 8, 64, 64)
    times = run(synchronized_steps, 2, *settings, timeout=300)[0]
    local = times.pop("local")
    what = {
        "synchronized": "a step with `SyncBatchNorm2d`, 2 processes, batch 64, width 64",
        "nobody listens": "the same, but nothing is exchanged: the layer's own arithmetic",
        "local, exchanging": "a step with local statistics, and as many exchanges of as many bytes: waiting",
    }
    return [
        Row(what[name], "the same step, local statistics", ratios(times[name], local),
            1.15 if name == "synchronized" else None, explanation=WHY_SYNCHRONIZED if name == "synchronized" else "")
        for name in what
    ]  # fmt: skip


def synchronized_steps(repeats: int, steps: int, images: int, width: int) -> dict[str, list[float]]:
    """What each process does: seconds of `steps` steps, with and without."""
    models = {name: ConvNet(5, (width,) * 3, BatchNorm2d) for name in ("local", "synchronized", "exchanging")}
    models["synchronized"] = convert(models["synchronized"])
    for layer in models["exchanging"].layers:
        layer.register_forward_hook(lambda _, x, y: _Exchange.apply(y))
    go = {name: _stepper(model, images, steps) for name, model in models.items()}
    arms = {
        "local": go["local"],
        "synchronized": go["synchronized"],
        "nobody listens": lambda: _alone(go["synchronized"]),
        "local, exchanging": go["exchanging"],
    }
    return seconds(arms, repeats)


def _alone(go: Callable[[], None]) -> None:
    """A process sees its own row of each table; the others stay zero, and so do not count."""
    with mock.patch.object(dist, "all_reduce", return_value=None):
        go()


class _Exchange(torch.autograd.Function):
    """Gives back what it is given, after an exchange as large as that of `SyncBatchNorm2d`, and once more on the way
    back."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.table = (dist.get_world_size(), 1 + 2 * x.shape[1])
        dist.all_reduce(torch.zeros(ctx.table))
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        dist.all_reduce(torch.zeros(ctx.table))
        return gradient


def _stepper(model: nn.Module, images: int, steps: int):
    x, y = torch.randn(images, 3, 32, 32), torch.arange(images) % 10
    optimizer = torch.optim.SGD(model.parameters(), 0.01)

    def go() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    return go


def importing(quick: bool = False, notebooks: Path = ROOT / "notebooks") -> list[Row]:
    """A kernel that has run a notebook's imports, over one that has imported torch alone."""
    lines = {path.stem[:2]: _imports(path) for path in sorted(notebooks.glob("*.ipynb"))}
    base = ["import ipykernel.kernelapp", "import torch"]
    if quick:
        lines, base = {"quick": ["import utils.data.errors"]}, ["import json"]
    arms = {"torch alone": lambda: _start(base)}
    for name, imports in lines.items():
        arms[name] = lambda imports=imports: _start(base + imports)
    later = {} if quick else LATER
    for name, (line, _) in later.items():
        arms[name] = lambda line=line: _start([*base, line])
    times = seconds(arms, 2 if quick else 3)
    against = "the same with `import torch` alone"
    rows = []
    for name in lines:
        what = f"starting a kernel, and the imports of notebook {name}"
        rows.append(Row(what, against, ratios(times[name], times["torch alone"]), 1.2, explanation=WHY_IMPORTING))
    for name, (_, when) in later.items():
        values = ratios(times[name], times["torch alone"])
        rows.append(Row(f"starting a kernel, `import torch` {name}", against, values, note=when))
    return rows


def _imports(path: Path) -> list[str]:
    """The import lines of a notebook's set-up cell."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    source = next("".join(c["source"]) for c in cells if "setup" in c["metadata"].get("tags", []))
    return [line for line in source.splitlines() if re.match(r"(import|from) ", line)]


def _start(imports: list[str]) -> None:
    subprocess.run([sys.executable, "-c", "\n".join(imports)], check=True, cwd=ROOT)


def series(quick: bool = False) -> list[Row]:
    """All notebooks under nbval, in parallel by file on all cores; then one after another. Minutes: only if asked."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    paths = long_first(ROOT / "notebooks")[: 1 if quick else None]
    workers = min(cores, len(paths))
    alone = [_nbval([path], 1) for path in paths]
    together = _nbval(paths, workers)
    what, note = f"the series under nbval, {workers} workers", f"{sum(alone):.0f} s one after another."
    return [
        Row(what, "the clock", (together / 60,), 10, unit="min"),
        Row(
            f"{what}: share of the cores that is used",
            "the sum one after another",
            (sum(alone) / together / workers,),
            0.75,
            at_least=True,
            note=note,
        ),
    ]


def _notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def _nbval(paths: list[Path], workers: int) -> float:
    """How many seconds it takes. Numbers that differ are `make test`'s concern; a RuntimeError if it does not run."""
    command = [
        sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env", "--nbval-cell-timeout", "300",
        "--nbval-sanitize-with", "tests/nbval_sanitize.cfg", *map(str, paths),
    ]  # fmt: skip
    command += (
        ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"] if workers > 1 else ["-p", "no:xdist"]
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # as `make test`
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    taken = time.perf_counter() - start
    if done.returncode not in (0, 1):  # 1: it ran, and a test failed
        raise RuntimeError(f"pytest --nbval ended with {done.returncode}: {(done.stderr or done.stdout)[-300:]}")
    return taken


def memory(quick: bool = False) -> list[Row]:
    """The largest memory of each notebook's kernel, as the system counts it. Minutes: only if asked."""
    rows = []
    for path in _notebooks()[: 1 if quick else None]:
        what, against = f"memory of notebook {path.stem[:2]}", "1.5 GB"
        try:
            why = WHY_MEMORY.get(path.stem[:2], "")
            rows.append(Row(what, against, (_peak(path.stem),), 1.5, unit="GB", explanation=why))
        except subprocess.CalledProcessError as error:  # the other notebooks' are worth having
            rows.append(skipped(what, against, f"`make run ONLY={path.stem[:2]}` ended with {error.returncode}.", 1.5))
    return rows


def _peak(name: str) -> float:
    # In a process of its own, whose only child that matters is the kernel: the system counts a child that is started by
    # a large process as large.
    code = (
        "import resource, subprocess, sys; done = subprocess.run([sys.executable, 'tools/run.py', sys.argv[1]], "
        "stdout=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); "
        "sys.exit(done.returncode)"
    )
    done = subprocess.run([sys.executable, "-c", code, name], cwd=ROOT, capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    return int(done.stdout) * unit / 1e9
