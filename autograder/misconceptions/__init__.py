"""Named wrong solutions: what the checks must catch, and the hint that each has earned."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """A wrong solution of an exercise: `source` replaces the code of its solution cell.

    `name` is the misconception in a few words, `hint` what a student who has it should hear.
    """

    exercise: str
    name: str
    hint: str
    source: str


def edited(function: Callable[..., Any], old: str, new: str) -> str:
    """The source of a reference function with its one occurrence of `old` replaced by `new`.

    Raises ValueError unless `old` occurs exactly once, so that no mutant silently equals the
    reference after that was rewritten.
    """
    source = inspect.getsource(function)
    if source.count(old) != 1:
        raise ValueError(f"{old!r} occurs {source.count(old)} times in {function.__name__}")
    return source.replace(old, new)
