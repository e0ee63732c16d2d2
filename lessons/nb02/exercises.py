"""The exercises of notebook 02: normalizing one batch."""

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable
from utils.exercises.inputs import axes_but_channel, pictures

__all__ = ["EXERCISES"]


# --- 2.3 standardize


def standardized(x: Tensor, axes=None, unbiased: bool = True) -> Tensor:
    axes = axes_but_channel(x) if axes is None else axes
    return (x - x.mean(axes, keepdim=True)) / x.std(axes, keepdim=True, unbiased=unbiased)


def by_wrong_rows(x: Tensor) -> Tensor:
    rows = x.reshape(x.shape[1], -1)
    return standardized(rows[None], axes=(0, 2)).view_as(x)


def by_variance(x: Tensor) -> Tensor:
    axes = axes_but_channel(x)
    return (x - x.mean(axes, keepdim=True)) / x.var(axes, keepdim=True)


# --- 2.4 AnyBatchNorm

SCALE, SHIFT = torch.tensor([2.0, 0.5, -1.5]), torch.tensor([1.0, -1.0, 0.25])


def try_layer(answer, first: Tensor, second: Tensor) -> dict:
    """Set `m` and `a`, normalize one batch in training and another in evaluation."""
    layer = answer(first.shape[1])
    if not isinstance(layer, nn.Module):
        raise Unusable("The class has to be an `nn.Module`.")
    for name, values in (("m", SCALE), ("a", SHIFT)):
        parameter = getattr(layer, name, None)
        if not isinstance(parameter, Tensor):
            raise Unusable(f"The layer needs a tensor called `{name}`.")
        if parameter.numel() != len(values):
            raise Unusable(f"`{name}` needs one number for each channel; it holds {parameter.numel()}.")
        parameter.data.copy_(values.view_as(parameter))
    learned = ", ".join(sorted(name for name, _ in layer.named_parameters()))
    out = layer.train()(first)
    return {"learned parameters": learned, "output in training": out, "output in evaluation": layer.eval()(second)}


class Layer(nn.Module):
    """A right answer in steps, each of which a mistake may override."""

    def __init__(self, channels: int):
        super().__init__()
        self.make(channels)

    def make(self, channels: int) -> None:
        self.m, self.a = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def take(self, x: Tensor) -> None:
        axes = axes_but_channel(x)
        self.mean, self.std = x.mean(axes), x.std(axes)

    def column(self, values: Tensor, x: Tensor) -> Tensor:
        return values.view(-1, *[1] * (x.ndim - 2))

    def scale(self, normal: Tensor, x: Tensor) -> Tensor:
        return normal * self.column(self.m, x) + self.column(self.a, x)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.take(x)
        return self.scale((x - self.column(self.mean, x)) / self.column(self.std, x), x)


class FromTheRight(Layer):
    def column(self, values: Tensor, x: Tensor) -> Tensor:
        return values


class Exchanged(Layer):
    def scale(self, normal: Tensor, x: Tensor) -> Tensor:
        return normal * self.column(self.a, x) + self.column(self.m, x)


class WithoutParameters(Layer):
    def scale(self, normal: Tensor, x: Tensor) -> Tensor:
        return normal


class ShiftFirst(Layer):
    def scale(self, normal: Tensor, x: Tensor) -> Tensor:
        return (normal + self.column(self.a, x)) * self.column(self.m, x)


class NotLearned(Layer):
    def make(self, channels: int) -> None:
        self.m, self.a = torch.ones(channels), torch.zeros(channels)


class OwnStatistics(Layer):
    def forward(self, x: Tensor) -> Tensor:
        self.take(x)
        return super().forward(x)


class DividedByN(Layer):
    def take(self, x: Tensor) -> None:
        axes = axes_but_channel(x)
        self.mean, self.std = x.mean(axes), x.std(axes, unbiased=False)


class OverPictures(Layer):
    def take(self, x: Tensor) -> None:
        self.mean, self.std = x.mean(0, keepdim=True), x.std(0, keepdim=True)

    def column(self, values: Tensor, x: Tensor) -> Tensor:
        return values if values.ndim == x.ndim else super().column(values, x)


EXERCISES = {
    "without-a-matrix": Code(
        truth=standardized,
        cases=lambda: {
            "two pictures of three channels, (2, 3, 3, 4)": (pictures(2, 3, 3, 4),),
            "as many pictures as channels, and as many columns, (3, 3, 2, 3)": (pictures(3, 3, 2, 3, seed=1),),
        },
        axes=("picture", "channel", "row", "column"),
        mistakes={
            "each_image": lambda x: standardized(x, axes=(1, 2, 3)),
            "each_channel_of_each_image": lambda x: standardized(x, axes=(2, 3)),
            "everything": lambda x: standardized(x, axes=(0, 1, 2, 3)),
            "each_place": lambda x: standardized(x, axes=(0,)),
            "wrong_rows": by_wrong_rows,
            "divided_by_n": lambda x: standardized(x, unbiased=False),
            "variance": by_variance,
            "only_the_mean": lambda x: x - x.mean((0, 2, 3), keepdim=True),
            "only_the_width": lambda x: x / x.std((0, 2, 3), keepdim=True),
            "from_the_right": lambda x: (x - x.mean((0, 2, 3))) / x.std((0, 2, 3)),
        },
    ),
    "layer-for-pictures-sounds-and-tables": Code(
        truth=Layer,
        trial=try_layer,
        cases=lambda: {
            "pictures, (4, 3, 2, 5)": (pictures(4, 3, 2, 5), pictures(2, 3, 2, 5, seed=1)),
            "pictures three columns wide, (4, 3, 2, 3)": (pictures(4, 3, 2, 3), pictures(2, 3, 2, 3, seed=1)),
            "rows of numbers, (6, 3)": (pictures(6, 3), pictures(2, 3, seed=1)),
            "sounds, (4, 3, 5)": (pictures(4, 3, 5), pictures(2, 3, 5, seed=1)),
            "films, (2, 3, 2, 2, 2)": (pictures(2, 3, 2, 2, 2), pictures(2, 3, 2, 2, 2, seed=1)),
        },
        axes=("picture", "channel"),
        mistakes={
            "from_the_right": FromTheRight,
            "exchanged": Exchanged,
            "no_parameters": WithoutParameters,
            "shift_first": ShiftFirst,
            "not_learned": NotLearned,
            "own_statistics": OwnStatistics,
            "divided_by_n": DividedByN,
            "each_place": OverPictures,
        },
    ),
}
