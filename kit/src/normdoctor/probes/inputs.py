"""The probes of what a layer does to its inputs, and of their memory formats."""

import contextlib

import torch
from torch import Tensor

from normdoctor.case import Case, in_mode
from normdoctor.probe import Outcome, Probe, compare, registrar
from normdoctor.probes.forward import gradients
from normdoctor.specimen import Specimen
from normdoctor.subject import Broken, NotApplicable

__all__ = ["INPUTS"]

INPUTS: list[Probe] = []
_probe = registrar(INPUTS, "engineering")
BY_DIMENSIONS = "the values are taken in the order of memory: go by dimensions, not by view"


@_probe("input untouched", "Does it leave its input as it is, and give an output of its own?")
def input_untouched(case: Case) -> Outcome:
    subject, x = Specimen(case), case.batch()
    before = x.clone()
    with torch.no_grad():
        for mode in (True, False):
            y = case.call(in_mode(subject.layer, mode), x)
            if not torch.equal(x, before):
                words = "it works in place on the tensor that it was given (-=, mul_, ...): make a new one"
                raise Broken(words, "input changed in place")
            if not case.adapted and y.untyped_storage().data_ptr() == x.untyped_storage().data_ptr():
                raise Broken("the output is a view of the input: make a new tensor", "output shares memory")
            kept = y.clone()
            case.call(subject.layer, case.batch(1))
            if not torch.equal(y.nan_to_num(), kept.nan_to_num()):
                raise Broken("the next call changes the last one's output: make a new tensor", "output shares memory")
    leaf, g = case.batch().requires_grad_(), case.cotangent()
    y, before = Specimen(case).train(leaf), g.clone()
    if y.grad_fn is not None:
        y.backward(g)
    if not torch.equal(g, before):
        raise Broken(
            "the backward pass changes the gradient that it was given: make a new one", "gradient changed in place"
        )
    return Outcome(source="every value, exact")


@_probe("NaN", "Does a NaN in the input show in the output?", profile="drop-in")
def not_a_number(case: Case) -> Outcome:
    for mode in (True, False):
        x, subject = case.batch(2), Specimen(case)
        x[0, 0] = float("nan")
        subject.learn(1)
        y = case.call(in_mode(subject.layer, mode), x)
        if y[0, 0].isfinite().any():
            raise Broken("a NaN in the input is hidden: whoever trains must see it", "NaN hidden")
    return Outcome(source="the output where the input is NaN")


@_probe(
    "input changed later",
    "If its input is changed before the backward pass, is that an error, or harmless?",
    "training",
    profile="drop-in",
)
def input_changed_later(case: Case) -> Outcome:
    leaf, g = case.batch().requires_grad_(), case.cotangent()
    expected = gradients(Specimen(case).train(leaf), [leaf], g)[0].double()
    subject, x = Specimen(case), leaf * 1
    y = case.call(in_mode(subject.layer, True), x)
    with torch.no_grad():
        x *= 3
    try:
        measured = gradients(y, [leaf], g)[0]
    except RuntimeError:
        return Outcome(source="an error that says so")
    words = "the gradient is that of the changed input: save_for_backward what is needed, so that autograd notices"
    return compare(measured, expected, words, what="dL/dx, the input changed", cause="changed input goes unnoticed")


@_probe(
    "channels_last",
    "Does it give the same for the memory format channels_last?",
    "pictures",
    cause="order of memory",
    hint="view needs contiguous memory: use reshape, or flatten",
)
def channels_last(case: Case) -> Outcome:
    if case.axis != 1:
        raise NotApplicable("the layer has its channels last anyhow")
    measured = _step(case, case.batch().contiguous(memory_format=torch.channels_last))
    what = "output, dL/dx and statistics, against those of the usual format"
    return compare(measured, _step(case, case.batch()), BY_DIMENSIONS, what=what, ulps=64, cause="order of memory")


@_probe(
    "not contiguous",
    "Does it give the same for an input whose values are not in a row in memory?",
    cause="order of memory",
    hint="view needs contiguous memory: use reshape, or flatten",
)
def not_contiguous(case: Case) -> Outcome:
    x = case.batch()
    strided = torch.stack([x, x], -1)[..., 0]
    turned = x.transpose(0, -1).contiguous().transpose(0, -1)
    expected, what = _step(case, x), "output, dL/dx and statistics, against those of an input in a row"
    outcomes = [
        compare(_step(case, y), expected, BY_DIMENSIONS, what=what, ulps=64, cause="order of memory")
        for y in (strided, turned)
    ]
    return max(outcomes, key=lambda outcome: outcome.measured or 0.0)


def _step(case: Case, x: Tensor) -> Tensor:
    """Output, dL/dx and what is remembered, of a step of training (or of evaluation, of a frozen layer)."""
    subject = Specimen(case)
    leaf = x.detach().requires_grad_()
    y = case.call(in_mode(subject.layer, True), leaf)
    found = [y.detach().reshape(-1)]
    if y.grad_fn is not None:
        found.append(torch.autograd.grad(y, leaf, case.cotangent().to(y.dtype))[0].reshape(-1))
    with contextlib.suppress(Exception):
        if subject.tracks and not case.frozen:
            found.append(torch.cat(subject.read()).to(y.dtype))
    return torch.cat(found)
