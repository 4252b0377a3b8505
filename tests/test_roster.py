"""Scores for spreadsheets, Canvas and Moodle: each read back as its importer reads it."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.adapters import canvas, moodle, spreadsheet
from autograder.adapters.canvas import canvas_csv
from autograder.adapters.moodle import moodle_csv
from autograder.adapters.roster import BadRoster, Roster, read_roster, write_csv
from autograder.adapters.spreadsheet import csv_table
from autograder.feedback import points
from tests.reports import failed, graded, missing, reports

NAME = "02-convolution"
COLUMN = f"{NAME} (78)"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
NASTY = [
    'O"Neil, "Ann"',
    "line\nbreak",
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@sum",
    "\tx",
    "محمد علي",
    "👩🏽‍🔬",
    ";",
]


def rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def table(content: bytes) -> list[dict[str, str]]:
    header, *lines = rows(content)
    return [dict(zip(header, line, strict=True)) for line in lines]


# --- Canvas --------------------------------------------------------------------------------------

INFO = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]


def gradebook(*students: list[str], column: str = COLUMN, possible: str = "100.00") -> Roster:
    """Canvas's export: the students, each with name, id, SIS id, login and the cell's content."""
    lines = [
        [name, number, sis, login, "A", "9.00", cell, "80"]
        for name, number, sis, login, cell in students
    ]
    header = [*INFO, "01-intro (77)", column, "Final Score"]
    hidden = [*[""] * 6, "Manual Posting", ""]
    total = ["    Points Possible", *[""] * 4, "10.00", possible, "(read only)"]
    return Roster(header, [hidden, total, *lines], ["SIS Login ID", "SIS User ID", "ID"])


def student(login: str, cell: str = "", name: str = "Doe, Jo") -> list[str]:
    return [name, f"1{login}", f"s-{login}", login, cell]


class Canvas:
    """What Canvas's importer makes of a file, by its published rules: a student is found by ID, an
    assignment by the number in its header; an empty cell deletes a score, EX excuses."""

    def __init__(self, scores: dict[str, str]) -> None:
        self.scores = dict(scores)
        self.changed: set[str] = set()

    def load(self, content: bytes) -> None:
        header, *lines = rows(content)
        assert "Student" in header[0]
        assert "ID" in header[1]
        assert len(header) > 3
        section = header.index("Section")
        assert section == header.index("SIS Login ID") + 1
        ((place, number),) = [
            (place, match[1])
            for place, name in enumerate(header)
            if (match := re.fullmatch(r".*\s\((\d+)\)", name, re.DOTALL)) and place > section
        ]
        assert number == "78"
        assert len(header) == section + 2  # nothing else can be changed
        for line in lines:
            assert len(line) == len(header)
            if "Points Possible" in line[0]:
                assert float(line[place]) == 100
                continue
            new = line[place].strip()
            old = self.scores[line[1]]
            same = new == old or (new and old and new != "EX" and float(new) == float(old))
            if not same:
                self.changed.add(line[1])
                self.scores[line[1]] = new


def test_canvas_gets_the_scores_of_the_graded_and_keeps_all_others():
    people = [
        student("ada"),
        student("ben", "55.00"),
        student("cem", "70"),
        student("dan", "60"),
        student("eve"),
        student("fay", "EX"),
    ]
    class_ = [
        graded("ada", 90),
        graded("ben", 100),
        failed("cem"),
        missing("dan"),
        graded("fay", 10),
    ]
    export = canvas_csv(class_, gradebook(*people), NAME, 100)
    there = Canvas({number: cell for _, number, _, _, cell in people})
    there.load(export.content)
    assert there.changed == {"1ada", "1ben"}
    assert there.scores == {
        "1ada": "90",
        "1ben": "100",
        "1cem": "70",
        "1dan": "60",
        "1eve": "",
        "1fay": "EX",
    }
    assert export.left_out == ["fay"]
    assert sorted(export.notes) == [
        "could not be graded, the cell is left as it is: cem (70)",
        "excused in Canvas, the cell is left as it is: fay (EX)",
        "handed in nothing, the cell is left as it is: dan (60), eve (empty)",
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["graded", "missing", "failed", "absent"]),
            st.sampled_from(["", "0", "12.50", "100.00"]),
            st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(NASTY)),
            st.sampled_from([0, 33.25, 100]),
        ),
        max_size=6,
    )
)
def test_every_student_has_a_row_and_only_graded_ones_a_new_score(class_):
    people, given_, expected = [], [], {}
    for number, (status, old, name, score) in enumerate(class_):
        login = f"u{number}"
        people.append(student(login, old, name))
        make = {"graded": lambda who, s=score: graded(who, s), "missing": missing, "failed": failed}
        if status != "absent":
            given_.append(make[status](login))
        expected[f"1{login}"] = points(score) if status == "graded" else old
    content = canvas_csv(given_, gradebook(*people), NAME, 100).content
    lines = rows(content)[2:]
    assert {line[1]: line[-1] for line in lines} == expected
    for line, person in zip(lines, people, strict=True):
        assert line[1:5] == [*person[1:4], "A"]
        assert line[0].removeprefix("'") == re.sub("\r\n?", "\n", person[0]).removeprefix("'")
        assert not line[0].startswith(FORMULA)


@pytest.mark.parametrize(
    ("people", "class_", "said"),
    [
        ([student("ada"), student("ada", name="Twin")], ["ada"], "ambiguous, ada fits 2 rows"),
        ([student("ada")], ["ada", "1ada"], "ambiguous, ada fits the row of 1ada"),
        ([student("ada")], ["Ada"], "should name them: Ada"),
        ([student("ada")], ["doe"], "should name them: doe"),
        ([["Doe, Jo", "", "", "", ""]], ["Doe, Jo"], "without an id in the roster"),
    ],
)
def test_nobody_is_guessed_and_nobody_dropped_without_a_word(people, class_, said):
    scored = [graded(name, 90) for name in class_]
    export = canvas_csv(scored, gradebook(*people), NAME, 100)
    assert any(said in note for note in export.notes), export.notes
    assert export.left_out == class_
    assert [line[-1] for line in rows(export.content)[2:]] == [""] * len(people)


def test_an_id_written_in_another_form_of_unicode_is_the_same():
    people = gradebook(student("jos\u00e9"))
    assert (
        canvas_csv(
            [
                graded("jose\u0301", 90),
            ],
            people,
            NAME,
            100,
        ).notes
        == []
    )


@pytest.mark.parametrize(
    ("roster", "title", "said"),
    [
        (gradebook(column="Homework 2 (78)"), NAME, "no column '02-convolution'"),
        (gradebook(column=NAME), NAME, "no column '02-convolution'"),  # Canvas makes a new one
        (gradebook(column="01-intro (99)"), "01-intro", "'01-intro (77)' and '01-intro (99)'"),
        (gradebook(possible="10.00"), NAME, "has 10.00 points in Canvas, and 100 here"),
        (gradebook(possible="(read only)"), NAME, "is read only"),
        (Roster(["id", "name"], [], ["id"]), NAME, "no export of Canvas's gradebook"),
        (Roster(["Student", "ID", COLUMN], [], ["ID"]), NAME, "no column 'Section'"),
    ],
)
def test_a_gradebook_that_does_not_fit_is_refused(roster, title, said):
    with pytest.raises(BadRoster, match=re.escape(said)):
        canvas_csv([graded("ada", 90)], roster, title, 100)


@pytest.mark.parametrize("title", ["Homework, 2", "Homework, 2 (78)"])
def test_canvass_own_title_can_be_named(title):
    people = gradebook(student("ada"), column="Homework, 2 (78)")
    header, *_, line = rows(canvas_csv([graded("ada", 90)], people, title, 100).content)
    assert (header[-1], line[-1]) == ("Homework, 2 (78)", "90")


def test_a_student_who_is_called_like_the_row_of_points_is_a_student():
    people = gradebook(student("ada", name="Points Possible"), student("ben"))
    before = [[*row] for row in people.rows]
    content = canvas_csv([graded("ada", 90), graded("ben", 80)], people, NAME, 100).content
    there = Canvas({"1ada": "", "1ben": ""})
    there.load(content)
    assert there.scores == {"1ada": "90", "1ben": "80"}
    assert people.rows == before


def test_a_thousand_students_are_matched(tmp_path):
    people = [student(f"u{n}", name=NASTY[n % len(NASTY)]) for n in range(1000)]
    class_ = [graded(f"u{n}", n / 10) for n in range(1000)]
    export = canvas_csv(class_, gradebook(*people), NAME, 100)
    assert export.notes == []
    assert [line[-1] for line in rows(export.content)[2:]] == [points(n / 10) for n in range(1000)]


# --- Moodle --------------------------------------------------------------------------------------

WORKSHEET = [
    "Identifier",
    "Full name",
    "Email address",
    "Status",
    "Grade",
    "Maximum grade",
    "Grade can be changed",
    "Last modified (submission)",
    "Online text",
    "Last modified (grade)",
    "Feedback comments",
]


def worksheet(*people: tuple[str, str, str, str], maximum: str = "100.00") -> Roster:
    """Moodle's grading worksheet: number, name, e-mail address and grade of each participant."""
    lines = [
        [
            f"Participant {number}",
            name,
            email,
            "Submitted for grading",
            grade,
            maximum,
            changeable,
            "Friday, 20 November 2026, 9:00 AM",
            "=1+1",
            "-",
            "<p>kept</p>",
        ]
        for number, name, email, grade, changeable in ((*person, "Yes")[:5] for person in people)
    ]
    return Roster(WORKSHEET, lines, ["Email address", "Identifier"])


