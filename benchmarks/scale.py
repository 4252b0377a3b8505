"""How grading on a cluster scales: with workers, and with the size of the class.

A made-up class of 02-convolution, of seven kinds of submissions, is graded by `gradus grade
--cluster` with a scheduler and workers on this machine. The first table has the first of them with
1, 2 and 4 workers. In the second the class grows, to a quarter, to a half and to all of it: each
time only who is new is graded, since results are kept. The workers are warm when a clock starts,
which then runs from the command's start to its end.

It may be stopped by Ctrl-C or by --seconds, also within a grading, and goes on where it was when it
is run again with the same folder. The workers are new each time.

    .venv/bin/python benchmarks/scale.py [FOLDER] [--students 2000] [--few 100] [--seconds 3600]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import nbformat
import psutil
from nbformat import NotebookNode
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "lib")]

from autograder.assignment import Assignment  # noqa: E402
from autograder.batch import available_processors  # noqa: E402
from autograder.build import solution_notebook  # noqa: E402
from autograder.demo import EXITS, HANGS  # noqa: E402
from autograder.report import Report  # noqa: E402
from autograder.sandbox import isolation  # noqa: E402
from tests.alternates.convolution import ALTERNATES  # noqa: E402

NAME = "02-convolution"
KINDS = {  # in percent
    "right": 35,
    "one mistake": 25,
    "three mistakes": 15,
    "half done": 15,
    "ends its process": 4,
    "a broken file": 4,
    "hangs": 2,
}
WORKERS = (1, 2, 4)


class OutOfTime(Exception):
    """The rest is for the next run."""


def main() -> None:
    """Measures what is not measured yet, then prints the tables."""
    parser = argparse.ArgumentParser()
    default = ROOT / "test-artifacts" / "scale"
    parser.add_argument("folder", type=Path, nargs="?", default=default)
    parser.add_argument("--students", type=int, default=2000)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run = Run(arguments.folder, time.monotonic() + arguments.seconds)
    sizes = [arguments.students // 4, arguments.students // 2, arguments.students]
    try:
        for workers in WORKERS:
            run.measure(f"with-{workers}", workers, arguments.few)
        for size in sizes:
            run.measure("growing", available_processors(), size)
    except (OutOfTime, KeyboardInterrupt):
        print(f"stopped; run it again to go on: {json.dumps(run.measured, indent=1)}")
        raise SystemExit(1) from None
    run.print_workers(arguments.few)
    run.print_sizes(sizes)
    run.print_kinds()
    print(f"kept in {arguments.folder}; delete it to measure anew")


class Run:
    """What has been measured, in a file, so that it lasts from one run to the next."""

    def __init__(self, folder: Path, deadline: float) -> None:
        self._folder, self._deadline = folder.resolve(), deadline
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = self._folder / "measured.json"
        self.measured: dict[str, dict[str, float]] = {}
        if self._file.exists():
            self.measured = json.loads(self._file.read_text())

    def measure(self, name: str, workers: int, students: int) -> None:
        """Grades a class in a folder of that name, and notes the time and the memory."""
        folder = self._folder / name
        noted = self.measured.setdefault(f"{name} {students}", {})
        if noted.get("done"):
            return
        make_class(folder / "submitted", students)
        results = folder / ".gradus" / "results"
        warm_up = folder / "warm-up.ipynb"  # another one each time: what is kept warms nobody
        warm_up.write_bytes(marked(solution_notebook(Assignment(NAME)), f"At {time.time()}."))
        with cluster(self._folder / "scratch", workers) as (address, processes):
            command = [
                *(sys.executable, "-m", "autograder.cli", "grade", NAME),
                *("--cluster", address, "--json", "reports.jsonl"),
            ]
            *_, finished = run([*command, *["warm-up.ipynb"] * workers], folder, self._deadline)
            if not finished:
                raise OutOfTime
            before = len(list(results.glob("*.json")))
            seconds, client, used, finished = run([*command, "submitted"], folder, self._deadline)
            noted["graded"] = noted.get("graded", 0) + len(list(results.glob("*.json"))) - before
            noted["seconds"] = noted.get("seconds", 0) + seconds
            noted["used"] = noted.get("used", 0) + used
            for what, megabytes in {"client": client, **peaks(*processes)}.items():
                noted[what] = max(noted.get(what, 0), megabytes)
            noted["parts"] = noted.get("parts", 0) + 1
            noted["done"] = finished
        self._file.write_text(json.dumps(self.measured))
        if not finished:
            raise OutOfTime
        lines = (folder / "reports.jsonl").read_text().splitlines()
        assert len({Report.from_json(line).student for line in lines}) == len(lines) == students

    def print_workers(self, few: int) -> None:
        """The table of the first few submissions with more and more workers."""
        title = f"{few} submissions of {NAME}, {available_processors()} processors"
        table = Table(title=title)
        for column in ("workers", "time", "a second", "times one worker's", *MEMORY):
            table.add_column(column, justify="right")
        first = self.measured[f"with-{WORKERS[0]} {few}"]["seconds"]
        for workers in WORKERS:
            noted = self.measured[f"with-{workers} {few}"]
            seconds = noted["seconds"]
            cells = (f"{seconds:.0f} s", f"{few / seconds:.2f}", f"{first / seconds:.2f}")
            table.add_row(f"{workers}", *cells, *memory(noted))
        Console(width=120).print(table)

    def print_sizes(self, sizes: list[int]) -> None:
        """The table of a class that grows."""
        table = Table(title=f"A class that grows, {available_processors()} workers")
        columns = ("class", "newly graded", "time", "for each", "in parts", "client's processor")
        for column in (*columns, *MEMORY):
            table.add_column(column, justify="right")
        for size in sizes:
            noted = self.measured[f"growing {size}"]
            each = 1000 * noted["seconds"] / noted["graded"]
            cells = (f"{noted['graded']:.0f}", f"{noted['seconds']:.0f} s", f"{each:.0f} ms")
            cells += (f"{noted['parts']:.0f}", f"{noted['used']:.1f} s")
            table.add_row(f"{size}", *cells, *memory(noted))
        Console(width=120).print(table)

    def print_kinds(self) -> None:
        """The table of what the whole class consists of."""
        kinds: dict[str, list[Report]] = {kind: [] for kind in KINDS}
        for line in (self._folder / "growing" / "reports.jsonl").open():
            report = Report.from_json(line)
            kinds[kind_of(int(report.student.removeprefix("student")))].append(report)
        table = Table(title="The class by kinds")
        for column in ("", "submissions", "mean score", "mean time", "longest", "faults"):
            table.add_column(column, justify="right" if column else "left")
        for kind, reports in filter(lambda item: item[1], kinds.items()):
            seconds = [report.seconds for report in reports]
            faults = Counter(fault.kind for report in reports for fault in report.faults)
            table.add_row(
                *(kind, f"{len(reports)}", f"{mean(report.score for report in reports):.1f}"),
                *(f"{mean(seconds):.2f} s", f"{max(seconds):.2f} s"),
                ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items())),
            )
        Console(width=120).print(table)


MEMORY = ("client, MB", "a grader, MB", "scheduler, MB")


def memory(noted: dict[str, float]) -> list[str]:
    """The cells of what a measurement needed at most."""
    return [f"{noted[name]:.0f}" for name in ("client", "grader", "scheduler")]


# --- The class -----------------------------------------------------------------------------------


def kind_of(number: int) -> str:
    """The kind of a student's submission, drawn for each."""
    return random.Random(number).choices(list(KINDS), list(KINDS.values()))[0]


