"""A class's Reports as one HTML file: nothing to load, no script, for the screen and for paper.

Whatever came from students is escaped, and the page's own policy forbids scripts and loading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from autograder.adapters import write_whole
from autograder.feedback import FAIL, PASS, checks_html, fault_text, points
from autograder.report import ExerciseResult, Report

BINS = 10

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #5c6066; --line: #d5d8dc;
  --paper: #fff; --card: #f6f7f8; --blue: 0, 114, 178; --orange: #d55e00; --link: #0060a0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a3a9b0; --line: #3a3f45;
  --paper: #15181b; --card: #1e2226; --blue: 86, 180, 233; --orange: #e69f00; --link: #7cc4f0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; margin: .4rem 0; } h2 { font-size: 1.25rem; margin: 1.6rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
a { color: var(--link); } .soft { color: var(--soft); } .right { text-align: right; }
.overview { display: flex; flex-wrap: wrap; gap: 0 2rem; align-items: center;
  justify-content: space-between; }
.overview > div { flex: 1 1 20rem; } .overview svg { flex: 0 1 auto; }
.figures { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; padding: 0; }
.figures li { list-style: none; background: var(--card); border-radius: .5rem;
  padding: .5rem .9rem; }
.figures b { display: block; font-size: 1.35rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .5rem; border-bottom: 1px solid var(--line); text-align: left; }
.scores { width: 100%; } .scores td.score { text-align: center; min-width: 2.4rem; }
.scores th.exercise { text-align: center; font-weight: 500; }
.scores th.exercise span { writing-mode: vertical-rl; transform: rotate(180deg);
  white-space: nowrap; display: inline-block; }
.scores th { vertical-align: bottom; }
.scores td.score { border-left: 1px solid var(--paper); }
.scores td:first-child { white-space: nowrap; max-width: 11rem; overflow: hidden;
  text-overflow: ellipsis; position: sticky; left: 0; background: var(--paper); }
svg { max-width: 100%; height: auto; display: block; } svg text { fill: var(--soft);
  font: 12px system-ui, sans-serif; } svg rect { fill: rgb(var(--blue)); }
.failed { display: grid; grid-template-columns: minmax(0, 1fr) minmax(4rem, 16rem) 3.5rem;
  gap: .2rem .8rem; align-items: center; margin: .2rem 0; }
.track { background: var(--card); border-radius: .2rem; height: .9rem; }
.bar { background: var(--orange); border-radius: .2rem; height: .9rem; }
section.student { border-top: 2px solid var(--line); margin-top: 2rem; }
.faults { background: var(--card); border-left: 3px solid var(--orange); margin: .6rem 0;
  padding: .4rem .8rem .4rem 1.8rem; overflow-wrap: anywhere; }
details { margin: .3rem 0; } summary { cursor: pointer; }
.exercise { margin: 1rem 0; max-width: 60em; } .exercise p { margin: .2rem 0; }
@media (max-width: 40rem) { .failed { grid-template-columns: minmax(0, 1fr) 3.5rem; }
  .failed .track { grid-column: 1 / -1; grid-row: 2; } .failed { margin-bottom: .6rem; }
  svg text { font-size: 16px; } }
@media print { body { max-width: none; font-size: 11px; } .scroll { overflow: visible; }
  section.student { break-before: page; border: 0; } .exercise, tr { break-inside: avoid; }
  pre { max-height: none !important; }
  .bar, svg rect, td { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def write_html(reports: Sequence[Report], path: Path) -> None:
    """Writes the class's report, whole or not at all; raises OSError."""
    write_whole(path, (part.encode("utf-8", "replace") for part in _parts(reports)))


def class_html(reports: Sequence[Report]) -> str:
    """The page: the class's figures, every score, the checks that failed, every student."""
    return "".join(_parts(reports))


def _parts(reports: Sequence[Report]) -> Iterator[str]:
    names = list(dict.fromkeys(report.assignment for report in reports))
    title = f"{', '.join(names) or 'No assignment'}: the class's report"
    yield f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(title)}</title><style>{STYLE}</style></head>
