"""A whole class: who handed in what, and that every student gets a Report, come what may."""

import os
import signal
import tempfile
import threading
from contextlib import nullcontext, suppress
from pathlib import Path

import nbformat
import psutil
import pytest
import torch._dynamo  # noqa: F401  # it makes a folder among temporary files when first imported

from autograder import batch
from autograder.batch import Entry, NothingToGrade, find_submissions, grade_all
from autograder.build import solution_notebook
from autograder.grade import grade_with_outputs
from autograder.report import Report

NAME = "02-convolution"


@pytest.fixture(scope="module")
def solution(convolution):
    return nbformat.writes(solution_notebook(convolution)).encode()


@pytest.fixture
def warm(monkeypatch, sandbox):
    """Grades in the sandbox that all tests share."""
    monkeypatch.setattr(batch, "open_sandbox", lambda isolation: nullcontext(sandbox))


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """The folder in which all temporary files are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def hand_in(folder: Path, student: str, *names: str) -> None:
    target = folder / student / NAME
    target.mkdir(parents=True)
    for name in names:
        (target / name).write_text("{}")


# Who handed in what.


def test_every_student_of_a_folder_has_an_entry(tmp_path):
    hand_in(tmp_path, "ada", f"{NAME}.ipynb", "other.ipynb", "data.csv")
    hand_in(tmp_path, "ben", "homework.ipynb")
    hand_in(tmp_path, "cem", "one.ipynb", "two.ipynb")
    hand_in(tmp_path, "dan", "notes.txt")
    (tmp_path / "eve").mkdir()
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / "README.md").touch()

    found = {entry.student: entry for entry in find_submissions([tmp_path], NAME)}

    assert list(found) == ["ada", "ben", "cem", "dan", "eve"]
    assert found["ada"] == Entry("ada", tmp_path / "ada" / NAME / f"{NAME}.ipynb")
    assert found["ben"].notebook == tmp_path / "ben" / NAME / "homework.ipynb"
    assert "homework.ipynb" in found["ben"].note
    assert found["cem"].notebook is None
    assert "one.ipynb, two.ipynb" in found["cem"].note
    assert found["dan"] == Entry("dan", None)
    assert found["eve"] == Entry("eve", None)


@pytest.mark.parametrize("level", [".", "ada", f"ada/{NAME}", f"ada/{NAME}/{NAME}.ipynb"])
def test_a_path_may_name_any_level_of_the_layout(tmp_path, level):
    hand_in(tmp_path, "ada", f"{NAME}.ipynb")
    expected = Entry("ada", tmp_path / "ada" / NAME / f"{NAME}.ipynb")
    assert find_submissions([tmp_path / level], NAME) == [expected]


def test_paths_are_found_from_the_current_folder(tmp_path, monkeypatch):
    hand_in(tmp_path, "ada", f"{NAME}.ipynb")
    monkeypatch.chdir(tmp_path / "ada" / NAME)
    expected = Entry("ada", tmp_path / "ada" / NAME / f"{NAME}.ipynb")
    for path in (".", f"{NAME}.ipynb", "../../ada", "../.."):
        assert find_submissions([Path(path)], NAME) == [expected]


def test_notebooks_outside_the_layout_are_called_by_their_names_or_paths(tmp_path):
    paths = [tmp_path / "x" / "ada.ipynb", tmp_path / "x" / "hw.ipynb", tmp_path / "y" / "hw.ipynb"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    students = [entry.student for entry in find_submissions(paths, NAME)]
    assert students == ["ada", str(paths[1]), str(paths[2])]


def test_a_name_that_is_no_text_is_read_nevertheless(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    hand_in(tmp_path, "ada", f"{NAME}.ipynb")
    assert [e.student for e in find_submissions([tmp_path], NAME)] == ["ada", "caf\ufffd"]


@pytest.mark.parametrize("make", ["nothing", "empty folder", "no students", "course"])
def test_a_path_without_submissions_is_refused_by_its_name(tmp_path, make):
    path = tmp_path / "class"
    if make != "nothing":
        path.mkdir()
    if make == "no students":
        (path / "ada").mkdir()
    if make == "course":
        hand_in(path / "submitted", "ada", f"{NAME}.ipynb")
        hand_in(path, "release", f"{NAME}.ipynb")
    with pytest.raises(NothingToGrade, match="class"):
        find_submissions([path], NAME)


def test_what_stands_in_a_notebooks_place_is_a_fault_of_that_student_alone(
    tmp_path, convolution, warm
):
    hand_in(tmp_path, "ada", f"{NAME}.ipynb")
    for student in ("ben", "cem", "dan"):
        hand_in(tmp_path, student)
    (tmp_path / "ben" / NAME / f"{NAME}.ipynb").symlink_to(convolution.release_path)
    (tmp_path / "cem" / NAME / f"{NAME}.ipynb").mkdir()
    os.mkfifo(tmp_path / "dan" / NAME / f"{NAME}.ipynb")
    (tmp_path / "eve").mkdir()
    (tmp_path / "eve" / NAME).symlink_to(tmp_path / "ada" / NAME)
    (tmp_path / "fay").mkdir()
    (tmp_path / "fay" / NAME).touch()

    entries = find_submissions([tmp_path], NAME)
    messages = {
        graded.report.student: graded.report.faults[0].message
        for _, graded in grade_all(entries, convolution)
    }
    assert "no list of cells" in messages["ada"]
    assert "is a link" in messages["ben"]
    assert "no regular file" in messages["cem"]
    assert "no regular file" in messages["dan"]
    assert "is a link" in messages["eve"]
    assert "can't be read" in messages["fay"]


# Grading.


def test_who_handed_in_nothing_has_a_report_with_every_exercise(convolution, warm):
    (only,) = grade_all([Entry("zoe", None)], convolution)
    report = only[1].report
    assert report.status == "missing"
    assert (report.student, report.score, report.max_score) == ("zoe", 0, 100)
    assert [e.name for e in report.exercises] == [e.name for e in convolution.exercises]
    assert [fault.kind for fault in report.faults] == ["notebook"]
    assert Report.from_json(report.to_json()) == report


def test_a_renamed_notebook_gets_its_points_and_a_note(convolution, warm, solution):
    ((_, graded),) = grade_all([Entry("ada", solution, "It was renamed.")], convolution)
    assert graded.report.score == 100
    assert [fault.message for fault in graded.report.faults] == ["It was renamed."]


def test_a_grader_that_fails_costs_one_submission_and_no_point(
    convolution, warm, solution, monkeypatch
):
    def fails_for_ben(notebook, assignment, **options):
        if options["student"] == "ben":
            raise RuntimeError("a bug of ours")
        return grade_with_outputs(notebook, assignment, **options)

    monkeypatch.setattr(batch, "grade_with_outputs", fails_for_ben)
    entries = [Entry(student, solution) for student in ("ada", "ben", "cem")]
    reports = [graded.report for _, graded in grade_all(entries, convolution)]
    assert [report.status for report in reports] == ["graded", "failed", "graded"]
    assert [report.score for report in reports] == [100, 0, 100]
    assert "a bug of ours" in reports[1].faults[0].message
    assert reports[1].submission == reports[0].submission


def helpers() -> list[psutil.Process]:
    """The processes that grade for this one."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it may end while we look
            if any("spawn_main" in part for part in child.cmdline()):
                found.append(child)
    return found


