"""JUnit XML: what GitHub, GitLab and Jenkins can read, whatever a student's code has printed."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.adapters.junit import junit_xml
from autograder.report import ExerciseResult, Fault
from tests.reports import check, failed, missing, report, reports

# Jenkins' junit-10.xsd (xunit plugin), as tables: an element's children, and its attributes with
# the required ones marked.
CHILDREN = {
    "testsuites": "testsuite",
    "testsuite": "testsuite properties testcase system-out system-err",
    "properties": "property",
    "testcase": "skipped error failure system-out system-err",
}
SUITE = "name! tests! failures! errors! group time skipped timestamp hostname id package file url"
ATTRIBUTES = {
    "testsuites": "name time tests failures errors",
    "testsuite": SUITE,
    "properties": "",
    "property": "name! value!",
    "testcase": "name! time classname group",
    **dict.fromkeys(["skipped", "error", "failure"], "type message"),
    **dict.fromkeys(["system-out", "system-err"], ""),
}
TIME = re.compile(r"\d+(\.\d*)?")  # within the schema's SUREFIRE_TIME


def conforms(element: ET.Element) -> bool:
    wanted = ATTRIBUTES[element.tag].split()
    assert element.attrib.keys() <= {name.rstrip("!") for name in wanted}
    assert element.attrib.keys() >= {name.rstrip("!") for name in wanted if name.endswith("!")}
    assert {child.tag for child in element} <= set(CHILDREN.get(element.tag, "").split())
    assert TIME.fullmatch(element.get("time", "0"))
    return all(conforms(child) for child in element)


@given(st.lists(reports(), max_size=3))
def test_whatever_was_printed_the_document_parses_and_conforms_to_the_schema(class_):
    root = ET.fromstring(junit_xml(class_))
    assert root.tag == "testsuites"
    assert conforms(root)
    assert [suite.tag for suite in root] == ["testsuite"] * len(class_)


@given(st.lists(reports(), min_size=1, max_size=3))
def test_the_counts_are_those_of_the_cases(class_):
    root = ET.fromstring(junit_xml(class_))
    for element in (root, *root):
        assert int(element.attrib["tests"]) == len(list(element.iter("testcase")))
        assert int(element.attrib["failures"]) == len(list(element.iter("failure")))
        assert int(element.attrib["errors"]) == len(list(element.iter("error")))
    for suite, one in zip(root, class_, strict=True):
        checks = [c for exercise in one.exercises for c in exercise.checks]
        wrong = sum(not c.passed for c in checks) if one.status == "graded" else 0
        assert len(suite.findall("testcase/failure")) == wrong
        assert bool(suite.findall("testcase/error")) == (one.status == "failed")
        assert bool(suite.findall("testcase/skipped")) == (one.status == "missing")


def test_gitlab_can_tell_all_cases_apart(convolution):
    whole = report("a.b")
    whole.exercises = [
        ExerciseResult(exercise.name, 0, 0, []) for exercise in convolution.exercises
    ]
    for item in convolution.checks:
        (exercise,) = (e for e in whole.exercises if e.name == item.check.exercise)
        exercise.checks.append(check(item.check.name, visibility=item.visibility))
    class_ = [whole, report("a", check("first")), missing("c"), failed("d")]
    cases = list(ET.fromstring(junit_xml(class_)).iter("testcase"))
    keys = {(case.get("classname"), case.get("name")) for case in cases}
    assert len(keys) == len(cases) == len(convolution.checks) + 3


def test_a_failure_says_what_was_called_and_what_came_back():
    wrong = check("first", False, text="conv2d(x)\nline two")
    (case,) = ET.fromstring(junit_xml([report("ada", wrong)])).iter("testcase")
    assert case.attrib == {"classname": "ada.conv2d", "name": "first", "time": "0.250"}
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == "Statement of first."
    assert failure.text == "conv2d(x)\nline two\n\nconv2d(x)\nline two"


def test_the_faults_of_a_graded_submission_are_kept_beside_its_cases():
    fault = Fault("timeout", "conv2d", "It did not come to an end.")
    (suite,) = ET.fromstring(junit_xml([report("ada", check("first"), faults=[fault])]))
    assert suite.findtext("system-err") == "timeout: conv2d: It did not come to an end."
    assert suite.find("properties/property[@name='score']").get("value") == "5"


@pytest.mark.parametrize("text", ["x" * 10**6, "\x00" * 10**6, "é" * 10**6])
def test_a_novel_is_cut_and_the_cut_is_said(text):
    content = junit_xml([report("ada", check("first", False, text=text))])
    assert len(content) < 10**5
    assert b"characters left out" in content


def test_a_thousand_students_fit_into_what_gitlab_takes():
    checks = [check(f"check_{n}", n % 2 == 0, text="x" * 100) for n in range(70)]
    content = junit_xml([report(f"student{n}", *checks) for n in range(1000)])
    assert len(content) < 30e6
