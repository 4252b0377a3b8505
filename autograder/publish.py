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
    *("__init__.py", "check.py", "feedback.py", "fixtures.py", "notebook.py", "operations.py"),
    "report.py",
    *("show.py", "strategies.py", "subject.py"),
    *("checks/__init__.py", "checks/public/__init__.py"),
    *("sandbox/__init__.py", "sandbox/wire.py"),
)
LIBRARY = ("__init__", "data", "device", "plots", "training")
FOR_WORKERS = ("messages.py", "isolation.py", "parent.py", "worker.py")


def write_for_workers(folder: Path) -> None:
    """Writes the packages that a sandboxed worker may import into `folder`."""
    write_for_students(folder)
    for name in FOR_WORKERS:
        shutil.copy(PACKAGE / "sandbox" / name, folder / "autograder" / "sandbox" / name)


def write_for_students(folder: Path) -> None:
    """Writes the library without the withheld modules, and the public checks, into `folder`."""
    for name, source in for_students().items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def for_students() -> dict[str, Path]:
    """The library without the withheld modules, and the public checks: names and files."""
    topics = [path.stem for path in (PACKAGE / "checks" / "public").glob("[!_]*.py")]
    names = [*FOR_STUDENTS, *(f"checks/public/{topic}.py" for topic in topics)]
    modules = {path.stem: path for path in Path(gradus.__path__[0]).glob("*.py")}
    free = modules.keys() - withheld(modules, [*topics, *(modules.keys() - set(LIBRARY))])
    return {f"autograder/{name}": PACKAGE / name for name in names} | {
        f"gradus/{name}.py": modules[name] for name in free
    }


def withheld(modules: dict[str, Path], names: Iterable[str]) -> set[str]:
    """The modules of these names, and every module that imports one of them, directly or not."""
    hidden = set(names)
    while True:
        found = {name for name, path in modules.items() if _imports(path) & hidden} | hidden
        if found == hidden:
            return hidden
        hidden = found


def _imports(path: Path) -> set[str]:
    """The modules of gradus that a module of gradus imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = f"gradus.{node.module or ''}".rstrip(".") if node.level else node.module or ""
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {name.split(".")[1] for name in names if name.startswith("gradus.")}
