"""Every guarantee of the sandbox, each against a hostile cell, in each isolation there is here."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
import torch

from autograder.grade import grade, open_sandbox
from autograder.publish import write_for_workers
from autograder.sandbox import client
from autograder.sandbox.client import IsolationUnavailable, Lost, Sandbox
from autograder.sandbox.messages import CellDone, Limits
from autograder.sandbox.parent import remove_folder
from autograder.subject import LocalChannel, StudentError, Subject

ROOT = Path(__file__).resolve().parents[1]
SECRET = "a secret of the grader's"
BUSY = 2 * (os.cpu_count() or 1)  # processes that leave a third of each processor
LIMITS = Limits(cell_seconds=20.0, call_seconds=5.0, submission_seconds=60.0)


@pytest.fixture(
    scope="module",
    # What bubblewrap adds is close to our own namespaces.
    params=["namespaces", "landlock", pytest.param("bubblewrap", marks=pytest.mark.slow)],
)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Each isolation that this machine offers; a secret is in the grader's environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADER_SECRET", SECRET)
        try:
            with open_sandbox(request.param, LIMITS) as opened:
                yield opened
        except IsolationUnavailable as error:
            pytest.skip(str(error))


@pytest.fixture
def victim() -> Iterator[int]:
    """The id of a process that belongs to the grader's user."""
    process = subprocess.Popen(["sleep", "300"])
    yield process.pid
    process.kill()
    process.wait()


@contextlib.contextmanager
def limited(sandbox: Sandbox, **limits: float) -> Iterator[None]:
    before = sandbox.limits
    sandbox.limits = msgspec.structs.replace(before, **limits)
    try:
        yield
    finally:
        sandbox.limits = before


def run(sandbox: Sandbox, source: str) -> CellDone:
    with sandbox.worker(0) as worker:
        return worker.run_cell(source)


def shown(done: CellDone) -> str:
    """What the cell's last expression showed."""
    assert not done.error, done.error
    return done.outputs[-1]["data"]["text/plain"]


def refused(sandbox: Sandbox, source: str) -> str:
    """Runs a cell that must not get what it wants; returns its error."""
    done = run(sandbox, source)
    assert done.error, f"the sandbox allowed it: {done.outputs}"
    return done.error


def stopped(sandbox: Sandbox, source: str) -> str:
    """The error of a cell that goes too far, or the kind of fault that it ended with."""
    try:
        return refused(sandbox, source)
    except Lost as lost:
        return lost.kind


def wait_until(condition, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def scratch_folders(sandbox: Sandbox) -> list[str]:
    """The folders of submissions that the grader can see."""
    return [name for name in os.listdir(sandbox._folder / "scratch") if name.startswith("tmp")]


# Network.


def test_no_tcp_not_even_to_this_machine(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused(
            sandbox, f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=2)"
        )
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


def test_no_udp(sandbox):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        address = server.getsockname()
        refused(
            sandbox,
            "import socket\n"
            f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', {address})",
        )
        with pytest.raises(TimeoutError):
            server.recv(10)


@pytest.mark.parametrize("family", ["AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_ALG", "AF_VSOCK"])
def test_no_socket_of_any_other_family(sandbox, family):
    error = refused(sandbox, f"import socket; socket.socket(socket.{family}, socket.SOCK_RAW)")
    assert "Error" in error


def test_no_abstract_unix_socket_of_the_outside(sandbox):
    address = "\0" + uuid.uuid4().hex
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        refused(sandbox, f"import socket; socket.socket(socket.AF_UNIX).connect({address!r})")


def test_no_unix_socket_in_a_folder_of_the_outside(sandbox):
    # Such a socket may lead to a container engine or a desktop, that is, out of every sandbox.
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        path = f"{folder}/socket"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            os.chmod(path, 0o777)
            os.chmod(folder, 0o777)
            server.listen()
            refused(sandbox, f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})")


def test_no_datagram_to_a_unix_socket_of_the_outside(sandbox):
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        path = f"{folder}/socket"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(path)
            os.chmod(path, 0o777)
            os.chmod(folder, 0o777)
            server.settimeout(0.1)
            refused(
                sandbox,
                "import socket\n"
                "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
                f"a.sendto(b'x', {path!r})",
            )
            with pytest.raises(TimeoutError):
                server.recv(10)


