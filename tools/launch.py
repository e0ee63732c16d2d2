"""Chooses the environment, the activated conda one or `.venv`, and runs a command in it. Standard library only."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from checks import Failure
from environment import WINDOWS, build, quiet_news, say

ROOT = Path(__file__).resolve().parent.parent


def conda_python(root, env=os.environ):
    """The Python of the activated conda environment of environment.yml, or None if another one, or none, is active."""
    prefix = env.get("CONDA_PREFIX", "")
    wanted = re.search(r"^name:\s*(\S+)", (root / "environment.yml").read_text(encoding="utf-8"), re.MULTILINE).group(1)
    active = re.split(r"[\\/]", env.get("CONDA_DEFAULT_ENV", ""))[-1]  # a path, if the environment was made by one
    if not prefix or active != wanted:
        return None
    python = Path(prefix) / ("python.exe" if WINDOWS else "bin/python")
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    check = f"import importlib.metadata as m; m.distribution({project!r})"
    if not python.exists() or subprocess.run([python, "-s", "-c", check], capture_output=True).returncode:
        raise Failure(
            f"The conda environment {wanted} is active, but the course is not installed in it. "
            "Complete it with: conda env update -f environment.yml   (or leave it with: conda deactivate)"
        )
    return python


def command_settings(root, python, env, cwd):
    """The environment of the command that is run: the same for everybody, whatever their shell has set."""
    settings = {name: value for name, value in env.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    folder = python.parent
    settings.update(
        PATH=os.pathsep.join([str(folder), env.get("PATH", os.defpath)]),
        PYTHONNOUSERSITE="1",
        PYTHONUTF8="1",
        JUPYTER_PREFER_ENV_PATH="1",  # the environment's own kernel before one of the same name in the home folder
    )
    if folder.parent == root / ".venv":
        settings["VIRTUAL_ENV"] = str(root / ".venv")
    images = settings.pop("CIFAR10_DIR", "").strip()
    if images:  # kernels run in notebooks/, where a relative path would mean another folder
        settings["CIFAR10_DIR"] = str(Path(cwd, Path(images).expanduser()).resolve())
    return settings


def run_command(root, python, arguments):
    settings = command_settings(root, python, os.environ, os.getcwd())
    command = [str(python), str(root / arguments[0]), *arguments[1:]]
    os.chdir(root)
    sys.stdout.flush()
    if not WINDOWS:
        os.execve(command[0], command, settings)  # the command takes our place: Ctrl-C and the exit status are its own
    process = subprocess.Popen(command, env=settings)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the command got it too, and ends as it sees fit
            continue


def main(arguments, newest):
    try:
        python = conda_python(ROOT)
        if python:
            say(f"using the conda environment {os.environ['CONDA_PREFIX']}")
            quiet_news(Path(os.environ["CONDA_PREFIX"]))
        else:
            python = build(ROOT, newest)
            say("using the environment .venv")
    except Failure as failure:
        print(f"[set-up] {failure}", file=sys.stderr, flush=True)
        return 1
    except OSError as error:
        print(f"[set-up] The set-up cannot go on: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("[set-up] stopped; the same command goes on from here", file=sys.stderr, flush=True)
        return 130
    return run_command(ROOT, python, arguments) if arguments else 0
