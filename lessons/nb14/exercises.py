"""The exercises of notebook 14: claims, γ and β alone, and who sees the future."""

from collections.abc import Callable, Iterable
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable

__all__ = ["EXERCISES"]

# --- 14.2 only γ and β

NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


def in_a_row() -> nn.Sequential:
    """Two kinds of normalization, and biases that have one axis as γ and β have."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, bias=False), nn.GroupNorm(2, 4),
        nn.Flatten(), nn.Linear(4, 3),
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
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    chosen = listed(answer(network))
    found = {"list": "with a None" if any(p is None for p in chosen) else "of parameters"}
    for place, module in network.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            times = sum(other is parameter for other in chosen)
            taken = {0: "left out", 1: "taken"}.get(times, f"taken {times} times")
            learns = "learning" if parameter.requires_grad else "frozen"
            found[f"{name} of the {type(module).__name__} at {place}"] = f"{taken} and {learns}"
    own = {id(parameter) for parameter in network.parameters()}
    others = sum(p is not None and id(p) not in own for p in chosen)
    found["rest of the list"] = f"{others} tensors that are no parameters of the network" if others else "nothing"
    same = all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    found["network's numbers"] = "unchanged" if same else "changed"
    found["mode"] = "unchanged" if modes == [module.training for module in network.modules()] else "changed"
    return found


def listed(result) -> list[Tensor | None]:
    if result is None:
        raise Unusable("Nothing comes back. Is a `return` missing?")
    if isinstance(result, (Tensor, str, dict)) or not isinstance(result, Iterable):
        raise Unusable(f"Return a list of parameters; this is a {type(result).__name__}.")
    chosen = list(result)
    for one in chosen:
        if one is not None and not isinstance(one, Tensor):
            raise Unusable(f"Return a list of parameters, and nothing else in it; it holds a {type(one).__name__}.")
    return chosen


def gammas_and_betas(network: nn.Module, kinds: tuple[type, ...] = NORMS) -> list[nn.Parameter]:
    return [p for layer in network.modules() if isinstance(layer, kinds) for p in layer.parameters()]


def letting_learn(choose: Callable[[nn.Module], list], freeze: bool = True, learn: bool = True) -> Callable:
    """An answer that takes these parameters, freezes everything first if it freezes, and lets the chosen ones learn."""

    def answer(network: nn.Module) -> list:
        if freeze:
            network.requires_grad_(False)
        chosen = choose(network)
        for parameter in chosen:
            if learn and parameter is not None:
                parameter.requires_grad_()
        return chosen

    return answer


def without_thawing(network: nn.Module) -> list[nn.Parameter]:
    """Freezes the others, and leaves the chosen ones as they are."""
    chosen = gammas_and_betas(network)
    for parameter in network.parameters():
        if not any(parameter is other for other in chosen):
            parameter.requires_grad_(False)
    return chosen


def gammas(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in with_nones(network)[::2] if parameter is not None]


def with_nones(network: nn.Module) -> list[nn.Parameter | None]:
    return [p for layer in network.modules() if isinstance(layer, NORMS) for p in (layer.weight, layer.bias)]


def with_statistics(network: nn.Module) -> list[Tensor]:
    layers = [layer for layer in network.modules() if isinstance(layer, NORMS)]
    tensors = [tensor for layer in layers for tensor in (*layer.parameters(), *layer.buffers())]
    return [tensor for tensor in tensors if tensor.is_floating_point()]


def copies(network: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in letting_learn(gammas_and_betas)(network)]


def frozen_again(network: nn.Module) -> list[nn.Parameter]:
    """Goes through modules(), and each decides on all parameters inside it: a block freezes what it shares."""
    for layer in network.modules():
        layer.requires_grad_(isinstance(layer, NORMS))
    return gammas_and_betas(network)


def each_use(network: nn.Module) -> list[nn.Parameter]:
    """Goes through the network layer by layer, and meets one that is used twice two times."""
    found = [] if not isinstance(network, NORMS) else list(network.parameters())
    return found + [parameter for layer in network._modules.values() for parameter in each_use(layer)]


# --- 14.3 leaks

SYMBOLS, CHANNELS, PLACES = 17, 6, 9


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


class Chunks(nn.Module):
    """Normalizes a text in chunks of 4 places, as one that arrives piece by piece."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([F.layer_norm(part, part.shape[1:]) for part in x.split(4, -1)], -1)


