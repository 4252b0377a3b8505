"""The students' repository: what is in it, and how a folder becomes it.

The packages that students need follow from what the published code and the notebooks import; their
versions, and all that is written for students by hand, have one source in this repository.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import msgspec
from IPython.core.inputtransformer2 import TransformerManager

from autograder.publish import PACKAGE, for_students

ROOT = PACKAGE.parent
BY_HAND = ("README.md", "Makefile", ".gitignore")  # in students/
OURS_TOO = ("LICENSE", "setup.mk")
NOTEBOOKS_OPEN_IN = "jupyterlab"
MANIFEST = ".published.json"  # the digests of what was written, by name
STAGING = ".publishing"  # holds what is about to be written; a run that was killed leaves it

PACKAGES_FOR_STUDENTS = """
[tool.setuptools.packages.find]
include = ["gradus*", "autograder*"]
"""
REQUIREMENTS = """\
# What `make setup` installs, at the versions in constraints.txt, with all that these need.
-c constraints.txt
setuptools
"""
CONSTRAINTS = """\
# The versions that the assignments were tested with, also of packages that need not be installed.
"""


class Refused(ValueError):
    """The folder is not one to publish into; the message says why, and what to do."""


@dataclass(frozen=True)
class Changes:
    """The names of the files that were written, new or changed, and of those that were removed."""

    written: list[str]
    removed: list[str]


# --- What students get ---------------------------------------------------------------------------


def contents(releases: Mapping[str, bytes]) -> dict[str, bytes]:
    """Every file of the students' repository, by its name there.

    `releases` are the released notebooks, by the names of their assignments.
    """
    files = {name: path.read_bytes() for name, path in for_students().items()}
    for name, notebook in releases.items():
        files[f"assignments/{name}/{name}.ipynb"] = notebook
    imported = set().union(*(_imported(name, data) for name, data in files.items()))
    files |= {name: (ROOT / "students" / name).read_bytes() for name in BY_HAND}
    files |= {name: (ROOT / name).read_bytes() for name in OURS_TOO}
    return files | {name: text.encode() for name, text in _environment(imported).items()}


def _environment(imported: set[str]) -> dict[str, str]:
    """The files that say what to install: ours, without what students don't need."""
    project = (ROOT / "pyproject.toml").read_text("utf-8").split("[project.optional-dependencies]")
    dependencies = tomllib.loads(project[0])["project"]["dependencies"]
    names = [re.split(r"[^\w.-]", line)[0] for line in dependencies]
    owners = packages_distributions()
    needed = {NOTEBOOKS_OPEN_IN}.union(*(owners.get(name, []) for name in imported))
    unneeded = "|".join(re.escape(name) for name in names if name not in needed)
    line_of_unneeded = re.compile(rf'^ +(- |")({unneeded})[<>=].*\n', re.MULTILINE)
    pins = (ROOT / "requirements.txt").read_text("utf-8").splitlines(keepends=True)
    return {
        "pyproject.toml": line_of_unneeded.sub("", project[0].rstrip() + "\n")
        + PACKAGES_FOR_STUDENTS,
        "environment.yml": line_of_unneeded.sub("", (ROOT / "environment.yml").read_text("utf-8")),
        "requirements.txt": REQUIREMENTS + "".join(f"{n}\n" for n in names if n in needed),
        "constraints.txt": CONSTRAINTS + "".join(pin for pin in pins if pin[0] != "#"),
    }


def _imported(name: str, data: bytes) -> set[str]:
    """The packages, none of ours and of Python's own, that a module or notebook imports."""
    sources = [data.decode()]
    if name.endswith(".ipynb"):
        python = TransformerManager().transform_cell  # of what may have magics in it
        cells = json.loads(data)["cells"]
        sources = [python("".join(c["source"])) for c in cells if c["cell_type"] == "code"]
    modules: set[str] = set()
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
    packages = {module.split(".")[0] for module in modules}
    return packages - sys.stdlib_module_names - {"autograder", "gradus"}


