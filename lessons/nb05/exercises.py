"""The exercises of notebook 05: what else is wrong with our layer."""

from functools import partial

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable
from utils.exercises.inputs import pictures
from utils.layers import FirstBatchNorm2d, FirstBnLayer

__all__ = ["EXERCISES"]


# --- 5.3 mend


def made_network(training: bool, frozen: bool = False) -> nn.Module:
    """Three first layers, the inner of them frozen in evaluation mode or not; another m and a for each channel."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        block = nn.Sequential(nn.ReLU(), FirstBnLayer(4, 3), nn.Sequential(FirstBatchNorm2d(3)))
        network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), FirstBatchNorm2d(4), block)
        for layer in first_layers(network):
            nn.init.uniform_(layer.m, 0.5, 2)
            nn.init.uniform_(layer.a, -1, 1)
    network.train(training)
    for layer in first_layers(network)[1:]:
        layer.train(training and not frozen)
    return network


def first_layers(network: nn.Module) -> list[FirstBatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, FirstBatchNorm2d)]


def try_mend(answer, network: nn.Module, batch: Tensor | None) -> dict:
    """What stands in the three places afterwards, and what it holds; before that a batch passes, as in training."""
    if batch is not None:
        modes = [(module, module.training) for module in network.modules()]
        network.train()(batch)
        for module, mode in modes:
            module.training = mode
    returned = answer(network)
    if isinstance(returned, nn.Module) and returned is not network and first_layers(network):
        raise Unusable("You return another network; the one that was handed over still holds its old layers.")
    found = {}
    places = {"outer": network[1], "inner": network[2][1].norm, "innermost": network[2][2][0]}
    for place, layer in places.items():
        found[f"type of the {place} layer"] = type(layer).__name__
        if isinstance(layer, nn.BatchNorm2d):
            for name in ("weight", "bias", "running_mean", "running_var"):
                found[f"{name} of the {place} layer"] = getattr(layer, name).detach().clone()
            hangs = layer.running_mean.requires_grad or layer.running_var.requires_grad
            found[f"running statistics of the {place} layer"] = "part of a graph" if hangs else "plain numbers"
            found[f"mode of the {place} layer"] = "training" if layer.training else "evaluation"
    return found


@torch.no_grad()
def mended(network: nn.Module, inside=True, full=True, squared=True, mode=True, cut=True) -> None:
    """An answer; the arguments are what can be left out."""
    for name, old in network.named_children():
        if isinstance(old, FirstBatchNorm2d):
            new = nn.BatchNorm2d(old.m.numel())
            if full:
                new.weight.copy_(old.m.flatten())
                new.bias.copy_(old.a.flatten())
            if full and hasattr(old, "means"):
                new.running_mean.copy_(old.means.flatten())
                new.running_var.copy_(old.stds.flatten() ** (2 if squared else 1))
                if not cut:
                    new.running_mean.requires_grad_()
            setattr(network, name, new.train(old.training) if mode else new)
        elif inside:
            mended(old, inside, full, squared, mode, cut)


EXERCISES = {
    "spare-part": Code(
        truth=mended,
        trial=try_mend,
        cases=lambda: {
            "a trained network in evaluation mode": (made_network(training=False), pictures(4, 3, 6, 6)),
            "a trained network in training mode, but for its inner layers": (
                made_network(training=True, frozen=True),
                pictures(4, 3, 6, 6),
            ),
            "a network that has not seen a batch": (made_network(training=True), None),
        },
        axes=("channel",),
        mistakes={
            "nothing_replaced": lambda network: None,
            "graph_kept": partial(mended, cut=False),
            "outermost_only": partial(mended, inside=False),
            "not_squared": partial(mended, squared=False),
            "empty_layers": partial(mended, full=False),
            "mode_lost": partial(mended, mode=False),
        },
    ),
}
