"""The checks in the student's own notebook: `check = checks_of("02-convolution")`.

They run the public checks in the kernel, through the same Subject as the sandbox does. What they
say is feedback; the grade comes from grading.
"""

from __future__ import annotations

import contextvars
import importlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from autograder.checks import TOPICS
from autograder.feedback import (
    Interruption,
    Row,
    State,
    exercise_html,
    exercise_text,
    standing_html,
    standing_text,
)
from autograder.report import CheckResult

if TYPE_CHECKING:
    from autograder.check import Check, Exercise, Verdict
    from autograder.subject import Answer, LocalChannel

PRINTED = 2000  # characters of what the student's code prints; a short line counts as LINE
LINE = 80


class UnknownName(ValueError):
    """There is no exercise, or no assignment, of that name."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        names = list(known)
        near = get_close_matches(str(getattr(name, "__name__", name)), names, n=1)
        quoted = "" if isinstance(name, str) else ", in quotes"
        meant = f" Did you mean {near[0]!r}{quoted}?" if near else ""
        wrong = repr(name)[:60]
        super().__init__(f"There is no {kind} {wrong}.{meant} There are: {', '.join(names)}.")

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return [str(self)]


class ChecksFailed(AssertionError):
    """Some public checks failed while nbgrader validates the notebook."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Feedback:
    """How the public checks of an exercise went; a notebook shows it as HTML.

    As text it is the same feedback, except while nbgrader grades: then it is the number of points
    earned, which nbgrader takes as partial credit. `checks` are those that were run, of `possible`
    points in all; `not_begun` says what shows that the student has not begun.
    """

    def __init__(self, exercise: str, possible: float) -> None:
        self.exercise = exercise
        self.possible = possible
        self.checks: list[CheckResult] = []
        self.not_begun = ""
        self.interruption: Interruption | None = None

    @property
    def points(self) -> float:
        """The points of the public checks that passed."""
        return float(sum(check.points for check in self.checks if check.passed))

    @property
    def row(self) -> Row:
        """Its row in the assignment's table."""
        failed = [check.statement for check in self.checks if not check.passed]
        state: State = "failed" if failed else "passed"
        if self.interruption:
            state, failed = "interrupted", ["interrupted"]
        elif self.not_begun:
            state, failed = "not begun", [self.not_begun]
        return Row(self.exercise, state, self.points, self.possible, "".join(failed[:1]))

    def __repr__(self) -> str:
        if os.environ.get("NBGRADER_EXECUTION") == "autograde":
            return repr(self.points)
        return exercise_text(self.exercise, self.checks, self.interruption)

    def _repr_html_(self) -> str:
        return exercise_html(self.exercise, self.checks, self.interruption)


class Standing:
    """Where the student stands in the whole assignment, as one table; in text, too."""

    def __init__(
        self, assignment: str, rows: Sequence[Row], interruption: Interruption | None
    ) -> None:
        self.assignment = assignment
        self.rows = rows
        self.interruption = interruption

    def __repr__(self) -> str:
        return standing_text(self.assignment, self.rows, self.interruption)

    def _repr_html_(self) -> str:
        return standing_html(self.assignment, self.rows, self.interruption)


