"""Which generated mutants the checks kill, and what is said of those that survive.

A mutant is judged as a submission is, in the sandbox, on its own exercise's checks alone: its cell
with the functions and imports of the notebook that it uses. It is killed where a check fails in
any of its cases, or does not come to an end. Checks that have a model trained come last, and none
is run after the first that failed. Where an exercise has such checks, a survivor takes
half a minute, and its mutants are judged only where it is named.

survivors.toml says of each mutant that survives why that is right: it computes the `same` for all
that the exercise allows, or differs only in what the exercise leaves `open`. It is never published.
"""

from __future__ import annotations

import ast
import functools
import multiprocessing
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from autograder.assignment import Assignment, Prepared, defined_names, used_names
from autograder.build import solution_notebook
from autograder.check import Exercise, run_case
from autograder.grade import Session, open_sandbox
from autograder.mutation import OPERATORS, Generated, Generation, mutants_of
from autograder.report import Fault
from autograder.sandbox.client import ExerciseChannel, Lost, Sandbox
from autograder.submission import Cell, Submission

REVIEWED = Path(__file__).parent / "misconceptions" / "survivors.toml"
Reason = Literal["same", "open"]
UNCHANGED = "the solution itself"
CHUNK = 100  # mutants that are judged in one sandbox, which takes seconds to open


class ReviewError(ValueError):
    """survivors.toml can't be used; the message says why."""


@dataclass(frozen=True)
class Judged:
    """What became of a mutant: the check that killed it, "" where none did, and how, where it did
    not come to an end: "timeout", "crash" ..."""

    check: str
    lost: str = ""


@dataclass(frozen=True)
class Explained:
    """Why it is right that a mutant survives."""

    reason: Reason
    why: str


@dataclass
class Survey:
    """The generated mutants of an exercise, and what became of each, by its name."""

    exercise: str
    generation: Generation
    left_out: bool = False
    judged: dict[str, Judged] = field(default_factory=dict)
    explained: dict[str, Explained] = field(default_factory=dict)  # as reviewed
    unchanged: Judged = Judged("")  # the solution itself, as the text that mutants are made of

    @property
    def sample(self) -> tuple[Generated, ...]:
        """Those that are judged."""
        return () if self.left_out else self.generation.mutants

    @property
    def killed(self) -> int:
        """How many lost points."""
        return sum(bool(judged.check) for judged in self.judged.values())

    @property
    def survivors(self) -> list[Generated]:
        """Those that lost nothing, in order."""
        return [m for m in self.sample if not self.judged[m.name].check]

    def count(self, reason: Reason) -> int:
        """How many survivors are explained so."""
        found = (self.explained.get(mutant.name) for mutant in self.survivors)
        return sum(one is not None and one.reason == reason for one in found)

    def problems(self) -> Iterator[str]:
        """Survivors that nobody has explained, and explanations of what is no survivor."""
        if self.unchanged.check:
            yield f"the solution of {self.exercise}, judged alone, fails {self.unchanged.check}"
        for mutant in self.survivors:
            if mutant.name not in self.explained:
                yield f"generated mutant of {self.exercise} survives: {mutant.name}"
        made = {mutant.name for mutant in self.generation.mutants}
        for name in self.explained:
            judged = self.judged.get(name)
            # One that took too long may survive on a faster machine.
            killed = judged is not None and judged.check and judged.lost != "timeout"
            if killed or name not in made:
                what = "does not survive" if killed else "is not made"
                yield f"survivors.toml explains a mutant of {self.exercise} that {what}: {name}"


def reviewed(assignment: str, path: Path = REVIEWED) -> dict[str, dict[str, Explained]]:
    """By exercise and mutant's name, why it may survive. Raises ReviewError where the file says
    it otherwise than with `mutants` and either `same` or `open`."""
    found: dict[str, dict[str, Explained]] = {}
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ReviewError(f"survivors.toml can't be read: {error}") from None
    for exercise, entries in tables.get(assignment, {}).items():
        named = found.setdefault(exercise, {})
        for entry in entries:
            match entry:
                case {"mutants": list(names), "same": str(why), **rest} if not rest:
                    reason: Reason = "same"
                case {"mutants": list(names), "open": str(why), **rest} if not rest:
                    reason = "open"
                case _:
                    raise ReviewError(f"survivors.toml, {exercise}: {entry} says no reason")
            for name in names:
                if name in named:
                    raise ReviewError(f"survivors.toml explains twice: {exercise}, {name}")
                named[name] = Explained(reason, why)
    return found


