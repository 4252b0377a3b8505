"""A class of twelve through nbgrader's own commands: exchange, grading, gradebook, feedback."""

import copy
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderApp
from nbgrader.utils import chdir

from autograder.adapters.nbgrader import register
from autograder.batch import find_submissions, grade_all
from autograder.build import solution_notebook
from autograder.misconceptions.convolution import MUTANTS

pytestmark = pytest.mark.xdist_group("nbgrader")  # they share a course that takes long to make
ROOT = Path(__file__).resolve().parents[1]
NAME = "02-convolution"
FILE = f"{NAME}.ipynb"

# What a student hands in: the notebook's bytes, made from the solution.
Edit = Callable[[NotebookNode], bytes]


def text_of(notebook: NotebookNode) -> bytes:
    return json.dumps(notebook).encode()


def id_of(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def cell(notebook: NotebookNode, grade_id: str) -> NotebookNode:
    (found,) = [
        c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id
    ]
    return found


def with_first_cell(source: str) -> Edit:
    def edit(notebook: NotebookNode) -> bytes:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(source))
        return text_of(notebook)

    return edit


def duplicated(notebook: NotebookNode) -> bytes:
    original = cell(notebook, "conv2d")
    place = notebook.cells.index(original)
    notebook.cells.insert(place, copy.deepcopy(original))
    return text_of(notebook)


def check_removed(notebook: NotebookNode) -> bytes:
    notebook.cells.remove(cell(notebook, "check-conv2d"))
    return text_of(notebook)


def noisy(notebook: NotebookNode) -> bytes:
    noise = "import sys, warnings\nprint('careful', file=sys.stderr)\nwarnings.warn('odd')\n\n\n"
    for name in ("conv2d", "max_pool2d"):
        cell(notebook, name).source = noise + cell(notebook, name).source
    return text_of(notebook)


def schema_changed(notebook: NotebookNode) -> bytes:
    for number, each in enumerate(c for c in notebook.cells if "nbgrader" in c.metadata):
        each.metadata.nbgrader["schema_version"] = (99, 2, 0, "3", None)[number % 5]
    return text_of(notebook)


def metadata_lost(notebook: NotebookNode) -> bytes:
    for number, each in enumerate(notebook.cells):
        each.metadata = NotebookNode()
        each.id = f"c{number}"
    notebook.metadata = NotebookNode()
    return text_of(notebook)


FORGERY = """
import json, os, pathlib, sys
from IPython.display import HTML, Javascript, display
import autograder.notebook

class Full(float):
    def __repr__(self):
        return "20.0"
    def _repr_html_(self):
        return "<b>20 of 20 points</b>"

check = lambda name: Full(20)
autograder.notebook.NotebookChecks.__call__ = lambda self, name: Full(20)
display(Javascript("fetch('/formgrader/api/grade')"))
display(HTML("<img src=x onerror='alert(1)'><script>alert(2)</script>"))
print("\\x1b]0;owned\\x07")
for place in ("gradebook.db", "../gradebook.db", "COURSE/gradebook.db", "COURSE/autograded/ada"):
    try:
        pathlib.Path(place).write_text("mine")
    except OSError:
        pass
"""


def forged(notebook: NotebookNode) -> bytes:
    """Right in nothing, with forged outputs, a forged score, and code that reaches outside."""
    for each in notebook.cells:
        nbgrader = each.metadata.get("nbgrader", {})
        if nbgrader.get("solution"):
            each.source = "raise NotImplementedError"
        if nbgrader.get("grade"):
            nbgrader["points"] = 100
            output = nbformat.v4.new_output("execute_result", {"text/plain": "100.0"})
            each.outputs = [output]
            each.source = "100.0"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(FORGERY))
    image = "<img src=x onerror=\"document.title='owned'\"> $x$ and <b>bold</b>"
    notebook.cells.append(nbformat.v4.new_markdown_cell(image))
    notebook.metadata["gradus"] = {"result": "forged", "score": 100}
    return text_of(notebook)


MUTANT = next(m for m in MUTANTS if m.exercise == "conv2d")


@dataclass(frozen=True)
class Student:
    """One of the class: how they got from the solution to what they handed in."""

    name: str
    edit: Edit = text_of
    file: str = FILE
    sources: dict[str, str] = field(default_factory=dict)
    score: float | None = 100.0  # None: whatever the Report says


CLASS = [
    Student("ada"),
    Student("ben", edit=lambda _: (ROOT / "assignments" / NAME / FILE).read_bytes(), score=0),
    Student("cem", sources={"conv2d": MUTANT.source}, score=None),
    Student("duplicates-a-cell", duplicated),
    Student("removes-a-check-cell", check_removed),
    Student("writes-to-stderr", noisy),
    Student("exits", with_first_cell("import os\nos._exit(0)")),
    Student("renames", file="My convolution (2).ipynb"),
    Student("has-a-mark", lambda notebook: b"\xef\xbb\xbf" + text_of(notebook)),
    Student("has-another-schema", schema_changed),
    Student("lost-the-metadata", metadata_lost),
    Student("forges", forged, score=0),
]
MISSING = "zoe"
LATE = "ada"


