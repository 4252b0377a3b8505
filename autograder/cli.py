"""The command `gradus`.

Exit status: 0 when all was done, whatever the scores; 1 when a score is below --fail-under, a
submission could not be graded, a score fits no row of the roster, compared scores differ, a
release is stale, or a proof fails; 2 when something given is unknown, a file can't be written, or
the cluster can't grade; 3 when submissions can't be isolated here; 130 when interrupted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from autograder.adapters.nbgrader import Recorder
    from autograder.adapters.roster import Export
    from autograder.assignment import Assignment
    from autograder.batch import Elsewhere, Entry
    from autograder.compare import Comparison
    from autograder.report import Fault, Graded, Report
    from autograder.store import Store
    from autograder.survivors import Survey
    from autograder.verify import Proof

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


class Format(StrEnum):
    """Whom the scores are written for."""

    gradescope = "gradescope"
    junit = "junit"
    csv = "csv"
    canvas = "canvas"
    moodle = "moodle"


def main() -> None:
    """The entry point."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # end like Ctrl-C
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)
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
    format: Annotated[
        Format | None, typer.Option(help="Write the scores in a neighbour's format, to --output.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; - is standard output.")
    ] = None,
    roster: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The class, for csv, canvas and moodle: the CSV that Canvas's gradebook exports, "
            "Moodle's grading worksheet, or any with a column of ids.",
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            metavar="TITLE", help="Canvas's title of the assignment, where it is not its name."
        ),
    ] = None,
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
    record: Annotated[
        bool,
        typer.Option(
            "--record",
            help="Write the scores into nbgrader's gradebook, and the graded notebooks into "
            "autograded/. What is recorded already is passed over, so an interrupted run goes on.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --record: grade and record everything anew.")
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="tcp://HOST:PORT",
            help="Grade in the workers of this dask scheduler. Results are kept, so an interrupted "
            "run goes on.",
        ),
    ] = None,
) -> None:
    """Grade notebooks: every submission gets a Report."""
    with _tidy_exit():
        target = output or Path("-")
        to_stdout = json is not None and str(json) == "-"
        to_pipe = format is not None and str(target) == "-"
        if output is not None and format is None:
            _stop("--output needs --format: gradescope, junit, csv, canvas or moodle")
        if to_stdout and to_pipe:
            _stop("only one of --json and --format can go to standard output: name an --output")
        known = _assignment(assignment)
        entries = _entries(known, paths or [])
        export = _exporter(format, roster, column, known, len(entries))
        files = (json, html, target if export else None)
        outputs = [path for path in files if path is not None and str(path) != "-"]
        _check_writable(outputs)
        if force and not record:
            _stop("--force goes with --record")
        if cluster is not None and jobs is not None:
            _stop("--jobs is for this machine; on a cluster, as many are graded as have a worker")
        recording = Recording(known, entries, seed, isolation, force) if record else None
        store = recording.store if recording is not None else None
        if store is None and cluster is not None:
            from autograder.store import Store

            store = Store(Path(".gradus", "results"), known, seed, isolation.value)
        take = recording.take if recording is not None else None
        with _elsewhere(cluster) as elsewhere:
            done, interrupted = _grade(
                entries, known, jobs, seed, isolation, store, take, force, elsewhere
            )
        failures = recording.failures if recording is not None else []
        if json is not None and not to_stdout:
            failures += _write_json(done, json)
        if html is not None:
            failures += _write_html(done, html)
        exported = export(done) if export and not interrupted else None
        if exported is not None and not to_pipe:
            failures += _write(exported.content, target)
        _print_table(done, Console(stderr=to_stdout or to_pipe))
        if recording is not None:
            _say(recording.summary())
        for line in [*(exported.notes if exported else []), *failures]:
            _say(line)
        if to_stdout:
            for report in done:
                print(report.to_json().decode())
        if exported is not None and to_pipe:
            sys.stdout.buffer.write(exported.content)
        if interrupted and export:
            _say(f"no {format} was written: it would call those missing who are not graded yet")
        if interrupted:
            _say(f"interrupted: {len(done)} of {len(entries)} are graded, and reported")
            raise typer.Exit(130)
        if failures:
            raise typer.Exit(2)
        if _below(done, fail_under) or _failed(done) or _left_out(exported):
            raise typer.Exit(1)


