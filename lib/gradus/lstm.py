"""The LSTM from its gates up, its training loop, and forecasts with it.

Shapes: b batch, s time steps, I inputs, H hidden units. The weights are laid out as in torch: the
rows of weight_ih[4H, I], weight_hh[4H, H], bias_ih[4H] and bias_hh[4H] belong to the gates i, f, g
and o, H rows each. W_i, U_i and b_i below are the rows of gate i in weight_ih, weight_hh and
bias_ih + bias_hh, and so on for the others.

Every function follows its input's dtype and device, leaves its input unchanged and, but for the
training loops, is differentiable.
Source: Hochreiter and Schmidhuber, Long short-term memory (1997); the forget gate from Gers,
Schmidhuber and Cummins, Learning to forget (2000).
"""

import math
from collections.abc import Callable

import torch
from torch import nn

from gradus.training import random_rows, seeded


def lstm_gates(
    x: torch.Tensor,
    h: torch.Tensor,
    weight_ih: torch.Tensor,
    weight_hh: torch.Tensor,
    bias_ih: torch.Tensor,
    bias_hh: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The input gate, forget gate, cell candidate and output gate for x[b, I] and h[b, H].

    i = σ(W_i x + U_i h + b_i)       how much of the candidate is stored
    f = σ(W_f x + U_f h + b_f)       how much of the cell state is kept
    g = tanh(W_g x + U_g h + b_g)    what may be stored
    o = σ(W_o x + U_o h + b_o)       how much of the cell state is shown

    Returns (i, f, g, o), each [b, H].
    """
    rows = nn.functional.linear(x, weight_ih, bias_ih) + nn.functional.linear(h, weight_hh, bias_hh)
    i, f, g, o = rows.chunk(4, dim=1)
    return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()


def lstm_cell(
    x: torch.Tensor,
    state: tuple[torch.Tensor, torch.Tensor],
    weight_ih: torch.Tensor,
    weight_hh: torch.Tensor,
    bias_ih: torch.Tensor,
    bias_hh: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step in time: from x[b, I] and the state (h[b, H], c[b, H]) to the next state.

    c' = f ∘ c + i ∘ g
    h' = o ∘ tanh(c')

    c is the long-term memory, h the short-term one and the output. Where f = 1 and i = 0, c stays
    as it is for any number of steps, and so does the gradient that flows back through it.
    """
    h, c = state
    i, f, g, o = lstm_gates(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    c = f * c + i * g
    return o * c.tanh(), c


class LSTM(nn.Module):
    """A sequence through an LSTM cell, step by step.

    Parameters: weight_ih, weight_hh, bias_ih and bias_hh, with the names, layout and initial
    distribution (uniform between ±1/√H) of torch.nn.LSTMCell, whose state dict it loads.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter((2 * torch.rand(shape) - 1) / math.sqrt(hidden_size))

        self.weight_ih = parameter(4 * hidden_size, input_size)
        self.weight_hh = parameter(4 * hidden_size, hidden_size)
        self.bias_ih = parameter(4 * hidden_size)
        self.bias_hh = parameter(4 * hidden_size)

    def forward(
        self,
        x: torch.Tensor,
        state: tuple[torch.Tensor, torch.Tensor] | None = None,
        lengths: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """(output[b, s, H], (h[b, H], c[b, H])) for x[b, s, I]; without a state, from zeros.

        output holds h after each step. `lengths`, integers [b] from 1 to s, says how many steps of
        each row count: from there on its state stands still, its output is 0 and its input is not
        read.
        """
        h, c = state or [x.new_zeros(len(x), self.hidden_size)] * 2
        if lengths is not None:
            running = torch.arange(x.shape[1], device=x.device) < lengths[:, None]  # [b, s]
            x = torch.where(running[:, :, None], x, 0)
        outputs = []
        for t, x_t in enumerate(x.unbind(dim=1)):
            new_h, new_c = lstm_cell(
                x_t, (h, c), self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
            )
            if lengths is not None:
                on = running[:, t, None]
                new_h, new_c = torch.where(on, new_h, h), torch.where(on, new_c, c)
            h, c = new_h, new_c
            outputs.append(h)
        output = torch.stack(outputs, dim=1)
        if lengths is not None:
            output = torch.where(running[:, :, None], output, 0)
        return output, (h, c)


def clip_grad_norm(
    grads: list[torch.Tensor], max_norm: float
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Gradients scaled down together, so that their norm is at most max_norm > 0.

    total = √(Σ over all numbers of all grads, squared)
    clipped = grad / max(1, total / max_norm)

    One divisor for all keeps the direction; at or below the bound it is 1. Returns the clipped
    gradients, new tensors, and total, a scalar: the norm before clipping.
    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks
    (arXiv:1211.5063), section 3.2.
    """
    total = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in grads]))
    divisor = (total / max_norm).clamp(min=1)
    return [grad / divisor for grad in grads], total


