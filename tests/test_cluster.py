"""Grading in the workers of a dask scheduler: a real one, with two worker processes.

What it gives is what grading here gives; workers may die; one that differs grades nothing.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import nbformat
import psutil
import pytest
from nbgrader.api import Gradebook
from nbgrader.utils import chdir
from typer.testing import CliRunner

from autograder import cluster
from autograder.adapters.nbgrader import register
from autograder.batch import Entry, Grading, NoCluster, grade_all
from autograder.build import solution_notebook
from autograder.cli import app
from autograder.cluster import Cluster
from autograder.report import Report
from autograder.sandbox.client import IsolationUnavailable

pytestmark = pytest.mark.xdist_group("cluster")  # they share one
ROOT = Path(__file__).resolve().parents[1]
NAME = "02-convolution"
GRADING = Grading(NAME)
HANGS = "import time\n\n\ndef receptive_field(layers):\n    time.sleep(600)\n"


def start(*words: object, **options: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'lib'}"},
        stdin=subprocess.DEVNULL,
        text=True,
        # Who runs the tests in the background has Ctrl-C ignored, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **options,
    )


def gradus(*words: object, **options: object) -> subprocess.Popen:
    command = ("-m", "autograder.cli", "grade", NAME, *words)
    return start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


@contextmanager
def running(folder: Path, *words: object) -> Iterator[subprocess.Popen]:
    """A process of dask's and all that it starts, none of which lives any longer."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("ab") as log:
        process = start("-m", "dask", *words, stdout=log, stderr=log, cwd=folder)
    try:
        yield process
    finally:
        family = [process]
        with suppress(psutil.Error):
            family = [psutil.Process(process.pid), *descendants(process.pid)]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=30)
        for left in alive:
            left.kill()
        process.wait()
        assert alive == []


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


@contextmanager
def scheduler(folder: Path) -> Iterator[str]:
    """A scheduler, and its address."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running(folder, "scheduler", "--host=127.0.0.1", f"--port={port}", "--no-dashboard"):
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield f"tcp://127.0.0.1:{port}"


def workers(folder: Path, address: str, *words: str) -> list[object]:
    local = ("--local-directory", folder, "--no-dashboard", "--memory-limit=0")
    return [folder, "worker", address, *local, *(words or ("--nthreads=1",))]


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """A scheduler with two workers, which stay warm for all tests."""
    folder = tmp_path_factory.mktemp("cluster")
    folder.chmod(0o711)  # for who the sandbox's workers are where we are root
    with (
        scheduler(folder / "scheduler") as address,
        running(*workers(folder / "workers", address, "--nworkers=2", "--nthreads=1")),
    ):
        with Cluster(address) as opened:
            opened._client.wait_for_workers(2, timeout=60)
        yield address
    scratch = folder / "workers" / "dask-scratch-space"
    assert [path.name for path in scratch.iterdir() if path.is_dir()] == []


@pytest.fixture
def opened(address) -> Iterator[Cluster]:
    with Cluster(address) as opened:
        opened._client.wait_for_workers(2, timeout=60)
        yield opened


@pytest.fixture(scope="module")
def solution(convolution) -> bytes:
    return nbformat.writes(solution_notebook(convolution)).encode()


@pytest.fixture(scope="module")
def entries(convolution, solution, tmp_path_factory) -> list[Entry]:
    folder = tmp_path_factory.mktemp("class")
    (folder / "link.ipynb").symlink_to(convolution.release_path)
    ends = solution_notebook(convolution, {"quiz": "import os\nos._exit(1)"})
    return [
        Entry("ada", solution),
        Entry("ben", convolution.release_path),
        Entry("cem", b"no notebook"),
        Entry("dan", None),
        Entry("eve", solution, "It was renamed."),
        Entry("fay", folder / "link.ipynb"),
        Entry("gus", nbformat.writes(ends).encode()),
    ]


@pytest.fixture(scope="module")
def expected(entries, convolution) -> dict[int, Report]:
    """What grading them in this process gives."""
    return {i: g.report.without_times() for i, g in grade_all(entries, convolution, seed=7)}


def kill(opened: Cluster) -> list[int]:
    """Kills all workers, as a machine without memory does; says who they were."""
    pids = list(opened._client.run(os.getpid, on_error="ignore").values())
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


@contextmanager
def whenever_one_is_in_hand(opened: Cluster, do: Callable, *arguments: object) -> Iterator[None]:
    """Does something each time when a worker has a submission in hand."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            with suppress(Exception):  # whatever comes of asking a cluster that breaks
                given = opened._client.processing().values()
                if any("_grade-" in key for keys in given for key in keys):
                    do(*arguments)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


