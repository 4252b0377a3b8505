"""What moved between two gradings, and `gradus compare`, which says it."""

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from autograder.cli import app
from autograder.compare import BadReports, compare, movements, why
from autograder.report import ExerciseResult
from tests.reports import check, failed, graded, missing, report, reports

CLASSES = st.lists(reports(), max_size=5, unique_by=lambda report: report.student)


@st.composite
def gradings(draw):
    """A class twice, most of the students on both sides."""
    sides = [], []
    for student in draw(st.lists(st.text(max_size=3), unique=True, max_size=5)):
        for side in draw(st.sampled_from([sides, sides, sides, sides[:1], sides[1:]])):
            side.append(msgspec.structs.replace(draw(reports()), student=student))
    return sides


def ends(difference, mirrored=False):
    """All that a difference tells, as seen from one side or from the other."""

    def both(change):
        pair = repr(change.before), repr(change.after)
        return change.exercise, pair[::-1] if mirrored else pair

    sides = [difference.before, difference.after]
    changes = [sorted(map(both, found)) for found in (difference.exercises, difference.checks)]
    return (
        sides[::-1] if mirrored else sides,
        changes,
        -difference.rise if mirrored else difference.rise,
    )


@given(CLASSES, st.randoms(use_true_random=False))
def test_nothing_differs_from_itself_in_whatever_order(some, draw):
    found = compare(some, draw.sample(some, len(some)))
    assert (found.differences, found.circumstances) == ([], {})
    assert found.students == len(some)


@given(gradings())
def test_what_differs_one_way_differs_the_other_way_mirrored(sides):
    one, other = compare(*sides), compare(*sides[::-1])
    assert {d.student: ends(d) for d in one.differences} == {
        d.student: ends(d, mirrored=True) for d in other.differences
    }
    now = {(m.exercise, m.check): (m.passes_now, m.fails_now) for m in movements(one.differences)}
    assert now == {
        (m.exercise, m.check): (m.fails_now, m.passes_now) for m in movements(other.differences)
    }


@given(gradings())
def test_a_score_never_moves_without_a_word(sides):
    old, new = ({each.student: each for each in side} for side in sides)
    told = {d.student: d for d in compare(*sides).differences}
    for student in old.keys() & new.keys():
        a, b = old[student], new[student]
        if a.status == b.status == "graded" and a.score != b.score:
            assert told[student].moved
            assert told[student].exercises
            assert told[student].rise == b.score - a.score
    assert told.keys() >= old.keys() ^ new.keys()


@given(reports(["graded"]), reports(["graded"]))
def test_what_the_checks_say_adds_up_to_the_rise(a, b):
    b.student = a.student
    assume(all(e.checks for r in (a, b) for e in r.exercises))

    def earned(side):
        return side.points if side is not None and side.passed else 0

    for difference in compare([a], [b]).differences:
        rise = sum(earned(c.after) - earned(c.before) for c in difference.checks)
        assert rise == difference.rise


@given(gradings())
def test_every_difference_can_be_told(sides):
    for difference in compare(*sides).differences:
        assert next(why(difference)).startswith(f"{difference.student}: ")


def test_a_corrected_check_moves_only_those_who_met_it_and_says_why():
    right, wrong = check("right"), check("wrong", False, text="It came back as 3.\nMore.")
    before = [report("ada", right, check("wrong")), report("ben", right, wrong)]
    after = [report("ada", right, check("wrong")), report("ben", right, check("wrong"))]
    found = compare(before, after)
    (ben,) = found.differences
    assert (ben.student, ben.rise, found.students) == ("ben", 5, 2)
    assert list(why(ben)) == [
        "ben: 5/10 -> 10/10 (+5)",
        "  conv2d: wrong passes now (5): Statement of wrong.",
        "    before: It came back as 3.",
    ]
    assert movements(found.differences) == [("conv2d", "wrong", 1, 0)]


def test_checks_that_were_added_removed_or_count_otherwise_are_told():
    a = report("ada", check("old", False, 1, text="Gone."), check("same", True, 2))
    b = report("ada", check("same", True, 4), check("new", False, 3, text="Too strict."))
    (ada,) = compare([a], [b]).differences
    assert list(why(ada)) == [
        "ada: 2/3 -> 4/7 (+2)",
        "  conv2d: old is gone, which failed (1): Statement of old.",
        "    before: Gone.",
        "  conv2d: same passes (2 -> 4): Statement of same.",
        "  conv2d: new is new, and fails (3): Statement of new.",
        "    now: Too strict.",
    ]


def test_two_checks_may_move_and_leave_the_score_where_it_was():
    a = report("ada", check("one", True), check("two", False))
    b = report("ada", check("one", False), check("two", True))
    (ada,) = compare([a], [b]).differences
    assert (ada.moved, ada.rise, len(ada.checks)) == (False, 0, 2)


@pytest.mark.parametrize("other", [failed, missing])
def test_a_score_of_what_was_not_graded_is_no_score(other):
    (ada,) = compare([graded("ada", 90)], [other("ada")]).differences
    assert (ada.moved, ada.rise, ada.exercises, ada.checks) == (True, 0, [], [])
    first = next(why(ada))
    assert first.startswith("ada: 90/100 -> ")
    assert "no change of a score" in first


