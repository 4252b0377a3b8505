"""Writes docs/attacks.md: what each attack of tests/attacks gets from us and from stock nbgrader.

    python -m tests.attack_table [COLUMN ...]

A column is an isolation or "nbgrader"; without any, each one runs. What it found is kept in
test-artifacts/attacks/, attack by attack, and what stands there is not run again: delete it to
begin anew. The table is made of all that is there, so that columns may come from several runs, also
by other users. The attacks that say "harms" don't run without isolation.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from autograder.assignment import Assignment
from autograder.build import solution_notebook
from autograder.grade import grade, open_sandbox
from autograder.report import Report
from tests.hostile import ATTACKS, LIMITS, Attack, honest_notebook

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "test-artifacts" / "attacks"
ISOLATIONS = ("namespaces", "bubblewrap", "landlock", "none")
NAME = "02-convolution"


def main() -> None:
    """Runs the columns asked for, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("columns", nargs="*", metavar="COLUMN")
    columns = parser.parse_args().columns or [*ISOLATIONS, "nbgrader"]
    KEPT.mkdir(parents=True, exist_ok=True)
    assignment = Assignment(NAME)
    for column in columns:
        user = "root" if os.geteuid() == 0 else "an ordinary user"
        path = KEPT / f"{column} as {user}.json"
        machine = f"Linux {platform.release().split('-')[0]}, {platform.machine()}"
        about: dict[str, Any] = {"user": user, "machine": machine, "attacks": {}}
        about = json.loads(path.read_text()) if path.exists() else about
        attacks = [Attack.read(path) for path in ATTACKS if path.stem not in about["attacks"]]
        run_all = by_nbgrader if column == "nbgrader" else by_us
        for name, found in run_all(attacks, assignment, column):
            print(column, name, found, flush=True)
            about["attacks"][name] = found
            path.write_text(json.dumps(about, indent=1))
    (ROOT / "docs" / "attacks.md").write_text(page(assignment))


# --- Our own -------------------------------------------------------------------------------------


Found = Iterator[tuple[str, dict[str, Any]]]


def by_us(attacks: list[Attack], assignment: Assignment, isolation: Any) -> Found:
    """What each attack gets in an isolation, and what its report says."""
    with open_sandbox(isolation, LIMITS) as sandbox:
        undisturbed = grade(honest_notebook(assignment), assignment, sandbox=sandbox)
        for attack in attacks:
            if isolation == "none" and attack.harms:
                yield attack.name, {"note": "not run"}
                continue
            data = attack.notebook(assignment)
            started = time.monotonic()
            for _ in range(2 if attack.again else 1):
                report = grade(data, assignment, sandbox=sandbox)
            seconds = round(time.monotonic() - started, 1)
            honest = grade(honest_notebook(assignment), assignment, sandbox=sandbox)
            lost = [e.name for e in report.exercises if e.score < e.max_score]
            whole = [e for e in report.exercises if e.name in attack.loses_whole]
            partly = [name for name in attack.loses - attack.loses_whole if name not in lost]
            yield (
                attack.name,
                {
                    "score": report.score,
                    "gained": sum(e.score for e in whole) + len(partly),
                    "beside": sorted(set(lost) - attack.loses),
                    "honest": honest.without_times() == undisturbed.without_times(),
                    "said": said(attack, report),
                    "seconds": seconds,
                },
            )


def said(attack: Attack, report: Report) -> str:
    """What a person reads about it: the fault that is due, or one of an exercise that it costs, or
    the first check that failed, or the first fault."""
    kind, _, where = attack.fault.partition(" ")
    due = [f.message for f in report.faults if f.kind == kind and where in f.where]
    own = [f.message for f in report.faults if any(name in f.where for name in attack.loses)]
    failed = [
        check.message
        for exercise in report.exercises
        for check in exercise.checks
        if exercise.name in attack.loses and not check.passed
    ]
    faults = [fault.message for fault in report.faults]
    return next((m.splitlines()[0] for m in [*due, *own, *failed, *faults] if m), "")


# --- nbgrader ------------------------------------------------------------------------------------

