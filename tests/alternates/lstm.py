"""Right answers to 03-lstm that nobody expects: (exercise, name, source).

No check may cost them a point.
"""

GATES = (
    (
        "one gate at a time",
        """
def lstm_gates(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    gates = []
    for w, u, b, v in zip(
        weight_ih.chunk(4), weight_hh.chunk(4), bias_ih.chunk(4), bias_hh.chunk(4)
    ):
        gates.append(x @ w.T + b + h @ u.T + v)
    i, f, g, o = gates
    return torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
""",
    ),
    (
        "one matrix over x, h and 1",
        """
def lstm_gates(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    everything = torch.cat([x, h, torch.ones_like(h[:, :1])], dim=1)
    weight = torch.cat([weight_ih, weight_hh, (bias_ih + bias_hh)[:, None]], dim=1)
    sums = torch.einsum("bn,kn->bk", everything, weight).reshape(len(x), 4, -1)
    return [
        torch.special.expit(sums[:, 0]),
        torch.special.expit(sums[:, 1]),
        torch.tanh(sums[:, 2]),
        torch.special.expit(sums[:, 3]),
    ]
""",
    ),
    (
        "sigmoids by tanh, and the candidate by a sigmoid",
        """
def lstm_gates(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    n = h.size(1)
    a = torch.addmm(bias_ih, x, weight_ih.t()) + torch.addmm(bias_hh, h, weight_hh.t())
    s = lambda k: 0.5 + 0.5 * torch.tanh(0.5 * a[:, k * n : (k + 1) * n])
    return s(0), s(1), 2 * torch.sigmoid(2 * a[:, 2 * n : 3 * n]) - 1, s(3)
""",
    ),
    (
        "torch's plain recurrent cell",
        """
def lstm_gates(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    out = []
    for k, (w, u, b, v) in enumerate(
        zip(weight_ih.chunk(4), weight_hh.chunk(4), bias_ih.chunk(4), bias_hh.chunk(4))
    ):
        factor = 1 if k == 2 else 0.5
        t = torch.rnn_tanh_cell(x, h, factor * w, factor * u, factor * b, factor * v)
        out.append(t if k == 2 else (t + 1) / 2)
    return tuple(out)
""",
    ),
    (
        "blocks [4, H, I], in place, and a named tuple",
        """
import collections

Gates = collections.namedtuple("Gates", "i f g o")


def lstm_gates(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    n = h.shape[-1]
    w, u = weight_ih.reshape(4, n, -1), weight_hh.reshape(4, n, n)
    sums = torch.einsum("bi,khi->kbh", x, w) + torch.einsum("bj,khj->kbh", h, u)
    sums += (bias_ih + bias_hh).reshape(4, 1, n)
    i, f, g, o = (sums[k].clone() for k in range(4))
    for gate in (i, f, o):
        gate.sigmoid_()
    g.tanh_()
    return Gates(i, f, g, o)
""",
    ),
)

CELL = (
    (
        "everything in one function",
        """
def lstm_cell(x, state, weight_ih, weight_hh, bias_ih, bias_hh):
    sums = x @ weight_ih.T + bias_ih + state[0] @ weight_hh.T + bias_hh
    i, f, g, o = torch.tensor_split(sums, 4, dim=-1)
    c = torch.addcmul(torch.sigmoid(f) * state[1], torch.sigmoid(i), torch.tanh(g))
    return [torch.sigmoid(o) * torch.tanh(c), c]
""",
    ),
    (
        "a built-in's name for its own function",
        """
def LSTMCell(x, h, c, *weights):
    "As nn.LSTMCell and torch.lstm_cell do."
    i, f, g, o = lstm_gates(x, h, *weights)
    new = torch.lerp(torch.zeros_like(c), c, f) + i.mul(g)
    return torch.tanh(new).mul(o), new


def lstm_cell(x, state, weight_ih, weight_hh, bias_ih, bias_hh):
    return LSTMCell(x, *state, weight_ih, weight_hh, bias_ih, bias_hh)
""",
    ),
    (
        "a sum over gates and what they weigh",
        """
def lstm_cell(x, state, weight_ih, weight_hh, bias_ih, bias_hh):
    h, c = state
    i, f, g, o = lstm_gates(
        h=h, x=x, bias_hh=bias_hh, bias_ih=bias_ih, weight_hh=weight_hh, weight_ih=weight_ih
    )
    c = torch.einsum("kbh,kbh->bh", torch.stack([f, i]), torch.stack([c, g]))
    return o * (2 * torch.sigmoid(2 * c) - 1), c
""",
    ),
    (
        "vmap over rows, a named tuple",
        """
from typing import NamedTuple


class State(NamedTuple):
    h: torch.Tensor
    c: torch.Tensor


def lstm_cell(x, state, weight_ih, weight_hh, bias_ih, bias_hh):
    def one(x, h, c):
        a = weight_ih @ x + bias_ih + weight_hh @ h + bias_hh
        i, f, g, o = a.reshape(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    return State(*torch.vmap(one)(x, *state))
""",
    ),
    (
        "a callable object",
        """
class Cell:
    def __call__(self, x, state, weight_ih, weight_hh, bias_ih, bias_hh):
        gates = dict(zip("ifgo", lstm_gates(x, state[0], weight_ih, weight_hh, bias_ih, bias_hh)))
        kept = state[1].clone()
        kept *= gates["f"]
        kept += gates["i"] * gates["g"]
        return gates["o"] * kept.tanh(), kept


lstm_cell = Cell()
""",
    ),
)