def moodle_import(content: bytes, old: dict[str, str]) -> dict[str, str]:
    """The grades after Moodle's import, by its published code: columns by their names, a
    participant by the number, no empty grades, none above the maximum."""
    header, *lines = rows(content)
    identifier, grade = header.index("Identifier"), header.index("Grade")
    assert "Last modified (grade)" in header
    assert "Feedback comments" not in header  # else it would be written back, without its markup
    new = dict(old)
    for line in lines:
        number = line[identifier][len("Participant ") :]
        value = line[grade].replace(",", ".")
        if number in old and value != "" and 0 <= float(value) <= 100:
            new[number] = value
    return new


def test_moodle_gets_the_grades_of_the_graded_and_keeps_all_others():
    people = worksheet(
        ("1", "Ada", "ada@x.org", ""),
        ("2", "Ben", "ben@x.org", "55,00"),
        ("3", "Cem", "cem@x.org", "70.00"),
        ("4", "Dan", "dan@x.org", ""),
        ("5", "Eve", "eve@x.org", "40.00", "No"),
        ("6", "Fay", "fay@x.org", ""),
    )
    class_ = [
        graded("ada@x.org", 90),
        graded("2", 33.25),
        failed("cem@x.org"),
        missing("dan@x.org"),
        graded("eve@x.org", 80),
        graded("Participant 6", 0),
    ]
    export = moodle_csv(class_, people, 100)
    old = {"1": "", "2": "55,00", "3": "70.00", "4": "", "5": "40.00", "6": ""}
    after = moodle_import(export.content, old)
    assert after == {"1": "90", "2": "33.25", "3": "70.00", "4": "", "5": "40.00", "6": "0"}
    assert export.left_out == ["eve@x.org"]
    assert sorted(export.notes) == [
        "could not be graded, the cell is left as it is: cem@x.org (70.00)",
        "handed in nothing, the cell is left as it is: dan@x.org (empty)",
        "locked in Moodle, the cell is left as it is: eve@x.org (40.00)",
    ]