def _exporter(
    format: Format | None,
    roster: Path | None,
    column: str | None,
    assignment: Assignment,
    submissions: int,
) -> Callable[[Sequence[Report]], Export] | None:
    """What makes the file of --format from Reports; stops here where it could not be made."""
    from autograder.adapters import canvas, gradescope, junit, moodle, spreadsheet
    from autograder.adapters.roster import BadRoster, Export, read_roster

    columns = {"csv": spreadsheet.ID_COLUMNS, "canvas": canvas.ID_COLUMNS}
    columns["moodle"] = moodle.ID_COLUMNS
    if roster is not None and format not in columns:
        _stop("--roster is for --format csv, canvas and moodle")
    if column is not None and format != "canvas":
        _stop("--column is for --format canvas")
    if format == "gradescope" and submissions != 1:
        _stop(f"a results.json is for one submission, and here are {submissions}: name one")
    if format is None:
        return None
    if format == "gradescope":
        return lambda reports: Export(gradescope.results_json(reports[0]))
    if format == "junit":
        return lambda reports: Export(junit.junit_xml(reports))
    if roster is None:
        if format == "csv":
            return spreadsheet.csv_table
        exported = {"canvas": "Canvas's gradebook exports", "moodle": "Moodle calls a worksheet"}
        _stop(f"--format {format} needs --roster FILE: the CSV that {exported[format]}")
    title = column or assignment.name
    max_score = sum(assignment.points(exercise.name) for exercise in assignment.exercises)
    try:
        people = read_roster(roster, columns[format])
        make: Callable[[Sequence[Report]], Export] = {
            "csv": lambda reports: spreadsheet.csv_table(reports, people),
            "canvas": lambda reports: canvas.canvas_csv(reports, people, title, max_score),
            "moodle": lambda reports: moodle.moodle_csv(reports, people, max_score),
        }[format]
        make([])  # what is wrong with the roster is found before the grading
    except BadRoster as error:
        _stop(f"{roster} can't be used: {error}")
    except OSError as error:
        _stop(f"{roster} can't be read: {error.strerror}")
    return make


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
    store: Store | None = None,
    take: Callable[[Graded], Iterable[str]] | None = None,
    force: bool = False,
    elsewhere: Elsewhere | None = None,
) -> tuple[Sequence[Report], bool]:
    """The Reports of what is done, in the entries' order; True where it was interrupted.

    `take` is handed each result as it is done, and what it says of it is shown.
    """
    from autograder.batch import grade_all, worthwhile_jobs
    from autograder.spool import Spool

    reports = Spool()
    with _progress() as progress:
        task = progress.add_task(assignment.name, total=len(entries))
        try:
            grading = grade_all(
                entries,
                assignment,
                jobs=jobs or worthwhile_jobs(len(entries)),
                seed=seed,
                isolation=isolation.value,
                store=store,
                force=force,
                elsewhere=elsewhere,
            )
            with contextlib.closing(grading):
                for index, graded in grading:
                    reports.put(index, graded.report)
                    for fault in graded.report.faults:
                        told = _fault_line(graded.report, fault)
                        progress.console.print(told, soft_wrap=True)
                    for line in take(graded) if take is not None else ():
                        progress.console.print(Text(_printable(line)), soft_wrap=True)
                    progress.advance(task)
        except KeyboardInterrupt:
            return reports, True
    return reports, False


@contextlib.contextmanager
def _elsewhere(cluster: str | None) -> Iterator[Elsewhere | None]:
    """What grades instead of this machine: the cluster of the scheduler at that address."""
    if cluster is None:
        yield None
        return
    try:
        from autograder.cluster import Cluster
    except ModuleNotFoundError as error:
        _stop(f"--cluster needs dask.distributed ({error}): pip install '.[cluster]' installs it")
    with Cluster(cluster) as opened:
        yield opened.grade


