"""The exercises of notebook 11: the size of the batch."""

import weakref
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable
from utils.exercises.differences import compare
from utils.exercises.inputs import axes_but_channel, pictures

__all__ = ["EXERCISES"]


# --- 11.2 accumulate


def made_case(images: int, size: int, old: float | None) -> tuple[nn.Module, Tensor, Tensor, int]:
    """A small network, perhaps with something in its gradients, a batch, and the size of a piece."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
        x, y = 2 * torch.randn(images, 4), torch.randint(3, (images,))
    for parameter in network.parameters():
        parameter.grad = None if old is None else torch.full_like(parameter, old)
    return network, x, y, size


class Kept:
    """A tensor that a graph keeps for the way back; it goes with the graph."""

    def __init__(self, tensor: Tensor):
        self.tensor = tensor


def pieces_sent(network: nn.Sequential, use, images: int, size: int) -> str:
    """The sizes of the pieces that `use` sends through a network, and of how many the graphs are there at once.

    The first layer is watched, since a network's layers may be called one by one. What makes no graph is no piece, but
    may be no larger than one.
    """
    kept, counts, sizes = weakref.WeakSet(), [0], []

    def keep(tensor: Tensor) -> Kept:
        entry = Kept(tensor)
        kept.add(entry)
        return entry

    def count(_, inputs: tuple) -> None:
        if torch.is_grad_enabled():
            counts.append(len(inputs[0]) + (counts[-1] if kept else 0))
        if torch.is_grad_enabled() or len(inputs[0]) > size:
            sizes.append(len(inputs[0]))

    handle = network[0].register_forward_pre_hook(count)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda entry: entry.tensor):
        use()
    handle.remove()
    if max(counts) >= images:
        return "the whole batch at once"
    more = f", the graphs of {max(counts)} pictures at once" if max(counts) > max(sizes, default=0) else ""
    return ", ".join(map(str, sizes)) + more


def try_accumulation(answer, network: nn.Module, x: Tensor, y: Tensor, size: int) -> dict:
    """Whether the weights are what they were; if so, the gradients; if they are right, the pieces."""
    parameters = list(network.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    sent = pieces_sent(network, lambda: answer(network, x, y, size), len(x), size)
    if not all(torch.equal(old, new) for old, new in zip(before, parameters, strict=True)):
        return {"weights": "changed"}
    if any(parameter.grad is None for parameter in parameters):
        raise Unusable("After the call, `.grad` of every parameter has to hold its gradient; it is None.")
    found = {"weights": "unchanged", "gradients": flat(parameter.grad for parameter in parameters)}
    if compare(found["gradients"], flat(torch.autograd.grad(F.cross_entropy(network(x), y), parameters))):
        return found
    return found | {"pieces of `size` pictures that are sent through": sent}


def flat(gradients) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


def accumulated(network, x: Tensor, y: Tensor, size: int, share=None, reset="before", step=False) -> None:
    """A right answer, each step of which a mistake may change.

    share: how many pieces there are → what each counts for; reset: "before", "each" (piece) or "never".
    """
    pieces = list(zip(x.split(size), y.split(size), strict=True))
    if reset == "before":
        network.zero_grad()
    for part, target in pieces:
        if reset == "each":
            network.zero_grad()
        weight = share(len(pieces)) if share else len(part) / len(x)
        (F.cross_entropy(network(part), target) * weight).backward()
    if step:
        torch.optim.SGD(network.parameters(), 0.1).step()


# --- 11.3 normalize_in_ghosts


def parts(x: Tensor, size: int) -> list[Tensor]:
    """Ghosts of `size`; what is left over joins the last one."""
    count = len(x) // size
    return list(x.split([size] * (count - 1) + [len(x) - size * (count - 1)]))


def in_ghosts(x: Tensor, size: int, cut=parts, dims=axes_but_channel, unbiased: bool = False) -> Tensor:
    """A right answer. cut: (x, size) → ghosts; dims: a ghost → the axes to average over."""
    normalized = []
    for ghost in cut(x, size):
        var, mean = torch.var_mean(ghost, dims(ghost), unbiased=unbiased, keepdim=True)
        normalized.append((ghost - mean) / (var + 1e-5).sqrt())
    return torch.cat(normalized)


EXERCISES = {
    "accumulate-and-leave-nothing-out": Code(
        truth=accumulated,
        trial=try_accumulation,
        cases=lambda: {
            "6 pictures in pieces of 3": made_case(6, 3, None),
            "7 pictures in pieces of 3, and an old gradient in `.grad`": made_case(7, 3, 0.5),
            "5 pictures in pieces of 4": made_case(5, 4, None),
        },
        mistakes={
            "equal_weights": partial(accumulated, share=lambda pieces: 1 / pieces),
            "sum_of_means": partial(accumulated, share=lambda pieces: 1.0),
            "last_piece_alone": partial(accumulated, reset="each"),
            "old_gradient": partial(accumulated, reset="never"),
            "all_at_once": lambda network, x, y, size: accumulated(network, x, y, len(x)),
            "step": partial(accumulated, step=True),
        },
    ),
    "ghosts-of-any-batch": Code(
        truth=in_ghosts,
        cases=lambda: {
            "6 pictures in ghosts of 2, (6, 3, 2, 3)": (pictures(6, 3, 2, 3), 2),
            "11 pictures in ghosts of 4, (11, 2, 3, 2)": (pictures(11, 2, 3, 2, seed=1), 4),
            "5 pictures in ghosts of 2, nearly black ones, (5, 2, 2, 2)": (0.001 * pictures(5, 2, 2, 2, seed=2), 2),
            "8 sounds in ghosts of 3, (8, 2, 5)": (pictures(8, 2, 5, seed=3), 3),
            "7 rows of numbers in ghosts of 4, (7, 4)": (pictures(7, 4, seed=4), 4),
        },
        axes=("picture", "channel"),
        mistakes={
            "last_alone": partial(in_ghosts, cut=torch.split),
            "left_out": lambda x, size: in_ghosts(x[: len(x) // size * size], size),
            "divided_by_n_minus_1": partial(in_ghosts, unbiased=True),
            "all_channels": partial(in_ghosts, dims=lambda ghost: tuple(range(ghost.ndim))),
        },
    ),
}
