"""An exercise's checks as HTML and as text, for the notebook and for the reports.

Everything that came from a student is escaped and bounded; the style stands in each element,
because nbgrader, JupyterLab and VS Code strip style sheets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Literal, NamedTuple

from autograder.report import CheckResult, Fault

# Okabe and Ito's colours, which colour-blind readers can tell apart; the sign says it too.
PASS, FAIL = ("✓", "#009E73"), ("✗", "#D55E00")
STOP = ("■", "#888")
State = Literal["passed", "failed", "not begun", "interrupted", "not run"]
SIGNS: dict[State, tuple[str, str]] = {
    "passed": PASS,
    "failed": FAIL,
    "not begun": ("○", "#888"),
    "interrupted": STOP,
    "not run": ("–", "#888"),
}
MORE = "Grading runs these checks and more of the same kind."
MAX_LINES = 12  # of a message: an exception's may have a thousand
# Escape sequences, control characters, and marks that reverse the text after them.
UNSHOWN = re.compile(
    "\x1b\\[[0-9;]*[a-zA-Z]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
)
_PRE = (
    "margin:.3em 0;padding:.5em .7em;border-left:3px solid {};background:rgba(128,128,128,.1);"
    "white-space:pre-wrap;overflow-wrap:anywhere;font-size:.9em;max-height:16em;overflow-y:auto"
)
_CELL = "padding:.15em .6em;text-align:{};vertical-align:top"


class Interruption(NamedTuple):
    """What was going on when the student interrupted the checks: a sentence, and the call that
    was running, where one was."""

    sentence: str
    call: str = ""


class Row(NamedTuple):
    """An exercise in the table of the whole assignment; `missing` says what to do next."""

    exercise: str
    state: State
    earned: float
    possible: float
    missing: str


def points(value: float) -> str:
    """A number of points, without a needless decimal."""
    return f"{value:g}"


# --- One exercise --------------------------------------------------------------------------------


def exercise_html(
    name: str, checks: Sequence[CheckResult], interruption: Interruption | None = None
) -> str:
    """An exercise's checks, the failed ones first, each with its smallest counterexample."""
    return (
        f'<div style="max-width:60em"><p style="margin:.2em 0"><b>{escape(name)}</b> '
        f"{_earned(checks, interruption)}</p>{_interruption_html(interruption)}"
        f"{checks_html(checks)}</div>"
    )


def checks_html(checks: Sequence[CheckResult]) -> str:
    """The same without its heading."""
    return "".join(_check_html(check, message) for check, message in _in_order(checks))


def _check_html(check: CheckResult, message: str) -> str:
    sign, colour = PASS if check.passed else FAIL
    parts = [
        f'<div style="margin:.35em 0"><span style="color:{colour};font-weight:bold">{sign}</span> '
        f'{escape(check.statement)} <span style="opacity:.6">({points(check.points)})</span>'
    ]
    if check.counterexample and not check.passed:
        parts.append(f'<pre style="{_PRE.format(colour)}">{escape(check.counterexample)}</pre>')
    if message:
        parts.append(f'<pre style="{_PRE.format("#888")}">{escape(message)}</pre>')
    return "".join(parts) + "</div>"


def exercise_text(
    name: str, checks: Sequence[CheckResult], interruption: Interruption | None = None
) -> str:
    """The same as plain text."""
    lines = [f"{name}: {_earned(checks, interruption)}", *_interruption_lines(interruption)]
    for check, message in _in_order(checks):
        sign = PASS[0] if check.passed else FAIL[0]
        lines.append(f" {sign} {check.statement} ({points(check.points)})")
        details = [check.counterexample if not check.passed else "", message]
        lines += [f"     {line}" for text in details for line in text.split("\n") if line]
    return "\n".join(lines)


def _earned(checks: Sequence[CheckResult], interruption: Interruption | None) -> str:
    earned = points(sum(check.points for check in checks if check.passed))
    if interruption:
        return f"{earned} points so far"
    return f"{earned} of {points(sum(check.points for check in checks))} points"


