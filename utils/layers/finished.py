"""The finished layers: `BatchNorm2d` and `BnLayer` are the first ones mended; `ConvLayer` takes any normalization."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["BatchNorm2d", "BnLayer", "ConvLayer"]


class BatchNorm2d(_BatchNorm):
    """Batch normalization, written out: equal to `nn.BatchNorm2d`, and to those of other dimensions (notebook 05).

    Parameters, buffers and their names are PyTorch's own, from the class that its layers are made from: so checkpoints
    fit either way, old ones too, and what looks for its layers finds this one (`torch.optim.swa_utils.update_bn`,
    `nn.SyncBatchNorm.convert_sync_batchnorm`). All that is computed stands here.

    Args:
        num_features: the number of channels, C.
        eps: added to the variance, so that a channel without spread is not divided by zero.
        momentum: weight of the newest batch in the running statistics; None for the plain average of all batches.
        affine: learn `weight` (γ) and `bias` (β).
        track_running_stats: keep running statistics for evaluation; without, every batch is normalized by its own.
        device, dtype: of the parameters and buffers.
        bias: learn `bias`, too; by keyword, in releases of PyTorch that have it.

    Shape: (N, C), (N, C, L) or (N, C, H, W), any number of places; the same comes out. An empty batch stays empty, is
    counted, and changes nothing else.

    Raises:
        ValueError: the input has not C channels or is not floating point; it has a single value in a channel that is
            to be normalized by its batch; eps is negative, or zero in training.
        RuntimeError: from PyTorch, in training under `torch.vmap`, where many batches would share one running mean.

    Ioffe & Szegedy (2015), algorithms 1 and 2; for the moving averages, PyTorch's conventions.
    """

    def forward(self, x: Tensor) -> Tensor:
        self._check_input_dim(x)
        column = (-1, *[1] * (x.ndim - 2))  # (C, 1, 1) for pictures: one number a channel, broadcast over the places
        values = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x  # sums need more digits than these have

        if self.training or self.running_mean is None:
            count, mean, var = self._statistics(values)
            if self.training and self.track_running_stats:
                if x.numel() or count:
                    self._update_running(mean, var * count / (count - 1))  # unbiased: it estimates all the data's
                else:
                    self.num_batches_tracked += 1
        else:
            mean, var = self.running_mean, self.running_var

        normalized = (values - mean.view(column)) / (var + self.eps).sqrt().view(column)
        if self.weight is not None:
            normalized = normalized * self.weight.view(column)
        if self.bias is not None:
            normalized = normalized + self.bias.view(column)
        return normalized.to(x.dtype)

    def _check_input_dim(self, x: Tensor) -> None:
        """Raise ValueError for what cannot be normalized, whatever the values are; the name is PyTorch's."""
        if x.ndim < 2 or x.shape[1] != self.num_features:
            raise ValueError(f"expected (N, {self.num_features}, ...), channels second; given: {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ValueError(f"expected floating-point numbers; given: {x.dtype}")
        if self.eps < 0 or (self.eps == 0 and self.training):
            raise ValueError(f"eps must be positive; given: {self.eps}")

    def _statistics(self, values: Tensor) -> tuple[int, Tensor, Tensor]:
        """How many values a channel has in this batch, their mean (C,) and their biased variance (C,)."""
        count = values.numel() // max(1, self.num_features)
        if count == 1:
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


class ConvLayer(nn.Module):
    """A convolution and ReLU, with a normalization or none: `BnLayer`'s plain counterpart, same constructor.

    Args:
        ni, nf, stride, kernel_size: as in `BnLayer`.
        norm_layer: makes a normalization from a number of channels, for example `nn.BatchNorm2d`; None for none.
            With one the convolution has no bias: the normalization would take it away again if it stands in front of
            the ReLU, and behind it the course leaves it out all the same.
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


class BnLayer(ConvLayer):
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
        if kernel_size % 2 == 0:
            raise ValueError(f"the kernel size must be odd, to have a middle; given: {kernel_size}")
        super().__init__(ni, nf, stride, kernel_size, BatchNorm2d, norm_first)
