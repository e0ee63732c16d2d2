"""utils.claims: words are checked, verdicts computed from records, a contradiction raises, the board lists them."""

from __future__ import annotations

import json
import math
import re
import sys
from html import unescape
from pathlib import Path

import nbformat
import numpy as np
import pytest
from claim_lessons import ARMS, BOTH, CAVEAT, FACT, GAP, HEAD, OPEN, displayed
from contrast import contrast
from nbval.plugin import get_sanitize_patterns

from utils import data, study
from utils.claims import VERDICTS, Board, ClaimError, board, claim, collect, records, seeds
from utils.claims.board import holm
from utils.claims.made import claim_of
from utils.claims.verdicts import HOLDS, NOT, UNDECIDED
from utils.claims.verdicts import OPEN as IS_OPEN
from utils.claims.words import reference, words_of

SANITIZE = Path(__file__).resolve().parent / "nbval_sanitize.cfg"
SAME = {"without": [60, 61, 60, 59, 60], "with": [60, 60, 61, 59, 60]}


def plain(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", " ", html))


def shown(slug: str = "slower", arms=ARMS):
    """The one output of a claim."""
    with displayed() as outputs:
        claim(slug, arms)
    [output] = outputs
    nbformat.validate(output, ref="output", version=4)
    return output


# --- words


def test_words_are_read_with_what_goes_without_saying(course):
    course.write(HEAD + GAP + CAVEAT + FACT)
    words = words_of("slower")
    assert (words.number, words.by) == ("7.1", "Ioffe & Szegedy (2015), section 3.1")
    gap, steady = words.estimands
    assert (gap.scale, gap.null, gap.show, gap.caveat, gap.rule) == ("difference", 0, "number", False, "above 10")
    assert steady.caveat
    assert words.arms == ["without", "with"]
    witness = words_of("exists").estimands[0]
    assert (witness.scale, witness.rule) == ("some", "at least 3")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD, "every other claim has estimands"),
        (HEAD + GAP.replace("holds = [10, inf]", "holds = [-1, inf]"), "it holds where there is no effect"),
        (HEAD + GAP.replace("holds = [10, inf]", "holds = [-inf, inf]"), "one of them finite"),
        (HEAD + GAP.replace("holds = [10, inf]", "holds = [3, 2]"), "one of them finite"),
        (HEAD + GAP.replace("why", "# why"), "has no 'gap.why'"),
        (HEAD + GAP + 'scale = "median"', "difference, ratio, failures"),
        (HEAD + GAP + 'edge = "3"', "gap: unknown: edge"),
        (HEAD.replace("unit", "# unit") + GAP, "has no 'unit'"),
        (HEAD.replace("kind", "kinds") + GAP, "kind"),
        (HEAD.replace('"measured"', '"folklore"') + GAP, "identity, fact, measured, open"),
        (HEAD.replace('"paraphrase"', '"ours"') + GAP, "has none"),
        (HEAD.replace("source", "# source") + GAP, "needs a source"),
        (HEAD.replace("ioffe2015", "nobody1999") + GAP, "no 'nobody1999'; there are: ioffe2015, page"),
        (HEAD.replace("place", "margin") + GAP, "unknown: margin"),
        *(
            (
                HEAD + GAP + f'[slower.{grids}]\nwith = {{ "0.1" = 0.3, "0.01" = 0.2 }}',
                "at the edge of its grid, 0.01, 0.1",
            )
            for grids in ("rates", "rates-on-the-stand-in")
        ),
        (FACT.replace("sizes = 1", "sizes = 2"), "one arm, with weight 1"),
        (OPEN.replace("decides", "# decides"), "an open question says"),
        ("[slower", "claims.toml"),
    ],
)
def test_words_that_say_too_little_or_too_much_are_refused(course, text, words):
    course.write(text)
    with pytest.raises(ValueError, match=re.escape(words)):
        collect()


