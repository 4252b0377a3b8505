"""Carries Reports on: one module a neighbour. Here is what all of them need."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

LONGEST = 10_000  # characters of one text: a screen or more, whatever a student's code printed
UNWRITABLE = re.compile("[^\t\n -~\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def plain(text: str, longest: int = LONGEST) -> str:
    """Text that XML, JSON and databases can hold: control characters and halves of characters
    as their escapes, and no more than `longest` characters of it, said where it is cut."""
    left_out = len(text) - longest
    cut = f"{text[:longest]}\n... ({left_out} characters left out)" if left_out > 0 else text
    return UNWRITABLE.sub(lambda match: repr(match[0])[1:-1], cut)


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Writes a file whole or not at all: an unfinished one never stands under its name.

    Raises OSError. A device or a pipe in its place is written to as it is.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            file.writelines(parts)
        return
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
