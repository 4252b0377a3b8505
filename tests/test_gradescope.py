"""Gradescope: its results.json, and the zip that grades in its containers."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import nullcontext
from pathlib import Path

import jsonschema
import nbformat
import pytest
from hypothesis import given

from autograder import batch
from autograder.adapters import gradescope
from autograder.adapters.gradescope import autograder_zip, results_json
from autograder.build import solution_notebook
from autograder.demo import EXITS, cut_off, mistakes
from autograder.report import Fault
from autograder.sandbox.client import IsolationUnavailable
from tests.reports import check, missing, report, reports

ROOT = Path(__file__).resolve().parent.parent
NAME = "02-convolution"

# What Gradescope specifies: https://gradescope-autograders.readthedocs.io/en/latest/specs/
VISIBILITY = {"enum": ["hidden", "after_due_date", "after_published", "visible"]}
FORMAT = {"enum": ["text", "html", "simple_format", "md", "ansi"]}
TEST = {
    "type": "object",
    "properties": {
        "score": {"type": "number"},
        "max_score": {"type": "number"},
        "status": {"enum": ["passed", "failed"]},
        "name": {"type": "string"},
        "name_format": FORMAT,
        "number": {"type": "string"},
        "output": {"type": "string"},
        "output_format": FORMAT,
        "tags": {"type": "array", "items": {"type": "string"}},
        "visibility": VISIBILITY,
        "extra_data": {"type": "object"},
    },
    "additionalProperties": False,
}
RESULTS = {
    "type": "object",
    "properties": {
        "score": {"type": "number"},
        "execution_time": {"type": "number"},
        "output": {"type": "string"},
        "output_format": FORMAT,
        "test_output_format": FORMAT,
        "test_name_format": FORMAT,
        "visibility": VISIBILITY,
        "stdout_visibility": VISIBILITY,
        "extra_data": {"type": "object"},
        "tests": {"type": "array", "items": TEST},
        "leaderboard": {"type": "array"},
    },
    "additionalProperties": False,
}
# Either the whole has a score, or there are tests and each has one.
SCORED = {
    "anyOf": [
        {"required": ["score"]},
        {"required": ["tests"], "properties": {"tests": {"items": {"required": ["score"]}}}},
    ]
}


def read(content: bytes, scored: bool = True) -> dict:
    results = json.loads(content)
    jsonschema.validate(results, RESULTS)
    if scored:
        jsonschema.validate(results, SCORED)
    else:
        assert not {"score", "tests"} & results.keys()
        assert results["output"].startswith("Not graded, so there is no score: ")
    return results


# --- results.json --------------------------------------------------------------------------------


@given(reports(statuses=["graded", "missing"]))
def test_the_tests_scores_are_the_reports_score(drawn):
    tests = read(results_json(drawn))["tests"]
    assert sum(test["score"] for test in tests) == drawn.score
    assert sum(test["max_score"] for test in tests) == drawn.max_score
    assert all((test["status"] == "passed") == (test["score"] > 0) for test in tests)


@given(reports(statuses=["failed"]))
def test_what_could_not_be_graded_has_no_score_at_all(drawn):
    read(results_json(drawn), scored=False)


@given(reports())
def test_no_database_refuses_the_text(drawn):
    text = json.loads(results_json(drawn))
    for part in [text["output"], *(test["output"] for test in text.get("tests", []))]:
        part.encode()  # which half a character would refuse
        assert "\x00" not in part


def test_hidden_checks_stay_hidden_until_grades_are_published():
    fault = Fault("timeout", "conv2d: probe", "It did not come to an end.")
    one = report(
        "ada",
        check("shown", False, text="seen"),
        check("probe", False, visibility="hidden", text="secret"),
        faults=[fault, Fault("notebook", "", "Renamed.")],
    )
    results = read(results_json(one))
    seen, probe = results["tests"]
    assert (seen["visibility"], probe["visibility"]) == ("visible", "after_published")
    visible = json.dumps({**results, "tests": [seen]})
    assert "secret" not in visible
    assert "probe" not in visible
    assert results["output"] == "Renamed."
    assert results["stdout_visibility"] == "hidden"


def test_who_handed_in_no_notebook_is_told_what_to_do():
    (test,) = read(results_json(missing("ada")))["tests"]
    assert (test["score"], test["max_score"], test["visibility"]) == (0, 100, "visible")
    assert "No notebook was handed in." in test["output"]
    assert f"{NAME}.ipynb" in test["output"]


def test_a_novel_is_cut():
    one = report("ada", check("first", False, text="x" * 10**6))
    assert len(results_json(one)) < 50_000


# --- The zip -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archive(convolution) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(autograder_zip(convolution)))


def test_the_zip_has_its_two_scripts_at_the_root_and_they_are_executable(archive):
    assert archive.testzip() is None
    modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    for script in ("setup.sh", "run_autograder"):
        assert modes.pop(script) == 0o100755
        shell = archive.read(script).decode().splitlines()[0].split("/")[-1].split()[-1]
        subprocess.run([shell, "-n"], input=archive.read(script), check=True)
    assert set(modes.values()) == {0o100644}


def test_the_zip_holds_the_grader_and_no_other_assignment(archive, convolution):
    names = set(archive.namelist())
    for wanted in (
        f"assignments/{NAME}/{NAME}.ipynb",
        "autograder/checks/hidden/convolution.py",
        "lib/gradus/convolution.py",
        "requirements.txt",
        "pyproject.toml",
    ):
        assert archive.read(wanted) == (ROOT / wanted).read_bytes()
    assert {name.split("/")[1] for name in names if name.startswith("assignments/")} == {NAME}
    assert not any(name.endswith(".pyc") or "/." in name for name in names)


def test_the_same_sources_make_the_same_zip(convolution, monkeypatch):
    first = autograder_zip(convolution)
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    assert autograder_zip(convolution) == first


def test_an_index_for_pip_is_quoted(convolution):
    content = autograder_zip(convolution, "https://example.org/cpu'; rm -rf ~")
    script = zipfile.ZipFile(io.BytesIO(content)).read("setup.sh").decode()
    (line,) = (line for line in script.splitlines() if line.startswith("export"))
    shown = subprocess.run(
        ["sh", "-c", f'{line}; printf %s "$PIP_EXTRA_INDEX_URL"'], capture_output=True, text=True
    )
    assert shown.stdout == "https://example.org/cpu'; rm -rf ~"


@pytest.mark.parametrize(("offered", "chosen"), [(["3.12", "3.11"], "3.12"), ([], None)])
def test_set_up_takes_the_newest_python_that_the_image_offers(archive, tmp_path, offered, chosen):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, script in {
        "apt-get": 'case "$1 $4" in "update "|'
        + "|".join(f'"install python{v}"' for v in offered)
        + ("|" if offered else "")
        + '"never") exit 0;; esac; exit 100',
        "make": 'echo "$PWD: $*"',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    source = tmp_path / "source"
    source.mkdir()
    (source / "setup.sh").write_bytes(archive.read("setup.sh"))
    done = subprocess.run(
        ["bash", source / "setup.sh"],
        env={"PATH": f"{tools}:{os.environ['PATH']}"},
        cwd="/",
        capture_output=True,
        text=True,
    )
    if chosen:
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{source}: setup PYTHON=python{chosen}\n"
    else:
        assert done.returncode == 1
        assert "base image" in done.stderr


# --- Grading in a container ----------------------------------------------------------------------


class Container:
    """Gradescope's layout in a folder of its own, with the Python that runs the tests."""

    def __init__(self, root: Path, archive: zipfile.ZipFile) -> None:
        self.root, self.source, self.submission = root, root / "source", root / "submission"
        archive.extractall(self.source)
        shutil.copy(self.source / "run_autograder", root / "run_autograder")
        (root / "run_autograder").chmod(0o755)
        self.submission.mkdir()
        python = self.source / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)

    def run(self, scored: bool = True) -> tuple[dict, str]:
        """The results, and what only instructors see."""
        done = subprocess.run(
            [self.root / "run_autograder"],
            cwd="/",
            env={"PATH": os.environ["PATH"], "HOME": str(self.root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        results = read((self.root / "results" / "results.json").read_bytes(), scored)
        return results, done.stdout


@pytest.fixture
def container(tmp_path, archive):
    return Container(tmp_path / "autograder", archive)


def score(results: dict) -> float:
    return sum(test["score"] for test in results["tests"])


def notebook(convolution, sources=None) -> bytes:
    return nbformat.writes(solution_notebook(convolution, sources)).encode()


def test_a_right_submission_of_any_name_is_graded_with_nothing_but_the_zip(container, convolution):
    (container.submission / "my homework (2).ipynb").write_bytes(notebook(convolution))
    (container.submission / "picture.png").write_bytes(b"")
    results, printed = container.run()
    assert score(results) == 100
    assert len(results["tests"]) == len(convolution.checks)
    assert "graded: 100 of 100 points" in printed
    assert "isolation: " in printed


def test_a_grader_that_does_not_even_start_leaves_results_without_a_score(container, convolution):
    (container.submission / "a.ipynb").write_bytes(notebook(convolution))
    with (container.source / "autograder" / "report.py").open("a") as file:
        file.write("\nraise ImportError('broken')\n")
    results, printed = container.run(scored=False)
    assert "did not come to its end" in results["output"]
    assert "broken" in printed
    assert "broken" not in results["output"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sources", "edit", "expected"),
    [
        (mistakes("conv2d: the kernel flipped"), None, 87),
        ({"zero_pad2d": EXITS}, None, 94),
        ({}, cut_off, 0),
    ],
    ids=["wrong", "hostile", "broken"],
)
def test_any_submission_is_graded_in_the_container(container, convolution, sources, edit, expected):
    made = solution_notebook(convolution, sources)
    content = edit(made) if edit else nbformat.writes(made).encode()
    (container.submission / "a.ipynb").write_bytes(content)
    assert score(container.run()[0]) == expected


@pytest.fixture
def graded(tmp_path, monkeypatch, sandbox, convolution):
    """Grades a submission folder in this process, with the sandbox that all tests share."""
    monkeypatch.setattr(batch, "open_sandbox", lambda isolation: nullcontext(sandbox))
    monkeypatch.setattr(gradescope, "Assignment", lambda name: convolution)
    (tmp_path / "results").mkdir()

    def run(scored: bool = True, **files: bytes) -> dict:
        for name, content in files.items():
            path = tmp_path / "submission" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f"{path.name}.ipynb").write_bytes(content)
        assert gradescope.main(NAME, tmp_path) == 0
        return read((tmp_path / "results" / "results.json").read_bytes(), scored)

    return run


def test_a_wrong_submission_loses_the_points_of_its_mistake(graded, convolution):
    results = graded(wrong=notebook(convolution, mistakes("conv2d: the kernel flipped")))
    lost = {test["tags"][0] for test in results["tests"] if test["status"] == "failed"}
    assert lost == {"conv2d"}
    assert 80 <= score(results) < 100


def test_a_submission_that_ends_the_process_loses_one_exercise(graded, convolution):
    results = graded(hostile=notebook(convolution, {"zero_pad2d": EXITS}))
    assert score(results) == 94
    assert "os._exit" in results["output"]


def test_a_broken_file_gets_no_points_and_the_reason(graded, convolution):
    results = graded(broken=cut_off(solution_notebook(convolution)))
    assert score(results) == 0
    assert len(results["tests"]) == len(convolution.checks)
    assert "not a notebook" in results["output"]


def test_of_several_notebooks_none_is_guessed(graded, convolution):
    (test,) = graded(one=notebook(convolution), **{"week2/two": b"{}"})["tests"]
    assert test["score"] == 0
    assert test["output"].startswith("There are 2 notebooks: one.ipynb, week2/two.ipynb.")


def test_the_notebook_of_the_assignments_name_is_the_submission(graded, convolution):
    files = {"scratch": b"{}", f"homework/{NAME}": notebook(convolution)}
    assert score(graded(**files)) == 100


def test_a_checkpoint_and_a_macs_copies_are_no_submission(graded, convolution):
    files = {"mine": notebook(convolution)}
    files |= {".ipynb_checkpoints/mine-checkpoint": b"{}", "._mine": b"", "__MACOSX/mine": b""}
    assert score(graded(**files)) == 100


@pytest.mark.parametrize(
    ("names", "points"), [([b"\xff.ipynb"], 100), ([b"\xff.ipynb", b"b.ipynb"], 0)]
)
def test_a_name_that_is_no_text_is_no_obstacle(graded, tmp_path, convolution, names, points):
    for name in names:
        (tmp_path / "submission").mkdir(exist_ok=True)
        path = os.path.join(os.fsencode(tmp_path), b"submission", name)
        with open(path, "wb") as file:
            file.write(notebook(convolution))
    assert score(graded()) == points


def test_an_empty_submission_is_told_so(graded):
    (test,) = graded()["tests"]
    assert test["output"].startswith("There is no notebook.")


def test_a_link_in_the_submissions_place_is_not_followed(graded, tmp_path, convolution):
    (tmp_path / "secret.ipynb").write_bytes(notebook(convolution))
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "a.ipynb").symlink_to(tmp_path / "secret.ipynb")
    results = graded()
    assert score(results) == 0
    assert "it is a link" in results["output"]


def test_where_nothing_can_be_isolated_nothing_is_graded(graded, convolution, monkeypatch, capsys):
    def refuse(isolation):
        raise IsolationUnavailable("this machine can't isolate submissions (landlock: no)")

    monkeypatch.setattr(batch, "open_sandbox", refuse)
    results = graded(scored=False, a=notebook(convolution))
    assert "can't isolate submissions (landlock: no)" in results["output"]
    assert "can't isolate submissions (landlock: no)" in capsys.readouterr().out


def test_a_bug_of_ours_gives_nobody_a_zero(graded, convolution, monkeypatch, capsys):
    def broken(*_, **__):
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(batch, "grade_with_outputs", broken)
    results = graded(scored=False, a=notebook(convolution))
    assert "a bug of ours" in results["output"]
    monkeypatch.setattr(gradescope, "grade_all", broken)
    assert "a bug of ours" in graded(scored=False, a=notebook(convolution))["output"]
    assert "Traceback" in capsys.readouterr().out


def test_results_that_can_not_be_written_are_said(graded, tmp_path, capsys):
    shutil.rmtree(tmp_path / "results")
    (tmp_path / "results").write_text("a file in the folder's place")
    assert gradescope.main(NAME, tmp_path) == 1
    assert "results.json can't be written" in capsys.readouterr().out
