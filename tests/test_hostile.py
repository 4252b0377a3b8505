"""Hostile submissions, and right but odd ones, through grade(): each gets the points it earned.

A file of tests/attacks is one attack. Its first line says the idea; the next ones say where its
code goes ("where": the exercises whose solution cells it replaces, or the first or last cell),
which exercises it costs ("costs", all of their points; with a minus, only some), and which fault
is due ("fault": its kind and what it names).
"""

import gc
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from autograder.build import solution_notebook
from autograder.grade import grade, open_sandbox
from autograder.report import Report
from autograder.sandbox.client import Sandbox
from autograder.sandbox.messages import Limits

ATTACKS = sorted((Path(__file__).parent / "attacks").glob("*.py"))
LIMITS = Limits(
    cell_seconds=4.0,
    call_seconds=4.0,
    exercise_seconds=6.0,
    submission_seconds=60.0,
    memory_bytes=2**30,
)


@dataclass
class Attack:
    """What the comments at the head of an attack say."""

    idea: str
    where: list[str]
    costs: list[str]
    fault: str
    source: str

    @classmethod
    def read(cls, path: Path) -> "Attack":
        source = path.read_text()
        fields = dict(re.findall(r"^# (where|costs|fault): (.*)$", source, re.MULTILINE))
        idea = source.splitlines()[0].removeprefix("# ")
        words = {key: fields.get(key, "").split() for key in ("where", "costs")}
        return cls(idea, words["where"], words["costs"], fields.get("fault", ""), source)


@pytest.fixture(scope="module")
def strict() -> Iterator[Sandbox]:
    """A sandbox in which nothing takes long."""
    with open_sandbox("auto", LIMITS) as opened:
        yield opened


def submission(assignment, attack: Attack) -> bytes:
    if attack.where in (["first"], ["last"]):
        notebook = solution_notebook(assignment)
        cell = nbformat.v4.new_code_cell(attack.source)
        notebook.cells.insert(0 if attack.where == ["first"] else len(notebook.cells), cell)
    else:
        first, *others = attack.where
        sources = {first: attack.source} | dict.fromkeys(others, "# in another cell")
        notebook = solution_notebook(assignment, sources)
    return nbformat.writes(notebook).encode()


def lost(report: Report) -> dict[str, float]:
    """The exercises that lost points, and the points that they kept."""
    return {e.name: e.score for e in report.exercises if e.score < e.max_score}


def told(report: Report) -> str:
    faults = [f"{fault.kind} {fault.where}: {fault.message}" for fault in report.faults]
    checks = [
        f"{e.name}, {c.name}: {c.message}"
        for e in report.exercises
        for c in e.checks
        if not c.passed
    ]
    return "\n".join([*faults, *checks])


@pytest.mark.parametrize("path", ATTACKS, ids=lambda path: path.stem)
def test_an_attack_gains_nothing_and_costs_nobody_else(path, convolution, strict):
    attack = Attack.read(path)
    report = grade(submission(convolution, attack), convolution, sandbox=strict)

    whole = {name for name in attack.costs if not name.startswith("-")}
    some = {name[1:] for name in attack.costs if name.startswith("-")} - {""}
    assert set(lost(report)) == whole | some, told(report)
    assert {name for name, score in lost(report).items() if score == 0} >= whole, told(report)
    assert report.score == 100 - sum(
        e.max_score - e.score for e in report.exercises if e.name in whole | some
    )
    assert attack.idea.endswith(".")
    if attack.fault:
        kind, where = attack.fault.split(" ", 1)
        found = [f for f in report.faults if f.kind == kind and where in f.where]
        assert found, told(report)
        assert where in f"{found[0].where} {found[0].message}"
    assert len(report.to_json()) < 10**6
    assert Report.from_json(report.to_json()) == report
    gc.collect()


def test_the_source_of_a_stand_in_is_not_told(convolution, strict):
    # The grader lends a right conv_output_size where the student's is wrong.
    attack = Attack.read(Path(__file__).parent / "attacks" / "steals_the_stand_in.py")
    report = grade(submission(convolution, attack), convolution, sandbox=strict)
    assert "span" not in told(report)
    assert "def conv_output_size" not in told(report)


# Right, but odd.

