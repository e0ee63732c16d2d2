"""The probes of what the constructor takes: each is asked only of a layer that offers the option."""

import torch
from torch import Tensor, nn

from normdoctor.case import Case, in_mode, state_of
from normdoctor.double import Double
from normdoctor.probe import Outcome, Probe, compare, registrar
from normdoctor.probes.forward import gradients
from normdoctor.specimen import Specimen
from normdoctor.subject import Broken, NotApplicable

__all__ = ["CONSTRUCTION"]

CONSTRUCTION: list[Probe] = []
_probe = registrar(CONSTRUCTION, "engineering")
STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}


def _offered(case: Case, option: str) -> None:
    if not case.offers(option):
        raise NotApplicable(f"the factory takes no {option}")


@_probe("eps argument", "Is the eps that is given the one that is added?", "training")
def eps_argument(case: Case) -> Outcome:
    _offered(case, "eps")
    subject, x = Specimen(case, eps=0.5), case.batch()

    def step(asked: Specimen | Double) -> Tensor:
        leaf = x.clone().requires_grad_()
        y = asked.train(leaf)
        return torch.stack([y.detach(), gradients(y, [leaf], case.cotangent())[0]])

    expected, usual = step(Double(subject, eps=0.5)), step(Double(subject, eps=case.eps))
    words = "the argument eps has no effect: add it to the variance"
    what = "output and dL/dx with eps=0.5"
    found = compare(step(subject), expected, what=what, causes=[(usual, words, "eps ignored")])
    other = Specimen(case, eps=0.5)
    if found.diagnosis or not other.tracks:
        return found
    other.learn()
    double = Double(Specimen(case, eps=0.5), eps=0.5)
    double.learn()
    with torch.no_grad():
        y, z = case.batch(1), Double(Specimen(case, eps=0.5), eps=case.eps)
        z.learn()
        known = [(z.evaluate(y), words, "eps ignored")]
        return compare(other.evaluate(y), double.evaluate(y), what="evaluation with eps=0.5", causes=known)


@_probe("wrong eps", "Is an eps of 0 or less refused, or at least harmless?", "training", "batch", profile="drop-in")
def wrong_eps(case: Case) -> Outcome:
    _offered(case, "eps")
    try:
        layer = in_mode(case.make(eps=-1.0), True)
    except (ValueError, AssertionError):
        return Outcome(source="an error, as it should be")
    try:
        y = case.call(layer, case.batch(scale=0.1))
    except (ValueError, RuntimeError):
        return Outcome(source="an error in the first call")
    if y.isfinite().all():
        raise NotApplicable("no channel has so small a variance here that a negative eps could show")
    raise Broken("eps=-1 is taken, and gives NaN: raise a ValueError in the constructor", "negative eps taken")


@_probe(
    "affine=False",
    "Without γ and β, does it give the normalized values alone?",
    "training",
    "linear",
    profile="drop-in",
    cause="affine=False is wrong",
)
def affine_false(case: Case) -> Outcome:
    option = next((o for o in ("affine", "elementwise_affine") if case.offers(o)), "affine")
    _offered(case, option)
    if not any(p.requires_grad for p in case.make(**{option: True}).parameters()):
        raise Broken(f"with {option}=True there is no γ that could learn: the option is ignored", "affine ignored")
    subject, x = Specimen(case, case.make(**{option: False})), case.batch()
    if any(p is not None for p in subject.affine()) or any(p.requires_grad for p in subject.layer.parameters()):
        raise Broken(f"with {option}=False there are still parameters: the option is ignored", "affine ignored")
    if Specimen(case).tracks and not subject.tensors() and Specimen(case).given_training and not case.adapted:
        raise Broken(
            f"with {option}=False there are no running statistics: they are another option", "affine=False is wrong"
        )
    words, leaf = "normalize, and nothing after it", x.clone().requires_grad_()
    steps = []
    for asked in (subject, Double(subject)):
        y = asked.train(leaf)
        steps.append((y.detach(), gradients(y, [leaf], case.cotangent())[0]))
    outcome = compare(steps[0][0], steps[1][0], words, what="the output", cause="affine=False is wrong")
    if outcome.diagnosis:
        return outcome
    words = "without γ and β dL/dx is another: the backward pass must not need them"
    return compare(steps[0][1], steps[1][1], words, what="dL/dx without γ and β", cause="affine=False is wrong")