def test_a_rate_inside_its_grid_is_shown(course):
    grid = 'with = { "0.1" = 0.3, "0.01" = 0.2, "1" = 0.1 }\n'
    other = grid.replace("0.3", "0.1").replace('"0.01" = 0.2', '"0.03" = 0.2, "0.01" = 0.1')
    course.write(HEAD + GAP + f"[slower.rates]\n{grid}[slower.rates-on-the-stand-in]\n{other}")
    card = plain(shown().data["text/html"])
    assert "with: rate 0.1, by accuracy on held-out training examples" in card
    assert "with, on the stand-in: rate 0.03, by accuracy on held-out training examples" in card


def test_an_unknown_slug_says_which_there_are(course):
    with pytest.raises(ValueError, match=r"no lesson has claim 'slow'; there is: slower"):
        claim("slow", ARMS)


def test_a_work_of_the_bibliography_is_cited_as_usual(course):
    assert reference("ioffe2015")["short"] == "Ioffe & Szegedy (2015)"
    assert reference("ioffe2015")["full"] == "Ioffe & Szegedy (2015). Batch Normalization."
    assert reference("ioffe2015")["url"] == "https://doi.org/10.1/x"
    assert reference("page")["short"] == "The page"


@pytest.mark.parametrize(
    ("holds", "scale", "show", "rule"),
    [
        ("[0.02, inf]", "difference", "points", "above 2.0 points"),
        ("[-inf, -0.02]", "difference", "points", "below −2.0 points"),
        ("[0.5, 2]", "ratio", "times", "between 0.5 and 2 times"),
        ("[0.25, inf]", "failures", "percent", "above 25 %"),
    ],
)
def test_a_rule_is_said_in_words(course, holds, scale, show, rule):
    course.write(HEAD + GAP.replace("[10, inf]", holds) + f'scale = "{scale}"\nshow = "{show}"')
    assert words_of("slower").estimands[0].rule == rule


# --- records


def test_records_come_back_as_they_were_kept(course, monkeypatch, tmp_path):
    random = np.random.default_rng(0)
    arms = {"steps": np.array([1, math.inf, math.nan, 1e-12]), "right": (random.random((3, 101)) < 0.3).astype(float)}
    monkeypatch.setenv("COURSE_RECORD", str(tmp_path / "kept"))
    assert records.keep("slower", "CIFAR-10", arms)
    kept = json.loads((tmp_path / "kept" / "slower.json").read_text())["CIFAR-10"]
    for name, row in records.unpacked(kept).items():
        np.testing.assert_allclose(row, arms[name])
    monkeypatch.delenv("COURSE_RECORD")
    assert not records.keep("slower", "CIFAR-10", arms)
    assert records.stored("slower") == {}
    course.record()
    assert list(records.stored("slower")) == list(BOTH)
    (course.lesson / "claims.json").write_text("{]")
    records.load.cache_clear()
    with pytest.raises(ValueError, match="run it again"):
        records.stored("slower")


def test_there_are_more_seeds_where_claims_are_recorded(monkeypatch):
    assert list(seeds(3)) == [0, 1, 2]
    monkeypatch.setenv("COURSE_SEEDS", "6")
    assert len(seeds(3)) == 6
    assert len(seeds(8)) == 8


# --- the verdict


def test_where_the_data_sets_disagree_it_is_undecided(course):
    course.record()
    assert claim_of("slower").verdict == HOLDS
    course.record(arms=SAME, sets=["stand-in"])
    assert claim_of("slower").verdict_on("stand-in") == NOT
    assert claim_of("slower").verdict == UNDECIDED
    course.record(arms=SAME)
    assert claim_of("slower").verdict == NOT


def test_a_caveat_counts_where_it_holds_and_the_claim_does(course):
    course.write(HEAD + GAP + CAVEAT)
    course.record()
    assert not claim_of("slower").has_caveat  # 20 steps, where 25 would matter
    course.record(arms={"without": [90, 91, 92], "with": [40, 41, 42]})
    assert claim_of("slower").has_caveat
    assert claim_of("slower").verdict == HOLDS
    course.record(arms={"without": [40, 41, 42], "with": [40, 41, 42]})
    assert claim_of("slower").verdict == NOT
    assert not claim_of("slower").has_caveat


