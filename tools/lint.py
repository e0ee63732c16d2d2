"""`make lint`: ruff's rules and ruff's format, over the code and the notebooks. Both run; either can fail."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main():
    checks = (["check", "."], ["format", "--check", "."])
    results = [subprocess.run([sys.executable, "-m", "ruff", *check], cwd=ROOT).returncode for check in checks]
    return 1 if any(results) else 0


if __name__ == "__main__":
    sys.exit(main())
