"""The command `gradus`.

Exit status: 0 when all was done, whatever the scores; 1 when a score is below --fail-under, a
submission could not be graded, or a release is stale; 2 when something given is unknown, or a file
can't be written; 3 when submissions can't be isolated here; 130 when interrupted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from autograder.assignment import Assignment
    from autograder.batch import Entry
    from autograder.report import Fault, Report

# What needs torch is imported where it is used: --help and a mistyped name answer at once.

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)


class Isolation(StrEnum):
    """How submissions are isolated; auto is the strongest that the machine offers."""

    auto = "auto"
    namespaces = "namespaces"
    bubblewrap = "bubblewrap"
    landlock = "landlock"
    none = "none"


def main() -> None:
    """The entry point."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a student's name is no error
    app()


# --- gradus grade --------------------------------------------------------------------------------


@app.command()
def grade(
    assignment: Annotated[str, typer.Argument(help="The assignment's name, as in assignments/.")],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="Notebooks, or folders in nbgrader's layout (STUDENT/ASSIGNMENT/NAME.ipynb). "
            "Without any, the assignment's own solution and release are graded.",
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write one Report a line; - is standard output.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the class's report as a page.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="How many to grade at a time."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Draws the checks' cases.")] = 0,
    isolation: Annotated[
        Isolation, typer.Option(help="What keeps submissions apart from this machine.")
    ] = Isolation.auto,
    fail_under: Annotated[
        float | None,
        typer.Option(min=0, max=100, metavar="PERCENT", help="Exit with 1 below this score."),
    ] = None,
) -> None:
    """Grade notebooks: every submission gets a Report."""
    with _tidy_exit():
        to_stdout = json is not None and str(json) == "-"
        known = _assignment(assignment)
        entries = _entries(known, paths or [])
        outputs = [path for path in (json, html) if path is not None and str(path) != "-"]
        _check_writable(outputs)
        reports, interrupted = _grade(entries, known, jobs, seed, isolation)
        done = [report for report in reports if report is not None]
        failures = []
        if json is not None and not to_stdout:
            failures += _write_json(done, json)
        if html is not None:
            failures += _write_html(done, html)
        _print_table(done, Console(stderr=to_stdout))
        for failure in failures:
            _say(failure)
        if to_stdout:
            for report in done:
                print(report.to_json().decode())
        if interrupted:
            _say(f"interrupted: {len(done)} of {len(entries)} are graded, and reported")
            raise typer.Exit(130)
        if failures:
            raise typer.Exit(2)
        if _below(done, fail_under) or _failed(done):
            raise typer.Exit(1)


def _assignment(name: str) -> Assignment:
    from autograder.checks import TOPICS

    if name not in TOPICS:
        _stop(f"there is no assignment {name!r}; there are: {', '.join(TOPICS)}")
    from autograder.assignment import Assignment

    return Assignment(name)


def _entries(assignment: Assignment, paths: Sequence[Path]) -> list[Entry]:
    from autograder.batch import Entry, NothingToGrade, find_submissions

    if paths:
        try:
            return find_submissions(paths, assignment.name)
        except NothingToGrade as error:
            _stop(str(error))
    import nbformat

    from autograder.build import solution_notebook

    if not assignment.release_path.exists():
        _stop(f"{assignment.name} is not built yet: run gradus build {assignment.name}")
    solution = nbformat.writes(solution_notebook(assignment)).encode()
    return [Entry("solution", solution), Entry("release", assignment.release_path)]


