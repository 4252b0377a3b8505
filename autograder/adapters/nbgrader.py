"""Gradus inside nbgrader: its commands, directories, gradebook and feedback, our grading.

nbgrader_config.py names the classes here in nbgrader's own options. They replace `Execute`, which
runs the student's code beside the tests, and `SaveAutoGrades`, which believes what a cell put
out. Everything else is nbgrader's, and notebooks of other assignments are graded as it does.

`nbgrader autograde` grades one submission after another. `gradus grade --record` grades in
parallel and records through the same classes (`Recorder`).
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import glob
import json
import logging
import math
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, Any
from unittest.mock import patch

import msgspec
import nbformat
import psutil
from nbconvert.exporters import NotebookExporter
from nbconvert.writers.files import FilesWriter
from nbformat import NotebookNode
from nbgrader import api
from nbgrader.api import (
    BaseCell,
    Gradebook,
    MissingEntry,
    StatementError,
    SubmittedAssignment,
    SubmittedNotebook,
)
from nbgrader.api import Grade as GradeRow
from nbgrader.apps import NbGraderAPI
from nbgrader.apps.baseapp import NbGrader
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearOutput,
    DeduplicateIds,
    Execute,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)
from nbgrader.utils import chdir, compute_checksum, determine_grade, is_grade, is_solution, is_task
from traitlets import import_item

from autograder.adapters import write_whole
from autograder.adapters.graded_notebook import add_feedback, submitted_notebook
from autograder.assignment import Assignment
from autograder.batch import Entry, Grader, Grading, handed_in, noted
from autograder.build import BuildError, put_tools_on_path, solution_notebook
from autograder.checks import TOPICS
from autograder.report import ExerciseResult, Graded, Report
from autograder.sandbox.client import IsolationChoice, IsolationUnavailable
from autograder.store import Kept, Store
from autograder.submission import UnreadableNotebook, read_file

MARK = "gradus"  # in a notebook's metadata: what was graded, or who is at it


class Mark(msgspec.Struct):
    """What a finished notebook says of its grading."""

    result: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")] = ""  # its key in the store
    score: float = -1
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] | None = None


class NotRecorded(Exception):
    """A result is not in the gradebook; the message says why, and what to do."""


def find_renamed(*, assignment: str, student: str, notebooks: list[str]) -> None:
    """nbgrader's hook before each submission: a notebook that was handed in under another name
    stands for the assignment's, which nbgrader would miss."""
    if assignment in TOPICS and notebooks:
        folder = Path(notebooks[0]).parent
        expected = str(folder / f"{assignment}.ipynb")
        if expected not in notebooks and handed_in(student, folder, assignment).notebook:
            notebooks.append(expected)


def _is_ours(resources: Any) -> bool:
    names = resources["nbgrader"]
    return names["assignment"] in TOPICS and names["notebook"] == names["assignment"]


# --- Reading and grading -------------------------------------------------------------------------


class SubmissionExporter(NotebookExporter):
    """Reads a submission as grading does, where nbformat would refuse it, and has it graded.

    nbgrader makes one for each run. Raises NbGraderException where the gradebook holds another
    version of the assignment.
    """

    def __init__(self, config: Any = None, **options: Any) -> None:
        super().__init__(config=config, **options)
        self.optimized_validation = True  # once, not after each preprocessor
        self.results: dict[str, Graded] = {}  # by student, where they are known already
        converter: Any = self.parent
        self._coursedir: CourseDirectory = converter.coursedir
        self._unavailable: IsolationUnavailable | None = None
        name = self._coursedir.assignment_id
        self._assignment = Assignment(name) if name in TOPICS else None
        if self._assignment is not None:
            _require_same_version(self._coursedir, self._assignment, self.log)
            _remove_unfinished(self._coursedir, self.log)
            self.store = Store(_results(self._coursedir), self._assignment)
            self._grader = _grader(self._assignment)

    def from_filename(
        self, filename: str, resources: Any = None, **options: Any
    ) -> tuple[Any, dict[str, Any]]:
        """The notebook as text, after the preprocessors."""
        names = resources["nbgrader"]
        folder = _folder(self._coursedir, "submitted", names["student"])
        if self._assignment is None or not _is_ours(resources) or Path(filename).parent != folder:
            return super().from_filename(filename, resources, **options)
        notebook = submitted_notebook(_read(self._entry(names["student"])), self._assignment)
        notebook.metadata[MARK] = {"unfinished": _process(os.getpid())}
        return self.from_notebook_node(notebook, resources, **options)

    def graded(self, student: str) -> Graded:
        """The student's result. Raises NotRecorded where the submission could not be graded."""
        assert self._assignment is not None
        if student in self.results:
            return self.results.pop(student)
        if self._unavailable is not None:  # asking again for every student would take minutes
            raise self._unavailable
        entry = self._entry(student)
        try:
            graded = self._grader.grade(entry)
        except IsolationUnavailable as error:
            self._unavailable = error
            raise
        if graded.report.status != "graded":
            raise NotRecorded(graded.report.faults[0].message)
        self.store.put(self.store.key(graded.report.submission), graded)
        return noted(graded, entry)

    def mark(self, graded: Graded) -> dict[str, Any]:
        """What a finished notebook says of its grading."""
        report = graded.report
        mark = Mark(self.store.key(report.submission), float(report.score), report.seed)
        return msgspec.structs.asdict(mark)

    def _entry(self, student: str) -> Entry:
        folder = _folder(self._coursedir, "submitted", student)
        return handed_in(student, folder, self._coursedir.assignment_id)


