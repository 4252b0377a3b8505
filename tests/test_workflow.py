"""The workflow for GitHub Actions: well-formed, and every command in it exists."""

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from autograder.cli import app

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / ".github" / "workflows").glob("*"))

# The keys that GitHub documents for a workflow, a job and a step (workflow syntax), as far as they
# may be used here.
WORKFLOW = {"name", "on", "permissions", "env", "defaults", "concurrency", "jobs", "run-name"}
JOB = {
    *("name", "needs", "permissions", "runs-on", "environment", "concurrency", "outputs", "env"),
    *("defaults", "if", "steps", "timeout-minutes", "strategy", "continue-on-error", "container"),
    *("services", "uses", "with", "secrets"),
}
STEP = {
    *("id", "if", "name", "uses", "run", "working-directory", "shell", "with", "env"),
    *("continue-on-error", "timeout-minutes"),
}


class Loader(yaml.SafeLoader):
    """YAML 1.2's booleans, as GitHub reads them: `on` is a key."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def jobs(file):
    workflow = yaml.load(file.read_text(), Loader)
    return workflow, workflow["jobs"].values()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_keys_are_those_that_github_knows(file):
    workflow, found = jobs(file)
    assert workflow.keys() <= WORKFLOW
    assert {"on", "jobs"} <= workflow.keys()
    for job in found:
        assert job.keys() <= JOB
        assert {"runs-on", "steps"} <= job.keys()
        for step in job["steps"]:
            assert step.keys() <= STEP
            assert ("uses" in step) != ("run" in step)
            assert "@v" in step.get("uses", "@v")
            assert ("with" in step) <= ("uses" in step)


def test_the_workflow_may_read_and_no_more():
    for file in FILES:
        assert jobs(file)[0]["permissions"] == {"contents": "read"}
    assert FILES


def test_every_command_in_it_exists():
    makefile = (ROOT / "Makefile").read_text()
    commands = typer.main.get_command(app)
    seen = []
    for file in FILES:
        for job in jobs(file)[1]:
            for line in "\n".join(step.get("run", "") for step in job["steps"]).splitlines():
                program, *words = shlex.split(line) or [""]
                if program == "make":
                    assert re.search(rf"^{words[0]}:", makefile, re.MULTILINE), line
                elif program == ".venv/bin/gradus":
                    command = commands.commands[words[0]]
                    command.make_context(words[0], words[1:])  # raises UsageError
                else:
                    assert program in ("", "sudo"), line
                seen.append((program, *words[:1]))
    assert {("make", "test"), (".venv/bin/gradus", "build")} <= set(seen)


def test_what_is_uploaded_is_what_was_written():
    (file,) = FILES
    text = file.read_text()
    (folder,) = re.findall(r"path: (\S+)/$", text, re.MULTILINE)
    assert re.findall(r"(?:--junitxml=|--output )(\S+)/", text) == [folder, folder]