# Reading.


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/hostname",
        str(ROOT / "README.md"),
        str(ROOT / "autograder" / "checks" / "hidden" / "convolution.py"),
        str(ROOT / "lib" / "gradus" / "convolution.py"),
        str(Path.home()),
        "/proc/{grader}/environ",
        "/proc/{grader}/cmdline",
        "/proc/{grader}/mem",
        "/proc/{grader}/cwd",
        "/proc/1/environ",
        "/",
        "/dev",
        "/sys/kernel",
    ],
)
def test_reads_nothing_but_python_the_published_code_and_its_own_folder(sandbox, path):
    path = path.format(grader=os.getpid())
    source = (
        f"import os\nos.listdir({path!r}) if os.path.isdir({path!r}) else open({path!r}).read()"
    )
    done = run(sandbox, source)
    if path in ("/", "/dev", "/proc/1/environ") and not done.error:
        assert SECRET not in str(done.outputs)
        assert ROOT.name not in str(done.outputs)
    else:
        assert done.error


def test_reads_no_file_that_everybody_may_read(sandbox, tmp_path):
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        secret = Path(folder, "secret.txt")
        secret.write_text(SECRET)
        secret.chmod(0o644)
        Path(folder).chmod(0o755)
        refused(sandbox, f"open({str(secret)!r}).read()")
        refused(sandbox, f"import os; os.symlink({str(secret)!r}, 'link'); open('link').read()")
        refused(sandbox, f"import os; os.link({str(secret)!r}, 'link'); open('link').read()")
        refused(sandbox, f"import subprocess; subprocess.run(['cat', {str(secret)!r}], check=True)")


def test_the_published_code_is_there_and_nothing_that_is_withheld(sandbox):
    cell = """
    import importlib, autograder.notebook, autograder.checks.public.convolution, gradus.plots
    found = []
    for name in ("autograder.checks.hidden.convolution", "autograder.misconceptions.convolution",
                 "autograder.checks.hidden", "autograder.misconceptions", "autograder.grade",
                 "autograder.assignment", "autograder.submission", "gradus.convolution", "tests"):
        try:
            importlib.import_module(name)
            found.append(name)
        except ModuleNotFoundError:
            pass
    found
    """
    done = run(sandbox, "\n".join(line[4:] for line in cell.splitlines()))
    assert shown(done) == "[]"


def test_submissions_do_not_see_each_others_files(sandbox):
    with sandbox.worker(0) as first, sandbox.worker(0) as second:
        first.run_cell("open('mine.txt', 'w').write('an answer'); import os")
        folder = shown(first.run_cell("os.getcwd()"))
        assert shown(first.run_cell("open('mine.txt').read()")) == "'an answer'"
        assert second.run_cell(f"open({folder} + '/mine.txt').read()").error
        assert shown(second.run_cell("import os; os.listdir('.')")) == "[]"
        own = shown(second.run_cell("os.getcwd()"))
        if own != folder:
            assert second.run_cell(f"os.listdir({folder})").error
        assert second.run_cell("os.listdir('..') and open('../x', 'w')").error


def test_a_submission_leaves_nothing_to_the_next(sandbox):
    run(
        sandbox,
        "import os, tempfile; open(os.path.join(tempfile.gettempdir(), 'left'), 'w').write('x')",
    )
    run(sandbox, "open('left', 'w').write('x'); import builtins; builtins.left = 1")
    assert "NameError" in refused(sandbox, "left")
    assert shown(run(sandbox, "import os, tempfile; os.listdir(tempfile.gettempdir())")) == "[]"


def test_submissions_do_not_see_each_others_processes(sandbox):
    with sandbox.worker(0) as first, sandbox.worker(0) as second:
        pid = shown(first.run_cell("import os; os.getpid()"))
        first.run_cell("answer = 'x' * 1000")
        cell = f"""import os, signal
pid = {pid}
assert pid != os.getpid(), "the same number, in another namespace"
open(f"/proc/{{pid}}/mem", "rb").read(0) and 0
os.kill(pid, 0)"""
        assert second.run_cell(cell).error


# Writing.


@pytest.mark.parametrize(
    "path",
    [
        str(ROOT / "written-by-a-test.txt"),
        "/etc/written-by-a-test.txt",
        "/usr/lib/written-by-a-test.txt",
        str(Path(os.__file__).parent / "written-by-a-test.txt"),
        str(Path(torch.__file__).parent / "written-by-a-test.txt"),
        "/written-by-a-test.txt",
        "/dev/written-by-a-test.txt",
    ],
)
def test_writes_nothing_outside_its_own_folder(sandbox, path):
    refused(sandbox, f"open({path!r}, 'w')")
    refused(sandbox, f"import os; os.mkdir({path!r})")
    assert not os.path.exists(path)


