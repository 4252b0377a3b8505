"""Faults: whatever the machine ends, starves or holds up while a class is graded, and whenever,
nothing is lost or doubled, and no result is another than without it.

Each test draws its faults from a number. What happened is kept in pytest's cache, so that a long
campaign may run in parts: `python -m tests.test_faults` prints it as the table of docs/faults.md.
"""

import contextlib
import gc
import hashlib
import json
import mmap
import multiprocessing
import os
import random
import resource
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import msgspec
import psutil
import pytest

from autograder import batch
from autograder.adapters.nbgrader import _lives, _process
from autograder.batch import Entry, grade_all
from autograder.checks.hidden import convolution as convolution_checks
from autograder.grade import grade_with_outputs, open_sandbox
from autograder.report import Report
from autograder.sandbox import client
from autograder.sandbox import isolation as system
from autograder.sandbox.client import ExerciseChannel, IsolationUnavailable, Sandbox, Worker
from autograder.sandbox.messages import Limits
from autograder.store import Store
from tests.test_record import (
    MUTANT,
    NAME,
    environment,
    gradebook_of,
    gradus,
    notebook,
    recorded_files,
    results,  # noqa: F401  a fixture
    run,
    template,  # noqa: F401  a fixture
)

pytestmark = pytest.mark.xdist_group("faults")
TABLE = "faults"  # in pytest's cache
PROCESSES = 60  # more than two graders ever have under them, with those that are just dying
FILES = 40
ENDING_SECONDS = 60.0
YEARS = 3600 * 24 * 365


# --- The faults ----------------------------------------------------------------------------------

MACHINE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile struct { long clock, full, refused; } *shared;

