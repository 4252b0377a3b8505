"""How long grading takes: `gradus grade` beside stock `nbgrader autograde`.

Both grade the same passing submissions of 02-convolution: the solution, and the alternates that
the tests keep. Stock nbgrader runs the public checks in the kernel; gradus runs all checks, in the
sandbox. Cells tagged `experiment` are left out, since gradus would skip them; `--experiments` keeps
them, as a class would hand them in.

The first table has a class in the gradebook, with two processes: `gradus grade --record --jobs 2`.
The second has grading alone, on one core. Two class sizes tell the cost of a submission (the
slope) from that of the start. What of it is the students' own code, floor.py tells.

    .venv/bin/python benchmarks/grading.py [--class 40] [--submissions 20] [--experiments]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "lib")]

from autograder.assignment import Assignment  # noqa: E402
from autograder.build import solution_notebook  # noqa: E402
from tests.alternates.convolution import ALTERNATES  # noqa: E402

NAME = "02-convolution"


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--class", type=int, default=40, dest="students")
    parser.add_argument("--submissions", type=int, default=20)
    parser.add_argument("--experiments", action="store_true")
    arguments = parser.parse_args()
    count = arguments.submissions
    print_class(Assignment(NAME), arguments.students, arguments.experiments)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ["OMP_NUM_THREADS"] = "1"
    assignment = Assignment(NAME)
    few = max(count // 5, 1)
    with tempfile.TemporaryDirectory() as folder:
        courses = {
            n: make_course(Path(folder) / str(n), assignment, n, arguments.experiments)
            for n in (few, count)
        }
        stock = {n: run(stock_command(), course) for n, course in courses.items()}
        ours = {n: run(our_command(), course) for n, course in courses.items()}
    print_comparison(stock, ours)


def make_course(folder: Path, assignment: Assignment, count: int, experiments: bool) -> Path:
    """A course in nbgrader's layout with `count` passing submissions, assigned and collected."""
    source = folder / "source" / NAME / f"{NAME}.ipynb"
    source.parent.mkdir(parents=True)
    nbformat.write(made(assignment, {}, experiments), source)
    run([tool("nbgrader"), "generate_assignment", NAME, "--create"], folder)
    for number in range(count):
        exercise, _, code = ALTERNATES[number % len(ALTERNATES)]
        notebook = made(assignment, {exercise: code} if number else {}, experiments)
        target = folder / "submitted" / f"student{number:03}" / NAME / f"{NAME}.ipynb"
        target.parent.mkdir(parents=True)
        nbformat.write(notebook, target)
    return folder


def print_class(assignment: Assignment, students: int, experiments: bool) -> None:
    """The table of a class that is graded into the gradebook, from the start to the last score."""
    with tempfile.TemporaryDirectory() as folder:
        course = make_course(Path(folder) / "stock", assignment, students, experiments)
        stock = run(stock_command(), course)
        course = make_course(Path(folder) / "gradus", assignment, students, experiments)
        shutil.copy(ROOT / "nbgrader_config.py", course)
        run([tool("gradus"), "build", NAME], course)
        ours = run([tool("gradus"), "grade", NAME, "submitted", "--record", "--jobs", "2"], course)
        recorded = scores(course)
    if recorded != [100.0] * students:
        raise SystemExit(f"not all of the {students} scores are 100: {recorded}")
    table = Table(title=f"A class of {students} into the gradebook, two cores")
    for column in ("nbgrader autograde", "gradus grade --record --jobs 2", "ratio"):
        table.add_column(column, justify="right")
    table.add_row(f"{stock:.1f} s", f"{ours:.1f} s", f"{stock / ours:.1f}")
    Console().print(table)


def scores(course: Path) -> list[float]:
    """The scores in a course's gradebook."""
    with Gradebook(f"sqlite:///{course}/gradebook.db", "gradus") as gradebook:
        return [submission.score for submission in gradebook.assignment_submissions(NAME)]


def made(assignment: Assignment, sources: dict[str, str], experiments: bool) -> NotebookNode:
    """A right submission's notebook."""
    notebook = solution_notebook(assignment, sources)
    if not experiments:
        notebook.cells = [
            c for c in notebook.cells if "experiment" not in c.metadata.get("tags", [])
        ]
    return notebook


def tool(name: str) -> str:
    """A command that is installed beside this Python."""
    return str(Path(sys.executable).parent / name)


def stock_command() -> list[str]:
    """nbgrader's own autograde, without any plug-in of ours."""
    return [tool("nbgrader"), "autograde", NAME]


def our_command() -> list[str]:
    """The same submissions through gradus, one at a time."""
    return [tool("gradus"), "grade", NAME, "submitted", "--jobs", "1", "--json", "reports.jsonl"]


def run(command: list[str], folder: Path) -> float:
    """The seconds that a command takes in a folder; stops the benchmark where it fails."""
    started = time.perf_counter()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'lib'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    clock = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return clock


def slope(seconds: dict[int, float]) -> float:
    """The seconds of one more submission."""
    (few, small), (many, large) = sorted(seconds.items())
    return (large - small) / (many - few)


def print_comparison(stock: dict[int, float], ours: dict[int, float]) -> None:
    """The table of both, with the ratio."""
    count = max(stock)
    table = Table(title=f"{count} passing submissions of {NAME}, one core")
    for column in ("", "nbgrader autograde", "gradus grade", "ratio"):
        table.add_column(column, justify="left" if not column else "right")
    rows = {
        "whole class, with the start": (stock[count], ours[count]),
        "one more submission": (slope(stock), slope(ours)),
    }
    for name, (theirs, mine) in rows.items():
        table.add_row(name, f"{theirs:.3f} s", f"{mine:.3f} s", f"{theirs / mine:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
