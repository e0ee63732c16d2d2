"""The normalizations that the study compares, each made from a number of channels, and what is put around them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Ghosts", "Noise", "Renorm", "RootMeanSquare", "SquashedLinear", "StandardizedConv2d", "norm_layer"]

GROUP = 4  # channels in a group
# Behind each normalization, anew at each step: for each channel a mean within ± and a deviation between 1 and the
# second, and each activation's own around them (Santurkar et al. 2018, A.2.1, algorithm 1; the stronger is ours).
NOISE = {"moderate": (0.5, 1.25), "strong": (1.0, 2.0)}
AROUND = 0.1
DROPOUT = 0.1


class Ghosts(nn.BatchNorm2d):
    """Batch normalization over groups of `size` pictures of a batch (Hoffer et al. 2017); evaluation as usual.

    A rest smaller than `size` joins the last group. Shape: (N, C, H, W) → the same.
    """

    def __init__(self, num_features: int, size: int):
        super().__init__(num_features)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or len(x) < 2 * self.size:
            return super().forward(x)
        groups = list(x.split(self.size))
        if len(groups[-1]) < self.size:
            groups[-2:] = [torch.cat(groups[-2:])]
        return torch.cat([super(Ghosts, self).forward(group) for group in groups])


class Renorm(nn.BatchNorm2d):
    """Forward by the running statistics, backward as by the batch's: batch renormalization without bounds.

    x̂ = (x - μ)/σ · r + d with r = σ/σ_run and d = (μ - μ_run)/σ_run as constants (Ioffe 2017, section 3), which is
    (x - μ_run)/σ_run: what a picture becomes does not depend on its companions, and the gradient sees the batch's
    statistics. The running statistics are those before this batch; in the first step, its own.

    Shape: (N, C, H, W) → the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        var, mean = torch.var_mean(x, (0, 2, 3), unbiased=False)
        with torch.no_grad():
            first = self.num_batches_tracked == 0
            self.num_batches_tracked += 1
            before = [torch.where(first, now, old) for now, old in ((mean, self.running_mean), (var, self.running_var))]
            running = (before[1] + self.eps).sqrt()
            r, d = (var + self.eps).sqrt() / running, (mean - before[0]) / running
            share = self.momentum or 1 / self.num_batches_tracked.item()  # None: the plain average
            self.running_mean.copy_(before[0].lerp(mean, share))
            self.running_var.copy_(before[1].lerp(var, share))
        normal = (x - _column(mean)) * _column((var + self.eps).rsqrt())
        return (normal * _column(r) + _column(d)) * _column(self.weight) + _column(self.bias)


class RootMeanSquare(nn.Module):
    """Each picture over the root mean square of all its values, then γ and β a channel (Zhang & Sennrich 2019)."""

    def __init__(self, num_features: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))

    def forward(self, x: Tensor) -> Tensor:
        scale = (x.square().mean((1, 2, 3), keepdim=True) + self.eps).rsqrt()
        return x * scale * _column(self.weight) + _column(self.bias)


class SquashedLinear(nn.Module):
    """Dynamic tanh: γ · tanh(αx) + β, α one number (Zhu et al. 2025).

    It starts at 1, which notebook 13 found to be better than their 0.5.
    """

    def __init__(self, num_features: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(1.0))
        self.weight, self.bias = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.alpha * x) * _column(self.weight) + _column(self.bias)


class StandardizedConv2d(nn.Conv2d):
    """A convolution whose weights are standardized for each output channel before use, with a gain (Brock et al. 2021).

    W → g · (W - mean)/std · √(2/fan_in), so that a He-started network keeps its variance; g is learned.
    """

    def __init__(self, *settings: Any, **more: Any):
        super().__init__(*settings, **more)
        self.gain = nn.Parameter(torch.ones(self.out_channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        fan_in = self.weight[0].numel()
        var, mean = torch.var_mean(self.weight, (1, 2, 3), unbiased=False, keepdim=True)
        weight = (self.weight - mean) * (var + 1e-8).rsqrt() * (2 / fan_in) ** 0.5 * self.gain
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class Noise(nn.Module):
    """In training, x · s + m, with s and m drawn for each activation around values of its channel."""

    def __init__(self, strength: str):
        super().__init__()
        self.mean, self.std = NOISE[strength]

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        means = torch.empty_like(x[:1, :, :1, :1]).uniform_(-self.mean, self.mean)  # (1, C, 1, 1)
        stds = torch.empty_like(means).uniform_(1, self.std)
        shift = means + torch.empty_like(x).uniform_(-AROUND, AROUND)
        # In the order in which the pictures lie in memory: so drawn, normal numbers take an eighth of the time.
        normal = torch.randn(x.permute(0, 2, 3, 1).shape, dtype=x.dtype, device=x.device).permute(0, 3, 1, 2)
        scale = stds + AROUND * normal
        return x * scale + shift


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1)


def norm_layer(settings: Mapping[str, Any]) -> Callable[[int], nn.Module] | None:
    """What makes the normalization of an arm from a number of channels; None for none (or for weights' own)."""
    kind = settings["norm"]
    makers: dict[str, Callable[[int], nn.Module]] = {
        "batch": nn.BatchNorm2d,
        "group": lambda channels: nn.GroupNorm(max(1, channels // GROUP), channels),
        "layer": lambda channels: nn.GroupNorm(1, channels),
        "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
        "rms": RootMeanSquare,
        "tanh": SquashedLinear,
    }
    if kind not in makers:
        return None
    make = makers[kind]
    if settings["ghost"]:
        make = lambda channels: Ghosts(channels, settings["ghost"])  # noqa: E731
    if settings["renorm"]:
        make = Renorm

    def made(channels: int) -> nn.Module:
        parts = [make(channels)]
        if settings["dropout"] == "before":
            parts.insert(0, nn.Dropout(DROPOUT))
        if settings["noise"]:
            parts.append(Noise(settings["noise"]))
        return parts[0] if len(parts) == 1 else nn.Sequential(*parts)

    return made
