"""Whatever happens to a layer under test is not felt outside."""

import contextlib
import io
import logging
import random
import warnings
from collections.abc import Iterator

import torch

__all__ = ["first_line", "isolated"]


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """Nothing inside is felt outside: random numbers, default dtype, gradient mode, warnings, logs, what is printed."""
    dtype, silent, state = torch.get_default_dtype(), logging.root.manager.disable, random.getstate()
    with (
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(0)
        torch.set_default_dtype(torch.float32)
        logging.disable(max(silent, logging.WARNING))  # the compiler's remarks
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            logging.disable(silent)
            random.setstate(state)


def first_line(error: BaseException) -> str:
    """What an exception says, on one line of bearable length."""
    line = (str(error).strip().splitlines() or ["(no message)"])[0]
    return line if len(line) <= 120 else line[:120].rpartition(" ")[0] + " ..."
