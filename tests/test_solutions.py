"""The grader graded: right solutions get all points, wrong ones lose theirs, and only theirs."""

from __future__ import annotations

import json

import nbformat
import pytest

from autograder.assignment import Assignment
from autograder.build import release_notebook, solution_notebook
from autograder.grade import grade
from autograder.misconceptions import Mutant
from autograder.misconceptions.convolution import MUTANTS
from autograder.report import Report
from autograder.sandbox.client import Sandbox
from tests.alternates.convolution import ALTERNATES


def grade_with(
    sources: dict[str, str], assignment: Assignment, sandbox: Sandbox, seed: int = 0
) -> Report:
    """Grades the solution with the cells of some exercises replaced."""
    notebook = nbformat.writes(solution_notebook(assignment, sources)).encode()
    return grade(notebook, assignment, sandbox=sandbox, seed=seed)


def lost(report: Report) -> dict[str, float]:
    """The points that each exercise lost, where it lost any."""
    exercises = report.exercises
    return {e.name: e.max_score - e.score for e in exercises if e.score < e.max_score}


def test_the_assignment_totals_100_points(convolution: Assignment) -> None:
    assert sum(convolution.points(e.name) for e in convolution.exercises) == 100


def test_public_checks_are_worth_40_to_60_percent_of_each_exercise(
    convolution: Assignment,
) -> None:
    for exercise in convolution.exercises:
        public = sum(
            item.check.points
            for item in convolution.checks
            if item.check.exercise == exercise.name and item.visibility == "public"
        )
        assert 0.4 <= public / convolution.points(exercise.name) <= 0.6, exercise.name


def test_the_notebooks_table_of_points_agrees_with_the_checks(convolution: Assignment) -> None:
    text = convolution.solution_path.read_text(encoding="utf-8")
    for number, exercise in enumerate(convolution.exercises, 1):
        names = ", ".join(f"`{name}`" for name in exercise.defines)
        row = f"# | {number} | {names} | {convolution.points(exercise.name):g} |"
        assert row in text, f"the lesson's table lacks the row {row!r}"


def test_the_release_is_what_the_solutions_build(convolution: Assignment) -> None:
    committed = convolution.release_path.read_text(encoding="utf-8")
    assert committed == release_notebook(convolution), "run `gradus build` and commit the result"


def test_the_release_holds_no_line_of_a_solution(convolution: Assignment) -> None:
    released = "\n".join(
        "".join(cell["source"])
        for cell in json.loads(convolution.release_path.read_bytes())["cells"]
    )
    solution = convolution.solution_path.read_text(encoding="utf-8")
    regions = [part.split("### END SOLUTION")[0] for part in solution.split("### BEGIN SOLUTION")]
    lines = [line.strip() for region in regions[1:] for line in region.splitlines()]
    telling = [line for line in lines if len(line) > 20]
    assert len(telling) > 20
    assert [line for line in telling if line in released] == []


@pytest.mark.parametrize("seed", range(3))
def test_the_solution_gets_all_points(seed: int, convolution: Assignment, sandbox: Sandbox) -> None:
    report = grade_with({}, convolution, sandbox, seed)
    assert lost(report) == {}
    assert report.score == 100
    assert report.faults == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 30))
def test_the_solution_gets_all_points_whatever_the_seed(
    seed: int, convolution: Assignment, sandbox: Sandbox
) -> None:
    assert lost(grade_with({}, convolution, sandbox, seed)) == {}


def test_the_release_gets_no_point(convolution: Assignment, sandbox: Sandbox) -> None:
    report = grade(convolution.release_path, convolution, sandbox=sandbox)
    assert report.score == 0
    assert report.max_score == 100


def test_the_same_notebook_and_seed_give_the_same_report(
    convolution: Assignment, sandbox: Sandbox
) -> None:
    wrong = {"conv2d": next(m.source for m in MUTANTS if m.exercise == "conv2d")}
    first, second = (grade_with(wrong, convolution, sandbox, seed=1) for _ in range(2))
    assert first.without_times() == second.without_times()
    assert Report.from_json(first.to_json()) == first


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.exercise}: {m.name}")
def test_a_wrong_solution_loses_points_in_its_exercise_and_only_there(
    mutant: Mutant, convolution: Assignment, sandbox: Sandbox
) -> None:
    report = grade_with({mutant.exercise: mutant.source}, convolution, sandbox)
    assert set(lost(report)) == {mutant.exercise}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 10))
def test_no_wrong_solution_is_lucky_with_another_seed(
    seed: int, convolution: Assignment, sandbox: Sandbox
) -> None:
    lucky = [
        f"{mutant.exercise}: {mutant.name}"
        for mutant in MUTANTS
        if set(lost(grade_with({mutant.exercise: mutant.source}, convolution, sandbox, seed)))
        != {mutant.exercise}
    ]
    assert lucky == []


@pytest.mark.parametrize(
    ("exercise", "source"),
    [(exercise, source) for exercise, _, source in ALTERNATES],
    ids=[f"{exercise}: {name}" for exercise, name, _ in ALTERNATES],
)
def test_an_unusual_right_solution_keeps_all_points(
    exercise: str, source: str, convolution: Assignment, sandbox: Sandbox
) -> None:
    report = grade_with({exercise: source}, convolution, sandbox)
    failed = [c.message for e in report.exercises for c in e.checks if not c.passed]
    assert failed == []


def test_every_exercise_has_five_mutants_and_three_alternates(convolution: Assignment) -> None:
    for exercise in convolution.exercises:
        assert len([m for m in MUTANTS if m.exercise == exercise.name]) >= 5, exercise.name
        assert len([a for a in ALTERNATES if a[0] == exercise.name]) >= 3, exercise.name
