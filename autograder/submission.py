"""A submitted notebook, read as data: which cells to run, and which one is whose exercise.

Nothing is executed here. What another editor lost or a student moved is understood where it is
unambiguous, and noted; the points in the notebook's metadata never count.
"""

from __future__ import annotations

import ast
import json
import os
import re
import stat
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import nbformat

from autograder.assignment import Assignment, defined_names, used_names
from autograder.check import Exercise
from autograder.report import Fault

MAX_BYTES = 32 * 2**20
MAX_CODE = 2**19  # characters; their syntax tree takes up to a thousand times as many bytes
BLOCKING = re.compile(r"autograder\.(operations|sandbox|subject)\b")
HIDDEN_WAYS = re.compile(
    r"(ctypes|torch\._(decomp|refs|prims)|sys\.modules|"
    r"importlib|__import__|__builtins__|exec|eval)$"
)
CHECK_CALL = re.compile(r"""check\(["'](\w+)["']\)""")
Role = Literal["solution", "check", "experiment", "plain"]


class UnreadableNotebook(ValueError):
    """The file is no notebook that could be graded; the message says why."""


@dataclass
class Cell:
    """A code cell; `name` is how faults call it."""

    name: str
    source: str
    role: Role
    index: int = 0  # its place among all of the notebook's cells

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """The cell's statements, its magics left out; none where it doesn't parse."""
        lines = (re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in self.source.splitlines())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a student's style
                return ast.parse("\n".join(lines)).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []


@dataclass
class Submission:
    """What a notebook holds for grading. `cells` are the ones to run, in order."""

    notebook: dict[str, Any]
    cells: list[Cell]
    faults: list[Fault] = field(default_factory=list)
    found: set[str] = field(default_factory=set)  # exercises whose cell is there
    # The grade_id of the cells that have one and count, by their place among all cells.
    grade_ids: dict[int, str] = field(default_factory=dict)

    def sources_used_by(self, exercise: Exercise) -> dict[str, ast.stmt]:
        """The top-level definitions that an exercise's functions consist of, by name."""
        names = sorted(used_names(self._definitions, exercise.defines))
        return {name: self._definitions[name] for name in names}

    @cached_property
    def _definitions(self) -> dict[str, ast.stmt]:
        definitions: dict[str, ast.stmt] = {}
        for cell in self.cells:
            for node in cell.statements:
                definitions |= dict.fromkeys(defined_names(node), node)
        return definitions

    @cached_property
    def hidden_ways(self) -> list[str]:
        """What the notebook names that could lead to what is forbidden and not torch's operations:
        native code, torch's Python copies of them, libraries by a hidden name.

        No proof of anything: something for a person to look at.
        """
        nodes = (node for cell in self.cells for top in cell.statements for node in ast.walk(top))
        return sorted({name for name in map(_dotted, nodes) if HIDDEN_WAYS.match(name)})

    def forbidden_in_source(self, exercise: Exercise) -> list[str]:
        """The imported things that an exercise's functions name and that it forbids; and, where
        it forbids operations, imports anywhere of the modules that block them."""
        if not exercise.forbids:
            return []
        imported, modules = self._imports
        names: set[str] = set()
        for definition in self.sources_used_by(exercise).values():
            own = {n.arg for n in ast.walk(definition) if isinstance(n, ast.arg)}
            for expression in ast.walk(definition):
                dotted = _dotted(expression)
                root = dotted.split(".")[0]
                if root in imported and root not in own:
                    names.add(imported[root] + dotted[len(root) :])
        pattern = exercise.forbids_in_source
        found = {name for name in names if pattern and re.search(pattern, name)}
        return sorted(found | {module for module in modules if BLOCKING.match(module)})

    @cached_property
    def _imports(self) -> tuple[dict[str, str], set[str]]:
        """What each imported name stands for, and everything that is imported."""
        imported: dict[str, str] = {}
        modules: set[str] = set()
        for cell in self.cells:
            for node in ast.walk(ast.Module(cell.statements, [])):
                if isinstance(node, ast.Import):
                    modules |= {alias.name for alias in node.names}
                    for alias in node.names:
                        root = alias.name if alias.asname else alias.name.split(".")[0]
                        imported[alias.asname or root] = root
                elif isinstance(node, ast.ImportFrom):
                    modules |= {f"{node.module}.{alias.name}" for alias in node.names}
                    for alias in node.names:
                        imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return imported, modules


