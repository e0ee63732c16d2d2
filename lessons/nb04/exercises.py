"""The exercises of notebook 04: evaluation mode and running estimates."""

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


def updated(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    return _moved(mean, x.mean(AXES), momentum), _moved(var, x.var(AXES), momentum)


def _moved(old: Tensor, new: Tensor, share: float) -> Tensor:
    return old + share * (new - old)


def biased(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    return _moved(mean, x.mean(AXES), momentum), _moved(var, x.var(AXES, unbiased=False), momentum)


def of_deviations(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    return _moved(mean, x.mean(AXES), momentum), _moved(var.sqrt(), x.std(AXES), momentum) ** 2


def deviation_for_variance(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    return _moved(mean, x.mean(AXES), momentum), _moved(var, x.std(AXES), momentum)


def mean_only(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    return _moved(mean, x.mean(AXES), momentum), var


def without_forgetting(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    return mean + momentum * x.mean(AXES), var + momentum * x.var(AXES)


def around_the_old_mean(mean: Tensor, var: Tensor, x: Tensor, momentum: float) -> tuple[Tensor, Tensor]:
    count = x.numel() // x.shape[1]
    spread = (x - mean.view(1, -1, 1, 1)).square().sum(AXES) / (count - 1)
    return _moved(mean, x.mean(AXES), momentum), _moved(var, spread, momentum)


# --- 4.4 recalibrate


def made_network() -> nn.Sequential:
    """Two normalized convolutions whose running statistics are far from those of any batch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5, momentum=0.3),
        )  # fmt: skip
    for layer in norms(network):
        nn.init.uniform_(layer.weight, 0.5, 1.5, generator=torch.Generator().manual_seed(1))
        layer.running_mean.fill_(7.0)
        layer.running_var.fill_(0.1)
        layer.num_batches_tracked.fill_(50)
    return network


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def made_batches(sizes: tuple[int, ...]) -> list[Tensor]:
    return [pictures(size, 3, 4, 4, seed=seed) + seed for seed, size in enumerate(sizes)]


def try_recalibration(answer, network: nn.Module, batches: list[Tensor]) -> dict:
    """What the network remembers afterwards, its mode, and what it computes."""
    weights = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    answer(network, batches)
    found = {}
    for place, layer in enumerate(norms(network), 1):
        found[f"running mean of normalization {place}"] = layer.running_mean.clone()
        found[f"running variance of normalization {place}"] = layer.running_var.clone()
    same = all(torch.equal(parameter, weights[name]) for name, parameter in network.named_parameters())
    found["weights"] = "unchanged" if same else "changed"
    found["momenta"] = ", ".join(str(layer.momentum) for layer in norms(network))
    found["mode"] = "training" if network.training else "evaluation"
    return found


def recalibrated(network: nn.Module, batches: list[Tensor], reset=True, plain=True, restore=True, end=True) -> None:
    layers = norms(network)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        if reset:
            layer.reset_running_stats()
        if plain:
            layer.momentum = None
    network.train()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    if restore:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    if end:
        network.eval()


def in_evaluation_mode(network: nn.Module, batches: list[Tensor]) -> None:
    network.eval()
    for layer in norms(network):
        layer.reset_running_stats()
    for batch in batches:
        network(batch)


def unmoved(network: nn.Module, batches: list[Tensor]) -> None:
    network.eval()


def last_batch_only(network: nn.Module, batches: list[Tensor]) -> None:
    recalibrated(network, batches[-1:])


def first_batch_only(network: nn.Module, batches: list[Tensor]) -> None:
    recalibrated(network, batches[:1])


def one_large_batch(network: nn.Module, batches: list[Tensor]) -> None:
    recalibrated(network, [torch.cat(batches)])


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
            "three channels and momentum 0.25": (
                torch.zeros(3),
                torch.ones(3),
                pictures(3, 3, 2, 1, seed=1),
                0.25,
            ),
        },
        form=torch.squeeze,
        axes=("channel",),
        mistakes={
            "biased": biased,
            "keras": lambda mean, var, x, momentum: updated(mean, var, x, 1 - momentum),
            "of_deviations": of_deviations,
            "deviation_for_variance": deviation_for_variance,
            "mean_only": mean_only,
            "without_forgetting": without_forgetting,
            "last_batch": lambda mean, var, x, momentum: updated(mean, var, x, 1.0),
            "around_the_old_mean": around_the_old_mean,
            "exchanged": lambda *arguments: updated(*arguments)[::-1],
        },
    ),
    "remember-anew": Code(
        truth=recalibrated,
        trial=try_recalibration,
        cases=lambda: {
            "three batches of four": (made_network(), made_batches((4, 4, 4))),
            "batches of 4, 4 and 2": (made_network(), made_batches((4, 4, 2))),
        },
        form=torch.squeeze,
        axes=("channel",),
        mistakes={
            "no_reset": lambda network, batches: recalibrated(network, batches, reset=False),
            "moving_average": lambda network, batches: recalibrated(network, batches, plain=False),
            "nothing_forgotten": lambda network, batches: recalibrated(network, batches, reset=False, plain=False),
            "evaluation_mode": in_evaluation_mode,
            "unmoved": unmoved,
            "left_in_training": lambda network, batches: recalibrated(network, batches, end=False),
            "momentum_lost": lambda network, batches: recalibrated(network, batches, restore=False),
            "both_left": lambda network, batches: recalibrated(network, batches, restore=False, end=False),
            "last_batch": last_batch_only,
            "first_batch": first_batch_only,
            "one_large_batch": one_large_batch,
            "parameters_reset": lambda network, batches: (
                [layer.reset_parameters() for layer in norms(network)],
                recalibrated(network, batches),
            ),
        },
    ),
}