class Recording:
    """What `--record` does with each result, and what it has done.

    Without a `seed`, it is the one with which the entries' results were recorded before.
    """

    def __init__(
        self,
        assignment: Assignment,
        entries: Sequence[Entry],
        seed: int | None,
        isolation: Isolation,
        force: bool = False,
    ) -> None:
        from autograder.adapters.nbgrader import NotRecorded, Recorder

        try:
            self.recorder = Recorder(assignment)
            for entry in entries:
                self.recorder.check(entry)
        except NotRecorded as error:
            _stop(str(error))
        self.seed = _recorded_seed(self.recorder, entries) if seed is None else seed
        self.store = self.recorder.store(self.seed, isolation.value)
        self._shown: dict[str, Report] | None = None
        self.failures: list[str] = []
        self._force = force
        self._recorded = self._already = 0

    def take(self, graded: Graded) -> Iterator[str]:
        """Records a result that isn't yet; says what of it an instructor should know."""
        from autograder.adapters.nbgrader import NotRecorded
        from autograder.feedback import points

        report = graded.report
        try:
            result, score = self.recorder.recorded(report.student)
            if report.status != "graded":
                if score is not None:
                    yield f"{report.student}: {report.status}; the gradebook keeps {points(score)}"
                return
            if result == self.store.key(report.submission) and not self._force:
                self._already += 1
                return
            if self._shown is not None and not _same(report, self._shown.get(report.student)):
                raise NotRecorded(f"{report.student}: changed since it was shown; run this again")
            self.recorder.record(graded)
        except NotRecorded as error:
            self.failures.append(str(error))
            return
        self._recorded += 1
        if score is not None and score != report.score:
            yield f"{report.student}: {points(score)} -> {points(report.score)} in the gradebook"

    def only(self, shown: dict[str, Report]) -> None:
        """From now on records nothing but these Reports; stops where the gradebook is no longer
        what they were compared with."""
        from autograder.adapters.nbgrader import NotRecorded

        try:
            same = self.recorder.is_as_before()
        except NotRecorded as error:
            _stop(str(error))
        if not same:
            _stop("the gradebook has changed meanwhile, and nothing was recorded; run this again")
        self._shown = shown

    def summary(self) -> str:
        """How many were recorded."""
        already = f"; {self._already} were there already" if self._already else ""
        return f"{self._recorded} recorded in the gradebook{already}"


def _recorded_seed(recorder: Recorder, entries: Sequence[Entry]) -> int:
    by_seed = {recorder.seed(entry.student): entry.student for entry in entries}
    by_seed.pop(None, None)
    if len(by_seed) > 1:
        examples = ", ".join(f"{student} with {seed}" for seed, student in by_seed.items())
        _stop(f"recorded with several seeds ({examples}): say --seed, or name who is meant")
    return next(filter(None, by_seed), 0)


def _same(report: Report, other: Report | None) -> bool:
    return other is not None and report.without_times() == other.without_times()


class Rate(ProgressColumn):
    """Submissions a second, or seconds a submission where it takes longer: of late, and at the end
    on the whole."""

    def render(self, task: Task) -> Text:
        speed = task.completed / task.elapsed if task.finished and task.elapsed else task.speed
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


def _write(content: bytes, path: Path) -> list[str]:
    from autograder.adapters import write_whole

    try:
        write_whole(path, [content])
    except OSError as error:
        return [f"{path} can't be written: {error.strerror}"]
    return []


def _left_out(exported: Export | None) -> bool:
    if exported is None or not exported.left_out:
        return False
    _say(f"graded, and their scores are not in the file: {', '.join(exported.left_out)}")
    return True


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


# --- gradus compare, regrade ---------------------------------------------------------------------


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(metavar="A.jsonl", help="What --json wrote.")],
    after: Annotated[Path, typer.Argument(metavar="B.jsonl", help="The same, later.")],
) -> None:
    """Say whose score differs between two gradings, and by which checks.

    Exits with 1 where a score differs, or stands on one side only.
    """
    with _tidy_exit():
        from autograder.compare import BadReports, read_reports
        from autograder.compare import compare as compare_reports

        sides = []
        for path in (before, after):
            try:
                sides.append(read_reports(path))
            except BadReports as error:
                _stop(str(error))
            except OSError as error:
                _stop(f"{path} can't be read: {error.strerror}")
        comparison = compare_reports(*sides)
        _print_comparison(comparison, Console())
        if any(difference.moved for difference in comparison.differences):
            raise typer.Exit(1)


