"""From probes to causes: what a fitted formula explains is laid to its options, the rest to the probe itself."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from normdoctor.case import Case
from normdoctor.causes import CAUSES, Cause
from normdoctor.double import Double
from normdoctor.example import smallest_example
from normdoctor.fitting import Fit, fit
from normdoctor.formula import Formula
from normdoctor.isolation import isolated
from normdoctor.probe import Outcome, Probe, same
from normdoctor.raised import of_exception
from normdoctor.report import Finding, Result
from normdoctor.specimen import Specimen
from normdoctor.subject import Broken, NotApplicable

__all__ = ["examine"]

NAMES = {"batch": "batch normalization", "layer": "layer normalization", "group": "group normalization",
         "instance": "instance normalization", "rms": "RMS normalization"}  # fmt: skip


@dataclass
class Asked:
    """A probe that was asked: its result so far, and what was measured in a scenario."""

    probe: Probe
    verdict: str
    outcome: Outcome
    measured: Any = None


def examine(case: Case, probes: Sequence[Probe], other_kind: str = "") -> tuple[list[Result], list[Finding]]:
    """Ask all; the results, and what is wrong, the causes that explain most first.

    Args:
        case: the layer.
        probes: what to ask.
        other_kind: which other normalization the layer is exactly, if it is one: that explains whatever fails.
    """
    asked = [_ask(probe, case) for probe in probes]
    failed = [a for a in asked if a.verdict in ("fail", "raised")]
    if not failed:
        return [_result(a) for a in asked], []
    if other_kind:
        words = f"it is {NAMES[other_kind]}, and its output is right as such: check it with kind={other_kind!r}"
        finding = Finding("another normalization", words, tuple(a.probe.name for a in failed))
        return [_result(a, [finding]) for a in asked], [finding]
    fitted = None
    with isolated():
        if any(a.probe.what or a.probe.profile == "definition" for a in failed):
            fitted = fit(case)
    blamed: dict[str, list[Cause]] = {}
    for a in failed:
        blamed[a.probe.name] = _explained(a, case, fitted) if fitted and fitted.options else []
    _override(failed, blamed)
    findings = _findings(case, failed, blamed, fitted)
    return [_result(a, findings) for a in asked], findings


def _ask(probe: Probe, case: Case) -> Asked:
    """Ask one question; whatever the layer raises is part of the answer."""
    measured = None
    with isolated():
        try:
            subject = Specimen(case)
            for need in probe.needs:
                if why := subject.lacks(need):
                    raise NotApplicable(why)
            if probe.what:
                measured = probe.run(case, lambda **options: Specimen(case, **options))
                outcome = _held(probe, case, measured)
            else:
                outcome = probe.run(case)
            verdict = "fail" if outcome.diagnosis else "pass"
        except NotApplicable as reason:
            verdict, outcome = "not applicable", Outcome(str(reason))
        except Broken as fault:
            verdict, outcome = "fail", Outcome(str(fault), cause=fault.cause)
        except Exception as error:
            verdict, outcome = "raised", of_exception(probe, error)
    return Asked(probe, verdict, outcome, measured)


def _held(probe: Probe, case: Case, measured: Any, formula: Formula | None = None) -> Outcome:
    """What came out of a scenario, against its double."""

    def double(**options: Any) -> Double:
        return Double(Specimen(case, **options), formula, **options)

    outcome = same(measured, probe.run(case, double), probe.what, probe.ulps)
    if outcome.diagnosis and not outcome.cause:
        outcome = replace(outcome, diagnosis=probe.otherwise or outcome.diagnosis, cause=probe.cause)
    return outcome


# --- what explains what


def _explained(a: Asked, case: Case, fitted: Fit) -> list[Cause]:
    """The options of the fitted formula without which the double would not fail this probe as the layer does."""
    if not _agrees(a, case, fitted.formula):
        return []
    needed = []
    for option in fitted.options:
        without = case.right
        for other in fitted.options:
            without = without if other is option else other.of(without)
        if not _agrees(a, case, without):
            needed.append(option)
    return [option.cause for option in needed or fitted.options if option.cause.name]


def _agrees(a: Asked, case: Case, formula: Formula) -> bool:
    """Whether the layer passes the probe if this formula is what is right."""
    right = case.right
    try:
        with isolated():
            case.right = formula
            if a.probe.what and a.measured is not None:
                return not _held(a.probe, case, a.measured, formula).diagnosis
            if a.probe.what:  # nothing came out of the layer: nothing should come out of the double either
                try:
                    a.probe.run(case, lambda **options: Double(Specimen(case, **options), formula, **options))
                except Broken as fault:
                    return fault.cause == a.outcome.cause
                return False
            return not a.probe.run(case).diagnosis
    except Exception:
        return False
    finally:
        case.right = right


def _override(failed: Sequence[Asked], blamed: dict[str, list[Cause]]) -> None:
    """What a layer computes is no cause where it is random, or in the other mode than it was told: that is."""
    stronger = {"random", "one tensor for two", "mode fixed", "mode switch changes it"}
    found = next((CAUSES[a.outcome.cause] for a in failed if a.outcome.cause in stronger), None)
    if found is not None:
        for a in failed:
            if a.outcome.cause != found.name:
                blamed[a.probe.name] = [found]
            else:
                blamed[a.probe.name] = []


def _findings(case: Case, failed: Sequence[Asked], blamed: dict[str, list[Cause]], fitted: Fit | None) -> list[Finding]:
    """Each cause with the probes that it explains; those of the formula first, then by the table's order."""
    found: dict[str, tuple[Cause, list[str]]] = {}
    for cause in (c for causes in blamed.values() for c in causes):
        found.setdefault(cause.name, (cause, []))
    rest = [a for a in failed if not blamed[a.probe.name]]
    order = list(CAUSES)

    def first(a: Asked) -> tuple[int, bool]:
        """By the table; what a probe says in its own words before what an exception says."""
        return order.index(a.outcome.cause) if a.outcome.cause in order else len(order), a.verdict == "raised"

    same = Counter(a.outcome.diagnosis.partition("; perhaps")[0] for a in rest if a.verdict == "raised")
    for a in sorted(rest, key=first):
        said = a.outcome.diagnosis.partition("; perhaps")[0]
        if a.verdict == "raised" and same[said] >= 4:  # one error that stops many probes
            names = {b.outcome.cause for b in rest if b.outcome.diagnosis.startswith(said)} - {""}
            cause = CAUSES[names.pop() if len(names) == 1 else "raises an error"]
            entry = found.setdefault(cause.name, (replace(cause, words=f"it raises {said}"), []))
            blamed[a.probe.name] = [entry[0]]
            continue
        if a.outcome.cause == "unlike PyTorch's" and found:  # whatever else is wrong shows there, too
            blamed[a.probe.name] = [next(iter(found.values()))[0]]
            continue
        silencer = next((n for n, (cause, _) in found.items() if {a.probe.name, "*"} & set(cause.silences)), None)
        if silencer:
            blamed[a.probe.name] = [found[silencer][0]]
            continue
        name = a.outcome.cause or f"unexplained: {a.probe.name}"
        known = CAUSES.get(name)
        cause = Cause(name, a.outcome.diagnosis, known.silences if known else ())
        blamed[a.probe.name] = [found.setdefault(name, (cause, []))[0]]
    for probe, causes in blamed.items():
        for cause in causes:
            found[cause.name][1].append(probe)
    findings = [Finding(cause.name, cause.words, tuple(probes)) for cause, probes in found.values() if probes]
    return _with_example(case, findings, fitted)


