"""What the grader and the sandbox say to each other, besides the requests of subject.py."""

from __future__ import annotations

from typing import Any

import msgspec

from autograder.sandbox.wire import Codec

FRAME_BYTES = 64 * 2**20


class Limits(msgspec.Struct, frozen=True):
    """What one submission may use. Times are seconds, sizes bytes. A cell's and a call's seconds
    pass while it has a processor or waits for something else, not while it waits for one."""

    cell_seconds: float = 30.0
    call_seconds: float = 10.0
    training_seconds: float = 30.0  # a call of a check that trains
    exercise_seconds: float = 90.0
    submission_seconds: float = 300.0
    memory_bytes: int = 2 * 2**30
    scratch_bytes: int = 64 * 2**20
    output_bytes: int = 2**20
    processes: int = 32


class RunCell(msgspec.Struct, tag="run"):
    """Run one cell of the notebook."""

    source: str


class Fork(msgspec.Struct, tag="fork"):
    """Fork the state for an exercise: the child serves the socket that travels along, with the
    operations that match `forbids` blocked."""

    forbids: str


class CellDone(msgspec.Struct, tag="done"):
    """A cell has run: its outputs as nbformat has them, and its error, empty where none."""

    outputs: list[dict[str, Any]]
    error: str = ""
    truncated: bool = False


class Hello(msgspec.Struct, tag="hello"):
    """A worker's or an exercise's process is there (the kernel adds its process id)."""


class Ask(msgspec.Struct, tag="ask"):
    """Answer these requests (encoded subject.Request), in order, a frame each."""

    requests: list[bytes]


class StandIn(msgspec.Struct, tag="stand_in"):
    """Define `names`, as `source` does, in the student's namespace, for this fork alone."""

    source: str
    names: list[str]


orders = Codec(RunCell | Fork)
results = Codec(CellDone | Hello, from_student=True)
exercise_orders = Codec(Ask | StandIn)
