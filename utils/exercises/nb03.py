"""The exercises of notebook 03: what it does to a network."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from utils.exercises.definitions import Code, Mistake, Number
from utils.exercises.nb02 import pictures
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
    "3.1": Number(
        minutes=3,
        difficulty="★☆☆ easy",
        right=100 * math.log10(1.2),
        tolerance=0.1,
        mistakes=[
            Mistake(
                "added",
                "You added up a hundred times a fifth. Each layer multiplies what the one behind it has made of it.",
                value=math.log10(1 + 100 * 0.2),
            ),
            Mistake(
                "times",
                "You took 100 · 1.2. Each layer multiplies what the one behind it has made of it.",
                value=math.log10(100 * 1.2),
            ),
            Mistake("natural", "That is the exponent of e. Asked for is the one of 10.", value=100 * math.log(1.2)),
            Mistake(
                "exponent_of_two", "That is the exponent of 2. Asked for is the one of 10.", value=100 * math.log2(1.2)
            ),
            Mistake(
                "vanishing",
                "The sign says that it becomes smaller. Here it grows from layer to layer, on its way back.",
                value=-100 * math.log10(1.2),
            ),
            Mistake("one_layer", "That is what one layer adds to the exponent.", value=math.log10(1.2)),
            Mistake(
                "factor",
                "You give the factor itself. Asked for is the exponent, when it is written as a power of ten.",
                value=1.2**100,
            ),
        ],
        hints=[
            "How many steps back are there from layer 101 to layer 1? Each is a factor of 1.2.",
            "Take the logarithm of the product: `np.log10`.",
        ],
        look='the claim 3.1 in the section "Before training"',
        remark="Eighty million, and in a network of 20 layers only about thirty: what does no harm here may do some "
        "in a deeper one.",
    ),
    "3.2": Code(
        minutes=8,
        difficulty="★★☆ medium",
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
        mistakes=[
            Mistake(
                "best_run",
                "You compare the luckiest runs. One good seed does not make a good rate, and with more seeds there is "
                "more luck.",
                like=of_best_rates(best_run),
            ),
            Mistake(
                "rate_of_the_best_run",
                "You choose the rate of the luckiest run. What makes a rate the best: its best seed, or the average "
                "over its seeds?",
                like=of_best_rates(at_the_rate_of_the_best_run),
            ),
            Mistake(
                "all_runs",
                "You average over all rates, the bad ones too. Then whoever tried more bad rates looks worse.",
                like=of_best_rates(all_runs),
            ),
            Mistake(
                "same_rate",
                "You compare both at one and the same rate. Each has a best rate of its own.",
                like=at_a_common_rate,
            ),
            Mistake(
                "common_rates",
                "You use only the rates that both have tried. Each kind may have its best elsewhere.",
                like=best_of_common_rates,
            ),
            Mistake(
                "wrong_sign",
                "The sign is wrong: it is to be positive if the normalized network is better.",
                like=lambda plain, normalized: best(plain) - best(normalized),
            ),
            Mistake(
                "ratio",
                "You divide. Asked for is the difference.",
                like=lambda plain, normalized: best(normalized) / best(plain),
            ),
            Mistake(
                "last_rate",
                "You took the last rate of each. Which one is the best is for the accuracies to say.",
                like=of_best_rates(last_rate),
            ),
            Mistake(
                "largest_rate",
                "You took the largest rate. `max` of a dictionary looks at its keys.",
                like=of_best_rates(largest_rate),
            ),
            Mistake(
                "missing_rate",
                "You look up a rate of the one in the results of the other. Not all rates were tried with both.",
                raising="KeyError",
            ),
        ],
        hints=[
            "First, one number for each rate: the mean over its seeds. Then choose.",
            "`plain.values()` are the lists of accuracies. Which rate they belong to, nobody asks in the end.",
        ],
        look='the cell with `best_rate`, in the section "The accuracies, fairly"',
        remark="And it is still a little too kind: the rate was chosen on the same pictures that it is judged on. "
        "With few rates and many pictures that is small.",
    ),
    "3.3": Code(
        minutes=15,
        difficulty="★★★ hard",
        truth=equalizing(),
        trial=try_equalize,
        cases=lambda: {
            "four layers and six pictures": (made_network(4, seed=0), pictures(6, 3, 8, 8)),
            "three layers and four pictures": (made_network(3, seed=1), pictures(4, 3, 8, 6, seed=1)),
        },
        mistakes=[
            Mistake(
                "measured_too_early",
                "The first layer is right. The later ones were measured with what the layers before them gave *before* "
                "the change, and their spread is not 1 any more.",
                like=equalizing(again=False),
            ),
            Mistake(
                "bias_forgotten",
                "The bias was not divided. Then a layer's output is not simply divided by the number.",
                like=equalizing(bias=False),
            ),
            Mistake(
                "std_of_all",
                "You made the standard deviation of all values 1. Notebook 01 calls that figure a liar: take the "
                "spread across images.",
                like=equalizing(lambda output: output.std()),
            ),
            Mistake(
                "within_image",
                "You measure how the values differ within each picture, not from picture to picture.",
                like=equalizing(lambda output: output.std((1, 2, 3), unbiased=False).square().mean().sqrt()),
            ),
            Mistake(
                "unbiased",
                "Your standard deviation over the batch divides by n - 1; the task asks for n.",
                like=equalizing(lambda output: output.std(0).square().mean().sqrt()),
            ),
            Mistake(
                "mean_of_stds",
                "You take the mean over the units. The task asks for the root mean square.",
                like=equalizing(lambda output: output.std(0, unbiased=False).mean()),
            ),
            Mistake(
                "variance",
                "You divide by the variance: a square root is missing.",
                like=equalizing(lambda output: output.var(0, unbiased=False).mean()),
            ),
            Mistake(
                "multiplied",
                "You multiply by the spread, which makes what is small smaller still.",
                like=equalizing(lambda output: 1 / spread(output)),
            ),
            Mistake(
                "before_relu",
                "You measured what the convolution puts out. The layer's output comes after the ReLU.",
                like=equalizing(before_relu=True),
            ),
            Mistake(
                "nothing_changed",
                "The network is as it was. A new tensor in a variable is not in the network: write into the parameter.",
                like=nothing,
            ),
            Mistake(
                "needs_no_grad",
                "You write into a parameter while gradients are recorded. `torch.no_grad()` is for that.",
                raising="RuntimeError: a (leaf Variable|view of a leaf Variable) that requires grad",
            ),
            Mistake(
                "no_parameter",
                "You put a plain tensor where the convolution has a parameter. Change the parameter itself, in place.",
                raising="TypeError: cannot assign '.*' as parameter",
            ),
        ],
        hints=[
            "If weight and bias of a convolution are divided by a positive number, by what is the layer's output "
            "divided? The ReLU changes nothing about it.",
            "One layer at a time: send x through it, measure, divide. And what does the next layer get?",
            "In place, under `torch.no_grad()`: `/=` does it.",
        ],
        look='`spread` in the section "The figure that lies" of notebook 01',
        remark="Mishkin & Matas do nearly this, and call it layer-sequential unit-variance initialization: one batch "
        "is normalized, before the first step. Batch normalization does it at every step.",
    ),
}
