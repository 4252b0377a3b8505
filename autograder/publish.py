"""The published code: what students and sandboxed workers get, and nothing else.

What is published is listed, not what is withheld, so that a new file is withheld until someone
decides otherwise.
"""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterable
from pathlib import Path

import gradus

PACKAGE = Path(__file__).resolve().parent
FOR_STUDENTS = (
    *("__init__.py", "check.py", "feedback.py", "notebook.py", "operations.py", "report.py"),
    *("show.py", "strategies.py", "subject.py"),
    *("checks/__init__.py", "checks/public/__init__.py"),
    *("sandbox/__init__.py", "sandbox/wire.py"),
)
FOR_WORKERS = ("messages.py", "isolation.py", "parent.py", "worker.py")


def write_for_workers(folder: Path) -> None:
    """Writes the packages that a sandboxed worker may import into `folder`."""
    write_for_students(folder)
    for name in FOR_WORKERS:
        shutil.copy(PACKAGE / "sandbox" / name, folder / "autograder" / "sandbox" / name)


def write_for_students(folder: Path) -> None:
    """Writes the library without the withheld modules, and the public checks, into `folder`."""
    topics = [path.stem for path in (PACKAGE / "checks" / "public").glob("[!_]*.py")]
    names = [*FOR_STUDENTS, *(f"checks/public/{topic}.py" for topic in topics)]
    for name in names:
        target = folder / "autograder" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / name, target)
    library = Path(gradus.__path__[0])
    modules = {path.stem: path for path in library.glob("*.py")}
    (folder / "gradus").mkdir(parents=True, exist_ok=True)
    for name in modules.keys() - withheld(modules, topics):
        shutil.copy(modules[name], folder / "gradus" / modules[name].name)


def withheld(modules: dict[str, Path], topics: Iterable[str]) -> set[str]:
    """The modules that an assignment asks for, and every module that imports one of them."""
    hidden = set(topics)
    while True:
        found = {name for name, path in modules.items() if _imports(path) & hidden} | hidden
        if found == hidden:
            return hidden
        hidden = found


def _imports(path: Path) -> set[str]:
    """The modules of gradus that a module of gradus imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = f"gradus.{node.module or ''}".rstrip(".") if node.level else node.module or ""
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {name.split(".")[1] for name in names if name.startswith("gradus.")}
