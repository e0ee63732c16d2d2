"""Answers to the exercises of notebook 12."""

import torch
from torch import nn

from utils.exercises.definitions import Answers

# --- how-much-too-large


def by_the_formula(mean, var, p):
    return (var + p * mean.square()) / (1 - p) / var


def in_words(mean, var, p):
    scale = 1 / (1 - p)
    square = (1 - p) * scale**2 * (var + mean.square())  # of the share that is left
    return torch.div(square - mean.square(), var)


def forgot_the_mean(mean, var, p):
    return 1 / (1 - p) + 0 * mean


def standard_deviations(mean, var, p):
    return by_the_formula(mean, var, p) ** 0.5


def of_the_mean_square(mean, var, p):
    return (var + mean**2) / (1 - p) / var


def a_number(mean, var, p):
    return by_the_formula(mean, var, p).mean()


# --- dropout-to-the-end


def is_norm(layer):
    return isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d))


def by_a_loop(network):
    left, made, waiting = sum(map(is_norm, network)), [], []
    if not left:
        return nn.Sequential(*network)
    for layer in network:
        if isinstance(layer, nn.Dropout) and left:
            waiting.append(layer)
            continue
        made.append(layer)
        left -= is_norm(layer)
        if not left and waiting:
            made, waiting = made + waiting, []
    return nn.Sequential(*made)


def from_behind(network):
    layers, behind = list(network), []
    while layers and not is_norm(layers[-1]):
        behind.insert(0, layers.pop())
    moved = [layer for layer in layers if isinstance(layer, nn.Dropout)]
    return nn.Sequential(*[layer for layer in layers if layer not in moved], *moved, *behind)


def at_the_very_end(network):
    layers = list(network)
    last = max((i for i, layer in enumerate(layers) if is_norm(layer)), default=-1)
    moved = [layer for layer in layers[: last + 1] if isinstance(layer, nn.Dropout)]
    return nn.Sequential(*[layer for layer in layers if layer not in moved], *moved)


def changes_it(network):
    made = by_a_loop(network)
    for place, layer in enumerate(list(made)):
        network[place] = layer
    return network


def drops_them(network):
    return nn.Sequential(*[layer for layer in network if not isinstance(layer, nn.Dropout)])


def a_list(network):
    return list(by_a_loop(network))


ANSWERS = {
    "how-much-too-large": Answers(
        right=[by_the_formula, in_words],
        wrong=[
            ("mean_forgotten", forgot_the_mean),
            ("roots", standard_deviations),
            ("wrong_values", of_the_mean_square),
            ("wrong_shape", a_number),
        ],
    ),
    "dropout-to-the-end": Answers(
        right=[by_a_loop, from_behind],
        wrong=[
            ("end_of_network", at_the_very_end),
            ("in_place", changes_it),
            ("wrong_values", drops_them),
            ("unusable", a_list),
        ],
    ),
}
