"""Answers to the exercises of notebook 04."""

import torch
from torch import nn

from utils.exercises.definitions import Answers

# --- 4.3


def by_lerp(running_mean, running_var, x, momentum):
    rows = x.transpose(0, 1).flatten(1)
    return torch.lerp(running_mean, rows.mean(1), momentum), torch.lerp(running_var, rows.var(1), momentum)


def by_pytorch(running_mean, running_var, x, momentum):
    layer = nn.BatchNorm2d(x.shape[1], momentum=momentum)
    layer.running_mean.copy_(running_mean)
    layer.running_var.copy_(running_var)
    layer(x)
    return [layer.running_mean, layer.running_var]


def with_axes_kept(running_mean, running_var, x, momentum):
    shape = (1, -1, 1, 1)
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True)
    keep = 1 - momentum
    return keep * running_mean.view(shape) + momentum * mean, keep * running_var.view(shape) + momentum * var


def step(old, new, share):
    return (1 - share) * old + share * new


def biased(running_mean, running_var, x, momentum):
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    return step(running_mean, mean, momentum), step(running_var, var, momentum)


def as_keras(running_mean, running_var, x, momentum):
    mean = momentum * running_mean + (1 - momentum) * x.mean((0, 2, 3))
    return mean, momentum * running_var + (1 - momentum) * x.var((0, 2, 3))


def deviations_squared(running_mean, running_var, x, momentum):
    std = step(running_var**0.5, x.std((0, 2, 3)), momentum)
    return step(running_mean, x.mean((0, 2, 3)), momentum), std * std


def deviations(running_mean, running_var, x, momentum):
    return step(running_mean, x.mean((0, 2, 3)), momentum), step(running_var, x.std((0, 2, 3)), momentum)


def only_the_mean(running_mean, running_var, x, momentum):
    return step(running_mean, x.mean((0, 2, 3)), momentum), running_var


def grows(running_mean, running_var, x, momentum):
    return running_mean + momentum * x.mean((0, 2, 3)), running_var + momentum * x.var((0, 2, 3))


def the_batch(running_mean, running_var, x, momentum):
    rows = x.movedim(1, 0).reshape(x.shape[1], -1)
    return rows.mean(1), rows.var(1)


def other_order(running_mean, running_var, x, momentum):
    return by_lerp(running_mean, running_var, x, momentum)[::-1]


def around_the_running_mean(running_mean, running_var, x, momentum):
    distances = x.movedim(1, 0).flatten(1) - running_mean[:, None]
    var = distances.square().sum(1) / (distances.shape[1] - 1)
    return step(running_mean, x.mean((0, 2, 3)), momentum), step(running_var, var, momentum)


def in_place(running_mean, running_var, x, momentum):
    running_mean.lerp_(x.mean((0, 2, 3)), momentum)
    running_var.lerp_(x.var((0, 2, 3)), momentum)
    return running_mean, running_var


def each_image(running_mean, running_var, x, momentum):
    return step(running_mean, x.mean((1, 2, 3)), momentum), step(running_var, x.var((1, 2, 3)), momentum)


def mean_alone(running_mean, running_var, x, momentum):
    return step(running_mean, x.mean((0, 2, 3)), momentum)


def nothing(running_mean, running_var, x, momentum):
    running_mean = step(running_mean, x.mean((0, 2, 3)), momentum)


# --- 4.4


def layers_of(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def by_update_bn(network, batches):
    torch.optim.swa_utils.update_bn(batches, network)
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


def by_hooks(network, batches):
    """The statistics of what comes into each layer, taken by hand."""
    seen = {layer: [] for layer in layers_of(network)}
    hooks = [
        layer.register_forward_pre_hook(
            lambda layer, inputs: seen[layer].append((inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))))
        )
        for layer in seen
    ]
    network.train()
    with torch.no_grad():
        for batch in batches:
            network(batch)
        for layer, rows in seen.items():
            layer.running_mean.copy_(torch.stack([mean for mean, _ in rows]).mean(0))
            layer.running_var.copy_(torch.stack([var for _, var in rows]).mean(0))
    for hook in hooks:
        hook.remove()
    network.eval()


def steps(*names):
    """A recalibration that leaves out the steps that are not named."""

    def recalibrate(network, batches):
        before = [layer.momentum for layer in layers_of(network)]
        for layer in layers_of(network):
            if "reset" in names:
                layer.reset_running_stats()
            if "momentum" in names:
                layer.momentum = None
        if "train" in names:
            network.train()
        else:
            network.eval()
        if "batches" in names:
            for batch in batches:
                if "reset each time" in names:
                    for layer in layers_of(network):
                        layer.reset_running_stats()
                network(batch)
                if "break" in names:
                    break
        if "joined" in names:
            network(torch.cat(batches, dim=0))
        if "restore" in names:
            for layer, momentum in zip(layers_of(network), before, strict=True):
                layer.momentum = momentum
        if "eval" in names:
            network.eval()

    return recalibrate


def resets_parameters(network, batches):
    for layer in layers_of(network):
        layer.reset_parameters()
    by_growing_shares(network, batches)


def trains(network, batches):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    by_growing_shares(network, batches)
    network(batches[0]).sum().backward()
    optimizer.step()


def takes_pairs(network, batches):
    for pictures, _ in batches:
        network(pictures)


def calls_a_list(network, batches):
    network(batches)


ANSWERS = {
    "one-step-of-the-estimates": Answers(
        right=[by_lerp, by_pytorch, with_axes_kept],
        wrong=[
            ("biased", biased),
            ("keras", as_keras),
            ("of_deviations", deviations_squared),
            ("deviation_for_variance", deviations),
            ("mean_only", only_the_mean),
            ("without_forgetting", grows),
            ("last_batch", the_batch),
            ("exchanged", other_order),
            ("around_the_old_mean", around_the_running_mean),
            ("changes_input", in_place),
            ("raises", each_image),
            ("unusable", mean_alone),
            ("returns_none", nothing),
        ],
    ),
    "remember-anew": Answers(
        right=[by_update_bn, by_growing_shares, by_hooks],
        wrong=[
            ("no_reset", steps("momentum", "train", "batches", "restore", "eval")),
            ("moving_average", steps("reset", "train", "batches", "eval")),
            ("nothing_forgotten", steps("train", "batches", "eval")),
            ("evaluation_mode", steps("reset", "momentum", "batches", "restore")),
            ("unmoved", steps("batches")),
            ("left_in_training", steps("reset", "momentum", "train", "batches", "restore")),
            ("momentum_lost", steps("reset", "momentum", "train", "batches", "eval")),
            ("both_left", steps("reset", "momentum", "train", "batches")),
            ("last_batch", steps("momentum", "train", "batches", "reset each time", "restore", "eval")),
            ("first_batch", steps("reset", "momentum", "train", "batches", "break", "restore", "eval")),
            ("one_large_batch", steps("reset", "momentum", "train", "joined", "restore", "eval")),
            ("parameters_reset", resets_parameters),
            ("wrong_values", trains),
            ("raises", takes_pairs),
            ("raises", calls_a_list),
        ],
    ),
}
