"""An assignment: its exercises, their checks and points, and the reference with the answers."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import runpy
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat

from autograder.calibration import Measurement
from autograder.check import Case, Check, Exercise, checks_in, draw, exchanges_of
from autograder.checks import TOPICS
from autograder.misconceptions import Mutant
from autograder.recognition import Recognition
from autograder.report import Visibility
from autograder.subject import Exchanges

ROOT = Path(__file__).resolve().parents[1]


class UnknownAssignment(ValueError):
    """There is no assignment of that name."""


@dataclass(frozen=True)
class GradedCheck:
    """A check with the visibility that its module gives it."""

    check: Check
    visibility: Visibility


@dataclass(frozen=True)
class Prepared:
    """A check with its drawn cases, and what the reference is asked for them and answers."""

    check: Check
    visibility: Visibility
    cases: list[Case]
    exchanges: list[Exchanges]


class Assignment:
    """An assignment by its name. Raises UnknownAssignment."""

    def __init__(self, name: str) -> None:
        if name not in TOPICS:
            raise UnknownAssignment(
                f"there is no assignment {name!r}; there are: {', '.join(TOPICS)}"
            )
        self.name = name
        public = importlib.import_module(f"autograder.checks.public.{TOPICS[name]}")
        hidden = importlib.import_module(f"autograder.checks.hidden.{TOPICS[name]}")
        self.exercises = exercises_of(name)
        self.reference: dict[str, Any] = hidden.reference()
        self.measurements: tuple[Measurement, ...] = getattr(hidden, "MEASUREMENTS", ())
        self.checks = [
            *(GradedCheck(check, "public") for check in checks_in(public)),
            *(GradedCheck(check, "hidden") for check in checks_in(hidden)),
        ]
        self.mutants: tuple[Mutant, ...] = importlib.import_module(
            f"autograder.misconceptions.{TOPICS[name]}"
        ).MUTANTS
        self._prepared: dict[int, dict[str, list[Prepared]]] = {}
        self.recognition = Recognition((), dict)

    @property
    def release_path(self) -> Path:
        """The notebook that students receive."""
        return ROOT / "assignments" / self.name / f"{self.name}.ipynb"

    @property
    def solution_path(self) -> Path:
        """The notebook with its solutions, as text."""
        return ROOT / "solutions" / self.name / f"{self.name}.py"

    @cached_property
    def release(self) -> dict[str, Any]:
        """The released notebook as data."""
        return dict(nbformat.read(self.release_path, as_version=4))

    @cached_property
    def alternates(self) -> tuple[tuple[str, str, str], ...]:
        """Unusual right solutions, each (exercise, name, source); they lie with the tests."""
        path = ROOT / "tests" / "alternates" / f"{TOPICS[self.name]}.py"
        found: tuple[tuple[str, str, str], ...] = runpy.run_path(str(path))["ALTERNATES"]
        return found

    def points(self, exercise: str) -> float:
        """The points of an exercise: the sum of its checks."""
        return sum(item.check.points for item in self.checks if item.check.exercise == exercise)

    def prepare(self, seed: int) -> dict[str, list[Prepared]]:
        """For each exercise its checks, drawn for this seed; drawn once, the reference proven."""
        if seed not in self._prepared:
            prepared: dict[str, list[Prepared]] = {item.name: [] for item in self.exercises}
            for item in self.checks:
                cases = draw(item.check, seed)
                exchanges = exchanges_of(item.check, cases, self.reference)
                prepared[item.check.exercise].append(
                    Prepared(item.check, item.visibility, cases, exchanges)
                )
            self._prepared = {seed: prepared}
            self.recognition = Recognition(self.mutants, self._namespace)
        return self._prepared[seed]

    def _namespace(self) -> dict[str, Any]:
        """What a solution's cell finds: what the lesson imports, as far as a misconception names
        it (importing what draws the plots takes seconds), and the other solutions."""
        named = set(re.findall(r"\w+", " ".join(mutant.source for mutant in self.mutants)))
        namespace: dict[str, Any] = {}
        for cell in self.release["cells"]:
            for node in ast.parse(cell.source).body if cell.cell_type == "code" else ():
                if isinstance(node, ast.Import | ast.ImportFrom):
                    names = {(a.asname or a.name).split(".")[0] for a in node.names}
                    if names & named:
                        exec(ast.unparse(node), namespace)
        return {**namespace, **self.reference}

    def stand_in(self, names: Iterable[str]) -> str:
        """Source that defines the reference's functions of these names, and nothing else that
        they don't use."""
        functions = [self.reference[name] for name in names if callable(self.reference[name])]
        if not functions:
            return ""
        module = inspect.getmodule(functions[0])
        assert module is not None
        tree = ast.parse(inspect.getsource(module))
        definitions = {name: node for node in tree.body for name in defined_names(node)}
        imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        needed = used_names(definitions, [function.__name__ for function in functions])
        body = [node for node in tree.body if set(defined_names(node)) & needed]
        return "\n".join(ast.unparse(node) for node in [*imports, *body])


def exercises_of(assignment: str) -> tuple[Exercise, ...]:
    """The exercises of an assignment, in order."""
    public = importlib.import_module(f"autograder.checks.public.{TOPICS[assignment]}")
    exercises: tuple[Exercise, ...] = public.EXERCISES
    return exercises


def defined_names(node: ast.stmt) -> list[str]:
    """The names that a statement defines at the top level of a module or cell."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        targets = [node.target]
    return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]


def used_names(definitions: dict[str, ast.stmt], names: Iterable[str]) -> set[str]:
    """`names`, and all the defined names that their definitions use, directly or not."""
    found: set[str] = set()
    waiting = [name for name in names if name in definitions]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            used = {n.id for n in ast.walk(definitions[name]) if isinstance(n, ast.Name)}
            waiting += sorted(used & definitions.keys())
    return found