def survey(
    assignment: Assignment,
    exercises: Sequence[str] = (),
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Survey]:
    """Judges the generated mutants of these exercises, of all that don't train where none is named;
    calls `progress` after each. Raises IsolationUnavailable, BuildError and ReviewError."""
    sources = solution_sources(assignment)
    names = [e.name for e in assignment.exercises if not exercises or e.name in exercises]
    surveys = {name: Survey(name, mutants_of(name, sources[name])) for name in names}
    explained = reviewed(assignment.name)
    for name, found in surveys.items():
        found.explained = explained.get(name, {})
        trains = [item for item in assignment.checks if item.check.trains]
        found.left_out = not exercises and name in {item.check.exercise for item in trains}
    mutants = [
        Generated(name, "", UNCHANGED, surveys[name].generation.original)
        for name in names
        if not surveys[name].left_out
    ]
    mutants += [mutant for found in surveys.values() for mutant in found.sample]
    for done, (index, judged) in enumerate(_judge_all(assignment, mutants, jobs), 1):
        progress(done, len(mutants))
        surveys[mutants[index].exercise].judged[mutants[index].name] = judged
    for found in surveys.values():
        found.unchanged = found.judged.pop(UNCHANGED, found.unchanged)
    return list(surveys.values())


def solution_sources(assignment: Assignment) -> dict[str, str]:
    """The source of each exercise's cell in the solutions' notebook."""
    cells = solution_notebook(assignment).cells
    names = {exercise.name for exercise in assignment.exercises}
    return {cell.id: cell.source for cell in cells if cell.id in names}


def _judge_all(
    assignment: Assignment, mutants: Sequence[Generated], jobs: int
) -> Iterator[tuple[int, Judged]]:
    chunks = [mutants[start : start + CHUNK] for start in range(0, len(mutants), CHUNK)]
    if min(jobs, len(chunks)) == 1:
        yield from enumerate(_judge_some(assignment, mutants))
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        results = pool.map(_judge_chunk, [assignment.name] * len(chunks), chunks)
        yield from enumerate(judged for chunk in results for judged in chunk)


def _judge_chunk(name: str, mutants: Sequence[Generated]) -> list[Judged]:
    return list(_judge_some(_assignment(name), mutants))


@functools.cache
def _assignment(name: str) -> Assignment:
    return Assignment(name)


def _judge_some(assignment: Assignment, mutants: Sequence[Generated]) -> Iterator[Judged]:
    torch.set_num_threads(1)
    used = {exercise: used_by(exercise, assignment) for exercise in {m.exercise for m in mutants}}
    with open_sandbox() as sandbox:
        for mutant in mutants:
            yield judge_mutant(mutant, used[mutant.exercise], assignment, sandbox)


def judge_mutant(mutant: Generated, used: str, assignment: Assignment, sandbox: Sandbox) -> Judged:
    """Runs the exercise's checks on the mutant, after the code that it uses, until one fails."""
    (exercise,) = (e for e in assignment.exercises if e.name == mutant.exercise)
    cells = [
        Cell("what it uses", used, "plain", 0),
        Cell(exercise.name, mutant.source, "solution", 1),
    ]
    faults: list[Fault] = []
    checks = sorted(assignment.prepare(0)[exercise.name], key=lambda item: item.check.trains)
    with Session(sandbox, Submission({}, cells), 0, faults) as session:
        judged = _first_failure(exercise, checks, session)
    ended = next((fault.kind for fault in faults if fault.kind != "notebook"), "")  # in its cell
    return judged if judged.lost else replace(judged, lost=ended)


def _first_failure(exercise: Exercise, checks: Sequence[Prepared], session: Session) -> Judged:
    channel: ExerciseChannel | None = None
    try:
        for item in checks:
            try:
                channel = channel or session.exercise(exercise.forbids)
                channel.expect(item.exchanges, item.check.trains)
                for case in item.cases:
                    failure, _ = run_case(item.check, case, channel)
                    if isinstance(failure, Lost):
                        raise failure
                    if failure is not None or channel.forbidden:
                        return Judged(item.check.name)
            except Lost as gone:
                return Judged(item.check.name, gone.kind)
    finally:
        if channel is not None:
            channel.close()
    return Judged("")


def used_by(exercise: str, assignment: Assignment) -> str:
    """The imports and functions of the notebook's other cells that the exercise's cell uses."""
    own: list[ast.stmt] = []
    definitions: dict[str, ast.stmt] = {}
    for cell in solution_notebook(assignment).cells:
        for node in ast.parse(cell.source).body if cell.cell_type == "code" else ():
            if cell.id == exercise:
                own.append(node)
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [(alias.asname or alias.name).split(".")[0] for alias in node.names]
            elif isinstance(node, ast.FunctionDef | ast.ClassDef) or cell.id == exercise:
                names = defined_names(node)
            else:
                names = []
            definitions |= dict.fromkeys(names, node)
    needed = used_names(definitions, [name for node in own for name in defined_names(node)])
    used = dict.fromkeys(node for name, node in definitions.items() if name in needed)
    return "\n".join(ast.unparse(node) for node in used if node not in own)


