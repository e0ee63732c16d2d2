"""The exercises of notebook 01: what happens to a signal after 20 layers."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.exercises.definitions import Code, Mistake, Number
from utils.exercises.nb02 import pictures

__all__ = ["EXERCISES"]


# --- 1.3 spreads


class Stopped(RuntimeError):
    """What the network of the last case raises."""


class Shortcut(nn.Module):
    """Three convolutions, with ReLUs and a shortcut between them: more than one layer after the other."""

    def __init__(self, fails: bool = False):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            self.first = nn.Conv2d(3, 4, 3, padding=1)
            self.second = nn.Conv2d(4, 4, 3, padding=1)
            self.third = nn.Conv2d(4, 4, 3)
        self.fails = fails

    @property
    def layers(self) -> list[nn.Module]:
        return [self.first, self.second, self.third]

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, H, W)
        x = F.relu(self.first(x))
        x = x + F.relu(self.second(x))
        if self.fails:
            raise Stopped("the network stops half-way, as the case wants it")
        return F.relu(self.third(x))


def try_spreads(answer, network: Shortcut, x: Tensor) -> dict:
    """The spreads, unless the network fails, and the hooks that are left."""
    found = {}
    try:
        spreads = answer(network, network.layers, x)
    except Stopped:
        found["error of the network"] = "passed on"
    else:
        if network.fails:
            found["error of the network"] = "swallowed"
        else:
            found["list of spreads"] = spreads
    modules = list(network.modules())
    found["number of hooks left behind"] = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules)
    return found


def spread(output: Tensor) -> Tensor:
    return output.std(0, unbiased=False).square().mean().sqrt()


def by_hooks(measure: Callable[[Tensor], Tensor] = spread, of_input=False, remove=True, always=True) -> Callable:
    """An answer; the arguments are what can be wrong with it."""

    def answer(network: nn.Module, layers: list[nn.Module], x: Tensor) -> list[float]:
        found, complete = [], False

        def note(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            found.append(measure(inputs[0] if of_input else output).item())

        handles = [layer.register_forward_hook(note) for layer in layers]
        try:
            network(x)
            complete = True
        finally:
            if remove and (complete or always):
                for handle in handles:
                    handle.remove()
        return found

    return answer


def one_after_the_other(network: nn.Module, layers: list[nn.Module], x: Tensor) -> list[float]:
    found = []
    for layer in layers:
        x = layer(x)
        found.append(spread(x).item())
    return found


def swallowing(network: nn.Module, layers: list[nn.Module], x: Tensor) -> list[float]:
    try:
        return by_hooks()(network, layers, x)
    except Stopped:
        return []


EXERCISES = {
    "1.1": Number(
        minutes=3,
        difficulty="★☆☆ easy",
        right=2**20,
        tolerance=0.5,
        mistakes=[
            Mistake("one_layer", "Twofold is what one layer does. Nineteen more follow.", value=2),
            Mistake("added", "You added the twenty twos. The second layer gets what the first one gave it.", value=40),
            Mistake(
                "nineteen",
                "From layer 1 to layer 20 there are nineteen steps. But here the first layer's weights have doubled "
                "too.",
                value=2**19,
            ),
            Mistake(
                "square_root",
                "There is a square root over n, and none over the weights. Or does ReLU halve what it lets through?",
                value=2**10,
            ),
            Mistake("variance", "That is what becomes of the variance. Asked for is the output itself.", value=4**20),
            Mistake("squared_depth", "That is 20². Which number is multiplied here, and how often?", value=400),
            Mistake("nothing", "Nothing in a plain network takes the factor back. A normalization would.", value=1),
        ],
        hints=[
            "How much larger is the output of layer 1? ReLU lets a positive number through as it is.",
            "Layer 2 gets an input that is larger, and has larger weights itself.",
            "Try it with `unbiased`: multiply each `layer.conv.weight` under `torch.no_grad()`.",
        ],
        look='the section "Multiply twenty times"',
        remark="A million, from a factor that looks harmless. And with biases it would no longer be exact: they are "
        "not doubled.",
    ),
    "1.2": Number(
        minutes=5,
        difficulty="★★☆ medium",
        right=(2 / 800) ** 0.5,
        tolerance=0.0005,
        mistakes=[
            Mistake(
                "without_relu",
                "That keeps the variance of the sum. Then comes the ReLU, and throws a part of it away.",
                value=(1 / 800) ** 0.5,
            ),
            Mistake(
                "relu_upside_down",
                "You corrected for the ReLU in the wrong direction: it makes the signal smaller. What have the weights "
                "to do about it?",
                value=(1 / 1600) ** 0.5,
            ),
            Mistake(
                "channels_out",
                "You counted the channels that go out. A sum runs over what comes in. (On the way back it would be "
                "the other way round.)",
                value=(2 / 2400) ** 0.5,
            ),
            Mistake(
                "no_places",
                "You counted one input for each channel. The kernel looks at several places of it.",
                value=(2 / 32) ** 0.5,
            ),
            Mistake(
                "no_channels",
                "You counted the places under the kernel in one channel. The sum runs over all channels that come in.",
                value=(2 / 25) ** 0.5,
            ),
            Mistake("one_side", "The kernel is square: it has more than 5 places.", value=(2 / 160) ** 0.5),
            Mistake("variance", "That is the variance of the weights: a square root is missing.", value=2 / 800),
            Mistake(
                "default",
                "That is PyTorch's recipe, whose gain for a network with ReLU is about 0.4.",
                value=(1 / 2400) ** 0.5,
            ),
        ],
        hints=[
            "How many numbers are added up for one value of the output?",
            "Put g = 1 into the formula of the gain, and solve it for σ.",
        ],
        look='the formula of the gain in the section "Multiply twenty times"',
        remark="On the way back, n is 5 · 5 · 96, and the same σ has a gain of √3: no σ serves both directions, if a "
        "layer has more outputs than inputs.",
    ),
    "1.3": Code(
        minutes=15,
        difficulty="★★★ hard",
        truth=by_hooks(),
        trial=try_spreads,
        cases=lambda: {
            "five pictures and a network with a shortcut": (Shortcut(), pictures(5, 3, 6, 6)),
            "three pictures": (Shortcut(), pictures(3, 3, 5, 4, seed=1)),
            "a network that raises an error half-way": (Shortcut(fails=True), pictures(3, 3, 5, 4)),
        },
        mistakes=[
            Mistake(
                "hooks_stay",
                "The spreads are right, but the hooks are still in the network: the next forward pass would note them "
                "again.",
                like=by_hooks(remove=False),
            ),
            Mistake(
                "hooks_stay_after_error",
                "All is right as long as nothing fails. But after an error in the network, the hooks stay in it: the "
                "lines that remove them are never reached.",
                like=by_hooks(always=False),
            ),
            Mistake(
                "swallows_the_error",
                "No hook stays, but whoever called is not told of the error. Clean up, and let it go on.",
                like=swallowing,
            ),
            Mistake(
                "one_after_the_other",
                "You send the output of each layer straight into the next one. Here, there are ReLUs and a shortcut "
                "between them: let the network itself run.",
                like=one_after_the_other,
            ),
            Mistake(
                "std_of_all",
                "That is the standard deviation of all values: the figure that lies. Over which axis is the spread "
                "across images taken?",
                like=by_hooks(lambda output: output.std()),
            ),
            Mistake(
                "within_image",
                "You measure how the values differ within each picture. Asked for is how they differ from picture to "
                "picture.",
                like=by_hooks(lambda output: output.std((1, 2, 3), unbiased=False).square().mean().sqrt()),
            ),
            Mistake(
                "mean_of_stds",
                "You take the mean over the units. The course takes the root mean square.",
                like=by_hooks(lambda output: output.std(0, unbiased=False).mean()),
            ),
            Mistake(
                "unbiased",
                "Your standard deviation over the batch divides by n - 1; `spread` above divides by n.",
                like=by_hooks(lambda output: output.std(0).square().mean().sqrt()),
            ),
            Mistake(
                "variance",
                "That is the mean square: the root is missing.",
                like=by_hooks(lambda output: output.var(0, unbiased=False).mean()),
            ),
            Mistake(
                "of_input",
                "These are the spreads of what goes into each layer. Which of a hook's three arguments is what comes "
                "out?",
                like=by_hooks(of_input=True),
            ),
        ],
        hints=[
            "The hook is a function inside your function, so that it can append to a list there.",
            "The number itself is what `spread` computes in the notebook: over the batch first, then over all units.",
            "Python has `try: … finally: …` for what has to be done in any case. Or write a class like `Spy`.",
        ],
        look='the sections "Looking inside, first attempt" and "The figure that lies"',
        axes=("layer",),
        remark="This is the core of `ActivationStats`, and it works on every network that PyTorch can run.",
    ),
}
