"""`check_batchnorm` and `check_normalization`: a layer in, a report out."""

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from normdoctor.case import Case, FromBnLayer, Hints, in_mode
from normdoctor.diagnosis import examine
from normdoctor.exploring import explore, off
from normdoctor.formula import Formula
from normdoctor.isolation import first_line, isolated
from normdoctor.probe import PROFILES
from normdoctor.probes import PROBES
from normdoctor.report import Report

__all__ = ["CONVENTIONS", "KINDS", "PROBES", "check_batchnorm", "check_normalization", "from_bnlayer"]

CONVENTIONS = {"torch": Formula(), "keras": Formula(share="past", remembered_count="n")}
KINDS: dict[str, tuple[Formula, ...]] = {
    "batch": (Formula(),),
    "layer": (Formula(over="channels"), Formula(over="image")),
    "group": tuple(Formula(over=f"groups of {k}") for k in (3, 2, 6, 1, 4, 8, 16)),
    "instance": (Formula(over="instance"),),
    "rms": tuple(Formula(over=over, centre="nothing", spread="second moment") for over in ("channels", "image")),
}


def from_bnlayer(layer: Callable[..., nn.Module]) -> FromBnLayer:
    """Adapt a `BnLayer`-shaped class, (ni, nf, stride, kernel_size): a convolution, a ReLU and the normalization.

    Its convolution is made to pass every channel on as it is, and inputs and β so large that the ReLU, before or after
    the normalization, changes nothing: what is left is the normalization. A class whose constructor needs two
    arguments, the first called ni, in_channels or the like, is adapted by itself.
    """
    return FromBnLayer(layer)


def check_batchnorm(make_layer: Callable[..., nn.Module], **options: Any) -> Report:
    """Run the probes against a batch-normalization layer; everything else as `check_normalization`."""
    return check_normalization(make_layer, "batch", **options)


def check_normalization(
    make_layer: Callable[..., nn.Module],
    kind: str = "batch",
    *,
    only: str | Iterable[str] | None = None,
    skip: str | Iterable[str] = (),
    everything: bool = False,
    profile: str = "drop-in",
    conventions: str = "torch",
    num_features: int = 6,
    input_shape: Iterable[int] | None = None,
    channel_axis: int | None = None,
    call: Callable[[nn.Module, Tensor], Any] | None = None,
    device: str = "cpu",
    arguments: dict[str, Any] | None = None,
    title: str | None = None,
) -> Report:
    """Run the probes against a normalization layer.

    Args:
        make_layer: a layer class, or anything that makes a layer from a number of channels; `from_bnlayer(...)` for one
            with a convolution inside. What it makes is copied before it is touched.
        kind: what it should be: "batch", "layer" (over the channels, or over the whole image), "group" (of any size),
            "instance" or "rms".
        only: names of the probes to run (one, or several); by default all of the profile that apply.
        skip: names of probes to leave out.
        everything: ask the slow probes too: "compile", "export", "PyTorch's own cases".
        profile: "definition" asks for the formula; "engineering" also for a module that can be saved, moved, copied and
            fed what it did not expect; "drop-in" also for PyTorch's names and options, where they are offered.
        conventions: "torch", or "keras": momentum weighs the past, and the running variance is biased.
        num_features: the number of channels to ask for, C.
        input_shape: of a batch, as the layer wants it; by default a shape that it takes is looked for.
        channel_axis: where the channels are in it; by default 1, or the last, whichever the layer takes.
        call: `call(layer, x)` → output, for a layer that wants more than x. Of a tuple or a dictionary the first tensor
            of x's shape is taken.
        device: where the layer is made and run.
        arguments: of the constructor, by keyword, beside the number of channels.
        title: of the report; by default the layer's name.

    Returns:
        The `Report`. A layer that cannot be made or run is reported so: nothing is raised.

    Raises:
        ValueError: an unknown name in `only`, `skip`, `kind`, `profile` or `conventions`; a channel_axis that
            input_shape lacks.
        TypeError: `make_layer` is a layer, or nothing that can be called.

    It leaves no trace: random numbers, the default dtype, the gradient mode and what is printed are as before.
    """
    rights = _one_of("kind", kind, KINDS) if kind != "batch" else (_one_of("conventions", conventions, CONVENTIONS),)
    _one_of("profile", profile, dict.fromkeys(PROFILES))
    asked = PROFILES[: PROFILES.index(profile) + 1]
    chosen = {probe.name for probe in PROBES if probe.profile in asked and (everything or not probe.slow)}
    chosen = (set(_names(only)) if only is not None else chosen) - set(_names(skip))
    if isinstance(make_layer, nn.Module) or not callable(make_layer):
        raise TypeError("give the class, or a function that makes a layer from a number of channels, not a layer")
    if title is None:
        layer = make_layer.layer if isinstance(make_layer, FromBnLayer) else make_layer
        title = getattr(getattr(layer, "func", layer), "__name__", type(layer).__name__)
    if not isinstance(make_layer, FromBnLayer) and not arguments and _is_bnlayer(make_layer):
        make_layer = from_bnlayer(make_layer)
    shape = tuple(input_shape) if input_shape else None
    if shape and not -len(shape) <= (channel_axis or 0) < len(shape):
        raise ValueError(f"there is no dimension {channel_axis} in the input_shape {shape}")
    if shape and num_features == 6:
        num_features = shape[1 if channel_axis is None else channel_axis]
    hints = Hints(shape, channel_axis, call, device, tuple((arguments or {}).items()))
    case = Case(make_layer, num_features, rights[0], hints)
    untestable = ""
    with isolated():
        try:
            explore(case, rights)
        except Exception as error:  # a layer that cannot even be made is for the probes to report
            untestable = f"{type(error).__name__}: {first_line(error)}"
        untestable = untestable or _why_it_does_not_run(case)
        other = "" if untestable else _other_kind(case, kind)
    if only is None and not case.adapted:
        chosen -= {probe.name for probe in PROBES if "bnlayer" in probe.needs}
    if only is None and not case.is_batch:
        chosen -= {probe.name for probe in PROBES if {"running", "batch"} & set(probe.needs)}
    if only is None and case.is_batch:
        chosen -= {"same in both modes"}
    results, findings = examine(case, [probe for probe in PROBES if probe.name in chosen], other)
    return Report(title, results, () if untestable else findings, _notes(case), untestable)


