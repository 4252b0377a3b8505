"""grade(notebook, assignment) -> Report: pure, and the only way to a score."""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from autograder import publish
from autograder.assignment import Assignment, Prepared, exercises_of
from autograder.check import Exercise, Verdict, explain, judge
from autograder.checks import TOPICS
from autograder.operations import SAYS_REMOVED
from autograder.recognition import Recognition
from autograder.report import CheckResult, ExerciseResult, Fault, Graded, Report
from autograder.sandbox.client import (
    ExerciseChannel,
    IsolationChoice,
    Lost,
    Sandbox,
    Worker,
)
from autograder.sandbox.messages import CellDone, Limits, results
from autograder.submission import Cell, Submission, UnreadableNotebook, bytes_of, read_submission

MAX_LOSSES = 8
KEPT_BYTES = 16 * 2**20  # of all cells' outputs together
OPERATION = re.compile(r"\w{1,50}::[\w.]{1,100}")  # a worker may claim to have tried anything


@contextmanager
def open_sandbox(
    isolation: IsolationChoice = "auto", limits: Limits | None = None
) -> Iterator[Sandbox]:
    """A sandbox with the published code in it; raises IsolationUnavailable."""
    with tempfile.TemporaryDirectory(prefix="gradus-published-") as folder:
        Path(folder).chmod(0o755)  # workers may be another user
        publish.write_for_workers(Path(folder))
        patterns = {e.forbids for name in TOPICS for e in exercises_of(name) if e.forbids}
        imports = ["autograder.notebook", "gradus.training"]  # as lessons do
        with Sandbox(Path(folder), isolation, limits, sorted(patterns), imports) as sandbox:
            yield sandbox


def grade(
    notebook: Path | bytes,
    assignment: Assignment | str,
    *,
    sandbox: Sandbox | None = None,
    seed: int = 0,
    student: str = "",
) -> Report:
    """Grades one submission: a notebook's path or its bytes.

    Whatever the submission does ends in a Report. Raises UnknownAssignment, and
    IsolationUnavailable where no `sandbox` is given and none can be had.
    """
    assignment = Assignment(assignment) if isinstance(assignment, str) else assignment
    if sandbox is None:
        with open_sandbox() as opened:
            return grade(notebook, assignment, sandbox=opened, seed=seed, student=student)
    return grade_with_outputs(
        notebook, assignment, sandbox=sandbox, seed=seed, student=student
    ).report


def grade_with_outputs(
    notebook: Path | bytes | UnreadableNotebook,
    assignment: Assignment,
    *,
    sandbox: Sandbox,
    seed: int = 0,
    student: str = "",
) -> Graded:
    """The same, with what the notebook's cells put out."""
    started = time.perf_counter()
    prepared = assignment.prepare(seed)
    data = b""
    faults: list[Fault] = []
    outputs: dict[int, list[dict[str, Any]]] = {}
    try:
        data = bytes_of(notebook)
        submission = read_submission(data, assignment)
    except UnreadableNotebook as error:
        reason = str(error)[:1].upper() + str(error)[1:] + "."
        faults.append(Fault("notebook", "", reason))
        exercises = [_unjudged(e, prepared[e.name], reason) for e in assignment.exercises]
    else:
        faults += submission.faults
        with Session(sandbox, submission, seed, faults) as session:
            exercises = _grade_exercises(assignment, session, faults)
        outputs = {index: done.outputs for index, done in session.results.items() if done.outputs}
    report = Report(
        assignment=assignment.name,
        student=student,
        submission=hashlib.sha256(data).hexdigest(),
        score=sum(exercise.score for exercise in exercises),
        max_score=sum(exercise.max_score for exercise in exercises),
        exercises=exercises,
        faults=faults,
        isolation={"name": sandbox.isolation, "features": sandbox.features},
        versions=sandbox.versions,
        seed=seed,
        seconds=time.perf_counter() - started,
    )
    return Graded(report, outputs)


