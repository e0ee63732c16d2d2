"""The combinations of faults that six published from-scratch layers show, written afresh."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["PUBLISHED", "Published"]


class LastBatchUnbiasedNoEps(nn.Module):
    """Unbiased, without eps, with the last batch in plain attributes: as this course's first layer.

    The faults are those of fast.ai's lesson 7 of 2018, from which the course starts. They are shown here without the
    convolution.
    """

    def __init__(self, num_features: int):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(num_features, 1, 1))
        self.scale = nn.Parameter(torch.ones(num_features, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.center = x.mean((0, 2, 3))[:, None, None]
            self.spread = x.std((0, 2, 3))[:, None, None]
        return (x - self.center) / self.spread * self.scale + self.shift


class UnbiasedDetached(nn.Module):
    """Unbiased, and the statistics under no_grad; the running variance is right.

    The faults are those of fast.ai's courses of 2019 (`07_batchnorm`) and 2022 (`11_initializing`).
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.mult = nn.Parameter(torch.ones(num_features, 1, 1))
        self.add = nn.Parameter(torch.zeros(num_features, 1, 1))
        self.register_buffer("mean", torch.zeros(1, num_features, 1, 1))
        self.register_buffer("var", torch.ones(1, num_features, 1, 1))

    @torch.no_grad()
    def observe(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True)
        self.mean += self.momentum * (mean - self.mean)
        self.var += self.momentum * (var - self.var)
        return mean, var

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.observe(x) if self.training else (self.mean, self.var)
        return self.mult * (x - mean) / (var + self.eps).sqrt() + self.add


class GradModeBiasedUnregistered(nn.Module):
    """Mode from `is_grad_enabled()`, biased running variance, statistics as plain attributes.

    The faults are those of the from-scratch layer in Dive into Deep Learning (`batch-norm.md`).
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.gamma = nn.Parameter(torch.ones(1, num_features, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, num_features, 1, 1))
        self.mean, self.var = torch.zeros(1, num_features, 1, 1), torch.ones(1, num_features, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.mean.to(x.device), self.var.to(x.device)
        if torch.is_grad_enabled():
            mean = x.mean((0, 2, 3), keepdim=True)
            var = (x - mean).square().mean((0, 2, 3), keepdim=True)
            self.mean = torch.lerp(self.mean.to(mean.dtype), mean.detach(), self.momentum)
            self.var = torch.lerp(self.var.to(var.dtype), var.detach(), self.momentum)
        return self.gamma * (x - mean) / (var + self.eps).sqrt() + self.beta


class OnePassBiasedGraphKept(nn.Module):
    """E[x²] - E[x]², biased running variance, running statistics with their graph.

    The faults are those of labml's annotated `batch_norm`.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.scale, self.shift = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("var", torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != self.num_features:
            raise ValueError(f"expected {self.num_features} channels, given: {x.shape[1]}")
        rows = x.flatten(2) if x.ndim > 2 else x[..., None]  # (N, C, P)
        mean, var = self.mean, self.var
        if self.training:
            mean = rows.mean((0, 2))
            var = rows.pow(2).mean((0, 2)) - mean.pow(2)
            self.mean = self.mean * (1 - self.momentum) + mean * self.momentum
            self.var = self.var * (1 - self.momentum) + var * self.momentum
        normalized = (rows - mean[:, None]) / (var + self.eps).sqrt()[:, None]
        return (normalized * self.scale[:, None] + self.shift[:, None]).view_as(x)


class BiasedGraphKept(nn.Module):
    """Biased running variance, running statistics with their graph.

    The faults are those of the residual-network solutions of ARENA 2.0.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.running_mean, self.running_var
        if self.training:
            var, mean = torch.var_mean(x, (0, 2, 3), correction=0)
            self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean
            self.running_var = (1 - self.momentum) * self.running_var + self.momentum * var
            self.num_batches_tracked += 1
        mean, var, weight, bias = (v[:, None, None] for v in (mean, var, self.weight, self.bias))
        return weight * (x - mean) / (var + self.eps).sqrt() + bias


class UnbiasedSilent(nn.Module):
    """Unbiased, and a silent NaN for one value a channel; the running variance is right.

    The faults are those of the layer in makemore, part 3, which takes no pictures; this one does.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.gamma, self.beta = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        dims, column = (0, *range(2, x.ndim)), (-1, *[1] * (x.ndim - 2))
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = x.mean(dims), x.var(dims)
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var, self.momentum)
        normalized = (x - mean.view(column)) / (var + self.eps).sqrt().view(column)
        return normalized * self.gamma.view(column) + self.beta.view(column)


class Published(NamedTuple):
    """A combination of faults that a published layer shows.

    Attributes:
        layer: the class, written afresh.
        source: the course, and its version.
        probes: the names of the probes that are meant for its faults.
    """

    layer: type[nn.Module]
    source: str
    probes: tuple[str, ...]


PUBLISHED: tuple[Published, ...] = (
    Published(
        LastBatchUnbiasedNoEps,
        "fast.ai 2018, lesson 7 (the first layer of this course)",
        (
            "training forward",
            "gradient of x",
            "running mean",
            "running variance",
            "constant channel",
            "eps",
            "state_dict keys",
            "save and load",
            "deepcopy",
            "eval before training",
        ),
    ),
    Published(
        UnbiasedDetached, "fast.ai 2019, 07_batchnorm; 2022, 11_initializing", ("training forward", "gradient of x")
    ),
    Published(
        GradModeBiasedUnregistered,
        "Dive into Deep Learning, batch-norm",
        ("running variance", "mode with gradients", "training without gradients", "save and load", "state_dict keys"),
    ),
    Published(OnePassBiasedGraphKept, "labml, batch_norm", ("running variance", "graph released", "large offset")),
    Published(BiasedGraphKept, "ARENA 2.0, residual networks", ("running variance", "graph released")),
    Published(UnbiasedSilent, "makemore, part 3", ("training forward", "gradient of x", "one value a channel")),
)