def test_does_not_change_the_published_code(sandbox):
    refused(sandbox, "import autograder.subject as s; open(s.__file__, 'a')")
    refused(sandbox, "import autograder.subject as s, os; os.unlink(s.__file__)")


@pytest.mark.parametrize(
    "change",
    [
        "os.chmod(path, 0)",
        "os.chown(path, os.getuid(), os.getgid())",
        "os.utime(path, (1, 1))",
        "os.setxattr(path, b'user.x', b'y')",
        "os.truncate(path, 0)",
        "os.rename(path, path + '.old')",
        "os.unlink(path)",
        "subprocess.run(['chmod', '0', path])",
    ],
)
def test_changes_no_file_of_the_outside(sandbox, change):
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        path = Path(folder, "file.txt")
        path.write_text("text")
        Path(folder).chmod(0o777)
        path.chmod(0o666)
        before = os.stat(path)
        run(sandbox, f"import os, subprocess; path = {str(path)!r}\n{change}")
        after = os.stat(path)
        assert path.read_text() == "text"
        assert after.st_mode == before.st_mode
        assert after.st_ctime_ns == before.st_ctime_ns


def test_nobody_waits_for_a_file_that_a_submission_has_a_lease_on(sandbox):
    # Who owns a file may have one: an ordinary user's worker, also of the Python installation.
    own = "fd = os.open('x', os.O_CREAT | os.O_RDWR)"
    take = "fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)"
    assert "not permitted" in refused(sandbox, f"import fcntl, os\n{own}\n{take}")


def test_attributes_of_files_are_not_changed_through_ioctl_either(sandbox):
    if sandbox.isolation != "landlock":
        pytest.skip("what is outside is read-only there")
    own = "fd = os.open('x', os.O_CREAT | os.O_RDWR)"
    change = "fcntl.ioctl(fd, 0x40086602, bytes(8))"
    assert "not permitted" in refused(sandbox, f"import fcntl, os\n{own}\n{change}")


@pytest.mark.parametrize(
    ("isolation", "version", "says"),
    [
        ("landlock", 2, r"older than that of Linux 6\.2"),  # which can't forbid to empty files
        ("bubblewrap", 0, "needs Landlock"),  # without it, /proc/PID/mem can be written
    ],
)
def test_a_landlock_that_does_not_do_is_said(isolation, version, says, tmp_path):
    if isolation == "bubblewrap" and not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")
    write_for_workers(tmp_path)
    with (tmp_path / "autograder" / "sandbox" / "isolation.py").open("a") as module:
        module.write(f"\n\ndef landlock_version():\n    return {version}\n")
    with pytest.raises(IsolationUnavailable, match=says):
        Sandbox(tmp_path, isolation)


def test_copying_a_file_in_its_own_folder_works(sandbox):
    cell = "import shutil; open('a', 'w').write('x'); shutil.copy('a', 'b'); open('b').read()"
    assert shown(run(sandbox, cell)) == "'x'"


def test_its_own_folder_has_a_size(sandbox):
    with limited(sandbox, scratch_bytes=16 * 2**20):
        cell = """
for i in range(5):
    with open(str(i), "wb") as file:
        file.write(bytes(8 * 2**20))
import time; time.sleep(2)
"""
        error = stopped(sandbox, cell)
    assert "No space left" in error or error == "output"


def test_files_without_a_name_count_too(sandbox):
    with limited(sandbox, scratch_bytes=16 * 2**20):
        cell = """
import os
files = []
for i in range(5):
    files.append(open("x", "wb"))
    os.unlink("x")
    files[-1].write(bytes(8 * 2**20))
    files[-1].flush()
import time; time.sleep(2)
"""
        error = stopped(sandbox, cell)
    assert "No space left" in error or error == "output"


def test_one_file_has_a_size(sandbox):
    with limited(sandbox, scratch_bytes=16 * 2**20):
        cell = "import os; fd = os.open('x', os.O_CREAT | os.O_WRONLY); os.ftruncate(fd, 2**40)"
        assert stopped(sandbox, cell) != "timeout"


@pytest.mark.parametrize(
    "cell",
    [
        # Files that hold nothing take room, too.
        "for i in range(100): os.mkdir(str(i)); [open(f'{i}/{j}', 'w') for j in range(200)]",
        # Too deep for a path to name them, or for a function that calls itself.
        "for _ in range(2000): os.mkdir('d' * 50); os.chdir('d' * 50)",
        # Nobody but root may look into these.
        "os.mkdir('a', 0o300); open('a/b', 'w').write('x'); os.mkdir('a/c', 0)",
    ],
    ids=["empty", "deep", "closed"],
)
def test_folders_that_are_hard_to_count_and_to_delete_are_gone_afterwards(sandbox, cell):
    with limited(sandbox, scratch_bytes=16 * 2**20), contextlib.suppress(Lost):
        run(sandbox, f"import os, time\n{cell}\ntime.sleep(0.5)")
    assert wait_until(lambda: not scratch_folders(sandbox))
    assert shown(run(sandbox, "1 + 1")) == "2"


