"""utils.environment: what is said when all is well, and when it is not."""

import importlib
import subprocess
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
import torch

from utils import environment
from utils.environment import Check, Checks, check_environment

QUESTIONS = [
    "Python 3.11 or newer",
    "PyTorch 2.11 or newer",
    "torchvision that fits this PyTorch",
    "A device to compute on (a CPU is enough)",
]
REAL_IMPORT = importlib.import_module


@pytest.fixture
def modules(monkeypatch):
    """modules(torch=…, torchvision=…): what importing gives, a version or an exception."""

    def set_modules(**given):
        given = {"torch": torch.__version__, "torchvision": "0.26.0", **given}

        def import_module(name, package=None):
            if name not in given:
                return REAL_IMPORT(name, package)
            if isinstance(given[name], BaseException):
                raise given[name]
            return SimpleNamespace(__version__=given[name])

        monkeypatch.setattr(environment.importlib, "import_module", import_module)

    return set_modules


def failed(checks: Checks) -> Check:
    """The one check that failed; the others are well."""
    (check,) = (check for check in checks if not check.ok)
    assert len(checks) == len(QUESTIONS)
    assert all(not other.remedy for other in checks if other.ok)
    assert check.remedy
    return check


def test_here_all_is_ready():
    checks = check_environment()
    assert [check.question for check in checks] == QUESTIONS
    assert [check.ok for check in checks] == [True] * 4, repr(checks)
    assert [check.remedy for check in checks] == [""] * 4
    assert checks[0].found == ".".join(map(str, sys.version_info[:3]))
    assert checks[1].found == torch.__version__
    assert checks[2].found == importlib.import_module("torchvision").__version__
    assert checks[3].found in ("cpu", "cuda", "mps")
    assert repr(checks).count("✓ ready") == 4
    assert "✗" not in repr(checks)


def test_two_builds_that_do_not_fit(modules):
    modules(torchvision=RuntimeError("operator torchvision::nms does not exist"))
    check = failed(check_environment())
    assert check.question == "torchvision that fits this PyTorch"
    assert "two builds that do not fit" in check.found
    assert "one of torch and torchvision is for the CPU only, the other for CUDA" in check.found
    assert "install both from one place" in check.remedy
    assert "make lab" in check.remedy
    assert "conda env create -f environment.yml" in check.remedy


@pytest.mark.parametrize(
    ("module", "error", "found"),
    [
        ("torchvision", ModuleNotFoundError("No module named 'torchvision'"), "No module named 'torchvision'"),
        ("torchvision", OSError("libc10.so: cannot open\nand much more"), "libc10.so: cannot open"),
        ("torchvision", RuntimeError("CUDA error"), "CUDA error"),
        ("torchvision", ImportError(), "ImportError"),
        ("torch", ModuleNotFoundError("No module named 'torch'"), "No module named 'torch'"),
        ("torch", OSError("libcudart.so.13: no such file"), "libcudart.so.13: no such file"),
    ],
)
def test_what_cannot_be_imported(modules, module, error, found):
    modules(**{module: error})
    check = failed(check_environment())
    assert check.question == QUESTIONS[1 if module == "torch" else 2]
    assert check.found == f"cannot be imported: {found}"
    assert "make lab" in check.remedy


@pytest.mark.parametrize("version", ["2.10.2+cu130", "1.13.1"])
def test_an_old_torch(modules, version):
    modules(torch=version)
    check = failed(check_environment())
    assert (check.question, check.found) == ("PyTorch 2.11 or newer", version)
    assert "make lab" in check.remedy


@pytest.mark.parametrize("version", ["2.11.0+cpu", "2.20.1", "3.0.0", "2.12.0a0+git1234abc", "2.11"])
def test_a_torch_that_is_new_enough(modules, version):
    modules(torch=version)
    assert all(check.ok for check in check_environment())


@pytest.mark.parametrize(("version", "ok"), [((3, 10, 14), False), ((3, 11, 0), True), ((3, 14, 1), True)])
def test_the_version_of_python(modules, monkeypatch, version, ok):
    modules()
    text = ".".join(map(str, version))
    fake = SimpleNamespace(version_info=(*version, "final", 0), version=f"{text} (main, Jan 1 2030) [a compiler]")
    monkeypatch.setattr(environment, "sys", fake)
    checks = check_environment()
    assert checks[0].found == text
    assert checks[0].ok is ok
    if not ok:
        assert failed(checks).remedy.startswith("install Python 3.11, then build the environment again")


def test_several_failures_at_once(modules):
    modules(torch="2.0.0", torchvision=ImportError("gone"))
    assert [check.ok for check in check_environment()] == [True, False, False, True]


class Rows(HTMLParser):
    """The cells of each row, and every tag."""

    def __init__(self, text: str):
        super().__init__()
        self.rows, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        self.rows[-1][-1] += data


CHECKS = Checks(
    [Check("Is it <b>here</b>?", True, "1.0 & more"), Check("Is it new?", False, "'0.1' < 1", 'say "update" & wait')]
)


def test_the_table_as_text():
    assert repr(CHECKS).splitlines() == [
        "✓ ready  Is it <b>here</b>?  1.0 & more",
        "✗ not ready  Is it new?  '0.1' < 1  → say \"update\" & wait",
    ]


def test_the_table_as_html():
    parsed = Rows(CHECKS._repr_html_())
    assert parsed.rows == [
        ["Is it <b>here</b>?", "✓ ready", "1.0 & more", ""],
        ["Is it new?", "✗ not ready", "'0.1' < 1", 'say "update" & wait'],
    ]
    assert set(parsed.tags) == {"table", "tbody", "tr", "th", "td"}, "what was found cannot smuggle in tags"


def test_without_torch_the_device_is_a_failed_check_and_nothing_is_raised():
    code = "import sys; sys.modules['torch'] = None; from utils.environment import check_environment as c; print(c())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "A device to compute on (a CPU is enough)  cannot be asked for without PyTorch" in run.stdout
