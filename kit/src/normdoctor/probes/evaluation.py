"""The probes of evaluation, and of eps in both modes."""

import math

import torch
from torch import Tensor

from normdoctor.case import Case
from normdoctor.probe import Make, Probe, registrar
from normdoctor.subject import NotApplicable

__all__ = ["EVALUATION_PROBES"]

EVALUATION_PROBES: list[Probe] = []
_probe = registrar(EVALUATION_PROBES, "definition")


@_probe(
    "eval before training",
    "Can a new layer be evaluated before any training, with mean 0 and variance 1?",
    "running",
    hint="the statistics exist only after a training batch: create them in __init__",
    what="the first output",
)
def eval_first(case: Case, new: Make) -> Tensor:
    with torch.no_grad():
        return new().evaluate(case.batch())


@_probe(
    "same in both modes",
    "Without running statistics, is evaluation the same as training?",
    "no running",
    what="the output in evaluation",
)
def same_in_both(case: Case, new: Make) -> Tensor:
    return new().evaluate(case.batch())


@_probe(
    "eval keeps statistics",
    "Does evaluation leave the running statistics as they are?",
    "running",
    what="the statistics after an evaluation",
)
def eval_keeps(case: Case, new: Make) -> Tensor:
    subject = new()
    subject.learn()
    with torch.no_grad():
        subject.evaluate(case.batch(5, scale=3))
    return torch.cat(subject.read()).to(case.dtype)


@_probe(
    "eval alone",
    "In evaluation, is an image's output the same alone as in company?",
    "running",
    hint="a batch of one image must be no error in evaluation",
    what="the output for one image, evaluated alone",
)
def eval_alone(case: Case, new: Make) -> Tensor:
    subject = new()
    subject.learn()
    with torch.no_grad():
        return subject.evaluate(case.batch(1)[:1])


@_probe(
    "eval of many",
    "In evaluation, is a batch of 256 treated as any other?",
    "running",
    "guessed",
    profile="drop-in",
    what="the output for 256 images, evaluated",
    cause="many images",
    otherwise="many images at once are evaluated differently from few: the running statistics serve all",
)
def eval_of_many(case: Case, new: Make) -> Tensor:
    subject = new()
    subject.learn()
    with torch.no_grad():
        return subject.evaluate(case.batch(1, shape=(256, *case.shape[1:])))


@_probe(
    "eps",
    "Is eps added to the variance, under the root?",
    "training",
    what="channels with variances near eps",
    ulps=2048,
)
def eps(case: Case, new: Make) -> Tensor:
    subject = new()
    return subject.train(case.faint(subject.eps).requires_grad_())


@_probe(
    "eps in evaluation",
    "Is eps added to the running variance too?",
    "training",
    "running",
    what="evaluation with running variances near eps",
    ulps=4096,
)
def eps_in_evaluation(case: Case, new: Make) -> Tensor:
    subject = new()
    weight = 1.0 if subject.momentum is None else float(subject.momentum)
    if not 0.02 < weight <= 1:
        raise NotApplicable(f"with momentum {weight} it would take too long to forget the start")
    x = case.faint(subject.eps)
    for _ in range(1 if weight == 1 else int(-11 / math.log10(1 - weight)) + 1):
        subject.train(x.clone().requires_grad_())
    with torch.no_grad():
        return subject.evaluate(x)
