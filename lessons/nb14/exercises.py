"""The exercises of notebook 14: what a language model may see."""

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from utils.exercises.definitions import Code, Unusable, described

__all__ = ["EXERCISES"]

SIZE = 11  # different numbers


# --- does-it-look-ahead


class Toy(nn.Module):
    """Numbers (N, L) → (N, L, 4): each position sees those at `offsets` from it, through a normalization if asked."""

    def __init__(self, offsets: tuple[int, ...], norm: bool = False):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.offsets = nn.Embedding(SIZE, 4), offsets
        self.norm = nn.BatchNorm1d(4) if norm else None

    def forward(self, read: Tensor) -> Tensor:
        x = self.embed(read)
        length = x.shape[1]
        y = sum(
            nn.functional.pad(x, (0, 0, max(0, -offset), max(0, offset)))[:, max(0, offset) : max(0, offset) + length]
            for offset in self.offsets
        )
        return y if self.norm is None else self.norm(y.transpose(1, 2)).transpose(1, 2)


class Peek(Toy):
    """One position is seen by one before it, and by no other."""

    def __init__(self, at: int, seen: int):
        super().__init__((0,))
        self.at, self.seen = at, seen

    def forward(self, read: Tensor) -> Tensor:
        y = super().forward(read)
        peek = torch.zeros_like(y)
        peek[:, self.at] = self.embed(read[:, self.seen])
        return y + peek


class Neighbour(Toy):
    """Each position sees the next one of another text."""

    def forward(self, read: Tensor) -> Tensor:
        y = super().forward(read)
        return y + nn.functional.pad(self.embed(read.roll(1, 0))[:, 1:], (0, 0, 0, 1))


def numbers(seed: int) -> Tensor:
    return torch.randint(SIZE, (3, 6), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def looks_ahead(
    model: nn.Module,
    read: Tensor,
    size: int,
    places=lambda length: range(1, length),
    until=lambda place: place,
    keep: bool = True,
    training: bool | None = None,
    mode_back: bool = True,
) -> bool:
    """A right answer, and by its options some wrong ones."""
    state, mode = deepcopy(model.state_dict()), model.training
    model.train(mode if training is None else training)
    before, found = model(read), False
    for place in places(read.shape[1]):
        other = read.clone()
        other[:, place:] = (other[:, place:] + 1) % size
        found |= bool((model(other)[:, : until(place)] - before[:, : until(place)]).abs().max() > 1e-6)
    if keep:
        model.load_state_dict(state)
    model.train(mode if mode_back else not mode)
    return found


def try_looking(answer, model: nn.Module, read: Tensor) -> dict:
    """What it says, and whether the model is as it was."""
    state, mode = deepcopy(model.state_dict()), model.training
    said = answer(model, read.clone(), SIZE)
    if isinstance(said, Tensor) and said.numel() == 1 and said.dtype == torch.bool:
        said = said.item()
    if not isinstance(said, (bool, np.bool_)):
        raise Unusable(f"Return True or False; this is {described(said)}")
    return {
        "answer": str(bool(said)),
        "model's numbers afterwards": "as they were"
        if all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        else "others",
        "model's mode afterwards": "as it was" if model.training == mode else "another",
    }


# --- only-what-has-been


def past_norm(
    x: Tensor, eps: float = 1e-5, correction: int = 0, until=lambda t: t + 1, outside: bool = False
) -> Tensor:
    """A right answer, and by its options some wrong ones."""
    rows = [x[:, : until(t)].flatten(0, 1) for t in range(x.shape[1])]
    mean = torch.stack([row.mean(0) for row in rows])
    var = torch.stack([row.var(0, correction=correction) for row in rows])
    return (x - mean) / (var.sqrt() + eps if outside else (var + eps).sqrt())


def over(axes: tuple[int, ...]):
    def norm(x: Tensor, eps: float = 1e-5) -> Tensor:
        mean, var = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
        return (x - mean) / (var + eps).sqrt()

    return norm


def each_text(x: Tensor, eps: float = 1e-5) -> Tensor:
    return torch.cat([past_norm(row[None], eps) for row in x])


def old_means(x: Tensor, eps: float = 1e-5) -> Tensor:
    count = x.shape[0] * torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[:, None]
    mean = x.sum(0).cumsum(0) / count
    var = (x - mean).square().sum(0).cumsum(0) / count
    return (x - mean) / (var + eps).sqrt()


def made(shape: tuple[int, int, int], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drift = torch.linspace(0, 3, shape[1], dtype=torch.float64)[:, None]
    return drift + torch.randn(shape, generator=generator, dtype=torch.float64)


EXERCISES = {
    "does-it-look-ahead": Code(
        truth=looks_ahead,
        trial=try_looking,
        cases=lambda: {
            "a model that sees itself and what was before": (Toy((-1, 0)).eval(), numbers(0)),
            "one that sees one position ahead": (Toy((0, 1)), numbers(1)),
            "one that sees two ahead": (Toy((0, 2)), numbers(2)),
            "one in which only the last position is seen, by the one before it": (Peek(-2, -1), numbers(6)),
            "one that sees three ahead": (Toy((0, 3)), numbers(7)),
            "one in which only the second position is seen, by the first": (Peek(0, 1), numbers(8)),
            "one that sees the next position of another text": (Neighbour((0,)), numbers(9)),
            "batch normalization in training mode": (Toy((0,), norm=True).train(), numbers(3)),
            "batch normalization in evaluation mode": (Toy((0,), norm=True).eval(), numbers(4)),
        },
        mistakes={
            "last_only": lambda *given: looks_ahead(*given, places=lambda length: [length - 1]),
            "first_output": lambda *given: looks_ahead(*given, until=lambda place: 1),
            "evaluation": lambda *given: looks_ahead(*given, training=False),
            "statistics_moved": lambda *given: looks_ahead(*given, keep=False),
            "mode_changed": lambda *given: looks_ahead(*given, mode_back=False),
            "everything": lambda *given: looks_ahead(*given, until=lambda place: 99),
        },
    ),
    "only-what-has-been": Code(
        truth=past_norm,
        cases=lambda: {
            "4 texts, 5 positions, 3 channels": (made((4, 5, 3), 0), 1e-5),
            "2 texts, 7 positions, a large ε": (made((2, 7, 2), 1), 0.1),
        },
        axes=("text", "position", "channel"),
        mistakes={
            "whole": over((0, 1)),
            "each_position": over((0,)),
            "each_text": each_text,
            "before": lambda x, eps: past_norm(x, eps, until=lambda t: max(1, t)),
            "unbiased": lambda x, eps: past_norm(x, eps, correction=1),
            "eps_outside": lambda x, eps: past_norm(x, eps, outside=True),
            "old_means": old_means,
        },
    ),
}
