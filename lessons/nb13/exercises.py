"""The exercises of notebook 13: normalizing over other axes."""

import torch
from torch import Tensor

from utils.exercises.definitions import Code

__all__ = ["EXERCISES"]

EPS = 1e-5
Axes = tuple[int, ...]


def normalized(x: Tensor, dims: Axes, correction: int = 0, inside: float = EPS, outside: float = 0.0) -> Tensor:
    """With an ε added to the variance, inside the root, and one to the root."""
    root = (x.var(dims, keepdim=True, correction=correction) + inside).sqrt()
    return (x - x.mean(dims, keepdim=True)) / (root + outside)


def made_up(*shape: int, seed: int = 0) -> Tensor:
    """Values whose mean and spread differ along every axis."""
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    for axis, size in enumerate(shape):
        steps = torch.arange(float(size)).view(-1, *[1] * (len(shape) - 1 - axis))
        x = x * (1 + steps / 4) + (axis + 1) * steps / 2
    return x


def texts(*shape: int, seed: int = 0) -> Tensor:
    """Made-up tokens. Of the first text, the values of the first are so close that ε counts; the last is padding."""
    x = made_up(*shape, seed=seed)
    x[0, 0] *= 0.002
    x[0, -1] = 0
    return x


def faint(*shape: int, seed: int = 0) -> Tensor:
    """Pictures, of which the last is so faint that ε counts."""
    x = made_up(*shape, seed=seed)
    x[-1] *= 0.001
    return x


def cut(x: Tensor, size: int) -> Tensor:
    return x.unflatten(3, (-1, size)).unflatten(2, (-1, size))


def joined(patches: Tensor) -> Tensor:
    return patches.flatten(4, 5).flatten(2, 3)


def by_patches(x: Tensor, size: int, dims: Axes = (1, 3, 5), **how: float) -> Tensor:
    return joined(normalized(cut(x, size), dims, **how))


def interleaved(x: Tensor, size: int) -> Tensor:
    return joined(normalized(x.unflatten(3, (size, -1)).unflatten(2, (size, -1)), (1, 2, 4)))


def not_put_back(x: Tensor, size: int) -> Tensor:
    rows = cut(x, size).permute(0, 2, 4, 1, 3, 5)  # (N, H / size, W / size, C, size, size)
    return normalized(rows, (3, 4, 5)).reshape(x.shape)


OUTSIDE = {"inside": 0.0, "outside": EPS}

EXERCISES = {
    "tokens": Code(
        truth=lambda x: normalized(x, (2,)),
        cases=lambda: {
            "two texts of five tokens with six channels, (2, 5, 6)": (texts(2, 5, 6),),
            "four texts of four tokens with four channels, (4, 4, 4)": (texts(4, 4, 4, seed=1),),
        },
        axes=("text", "token", "channel"),
        mistakes={
            "axes_of_pictures": lambda x: normalized(x, (1,)),
            "whole_text": lambda x: normalized(x, (1, 2)),
            "n_minus_1": lambda x: normalized(x, (2,), correction=1),
            "eps_outside": lambda x: normalized(x, (2,), **OUTSIDE),
            "both": lambda x: normalized(x, (2,), correction=1, **OUTSIDE),
            "no_eps": lambda x: normalized(x, (2,), inside=0.0),
        },
    ),
    "patch-by-patch": Code(
        truth=by_patches,
        cases=lambda: {
            "two pictures of 6 × 4 places, patches of 2 × 2": (made_up(2, 3, 6, 4), 2),
            "three pictures of 3 × 9 places, patches of 3 × 3": (faint(3, 2, 3, 9, seed=1), 3),
        },
        axes=("picture", "channel", "row", "column"),
        mistakes={
            "across_patches": lambda x, size: by_patches(x, size, (1, 2, 4)),
            "interleaved": interleaved,
            "each_channel": lambda x, size: by_patches(x, size, (3, 5)),
            "not_joined": lambda x, size: normalized(cut(x, size), (1, 3, 5)),
            "not_put_back": not_put_back,
            "n_minus_1": lambda x, size: by_patches(x, size, correction=1),
            "eps_outside": lambda x, size: by_patches(x, size, **OUTSIDE),
        },
    ),
}
