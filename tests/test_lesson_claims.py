"""The claims of the lessons: recorded as they are worded, able to come out either way, blind to what is not there."""

from __future__ import annotations

import base64
import math
import re
from pathlib import Path

import numpy as np
import pytest
from claim_nulls import null_rate

from tools.broken import breakages, broken
from utils import lessons
from utils.claims import collect
from utils.claims.card import html
from utils.claims.estimates import SEEDS, estimate
from utils.claims.records import DATA_SETS
from utils.claims.verdicts import HOLDS, NOT, judge, of_interval
from utils.claims.words import VALUES

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = collect()
DRAWS = 1000
ORIGINS = 5  # sentences of the page that the course started from
MEASURED = [(made, estimand) for made in CLAIMS for estimand in made.words.estimands if made.words.kind == "measured"]

each_claim = pytest.mark.parametrize("made", CLAIMS, ids=[made.words.slug for made in CLAIMS])
each_measured = pytest.mark.parametrize(
    ("made", "estimand"), MEASURED, ids=[f"{made.words.slug}-{estimand.name}" for made, estimand in MEASURED]
)


@each_claim
def test_a_claim_is_recorded_as_it_is_worded(made):
    if made.words.kind == "open":
        assert not made.arms
        return
    assert list(made.arms) == list(DATA_SETS), "run `make claims`"
    for name, arms in made.arms.items():
        assert set(made.words.arms) <= set(arms), f"{name}: the words ask for arms that were not measured"
    assert made.finding.endswith((".", "?", "!", "”"))
    assert made.verdict


@each_claim
def test_how_its_experiment_is_broken_is_known_and_can_be_done(made):
    """`make broken` runs it; here, that the notebook still holds what is exchanged."""
    import nbformat

    number = lessons.lesson_of("claims", made.words.slug)
    exchanged = lessons.table(number, "claims")[made.words.slug].get("broken", {})
    assert bool(exchanged) == (made.words.kind != "open")
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    together = breakages(number).get(tuple(exchanged.items()), [])
    assert (made.words.slug in together) == bool(exchanged)
    if together:
        broken(nbformat.read(path, as_version=4), exchanged.items(), together)


@pytest.mark.proof
@each_measured
def test_nothing_lets_an_effect_pass_that_is_not_there(made, estimand):
    """Over a thousand draws from what was recorded; of each data set apart. Among so many rules chance alone puts some
    beyond what chance adds to 2.5 % in 98 of 100 cases: those are drawn again, ten times as often."""
    for name, arms in made.arms.items():
        for seed, draws in enumerate((DRAWS, 10 * DRAWS)):
            rate, by_chance = null_rate(estimand, arms, draws, seed), 2 * (0.025 * 0.975 / draws) ** 0.5
            if rate <= 0.025 + by_chance:
                break
        assert rate <= 0.025 + by_chance, f"on {name}, {rate:.1%} of the draws hold though there is no effect"


@each_measured
def test_a_measured_claim_can_hold_and_can_fail(made, estimand):
    """Random arms: with seeds alike, some make it hold and some do not; so no rule is true or false of itself."""
    random, seen = np.random.default_rng(0), set()
    low, high = (math.log(edge) if estimand.scale == "ratio" and edge > 0 else edge for edge in estimand.holds)
    reach = 4 * max(abs(edge) for edge in (low, high) if math.isfinite(edge)) + 1
    for _ in range(400):
        if estimand.scale == "failures":
            arms = {arm: (random.random(30) < random.choice([0.0, 0.5, 1.0])).astype(float) for arm in estimand.arms}
        else:
            rows = {arm: random.uniform(-reach, reach) + random.normal(0, 1e-3, 5) for arm in estimand.arms}
            arms = {arm: np.exp(row) for arm, row in rows.items()} if estimand.scale == "ratio" else rows
        found = estimate(arms, estimand.arms, estimand.scale)
        seen.add(of_interval((found.low, found.high), estimand.holds))
    assert {HOLDS, NOT} <= seen


@each_claim
def test_a_verdict_rests_on_more_seeds_than_the_fewest(made):
    for arms in made.arms.values():
        for estimand in made.words.estimands:
            if estimand.scale not in VALUES:
                assert min(len(arms[arm]) for arm in estimand.arms) > SEEDS


def test_the_origins_sentences_are_all_put_to_the_test():
    origin = [made for made in CLAIMS if made.words.source == "origin"]
    assert len(origin) >= ORIGINS
    assert all(made.words.kind != "open" for made in origin)


def test_the_page_of_the_first_paper_names_claims_that_there_are_and_counts_right():
    page = (ROOT / "docs" / "ioffe-szegedy-2015.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| (abstract|\d)", line)]
    cited = [set(re.findall(r"`([a-z0-9-]+)`", row)) for row in rows]
    assert set.union(*cited) <= {made.words.slug for made in CLAIMS}
    untested = sum(row.rsplit(" | ", 1)[1].startswith("not tested") for row in rows)
    assert [bool(slugs) for slugs in cited].count(False) == untested
    assert f"{len(rows) - untested} of {len(rows)} are tested here" in page
    assert f"; {untested} are not" in page


def test_the_readme_shows_few_claims():
    assert 5 <= sum(made.words.surprising for made in CLAIMS) <= 10


# A notebook's column at 150 % zoom on 1280 x 720, in JupyterLab's type: what is left of the screen is 360 pixels high.
# The typeface is one that the course brings, made as wide as Arial: what is installed differs from machine to machine.
FACE = base64.b64encode((ROOT / "utils/plots/fonts/CourseSans-Regular.ttf").read_bytes()).decode()
COLUMN = f"""@font-face {{font-family: type; src: url("data:font/ttf;base64,{FACE}"); size-adjust: 107%}}
body {{width: 660px; margin: 0; font: 14px/1.6 type}} p {{margin: 0 0 1em}} td, th {{padding: .5em}}
table {{font-size: 12px; border-collapse: collapse; margin-bottom: 1em}}"""


@pytest.mark.browser
def test_every_card_fits_on_a_screen(browser):
    page, high = browser.new_page(viewport={"width": 700, "height": 480}), {}
    for made in CLAIMS:
        now = judge(made.words, next(iter(made.arms.values()))) if made.arms else []
        page.set_content(f"<style>{COLUMN}</style>{html(made, now, 'CIFAR-10')}")
        page.evaluate("document.fonts.ready.then(() => 0)")
        high[made.words.number] = page.evaluate("document.querySelector('div').getBoundingClientRect().height")
    page.close()
    assert not {number: height for number, height in high.items() if height > 360}
