"""The checks in the student's own notebook: feedback as HTML and text, points for nbgrader."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_code_cell, new_output
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.utils import determine_grade
from nbgrader.validator import Validator
from traitlets.config import Config

from autograder import publish
from autograder.assignment import Assignment
from autograder.build import solution_notebook
from autograder.checks.hidden.convolution import reference
from autograder.feedback import exercise_html, exercise_text
from autograder.notebook import NotebookChecks, checks_of
from autograder.operations import ForbiddenOperation
from autograder.report import CheckResult
from autograder.subject import LocalChannel, StudentError, Subject

RIGHT = reference()


def feedback(exercise: str, **functions):
    return NotebookChecks("02-convolution", {**RIGHT, **functions})(exercise)


def public_points(assignment: Assignment, exercise: str) -> float:
    return sum(
        item.check.points
        for item in assignment.checks
        if item.check.exercise == exercise and item.visibility == "public"
    )


def wrong_field(layers):
    return 1 if not layers else sum(k for k, _, _ in layers)


@pytest.mark.parametrize("exercise", ["conv2d", "receptive_field", "max_pool2d", "quiz"])
def test_a_right_solution_gets_all_public_points(exercise, convolution):
    result = feedback(exercise)
    assert result.points == public_points(convolution, exercise) > 0
    assert "✗" not in result._repr_html_()


def test_a_wrong_one_gets_what_it_earned_and_sees_the_smallest_call(convolution):
    result = feedback("receptive_field", receptive_field=wrong_field)
    assert 0 <= result.points < public_points(convolution, "receptive_field")
    html = result._repr_html_()
    assert "✗" in html
    assert "receptive_field([" in html
    failed = [check for check in result.checks if not check.passed]
    assert all(check.counterexample and check.message for check in failed)


def test_a_blank_one_is_not_done_yet():
    def receptive_field(layers):
        raise NotImplementedError

    result = feedback("receptive_field", receptive_field=receptive_field)
    assert result.points == 0
    assert "Not done yet" in result._repr_html_()


@pytest.mark.parametrize("exercise", ["receptive_field", "max_pool2d"])
def test_a_missing_one_is_named_once_with_what_to_run(exercise):
    result = NotebookChecks("02-convolution", {})(exercise)
    assert result.points == 0
    assert str(result).count(f"{exercise!r}") == 1
    assert str(result).count("not defined: run that exercise's cell first") == 1
    assert str(result).count("✗") == len(result.checks) > 1


def test_an_earlier_exercise_that_is_missing_is_named_once():
    def conv_transpose2d(x, *_, **__):
        raise NameError("name 'pixel_shuffle' is not defined")

    namespace = {**RIGHT, "conv_transpose2d": conv_transpose2d}
    others = NotebookChecks("02-convolution", namespace)("conv_transpose2d")
    assert "run that exercise's cell" not in str(others)  # it is defined
    del namespace["pixel_shuffle"]
    result = NotebookChecks("02-convolution", namespace)("conv_transpose2d")
    assert str(result).count("'pixel_shuffle' is not defined: run that exercise's cell") == 1


def test_what_comes_from_the_student_is_escaped():
    def receptive_field(layers):
        raise ValueError("<script>alert(1)</script><img src=x onerror=y>")

    html = feedback("receptive_field", receptive_field=receptive_field)._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_a_forbidden_operation_costs_the_points_and_is_named():
    result = feedback("conv2d", conv2d=F.conv2d)
    assert result.points == 0
    assert "torch&#x27;s own convolutions" in result._repr_html_()
    assert F.conv2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).item() == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("conv2", "no exercise 'conv2'. Did you mean 'conv2d'? There are: conv_output_size, "),
        ("Quiz", "no exercise 'Quiz'. Did you mean 'quiz'?"),
        (F.conv2d, "Did you mean 'conv2d', in quotes?"),
        ("", "no exercise ''. There are: conv_output_size, "),
        (["conv2d"], "no exercise ['conv2d']. Did you mean 'conv2d', in quotes?"),
    ],
)
def test_an_unknown_exercise_is_told_with_the_nearest_one(name, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        feedback(name)


def test_an_unknown_assignment_is_told_with_the_known_ones():
    with pytest.raises(ValueError, match="no assignment 'convolution'. Did you mean '02-conv"):
        checks_of("convolution")


def test_a_wrong_name_shows_a_sentence_and_no_traceback(kernel, capsys):
    kernel.run_cell('check("conv2")')
    shown = capsys.readouterr().out
    assert shown.startswith("There is no exercise 'conv2'. Did you mean 'conv2d'?")
    assert shown.count("\n") == 1


# The whole assignment.


def test_all_tells_each_exercises_standing_and_the_total(convolution):
    def blank(*_, **__):
        raise NotImplementedError

    names = [exercise.name for exercise in convolution.exercises]
    namespace = {**RIGHT, "same_padding": blank, "receptive_field": wrong_field}
    del namespace["zero_pad2d"]
    standing = NotebookChecks("02-convolution", namespace).all()
    rows = {row.exercise: row for row in standing.rows}

    assert list(rows) == names
    assert all(row.possible == public_points(convolution, row.exercise) for row in standing.rows)
    assert rows["same_padding"][1:3] == ("not begun", 0)
    assert rows["same_padding"].missing == "not begun"
    assert rows["zero_pad2d"][1:3] == ("not begun", 0)
    assert "not defined" in rows["zero_pad2d"].missing
    alone = feedback("receptive_field", receptive_field=wrong_field)
    assert rows["receptive_field"][1:3] == ("failed", alone.points)
    assert rows["receptive_field"].missing == next(
        check.statement for check in alone.checks if not check.passed
    )
    others = [rows[name] for name in names if name not in ("same_padding", "zero_pad2d")]
    assert [row.state for row in others].count("passed") == len(names) - 3


def test_all_is_a_table_and_as_text_a_line_for_each_exercise():
    standing = NotebookChecks("02-convolution", {**RIGHT, "receptive_field": wrong_field}).all()
    html, text = standing._repr_html_(), str(standing)
    earned = sum(row.earned for row in standing.rows)
    possible = sum(row.possible for row in standing.rows)
    assert html.count("<tr>") == len(standing.rows) + 2
    assert f"{earned:g} / {possible:g}</td>" in html
    lines = text.splitlines()
    assert len(lines) == len(standing.rows) + 3
    assert re.fullmatch(rf" +total +{earned:g} / {possible:g}", lines[-2])
    for line, row in zip(lines[1:-2], standing.rows, strict=True):
        assert re.match(rf" [✓✗] {row.exercise} +{row.earned:g} / {row.possible:g}", line)
        assert line.endswith(row.missing)
    assert "<" not in text


# A student who interrupts.


def interrupting(function, after):
    """`function`, whose call number `after` is interrupted."""
    calls = []

    def watched(*args, **kwargs):
        calls.append(args)
        if len(calls) == after:
            raise KeyboardInterrupt
        return function(*args, **kwargs)

    return watched


def test_an_interrupted_check_names_its_call_and_keeps_what_was_found_out():
    right = RIGHT["receptive_field"]
    whole = feedback("receptive_field")
    first = whole.checks[0]
    result = feedback("receptive_field", receptive_field=interrupting(right, first.cases + 1))
    assert [check.name for check in result.checks] == [first.name]
    assert result.points == first.points
    assert "Interrupted in check 2 of 3" in str(result)
    assert "Your receptive_field was running on this call" in str(result)
    call = result.interruption.call
    assert eval(call, {"receptive_field": right}) > 0
    assert f">{call}</pre>" in result._repr_html_()
    assert "points so far" in str(result)


def test_an_interrupt_while_a_smaller_call_is_looked_for_keeps_the_one_that_failed():
    failing = feedback("receptive_field", receptive_field=wrong_field)
    found = next(check for check in failing.checks if not check.passed)

    class Counted:
        """Fails in every call, and is interrupted long after the first failure."""

        calls = 0

        def __call__(self, layers):
            self.calls += 1
            if self.calls == 40:
                raise KeyboardInterrupt
            return wrong_field(layers)

    result = feedback("receptive_field", receptive_field=Counted())
    assert "It fails, and a smaller call was being looked for" in str(result)
    last = result.checks[-1]
    assert not last.passed
    assert last.counterexample
    assert found.name in [check.name for check in result.checks]


def test_an_interrupt_that_hypothesis_trips_over_is_an_interrupt(monkeypatch):
    def draw(*_, **__):
        try:
            raise KeyboardInterrupt
        finally:
            raise AssertionError

    monkeypatch.setattr("autograder.check.draw", draw)
    result = feedback("receptive_field")
    assert "Interrupted in check 1 of 3 of receptive_field: “" in str(result)
    assert result.points == 0


def test_an_interrupt_ends_all_with_the_rows_so_far():
    namespace = {**RIGHT, "same_padding": interrupting(RIGHT["same_padding"], 3)}
    standing = NotebookChecks("02-convolution", namespace).all()
    states = [row.state for row in standing.rows]
    assert states == ["passed", "interrupted"] + ["not run"] * 8
    assert standing.interruption.call.startswith("same_padding(")
    assert standing.interruption.call in str(standing)
    assert standing.rows[-1].possible > 0


# What the student's code prints, raises and returns.


def test_what_the_students_code_prints_is_shown_in_part_and_breaks_nothing(capsys):
    def receptive_field(layers):
        print("layers", layers)
        print("odd", file=sys.stderr)
        print("x\n" * 10**5)
        return RIGHT["receptive_field"](layers)

    result = feedback("receptive_field", receptive_field=receptive_field)
    shown = capsys.readouterr()
    assert result.points == result.possible
    assert re.match(r"layers \[.*\]\nodd\nx\n", shown.out)
    assert shown.out.endswith("… (your code prints more, which is not shown)\n")
    assert shown.out.count("\n") < 40
    assert not shown.err  # to nbgrader a cell with text there has failed


@given(st.text(st.characters(exclude_categories=(), exclude_characters="\n"), max_size=30))
def test_no_message_hides_reverses_or_colours_what_stands_beside_it(message):
    text = exercise_text("e", [CheckResult("c", "public", 1, False, "Statement.", message)])
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", text)
    if "\x1b" not in message:
        assert letters(text).endswith(letters(message))


def letters(text):
    return "".join(character for character in text if character.isalnum())


def test_a_coloured_message_is_shown_without_its_colours():
    check = CheckResult("c", "public", 1, False, "Statement.", "\x1b[1;31mred\x1b[0m ink")
    assert exercise_text("e", [check]).splitlines()[-1] == "     red ink"
    assert ">red ink</pre>" in exercise_html("e", [check])


def test_a_message_of_a_thousand_lines_takes_a_dozen():
    def receptive_field(layers):
        raise ValueError("line\n" * 1000)

    result = feedback("receptive_field", receptive_field=receptive_field)
    assert str(result).count("\n") < 16 * len(result.checks)
    assert "more lines" in str(result)


def test_a_forgotten_return_is_named():
    result = feedback("receptive_field", receptive_field=lambda layers: None)
    assert str(result).count("came back: None (is the return missing?)") == len(result.checks)


# nbgrader.


def test_nbgrader_takes_the_text_as_the_points(monkeypatch, convolution):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    for functions in ({}, {"receptive_field": wrong_field}):
        result = feedback("receptive_field", **functions)
        cell = new_code_cell('check("receptive_field")')
        cell.metadata["nbgrader"] = {
            "grade": True,
            "grade_id": "check-receptive_field",
            "points": 8,
            "solution": False,
            "locked": True,
            "schema_version": 3,
        }
        data = {"text/plain": repr(result), "text/html": result._repr_html_()}
        cell.outputs = [new_output("execute_result", data)]
        score, most = determine_grade(cell)
        assert (score, most) == (result.points, 8)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A folder with the first of the exercises right, the second half right, the third blank, as
    nbgrader's `ps`; a kernel there has what students have, and stock nbgrader's settings."""
    publish.write_for_students(tmp_path / "code")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    beside_python = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", beside_python, prepend=":")
    sources = {
        "receptive_field": "def receptive_field(layers):\n"
        "    return 1 if not layers else sum(k for k, _, _ in layers)",
        "quiz": "raise NotImplementedError",
    }
    whole = solution_notebook(Assignment("02-convolution"), sources)
    kept = ["conv_output_size", "receptive_field", "quiz"]
    kept = ["cell-003", *kept, *(f"check-{name}" for name in kept)]
    whole.cells = [cell for cell in whole.cells if cell.id in kept]
    for folder in ("source/ps", "submitted/ada/ps"):
        (tmp_path / folder).mkdir(parents=True)
        nbformat.write(whole, tmp_path / folder / "ps.ipynb")
    return tmp_path