def back(width: int = 3) -> nn.Sequential:
    """A convolution that sees places up to its own."""
    return nn.Sequential(nn.ConstantPad1d((width - 1, 0), 0.0), nn.Conv1d(CHANNELS, CHANNELS, width), nn.Tanh())


def made_reader(make: Callable[[], list[nn.Module]], *, mode: str, asked: str) -> tuple[nn.Module, Tensor, bool]:
    """A reader in a mode, texts, and the mode that is asked for; "frozen": in training, but one normalization is not.

    Its weights and what it remembers are those of a network that has been in use.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        reader, x = Reading(*make()), torch.randint(SYMBOLS, (3, PLACES))
        reader.train()
        for _ in range(3):
            reader(torch.randint(SYMBOLS, (3, PLACES)))
    reader.train(mode != "evaluation")
    if mode == "frozen":
        next(part for part in reader.parts if isinstance(part, nn.BatchNorm1d)).eval()
    return reader, x, asked == "training"


def readers() -> dict[str, tuple]:
    """Names that do not say which normalization it is: that is for the learner to find out, with `leaks`."""

    def batch() -> list[nn.Module]:
        return [back(), nn.BatchNorm1d(CHANNELS), back(2), nn.BatchNorm1d(CHANNELS)]

    def dropout() -> list[nn.Module]:
        return [back(), nn.Dropout(0.3), back(2)]

    return {
        "causal convolutions alone, evaluation mode asked for": made_reader(
            lambda: [back(), back(2)], mode="evaluation", asked="evaluation"
        ),
        "convolutions padded on both sides, evaluation mode asked for": made_reader(
            lambda: [nn.Conv1d(CHANNELS, CHANNELS, 3, padding=1)], mode="evaluation", asked="evaluation"
        ),
        "a first normalization, training mode asked for": made_reader(batch, mode="evaluation", asked="training"),
        "a first normalization, evaluation mode asked for": made_reader(batch, mode="frozen", asked="evaluation"),
        "a second normalization, evaluation mode asked for": made_reader(
            lambda: [back(), nn.GroupNorm(1, CHANNELS)], mode="training", asked="evaluation"
        ),
        "a third normalization, training mode asked for": made_reader(
            lambda: [back(), EachPlace()], mode="training", asked="training"
        ),
        "dropout, training mode asked for": made_reader(dropout, mode="training", asked="training"),
        "a normalization in chunks of four places, evaluation mode asked for": made_reader(
            lambda: [back(), Chunks()], mode="evaluation", asked="evaluation"
        ),
    }


def try_leaks(answer, network: nn.Module, x: Tensor, training: bool) -> dict:
    """What it says, and whether the network is as it was."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    result = answer(network, x, training)
    if result is None:
        raise Unusable("Nothing comes back. Is a `return` missing?")
    if isinstance(result, Tensor) and result.numel() != 1:
        raise Unusable(f"Return True or False; this is a tensor of shape {tuple(result.shape)}.")
    if not isinstance(result, Tensor) and type(result).__name__ not in ("bool", "bool_", "int"):
        raise Unusable(f"Return True or False; this is a {type(result).__name__}.")
    same = all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    return {
        "answer": str(bool(result)),
        "network's numbers": "unchanged" if same else "changed",
        "modes of its parts": "unchanged" if modes == [module.training for module in network.modules()] else "changed",
    }


