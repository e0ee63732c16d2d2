"""Whom a probe asks: a layer, with γ and β set to known values; the one under test, or its double."""

import torch
from torch import Tensor

from normdoctor.case import Case
from normdoctor.formula import gammas

__all__ = ["LIFT", "Broken", "NotApplicable", "Subject"]

LIFT = 16.0  # added to β where a ReLU may follow: high enough that no output is cut off


class NotApplicable(Exception):
    """The question makes no sense for this layer; the message says why."""


class Broken(Exception):
    """The layer fails in a way that leaves nothing to compare; the message is the diagnosis.

    Attributes:
        cause: its name, a key of `causes.CAUSES`.
    """

    def __init__(self, message: str, cause: str):
        super().__init__(message)
        self.cause = cause


class Subject:
    """A layer with γ and β set to known values, to be asked in float64 or in its own dtype.

    Attributes:
        case: what is known about the layer.
        g, b: what γ's parameter and β hold, in float64, without the lift; neutral where there are none.
        eps: what it adds to the variance.
        momentum: the weight of the newest batch, None for the plain average of all.
        dtype: in which it is asked.
    """

    case: Case
    g: Tensor
    b: Tensor
    eps: float
    momentum: float | None
    dtype: torch.dtype = torch.float64

    def train(self, x: Tensor) -> Tensor:
        """The output in training mode, without the lift."""
        raise NotImplementedError

    def evaluate(self, x: Tensor) -> Tensor:
        """The output in evaluation mode, without the lift."""
        raise NotImplementedError

    def counter(self) -> int | None:
        """How many batches it says that it has seen; None if it does not count."""
        raise NotImplementedError

    def affine(self) -> tuple[Tensor | None, Tensor | None]:
        """γ's parameter and β, to be differentiated by."""
        raise NotImplementedError

    def learn(self, count: int = 3) -> None:
        """Let it see that many batches of different sizes in training, as inside a network, if it can be trained."""
        for seed in range(0 if self.case.frozen else count):
            self.train(self.case.batch(seed + 10, more=seed % 2).requires_grad_())

    @torch.no_grad()
    def read(self) -> tuple[Tensor, Tensor]:
        """Running mean and variance, (C,) each in float64, by what evaluation does to two constant levels.

        Raises:
            Broken: evaluation uses the batch's own statistics.
        """
        other = self.copy()
        x = torch.zeros(self.case.shape, dtype=self.dtype)
        x[::2] = 16.0
        y = other.evaluate(x).double()
        low, high = (y[start::2].transpose(0, 1).flatten(1).mean(1) for start in (1, 0))
        gamma = gammas(self.case.gamma_kind)(self.g)
        gamma = gamma if len(gamma) == self.case.channels else gamma.view(self.case.channels, -1).mean(1)
        slope = (high - low) / 16 / gamma
        mean, var = -(low - self.b) / gamma / slope, slope**-2 - self.eps
        if torch.allclose(mean, torch.tensor(8.0).double()) and 60 < var.mean() < 70:
            raise Broken("in evaluation it normalizes by the batch's own statistics", "evaluation by the batch")
        return mean, var

    def copy(self) -> "Subject":
        """Another one in the same state."""
        raise NotImplementedError

    def held(self) -> tuple[Tensor | None, Tensor | None]:
        """The running mean and variance, where they are kept; None where that is not known."""
        raise NotImplementedError