def test_arms_of_the_same_networks_are_compared_seed_by_seed(course):
    near = {"without": [50, 90, 130, 170, 210], "with": [30, 71, 109, 150, 191]}
    course.record(arms=near)
    assert claim_of("slower").verdict == UNDECIDED
    course.write(HEAD + GAP + "paired = true")
    assert claim_of("slower").verdict == HOLDS
    course.record(arms=near | {"with": [1, 2, 3]})
    with pytest.raises(ValueError, match="paired seed by seed"):
        _ = claim_of("slower").verdict
    course.write(HEAD + GAP + 'paired = true\nscale = "ratio"')
    with pytest.raises(ValueError, match="only differences are paired"):
        claim_of("slower")


@pytest.mark.parametrize(
    ("scale", "sizes", "verdict"),
    [("some", [1, 2, 4], HOLDS), ("some", [1, 2, 2.5], NOT), ("every", [3, 5], HOLDS), ("every", [2.9, 5], NOT)],
)
def test_a_fact_needs_one_witness_or_every_value(course, scale, sizes, verdict):
    course.write(FACT.replace('"some"', f'"{scale}"'))
    course.record("exists", {"sizes": sizes})
    assert claim_of("exists").verdict == verdict


def test_an_open_question_says_what_would_decide_it(course, monkeypatch, tmp_path):
    course.write(OPEN)
    output = shown("nobody-knows", None)
    assert output.data["text/plain"] == "Claim 7.1: open. A longer run."
    assert "It would be decided by: A longer run." in re.sub(r"\s+", " ", plain(output.data["text/html"]))
    assert claim_of("nobody-knows").verdict == IS_OPEN
    monkeypatch.setenv("COURSE_RECORD", str(tmp_path / "kept"))
    shown("nobody-knows", None)
    assert not (tmp_path / "kept").exists()  # there is nothing to record


def test_a_finding_is_filled_with_numbers_and_must_know_its_gaps(course):
    course.record()
    assert claim_of("slower").finding.startswith("Without, 40 [")
    assert "60 steps, about 40." in claim_of("slower").finding
    course.write(HEAD.replace("{gap}", "{other}") + GAP)
    with pytest.raises(ValueError, match="gaps for gap"):
        _ = claim_of("slower").finding


# --- the call


def test_a_claim_is_shown_once_with_its_verdict_and_what_was_just_measured(course):
    course.record()
    output = shown()
    assert output.data["text/plain"].startswith("Claim 7.1: holds. Without, 40 [")
    assert output.metadata == {"claim": {"slug": "slower", "number": "7.1", "problem": ""}}
    text = re.sub(r"\s+", " ", plain(output.data["text/html"]))
    for words in ("✔ holds", "measured", "It takes longer without.", "(Ioffe & Szegedy (2015), section 3.1)",
                  "steps without, minus steps with", "above 10", "just now", "They trained for days.",
                  "ten steps are a second"):  # fmt: skip
        assert words in text


def test_a_claim_that_nobody_recorded_has_no_verdict(course):
    output = shown()
    assert "not recorded yet" in output.data["text/plain"]
    assert not any(f"{sign} {verdict}" in plain(output.data["text/html"]) for verdict, (sign, _) in VERDICTS.items())


def test_what_contradicts_the_record_raises_and_shows_no_verdict(course):
    course.record()
    with displayed() as outputs, pytest.raises(ClaimError, match=r"claim 7\.1 is contradicted: steps without"):
        claim("slower", SAME)
    [output] = outputs
    assert output.metadata["claim"]["problem"]
    assert "contradicted" in output.data["text/plain"]
    assert "✔" not in plain(output.data["text/html"])
    near = {"without": [25, 60, 90], "with": [10, 20, 30]}  # undecided is no contradiction
    assert shown(arms=near)


def test_only_the_data_set_in_use_can_contradict(course, monkeypatch):
    course.record()
    course.record(arms=SAME, sets=["stand-in"])
    monkeypatch.setattr(data.loading, "_loaded", True)
    assert data.in_use() == "stand-in"
    assert "undecided" in shown(arms=SAME).data["text/plain"]
    with displayed(), pytest.raises(ClaimError):
        claim("slower", ARMS)


