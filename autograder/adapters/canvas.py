"""Scores for Canvas: its gradebook's own export, with one assignment's column filled in.

What Canvas's importer asks for: the columns from the student's name to "Section" in their order,
and assignments as "Title (number)"; without the number it would make a new one. It finds students
by their ID, then by the SIS ids. An empty cell deletes a score, so cells without a new one stay as
they were exported. All other columns are left out: what is not in the file can't be changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from autograder.adapters.roster import (
    BadRoster,
    Export,
    Roster,
    as_number,
    fill_in,
    text_cell,
    write_csv,
)
from autograder.feedback import points
from autograder.report import Report

ID_COLUMNS = ("SIS Login ID", "SIS User ID", "ID", "Integration ID")
NAMES = ("Student", "LastName", "FirstName")
POSSIBLE = "Points Possible"
NO_STUDENT = re.compile(r"\s*(Muted|Manual Posting.*)?\s*", re.IGNORECASE)
KEPT = {"EX": "excused in Canvas", "N/A": "not assigned in Canvas"}


def canvas_csv(
    reports: Sequence[Report], roster: Roster, assignment: str, max_score: float
) -> Export:
    """What Canvas imports: the roster's students with the scores of `assignment`, which is the
    title of a column, with its number or without.

    Raises BadRoster where the roster is no export of Canvas's gradebook, where the column is not
    there, ambiguous or read only, or where Canvas gives the assignment other points.
    """
    if roster.header[0] not in NAMES or "ID" not in roster.header:
        raise BadRoster(f"it is no export of Canvas's gradebook; its columns are: {_few(roster)}")
    info = [*range(roster.index("Section") + 1)]
    cell = roster.index(_column(roster, assignment))
    students = [row for row in roster.rows if is_student(row)]
    possible = [row for row in roster.rows if _tells_the_points(row)]
    for row in possible:
        if re.search(r"read\s+only", row[cell]):
            raise BadRoster(f"its column {roster.header[cell]!r} is read only")
        if row[cell].strip() and as_number(row[cell]) != max_score:
            raise BadRoster(
                f"{roster.header[cell]!r} has {row[cell].strip()} points in Canvas, and "
                f"{points(max_score)} here; make them the same there, and export again"
            )
    filled, notes, left_out = fill_in(
        reports, roster, students, cell, lambda row: KEPT.get(row[cell].strip().upper(), "")
    )
    names = [place for place in info if roster.header[place] in NAMES]
    for row in filled:
        for place in names:
            # Canvas would take a student of this name for the row that tells the points.
            row[place] = text_cell(row[place]).replace(POSSIBLE, "Points-Possible")
    lines = [[row[place] for place in [*info, cell]] for row in [roster.header, *possible, *filled]]
    return Export(write_csv(lines), notes, left_out)


def is_student(row: Sequence[str]) -> bool:
    """False for the rows in which Canvas tells the points and who may see them."""
    hides = all(NO_STUDENT.fullmatch(text) for text in row)
    return not hides and not _tells_the_points(row)


def _tells_the_points(row: Sequence[str]) -> bool:
    return POSSIBLE in row[0] and not any(text.strip() for text in row[1:3])


def _column(roster: Roster, assignment: str) -> str:
    """The header of the assignment's column: the title given, or that and a number."""
    fits = [
        name
        for name in roster.header
        if assignment in (name, re.sub(r"\s\(\d+\)$", "", name)) and re.search(r"\s\(\d+\)$", name)
    ]
    if len(fits) == 1:
        return fits[0]
    found = " and ".join(map(repr, fits))
    there = f"there are {found}" if fits else f"its columns are: {_few(roster)}"
    raise BadRoster(
        f"it has {'more than one' if fits else 'no'} column {assignment!r}: name one with "
        f"--column; {there}"
    )


def _few(roster: Roster) -> str:
    named = [name for name in roster.header if not re.search(r"(Current|Final|Override)", name)]
    return ", ".join(map(repr, named[:40]))