INIT = """
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.weight_ih = nn.Parameter(torch.randn(4 * hidden_size, input_size) / 4)
        self.weight_hh = nn.Parameter(torch.randn(4 * hidden_size, hidden_size) / 4)
        self.bias_ih = nn.Parameter(torch.zeros(4 * hidden_size))
        self.bias_hh = nn.Parameter(torch.zeros(4 * hidden_size))
"""

LAYER = (
    (
        "the built-in cell's constructor, with a forward of its own",
        """
class LSTM(nn.LSTMCell):
    def forward(self, x, state=None, lengths=None):
        b, s, _ = x.shape
        h = c = x.new_zeros(b, self.hidden_size)
        if state is not None:
            h, c = state
        output = []
        for t in range(s):
            new = lstm_cell(
                x[:, t], (h, c), self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
            )
            if lengths is None:
                h, c = new
                output.append(h)
            else:
                m = (t < lengths).to(x.dtype)[:, None]
                h, c = m * new[0] + (1 - m) * h, m * new[1] + (1 - m) * c
                output.append(m * h)
        return torch.stack(output, 1), (h, c)
""",
    ),
    (
        "each row by itself",
        f"""
class LSTM(nn.Module):
{INIT}
    def forward(self, x, state=None, lengths=None):
        b, s, _ = x.shape
        n = self.weight_hh.shape[1]
        outputs, hs, cs = [], [], []
        for row in range(b):
            if state is None:
                h, c = x.new_zeros(1, n), x.new_zeros(1, n)
            else:
                h, c = state[0][row : row + 1], state[1][row : row + 1]
            end = s if lengths is None else int(lengths[row])
            shown = []
            for t in range(end):
                h, c = lstm_cell(
                    x[row : row + 1, t], (h, c), self.weight_ih, self.weight_hh,
                    self.bias_ih, self.bias_hh,
                )
                shown.append(h)
            shown.append(x.new_zeros(s - end, n))
            outputs.append(torch.cat(shown))
            hs.append(h)
            cs.append(c)
        return torch.stack(outputs), (torch.cat(hs), torch.cat(cs))
""",
    ),
    (
        "writes into a tensor, and gathers the last states",
        f"""
class LSTM(nn.Module):
{INIT}
    def forward(self, x, state=None, lengths=None):
        b, s, _ = x.shape
        n = self.bias_hh.numel() // 4
        if state is None:
            state = (x.new_zeros(b, n), x.new_zeros(b, n))
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        output, memory = x.new_empty(b, s, n), x.new_empty(b, s, n)
        for t in range(s):
            state = lstm_cell(x[:, t, :], state, *weights)
            output[:, t], memory[:, t] = state[0], state[1]
        if lengths is None:
            return output, state
        last = (lengths - 1).view(b, 1, 1).expand(b, 1, n)
        h, c = output.gather(1, last).squeeze(1), memory.gather(1, last).squeeze(1)
        late = torch.arange(s, device=x.device)[None, :, None] >= lengths[:, None, None]
        return output.masked_fill(late, 0.0), [h, c]
""",
    ),
    (
        "inputs projected at once, biases registered first",
        """
class LSTM(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        for name in ("bias_hh", "bias_ih"):
            self.register_parameter(name, nn.Parameter(torch.zeros(4 * hidden_size)))
        self.weight_hh = nn.Parameter(torch.eye(hidden_size).repeat(4, 1))
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        nn.init.xavier_normal_(self.weight_ih)
        self.register_buffer("start", torch.zeros(1, hidden_size), persistent=False)

    def forward(self, x, state=None, lengths=None):
        b, s = x.shape[:2]
        projected = x @ self.weight_ih.T + (self.bias_ih + self.bias_hh)
        h, c = (self.start.expand(b, -1),) * 2 if state is None else state
        shown = []
        for t in range(s):
            a = projected[:, t] + h @ self.weight_hh.T
            i, f, g, o = a.tensor_split(4, dim=1)
            new_c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            new_h = torch.sigmoid(o) * torch.tanh(new_c)
            if lengths is not None:
                over = (lengths <= t)[:, None]
                new_h, new_c = new_h.where(~over, h), new_c.where(~over, c)
                shown.append(new_h.masked_fill(over, 0))
            else:
                shown.append(new_h)
            h, c = new_h, new_c
        return torch.stack(shown).transpose(0, 1), (h, c)
""",
    ),
    (
        "rows leave the batch as they end",
        """
class LSTM(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.n = hidden_size
        cell = nn.LSTMCell(input_size, hidden_size)
        for name, value in cell.named_parameters():
            setattr(self, name, nn.Parameter(value.detach().clone()))

    def forward(self, x, state=None, lengths=None):
        b, s, _ = x.shape
        if lengths is None:
            lengths = torch.full((b,), s, dtype=torch.int64, device=x.device)
        if state is None:
            state = torch.zeros(2, b, self.n, dtype=x.dtype, device=x.device)
        h, c = state[0].clone(), state[1].clone()
        output = []
        for t in range(s):
            live = torch.nonzero(lengths > t)[:, 0]
            column = x.new_zeros(b, self.n)
            if len(live):
                one, two = lstm_cell(x[live, t], (h[live], c[live]), **dict(self.named_parameters()))
                h, c = h.index_copy(0, live, one), c.index_copy(0, live, two)
                column = column.index_copy(0, live, one)
            output.append(column)
        return torch.stack(output, dim=-2), [h, c]
""",
    ),
)

