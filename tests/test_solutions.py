"""The grader graded: right solutions get all points, wrong ones lose theirs, and only theirs.

`gradus verify` grades every wrong and every unusual solution alone, and the solution on thirty
seeds. Here one of each exercise share a notebook; the slow tests give the wrong ones other seeds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from itertools import groupby, zip_longest

import pytest

from autograder.assignment import Assignment
from autograder.checks import TOPICS
from autograder.grade import grade
from autograder.misconceptions import Mutant
from autograder.report import Report
from autograder.sandbox.client import Sandbox
from autograder.verify import lesson_problems, lost, notebook_with

AT_ONCE = 5  # mutants of each exercise
SEEDS = range(1, 4)


@cache
def made(name: str) -> Assignment:
    """One for all tests: its cases are drawn once."""
    return Assignment(name)


TRAINED = [name for name in TOPICS if any(item.check.trains for item in made(name).checks)]


def subtlest_mutants(name: str) -> list:
    """The first of each exercise, which are the subtlest."""
    return [
        pytest.param(mutant, id=f"{mutant.exercise}: {mutant.name}")
        for _, group in groupby(made(name).mutants, key=lambda mutant: mutant.exercise)
        for mutant in list(group)[:AT_ONCE]
    ]


def one_of_each(variants: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """The first variant of each exercise, the second of each, and so on."""
    groups = [list(group) for _, group in groupby(variants, key=lambda variant: variant[0])]
    return [dict(filter(None, column)) for column in zip_longest(*groups)]


def mutants(assignment: Assignment) -> list[tuple[str, str]]:
    return [(mutant.exercise, mutant.source) for mutant in assignment.mutants]


def alternates(assignment: Assignment) -> list[tuple[str, str]]:
    return [(exercise, source) for exercise, _, source in assignment.alternates]


@pytest.fixture(params=TOPICS)
def assignment(request: pytest.FixtureRequest) -> Assignment:
    """Each assignment in turn."""
    return made(request.param)


def grade_with(
    sources: dict[str, str], assignment: Assignment, sandbox: Sandbox, seed: int = 0
) -> Report:
    """Grades the solution with the cells of some exercises replaced."""
    return grade(notebook_with(assignment, sources), assignment, sandbox=sandbox, seed=seed)


def test_points_lesson_and_release_agree(assignment: Assignment) -> None:
    assert list(lesson_problems(assignment)) == []


def test_the_release_holds_no_line_of_a_solution(assignment: Assignment) -> None:
    released = "\n".join(
        "".join(cell["source"])
        for cell in json.loads(assignment.release_path.read_bytes())["cells"]
    )
    solution = assignment.solution_path.read_text(encoding="utf-8")
    regions = [part.split("### END SOLUTION")[0] for part in solution.split("### BEGIN SOLUTION")]
    lines = [line.strip() for region in regions[1:] for line in region.splitlines()]
    telling = [line for line in lines if len(line) > 20]
    assert len(telling) > 20
    assert [line for line in telling if line in released] == []


def test_the_solution_gets_all_points(assignment: Assignment, sandbox: Sandbox) -> None:
    report = grade_with({}, assignment, sandbox)
    assert lost(report) == {}
    assert report.score == 100
    assert report.faults == []


def test_the_release_gets_no_point(assignment: Assignment, sandbox: Sandbox) -> None:
    report = grade(assignment.release_path, assignment, sandbox=sandbox)
    assert report.score == 0
    assert report.max_score == 100


@pytest.mark.parametrize("first", [0, 1])
def test_what_is_left_undone_costs_its_own_points_alone(
    first: int, assignment: Assignment, sandbox: Sandbox
) -> None:
    undone = [exercise.name for exercise in assignment.exercises][first::2]
    released = {cell.id: cell.source for cell in assignment.release["cells"]}
    report = grade_with({name: released[name] for name in undone}, assignment, sandbox)
    assert lost(report) == {name: assignment.points(name) for name in undone}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in TRAINED else []) for n in TOPICS]
)
def test_the_same_notebook_and_seed_give_the_same_report(name: str, sandbox: Sandbox) -> None:
    assignment = made(name)
    mutant = assignment.mutants[0]
    first, second = (
        grade_with({mutant.exercise: mutant.source}, assignment, sandbox, seed=1) for _ in range(2)
    )
    assert lost(first) != {}
    assert first.without_times() == second.without_times()
    assert Report.from_json(first.to_json()) == first


@pytest.mark.parametrize("mutant", subtlest_mutants("02-convolution"))
def test_a_wrong_solution_loses_points_in_its_exercise_and_only_there(
    mutant: Mutant, sandbox: Sandbox
) -> None:
    report = grade_with({mutant.exercise: mutant.source}, made("02-convolution"), sandbox)
    assert set(lost(report)) == {mutant.exercise}


def test_wrong_solutions_of_all_exercises_at_once_all_lose(
    assignment: Assignment, sandbox: Sandbox
) -> None:
    first = one_of_each(mutants(assignment))[0]
    assert set(lost(grade_with(first, assignment, sandbox))) == set(first)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_wrong_solution_is_lucky_with_another_seed(
    seed: int, assignment: Assignment, sandbox: Sandbox
) -> None:
    lucky = [
        (name, sources[name])
        for sources in one_of_each(mutants(assignment))
        for name in set(sources) - set(lost(grade_with(sources, assignment, sandbox, seed)))
    ]
    assert lucky == []


@pytest.mark.parametrize("number", [0, 1])
def test_unusual_right_solutions_keep_all_points(
    number: int, assignment: Assignment, sandbox: Sandbox
) -> None:
    report = grade_with(one_of_each(alternates(assignment))[number], assignment, sandbox)
    failed = [f"{e.name}: {c.message}" for e in report.exercises for c in e.checks if not c.passed]
    assert failed == []


def test_every_exercise_has_five_mutants_and_three_alternates(assignment: Assignment) -> None:
    for exercise in assignment.exercises:
        mutants = [m for m in assignment.mutants if m.exercise == exercise.name]
        alternates = [a for a in assignment.alternates if a[0] == exercise.name]
        assert len(mutants) >= 5, exercise.name
        assert len(alternates) >= 3, exercise.name
