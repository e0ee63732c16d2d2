"""The exercises of notebook 05: what else is wrong with our layer."""

from collections.abc import Callable

import torch
from torch import nn

from utils.exercises.definitions import Code
from utils.exercises.inputs import pictures
from utils.layers import FirstBatchNorm2d, FirstBnLayer

__all__ = ["EXERCISES"]


# --- 5.3 mend


def made_network(seen: bool, training: bool) -> nn.Module:
    """Two first layers, one of them deep inside; with another m and a for each channel."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        block = nn.Sequential(nn.ReLU(), FirstBnLayer(4, 3))
        network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), FirstBatchNorm2d(4), block)
        for layer in first_layers(network):
            nn.init.uniform_(layer.m, 0.5, 2)
            nn.init.uniform_(layer.a, -1, 1)
    if seen:
        with torch.no_grad():
            network(pictures(4, 3, 6, 6))
    return network.train(training)


def first_layers(network: nn.Module) -> list[FirstBatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, FirstBatchNorm2d)]


def try_mend(answer, network: nn.Module) -> dict:
    """What stands in the two places afterwards, and what it holds."""
    answer(network)
    found = {}
    for place, layer in (("outer", network[1]), ("inner", network[2][1].norm)):
        found[f"type of the {place} layer"] = type(layer).__name__
        if isinstance(layer, nn.BatchNorm2d):
            for name in ("weight", "bias", "running_mean", "running_var"):
                found[f"{name} of the {place} layer"] = getattr(layer, name).detach().clone()
            found[f"mode of the {place} layer"] = "training" if layer.training else "evaluation"
    return found


def fill(new: nn.BatchNorm2d, old: FirstBatchNorm2d, square=True, exchange=False, learned=True, stats=True) -> None:
    """What the new layer takes over; the arguments are what can be wrong with it."""
    weight, bias = (old.a, old.m) if exchange else (old.m, old.a)
    if learned:
        new.weight.copy_(weight.flatten())
        new.bias.copy_(bias.flatten())
    if stats and hasattr(old, "means"):
        new.running_mean.copy_(old.means.flatten())
        new.running_var.copy_(old.stds.flatten() ** (2 if square else 1))


def mending(inside=True, mode=True, **faults) -> Callable[[nn.Module], None]:
    """An answer; the arguments are what can be wrong with it."""

    @torch.no_grad()
    def answer(network: nn.Module) -> None:
        for name, old in network.named_children():
            if isinstance(old, FirstBatchNorm2d):
                new = nn.BatchNorm2d(old.m.numel())
                fill(new, old, **faults)
                setattr(network, name, new.train(old.training) if mode else new)
            elif inside:
                answer(old)

    return answer


def nothing(network: nn.Module) -> None:
    pass


EXERCISES = {
    "spare-part": Code(
        truth=mending(),
        trial=try_mend,
        cases=lambda: {
            "a trained network in evaluation mode": (made_network(seen=True, training=False),),
            "a trained network in training mode": (made_network(seen=True, training=True),),
            "a network that has not seen a batch": (made_network(seen=False, training=True),),
        },
        axes=("channel",),
        mistakes={
            "nothing_replaced": nothing,
            "outermost_only": mending(inside=False),
            "not_squared": mending(square=False),
            "exchanged": mending(exchange=True),
            "nothing_learned": mending(learned=False),
            "nothing_remembered": mending(stats=False),
            "empty_layers": mending(learned=False, stats=False),
            "mode_lost": mending(mode=False),
        },
    ),
}