@app.command()
def regrade(
    assignment: Annotated[str, typer.Argument(help="The assignment's name, as in assignments/.")],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="As for grade; without any, submitted/."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="How many to grade at a time."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="As recorded before, where it is not given."),
    ] = None,
    isolation: Annotated[
        Isolation, typer.Option(help="What keeps submissions apart from this machine.")
    ] = Isolation.auto,
    record: Annotated[
        bool, typer.Option("--record", help="Record it in nbgrader's gradebook, once you agree.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --record: you agree.")] = False,
) -> None:
    """Grade again what was recorded under other checks, and say whose score moves, and why."""
    with _tidy_exit():
        if yes and not record:
            _stop("--yes goes with --record")
        if record and not yes and not _in_terminal():
            _stop("--record asks in a terminal: look first without it, then say --record --yes")
        known = _assignment(assignment)
        entries = _entries(known, paths or [Path("submitted")])
        recording = Recording(known, entries, seed, isolation)
        outdated = _outdated(recording, entries)
        how = known, jobs, recording.seed, isolation, recording.store
        done, interrupted = _grade(outdated, *how) if outdated else ([], False)
        _print_regraded(recording, known, done)
        if interrupted:
            _say(f"interrupted: {len(done)} of {len(outdated)} are graded; nothing was recorded")
            raise typer.Exit(130)
        shown = {report.student: report for report in done if report.status == "graded"}
        if shown and record and (yes or _agreed(len(shown))):
            recording.only(shown)
            again = [entry for entry in outdated if entry.student in shown]
            _, interrupted = _grade(again, *how, recording.take)  # they are in the store
            _say(recording.summary())
        elif shown:
            _say("nothing was recorded" if record else "nothing was recorded; --record does that")
        for line in recording.failures:
            _say(line)
        if interrupted:
            _say("interrupted: run this again for the rest")
            raise typer.Exit(130)
        if recording.failures:
            raise typer.Exit(2)
        if _failed(done):
            raise typer.Exit(1)


def _outdated(recording: Recording, entries: Sequence[Entry]) -> list[Entry]:
    """Those whose recorded result is not the one that today's checks give their notebook."""
    from autograder.adapters.nbgrader import NotRecorded
    from autograder.batch import digest

    outdated, never, current = [], [], 0
    for entry in entries:
        try:
            result, score = recording.recorder.recorded(entry.student)
        except NotRecorded as error:
            recording.failures.append(str(error))
            continue
        if score is None:
            never += [entry.student] if entry.notebook is not None else []
        elif result == recording.store.key(digest(entry)):
            current += 1
        else:
            outdated.append(entry)
    _say(f"{current} recorded results are today's; {len(outdated)} are not, and are graded again")
    if never:
        _say(f"never recorded, which gradus grade --record does: {', '.join(never)}")
    return outdated


def _print_regraded(recording: Recording, assignment: Assignment, done: Sequence[Report]) -> None:
    from autograder.compare import compare as compare_reports
    from autograder.feedback import points

    if not done:
        return
    before, notes = [], []
    changes: Counter[str] = Counter()
    for report in done:
        older, kept = recording.recorder.before(report)
        if report.status != "graded" and older is not None:
            score = points(older.score)
            notes.append(f"{report.student}: {report.status}; the gradebook keeps {score}")
        elif older is not None:
            before.append(older)
            changes.update(recording.store.changes(kept) if kept is not None else [])
            if kept is None:
                notes.append(f"{report.student}: its older result is lost, but for its scores")
    comparison = compare_reports(before, [each for each in done if each.status == "graded"])
    for difference in comparison.differences:
        moved = {change.exercise for change in difference.exercises}
        by_hand = recording.recorder.by_hand(difference.student)
        if stands := [name for name in by_hand if name in moved]:
            notes.append(f"{difference.student}: scored by hand, which stands: {', '.join(stands)}")
    _print_comparison(comparison, Console())
    for line in [*_what_changed(changes, assignment), *notes]:
        _say(line)


