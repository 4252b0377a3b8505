"""`gradus verify` says what does not hold, and finds nothing where all does."""

import pytest
from typer.testing import CliRunner

from autograder import verify as module
from autograder.assignment import Assignment
from autograder.cli import app
from autograder.misconceptions import Mutant
from autograder.verify import verify

RIGHT = "def same_padding(n, kernel_size, stride=1, dilation=1):\n"
WRONG = RIGHT + "    return 0, 0"
NAME = "02-convolution"


@pytest.fixture
def few(monkeypatch) -> Assignment:
    """02-convolution with one wrong and one unusual solution."""
    monkeypatch.setattr(module, "published_problems", lambda _: [])  # it takes seconds
    monkeypatch.setattr(module, "survey", lambda *_, **__: [])  # and this minutes
    assignment = Assignment(NAME)
    assignment.mutants = assignment.mutants[:1]
    assignment.alternates = assignment.alternates[:1]
    return assignment


def test_an_assignment_that_holds_has_no_problem(few):
    steps = []
    proof = verify(few, seeds=1, progress=lambda done, of: steps.append((done, of)))
    assert proof.problems == []
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (proof.mutants["conv_output_size"], proof.accepted["conv_output_size"]) == (1, 1)
    (caught,) = proof.caught
    assert caught.exercise == "conv_output_size"
    assert caught.lost > 0 < caught.cases


def test_wrong_ones_that_lose_nothing_or_too_much_and_right_ones_that_lose_are_named(few):
    few.mutants = (
        Mutant("conv_output_size", "no mistake at all", "", few.alternates[0][2]),
        Mutant("quiz", "breaks another", "", "quiz, conv2d = {}, None"),
    )
    few.alternates = (("same_padding", "not right", WRONG),)
    proof = verify(few, seeds=1)
    assert proof.accepted["same_padding"] == 0
    nothing, elsewhere, wrong = proof.problems
    assert nothing == "wrong solution conv_output_size: no mistake at all loses nothing"
    assert elsewhere == "wrong solution quiz: breaks another loses points in conv2d"
    assert wrong.startswith("right solution same_padding: not right fails ")
    assert "makes_the_output_n_over_stride" in wrong


def test_points_that_the_lesson_does_not_know_are_named(few):
    few.checks = few.checks[1:]
    problems = list(module.lesson_problems(few))
    assert any("add up to" in problem for problem in problems)
    assert any("lacks the row" in problem and "conv_output_size" in problem for problem in problems)
    assert any("run gradus build" in problem for problem in problems)


def test_a_published_solution_is_named(monkeypatch, tmp_path):
    answer = tmp_path / "answer.py"
    answer.write_text("def same(x):\n    return x\n" + Assignment(NAME).mutants[0].source)
    monkeypatch.setattr(module.publish, "for_students", lambda: {"gradus/answer.py": answer})
    problems = list(module.published_problems(Assignment(NAME)))
    assert any(problem.startswith("published: gradus/answer.py") for problem in problems)


def test_the_command_exits_with_1_where_something_does_not_hold(monkeypatch):
    def broken(assignment, **_):
        proof = module.Proof(assignment.name, 1, {"a": 1}, {"a": 0}, {"a": 100.0}, {"a": 0})
        proof.problems.append("wrong solution [a]: x loses nothing")
        return proof

    monkeypatch.setattr(module, "verify", broken)
    done = CliRunner().invoke(app, ["verify", NAME, "--mutants"])
    assert done.exit_code == 1
    assert "0 of 1" in done.output
    assert "✗ wrong solution [a]: x loses nothing" in done.output
    assert CliRunner().invoke(app, ["verify", "no-such"]).exit_code == 2
