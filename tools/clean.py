"""`make clean`: removes what the other targets wrote, but not what took minutes to download: .venv/ and data/ stay."""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("build", "kit/build", "kit/dist", ".pytest_cache", ".ruff_cache", ".hypothesis")
EVERYWHERE = ("__pycache__", ".ipynb_checkpoints")
OURS = ("benchmarks", "docs", "kit", "lessons", "notebooks", "study", "tests", "tools", "utils")


def targets(root):
    found = [root / name for name in FOLDERS]
    found += [path for folder in OURS for name in EVERYWHERE for path in (root / folder).rglob(name)]
    found += sorted(root.glob(".coverage*"))
    return [path for path in found if path.exists()]


def main(root=ROOT):
    for path in targets(root):
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            print(f"[clean] {path.relative_to(root)} cannot be removed: {error.strerror}", file=sys.stderr)
            return 1
    print("[clean] done; .venv/ and data/ are kept (remove them by hand to start from nothing)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