@pytest.mark.slow  # test_faults kills graders in the quick part
def test_two_processes_report_what_one_does_even_where_they_are_killed(
    convolution, warm, solution, scratch
):
    entries = [
        Entry("ada", solution),
        Entry("ben", convolution.release_path),
        Entry("cem", b"no notebook"),
        Entry("dan", None),
        Entry("eve", solution, "It was renamed."),
        Entry("fay", solution),
    ]
    expected = dict(grade_all(entries, convolution, seed=7))
    reports, killed = {}, []
    for index, graded in grade_all(entries, convolution, seed=7, jobs=2):
        reports[index] = graded.report
        if len(reports) == 3:  # of these, one needs no grading and one next to none
            killed = helpers()
            for helper in killed:
                helper.send_signal(signal.SIGKILL)

    assert len(killed) == 2
    assert sorted(reports) == sorted(expected) == list(range(6))
    for index, report in reports.items():
        assert report.without_times() == expected[index].report.without_times()
    assert helpers() == []
    assert list(scratch.iterdir()) == []


def test_a_submission_whose_grading_is_killed_again_and_again_is_reported_as_such(
    convolution, solution, scratch
):
    done = threading.Event()

    def kill() -> None:
        while not done.wait(0.05):
            for helper in helpers():
                with suppress(psutil.Error):
                    helper.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        entries = [Entry("ada", solution), Entry("ben", solution)]
        reports = [graded.report for _, graded in grade_all(entries, convolution, jobs=2)]
    finally:
        done.set()
        killer.join()
    assert [report.status for report in reports] == ["failed", "failed"]
    assert all("SIGKILL" in report.faults[0].message for report in reports)
    assert list(scratch.iterdir()) == []


def test_isolation_that_can_not_be_had_ends_the_grading(convolution, solution, monkeypatch):
    from autograder.sandbox.client import IsolationUnavailable

    def refuse(isolation):
        raise IsolationUnavailable("none here")

    monkeypatch.setattr(batch, "open_sandbox", refuse)
    with pytest.raises(IsolationUnavailable, match="none here"):
        list(grade_all([Entry("ada", solution)], convolution))
