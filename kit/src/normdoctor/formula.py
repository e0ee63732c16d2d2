"""What is right, and what else people write: one formula with options.

`Formula()` is the definition (Ioffe & Szegedy 2015, algorithms 1 and 2) with PyTorch's conventions for what is
remembered; each of its options that has another value is a way to get it wrong, or another normalization. The layer
that does exactly what a formula says is `double.Double`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["AFFINE", "FORMS", "OUTPUTS", "ROOTS", "SHARES", "Formula", "column", "gammas"]


@dataclass(frozen=True)
class Formula:
    """One way to normalize; the defaults are batch normalization.

    Options with `…_in` say in which mode the one before is so: "both", or "training" or "evaluation" alone.

    Attributes:
        over: which values share their statistics: see `sharing.averaged`.
        centre, centre_over: what is subtracted, and if not `over`, which values share it.
        spread, spread_over: what it divides by, before ε and the root, and which values share it.
        count: what the sum of squares is divided by: see `sharing.factor`.
        root: where ε and the root are: a key of `ROOTS`.
        form: how the centred is divided: a key of `FORMS`.
        affine: how γ and β act: a key of `AFFINE`.
        output: what is done to the output: a key of `OUTPUTS`.
        training_by: what training normalizes by: "batch", or running statistics "before" or "after" the update, only
            the running "mean" or "variance" (before), "new mean" or "new variance" (after), or "halfway" between both.
        backward: what the gradient is: see `backward.RULES`; or which statistics are "… detached".
        remembered_over, remembered_mean, remembered_spread, remembered_count: which statistics are remembered.
        share, share_mean, share_spread: the weight of the k-th batch, in both, in the mean, in the variance: `SHARES`.
        start: what a new layer remembers: "0 and 1".
        learns: when it remembers: in "training", "always", or "training, and the mean always".
        evaluation_by: what evaluation normalizes by: see `double.Double`.
        evaluation_count: by what factor evaluation multiplies the running variance: see `sharing.factor`; "n" is 1.
    """

    over: str = "batch"
    centre: str = "mean"
    centre_over: str = "same"
    spread: str = "variance"
    spread_over: str = "same"
    count: str = "n"
    root: str = "inside"
    root_in: str = "both"
    form: str = "usual"
    form_in: str = "both"
    affine: str = "after"
    affine_in: str = "both"
    output: str = "nothing"
    output_in: str = "both"
    training_by: str = "batch"
    backward: str = "all"
    remembered_over: str = "used"
    remembered_mean: str = "mean"
    remembered_spread: str = "variance"
    remembered_count: str = "n-1"
    share: str = "momentum"
    share_mean: str = "same"
    share_spread: str = "same"
    start: str = "0 and 1"
    learns: str = "training"
    evaluation_by: str = "running"
    evaluation_count: str = "n"


# --- the root, the quotient, γ and β, the output

ROOTS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "inside": lambda v, e: (v + e).sqrt(),
    "outside": lambda v, e: v.sqrt() + e,
    "none": lambda v, e: v.sqrt(),
    "missing": lambda v, e: v + e,
    "twice": lambda v, e: (v + 2 * e).sqrt(),
    "inside and outside": lambda v, e: (v + e).sqrt() + e,
    "at least": lambda v, e: v.clamp(min=e).sqrt(),
    "at least outside": lambda v, e: v.sqrt().clamp(min=e),
    "where zero": lambda v, e: torch.where(v == 0, torch.full_like(v, e), v).sqrt(),
    "squared": lambda v, e: (v + e * e).sqrt(),
    "of epsilon": lambda v, e: (v + e**0.5).sqrt(),
    "relative": lambda v, e: (v * (1 + e)).sqrt(),
    "usual": lambda v, e: (v + 1e-5).sqrt(),
    "thousandth": lambda v, e: (v + 1e-3).sqrt(),
    "millionth": lambda v, e: (v + 1e-6).sqrt(),
    "1e-8": lambda v, e: (v + 1e-8).sqrt(),
    "1e-12": lambda v, e: (v + 1e-12).sqrt(),
    "negative": lambda v, e: (v - e).abs().sqrt(),
    "fourth": lambda v, e: (v + e).sqrt().sqrt(),
    "multiplied": lambda v, e: 1 / (v + e).sqrt(),
    "at least 1": lambda v, e: (v + e).sqrt().clamp(min=1),
}
FORMS: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {  # of x, mean, root, ε
    "usual": lambda x, m, s, e: (x - m) / s,
    "flipped": lambda x, m, s, e: (m - x) / s,
    "added": lambda x, m, s, e: (x + m) / s,
    "twice subtracted": lambda x, m, s, e: (x - 2 * m) / s,
    "not centred": lambda x, m, s, e: x / s,
    "not divided": lambda x, m, s, e: x - m,
    "mean not divided": lambda x, m, s, e: x / s - m,
    "eps above": lambda x, m, s, e: (x - m + e) / s,
    "identity": lambda x, m, s, e: x,
    "clamped": lambda x, m, s, e: ((x - m) / s).clamp(-3, 3),
    "tanh": lambda x, m, s, e: ((x - m) / s).tanh(),
    "twice": lambda x, m, s, e: (x - m) / s / ((s * s - e) / (s * s) + e).sqrt(),
}
AFFINE: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]] = {  # of the normalized, γ, β, root, mean
    "after": lambda h, g, b, s, m: h * g + b,
    "before": lambda h, g, b, s, m: h,  # γ and β have acted on x already
    "before, statistics without": lambda h, g, b, s, m: ((h * s + m) * g + b - m) / s,
    "swapped": lambda h, g, b, s, m: (h + b) * g,
    "before dividing": lambda h, g, b, s, m: (h + b / s) * g,
    "exchanged": lambda h, g, b, s, m: h * b + g,
    "no γ": lambda h, g, b, s, m: h + b,
    "no β": lambda h, g, b, s, m: h * g,
    "none": lambda h, g, b, s, m: h,
    "γ twice": lambda h, g, b, s, m: h * g * g + b,
    "γ without sign": lambda h, g, b, s, m: h * g.abs() + b,
    "γ at least 0": lambda h, g, b, s, m: h * g.clamp(min=0) + b,
    "γ divides": lambda h, g, b, s, m: h / g + b,
    "β subtracted": lambda h, g, b, s, m: h * g - b,
    "β twice": lambda h, g, b, s, m: h * g + 2 * b,
    "one more": lambda h, g, b, s, m: h * (1 + g) + b,
    "first of each": lambda h, g, b, s, m: h * g.flatten()[0] + b.flatten()[0],
    "first γ": lambda h, g, b, s, m: h * g.flatten()[0] + b,
    "first β": lambda h, g, b, s, m: h * g + b.flatten()[0],
    "mean γ": lambda h, g, b, s, m: h * g.mean() + b,
    "mean β": lambda h, g, b, s, m: h * g + b.mean(),
    "reversed": lambda h, g, b, s, m: h * g.flip(1) + b.flip(1),
    "γ reversed": lambda h, g, b, s, m: h * g.flip(1) + b,
}
OUTPUTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # of the output and the input
    "nothing": lambda y, x: y,
    "ReLU": lambda y, x: y.relu(),
    "clamped to 1": lambda y, x: y.clamp(-1, 1),
    "clamped to 6": lambda y, x: y.clamp(-6, 6),
    "tanh": lambda y, x: y.tanh(),
    "skip": lambda y, x: y + x,
    "images reversed": lambda y, x: y.flip(0),
    "channels reversed": lambda y, x: y.flip(1),
    "absolute": lambda y, x: y.abs(),
}


def gammas(kind: str) -> Callable[[Tensor], Tensor]:
    """From the parameter to γ: "weight", "1 + weight", "exp" or "softplus"."""
    return {
        "weight": lambda w: w,
        "1 + weight": lambda w: 1 + w,
        "exp": torch.exp,
        "softplus": torch.nn.functional.softplus,
    }[kind]


def column(values: Tensor, x: Tensor) -> Tensor:
    """One number a channel, (C,), or one a value of a picture, to be broadcast against x."""
    return (
        values.view(1, -1, *[1] * (x.ndim - 2)) if values.numel() in (1, x.shape[1]) else values.view(1, *x.shape[1:])
    )


# --- what is remembered: (momentum or None, number of this batch from 1) → (share of the old, share of the new)


def _weighed(share: Callable[[float, int], float]) -> Callable[[float | None, int], tuple[float, float]]:
    def both(momentum: float | None, k: int) -> tuple[float, float]:
        weight = share(1 / k if momentum is None else float(momentum), k)
        return 1 - weight, weight

    return both


SHARES: dict[str, Callable[[float | None, int], tuple[float, float]]] = {
    "momentum": _weighed(lambda m, k: m),
    "past": _weighed(lambda m, k: 1 - m),
    "all": _weighed(lambda m, k: 1.0),
    "none": _weighed(lambda m, k: 0.0),
    "equal": _weighed(lambda m, k: 1 / k),
    "twice": _weighed(lambda m, k: 1 - (1 - m) ** 2),
    "usual": _weighed(lambda m, k: 0.1),
    "nine": _weighed(lambda m, k: 0.9),
    "hundredth": _weighed(lambda m, k: 0.01),
    "keras": _weighed(lambda m, k: 0.99),
    "first": _weighed(lambda m, k: float(k == 1)),
    "late": _weighed(lambda m, k: 1 / (k + 1)),
    "half": _weighed(lambda m, k: m / 2),
    "square": _weighed(lambda m, k: m * m),
    "waning": _weighed(lambda m, k: m / k),
    "every second": _weighed(lambda m, k: m * (k % 2)),
    "first replaces": _weighed(lambda m, k: 1.0 if k == 1 else m),
    "added": lambda m, k: (1.0, 1 / k if m is None else float(m)),
    "not weighed": lambda m, k: (1 - (1 / k if m is None else float(m)), 1.0),
    "decay": lambda m, k: (1 - (1 / k if m is None else float(m)), 0.0),
}
