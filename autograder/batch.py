"""Many submissions: who handed in what, and the grading of all of them, in parallel where asked.

Every student gets a Report: who handed in nothing, and whose submission could not be graded, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import cast

import msgspec
import torch

from autograder.assignment import Assignment
from autograder.grade import grade_with_outputs, open_sandbox
from autograder.report import ExerciseResult, Fault, Graded, Report
from autograder.sandbox import isolation as system
from autograder.sandbox.client import IsolationChoice, IsolationUnavailable, Sandbox
from autograder.sandbox.parent import IsolationName
from autograder.store import Store
from autograder.submission import UnreadableNotebook, bytes_of

ATTEMPTS = 3  # so often a submission is begun whose grading process is killed
ENDING_SECONDS = 10.0


class NothingToGrade(ValueError):
    """A path holds no submissions; the message says what was looked for."""


@dataclass(frozen=True)
class Entry:
    """A student, and the notebook that they handed in: its path or bytes, why it could not be
    read, or None where there is none. `note` says what was unusual about it."""

    student: str
    notebook: Path | bytes | UnreadableNotebook | None
    note: str = ""


# --- Who handed in what --------------------------------------------------------------------------


def find_submissions(paths: Iterable[Path], assignment: str) -> list[Entry]:
    """The submissions that the paths name, in order; in a folder, one for every student.

    A path is a notebook, or a folder in nbgrader's layout, STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb,
    at any of its levels. Where two students have the same name, their paths tell them apart.
    Raises NothingToGrade.
    """
    entries = []
    for given in paths:
        path = Path(os.path.abspath(given))
        if os.path.isdir(path) and not path.name.endswith(".ipynb"):
            entries += _in_folder(path, assignment, _readable(str(given)))
        elif os.path.lexists(path):
            in_layout = path.parent.name == assignment
            student = path.parent.parent.name if in_layout else path.stem
            entries.append(Entry(_readable(student), path))
        else:
            raise NothingToGrade(f"there is no {_readable(str(given))}")
    names = Counter(entry.student for entry in entries)
    return [
        replace(entry, student=_readable(str(entry.notebook)))
        if names[entry.student] > 1 and entry.notebook is not None
        else entry
        for entry in entries
    ]


def _in_folder(folder: Path, assignment: str, called: str) -> list[Entry]:
    if folder.name == assignment:
        return [handed_in(folder.parent.name, folder, assignment)]
    if os.path.lexists(folder / assignment):
        return [handed_in(folder.name, folder / assignment, assignment)]
    if os.path.isdir(folder / "submitted"):
        raise NothingToGrade(f"{called} is a whole course: name its folder submitted")
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise NothingToGrade(f"{called} can't be read: {error.strerror}") from None
    students = [n for n in names if os.path.isdir(folder / n) and not n.startswith(".")]
    entries = [handed_in(name, folder / name / assignment, assignment) for name in students]
    if all(entry.notebook is None and not entry.note for entry in entries):
        raise NothingToGrade(f"{called} holds no STUDENT/{assignment}/{assignment}.ipynb")
    return entries


def handed_in(student: str, folder: Path, assignment: str) -> Entry:
    """What lies in a student's folder, STUDENT/ASSIGNMENT: also a notebook under another name,
    where there is only one. What can't be read is left for grading to refuse."""
    student, expected = _readable(student), folder / f"{assignment}.ipynb"
    if os.path.islink(folder):
        return Entry(student, folder)
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return Entry(student, None)
    except OSError:
        return Entry(student, expected)
    if expected.name in names:
        return Entry(student, expected)
    others = sorted(n for n in names if n.lower().endswith(".ipynb") and not n.startswith("."))
    called = ", ".join(_readable(name) for name in others[:3])
    if len(others) == 1:
        note = f"The notebook was handed in as {called}, and not as {expected.name}."
        return Entry(student, folder / others[0], note)
    if others:
        note = f"There is no {expected.name}, and more than one other notebook: {called}."
        return Entry(student, None, note)
    return Entry(student, None)


def _readable(name: str) -> str:
    """A file name as text that can be written, whatever bytes it consists of."""
    return os.fsencode(name).decode("utf-8", "replace")


