"""What a check sees of the student's code: the same face in the notebook and in the sandbox.

A Subject turns `student.conv2d(x, weight)` into a request, and whoever stands behind it into an
answer: a sandboxed worker, or the notebook's own namespace. Both answer with the function
`answer` below, and both go through the wire format, so that a check behaves alike everywhere.
"""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import msgspec
import torch

from autograder.operations import blocked
from autograder.sandbox.wire import AnswerTooLarge, Codec, Opaque, pack, plain_text

__all__ = ["LocalChannel", "Opaque", "StudentError", "Subject"]

ANSWER_BYTES = 16 * 2**20


class Call(msgspec.Struct, tag="call"):
    """Call a function. With a `cotangent`, also send back the gradients of
    (output * cotangent).sum() with respect to every floating tensor among the arguments, in
    order; with `echo`, also the arguments as they are after the call."""

    function: str
    args: list[Any]
    kwargs: dict[str, Any]
    cotangent: Any = None
    echo: bool = False


class Read(msgspec.Struct, tag="read"):
    """Read a variable."""

    name: str


class Value(msgspec.Struct, tag="value"):
    """What came back. `forbidden` names the blocked operations that were tried."""

    value: Any
    gradients: list[Any] | None = None
    inputs: list[Any] | None = None
    forbidden: list[str] = []


class Raised(msgspec.Struct, tag="raised"):
    """The student's code raised: the type's name and its bases', the message, the line."""

    types: list[str]
    message: str
    line: str = ""
    forbidden: list[str] = []


Request = Call | Read
Answer = Value | Raised
requests = Codec(Request)
answers = Codec(Answer, from_student=True)


class StudentError(Exception):
    """The student's code raised. `types` are the exception's class and its bases, by name."""

    def __init__(self, raised: Raised) -> None:
        self.types = raised.types
        self.line = raised.line[:300]
        name = raised.types[0][:100] if raised.types else "Exception"
        # A worker that the student's code has changed may send any length.
        super().__init__(f"{name}: {raised.message[:1000]}" if raised.message else name)


class SubjectLost(Exception):
    """The process behind a Subject can't answer any more; raised by its channel."""


class Channel(Protocol):
    """Whoever answers a Subject's requests."""

    def ask(self, request: bytes) -> Answer: ...


class Subject:
    """The student's code, as a check uses it.

    `student.name(*args, **kwargs)` calls a function of the notebook and returns what it
    returned, as plain data: tensors, numbers, strings, lists, tuples, dicts;
    anything else arrives as Opaque. It raises StudentError where the student's code raised.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._log: list[tuple[Request, Answer | None]] = []

    def __getattr__(self, name: str) -> StudentFunction:
        if name.startswith("_"):
            raise AttributeError(name)
        return StudentFunction(self, name)

    def value_of(self, name: str) -> Any:
        """The value of the notebook's variable `name`."""
        return self._ask(Read(name)).value

    def _ask(self, request: Request) -> Value:
        self._log.append((request, None))
        reply = self._channel.ask(requests.encode(_packed(request)))
        self._log[-1] = (request, reply)
        if isinstance(reply, Raised):
            raise StudentError(reply)
        return reply


