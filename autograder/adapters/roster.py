"""The class list of a learning platform: reading its CSV, finding whose row is whose, writing it.

Students are found by their ids, never by their names, and nobody is guessed: who fits no row, or
more than one, is named and left to a person.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autograder.adapters import plain
from autograder.feedback import points
from autograder.report import Report

# A cell that begins with one of these is a formula to a spreadsheet; some take the wide ones too.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

PARTICIPANT = "Participant "  # Moodle's identifiers; the files that it hands out have the number


class BadRoster(ValueError):
    """The roster can't be used; the message says why, and what to do about it."""


@dataclass(frozen=True)
class Roster:
    """A class list: its header, its rows (all as long as the header), and the columns by which
    students are found. Columns are named as in the header."""

    header: list[str]
    rows: list[list[str]]
    id_columns: list[str]

    def index(self, column: str) -> int:
        """The column's place. Raises BadRoster where there is none, or more than one."""
        found = [place for place, name in enumerate(self.header) if name == column]
        if len(found) != 1:
            how_many = f"{len(found)} columns" if found else "no column"
            raise BadRoster(f"it has {how_many} {column!r}; its columns are: {self.columns()}")
        return found[0]

    def columns(self) -> str:
        """The columns in words."""
        return ", ".join(repr(name) for name in self.header)

    def ids(self, row: Sequence[str]) -> list[str]:
        """All that a student of this row may be called, the first being the usual one."""
        cells = [_normal(row[self.header.index(column)]) for column in self.id_columns]
        numbers = [cell.removeprefix(PARTICIPANT) for cell in cells if cell.startswith(PARTICIPANT)]
        return list(dict.fromkeys(filter(None, cells + numbers)))


@dataclass(frozen=True)
class Export:
    """What an adapter made of the Reports: the file, what a person must be told, and the graded
    students whose score is not in the file."""

    content: bytes
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Matching:
    """Whose row is whose: for each row its Report, None where there is none; the rows that fit
    several or have no id; and the Reports that have no row of their own."""

    reports: list[Report | None]
    ambiguous: set[int]
    unmatched: list[Report]
    notes: list[str]


def read_roster(path: Path, id_columns: Collection[str]) -> Roster:
    """Reads a CSV in UTF-8 with a header, separated by commas, semicolons or tabs.

    Raises BadRoster, also where it has none of the id columns, and OSError.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRoster(f"it is not UTF-8 (byte {error.start + 1}); save it as CSV UTF-8") from None
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    for delimiter in ",;\t":
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            header = [_normal(cell) for cell in next(reader, [])]
        except csv.Error:  # perhaps another one
            continue
        known = [column for column in id_columns if column in header]
        if not known:
            continue
        roster = Roster(header, [], known)
        for column in known:
            roster.index(column)
        try:
            for row in reader:
                if any(cell.strip() for cell in row[len(header) :]):
                    raise BadRoster(
                        f"line {reader.line_num} has {len(row)} cells, and the header "
                        f"{len(header)}; a cell that holds a separator must stand in quotes"
                    )
                if any(cell.strip() for cell in row):
                    roster.rows.append(row[: len(header)] + [""] * (len(header) - len(row)))
        except csv.Error as error:
            raise BadRoster(f"line {reader.line_num} is no CSV: {error}") from None
        return roster
    first = plain(text.split("\n")[0].strip(), 200)
    raise BadRoster(f"it needs a column {' or '.join(id_columns)}; its first line is: {first}")


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def match(reports: Sequence[Report], roster: Roster, rows: Sequence[list[str]]) -> Matching:
    """Finds the row of each Report: the only one that has the student's id, and only where no
    other Report's student has it."""
    rows_of = defaultdict(list)
    for number, row in enumerate(rows):
        for name in roster.ids(row):
            rows_of[name].append(number)
    claims: list[list[Report]] = [[] for _ in rows]
    for report in reports:
        for number in rows_of[_normal(report.student)]:
            claims[number].append(report)
    matched: list[Report | None] = [None] * len(rows)
    unmatched, unknown, notes = [], [], []
    ambiguous = {number for number, row in enumerate(rows) if not roster.ids(row)}
    if ambiguous:
        names = ", ".join(" ".join(rows[number][:2]) for number in sorted(ambiguous))
        notes.append(f"without an id in the roster, so nobody's: {names}")
    for report in reports:
        own = rows_of[_normal(report.student)]
        if len(own) == 1 and len(claims[own[0]]) == 1:
            matched[own[0]] = report
            continue
        unmatched.append(report)
        if not own:
            unknown.append(report.student)
            continue
        ambiguous |= set(own)
        others = {other.student for number in own for other in claims[number]} - {report.student}
        why = f"{len(own)} rows" if len(own) > 1 else f"the row of {' and '.join(sorted(others))}"
        lines = "; ".join(" ".join(rows[number][:4]) for number in own)
        notes.append(f"ambiguous, {report.student} fits {why}: {lines}")
    if unknown:
        where = " or ".join(roster.id_columns)
        notes.append(f"not in the roster, where {where} should name them: {', '.join(unknown)}")
    return Matching(matched, ambiguous, unmatched, notes)


def fill_in(
    reports: Sequence[Report],
    roster: Roster,
    rows: Sequence[list[str]],
    cell: int,
    protected: Callable[[list[str]], str],
) -> tuple[list[list[str]], list[str], list[str]]:
    """The rows with the scores of the graded submissions in their place `cell`, what to tell a
    person, and the graded students without one.

    Any other row keeps its cell as it is: who handed in nothing or could not be graded neither
    gets a 0 nor loses an older score. So does a row that is `protected`, which says why.
    """
    matching = match(reports, roster, rows)
    filled: list[list[str]] = []
    kept: dict[str, list[str]] = defaultdict(list)
    left_out = [report.student for report in matching.unmatched if report.status == "graded"]
    for number, (row, report) in enumerate(zip(rows, matching.reports, strict=True)):
        student = (roster.ids(row) or [row[0]])[0]
        standing = f"{student} ({row[cell].strip() or 'empty'})"
        if number in matching.ambiguous:
            pass
        elif report is None or report.status == "missing":
            kept["handed in nothing"].append(standing)
        elif report.status == "failed":
            kept["could not be graded"].append(standing)
        elif why := protected(row):
            kept[why].append(standing)
            left_out.append(report.student)
        else:
            row = [*row[:cell], points(report.score), *row[cell + 1 :]]
        filled.append([*row])
    notes = [
        *matching.notes,
        *(f"{why}, the cell is left as it is: {', '.join(names)}" for why, names in kept.items()),
    ]
    return filled, notes, left_out


def as_number(cell: str) -> float | None:
    """A cell's number, with a decimal point or comma; None where it is none."""
    try:
        return float(cell.strip().replace(",", "."))
    except ValueError:
        return None


def text_cell(text: str) -> str:
    """Text as a spreadsheet shows it, where it would otherwise run it as a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def write_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """The rows as CSV: UTF-8, commas, quotes where they are needed, and "\\n" for every line's end,
    within cells too."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([re.sub("\r\n?", "\n", cell) for cell in row] for row in rows)
    return file.getvalue().encode()
