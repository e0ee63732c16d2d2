"""The last step of `make notebooks`: docs/signal.svg, the README's figure, is stored in notebook 00 as `SLUG`."""

from pathlib import Path

import nbformat

from tools.run import select

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "signal.svg"
SLUG = "signal-through-twenty-layers"


def stored_figure():
    """The SVG that the cell of this figure has stored in notebook 00."""
    [path] = select(ROOT / "notebooks", ["00"])
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if f'"{SLUG}"' in cell.source]
    outputs = [o for cell in cells for o in cell.get("outputs", [])]
    pictures = [o["data"]["image/svg+xml"] for o in outputs if "image/svg+xml" in o.get("data", {})]
    if not pictures:
        raise SystemExit(f"[figure] {path.name} does not hold {SLUG}: run `make notebooks ONLY=00` first")
    return pictures[-1]


if __name__ == "__main__":
    TARGET.write_text(stored_figure(), encoding="utf-8", newline="\n")