__attribute__((constructor)) static void begin(void) {
    int fd = open(getenv("FAULTS_FILE"), O_RDWR);
    void *at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) shared = at;
    close(fd);
}
int clock_gettime(clockid_t id, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, id, at);
    if (!failed && id == CLOCK_REALTIME && shared) at->tv_sec += shared->clock;
    return failed;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return at ? *at = now.tv_sec : now.tv_sec;
}
int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
static int full(int fd) {
    struct stat file;
    if (!shared || !shared->full || fstat(fd, &file) || !S_ISREG(file.st_mode)) return 0;
    __sync_fetch_and_add(&shared->refused, 1);
    errno = ENOSPC;
    return 1;
}
ssize_t write(int fd, const void *data, size_t size) {
    return full(fd) ? -1 : syscall(SYS_write, fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return full(fd) ? -1 : syscall(SYS_pwrite64, fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
    return full(fd) ? -1 : syscall(SYS_pwrite64, fd, data, size, at);
}
"""


class Machine:
    """A wall clock that jumps and a disk that is full, for processes that preload a library."""

    def __init__(self, folder: Path) -> None:
        library, file, source = (folder / f"machine.{end}" for end in ("so", "data", "c"))
        source.write_text(MACHINE)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        file.write_bytes(bytes(4096))
        self.environment = {"LD_PRELOAD": str(library), "FAULTS_FILE": str(file)}
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), 4096)

    def clock_jumps(self, seconds: int) -> None:
        self._shared[:8] = struct.pack("q", seconds)

    def disk_is_full(self, full: bool) -> None:
        self._shared[8:16] = struct.pack("q", full)

    @property
    def refused(self) -> int:
        """How many writes found the disk full."""
        return int(struct.unpack("q", self._shared[16:24])[0])


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Machine:
    if not shutil.which("cc"):
        pytest.skip("no C compiler, with which the clock is made to jump and the disk to be full")
    return Machine(tmp_path_factory.mktemp("machine"))


def children(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            found += Path(f"/proc/{pid}/task/{task}/children").read_text().split()
    return [int(child) for child in found]


def generations(pid: int) -> list[list[int]]:
    """A process, its children, their children, and so on."""
    found = [[pid]]
    while found[-1]:
        found.append([child for each in found[-1] for child in children(each)])
    return found[:-1]


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return False


def killed(pid: int) -> bool:
    """Whether this killed the process, and nothing before."""
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if is_alive(pid):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                return bool(select.select([handle], [], [], ENDING_SECONDS)[0])
        finally:
            os.close(handle)
    return False


LEVELS = {  # of the processes under a grader
    "namespaces": ["grader", "warm parent", "warm parent", "guard", "init", "worker", "exercise"],
    "landlock": ["grader", "warm parent", "guard", "init", "worker", "exercise"],
}
WEIGHTS = {
    "worker": 6,
    "exercise": 6,
    "guard": 4,
    "init": 3,
    "warm parent": 2,
    "grader": 1,
    "memory": 1,
}
CLOCK_JUMPS = 0.4  # of the submissions, beside the other fault


class Storm:
    """Inflicts a fault on each submission that a grading process is handed, at a random moment:
    not two, since what happens twice in the same place is taken for the submission's own doing."""

    def __init__(self, draw: random.Random, machine: Machine, levels: list[str]) -> None:
        self._draw, self._machine, self._levels = draw, machine, levels
        self._in_hand: dict[int, object] = {}
        self._threads: list[threading.Thread] = []
        self.struck: list[tuple[str, int]] = []  # the faults that happened, and on whose grading
        self.processes = self.files = 0  # the most that there were

    def handed_out(self, pid: int, index: int) -> None:
        """A grading process has been handed a submission."""
        starts = pid not in self._in_hand
        self._in_hand[pid] = token = object()
        (kind,) = self._draw.choices(list(WEIGHTS), list(WEIGHTS.values()))
        for each in [kind, *["clock"] * (self._draw.random() < CLOCK_JUMPS)]:
            delay = self._draw.uniform(0, 6.0 if starts else 0.5)
            arguments = (each, pid, index, token, delay, self._draw.random())
            thread = threading.Thread(target=self._strike, args=arguments)
            self._threads.append(thread)
            thread.start()
        self.processes = max(self.processes, sum(map(len, generations(os.getpid()))))
        with contextlib.suppress(OSError):
            self.files = max(self.files, len(os.listdir(f"/proc/{pid}/fd")))

    def end(self) -> None:
        self._in_hand.clear()
        for thread in self._threads:
            thread.join()

    def _strike(
        self, kind: str, pid: int, index: int, token: object, delay: float, part: float
    ) -> None:
        time.sleep(delay)
        while self._in_hand.get(pid) is token:
            if self._inflict(kind, pid, part):
                self.struck.append((kind, index))
                return
            time.sleep(0.005)  # until there is such a process

    def _inflict(self, kind: str, pid: int, part: float) -> bool:
        if kind == "clock":
            if self._machine.environment["LD_PRELOAD"] not in maps(pid):
                return False
            self._machine.clock_jumps(int((2 * part - 1) * 20 * YEARS))
            return True
        if kind == "memory":
            return starved(pid, 2 * part)
        levels = zip(self._levels, generations(pid), strict=False)
        victims = [process for level, found in levels if level == kind for process in found]
        return bool(victims) and killed(victims[int(part * len(victims))])


def maps(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/maps").read_text()
    return ""


def starved(pid: int, seconds: float) -> bool:
    """Whether the process had no more memory to be had than it has, for so long."""
    with contextlib.suppress(OSError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
        bound = pages * resource.getpagesize()
        if bound:  # else it has ended
            before = resource.prlimit(pid, resource.RLIMIT_AS, (bound, resource.RLIM_INFINITY))
            time.sleep(seconds)
            with contextlib.suppress(OSError):
                resource.prlimit(pid, resource.RLIMIT_AS, before)
            return True
    return False


# --- What must hold ------------------------------------------------------------------------------


@contextlib.contextmanager
def nothing_left(folder: Path) -> Iterator[None]:
    """Fails where a process, an open file or a temporary folder outlives the block."""
    resource_tracker.ensure_running()
    gc.collect()
    before, files = children(os.getpid()), os.listdir("/proc/self/fd")
    system.prctl(system.PR_SET_CHILD_SUBREAPER, 1)  # orphans come to us
    try:
        yield
        deadline = time.monotonic() + ENDING_SECONDS
        while (left := set(children(os.getpid())) - set(before)) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(0.02)
    finally:
        system.prctl(system.PR_SET_CHILD_SUBREAPER, 0)
    assert [maps(pid) and Path(f"/proc/{pid}/cmdline").read_text() for pid in left] == []
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= len(files)
    assert list(folder.glob("gradus-*")) == []  # torch keeps a folder of its own


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Path:
    """The folder in which all temporary files are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def keep(request) -> Iterator[dict[str, Counter[str]]]:
    """What a test did, by kind of fault: how many were injected, how many of the submissions (or
    runs) concerned were done by the next run only, what was lost, and what doubled."""
    rows: dict[str, Counter[str]] = {}
    yield rows
    request.config.cache.set(f"{TABLE}/{request.node.name}", rows)


SIZES = [pytest.param(0, 5), *(pytest.param(n, 60, marks=pytest.mark.slow) for n in range(1, 21))]


@pytest.fixture
def levels(sandbox) -> list[str]:
    if sandbox.isolation not in LEVELS:
        pytest.skip(f"the processes of {sandbox.isolation} are not told apart here")
    return LEVELS[sandbox.isolation]


@pytest.fixture(scope="module")
def kinds(convolution) -> list[bytes]:
    """Notebooks that grading treats differently; the first are the most frequent in a class."""
    return [
        notebook(convolution),
        notebook(convolution, conv2d=MUTANT),
        notebook(convolution, quiz="import os\nos._exit(1)"),
        convolution.release_path.read_bytes(),
        b"no notebook",
    ]


def variant(data: bytes, number: int) -> bytes:
    """The same notebook as other bytes, as every student hands in their own."""
    if data.startswith(b"{"):
        content = json.loads(data)
        content["metadata"]["student"] = number
        return json.dumps(content).encode()
    return data + b"%d" % number


@pytest.fixture(scope="module")
def undisturbed(kinds, convolution, sandbox) -> list[batch.Graded]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "open_sandbox", lambda _: contextlib.nullcontext(sandbox))
        entries = [Entry("", data) for data in kinds]
        grading = batch.Grading(NAME, keep_outputs=True)
        with batch.Grader(convolution, grading) as grader:
            return [grader.grade(entry) for entry in entries]


def is_graded(graded: batch.Graded) -> bool:
    return graded.report.status == "graded"


def without_times(graded: batch.Graded) -> batch.Graded:
    return batch.Graded(graded.report.without_times(), graded.outputs)


def as_if(graded: batch.Graded, entry: Entry) -> batch.Graded:
    """A result as if it were the entry's, whose notebook is the same but for its bytes."""
    digest = hashlib.sha256(entry.notebook).hexdigest()
    report = msgspec.structs.replace(graded.report, student=entry.student, submission=digest)
    return without_times(batch.Graded(report, graded.outputs))


# --- One fault, at a place that is known ----------------------------------------------------------


PLACES = [
    *((victim, "exercise") for victim in ("worker", "exercise", "guard", "init", "warm parent")),
    *((victim, "cell") for victim in ("worker", "warm parent")),
]


@pytest.mark.parametrize(("victim", "place"), PLACES)
def test_a_process_that_the_machine_ends_costs_no_point(
    victim, place, convolution, kinds, undisturbed, sandbox, levels, monkeypatch
):
    calls = Counter()

    def kill_first(method):
        def killing(self, *arguments):
            calls["all"] += 1
            if calls["all"] == 3:
                under = zip(levels[1:], generations(parent), strict=False)
                (pid,) = [found[-1] for level, found in under if level == victim][-1:]
                calls["killed"] += killed(pid)
            return method(self, *arguments)

        return killing

    with sandbox.worker(0):  # which starts the warm parent where another test has ended it
        parent = sandbox._process.pid
    at, name = (Worker, "run_cell") if place == "cell" else (ExerciseChannel, "ask")
    monkeypatch.setattr(at, name, kill_first(getattr(at, name)))
    entry = Entry("ada", kinds[0])
    graded = grade_with_outputs(entry.notebook, convolution, sandbox=sandbox, student="ada")
    assert calls["killed"] == 1
    assert without_times(graded) == as_if(undisturbed[0], entry)


def test_what_a_submission_does_itself_is_looked_at_twice_and_counts(kinds, undisturbed):
    report = undisturbed[2].report
    assert [(fault.kind, fault.where) for fault in report.faults] == [("crash", "quiz")]
    assert 0 < report.score < 100


def test_a_warm_parent_killed_while_it_starts_does_not_weaken_the_isolation(
    convolution, sandbox, monkeypatch, scratch
):
    class Killed(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)
            if len(started) == 1:
                self.kill()

    started: list[Killed] = []
    monkeypatch.setattr(client.subprocess, "Popen", Killed)
    with nothing_left(scratch), batch.Grader(convolution, batch.Grading(NAME)) as grader:
        report = grader.grade(Entry("ada", b"no notebook")).report
    assert len(started) == 2
    assert report.isolation["name"] == sandbox.isolation


def test_isolation_that_is_refused_after_it_was_had_ends_nothing(convolution, monkeypatch):
    def refuse(isolation):
        raise IsolationUnavailable("not now")

    monkeypatch.setattr(batch, "open_sandbox", refuse)
    with batch.Grader(convolution, batch.Grading(NAME, isolated=True)) as grader:
        report = grader.grade(Entry("ada", b"no notebook")).report
    assert report.status == "failed"
    assert "not now" in report.faults[0].message


def test_ctrl_c_while_the_warm_parent_starts_leaves_nothing(convolution, monkeypatch, scratch):
    def interrupt(self, name):
        start(self, name)
        raise KeyboardInterrupt

    start = Sandbox._start
    monkeypatch.setattr(Sandbox, "_start", interrupt)
    with nothing_left(scratch), batch.Grader(convolution, batch.Grading(NAME)) as grader:
        with pytest.raises(KeyboardInterrupt):
            grader.grade(Entry("ada", b"no notebook"))
        del grader


def test_no_room_for_temporary_files_is_told_and_ends_nothing(
    convolution, sandbox, monkeypatch, kinds
):
    def open_where_there_is_room(isolation):
        tries.append(isolation)
        if len(tries) <= 2:
            raise OSError(28, "No space left on device")
        return contextlib.nullcontext(sandbox)

    tries: list[str] = []
    monkeypatch.setattr(batch, "open_sandbox", open_where_there_is_room)
    entries = [Entry("ada", kinds[-1]), Entry("ben", kinds[-1])]
    ada, ben = [graded.report for _, graded in grade_all(entries, convolution)]
    assert (ada.status, ben.status) == ("failed", "graded")
    assert "No space left on device" in ada.faults[0].message


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_grader_without_memory_blames_no_submission(
    error, convolution, kinds, undisturbed, sandbox, monkeypatch
):
    def without_memory_once(*arguments, **options):
        if not failed:
            failed.append(error)
            raise error
        return expect_close(*arguments, **options)

    failed: list[Exception] = []
    expect_close = convolution_checks.expect_close
    monkeypatch.setattr(convolution_checks, "expect_close", without_memory_once)
    monkeypatch.setattr(batch, "open_sandbox", lambda _: contextlib.nullcontext(sandbox))
    entry = Entry("ada", kinds[0])
    ((_, graded),) = grade_all([entry], convolution)
    assert failed
    assert graded.report.without_times() == as_if(undisturbed[0], entry).report


def test_a_clock_that_jumps_makes_no_living_process_a_dead_one(monkeypatch):
    us, boot = _process(os.getpid()), psutil.boot_time()
    assert _lives(us)
    monkeypatch.setattr("psutil._psplatform.boot_time", lambda: boot + 3600)
    assert _lives(us)
    assert not _lives(us + "1")


def test_a_gradus_that_is_killed_leaves_no_process_and_no_folder(kinds, tmp_path, scratch):
    for student in ("ada", "ben"):
        folder = tmp_path / "submitted" / student / NAME
        folder.mkdir(parents=True)
        (folder / f"{NAME}.ipynb").write_bytes(kinds[0])
    with nothing_left(scratch):
        process = subprocess.Popen(
            gradus(tmp_path, "--jobs", "2"), env=environment(), stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not list(scratch.glob("gradus-batch-*")):
            time.sleep(0.05)
        process.kill()
        assert process.wait() == -signal.SIGKILL


# --- Graders that are struck while they grade ----------------------------------------------------


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("number", "size"), SIZES)
def test_a_class_whose_graders_are_struck_gets_the_results_of_an_undisturbed_one(
    number, size, kinds, undisturbed, convolution, sandbox, levels, machine, scratch, tmp_path,
    monkeypatch, keep,
):  # fmt: skip
    draw = random.Random(number)
    of = [draw.choices(range(len(kinds)), [6, 4, 2, 1, 1])[0] for _ in range(size)]
    entries = [Entry(f"student-{i}", variant(kinds[kind], i)) for i, kind in enumerate(of)]
    storm = Storm(draw, machine, levels)
    hand_out = batch._hand_out

    def handed_out(helper, *arguments):
        hand_out(helper, *arguments)
        if helper.index is not None:
            storm.handed_out(helper.process.pid, helper.index)

    monkeypatch.setattr(batch, "_hand_out", handed_out)
    store = Store(tmp_path / "results", convolution)
    with nothing_left(scratch), pytest.MonkeyPatch.context() as patch:
        for name, value in machine.environment.items():
            patch.setenv(name, value)
        try:
            first = list(grade_all(entries, convolution, jobs=2, store=store))
        finally:
            storm.end()
    machine.clock_jumps(0)
    times = Counter(index for index, _ in first)
    failed = {index for index, graded in first if not is_graded(graded)}

    monkeypatch.setattr(batch, "open_sandbox", lambda _: contextlib.nullcontext(sandbox))
    again = dict(grade_all(entries, convolution, store=store))
    wrong = {
        index
        for index, graded in [*((i, g) for i, g in first if i not in failed), *again.items()]
        if without_times(graded) != as_if(undisturbed[of[index]], entries[index])
    }
    for kind, index in storm.struck:
        row = keep.setdefault(kind, Counter())
        lost = index not in times or index in wrong
        row.update(injected=1, later=index in failed, lost=lost, doubled=times[index] > 1)
    assert times == Counter(range(size))
    assert sorted(again) == list(range(size))
    for index in wrong:
        assert without_times(again[index]) == as_if(undisturbed[of[index]], entries[index])
    assert wrong == set()
    assert storm.processes <= PROCESSES
    assert storm.files <= FILES
    assert len(storm.struck) > size // 2


# --- Runs that are ended, or held up -------------------------------------------------------------

ENDINGS = {
    "gradus: SIGKILL": signal.SIGKILL,
    "gradus: SIGTERM": signal.SIGTERM,
    "gradus: Ctrl-C": signal.SIGINT,
    "gradus: SIGHUP": signal.SIGHUP,
}
HOLDUPS = ["disk full", "disk full for a while", "gradebook locked", "gradebook locked for a while"]
RUNS = [pytest.param(n, 8, marks=pytest.mark.slow) for n in range(1, 11)]


@pytest.fixture(scope="module")
def recorded(template, results, tmp_path_factory) -> tuple[list[tuple], dict[str, str], float]:  # noqa: F811
    """The gradebook and the graded notebooks of an undisturbed run, and how long it took."""
    course = Path(shutil.copytree(template, tmp_path_factory.mktemp("recorded") / "course"))
    started = time.monotonic()
    done = run(course, "--record", "--jobs", "2")
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    return gradebook_of(course), recorded_files(course), seconds


def disturbed(
    course: Path, kind: str, moment: float, seconds: float, machine: Machine
) -> tuple[bool, int]:
    """Runs gradus in a course with a fault at a moment: whether it happened, and the status."""
    refused = machine.refused
    process = subprocess.Popen(
        gradus(course, "--record", "--jobs", "2"),
        cwd=course,
        env={**environment(), **machine.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=as_in_a_terminal,
    )
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        happened = process.poll() is None
        if kind in ENDINGS:
            process.send_signal(ENDINGS[kind])
        elif kind.startswith("disk"):
            machine.disk_is_full(True)
        elif happened:
            happened = locked(course, process, None if kind.endswith("locked") else seconds)
        if kind.endswith("disk full for a while"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            machine.disk_is_full(False)
        said = process.communicate()[1]
    finally:
        machine.disk_is_full(False)
        process.kill()
        process.wait()
    if kind in ENDINGS:
        happened = process.returncode != 0
    if kind.startswith("disk"):
        happened = machine.refused > refused
    if kind not in ENDINGS or process.returncode == 130:
        assert "Traceback" not in said, said
    return happened, process.returncode


def as_in_a_terminal() -> None:
    """Hears what a shell's background jobs are deaf to."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def locked(course: Path, process: subprocess.Popen, seconds: float | None) -> bool:
    """Whether the gradebook was locked while the process ran: so long, or to its end."""
    database = sqlite3.connect(course / "gradebook.db", timeout=0.05, isolation_level=None)
    with contextlib.closing(database):
        while process.poll() is None:
            with contextlib.suppress(sqlite3.OperationalError):  # it has locked it itself
                database.execute("begin exclusive")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
                database.execute("rollback")
                return True
    return False


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("number", "faults"), RUNS)
def test_a_class_whose_runs_are_ended_or_held_up_is_recorded_as_by_an_undisturbed_run(
    number, faults, template, results, recorded, machine, scratch, tmp_path, keep,  # noqa: F811
):  # fmt: skip
    draw = random.Random(number)
    since: list[str] = []  # the faults since the course was whole

    def finish() -> None:
        reports = course / "reports.jsonl"
        done = run(course, "--record", "--jobs", "2", "--json", str(reports))
        assert done.returncode == 0, done.stderr
        rows, right = Counter(gradebook_of(course)), Counter(recorded[0])
        for kind in since:
            keep[kind].update(lost=(right - rows).total(), doubled=(rows - right).total())
        since.clear()
        assert (gradebook_of(course), recorded_files(course)) == recorded[:2]
        last = [Report.from_json(line) for line in reports.read_text().splitlines()]
        assert [each.student for each in last] == sorted(results)
        for report in last:
            assert report.without_times() == results[report.student].report.without_times()
        shutil.rmtree(course)

    course = tmp_path / "course"
    for _ in range(faults):
        if not course.exists():
            shutil.copytree(template, course)
            grades = number > 0 and draw.random() < 0.4  # else only recording is left to do
            if grades:
                shutil.rmtree(course / ".gradus")
        kind = draw.choice([*ENDINGS, *HOLDUPS])
        moment = draw.uniform(0.1, 1.0) * recorded[2] * (2 if grades else 1)
        seconds = draw.uniform(0.1, 4.0)
        with nothing_left(scratch):
            happened, status = disturbed(course, kind, moment, seconds, machine)
        right = {row for row in recorded[0] if row[2] is not None}
        assert {row for row in gradebook_of(course) if row[2] is not None} <= right
        if happened:
            since.append(kind)
            keep.setdefault(kind, Counter()).update(injected=1, later=status != 0)
        if status == 0:
            finish()
    if course.exists():
        finish()


# --- Many that hang ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_of_500_of_which_50_hang_all_get_the_result_that_they_would_alone(
    convolution, kinds, undisturbed, scratch, monkeypatch, keep
):
    limits = Limits(cell_seconds=2.0, call_seconds=3.0)
    spins = "while True: pass"
    hanging = [
        notebook(convolution, quiz=spins),
        notebook(convolution, receptive_field=f"def receptive_field(layers):\n    {spins}"),
    ]
    right, wrong = kinds[:2]
    of = [hanging[i % 20 // 10] if i % 10 == 3 else (right, wrong)[i % 2] for i in range(500)]
    entries = [Entry(f"student-{i}", variant(data, i)) for i, data in enumerate(of)]

    fork = multiprocessing.get_context("fork")  # so that graders have these limits, too
    monkeypatch.setattr(batch.multiprocessing, "get_context", lambda _: fork)
    monkeypatch.setattr(batch, "open_sandbox", lambda choice: open_sandbox(choice, limits))
    grading = batch.Grading(NAME)
    with batch.Grader(convolution, grading) as grader:
        expected = {data: grader.grade(Entry("", data)) for data in (right, wrong, *hanging)}
    assert [expected[data].report.score for data in (right, wrong)] == [100, 97]
    assert all("timeout" in {f.kind for f in expected[h].report.faults} for h in hanging)
    with nothing_left(scratch):
        done = list(grade_all(entries, convolution, jobs=2))
    assert sorted(index for index, _ in done) == list(range(500))
    for index, graded in done:
        assert without_times(graded) == as_if(expected[of[index]], entries[index])
    keep["notebook that hangs, among 500"] = Counter(injected=50)


# --- The table -----------------------------------------------------------------------------------


def table(folder: Path) -> list[str]:
    """What the tests did, by kind of fault, as Markdown."""
    sums: dict[str, Counter[str]] = {}
    for file in folder.iterdir():
        for kind, row in json.loads(file.read_text()).items():
            sums.setdefault(kind, Counter()).update(row)
            sums.setdefault("total", Counter()).update(row)
    columns = ("injected", "later", "lost", "doubled")

    def last(item: tuple[str, Counter[str]]) -> tuple[bool, str]:
        return item[0] == "total", item[0]

    rows = [
        [kind, *(f"{row[each]:d}" for each in columns)]
        for kind, row in sorted(sums.items(), key=last)
    ]
    head = ["fault", *columns]
    return [f"| {' | '.join(row)} |" for row in [head, ["---", *4 * ["--:"]], *rows]]


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    print("\n".join(table(root / ".pytest_cache" / "v" / TABLE)))
