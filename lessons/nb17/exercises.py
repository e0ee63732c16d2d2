"""The exercises of notebook 17: batch normalization in production."""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable, described

__all__ = ["EXERCISES"]

Norm = nn.BatchNorm1d | nn.BatchNorm2d


@torch.no_grad()
def made_norm(kind: type[Norm], channels: int, generator: torch.Generator) -> Norm:
    """One in evaluation mode, whose six numbers a channel all matter; ε is large enough to be missed."""
    norm = kind(channels, eps=0.05)
    for tensor, low, high in (
        (norm.weight, 0.5, 2.0),
        (norm.bias, -1.0, 1.0),
        (norm.running_mean, 1.0, 2.0),
        (norm.running_var, 0.1, 0.6),
    ):
        tensor.copy_(low + (high - low) * torch.rand(channels, generator=generator))
    return norm.eval()


@torch.no_grad()
def filled(layer: nn.Linear | nn.Conv2d, generator: torch.Generator) -> nn.Linear | nn.Conv2d:
    for parameter in layer.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return layer.eval()


def scale_of(norm: Norm, eps: float | None = None) -> Tensor:
    """What the normalization multiplies by in evaluation mode."""
    return norm.weight / (norm.running_var + (norm.eps if eps is None else eps)).sqrt()


def bias_of(layer: nn.Linear | nn.Conv2d) -> Tensor:
    return torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias


@torch.no_grad()
def try_folding(answer, first: nn.Module, second: nn.Module, x: Tensor) -> dict:
    """What the folded layer makes of x, and whether the two that it was made of are what they were."""
    kind = nn.Linear if isinstance(first, nn.Linear) else nn.Conv2d
    pair = nn.ModuleList([first, second])
    before, modes = deepcopy(pair.state_dict()), [module.training for module in pair]
    folded = answer(first, second)
    if not isinstance(folded, kind):
        raise Unusable(f"Return one `nn.{kind.__name__}`; this is {described(folded)}")
    after = pair.state_dict()
    same = before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    return {
        "output": kind.forward(folded, x),  # of its weight and bias, whatever else the layer calls
        "given layers": "as they were" if same else "changed",
        "mode of the given layers": "as it was" if modes == [module.training for module in pair] else "changed",
    }


# --- into-a-linear-layer


def linear_and_norm(inputs: int, outputs: int, bias: bool, seed: int) -> tuple[nn.Linear, nn.BatchNorm1d, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    linear = filled(nn.Linear(inputs, outputs, bias=bias), generator)
    return linear, made_norm(nn.BatchNorm1d, outputs, generator), torch.randn(4, inputs, generator=generator)


def folding_linear(
    weight: Callable = lambda w, scale: w * scale[:, None],
    bias: Callable = lambda b, mean, scale, beta: (b - mean) * scale + beta,
    eps: float | None = None,
) -> Callable[[nn.Linear, nn.BatchNorm1d], nn.Linear]:
    """An answer, whose new weight and bias a mistake may replace."""

    @torch.no_grad()
    def fold(linear: nn.Linear, norm: nn.BatchNorm1d) -> nn.Linear:
        scale = scale_of(norm, eps)
        folded = nn.Linear(linear.in_features, linear.out_features)
        folded.weight.copy_(weight(linear.weight, scale))
        folded.bias.copy_(bias(bias_of(linear), norm.running_mean, scale, norm.bias))
        return folded

    return fold


def linear_in_place(linear: nn.Linear, norm: nn.BatchNorm1d) -> nn.Linear:
    folded = folding_linear()(linear, norm)
    linear.weight, linear.bias = folded.weight, folded.bias
    return linear


# --- forwards


def norm_and_conv(inputs: int, outputs: int, bias: bool, seed: int) -> tuple[nn.BatchNorm2d, nn.Conv2d, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    conv = filled(nn.Conv2d(inputs, outputs, 1, bias=bias), generator)
    return made_norm(nn.BatchNorm2d, inputs, generator), conv, torch.randn(2, inputs, 2, 3, generator=generator)


def folding_forwards(
    weight: Callable = lambda w, scale: w * scale,
    bias: Callable = lambda w, b, scale, shift: w @ shift + b,
    eps: float | None = None,
) -> Callable[[nn.BatchNorm2d, nn.Conv2d], nn.Conv2d]:
    """An answer, whose new weight, (C, C_in), and bias a mistake may replace."""

    @torch.no_grad()
    def fold(norm: nn.BatchNorm2d, conv: nn.Conv2d) -> nn.Conv2d:
        scale, w = scale_of(norm, eps), conv.weight[:, :, 0, 0]
        folded = nn.Conv2d(conv.in_channels, conv.out_channels, 1)
        folded.weight.copy_(weight(w, scale)[:, :, None, None])
        folded.bias.copy_(bias(w, bias_of(conv), scale, norm.bias - norm.running_mean * scale))
        return folded

    return fold


def conv_in_place(norm: nn.BatchNorm2d, conv: nn.Conv2d) -> nn.Conv2d:
    folded = folding_forwards()(norm, conv)
    conv.weight, conv.bias = folded.weight, folded.bias
    return conv


EXERCISES = {
    "into-a-linear-layer": Code(
        truth=folding_linear(),
        trial=try_folding,
        cases=lambda: {
            "three inputs, three outputs, with a bias": linear_and_norm(3, 3, True, 0),
            "four inputs, two outputs, without a bias": linear_and_norm(4, 2, False, 1),
        },
        axes=("picture", "output"),
        mistakes={
            "columns": folding_linear(weight=lambda w, scale: w * scale),
            "bias_forgotten": folding_linear(bias=lambda b, mean, scale, beta: beta - mean * scale),
            "bias_not_scaled": folding_linear(bias=lambda b, mean, scale, beta: b + beta - mean * scale),
            "mean_not_scaled": folding_linear(bias=lambda b, mean, scale, beta: b * scale + beta - mean),
            "no_eps": folding_linear(eps=0.0),
            "given_layer_changed": linear_in_place,
        },
    ),
    "forwards": Code(
        truth=folding_forwards(),
        trial=try_folding,
        cases=lambda: {
            "three channels in, three out, with a bias": norm_and_conv(3, 3, True, 0),
            "two channels in, four out, without a bias": norm_and_conv(2, 4, False, 1),
        },
        axes=("picture", "channel", "row", "column"),
        mistakes={
            "backwards": folding_forwards(lambda w, scale: w * scale[:, None], lambda w, b, s, t: b * s + t),
            "shift_not_convolved": folding_forwards(bias=lambda w, b, scale, shift: b + shift),
            "scaled_twice": folding_forwards(bias=lambda w, b, scale, shift: (w * scale) @ shift + b),
            "bias_forgotten": folding_forwards(bias=lambda w, b, scale, shift: w @ shift),
            "no_eps": folding_forwards(eps=0.0),
            "given_layer_changed": conv_in_place,
        },
    ),
}
