"""The exercises of notebook 03: what it does to a network."""

from collections.abc import Callable

import torch
from torch import Tensor

from utils.exercises.definitions import Code
from utils.exercises.inputs import pictures
from utils.models import ConvNet

__all__ = ["EXERCISES"]

Runs = dict[float, list[float]]  # learning rate → the accuracy with each seed


# --- 3.2 gap


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def best(runs: Runs) -> float:
    return max(mean(accuracies) for accuracies in runs.values())


def of_best_rates(measure: Callable[[Runs], float]) -> Callable[[Runs, Runs], float]:
    return lambda plain, normalized: measure(normalized) - measure(plain)


def best_run(runs: Runs) -> float:
    return max(max(accuracies) for accuracies in runs.values())


def at_the_rate_of_the_best_run(runs: Runs) -> float:
    return mean(max(runs.values(), key=max))


def all_runs(runs: Runs) -> float:
    return mean([accuracy for accuracies in runs.values() for accuracy in accuracies])


def last_rate(runs: Runs) -> float:
    return mean(list(runs.values())[-1])


def largest_rate(runs: Runs) -> float:
    return mean(runs[max(runs)])


def common(plain: Runs, normalized: Runs) -> list[float]:
    return [rate for rate in plain if rate in normalized]


def at_a_common_rate(plain: Runs, normalized: Runs) -> float:
    return max(mean(normalized[rate]) - mean(plain[rate]) for rate in common(plain, normalized))


def best_of_common_rates(plain: Runs, normalized: Runs) -> float:
    return max(mean(normalized[r]) for r in common(plain, normalized)) - max(
        mean(plain[r]) for r in common(plain, normalized)
    )


# --- 3.3 equalize


def made_network(depth: int, seed: int) -> ConvNet:
    return ConvNet(depth=depth, widths=(4, 6), seed=seed)


def try_equalize(answer, network: ConvNet, x: Tensor) -> dict:
    """The parameters afterwards; that of a layer is wrong where the one before it is."""
    answer(network, x)
    found = {}
    for place, layer in enumerate(network.layers, 1):
        found[f"weight of convolution {place}"] = layer.conv.weight.detach().clone()
        found[f"bias of convolution {place}"] = layer.conv.bias.detach().clone()
    found["weight of the last, linear layer"] = network.head.weight.detach().clone()
    found["bias of the last, linear layer"] = network.head.bias.detach().clone()
    return found


def spread(output: Tensor) -> Tensor:
    return output.std(0, unbiased=False).square().mean().sqrt()


def equalizing(measure: Callable[[Tensor], Tensor] = spread, bias=True, again=True, before_relu=False) -> Callable:
    """An answer; the arguments are what can be wrong with it."""

    @torch.no_grad()
    def answer(network: ConvNet, x: Tensor) -> None:
        for layer in network.layers:
            output = layer(x)
            factor = measure(layer.conv(x) if before_relu else output)
            layer.conv.weight /= factor
            if bias:
                layer.conv.bias /= factor
            x = layer(x) if again else output

    return answer


def nothing(network: ConvNet, x: Tensor) -> None:
    pass


EXERCISES = {
    "what-is-it-worth": Code(
        truth=of_best_rates(best),
        cases=lambda: {
            "three rates and three seeds": (
                {0.003: [0.21, 0.24, 0.22], 0.01: [0.32, 0.11, 0.12], 0.03: [0.18, 0.16, 0.2]},
                {0.01: [0.33, 0.34, 0.33], 0.03: [0.41, 0.4, 0.39], 0.1: [0.44, 0.3, 0.31]},
            ),
            "another number of seeds": (
                {0.01: [0.2, 0.5, 0.17, 0.16], 0.1: [0.1, 0.1, 0.1, 0.1], 0.03: [0.3, 0.31]},
                {0.1: [0.26, 0.23], 0.01: [0.22, 0.18, 0.36], 0.3: [0.2, 0.2, 0.24]},
            ),
        },
        mistakes={
            "best_run": of_best_rates(best_run),
            "rate_of_the_best_run": of_best_rates(at_the_rate_of_the_best_run),
            "all_runs": of_best_rates(all_runs),
            "same_rate": at_a_common_rate,
            "common_rates": best_of_common_rates,
            "wrong_sign": lambda plain, normalized: best(plain) - best(normalized),
            "ratio": lambda plain, normalized: best(normalized) / best(plain),
            "last_rate": of_best_rates(last_rate),
            "largest_rate": of_best_rates(largest_rate),
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
            "within_image": equalizing(lambda output: output.std((1, 2, 3), unbiased=False).square().mean().sqrt()),
            "unbiased": equalizing(lambda output: output.std(0).square().mean().sqrt()),
            "mean_of_stds": equalizing(lambda output: output.std(0, unbiased=False).mean()),
            "variance": equalizing(lambda output: output.var(0, unbiased=False).mean()),
            "multiplied": equalizing(lambda output: 1 / spread(output)),
            "before_relu": equalizing(before_relu=True),
            "nothing_changed": nothing,
        },
    ),
}