# --- Grading -------------------------------------------------------------------------------------


def available_processors() -> int:
    """The processors that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worthwhile_jobs(submissions: int) -> int:
    """A process for every processor, but none for fewer than eight submissions: starting one
    takes as long as grading so many."""
    return max(1, min(available_processors(), submissions // 8))


def grade_all(
    entries: Sequence[Entry],
    assignment: Assignment,
    *,
    jobs: int = 1,
    seed: int = 0,
    isolation: IsolationChoice = "auto",
    store: Store | None = None,
    force: bool = False,
    elsewhere: Elsewhere | None = None,
) -> Generator[tuple[int, Graded], None, None]:
    """Grades all entries: yields each one's index and Report, as they are done.

    With several `jobs`, in so many processes, each with a sandbox of its own; one that is killed
    is replaced and its submission begun anew. With `elsewhere`, it grades instead of this machine.
    Close the iterator to end them early.

    With a `store`, what cells put out is kept too, and results are kept there as they are done;
    what it holds already is not graded again, unless by `force`.

    Raises IsolationUnavailable, NoCluster, and OSError where the store can't be written.
    """
    waiting = []
    for index, entry in enumerate(entries):
        if entry.notebook is None:
            yield index, Graded(_missing(entry, assignment, seed))
        elif not force and (kept := _kept(entry, store)):
            yield index, noted(kept, entry)
        else:
            waiting.append(index)
    grading = Grading(assignment.name, seed, isolation, keep_outputs=store is not None)
    if elsewhere is not None and waiting:
        results = elsewhere(entries, waiting, assignment, grading)
    elif min(jobs, len(waiting)) > 1:
        results = _grade_in_processes(entries, waiting, assignment, jobs, grading)
    else:
        results = _grade_here(entries, waiting, assignment, grading)
    with contextlib.closing(results):
        for index, graded in results:
            if store is not None and graded.report.status == "graded":
                store.put(store.key(graded.report.submission), graded)
            yield index, noted(graded, entries[index])


def _kept(entry: Entry, store: Store | None) -> Graded | None:
    submission = digest(entry) if store is not None else ""
    if store is None or not submission:
        return None
    kept = store.get(store.key(submission))
    if kept is not None:
        kept.report.student = entry.student
    return kept


def digest(entry: Entry) -> str:
    """The SHA-256 of an entry's notebook; "" where there is none, or none that can be read."""
    if entry.notebook is None:
        return ""
    try:
        data = bytes_of(entry.notebook)
    except UnreadableNotebook:
        return ""
    return hashlib.sha256(data).hexdigest()


def noted(graded: Graded, entry: Entry) -> Graded:
    """The same, with what was unusual about the entry as its first fault."""
    if entry.note and entry.notebook is not None:
        graded.report.faults.insert(0, Fault("notebook", "", entry.note))
    return graded


def _grade_here(
    entries: Sequence[Entry], indices: Iterable[int], assignment: Assignment, grading: Grading
) -> Generator[tuple[int, Graded], None, None]:
    with Grader(assignment, grading) as grader:
        for index in indices:
            yield index, grader.grade(entries[index])


@dataclass(frozen=True)
class Grading:
    """What is graded for, and how."""

    assignment: str
    seed: int = 0
    isolation: IsolationChoice = "auto"
    keep_outputs: bool = False
    isolated: bool = False  # the isolation was had before, for the same submissions


class NoCluster(RuntimeError):
    """What grades elsewhere can't, or not any more; the message says why, and what to do."""


# Grades the entries at the indices, and yields as grade_all does.
Elsewhere = Callable[
    [Sequence[Entry], Sequence[int], Assignment, Grading],
    Generator[tuple[int, Graded], None, None],
]


