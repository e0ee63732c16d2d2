"""normdoctor in test suites: one assertion, or a test a probe; what is expected to fail must fail."""

import pytest
from normdoctor import assert_batchnorm, assert_normalization, check_batchnorm, parametrize_with_probes
from normdoctor.museum.correct import CorrectBatchNorm
from normdoctor.museum.exhibits import BiasedRunningVariance
from torch import nn

pytest_plugins = ["pytester"]


def test_a_sound_layer_passes_and_the_report_says_how_many_probes_ran():
    report = assert_batchnorm(nn.BatchNorm2d, require=["running mean"])
    assert len(report.ran) > 50
    assert_normalization(lambda c: nn.GroupNorm(2, c), "group")


def test_a_failure_reads_as_a_diagnosis():
    with pytest.raises(AssertionError, match=r"1\. \[biased running variance\] the running variance is biased"):
        assert_batchnorm(BiasedRunningVariance)
    with pytest.raises(AssertionError, match="could not be tested: OSError: no"):
        assert_batchnorm(lambda c: (_ for _ in ()).throw(OSError("no")))


def test_what_is_expected_to_fail_must_fail_and_must_run():
    failed = check_batchnorm(BiasedRunningVariance).failed
    assert_batchnorm(BiasedRunningVariance, expected_failures=dict.fromkeys(failed, "on purpose"))
    with pytest.raises(AssertionError, match="expected, and not found: eps"):
        assert_batchnorm(CorrectBatchNorm, expected_failures={"eps": "no longer"})
    with pytest.raises(AssertionError, match="did not run: momentum"):
        assert_batchnorm(lambda c: nn.BatchNorm2d(c, track_running_stats=False), require=["momentum"])
    assert_batchnorm(BiasedRunningVariance, expected_failures={"biased running variance": "on purpose"})
    with pytest.raises(AssertionError, match="expected, and not found: no eps"):
        assert_batchnorm(CorrectBatchNorm, expected_failures={"no eps": "no longer"})
    with pytest.raises(ValueError, match="no probe or cause 'running meam'; did you mean 'running mean'"):
        assert_batchnorm(CorrectBatchNorm, require="running meam")
    with pytest.raises(ValueError, match="no probe or cause 'epsilon'"):
        assert_batchnorm(CorrectBatchNorm, require=["epsilon"])


@parametrize_with_probes(CorrectBatchNorm, profile="definition")
def test_a_test_a_probe(probe):
    probe()


SUITE = """
from normdoctor import parametrize_with_probes
from normdoctor.museum.exhibits import EpsOutsideTheRoot

@parametrize_with_probes(EpsOutsideTheRoot, profile="definition", expected_failures={expected})
def test_layer(probe):
    probe()
"""


@pytest.mark.parametrize(
    ("expected", "outcomes"),
    [
        ("{'eps': 'as it was published'}", {"xfailed": 1}),
        ("{'training forward': 'stale'}", {}),
    ],
)
def test_xfails_are_strict(pytester, expected, outcomes):
    pytester.makepyfile(SUITE.replace("{expected}", expected))
    found = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider").parseoutcomes()
    assert found["failed"] >= 1
    assert found["passed"] > 10
    assert found.get("xfailed", 0) == outcomes.get("xfailed", 0)
