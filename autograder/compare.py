"""What moved between two gradings: whose score, by which checks, and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec

from autograder.feedback import fault_text, points
from autograder.report import CheckResult, ExerciseResult, Report

T = TypeVar("T")
LONGEST = 300  # characters of a reason: a student's exception may have any number


class BadReports(ValueError):
    """A file or a list holds no Reports that can be compared; the message says where and why."""


class Change(NamedTuple, Generic[T]):
    """A thing of an exercise, before and after; None where there was none."""

    exercise: str
    before: T | None
    after: T | None


@dataclass(frozen=True)
class Difference:
    """A student whose two Reports differ in more than times and wording; None where there is
    only one. Exercises and checks are compared where both were graded, and checks only where
    both Reports tell them."""

    assignment: str
    student: str
    before: Report | None
    after: Report | None
    exercises: list[Change[ExerciseResult]]
    checks: list[Change[CheckResult]]

    @property
    def both_graded(self) -> bool:
        """Whether there are two scores to compare: 0 for what could not be graded is none."""
        return _status(self.before) == _status(self.after) == "graded"

    @property
    def rise(self) -> float:
        """By how much the score rose; negative where it fell, 0 without two scores."""
        if self.before is None or self.after is None or not self.both_graded:
            return 0.0
        same = _same(self.before.score, self.after.score)
        return 0.0 if same else self.after.score - self.before.score

    @property
    def moved(self) -> bool:
        """Whether the score is another, out of as many points or out of others, or is only on one
        side."""
        if self.before is None or self.after is None:
            return True
        other_points = not _same(self.before.max_score, self.after.max_score)
        return self.rise != 0 or other_points or _status(self.before) != _status(self.after)


@dataclass(frozen=True)
class Comparison:
    """Who differs; under what otherwise unequal circumstances ("seed: 0 -> 7"), each with the
    number of students that it concerns; and how many students there are in all."""

    differences: list[Difference]
    circumstances: Mapping[str, int]
    students: int


def compare(before: Iterable[Report], after: Iterable[Report]) -> Comparison:
    """Pairs the Reports of two gradings by assignment and student, and says how they differ.

    Raises BadReports where one side has two Reports of a student.
    """
    old, new = _by_student(before), _by_student(after)
    names = list(dict.fromkeys([*old, *new]))
    circumstances: Counter[str] = Counter()
    differences = []
    for name in dict.fromkeys(assignment for assignment, _ in names):
        students = [{student for of, student in side if of == name} for side in (old, new)]
        if not all(students):
            when = "before" if students[0] else "after"
            circumstances[f"assignment: {name} only {when}"] = len(students[0] | students[1])
    for assignment, student in names:
        a, b = old.get((assignment, student)), new.get((assignment, student))
        difference = Difference(assignment, student, a, b, [], [])
        if a is not None and b is not None and difference.both_graded:
            circumstances.update(_unequal(a, b))
            for change in _pairs(_exercises(a), _exercises(b)):
                difference.checks.extend(_changed_checks(change))
                if not _same_exercise(change):
                    difference.exercises.append(change)
        found = difference.exercises or difference.checks or resubmitted(a, b)
        if found or difference.moved:
            differences.append(difference)
    return Comparison(differences, dict(circumstances), len(names))


def resubmitted(before: Report | None, after: Report | None) -> bool:
    """Whether the two are of different notebooks."""
    return before is not None and after is not None and before.submission != after.submission


def _by_student(reports: Iterable[Report]) -> dict[tuple[str, str], Report]:
    found: dict[tuple[str, str], Report] = {}
    for report in reports:
        key = report.assignment, report.student
        if key in found:
            raise BadReports(f"{_called(report)} has two Reports")
        found[key] = report
    return found


def _called(report: Report) -> str:
    return repr(report.student) if report.student else "a student without a name"


def _status(report: Report | None) -> str:
    return report.status if report is not None else ""


def _exercises(report: Report) -> dict[tuple[str, ...], ExerciseResult]:
    return {(exercise.name,): exercise for exercise in report.exercises}


def _same_exercise(change: Change[ExerciseResult]) -> bool:
    a, b = change.before, change.after
    if a is None or b is None:
        return False
    return _same(a.score, b.score) and _same(a.max_score, b.max_score)


def _same(a: float, b: float) -> bool:
    """Whether two sums of points are equal, in whatever order they were added."""
    return math.isclose(a, b, abs_tol=1e-9)


def _pairs(
    before: Mapping[tuple[str, ...], T], after: Mapping[tuple[str, ...], T]
) -> Iterator[Change[T]]:
    for key in dict.fromkeys([*before, *after]):
        yield Change(key[0], before.get(key), after.get(key))


def _changed_checks(exercise: Change[ExerciseResult]) -> Iterator[Change[CheckResult]]:
    sides = [side for side in (exercise.before, exercise.after) if side is not None]
    if len(sides) == 2 and not all(side.checks for side in sides):
        return  # of one side only the exercise's score is known
    for change in _pairs(_checks(exercise.before), _checks(exercise.after)):
        a, b = change.before, change.after
        if a is None or b is None or (a.passed, a.points) != (b.passed, b.points):
            yield change


def _checks(exercise: ExerciseResult | None) -> dict[tuple[str, ...], CheckResult]:
    if exercise is None:
        return {}
    return {(exercise.name, check.visibility, check.name): check for check in exercise.checks}


def _unequal(before: Report, after: Report) -> Iterator[str]:
    old, new = _circumstances(before), _circumstances(after)
    for what in dict.fromkeys([*old, *new]):
        if old.get(what) != new.get(what):
            yield f"{what}: {old.get(what, 'unknown')} -> {new.get(what, 'unknown')}"


def _circumstances(report: Report) -> dict[str, str]:
    isolation = {
        key: value if isinstance(value, str) else ", ".join(value)
        for key, value in report.isolation.items()
    }
    return {
        "seed": f"{report.seed}",
        "isolation": isolation.pop("name", "unknown"),
        **{f"isolation's {key}": value for key, value in isolation.items()},
        **report.versions,
    }


def read_reports(path: Path) -> list[Report]:
    """The Reports that `gradus grade --json` wrote, one a line.

    Raises BadReports, naming the line that is none or has a student a second time; OSError.
    """
    reports: list[Report] = []
    seen: dict[tuple[str, str], int] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                report = Report.from_json(line)
            except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
                raise BadReports(f"{where}: no Report ({error})") from None
            if report.schema != 1:
                raise BadReports(f"{where}: a Report of schema {report.schema}, and not of 1")
            first = seen.setdefault((report.assignment, report.student), number)
            if first != number:
                raise BadReports(
                    f"{where}: {_called(report)} has a Report already in line {first}; leave one"
                )
            reports.append(report)
    return reports


# --- Which checks moved ---------------------------------------------------------------------------


class Movement(NamedTuple):
    """How many students a check's verdict moved for."""

    exercise: str
    check: str
    passes_now: int
    fails_now: int


