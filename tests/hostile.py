"""The attacks of tests/attacks, for the tests and for the table in docs/attacks.md.

A file there is one attack. Its first line says the idea; the next ones say where its code goes
("where": the exercises whose solution cells it replaces, or the first or last cell), which
exercises it costs ("costs", all of their points; with a minus, only some), and which fault is due
("fault": its kind and what it names). "again" is an attack of two submissions, "harms" one that
must not run without isolation, and "slow" one that takes long; each says why.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat

from autograder.assignment import Assignment
from autograder.build import solution_notebook
from autograder.report import Report
from autograder.sandbox.messages import Limits

ATTACKS = sorted((Path(__file__).parent / "attacks").glob("*.py"))
LIMITS = Limits(
    cell_seconds=4.0,
    call_seconds=4.0,
    exercise_seconds=6.0,
    submission_seconds=60.0,
    memory_bytes=2**30,
)


@dataclass
class Attack:
    """What the comments at the head of an attack say."""

    name: str
    idea: str
    where: list[str]
    costs: list[str]
    fault: str
    again: str
    harms: str
    slow: str
    ends: str
    source: str

    @classmethod
    def read(cls, path: Path) -> "Attack":
        source = path.read_text()
        found = dict(re.findall(r"^# (\w+): (.*)$", source, re.MULTILINE))
        words = [found.pop(key, "").split() for key in ("where", "costs")]
        rest = [found.pop(key, "") for key in ("fault", "again", "harms", "slow", "ends")]
        assert not found, f"{path.name} says {found}, which nobody reads"
        return cls(path.stem, source.splitlines()[0].removeprefix("# "), *words, *rest, source)

    def notebook(self, assignment: Assignment) -> bytes:
        """The solution with the attack in it."""
        if self.where in (["first"], ["last"]):
            notebook = solution_notebook(assignment)
            cell = nbformat.v4.new_code_cell(self.source)
            notebook.cells.insert(0 if self.where == ["first"] else len(notebook.cells), cell)
        else:
            first, *others = self.where
            sources = {first: self.source} | dict.fromkeys(others, "# in another cell")
            notebook = solution_notebook(assignment, sources)
        return nbformat.writes(notebook).encode()

    @property
    def loses(self) -> set[str]:
        """The exercises that lose points, all or some."""
        return {name.removeprefix("-") for name in self.costs}

    @property
    def loses_whole(self) -> set[str]:
        """The exercises that lose all of their points."""
        return {name for name in self.costs if not name.startswith("-")}


def honest_notebook(assignment: Assignment) -> bytes:
    """Somebody else's: two exercises are right, the others are not begun."""
    right = ("zero_pad2d", "receptive_field")
    names = [e.name for e in assignment.exercises if e.name not in right]
    blank = dict.fromkeys(names, "raise NotImplementedError")
    return nbformat.writes(solution_notebook(assignment, blank)).encode()


def lost(report: Report) -> dict[str, float]:
    """The exercises that lost points, and the points that they kept."""
    return {e.name: e.score for e in report.exercises if e.score < e.max_score}


def told(report: Report) -> str:
    """All that a report says about what went wrong."""
    faults = [f"{fault.kind} {fault.where}: {fault.message}" for fault in report.faults]
    checks = [
        f"{e.name}, {c.name}: {c.message}"
        for e in report.exercises
        for c in e.checks
        if not c.passed
    ]
    return "\n".join([*faults, *checks])
