"""What a caller has not said about a layer, found out by trying."""

import contextlib
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from normdoctor.case import ACTIVATIONS, Case, attribute, copied, in_mode, state_of
from normdoctor.double import Double
from normdoctor.formula import Formula, gammas
from normdoctor.probe import compare, distance
from normdoctor.specimen import Specimen

__all__ = ["explore", "off"]

GAMMAS = ("weight", "gamma", "γ", "m", "mult", "mults", "scale", "gain", "g")
BETAS = ("bias", "beta", "β", "a", "add", "adds", "shift", "offset", "b")


def explore(case: Case, rights: Sequence[Formula]) -> None:
    """Find out, by trying, what a caller has not said: layout, dtype, whether it is frozen, γ and β, an activation.

    Args:
        case: to be completed.
        rights: the formulas that count as right; the first that the layer follows in training is taken.

    Raises:
        Exception: whatever the layer raises when it is made.
    """
    layer = case.make()
    case.dtype = next((t.dtype for t in state_of(layer) if t.is_floating_point()), torch.float32)
    _find_layout(case)
    case.frozen = _is_frozen(case)
    case.gamma_name, case.beta_name = _find_affine(case)
    _find_activation(case)
    case.gamma_kind = _find_gamma_kind(case)
    layer_eps = attribute(layer, ("eps", "epsilon"), None)
    case.eps = float(layer_eps) if layer_eps else _find_eps(case)
    case.momentum = _find_momentum(case)
    groups = attribute(layer, ("num_groups", "groups"), None)
    if rights[0].over.startswith("groups") and isinstance(groups, int) and groups > 0 and case.channels % groups == 0:
        case.right = Formula(over=f"groups of {case.channels // groups}")
    elif len(rights) > 1:
        case.right = min(rights, key=lambda formula: off(case, formula))


def _find_layout(case: Case) -> None:
    if case.hints.input_shape:
        given = list(case.hints.input_shape)
        case.axis = case.axis % len(given)
        given.insert(1, given.pop(case.axis))
        case.shape = tuple(given)
        if case.shape[1] != case.channels:
            raise ValueError(f"input_shape {case.hints.input_shape} has {case.shape[1]} channels, not {case.channels}")
        return
    running: list[tuple[int, tuple[int, ...]]] = []
    normalized: list[tuple[int, tuple[int, ...]]] = []
    asked = case.hints.channel_axis
    features = [(1, 2)] if asked in (None, 1, -1) else []
    for axis, dimensions in (*itertools.product((1, -1) if asked is None else (asked,), (4, 3, 5)), *features):
        shape = case.shape_of(dimensions)
        case.axis = axis if axis > 0 else dimensions + axis
        if not 0 < case.axis < dimensions:
            continue
        with contextlib.suppress(Exception):
            y = case.call(in_mode(case.make(), True), case.batch(shape=shape))
            if y.shape == shape:
                running.append((case.axis, shape))
                if not case.is_batch or _is_normalized(y):
                    normalized.append((case.axis, shape))
                    if dimensions > 2:
                        break
    if asked is not None and not running:
        raise ValueError(f"it takes no batch of up to 5 dimensions with its channels at {asked}; say its input_shape")
    pictures = [layout for layout in running if layout[0] == 1 and len(layout[1]) > 2]
    right = [layout for layout in normalized if len(layout[1]) > 2]
    usual = (1, case.shape_of(4))
    case.axis, case.shape = next(iter([*right, *pictures, *normalized, *running, usual]))


def _is_normalized(y: Tensor) -> bool:
    """Whether each channel of (N, C, ...) has a spread of its own about 1: then the layout is the layer's."""
    std = y.detach().double().transpose(0, 1).flatten(1).std(1)
    return bool(((std - 1).abs() < 0.1).all())


def _is_frozen(case: Case) -> bool:
    """It refuses to train; or is called frozen, or has buffers only, and does the same in both modes."""
    layer, x = case.make(), case.batch()
    if not in_mode(layer, True).training and not in_mode(layer, False).training:
        return True
    in_mode(layer, True)
    named = any("frozen" in type(module).__name__.lower() for module in layer.modules())
    if not named and (any(True for _ in layer.parameters()) or not any(t.is_floating_point() for t in layer.buffers())):
        return False
    trained = case.call(layer, x)
    return torch.equal(trained, case.call(in_mode(layer, False), x))


