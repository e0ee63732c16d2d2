"""The exercises of notebook 02: normalizing one batch."""

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Choice, Code, Mistake, Number, Unusable

__all__ = ["EXERCISES"]


def pictures(*shape: int, seed: int = 0) -> Tensor:
    """Made-up values whose mean and spread differ from picture to picture and from channel to channel."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator)
    channel = torch.arange(1.0, shape[1] + 1).view(-1, *[1] * (len(shape) - 2))
    picture = torch.arange(float(shape[0])).view(-1, *[1] * (len(shape) - 1))
    return values * channel + 3 * channel + picture


# --- 2.3 standardize


def axes_but_channel(x: Tensor) -> list[int]:
    return [axis for axis in range(x.ndim) if axis != 1]


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
    "2.1": Number(
        minutes=3,
        difficulty="★☆☆ easy",
        right=1.0,
        tolerance=0.02,
        mistakes=[
            Mistake(
                "scale_of_the_convolution",
                "Threefold is what the convolution puts out, and the ReLU as well. By which number does the layer "
                "divide then, and what has become of that number?",
                value=3.0,
            ),
            Mistake(
                "divided_twice",
                "That would be so if the layer divided by three times as much and the values had not grown. Both have.",
                value=1 / 3,
            ),
            Mistake("variance", "The variance grows ninefold. The layer's output is not a variance.", value=9.0),
            Mistake(
                "square_root",
                "The square root of 3 would appear if the layer divided by the square root of the standard deviation.",
                value=3**0.5,
            ),
            Mistake(
                "only_the_mean", "0 is the mean of each channel, before and after. Asked for is a factor.", value=0.0
            ),
        ],
        hints=[
            "What is `conv(3 * x)`, if you know `conv(x)`? There is no bias.",
            "And `F.relu(3 * y)`, if you know `F.relu(y)`? So every value of a channel becomes three times as large. "
            "What becomes of the channel's mean, and of its standard deviation?",
            "Just try it: `layer(3 * x) / layer(x)`.",
        ],
        look='the formula above the section "What did that do?"',
        remark="The scale of the picture cancels: what comes in three times as large leaves the layer as it was. "
        "Notebook 07 asks how far that goes.",
    ),
    "2.2": Choice(
        minutes=3,
        difficulty="★★☆ medium",
        right="c",
        wrong={
            "a": "The mean of one number is this number, so the numerator is 0, as you say. Now the denominator: "
            "the layer's standard deviation divides by one less than the number of values.",
            "b": "PyTorch warns, but raises nothing, and that is what makes it dangerous. Try it.",
            "d": "Dividing by a very small number gives a large one, but what is above the line is exactly 0.",
            "e": "For that, the layer would have to notice that there is nothing to normalize. It has no such line.",
        },
        hints=[
            "How many values has one channel, over all pictures and all places?",
            "Compute the standard deviation of a single number by hand, with n - 1 under the line.",
            "Try it: `BatchNorm(10)(torch.rand(1, 10, 1, 1))`.",
        ],
        look="the lines of `BatchNorm.forward`",
        remark="PyTorch's own layer raises an error here, so that nobody trains on NaN. In notebook 05 ours learns it.",
    ),
    "2.3": Code(
        minutes=8,
        difficulty="★★☆ medium",
        truth=standardized,
        cases=lambda: {
            "two pictures of three channels, (2, 3, 3, 4)": (pictures(2, 3, 3, 4),),
            "as many pictures as channels, and as many columns, (3, 3, 2, 3)": (pictures(3, 3, 2, 3, seed=1),),
        },
        mistakes=[
            Mistake(
                "each_image",
                "This is the mean over each image, not over each channel. Which axes are to be averaged away, and "
                "which one has to stay?",
                like=lambda x: standardized(x, axes=(1, 2, 3)),
            ),
            Mistake(
                "each_channel_of_each_image",
                "You take one mean for each channel of each picture. Batch normalization takes one for each channel, "
                "over all pictures of the batch.",
                like=lambda x: standardized(x, axes=(2, 3)),
            ),
            Mistake(
                "everything",
                "You take one mean for everything. Each channel needs its own.",
                like=lambda x: standardized(x, axes=(0, 1, 2, 3)),
            ),
            Mistake(
                "each_place",
                "You take a mean for each place, over the pictures alone. The places of a channel belong together.",
                like=lambda x: standardized(x, axes=(0,)),
            ),
            Mistake(
                "wrong_rows",
                "The rows of your matrix mix channels: its shape is right, its order is not. Look again at the toy in "
                'the section "One row a channel".',
                like=by_wrong_rows,
            ),
            Mistake(
                "divided_by_n",
                "You divided by n for the standard deviation. The task asks for n - 1, as in the layer above.",
                like=lambda x: standardized(x, unbiased=False),
            ),
            Mistake("variance", "You divide by the variance: a square root is missing.", like=by_variance),
            Mistake(
                "only_the_mean",
                "The means are right, the widths are not: nothing is divided yet.",
                like=lambda x: x - x.mean((0, 2, 3), keepdim=True),
            ),
            Mistake(
                "only_the_width",
                "The widths are right, but the means have not been subtracted.",
                like=lambda x: x / x.std((0, 2, 3), keepdim=True),
            ),
            Mistake(
                "from_the_right",
                "PyTorch compares shapes from the right: one number a channel is matched with the columns. It has to "
                "keep its place in front of rows and columns.",
                like=lambda x: (x - x.mean((0, 2, 3))) / x.std((0, 2, 3)),
            ),
            Mistake(
                "view_of_a_transposed",
                "`view` cannot cut up what `transpose` has only relabelled. Look again at what has to "
                "stand between them.",
                raising="view size is not compatible",
            ),
        ],
        hints=[
            "You need no matrix: `mean` and `std` take several axes at once.",
            "Which of the axes 0, 1, 2 and 3 stays?",
            "With `keepdim=True` the averaged axes stay there with length 1, so that shapes match without "
            "`[:, None, None]`.",
        ],
        look='the section "A mean, but over what?"',
        axes=("picture", "channel", "row", "column"),
        remark="One line, and it needs no transposing: the axes do the work.",
    ),
    "2.4": Code(
        minutes=15,
        difficulty="★★★ hard",
        truth=Layer,
        trial=try_layer,
        cases=lambda: {
            "pictures, (4, 3, 2, 5)": (pictures(4, 3, 2, 5), pictures(2, 3, 2, 5, seed=1)),
            "pictures three columns wide, (4, 3, 2, 3)": (pictures(4, 3, 2, 3), pictures(2, 3, 2, 3, seed=1)),
            "rows of numbers, (6, 3)": (pictures(6, 3), pictures(2, 3, seed=1)),
            "sounds, (4, 3, 5)": (pictures(4, 3, 5), pictures(2, 3, 5, seed=1)),
            "films, (2, 3, 2, 2, 2)": (pictures(2, 3, 2, 2, 2), pictures(2, 3, 2, 2, 2, seed=1)),
        },
        mistakes=[
            Mistake(
                "from_the_right",
                "It works where an input has no places, or happens to be three wide, and is wrong there: PyTorch "
                "compares shapes from the right. How many axes of length 1 does a channel's number need behind it?",
                like=FromTheRight,
            ),
            Mistake(
                "only_pictures",
                "Your axes are written down for pictures. How many does an input have that is no picture? `x.ndim` "
                "says it.",
                raising="Dimension out of range|too many indices|not enough values to unpack|too many values to unpack",
            ),
            Mistake("exchanged", "`m` and `a` are exchanged: `m` multiplies, `a` is added.", like=Exchanged),
            Mistake(
                "no_parameters",
                "The output is normalized, but `m` and `a` make no difference to it. (Before the normalization they "
                "would be wiped out by it.)",
                like=WithoutParameters,
            ),
            Mistake("shift_first", "You add `a` first, and so `m` multiplies it as well.", like=ShiftFirst),
            Mistake(
                "not_learned",
                "The numbers are right, but gradient descent would not find `m` and `a`: they are plain tensors. What "
                "did the layer above wrap them in?",
                like=NotLearned,
            ),
            Mistake(
                "own_statistics",
                "In training all is right. In evaluation the layer is to use the statistics of the last training "
                "batch, and yours takes them from the batch before it.",
                like=OwnStatistics,
            ),
            Mistake(
                "divided_by_n",
                "You divided by n for the standard deviation. The task asks for n - 1, as in the layer above.",
                like=DividedByN,
            ),
            Mistake(
                "each_place",
                "You take a mean for each place, over the pictures alone. The places of a channel belong together.",
                like=OverPictures,
            ),
            Mistake(
                "no_statistics",
                "In evaluation, the statistics of the last training batch are missing: where does `forward` keep them?",
                raising="AttributeError: .* has no attribute '(mean|std|means|stds)'",
            ),
        ],
        hints=[
            "Transposed, every input is a matrix with one row a channel: `x.transpose(0, 1).flatten(1)`. Or name all "
            "axes but axis 1.",
            "A channel's number has to be followed by as many axes of length 1 as the input has places: none for "
            "(N, C), two for pictures. That is `x.ndim - 2`.",
            "`values.view(-1, *[1] * k)` gives `values` k axes of length 1 behind it.",
        ],
        look='the section "The layer"',
        axes=("picture", "channel"),
        remark="One layer for pictures, sounds and tables. PyTorch has three, `BatchNorm1d`, `2d` and `3d`, that "
        "differ only in which shapes they refuse.",
    ),
}
