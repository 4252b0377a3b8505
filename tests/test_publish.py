"""What students and workers get: all that they need, and nothing that is withheld."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autograder import publish
from autograder.checks.hidden import convolution as hidden
from gradus import convolution

ROOT = Path(__file__).resolve().parents[1]
WRITERS = [publish.write_for_students, publish.write_for_workers]


@pytest.fixture(params=WRITERS, ids=["students", "workers"])
def folder(request, tmp_path) -> Path:
    request.param(tmp_path)
    return tmp_path


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def functions(path: Path) -> dict[str, str]:
    """The functions of a module and their code, without docstrings and layout."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            found[node.name] = "\n".join(map(ast.unparse, body))
    return found


def test_every_file_is_meant_to_be_there(folder):
    names = {str(path.relative_to(folder)) for path in files(folder)}
    assert all(name.endswith(".py") for name in names)
    assert not any(word in name for name in names for word in ("hidden", "misconc", "tests"))
    assert "gradus/convolution.py" not in names
    for name in ("grade", "assignment", "submission", "publish", "build", "batch", "cli", "demo"):
        assert f"autograder/{name}.py" not in names
    assert {"autograder/notebook.py", "autograder/checks/public/convolution.py"} <= names
    assert "gradus/plots.py" in names


def test_no_solution_is_in_any_file(folder):
    solutions = functions(Path(convolution.__file__)).values()
    published = [path.read_text() for path in files(folder)]
    bodies = [body for path in files(folder) for body in functions(path).values()]
    for solution in solutions:
        assert not any(solution in body for body in bodies)
        longest = max(solution.splitlines(), key=len)
        assert not any(longest in text for text in published), longest


def test_no_hidden_check_and_no_answer_of_the_quiz_is_in_any_file(folder):
    withheld = functions(Path(hidden.__file__))
    bodies = {body for path in files(folder) for body in functions(path).values()}
    text = "\n".join(path.read_text() for path in files(folder))
    assert len(withheld) > 10
    for name, body in withheld.items():
        assert f"def {name}(" not in text or body not in bodies, name
    assert repr(hidden.QUIZ) not in text
    assert "QUIZ" not in text


def test_no_published_module_imports_one_that_is_withheld(folder):
    published = {
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        for path in files(folder)
    }
    for path in files(folder):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                if name.split(".")[0] in ("autograder", "gradus"):
                    assert name in published, f"{path} imports {name}"


def test_a_clean_process_can_run_the_checks_with_the_published_code_alone(tmp_path):
    publish.write_for_students(tmp_path)
    code = """
import sys
from autograder.notebook import checks_of
def receptive_field(layers):
    extent = 1
    for k, s, d in reversed(layers):
        extent = (extent - 1) * s + d * (k - 1) + 1
    return extent
print(checks_of("02-convolution")("receptive_field").points)
for name in ("gradus.plots", "gradus.data", "gradus.device"):
    __import__(name)
for name in ("gradus.convolution", "autograder.checks.hidden", "autograder.misconceptions"):
    try:
        __import__(name)
        print("there is", name)
    except ModuleNotFoundError:
        pass
where = {m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ("autograder", "gradus")}
assert all(str(w).startswith(sys.argv[1]) for w in where if w), where
"""
    paths = [path for path in sys.path if path and Path(path).resolve() not in (ROOT, ROOT / "lib")]
    done = subprocess.run(
        [
            sys.executable,
            "-S",
            "-P",
            "-c",
            f"import sys; sys.path[:] = {[str(tmp_path), *paths]!r}\n{code}",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0


def test_a_library_module_that_uses_a_withheld_one_is_withheld_too(tmp_path):
    sources = {
        "convolution": "x = 1",
        "direct": "from gradus.convolution import x",
        "indirect": "import gradus.direct",
        "by_name": "from gradus import direct",
        "free": "import torch",
    }
    modules = {}
    for name, source in sources.items():
        modules[name] = tmp_path / f"{name}.py"
        modules[name].write_text(source)
    hidden_modules = publish.withheld(modules, ["convolution"])
    assert hidden_modules == {"convolution", "direct", "indirect", "by_name"}


def test_a_new_file_of_the_grader_is_withheld_until_it_is_listed(folder):
    listed = {*publish.FOR_STUDENTS, *(f"sandbox/{name}" for name in publish.FOR_WORKERS)}
    public = {
        f"checks/public/{path.name}" for path in (publish.PACKAGE / "checks/public").glob("*")
    }
    there = {
        str(p.relative_to(folder / "autograder")) for p in (folder / "autograder").rglob("*.py")
    }
    assert there <= listed | public
