"""The exercises of notebook 12: noise, and where it may stand."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable, described

__all__ = ["EXERCISES"]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


# --- how-much-too-large


def too_large_by(mean: Tensor, var: Tensor, p: float) -> Tensor:
    """A right answer."""
    return ((var + mean**2) / (1 - p) - mean**2) / var


# --- dropout-to-the-end


def last_norm(layers: list[nn.Module], kinds=NORMS) -> int:
    return max((i for i, layer in enumerate(layers) if isinstance(layer, kinds)), default=-1)


def moved(network: nn.Sequential, kinds=NORMS, order=list, keep: int | None = None) -> nn.Sequential:
    """A right answer, and by its options some wrong ones."""
    layers = list(network)
    last = last_norm(layers, kinds)
    early = [layer for layer in layers[: last + 1] if isinstance(layer, nn.Dropout)][:keep]
    others = [layer for layer in layers[: last + 1] if not any(layer is each for each in early)]
    return nn.Sequential(*others, *order(early), *layers[last + 1 :])


def next_norm(network: nn.Sequential) -> nn.Sequential:
    made, waiting = [], []
    for layer in network:
        if isinstance(layer, nn.Dropout):
            waiting.append(layer)
            continue
        made.append(layer)
        if isinstance(layer, NORMS):
            made, waiting = made + waiting, []
    return nn.Sequential(*made, *waiting)


def end_of_network(network: nn.Sequential) -> nn.Sequential:
    last = last_norm(list(network))
    early = [layer for layer in list(network)[: last + 1] if isinstance(layer, nn.Dropout)]
    return nn.Sequential(*(layer for layer in network if not any(layer is each for each in early)), *early)


def all_of_them(network: nn.Sequential) -> nn.Sequential:
    layers = list(network)
    others = [layer for layer in layers if not isinstance(layer, nn.Dropout)]
    last = last_norm(others)
    dropouts = [layer for layer in layers if isinstance(layer, nn.Dropout)]
    if last < 0:
        return nn.Sequential(*layers)
    return nn.Sequential(*others[: last + 1], *dropouts, *others[last + 1 :])


def in_place(network: nn.Sequential) -> nn.Sequential:
    layers = list(moved(network))
    for place, layer in enumerate(layers):
        network[place] = layer
    return network


def try_moving(answer, network: nn.Sequential) -> dict:
    """Which module stands where, by its place in the network that was given."""
    before = list(network)
    found = answer(network)
    if not isinstance(found, nn.Sequential):
        raise Unusable(f"Return an nn.Sequential; this is {described(found)}")
    place_of = {id(layer): place for place, layer in enumerate(before)}
    kinds = {place: type(layer).__name__ for place, layer in enumerate(before)}
    return {
        "order": " · ".join(
            f"{place_of[id(layer)]} {kinds[place_of[id(layer)]]}"
            if id(layer) in place_of
            else f"? {type(layer).__name__}"
            for layer in found
        ),
        "given network": "as it was"
        if len(network) == len(before) and all(a is b for a, b in zip(network, before, strict=True))
        else "another one",
    }


def made(*layers: nn.Module) -> tuple[nn.Sequential]:
    torch.manual_seed(0)
    return (nn.Sequential(*layers),)


EXERCISES = {
    "how-much-too-large": Code(
        truth=too_large_by,
        cases=lambda: {
            "three channels, p = 0.3": (torch.tensor([0.0, 1.0, -2.0]), torch.tensor([1.0, 0.5, 4.0]), 0.3),
            "two channels, p = 0.5": (torch.tensor([0.5, 3.0]), torch.tensor([2.0, 0.25]), 0.5),
        },
        axes=("channel",),
        mistakes={
            "mean_forgotten": lambda mean, var, p: torch.full_like(var, 1 / (1 - p)),
            "not_rescaled": lambda mean, var, p: ((1 - p) * (var + mean**2) - ((1 - p) * mean) ** 2) / var,
            "mean_divided": lambda mean, var, p: ((var + mean**2) / (1 - p) - (mean / (1 - p)) ** 2) / var,
            "upside_down": lambda mean, var, p: 1 / too_large_by(mean, var, p),
            "excess": lambda mean, var, p: too_large_by(mean, var, p) - 1,
            "difference": lambda mean, var, p: (too_large_by(mean, var, p) - 1) * var,
            "roots": lambda mean, var, p: too_large_by(mean, var, p).sqrt(),
        },
    ),
    "dropout-to-the-end": Code(
        truth=moved,
        trial=try_moving,
        cases=lambda: {
            "two normalizations, Dropout in front of each, and one in the end": made(
                nn.Conv2d(3, 4, 3), nn.Dropout(0.1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Conv2d(4, 4, 3),
                nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 2),
            ),
            "normalizations of rows": made(
                nn.Dropout(0.1), nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 4), nn.BatchNorm1d(4),
                nn.ReLU(), nn.Linear(4, 2),
            ),
            "no normalization": made(nn.Linear(3, 4), nn.Dropout(0.1), nn.ReLU(), nn.Linear(4, 2)),
        },
        mistakes={
            "next_norm": next_norm,
            "end_of_network": end_of_network,
            "all_of_them": all_of_them,
            "one_only": lambda network: moved(network, keep=1),
            "reversed_order": lambda network: moved(network, order=lambda early: early[::-1]),
            "copies": lambda network: moved(deepcopy(network)),
            "in_place": in_place,
            "two_dimensions": lambda network: moved(network, kinds=nn.BatchNorm2d),
        },
    ),
}  # fmt: skip
