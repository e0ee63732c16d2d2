"""For test suites: one assertion for all probes, or a test of its own for each, as scikit-learn has it."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

from normdoctor.causes import CAUSES
from normdoctor.checking import PROBES, check_normalization
from normdoctor.output import as_text
from normdoctor.probe import PROFILES
from normdoctor.report import Report

__all__ = ["assert_batchnorm", "assert_normalization", "parametrize_with_probes"]


def assert_batchnorm(make_layer: Callable[..., nn.Module], **options: Any) -> Report:
    """Assert that a batch-normalization layer is sound; everything else as `assert_normalization`."""
    return assert_normalization(make_layer, "batch", **options)


def assert_normalization(
    make_layer: Callable[..., nn.Module],
    kind: str = "batch",
    *,
    expected_failures: Mapping[str, str] | None = None,
    require: Iterable[str] = (),
    **options: Any,
) -> Report:
    """Assert that a normalization layer is sound, but for what is expected to fail.

    Args:
        make_layer, kind, options: as of `check_normalization`.
        expected_failures: probe or cause → reason; all must be found. A cause stands for the probes it explains.
        require: probes that must have run: that one "not applicable" is not taken for a pass.

    Returns:
        The report; `report.ran` says which probes applied.

    Raises:
        AssertionError: what is wrong, causes first; or an expected failure that passes, or did not run; or a required
            probe that did not run.
        ValueError: an unknown probe.
    """
    __tracebackhide__ = True
    expected, required = dict(expected_failures or {}), [require] if isinstance(require, str) else list(require)
    probes = [probe.name for probe in PROBES]
    for name in (*expected, *required):
        known = probes if name in required else [*probes, *CAUSES]
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise ValueError(f"no probe or cause {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    report = check_normalization(make_layer, kind, **options)
    if report.untestable:
        raise AssertionError(f"{report.title} could not be tested: {report.untestable}")
    found = {finding.cause: finding.probes for finding in report.causes}
    stale = [
        n for n in expected if (n in report.ran and n not in report.failed) or (n not in probes and n not in found)
    ]
    idle = [n for n in (*expected, *required) if n in probes and n not in report.ran]
    excused = {probe for name in expected for probe in found.get(name, (name,))}
    surprising = [name for name in report.failed if name not in excused]
    problems = []
    if surprising:
        problems.append(as_text(report, only=surprising))
    if stale:
        problems.append(f"expected, and not found: {', '.join(stale)}: take them off expected_failures")
    if idle:
        problems.append(f"expected or required, and did not run: {', '.join(idle)}")
    if problems:
        raise AssertionError("\n".join(problems))
    return report


def parametrize_with_probes(
    make_layer: Callable[..., nn.Module],
    kind: str = "batch",
    *,
    expected_failures: Mapping[str, str] | None = None,
    profile: str = "drop-in",
    everything: bool = False,
    **options: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that makes one test of each probe, with the probe's name as its id.

        @parametrize_with_probes(MyBatchNorm, expected_failures={"eps": "as in the paper's code"})
        def test_my_batchnorm(probe):
            probe()

    A probe that does not apply is skipped; one that is expected to fail is a strict xfail. It needs pytest. The layer
    is examined once, when the first of the tests runs.
    """
    import pytest

    expected = dict(expected_failures or {})
    asked = PROFILES[: PROFILES.index(profile) + 1]
    names = [p.name for p in PROBES if p.profile in asked and (everything or not p.slow) and "bnlayer" not in p.needs]
    if unknown := [name for name in expected if name not in names]:
        raise ValueError(f"no probe {unknown[0]!r}; there are: {', '.join(names)}")
    reports: list[Report] = []

    def asking(name: str) -> Callable[[], None]:
        def ask() -> None:
            __tracebackhide__ = True
            if not reports:
                options.setdefault("only", names)
                reports.append(check_normalization(make_layer, kind, profile=profile, everything=everything, **options))
            result = reports[0][name]
            if result.verdict == "not applicable":
                pytest.skip(result.diagnosis)
            if not result.ok:
                raise AssertionError(as_text(reports[0], only=[name]))

        return ask

    def mark(name: str) -> Any:
        return (
            [pytest.mark.xfail(reason=expected[name], strict=True, raises=AssertionError)] if name in expected else []
        )

    return pytest.mark.parametrize("probe", [pytest.param(asking(name), id=name, marks=mark(name)) for name in names])
