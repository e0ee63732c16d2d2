"""Answers to the exercises of notebook 03."""

from statistics import mean, median

import numpy as np
import torch

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


def pooled(plain, normalized):
    return np.mean(np.concatenate(list(normalized.values()))) - np.mean(np.concatenate(list(plain.values())))


def sorted_rates(plain, normalized):
    return mean(normalized[sorted(normalized)[-1]]) - mean(plain[sorted(plain)[-1]])


def rate_of_plain(plain, normalized):
    rate = max(plain, key=lambda rate: mean(plain[rate]))
    return mean(normalized[rate]) - mean(plain[rate])


def of_the_medians(plain, normalized):
    return max(map(median, normalized.values())) - max(map(median, plain.values()))


def in_points(plain, normalized):
    return 100 * by_a_loop(plain, normalized)


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


def of_each_channel(measure):
    def equalize(network, pictures):
        x = pictures
        with torch.no_grad():
            for layer in network.layers:
                spreads = measure(layer(x))  # (C,)
                layer.conv.weight /= spreads[:, None, None, None]
                layer.conv.bias /= spreads
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


def the_head_too(network, pictures):
    by_data(network, pictures)
    network.head.weight.data /= 2


def frozen(network, pictures):
    by_data(network.requires_grad_(False), pictures)


def left_in_evaluation(network, pictures):
    by_data(network.eval(), pictures)


ANSWERS = {
    "what-is-it-worth": Answers(
        right=[by_a_loop, by_the_rate],
        wrong=[
            ("all_runs", pooled),
            ("largest_rate", sorted_rates),
            ("missing_rate", rate_of_plain),
            ("wrong_values", of_the_medians),
            ("wrong_values", in_points),
        ],
    ),
    "good-init": Answers(
        right=[by_data, by_dividing_the_output],
        wrong=[
            ("measured_too_early", all_at_once),
            ("nothing_changed", in_a_variable),
            ("needs_no_grad", while_recording),
            ("wrong_values", of_each_channel(lambda y: y.std(0, unbiased=False).square().mean((1, 2)).sqrt())),
            ("wrong_values", of_each_channel(lambda y: y.std((0, 2, 3)))),
            ("wrong_values", the_head_too),
            ("wrong_values", frozen),
            ("wrong_values", left_in_evaluation),
        ],
    ),
}
