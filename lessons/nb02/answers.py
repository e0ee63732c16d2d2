"""Answers to the exercises of notebook 02."""

import numpy as np
import torch
from torch import Tensor, nn

from utils.exercises.definitions import Answers

# --- 2.3


def with_a_matrix(x: Tensor) -> Tensor:
    values = x.transpose(0, 1).contiguous().view(x.shape[1], -1)
    return (x - values.mean(1)[:, None, None]) / values.std(1)[:, None, None]


def one_channel_after_the_other(x: Tensor) -> Tensor:
    channels = [(x[:, c] - x[:, c].mean()) / x[:, c].std() for c in range(x.shape[1])]
    return torch.stack(channels, dim=1)


def by_pytorch(x: Tensor) -> Tensor:
    n = x.numel() / x.shape[1]
    return nn.functional.batch_norm(x, None, None, training=True, eps=1e-12) * ((n - 1) / n) ** 0.5


def in_numpy(x: Tensor) -> np.ndarray:
    a = x.numpy()
    return (a - a.mean((0, 2, 3), keepdims=True)) / a.std((0, 2, 3), keepdims=True, ddof=1)


def each_image(x: Tensor) -> Tensor:
    flat = x.flatten(1)
    return ((flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True)).view(x.shape)


def each_channel_of_each_image(x: Tensor) -> Tensor:
    return (x - x.mean((-2, -1), True)) / x.std((-2, -1), keepdim=True)


def everything(x: Tensor) -> Tensor:
    return (x - x.mean()) / x.std()


def over_the_pictures(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / x.std(0)


def without_transposing(x: Tensor) -> Tensor:
    rows = x.contiguous().view(x.shape[1], -1)
    rows = (rows - rows.mean(1)[:, None]) / rows.std(1)[:, None]
    return rows.view(x.shape)


def without_contiguous(x: Tensor) -> Tensor:
    rows = x.transpose(0, 1).view(x.shape[1], -1)
    return (x - rows.mean(1)[:, None, None]) / rows.std(1)[:, None, None]


def biased(x: Tensor) -> Tensor:
    mean = x.mean((0, 2, 3), keepdim=True)
    return (x - mean) / (x - mean).pow(2).mean((0, 2, 3), keepdim=True).sqrt()


def variance(x: Tensor) -> Tensor:
    return (x - x.mean((0, 2, 3), True)) / x.var((0, 2, 3), keepdim=True)


def centred(x: Tensor) -> Tensor:
    return x - x.mean((0, 2, 3))[None, :, None, None]


def divided(x: Tensor) -> Tensor:
    return x / x.std((0, 2, 3))[:, None, None]


def from_the_right(x: Tensor) -> Tensor:
    rows = x.transpose(0, 1).flatten(1)
    return (x - rows.mean(1)) / rows.std(1)


def in_place(x: Tensor) -> Tensor:
    x -= x.mean((0, 2, 3), keepdim=True)
    x /= x.std((0, 2, 3), keepdim=True)
    return x


def without_return(x: Tensor) -> None:
    _ = (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True)


def statistics_instead(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean((0, 2, 3)), x.std((0, 2, 3))


def with_a_slip(x: Tensor) -> Tensor:
    return (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdims=3).x


def half_of_it(x: Tensor) -> Tensor:
    out = with_a_matrix(x)
    out[:, -1] = 0
    return out


# --- 2.4


class Base(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.m = nn.Parameter(torch.ones(channels))
        self.a = nn.Parameter(torch.zeros(channels))


class ChannelsLast(Base):
    """Moves the channels to the end, where broadcasting finds them."""

    def forward(self, x):
        y = x.movedim(1, -1)
        if self.training:
            rows = y.reshape(-1, y.shape[-1])
            self.mean, self.std = rows.mean(0), rows.std(0)
        return ((y - self.mean) / self.std * self.m + self.a).movedim(-1, 1)


class KeepDims(nn.Module):
    """Statistics that keep their axes; parameters of shape (1, C)."""

    def __init__(self, channels):
        super().__init__()
        self.register_parameter("a", nn.Parameter(torch.zeros(1, channels)))
        self.register_parameter("m", nn.Parameter(torch.ones(1, channels)))
        self.stats = None

    def forward(self, x):
        axes = tuple(i for i in range(x.dim()) if i != 1)
        shape = [1, x.size(1)] + [1] * (x.dim() - 2)
        if self.training:
            self.stats = x.mean(axes, keepdim=True), x.var(axes, keepdim=True)
        mean, var = self.stats
        return torch.addcmul(self.a.reshape(shape), self.m.reshape(shape), (x - mean) * var.rsqrt())


class Buffers(Base):
    """Everything as pictures with one column; what is remembered as buffers, under any name."""

    def __init__(self, channels):
        super().__init__(channels)
        self.register_buffer("last_mean", torch.zeros(channels, 1))
        self.register_buffer("last_var", torch.ones(channels, 1))

    def forward(self, x):
        flat = x.reshape(x.shape[0], x.shape[1], -1)  # (N, C, places)
        if self.training:
            self.last_mean = flat.mean((0, 2))[:, None]
            self.last_var = flat.var((0, 2))[:, None]
        out = (flat - self.last_mean) / self.last_var.sqrt()
        return (out * self.m[:, None] + self.a[:, None]).reshape(x.shape)


def rows(x):
    return x.transpose(0, 1).flatten(1)


def columns(values, x):
    return values.reshape([-1] + [1] * (x.ndim - 2))


class FromTheRight(Base):
    def forward(self, x):
        if self.training:
            self.mean, self.std = rows(x).mean(1), rows(x).std(1)
        return (x - self.mean) / self.std * self.m + self.a


class OnlyPictures(Base):
    def forward(self, x):
        if self.training:
            self.mean, self.std = x.mean((0, 2, 3)), x.std((0, 2, 3))
        return (x - columns(self.mean, x)) / columns(self.std, x) * columns(self.m, x) + columns(self.a, x)


class Working(Base):
    def forward(self, x):
        if self.training:
            self.mean, self.std = columns(rows(x).mean(1), x), columns(rows(x).std(1), x)
        return self.scaled((x - self.mean) / self.std, columns(self.m, x), columns(self.a, x))

    def scaled(self, y, m, a):
        return y * m + a


class UnpacksPictures(Working):
    def forward(self, x):
        pictures, channels, height, width = x.shape
        count = pictures * height * width
        if self.training:
            self.mean = x.sum((0, 2, 3)).view(channels, 1, 1) / count
            self.var = (x - self.mean).square().sum((0, 2, 3)).view(channels, 1, 1) / (count - 1)
        return self.scaled((x - self.mean) / self.var.sqrt(), columns(self.m, x), columns(self.a, x))


class Exchanged(Working):
    def scaled(self, y, m, a):
        return y * a + m


class ParametersForgotten(Working):
    def scaled(self, y, m, a):
        return y


class AddedFirst(Working):
    def scaled(self, y, m, a):
        return m * (a + y)


class PlainTensors(Working):
    def __init__(self, channels):
        nn.Module.__init__(self)
        self.m, self.a = torch.ones(channels), torch.zeros(channels)


class AlwaysTheBatch(Base):
    def forward(self, x):
        y = rows(x)
        y = (x - columns(y.mean(1), x)) / columns(y.std(1), x)
        return y * columns(self.m, x) + columns(self.a, x)


class Biased(Working):
    def forward(self, x):
        if self.training:
            self.mean = columns(rows(x).mean(1), x)
            self.std = columns(rows(x).var(1, correction=0).sqrt(), x)
        return self.scaled((x - self.mean) / self.std, columns(self.m, x), columns(self.a, x))


class EachPlace(Working):
    def forward(self, x):
        if self.training:
            self.mean, self.std = x.mean(0), x.std(0)
        return self.scaled((x - self.mean) / self.std, columns(self.m, x), columns(self.a, x))


class RemembersNothing(Base):
    def forward(self, x):
        if self.training:
            means, stds = columns(rows(x).mean(1), x), columns(rows(x).std(1), x)
            return (x - means) / stds * columns(self.m, x) + columns(self.a, x)
        return (x - self.means) / self.stds * columns(self.m, x) + columns(self.a, x)


class OneNumberForAll(Working):
    def __init__(self, channels):
        nn.Module.__init__(self)
        self.m, self.a = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))


class OtherNames(Working):
    def __init__(self, channels):
        nn.Module.__init__(self)
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))


