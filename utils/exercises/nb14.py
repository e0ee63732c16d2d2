"""The exercises of notebook 14: claims, γ and β alone, and who sees the future."""

from collections.abc import Callable, Iterable
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.exercises.definitions import Choice, Code, Mistake, Unusable

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
    "14.1": Choice(
        minutes=4,
        difficulty="★☆☆ easy",
        right="b",
        wrong={
            "a": "Put the numbers in: which is now the largest of what is called new, which the smallest of what is "
            "called old?",
            "c": "A control asks for no new training. It gives the condition other values, such as those of the other "
            "arm, and looks what it says.",
            "d": "That seeds overlap forbids no claim: means can differ all the same. Try what this condition says "
            "of the exchanged arms.",
        },
        hints=[
            "Write the two rows under each other's names, and put the numbers into the condition.",
            "If a condition holds for a sentence and for its opposite, what has it shown?",
        ],
        look='the claims above: each has a line `control=("the arms exchanged", …)`, or another control',
        remark="A condition that also holds without the effect cannot have found it. A claim of this course is not "
        "borne out until its condition fails in the control.",
    ),
    "14.2": Code(
        minutes=8,
        difficulty="★★☆ medium",
        truth=letting_learn(gammas_and_betas),
        trial=try_choosing,
        cases=lambda: {
            "layers in a row": (in_a_row(),),
            "blocks inside blocks, some of them frozen before": (nested(),),
            "one normalization that is used twice": (used_twice(),),
        },
        mistakes=[
            Mistake(
                "one_axis",
                "You take every parameter that has one axis. Whose biases have one axis as well?",
                like=letting_learn(lambda network: [p for p in network.parameters() if p.ndim == 1]),
            ),
            Mistake(
                "by_name",
                "You look for a name, and a name is whatever somebody has written: in an `nn.Sequential` the layers "
                "are called 0, 1, 2. Ask the layer of which class it is.",
                like=letting_learn(lambda network: [p for name, p in network.named_parameters() if "norm" in name]),
            ),
            Mistake(
                "one_kind",
                "You find batch normalization, and not the two other kinds.",
                like=letting_learn(lambda network: gammas_and_betas(network, (nn.BatchNorm2d,))),
            ),
            Mistake(
                "not_deep",
                "You find the normalizations of the outermost level. Those inside a block are missing.",
                like=letting_learn(
                    lambda network: [p for m in network.children() if isinstance(m, NORMS) for p in m.parameters()]
                ),
            ),
            Mistake(
                "nothing_frozen",
                "The list is right, and the parameters that are not in it still learn: `requires_grad` is True.",
                like=letting_learn(gammas_and_betas, freeze=False),
            ),
            Mistake(
                "all_frozen",
                "The list is right, and nothing in it can learn: in the end, everything is frozen.",
                like=letting_learn(gammas_and_betas, learn=False),
            ),
            Mistake(
                "not_thawed",
                "A normalization that was frozen before is frozen still. It is to learn, whatever it could before.",
                like=without_thawing,
            ),
            Mistake(
                "only_returned",
                "The list is right. But it only says who should learn; `requires_grad` of all parameters is as it was.",
                like=letting_learn(gammas_and_betas, freeze=False, learn=False),
            ),
            Mistake(
                "no_beta",
                "The γ are there. The β are missing.",
                like=letting_learn(gammas),
            ),
            Mistake(
                "none",
                "A normalization may have no γ or no β. Then `layer.weight` or `layer.bias` is None, and belongs into "
                "no list.",
                like=letting_learn(with_nones),
                raising="NoneType",
            ),
            Mistake(
                "statistics",
                "You have the running statistics in it. They are buffers, not parameters: no gradient ever reaches "
                "them.",
                like=letting_learn(with_statistics),
                raising="only Tensors of floating point dtype can require gradients|you can only change requires_grad",
            ),
            Mistake(
                "copies",
                "These are copies. An optimizer that gets them moves the copies, and the network stays as it is.",
                like=copies,
            ),
            Mistake(
                "frozen_again",
                "One normalization stands in two blocks. You let it learn, and then the second block freezes it "
                "again, with all that is inside.",
                like=frozen_again,
            ),
            Mistake(
                "twice",
                "A normalization that is used twice is twice in your list. Each parameter is to be in it once.",
                like=letting_learn(each_use),
            ),
        ],
        hints=[
            "`network.modules()` goes through all layers, however deep inside, and meets each once.",
            "First freeze everything. Then let a few learn again.",
            "A single layer has `parameters()`, too: those that it really has, and no buffer.",
        ],
        look="`train_only`, where the same is done for a `ConvNet`",
        remark="The optimizer gets this list, and the running statistics go on following the batches all the same: to "
        "hold them still is another matter (13.1).",
    ),
    "14.3": Code(
        minutes=20,
        difficulty="★★★ hard",
        truth=judged,
        trial=try_leaks,
        cases=readers,
        seconds=20,
        mistakes=[
            Mistake(
                "own_place",
                "You find a leak in every network, even in causal convolutions alone. Which places may change when a "
                "symbol changes, and which axis of what comes out holds the places?",
                like=testing(own_place=True),
            ),
            Mistake(
                "finds_nothing",
                "You find a leak nowhere. Does the text that you compare with differ from the given one, and do you "
                "look at places before the difference?",
                like=lambda network, x, training: False,
            ),
            Mistake(
                "last_symbol",
                "You change the last symbol only. In one network that symbol is treated by itself, and it is in the "
                "middle of the text that a place sees what comes after.",
                like=testing(last_only=True),
            ),
            Mistake(
                "mode_as_it_is",
                "You test the network in the mode that it happens to be in. It is to be tested in the one that is "
                "asked for.",
                like=testing(mode="as it is"),
            ),
            Mistake(
                "always_evaluation",
                "You test in evaluation mode, also where training mode is asked for.",
                like=testing(mode="evaluation"),
            ),
            Mistake(
                "always_training",
                "You test in training mode, also where evaluation mode is asked for.",
                like=testing(mode="training"),
            ),
            Mistake(
                "random",
                "Dropout deceives you. What comes out differs between any two calls, even for the same text: how can "
                "two calls get the same random numbers?",
                like=testing(seeded=False),
            ),
            Mistake(
                "random_and_left",
                "Two things. Dropout deceives you: how can two calls get the same random numbers? And the test leaves "
                "traces: the mode, and what a network in training mode remembers.",
                like=testing(seeded=False, after="nothing restored"),
            ),
            Mistake(
                "random_and_statistics",
                "Two things. Dropout deceives you: how can two calls get the same random numbers? And your test, in "
                "training mode, has changed what the network remembers.",
                like=testing(seeded=False, after="statistics"),
            ),
            Mistake(
                "nothing_restored",
                "Every answer is right. But the test leaves traces: the network is in another mode afterwards, and "
                "what it remembers has changed, since in training mode it learns from every batch it sees.",
                like=testing(after="nothing restored"),
            ),
            Mistake(
                "statistics_left",
                "Every answer is right. But the test has changed what it tests: in training mode a network follows "
                "the batches that it sees, gradients or not.",
                like=testing(after="statistics"),
            ),
            Mistake(
                "mode_left",
                "Every answer is right. But afterwards the network is in the mode in which it was tested.",
                like=testing(after="modes"),
            ),
            Mistake(
                "mode_of_parts",
                "Every answer is right. But one network was in training mode, and one part of it was not. Now that "
                "part is, too.",
                like=testing(after="parts"),
            ),
            Mistake(
                "no_such_symbol",
                "One of your symbols does not exist: they go from 0 to 16.",
                raising="index out of range",
            ),
        ],
        hints=[
            "Take a place, change all that stands from there on, and compare what is said before it. Then the next "
            "place.",
            "Whatever you do to a `deepcopy` of the network, the network itself does not notice.",
            "With the same `torch.manual_seed` before each call, dropout strikes the same units.",
        ],
        look='the last hint of the section "Your turn": change a symbol, and look at what is said before it',
        remark="Try it on a `Reader` with the normalizations that you have in mind, in both modes: who sees the future "
        "in training learns to rely on it, and in use it is not there.",
    ),
}