def _why_it_does_not_run(case: Case) -> str:
    """Why a layer cannot be tested: it cannot be made, or run on an ordinary batch; empty if it can."""
    try:
        case.call(in_mode(case.make(), not case.frozen), case.batch())
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error)}"
    return ""


def _other_kind(case: Case, kind: str) -> str:
    """Which other normalization the layer is, if it remembers nothing and does exactly what that does; else empty."""
    if any(t.is_floating_point() for t in case.make().buffers()) or off(case, case.right) < 1e-4:
        return ""
    return next((k for k, rights in KINDS.items() if k != kind and any(off(case, f) < 1e-4 for f in rights)), "")


def _notes(case: Case) -> tuple[str, ...]:
    """What was found out about the layer that a reader may want to know."""
    notes = []
    if case.activation:
        notes.append(f"a {case.activation} follows the normalization: the probes look through it")
    if case.gamma_kind != "weight":
        notes.append(f"γ is {case.gamma_kind.replace('weight', case.gamma_name or 'weight')}")
    if len(case.shape) != 4 or case.axis != 1:
        shape = list(case.shape)
        shape.insert(case.axis, shape.pop(1))
        notes.append(f"it was fed {' x '.join(map(str, shape))}, channels {case.channels}")
    if case.hints.input_shape:
        notes.append("the shape is given: probes that need other shapes are not asked")
    if case.frozen:
        notes.append("it is frozen: train() leaves it in evaluation")
    if case.dtype != torch.float32:
        notes.append(f"its parameters are {str(case.dtype).removeprefix('torch.')}")
    if not case.is_batch:
        notes.append(f"it is checked as a normalization over: {case.right.over}")
    return tuple(notes)


def _one_of(what: str, given: str, known: dict[str, Any]) -> Any:
    if given not in known:
        raise ValueError(f"no {what} {given!r}; there are: {', '.join(known)}")
    return known[given]


def _names(given: str | Iterable[str]) -> list[str]:
    names = [given] if isinstance(given, str) else list(given)
    known = [probe.name for probe in PROBES]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            guess = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}"
            raise ValueError(f"no probe {name!r}{guess}")
    return names


def _is_bnlayer(make_layer: Callable[..., nn.Module]) -> bool:
    """Whether exactly two arguments must be given by position, which are channels in and out."""
    try:
        parameters = inspect.signature(make_layer).parameters.values()
    except (TypeError, ValueError):
        return False
    required = [
        p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    first = ("ni", "in_channels", "in_features", "inplanes", "in_planes", "c_in", "cin", "n_in", "nin", "inp", "ch_in")
    second = (*(name.replace("in", "out") for name in first), "nf", "planes", "out_planes", "oup")
    return len(required) == 2 and required[0].lower() in first and required[1].lower() in second