def fit(
    model: nn.Module,
    train: tuple[torch.Tensor, torch.Tensor],
    valid: tuple[torch.Tensor, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    loss_fn: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    epochs: int,
    batch_size: int,
    generator: torch.Generator,
) -> dict[str, list[float]]:
    """Train model on batches of train = (x, y) for some epochs: the two curves of its losses.

    loss_fn(model(x), y) is the mean over a batch. An epoch takes one step of the optimizer for
    each batch of a new random order of the rows; the last batch may be short. "train" holds the
    mean over the rows of the losses on the way, "valid" the loss on valid after the epoch, in eval
    mode and without gradients. The model is left in train mode.
    """
    x, y = train
    history: dict[str, list[float]] = {"train": [], "valid": []}
    for _ in range(epochs):
        model.train()
        losses = []
        order = torch.randperm(len(x), generator=generator, device=generator.device)
        for rows in order.to(x.device).split(batch_size):
            loss = loss_fn(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach() * len(rows))
        history["train"].append(torch.stack(losses).sum().item() / len(x))
        model.eval()
        with torch.no_grad():
            history["valid"].append(loss_fn(model(valid[0]), valid[1]).item())
    model.train()
    return history


class EarlyStopping:
    """Says when to stop: after `patience` ≥ 1 losses in a row that are no improvement.

    An improvement is a loss below best − min_delta, where best is the last improvement (at first
    infinity). Many small steps down count once they add up to more than min_delta.
    Source: Prechelt, Early stopping, but when? (1998).
    """

    def __init__(self, patience: int, min_delta: float = 0.0) -> None:
        self.patience = patience
        self.min_delta = min_delta
        self.best = math.inf
        self.waited = 0

    def step(self, loss: float) -> bool:
        """Whether to stop after this loss; at once where it is NaN."""
        if loss < self.best - self.min_delta:
            self.best = loss
            self.waited = 0
        else:
            self.waited += 1
        return self.waited >= self.patience or math.isnan(loss)


def forecast(
    model: Callable[[torch.Tensor], torch.Tensor], history: torch.Tensor, steps: int
) -> torch.Tensor:
    """The next `steps` values after history[b, s, 1], each from the history and those before it.

    model maps [b, any, 1] to the next value [b, 1]. What it predicts is appended to what it reads
    next, so errors add up. Returns [b, steps, 1].
    """
    series = history
    for _ in range(steps):
        series = torch.cat([series, model(series)[:, None]], dim=1)
    return series[:, history.shape[1] :]


class Forecaster(nn.Module):
    """Predicts the next value of a series from x[b, s, 1], in the series' own units: [b, 1].

    The LSTM reads level and change in units of their spread over the series[b, t] that it is made
    for, and answers with the next change. So "tomorrow is like today" is the answer 0, and a series
    in cents is as easy as one in millions.
    """

    centre: torch.Tensor
    spread: torch.Tensor
    change: torch.Tensor

    def __init__(self, hidden_size: int, series: torch.Tensor) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, 1)
        tiny = torch.finfo(series.dtype).tiny  # a series that stands still has no spread
        self.register_buffer("centre", series.mean())
        self.register_buffer("spread", series.std(correction=0).clamp(min=tiny))
        self.register_buffer("change", series.diff().std(correction=0).clamp(min=tiny))
        self.to(series)

    def each_next(self, x: torch.Tensor) -> torch.Tensor:
        """What follows each value of x[b, s, 1], predicted from it and those before: [b, s, 1]."""
        level = (x - self.centre) / self.spread
        change = x.diff(dim=1, prepend=x[:, :1]) / self.change
        features, _ = self.lstm(torch.cat([level, change], dim=2))
        prediction: torch.Tensor = x + self.change * self.head(features)
        return prediction

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What follows x[b, s, 1]: [b, 1]."""
        return self.each_next(x)[:, -1]


def train_forecaster(
    series: torch.Tensor, hidden_size: int, generator: torch.Generator
) -> Forecaster:
    """A model that predicts the next value of series like series[b, t], t ≥ 2.

    Minimises the squared error after each value of random windows of the series, in units of its
    changes. That is 24 lessons a window instead of one, and learns to start from any length.
    """
    with seeded(generator):
        model = Forecaster(hidden_size, series)
    windows = series.unfold(1, min(25, series.shape[1]), 1).flatten(0, 1)  # [n, 25]
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, fused=True)
    for _ in range(300):
        x = random_rows(windows, 32, generator)[:, :, None]
        error = (model.each_next(x[:, :-1]) - x[:, 1:]) / model.change
        loss = error.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model
