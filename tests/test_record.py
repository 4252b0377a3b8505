"""`gradus grade --record` and `gradus regrade`: what is recorded, when it is passed over, what is
shown before, and that nothing is lost."""

import fcntl
import gc
import hashlib
import json
import logging
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.apps import AutogradeApp, NbGraderAPI
from nbgrader.apps.baseapp import NbGrader
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import chdir
from typer.testing import CliRunner

from autograder import batch
from autograder.adapters.nbgrader import NotRecorded, Recorder, SubmissionExporter, register
from autograder.assignment import Assignment
from autograder.batch import Entry, Grader, digest, find_submissions, grade_all
from autograder.build import BuildError, solution_notebook
from autograder.cli import app
from autograder.misconceptions.convolution import MUTANTS
from autograder.report import Fault, Graded, Report
from autograder.sandbox.client import IsolationUnavailable
from autograder.store import Store, _code

pytestmark = pytest.mark.xdist_group("record")  # they share a course that takes long to make
ROOT = Path(__file__).resolve().parents[1]
NAME = "02-convolution"
FILE = f"{NAME}.ipynb"
EVERYTHING = """
select student_id, base_cell.name, auto_score, manual_score, extra_credit, needs_manual_grade,
       late_submission_penalty
from grade join base_cell on base_cell.id = grade.cell_id
join submitted_notebook on submitted_notebook.id = grade.notebook_id
join submitted_assignment on submitted_assignment.id = submitted_notebook.assignment_id
union all
select student_id, base_cell.name, auto_comment, manual_comment, null, null, timestamp
from comment join base_cell on base_cell.id = comment.cell_id
join submitted_notebook on submitted_notebook.id = comment.notebook_id
join submitted_assignment on submitted_assignment.id = submitted_notebook.assignment_id
union all select id, first_name, last_name, email, null, null, null from student
order by 1, 2, 3
"""


def hand_in(course: Path, student: str, data: bytes) -> Path:
    folder = course / "submitted" / student / NAME
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(data)
    return folder


def notebook(assignment: Assignment, **sources: str) -> bytes:
    return nbformat.writes(solution_notebook(assignment, sources)).encode()


MUTANT = next(m for m in MUTANTS if m.exercise == "conv2d").source


@pytest.fixture(scope="module")
def template(tmp_path_factory, convolution) -> Path:
    """A course with a small class in submitted/, nothing graded yet."""
    root = tmp_path_factory.mktemp("template") / "course"
    root.mkdir()
    shutil.copy(ROOT / "nbgrader_config.py", root)
    with chdir(str(root)):
        register(convolution)
    hand_in(root, "ada", notebook(convolution))
    hand_in(root, "ben", convolution.release_path.read_bytes())
    hand_in(root, "cem", notebook(convolution, conv2d=MUTANT))
    hand_in(root, "dan", b"no notebook")
    hand_in(root, "eve", notebook(convolution, quiz="import os\nos._exit(1)"))
    (root / "submitted" / "fay" / NAME).mkdir(parents=True)
    return root


@pytest.fixture(scope="module")
def results(template, convolution) -> dict[str, Graded]:
    """What grading the class gives; kept in the template's store."""
    store = Store(template / ".gradus" / "results", convolution)
    entries = find_submissions([template / "submitted"], NAME)
    return {
        graded.report.student: graded for _, graded in grade_all(entries, convolution, store=store)
    }


@pytest.fixture
def course(template, results, tmp_path) -> Path:
    """A course whose results are known, and not recorded."""
    return Path(shutil.copytree(template, tmp_path / "course"))


@pytest.fixture
def recorder(course, convolution, monkeypatch) -> Recorder:
    monkeypatch.chdir(course)
    return Recorder(convolution)


def gradus(course: Path, *arguments: str) -> list[str]:
    return [
        *(sys.executable, "-c", "from autograder.cli import main; main()", "grade", NAME),
        *(str(course / "submitted"), *arguments),
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "lib")])}


def run(course: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        gradus(course, *arguments), cwd=course, env=environment(), capture_output=True, text=True
    )


def gradebook_of(course: Path) -> list[tuple]:
    with sqlite3.connect(course / "gradebook.db") as database:
        return list(database.execute(EVERYTHING))


def recorded_files(course: Path) -> dict[str, str]:
    folder = course / "autograded"
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def scores(course: Path) -> dict[str, float]:
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        return {s.student.id: s.score for s in gradebook.assignment_submissions(NAME)}


