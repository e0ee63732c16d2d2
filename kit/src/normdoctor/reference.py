"""What is right: the definition in float64, the ways to get it wrong, and which of them a number points to."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ULPS", "Outcome", "compare", "normalize", "variants"]

ULPS = 256  # how many units in the last place rounding may cost; the smallest fault here costs a thousand times as many

# --- the definition

OVER = {
    "batch": lambda d: (0, *range(2, d)),
    "instance": lambda d: tuple(range(2, d)) or (1,),
    "image": lambda d: tuple(range(1, d)),
    "place": lambda d: (0,),
    "all": lambda d: tuple(range(d)),
    "channels": lambda d: (1,),
}


def normalize(
    x: Tensor,
    gamma: Tensor | float = 1.0,
    beta: Tensor | float = 0.0,
    eps: float = 1e-5,
    *,
    stats: tuple[Tensor, Tensor] | None = None,
    over: str = "batch",
    correction: int = 0,
    root: str = "inside",
    affine: str = "after",
    detached: str = "nothing",
) -> Tensor:
    """Batch normalization by its definition, differentiable; the options turn it into wrong variants of itself.

    Args:
        x: (N, C, ...).
        gamma, beta: (C,) or numbers.
        eps: added to the variance.
        stats: mean and variance to use, (C,) each; by default those of x.
        over: which values share their statistics, a key of `OVER`.
        correction: 1 for the unbiased variance.
        root: where eps stands: "inside" the root, "outside", nowhere ("none"), or inside but no root is
            taken ("missing").
        affine: "after" normalizing; "before" it; "swapped": β is added first, then γ multiplies.
        detached: which statistics count as constants in the gradient: "nothing", "mean", "variance" or "both".

    Returns:
        (N, C, ...)
    """
    column = (1, -1, *[1] * (x.ndim - 2))
    gamma, beta = (v.view(column) if isinstance(v, Tensor) else v for v in (gamma, beta))
    if affine == "before":
        x, gamma, beta = x * gamma + beta, 1.0, 0.0
    if stats is None:
        dims = OVER[over](x.ndim)
        mean = x.mean(dims, keepdim=True)
        var = x.var(dims, correction=correction, keepdim=True)
    else:
        mean, var = (v.view(column) for v in stats)
    mean = mean.detach() if detached in ("mean", "both") else mean
    var = var.detach() if detached in ("variance", "both") else var
    below = {"inside": (var + eps).sqrt(), "outside": var.sqrt() + eps, "none": var.sqrt(), "missing": var + eps}[root]
    normalized = (x - mean) / below
    return (normalized + beta) * gamma if affine == "swapped" else normalized * gamma + beta


FAULTS = {  # option → value → the diagnosis; what is right is not listed
    "correction": {1: "it divides by n-1: the normalization uses the unbiased variance; it should divide by n"},
    "over": {
        "instance": "wrong axes: each image and channel is normalized by itself (instance normalization)",
        "image": "wrong axes: each image is normalized over all its channels (layer normalization)",
        "place": "wrong axes: each place is normalized over the batch only; average over the places too",
        "all": "wrong axes: one mean and variance for all channels together; keep dimension 1",
        "channels": "wrong axes: it normalizes across the channels; average over all dimensions but 1",
    },
    "root": {
        "outside": "eps stands outside the root: it is added to the standard deviation, not to the variance",
        "none": "there is no eps: add it to the variance under the root",
        "missing": "no root is taken: it divides by the variance instead of the standard deviation",
    },
    "affine": {
        "before": "γ and β are applied before normalizing, which takes them away again",
        "swapped": "β is added before γ multiplies: γ scales β too",
    },
    "detached": {
        "both": "the statistics are detached (computed under no_grad, or from x.detach()): the gradient must flow "
        "through mean and variance",
        "mean": "the mean is detached: the gradient must flow through it too",
        "variance": "the variance is detached: the gradient must flow through it too",
    },
}


def variants(*options: str) -> Iterator[tuple[dict, str]]:
    """Wrong ways to normalize, one fault before two: the arguments of `normalize` and the diagnosis."""
    for many in (1, 2):
        for chosen in itertools.combinations(options, many):
            for values in itertools.product(*(FAULTS[option] for option in chosen)):
                words = [FAULTS[option][value] for option, value in zip(chosen, values, strict=True)]
                yield dict(zip(chosen, values, strict=True)), "; and ".join(words)


# --- comparing


@dataclass(frozen=True)
class Outcome:
    """What a probe measured; the diagnosis is empty if all is well."""

    diagnosis: str = ""
    measured: float | None = None
    tolerance: float | None = None
    source: str = ""


def compare(
    measured: Tensor,
    expected: Tensor,
    causes: Iterable[tuple[Callable[[], Tensor], str]] = (),
    otherwise: str = "",
    *,
    what: str,
    ulps: int = ULPS,
    scale: float | None = None,
) -> Outcome:
    """Hold what was measured against the float64 reference; if it is off, find the cause whose number it is.

    Args:
        measured, expected: any shape, the same.
        causes: what would have come out under each suspected fault, and its diagnosis; the first that fits is taken.
        otherwise: the diagnosis if none fits.
        what: is compared, for the report.
        ulps: the tolerance, in units in the last place of what was measured, relative to the scale.
        scale: by default the largest expected value.
    """
    if measured.shape != expected.shape:
        return Outcome(f"the shape is {tuple(measured.shape)}; it should be {tuple(expected.shape)}")
    unit, dtype = torch.finfo(measured.dtype).eps, str(measured.dtype).removeprefix("torch.")
    tolerance = ulps * unit
    over = "the largest expected value" if scale is None else f"{scale:g}"
    source = f"{what}, error over {over}; reference in float64, tolerance {ulps:,} ulp of {dtype}"
    scale = scale or max(expected.abs().max().item(), 1e-30)
    error = _distance(measured, expected, scale)
    if error <= tolerance:
        return Outcome("", error, tolerance, source)
    fitting = (words for wrong, words in causes if _distance(measured, wrong(), scale) <= min(tolerance, error / 4))
    return Outcome(next(fitting, otherwise) or f"{what} is not what the definition gives", error, tolerance, source)


def _distance(measured: Tensor, expected: Tensor, scale: float) -> float:
    """The largest difference, in units of the scale; infinite if anything is not a number."""
    if expected.numel() == 0 or not expected.isfinite().all():
        return float("inf")
    difference = (measured.detach().double() - expected.detach()).abs().max().item()
    return difference / scale if difference == difference else float("inf")
