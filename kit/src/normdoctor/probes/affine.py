"""The probes of γ and β: how they begin, and whether they learn."""

import torch
from torch import Tensor, nn

from normdoctor.case import Case, in_mode
from normdoctor.formula import column
from normdoctor.probe import Outcome, Probe, registrar
from normdoctor.specimen import Specimen
from normdoctor.subject import Broken, NotApplicable

__all__ = ["AFFINE_PROBES"]

AFFINE_PROBES: list[Probe] = []
_probe = registrar(AFFINE_PROBES, "engineering")


@_probe(
    "neutral start",
    "Does a new layer begin with γ = 1 and β = 0?",
    "training",
)
def neutral_start(case: Case) -> Outcome:
    layer, subject = case.make(), Specimen(case)
    if subject.seen or not subject.given_training:
        raise NotApplicable("the layer was trained before")
    parameters = dict(layer.named_parameters())
    names = [name for name in (case.gamma_name, case.beta_name) if name is not None]
    held = [(name, parameters[name].detach().cpu().double()) for name in names]
    if not held:
        raise NotApplicable("the layer has neither γ nor β")
    zero_kind = {"weight": 1.0, "1 + weight": 0.0, "exp": 0.0}.get(case.gamma_kind)
    wrong = []
    for name, values in held:
        neutral = zero_kind if name == case.gamma_name else 0.0
        if neutral is not None and not torch.allclose(values, torch.full_like(values, neutral)):
            of = f" (γ is {case.gamma_kind.replace('weight', name)} here: or multiply by {name} itself)"
            own = of * (name == case.gamma_name and case.gamma_kind != "weight")
            wrong.append(f"{name} begins at {values.flatten()[0]:.3g}, not {neutral:g}{own}")
    if any(not v.isfinite().all() for _, v in held):
        wrong.append("it is not even initialized")
    return Outcome("; ".join(wrong), source="what γ and β hold", cause="wrong initial γ or β" if wrong else "")


@_probe(
    "learns",
    "Are γ and β parameters that an optimizer sees, and that move the output?",
    "training",
)
def learns(case: Case) -> Outcome:
    layer, x = in_mode(case.make(), True), case.batch()
    trainable = [n for n in (case.gamma_name, case.beta_name) if n]
    fixed = [n for n, p in layer.named_parameters() if n in trainable and not p.requires_grad]
    if fixed and all(not p.requires_grad for p in layer.parameters()):
        raise NotApplicable("nothing in the layer needs a gradient: it was frozen")
    if fixed:
        raise Broken(f"{', '.join(fixed)} needs no gradient: no optimizer moves it", "γ or β cannot learn")
    names = {"γ": case.gamma_name, "β": case.beta_name}
    lost = [sign for sign, name in names.items() if name is None and _acts(case, layer, x, sign)]
    if lost:
        words = f"{' and '.join(lost)} is there and is not an nn.Parameter: no optimizer sees it"
        raise Broken(words, "γ or β cannot learn")
    return Outcome(source="parameters, and tensors that act as γ and β")


def _acts(case: Case, layer: nn.Module, x: Tensor, sign: str) -> bool:
    """Whether some tensor that is no parameter does to the output what γ, or β, does."""
    fixed = Specimen(case)
    before = fixed.train(x).detach().double()
    for name, tensor in fixed.tensors().items():
        if name in dict(layer.named_parameters()) or not tensor.is_floating_point():
            continue
        if tensor.numel() not in (1, case.channels):
            continue
        other = Specimen(case)
        with torch.no_grad():
            moved = other.tensors()[name]
            moved += 1.0
        shift = other.train(x).detach().double() - before
        wanted = torch.ones_like(before) if sign == "β" else before - column(fixed.b, before)
        if torch.allclose(shift, wanted, atol=1e-3):
            return True
    return False
