"""Further faults, one a layer, for which there is no room in the lesson; the kit names each, and nothing else."""

import torch
from torch import Tensor, nn

from normdoctor.museum.correct import CorrectBatchNorm

__all__ = ["STOREROOM"]


# --- what it computes


class EpsAsClamp(CorrectBatchNorm):
    """eps is the least that the variance may be, instead of being added to it."""

    def normalize(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return (x - mean) / var.clamp(min=self.eps).sqrt()


class NoEpsInEvaluation(CorrectBatchNorm):
    """eps is added in training only."""

    def normalize(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return (x - mean) / (var + self.eps * self.training).sqrt()


class NotCentred(CorrectBatchNorm):
    """The mean is not subtracted from what is divided."""

    def normalize(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return x / (var + self.eps).sqrt() if self.training else super().normalize(x, mean, var)


class GhostBatches(CorrectBatchNorm):
    """Each half of the batch is normalized by itself."""

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        halves = x.split(-(-len(x) // 2))
        both = [super(GhostBatches, self).statistics(half) for half in halves]
        column = [v.expand(len(half), *v.shape[1:]) for half, pair in zip(halves, both, strict=True) for v in pair]
        return torch.cat(column[::2]), torch.cat(column[1::2])

    def update(self, mean: Tensor, var: Tensor, count: int) -> None:
        super().update(mean.mean(0), var.mean(0), count)


class TrainsByRunningStatistics(CorrectBatchNorm):
    """Training, too, normalizes by the running statistics, once they are updated."""

    def normalize(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        return super().normalize(x, *self.remembered(x))


# --- what it remembers


class BesselWithImages(CorrectBatchNorm):
    """The running variance takes the number of images for the number of values."""

    def forward(self, x: Tensor) -> Tensor:
        self.images = len(x)
        return super().forward(x)

    def lasting(self, var: Tensor, count: int) -> Tensor:
        return var * self.images / (self.images - 1)


class CorrectedInEvaluation(CorrectBatchNorm):
    """Evaluation multiplies the running variance by n/(n - 1), of its own batch: outputs depend on how many come."""

    def remembered(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, var = super().remembered(x)
        count = x.numel() // x.shape[1]
        return mean, var * count / (count - 1) if count > 1 else var


class Exchanged(CorrectBatchNorm):
    """Mean and variance are exchanged where they are remembered."""

    def update(self, mean: Tensor, var: Tensor, count: int) -> None:
        super().update(var * count / (count - 1), mean * (count - 1) / count, count)


class StartsAtZero(CorrectBatchNorm):
    """The running variance begins at 0."""

    def make_statistics(self) -> None:
        super().make_statistics()
        self.running_var.zero_()


# --- γ and β


class FixedAffine(CorrectBatchNorm):
    """γ and β are buffers: no optimizer moves them."""

    def make_parameters(self) -> None:
        self.register_buffer("weight", torch.ones(self.num_features))
        self.register_buffer("bias", torch.zeros(self.num_features))


class BiasIgnored(CorrectBatchNorm):
    """It takes `bias=False`, and has a β all the same."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, bias: bool = True):
        super().__init__(num_features, eps, momentum)


# --- inputs and outputs


class PromotesHalf(CorrectBatchNorm):
    """The dtype to return is looked up after the input was converted."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float() if x.dtype in (torch.float16, torch.bfloat16) else x)


class InOrderOfMemory(CorrectBatchNorm):
    """Values are gathered with view, which needs them in a row in memory."""

    def forward(self, x: Tensor) -> Tensor:
        self.check(x)
        return super().forward(x.view(x.shape[0], -1).view(x.shape))


class SqueezedChannels(CorrectBatchNorm):
    """Dimensions of size 1 are dropped: with a single channel one too many."""

    def column(self, values: Tensor, x: Tensor) -> Tensor:
        values = values.squeeze()
        return values.view(len(values), *[1] * (x.ndim - 2))


class SpoiltByNothing(CorrectBatchNorm):
    """A batch of no images makes the running statistics NaN."""

    def check(self, x: Tensor) -> None:
        if x.numel() > 0:
            super().check(x)

    def lasting(self, var: Tensor, count: int) -> Tensor:
        return var * count / max(count - 1, 1)


class AnyEps(CorrectBatchNorm):
    """A negative eps is taken without a word."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__(num_features, 1.0, momentum)
        self.eps = eps


class OwnDevice(CorrectBatchNorm):
    """Something is made on the processor in every call, wherever the layer is."""

    def scale(self, normalized: Tensor) -> Tensor:
        return super().scale(normalized) + torch.zeros(normalized.shape[1:], dtype=normalized.dtype, device="cpu")


class Anonymous(CorrectBatchNorm):
    """It does not show its number of channels."""

    def extra_repr(self) -> str:
        return ""


# --- tools


class _HandedOn(torch.autograd.Function):
    """Its input, with a backward pass by hand and no forward mode."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx, g: Tensor) -> Tensor:
        return g


class NoForwardMode(CorrectBatchNorm):
    """A step is an autograd function without `jvp`."""

    def scale(self, normalized: Tensor) -> Tensor:
        return super().scale(_HandedOn.apply(normalized) if self.training else normalized)


class LooksAtValues(CorrectBatchNorm):
    """Evaluation looks at the values, to decide something: it cannot be mapped over images."""

    def remembered(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().remembered(x.nan_to_num() if bool(x.isnan().any()) else x)


class MixedCalls(CorrectBatchNorm):
    """What the backward pass needs is kept in the layer: a second call before it takes the first one's place."""

    def normalize(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        root = (var + self.eps).sqrt()
        kept = self.root = root.detach()
        y = (x - mean) / root
        if y.requires_grad:
            y.register_hook(lambda g: g * kept / self.root)
        return y


class FrozenNoEps(nn.Module):
    """A frozen layer, with everything in buffers, that adds no eps."""

    def __init__(self, num_features: int):
        super().__init__()
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((num_features,), value))

    def extra_repr(self) -> str:
        return str(len(self.weight))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias, mean, var = (v.view(-1, 1, 1) for v in self.buffers())
        return ((x - mean) / var.sqrt() * weight + bias).to(x.dtype)


STOREROOM: dict[type[nn.Module], str] = {  # layer → the name of its cause
    EpsAsClamp: "eps as a clamp",
    NoEpsInEvaluation: "no eps in evaluation",
    NotCentred: "not centred",
    GhostBatches: "part of the batch",
    TrainsByRunningStatistics: "training by running statistics",
    BesselWithImages: "wrong count in the running variance",
    CorrectedInEvaluation: "running variance corrected again",
    Exchanged: "mean and variance exchanged",
    StartsAtZero: "wrong start",
    FixedAffine: "γ or β cannot learn",
    BiasIgnored: "bias ignored",
    PromotesHalf: "other dtype out",
    InOrderOfMemory: "order of memory",
    SqueezedChannels: "one channel",
    SpoiltByNothing: "empty batch",
    AnyEps: "negative eps taken",
    OwnDevice: "own device",
    Anonymous: "shows nothing",
    NoForwardMode: "no forward mode",
    LooksAtValues: "values looked at",
    MixedCalls: "calls mixed up",
    FrozenNoEps: "no eps in evaluation",
}
