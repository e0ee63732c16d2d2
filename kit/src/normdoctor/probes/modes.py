"""The probes of training and evaluation: what decides which it is."""

import torch
from torch import nn

from normdoctor.case import Case, in_mode
from normdoctor.probe import Outcome, Probe, compare, registrar
from normdoctor.specimen import Specimen
from normdoctor.subject import Broken

__all__ = ["MODES"]

MODES: list[Probe] = []
_probe = registrar(MODES, "definition")


@_probe(
    "mode with gradients", "With gradients on, does train(False) alone make it use the running statistics?", "running"
)
def mode(case: Case) -> Outcome:
    subject = Specimen(case)
    subject.learn()
    x, other = case.batch(2), subject.copy()
    with torch.no_grad():
        expected = other.evaluate(x).double()
    with torch.enable_grad():
        measured = subject.evaluate(x.requires_grad_())
    words = "the mode is read from torch.is_grad_enabled(), or from what needs a gradient: ask self.training"
    return compare(
        measured, expected, words, what="evaluation with gradients on", ulps=1024, cause="mode from gradients"
    )


@_probe(
    "training without gradients",
    "Under no_grad, does training still use and remember the batch's statistics?",
    "training",
)
def training_without_gradients(case: Case) -> Outcome:
    x, with_gradients, subject = case.batch(), Specimen(case), Specimen(case)
    expected = with_gradients.train(x.clone().requires_grad_()).detach().double()
    leaf = x.clone().requires_grad_()
    with torch.no_grad():
        measured = case.call(in_mode(subject.layer, True), leaf).clone() - subject.lift
    words = "the mode is read from torch.is_grad_enabled(): ask self.training"
    what = "training under no_grad, against training without"
    outcome = compare(measured, expected, words, what=what, cause="mode from gradients")
    if outcome.diagnosis or not subject.tracks:
        return outcome
    return compare(
        torch.cat(subject.read()).to(case.dtype),
        torch.cat(with_gradients.read()),
        "under no_grad the running statistics are not updated as with gradients",
        what="running statistics after a batch under no_grad",
        cause="mode from gradients",
    )


@_probe(
    "what needs no gradient",
    "In training, is it the same for an input, or γ and β, that need no gradient?",
    "training",
)
def needs_no_gradient(case: Case) -> Outcome:
    x, usual = case.batch(), Specimen(case)
    expected = usual.train(x.clone().requires_grad_()).detach().double()
    for what, frozen in (("an input", False), ("γ and β", True)):
        subject = Specimen(case)
        if frozen and isinstance(subject.layer, torch.jit.ScriptModule):
            continue
        for p in subject.affine():
            if p is not None and frozen:
                p.requires_grad_(False)
        y = subject.train(x.clone().requires_grad_(frozen))
        words = f"it behaves differently for {what} without a gradient: ask only self.training"
        cause = "mode from what needs a gradient"
        outcome = compare(y, expected, words, what=f"training, {what} without gradient", cause=cause)
        if outcome.diagnosis:
            return outcome
        if subject.tracks:
            measured, wanted = torch.cat(subject.read()).to(case.dtype), torch.cat(usual.read())
            outcome = compare(measured, wanted, words, what=f"what it remembers, {what} without gradient", cause=cause)
            if outcome.diagnosis:
                return outcome
    return outcome


@_probe("train() and eval()", "Do train() and eval() change its mode, and that of what is in it?", "training")
def modes_switch(case: Case) -> Outcome:
    layer = case.make()
    x = case.batch()
    with torch.no_grad():
        case.call(in_mode(layer, True), x)
    before = _facts(layer)
    for mode in (False, True):
        returned = layer.train(mode) if mode else layer.eval()
        still = [type(m).__name__ for m in layer.modules() if m.training != mode]
        if still:
            name = "train" if mode else "eval"
            raise Broken(
                f"{name}() leaves {', '.join(still)} in the other mode: call super().train(mode)", "mode fixed"
            )
        if returned is not layer:
            raise Broken(
                "train() does not return the layer, so that calls cannot be chained: return self", "mode fixed"
            )
    if changed := [name for name, fact in _facts(layer).items() if fact != before.get(name)]:
        words = f"eval() or train() changes {', '.join(changed)}: they should change the mode and nothing else"
        raise Broken(words, "mode switch changes it")
    return Outcome(source="the attribute training of every module")


def _facts(layer: nn.Module) -> dict[str, object]:
    """What parameters and buffers hold, and whether they need a gradient."""
    named = [*layer.named_parameters(), *layer.named_buffers()]
    return {name: (t.requires_grad, t.detach().double().nan_to_num().sum().item()) for name, t in named}