# The same as here.


def test_a_cluster_reports_what_this_machine_does(opened, entries, expected, convolution):
    graded = list(grade_all(entries, convolution, seed=7, elsewhere=opened.grade))
    assert sorted(index for index, _ in graded) == list(range(len(entries)))
    assert {index: g.report.without_times() for index, g in graded} == expected


def test_workers_keep_their_warm_parents(opened, solution, convolution):
    def warm_parents() -> set[int]:
        pids = opened._client.run(os.getpid).values()
        return {child.pid for pid in pids for child in psutil.Process(pid).children()}

    twice = [Entry("ada", solution), Entry("ben", solution)]
    list(grade_all(twice, convolution, elsewhere=opened.grade))
    before = warm_parents()
    list(grade_all(twice, convolution, seed=1, elsewhere=opened.grade))
    assert len(before) == 2
    assert warm_parents() == before


# Workers that die.


@pytest.mark.slow
def test_workers_that_are_killed_lose_and_double_nothing(opened, entries, expected, convolution):
    reports, killed = [], []
    for index, graded in grade_all(entries, convolution, seed=7, elsewhere=opened.grade):
        reports.append((index, graded.report.without_times()))
        if len(reports) == 3:
            killed = kill(opened)
    assert len(killed) == 2
    assert len(reports) == len(entries)
    assert dict(reports) == expected
    assert [pid for pid in killed if psutil.pid_exists(pid)] == []


@pytest.mark.slow
def test_a_submission_whose_workers_are_killed_again_and_again_is_reported_as_such(
    opened, convolution, solution
):
    with whenever_one_is_in_hand(opened, kill, opened):
        ((_, graded),) = grade_all([Entry("ada", solution)], convolution, elsewhere=opened.grade)
    assert graded.report.status == "failed"
    assert "ended 4 times" in graded.report.faults[0].message


@pytest.mark.slow
def test_a_cluster_that_is_gone_ends_the_grading(tmp_path, convolution, monkeypatch):
    monkeypatch.setattr(cluster, "ALONE_SECONDS", 1.0)
    hanging = nbformat.writes(solution_notebook(convolution, {"receptive_field": HANGS})).encode()
    tmp_path.chmod(0o711)
    for doomed in ("workers", "scheduler"):
        with (
            scheduler(tmp_path / "scheduler") as address,
            running(*workers(tmp_path / "workers", address, "--no-nanny", "--nthreads=1")),
            Cluster(address) as opened,
        ):
            end = (kill, opened)
            if doomed == "scheduler":
                end = (opened._client.run_on_scheduler, os._exit, 1)
            with (
                whenever_one_is_in_hand(opened, *end),
                pytest.raises(NoCluster, match=rf"{doomed}.* gone.*What is done is kept"),
            ):
                list(grade_all([Entry("ada", hanging)], convolution, elsewhere=opened.grade))


# Workers that differ.


def test_a_worker_with_other_code_or_packages_is_refused_before_anything_is_graded(
    opened, convolution, solution, monkeypatch
):
    real = cluster.depends_on

    def altered(name, value):
        monkeypatch.setattr(cluster, "depends_on", lambda a: {**real(a), name: value})
        with pytest.raises(NoCluster, match=f"another grader.*{name}.*install the same"):
            list(grade_all([Entry("ada", solution)], convolution, elsewhere=opened.grade))

    altered("autograder.checks.hidden.convolution", "0" * 64)
    altered("torch", "2.12.0")


def test_a_worker_that_joins_later_and_differs_grades_nothing(opened, solution):
    others = cluster.Grounds({"python": "3.9.9"}, "namespaces")
    answer = opened._submit(cluster._grade, Entry("ada", solution), GRADING, others)
    with pytest.raises(NoCluster, match=r"another grader.*and not 3\.9\.9"):
        opened._result(answer)


def in_worker(opened: Cluster, code: str) -> None:
    """Makes one of the workers another one."""
    address = min(opened._client.nthreads())
    code = f"from autograder import batch, cluster\n{code}"
    opened._client.run(exec, code, {}, workers=[address])  # one namespace, as in a module


def test_workers_that_isolate_by_different_means_are_refused(opened, convolution, solution):
    twice = [Entry("ada", solution), Entry("ben", solution)]
    list(grade_all(twice, convolution, elsewhere=opened.grade))
    in_worker(opened, "cluster._graders[0].sandbox().isolation += ' of another kind'")
    try:
        with pytest.raises(NoCluster, match="of another kind.*--isolation"):
            list(grade_all(twice, convolution, elsewhere=opened.grade))
    finally:
        in_worker(opened, "cluster._graders.pop().close()")
    assert len(list(grade_all(twice, convolution, elsewhere=opened.grade))) == 2