def _find_affine(case: Case) -> tuple[str | None, str | None]:
    """The names of γ and β: by what they are called, else by what they do (β shifts the sum of all outputs)."""
    layer = case.make()
    sizes = (1, case.channels, case.batch()[0].numel())
    found = {name: p for name, p in layer.named_parameters() if p.numel() in sizes}
    used = set(found)
    with contextlib.suppress(Exception):  # of several layers inside, the one that is used
        other = copied(layer)
        inside = {name: p for name, p in other.named_parameters() if name in found}
        inside = {name: p for name, p in inside.items() if p.requires_grad} or inside
        for p in inside.values():
            p.requires_grad_(True)
        y = case.call(in_mode(other, True), case.batch())
        given = torch.autograd.grad((y * case.cotangent()).sum(), list(inside.values()), allow_unused=True)
        used = {name for name, gradient in zip(inside, given, strict=True) if gradient is not None}
    single = [name for name, p in found.items() if p.numel() == 1]
    if len(single) >= 2 * case.channels > 2:
        raise TypeError("γ and β have a parameter for each channel; to be tested, each must be one parameter")
    last = {name.rpartition(".")[2].lower(): name for name in sorted(found, key=lambda name: name in used)}
    gamma = next((last[name] for name in GAMMAS if name in last), None)
    beta = next((last[name] for name in BETAS if name in last), None)
    for name in [name for name in found if name in used and name not in (gamma, beta)]:
        found[name].requires_grad_(True)
        x = case.batch()
        gradient = torch.autograd.grad(case.call(in_mode(layer, True), x).sum(), found[name], allow_unused=True)[0]
        if gradient is not None and gradient.abs().max() > 0.5 * x.numel() / case.channels:
            beta = beta or name
        else:
            gamma = gamma or name
    return gamma, beta


def _find_activation(case: Case) -> None:
    """What follows the normalization, if adding 16 to β does not add 16 to every output."""
    layer = in_mode(case.make(), True)
    beta = dict(layer.named_parameters()).get(case.beta_name or "")
    if case.adapted or beta is None:
        return
    with torch.no_grad(), contextlib.suppress(Exception):
        low = case.call(copied(layer), case.batch())
        beta.add_(16.0)
        high = case.call(layer, case.batch()) - 16
        if not torch.allclose(low, high, atol=1e-4):
            matching = (name for name, act in ACTIVATIONS.items() if torch.allclose(low, act(high), atol=1e-3))
            case.activation = next(matching, None)


def _find_gamma_kind(case: Case) -> str:
    """How γ comes from its parameter, by what doubling and halving it does to the spread of the outputs."""
    spreads: list[float] = []
    for value in (0.5, 1.25):
        layer = in_mode(case.make(), True)
        parameters = dict(layer.named_parameters())
        if case.gamma_name is None:
            return "weight"
        with torch.no_grad():
            parameters[case.gamma_name].fill_(value)
            if case.lifted and case.beta_name:
                parameters[case.beta_name].fill_(16.0)
            spreads.append(case.call(layer, case.batch()).double().std().item())
    for kind in ("weight", "1 + weight", "exp", "softplus"):
        one, two = (gammas(kind)(torch.tensor(v, dtype=torch.float64)).item() for v in (0.5, 1.25))
        if abs(spreads[1] / max(spreads[0], 1e-9) - two / one) < 5e-3 * two / one:
            return kind
    return "weight"


def _find_eps(case: Case) -> float:
    """What must be added to variances of about 1e-6 to explain the output; 1e-5 if that differs among channels."""
    subject, x = Specimen(case), case.faint(1e-6)
    with contextlib.suppress(Exception), torch.no_grad():
        y = subject.evaluate(x) if case.right.over != "batch" else subject.train(x)
        for known in (1e-5, 1e-3, 1e-6, 1e-8, 1e-12, torch.finfo(case.dtype).eps):
            subject.eps = known
            if not compare(y, Double(subject).train(x), what="", ulps=4096).diagnosis:
                return known
        rows, out = (t.detach().double().transpose(0, 1).flatten(1) for t in (x, y))
        eps = (rows.std(1) / out.std(1) * subject.g).square() - rows.var(1, correction=0)
        found = eps.median().item()
        if 1e-9 < found < 0.1 and (eps - found).abs().max() < 0.01 * found:
            return found
    return 1e-5


def off(case: Case, formula: Formula) -> float:
    """How far the layer's output is from what a formula gives, of the largest value; infinite where it cannot be."""
    with contextlib.suppress(Exception):
        subject, x = Specimen(case), case.batch()
        run = subject.evaluate if case.frozen else subject.train
        double = Double(subject, formula)
        right = (double.evaluate if case.frozen else double.train)(x)
        return distance(run(x), right, max(right.abs().max().item(), 1e-3))
    return float("inf")


def _find_momentum(case: Case) -> float:
    """The weight of the newest batch, of a layer that does not say it: what it is; 0.1 if it is no constant below ½."""
    with contextlib.suppress(Exception):
        subject, weights = Specimen(case), []
        old = subject.read()[0]
        for seed in range(2):
            x = case.batch(seed + 10)
            subject.train(x.requires_grad_())
            new, mean = subject.read()[0], x.detach().double().transpose(0, 1).flatten(1).mean(1)
            weights.append(((new - old) / (mean - old)).median().item())
            old = new
        if 0.001 < weights[0] < 0.5 and abs(weights[0] - weights[1]) < 0.01 * weights[0]:
            return weights[0]
    return 0.1
