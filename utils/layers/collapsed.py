"""Batch normalization whose whole gradient is one formula: the box of notebook 06 as a function of autograd.

Left to itself, autograd goes through `utils.layers.BatchNorm2d` line by line, keeps what each line needs, and writes a
tensor as large as the input for each on the way back. Here the lines are collapsed. `torch.compile` makes loops of the
few that are left; the formula it would not find.
"""

from typing import Any

import torch
from torch import Tensor

from utils.layers.finished import BatchNorm2d

__all__ = ["FastBatchNorm2d", "Normalize"]


class Normalize(torch.autograd.Function):
    """(x - mean) / √(var + eps) · weight + bias: `Normalize.apply(x, weight, bias, eps)` → output, mean, lost, var.

    Args:
        x: floating point, shape (N, C, ...), more than one value a channel.
        weight, bias: γ and β, shape (C,); each may be None.
        eps: added to the variance.

    Returns:
        The output, shaped as x; for each channel its mean, what rounding took from the mean (x - mean has a mean of its
        own, which matters far from zero), and the biased variance. These three have no gradient, and the shape
        (1, C, 1, 1), with a 1 for each place.

    With r = 1 / √(var + eps), x̂ the normalized x, n values a channel, and means over a channel:

        ∂L/∂x = γ r (dy - mean(dy) - x̂ · mean(dy·x̂))        ∂L/∂γ = n · mean(dy·x̂)        ∂L/∂β = n · mean(dy)

    Raises:
        NotImplementedError: in forward-mode differentiation, in which `BatchNorm2d` can be used.

    Ioffe & Szegedy (2015), section 3, the chain rule, collapsed.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, ...]:
        distance, mean, lost, var = _moments(x)
        column = (-1, *[1] * (x.ndim - 2))
        factor = (var + eps).rsqrt()
        if weight is not None:
            factor = factor * weight.view(column)
        shift = -lost * factor if bias is None else bias.view(column) - lost * factor
        return torch.addcmul(shift, distance, factor), mean, lost, var

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
        x, weight, _, ctx.eps = inputs
        ctx.save_for_backward(x, weight, *output[1:])
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, lost, var = ctx.saved_tensors
        distance = x - mean
        if torch.is_grad_enabled():  # this is to be differentiated once more: mean and variance depend on x, too
            distance, mean, lost, var = _moments(x)
        r = (var + ctx.eps).rsqrt()
        xhat = (distance - lost) * r
        dims, count = (0, *range(2, x.ndim)), x.numel() // x.shape[1]
        dy_mean, dyx_mean = dy.mean(dims, keepdim=True), (dy * xhat).mean(dims, keepdim=True)
        factor = r if weight is None else r * weight.view(r.shape[1:])
        dx = factor * (dy - dy_mean - xhat * dyx_mean)
        d_weight = count * dyx_mean.flatten() if ctx.needs_input_grad[1] else None
        d_bias = count * dy_mean.flatten() if ctx.needs_input_grad[2] else None
        return dx, d_weight, d_bias, None


class FastBatchNorm2d(BatchNorm2d):
    """`BatchNorm2d` with `Normalize` in the place of its lines: the same results, faster, and compiled much faster.

    In evaluation with running statistics it is `BatchNorm2d`.

    Args, shape, errors: as `BatchNorm2d`, and those of `Normalize`.

    Ioffe & Szegedy (2015), algorithms 1 and 2; for the moving averages, PyTorch's conventions.
    """

    def forward(self, x: Tensor) -> Tensor:
        by_batch = self.training or self.running_mean is None
        if not by_batch or x.numel() <= self.num_features:  # an empty batch, or one that is refused there
            return super().forward(x)
        self._check_input_dim(x)
        values = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        out, mean, _, var = Normalize.apply(values, self.weight, self.bias, self.eps)
        if self.training and self.track_running_stats:
            count = x.numel() // self.num_features
            self._update_running(mean.flatten(), var.flatten() * (count / (count - 1)))
        return out.to(x.dtype)


def _moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x - mean, shaped as x; then (1, C, 1, 1) each: the mean, what rounding took from it, the biased variance."""
    dims = (0, *range(2, x.ndim))
    mean = x.mean(dims, keepdim=True)
    distance = x - mean
    lost = distance.mean(dims, keepdim=True)
    var = distance.square().mean(dims, keepdim=True) - lost.square()
    return distance, mean, lost, var.clamp(min=0)