def test_a_folder_is_removed_however_deep_and_whatever_its_modes(tmp_path):
    there = tmp_path / "outside"
    there.mkdir()
    (there / "kept").write_text("x")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(there)
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1500):  # deeper than a path may be long
        os.mkdir("d" * 50, dir_fd=here)
        inner = os.open("d" * 50, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.mkdir("closed", 0, dir_fd=here)
    os.close(here)
    remove_folder(str(folder))
    remove_folder(str(there / "kept"))  # no folder
    (tmp_path / "itself").symlink_to(there)
    remove_folder(str(tmp_path / "itself"))
    assert sorted(os.listdir(tmp_path)) == ["itself", "outside"]
    assert (there / "kept").read_text() == "x"


# Memory, time, processes, output.


@pytest.mark.parametrize(
    "cell",
    [
        "x = bytearray(400 * 2**20)",
        "import torch; torch.ones(100, 2**20)",
        "import mmap; m = mmap.mmap(-1, 400 * 2**20); m.write(bytes(400 * 2**20))",
        "x = [bytes(2**20) for _ in range(400)]",
    ],
)
def test_memory_has_a_limit(sandbox, cell):
    with limited(sandbox, memory_bytes=256 * 2**20):
        error = stopped(sandbox, cell)
    assert error in ("memory", "crash") or "emory" in error


def test_processes_share_one_limit_of_memory(sandbox):
    with limited(sandbox, memory_bytes=256 * 2**20):
        cell = """
import os, time
for _ in range(4):
    if os.fork() == 0:
        x = bytearray(b"x") * (120 * 2**20)
        time.sleep(15)
        os._exit(0)
time.sleep(10)
"""
        with pytest.raises(Lost, match="memory") as caught:
            run(sandbox, cell)
        assert caught.value.kind == "memory"


def test_no_files_that_are_only_memory(sandbox):
    # They count neither as a process's memory nor in its folder.
    error = refused(sandbox, "import os; fd = os.memfd_create('x'); os.write(fd, bytes(2**20))")
    assert "not permitted" in error


@pytest.mark.parametrize(
    "cell",
    [
        "while True: pass",
        "import time; time.sleep(100)",
        "sum(range(10**12))",
        "import signal\n"
        "for s in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "    signal.signal(s, signal.SIG_IGN)\n"
        "while True: pass",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "import threading; t = threading.Lock(); t.acquire(); t.acquire()",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP) or open('/dev/zero').read()",
    ],
)
def test_a_cell_that_does_not_end_is_ended(sandbox, cell):
    with limited(sandbox, cell_seconds=0.7):
        assert stopped(sandbox, cell) in ("timeout", "memory")
    assert shown(run(sandbox, "1 + 1")) == "2"


def test_a_submission_has_a_time_in_all(sandbox):
    cell = "import time; time.sleep(0.2)"
    with (
        limited(sandbox, submission_seconds=1.0),
        sandbox.worker(0) as worker,
        pytest.raises(Lost) as caught,
    ):
        _ = [worker.run_cell(cell) for _ in range(100)]
    assert caught.value.kind == "timeout"


def test_fork_bombs_are_stopped_at_the_limit_of_processes(sandbox):
    with limited(sandbox, processes=16):
        cell = """
import os, time
alive = 0
for _ in range(200):
    try:
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        alive += 1
    except OSError:
        break
time.sleep(1)
alive
"""
        with contextlib.suppress(Lost):
            assert int(shown(run(sandbox, cell))) <= 16


def test_threads_are_bounded_too(sandbox):
    with limited(sandbox, processes=16):
        cell = """
import threading, time
started = 0
try:
    for _ in range(3000):
        threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
        started += 1
except RuntimeError:
    pass
started
"""
        with contextlib.suppress(Lost):
            assert int(shown(run(sandbox, cell))) < 3000


def test_a_submission_that_starts_all_it_may_leaves_others_theirs(sandbox):
    start = """
import threading, time
for _ in range(28):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
"""
    fork = "import os\npid = os.fork()\nif pid == 0: os._exit(7)\nos.waitpid(pid, 0)[1] >> 8"
    with sandbox.worker(0) as honest, sandbox.worker(0) as greedy, sandbox.worker(0) as another:
        assert not greedy.run_cell(start).error
        assert not another.run_cell(start).error
        assert shown(honest.run_cell(fork)) == "7"


