"""How long grading takes beside the students' own code alone.

A class of passing submissions of 02-convolution is graded, no two of the same bytes: the solution,
and the unusual right solutions that the tests keep, each with one exercise of its own. The floor
is what the same cases take where the submissions' functions are called directly, in one process:
the same calls with the same arguments, and the gradients that are asked for; no sandbox, no wire,
no checks. Everything runs with one thread, on one core.

Other work on the machine makes the clock run on, so that the processors' time is measured, too:
of each process of a submission just before it is ended, and of the processes that stay.

With --before, the code of an older commit grades the same class, in turns with this one.

    .venv/bin/python benchmarks/floor.py [--submissions 500] [--before COMMIT] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve()
TREE = Path(os.environ.get("GRADUS_TREE", HERE.parents[1]))  # the code that is measured
sys.path[:0] = [str(TREE), str(TREE / "lib")]

import nbformat  # noqa: E402
import psutil  # noqa: E402
import torch  # noqa: E402
from nbformat import NotebookNode  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from autograder import subject  # noqa: E402
from autograder.assignment import Assignment  # noqa: E402
from autograder.batch import Entry, grade_all  # noqa: E402
from autograder.build import solution_notebook  # noqa: E402
from autograder.sandbox.client import ExerciseChannel, Worker  # noqa: E402
from autograder.store import Store  # noqa: E402
from autograder.submission import read_submission  # noqa: E402

NAME = "02-convolution"
WHERE = ("grader", "worker", "exercises", "warm parent and guards")


def main() -> None:
    """Prints the table; or measures one tree, for it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--submissions", type=int, default=500)
    parser.add_argument("--before", help="a commit to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    if arguments.measure:
        print(json.dumps(graded(arguments.submissions)))
        return
    with tempfile.TemporaryDirectory() as folder:
        trees = {"now": HERE.parents[1]}
        if arguments.before:
            trees = {arguments.before: Path(folder), **trees}
            archive = subprocess.run(
                ["git", "archive", arguments.before],
                cwd=HERE.parents[1],
                check=True,
                capture_output=True,
            )
            subprocess.run(["tar", "x", "-C", folder], input=archive.stdout, check=True)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
        floors = []
        for _ in range(arguments.rounds):
            floors.append(floor())
            for name, tree in trees.items():
                found[name].append(measured(tree, arguments.submissions // arguments.rounds))
    print_table(found, median(floors), arguments.submissions)


def measured(tree: Path, count: int) -> dict[str, float]:
    """What `graded` finds of the code in a folder, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(HERE), "--measure", "--submissions", str(count)],
        env={**os.environ, "GRADUS_TREE": str(tree), "PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def made(assignment: Assignment, number: int) -> NotebookNode:
    """A right submission that is no other's, without experiments, which grading leaves out."""
    sources = {}
    if number % (len(assignment.alternates) + 1):
        exercise, _, code = assignment.alternates[number % (len(assignment.alternates) + 1) - 1]
        sources[exercise] = code
    notebook = solution_notebook(assignment, sources)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source += f"\n# Submission {number}."
    return notebook


def graded(count: int) -> dict[str, float]:
    """Milliseconds of a submission in a class of `count`: by the clock, and of the processors."""
    assignment = Assignment(NAME)
    entries = [
        Entry(f"student{n:04}", nbformat.writes(made(assignment, n)).encode())
        for n in range(count + 1)
    ]
    ended = Counter[str]()
    for kind, where in ((Worker, "worker"), (ExerciseChannel, "exercises")):
        tell_before_the_end(kind, where, ended)
    with tempfile.TemporaryDirectory() as folder:
        results = grade_all(entries, assignment, store=Store(Path(folder), assignment))
        next(results)  # the first one waits for the sandbox
        ended.clear()
        before, started = processors(), time.perf_counter()
        scores = [result.report.score for _, result in results_until(results, count - 1)]
        clock = time.perf_counter() - started
        after = processors()
        next(results)  # the sandbox is there until the last one has been taken
        if set(scores) != {100}:
            raise SystemExit(f"not all of the scores are 100: {sorted(set(scores))}")
    spent = {name: after[name] - before[name] for name in after} | ended
    return {name: 1000 * value / len(scores) for name, value in {"clock": clock, **spent}.items()}


def results_until(results: Any, count: int) -> list[Any]:
    """The next `count` results."""
    return [next(results) for _ in range(count)]


def tell_before_the_end(kind: Any, where: str, ended: Counter[str]) -> None:
    """Adds up the processors' time of a submission's processes as they are ended."""
    close = kind.close

    def closes(self: Any) -> None:
        if self._handle >= 0:
            about = Path(f"/proc/self/fdinfo/{self._handle}").read_text()
            pid = about.split("Pid:")[1].split()[0]
            if pid != "-1":
                ended[where] += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
        close(self)

    kind.close = closes


def processors() -> dict[str, float]:
    """The processors' seconds of this process, and of those that it started and that stay, with
    those that they have waited for."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    own = psutil.Process().cpu_times()
    return {
        "grader": own.user + own.system,
        "warm parent and guards": sum(
            t.user + t.system + t.children_user + t.children_system for t in times
        ),
    }


def floor() -> float:
    """The milliseconds that a submission's own functions take for all cases, on average over the
    solution and the alternates."""
    assignment = Assignment(NAME)
    requests = [
        request
        for checks in assignment.prepare(0).values()
        for item in checks
        for case in item.exchanges
        for request, _ in case
    ]
    total = []
    for number in range(len(assignment.alternates) + 1):
        data = nbformat.writes(made(assignment, number)).encode()
        namespace: dict[str, Any] = {}
        for cell in read_submission(data, assignment).cells:
            exec(cell.source, namespace)
        seconds = []
        for _ in range(2):  # the first one looks things up
            calls = [subject.requests.decode(request) for request in requests]
            started = time.process_time()
            for call in calls:
                directly(call, namespace)
            seconds.append(time.process_time() - started)
        total.append(min(seconds))
    return 1000 * sum(total) / len(total)


def directly(call: subject.Request, namespace: dict[str, Any]) -> None:
    """Carries a call out, with the gradients that it asks for."""
    if isinstance(call, subject.Read):
        return
    leaves = []
    if call.cotangent is not None:
        leaves = list(subject._floating(call.args, call.kwargs))
        for leaf in leaves:
            leaf.requires_grad_()
    try:
        value = namespace[call.function](*call.args, **call.kwargs)
    except Exception:  # some are asked for
        return
    if call.cotangent is not None:
        subject._gradients(value, call.cotangent, leaves)


def print_table(found: dict[str, list[dict[str, float]]], least: float, count: int) -> None:
    """Milliseconds of a submission, medians over the rounds."""
    table = Table(title=f"One of {count} passing submissions of {NAME}, one core, ms")
    middle = {
        name: {key: median(each[key] for each in rounds) for key in rounds[0]}
        for name, rounds in found.items()
    }
    spent = {name: sum(each[where] for where in WHERE) for name, each in middle.items()}
    for column in ("", "the floor", *found):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("clock", "", *(f"{each['clock']:.0f}" for each in middle.values()))
    table.add_row("processor", f"{least:.0f}", *(f"{spent[name]:.0f}" for name in found))
    for where in WHERE:
        table.add_row(f"  {where}", "", *(f"{each[where]:.0f}" for each in middle.values()))
    table.add_row("processor / floor", "1.0", *(f"{spent[name] / least:.1f}" for name in found))
    Console().print(table)


if __name__ == "__main__":
    main()