def _what_changed(changes: Mapping[str, int], assignment: Assignment) -> Iterator[str]:
    from autograder.checks import TOPICS

    exercises = {
        f"autograder.checks.{item.visibility}.{TOPICS[assignment.name]}: {item.check.name}": (
            item.check.exercise
        )
        for item in assignment.checks
    }
    modules = {name.partition(":")[0] for name in exercises}
    told = {name.partition(":")[0] for name in changes if ": " in name}
    for what, students in changes.items():
        if what not in told:  # a module, of which the parts are named
            yield f"changed since: {what} ({_of(students)})"
    touched = dict.fromkeys(exercises[what] for what in changes if what in exercises)
    if touched and changes.keys() <= exercises.keys() | modules:
        yield f"so only checks of {', '.join(touched)} changed"


def _in_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _agreed(results: int) -> bool:
    try:
        return typer.confirm(f"Record {_of(results, 'result')} in the gradebook?", err=True)
    except typer.Abort:  # Ctrl-C, or the end of the input
        _stop("interrupted: nothing was recorded", 130)


def _print_comparison(comparison: Comparison, out: Console) -> None:
    from autograder.compare import movements, standing, why

    differences = comparison.differences
    moved = [difference for difference in differences if difference.moved]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("student", overflow="fold", min_width=8)
    for title in ("before", "after", "rise"):
        table.add_column(title, justify="right", no_wrap=True)
    for each in moved:
        rise = f"{each.rise:+g}" if each.both_graded else ""
        name = Text(_printable(each.student))
        table.add_row(name, standing(each.before), standing(each.after), rise)
    checks = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for title in ("exercise", "check"):
        checks.add_column(title, overflow="fold")
    for title in ("passes now", "fails now"):
        checks.add_column(title, justify="right", no_wrap=True)
    for exercise, check, passes, fails in movements(differences):
        checks.add_row(
            *map(Text, (_printable(exercise), _printable(check))), f"{passes}", f"{fails}"
        )
    for shown in (table, checks):
        if shown.row_count:
            out.print(shown)
    for difference in differences:
        for line in why(difference):
            out.print(Text(_printable(line)), soft_wrap=True)
    for what, students in comparison.circumstances.items():
        out.print(Text(_printable(f"{what} ({_of(students)})")), soft_wrap=True)
    rose, fell = (sum(sign * each.rise > 0 for each in moved) for sign in (1, -1))
    rest = sum(not each.both_graded for each in moved)
    out.print(
        f"{_of(comparison.students)}: {rose} rose, {fell} fell"
        + (f", {rest} can't be compared" if rest else "")
    )


def _of(number: int, what: str = "student") -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")


# --- gradus build, calibrate, publish, demo, doctor ----------------------------------------------


@app.command()
def build(
    assignments: Annotated[
        list[str] | None, typer.Argument(metavar="[ASSIGNMENT]...", help="All where none is named.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 where a release is stale.")
    ] = False,
) -> None:
    """Make the notebooks that students receive, from solutions/.

    In the folder of a course (with an nbgrader_config.py), its gradebook learns of them, too.
    """
    with _tidy_exit():
        from autograder.build import BuildError, is_fresh
        from autograder.build import build as write_release
        from autograder.checks import TOPICS

        stale = False
        for assignment in [_assignment(name) for name in assignments or TOPICS]:
            path = assignment.release_path
            try:
                if check:
                    fresh = is_fresh(assignment)
                    stale |= not fresh
                    what = "is fresh" if fresh else "is stale: run gradus build"
                else:
                    if Path("nbgrader_config.py").exists():
                        from autograder.adapters.nbgrader import register

                        register(assignment)
                    what = "was written" if write_release(assignment) else "is fresh"
            except BuildError as error:
                _stop(str(error), 1)
            except OSError as error:
                _stop(f"{error.filename or path} can't be written: {error.strerror}")
            print(f"{assignment.name} {what}")
        if stale:
            raise typer.Exit(1)


