"""The order of the house: which module may import which, what each one offers, and what no file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# From left to right: a module imports only what stands to its left.
ORDER = (
    "errors standin cache sources data layers collapsed synchronized models metrics training "  # noqa: SIM905
    "processes distributed stats plots probes museum exercises claims".split()
)
APART = {"environment": {"training"}}  # beside the line: imports these, and is imported by no other module
MODULES = sorted(set((ROOT / "utils").glob("**/*.py")) - {ROOT / "utils" / "__init__.py"})
SLOW = {"PIL", "matplotlib", "torch._dynamo", "torchvision"}
VAGUE = {"helpers", "common", "misc", "util", "utilities", "tools"}

each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)


def imported(source: str) -> set[str]:
    """The full names of all modules that a source imports, wherever in it; `from utils import x` is utils.x."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(filter(None, ["utils" if node.level else "", node.module]))
            names |= {f"{package}.{alias.name}" for alias in node.names} if package == "utils" else {package}
    return names


def place(path: Path) -> str:
    """The module or package of utils that a file belongs to: "data", or "probes" for all files in utils/probes/."""
    return path.relative_to(ROOT / "utils").parts[0].removesuffix(".py")


def wrong_way(name: str, source: str) -> list[str]:
    """The modules of utils that the module `name` must not import, and does."""
    if name in APART:
        allowed = APART[name]
    else:
        assert name in ORDER, f"utils.{name} has no place yet: put it into ORDER in tests/test_house.py"
        allowed = set(ORDER[: ORDER.index(name)])
    ours = {module.split(".")[1] for module in imported(source) if module.startswith("utils.")}
    return sorted(ours - allowed - {name})  # the files of a package may import each other


@each_module
def test_dependencies_go_one_way(path):
    wrong = wrong_way(place(path), path.read_text("utf-8"))
    assert not wrong, f"utils.{place(path)} imports {wrong}, which stand to its right in {' → '.join(ORDER)}"


@each_module
def test_no_module_imports_notebooks_tools_or_tests(path):
    tops = {name.split(".")[0] for name in imported(path.read_text("utf-8"))}
    assert not tops & {"notebooks", "tools", "tests", "pytest", "nbformat", "nbclient"}


def test_the_test_of_the_direction_sees_a_wrong_way():
    assert wrong_way("cache", "from utils import data") == ["data"]
    assert wrong_way("cache", "def f():\n    from utils.data import load") == ["data"]
    assert wrong_way("cache", "from .plots import show") == ["plots"]
    assert wrong_way("cache", "from . import plots") == ["plots"]
    assert wrong_way("stats", "import utils.environment") == ["environment"]
    assert wrong_way("data", "import os\nfrom utils.data.cache import Cache") == []
    assert wrong_way("environment", "from utils.training import pick_device") == []
    with pytest.raises(AssertionError, match=r"utils\.new has no place yet"):
        wrong_way("new", "")


def test_what_takes_long_to_import_is_imported_where_it_is_needed():
    """A kernel whose first cell imports all of utils has waited for torch, and for little else."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in MODULES]
    code = f"import {', '.join(names)}, sys; print({SLOW} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@each_module
def test_module_names_say_what_is_inside(path):
    assert path.stem.strip("_") not in VAGUE


@each_module
def test_what_a_module_offers_is_listed_and_described(path):
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), f"utils.{path.stem} has no docstring"
    lists = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert len(lists) == 1, f"utils.{path.stem} needs one __all__"
    offered = ast.literal_eval(lists[0])
    assert offered == sorted(set(offered), key=offered.index), "a name stands in __all__ twice"
    defined = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    silent = [name for name in offered if name in defined and not ast.get_docstring(defined[name])]
    assert not silent, f"no docstring: {silent}"
    bound = {name.id for node in tree.body for name in ast.walk(node) if isinstance(name, ast.Name)}
    bound |= {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert set(offered) <= bound | set(defined), "a name in __all__ does not exist"


# --- what no file of the project may hold; the patterns are put together, so that this file does not hold them either

ADDRESSES = ["python" + "hosted", "pypi." + "org", "registry." + "npmjs", "deb." + "debian", "conda." + "anaconda"]
PLACES = [f"{chr(47)}{name}{chr(47)}" for name in ("home", "Users", "root", "work")] + ["C:\\" + "Users"]
FORBIDDEN = {
    "the address of a registry": re.compile("|".join(map(re.escape, ADDRESSES))),
    "a path of a machine": re.compile(rf"(?<![\w.~\-}}$/])(?:{'|'.join(map(re.escape, PLACES))})\w"),
}


def project_files() -> list[Path]:
    """Every file that is, or could be, in the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True)
    if done.returncode:
        pytest.skip("not a git repository")
    return [ROOT / name for name in sorted(set(done.stdout.decode().split("\0"))) if name and (ROOT / name).is_file()]


def found(text: str, pattern: re.Pattern[str]) -> list[str]:
    return [f"line {text.count(chr(10), 0, hit.start()) + 1}: {hit[0]}" for hit in pattern.finditer(text)]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what):
    hits = {}
    for path in project_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        if "\0" not in text and (lines := found(text, FORBIDDEN[what])):
            hits[path.relative_to(ROOT).as_posix()] = lines[:5]
    assert not hits, f"{what} is in: {hits}"


def test_the_search_finds_what_it_is_for():
    address, place = FORBIDDEN.values()
    assert found("a\nhttps://files." + "python" + "hosted.org/x", address) == ["line 2: python" + "hosted"]
    for slash in ("/", " /", '"/', "=/", "(/"):
        assert found(f"{slash}home/me", place), slash
    assert not found("https://example.org/home/me ~/home/me ${HOME}/home/x a/home/b", place)
