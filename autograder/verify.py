"""`gradus verify`: the grader graded, an assignment at a time.

Right solutions get everything, wrong ones lose in their own exercise and only there, small changes
of a solution are noticed or explained, the released notebook and the published code give nothing
away, and lesson and checks agree.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import nbformat

from autograder import publish
from autograder.assignment import Assignment
from autograder.batch import Entry, grade_all
from autograder.build import is_fresh, solution_notebook
from autograder.grade import grade, open_sandbox
from autograder.leaks import leaks
from autograder.report import Report
from autograder.survivors import Survey, survey

PUBLIC_SHARE = (0.4, 0.6)  # of each exercise's points


@dataclass(frozen=True)
class Caught:
    """A wrong solution that lost points: by which check first, in which of its cases."""

    exercise: str
    mutant: str
    check: str
    cases: int
    lost: float


@dataclass
class Proof:
    """What was tried for an assignment, and the sentences that say what did not hold."""

    assignment: str
    seeds: int
    mutants: dict[str, int]  # how many there are, by exercise
    alternates: dict[str, int]
    points: dict[str, float]
    accepted: dict[str, int] = field(default_factory=dict)
    caught: list[Caught] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    generated: list[Survey] = field(default_factory=list)


def verify(
    assignment: Assignment,
    *,
    seeds: int = 30,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Proof:
    """Proves the assignment, or says what is wrong with it; calls `progress` after each notebook
    that was graded. Raises BuildError, and IsolationUnavailable."""
    names = [exercise.name for exercise in assignment.exercises]
    proof = Proof(
        assignment.name,
        seeds,
        {name: sum(m.exercise == name for m in assignment.mutants) for name in names},
        {name: sum(a[0] == name for a in assignment.alternates) for name in names},
        {name: assignment.points(name) for name in names},
        dict.fromkeys(names, 0),
        problems=[*lesson_problems(assignment), *published_problems(assignment)],
    )
    variants = [
        *((m.exercise, m.name, m.source) for m in assignment.mutants),
        *assignment.alternates,
    ]
    of = 1 + len(variants) + seeds
    entries = [Entry("the release", assignment.release_path.read_bytes())]
    entries += [
        Entry(f"{exercise}: {name}", notebook_with(assignment, {exercise: source}))
        for exercise, name, source in variants
    ]
    for done, (index, graded) in enumerate(grade_all(entries, assignment, jobs=jobs), 1):
        progress(done, of)
        report, called = graded.report, entries[index].student
        if index == 0:
            if report.score:
                proof.problems.append(f"the release gets {report.score:g} points")
        elif index <= len(assignment.mutants):
            _judge_mutant(report, variants[index - 1][0], called, proof)
        else:
            _judge_alternate(report, variants[index - 1][0], called, proof)
    for done, problem in enumerate(_solutions(assignment.name, seeds, jobs), of - seeds + 1):
        progress(done, of)
        proof.problems += [problem] if problem else []
    proof.caught.sort(key=lambda one: names.index(one.exercise))
    proof.generated = survey(
        assignment, jobs=jobs, progress=lambda done, more: progress(of + done, of + more)
    )
    proof.problems += [problem for found in proof.generated for problem in found.problems()]
    return proof


def notebook_with(assignment: Assignment, sources: dict[str, str]) -> bytes:
    """The solutions' notebook with the cells of some exercises replaced."""
    text: str = nbformat.writes(solution_notebook(assignment, sources))
    return text.encode()


def lost(report: Report) -> dict[str, float]:
    """The points that each exercise lost, where it lost any."""
    exercises = report.exercises
    return {e.name: e.max_score - e.score for e in exercises if e.score < e.max_score}


def _judge_mutant(report: Report, exercise: str, called: str, proof: Proof) -> None:
    missing = lost(report)
    elsewhere = sorted(missing.keys() - {exercise})
    if elsewhere:
        proof.problems.append(f"wrong solution {called} loses points in {', '.join(elsewhere)}")
    if exercise not in missing:
        proof.problems.append(f"wrong solution {called} loses nothing")
        return
    (result,) = (e for e in report.exercises if e.name == exercise)
    first = next(check for check in result.checks if not check.passed)
    name = called.removeprefix(f"{exercise}: ")
    proof.caught.append(Caught(exercise, name, first.name, first.cases, missing[exercise]))


def _judge_alternate(report: Report, exercise: str, called: str, proof: Proof) -> None:
    if not lost(report):
        proof.accepted[exercise] += 1
        return
    failed = [c.name for e in report.exercises for c in e.checks if not c.passed]
    proof.problems.append(f"right solution {called} fails {', '.join(failed)}")


def _solutions(name: str, seeds: int, jobs: int) -> Iterator[str]:
    """For each seed what is wrong with the solution's Report, empty where it has all points."""
    jobs = max(1, min(jobs, seeds))
    chunks = [range(first, seeds, jobs) for first in range(jobs)]
    if jobs == 1:
        yield from _solution(name, chunks[0])
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for problems in pool.map(_solution, [name] * jobs, chunks):
            yield from problems


def _solution(name: str, seeds: Sequence[int]) -> list[str]:
    assignment = Assignment(name)
    notebook = notebook_with(assignment, {})
    problems = []
    with open_sandbox() as sandbox:
        for seed in seeds:
            try:
                report = grade(notebook, assignment, sandbox=sandbox, seed=seed)
            except AssertionError as error:  # a check that the reference itself fails
                problems.append(f"seed {seed}: {error}")
                continue
            right = not lost(report) and not report.faults
            reasons = [c.name for e in report.exercises for c in e.checks if not c.passed]
            reasons += [fault.message for fault in report.faults]
            problems.append("" if right else f"the solution, seed {seed}: {', '.join(reasons)}")
    return problems


# --- The lesson, and what is published -----------------------------------------------------------


def lesson_problems(assignment: Assignment) -> Iterator[str]:
    """Where points, the lesson's table and the released notebook disagree."""
    text = assignment.solution_path.read_text(encoding="utf-8")
    total = sum(assignment.points(exercise.name) for exercise in assignment.exercises)
    if total != 100:
        yield f"the points add up to {total:g}, not 100"
    for number, exercise in enumerate(assignment.exercises, 1):
        points = assignment.points(exercise.name)
        public = sum(
            item.check.points
            for item in assignment.checks
            if item.check.exercise == exercise.name and item.visibility == "public"
        )
        low, high = PUBLIC_SHARE
        if not low <= public / points <= high:
            yield f"{exercise.name}: the public checks are {public / points:.0%} of its points"
        names = ", ".join(f"`{name}`" for name in exercise.defines)
        row = f"# | {number} | {names} | {points:g} |"
        if row not in text:
            yield f"the lesson's table lacks the row {row!r}"
    if not is_fresh(assignment):
        yield "the release is not what the solutions build: run gradus build"


def published_problems(assignment: Assignment) -> Iterator[str]:
    """What of the solutions, the hidden checks and the withheld modules students could read."""
    files = {name: path.read_bytes() for name, path in publish.for_students().items()}
    files[assignment.release_path.name] = assignment.release_path.read_bytes()
    yield from (f"published: {leak}" for leak in leaks(files))
