"""The grader's side of the sandbox: starting warm parents, running cells, asking exercises."""

from __future__ import annotations

import array
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec

from autograder import subject
from autograder.report import FaultKind
from autograder.sandbox.messages import (
    FRAME_BYTES,
    Ask,
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
from autograder.sandbox.parent import (
    SWEEP,
    Ended,
    IsolationName,
    Ready,
    Settings,
    Start,
    remove_folder,
)
from autograder.sandbox.wire import Frames, ProtocolError, receive_frame, send_frame

STRONGEST_FIRST: tuple[IsolationName, ...] = ("namespaces", "bubblewrap", "landlock")
IsolationChoice = Literal["auto", "namespaces", "bubblewrap", "landlock", "none"]
SYSTEM_PATHS = (
    *("/lib", "/lib64", "/bin", "/usr/lib", "/usr/lib64", "/usr/bin"),
    *("/etc/ld.so.cache", "/etc/alternatives", "/usr/share/zoneinfo"),
)
START_SECONDS = 120.0
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL, 256 - signal.SIGKILL)  # also from within
PATIENCE = 8  # times its seconds a process may have at most, however busy the machine is
SLICE = 0.1  # seconds after which the kernel has surely counted a wait


class IsolationUnavailable(RuntimeError):
    """This machine can't give the isolation that was asked for."""


class Lost(subject.SubjectLost):
    """A worker or an exercise's process can't go on; `kind` is the Report's fault kind."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind: FaultKind = kind
        self.message = message


ENDED: dict[str, tuple[FaultKind, str]] = {
    "memory": ("memory", "used more memory than a submission may"),
    "processes": ("crash", "started more processes than a submission may"),
    "scratch": ("output", "wrote more files than a submission may"),
    "timeout": ("timeout", "took longer in all than a submission may"),
}


class Sandbox:
    """A warm parent and the workers forked from it. A context manager.

    `published` is the folder with the code that workers may import. Raises IsolationUnavailable
    where the isolation can't be had; with "auto" the strongest that can be had is chosen.
    `forbids` are patterns of operations that exercises will block, `imports` modules that
    notebooks will import: both are looked up ahead. Raises OSError where the machine ends the warm
    parent, or has no room for it.
    """

    def __init__(
        self,
        published: Path,
        isolation: IsolationChoice = "auto",
        limits: Limits | None = None,
        forbids: Sequence[str] = (),
        imports: Sequence[str] = (),
    ) -> None:
        self.limits = limits or Limits()
        self._forbids = list(forbids)
        self._imports = list(imports)
        self._published = published
        self._folder = Path(tempfile.mkdtemp(prefix="gradus-"))
        self._folder.chmod(0o711)  # workers may be another user
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self.isolation: IsolationName = "none"
        self.features: list[str] = []
        self.versions: dict[str, str] = {}
        names = STRONGEST_FIRST if isolation == "auto" else (isolation,)
        reasons = []
        try:
            for name in names:
                try:
                    self._start(name)
                    return
                except IsolationUnavailable as error:
                    reasons.append(f"{name}: {error}")
        except BaseException:
            self.close()
            raise
        self.close()
        raise IsolationUnavailable(
            "this machine can't isolate submissions ("
            + "; ".join(reasons)
            + "). Grade on Linux 5.13 or newer, allow user namespaces, or, for submissions that "
            "you trust, choose --isolation none."
        )

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the warm parent and every process under it."""
        self._stop()
        remove_folder(str(self._folder))

    def worker(self, seed: int, without: str = "") -> Worker:
        """A fresh worker, from which the operations that match `without` were removed before the
        student's code comes; starts the warm parent again where it was killed."""
        for attempt in (1, 2):
            try:
                return Worker(self._control_socket(), seed, self.limits, without)
            except OSError:
                if attempt == 2:
                    raise
                self._stop()
                self._start(self.isolation)
        raise AssertionError("unreachable")

    def _control_socket(self) -> socket.socket:
        if self._process is None or self._process.poll() is not None or self._control is None:
            raise OSError("the warm parent is gone")
        return self._control

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = self._control = None

    def _start(self, name: IsolationName) -> None:
        root, scratch = self._folder / "root", self._folder / "scratch"
        root.mkdir(exist_ok=True)
        scratch.mkdir(exist_ok=True)
        libraries = [p for p in dict.fromkeys(_library_paths()) if os.path.isdir(p)]
        published = str(self._published.resolve())
        settings = Settings(
            isolation=name,
            readable=readable_paths(published),
            import_paths=[published, *libraries],
            root=str(root),
            scratch="/scratch" if name in ("namespaces", "bubblewrap") else str(scratch),
            forbids=self._forbids,
            imports=self._imports,
        )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [
            *([] if name != "bubblewrap" else _bubblewrap(settings)),
            *(sys.executable, "-P", "-s", "-S", "-c"),
            f"import sys; sys.path[:] = {settings.import_paths!r}\n"
            "from autograder.sandbox.parent import main; main(sys.argv[1], int(sys.argv[2]))",
            msgspec.json.encode(settings).decode(),
            str(theirs.fileno()),
        ]
        log = self._folder / "warm-parent.log"
        try:
            with log.open("wb") as errors:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=[theirs.fileno()],
                    env=_clean_environment(settings.scratch),
                    cwd="/",
                )
        except FileNotFoundError:
            ours.close()
            raise IsolationUnavailable(f"{command[0]} is not installed") from None
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.settimeout(START_SECONDS)
        self._control = ours
        message = b""
        with contextlib.suppress(OSError):
            message = ours.recv(2**20)
        if not message:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            if self._process.returncode in KILLED:  # which says nothing of the isolation
                self._stop()
                raise ChildProcessError("the warm parent was killed while it started")
            reason = log.read_text(errors="replace").strip().splitlines()
            self._stop()
            raise IsolationUnavailable(reason[-1] if reason else "the warm parent did not start")
        ready = msgspec.json.decode(message, type=Ready)
        if ready.error:
            self._stop()
            raise IsolationUnavailable(ready.error)
        ours.settimeout(None)
        self.isolation, self.features, self.versions = name, ready.features, ready.versions


