"""Hostile submissions, and right but odd ones, through grade(): each gets the points it earned."""

import contextlib
import gc
import json
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import msgspec
import nbformat
import psutil
import pytest
import torch

from autograder.build import solution_notebook
from autograder.grade import grade, open_sandbox
from autograder.report import Report
from autograder.sandbox.client import IsolationUnavailable, Sandbox
from tests.hostile import ATTACKS, LIMITS, Attack, honest_notebook, lost, told
from tests.test_sandbox import scratch_folders, wait_until

ROOT = Path(__file__).resolve().parents[1]
# Where attacks try to write, and under which names.
OUTSIDE = ("/", "/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/etc", str(Path.home()), str(ROOT))
LEFT = (
    *("report.json", "results.json", "gradebook.db", "conftest.py", "gradus-left-here"),
    *("sitecustomize.py", "usercustomize.py", "planted.pth", ".ipython/profile_default"),
)
INSTALLED = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), torch.__path__[0])


@pytest.fixture(scope="module")
def strict() -> Iterator[Sandbox]:
    """A sandbox in which nothing takes long."""
    with open_sandbox("auto", LIMITS) as opened:
        yield opened


ALONE = [
    pytest.param(name, marks=[] if name == "auto" else pytest.mark.slow)
    for name in ("auto", "namespaces", "bubblewrap", "landlock")
]


@pytest.fixture(scope="module", params=ALONE)
def alone(request: pytest.FixtureRequest) -> Iterator[tuple[Sandbox, int]]:
    """The same in each isolation that this machine offers, and its processes when it is idle."""
    try:
        with open_sandbox(request.param, LIMITS) as opened:
            yield opened, processes(opened)
    except IsolationUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def undisturbed(convolution) -> Report:
    """What somebody else's submission gets where no attack has been."""
    with open_sandbox("auto", LIMITS) as fresh:
        return grade(honest_notebook(convolution), convolution, sandbox=fresh)


def outside() -> set[str]:
    """What there is where no submission may write, as far as the attacks try to."""
    left = {os.path.join(folder, name) for folder in OUTSIDE for name in LEFT}
    there = {os.path.join(path, name) for path in INSTALLED for name in os.listdir(path)}
    return {path for path in left if os.path.lexists(path)} | there


def processes(sandbox: Sandbox) -> int:
    """How many of the sandbox's processes are alive."""
    alive = 0
    for process in psutil.Process(sandbox._process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            alive += process.status() != psutil.STATUS_ZOMBIE
    return alive


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(attack, id=attack.name, marks=[pytest.mark.slow] if attack.slow else [])
        for attack in map(Attack.read, ATTACKS)
    ],
)
def test_an_attack_gains_nothing_and_costs_nobody_else(attack, convolution, alone, undisturbed):
    sandbox, idle = alone
    gc.collect()
    there, descriptors = outside(), os.listdir("/proc/self/fd")
    data = attack.notebook(convolution)
    report = grade(data, convolution, sandbox=sandbox)
    if attack.again:
        report = grade(data, convolution, sandbox=sandbox)
    next_one = grade(honest_notebook(convolution), convolution, sandbox=sandbox)

    if attack.ends and os.getuid() and sandbox.isolation != "namespaces":
        assert report.score < 100
        assert "wrote more files than a submission may" in told(report)
    else:
        assert set(lost(report)) == attack.loses, told(report)
        assert {n for n in lost(report) if not lost(report)[n]} >= attack.loses_whole, told(report)
        assert report.score == 100 - sum(
            e.max_score - e.score for e in report.exercises if e.name in attack.loses
        )
    if attack.fault:
        kind, where = attack.fault.split(" ", 1)
        found = [f for f in report.faults if f.kind == kind and where in f.where]
        assert found, told(report)
        assert where in f"{found[0].where} {found[0].message}"
    assert len(report.to_json()) < 10**6
    assert Report.from_json(report.to_json()) == report

    same = {"isolation": undisturbed.isolation}
    assert msgspec.structs.replace(next_one.without_times(), **same) == undisturbed.without_times()
    assert outside() == there
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= len(descriptors)
    assert wait_until(lambda: processes(sandbox) == idle), "something outlives its submission"
    assert wait_until(lambda: not scratch_folders(sandbox))


def test_each_attack_says_what_it_is_about():
    attacks = [Attack.read(path) for path in ATTACKS]
    assert len({attack.idea for attack in attacks}) == len(attacks) >= 65
    for attack in attacks:
        assert attack.idea.endswith("."), attack.name
        assert attack.where, attack.name


def test_the_source_of_a_stand_in_is_not_told(convolution, strict):
    # The grader lends a right conv_output_size where the student's is wrong.
    attack = Attack.read(ROOT / "tests" / "attacks" / "steals_the_stand_in.py")
    report = grade(attack.notebook(convolution), convolution, sandbox=strict)
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


@pytest.mark.parametrize(
    ("before", "costs"),
    [
        ("assert torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), kernel).sum() == 16\n", False),
        ("table = torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), kernel)\n", False),
        ("1 / 0\n", True),
    ],
)
def test_a_cell_may_use_what_its_exercise_forbids_for_a_comparison(
    before, costs, convolution, strict
):
    notebook = solution_notebook(convolution)
    (cell,) = (c for c in notebook.cells if c["id"] == "conv2d")
    cell["source"] = f"kernel = torch.ones(1, 1, 2, 2)\n{before}{cell['source']}"
    report = grade(nbformat.writes(notebook).encode(), convolution, sandbox=strict)
    assert ("conv2d" in lost(report)) == costs, told(report)


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