def movements(differences: Sequence[Difference]) -> list[Movement]:
    """Each check whose verdict moved, and for how many students each way."""
    now: Counter[tuple[str, str, bool]] = Counter(
        (change.exercise, change.after.name, change.after.passed)
        for difference in differences
        for change in difference.checks
        if change.before is not None
        and change.after is not None
        and change.before.passed != change.after.passed
    )
    checks = dict.fromkeys((exercise, name) for exercise, name, _ in now)
    return [Movement(*each, now[*each, True], now[*each, False]) for each in checks]


# --- In words ------------------------------------------------------------------------------------


def standing(report: Report | None) -> str:
    """The score, or why there is none."""
    if report is None:
        return "none"
    if report.status != "graded":
        return "missing" if report.status == "missing" else "not graded"
    return f"{points(report.score)}/{points(report.max_score)}"


def why(difference: Difference) -> Iterator[str]:
    """What differs for a student, a line each. It tells what a student's code said: escape it."""
    before, after = difference.before, difference.after
    line = f"{difference.student}: {standing(before)} -> {standing(after)}"
    if difference.rise:
        line += f" ({difference.rise:+g})"
    if before is not None and after is not None and not difference.both_graded:
        line += ", which is no change of a score"
    if resubmitted(before, after):
        line += ", for another notebook"
    yield line
    for report in (before, after):
        if report is not None and report.status == "failed":
            yield from (f"  {_first_line(fault_text(fault))}" for fault in report.faults)
    for check in difference.checks:
        yield from _why_check(check)
    told = {check.exercise for check in difference.checks}
    for name, old, new in difference.exercises:
        if name not in told:
            was, now = (
                f"{points(side.score)}/{points(side.max_score)}" if side else "none"
                for side in (old, new)
            )
            yield f"  {name}: {was} -> {now}; by which checks is not known"


def _why_check(change: Change[CheckResult]) -> Iterator[str]:
    exercise, old, new = change
    check = new or old
    assert check is not None
    worth = points(check.points)
    if old is None:
        what = "is new, and passes" if check.passed else "is new, and fails"
    elif new is None:
        what = "is gone, which passed" if check.passed else "is gone, which failed"
    else:
        what = "passes" if check.passed else "fails"
        if old.passed != new.passed:
            what += " now"
        if old.points != new.points:
            worth = f"{points(old.points)} -> {worth}"
    yield f"  {exercise}: {check.name} {what} ({worth}): {check.statement}"
    for side, when in ((new, "now"), (old, "before")):
        if side is not None and not side.passed:
            yield f"    {when}: {_first_line(side.message or side.counterexample)}"
            return


def _first_line(text: str) -> str:
    lines = text.strip().splitlines() or ["no reason is known"]
    return lines[0] if len(lines[0]) <= LONGEST else f"{lines[0][:LONGEST]} ..."
