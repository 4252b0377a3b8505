"""The code that students and workers get: all that they need, and nothing that is withheld."""

import ast
from pathlib import Path

import pytest

import gradus
from autograder import publish
from autograder.leaks import leaks

WRITERS = [publish.write_for_students, publish.write_for_workers]


@pytest.fixture(params=WRITERS, ids=["students", "workers"])
def folder(request, tmp_path) -> Path:
    request.param(tmp_path)
    return tmp_path


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def test_every_file_is_meant_to_be_there(folder):
    names = {str(path.relative_to(folder)) for path in files(folder)}
    assert all(name.endswith(".py") for name in names)
    assert not any(word in name for name in names for word in ("hidden", "misconc", "tests"))
    assert "gradus/convolution.py" not in names
    for name in ("grade", "assignment", "submission", "publish", "build", "batch", "cli", "demo"):
        assert f"autograder/{name}.py" not in names
    assert {"autograder/notebook.py", "autograder/checks/public/convolution.py"} <= names
    assert "gradus/plots.py" in names


def test_nothing_secret_is_in_any_file(folder):
    published = {str(path.relative_to(folder)): path.read_bytes() for path in files(folder)}
    assert leaks(published) == []


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


def test_a_new_module_of_the_library_is_withheld_until_it_is_listed(tmp_path, monkeypatch):
    # An answer may be there before its checks are.
    for name, source in {"data": "", "plots": "import gradus.diffusion", "diffusion": ""}.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setattr(gradus, "__path__", [str(tmp_path)])
    names = {name for name in publish.for_students() if name.startswith("gradus/")}
    assert names == {"gradus/data.py"}
