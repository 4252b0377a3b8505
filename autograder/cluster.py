"""Grading on other machines: the same `grade`, in the workers of a dask.distributed cluster.

The first half runs where `gradus grade --cluster` was typed: it hands out one submission to each
worker at a time and takes the results as they come. The second half runs in the workers, each a
process with one thread, which keeps its sandbox, and so its warm parent, from one submission to
the next. Where a worker dies, the scheduler has its submission graded by another.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, get_worker, wait

from autograder.assignment import Assignment
from autograder.batch import Entry, Grader, Grading, NoCluster, given_up
from autograder.checks import TOPICS
from autograder.report import Graded
from autograder.sandbox.client import IsolationUnavailable
from autograder.store import PACKAGES, depends_on, differences
from autograder.submission import UnreadableNotebook, bytes_of

CONNECT_SECONDS = 10.0
ALONE_SECONDS = 60.0  # in which a worker may be started again, before we give up
POLL_SECONDS = 1.0
START_WORKERS = "start some with: dask worker ADDRESS --nworkers N --nthreads 1 --memory-limit 0"


@dataclass(frozen=True)
class Grounds:
    """What a worker's results rest on, besides the notebook, the seed and the isolation asked for:
    its code and packages, and the isolation that it has."""

    depends_on: dict[str, str]
    isolation: str


# --- Where the results go ------------------------------------------------------------------------


class Cluster:
    """The workers of a scheduler. A context manager; raises NoCluster where there are none."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._seen = time.monotonic()  # when there was a worker
        for name in ("distributed", "distributed.client"):  # what they log, our messages say
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        try:
            self._client = Client(address, timeout=CONNECT_SECONDS, name="gradus")
        except (OSError, ValueError, RuntimeError) as error:
            raise NoCluster(
                f"no scheduler answers at {address} ({_first_line(error)}); start one with: "
                "dask scheduler --port 8786"
            ) from None
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            self.close()
            raise NoCluster(f"{address} has no workers; {START_WORKERS}") from None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the cluster; the workers go on without us."""
        with contextlib.suppress(OSError, TimeoutError):
            self._client.close()

    def grade(
        self,
        entries: Sequence[Entry],
        indices: Sequence[int],
        assignment: Assignment,
        grading: Grading,
    ) -> Generator[tuple[int, Graded], None, None]:
        """Grades the entries of these indices; yields each with its result, as they are done.

        Raises NoCluster and IsolationUnavailable: before anything is graded where a worker differs
        from us or from another, later where one that differs has joined, or none is left.
        """
        grounds = self._common_grounds(assignment.name, grading)
        waiting = deque(indices)
        given: dict[Future[Any], int] = {}
        done: list[tuple[int, Future[Any]]] = []
        try:
            while waiting or given or done:
                free = max(len(self._workers()), 1) - len(given)
                for _ in range(min(free, len(waiting))):  # first: who takes results takes time
                    index = waiting.popleft()
                    entry = _portable(entries[index])
                    given[self._submit(_grade, entry, grading, grounds)] = index
                for index, future in done:
                    try:
                        yield index, self._result(future)
                    except KilledWorker as error:
                        how = "on the cluster; perhaps its memory is full, then fewer workers help"
                        times = error.allowed_failures + 1
                        yield index, given_up(entries[index], assignment, grading.seed, times, how)
                done = [(given.pop(future), future) for future in self._done(given)]
        finally:
            with contextlib.suppress(OSError, TimeoutError, CancelledError):
                self._client.cancel(list(given), force=True)

    def _common_grounds(self, assignment: str, grading: Grading) -> Grounds:
        """What the results of all workers rest on; raises where that is not the same."""
        several = [f"{worker} has {n}" for worker, n in self._workers().items() if n != 1]
        if several:
            raise NoCluster(
                "a worker grades one submission at a time, in one thread, and "
                f"{', '.join(several)}; start each with --nthreads 1"
            )
        asked = {self._submit(_grounds, grading, on=worker): worker for worker in self._workers()}
        found: dict[str, Grounds] = {}
        while asked:
            for future in self._done(asked):
                worker = asked.pop(future)
                found[worker] = self._result(future)
            # Who died meanwhile is not waited for: a successor is asked with its first submission.
            left = self._workers()
            asked = {future: worker for future, worker in asked.items() if worker in left}
        if not found:
            raise NoCluster(f"no worker of {self._address} has answered; {START_WORKERS}")
        (first, one), *_ = found.items()
        here = Grounds(depends_on(assignment), one.isolation)
        for worker, grounds in found.items():
            if grounds != here:
                raise NoCluster(_difference(worker, grounds, here, first))
        return here

    def _workers(self) -> dict[str, int]:
        """The workers' addresses, and how many threads each has."""
        try:
            return dict(self._client.nthreads())
        except (OSError, TimeoutError, CancelledError):
            raise self._scheduler_is_gone() from None

    def _submit(
        self, function: Callable[..., object], *arguments: object, on: str = ""
    ) -> Future[Any]:
        # A submission may have 32 MiB, and travels with the task, so that it outlives workers.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "64 MiB"}):
            return self._client.submit(
                function, *arguments, pure=False, workers=[on] if on else None
            )

    def _done(self, futures: Iterable[Future[Any]]) -> list[Future[Any]]:
        """Those that are done; waits for one, but only so long that what happens can be seen."""
        futures = list(futures)
        if not futures:
            return []
        try:
            with contextlib.suppress(TimeoutError):
                wait(futures, timeout=POLL_SECONDS, return_when="FIRST_COMPLETED")
        except CancelledError:
            raise self._scheduler_is_gone() from None
        if self._workers():
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > ALONE_SECONDS:
            raise NoCluster(
                f"all workers of {self._address} are gone. What is done is kept: run this again "
                f"when there are some; {START_WORKERS}"
            )
        return [future for future in futures if future.done()]

    def _result(self, future: Future[Any]) -> Any:
        try:
            answer = future.result()
        except CancelledError:
            raise self._scheduler_is_gone() from None
        except KilledWorker:
            raise
        except Exception as error:  # what a submission does is in its Report
            raise NoCluster(
                f"the cluster can't grade ({type(error).__name__}: {_first_line(error)}); start "
                "its scheduler and its workers where the same version of this grader is installed"
            ) from None
        if isinstance(answer, IsolationUnavailable | NoCluster):
            raise answer
        return answer

    def _scheduler_is_gone(self) -> NoCluster:
        return NoCluster(
            f"the scheduler at {self._address} is gone. What is done is kept: run this again when "
            "it is back"
        )