def test_output_has_a_limit_and_the_rest_is_dropped(sandbox):
    with limited(sandbox, output_bytes=10_000):
        cell = (
            "import sys\nfor _ in range(10_000): print('x' * 1000)\nsys.stderr.write('y' * 10**7)"
        )
        done = run(sandbox, cell)
    assert done.truncated
    assert len(str(done.outputs)) < 20_000
    assert not done.error


def test_empty_outputs_count_too(sandbox):
    cell = "from IPython.display import display\nfor _ in range(50_000): display({}, raw=True)"
    with limited(sandbox, output_bytes=10_000):
        done = run(sandbox, cell)
    assert done.truncated
    assert len(done.outputs) <= 100


def test_many_short_writes_are_one_output(sandbox):
    done = run(sandbox, "for i in range(5000): print('x')")
    assert not done.truncated
    assert done.outputs[0]["text"] == "x\n" * 5000


def test_output_beside_pythons_streams_goes_nowhere(sandbox, capfd):
    run(sandbox, "import os; os.write(1, b'to standard output'); os.write(2, b'to standard error')")
    assert capfd.readouterr() == ("", "")


# The end.


def test_every_descendant_is_dead_at_the_end(sandbox):
    marker = f"gradus-test-{uuid.uuid4().hex}"
    cell = f"""
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv("/bin/sleep", ["{marker}", "300"])
        os._exit(0)
time.sleep(0.3)
"""

    def alive() -> int:
        return sum(marker in (p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))

    with sandbox.worker(0) as worker:
        assert not worker.run_cell(cell).error
        assert alive() == 3
    assert wait_until(lambda: alive() == 0)


def test_a_closed_sandbox_leaves_no_process_and_no_folder(sandbox):
    with open_sandbox(sandbox.isolation) as opened:
        process = psutil.Process(opened._process.pid)
        folder = opened._folder
        worker = opened.worker(0)
        worker.run_cell("import os, time\nif os.fork() == 0: time.sleep(300)")
        family = [process, *process.children(recursive=True)]
        assert len(family) >= 4
    _, alive = psutil.wait_procs(family, timeout=20)
    worker.close()
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
    assert not folder.exists()


def test_a_killed_warm_parent_is_started_again():
    with open_sandbox("auto") as opened:
        opened._process.kill()
        opened._process.wait()
        assert shown(run(opened, "1 + 1")) == "2"


# Environment and privileges.


def test_the_environment_is_clean(sandbox):
    done = run(sandbox, "import os; dict(os.environ)")
    assert "PATH" in shown(done)
    assert SECRET not in shown(done)
    assert str(Path.home()) not in shown(done)
    done = run(sandbox, "open('/proc/self/environ').read()")
    assert SECRET not in str(done)


def test_no_file_of_the_grader_is_open(sandbox):
    done = run(sandbox, "import os; [os.readlink(f'/proc/self/fd/{fd}') for fd in range(3)]")
    assert set(eval(shown(done))) == {"/dev/null"}
    done = run(sandbox, "import os; sorted(map(int, os.listdir('/proc/self/fd')))")
    assert eval(shown(done))[:4] == [0, 1, 2, 3]
    assert len(eval(shown(done))) <= 6  # the channel, the event loop's, and the listing itself


def test_no_privileges_and_no_new_ones(sandbox):
    status = dict(
        line.split(":\t", 1)
        for line in eval(shown(run(sandbox, "open('/proc/self/status').read()"))).splitlines()
        if ":\t" in line
    )
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


@pytest.mark.parametrize(
    "cell",
    [
        "libc.unshare(0x10000000)",  # a new user namespace
        "libc.syscall(272, 0x20000)",
        "libc.mount(b'none', b'/scratch', b'tmpfs', 0, None)",
        "libc.chroot(b'.')",
        "libc.setns(0, 0)",
        "[libc.setuid(0), libc.setreuid(0, 0), libc.mount(b'none', b'/', b'', 16384, None)][2]",
        "libc.ptrace(0, 0, 0, 0)",
        "libc.syscall(425, 1, 0)",  # io_uring, which seccomp does not look into
        "libc.syscall(321, 0, 0, 0)",  # bpf
        "libc.syscall(323, 0)",  # userfaultfd
        "libc.syscall(298, 0, 0, 0, 0, 0)",  # perf_event_open
        "libc.shmget(0, 4096, 0o1600)",
        "libc.sethostname(b'x', 1)",
        "libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)",  # clone into a user namespace
        "libc.syscall(435, 0, 0)",  # clone3
    ],
)
def test_system_calls_that_lead_out_are_refused(sandbox, cell):
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86-64")
    cell = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"result = {cell}\n(result, ctypes.get_errno())"
    )
    result, errno = eval(shown(run(sandbox, cell)))
    assert result == -1
    assert errno in (1, 38)  # EPERM, ENOSYS


