"""A class's scores as plain CSV: a row for every student, a column for every exercise."""

from __future__ import annotations

from collections.abc import Sequence

from autograder.adapters import plain
from autograder.adapters.canvas import ID_COLUMNS as CANVAS
from autograder.adapters.canvas import is_student
from autograder.adapters.moodle import ID_COLUMNS as MOODLE
from autograder.adapters.roster import Export, Roster, match, text_cell, write_csv
from autograder.feedback import fault_text, points
from autograder.report import Report

# nbgrader's own list of students comes first: `nbgrader db student import` reads it, too.
ID_COLUMNS = ("id", *CANVAS, *MOODLE)


def csv_table(reports: Sequence[Report], roster: Roster | None = None) -> Export:
    """The table: student, status, score, max_score, each exercise's score, faults.

    Only who was graded has scores: an empty cell is no 0. With a roster, its students come first,
    in its order, then those who are not in it; rows whose student can't be told are "unmatched".
    """
    exercises = list(dict.fromkeys(e.name for report in reports for e in report.exercises))
    lines = [["student", "status", "score", "max_score", *exercises, "faults"]]
    notes: list[str] = []
    others = reports
    if roster is not None:
        rows = [row for row in roster.rows if is_student(row)]
        matching = match(reports, roster, rows)
        notes, others = matching.notes, matching.unmatched
        for number, (row, report) in enumerate(zip(rows, matching.reports, strict=True)):
            if report is not None:
                lines.append(_line(report, exercises))
                continue
            status = "unmatched" if number in matching.ambiguous else "missing"
            student = text_cell((roster.ids(row) or [row[0]])[0])
            lines.append([student, status, *[""] * (len(exercises) + 3)])
    lines += [_line(report, exercises) for report in others]
    return Export(write_csv(lines), notes)


def _line(report: Report, exercises: Sequence[str]) -> list[str]:
    graded = report.status == "graded"
    scores = {e.name: points(e.score) for e in report.exercises} if graded else {}
    return [
        text_cell(plain(report.student)),
        report.status,
        points(report.score) if graded else "",
        points(report.max_score),
        *(scores.get(name, "") for name in exercises),
        text_cell("\n".join(plain(fault_text(fault), 500) for fault in report.faults)),
    ]
