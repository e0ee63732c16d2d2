"""The exercises of notebook 09: comparing over learning rates, and steps along the gradient."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.exercises.definitions import Code, Mistake, Number

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
    "9.1": Number(
        minutes=4,
        difficulty="★☆☆ easy",
        right=0.75,
        tolerance=0.01,
        mistakes=[
            Mistake(
                "the_rest",
                "That is the other share: what comes on top with the larger rate.",
                value=0.25,
            ),
            Mistake(
                "not_divided",
                "That is how much is there without changing the rate. Asked for is its share of the whole gain.",
                value=0.3,
            ),
            Mistake("the_gain", "That is the whole gain, each at its best rate.", value=0.4),
            Mistake(
                "at_the_largest_rate",
                "That is the gain at the rate that suits the normalized network. The plain one has broken down there: "
                "whoever picks the rate picks the winner.",
                value=0.8,
            ),
            Mistake(
                "smallest_rate",
                "You compared them at the smallest rate, where both crawl. Which one is the plain network's best?",
                value=0.5,
            ),
            Mistake(
                "twice_the_gain",
                "You have the gain at the largest rate above the line. Which rate is the plain network's own best?",
                value=2.0,
            ),
            Mistake(
                "nothing",
                "Nothing is there without the larger rate? Look at the column 0.1.",
                value=0.0,
            ),
            Mistake(
                "everything",
                "All of it? Then the normalized network's loss would not fall any more from 0.1 to 0.3.",
                value=1.0,
            ),
        ],
        hints=[
            "Which rate is the plain network's best, and which the normalized one's?",
            "The whole gain is the difference of the two lowest losses, wherever they are.",
            "Then stay in the column of the plain network's best rate.",
        ],
        look="the measured arms of claim 9.2",
        remark="At one rate for both, the same table gives a gain of 0.2 or of 0.8, whichever one likes.",
    ),
    "9.2": Code(
        minutes=10,
        difficulty="★★☆ medium",
        truth=best_rates,
        trial=try_rates,
        cases=made_losses,
        mistakes=[
            Mistake(
                "nan_wins",
                "`argmin` takes NaN for the smallest of all numbers, and so a breakdown wins.",
                like=nan_wins,
            ),
            Mistake(
                "nan_wins_everywhere",
                "`argmin` takes NaN for the smallest of all numbers, and so a breakdown wins. And where every rate "
                "broke down, it still names one.",
                like=nan_wins_and_no_way_out,
            ),
            Mistake(
                "no_way_out",
                "Where every rate broke down, `argmin` still names one. The answer is 0 there.",
                like=no_way_out,
            ),
            Mistake(
                "survivors",
                "You average over the seeds that are left. A rate at which a seed broke down is out, however well the "
                "others did: only the lucky ones remain in such a mean.",
                like=lambda losses, rates: best_rates(losses, rates, mean=survivors),
            ),
            Mistake(
                "only_nan_left_out",
                "`nanmean` leaves out the seeds that broke down to NaN, and keeps a rate that is to be out.",
                like=lambda losses, rates: best_rates(losses, rates, mean=only_nan_left_out),
            ),
            Mistake(
                "best_seed",
                "You take the best seed at each rate. Asked for is the mean over the seeds.",
                like=lambda losses, rates: best_rates(losses, rates, mean=best_seed),
            ),
            Mistake("places", "These are the places of the best rates, not the rates.", like=places),
            Mistake("losses", "These are the lowest losses. At which rates were they?", like=lowest_losses),
            Mistake(
                "largest_usable",
                "These are the largest rates without a breakdown. The best one has the lowest loss.",
                like=largest_usable,
            ),
            Mistake("worst", "These are the rates with the *highest* loss.", like=worst_rate),
            Mistake(
                "one_for_all",
                "You give all networks the same rate. Each is compared at its own best.",
                like=one_for_all,
            ),
            Mistake(
                "losses_changed",
                "The rates are right. But you have written into the losses that were given; work on a new tensor.",
                like=in_place,
            ),
        ],
        hints=[
            "What is a mean if one of its numbers is inf, and if one is NaN?",
            "What does `torch.tensor([1.0, float('nan')]).argmin()` give?",
            "`isfinite()` says of each number whether it is one; `torch.where` chooses.",
        ],
        look='the functions `final_loss` and `learned`, and the section "One learning rate is no comparison"',
        axes=("network",),
        remark="In the notebook `final_loss` gives inf for every breakdown, so that NaN never gets as far as `argmin`.",
    ),
    "9.3": Code(
        minutes=15,
        difficulty="★★★ hard",
        truth=walked,
        trial=try_walk,
        cases=lambda: {
            "a plain network": (*made_network(False, 1), [0.1, 0.5, 2.0]),
            "a normalized network": (*made_network(True, 2), [0.3, 1.0, 3.0, 0.1]),
        },
        mistakes=[
            Mistake(
                "from_step_to_step",
                "You walk on from where the last step ended. Each step begins at the start.",
                like=leaving(back=False),
            ),
            Mistake(
                "from_step_to_step_and_away",
                "You walk on from where the last step ended, and stay there. Each step begins at the start, and at the "
                "end the weights are what they were.",
                like=leaving(back=False, end=False),
            ),
            Mistake(
                "training",
                "You train: each step begins where the last one ended, with a new gradient.",
                like=leaving(back=False, again=True),
            ),
            Mistake(
                "training_and_away",
                "You train: each step begins where the last one ended, with a new gradient, and the weights stay "
                "there.",
                like=leaving(back=False, again=True, end=False),
            ),
            Mistake(
                "gradient_from_there",
                "You go back to the start with the gradient of the place where you have just been.",
                like=leaving(again=True),
            ),
            Mistake(
                "not_back",
                "The losses are right. But the weights are left where the last step ended.",
                like=leaving(end=False),
            ),
            Mistake("uphill", "You walk uphill: the step goes along the *negative* gradient.", like=leaving(sign=1.0)),
            Mistake(
                "unit_length",
                "You have given the gradient the length 1. The step is -η ∇L, as long as that is.",
                like=leaving(unit=True),
            ),
            Mistake(
                "unit_length_each",
                "You have given every parameter's gradient the length 1. The step is -η ∇L, as long as that is.",
                like=leaving(each=True),
            ),
            Mistake(
                "no_step",
                "All losses are the one at the start. Did the weights move before you looked, and is the copy that you "
                "go back to a `clone`?",
                like=before_the_step,
            ),
            Mistake(
                "differences",
                "You return by how much the loss has changed. Asked for is the loss itself.",
                like=differences,
            ),
            Mistake(
                "promised",
                "That is what the gradient promises. What does the network say there?",
                like=promised,
            ),
            Mistake(
                "evaluation_mode",
                "You looked in evaluation mode, with running statistics. Leave the network's mode as it is.",
                like=in_evaluation_mode,
            ),
            Mistake(
                "recorded",
                "PyTorch lets nobody change a weight in place while it records for gradients. What switches that off?",
                raising="leaf [Vv]ariable",
            ),
        ],
        hints=[
            "In this order: the gradient, a copy of the weights, then a loop over the lengths.",
            "Each step is computed from the copy, and not from the weights as they are.",
            "Changes of weights in place belong under `torch.no_grad()`. A copy that does not move with the weights is "
            "a `clone()`.",
        ],
        look="the function `walk`",
        axes=("step",),
        remark="With a line for the gradient behind each step, this is the measurement of the second explanation.",
    ),
}
