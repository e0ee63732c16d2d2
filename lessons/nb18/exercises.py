"""The exercises of notebook 18: claims, γ and β alone, and who sees the future."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable, described

__all__ = ["EXERCISES"]


def watched(network: nn.Module) -> Callable[[], dict[str, str]]:
    """Tells, when it is called later, whether parameters, buffers and modes are what they are now."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]

    def observed() -> dict[str, str]:
        same = {
            "state of the network": all(torch.equal(t, before[n]) for n, t in network.state_dict().items()),
            "mode of its parts": modes == [module.training for module in network.modules()],
        }
        return {what: "unchanged" if is_same else "changed" for what, is_same in same.items()}

    return observed


# --- two-numbers-a-channel

NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


def in_a_row() -> nn.Sequential:
    """Two kinds of normalization and two that do not count, and biases that have one axis as γ and β have."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, bias=False), nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4, affine=True), nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3),
    )  # fmt: skip


def nested() -> nn.Sequential:
    """Normalizations at several depths, without γ, without β, or without both; some are frozen; evaluation mode."""
    block = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4), nn.PReLU(4)))
    pair = nn.Sequential(nn.BatchNorm2d(4, affine=False), nn.Conv2d(4, 2, 1), nn.GroupNorm(1, 2))
    network = nn.Sequential(block, pair, nn.Flatten(), nn.LayerNorm(2, bias=False), nn.Linear(2, 2))
    block.requires_grad_(False)
    network[3].weight.requires_grad_(False)
    return network.eval()


def used_twice() -> nn.Sequential:
    norm = nn.LayerNorm(4)
    return nn.Sequential(nn.Sequential(nn.Linear(4, 4), norm), nn.Sequential(nn.Linear(4, 4), norm))


def try_choosing(answer, network: nn.Module) -> dict:
    """What has become of each parameter: how often it is returned, and whether it learns."""
    observed = watched(network)
    chosen = listed(answer(network))
    found = {"list": "with a None" if any(p is None for p in chosen) else "of parameters"}
    for place, module in network.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            times = sum(other is parameter for other in chosen)
            taken = {0: "left out", 1: "taken"}.get(times, f"taken {times} times")
            learns = "learning" if parameter.requires_grad else "frozen"
            found[f"{name} of the {type(module).__name__} at {place or 'the top'}"] = f"{taken} and {learns}"
    own = {id(parameter) for parameter in network.parameters()}
    others = sum(p is not None and id(p) not in own for p in chosen)
    found["rest of the list"] = f"{others} tensors that are no parameters of the network" if others else "nothing"
    return found | observed()


def listed(result) -> list[Tensor | None]:
    if result is None:
        raise Unusable("Nothing comes back. Is a `return` missing?")
    if isinstance(result, (Tensor, str, dict)) or not isinstance(result, Iterable):
        raise Unusable(f"Return a list of parameters; this is {described(result)}")
    chosen = list(result)
    for one in chosen:
        if one is not None and not isinstance(one, Tensor):
            raise Unusable(f"Return a list of parameters, and nothing else in it; it holds a {type(one).__name__}.")
    return chosen


def of_layers(layers: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [parameter for layer in layers if isinstance(layer, NORMS) for parameter in layer.parameters()]


def of_all_layers(network: nn.Module) -> list[nn.Parameter]:
    return list(dict.fromkeys(of_layers(network.modules())))


def each_use(network: nn.Module) -> list[nn.Parameter]:
    """Goes through the network layer by layer, and meets one that is used twice two times."""
    return of_layers([network]) + [parameter for layer in network._modules.values() for parameter in each_use(layer)]


def letting_learn(choose: Callable[[nn.Module], list], freeze: bool = True) -> Callable[[nn.Module], list]:
    """An answer that lets these parameters learn, and freezes everything first if it freezes."""

    def answer(network: nn.Module) -> list:
        if freeze:
            network.requires_grad_(False)
        chosen = choose(network)
        for parameter in chosen:
            parameter.requires_grad_()
        return chosen

    return answer


# --- who-sees-the-future

SYMBOLS, CHANNELS, TEXTS, PLACES = 17, 6, 2, 6


class Reading(nn.Module):
    """(N, T) symbols → (N, 5, T): what it says at each place, from what `parts` make of (N, C, T)."""

    def __init__(self, *parts: nn.Module):
        super().__init__()
        self.symbols = nn.Embedding(SYMBOLS, CHANNELS)
        self.parts = nn.Sequential(*parts)
        self.head = nn.Conv1d(CHANNELS, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.parts(self.symbols(x).transpose(1, 2)))


class EachPlace(nn.Module):
    """Layer normalization over the channels of a place."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.transpose(1, 2), (x.shape[1],)).transpose(1, 2)


class Summed(nn.Module):
    """Takes from some places the sum over them, in texts whose first symbol has a channel 0 of this sign."""

    def __init__(self, first: int, last: int, sign: int):
        super().__init__()
        self.places, self.sign = slice(first, last), sign

    def forward(self, x: Tensor) -> Tensor:
        out, part = x.clone(), x[..., self.places]
        out[..., self.places] -= (x[:, :1, :1] * self.sign > 0) * part.sum(-1, keepdim=True)
        return out