@dataclass
class Course:
    """The class's course after its way through nbgrader, and what grading each alone gave."""

    root: Path
    expected: dict[str, float]
    autograde: subprocess.CompletedProcess
    before: dict[str, str]

    def gradebook(self) -> Gradebook:
        return Gradebook(f"sqlite:///{self.root}/gradebook.db", "gradus")

    def graded(self, student: str) -> NotebookNode:
        return nbformat.read(self.root / "autograded" / student / NAME / FILE, 4)

    def feedback(self, student: str) -> str:
        return (self.root / "feedback" / student / NAME / f"{NAME}.html").read_text()


def nbgrader(folder: Path, command: str, *arguments: str) -> None:
    """Runs one of nbgrader's commands in a folder."""
    with chdir(str(folder)):
        app = NbGraderApp.subcommands[command][0]()
        app.initialize([*arguments, "--log-level=ERROR"])
        try:
            app.start()
        except SystemExit as ended:
            if ended.code:
                pytest.fail(f"nbgrader {command} ended with {ended.code}")


def make_course(root: Path) -> Path:
    """A course's folder with an exchange beside it; the assignment is known to its gradebook."""
    root.mkdir(parents=True)
    config = (ROOT / "nbgrader_config.py").read_text()
    exchange = root.parent / "exchange"
    exchange.mkdir(exist_ok=True)
    exchange.chmod(0o777)
    config += (
        f"c.Exchange.root = {str(exchange)!r}\nc.Exchange.cache = {str(exchange / 'cache')!r}\n"
    )
    (root / "nbgrader_config.py").write_text(config)
    return root


def submission_of(student: Student, assignment, root: Path) -> bytes:
    sources = {k: v.replace("COURSE", str(root)) for k, v in student.sources.items()}
    data = student.edit(solution_notebook(assignment, sources))
    return data.replace(b"COURSE", str(root).encode())


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def course(tmp_path_factory, convolution) -> Iterator[Course]:
    base = tmp_path_factory.mktemp("nbgrader")
    patch = pytest.MonkeyPatch()
    patch.setenv("JUPYTER_CONFIG_DIR", str(base / "jupyter"))
    root = make_course(base / "course")
    with chdir(str(root)):
        register(convolution)
    with Gradebook(f"sqlite:///{root}/gradebook.db", "gradus") as gradebook:
        gradebook.add_student(MISSING)
        gradebook.update_or_create_assignment(NAME, duedate="2999-01-01 12:00:00 UTC")
    nbgrader(root, "release_assignment", NAME)
    for student in CLASS:
        home = base / "homes" / student.name
        home.mkdir(parents=True)
        shutil.copy(root / "nbgrader_config.py", home)
        if student is CLASS[0]:  # the others have the same, and nbgrader takes its time
            nbgrader(home, "fetch_assignment", NAME)
            handed_out = home / NAME / FILE
            assert handed_out.read_bytes() == (root / "assignments" / NAME / FILE).read_bytes()
            handed_out.unlink()
        (home / NAME).mkdir(exist_ok=True)
        (home / NAME / student.file).write_bytes(submission_of(student, convolution, root))
        (home / NAME / "notes.txt").write_text("an extra file")
        nbgrader(home, "submit", NAME, "--student", student.name)
    nbgrader(root, "collect", NAME)
    (root / "submitted" / LATE / NAME / "timestamp.txt").write_text("2999-01-01 12:30:00 UTC")
    with (root / "nbgrader_config.py").open("a") as config:
        config.write("c.LateSubmissionPlugin.penalty_method = 'zero'\n")
    before = digests(root / "submitted")

    autograde = subprocess.run(
        [sys.executable, "-m", "nbgrader", "autograde", NAME],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "lib")])},
        capture_output=True,
        text=True,
    )
    nbgrader(root, "generate_feedback", NAME)
    nbgrader(root, "release_feedback", NAME)
    nbgrader(root, "export")
    # Each alone, and so with no hostile submission near it.
    expected = {}
    entries = find_submissions([root / "submitted"], NAME)
    for index, graded in grade_all(entries, convolution, jobs=2):
        assert entries[index].student == graded.report.student
        expected[graded.report.student] = graded.report
    yield Course(root, expected, autograde, before)
    patch.undo()


def test_every_submission_is_graded_to_the_end(course):
    assert course.autograde.returncode == 0, course.autograde.stderr[-3000:]
    assert sorted(p.name for p in (course.root / "autograded").iterdir()) == sorted(
        student.name for student in CLASS
    )
    assert "Traceback" not in course.autograde.stderr


@pytest.mark.parametrize("student", CLASS, ids=lambda student: student.name)
def test_the_gradebook_holds_what_the_report_says(course, student):
    report = course.expected[student.name]
    assert student.score is None or report.score == student.score
    assert student.score is not None or 0 < report.score < 100
    with course.gradebook() as gradebook:
        submission = gradebook.find_submission(NAME, student.name)
        assert submission.score == report.score
        assert submission.max_score == report.max_score == 100
        grades = {grade.name: grade.auto_score for grade in submission.notebooks[0].grades}
        assert grades == {f"check-{e.name}": e.score for e in report.exercises}
        assert not submission.needs_manual_grade