class NotebookChecks:
    """Calls an exercise's public checks on the notebook's own functions."""

    def __init__(self, assignment: str, namespace: dict[str, Any] | None = None) -> None:
        if assignment not in list(TOPICS):  # a list, because anything may have been typed
            raise UnknownName("assignment", assignment, TOPICS)
        self._assignment = assignment
        self._namespace = namespace

    def __repr__(self) -> str:
        return (
            f"the public checks of {self._assignment}: check(EXERCISE) runs those of an exercise, "
            "check.all() all of them"
        )

    def __call__(self, exercise: str) -> Feedback | None:
        """Runs the public checks of an exercise; raises UnknownName where there is none.

        Interrupted, it tells what it has found out so far. While `nbgrader validate` runs the
        notebook it prints what passed, and raises ChecksFailed where something didn't: to
        nbgrader a number of points below that of grading, which runs more checks, is a failure.
        """
        exercises = {item.name: item for item in self._exercises}
        if exercise not in list(exercises):
            raise UnknownName("exercise", exercise, exercises)
        with _attended(exercise) as progress:
            feedback = self._run(exercises[exercise], progress)
        if os.environ.get("NBGRADER_EXECUTION") != "validate":
            return feedback
        if feedback.points < feedback.possible:
            raise ChecksFailed(str(feedback))
        print(feedback)
        return None

    def all(self) -> Standing:
        """Runs the public checks of every exercise; an interrupt ends it with the rows so far."""
        rows: list[Row] = []
        interruption = None
        with _attended("check.all()") as progress:
            for exercise in self._exercises:
                if interruption:
                    possible = sum(check.points for check in self._checks(exercise))
                    rows.append(Row(exercise.name, "not run", 0, possible, "not run"))
                    continue
                feedback = self._run(exercise, progress)
                rows.append(feedback.row)
                interruption = feedback.interruption
        return Standing(self._assignment, rows, interruption)

    @property
    def _module(self) -> Any:
        # Imported when first needed, so that the notebook's first cell costs nothing.
        return importlib.import_module(f"autograder.checks.public.{TOPICS[self._assignment]}")

    @property
    def _exercises(self) -> Sequence[Exercise]:
        exercises: Sequence[Exercise] = self._module.EXERCISES
        return exercises

    def _checks(self, exercise: Exercise) -> list[Check]:
        from autograder.check import checks_in

        return [item for item in checks_in(self._module) if item.exercise == exercise.name]

    def _run(self, exercise: Exercise, progress: _Progress) -> Feedback:
        from autograder.check import Verdict, draw, is_blank, judge
        from autograder.subject import LocalChannel

        checks = self._checks(exercise)
        feedback = Feedback(exercise.name, sum(item.points for item in checks))
        running: _Running | None = None
        blank = 0
        try:
            namespace = _kernel_namespace() if self._namespace is None else self._namespace
            if not set(exercise.defines) & namespace.keys():
                feedback.not_begun = "not defined: its cell was not run"
                message = _undefined(exercise.defines)
                feedback.checks = [_result(item, Verdict(), False, message) for item in checks]
                return feedback
            for number, item in enumerate(checks, 1):
                progress.now = f"{exercise.name}: check {number} of {len(checks)}"
                channel = LocalChannel(namespace, exercise.forbids)
                running = _Running(exercise, item, number, _Watched(channel), Verdict())
                judge(item, draw(item, seed=0), running.channel, 0, running.verdict)
                feedback.checks.append(self._told(running, namespace))
                failure = running.verdict.failure
                blank += failure is not None and is_blank(failure)
                running = None
        except BaseException as error:
            if not _is_interrupt(error):
                raise
            feedback.interruption = _interruption(exercise.name, len(checks), running)
            if running and running.verdict.failure:
                feedback.checks.append(self._told(running, namespace))
        if blank == len(checks):
            feedback.not_begun = "not begun"
        return feedback

    def _told(self, running: _Running, namespace: dict[str, Any]) -> CheckResult:
        """What is told of a check that was judged."""
        from autograder.check import explain

        exercise, item, verdict = running.exercise, running.item, running.verdict
        forbidden = running.channel.forbidden
        message, counterexample = explain(item, verdict)
        if missing := self._missing(verdict, namespace):
            message, counterexample = _undefined(missing), ""
        if forbidden:
            used = ", ".join(sorted(forbidden)[:3])
            words = exercise.forbids_in_words
            message = f"It uses {used}; this exercise is to be done without {words}."
        passed = verdict.failure is None and not forbidden
        return _result(item, verdict, passed, message, counterexample)

    def _missing(self, verdict: Verdict, namespace: dict[str, Any]) -> list[str]:
        """The exercises' names that the student's code uses and that are not defined yet."""
        names = {name for exercise in self._exercises for name in exercise.defines}
        failure = verdict.failure
        if "NameError" not in getattr(failure, "types", ()):
            return []
        return sorted(name for name in names - namespace.keys() if f"'{name}'" in str(failure))


def checks_of(assignment: str) -> NotebookChecks:
    """The public checks of an assignment, to be called with an exercise's name."""
    return NotebookChecks(assignment)


