"""Answers to the exercises of notebook 03."""

from statistics import mean

import numpy as np
import torch
from torch import nn

from utils.exercises.definitions import Answers

# --- 3.2


def by_a_loop(plain, normalized):
    best = []
    for runs in (plain, normalized):
        highest = 0
        for accuracies in runs.values():
            highest = max(highest, sum(accuracies) / len(accuracies))
        best.append(highest)
    return best[1] - best[0]


def by_the_rate(plain, normalized):
    plain_rate = max(plain, key=lambda rate: np.mean(plain[rate]))
    normalized_rate = max(normalized, key=lambda rate: np.mean(normalized[rate]))
    return torch.tensor(normalized[normalized_rate]).mean() - torch.tensor(plain[plain_rate]).mean()


def by_sorting(plain, normalized):
    return sorted(map(mean, normalized.values()))[-1] - sorted(map(mean, plain.values()))[-1]


def highest(runs):
    return max(mean(accuracies) for accuracies in runs.values())


def luckiest(plain, normalized):
    first, second = (max(accuracy for row in runs.values() for accuracy in row) for runs in (plain, normalized))
    return second - first


def rate_of_the_luckiest(plain, normalized):
    first, second = (max((max(row), mean(row)) for row in runs.values())[1] for runs in (plain, normalized))
    return second - first


def pooled(plain, normalized):
    return np.mean(np.concatenate(list(normalized.values()))) - np.mean(np.concatenate(list(plain.values())))


def rate_by_rate(plain, normalized):
    return max(mean(normalized[rate]) - mean(plain[rate]) for rate in set(plain) & set(normalized))


def tried_by_both(plain, normalized):
    both = set(plain) & set(normalized)
    return highest({rate: normalized[rate] for rate in both}) - highest({rate: plain[rate] for rate in both})


def plain_minus_normalized(plain, normalized):
    return highest(plain) - highest(normalized)


def times_as_good(plain, normalized):
    return highest(normalized) / highest(plain)


def whichever_came_last(plain, normalized):
    for accuracies in plain.values():
        first = mean(accuracies)
    for accuracies in normalized.values():
        second = mean(accuracies)
    return second - first


def max_of_a_dictionary(plain, normalized):
    return mean(normalized[max(normalized)]) - mean(plain[max(plain)])


def rate_of_plain(plain, normalized):
    rate = min(plain)
    return mean(normalized[rate]) - mean(plain[rate])


def in_points(plain, normalized):
    return 100 * by_a_loop(plain, normalized)


def both_numbers(plain, normalized):
    return highest(plain), highest(normalized)


def no_return(plain, normalized):
    by_a_loop(plain, normalized)


# --- 3.3


def spread(x):
    return (x - x.mean(0)).pow(2).mean().sqrt()


def by_data(network, pictures):
    """The whole front of the network anew for each layer, and writing into `.data`."""
    for k in range(len(network.layers)):
        factor = spread(network.layers[: k + 1](pictures).detach()).item()
        for parameter in network.layers[k].conv.parameters():
            parameter.data = parameter.data / factor


def by_dividing_the_output(network, pictures):
    """What goes on is the output divided, which is the same."""
    x = pictures
    with torch.no_grad():
        for layer in network.layers:
            x = layer(x)
            s = spread(x)
            x = x / s
            layer.conv.weight.div_(s)
            layer.conv.bias.div_(s)


def by_hooks(network, pictures):
    def divide(layer, inputs, output):
        s = spread(output)
        layer.conv.weight.copy_(layer.conv.weight / s)
        layer.conv.bias.copy_(layer.conv.bias / s)
        return output / s

    handles = [layer.register_forward_hook(divide) for layer in network.layers]
    with torch.no_grad():
        network(pictures)
    for handle in handles:
        handle.remove()


def dividing(measure, bias=True, of_convolution=False):
    def equalize(network, pictures):
        x = pictures
        with torch.no_grad():
            for layer in network.layers:
                factor = measure(layer.conv(x) if of_convolution else layer(x))
                layer.conv.weight.mul_(1 / factor)
                if bias:
                    layer.conv.bias.mul_(1 / factor)
                x = layer(x)

    return equalize


def all_at_once(network, pictures):
    x, factors = pictures, []
    with torch.no_grad():
        for layer in network.layers:
            x = layer(x)
            factors.append(spread(x))
        for layer, factor in zip(network.layers, factors, strict=True):
            layer.conv.weight.div_(factor)
            layer.conv.bias.div_(factor)


def in_a_variable(network, pictures):
    x = pictures
    for layer in network.layers:
        x = layer(x)
        weight = layer.conv.weight / spread(x)
        bias = layer.conv.bias / spread(x)
    return weight, bias


def while_recording(network, pictures):
    x = pictures
    for layer in network.layers:
        layer.conv.weight /= spread(layer(x))
        x = layer(x)


def plain_tensors(network, pictures):
    for layer in network.layers:
        layer.conv.weight = layer.conv.weight / spread(layer(pictures))


def the_head_too(network, pictures):
    by_data(network, pictures)
    network.head.weight.data /= 2


def of_the_layer(network, pictures):
    for layer in network.layers:
        layer.weight = nn.Parameter(layer.weight / 2)


ANSWERS = {
    "what-is-it-worth": Answers(
        right=[by_a_loop, by_the_rate, by_sorting],
        wrong=[
            ("best_run", luckiest),
            ("rate_of_the_best_run", rate_of_the_luckiest),
            ("all_runs", pooled),
            ("same_rate", rate_by_rate),
            ("common_rates", tried_by_both),
            ("wrong_sign", plain_minus_normalized),
            ("ratio", times_as_good),
            ("last_rate", whichever_came_last),
            ("largest_rate", max_of_a_dictionary),
            ("missing_rate", rate_of_plain),
            ("wrong_values", in_points),
            ("wrong_shape", both_numbers),
            ("returns_none", no_return),
        ],
    ),
    "good-init": Answers(
        right=[by_data, by_dividing_the_output, by_hooks],
        wrong=[
            ("measured_too_early", all_at_once),
            ("bias_forgotten", dividing(spread, bias=False)),
            ("std_of_all", dividing(torch.std)),
            ("within_image", dividing(lambda y: (y - y.mean((1, 2, 3), keepdim=True)).square().mean().sqrt())),
            ("unbiased", dividing(lambda y: y.std(0).pow(2).mean().sqrt())),
            ("mean_of_stds", dividing(lambda y: (y - y.mean(0)).square().mean(0).sqrt().mean())),
            ("variance", dividing(lambda y: (y - y.mean(0)).square().mean())),
            ("multiplied", dividing(lambda y: 1 / spread(y))),
            ("before_relu", dividing(spread, of_convolution=True)),
            ("nothing_changed", in_a_variable),
            ("needs_no_grad", while_recording),
            ("no_parameter", plain_tensors),
            ("wrong_values", the_head_too),
            ("raises", of_the_layer),
        ],
    ),
}
