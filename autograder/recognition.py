"""Which misconception answers as a failed submission does.

The misconceptions are run here, in the grader, on the drawn cases alone: never on a case that
shrinking or a student's answer made. So what one of them answers is found out once for a class.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from autograder.check import TOLERANCE, Calls, Case, Check, Verdict, is_blank, run_case
from autograder.misconceptions import Mutant
from autograder.sandbox.wire import Opaque
from autograder.subject import LocalChannel, Raised, Value

MAX_HINTS = 2  # more of them would be no help
Failed = tuple[Check, Sequence[Case], int, Calls]  # with the number of the case, and what came back


class Recognition:
    """The misconceptions of an assignment. `namespace()` gives what their code finds: a right
    solution's names."""

    def __init__(
        self, mutants: Sequence[Mutant], namespace: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._mutants = mutants
        self._namespace = functools.cache(namespace)
        self._known: dict[tuple[Mutant, str, int], tuple[Calls, Calls]] = {}

    def hint(self, exercise: str, judged: Sequence[tuple[Check, Sequence[Case], Verdict]]) -> str:
        """What a student should hear whose exercise failed as a misconception's does: with the
        same wrong answers in the first failing case of every check that failed, as far as they
        don't differ from run to run. Trainings are not compared. Empty where none does, or too
        many do."""
        failed = [
            (check, cases, *verdict.first_failing)
            for check, cases, verdict in judged
            if verdict.first_failing
            and verdict.failure is not None
            and not (check.trains or is_blank(verdict.failure))
        ]
        if not failed:
            return ""
        alike = [
            mutant
            for mutant in self._mutants
            if mutant.exercise == exercise and self._answers_alike(mutant, failed)
        ]
        hints = list(dict.fromkeys(mutant.hint for mutant in alike))
        if not 1 <= len(hints) <= MAX_HINTS:
            return ""
        return f"A known mistake gives the same wrong answers. {' Or: '.join(hints)}"

    def _answers_alike(self, mutant: Mutant, failed: Sequence[Failed]) -> bool:
        compared = 0
        for check, cases, index, calls in failed:
            one, other = self._answers(mutant, check, cases, index)
            if not one or not other:
                return False
            if _same_answers(one, other):
                if not _same_answers(one, calls):
                    return False
                compared += 1
        return compared > 0

    def _answers(
        self, mutant: Mutant, check: Check, cases: Sequence[Case], index: int
    ) -> tuple[Calls, Calls]:
        """What it answers where the case fails, nothing where it passes; twice, since that may
        differ from run to run."""
        key = mutant, check.name, index
        if key not in self._known:
            with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(io.StringIO()):
                self._known[key] = (
                    self._run(mutant, check, cases[index]),
                    self._run(mutant, check, cases[index]),
                )
        return self._known[key]

    def _run(self, mutant: Mutant, check: Check, case: Case) -> Calls:
        namespace = dict(self._namespace())
        torch.rand(1)  # so that two runs have different random numbers
        exec(mutant.source, namespace)
        failure, calls = run_case(check, case, LocalChannel(namespace, seeded=True))
        return calls if failure is not None else []


def _same_answers(calls: Calls, others: Calls) -> bool:
    # The same check asks the same of who answered the same: its requests need no comparison.
    return (
        bool(calls)
        and len(calls) == len(others)
        and all(_same(one[1], other[1]) for one, other in zip(calls, others, strict=True))
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        if not isinstance(other, torch.Tensor):
            return False
        if (one.dtype, one.shape, one.device) != (other.dtype, other.shape, other.device):
            return False
        bound = TOLERANCE.get(one.dtype, 0.0)
        if one.is_meta:
            return True
        return torch.allclose(one, other, rtol=bound, atol=bound, equal_nan=True)
    if type(one) is not type(other):
        return False
    if isinstance(one, Value):
        fields = ("value", "gradients", "parameters", "inputs")
        return all(_same(getattr(one, name), getattr(other, name)) for name in fields)
    if isinstance(one, Raised):
        return _same([one.types, one.message], [other.types, other.message])
    if isinstance(one, float):
        return bool(torch.isclose(torch.tensor(one), torch.tensor(other), equal_nan=True))
    if isinstance(one, dict):
        return list(one) == list(other) and _same(list(one.values()), list(other.values()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Opaque):
        return bool(one.type_name == other.type_name)
    return bool(one == other)
