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

from autograder import fixtures
from autograder.operations import blocked
from autograder.sandbox.wire import AnswerTooLarge, Codec, Kept, Opaque, pack, plain_text

__all__ = ["LocalChannel", "Opaque", "StudentError", "StudentObject", "Subject"]

ANSWER_BYTES = 16 * 2**20
CASE_SEED = 0


class Call(msgspec.Struct, tag="call"):
    """Call a function: of the notebook, a method of the kept object `on`, or one of
    fixtures.py, as "fixtures.name". With `keep`, also keep what comes back.

    With a `cotangent` for each of the first tensors of the output, also send back the gradients
    of the sum of (output * cotangent): with respect to every floating tensor among the
    arguments, in order, and every parameter of the kept module `of`. With `echo`, also send the
    arguments as they are after the call."""

    function: str
    args: list[Any]
    kwargs: dict[str, Any]
    cotangent: Any = None
    echo: bool = False
    on: Kept | None = None
    of: Kept | None = None
    keep: Kept | None = None


class Read(msgspec.Struct, tag="read"):
    """Read a variable, or an attribute of the kept object `on`."""

    name: str
    on: Kept | None = None


class Value(msgspec.Struct, tag="value"):
    """What came back. `forbidden` names the blocked operations that were tried."""

    value: Any
    gradients: list[Any] | None = None
    parameters: dict[str, Any] | None = None
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
Exchanges = list[tuple[bytes, bytes]]  # encoded requests, each with the answer that came
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

    `student.Name.keep(*args, **kwargs)` keeps what comes back in the student's process, such as
    a module, and returns a StudentObject for it, whose methods are called in the same way and
    which may be an argument of other calls. `student.fixtures.name` is a function of
    autograder/fixtures.py: small known modules, optimisers and generators, made there too.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._log: list[tuple[Request, Answer | None]] = []
        self._names: list[str] = []  # of the kept objects

    def __getattr__(self, name: str) -> StudentFunction:
        if name.startswith("_"):
            raise AttributeError(name)
        return StudentFunction(self, name)

    @property
    def fixtures(self) -> Fixtures:
        """The functions of autograder/fixtures.py, carried out in the student's process."""
        return Fixtures(self)

    def value_of(self, name: str) -> Any:
        """The value of the notebook's variable `name`."""
        return self._ask(Read(name)).value

    def _kept(self, name: str) -> Kept:
        """A number and a name for one more object."""
        count = sum(known.rstrip("0123456789") == name for known in self._names)
        self._names.append(f"{name}{count + 1}" if count else name)
        return Kept(len(self._names) - 1, self._names[-1])

    def _ask(self, request: Request) -> Value:
        self._log.append((request, None))
        reply = self._channel.ask(requests.encode(_packed(request)))
        self._log[-1] = (request, reply)
        if isinstance(reply, Raised):
            raise StudentError(reply)
        return reply