class Worker:
    """One submission's process: runs its cells, and forks for its exercises."""

    def __init__(
        self, control: socket.socket, seed: int, limits: Limits, without: str = ""
    ) -> None:
        self._limits = limits
        self._channel, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._handle = -1
        self._guard, guard = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            message = msgspec.json.encode(Start(limits, seed, without))
            socket.send_fds(control, [message], [channel.fileno(), guard.fileno()])
        except OSError:
            self._channel.close()
            self._guard.close()
            raise
        finally:
            channel.close()
            guard.close()
        try:
            self._handle = _receive_hello(self._channel, time.monotonic() + limits.cell_seconds)
        except (OSError, EOFError, ProtocolError):
            self.close()
            raise OSError("the warm parent gave no worker") from None

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every process of the submission."""
        self._channel.close()
        self._guard.close()
        if self._handle >= 0:
            with contextlib.suppress(OSError):  # where the guard is there, it ends all of them
                self._signal(signal.SIGKILL)
            os.close(self._handle)
            self._handle = -1

    def end_leftovers(self) -> None:
        """Ends the processes that the cells left running. Raises Lost."""
        try:
            self._guard.settimeout(self._limits.call_seconds)
            self._guard.send(SWEEP)
            if self._guard.recv(16) != SWEEP:
                raise EOFError
        except (OSError, EOFError) as error:
            raise self._lost(error, self._limits.call_seconds) from None

    def run_cell(self, source: str) -> CellDone:
        """Runs a cell; raises Lost where that ended or outlasted the worker."""
        seconds = self._limits.cell_seconds
        try:
            self._order(RunCell(source), time.monotonic() + seconds)
            deadline = _await(self._channel, self._handle, seconds)
            done = results.decode(receive_frame(self._channel, FRAME_BYTES, deadline))
        except (OSError, EOFError, ProtocolError) as error:
            raise self._lost(error, self._limits.cell_seconds) from None
        if not isinstance(done, CellDone):
            raise Lost("protocol", "sent something that is no answer")
        return done

    def exercise(self, forbids: str) -> ExerciseChannel:
        """A fork of the state after the cells, for one exercise.

        The worker itself is stopped meanwhile, and what an earlier exercise left running is
        ended: they could lend the fork a hand with what is blocked there.
        """
        if forbids:
            self.end_leftovers()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        deadline = time.monotonic() + self._limits.call_seconds
        handle = -1
        try:
            self._signal(signal.SIGCONT)
            self._order(Fork(forbids), deadline, theirs.fileno())
            theirs.close()  # open here, it would hide that the worker has ended
            handle = _receive_hello(ours, deadline)
            # Stopped before it has let go of the exercise's socket, it would hide its end.
            results.decode(receive_frame(self._channel, FRAME_BYTES, deadline))
            self._signal(signal.SIGSTOP)
        except (OSError, EOFError, ProtocolError) as error:
            ours.close()
            if handle >= 0:
                os.close(handle)
            raise self._lost(error, self._limits.call_seconds) from None
        finally:
            theirs.close()
        return ExerciseChannel(ours, handle, self._limits, self)

    def _signal(self, number: signal.Signals) -> None:
        if self._handle >= 0:
            signal.pidfd_send_signal(self._handle, number)

    def _order(self, order: RunCell | Fork, deadline: float, fd: int | None = None) -> None:
        self._channel.settimeout(max(deadline - time.monotonic(), 0.001))
        socket.send_fds(self._channel, [b"."], [] if fd is None else [fd])
        send_frame(self._channel, orders.encode(order))

    def _lost(self, error: Exception, seconds: float) -> Lost:
        if isinstance(error, ProtocolError):
            return Lost("protocol", f"sent something that is no answer: {error}")
        if isinstance(error, TimeoutError):
            return Lost("timeout", f"took longer than {seconds:g} seconds")
        return self.ended() or Lost("crash", "ended the process that runs the notebook")

    def ended(self) -> Lost | None:
        """Why the guard ended the submission; None where it didn't."""
        if self._handle >= 0 and not select.select([self._handle], [], [], 0.05)[0]:
            return None  # the worker lives: only an exercise's process has ended
        self._guard.settimeout(1.0)
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            ended = msgspec.json.decode(self._guard.recv(65536), type=Ended)
            if ended.reason in ENDED:
                return Lost(*ENDED[ended.reason])
            if ended.status:
                number = ended.status - 128 if ended.status > 128 else 256 - ended.status
                with contextlib.suppress(ValueError):
                    name = signal.Signals(number).name
                    return Lost("crash", f"ended the process that runs the notebook ({name})")
        return None


