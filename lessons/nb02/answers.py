"""Answers to the exercises of notebook 02."""

import numpy as np
import torch
from torch import Tensor, nn

from utils.exercises.definitions import Answers

# --- 2.3


def one_channel_after_the_other(x: Tensor) -> Tensor:
    channels = [(x[:, c] - x[:, c].mean()) / x[:, c].std() for c in range(x.shape[1])]
    return torch.stack(channels, dim=1)


def by_pytorch(x: Tensor) -> Tensor:
    n = x.numel() / x.shape[1]
    return nn.functional.batch_norm(x, None, None, training=True, eps=1e-12) * ((n - 1) / n) ** 0.5


def in_numpy(x: Tensor) -> np.ndarray:
    a = x.numpy()
    return (a - a.mean((0, 2, 3), keepdims=True)) / a.std((0, 2, 3), keepdims=True, ddof=1)


def with_a_matrix(x: Tensor) -> Tensor:
    values = x.transpose(0, 1).contiguous().view(x.shape[1], -1)
    return (x - values.mean(1)[:, None, None]) / values.std(1)[:, None, None]


def by_a_turned_matrix(x: Tensor) -> Tensor:
    rows = x.flatten(2).mT.flatten(0, 1)  # (N·H·W, C)
    return (x - rows.mean(0)[:, None, None]) / rows.std(0)[:, None, None]


def by_a_bare_view(x: Tensor) -> Tensor:
    values = x.view(x.shape[1], -1)
    return (x - values.mean(1)[:, None, None]) / values.std(1)[:, None, None]


def biased(x: Tensor) -> Tensor:
    values = x.transpose(0, 1).flatten(1)
    return (x - values.mean(1)[:, None, None]) / values.var(1, correction=0).sqrt()[:, None, None]


def in_place(x: Tensor) -> Tensor:
    x -= x.mean((0, 2, 3), keepdim=True)
    x /= x.std((0, 2, 3), keepdim=True)
    return x


def without_keepdim(x: Tensor) -> Tensor:
    mean = x.mean((0, 2, 3))
    return (x - mean[:, None, None]) / (x - mean).std()


def of_three_channels(x: Tensor) -> Tensor:
    return (x - x.mean((0, 2, 3)).view(1, 3, 1, 1)) / x.std((0, 2, 3)).view(1, 3, 1, 1)


# --- 2.4


def columns(values, x):
    return values.reshape([-1] + [1] * (x.ndim - 2))


class Working(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.m = nn.Parameter(torch.ones(channels))
        self.a = nn.Parameter(torch.zeros(channels))

    def measure(self, x):
        rows = x.transpose(0, 1).flatten(1)
        return rows.mean(1), rows.std(1)

    def forward(self, x):
        if self.training:
            self.mean, self.std = self.measure(x)
        return (x - columns(self.mean, x)) / columns(self.std, x) * columns(self.m, x) + columns(self.a, x)


class ChannelsLast(Working):
    """Moves the channels to the end, where broadcasting finds them."""

    def forward(self, x):
        y = x.movedim(1, -1)
        if self.training:
            rows = y.reshape(-1, y.shape[-1])
            self.mean, self.std = rows.mean(0), rows.std(0)
        return ((y - self.mean) / self.std * self.m + self.a).movedim(-1, 1)


class StartsAtZero(Working):
    def __init__(self, channels):
        super().__init__(channels)
        self.m = nn.Parameter(torch.zeros(channels))


class UnderNoGrad(Working):
    @torch.no_grad()
    def measure(self, x):
        return super().measure(x)


class OnlyPictures(Working):
    def measure(self, x):
        return x.mean((0, 2, 3)), x.std((0, 2, 3))


class UnpacksPictures(Working):
    def measure(self, x):
        n, c, h, w = x.shape
        mean = x.sum((0, 2, 3)).view(c) / (n * h * w)
        return mean, x.std((0, 2, 3))


class RunningAverage(Working):
    """In evaluation, it uses the average over all batches so far."""

    def measure(self, x):
        batch = super().measure(x)
        self.seen = [*getattr(self, "seen", []), torch.stack(batch)]
        return batch

    def eval(self):
        self.mean, self.std = torch.stack(self.seen).mean(0)
        return super().eval()


class NeverLearns(Working):
    def __init__(self, channels):
        super().__init__(channels)
        self.requires_grad_(False)


class OneNumberForAll(Working):
    def __init__(self, channels):
        super().__init__(1)


ANSWERS = {
    "without-a-matrix": Answers(
        right=[one_channel_after_the_other, by_pytorch, in_numpy],
        wrong=[
            ("unusable", with_a_matrix),
            ("unusable", by_a_turned_matrix),
            ("wrong_rows", by_a_bare_view),
            ("divided_by_n", biased),
            ("changes_input", in_place),
            ("raises", without_keepdim),
            ("raises", of_three_channels),
        ],
    ),
    "layer-for-pictures-sounds-and-tables": Answers(
        right=[Working, ChannelsLast, lambda channels: Working(channels)],
        wrong=[
            ("wrong_values", StartsAtZero),
            ("detached", UnderNoGrad),
            ("only_pictures", OnlyPictures),
            ("only_pictures", UnpacksPictures),
            ("wrong_values", RunningAverage),
            ("wrong_values", NeverLearns),
            ("unusable", OneNumberForAll),
            ("not_callable", Working(3)),
        ],
    ),
}
