"""The study's records as the explorer shows them: what stands in `study/records`, thinned, and nothing else."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from utils import study

__all__ = ["TRAINED_ON", "TouchError", "as_script", "learned_all", "records", "run", "trained"]

TRAINED_ON = 45_000  # training pictures that the study does not hold out
BUDGET = 270_000  # bytes of the study's data: the file stays below 300 kB


class TouchError(Exception):
    """A thing cannot be built; the text says why."""


def as_script(value: object) -> str:
    """JSON that may stand in a <script> of a page."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")


def records(found: Mapping[str, study.Record], plan: Mapping, budget: int = BUDGET) -> dict:
    """The study for the explorer: all arms of its plan, and each run that was recorded, thinned until it fits.

    Accuracies are in hundredths of a percent, losses in hundredths, norms in tenths.

    Raises:
        TouchError: even thinned as far as it goes, it is larger than the budget.
    """
    arms = {}
    for name, own in plan["arms"].items():
        settings = {**plan["defaults"], **own}
        arms[name] = {"words": in_words(settings), "kind": kind(settings), "rates": settings["rates"]}
        if settings.get("rate_of"):
            arms[name]["rates"] = []
    for record in found.values():  # an arm that the plan has no longer is still an arm that was run
        settings = record["settings"]
        arms.setdefault(record["arm"], {"words": in_words(settings), "kind": kind(settings), "rates": []})
    for points in (34, 25, 17, 12, 8, 5):
        runs = [run(name, record, points) for name, record in sorted(found.items())]
        table = {"arms": arms, "points": points, "runs": runs}
        if len(as_script(table).encode()) <= budget:
            return table
    raise TouchError(
        f"the records do not fit into {budget:,} bytes: show fewer runs, or raise BUDGET in utils/touch/recorded.py"
    )


def run(name: str, record: study.Record, points: int) -> list:
    """One record, as explorer.js reads it: who it is, then accuracies, loss, norms, test, why it stopped, learned_all.

    The loss is how many epochs it covers, of how many values it is thinned, and those that are kept, evenly spread.
    """
    loss, test = record["loss"], record.get("test")
    many = min(points, len(loss))
    kept = [loss[math.floor(i * (len(loss) - 1) / max(1, many - 1) + 0.5)] for i in range(many)]
    usual = f"{record['arm']}.{record['role']}.{record['rate']:g}.{record['seed']}"
    as_there = name == usual and "e" not in f"{record['rate']:g}"  # JavaScript writes 3e-05 otherwise
    return [
        "" if as_there else name, record["arm"], record["role"], record["rate"], record["seed"], record["epochs"],
        "" if record["data"] == "CIFAR-10" else record["data"],
        [number(value, 1e4) for value in record["validation"]],
        [number(trained(record), 100), len(loss), *(number(value, 100) for value in kept)],
        [number(value, 10) for value in record["norms"]],
        None if test is None else number(test, 1e4),
        (record["stopped"] or "").split(". ")[0].removeprefix("Stopped: "), int(learned_all(record)),
    ]  # fmt: skip


def learned_all(record: study.Record) -> bool:
    """Whether it learned from the pictures as well that the search holds out, so that its accuracies are on its own."""
    return record["settings"].get("everything", False) and record["role"] != "search"


def trained(record: study.Record) -> float:
    """How many epochs its loss covers: of a run that stopped, those that it finished and the part of the next one."""
    if not record["stopped"]:
        return record["epochs"]
    settings, step = record["settings"], re.search(r"at step (\d+)", record["stopped"])
    steps = (settings.get("few") or (50_000 if learned_all(record) else TRAINED_ON)) / settings["batch"]
    return len(record["validation"]) + (min(1.0, int(step[1]) / steps) if step else 0.0)


def number(value: float, times: float) -> int | None:
    """In whole parts of 1/times; None for what is not a number, and for infinity."""
    return round(times * value) if value is not None and abs(value) < 1e300 else None


def kind(settings: Mapping) -> str:
    """Without normalization, with batch normalization, or another way."""
    if settings["norm"] == "batch":
        return "with"
    return "without" if settings["norm"] == "none" and settings["branch"] == "plain" else "other"


NORMS = {"none": "no normalization", "batch": "batch normalization", "group": "group normalization",
         "layer": "layer normalization", "instance": "instance normalization", "rms": "RMS normalization",
         "weights": "standardized weights", "tanh": "dynamic tanh"}  # fmt: skip
INITS = {"he": "He’s start", "default": "default start", "lsuv": "LSUV start"}


def in_words(settings: Mapping) -> str:
    """An arm in words: what is usual is left out."""
    if settings.get("text"):
        return f"two blocks of a Transformer on characters, {NORMS[settings['norm']]}"
    has = {**settings, "after": settings["norm"] == "batch" and not settings["norm_first"]}
    said = [
        f"{has['depth']} layers",
        has["widths"] != [8, 16, 32] and f"{has['widths'][0]} to {has['widths'][-1]} channels",
        has["first_stride"] != 2 and "pictures not halved at once",
        NORMS.get(has["norm"], has["norm"]),
        has["after"] and "after the ReLU",
        INITS.get(has["init"], has["init"]),
        has["skips"] and "skips",
        has["branch"] == "skipinit" and "SkipInit",
        has.get("gamma", "ones") != "ones" and f"γ at first {has['gamma']}",
        has.get("learns", "all") != "all" and f"learned: {has['learns']} only",
        has.get("renorm") and "without the batch’s noise",
        has.get("precise") and "exact statistics",
        has.get("noise") and f"noise: {has['noise']}",
        has.get("dropout") and f"dropout {has['dropout']}",
        has.get("ghost") and f"ghost batches of {has['ghost']}",
        has["pixels"] != "standardized" and f"{has['pixels']} pixels",
        has.get("recompressed") and "copied once more",
        has.get("few") and f"{has['few']:,} pictures",
        not has["augment"] and "not augmented",
        has["batch"] != 128 and f"batches of {has['batch']}",
        has.get("steps") and f"{has['steps']:,} steps",
        has["epochs"] != 10 and f"{has['epochs']} epochs",
        has["warmup"] == 0 and "no warm-up",
        has["decay"] != 5e-4 and f"decay {has['decay']:g}",
        has["decay_of"] != "all" and f"decay of {has['decay_of']}",
        has.get("rate_of") and f"at the best rate of {has['rate_of']}",
    ]
    return ", ".join(filter(None, said))