POINTS = 20
FIRST = """
import torch

def pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)
"""
TESTS = {
    "conv_output_size": """
assert conv_output_size(5, 3) == 3
assert conv_output_size(28, 5, stride=2, padding=2) == 14
### BEGIN HIDDEN TESTS
assert conv_output_size(7, 3, stride=3) == 2
assert conv_output_size(10, 3, dilation=2) == 6
### END HIDDEN TESTS
""",
    "same_padding": """
assert same_padding(5, 3) == (1, 1)
### BEGIN HIDDEN TESTS
assert same_padding(6, 2) == (0, 1)
assert same_padding(7, 3, stride=2) == (1, 1)
### END HIDDEN TESTS
""",
    "zero_pad2d": """
x = torch.randn(2, 3, 4, 5)
assert zero_pad2d(x, (1, 1, 1, 1)).shape == (2, 3, 6, 7)
### BEGIN HIDDEN TESTS
assert torch.equal(zero_pad2d(x, (1, 2, 3, 4)), torch.nn.functional.pad(x, (1, 2, 3, 4)))
### END HIDDEN TESTS
""",
    "conv2d": '''
import inspect
x, w, b = torch.randn(2, 3, 8, 9), torch.randn(4, 3, 3, 2), torch.randn(4)
assert torch.allclose(conv2d(x, w), torch.nn.functional.conv2d(x, w), atol=1e-4)
### BEGIN HIDDEN TESTS
code = inspect.getsource(conv2d).split('"""')[-1].replace("def conv2d(", "")
assert "conv2d(" not in code and "Conv2d" not in code
expected = torch.nn.functional.conv2d(x, w, b, stride=2, padding=1, dilation=2)
assert torch.allclose(conv2d(x, w, b, stride=2, padding=1, dilation=2), expected, atol=1e-4)
### END HIDDEN TESTS
''',
    "receptive_field": """
assert receptive_field([(3, 1, 1)]) == 3
assert receptive_field([(3, 2, 1), (3, 1, 1)]) == 7
### BEGIN HIDDEN TESTS
assert receptive_field([(5, 2, 1), (3, 2, 2), (1, 1, 1)]) == 13
### END HIDDEN TESTS
""",
}
WIRE = "does not apply: there is no such wire"
OURS = "does not apply: it is about our processes"
DANGER = "not run: it would harm this machine"
INSTEAD = {
    **dict.fromkeys(
        (
            *("answers_before_it_is_asked", "breaks_off_a_frame", "claims_a_giant_frame"),
            *("drips_a_frame", "interleaves_frames", "nests_its_answer", "sends_descriptors"),
            *("patches_what_encodes_answers", "writes_a_novel_into_the_report"),
            *("writes_to_every_descriptor", "answers_two_gigabytes"),
        ),
        WIRE,
    ),
    **dict.fromkeys(
        (
            *("answers_twice", "greets_with_another_process", "steals_the_stand_in"),
            *("unblocks_in_the_call", "unblocks_through_sys_modules", "unblocks_without_a_word"),
            *("convolves_in_a_helper_of_another_exercise", "redispatches"),
            *("asks_the_parent_for_the_answer", "answers_only_the_public_checks"),
        ),
        OURS,
    ),
    **dict.fromkeys(
        (
            *("answers_without_end", "asks_the_kernel_for_more", "bombs_with_forks"),
            *("bombs_with_memory", "bombs_with_threads", "digs_folders_without_end"),
            *("fills_the_disk", "fills_the_disk_with_empty_files", "fills_two_gigabytes"),
            *("hides_its_files", "leaves_daemons_in_a_call", "links_to_the_outside"),
            *("poisons_what_is_shared", "raises_its_limits", "removes_its_own_folder"),
            "shows_without_end",
        ),
        DANGER,
    ),
}
LIMIT = 200  # seconds for a command of nbgrader
HONEST = "zoe"  # the last one


def by_nbgrader(attacks: list[Attack], assignment: Assignment, _: str) -> Found:
    """What each idea gets in stock nbgrader, written for it where that needs other code."""
    several: dict[str, Attack] = {}
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder) / "course"
        make_course(course, assignment)
        for attack in attacks:
            other = ATTACKS[0].parent / "nbgrader" / f"{attack.name}.py"
            if other.exists():
                alone = {attack.name: Attack.read(other)}
                yield from autograded(course, assignment, alone, honest=True)
            elif attack.name in INSTEAD or attack.harms:
                yield attack.name, {"note": INSTEAD.get(attack.name, DANGER)}
            else:
                several[attack.name] = attack
            if len(several) == 5 or (several and attack is attacks[-1]):
                yield from autograded(course, assignment, several, honest=False)
                several = {}