def _portable(entry: Entry) -> Entry:
    """The entry with its notebook's bytes in place of its path, which means nothing elsewhere."""
    assert entry.notebook is not None
    try:
        return replace(entry, notebook=bytes_of(entry.notebook))
    except UnreadableNotebook as error:
        return replace(entry, notebook=error)


def _difference(worker: str, grounds: Grounds, others: Grounds, other: str) -> str:
    """Why a worker's results would not be the others'."""
    if names := differences(grounds.depends_on, others.depends_on):
        both = [
            f"{name} {grounds.depends_on.get(name)} and not {others.depends_on.get(name)}"
            for name in names
            if name in ("python", *PACKAGES)
        ]
        what = "; ".join(both) or f"not the same: {', '.join(names[:3])}"
        more = f" and {len(names) - 3} more" if not both and len(names) > 3 else ""
        return (
            f"the worker {worker} has another grader than this one ({what}{more}); install the "
            "same version on both sides, then start the worker again"
        )
    return (
        f"the worker {worker} isolates submissions by {grounds.isolation}, and {other} by "
        f"{others.isolation}; choose what all have with --isolation"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


# --- In a worker ---------------------------------------------------------------------------------


def _grade(entry: Entry, grading: Grading, wanted: Grounds) -> Graded | Exception:
    """What a worker does with a submission. Refusals are returned: raised, they would be taken
    for the submission's."""
    grounds = _grounds(grading)
    if isinstance(grounds, IsolationUnavailable):
        return grounds
    if grounds != wanted:
        return NoCluster(_difference(get_worker().address, grounds, wanted, "the others"))
    try:
        return _grader(grading).grade(entry)
    except IsolationUnavailable as error:  # a fresh sandbox was needed, and could not be had
        return error


def _grounds(grading: Grading) -> Grounds | IsolationUnavailable:
    """What this worker's results rest on; opens its sandbox, where it is not."""
    try:
        sandbox = _grader(grading).sandbox()
    except IsolationUnavailable as error:
        return error
    return Grounds(_depends_on()[grading.assignment], sandbox.isolation)


_graders: list[Grader] = []  # one at most


def _grader(grading: Grading) -> Grader:
    assignment = _assignment(grading.assignment)
    if not _graders:
        # Whatever a killed worker leaves behind lies in its folder, which dask removes.
        folder = Path(get_worker().local_directory)
        folder.chmod(0o711)  # the sandbox's workers may be another user
        tempfile.tempdir = str(folder)
        _graders.append(Grader(assignment, grading))
    _graders[0].turn_to(assignment, grading)
    return _graders[0]


@functools.cache
def _assignment(name: str) -> Assignment:
    return Assignment(name)


@functools.cache
def _depends_on() -> dict[str, dict[str, str]]:
    """By assignment; for all of them before the first is graded, since that is the code that
    stays in this process, whatever becomes of the files."""
    return {name: depends_on(name) for name in TOPICS}
