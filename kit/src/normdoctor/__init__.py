"""The conformance kit: named probes that tell what is wrong with a batch-normalization layer, and where to look.

    report = check_batchnorm(nn.BatchNorm2d)
    report                  # a scoreboard: which probes it passes
    report.details()        # diagnosis, number and tolerance of those that it does not

From a shell, with exit status 0 if all is well, 1 if something failed, 2 if the layer could not be tested:

    normdoctor package.module:Layer

What is right is what the definition says (Ioffe & Szegedy 2015, algorithms 1 and 2), computed in float64, with
PyTorch's conventions for the running statistics. A layer may call its parameters and buffers what it likes: only the
probe "state_dict keys" asks for names. It needs nothing but PyTorch.
"""

import difflib
import inspect
from collections.abc import Callable, Iterable, Sequence

from torch import nn

from normdoctor.module import MODULE
from normdoctor.numbers import NUMBERS
from normdoctor.reference import Outcome
from normdoctor.report import Report, Result
from normdoctor.subject import Broken, Fixture, FromBnLayer, NotApplicable, Probe, Subject, first_line, isolated

__all__ = ["PROBES", "Probe", "Report", "Result", "check_batchnorm", "from_bnlayer", "main"]

PROBES: tuple[Probe, ...] = (*NUMBERS, *MODULE)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see `normdoctor.command`."""
    from normdoctor.command import main as run  # here, since it imports this package

    return run(arguments)


def from_bnlayer(layer: Callable[..., nn.Module]) -> FromBnLayer:
    """Adapt a `BnLayer`-shaped class, (ni, nf, stride, kernel_size): a convolution, a ReLU and the normalization.

    Its convolution is made to pass every channel on as it is, and inputs and β so large that the ReLU, before or after
    the normalization, changes nothing: what is left is the normalization. A class whose constructor needs two arguments
    is adapted by itself.
    """
    return FromBnLayer(layer)


def check_batchnorm(
    make_layer: Callable[..., nn.Module],
    *,
    only: str | Iterable[str] | None = None,
    skip: str | Iterable[str] = (),
    num_features: int = 6,
    title: str | None = None,
) -> Report:
    """Run the probes against a batch-normalization layer.

    Args:
        make_layer: a layer class, or anything that makes a layer from a number of channels; `from_bnlayer(...)` for one
            with a convolution inside. What it makes is copied before it is touched.
        only: names of the probes to run (one, or several); by default all, without those of a convolution if there is
            none inside.
        skip: names of probes to leave out; "compile" and "export" are by far the slowest.
        num_features: the number of channels to ask for.
        title: of the report; by default the layer's name.

    Returns:
        The `Report`. A layer that cannot be made or run is reported so: nothing is raised.

    Raises:
        ValueError: an unknown name in `only` or `skip`.
        TypeError: `make_layer` is a layer, or nothing that can be called.

    It leaves no trace: random numbers, the default dtype and the gradient mode are as before.
    """
    chosen = set(_names(only)) if only is not None else {probe.name for probe in PROBES}
    chosen -= set(_names(skip))
    if isinstance(make_layer, nn.Module) or not callable(make_layer):
        raise TypeError("give the class, or a function that makes a layer from a number of channels, not a layer")
    if title is None:
        layer = make_layer.layer if isinstance(make_layer, FromBnLayer) else make_layer
        title = getattr(getattr(layer, "func", layer), "__name__", type(layer).__name__)
    if not isinstance(make_layer, FromBnLayer) and _required(make_layer) == 2:
        make_layer = from_bnlayer(make_layer)
    with isolated():
        fixture = Fixture(make_layer, num_features)
    if only is None and not fixture.adapted:
        chosen -= {probe.name for probe in PROBES if "bnlayer" in probe.needs}
    return Report(title, [_run(probe, fixture) for probe in PROBES if probe.name in chosen])


def _names(given: str | Iterable[str]) -> list[str]:
    names = [given] if isinstance(given, str) else list(given)
    known = [probe.name for probe in PROBES]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            guess = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(known)}"
            raise ValueError(f"no probe {name!r}{guess}")
    return names


def _required(make_layer: Callable) -> int:
    """How many arguments must be given by position."""
    try:
        parameters = inspect.signature(make_layer).parameters.values()
    except (TypeError, ValueError):
        return 1
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def _run(probe: Probe, fixture: Fixture) -> Result:
    """Ask one question; whatever the layer raises is part of the answer."""
    with isolated():
        try:
            _check_needs(probe, fixture)
            outcome = probe.run(fixture)
            verdict = "fail" if outcome.diagnosis else "pass"
        except NotApplicable as reason:
            verdict, outcome = "not applicable", Outcome(str(reason))
        except Broken as fault:
            verdict, outcome = "fail", Outcome(str(fault))
        except Exception as error:
            words = f"{type(error).__name__}: {first_line(error)}" + (f"; {probe.hint}" if probe.hint else "")
            verdict, outcome = "raised", Outcome(words)
    return Result(
        probe.name,
        probe.question,
        verdict,
        outcome.measured,
        outcome.tolerance,
        outcome.source,
        outcome.diagnosis,
    )


def _check_needs(probe: Probe, fixture: Fixture) -> None:
    subject = Subject(fixture)
    for need in probe.needs:
        if why := subject.lacks(need):
            raise NotApplicable(why)