_graders: dict[str, Grader] = {}


def _grader(assignment: Assignment) -> Grader:
    """The process's grader for the assignment. In Jupyter's server, where each click on
    formgrader's button is a run, it finds its sandbox warm, and never leaves a second one."""
    if assignment.name not in _graders:
        while _graders:
            _graders.popitem()[1].close()
        grader = _graders[assignment.name] = Grader(
            assignment, Grading(assignment.name, keep_outputs=True)
        )
        atexit.register(grader.close)
    return _graders[assignment.name]


class Grade(Execute):  # type: ignore[misc]
    """In place of `Execute`: the cells' real outputs, and each check cell's feedback."""

    def preprocess(
        self, nb: NotebookNode, resources: Any = None, km: Any = None
    ) -> tuple[NotebookNode, Any]:
        """Raises NotRecorded, IsolationUnavailable."""
        if not _is_ours(resources):
            executed: tuple[NotebookNode, Any] = super().preprocess(nb, resources, km)
            return executed
        graded = self.parent.graded(resources["nbgrader"]["student"])
        add_feedback(nb, graded)
        resources[MARK] = graded
        return nb, resources


class SaveReport(SaveAutoGrades):  # type: ignore[misc]
    """In place of `SaveAutoGrades`: the scores are the Report's, whatever the cells show.

    A cell that the Report knows nothing of (an instructor's own, or any where nothing was graded
    for `--no-execute`) waits for a person, and so does an exercise whose points are in doubt.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Writes into the gradebook, in one transaction."""
        if not _is_ours(resources):
            saved: tuple[NotebookNode, Any] = super().preprocess(nb, resources)
            return saved
        graded: Graded | None = resources.get(MARK)
        names = resources["nbgrader"]
        with Gradebook(names["db_url"]) as gradebook:
            submission = gradebook.find_submission_notebook(
                names["notebook"], names["assignment"], names["student"]
            )
            _save(submission, nb, graded)
            gradebook.db.commit()
        nb.metadata.pop(MARK, None)
        if graded is not None:
            nb.metadata[MARK] = self.parent.mark(graded)
        return nb, resources


def _save(submission: Any, notebook: NotebookNode, graded: Graded | None) -> None:
    cells = {c.metadata.nbgrader.grade_id: c for c in notebook.cells if "nbgrader" in c.metadata}
    report = graded.report if graded is not None else None
    scores = {f"check-{e.name}": e.score for e in report.exercises} if report else {}
    faults = report.faults if report else []
    doubtful = {f"check-{fault.where}" for fault in faults if fault.kind == "forbidden"}
    for grade in submission.grades:
        cell = cells.get(grade.name)
        if cell is not None and is_task(cell):
            continue
        grade.auto_score = scores.get(grade.name)
        if cell is not None and is_grade(cell) and is_solution(cell):
            grade.auto_score, _ = determine_grade(cell)
        in_doubt = grade.name in doubtful and bool(grade.auto_score)
        already = grade.manual_score is not None
        grade.needs_manual_grade = already or grade.auto_score is None or in_doubt
    for comment in submission.comments:
        cell = cells.get(comment.name)
        unchanged = cell is not None and cell.metadata.nbgrader.checksum == compute_checksum(cell)
        comment.auto_comment = "No response." if unchanged and not is_task(cell) else None


# --- The course's folders ------------------------------------------------------------------------


def _results(coursedir: CourseDirectory) -> Path:
    return Path(coursedir.root) / ".gradus" / "results"


def _folder(coursedir: CourseDirectory, step: str, student: str) -> Path:
    directory = getattr(coursedir, f"{step}_directory")
    return Path(coursedir.format_path(directory, student, coursedir.assignment_id))


