"""Answers to the exercises of notebook 01."""

from contextlib import ExitStack

import numpy as np
import torch

from utils.exercises.definitions import Answers
from utils.stats import ActivationStats

# --- 1.3


def by_the_instrument(network, layers, x):
    with ActivationStats(network, layers, sample=None) as stats:
        network(x)
    return stats.spread[0]


def by_a_stack(network, layers, x):
    """The outputs are kept, and measured when the network is through."""
    outputs = []
    with ExitStack() as stack:
        for layer in layers:
            handle = layer.register_forward_hook(lambda module, inputs, output: outputs.append(output.detach()))
            stack.callback(handle.remove)
        network(x)
    return [(y - y.mean(0)).square().mean().sqrt() for y in outputs]


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


def measuring(measure, keep=None):
    """An instrument that cleans up, and measures something else."""

    def spreads(network, layers, x):
        outputs = []
        handles = [
            layer.register_forward_hook(lambda m, i, o: outputs.append(keep(i, o) if keep else o)) for layer in layers
        ]
        try:
            network(x)
        finally:
            [handle.remove() for handle in handles]
        return [measure(y.detach()).item() for y in outputs]

    return spreads


def rms(values):
    return values.pow(2).mean().sqrt()


def right_measure(y):
    return rms(y - y.mean(0, keepdim=True))


def never_removes(network, layers, x):
    noted = []
    for layer in layers:
        layer.register_forward_hook(lambda module, inputs, output: noted.append(right_measure(output).item()))
    network(x)
    return noted


def removes_at_the_end(network, layers, x):
    noted = []
    hooks = [
        layer.register_forward_hook(lambda m, i, output: noted.append(right_measure(output).item())) for layer in layers
    ]
    network(x)
    for hook in hooks:
        hook.remove()
    return noted


def catches(network, layers, x):
    noted = []
    hooks = [
        layer.register_forward_hook(lambda m, i, output: noted.append(right_measure(output).item())) for layer in layers
    ]
    try:
        network(x)
    except Exception as error:
        print(error)
    for hook in hooks:
        hook.remove()
    return noted


def in_a_loop(network, layers, x):
    noted = []
    with torch.no_grad():
        for layer in layers:
            x = layer(x)
            noted.append(right_measure(x).item())
    return noted


def twice(network, layers, x):
    return by_a_spy(network, layers, x) + by_a_spy(network, layers, x)


def no_return(network, layers, x):
    by_a_spy(network, layers, x)


def calls_the_hook(network, layers, x):
    noted = []
    handle = layers[0].register_forward_hook(noted.append(0))  # None
    network(x)
    handle.remove()


ANSWERS = {
    "instrument-of-your-own": Answers(
        right=[by_the_instrument, by_a_stack, by_a_spy],
        wrong=[
            ("hooks_stay", never_removes),
            ("hooks_stay_after_error", removes_at_the_end),
            ("swallows_the_error", catches),
            ("one_after_the_other", in_a_loop),
            ("std_of_all", measuring(torch.std)),
            ("within_image", measuring(lambda y: rms(y.flatten(1) - y.flatten(1).mean(1, keepdim=True)))),
            ("mean_of_stds", measuring(lambda y: (y - y.mean(0)).square().mean(0).sqrt().mean())),
            ("unbiased", measuring(lambda y: rms(y.std(0)))),
            ("variance", measuring(lambda y: (y - y.mean(0)).square().mean())),
            ("of_input", measuring(right_measure, keep=lambda inputs, output: inputs[0])),
            ("wrong_shape", twice),
            ("returns_none", no_return),
            ("raises", calls_the_hook),
        ],
    ),
}