# --- The table -----------------------------------------------------------------------------------

INTRODUCTION = """# Generated mutants

Each is the solution with one small change, judged in the sandbox on its own exercise's checks. It
is *killed* where it loses a point; *by a limit*, where it hung, crashed or took too much memory.
*Equivalent* are those that Python compiles to what was there before; they are not judged. A
survivor computes *the same* for all that its exercise allows, or differs in what the exercise
leaves *open*: a person has looked at it, and `autograder/misconceptions/survivors.toml` says why.
`gradus verify` fails where one is not explained. The share is killed / judged, and the judged are
made - equivalent - not judged: explained survivors count as not killed. The last column leaves the
explained ones out: it is the share of those that are wrong. *Not judged* are those of exercises
that train models, where `gradus verify` prints this table: there, a survivor takes half a minute.

A name says which line of the solution was changed, docstrings and comments not counted, and how.

`gradus mutants --write docs/generated-mutants.md` makes this page.
"""
COLUMNS = (
    *("made", "equivalent", "not judged", "killed", "by a limit"),
    *("the same", "left open", "unexplained", "killed of judged", "of the wrong"),
)


def row(surveys: Sequence[Survey]) -> tuple[str, ...]:
    """The columns of these exercises together. The share is killed / judged, and the judged are
    made - equivalent - not judged."""
    judged = sum(len(s.judged) for s in surveys)
    killed, same, left_open = (
        sum(s.killed for s in surveys),
        sum(s.count("same") for s in surveys),
        sum(s.count("open") for s in surveys),
    )
    counts = (
        sum(s.generation.made for s in surveys),
        sum(s.generation.equivalent for s in surveys),
        sum(len(s.generation.mutants) - len(s.sample) for s in surveys),
        killed,
        sum(bool(one.lost) for s in surveys for one in s.judged.values()),
        *(same, left_open, judged - killed - same - left_open),
    )
    wrong = judged - same - left_open
    shares = [f"{killed / all_of_them:.1%}" for all_of_them in (judged, wrong) if all_of_them]
    return (*map(str, counts), *(shares or ["", ""]))


def markdown(assignments: dict[str, list[Survey]]) -> str:
    """The tables, and every survivor with its reason, as a page of the documentation."""
    parts = [INTRODUCTION]
    everything = [survey for surveys in assignments.values() for survey in surveys]
    total = {name: row(surveys) for name, surveys in assignments.items()}
    parts.append(_table("assignment", {**total, "all": row(everything)}))
    operators = {name: _share(everything, name) for name in OPERATORS}
    parts.append(_table("operator", operators, ("what it does", "judged", "killed", "share")))
    for name, surveys in assignments.items():
        parts.append(f"## {name}\n")
        parts.append(_table("exercise", {s.exercise: row([s]) for s in surveys}))
        for survey in surveys:
            parts += _reasons(survey)
    return "\n".join(parts)


def _share(surveys: Sequence[Survey], operator: str) -> tuple[str, ...]:
    judged = [
        survey.judged[mutant.name].check
        for survey in surveys
        for mutant in survey.sample
        if mutant.operator == operator
    ]
    killed = sum(map(bool, judged))
    words = " ".join((OPERATORS[operator].__doc__ or "").split())
    share = f"{killed / len(judged):.1%}" if judged else ""
    return words, f"{len(judged)}", f"{killed}", share


def _table(first: str, rows: dict[str, tuple[str, ...]], columns: Sequence[str] = COLUMNS) -> str:
    lines = [
        (first, *columns),
        ("---", *("---:" if c != "what it does" else "---" for c in columns)),
    ]
    lines += [(f"`{name}`" if first != "assignment" else name, *row) for name, row in rows.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _reasons(survey: Survey) -> Iterator[str]:
    """The survivors of an exercise as a list, those with the same reason together."""
    together: dict[Explained | None, list[str]] = {}
    for mutant in survey.survivors:
        together.setdefault(survey.explained.get(mutant.name), []).append(mutant.name)
    if together:
        yield f"### {survey.exercise}\n"
    for explained, names in together.items():
        words = {"same": "The same", "open": "Left open"}
        why = f"{words[explained.reason]}: {explained.why}" if explained else "Unexplained."
        yield "\n".join([f"- {why}", *(f"  - `{name}`" for name in names)]) + "\n"