def _read(entry: Entry) -> bytes:
    assert isinstance(entry.notebook, Path)
    try:
        return read_file(entry.notebook)
    except UnreadableNotebook:
        return b""  # the Report says why


def _require_same_version(
    coursedir: CourseDirectory, assignment: Assignment, log: logging.Logger
) -> None:
    name = assignment.name
    points = {f"check-{each.name}": assignment.points(each.name) for each in assignment.exercises}
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        try:
            cells = gradebook.find_notebook(name, name).grade_cells
            known = {c.name: c.max_score for c in cells if c.name.startswith("check-")}
        except MissingEntry:
            known = {}
    if known != points:
        what = "holds another version of" if known else "does not know"
        message = f"the gradebook {what} {name}: run `gradus build {name}` in the course's folder"
        log.error(message)
        raise NbGraderException(message)


def _process(number: int) -> str:
    """A process, told from others that had or will have its number by when it was started."""
    if sys.platform == "linux":  # counted from the machine's start: psutil's moves with the clock
        started = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[19]
    else:
        started = str(psutil.Process(number).create_time())
    return f"{number} {started}"


def _lives(process: Any) -> bool:
    try:
        return _process(int(str(process).partition(" ")[0])) == process
    except (ValueError, OSError, psutil.Error):
        return False


