"""Kept objects and fixtures: modules, optimisers and generators behind a Subject."""

import math

import pytest
import torch
from torch import nn

from autograder.sandbox.wire import Kept, ProtocolError, pack
from autograder.show import show_call
from autograder.subject import (
    Call,
    LocalChannel,
    Opaque,
    StudentError,
    Subject,
    Value,
    answers,
    requests,
)


class Scale(nn.Module):
    """x ↦ factor·x, and twice that."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.factor * x, 2 * self.factor * x


def train(model, optimizer, x):
    optimizer.zero_grad()
    loss = model(x)[0].sum()
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.fixture
def student() -> Subject:
    return Subject(LocalChannel({"Scale": Scale, "train": train, "noise": torch.randn}))


def test_a_kept_object_keeps_its_state_between_calls(student):
    model = student.Scale.keep(3.0)
    assert model.came_back == Opaque("Scale")
    x = torch.tensor([1.0, 2.0])
    assert torch.equal(model(x)[0], 3 * x)
    assert model.value_of("calls") == 1
    model.load_state_dict({"factor": torch.tensor(5.0)})
    assert torch.equal(model.state_dict()["factor"], torch.tensor(5.0))
    assert torch.equal(model.forward(x)[1], 10 * x)
    assert model.value_of("calls") == 2


def test_kept_objects_are_arguments_of_other_calls(student):
    model = student.Scale.keep(3.0)
    optimizer = student.fixtures.sgd.keep(model, lr=0.5)
    assert student.train(model, optimizer, torch.ones(2)) == 6.0
    assert model.value_of("factor").item() == 2.0
    assert student.fixtures.gradients(model)["factor"].item() == 2.0


def test_gradients_reach_parameters_and_arguments_through_several_outputs(student):
    model = student.Scale.keep(3.0)
    x = torch.tensor([1.0, 2.0])
    first, second = torch.tensor([1.0, 10.0]), torch.tensor([100.0, 1000.0])
    _, (of_x,) = model.call.gradients(x, cotangent=[first, second])
    assert torch.equal(of_x, 3 * first + 6 * second)
    _, (of_x,) = model.call.gradients(x, cotangent=first)
    assert torch.equal(of_x, 3 * first)
    _, named = model.call.parameter_gradients(x, cotangent=[first, second], of=model)
    assert named["factor"] == (first * x).sum() + 2 * (second * x).sum()


def test_a_case_begins_with_nothing_kept():
    channel = LocalChannel({"Scale": Scale})
    first = Subject(channel).Scale.keep(1.0)
    Subject(channel).Scale.keep(2.0)
    second = Subject(channel)
    second.Scale.keep(3.0)
    assert len(channel._kept) == 1
    assert first.value_of("factor") == 3.0


def test_fixtures_do_not_shadow_what_the_student_defines():
    student = Subject(LocalChannel({"fixtures": 5, "linear": lambda: "own"}))
    assert student.linear() == "own"
    layer = student.fixtures.linear.keep(torch.eye(2), torch.ones(2))
    assert torch.equal(layer(torch.zeros(1, 2)), torch.ones(1, 2))


def test_networks_and_generators_follow_their_seed_alone(student):
    before = student.fixtures.random_state()
    states = [student.fixtures.network.keep([2, 3, 1], seed).state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["0.weight"], states[2]["0.weight"])
    draws = [
        student.noise(3, generator=student.fixtures.generator.keep(seed)) for seed in (1, 1, 2)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(student.fixtures.random_state(), before)


def weighted(pair, grads):
    return pair[0] * grads[0] + pair[1] * grads[1], [grads[1] ** 2]


def test_gradients_reach_tensors_in_tuples_and_lists():
    student = Subject(LocalChannel({"weighted": weighted}))
    a, b, c, d = (torch.tensor([float(k)]) for k in (2, 3, 5, 7))
    one = torch.ones(1)
    _, found = student.weighted.gradients((a, b), [c, d], cotangent=[one, 10 * one])
    assert [gradient.item() for gradient in found] == [5, 7, 2, 3 + 10 * 14]


def test_a_recorder_keeps_in_which_mode_it_saw_what(student):
    layer = student.fixtures.linear.keep(torch.ones(1, 2))
    model = student.fixtures.recorder.keep(layer)
    x = torch.tensor([[1.0, 2.0]])
    assert model(x).item() == 3
    model.eval()
    model(2 * x)
    (first, rows), (second, others) = model.value_of("seen")
    assert (first, second) == (True, False)
    assert torch.equal(rows, x)
    assert torch.equal(others, 2 * x)


def test_a_remembering_model_counts_and_weighs_what_it_reads(student):
    model = student.fixtures.remembering.keep(0.5, 10.0)
    x = torch.tensor([1.0, 2.0, 4.0])[None, :, None]
    assert model(x).tolist() == [[0.25 + 1 + 4 + 30]]


@pytest.mark.parametrize(
    ("name", "value"), [("square", 2.5), ("difference", 1.5), ("lopsided", None)]
)
def test_losses_are_means_over_all_entries(student, name, value):
    loss = student.fixtures.loss.keep(name)
    found = loss(torch.tensor([[3.0], [2.0]]), torch.ones(2, 1)).item()
    expected = sum(math.exp(d) - d - 1 for d in (2, 1)) / 2 if value is None else value
    assert found == pytest.approx(expected)


def test_a_method_that_does_not_exist_is_the_students_error(student):
    with pytest.raises(StudentError, match="AttributeError"):
        student.Scale.keep(1.0).decode(torch.ones(1))


def test_a_counterexample_shows_objects_by_their_names(student):
    model, other = student.Scale.keep(3.0), student.Scale.keep(4.0)
    student.fixtures.sgd.keep(model, lr=0.5)
    other(torch.ones(1))
    other.value_of("calls")
    assert [show_call(request) for request, _ in student._log] == [
        "scale = Scale(3.0)",
        "scale2 = Scale(4.0)",
        "sgd = fixtures.sgd(scale, lr=0.5)",
        "scale2(torch.tensor([1.]))",
        "scale2.calls",
    ]


def test_what_stands_for_an_object_travels_to_the_student_and_never_back():
    kept = Kept(3, "model")
    call = Call("f", pack([(kept, {"a": [kept]})]), {}, on=kept)
    arrived = requests.decode(requests.encode(call))
    assert arrived.args == [(kept, {"a": [kept]})]
    assert arrived.on == kept
    with pytest.raises(ProtocolError):
        answers.decode(answers.encode(Value(pack([kept]))))
    with pytest.raises(ProtocolError):
        answers.decode(answers.encode(Value(pack((kept,)))))


def test_a_known_vae_decodes_its_code_and_remembers_what_it_saw(student):
    encoder = student.fixtures.linear.keep(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    decoder = student.fixtures.linear.keep(torch.tensor([[3.0], [4.0]]))
    model = student.fixtures.vae.keep(encoder, decoder, records=True)
    assert model.value_of("latent_dim") == 1
    x, eps = torch.tensor([[5.0, 0.0], [6.0, 1.0]]), torch.tensor([[1.0], [2.0]])
    z = torch.tensor([[5.0 + 1.0], [6.0 + 2 * torch.e]])
    logits, mu, logvar = model(x, eps)
    assert torch.equal(mu, x[:, :1])
    assert torch.equal(logvar, 2 * x[:, 1:])
    torch.testing.assert_close(logits, z * torch.tensor([3.0, 4.0]))
    assert torch.equal(model(x)[0], mu * torch.tensor([3.0, 4.0]))
    assert torch.equal(model.value_of("encoded")[0], x)
    torch.testing.assert_close(model.value_of("decoded")[0], z)
    with pytest.raises(StudentError, match="rows"):
        model.decode(torch.ones(2, 3, 1))
