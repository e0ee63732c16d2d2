"""Builds `.venv` from the hashed lock, or finds it built. Standard library only."""

import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time

from checks import (
    GIGABYTE,
    Failure,
    cache_folder,
    check_disk,
    check_platform,
    check_python,
    check_venv,
    check_writable,
    existing,
)
from stamp import expected_stamp, python_of, stamp_file, to_do, version_of, write_stamp

WINDOWS = os.name == "nt"

# A mirror, a proxy or a certificate of the user's must reach pip and uv; settings that would change what is installed,
# or where, must not.
KEPT_SETTINGS = re.compile(
    r"PIP_(INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|PROXY|CERT|CLIENT_CERT|TRUSTED_HOST|TIMEOUT|DEFAULT_TIMEOUT|RETRIES|"
    r"CACHE_DIR|CONFIG_FILE|KEYRING_PROVIDER)"
    r"|UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_\w+_(USERNAME|PASSWORD)|FIND_LINKS|NATIVE_TLS|SYSTEM_CERTS|"
    r"INSECURE_HOST|KEYRING_PROVIDER|CONFIG_FILE|CACHE_DIR|LINK_MODE|HTTP_TIMEOUT|HTTP_RETRIES|CONCURRENT_\w+|OFFLINE)"
)


def say(text):
    print(f"[set-up] {text}", flush=True)


def tool_settings(env):
    """The environment of pip and uv: without the user's settings that would change what is installed, or where."""
    clean = {
        name: value
        for name, value in env.items()
        if not name.startswith(("PIP_", "UV_")) or KEPT_SETTINGS.fullmatch(name)
    }
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX"):
        clean.pop(name, None)
    clean.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
    if clean.get("PIP_INDEX_URL"):  # uv does not read pip's settings, and a mirror serves both
        clean.setdefault("UV_DEFAULT_INDEX", clean["PIP_INDEX_URL"])
    clean.setdefault("UV_HTTP_TIMEOUT", "120")
    return clean


def locked_block(lock, name):
    """The lines of one package in the lock: its version and its hashes."""
    block = re.search(rf"^{re.escape(name)}==(\S+)[^\n]*\\\n(?:[ ]+--hash=\S+(?:[ ]\\)?\n)+", lock, re.MULTILINE)
    if not block:
        raise Failure(f"requirements.txt has no hashed entry for {name}: make it anew with `make lock`.")
    return block.group(0), block.group(1)


def run_logged(command, env, root, log):
    """Runs a tool quietly; what it says goes to a file that a failure can point to."""
    with open(log, "wb") as out:
        return subprocess.run(
            command, env=env, cwd=root, stdout=out, stderr=subprocess.STDOUT, close_fds=WINDOWS
        ).returncode


def remove_old(root):
    old = root / ".venv"
    try:
        if old.is_symlink() or old.is_file():
            old.unlink()
        elif old.exists():
            with contextlib.suppress(FileNotFoundError):
                stamp_file(root).unlink()  # first, so that half a removal never looks like a whole environment
            shutil.rmtree(old)
    except OSError as error:
        raise Failure(
            f"The old environment {old} cannot be removed ({error.strerror}): close what runs from it (JupyterLab, "
            "a kernel), or remove it by hand, and run the same command again."
        ) from None


def make_venv(root, env):
    log = root / "build" / "set-up.log"
    if run_logged([sys.executable, "-m", "venv", str(root / ".venv")], env, root, log):
        raise Failure(f"{sys.executable} could not make the environment .venv (its own words: {log})")


def install_uv(root, env):
    """uv itself, in the version and with the hashes of the lock."""
    block, version = locked_block((root / "requirements.txt").read_text(encoding="utf-8"), "uv")
    say(f"2/4 fetching uv {version}, the installer")
    entry, log = root / "build" / "uv-requirement.txt", root / "build" / "set-up.log"
    entry.write_text(block, encoding="utf-8")
    pip = [str(python_of(root / ".venv")), "-m", "pip", "install", "--require-hashes", "--no-deps", "--retries", "2"]
    if run_logged([*pip, "-r", str(entry)], env, root, log):
        raise Failure(
            "The installer uv could not be fetched from the package registry. Is there a network? (A proxy or a mirror "
            f"is read from HTTPS_PROXY and PIP_INDEX_URL.) Then run the same command again; pip's own words: {log}"
        )


