"""Builds `.venv` from the hashed lock, or finds it built. Standard library only.

uv does the work. The stamp is the only sign that `.venv` is finished, and for which lock, project, Python and folder:
it goes first and is written last, so whatever stopped a set-up, the next one builds anew, from the packages that were
downloaded already. A changed lock installs and removes what has changed.
"""

import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WINDOWS = os.name == "nt"
# What installing the lock writes: on Linux the registry's PyTorch is the CUDA build, elsewhere the one for the CPU.
NEEDED_GB = 7.0 if sys.platform == "linux" else 2.5
# A mirror, a proxy or a certificate of the user's must reach pip and uv; settings that would change what is installed,
# or where, must not.
KEPT_SETTINGS = re.compile(
    r"(PIP|UV)_\w*(INDEX|FIND_LINKS|PROXY|CERT|TLS|HOST|TIMEOUT|RETRIES|KEYRING|CACHE_DIR|CONFIG_FILE|OFFLINE|"
    r"LINK_MODE|CONCURRENT)\w*"
)


class Failure(Exception):
    """Something that stops the set-up; its text is the one line the user sees."""


def say(text):
    print(f"[set-up] {text}", flush=True)


def python_of(root):
    return root / ".venv" / ("Scripts/python.exe" if WINDOWS else "bin/python")


def stamp_file(root):
    return root / ".venv" / "set-up.json"


# --- what there is to do


