"""For test suites: one assertion for all probes, or a test of its own for each, as scikit-learn has it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

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
        expected_failures: probe → reason; all of them must fail.
        require: probes that must have run: that one "not applicable" is not taken for a pass.

    Returns:
        The report; `report.ran` says which probes applied.

    Raises:
        AssertionError: what is wrong, causes first; or an expected failure that passes, or did not run; or a required
            probe that did not run.
        ValueError: an unknown probe.
    """
    expected, required = dict(expected_failures or {}), list(require)
    unknown = [name for name in (*expected, *required) if name not in {probe.name for probe in PROBES}]
    if unknown:
        raise ValueError(f"no probe {unknown[0]!r}; there are: {', '.join(probe.name for probe in PROBES)}")
    report = check_normalization(make_layer, kind, **options)
    if report.untestable:
        raise AssertionError(f"{report.title} could not be tested: {report.untestable}")
    stale = [name for name in expected if name in report.ran and name not in report.failed]
    idle = [name for name in (*expected, *required) if name not in report.ran]
    surprising = [name for name in report.failed if name not in expected]
    problems = []
    if surprising:
        problems.append(as_text(report, only=surprising))
    if stale:
        problems.append(f"expected to fail, and passed: {', '.join(stale)}: take them off expected_failures")
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
