"""The reference for assignment 03 against torch's own LSTM, closed forms and laws."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import scipy.special
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

from gradus import lstm
from gradus.lstm import (
    LSTM,
    EarlyStopping,
    clip_grad_norm,
    fit,
    forecast,
    lstm_cell,
    lstm_gates,
    train_forecaster,
)
from gradus.training import seeded
from tests import promises
from tests.promises import Call, normal

small = st.integers(1, 4)
seeds = st.integers(0, 2**32 - 1)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weights(seed: int, inputs: int, hidden: int, scale: float = 1.0) -> list[torch.Tensor]:
    shapes = [(4 * hidden, inputs), (4 * hidden, hidden), (4 * hidden,), (4 * hidden,)]
    return [scale * normal(seed + k, *shape) for k, shape in enumerate(shapes)]


def grads(out: torch.Tensor, inputs: list[torch.Tensor], seed: int) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad((out * normal(seed, *out.shape)).sum(), inputs)


# One step


@given(b=small, inputs=small, hidden=small, seed=seeds)
def test_each_gate_is_the_lectures_formula_with_its_own_rows(
    b: int, inputs: int, hidden: int, seed: int
) -> None:
    x, h = normal(seed, b, inputs), normal(seed + 1, b, hidden)
    w_ih, w_hh, b_ih, b_hh = weights(seed + 2, inputs, hidden)
    gates = lstm_gates(x, h, w_ih, w_hh, b_ih, b_hh)
    for k, (gate, name) in enumerate(zip(gates, "ifgo", strict=True)):
        rows = slice(k * hidden, (k + 1) * hidden)
        total = (
            h.numpy() @ w_hh[rows].numpy().T
            + b_hh[rows].numpy()
            + x.numpy() @ w_ih[rows].numpy().T
            + b_ih[rows].numpy()
        )
        # tanh(x) = 2σ(2x) − 1
        expected = 2 * scipy.special.expit(2 * total) - 1 if name == "g" else None
        expected = scipy.special.expit(total) if expected is None else expected
        assert_close(gate, torch.from_numpy(expected))


@given(b=small, inputs=small, hidden=small, seed=seeds)
def test_lstm_cell_and_its_gradients_agree_with_torch(
    b: int, inputs: int, hidden: int, seed: int
) -> None:
    x, h, c = normal(seed, b, inputs), normal(seed + 1, b, hidden), normal(seed + 2, b, hidden)
    tensors = [x, h, c, *weights(seed + 3, inputs, hidden)]
    for tensor in tensors:
        tensor.requires_grad_()
    ours = torch.cat(lstm_cell(x, (h, c), *tensors[3:]))
    theirs = torch.cat(torch.lstm_cell(x, (h, c), *tensors[3:]))
    assert_close(ours, theirs)
    assert_close(grads(ours, tensors, seed), grads(theirs, tensors, seed))


@given(b=small, hidden=small, seed=seeds)
def test_a_cell_that_forgets_nothing_and_stores_nothing_keeps_its_state(
    b: int, hidden: int, seed: int
) -> None:
    x, h, c = normal(seed, b, 3), normal(seed + 1, b, hidden), normal(seed + 2, b, hidden)
    w_ih, w_hh, b_ih, b_hh = weights(seed + 3, 3, hidden)
    b_ih[:hidden], b_ih[hidden : 2 * hidden] = -1e4, 1e4
    c.requires_grad_()
    state = (h, c)
    for _ in range(50):
        state = lstm_cell(x, state, w_ih, w_hh, b_ih, b_hh)
        assert (state[0].abs() <= 1).all()
    assert_close(state[1], c, rtol=0, atol=0)
    (grad,) = torch.autograd.grad(state[1].sum(), c)
    assert_close(grad, torch.ones_like(c), rtol=0, atol=0)


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_saturated_gates_are_exact_and_their_gradients_finite(size: float) -> None:
    tensors = [t.requires_grad_() for t in (normal(0, 2, 3), normal(1, 2, 4), *weights(2, 3, 4))]
    with torch.no_grad():
        tensors[4].fill_(size)
    i, f, g, o = lstm_gates(*tensors)
    for gate, low in ((i, 0), (f, 0), (g, -1), (o, 0)):
        assert_close(gate, torch.full_like(gate, 1.0 if size > 0 else low), rtol=0, atol=0)
    for grad in torch.autograd.grad((i + f + g + o).sum(), tensors):
        assert grad.isfinite().all()


# Sequences


def pair(seed: int, inputs: int, hidden: int) -> tuple[LSTM, nn.LSTM]:
    """Ours and torch's with the same weights."""
    with seeded(generator(seed)):
        ours, theirs = LSTM(inputs, hidden).double(), nn.LSTM(inputs, hidden, batch_first=True)
    theirs = theirs.double()
    theirs.load_state_dict({f"{name}_l0": value for name, value in ours.state_dict().items()})
    return ours, theirs


