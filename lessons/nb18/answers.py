"""Answers to the exercises of notebook 18."""

import copy

import torch
import torch.nn as nn

from utils.exercises.definitions import Answers

KINDS = nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm

# --- two-numbers-a-channel


def layer_by_layer(network):
    """Each layer decides on what belongs to it and to none inside it."""
    chosen = []
    for layer in network.modules():
        learns = type(layer) in KINDS
        for p in layer.parameters(recurse=False):
            p.requires_grad = learns
            if learns:
                chosen.append(p)
    return chosen


def by_hand(network):
    for p in network.parameters():
        p.requires_grad = False
    seen = {}
    for _, layer in network.named_modules():
        if isinstance(layer, KINDS):
            for p in (layer.weight, layer.bias):
                if p is not None:
                    p.requires_grad = True
                    seen[id(p)] = p
    return list(seen.values())


def with_one_axis(network):
    chosen = []
    for p in network.parameters():
        p.requires_grad = p.dim() == 1
        chosen += [p] if p.requires_grad else []
    return chosen


def pairs(network):
    network.requires_grad_(False)
    chosen = []
    for m in network.modules():
        if isinstance(m, KINDS):
            chosen += [m.weight, m.bias]
    for p in chosen:
        p.requires_grad_()
    return chosen


def down(layer):
    """Down into every branch, and twice into a layer that stands in two places."""
    if isinstance(layer, KINDS):
        layer.requires_grad_(True)
        return list(layer.parameters())
    for p in layer.parameters(recurse=False):
        p.requires_grad_(False)
    return [p for inner in layer._modules.values() for p in down(inner)]


def by_class_name(network):
    network.requires_grad_(False)
    layers = [layer for layer in network.modules() if "Norm" in type(layer).__name__]
    return [p.requires_grad_() for layer in layers for p in layer.parameters()]


def in_training_mode(network):
    return by_hand(network.train())


def fresh(network):
    for m in network.modules():
        if isinstance(m, KINDS):
            m.reset_parameters()
            for p in m.parameters():
                nn.init.constant_(p, 0.5)
    return by_hand(network)


# --- who-sees-the-future


def by_beginnings(network, x, training):
    """The beginning of a text, read alone; without dropout."""
    reader = copy.deepcopy(network)
    reader.train(training)
    for part in reader.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    with torch.no_grad():
        whole = reader(x)
        for t in range(1, x.size(1)):
            if not torch.allclose(reader(x[:, :t]), whole[:, :, :t], rtol=0, atol=1e-5):
                return True
    return False


def symbol_by_symbol(network, x, training):
    """One symbol is exchanged at a time, in one copy of the network; the answer is a tensor."""
    reader = copy.deepcopy(network).train() if training else copy.deepcopy(network).eval()
    largest = torch.zeros(())
    for t in range(1, x.shape[1]):
        other = x.clone()
        other[:, t] = torch.where(x[:, t] == 0, 16, x[:, t] - 1)
        torch.manual_seed(7)
        a = reader(x)
        torch.manual_seed(7)
        largest = torch.maximum(largest, (a - reader(other))[..., :t].abs().max())
    return largest > 1e-5


def exchanged(reader, x, t):
    """Whether other symbols from t on show before t; no care is taken of the network."""
    other = x.clone()
    other[:, t:] = (other[:, t:] + 5) % 17
    torch.manual_seed(1)
    a = reader(x)
    torch.manual_seed(1)
    return bool(((a - reader(other)).abs() > 1e-5)[:, :, :t].any())


def classes_for_places(network, x, training):
    reader = copy.deepcopy(network).train(training)
    other = x.clone()
    other[:, -1] = (x[:, -1] + 1) % 17
    torch.manual_seed(0)
    a = reader(x)
    torch.manual_seed(0)
    return bool(((a - reader(other)).abs() > 1e-5)[:, :-1].any())


def the_last(network, x, training):
    return exchanged(copy.deepcopy(network).train(training), x, x.shape[1] - 1)


def in_use(network, x, training):
    return any([exchanged(copy.deepcopy(network).eval(), x, t) for t in range(1, x.shape[1])])


def any_difference(network, x, training):
    reader = copy.deepcopy(network).train(training)
    for t in range(1, x.shape[1]):
        other = torch.cat([x[:, :t], (x[:, t:] + 1) % 17], 1)
        torch.manual_seed(0)
        a = reader(x)[..., :t]
        torch.manual_seed(0)
        if not torch.equal(a, reader(other)[..., :t]):
            return True
    return False


def careless(network, x, training):
    network.train(training)
    return any([exchanged(network, x, t) for t in range(1, x.shape[1])])


def follows_the_batches(network, x, training):
    was = [(part, part.training) for part in network.modules()]
    shown = careless(network, x, training)
    for part, mode in was:
        part.training = mode
    return shown


def seventeen(network, x, training):
    other = x.clone()
    other[:, -1] += 1
    other[:, -2] = 17
    reader = copy.deepcopy(network).train(training)
    return bool((reader(x) - reader(other))[..., :-2].abs().max() > 1e-5)


def how_much(network, x, training):
    reader = copy.deepcopy(network).train(training)
    return (reader(x) - reader((x + 1) % 17)).abs().amax((0, 1))


def in_words(network, x, training):
    return "leaks" if by_beginnings(network, x, training) else "does not leak"


ANSWERS = {
    "two-numbers-a-channel": Answers(
        right=[layer_by_layer, by_hand],
        wrong=[
            ("one_axis", with_one_axis),
            ("none", pairs),
            ("twice", down),
            ("wrong_values", by_class_name),
            ("wrong_values", in_training_mode),
            ("wrong_values", fresh),
            ("unusable", lambda network: [(name, p) for name, p in network.named_parameters() if p.ndim == 1]),
            ("unusable", lambda network: network.requires_grad_(False)),
        ],
    ),
    "who-sees-the-future": Answers(
        right=[by_beginnings, symbol_by_symbol],
        wrong=[
            ("own_place", classes_for_places),
            ("last_symbol", the_last),
            ("nothing_restored", careless),
            ("no_such_symbol", seventeen),
            ("wrong_values", follows_the_batches),
            ("wrong_values", in_use),
            ("wrong_values", any_difference),
            ("wrong_values", lambda network, x, training: symbol_by_symbol(network, x[:1], training)),
            ("raises", lambda network, x, training: [][x.shape[1]]),
            ("unusable", how_much),
            ("unusable", in_words),
        ],
    ),
}
