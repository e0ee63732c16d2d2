"""The wheels of the project and of the kit, installed together, without this checkout, and beside a foreign `utils`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGED = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "utils",
    "kit/pyproject.toml",
    "kit/README.md",
    "kit/LICENSE",
    "kit/src",
)
TRY_EVERYTHING = """
import importlib, pkgutil, sys
import normdoctor, utils
for package in (normdoctor, utils):
    assert package.__file__.startswith(sys.prefix), package.__file__
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(utils.data.loading.default_folder())
"""
BESIDE_ANOTHER = """
import normdoctor, utils
assert utils.OTHER
try:
    import utils.probes
except ModuleNotFoundError as error:
    print(error)
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command whose imports are its environment's own: no user's site, nothing from PYTHONPATH."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run([str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True)


def uv(*arguments: str | Path, cwd: Path) -> None:
    done = run(sys.executable, "-m", "uv", *arguments, "--offline", "--quiet", cwd=cwd)
    assert done.returncode == 0, done.stderr


pytestmark = pytest.mark.proof


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The Python of an environment that has both wheels, and finds everything else in the one that runs the tests.

    The wheels are built from a copy: setuptools would leave its own build/ here, and take old files from it.
    """
    source, wheels, home = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "environment"))
    for name in PACKAGED:
        target = source / name
        target.parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / name, target)
    for folder, what in ((source, ["--wheel"]), (source / "kit", [])):  # the kit's wheel from its source distribution
        uv("build", *what, "--no-build-isolation", "--out-dir", wheels, "--python", sys.executable, cwd=folder)
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / ("python.exe" if os.name == "nt" else "python")
    uv("pip", "install", "--no-deps", "--python", python, *sorted(wheels.glob("*.whl")), cwd=home)
    [site] = home.glob("Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages")
    # A path that a .pth file adds is searched, and the .pth files in it, those of this checkout, are not read.
    (site / "torch_and_others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python


def test_every_module_can_be_imported_and_the_data_do_not_land_among_the_packages(installed, tmp_path):
    done = run(installed, "-c", TRY_EVERYTHING, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_absolute()
    assert "site-packages" not in done.stdout


def test_the_kit_is_typed_and_says_its_version_and_its_licence(installed, tmp_path):
    asked = (
        "import importlib.metadata as m, importlib.resources as r, normdoctor; d = m.distribution('normdoctor'); "
        "print(r.files('normdoctor').joinpath('py.typed').is_file(), d.version == normdoctor.__version__, "
        "any(f.name == 'LICENSE' for f in d.files))"
    )
    done = run(installed, "-c", asked, cwd=tmp_path)
    assert (done.returncode, done.stdout.split()) == (0, ["True", "True", "True"]), done.stderr


def test_the_kit_beside_a_foreign_utils(installed, tmp_path):
    """Its own name and its command work there; `utils.probes` is then the other project's affair, and is not there."""
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "__init__.py").write_text("OTHER = True\n", encoding="utf-8")
    done = run(installed, "-c", BESIDE_ANOTHER, cwd=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "No module named 'utils.probes'"), done.stderr
    command = shutil.which("normdoctor", path=installed.parent)
    done = run(command, "torch.nn:BatchNorm2d", "--only", "running mean", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
