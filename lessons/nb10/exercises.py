"""The exercises of notebook 10: comparing over learning rates, and steps along the gradient."""

from copy import deepcopy
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.exercises.definitions import Code
from utils.exercises.differences import compare

__all__ = ["EXERCISES"]

INF, NAN = float("inf"), float("nan")


# --- 10.2 best_rates


def made_losses() -> dict[str, tuple[Tensor, Tensor]]:
    """Where only some seeds broke down, they left NaN: a mask and `nanmean` then give the same mean of the others."""
    rates = torch.tensor([0.01, 0.03, 0.1, 0.3])
    sound = torch.tensor(
        [
            [[2.2, 2.0, 1.7, 1.9], [2.1, 1.9, 1.8, 1.4], [2.2, 2.1, 1.6, 2.0]],  # a single seed is best at 0.3
            [[1.9, 1.5, 1.8, 2.2], [1.8, 1.6, 1.7, 2.1], [1.9, 1.6, 1.0, 2.3]],  # lowest mean at 0.1, maximum at 0.03
        ]
    )
    broken = torch.tensor(
        [
            [[2.2, 2.0, 1.2, NAN], [2.1, 2.0, NAN, INF]],  # the best mean of those that are left: at 0.1
            [[2.2, 1.9, 1.8, 1.1], [2.1, 1.9, 2.0, NAN]],
            [[NAN, 2.2, 1.9, INF], [2.2, 2.1, 2.0, INF]],
        ]
    )
    nothing = torch.tensor([[[NAN, INF, NAN], [2.0, NAN, INF]], [[2.0, 1.7, 1.9], [2.0, 1.8, NAN]]])
    return {
        "two networks, nothing broke down": (sound, rates),
        "three networks, with breakdowns": (broken, rates),
        "a network that broke down at every rate": (nothing, torch.tensor([0.1, 1.0, 10.0])),
    }


def best_rates(losses: Tensor, rates: Tensor, over_seeds=torch.mean, none_left: bool = True) -> Tensor:
    """A right answer. over_seeds: what becomes of axis 1; none_left: whether it sees that no rate is left."""
    loss = over_seeds(losses, 1).nan_to_num(nan=INF, posinf=INF)
    best = rates[loss.argmin(1)]
    return torch.where(loss.isfinite().any(1), best, 0.0) if none_left else best


# --- 10.3 losses_along


def made_network(norm: bool, seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(4, 6), nn.BatchNorm1d(6) if norm else nn.Identity(), nn.Tanh(), nn.Linear(6, 3)]
        return nn.Sequential(*layers), 2 * torch.randn(8, 4), torch.arange(8) % 3


def try_walk(answer, network: nn.Module, x: Tensor, y: Tensor, etas: list[float]) -> dict:
    """The losses; if they are right, whether the weights are what they were; if so, what is in `.grad`."""
    before = deepcopy(network)
    losses = answer(network, x, y, etas)
    if compare(losses, walked(deepcopy(before), x, y, etas)):
        return {"losses": losses}
    pairs = list(zip(before.parameters(), network.parameters(), strict=True))
    if not all(torch.equal(old, new) for old, new in pairs):
        return {"losses": losses, "weights afterwards": "changed"}
    left = any(new.grad is not None and new.grad.any() for _, new in pairs)
    return {"losses": losses, "weights afterwards": "as before", "`.grad` afterwards": "full" if left else "empty"}


def walked(
    network: nn.Module, x: Tensor, y: Tensor, etas: list[float], sign=-1.0, again=False, back=True, end=True
) -> Tensor:
    """A right answer, each step of which a mistake may change.

    again: the gradient is taken anew at each place; back: each step begins at the start; end: the weights are put
    back at the end.
    """
    parameters, losses = list(network.parameters()), []
    start = [parameter.detach().clone() for parameter in parameters]
    gradients = torch.autograd.grad(F.cross_entropy(network(x), y), parameters)
    for eta in etas:
        if again:
            gradients = torch.autograd.grad(F.cross_entropy(network(x), y), parameters)
        with torch.no_grad():
            for parameter, old, gradient in zip(parameters, start, gradients, strict=True):
                parameter.copy_((old if back else parameter) + sign * eta * gradient)
            losses.append(F.cross_entropy(network(x), y))
    if end:
        for parameter, old in zip(parameters, start, strict=True):
            parameter.data.copy_(old)
    return torch.stack(losses)


def gradient_left(network: nn.Module, x: Tensor, y: Tensor, etas: list[float]) -> Tensor:
    losses = walked(network, x, y, etas)
    F.cross_entropy(network(x), y).backward()
    return losses


EXERCISES = {
    "best-rate-with-breakdowns": Code(
        truth=best_rates,
        cases=made_losses,
        axes=("network",),
        mistakes={
            "nan_wins": lambda losses, rates: rates[losses.mean(1).argmin(1)],
            "no_way_out": partial(best_rates, none_left=False),
            "survivors": partial(best_rates, over_seeds=torch.nanmean),
            "best_seed": partial(best_rates, over_seeds=torch.amin),
            "places": lambda losses, rates: best_rates(losses, torch.arange(float(len(rates)))),
        },
    ),
    "how-far-does-the-promise-hold": Code(
        truth=walked,
        trial=try_walk,
        cases=lambda: {
            "a plain network": (*made_network(False, 1), [0.1, 0.5, 2.0]),
            "a normalized network": (*made_network(True, 2), [0.3, 1.0, 3.0, 0.1]),
        },
        axes=("step",),
        mistakes={
            "from_step_to_step": partial(walked, back=False),
            "training": partial(walked, back=False, again=True),
            "uphill": partial(walked, sign=1.0),
            "not_back": partial(walked, end=False),
            "gradient_left": gradient_left,
        },
    ),
}
