"""A report as text for a terminal, as JSON, and as JUnit's XML."""

import json
import math
import re
import textwrap
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from normdoctor.report import Report

__all__ = ["as_json", "as_junit", "as_text", "plain_ascii"]

NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML cannot hold

WIDTH = 80
PLAIN = str.maketrans(
    {
        "γ": "gamma",
        "β": "beta",
        "σ": "sigma",
        "μ": "mu",
        "²": "^2",
        "·": "*",
        "–": "-",
        "√": "sqrt",
        "→": "->",
        "✓": "+",
        "✗": "x",
        "\u0302": "-hat",
    }
)


def as_text(report: Report, only: Iterable[str] | None = None) -> str:
    """What is wrong, a cause a paragraph with the probes that it explains; within 80 columns.

    Args:
        report: of a layer.
        only: probes; causes that explain none of them are left out.
    """
    wanted = set(report.failed if only is None else only)
    findings = [f for f in report.causes if wanted & set(f.probes)]
    ran = f"{len(report.ran)} of {len(report)} probes applied, {len(report.failed)} failed"
    if report.untestable:
        lines = [f"{report.title}: it could not be tested: {report.untestable}"]
    elif not findings:
        lines = [f"{report.title}: nothing is wrong; {ran}"]
    else:
        how_many = f"{len(findings)} cause{'s' * (len(findings) != 1)}"
        lines = [f"{report.title}: {how_many}; {ran}"]
    for note in report.notes:
        lines.append(f"  note: {note}")
    for number, finding in enumerate(findings, 1):
        lines.append(f"{number}. [{finding.cause}] {finding.words}")
        lines.append(f"   probes: {', '.join(finding.probes)}")
    return "\n".join(textwrap.fill(line, WIDTH, subsequent_indent="   ", break_on_hyphens=False) for line in lines)


def plain_ascii(text: str) -> str:
    """The text in ASCII, Greek letters by name."""
    return text.translate(PLAIN).encode("ascii", "replace").decode("ascii")


def as_json(report: Report) -> str:
    """The report as strict JSON: numbers that are not finite are null."""

    def finite(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    content = {
        "layer": report.title,
        "ok": report.ok,
        "untestable": report.untestable,
        "notes": list(report.notes),
        "causes": [asdict(finding) for finding in report.causes],
        "probes": [{key: finite(value) for key, value in asdict(result).items()} for result in report],
    }
    return json.dumps(content, allow_nan=False, ensure_ascii=False, indent=2)


def as_junit(report: Report) -> str:
    """The report as the XML that continuous integration shows: a test case a probe."""
    counts = {
        verdict: str(sum(r.verdict == verdict for r in report)) for verdict in ("fail", "raised", "not applicable")
    }
    suite = ElementTree.Element(
        "testsuite",
        name=report.title,
        tests=str(len(report)),
        failures=counts["fail"],
        errors=counts["raised"],
        skipped=counts["not applicable"],
    )
    words = {probe: finding.words for finding in report.causes for probe in finding.probes}
    for result in report:
        case = ElementTree.SubElement(suite, "testcase", classname=report.title, name=result.probe)
        tag = {"fail": "failure", "raised": "error", "not applicable": "skipped"}.get(result.verdict)
        if tag:
            message = words.get(result.probe, result.diagnosis)
            said = ElementTree.SubElement(case, tag, message=NO_XML.sub("?", message))
            said.text = NO_XML.sub("?", f"{result.diagnosis}\n{result.numbers}".strip())
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)