@app.command()
def calibrate(
    assignments: Annotated[
        list[str] | None, typer.Argument(metavar="[ASSIGNMENT]...", help="All where none is named.")
    ] = None,
) -> None:
    """Measure what the references reach by training, and write the bounds that checks apply.

    Takes minutes. The file that it writes is reviewed and committed.
    """
    with _tidy_exit():
        from autograder import calibration
        from autograder.checks import TOPICS

        table = Table(box=SIMPLE_HEAD)
        for title in ("assignment", "measurement"):
            table.add_column(title)
        for title in ("mean", "sd", "worst", "bound"):
            table.add_column(title, justify="right")
        for assignment in [_assignment(name) for name in assignments or TOPICS]:
            if not assignment.measurements:
                continue
            try:
                measured = calibration.calibrate(
                    assignment.name, assignment.measurements, assignment.reference
                )
            except ValueError as error:
                _stop(f"{assignment.name}: {error}", 1)
            for name, item in measured.items():
                figures = (item.mean, item.sd, item.worst, item.bound)
                table.add_row(assignment.name, name, *(f"{value:.6g}" for value in figures))
        Console().print(table)


@app.command()
def verify(
    assignments: Annotated[
        list[str] | None, typer.Argument(metavar="[ASSIGNMENT]...", help="All where none is named.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="So many sets of cases does each solution have to pass.")
    ] = 30,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes. One for every processor where not given.")
    ] = None,
    mutants: Annotated[
        bool, typer.Option("--mutants", help="List by which check each wrong solution is caught.")
    ] = False,
) -> None:
    """Grade the grader: solutions get all points, wrong ones lose theirs, nothing leaks.

    Takes minutes for each assignment. Exits with 1 where something does not hold.
    """
    with _tidy_exit():
        from autograder.batch import available_processors
        from autograder.build import BuildError
        from autograder.checks import TOPICS
        from autograder.survivors import ReviewError
        from autograder.verify import verify as prove

        proofs = []
        for assignment in [_assignment(name) for name in assignments or TOPICS]:
            with _progress() as bar:
                task = bar.add_task(assignment.name, total=None)
                try:
                    proof = prove(
                        assignment,
                        seeds=seeds,
                        jobs=jobs or available_processors(),
                        progress=partial(_advance, bar, task),
                    )
                except (BuildError, ReviewError) as error:
                    _stop(str(error), 1)
            proofs.append(proof)
            _print_proof(proof, mutants, Console())
        if any(proof.problems for proof in proofs):
            raise typer.Exit(1)


@app.command()
def mutants(
    assignments: Annotated[
        list[str] | None, typer.Argument(metavar="[ASSIGNMENT]...", help="All where none is named.")
    ] = None,
    exercise: Annotated[
        list[str] | None, typer.Option(help="Only this exercise's; may be repeated.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes. One for every processor where not given.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown, too.")
    ] = None,
) -> None:
    """Change the solutions by a little, in every way, and see whether the checks notice.

    It is a part of gradus verify. Exits with 1 where a mutant survives that nobody has explained.
    """
    with _tidy_exit():
        from autograder.batch import available_processors
        from autograder.build import BuildError
        from autograder.checks import TOPICS
        from autograder.survivors import ReviewError, markdown, survey

        chosen = [_assignment(name) for name in assignments or TOPICS]
        known = {one.name for assignment in chosen for one in assignment.exercises}
        if unknown := sorted(set(exercise or ()) - known):
            _stop(f"there is no exercise {unknown[0]!r}; there are: {', '.join(sorted(known))}")
        surveys = {}
        for assignment in chosen:
            with _progress() as bar:
                task = bar.add_task(assignment.name, total=None)
                try:
                    surveys[assignment.name] = survey(
                        assignment,
                        exercise or [each.name for each in assignment.exercises],
                        jobs=jobs or available_processors(),
                        progress=partial(_advance, bar, task),
                    )
                except (BuildError, ReviewError) as error:
                    _stop(str(error), 1)
            _print_generated(assignment.name, surveys[assignment.name], Console())
        if write is not None:
            write.write_text(markdown(surveys), encoding="utf-8")
        problems = [found for some in surveys.values() for one in some for found in one.problems()]
        _print_problems(problems, Console())
        if problems:
            raise typer.Exit(1)


def _print_generated(name: str, surveys: list[Survey], out: Console) -> None:
    from autograder.survivors import COLUMNS, row

    table = Table(title=f"{name}: generated mutants", box=SIMPLE_HEAD)
    table.add_column("exercise")
    for title in COLUMNS:
        table.add_column(title, justify="right")
    for found in surveys:
        table.add_row(found.exercise, *row([found]))
    table.add_section()
    table.add_row("all", *row(surveys))
    out.print(table)


