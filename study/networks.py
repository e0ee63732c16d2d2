"""The networks of the study: a stack of convolutions, the same with skips; and how they start."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from study.normalizations import DROPOUT, StandardizedConv2d, norm_layer
from utils.models import initialize

__all__ = ["Block", "Layer", "Stack", "build", "learning", "residual", "start_by_data"]

TOLERANCE, TRIES = 0.02, 10  # of a start by data


class Layer(nn.Module):
    """A 3x3 convolution, a normalization or none, and a ReLU; without a normalization the convolution has a bias."""

    def __init__(self, ni: int, nf: int, stride: int, settings: Mapping[str, Any], relu: bool = True):
        super().__init__()
        make = norm_layer(settings)
        kind = StandardizedConv2d if settings["norm"] == "weights" else nn.Conv2d
        self.conv = kind(ni, nf, 3, stride, 1, bias=make is None)
        self.norm = make(nf) if make else nn.Identity()
        self.norm_first, self.relu = settings["norm_first"], relu
        self.drop = nn.Dropout(DROPOUT) if settings["dropout"] == "behind" and relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if not self.relu:
            return self.norm(x)
        return self.drop(F.relu(self.norm(x)) if self.norm_first else self.norm(F.relu(x)))


class Block(nn.Module):
    """x + branch(x), then a ReLU; the branch is two layers, the shortcut pools and pads with zero channels.

    With SkipInit (De & Smith 2020) the branch is multiplied by one learned number that starts at 0.
    """

    def __init__(self, ni: int, nf: int, stride: int, settings: Mapping[str, Any]):
        super().__init__()
        self.branch = nn.Sequential(Layer(ni, nf, stride, settings), Layer(nf, nf, 1, settings, relu=False))
        self.stride, self.more = stride, nf - ni
        self.strength = nn.Parameter(torch.zeros(())) if settings["branch"] == "skipinit" else None

    def forward(self, x: Tensor) -> Tensor:
        branch = self.branch(x)
        shortcut = F.avg_pool2d(x, self.stride, ceil_mode=True) if self.stride > 1 else x
        shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.more))
        return F.relu(shortcut + (branch if self.strength is None else self.strength * branch))


class Stack(nn.Module):
    """Layers, global average pooling, one linear layer: what `utils.models.ConvNet` is, with the study's layers."""

    def __init__(self, layers: list[nn.Module], width: int):
        super().__init__()
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).mean((2, 3)))


def residual(settings: Mapping[str, Any]) -> Stack:
    """One convolution, then blocks of two, shared out over the stages as evenly as possible, later stages first."""
    widths, blocks = settings["widths"], (settings["depth"] - 1) // 2
    each, extra = divmod(blocks, len(widths))
    layers: list[nn.Module] = [Layer(3, widths[0], settings["first_stride"], settings)]
    ni = widths[0]
    for stage, width in enumerate(widths):
        for i in range(each + (stage >= len(widths) - extra)):
            layers.append(Block(ni, width, 2 if i == 0 and stage > 0 else 1, settings))
            ni = width
    return Stack(layers, ni)


def build(settings: Mapping[str, Any], seed: int) -> Stack:
    """The network of an arm, with the weights of a seed.

    Args:
        settings: of the arm.
        seed: the same seed gives the same convolutions in every arm of one depth and width.
    """
    torch.manual_seed(seed)
    if settings["skips"]:
        model = residual(settings)
    else:
        widths, layers, ni = settings["widths"], [], 3
        each, extra = divmod(settings["depth"], len(widths))
        for stage, width in enumerate(widths):
            for i in range(each + (stage >= len(widths) - extra)):
                stride = (2 if stage else settings["first_stride"]) if i == 0 else 1
                layers.append(Layer(ni, width, stride, settings))
                ni = width
        model = Stack(layers, ni)
    initialize(model, "default" if settings["init"] == "default" else "he", seed)
    if settings["gamma"] == "uniform":
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight)
    return model


@torch.no_grad()
def start_by_data(model: Stack, images: Tensor) -> None:
    """Layer-sequential unit-variance start, in place (Mishkin & Matas 2016, algorithm 1).

    Each convolution becomes orthonormal, its bias zero; then from the first to the last it is divided by the standard
    deviation of its output on these images until that is 1. (The last layer, which they treat alike, keeps its start.)

    Args:
        model: without skips and without normalization.
        images: one batch, (N, 3, H, W).
    """
    x = images
    for layer in model.layers:
        nn.init.orthogonal_(layer.conv.weight)
        layer.conv.bias.zero_()
        for _ in range(TRIES):
            std = layer.conv(x).std()
            if abs(std - 1) < TOLERANCE:
                break
            layer.conv.weight /= std
        x = layer(x)


def learning(model: Stack, settings: Mapping[str, Any], seed: int) -> tuple[list[nn.Parameter], Callable[[], None]]:
    """The parameters that learn, and what must be called between backward and step.

    With `learns = "two"`, two weights of each output channel's kernel learn; the gradient of the others is set to zero.
    """
    kind, norms = settings["learns"], [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    if kind == "all":
        return list(model.parameters()), lambda: None
    if kind == "affine":
        return [p for norm in norms for p in (norm.weight, norm.bias)], lambda: None
    if kind == "head":
        return list(model.head.parameters()), lambda: None
    generator = torch.Generator().manual_seed(seed)
    weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
    masks = []
    for weight in weights:
        chosen = torch.rand(weight.flatten(1).shape, generator=generator).topk(2, 1).indices
        mask = torch.zeros_like(weight.flatten(1)).scatter_(1, chosen.to(weight.device), 1.0)
        masks.append(mask.view_as(weight))

    def only_those() -> None:
        for weight, mask in zip(weights, masks, strict=True):
            weight.grad *= mask

    return weights, only_those