def version_of(python):
    """The major.minor version that an interpreter says it is, or None if it does not run."""
    command = [str(python), "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def expected_stamp(root, version):
    files = [root / name for name in ("requirements.txt", "pyproject.toml", "kit/pyproject.toml")]
    inputs = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()
    return {"folder": str(root), "python": version, "inputs": inputs}


def to_do(root, wanted=None):
    """What is left to do: ("nothing" | "update" | "all", why). `wanted` is the Python version the user named."""
    if not (root / ".venv").exists():
        return "all", "there is none yet"
    try:
        stamp = json.loads(stamp_file(root).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "all", "the existing one was not finished"
    version = version_of(python_of(root))
    expected = expected_stamp(root, version)
    if stamp.get("folder") != expected["folder"]:
        return "all", "the folder was moved"
    if version is None or stamp.get("python") != version:
        return "all", "its Python is gone"
    if wanted not in (None, version):
        return "all", f"it has Python {version}, and {wanted} is wanted"
    if stamp != expected:
        return "update", "requirements.txt or pyproject.toml has changed"
    return "nothing", ""


# --- what is looked at before anything is downloaded


def check_python(newest, version=sys.version_info[:2], find_spec=importlib.util.find_spec):
    """Can this Python make an environment for the locked packages?"""
    found, limit = (".".join(map(str, v)) for v in (version, newest))
    if version > newest:
        raise Failure(
            f"Python {found} is newer than the locked packages support (up to {limit}): install Python {limit}, "
            f"or name another: PYTHON=/path/to/python{limit} make lab"
        )
    if missing := [name for name in ("venv", "ensurepip") if find_spec(name) is None]:
        raise Failure(
            f"{sys.executable} comes without {' and '.join(missing)}, so no environment can be made. On Debian and "
            f"Ubuntu: sudo apt install python{found}-venv. Elsewhere name another: PYTHON=/path/to/python3 make lab"
        )


def free_gb(root, env):
    """The least free space of the disks that are written to: the project's, and that of uv's downloads."""
    cache = Path(env.get("UV_CACHE_DIR") or os.path.expanduser("~")).absolute()
    while not cache.exists():
        cache = cache.parent
    return min(shutil.disk_usage(folder).free for folder in (root, cache)) / 1e9


def check_disk(root, env):
    """Both disks need the space: uv links the packages from its downloads, or copies them to another disk."""
    need, free = float(env.get("BATCHNORM_DISK_GB") or NEEDED_GB), free_gb(root, env)
    if free < need:
        raise Failure(
            f"Too little disk space: the set-up needs {need:.1f} GB, here and where uv keeps its downloads, and "
            f"{free:.1f} GB are free. Free some, or put the project (and, by UV_CACHE_DIR, the downloads) on another "
            "disk. If all is downloaded already, BATCHNORM_DISK_GB=0 skips this check."
        )


@contextlib.contextmanager
def build_lock(root):
    """Waits until no other set-up works in this folder. The system frees the lock when its holder ends."""
    with open(root / "build" / "set-up.lock", "w") as file:
        if not try_lock(file):
            say("another set-up is at work in this folder; waiting for it to finish")
            while not try_lock(file):
                time.sleep(0.5)
        yield


def try_lock(file):
    try:
        if WINDOWS:
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # another one has it; any other error is a disk without locks, and we go on without
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True


# --- the set-up


def tool_settings(env):
    """The environment of pip and uv: without the user's settings that would change what is installed, or where."""
    clean = {k: v for k, v in env.items() if not k.startswith(("PIP_", "UV_")) or KEPT_SETTINGS.fullmatch(k)}
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX"):
        clean.pop(name, None)
    clean.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
    if clean.get("PIP_INDEX_URL"):  # uv does not read pip's settings, and a mirror serves both
        clean.setdefault("UV_DEFAULT_INDEX", clean["PIP_INDEX_URL"])
    clean.setdefault("UV_HTTP_TIMEOUT", "120")
    return clean


def locked_block(lock, name):
    """The lines of one package in the lock: its version and its hashes."""
    return re.search(rf"^{re.escape(name)}==\S+[^\n]*\\\n(?:[ ]+--hash=\S+(?:[ ]\\)?\n)+", lock, re.MULTILINE)[0]


def install(root, env):
    """uv in the version of the lock, the locked packages, and the course and its kit as they lie here."""
    settings, python = tool_settings(env), python_of(root)
    entry = root / "build" / "uv-requirement.txt"
    entry.write_text(locked_block((root / "requirements.txt").read_text(encoding="utf-8"), "uv"), encoding="utf-8")
    # Compiled once: `import torch` then takes half the processor time in each of the many kernels and workers.
    steps = (
        (f"pip install -qq --retries 2 --require-hashes --no-deps -r {entry.relative_to(root).as_posix()}", "uv"),
        ("uv pip sync --require-hashes --no-build --compile-bytecode requirements.txt", "the locked packages"),
        ("uv pip install --quiet --no-deps --no-build-isolation -e . -e kit", "the course itself"),
    )
    for words, what in steps:
        if subprocess.run([str(python), "-m", *words.split()], env=settings, cwd=root).returncode == 0:
            continue
        if free_gb(root, env) < 0.5:
            raise Failure("The disk is full: free some space and run the same command again.")
        raise Failure(
            f"Installing {what} failed; the reason stands above. If that was the network (a proxy or a mirror is read "
            "from HTTPS_PROXY and PIP_INDEX_URL), run the same command again: what was downloaded is kept."
        )


def quiet_news(prefix):
    """JupyterLab's question about news from the network is not part of a lesson."""
    file = prefix / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    with contextlib.suppress(OSError):  # in somebody else's environment; the question is harmless
        file.parent.mkdir(parents=True, exist_ok=True)
        wanted = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
        if not file.exists():
            file.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")


def build(root, newest, env=os.environ):
    """The environment's Python; the environment is built or brought up to date if it has to be."""
    wanted = "{}.{}".format(*sys.version_info) if env.get("PYTHON", "").strip() else None
    if to_do(root, wanted)[0] == "nothing":
        return python_of(root)
    (root / "build").mkdir(exist_ok=True)
    begun = root / "build" / "venv-begun"  # so that only what a set-up has left is built anew
    with build_lock(root):
        task, why = to_do(root, wanted)  # again: the one we waited for may have done it all
        if task == "nothing":
            return python_of(root)
        start = time.monotonic()
        if task == "all":
            check_python(newest)
            if not (root / ".venv").exists():  # what an interrupted set-up has downloaded needs no space again
                check_disk(root, env)
            elif not stamp_file(root).exists() and not begun.exists():
                raise Failure("The folder .venv was not made by this course: move it away or remove it, and try again.")
        begun.touch()
        say(f"{'building' if task == 'all' else 'changing'} the environment .venv: {why}")
        stamp_file(root).unlink(missing_ok=True)
        if task == "all":
            say("several of its packages are large: minutes the first time, less than one from uv's cache")
            if subprocess.run([sys.executable, "-m", "venv", "--clear", root / ".venv"], cwd=root).returncode:
                raise Failure("The folder .venv could not be made anew: close what runs from it, or remove it by hand.")
        install(root, env)
        quiet_news(root / ".venv")
        new = stamp_file(root).with_suffix(".new")  # a stamp is there in full or not at all
        new.write_text(json.dumps(expected_stamp(root, version_of(python_of(root)))) + "\n", encoding="utf-8")
        os.replace(new, stamp_file(root))
        say(f"done in {time.monotonic() - start:.0f} s")
    return python_of(root)