def test_a_run_records_the_class_and_the_next_passes_it_over(course, results):
    first = run(course, "--record", "--json", "reports.jsonl")
    assert first.returncode == 0, first.stderr
    assert "5 recorded in the gradebook" in first.stderr
    assert scores(course) == {n: g.report.score for n, g in results.items() if n != "fay"}
    reports = [json.loads(line) for line in (course / "reports.jsonl").read_text().splitlines()]
    assert {r["student"]: r["score"] for r in reports} == {
        n: g.report.score for n, g in results.items()
    }
    before, files = gradebook_of(course), recorded_files(course)
    times = {path: path.stat().st_mtime_ns for path in course.glob("autograded/*/*/*")}
    second = run(course, "--record")
    assert "0 recorded in the gradebook; 5 were there already" in second.stderr
    assert (gradebook_of(course), recorded_files(course)) == (before, files)
    assert {path: path.stat().st_mtime_ns for path in course.glob("autograded/*/*/*")} == times


def test_a_resubmission_is_recorded_and_the_change_is_told(course, convolution, results):
    run(course, "--record")
    hand_in(course, "cem", notebook(convolution))
    again = run(course, "--record")
    low = results["cem"].report.score
    assert f"cem: {low:g} -> 100 in the gradebook" in again.stderr
    assert "1 recorded in the gradebook; 4 were there already" in again.stderr
    assert scores(course)["cem"] == 100


def test_recording_anew_keeps_a_manual_score_and_asks_a_person_to_look(recorder, course, results):
    recorder.record(results["cem"])
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        grade = gradebook.find_grade("check-conv2d", NAME, NAME, "cem")
        grade.manual_score = 15
        grade.extra_credit = 2
        gradebook.db.commit()
    recorder.record(results["cem"])
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        grade = gradebook.find_grade("check-conv2d", NAME, NAME, "cem")
        assert (grade.manual_score, grade.extra_credit, grade.needs_manual_grade) == (15, 2, True)
        assert not gradebook.find_grade("check-quiz", NAME, NAME, "cem").needs_manual_grade


def test_points_in_doubt_wait_for_a_person(recorder, course, convolution):
    doubtful = notebook(
        convolution, quiz=solution(convolution, "quiz") + "\nimport sys\nsys.modules['torch']"
    )
    hand_in(course, "ada", doubtful)
    ((_, graded),) = grade_all([Entry("ada", doubtful)], convolution)
    assert graded.report.score == 100
    recorder.record(graded)
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        assert gradebook.find_grade("check-conv2d", NAME, NAME, "ada").needs_manual_grade
        assert gradebook.find_grade("check-conv2d", NAME, NAME, "ada").auto_score == 20
        assert not gradebook.find_grade("check-same_padding", NAME, NAME, "ada").needs_manual_grade


def solution(assignment: Assignment, exercise: str) -> str:
    cells = solution_notebook(assignment).cells
    return next(cell.source for cell in cells if cell.id == exercise)


def test_an_untouched_exercise_has_nbgraders_comment(recorder, course, results):
    recorder.record(results["ben"])
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        comment = gradebook.find_comment("conv2d", NAME, NAME, "ben")
        assert comment.auto_comment == "No response."


def test_what_a_killed_run_left_is_removed_and_what_others_graded_is_not(
    course, convolution, results, monkeypatch
):
    def leave(student: str, content: bytes | None) -> Path:
        folder = course / "autograded" / student / NAME
        folder.mkdir(parents=True)
        (folder / "timestamp.txt").write_text("2026-11-01 10:00:00 UTC")
        if content is not None:
            (folder / FILE).write_bytes(content)
        return folder

    unfinished = [
        leave("ada", None),
        leave("ben", b'{"cells": [], "metada'),
        leave("cem", json.dumps({"metadata": {"gradus": {"unfinished": "1 2.5"}}}).encode()),
    ]
    stock = leave("dan", json.dumps({"cells": [], "metadata": {}}).encode())
    monkeypatch.chdir(course)
    recorder = Recorder(convolution)
    assert [folder.exists() for folder in unfinished] == [False] * 3
    assert stock.exists()
    recorder.record(results["dan"])
    assert scores(course) == {"dan": 0}


