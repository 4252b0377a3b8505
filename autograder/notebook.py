"""The checks in the student's own notebook: `check = checks_of("02-convolution")`.

They run the public checks in the kernel, through the same Subject as the sandbox does. What they
say is feedback; the grade comes from grading.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from autograder.checks import TOPICS

if TYPE_CHECKING:
    from autograder.report import CheckResult


class Feedback:
    """How the public checks of an exercise went; a notebook shows it as HTML.

    As text it is the number of points earned, which nbgrader takes as partial credit; in a
    terminal it is the same feedback as text.
    """

    def __init__(self, exercise: str, checks: list[CheckResult]) -> None:
        self.exercise = exercise
        self.checks = checks

    @property
    def points(self) -> float:
        """The points of the public checks that passed."""
        return float(sum(check.points for check in self.checks if check.passed))

    def __repr__(self) -> str:
        if _in_terminal():
            from autograder.feedback import exercise_text

            return exercise_text(self.exercise, self.checks)
        return repr(self.points)

    def _repr_html_(self) -> str:
        from autograder.feedback import exercise_html

        return exercise_html(self.exercise, self.checks)


class NotebookChecks:
    """Calls an exercise's public checks on the notebook's own functions."""

    def __init__(self, assignment: str, namespace: dict[str, Any] | None = None) -> None:
        if assignment not in TOPICS:
            known = ", ".join(TOPICS)
            raise ValueError(f"there is no assignment {assignment!r}; there are: {known}")
        self._assignment = assignment
        self._namespace = namespace

    def __repr__(self) -> str:
        return f"the public checks of {self._assignment}"

    def __call__(self, exercise: str) -> Feedback:
        """Runs the public checks of an exercise; raises ValueError where there is none."""
        # Imported here, so that the notebook's first cell costs nothing.
        from autograder.check import checks_in, draw, explain, judge
        from autograder.report import CheckResult
        from autograder.subject import LocalChannel

        module = importlib.import_module(f"autograder.checks.public.{TOPICS[self._assignment]}")
        exercises = {item.name: item for item in module.EXERCISES}
        if exercise not in exercises:
            known = ", ".join(exercises)
            raise ValueError(f"there is no exercise {exercise!r}; there are: {known}")
        forbids = exercises[exercise].forbids
        namespace = _kernel_namespace() if self._namespace is None else self._namespace
        results = []
        for item in (item for item in checks_in(module) if item.exercise == exercise):
            channel = LocalChannel(namespace, forbids)
            verdict = judge(item, draw(item, seed=0), channel, seed=0)
            message, counterexample = explain(item, verdict)
            passed = verdict.failure is None and not channel.forbidden
            if channel.forbidden:
                words = exercises[exercise].forbids_in_words
                used = ", ".join(sorted(channel.forbidden)[:3])
                message = f"It uses {used}; this exercise is to be done without {words}."
            results.append(
                CheckResult(
                    name=item.name,
                    visibility="public",
                    points=item.points,
                    passed=passed,
                    statement=item.statement,
                    message=message,
                    counterexample=counterexample,
                    cases=verdict.cases,
                    seconds=verdict.seconds,
                )
            )
        return Feedback(exercise, results)


def checks_of(assignment: str) -> NotebookChecks:
    """The public checks of an assignment, to be called with an exercise's name."""
    return NotebookChecks(assignment)


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _kernel_namespace() -> dict[str, Any]:
    shell = _shell()
    if shell is None:
        return vars(sys.modules["__main__"])
    namespace: dict[str, Any] = shell.user_ns
    return namespace


def _in_terminal() -> bool:
    shell = _shell()
    return shell is None or type(shell).__name__ == "TerminalInteractiveShell"
