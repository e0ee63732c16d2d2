"""The results of a training as a file that any machine can read: what `--out` writes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from utils.files import atomic_file
from utils.training import History

__all__ = ["read_results", "write_results"]


def write_results(path: Path, configuration: dict[str, Any], history: History) -> None:
    """Write a history, and the configuration that it came from (plain values), as JSON; OSError if that fails."""
    results = {"configuration": configuration, **asdict(history), "loss": history.loss.tolist()}
    with atomic_file(path) as file:
        file.write((json.dumps(results, indent=1) + "\n").encode())


def read_results(path: str | os.PathLike[str]) -> tuple[History, dict[str, Any]]:
    """The results that `--out` wrote.

    Returns:
        The `History` (loss per step, shape (steps,); accuracy per epoch; seconds), and the configuration: the settings
        with "processes", "device", "torch" (its version) and "data" (the line that says which are in use).

    Raises:
        ValueError: it is no file of results.
        OSError: there is none.
    """
    try:
        results = json.loads(Path(path).read_text("utf-8"))
        configuration = results.pop("configuration")
        return History(**results | {"loss": np.array(results["loss"], dtype=np.float64)}), configuration
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{Path(path).name} does not hold results of utils.distributed") from error