@pytest.mark.parametrize("name", NASTY)
def test_a_name_stays_a_name_in_moodle(name):
    people = worksheet(("1", name, "ada@x.org", ""))
    (line,) = table(moodle_csv([graded("ada@x.org", 90)], people, 100).content)
    assert line["Identifier"] == "Participant 1"
    assert line["Full name"] in (name, f"'{name}")
    assert not line["Full name"].startswith(FORMULA)


@pytest.mark.parametrize(
    ("roster", "said"),
    [
        (worksheet(("1", "Ada", "a@x.org", ""), maximum="10.00"), "the maximum grade is 10.00"),
        (Roster(["ID", "Bewertung"], [], ["ID"]), "no column 'Identifier'"),
        (
            Roster(["Identifier", "Grade", "Scale", "Last modified (grade)"], [], ["Identifier"]),
            "not graded in points",
        ),
    ],
)
def test_a_worksheet_that_does_not_fit_is_refused(roster, said):
    with pytest.raises(BadRoster, match=said):
        moodle_csv([graded("a@x.org", 90)], roster, 100)


# --- Any spreadsheet -----------------------------------------------------------------------------


@given(st.lists(reports(), max_size=4))
def test_every_report_has_a_line_and_only_graded_ones_scores(class_):
    lines = table(csv_table(class_).content)
    assert [line["status"] for line in lines] == [one.status for one in class_]
    for line, one in zip(lines, class_, strict=True):
        assert line["score"] == (points(one.score) if one.status == "graded" else "")
        assert not line["student"].startswith(FORMULA)
        assert not line["faults"].startswith(FORMULA)