@_probe("bias=False", "Without β alone, does γ still multiply?", "training", profile="drop-in")
def bias_false(case: Case) -> Outcome:
    _offered(case, "bias")
    subject, x = Specimen(case, bias=False), case.batch()
    if subject.affine()[1] is not None:
        raise Broken("with bias=False there is still a β: the option is ignored", "bias ignored")
    words = "γ multiplies the normalized values, and nothing is added"
    return compare(subject.train(x), Double(subject).train(x), words, what="the output", cause="bias=False is wrong")


@_probe(
    "track_running_stats=False",
    "Without running statistics, does evaluation use the batch's own?",
    "batch",
    profile="drop-in",
    cause="track_running_stats=False is wrong",
)
def track_false(case: Case) -> Outcome:
    _offered(case, "track_running_stats")
    subject, x = Specimen(case, track_running_stats=False), case.batch(2)
    kept = Specimen(case, track_running_stats=True)
    if len(kept.tensors()) <= sum(p is not None for p in kept.affine()):
        words = "with track_running_stats=True there is nothing to remember in: the option is ignored"
        raise Broken(words, "track_running_stats ignored")
    if any(name.rpartition(".")[2] in STATISTICS for name in subject.tensors()):
        words = "with track_running_stats=False there are still buffers: the option is ignored"
        raise Broken(words, "track_running_stats ignored")
    if bool(Specimen(case).affine()[0] is None) != bool(subject.affine()[0] is None):
        raise Broken(
            "with track_running_stats=False there is no γ: that is another option", "track_running_stats=False is wrong"
        )
    subject.learn()
    words = "without running statistics every batch is normalized by its own, in evaluation too"
    expected = Double(Specimen(case), track_running_stats=False).evaluate(x)
    cause = "track_running_stats=False is wrong"
    with torch.no_grad():
        return compare(subject.evaluate(x), expected, words, what="the output in evaluation", cause=cause)


@_probe("device and dtype", "Does the constructor take device and dtype, for all that it makes?", profile="drop-in")
def device_and_dtype(case: Case) -> Outcome:
    _offered(case, "device")
    _offered(case, "dtype")
    if isinstance(case.make_layer, type) and issubclass(case.make_layer, nn.modules.lazy.LazyModuleMixin):
        raise NotApplicable("the layer is made by its first input")
    layer = case.make(device="meta", dtype=torch.float64)
    wrong = [
        f"{n} ({t.dtype}, {t.device})"
        for n, t in [*layer.named_parameters(), *layer.named_buffers()]
        if t.device.type != "meta" or (t.is_floating_point() and t.dtype != torch.float64)
    ]
    words = f"{', '.join(wrong)}: made elsewhere than was asked for" if wrong else ""
    return Outcome(words, source="parameters and buffers", cause="device or dtype ignored" if wrong else "")


@_probe("repr", "Does it show its number of channels, eps and momentum?", profile="drop-in")
def shown(case: Case) -> Outcome:
    layer = case.make()
    words = repr(layer)
    if not state_of(layer) or isinstance(layer, torch.jit.ScriptModule):
        raise NotApplicable("there is nothing in it to show")
    if str(case.channels) not in words:
        raise Broken(f"it shows itself as {words.splitlines()[0][:60]}: give it an extra_repr", "shows nothing")
    for option, value in (("eps", 0.0625), ("momentum", 0.375)):
        if (
            case.offers(option)
            and f"{option}=" in words
            and f"{option}={value}" not in repr(case.make(**{option: value}))
        ):
            raise Broken(f"the {option} that it shows is not that which was asked for", "shows something else")
    return Outcome(source="the text that print() shows")