@pytest.mark.slow
def test_stock_nbgrader_gives_the_public_checks_share(course):
    config = Config()
    config.CourseDirectory.root = str(course)
    config.CourseDirectory.db_url = f"sqlite:///{course}/gradebook.db"
    api = NbGraderAPI(config=config)
    for outcome in (api.generate_assignment("ps"), api.autograde("ps", "ada")):
        assert outcome["success"], outcome
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        grades = gradebook.find_submission_notebook("ps", "ps", "ada").grades
        scores = {grade.name: grade.auto_score for grade in grades}
    assert scores == {
        "check-conv_output_size": feedback("conv_output_size").points,
        "check-receptive_field": feedback("receptive_field", receptive_field=wrong_field).points,
        "check-quiz": 0,
    }
    assert 0 < scores["check-receptive_field"] < feedback("receptive_field").points


def test_nbgrader_validates_by_the_public_checks_and_shows_what_they_say(course):
    results = Validator(ignore_checksums=True).validate(str(course / "submitted/ada/ps/ps.ipynb"))
    assert list(results) == ["failed"]
    failed = {item["source"]: item["raw_error"] for item in results["failed"]}
    assert list(failed) == ['check("receptive_field")', 'check("quiz")']
    text = failed['check("receptive_field")']
    assert text == str(feedback("receptive_field", receptive_field=wrong_field))
    assert "'quiz' is not defined" in failed['check("quiz")']