def test_recording_keeps_what_was_measured_and_contradicts_nothing(course, monkeypatch, tmp_path):
    course.record(arms={"an arm that is no longer there": [1, 2, 3]})
    monkeypatch.setenv("COURSE_RECORD", str(tmp_path))
    with displayed() as outputs:
        claim("slower", SAME)
        with pytest.raises(ValueError, match="NaN"):
            claim("slower", SAME | {"with": [1, 2, math.nan]})
    assert outputs == []
    assert json.loads((tmp_path / "slower.json").read_text())[data.in_use()]["with"] == "1 2 nan"


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        ({"without": [1, 2, 3]}, "no arm 'with'"),
        (ARMS | {"with": [1, 2]}, "at least 3 seeds"),
        (ARMS | {"with": [1, 2, math.nan]}, "NaN or infinity"),
    ],
)
def test_arms_that_cannot_be_judged_are_refused_before_anything_is_shown(course, arms, words):
    course.record()
    with displayed() as outputs, pytest.raises(ValueError, match=words):
        claim("slower", arms)
    assert not outputs


def test_what_was_just_measured_is_left_out_by_nbval_and_nothing_else(course):
    course.record()
    first, second = (shown(arms=arms).data["text/html"] for arms in (ARMS, ARMS | {"with": [11, 21, 30, 25, 15]}))
    assert first != second
    for pattern, instead in get_sanitize_patterns(SANITIZE.read_text()):
        first, second = (re.sub(pattern, instead, each) for each in (first, second))
    assert first == second
    assert "✔ holds" in plain(first)
    course.record(arms=SAME)
    assert plain(shown(arms=SAME).data["text/html"]) != plain(first)


def test_a_card_escapes_what_it_shows(course):
    nasty = "<script>alert('x')</script> & <b>"
    course.write(HEAD.replace("It takes longer without.", nasty) + GAP)
    course.record()
    html = shown().data["text/html"]
    assert nasty in unescape(html)
    assert "<script" not in html
    assert "<script" not in board()._repr_html_()


def test_card_and_board_show_what_the_study_found(course, monkeypatch):
    course.write(HEAD + GAP)
    course.record()
    assert "After hours" not in shown().data["text/html"]  # nothing is asked of it
    with monkeypatch.context() as undecided:
        undecided.setattr(type(claim_of("slower")), "verdict", UNDECIDED)
        assert "the study does not ask this" in shown().data["text/html"]
    monkeypatch.setattr(study, "estimands_about", lambda slug, tier="hours": [("few", "a")] if tier == "gpu" else [])
    assert "not run; the study's larger plan, for a GPU, asks this" in unescape(shown().data["text/html"])
    assert "not run: for a GPU" in board()._repr_html_()
    monkeypatch.setattr(study, "estimands_about", lambda slug: [("order", "gap")])
    monkeypatch.setattr(study, "verdicts", lambda: {"claims": {}, "estimands": {}})
    assert "has yet to answer its question “order”" in shown().data["text/html"]
    assert "not run yet" in board()._repr_html_()
    answer = {"what": "before minus after", "rule": "above 1.0 points", "text": "3.0 points [2.0, 4.0]"}
    answer |= {"length": "3,000 steps", "verdict": HOLDS}
    for lasts in (True, None, False):
        known = {"claims": {"slower": UNDECIDED}, "estimands": {"order": {"gap": {**answer, "lasts": lasts}}}}
        monkeypatch.setattr(study, "verdicts", lambda known=known: known)
        card = unescape(shown().data["text/html"])
        assert "before minus after: 3.0 points [2.0, 4.0] ✔ (holds if above 1.0 points). Runs of 3,000 steps" in card
        assert ("At twice the epochs the effect differs" in card) == (lasts is False)
    assert board()._repr_html_().count("? undecided at this scale") == 1
    assert board().markdown(measured=True).count("? undecided at this scale") == 1
    other = answer | {"text": "5.0 points [4.0, 6.0]", "lasts": None}
    known = {"claims": {"slower": UNDECIDED}, "estimands": {"order": {"gap": other, "own": other}}}
    monkeypatch.setattr(study, "estimands_about", lambda slug: [("order", "gap"), ("order", "own")])
    monkeypatch.setattr(study, "verdicts", lambda: known)
    each = "5.0 points [4.0, 6.0] ✔ and 5.0 points [4.0, 6.0] ✔ (each holds if above 1.0 points). Runs"
    assert each in unescape(shown().data["text/html"])