@torch.no_grad()
def judged(
    network: nn.Module,
    x: Tensor,
    training: bool,
    *,
    mode: str = "asked",
    after: str = "all restored",
    last_only: bool = False,
    own_place: bool = False,
    seeded: bool = True,
) -> bool:
    """A right answer, each step of which a mistake may change.

    Args:
        network: as in the exercise; so are x and training.
        mode: in which it is tested: "asked", "as it is", "training", or "evaluation".
        after: "all restored", "statistics" (they are left changed, the modes are not), "modes" (left changed, the
            statistics are not), "parts" (the whole is brought back to its mode, parts are not), "nothing restored".
        last_only: only the last symbol is changed.
        own_place: what is said at the changed place counts, too.
        seeded: each time with the same random numbers.
    """
    state = deepcopy(network.state_dict())
    modes, whole = [(module, module.training) for module in network.modules()], network.training
    if mode != "as it is":
        network.train(training if mode == "asked" else mode == "training")
    found, seed = False, 0
    for t in range(x.shape[1] - 1 if last_only else 1, x.shape[1]):
        changed = x.clone()
        changed[:, t:] = (x[:, t:] + 1) % SYMBOLS
        said = []
        for text in (x, changed):
            torch.manual_seed(seed)
            seed += not seeded
            said.append(network(text)[..., : t + own_place])
        found = found or (said[0] - said[1]).abs().max().item() > 1e-5
    if after in ("all restored", "modes", "parts"):
        network.load_state_dict(state)
    if after in ("all restored", "statistics"):
        for module, was in modes:
            module.training = was
    if after == "parts":
        network.train(whole)
    return found


def testing(**changes):
    """An answer that differs from `judged` in these steps."""
    return lambda network, x, training: judged(network, x, training, **changes)


EXERCISES = {
    "two-numbers-a-channel": Code(
        truth=letting_learn(gammas_and_betas),
        trial=try_choosing,
        cases=lambda: {
            "layers in a row": (in_a_row(),),
            "blocks inside blocks, some of them frozen before": (nested(),),
            "one normalization that is used twice": (used_twice(),),
        },
        mistakes={
            "one_axis": letting_learn(lambda network: [p for p in network.parameters() if p.ndim == 1]),
            "by_name": letting_learn(lambda network: [p for name, p in network.named_parameters() if "norm" in name]),
            "one_kind": letting_learn(lambda network: gammas_and_betas(network, (nn.BatchNorm2d,))),
            "not_deep": letting_learn(
                lambda network: [p for m in network.children() if isinstance(m, NORMS) for p in m.parameters()]
            ),
            "nothing_frozen": letting_learn(gammas_and_betas, freeze=False),
            "all_frozen": letting_learn(gammas_and_betas, learn=False),
            "not_thawed": without_thawing,
            "only_returned": letting_learn(gammas_and_betas, freeze=False, learn=False),
            "no_beta": letting_learn(gammas),
            "none": letting_learn(with_nones),
            "statistics": letting_learn(with_statistics),
            "copies": copies,
            "frozen_again": frozen_again,
            "twice": letting_learn(each_use),
        },
    ),
    "who-sees-the-future": Code(
        truth=judged,
        trial=try_leaks,
        cases=readers,
        seconds=20,
        mistakes={
            "own_place": testing(own_place=True),
            "finds_nothing": lambda network, x, training: False,
            "last_symbol": testing(last_only=True),
            "mode_as_it_is": testing(mode="as it is"),
            "always_evaluation": testing(mode="evaluation"),
            "always_training": testing(mode="training"),
            "random": testing(seeded=False),
            "random_and_left": testing(seeded=False, after="nothing restored"),
            "random_and_statistics": testing(seeded=False, after="statistics"),
            "nothing_restored": testing(after="nothing restored"),
            "statistics_left": testing(after="statistics"),
            "mode_left": testing(after="modes"),
            "mode_of_parts": testing(after="parts"),
        },
    ),
}