def _with_example(case: Case, findings: Iterable[Finding], fitted: Fit | None) -> list[Finding]:
    """What no formula explains is gathered in one finding, with the smallest example that shows it."""
    explained = [f for f in findings if not f.cause.startswith("unexplained")]
    lost = [f for f in findings if f.cause.startswith("unexplained")]
    if not lost:
        return explained
    probes = tuple(p for f in lost for p in f.probes)
    with isolated():
        example = smallest_example(case, fitted.formula if fitted else case.right)
    words = f"no formula known here explains what it gives{f': {example}' if example else f' ({lost[0].words})'}"
    return [*explained, Finding("unexplained", words, probes)]


def _result(a: Asked, findings: Sequence[Finding] = ()) -> Result:
    mine = [f for f in findings if a.probe.name in f.probes] if a.verdict in ("fail", "raised") else []
    words = a.outcome.diagnosis
    formulas = [f.words for f in mine if a.probe.what]
    if formulas and mine[0].cause != "unexplained" and a.verdict == "fail":
        words = "; and ".join(formulas)
    return Result(
        a.probe.name,
        a.probe.question,
        a.verdict,
        a.outcome.measured,
        a.outcome.tolerance,
        a.outcome.source,
        words,
        tuple(f.cause for f in mine),
    )