def test_elsewhere_the_text_is_the_feedback():
    text = repr(feedback("receptive_field", receptive_field=wrong_field))
    assert text.startswith("receptive_field: ")
    assert "✗" in text
    assert "receptive_field([" in text
    assert "<" not in text.replace("<=", "")


def test_in_a_script_the_checks_see_the_scripts_functions():
    code = """
from autograder.notebook import checks_of
def receptive_field(layers):
    return "x"
print(checks_of("02-convolution")("receptive_field"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "✗" in done.stdout


@pytest.fixture
def kernel():
    """IPython's shell, with the reference's functions and `check`."""
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.user_ns.update(RIGHT, check=checks_of("02-convolution"))
    yield shell
    InteractiveShell.clear_instance()


def test_in_a_kernel_the_checks_see_the_kernels_functions(kernel):
    result = kernel.run_cell('check("quiz")').result
    assert result.points > 0


def test_the_checks_leave_the_notebooks_values_alone():
    layers_seen = []

    def receptive_field(layers):
        layers_seen.append(layers)
        layers.append("spoilt")
        return 1

    first = feedback("receptive_field", receptive_field=receptive_field)
    second = feedback("receptive_field", receptive_field=receptive_field)
    assert [c.passed for c in first.checks] == [c.passed for c in second.checks]


# The channel below it.


def test_answers_are_copies_and_plain_data():
    kept = torch.ones(2)
    student = Subject(LocalChannel({"f": lambda x: kept, "g": lambda x: x.add_(1)}))
    answer = student.f(kept)
    answer += 1
    assert kept.tolist() == [1, 1]
    mine = torch.zeros(2)
    student.g(mine)
    assert mine.tolist() == [0, 0]


def test_gradients_come_back_for_each_floating_input():
    student = Subject(LocalChannel({"f": lambda a, n, b: a * n + b.sum()}))
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0])
    value, (to_a, to_b) = student.f.gradients(a, 3, b, cotangent=torch.tensor([1.0, 10.0]))
    assert value.tolist() == [6, 9]
    assert to_a.tolist() == [3, 30]
    assert to_b.tolist() == [11]


def test_a_cut_graph_gives_no_gradients():
    student = Subject(LocalChannel({"f": lambda a: a.detach() * 2}))
    _, gradients = student.f.gradients(torch.ones(2), cotangent=torch.ones(2))
    assert gradients == [None]


def test_changes_in_place_are_seen():
    student = Subject(LocalChannel({"f": lambda x, y: x.add_(1) + y}))
    _, (x, y) = student.f.inputs_after(torch.zeros(2), torch.zeros(2))
    assert x.tolist() == [1, 1]
    assert y.tolist() == [0, 0]


@pytest.mark.parametrize(
    "error", [SystemExit(0), ForbiddenOperation("x"), MemoryError(), Exception]
)
def test_whatever_is_raised_is_a_students_error(error):
    def f():
        raise error

    with pytest.raises(StudentError):
        Subject(LocalChannel({"f": f})).f()


def test_an_interrupt_is_an_interrupt():
    def f():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Subject(LocalChannel({"f": f})).f()
