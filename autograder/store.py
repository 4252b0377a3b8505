"""Graded submissions, kept under what their grading depends on, so that none is graded twice.

A file a result, written whole or not at all, named by its key: the notebook's bytes, the code of
the checks and of all that judges, the packages' versions, the seed and the isolation asked for.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import msgspec

import gradus
from autograder import calibration
from autograder.adapters import write_whole
from autograder.assignment import Assignment
from autograder.checks import TOPICS
from autograder.report import Graded
from autograder.sandbox.client import IsolationChoice

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "hypothesis", "ipython", "msgspec")
KINDS = ("checks.public", "checks.hidden", "misconceptions")  # of modules, one a topic


class Store:
    """The results of one assignment in a folder; makes it when the first is kept."""

    def __init__(
        self,
        folder: Path,
        assignment: Assignment,
        seed: int = 0,
        isolation: IsolationChoice = "auto",
    ) -> None:
        self._folder = folder
        self._depends_on = [*_code(assignment.name), *_versions(), f"{seed}", isolation]

    def key(self, submission: str) -> str:
        """The name under which the result of a submission, given by its SHA-256, is kept."""
        return hashlib.sha256("\n".join([submission, *self._depends_on]).encode()).hexdigest()

    def get(self, key: str) -> Graded | None:
        """What was kept under the key; None where nothing, or nothing readable, was."""
        try:
            return msgspec.json.decode((self._folder / f"{key}.json").read_bytes(), type=Graded)
        except (OSError, msgspec.MsgspecError):
            return None

    def put(self, key: str, graded: Graded) -> None:
        """Keeps a result. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / f"{key}.json", [msgspec.json.encode(graded)])


def _versions() -> Iterator[str]:
    yield f"python {platform.python_version()}"
    for package in PACKAGES:
        yield f"{package} {version(package)}"


@functools.cache  # as modules are: in a server, a result is kept under the code that gave it
def _code(assignment: str) -> tuple[str, ...]:
    """The digests of the modules that judge the assignment, closed over imports, of its bounds
    and of its release."""
    files = {
        ".".join(path.relative_to(folder.parent).with_suffix("").parts): path
        for folder in (Path(__file__).parent, Path(gradus.__path__[0]))
        for path in folder.rglob("*.py")
    }
    waiting = ["autograder.grade", "autograder.sandbox.parent", "autograder.sandbox.worker"]
    waiting += [f"autograder.{kind}.{TOPICS[assignment]}" for kind in KINDS]
    found: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name in files and name not in found:
            source = files[name].read_bytes()
            found[name] = hashlib.sha256(source).hexdigest()
            waiting += _imports(source)
    release = Assignment(assignment).release_path.read_bytes()
    bounds = msgspec.json.encode(calibration.read().get(assignment, {}))
    return (
        *(f"{name} {digest}" for name, digest in sorted(found.items())),
        *(hashlib.sha256(data).hexdigest() for data in (bounds, release)),
    )


def _imports(source: bytes) -> Iterator[str]:
    """The modules that a source may import; some of the names are no modules."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