def _result(
    item: Check, verdict: Verdict, passed: bool, message: str, counterexample: str = ""
) -> CheckResult:
    return CheckResult(
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


def _undefined(names: Sequence[str]) -> str:
    are = "is" if len(names) == 1 else "are"
    return (
        f"{' and '.join(map(repr, names))} {are} not defined: run that exercise's cell first, and "
        "after a restart of the kernel all cells above it."
    )


class _Running(NamedTuple):
    """The check that is running, the `number`-th of its exercise."""

    exercise: Exercise
    item: Check
    number: int
    channel: _Watched
    verdict: Verdict


def _interruption(exercise: str, count: int, running: _Running | None) -> Interruption:
    """What was going on when the student interrupted."""
    from autograder.show import show_call
    from autograder.subject import requests

    if running is None:
        return Interruption(f"Interrupted between the checks of {exercise}.")
    where = f"Interrupted in check {running.number} of {count} of {exercise}"
    if running.verdict.failure:
        return Interruption(f"{where}. It fails, and a smaller call was being looked for.")
    where += f": “{running.item.statement}”"
    if not running.channel.asked:
        return Interruption(where)
    call = show_call(requests.decode(running.channel.asked))
    name = call.split("(")[0]
    return Interruption(f"{where} Your {name} was running on this call:", call)


def _is_interrupt(error: BaseException | None) -> bool:
    """True for an interrupt, and for an error of whoever cleaned up after one."""
    return error is not None and (
        isinstance(error, KeyboardInterrupt) or _is_interrupt(error.__context__)
    )


class _Watched:
    """A channel, and the request that it is answering."""

    def __init__(self, channel: LocalChannel) -> None:
        self._channel = channel
        self.asked = b""

    @property
    def forbidden(self) -> set[str]:
        return self._channel.forbidden

    def ask(self, request: bytes) -> Answer:
        self.asked = request
        reply = self._channel.ask(request)
        self.asked = b""
        return reply


class _Progress:
    """Shows after a second, and from then on each second, what is running.

    Only in a kernel that a person uses: a terminal would get a new line each second, and nbgrader
    keeps what it gets. A thread does it, because it is the student's code that takes long.
    """

    def __init__(self, task: str) -> None:
        self.now = self._task = task
        self._ended = threading.Event()
        # The context says to which cell a display belongs.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._show,), daemon=True)

    def __enter__(self) -> _Progress:
        self._started = time.monotonic()
        if hasattr(_shell(), "kernel") and "NBGRADER_EXECUTION" not in os.environ:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _show(self) -> None:
        from IPython.display import DisplayHandle

        handle = DisplayHandle()
        show: Callable[..., None] = handle.display
        while not self._ended.wait(1):
            text = f"{self.now}, {self._seconds}. The button ■ (interrupt the kernel) ends it."
            show({"text/plain": text}, raw=True)
            show = handle.update
        if show == handle.update:
            show({"text/plain": f"{self._task} took {self._seconds}."}, raw=True)

    @property
    def _seconds(self) -> str:
        return f"{time.monotonic() - self._started:.0f} s"


class _Bounded(io.TextIOBase):
    """Passes on the first of what is written, and says where it stops."""

    encoding = "utf-8"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._left = PRINTED

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        for line in text[:PRINTED].splitlines(keepends=True):
            if self._left > 0:
                self._stream.write(line[: self._left])
                self._left -= max(len(line), LINE)
                if self._left <= 0:
                    self._stream.write("\n… (your code prints more, which is not shown)\n")
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


@contextmanager
def _attended(task: str) -> Iterator[_Progress]:
    """The student's code runs here: it may take long, and print."""
    output = _Bounded(sys.stdout)
    # Warnings too: to nbgrader a cell that writes to standard error has failed.
    with _Progress(task) as progress, redirect_stdout(output), redirect_stderr(output):
        yield progress


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _kernel_namespace() -> dict[str, Any]:
    shell = _shell()
    if shell is None:
        return vars(sys.modules["__main__"])
    namespace: dict[str, Any] = shell.user_ns
    return namespace