class Session:
    """A submission's worker with its cells run; started again where the submission ended it.

    It has another one for each pattern of operations that exercises forbid, `without` them.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        submission: Submission,
        seed: int,
        faults: list[Fault],
        without: str = "",
    ) -> None:
        self.submission = submission
        self.results: dict[int, CellDone] = {}
        self._sandbox = sandbox
        self._without = without
        self._others: dict[str, Session] = {}
        self.seed = seed
        self._faults = faults
        self._worker: Worker | None = None
        self._skipped: set[int] = set()
        self._doubted: set[int] = set()
        self._losses = 0
        self._kept = 0  # bytes of outputs
        self._deadline = time.monotonic() + sandbox.limits.submission_seconds

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.restart()

    def exercise(self, forbids: str) -> ExerciseChannel:
        """A fresh fork of the state after all cells. Raises Lost.

        What it forbids was removed from a worker of its own before the first cell. It is blocked
        there, too, so that its use is named: the student's code could undo that, and win nothing.
        """
        if forbids != self._without:
            if self._worker is None and not self.results:
                self._run_cells()  # they are shown as this worker runs them
            if forbids not in self._others:
                other = Session(self._sandbox, self.submission, self.seed, [], forbids)
                other._skipped = self._skipped.copy()
                other._deadline = self._deadline
                self._others[forbids] = other
            return self._others[forbids].exercise(forbids)
        for attempt in (1, 2):
            if self._worker is None:
                self._run_cells()
            assert self._worker is not None
            try:
                return self._worker.exercise(forbids)
            except Lost:
                self.restart()
                self._losses += 1
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def cell_error(self, exercise: str) -> str:
        """Why the exercise's cell did not define what it should; empty where it ran."""
        for cell in self.submission.cells:
            if cell.name == exercise and cell.index in self._skipped:
                return f"The cell {exercise!r} could not be run to its end."
            done = self.results.get(cell.index)
            if cell.name == exercise and done is not None and done.error:
                return f"The cell {exercise!r} stopped with {done.error}."
        return ""

    def _run_cells(self) -> None:
        while True:
            if self._losses > MAX_LOSSES:
                raise Lost("crash", "The notebook ended its process again and again.")
            if time.monotonic() > self._deadline:
                raise Lost("timeout", "The notebook took longer in all than a submission may.")
            self._worker = self._sandbox.worker(self.seed, self._without)
            lost = self._first_lost_cell(self._worker)
            if lost is None:
                self._worker.end_leftovers()
                return
            self.restart()
            cell, error = lost
            if error.kind == "crash" and cell.index not in self._doubted:
                self._doubted.add(cell.index)  # what it did itself, it does again
                continue
            self._losses += 1
            self._skipped.add(cell.index)
            self._faults.append(Fault(error.kind, cell.name, f"The {_called(cell)} {error}."))

    def _first_lost_cell(self, worker: Worker) -> tuple[Cell, Lost] | None:
        for cell in self.submission.cells:
            if cell.index in self._skipped:
                continue
            try:
                done = worker.run_cell(cell.source)
            except Lost as error:
                return cell, error
            if done.outputs:
                self._kept += len(results.encode(done))
                if self._kept > KEPT_BYTES:
                    done.outputs, done.truncated = [], True
            if cell.index not in self.results:
                self._note(cell, done)
            self.results[cell.index] = done
        return None

    def _note(self, cell: Cell, done: CellDone) -> None:
        if done.truncated:
            message = f"The {_called(cell)} wrote more output than is kept."
            self._faults.append(Fault("output", cell.name, message))
        if cell.role == "solution" and done.error and "NotImplementedError" not in done.error:
            message = f"The {_called(cell)} stopped with {done.error}."
            self._faults.append(Fault("notebook", cell.name, message))

    def restart(self) -> None:
        """Ends the workers; the next exercise gets a fresh one."""
        for other in self._others.values():
            other.restart()
        if self._worker is not None:
            self._worker.close()
        self._worker = None


def _called(cell: Cell) -> str:
    return cell.name if cell.role == "plain" else f"cell {cell.name!r}"


def _grade_exercises(
    assignment: Assignment,
    session: Session,
    faults: list[Fault],
) -> list[ExerciseResult]:
    results: list[ExerciseResult] = []
    failed: list[Exercise] = []
    for exercise in assignment.exercises:
        noted: list[Fault] = []
        prepared = assignment.prepare(session.seed)[exercise.name]
        recognition = assignment.recognition
        checks, hint = _grade_exercise(exercise, prepared, recognition, session, noted)
        result = _result(exercise, checks)
        names: list[str] = []
        if failed and result.score < result.max_score:
            used = session.submission.sources_used_by(exercise)
            names = [n for other in failed for n in other.defines if n in used]
        if names:
            # A mistake costs points once: judged again with right versions of what it uses. Of
            # that run only what passed is told: an error could tell what they are made of.
            note = (
                f"Judged with the reference's {' and '.join(names)}, so that a mistake counts once."
            )
            source = assignment.stand_in(names)
            session.restart()  # the questions are the same: no thread may have prepared the answers
            again, hint = _grade_exercise(
                exercise, prepared, recognition, session, [], source, note, names
            )
            both = zip(checks, again, strict=True)
            result = _result(
                exercise, [second if second.passed else first for first, second in both]
            )
        if hint and (wrong := [check for check in result.checks if not check.passed]):
            wrong[0].message += f"\n{hint}"
        ways = session.submission.hidden_ways if exercise.forbids else []
        if ways and result.score:
            message = (
                f"The notebook uses {', '.join(ways)}, with which it could reach "
                f"{exercise.forbids_in_words}; read it before you trust these points."
            )
            noted.append(Fault("forbidden", exercise.name, message))
        if result.score < result.max_score:
            failed.append(exercise)
        results.append(result)
        faults += noted
    return results