class ExerciseChannel:
    """Asks one exercise's process. Requests that were announced by `expect` travel ahead, so
    that the process computes while the grader compares.

    An answer that is, byte for byte, the right solution's needs no second judgement."""

    def __init__(self, sock: socket.socket, handle: int, limits: Limits, worker: Worker) -> None:
        self._sock = sock
        self._frames = Frames(sock, FRAME_BYTES)
        self._handle = handle
        self._limits = limits
        self._worker = worker
        self._expected: Sequence[subject.Exchanges] = ()
        self._ahead: deque[bytes] = deque()
        self._again: deque[tuple[bytes, bytes | Lost]] = deque()  # asked, but not by the check
        self._call_seconds = limits.call_seconds
        self._left = limits.exercise_seconds
        self.forbidden: set[str] = set()  # blocked operations that were tried

    def close(self) -> None:
        """Kills the exercise's process."""
        self._sock.close()
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            os.close(self._handle)
            self._handle = -1

    def stand_in(self, source: str, names: Sequence[str]) -> None:
        """Defines `names`, as `source` does, in this exercise's process."""
        self._send(exercise_orders.encode(StandIn(source, list(names))))

    def expect(self, exchanges: Sequence[subject.Exchanges], trains: bool = False) -> None:
        """Announces what a right solution will be asked for the cases of a check, in order; where
        it `trains` in answering, it has more time."""
        self._drain()
        self._expected = exchanges
        limits = self._limits
        self._call_seconds = limits.training_seconds if trains else limits.call_seconds
        requests = [request for case in exchanges for request, _ in case]
        if requests:
            self._send(exercise_orders.encode(Ask(requests)))
            self._ahead.extend(requests)

    def answers_as_expected(self, case: int) -> bool:
        """True where all answers of a case are, byte for byte, those of the right solution that
        was announced. What was asked to find that out is not asked again by `ask`."""
        self._again.clear()
        if case >= len(self._expected):
            return False
        for request, expected in self._expected[case]:
            try:
                frame = self._answer(request)
            except Lost as lost:
                self._again.append((request, lost))
                return False
            self._again.append((request, frame))
            if frame != expected:
                return False
        return True

    def ask(self, request: bytes) -> subject.Answer:
        """The answer to one request; raises Lost where none came in time."""
        if self._again and self._again[0][0] == request:
            frame = self._again.popleft()[1]
        else:
            frame = self._answer(request)
        if isinstance(frame, Lost):
            raise frame
        return self._decoded(frame)

    def _answer(self, request: bytes) -> bytes:
        if not self._ahead or self._ahead[0] != request:
            self._drain()
            self._send(exercise_orders.encode(Ask([request])))
            self._ahead.append(request)
        return self._receive()

    def _drain(self) -> None:
        while self._ahead:
            self._decoded(self._receive())  # for what it says of forbidden operations

    def _send(self, frame: bytes) -> None:
        try:
            self._sock.settimeout(self._limits.call_seconds)
            send_frame(self._sock, frame)
        except OSError as error:
            raise self._lost(error) from None

    def _receive(self) -> bytes:
        started = time.monotonic()
        try:
            deadline = started
            if not self._frames.is_there():
                seconds = min(self._call_seconds, self._left)
                deadline = _await(self._sock, self._handle, seconds)
            frame = self._frames.receive(deadline)
        except (OSError, EOFError, ProtocolError) as error:
            raise self._lost(error) from None
        finally:
            self._left -= time.monotonic() - started
        self._ahead.popleft()
        return frame

    def _decoded(self, frame: bytes) -> subject.Answer:
        try:
            answer: subject.Answer = subject.answers.decode(frame)
        except ProtocolError as error:
            raise self._lost(error) from None
        self.forbidden |= set(answer.forbidden)
        return answer

    def _lost(self, error: Exception) -> Lost:
        if isinstance(error, ProtocolError):
            return Lost("protocol", f"It sent something that is no answer: {error}")
        if isinstance(error, TimeoutError):
            return Lost("timeout", f"It took longer than {self._call_seconds:g} seconds.")
        ended = self._worker.ended()
        if ended is not None:
            return Lost(ended.kind, f"It {ended.message}.")
        return Lost(
            "crash", "It ended its process (os._exit, a crash in native code, or a full memory)."
        )


