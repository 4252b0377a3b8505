"""Scores for Moodle: the assignment's offline grading worksheet, with its grades filled in.

The worksheet, and not the gradebook's CSV: what is uploaded there goes into the assignment itself,
as if graded by hand, so that it can be changed there later and students are notified; rows name
participants unmistakably; and a grade given in between is not overwritten. Moodle finds columns by
their English names, skips empty grades, and replaces comments by what a comment column holds, so
those are left out.
"""

from __future__ import annotations

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

ID_COLUMNS = ("Username", "ID number", "Email address", "Identifier")
NEEDED = ("Identifier", "Grade", "Last modified (grade)")
COLUMNS = ("Full name", *ID_COLUMNS, *NEEDED, "Status", "Maximum grade")


def moodle_csv(reports: Sequence[Report], roster: Roster, max_score: float) -> Export:
    """What Moodle's assignment imports: the worksheet with the scores of the graded submissions.

    Raises BadRoster where the roster is no worksheet, or where Moodle's maximum grade is another.
    """
    for column in NEEDED:
        if column not in roster.header:
            raise BadRoster(
                f"it is no grading worksheet: it has no column {column!r}. In Moodle, in English: "
                "the assignment, Submissions, Actions, Download grading worksheet"
            )
        roster.index(column)
    cell = roster.index("Grade")
    if "Maximum grade" not in roster.header:
        raise BadRoster(f"it is not graded in points; set it to {points(max_score)} points")
    maximum = roster.index("Maximum grade")
    for row in roster.rows:
        if as_number(row[maximum]) != max_score:
            raise BadRoster(
                f"the maximum grade is {row[maximum].strip()} in Moodle, and {points(max_score)} "
                "here; make them the same there, and download the worksheet again"
            )
    changeable = "Grade can be changed"
    locked = roster.header.index(changeable) if changeable in roster.header else None
    filled, notes, left_out = fill_in(
        reports,
        roster,
        roster.rows,
        cell,
        lambda row: "locked in Moodle" if locked is not None and row[locked] == "No" else "",
    )
    kept = [place for place, name in enumerate(roster.header) if name in COLUMNS]
    lines = [
        [text_cell(row[i]) if roster.header[i] == "Full name" else row[i] for i in kept]
        for row in [roster.header, *filled]
    ]
    return Export(write_csv(lines), notes, left_out)