def _in_order(checks: Sequence[CheckResult]) -> list[tuple[CheckResult, str]]:
    """The checks, the failed ones first, each with its message: cleaned, cut, and left out where
    it says of the whole exercise what was said already, such as that it is not begun."""
    said: set[str] = set()
    pairs = []
    for check in sorted(checks, key=lambda check: check.passed):
        pairs.append((check, "" if check.message in said else _readable(check.message)))
        if not check.counterexample:
            said.add(check.message)
    return pairs


def _readable(message: str) -> str:
    lines = UNSHOWN.sub("", message).split("\n")
    if len(lines) > MAX_LINES:
        lines[MAX_LINES - 1 :] = [f"… and {len(lines) - MAX_LINES + 1} more lines"]
    return "\n".join(lines)


def _interruption_html(interruption: Interruption | None) -> str:
    if interruption is None:
        return ""
    sign, colour = STOP
    call = f'<pre style="{_PRE.format(colour)}">{escape(interruption.call)}</pre>'
    return (
        f'<div style="margin:.35em 0"><span style="color:{colour}">{sign}</span> '
        f"{escape(interruption.sentence)}{call if interruption.call else ''}</div>"
    )


def _interruption_lines(interruption: Interruption | None) -> list[str]:
    if interruption is None:
        return []
    call = [f"     {interruption.call}"] if interruption.call else []
    return [f" {STOP[0]} {interruption.sentence}", *call]


# --- The whole assignment ------------------------------------------------------------------------


def standing_html(
    assignment: str, rows: Sequence[Row], interruption: Interruption | None = None
) -> str:
    """Each exercise with its sign, points and what is missing, and the total, as a table."""
    heads = zip(
        ("", "exercise", "points", "what is missing"),
        ("left", "left", "right", "left"),
        strict=True,
    )
    head = "".join(f'<th scope="col" style="{_CELL.format(s)}">{name}</th>' for name, s in heads)
    body = "".join(_row_html(*SIGNS[row.state], row) for row in rows)
    total = Row("total", "passed", *_sums(rows), "")
    return (
        f'<div style="max-width:60em"><p style="margin:.2em 0"><b>{escape(assignment)}</b>, '
        f"the public checks</p>{_interruption_html(interruption)}"
        f'<table style="border-collapse:collapse;margin:.4em 0"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody>"
        f'<tfoot style="border-top:1px solid #888;font-weight:bold">'
        f"{_row_html('', '#888', total)}</tfoot></table>"
        f'<p style="margin:.2em 0;opacity:.7">{MORE}</p></div>'
    )


def _row_html(sign: str, colour: str, row: Row) -> str:
    left, right = _CELL.format("left"), _CELL.format("right") + ";white-space:nowrap"
    return (
        f'<tr><td style="{left};color:{colour};font-weight:bold">{sign}</td>'
        f'<th scope="row" style="{left};font-weight:inherit">'
        f"{escape(row.exercise).replace('_', '_<wbr>')}</th>"  # may break on a narrow screen
        f'<td style="{right}">{points(row.earned)} / {points(row.possible)}</td>'
        f'<td style="{left}">{escape(row.missing)}</td></tr>'
    )


def standing_text(
    assignment: str, rows: Sequence[Row], interruption: Interruption | None = None
) -> str:
    """The same as plain text, a line for each exercise."""
    wide = max((len(row.exercise) for row in rows), default=0)
    lines = [f"{assignment}, the public checks", *_interruption_lines(interruption)]
    for sign, row in [
        *((SIGNS[row.state][0], row) for row in rows),
        (" ", Row("total", "passed", *_sums(rows), "")),
    ]:
        share = f"{points(row.earned)} / {points(row.possible)}"
        lines.append(f" {sign} {row.exercise:{wide}}  {share:>9}  {row.missing}".rstrip())
    return "\n".join([*lines, MORE])


def _sums(rows: Sequence[Row]) -> tuple[float, float]:
    return sum(row.earned for row in rows), sum(row.possible for row in rows)


def fault_text(fault: Fault) -> str:
    """A fault as one line."""
    text = f"{fault.where}: {fault.message}" if fault.where else fault.message
    return UNSHOWN.sub("", text)
