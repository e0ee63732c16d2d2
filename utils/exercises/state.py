"""The settings of a process that change what code computes: fixed while an answer runs, and put back afterwards."""

import contextlib
import os
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

__all__ = ["fixed_state"]


def _device() -> torch.device | None:
    """The default device; None stands for the CPU, as PyTorch has it at the start."""
    device = torch.get_default_device()
    return None if device.type == "cpu" else device


def _folder() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it has been removed
        return None


SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (  # (ask for it, set it)
    (_device, torch.set_default_device),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.get_num_threads, torch.set_num_threads),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (np.geterr, lambda kinds: np.seterr(**kinds)),
    (_folder, lambda folder: folder and os.chdir(folder)),
)


@contextlib.contextmanager
def fixed_state() -> Iterator[None]:
    """Gradients on, float32, the CPU, and all random numbers from seed 0; at the end, everything is as it was."""
    before = [ask() for ask, _ in SETTINGS]
    numbers, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002 learners may use it
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        try:
            yield
        finally:
            for (ask, put), was in zip(SETTINGS, before, strict=True):
                if ask() != was:  # some are slow to set
                    with contextlib.suppress(OSError):
                        put(was)
            random.setstate(numbers)
            np.random.set_state(numpys)  # noqa: NPY002
