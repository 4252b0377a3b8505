"""The worker: runs a submission's cells, then answers questions in a fresh fork for each exercise.

Everything here runs beside the student's code and may be changed by it. That is why it judges
nothing: it sends back what it is asked for, and whoever lies here only gives wrong answers.
"""

from __future__ import annotations

import ast
import base64
import io
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

from autograder import operations, subject
from autograder.sandbox import isolation
from autograder.sandbox.messages import (
    FRAME_BYTES,
    CellDone,
    Fork,
    Hello,
    Limits,
    RunCell,
    StandIn,
    exercise_orders,
    orders,
    results,
)
from autograder.sandbox.wire import plain_text, receive_frame, send_frame

OUTPUT_BYTES = 100  # that an output counts for, beside its text

# --- The shell -----------------------------------------------------------------------------------


class Recorder:
    """Collects a cell's outputs up to a number of bytes; what comes after is dropped."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, Any]] = []
        self.left = 0
        self.truncated = False

    def begin(self, limit: int) -> None:
        self.outputs, self.left, self.truncated = [], limit, False

    def add(self, output: dict[str, Any], size: int) -> None:
        last = self.outputs[-1] if self.outputs else {}
        more = output["output_type"] == "stream" and last.get("name") == output["name"]
        size += 0 if more else OUTPUT_BYTES
        if size > self.left:
            self.left, self.truncated = 0, True
            return
        self.left -= size
        if more:
            last["text"].append(output["text"][0])
        else:
            self.outputs.append(output)

    def taken(self) -> list[dict[str, Any]]:
        for output in self.outputs:
            if output["output_type"] == "stream":
                output["text"] = "".join(output["text"])
        return self.outputs


recorder = Recorder()


class Stream(io.TextIOBase):
    """Standard output or error of a cell."""

    encoding = "utf-8"

    def __init__(self, name: str) -> None:
        self.name = name

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if not text:
            return 0
        # One more than is left, so that add sees that it is too long.
        kept = plain_text(text[: recorder.left + 1])
        recorder.add({"output_type": "stream", "name": self.name, "text": [kept]}, len(kept))
        return len(text)


class RecordingPublisher(DisplayPublisher):
    """Records what `display` shows."""

    def publish(self, data: Any, metadata: Any = None, **_: Any) -> None:  # type: ignore[override]
        _record("display_data", data, metadata)

    def clear_output(self, wait: bool = False) -> None:
        recorder.outputs.clear()


class RecordingHook(DisplayHook):
    """Records the value of a cell's last expression."""

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        _record("execute_result", format_dict, md_dict)


def _record(kind: str, data: Any, metadata: Any) -> None:
    bundle = {str(mime): _text(value) for mime, value in dict(data).items()}
    size = sum(len(str(value)) for value in bundle.values())
    output: dict[str, Any] = {"output_type": kind, "data": bundle, "metadata": {}}
    if kind == "execute_result":
        output["execution_count"] = None
    recorder.add(output, size)


def _text(value: Any) -> str:
    if isinstance(value, bytes):  # an image
        return base64.b64encode(value).decode()
    return plain_text(value if isinstance(value, str) else str(value))


class GradingShell(InteractiveShell):
    """IPython's shell, so that magics and rich output work, recording what a cell shows."""

    display_pub_class = Type(RecordingPublisher)
    displayhook_class = Type(RecordingHook)

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        text = [plain_text(str(line)) for line in stb]
        name = getattr(etype, "__name__", "Exception")
        output = {"output_type": "error", "ename": name, "evalue": subject._message(evalue)}
        recorder.add({**output, "traceback": text}, sum(map(len, text)))

    def init_history(self) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        self.config.merge(config)
        super().init_history()

    def enable_gui(self, gui: Any = None) -> None:
        pass

    def system(self, cmd: str) -> None:
        done = subprocess.run(self.var_expand(cmd, depth=1), shell=True, capture_output=True)
        sys.stdout.write(done.stdout.decode(errors="replace"))
        sys.stderr.write(done.stderr.decode(errors="replace"))
        self.user_ns["_exit_code"] = done.returncode


_shell: GradingShell | None = None


def warm(forbids: Iterable[str]) -> None:
    """Creates the shell and looks up what exercises forbid, once, before any fork."""
    global _shell
    _shell = GradingShell.instance()
    _shell.run_cell("1 + 1", store_history=False)
    recorder.outputs.clear()
    for pattern in forbids:
        operations.matching(pattern)


