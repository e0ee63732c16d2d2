"""Answers to the exercises of notebook 04."""

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from utils.exercises.definitions import Answers

# --- 4.3


def by_lerp(running_mean, running_var, x, momentum):
    rows = x.transpose(0, 1).flatten(1)
    return torch.lerp(running_mean, rows.mean(1), momentum), torch.lerp(running_var, rows.var(1), momentum)


def with_axes_kept(running_mean, running_var, x, momentum):
    shape = (1, -1, 1, 1)
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True)
    keep = 1 - momentum
    return keep * running_mean.view(shape) + momentum * mean, keep * running_var.view(shape) + momentum * var


def step(old, new, share):
    return (1 - share) * old + share * new


def biased(running_mean, running_var, x, momentum):
    mean = x.mean((0, 2, 3))
    var = (x - mean[:, None, None]).square().mean((0, 2, 3))
    return step(running_mean, mean, momentum), step(running_var, var, momentum)


def other_order(running_mean, running_var, x, momentum):
    return by_lerp(running_mean, running_var, x, momentum)[::-1]


def in_place(running_mean, running_var, x, momentum):
    running_mean.lerp_(x.mean((0, 2, 3)), momentum)
    running_var.lerp_(x.var((0, 2, 3)), momentum)
    return running_mean, running_var


def mean_alone(running_mean, running_var, x, momentum):
    return step(running_mean, x.mean((0, 2, 3)), momentum)


# --- 4.4


def layers_of(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def by_update_bn(network, batches):
    update_bn(batches, network)
    network.eval()


def by_growing_shares(network, batches):
    """α = 1/k at batch k, so that no reset is needed."""
    network.train()
    momenta = {layer: layer.momentum for layer in layers_of(network)}
    with torch.no_grad():
        for k, batch in enumerate(batches, 1):
            for layer in momenta:
                layer.momentum = 1 / k
            network(batch)
    for layer, momentum in momenta.items():
        layer.momentum = momentum
    network.train(False)


def never_trains(network, batches):
    """Right for a network that comes in training mode."""
    momenta = {layer: layer.momentum for layer in layers_of(network)}
    for layer in momenta:
        layer.reset_running_stats()
        layer.momentum = None
    _ = [network(batch) for batch in batches]
    for layer, momentum in momenta.items():
        layer.momentum = momentum
    network.eval()


def without_eval(network, batches):
    network.train()
    update_bn(batches, network)
    network.train()


def as_it_came(network, batches):
    update_bn(batches, network)  # puts the mode back


def normalizations_left_in_training(network, batches):
    by_update_bn(network, batches)
    for layer in layers_of(network):
        layer.train()


def sets_every_momentum_to_the_default(network, batches):
    update_bn(batches, network)
    for layer in layers_of(network):
        layer.momentum = 0.1
    network.eval()


def resets_parameters(network, batches):
    for layer in layers_of(network):
        layer.reset_parameters()
    by_growing_shares(network, batches)


def takes_pairs(network, batches):
    for pictures, _ in batches:
        network(pictures)


ANSWERS = {
    "one-step-of-the-estimates": Answers(
        right=[by_lerp, with_axes_kept],
        wrong=[
            ("biased", biased),
            ("wrong_values", other_order),
            ("changes_input", in_place),
            ("unusable", mean_alone),
        ],
    ),
    "remember-anew": Answers(
        right=[by_update_bn, by_growing_shares],
        wrong=[
            ("evaluation_mode", never_trains),
            ("left_in_training", without_eval),
            ("wrong_values", as_it_came),
            ("wrong_values", normalizations_left_in_training),
            ("wrong_values", sets_every_momentum_to_the_default),
            ("wrong_values", resets_parameters),
            ("raises", takes_pairs),
        ],
    ),
}