CLIP = (
    (
        "the root of the sum of squares",
        """
def clip_grad_norm(grads, max_norm):
    total = sum((g * g).sum() for g in grads) ** 0.5
    factor = torch.clamp(max_norm / (total + 1e-6), max=1.0)
    return [g * factor for g in grads], total
""",
    ),
    (
        "one long vector",
        """
def clip_grad_norm(grads, max_norm):
    vector = torch.cat([g.flatten() for g in grads])
    total = vector.norm(2)
    if total > max_norm:
        vector = vector * (max_norm / total)
    parts = vector.split([g.numel() for g in grads])
    return tuple(p.reshape(g.shape) for p, g in zip(parts, grads)), total
""",
    ),
    (
        "the same tensors where nothing is clipped",
        """
def clip_grad_norm(grads, max_norm):
    total = torch.linalg.vector_norm(torch.cat([g.reshape(-1) for g in grads]), ord=2)
    if bool(total <= max_norm):
        return list(grads), total
    return [max_norm * g / total for g in grads], total
""",
    ),
    (
        "where, and hypot one by one",
        """
def clip_grad_norm(grads, max_norm):
    import functools

    norms = [torch.sqrt(torch.sum(g**2)) for g in grads]
    total = functools.reduce(torch.hypot, norms)
    safe = torch.where(total > max_norm, total, torch.ones_like(total))
    return [torch.where(total > max_norm, g * max_norm / safe, g) for g in grads], total
""",
    ),
)

