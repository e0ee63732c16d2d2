"""The gradients that hand-written backward passes give: the right one, and what goes wrong in it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

__all__ = ["RULES", "Parts", "ruled"]


@dataclass(frozen=True)
class Parts:
    """What a gradient is made of, for values that share statistics over all dimensions but the channels.

    Attributes:
        g: dL/dy, (N, C, ...).
        h: the normalized x.
        off: x - μ.
        x: the input.
        gamma: γ, that broadcasts against x.
        inverse: 1/√(σ² + ε), alike.
        var: σ², alike.
        eps: ε.
    """

    g: Tensor
    h: Tensor
    off: Tensor
    x: Tensor
    gamma: Tensor
    inverse: Tensor
    var: Tensor
    eps: float

    @property
    def n(self) -> int:
        return self.x.numel() // self.x.shape[1]

    def mean(self, values: Tensor) -> Tensor:
        return values.mean((0, *range(2, values.ndim)), keepdim=True)

    def sum(self, values: Tensor) -> Tensor:
        return self.mean(values) * self.n


def _dx(
    p: Parts,
    *,
    gamma: Tensor | None = None,
    inverse: Tensor | None = None,
    mean: float = 1.0,
    along: float = 1.0,
    centre: Tensor | None = None,
    direction: Tensor | None = None,
    h: Tensor | None = None,
) -> Tensor:
    """1/σ · (γ dy - mean - x̂ · mean of γ dy x̂), with factors before the two terms, or other terms."""
    up = p.g * (p.gamma if gamma is None else gamma)
    h = p.h if h is None else h
    first = p.mean(up) if centre is None else centre
    second = h * p.mean(up * h) if direction is None else direction
    return (p.inverse if inverse is None else inverse) * (up - mean * first - along * second)


def _with(inverse: Callable[[Parts], Tensor]) -> dict[str, Callable[[Parts], Tensor]]:
    """The gradients of another 1/σ than the forward pass divided by."""
    return {
        "x": lambda p: _dx(p, inverse=inverse(p), h=p.off * inverse(p)),
        "γ": lambda p: p.sum(p.g * p.off * inverse(p)),
    }


# name → what it does to the gradient of x, of γ, of β; what is not named is right
RULES: dict[str, dict[str, Callable[[Parts], Tensor]]] = {
    "γ left out of dx": {"x": lambda p: _dx(p, gamma=torch.ones_like(p.gamma))},
    "γ twice in dx": {"x": lambda p: _dx(p, gamma=p.gamma.square())},
    "γ without sign in dx": {"x": lambda p: _dx(p, gamma=p.gamma.abs())},
    "γ left out of a term": {"x": lambda p: _dx(p, direction=p.h * p.mean(p.g * p.h))},
    "σ left out of dx": {"x": lambda p: _dx(p, inverse=torch.ones_like(p.inverse))},
    "σ twice in dx": {"x": lambda p: _dx(p, inverse=p.inverse.square())},
    "n-1 in a term": {"x": lambda p: _dx(p, along=p.n / (p.n - 1))},
    "n-1 in the mean's term": {"x": lambda p: _dx(p, mean=p.n / (p.n - 1))},
    "the unbiased variance": _with(lambda p: (p.var * p.n / (p.n - 1) + p.eps).rsqrt()),
    "wrong sign of a term": {"x": lambda p: _dx(p, along=-1.0)},
    "wrong sign of the mean's term": {"x": lambda p: _dx(p, mean=-1.0)},
    "a term twice": {"x": lambda p: _dx(p, along=2.0)},
    "a term summed": {"x": lambda p: _dx(p, along=float(p.n))},
    "a term from x - μ": {"x": lambda p: _dx(p, direction=p.off * p.mean(p.g * p.gamma * p.h))},
    "mean over the batch alone": {"x": lambda p: _dx(p, centre=(p.g * p.gamma).mean(0, keepdim=True))},
    "mean over channels too": {"x": lambda p: _dx(p, centre=(p.g * p.gamma).mean())},
    "ε left out": _with(lambda p: p.var.rsqrt()),
    "another ε than forward": _with(lambda p: (p.var + 1e-5).rsqrt()),
    "dx is zero": {"x": lambda p: torch.zeros_like(p.g)},
    "dx is dy": {"x": lambda p: p.g},
    "dx is γ dy": {"x": lambda p: p.g * p.gamma},
    "dx halved": {"x": lambda p: _dx(p) / 2},
    "dγ from x": {"γ": lambda p: p.sum(p.g * p.x)},
    "dγ from x - μ": {"γ": lambda p: p.sum(p.g * p.off)},
    "dγ averaged": {"γ": lambda p: p.mean(p.g * p.h)},
    "dγ over N": {"γ": lambda p: p.sum(p.g * p.h) / len(p.g)},
    "dγ times γ": {"γ": lambda p: p.sum(p.g * p.h) * p.gamma},
    "dγ is zero": {"γ": lambda p: p.mean(p.g) * 0},
    "dγ halved": {"γ": lambda p: p.sum(p.g * p.h) / 2},
    "dβ averaged": {"β": lambda p: p.mean(p.g)},
    "dβ over N": {"β": lambda p: p.sum(p.g) / len(p.g)},
    "dβ times γ": {"β": lambda p: p.sum(p.g) * p.gamma},
    "dβ is zero": {"β": lambda p: p.mean(p.g) * 0},
    "dβ over all channels": {"β": lambda p: p.g.sum().expand(1, p.g.shape[1], *[1] * (p.g.ndim - 2))},
    "dγ and dβ exchanged": {"γ": lambda p: p.sum(p.g), "β": lambda p: p.sum(p.g * p.h)},
    "all halved": {"x": lambda p: _dx(p) / 2, "γ": lambda p: p.sum(p.g * p.h) / 2},
    "dy clamped": {
        "x": lambda p: _dx(replace(p, g=p.g.clamp(-1, 1))),
        "γ": lambda p: p.sum(p.g.clamp(-1, 1) * p.h),
        "β": lambda p: p.sum(p.g.clamp(-1, 1)),
    },
}


class _Ruled(torch.autograd.Function):
    """The output as it is, with the gradient of a rule (once: it cannot be differentiated again)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        y: Tensor,
        parts: Callable[[Tensor], Parts],
        rule: dict[str, Callable[[Parts], Tensor]],
    ) -> Tensor:
        ctx.parts, ctx.rule = parts, rule
        return y.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        p = ctx.parts(g)
        right = {"x": _dx, "γ": lambda p: p.sum(p.g * p.h), "β": lambda p: p.sum(p.g)}
        dx, dg, db = ((ctx.rule.get(name) or usual)(p) for name, usual in right.items())
        return dx, dg, db, None, None, None


def ruled(
    rule: str, x: Tensor, mean: Tensor, var: Tensor, gamma: Tensor, beta: Tensor, eps: float, y: Tensor
) -> Tensor:
    """y, with the gradients that a rule gives.

    Args:
        rule: a key of `RULES`.
        x: (N, C, ...).
        mean, var, gamma, beta: that broadcast against x.
        eps: ε.
        y: the output.
    """
    with torch.no_grad():
        inverse, off = (var + eps).rsqrt(), x - mean

    def parts(g: Tensor) -> Parts:
        return Parts(g, off * inverse, off, x.detach(), gamma.detach(), inverse, var.detach(), eps)

    return _Ruled.apply(x, gamma, beta, y.detach(), parts, RULES[rule])
