"""The layer under test, as a probe asks it."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from normdoctor.case import Case, attribute, copied, in_mode
from normdoctor.subject import LIFT, Subject

__all__ = ["Specimen"]

MEANS = ("running_mean", "mean", "moving_mean", "running_avg")
VARIANCES = ("running_var", "var", "moving_var", "running_variance", "variance")


class Specimen(Subject):
    """The layer under test.

    Args:
        case: makes it.
        layer: instead of a new one.
        dtype: to ask it in; its own by default.
        options: of the constructor.

    Attributes:
        layer: the module.
        given_training: whether it came in training mode.
        seen: the batches that it has counted before.
    """

    def __init__(self, case: Case, layer: nn.Module | None = None, dtype: torch.dtype | None = None, **options: Any):
        self.case = case
        self.layer = case.make(**options) if layer is None else layer
        self.dtype = dtype or case.dtype
        if dtype is not None:
            self.layer = self.layer.to(dtype)
        self.given_training = self.layer.training
        generator = torch.Generator().manual_seed(7)
        self.lift = LIFT * case.lifted
        gamma, beta = self.affine()
        sizes = [case.channels if p is None else p.numel() for p in (gamma, beta)]
        size = case.channels if sizes[0] == 1 else sizes[0]
        signs = torch.ones(size) if case.adapted else torch.tensor([1.0, -1.0]).repeat(size)[:size]
        self.g = (0.5 + torch.rand(size, generator=generator, dtype=torch.float64)) * signs
        size = case.channels if sizes[1] == 1 else sizes[1]
        self.b = torch.rand(size, generator=generator, dtype=torch.float64) - 0.5 + self.lift
        neutral = 0.0 if case.gamma_kind in ("1 + weight", "exp") else 1.0
        self.g = self._set(gamma, self.g, neutral)
        self.b = self._set(beta, self.b, self.lift) - self.lift
        self.fixed = self._fix_statistics() if case.frozen else None
        self.eps = float(attribute(self.layer, ("eps", "epsilon"), None) or case.eps)
        self.momentum = attribute(self.layer, ("momentum", "mom"), case.momentum)
        self.seen = self.counter() or 0

    def affine(self) -> tuple[nn.Parameter | None, nn.Parameter | None]:
        parameters = dict(self.layer.named_parameters())
        return parameters.get(self.case.gamma_name or ""), parameters.get(self.case.beta_name or "")

    def _set(self, parameter: nn.Parameter | None, values: Tensor, neutral: float) -> Tensor:
        """Give the parameter these values; what it then holds, one a channel at least."""
        if parameter is None:
            return torch.full_like(values, neutral)
        parameter.requires_grad_(True)
        with torch.no_grad():
            parameter.copy_(values[: parameter.numel()].view_as(parameter))
        return parameter.detach().cpu().double().flatten().expand(len(values)).clone()

    def _fix_statistics(self) -> tuple[Tensor, Tensor] | None:
        """Give a frozen layer's buffers values, some variances as small as ε; mean and variance, if they are found."""
        buffers = {name.rpartition(".")[2].lower(): t for name, t in self.layer.named_buffers()}
        mean, var = (next((buffers[n] for n in names if n in buffers), None) for names in (MEANS, VARIANCES))
        if mean is None or var is None or mean.numel() != self.case.channels or var.numel() != self.case.channels:
            return None
        generator = torch.Generator().manual_seed(9)
        values = torch.rand(4, self.case.channels, generator=generator, dtype=torch.float64)
        values[1] = torch.where(
            torch.arange(self.case.channels) % 2 == 0, 0.5 + values[1], self.case.eps * (1 + values[1])
        )
        with torch.no_grad():
            for t, v in ((mean, values[0]), (var, values[1])):
                t.copy_(v.view_as(t))
            for name, own, k in (("g", buffers.get("weight"), 2), ("b", buffers.get("bias"), 3)):
                if own is not None and own.numel() == self.case.channels:
                    own.copy_((0.5 + values[k]).view_as(own))
                    setattr(self, name, own.detach().cpu().double().flatten().clone())
        return mean.detach().cpu().double().flatten(), var.detach().cpu().double().flatten()

    def held(self) -> tuple[Tensor | None, Tensor | None]:
        known = {
            name.rpartition(".")[2].lower(): t for name, t in self.tensors().items() if t.numel() == self.case.channels
        }
        mean, var = (next((known[n].cpu() for n in names if n in known), None) for names in (MEANS[:1], VARIANCES[:1]))
        return mean, var

    def counter(self) -> int | None:
        found = (t for n, t in self.layer.named_buffers() if n.rpartition(".")[2] == "num_batches_tracked")
        counter = next(found, None)
        return None if counter is None else int(counter)

    def lacks(self, need: str) -> str:
        """Why a probe with that need makes no sense here; empty if it does."""
        return {
            "training": "" if not self.case.frozen else "the layer is frozen: train() leaves it in evaluation mode",
            "running": "" if self.tracks else "the layer keeps no running statistics",
            "gamma": "" if self.affine()[0] is not None else "the layer has no γ",
            "beta": "" if self.affine()[1] is not None else "the layer has no β",
            "pictures": "" if len(self.case.shape) == 4 else "the layer does not take pictures (N, C, H, W)",
            "bnlayer": "" if self.case.adapted else "there is no convolution inside",
            "plain": "" if not self.case.adapted else "the convolution inside decides that",
            "guessed": "" if not self.case.hints.input_shape else "its input's shape is given",
            "linear": "" if self.case.activation is None else f"a {self.case.activation} follows",
            "batch": "" if self.case.is_batch else "it is not a batch normalization",
            "no running": "it has running statistics" if self.tracks else "",
        }[need]

    @property
    def tracks(self) -> bool:
        """Whether there are running statistics, as far as it says so."""
        if not self.case.is_batch:
            return False
        return attribute(self.layer, ("track_running_stats",), True) is not False

    def train(self, x: Tensor) -> Tensor:
        return self.case.call(in_mode(self.layer, True), x.clone()) - self.lift

    def evaluate(self, x: Tensor) -> Tensor:
        return self.case.call(in_mode(self.layer, False), x.clone()) - self.lift

    def copy(self) -> "Specimen":
        other = object.__new__(Specimen)
        other.__dict__ = dict(self.__dict__)
        if isinstance(self.layer, torch.jit.ScriptModule):  # copies of some have no forward
            other.layer = self.case.make()
            other.layer.load_state_dict(self.layer.state_dict())
            other.layer = in_mode(other.layer.to(self.dtype), self.layer.training)
        else:
            other.layer = copied(self.layer)
        return other

    def start(self) -> tuple[Tensor, Tensor]:
        """The running statistics before any training: 0 and 1 in a new layer, else read if that is possible."""
        if self.fixed is not None:
            return self.fixed
        zero_one = torch.zeros(self.case.channels).double(), torch.ones(self.case.channels).double()
        if self.given_training and self.seen == 0:
            return zero_one
        try:
            return self.read()
        except Exception:
            return zero_one

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the layer by name: parameters, buffers, plain attributes, and those in lists and the like."""
        found = dict(self.layer.named_parameters()) | dict(self.layer.named_buffers())
        for prefix, module in self.layer.named_modules():
            own = {} if isinstance(module, torch.jit.ScriptModule) else vars(module)
            for name, value in own.items():
                if not name.startswith("_"):
                    found |= {f"{prefix}.{n}".lstrip("."): t for n, t in _tensors_in(name, value)}
        return found


def _tensors_in(name: str, value: object) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for k, each in enumerate(value):
            yield from _tensors_in(f"{name}[{k}]", each)
    elif isinstance(value, dict):
        for k, each in value.items():
            yield from _tensors_in(f"{name}[{k!r}]", each)