<body><h1 id="top">{escape(title)}</h1>
<div class="overview"><div>{_figures(reports)}</div>{_histogram(reports)}</div>
<h2>Scores</h2>{_scores(reports)}
<h2>Which checks failed how often</h2>{_failed_checks(reports)}
<h2>Students</h2>"""
    for number, report in enumerate(reports, 1):
        yield _student(number, report)
    yield "\n</body></html>\n"


def percent(report: Report) -> float:
    """The score in percent of what can be had."""
    return 100 * report.score / report.max_score if report.max_score else 0.0


def _figures(reports: Sequence[Report]) -> str:
    graded = sorted(percent(report) for report in reports if report.status == "graded")
    middle = len(graded) // 2
    median = (graded[middle] + graded[~middle]) / 2 if graded else 0.0
    mean = sum(graded) / len(graded) if graded else 0.0
    figures = [(f"{len(graded)}", "graded")]
    for status, words in (("missing", "handed in nothing"), ("failed", "could not be graded")):
        count = sum(report.status == status for report in reports)
        figures += [(f"{count}", words)] if count else []
    figures += [(f"{mean:.0f} %", "mean"), (f"{median:.0f} %", "median")]
    figures.append((f"{sum(bool(r.faults) for r in reports if r.isolation)}", "with a fault noted"))
    items = "".join(f'<li><b>{value}</b><span class="soft">{w}</span></li>' for value, w in figures)
    used = sorted({str(report.isolation["name"]) for report in reports if report.isolation})
    seeds = sorted({report.seed for report in reports})
    how = f"Isolation: {', '.join(used) or 'none'}. Seed: {', '.join(map(str, seeds))}."
    return f'<ul class="figures">{items}</ul><p class="soft">{escape(how)}</p>'


def _histogram(reports: Sequence[Report]) -> str:
    """How many of the graded submissions fall into each tenth of the scale."""
    counts = [0] * BINS
    for report in reports:
        if report.status == "graded":
            counts[min(int(percent(report) * BINS / 100), BINS - 1)] += 1
    highest, width, height = max(*counts, 1), 56, 130
    parts = []
    for place, count in enumerate(counts):
        x, tall = 10 + place * width, height * count / highest
        low, high = place * 100 // BINS, (place + 1) * 100 // BINS
        label = f"{low}-{high}" if place == BINS - 1 else f"{low}-{high - 1}"
        parts.append(
            f'<rect x="{x + 4}" y="{20 + height - tall:.1f}" width="{width - 8}" '
            f'height="{tall:.1f}" rx="2"/>'
            f'<text x="{x + width / 2}" y="{height + 38}" text-anchor="middle">{label}</text>'
        )
        if count:
            parts.append(
                f'<text x="{x + width / 2}" y="{14 + height - tall:.1f}" '
                f'text-anchor="middle">{count}</text>'
            )
    spoken = ", ".join(str(count) for count in counts)
    return (
        f'<svg viewBox="0 0 {20 + BINS * width} {height + 62}" width="{20 + BINS * width}" '
        f'role="img" aria-label="Submissions in each tenth of the scale: {spoken}">'
        f"{''.join(parts)}"
        f'<text x="{10 + BINS * width / 2}" y="{height + 57}" text-anchor="middle">'
        "score in percent</text></svg>"
    )


def _scores(reports: Sequence[Report]) -> str:
    names = _exercises(reports)
    heads = "".join(f'<th class="exercise"><span>{escape(name)}</span></th>' for name in names)
    rows = []
    for number, report in enumerate(reports, 1):
        results = {exercise.name: exercise for exercise in report.exercises}
        cells = "".join(_score_cell(results.get(name)) for name in names)
        rows.append(
            f'<tr><td><a href="#student-{number}"><bdi>{_name(report)}</bdi></a></td>'
            f'<td class="right"><b>{points(report.score)}</b></td>{cells}'
            f'<td class="soft">{escape(_remark(report))}</td></tr>'
        )
    return (
        f'<div class="scroll"><table class="scores"><thead><tr><th>Student</th>'
        f'<th class="right">Score</th>{heads}<th>Faults</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _score_cell(exercise: ExerciseResult | None) -> str:
    if exercise is None or not exercise.checks:
        return '<td class="score soft">–</td>'
    share = exercise.score / exercise.max_score if exercise.max_score else 0.0
    return (
        f'<td class="score" style="background:rgba(var(--blue),{0.45 * share:.2f})" '
        f'title="{points(exercise.score)} of {points(exercise.max_score)}">'
        f"{points(exercise.score)}</td>"
    )


def _remark(report: Report) -> str:
    kinds = ", ".join(dict.fromkeys(fault.kind for fault in report.faults))
    return {"missing": "missing", "failed": "not graded"}.get(report.status, kinds)


def _failed_checks(reports: Sequence[Report]) -> str:
    judged = 0
    by_exercise: dict[str, Counter[str]] = {}
    for report in reports:
        judged += report.status == "graded"
        for exercise in report.exercises:
            failed = by_exercise.setdefault(exercise.name, Counter())
            for check in exercise.checks if report.status == "graded" else []:
                failed[check.statement] += not check.passed
    parts = [f'<p class="soft">Of {judged} graded submissions.</p>']
    for name, failed in by_exercise.items():
        parts.append(f"<h3>{escape(name)}</h3>")
        for statement, count in failed.most_common():
            share = 100 * count / judged
            parts.append(
                f'<div class="failed"><span>{escape(statement)}</span>'
                f'<div class="track"><div class="bar" style="width:{share:.1f}%"></div></div>'
                f'<span class="right">{count}</span></div>'
            )
    return "".join(parts)


def _student(number: int, report: Report) -> str:
    faults = "".join(f"<li>{escape(fault_text(fault))}</li>" for fault in report.faults)
    faults = f'<ul class="faults">{faults}</ul>' if faults else ""
    score = f"{points(report.score)} of {points(report.max_score)}"
    return (
        f'<section class="student" id="student-{number}"><h3><bdi>{_name(report)}</bdi> '
        f'<span class="soft">{score}</span></h3>{faults}'
        f"{''.join(_exercise(exercise) for exercise in report.exercises if exercise.checks)}"
        f'<p class="soft"><a href="#top">Back to the top</a></p></section>'
    )


def _exercise(exercise: ExerciseResult) -> str:
    """Open where something failed, folded where all is well."""
    full = all(check.passed for check in exercise.checks)
    sign, colour = PASS if full else FAIL
    heading = (
        f'<span style="color:{colour};font-weight:bold">{sign}</span> '
        f"<b>{escape(exercise.name)}</b> "
        f"{points(exercise.score)} of {points(exercise.max_score)} points"
    )
    checks = checks_html(exercise.checks)
    if full:
        return f'<details class="exercise"><summary>{heading}</summary>{checks}</details>'
    return f'<div class="exercise"><p>{heading}</p>{checks}</div>'


def _name(report: Report) -> str:
    return escape(report.student or "(no name)")


def _exercises(reports: Sequence[Report]) -> list[str]:
    return list(dict.fromkeys(e.name for report in reports for e in report.exercises))
