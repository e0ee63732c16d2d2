"""The exercises of notebook 10: the size of the batch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable
from utils.exercises.inputs import axes_but_channel, pictures

__all__ = ["EXERCISES"]


# --- 10.2 accumulate


def made_case(images: int, size: int, old: float | None) -> tuple[nn.Module, Tensor, Tensor, int]:
    """A small network, perhaps with something in its gradients, a batch, and the size of a piece."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
        x, y = 2 * torch.randn(images, 4), torch.randint(3, (images,))
    for parameter in network.parameters():
        parameter.grad = None if old is None else torch.full_like(parameter, old)
    return network, x, y, size


def try_accumulation(answer, network: nn.Module, x: Tensor, y: Tensor, size: int) -> dict:
    """The gradients that are left, the largest piece that was seen, and whether the weights are what they were."""
    before = [parameter.detach().clone() for parameter in network.parameters()]
    sizes = []
    hook = network.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    answer(network, x, y, size)
    hook.remove()
    if any(parameter.grad is None for parameter in network.parameters()):
        raise Unusable("After the call, `.grad` of every parameter has to hold its gradient; it is None.")
    same = all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    return {
        "weights": "unchanged" if same else "changed",
        "gradients": torch.cat([parameter.grad.flatten() for parameter in network.parameters()]),
        "largest piece": max(sizes, default=0),
    }


def accumulated(
    network: nn.Module, x: Tensor, y: Tensor, size: int, share=None, reset="before", last=True, step=False
) -> None:
    """A right answer, each step of which a mistake may change. share: (a piece's length, N, size) → its weight."""
    pieces = list(zip(x.split(size), y.split(size), strict=True))
    if reset == "before":
        network.zero_grad()
    for part, target in pieces:
        if len(part) < size and not last:
            continue
        if reset == "each":
            network.zero_grad()
        weight = len(part) / len(x) if share is None else share(len(part), len(x), size)
        (F.cross_entropy(network(part), target) * weight).backward()
        if step == "each":
            torch.optim.SGD(network.parameters(), 0.1).step()
    if step == "end":
        torch.optim.SGD(network.parameters(), 0.1).step()


def leaving(**changes):
    """An answer that differs from `accumulated` in these arguments."""
    return lambda network, x, y, size: accumulated(network, x, y, size, **changes)


def pieces_of(images: int, size: int) -> int:
    return -(-images // size)


# --- 10.3 normalize_in_ghosts


def parts(x: Tensor, size: int) -> list[Tensor]:
    """Ghosts of `size`; what is left over joins the last one."""
    count = len(x) // size
    return list(x.split([size] * (count - 1) + [len(x) - size * (count - 1)]))


def normalized(x: Tensor, axes=None, unbiased: bool = False, eps: float = 1e-5) -> Tensor:
    axes = axes_but_channel(x) if axes is None else axes
    return (x - x.mean(axes, keepdim=True)) / (x.var(axes, keepdim=True, unbiased=unbiased) + eps).sqrt()


def in_ghosts(x: Tensor, size: int, cut=parts, **options) -> Tensor:
    return torch.cat([normalized(ghost, **options) for ghost in cut(x, size)])


def last_alone(x: Tensor, size: int) -> Tensor:
    return in_ghosts(x, size, cut=lambda x, size: x.split(size))


def last_left_out(x: Tensor, size: int) -> Tensor:
    return in_ghosts(x[: len(x) // size * size], size)


def last_as_it_was(x: Tensor, size: int) -> Tensor:
    whole = len(x) // size * size
    return torch.cat([in_ghosts(x[:whole], size), x[whole:]])


def as_many_ghosts(x: Tensor, size: int) -> Tensor:
    """`size` taken for the number of ghosts."""
    return in_ghosts(x, size, cut=lambda x, size: parts(x, max(1, len(x) // size)))


def every_kth(x: Tensor, size: int) -> Tensor:
    """A ghost is every k-th picture, not those that follow one another."""
    count, out = len(x) // size, torch.empty_like(x)
    for k in range(count):
        out[k::count] = normalized(x[k::count])
    return out


def standard_plus_eps(x: Tensor, size: int) -> Tensor:
    axes = axes_but_channel(x)
    return torch.cat(
        [
            (ghost - ghost.mean(axes, keepdim=True)) / (ghost.std(axes, keepdim=True, unbiased=False) + 1e-5)
            for ghost in parts(x, size)
        ]
    )


def all_channels(x: Tensor, size: int) -> Tensor:
    return in_ghosts(x, size, axes=tuple(range(x.ndim)))


def each_place(x: Tensor, size: int) -> Tensor:
    return in_ghosts(x, size, axes=(0,))


def each_picture(x: Tensor, size: int) -> Tensor:
    return in_ghosts(x, size, cut=lambda x, size: x.split(1))


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
            "equal_weights": leaving(share=lambda n, total, size: 1 / pieces_of(total, size)),
            "sum_of_means": leaving(share=lambda n, total, size: 1.0),
            "whole_pieces": leaving(share=lambda n, total, size: 1 / (total // size)),
            "size_for_length": leaving(share=lambda n, total, size: size / total),
            "sum_over_pictures": leaving(share=lambda n, total, size: float(n)),
            "last_piece_alone": leaving(reset="each"),
            "old_gradient": leaving(reset="never"),
            "left_out": leaving(last=False),
            "one_batch": lambda network, x, y, size: accumulated(network, x, y, len(x)),
            "step_each": leaving(step="each"),
            "step": leaving(step="end"),
        },
    ),
    "ghosts-of-any-batch": Code(
        truth=in_ghosts,
        cases=lambda: {
            "6 pictures in ghosts of 2, (6, 3, 2, 3)": (pictures(6, 3, 2, 3), 2),
            "11 pictures in ghosts of 4, (11, 2, 3, 2)": (pictures(11, 2, 3, 2, seed=1), 4),
            "5 pictures in ghosts of 2, faint ones, (5, 2, 2, 2)": (0.001 * pictures(5, 2, 2, 2, seed=2), 2),
            "8 sounds in ghosts of 3, (8, 2, 5)": (pictures(8, 2, 5, seed=3), 3),
            "7 rows of numbers in ghosts of 3, (7, 4)": (pictures(7, 4, seed=4), 3),
        },
        axes=("picture", "channel"),
        mistakes={
            "last_alone": last_alone,
            "left_out": last_left_out,
            "last_as_it_was": last_as_it_was,
            "whole_batch": lambda x, size: normalized(x),
            "each_picture": each_picture,
            "as_many_ghosts": as_many_ghosts,
            "every_kth": every_kth,
            "divided_by_n_minus_1": lambda x, size: in_ghosts(x, size, unbiased=True),
            "no_eps": lambda x, size: in_ghosts(x, size, eps=0.0),
            "eps_outside": standard_plus_eps,
            "all_channels": all_channels,
            "each_place": each_place,
        },
    ),
}
