"""The probes of a layer's inputs: left alone, in other memory formats, shapes and sizes."""

import contextlib

import torch
from torch import Tensor

from normdoctor.case import Case, in_mode
from normdoctor.double import Double
from normdoctor.probe import Outcome, Probe, compare, registrar
from normdoctor.probes.forward import gradients
from normdoctor.subject import Broken, NotApplicable, Specimen

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


@_probe(
    "other dimensions",
    "For (N, C), (N, C, L) and others: the right result or a clear error?",
    "training",
    "plain",
    "guessed",
    "linear",
    "batch",
)
def other_dimensions(case: Case) -> Outcome:
    if case.axis != 1:
        raise NotApplicable("its channels are not the second dimension")
    found = {}
    for dimensions in (2, 3, 4, 5):
        if problem := _refused(case, case.batch(shape=case.shape_of(dimensions))):
            found[dimensions] = problem
    words = "; ".join(f"{dimensions} dimensions: {problem}" for dimensions, problem in found.items())
    silent = any("silently" in problem for problem in found.values())
    cause = "wrong for other dimensions" if silent else "unclear about dimensions"
    source = "an error about dimensions, or an output as right as that for the usual shape"
    return Outcome(words + "; look at x.ndim first" * bool(found), source=source, cause=cause if found else "")


def _refused(case: Case, x: Tensor) -> str:
    """What is wrong with the answer to an input of another shape: neither right nor a clear error."""
    subject = Specimen(case)
    try:
        y = subject.train(x)
        subject.evaluate(x)
    except (ValueError, AssertionError, NotImplementedError):
        return ""
    except Exception as error:
        words = str(error).lower()
        clear = any(w in words for w in ("dimension out of range", "expected", "dimensional", "channels", "contain"))
        return "" if clear else f"an unclear {type(error).__name__} ({words.strip().splitlines()[0][:80]})"
    if y.shape != x.shape:
        return f"silently the wrong shape, {tuple(y.shape)} for {tuple(x.shape)}"
    double = Double(subject)
    neutral = Double(subject)  # a layer that is several may have used another one, as it was made
    neutral.weight, neutral.shift = None, None
    neutral.g, neutral.b = torch.ones_like(double.g), torch.zeros_like(double.b)
    off = min(compare(y, each.train(x), what="the output").measured or 0.0 for each in (double, neutral))
    if off <= 1e-4 and subject.tracks:  # then evaluation, too
        with torch.no_grad():
            z = subject.evaluate(x)
        if z.shape != x.shape:
            return f"silently the wrong shape in evaluation, {tuple(z.shape)} for {tuple(x.shape)}"
    own = case.batch()
    usual = compare(Specimen(case).train(own), Double(subject).train(own), what="the output").measured or 0.0
    return "silently a wrong result" if off > max(4 * usual, 1e-4) else ""


@_probe("wrong channels", "Is a wrong number of channels an error?", "training", "guessed")
def wrong_channels(case: Case) -> Outcome:
    subject = Specimen(case)
    if not any(t.numel() >= case.channels for t in subject.tensors().values()):
        raise NotApplicable("the layer has nothing of its own for each channel")
    found = []
    for channels in {1, case.channels + 1} - {case.channels}:
        x = case.batch(shape=(case.shape[0], channels, *case.shape[2:]))
        try:
            y = Specimen(case).train(x)
        except Exception:
            continue
        found.append(f"{channels} instead of {case.channels} channels silently give the shape {tuple(y.shape)}")
    words = "; ".join(found) + "; compare x.shape[1] with num_features first" if found else ""
    return Outcome(words, source="an error is expected", cause="wrong channels taken" if found else "")


@_probe(
    "one channel",
    "Does it work with a single channel?",
    "plain",
    "guessed",
    "batch",
    hint="dimensions of size 1 were dropped: name them, or keepdim=True",
    cause="one channel",
)
def one_channel(case: Case) -> Outcome:
    if case.channels == 1:
        raise NotApplicable("it has one already")
    other = Case(case.make_layer, 1, case.right, case.hints)
    names = ("shape", "dtype", "axis", "eps", "frozen", "gamma_name", "beta_name", "gamma_kind", "activation")
    for name in names:
        setattr(other, name, getattr(case, name))
    other.shape = (case.shape[0], 1, *case.shape[2:])
    try:
        subject = Specimen(other)
        if any(p is not None and p.numel() > 1 for p in subject.affine()):
            raise TypeError
    except Exception:
        raise NotApplicable("the factory makes no layer of one channel") from None
    x = other.batch()
    run, twin = (subject.evaluate, Double(subject).evaluate) if case.frozen else (subject.train, Double(subject).train)
    expected = twin(x)
    usual, x_usual = Specimen(case), case.batch()
    theirs = Double(usual).evaluate(x_usual) if case.frozen else Double(usual).train(x_usual)
    ours = usual.evaluate(x_usual) if case.frozen else usual.train(x_usual)
    if compare(ours, theirs, what="the output").diagnosis:
        raise NotApplicable("it is wrong with several, too")
    return compare(
        run(x), expected, "with one channel it gives something else", what="one channel", cause="one channel"
    )


@_probe(
    "empty batch",
    "Does a batch of no images give an empty output, or a clear error?",
    "training",
    "guessed",
    "batch",
    profile="drop-in",
)
def empty_batch(case: Case) -> Outcome:
    subject, x = Specimen(case), case.batch()[:0]
    before = torch.cat(subject.read()) if subject.tracks else None
    try:
        y = subject.train(x)
    except Exception as error:
        if isinstance(error, (ValueError, AssertionError)) or "value" in str(error) or "expected" in str(error).lower():
            return Outcome(source="an error that says so")
        words = f"an unclear {type(error).__name__} ({str(error).splitlines()[0][:80]})"
        raise Broken(words, "empty batch") from None
    if y.shape != x.shape:
        raise Broken(f"the output of an empty batch has the shape {tuple(y.shape)}", "empty batch")
    if before is not None and not torch.cat(subject.read()).isfinite().all():
        words = "an empty batch makes the running statistics NaN, for good: leave them, or raise a ValueError"
        raise Broken(words, "empty batch")
    return Outcome(source="an empty output")
