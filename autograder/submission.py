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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import nbformat

from autograder.assignment import Assignment, defined_names, used_names
from autograder.check import Exercise
from autograder.report import Fault

MAX_BYTES = 32 * 2**20
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


@dataclass
class Submission:
    """What a notebook holds for grading. `cells` are the ones to run, in order."""

    notebook: dict[str, Any]
    cells: list[Cell]
    faults: list[Fault] = field(default_factory=list)
    found: set[str] = field(default_factory=set)  # exercises whose cell is there

    def sources_used_by(self, exercise: Exercise) -> dict[str, ast.stmt]:
        """The top-level definitions that an exercise's functions consist of, by name."""
        definitions: dict[str, ast.stmt] = {}
        for cell in self.cells:
            for node in _parse(cell.source):
                definitions |= dict.fromkeys(defined_names(node), node)
        return {n: definitions[n] for n in sorted(used_names(definitions, exercise.defines))}

    def forbidden_in_source(self, exercise: Exercise) -> list[str]:
        """The imported things that an exercise's functions name and that it forbids."""
        if not exercise.forbids_in_source:
            return []
        imported: dict[str, str] = {}
        for cell in self.cells:
            for node in ast.walk(ast.Module(_parse(cell.source), [])):
                if isinstance(node, ast.Import):
                    for alias in node.names:
                        root = alias.name if alias.asname else alias.name.split(".")[0]
                        imported[alias.asname or root] = root
                elif isinstance(node, ast.ImportFrom):
                    for alias in node.names:
                        imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        names = set()
        for definition in self.sources_used_by(exercise).values():
            own = {n.arg for n in ast.walk(definition) if isinstance(n, ast.arg)}
            for expression in ast.walk(definition):
                dotted = _dotted(expression)
                root = dotted.split(".")[0]
                if root in imported and root not in own:
                    names.add(imported[root] + dotted[len(root) :])
        return sorted(n for n in names if re.search(exercise.forbids_in_source, n))


def read_file(path: Path) -> bytes:
    """The bytes of a regular file of bounded size; raises UnreadableNotebook."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "it is a link" if os.path.islink(path) else error.strerror
        raise UnreadableNotebook(f"{path.name} can't be read: {why}") from None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableNotebook(f"{path.name} is no regular file")
        if status.st_size > MAX_BYTES:
            raise UnreadableNotebook(f"{path.name} is larger than {MAX_BYTES // 2**20} MiB")
        return file.read(MAX_BYTES + 1)


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
    for index, raw in enumerate(notebook["cells"]):
        source = _source(raw)
        if raw.get("cell_type") != "code":
            continue
        grade_id = _grade_id(raw) or ids.get(str(raw.get("id")), "")
        cell = Cell(f"cell {index + 1}", source, "plain", index)
        cells.append(cell)
        if grade_id.startswith("check-") or _only_checks(source):
            cell.role = "check"
            if grade_id in released:
                cell.name = grade_id
                _compare_points(raw, released[grade_id], grade_id, faults)
            continue
        defined = {
            by_name[n] for node in _parse(source) for n in defined_names(node) if n in by_name
        }
        if grade_id in exercises:
            cell.role, cell.name = "solution", grade_id
            owners[grade_id].append(cell)
        elif "experiment" in _tags(raw):
            cell.role = "experiment"
        elif len(defined) == 1:
            (owner,) = defined
            cell.role, cell.name = "solution", owner
            owners[owner].append(cell)
    _settle(owners, released, cells, faults, notebook)
    found = {name for name, own in owners.items() if own}
    run = [cell for cell in cells if cell.role in ("solution", "plain") and cell.source.strip()]
    return Submission(notebook, run, faults, found)


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
            blank = _source(released.get(name, {})).strip()
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
            notebook = dict(nbformat.convert(nbformat.from_dict(notebook), 4))
        except Exception as error:  # nbformat's converters trust their input
            raise UnreadableNotebook(f"the notebook's old format can't be read ({error})") from None
        message = "The notebook is in the old format 3; it was converted to format 4."
        faults.append(Fault("notebook", "", message))
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise UnreadableNotebook("the file is not a notebook: it has no list of cells")
    notebook["cells"] = [cell for cell in cells if isinstance(cell, dict)]
    return notebook


def _source(cell: Any) -> str:
    source = cell.get("source", "")
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def _metadata(cell: Any) -> dict[str, Any]:
    metadata = cell.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _nbgrader(cell: Any) -> dict[str, Any]:
    nbgrader = _metadata(cell).get("nbgrader")
    return nbgrader if isinstance(nbgrader, dict) else {}


def _grade_id(cell: Any) -> str:
    grade_id = _nbgrader(cell).get("grade_id")
    return grade_id if isinstance(grade_id, str) else ""


def _tags(cell: Any) -> list[Any]:
    tags = _metadata(cell).get("tags")
    return tags if isinstance(tags, list) else []


def _parse(source: str) -> list[ast.stmt]:
    """The statements of a cell, its magics left out; none where it doesn't parse."""
    lines = (re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in source.splitlines())
    try:
        return ast.parse("\n".join(lines)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _only_checks(source: str) -> bool:
    """True for a cell that does nothing but call the check function."""
    calls = [node.value for node in _parse(source) if isinstance(node, ast.Expr)]
    return (
        bool(calls)
        and all(
            isinstance(call, ast.Call) and _dotted(call.func).split(".")[0] == "check"
            for call in calls
        )
        and len(calls) == len(_parse(source))
    )


def _dotted(node: ast.AST) -> str:
    """`a.b.c` for such an expression, and the empty string for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""