def test_a_worker_that_can_not_isolate_is_refused(opened, convolution, solution):
    in_worker(
        opened,
        "from autograder.sandbox.client import IsolationUnavailable\n"
        "class Grader(batch.Grader):\n"
        "    def sandbox(self):\n"
        "        raise IsolationUnavailable('none here')\n"
        "cluster._graders[:] = [Grader(None, batch.Grading(''))]",
    )
    try:
        with pytest.raises(IsolationUnavailable, match="none here"):
            list(grade_all([Entry("ada", solution)], convolution, elsewhere=opened.grade))
    finally:
        in_worker(opened, "cluster._graders.clear()")


def test_a_worker_with_two_threads_is_refused(opened, address, convolution, solution, tmp_path):
    with running(*workers(tmp_path, address, "--nthreads=2")):
        opened._client.wait_for_workers(3, timeout=60)
        with pytest.raises(NoCluster, match="has 2; start each with --nthreads 1"):
            list(grade_all([Entry("ada", solution)], convolution, elsewhere=opened.grade))
    while len(opened._client.nthreads()) > 2:
        time.sleep(0.1)


# The command.


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_was(address, convolution, solution, tmp_path):
    students = [f"student{number:02}" for number in range(12)]
    for number, student in enumerate(students):
        notebook = solution_notebook(convolution)
        notebook.cells.append(nbformat.v4.new_markdown_cell(f"By student {number}."))
        path = tmp_path / "submitted" / student / NAME / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    words = ("submitted", "--cluster", address, "--json", "reports.jsonl")
    first = gradus(*words, cwd=tmp_path)
    kept = tmp_path / ".gradus" / "results"
    while first.poll() is None and len(list(kept.glob("*.json"))) < 3:
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=60)
    times = {path: path.stat().st_mtime_ns for path in kept.glob("*.json")}
    assert first.returncode == 130
    assert "Traceback" not in errors
    told = re.search(r"interrupted: (\d+) of 12 are graded", errors)
    assert told
    assert 0 <= len(times) - int(told[1]) <= 1  # one may have been kept, and not yet told

    second = gradus(*words, cwd=tmp_path)
    _, errors = second.communicate(timeout=120)
    assert (second.returncode, "Traceback" in errors) == (0, False)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert len(list(kept.iterdir())) == 12
    reports = map(Report.from_json, (tmp_path / "reports.jsonl").read_text().splitlines())
    assert [(report.student, report.score) for report in reports] == [(s, 100) for s in students]


@pytest.mark.slow
def test_what_a_cluster_graded_is_recorded(address, convolution, solution, tmp_path):
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    with chdir(str(tmp_path)):
        register(convolution)
    for student, data in {"ada": solution, "ben": convolution.release_path.read_bytes()}.items():
        path = tmp_path / "submitted" / student / NAME / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    running = gradus("submitted", "--record", "--cluster", address, cwd=tmp_path)
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    with Gradebook(f"sqlite:///{tmp_path}/gradebook.db", "gradus") as gradebook:
        scores = {s.student.id: s.score for s in gradebook.assignment_submissions(NAME)}
    assert scores == {"ada": 100, "ben": 0}


def refused(*words: str) -> str:
    """The one line with which the command refuses."""
    done = CliRunner().invoke(app, ["grade", NAME, *words])
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("gradus: ")
    return line


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere://here", "tcp://"])
def test_an_address_without_a_scheduler_gets_one_line_that_says_how_to_start_one(
    address, monkeypatch
):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    line = refused("--cluster", address)
    assert f"no scheduler answers at {address}" in line
    assert "dask scheduler" in line


def test_a_scheduler_without_workers_gets_one_line_that_says_how_to_start_some(
    tmp_path, monkeypatch
):
    with scheduler(tmp_path) as address:
        monkeypatch.setattr(cluster, "CONNECT_SECONDS", 2.0)
        line = refused("--cluster", address)
    assert f"{address} has no workers" in line
    assert "dask worker" in line


def test_without_dask_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "autograder.cluster")
    assert "pip install '.[cluster]'" in refused("--cluster", "tcp://127.0.0.1:1")


def test_jobs_are_for_this_machine():
    assert "--jobs" in refused("--cluster", "tcp://127.0.0.1:1", "--jobs", "2")
