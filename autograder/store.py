"""Graded submissions, kept under what their grading depends on, so that none is graded twice.

A file a result, written whole or not at all, named by its key: the notebook's bytes, the code of
the checks and of all that judges, the packages' versions, the seed and the isolation asked for.
These stand in the file, too, so that one can say what was otherwise when an older result was kept.
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
OTHER_LINES = "other lines"
KINDS = ("checks.public", "checks.hidden", "misconceptions")  # of modules, one a topic


class Kept(Graded):
    """A result, and what its grading depended on, by name."""

    depends_on: dict[str, str] = msgspec.field(default_factory=dict)


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
        self._depends_on = {
            **depends_on(assignment.name),
            "seed": f"{seed}",
            "isolation": isolation,
        }

    def key(self, submission: str) -> str:
        """The name under which the result of a submission, given by its SHA-256, is kept."""
        on = [f"{name} {value}" for name, value in self._depends_on.items()]
        return hashlib.sha256("\n".join([submission, *on]).encode()).hexdigest()

    def get(self, key: str) -> Kept | None:
        """What was kept under the key, also by other code; None where nothing readable was."""
        try:
            return msgspec.json.decode((self._folder / f"{key}.json").read_bytes(), type=Kept)
        except (OSError, msgspec.MsgspecError):
            return None

    def changes(self, kept: Kept) -> list[str]:
        """What a result depended on that is otherwise now. Empty where the file doesn't tell."""
        return differences(kept.depends_on, self._depends_on) if kept.depends_on else []

    def put(self, key: str, graded: Graded) -> None:
        """Keeps a result. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = Kept(graded.report, graded.outputs, self._depends_on)
        write_whole(self._folder / f"{key}.json", [msgspec.json.encode(kept)])


def depends_on(assignment: str) -> dict[str, str]:
    """What any result depends on here, by name: the digests of the code, the packages' versions."""
    return {**_code(assignment), **_versions()}


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """The names of what is not the same in both."""
    names = dict.fromkeys([*one, *other])
    return [name for name in names if one.get(name) != other.get(name)]


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


@functools.cache  # as modules are: in a server, a result is kept under the code that gave it
def _code(assignment: str) -> dict[str, str]:
    """The digests of the modules that judge the assignment, closed over imports, of what its own
    ones define, of its bounds and of its release."""
    files = {
        ".".join(path.relative_to(folder.parent).with_suffix("").parts): path
        for folder in (Path(__file__).parent, Path(gradus.__path__[0]))
        for path in folder.rglob("*.py")
    }
    waiting = ["autograder.grade", "autograder.sandbox.parent", "autograder.sandbox.worker"]
    judging = [f"autograder.{kind}.{TOPICS[assignment]}" for kind in KINDS]
    waiting += judging
    found: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name in files and name not in found:
            source = files[name].read_bytes()
            tree = ast.parse(source)
            found[name] = _digest(source)
            waiting += _imports(tree)
            if name in judging:  # so that what changed can be told more exactly
                found |= _parts(name, tree)
    release = Assignment(assignment).release_path.read_bytes()
    bounds = msgspec.json.encode(calibration.read().get(assignment, {}))
    return {**dict(sorted(found.items())), "bounds": _digest(bounds), "release": _digest(release)}


def _parts(module: str, tree: ast.Module) -> dict[str, str]:
    """The digests of what a module defines, by "MODULE: NAME", and of its other lines together."""
    parts: dict[str, list[str]] = {}
    for node in tree.body:
        part = node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else OTHER_LINES
        parts.setdefault(f"{module}: {part}", []).append(ast.unparse(node))
    return {name: _digest("\n".join(lines).encode()) for name, lines in parts.items()}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _imports(tree: ast.Module) -> Iterator[str]:
    """The modules that a source may import; some of the names are no modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