SEND = {
    "kill": "os.kill(pid, signal.SIGKILL)",
    "its group": "os.killpg(pid, signal.SIGKILL)",
    "pidfd": "signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL)",
    "sigqueue": "libc.sigqueue(pid, 9, 0)",
    "tgkill": "libc.syscall(234, pid, pid, 9)",
    "rt_tgsigqueueinfo": "libc.syscall(297, pid, pid, 9, ctypes.create_string_buffer(128))",
    "a limit of CPU time": "resource.prlimit(pid, resource.RLIMIT_CPU, (0, 0))",
    "a limit of files": "resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0))",
    "priority": "os.setpriority(os.PRIO_PROCESS, pid, 19)",
    "scheduler": "os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))",
    "affinity": "os.sched_setaffinity(pid, {0})",
    "fcntl": """r, w = os.pipe()
fcntl.fcntl(r, 10, 9)
fcntl.fcntl(r, fcntl.F_SETOWN, pid)
fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC)
os.write(w, b"x")
raise OSError""",
}


@pytest.mark.parametrize("way", SEND)
def test_no_other_process_is_reached(sandbox, victim, way):
    before = psutil.Process(victim)
    limits = before.rlimit(psutil.RLIMIT_NOFILE), before.rlimit(psutil.RLIMIT_CPU)
    nice, affinity = before.nice(), before.cpu_affinity()
    cell = f"""import ctypes, fcntl, os, resource, signal
libc = ctypes.CDLL(None, use_errno=True)
pid = {victim}
{SEND[way]}"""
    run(sandbox, cell)
    time.sleep(0.05)
    after = psutil.Process(victim)
    assert after.status() in (psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING)
    assert (after.rlimit(psutil.RLIMIT_NOFILE), after.rlimit(psutil.RLIMIT_CPU)) == limits
    assert (after.nice(), after.cpu_affinity()) == (nice, affinity)
    with open(f"/proc/{victim}/stat") as file:
        assert file.read().rsplit(")", 1)[1].split()[38] == "0"  # the scheduler's policy


def test_no_signal_reaches_the_grader(sandbox):
    received = []
    before = signal.signal(signal.SIGUSR1, lambda *_: received.append(1))
    try:
        run(sandbox, f"import os, signal; os.kill({os.getpid()}, signal.SIGUSR1)")
        time.sleep(0.05)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not received


def test_no_signal_reaches_the_group_that_it_was_started_in(sandbox):
    # kill(0) does, also out of a process namespace; Landlock knows of signals from version 6 only.
    done = run(sandbox, "import os; (os.getsid(0), os.getpgrp()) == (os.getpid(), os.getpid())")
    assert shown(done) == "True"


def test_the_guard_and_the_first_process_of_the_sandbox_cannot_be_killed(sandbox):
    with sandbox.worker(0) as worker:
        cell = """import os, signal
for pid in (1, os.getppid()):
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
"""
        worker.run_cell(cell)
        assert shown(worker.run_cell("2 + 2")) == "4"


def test_no_process_is_traced_or_read(sandbox, victim):
    cell = f"""import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
local = ctypes.create_string_buffer(64)
vector = (ctypes.c_void_p * 2)(ctypes.addressof(local), 64)
[libc.ptrace(16, pid, 0, 0) for pid in ({victim}, {os.getpid()}, os.getppid())] + [
    libc.process_vm_readv({os.getpid()}, vector, 1, vector, 1, 0)]"""
    assert set(eval(shown(run(sandbox, cell)))) == {-1}


# What comes back is data.

WRITE = "import os, struct, socket\nchannel = socket.socket(fileno=os.dup(3))\n"
FRAMES = {
    "garbage": "channel.sendall(b'\\x00\\x00\\x00\\x05hello')",
    "oversized": "channel.sendall(b'\\xff' * 64)",
    "no length that fits": "channel.sendall(struct.pack('>I', 2**31) + b'x' * 1000)",
    "another kind of message": (
        "channel.sendall(struct.pack('>I', 12) + b'\\x81\\xa4type\\xa5hello')"
    ),
    "nested without end": "channel.sendall(struct.pack('>I', 10**6) + b'\\x91' * 10**6)",
    "fields of wrong types": (
        "import msgspec\n"
        "frame = msgspec.msgpack.encode({'type': 'done', 'outputs': 3, 'error': []})\n"
        "channel.sendall(struct.pack('>I', len(frame)) + frame)"
    ),
}