def make_course(course: Path, assignment: Assignment) -> None:
    """A course as an instructor makes it: solutions, and assertions in the cells below them."""
    source = course / "source" / NAME / f"{NAME}.ipynb"
    source.parent.mkdir(parents=True)
    solved = solution_notebook(assignment)
    notebook = nbformat.v4.new_notebook(metadata=solved.metadata)
    notebook.cells.append(nbformat.v4.new_code_cell(FIRST))
    for name, tests in TESTS.items():
        notebook.cells.append(cell_of(name, solution_of(solved, name), solution=True))
        notebook.cells.append(cell_of(f"test-{name}", tests.strip(), grade=True, points=POINTS))
    nbformat.write(notebook, source)
    run([sys.executable, "-m", "nbgrader", "generate_assignment", NAME, "--create"], course)


def cell_of(name: str, source: str, **fields: Any) -> NotebookNode:
    cell = nbformat.v4.new_code_cell(source)
    usual = {"grade": False, "solution": False, "locked": "grade" in fields, "schema_version": 3}
    cell.metadata["nbgrader"] = {**usual, "task": False, "grade_id": name, **fields}
    return cell


def solution_of(notebook: NotebookNode, name: str) -> str:
    found = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name]
    return str(found[0].source)


def handed_in(course: Path, assignment: Assignment, attack: Attack | None, student: str) -> None:
    """The released notebook with everything solved, and the attack in it."""
    released = nbformat.read(course / "release" / NAME / f"{NAME}.ipynb", 4)
    solved = solution_notebook(assignment)
    for cell in released.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if name in TESTS:
            cell.source = solution_of(solved, name)
        if attack and name in attack.where:
            cell.source = attack.source if name == attack.where[0] else "# in another cell"
    if attack and attack.where in (["first"], ["last"]):
        place = 0 if attack.where == ["first"] else len(released.cells)
        released.cells.insert(place, nbformat.v4.new_code_cell(attack.source))
    target = course / "submitted" / student / NAME / f"{NAME}.ipynb"
    target.parent.mkdir(parents=True)
    nbformat.write(released, target)


def autograded(
    template: Path, assignment: Assignment, attacks: dict[str, Attack], honest: bool
) -> Found:
    """Grades attacks, and then an honest submission where that is asked for, in a new course."""
    course = template.parent / uuid.uuid4().hex
    shutil.copytree(template, course)
    for name, attack in attacks.items():
        handed_in(course, assignment, attack, name)
    if honest:
        handed_in(course, assignment, None, HONEST)
    command = [sys.executable, "-m", "nbgrader", "autograde", NAME, "--Execute.timeout=5"]
    ended = run(command, course, f"GRADUS_ATTACK_{course.name}")
    scores: dict[str, float] = {}
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        for student in [*attacks, HONEST]:
            if (course / "autograded" / student / NAME / f"{NAME}.ipynb").exists():
                scores[student] = gradebook.find_submission(NAME, student).score
    shutil.rmtree(course, ignore_errors=True)
    for name, attack in attacks.items():
        due = POINTS * len(TESTS.keys() - attack.loses)
        found = {"score": scores.get(name), "deserves": due, "idea": attack.idea, "ended": ended}
        yield name, found | ({"honest": scores.get(HONEST)} if honest else {})


def run(command: list[str], folder: Path, marker: str = "GRADUS_ATTACK") -> bool:
    """Runs a command in a folder, and ends all that it leaves behind; False where it took too
    long."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, marker: "1", "JUPYTER_CONFIG_DIR": str(folder / "jupyter")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False
    finally:
        deadline = time.monotonic() + 8
        while (left := started_under(marker)) and time.monotonic() < deadline:
            time.sleep(0.1)
        for other in left:
            with contextlib.suppress(psutil.Error):
                other.kill()
    return True


def started_under(marker: str) -> list[psutil.Process]:
    """The processes that inherited a variable."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and marker in process.environ():
                found.append(process)
    return found


# --- The page ------------------------------------------------------------------------------------


