"""The exercises of notebook 03: what it does to a network."""

from collections.abc import Callable
from statistics import mean

import torch
from torch import Tensor

from utils.exercises.definitions import Code
from utils.exercises.inputs import pictures
from utils.models import ConvNet

__all__ = ["EXERCISES"]

Runs = dict[float, list[float]]  # learning rate → the accuracy with each seed


# --- 3.2 gap


def of_each(measure: Callable[[Runs], float]) -> Callable[[Runs, Runs], float]:
    return lambda plain, normalized: measure(normalized) - measure(plain)


def at_a_common_rate(plain: Runs, normalized: Runs) -> float:
    return max(mean(normalized[rate]) - mean(plain[rate]) for rate in plain.keys() & normalized.keys())


def runs_to_compare() -> dict[str, tuple[Runs, Runs]]:
    """Two cases, named by the call, since only who knows the numbers can find out what went wrong with them."""
    first = (
        {0.03: [0.18, 0.14], 0.003: [0.2, 0.24], 0.01: [0.3, 0.1]},
        {0.1: [0.44, 0.3], 0.01: [0.33, 0.35], 0.03: [0.41, 0.39]},
    )
    second = (
        {0.03: [0.3, 0.31, 0.26], 0.01: [0.5, 0.1, 0.15], 0.1: [0.1, 0.1, 0.1]},
        {0.1: [0.26, 0.3], 0.01: [0.38, 0.16], 0.3: [0.2, 0.22]},
    )
    return {f"`gap({plain}, {normalized})`": (plain, normalized) for plain, normalized in (first, second)}


# --- 3.3 equalize


def made_network(depth: int, seed: int) -> ConvNet:
    return ConvNet(depth=depth, widths=(4, 6), seed=seed)


def try_equalize(answer, network: ConvNet, x: Tensor) -> dict:
    """The network afterwards; a parameter of a layer is wrong where that of the one before it is."""
    before = [layer.conv.weight.detach().clone() for layer in network.layers]
    answer(network, x)
    found = {}
    for place, (layer, weight) in enumerate(zip(network.layers, before, strict=True), 1):
        found[f"divisor of convolution {place}"] = kind_of_divisor(weight / layer.conv.weight.detach())
        found[f"weight of convolution {place}"] = layer.conv.weight.detach().clone()
        found[f"bias of convolution {place}"] = layer.conv.bias.detach().clone()
    found["weight of the last, linear layer"] = network.head.weight.detach().clone()
    found["bias of the last, linear layer"] = network.head.bias.detach().clone()
    found["parameters that require gradients"] = str(sum(p.requires_grad for p in network.parameters()))
    found["mode of the network"] = "training" if network.training else "evaluation"
    return found


def kind_of_divisor(ratio: Tensor) -> str:
    """By what the weights of a convolution, (channels out, channels in, k, k), were divided."""
    rows = ratio.flatten(1)
    for form, same in (("one number for all channels", rows[:1, :1]), ("a number for each channel", rows[:, :1])):
        if torch.allclose(rows, same.expand_as(rows), rtol=1e-3, equal_nan=True):
            return form
    return "another number for each weight"


def spread(output: Tensor) -> Tensor:
    return output.std(0, unbiased=False).square().mean().sqrt()


def equalizing(measure: Callable[[Tensor], Tensor] = spread, bias: bool = True, again: bool = True) -> Callable:
    """An answer; the arguments are what can be wrong with it."""

    @torch.no_grad()
    def answer(network: ConvNet, x: Tensor) -> None:
        for layer in network.layers:
            output = layer(x)
            factor = measure(output)
            layer.conv.weight /= factor
            if bias:
                layer.conv.bias /= factor
            x = layer(x) if again else output

    return answer


@torch.no_grad()
def before_the_relu(network: ConvNet, x: Tensor, measure: Callable[[Tensor], Tensor] = spread) -> None:
    for layer in network.layers:
        factor = measure(layer.conv(x))
        layer.conv.weight /= factor
        layer.conv.bias /= factor
        x = layer(x)


EXERCISES = {
    "what-is-it-worth": Code(
        truth=of_each(lambda runs: max(map(mean, runs.values()))),
        cases=runs_to_compare,
        mistakes={
            "best_run": of_each(lambda runs: max(map(max, runs.values()))),
            "rate_of_the_best_run": of_each(lambda runs: mean(max(runs.values(), key=max))),
            "all_runs": of_each(lambda runs: mean(map(mean, runs.values()))),
            "same_rate": at_a_common_rate,
            "largest_rate": of_each(lambda runs: mean(runs[max(runs)])),
        },
    ),
    "good-init": Code(
        truth=equalizing(),
        trial=try_equalize,
        cases=lambda: {
            "four layers and six pictures": (made_network(4, seed=0), pictures(6, 3, 8, 8)),
            "three layers and four pictures": (made_network(3, seed=1), pictures(4, 3, 8, 6, seed=1)),
        },
        mistakes={
            "measured_too_early": equalizing(again=False),
            "bias_forgotten": equalizing(bias=False),
            "std_of_all": equalizing(lambda output: output.std()),
            "unbiased": equalizing(lambda output: output.std(0).square().mean().sqrt()),
            "before_the_relu": before_the_relu,
            "as_the_notebook": lambda network, x: before_the_relu(network, x, torch.std),
            "nothing_changed": lambda network, x: None,
        },
    ),
}
