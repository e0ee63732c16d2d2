"""Answers to the exercises of notebook 05."""

from contextlib import suppress

import torch
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


def taking(*what, find=firsts, shape=lambda values: values.reshape(-1)):
    """Replaces the layers, and takes over what is named."""

    def mend(network):
        with torch.no_grad():
            for parent, name, old in find(network):
                new = nn.BatchNorm2d(old.m.shape[0])
                if "exchanged" in what:
                    new.weight.copy_(shape(old.a))
                    new.bias.copy_(shape(old.m))
                if "learned" in what:
                    new.weight.copy_(shape(old.m))
                    new.bias.copy_(shape(old.a))
                if "remembered" in what and ("always" in what or hasattr(old, "stds")):
                    new.running_mean.copy_(shape(old.means))
                    new.running_var.copy_(shape(old.stds).square() if "squared" in what else shape(old.stds))
                if "mode" in what:
                    new.train(old.training)
                setattr(parent, name, new)

    return mend


def a_new_variable(network):
    for module in network.modules():
        if isinstance(module, FirstBatchNorm2d):
            module = nn.BatchNorm2d(len(module.m))


def outermost(network):
    return [(network, name, child) for name, child in network.named_children() if isinstance(child, FirstBatchNorm2d)]


def while_recording(network):
    for parent, name, old in firsts(network):
        new = nn.BatchNorm2d(len(old.m))
        new.weight.copy_(old.m.flatten())
        setattr(parent, name, new)


def instance_norm(network):
    for parent, name, old in firsts(network):
        setattr(parent, name, nn.InstanceNorm2d(len(old.m)))


def only_the_scale(network):
    for parent, name, old in firsts(network):
        new = nn.BatchNorm2d(len(old.m))
        new.weight.data = old.m.data.flatten()
        setattr(parent, name, new)


def with_a_slip(network):
    for parent, name, old in firsts(network):
        setattr(parent, name, nn.BatchNorm2d(old.channels))


ALL = ("learned", "remembered", "squared", "mode")

ANSWERS = {
    "spare-part": Answers(
        right=[by_names, by_a_state, taking(*ALL)],
        wrong=[
            ("nothing_replaced", a_new_variable),
            ("outermost_only", taking(*ALL, find=outermost)),
            ("not_squared", taking("learned", "remembered", "mode")),
            ("exchanged", taking("exchanged", "remembered", "squared", "mode")),
            ("nothing_learned", taking("remembered", "squared", "mode")),
            ("nothing_remembered", taking("learned", "mode")),
            ("empty_layers", taking("mode")),
            ("mode_lost", taking("learned", "remembered", "squared")),
            ("no_means_yet", taking(*ALL, "always")),
            ("wrong_shape_of_parameters", taking(*ALL, shape=lambda values: values)),
            ("needs_no_grad", while_recording),
            ("wrong_values", instance_norm),
            ("wrong_values", only_the_scale),
            ("raises", with_a_slip),
        ],
    ),
}
