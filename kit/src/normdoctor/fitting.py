"""Which formula does the layer follow? The smallest change of the definition that gives what the layer gives.

What is seen of the layer is played three times: its output in training, what it remembers and how it evaluates, and its
gradients. For each, options of the formula are changed, one, then two, then three at once, until the double gives the
same in float64 (or, of a layer that computes in fewer digits, nearly the same).
"""

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from normdoctor.case import Case
from normdoctor.double import Double
from normdoctor.formula import Formula
from normdoctor.options import EVALUATION, GRADIENT, TRAINING, Option
from normdoctor.probe import LEAST, distance
from normdoctor.probes.forward import gradients
from normdoctor.specimen import Specimen
from normdoctor.subject import Subject

__all__ = ["Fit", "fit"]

EXACT, NEAR = 1e-9, 2e-5  # of the largest value: rounding in float64, and in float32
BEAM = (1, 6, 3)  # how many combinations of options are kept, to be added to
BETTER = 0.3  # by how many powers of ten, over all that is seen, an option must help to be added to
Play = Callable[[Subject], list[Tensor | None]]


@dataclass(frozen=True)
class Fit:
    """What was found.

    Attributes:
        formula: what the layer does, as far as it is known.
        options: how that leaves what is right.
    """

    formula: Formula
    options: tuple[Option, ...]


def _training(subject: Subject) -> list[Tensor | None]:
    x, other = subject.case.batch().double().requires_grad_(), subject.copy()
    third, flat = subject.copy(), subject.case.batch().double()
    flat[:, 0] = 0.0
    return [
        _tried(lambda: subject.train(x)),
        _tried(lambda: other.train(_faint(other).requires_grad_())),
        _tried(lambda: third.train(flat.requires_grad_())),
    ]


def _faint(subject: Subject) -> Tensor:
    return subject.case.faint(min(subject.eps, 1e-3)).double()


def _evaluation(subject: Subject) -> list[Tensor | None]:
    """The first evaluation; then after each of three batches the output, and what can be read of mean and variance."""
    case, seen = subject.case, []
    with torch.no_grad():
        seen.append(_tried(lambda: subject.evaluate(case.batch(1).double())))
    for k in range(3):
        if not case.frozen:
            x = case.batch(10 + k, more=k % 2).double().requires_grad_()
            _tried(functools.partial(subject.train, x))
        read = _tried(lambda: torch.stack(subject.read()))
        with torch.no_grad():
            y = _tried(functools.partial(subject.evaluate, case.batch(20 + k, more=k).double()))
        seen += [None if read is None else read[0], None if read is None else read[1], y]
    return seen


def _evaluation_and_buffers(subject: Subject) -> list[Tensor | None]:
    """The same, and what the running statistics hold, if they have names that one knows."""
    seen = _evaluation(subject)
    return [*seen, *(None if t is None else t.detach().double().flatten() for t in subject.held())]


def _gradients(subject: Subject) -> list[Tensor | None]:
    x = subject.case.batch().double().requires_grad_()
    wanted = [t for t in subject.affine() if t is not None]
    try:
        found = gradients(subject.train(x), [x, *wanted], subject.case.cotangent().double())
        return [found[0], *(t.flatten() for t in found[1:])]
    except Exception:
        return [None] * (1 + len(wanted))


def _tried(ask: Callable[[], Tensor]) -> Tensor | None:
    try:
        return ask().detach().double()
    except Exception:
        return None


PLAYS: tuple[tuple[Play, Sequence[Option]], ...] = (
    (_training, TRAINING),
    (_evaluation_and_buffers, EVALUATION),
    (_gradients, GRADIENT),
)


