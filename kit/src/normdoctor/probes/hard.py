"""The probes of numbers that are hard: constant channels, large offsets, one value, and chance."""

import torch
from torch import Tensor

from normdoctor.case import Case
from normdoctor.double import Double
from normdoctor.formula import column
from normdoctor.probe import Make, Outcome, Probe, compare, registrar
from normdoctor.specimen import Specimen
from normdoctor.subject import Broken, NotApplicable

__all__ = ["HARD"]

HARD: list[Probe] = []
_probe = registrar(HARD, "definition")

NO_EPS = "there is no eps: add it to the variance, under the root"


@_probe(
    "constant channel",
    "Does a channel without spread come out as β, with finite gradients?",
    "training",
    "batch",
    hint="a channel without spread must be no error",
)
def constant_channel(case: Case) -> Outcome:
    subject, x = Specimen(case), case.batch()
    x[:, 0] = 0.0  # dead after a ReLU
    x[:, -1] = 100 * subject.eps**0.5  # larger ones would cost digits
    x.requires_grad_()
    y = subject.train(x)
    if not y.isfinite().all():
        raise Broken(f"NaN or infinity on a constant channel: 0/0; {NO_EPS}", "no eps")
    expected = Double(subject).train(x.detach())[:, [0, -1]]
    words = "a channel without spread should come out as β alone"
    what = "the output of a constant channel"
    outcome = compare(y[:, [0, -1]], expected, words, what=what, ulps=8192, scale=1.0, cause="constant channel")
    (gradient,) = torch.autograd.grad(y, x, case.cotangent(), allow_unused=True) if y.grad_fn else (None,)
    if outcome.diagnosis or gradient is None or gradient.isfinite().all():
        return outcome
    raise Broken(
        "the output is right, the gradient is not finite: the root of 0 has no derivative; eps belongs under the root",
        "eps outside the root",
    )


@_probe(
    "one value a channel",
    "In training, does it refuse a batch with a single value a channel?",
    "training",
    "guessed",
    "batch",
    profile="engineering",
)
def one_value(case: Case) -> Outcome:
    shape = (1, case.channels, *[1] * (len(case.shape) - 2))
    subject, x, name = Specimen(case), case.batch(shape=shape), "silent about one value"
    try:
        y = subject.train(x)
    except (ValueError, AssertionError) as error:
        return Outcome(source=f"{type(error).__name__}, as it should be")
    except Exception as error:
        if any(word in str(error).lower() for word in ("value", "batch size", "expected", "more than")):
            return Outcome(source="an error that says so, as it should be")
        words = f"an unclear {type(error).__name__} ({str(error).splitlines()[0][:80]}): raise a ValueError first"
        raise Broken(words, "unclear about one value") from None
    if not y.isfinite().all():
        raise Broken("silent NaN: one value has no spread (0/0); raise a ValueError instead", name)
    if torch.allclose(y.detach().double().flatten(), column(subject.b, x).expand_as(y).flatten(), atol=1e-2):
        raise Broken("the output is β whatever the input: one value has no spread; raise a ValueError instead", name)
    raise Broken("it is taken without a word: one value has no spread; raise a ValueError instead", name)


@_probe(
    "large offset",
    "Is a channel with mean 10,000 and spread 1 still normalized?",
    "training",
    what="the output at offset 1e4",
    ulps=16 * 10_000,
    cause="digits cancelled",
    otherwise="a channel far from zero comes out wrong: most often the variance is E[x²] - E[x]², a difference of two "
    "large numbers, which loses all digits; subtract the mean first",
)
def large_offset(case: Case, new: Make) -> Tensor:
    if torch.finfo(case.dtype).bits < 32:
        raise NotApplicable("the layer's own numbers are too coarse for that")
    return new().train((case.batch() + 1e4).requires_grad_())


@_probe("repeatable", "Do two equal layers give the same output for the same batch, in both modes?")
def repeatable(case: Case) -> Outcome:
    one, other = (Specimen(case) for _ in range(2))
    words = "the output differs each time: something random happens in it (noise, dropout): normalization is exact"
    torch.manual_seed(1)
    first = one.train(case.batch()).detach()
    torch.manual_seed(2)
    second = other.train(case.batch()).detach().double()
    outcome = compare(first, second, words, what="the output of a second one", ulps=4, cause="random")
    if outcome.diagnosis:
        return outcome
    with torch.no_grad():
        third, fourth = one.evaluate(case.batch(1)), other.evaluate(case.batch(1)).double()
    return compare(third, fourth, words, what="the evaluation of a second one", ulps=4, cause="random")
