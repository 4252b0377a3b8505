"""Reports as JUnit XML, which GitHub, GitLab and Jenkins show beside a build.

A student is a suite, a check a case. The form is Jenkins' junit-10.xsd, which pytest follows, too.
GitLab tells cases apart by class and name alone, so the class names the student and the exercise.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from autograder.adapters import plain
from autograder.feedback import fault_text, points
from autograder.report import CheckResult, Report


def junit_xml(reports: Sequence[Report]) -> bytes:
    """The document. A missing submission is a skipped case, one that could not be graded an
    error; neither counts as a failed check."""
    root = ET.Element("testsuites", name="gradus")
    for report in reports:
        root.append(_suite(report))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    root.set("time", f"{sum(report.seconds for report in reports):.3f}")
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _suite(report: Report) -> ET.Element:
    student = plain(report.student) or "(no name)"
    suite = ET.Element("testsuite", name=student)
    properties = ET.SubElement(suite, "properties")
    for name, value in {
        "assignment": report.assignment,
        "status": report.status,
        "score": points(report.score),
        "max_score": points(report.max_score),
        "submission": report.submission,
        "seed": str(report.seed),
        "isolation": str(report.isolation.get("name", "")),
    }.items():
        ET.SubElement(properties, "property", name=name, value=plain(value))
    if report.status == "graded":
        for exercise in report.exercises:
            for check in exercise.checks:
                suite.append(_case(f"{student}.{plain(exercise.name)}", check))
    else:
        case = ET.SubElement(
            suite, "testcase", classname=student, name=plain(report.assignment), time="0.000"
        )
        outcome = "skipped" if report.status == "missing" else "error"
        said = "\n".join(plain(fault_text(fault)) for fault in report.faults)
        ET.SubElement(case, outcome, message=said, type=report.status).text = said
    if report.faults:
        lines = [f"{fault.kind}: {plain(fault_text(fault))}" for fault in report.faults]
        ET.SubElement(suite, "system-err").text = "\n".join(lines)
    for name, found in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f"testcase/{found}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("time", f"{report.seconds:.3f}")
    return suite


def _case(classname: str, check: CheckResult) -> ET.Element:
    case = ET.Element(
        "testcase", classname=classname, name=plain(check.name), time=f"{check.seconds:.3f}"
    )
    if not check.passed:
        failure = ET.SubElement(case, "failure", message=plain(check.statement), type="check")
        failure.text = "\n\n".join(map(plain, filter(None, [check.counterexample, check.message])))
    elif check.message:
        ET.SubElement(case, "system-out").text = plain(check.message)
    return case