def fit(case: Case) -> Fit:
    """The formula that a layer follows, beginning with what is right for it."""
    options = {"momentum": 0.3} if case.offers("momentum") else {}
    options |= {"eps": 0.2} if case.offers("eps") else {}
    found: list[Option] = []
    beam: tuple[int, ...] = BEAM
    formula = case.right
    for play, known in PLAYS:
        evaluating = play is _evaluation_and_buffers
        if case.frozen and not evaluating:
            continue
        narrower = _in_training_alone(found) if evaluating else {}
        chosen = _fitted(case, play, [*narrower, *known], formula, options, beam)
        if chosen is None and evaluating:
            chosen = _fitted(case, _evaluation, [*narrower, *known], formula, options, beam)
        if chosen is None:
            beam = BEAM[:1]  # what one play does not explain, another hardly explains by two options
            continue
        for option in chosen:
            formula = option.of(formula)
            if option in narrower:
                found[found.index(narrower[option])] = option
            else:
                found.append(option)
    return Fit(formula, tuple(found))


def _in_training_alone(found: Sequence[Option]) -> dict[Option, Option]:
    """What was seen in training may be so in training alone: {that option: the one that says "in both modes"}."""
    narrower = {}
    for option in found:
        changes = dict(option.changes)
        for field in ("root_in", "form_in", "affine_in", "output_in"):
            if changes.get(field) == "both":
                wanted = tuple((changes | {field: "training"}).items())
                narrower[next(other for other in TRAINING if other.changes == wanted)] = option
    return narrower


def _fitted(
    case: Case,
    play: Play,
    known: Sequence[Option],
    formula: Formula,
    options: dict[str, Any],
    beam: Sequence[int],
) -> tuple[Option, ...] | None:
    """The options that explain a play: in float64 if the layer can, else in its own dtype."""
    for given in (options, {}):
        for dtype in (torch.float64, None):
            with contextlib.suppress(Exception):
                twin = Specimen(case, dtype=dtype, **given)
                measured = play(Specimen(case, dtype=dtype, **given))
                if all(t is None for t in measured):
                    continue
                for tolerance in (EXACT, NEAR) if dtype else (NEAR,):
                    chosen = _search(measured, twin, play, known, formula, tolerance, given, beam)
                    if chosen is not None:
                        return chosen
                return None
    return None


def _search(
    measured: list[Tensor | None],
    twin: Specimen,
    play: Play,
    known: Sequence[Option],
    formula: Formula,
    tolerance: float,
    given: dict[str, Any],
    beam: Sequence[int],
) -> tuple[Option, ...] | None:
    def errors(candidate: Formula) -> list[float]:
        expected = play(Double(twin, candidate, **given))
        return [_error(one, other) for one, other in zip(measured, expected, strict=True) if one is not None]

    def score(wrong: list[float]) -> float:
        return sum(math.log10(max(min(e, 1e3), 1e-10)) for e in wrong)

    wrong = errors(formula)
    if max(wrong) <= tolerance:
        return ()
    so_far = score(wrong)
    best: list[tuple[Option, ...]] = [()]
    seen: set[frozenset[tuple[str, str]]] = set()
    for width in beam:
        tried: list[tuple[float, tuple[Option, ...]]] = []
        for combination in best[:width]:
            taken = {field for option in combination for field, _ in option.changes}
            for option in known:
                if taken & {field for field, _ in option.changes} or option.of(formula) == formula:
                    continue
                key = frozenset(change for each in (*combination, option) for change in each.changes)
                if key in seen:
                    continue
                seen.add(key)
                candidate = formula
                for each in (*combination, option):
                    candidate = each.of(candidate)
                wrong = errors(candidate)
                if max(wrong) <= tolerance:
                    return (*combination, option)
                tried.append((score(wrong), (*combination, option)))
        tried = [t for t in tried if t[0] < so_far - BETTER]
        if not tried:
            return None
        tried.sort(key=lambda t: t[0])
        so_far, best = tried[0][0], [combination for _, combination in tried]
    return None


def _error(measured: Tensor, expected: Tensor | None) -> float:
    if expected is None or expected.shape != measured.shape:
        return 1e6
    scale = max(expected.abs().nan_to_num(0, 0, 0).max().item(), LEAST)
    return min(distance(measured, expected, scale), 1e6)
