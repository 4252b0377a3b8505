"""The warm parent: imports what every submission needs once, then forks a worker for each.

Four processes stand in a row, each of which outlives the next:
warm parent (holds no secret) -> guard (one a submission: limits, and killing what is left)
-> init (first process of the submission's own process namespace) -> worker (the student's code).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import os
import resource
import select
import signal
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from autograder.sandbox import isolation
from autograder.sandbox.messages import Limits

IsolationName = Literal["namespaces", "bubblewrap", "landlock", "none"]
GUARD_INTERVAL = 0.05
FILE_BYTES = 4096  # that a file, a folder or a link counts for at least
MAX_NESTING = 100  # of folders
SWEEP = b"sweep"


class Settings(msgspec.Struct, frozen=True):
    """How a warm parent is to be started. `root` is an empty folder to build a file system in,
    `scratch` the folder for temporary files, as the warm parent sees it; `forbids` are the
    patterns that exercises will block, `imports` the modules that notebooks will import."""

    isolation: IsolationName
    readable: list[str]
    import_paths: list[str]
    root: str
    scratch: str
    forbids: list[str]
    imports: list[str]


class Ready(msgspec.Struct):
    """The warm parent's first message; `error` is set where the isolation can't be had."""

    features: list[str] = []
    versions: dict[str, str] = {}
    error: str = ""


class Start(msgspec.Struct):
    """Ask for a worker; its two sockets (to the worker, to its guard) travel along. It is one
    `without` the operations that match this pattern."""

    limits: Limits
    seed: int
    without: str


class Ended(msgspec.Struct):
    """The guard's last message: why the submission's processes ended."""

    reason: Literal["closed", "exited", "memory", "processes", "scratch", "timeout"]
    status: int = 0


def main(settings_json: str, control_fd: int) -> None:
    """Runs the warm parent until the grader closes the control socket."""
    settings = msgspec.json.decode(settings_json, type=Settings)
    control = socket.socket(fileno=control_fd)
    try:
        features = _isolate(settings)
    except OSError as error:
        control.send(msgspec.json.encode(Ready(error=str(error))))
        return
    if settings.isolation != "none":  # or a worker of our user could write into /proc/PID/mem
        isolation.prctl(isolation.PR_SET_DUMPABLE, 0)
    versions = _warm(settings.forbids, settings.imports)
    user = _user_for_workers(settings)
    control.send(msgspec.json.encode(Ready(features, versions)))
    while True:
        message, fds, _, _ = socket.recv_fds(control, 65536, 2)
        _reap()
        if not message:
            return
        start = msgspec.json.decode(message, type=Start)
        if os.fork() == 0:
            control.close()
            _guard(settings, start, user, *fds)
            os._exit(0)
        for fd in fds:
            os.close(fd)


def _isolate(settings: Settings) -> list[str]:
    """Enters what isolation can be entered once for all submissions; names all its parts."""
    if settings.isolation == "none":
        return ["separate process", "resource limits"]
    if not isolation.seccomp_supported():
        raise OSError("the system calls of this machine are not known")
    features = ["separate process", "resource limits", "seccomp", "no capabilities"]
    version = isolation.landlock_version()
    if version:
        features.append(f"Landlock {version}")
    if settings.isolation == "landlock":
        if version < 3:  # before, whoever may read a file may make it empty
            raise OSError("the kernel has no Landlock, or one older than that of Linux 6.2")
        return features
    if settings.isolation == "bubblewrap":
        if not version:  # its workers see each other's processes, and bwrap's
            raise OSError("it needs Landlock, which the kernel lacks")
        return [*features, "bubblewrap: user, mount, net, pid and ipc namespaces"]
    flags = isolation.ALL_NAMESPACES & ~isolation.NEWUSER
    isolation.enter_user_namespace(flags)
    jailed = os.fork()  # only a child enters the new process namespace
    if jailed:
        _, status = os.waitpid(jailed, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    isolation.prctl(isolation.PR_SET_PDEATHSIG, signal.SIGKILL)
    isolation.enter_root(settings.root, settings.readable)
    isolation.mount_scratch(16 * 2**20)  # for what we import; submissions mount their own
    return [*features, "user, mount, net, pid, ipc, uts and cgroup namespaces"]


def _warm(forbids: list[str], imports: list[str]) -> dict[str, str]:
    """Imports and uses once what a submission needs, so that forks find it done."""
    import IPython
    import numpy
    import torch

    from autograder.sandbox import worker

    torch.set_num_threads(1)
    x = torch.ones(1, 1, 4, 4, requires_grad=True)
    # The first use of each of these costs half a second of lazy imports.
    torch.nn.functional.conv2d(x, torch.ones(1, 1, 2, 2)).sum().backward()
    torch.ones(2).allclose(torch.ones(2))
    repr(x)
    torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.1).step()
    worker.warm(forbids)
    for name in imports:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a child's collections don't touch, and so don't copy, what is here
    return {
        "python": sys.version.split()[0],
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "ipython": IPython.__version__,
    }


def _user_for_workers(settings: Settings) -> int | None:
    """From root, whom workers become: the kernel limits processes for all users but root. None
    where we are an ordinary user, or where nobody else may read the Python installation."""
    if os.geteuid() != 0 or settings.isolation == "none":
        return None
    user = 1000 if settings.isolation == "namespaces" else isolation.NOBODY
    child = os.fork()
    if child == 0:
        status = 1
        try:
            isolation.become(user)
            for module in ("os", "torch", "autograder"):
                with open(str(sys.modules[module].__file__), "rb"):
                    status = 0
        except OSError:
            status = 1
        finally:
            os._exit(status)
    return user if os.waitpid(child, 0)[1] == 0 else None


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


# --- Guard: limits that the kernel doesn't keep for us, and the end of everything ----------------


def _guard(
    settings: Settings, start: Start, user: int | None, worker_fd: int, guard_fd: int
) -> None:
    grader = socket.socket(fileno=guard_fd)
    namespaces = settings.isolation == "namespaces"
    scratch = settings.scratch if namespaces else tempfile.mkdtemp(dir=settings.scratch)
    if namespaces:
        isolation.unshare(isolation.NEWPID | isolation.NEWNET | isolation.NEWIPC)
    elif sys.platform == "linux":
        isolation.prctl(isolation.PR_SET_CHILD_SUBREAPER, 1)
    init = os.fork()
    if init == 0:
        grader.close()
        _init(settings, start, user, worker_fd, scratch)
    os.close(worker_fd)
    ended = Ended("exited")
    try:
        ended = _watch(init, grader, start.limits, None if namespaces else scratch)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(init, signal.SIGKILL)
        _, status = os.waitpid(init, 0)
        if not namespaces:
            _kill_descendants()
            remove_folder(scratch)
        with contextlib.suppress(OSError):
            grader.send(msgspec.json.encode(Ended(ended.reason, os.waitstatus_to_exitcode(status))))


def _watch(init: int, grader: socket.socket, limits: Limits, scratch: str | None) -> Ended:
    deadline = time.monotonic() + limits.submission_seconds
    handle, channel = os.pidfd_open(init), grader.fileno()
    warm = _resident_bytes(os.getpid())  # what every process shares with the warm parent
    parent = os.getppid()
    try:
        while True:
            ready, _, _ = select.select([handle, channel], [], [], GUARD_INTERVAL)
            if handle in ready:
                return Ended("exited")
            if channel in ready:
                if grader.recv(16) != SWEEP:  # the grader has closed its end
                    return Ended("closed")
                _sweep(init)
                grader.send(SWEEP)
            if os.getppid() != parent:  # the warm parent is gone
                return Ended("closed")
            if time.monotonic() > deadline:
                return Ended("timeout")
            # A fork bomb grows faster than it can be counted: look no further than the limit.
            processes = list(itertools.islice(_descendants(), limits.processes + 3))
            if sum(map(_threads, processes)) > limits.processes + 2:
                return Ended("processes")
            if sum(max(_resident_bytes(pid) - warm, 0) for pid in processes) > limits.memory_bytes:
                return Ended("memory")
            if scratch and _is_fuller(scratch, processes, limits.scratch_bytes):
                return Ended("scratch")
    finally:
        os.close(handle)


def _sweep(init: int) -> None:
    """Ends what the cells left running, so that only the worker itself can help an exercise."""
    for _ in range(200):
        children = Path(f"/proc/{init}/task/{init}/children").read_text().split()
        kept = {init, *map(int, children[:1])}  # the oldest child is the worker
        left = [pid for pid in _descendants() if pid not in kept and not _is_zombie(pid)]
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.0005)


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True


def _descendants() -> Iterator[int]:
    children = [os.getpid()]
    while children:
        pid = children.pop()
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                text = Path(f"/proc/{pid}/task/{thread}/children").read_text()
                for child in map(int, text.split()):
                    yield child
                    children.append(child)


def _threads(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/task"))
    return 0


def _resident_bytes(pid: int) -> int:
    # Exact numbers (smaps_rollup) would wait for each process's forks: too slow to stop a bomb.
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def _is_fuller(folder: str, processes: Iterable[int], limit: int) -> bool:
    """True where the files in `folder`, and deleted ones that processes hold open, take more than
    `limit` bytes on the disk; and where nobody could tell: folders nested too deep, or closed."""
    known: set[tuple[int, int]] = set()
    size = 0
    for status in itertools.chain(_files_in(folder), _deleted_files(processes)):
        if status is None:
            return True
        if (status.st_dev, status.st_ino) not in known:
            known.add((status.st_dev, status.st_ino))
            size += max(512 * status.st_blocks, FILE_BYTES)
        if size > limit:
            return True
    return False


def _files_in(folder: str) -> Iterator[os.stat_result | None]:
    """What is in a folder and those below; None for one that can't be looked into."""
    folders = [(folder, 0)]
    while folders:
        path, nesting = folders.pop()
        if nesting > MAX_NESTING:
            yield None
            return
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        yield entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            folders.append((entry.path, nesting + 1))
        except (FileNotFoundError, NotADirectoryError):
            continue  # gone by now
        except OSError:
            yield None


