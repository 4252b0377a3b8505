"""The students' repository: nothing secret is in it, it works alone, and it harms no folder."""

import hashlib
import inspect
import json
import os
import py_compile
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from importlib.metadata import distributions, requires
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from autograder import leaks, students
from autograder.assignment import Assignment
from autograder.checks import TOPICS
from autograder.checks.hidden import convolution as hidden
from autograder.cli import app
from autograder.leaks import alternates, mutants
from autograder.students import MANIFEST, STAGING, Refused, contents, write
from gradus import convolution
from tests.test_repository import WORKING, Checkout

pytestmark = pytest.mark.xdist_group("students")

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = "assignments/02-convolution/02-convolution.ipynb"
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def files() -> Files:
    """The students' repository as it is published now."""
    return contents(
        {name: (ROOT / f"assignments/{name}/{name}.ipynb").read_bytes() for name in TOPICS}
    )


@pytest.fixture(scope="module")
def folder(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, written; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("published") / "students"
    write(folder, files)
    return folder


def read(folder: Path) -> Files:
    """All files of a folder, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def alone(folder: Path, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a clean process with the installed packages and, of ours, only the folder."""
    ours = {ROOT, ROOT / "lib"}
    paths = [path for path in sys.path if path and Path(path).resolve() not in ours]
    return subprocess.run(
        [
            sys.executable,
            *("-I", "-S", "-B", "-c"),
            f"import sys; sys.path[:] = {[str(folder), *paths]!r}\n{code}",
            *words,
        ],
        capture_output=True,
        text=True,
        cwd=folder.parent,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder.parent),
            "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "Agg",
            "GRADUS_DATA": str(folder.parent),  # nothing is downloaded
        },
    )


# --- Nothing secret ------------------------------------------------------------------------------


def test_nothing_secret_is_in_any_file(files, folder):
    assert leaks.leaks(files) == []
    assert read(folder) == files | {MANIFEST: (folder / MANIFEST).read_bytes()}
    assert set(json.loads((folder / MANIFEST).read_bytes())) == set(files)
    assert [name for name in files if name.endswith(".ipynb")] == [
        f"assignments/{name}/{name}.ipynb" for name in TOPICS
    ]


def cell(files: Files, edit: Callable[[dict], None]) -> Files:
    """The notebook with something done to its first code cell."""
    notebook = json.loads(files[NOTEBOOK])
    edit(next(cell for cell in notebook["cells"] if cell["cell_type"] == "code"))
    return {NOTEBOOK: json.dumps(notebook).encode()}


def added(files: Files, name: str, text: str) -> Files:
    return {name: files[name] + f"\n\n{text}\n".encode()}


def compiled(files: Files) -> Files:
    path = Path(py_compile.compile(convolution.__file__, doraise=True))
    return {"gradus/__pycache__/convolution.cpython.pyc": path.read_bytes()}


SPAN = "span = dilation * (kernel_size - 1) + 1"
LINE = "    return (room - span) // stride + 1"
RENAMED = inspect.getsource(convolution.max_unpool2d).replace("values", "a").replace("size", "s")
HIDDEN_CHECK = "@check(" + inspect.getsource(hidden).split("@check(")[1]
QUIZ = 'quiz = {\n    "zero_padding": "A",\n    "dilation": ...,\n}'
PUBLIC = "autograder/checks/public/convolution.py"

