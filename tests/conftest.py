"""Fixtures that several test files share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from autograder.assignment import Assignment
from autograder.grade import open_sandbox
from autograder.sandbox.client import Sandbox

# A slow machine is no failure: no test depends on how long an example takes.
settings.register_profile("gradus", deadline=None)
settings.load_profile("gradus")


@pytest.fixture
def real_data(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with MNIST or Fashion-MNIST, which gradus.data then reads.

    That is GRADUS_DATA where it is set, else `shared/data` beside the checkout.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("GRADUS_DATA") or beside)
    if not folder.is_dir():
        pytest.skip("no real data: set GRADUS_DATA to a folder that holds MNIST's files")
    monkeypatch.setenv("GRADUS_DATA", str(folder))
    return folder


@pytest.fixture(scope="session")
def convolution() -> Assignment:
    """The assignment 02-convolution; its cases are drawn once for all tests."""
    return Assignment("02-convolution")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with the strongest isolation that this machine has; starting one takes seconds."""
    with open_sandbox() as opened:
        yield opened