def _deleted_files(processes: Iterable[int]) -> Iterator[os.stat_result]:
    for pid in processes:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    status = os.stat(f"/proc/{pid}/fd/{name}")
                    if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                        yield status


def remove_folder(folder: str) -> None:
    """Deletes a folder of which no process makes use any more, however deep it is nested (deeper
    than a path may be long, or a function may recurse) and whatever its modes are."""
    if os.path.islink(folder):
        return
    pending = [folder]
    moved = itertools.count()
    while pending:
        path = pending.pop()
        with contextlib.suppress(OSError):
            os.chmod(path, 0o700)
            for entry in list(os.scandir(path)):
                with contextlib.suppress(OSError):
                    if not entry.is_dir(follow_symlinks=False):
                        os.unlink(entry.path)
                        continue
                    os.chmod(entry.path, 0o700)
                    pending.append(f"{folder}.{next(moved)}")  # beside it, its path stays short
                    os.rename(entry.path, pending[-1])
            os.rmdir(path)


def _kill_descendants() -> None:
    """Without a process namespace: every descendant comes to us when its parent dies."""
    while True:
        for pid in _descendants():  # killed as they are found, faster than they fork
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return


# --- Init and the worker's last steps before the student's code ----------------------------------


def _init(settings: Settings, start: Start, user: int | None, worker_fd: int, scratch: str) -> None:
    """Never returns. Ends when the worker ends; with it, in its namespace, everything."""
    status = 70
    try:
        isolation.prctl(isolation.PR_SET_PDEATHSIG, signal.SIGKILL)
        isolation.prctl(isolation.PR_SET_DUMPABLE, 0)
        if settings.isolation == "namespaces":
            isolation.unshare(isolation.NEWNS)  # the guard keeps a /proc that shows all of us
            isolation.mount_scratch(start.limits.scratch_bytes)
        worker_pid = os.fork()
        if worker_pid == 0:
            _worker(settings, start, user, worker_fd, scratch)
        os.close(worker_fd)
        while True:
            pid, result = os.wait()
            if pid == worker_pid:
                status = os.waitstatus_to_exitcode(result) & 0xFF
                break
    finally:
        os._exit(status)


