"""What the kit says of published layers: reads them from a folder that you fetched, and writes the table.

    python census.py FOLDER          FOLDER/owner+name/path for each layer in layers.toml, at its commit

It runs the code in that folder. Nothing of it is kept: the table has names, positions and our own words.
"""

import argparse
import ast
import importlib
import importlib.util
import json
import math
import re
import sys
import tomllib
import types
from pathlib import Path
from typing import Any

import torch
from normdoctor import Report, __version__, check_normalization, from_bnlayer
from torch import nn

HERE = Path(__file__).resolve().parent
HEAD = """\
# A census of published layers

{count} normalization layers from {repositories} repositories, each read first, without the kit; then the kit was run on
them (normdoctor {version}, torch {torch}, profile "engineering": names and options are their own affair). What reading
shows stands with its line in the file, at the commit in the first column; ✔ where the kit names it, ✘ where it does
not, · where it is not asked. The last column has names of causes (`normdoctor.CAUSES`). Some of these are choices made
for a lesson, or documented; some were mended since. `layers.toml` says where each one is; `python census.py FOLDER`
makes the table from files that you fetched.

Of {asked} deviations that the kit is asked for it names {named}; of {clean} layers in which reading found nothing it
blames {blamed}.

| layer | what reading shows | what the kit says besides |
|---|---|---|
"""


def _stub(name: str, **content: Any) -> types.ModuleType:
    """A module in the place of one that is not needed."""
    module = types.ModuleType(name)
    module.__path__ = []
    module.__dict__.update(content)
    sys.modules[name] = module
    return module


def load(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The names that a layer's file defines, in a module of its own.

    Raises:
        OSError: the file is not in the folder.
    """
    root = folder / entry["repository"].replace("/", "+")
    path = root / entry["path"]
    name = entry.get("module_name") or "census_" + re.sub(r"\W", "_", entry["repository"])
    module = _stub(name) if not entry.get("module") else types.ModuleType(name)
    scope = module.__dict__

    def module_at(name: str, where: str) -> types.ModuleType:
        spec = importlib.util.spec_from_file_location(name, root / where)
        assert spec is not None
        assert spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        sys.modules[name] = found
        spec.loader.exec_module(found)
        return found

    scope |= {
        "torch": torch,
        "nn": nn,
        "F": nn.functional,
        "Tensor": torch.Tensor,
        "tensor": torch.tensor,
        "types": types,
        "math": math,
        "from_bnlayer": from_bnlayer,
        "_stub": _stub,
        "_module_at": module_at,
    }
    exec(entry.get("before", ""), scope)
    for package in entry.get("packages", []):
        _stub(package).__path__ = [str(root / package.replace(".", "/"))]
    if "imported" in entry:
        sys.path.insert(0, str(root / entry.get("folder", ".")))
        scope |= {k: v for k, v in vars(importlib.import_module(entry["imported"])).items() if not k.startswith("__")}
        sys.path.pop(0)
    if entry.get("module"):
        scope["_module"] = module_at(name, entry["path"])
        scope |= {k: v for k, v in vars(scope["_module"]).items() if not k.startswith("__")}
    for source in sources(entry, path):
        exec(compile(source, str(path), "exec"), scope)
    exec(entry.get("after", ""), scope)
    return scope


def sources(entry: dict[str, Any], path: Path) -> list[Any]:
    """The pieces of a file that are to be run."""
    if "cells" in entry or "cell_pick" in entry:
        cells = ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
        if "cells" in entry:
            return [cells[number] for number in entry["cells"]]
        return [picked(cells[entry["cell_pick"]["cell"]], entry["cell_pick"]["names"])]
    if "pick" in entry:
        return [picked(path.read_text(encoding="utf-8"), entry["pick"])]
    if "blocks" in entry:
        blocks = re.findall(r"```\{\.python \.input\}\n%%tab pytorch\n(.*?)```", path.read_text(encoding="utf-8"), re.S)
        return [block for block in blocks if block.startswith(tuple(entry["blocks"]))]
    return []


def picked(source: str, names: list[str]) -> ast.Module:
    """Only these classes and functions of a file."""
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if getattr(node, "name", None) in names]
    return tree


def examine(entry: dict[str, Any], folder: Path) -> Report:
    """What the kit says of a layer."""
    make = eval(entry["make"], load(entry, folder))
    options = {key: entry[key] for key in ("input_shape", "channel_axis") if key in entry}
    return check_normalization(make, entry.get("kind", "batch"), profile="engineering", title=entry["name"], **options)


def row(entry: dict[str, Any], report: Report) -> str:
    """A row of the table."""
    found = [finding.cause for finding in report.causes]
    seen = []
    for item in entry["reading"]:
        mark = "·" if not item["cause"] else "✔" if item["cause"] in found else "✘"
        seen.append(f"{mark} {item['words']}")
    asked = {item["cause"] for item in entry["reading"]}
    also = entry.get("also", {})
    more = [f"{cause} ({also[cause]})" if cause in also else cause for cause in found if cause not in asked]
    more += [note for note in report.notes if "follows" in note or "frozen" in note]
    if report.untestable:
        more = [f"it cannot be tested: {report.untestable}"]
    where = f"**{entry['name']}**, {entry['repository']} `{entry['commit'][:8]}`, {entry['path']} ({entry['licence']})"
    return f"| {where} | {'<br>'.join(seen)} | {'; '.join(more) or 'nothing'} |"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the files are")
    folder = parser.parse_args(arguments).folder
    entries = tomllib.loads((HERE / "layers.toml").read_text(encoding="utf-8"))["layer"]
    reports = []
    for entry in entries:
        try:
            reports.append(examine(entry, folder))
        except OSError as error:
            print(
                f"[census] {entry['repository']}: {error}; fetch {entry['path']} at {entry['commit']}", file=sys.stderr
            )
            return 1
        print(f"[census] {entry['repository']:<60} {len(reports[-1].causes)} causes", flush=True)
    asked = [
        (item["cause"], report)
        for entry, report in zip(entries, reports, strict=True)
        for item in entry["reading"]
        if item["cause"]
    ]
    clean = [
        report
        for entry, report in zip(entries, reports, strict=True)
        if all(item["words"].startswith("nothing") for item in entry["reading"])
    ]
    head = HEAD.format(
        count=len(entries),
        repositories=len({entry["repository"] for entry in entries}),
        version=__version__,
        torch=torch.__version__.partition("+")[0],
        asked=len(asked),
        clean=len(clean),
        named=sum(cause in [f.cause for f in report.causes] for cause, report in asked),
        blamed=sum(bool(report.causes) for report in clean) or "none",
    )
    rows = [row(entry, report) for entry, report in zip(entries, reports, strict=True)]
    (HERE / "README.md").write_text(head + "\n".join(rows) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