def test_a_locked_gradebook_is_told_and_the_next_run_goes_on(recorder, course, results):
    with sqlite3.connect(course / "gradebook.db", isolation_level=None) as database:
        database.execute("begin exclusive")
        with pytest.raises(NotRecorded, match="cem: the score could not be recorded .*locked"):
            recorder.record(results["cem"])
        database.execute("rollback")
    assert not (course / "autograded" / "cem" / NAME).exists()
    recorder.record(results["cem"])
    assert scores(course) == {"cem": results["cem"].report.score}


def test_what_the_gradebook_holds_no_longer_is_recorded_again_and_what_it_keeps_is_told(course):
    timestamp = course / "submitted" / "ada" / NAME / "timestamp.txt"
    timestamp.write_text("2026-11-01 13:00:00 UTC")
    run(course, "--record")
    timestamp.write_text("2026-11-01 11:00:00 UTC")  # the same notebook, and it was not late
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        gradebook.remove_student("ben")
        gradebook.find_grade("check-conv2d", NAME, NAME, "cem").auto_score = 1  # an older backup
        gradebook.db.commit()
    (course / "submitted" / "eve" / NAME / FILE).unlink()
    again = run(course, "--record")
    assert "3 recorded in the gradebook; 1 were there already" in again.stderr
    assert "cem: 81 -> 97 in the gradebook" in again.stderr
    assert "eve: missing; the gradebook keeps 94" in again.stderr
    assert "ben: " not in again.stderr
    assert scores(course) == {"ada": 100, "ben": 0, "cem": 97, "dan": 0, "eve": 94}
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        assert gradebook.find_submission(NAME, "ada").timestamp.hour == 11


def test_two_runs_do_not_record_at_once(course, convolution, monkeypatch):
    monkeypatch.chdir(course)
    with (course / ".gradus" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(NotRecorded, match="another run is recording"):
            Recorder(convolution)
    Recorder(convolution)


def test_a_time_that_is_none_is_told_and_stops_nobody_else(recorder, course, results):
    path = course / "submitted" / "ada" / NAME / "timestamp.txt"
    for text in (b"noon", b"\xff", b"0001-01-01 00:00:00 +1400", b"9" * 10**7):
        path.write_bytes(text)
        with pytest.raises(NotRecorded, match=f"ada: {path} holds no time"):
            recorder.record(results["ada"])
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(NotRecorded, match="holds no time"):
        recorder.record(results["ada"])
    recorder.record(results["cem"])
    assert scores(course) == {"cem": 97}


def test_a_folder_that_can_not_be_removed_is_told_and_stops_nobody_else(
    recorder, course, results, convolution, monkeypatch
):
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    recorder.record(results["ada"])
    monkeypatch.setattr("nbgrader.converters.base.rmtree", refuse)
    with pytest.raises(NotRecorded, match="ada: .*Permission denied"):
        recorder.record(results["ada"])
    recorder.record(results["cem"])
    assert scores(course) == {"ada": 100, "cem": 97}

    (course / "autograded" / "ada" / NAME / FILE).unlink()
    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(NbGraderException, match=f"ada/{NAME}.* can't be removed"):
        SubmissionExporter(parent=recorder)


def test_what_the_gradebook_refuses_is_told_in_a_line(
    recorder, course, results, monkeypatch, capfd
):
    # As outside of pytest, which listens to every log.
    monkeypatch.setattr(logging.getLogger("tornado.application"), "propagate", False)
    with sqlite3.connect(course / "gradebook.db") as database:
        database.execute(
            "create trigger refuse before insert on student when new.id = 'ada' "
            "begin select raise(fail, 'the disk is full'); end"
        )
    with pytest.raises(NotRecorded, match="ada: .*the disk is full"):
        recorder.record(results["ada"])
    assert capfd.readouterr().err == ""
    recorder.record(results["cem"])
    assert scores(course) == {"cem": 97}


def test_whom_nbgrader_is_told_to_exclude_is_not_called_recorded(recorder, results):
    recorder.coursedir.student_id_exclude = "ada"
    with pytest.raises(NotRecorded, match="ada: nbgrader_config.py excludes it"):
        recorder.record(results["ada"])


def test_a_link_in_a_folders_place_stops_nobody_else(recorder, course):
    (course / "submitted" / "gus").mkdir()
    (course / "submitted" / "gus" / NAME).symlink_to(course / "submitted" / "ada" / NAME)
    for entry in find_submissions([course / "submitted"], NAME):
        recorder.check(entry)


def test_an_assignment_with_more_notebooks_is_left_to_nbgrader(course, convolution, monkeypatch):
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        gradebook.add_notebook("essay", NAME)
    monkeypatch.chdir(course)
    with pytest.raises(NotRecorded, match=rf"\(essay\): run `nbgrader autograde {NAME}`"):
        Recorder(convolution)


def test_a_gradebook_that_can_not_be_read_is_told(course, convolution, monkeypatch):
    (course / "gradebook.db").write_text("no database")
    monkeypatch.chdir(course)
    with pytest.raises(NotRecorded, match="gradebook.db can't be read: .*not a database"):
        Recorder(convolution)


def test_a_submission_from_outside_the_course_is_refused(course, tmp_path, convolution):
    elsewhere = tmp_path / "elsewhere" / "ada" / NAME
    elsewhere.mkdir(parents=True)
    (elsewhere / FILE).write_bytes(convolution.release_path.read_bytes())
    refused = run(course, str(tmp_path / "elsewhere"), "--record")
    assert refused.returncode == 2
    assert "does not lie in" in refused.stderr
    assert not (course / "autograded").exists()


def test_a_folder_that_is_no_course_is_told_so(tmp_path, template):
    shutil.copytree(template / "submitted", tmp_path / "submitted")
    refused = run(tmp_path, "--record")
    assert refused.returncode == 2
    assert "nbgrader_config.py" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "submitted"]