def _mark(folder: Path, name: str) -> dict[str, Any] | None:
    """What the graded notebook in a folder says of its grading; None where it is not whole."""
    try:
        metadata = json.loads((folder / f"{name}.ipynb").read_bytes())["metadata"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    mark = metadata.get(MARK)
    return mark if isinstance(mark, dict) else {}


def _remove_unfinished(coursedir: CourseDirectory, log: logging.Logger) -> None:
    """Removes what a killed run left in autograded/, which nbgrader would take for graded."""
    for path in glob.glob(str(_folder(coursedir, "autograded", "*"))):
        folder = Path(path)
        mark = _mark(folder, coursedir.assignment_id)
        if mark is None or ("unfinished" in mark and not _lives(mark["unfinished"])):
            log.warning("Removing what an interrupted run left: %s", folder)
            try:
                shutil.rmtree(folder)
            except OSError as error:
                message = f"{folder}, which a killed run left, can't be removed: {error.strerror}"
                log.error(message)
                raise NbGraderException(message) from None


# --- gradus build --------------------------------------------------------------------------------


def register(assignment: Assignment) -> None:
    """Makes an assignment known to the course in the current folder: writes source/ and lets
    nbgrader make the release and the gradebook's entries from it. Raises BuildError, OSError."""
    put_tools_on_path()
    app = NbGrader(log_level=logging.ERROR)
    app.initialize([])
    folder = app.coursedir.format_path(app.coursedir.source_directory, ".", assignment.name)
    source = Path(folder) / f"{assignment.name}.ipynb"
    source.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(solution_notebook(assignment), source)
    folder = app.coursedir.format_path(app.coursedir.release_directory, ".", assignment.name)
    release = Path(folder) / f"{assignment.name}.ipynb"
    before = release.read_bytes() if release.exists() else None
    commands = NbGraderAPI(app.coursedir, parent=app)
    with _errors_of(commands.log) as errors:
        outcome = commands.generate_assignment(assignment.name, force=True, create=True)
    if not outcome["success"]:
        if before is not None:  # nbgrader has removed it
            release.parent.mkdir(parents=True, exist_ok=True)
            write_whole(release, [before])
        why = errors[0] if errors else outcome["error"]
        raise BuildError(f"nbgrader could not generate {assignment.name}: {why}")


# --- gradus grade --record -----------------------------------------------------------------------


class Recorder(Autograde):  # type: ignore[misc]
    """Records results as `nbgrader autograde` does, in one pass and from one process.

    The course is the one of the nbgrader_config.py in the current folder. Raises NotRecorded
    where it does not grade with Gradus, its gradebook has another version of the assignment or
    can't be read, or another process is recording.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        app = NbGrader(log_level=logging.ERROR)
        app.initialize([])
        app.coursedir.assignment_id = assignment.name
        super().__init__(coursedir=app.coursedir, parent=app)
        if not issubclass(self.exporter_class, SubmissionExporter):
            raise NotRecorded(
                f"{app.coursedir.root} is no course that grades with Gradus: run this where the "
                "course's nbgrader_config.py is, and see that it holds the lines of Gradus's own"
            )
        self._create_engine = functools.cache(api.create_engine)
        self.force = True  # the caller decides what is recorded
        self.writer = FilesWriter(parent=self, config=self.config)
        self._lock = _lock(_results(self.coursedir).parent)
        with contextlib.ExitStack() as let_go:
            let_go.enter_context(self._lock)
            try:
                with _errors_of(self.log):
                    self.exporter = self.exporter_class(parent=self, config=self.config)
            except NbGraderException as error:
                raise NotRecorded(str(error)) from None
            except StatementError as error:
                raise _unreadable(self.coursedir, error) from None
            self._before = self._in_gradebook()
            let_go.pop_all()

    def store(self, seed: int, isolation: IsolationChoice) -> Store:
        """The course's results for this seed and isolation, which are then what is recorded."""
        store = Store(_results(self.coursedir), self._assignment, seed, isolation)
        self.exporter.store = store
        return store

    def check(self, entry: Entry) -> None:
        """Raises NotRecorded for an entry from outside the course."""
        folder = _folder(self.coursedir, "submitted", entry.student)
        path = entry.notebook  # the folder itself, where that is a link
        if isinstance(path, Path) and folder not in (path.parent, path):
            raise NotRecorded(f"{path} can't be recorded: it does not lie in {folder}")

    def recorded(self, student: str) -> tuple[str, float | None]:
        """What stood in the gradebook when this began: the result's key, and the score. None
        where there was none, "" where it was of another result or of another time of handing in.

        Raises NotRecorded where that time can't be read.
        """
        before = self._before.get(student, Standing())
        mark = self._mark(student)
        same = before.score is not None and math.isclose(before.score, mark.score)
        if same and self._handed_in_at(student) in (None, before.submitted_at):
            return mark.result, before.score
        return "", before.score

    def seed(self, student: str) -> int | None:
        """The seed that a student's recorded result is of; None where that is unknown."""
        return self._mark(student).seed

    def by_hand(self, student: str) -> list[str]:
        """The exercises whose score a person gave, which stands whatever is recorded."""
        return sorted(self._before.get(student, Standing()).by_hand)

    def before(self, report: Report) -> tuple[Report | None, Kept | None]:
        """The Report whose scores stand in the gradebook, for a newer one of the same student, and
        the kept result that it is of; None where there are none.

        Where that result is lost, or not what the gradebook holds, the exercises' scores are all
        that the older Report tells: the rest of it is the newer one's.
        """
        standing = self._before.get(report.student, Standing()).scores
        of = {exercise.name: f"check-{exercise.name}" for exercise in report.exercises}
        scores = {name: standing[cell] for name, cell in of.items() if cell in standing}
        if not scores:
            return None, None
        kept = self.exporter.store.get(self._mark(report.student).result)
        if kept is not None and {e.name: e.score for e in kept.report.exercises} == scores:
            kept.report.student = report.student  # another may have handed in the same notebook
            return kept.report, kept
        possible = {e.name: e.max_score for e in report.exercises if e.name in scores}
        before = msgspec.structs.replace(
            report,
            exercises=[ExerciseResult(n, scores[n], of, []) for n, of in possible.items()],
            score=sum(scores.values()),
            max_score=report.max_score,
        )
        return before, None

    def _mark(self, student: str) -> Mark:
        found = _mark(_folder(self.coursedir, "autograded", student), self._assignment.name)
        try:
            return msgspec.convert(found, Mark)
        except msgspec.ValidationError:  # of another's grading, or of none
            return Mark()

    def is_as_before(self) -> bool:
        """Whether the gradebook still holds what it held when this began. Raises NotRecorded."""
        return self._in_gradebook() == self._before

    def _in_gradebook(self) -> dict[str, Standing]:
        try:
            with _errors_of(self.log):
                return _in_gradebook(self.coursedir)
        except StatementError as error:
            raise _unreadable(self.coursedir, error) from None

    def _handed_in_at(self, student: str) -> datetime | None:
        path = _folder(self.coursedir, "submitted", student) / "timestamp.txt"
        if not os.path.lexists(path):
            return None
        try:  # nbgrader would wait for a pipe, read what is endless, and not say what is wrong
            if len(read_file(path)) > 100:
                raise ValueError("too long")
            time: datetime | None = self.coursedir.get_existing_timestamp(str(path.parent))
        except Exception:
            message = f"{path} holds no time: correct or remove it, and run the command again"
            raise NotRecorded(f"{student}: {message}") from None
        return time

    def record(self, graded: Graded) -> None:
        """Writes a student's scores into the gradebook, and the notebook into autograded/.

        Raises NotRecorded.
        """
        student, name = graded.report.student, self._assignment.name
        folder = str(_folder(self.coursedir, "submitted", student))
        self._handed_in_at(student)
        self.exporter.results = {student: graded}
        self.assignments = {folder: [os.path.join(folder, f"{name}.ipynb")]}
        # Each opening of the gradebook would compile its SQL anew; nbgrader opens it many times.
        with (
            patch.object(api, "create_engine", self._create_engine),
            _errors_of(self.log) as errors,
            chdir(self.coursedir.root),
        ):
            try:
                self.convert_notebooks()
            except (NbGraderException, OSError):
                why = errors[0] if errors else "nbgrader says no more"
                raise NotRecorded(
                    f"{student}: the score could not be recorded ({why}); put that right, and "
                    "run the command again"
                ) from None
        if self.exporter.results:
            raise NotRecorded(f"{student}: nbgrader_config.py excludes it, or does not execute")

    def convert_single_notebook(self, notebook_filename: str) -> None:
        """Sanitises and grades in one conversion. What nbgrader itself would put right is right
        already: `submitted_notebook` makes the cells from the release, which is the gradebook's."""
        self.exporter._preprocessors = []
        needless = [ClearOutput, DeduplicateIds, OverwriteKernelspec, CheckCellMetadata]
        if not self.config.OverwriteCells.get("add_missing_cells"):
            needless.append(OverwriteCells)
        for each in [*self.sanitize_preprocessors, *self.autograde_preprocessors]:
            if (import_item(each) if isinstance(each, str) else each) not in needless:
                self.exporter.register_preprocessor(each)
        resources = self.init_single_notebook_resources(notebook_filename)
        output, resources = self.exporter.from_filename(notebook_filename, resources=resources)
        # The writer makes a folder only where it is another one than the last.
        folder = _folder(self.coursedir, "autograded", resources["nbgrader"]["student"])
        folder.mkdir(parents=True, exist_ok=True)
        self.write_single_notebook(output, resources)


def _lock(folder: Path) -> IO[str]:
    """A file that is locked as long as this process has it open; what is killed lets go of it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise NotRecorded("another run is recording in this course: wait for its end") from None
    return file


def _unreadable(coursedir: CourseDirectory, error: StatementError) -> NotRecorded:
    return NotRecorded(f"{coursedir.db_url} can't be read: {str(error).splitlines()[0]}")


@dataclass
class Standing:
    """What the gradebook holds of a student: when the submission was handed in, the autograder's
    scores by cell, and for which exercises a person gave one."""

    submitted_at: datetime | None = None
    scores: dict[str, float] = field(default_factory=dict)
    by_hand: set[str] = field(default_factory=set)

    @property
    def score(self) -> float | None:
        """The autograder's scores together; None where it gave none."""
        return sum(self.scores.values()) if self.scores else None


def _in_gradebook(coursedir: CourseDirectory) -> dict[str, Standing]:
    """What stands there, by student. Raises NotRecorded where the assignment has other
    notebooks."""
    name = coursedir.assignment_id
    found: dict[str, Standing] = {}
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        if others := [n.name for n in gradebook.find_assignment(name).notebooks if n.name != name]:
            raise NotRecorded(
                f"{name} has more notebooks, which nbgrader grades ({', '.join(others)}): run "
                f"`nbgrader autograde {name}`"
            )
        rows = (
            gradebook.db.query(
                SubmittedAssignment.student_id,
                SubmittedAssignment.timestamp,
                BaseCell.name,
                GradeRow.auto_score,
                GradeRow.manual_score,
            )
            .join(SubmittedAssignment.notebooks)
            .join(SubmittedNotebook.grades)
            .join(GradeRow.cell)
            .filter(SubmittedNotebook.notebook_id == gradebook.find_notebook(name, name).id)
        )
        for student, time, cell, score, by_hand in rows:
            standing = found.setdefault(student, Standing(time))
            if score is not None:
                standing.scores[cell] = score
            if by_hand is not None:
                standing.by_hand.add(cell.removeprefix("check-"))
    return found


@contextlib.contextmanager
def _errors_of(log: logging.Logger) -> Iterator[list[str]]:
    """Collects the errors that nbgrader logs, and tells nowhere else; silences the rest."""
    errors: list[str] = []

    def collect(record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        message = record.getMessage() if error is None else f"{type(error).__name__}: {error}"
        errors.append(message.strip().splitlines()[0])

    handler = logging.Handler(logging.ERROR)
    handler.emit = collect  # type: ignore[method-assign]
    logs = (log, logging.getLogger("tornado.application"))  # the latter is its gradebook's
    before = [each.handlers[:] for each in logs]
    for each in logs:
        each.handlers[:] = [handler]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"nbgrader\.")  # of every submission anew
            yield errors
    finally:
        for each, handlers in zip(logs, before, strict=True):
            each.handlers[:] = handlers