def read_file(path: Path) -> bytes:
    """The bytes of a regular file of bounded size; raises UnreadableNotebook."""
    name = os.fsencode(path.name).decode("utf-8", "replace")  # it may be no text
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "it is a link" if os.path.islink(path) else error.strerror
        raise UnreadableNotebook(f"{name} can't be read: {why}") from None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise UnreadableNotebook(f"{name} is no regular file")
    with os.fdopen(fd, "rb") as file:
        if status.st_size > MAX_BYTES:
            raise UnreadableNotebook(f"{name} is larger than {MAX_BYTES // 2**20} MiB")
        return file.read(MAX_BYTES + 1)


def bytes_of(notebook: Path | bytes | UnreadableNotebook) -> bytes:
    """A notebook's bytes; raises UnreadableNotebook, also one that was met where it was read."""
    if isinstance(notebook, UnreadableNotebook):
        raise notebook
    return notebook if isinstance(notebook, bytes) else read_file(notebook)


def read_submission(data: bytes, assignment: Assignment) -> Submission:
    """Reads a notebook's bytes; raises UnreadableNotebook where they are none."""
    faults: list[Fault] = []
    notebook = _parse_notebook(data, faults)
    release = assignment.release
    released = {_grade_id(cell): cell for cell in release["cells"] if _grade_id(cell)}
    ids = {cell["id"]: _grade_id(cell) for cell in release["cells"] if _grade_id(cell)}
    by_name = {name: e.name for e in assignment.exercises for name in e.defines}
    exercises = {exercise.name for exercise in assignment.exercises}

    cells = []
    owners: dict[str, list[Cell]] = {name: [] for name in exercises}
    grade_ids: dict[int, str] = {}
    for index, raw in enumerate(notebook["cells"]):
        source = source_of(raw)
        grade_id = _grade_id(raw) or ids.get(str(raw.get("id")), "")
        if (called := CHECK_CALL.fullmatch(source.strip())) and not grade_id:
            grade_id = f"check-{called[1]}"
        if grade_id in released and grade_id not in exercises:
            grade_ids = {i: name for i, name in grade_ids.items() if name != grade_id}
            grade_ids[index] = grade_id
        if raw.get("cell_type") != "code":
            continue
        cell = Cell(f"cell {index + 1}", source, "plain", index)
        cells.append(cell)
        if grade_id.startswith("check-") or _only_checks(cell.statements):
            cell.role = "check"
            if grade_id in released:
                cell.name = grade_id
                _compare_points(raw, released[grade_id], grade_id, faults)
            continue
        defined = {
            by_name[n] for node in cell.statements for n in defined_names(node) if n in by_name
        }
        if grade_id in exercises:
            cell.role, cell.name = "solution", grade_id
            owners[grade_id].append(cell)
        elif "experiment" in tags_of(raw):
            cell.role = "experiment"
        elif len(defined) == 1:
            (owner,) = defined
            cell.role, cell.name = "solution", owner
            owners[owner].append(cell)
    _settle(owners, released, cells, faults, notebook)
    found = {name for name, own in owners.items() if own}
    for name, own in owners.items():
        counting = [cell.index for cell in own if cell in cells]
        grade_ids |= {counting[-1]: name} if counting else {}
    run = [cell for cell in cells if cell.role in ("solution", "plain") and cell.source.strip()]
    return Submission(notebook, run, faults, found, grade_ids)