def test_a_gradebook_with_other_checks_is_told_to_be_built_anew(course, convolution, monkeypatch):
    with sqlite3.connect(course / "gradebook.db") as database:
        database.execute("update grade_cells set max_score = 21 where max_score = 20")
    monkeypatch.chdir(course)
    with pytest.raises(NotRecorded, match=f"another version of {NAME}: run `gradus build {NAME}`"):
        Recorder(convolution)
    register(convolution)
    Recorder(convolution)


def test_a_build_that_nbgrader_refuses_says_why_and_leaves_the_release(
    course, convolution, monkeypatch
):
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        gradebook.add_student("ada")
        gradebook.add_submission(NAME, "ada")
        gradebook.find_grade_cell("check-quiz", NAME, NAME).name = "check-riddle"
        gradebook.db.commit()
    release = course / "assignments" / NAME / FILE
    before = release.read_bytes()
    monkeypatch.chdir(course)
    with pytest.raises(BuildError, match=f"generate {NAME}: RuntimeError: Cannot .*submissions"):
        register(convolution)
    assert release.read_bytes() == before


def test_a_result_that_was_damaged_is_graded_again(course, convolution, results):
    store = Store(course / ".gradus" / "results", convolution)
    key = store.key(results["ada"].report.submission)
    assert store.get(key) is not None
    (course / ".gradus" / "results" / f"{key}.json").write_bytes(b'{"report": {')
    assert store.get(key) is None
    entries = [Entry("ada", course / "submitted" / "ada" / NAME / FILE)]
    ((_, graded),) = grade_all(entries, convolution, store=store)
    assert graded.report.score == 100
    assert store.get(key) is not None


def test_a_result_is_found_only_for_the_same_notebook_bounds_seed_and_isolation(
    tmp_path, convolution, results, monkeypatch
):
    store = Store(tmp_path, convolution)
    graded = results["ada"]
    store.put(store.key(graded.report.submission), graded)
    kept = store.get(Store(tmp_path, convolution).key(graded.report.submission))
    assert (kept.report, kept.outputs) == (graded.report, graded.outputs)
    assert store.changes(kept) == []
    others = [
        Store(tmp_path, convolution).key("another"),
        Store(tmp_path, convolution, seed=1).key(graded.report.submission),
        Store(tmp_path, convolution, isolation="none").key(graded.report.submission),
    ]
    monkeypatch.setattr("autograder.store.version", lambda package: "0")
    others.append(Store(tmp_path, convolution).key(graded.report.submission))
    monkeypatch.setattr("autograder.calibration.read", lambda: {NAME: {"a bound": 1.0}})
    _code.cache_clear()  # as in another process
    others.append(Store(tmp_path, convolution).key(graded.report.submission))
    _code.cache_clear()
    assert len({*others, store.key(graded.report.submission)}) == 6
    assert [store.get(key) for key in others] == [None] * 5


# The same through `nbgrader autograde`, with results that are known.


