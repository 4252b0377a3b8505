"""The checks in the student's own notebook: feedback as HTML and text, points for nbgrader."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_code_cell, new_output
from nbgrader.utils import determine_grade

from autograder import notebook
from autograder.assignment import Assignment
from autograder.checks.hidden.convolution import reference
from autograder.notebook import NotebookChecks, checks_of
from autograder.operations import ForbiddenOperation
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


def test_a_missing_one_is_named():
    result = NotebookChecks("02-convolution", {})("receptive_field")
    assert result.points == 0
    assert "'receptive_field' is not defined" in result._repr_html_().replace("&#x27;", "'")


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


def test_unknown_names_are_told_with_the_known_ones():
    with pytest.raises(ValueError, match="no exercise 'conv3d'; there are: .*conv2d"):
        feedback("conv3d")
    with pytest.raises(ValueError, match="no assignment '99-x'; there are: 02-convolution"):
        checks_of("99-x")


def test_nbgrader_takes_the_text_as_the_points(monkeypatch, convolution):
    # In a kernel the cell's text/plain is the number, which nbgrader's determine_grade reads.
    monkeypatch.setattr(notebook, "_in_terminal", lambda: False)
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


def test_in_a_terminal_the_text_is_the_feedback(monkeypatch):
    monkeypatch.setattr(notebook, "_in_terminal", lambda: True)
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


def test_in_a_kernel_the_checks_see_the_kernels_functions():
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    try:
        shell.user_ns.update(RIGHT)
        shell.run_cell(
            'from autograder.notebook import checks_of; check = checks_of("02-convolution")'
        )
        result = shell.run_cell('check("quiz")').result
        assert result.points > 0
    finally:
        InteractiveShell.clear_instance()


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