class StudentFunction:
    """A function of the student's notebook, a method of a kept object, or a fixture."""

    def __init__(self, subject: Subject, name: str, on: Kept | None = None) -> None:
        self._subject = subject
        self._name = name
        self._on = on

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._subject._ask(self._call(args, kwargs)).value

    def keep(self, *args: Any, **kwargs: Any) -> StudentObject:
        """Calls it, and keeps what comes back in the student's process."""
        call = self._call(args, kwargs)
        call.keep = self._subject._kept(self._name.rpartition(".")[2].lower())
        return StudentObject(self._subject, call.keep, self._subject._ask(call).value)

    def gradients(self, *args: Any, cotangent: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
        """(value, gradients): the gradients of (value * cotangent).sum() with respect to each
        floating tensor among the arguments, those in lists and tuples too, in their order; None
        where there is none. Of a tuple, the gradients of its first item; or, with a list of
        cotangents, of the sum over as many of its tensors."""
        call = self._call(args, kwargs)
        call.cotangent = cotangent
        reply = self._subject._ask(call)
        count = sum(1 for _ in _floating(list(args), kwargs))
        gradients = reply.gradients or []
        return reply.value, gradients if len(gradients) == count else [None] * count

    def parameter_gradients(
        self, *args: Any, cotangent: Any, of: StudentObject, **kwargs: Any
    ) -> tuple[Any, dict[str, Any]]:
        """(value, gradients): the same with respect to the parameters of the module `of`, by
        their names."""
        call = self._call(args, kwargs)
        call.cotangent, call.of = cotangent, of._kept
        reply = self._subject._ask(call)
        return reply.value, reply.parameters or {}

    def inputs_after(self, *args: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
        """(value, inputs): the arguments as the call left them, to see changes in place."""
        call = self._call(args, kwargs)
        call.echo = True
        reply = self._subject._ask(call)
        inputs = reply.inputs or []
        count = len(args) + len(kwargs)
        return reply.value, inputs if len(inputs) == count else [None] * count

    def _call(self, args: Any, kwargs: Any) -> Call:
        return Call(self._name, _named(list(args)), _named(kwargs), on=self._on)


class StudentObject:
    """An object that is kept in the student's process. Calling it calls it there; so do its
    methods. `came_back` is what of it could travel."""

    def __init__(self, subject: Subject, kept: Kept, came_back: Any) -> None:
        self._subject = subject
        self._kept = kept
        self.came_back = came_back

    def __getattr__(self, name: str) -> StudentFunction:
        if name.startswith("_"):
            raise AttributeError(name)
        return StudentFunction(self._subject, name, self._kept)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)

    @property
    def call(self) -> StudentFunction:
        """Calling the object itself, as a function that has gradients and inputs_after."""
        return StudentFunction(self._subject, "__call__", self._kept)

    def value_of(self, name: str) -> Any:
        """The value of the object's attribute `name`."""
        return self._subject._ask(Read(name, self._kept)).value


class Fixtures:
    """`student.fixtures.name(...)`."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def __getattr__(self, name: str) -> StudentFunction:
        if name.startswith("_"):
            raise AttributeError(name)
        return StudentFunction(self._subject, f"fixtures.{name}")


def _named(value: Any) -> Any:
    """Arguments with what stands for each StudentObject among them in its place."""
    if isinstance(value, StudentObject):
        return value._kept
    if isinstance(value, list | tuple):
        return type(value)(_named(item) for item in value)
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    return value


class LocalChannel:
    """Answers from a namespace of this process: the student's own kernel, or the reference.

    Operations that match `forbids` are blocked meanwhile; `forbidden` names those tried.
    `exchanges` is what was asked, and how it was answered. With
    `seeded`, a case that keeps objects begins with the same random numbers, as in the sandbox.
    """

    def __init__(
        self, namespace: Mapping[str, Any], forbids: str = "", seeded: bool = False
    ) -> None:
        self._namespace = namespace
        self._seeded = seeded
        self._kept: dict[int, Any] = {}
        self._forbids = forbids
        self.forbidden: set[str] = set()
        self.exchanges: Exchanges = []

    def ask(self, request: bytes) -> Answer:
        """The answer, through the wire format and back: copies go in, plain data comes out."""
        asked = requests.decode(request)
        if self._seeded and begins_case(asked):
            torch.manual_seed(CASE_SEED)
        with blocked(self._forbids) as tried:
            reply = answers.encode(answer(asked, self._namespace, self._kept))
        self.forbidden |= set(tried)
        self.exchanges.append((request, reply))
        decoded: Answer = answers.decode(reply)
        return decoded


def begins_case(request: Request) -> bool:
    """True for the first object that a case keeps."""
    return isinstance(request, Call) and request.keep is not None and request.keep.number == 0


def answer(request: Request, namespace: Mapping[str, Any], kept: dict[int, Any]) -> Answer:
    """Carries `request` out on the student's namespace and on what is `kept`; whatever happens
    becomes an Answer."""
    try:
        return _answer(request, namespace, kept)
    except AnswerTooLarge as error:
        return Raised(["AnswerTooLarge"], str(error))
    except KeyboardInterrupt:  # a student who interrupts a check in the notebook
        raise
    except BaseException as error:  # sys.exit in the student's code too
        types = [kind.__name__[:100] for kind in type(error).__mro__[:-1]]
        return Raised(types[:10], _message(error), _line(error))


def _answer(request: Request, namespace: Mapping[str, Any], kept: dict[int, Any]) -> Value:
    if isinstance(request, Read):
        value = _found(request.name, request.on, namespace, kept)
        return Value(pack(value, ANSWER_BYTES))
    function = _found(request.function, request.on, namespace, kept)
    args, kwargs = _resolved(request.args, kept), _resolved(request.kwargs, kept)
    leaves = list(_floating(args, kwargs)) if request.cotangent is not None else []
    for item in leaves:
        item.requires_grad_()
    value = function(*args, **kwargs)
    if request.keep is not None:
        if begins_case(request):  # the last one's are done with
            kept.clear()
        kept[request.keep.number] = value
    reply = Value(pack(value, ANSWER_BYTES))
    if request.echo:
        reply.inputs = pack([*args, *kwargs.values()], ANSWER_BYTES)
    if request.cotangent is not None:
        parameters = dict(_resolved(request.of, kept).named_parameters()) if request.of else {}
        gradients = _gradients(value, request.cotangent, [*leaves, *parameters.values()])
        reply.gradients = pack(gradients[: len(leaves)], ANSWER_BYTES)
        named = dict(zip(parameters, gradients[len(leaves) :], strict=True))
        reply.parameters = pack(named, ANSWER_BYTES) if request.of else None
    return reply


def _found(name: str, on: Kept | None, namespace: Mapping[str, Any], kept: dict[int, Any]) -> Any:
    if on is not None:
        return getattr(_resolved(on, kept), name)
    if name.startswith("fixtures."):
        return getattr(fixtures, name.removeprefix("fixtures."))
    if name not in namespace:
        raise NameError(f"name '{name}' is not defined")
    return namespace[name]


def _resolved(value: Any, kept: dict[int, Any]) -> Any:
    """Arguments with each kept object in the place of what stands for it."""
    if isinstance(value, Kept):
        return kept[value.number]
    if isinstance(value, list | tuple):
        return type(value)(_resolved(item, kept) for item in value)
    if isinstance(value, dict):
        return {key: _resolved(item, kept) for key, item in value.items()}
    return value


def _gradients(value: Any, cotangent: Any, leaves: list[torch.Tensor]) -> list[Any]:
    """Of the sum of the first tensors in `value`, each times its cotangent; None where none is."""
    cotangents = list(cotangent) if isinstance(cotangent, list | tuple) else [cotangent]
    pairs = [
        (output, weight)
        for output, weight in zip(_tensors(value), cotangents, strict=False)
        if output.requires_grad and output.shape == weight.shape
    ]
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    if not pairs or not wanted:
        return [None] * len(leaves)
    outputs, weights = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(outputs, wanted, weights, allow_unused=True))
    return [next(found) if leaf.requires_grad else None for leaf in leaves]


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _floating(args: list[Any], kwargs: dict[str, Any]) -> Iterator[torch.Tensor]:
    return (x for x in _tensors([*args, *kwargs.values()]) if x.is_floating_point())


def _message(error: BaseException) -> str:
    try:
        # Addresses differ from one run to the next, and a Report must not.
        return re.sub(r"\b0x[0-9a-f]{6,}", "0x…", plain_text(str(error)[:1000]))
    except Exception:  # the student's own exception class may refuse to be printed
        return ""


def _line(error: BaseException) -> str:
    """The innermost line of the notebook that the exception passed through."""
    lines = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if "ipy" in frame.f_code.co_filename
    ]
    if not lines:
        return ""
    file, number = lines[-1]
    return f"line {number}: {linecache.getline(file, number).strip()[:200]}"


def _packed(request: Request) -> Request:
    if isinstance(request, Read):
        return request
    return msgspec.structs.replace(
        request,
        args=pack(request.args),
        kwargs=pack(request.kwargs),
        cotangent=pack(request.cotangent),
    )
