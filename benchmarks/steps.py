"""A training step: what the instrument `ActivationStats` and the loop `fit` add to it."""

import torch
import torch.nn.functional as F

from benchmarks.measure import Row, in_turn, ratios
from utils.layers import FirstBatchNorm2d
from utils.models import ConvNet
from utils.stats import ActivationStats
from utils.training import fit

__all__ = ["training"]


class Steps:
    """Training steps of notebook 03's normalized network on one batch."""

    def __init__(self, images: int, steps: int):
        self.model = ConvNet(20, (8, 16, 32), FirstBatchNorm2d)
        self.batch = torch.randn(images, 3, 32, 32), torch.arange(images) % 10
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01)
        self.steps = steps

    def bare(self) -> None:
        """A loop of nothing but the steps."""
        for _ in range(self.steps):
            loss = F.cross_entropy(self.model(self.batch[0]), self.batch[1])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def watched(self, histogram: bool) -> None:
        """The same, recorded."""
        with ActivationStats(self.model, self.model.layers, histogram=histogram):
            self.bare()

    def fitted(self) -> None:
        """The same, by `fit`."""
        fit(self.model, [self.batch] * self.steps, self.optimizer, progress=False)


def training(quick: bool = False) -> list[Row]:
    """Steps that are recorded, and steps that `fit` takes, over bare ones."""
    images, count, repeats = (4, 2, 2) if quick else (128, 8, 9)
    arms = {
        "`ActivationStats`, moments": (lambda: watching[0].watched(False), 1.25),
        "`ActivationStats`, with histograms": (lambda: watching[1].watched(True), 1.5),
        "`fit`": (lambda: watching[2].fitted(), 1.03),
    }
    watching, bare = [Steps(images, count) for _ in arms], Steps(images, count)
    times = in_turn({"bare": bare.bare, **{name: run for name, (run, _) in arms.items()}}, repeats)
    return [
        Row(f"a step of notebook 03's network with {name}", "the step alone", ratios(times[name], times["bare"]), most)
        for name, (_, most) in arms.items()
    ]
