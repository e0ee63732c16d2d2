"""The exercises of notebook 09: comparing over learning rates, and steps along the gradient."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.exercises.definitions import Code

__all__ = ["EXERCISES"]

INF, NAN = float("inf"), float("nan")


# --- 9.2 best_rates

BROKEN = -1.0  # stands for NaN in the cases, which are compared before and after, and NaN is not equal to itself


def try_rates(answer, losses: Tensor, rates: Tensor) -> dict:
    """The rates, and whether the losses are what they were."""
    losses = torch.where(losses == BROKEN, torch.tensor(NAN), losses)
    before = losses.clone()
    result = answer(losses, rates)
    same = torch.equal(before.nan_to_num(nan=-1.0), losses.nan_to_num(nan=-1.0))
    return {"best rates": result, "given losses": "unchanged" if same else "changed"}


def in_place(losses: Tensor, rates: Tensor) -> Tensor:
    losses[~losses.isfinite()] = INF
    return best_rates(losses, rates)


def best_rates(losses: Tensor, rates: Tensor, mean=None) -> Tensor:
    """A right answer. mean: another way to (networks, rates)."""
    mean = losses.mean(1) if mean is None else mean(losses)
    mean = torch.where(mean.isfinite(), mean, torch.tensor(INF))
    best = rates[mean.argmin(1)]
    return torch.where(mean.isfinite().any(1), best, torch.tensor(0.0))


def nan_wins(losses: Tensor, rates: Tensor) -> Tensor:
    mean = losses.mean(1)
    return torch.where(mean.isfinite().any(1), rates[mean.argmin(1)], torch.tensor(0.0))


def nan_wins_and_no_way_out(losses: Tensor, rates: Tensor) -> Tensor:
    return rates[losses.mean(1).argmin(1)]


def no_way_out(losses: Tensor, rates: Tensor) -> Tensor:
    mean = losses.mean(1).nan_to_num(nan=INF, posinf=INF)
    return rates[mean.argmin(1)]


def survivors(losses: Tensor) -> Tensor:
    return torch.where(losses.isfinite(), losses, torch.tensor(NAN)).nanmean(1)


def only_nan_left_out(losses: Tensor) -> Tensor:
    return losses.nanmean(1)


def best_seed(losses: Tensor) -> Tensor:
    return torch.where(losses.isfinite(), losses, torch.tensor(INF)).min(1).values


def places(losses: Tensor, rates: Tensor) -> Tensor:
    return best_rates(losses, torch.arange(len(rates), dtype=rates.dtype))


def lowest_losses(losses: Tensor, rates: Tensor) -> Tensor:
    mean = torch.where(losses.mean(1).isfinite(), losses.mean(1), torch.tensor(INF)).min(1).values
    return torch.where(mean.isfinite(), mean, torch.tensor(0.0))


def largest_usable(losses: Tensor, rates: Tensor) -> Tensor:
    usable = losses.isfinite().all(1)
    return torch.where(usable.any(1), torch.where(usable, rates, torch.tensor(-INF)).max(1).values, torch.tensor(0.0))


def worst_rate(losses: Tensor, rates: Tensor) -> Tensor:
    return best_rates(-losses, rates)


def one_for_all(losses: Tensor, rates: Tensor) -> Tensor:
    """One rate for all networks together."""
    return best_rates(losses.flatten(0, 1)[None], rates).expand(len(losses))


def made_losses() -> dict[str, tuple[Tensor, Tensor]]:
    rates = torch.tensor([0.01, 0.03, 0.1, 0.3])
    sound = torch.tensor(
        [
            [[2.2, 2.0, 1.7, 1.9], [2.1, 1.9, 1.8, 1.4], [2.2, 2.1, 1.6, 2.0]],  # a single seed is best at 0.3
            [[1.9, 1.5, 1.8, 2.2], [1.8, 1.6, 1.7, 2.1], [1.9, 1.6, 1.2, 2.3]],
        ]
    )
    broken = torch.tensor(
        [
            [[2.2, 2.0, 1.2, BROKEN], [2.1, 2.0, INF, BROKEN]],  # the best mean of those that are left: at 0.1
            [[2.2, 1.9, 1.8, 1.1], [2.1, 1.9, 2.0, BROKEN]],
            [[BROKEN, 2.2, 1.9, INF], [2.2, 2.1, 2.0, INF]],
        ]
    )
    nothing = torch.tensor([[[INF, INF, BROKEN], [2.0, BROKEN, INF]], [[2.0, 1.7, 1.9], [2.0, 1.8, INF]]])
    return {
        "two networks, nothing broke down": (sound, rates),
        "three networks, with breakdowns": (broken, rates),
        "a network that broke down at every rate": (nothing, torch.tensor([0.1, 1.0, 10.0])),
    }


# --- 9.3 losses_along


def made_network(norm: bool, seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(4, 6), nn.BatchNorm1d(6) if norm else nn.Identity(), nn.Tanh(), nn.Linear(6, 3)]
        return nn.Sequential(*layers), 2 * torch.randn(8, 4), torch.arange(8) % 3


def try_walk(answer, network: nn.Module, x: Tensor, y: Tensor, etas: list[float]) -> dict:
    before = [parameter.detach().clone() for parameter in network.parameters()]
    losses = answer(network, x, y, etas)
    pairs = zip(before, network.parameters(), strict=True)
    same = all(torch.allclose(old, new, rtol=1e-5, atol=1e-6) for old, new in pairs)
    return {"losses": losses, "weights afterwards": "as before" if same else "changed"}


def walked(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    etas: list[float],
    again=False,
    back=True,
    end=True,
    sign=-1.0,
    unit=False,
    each=False,
) -> Tensor:
    """A right answer, each step of which a mistake may change.

    again: the gradient is taken anew at each place; back: each step begins at the start; end: the weights are put
    back; unit: the gradient has length 1; each: it has length 1 in every parameter.
    """
    parameters, losses = list(network.parameters()), []
    start = [parameter.detach().clone() for parameter in parameters]
    gradients = _gradients(network, x, y, unit, each)
    for eta in etas:
        if again:
            gradients = _gradients(network, x, y, unit, each)
        with torch.no_grad():
            for parameter, old, gradient in zip(parameters, start, gradients, strict=True):
                parameter.copy_((old if back else parameter) + sign * eta * gradient)
            losses.append(F.cross_entropy(network(x), y))
    if end:
        with torch.no_grad():
            for parameter, old in zip(parameters, start, strict=True):
                parameter.copy_(old)
    return torch.stack(losses)


def _gradients(network: nn.Module, x: Tensor, y: Tensor, unit: bool, each: bool) -> list[Tensor]:
    gradients = torch.autograd.grad(F.cross_entropy(network(x), y), list(network.parameters()))
    whole = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    if each:
        return [gradient / gradient.norm() for gradient in gradients]
    return [gradient / whole if unit else gradient for gradient in gradients]


def leaving(**changes):
    """An answer that differs from `walked` in these arguments."""
    return lambda network, x, y, etas: walked(network, x, y, etas, **changes)


def before_the_step(network: nn.Module, x: Tensor, y: Tensor, etas: list[float]) -> Tensor:
    return F.cross_entropy(network(x), y).detach().expand(len(etas))


def differences(network: nn.Module, x: Tensor, y: Tensor, etas: list[float]) -> Tensor:
    return walked(network, x, y, etas) - F.cross_entropy(network(x), y).detach()


def promised(network: nn.Module, x: Tensor, y: Tensor, etas: list[float]) -> Tensor:
    square = sum(gradient.square().sum() for gradient in _gradients(network, x, y, False, False))
    return F.cross_entropy(network(x), y).detach() - torch.tensor(etas) * square


def in_evaluation_mode(network: nn.Module, x: Tensor, y: Tensor, etas: list[float]) -> Tensor:
    mode = network.training
    losses = walked(network.eval(), x, y, etas)
    network.train(mode)
    return losses


EXERCISES = {
    "best-rate-with-breakdowns": Code(
        truth=best_rates,
        trial=try_rates,
        cases=made_losses,
        axes=("network",),
        mistakes={
            "nan_wins": nan_wins,
            "nan_wins_everywhere": nan_wins_and_no_way_out,
            "no_way_out": no_way_out,
            "survivors": lambda losses, rates: best_rates(losses, rates, mean=survivors),
            "only_nan_left_out": lambda losses, rates: best_rates(losses, rates, mean=only_nan_left_out),
            "best_seed": lambda losses, rates: best_rates(losses, rates, mean=best_seed),
            "places": places,
            "losses": lowest_losses,
            "largest_usable": largest_usable,
            "worst": worst_rate,
            "one_for_all": one_for_all,
            "losses_changed": in_place,
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
            "from_step_to_step": leaving(back=False),
            "from_step_to_step_and_away": leaving(back=False, end=False),
            "training": leaving(back=False, again=True),
            "training_and_away": leaving(back=False, again=True, end=False),
            "gradient_from_there": leaving(again=True),
            "not_back": leaving(end=False),
            "uphill": leaving(sign=1.0),
            "unit_length": leaving(unit=True),
            "unit_length_each": leaving(each=True),
            "no_step": before_the_step,
            "differences": differences,
            "promised": promised,
            "evaluation_mode": in_evaluation_mode,
        },
    ),
}
