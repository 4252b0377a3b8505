"""What holds for the repository as a whole: its layers, its dependencies, its set-up."""

import ast
import graphlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# autograder's modules (and packages, with all that is in them), the uppermost first. A module
# imports from its own layer and from those below it. "" is autograder/__init__.py.
LAYERS = [
    ["", "cli"],
    ["cluster", "demo", "doctor", "verify"],
    ["survivors"],
    ["adapters", "batch", "build", "leaks", "store", "students"],
    ["grade"],
    ["assignment", "notebook", "publish", "submission"],
    ["recognition"],
    ["checks", "misconceptions"],
    [
        "calibration",
        "check",
        "compare",
        "feedback",
        "mutation",
        "operations",
        "sandbox",
        "show",
        "strategies",
        "subject",
    ],
    ["fixtures", "report", "spool"],
]
LAYER_OF = {name: depth for depth, layer in enumerate(LAYERS) for name in layer}


# Modules and what they import.


def modules_of(package: Path) -> dict[str, Path]:
    """The dotted name of each module in the package, and its file."""
    return {
        ".".join(file.relative_to(package.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): file
        for file in sorted(package.rglob("*.py"))
    }


GRADUS = modules_of(ROOT / "lib" / "gradus")
AUTOGRADER = modules_of(ROOT / "autograder")
OURS = GRADUS | AUTOGRADER


def imports_of(file: Path) -> Iterator[str]:
    """The modules that the file imports anywhere in it, inside functions too.

    All by their full names: ruff forbids relative imports (TID252).
    """
    for node in ast.walk(ast.parse(file.read_bytes(), file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                member = f"{node.module}.{alias.name}"
                yield member if member in OURS else node.module


def layer_of(module: str) -> int:
    name = module.removeprefix("autograder").removeprefix(".").split(".")[0]
    assert name in LAYER_OF, f"{module} has no place yet in LAYERS of {Path(__file__).name}"
    return LAYER_OF[name]


def test_the_library_imports_nothing_of_the_autograder():
    upwards = [
        f"{module} imports {imported}"
        for module, file in GRADUS.items()
        for imported in imports_of(file)
        if imported.split(".")[0] == "autograder"
    ]
    assert GRADUS
    assert not upwards, "\n".join(upwards)


@pytest.mark.parametrize("module", AUTOGRADER)
def test_imports_of_the_autograder_run_downwards_only(module):
    upwards = [
        f"{module} imports {imported}, which is in a layer above it"
        for imported in imports_of(AUTOGRADER[module])
        if imported.split(".")[0] == "autograder" and layer_of(imported) < layer_of(module)
    ]
    assert layer_of(module) >= 0
    assert not upwards, "\n".join(upwards)


def test_no_module_imports_itself_by_way_of_others():
    graph = {name: {i for i in imports_of(file) if i in OURS} for name, file in OURS.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail("a circle of imports: " + " <- ".join(error.args[1]))


# Dependencies.


def requirements(lines: list[str]) -> dict[str, Requirement]:
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


DEPENDENCIES = requirements(PROJECT["dependencies"])
CLUSTER = requirements(PROJECT["optional-dependencies"]["cluster"])
DEV = requirements(PROJECT["optional-dependencies"]["dev"])
PINS = requirements(
    [
        line
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
)


def test_conda_users_get_the_dependencies_of_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = requirements([line for line in environment if isinstance(line, str)])
    (pip,) = (line["pip"] for line in environment if isinstance(line, dict))

    assert pip == [str(DEPENDENCIES["torch"]), "-e ."]
    assert conda.pop("python").specifier == PROJECT["requires-python"]
    assert conda.pop("pip").specifier == ""
    assert conda == {name: r for name, r in DEPENDENCIES.items() if name != "torch"}


@pytest.mark.parametrize("name", DEPENDENCIES | CLUSTER | DEV)
def test_each_dependency_is_pinned_within_its_range(name):
    for wanted in filter(None, (needs.get(name) for needs in (DEPENDENCIES, CLUSTER, DEV))):
        assert name in PINS, f"{wanted} of pyproject.toml is not in requirements.txt"
        (pin,) = PINS[name].specifier
        assert pin.version in wanted.specifier, f"{PINS[name]} is not within {wanted}"


def test_pins_name_one_exact_version_that_every_machine_can_install():
    exact = re.compile(r"==[\w.]+")  # no "==1.*", no local version as in "2.13.0+cpu"
    loose = [str(pin) for pin in PINS.values() if not exact.fullmatch(str(pin.specifier))]
    assert PINS
    assert not loose, loose


def test_pins_install_on_the_first_python_that_the_project_supports():
    (first,) = Requirement(f"python{PROJECT['requires-python']}").specifier
    installed = [
        package
        for package in distributions()
        if (pin := PINS.get(canonicalize_name(package.name))) and package.version in pin.specifier
    ]
    refused = [
        f"{package.name} {package.version} wants Python {wanted}"
        for package in installed
        if (wanted := package.metadata.get("Requires-Python"))
        and f"{first.version}.0" not in SpecifierSet(wanted)
    ]
    assert len(installed) > len(DEPENDENCIES)
    assert not refused, "\n".join(refused)


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("lib", DEPENDENCIES),
        ("autograder", DEPENDENCIES | CLUSTER),
        ("solutions", DEPENDENCIES),
        ("tests", DEPENDENCIES | CLUSTER | DEV),
        ("benchmarks", DEPENDENCIES | DEV),
    ],
)
def test_what_is_imported_is_a_declared_dependency(folder, allowed):
    files = sorted((ROOT / folder).rglob("*.py"))
    if not files:
        pytest.skip(f"{folder}/ holds no modules yet")
    local = {"gradus", "autograder", "tests"} | {file.stem for file in files}
    owners = packages_distributions()
    undeclared = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files
        for name in sorted({module.split(".")[0] for module in imports_of(file)})
        if name not in sys.stdlib_module_names | local
        and not any(canonicalize_name(owner) in allowed for owner in owners.get(name, []))
    ]
    assert not undeclared, "\n".join(undeclared)


# What is published.


def test_the_licence_is_mit():
    text = " ".join((ROOT / "LICENSE").read_text().split())
    assert PROJECT["license"] == "MIT"
    assert re.match(r"MIT License Copyright \(c\) \d{4} \w.*? Permission is hereby granted", text)
    assert "The above copyright notice and this permission notice shall be included in all" in text
    assert 'THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND' in text


def test_no_file_names_a_path_of_somebodys_machine():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    # Git must answer in a checkout that belongs to another user, too.
    git = ["git", "-c", f"safe.directory={ROOT}"]
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    path = re.compile(
        rf"(?<![\w./~)}}-])(?:{re.escape(str(ROOT))}(?![\w-])"
        r"|/(?:home|Users|root|tmp|work|workspace)/\w[\w.-]*|[A-Z]:\\Users\\)"
    )
    found = [
        f"{name}:{number}: {match[0]}"
        for name in listed.stdout.split("\0")
        # Hostile submissions do name such paths.
        if name and (ROOT / name).is_file() and not name.startswith("tests/attacks/")
        for number, line in enumerate((ROOT / name).read_text("utf-8", "replace").splitlines(), 1)
        if (match := path.search(line))
    ]
    assert not found, "\n".join(found)


# `make setup`, with stand-ins for Python that note how they were called.

BROKEN = "#!/bin/sh\nexit 127\n"
OLD = "#!/bin/sh\nexit 1\n"
WORKING = """#!/bin/sh
case "$*" in
  -c*) exit 0 ;;
  --version) echo Python 3.11.0; exit 0 ;;
esac
echo "$*" >>calls
case "$*" in
  "-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  *"-r requirements.txt") ! test -e interrupt ;;
esac
"""


class Checkout:
    """A folder with the Makefile and only the given Pythons, each a name and a script."""

    def __init__(self, folder: Path, **pythons: str):
        self.folder = folder
        for name in ("Makefile", "setup.mk", "requirements.txt", "pyproject.toml"):
            (folder / name).write_bytes((ROOT / name).read_bytes())
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in ("cp", "echo", "make", "mkdir", "rm", "sh", "test", "touch"):
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        for name, script in pythons.items():
            file = self.bin / name.replace("_", ".")
            file.write_text(script)
            file.chmod(0o755)

    def setup(self, target: str = "setup") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", target],
            cwd=self.folder,
            env={"PATH": str(self.bin)},
            capture_output=True,
            text=True,
        )

    def age(self) -> None:
        """As if the pins had changed since the last set-up."""
        before = (self.folder / "requirements.txt").stat().st_mtime - 10
        os.utime(self.folder / ".venv/.installed", (before, before))

    def calls(self) -> list[str]:
        """What Python was asked since the last time, in order."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.write_text("")
        return [" ".join(line.split()[:3]) for line in lines]


MADE = ["-m venv --clear"]
INSTALLED = ["-m pip install"] * 2


def test_setup_passes_over_pythons_that_do_not_run_or_are_too_old(tmp_path):
    checkout = Checkout(tmp_path, python3_13=OLD, python3_12=BROKEN, python3_11=WORKING)
    done = checkout.setup()
    assert done.returncode == 0, done.stderr
    assert "Making .venv with python3.11" in done.stdout
    assert checkout.calls() == MADE + INSTALLED


def test_setup_says_what_is_missing_where_no_python_serves(tmp_path):
    checkout = Checkout(tmp_path, python3_12=BROKEN, python3=OLD)
    done = checkout.setup()
    assert done.returncode != 0
    assert "no Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_second_setup_does_nothing_and_new_pins_are_installed_in_place(tmp_path):
    checkout = Checkout(tmp_path, python3=WORKING)
    checkout.setup()
    assert checkout.calls() == MADE + INSTALLED
    assert checkout.setup().returncode == 0
    assert checkout.calls() == []

    checkout.age()
    assert checkout.setup().returncode == 0
    assert checkout.calls() == INSTALLED


@pytest.mark.parametrize("updating", [False, True], ids=["at first", "when the pins changed"])
def test_an_interrupted_setup_is_repaired_by_the_next(tmp_path, updating):
    checkout = Checkout(tmp_path, python3=WORKING)
    if updating:
        checkout.setup()
        checkout.age()
    (tmp_path / "interrupt").touch()
    assert checkout.setup().returncode != 0
    checkout.calls()

    (tmp_path / "interrupt").unlink()
    assert checkout.setup().returncode == 0
    assert checkout.calls() == MADE + INSTALLED


def test_a_browser_is_looked_for_once_and_its_lack_stops_nothing(tmp_path):
    checkout = Checkout(tmp_path, python3=WORKING)
    apt = checkout.bin / "apt-get"
    apt.write_text('#!/bin/sh\necho "$*" >>calls\necho noise\nexit 100\n')
    apt.chmod(0o755)
    checkout.setup()
    checkout.calls()

    done = checkout.setup(".venv/.browser")
    assert done.returncode == 0, done.stderr
    assert "No Chromium: the browser tests are skipped." in done.stdout
    assert "noise" not in done.stdout + done.stderr
    assert len(checkout.calls()) == 1
    checkout.setup(".venv/.browser")
    assert checkout.calls() == []
