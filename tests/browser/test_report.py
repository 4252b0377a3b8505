"""The class's HTML report in a real browser: on a wide and a narrow screen, light and dark."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from autograder.adapters.html import write_html
from autograder.assignment import Assignment
from autograder.report import CheckResult, ExerciseResult, Fault, Report

HOSTILE = "<b>bold</b> " + "x" * 400 + " \u202eשלום " + "line\n" * 40

# The least contrast of any text with what is behind it, as WCAG 2.2 reckons it, and that text.
# A sign needs 3 where words need 4.5, so its contrast counts one and a half times.
LEAST_CONTRAST = """() => {
  const parse = text => { const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a ?? 1]; };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const luminance = rgb => rgb.map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    if (!element) return [255, 255, 255];
    const own = parse(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own.slice(0, 3) : over(own, behind(element.parentElement)); };
  let least = [99, ""];
  for (const element of document.body.querySelectorAll("*")) {
    const text = [...element.childNodes].filter(node => node.nodeType === Node.TEXT_NODE)
      .map(node => node.data.trim()).join("");
    if (!text || !element.checkVisibility() || element.closest("svg")) continue;
    const style = getComputedStyle(element), below = behind(element);
    const ink = parse(style.color);
    ink[3] *= Number(style.opacity);
    const [a, b] = [luminance(over(ink, below)), luminance(below)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) * (text.length > 1 ? 1 : 1.5);
    if (ratio < least[0]) least = [ratio, text.slice(0, 40)];
  }
  return least; }"""


def report(student: str, right: int, assignment: Assignment) -> Report:
    """A report of the assignment's ten exercises, the first `right` of them all right."""
    exercises = []
    for place, exercise in enumerate(assignment.exercises):
        checks = [
            CheckResult(
                name=item.check.name,
                visibility=item.visibility,
                points=item.check.points,
                passed=place < right,
                statement=item.check.statement,
                message="" if place < right else HOSTILE,
                counterexample="" if place < right else f"{exercise.name}({HOSTILE!r})",
            )
            for item in assignment.checks
            if item.check.exercise == exercise.name
        ]
        most = sum(check.points for check in checks)
        exercises.append(ExerciseResult(exercise.name, most * (place < right), most, checks))
    return Report(
        assignment=assignment.name,
        student=student,
        submission="0" * 64,
        score=sum(exercise.score for exercise in exercises),
        max_score=sum(exercise.max_score for exercise in exercises),
        exercises=exercises,
        faults=[] if right > 5 else [Fault("crash", "conv2d", HOSTILE)],
        isolation={"name": "namespaces", "features": []},
        versions={},
        seed=0,
        seconds=1.0,
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory, convolution):
    names = ["ada", "a_name_that_is_as_long_as_an_address@students.example.org", "<b>ben</b>", "שי"]
    class_ = [report(name, 3 * place, convolution) for place, name in enumerate(names)]
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_html(class_, path)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_the_report_fits_is_readable_and_loads_nothing(file, page, screenshot, width, scheme):
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    page.goto(file.as_uri())
    screenshot(f"report-{width}-{scheme}")
    page.locator("section.student").nth(1).evaluate("section => section.scrollIntoView()")
    screenshot(f"report-{width}-{scheme}-student")

    shown, needed = page.evaluate(
        "[document.documentElement.clientWidth, document.documentElement.scrollWidth]"
    )
    assert needed <= shown == width
    ratio, text = page.evaluate(LEAST_CONTRAST)
    assert ratio >= 4.5, text
    assert page.locator("b", has_text=re.compile("^(bold|ben)$")).count() == 0
    assert "\u202e" not in page.content()  # what follows it would be written backwards
    assert asked == [file.as_uri()]
    assert said == []


def test_a_name_leads_to_its_student_and_back_to_the_top(file, page):
    page.goto(file.as_uri())
    student = page.locator("section.student", has_text="<b>ben</b>")
    expect(student).not_to_be_in_viewport()
    page.locator("table").get_by_role("link", name="<b>ben</b>").click()
    expect(student).to_be_in_viewport()
    expect(page.get_by_role("heading", level=1)).not_to_be_in_viewport()
    student.get_by_role("link", name="Back to the top").click()
    expect(page.get_by_role("heading", level=1)).to_be_in_viewport()
