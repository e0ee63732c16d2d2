"""A probe: one question to a layer; how it is registered, and how numbers are held against each other."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from normdoctor.subject import Subject

__all__ = ["PROFILES", "ULPS", "Outcome", "Probe", "compare", "distance", "registrar", "same"]

ULPS = 256  # how many units in the last place rounding may cost; the smallest fault here costs a thousand times as many
LEAST = 1.0  # the smallest scale: where 0 is expected, rounding of values about 1 is allowed
PROFILES = ("definition", "engineering", "drop-in")  # each asks what the one before it asks, and more

Make = Callable[..., Subject]
Tensors = Tensor | tuple[Tensor, ...]


@dataclass(frozen=True)
class Outcome:
    """What a probe measured; the diagnosis is empty if all is well.

    Attributes:
        diagnosis: what is wrong, and where to look.
        measured, tolerance: numbers, if there are any.
        source: what was measured, and where the tolerance comes from.
        cause: the name of the cause, if this probe knows it.
    """

    diagnosis: str = ""
    measured: float | None = None
    tolerance: float | None = None
    source: str = ""
    cause: str = ""


@dataclass(frozen=True)
class Probe:
    """One question to a layer.

    Attributes:
        name: short, for `only` and `report[name]`.
        question: in one sentence; the answer of a sound layer is yes.
        run: answers it from a `Case`: an `Outcome`; or, for a scenario, from a case and a maker of subjects: what came
            out, to be held against what comes out of the double.
        needs: what the layer must have for the question to make sense: see `Specimen.lacks`.
        hint: what it probably means if the layer raises an exception.
        profile: the first of `PROFILES` that asks it.
        what: is compared in a scenario; empty if it is none.
        ulps: its tolerance.
        otherwise, cause: the diagnosis of a scenario that no formula explains, and the cause's name.
        slow: asked only if everything is asked for.
    """

    name: str
    question: str
    run: Callable[..., Any]
    needs: tuple[str, ...] = ()
    hint: str = ""
    profile: str = "engineering"
    what: str = ""
    ulps: int = ULPS
    otherwise: str = ""
    cause: str = ""
    slow: bool = False


def registrar(probes: list[Probe], profile: str) -> Callable[..., Callable]:
    """A decorator `(name, question, *needs, hint, what, ulps, profile, slow)` that makes a probe of a function."""

    def probe(name: str, question: str, *needs: str, **more: Any) -> Callable:
        def register(run: Callable[..., Any]) -> Callable[..., Any]:
            probes.append(Probe(name, question, run, needs, **{"profile": profile} | more))
            return run

        return register

    return probe


def compare(
    measured: Tensor,
    expected: Tensor,
    otherwise: str = "",
    *,
    what: str,
    ulps: int = ULPS,
    scale: float | None = None,
    cause: str = "",
    causes: Iterable[tuple[Tensor, str, str]] = (),
) -> Outcome:
    """Hold what was measured against what should be.

    Args:
        measured, expected: any shape, the same; NaN where NaN is expected is right.
        otherwise: the diagnosis if they differ.
        what: is compared, for the report.
        ulps: the tolerance, in units in the last place of what was measured, relative to the scale.
        scale: by default the largest expected value, at least `LEAST`.
        cause: the name of the cause if they differ.
        causes: what comes out under some causes, the diagnosis and the cause's name; the first that fits is taken.
    """
    if measured.shape != expected.shape:
        return Outcome(f"the shape is {tuple(measured.shape)}; it should be {tuple(expected.shape)}", cause=cause)
    unit, dtype = torch.finfo(measured.dtype).eps, str(measured.dtype).removeprefix("torch.")
    tolerance = ulps * unit
    over = f"the largest expected value, at least {LEAST:g}" if scale is None else f"{scale:g}"
    source = f"{what}, error over {over}; reference in float64, tolerance {ulps:,} ulp of {dtype}"
    scale = scale or max(expected.detach().abs().nan_to_num(0, 0, 0).max().item() if expected.numel() else 0.0, LEAST)
    error = distance(measured, expected, scale)
    if error <= tolerance:
        return Outcome("", error, tolerance, source)
    for wrong, words, name in causes:
        if distance(measured, wrong, scale) <= min(tolerance, error / 4):
            return Outcome(words, error, tolerance, source, name)
    return Outcome(otherwise or f"{what} is not what the definition gives", error, tolerance, source, cause)


def distance(measured: Tensor, expected: Tensor, scale: float) -> float:
    """The largest difference, in units of the scale; infinite where one is finite and the other is not."""
    if measured.numel() == 0:
        return 0.0
    measured, expected = measured.detach().double(), expected.detach().double()
    finite = expected.isfinite()
    if not torch.equal(finite, measured.isfinite()):
        return float("inf")
    difference = (measured - expected)[finite].abs()
    return difference.max().item() / scale if difference.numel() else 0.0


def same(measured: Tensors, expected: Tensors, what: str, ulps: int) -> Outcome:
    """Hold one or several tensors against what should be; the worst of them."""
    ones, others = ((t,) if isinstance(t, Tensor) else t for t in (measured, expected))
    outcomes = [compare(one, other, what=what, ulps=ulps) for one, other in zip(ones, others, strict=True)]
    return max(outcomes, key=lambda o: (bool(o.diagnosis), (o.measured or 0.0) / (o.tolerance or 1.0)))
