"""A correct batch normalization in small steps, each of which a fault may override."""

import torch
from torch import Tensor, nn

__all__ = ["CorrectBatchNorm"]


class CorrectBatchNorm(nn.Module):
    """A correct batch normalization in small steps, each of which a fault may override.

    Args:
        num_features: the number of channels, C.
        eps: added to the variance.
        momentum: weight of the newest batch in the running statistics.

    Shape: (N, C, ...) → the same.

    Raises:
        ValueError: not C channels; in training, no value or a single one a channel; an eps that is not positive.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        if eps <= 0:
            raise ValueError(f"eps must be positive, given: {eps}")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.make_parameters()
        self.make_statistics()

    def make_parameters(self) -> None:
        self.weight = nn.Parameter(torch.ones(self.num_features))
        self.bias = nn.Parameter(torch.zeros(self.num_features))

    def make_statistics(self) -> None:
        self.register_buffer("running_mean", torch.zeros(self.num_features))
        self.register_buffer("running_var", torch.ones(self.num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        values = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        if self.learns():
            mean, var = self.statistics(values)
            self.update(mean, var, x.numel() // x.shape[1])
        else:
            mean, var = self.remembered(values)
        return self.scale(self.normalize(values, mean, var)).to(x.dtype)

    def check(self, x: Tensor) -> None:
        if x.ndim < 2 or x.shape[1] != self.num_features:
            raise ValueError(f"expected (N, {self.num_features}, ...), given: {tuple(x.shape)}")
        if self.training and x.numel() <= x.shape[1]:
            raise ValueError(f"in training a channel needs more than one value, given: {tuple(x.shape)}")

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"

    def learns(self) -> bool:
        """Whether to use, and remember, the batch's own statistics."""
        return self.training

    def dims(self, x: Tensor) -> tuple[int, ...]:
        """The dimensions to average over: all but the channels."""
        return (0, *range(2, x.ndim))

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance, with dimensions of size 1 where x was averaged: (1, C, 1, 1)."""
        mean = x.mean(self.dims(x), keepdim=True)
        return mean, (x - mean).square().mean(self.dims(x), keepdim=True)

    @torch.no_grad()
    def update(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Remember the statistics of a batch with `count` values a channel."""
        self.num_batches_tracked += 1
        for running, new in ((self.running_mean, mean), (self.running_var, self.lasting(var, count))):
            running.lerp_(new.flatten().to(running.dtype), self.share())

    def share(self) -> float:
        """The weight of the newest batch in the running statistics."""
        return self.momentum

    def lasting(self, var: Tensor, count: int) -> Tensor:
        """The variance to remember: unbiased, since it estimates that of all the data."""
        return var * count / (count - 1)

    def remembered(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The running mean and variance, in a shape that broadcasts against x."""
        return self.column(self.running_mean, x), self.column(self.running_var, x)

    def normalize(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return (x - mean) / (var + self.eps).sqrt()

    def scale(self, normalized: Tensor) -> Tensor:
        return normalized * self.column(self.weight, normalized) + self.column(self.bias, normalized)

    def column(self, values: Tensor, x: Tensor) -> Tensor:
        """(C,) → (C, 1, 1) for pictures: one number a channel, broadcast over the places."""
        return values.view(-1, *[1] * (x.ndim - 2))