def _grade(
    entries: Sequence[Entry],
    assignment: Assignment,
    jobs: int | None,
    seed: int,
    isolation: Isolation,
) -> tuple[list[Report | None], bool]:
    """The Reports in the entries' order, None for what was not begun; True where interrupted."""
    from autograder.batch import grade_all, worthwhile_jobs

    reports: list[Report | None] = [None] * len(entries)
    with _progress() as progress:
        task = progress.add_task(assignment.name, total=len(entries))
        try:
            grading = grade_all(
                entries,
                assignment,
                jobs=jobs or worthwhile_jobs(len(entries)),
                seed=seed,
                isolation=isolation.value,
            )
            with contextlib.closing(grading):
                for index, graded in grading:
                    report = reports[index] = graded.report
                    progress.advance(task)
                    for fault in report.faults:
                        progress.console.print(_fault_line(report, fault), soft_wrap=True)
        except KeyboardInterrupt:
            return reports, True
    return reports, False


class Rate(ProgressColumn):
    """Submissions a second, or seconds a submission where it takes longer."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f} a second" if speed >= 1 else f"{1 / speed:.1f} s each")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _fault_line(report: Report, fault: Fault) -> Text:
    from autograder.feedback import fault_text

    first = fault_text(fault).splitlines() or [""]
    return Text.assemble(
        (_printable(report.student), "bold"),
        ": ",
        (fault.kind, "yellow"),
        ": ",
        _printable(first[0]),
    )


def _print_table(reports: Sequence[Report], out: Console) -> None:
    from autograder.feedback import points

    if not reports:
        return
    exercises = list(dict.fromkeys(e.name for report in reports for e in report.exercises))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("student", overflow="fold", min_width=8)
    table.add_column("score", justify="right", no_wrap=True)
    for number, _ in enumerate(exercises, 1):  # their names would need a wider terminal
        table.add_column(str(number), justify="right", no_wrap=True)
    table.add_column("faults", overflow="fold", min_width=6)
    for report in reports:
        scores = {exercise.name: points(exercise.score) for exercise in report.exercises}
        kinds = ", ".join(dict.fromkeys(fault.kind for fault in report.faults))
        remark = {"missing": "missing", "failed": "not graded"}.get(report.status, kinds)
        table.add_row(
            Text(_printable(report.student)),
            f"{points(report.score)}/{points(report.max_score)}",
            *(scores.get(name, "") for name in exercises),
            remark,
        )
    if not out.is_terminal:  # a file has no width to fit into
        out = Console(stderr=out.stderr, width=max(out.width, 200))
    legend = "  ".join(f"{number} {name}" for number, name in enumerate(exercises, 1))
    out.print(table, Text(f"{reports[0].assignment}: {legend}"))


def _check_writable(paths: Sequence[Path]) -> None:
    """Stops before the grading where its result could not be kept."""
    for path in paths:
        folder = Path(os.path.realpath(path)).parent
        if path.is_dir():
            _stop(f"{path} is a folder; name a file")
        if not folder.is_dir():
            _stop(f"{path} can't be written: there is no folder {folder}")
        if not os.access(folder, os.W_OK) and not os.access(path, os.W_OK):
            _stop(f"{path} can't be written: no permission")


def _write_json(reports: Sequence[Report], path: Path) -> list[str]:
    from autograder.adapters import write_whole

    try:
        write_whole(path, (report.to_json() + b"\n" for report in reports))
    except OSError as error:
        return [f"{path} can't be written: {error.strerror}"]
    return []


def _write_html(reports: Sequence[Report], path: Path) -> list[str]:
    from autograder.adapters.html import write_html

    try:
        write_html(reports, path)
    except OSError as error:
        return [f"{path} can't be written: {error.strerror}"]
    return []


def _below(reports: Sequence[Report], bound: float | None) -> bool:
    if bound is None:
        return False
    below = [r.student for r in reports if 100 * r.score < bound * r.max_score]
    if below:
        _say(f"below {bound:g} %: {', '.join(below)}")
    return bool(below)


def _failed(reports: Sequence[Report]) -> bool:
    failed = [report.student for report in reports if report.status == "failed"]
    if failed:
        _say(f"not graded: {', '.join(failed)}")
    return bool(failed)


# --- gradus build, demo, doctor ------------------------------------------------------------------


@app.command()
def build(
    assignments: Annotated[
        list[str] | None, typer.Argument(metavar="[ASSIGNMENT]...", help="All where none is named.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 where a release is stale.")
    ] = False,
) -> None:
    """Make the notebooks that students receive, from solutions/."""
    with _tidy_exit():
        from autograder.build import BuildError, release_notebook
        from autograder.build import build as write_release
        from autograder.checks import TOPICS

        stale = False
        for assignment in [_assignment(name) for name in assignments or TOPICS]:
            path = assignment.release_path
            try:
                if check:
                    fresh = path.exists() and path.read_text("utf-8") == release_notebook(
                        assignment
                    )
                    stale |= not fresh
                    what = "is fresh" if fresh else "is stale: run gradus build"
                else:
                    what = "was written" if write_release(assignment) else "is fresh"
            except BuildError as error:
                _stop(str(error), 1)
            except OSError as error:
                _stop(f"{path} can't be written: {error.strerror}")
            print(f"{assignment.name} {what}")
        if stale:
            raise typer.Exit(1)


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="The folder to write everything into.")] = Path(
        "demo"
    ),
) -> None:
    """Grade a made-up class of 24 in the sandbox and write its report."""
    with _tidy_exit():
        from autograder.demo import NAME, NotOurs, write_class

        try:
            entries = write_class(output)
        except NotOurs as error:
            _stop(str(error))
        except OSError as error:
            _stop(f"{output} can't be written: {error.strerror}")
        reports, interrupted = _grade(entries, _assignment(NAME), None, 0, Isolation.auto)
        done = [report for report in reports if report is not None]
        _print_table(done, Console())
        report_file, page = output / "reports.jsonl", output / "report.html"
        failures = [*_write_json(done, report_file), *_write_html(done, page)]
        if failures:
            _stop("; ".join(failures))
        print(f"The submissions: {output / 'submitted'}")
        print(f"The Reports:     {report_file}")
        print(f"The page:        {page}")
        if interrupted:
            _say(f"interrupted: {len(done)} of {len(entries)} are graded, and reported")
            raise typer.Exit(130)


@app.command()
def doctor() -> None:
    """Say whether grading works on this machine, and what to do where it doesn't."""
    with _tidy_exit():
        from autograder.doctor import examine

        works = True
        out = Console(highlight=False)
        for finding in examine():
            sign, style = ("✓", "green") if finding.serves else ("✗", "red")
            if not finding.serves and not finding.needed:
                sign, style = "-", "yellow"
            works &= finding.serves or not finding.needed
            line = Text.assemble((sign, style), f" {finding.what}: ", _printable(finding.seen))
            out.print(line, soft_wrap=True)
            if finding.advice:
                out.print(Text(f"    {finding.advice}"), soft_wrap=True)
        out.print("Grading works here." if works else "Grading does not work here yet.")
        if not works:
            raise typer.Exit(1)


# --- What is said, and how it ends ---------------------------------------------------------------


def _printable(text: str) -> str:
    """Text without what a terminal would obey: control characters as their escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _say(message: str) -> None:
    print(f"gradus: {_printable(message)}", file=sys.stderr)


def _stop(message: str, status: int = 2) -> NoReturn:
    _say(message)
    raise typer.Exit(status)


@contextlib.contextmanager
def _tidy_exit() -> Iterator[None]:
    """One line and a status where the machine, or whoever sits before it, stops us."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        _say("interrupted")
        raise typer.Exit(130) from None
    except OSError as error:
        with contextlib.suppress(OSError):  # it may be that nobody reads, or that the disk is full
            sys.stdout.close()
        _stop(" ".join(filter(None, [error.strerror or str(error), error.filename])))
    except Exception as error:
        from autograder.sandbox.client import IsolationUnavailable

        if not isinstance(error, IsolationUnavailable):
            raise
        _stop(str(error), 3)


if __name__ == "__main__":
    main()
