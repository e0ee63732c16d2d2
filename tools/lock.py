"""`make lock`: renews requirements.txt, the exact lock of every package, for every platform, with every hash.

    python -m tools.lock          the newest versions that pyproject.toml and tools/constraints.txt allow
    python -m tools.lock --keep   only what has changed in pyproject.toml; what is locked keeps its version

The lock contains no address: it says what, by hash, and each machine's own settings say from where. The kit is not in
it, since it lies here, in kit/.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from tools.calling import call
from tools.files import write

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# Every package of the course's environment, exactly: the work of `make lock`, from pyproject.toml and
# tools/constraints.txt. Do not edit. Linux, macOS (Apple silicon) and Windows, Python 3.11 to 3.14.
"""


def command(output, keep=False):
    return [
        sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml",
        "--extra", "dev", "--extra", "slides", "--extra", "site",
        "--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url", "--no-header", "--quiet",
        "--constraints", "tools/constraints.txt", "--no-emit-package", "normdoctor",
        *([] if keep else ["--upgrade"]), "--output-file", output,
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


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="let what is locked keep its version where it can")
    keep = parser.parse_args(arguments).keep
    old, new = ROOT / "requirements.txt", ROOT / "build" / "requirements.new.txt"
    new.parent.mkdir(exist_ok=True)
    new.write_bytes(old.read_bytes())  # uv keeps to the versions that it finds in its output
    if subprocess.run(command(new.relative_to(ROOT).as_posix(), keep), cwd=ROOT).returncode:
        print("[lock] The lock was not renewed (uv's reason is above).", file=sys.stderr)
        return 1
    text = HEADER + new.read_text(encoding="utf-8")
    before, after = packages(old.read_text(encoding="utf-8")), packages(text)
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            print(f"[lock] {key}: {before.get(key, 'new')} -> {after.get(key, 'gone')}")
    write(text, old)
    print(f"[lock] {old.name}: {len(after)} entries; the next make target installs what has changed")
    return 0


if __name__ == "__main__":
    call("lock", main)
