"""The exercises of notebook 07: scale and offset of the input."""

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Choice, Code, Mistake, Number, Unusable
from utils.exercises.nb02 import pictures

__all__ = ["EXERCISES"]


# --- 7.3 fold

MEAN, STD = torch.tensor([120.0, 95.0, 140.0]), torch.tensor([60.0, 45.0, 80.0])


def made_conv(bias: bool, stride: int, outputs: int) -> nn.Conv2d:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return nn.Conv2d(3, outputs, 3, stride=stride, bias=bias)


def try_fold(answer, conv: nn.Conv2d, x: Tensor) -> dict:
    """What the new layer makes of raw pixels, and whether the old one is what it was."""
    before = {name: value.clone() for name, value in conv.state_dict().items()}
    folded = answer(conv, MEAN.clone(), STD.clone())
    if folded is None:
        return {"output": None}
    if not isinstance(folded, nn.Module):
        raise Unusable("Return a layer, an `nn.Conv2d`.")
    if type(folded) is not nn.Conv2d:
        raise Unusable("Return one `nn.Conv2d` and nothing around it: an extra pass is what is to be saved.")
    with torch.no_grad():
        out = folded(x)
    after = conv.state_dict()
    same = set(after) == set(before) and all(torch.equal(after[name], before[name]) for name in before)
    return {"output": out, "given layer": "unchanged" if same else "changed"}


def folded(conv: nn.Conv2d, mean: Tensor, std: Tensor, weight=None, constant=None, keep=True, stride=True) -> nn.Conv2d:
    """A right answer, each step of which a mistake may change.

    weight: (w, std) → the new weights; constant: (w, the new weights, mean, std) → what the bias loses.
    """
    old = conv.weight.detach()
    new = old / std[:, None, None] if weight is None else weight(old, std)
    lost = (new * mean[:, None, None]).sum((1, 2, 3)) if constant is None else constant(old, new, mean, std)
    layer = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride if stride else 1)
    bias = conv.bias.detach() if keep and conv.bias is not None else torch.zeros(conv.out_channels)
    layer.weight.data, layer.bias.data = new.clone(), bias - lost
    return layer


def leaving(**changes):
    """An answer that differs from `folded` in these arguments."""
    return lambda conv, mean, std: folded(conv, mean, std, **changes)


def in_place(conv: nn.Conv2d, mean: Tensor, std: Tensor) -> nn.Conv2d:
    layer = folded(conv, mean, std)
    conv.weight.data, conv.bias = layer.weight.data, layer.bias
    return conv


