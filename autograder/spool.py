"""Reports in a file: a large class's would fill the memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import overload

from autograder.report import Report


class Spool(Sequence[Report]):
    """The Reports of those submissions that are done, in the submissions' order.

    Each is read from a temporary file, which has no name, whenever it is asked for.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as this is
        self._places: dict[int, tuple[int, int]] = {}  # where each begins, and its length

    def put(self, index: int, report: Report) -> None:
        """Keeps the Report of the submission `index`. Raises OSError."""
        begin = self._file.seek(0, os.SEEK_END)
        length = self._file.write(report.to_json())
        self._places[index] = begin, length  # last, so that what is cut short is not there

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Report]:
        for index in sorted(self._places):
            yield self._read(index)

    @overload
    def __getitem__(self, place: int) -> Report: ...
    @overload
    def __getitem__(self, place: slice) -> list[Report]: ...
    def __getitem__(self, place: int | slice) -> Report | list[Report]:
        found = sorted(self._places)[place]
        return self._read(found) if isinstance(found, int) else [self._read(i) for i in found]

    def _read(self, index: int) -> Report:
        begin, length = self._places[index]
        self._file.seek(begin)
        return Report.from_json(self._file.read(length))
