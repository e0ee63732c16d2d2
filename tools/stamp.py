"""The stamp: the only sign that `.venv` is finished, and for which lock, project, Python and folder.

It is written last and in one step. Whatever stopped a set-up, the next run finds no stamp and builds anew, from the
packages already downloaded.
"""

import hashlib
import json
import os
import subprocess
import tomllib

WINDOWS = os.name == "nt"


def project_hash(root):
    """A hash of those parts of pyproject.toml that matter to an installed project; ruff's settings do not."""
    tables = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    parts = [tables.get("build-system"), tables.get("project"), tables.get("tool", {}).get("setuptools")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def python_of(prefix):
    return prefix / "Scripts" / "python.exe" if WINDOWS else prefix / "bin" / "python"


def version_of(python):
    """The major.minor version that an interpreter says it is, or None if it does not run."""
    try:
        run = subprocess.run(
            [str(python), "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() if run.returncode == 0 else None


def expected_stamp(root, version):
    return {
        "lock": hashlib.sha256((root / "requirements.txt").read_bytes()).hexdigest(),
        "project": project_hash(root),
        "prefix": str(root / ".venv"),
        "python": version,
    }


def stamp_file(root):
    return root / ".venv" / "set-up.json"


def read_stamp(root):
    try:
        stamp = json.loads(stamp_file(root).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(root, stamp):
    """Under another name first: a stamp is there in full or not at all."""
    new = stamp_file(root).with_suffix(".new")
    new.write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
    os.replace(new, stamp_file(root))


def to_do(root, wanted=None):
    """What is left to do: ("nothing" | "project" | "all", why). `wanted` is the Python version the user named."""
    if not (root / ".venv").exists():
        return "all", "there is none yet"
    stamp = read_stamp(root)
    if not stamp:
        return "all", "the one in .venv was not finished"
    if stamp.get("prefix") != str(root / ".venv"):
        return "all", "the folder was moved"
    version = version_of(python_of(root / ".venv"))
    if version is None or version != stamp.get("python"):
        return "all", "its Python is gone"
    if wanted and wanted != version:
        return "all", f"it has Python {version}, and {wanted} is wanted"
    expected = expected_stamp(root, version)
    if stamp.get("lock") != expected["lock"]:
        return "all", "requirements.txt has changed"
    if stamp.get("project") != expected["project"]:
        return "project", "pyproject.toml has changed"
    return "nothing", ""