@pytest.mark.parametrize("color", sorted({color for _, color in VERDICTS.values()}))
def test_a_badge_can_be_read(color):
    assert contrast(color, "#ffffff") > 4.5


# --- the board


def test_the_board_lists_the_claims_with_their_kinds(course):
    course.write(OPEN + HEAD + GAP + FACT)
    course.record()
    course.record("exists", {"sizes": [1, 4]})
    made = board()
    assert [c.words.slug for c in made.claims] == ["nobody-knows", "slower", "exists"]
    assert len(made) == 3
    assert repr(made).splitlines()[1].split() == ["7.2", "holds", "It", "takes", "longer", "without."]
    html = made._repr_html_()
    assert html.count("<tr>") == 4
    assert '<a href="07_is_it.ipynb">7.2</a>' in html
    rows = made.markdown("notebooks/").splitlines()
    assert rows[3] == ("| [7.2](notebooks/07_is_it.ipynb) | measured | It takes longer without. | "
                       "Ioffe & Szegedy (2015), section 3.1 | ✔ holds * |")  # fmt: skip
    assert "steps without, minus steps with (above 10): 40 [" in made.markdown(measured=True)
    assert "Of 1 measured claims 1 are decided" in made.chance()
    assert collect(before="07") == []
    assert Board([]).markdown() == ""
    assert "No claims yet" in Board([])._repr_html_()


def test_stars_correct_for_all_claims_among_which_those_shown_were_chosen(course, monkeypatch):
    course.write(OPEN + HEAD + GAP + FACT)
    course.record()
    made = board().claims
    monkeypatch.setattr(sys.modules[Board.__module__], "holm", lambda claims: {"slower"} if len(claims) == 1 else set())
    chosen = made[1:2]
    assert "✔ holds *" in Board(chosen).markdown()
    assert "✔ holds *" not in Board(chosen, made).markdown()


def test_where_no_pictures_play_a_part_the_card_has_one_column(course):
    course.write(HEAD + GAP)
    course.record()
    assert unescape(shown().data["text/html"]).count("stand-in</th>") > 0
    course.write(HEAD.replace("unit =", "pictures = false\nunit =") + GAP)
    card = unescape(shown().data["text/html"])
    assert not {"stand-in", "CIFAR-10"} & set(re.findall(r"stand-in|CIFAR-10", card))
    assert "recorded</th>" in card
    assert "<strong>Just now</strong>:" in card


def test_holm_keeps_what_survives_all_tests(course):
    course.write("".join((HEAD + GAP).replace("slower", f"slower-{i}") for i in range(3)))
    strong, weak = ARMS, {"without": [35, 60, 85, 50, 45], "with": [10, 20, 30, 25, 15]}
    for i, arms in enumerate((strong, weak, SAME)):
        course.record(f"slower-{i}", arms)
    made = collect()
    assert [c.verdict for c in made][:2] == [HOLDS, HOLDS]
    assert made[0].p < 0.05 / 3 < made[1].p < 0.05
    assert holm(made[:2]) == {"slower-0", "slower-1"}
    assert "slower-1" not in holm(made[:2] + [made[1]] * 3)


def test_of_sizes_the_largest_decides_and_is_shown(course):
    course.write(FACT.replace('"some"', '"every"').replace("[3, inf]", "[0, 0.5]"))
    course.record("exists", {"sizes": [1e-9, 0.2, 0.1]})
    assert claim_of("exists").finding == "There is: 0.2."
