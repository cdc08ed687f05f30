"""
A report as JUnit XML: one test case a hop and run, so that a pipeline's page shows which hop failed.

A hop that does not stream is a failure, one that could not be connected to an error, an inconclusive one is skipped;
the exit code distinguishes the last from success.
"""

import io
import re
from collections.abc import Sequence
from xml.etree import ElementTree

from streaming_operator.report.exit_codes import INCONCLUSIVE, NO_CONNECTION, STREAMING, exit_code
from streaming_operator.report.model import HopReport, Report, Run

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped; a server's error text may have them."""


def document(reports: Sequence[Report]) -> str:
    """The whole file, with one suite for each report."""
    root = ElementTree.Element("testsuites")
    root.extend(_suite(report) for report in reports)
    ElementTree.indent(root)
    text = io.BytesIO()
    ElementTree.ElementTree(root).write(text, encoding="utf-8", xml_declaration=True)
    return text.getvalue().decode() + "\n"


def _suite(report: Report) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite")
    if report.warnings:
        properties = ElementTree.SubElement(suite, "properties")
        for warning in report.warnings:
            ElementTree.SubElement(properties, "property", {"name": "WARNING", "value": _clean(warning)})
    for number, run in enumerate(report.runs, start=1):
        for hop in run.hops or (_without_hops(run),):
            suite.append(_case(report, run, hop, number))
    tags = [child.tag for case in suite.iter("testcase") for child in case]
    suite.attrib |= {
        "name": f"streams {_clean(report.subject)}",
        "timestamp": report.started_at.isoformat(timespec="seconds"),
        "tests": str(len(suite.findall("testcase"))),
        "failures": str(tags.count("failure")),
        "errors": str(tags.count("error")),
        "skipped": str(tags.count("skipped")),
        "time": f"{sum(_seconds(hop) for run in report.runs for hop in run.hops):.3f}",
    }
    return suite


def _case(report: Report, run: Run, hop: HopReport, number: int) -> ElementTree.Element:
    name = f"{hop.hop} streams" if len(report.runs) == 1 else f"{hop.hop} streams, run {number}"
    case = ElementTree.Element("testcase")
    case.attrib |= {"name": name, "classname": _clean(report.subject), "time": f"{_seconds(hop):.3f}"}
    code = exit_code(hop.verdict)
    message = _clean(f"{hop.verdict}: {hop.evidence}")
    if code == INCONCLUSIVE:
        ElementTree.SubElement(case, "skipped", {"message": message})
    elif code != STREAMING:
        tag = "error" if code == NO_CONNECTION else "failure"
        element = ElementTree.SubElement(case, tag, {"type": hop.verdict, "message": message})
        element.text = _clean(f"Remedy: {run.remedy}") if run.remedy and hop.hop == run.hop else None
    if hop.remarks or report.warnings:
        output = ElementTree.SubElement(case, "system-out")
        lines = [f"WARNING: {warning}" for warning in report.warnings]
        lines += [f"Remark: {remark.observed}; {remark.advice}" for remark in hop.remarks]
        output.text = _clean("\n".join(lines))
    return case


def _without_hops(run: Run) -> HopReport:
    return HopReport(hop=run.hop, address="", verdict=run.verdict, evidence=run.evidence)


def _seconds(hop: HopReport) -> float:
    return (hop.total_milliseconds or 0.0) / 1000


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