@pytest.mark.parametrize("student", CLASS, ids=lambda student: student.name)
def test_the_feedback_tells_each_checks_sentence_and_counterexample(course, student):
    page = course.feedback(student.name)
    assert 'content="width=device-width' in page
    notebook = course.graded(student.name)
    for exercise in course.expected[student.name].exercises:
        (output,) = cell(notebook, f"check-{exercise.name}").outputs
        for check in exercise.checks:
            assert check.statement in output.data["text/plain"]
            if not check.passed:
                assert check.counterexample.splitlines()[:1] == [] or (
                    check.counterexample.splitlines()[0] in output.data["text/plain"]
                )
    assert page.count("of 20 points") >= 1


def test_the_hidden_checks_source_is_in_no_graded_notebook_and_no_feedback(course):
    source = (ROOT / "autograder" / "checks" / "hidden" / "convolution.py").read_text()
    lines = {line.strip() for line in source.splitlines() if len(line.strip()) > 40}
    lines = {line for line in lines if not line.startswith(('"', "#", "def "))}
    public = (ROOT / "autograder" / "checks" / "public" / "convolution.py").read_text()
    reference = (ROOT / "lib" / "gradus" / "convolution.py").read_text()
    assert len(lines) > 100
    for student in ("ben", "forges", "cem"):
        shown = course.feedback(student) + text_of(course.graded(student)).decode()
        leaked = [line for line in lines if line in shown and line not in public + reference]
        assert leaked == []


def test_a_forger_changes_nothing_but_their_own_score(course):
    assert digests(course.root / "submitted") == course.before
    forged = [report for name, report in course.expected.items() if name == "forges"]
    assert [report.score for report in forged] == [0]
    with course.gradebook() as gradebook:
        assert gradebook.find_submission(NAME, "forges").score == 0
        assert {s.id for s in gradebook.students} == {s.name for s in CLASS} | {MISSING}


class Dangers(HTMLParser):
    """Collects what would run a student's script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self._in_script = tag == "script"
        self.found += [name for name, _ in attributes if name.startswith("on")]
        self.found += [value for _, value in attributes if "javascript:" in (value or "")]

    def handle_data(self, text):
        if self._in_script and "alert(2)" in text:
            self.found.append(text)


def test_what_a_student_wrote_can_not_run_in_a_browser(course):
    assert Dangers("<img src=x onerror=alert(1)><script>alert(2)</script>").found
    assert "alert(2)" in course.feedback("forges")
    assert Dangers(course.feedback("forges")).found == []
    cells = course.graded("forges").cells
    outputs = [output for each in cells for output in each.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert kinds == {"text/plain", "text/html"}


def test_students_cells_show_their_real_outputs(course):
    outputs = cell(course.graded("writes-to-stderr"), "conv2d").outputs
    assert [o.name for o in outputs if o.output_type == "stream"] == ["stderr"]
    assert "careful" in outputs[0].text


def test_a_removed_check_cell_is_put_back_with_its_feedback(course):
    notebook = course.graded("removes-a-check-cell")
    names = [id_of(each) for each in notebook.cells]
    assert names.index("check-conv2d") == names.index("conv2d") + 1
    assert "removes-a-check-cell" not in course.autograde.stdout


def test_what_was_unusual_stands_before_everything(course):
    first = course.graded("renames").cells[0]
    assert "My convolution (2).ipynb" in first.source
    assert "duplicated" not in first.source
    assert "ended the process" in course.graded("exits").cells[0].source


def test_extra_files_come_along_and_files_are_read_only_as_nbgrader_has_them(course):
    folder = course.root / "autograded" / "cem" / NAME
    assert (folder / "notes.txt").read_text() == "an extra file"
    assert oct((folder / FILE).stat().st_mode & 0o777) == oct(0o444)


def test_a_late_submission_is_penalised_by_nbgraders_plugin(course):
    with course.gradebook() as gradebook:
        late = gradebook.find_submission(NAME, LATE)
        assert late.total_seconds_late == 1800
        assert (late.score, late.late_submission_penalty) == (100, 100)
        assert gradebook.find_submission(NAME, "cem").late_submission_penalty in (None, 0)


def test_the_export_has_a_row_for_everyone_also_who_handed_in_nothing(course):
    with (course.root / "grades.csv").open() as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert set(rows) == {student.name for student in CLASS} | {MISSING}
    for name, report in course.expected.items():
        assert float(rows[name]["raw_score"]) == report.score
        assert float(rows[name]["score"]) == (0 if name == LATE else report.score)
    assert rows[MISSING]["timestamp"] == ""


def test_students_can_fetch_the_feedback(course):
    home = course.root.parent / "homes" / "cem"
    nbgrader(home, "fetch_feedback", NAME, "--student", "cem")
    pages = list(home.rglob("*.html"))
    assert pages
    assert all("conv2d" in page.read_text() for page in pages)
