"""`gradus doctor`: does grading work on this machine, and what would have to be done?"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import nbformat
import torch

from autograder.assignment import Assignment
from autograder.batch import available_processors
from autograder.build import solution_notebook
from autograder.checks import TOPICS
from autograder.grade import grade, open_sandbox
from autograder.sandbox.client import STRONGEST_FIRST, IsolationUnavailable


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it serves, what was seen, and what to do where it doesn't.

    Grading works without what is not `needed`.
    """

    what: str
    serves: bool
    seen: str
    advice: str = ""
    needed: bool = True


def examine() -> Iterator[Finding]:
    """Looks at one thing after the other; trying the isolations takes some seconds each."""
    yield Finding("Python", True, f"{platform.python_version()}, {sys.executable}")
    yield Finding("system", True, f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield Finding("processors", True, str(available_processors()))
    yield Finding("torch", True, torch.__version__)
    yield _gpu()
    yield _nbgrader()
    yield _data()
    possible = []
    for name in STRONGEST_FIRST:
        try:
            with open_sandbox(name) as sandbox, sandbox.worker(0) as worker:
                worker.run_cell("1 + 1")
                possible.append(name)
                yield Finding(f"isolation {name}", True, ", ".join(sandbox.features), needed=False)
        except (IsolationUnavailable, OSError) as error:
            advice = "" if possible else ISOLATION_ADVICE[name]
            yield Finding(f"isolation {name}", False, _reason(error), advice, needed=False)
    if not possible:
        advice = "Grade on Linux 5.13 or newer, in a container that allows user namespaces."
        yield Finding("grading", False, "no isolation can be had", advice)
        return
    for topic in TOPICS:
        yield _trial(Assignment(topic))


ISOLATION_ADVICE = {
    "namespaces": "Allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, or "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container, --security-opt "
    "seccomp=unconfined and --security-opt systempaths=unconfined.",
    "bubblewrap": "Install bubblewrap; it needs user namespaces, too.",
    "landlock": "Use Linux 5.13 or newer with landlock among the modules of its lsm= option.",
}


def _reason(error: Exception) -> str:
    return str(error).split(". Grade on")[0]


def _gpu() -> Finding:
    if torch.cuda.is_available():
        return Finding("GPU", True, torch.cuda.get_device_name())
    if torch.backends.mps.is_available():
        return Finding("GPU", True, "Apple's, through Metal")
    return Finding("GPU", True, "none; every assignment runs without one", needed=False)


def _nbgrader() -> Finding:
    try:
        return Finding("nbgrader", True, version("nbgrader"))
    except PackageNotFoundError:
        advice = "Run make setup: the notebooks are built with nbgrader."
        return Finding("nbgrader", False, "not installed", advice)


def _data() -> Finding:
    given = os.environ.get("GRADUS_DATA")
    if not given:
        seen = "GRADUS_DATA is not set: MNIST is downloaded when it is first asked for"
        return Finding("data", True, seen)
    if Path(given).is_dir():
        return Finding("data", True, f"GRADUS_DATA={given}")
    advice = "Name a folder with the data sets' files in GRADUS_DATA, or unset it."
    return Finding("data", False, f"GRADUS_DATA={given} is no folder", advice, needed=False)


def _trial(assignment: Assignment) -> Finding:
    """Grades an assignment's own solution, which must get all points."""
    report = grade(nbformat.writes(solution_notebook(assignment)).encode(), assignment)
    seen = (
        f"the solution gets {report.score:g} of {report.max_score:g} in {report.seconds:.1f} s, "
        f"isolated with {report.isolation['name']}"
    )
    right = report.score == report.max_score
    advice = "" if right else "The set-up is broken: run make setup, then make test."
    return Finding(assignment.name, right, seen, advice)
