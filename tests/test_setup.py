"""Tests of the set-up: the version gate, the checks, the stamp, the lock, conda's list, and the Makefile."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "tools"


def load(name):
    """A module of tools/, by its path. Under its own name, so that the tools find each other in one copy only."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


names = ("setup", "checks", "stamp", "environment", "launch", "lock")
setup, checks, stamp, environment, launch, lock = map(load, names)

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
DECLARED = [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]
LOCK = (ROOT / "requirements.txt").read_text(encoding="utf-8")


def locked():
    """{name: [(marker, version, hashes)]} of the lock."""
    entries = {}
    for block in re.split(r"\n(?=[a-z0-9])", re.sub(r"^ *#.*\n", "", LOCK, flags=re.MULTILINE)):
        head, *rest = block.replace("\\\n", "\n").strip().splitlines()
        requirement = Requirement(head)
        hashes = [line.strip() for line in rest if line.strip()]
        (pin,) = requirement.specifier
        assert pin.operator == "==", head
        entries.setdefault(canonicalize_name(requirement.name), []).append((requirement.marker, pin.version, hashes))
    return entries


# --- the version of Python


def old_pythons():
    """Interpreters on this machine that are too old, found by name or among pyenv's."""
    found = [shutil.which(name) for name in ("python2", "python2.7", "python3.6", "python3.8", "python3.10")]
    found += sorted(Path.home().glob(".pyenv/versions/*/bin/python"))
    for python in dict.fromkeys(str(path) for path in found if path):
        check = "import sys; sys.exit(sys.version_info[:2] >= (3, 11))"
        if subprocess.run([python, "-c", check], capture_output=True, timeout=30).returncode == 0:
            yield python


def test_an_old_python_gets_one_line(tmp_path):
    pythons = list(old_pythons())
    if not pythons:
        pytest.skip("no Python older than 3.11 on this machine")
    for python in pythons:
        done = subprocess.run([python, "-B", str(TOOLS / "setup.py")], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stdout == ""
        assert re.fullmatch(r"This course needs Python 3\.11 or newer, and .* is Python \d\.\d+\..*\n", done.stderr)


def test_the_gate_by_version():
    line = setup.complaint((3, 10, 13, "final", 0), "/usr/bin/python3")
    assert "3.11 or newer" in line
    assert "/usr/bin/python3 is Python 3.10" in line
    assert "\n" not in line
    assert setup.complaint((2, 7, 18), "python")
    assert setup.complaint((3, 11, 0), "python") == ""
    assert setup.complaint((3, 14, 2), "python") == ""


def test_the_gate_is_old_syntax():
    """No annotation, no f-string, nothing but ASCII and no import at the top but sys: a Python 2.7 parses it."""
    text = (TOOLS / "setup.py").read_text(encoding="ascii")
    assert not re.search(r"\bf[\"']|->|:=|\bprint\b", text.split('"""', 2)[2])
    assert re.findall(r"^(?:import|from) .*", text, re.MULTILINE) == ["import sys"]


def test_the_gate_agrees_with_pyproject():
    assert PROJECT["requires-python"] == f">={setup.dotted(setup.OLDEST)}"
    assert f"Python {setup.dotted(setup.OLDEST)} to {setup.dotted(setup.NEWEST)}" in LOCK


def test_a_python_newer_than_the_lock():
    checks.check_python((3, 14), (3, 14))
    with pytest.raises(checks.Failure, match=r"Python 3\.15 is newer .* \(up to 3\.14\)"):
        checks.check_python((3, 14), (3, 15))


# --- the checks


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        ({"system": "Darwin", "machine": "x86_64"}, "Intel"),
        ({"system": "Darwin", "machine": "arm64", "macos": "13.6"}, "macOS 14"),
        ({"system": "Windows", "machine": "ARM64"}, "x86-64"),
        ({"system": "Windows", "machine": "AMD64", "pointer_bits": 32}, "64-bit"),
    ],
)
def test_machines_without_a_build_of_pytorch(machine, words):
    with pytest.raises(checks.Failure, match=words):
        checks.check_platform(**machine)


def test_machines_with_one():
    checks.check_platform(system="Darwin", machine="arm64", macos="15.1", pointer_bits=64)
    checks.check_platform(system="Linux", machine="x86_64", macos="", pointer_bits=64)
    checks.check_platform(system="Windows", machine="AMD64", macos="", pointer_bits=64)


