"""The exercises of notebook 09: effective learning rates."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable

__all__ = ["EXERCISES"]


# --- 9.2 instead_of_decay


def schedule(rates: list[float], decay: float, longer=lambda before, after: 1 / (before * after)) -> list[float]:
    """A right answer; `longer` is a step's factor, given how short the decayed weights are before it and after it."""
    found, before = [], 1.0
    for rate in rates:
        after = before * (1 - rate * decay)
        found.append(rate * longer(before, after))
        before = after
    return found


def try_schedule(answer, *arguments) -> dict:
    result = answer(*arguments)
    if result is None or isinstance(result, (int, float)):
        raise Unusable("Return a list of learning rates, one for each step.")
    return {"rates": torch.as_tensor([float(each) for each in result], dtype=torch.float64)}


# --- 9.3 sizeless


def network(kind: str) -> nn.Module:
    """A network whose parameters are all far from 0, after a few batches; the last one is left in training mode."""
    torch.manual_seed(0)
    made = {
        "convolutions": lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(),
            nn.Linear(64, 5)),
        "groups and a linear layer": lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 8, 3, bias=False), nn.GroupNorm(2, 8), nn.ReLU(),
            nn.Flatten(), nn.Linear(128, 6), nn.BatchNorm1d(6)),
        "one without a normalization, and one with it": lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
            nn.Linear(64, 5)),
    }[kind]()  # fmt: skip
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.3 * parameter.sign() + 0.2
    for seed in range(2):
        made(pictures(seed))
    return made.train(kind.startswith("one"))


def pictures(seed: int) -> Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def sizeless(network: nn.Module, x: Tensor, copy: bool = True, training: bool = True, back: bool = True) -> list[str]:
    """A right answer, and by its options some wrong ones."""
    tried = deepcopy(network) if copy else network
    tried.train(training)
    before, found = tried(x), []
    for name, parameter in tried.named_parameters():
        parameter *= 2
        if (tried(x) - before).abs().max() <= 1e-3 * before.abs().max():
            found.append(name)
        if back:
            parameter /= 2
    return found


def try_sizeless(answer, network: nn.Module, x: Tensor) -> dict:
    """The names, and what of the network is no longer as it was, the first thing alone."""
    state, mode = deepcopy(network.state_dict()), network.training
    found = answer(network, x)
    if not isinstance(found, (list, tuple)) or not all(isinstance(name, str) for name in found):
        raise Unusable("Return a list of names, as `named_parameters` has them.")
    parameters = dict(network.named_parameters())
    now = network.state_dict()
    changed = {name for name in state if not torch.allclose(state[name], now[name], rtol=1e-4, atol=1e-6)}
    known = list(parameters)
    said = {"names": ", ".join(sorted(found, key=lambda name: known.index(name) if name in known else len(known)))}
    if changed & parameters.keys():
        return said | {"network afterwards": "other parameters"}
    if changed:
        return said | {"network afterwards": "other statistics"}
    return said | {"network afterwards": "as it was" if network.training == mode else "another mode"}


@torch.no_grad()
def by_doubling_in_place(network: nn.Module, x: Tensor) -> list[str]:
    """The parameters are put back, the statistics and the mode are not."""
    mode = network.training
    found = sizeless(network, x, copy=False)
    network.train(mode)
    return found


@torch.no_grad()
def without_putting_back(network: nn.Module, x: Tensor) -> list[str]:
    found = sizeless(network, x)
    network[0].weight *= 2
    return found


def with_another_mode(network: nn.Module, x: Tensor) -> list[str]:
    found = sizeless(network, x)
    network.train(not network.training)
    return found


EXERCISES = {
    "schedule-instead-of-decay": Code(
        truth=schedule,
        trial=try_schedule,
        cases=lambda: {
            "a rate that falls, 0.4, 0.2, 0.1, 0.1, and a decay of 0.5": ([0.4, 0.2, 0.1, 0.1], 0.5),
            "a rate that rises, 0.01, 0.3, 0.5, and a decay of 0.2": ([0.01, 0.3, 0.5], 0.2),
            "one step at 0.2 and a decay of 0.01": ([0.2], 0.01),
        },
        axes=("step",),
        mistakes={
            "one_too_low": lambda *given: schedule(*given, longer=lambda before, after: 1 / before**2),
            "one_too_high": lambda *given: schedule(*given, longer=lambda before, after: 1 / after**2),
            "once": lambda *given: schedule(*given, longer=lambda before, after: 1 / after),
            "falling": lambda *given: schedule(*given, longer=lambda before, after: before * after),
            "constant": lambda *given: schedule(*given, longer=lambda before, after: 1.0),
            "plugged_in": lambda rates, decay: [r / (1 - r * decay) ** (2 * t + 1) for t, r in enumerate(rates)],
        },
    ),
    "whose-size-is-forgotten": Code(
        truth=sizeless,
        trial=try_sizeless,
        cases=lambda: {
            f"a network, {kind}": (network(kind), pictures(7))
            for kind in (
                "convolutions",
                "groups and a linear layer",
                "one without a normalization, and one with it",
            )
        },
        mistakes={
            "kernels": lambda net, x: [name for name, p in net.named_parameters() if p.ndim == 4],
            "evaluation": lambda net, x: sizeless(net, x, training=False),
            "together": lambda net, x: sizeless(net, x, back=False),
            "left_doubled": without_putting_back,
            "moved": by_doubling_in_place,
            "mode": with_another_mode,
        },
    ),
}
