"""The exercises of notebook 05: what else is wrong with our layer."""

from collections.abc import Callable

import torch
from torch import nn

from utils.exercises.definitions import Choice, Code, Mistake, Number
from utils.exercises.nb02 import pictures
from utils.layers import FirstBatchNorm2d, FirstBnLayer

__all__ = ["EXERCISES"]


# --- 5.3 mend


def made_network(seen: bool, training: bool) -> nn.Module:
    """Two first layers, one of them deep inside; with another m and a for each channel."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        block = nn.Sequential(nn.ReLU(), FirstBnLayer(4, 3))
        network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), FirstBatchNorm2d(4), block)
        for layer in first_layers(network):
            nn.init.uniform_(layer.m, 0.5, 2)
            nn.init.uniform_(layer.a, -1, 1)
    if seen:
        with torch.no_grad():
            network(pictures(4, 3, 6, 6))
    return network.train(training)


def first_layers(network: nn.Module) -> list[FirstBatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, FirstBatchNorm2d)]


def try_mend(answer, network: nn.Module) -> dict:
    """What stands in the two places afterwards, and what it holds."""
    answer(network)
    found = {}
    for place, layer in (("outer", network[1]), ("inner", network[2][1].norm)):
        found[f"type of the {place} layer"] = type(layer).__name__
        if isinstance(layer, nn.BatchNorm2d):
            for name in ("weight", "bias", "running_mean", "running_var"):
                found[f"{name} of the {place} layer"] = getattr(layer, name).detach().clone()
            found[f"mode of the {place} layer"] = "training" if layer.training else "evaluation"
    return found


def fill(new: nn.BatchNorm2d, old: FirstBatchNorm2d, square=True, exchange=False, learned=True, stats=True) -> None:
    """What the new layer takes over; the arguments are what can be wrong with it."""
    weight, bias = (old.a, old.m) if exchange else (old.m, old.a)
    if learned:
        new.weight.copy_(weight.flatten())
        new.bias.copy_(bias.flatten())
    if stats and hasattr(old, "means"):
        new.running_mean.copy_(old.means.flatten())
        new.running_var.copy_(old.stds.flatten() ** (2 if square else 1))


def mending(inside=True, mode=True, **faults) -> Callable[[nn.Module], None]:
    """An answer; the arguments are what can be wrong with it."""

    @torch.no_grad()
    def answer(network: nn.Module) -> None:
        for name, old in network.named_children():
            if isinstance(old, FirstBatchNorm2d):
                new = nn.BatchNorm2d(old.m.numel())
                fill(new, old, **faults)
                setattr(network, name, new.train(old.training) if mode else new)
            elif inside:
                answer(old)

    return answer


def nothing(network: nn.Module) -> None:
    pass


EXERCISES = {
    "5.1": Number(
        minutes=3,
        difficulty="★☆☆ easy",
        right=0.5,
        tolerance=0.001,
        mistakes=[
            Mistake("without_shift", "0 is x̂, the normalized value. Then come γ and β.", value=0),
            Mistake(
                "one_for_zero",
                "That would be so if x̂ were 1. What is a value minus the mean, if all are equal?",
                value=2.5,
            ),
            Mistake("scale_alone", "That is γ. By what is it multiplied, and what is added?", value=2),
            Mistake(
                "not_normalized",
                "You sent 7 through γ and β without normalizing it. The layer subtracts the mean first.",
                value=14.5,
            ),
            Mistake("unchanged", "The layer does not leave a channel as it is because it is constant.", value=7),
            Mistake(
                "divided_by_eps",
                "You divided 7 by the root of ε. Above the line stands 7 minus the mean.",
                value=2 * 7 / 1e-5**0.5 + 0.5,
            ),
        ],
        hints=[
            "What is the mean of the channel? So what stands above the line, for each value?",
            "Our first layer would make NaN of it. What has ε changed below the line?",
            "Then comes the last step, with γ and β.",
        ],
        look='the formula in the section "A channel that says nothing"',
        remark="So a constant channel leaves the layer as β, whatever its value was: no error, and no information.",
    ),
    "5.2": Choice(
        minutes=4,
        difficulty="★★☆ medium",
        right="c",
        wrong={
            "a": "For that, the statistics would have to be in the file. What does a `state_dict` hold, and what are "
            "`means` and `stds`?",
            "b": "It raises an error if the network expects a name that the file does not hold. Does a new "
            "`FirstBatchNorm2d` expect `means`?",
            "d": "PyTorch's layer starts with 0 and 1. Does ours set anything before the first batch?",
            "e": "In evaluation mode, `forward` skips the lines that look at the batch.",
        },
        hints=[
            "Print `list(FirstBatchNorm2d(4).state_dict())`.",
            "In which line is `self.means` set, and under which condition?",
            "Try it: `FirstBatchNorm2d(4).eval()(torch.rand(1, 4, 2, 2))`.",
        ],
        look='the section "What is remembered, and where"',
        remark="Lucky, in a way: an error is seen at once. With buffers that start at 0 and 1 and are not saved "
        "(`persistent=False`), it would be wrong without a word.",
    ),
    "5.3": Code(
        minutes=15,
        difficulty="★★★ hard",
        truth=mending(),
        trial=try_mend,
        cases=lambda: {
            "a trained network in evaluation mode": (made_network(seen=True, training=False),),
            "a trained network in training mode": (made_network(seen=True, training=True),),
            "a network that has not seen a batch": (made_network(seen=False, training=True),),
        },
        mistakes=[
            Mistake(
                "nothing_replaced",
                "The network still holds its old layers. A new value for the variable of a loop is not a new layer in "
                "the network: who holds it, and under which name?",
                like=nothing,
            ),
            Mistake(
                "outermost_only",
                "The outermost layer is replaced; the one inside a block is not. Children have children.",
                like=mending(inside=False),
            ),
            Mistake(
                "not_squared",
                "The running variance holds standard deviations.",
                like=mending(square=False),
            ),
            Mistake("exchanged", "Weight and bias are exchanged: which of them is `m`?", like=mending(exchange=True)),
            Mistake(
                "nothing_learned",
                "The statistics are right, but what was learned is lost: weight and bias are at their start.",
                like=mending(learned=False),
            ),
            Mistake(
                "nothing_remembered",
                "What was learned is right; what was remembered is lost.",
                like=mending(stats=False),
            ),
            Mistake(
                "empty_layers",
                "The types are right, but nothing was taken over: neither what was learned, nor what was remembered.",
                like=mending(learned=False, stats=False),
            ),
            Mistake(
                "mode_lost",
                "All numbers are right. But a new layer is in training mode, and the network was in evaluation mode.",
                like=mending(mode=False),
            ),
            Mistake(
                "no_means_yet",
                "A layer that has not seen a batch has no `means`: ask before you read them.",
                raising="AttributeError: 'FirstBatchNorm2d' object has no attribute '(means|stds)'",
            ),
            Mistake(
                "wrong_shape_of_parameters",
                "Our layer keeps its numbers as (C, 1, 1), PyTorch's as (C,). Bring them into one shape first.",
                raising="RuntimeError: .*(must match the size|output with shape|shape mismatch|broadcast)",
            ),
            Mistake(
                "needs_no_grad",
                "You write into a parameter while gradients are recorded. `torch.no_grad()` is for that.",
                raising="RuntimeError: a leaf Variable that requires grad",
            ),
        ],
        hints=[
            "`network.named_children()` gives the names and modules one level down. What if one of them is a block?",
            "`setattr(parent, name, new)` puts a module into its place.",
            "`hasattr` asks whether there is anything to remember; `flatten` makes (C,) of (C, 1, 1).",
        ],
        look='the section "What is remembered, and where"',
        axes=("channel",),
        remark="Libraries do just this: `convert_sync_batchnorm` of PyTorch walks through a network in the same way. "
        "Notebook 12 needs it.",
    ),
}