def test_a_python_without_venv(monkeypatch):
    checks.check_venv(find_spec=lambda name: object())
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/apt-get")
    package = f"apt install python{sys.version_info.major}.{sys.version_info.minor}-venv"
    with pytest.raises(checks.Failure, match=f"without ensurepip.*{re.escape(package)}"):
        checks.check_venv(find_spec=lambda name: None if name == "ensurepip" else object())
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(checks.Failure, match=r"without venv and ensurepip.*PYTHON="):
        checks.check_venv(find_spec=lambda name: None)


def disk(free_gb):
    """A disk_usage and a device function, from {folder: (device, free gigabytes)}."""
    of = {Path(folder): value for folder, value in free_gb.items()}
    nearest = lambda path: next(of[p] for p in (Path(path), *Path(path).parents) if p in of)  # noqa: E731
    return {
        "usage": lambda path: SimpleNamespace(free=nearest(path)[1] * 1e9),
        "device": lambda path: nearest(path)[0],
    }


def test_too_little_disk(tmp_path, monkeypatch):
    home, project, temp = tmp_path / "home", tmp_path / "project", tmp_path / "temp"
    for folder in (home, project, temp):
        folder.mkdir()
    monkeypatch.setattr(checks.tempfile, "gettempdir", lambda: str(temp))
    need, env = checks.NEEDED_GB, {"UV_CACHE_DIR": str(home / "not-there-yet")}
    enough = {home: (1, need + 1), project: (1, need + 1), temp: (2, 1)}
    checks.check_disk(project, env, **disk(enough))
    for place in (home, project):
        with pytest.raises(checks.Failure, match=f"{need:.1f} GB on the disk of {re.escape(str(place))}, and 0.5"):
            checks.check_disk(project, env, **disk({**enough, place: (3, 0.5)}))
    with pytest.raises(checks.Failure, match=re.escape(str(temp))):
        checks.check_disk(project, env, **disk({**enough, temp: (2, 0.1)}))
    checks.check_disk(project, {**env, "BATCHNORM_DISK_GB": "0"}, **disk({home: (1, 0), project: (1, 0), temp: (1, 0)}))
    with pytest.raises(checks.Failure, match="a number of gigabytes"):
        checks.check_disk(project, {**env, "BATCHNORM_DISK_GB": "much"}, **disk(enough))


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "build").write_text("a file where a folder has to be")
    with pytest.raises(checks.Failure, match="Cannot write in"):
        checks.check_writable(tmp_path)


def test_failures_come_before_any_download(tmp_path, monkeypatch, capsys):
    copy_project(tmp_path)
    monkeypatch.setattr(launch, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "make_venv", lambda *_: pytest.fail("the build began"))
    monkeypatch.setenv("BATCHNORM_DISK_GB", "1e9")
    monkeypatch.delenv("CONDA_DEFAULT_ENV", raising=False)
    assert launch.main([], (9, 9)) == 1
    said = capsys.readouterr().err
    assert said.startswith("[set-up] Too little disk space")
    assert said.count("\n") == 1
    assert not (tmp_path / ".venv").exists()


# --- the stamp


def copy_project(folder):
    for name in ("pyproject.toml", "requirements.txt", "environment.yml"):
        shutil.copy(ROOT / name, folder)


@pytest.fixture
def built(tmp_path):
    """A folder that looks set up: the Python is this one, behind a link where links can be made."""
    copy_project(tmp_path)
    python = stamp.python_of(tmp_path / ".venv")
    python.parent.mkdir(parents=True)
    if os.name == "nt":
        pytest.skip("an interpreter outside its folder does not run on Windows")
    python.symlink_to(sys.executable)
    stamp.write_stamp(tmp_path, stamp.expected_stamp(tmp_path, stamp.version_of(python)))
    return tmp_path


def test_a_finished_environment_is_left_alone(built, monkeypatch):
    monkeypatch.setattr(environment, "make_venv", lambda *_: pytest.fail("built again"))
    assert stamp.to_do(built) == ("nothing", "")
    assert environment.build(built, (3, 14), {}) == stamp.python_of(built / ".venv")