def make_class(folder: Path, students: int) -> None:
    """Writes the submissions of the first students, as far as they are not there."""
    assignment = Assignment(NAME)
    for number in range(students):
        path = folder / f"student{number:05}" / NAME / f"{NAME}.ipynb"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(submission(assignment, number))


def submission(assignment: Assignment, number: int) -> bytes:
    """A student's notebook; no two are the same."""
    rng, kind = random.Random(-1 - number), kind_of(number)
    sources: dict[str, str] = {}
    if kind == "right" and rng.random() < 0.5:
        exercise, _, source = rng.choice(ALTERNATES)
        sources[exercise] = source
    elif kind.endswith(("mistake", "mistakes")):
        wrong = rng.sample(assignment.mutants, 1 if kind == "one mistake" else 3)
        sources = {mutant.exercise: mutant.source for mutant in wrong}
    elif kind == "half done":
        blank = {cell["id"]: cell["source"] for cell in assignment.release["cells"]}
        names = [exercise.name for exercise in assignment.exercises]
        sources = {name: blank[name] for name in names[rng.randrange(len(names)) :]}
    elif kind == "ends its process":
        sources["zero_pad2d"] = EXITS
    elif kind == "hangs":
        sources["receptive_field"] = HANGS
    data = marked(solution_notebook(assignment, sources), f"By student {number}.")
    return data[: len(data) // 2] if kind == "a broken file" else data


def marked(notebook: NotebookNode, text: str) -> bytes:
    """The notebook with a text of its own at its beginning."""
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(text))
    return nbformat.writes(notebook).encode()


