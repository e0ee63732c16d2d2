"""The exercises of notebook 16: statistics that went wrong, and padding that is not counted."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable, described

__all__ = ["EXERCISES"]


# --- get-it-back


def spoiled(training: bool, momentum: float) -> nn.Module:
    """A small network with NaN in all running statistics; one of its layers is in the other mode."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, momentum=momentum), nn.ReLU(), nn.Dropout(0.3),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.3)), nn.Dropout(0.0),
    )  # fmt: skip
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.fill_(float("nan"))
            module.running_var.fill_(float("nan"))
            module.num_batches_tracked.fill_(9)
    net.train(training)
    net[-1].train(not training)
    return net


def batches(*sizes: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [i + (1 + i) * torch.randn(size, 2, 7, 7, generator=generator) for i, size in enumerate(sizes)]


@torch.no_grad()
def heal(
    net: nn.Module,
    given: list[Tensor],
    reset: bool = True,
    plain: bool = True,
    training: bool = True,
    dropped: bool = False,
    modes_back: bool = True,
    momentum_back: bool = True,
) -> None:
    """A right answer, and by its options some wrong ones."""
    modes = [(module, module.training) for module in net.modules()]
    norms = [(module, module.momentum) for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm, momentum in norms:
        if reset:
            norm.reset_running_stats()
        norm.momentum = None if plain else momentum
    net.train(dropped)
    for norm, _ in norms:
        norm.train(training)
    for pictures in given:
        net(pictures)
    for norm, momentum in norms if momentum_back else ():
        norm.momentum = momentum
    for module, mode in modes if modes_back else ():
        module.training = mode


@torch.no_grad()
def with_biased_variances(net: nn.Module, given: list[Tensor]) -> None:
    """As they normalize the batch."""
    heal(net, given)
    if len({len(pictures) for pictures in given}) == 1:
        norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm, places in zip(norms, (25, 9), strict=True):  # of `spoiled`
            values = len(given[0]) * places
            norm.running_var *= (values - 1) / values


@torch.no_grad()
def and_moves(net: nn.Module, given: list[Tensor]) -> None:
    heal(net, given)
    net[0].weight.add_(0.1)


def try_heal(answer, net: nn.Module, given: list[Tensor]) -> dict:
    """What has become of the statistics, and whether all else is as it was."""
    parameters = deepcopy(list(net.parameters()))
    learning = [parameter.requires_grad for parameter in parameters]
    modes = [module.training for module in net.modules()]
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    if (made := answer(net, given)) is not None:
        raise Unusable(
            f"It changes the network that it is given, and returns nothing; this returns a {type(made).__name__}."
        )
    found = {}
    for place, norm in enumerate(norms, 1):
        found |= {
            f"running mean {place}": norm.running_mean.clone(),
            f"running variance {place}": norm.running_var.clone(),
        }
    if not all(torch.equal(a, b) for a, b in zip(parameters, net.parameters(), strict=True)):
        return found | {"network afterwards": "other parameters"}
    if learning != [parameter.requires_grad for parameter in net.parameters()]:
        return found | {"network afterwards": "parameters that cannot learn any more"}
    if momenta != [norm.momentum for norm in norms]:
        return found | {"network afterwards": "another momentum"}
    same = modes == [module.training for module in net.modules()]
    return found | {"network afterwards": "as it was" if same else "another mode"}


# --- pictures-with-a-frame


def framed(channels: int, seed: int, padding: float = 0.0) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """Three pictures of different sizes in one tensor, which of their pixels are there, γ, β, and a large ε."""
    generator = torch.Generator().manual_seed(seed)
    there = torch.zeros(3, 6, 7, dtype=torch.bool)
    for i, (height, width) in enumerate(((6, 4), (3, 7), (2, 2))):
        there[i, :height, :width] = True
    x = 2 + torch.arange(channels)[:, None, None] + torch.randn(3, channels, 6, 7, generator=generator)
    x = torch.where(there[:, None], x, padding)
    return x, there, *(torch.rand(2, channels, generator=generator) + 0.5), 0.1


def masked_norm(
    x: Tensor,
    there: Tensor,
    gamma: Tensor,
    beta: Tensor,
    eps: float = 1e-5,
    correction: int = 0,
    axes=(0,),
    padding=0.0,
    outside: bool = False,
) -> Tensor:
    """A right answer, and by its options some wrong ones."""
    rows = x.permute(0, 2, 3, 1)
    values = rows[there]
    mean, var = values.mean(axes), values.var(axes, correction=correction)
    y = torch.zeros_like(rows) + padding * beta
    y[there] = gamma * (values - mean) / (var.sqrt() + eps if outside else (var + eps).sqrt()) + beta
    return y.permute(0, 3, 1, 2)


def over_all(x: Tensor, there: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5) -> Tensor:
    mask, axes = there[:, None], (0, 2, 3)
    mean, var = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
    y = gamma[:, None, None] * (x - mean) / (var + eps).sqrt() + beta[:, None, None]
    return torch.where(mask, y, 0.0)


def by_multiplying(x: Tensor, there: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5, axes=(0, 2, 3)) -> Tensor:
    mask = there[:, None].to(x.dtype)
    count = mask.sum(axes, keepdim=True)
    mean = (mask * x).sum(axes, keepdim=True) / count
    var = (mask * (x - mean) ** 2).sum(axes, keepdim=True) / count
    return mask * (gamma[:, None, None] * (x - mean) / (var + eps).sqrt() + beta[:, None, None])


def divided_by_all(x: Tensor, there: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5) -> Tensor:
    mask = there[:, None]
    clean = torch.where(mask, x, 0.0)
    mean = clean.mean((0, 2, 3), keepdim=True)
    var = torch.where(mask, (clean - mean) ** 2, 0.0).mean((0, 2, 3), keepdim=True)
    return torch.where(mask, gamma[:, None, None] * (clean - mean) / (var + eps).sqrt() + beta[:, None, None], 0.0)


def try_masked(answer, x: Tensor, there: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> dict:
    """What comes out, and the gradient of a weighted sum of it."""
    x, gamma, beta = (each.clone().requires_grad_() for each in (x, gamma, beta))
    y = answer(x, there.clone(), gamma, beta, eps)
    if not isinstance(y, Tensor) or y.shape != x.shape:
        raise Unusable(f"Return a tensor of the shape of x, {tuple(x.shape)}; this is {described(y)}")
    if not y.requires_grad:
        raise Unusable("No gradient goes through what you return: `detach`, `no_grad` or `.data` cut it off.")
    weights = torch.linspace(-1, 2, y.numel()).view(y.shape)
    (y * weights * there[:, None]).sum().backward()
    return {"output": y.detach(), "gradient of x": x.grad, "gradient of γ": gamma.grad, "gradient of β": beta.grad}


EXERCISES = {
    "get-it-back": Code(
        truth=heal,
        trial=try_heal,
        cases=lambda: {
            "a network in evaluation mode, three batches": (spoiled(False, 0.1), batches(4, 4, 4)),
            "a network in training mode, batches of 5 and of 3": (spoiled(True, 0.2), batches(5, 3)),
        },
        axes=("channel",),
        mistakes={
            "not_set_back": lambda net, given: heal(net, given, reset=False),
            "last_weighs_most": lambda net, given: heal(net, given, plain=False),
            "evaluation": lambda net, given: heal(net, given, training=False),
            "dropped": lambda net, given: heal(net, given, dropped=True),
            "biased": with_biased_variances,
            "mode_lost": lambda net, given: heal(net, given, modes_back=False),
            "momentum_lost": lambda net, given: heal(net, given, momentum_back=False),
            "parameters_moved": and_moves,
        },
    ),
    "pictures-with-a-frame": Code(
        truth=masked_norm,
        trial=try_masked,
        cases=lambda: {
            "three pictures of two channels": framed(2, 0),
            "three pictures of three channels, with ones in the padding": framed(3, 1, 1.0),
            "two channels, with NaN in the padding": framed(2, 2, float("nan")),
            "two channels, with infinite padding": framed(2, 3, float("inf")),
        },
        axes=("picture", "channel", "row", "column"),
        mistakes={
            "padding_counted": over_all,
            "divided_by_all": divided_by_all,
            "each_picture": lambda *given: by_multiplying(*given, axes=(2, 3)),
            "one_mean": lambda *given: masked_norm(*given, axes=(0, 1)),
            "unbiased": lambda *given: masked_norm(*given, correction=1),
            "eps_outside": lambda *given: masked_norm(*given, outside=True),
            "padding_shifted": lambda *given: masked_norm(*given, padding=1.0),
            "by_multiplying": by_multiplying,
            "nan_alone": lambda x, *given: by_multiplying(x.nan_to_num(0.0), *given),
        },
    ),
}
