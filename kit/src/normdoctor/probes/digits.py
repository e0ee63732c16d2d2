"""The probes of few digits and of many: half precision, autocast, float64."""

import torch

from normdoctor.case import Case, state_of
from normdoctor.double import Double
from normdoctor.probe import Outcome, Probe, compare, registrar
from normdoctor.probes.forward import gradients
from normdoctor.specimen import Specimen
from normdoctor.subject import Broken, NotApplicable

__all__ = ["DIGITS"]

DIGITS: list[Probe] = []
_probe = registrar(DIGITS, "engineering")


def _in_half(case: Case, dtype: torch.dtype, scale: float, ulps: int, otherwise: str) -> Outcome:
    x = case.batch(scale=scale).to(dtype)
    subject = Specimen(case, case.make(), dtype=dtype)
    y = subject.train(x)
    if y.dtype != dtype:
        raise Broken(
            f"{_name(dtype)} comes in, {_name(y.dtype)} comes out: return the input's dtype", "other dtype out"
        )
    reference = Double(subject)
    if case.is_batch and case.activation is None:
        expected = Specimen(case, case.make()).train(x.to(case.dtype)).detach()
    else:
        expected = reference.train(x)
    what = f"the output in {_name(dtype)}, against that in {_name(case.dtype)}"
    outcome = compare(y, expected.double(), otherwise, what=what, ulps=ulps, cause="statistics in few digits")
    if outcome.diagnosis or not subject.tracks:
        return outcome
    with torch.no_grad():
        y = subject.evaluate(x)
    if y.dtype != dtype:
        raise Broken(f"{_name(dtype)} comes in, {_name(y.dtype)} comes out of evaluation", "other dtype out")
    return outcome


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@_probe(
    "bfloat16",
    "Does a layer in bfloat16 work, and give bfloat16?",
    "training",
    cause="dtype refused",
)
def bfloat16(case: Case) -> Outcome:
    return _in_half(
        case, torch.bfloat16, 1, 8 * (1 + 7 * case.lifted), "too few digits: take the statistics in float32"
    )


@_probe(
    "float16",
    "Does a layer in float16 cope with inputs of some hundreds?",
    "training",
    hint="take the statistics in float32",
    cause="dtype refused",
)
def float16(case: Case) -> Outcome:
    words = "squares leave float16 at 65,504: take the statistics in float32"
    return _in_half(case, torch.float16, 150, 64, words)


@_probe(
    "float64",
    "Does a layer in float64 use all its digits, and give float64?",
    cause="dtype refused",
)
def float64(case: Case) -> Outcome:
    subject, x = Specimen(case, case.make(), dtype=torch.float64), case.batch().double()
    run = subject.evaluate if case.frozen else subject.train
    x = x.requires_grad_()
    y = run(x)
    if y.dtype != torch.float64:
        raise Broken(f"float64 comes in, {_name(y.dtype)} comes out: return the input's dtype", "other dtype out")
    moved = run(x.detach() * (1 + 1e-11 * torch.linspace(0, 1, x.numel(), dtype=x.dtype).view_as(x)))
    if torch.equal(moved, y.detach()):
        raise Broken(
            "inside, it computes in fewer digits than float64: do not convert what has more", "float64 truncated"
        )
    if any(t.dtype == torch.float32 for t in state_of(subject.layer)):
        raise Broken("after training in float64 something in it is float32: keep the layer's dtype", "dtype changes")
    with torch.no_grad():
        y, z = (subject.evaluate(x.detach() * (1 + k * 1e-11)) for k in (0, 1))
    if torch.equal(y, z) and not torch.equal(subject.evaluate(x.detach() * 1.01), z):
        raise Broken("evaluation computes in fewer digits than float64 inside: do not convert", "float64 truncated")
    return Outcome(source="the output for an input that is another in the eleventh digit")


@_probe(
    "autocast",
    "Under autocast, does bfloat16 input give right results and float32 statistics?",
    "training",
)
def autocast(case: Case) -> Outcome:
    if case.dtype != torch.float32:
        raise NotApplicable("the layer is not in float32")
    subject, x = Specimen(case), case.batch().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y = subject.train(x)
    coarse = [name for name, t in subject.tensors().items() if t.dtype == torch.bfloat16]
    if coarse:
        words = f"remembered in bfloat16, too few digits: {', '.join(coarse)}; keep them in float32"
        raise Broken(words, "statistics in few digits")
    expected = Specimen(case).train(x.float()).detach()
    words, what = "the statistics lose digits: take them in float32", "the output under autocast, against that without"
    return compare(
        y.bfloat16(), expected, words, what=what, ulps=8 * (1 + 7 * case.lifted), cause="statistics in few digits"
    )


@_probe(
    "half input",
    "Does a float32 layer take a bfloat16 batch, and give bfloat16?",
    "training",
    "plain",
    profile="drop-in",
    cause="dtype refused",
    hint="a layer in float32 meets half-precision inputs under autocast: compute in float32, return the input's dtype",
)
def half_input(case: Case) -> Outcome:
    if case.dtype != torch.float32:
        raise NotApplicable("the layer is not in float32")
    subject, x = Specimen(case), case.batch().bfloat16().requires_grad_()
    y = subject.train(x)
    if y.dtype != torch.bfloat16:
        raise Broken(f"bfloat16 comes in, {_name(y.dtype)} comes out: return the input's dtype", "other dtype out")
    coarse = [name for name, t in subject.tensors().items() if t.dtype == torch.bfloat16]
    if coarse:
        words = f"remembered in bfloat16, too few digits: {', '.join(coarse)}; keep them in float32"
        raise Broken(words, "statistics in few digits")
    wide, z = Specimen(case), x.detach().float().requires_grad_()
    expected = wide.train(z)
    given = case.cotangent().bfloat16()
    pairs = [
        gradients(*each)
        for each in ((y, [x, *subject.affine()], given), (expected, [z, *wide.affine()], given.float()))
    ]
    expected = expected.detach()
    words, what = (
        "the statistics lose digits: take them in float32",
        "the output for bfloat16, against that for float32",
    )
    ulps, cause = 2 * (1 + 7 * case.lifted), "statistics in few digits"
    outcome = compare(y, expected, words, what=what, ulps=ulps, cause=cause)
    if outcome.diagnosis:
        return outcome
    for one, other, limit in zip(*pairs, (8 * ulps, 4096, 4096), strict=False) if case.is_batch else ():
        lost = (
            "something is rounded to bfloat16 on the way, seen in the gradients: compute in float32, round at the end"
        )
        outcome = compare(one, other, lost, what="gradients for bfloat16", ulps=limit, cause=cause)
        if outcome.diagnosis:
            return outcome
    if not subject.tracks:
        return outcome
    x = (case.batch() * 0.1 + 6).bfloat16()  # a mean that is large against the spread
    for _ in range(40):
        subject.train(x)
        wide.train(x.float())
    with torch.no_grad():
        y, expected = subject.evaluate(x), wide.evaluate(x.float())
    if y.dtype != torch.bfloat16:
        raise Broken(f"bfloat16 comes in, {_name(y.dtype)} comes out of evaluation", "other dtype out")
    outcome = compare(y, expected, words, what=what, ulps=ulps, cause=cause)
    if outcome.diagnosis:
        return outcome
    words = "what is remembered of a bfloat16 batch has lost digits: take the statistics in float32"
    what = "what is remembered of a bfloat16 batch"
    return compare(torch.cat(subject.read()).float(), torch.cat(wide.read()), words, what=what, ulps=4096, cause=cause)
