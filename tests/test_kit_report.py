"""normdoctor's report: a scoreboard, causes first, as text, HTML, JSON and JUnit."""

import json
import math
import re
from xml.etree import ElementTree

import pytest
from normdoctor import Finding, Report, Result, check_batchnorm
from normdoctor.output import as_json, as_junit, as_text, plain_ascii

from utils.layers import FirstBatchNorm2d

RESULTS = [
    Result("one", "Is <it>?", "pass", 1e-7, 3e-5, "x"),
    Result("two, longer", "Is it so?", "fail", 0.5, 3e-5, "x", "it is <not>"),
    Result("three", "Why?", "raised", diagnosis="KeyError: 'a'"),
    Result("four", "When?", "not applicable", diagnosis="never"),
]


def test_the_report_as_text():
    assert repr(Report("Layer", RESULTS)).splitlines() == [
        "Layer: 1 pass, 1 fail, 1 raised, 1 not applicable",
        "✓ pass            one          Is <it>?",
        "✗ fail            two, longer  Is it so?",
        "! raised          three        Why?",
        "– not applicable  four         When?",
    ]
    assert repr(Report("Nothing", [])) == "Nothing: 0 pass"


def test_the_report_as_html():
    html = Report("A <b>", RESULTS)._repr_html_()
    assert re.findall(r'<th scope="(\w+)"', html) == ["col"] * 3 + ["row"] * 4
    assert html.count("<tr>") == 5
    assert "<caption" in html
    assert "<b>" not in html
    for words in ("✓ pass", "✗ fail", "! raised", "– not applicable", "Is &lt;it&gt;?"):
        assert words in html


def test_the_report_as_a_collection():
    report = Report("Layer", RESULTS)
    assert len(report) == 4
    assert list(report) == RESULTS
    assert report["three"].verdict == "raised"
    assert report.failed == ("two, longer", "three")
    assert not report.ok
    assert Report("Layer", [RESULTS[0], RESULTS[3]]).ok
    with pytest.raises(KeyError, match="no probe 'five'"):
        report["five"]
    assert repr(report["two, longer"]) == "two, longer: fail. it is <not>"
    assert repr(report["one"]) == "one: pass"


def test_details_have_the_numbers_and_the_diagnoses():
    report = Report("Layer", RESULTS)
    assert repr(report.details()).splitlines() == [
        "Layer: 0 pass, 1 fail, 1 raised",
        "✗ two, longer: fail",
        "    it is <not>",
        "    measured 0.5, tolerance 3e-05 (x)",
        "! three: raised",
        "    KeyError: 'a'",
    ]
    assert "measured 1e-07" in repr(report.details(every=True))
    html = report.details()._repr_html_()
    assert "it is &lt;not&gt;" in html
    assert 'scope="row"' in html


# --- causes first


FINDINGS = [Finding("not so", "it is not so: " + "make it so and " * 12 + "so", ("two, longer", "three"))]
WHOLE = Report("Layer", RESULTS, FINDINGS, notes=("γ is 1 + weight",))


def test_causes_come_first_within_80_columns_and_in_ascii_if_asked_for():
    lines = as_text(WHOLE).splitlines()
    assert lines[:2] == ["Layer: 1 cause; 3 of 4 probes applied, 2 failed", "  note: γ is 1 + weight"]
    assert lines[2].startswith("1. [not so] it is not so: make it so")
    assert lines[-1] == "   probes: two, longer, three"
    assert max(map(len, lines)) <= 80
    assert "gamma is 1 + weight" in plain_ascii(as_text(WHOLE))
    assert plain_ascii(as_text(WHOLE)).isascii()
    assert as_text(WHOLE, only=["one"]).splitlines()[0].startswith("Layer: nothing is wrong")
    assert "it could not be tested: why not" in as_text(Report("Layer", [], untestable="why not"))


def test_json_is_strict():
    infinite = Result("five", "Is it?", "fail", math.inf, 1e-7, "x", "it is not")
    found = json.loads(as_json(Report("Layer", [*RESULTS, infinite], FINDINGS)), parse_constant=pytest.fail)
    assert found["ok"] is False
    assert found["causes"][0]["probes"] == ["two, longer", "three"]
    assert [probe["verdict"] for probe in found["probes"]] == [r.verdict for r in [*RESULTS, infinite]]
    assert found["probes"][-1]["measured"] is None


def test_junit_can_be_read_whatever_an_exception_says():
    results = [Result("three", "Why?", "raised", diagnosis="\x1b[31mRuntimeError\x00 \ud800")]
    [case] = ElementTree.fromstring(as_junit(Report("Layer", results)))
    assert case[0].get("message") == "?[31mRuntimeError? ?"


def test_junit_has_a_case_a_probe():
    suite = ElementTree.fromstring(as_junit(WHOLE))
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "1",
    }  # fmt: skip
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["error"], ["skipped"]]
    assert "it is not so" in suite[1][0].get("message")


def test_the_first_layer_by_cause():
    report = check_batchnorm(FirstBatchNorm2d)
    found = {finding.cause for finding in report.causes}
    assert found >= {
        "unbiased normalization", "no eps", "last batch only", "graph kept", "not registered", "silent about one value",
        "statistics appear late", "other names",
    }  # fmt: skip
    assert {probe for finding in report.causes for probe in finding.probes} == set(report.failed)
    assert all(set(result.causes) <= found for result in report)
    assert report["training forward"].causes == ("unbiased normalization",)
