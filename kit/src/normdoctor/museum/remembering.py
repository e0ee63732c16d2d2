"""Exhibits that compute rightly, and remember wrongly or at the wrong time."""

import torch
from torch import Tensor

from normdoctor.museum.correct import CorrectBatchNorm

__all__ = [
    "BiasedRunningVariance",
    "GraphKept",
    "LastBatch",
    "LearnsInEvaluation",
    "ModeFromGradients",
    "MomentumIgnored",
    "MomentumTheWrongWayRound",
    "PlainAttributes",
    "Uncounted",
]


# --- what it remembers


class BiasedRunningVariance(CorrectBatchNorm):
    """The running variance takes the batch's variance as it is, divided by n.

    Seen in most textbook versions, which use one variance for both purposes. What one sees: evaluation gives outputs
    that are slightly too large, the more so the fewer values a channel has.
    """

    def lasting(self, var: Tensor, count: int) -> Tensor:
        return var


class LastBatch(CorrectBatchNorm):
    """Evaluation reuses the statistics of the last batch; nothing older is remembered.

    Seen in first attempts, this course's too. What one sees: the accuracy depends on which batch happened to come last.
    """

    def share(self) -> float:
        return 1.0


class MomentumTheWrongWayRound(CorrectBatchNorm):
    """The past weighs `momentum`, the newest batch 1 - momentum.

    Seen where the default 0.1 of one library meets the formula of another, whose momentum is 0.9. What one sees:
    evaluation follows the last batch, 90 % of it.
    """

    def share(self) -> float:
        return 1 - self.momentum


class MomentumIgnored(CorrectBatchNorm):
    """Every batch since the beginning weighs the same, whatever `momentum` says.

    Seen in layers that sum up statistics and divide by the count. What one sees: evaluation lags far behind, since the
    first batches, of a network that knew nothing, are never forgotten.
    """

    def share(self) -> float:
        return 1 / int(self.num_batches_tracked)


class PlainAttributes(CorrectBatchNorm):
    """The statistics are plain attributes, not buffers.

    Seen in many from-scratch versions: `self.running_mean = torch.zeros(...)` looks innocent. What one sees: a saved
    model evaluates wrongly after loading, and on another device or in another dtype it stops with an error.
    """

    def make_statistics(self) -> None:
        self.running_mean = torch.zeros(self.num_features)
        self.running_var = torch.ones(self.num_features)
        self.num_batches_tracked = torch.tensor(0)


class Uncounted(CorrectBatchNorm):
    """`num_batches_tracked` is there and stays 0.

    Seen in layers that took over PyTorch's names and not all of their meaning. What one sees: nothing, until a plain
    average (momentum=None) is asked for, or a checkpoint is continued elsewhere.
    """

    def update(self, mean: Tensor, var: Tensor, count: int) -> None:
        super().update(mean, var, count)
        self.num_batches_tracked.zero_()


class GraphKept(CorrectBatchNorm):
    """The running statistics are computed with gradients on, so that they hold on to every step's graph.

    Seen in several published versions: `running = (1 - m) * running + m * mean`, without no_grad. What one sees: memory
    grows with every step, deepcopy raises, a fine-tuning step in evaluation mode fails at the second backward pass.
    """

    def update(self, mean: Tensor, var: Tensor, count: int) -> None:
        self.num_batches_tracked += 1
        var = self.lasting(var, count)
        self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean.flatten()
        self.running_var = (1 - self.momentum) * self.running_var + self.momentum * var.flatten()


# --- when it does what


class LearnsInEvaluation(CorrectBatchNorm):
    """The running statistics are updated in evaluation too.

    Seen where the update stands outside the `if self.training`. What one sees: evaluating the same data twice gives two
    different accuracies, and test data leak into the model.
    """

    def remembered(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, var = (values.clone() for values in super().remembered(x))
        self.update(*self.statistics(x), max(2, x.numel() // x.shape[1]))
        return mean, var


class ModeFromGradients(CorrectBatchNorm):
    """It takes itself to be in training when gradients are on.

    Seen in a textbook whose layers have no train() of their own. What one sees: fine-tuning in evaluation mode still
    uses the batch's statistics; recomputing statistics under no_grad does nothing.
    """

    def learns(self) -> bool:
        return torch.is_grad_enabled()
