"""@check: what a check is, how its cases are drawn and judged, and what a failure says.

A check is a function of a Subject and of values that Hypothesis draws. Its docstring is the
sentence that the student reads; it fails by raising Failure, through the expect functions. The
draws don't depend on the submission, so they are made once (`draw`) and replayed for each
(`judge`); Hypothesis comes back only to shrink a case that failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import hypothesis
import msgspec
import torch
from hypothesis import HealthCheck, Phase
from hypothesis.strategies import SearchStrategy

from autograder.sandbox.wire import pack
from autograder.show import show, show_call
from autograder.subject import (
    Answer,
    Channel,
    Exchanges,
    LocalChannel,
    Opaque,
    Request,
    StudentError,
    Subject,
    SubjectLost,
    Value,
)

DEFAULT_CASES = 12
MAX_SHRINK_RUNS = 150
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.bfloat16: 1e-1, torch.float16: 1e-2}


class Failure(AssertionError):
    """A check's law does not hold. `came_back` and `expected` are shown beside the message."""

    def __init__(self, message: str, came_back: Any = None, expected: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.came_back = came_back
        self.expected = expected


@dataclass(frozen=True)
class Exercise:
    """An exercise: its name (the grade_id of its cell), the names that its cell defines, and
    what it forbids: a regular expression over torch's operations, one over the dotted names of
    what a solution imports (for what torch does not see), and the words to say it."""

    name: str
    names: tuple[str, ...] = ()
    forbids: str = ""
    forbids_in_source: str = ""
    forbids_in_words: str = ""

    @property
    def defines(self) -> tuple[str, ...]:
        return self.names or (self.name,)


@dataclass(frozen=True)
class Check:
    """One check of an exercise, as @check made it."""

    exercise: str
    name: str
    statement: str
    points: float
    hint: str
    oracle: Callable[..., Any] | None
    cases: int
    ahead: bool
    trains: bool
    function: Callable[..., None]
    strategies: Mapping[str, SearchStrategy[Any]]
    examples: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Case:
    """One set of drawn arguments, with the oracle's answer where the check has an oracle."""

    arguments: dict[str, Any]


Calls = list[tuple[Request, Answer | None]]  # what was asked, and what came back


@dataclass
class Verdict:
    """How one check went: `failure` is None where it held. `first_failing` is the number of the
    first case that failed, and its calls; `calls` are those of the smallest one."""

    cases: int = 0
    failure: Exception | None = None
    calls: Calls = field(default_factory=list)
    first_failing: tuple[int, Calls] | None = None
    seconds: float = 0.0


def check(
    exercise: str,
    *,
    points: float,
    hint: str = "",
    oracle: Callable[..., Any] | None = None,
    cases: int = DEFAULT_CASES,
    ahead: bool = True,
    trains: bool = False,
) -> Callable[[Callable[..., None]], Check]:
    """Makes a Check of a function `(student, **drawn)`.

    `oracle` is called with the drawn values once, when they are drawn; what it returns reaches
    the function as `expected`. `hint` names the likeliest cause of a failure. A check that keeps
    objects and asks what depends on an answer says `ahead=False`: what is asked ahead of it would
    have changed the objects, or have begun another case. One that has a model trained says
    `trains=True`: its calls may take seconds.
    """

    def decorate(function: Callable[..., None]) -> Check:
        statement = " ".join((function.__doc__ or "").split())
        if not statement:
            raise ValueError(f"check {function.__name__} has no docstring for the student to read")
        return Check(
            exercise=exercise,
            name=function.__name__,
            statement=statement,
            points=points,
            hint=hint,
            oracle=oracle,
            cases=cases,
            ahead=ahead,
            trains=trains,
            function=function,
            strategies=getattr(function, "strategies", {}),
            examples=tuple(reversed(getattr(function, "examples", []))),
        )

    return decorate


def given(
    **strategies: SearchStrategy[Any],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As hypothesis.given, but the draws are made by `draw`, once for all submissions."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        function.strategies = strategies  # type: ignore[attr-defined]
        return function

    return decorate


def example(**arguments: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decisive case that is always tried, before the drawn ones."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        function.__dict__.setdefault("examples", []).append(arguments)
        return function

    return decorate


def checks_in(module: ModuleType) -> list[Check]:
    """The checks that a module defines, in the order of their definition."""
    return [value for value in vars(module).values() if isinstance(value, Check)]


# --- Drawing, judging, shrinking -----------------------------------------------------------------


def draw(item: Check, seed: int) -> list[Case]:
    """The cases of a check: its examples, then what Hypothesis draws for `seed`."""
    drawn: list[dict[str, Any]] = list(item.examples)

    def keep(**arguments: Any) -> bool:
        drawn.append(arguments)
        return False

    if item.strategies:
        _hypothesis(item, keep, seed, (Phase.generate,))
    elif not drawn:
        drawn.append({})
    return [_case(item, arguments) for arguments in drawn]


def judge(
    item: Check,
    cases: Sequence[Case],
    channel: Channel,
    seed: int,
    verdict: Verdict | None = None,
    known: Callable[[int], bool] | None = None,
) -> Verdict:
    """Runs a check's cases against a channel until one fails; shrinks that one.

    `known` may tell of a case, by its number, that it is answered as one that passed: of the same
    answers, a check says the same. SubjectLost ends the check too: it becomes the verdict's
    failure. What is found out stands in `verdict` as soon as it is known, for callers that may be
    interrupted.
    """
    started = time.perf_counter()
    verdict = Verdict() if verdict is None else verdict
    for index, case in enumerate(cases):
        verdict.cases += 1
        if known is not None and known(index):
            continue
        failure, calls = run_case(item, case, channel)
        if failure is None:
            continue
        verdict.failure, verdict.calls = failure, calls
        if verdict.first_failing is None:
            verdict.first_failing = index, calls
        if isinstance(failure, SubjectLost) or is_blank(failure):
            break
        drawn_index = index - len(item.examples)
        if drawn_index > 0:
            _shrink(item, drawn_index, verdict, channel, seed)
        if drawn_index >= 0:
            break
        # An example is decisive, and therefore large: a drawn case that fails is easier to read.
    verdict.seconds = time.perf_counter() - started
    return verdict


def exchanges_of(
    item: Check, cases: Sequence[Case], reference: Mapping[str, Any]
) -> list[Exchanges]:
    """For each case what a check may ask of a right solution ahead, in order, with the reference's
    answers; proves that the reference passes.

    Raises AssertionError where the reference fails: then the check or the reference is wrong.
    """
    exchanges: list[Exchanges] = []
    for case in cases:
        channel = LocalChannel(reference)
        failure, calls = run_case(item, case, channel)
        exchanges.append(channel.exchanges)
        if failure is not None:
            raise AssertionError(
                f"the reference fails check {item.name} of {item.exercise}: {failure}\n"
                + "\n".join(show_call(request) for request, _ in calls)
            )
    return exchanges if item.ahead else []


def is_blank(failure: Exception) -> bool:
    """True where the exercise was not begun: its cell still raises NotImplementedError."""
    return isinstance(failure, StudentError) and "NotImplementedError" in failure.types


def _case(item: Check, arguments: dict[str, Any]) -> Case:
    if item.oracle is None:
        return Case(arguments)
    return Case({**arguments, "expected": item.oracle(**arguments)})


def run_case(item: Check, case: Case, channel: Channel) -> tuple[Exception | None, Calls]:
    """Runs a check once; returns how it failed, None where it held, and what was asked.

    Raises MemoryError, or torch's RuntimeError, where there is no memory for the check itself.
    """
    student = Subject(channel)
    try:
        item.function(student, **case.arguments)
    except (Failure, StudentError, SubjectLost) as failure:
        return failure, student._log
    except Exception as error:  # a check that trusted what came back
        torch_has_none = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
        if isinstance(error, MemoryError) or torch_has_none:
            raise  # this process has none left, which says nothing of what came back
        message = f"what came back can't be used ({type(error).__name__}: {error})"
        return Failure(message), student._log
    return None, student._log


class _Fails(Exception):
    """One exception, raised in one place, so that shrinking stays on a single trail."""


def _hypothesis(
    item: Check, fails: Callable[..., object], seed: int, phases: tuple[Phase, ...]
) -> None:
    def test(**arguments: Any) -> None:
        if fails(**arguments):
            raise _Fails

    test.__name__ = item.name
    decorated = hypothesis.given(**item.strategies)(test)
    decorated = hypothesis.settings(
        max_examples=item.cases,
        phases=phases,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )(decorated)
    hypothesis.seed(seed)(decorated)()


def _shrink(item: Check, index: int, verdict: Verdict, channel: Channel, seed: int) -> None:
    """Replaces the failing drawn case number `index` by the smallest one that fails.

    Bounded by a number of runs, not by time, so that the same submission gets the same Report.
    """
    count = -1
    runs = 0
    known: dict[bytes, tuple[Exception, Calls] | None] = {}

    def fails(**arguments: Any) -> bool:
        nonlocal count, runs
        count += 1
        if count < index:  # known to pass
            return False
        key = msgspec.msgpack.encode(pack(arguments))
        if key not in known:
            if runs >= MAX_SHRINK_RUNS:
                return False
            runs += 1
            failure, calls = run_case(item, _case(item, arguments), channel)
            if failure is None or isinstance(failure, SubjectLost) or is_blank(failure):
                known[key] = None
            else:
                known[key] = (failure, calls)
        found = known[key]
        if found is not None:  # the last one is the smallest: Hypothesis ends by replaying it
            verdict.failure, verdict.calls = found
        return found is not None

    with suppress(_Fails):
        _hypothesis(item, fails, seed, (Phase.generate, Phase.shrink))


# --- What checks say -----------------------------------------------------------------------------


def expect(condition: Any, message: str, came_back: Any = None, expected: Any = None) -> None:
    """Fails with `message` unless `condition` is true."""
    if not bool(condition):
        raise Failure(message, came_back, expected)


def expect_tensor(value: Any) -> torch.Tensor:
    """Fails unless `value` is a tensor."""
    if not isinstance(value, torch.Tensor):
        raise Failure(f"a tensor was expected, and {_kind(value)} came back", value)
    return value


def expect_shape(value: Any, shape: Sequence[int]) -> None:
    """Fails unless `value` is a tensor of exactly this shape."""
    tensor = expect_tensor(value)
    if tuple(tensor.shape) != tuple(shape):
        raise Failure(f"the shape is {list(tensor.shape)}, and {list(shape)} was expected", tensor)


def expect_equal(value: Any, expected: Any) -> None:
    """Fails unless `value` equals `expected`, type included: for ints, strings and tuples of them.

    A list may stand for a tuple; a bool may not stand for an int.
    """
    if not _equal(value, expected):
        raise Failure("the result is not the expected one", value, expected)


def _equal(value: Any, expected: Any) -> bool:
    if isinstance(expected, list | tuple):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(expected)
            and all(_equal(v, e) for v, e in zip(value, expected, strict=True))
        )
    if isinstance(value, torch.Tensor):
        return False
    return type(value) is type(expected) and bool(value == expected)


def expect_close(
    value: Any, expected: torch.Tensor, message: str = "", tolerance: float | None = None
) -> None:
    """Fails unless `value` has the dtype, device and shape of `expected`, and its values within
    the tolerance: 1e-6 in float64, 1e-4 in float32, relative and absolute; integers exactly."""
    tensor = expect_tensor(value)
    if tensor.dtype != expected.dtype:
        raise Failure(f"the dtype is {tensor.dtype}, and {expected.dtype} was expected", tensor)
    expect_shape(tensor, expected.shape)
    if tensor.device.type != expected.device.type:
        raise Failure(f"the result is on {tensor.device}, the input on {expected.device}")
    if tensor.device.type == "meta":
        return
    bound = TOLERANCE.get(expected.dtype, 0.0) if tolerance is None else tolerance
    if torch.allclose(tensor, expected, rtol=bound, atol=bound):
        return
    wrong = ~torch.isclose(tensor, expected, rtol=bound, atol=bound)
    where = wrong.nonzero()[0].tolist()
    share = f"{int(wrong.sum())} of {tensor.numel()} values differ"
    if not where:
        share = "the value differs"
    else:
        share += f", the first at {where}"
    if expected.is_floating_point() and not bool(tensor.isfinite().all()):
        share += "; some are not finite"
    raise Failure(f"{message + ': ' if message else ''}{share}", tensor, expected)


def expect_letters(student: Subject, questions: Sequence[str]) -> None:
    """Fails unless the notebook's `quiz` has exactly these questions, each with one of the
    letters A to D, right or wrong."""
    quiz = student.value_of("quiz")
    expect(isinstance(quiz, dict), "a dict was expected", quiz)
    expect(set(quiz) == set(questions), f"the keys must be {', '.join(questions)}", quiz)
    for question in questions:
        expect(
            isinstance(quiz[question], str) and quiz[question] in ("A", "B", "C", "D"),
            f"the answer to {question} must be one of the letters A, B, C and D",
            quiz[question],
        )


@contextmanager
def expect_raises(kind: type[Exception], why: str) -> Iterator[None]:
    """Fails unless the student's code raises `kind` (or a subclass) inside the with block."""
    try:
        yield
    except StudentError as error:
        if kind.__name__ in error.types:
            return
        if is_blank(error):
            raise
        raise Failure(f"{why}: {kind.__name__} was expected, and it raised {error}") from None
    raise Failure(f"{why}: {kind.__name__} was expected, and no error was raised")


def _kind(value: Any) -> str:
    if value is None:
        return "None (is the return missing?)"
    if isinstance(value, Opaque):
        return f"an object of type {value.type_name}"
    return f"{type(value).__name__} {show(value, limit=60)}"


def explain(item: Check, verdict: Verdict) -> tuple[str, str]:
    """(message, counterexample) of a failed check: what happened in words, and the calls that
    show it, as Python that the student can paste."""
    failure = verdict.failure
    calls = "\n".join(show_call(request) for request, _ in verdict.calls)
    if failure is None:
        return "", ""
    if isinstance(failure, SubjectLost):
        return str(failure), calls
    if is_blank(failure):
        return "Not done yet: the cell still raises NotImplementedError.", ""
    if isinstance(failure, StudentError):
        name = show_call(verdict.calls[-1][0]).split("(")[0] if verdict.calls else ""
        lines = [f"{name} raised {failure}"]
        if failure.line:
            lines.append(f"in {failure.line}")
    else:
        assert isinstance(failure, Failure)
        lines = [failure.message[:1].upper() + failure.message[1:] + "."]
        answer = verdict.calls[-1][1] if verdict.calls else None
        if failure.came_back is not None:
            lines.append(f"came back: {show(failure.came_back)}")
        elif isinstance(answer, Value) and answer.value is None and "None" not in lines[0]:
            lines.append("came back: None (is the return missing?)")
        if failure.expected is not None:
            lines.append(f"expected:  {show(failure.expected)}")
    if item.hint:
        lines.append(f"Hint: {item.hint}")
    return "\n".join(lines), calls
