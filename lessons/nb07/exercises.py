"""The exercises of notebook 07: scale and offset of the input."""

from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable
from utils.exercises.differences import compare
from utils.exercises.inputs import pictures

__all__ = ["EXERCISES"]


# --- 7.3 fold

MEAN, STD = torch.tensor([120.0, 95.0, 140.0]), torch.tensor([60.0, 45.0, 80.0])


def made_conv(bias: bool, stride: int, outputs: int, kernel=3) -> nn.Conv2d:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return nn.Conv2d(3, outputs, kernel, stride=stride, bias=bias)


def try_fold(answer, conv: nn.Conv2d, x: Tensor) -> dict:
    """Whether the given layer is what it was, the new one's weights, and if these are right, its bias and output."""
    before, right = deepcopy(conv), folded(conv, MEAN, STD)
    try:
        layer = answer(conv, MEAN.clone(), STD.clone())
    except Exception:
        if same(conv, before):
            raise
        layer = conv
    if not same(conv, before):
        return {"given layer": "changed"}
    found = {"given layer": "unchanged"}
    if layer is None:
        return found | {"weights": None}
    if not isinstance(layer, nn.Module):
        raise Unusable("Return a layer, an `nn.Conv2d`.")
    if type(layer) is not nn.Conv2d:
        raise Unusable("Return one `nn.Conv2d` and nothing around it: an extra pass is what is to be saved.")
    if compare(layer.weight, right.weight):
        return found | {"weights": layer.weight}
    bias = torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias
    with torch.no_grad():
        return found | {"weights": layer.weight, "bias": bias, "output": layer(x)}


def same(layer: nn.Module, other: nn.Module) -> bool:
    mine, its = layer.state_dict(), other.state_dict()
    return mine.keys() == its.keys() and all(torch.equal(mine[name], its[name]) for name in mine)


def made(conv: nn.Conv2d, weight: Tensor, lost: Tensor | float) -> nn.Conv2d:
    """A layer with these weights, and with the bias of `conv` without what is lost."""
    layer = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride)
    layer.weight.data = weight.detach().clone()
    layer.bias.data = ((torch.zeros(conv.out_channels) if conv.bias is None else conv.bias) - lost).detach()
    return layer


def of_the_means(weight: Tensor, mean: Tensor) -> Tensor:
    """What the means add to each output."""
    return (weight * mean[:, None, None]).sum((1, 2, 3))


def folded(conv: nn.Conv2d, mean: Tensor, std: Tensor, times: float = 1.0) -> nn.Conv2d:
    """A right answer. times: how often the means' part is taken away."""
    weight = conv.weight / std[:, None, None]
    return made(conv, weight, times * of_the_means(weight, mean))


def mean_undivided(conv: nn.Conv2d, mean: Tensor, std: Tensor) -> nn.Conv2d:
    return made(conv, conv.weight / std[:, None, None], of_the_means(conv.weight, mean))


def in_place(conv: nn.Conv2d, mean: Tensor, std: Tensor) -> nn.Conv2d:
    conv.weight.data /= std[:, None, None]
    return conv


EXERCISES = {
    "standardizing-for-nothing": Code(
        truth=folded,
        trial=try_fold,
        cases=lambda: {
            "three output channels, a bias": (made_conv(True, 1, 3), 30 * pictures(2, 3, 6, 7)),
            "four output channels, no bias": (made_conv(False, 1, 4), 30 * pictures(2, 3, 6, 5, seed=1)),
            "five output channels, a bias, stride 2, kernels of 3 × 2": (
                made_conv(True, 2, 5, (3, 2)),
                30 * pictures(2, 3, 7, 7, seed=2),
            ),
        },
        axes=("output channel", "input channel", "row", "column"),
        mistakes={
            "given_layer_changed": in_place,
            "no_bias_there": lambda conv, mean, std: folded(conv, mean, std, times=float(conv.bias is not None)),
            "from_the_right": lambda conv, mean, std: made(conv, conv.weight / std, 0.0),
            "mean_undivided": mean_undivided,
            "sign": partial(folded, times=-1.0),
            "no_constant": partial(folded, times=0.0),
        },
    ),
}
