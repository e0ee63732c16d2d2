"""What the exercises of several lessons share: made-up inputs, and a look at the functions that an answer calls."""

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["Calls", "axes_but_channel", "pictures"]


def pictures(*shape: int, seed: int = 0) -> Tensor:
    """Made-up values whose mean and spread differ from picture to picture and from channel to channel."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator)
    channel = torch.arange(1.0, shape[1] + 1).view(-1, *[1] * (len(shape) - 2))
    picture = torch.arange(float(shape[0])).view(-1, *[1] * (len(shape) - 1))
    return values * channel + 3 * channel + picture


def axes_but_channel(x: Tensor) -> list[int]:
    """The axes that batch normalization averages away: all but the second."""
    return [axis for axis in range(x.ndim) if axis != 1]


class Calls(TorchFunctionMode):
    """Notes which of PyTorch's functions are called inside `with Calls() as calls`, for a task that forbids some.

    Attributes:
        names: in the order of the calls: "transpose" for `x.transpose(0, 1)`, "T" for `x.T`.
    """

    def __init__(self):
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.append(func.__self__.__name__ if func.__name__ == "__get__" else func.__name__)
        return func(*args, **(kwargs or {}))
