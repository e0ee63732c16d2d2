"""`make lock`: renews requirements.txt, the exact lock of every package, for every platform, with every hash.

The lock contains no address: it says what, by hash, and each machine's own settings say from where.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = "requirements.txt"
HEADER = """\
# Every package of the course's environment, exactly: the work of `make lock`, from pyproject.toml and
# tools/constraints.txt. Do not edit. Linux, macOS (Apple silicon) and Windows, Python 3.11 to 3.14.
"""


def find_uv():
    """uv stands beside the environment's Python; `make lock` has just seen to that."""
    return shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


def command(uv, output):
    return [
        uv, "pip", "compile", "pyproject.toml", "--extra", "dev", "--extra", "slides", "--universal",
        "--python-version", "3.11",
        "--generate-hashes", "--no-emit-index-url", "--no-header", "--quiet", "--upgrade",
        "--constraints", "tools/constraints.txt", "--output-file", output,
    ]  # fmt: skip


def packages(text):
    """The packages of a lock as {"name ; marker": version}."""
    found = {}
    for line in text.splitlines():
        if line[:1].isalnum():
            name, _, rest = line.rstrip(" \\").partition("==")
            version, _, marker = rest.partition(" ; ")
            found[f"{name} ; {marker}" if marker else name] = version
    return found


def main():
    uv = find_uv()
    if uv is None:
        print("[lock] uv is not in this environment: run `make lock`, which builds one that has it", file=sys.stderr)
        return 1
    new = ROOT / "build" / "requirements.new.txt"
    new.parent.mkdir(exist_ok=True)
    new.unlink(missing_ok=True)
    if subprocess.run(command(uv, str(new.relative_to(ROOT))), cwd=ROOT).returncode:
        print("[lock] The lock was not renewed (uv's own words stand above).", file=sys.stderr)
        return 1
    text = HEADER + new.read_text(encoding="utf-8")
    old_file = ROOT / LOCK
    before = packages(old_file.read_text(encoding="utf-8")) if old_file.exists() else {}
    after = packages(text)
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            print(f"[lock] {key}: {before.get(key, 'new')} -> {after.get(key, 'gone')}")
    new.write_text(text, encoding="utf-8", newline="\n")
    os.replace(new, old_file)
    print(f"[lock] {LOCK}: {len(after)} entries; the next make target installs what has changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
