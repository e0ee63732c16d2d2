"""The layers that the notebooks build.

`FirstBatchNorm2d` and `FirstBnLayer` are what notebook 02 writes, faults included. `BatchNorm2d` and `BnLayer` are the
same, mended. `ConvLayer` is the same convolution and ReLU with any normalization, or none.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BatchNorm2d", "BnLayer", "ConvLayer", "FirstBatchNorm2d", "FirstBnLayer"]


class FirstBatchNorm2d(nn.Module):
    """Batch normalization as the course first writes it (notebook 02).

    Each channel minus its mean over the batch, divided by its standard deviation, times `m`, plus `a`. The statistics
    are taken in training; in evaluation the last ones are used again. PyTorch calls `m` weight (γ) and `a` bias (β).

    Args:
        num_features: the number of channels, C.

    Shape: input and output (N, C, H, W).

    Known faults, on purpose: there is no eps, the standard deviation is the unbiased one, only the last batch is
    remembered, and what is remembered is no buffer. Evaluating before any training raises `AttributeError`.

    After Ioffe & Szegedy (2015), algorithm 1, without its ε and without algorithm 2.
    """

    def __init__(self, num_features: int):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(num_features, 1, 1))
        self.m = nn.Parameter(torch.ones(num_features, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            values = x.transpose(0, 1).contiguous().view(x.shape[1], -1)  # (C, N·H·W): one row a channel
            self.means = values.mean(1)[:, None, None]  # (C, 1, 1)
            self.stds = values.std(1)[:, None, None]
        return (x - self.means) / self.stds * self.m + self.a


class FirstBnLayer(nn.Module):
    """A bias-free convolution, ReLU, then the first batch normalization: what the course starts from (notebook 02).

    Args:
        ni: channels that come in.
        nf: channels that go out.
        stride: of the convolution.
        kernel_size: of the convolution; the padding is 1 whatever it is (a fault, mended in notebook 05).

    Shape: (N, ni, H, W) → (N, nf, H', W') with H' = ⌊(H + 2 - kernel_size) / stride⌋ + 1.
    """

    def __init__(self, ni: int, nf: int, stride: int = 2, kernel_size: int = 3):
        super().__init__()
        self.conv = nn.Conv2d(ni, nf, kernel_size, stride=stride, padding=1, bias=False)
        self.norm = FirstBatchNorm2d(nf)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.relu(self.conv(x)))


class BatchNorm2d(nn.Module):
    """Batch normalization, written out, with PyTorch's names and defaults: equal to `nn.BatchNorm2d` (notebook 05).

    Args:
        num_features: the number of channels, C.
        eps: added to the variance, so that a channel without spread is not divided by zero.
        momentum: weight of the newest batch in the running statistics; None for the plain average of all batches.
        affine: learn `weight` (γ) and `bias` (β).
        track_running_stats: keep running statistics for evaluation; without, every batch is normalized by its own.
        device, dtype: of the parameters and buffers.

    Shape: (N, C), (N, C, L) or (N, C, H, W), any number of places; the same comes out.

    Raises:
        ValueError: the input has not C channels, is not floating point, or has a single value (or none) in a channel
            that is to be normalized by its batch.

    Ioffe & Szegedy (2015), algorithms 1 and 2; for the moving averages, PyTorch's conventions.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        like = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.ones(num_features, **like)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features, **like)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features, **like) if track_running_stats else None)
        self.register_buffer("running_var", torch.ones(num_features, **like) if track_running_stats else None)
        batches = torch.tensor(0, dtype=torch.long, device=device) if track_running_stats else None
        self.register_buffer("num_batches_tracked", batches)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] != self.num_features:
            raise ValueError(f"expected (N, {self.num_features}, ...), channels second; given: {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ValueError(f"expected floating-point numbers; given: {x.dtype}")
        column = (-1, *[1] * (x.ndim - 2))  # (C, 1, 1) for pictures: one number a channel, broadcast over the places
        values = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x  # sums need more digits than these have

        if self.training or self.running_mean is None:
            count, mean, var = self._statistics(values)
            if self.training and self.running_mean is not None:
                self._update_running(mean, var * count / (count - 1))  # unbiased: it estimates all the data's
        else:
            mean, var = self.running_mean, self.running_var

        normalized = (values - mean.view(column)) / (var + self.eps).sqrt().view(column)
        if self.affine:
            normalized = normalized * self.weight.view(column) + self.bias.view(column)
        return normalized.to(x.dtype)

    def _statistics(self, values: Tensor) -> tuple[int, Tensor, Tensor]:
        """How many values a channel has in this batch, their mean (C,) and their biased variance (C,)."""
        count = values.numel() // max(1, self.num_features)
        if count < 2:
            raise ValueError(f"a channel needs more than one value to be normalized; given: {tuple(values.shape)}")
        dims = (0, *range(2, values.ndim))
        mean = values.mean(dims, keepdim=True)  # (1, C, 1, 1)
        var = (values - mean).square().mean(dims)  # (C,), divided by the count: biased
        return count, mean.flatten(), var

    @torch.no_grad()  # what is remembered must not hold on to the graph of the step it came from
    def _update_running(self, mean: Tensor, var: Tensor) -> None:
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.mul_(1 - share).add_(mean, alpha=share)
        self.running_var.mul_(1 - share).add_(var, alpha=share)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BnLayer(nn.Module):
    """A bias-free convolution, ReLU and batch normalization: the course's layer, finished (notebook 05).

    Args:
        ni: channels that come in.
        nf: channels that go out.
        stride: of the convolution.
        kernel_size: of the convolution, odd; the padding is half of it, so that with stride 1 the size stays.
        norm_first: normalize before the ReLU (Ioffe & Szegedy 2015, section 3.2); by default after it, the order the
            course began with.

    Shape: (N, ni, H, W) → (N, nf, ⌈H / stride⌉, ⌈W / stride⌉).

    Raises:
        ValueError: an even kernel size.
    """

    def __init__(self, ni: int, nf: int, stride: int = 2, kernel_size: int = 3, norm_first: bool = False):
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"the kernel size must be odd, to have a middle; given: {kernel_size}")
        self.conv = nn.Conv2d(ni, nf, kernel_size, stride=stride, padding=kernel_size // 2, bias=False)
        self.norm = BatchNorm2d(nf)
        self.norm_first = norm_first

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.relu(self.norm(x)) if self.norm_first else self.norm(F.relu(x))


class ConvLayer(nn.Module):
    """A convolution and ReLU, with a normalization or none: `BnLayer`'s plain counterpart, same constructor.

    Args:
        ni, nf, stride, kernel_size: as in `BnLayer`.
        norm_layer: makes a normalization from a number of channels, for example `nn.BatchNorm2d`; None for none.
            With one the convolution has no bias, since the normalization would take it away again.
        norm_first: normalize before the ReLU (as Ioffe & Szegedy 2015, section 3.2) or, the course's first order,
            after it.

    Shape: as `BnLayer`.
    """

    def __init__(
        self,
        ni: int,
        nf: int,
        stride: int = 2,
        kernel_size: int = 3,
        norm_layer: Callable[[int], nn.Module] | None = None,
        norm_first: bool = False,
    ):
        super().__init__()
        padding = kernel_size // 2
        self.conv = nn.Conv2d(ni, nf, kernel_size, stride=stride, padding=padding, bias=norm_layer is None)
        self.norm = norm_layer(nf) if norm_layer else nn.Identity()
        self.norm_first = norm_first

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.relu(self.norm(x)) if self.norm_first else self.norm(F.relu(x))
