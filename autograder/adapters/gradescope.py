"""Gradescope: a Report as its results.json, and the zip with which it grades by itself.

What Gradescope specifies (gradescope-autograders.readthedocs.io, Specifications): tests with their
scores, whose sum is the submission's; who may see a test, and when; setup.sh and run_autograder at
the root of the zip, which lies in /autograder/source. A results.json with neither a score nor tests
is refused, and shown as a failure of the autograder: so a submission that could not be graded gets
no 0, and can be run again.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
import traceback
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autograder.adapters import plain, write_whole
from autograder.assignment import ROOT, Assignment
from autograder.batch import Entry, grade_all
from autograder.feedback import fault_text, points
from autograder.report import CheckResult, ExerciseResult, Report
from autograder.sandbox.client import IsolationUnavailable

# Hidden checks show when grades are published, so that handing in again can't probe them.
VISIBILITY = {"public": "visible", "hidden": "after_published"}


def results_json(report: Report) -> bytes:
    """One submission's results.json. A grader's failure has no score in it."""
    faults = [plain(fault_text(fault)) for fault in report.faults]
    if report.status == "failed":
        return not_graded("\n".join(faults))
    if report.status == "missing":
        tests = [_no_notebook(report, "\n".join(faults))]
    else:
        hidden = {
            f"{exercise.name}: {check.name}"
            for exercise in report.exercises
            for check in exercise.checks
            if check.visibility == "hidden"
        }
        faults = [plain(fault_text(f)) for f in report.faults if f.where not in hidden]
        tests = [
            _test(exercise, check, f"{place}.{number}")
            for place, exercise in enumerate(report.exercises, 1)
            for number, check in enumerate(exercise.checks, 1)
        ]
    return _encode(
        {
            "output": "\n".join(faults),
            "output_format": "text",
            "stdout_visibility": "hidden",
            "execution_time": round(report.seconds, 3),
            "extra_data": {"submission": report.submission, "seed": report.seed},
            "tests": tests,
        }
    )


def not_graded(reason: str) -> bytes:
    """A results.json that says why there is no score, for the instructor."""
    output = (
        f"Not graded, so there is no score: {plain(reason)}\n"
        "For the instructor: the autograder's output says more. When that is mended, run it again "
        "on this submission."
    )
    return _encode({"output": output, "output_format": "text", "stdout_visibility": "hidden"})


def _test(exercise: ExerciseResult, check: CheckResult, number: str) -> dict[str, Any]:
    details = [check.counterexample if not check.passed else "", check.message]
    return {
        "name": plain(f"{exercise.name}: {check.statement}"),
        "name_format": "text",
        "number": number,
        "score": check.points if check.passed else 0,
        "max_score": check.points,
        "status": "passed" if check.passed else "failed",
        "visibility": VISIBILITY[check.visibility],
        "output": "\n\n".join(map(plain, filter(None, details))),
        "output_format": "text",
        "tags": [exercise.name],
    }


def _no_notebook(report: Report, said: str) -> dict[str, Any]:
    return {
        "name": "One notebook was handed in",
        "score": 0,
        "max_score": report.max_score,
        "status": "failed",
        "visibility": "visible",
        "output": f"{said}\nHand in the one notebook {report.assignment}.ipynb.",
        "output_format": "text",
    }


def _encode(results: dict[str, Any]) -> bytes:
    return json.dumps(results, indent=1).encode() + b"\n"


# --- Grading there -------------------------------------------------------------------------------


def main(name: str, root: Path) -> int:
    """Grades what lies in `root`/submission into `root`/results/results.json. The status is 1
    where that can't be written; everything else is said in it.

    What is printed only instructors see.
    """
    try:
        ((_, graded),) = grade_all([_handed_in(root / "submission", name)], Assignment(name))
        report = graded.report
        content = results_json(report)
        print(f"{report.status}: {points(report.score)} of {points(report.max_score)} points")
        print(f"isolation: {report.isolation.get('name', 'none was needed')}")
        for fault in report.faults:
            print(f"{fault.kind}: {plain(fault_text(fault))}")
    except IsolationUnavailable as error:
        print(error)
        content = not_graded(str(error))
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        content = not_graded(f"the grader failed ({type(error).__name__}: {error}).")
    try:
        write_whole(root / "results" / "results.json", [content])
    except OSError as error:
        print(f"results.json can't be written: {error}")
        return 1
    return 0


def _handed_in(folder: Path, name: str) -> Entry:
    """The submission: the notebook of the assignment's name, or the only one."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith((".", "__MACOSX"))]
        found += [Path(place, f) for f in files if f.endswith(".ipynb") and f[0] != "."]
    named = [path for path in found if path.name == f"{name}.ipynb"]
    if len(named) == 1 or len(found) == 1:
        return Entry("submission", (named or found)[0])
    called = ", ".join(sorted(str(path.relative_to(folder)) for path in found)[:5])
    note = f"There are {len(found)} notebooks: {called}." if found else "There is no notebook."
    return Entry("submission", None, note)


# --- The zip -------------------------------------------------------------------------------------

# Gradescope's images are Ubuntu's. It runs this once, as root.
SETUP = """#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")"
export DEBIAN_FRONTEND=noninteractive {index}
apt-get update
for version in 3.13 3.12 3.11; do
  if apt-get install -y make "python$version" "python$version-venv"; then
    make setup PYTHON="python$version"
    exit
  fi
done
echo 'No Python 3.11 or newer: choose Ubuntu 22.04 or newer as the base image.' >&2
exit 1
"""

# It runs this for every submission, in a copy beside source/. What is written first stays where
# grading is killed, for want of memory for example.
RUN = """#!/bin/sh
root=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$root/results"
cat >"$root/results/results.json" <<'END'
{killed}END
cd "$root/source" || exit 1
export PYTHONPATH="$root/source:$root/source/lib" PYTHONUTF8=1
exec .venv/bin/python -m autograder.adapters.gradescope {name} "$root"
"""
KILLED = (
    "grading did not come to its end. Usually it needs more memory than the container has: choose "
    "a larger one in the assignment's Autograder Settings."
)


def autograder_zip(assignment: Assignment, extra_index_url: str = "") -> bytes:
    """The zip to upload: the grader, all that it needs to grade the assignment, and the two
    scripts; the same bytes for the same sources.

    `extra_index_url` is where pip looks, too, when it installs the pinned packages.
    """
    index = f"PIP_EXTRA_INDEX_URL={shlex.quote(extra_index_url)}" if extra_index_url else ""
    scripts = {
        "setup.sh": SETUP.format(index=index),
        "run_autograder": RUN.format(
            killed=not_graded(KILLED).decode(), name=shlex.quote(assignment.name)
        ),
    }
    members = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in _files(assignment)}
    members |= {name: text.encode() for name, text in scripts.items()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:  # stored: no compressor's version shows in it
        for name in sorted(members):
            info = zipfile.ZipInfo(name)
            info.create_system = 3  # Unix, whose permissions these are
            info.external_attr = (0o100755 if name in scripts else 0o100644) << 16
            archive.writestr(info, members[name])
    return file.getvalue()


def _files(assignment: Assignment) -> Iterator[Path]:
    for name in ("LICENSE", "Makefile", "README.md", "setup.mk"):  # for `make setup`
        yield ROOT / name
    yield from (ROOT / "pyproject.toml", ROOT / "requirements.txt")
    yield assignment.release_path
    for package in (ROOT / "autograder", ROOT / "lib" / "gradus"):
        for path in package.rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                yield path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
