"""The character model of notebook 14, trained for hours' worth of steps on the text that the course ships."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from study.plan import Run
from utils.lessons import LESSONS

__all__ = ["STEPS", "Model", "Text", "learn", "read_text"]

CONTEXT, WIDTH, HEADS, BLOCKS = 32, 32, 4, 2
STEPS = 300  # of an epoch: all that the notebook has


class Batch(nn.BatchNorm1d):
    """Each channel over all texts and all positions. Shape: (N, L, C) → the same."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class DynamicTanh(nn.Module):
    """γ · tanh(αx) + β, α one number that starts at 0.5 (Zhu et al. 2025). Shape: (…, C) → the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha, self.gamma = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * torch.tanh(self.alpha * x) + self.beta


NORMS = {
    "none": lambda channels: nn.Identity(),
    "batch": Batch,
    "layer": nn.LayerNorm,
    "rms": nn.RMSNorm,
    "tanh": DynamicTanh,
}


class Block(nn.Module):
    """x + attention(norm(x)), then x + perceptron(norm(x)), with a causal mask. Shape: (N, L, C) → the same."""

    def __init__(self, norm: str):
        super().__init__()
        self.norms = nn.ModuleList([NORMS[norm](WIDTH), NORMS[norm](WIDTH)])
        self.project, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.perceptron = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.project(x).chunk(3, -1))
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.norms[0](x))
        return x + self.perceptron(self.norms[1](x))


class Model(nn.Module):
    """Whole numbers (N, L), L at most CONTEXT → logits of the next character, (N, L, letters)."""

    def __init__(self, norm: str, letters: int, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        self.embed, self.place = nn.Embedding(letters, WIDTH), nn.Parameter(0.02 * torch.randn(CONTEXT, WIDTH))
        nn.init.normal_(self.embed.weight, std=0.5)
        self.blocks = nn.Sequential(*(Block(norm) for _ in range(BLOCKS)), NORMS[norm](WIDTH))
        self.head = nn.Linear(WIDTH, letters)

    def forward(self, read: Tensor) -> Tensor:
        return self.head(self.blocks(self.embed(read) + self.place))


class Text(NamedTuple):
    """The parts of the text as whole numbers, and how many letters there are."""

    train: Tensor
    validation: Tensor
    test: Tensor
    letters: int


def read_text() -> Text:
    """Eight tenths to learn, one to choose rates by, and one that is looked at once."""
    text = (LESSONS / "text.txt").read_text(encoding="utf-8").replace("\n", " ")
    letters = sorted(set(text))
    tokens = torch.tensor([letters.index(letter) for letter in text])
    first, second = int(0.8 * len(tokens)), int(0.9 * len(tokens))
    return Text(tokens[:first], tokens[first:second], tokens[second:], len(letters))


@torch.no_grad()
def right(model: nn.Module, part: Tensor) -> np.ndarray:
    """(characters,): which of a part are guessed right, from up to 32 before them, in evaluation mode."""
    rows = (len(part) - 1) // CONTEXT
    read, wanted = part[: rows * CONTEXT].view(rows, -1), part[1 : rows * CONTEXT + 1]
    return (model.eval()(read).argmax(-1).flatten() == wanted).cpu().numpy()


def learn(run: Run, device: torch.device | str, only: int | None) -> Mapping[str, Any]:
    """Train the model by AdamW, one-cycle.

    Args:
        run: which; an epoch is STEPS steps on texts from places drawn at random.
        device: where.
        only: so many epochs of it; None for all.

    Returns:
        "loss" of each step, (steps,); "validation" after each epoch; "norms", of all weight matrices together;
        "training", the accuracy on as many characters of the part that was learned from; "stopped"; of a final run
        "right", (characters,), none if it stopped; "pixels", a hash of the part that is read for it.
    """
    text, settings = read_text(), run.settings
    train, held, test = (part.to(device) for part in text[:3])
    model = Model(settings["norm"], text.letters, run.seed).to(device)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    optimizer = torch.optim.AdamW(model.parameters(), run.rate, weight_decay=settings["decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, run.rate, run.epochs * STEPS, pct_start=settings["warmup"], cycle_momentum=False
    )
    places = torch.Generator().manual_seed(run.seed)
    losses, validation, norms, stopped = [], [], [], None
    for epoch in range(run.epochs if only is None else only):
        model.train()
        for _ in range(STEPS):
            starts = torch.randint(len(train) - CONTEXT, (settings["batch"], 1), generator=places)
            read = train[starts.to(device) + torch.arange(CONTEXT + 1, device=device)]
            optimizer.zero_grad()
            loss = F.cross_entropy(model(read[:, :-1]).flatten(0, 1), read[:, 1:].flatten())
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        if not torch.stack([*losses, *(p.detach().norm() for p in model.parameters())]).isfinite().all():
            losses = [each for each in losses if each.isfinite()]
            stopped = f"Stopped: the loss or a parameter is not finite in epoch {epoch + 1}."
            break
        validation.append(round(float(right(model, held).mean()), 5))
        norms.append(round(torch.stack([p.detach().norm() for p in matrices]).norm().item(), 4))
    found = {
        "loss": torch.stack(losses).cpu().numpy(), "validation": validation, "norms": norms, "stopped": stopped,
        "training": float(right(model, train[: len(held)]).mean()), "data": "text",
        "pixels": hashlib.sha256(text.test.numpy().tobytes()).hexdigest()[:16],
    }  # fmt: skip
    if run.role != "search":
        found["right"] = right(model, test) & (stopped is None)
    return found
