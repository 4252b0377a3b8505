"""The demo's class: each submission loses what it should, and nothing else."""

import pytest

from autograder.batch import grade_all
from autograder.demo import MARK, NotOurs, write_class
from autograder.grade import open_sandbox
from autograder.sandbox.messages import Limits

# Who loses points, and where; all others get everything.
ALL = "everything"
LOSES = {
    "ada-novak": {"receptive_field"},
    "ben-fischer": {"conv2d"},
    "carla-rossi": {"conv_output_size", "max_pool2d"},
    "chen-wei": {"conv2d"},
    "daniel-kim": ALL,
    "emma-larsen": ALL,
    "farid-haddad": {"conv2d"},
    "hiro-tanaka": {"same_padding"},
    "ines-moreau": {"receptive_field"},
    "jonas-weber": {"conv2d"},
    "kavya-iyer": {"zero_pad2d"},
    "lena-schulz": {"quiz"},
    "liam-murphy": {"pixel_shuffle"},
    "maya-cohen": {"max_pool2d"},
    "mateo-garcia": {"conv2d"},
    "nadia-petrova": {"conv_transpose2d"},
    "oscar-lind": ALL,
    "priya-nair": {"receptive_field", "conv_transpose2d", "pixel_shuffle", "quiz"},
    "sofia-almeida": {"zero_pad2d", "same_padding"},
    "tomas-dvorak": ALL,
    "yara-silva": {"conv2d", "conv_transpose2d"},
    "zoe-winter": ALL,
}
FAULTS = {
    "ada-novak": "timeout",
    "chen-wei": "forbidden",
    "hiro-tanaka": "notebook",
    "ines-moreau": "notebook",
    "kavya-iyer": "crash",
    "lena-schulz": "notebook",
    "oscar-lind": "notebook",
}


def test_each_submission_of_the_demo_loses_what_it_should(tmp_path, convolution, monkeypatch):
    # Smaller limits, so that the hostile ones take less long.
    limits = Limits(call_seconds=5, memory_bytes=2**29)
    monkeypatch.setattr("autograder.batch.open_sandbox", lambda name: open_sandbox(name, limits))
    entries = write_class(tmp_path / "demo")
    reports = [graded.report for _, graded in grade_all(entries, convolution)]

    assert len([entry for entry in entries if entry.notebook]) == 24
    assert len(reports) == len(entries) == 25
    for report in reports:
        lost = {e.name for e in report.exercises if e.score < e.max_score}
        expected = LOSES.get(report.student, set())
        what = f"{report.student} lost {lost}: {report.faults}"
        assert lost == expected or (expected == ALL and len(lost) > 4), what
        if expected != ALL:
            assert report.score >= 60, what
        if report.student in FAULTS:
            kinds = {fault.kind for fault in report.faults}
            assert kinds == {FAULTS[report.student]}, what


def test_the_demo_is_made_again_but_never_over_something_else(tmp_path):
    course = tmp_path / "course"
    course.mkdir()
    (course / "gradebook.db").touch()
    with pytest.raises(NotOurs):
        write_class(course)
    assert [path.name for path in course.iterdir()] == ["gradebook.db"]

    (tmp_path / "demo").mkdir()  # empty
    for _ in range(2):
        write_class(tmp_path / "demo")
        assert len(list((tmp_path / "demo" / "submitted").iterdir())) == 25
        assert (tmp_path / "demo" / MARK).exists()
