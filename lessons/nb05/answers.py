"""Answers to the exercises of notebook 05."""

import copy
from contextlib import suppress

from torch import nn

from utils.exercises.definitions import Answers
from utils.layers import FirstBatchNorm2d

# --- 5.3


def firsts(network):
    """(parent, name, layer) of each first layer, wherever it is."""
    return [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, FirstBatchNorm2d)
    ]


def by_names(network):
    """Finds the parent by the part of the name before the last dot."""
    for path, old in list(network.named_modules()):
        if type(old) is FirstBatchNorm2d:
            parent, _, name = path.rpartition(".")
            new = nn.BatchNorm2d(old.a.shape[0])
            new.weight = nn.Parameter(old.m.detach()[:, 0, 0].clone())
            new.bias = nn.Parameter(old.a.detach()[:, 0, 0].clone())
            if "means" in vars(old):
                new.running_mean = old.means.detach().squeeze()
                new.running_var = old.stds.detach().squeeze().pow(2)
            new.training = old.training
            setattr(network.get_submodule(parent), name, new)


def by_a_state(network):
    for parent, name, old in firsts(network):
        new = nn.BatchNorm2d(len(old.m))
        state = {"weight": old.m.view(-1), "bias": old.a.view(-1)}
        with suppress(AttributeError):
            state |= {"running_mean": old.means.view(-1), "running_var": old.stds.square().view(-1)}
        new.load_state_dict(state, strict=False)
        parent._modules[name] = new.train() if old.training else new.eval()


def and_returns_it(network):
    by_names(network)
    return network


def a_new_variable(network):
    for module in network.modules():
        if isinstance(module, FirstBatchNorm2d):
            module = nn.BatchNorm2d(len(module.m))


def in_a_copy(network):
    changed = copy.deepcopy(network)
    by_a_state(changed)
    return changed


def always_remembered(network):
    for parent, name, old in firsts(network):
        new = nn.BatchNorm2d(len(old.m)).train(old.training)
        new.weight.data, new.bias.data = old.m.data.flatten(), old.a.data.flatten()
        new.running_mean, new.running_var = old.means.detach().flatten(), old.stds.detach().flatten().square()
        setattr(parent, name, new)


def with_the_graph(network):
    for parent, name, old in firsts(network):
        new = nn.BatchNorm2d(len(old.m)).train(old.training)
        new.weight.data, new.bias.data = old.m.data.flatten(), old.a.data.flatten()
        if hasattr(old, "means"):
            new.running_mean, new.running_var = old.means.flatten(), old.stds.flatten().square()
        setattr(parent, name, new)


def in_the_mode_of_the_network(network):
    by_names(network)
    network.train(network.training)


def instance_norm(network):
    for parent, name, old in firsts(network):
        setattr(parent, name, nn.InstanceNorm2d(len(old.m)))


ANSWERS = {
    "spare-part": Answers(
        right=[by_names, by_a_state, and_returns_it],
        wrong=[
            ("nothing_replaced", a_new_variable),
            ("copied", in_a_copy),
            ("graph_kept", with_the_graph),
            ("no_means_yet", always_remembered),
            ("wrong_values", in_the_mode_of_the_network),
            ("wrong_values", instance_norm),
        ],
    ),
}