# Each means, and what is planted for it to find.
PLANTS: dict[str, tuple[Callable, Callable[[Files], Files]]] = {
    "a solution's line in the README": (
        leaks.secret_words,
        lambda files: added(files, "README.md", LINE),
    ),
    "a solution's line in an output": (
        leaks.secret_words,
        lambda files: cell(files, lambda c: c.update(outputs=[{"text": [f"{LINE}\n", "x\n"]}])),
    ),
    "a solution's line in metadata": (
        leaks.secret_words,
        lambda files: cell(files, lambda c: c["metadata"].update(solution=LINE)),
    ),
    "a solution wrapped otherwise": (
        leaks.secret_words,
        lambda files: added(files, "gradus/plots.py", f"def f(room):{LINE.replace('//', '//   ')}"),
    ),
    "a hint of a misconception": (
        leaks.secret_words,
        lambda files: added(files, "gradus/data.py", f'"""{mutants()[0].hint}"""'),
    ),
    "a hidden check's sentence": (
        leaks.secret_words,
        lambda files: added(files, PUBLIC, f"# {hidden.agrees_for_small_axes.statement}"),
    ),
    "a hidden check's name": (
        leaks.secret_words,
        lambda files: added(files, "README.md", "See agrees_for_small_axes."),
    ),
    "a compiled solution": (leaks.secret_words, compiled),
    "a reference function": (
        leaks.solutions_statements,
        lambda files: added(files, "gradus/plots.py", inspect.getsource(convolution.conv2d)),
    ),
    "half of a solution in a docstring": (
        leaks.solutions_statements,
        lambda files: added(files, PUBLIC, f'"""{SPAN}\n{LINE}"""'),
    ),
    "a reference function under other names": (
        leaks.functions_bodies,
        lambda files: added(files, "gradus/plots.py", RENAMED),
    ),
    "a hidden check": (
        leaks.functions_bodies,
        lambda files: added(files, PUBLIC, HIDDEN_CHECK),
    ),
    "a mutant": (
        leaks.functions_bodies,
        lambda files: added(files, "gradus/plots.py", mutants()[0].source),
    ),
    "an alternate": (
        leaks.functions_bodies,
        lambda files: added(files, "gradus/plots.py", alternates()[0]),
    ),
    "answers of the quiz": (leaks.quiz_answers, lambda files: added(files, PUBLIC, QUIZ)),
    "an answer of the quiz in a sentence": (
        leaks.quiz_answers,
        lambda files: added(files, "README.md", "quiz['dilation'] = 'A'"),
    ),
    "an output": (
        leaks.unpublishable_form,
        lambda files: cell(files, lambda c: c.update(outputs=[{"data": {"text/plain": "3"}}])),
    ),
    "a compiled module": (leaks.unpublishable_form, compiled),
    "a path of this machine": (
        leaks.unpublishable_form,
        lambda files: added(files, "README.md", f"Built in {ROOT}."),
    ),
    "metadata of another tool": (
        leaks.unpublishable_form,
        lambda files: cell(files, lambda c: c["metadata"].update(author="someone")),
    ),
}


@pytest.mark.parametrize("what", PLANTS)
def test_what_is_planted_is_found(what, files):
    means, plant = PLANTS[what]
    found = [found for name, data in plant(files).items() for found in means(name, data)]
    assert found


def test_every_means_has_found_something():
    assert {means for means, _ in PLANTS.values()} == set(leaks.MEANS)


SOLVERS = """
import importlib, inspect
from pathlib import Path
from autograder.check import checks_in, draw
from autograder.checks import TOPICS
from autograder.subject import LocalChannel, Subject

def solves(exercise, checks, namespace):
    for check in checks:
        if check.name not in cases:
            cases[check.name] = draw(check, 0)
        for case in cases[check.name]:
            channel = LocalChannel(namespace, exercise.forbids)
            try:
                check.function(Subject(channel), **case.arguments)
            except Exception:
                return False
            if channel.forbidden:
                return False
    return True

names = [f"gradus.{path.stem}" for path in Path(sys.path[0], "gradus").glob("[!_]*.py")]
names += [f"autograder.checks.public.{topic}" for topic in TOPICS.values()]
published = {}
for name in names:
    own = vars(importlib.import_module(name)).items()
    functions = {k: v for k, v in own if inspect.isfunction(v) or inspect.isclass(v)}
    published[name] = {k: v for k, v in functions.items() if v.__module__ == name}
for topic in TOPICS.values():
    public = importlib.import_module(f"autograder.checks.public.{topic}")
    cases = {}
    for exercise in public.EXERCISES:
        checks = [check for check in checks_in(public) if check.exercise == exercise.name]
        for name, functions in published.items():
            if solves(exercise, checks, functions):
                print(exercise.name, "is solved by", name)
            for key, function in functions.items() if len(exercise.defines) == 1 else ():
                if solves(exercise, checks, {exercise.name: function}):
                    print(exercise.name, "is solved by", f"{name}.{key}")
"""


def test_no_published_function_solves_an_exercise_under_any_name(folder, tmp_path):
    planted = tmp_path / "planted"
    shutil.copytree(folder, planted)
    source = Path(convolution.__file__).read_text().replace("def receptive_field", "def walk_back")
    (planted / "gradus/planted.py").write_text(source)
    done = alone(planted, SOLVERS)
    found = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert [line for line in found if " by gradus.planted" not in line] == []
    # Those that are there are found.
    assert "receptive_field is solved by gradus.planted.walk_back" in found
    assert "max_pool2d is solved by gradus.planted" in found
    assert len([line for line in found if line.endswith(" by gradus.planted")]) == 8


