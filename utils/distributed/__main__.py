"""`python -m utils.distributed`, alone or started by torchrun: the training, from a terminal."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from utils.data import load
from utils.distributed.loopback import loopback_backend
from utils.distributed.processes import TIMEOUT
from utils.distributed.results import write_results
from utils.distributed.training import NORMS, Settings, group_device, train
from utils.files import reason

__all__ = ["main", "process_group"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the command line says, alone or as one process of torchrun's; 0 if that worked, else 1 and one line."""
    options = vars(_parser().parse_args(arguments))
    out, timeout = options.pop("out"), options.pop("timeout")
    settings = Settings(**options)
    try:
        with process_group(timeout):
            data = load(verbose=dist.get_rank() == 0)
            history = train(settings, data, progress=True)
            if dist.get_rank() == 0 and out:
                configuration = asdict(settings) | {
                    "processes": dist.get_world_size(),
                    "device": group_device().type,
                    "torch": torch.__version__,
                    "data": str(data),
                }
                del configuration["checkpoint"]  # a path says nothing on another machine
                write_results(Path(out), configuration, history)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (RuntimeError, ValueError, OSError) as error:
        print(f"error: process {os.environ.get('RANK', 0)}: {reason(error)}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("utils.distributed", description="Train the course's network on many processes.")
    add, defaults = parser.add_argument, Settings()
    add("--depth", type=int, default=defaults.depth, help="convolutions")
    add("--norm", choices=NORMS, default=defaults.norm)
    add("--epochs", type=int, default=defaults.epochs)
    add("--batch-size", type=int, default=defaults.batch_size, help="images in a batch, all processes together")
    add("--lr", type=float, default=defaults.lr, help="learning rate")
    add("--seed", type=int, default=defaults.seed)
    add("--widths", type=int, nargs="+", default=defaults.widths, help="channels of each stage")
    add("--size", type=int, help="how many training images (default: all)")
    add("--test-size", type=int, help="how many test images (default: all)")
    add("--augment", action="store_true", help="crop and flip the images")
    add("--init", type=_start_value, default=defaults.init, help='"default", "he" or a standard deviation')
    add("--checkpoint", metavar="FOLDER", help="write a checkpoint after each epoch, go on from the last one")
    add("--out", metavar="FILE", help="write the results, as JSON")
    add("--timeout", type=float, default=TIMEOUT, help="seconds to wait for another process (default: %(default)g)")
    return parser


def _start_value(text: str) -> str | float:
    with contextlib.suppress(ValueError):
        return float(text)
    return text


@contextlib.contextmanager
def process_group(timeout: float) -> Iterator[None]:
    """The group of torchrun's processes; without torchrun, a group of one."""
    local = int(os.environ.get("LOCAL_RANK", 0))
    processes_here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    on_gpus = torch.cuda.is_available() and dist.is_nccl_available() and processes_here <= torch.cuda.device_count()
    if on_gpus:
        backend = "nccl"
        torch.cuda.set_device(local)
    elif processes_here == int(os.environ.get("WORLD_SIZE", 1)):
        backend = loopback_backend()
    else:
        backend = "gloo"
    alone: dict[str, Any] = {"store": dist.HashStore(), "rank": 0, "world_size": 1}
    dist.init_process_group(
        backend,
        timeout=datetime.timedelta(seconds=timeout),
        device_id=torch.device("cuda", local) if on_gpus else None,
        **({} if dist.is_torchelastic_launched() else alone),
    )
    try:
        yield
    finally:
        if not on_gpus or sys.exc_info()[0] is None:  # nccl would wait for those who do not come
            dist.destroy_process_group()


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # all is written; an interpreter that is taken apart under threads of PyTorch's can abort
