"""The exercises of notebook 04: evaluation mode and running estimates."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable
from utils.exercises.inputs import pictures

__all__ = ["EXERCISES"]

AXES = (0, 2, 3)


# --- 4.3 update


def try_update(answer, mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> dict:
    """The two results by their names."""
    result = answer(mean, var, x, momentum)
    if result is None:
        return {"running mean": None, "running variance": None}
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Unusable("Return two tensors: `return new_mean, new_var`.")
    return {"running mean": result[0], "running variance": result[1]}


def moved(old: Tensor, new: Tensor, share: float) -> Tensor:
    return old + share * (new - old)


def moving(variance: Callable[[Tensor, Tensor, float], Tensor]) -> Callable:
    """An answer whose mean is right, and whose variance is made from (running variance, batch, momentum)."""
    return lambda mean, var, x, share: (moved(mean, x.mean(AXES), share), variance(var, x, share))


updated = moving(lambda var, x, share: moved(var, x.var(AXES), share))


# --- 4.4 recalibrate


def made_network(training: bool) -> nn.Sequential:
    """Two normalized convolutions, one in a block, whose estimates are far from the statistics of any batch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Sequential(nn.Conv2d(4, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5, momentum=0.3)),
        )  # fmt: skip
        for layer in norms(network):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            layer.running_mean.fill_(7.0)
            layer.running_var.fill_(0.1)
            layer.num_batches_tracked.fill_(50)
    return network.train(training)


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def made_batches(*sizes: int) -> list[Tensor]:
    return [pictures(size, 3, 4, 4, seed=seed) + seed for seed, size in enumerate(sizes)]


def try_recalibration(answer, network: nn.Module, batches: list[Tensor]) -> dict:
    """What the network remembers afterwards, and whether all else is as the task wants it."""
    weights = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    answer(network, batches)
    found = {}
    for place, layer in enumerate(norms(network), 1):
        found[f"running mean of normalization {place}"] = layer.running_mean.clone()
        found[f"running variance of normalization {place}"] = layer.running_var.clone()
    same = all(torch.equal(parameter, weights[name]) for name, parameter in network.named_parameters())
    found["weights"] = "unchanged" if same else "changed"
    found["number of parameters that can learn"] = str(sum(p.requires_grad for p in network.parameters()))
    found["momenta"] = ", ".join(str(layer.momentum) for layer in norms(network))
    modes = {module.training for module in network.modules()}
    found["mode"] = "training in some parts" if len(modes) > 1 else "training" if True in modes else "evaluation"
    return found


@torch.no_grad()
def recalibrated(
    network: nn.Module, batches: list[Tensor], reset=True, plain=True, train=True, restore=True, end=True
) -> None:
    """An answer; the arguments are the steps that can be left out."""
    layers = norms(network)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        if reset:
            layer.reset_running_stats()
        if plain:
            layer.momentum = None
    if train:
        network.train()
    for batch in batches:
        network(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum if restore else layer.momentum
    if end:
        network.eval()


EXERCISES = {
    "one-step-of-the-estimates": Code(
        truth=updated,
        trial=try_update,
        cases=lambda: {
            "three channels and momentum 0.1": (
                torch.tensor([1.0, -2.0, 0.5]),
                torch.tensor([4.0, 1.0, 9.0]),
                pictures(2, 3, 2, 2),
                0.1,
            ),
            "four channels and momentum 0.25": (torch.zeros(4), torch.ones(4), pictures(3, 4, 2, 1, seed=1), 0.25),
        },
        form=torch.squeeze,
        axes=("channel",),
        mistakes={
            "biased": moving(lambda var, x, share: moved(var, x.var(AXES, unbiased=False), share)),
            "keras": lambda mean, var, x, share: updated(mean, var, x, 1 - share),
            "of_deviations": moving(lambda var, x, share: moved(var.sqrt(), x.std(AXES), share) ** 2),
            "deviation_for_variance": moving(lambda var, x, share: moved(var, x.std(AXES), share)),
            "without_forgetting": lambda mean, var, x, share: (mean + share * x.mean(AXES), var + share * x.var(AXES)),
        },
    ),
    "remember-anew": Code(
        truth=recalibrated,
        trial=try_recalibration,
        cases=lambda: {
            "evaluation mode, and three batches of four": (made_network(training=False), made_batches(4, 4, 4)),
            "training mode, and batches of 4, 4 and 2": (made_network(training=True), made_batches(4, 4, 2)),
        },
        form=torch.squeeze,
        axes=("channel",),
        mistakes={
            "no_reset": partial(recalibrated, reset=False),
            "moving_average": partial(recalibrated, plain=False),
            "evaluation_mode": partial(recalibrated, train=False),
            "left_in_training": partial(recalibrated, end=False),
            "momentum_lost": partial(recalibrated, restore=False),
            "one_large_batch": lambda network, batches: recalibrated(network, [torch.cat(batches)]),
        },
    ),
}