# --- The cluster and the command -----------------------------------------------------------------


def start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Starts a command; what it says goes into a file."""
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'lib'}",
                "OMP_NUM_THREADS": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us, who pass it on
            preexec_fn=_end_with_us,
        )


def _end_with_us() -> None:
    if sys.platform == "linux":
        isolation.prctl(isolation.PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def cluster(
    folder: Path, workers: int
) -> Iterator[tuple[str, tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]]:
    """A scheduler and workers, by the documented commands: its address, and both processes."""
    folder.mkdir(exist_ok=True)
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, dask = f"tcp://127.0.0.1:{port}", [sys.executable, "-m", "dask"]
    words = ("--nworkers", f"{workers}", "--nthreads", "1", "--memory-limit", "0")
    with contextlib.ExitStack() as stack:
        processes = []
        for command in (
            ["scheduler", "--host", "127.0.0.1", "--port", f"{port}", "--no-dashboard"],
            ["worker", address, *words, "--no-dashboard", "--local-directory", str(folder)],
        ):
            process = start([*dask, *command], folder)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            processes.append(process)
        yield address, (processes[0], processes[1])


def run(command: list[str], folder: Path, deadline: float) -> tuple[float, float, float, bool]:
    """Runs a command until it ends or the time does; returns its seconds, the megabytes that it
    had at most, the seconds for which it had a processor, and whether it came to its end."""
    started, peak, used, stopped = time.monotonic(), 0.0, 0.0, False
    process = start(command, folder)
    try:
        while process.poll() is None:
            peak = max(peak, peak_megabytes(process.pid))
            with contextlib.suppress(psutil.Error):
                used = max(used, sum(psutil.Process(process.pid).cpu_times()[:2]))
            time.sleep(0.05)
            if time.monotonic() > deadline and not stopped:
                stopped = True
                process.send_signal(signal.SIGINT)
    except KeyboardInterrupt:
        stopped = True
        process.send_signal(signal.SIGINT)
        process.wait()
    if process.returncode and not stopped:
        raise SystemExit(f"{' '.join(command)} failed; see {folder / 'log'}")
    return time.monotonic() - started, peak, used, not stopped


def peaks(scheduler: subprocess.Popen[bytes], nannies: subprocess.Popen[bytes]) -> dict[str, float]:
    """The megabytes that the scheduler, and the largest of the graders, had at most."""
    graders = [
        child.pid
        for child in psutil.Process(nannies.pid).children()
        if any("spawn_main" in word for word in child.cmdline())
    ]
    return {
        "scheduler": peak_megabytes(scheduler.pid),
        "grader": max(map(peak_megabytes, graders)),
    }


def peak_megabytes(pid: int) -> float:
    """The most that a process had in memory, by the kernel's count; 0 where it has ended."""
    with contextlib.suppress(OSError, IndexError):
        lines = Path(f"/proc/{pid}/status").read_text().split("VmHWM:")
        return int(lines[1].split()[0]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