class Ahead(nn.Module):
    """Adds to each place a little of the next one."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        return x + self.share * F.pad(x[..., 1:], (0, 1))


def back(width: int = 3) -> nn.Sequential:
    """A convolution that sees places up to its own."""
    return nn.Sequential(nn.ConstantPad1d((width - 1, 0), 0.0), nn.Conv1d(CHANNELS, CHANNELS, width), nn.Tanh())


def made_reader(make: Callable[[], list[nn.Module]], mode: str, asked: str) -> tuple[nn.Module, Tensor, bool]:
    """A reader in a mode, texts, and the mode that is asked for; "frozen": in training, but one normalization is not.

    Its weights and what it remembers are those of a network that has been in use.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        reader, x = Reading(*make()), torch.randint(SYMBOLS, (TEXTS, PLACES))
        reader.train()
        for _ in range(3):
            reader(torch.randint(SYMBOLS, (TEXTS, PLACES)))
    reader.train(mode != "evaluation")
    if mode == "frozen":
        next(part for part in reader.parts if isinstance(part, nn.BatchNorm1d)).eval()
    return reader, x, asked == "training"


def readers() -> dict[str, tuple]:
    """Names that do not say which normalization it is: that is for the learner to find out, with `leaks`."""

    def batch() -> list[nn.Module]:
        return [back(), nn.BatchNorm1d(CHANNELS), back(2), nn.BatchNorm1d(CHANNELS)]

    evaluation, training = "evaluation", "training"
    rows = [
        ("causal convolutions alone", lambda: [back(), back(2)], evaluation, evaluation),
        ("a padded convolution", lambda: [nn.Conv1d(CHANNELS, CHANNELS, 3, padding=1)], evaluation, evaluation),
        ("a first normalization", batch, evaluation, training),
        ("a first normalization", batch, "frozen", evaluation),
        ("a second normalization", lambda: [back(), nn.GroupNorm(1, CHANNELS)], training, evaluation),
        ("a third normalization", lambda: [back(), EachPlace()], training, training),
        ("dropout", lambda: [back(), nn.Dropout(0.3), back(2)], training, training),
        ("a sum over the first two places of some texts", lambda: [Summed(0, 2, -1)], evaluation, evaluation),
        ("a sum over four places of some texts", lambda: [Summed(1, 5, 1)], evaluation, evaluation),
        ("a next place that counts a little", lambda: [Ahead(5e-5)], evaluation, evaluation),
        ("a next place that counts next to nothing", lambda: [Ahead(4e-6)], evaluation, evaluation),
    ]
    return {f"{name}, {asked} mode asked for": made_reader(make, mode, asked) for name, make, mode, asked in rows}


def try_leaks(answer, network: nn.Module, x: Tensor, training: bool) -> dict:
    """What it says, and whether the network is as it was."""
    observed = watched(network)
    result = answer(network, x, training)
    if result is None:
        raise Unusable("Nothing comes back. Is a `return` missing?")
    if isinstance(result, Tensor) and result.numel() != 1:
        raise Unusable(f"Return True or False; this is a tensor of shape {tuple(result.shape)}.")
    if not isinstance(result, Tensor) and type(result).__name__ not in ("bool", "bool_", "int"):
        raise Unusable(f"Return True or False; this is {described(result)}")
    return {"answer": str(bool(result)), **observed()}


@torch.no_grad()
def leaky(reader: nn.Module, x: Tensor, first: int = 1, own_place: bool = False, seeded: bool = True) -> bool:
    """Whether a change from some place on, `first` or later, is seen before it, or at that place itself as well."""
    found = False
    for t in range(first, x.shape[1]):
        changed = x.clone()
        changed[:, t:] = (x[:, t:] + 1) % SYMBOLS
        said = []
        for text in (x, changed):
            if seeded:
                torch.manual_seed(0)
            said.append(reader(text)[..., : t + own_place])
        found = found or (said[0] - said[1]).abs().max().item() > 1e-5
    return found


def on_a_copy(test: Callable[[nn.Module, Tensor], bool]) -> Callable[[nn.Module, Tensor, bool], bool]:
    """An answer: a test of a copy, in the mode that is asked for."""
    return lambda network, x, training: test(deepcopy(network).train(training), x)


def with_all_parts_in_its_mode(network: nn.Module, x: Tensor, training: bool) -> bool:
    state, was = deepcopy(network.state_dict()), network.training
    found = leaky(network.train(training), x)
    network.load_state_dict(state)
    network.train(was)
    return found


EXERCISES = {
    "two-numbers-a-channel": Code(
        truth=letting_learn(of_all_layers),
        trial=try_choosing,
        cases=lambda: {
            "layers in a row": (in_a_row(),),
            "blocks inside blocks, some of them frozen before": (nested(),),
            "one normalization that is used twice": (used_twice(),),
            "a normalization alone": (nn.GroupNorm(2, 4).requires_grad_(False),),
        },
        mistakes={
            "one_axis": letting_learn(lambda network: [p for p in network.parameters() if p.ndim == 1]),
            "by_name": letting_learn(lambda network: [p for name, p in network.named_parameters() if "norm" in name]),
            "not_deep": letting_learn(lambda network: of_layers(network.children())),
            "nothing_frozen": letting_learn(of_all_layers, freeze=False),
            "twice": letting_learn(each_use),
        },
    ),
    "who-sees-the-future": Code(
        truth=on_a_copy(leaky),
        trial=try_leaks,
        cases=readers,
        seconds=40,
        mistakes={
            "own_place": on_a_copy(partial(leaky, own_place=True)),
            "last_symbol": on_a_copy(lambda reader, x: leaky(reader, x, first=x.shape[1] - 1)),
            "mode_as_it_is": lambda network, x, training: leaky(deepcopy(network), x),
            "random": on_a_copy(partial(leaky, seeded=False)),
            "nothing_restored": lambda network, x, training: leaky(network.train(training), x),
            "mode_of_parts": with_all_parts_in_its_mode,
        },
    ),
}
