"""The probes of what a layer remembers of its batches."""

import torch
from torch import Tensor

from normdoctor.case import Case
from normdoctor.double import Double
from normdoctor.probe import Make, Outcome, Probe, registrar
from normdoctor.specimen import Specimen
from normdoctor.subject import Broken, NotApplicable, Subject

__all__ = ["REMEMBERING"]

REMEMBERING: list[Probe] = []
_probe = registrar(REMEMBERING, "definition")


def _running(new: Make, which: int) -> Tensor:
    subject = new()
    subject.learn()
    return subject.read()[which].to(subject.case.dtype)


@_probe(
    "running mean",
    "Is the running mean (1 - momentum) · old + momentum · new?",
    "training",
    "running",
    what="the running mean after three batches",
)
def running_mean(case: Case, new: Make) -> Tensor:
    return _running(new, 0)


@_probe(
    "running variance",
    "Is the running variance updated alike, with the unbiased variance of the batch?",
    "training",
    "running",
    what="the running variance after three batches",
)
def running_variance(case: Case, new: Make) -> Tensor:
    return _running(new, 1)


def _shares(subject: Subject) -> Tensor:
    """The weight of each of three new batches."""
    shares, old = [], subject.read()
    for seed in range(3):
        x = subject.case.batch(seed + 10)
        subject.train(x.requires_grad_())
        new, rows = subject.read(), x.detach().double().transpose(0, 1).flatten(1)
        for before, after, own in zip(old, new, (rows.mean(1), rows.var(1)), strict=True):
            shares.append(((after - before) / (own - before)).median())
        old = new
    return torch.stack(shares).to(subject.case.dtype)


@_probe(
    "momentum",
    "Is momentum the weight of the newest batch (PyTorch's 0.1 is others' 0.9)?",
    "training",
    "running",
    what="the weight of each new batch, in mean and variance",
    ulps=65_536,
)
def momentum(case: Case, new: Make) -> tuple[Tensor, ...]:
    usual = _shares(new())
    if not case.offers("momentum") or new().momentum is None:
        return (usual,)
    return usual, _shares(new(momentum=0.3))


@_probe(
    "num_batches_tracked",
    "Does it count the batches of training, and only those?",
    "training",
    "running",
    profile="drop-in",
)
def num_batches_tracked(case: Case) -> Outcome:
    subject, double = Specimen(case), Double(Specimen(case))
    if subject.counter() is None:
        raise NotApplicable("the layer keeps no count; PyTorch's does (see the probe 'state_dict keys')")
    if (
        subject.seen
        and subject.given_training
        and all(
            torch.allclose(t, torch.full_like(t, v), atol=1e-4) for t, v in zip(subject.read(), (0.0, 1.0), strict=True)
        )
    ):
        raise Broken(f"the count of a new layer begins at {subject.seen}, not 0", "counted wrongly")
    counts = []
    for each in (subject, double):
        before = each.counter() or 0
        each.learn(3)
        with torch.no_grad():
            each.evaluate(case.batch())
        counts.append((each.counter() or 0) - before)
    if counts[0] == counts[1]:
        return Outcome("", 0, 0, "batches, exact")
    words, cause = {
        0: ("it never counts: add 1 for each batch in training", "never counted"),
        4: ("it counts batches of evaluation too: only those of training", "counted in evaluation"),
        6: ("it counts each batch twice: count it once", "counted twice"),
    }.get(counts[0], ("it should count 1 for each batch in training", "counted wrongly"))
    return Outcome(f"{words} ({counts[0]} of 3)", abs(counts[0] - counts[1]), 0, "batches, exact", cause)


@_probe(
    "momentum=None",
    "With momentum=None, is it the plain average of all batches?",
    "training",
    "running",
    what="the average mean of three batches",
    profile="drop-in",
    cause="momentum=None",
    otherwise="with momentum=None the k-th batch should weigh 1/k, a plain average of all",
)
def momentum_none(case: Case, new: Make) -> Tensor:
    if not case.offers("momentum") and new().momentum is not None:
        raise NotApplicable("the factory takes no momentum")
    try:
        subject = new(momentum=None) if case.offers("momentum") else new()
        subject.learn()
    except TypeError as error:
        raise NotApplicable(f"momentum=None is not supported ({str(error).splitlines()[0][:80]})") from None
    return torch.cat(subject.read()).to(case.dtype)


@_probe(
    "many batches",
    "Does it do after thirty batches what it does after three?",
    "training",
    "running",
    profile="drop-in",
    what="training and evaluation after thirty batches",
    cause="changes with time",
    otherwise="after many batches it behaves differently than at first: each batch should do the same",
)
def many_batches(case: Case, new: Make) -> tuple[Tensor, ...]:
    subject = new()
    for k in range(30):
        subject.train(case.batch(10 + k).requires_grad_())
    with torch.no_grad():
        evaluated = subject.evaluate(case.batch(1))
    return evaluated, subject.train(case.batch(2).requires_grad_())


@_probe(
    "few images",
    "Do batches of one, two and three images do what larger ones do?",
    "training",
    "running",
    "guessed",
    profile="drop-in",
    what="training and evaluation on few images",
    cause="few images",
    otherwise="batches of few images are treated otherwise: the rule is the same for all",
)
def few_images(case: Case, new: Make) -> tuple[Tensor, ...]:
    if len(case.shape) < 3:
        raise NotApplicable("an image has one value a channel here")
    subject = new()
    outputs = [subject.train(case.batch(k, shape=(k, *case.shape[1:])).requires_grad_()).flatten() for k in (1, 2, 3)]
    with torch.no_grad():
        return *outputs, subject.evaluate(case.batch(1)).flatten()
