"""Tests of the set-up, the lock, conda's list, the Makefile, and what `make test` and `make clean` do."""

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

from tools import clean, environment, lock, setup, start
from tools import test as test_tool

ROOT = Path(__file__).resolve().parent.parent
INPUTS = ("pyproject.toml", "kit/pyproject.toml", "requirements.txt", "environment.yml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
KIT = tomllib.loads((ROOT / "kit" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = [
    requirement
    for requirement in map(Requirement, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"])
    if requirement.name != KIT["name"]  # it lies here, in kit/
]
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


# --- which Python


def test_an_old_python_gets_one_line(tmp_path):
    line = setup.complaint((3, 10, 13, "final", 0), "/usr/bin/python3")
    assert line.startswith("This course needs Python 3.11 or newer, and /usr/bin/python3 is Python 3.10. ")
    assert setup.complaint((3, 11, 0), "python") == setup.complaint((3, 14, 2), "python") == ""
    assert PROJECT["requires-python"] == KIT["requires-python"] == f">={setup.dotted(setup.OLDEST)}"
    supported = f"Python {setup.dotted(setup.OLDEST)} to {setup.dotted(setup.NEWEST)}"
    assert supported in LOCK
    for name in ("README.md", "docs/lecturers.md", "tools/archive.py"):
        assert supported in (ROOT / name).read_text("utf-8"), name
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text("utf-8")
    assert all(f'python: "{setup.dotted(version)}"' in workflow for version in (setup.OLDEST, setup.NEWEST))
    text = (ROOT / "tools" / "setup.py").read_text(encoding="ascii")  # what Python 2.7 can parse
    assert not re.search(r"\bf[\"']|->|:=|\bprint\b", text.split('"""', 2)[2])
    assert re.findall(r"^(?:import|from) .*", text, re.MULTILINE) == ["import os", "import sys"]
    found = [shutil.which(name) for name in ("python2.7", "python3.6", "python3.8", "python3.10")]
    for python in filter(None, [*found, *Path.home().glob(".pyenv/versions/[23].[0-9][.0]*/bin/python")]):
        if subprocess.run([python, "-c", ""], capture_output=True).returncode:
            continue  # a launcher of a Python that is not there
        done = subprocess.run([python, "-B", ROOT / "tools" / "setup.py"], capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_a_python_that_cannot_build_the_environment():
    environment.check_python((3, 14), (3, 14), find_spec=lambda name: object())
    with pytest.raises(environment.Failure, match=r"Python 3\.15 is newer .* \(up to 3\.14\)"):
        environment.check_python((3, 14), (3, 15))
    with pytest.raises(environment.Failure, match=r"without ensurepip.* apt install python3\.12-venv"):
        environment.check_python((3, 14), (3, 12), lambda name: None if name == "ensurepip" else object())


# --- the environment


def copy_inputs(folder):
    (folder / "kit").mkdir()
    for name in INPUTS:
        shutil.copy(ROOT / name, folder / name)


@pytest.fixture
def built(tmp_path):
    """A folder that looks set up: the Python is this one, behind a link where links can be made."""
    if os.name == "nt":
        pytest.skip("an interpreter outside its folder does not run on Windows")
    copy_inputs(tmp_path)
    python = environment.python_of(tmp_path)
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    stamp = environment.expected_stamp(tmp_path, environment.version_of(python))
    environment.stamp_file(tmp_path).write_text(json.dumps(stamp))
    return tmp_path


@pytest.fixture
def ran(monkeypatch):
    """What the set-up starts, which is not run: `venv` makes a link, and a word in `ran.stops` stops everything."""
    record = SimpleNamespace(commands=[], stops=None)

    def run(command, cwd=None, env=None, **_):
        words = [str(word) for word in command]
        if "-I" in words:
            return real(command, capture_output=True, text=True, check=True)
        record.commands.append(words[2:])
        if record.stops in words:
            raise KeyboardInterrupt
        if "venv" in words:
            shutil.rmtree(cwd / ".venv", ignore_errors=True)
            environment.python_of(cwd).parent.mkdir(parents=True)
            environment.python_of(cwd).symlink_to(sys.executable)
        return SimpleNamespace(returncode=1 if record.stops == "failure" and "sync" in words else 0)

    real = subprocess.run
    monkeypatch.setattr(environment.subprocess, "run", run)
    monkeypatch.setenv("BATCHNORM_DISK_GB", "0")
    return record


VENV, UV, SYNC, COURSE = "venv --clear", "pip install", "uv pip sync", "uv pip install"


def steps(ran):
    """What was started since the last time this was asked."""
    done = [" ".join(words) for words in ran.commands]
    ran.commands.clear()
    return [next(step for step in (VENV, UV, SYNC, COURSE) if words.startswith(step)) for words in done]


def test_a_finished_environment_is_left_alone_and_a_changed_lock_changes_it(built, ran):
    environment.build(built, (3, 14))
    assert steps(ran) == []
    with open(built / "requirements.txt", "a", encoding="utf-8") as file:
        file.write("# changed\n")
    environment.build(built, (3, 14))
    assert steps(ran) == [UV, SYNC, COURSE]
    assert environment.to_do(built)[0] == "nothing"
    news = json.loads((built / ".venv/share/jupyter/lab/settings/overrides.json").read_text())
    assert news["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


def test_what_makes_it_build_anew(built):
    this = "{}.{}".format(*sys.version_info)
    assert environment.to_do(built, this)[0] == "nothing"
    assert environment.to_do(built, "3.99") == ("all", f"it has Python {this}, and 3.99 is wanted")
    moved = built.with_name("moved")
    built.rename(moved)
    assert environment.to_do(moved) == ("all", "the folder was moved")
    environment.stamp_file(moved).write_text(json.dumps(environment.expected_stamp(moved, this)))
    environment.python_of(moved).unlink()
    assert environment.to_do(moved) == ("all", "its Python is gone")
    environment.stamp_file(moved).write_text("{")
    assert environment.to_do(moved) == ("all", "the existing one was not finished")


def test_an_environment_that_somebody_else_has_made_is_left_alone(built, ran):
    (built / ".venv" / "set-up.json").unlink()
    (built / "build" / "venv-begun").unlink(missing_ok=True)
    ran.commands.clear()
    with pytest.raises(environment.Failure, match="was not made by this course"):
        environment.build(built, (9, 9))
    assert not steps(ran)


def test_a_set_up_that_was_stopped_is_built_anew(built, ran):
    (built / "requirements.txt").write_text(LOCK + "# changed\n", encoding="utf-8")
    for ran_until, started in (("sync", [UV, SYNC]), ("failure", [VENV, UV, SYNC])):
        ran.stops = ran_until
        with pytest.raises((KeyboardInterrupt, environment.Failure)):
            environment.build(built, (9, 9))
        assert steps(ran) == started
        assert environment.to_do(built)[0] == "all"
    ran.stops = None
    environment.build(built, (9, 9))
    assert steps(ran) == [VENV, UV, SYNC, COURSE]
    assert environment.to_do(built)[0] == "nothing"


def test_a_failure_is_one_line_and_comes_before_any_download(tmp_path, monkeypatch, capsys, ran):
    copy_inputs(tmp_path)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "not" / "there yet"))
    monkeypatch.delenv("CONDA_DEFAULT_ENV", raising=False)
    for gigabytes, words in (("1e9", "Too little disk space"), ("much", "It cannot go on: could not convert")):
        monkeypatch.setenv("BATCHNORM_DISK_GB", gigabytes)
        assert start.main([], (9, 9)) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"[set-up] {words}")
        assert said.count("\n") == 1
    shutil.rmtree(tmp_path / "build")
    (tmp_path / "build").write_text("a file where a folder has to be")
    assert start.main([], (9, 9)) == 1
    assert "a folder where you may write" in capsys.readouterr().err
    assert steps(ran) == []
    assert not (tmp_path / ".venv").exists()


def test_a_second_set_up_waits_and_says_so(tmp_path):
    (tmp_path / "build").mkdir()
    code = (
        "import pathlib, sys; from tools import environment\n"
        "with environment.build_lock(pathlib.Path(sys.argv[1])): print('mine', flush=True)"
    )
    with environment.build_lock(tmp_path):
        second = subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert "waiting" in second.stdout.readline()
    assert second.communicate(timeout=30)[0] == "mine\n"


def test_which_settings_reach_the_installers():
    kept = {"PIP_CERT": "c", "UV_CACHE_DIR": "d", "HTTPS_PROXY": "p", "PATH": "x", "UV_INDEX_MINE_PASSWORD": "w"}
    kept |= {"PIP_INDEX_URL": "mirror", "UV_SYSTEM_CERTS": "1", "PIP_FIND_LINKS": "f", "UV_NATIVE_TLS": "1"}
    dropped = {"PIP_TARGET": "t", "PIP_NO_DEPS": "1", "UV_TARGET": "t", "PYTHONPATH": "y", "UV_SYSTEM_PYTHON": "1"}
    settings = environment.tool_settings({**kept, **dropped, "PIP_USER": "1"})
    assert kept.items() <= settings.items()
    assert not dropped.keys() & settings.keys()
    assert (settings["PIP_USER"], settings["UV_DEFAULT_INDEX"]) == ("0", "mirror")


def test_the_settings_of_a_command(tmp_path):
    env = {"PATH": "old", "PYTHONPATH": "bad", "CIFAR10_DIR": "images"}
    settings = start.command_settings(tmp_path / "bin" / "python", env, tmp_path)
    assert settings["PATH"].split(os.pathsep) == [str(tmp_path / "bin"), "old"]
    assert "PYTHONPATH" not in settings
    assert settings["CIFAR10_DIR"] == str((tmp_path / "images").resolve())
    assert "CIFAR10_DIR" not in start.command_settings(tmp_path, {"CIFAR10_DIR": "  "}, tmp_path)


# --- the lock and conda


def test_the_lock_is_exact_and_hashed_and_has_no_address_and_no_path():
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host|file:|(^|\s)-e|(^|\s)/\w", LOCK)
    assert not re.search(r"#.*(/tmp|/home|\\Users|\.\.)", LOCK)
    for name, entries in locked().items():
        for _marker, _version, hashes in entries:
            assert hashes, name
            assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), name
    assert set(re.findall(r"--hash=\S+", environment.locked_block(LOCK, "uv"))) == set(locked()["uv"][0][2])


@pytest.mark.parametrize("python", ["3.11.9", "3.14.0"])
@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_the_lock_covers_pyproject_on_every_machine(system, python):
    machine = {
        "sys_platform": system,
        "os_name": "nt" if system == "win32" else "posix",
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[system],
        "platform_machine": "arm64" if system == "darwin" else "x86_64",
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


def test_the_lock_obeys_the_constraints_and_leaves_the_kit_out():
    lines = (ROOT / "tools" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    bounds = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert {bound.name for bound in bounds} >= {"torch", "torchvision"}
    assert all(bound.specifier.contains(locked()[bound.name][0][1]) for bound in bounds)
    assert KIT["name"] in PROJECT["dependencies"]
    assert KIT["name"] not in locked()
    assert {"--generate-hashes", "--no-emit-index-url", "--universal", "--upgrade"} <= set(lock.command("out.txt"))
    assert "--upgrade" not in lock.command("out.txt", keep=True)


def test_condas_list_is_that_of_pyproject():
    recipe = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert recipe["channels"] == ["conda-forge"]
    *packages, pip = recipe["dependencies"]
    assert pip == {"pip": ["-e ./kit", "-e ."]}
    listed = {item.partition(" ")[0]: sorted(item.partition(" ")[2].split(",")) for item in packages}
    assert listed.pop("python") == [PROJECT["requires-python"]]
    assert listed.pop("pip") == listed.pop("make") == [""]
    names = {"torch": "pytorch"}  # every other package has the same name in both worlds
    assert listed == {names.get(r.name, r.name): sorted(str(r.specifier).split(",")) for r in DECLARED}


@pytest.mark.skipif(os.name == "nt", reason="the layout of conda's folder differs")
def test_the_activated_conda_environment(tmp_path):
    copy_inputs(tmp_path)
    here = {"CONDA_PREFIX": sys.prefix}
    assert start.conda_python(tmp_path, {}) is None
    assert start.conda_python(tmp_path, {**here, "CONDA_DEFAULT_ENV": "base"}) is None
    for name in ("batchnorm", "/somewhere/envs/batchnorm"):
        assert start.conda_python(tmp_path, {**here, "CONDA_DEFAULT_ENV": name}) == Path(sys.prefix, "bin/python")
    with pytest.raises(environment.Failure, match=r"conda env update -f environment\.yml"):
        start.conda_python(tmp_path, {"CONDA_PREFIX": str(tmp_path), "CONDA_DEFAULT_ENV": "batchnorm"})


# --- make


def make(*words, **settings):
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *words], cwd=ROOT, env={**env, **settings}, capture_output=True, text=True)


def test_makes_targets_run_tools_that_are_there():
    listed = re.findall(r"^make (\S+)", make().stdout, re.MULTILINE)
    done = make("--dry-run", *listed, PYTHON="/some where/python3", NAME="What is it?", FROM="09", TO="10")
    assert done.returncode == 0, done.stderr
    *first, last = done.stdout.splitlines()
    commands = [re.fullmatch(r'"/some where/python3" tools/setup\.py ?(\w*)(.*)', line) for line in first]
    tools = {command[1] for command in commands if command[1]}
    assert tools >= {"bench", "handouts", "lab", "lesson", "lock", "review", "run", "slides", "test"}
    missing = {name for name in tools if not (ROOT / "tools" / f"{name}.py").exists()}
    assert not missing
    assert last == '"/some where/python3" tools/clean.py'  # which needs no environment
    assert [command[2] for command in commands if command[1] == "lesson"] == [" new", " move 09 10"]


@pytest.mark.skipif(os.name == "nt", reason="on Windows it is the activated environment's python")
def test_make_without_any_python(tmp_path):
    for tool in ("sh", "make"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    done = make("test", PATH=str(tmp_path), PYTHON="")
    assert done.returncode != 0
    assert "No Python found. Install Python 3.11 or newer" in done.stderr


# --- make test


def test_the_stages_of_make_test(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "tests").mkdir()
    long = f"notebooks/03_{test_tool.LONG_FIRST[0]}.ipynb"
    for name in ("notebooks/00_a.ipynb", "notebooks/99_new.ipynb", long, "tests/test_a.py"):
        (tmp_path / name).touch()
    stages = {name: rest for name, *rest in test_tool.stages(tmp_path, available=8)}
    assert list(stages) == ["data", "ruff", "ruff's format", "types of the kit", "unit tests", "notebooks"]
    command, env = stages["notebooks"]
    assert {"--nbval", "--nbval-current-env", "loadfile", "--no-loadscope-reorder"} <= set(command)
    order = [word for word in command if word.startswith("notebooks")]
    assert order == [long, "notebooks/00_a.ipynb", "notebooks/99_new.ipynb"]
    assert command[command.index("-n") + 1] == "3"
    assert env["OMP_NUM_THREADS"] == "1"
    command, env = stages["unit tests"]
    assert "not proof and not browser" in command
    assert env == {}  # one file, one worker, all threads
    assert "tests/test_a.py" in command
    for order, files in ((test_tool.LONG_FIRST, "notebooks/*.ipynb"), (test_tool.LONG_TESTS_FIRST, "tests/test_*.py")):
        assert set(order) <= {path.stem.partition("_")[2] for path in ROOT.glob(files)}


def test_the_parts_of_make_test():
    assert {only: [name for name, *_ in test_tool.stages(ROOT, 2, only)] for only in test_tool.CHOICES} == {
        "notebooks": ["data", "tests of the data", "notebooks"],
        "handouts": ["data", "tests of the data", "making of handouts", "handouts"],
        "proofs": ["data", "proofs"],
        "browser": ["data", "in a browser"],
        "lint": ["ruff", "ruff's format", "types of the kit"],
    }


def test_every_stage_runs_and_one_failure_fails(monkeypatch, capsys):
    monkeypatch.setattr(
        test_tool.subprocess, "run", lambda command, **_: SimpleNamespace(returncode=1 if "check" in command else 0)
    )
    assert test_tool.main([]) == 1
    said = capsys.readouterr().out
    assert re.search(r"ruff .* FAILED", said)
    assert re.search(r"notebooks .* ok", said)


def test_clean_keeps_the_environment_and_the_data(tmp_path):
    gone = ("build/x", "kit/src/normdoctor/__pycache__/x", "lessons/nb00/__pycache__/x", ".coverage.1")
    kept = {".venv/x", "data/x", "utils/a.py", "study/records/x"}
    for name in (*gone, *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert clean.main(tmp_path) == 0
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == kept