def page(assignment: Assignment) -> str:
    """The table, as Markdown."""
    attacks = [Attack.read(path) for path in ATTACKS]
    runs = {path.stem: json.loads(path.read_text()) for path in sorted(KEPT.glob("*.json"))}
    # One column for an isolation: of the run in which most attacks were tried.
    by_size = sorted(runs.items(), key=lambda item: len(item[1]["attacks"]))
    columns = {name.split(" as ")[0]: run for name, run in by_size}
    ours = [name for name in ISOLATIONS if name in columns]
    lines = [*INTRODUCTION.strip().splitlines(), "", *summary(runs, attacks)]
    lines += [
        "",
        "| attack | deserves | " + " | ".join(ours) + " | its report says | in nbgrader |",
    ]
    lines.append("|---|--:|" + "--:|" * len(ours) + "---|---|")
    for attack in attacks:
        cells = [f"{attack.idea} `{attack.name}`", deserves(attack, assignment)]
        cells += [result(columns[name]["attacks"].get(attack.name)) for name in ours]
        known = (columns[name]["attacks"].get(attack.name, {}) for name in ours)
        cells.append(next((found["said"] for found in known if found.get("said")), ""))
        cells.append(of_nbgrader(columns.get("nbgrader", {}).get("attacks", {}).get(attack.name)))
        lines.append("| " + " | ".join(escaped(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


INTRODUCTION = """
# The attacks, and what they get

Written by `python -m tests.attack_table`, which runs every file of `tests/attacks/`: one hostile
submission each of 02-convolution (100 points), otherwise solved. *Deserves* is what its answers are
worth; "< 100" where they are partly right. A score in bold is more than that: the attack won
something. An honest submission was graded right after each, in the same sandbox, and its Report
compared with the one of before. Each isolation was alone in force; `none` is for submissions that
you trust, and attacks that would harm the machine were not run there.

The last column is stock nbgrader's `autograde`, of an ordinary assignment: five of the same
exercises, 20 points each, whose tests are assertions in the cells below, hidden ones in nbgrader's
own way, and one that looks for a forbidden call in the source. The same idea was run against it,
with 5 seconds for a cell; in `tests/attacks/nbgrader/` with other code where it takes other code,
and then with an honest submission graded after it. It says what the hostile one got of what it
deserved, by exercises alone: where a later one uses the function that is wrong, it gets less.
"""


def summary(runs: dict[str, Any], attacks: list[Attack]) -> list[str]:
    """What was run, and how many attacks won something or cost somebody else something."""
    lines = ["| run | on | attacks | won points | cost another |", "|---|---|--:|--:|--:|"]
    names = [attack.name for attack in attacks]
    for name, about in runs.items():
        found = [about["attacks"][n] for n in names if "score" in about["attacks"].get(n, {})]
        whole = POINTS * len(TESTS)
        if name.startswith("nbgrader"):
            won = sum((f["score"] or 0) > f["deserves"] for f in found)
            cost = sum(f.get("honest", whole) != whole for f in found)
        else:
            won, cost = sum(f["gained"] > 0 for f in found), sum(not f["honest"] for f in found)
        lines.append(f"| {name} | {about['machine']} | {len(found)} | {won} | {cost} |")
    return lines


def deserves(attack: Attack, assignment: Assignment) -> str:
    points = {
        e.name: sum(item.check.points for item in assignment.prepare(0)[e.name])
        for e in assignment.exercises
    }
    whole = 100 - sum(points[name] for name in attack.loses_whole)
    return f"{'< ' if attack.loses != attack.loses_whole else ''}{whole:g}"


def result(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    if "note" in found:
        return str(found["note"])
    return f"**{found['score']:g}**" if found["gained"] else f"{found['score']:g}"


def of_nbgrader(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    if "note" in found:
        return str(found["note"])
    score, due = found["score"], found["deserves"]
    text = "no score" if score is None else f"{score:g}"
    text = f"**{text}** of {due:g}" if score is not None and score > due else f"{text} of {due:g}"
    if not found["ended"]:
        text += f"; autograde was ended after {LIMIT} s"
    honest = found.get("honest", POINTS * len(TESTS))
    if honest != POINTS * len(TESTS):
        text += f"; the honest one after it: **{'no score' if honest is None else f'{honest:g}'}**"
    return text


def escaped(text: str) -> str:
    # Paths of this machine say nothing to others.
    text = re.sub(r"(/[\w.+-]+)+(/[\w.+-]+)", r"…\2", " ".join(text.split()))
    text = text if len(text) <= 240 else text[:239] + "…"
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    main()