# --- It works alone ------------------------------------------------------------------------------


def modules(folder: Path) -> set[str]:
    """The dotted names of the modules under a folder's packages."""
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        for package in ("autograder", "gradus")
        for path in (folder / package).rglob("*.py")
    }


IMPORTS = """
import importlib
published, withheld = (words.split() for words in sys.argv[1:])
for name in published:
    importlib.import_module(name)
for name in withheld:
    try:
        importlib.import_module(name)
        print(name, "is there")
    except ModuleNotFoundError:
        pass
for name, module in list(sys.modules.items()):
    if name.split(".")[0] in ("autograder", "gradus"):
        assert module.__file__.startswith(sys.path[0]), module
"""


def test_of_our_modules_those_that_are_published_can_be_imported_and_no_others(folder):
    published = modules(folder)
    withheld = (modules(ROOT) | modules(ROOT / "lib")) - published
    topics = {f"autograder.checks.hidden.{topic}" for topic in TOPICS.values()}
    assert topics | {"gradus.convolution", "autograder.grade", "autograder.cli"} <= withheld
    assert "autograder.notebook" in published
    done = alone(folder, IMPORTS, " ".join(sorted(published)), " ".join(sorted(withheld)))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


RUNS = """
import ast, json
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
all_cells, *exercises = sys.argv[2:]
for cell in json.loads(Path(sys.argv[1]).read_bytes())["cells"]:
    if cell["cell_type"] != "code":
        continue
    source = "".join(cell["source"])
    if all_cells == "no" and "experiment" in cell["metadata"].get("tags", []):
        tree = ast.parse(shell.transform_cell(source))
        imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
        source = "\\n".join(map(ast.unparse, imports))  # pictures take long
    if "check-" not in cell["metadata"].get("nbgrader", {}).get("grade_id", ""):
        error = shell.run_cell(source).error_in_exec
        assert error is None or isinstance(error, NotImplementedError), source
print("ran", flush=True)
for exercise in exercises:
    feedback = shell.user_ns["check"](exercise)
    assert feedback.checks and feedback.points < sum(check.points for check in feedback.checks)
    assert all(check.statement for check in feedback.checks)
    print(exercise, feedback.points)
"""


@pytest.mark.parametrize(
    "cells", ["no", pytest.param("yes", marks=pytest.mark.slow)], ids=["fast", "all cells"]
)
@pytest.mark.parametrize("name", TOPICS)
def test_a_notebook_and_its_checks_run_on_the_published_files_alone(name, cells, folder):
    path = folder / "assignments" / name / f"{name}.ipynb"
    exercises = [exercise.name for exercise in Assignment(name).exercises]
    done = alone(folder, RUNS, str(path), cells, *exercises)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[0] for line in lines[lines.index("ran") + 1 :]] == exercises


# --- What it installs ----------------------------------------------------------------------------


def requirements(lines: list[str]) -> dict[str, Requirement]:
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