class Grader:
    """Grades one submission after another in one sandbox, and in a fresh one where that failed.

    A context manager. The sandbox is opened by the first submission.
    """

    def __init__(self, assignment: Assignment, grading: Grading) -> None:
        # The tensors are small: threads would only cost, and with several jobs fight over cores.
        torch.set_num_threads(1)
        self._assignment = assignment
        self._grading = grading
        self._asked = grading.isolation
        self._stack = contextlib.ExitStack()
        self._sandbox: Sandbox | None = None

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the sandbox."""
        self._sandbox = None
        self._stack.close()

    def turn_to(self, assignment: Assignment, grading: Grading) -> None:
        """Grades for something else from now on; the sandbox stays, where it serves."""
        asked = grading.isolation
        if asked == self._asked:  # and what was had for that, once, is kept to
            had = self._grading
            grading = replace(grading, isolation=had.isolation, isolated=had.isolated)
        else:
            self.close()
        self._assignment, self._grading, self._asked = assignment, grading, asked

    def sandbox(self) -> Sandbox:
        """The sandbox, opened where it is not. Raises IsolationUnavailable."""
        if self._sandbox is None:
            opened = open_sandbox(self._grading.isolation)
            self._sandbox = self._stack.enter_context(opened)
            # From now on no weaker one will do, whatever happens to this one.
            isolation = self._sandbox.isolation
            self._grading = replace(self._grading, isolation=isolation, isolated=True)
        return self._sandbox

    def grade(self, entry: Entry) -> Graded:
        """The Report of an entry that has a notebook, whatever happens.

        Raises IsolationUnavailable where no sandbox was to be had yet.
        """
        assert entry.notebook is not None
        graded = None
        for attempt in (1, 2):
            try:
                graded = grade_with_outputs(
                    entry.notebook,
                    self._assignment,
                    sandbox=self.sandbox(),
                    seed=self._grading.seed,
                    student=entry.student,
                )
                if not self._grading.keep_outputs:
                    graded.outputs = {}
                msgspec.json.encode(graded)  # what can't be written is none
                break
            except Exception as error:
                if isinstance(error, IsolationUnavailable) and not self._grading.isolated:
                    raise
                # Ours, not the submission's: perhaps a fresh sandbox helps.
                self.close()
                if attempt == 2:
                    place = traceback.extract_tb(error.__traceback__)[-1]
                    reason = (
                        f"the grader failed twice ({type(error).__name__}: {error}, in "
                        f"{Path(place.filename).name}, line {place.lineno})"
                    )
                    graded = Graded(
                        _not_graded(entry, self._assignment, self._grading.seed, reason)
                    )
        assert graded is not None
        return graded


def _missing(entry: Entry, assignment: Assignment, seed: int) -> Report:
    reason = entry.note or "No notebook was handed in."
    return _ungraded(entry, assignment, seed, "", Fault("notebook", "", reason))


def _not_graded(entry: Entry, assignment: Assignment, seed: int, reason: str) -> Report:
    data = b""
    if entry.notebook is not None:
        with contextlib.suppress(UnreadableNotebook, OSError):
            data = bytes_of(entry.notebook)
    message = f"Not graded: {reason}. The score of 0 says nothing about it; grade it again."
    digest = hashlib.sha256(data).hexdigest()
    return _ungraded(entry, assignment, seed, digest, Fault("crash", "", message))


def given_up(entry: Entry, assignment: Assignment, seed: int, attempts: int, how: str) -> Graded:
    """The result of a submission that was begun so often, and whose grading process ended."""
    reason = f"the process that grades it ended {attempts} times {how}"
    return Graded(_not_graded(entry, assignment, seed, reason))


def _ungraded(entry: Entry, assignment: Assignment, seed: int, digest: str, fault: Fault) -> Report:
    exercises = [
        ExerciseResult(exercise.name, 0, assignment.points(exercise.name), [])
        for exercise in assignment.exercises
    ]
    return Report(
        assignment=assignment.name,
        student=entry.student,
        submission=digest,
        score=0,
        max_score=sum(exercise.max_score for exercise in exercises),
        exercises=exercises,
        faults=[fault],
        isolation={},
        versions={},
        seed=seed,
        seconds=0.0,
    )


# --- In several processes ------------------------------------------------------------------------


@dataclass
class Helper:
    """A process that grades, and what it has in hand: an index, and None after its last."""

    process: SpawnProcess
    pipe: Connection
    index: int | None = None


@dataclass
class Helpers:
    """Processes that grade; a context manager that ends them all."""

    folder: str
    running: list[Helper] = field(default_factory=list)

    def __enter__(self) -> Helpers:
        return self

    def __exit__(self, *_: object) -> None:
        for helper in self.running:
            helper.pipe.close()  # which ends it, where it has nothing in hand
            if helper.index is not None:
                helper.process.terminate()
        for helper in self.running:
            helper.process.join(ENDING_SECONDS)
            helper.process.kill()
            helper.process.join()

    def start(self, grading: Grading) -> Helper:
        """Starts one more; Ctrl-C can't reach it before it is deaf to it."""
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_help, args=(theirs, grading, self.folder), daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
            helper = Helper(process, ours)
            self.running.append(helper)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        return helper

    def lost(self, helper: Helper) -> str:
        """Takes a process that has ended out of the list; says how it ended."""
        self.running.remove(helper)
        helper.pipe.close()
        helper.process.join()
        code = helper.process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def _grade_in_processes(
    entries: Sequence[Entry],
    indices: Iterable[int],
    assignment: Assignment,
    jobs: int,
    grading: Grading,
) -> Generator[tuple[int, Graded], None, None]:
    waiting = deque(indices)
    begun: Counter[int] = Counter()
    # What a killed process leaves behind lies in this folder, and goes with it.
    with (
        tempfile.TemporaryDirectory(prefix="gradus-batch-", ignore_cleanup_errors=True) as folder,
        Helpers(folder) as helpers,
    ):
        Path(folder).chmod(0o711)  # workers may be another user
        while True:
            while waiting and len(helpers.running) < jobs:
                helper = helpers.start(grading)
                _hand_out(helper, entries, waiting, begun)
            busy = {helper.pipe: helper for helper in helpers.running if helper.index is not None}
            if not busy:
                return
            for pipe in wait(list(busy)):
                assert isinstance(pipe, Connection)
                helper = busy[pipe]
                index = helper.index
                assert index is not None
                try:
                    answer: Graded | IsolationUnavailable = pipe.recv()
                except (EOFError, OSError):
                    how = helpers.lost(helper)
                    if begun[index] < ATTEMPTS:
                        waiting.append(index)
                        continue
                    how = f"({how}); perhaps the machine's memory is full, then fewer --jobs help"
                    yield index, given_up(entries[index], assignment, grading.seed, ATTEMPTS, how)
                    continue
                if isinstance(answer, IsolationUnavailable):
                    if not grading.isolated:
                        raise answer
                    report = _not_graded(entries[index], assignment, grading.seed, str(answer))
                    answer = Graded(report)
                if answer.report.status == "graded":  # what it had, later ones must have
                    name = cast("IsolationName", answer.report.isolation["name"])
                    grading = replace(grading, isolation=name, isolated=True)
                _hand_out(helper, entries, waiting, begun)
                yield index, answer


def _hand_out(
    helper: Helper, entries: Sequence[Entry], waiting: deque[int], begun: Counter[int]
) -> None:
    helper.index = waiting.popleft() if waiting else None
    if helper.index is not None:
        begun[helper.index] += 1
        with contextlib.suppress(OSError):  # it was killed, as its answer will show
            helper.pipe.send(entries[helper.index])


def _help(pipe: Connection, grading: Grading, folder: str) -> None:
    """What a helping process does: grades what it is handed until the pipe is closed."""
    os.setsid()  # Ctrl-C is for the process that started us
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # also one that has come before
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    tempfile.tempdir = folder
    started_us = multiprocessing.parent_process()
    assert started_us is not None
    if sys.platform == "linux":
        system.prctl(system.PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        with (
            contextlib.suppress(EOFError, OSError),
            Grader(Assignment(grading.assignment), grading) as grader,
        ):
            while started_us.is_alive():  # it may have ended before its end could be told us
                entry: Entry = pipe.recv()
                try:
                    pipe.send(grader.grade(entry))
                except IsolationUnavailable as error:
                    pipe.send(error)
    finally:
        if not started_us.is_alive():
            shutil.rmtree(folder, ignore_errors=True)
