"""`gradus grade --format`: where it goes, what is said beside it, and what stops it beforehand."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from autograder import batch
from autograder.cli import app
from autograder.report import Graded
from tests.reports import failed, graded, missing

NAME = "02-convolution"
GRADEBOOK = f"""Student,ID,SIS Login ID,Section,{NAME} (78)
    Points Possible,,,,100
"Doe, Ada",1,ada,A,
"Roe, Ben",2,ben,A,40
"Poe, Zoe",3,zoe,A,
"""


@pytest.fixture
def gradus(tmp_path, monkeypatch, convolution):
    """Runs the command on a class whose Reports are made up; nothing is graded."""
    class_ = [graded("ada", 90), failed("ben"), missing("cem"), graded("dan", 50)]
    for report in class_:
        (tmp_path / f"{report.student}.ipynb").touch()
    (tmp_path / "gradebook.csv").write_text(GRADEBOOK)
    made = {report.student: report for report in class_}

    def grade_all(entries, *_, **__):
        for index, entry in enumerate(entries):
            yield index, Graded(made[entry.student])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(batch, "grade_all", grade_all)
    monkeypatch.setattr("autograder.assignment.Assignment", lambda name: convolution)

    def run(*words, students=("ada", "ben", "cem", "dan")):
        notebooks = [f"{student}.ipynb" for student in students]
        return CliRunner().invoke(app, ["grade", NAME, *notebooks, *words])

    return run


def said(done) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("gradus:")]


def test_on_standard_output_the_file_is_alone(gradus):
    done = gradus("--format", "csv")
    header, *lines = done.stdout.splitlines()
    assert header.startswith("student,status,score,max_score,conv2d")
    assert [line.split(",")[:3] for line in lines] == [
        ["ada", "graded", "90"],
        ["ben", "failed", ""],
        ["cem", "missing", ""],
        ["dan", "graded", "50"],
    ]
    assert "90/100" in done.stderr
    assert done.exit_code == 1  # for ben
    assert said(done) == ["gradus: not graded: ben"]


def test_a_file_is_written_and_the_table_shown(gradus):
    done = gradus("--format", "junit", "--output", "junit.xml", "--json", "reports.jsonl")
    assert "90/100" in done.stdout
    assert len(ET.parse("junit.xml").getroot()) == len(
        Path("reports.jsonl").read_text().split("\n")[:-1]
    )


def test_json_and_a_format_go_side_by_side_but_not_both_to_standard_output(gradus):
    done = gradus("--format", "junit", "--output", "junit.xml", "--json", "-")
    assert [json.loads(line)["student"] for line in done.stdout.splitlines()]
    done = gradus("--format", "junit", "--json", "-")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "only one of --json and --format" in done.stderr


def test_a_score_that_is_not_in_the_file_shows_in_the_status(gradus):
    done = gradus("--format", "canvas", "--roster", "gradebook.csv", students=["ada", "dan"])
    assert done.stdout.splitlines()[2:] == [
        '"Doe, Ada",1,ada,A,90',
        '"Roe, Ben",2,ben,A,40',
        '"Poe, Zoe",3,zoe,A,',
    ]
    assert done.exit_code == 1
    assert said(done) == [
        "gradus: not in the roster, where SIS Login ID or ID should name them: dan",
        "gradus: handed in nothing, the cell is left as it is: ben (40), zoe (empty)",
        "gradus: graded, and their scores are not in the file: dan",
    ]


def test_gradescope_takes_one_submission(gradus):
    done = gradus("--format", "gradescope", students=["ada"])
    assert sum(test["score"] for test in json.loads(done.stdout)["tests"]) == 90
    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--format", "gradescope"], "here are 4"),
        (["--format", "canvas"], "--roster FILE: the CSV that Canvas's gradebook exports"),
        (["--format", "moodle"], "--roster FILE"),
        (["--format", "moodle", "--roster", "gradebook.csv"], "needs a column Username or"),
        (["--format", "csv", "--roster", "nowhere.csv"], "nowhere.csv can't be read"),
        (["--format", "junit", "--roster", "gradebook.csv"], "--roster is for"),
        (["--format", "csv", "--column", "x"], "--column is for"),
        (["--format", "junit", "--output", "nowhere/junit.xml"], "no folder"),
        (["--output", "junit.xml"], "--output needs --format"),
        (
            ["--format", "canvas", "--roster", "gradebook.csv", "--column", "Homework"],
            "no column 'Homework'",
        ),
    ],
)
def test_what_can_not_be_written_is_said_before_anything_is_graded(
    gradus, monkeypatch, words, named
):
    monkeypatch.setattr(batch, "grade_all", lambda *_, **__: pytest.fail("it was graded"))
    done = gradus(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("gradus: ")
    assert named in line


def test_an_interrupted_class_is_not_exported_as_missing(gradus, monkeypatch):
    def interrupted(entries, *_, **__):
        yield 0, Graded(graded("ada", 90))
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "grade_all", interrupted)
    done = gradus("--format", "csv", "--output", "scores.csv")
    assert done.exit_code == 130
    assert not Path("scores.csv").exists()
    assert "no csv was written" in done.stderr


def test_a_full_disk_is_said(gradus):
    if not Path("/dev/full").exists():
        pytest.skip("needs Linux's /dev/full")
    done = gradus("--format", "csv", "--output", "/dev/full", students=["ada"])
    assert done.exit_code == 2
    assert said(done)[-1] == "gradus: /dev/full can't be written: No space left on device"


def test_the_zip_for_gradescope_says_what_is_in_it(gradus):
    done = CliRunner().invoke(app, ["gradescope-zip", NAME])
    assert done.exit_code == 0
    assert "hidden checks" in done.stdout
    assert Path(f"{NAME}-gradescope.zip").stat().st_size > 100_000
    done = CliRunner().invoke(app, ["gradescope-zip", NAME, "--output", "nowhere/a.zip"])
    assert done.exit_code == 2