@pytest.fixture(scope="module")
def project(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def pins(folder: Path) -> dict[str, Requirement]:
    lines = (folder / "constraints.txt").read_text().splitlines()
    return requirements([line for line in lines if not line.startswith("#")])


def test_students_install_what_is_imported_and_jupyterlab_with_our_bounds(folder, project):
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    theirs = requirements(project["dependencies"])
    assert theirs.items() <= requirements(ours["dependencies"]).items()
    assert {"torch", "hypothesis", "jupyterlab", "scikit-learn"} <= theirs.keys()
    # What the grader alone imports.
    assert not theirs.keys() & {"nbgrader", "jupytext", "typer", "rich", "psutil", "nbformat"}
    for key in ("requires-python", "version", "license"):
        assert project[key] == ours[key]
    assert "scripts" not in project


def test_what_a_notebook_imports_is_installed():
    source = "%matplotlib inline\nfiles = !ls\ndef f():\n    import scipy.linalg as la"
    cells = [
        {"cell_type": "markdown", "source": ["import rich"]},
        {"cell_type": "code", "source": source.splitlines(keepends=True)},
        {"cell_type": "code", "source": ["%%bash\n", "import typer"]},
    ]
    requirements = {
        lines: contents({"x": json.dumps({"cells": cells[:lines]}).encode()})["requirements.txt"]
        for lines in (1, 3)
    }
    assert set(requirements[3].split()) - set(requirements[1].split()) == {b"scipy"}


def test_pip_conda_and_make_install_the_same_packages(folder, project):
    theirs = requirements(project["dependencies"])
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert lines[1] == "-c constraints.txt"
    assert requirements(lines[2:]).keys() == {*theirs, "setuptools"}

    environment = yaml.safe_load((folder / "environment.yml").read_text())["dependencies"]
    conda = requirements([line for line in environment if isinstance(line, str)])
    (pip,) = (line["pip"] for line in environment if isinstance(line, dict))
    assert pip == [str(theirs["torch"]), "-e ."]
    assert conda.pop("python").specifier == project["requires-python"]
    assert conda.pop("pip").specifier == ""
    assert conda == {name: found for name, found in theirs.items() if name != "torch"}


def test_all_that_is_installed_is_pinned_to_our_versions(project, pins):
    ours = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line[0] != "#"]
    assert pins == requirements(ours)
    waiting = [(requirement, "") for requirement in requirements(project["dependencies"]).values()]
    needed = set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in needed or name.startswith(("nvidia-", "cuda-", "triton")):
            continue
        needed.add((name, extra))
        for line in requires(name) or []:
            child = Requirement(line)
            if child.marker is None or child.marker.evaluate({"extra": extra}):
                waiting += [(child, found) for found in ("", *child.extras)]
    names = {name for name, _ in needed}
    assert len(names) > 50
    assert names <= pins.keys()
    assert not names & {"nbgrader", "sqlalchemy", "pytest"}


def test_make_sets_up_and_opens_jupyterlab(folder, tmp_path):
    script = WORKING.replace("esac\n", '  "-m jupyterlab"*) exit 0 ;;\nesac\n', 1)
    checkout = Checkout(tmp_path, python3=script)
    for name in ("Makefile", "setup.mk", "requirements.txt", "constraints.txt", "pyproject.toml"):
        shutil.copy(folder / name, tmp_path / name)
    (tmp_path / "bin" / "awk").symlink_to(shutil.which("awk") or "")
    assert checkout.setup().returncode == 0
    assert [" ".join(call.split()[:3]) for call in checkout.calls()] == [
        *("-m venv --clear", "-m pip install", "-m pip install")
    ]
    shown = subprocess.run(
        ["make", "--no-print-directory", "-n", "lab"],
        cwd=tmp_path,
        env={"PATH": str(checkout.bin)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == ".venv/bin/python -m jupyterlab assignments\n"


def test_the_published_folder_installs_with_pip(folder, tmp_path):
    if not list(distributions(name="pip")):
        pytest.skip("this environment has no pip")
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(folder, source)  # pip builds where the source is
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*pip, "--no-index", "--quiet", "--target", target, source], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert modules(target) == modules(folder)
    assert alone(target, "import autograder.notebook, gradus.plots").returncode == 0


# --- What becomes of a folder --------------------------------------------------------------------

NAMES = st.sampled_from(["README.md", "a/b.py", "a/c.py", "d/e/f.ipynb", "d/ä ö.txt"])
TREES = st.dictionaries(NAMES, st.binary(max_size=3), max_size=5)
OWN = {".git/HEAD": b"ref", "a/notes.txt": b"mine", "own.txt": b"mine"}


class Killed(BaseException):
    """Stands for kill -9: nothing more is done by the process."""


def killed_at(step: int, folder: Path, files: Files) -> bool:
    """Publishes, and is killed when `step` changes were made to the disk; False where it ended
    before."""
    left = step

    def limited(function):
        def run(*words, **options):
            nonlocal left
            left -= 1
            if left == 0 and function is Path.write_bytes:
                function(words[0], words[1][:1])  # half of a file
            if left <= 0:
                raise Killed
            return function(*words, **options)

        return run

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in [
            *((Path, name) for name in ("write_bytes", "write_text", "mkdir", "unlink", "rmdir")),
            *((students.os, "replace"), (students.shutil, "rmtree")),
        ]:
            patch.setattr(owner, name, limited(getattr(owner, name)))
        try:
            write(folder, files)
        except Killed:
            return True
    return False


@given(first=TREES, second=TREES, third=TREES, data=st.data())
def test_a_folder_ends_up_as_published_however_often_it_is_killed(
    first, second, third, data, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("killed")
    write(folder, first)
    for name, text in OWN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)
    killed_at(data.draw(st.integers(1, 40)), folder, second)
    write(folder, third)
    found = read(folder)
    digests = json.loads(found.pop(MANIFEST))
    assert found == third | OWN
    assert digests == {name: [hashlib.sha256(d).hexdigest()] for name, d in third.items()}


def test_a_kill_at_every_step_of_the_first_time_is_repaired(tmp_path):
    files = {"README.md": b"one", "a/b.py": b"two"}
    for step in range(1, 100):
        if not killed_at(step, tmp_path / str(step), files):
            break
        write(tmp_path / str(step), files)
        assert read(tmp_path / str(step)).keys() == {*files, MANIFEST}
    assert step > 8


def test_a_second_time_writes_nothing_and_a_change_writes_what_changed(tmp_path):
    files = {"README.md": b"one", "a/b.py": b"two", "a/c.py": b"three"}
    assert write(tmp_path, files).written == sorted(files)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.is_file()}
    changes = write(tmp_path, files)
    assert (changes.written, changes.removed) == ([], [])
    changes = write(tmp_path, {"README.md": b"new", "a/b.py": b"two"})
    assert (changes.written, changes.removed) == (["README.md"], ["a/c.py"])
    assert (tmp_path / "a/b.py").stat().st_mtime_ns == before[tmp_path / "a/b.py"]