@pytest.mark.parametrize("frame", FRAMES)
def test_a_malformed_answer_to_a_cell_is_a_protocol_fault(sandbox, frame):
    with pytest.raises(Lost) as caught:
        run(sandbox, WRITE + FRAMES[frame])
    assert caught.value.kind == "protocol"


def test_a_truncated_answer_ends_with_its_process(sandbox):
    with pytest.raises(Lost) as caught:
        run(sandbox, WRITE + "channel.sendall(struct.pack('>I', 1000) + b'x'); os._exit(0)")
    assert caught.value.kind == "crash"


def test_interleaved_answers_are_a_protocol_fault(sandbox):
    cell = (
        WRITE
        + """
import msgspec
frame = msgspec.msgpack.encode({'type': 'done', 'outputs': [], 'error': ''})
for _ in range(3):
    channel.sendall(struct.pack('>I', len(frame)) + frame + b'junk')
"""
    )
    with sandbox.worker(0) as worker, pytest.raises(Lost) as caught:
        _ = [worker.run_cell(cell) for _ in range(3)]
    assert caught.value.kind == "protocol"


def test_a_small_frame_that_unpacks_to_gigabytes_is_refused(sandbox):
    # An empty map is one byte there and 64 bytes here.
    cell = (
        WRITE
        + """
n = 8 * 2**20
frame = b'\\x82\\xa4type\\xa4done\\xa7outputs\\xdd' + struct.pack('>I', n) + b'\\x80' * n
channel.sendall(struct.pack('>I', len(frame)) + frame)
"""
    )
    before = psutil.Process().memory_info().rss
    with pytest.raises(Lost) as caught:
        run(sandbox, cell)
    assert caught.value.kind == "protocol"
    assert psutil.Process().memory_info().rss - before < 300 * 2**20


def test_an_exercise_that_answers_garbage_is_lost(sandbox):
    cell = """
import os, socket
def f(x):
    for fd in range(3, 20):
        try:
            os.write(fd, b"\\x00\\x00\\x00\\x05hello")
        except OSError:
            pass
    return x
"""
    with sandbox.worker(0) as worker:
        worker.run_cell(cell)
        channel = worker.exercise("")
        with pytest.raises(Lost) as caught:
            Subject(channel).f(1)
        channel.close()
        assert caught.value.kind == "protocol"


def test_an_exercise_starts_from_the_state_after_the_cells(sandbox):
    with sandbox.worker(0) as worker:
        worker.run_cell("calls = 0\ndef f():\n    global calls\n    calls += 1\n    return calls")
        for _ in range(2):
            channel = worker.exercise("")
            student = Subject(channel)
            assert [student.f(), student.f()] == [1, 2]
            channel.close()


def test_what_the_reference_answers_alike_is_asked_once(sandbox):
    with sandbox.worker(0) as worker:
        worker.run_cell(
            "import os\ncalls = 0\ndef f(x):\n    global calls\n    calls += 1\n"
            "    if x == 5: os._exit(1)\n    return calls if x > 2 else x"
        )

        def reference(*numbers):
            channel = LocalChannel({"f": lambda x: x})
            for number in numbers:
                Subject(channel).f(number)
            return channel.exchanges

        channel = worker.exercise("")
        channel.expect([reference(1, 2), reference(2, 3, 9), reference(1, 9)])
        student = Subject(channel)
        assert channel.answers_as_expected(0)
        assert not channel.answers_as_expected(1)
        assert [student.f(2), student.f(3), student.f(9)] == [2, 4, 5]  # what came, and the next
        assert not channel.answers_as_expected(2)
        assert [student.f(1), student.f(7)] == [1, 8]
        channel.expect([reference(2, 5)])
        assert not channel.answers_as_expected(0)
        assert student.f(2) == 2
        with pytest.raises(Lost, match="ended its process"):
            student.f(5)
        channel.close()


def test_an_exercise_that_ends_its_process_does_not_end_the_next(sandbox):
    with sandbox.worker(0) as worker:
        worker.run_cell("import os\ndef f(): os._exit(1)\ndef g(): return 'g'")
        channel = worker.exercise("")
        with pytest.raises(Lost):
            Subject(channel).f()
        channel.close()
        channel = worker.exercise("")
        assert Subject(channel).g() == "g"
        channel.close()