def test_a_new_notebook_is_told_and_so_is_who_is_on_one_side_only():
    a, b = graded("ada", 50), graded("ada", 80)
    b.submission = "1" * 64
    found = compare([a, graded("ben", 1)], [b, graded("cem", 2)])
    ada, ben, cem = found.differences
    assert next(why(ada)) == "ada: 50/100 -> 80/100 (+30), for another notebook"
    assert next(why(ben)) == "ben: 1/100 -> none"
    assert next(why(cem)) == "cem: none -> 2/100"
    assert all(each.moved for each in (ada, ben, cem))


def test_other_circumstances_are_told_once_with_how_many_they_concern():
    a, b = [graded(n, 5) for n in ("ada", "ben")], [graded(n, 5) for n in ("ada", "ben")]
    for each in b:
        each.seed = 8
        each.isolation = {"name": "landlock"}
    a[0].versions, b[0].versions = {"torch": "2.12"}, {"torch": "2.13"}
    found = compare(a, b)
    assert found.differences == []
    assert found.circumstances == {
        "seed: 7 -> 8": 2,
        "isolation: namespaces -> landlock": 2,
        "torch: 2.12 -> 2.13": 1,
    }


def test_reports_of_another_assignment_are_not_taken_for_the_same_students():
    other = graded("ada", 5)
    other.assignment = "03-lstm"
    found = compare([graded("ada", 5)], [other])
    assert len(found.differences) == 2
    assert found.circumstances == {
        "assignment: 02-convolution only before": 1,
        "assignment: 03-lstm only after": 1,
    }


def test_where_only_an_exercises_score_is_known_that_is_compared():
    a, b = graded("ada", 50), graded("ada", 80)
    a.exercises = [ExerciseResult("conv2d", 50, 100, [])]
    (ada,) = compare([a], [b]).differences
    assert list(why(ada))[1:] == ["  conv2d: 50/100 -> 80/100; by which checks is not known"]


def test_two_reports_of_a_student_are_refused():
    with pytest.raises(BadReports, match="'ada' has two Reports"):
        compare([graded("ada", 1), graded("ada", 2)], [])


# The files, and the command.


def written(path, *some):
    path.write_bytes(b"".join(each.to_json() + b"\n" for each in some))
    return path


def gradus_compare(*paths):
    return CliRunner().invoke(app, ["compare", *map(str, paths)])


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (b'{"assignment": "02-conv', "line 3: no Report"),
        (b"\xff\xfe", "line 3: no Report"),
        (b"[" * 100_000, "line 3: no Report"),
        (b"{}", "missing required field"),
        (graded("ada", 1).to_json(), "line 3: 'ada' has a Report already in line 1"),
        (graded("cem", 1).to_json().replace(b'"schema":1', b'"schema":2'), "schema 2"),
    ],
)
def test_a_line_that_is_no_report_is_named_with_its_file_and_ends_with_2(tmp_path, line, named):
    good = written(tmp_path / "good.jsonl", graded("ada", 1))
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(good.read_bytes() + b"\n" + line + b"\n")
    done = gradus_compare(good, bad)
    assert (done.exit_code, done.stdout) == (2, "")
    (said,) = done.stderr.splitlines()
    assert f"{bad}, line 3: " in said
    assert named in said


def test_a_file_that_is_not_there_ends_with_2(tmp_path):
    done = gradus_compare(tmp_path / "nothing.jsonl", tmp_path)
    assert done.exit_code == 2
    assert "nothing.jsonl can't be read: No such file" in done.stderr


def test_equal_gradings_end_with_0_and_moved_scores_with_1(tmp_path):
    right, wrong = check("right"), check("wrong", False, text="It came back as 3.")
    a = written(tmp_path / "a.jsonl", report("ada", right, wrong), graded("ben", 5))
    b = written(tmp_path / "b.jsonl", graded("ben", 5), report("ada", right, check("wrong")))
    assert gradus_compare(a, a).exit_code == 0
    done = gradus_compare(a, b)
    assert done.exit_code == 1
    assert "ada: 5/10 -> 10/10 (+5)" in done.stdout
    assert "before: It came back as 3." in done.stdout
    assert "2 students: 1 rose, 0 fell" in done.stdout
    assert "ben" not in done.stdout
    assert "0 rose, 1 fell" in gradus_compare(b, a).stdout


def test_nothing_that_a_student_wrote_reaches_the_terminal_as_more_than_text(tmp_path):
    name, text = "[bold]d\x1b[2Jan", "[red]\x1b]0;owned\x07" + "x" * 10_000
    a = written(tmp_path / "a.jsonl", report(name, check("one")), failed("[/red]"))
    b = written(
        tmp_path / "b.jsonl", report(name, check("one", False, text=text)), graded("[/red]", 1)
    )
    done = gradus_compare(a, b)
    assert done.exit_code == 1
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert r"[bold]d\x1b[2Jan" in done.stdout
    assert r"now: [red]\x1b]0;owned\x07" in done.stdout
    assert len(done.stdout) < 5_000