class StudentFunction:
    """A function of the student's notebook."""

    def __init__(self, subject: Subject, name: str) -> None:
        self._subject = subject
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._subject._ask(Call(self._name, list(args), kwargs)).value

    def gradients(
        self, *args: Any, cotangent: torch.Tensor, **kwargs: Any
    ) -> tuple[Any, list[Any]]:
        """(value, gradients): the gradients of (value * cotangent).sum() with respect to each
        floating tensor among the arguments, in their order; None where there is none. Of a
        tuple, the gradients of its first item."""
        reply = self._subject._ask(Call(self._name, list(args), kwargs, cotangent=cotangent))
        count = sum(_is_floating(item) for item in [*args, *kwargs.values()])
        gradients = reply.gradients or []
        return reply.value, gradients if len(gradients) == count else [None] * count

    def inputs_after(self, *args: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
        """(value, inputs): the arguments as the call left them, to see changes in place."""
        reply = self._subject._ask(Call(self._name, list(args), kwargs, echo=True))
        inputs = reply.inputs or []
        count = len(args) + len(kwargs)
        return reply.value, inputs if len(inputs) == count else [None] * count


class LocalChannel:
    """Answers from a namespace of this process: the student's own kernel, or the reference.

    Operations that match `forbids` are blocked meanwhile; `forbidden` names those tried.
    """

    def __init__(self, namespace: Mapping[str, Any], forbids: str = "") -> None:
        self._namespace = namespace
        self._forbids = forbids
        self.forbidden: set[str] = set()

    def ask(self, request: bytes) -> Answer:
        """The answer, through the wire format and back: copies go in, plain data comes out."""
        asked = requests.decode(request)
        with blocked(self._forbids) as tried:
            reply = answers.encode(answer(asked, self._namespace))
        self.forbidden |= set(tried)
        decoded: Answer = answers.decode(reply)
        return decoded


def answer(request: Request, namespace: Mapping[str, Any]) -> Answer:
    """Carries `request` out on the student's namespace; whatever happens becomes an Answer."""
    try:
        return _answer(request, namespace)
    except AnswerTooLarge as error:
        return Raised(["AnswerTooLarge"], str(error))
    except KeyboardInterrupt:  # a student who interrupts a check in the notebook
        raise
    except BaseException as error:  # sys.exit in the student's code too
        types = [kind.__name__[:100] for kind in type(error).__mro__[:-1]]
        return Raised(types[:10], _message(error), _line(error))


def _answer(request: Request, namespace: Mapping[str, Any]) -> Value:
    name = request.name if isinstance(request, Read) else request.function
    if name not in namespace:
        raise NameError(f"name '{name}' is not defined")
    if isinstance(request, Read):
        return Value(pack(namespace[name], ANSWER_BYTES))
    args, kwargs = list(request.args), dict(request.kwargs)
    if request.cotangent is None:
        value = namespace[name](*args, **kwargs)
        inputs = [*args, *kwargs.values()] if request.echo else None
        return Value(pack(value, ANSWER_BYTES), inputs=pack(inputs, ANSWER_BYTES))
    for item in _floating(args, kwargs):
        item.requires_grad_()
    value = namespace[name](*args, **kwargs)
    leaves = list(_floating(args, kwargs))
    gradients: list[Any] = [None] * len(leaves)
    output = value[0] if isinstance(value, list | tuple) and value else value
    ready = isinstance(output, torch.Tensor) and output.requires_grad
    if ready and output.shape == request.cotangent.shape:
        gradients = list(torch.autograd.grad(output, leaves, request.cotangent, allow_unused=True))
    return Value(pack(value, ANSWER_BYTES), gradients=pack(gradients, ANSWER_BYTES))


def _floating(args: list[Any], kwargs: dict[str, Any]) -> Iterator[torch.Tensor]:
    return (item for item in [*args, *kwargs.values()] if _is_floating(item))


def _is_floating(item: Any) -> bool:
    return isinstance(item, torch.Tensor) and item.is_floating_point()


def _message(error: BaseException) -> str:
    try:
        # Addresses differ from one run to the next, and a Report must not.
        return re.sub(r"\b0x[0-9a-f]{6,}", "0x…", plain_text(str(error)[:1000]))
    except Exception:  # the student's own exception class may refuse to be printed
        return ""


def _line(error: BaseException) -> str:
    """The innermost line of the notebook that the exception passed through."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "ipy" in f.filename]
    if not frames:
        return ""
    frame = frames[-1]
    return (
        f"line {frame.lineno}: {linecache.getline(frame.filename, frame.lineno or 0).strip()[:200]}"
    )


def _packed(request: Request) -> Request:
    if isinstance(request, Read):
        return request
    return Call(
        request.function,
        pack(request.args),
        pack(request.kwargs),
        pack(request.cotangent),
        request.echo,
    )
