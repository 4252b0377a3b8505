"""The command: what it says, what it writes, and the status that it ends with."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import nbformat
import psutil
import pytest
from typer.testing import CliRunner

from autograder import batch
from autograder.build import solution_notebook
from autograder.cli import app
from autograder.report import Report
from autograder.sandbox.client import IsolationUnavailable

ROOT = Path(__file__).resolve().parent.parent
NAME = "02-convolution"


@pytest.fixture
def gradus(monkeypatch, sandbox, convolution):
    """Runs the command in this process, with the sandbox and the cases that all tests share."""
    monkeypatch.setattr(batch, "open_sandbox", lambda isolation: nullcontext(sandbox))
    monkeypatch.setattr("autograder.assignment.Assignment", lambda name: convolution)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def course(tmp_path, convolution):
    """A class of four: right, blank, no notebook at all, and one with a name like an attack."""
    folder = tmp_path / "submitted"
    for student in ("ada", "ben", "cem", "[bold]d\x1b[2Jan"):
        (folder / student).mkdir(parents=True)
    for student in ("ada", "ben", "[bold]d\x1b[2Jan"):
        (folder / student / NAME).mkdir()
    solution = nbformat.writes(solution_notebook(convolution)).encode()
    (folder / "ada" / NAME / f"{NAME}.ipynb").write_bytes(solution)
    (folder / "ben" / NAME / "renamed.ipynb").write_bytes(convolution.release_path.read_bytes())
    hostile = solution_notebook(
        convolution, {"quiz": "raise ValueError('[red]\\x1b]0;owned\\x07\\nsecond line')"}
    )
    target = folder / "[bold]d\x1b[2Jan" / NAME / f"{NAME}.ipynb"
    target.write_bytes(nbformat.writes(hostile).encode())
    return folder


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def reports(text: str) -> dict[str, Report]:
    return {report.student: report for report in map(Report.from_json, lines(text))}


def test_without_a_path_the_solution_and_the_release_are_graded(gradus):
    done = gradus("grade", NAME, "--json", "-")
    assert done.exit_code == 0
    scores = {name: (r.score, r.max_score) for name, r in reports(done.stdout).items()}
    assert scores == {"solution": (100, 100), "release": (0, 100)}


def test_a_class_is_graded_whatever_its_scores(gradus, course, tmp_path):
    out, page = tmp_path / "reports.jsonl", tmp_path / "report.html"
    done = gradus("grade", NAME, course, "--json", out, "--html", page)
    found = reports(out.read_text())
    assert done.exit_code == 0
    assert {name: r.score for name, r in found.items()} == {
        "[bold]d\x1b[2Jan": 94,
        "ada": 100,
        "ben": 0,
        "cem": 0,
    }
    assert found["cem"].status == "missing"
    assert "renamed.ipynb" in found["ben"].faults[0].message
    assert re.search(r"ada\s+100/100(\s+\d+){10}", done.stdout)
    assert re.search(r"cem\s+0/100.*missing", done.stdout)
    assert "renamed.ipynb" in done.stderr
    assert "ada" in page.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "report.html",
        "reports.jsonl",
        "submitted",
    ]


def test_json_on_standard_output_is_alone_there_and_the_same_twice(gradus, course):
    first, second = (gradus("grade", NAME, course, "--json", "-", "--seed", 3) for _ in range(2))
    for line in lines(first.stdout):
        assert json.loads(line)["schema"] == 1
    one, two = reports(first.stdout), reports(second.stdout)
    assert len(one) == 4
    assert {n: r.without_times() for n, r in one.items()} == {
        n: r.without_times() for n, r in two.items()
    }
    assert "100/100" in first.stderr


def test_no_name_and_no_message_reaches_the_terminal_as_more_than_text(gradus, course):
    done = gradus("grade", NAME, course)
    both = done.stdout + done.stderr
    assert "\x1b" not in both
    assert "\x07" not in both
    assert r"[bold]d\x1b[2Jan" in done.stdout
    (line,) = (line for line in lines(done.stderr) if "[red]" in line)
    assert "[red]]0;owned" in line


@pytest.mark.parametrize(("bound", "status"), [("94", 1), ("0", 0)])
def test_fail_under_counts_every_student(gradus, course, bound, status):
    done = gradus("grade", NAME, course, "--fail-under", bound)
    assert done.exit_code == status
    below = [line for line in lines(done.stderr) if line.startswith("gradus:")]
    assert below == ([f"gradus: below {bound} %: ben, cem"] if status else [])


def test_a_submission_that_could_not_be_graded_shows_in_the_status(gradus, course, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(batch, "grade_with_outputs", broken)
    done = gradus("grade", NAME, course / "ada", "--json", "-")
    assert done.exit_code == 1
    assert reports(done.stdout)["ada"].status == "failed"
    assert lines(done.stderr)[-1] == "gradus: not graded: ada"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["grade", "03-nothing"], "03-nothing"),
        (["grade", NAME, "nowhere"], "nowhere"),
        (["grade", NAME, "--json", "nowhere/reports.jsonl"], "nowhere"),
        (["grade", NAME, "--html", "."], "."),
        (["build", "03-nothing"], "03-nothing"),
        (["demo", "--output", "pyproject.toml/demo"], "pyproject.toml"),
    ],
)
def test_what_is_unknown_gets_one_line_and_status_2(words, named, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("gradus: ")
    assert named in line


def test_a_machine_that_can_not_isolate_gets_one_line_and_status_3(gradus, course, monkeypatch):
    def refuse(isolation):
        raise IsolationUnavailable("this machine can't isolate submissions")

    monkeypatch.setattr(batch, "open_sandbox", refuse)
    done = gradus("grade", NAME, course / "ada")
    assert done.exit_code == 3
    assert lines(done.stderr)[-1] == "gradus: this machine can't isolate submissions"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_gets_one_line_and_the_table_is_shown(gradus, course):
    done = gradus("grade", NAME, course / "ben", "--json", "/dev/full")
    assert done.exit_code == 2
    assert lines(done.stderr)[-1] == "gradus: /dev/full can't be written: No space left on device"
    assert "0/100" in done.stdout


def start(*words: str | Path, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "autograder.cli", *map(str, words)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'lib'}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Who runs the tests in the background has Ctrl-C ignored, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **options,  # type: ignore[call-overload]
    )


def test_ctrl_c_keeps_the_finished_reports_and_leaves_nothing_behind(
    tmp_path, convolution, monkeypatch
):
    hangs = "import time\n\ndef receptive_field(layers):\n    time.sleep(600)\n"
    notebook = nbformat.writes(solution_notebook(convolution, {"receptive_field": hangs}))
    paths = [tmp_path / f"{student}.ipynb" for student in ("ada", "ben", "cem", "dan")]
    for path in paths:
        path.write_text("no notebook" if path.stem == "ada" else notebook)
    out, scratch = tmp_path / "reports.jsonl", tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    running = start("grade", NAME, *paths, "--jobs", "2", "--json", out, start_new_session=True)
    assert running.stderr is not None
    first = running.stderr.readline()  # the fault of the file that is no notebook
    time.sleep(1)
    family = psutil.Process(running.pid).children(recursive=True)
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=60)

    assert "ada" in first
    assert running.returncode == 130
    assert lines(errors)[-1] == "gradus: interrupted: 1 of 4 are graded, and reported"
    assert "Traceback" not in errors
    assert list(reports(out.read_text())) == ["ada"]
    assert len(family) >= 4
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    assert list(scratch.iterdir()) == []


def test_a_reader_that_stops_reading_is_no_traceback(tmp_path):
    (tmp_path / "ada.ipynb").write_text("no notebook")
    running = start("grade", NAME, tmp_path / "ada.ipynb", "--json", "-")
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    errors = running.stderr.read()
    assert running.wait(60) == 2
    assert lines(errors)[-1] == "gradus: Broken pipe"


def test_build_check_tells_a_stale_release_from_a_fresh_one(gradus, convolution, monkeypatch):
    assert gradus("build", NAME, "--check").exit_code == 0
    before = convolution.release_path.read_bytes()
    monkeypatch.setattr("autograder.build.release_notebook", lambda assignment: "{}")
    done = gradus("build", NAME, "--check")
    assert done.exit_code == 1
    assert "stale" in done.stdout
    assert convolution.release_path.read_bytes() == before


def test_doctor_says_whether_grading_works(gradus, monkeypatch, sandbox):
    from autograder import doctor

    def only_namespaces(name="auto"):
        if name == "bubblewrap":
            raise IsolationUnavailable("bwrap is not installed")
        return nullcontext(sandbox)

    monkeypatch.setattr(doctor, "open_sandbox", only_namespaces)
    monkeypatch.setattr("autograder.grade.open_sandbox", only_namespaces)
    done = gradus("doctor")
    assert done.exit_code == 0
    assert re.search(r"✓ isolation namespaces: .*limits", done.stdout)
    assert "- isolation bubblewrap: bwrap is not installed" in done.stdout
    assert "the solution gets 100 of 100" in done.stdout


def test_doctor_says_what_to_do_where_nothing_can_be_isolated(gradus, monkeypatch):
    from autograder import doctor

    def refuse(name="auto"):
        raise IsolationUnavailable("the kernel says no")

    monkeypatch.setattr(doctor, "open_sandbox", refuse)
    done = gradus("doctor")
    assert done.exit_code == 1
    assert done.stdout.count("the kernel says no") == 3
    assert "user namespaces" in done.stdout
