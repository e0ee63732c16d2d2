"""Starts a tool in the environment: in conda's, if that is active and has the course, else in `.venv`.

Standard library only.
"""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

from tools import environment


def conda_python(root, env=os.environ):
    """The Python of the activated conda environment of environment.yml, or None if another one, or none, is active."""
    wanted = re.search(r"^name:\s*(\S+)", (root / "environment.yml").read_text(encoding="utf-8"), re.MULTILINE)[1]
    active = re.split(r"[\\/]", env.get("CONDA_DEFAULT_ENV", ""))[-1]  # a path, if the environment was made by one
    prefix = Path(env.get("CONDA_PREFIX", ""))
    if active != wanted:
        return None
    python = prefix / ("python.exe" if environment.WINDOWS else "bin/python")
    check = "import importlib.metadata as m; m.version('batchnorm-layer-by-layer'); m.version('normdoctor')"
    if not python.exists() or subprocess.run([python, "-s", "-c", check], capture_output=True).returncode:
        raise environment.Failure(
            f"The conda environment {wanted} is active, but the course is not installed in it. "
            "Complete it with: conda env update -f environment.yml   (or leave it with: conda deactivate)"
        )
    environment.say(f"using the conda environment {prefix}")
    environment.quiet_news(prefix)
    return python


def command_settings(python, env, cwd):
    """The environment of the command that is run: the same for everybody, whatever their shell has set."""
    settings = {k: v for k, v in env.items() if k not in ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH")}
    settings.update(
        PATH=os.pathsep.join([str(python.parent), env.get("PATH", os.defpath)]),
        PYTHONNOUSERSITE="1",
        PYTHONUTF8="1",
        JUPYTER_PREFER_ENV_PATH="1",  # the environment's own kernel before one of the same name in the home folder
    )
    if images := settings.pop("CIFAR10_DIR", "").strip():  # kernels run in notebooks/, where it would mean another one
        settings["CIFAR10_DIR"] = str(Path(cwd, os.path.expanduser(images)).resolve())
    return settings


def main(arguments, newest):
    try:
        python = conda_python(environment.ROOT) or environment.build(environment.ROOT, newest)
    except environment.Failure as failure:
        print(f"[set-up] {failure}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"[set-up] It cannot go on: {error}. Is this a folder where you may write?", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("[set-up] stopped; the same command goes on from here", file=sys.stderr)
        return 130
    if not arguments:
        return 0
    settings = command_settings(python, os.environ, os.getcwd())
    command = [str(python), "-m", f"tools.{arguments[0]}", *arguments[1:]]
    os.chdir(environment.ROOT)
    sys.stdout.flush()
    if not environment.WINDOWS:
        os.execve(command[0], command, settings)  # the tool takes our place: Ctrl-C and the exit status are its own
    process = subprocess.Popen(command, env=settings)
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # the tool got it too, and ends as it sees fit
            return process.wait()
