"""The Report: what grading one submission found out, and its JSON (schema 1).

A Report is plain data: adapters carry it on, nothing in it is code, and everything that came
from the student (messages, counterexamples) is text to be escaped by whoever renders it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

FaultKind = Literal["timeout", "memory", "crash", "output", "protocol", "notebook", "forbidden"]
Visibility = Literal["public", "hidden"]
Status = Literal["graded", "missing", "failed"]


class Fault(msgspec.Struct, frozen=True):
    """Something that went wrong outside the values themselves, in one sentence.

    `where` names the cell, check or exercise; it is empty where the whole notebook is meant.
    """

    kind: FaultKind
    where: str
    message: str


class CheckResult(msgspec.Struct):
    """A check's verdict. `counterexample` is Python that the student can paste."""

    name: str
    visibility: Visibility
    points: float
    passed: bool
    statement: str
    message: str = ""
    counterexample: str = ""
    cases: int = 0
    seconds: float = 0.0


class ExerciseResult(msgspec.Struct):
    """An exercise's checks, and the points that the passed ones earn."""

    name: str
    score: float
    max_score: float
    checks: list[CheckResult]


class Report(msgspec.Struct):
    """All that grading one submission found out; `submission` is the file's SHA-256."""

    assignment: str
    student: str
    submission: str
    score: float
    max_score: float
    exercises: list[ExerciseResult]
    faults: list[Fault]
    isolation: dict[str, str | list[str]]
    versions: dict[str, str]
    seed: int
    seconds: float
    schema: int = 1

    @property
    def status(self) -> Status:
        """ "missing" where no notebook was handed in, "failed" where one could not be graded."""
        if not self.submission:
            return "missing"
        return "graded" if self.isolation else "failed"

    def to_json(self) -> bytes:
        """The Report as one line of JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, line: bytes | str) -> Report:
        """The Report that `to_json` wrote; raises msgspec.ValidationError on anything else."""
        return msgspec.json.decode(line, type=cls)

    def without_times(self) -> Report:
        """A copy whose seconds are zero: equal for equal notebooks, seeds and versions."""
        exercises = [
            msgspec.structs.replace(
                exercise,
                checks=[msgspec.structs.replace(c, seconds=0.0) for c in exercise.checks],
            )
            for exercise in self.exercises
        ]
        return msgspec.structs.replace(self, exercises=exercises, seconds=0.0)


class Graded(msgspec.Struct):
    """A Report, and what the notebook's cells put out: nbformat's outputs by the cell's place."""

    report: Report
    outputs: dict[int, list[dict[str, Any]]] = {}
