"""The probes of what a layer computes: outputs, gradients, running statistics, and numbers that are hard."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from normdoctor.reference import Outcome, compare, normalize, variants
from normdoctor.subject import Broken, Fixture, NotApplicable, Probe, Subject, copied, first_line, registrar

__all__ = ["NUMBERS"]

NUMBERS: list[Probe] = []
_probe = registrar(NUMBERS)

WRONG_WAY = "the momentum is the wrong way round: the newest batch should weigh momentum, the past 1 - momentum"
NOT_NORMALIZED = "it is none of the usual mistakes: compare step by step: mean, variance, normalized, times γ, plus β"
RUNNING_IN_TRAINING = "it normalizes by the running statistics in training too: take the batch's"
CANCELLED = (
    "it loses all digits: the variance is probably E[x²] - E[x]², a difference of two large numbers; "
    "subtract the mean first"
)
MODE_FROM_GRADIENTS = "the mode is read from torch.is_grad_enabled(): ask self.training"
OWN_STATISTICS = "evaluation normalizes by the batch's own statistics instead of running ones"


# --- forward and gradients


def _forward_causes(subject: Subject, x: Tensor) -> Iterator[tuple[Callable[[], Tensor], str]]:
    for options, words in variants("correction", "over", "root", "affine"):
        yield lambda options=options: subject.expected(x, **options), words


@_probe(
    "training forward", "In training, is each channel normalized by the batch's mean and biased variance?", "training"
)
def _training_forward(fixture: Fixture) -> Outcome:
    subject, x = Subject(fixture), fixture.batch()
    causes = [*_forward_causes(subject, x), (lambda: subject.expected(x, stats=subject.start()), RUNNING_IN_TRAINING)]
    return compare(subject.train(x), subject.expected(x), causes, NOT_NORMALIZED, what="the output in training")


@_probe("eval forward", "In evaluation, is each channel normalized by the running mean and variance?", "running")
def _eval_forward(fixture: Fixture) -> Outcome:
    subject = Subject(fixture)
    start = subject.start()
    batches, x = subject.learn(), fixture.batch(1)
    causes = [
        (lambda stats=pair: subject.expected(x, stats=stats), words)
        for pair, words in _running_causes(subject, start, batches)
    ]
    causes += [(lambda k=k: subject.expected(x, correction=k), OWN_STATISTICS) for k in (0, 1)]
    return compare(
        subject.evaluate(x),
        subject.expected(x, stats=subject.running(start, batches)),
        causes,
        "look at the running statistics first; if those probes pass, at how evaluation uses them",
        what="the output in evaluation after three batches",
    )


def _running_causes(subject: Subject, start, batches) -> Iterator[tuple[tuple[Tensor, Tensor], str]]:
    """Running statistics under each suspected fault, and its diagnosis."""
    biased = "the running variance is biased: it should estimate all the data's, so n/(n-1) times the batch's"
    weights = {
        WRONG_WAY: lambda k: 1 - subject.share(k),
        "the last batch is reused: nothing older is remembered; keep a running estimate": lambda k: 1.0,
        "the running statistics never change: update them in training": lambda k: 0.0,
        "every batch weighs the same (a plain average): momentum is ignored": lambda k: 1 / (k + 1),
    }
    yield subject.running(start, batches, correction=0), biased
    for correction in (1, 0):
        for words, share in weights.items():
            also = "" if correction else "; and it is biased"
            yield subject.running(start, batches, correction, share), words + also
    stds = [x.double().transpose(0, 1).flatten(1).std(1) for x in batches]
    running = start[1].sqrt()
    for k, std in enumerate(stds):
        running = running + (std - running) * subject.share(k)
    yield (
        (subject.running(start, batches)[0], running.square()),
        "the standard deviation is averaged; average the variance",
    )


@_probe("gradient of x", "Does dL/dx know that mean and variance depend on x?", "training")
def _gradient_x(fixture: Fixture) -> Outcome:
    subject, x, g = Subject(fixture), fixture.batch().requires_grad_(), fixture.cotangent()
    (measured,) = torch.autograd.grad(subject.train(x), x, g)

    def gradient(**options) -> Tensor:
        leaf = x.detach().double().requires_grad_()
        return torch.autograd.grad(subject.expected(leaf, **options), leaf, g.double())[0]

    causes = [
        (lambda options=options: gradient(**options), words)
        for options, words in variants("detached", "correction", "over", "root", "affine")
    ]
    otherwise = "compare with autograd on the definition; if the forward pass is right, look for detach() or no_grad"
    return compare(measured, gradient(), causes, otherwise, what="dL/dx in training")


@_probe(
    "gradient of γ", "Is dL/dγ, one number a channel, the sum of dL/dy times the normalized x?", "training", "gamma"
)
def _gradient_gamma(fixture: Fixture) -> Outcome:
    subject, x, g = Subject(fixture), fixture.batch(), fixture.cotangent()
    (measured,) = torch.autograd.grad(subject.train(x), subject.gamma, g)

    def gradient(**options) -> Tensor:
        return (normalize(x.double(), eps=subject.eps, **options) * g.double()).transpose(0, 1).flatten(1).sum(1)

    if measured.numel() != fixture.channels:
        return _one_for_all(measured, gradient(), "γ")
    causes = [(lambda o=options: gradient(**o), words) for options, words in variants("correction", "over", "root")]
    causes += [(lambda: gradient() * 0, "γ is applied before normalizing, which takes it away again")]
    return compare(measured.flatten(), gradient(), causes, "sum dL/dy · x̂ over all dimensions but 1", what="dL/dγ")


@_probe("gradient of β", "Is dL/dβ, one number a channel, the sum of dL/dy?", "training", "beta")
def _gradient_beta(fixture: Fixture) -> Outcome:
    subject, x, g = Subject(fixture), fixture.batch(), fixture.cotangent()
    (measured,) = torch.autograd.grad(subject.train(x), subject.beta, g, allow_unused=True)
    expected = g.double().transpose(0, 1).flatten(1).sum(1)
    if measured is None:
        raise Broken("β has no gradient: it does not reach the output")
    if measured.numel() != fixture.channels:
        return _one_for_all(measured, expected, "β")
    causes = [
        (lambda: expected / (x.numel() / fixture.channels), "it is averaged; it should be summed"),
        (lambda: expected * 0, "β is added before normalizing, which takes it away again"),
        (lambda: expected * subject.g, "β is added before γ multiplies"),
    ]
    return compare(measured.flatten(), expected, causes, "sum dL/dy over all dimensions but 1", what="dL/dβ")


def _one_for_all(measured: Tensor, expected: Tensor, name: str) -> Outcome:
    return Outcome(
        f"{name} has {measured.numel()} value{'s' * (measured.numel() != 1)} for {expected.numel()} channels: "
        "one parameter is shared; make it one number a channel",
        source="the number of values",
    )


@_probe(
    "second derivative",
    "Can the gradient be differentiated once more, with the right result?",
    "training",
    hint="a hand-written backward pass must itself be made of differentiable operations",
)
def _second_derivative(fixture: Fixture) -> Outcome:
    subject, x, g, v = Subject(fixture), fixture.batch().requires_grad_(), fixture.cotangent(), fixture.cotangent(1)

    def second(y: Tensor, leaf: Tensor) -> Tensor:
        (first,) = torch.autograd.grad(y, leaf, g.to(y.dtype), create_graph=True)
        second = torch.autograd.grad(first, leaf, v.to(y.dtype), allow_unused=True)[0] if first.grad_fn else None
        return torch.zeros_like(leaf) if second is None else second

    measured = second(subject.train(x), x)

    def expected(**options) -> Tensor:
        leaf = x.detach().double().requires_grad_()
        return second(subject.expected(leaf, **options), leaf)

    causes = [
        (lambda o=options: expected(**o), words)
        for options, words in variants("detached", "correction", "over", "root", "affine")
    ]
    otherwise = "see the probe 'gradient of x' first; if that passes, at how the backward pass is differentiated"
    return compare(measured, expected(), causes, otherwise, what="d²L/dx² along one direction")


@_probe(
    "gradient in eval",
    "In evaluation, is dL/dx just γ/σ times dL/dy, for as many steps as one likes?",
    "running",
    hint="the statistics hold on to the graph of an old training step: detach what is remembered",
)
def _gradient_eval(fixture: Fixture) -> Outcome:
    subject = Subject(fixture)
    subject.learn()
    var, g = subject.read()[1], fixture.cotangent()
    x = fixture.batch(1).requires_grad_()
    for leaf in (x, fixture.batch(2).requires_grad_()):  # the second time, what the first has freed is gone
        subject.evaluate(leaf).backward(g)
    column = (1, -1, *[1] * (x.ndim - 2))
    expected = (subject.g / (var + subject.eps).sqrt()).view(column) * g.double()
    otherwise = "in evaluation the statistics are constants: the running ones, with gradients on as well as off"
    return compare(x.grad, expected, (), otherwise, what="dL/dx in evaluation", ulps=1024)


# --- running statistics


def _compare_running(fixture: Fixture, which: int, what: str) -> Outcome:
    subject = Subject(fixture)
    start = subject.start()
    batches = subject.learn()
    causes = [
        (lambda pair=pair: pair[which], words)
        for pair, words in _running_causes(subject, start, batches)
        if which == 1 or "biased" not in words
    ]
    measured, expected = subject.read()[which].to(fixture.dtype), subject.running(start, batches)[which]
    otherwise = (
        "see 'training forward' first; then, (1 - momentum) · old + momentum · new, from the batch as it comes in"
    )
    return compare(measured, expected, causes, otherwise, what=what)


@_probe("running mean", "Is the running mean (1 - momentum) · old + momentum · new?", "training", "running")
def _running_mean(fixture: Fixture) -> Outcome:
    return _compare_running(fixture, 0, "the running mean after three batches")


@_probe(
    "running variance",
    "Is the running variance updated alike, with the unbiased variance of the batch?",
    "training",
    "running",
)
def _running_variance(fixture: Fixture) -> Outcome:
    return _compare_running(fixture, 1, "the running variance after three batches")


@_probe("momentum", "Is momentum the weight of the newest batch (PyTorch's 0.1 is others' 0.9)?", "training", "running")
def _momentum(fixture: Fixture) -> Outcome:
    subject = Subject(fixture)
    outcome = _compare_shares(subject)
    if outcome.diagnosis or subject.momentum is None or not fixture.offers("momentum"):
        return outcome
    other = Subject(fixture, fixture.make(momentum=0.3))
    other.momentum = 0.3
    outcome = _compare_shares(other)
    words = "the argument momentum has no effect: the newest batch weighs something else than it says"
    return Outcome(outcome.diagnosis and words, outcome.measured, outcome.tolerance, outcome.source)


def _compare_shares(subject: Subject) -> Outcome:
    shares, old = [], subject.start()[0]
    for seed in range(3):
        x = subject.fixture.batch(seed + 10)
        subject.train(x)
        new, mean = subject.read()[0], x.double().transpose(0, 1).flatten(1).mean(1)
        shares.append(((new - old) / (mean - old)).median())
        old = new
    nominal = torch.tensor([subject.share(k) for k in range(3)], dtype=torch.float64)
    causes = [
        (lambda: 1 - nominal, WRONG_WAY),
        (lambda: torch.ones(3).double(), "the last batch counts for everything: nothing older is remembered"),
        (lambda: nominal * 0, "the running statistics never change"),
        (lambda: 1 / torch.arange(1.0, 4).double(), "momentum is ignored: every batch weighs the same"),
    ]
    otherwise = "the newest batch should weigh momentum, the past 1 - momentum"
    measured, what = torch.stack(shares).to(subject.fixture.dtype), "the weight of each new batch"
    return compare(measured, nominal, causes, otherwise, what=what, ulps=16_384)


@_probe("num_batches_tracked", "Does it count the batches of training, and only those?", "training", "running")
def _num_batches_tracked(fixture: Fixture) -> Outcome:
    subject = Subject(fixture)
    if subject.counter() is None:
        raise NotApplicable("the layer keeps no count; PyTorch's does (see the probe 'state_dict keys')")
    before = int(subject.counter())
    subject.learn(3)
    subject.evaluate(fixture.batch())
    counted = int(subject.counter()) - before
    words = {3: "", 0: "it never counts: add 1 for each batch in training", 4: "it counts batches of evaluation too"}
    return Outcome(words.get(counted, f"it counted {counted} batches of 3"), abs(counted - 3), 0, "batches, exact")


@_probe("momentum=None", "With momentum=None, is it the plain average of all batches?", "training", "running")
def _momentum_none(fixture: Fixture) -> Outcome:
    if not fixture.offers("momentum") and Subject(fixture).momentum is not None:
        raise NotApplicable("the factory takes no momentum")
    try:
        subject = Subject(fixture, fixture.make(momentum=None) if fixture.offers("momentum") else None)
        subject.momentum, start = None, subject.start()
        batches = subject.learn()
    except TypeError as error:
        raise NotApplicable(f"momentum=None is not supported ({first_line(error)})") from None
    causes = [(lambda: subject.running(start, batches, share=lambda k: 0.1)[0], "None is taken for 0.1")]
    otherwise = "the k-th batch should weigh 1/k; look at num_batches_tracked: is it counted before it is used?"
    measured, expected = subject.read()[0].to(fixture.dtype), subject.running(start, batches)[0]
    return compare(measured, expected, causes, otherwise, what="the average mean of three batches")


@_probe(
    "eval before training",
    "Can a new layer be evaluated before any training, with mean 0 and variance 1?",
    "running",
    hint="the statistics exist only after a training batch: create them in __init__",
)
def _eval_first(fixture: Fixture) -> Outcome:
    subject, x = Subject(fixture), fixture.batch()
    fresh = subject.given_training and subject.seen == 0
    zero_one = (torch.zeros_like(subject.g), torch.ones_like(subject.g))
    stats = zero_one if fresh else subject.read()
    causes = [(lambda k=k: subject.expected(x, correction=k), OWN_STATISTICS) for k in (0, 1)]
    otherwise = "begin with running mean 0 and running variance 1"
    return compare(subject.evaluate(x), subject.expected(x, stats=stats), causes, otherwise, what="the first output")


@_probe("eval keeps statistics", "Does evaluation leave the running statistics as they are?", "running")
def _eval_keeps(fixture: Fixture) -> Outcome:
    subject = Subject(fixture)
    subject.learn()
    before = torch.cat(subject.read())
    with torch.no_grad():
        subject.evaluate(fixture.batch(5, scale=3))
    after = torch.cat(subject.read()).to(fixture.dtype)
    words = "the running statistics change in evaluation: update them only if self.training"
    return compare(after, before, (), words, what="the statistics after an evaluation", ulps=16)


@_probe(
    "mode with gradients", "With gradients on, does train(False) alone make it use the running statistics?", "running"
)
def _mode(fixture: Fixture) -> Outcome:
    subject = Subject(fixture)
    subject.learn()
    stats, x = subject.read(), fixture.batch(2)
    with torch.enable_grad():
        measured = subject.evaluate(x)
    causes = [(lambda k=k: subject.expected(x, correction=k), MODE_FROM_GRADIENTS) for k in (0, 1)]
    otherwise = "with gradients on, evaluation gives something else than without"
    expected = subject.expected(x, stats=stats)
    return compare(measured, expected, causes, otherwise, what="evaluation with gradients on", ulps=1024)


@_probe(
    "training without gradients",
    "Under no_grad, does training still use and remember the batch's statistics?",
    "training",
)
def _no_grad(fixture: Fixture) -> Outcome:
    subject, x = Subject(fixture), fixture.batch()
    start, with_gradients = subject.start(), Subject(fixture, copied(subject.layer))
    expected = with_gradients.train(x).detach().double()
    with torch.no_grad():
        measured = subject.train(x)
    causes = [(lambda: subject.expected(x, stats=start), MODE_FROM_GRADIENTS)]
    otherwise, what = "under no_grad the output is another", "training under no_grad, against training without"
    outcome = compare(measured, expected, causes, otherwise, what=what)
    if outcome.diagnosis or not subject.tracks:
        return outcome
    return compare(
        torch.cat(subject.read()).to(fixture.dtype),
        torch.cat(with_gradients.read()),
        (),
        "under no_grad the running statistics are not updated as with gradients",
        what="running statistics after a batch under no_grad",
    )


# --- numbers that are hard


@_probe("eps", "Is eps added to the variance, under the root?", "training")
def _eps(fixture: Fixture) -> Outcome:
    subject, x = Subject(fixture), fixture.faint(Subject(fixture).eps)
    y, what = subject.train(x), "channels with variances near eps"
    otherwise = "divide by the root of (variance + eps), with the eps that the layer says it has"
    causes = [
        (lambda o=options: subject.expected(x, **o), words)
        for options, words in variants("root", "correction", "over")
        if "root" in options
    ]
    outcome = compare(y, subject.expected(x), causes, otherwise, what=what, ulps=2048)
    for options, _ in variants("correction", "over", "affine"):  # another fault, for other probes, is none of eps
        if outcome.diagnosis == otherwise:
            outcome = compare(y, subject.expected(x, **options), (), otherwise, what=what, ulps=2048)
    return outcome


@_probe(
    "constant channel",
    "Does a channel without spread come out as β, with finite gradients?",
    "training",
    hint="a channel without spread must be no error",
)
def _constant_channel(fixture: Fixture) -> Outcome:
    subject, x = Subject(fixture), fixture.batch()
    x[:, 0] = 0.0  # dead after a ReLU
    x[:, -1] = 100 * subject.eps**0.5  # larger ones would cost digits
    x.requires_grad_()
    y = subject.train(x)
    if not y.isfinite().all():
        raise Broken(
            "NaN or infinity on a constant channel: 0/0; there is no eps (add it to the variance, under the root)"
        )
    outcome = compare(
        y[:, [0, -1]],
        subject.b[[0, -1]].view(1, 2, *[1] * (x.ndim - 2)).expand(y[:, [0, -1]].shape),
        (),
        "a channel without spread should come out as β alone",
        what="the output of a constant channel",
        ulps=8192,
        scale=1.0,
    )
    (gradient,) = torch.autograd.grad(y, x, fixture.cotangent())
    if outcome.diagnosis or gradient.isfinite().all():
        return outcome
    raise Broken(
        "the output is right, the gradient is not finite: the root of 0 has no derivative; eps belongs under the root"
    )


@_probe("one value a channel", "In training, does it refuse a batch with a single value a channel?", "training")
def _one_value(fixture: Fixture) -> Outcome:
    shape = (1, fixture.channels, *[1] * (len(fixture.shape) - 2))
    subject, x = Subject(fixture), fixture.batch(shape=shape)
    try:
        y = subject.train(x)
    except Exception:
        return Outcome(source="an error, as it should be")
    if not y.isfinite().all():
        raise Broken("silent NaN: one value has no spread (0/0); raise a ValueError instead")
    raise Broken("the output is β whatever the input: one value has no spread; raise a ValueError instead")


@_probe("large offset", "Is a channel with mean 10,000 and spread 1 still normalized?", "training")
def _large_offset(fixture: Fixture) -> Outcome:
    if torch.finfo(fixture.dtype).bits < 32:
        raise NotApplicable("the layer's own numbers are too coarse for that")
    x = fixture.batch() + 1e4
    expected = Subject(fixture).train(x - 1e4).detach().double()  # a shift changes nothing
    what = "the output at offset 1e4, against that without"
    return compare(Subject(fixture).train(x), expected, (), CANCELLED, what=what, ulps=16 * 10_000)


def _in_half(fixture: Fixture, dtype: torch.dtype, scale: float, ulps: int, otherwise: str) -> Outcome:
    x = fixture.batch(scale=scale).to(dtype)
    subject = Subject(fixture, fixture.make().to(dtype), lift=4.0)
    y = subject.train(x)
    if y.dtype != dtype:
        raise Broken(f"{dtype} comes in, {y.dtype} comes out: return the input's dtype")
    expected = Subject(fixture, lift=4.0).train(x.to(fixture.dtype)).detach()
    what = f"the output in {dtype}, against that in {fixture.dtype}"
    return compare(y, expected, (), otherwise, what=what, ulps=ulps)


@_probe("bfloat16", "Does a layer in bfloat16 work, and give bfloat16?", "training")
def _bfloat16(fixture: Fixture) -> Outcome:
    return _in_half(fixture, torch.bfloat16, 1, 8, "too few digits: take the statistics in float32")


@_probe(
    "float16",
    "Does a layer in float16 cope with inputs of some hundreds?",
    "training",
    hint="take the statistics in float32",
)
def _float16(fixture: Fixture) -> Outcome:
    return _in_half(fixture, torch.float16, 150, 64, "squares leave float16 at 65,504: take the statistics in float32")


@_probe("autocast", "Under autocast, does bfloat16 input give right results and float32 statistics?", "training")
def _autocast(fixture: Fixture) -> Outcome:
    if fixture.dtype != torch.float32:
        raise NotApplicable("the layer is not in float32")
    subject, x = Subject(fixture, lift=4.0), fixture.batch().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y = subject.train(x)
    expected = Subject(fixture, lift=4.0).train(x.float()).detach()
    words, what = "the statistics lose digits: take them in float32", "the output under autocast, against that without"
    coarse = [name for name, t in subject.tensors().items() if t.dtype == torch.bfloat16]
    if coarse:
        raise Broken(f"remembered in bfloat16, too few digits: {', '.join(coarse)}; keep them in float32")
    return compare(y.bfloat16(), expected, (), words, what=what, ulps=8)