FIT = (
    (
        "a DataLoader",
        """
def fit(model, train, valid, optimizer, loss_fn, epochs, batch_size, generator):
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(
        TensorDataset(*train), batch_size=batch_size, shuffle=True, generator=generator
    )
    history = {"train": [], "valid": []}
    for epoch in range(epochs):
        model.train()
        total, count = 0.0, 0
        for x, y in loader:
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * x.size(0)
            count += x.size(0)
        history["train"].append(total / count)
        model.eval()
        with torch.inference_mode():
            history["valid"].append(float(loss_fn(model(valid[0]), valid[1])))
        model.train()
    return history
""",
    ),
    (
        "an order by sorting random numbers, and validation in pieces",
        """
def fit(model, train, valid, optimizer, loss_fn, epochs, batch_size, generator):
    (x, y), n = train, len(train[0])
    curves = ([], [])
    for _ in range(epochs):
        model.train(True)
        order = torch.rand(n, generator=generator, dtype=torch.float64).argsort()
        seen = 0.0
        for start in range(0, n, batch_size):
            rows = order[start : start + batch_size].tolist()
            loss = loss_fn(model(x[rows]), y[rows])
            model.zero_grad(set_to_none=False)
            loss.backward()
            optimizer.step()
            seen += float(loss.detach()) * len(rows) / n
        curves[0].append(seen)
        model.train(False)
        held_out = 0.0
        for a, b in zip(valid[0].split(2), valid[1].split(2)):
            held_out += loss_fn(model(a), b).item() * len(a) / len(valid[0])
        curves[1].append(held_out)
        model.train(True)
    return dict(zip(("train", "valid"), curves))
""",
    ),
    (
        "a closure for the optimizer",
        """
def fit(model, train, valid, optimizer, loss_fn, epochs, batch_size, generator):
    x, y = train
    train_losses, valid_losses = [], []
    for _ in range(epochs):
        model.train()
        rows = list(range(len(x)))
        for k in range(len(x) - 1, 0, -1):
            j = int(torch.randint(k + 1, (), generator=generator))
            rows[k], rows[j] = rows[j], rows[k]
        weighted = []
        while rows:
            batch, rows = rows[:batch_size], rows[batch_size:]

            def closure():
                optimizer.zero_grad()
                loss = loss_fn(model(x[batch]), y[batch])
                loss.backward()
                return loss

            weighted.append(optimizer.step(closure).item() * len(batch))
        train_losses.append(math.fsum(weighted) / len(x))
        model.eval()
        valid_losses.append(loss_fn(model(valid[0]), valid[1]).detach().item())
        model.train()
    return {"valid": valid_losses, "train": train_losses}
""",
    ),
    (
        "samplers, and numpy's means",
        """
def fit(model, train, valid, optimizer, loss_fn, epochs, batch_size, generator):
    import numpy as np
    from torch.utils.data import BatchSampler, RandomSampler

    sampler = BatchSampler(
        RandomSampler(range(len(train[0])), generator=generator), batch_size, drop_last=False
    )
    train_curve, valid_curve = [], []
    for epoch in range(1, epochs + 1):
        model.train()
        losses, sizes = [], []
        for rows in sampler:
            inputs, targets = train[0][rows], train[1][rows]
            optimizer.zero_grad(set_to_none=True)
            loss = loss_fn(model(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            sizes.append(len(rows))
        train_curve.append(np.average(losses, weights=sizes))
        model.eval()
        with torch.no_grad():
            valid_curve.append(np.mean([loss_fn(model(valid[0]), valid[1]).item()]))
        model.train()
    return {"train": train_curve, "valid": valid_curve}
""",
    ),
    (
        "two phases",
        """
def fit(model, train, valid, optimizer, loss_fn, epochs, batch_size, generator):
    from collections import defaultdict

    history = defaultdict(list)
    for epoch in range(epochs):
        for phase, (x, y) in {"train": train, "valid": valid}.items():
            learning = phase == "train"
            model.train(learning)
            order = torch.arange(len(x))
            if learning:
                order = torch.randperm(len(x), generator=generator)
            x, y = x[order], y[order]
            total = 0.0
            for a, b in zip(torch.split(x, batch_size), torch.split(y, batch_size), strict=True):
                with torch.set_grad_enabled(learning):
                    loss = loss_fn(model(a), b)
                if learning:
                    parameters = [p for g in optimizer.param_groups for p in g["params"]]
                    for p, g in zip(parameters, torch.autograd.grad(loss, parameters)):
                        p.grad = g
                    optimizer.step()
                total += loss.item() * len(a)
            history[phase].append(total / len(x))
    model.train()
    return dict(history)
""",
    ),
)

