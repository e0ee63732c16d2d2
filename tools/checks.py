"""What is checked before anything is downloaded. Each failure is one line: what is wrong, and what to do."""

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

# What installing the lock writes, measured on Linux, where the registry's PyTorch is the CUDA build (6.0 GB), plus a
# margin for the project's own files; elsewhere it is the CPU build.
GIGABYTE = 1e9
NEEDED_GB = 7.0 if sys.platform == "linux" else 2.5
TEMPORARY_GB = 0.2


class Failure(Exception):
    """Something that stops the set-up; its text is the one line the user sees."""


def check_python(newest, version=None):
    version = version or sys.version_info[:2]
    if version > newest:
        found, limit = (".".join(map(str, v)) for v in (version, newest))
        raise Failure(
            f"Python {found} is newer than the locked packages support (up to {limit}): install Python {limit}, "
            f"or name another: PYTHON=/path/to/python{limit} make test"
        )


def check_platform(system=None, machine=None, macos=None, pointer_bits=None):
    """PyTorch has no build for a few machines; it is kinder to say so than to let a download fail."""
    system = system or platform.system()
    machine = (machine or platform.machine()).lower()
    macos = macos or platform.mac_ver()[0]
    if (pointer_bits or sys.maxsize.bit_length() + 1) < 64:
        raise Failure("This is a 32-bit Python, and PyTorch needs a 64-bit one: install a 64-bit Python.")
    if system == "Darwin" and machine != "arm64":
        raise Failure(
            "PyTorch has no build for a Python made for Intel Macs. On an Apple-silicon Mac install a native (arm64) "
            "Python; an Intel Mac cannot run the locked packages."
        )
    if system == "Darwin" and int(macos.split(".")[0] or 14) < 14:
        raise Failure(f"The locked PyTorch needs macOS 14 or newer, and this is macOS {macos}: update macOS.")
    if system == "Windows" and machine == "arm64":
        raise Failure("PyTorch has no build for a Python made for ARM Windows: install the x86-64 Python.")


def check_venv(find_spec=importlib.util.find_spec):
    missing = [name for name in ("venv", "ensurepip") if find_spec(name) is None]
    if not missing:
        return
    if shutil.which("apt-get"):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        remedy = f"install it with: sudo apt install python{version}-venv"
    else:
        remedy = "install a complete Python, or name one: PYTHON=/path/to/python3 make test"
    raise Failure(f"{sys.executable} comes without {' and '.join(missing)}, so no environment can be made: {remedy}")


def check_writable(root):
    try:
        (root / "build").mkdir(exist_ok=True)
        for folder in (root, root / "build"):
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        raise Failure(
            f"Cannot write in {root} ({error.strerror}), where the environment is built: "
            "put the project in a folder of your own."
        ) from None


def cache_folder(env=os.environ):
    """Where uv keeps what it downloads (the first three are the user's wish, then uv's own defaults)."""
    if env.get("UV_CACHE_DIR"):
        return Path(env["UV_CACHE_DIR"])
    if env.get("XDG_CACHE_HOME"):
        return Path(env["XDG_CACHE_HOME"]) / "uv"
    if os.name == "nt" and env.get("LOCALAPPDATA"):
        return Path(env["LOCALAPPDATA"]) / "uv" / "cache"
    return Path.home() / ".cache" / "uv"


def existing(path):
    """The nearest folder that is there."""
    path = Path(path).absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def check_disk(root, env=os.environ, usage=shutil.disk_usage, device=lambda path: os.stat(path).st_dev):
    """Enough free space on each disk that is written to.

    uv links the packages from its cache into `.venv`, so that both on one disk need the space once, and on two disks
    each needs it.
    """
    override = env.get("BATCHNORM_DISK_GB", "").strip()
    try:
        packages = float(override) if override else NEEDED_GB
    except ValueError:
        raise Failure(f"BATCHNORM_DISK_GB is a number of gigabytes, and not {override!r}.") from None
    needs = {}
    for path, need in ((root, packages), (cache_folder(env), packages), (tempfile.gettempdir(), TEMPORARY_GB)):
        place = existing(path)
        first, most = needs.get(device(place), (place, 0.0))
        needs[device(place)] = (first, max(most, need))
    for place, need in needs.values():
        free = usage(place).free / GIGABYTE
        if free < need and packages > 0:
            raise Failure(
                f"Too little disk space: the set-up needs {need:.1f} GB on the disk of {place}, and {free:.1f} GB are "
                "free. Free some, or put the project (and, by UV_CACHE_DIR, the downloads) on another disk. "
                "If the packages are in uv's cache already, BATCHNORM_DISK_GB=0 skips this check."
            )
