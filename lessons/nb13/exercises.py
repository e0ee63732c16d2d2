"""The exercises of notebook 13: batch normalization in production."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable

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


def scale_and_shift(norm: Norm, eps: bool = True, root: bool = True) -> tuple[Tensor, Tensor]:
    """What the normalization is in evaluation mode: scale * x + shift."""
    var = norm.running_var + (norm.eps if eps else 0)
    scale = norm.weight / (var.sqrt() if root else var)
    return scale, norm.bias - norm.running_mean * scale


def without_gamma(norm: Norm) -> Norm:
    norm = deepcopy(norm)
    nn.init.ones_(norm.weight)
    return norm


@torch.no_grad()
def observed(folded, kind: type, before: tuple, after: tuple, x: Tensor) -> dict:
    """What the folded layer makes of x, and whether the layers it was made of are what they were."""
    if not isinstance(folded, kind):
        raise Unusable(f"Return one `nn.{kind.__name__}`; this is a {type(folded).__name__}.")
    same = all(
        torch.equal(a, b)
        for one, other in zip(before, after, strict=True)
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )
    return {"output": folded(x), "given layers": "as they were" if same else "changed"}


# --- 13.2 into a linear layer


def linear_and_norm(inputs: int, outputs: int, bias: bool, seed: int) -> tuple[nn.Linear, nn.BatchNorm1d, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    linear = filled(nn.Linear(inputs, outputs, bias=bias), generator)
    return linear, made_norm(nn.BatchNorm1d, outputs, generator), torch.randn(4, inputs, generator=generator)


def try_linear(answer, linear: nn.Linear, norm: nn.BatchNorm1d, x: Tensor) -> dict:
    before = deepcopy((linear, norm))
    return observed(answer(linear, norm), nn.Linear, before, (linear, norm), x)


def as_linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def bias_of(layer: nn.Linear | nn.Conv2d) -> Tensor:
    return torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias


@torch.no_grad()
def folded_linear(linear: nn.Linear, norm: nn.BatchNorm1d, **how: bool) -> nn.Linear:
    scale, shift = scale_and_shift(norm, **how)
    return as_linear(linear.weight * scale[:, None], bias_of(linear) * scale + shift)


@torch.no_grad()
def linear_with(linear: nn.Linear, norm: nn.BatchNorm1d, weight=None, bias=None) -> nn.Linear:
    """As `folded_linear`, with another weight or bias: functions of (layer, its bias, norm, scale)."""
    scale, shift = scale_and_shift(norm)
    own = bias_of(linear)
    return as_linear(
        linear.weight * scale[:, None] if weight is None else weight(linear, own, norm, scale),
        own * scale + shift if bias is None else bias(linear, own, norm, scale),
    )


@torch.no_grad()
def linear_in_place(linear: nn.Linear, norm: nn.BatchNorm1d) -> nn.Linear:
    folded = folded_linear(linear, norm)
    linear.weight.copy_(folded.weight)
    linear.bias = folded.bias
    return linear


# --- 13.3 forwards


def norm_and_conv(inputs: int, outputs: int, bias: bool, seed: int) -> tuple[nn.BatchNorm2d, nn.Conv2d, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    conv = filled(nn.Conv2d(inputs, outputs, 1, bias=bias), generator)
    return made_norm(nn.BatchNorm2d, inputs, generator), conv, torch.randn(2, inputs, 2, 3, generator=generator)


def try_forwards(answer, norm: nn.BatchNorm2d, conv: nn.Conv2d, x: Tensor) -> dict:
    before = deepcopy((norm, conv))
    return observed(answer(norm, conv), nn.Conv2d, before, (norm, conv), x)


def as_conv(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], 1)
    layer.weight = nn.Parameter(weight.detach()[:, :, None, None].clone())
    layer.bias = nn.Parameter(bias.detach().clone())
    return layer


@torch.no_grad()
def folded_conv(norm: nn.BatchNorm2d, conv: nn.Conv2d, **how: bool) -> nn.Conv2d:
    scale, shift = scale_and_shift(norm, **how)
    weight = conv.weight[:, :, 0, 0]  # (C, C_in)
    return as_conv(weight * scale, weight @ shift + bias_of(conv))


@torch.no_grad()
def conv_with(norm: nn.BatchNorm2d, conv: nn.Conv2d, weight=None, bias=None) -> nn.Conv2d:
    """As `folded_conv`, with another weight or bias: functions of (w, b, norm, scale, shift)."""
    scale, shift = scale_and_shift(norm)
    w, b = conv.weight[:, :, 0, 0], bias_of(conv)
    return as_conv(
        w * scale if weight is None else weight(w, b, norm, scale, shift),
        w @ shift + b if bias is None else bias(w, b, norm, scale, shift),
    )


@torch.no_grad()
def backwards(norm: nn.BatchNorm2d, conv: nn.Conv2d) -> nn.Conv2d:
    scale, shift = scale_and_shift(norm)
    return as_conv(conv.weight[:, :, 0, 0] * scale[:, None], bias_of(conv) * scale + shift)


@torch.no_grad()
def conv_in_place(norm: nn.BatchNorm2d, conv: nn.Conv2d) -> nn.Conv2d:
    folded = folded_conv(norm, conv)
    conv.weight.copy_(folded.weight)
    conv.bias = folded.bias
    return conv


EXERCISES = {
    "into-a-linear-layer": Code(
        truth=folded_linear,
        trial=try_linear,
        cases=lambda: {
            "three inputs, three outputs, with a bias": linear_and_norm(3, 3, True, 0),
            "four inputs, two outputs, without a bias": linear_and_norm(4, 2, False, 1),
        },
        axes=("picture", "output"),
        mistakes={
            "columns": lambda linear, norm: linear_with(
                linear, norm, weight=lambda layer, b, n, scale: layer.weight * scale
            ),
            "bias_forgotten": lambda linear, norm: linear_with(
                linear, norm, bias=lambda layer, b, n, scale: n.bias - n.running_mean * scale
            ),
            "bias_not_scaled": lambda linear, norm: linear_with(
                linear, norm, bias=lambda layer, b, n, scale: n.bias + b - n.running_mean * scale
            ),
            "mean_not_scaled": lambda linear, norm: linear_with(
                linear, norm, bias=lambda layer, b, n, scale: n.bias + b * scale - n.running_mean
            ),
            "beta_forgotten": lambda linear, norm: linear_with(
                linear, norm, bias=lambda layer, b, n, scale: (b - n.running_mean) * scale
            ),
            "mean_added": lambda linear, norm: linear_with(
                linear, norm, bias=lambda layer, b, n, scale: n.bias + (b + n.running_mean) * scale
            ),
            "gamma_forgotten": lambda linear, norm: folded_linear(linear, without_gamma(norm)),
            "variance": lambda linear, norm: folded_linear(linear, norm, root=False),
            "no_eps": lambda linear, norm: folded_linear(linear, norm, eps=False),
            "weight_only": lambda linear, norm: linear_with(linear, norm, bias=lambda layer, b, n, scale: b),
            "given_layer_changed": linear_in_place,
        },
    ),
    "forwards": Code(
        truth=folded_conv,
        trial=try_forwards,
        cases=lambda: {
            "three channels in, three out, with a bias": norm_and_conv(3, 3, True, 0),
            "two channels in, four out, without a bias": norm_and_conv(2, 4, False, 1),
        },
        axes=("picture", "channel", "row", "column"),
        mistakes={
            "backwards": backwards,
            "rows": lambda norm, conv: conv_with(norm, conv, weight=lambda w, b, n, scale, shift: w * scale[:, None]),
            "shift_not_convolved": lambda norm, conv: conv_with(
                norm, conv, bias=lambda w, b, n, scale, shift: b + shift
            ),
            "scaled_twice": lambda norm, conv: conv_with(
                norm, conv, bias=lambda w, b, n, scale, shift: b + (w * scale) @ shift
            ),
            "bias_forgotten": lambda norm, conv: conv_with(norm, conv, bias=lambda w, b, n, scale, shift: w @ shift),
            "weight_only": lambda norm, conv: conv_with(norm, conv, bias=lambda w, b, n, scale, shift: b),
            "beta_forgotten": lambda norm, conv: conv_with(
                norm, conv, bias=lambda w, b, n, scale, shift: b - w @ (n.running_mean * scale)
            ),
            "mean_forgotten": lambda norm, conv: conv_with(
                norm, conv, bias=lambda w, b, n, scale, shift: b + w @ n.bias
            ),
            "mean_not_scaled": lambda norm, conv: conv_with(
                norm, conv, bias=lambda w, b, n, scale, shift: b + w @ (n.bias - n.running_mean)
            ),
            "variance": lambda norm, conv: folded_conv(norm, conv, root=False),
            "no_eps": lambda norm, conv: folded_conv(norm, conv, eps=False),
            "given_layer_changed": conv_in_place,
        },
    ),
}
