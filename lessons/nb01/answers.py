"""Answers to the exercises of notebook 01."""

from contextlib import ExitStack

import numpy as np
import torch
from torch import nn

from utils.exercises.definitions import Answers

# --- 1.3


def by_a_stack(network, layers, x):
    """Copies of the outputs are kept, and measured when the network is through."""
    outputs = []
    with ExitStack() as stack:
        for layer in layers:
            handle = layer.register_forward_hook(lambda module, inputs, output: outputs.append(output.clone()))
            stack.callback(handle.remove)
        network(x)
    return [(y - y.mean(0)).square().mean().sqrt() for y in outputs]


def measured_late(network, layers, x):
    outputs = []
    with ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_hook(lambda m, i, output: outputs.append(output.detach())).remove)
        network(x)
    return [y.std(0, unbiased=False).square().mean().sqrt().item() for y in outputs]


class Spy:
    def __init__(self, layers):
        self.layers, self.found = layers, []

    def note(self, module, inputs, output):
        values = output.detach().flatten(1).numpy()  # (N, units)
        self.found.append(float(np.sqrt(values.var(axis=0).mean())))

    def __enter__(self):
        self.handles = [layer.register_forward_hook(self.note) for layer in self.layers]
        return self

    def __exit__(self, *exception):
        for handle in self.handles:
            handle.remove()


def by_a_spy(network, layers, x):
    with Spy(layers) as spy:
        network(x)
    return spy.found


def without_finally(network, layers, x):
    spy = Spy(layers)
    spy.__enter__()
    network(x)
    spy.__exit__()
    return spy.found


def catches(network, layers, x):
    with Spy(layers) as spy:
        try:
            network(x)
        except Exception as error:
            print(error)
    return spy.found


def in_a_loop(network, layers, x):
    noted = []
    with torch.no_grad():
        for layer in layers:
            x = layer(x)
            noted.append((x - x.mean(0)).square().mean().sqrt().item())
    return noted


def once_a_layer(network, layers, x):
    """The network runs again for each layer, so the list is in the order of `layers`."""
    return [by_a_spy(network, [layer], x)[0] for layer in layers]


def of_all_convolutions(network, layers, x):
    return by_a_spy(network, [module for module in network.modules() if isinstance(module, nn.Conv2d)], x)


def as_defined(network, layers, x):
    """One run, and a list in the order of `network.modules()`."""
    spies = [Spy([module]) for module in network.modules() if module in layers]
    with ExitStack() as stack:
        for spy in spies:
            stack.enter_context(spy)
        network(x)
    return [spy.found[0] for spy in spies]


def calls_the_hook(network, layers, x):
    noted = []
    handle = layers[0].register_forward_hook(noted.append(0))  # None
    network(x)
    handle.remove()


ANSWERS = {
    "instrument-of-your-own": Answers(
        right=[by_a_stack, by_a_spy],
        wrong=[
            ("kept", measured_late),
            ("wrong_values", once_a_layer),
            ("wrong_values", as_defined),
            ("wrong_shape", of_all_convolutions),
            ("hooks_stay_after_error", without_finally),
            ("one_after_the_other", in_a_loop),
            ("wrong_values", catches),
            ("raises", calls_the_hook),
        ],
    ),
}
