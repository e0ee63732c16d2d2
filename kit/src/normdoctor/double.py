"""The double of a layer: it does exactly what a formula says, in float64."""

from typing import Any

import torch
from torch import Tensor

from normdoctor.backward import ruled
from normdoctor.case import ACTIVATIONS
from normdoctor.formula import AFFINE, FORMS, OUTPUTS, ROOTS, SHARES, Formula, column, gammas
from normdoctor.sharing import averaged, factor
from normdoctor.specimen import Specimen
from normdoctor.subject import LIFT, Subject

__all__ = ["Double"]


def a_channel(x: Tensor) -> Tensor:
    """(N, C, ...) → the means over all but the channels, (C,)."""
    return x.transpose(0, 1).flatten(1).mean(1)


class Double(Subject):
    """A layer that does what a formula says, with the parameters and the past of a specimen.

    Evaluation normalizes (`Formula.evaluation_by`) by "running" statistics, those of the "batch", the running "mean" or
    "variance" with the batch's other one, with "no mean", "no variance", by those "halfway" to the batch's, with the
    means of the channels "reversed", or one "shared variance".

    Args:
        twin: the specimen.
        formula: what to do; by default what is right.
        other: eps, momentum, track_running_stats, other than the specimen's.
    """

    def __init__(self, twin: Specimen, formula: Formula | None = None, **other: Any):
        self.case, self.f = twin.case, formula or twin.case.right
        self.g, self.b = twin.g, twin.b
        self.eps, self.momentum = other.get("eps", twin.eps), other.get("momentum", twin.momentum)
        gamma, beta = (None if p is None else v for p, v in zip(twin.affine(), (twin.g, twin.b), strict=True))
        self.weight = None if gamma is None else gamma.clone().requires_grad_()
        self.shift = None if beta is None else beta.clone().requires_grad_()
        self.count, self.tracks = twin.seen, twin.tracks and other.get("track_running_stats", True)
        self.mean, self.var = (t.clone() for t in twin.start())
        if twin.given_training and not twin.seen and self.f.start != "0 and 1":
            values = (self.eps if v == "ε" else float(v) for v in self.f.start.split(" and "))
            self.mean, self.var = (torch.full_like(self.mean, v) for v in values)

    def affine(self) -> tuple[Tensor | None, Tensor | None]:
        return self.weight, self.shift

    def counter(self) -> int | None:
        return self.count

    def held(self) -> tuple[Tensor | None, Tensor | None]:
        return (self.mean, self.var) if self.tracks else (None, None)

    def copy(self) -> "Double":
        other = object.__new__(Double)
        other.__dict__ = dict(self.__dict__)
        return other

    def train(self, x: Tensor) -> Tensor:
        return self._evaluated(x.double()) if self.case.frozen else self._trained(x.double())

    def evaluate(self, x: Tensor) -> Tensor:
        return self._evaluated(x.double())

    # --- the two modes

    def _trained(self, source: Tensor) -> Tensor:
        f, x = self.f, self._scaled_before(source, "training")
        mean, var = self._statistics(x)
        before = [column(v, x) for v in (self.mean, self.var)]
        if self.tracks:
            self._remember(x, source)
        after = [column(v, x) for v in (self.mean, self.var)]
        mean, var = {
            "batch": lambda: (mean, var),
            "before": lambda: before,
            "after": lambda: after,
            "mean": lambda: (before[0], var),
            "variance": lambda: (mean, before[1]),
            "new mean": lambda: (after[0], var),
            "new variance": lambda: (mean, after[1]),
            "halfway": lambda: ((mean + after[0]) / 2, (var + after[1]) / 2),
        }[f.training_by]()
        return self._normalized(x, mean, var, "training")

    def _evaluated(self, source: Tensor) -> Tensor:
        f, x = self.f, self._scaled_before(source, "evaluation")
        if not self.tracks:
            return self._normalized(x, *self._statistics(x), "evaluation")
        mean, var = column(self.mean, x), column(self.var, x) * factor(x, f.evaluation_count)
        own = self._statistics(x) if f.evaluation_by in ("batch", "mean", "variance", "halfway") else (mean, var)
        mean, var = {
            "running": lambda: (mean, var),
            "batch": lambda: own,
            "mean": lambda: (mean, own[1]),
            "variance": lambda: (own[0], var),
            "no mean": lambda: (torch.zeros_like(mean), var),
            "no variance": lambda: (mean, torch.ones_like(var)),
            "halfway": lambda: ((mean + own[0]) / 2, (var + own[1]) / 2),
            "reversed": lambda: (mean.flip(1), var),
            "shared variance": lambda: (mean, var.mean()),
        }[f.evaluation_by]()
        if f.learns != "training":
            var_before, count = self.var, self.count
            self._remember(x, source)
            if f.learns == "training, and the mean always":
                self.var, self.count = var_before, count
        return self._normalized(x, mean, var, "evaluation")

    def _parameters(self, x: Tensor) -> tuple[Tensor, Tensor]:
        g, b = self.g if self.weight is None else self.weight, self.b if self.shift is None else self.shift
        return column(gammas(self.case.gamma_kind)(g), x), column(b, x)

    def _scaled_before(self, x: Tensor, mode: str) -> Tensor:
        if self.f.affine != "before" or self.f.affine_in not in ("both", mode):
            return x
        g, b = self._parameters(x)
        return x * g + b

    # --- the statistics

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is subtracted, and what goes under the root; both broadcast against x."""
        f = self.f
        over, spread_over = ((f.over if o == "same" else o) for o in (f.centre_over, f.spread_over))
        mean = averaged(x, over)
        centre = {
            "mean": lambda: mean,
            "nothing": lambda: torch.zeros_like(mean),
            "median": lambda: column(x.transpose(0, 1).flatten(1).median(1).values, x),
            "least": lambda: column(x.transpose(0, 1).flatten(1).min(1).values, x),
            "first channel": lambda: mean[:, :1],
            "next channel": lambda: mean.roll(1, 1),
            "sum over N": lambda: mean * factor(x, "N", f.over),
        }[f.centre]()
        off = x - averaged(x, spread_over)
        rows = off.transpose(0, 1).flatten(1)
        squares = off.square()
        var = {
            "variance": lambda: averaged(squares, spread_over),
            "second moment": lambda: averaged(x.square(), spread_over),
            "deviation": lambda: averaged(off.abs(), spread_over).square(),
            "largest": lambda: column(rows.abs().max(1).values, x).square(),
            "range": lambda: column(rows.max(1).values - rows.min(1).values, x).square(),
            "one": lambda: torch.ones_like(x),
            "first channel": lambda: averaged(squares, spread_over)[:, :1],
            "next channel": lambda: averaged(squares, spread_over).roll(1, 1),
            "pooled": lambda: averaged(averaged(squares, spread_over), "all"),
            "within images": lambda: averaged((x - averaged(x, "instance")).square(), spread_over),
            "within places": lambda: averaged((x - averaged(x, "place")).square(), spread_over),
            "about the centre": lambda: averaged((x - centre).square(), spread_over),
            "about the running mean": lambda: averaged((x - column(self.mean, x)).square(), spread_over),
        }[f.spread]()
        return centre, var * factor(x, f.count, spread_over)

    def _normalized(self, x: Tensor, mean: Tensor, var: Tensor, mode: str) -> Tensor:
        f = self.f
        root, form, affine, output = (
            getattr(f, name) if getattr(f, f"{name}_in") in ("both", mode) else getattr(Formula, name)
            for name in ("root", "form", "affine", "output")
        )
        g, b = self._parameters(x)
        if "detached" in f.backward:
            mean = mean.detach() if f.backward in ("mean detached", "both detached") else mean
            var = var.detach() if f.backward in ("variance detached", "both detached") else var
        divided = torch.ones_like(var) if f.spread == "one" and mode == "training" else ROOTS[root](var, self.eps)
        y = AFFINE[affine](FORMS[form](x, mean, divided, self.eps), g, b, divided, mean)
        if f.backward != "all" and "detached" not in f.backward and mode == "training":
            y = ruled(f.backward, x, mean, var, g, b, self.eps, y)
        lift = LIFT * self.case.lifted
        if self.case.activation:
            y = ACTIVATIONS[self.case.activation](y + lift) - lift
        return OUTPUTS[output](y, x)

    # --- what is remembered

    @torch.no_grad()
    def _remember(self, x: Tensor, source: Tensor) -> None:
        """Update the running statistics by those of x; (C,) each."""
        f, x, source = self.f, x.detach(), source.detach()
        if f.remembered_over == "source":
            x = source
        over = f.over if f.remembered_over == "used" else "first" if f.remembered_over == "first" else "batch"
        if f.remembered_over == "statistics":  # exactly those that are normalized by
            mean, var = (a_channel(v.expand_as(x)) for v in self._statistics(x))
        else:
            mean = averaged(x, over)
            mean, var = a_channel(mean), a_channel(averaged((x - mean).square(), over))
        g, b = self._parameters(x)
        y = x * g + b  # what may be remembered instead of x: scaled, normalized, or both
        if f.remembered_spread in ("output", "normalized"):
            y = (x - column(mean, x)) / (column(var, x) + self.eps).sqrt()
            y = y * g + b if f.remembered_spread == "output" else y
        var_y = y.transpose(0, 1).flatten(1).var(1, correction=0)
        correction = factor(x, f.remembered_count)
        new_mean = {
            "mean": lambda: mean,
            "size": lambda: mean.abs(),
            "negative": lambda: -mean,
            "spread": lambda: var * correction,
            "raw spread": lambda: var,
            "output": lambda: a_channel(y),
            "normalized": lambda: a_channel(y),
            "scaled input": lambda: a_channel(y),
            "all channels": lambda: mean.mean().expand_as(mean),
            "next channel": lambda: mean.roll(1),
            "corrected": lambda: mean * factor(x, "n-1"),
            "sum over N": lambda: mean * factor(x, "N"),
        }[f.remembered_mean]()
        new_var = (
            correction
            * {
                "mean": lambda: mean / correction,
                "raw mean": lambda: mean,
                "second moment": lambda: var + mean.square(),
                "output": lambda: var_y,
                "normalized": lambda: var_y,
                "scaled input": lambda: var_y,
                "with epsilon": lambda: var + self.eps / correction,
                "root": lambda: (var / correction).sqrt(),
                "squared": lambda: var.square() * correction,
                "all channels": lambda: (x - x.mean()).square().mean().expand_as(var),
                "within images": lambda: a_channel((x - averaged(x, "instance")).square()),
                "within places": lambda: a_channel((x - averaged(x, "place")).square()),
                "about the running mean": lambda: var + (mean - self.mean).square(),
            }.get(f.remembered_spread, lambda: var)()
        )
        self.count += 1
        kept, weight = self._share(f.share_mean)
        old_mean, self.mean = mean, kept * self.mean + weight * new_mean
        if f.remembered_spread == "about the new running mean":
            new_var = (var + (old_mean - self.mean).square()) * correction
        kept, weight = self._share(f.share_spread)
        self.var = {
            "deviation": lambda: (kept * self.var.sqrt() + weight * new_var.sqrt()).square(),
            "inverse": lambda: (kept * self.var.rsqrt() + weight * new_var.rsqrt()) ** -2,
            "inverse with epsilon": lambda: (
                (kept * (self.var + self.eps).rsqrt() + weight * (new_var + self.eps).rsqrt()) ** -2 - self.eps
            ),
            "logarithm": lambda: (kept * self.var.log() + weight * new_var.log()).exp(),
            "largest": lambda: torch.maximum(self.var, new_var),
        }.get(f.remembered_spread, lambda: kept * self.var + weight * new_var)()

    def _share(self, own: str) -> tuple[float, float]:
        """How much of the old is kept, and the weight of the batch that comes now, the `count`-th."""
        return SHARES[self.f.share if own == "same" else own](self.momentum, self.count)