# --- Serving -------------------------------------------------------------------------------------


class GoesOn(ast.NodeTransformer):
    """Lets a cell go on where one of its statements needs an operation that was removed: a cell
    may compare with it, and the definitions below count."""

    def visit_Module(self, module: ast.Module) -> ast.Module:
        module.body = [self._wrapped(statement) for statement in module.body]
        return ast.fix_missing_locations(module)

    def _wrapped(self, statement: ast.stmt) -> ast.stmt:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            return statement
        says = repr(operations.SAYS_REMOVED)
        (wrapped,) = ast.parse(
            f"try: pass\nexcept Exception as _error:\n  if {says} not in str(_error): raise"
        ).body
        assert isinstance(wrapped, ast.Try)
        wrapped.body = [statement]
        return ast.copy_location(wrapped, statement)


def serve(
    channel: socket.socket, seed: int, limits: Limits, may_filter: bool, without: str
) -> None:
    """Runs cells and forks for exercises until the grader closes the channel."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    assert _shell is not None
    if without:
        operations.remove(without)
        _shell.ast_transformers.append(GoesOn())
    send_frame(channel, results.encode(Hello()))
    while True:
        order, fds = _receive_order(channel)
        if isinstance(order, RunCell):
            send_frame(channel, results.encode(_run_cell(_shell, order.source, limits)))
            continue
        while True:  # exercises that have ended
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        state = random.getstate()
        if os.fork() == 0:
            random.setstate(state)  # which Python's fork has drawn anew
            channel.close()
            _serve_exercise(socket.socket(fileno=fds[0]), order.forbids, _shell, may_filter)
        for fd in fds:
            os.close(fd)
        # From here on we may be stopped: the exercise's socket is its process's alone, and ends
        # with it.
        send_frame(channel, results.encode(Hello()))


def _receive_order(channel: socket.socket) -> tuple[RunCell | Fork, list[int]]:
    """An order travels as a frame; a Fork's socket rides on its first byte."""
    first, fds, _, _ = socket.recv_fds(channel, 1, 1)
    if not first:
        os._exit(0)
    return orders.decode(receive_frame(channel, FRAME_BYTES)), fds


def _run_cell(shell: GradingShell, source: str, limits: Limits) -> CellDone:
    recorder.begin(limits.output_bytes)
    saved = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Stream("stdout"), Stream("stderr")
    try:
        result = shell.run_cell(source, store_history=False)
        failure = result.error_before_exec or result.error_in_exec
    except BaseException as raised:
        failure = raised
    finally:
        sys.stdout, sys.stderr = saved
    error = ""
    if failure is not None:
        line = subject._line(failure)
        error = f"{type(failure).__name__}: {subject._message(failure)}"[:1000]
        if isinstance(failure, SyntaxError):
            line = f"line {failure.lineno}: {(failure.text or '').strip()[:200]}"
            error = f"{type(failure).__name__}: {failure.msg}"
        error += f" ({line})" if line else ""
    return CellDone(recorder.taken(), error, recorder.truncated)


def _serve_exercise(
    channel: socket.socket, forbids: str, shell: GradingShell, may_filter: bool
) -> None:
    """Never returns."""
    try:
        if may_filter:
            isolation.deny_helpers()
        send_frame(channel, results.encode(Hello()))
        with operations.blocked(forbids) as tried:
            _answer_all(channel, shell, tried)
    finally:
        os._exit(0)


def _answer_all(channel: socket.socket, shell: GradingShell, tried: list[str]) -> None:
    kept: dict[int, Any] = {}
    while True:
        order = exercise_orders.decode(receive_frame(channel, FRAME_BYTES))
        if isinstance(order, StandIn):
            namespace: dict[str, Any] = {}
            exec(compile(order.source, "<stand-in>", "exec"), namespace)
            shell.user_ns.update({name: namespace[name] for name in order.names})
            continue
        for frame in order.requests:
            request = subject.requests.decode(frame)
            if subject.begins_case(request):  # a misconception then draws the same weights
                torch.manual_seed(subject.CASE_SEED)
            reply = subject.answer(request, shell.user_ns, kept)
            reply.forbidden = sorted(set(tried))
            tried.clear()
            send_frame(channel, subject.answers.encode(reply))
