"""The order of the house: who may import whom, how long a module may be, what each offers, what no file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# room → the rooms whose modules its own may import, beside each other's
ROOMS = {
    "normdoctor": set(),
    "utils": {"normdoctor"},
    "lessons": {"utils", "normdoctor"},
    "study": {"utils"},
    "benchmarks": {"utils"},
    "tools": {"utils", "lessons", "study", "benchmarks"},
}
FOLDERS = {name: ROOT / ("kit/src/normdoctor" if name == "normdoctor" else name) for name in ROOMS}
# In utils, a module or package imports only what stands to its left.
ORDER = (
    "tables files machine lessons study symptoms progress data layers synchronized models metrics training "  # noqa: SIM905
    "distributed stats plots touch probes museum exercises claims environment".split()
)
MODULES = sorted(set((ROOT / "utils").rglob("*.py")) - {ROOT / "utils" / "__init__.py"})
SLOW = {"PIL", "matplotlib", "torch._dynamo", "torchvision"}
VAGUE = {"helpers", "common", "misc", "util", "utilities", "tools"}
LINES = 250

each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
everywhere = pytest.mark.parametrize(
    ("room", "path"),
    [(room, path) for room, folder in FOLDERS.items() for path in sorted(folder.rglob("*.py"))],
    ids=lambda given: given if isinstance(given, str) else given.relative_to(ROOT).as_posix(),
)


def dotted(path: Path) -> str:
    """The name under which a module is imported."""
    folder = ROOT / "kit/src" if path.is_relative_to(ROOT / "kit") else ROOT
    return ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")


def imported(source: str, package: str = "utils") -> set[str]:
    """The full names of all that a source imports, wherever in it: modules, and what is taken from them."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(filter(None, [package if node.level else "", node.module]))
            names |= {start, *(f"{start}.{alias.name}" for alias in node.names)}
    return names


def rooms_of(source: str) -> set[str]:
    return {name.split(".")[0] for name in imported(source)}


def wrong_way(name: str, source: str) -> list[str]:
    """The modules of utils that the module or package `name` must not import, and does."""
    assert name in ORDER, f"utils.{name} has no place yet: put it into ORDER in tests/test_house.py"
    ours = {module.split(".")[1] for module in imported(source) if module.startswith("utils.")}
    return sorted((ours & set(ORDER)) - set(ORDER[: ORDER.index(name)]) - {name})


@everywhere
def test_imports_run_from_room_to_room_in_one_direction(room, path):
    wrong = rooms_of(path.read_text("utf-8")) & (set(ROOMS) | {"tests", "notebooks"}) - ROOMS[room] - {room}
    assert not wrong, f"{path.name} stands in {room} and imports from {', '.join(wrong)}"


@each_module
def test_inside_utils_imports_go_to_the_left(path):
    place = path.relative_to(ROOT / "utils").parts[0].removesuffix(".py")
    wrong = wrong_way(place, path.read_text("utf-8"))
    assert not wrong, f"utils.{place} imports {wrong}, which stand to its right in {' → '.join(ORDER)}"


def test_no_module_imports_itself_by_way_of_others():
    paths = {dotted(path): path for folder in FOLDERS.values() for path in folder.rglob("*.py")}
    graph = {name: imported(path.read_text("utf-8")) & set(paths) - {name} for name, path in paths.items()}
    # What a package offers, its own modules define: that they name the package is no circle.
    graph = {name: {other for other in found if not name.startswith(f"{other}.")} for name, found in graph.items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' → '.join(error.args[1])}")


@pytest.mark.parametrize("folder", ["lessons", "study"])
def test_one_module_of_utils_knows_a_folder_and_reads_it_by_path(folder):
    knows = [
        path.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value == folder
    ]
    assert set(knows) == {f"{folder}.py"}


def test_the_tests_of_the_direction_see_a_wrong_way():
    assert wrong_way("data", "from utils import layers") == ["layers"]
    assert wrong_way("data", "def f():\n    from utils.layers import BatchNorm2d") == ["layers"]
    assert wrong_way("data", "from .plots import show") == ["plots"]
    assert wrong_way("data", "from . import plots") == ["plots"]
    assert wrong_way("stats", "import utils.environment") == ["environment"]
    assert wrong_way("data", "import os\nfrom utils.data.cache import Cache") == []
    assert "tools" in rooms_of("def f():\n    import tools.run")
    with pytest.raises(AssertionError, match=r"utils\.new has no place yet"):
        wrong_way("new", "")


@everywhere
def test_a_module_is_short_enough_to_hold_in_the_head(room, path):
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= LINES or room == "lessons", f"{lines} lines: split it"  # a lesson's exercises stand in one file


def test_what_takes_long_to_import_is_imported_where_it_is_needed():
    """A kernel whose first cell imports all of utils has waited for torch, and for little else."""
    names = [dotted(path) for path in MODULES if path.name != "__main__.py"]
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
