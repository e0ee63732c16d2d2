"""The probes of copies: one layer, and another that should have nothing to do with it."""

import copy
import pickle

import torch
from torch import Tensor, nn

from normdoctor.case import Case, copied, in_mode
from normdoctor.probe import Outcome, Probe, compare, registrar
from normdoctor.probes.state import trained
from normdoctor.specimen import Specimen
from normdoctor.subject import Broken, NotApplicable

__all__ = ["COPIES"]

COPIES: list[Probe] = []
_probe = registrar(COPIES, "engineering")


def _compare_copy(case: Case, subject: Specimen, other: nn.Module, how: str) -> Outcome:
    twin, x = Specimen(case, other), case.batch(1)
    own = {t.data_ptr() for t in subject.tensors().values() if t.numel()}
    if shared := [name for name, t in twin.tensors().items() if t.numel() and t.data_ptr() in own]:
        raise Broken(f"layer and {how} share {', '.join(shared)}", "shared between layers")
    words, what = f"the {how} gives other results", f"the {how}'s evaluation"
    with torch.no_grad():
        return compare(twin.evaluate(x), subject.evaluate(x), words, what=what, ulps=8, cause="copies differ")


@_probe(
    "deepcopy",
    "Can a trained layer be copied with copy.deepcopy?",
    cause="cannot be copied",
)
def deepcopy(case: Case) -> Outcome:
    subject = trained(case)
    return _compare_copy(case, subject, copy.deepcopy(subject.layer), "copy")


@_probe("pickle", "Can a trained layer be pickled?", cause="cannot be pickled")
def pickled(case: Case) -> Outcome:
    subject = trained(case)
    if "<locals>" in type(subject.layer).__qualname__:
        raise NotApplicable("a class that is defined in a function cannot be pickled")
    if isinstance(subject.layer, torch.jit.ScriptModule):
        raise NotApplicable("TorchScript is saved with torch.jit.save")
    return _compare_copy(case, subject, pickle.loads(pickle.dumps(subject.layer)), "pickled copy")


@_probe(
    "reset", "Does reset_running_stats(), if there is one, make it as new?", "training", "running", profile="drop-in"
)
def reset(case: Case) -> Outcome:
    subject = trained(case)
    start_anew = getattr(subject.layer, "reset_running_stats", None)
    if not callable(start_anew):
        raise NotApplicable("it has none")
    start_anew()
    new = {"running_mean": 0.0, "running_var": 1.0, "num_batches_tracked": 0.0}
    state = {key.rpartition(".")[2]: t for key, t in subject.layer.state_dict().items()}
    other = [key for key, value in new.items() if key in state and not bool((state[key] == value).all())]
    words = f"{', '.join(other)} is not as in a new layer: reset it" if other else ""
    return Outcome(words, source="the state_dict", cause="reset forgets something" if other else "")


@_probe("apart", "Do two layers keep their statistics apart?")
def apart(case: Case) -> Outcome:
    one, other = (case.make_layer(case.channels) if not case.hints.arguments else case.make() for _ in range(2))
    if one is other:
        raise NotApplicable("the factory hands out one and the same layer")
    if not isinstance(one, nn.Module) or any(nn.parameter.is_lazy(t) for t in [*one.parameters(), *one.buffers()]):
        raise NotApplicable("the layers are not made yet")
    first, second = (_storages(layer) for layer in (one, other))
    if shared := [name for name, where in second.items() if where in first.values()]:
        raise Broken(
            f"two layers share {', '.join(shared)}: make it in __init__, once a layer", "shared between layers"
        )
    x = case.batch(3, scale=3)
    with torch.no_grad():
        before = case.call(in_mode(copied(other), False), x)
        for _ in range(2):
            case.call(in_mode(one, True), x)
        after = case.call(in_mode(copied(other), False), x)
    words = "training one layer changes another's evaluation: make what it remembers in __init__, once a layer"
    return compare(after, before, words, what="another layer's evaluation", ulps=4, cause="shared between layers")


def _storages(layer: nn.Module) -> dict[str, int]:
    found = dict(layer.named_parameters()) | dict(layer.named_buffers())
    for _, module in layer.named_modules():
        if not isinstance(module, torch.jit.ScriptModule):
            found |= {n: v for cls in type(module).__mro__ for n, v in vars(cls).items() if isinstance(v, Tensor)}
    return {name: t.data_ptr() for name, t in found.items() if t.numel() and t.device.type != "meta"}


@_probe(
    "two calls",
    "Can it be called twice before one backward pass, with the gradients of both?",
    "training",
    hint="what the backward pass needs is changed by the second call: remember out of place",
)
def two_calls(case: Case) -> Outcome:
    subject, alone, cotangent = Specimen(case), Specimen(case), case.cotangent()
    xs = [case.batch(k).requires_grad_() for k in (1, 2)]
    both = torch.stack([(subject.train(x) * cotangent).sum() for x in xs]).sum()
    measured = torch.cat(torch.autograd.grad(both, xs))
    expected = torch.cat([torch.autograd.grad((alone.train(x) * cotangent).sum(), x)[0] for x in xs])
    words = "the first call's gradient changes when it is called again: keep nothing between forward and backward"
    what = "dL/dx of two calls, against one by one"
    return compare(measured, expected, words, what=what, ulps=64, cause="calls mixed up")
