"""Layers with one fault each, such as one meets: for whoever wants to practise diagnosing."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normdoctor.museum.correct import CorrectBatchNorm
from normdoctor.museum.remembering import (
    BiasedRunningVariance,
    GraphKept,
    LastBatch,
    LearnsInEvaluation,
    ModeFromGradients,
    MomentumIgnored,
    MomentumTheWrongWayRound,
    PlainAttributes,
    Uncounted,
)

__all__ = ["EXHIBITS", "Exhibit"]


# --- what it divides by


class NoEps(CorrectBatchNorm):
    """Nothing is added to the variance.

    Seen in first attempts that follow the formula and skip its ε; also the first layer of this course. What one sees:
    all is well until a channel is constant for a whole batch, dead after its ReLU, say; then NaN, everywhere, for good.
    """

    def normalize(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return (x - mean) / var.sqrt()


class EpsOutsideTheRoot(CorrectBatchNorm):
    """eps is added to the standard deviation instead of the variance.

    Seen where the formula was written from memory, and in layers that were ported from libraries that put it there.
    What one sees: quiet channels come out up to twice too large, and a constant one has gradients of NaN.
    """

    def normalize(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return (x - mean) / (var.sqrt() + self.eps)


class UnbiasedNormalization(CorrectBatchNorm):
    """It divides by the unbiased standard deviation, that with n - 1.

    Seen wherever `x.var(...)` or `x.std(...)` is used as it is: unbiased is PyTorch's default. What one sees: outputs
    too small by √((n-1)/n), little for large batches, 13 % at four values a channel.
    """

    def normalize(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        count = x.numel() // x.shape[1]
        return super().normalize(x, mean, var * count / (count - 1) if self.training else var)


class SmallDifferenceOfLargeNumbers(CorrectBatchNorm):
    """The variance is computed as E[x²] - E[x]².

    Seen in layers that want one pass over the data. What one sees: correct results for centred inputs, noise or NaN
    when the mean is large against the spread, because nearly all digits cancel.
    """

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = x.mean(self.dims(x), keepdim=True)
        return mean, (x * x).mean(self.dims(x), keepdim=True) - mean * mean


class WrongAxes(CorrectBatchNorm):
    """It averages over the places of each image, not over the batch.

    Seen in code that was adapted from instance or group normalization, or from channels-last libraries. What one sees:
    training works, but images no longer know of each other, and evaluation gives something else altogether.
    """

    def dims(self, x: Tensor) -> tuple[int, ...]:
        return tuple(range(2, x.ndim)) or (1,)

    def update(self, mean: Tensor, var: Tensor, count: int) -> None:
        over = (0, *range(2, mean.ndim))
        super().update(mean.mean(over), var.mean(over), count)


# --- the gradient


class DetachedStatistics(CorrectBatchNorm):
    """Mean and variance are computed under no_grad: the gradient takes them for constants.

    Seen in a well-known course, whose update of the running statistics under no_grad also returns what it normalizes
    by. What one sees: the forward pass is right to the last digit; training is slower and ends worse.
    """

    @torch.no_grad()
    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().statistics(x)


# --- γ and β


class OneForAllChannels(CorrectBatchNorm):
    """γ and β are single numbers, shared by all channels.

    Seen where a parameter was made as `torch.ones(1)`, and broadcasting made up for it. What one sees: it trains a
    little worse, and PyTorch's weights do not load.
    """

    def make_parameters(self) -> None:
        self.weight, self.bias = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))


class ScaledTooEarly(CorrectBatchNorm):
    """γ and β are applied to the input, before normalizing.

    Seen where the lines were swapped in tidying up. What one sees: β does nothing at all and γ only its sign: the layer
    cannot learn.
    """

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return super().forward(super().scale(x)).to(x.dtype)

    def scale(self, normalized: Tensor) -> Tensor:
        return normalized


# --- inputs


class InPlace(CorrectBatchNorm):
    """The mean is subtracted from the input in place.

    Seen in attempts to save memory. What one sees: a skip connection around the layer, or whoever else holds the input,
    gets other numbers than before; or an error about a variable that was modified in place.
    """

    def normalize(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return x.sub_(mean) / (var + self.eps).sqrt()


class SilentAboutOneValue(CorrectBatchNorm):
    """A batch with one value a channel is taken without a word.

    Seen in nearly every from-scratch version. What one sees: a last batch of one image, in a network that ends at 1×1,
    comes out as β whatever it shows, and the running variance becomes NaN.
    """

    def check(self, x: Tensor) -> None:
        if x.ndim < 2 or x.shape[1] != self.num_features or x.numel() == 0:
            raise ValueError(f"expected (N, {self.num_features}, ...), given: {tuple(x.shape)}")


class FixedPadding(nn.Module):
    """A convolution, ReLU and a sound normalization, with the padding 1 whatever the kernel.

    Seen in layers that were only ever used with kernel 3, this course's first too. What one sees: with any other kernel
    the picture grows or shrinks by some pixels, and skip connections no longer fit.

    Args: as `utils.layers.BnLayer`.
    """

    def __init__(self, ni: int, nf: int, stride: int = 2, kernel_size: int = 3):
        super().__init__()
        self.conv = nn.Conv2d(ni, nf, kernel_size, stride=stride, padding=1, bias=False)
        self.norm = CorrectBatchNorm(nf)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.relu(self.conv(x)))


class Exhibit(NamedTuple):
    """One faulty layer.

    Attributes:
        layer: the class.
        fault: its name, in a few words.
        probe: the name of the probe in `normdoctor.PROBES` that is meant for it.
    """

    layer: type[nn.Module]
    fault: str
    probe: str


EXHIBITS: dict[str, Exhibit] = {
    f"exhibit {number}": Exhibit(*entry)
    for number, entry in enumerate(
        [
            (BiasedRunningVariance, "biased running variance", "running variance"),
            (DetachedStatistics, "statistics under no_grad", "gradient of x"),
            (PlainAttributes, "statistics as plain attributes", "save and load"),
            (UnbiasedNormalization, "unbiased normalization", "training forward"),
            (ModeFromGradients, "mode taken from torch.is_grad_enabled()", "mode with gradients"),
            (NoEps, "no eps", "constant channel"),
            (LastBatch, "last batch reused in evaluation", "running mean"),
            (WrongAxes, "normalizing over the wrong axes", "training forward"),
            (GraphKept, "graph retained", "graph released"),
            (EpsOutsideTheRoot, "eps outside the root", "eps"),
            (FixedPadding, "padding fixed at 1", "output size"),
            (MomentumTheWrongWayRound, "momentum the wrong way round", "momentum"),
            (SmallDifferenceOfLargeNumbers, "variance as E[x²] - E[x]²", "large offset"),
            (LearnsInEvaluation, "running statistics updated in evaluation", "eval keeps statistics"),
            (OneForAllChannels, "one parameter shared by all channels", "gradient of γ"),
            (InPlace, "input changed in place", "input untouched"),
            (SilentAboutOneValue, "silent about one value a channel", "one value a channel"),
            (ScaledTooEarly, "γ and β applied before normalizing", "training forward"),
            (MomentumIgnored, "momentum ignored", "momentum"),
            (Uncounted, "num_batches_tracked never counted", "num_batches_tracked"),
        ],
        1,
    )
}