def _worker(
    settings: Settings, start: Start, user: int | None, worker_fd: int, scratch: str
) -> None:
    """Never returns. Gives up every right, then hands over to the student's code."""
    status = 71
    try:
        from autograder.sandbox import worker

        limits = start.limits
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.setsid()  # kill(0) reaches its group, also outside of its process namespace
        os.dup2(worker_fd, 3)
        os.closerange(4, 4096)
        channel = socket.socket(fileno=3)
        os.environ.update(HOME=scratch, TMPDIR=scratch, MPLCONFIGDIR=scratch, IPYTHONDIR=scratch)
        tempfile.tempdir = None
        os.chdir(scratch)
        os.nice(5)  # whatever runs here, the guard comes first
        isolation.limit(resource.RLIMIT_CORE, 0)
        isolation.limit(resource.RLIMIT_CPU, int(limits.submission_seconds))
        isolation.limit(resource.RLIMIT_AS, _address_space() + limits.memory_bytes)
        isolation.limit(resource.RLIMIT_FSIZE, limits.scratch_bytes)
        isolation.limit(resource.RLIMIT_NOFILE, 256)
        # For the guard to come in time. The kernel counts all of the user's: others need some, too.
        isolation.limit(resource.RLIMIT_NPROC, _tasks_of(user) + 8 * limits.processes)
        if user is not None and settings.isolation != "namespaces":
            os.chown(scratch, user, user)
        if settings.isolation != "none":
            isolation.drop_privileges(user)
            jailed = settings.isolation != "landlock"
            if isolation.landlock_version():
                readable = [*settings.readable, "/proc" if jailed else "/proc/self"]
                isolation.landlock(readable, [scratch])
            own_processes = settings.isolation == "namespaces" or isolation.landlock_version() >= 6
            isolation.deny_system_calls(
                signals=not own_processes, outside_files=settings.isolation == "landlock"
            )
        may_filter = settings.isolation != "none"
        worker.serve(channel, start.seed, limits, may_filter, start.without)
        status = 0
    finally:
        os._exit(status)


def _tasks_of(user: int | None) -> int:
    """How many threads a user (ours where None) has by now: the kernel's limit counts them."""
    owner = os.getuid() if user is None else user
    tasks = 0
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == owner:
                tasks += len(os.listdir(f"/proc/{entry.name}/task"))
    return tasks


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