STOPPING = (
    (
        "keeps all losses",
        """
class EarlyStopping:
    def __init__(self, patience, min_delta=0.0):
        self.patience, self.min_delta, self.losses = patience, min_delta, []

    def step(self, loss):
        self.losses.append(loss)
        best, last = float("inf"), -1
        for k, value in enumerate(self.losses):
            if value < best - self.min_delta:
                best, last = value, k
        return loss != loss or len(self.losses) - 1 - last >= self.patience
""",
    ),
    (
        "counts down",
        """
class EarlyStopping:
    def __init__(self, patience, min_delta=0.0):
        self.full = self.left = patience
        self.delta = min_delta
        self.goal = math.inf

    def step(self, loss):
        if math.isnan(loss):
            return True
        if loss < self.goal:
            self.goal, self.left = loss - self.delta, self.full
            return False
        self.left -= 1
        return not self.left > 0
""",
    ),
    (
        "a generator behind step",
        """
class EarlyStopping:
    def __init__(self, patience, min_delta=0.0):
        def decide():
            best, waited, answer = float("inf"), 0, None
            while True:
                loss = yield answer
                waited = 0 if loss < best - min_delta else waited + 1
                best = loss if waited == 0 else best
                answer = waited >= patience or loss != loss

        self.decisions = decide()
        next(self.decisions)

    def step(self, loss):
        return bool(self.decisions.send(loss))
""",
    ),
    (
        "a dataclass",
        """
import dataclasses


@dataclasses.dataclass
class EarlyStopping:
    patience: int
    min_delta: float = 0.0
    best: float = dataclasses.field(default=float("inf"), init=False)
    bad: int = dataclasses.field(default=0, init=False)

    def step(self, loss):
        better = loss < self.best - self.min_delta
        self.best, self.bad = (loss, 0) if better else (self.best, self.bad + 1)
        return not loss == loss or self.bad >= self.patience
""",
    ),
    (
        "None at first",
        """
class EarlyStopping:
    def __init__(self, patience, min_delta=0.0):
        self.best, self.history, self.patience, self.min_delta = None, [], patience, min_delta

    def step(self, loss):
        if math.isnan(loss):
            return True
        better = self.best is None or self.best - loss > self.min_delta
        if better:
            self.best = loss
        self.history.append(better)
        return len(self.history) >= self.patience and not any(self.history[-self.patience :])
""",
    ),
)

FORECAST = (
    (
        "a list of values",
        """
def forecast(model, history, steps):
    values = list(history.split(1, dim=1))
    for _ in range(steps):
        values.append(model(torch.cat(values, dim=1)).unsqueeze(-1))
    return torch.cat(values[-steps:], dim=1)
""",
    ),
    (
        "recursion",
        """
def forecast(model, history, steps):
    if steps == 0:
        return history[:, :0]
    following = model(history).reshape(-1, 1, 1)
    return torch.cat(
        [following, forecast(model, torch.cat([history, following], 1), steps - 1)], dim=1
    )
""",
    ),
    (
        "a generator of predictions",
        """
def forecast(model, history, steps):
    def following():
        series = history.clone()
        for _ in range(steps):
            prediction = model(series)
            series = torch.hstack((series, prediction[..., None]))
            yield prediction

    return torch.stack(list(following()), dim=1)
""",
    ),
    (
        "a longer tensor each time, made anew",
        """
def forecast(model, history, steps):
    start = history.shape[1]
    for k in range(steps):
        longer = history.new_zeros(len(history), start + k + 1, 1)
        longer[:, :-1] = history
        longer[:, -1] = model(history)
        history = longer
    return history[:, start:].contiguous()
""",
    ),
)

