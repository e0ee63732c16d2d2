"""The exercises of notebook 07: scale and offset of the input."""

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable
from utils.exercises.inputs import pictures

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
    "standardizing-for-nothing": Code(
        truth=folded,
        trial=try_fold,
        cases=lambda: {
            "three output channels, a bias": (made_conv(True, 1, 3), 30 * pictures(2, 3, 6, 7)),
            "four output channels, no bias": (made_conv(False, 1, 4), 30 * pictures(2, 3, 6, 5, seed=1)),
            "five output channels, a bias, stride 2": (made_conv(True, 2, 5), 30 * pictures(2, 3, 7, 7, seed=2)),
        },
        axes=("picture", "channel", "row", "column"),
        mistakes={
            "multiplied": leaving(weight=lambda w, std: w * std[:, None, None]),
            "from_the_right": leaving(weight=lambda w, std: w / std),
            "from_the_right_twice": leaving(
                weight=lambda w, std: w / std, constant=lambda w, new, mean, std: (new * mean).sum((1, 2, 3))
            ),
            "output_channels": leaving(weight=lambda w, std: w / std.view(-1, 1, 1, 1)),
            "mean_undivided": leaving(constant=lambda w, new, mean, std: (w * mean[:, None, None]).sum((1, 2, 3))),
            "sign": leaving(constant=lambda w, new, mean, std: -(new * mean[:, None, None]).sum((1, 2, 3))),
            "no_constant": leaving(constant=lambda w, new, mean, std: 0.0),
            "only_the_mean": leaving(weight=lambda w, std: w),
            "average_for_sum": leaving(constant=lambda w, new, mean, std: (new * mean[:, None, None]).mean((1, 2, 3))),
            "bias_lost": leaving(keep=False),
            "stride_lost": leaving(stride=False),
            "given_layer_changed": in_place,
        },
    ),
}
