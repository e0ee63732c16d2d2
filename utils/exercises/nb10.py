"""The exercises of notebook 10: the size of the batch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.exercises.definitions import Code, Mistake, Number, Unusable
from utils.exercises.nb02 import axes_but_channel, pictures

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
    "10.1": Number(
        minutes=3,
        difficulty="★☆☆ easy",
        right=72,
        tolerance=0.1,
        mistakes=[
            Mistake(
                "whole_batch",
                "That is the whole batch. The optimizer's step averages over it. What does one ghost see?",
                value=864,
            ),
            Mistake(
                "doubled",
                "You doubled the ghost together with the batch. `size` has stayed 8: what are there more of now?",
                value=144,
            ),
            Mistake("pictures", "You counted pictures. How many values of a channel does each of them have?", value=8),
            Mistake("one_picture", "That is one picture. How many of them are in a ghost?", value=9),
            Mistake(
                "all_channels",
                "You counted the values of all channels together. How many means does a ghost have?",
                value=4608,
            ),
            Mistake("ghosts", "That is how many ghosts there are. Asked for is what one mean is taken over.", value=12),
            Mistake(
                "size_as_count",
                "You took 8 for the number of ghosts. In `GhostNorm` it is the number of pictures in each.",
                value=108,
            ),
            Mistake("old_batch", "These are the values of the old batch, without its ghosts.", value=432),
        ],
        hints=[
            "Which of the numbers 64, 3, 3, 8 and 96 does one mean go over? Look at `dims` in `GhostNorm.forward`.",
            "The groups have the shape (N / size, size, C, height, width). Two of these axes are kept.",
        ],
        look="the figure over the number of values a channel",
        remark="The batch of the statistics has stayed as it was, and with it the noise of the company. More ghosts "
        "only mean that a step averages over more of them.",
    ),
    "10.2": Code(
        minutes=10,
        difficulty="★★☆ medium",
        truth=accumulated,
        trial=try_accumulation,
        cases=lambda: {
            "6 pictures in pieces of 3": made_case(6, 3, None),
            "7 pictures in pieces of 3, and an old gradient in `.grad`": made_case(7, 3, 0.5),
            "5 pictures in pieces of 4": made_case(5, 4, None),
        },
        mistakes=[
            Mistake(
                "equal_weights",
                "All pieces count alike, the small one at the end as well: its few pictures weigh more than the "
                "others. How much should a piece count for?",
                like=leaving(share=lambda n, total, size: 1 / pieces_of(total, size)),
            ),
            Mistake(
                "sum_of_means",
                "You add up means. `backward` adds to what is there, and divides by nothing.",
                like=leaving(share=lambda n, total, size: 1.0),
            ),
            Mistake(
                "whole_pieces",
                "You divided by the number of *full* pieces, and the last one is none.",
                like=leaving(share=lambda n, total, size: 1 / (total // size)),
            ),
            Mistake(
                "size_for_length",
                "You weigh each piece with `size`. The last one has fewer pictures than that.",
                like=leaving(share=lambda n, total, size: size / total),
            ),
            Mistake(
                "sum_over_pictures",
                "That is the gradient of the sum over all pictures, not of the mean.",
                like=leaving(share=lambda n, total, size: float(n)),
            ),
            Mistake(
                "last_piece_alone",
                "Only the last piece is in the gradient. Is it set back to zero inside the loop?",
                like=leaving(reset="each"),
            ),
            Mistake(
                "old_gradient",
                "What was in `.grad` before is still in it: PyTorch adds, and never forgets by itself.",
                like=leaving(reset="never"),
            ),
            Mistake(
                "left_out",
                "The pictures of the last, smaller piece are missing. Every picture of the batch counts.",
                like=leaving(last=False),
            ),
            Mistake(
                "one_batch",
                "The gradient is right, but the pictures went through all at once, and that is what memory was too "
                "small for.",
                like=lambda network, x, y, size: accumulated(network, x, y, len(x)),
            ),
            Mistake(
                "step_each",
                "You take a step after each piece, so the next one meets other weights. That is training with small "
                "batches.",
                like=leaving(step="each"),
            ),
            Mistake(
                "step",
                "The gradient is right, but the weights have moved: the step is left to whoever calls `accumulate`.",
                like=leaving(step="end"),
            ),
        ],
        hints=[
            "`x.split(size)` gives the pieces, and `backward()` adds each one's gradient to `.grad`.",
            "`F.cross_entropy` is a mean over its piece. Which number turns that into the piece's part of the mean "
            "over the whole batch?",
            "Seven pictures in pieces of three: the parts are 3/7, 3/7 and 1/7.",
        ],
        look='the function `gradient` in the section "Four small batches for a large one"',
        remark="In `gradient` above, all pieces are of one size, and dividing by their number is enough. With batch "
        "normalization, no weights make it equal.",
    ),
    "10.3": Code(
        minutes=15,
        difficulty="★★★ hard",
        truth=in_ghosts,
        cases=lambda: {
            "6 pictures in ghosts of 2, (6, 3, 2, 3)": (pictures(6, 3, 2, 3), 2),
            "11 pictures in ghosts of 4, (11, 2, 3, 2)": (pictures(11, 2, 3, 2, seed=1), 4),
            "5 pictures in ghosts of 2, faint ones, (5, 2, 2, 2)": (0.001 * pictures(5, 2, 2, 2, seed=2), 2),
            "8 sounds in ghosts of 3, (8, 2, 5)": (pictures(8, 2, 5, seed=3), 3),
            "7 rows of numbers in ghosts of 3, (7, 4)": (pictures(7, 4, seed=4), 3),
        },
        mistakes=[
            Mistake(
                "last_alone",
                "What is left over is a ghost of its own here, and may be a single picture. It is to join the one "
                "before it.",
                like=last_alone,
            ),
            Mistake("left_out", "The pictures that are left over do not come out again.", like=last_left_out),
            Mistake(
                "last_as_it_was",
                "The pictures that are left over come out as they came in: they are to join the last ghost.",
                like=last_as_it_was,
            ),
            Mistake(
                "does_not_divide",
                "Your reshaping needs a batch that the ghosts divide. Which case is that not?",
                raising="unflatten: Provided sizes|is invalid for input of size|must be divisible",
            ),
            Mistake(
                "only_pictures",
                "Your axes are written down for pictures. How many does an input have that is no picture? `x.ndim` "
                "says it.",
                raising="Dimension out of range|too many indices|not enough values to unpack|too many values to unpack",
            ),
            Mistake(
                "whole_batch",
                "You normalize the whole batch at once. Each ghost has a mean of its own.",
                like=lambda x, size: normalized(x),
            ),
            Mistake(
                "each_picture", "You normalize every picture by itself: a ghost has `size` of them.", like=each_picture
            ),
            Mistake(
                "as_many_ghosts",
                "You took `size` for the number of ghosts. It is the number of pictures in one.",
                like=as_many_ghosts,
            ),
            Mistake(
                "every_kth",
                "The pictures of your ghosts do not follow one another: you deal them out like cards.",
                like=every_kth,
            ),
            Mistake(
                "divided_by_n_minus_1",
                "You divided by n - 1 for the variance. The task asks for n.",
                like=lambda x, size: in_ghosts(x, size, unbiased=True),
            ),
            Mistake(
                "no_eps",
                "Right, but for pictures that are nearly black: what is to be added to the variance?",
                like=lambda x, size: in_ghosts(x, size, eps=0.0),
            ),
            Mistake(
                "eps_outside",
                "You add the 0.00001 to the standard deviation. It belongs to the variance, under the root.",
                like=standard_plus_eps,
            ),
            Mistake(
                "all_channels",
                "A ghost has one mean for each channel; you take one for all of them.",
                like=all_channels,
            ),
            Mistake(
                "each_place",
                "You take a mean for each place, over the pictures alone. The places of a channel belong together.",
                like=each_place,
            ),
        ],
        hints=[
            "How many ghosts are there, and how large is the last one?",
            "`x.split` also takes a list of sizes, which may differ.",
            "All axes but axis 1: that is axis 0, and those from 2 to `x.ndim - 1`.",
        ],
        look="`GhostNorm.forward`",
        axes=("picture", "channel"),
        remark="If there is one ghost only, this is batch normalization; with ghosts of one picture, instance "
        "normalization. Notebook 11 goes on from there.",
    ),
}
