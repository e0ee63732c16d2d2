"""One run in a process of its own: `python -m study.one FOLDER ARM ROLE RATE SEED`; `make study` starts it."""

import sys
from pathlib import Path

import torch

from study import records
from study.plan import Run, load_plan
from study.training import train
from utils.data import load
from utils.training import pick_device

__all__ = ["main"]


def main(folder: str, arm: str, role: str, rate: str, seed: str) -> None:
    """Train, and write the record; arguments as text."""
    run = Run(arm, role, float(rate), int(seed), load_plan().arms[arm])
    torch.set_num_threads(run.settings["threads"])
    records.write(run, train(run, load(verbose=False), pick_device()), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