def uv(root, env, *arguments):
    command = [str(python_of(root / ".venv")), "-m", "uv", "pip", "install", "--python", str(python_of(root / ".venv"))]
    return subprocess.run([*command, *arguments], env=env, cwd=root, close_fds=WINDOWS).returncode


def install_packages(root, env):
    lock = (root / "requirements.txt").read_text(encoding="utf-8")
    say(f"3/4 installing {len(re.findall('^[a-z]', lock, re.MULTILINE))} locked packages, several of them large "
        "(minutes the first time, less than one from uv's cache)")  # fmt: skip
    if os.stat(existing(cache_folder(env))).st_dev != os.stat(root).st_dev:
        env = {"UV_LINK_MODE": "copy", **env}  # no link reaches another disk; uv would warn and then copy
    # Compiled once here: `import torch` then takes half the processor time in each of the many kernels and workers.
    if uv(root, env, "--require-hashes", "--no-build", "--compile-bytecode", "-r", "requirements.txt"):
        if min(shutil.disk_usage(place).free for place in (root, existing(cache_folder(env)))) < 0.5 * GIGABYTE:
            (root / "build" / "set-up.begun").unlink(missing_ok=True)  # the next run measures the disk again
            raise Failure("The disk is full: free some space and run the same command again.")
        raise Failure(
            "The locked packages could not be installed (uv's own words stand above). If they speak of the network, "
            "run the same command again when it is back: what was downloaded is kept."
        )


def install_project(root, env):
    say("4/4 the course's own package, utils")
    if uv(root, env, "--quiet", "--no-deps", "--no-build-isolation", "-e", "."):
        raise Failure("The project itself could not be installed (uv's own words stand above): see pyproject.toml.")


def quiet_news(prefix):
    """JupyterLab's question about news from the network is not part of a lesson."""
    settings = prefix / "share" / "jupyter" / "lab" / "settings"
    if (settings / "overrides.json").exists():
        return
    with contextlib.suppress(OSError):  # somebody else's environment: the question is harmless
        settings.mkdir(parents=True, exist_ok=True)
        wanted = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
        (settings / "overrides.json").write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")


@contextlib.contextmanager
def build_lock(root):
    """One set-up at a time. The system frees the lock when its holder, or its tool, has ended: none is stale."""
    handle = os.open(root / "build" / "set-up.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not WINDOWS:
            os.set_inheritable(handle, True)  # pip or uv, left behind by a killed set-up, keeps the lock to its end
        waiting = False
        while not try_lock(handle):
            if not waiting:
                say("another set-up is at work in this folder; waiting for it to finish")
                waiting = True
            time.sleep(0.5)
        yield
    finally:
        os.close(handle)


def try_lock(handle):
    if WINDOWS:
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks, some network disks: go on without one
    return True


def build(root, newest, env=os.environ):
    """The environment's Python, built if it has to be."""
    wanted = None
    if env.get("PYTHON", "").strip():
        wanted = f"{sys.version_info.major}.{sys.version_info.minor}"
    if to_do(root, wanted)[0] == "nothing":
        return python_of(root / ".venv")
    check_python(newest)
    check_platform()
    check_venv()
    check_writable(root)
    with build_lock(root):
        task, why = to_do(root, wanted)  # again: the one we waited for may have done it all
        if task == "nothing":
            return python_of(root / ".venv")
        begun = root / "build" / "set-up.begun"
        if task == "all" and not begun.exists():  # what an interrupted set-up has downloaded needs no space again
            check_disk(root, env)
        start, settings = time.monotonic(), tool_settings(env)
        if task == "all":
            begun.touch()
            say(f"building the environment .venv: {why}")
            say(f"1/4 an empty environment, with {sys.executable} (Python {platform.python_version()})")
            remove_old(root)
            make_venv(root, settings)
            install_uv(root, settings)
            install_packages(root, settings)
        else:
            say(f"the environment .venv is brought up to date: {why}")
            stamp_file(root).unlink()
        install_project(root, settings)
        quiet_news(root / ".venv")
        version = version_of(python_of(root / ".venv"))
        if version is None:
            raise Failure("The new environment's Python does not run: remove .venv and run the same command again.")
        write_stamp(root, expected_stamp(root, version))
        begun.unlink(missing_ok=True)
        say(f"done in {time.monotonic() - start:.0f} s")
    return python_of(root / ".venv")