ANSWERS = {
    "without-a-matrix": Answers(
        right=[with_a_matrix, one_channel_after_the_other, by_pytorch, in_numpy],
        wrong=[
            ("each_image", each_image),
            ("each_channel_of_each_image", each_channel_of_each_image),
            ("everything", everything),
            ("each_place", over_the_pictures),
            ("wrong_rows", without_transposing),
            ("view_of_a_transposed", without_contiguous),
            ("divided_by_n", biased),
            ("variance", variance),
            ("only_the_mean", centred),
            ("only_the_width", divided),
            ("from_the_right", from_the_right),
            ("changes_input", in_place),
            ("returns_none", without_return),
            ("wrong_shape", statistics_instead),
            ("raises", with_a_slip),
            ("wrong_values", half_of_it),
            ("not_callable", torch.zeros(2, 3, 3, 4)),
        ],
    ),
    "layer-for-pictures-sounds-and-tables": Answers(
        right=[ChannelsLast, KeepDims, Buffers, lambda channels: Working(channels)],
        wrong=[
            ("from_the_right", FromTheRight),
            ("only_pictures", OnlyPictures),
            ("only_pictures", UnpacksPictures),
            ("exchanged", Exchanged),
            ("no_parameters", ParametersForgotten),
            ("shift_first", AddedFirst),
            ("not_learned", PlainTensors),
            ("own_statistics", AlwaysTheBatch),
            ("divided_by_n", Biased),
            ("each_place", EachPlace),
            ("no_statistics", RemembersNothing),
            ("unusable", OneNumberForAll),
            ("unusable", OtherNames),
            ("unusable", lambda channels: torch.relu),
            ("not_callable", Working(3).m),
        ],
    ),
}
