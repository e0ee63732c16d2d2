"""Is everything ready? What the course runs on, checked one by one, each failure with its remedy."""

import importlib
import sys
from dataclasses import dataclass

from utils.files import reason
from utils.tables import html_table

__all__ = ["Check", "Checks", "check_environment"]

PYTHON, TORCH = (3, 11), (2, 11)
INSTALL = "build the environment again with `make lab` (or `conda env create -f environment.yml`)"


@dataclass(frozen=True)
class Check:
    """One question about the environment.

    Attributes:
        question: what was asked.
        ok: whether all is well.
        found: what is there.
        remedy: what to do if it is not; empty if it is.
    """

    question: str
    ok: bool
    found: str
    remedy: str = ""


class Checks(list[Check]):
    """A list of checks that shows itself as a table, in a notebook and in a terminal."""

    def __repr__(self) -> str:
        return "\n".join(f"{_mark(c)}  {c.question}  {c.found}{'  → ' + c.remedy if c.remedy else ''}" for c in self)

    def _repr_html_(self) -> str:
        rows = ((c.question, _mark(c), c.found, c.remedy) for c in self)
        return html_table(("", "", "", ""), rows)


def check_environment() -> Checks:
    """Ask whether Python, torch and torchvision are there and fit together; nothing is changed.

    Returns:
        The `Checks`, failed ones included: nothing is raised.
    """
    return Checks([_python(), _torch(), _torchvision(), _device()])


def _mark(check: Check) -> str:
    return "✓ ready" if check.ok else "✗ not ready"


def _python() -> Check:
    ok = sys.version_info >= PYTHON
    return Check(
        "Python 3.11 or newer", ok, sys.version.split()[0], "" if ok else f"install Python 3.11, then {INSTALL}"
    )


def _torch() -> Check:
    question = "PyTorch 2.11 or newer"
    try:
        version = importlib.import_module("torch").__version__
    except (ImportError, OSError) as error:
        return Check(question, False, f"cannot be imported: {reason(error)}", INSTALL)
    ok = tuple(int(part) for part in version.split("+")[0].split(".")[:2]) >= TORCH
    return Check(question, ok, version, "" if ok else INSTALL)


def _torchvision() -> Check:
    question = "torchvision that fits this PyTorch"
    try:
        return Check(question, True, importlib.import_module("torchvision").__version__)
    except (ImportError, OSError, RuntimeError) as error:
        if "torchvision::nms" in str(error):
            return Check(
                question,
                False,
                "two builds that do not fit: one of torch and torchvision is for the CPU only, the other for CUDA",
                f"install both from one place: {INSTALL}",
            )
        return Check(question, False, f"cannot be imported: {reason(error)}", INSTALL)


def _device() -> Check:
    question = "A device to compute on (a CPU is enough)"
    try:
        from utils.training import pick_device
    except (ImportError, OSError) as error:
        return Check(question, False, f"cannot be asked for without PyTorch: {reason(error)}", INSTALL)
    return Check(question, True, str(pick_device()))