EXERCISES = {
    "7.1": Number(
        minutes=3,
        difficulty="★☆☆ easy",
        right=-1.0,
        tolerance=0.001,
        mistakes=[
            Mistake(
                "no_change",
                "That is so for every s > 0. Here s is negative; what is σ' then? A standard deviation is a root.",
                value=1.0,
            ),
            Mistake(
                "offset",
                "The offset moves every value, and the mean with it. What is left of it in y' - μ'?",
                value=255.0,
            ),
            Mistake("minus_offset", "The sign is right. But the offset is gone with the mean.", value=-255.0),
            Mistake(
                "nothing_left",
                "The offset cancels, the picture does not: dark and bright have changed places, and both are there.",
                value=0.0,
            ),
            Mistake(
                "scaled_by_255",
                "Nothing is divided by 255 here. Write `255 - x` as s · x + t: what is s?",
                value=-1 / 255,
            ),
        ],
        hints=[
            "`255 - x` is s · x + t. Which numbers are s and t?",
            "Which of the two formulas, for μ' and for σ', asks that s is not negative?",
            "Try it: send `x` and `255 - x` through a convolution without padding and `nn.BatchNorm2d`, and compare.",
        ],
        look='the section "Why the scale cannot matter"',
        remark="So the formula does need its s > 0: a network trained on pictures and tested on their negatives gets "
        "other features through its first ReLU.",
    ),
    "7.2": Choice(
        minutes=4,
        difficulty="★★☆ medium",
        right="c",
        wrong={
            "a": "That is so with reflecting padding, or none: there every weight lies on a pixel. On what do "
            "some lie in a corner?",
            "b": "A convolution is linear: what comes in brighter goes out changed, by 0.5 times a sum of weights.",
            "d": "It is the normalization that makes it 0 inside, by taking the mean away. Here is none.",
            "e": "The convolution is linear: its output for `x + 0.5` is that for `x` plus that for 0.5 alone. Does "
            "the second part know the picture?",
        },
        hints=[
            "The output changes by what the convolution makes of a picture that is 0.5 everywhere.",
            "And what does it make of that in the middle, where all nine weights lie on pixels? And in a corner?",
            "Try it: `nn.Conv2d(1, 1, 3, padding=1, bias=False)(torch.full((1, 1, 5, 5), 0.5))`.",
        ],
        look="the remark on zero padding below the last figure",
        remark="A normalization takes one mean for a channel, so it cannot take away a change that differs from "
        "place to place. That is how the offset comes back in.",
    ),
    "7.3": Code(
        minutes=15,
        difficulty="★★★ hard",
        truth=folded,
        trial=try_fold,
        cases=lambda: {
            "three output channels, a bias": (made_conv(True, 1, 3), 30 * pictures(2, 3, 6, 7)),
            "four output channels, no bias": (made_conv(False, 1, 4), 30 * pictures(2, 3, 6, 5, seed=1)),
            "five output channels, a bias, stride 2": (made_conv(True, 2, 5), 30 * pictures(2, 3, 7, 7, seed=2)),
        },
        mistakes=[
            Mistake(
                "multiplied",
                "You multiply the weights by the standard deviations. The pixels were divided by them.",
                like=leaving(weight=lambda w, std: w * std[:, None, None]),
            ),
            Mistake(
                "from_the_right",
                "PyTorch compares shapes from the right: your three numbers were matched with the three columns of the "
                "filter. Which axis of the weights is the input channel?",
                like=leaving(weight=lambda w, std: w / std),
            ),
            Mistake(
                "from_the_right_twice",
                "PyTorch compares shapes from the right: means and standard deviations were both matched with the "
                "three columns of the filter. Which axis of the weights is the input channel?",
                like=leaving(
                    weight=lambda w, std: w / std, constant=lambda w, new, mean, std: (new * mean).sum((1, 2, 3))
                ),
            ),
            Mistake(
                "output_channels",
                "You divide by one number for each *output* channel. Which axis of the weights is the input channel?",
                like=leaving(weight=lambda w, std: w / std.view(-1, 1, 1, 1)),
            ),
            Mistake(
                "mean_undivided",
                "The weights are right. But the mean is taken off before the division, so it is divided as well.",
                like=leaving(constant=lambda w, new, mean, std: (w * mean[:, None, None]).sum((1, 2, 3))),
            ),
            Mistake(
                "sign",
                "The weights are right, the bias has moved the wrong way: the mean is subtracted from the pixels.",
                like=leaving(constant=lambda w, new, mean, std: -(new * mean[:, None, None]).sum((1, 2, 3))),
            ),
            Mistake(
                "no_constant",
                "The scale is right, and the offset is not in it yet: which number does each output lose, since the "
                "means are subtracted?",
                like=leaving(constant=lambda w, new, mean, std: 0.0),
            ),
            Mistake(
                "only_the_mean",
                "The offset is right if nothing is divided. The standard deviations are missing, in weights and bias.",
                like=leaving(weight=lambda w, std: w),
            ),
            Mistake(
                "average_for_sum",
                "A convolution *sums* over its weights, and you average: the bias is too small by a factor.",
                like=leaving(constant=lambda w, new, mean, std: (new * mean[:, None, None]).mean((1, 2, 3))),
            ),
            Mistake(
                "bias_lost",
                "All is there but the bias that the convolution had before.",
                like=leaving(keep=False),
            ),
            Mistake(
                "stride_lost",
                "The new layer has lost the stride of the old one.",
                like=leaving(stride=False),
            ),
            Mistake(
                "given_layer_changed",
                "The output is right. But the layer that was given is no longer what it was: make a new one.",
                like=in_place,
            ),
            Mistake(
                "no_bias_there",
                "One of the convolutions has no bias: its `bias` is None. What does the new one need all the same?",
                raising="NoneType",
            ),
        ],
        hints=[
            "Write (x - m) / s into the sum w · x, for one input channel. What stands in front of x, and what remains?",
            "Each input channel has its own number; in the weights, that is axis 1. `std[:, None, None]` fits it.",
            "What remains does not depend on x, nor on the place: it belongs to the bias, one number for each output "
            "channel.",
        ],
        look='the formula in the section "Why the scale cannot matter"',
        axes=("picture", "channel", "row", "column"),
        remark="The same way, a finished batch normalization is folded into the convolution before it. With zero "
        "padding it would not be exact: the zeros would have to be the means of the colours.",
    ),
}
