"""Batch normalization, forward and backward: the layers of the course over PyTorch's, as they are and compiled."""

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.measure import Row, in_turn, ratios
from utils.layers import BatchNorm2d
from utils.layers.collapsed import FastBatchNorm2d

__all__ = ["normalizing"]

SHAPES = ((128, 64, 32, 32), (128, 256, 8, 8), (32, 512, 4, 4))


def normalizing(quick: bool = False) -> list[Row]:
    """Written out, collapsed, and collapsed and compiled, over `nn.BatchNorm2d`."""
    shapes, repeats = (((4, 3, 4, 4),), 2) if quick else (SHAPES, 15)
    rows = []
    for shape in shapes:
        torch.compiler.reset()
        compiled = torch.compile(FastBatchNorm2d(shape[1]), dynamic=False, backend="eager" if quick else "inductor")
        arms = {
            "written out (`BatchNorm2d`)": (BatchNorm2d(shape[1]), None),
            "collapsed (`FastBatchNorm2d`)": (FastBatchNorm2d(shape[1]), None),
            "collapsed and compiled": (compiled, 1.0),
        }
        passes = {name: forward_and_back(layer, shape) for name, (layer, _) in arms.items()}
        times = in_turn({"PyTorch's": forward_and_back(nn.BatchNorm2d(shape[1]), shape), **passes}, repeats)
        for name, (_, promise) in arms.items():
            values = ratios(times[name], times["PyTorch's"])
            rows.append(Row(f"{name}, {shape}", "`nn.BatchNorm2d`", values, promise))
    return rows


def forward_and_back(layer: nn.Module, shape: tuple[int, ...]) -> Callable[[], None]:
    """A pass through the layer and back, so often that it takes milliseconds."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(1))

    def run() -> None:
        for _ in range(max(1, 2_000_000 // x.numel())):
            x.grad = None
            layer(x).backward(gradient)

    return run