TRAINING = (
    (
        "its own LSTM, lessons at the last step alone",
        """
class Net(nn.Module):
    def __init__(self, n, series):
        super().__init__()
        self.rnn = LSTM(1, n)
        self.out = nn.Linear(n, 1)
        self.mean, self.sd = series.mean().item(), series.std().item()
        self.step = series.diff().std().item()

    def forward(self, x):
        output, (h, c) = self.rnn((x - self.mean) / self.sd)
        before = x[:, -2] if x.shape[1] > 1 else x[:, -1]
        slope = self.out(h) + (x[:, -1] - before) / self.step * 0.3
        return x[:, -1] + self.step * slope


def train_forecaster(series, hidden_size, generator):
    model = Net(hidden_size, series)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    windows = series.unfold(1, 16, 1).reshape(-1, 16)
    for _ in range(200):
        rows = torch.randint(len(windows), (64,), generator=generator)
        batch = windows[rows][:, :, None]
        loss = ((model(batch[:, :-1]) - batch[:, -1]) / model.step).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model
""",
    ),
    (
        "all stretches at once, a GRU",
        """
class Net(nn.Module):
    def __init__(self, n, series):
        super().__init__()
        self.rnn = nn.GRU(2, n, batch_first=True)
        self.out = nn.Linear(n, 1)
        self.register_buffer("mean", series.mean())
        self.register_buffer("sd", series.std())
        self.register_buffer("step", (series[:, 1:] - series[:, :-1]).std())

    def all(self, x):
        change = torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:] - x[:, :-1]], 1) / self.step
        features, _ = self.rnn(torch.cat([(x - self.mean) / self.sd, change], -1))
        return x + self.step * self.out(features)

    def forward(self, x):
        return self.all(x)[:, -1]


def train_forecaster(series, hidden_size, generator):
    model = Net(hidden_size, series)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    x = series.unfold(1, 20, 10).reshape(-1, 20, 1)
    for _ in range(80):
        loss = ((model.all(x[:, :-1]) - x[:, 1:]) / model.step).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model
""",
    ),
    (
        "a small LSTM that sees levels alone, trained with fit",
        """
class Net(nn.Module):
    def __init__(self, n, series):
        super().__init__()
        self.rnn = nn.LSTM(2, n, batch_first=True)
        self.out = nn.Linear(n, 1)
        self.mean, self.sd = series.mean(), series.std()
        self.step = series.diff().std()

    def forward(self, x):
        last = x[:, -1:]
        inputs = torch.cat([(x - self.mean) / self.sd, (x - last) / self.step / 3], dim=2)
        return last[:, 0] + self.step * self.out(self.rnn(inputs)[0][:, -1])


def train_forecaster(series, hidden_size, generator):
    model = Net(min(hidden_size, 12), series)
    windows = series.unfold(1, 20, 1).reshape(-1, 20)
    x, y = windows[:, :-1, None], windows[:, -1:]
    held_out = len(x) // 10
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loss_fn = lambda prediction, target: ((prediction - target) / model.step).square().mean()
    fit(
        model, (x[held_out:], y[held_out:]), (x[:held_out], y[:held_out]), optimizer, loss_fn,
        6, 32, generator,
    )
    return model.eval()
""",
    ),
    (
        "least squares, float64, a plain function",
        """
def train_forecaster(series, hidden_size, generator):
    k = 8
    centre, d = series.double().mean(), series.double().diff().std()
    w = (series.double() - centre).unfold(1, k + 1, 1).reshape(-1, k + 1) / d
    A = torch.cat([w[:, :-1], torch.ones_like(w[:, :1])], 1)
    coefficients = torch.linalg.lstsq(A, (w[:, -1:] - w[:, -2:-1])).solution

    def model(x):
        z = (x[:, :, 0].double() - centre) / d
        z = torch.cat([z[:, :1].expand(-1, max(0, k - z.shape[1])), z], 1)[:, -k:]
        z = torch.cat([z, torch.ones_like(z[:, :1])], 1)
        return (x[:, -1].double() + d * (z @ coefficients)).to(x.dtype)

    return model
""",
    ),
    (
        "all series whole, LBFGS",
        """
class Net(nn.Module):
    def __init__(self, n, series):
        super().__init__()
        self.lstm, self.head = nn.LSTM(1, n, batch_first=True), nn.Linear(n, 1)
        self.m, self.s, self.d = series.mean(), series.std(), series.diff().std()

    def each(self, x):
        change = torch.diff(x, dim=1, prepend=x[:, :1]) / self.d
        z = change + 0.1 * (x - self.m) / self.s
        return x + self.d * (self.head(self.lstm(z)[0]) - 0.3 * (x - self.m) / self.s)

    def forward(self, x):
        return self.each(x)[:, -1]


def train_forecaster(series, hidden_size, generator):
    with seeded(generator):
        model = Net(hidden_size, series)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=60, line_search_fn="strong_wolfe")
    x = series[:, :, None]

    def closure():
        optimizer.zero_grad()
        loss = ((model.each(x[:, :-1]) - x[:, 1:]) / model.d).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return model
""",
    ),
)

QUIZ = (
    (
        "a dict of another kind",
        "import collections\nquiz = collections.OrderedDict(learning_curve='B', gate='A')\n",
    ),
    ("letters from a string", "quiz = dict(zip(('gate', 'learning_curve'), 'AB'))\n"),
    ("filled in one by one", "quiz = {}\nquiz['gate'] = 'A'\nquiz['learning_curve'] = 'B'\n"),
)

ALTERNATES = tuple(
    (exercise, name, source)
    for exercise, alternates in (
        ("lstm_gates", GATES),
        ("lstm_cell", CELL),
        ("LSTM", LAYER),
        ("clip_grad_norm", CLIP),
        ("fit", FIT),
        ("EarlyStopping", STOPPING),
        ("forecast", FORECAST),
        ("train_forecaster", TRAINING),
        ("quiz", QUIZ),
    )
    for name, source in alternates
)