def test_an_exercise_starts_no_program(sandbox):
    with sandbox.worker(0) as worker:
        assert not worker.run_cell(
            "import os, subprocess\nsubprocess.run(['true'], check=True)"
        ).error
        worker.run_cell("def f(): return subprocess.run(['true']).returncode")
        channel = worker.exercise("")
        with pytest.raises(StudentError, match="not permitted"):
            Subject(channel).f()
        channel.close()


def test_what_is_removed_is_gone_before_the_first_cell_and_definitions_count(sandbox):
    cell = """
import torch
before = torch.nn.functional.conv2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 1, 1))
def f():
    return torch.nn.functional.conv2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 1, 1)).sum().item()
def g(): return "defined"
"""
    with sandbox.worker(0) as worker:
        worker.run_cell(cell)
        channel = worker.exercise("")
        assert (Subject(channel).f(), Subject(channel).g()) == (4, "defined")
        channel.close()
    with sandbox.worker(0, without="conv") as worker:
        assert not worker.run_cell(cell).error
        channel = worker.exercise("")
        with pytest.raises(StudentError, match="TypeError"):
            Subject(channel).f()
        assert Subject(channel).g() == "defined"
        channel.close()


def test_an_answer_past_its_time_is_a_timeout(sandbox):
    with limited(sandbox, call_seconds=0.5), sandbox.worker(0) as worker:
        worker.run_cell("def f():\n    while True: pass")
        channel = worker.exercise("")
        with pytest.raises(Lost) as caught:
            Subject(channel).f()
        channel.close()
    assert caught.value.kind == "timeout"


def test_a_worker_that_ends_when_it_is_to_fork_took_no_time(sandbox):
    with sandbox.worker(0) as worker:
        worker.run_cell("import os\nos.register_at_fork(before=lambda: os._exit(1))")
        with pytest.raises(Lost) as caught:
            worker.exercise("")
    assert caught.value.kind == "crash"


def test_waiting_for_a_processor_counts_for_no_call(sandbox):
    burn = (
        "import time\ndef f():\n    until = time.process_time() + 1.0\n"
        "    while time.process_time() < until: pass\n    return 1"
    )
    others = []
    try:
        with limited(sandbox, call_seconds=1.5), sandbox.worker(0) as worker:
            worker.run_cell(burn)
            channel = worker.exercise("")
            busy = [sys.executable, "-c", "while True: pass"]
            others += [subprocess.Popen(busy, start_new_session=True) for _ in range(BUSY)]
            started = time.monotonic()
            assert Subject(channel).f() == 1
            assert time.monotonic() - started > 1.5  # else nothing was shown
            channel.close()
    finally:
        for other in others:
            other.kill()
            other.wait()


def test_too_large_an_answer_says_so(sandbox):
    with sandbox.worker(0) as worker:
        worker.run_cell("import torch\ndef f(): return torch.zeros(1).expand(2**31)")
        channel = worker.exercise("")
        with pytest.raises(StudentError, match="AnswerTooLarge"):
            Subject(channel).f()
        channel.close()


# Which isolation.


def test_the_report_names_the_isolation_in_force(sandbox, convolution):
    report = grade(b"no notebook", convolution, sandbox=sandbox)
    assert report.isolation["name"] == sandbox.isolation
    assert "no capabilities" in report.isolation["features"]
    assert "seccomp" in report.isolation["features"]


def test_auto_is_the_strongest_that_starts():
    for name in client.STRONGEST_FIRST:
        with contextlib.suppress(IsolationUnavailable), open_sandbox(name):
            break
    else:
        pytest.skip("this machine has no isolation")
    with open_sandbox("auto") as opened:
        assert opened.isolation == name


def test_what_cannot_be_had_is_said(monkeypatch):
    monkeypatch.setattr(client, "_bubblewrap", lambda _: ["gradus-no-such-program"])
    with pytest.raises(IsolationUnavailable, match="bubblewrap: .* is not installed"):
        Sandbox(Path("/"), "bubblewrap")


def test_without_isolation_the_limits_still_hold():
    with open_sandbox("none", Limits(cell_seconds=0.7, memory_bytes=256 * 2**20)) as opened:
        assert opened.isolation == "none"
        assert "seccomp" not in opened.features
        assert shown(run(opened, "1 + 1")) == "2"
        with pytest.raises(Lost, match="longer"):
            run(opened, "while True: pass")
        assert "MemoryError" in refused(opened, "x = bytearray(400 * 2**20)")