# --- How a folder becomes it ---------------------------------------------------------------------


def check_folder(folder: Path) -> None:
    """Raises Refused where `folder` is neither new, nor empty, nor published before."""
    place = Path(os.path.realpath(folder))
    if place.is_relative_to(ROOT):
        raise Refused(f"{folder} lies within this checkout: name a folder outside of it")
    if place.exists():
        if not place.is_dir():
            raise Refused(f"{folder} is no folder: name a new or an empty one")
        _manifest(place)


def write(folder: Path, files: Mapping[str, bytes]) -> Changes:
    """Makes `folder` hold these files, and none that an earlier call wrote besides.

    Whatever else is in it stays. Killed at any moment, the next call completes it. Raises Refused
    before anything is changed, also where a file was changed by hand since it was written; OSError.
    """
    check_folder(folder)
    folder = Path(os.path.realpath(folder))
    folder.mkdir(parents=True, exist_ok=True)
    staging = folder / STAGING
    with _alone_in(folder):
        try:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()  # no link to elsewhere
            known = _manifest(folder)
            new = {name: [hashlib.sha256(data).hexdigest()] for name, data in files.items()}
            found = {name: _digest(folder, name) for name in known.keys() | new.keys()}
            _refuse_changed(folder, found, known, new)
            written = sorted(name for name in files if found[name] != new[name][0])
            removed = sorted(name for name in known.keys() - new.keys() if found[name])
            for name in written:  # a disk that is full is noticed here
                target = staging / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(files[name])
            # While a name may hold either version, both are known: neither is a change by hand.
            _write_manifest(
                folder, {name: [*known.get(name, []), *new.get(name, [])] for name in found}
            )
            for name in removed:
                _remove(folder, name)
            for name in written:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(staging / name, folder / name)
            _write_manifest(folder, new)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return Changes(written, removed)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Waits until no other call writes there."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems don't lock folders
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _manifest(folder: Path) -> dict[str, list[str]]:
    """The digests of what was written to each name; several while a call is not complete."""
    try:
        known = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=dict[str, list[str]])
    except FileNotFoundError:
        if {path.name for path in folder.iterdir()} <= {".git", STAGING}:
            return {}
        raise Refused(
            f"{folder} is not empty, and nothing that gradus publish wrote: name a new or an "
            "empty folder (a .git may be in it)"
        ) from None
    except msgspec.DecodeError as error:
        raise Refused(f"{folder / MANIFEST} is damaged ({error}): restore it") from None
    for name in known:
        if not (folder / name).is_relative_to(folder) or ".." in Path(name).parts:
            raise Refused(f"{folder / MANIFEST} names a file outside: {name}")
    return known


def _write_manifest(folder: Path, digests: Mapping[str, list[str]]) -> None:
    text = json.dumps(digests, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    staged = folder / STAGING / MANIFEST
    staged.write_text(text, encoding="utf-8")
    os.replace(staged, folder / MANIFEST)


def _digest(folder: Path, name: str) -> str:
    """The digest of the file of that name; "" where there is nothing, "?" where it is no file."""
    path = folder / name
    if path.resolve() != path:
        return "?"  # there is a link on the way
    if not path.exists():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "?"


def _refuse_changed(
    folder: Path, found: Mapping[str, str], *known: Mapping[str, Iterable[str]]
) -> None:
    ours = {name: {"", *(d for digests in known for d in digests.get(name, []))} for name in found}
    changed = sorted(name for name in found if found[name] not in ours[name])
    if changed:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise Refused(
            f"in {folder} these were changed since they were published, or were never ours: "
            f"{', '.join(changed[:5])}{more}. Restore them or move them away, then publish again; "
            "what students are to get is changed here"
        )


def _remove(folder: Path, name: str) -> None:
    """Removes a file, and the folders that it leaves empty."""
    (folder / name).unlink(missing_ok=True)
    for parent in Path(name).parents[:-1]:
        with contextlib.suppress(OSError):  # it is not empty
            (folder / parent).rmdir()
