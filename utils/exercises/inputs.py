"""Made-up inputs on which the exercises of several lessons try an answer."""

import torch
from torch import Tensor

__all__ = ["axes_but_channel", "pictures"]


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
