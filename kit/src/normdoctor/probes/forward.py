"""The probes of the definition: what a layer computes in training, and its gradients.

Each is a scenario: it is played with the layer and with its double in float64, which does exactly what the definition
says; then, if they differ, with doubles that leave it as people do (`fitting`).
"""

import torch
from torch import Tensor

from normdoctor.case import Case
from normdoctor.probe import Make, Probe, registrar
from normdoctor.subject import Broken

__all__ = ["FORWARD", "gradients"]

FORWARD: list[Probe] = []
_probe = registrar(FORWARD, "definition")


def gradients(y: Tensor, wanted: list[Tensor | None], g: Tensor) -> list[Tensor]:
    """dL/d(each that is there), zeros where nothing arrives."""
    leaves = [t for t in wanted if t is not None]
    found = torch.autograd.grad(y, leaves, g.to(y.dtype), allow_unused=True) if y.grad_fn else [None] * len(leaves)
    return [torch.zeros_like(t) if d is None else d for t, d in zip(leaves, found, strict=True)]


@_probe(
    "training forward",
    "In training, is each channel normalized by the batch's mean and biased variance?",
    "training",
    what="the output in training",
)
def training_forward(case: Case, new: Make) -> Tensor:
    return new().train(case.batch().requires_grad_())


@_probe(
    "large batch",
    "Is a batch of 256 normalized as a whole?",
    "training",
    "guessed",
    what="the output for a batch of 256",
    cause="part of the batch",
    otherwise="a large batch is normalized in parts (ghost batches), or all by a part: take the whole batch",
)
def large_batch(case: Case, new: Make) -> Tensor:
    return new().train(case.batch(shape=(256, *case.shape[1:])).requires_grad_())


@_probe(
    "eval forward",
    "In evaluation, is each channel normalized by the running mean and variance?",
    "running",
    what="the output in evaluation after three batches",
)
def eval_forward(case: Case, new: Make) -> Tensor:
    subject = new()
    subject.learn()
    with torch.no_grad():
        return subject.evaluate(case.batch(1))


@_probe("gradient of x", "Does dL/dx know that mean and variance depend on x?", "training", what="dL/dx in training")
def gradient_x(case: Case, new: Make) -> Tensor:
    x = case.batch().requires_grad_()
    return gradients(new().train(x), [x], case.cotangent())[0]


@_probe(
    "gradient of γ",
    "Is dL/dγ, one number a channel, the sum of dL/dy times the normalized x?",
    "training",
    "gamma",
    what="dL/dγ",
)
def gradient_gamma(case: Case, new: Make) -> Tensor:
    return _gradient_of_one(case, new, 0, "γ")


@_probe("gradient of β", "Is dL/dβ, one number a channel, the sum of dL/dy?", "training", "beta", what="dL/dβ")
def gradient_beta(case: Case, new: Make) -> Tensor:
    return _gradient_of_one(case, new, 1, "β")


def _gradient_of_one(case: Case, new: Make, which: int, name: str) -> Tensor:
    subject = new()
    parameter = subject.affine()[which]
    assert parameter is not None  # since the probe needs it
    if parameter.numel() == 1 < case.channels:
        words = (
            f"{name} has 1 value for {case.channels} channels: one parameter is shared; make it one number a channel"
        )
        raise Broken(words, "one γ and β for all")
    return gradients(subject.train(case.batch().requires_grad_()), [parameter], case.cotangent())[0].flatten()


@_probe(
    "second derivative",
    "Can the gradient be differentiated once more, with the right result?",
    "training",
    hint="a hand-written backward pass must itself be made of differentiable operations",
    what="the derivatives of dL/dx along one direction, by x, γ and dL/dy",
    otherwise="the second derivative is wrong: a hand-written backward pass must itself be made of differentiable "
    "operations, of tensors that are not detached",
    cause="not differentiable twice",
    profile="engineering",
)
def second_derivative(case: Case, new: Make) -> tuple[Tensor, ...]:
    subject, x = new(), case.batch().requires_grad_()
    y = subject.train(x)
    g = case.cotangent().to(y.dtype).requires_grad_()
    (first,) = torch.autograd.grad(y, x, g, create_graph=True)
    leaves = [t for t in (x, subject.affine()[0], g) if t is not None]
    given = case.cotangent(1) + 1  # with a mean: what is missing in the mean's term shows
    found = torch.autograd.grad(first, leaves, given, allow_unused=True) if first.grad_fn else [None] * len(leaves)
    return tuple((torch.zeros_like(t) if d is None else d).flatten() for t, d in zip(leaves, found, strict=True))


@_probe(
    "gradient in eval",
    "In evaluation, is dL/dx just γ/σ times dL/dy, for as many steps as one likes?",
    "running",
    hint="the statistics hold on to the graph of an old training step: detach what is remembered",
    what="dL/dx in evaluation",
    otherwise="in evaluation dL/dx should be γ/σ times dL/dy: the statistics are constants, x is not",
    cause="gradient in evaluation",
    ulps=1024,
)
def gradient_eval(case: Case, new: Make) -> Tensor:
    subject = new()
    subject.learn()
    for seed in (1, 2):  # the second time, what the first has freed is gone
        x = case.batch(seed).requires_grad_()
        y = subject.evaluate(x)
        if y.grad_fn is not None:
            y.backward(case.cotangent().to(y.dtype))
    return torch.zeros_like(x) if x.grad is None else x.grad


@_probe(
    "gradient at eps",
    "Is dL/dx right where variances are near eps?",
    "training",
    what="dL/dx at variances near eps",
    ulps=4096,
)
def gradient_at_eps(case: Case, new: Make) -> Tensor:
    subject = new()
    x = case.faint(subject.eps).requires_grad_()
    return gradients(subject.train(x), [x], case.cotangent())[0] * subject.eps**0.5
