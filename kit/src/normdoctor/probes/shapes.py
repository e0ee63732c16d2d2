"""The probes of inputs of other shapes and sizes: right, or a clear error."""

import torch
from torch import Tensor

from normdoctor.case import Case
from normdoctor.double import Double
from normdoctor.probe import Outcome, Probe, compare, registrar
from normdoctor.specimen import Specimen
from normdoctor.subject import Broken, NotApplicable

__all__ = ["SHAPES"]

SHAPES: list[Probe] = []
_probe = registrar(SHAPES, "engineering")


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