@pytest.fixture
def known(course, results, monkeypatch) -> Callable[..., int]:
    """`nbgrader autograde` in the course, its exit status; it finds the results without grading."""

    def grade(self: Grader, entry: Entry) -> Graded:
        graded.append(entry.student)
        if entry.student in failing:
            report = msgspec.structs.replace(results[entry.student].report, isolation={})
            return Graded(msgspec.structs.replace(report, faults=[Fault("crash", "", "Not now.")]))
        return results[entry.student]

    def autograde(*arguments: str, fails: tuple[str, ...] = ()) -> list[str]:
        graded.clear()
        failing[:] = fails
        return autograde_in(course, *arguments), list(graded)

    graded: list[str] = []
    failing: list[str] = []
    monkeypatch.setattr(Grader, "grade", grade)
    return autograde


def autograde_in(course: Path, *arguments: str) -> int:
    with chdir(str(course)):
        app = AutogradeApp()
        app.initialize(list(arguments or (NAME,)))
        try:
            app.start()
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0


def test_autograde_passes_over_what_is_graded_and_force_grades_it_anew(known, course):
    assert known() == (0, ["ada", "ben", "cem", "dan", "eve"])
    assert known() == (0, [])
    assert known(NAME, "--student=cem", "--force") == (0, ["cem"])


def test_a_submission_that_could_not_be_graded_is_no_zero_and_is_graded_the_next_time(
    known, course, results
):
    assert known(fails=("ben",)) == (1, ["ada", "ben", "cem", "dan", "eve"])
    assert not (course / "autograded" / "ben" / NAME).exists()
    assert scores(course)["cem"] == results["cem"].report.score
    assert known() == (0, ["ben"])


def test_without_execution_no_score_is_taken_from_the_students_outputs(known, course, convolution):
    forged = solution_notebook(convolution, {"conv2d": MUTANT})
    for cell in forged.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "20.0"})]
    hand_in(course, "cem", nbformat.writes(forged).encode())
    assert known(NAME, "--student=cem", "--no-execute") == (0, [])
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        grades = gradebook.find_submission_notebook(NAME, NAME, "cem").grades
        assert {(grade.auto_score, grade.needs_manual_grade) for grade in grades} == {(None, True)}


def test_where_nothing_isolates_no_submission_is_graded_and_the_reason_is_told(
    course, monkeypatch, capfd
):
    def refuse(isolation: str) -> None:
        asked.append(isolation)
        raise IsolationUnavailable("this machine can't isolate submissions")

    asked: list[str] = []
    monkeypatch.setattr(batch, "open_sandbox", refuse)
    assert autograde_in(course) == 1
    assert asked == ["auto"]  # once, not for each submission
    assert "this machine can't isolate submissions" in capfd.readouterr().err
    assert not list(course.glob("autograded/*/*"))


def test_another_assignment_of_the_course_is_graded_by_nbgrader_itself(course):
    metadata = {"grade": True, "solution": False, "locked": True, "points": 3, "task": False}
    metadata |= {"grade_id": "sum", "schema_version": 3}
    cell = nbformat.v4.new_code_cell("assert 1 + 1 == 2", metadata={"nbgrader": metadata})
    path = course / "source" / "other" / "other.ipynb"
    path.parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    with chdir(str(course)):
        assert NbGraderAPI(course_directory(), parent=None).generate_assignment("other")["success"]
    (course / "submitted" / "ada" / "other").mkdir()
    shutil.copy(path, course / "submitted" / "ada" / "other")
    assert autograde_in(course, "other") == 0
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        assert gradebook.find_submission("other", "ada").score == 3


def test_a_manually_graded_cell_waits_for_a_person_and_keeps_its_markup_harmless(
    course, results, monkeypatch
):
    assignment = Assignment(NAME)
    source = solution_notebook(assignment)
    metadata = {"grade": True, "solution": True, "locked": False, "points": 5, "task": False}
    metadata |= {"grade_id": "essay", "schema_version": 3}
    essay = nbformat.v4.new_markdown_cell("*Why?*", metadata={"nbgrader": metadata}, id="essay")
    source.cells.append(essay)
    nbformat.write(source, course / "source" / NAME / FILE)
    monkeypatch.chdir(course)
    api = NbGraderAPI(course_directory(), parent=None)
    assert api.generate_assignment(NAME, force=True)["success"]
    release = dict(nbformat.read(course / "assignments" / NAME / FILE, 4))
    monkeypatch.setattr(Assignment, "release", release)
    essay.source = "Because **x** < y.<script>alert(1)</script>"
    hand_in(course, "ada", nbformat.writes(source).encode())
    Recorder(assignment).record(results["ada"])
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        grade = gradebook.find_grade("essay", NAME, NAME, "ada")
        assert (grade.auto_score, grade.needs_manual_grade) == (None, True)
        assert gradebook.find_submission(NAME, "ada").score == 100
        assert gradebook.find_submission(NAME, "ada").max_score == 105
    graded = nbformat.read(course / "autograded" / "ada" / NAME / FILE, 4)
    (cell,) = [cell for cell in graded.cells if cell.id == "essay"]
    assert "Because **x**" in cell.source
    assert "<script>" not in cell.source