def _print_problems(problems: Sequence[str], out: Console) -> None:
    for problem in problems:
        out.print(f"✗ {problem}", markup=False, style="red")


def _advance(bar: Progress, task: TaskID, done: int, of: int) -> None:
    bar.update(task, completed=done, total=of)


def _print_proof(proof: Proof, mutants: bool, out: Console) -> None:
    table = Table(title=proof.assignment, box=SIMPLE_HEAD)
    table.add_column("exercise")
    for title in ("points", "wrong ones caught", "right ones kept"):
        table.add_column(title, justify="right")
    for name, points in proof.points.items():
        caught = sum(one.exercise == name for one in proof.caught)
        table.add_row(
            name,
            f"{points:g}",
            f"{caught} of {proof.mutants[name]}",
            f"{proof.accepted[name]} of {proof.alternates[name]}",
        )
    out.print(table)
    if mutants:
        by_check = Table(box=SIMPLE_HEAD)
        for title in ("exercise", "wrong solution", "caught by", "in case", "loses"):
            by_check.add_column(title)
        for one in proof.caught:
            cells = (one.exercise, one.mutant, one.check, f"{one.cases}", f"{one.lost:g}")
            by_check.add_row(*map(escape, cells))
        out.print(by_check)
    if proof.generated:
        _print_generated(proof.assignment, proof.generated, out)
    _print_problems(proof.problems, out)
    if not proof.problems:
        out.print(
            f"✓ {proof.assignment}: the solution has all points for {proof.seeds} seeds, the "
            "release none; nothing leaks; lesson, points and checks agree."
        )


@app.command()
def publish(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="A new or an empty folder, or one that was published into before. Whatever else "
            "is in it stays.",
        ),
    ],
) -> None:
    """Write the students' repository: the assignments, the public checks, and what they need."""
    with _tidy_exit():
        from autograder.build import BuildError, is_fresh
        from autograder.checks import TOPICS
        from autograder.students import Refused, check_folder, contents, write

        try:
            check_folder(folder)
            assignments = [_assignment(name) for name in TOPICS]
            stale = [assignment.name for assignment in assignments if not is_fresh(assignment)]
            if stale:
                _stop(f"not built, or stale: {', '.join(stale)}; run gradus build first", 1)
            files = contents({item.name: item.release_path.read_bytes() for item in assignments})
        except BuildError as error:
            _stop(str(error), 1)
        except Refused as error:
            _stop(str(error))
        try:
            changes = write(folder, files)
        except Refused as error:
            _stop(str(error))
        except OSError as error:
            _stop(f"{error.filename or folder} can't be written: {error.strerror}")
        written, removed = len(changes.written), len(changes.removed)
        print(
            f"{_printable(str(folder))}: {len(files)} files, {written} of them written; "
            f"{removed} removed"
        )


@app.command(name="gradescope-zip")
def gradescope_zip(
    assignment: Annotated[str, typer.Argument(help="The assignment's name, as in assignments/.")],
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to; ASSIGNMENT-gradescope.zip if not said."),
    ] = None,
    extra_index_url: Annotated[
        str,
        typer.Option(
            metavar="URL", help="Where pip looks, too, e.g. an index of torch's CPU builds."
        ),
    ] = "",
) -> None:
    """Write the zip with which Gradescope grades an assignment by itself."""
    with _tidy_exit():
        from autograder.adapters.gradescope import autograder_zip

        known = _assignment(assignment)
        if not known.release_path.exists():
            _stop(f"{assignment} is not built yet: run gradus build {assignment}")
        path = output or Path(f"{assignment}-gradescope.zip")
        _check_writable([path])
        failures = _write(autograder_zip(known, extra_index_url), path)
        if failures:
            _stop(failures[0])
        print(f"{path} holds the hidden checks: for Gradescope's Configure Autograder alone")


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
        done, interrupted = _grade(entries, _assignment(NAME), None, 0, Isolation.auto)
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
        from autograder.batch import NoCluster
        from autograder.sandbox.client import IsolationUnavailable

        if not isinstance(error, NoCluster | IsolationUnavailable):
            raise
        _stop(str(error), 2 if isinstance(error, NoCluster) else 3)


if __name__ == "__main__":
    main()