PAD = """
def zero_pad2d(x, padding):
    left, right, top, bottom = padding
    b, c, h, w = x.shape
    out = x.new_zeros(b, c, top + h + bottom, left + w + right)
    out[:, :, top : top + h, left : left + w] = x
    return out
"""
FIELD = """
def receptive_field(layers):
    extent = 1
    for kernel_size, stride, dilation in reversed(layers):
        extent = (extent - 1) * stride + dilation * (kernel_size - 1) + 1
    return extent
"""
ODD = {
    "prints to stderr": (
        "receptive_field",
        "import sys, warnings\n"
        + FIELD.replace("    extent = 1\n", "    extent = 1\n    print('x', file=sys.stderr)\n"),
    ),
    "warns and logs": (
        "receptive_field",
        "import logging, warnings\nwarnings.warn('old'); logging.error('hm')" + FIELD,
    ),
    "times its cell": ("receptive_field", "%%time" + FIELD),
    "times a line": ("receptive_field", FIELD + "%time receptive_field([(3, 1, 1)])"),
    "runs a command": ("receptive_field", "!echo hello" + FIELD + "files = !ls"),
    "keeps a command's output": ("receptive_field", "files = !echo a b\nassert files" + FIELD),
    "awaits": (
        "receptive_field",
        "import asyncio\nawait asyncio.sleep(0)" + FIELD + "await asyncio.sleep(0)",
    ),
    "plots": (
        "receptive_field",
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()" + FIELD,
    ),
    "computes in a thread": (
        "receptive_field",
        FIELD.replace("receptive_field", "compute")
        + """
import threading
def receptive_field(layers):
    result = []
    thread = threading.Thread(target=lambda: result.append(compute(layers)))
    thread.start()
    thread.join()
    return result[0]
""",
    ),
    "leaves a thread running": (
        "receptive_field",
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()" + FIELD,
    ),
    "answers a list for a tuple": (
        "same_padding",
        """
def same_padding(n, kernel_size, stride=1, dilation=1):
    size = -(-n // stride)
    total = max(0, (size - 1) * stride + dilation * (kernel_size - 1) + 1 - n)
    return [total // 2, total - total // 2]
""",
    ),
    "answers numpy's numbers": (
        "receptive_field",
        "import numpy as np" + FIELD.replace("return extent", "return np.int64(extent)"),
    ),
    "is redefined in the same cell": (
        "receptive_field",
        "def receptive_field(layers):\n    return 0\n" + FIELD,
    ),
    "is an object with __call__": (
        "receptive_field",
        "class Field:\n    def __call__(self, layers):\n        extent = 1\n"
        "        for k, s, d in reversed(layers):\n"
        "            extent = (extent - 1) * s + d * (k - 1) + 1\n        return extent\n"
        "receptive_field = Field()",
    ),
    "is a partial function": (
        "receptive_field",
        "import functools"
        + FIELD.replace("receptive_field(layers)", "compute(unused, layers)")
        + "receptive_field = functools.partial(compute, None)",
    ),
    "is decorated": (
        "receptive_field",
        "import functools\n@functools.lru_cache(maxsize=None)\ndef step(e, k, s, d):\n"
        "    return (e - 1) * s + d * (k - 1) + 1\n"
        "def receptive_field(layers):\n"
        "    return functools.reduce(lambda e, l: step(e, *l), reversed(layers), 1)",
    ),
    "is typed in the newest way": (
        "receptive_field",
        "from __future__ import annotations"
        + FIELD.replace("field(layers)", "field(layers: Layers | None)"),
    ),
    "uses assert, global state and a file": (
        "receptive_field",
        "calls = []\nopen('notes.txt', 'w').write('x')"
        + FIELD.replace("    extent = 1\n", "    extent = 1\n    calls.append(len(calls))\n"),
    ),
    "ends with an error below": ("receptive_field", FIELD + "assert receptive_field([]) == 7"),
    "prints text that is no Unicode": ("receptive_field", "print('\\ud800')" + FIELD),
    "answers a strided view": (
        "zero_pad2d",
        """
import torch
def zero_pad2d(x, padding):
    left, right, top, bottom = padding
    b, c, h, w = x.shape
    big = x.new_zeros(b, c, 7 * (top + h + bottom), 7 * (left + w + right))
    out = big[:, :, ::7, ::7]
    out[:, :, top : top + h, left : left + w] = x
    return out
""",
    ),
    "answers a parameter": (
        "zero_pad2d",
        PAD.replace("return out", "return out if out.requires_grad else torch.nn.Parameter(out)"),
    ),
    "compares with torch in its cell": (
        "zero_pad2d",
        PAD
        + "import torch.nn.functional as F\nx = torch.ones(1, 1, 3, 3)\n"
        + "assert F.conv2d(x, x).shape == (1, 1, 1, 1)\n"
        + "assert torch.equal(zero_pad2d(x, (1, 1, 1, 1)), F.pad(x, (1, 1, 1, 1)))",
    ),
}


@pytest.mark.parametrize("way", ODD)
def test_a_right_answer_in_an_odd_way_gets_all_points(way, convolution, strict):
    exercise, source = ODD[way]
    notebook = solution_notebook(convolution, {exercise: source})
    report = grade(nbformat.writes(notebook).encode(), convolution, sandbox=strict)
    assert not lost(report), told(report)


def test_helpers_in_other_cells_are_found(convolution, strict):
    notebook = solution_notebook(
        convolution,
        {"receptive_field": "def receptive_field(layers):\n    return compute(layers)"},
    )
    helper = FIELD.replace("receptive_field", "compute")
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%matplotlib inline\n" + helper))
    report = grade(nbformat.writes(notebook).encode(), convolution, sandbox=strict)
    assert report.score == 100, told(report)


def test_a_solution_further_down_counts_where_its_own_cell_is_blank(convolution, strict):
    notebook = json.loads(nbformat.writes(solution_notebook(convolution)))
    (cell,) = (c for c in notebook["cells"] if c["id"] == "receptive_field")
    cell["source"] = "def receptive_field(layers):\n    raise NotImplementedError"
    notebook["cells"].append(
        {"cell_type": "code", "metadata": {}, "source": FIELD, "outputs": [], "id": "new"}
    )
    report = grade(json.dumps(notebook).encode(), convolution, sandbox=strict)
    assert report.score == 100, told(report)


def test_the_same_submission_and_seed_give_the_same_report(convolution, strict):
    sources = {
        "receptive_field": "def receptive_field(layers):\n    return 1",
        "zero_pad2d": "def zero_pad2d(x, padding):\n    raise ValueError(object())",
        "conv2d": "import random\ndef conv2d(x, *a, **k):\n    return x * random.random()",
    }
    data = nbformat.writes(solution_notebook(convolution, sources)).encode()
    first = grade(data, convolution, sandbox=strict, seed=3)
    with open_sandbox("auto", LIMITS) as other:
        second = grade(data, convolution, sandbox=other, seed=3)
    assert first.without_times().to_json() == second.without_times().to_json()