def _grade_exercise(
    exercise: Exercise,
    checks: Sequence[Prepared],
    recognition: Recognition,
    session: Session,
    faults: list[Fault],
    stand_in: str = "",
    note: str = "",
    names: Sequence[str] = (),
) -> tuple[list[CheckResult], str]:
    """Runs an exercise's checks in a fork of its own, and in a fresh one after each that was
    lost; one whose process has ended a second time, since the machine may have ended it. Where the
    solution uses what the exercise forbids, none of them counts. Returns also the hint of the
    misconception that answers alike, if one does."""
    error = session.cell_error(exercise.name)
    if exercise.name not in session.submission.found:
        error = f"No cell defines {exercise.name}."
    forbidden = set(session.submission.forbidden_in_source(exercise))
    verdicts: list[Verdict] = []
    channel: ExerciseChannel | None = None
    lost = 0
    waiting = deque(checks)
    doubted: Prepared | None = None
    try:
        while waiting:
            item, verdict = waiting[0], Verdict()
            try:
                if lost >= 2:
                    raise Lost("timeout", "Not run: two checks before it did not come to an end.")
                if channel is None:
                    channel = session.exercise(exercise.forbids)
                    if stand_in:
                        channel.stand_in(stand_in, names)
                channel.expect(item.exchanges, item.check.trains)
                known = channel.answers_as_expected
                verdict = judge(item.check, item.cases, channel, session.seed, known=known)
            except Lost as gone:
                verdict.failure = gone
            if channel is not None:
                forbidden |= set(filter(OPERATION.fullmatch, channel.forbidden))
            if exercise.forbids and SAYS_REMOVED in str(verdict.failure):
                forbidden.add(exercise.forbids_in_words)  # and has undone that it is blocked
            if isinstance(verdict.failure, Lost):
                if channel is not None:
                    channel.close()
                    channel = None
                if verdict.failure.kind == "crash" and doubted is not item:
                    doubted = item
                    continue
                if lost < 2:
                    where = f"{exercise.name}: {item.check.name}"
                    faults.append(Fault(verdict.failure.kind, where, str(verdict.failure)))
                lost += 1
            verdicts.append(verdict)
            waiting.popleft()
    finally:
        if channel is not None:
            channel.close()
    results = [
        _check_result(item, verdict, error, note)
        for item, verdict in zip(checks, verdicts, strict=True)
    ]
    if forbidden:
        message = (
            f"The solution uses {', '.join(sorted(forbidden)[:3])}; "
            f"this exercise asks for it to be done without {exercise.forbids_in_words}."
        )
        faults.append(Fault("forbidden", exercise.name, message))
        for result in results:
            result.passed, result.message = False, message
        return results, ""
    judged = [(item.check, item.cases, v) for item, v in zip(checks, verdicts, strict=True)]
    return results, recognition.hint(exercise.name, judged)


def _check_result(item: Prepared, verdict: Verdict, error: str, note: str) -> CheckResult:
    message, counterexample = explain(item.check, verdict)
    passed = verdict.failure is None
    if not passed and error and "NotImplementedError" not in error:
        message = f"{error}\n{message}"
    return CheckResult(
        name=item.check.name,
        visibility=item.visibility,
        points=item.check.points,
        passed=passed,
        statement=item.check.statement,
        message="\n".join(filter(None, [message, note])),
        counterexample=counterexample,
        cases=verdict.cases,
        seconds=verdict.seconds,
    )


def _result(exercise: Exercise, checks: list[CheckResult]) -> ExerciseResult:
    score = sum(check.points for check in checks if check.passed)
    return ExerciseResult(exercise.name, score, sum(check.points for check in checks), checks)


def _unjudged(exercise: Exercise, checks: Sequence[Prepared], reason: str) -> ExerciseResult:
    verdict = Verdict(failure=Lost("notebook", reason))
    return _result(exercise, [_check_result(item, verdict, "", "") for item in checks])
