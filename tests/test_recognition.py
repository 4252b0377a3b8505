"""A submission that fails as a known misconception does hears its hint; others hear none."""

import pytest
import torch

from autograder.assignment import Assignment
from autograder.check import Case, check, expect, judge
from autograder.grade import grade
from autograder.misconceptions import Mutant
from autograder.recognition import Recognition
from autograder.subject import LocalChannel
from autograder.verify import notebook_with

SIGMA = """
def reparameterize(mu, logvar, eps):
    spread = logvar.exp()
    return torch.add(mu, spread * eps)
"""


@pytest.fixture(scope="module")
def vae() -> Assignment:
    return Assignment("06-vae")


def hint_for(source: str, exercise: str, assignment: Assignment) -> str:
    """What recognition says of a cell that is judged in this process, trainings left out."""
    prepared = assignment.prepare(0)[exercise]
    namespace = assignment._namespace()
    exec(source, namespace)
    judged = []
    for item in prepared:
        if not item.check.trains:
            answers = LocalChannel(namespace, seeded=True)
            judged.append((item.check, item.cases, judge(item.check, item.cases, answers, 0)))
    return assignment.recognition.hint(exercise, judged)


def test_every_misconception_hears_its_own_hint_or_none(convolution):
    named = [
        mutant.name
        for mutant in convolution.mutants
        if mutant.exercise in ("same_padding", "receptive_field", "max_pool2d")
        and _own_or_none(mutant, convolution)
    ]
    assert len(named) > 35


@pytest.mark.slow
@pytest.mark.parametrize("name", ["02-convolution", "03-lstm", "06-vae", "07-gan"])
def test_nine_of_ten_misconceptions_of_an_assignment_are_named(name):
    assignment = Assignment(name)
    trains = {item.check.exercise for item in assignment.checks if item.check.trains}
    mutants = [mutant for mutant in assignment.mutants if mutant.exercise not in trains]
    named = [mutant for mutant in mutants if _own_or_none(mutant, assignment)]
    assert len(named) > 0.9 * len(mutants)


def _own_or_none(mutant: Mutant, assignment: Assignment) -> bool:
    hint = hint_for(mutant.source, mutant.exercise, assignment)
    assert not hint or mutant.hint in hint, f"{mutant.exercise}: {mutant.name} hears {hint}"
    return bool(hint)


def test_the_report_names_the_misconception_in_code_of_the_students_own(vae, sandbox):
    report = grade(notebook_with(vae, {"reparameterize": SIGMA}), vae, sandbox=sandbox)
    messages = [
        check.message for result in report.exercises for check in result.checks if not check.passed
    ]
    named = [message for message in messages if "A known mistake" in message]
    assert len(named) == 1
    assert "logarithm of the variance" in named[0]


def test_an_unknown_mistake_hears_no_hint(vae):
    source = "def reparameterize(mu, logvar, eps):\n    return mu * 1.25 + logvar - eps"
    assert hint_for(source, "reparameterize", vae) == ""


def test_a_right_solution_hears_no_hint(vae):
    source = "def reparameterize(mu, logvar, eps):\n    return mu + torch.exp(logvar / 2) * eps"
    assert hint_for(source, "reparameterize", vae) == ""


def test_a_module_with_random_weights_is_recognised(vae):
    (mutant,) = (m for m in vae.mutants if m.name == "logvar is detached in forward")
    assert mutant.hint in hint_for(mutant.source, "VAE", vae)


def test_recognition_leaves_the_graders_random_numbers_alone(vae):
    vae.prepare(0)  # the cases may be drawn with them, and are, once for a class
    state = torch.get_rng_state()
    assert hint_for(SIGMA, "reparameterize", vae)
    assert torch.equal(torch.get_rng_state(), state)


def test_more_than_two_hints_are_none():
    def known(name: str) -> Mutant:
        return Mutant("double", name, f"the hint {name}", "def double(x):\n    return x")

    @check("double", points=1)
    def doubles(student):
        """It doubles."""
        expect(student.double(2) == 4, "it does not")

    cases = [Case({})]
    verdict = judge(doubles, cases, LocalChannel({"double": lambda x: x}), 0)
    for count, hint in ((0, ""), (1, "the hint a"), (2, "the hint a Or: the hint b"), (3, "")):
        recognition = Recognition([known(name) for name in "abc"[:count]], dict)
        assert recognition.hint("double", [(doubles, cases, verdict)]).endswith(hint)
        assert bool(recognition.hint("double", [(doubles, cases, verdict)])) == bool(hint)