def test_a_rosters_students_come_first_and_the_missing_have_a_line():
    people = Roster(["id", "name"], [["zoe", ""], ["ada", ""], ["two", ""], ["two", ""]], ["id"])
    class_ = [graded("ada", 90), failed("bob"), graded("two", 50)]
    export = csv_table(class_, people)
    assert [(line["student"], line["status"], line["score"]) for line in table(export.content)] == [
        ("zoe", "missing", ""),
        ("ada", "graded", "90"),
        ("two", "unmatched", ""),
        ("two", "unmatched", ""),
        ("bob", "failed", ""),
        ("two", "graded", "50"),
    ]
    assert any("bob" in note for note in export.notes)
    assert any("two fits 2 rows" in note for note in export.notes)


def test_canvass_rows_that_are_no_students_get_no_line():
    export = csv_table([graded("ada", 90)], gradebook(student("ada"), student("ben")))
    assert [line["student"] for line in table(export.content)] == ["ada", "ben"]
    assert export.notes == []


# --- Reading a roster ----------------------------------------------------------------------------


@given(
    st.sampled_from([",", ";", "\t"]),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
    st.lists(st.tuples(st.integers(1), st.sampled_from(NASTY)), max_size=4),
)
def test_a_roster_reads_the_same_however_it_was_saved(delimiter, bom, newline, people):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=newline)
    writer.writerows([["id", "name, as written"], *people])
    content = file.getvalue().encode("utf-8-sig" if bom else "utf-8")
    roster = read_roster(Given(content), ["id"])
    assert roster.header == ["id", "name, as written"]
    assert roster.rows == [[str(number), name] for number, name in people]


class Given:
    """A file that holds these bytes."""

    def __init__(self, content: bytes) -> None:
        self.read_bytes = lambda: content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "needs a column id"),
        (b"name\nada\n", "its first line is: name"),
        (b"id,name\nada,L\xf6we\n", "not UTF-8"),
        (b"\xff\xfei\x00d\x00", "not UTF-8"),
        (b"id,name\nada,Doe, Jo\n", "line 2 has 3 cells, and the header 2"),
        (b'id,name\nada,"Doe\n', "line 2 is no CSV"),
        (b"id,name,id\nada,x,ben\n", "2 columns 'id'"),
    ],
)
def test_a_roster_that_can_not_be_read_says_why(content, said):
    with pytest.raises(BadRoster, match=said):
        csv_table([], read_roster(Given(content), spreadsheet.ID_COLUMNS))


def test_a_long_text_in_a_worksheet_is_no_obstacle():
    roster = worksheet(("1", "Ada", "ada@x.org", ""))
    roster.rows[0][WORKSHEET.index("Online text")] = "x" * 10**6
    again = read_roster(Given(write_csv([roster.header, *roster.rows])), moodle.ID_COLUMNS)
    assert again.rows == roster.rows
    assert again.id_columns == ["Email address", "Identifier"]


def test_short_and_empty_lines_are_no_obstacle():
    assert read_roster(Given(b"id,name\n\nada\n,,\n"), ["id"]).rows == [["ada", ""]]


def test_canvass_ids_are_looked_for_in_all_their_columns():
    content = write_csv([[*INFO, COLUMN], ["Doe", "7", "s7", "ada", "A", ""]])
    roster = read_roster(Given(content), canvas.ID_COLUMNS)
    for name in ("7", "s7", "ada"):
        assert canvas_csv([graded(name, 90)], roster, NAME, 100).left_out == []