def test_the_contents_depend_on_nothing_but_the_sources(files, monkeypatch):
    code = """
import hashlib, json, sys
from pathlib import Path
from autograder.students import contents
files = contents({path.stem: path.read_bytes() for path in map(Path, sys.argv[1:])})
print(json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in files.items()}))
"""
    paths = [str(ROOT / f"assignments/{name}/{name}.ipynb") for name in TOPICS]
    for seed in "1", "2":
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'lib'}")
        done = subprocess.run(
            [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True
        )
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        assert json.loads(done.stdout) == digests


def refused(folder: Path, files: Files, *words: str) -> None:
    """The folder is refused with these words, and as it was."""
    before = read(folder) if folder.is_dir() else {}
    with pytest.raises(Refused) as error:
        write(folder, files)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert (read(folder) if folder.is_dir() else {}) == before


def test_a_folder_with_anything_else_in_it_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("three years of work")
    refused(tmp_path, {"README.md": b"new"}, "not empty")


def test_a_new_repository_of_git_is_empty(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_text("ref: refs/heads/main\n")
    write(tmp_path, {"README.md": b"new"})
    assert (tmp_path / ".git/HEAD").read_text() == "ref: refs/heads/main\n"


def test_a_file_is_no_folder_and_a_link_to_a_folder_is_one(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("mine")
    refused(file, {"README.md": b"new"}, "no folder")
    (tmp_path / "real").mkdir()
    link.symlink_to(tmp_path / "real")
    write(link, {"README.md": b"new"})
    assert (tmp_path / "real/README.md").read_bytes() == b"new"
    assert link.is_symlink()


@pytest.mark.parametrize("where", ["", "autograder", "new", "assignments/../students"])
def test_nothing_is_published_into_this_checkout(where, tmp_path):
    with pytest.raises(Refused, match="within this checkout"):
        write(ROOT / where, {"README.md": b"new"})
    (tmp_path / "link").symlink_to(ROOT / "tests")
    with pytest.raises(Refused, match="within this checkout"):
        write(tmp_path / "link", {"README.md": b"new"})
    assert not (ROOT / "new").exists()


def test_what_was_changed_by_hand_is_neither_overwritten_nor_removed(tmp_path):
    write(tmp_path, {"README.md": b"one", "a/b.py": b"two", "a/c.py": b"three"})
    (tmp_path / "README.md").write_bytes(b"my own")
    (tmp_path / "a/c.py").write_bytes(b"my own")
    (tmp_path / "a/d.py").write_bytes(b"my own")
    refused(tmp_path, {"README.md": b"new", "a/d.py": b"new"}, "README.md, a/c.py, a/d.py")
    for name in ("README.md", "a/c.py", "a/d.py"):
        (tmp_path / name).unlink()
    write(tmp_path, {"README.md": b"new", "a/d.py": b"new"})
    assert read(tmp_path).keys() == {"README.md", "a/d.py", MANIFEST}


def test_a_change_by_hand_to_what_is_published_next_is_no_conflict(tmp_path):
    write(tmp_path, {"README.md": b"one"})
    (tmp_path / "README.md").write_bytes(b"two")
    write(tmp_path, {"README.md": b"two"})


def test_links_in_the_folder_lead_nowhere(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    write(folder, {"README.md": b"one", "a/b.py": b"two"})
    (folder / "a").rename(outside / "a")
    (folder / "a").symlink_to(outside / "a")
    refused(folder, {"README.md": b"one"}, "a/b.py")
    assert (outside / "a/b.py").exists()


def test_a_link_in_place_of_what_publishing_itself_makes_is_not_followed(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    (outside / "README.md").write_bytes(b"mine")
    write(folder, {"README.md": b"one"})
    (folder / STAGING).symlink_to(outside)
    with pytest.raises(FileExistsError):
        write(folder, {"README.md": b"two"})
    assert read(outside) == {"README.md": b"mine"}
    assert (folder / "README.md").read_bytes() == b"one"


@pytest.mark.parametrize("name", ["../precious", "/etc/precious", "a/../../precious"])
def test_a_manifest_that_names_files_elsewhere_is_refused(name, tmp_path):
    precious, folder = tmp_path / "precious", tmp_path / "folder"
    precious.write_bytes(b"mine")
    write(folder, {"README.md": b"one"})
    digests = {name: [hashlib.sha256(b"mine").hexdigest()]}
    (folder / MANIFEST).write_text(json.dumps(digests))
    refused(folder, {"README.md": b"one"}, "outside")
    assert precious.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"README.md": "x"}', "\x00"])
def test_a_damaged_manifest_is_refused(text, tmp_path):
    write(tmp_path, {"README.md": b"one"})
    (tmp_path / MANIFEST).write_text(text)
    refused(tmp_path, {"README.md": b"one"}, "damaged")


def test_several_at_once_end_as_one(tmp_path):
    files = {f"{n % 5}/{n}.txt": str(n).encode() * 1000 for n in range(50)}
    older = {f"old/{n}.txt": b"old" for n in range(20)}
    write(tmp_path, older)
    errors = []

    def publish():
        try:
            write(tmp_path, files)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=publish) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found = read(tmp_path)
    del found[MANIFEST]
    assert found == files
    assert not (tmp_path / "old").exists()
    assert not (tmp_path / STAGING).exists()


# --- The command ---------------------------------------------------------------------------------


@pytest.fixture
def gradus(monkeypatch):
    """Runs the command; what is released counts as fresh."""
    monkeypatch.setattr("autograder.build.is_fresh", lambda assignment: True)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_publish_writes_the_repository_and_says_so(gradus, files, tmp_path):
    folder = tmp_path / "new" / "students"
    done = gradus("publish", folder)
    assert done.exit_code == 0
    assert f"{len(files)} files, {len(files)} of them written" in done.stdout
    assert read(folder).keys() == {*files, MANIFEST}
    assert f"{len(files)} files, 0 of them written" in gradus("publish", folder).stdout


@pytest.mark.parametrize("state", ["stale", "not built"])
def test_a_release_that_is_not_what_its_solution_builds_is_not_published(
    state, tmp_path, monkeypatch
):
    if state == "stale":
        monkeypatch.setattr("autograder.build.release_notebook", lambda assignment: "{}")
    else:
        monkeypatch.setattr(Assignment, "release_path", tmp_path / "nothing.ipynb")
    done = CliRunner().invoke(app, ["publish", str(tmp_path / "students")])
    assert done.exit_code == 1
    assert "02-convolution" in done.stderr
    assert "gradus build" in done.stderr
    assert not (tmp_path / "students").exists()


def test_a_refusal_gets_one_line_and_status_2_before_anything_is_built(tmp_path, monkeypatch):
    monkeypatch.setattr("autograder.build.is_fresh", lambda assignment: pytest.fail("too early"))
    (tmp_path / "thesis.tex").touch()
    done = CliRunner().invoke(app, ["publish", str(tmp_path)])
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("gradus: ")


def test_a_full_disk_gets_one_line_and_leaves_what_was_there(gradus, tmp_path, monkeypatch):
    write(tmp_path, {"README.md": b"one"})
    before = read(tmp_path)

    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        done = gradus("publish", tmp_path)
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line
    assert read(tmp_path) == before
    assert not (tmp_path / STAGING).exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_gets_one_line(gradus, tmp_path):
    tmp_path.chmod(0o500)
    done = gradus("publish", tmp_path)
    assert done.exit_code == 2
    assert "Permission denied" in done.stderr
