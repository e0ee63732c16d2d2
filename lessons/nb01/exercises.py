"""The exercises of notebook 01: what happens to a signal after 20 layers."""

from collections.abc import Callable
from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import _global_forward_hooks

from utils.exercises.definitions import Code
from utils.exercises.inputs import pictures

__all__ = ["EXERCISES"]


# --- 1.3 spreads


class Stopped(RuntimeError):
    """What the network of the last case raises."""


class Shortcut(nn.Module):
    """Three convolutions, with ReLUs and a shortcut between them, that run in another order than they stand here."""

    def __init__(self, fails: bool = False):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            self.third = nn.Conv2d(4, 4, 3)
            self.second = nn.Conv2d(4, 4, 3, padding=1)
            self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.fails, self.runs = fails, 0

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        self.runs += 1
        x = F.relu_(self.first(x))  # in place: what was kept of it is something else afterwards
        x = x + F.relu(self.second(x))
        if self.fails:
            raise Stopped("the network stops half-way, as the case wants it")
        return F.relu(self.third(x))


def try_spreads(answer, network: Shortcut, names: str, x: Tensor) -> dict:
    """The spreads, unless the network fails, how often it ran, and the hooks that are left."""
    found, everywhere = {}, set(_global_forward_hooks)
    try:
        spreads = answer(network, [getattr(network, name) for name in names.split()], x)
        found = {"error of the network": "swallowed"} if network.fails else {"list of spreads": spreads}
    except Stopped:
        found["error of the network"] = "passed on"
    hooks = [_global_forward_hooks.pop(key) for key in set(_global_forward_hooks) - everywhere]
    for module in network.modules():
        hooks += [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
        hooks += [module.forward] * (module.forward != MethodType(type(module).forward, module))  # another in its place
    return {**found, "number of runs": str(network.runs), "number of hooks left behind": str(len(hooks))}


def spread(output: Tensor) -> Tensor:
    return output.std(0, unbiased=False).square().mean().sqrt()


def by_hooks(measure: Callable[[Tensor], Tensor] = spread, as_run=True, remove=True, always=True) -> Callable:
    """An answer; the arguments are what can be wrong with it."""

    def answer(network: nn.Module, layers: list[nn.Module], x: Tensor) -> list[float]:
        found, complete = {}, False

        def note(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            found[module] = measure(output).item()

        handles = [layer.register_forward_hook(note) for layer in layers]
        try:
            network(x)
            complete = True
        finally:
            if remove and (complete or always):
                for handle in handles:
                    handle.remove()
        return list(found.values()) if as_run else [found[layer] for layer in layers]

    return answer


def kept(network: nn.Module, layers: list[nn.Module], x: Tensor) -> list[float]:
    outputs = []
    handles = [layer.register_forward_hook(lambda module, inputs, output: outputs.append(output)) for layer in layers]
    try:
        network(x)
    finally:
        for handle in handles:
            handle.remove()
    return [spread(output).item() for output in outputs]


def one_after_the_other(network: nn.Module, layers: list[nn.Module], x: Tensor) -> list[float]:
    return [spread(x := layer(x)).item() for layer in layers]


EXERCISES = {
    "instrument-of-your-own": Code(
        truth=by_hooks(),
        trial=try_spreads,
        cases=lambda: {
            "five pictures and a network with a shortcut": (Shortcut(), "first second third", pictures(5, 3, 6, 6)),
            "two layers that run in another order": (Shortcut(), "third first", pictures(3, 3, 5, 4, seed=1)),
            "a network that raises an error half-way": (
                Shortcut(fails=True),
                "first second third",
                pictures(3, 3, 5, 4),
            ),
        },
        axes=("layer",),
        mistakes={
            "hooks_stay": by_hooks(remove=False),
            "hooks_stay_after_error": by_hooks(always=False),
            "order_given": by_hooks(as_run=False),
            "one_after_the_other": one_after_the_other,
            "kept": kept,
            "mean_of_stds": by_hooks(lambda output: output.std(0, unbiased=False).mean()),
            "std_of_all": by_hooks(lambda output: output.std()),
            "unbiased": by_hooks(lambda output: output.std(0).square().mean().sqrt()),
        },
    ),
}