def course_directory() -> CourseDirectory:
    app = NbGrader()
    app.initialize([])
    return app.coursedir


# Killed at any moment.


@pytest.fixture(scope="module")
def undisturbed(template, results, tmp_path_factory) -> tuple[list[tuple], dict[str, str]]:
    course = Path(shutil.copytree(template, tmp_path_factory.mktemp("undisturbed") / "course"))
    done = run(course, "--record", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    return gradebook_of(course), recorded_files(course)


def kill_and_restart(course: Path, seconds: float) -> int:
    """Kills a run after so long, and lets another finish; the processes that outlived them."""
    process = subprocess.Popen(
        gradus(course, "--record", "--jobs", "2"),
        cwd=course,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = run(course, "--record", "--jobs", "2")
    assert again.returncode == 0, again.stderr
    return again


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_a_run_killed_at_a_random_moment_goes_on_and_loses_nothing(
    number, template, undisturbed, tmp_path
):
    """Half of them while grading, half while recording: there the results are known already."""
    course = Path(shutil.copytree(template, tmp_path / "course"))
    draw = random.Random(number)
    grading = number < 10
    if grading:
        shutil.rmtree(course / ".gradus")
    kill_and_restart(course, draw.uniform(2.0, 14.0) if grading else draw.uniform(2.5, 5.0))
    assert (gradebook_of(course), recorded_files(course)) == undisturbed


# gradus regrade: what was recorded under older checks.


@pytest.fixture
def recorded_before(course, results, convolution, monkeypatch) -> Callable[..., None]:
    """Records results as other code gave them: students' of today, or those that are given."""

    def record(*students: str, code: str = "older", seed: int = 0, **reports: Report) -> None:
        gc.collect()  # a Recorder that is no more still has its lock
        parts = dict.fromkeys([CHECKS, f"{CHECKS}: agrees_with_conv2d"], code)
        older = {**_code(NAME), **(parts if code else {})}
        graded = {name: results[name] for name in students}
        graded |= {name: Graded(report) for name, report in reports.items()}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("autograder.store._code", lambda name: older)
            recorder = Recorder(convolution)
            store = recorder.store(seed, "auto")
            for name, each in graded.items():
                each = Graded(msgspec.structs.replace(each.report, student=name, seed=seed))
                store.put(store.key(each.report.submission), each)
                recorder.record(each)

    monkeypatch.chdir(course)
    return record


CHECKS = "autograder.checks.hidden.convolution"


@pytest.fixture
def too_strict(results) -> Report:
    """ada's Report as a check gave it that rejected her right answer."""
    report = msgspec.convert(msgspec.to_builtins(results["ada"].report), Report)
    exercise = next(each for each in report.exercises if each.name == "conv2d")
    check = next(each for each in exercise.checks if each.name == "agrees_with_conv2d")
    check.passed, check.message = False, "It came back in another order.\nMore."
    for scored in (exercise, report):
        scored.score -= check.points
    return report


@pytest.fixture
def regrade(results, monkeypatch, course):
    """`gradus regrade` in the course, where grading gives today's results; who was graded."""

    def grade(self: Grader, entry: Entry) -> Graded:
        run.graded.append(entry.student)
        if entry.student in run.interrupts:
            raise KeyboardInterrupt
        report = msgspec.structs.replace(
            results[entry.student].report, submission=digest(entry), seed=self._grading.seed
        )
        if entry.student in run.fails:
            fault = Fault("crash", "", "Not now.")
            report = msgspec.structs.replace(report, isolation={}, faults=[fault])
        return Graded(report)

    def run(*words: str, answer: str | None = None):
        gc.collect()
        run.graded.clear()
        monkeypatch.setattr("autograder.cli._in_terminal", lambda: answer is not None)
        done = CliRunner().invoke(app, ["regrade", NAME, *words], input=answer)
        done.exception = done.exc_info = None  # their frames hold the lock
        return done

    run.graded, run.fails, run.interrupts = [], (), ()
    monkeypatch.setattr(Grader, "grade", grade)
    shutil.rmtree(course / ".gradus")  # what is graded is found nowhere
    return run


def test_only_what_other_checks_graded_is_graded_again_and_shown_and_nothing_is_recorded(
    recorded_before, regrade, course, too_strict
):
    recorded_before("dan", code="")
    recorded_before("cem", ada=too_strict)
    before = gradebook_of(course), recorded_files(course)
    done = regrade()
    assert done.exit_code == 0, done.output
    assert regrade.graded == ["ada", "cem"]
    low = too_strict.score
    assert f"ada: {low:g}/100 -> 100/100 (+{100 - low:g})" in done.stdout
    assert "conv2d: agrees_with_conv2d passes now" in done.stdout
    assert "before: It came back in another order." in done.stdout
    assert "2 students: 1 rose, 0 fell" in done.stdout
    assert "cem" not in done.stdout
    assert "1 recorded results are today's; 2 are not" in done.stderr
    assert "never recorded, which gradus grade --record does: ben, eve" in done.stderr
    assert f"changed since: {CHECKS}: agrees_with_conv2d (2 students)" in done.stderr
    assert "so only checks of conv2d changed" in done.stderr
    assert "nothing was recorded; --record does that" in done.stderr
    assert (gradebook_of(course), recorded_files(course)) == before


def test_a_regrade_is_recorded_once_the_instructor_agrees_and_not_before(
    recorded_before, regrade, course, too_strict
):
    recorded_before("cem", ada=too_strict)
    before = gradebook_of(course), recorded_files(course)
    for answer, status in [("n\n", 0), ("", 130)]:
        refused = regrade("--record", answer=answer)
        assert refused.exit_code == status
        assert "Record 2 results in the gradebook?" in refused.stderr
        assert (gradebook_of(course), recorded_files(course)) == before
    agreed = regrade("--record", answer="y\n")
    assert agreed.exit_code == 0, agreed.output
    assert regrade.graded == []  # it was graded the first time
    assert f"ada: {too_strict.score:g} -> 100 in the gradebook" in agreed.stderr
    assert "2 recorded in the gradebook" in agreed.stderr
    assert scores(course) == {"ada": 100, "cem": 97}
    again = regrade("--record", "--yes")
    assert "2 recorded results are today's; 0 are not" in again.stderr
    assert (again.exit_code, again.stdout) == (0, "")


def test_without_a_terminal_a_regrade_is_recorded_with_yes_alone(
    recorded_before, regrade, course, too_strict
):
    recorded_before(ada=too_strict)
    refused = regrade("--record")
    assert (refused.exit_code, refused.stdout, regrade.graded) == (2, "", [])
    assert "say --record --yes" in refused.stderr
    assert scores(course)["ada"] == too_strict.score
    assert regrade("--yes").exit_code == 2
    assert regrade("--record", "--yes").exit_code == 0
    assert scores(course)["ada"] == 100


def test_a_regrade_compares_with_the_gradebook_where_the_older_result_is_lost_or_another(
    recorded_before, regrade, course, too_strict
):
    recorded_before("cem", ada=too_strict)
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        gradebook.find_grade("check-conv2d", NAME, NAME, "cem").auto_score = 1  # an older backup
        gradebook.db.commit()
    done = regrade()
    assert "cem: 81/100 -> 97/100 (+16)" in done.stdout
    assert "conv2d: 1/20 -> 17/20; by which checks is not known" in done.stdout
    assert "ada: its older result is lost" not in done.stderr
    shutil.rmtree(course / ".gradus")
    done = regrade()
    assert f"ada: {too_strict.score:g}/100 -> 100/100" in done.stdout
    assert "cem: 81/100 -> 97/100 (+16)" in done.stdout
    assert "ada: its older result is lost, but for its scores" in done.stderr


def test_a_graded_notebook_that_says_nonsense_of_its_grading_is_not_believed(
    recorded_before, regrade, course
):
    recorded_before("cem")
    path = course / "autograded" / "cem" / NAME / FILE
    content = json.loads(path.read_bytes())
    content["metadata"]["gradus"] = {"result": "../../elsewhere", "score": "97", "seed": -1}
    path.chmod(0o644)  # nbgrader leaves it read-only
    path.write_text(json.dumps(content))
    done = regrade()
    assert (done.exit_code, regrade.graded) == (0, ["cem"])
    assert "1 student: 0 rose, 0 fell" in done.stdout
    assert "cem: its older result is lost" in done.stderr


def test_what_changed_after_it_was_shown_is_not_recorded(
    recorded_before, regrade, course, convolution, too_strict, monkeypatch
):
    def hands_in_again(results: int) -> bool:
        hand_in(course, "ada", convolution.release_path.read_bytes())
        return True

    def records_too(results: int) -> bool:
        with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
            gradebook.find_grade("check-quiz", NAME, NAME, "ada").auto_score = 2
            gradebook.db.commit()
        return True

    recorded_before("cem", ada=too_strict)
    monkeypatch.setattr("autograder.cli._agreed", hands_in_again)
    done = regrade("--record", answer="")
    assert done.exit_code == 2
    assert "ada: changed since it was shown" in done.stderr
    assert "1 recorded in the gradebook" in done.stderr
    assert scores(course) == {"ada": too_strict.score, "cem": 97}
    monkeypatch.setattr("autograder.cli._agreed", records_too)
    done = regrade("--record", answer="")
    assert done.exit_code == 2
    assert "the gradebook has changed meanwhile" in done.stderr
    assert scores(course)["ada"] == too_strict.score - 4


def test_what_could_not_be_graded_again_keeps_its_score_and_a_score_by_hand_stands(
    recorded_before, regrade, course, too_strict
):
    recorded_before("cem", ada=too_strict)
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        gradebook.find_grade("check-conv2d", NAME, NAME, "ada").manual_score = 19
        gradebook.db.commit()
    regrade.fails = ("cem",)
    done = regrade("--record", "--yes")
    assert done.exit_code == 1
    assert "cem: failed; the gradebook keeps 97" in done.stderr
    assert "cem" not in done.stdout
    assert "ada: scored by hand, which stands: conv2d" in done.stderr
    assert "1 recorded in the gradebook" in done.stderr
    assert scores(course) == {"ada": 99, "cem": 97}


def test_an_interrupted_regrade_records_nothing(recorded_before, regrade, course, too_strict):
    recorded_before("cem", ada=too_strict)
    regrade.interrupts = ("cem",)
    done = regrade("--record", "--yes")
    assert done.exit_code == 130
    assert "1 of 2 are graded; nothing was recorded" in done.stderr
    assert scores(course)["ada"] == too_strict.score


def test_a_regrade_takes_the_seed_that_was_recorded_with(recorded_before, regrade):
    recorded_before("cem", seed=7)
    done = regrade()
    assert "seed" not in done.stdout
    assert "1 student: 0 rose, 0 fell" in done.stdout
    recorded_before("ada")
    done = regrade()
    assert done.exit_code == 2
    assert "several seeds" in done.stderr
    assert "seed: 0 -> 7 (1 student)" in regrade("--seed", "7", "submitted/ada").stdout


def test_a_corrected_check_in_the_code_moves_whom_it_wronged_and_nobody_else(
    recorded_before, course, tmp_path
):
    """With nothing replaced: in a copy of the code, the check for gradients asks for none."""
    recorded_before("ada", "cem", code="")
    gc.collect()
    before = gradebook_of(course)
    copy = tmp_path / "copy"
    for folder in ("autograder", "lib", "assignments"):
        shutil.copytree(ROOT / folder, copy / folder)
    path = copy / "autograder" / "checks" / "hidden" / "convolution.py"
    line = "    expect_gradients(student.conv2d, call, expected)\n"
    source = path.read_text()
    assert source.count(line) == 1
    values = "    expect_close(student.conv2d(*call[0], **call[1]), expected[0])\n"
    path.write_text(source.replace(line, values))
    done = subprocess.run(
        [sys.executable, "-c", "from autograder.cli import main; main()", "regrade", NAME],
        cwd=course,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(copy), str(copy / "lib")])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "cem: 97/100 -> 100/100 (+3)" in done.stdout
    assert "conv2d: conv2d_has_the_right_gradients passes now (3)" in done.stdout
    assert "2 students: 1 rose, 0 fell" in done.stdout
    assert "so only checks of conv2d changed" in done.stderr
    assert gradebook_of(course) == before
