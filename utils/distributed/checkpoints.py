"""Checkpoints of a training on many processes: one after each epoch, written by process 0 and read by it for all."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from utils.files import atomic_file, reason
from utils.training import History

__all__ = ["CheckpointError", "differences", "newest_first", "resume", "save"]

NAME = re.compile(r"epoch-\d{4,}\.pt")
KEPT = 2  # the one before, should the newest be damaged
FORM = {
    "configuration": dict,
    "model": dict,
    "optimizer": dict,
    "loss": torch.Tensor,
    "accuracy": list,
    "seconds": float,
}


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used, or not be written; the message says why, and what to do."""


def save(
    folder: Path, configuration: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer, history: History
) -> None:
    """Write the checkpoint of the epoch that has ended, all of it or nothing, and keep the one before.

    Raises CheckpointError if the system refuses.
    """
    content = io.BytesIO()
    state = {
        "configuration": configuration,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "loss": torch.from_numpy(history.loss),
        "accuracy": history.accuracy,
        "seconds": history.seconds,
    }
    torch.save(state, content)
    try:
        with atomic_file(folder / f"epoch-{len(history.accuracy):04}.pt", family="epoch") as file:
            file.write(content.getvalue())
        for old in newest_first(folder)[KEPT:]:
            old.unlink()
    except OSError as error:
        raise CheckpointError(f"no checkpoint can be written to {folder}: {reason(error)}") from error


def resume(
    folder: str | os.PathLike[str] | None,
    configuration: dict[str, Any],
    epochs: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> History:
    """Put model and optimizer where the last checkpoint left them, and give back the history up to there.

    Process 0 reads it and sends it to all, which need not see its disk. Without a folder, or with none in it, the
    history is empty. Raises CheckpointError, on all processes, if what is there is another run's, of more epochs than
    are asked for, damaged, or no checkpoint of this training at all.
    """
    sent: list[Any] = [None]
    if folder and dist.get_rank() == 0:
        try:
            sent = [_read_newest(Path(folder), configuration, epochs)]
        except CheckpointError as error:
            sent = [error]
    dist.broadcast_object_list(sent, 0)
    state = sent[0]
    if isinstance(state, CheckpointError):
        raise state
    if state is None:
        return History()
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    except Exception as error:  # PyTorch has several for what does not fit
        raise CheckpointError(
            f"the newest checkpoint in {folder} does not fit this network ({reason(error)}). Choose another folder, or "
            "delete it"
        ) from error
    return History(state["loss"].numpy(), state["accuracy"], state["seconds"])


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints in a folder."""
    paths = [path for path in folder.glob("epoch-*.pt") if NAME.fullmatch(path.name)]
    return sorted(paths, key=lambda path: (len(path.name), path.name), reverse=True)


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """What differs between two configurations, in words; empty if nothing does."""
    names = [name for name in ours | theirs if ours.get(name) != theirs.get(name)]
    return "; ".join(f"{name} is {ours.get(name)}, not {theirs.get(name)}" for name in names)


def _read_newest(folder: Path, configuration: dict[str, Any], epochs: int) -> dict[str, Any] | None:
    """The newest checkpoint that can be read; None if there is none at all, CheckpointError if it is of no use here."""
    paths = newest_first(folder)
    for path in paths:
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
        except PermissionError as error:
            raise CheckpointError(f"{path} may not be read: ask its owner, or choose another folder") from error
        except Exception as error:  # a file that was cut off fails in many ways
            warnings.warn(f"the checkpoint {path.name} is damaged: {reason(error)}", stacklevel=2)
            continue
        if not isinstance(state, dict) or not all(isinstance(state.get(name), kind) for name, kind in FORM.items()):
            raise CheckpointError(
                f"{path} is not a checkpoint of utils.distributed. Choose another folder, or move it away"
            )
        if what := differences(configuration, state["configuration"]):
            raise CheckpointError(
                f"the checkpoints in {folder} are of another run: {what}. Choose another folder, or delete them to "
                "start again"
            )
        if (done := len(state["accuracy"])) > epochs:
            raise CheckpointError(
                f"the checkpoints in {folder} are of {done} epochs, and epochs={epochs} asks for fewer. Ask for at "
                f"least {done}, or choose another folder"
            )
        return state
    if paths:
        raise CheckpointError(f"no checkpoint in {folder} can be read: delete them (epoch-*.pt) to start again")
    return None