def _await(sock: socket.socket, handle: int, seconds: float) -> float:
    """Waits until something can be received; returns the deadline for receiving all of it.

    Raises TimeoutError after `seconds`, not counting those in which the process of `handle` was
    ready to run and others had the processors: on a busy machine, right solutions stay right.
    """
    # The first slice is free: most answers come in it, and reading the files takes longer.
    if select.select([sock], [], [], SLICE)[0]:
        return time.monotonic() + max(seconds, 1.0)
    started, waited = time.monotonic(), _waited(handle)
    left = seconds
    while not select.select([sock], [], [], max(left, 0.0) + SLICE)[0]:
        passed = time.monotonic() - started
        left = seconds - (passed - (_waited(handle) - waited))
        if left < -SLICE or passed > PATIENCE * seconds:
            raise TimeoutError
    return time.monotonic() + max(left, 1.0)


def _waited(handle: int) -> float:
    """Seconds in which the process of a handle was ready to run and had no processor."""
    try:
        about = Path(f"/proc/self/fdinfo/{handle}").read_text()
        pid = about.split("Pid:")[1].split()[0]
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _receive_hello(sock: socket.socket, deadline: float) -> int:
    """Waits for an exercise's process and returns a handle to kill it with."""
    sock.settimeout(max(deadline - time.monotonic(), 0.001))
    space = socket.CMSG_SPACE(12)
    first, ancillary, _, _ = sock.recvmsg(4, space)
    if not first:
        raise EOFError("the process is gone")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
    hello = results.decode(receive_frame(sock, 1024, deadline, first))
    if not isinstance(hello, Hello):
        raise ProtocolError("no greeting")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            pid = array.array("i", data[:4])[0]  # the kernel's word, in our process namespace
            with contextlib.suppress(OSError):
                return os.pidfd_open(pid)
    return -1


# --- What a worker may read ----------------------------------------------------------------------


def readable_paths(published: str) -> list[str]:
    """The Python installation and the published code, without our own other modules."""
    hidden = [str(Path(__file__).resolve().parents[1])]
    with contextlib.suppress(ImportError):
        import gradus

        hidden += [str(Path(path).resolve()) for path in gradus.__path__]
    paths = []
    for prefix in dict.fromkeys([sys.prefix, sys.base_prefix, sys.exec_prefix]):
        names = ("lib", "lib64", "bin", "pyvenv.cfg")
        paths += [os.path.join(os.path.realpath(prefix), name) for name in names]
    found: list[str] = []
    for path in [*SYSTEM_PATHS, *paths, *_library_paths(), published]:
        if os.path.exists(path) and not any(_inside(path, parent) for parent in found):
            found += _without(path, hidden)
    return found


def _library_paths() -> list[str]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = [os.path.realpath(sysconfig.get_path(name)) for name in names]
    # In a virtual environment these are its own; the standard library is the base's.
    stdlib = os.path.realpath(os.path.dirname(os.__file__))
    return [stdlib, os.path.join(stdlib, "lib-dynload"), *paths]


def _inside(path: str, parent: str) -> bool:
    return path == parent or path.startswith(parent + "/")


def _without(path: str, hidden: list[str]) -> list[str]:
    """`path`, or, where it contains a hidden folder, everything in it but that."""
    if any(_inside(folder, path) for folder in hidden):
        if path in hidden:
            return []
        children = (os.path.join(path, name) for name in sorted(os.listdir(path)))
        return [found for child in children for found in _without(child, hidden)]
    return [path]


def _clean_environment(scratch: str) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": scratch,
        "TMPDIR": scratch,
        "USER": "student",
        "PYTHONHASHSEED": "0",
        # Huge pages make the warm parent's page tables small: forks cost half as much.
        "PYTHONMALLOC": "malloc",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
    }


def _bubblewrap(settings: Settings) -> list[str]:
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session"]
    for path in settings.readable:
        if os.path.islink(path):
            command += ["--symlink", os.readlink(path), path]
        else:
            command += ["--ro-bind", path, path]
    return [*command, "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/scratch", "--chdir", "/"]
