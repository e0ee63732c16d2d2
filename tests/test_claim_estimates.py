"""utils.claims.estimates, verdicts and nulls: intervals cover what they promise, verdicts follow from them alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from claim_nulls import null_rate
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from utils.claims.estimates import estimate, shift
from utils.claims.verdicts import HOLDS, NOT, UNDECIDED, Judged, of_interval, p_value, power, survive, together
from utils.claims.words import Estimand

INF = math.inf
DIFFERENCE = {"a": 1, "b": -1}


def estimand(holds, arms=DIFFERENCE, scale="difference", null=None, show="number") -> Estimand:
    null = (1.0 if scale == "ratio" else 0.0) if null is None else null
    return Estimand("gap", "a minus b", arms, scale, holds, "it matters", null, show, False)


def judged(holds, arms, **more) -> Judged:
    asked = estimand(holds, **more)
    found = estimate(arms, asked.arms, asked.scale)
    return Judged(asked, found, of_interval((found.low, found.high), holds))


# --- the estimate, against SciPy's


def test_a_shift_by_ranks_inverts_mann_and_whitneys_exact_test():
    random = np.random.default_rng(0)
    a, b = random.normal(1, 1, 5), np.append(random.normal(0, 2, 4), -9)
    found = shift(a, b)
    assert found.value == pytest.approx(np.median(np.subtract.outer(a, b)))
    for edge, inwards in (found.low, 1e-6), (found.high, -1e-6):
        outside, inside = (
            stats.mannwhitneyu(a - by, b, method="exact").pvalue for by in (edge - inwards, edge + inwards)
        )
        assert outside < 0.05 < inside
    assert shift(a[:3], b[:3]).interval(0.95) == (-INF, INF)  # twenty orders are too few
    many = shift(np.arange(20.0) + 5, np.arange(20.0))  # 138 billion orders: they are counted, and not made
    assert many.value == 5
    assert many.interval(0.95) == (1, 9)  # U of at most 127, by Mann and Whitney's tables


def test_the_smallest_p_must_survive_all_tests_and_the_next_one_less():
    assert survive({"a": 0.009, "b": 0.012, "c": 0.03}, 5) == {"a", "b"}
    assert survive({"a": 0.012, "b": 0.001}, 6) == {"b"}
    assert survive({}, 3) == set()


def test_two_arms_of_seeds_give_welchs_interval():
    random = np.random.default_rng(0)
    a, b = random.normal(1, 1, 5), random.normal(0, 2, 4)
    found, theirs = estimate({"a": a, "b": b}, DIFFERENCE), stats.ttest_ind(a, b, equal_var=False)
    assert found.value == pytest.approx(a.mean() - b.mean())
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()))
    assert found.df == pytest.approx(theirs.df)
    wider = theirs.confidence_interval(0.99)
    assert found.interval(0.99) == pytest.approx((wider.low, wider.high))


def test_a_ratio_is_worked_out_in_logarithms():
    random = np.random.default_rng(1)
    a, b = np.exp(random.normal(1, 1, 5)), np.exp(random.normal(0, 1, 5))
    found = estimate({"a": a, "b": b}, DIFFERENCE, "ratio")
    theirs = stats.ttest_ind(np.log(a), np.log(b), equal_var=False).confidence_interval()
    assert found.value == pytest.approx(stats.gmean(a) / stats.gmean(b))
    assert (found.low, found.high) == pytest.approx((math.exp(theirs.low), math.exp(theirs.high)))


@pytest.mark.parametrize(("k", "n"), [(0, 5), (3, 5), (5, 5), (1, 3)])
def test_one_arm_of_failures_gives_wilsons_interval(k, n):
    found = estimate({"a": [math.nan] * k + [2.3] * (n - k)}, {"a": 1}, "failures")
    theirs = stats.binomtest(k, n).proportion_ci(0.95, "wilson")
    assert (found.value, found.low, found.high) == pytest.approx((k / n, theirs.low, theirs.high), abs=1e-12)


def test_two_arms_of_failures_give_newcombes_interval():
    # Newcombe (1998), table II, method 10: 56/70 against 48/80
    fails = {"a": [INF] * 56 + [0] * 14, "b": [INF] * 48 + [0] * 32}
    found = estimate(fails, DIFFERENCE, "failures")
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert estimate({"a": [True] * 5, "b": [False] * 5}, DIFFERENCE, "failures").low > 0.3


def test_pictures_that_all_seeds_see_alike_widen_the_interval():
    """Without noise between seeds the pictures alone decide: a paired t-test over them."""
    random = np.random.default_rng(2)
    a, b = random.random((2, 400)) < np.array([[0.5], [0.4]])
    found = estimate({"a": np.tile(a, (4, 1)), "b": np.tile(b, (4, 1))}, DIFFERENCE)
    theirs = stats.ttest_rel(a.astype(float), b.astype(float)).confidence_interval()
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize(
    ("arms", "weights", "scale", "words"),
    [
        ({"a": [1, 2, math.nan]}, {"a": 1}, "difference", "NaN or infinity.*failures"),
        ({"a": [1, 2, INF]}, {"a": 1}, "ratio", "NaN or infinity"),
        ({"a": [1, 2]}, {"a": 1}, "difference", "2 of at least 3 seeds"),
        ({"a": [1, 2, 0]}, {"a": 1}, "ratio", "not positive"),
        ({"a": [1, 2, 3]}, {"b": 1}, "difference", "no arm 'b'; there are: a"),
        ({"a": np.ones((3, 2, 2))}, {"a": 1}, "difference", r"shape \(3, 2, 2\)"),
        ({"a": []}, {"a": 1}, "difference", "shape"),
        ({"a": np.ones((3, 4))}, {"a": 1}, "failures", "one value a seed"),
        ({"a": [1, 1, 1]}, {"a": 0.5}, "failures", "weights 1 and -1"),
        ({"a": [1, 2, 3]}, {"a": 1}, "median", "one of: difference, ratio, failures"),
    ],
)
def test_what_gives_no_interval_is_refused(arms, weights, scale, words):
    with pytest.raises(ValueError, match=words):
        estimate(arms, weights, scale)


# --- coverage, by simulation: the truth lies inside in at least 93 of 100 cases

CASES = {"normal, small": (0.05, False), "normal, large": (0.5, False), "skewed": (0.5, True)}
PICTURES, WORLDS = 300, 700


def answers(random, mean, sd, skewed, seeds, difficulty):
    """(S, P): right or wrong, where seeds differ by sd (in logits), and pictures in how hard they are."""
    ability = random.exponential(sd, seeds) - sd if skewed else random.normal(0, sd, seeds)
    logits = mean + ability[:, None] + difficulty + random.normal(0, 0.5, (seeds, len(difficulty)))
    return random.random(logits.shape) < 1 / (1 + np.exp(-logits))


def truth(random, mean, sd, skewed):
    return answers(random, mean, sd, skewed, 1000, random.normal(0, 1.2, 400)).mean()


@pytest.mark.proof
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("case", CASES)
def test_intervals_cover_the_truth(case, seeds):
    sd, skewed = CASES[case]
    random = np.random.default_rng([seeds, *map(ord, case)])
    true = np.mean([truth(random, 0.3, sd, skewed) - truth(random, 0.0, sd, skewed) for _ in range(50)])
    covered = 0
    for _ in range(WORLDS):
        hard = random.normal(0, 1.2, PICTURES)
        arms = {name: answers(random, mean, sd, skewed, seeds, hard) for name, mean in (("a", 0.3), ("b", 0.0))}
        found = estimate(arms, DIFFERENCE)
        covered += found.low <= true <= found.high
    assert covered / WORLDS >= 0.93


def test_the_simulation_sees_an_interval_that_forgets_the_seeds():
    """Fresh coin tosses for each seed and picture, as if nothing else varied: it covers far less than it says."""
    random, covered = np.random.default_rng(0), 0
    for _ in range(200):
        hard = random.normal(0, 1.2, PICTURES)
        a, b = (answers(random, 0, 0.5, False, 3, hard) for _ in range(2))
        half = 1.96 * math.sqrt((a.var() + b.var()) / a.size)
        covered += abs(a.mean() - b.mean()) <= half
    assert covered / 200 < 0.8


# --- from an interval to a verdict


@pytest.mark.parametrize(
    ("interval", "holds", "verdict"),
    [
        ((2, 5), (1, INF), HOLDS),
        ((0.5, 5), (1, INF), UNDECIDED),
        ((-3, 0.9), (1, INF), NOT),
        ((-0.5, 0.5), (-1, 1), HOLDS),
        ((0.5, 1.5), (-1, 1), UNDECIDED),
        ((1.5, 2), (-1, 1), NOT),
        ((-5, -2), (-INF, -1), HOLDS),
    ],
)
def test_a_verdict_is_where_the_whole_interval_lies(interval, holds, verdict):
    assert of_interval(interval, holds) == verdict


def test_together_one_that_fails_refutes_and_one_that_is_undecided_leaves_it_open():
    assert together([HOLDS, HOLDS]) == HOLDS
    assert together([HOLDS, UNDECIDED]) == UNDECIDED
    assert together([UNDECIDED, NOT, HOLDS]) == NOT


def test_the_p_value_of_a_verdict_is_the_t_tests():
    random = np.random.default_rng(3)
    arms = {"a": random.normal(5, 1, 6), "b": random.normal(0, 1, 6)}
    theirs = stats.ttest_ind(arms["a"] - 1, arms["b"], equal_var=False)
    assert p_value(judged((1, INF), arms)) == pytest.approx(theirs.pvalue, rel=1e-6)


def test_power_is_how_often_twice_the_smallest_effect_is_found():
    random, found, foretold = np.random.default_rng(4), [], []
    for _ in range(1500):
        arms = {"a": random.normal(2, 0.5, 6), "b": random.normal(0, 0.5, 6)}
        each = judged((1, INF), arms)
        found.append(each.verdict == HOLDS)
        foretold.append(power(each))
    assert np.mean(found) == pytest.approx(np.mean(foretold), abs=0.06)
    assert power(judged((-1, 1), {"a": [0.1, 0, 0.2], "b": [0, 0.1, 0.1]})) > 0.99
    assert power(judged((-0.01, 0.01), {"a": [0, 1, 2], "b": [2, 1, 0]})) == 0
    assert power(judged((2, INF), {"a": [1, 2, 4], "b": [1, 2, 4]}, scale="ratio")) < 0.5
    assert math.isnan(power(judged((0.5, 1), {"a": [1, 1, 0], "b": [0, 0, 0]}, scale="failures")))
    assert power(judged((1, INF), {"a": [2, 2, 2], "b": [0, 0, 0]})) == 1
    assert power(judged((-1, 1), {"a": [0, 1e-3, 0], "b": [0, 0, 1e-3]})) == 1


# --- the null, measured by exchanging arms


@pytest.mark.parametrize(
    ("holds", "more"),
    [
        ((0.2, INF), {}),
        ((-0.2, 0.2), {}),
        ((-INF, 0.02), {"null": 0.3}),
        ((1.5, INF), {"scale": "ratio"}),
        ((0.5, 2), {"scale": "ratio"}),
        ((0.5, 1), {"scale": "failures"}),
        ((0.2, INF), {"arms": {"a": 1}}),
        ((0.9, 1), {"arms": {"a": 1}, "scale": "failures", "null": 0.2}),
    ],
)
def test_no_rule_lets_its_null_pass_often(holds, more):
    random = np.random.default_rng(5)
    arms = {"a": random.lognormal(1, 0.2, 6), "b": random.lognormal(0, 0.2, 6)}  # far apart: the null moves them
    if more.get("scale") == "failures":
        arms = {"a": [INF, INF, INF, INF, 1, 1], "b": [1, 1, 1, INF, 1, 1]}
    assert null_rate(estimand(holds, **more), arms, draws=400) <= 0.03


def test_a_rule_without_a_smallest_effect_lets_its_null_pass_as_often_as_it_says():
    random = np.random.default_rng(6)
    rows = {name: random.random((6, 300)) < 0.4 for name in "ab"}
    assert 0.001 <= null_rate(estimand((1e-9, INF)), rows, draws=1000) <= 0.04


def test_what_compares_no_runs_has_no_null():
    with pytest.raises(ValueError, match="no null"):
        null_rate(estimand((0, 1), {"a": 1}, "every"), {"a": np.ones(3)})


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-10, 10), min_size=3, max_size=6), st.floats(-5, 5), st.floats(0.1, 3))
def test_an_estimate_moves_and_grows_with_its_arms(values, shift, factor):
    before = estimate({"a": values}, {"a": 1})
    after = estimate({"a": [factor * v + shift for v in values]}, {"a": 1})
    wanted = [factor * v + shift for v in (before.value, before.low, before.high)]
    assert [after.value, after.low, after.high] == pytest.approx(wanted, abs=1e-6)