@given(b=small, s=st.integers(1, 6), inputs=small, hidden=small, seed=seeds, zeros=st.booleans())
@example(1, 1, 1, 1, 0, True)
def test_lstm_and_its_gradients_agree_with_torch(
    b: int, s: int, inputs: int, hidden: int, seed: int, zeros: bool
) -> None:
    ours, theirs = pair(seed, inputs, hidden)
    x = normal(seed, b, s, inputs).requires_grad_()
    h, c = normal(seed + 1, b, hidden), normal(seed + 2, b, hidden)
    output, (last_h, last_c) = ours(x) if zeros else ours(x, (h, c))
    expected, last = theirs(x) if zeros else theirs(x, (h[None], c[None]))
    assert_close((output, last_h, last_c), (expected, last[0][0], last[1][0]))
    mine = grads(torch.cat([output.flatten(), last_c.flatten()]), [x, *ours.parameters()], seed)
    other = grads(
        torch.cat([expected.flatten(), last[1].flatten()]), [x, *theirs.parameters()], seed
    )
    assert_close(mine, other)


@st.composite
def padded(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """x[b, s, 2], and a length from 1 to s for each row."""
    s = draw(st.integers(1, 6))
    lengths = draw(st.lists(st.integers(1, s), min_size=1, max_size=5))
    return normal(draw(seeds), len(lengths), s, 2), torch.tensor(lengths)


@given(padded(), seeds, st.booleans())
def test_lengths_agree_with_torchs_packed_sequences(
    batch: tuple[torch.Tensor, torch.Tensor], seed: int, zeros: bool
) -> None:
    x, lengths = batch
    ours, theirs = pair(seed, 2, 3)
    x.requires_grad_()
    state = (normal(seed, len(x), 3), normal(seed + 1, len(x), 3))
    output, (h, c) = ours(x, None if zeros else state, lengths)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected, last = theirs(packed) if zeros else theirs(packed, tuple(t[None] for t in state))
    expected, _ = pad_packed_sequence(expected, batch_first=True, total_length=x.shape[1])
    assert_close((output, h, c), (expected, last[0][0], last[1][0]))
    mine = grads(torch.cat([output.flatten(), c.flatten()]), [x, *ours.parameters()], seed)
    other = grads(
        torch.cat([expected.flatten(), last[1].flatten()]), [x, *theirs.parameters()], seed
    )
    assert_close(mine, other)


@given(padded(), seeds, st.sampled_from([1e300, math.inf, math.nan]))
def test_what_follows_a_rows_end_does_not_matter_whatever_it_is(
    batch: tuple[torch.Tensor, torch.Tensor], seed: int, rubbish: float
) -> None:
    x, lengths = batch
    model, _ = pair(seed, 2, 3)
    after = torch.arange(x.shape[1]) >= lengths[:, None]
    dirty = x.masked_fill(after[:, :, None], rubbish).requires_grad_()
    clean = model(x, None, lengths)
    output, (h, c) = model(dirty, None, lengths)
    assert_close((output, (h, c)), clean, rtol=0, atol=0)
    assert (output[after] == 0).all()
    (output.sum() + c.sum()).backward()
    assert all(p.grad.isfinite().all() for p in [dirty, *model.parameters()])
    assert (dirty.grad[after] == 0).all()


@given(cut=st.integers(1, 6), seed=seeds)
def test_a_sequence_in_two_parts_is_the_sequence_as_a_whole(cut: int, seed: int) -> None:
    model, _ = pair(seed, 2, 3)
    x = normal(seed, 4, 7, 2)
    whole, last = model(x)
    first, state = model(x[:, :cut])
    second, end = model(x[:, cut:], state)
    assert_close((torch.cat([first, second], 1), end), (whole, last))


def test_the_gradient_reaches_the_first_step_of_a_long_sequence() -> None:
    model, _ = pair(0, 2, 3)
    with torch.no_grad():
        model.bias_ih[3:6] = 20  # forget nothing
    x = normal(0, 2, 200, 2).requires_grad_()
    _, (_, c) = model(x)
    (grad,) = torch.autograd.grad(c.sum(), x)
    assert (grad[:, 0].abs() > 1e-6).all()


def test_lstm_loads_the_state_of_torchs_cell_and_starts_like_it() -> None:
    with seeded(generator(0)):
        ours, cell = LSTM(30, 50), nn.LSTMCell(30, 50)
    assert {n: p.shape for n, p in ours.named_parameters()} == {
        n: p.shape for n, p in cell.named_parameters()
    }
    for mine, theirs in zip(ours.parameters(), cell.parameters(), strict=True):
        assert mine.abs().max() <= 50**-0.5
        assert_close(mine.std(), theirs.std(), rtol=0.1, atol=0)
    ours.load_state_dict(cell.state_dict())
    x = torch.ones(2, 1, 30)
    assert_close(ours(x)[1], cell(x[:, 0]))


# Clipping


@given(
    shapes=st.lists(st.lists(st.integers(1, 3), max_size=3), min_size=1, max_size=4),
    max_norm=st.floats(1e-3, 1e3),
    seed=seeds,
)
def test_clipping_agrees_with_torch(shapes: list[list[int]], max_norm: float, seed: int) -> None:
    gradients = [normal(seed + k, *shape) for k, shape in enumerate(shapes)]
    clipped, total = clip_grad_norm(gradients, max_norm)
    parameters = [nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    expected = nn.utils.clip_grad_norm_(parameters, max_norm)
    assert total.shape == ()
    assert_close(total, expected)
    # torch divides by total + 1e-6.
    assert_close(clipped, [p.grad for p in parameters], rtol=1e-6 / float(total), atol=1e-9)


@given(factor=st.floats(0.1, 1.0), seed=seeds)
@example(1.0, 0)  # just at the bound
def test_gradients_at_or_below_the_bound_stay_as_they_are(factor: float, seed: int) -> None:
    gradients = [normal(seed, 2, 3), normal(seed + 1, 4)]
    _, total = clip_grad_norm(gradients, 1.0)
    clipped, _ = clip_grad_norm(gradients, float(total) / factor)
    assert_close(clipped, gradients, rtol=0, atol=0)


@given(scale=st.floats(1, 1e6), max_norm=st.floats(1e-3, 1.0), seed=seeds)
def test_clipped_gradients_have_the_bound_as_norm_and_one_factor_for_all(
    scale: float, max_norm: float, seed: int
) -> None:
    gradients = [scale * (normal(seed, 2, 3) + 5), scale * normal(seed + 1, 4)]
    clipped, _ = clip_grad_norm(gradients, max_norm)
    _, norm = clip_grad_norm(clipped, 1.0)
    assert_close(float(norm), max_norm)
    ratios = torch.cat([(c / g).flatten() for c, g in zip(clipped, gradients, strict=True)])
    assert_close(ratios, ratios[:1].expand_as(ratios))


def test_zero_gradients_stay_zero_and_so_does_their_gradient() -> None:
    zeros = [torch.zeros(2, 3, requires_grad=True), torch.zeros((), requires_grad=True)]
    clipped, total = clip_grad_norm(zeros, 1.0)
    assert total == 0
    assert all((c == 0).all() for c in clipped)
    for grad in torch.autograd.grad(sum(c.sum() for c in clipped), zeros):
        assert_close(grad, torch.ones_like(grad))


# The training loop


class Recorder(nn.Module):
    """A linear model that notes in which mode it saw which rows; a row's number is its input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)
        self.seen: list[tuple[bool, bool, list[int]]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append((self.training, torch.is_grad_enabled(), x[:, 0].int().tolist()))
        return self.linear(x)


def numbers(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.arange(float(n))[:, None]
    return x, 3 * x + 1


def sgd(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr)


@given(n=st.integers(1, 12), batch_size=st.integers(1, 14), epochs=st.integers(0, 3), seed=seeds)
def test_fit_shows_every_row_once_an_epoch_and_validates_after_each(
    n: int, batch_size: int, epochs: int, seed: int
) -> None:
    model = Recorder().eval()
    history = fit(
        model, numbers(n), numbers(5), sgd(model, 0.0), nn.MSELoss(), epochs, batch_size,
        generator(seed),
    )  # fmt: skip
    batches = math.ceil(n / batch_size)
    assert len(model.seen) == epochs * (batches + 1)
    for epoch in range(epochs):
        *steps, validation = model.seen[epoch * (batches + 1) :][: batches + 1]
        assert all((training, grad) == (True, True) for training, grad, _ in steps)
        assert [len(rows) for *_, rows in steps[:-1]] == [batch_size] * (batches - 1)
        assert sorted(row for *_, rows in steps for row in rows) == list(range(n))
        assert validation == (False, False, [0, 1, 2, 3, 4])
    assert model.training
    assert {name: len(losses) for name, losses in history.items()} == {
        "train": epochs,
        "valid": epochs,
    }
    assert all(type(loss) is float for losses in history.values() for loss in losses)


def test_fit_takes_a_new_order_each_epoch() -> None:
    model = Recorder()
    fit(model, numbers(20), numbers(1), sgd(model, 0.0), nn.MSELoss(), 3, 20, generator(0))
    orders = [rows for training, _, rows in model.seen if training]
    assert len({tuple(order) for order in [*orders, list(range(20))]}) == 4


@given(n=st.integers(1, 12), batch_size=st.integers(1, 14), seed=seeds)
def test_fits_curves_are_the_losses_on_the_way_and_at_the_end(
    n: int, batch_size: int, seed: int
) -> None:
    x, y = normal(seed, n, 3), normal(seed + 1, n, 2)
    with seeded(generator(seed)):
        model = nn.Linear(3, 2).double()
    start = copy.deepcopy(model)
    valid = normal(seed + 2, 4, 3), normal(seed + 3, 4, 2)
    history = fit(
        model, (x, y), valid, sgd(model, 0.1), nn.MSELoss(), 2, batch_size, generator(seed)
    )

    # The same by hand: the gradient of a mean square, one row at a time.
    g = generator(seed)
    weight, bias = start.weight.detach().numpy(), start.bias.detach().numpy()
    for epoch in range(2):
        order, total = torch.randperm(n, generator=g).tolist(), 0.0
        for at in range(0, n, batch_size):
            rows = order[at : at + batch_size]
            errors = [x[r].numpy() @ weight.T + bias - y[r].numpy() for r in rows]
            total += sum((error**2).mean() for error in errors)
            slopes = [2 * error / 2 / len(rows) for error in errors]
            weight = weight - 0.1 * sum(
                slope[:, None] * x[r].numpy() for slope, r in zip(slopes, rows, strict=True)
            )
            bias = bias - 0.1 * sum(slopes)
        final = ((valid[0].numpy() @ weight.T + bias - valid[1].numpy()) ** 2).mean()
        assert history["train"][epoch] == pytest.approx(total / n, rel=1e-9)
        assert history["valid"][epoch] == pytest.approx(final, rel=1e-9)
    assert_close(model.weight.detach(), torch.from_numpy(weight))


def test_fit_leaves_no_trace_of_the_validation() -> None:
    def outcome(valid: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
        with seeded(generator(0)):
            model = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        fit(model, numbers(8), valid, sgd(model, 0.01), nn.MSELoss(), 3, 4, generator(1))
        return model.state_dict()

    x, y = numbers(6)
    assert_close(outcome((x, y)), outcome((-100 * x, y)), rtol=0, atol=0)


def test_fit_depends_on_nothing_but_the_generators_state() -> None:
    def history() -> dict[str, list[float]]:
        with seeded(generator(0)):
            model = nn.Linear(1, 1)
        data = numbers(9)
        return fit(model, data, data, sgd(model, 0.001), nn.MSELoss(), 3, 2, generator(1))

    torch.manual_seed(0)
    first = history()
    torch.manual_seed(1)
    assert history() == first
    promises.leaves_the_global_generator_alone(history)


def test_fit_with_dropout_validates_without_it() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(1, 1))
    x, y = numbers(50)
    history = fit(model, (x, y), (x, y), sgd(model, 0.0), nn.MSELoss(), 2, 50, generator(0))
    model.eval()
    with torch.no_grad():
        assert history["valid"] == [nn.MSELoss()(model(x), y).item()] * 2
    assert history["train"][0] != history["train"][1]


# Stopping


def stops(losses: list[float], patience: int, min_delta: float) -> list[bool]:
    """The definition, applied to each prefix from scratch."""
    answers = []
    for end in range(1, len(losses) + 1):
        best, last_improvement = math.inf, 0
        for number, loss in enumerate(losses[:end], start=1):
            if loss < best - min_delta:
                best, last_improvement = loss, number
        answers.append(end - last_improvement >= patience or math.isnan(losses[end - 1]))
    return answers


@given(
    losses=st.lists(st.integers(-3, 3).map(float) | st.floats(), max_size=12),
    patience=st.integers(1, 4),
    min_delta=st.sampled_from([0.0, 0.5, 1.0]),
)
@example([1.0, 1.0], 1, 0.0)  # the same again is no improvement
@example([3.0, 2.5, 2.0], 2, 1.0)  # small steps count once they add up ...
@example([3.0, 2.5, 1.5], 2, 1.0)  # ... to more than min_delta
@example([math.nan], 3, 0.0)
@example([math.inf, math.inf], 2, 0.0)
def test_early_stopping_is_its_definition(
    losses: list[float], patience: int, min_delta: float
) -> None:
    stopping = EarlyStopping(patience, min_delta)
    assert [stopping.step(loss) for loss in losses] == stops(losses, patience, min_delta)


# Forecasts


def mean_and_trend(x: torch.Tensor) -> torch.Tensor:
    """A model whose answer depends on every value, and on how many there are."""
    return x.mean(dim=1) + 0.1 * x[:, -1] + x.shape[1]


@given(b=small, s=small, steps=st.integers(0, 5), seed=seeds)
def test_forecast_feeds_each_prediction_back_and_keeps_all_of_the_history(
    b: int, s: int, steps: int, seed: int
) -> None:
    history = normal(seed, b, s, 1)
    rows = []
    for row in history[:, :, 0].tolist():
        for _ in range(steps):
            row.append(sum(row) / len(row) + 0.1 * row[-1] + len(row))
        rows.append(row[s:])
    expected = torch.tensor(rows, dtype=torch.float64).reshape(b, steps, 1)
    assert_close(forecast(mean_and_trend, history, steps), expected)


@given(first=small, second=small, seed=seeds)
def test_steps_of_a_forecast_compose(first: int, second: int, seed: int) -> None:
    history = normal(seed, 2, 3, 1)
    whole = forecast(mean_and_trend, history, first + second)
    begun = forecast(mean_and_trend, history, first)
    rest = forecast(mean_and_trend, torch.cat([history, begun], dim=1), second)
    assert_close(torch.cat([begun, rest], dim=1), whole)


# Prices: three processes, [b, t], for which "tomorrow is like today" is not the best forecast.


def prices(b: int, t: int, g: torch.Generator) -> dict[str, torch.Tensor]:
    noise = torch.randn(b, t + 50, generator=g)
    change, level = [noise[:, 0]], [noise[:, 0]]
    for k in range(1, t + 50):
        change.append(0.7 * change[-1] + noise[:, k])
        level.append(0.5 * level[-1] + noise[:, k])
    phase = 12 * torch.rand(b, 1, generator=g)
    season = (2 * math.pi / 12 * (torch.arange(t) + phase)).sin()
    return {
        "momentum": 100 + torch.stack(change[50:], dim=1).cumsum(dim=1),
        "mean reversion": 2000 + 10 * torch.stack(level[50:], dim=1),
        "season": 0.5 + 0.1 * season + 0.01 * noise[:, 50:],
    }


def share_of_the_naive_error(model: Callable[..., Any], series: torch.Tensor) -> float:
    """The squared error from the 10th value on, over that of predicting no change."""
    with torch.no_grad():
        predicted = model.each_next(series[:, :-1, None])[:, :, 0]
    error = (predicted - series[:, 1:])[:, 10:].square().mean()
    return float(error / series.diff()[:, 10:].square().mean())


# The best possible is 0.51 for momentum (1 − 0.7²) and 0.75 for mean reversion ((1 + 0.5) / 2).
# Over 30 seeds mean, standard deviation and worst were 0.524, 0.015, 0.553 for momentum; 0.759,
# 0.009, 0.783 for mean reversion; 0.086, 0.007, 0.107 for the season.
BOUNDS = {"momentum": 0.62, "mean reversion": 0.83, "season": 0.16}


@pytest.mark.parametrize("kind", BOUNDS)
def test_the_forecaster_beats_tomorrow_is_like_today(kind: str) -> None:
    g = generator(0)
    model = train_forecaster(prices(32, 80, g)[kind], 16, g)
    assert share_of_the_naive_error(model, prices(64, 80, g)[kind]) < BOUNDS[kind]


@pytest.fixture(scope="module")
def forecaster() -> nn.Module:
    return train_forecaster(prices(8, 30, generator(0))["season"], 4, generator(1))


@pytest.mark.parametrize(("b", "s"), [(1, 1), (1, 2), (5, 1), (3, 70)])
def test_the_forecaster_answers_for_any_batch_and_length(
    forecaster: nn.Module, b: int, s: int
) -> None:
    assert forecaster(torch.full((b, s, 1), 0.5)).shape == (b, 1)


def test_the_forecaster_can_be_differentiated_and_fed_back(forecaster: nn.Module) -> None:
    history = torch.full((2, 5, 1), 0.5, requires_grad=True)
    (grad,) = torch.autograd.grad(forecast(forecaster, history, 3).sum(), history)
    assert (grad != 0).all()


def test_the_forecaster_does_not_care_for_the_unit() -> None:
    series = prices(8, 30, generator(0))["season"]
    small = train_forecaster(series, 4, generator(1))
    large = train_forecaster(1024 * series, 4, generator(1))  # a power of two: no rounding differs
    x = series[:3, :9, None]
    assert_close(large(1024 * x), 1024 * small(x))


def test_training_a_forecaster_depends_on_nothing_but_the_generators_state() -> None:
    series = prices(4, 8, generator(0))["season"]
    before = series.clone()
    x = series[:, :, None]

    def answer() -> torch.Tensor:
        return train_forecaster(series, 2, generator(1))(x).detach()

    torch.manual_seed(0)
    first = answer()
    torch.manual_seed(1)
    assert_close(answer(), first, rtol=0, atol=0)
    promises.leaves_the_global_generator_alone(answer)
    assert_close(series, before, rtol=0, atol=0)


def test_a_series_that_stands_still_is_predicted_to_stay() -> None:
    series = torch.full((2, 5), 3.0)
    model = train_forecaster(series, 2, generator(0))
    assert_close(model(series[:, :, None]), torch.full((2, 1), 3.0))


@pytest.mark.slow
def test_the_forecaster_beats_tomorrow_is_like_today_from_every_start() -> None:
    worst = dict.fromkeys(BOUNDS, 0.0)
    for seed in range(30):
        g = generator(seed)
        seen, unseen = prices(32, 80, g), prices(64, 80, g)
        for kind in BOUNDS:
            share = share_of_the_naive_error(train_forecaster(seen[kind], 16, g), unseen[kind])
            worst[kind] = max(worst[kind], share)
    assert all(worst[kind] < BOUNDS[kind] for kind in BOUNDS), worst


# What every function promises

LENGTHS = torch.tensor([3, 1, 4])


def with_state(
    model: nn.Module, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    output, (h, c) = model(x, (h, c), LENGTHS.to(x.device))
    return output, h, c


CALLS = {
    "lstm_gates": Call(lstm_gates, (normal(0, 3, 2), normal(1, 3, 4), *weights(2, 2, 4))),
    "lstm_cell": Call(
        lambda x, h, c, *w: lstm_cell(x, (h, c), *w),
        (normal(0, 3, 2), normal(1, 3, 4), normal(2, 3, 4), *weights(3, 2, 4)),
    ),
    "LSTM": promises.of_module(
        LSTM(2, 3), lambda model, x: (model(x)[0], *model(x)[1]), normal(0, 3, 4, 2)
    ),
    "LSTM with a state and lengths": promises.of_module(
        LSTM(2, 3), with_state, normal(0, 3, 4, 2), normal(1, 3, 3), normal(2, 3, 3)
    ),
    "clip_grad_norm": Call(
        lambda *g: (*clip_grad_norm(list(g), 1.0)[0], clip_grad_norm(list(g), 1.0)[1]),
        (normal(0, 2, 3), normal(1, 4)),
    ),
    "forecast": Call(lambda x: forecast(mean_and_trend, x, 3), (normal(0, 2, 4, 1),)),
}


@promises.every(CALLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_output_follows_the_inputs_dtype_and_device(
    call: Call, dtype: torch.dtype, device: str
) -> None:
    promises.follows_dtype_and_device(call, dtype, device)


@promises.every(CALLS)
def test_inputs_may_be_strided_and_stay_as_they_were(call: Call) -> None:
    promises.takes_strided_inputs_and_leaves_them(call)


@promises.every(CALLS)
def test_gradients_are_those_of_finite_differences(call: Call) -> None:
    promises.has_the_gradients_of_finite_differences(call)


def test_each_definition_can_be_copied_into_a_notebook_that_holds_the_earlier_ones() -> None:
    names = {"math", "torch", "nn", "Callable", "random_rows", "seeded"}
    promises.definitions_can_be_copied_into_a_notebook(lstm, names)


def test_no_built_in_lstm_runs() -> None:
    model = LSTM(2, 3)
    with torch.profiler.profile() as profile:
        output, _ = model(torch.ones(3, 4, 2), None, LENGTHS)
        output.sum().backward()
    names = {event.name for event in profile.events()}
    assert "aten::sigmoid" in names
    assert not {name for name in names if "lstm" in name or "rnn" in name}


gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.mark.gpu
@gpu
@promises.every(CALLS)
def test_the_gpu_agrees_with_the_cpu(call: Call) -> None:
    promises.agrees_on_the_gpu(call)


@pytest.mark.gpu
@gpu
def test_training_on_the_gpu_follows_training_on_the_cpu() -> None:
    def history(device: str) -> dict[str, list[float]]:
        with seeded(generator(0)):
            model = nn.Linear(3, 1).double().to(device)
        data = normal(0, 20, 3).to(device), normal(1, 20, 1).to(device)
        return fit(model, data, data, sgd(model, 0.1), nn.MSELoss(), 3, 6, generator(1))

    here, there = history("cpu"), history("cuda")
    assert here["train"] == pytest.approx(there["train"])
    assert here["valid"] == pytest.approx(there["valid"])
    series = prices(8, 30, generator(0))["season"].cuda()
    for g in (generator(1), torch.Generator("cuda").manual_seed(1)):
        model = train_forecaster(series, 4, g)
        assert model(series[:, :, None]).device.type == "cuda"
