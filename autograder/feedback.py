"""An exercise's checks as HTML and as text, for the notebook and for the reports.

Everything that came from a student is escaped; the style stands in each element, because nbgrader
and JupyterLab strip style sheets.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from autograder.report import CheckResult, Fault

# Okabe and Ito's colours, which colour-blind readers can tell apart; the sign says it too.
PASS, FAIL = ("✓", "#009E73"), ("✗", "#D55E00")
_PRE = (
    "margin:.3em 0;padding:.5em .7em;border-left:3px solid {};background:rgba(128,128,128,.1);"
    "white-space:pre-wrap;overflow-wrap:anywhere;font-size:.9em"
)


def points(value: float) -> str:
    """A number of points, without a needless decimal."""
    return f"{value:g}"


def exercise_html(name: str, checks: Sequence[CheckResult]) -> str:
    """An exercise's checks, the failed ones first, each with its smallest counterexample."""
    earned = sum(check.points for check in checks if check.passed)
    total = sum(check.points for check in checks)
    return (
        f'<div style="max-width:60em"><p style="margin:.2em 0"><b>{escape(name)}</b> '
        f"{points(earned)} of {points(total)} points</p>{checks_html(checks)}</div>"
    )


def checks_html(checks: Sequence[CheckResult]) -> str:
    """The same without its heading."""
    return "".join(_check_html(check) for check in sorted(checks, key=lambda check: check.passed))


def _check_html(check: CheckResult) -> str:
    sign, colour = PASS if check.passed else FAIL
    parts = [
        f'<div style="margin:.35em 0"><span style="color:{colour};font-weight:bold">{sign}</span> '
        f'{escape(check.statement)} <span style="opacity:.6">({points(check.points)})</span>'
    ]
    if check.counterexample and not check.passed:
        parts.append(f'<pre style="{_PRE.format(colour)}">{escape(check.counterexample)}</pre>')
    if check.message:
        parts.append(f'<pre style="{_PRE.format("#888")}">{escape(check.message)}</pre>')
    return "".join(parts) + "</div>"


def exercise_text(name: str, checks: Sequence[CheckResult]) -> str:
    """The same as plain text."""
    earned = sum(check.points for check in checks if check.passed)
    total = sum(check.points for check in checks)
    lines = [f"{name}: {points(earned)} of {points(total)} points"]
    for check in sorted(checks, key=lambda check: check.passed):
        sign = PASS[0] if check.passed else FAIL[0]
        lines.append(f" {sign} {check.statement} ({points(check.points)})")
        details = [check.counterexample if not check.passed else "", check.message]
        lines += [f"     {line}" for text in details for line in text.splitlines()]
    return "\n".join(lines)


def fault_text(fault: Fault) -> str:
    """A fault as one line."""
    return f"{fault.where}: {fault.message}" if fault.where else fault.message
