"""`gradus build`: from the solutions' text to the notebooks that students receive."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode
from nbgrader.apps import NbGraderAPI
from traitlets.config import Config

from autograder.assignment import Assignment


class BuildError(RuntimeError):
    """A notebook can't be built; the message says what to change."""


def solution_notebook(
    assignment: Assignment, sources: dict[str, str] | None = None
) -> NotebookNode:
    """The notebook with its solutions and nbgrader's metadata; `sources` replaces the code of
    some exercises' cells, which is how wrong and unusual solutions get into a notebook."""
    notebook: NotebookNode = jupytext.read(assignment.solution_path)
    notebook.metadata.pop("jupytext", None)
    known = {exercise.name for exercise in assignment.exercises}
    seen: list[str] = []
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:03}"
        exercise, check = cell.metadata.pop("exercise", ""), cell.metadata.pop("check", "")
        if (exercise or check or next(iter(known))) not in known:
            raise BuildError(f"cell {index + 1} is for an unknown exercise: {exercise or check}")
        if exercise:
            cell["id"] = exercise
            cell.metadata["nbgrader"] = _metadata(exercise, solution=True)
            cell.source = (sources or {}).get(exercise, cell.source)
        elif check:
            cell["id"] = f"check-{check}"
            cell.metadata["nbgrader"] = _metadata(f"check-{check}", grade=True, locked=True)
            value = assignment.points(check)
            cell.metadata["nbgrader"]["points"] = int(value) if value == int(value) else value
        seen.append(exercise or (f"check-{check}" if check else ""))
    for name in sorted(known):
        if seen.count(name) != 1 or seen.count(f"check-{name}") != 1:
            raise BuildError(f"{assignment.name} needs one cell and one check cell for {name}")
    return notebook


def _metadata(
    grade_id: str, solution: bool = False, grade: bool = False, locked: bool = False
) -> NotebookNode:
    fields: dict[str, Any] = {"grade": grade, "grade_id": grade_id, "locked": locked}
    return NotebookNode({**fields, "schema_version": 3, "solution": solution, "task": False})


def put_tools_on_path() -> None:
    """nbgrader starts alembic by name; without activation it is only beside Python."""
    beside_python = str(Path(sys.executable).parent)
    if beside_python not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([beside_python, os.environ.get("PATH", "")])


def release_notebook(assignment: Assignment) -> str:
    """The notebook that students receive, as text, made by nbgrader's generate_assignment."""
    name = assignment.name
    with tempfile.TemporaryDirectory(prefix="gradus-build-") as folder:
        source = Path(folder) / "source" / name / f"{name}.ipynb"
        source.parent.mkdir(parents=True)
        nbformat.write(solution_notebook(assignment), source)
        put_tools_on_path()
        config = Config()
        config.CourseDirectory.root = folder
        config.CourseDirectory.db_url = f"sqlite:///{folder}/gradebook.db"
        api = NbGraderAPI(config=config)
        api.log_level = logging.ERROR
        outcome = api.generate_assignment(name, create=True)
        if not outcome["success"]:
            raise BuildError(f"nbgrader could not generate {name}:\n{outcome.get('log', '')}")
        released = Path(folder) / "release" / name / f"{name}.ipynb"
        notebook = json.loads(released.read_text(encoding="utf-8"))
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def is_fresh(assignment: Assignment) -> bool:
    """Whether the released notebook is there, and what its solution builds."""
    path = assignment.release_path
    return path.exists() and path.read_bytes() == release_notebook(assignment).encode()


def build(assignment: Assignment) -> bool:
    """Writes the released notebook; True where it changed."""
    path = assignment.release_path
    text = release_notebook(assignment)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True
