"""What hidden checks ask of every function of tensors: gradients, dtype and device, inputs kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch

from autograder.check import Failure, expect, expect_close
from autograder.strategies import filled, strided
from autograder.subject import StudentError, StudentFunction, Subject

DOUBLE = torch.float64
Call = tuple[list[torch.Tensor], dict[str, Any]]  # its tensors, and its options

# These checks fail for wrong values too, where other checks say more.
GRAPH = "If the values are right: .item(), .detach(), .data and torch.tensor cut the gradient."
DTYPE = "If the values are right: torch.zeros makes float32 on the CPU unless told otherwise."
LAYOUT = (
    "If the values are right elsewhere: view needs contiguous memory, and x += 1 writes into x."
)

Oracle = Callable[..., torch.Tensor]


def values_and_gradients(
    oracle: Oracle,
) -> Callable[[Call], tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]]:
    """A check's oracle: (value, cotangent, gradients for each tensor of the call)."""

    def answer(call: Call) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        inputs = [x.clone().requires_grad_(x.is_floating_point()) for x in call[0]]
        value = oracle(*inputs, **call[1])
        cotangent = filled(tuple(value.shape), 7, dtype=DOUBLE)
        leaves = [x for x in inputs if x.requires_grad]
        return value.detach(), cotangent, list(torch.autograd.grad(value, leaves, cotangent))

    return answer


def expect_gradients(
    function: StudentFunction,
    call: Call,
    expected: tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]],
    names: Sequence[str] = ("x", "weight", "bias"),
) -> None:
    """Fails unless the value, and its gradient to every tensor of the call, are as expected."""
    value, cotangent, right = expected
    arguments, options = call
    out, gradients = function.gradients(*arguments, cotangent=cotangent, **options)
    expect_close(out[0] if isinstance(out, tuple | list) and out else out, value)
    for name, gradient, wanted in zip(names, gradients, right, strict=False):
        if gradient is None:
            raise Failure(f"no gradient reaches the argument {name}")
        expect_close(gradient, wanted, f"the gradient of (output · cotangent).sum() to {name}")


def in_both_dtypes(oracle: Callable[..., Any]) -> Callable[[Call], list[Any]]:
    """A check's oracle: its answers in float32 and in float64."""

    def answer(call: Call) -> list[Any]:
        return [oracle(*converted(call[0], dtype), **call[1]) for dtype in (torch.float32, DOUBLE)]

    return answer


def converted(arguments: list[torch.Tensor], kind: torch.dtype | str) -> list[torch.Tensor]:
    """The arguments in another dtype (indices keep theirs) or on another device."""
    if isinstance(kind, str):
        return [x.to(kind) for x in arguments]
    return [x.to(kind) if x.is_floating_point() else x for x in arguments]


def expect_same(value: Any, expected: Any) -> None:
    """Fails unless dtype, device and shape are right, and the values nearly so: these checks are
    about the former, and a Fourier transform in float32 is right to three digits."""
    if isinstance(expected, torch.Tensor):
        expect_close(value, expected, tolerance=1e-2)
        return
    expect(
        isinstance(value, tuple | list) and len(value) == len(expected),
        f"{len(expected)} tensors were expected",
        value,
    )
    for item, right in zip(value, expected, strict=True):
        expect_same(item, right)


def expect_dtype_and_device(function: StudentFunction, call: Call, expected: list[Any]) -> None:
    """Fails unless results follow the inputs' dtype and device."""
    arguments, options = call
    for dtype, right in zip((torch.float32, DOUBLE), expected, strict=True):
        expect_same(function(*converted(arguments, dtype), **options), right)
    # A tensor without values: right code that looks at values raises there, which is no mistake.
    with suppress(StudentError):
        value = function(*converted(arguments, "meta"), **options)
        right = expected[1]
        on_meta = converted([right] if isinstance(right, torch.Tensor) else list(right), "meta")
        expect_same(value if not isinstance(right, torch.Tensor) else [value], on_meta)


def expect_inputs_kept(function: StudentFunction, call: Call, expected: Any) -> None:
    """Fails unless strided inputs give the right result and are the same after the call."""
    arguments, options = call
    inputs = [strided(x) if x.dim() > 1 else x for x in arguments]
    value, after = function.inputs_after(*inputs, **options)
    expect_same(value, expected)
    for number, (left, given_) in enumerate(zip(after, inputs, strict=False), start=1):
        expect_close(left, given_, f"the call changed its argument number {number}")


def expect_answer(student: Subject, question: str, answers: Mapping[str, str]) -> None:
    """Fails unless the quiz's answer to `question` is right; its case does not matter."""
    quiz = student.value_of("quiz")
    expect(isinstance(quiz, dict), "a dict was expected", quiz)
    answer = quiz.get(question)
    right = isinstance(answer, str) and answer.strip().upper() == answers[question]
    expect(right, "that is not the answer", answer)
