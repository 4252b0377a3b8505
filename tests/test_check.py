"""The core of checking: drawing, replaying, shrinking, explaining; and the expect functions."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from autograder.check import (
    Check,
    Failure,
    check,
    checks_in,
    draw,
    example,
    exchanges_of,
    expect,
    expect_close,
    expect_equal,
    expect_raises,
    expect_shape,
    expect_tensor,
    explain,
    given,
    is_blank,
    judge,
)
from autograder.sandbox.wire import Opaque
from autograder.show import show
from autograder.strategies import filled, pairs, sizes, strided, tensors
from autograder.subject import LocalChannel, StudentError, Subject, SubjectLost

# A small exercise: the sum of squares along the last axis.


@check("squares", points=2, oracle=lambda x: (x**2).sum(-1), cases=25, hint="Square, then sum.")
@given(x=tensors("b n", low=-9, high=9, dtype=torch.float64))
def agrees_with_the_oracle(student, x, expected):
    """Equals the sum of the squares."""
    expect_close(student.squares(x), expected)


@check("squares", points=1)
@example(x=torch.tensor([3.0, 4.0]), result=torch.tensor(25.0))
@example(x=torch.zeros(0), result=torch.tensor(0.0))
def gives_the_worked_examples(student, x, result):
    """Gives the worked examples."""
    expect_close(student.squares(x), result)


@check("squares", points=1)
@given(x=tensors("n"), factor=sizes(1, 5))
def is_homogeneous(student, x, factor):
    """Scaling by c scales the result by c²."""
    expect_close(student.squares(x * factor), student.squares(x) * factor**2)


CHECKS = (agrees_with_the_oracle, gives_the_worked_examples, is_homogeneous)


def right(x):
    return (x**2).sum(-1)


def verdict_of(item: Check, function, seed: int = 0):
    return judge(item, draw(item, seed), LocalChannel({"squares": function}), seed)


def told(item: Check, function, seed: int = 0) -> str:
    return "\n".join(explain(item, verdict_of(item, function, seed)))


# Drawing.


def test_a_check_knows_its_sentence_and_its_place():
    assert agrees_with_the_oracle.exercise == "squares"
    assert agrees_with_the_oracle.name == "agrees_with_the_oracle"
    assert agrees_with_the_oracle.statement == "Equals the sum of the squares."


def test_a_check_without_a_sentence_is_refused():
    with pytest.raises(ValueError, match="silent has no docstring"):

        @check("squares", points=1)
        def silent(student):
            pass


def test_checks_are_found_in_the_order_of_their_definition():
    module = type(math)("module")
    module.__dict__.update(b=gives_the_worked_examples, a=agrees_with_the_oracle, c=3)
    assert checks_in(module) == [gives_the_worked_examples, agrees_with_the_oracle]


@pytest.mark.parametrize("item", CHECKS, ids=lambda c: c.name)
def test_the_cases_follow_from_the_seed(item):
    assert str(draw(item, 5)) == str(draw(item, 5))


def test_another_seed_draws_other_cases():
    assert str(draw(agrees_with_the_oracle, 1)) != str(draw(agrees_with_the_oracle, 2))


def test_examples_come_first_and_in_their_order():
    cases = draw(gives_the_worked_examples, 0)
    assert [case.arguments["x"].numel() for case in cases] == [2, 0]


def test_the_oracle_is_asked_when_a_case_is_drawn():
    for case in draw(agrees_with_the_oracle, 0):
        assert torch.equal(case.arguments["expected"], right(case.arguments["x"]))


def test_a_check_without_arguments_has_one_case():
    @check("squares", points=1)
    def runs(student):
        """Runs."""

    assert len(draw(runs, 0)) == 1


def test_drawing_asks_no_student():
    # The same cases, whoever is judged in between.
    before = str(draw(agrees_with_the_oracle, 3))
    verdict_of(agrees_with_the_oracle, lambda x: x, 3)
    assert str(draw(agrees_with_the_oracle, 3)) == before


def test_a_run_of_the_checks_does_not_disturb_hypothesis_or_torchs_generator():
    state = torch.random.get_rng_state()
    verdict_of(agrees_with_the_oracle, lambda x: x)
    assert torch.equal(torch.random.get_rng_state(), state)


# Judging.


@pytest.mark.parametrize("item", CHECKS, ids=lambda c: c.name)
@pytest.mark.parametrize("seed", range(5))
def test_a_right_function_passes(item, seed):
    verdict = verdict_of(item, right, seed)
    assert verdict.failure is None
    assert verdict.cases == len(draw(item, seed))


WRONG = {
    "no square": lambda x: x.sum(-1),
    "mean": lambda x: (x**2).mean(-1),
    "wrong axis": lambda x: (x**2).sum(0),
    "keeps the axis": lambda x: (x**2).sum(-1, keepdim=True),
    "float32": lambda x: (x**2).sum(-1).float(),
    "none": lambda x: None,
    "an int": lambda x: 3,
    "raises": lambda x: 1 / 0,
    "nan": lambda x: (x**2).sum(-1) * math.nan,
    "a list": lambda x: (x**2).sum(-1).tolist(),
}


@pytest.mark.parametrize("way", WRONG)
@pytest.mark.parametrize("seed", range(3))
def test_a_wrong_function_fails(way, seed):
    assert verdict_of(agrees_with_the_oracle, WRONG[way], seed).failure is not None


def test_nothing_is_asked_ahead_where_questions_depend_on_answers():
    @check("squares", points=1, ahead=False)
    def asks_again(student):
        """Asks for the square of what came back."""
        expect_close(student.squares(student.squares(torch.ones(2))), torch.ones(2))

    assert exchanges_of(asks_again, draw(asks_again, 0), {"squares": torch.square}) == []
    with pytest.raises(AssertionError, match="the reference fails"):
        exchanges_of(asks_again, draw(asks_again, 0), {"squares": torch.exp})


def test_the_requests_of_the_reference_are_those_of_a_right_student():
    cases = draw(agrees_with_the_oracle, 0)
    expected = exchanges_of(agrees_with_the_oracle, cases, {"squares": right})
    asked = []

    class Channel(LocalChannel):
        def ask(self, request):
            asked.append(request)
            return super().ask(request)

    judge(agrees_with_the_oracle, cases, Channel({"squares": right}), 0)
    assert asked == [request for case in expected for request, _ in case]


def test_a_case_that_is_known_to_pass_is_counted_and_not_run():
    cases = draw(gives_the_worked_examples, 0)
    channel = LocalChannel({"squares": WRONG["mean"]})
    verdict = judge(gives_the_worked_examples, cases, channel, 0, known=lambda index: True)
    assert (verdict.cases, verdict.failure, channel.exchanges) == (len(cases), None, [])
    verdict = judge(gives_the_worked_examples, cases, channel, 0, known=lambda index: index == 1)
    assert verdict.first_failing[0] == 0


def test_a_reference_that_fails_its_own_check_is_loud():
    cases = draw(agrees_with_the_oracle, 0)
    with pytest.raises(AssertionError, match="reference fails check agrees_with_the_oracle"):
        exchanges_of(agrees_with_the_oracle, cases, {"squares": WRONG["mean"]})


def test_a_mistake_in_a_check_is_loud_for_the_reference():
    @check("squares", points=1)
    def is_mistaken(student):
        """Is mistaken."""
        student.squares(torch.ones(2)).no_such_method()

    with pytest.raises(AssertionError, match="no_such_method"):
        exchanges_of(is_mistaken, draw(is_mistaken, 0), {"squares": right})


def test_a_lost_subject_ends_the_check_without_shrinking():
    class Gone(LocalChannel):
        def ask(self, request):
            raise SubjectLost("gone")

    verdict = judge(agrees_with_the_oracle, draw(agrees_with_the_oracle, 0), Gone({}), 0)
    assert isinstance(verdict.failure, SubjectLost)
    assert verdict.cases == 1


def test_a_blank_exercise_is_blank():
    def blank(x):
        raise NotImplementedError("yours")

    verdict = verdict_of(agrees_with_the_oracle, blank)
    assert is_blank(verdict.failure)
    assert verdict.cases == 1
    assert explain(agrees_with_the_oracle, verdict) == (
        "Not done yet: the cell still raises NotImplementedError.",
        "",
    )


ODD_ANSWERS = [
    None,
    True,
    0,
    2**63,
    -1.5,
    math.nan,
    "text",
    b"bytes",
    [],
    (),
    {},
    [None] * 3,
    (1, (2, (3,))),
    {"a": torch.ones(1)},
    Opaque,
    torch.ones(()),
    torch.ones(0),
    torch.ones(1, 1, 1, 1),
    torch.full((1, 1, 1, 1), math.nan),
    torch.ones(1, 1, 1, 1, dtype=torch.int64),
    torch.ones(1, 1, 1, 1, dtype=torch.bool),
    torch.ones(1, 1, 1, 1, device="meta"),
    torch.ones(1, 1, 1, 1, dtype=torch.complex64),
    (torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1)),
    (torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), -1)),
    [torch.ones(1)] * 5,
    (torch.ones(2, 2, device="meta"), None),
]


@pytest.mark.parametrize("answer", ODD_ANSWERS, ids=lambda a: show(a, limit=30))
def test_no_answer_breaks_a_check(answer, convolution):
    # Of the checks of a real assignment, on their first case each.
    names = {name for e in convolution.exercises for name in e.defines}
    channel = LocalChannel({name: lambda *a, **k: answer for name in names} | {"quiz": answer})
    for items in convolution.prepare(0).values():
        for item in items:
            verdict = judge(item.check, item.cases[:1], channel, 0)
            message, counterexample = explain(item.check, verdict)
            assert (verdict.failure is None) == (message == "")
            assert isinstance(counterexample, str)


# Shrinking, and what is said.


def test_the_smallest_case_is_found():
    verdict = verdict_of(agrees_with_the_oracle, lambda x: (x**2).sum(-1) + (x.shape[1] > 2))
    _, counterexample = explain(agrees_with_the_oracle, verdict)
    assert counterexample == "squares(torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64))"


def test_shrinking_is_repeatable():
    def wrong(x):
        return right(x) + (x > 5).any()

    assert told(agrees_with_the_oracle, wrong, 1) == told(agrees_with_the_oracle, wrong, 1)


def test_shrinking_survives_a_function_that_changes_its_mind():
    calls = iter(range(10**6))
    verdict = verdict_of(agrees_with_the_oracle, lambda x: right(x) + next(calls) % 2)
    assert verdict.failure is not None


def test_shrinking_is_bounded():
    calls = []

    def wrong(x):
        calls.append(1)
        return right(x) + (x.sum() > 3)

    verdict_of(agrees_with_the_oracle, wrong)
    assert len(calls) < 300


@pytest.mark.parametrize("way", [w for w in WRONG if w != "none"])
def test_the_counterexample_can_be_pasted_and_shows_the_same(way):
    verdict = verdict_of(agrees_with_the_oracle, WRONG[way])
    _, counterexample = explain(agrees_with_the_oracle, verdict)
    (line,) = counterexample.splitlines()
    namespace = {"torch": torch, "squares": WRONG[way]}
    if way == "raises":
        with pytest.raises(ZeroDivisionError):
            eval(line, namespace)
        return
    came_back = eval(line, namespace)
    namespace["squares"] = right
    with pytest.raises(Failure):
        expect_close(came_back, eval(line, namespace))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6.0).reshape(2, 3),
        torch.arange(6.0).reshape(2, 3).T,
        strided(filled((2, 3), 7)),
        torch.tensor(0.1),
        torch.tensor([0.1, 1e-20, 1e20, -0.0]),
        torch.tensor([0.1, 1 / 3], dtype=torch.float64),
        torch.tensor([math.inf, -math.inf, math.nan]),
        torch.tensor([1, 2]),
        torch.tensor([True, False]),
        torch.tensor([1.5], dtype=torch.bfloat16),
        torch.empty(0, 3),
        torch.empty(2, 3, device="meta"),
    ],
    ids=str,
)
def test_a_pasted_tensor_is_the_same_tensor(tensor):
    pasted = eval(show(tensor, paste=True), {"torch": torch})
    assert pasted.dtype == tensor.dtype
    assert pasted.shape == tensor.shape
    assert pasted.device == tensor.device
    if tensor.device.type != "meta":
        assert pasted.stride() == tensor.stride()
        assert torch.equal(pasted.nan_to_num(), tensor.nan_to_num())


def test_a_failure_says_what_was_called_what_came_back_and_what_was_expected():
    text = told(agrees_with_the_oracle, WRONG["mean"])
    for part in (
        "values differ",
        "came back: ",
        "expected: ",
        "Hint: Square, then sum.",
        "squares(",
    ):
        assert part in text


def test_an_error_says_which_and_where():
    text = told(agrees_with_the_oracle, WRONG["raises"])
    assert "squares raised ZeroDivisionError: division by zero" in text


def test_huge_values_are_shown_in_short():
    for value in (torch.ones(1000, 1000), "x" * 10**6, [1] * 10**6, {"a": [torch.ones(100)] * 100}):
        assert len(show(value)) <= 2000


def test_two_calls_are_both_shown():
    verdict = verdict_of(is_homogeneous, lambda x: x.sum(-1))
    _, counterexample = explain(is_homogeneous, verdict)
    assert len(counterexample.splitlines()) == 2


# The expect functions: what must pass and what must not.

T = torch.tensor


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (T([1.0]), T([1.0])),
        (T([1.0 + 1e-6]), T([1.0])),
        (T([1e6 + 1.0]), T([1e6])),
        (T([math.inf]), T([math.inf])),
        (torch.empty(0, 2), torch.empty(0, 2)),
        (T([1, 2]), T([1, 2])),
        (T([True]), T([True])),
        (T(1.0, dtype=torch.float64), T(1.0, dtype=torch.float64)),
        (torch.empty(2, device="meta"), torch.empty(2, device="meta")),
    ],
)
def test_close_values_are_close(value, expected):
    expect_close(value, expected)


@pytest.mark.parametrize(
    ("value", "expected", "says"),
    [
        (T([1.0]), T([1.0, 1.0]), "shape"),
        (T([[1.0, 1.0]]), T([1.0, 1.0]), "shape"),
        (T(1.0), T([1.0]), "shape"),
        (T([1.0], dtype=torch.float64), T([1.0]), "dtype"),
        (T([1]), T([1.0]), "dtype"),
        (T([True]), T([1]), "dtype"),
        (T([1.0]), T([1.01]), "1 of 1 values differ"),
        (T([1.0, math.nan]), T([1.0, 1.0]), "some are not finite"),
        (T([math.nan]), T([math.nan]), "differ"),
        (T([math.inf]), T([-math.inf]), "differ"),
        (T([1, 3]), T([1, 2]), r"the first at \[1\]"),
        (T([1.0 + 1e-5], dtype=torch.float64), T([1.0], dtype=torch.float64), "differ"),
        (torch.empty(2, device="meta"), T([1.0, 1.0]), "meta"),
        (1.0, T(1.0), "a tensor was expected, and float"),
        (None, T(1.0), "return missing"),
        ([1.0], T([1.0]), "a tensor was expected, and list"),
        (Opaque("Liar"), T([1.0]), "an object of type Liar"),
    ],
)
def test_anything_else_is_not_close(value, expected, says):
    with pytest.raises(Failure, match=says):
        expect_close(value, expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, 3), ("a", "a"), ((1, 2), (1, 2)), ([1, 2], (1, 2)), ((1, (2,)), (1, (2,))), (None, None)],
)
def test_equal_values_are_equal(value, expected):
    expect_equal(value, expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, 1),
        (1, True),
        (1.0, 1),
        (1, 1.0),
        ("1", 1),
        (None, 0),
        ((1, True), (1, 1)),
        ((1,), (1, 2)),
        ((1, 2, 3), (1, 2)),
        (1, (1,)),
        ({"a": 1}, ("a",)),
        ("ab", ("a", "b")),
        (T(1), 1),
        (T([1, 2]), (1, 2)),
        (Opaque("Anything"), 1),
    ],
)
def test_nothing_else_is_equal(value, expected):
    with pytest.raises(Failure):
        expect_equal(value, expected)


def test_shapes_are_compared_exactly():
    expect_shape(torch.ones(2, 3), (2, 3))
    for shape in ((3, 2), (2,), (2, 3, 1), (6,), ()):
        with pytest.raises(Failure, match=r"shape is \[2, 3\]"):
            expect_shape(torch.ones(2, 3), shape)
    with pytest.raises(Failure):
        expect_tensor([1.0])


def test_expect_takes_a_truth_and_a_message():
    expect(True, "")
    expect(T([True]).all(), "")
    with pytest.raises(Failure, match="why") as caught:
        expect(T([True, False]).all(), "why", 3, 4)
    assert (caught.value.came_back, caught.value.expected) == (3, 4)


def raising(error):
    def f():
        raise error

    return Subject(LocalChannel({"f": f}))


class Narrow(ValueError):
    pass


@pytest.mark.parametrize(
    "error", [ValueError("x"), Narrow(), UnicodeDecodeError("a", b"", 0, 1, "")]
)
def test_the_expected_error_and_its_subclasses_are_right(error):
    student = raising(error)
    with expect_raises(ValueError, "why"):
        student.f()


@pytest.mark.parametrize("error", [KeyError("x"), AssertionError(), Exception("ValueError")])
def test_another_error_is_wrong(error):
    student = raising(error)
    with (
        pytest.raises(Failure, match="why: ValueError was expected"),
        expect_raises(ValueError, "why"),
    ):
        student.f()


def test_no_error_is_wrong_and_a_blank_one_stays_blank():
    with pytest.raises(Failure, match="no error was raised"), expect_raises(ValueError, "why"):
        Subject(LocalChannel({"f": lambda: 1})).f()
    student = raising(NotImplementedError())
    with pytest.raises(StudentError) as caught, expect_raises(ValueError, "why"):
        student.f()
    assert is_blank(caught.value)


# Strategies.


def test_seed_zero_counts_and_others_are_whole_numbers_in_range():
    assert filled((2, 3), 0).tolist() == [[1, 2, 3], [4, 5, 6]]
    for seed in range(1, 20):
        x = filled((5, 5), seed, low=-3, high=2)
        assert -3 <= x.min() <= x.max() <= 2
        assert torch.equal(x, x.round())


def test_strided_keeps_the_values_and_loses_contiguity():
    x = filled((2, 3, 4), 3)
    assert torch.equal(strided(x), x)
    assert not strided(x).is_contiguous()


def test_strategies_draw_what_they_say():
    @check("x", points=1, cases=50)
    @given(
        x=tensors("b n", low=0, high=3, dtype=st.just(torch.float64)), p=pairs(1, 3), n=sizes(2, 4)
    )
    def draws(student, x, p, n):
        """Draws."""

    cases = [case.arguments for case in draw(draws, 0)]
    assert len(cases) > 10
    assert {type(case["p"]) for case in cases} == {int, tuple}
    for case in cases:
        assert case["x"].dtype == torch.float64
        assert case["x"].dim() == 2
        assert 0 <= case["x"].min() <= case["x"].max() <= 3
        assert 2 <= case["n"] <= 4


def test_an_oracle_that_is_torchs_own_is_an_independent_one():
    x, weight = filled((1, 2, 4, 4), 3), filled((3, 2, 2, 2), 4)
    expect_close(
        F.conv2d(x, weight), (F.unfold(x, 2).mT @ weight.flatten(1).T).mT.reshape(1, 3, 3, 3)
    )
