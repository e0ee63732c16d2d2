"""What notebook 02 writes: the first normalization and the layer around it, faults included."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FirstBatchNorm2d", "FirstBnLayer"]


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