def test_what_makes_it_build_anew(built):
    this = "{}.{}".format(*sys.version_info[:2])
    assert stamp.to_do(built, this)[0] == "nothing"
    assert stamp.to_do(built, "3.99") == ("all", f"it has Python {this}, and 3.99 is wanted")

    with open(built / "requirements.txt", "a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert stamp.to_do(built) == ("all", "requirements.txt has changed")

    moved = built.with_name("moved")
    built.rename(moved)
    assert stamp.to_do(moved) == ("all", "the folder was moved")

    stamp.python_of(moved / ".venv").unlink()
    stamp.write_stamp(moved, stamp.expected_stamp(moved, this))
    assert stamp.to_do(moved) == ("all", "its Python is gone")

    for text in ("", "{", "[]"):
        stamp.stamp_file(moved).write_text(text)
        assert stamp.to_do(moved) == ("all", "the one in .venv was not finished")
    shutil.rmtree(moved / ".venv")
    assert stamp.to_do(moved)[0] == "all"


def test_only_what_matters_in_pyproject(built):
    text = (built / "pyproject.toml").read_text(encoding="utf-8")
    (built / "pyproject.toml").write_text(text.replace("line-length = 120", "line-length = 99"), encoding="utf-8")
    assert stamp.to_do(built)[0] == "nothing"
    (built / "pyproject.toml").write_text(text.replace('name = "batch', 'name = "other-batch'), encoding="utf-8")
    assert stamp.to_do(built) == ("project", "pyproject.toml has changed")


def test_an_interrupted_setup_leaves_no_stamp_and_is_repaired(built, monkeypatch):
    stamp.stamp_file(built).unlink()
    steps = []

    def interrupt(root, settings):
        steps.append("packages")
        if len(steps) == 1:
            raise KeyboardInterrupt

    def make_venv(root, settings):
        python = stamp.python_of(root / ".venv")
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)

    monkeypatch.setattr(environment, "make_venv", make_venv)
    monkeypatch.setattr(environment, "install_uv", lambda *_: None)
    monkeypatch.setattr(environment, "install_packages", interrupt)
    monkeypatch.setattr(environment, "install_project", lambda *_: None)
    monkeypatch.setattr(environment, "check_platform", lambda: None)
    monkeypatch.setattr(environment, "check_disk", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        environment.build(built, (9, 9), {})
    assert not stamp.stamp_file(built).exists()
    environment.build(built, (9, 9), {})
    assert stamp.to_do(built) == ("nothing", "")
    news = json.loads((built / ".venv/share/jupyter/lab/settings/overrides.json").read_text())
    assert news["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


def test_a_second_setup_waits_and_says_so(tmp_path):
    (tmp_path / "build").mkdir()
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import environment\n"
        "with environment.build_lock(pathlib.Path(sys.argv[2])): print('mine', flush=True)"
    )
    with environment.build_lock(tmp_path):
        second = subprocess.Popen(
            [sys.executable, "-c", code, str(TOOLS), str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert "waiting" in second.stdout.readline()
    assert second.communicate(timeout=30)[0] == "mine\n"


def test_settings_that_must_not_reach_the_installers():
    kept = {"PIP_CERT": "c", "UV_CACHE_DIR": "d", "HTTPS_PROXY": "p", "PATH": "x"}
    dropped = {"PIP_TARGET": "t", "PIP_NO_DEPS": "1", "UV_TARGET": "t", "PYTHONPATH": "y", "UV_SYSTEM_PYTHON": "1"}
    clean_settings = environment.tool_settings({**kept, **dropped, "PIP_USER": "1"})
    assert kept.items() <= clean_settings.items()
    assert not dropped.keys() & clean_settings.keys()
    assert clean_settings["PIP_USER"] == "0"


def test_the_installer_comes_from_the_lock():
    block, version = environment.locked_block(LOCK, "uv")
    assert block.startswith(f"uv=={version} ")
    assert set(re.findall(r"--hash=\S+", block)) == set(locked()["uv"][0][2])
    with pytest.raises(checks.Failure, match="no hashed entry for uv"):
        environment.locked_block("uv==1.0\n", "uv")


# --- the lock and conda


def test_the_lock_has_no_address_and_no_path():
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host|file:|(^|\s)/\w", LOCK, re.MULTILINE)
    assert not re.search(r"#.*(/tmp|/home|\\Users|\.\.)", LOCK)


def test_every_entry_is_exact_and_hashed():
    for name, entries in locked().items():
        for _marker, _version, hashes in entries:
            assert hashes, name
            assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", h) for h in hashes), name


@pytest.mark.parametrize("python", ["3.11.9", "3.12.4", "3.13.1", "3.14.0"])
@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_the_lock_covers_pyproject_on_every_machine(system, python):
    machine = {
        "sys_platform": system,
        "os_name": "nt" if system == "win32" else "posix",
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[system],
        "platform_machine": "arm64" if system == "darwin" else "x86_64",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
    }
    entries = locked()
    for requirement in DECLARED:
        found = [
            version
            for marker, version, _ in entries.get(canonicalize_name(requirement.name), [])
            if marker is None or Marker(str(marker)).evaluate(machine)
        ]
        assert len(found) == 1, f"{requirement.name} on {system}, Python {python}: {found}"
        assert requirement.specifier.contains(found[0]), f"{requirement} and {found[0]}"


def test_the_lock_obeys_the_constraints():
    lines = (TOOLS / "constraints.txt").read_text(encoding="utf-8").splitlines()
    bounds = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert {bound.name for bound in bounds} >= {"torch", "torchvision"}
    for bound in bounds:
        assert bound.specifier.contains(locked()[bound.name][0][1])


def test_the_lock_command_asks_for_hashes_and_no_address():
    command = lock.command("uv", "out.txt")
    assert {"--generate-hashes", "--no-emit-index-url", "--universal"} <= set(command)
    assert not any("://" in word for word in command)
    assert lock.packages("a==1 \\\n    --hash=x\nb==2 ; os_name == 'nt' \\\n") == {
        "a": "1",
        "b ; os_name == 'nt'": "2",
    }


CONDA_NAMES = {"torch": "pytorch"}  # every other package has the same name in both worlds


def test_condas_list_is_that_of_pyproject():
    recipe = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert recipe["channels"] == ["conda-forge"]
    *packages, pip = recipe["dependencies"]
    assert pip == {"pip": ["-e ."]}
    listed = {item.partition(" ")[0]: item.partition(" ")[2] for item in packages}
    assert listed.pop("python") == PROJECT["requires-python"]
    assert listed.pop("pip") == listed.pop("make") == ""

    def ordered(ranges):
        return sorted(ranges.split(","))

    wanted = {CONDA_NAMES.get(r.name, r.name): ordered(str(r.specifier)) for r in DECLARED}
    assert {name: ordered(ranges) for name, ranges in listed.items()} == wanted


def conda(tmp_path, **settings):
    copy_project(tmp_path)
    return launch.conda_python(tmp_path, settings)


def test_no_conda_or_another_one(tmp_path):
    assert conda(tmp_path) is None
    assert conda(tmp_path, CONDA_DEFAULT_ENV="base", CONDA_PREFIX=sys.prefix) is None


@pytest.mark.skipif(os.name == "nt", reason="the layout of conda's folder differs")
@pytest.mark.parametrize("name", ["batchnorm", "/somewhere/envs/batchnorm"])
def test_the_courses_conda_environment_is_used(tmp_path, name):
    python = conda(tmp_path, CONDA_DEFAULT_ENV=name, CONDA_PREFIX=sys.prefix)
    assert python == Path(sys.prefix, "bin", "python")


def test_a_conda_environment_without_the_course(tmp_path):
    with pytest.raises(checks.Failure, match=r"conda env update -f environment\.yml"):
        conda(tmp_path, CONDA_DEFAULT_ENV="batchnorm", CONDA_PREFIX=str(tmp_path))


def test_the_settings_of_a_command(tmp_path):
    python = stamp.python_of(tmp_path / ".venv")
    env = {"PATH": "old", "PYTHONPATH": "bad", "CIFAR10_DIR": "images"}
    settings = launch.command_settings(tmp_path, python, env, tmp_path)
    assert settings["PATH"].split(os.pathsep) == [str(python.parent), "old"]
    assert "PYTHONPATH" not in settings
    assert settings["CIFAR10_DIR"] == str((tmp_path / "images").resolve())  # kernels run in another folder
    for nothing in ("", "  "):
        assert "CIFAR10_DIR" not in launch.command_settings(tmp_path, python, {"CIFAR10_DIR": nothing}, tmp_path)


# --- make


TARGETS = ("help", "lab", "test", "test-notebooks", "test-handouts", "run", "notebooks", "lock", "lint", "clean")


def make(*words, **settings):
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *words], cwd=ROOT, env={**env, **settings}, capture_output=True, text=True)


@pytest.mark.parametrize("target", TARGETS)
def test_makes_targets(target):
    done = make("--dry-run", target)
    assert done.returncode == 0, done.stderr
    scripts = re.findall(r"tools/\w+\.py", done.stdout)
    assert all((ROOT / script).exists() for script in scripts)
    if target not in ("help", "clean"):
        assert scripts[0] == "tools/setup.py"


def test_make_alone_lists_the_targets():
    done = make()
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"^make (\S+)", done.stdout, re.MULTILINE)) >= set(TARGETS) - {"help"}


def test_make_takes_the_python_it_is_told():
    assert '"/some where/python3" tools/setup.py' in make("-n", "test", PYTHON="/some where/python3").stdout


@pytest.mark.skipif(os.name == "nt", reason="on Windows it is the activated environment's python")
def test_make_without_any_python(tmp_path):
    for tool in ("sh", "make"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    done = make("test", PATH=str(tmp_path), PYTHON="")
    assert done.returncode != 0
    assert "No Python found. Install Python 3.11 or newer" in done.stderr