def _settle(
    owners: dict[str, list[Cell]],
    released: dict[str, Any],
    cells: list[Cell],
    faults: list[Fault],
    notebook: dict[str, Any],
) -> None:
    """Notes what is unusual about the solution cells, and sets blank copies aside."""
    for name, own in owners.items():
        if not own:
            message = f"No cell defines {name}: its cell {name!r} was deleted or renamed."
            faults.append(Fault("notebook", name, message))
            continue
        lost = [cell for cell in own if _grade_id(notebook["cells"][cell.index]) != name]
        if len(lost) == len(own):
            message = (
                f"The cell {name!r} has lost its nbgrader id; it was found by what it defines."
            )
            faults.append(Fault("notebook", name, message))
        if len(own) > 1:
            blank = source_of(released.get(name, {})).strip()
            begun = [cell for cell in own if cell.source.strip() != blank]
            for cell in own:
                if begun and cell not in begun:
                    cells.remove(cell)
            if len({cell.source.strip() for cell in own}) > 1 and len(begun) > 1:
                message = f"There are {len(begun)} cells {name!r}; the last one counts."
                faults.append(Fault("notebook", name, message))


def _compare_points(raw: Any, released: Any, grade_id: str, faults: list[Fault]) -> None:
    given = _nbgrader(raw).get("points", _nbgrader(released).get("points"))
    if given != _nbgrader(released).get("points"):
        message = f"The points of the cell {grade_id!r} were changed; the assignment's own count."
        faults.append(Fault("notebook", grade_id, message))


def _parse_notebook(data: bytes, faults: list[Fault]) -> dict[str, Any]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        faults.append(Fault("notebook", "", "The file is not UTF-8; it was read as Latin-1."))
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableNotebook(f"the file is not a notebook: it is not JSON ({error})") from None
    if not isinstance(notebook, dict):
        raise UnreadableNotebook("the file is not a notebook: its JSON is no object")
    if isinstance(notebook.get("worksheets"), list) or notebook.get("nbformat") == 3:
        try:
            read = nbformat.reader.reads(json.dumps({**notebook, "nbformat": 3}))
            notebook = dict(nbformat.convert(read, 4))
        except Exception as error:  # nbformat's converters trust their input
            raise UnreadableNotebook(f"the notebook's old format can't be read ({error})") from None
        message = "The notebook is in the old format 3; it was converted to format 4."
        faults.append(Fault("notebook", "", message))
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise UnreadableNotebook("the file is not a notebook: it has no list of cells")
    cells = [cell for cell in cells if isinstance(cell, dict)]
    notebook["cells"] = cells
    if sum(len(source_of(cell)) for cell in cells if cell.get("cell_type") == "code") > MAX_CODE:
        raise UnreadableNotebook(f"the notebook's code is longer than {MAX_CODE // 1024} KiB")
    return notebook


def source_of(cell: Any) -> str:
    """A cell's source as text, whatever stands in its place."""
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    # JSON may hold half a character ("\ud800"), which no text can.
    return source.encode("utf-8", "replace").decode() if isinstance(source, str) else ""


def _metadata(cell: Any) -> dict[str, Any]:
    metadata = cell.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _nbgrader(cell: Any) -> dict[str, Any]:
    nbgrader = _metadata(cell).get("nbgrader")
    return nbgrader if isinstance(nbgrader, dict) else {}


def _grade_id(cell: Any) -> str:
    grade_id = _nbgrader(cell).get("grade_id")
    return grade_id if isinstance(grade_id, str) else ""


def tags_of(cell: Any) -> list[Any]:
    """A cell's tags; they may be anything."""
    tags = _metadata(cell).get("tags")
    return tags if isinstance(tags, list) else []


def _only_checks(statements: list[ast.stmt]) -> bool:
    """True for a cell that does nothing but call the check function."""
    calls = [node.value for node in statements if isinstance(node, ast.Expr)]
    return (
        bool(calls)
        and all(
            isinstance(call, ast.Call) and _dotted(call.func).split(".")[0] == "check"
            for call in calls
        )
        and len(calls) == len(statements)
    )


def _dotted(node: ast.AST) -> str:
    """`a.b.c` for such an expression, and the empty string for any other."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""
