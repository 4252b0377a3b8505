"""An instructor's way through nbgrader's formgrader, in a real JupyterLab, with a graded class."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import nbformat
import psutil
import pytest
from nbgrader.utils import chdir
from playwright.sync_api import FrameLocator, Locator, Page, expect

from autograder.adapters.nbgrader import register
from autograder.assignment import Assignment
from autograder.build import solution_notebook
from autograder.misconceptions.convolution import MUTANTS
from autograder.report import ExerciseResult, Report

pytestmark = pytest.mark.xdist_group("jupyterlab")

ROOT = Path(__file__).resolve().parents[2]
NAME = "02-convolution"
PATH = os.pathsep.join([str(ROOT), str(ROOT / "lib")])
WRONG = next(mutant for mutant in MUTANTS if mutant.exercise == "conv2d").source
IMAGE = "<img src=x onerror=\"document.title='owned'\">"
SCRIPT = "<script>document.title='owned'</script>"
# What formgrader does when anyone asks it: it runs the nbgrader_config.py of a folder.
GET = "/formgrader?path=FOLDER"
MARKDOWN = f"""# Notes of eve {IMAGE} {SCRIPT}
![]({GET}) <img src="{GET}"> [here]({GET}) [there](javascript:alert(1)) <https://example.org>

![](https://example.org/pixel.png) ![](attachment:none.png) `<a title="`{IMAGE}">
"""
OUTPUTS = f"""from IPython.display import HTML, SVG, IFrame, Javascript, Latex, Markdown, display
text = '''{MARKDOWN}'''
for show in (HTML, Latex, Markdown, Javascript):
    display(show(text))
display(Javascript("document.title = 'owned'"), IFrame("https://example.org", 9, 9))
display(SVG("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"))
print(text, "\\x1b]0;owned\\x07")
raise ValueError(text)
"""


@dataclass(frozen=True)
class Course:
    """A course with a graded class, and the JupyterLab that was started in it."""

    root: Path
    url: str
    reports: dict[str, Report]

    def exercise(self, student: str, name: str) -> ExerciseResult:
        return next(e for e in self.reports[student].exercises if e.name == name)


def hand_in(root: Path, student: str, notebook: nbformat.NotebookNode) -> Path:
    folder = root / "submitted" / student / NAME
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.ipynb").write_text(json.dumps(notebook))
    return folder


def hand_in_what_attacks(root: Path, assignment: Assignment) -> None:
    notebook = solution_notebook(assignment, {"quiz": f"raise ValueError('''{IMAGE}''')"})
    folder = hand_in(root, "eve", notebook)
    owned = f"open({str(root / 'owned')!r}, 'w').close()\nc = get_config()\n"
    (folder / "nbgrader_config.py").write_text(owned)
    notebook.cells += [
        nbformat.v4.new_markdown_cell(MARKDOWN.replace("FOLDER", str(folder))),
        nbformat.v4.new_code_cell(
            OUTPUTS.replace("FOLDER", str(folder)), metadata={"tags": [f'">{IMAGE}']}
        ),
    ]
    hand_in(root, "eve", notebook)


@pytest.fixture(scope="module")
def course(
    tmp_path_factory: pytest.TempPathFactory,
    convolution: Assignment,
    jupyterlab: Callable[..., str],
) -> Course:
    root = tmp_path_factory.mktemp("course")
    shutil.copy(ROOT / "nbgrader_config.py", root)
    with chdir(str(root)):
        register(convolution)
    hand_in(root, "ada", solution_notebook(convolution))
    hand_in(root, "ben", nbformat.read(convolution.release_path, 4))
    hand_in(root, "cem", solution_notebook(convolution, {"conv2d": WRONG}))
    hand_in(root, "dan", solution_notebook(convolution, {"conv2d": WRONG}))
    hand_in_what_attacks(root, convolution)
    graded = subprocess.run(
        [
            *(sys.executable, "-c", "from autograder.cli import main; main()", "grade", NAME),
            *("submitted", "--record", "--json", "reports.jsonl"),
        ],
        cwd=root,
        env={**os.environ, "PYTHONPATH": PATH},
        capture_output=True,
        text=True,
    )
    assert "5 recorded in the gradebook" in graded.stderr
    lines = (root / "reports.jsonl").read_bytes().splitlines()
    reports = [msgspec.json.decode(line, type=Report) for line in lines]
    url = jupyterlab(root, PYTHONPATH=PATH)
    return Course(root, url, {report.student: report for report in reports})


@pytest.fixture(autouse=True)
def asked(page: Page, course: Course) -> list[str]:
    """All that the page asks for. Of what lies outside, MathJax too, it gets nothing."""
    asked: list[str] = []
    page.on("request", lambda r: asked.append(f"{r.method} {r.url.removeprefix(course.url)}"))
    page.context.route(re.compile(r"https?://(?!127\.0\.0\.1:)"), lambda route: route.abort())
    return asked


class Formgrader:
    """The formgrader of a course."""

    def __init__(self, page: Page, course: Course) -> None:
        self.page = page
        self.url = f"{course.url}/formgrader"

    def open_submission(self, student: str) -> None:
        """As an instructor comes to it, who wants to see the names."""
        self.page.goto(f"{self.url}/gradebook/{NAME}/{NAME}")
        expect(self.page.get_by_role("link", name="Submission #1")).to_be_visible()
        self.page.get_by_role("button", name="Show All Names").click()
        self.page.get_by_role("link", name=student, exact=True).click()
        for box in (self.score("conv2d"), self.comment("conv2d")):  # until it is from the gradebook
            expect(box).to_have_attribute("placeholder", re.compile("."))

    def score(self, exercise: str) -> Locator:
        return self.page.locator(f"#check-{exercise}")

    def comment(self, exercise: str) -> Locator:
        return self.page.locator(f"#{exercise}-comment")

    def feedback(self, exercise: str) -> Locator:
        """What grading has put out below the exercise's check cell."""
        return self.page.locator(".code_cell", has=self.score(exercise)).locator(".output")

    def write(self, box: Locator, text: str) -> None:
        """Writes into a box and waits for the sign that it is saved."""
        # The sign goes after a second: a busy machine would miss it.
        self.page.evaluate("jQuery.fn.fadeOut = function () { return this; }")
        heading = self.page.locator(".nbgrader_cell", has=box)
        box.fill(text)
        box.press("Tab")
        expect(heading.locator(".save-icon.glyphicon-ok")).to_be_visible()

    def open_submissions(self) -> None:
        self.page.goto(f"{self.url}/manage_submissions/{NAME}")

    def press(self, student: str, button: str) -> None:
        """Presses a button in the student's row, and waits for the success that it tells."""
        row_of(self.page, student).locator(f".{button} a").click()
        # The first to be graded waits for torch and a sandbox.
        expect(self.page.locator(".modal-title")).to_have_text("Success", timeout=180_000)
        self.page.get_by_role("button", name="OK").click()
        expect(self.page.locator(".modal")).to_have_count(0)


@pytest.fixture
def formgrader(page: Page, course: Course) -> Formgrader:
    return Formgrader(page, course)


def row_of(page: Page | FrameLocator, student: str) -> Locator:
    """The student's row in the list of submissions."""
    return page.locator("tr", has=page.locator(f'td.student-id:text-is("{student}")'))


def test_the_list_of_submissions_has_the_reports_scores(course, page, screenshot):
    page.goto(f"{course.url}/lab")
    page.get_by_role("menuitem", name="Nbgrader", exact=True).click()
    page.get_by_role("menuitem", name="Formgrader", exact=True).click()
    inside = page.frame_locator("iframe")
    assignment = inside.locator("tr", has_text=NAME)
    expect(assignment.locator(".num-submissions")).to_have_text(f"{len(course.reports)}")
    assignment.scroll_into_view_if_needed()
    screenshot("instructor-1-assignments")
    assignment.locator(".num-submissions a").click()
    for student, report in course.reports.items():
        row = row_of(inside, student)
        expect(row.locator(".score")).to_have_text(f"{report.score:g} / 100")
        expect(row.locator(".status")).to_have_text("graded")
    assert course.reports["ada"].score == 100
    assert course.reports["ben"].score == 0
    assert 80 < course.reports["cem"].score < 100
    screenshot("instructor-2-scores")


def test_a_submission_has_each_checks_verdict_and_counterexample(course, formgrader, screenshot):
    formgrader.open_submission("cem")
    for exercise in course.reports["cem"].exercises:
        score = formgrader.score(exercise.name)
        expect(score).to_have_attribute("placeholder", f"{exercise.score:g}")
        for check in exercise.checks:
            verdict = f"{'✓' if check.passed else '✗'} {check.statement}"
            expect(formgrader.feedback(exercise.name)).to_contain_text(verdict)
    failed = next(c for c in course.exercise("cem", "conv2d").checks if not c.passed)
    shown = formgrader.feedback("conv2d")
    expect(shown.locator("pre", has_text=failed.counterexample)).to_be_visible()
    formgrader.score("conv2d").scroll_into_view_if_needed()
    screenshot("instructor-3-submission")

    formgrader.open_submission("ben")
    expect(formgrader.comment("conv2d")).to_have_attribute("placeholder", "No response.")


def test_a_comment_and_a_score_are_saved_and_reach_the_feedback(
    course, formgrader, page, screenshot
):
    formgrader.open_submission("cem")
    formgrader.write(formgrader.comment("conv2d"), "Well done: see **unfold**.")
    formgrader.write(formgrader.score("conv2d"), "18.5")
    formgrader.score("conv2d").scroll_into_view_if_needed()
    screenshot("instructor-4-comment")
    page.reload()
    expect(formgrader.comment("conv2d")).to_have_value("Well done: see **unfold**.")
    expect(formgrader.score("conv2d")).to_have_value("18.5")

    formgrader.open_submissions()
    new = course.reports["cem"].score - course.exercise("cem", "conv2d").score + 18.5
    expect(row_of(page, "cem").locator(".score")).to_have_text(f"{new:g} / 100")
    formgrader.press("cem", "generate-feedback")
    page.goto((course.root / "feedback" / "cem" / NAME / f"{NAME}.html").as_uri())
    expect(page.get_by_text(f"(Score: {new} / 100.0)")).to_be_visible()
    expect(page.get_by_text("Score: 18.5 / 20.0").last).to_be_visible()
    expect(page.get_by_text("Well done: see unfold.")).to_be_visible()
    failed = next(c for c in course.exercise("cem", "conv2d").checks if not c.passed)
    expect(page.get_by_text(f"✗ {failed.statement}")).to_be_visible()
    for width in (1280, 375):
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate("scrollTo(0, 0)")
        screenshot(f"instructor-5-feedback-{width}")
        page.get_by_role("link", name="conv2d: comment").click()
        screenshot(f"instructor-6-feedback-{width}-comment")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_a_submission_holds_does_nothing_in_the_instructors_browser(
    course, formgrader, page, asked, screenshot
):
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    formgrader.open_submission("eve")
    page.wait_for_load_state("load")
    written = page.locator(".text_cell", has_text="Notes of eve")
    expect(written).to_contain_text("onerror=\"document.title='owned'\"")
    assert written.locator("a[href], img, script").count() == 0
    screen = page.locator(".code_cell", has_text="IFrame").last
    expect(screen.locator(".output")).to_contain_text("ValueError")
    assert screen.locator(".output").locator("a[href], img, script, iframe, svg").count() == 0
    assert page.title() == NAME
    written.scroll_into_view_if_needed()
    screenshot("instructor-7-attack")

    opened = next(i for i, each in enumerate(asked) if "/formgrader/submissions/" in each)
    rest = [each for each in asked[opened:] if "/formgrader/static/" not in each]
    assert {re.sub(r"\?.*|[0-9a-f]{32}/?", "", each) for each in rest} == {
        "GET /formgrader/submissions/",
        "GET /formgrader/api/grades",
        "GET /formgrader/api/comments",
        "GET https://cdnjs.cloudflare.com/ajax/libs/mathjax/2.7.7/latest.js",
    }
    assert dialogs == []
    assert not (course.root / "owned").exists()


def test_one_submission_is_graded_anew_by_formgraders_button(
    course, formgrader, page, convolution, screenshot
):
    formgrader.open_submission("dan")
    before = course.exercise("dan", "conv2d").score
    expect(formgrader.score("conv2d")).to_have_attribute("placeholder", f"{before:g}")
    hand_in(course.root, "dan", solution_notebook(convolution))
    formgrader.open_submissions()
    formgrader.press("dan", "autograde")
    expect(row_of(page, "dan").locator(".score")).to_have_text("100 / 100")
    screenshot("instructor-8-autograded")
    formgrader.press("dan", "autograde")
    formgrader.open_submission("dan")
    expect(formgrader.score("conv2d")).to_have_attribute("placeholder", "20")
    expect(formgrader.feedback("conv2d")).to_contain_text("20 of 20 points")

    # The last test ends the server, and nothing that it has started is left.
    port = course.url.rpartition(":")[2]
    servers = psutil.Process().children()
    [server] = [p for p in servers if f"--port={port}" in p.cmdline()]
    graders = server.children(recursive=True)
    assert len(server.children()) == 1  # one sandbox, however often it was pressed
    server.terminate()
    server.wait(60)
    deadline = time.monotonic() + 60
    while any(map(lives, graders)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(lives, graders))


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
