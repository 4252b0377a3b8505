"""The public checks of 03-lstm: laws, worked examples and shapes, for students to run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from hypothesis import strategies as st

from autograder.check import (
    Exercise,
    check,
    example,
    expect,
    expect_close,
    expect_equal,
    expect_letters,
    expect_shape,
    given,
)
from autograder.strategies import filled, sizes, tensors
from autograder.subject import StudentObject, Subject

# Every way to torch's LSTMs leads through one of these; the cells of other kinds are no LSTMs.
LSTMS = r"::.*lstm|::mkldnn_rnn_layer"
ELSEWHERE = r"^(tensorflow|keras|jax|flax|onnxruntime|torch\._(refs|decomp))\b"
IN_WORDS = "torch's own LSTM and LSTMCell, or another library's"

EXERCISES: tuple[Exercise, ...] = (
    Exercise("lstm_gates"),
    Exercise("lstm_cell", forbids=LSTMS, forbids_in_source=ELSEWHERE, forbids_in_words=IN_WORDS),
    Exercise("LSTM", forbids=LSTMS, forbids_in_source=ELSEWHERE, forbids_in_words=IN_WORDS),
    Exercise("clip_grad_norm"),
    Exercise("fit"),
    Exercise("EarlyStopping"),
    Exercise("forecast"),
    Exercise("train_forecaster"),
    Exercise("quiz"),
)

DOUBLE = torch.float64
TINY = 1e-9  # what rounding in float64 may make of 0
GATES = "ifgo"
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
Tensors = list[torch.Tensor]


def doubles(*rows: Any) -> torch.Tensor:
    """These numbers in float64."""
    return torch.tensor(rows, dtype=DOUBLE)


def eighths(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Numbers between −9/8 and 9/8 in float64, where no gate is saturated."""
    return filled(shape, seed, dtype=DOUBLE) / 8


def weights(inputs: int, hidden: int, seed: int) -> Tensors:
    """weight_ih, weight_hh, bias_ih and bias_hh of a cell; for x in eighths and h = 0, none of its
    sums is 0."""
    shapes = ((4 * hidden, inputs), (4 * hidden, hidden), (4 * hidden,), (4 * hidden,))
    w_ih, w_hh, b_ih, b_hh = (eighths(shape, seed + k) for k, shape in enumerate(shapes))
    return [w_ih, w_hh, b_ih, b_hh + 1 / 128]


def shut(inputs: int, hidden: int, biases: Sequence[float]) -> Tensors:
    """A cell whose gates see nothing but a bias, each its own: for i, f, g and o."""
    bias = torch.tensor(biases, dtype=DOUBLE).repeat_interleave(hidden)
    zeros = torch.zeros(4 * hidden, dtype=DOUBLE)
    return [zeros[:, None].repeat(1, inputs), zeros[:, None].repeat(1, hidden), bias, zeros]


@st.composite
def steps(draw: st.DrawFn) -> Tensors:
    """[x, h, c, weight_ih, weight_hh, bias_ih, bias_hh] of one step."""
    b, inputs, hidden = (draw(sizes(1, 3)) for _ in range(3))
    shapes = ((b, inputs), (b, hidden), (b, hidden))
    return [
        *(draw(tensors(shape, dtype=DOUBLE)) / 8 for shape in shapes),
        *weights(inputs, hidden, draw(st.integers(1, 2**16))),
    ]


# b = 2, I = 4, H = 3
STEP = [eighths((2, 4), 1), eighths((2, 3), 2), eighths((2, 3), 3), *weights(4, 3, 4)]


def like(value: Any, shape: Sequence[int], dtype: torch.dtype = DOUBLE) -> torch.Tensor:
    """Fails unless `value` is a tensor of this shape and dtype."""
    expect_shape(value, shape)
    expect(value.dtype == dtype, f"the dtype is {value.dtype}, and {dtype} was expected", value)
    out: torch.Tensor = value
    return out


def several(value: Any, names: Sequence[str]) -> Sequence[Any]:
    """Fails unless `value` is a tuple (or list) of as many things as names."""
    expect(
        isinstance(value, tuple | list) and len(value) == len(names),
        f"a tuple ({', '.join(names)}) was expected",
        value,
    )
    items: Sequence[Any] = value
    return items


# --- lstm_gates ----------------------------------------------------------------------------------


def four_gates(student: Subject, call: Tensors) -> list[torch.Tensor]:
    """The gates for (x, h, and the four weights), each in the right shape."""
    gates = several(student.lstm_gates(*call), GATES)
    return [like(gate, call[1].shape) for gate in gates]


LOG3, HALF_LOG3 = math.log(3), math.log(3) / 2  # σ(ln 3) = 3/4; tanh(ln 3 / 2) = 1/2


@check(
    "lstm_gates",
    points=2,
    hint="i, f and o are sigmoids, g is a tanh; the rows stand in the order i, f, g, o.",
)
@example(
    call=[doubles([1]), doubles([1]), *shut(1, 1, (0, 0, 0, 0))],
    gates=(0.5, 0.5, 0.0, 0.5),
)
@example(
    call=[doubles([1]), doubles([1]), *shut(1, 1, (LOG3, 0, HALF_LOG3, -LOG3))],
    gates=(0.75, 0.5, 0.5, 0.25),
)
@example(
    call=[
        doubles([LOG3]),
        doubles([LOG3 / 2]),
        doubles([1], [0], [0], [-1]),
        doubles([0], [2], [1], [0]),
        doubles(0, 0, 0, 0),
        doubles(0, 0, 0, 0),
    ],
    gates=(0.75, 0.75, 0.5, 0.25),
)
def gives_the_worked_gates(student, call, gates):
    """Gives the gates of the worked examples."""
    for name, gate, right in zip(GATES, four_gates(student, call), gates, strict=True):
        expect_close(gate, doubles([right]), f"gate {name}")


@check(
    "lstm_gates",
    points=2,
    hint="Of 4H rows the first H belong to i, the next H to f, then g, then o.",
)
@example(step=STEP, gate=1, unit=2)
@example(step=STEP, gate=2, unit=0)
@given(step=steps(), gate=sizes(0, 3), unit=sizes(0, 2))
def each_gate_reads_its_own_rows(student, step, gate, unit):
    """Changing one row of the weights changes that unit of that gate, and nothing else."""
    x, h, _, *rest = step
    unit %= h.shape[1]
    before = four_gates(student, [x, h, *rest])
    row = gate * h.shape[1] + unit
    for number in (2, 3):  # the two biases; the rows of the matrices go with them
        changed = [weight.clone() for weight in rest]
        changed[number][row] += 1
        after = four_gates(student, [x, h, *changed])
        for k, (old, new) in enumerate(zip(before, after, strict=True)):
            moved = (new - old).abs() > TINY
            wanted = torch.zeros_like(moved)
            if k == gate:
                wanted[:, unit] = True
            expect(
                bool((moved == wanted).all()),
                f"row {row} of {NAMES[number]} grew by 1, unit {unit} of gate {GATES[gate]}"
                f" should move alone; look at gate {GATES[k]}",
                new,
                old,
            )


@check("lstm_gates", points=1, hint="σ(x) = 1/(1 + exp(−x)) lies in [0, 1]; tanh(x) in [−1, 1].")
@example(step=STEP, factor=1)
@example(step=STEP, factor=40)
@given(step=steps(), factor=sizes(1, 9))
def gates_stay_in_their_ranges(student, step, factor):
    """i, f and o lie in [0, 1] and g in [−1, 1], each [b, H], as symmetric as σ and tanh are."""
    x, h, _, *rest = step
    i, f, g, o = four_gates(student, [factor * x, factor * h, *rest])
    for name, gate in (("i", i), ("f", f), ("o", o)):
        expect(bool(((gate >= -TINY) & (gate <= 1 + TINY)).all()), f"{name} leaves [0, 1]", gate)
    expect(bool((g.abs() <= 1 + TINY).all()), "g leaves [−1, 1]", g)
    # Where everything but the matrices is negated, so is each sum: σ(−a) = 1 − σ(a).
    negated = [-factor * x, -factor * h, rest[0], rest[1], -rest[2], -rest[3]]
    other = four_gates(student, negated)
    for name, gate, opposite in zip(GATES, (i, f, g, o), other, strict=True):
        law = "g becomes −g" if name == "g" else f"{name} becomes 1 − {name}"
        right = -gate if name == "g" else 1 - gate
        expect_close(opposite, right, f"with x, h and the biases negated, {law}")


@check("lstm_gates", points=1, hint="W x + b_ih and U h + b_hh are added up, both with a bias.")
@example(step=STEP)
@given(step=steps())
def both_biases_count(student, step):
    """Moving a bias from bias_ih to bias_hh changes nothing; leaving it out does."""
    x, h, _, w_ih, w_hh, b_ih, b_hh = step
    before = four_gates(student, [x, h, w_ih, w_hh, b_ih + 1, b_hh])
    moved = four_gates(student, [x, h, w_ih, w_hh, b_ih, b_hh + 1])
    without = four_gates(student, [x, h, w_ih, w_hh, b_ih, b_hh])
    for name, old, new, less in zip(GATES, before, moved, without, strict=True):
        expect_close(new, old, f"gate {name} with 1 added to bias_hh instead of bias_ih")
        expect(bool((less < old).all()), f"gate {name} ignores both biases", less)


@check("lstm_gates", points=1, hint="Each row of x goes with the same row of h, and no other.")
@example(step=[torch.cat([t, -t, t]) if k < 3 else t for k, t in enumerate(STEP)])
@given(step=steps())
def rows_are_independent(student, step):
    """The gates of one row of x and h are those of that row alone."""
    x, h, _, *rest = step
    all_rows = four_gates(student, [x, h, *rest])
    alone = four_gates(student, [x[-1:], h[-1:], *rest])
    for name, gate, one in zip(GATES, all_rows, alone, strict=True):
        expect_close(gate[-1:], one, f"the last row of gate {name}")


# --- lstm_cell -----------------------------------------------------------------------------------


def next_state(student: Subject, step: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    """(h, c) after the step, each in the right shape."""
    x, h, c, *rest = step
    new_h, new_c = several(student.lstm_cell(x, (h, c), *rest), ("h", "c"))
    return like(new_h, h.shape), like(new_c, h.shape)


@check("lstm_cell", points=2, hint="c' = f∘c + i∘g first; then h' = o∘tanh(c').")
@example(biases=(0, 0, 0, 0), c=2.0, after=1.0)
@example(biases=(LOG3, -LOG3, HALF_LOG3, 0), c=4.0, after=1.375)
@example(biases=(-LOG3, LOG3, HALF_LOG3, LOG3), c=-2.0, after=-1.375)
def steps_the_worked_examples(student, biases, c, after):
    """Gives the worked examples: f·c + i·g, and o·tanh of that."""
    h, new_c = next_state(student, [doubles([1]), doubles([5]), doubles([c]), *shut(1, 1, biases)])
    expect_close(new_c, doubles([after]), "c")
    o = 1 / (1 + math.exp(-biases[3]))
    expect_close(h, doubles([o * math.tanh(after)]), "h")


@check("lstm_cell", points=2, hint="c is multiplied by f and by nothing else.")
@example(step=STEP)
@given(step=steps())
def keeps_what_it_should_not_forget(student, step):
    """With the forget gate saturated and the input gate shut, c is kept, however large it is."""
    x, h, c, w_ih, w_hh, b_ih, b_hh = step
    hidden = h.shape[1]
    b_ih = b_ih.clone()
    b_ih[:hidden], b_ih[hidden : 2 * hidden] = -1000, 1000
    _, kept = next_state(student, [x, h, 100 * c, w_ih, w_hh, b_ih, b_hh])
    expect_close(kept, 100 * c, "c")


@check("lstm_cell", points=1, hint="h' is o∘tanh(c'): neither factor exceeds 1.")
@example(step=STEP, factor=1)
@example(step=STEP, factor=100)
@given(step=steps(), factor=sizes(1, 50))
def shows_at_most_one(student, step, factor):
    """abs(h) ≤ 1 for every c, and h has the sign of the new c."""
    x, h, c, *rest = step
    new_h, new_c = next_state(student, [x, h, factor * c, *rest])
    expect(bool((new_h.abs() <= 1 + TINY).all()), "abs(h) exceeds 1", new_h)
    expect(
        bool((new_h * new_c >= -TINY).all()),
        "h = o·tanh(c), with the new c, has the sign of c",
        new_h,
    )


@check("lstm_cell", points=1, hint="With f shut, nothing of the old c is left.")
@example(step=STEP)
@given(step=steps())
def forgets_what_it_should(student, step):
    """With the forget gate shut, the next state is the same whatever c was."""
    x, h, c, w_ih, w_hh, b_ih, b_hh = step
    hidden = h.shape[1]
    b_ih = b_ih.clone()
    b_ih[hidden : 2 * hidden] = -1000
    first = next_state(student, [x, h, c, w_ih, w_hh, b_ih, b_hh])
    other = next_state(student, [x, h, 3 - c, w_ih, w_hh, b_ih, b_hh])
    expect_close(other[1], first[1], "c")
    expect_close(other[0], first[0], "h")


@check("lstm_cell", points=2, hint="The gates don't look at c: only f∘c does.")
@example(step=STEP)
@given(step=steps())
def is_affine_in_the_cell_state(student, step):
    """The new c grows with the old one along a line, whose slope is between 0 and 1."""
    x, h, c, *rest = step
    one, two, three = (
        next_state(student, [x, h, c + shift, *rest])[1] for shift in (0.0, 1.0, 3.0)
    )
    slope = two - one
    expect_close(three - one, 3 * slope, "c grew by 3, the new c by three times as much as for 1")
    expect(bool(((slope >= -TINY) & (slope <= 1 + TINY)).all()), "f is no share", slope)


# --- LSTM ----------------------------------------------------------------------------------------


def sequence(b: int, s: int, inputs: int, seed: int) -> torch.Tensor:
    """x[b, s, inputs]."""
    return eighths((b, s, inputs), seed)


@st.composite
def runs(draw: st.DrawFn) -> tuple[torch.Tensor, Tensors]:
    """(x[b, s, I], weights) of an LSTM."""
    b, s, inputs, hidden = (draw(sizes(1, k)) for k in (3, 5, 3, 3))
    x = draw(tensors((b, s, inputs), dtype=DOUBLE)) / 8
    return x, weights(inputs, hidden, draw(st.integers(1, 2**16)))


RUN = (sequence(3, 5, 2, 1), weights(2, 4, 2))  # b = 3, s = 5, I = 2, H = 4
Output = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def loaded(student: Subject, own: Tensors) -> StudentObject:
    """The student's LSTM in float64 with these weights."""
    model = student.LSTM.keep(own[0].shape[1], own[1].shape[1])
    model.double()
    model.load_state_dict(dict(zip(NAMES, own, strict=True)))
    return model


def three_parts(value: Any, x: torch.Tensor, hidden: int) -> Output:
    """(output, h, c) of (output, (h, c)), each in the right shape."""
    output, state = several(value, ("output", "(h, c)"))
    h, c = several(state, ("h", "c"))
    b, s, _ = x.shape
    return (
        like(output, (b, s, hidden), x.dtype),
        like(h, (b, hidden), x.dtype),
        like(c, (b, hidden), x.dtype),
    )


@check("LSTM", points=2, hint="Four nn.Parameters with the names and shapes of nn.LSTMCell.")
@example(inputs=3, hidden=5)
@example(inputs=4, hidden=1)
def has_the_parameters_of_a_cell(student, inputs, hidden):
    """Its parameters have the names and shapes of nn.LSTMCell, and its state dict loads."""
    model = student.LSTM.keep(inputs, hidden)
    state = model.state_dict()
    shapes = dict(zip(NAMES, weights(inputs, hidden, 1), strict=True))
    expect(isinstance(state, dict), "a state dict was expected", state)
    expect(set(state) == set(NAMES), f"the parameters should be {', '.join(NAMES)}", list(state))
    for name, right in shapes.items():
        expect_shape(state[name], right.shape)
    values = {name: weight.float() for name, weight in shapes.items()}
    model.load_state_dict(values)
    for name, value in model.state_dict().items():
        expect_close(value, values[name], f"{name}, after load_state_dict")


@check("LSTM", points=2, hint="Collect h after each step; stack the steps along dim=1.")
@example(run=RUN)
@given(run=runs())
def shows_h_after_each_step(student, run):
    """Returns (output[b, s, H], (h, c)); output ends in h, and begins as a run of one step does."""
    x, own = run
    hidden = own[1].shape[1]
    model = loaded(student, own)
    output, h, _ = three_parts(model(x), x, hidden)
    expect_close(output[:, -1], h, "the last output is h")
    first, one, _ = three_parts(model(x[:, :1]), x[:, :1], hidden)
    expect_close(first[:, 0], one, "the output of one step is its h")
    expect_close(output[:, :1], first, "the first output is that of the first step alone")
    expect(bool((output != 0).any()), "the output is zero everywhere", output)


@check(
    "LSTM",
    points=2,
    ahead=False,
    hint="Carry both h and c from one step to the next, and out at the end.",
)
@example(run=RUN, cut=2)
@example(run=RUN, cut=4)
@given(run=runs(), cut=sizes(1, 4))
def runs_in_two_halves_as_in_one(student, run, cut):
    """A sequence run in two parts, the state passed on, gives what it gives as a whole."""
    x, own = run
    hidden = own[1].shape[1]
    x = torch.cat([x, x.flip(1)], dim=1)  # at least two steps
    cut = min(cut, x.shape[1] - 1)
    before, after = x[:, :cut], x[:, cut:]
    model = loaded(student, own)
    whole, h, c = three_parts(model(x), x, hidden)
    first, h1, c1 = three_parts(model(before), before, hidden)
    second, h2, c2 = three_parts(model(after, (h1, c1)), after, hidden)
    expect_close(torch.cat([first, second], dim=1), whole, "the outputs of the two parts")
    expect_close(h2, h, "h at the end of the second part")
    expect_close(c2, c, "c at the end of the second part")
    expect(bool((whole != 0).any()), "the output is zero everywhere", whole)


@check("LSTM", points=2, hint="A sequence starts from zeros, not from where the last one ended.")
@example(run=RUN)
@given(run=runs())
def starts_from_zeros(student, run):
    """Without a state it starts from zeros, each time anew; and a state that is given counts."""
    x, own = run
    hidden = own[1].shape[1]
    model = loaded(student, own)
    zeros = torch.zeros(len(x), hidden, dtype=DOUBLE)
    given_, h, c = three_parts(model(x, (zeros, zeros)), x, hidden)
    for _ in range(2):
        output, h2, c2 = three_parts(model(x), x, hidden)
        expect_close(output, given_, "the output without a state")
        expect_close(h2, h, "h without a state")
        expect_close(c2, c, "c without a state")
    first = x[:, :1]
    _, _, c = three_parts(model(first), first, hidden)
    _, _, full = three_parts(model(first, state=(zeros, zeros + 5)), first, hidden)
    expect(bool((full > c).all()), "from a larger c, one step leads to a larger c", full, c)


LENGTHS = torch.tensor([3, 5, 1])


@st.composite
def ragged(draw: st.DrawFn) -> tuple[torch.Tensor, Tensors, torch.Tensor]:
    """(x, weights, lengths) of rows of unequal length."""
    x, own = draw(runs())
    b, s, _ = x.shape
    return x, own, torch.tensor([draw(st.integers(1, s)) for _ in range(b)])


@check("LSTM", points=2, hint="Where t ≥ lengths, keep the old h and c, and write 0 in the output.")
@example(run=(*RUN, LENGTHS))
@given(run=ragged())
def stops_at_each_rows_end(student, run):
    """With lengths, each row ends as if its sequence were that long; later outputs are 0, and
    later inputs don't matter."""
    x, own, lengths = run
    hidden = own[1].shape[1]
    model = loaded(student, own)
    output, h, c = three_parts(model(x, lengths=lengths), x, hidden)
    late = torch.arange(x.shape[1]) >= lengths[:, None]
    expect(bool((output[late] == 0).all()), "an output after the end of its row is not 0", output)
    changed = x.masked_fill(late[:, :, None], 7.0)
    again = three_parts(model(changed, lengths=lengths), x, hidden)
    for name, one, other in zip(("output", "h", "c"), (output, h, c), again, strict=True):
        expect_close(other, one, f"{name}, with other inputs after the ends")
    row = int(lengths.argmin())
    part = x[row : row + 1, : lengths[row]]
    alone, h1, c1 = three_parts(model(part), part, hidden)
    expect_close(output[row : row + 1, : lengths[row]], alone, f"the output of row {row}")
    expect_close(h[row : row + 1], h1, f"h of row {row}")
    expect_close(c[row : row + 1], c1, f"c of row {row}")


# --- clip_grad_norm ------------------------------------------------------------------------------


def clipped_and_norm(value: Any, grads: Tensors) -> tuple[Tensors, torch.Tensor]:
    """(clipped, total_norm), each in the right shape."""
    clipped, total = several(value, ("clipped", "total_norm"))
    expect(
        isinstance(clipped, list | tuple) and len(clipped) == len(grads),
        f"a list of {len(grads)} tensors was expected",
        clipped,
    )
    same = [like(c, g.shape, g.dtype) for c, g in zip(clipped, grads, strict=True)]
    return same, like(total, (), grads[0].dtype)


@st.composite
def gradients(draw: st.DrawFn) -> Tensors:
    """A list of gradients of one dtype, with a norm of at least 1."""
    shapes = draw(st.lists(st.lists(sizes(1, 3), max_size=3).map(tuple), min_size=1, max_size=4))
    return [draw(tensors(shape, low=1, dtype=DOUBLE)) for shape in shapes]


GRADS = [doubles([3, -4], [0, 1]), doubles(2, -5, 6), doubles(-7)[0]]


@check("clip_grad_norm", points=1, hint="One norm over all numbers of all the tensors.")
@example(grads=[doubles(3), doubles(4)], max_norm=1.0, clipped=[0.6, 0.8], total=5.0)
@example(grads=[doubles(3), doubles(4)], max_norm=10.0, clipped=[3.0, 4.0], total=5.0)
@example(grads=[doubles(-6), doubles(8)], max_norm=5.0, clipped=[-3.0, 4.0], total=10.0)
def clips_the_worked_examples(student, grads, max_norm, clipped, total):
    """Gives the worked examples: the norm before clipping, a tensor of no dimension, and the
    gradients after it."""
    found, norm = clipped_and_norm(student.clip_grad_norm(grads, max_norm), grads)
    expect_close(norm, doubles(total)[0], "total_norm")
    for gradient, right in zip(found, clipped, strict=True):
        expect_close(gradient, doubles(right), tolerance=1e-5)


@check("clip_grad_norm", points=1, hint="One factor for all: else the direction changes.")
@example(grads=GRADS, share=0.1)
@given(grads=gradients(), share=st.sampled_from((0.5, 0.1, 0.01)))
def keeps_the_direction(student, grads, share):
    """Above the bound, all gradients shrink by one factor, to a total norm of max_norm."""
    norm = math.sqrt(sum(float((g * g).sum()) for g in grads))
    found, _ = clipped_and_norm(student.clip_grad_norm(grads, share * norm), grads)
    for number, (gradient, before) in enumerate(zip(found, grads, strict=True)):
        expect_close(gradient, share * before, f"gradient {number}", tolerance=1e-5)


@check("clip_grad_norm", points=1, hint="The factor is min(1, max_norm / total_norm).")
@example(grads=GRADS, factor=3)
@example(grads=[doubles(3), doubles(4)], factor=1)
@given(grads=gradients(), factor=sizes(2, 9))
def leaves_small_gradients_alone(student, grads, factor):
    """At or below the bound, the gradients stay as they are."""
    norm = math.sqrt(sum(float((g * g).sum()) for g in grads))
    found, _ = clipped_and_norm(student.clip_grad_norm(grads, factor * norm), grads)
    for number, (gradient, before) in enumerate(zip(found, grads, strict=True)):
        expect_close(gradient, before, f"gradient {number}")


@check("clip_grad_norm", points=1, hint="Where the norm is 0, don't divide by it.")
@example(grads=[torch.zeros(2, 3, dtype=DOUBLE), torch.zeros(4, dtype=DOUBLE)])
@example(grads=[torch.zeros(1, dtype=DOUBLE)])
def zeros_stay_zeros(student, grads):
    """Gradients of zeros stay zeros, with a total norm of 0."""
    found, norm = clipped_and_norm(student.clip_grad_norm(grads, 1.0), grads)
    expect_close(norm, doubles(0)[0], "total_norm")
    for gradient, before in zip(found, grads, strict=True):
        expect_close(gradient, before)


# --- fit -----------------------------------------------------------------------------------------

Data = tuple[torch.Tensor, torch.Tensor]
Batches = list[torch.Tensor]


def rows(count: int, first: int, seed: int) -> Data:
    """(x[count, 2], y[count, 1]) in float64. Each row of x begins with its own number, and y is a
    multiple of that number and its neighbour, so that a row with another's y shows."""
    x = torch.stack([first + torch.arange(count, dtype=DOUBLE), eighths((count,), seed)], dim=1)
    return x / 64, 3 * x[:, :1] / 64 - x[:, 1:]


def fitted(
    student: Subject,
    train: Data,
    valid: Data,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    lr: float = 0.0,
    loss: str = "square",
) -> tuple[dict[str, list[float]], list[tuple[bool, torch.Tensor]], dict[str, torch.Tensor]]:
    """fit on a recorded linear layer: (what it returned, what the layer saw, the layer after)."""
    layer = student.fixtures.linear.keep(*LAYER)
    model = student.fixtures.recorder.keep(layer)
    optimizer = student.fixtures.sgd.keep(model, lr)
    loss_fn = student.fixtures.loss.keep(loss)
    generator = student.fixtures.generator.keep(seed)
    history = student.fit(model, train, valid, optimizer, loss_fn, epochs, batch_size, generator)
    seen = model.value_of("seen")
    return two_curves(history, epochs), seen, layer.state_dict()


LAYER = (doubles([0.5, -1.25]), doubles(0.75))  # weight, bias


def two_curves(history: Any, epochs: int) -> dict[str, list[float]]:
    """Fails unless history is {"train": [...], "valid": [...]} with one float an epoch."""
    expect(
        isinstance(history, dict) and set(history) == {"train", "valid"},
        'a dict with the keys "train" and "valid" was expected',
        history,
    )
    for name in ("train", "valid"):
        losses = history[name]
        expect(
            isinstance(losses, list) and len(losses) == epochs,
            f"{name} should be a list of {epochs} losses, one an epoch",
            losses,
        )
        expect(
            all(isinstance(loss, float) for loss in losses),
            f"{name} should hold floats: a tensor becomes one with .item()",
            losses,
        )
    curves: dict[str, list[float]] = history
    return curves


def epochs_of(seen: Any, train: Data, epochs: int) -> list[Batches]:
    """The batches of each epoch; fails unless each epoch shows every row of `train` once, in
    training mode."""
    x, _ = train
    n = len(x)
    batches = [b for training, b in seen if training]
    total = sum(len(batch) for batch in batches)
    expect(
        total == epochs * n,
        f"in training mode the model saw {total} rows in all, and {epochs} epochs of {n} rows"
        " were expected",
    )
    found: list[Batches] = []
    for _ in range(epochs):
        epoch: Batches = []
        while sum(len(batch) for batch in epoch) < n:
            epoch.append(batches.pop(0))
        together = torch.cat(epoch)
        expect_close(
            together[together[:, 0].argsort()],
            x[x[:, 0].argsort()],
            "the rows that the model saw in an epoch, sorted",
        )
        found.append(epoch)
    return found


def row_numbers(batch: torch.Tensor) -> list[int]:
    """The numbers of the rows in a batch."""
    return [round(64 * value) for value in batch[:, 0].tolist()]


@check("fit", points=2, hint="range(0, n, batch_size) starts a batch at each multiple, up to n.")
@example(n=7, batch_size=3, epochs=2)
@example(n=6, batch_size=2, epochs=1)
@given(n=sizes(1, 9), batch_size=sizes(1, 5), epochs=sizes(1, 3))
def shows_every_row_once_an_epoch(student, n, batch_size, epochs):
    """Each epoch shows the model every row once, in batches of batch_size; the last may be
    short."""
    train, valid = rows(n, 0, 1), rows(3, 100, 2)
    _, seen, _ = fitted(student, train, valid, epochs=epochs, batch_size=batch_size, seed=3)
    for epoch in epochs_of(seen, train, epochs):
        wanted = [batch_size] * (n // batch_size) + [n % batch_size] * (n % batch_size > 0)
        expect_equal([len(batch) for batch in epoch], wanted)


@check("fit", points=1, hint="model.train() before an epoch's batches, model.eval() after them.")
@example(epochs=1)
@example(epochs=3)
def trains_in_train_mode_and_validates_in_eval_mode(student, epochs):
    """The model sees the training rows in training mode and the validation rows in eval mode, and
    is left in training mode."""
    train, valid = rows(5, 0, 1), rows(3, 100, 2)
    layer = student.fixtures.linear.keep(*LAYER)
    model = student.fixtures.recorder.keep(layer)
    model.eval()
    optimizer = student.fixtures.sgd.keep(model, 0.1)
    loss_fn = student.fixtures.loss.keep("square")
    generator = student.fixtures.generator.keep(0)
    student.fit(model, train, valid, optimizer, loss_fn, epochs, 2, generator)
    seen = model.value_of("seen")
    for training, batch in seen:
        held_out = min(row_numbers(batch)) >= 100
        expect(
            training != held_out,
            f"the model saw the rows {row_numbers(batch)} in {'train' if training else 'eval'}"
            f" mode; they are {'validation' if held_out else 'training'} rows",
        )
    expect(any(not training for training, _ in seen), "the model never saw the validation rows")
    expect(model.value_of("training") is True, "the model is left in eval mode")


@check("fit", points=2, hint="A short batch counts for its rows: weight each loss by len(batch).")
@example(n=7, batch_size=3, epochs=2)
@example(n=4, batch_size=4, epochs=1)
@given(n=sizes(1, 9), batch_size=sizes(1, 5), epochs=sizes(1, 3))
def reports_the_mean_over_the_rows(student, n, batch_size, epochs):
    """With a learning rate of 0, train is the mean loss over all training rows in every epoch, and
    valid that over all validation rows."""
    train, valid = rows(n, 0, 1), rows(4, 100, 2)
    history, _, _ = fitted(student, train, valid, epochs=epochs, batch_size=batch_size, seed=1)
    weight, bias = LAYER
    for name, (x, y) in (("train", train), ("valid", valid)):
        loss = (x @ weight.T + bias - y).square().mean()
        expect_close(doubles(*history[name]), loss.expand(epochs), name)


@check("fit", points=1, hint="zero_grad, backward, step: once for each batch.")
@example(n=7, batch_size=3, epochs=2)
@example(n=4, batch_size=4, epochs=3)
@given(n=sizes(1, 9), batch_size=sizes(1, 5), epochs=sizes(1, 3))
def takes_one_step_a_batch(student, n, batch_size, epochs):
    """Where the loss has slope 1 in the bias, each batch moves the bias by the learning rate."""
    train, valid = rows(n, 0, 1), rows(3, 100, 2)
    _, _, after = fitted(
        student,
        train,
        valid,
        epochs=epochs,
        batch_size=batch_size,
        seed=1,
        lr=0.125,
        loss="difference",
    )
    steps = epochs * math.ceil(n / batch_size)
    expect(isinstance(after, dict) and "bias" in after, "the model lost its bias", after)
    expect_close(
        after["bias"],
        LAYER[1] - 0.125 * steps,
        f"the bias of the model after {steps} steps of 0.125",
    )


@check("fit", points=1, hint="torch.randperm(n, generator=generator), anew in each epoch.")
@example(epochs=3)
def shuffles_anew_in_each_epoch(student, epochs):
    """Each epoch has a new order of the rows, and another generator another one."""
    train, valid = rows(24, 0, 1), rows(3, 100, 2)
    orders = [list(range(24))]
    for seed in (1, 2):
        _, seen, _ = fitted(student, train, valid, epochs=epochs, batch_size=6, seed=seed)
        for epoch in epochs_of(seen, train, epochs):
            order = [number for batch in epoch for number in row_numbers(batch)]
            expect(order not in orders, "an order came twice, or is the order of the data", order)
            orders.append(order)


# --- EarlyStopping -------------------------------------------------------------------------------


def answers_of(student: Subject, losses: Sequence[float], *args: Any, **kwargs: Any) -> list[bool]:
    """What step says to each loss."""
    stopping = student.EarlyStopping.keep(*args, **kwargs)
    said = [stopping.step(loss) for loss in losses]
    for answer in said:
        expect(isinstance(answer, bool), "step should return True or False", answer)
    return said


def expect_stop_at_the_end(
    student: Subject, losses: Sequence[float], *args: Any, **kwargs: Any
) -> None:
    """Fails unless step says True to the last loss alone."""
    said = answers_of(student, losses, *args, **kwargs)
    wanted = [False] * (len(losses) - 1) + [True]
    expect(said == wanted, f"to the losses {list(losses)} step said {said}", said, wanted)


@check("EarlyStopping", points=2, hint="Count the calls since the last improvement.")
@example(losses=[3.0, 2.0, 2.0, 2.5], patience=2)
@example(losses=[1.0, 1.0], patience=1)
@example(losses=[5.0, 6.0, 4.0, 4.5, 4.25, 3.0, 3.5, 3.0, 9.0], patience=3)
@example(losses=[2.0, 1.0, 3.0, 2.0, 1.5], patience=3)
def stops_after_patience_losses_without_improvement(student, losses, patience):
    """Says True once `patience` losses in a row were not below the best, and not before."""
    expect_stop_at_the_end(student, losses, patience)


@check("EarlyStopping", points=1, hint="An improvement is a loss below best − min_delta.")
@example(losses=[3.0, 2.75, 2.5], patience=2, min_delta=0.5)
@example(losses=[3.0, 2.0, 1.5, 1.5], patience=2, min_delta=0.5)
@example(losses=[3.0, 2.75, 2.25, 2.0, 1.5, 1.5, 1.25], patience=2, min_delta=0.5)
def small_improvements_do_not_count(student, losses, patience, min_delta):
    """A loss that is below the best by min_delta or less is no improvement."""
    expect_stop_at_the_end(student, losses, patience, min_delta=min_delta)


@check("EarlyStopping", points=1, hint="Any comparison with NaN is False: ask math.isnan.")
@example(losses=[math.nan], patience=3)
@example(losses=[2.0, 1.0, math.nan], patience=5)
def stops_at_nan(student, losses, patience):
    """Says True to NaN at once."""
    expect_stop_at_the_end(student, losses, patience)


# --- forecast ------------------------------------------------------------------------------------


def forecast_of(
    student: Subject, history: torch.Tensor, steps: int, decay: float = 0.5, drift: float = 0.25
) -> torch.Tensor:
    """forecast with a model that remembers, in the right shape."""
    model = student.fixtures.remembering.keep(decay, drift)
    value = student.forecast(model, history, steps)
    return like(value, (len(history), steps, 1), history.dtype)


HISTORY = eighths((2, 3, 1), 1)
HISTORIES = tensors(st.tuples(sizes(1, 3), sizes(1, 4), st.just(1)), dtype=DOUBLE)


@check("forecast", points=1, hint="Append each prediction to the history, then ask again.")
@example(history=[[1, 2]], steps=3, decay=0.0, drift=1.0, values=[[2 + 2, 4 + 3, 7 + 4]])
@example(history=[[1, 2], [5, 0]], steps=2, decay=1.0, drift=0.0, values=[[3, 6], [5, 10]])
@example(history=[[4]], steps=2, decay=0.5, drift=0.0, values=[[4, 6]])
def forecasts_the_worked_examples(student, history, steps, decay, drift, values):
    """Gives the worked examples, for models that are sums over all the values so far."""
    found = forecast_of(student, doubles(*history)[:, :, None], steps, decay, drift)
    expect_close(found, doubles(*values)[:, :, None])


@check("forecast", points=1, hint="The history itself is not part of the result.")
@example(history=HISTORY, steps=3)
@given(history=HISTORIES, steps=sizes(1, 4))
def begins_with_the_one_step_prediction(student, history, steps):
    """The first value is the model's prediction from the history."""
    model = student.fixtures.remembering.keep(0.5, 0.25)
    first = model(history)
    value = student.forecast(model, history, steps)
    found = like(value, (len(history), steps, 1))
    expect_close(found[:, 0], first, "the first value")


@check("forecast", points=1, ahead=False, hint="What was predicted joins the history, at its end.")
@example(history=HISTORY, first=2, second=3)
@given(history=HISTORIES, first=sizes(1, 3), second=sizes(1, 3))
def steps_compose(student, history, first, second):
    """Forecasting on from a forecast is forecasting further."""
    whole = forecast_of(student, history, first + second)
    begun = forecast_of(student, history, first)
    rest = forecast_of(student, torch.cat([history, begun], dim=1), second)
    expect_close(begun, whole[:, :first], "the first values")
    expect_close(rest, whole[:, first:], "the values after them")


@check("forecast", points=1, hint="The history grows: nothing is dropped at its beginning.")
@example(history=HISTORY, steps=4)
@given(history=HISTORIES, steps=sizes(2, 4))
def the_history_grows(student, history, steps):
    """A model that counts what it reads answers s, s + 1, s + 2, ..., and one that adds it up
    doubles."""
    b, s, _ = history.shape
    still = torch.zeros_like(history)
    counted = forecast_of(student, still, steps, decay=0.0, drift=1.0)
    # decay 0 also repeats the last value, so that the counts add up.
    wanted = torch.arange(s, s + steps, dtype=DOUBLE).cumsum(0)
    expect_close(counted, wanted[None, :, None].expand(b, -1, -1), "a model that counts")
    total = history.sum(dim=1, keepdim=True)
    doubled = torch.cat([total * 2**k for k in range(steps)], dim=1)
    found = forecast_of(student, history, steps, decay=1.0, drift=0.0)
    expect_close(found, doubled, "a model that adds up all it reads")


# --- train_forecaster ----------------------------------------------------------------------------


def momentum(count: int, length: int, seed: int) -> torch.Tensor:
    """Prices [count, length] whose changes go on: each is 0.7 of the last one plus noise."""
    noise = torch.randn(count, length + 50, generator=torch.Generator().manual_seed(seed))
    change = [noise[:, 0]]
    for k in range(1, length + 50):
        change.append(0.7 * change[-1] + noise[:, k])
    return 100 + torch.stack(change[50:], dim=1).cumsum(dim=1)


def share_of_naive_error(model: Callable[[torch.Tensor], Any], series: torch.Tensor) -> float:
    """The mean squared error of the model's predictions from the 20th value on, over that of
    "tomorrow is like today"."""
    errors, naive = [], []
    for t in range(20, series.shape[1], 4):
        predicted = like(model(series[:, :t, None]), (len(series), 1), series.dtype)
        errors.append((predicted[:, 0] - series[:, t]).square().mean())
        naive.append((series[:, t - 1] - series[:, t]).square().mean())
    return float(torch.stack(errors).sum() / torch.stack(naive).sum())


def trained(student: Subject, series: torch.Tensor, seed: int) -> StudentObject:
    """The model that train_forecaster makes for these series, with 16 hidden units."""
    generator = student.fixtures.generator.keep(seed)
    return student.train_forecaster.keep(series, 16, generator)


MOMENTUM_BOUND = 0.7


@check(
    "train_forecaster",
    points=2,
    trains=True,
    hint="Predict the change rather than the price, in units of the typical change.",
)
@example(seed=1)
def beats_tomorrow_is_like_today(student, seed):
    """On new series whose changes go on, its squared error is at most 0.7 of the naive one."""
    model = trained(student, momentum(32, 80, seed), seed)
    share = share_of_naive_error(model, momentum(200, 80, seed + 100))
    expect(
        share <= MOMENTUM_BOUND,
        f"the squared error is {share:.2f} of that of predicting no change, and at most"
        f" {MOMENTUM_BOUND} was expected",
    )


@check(
    "train_forecaster",
    points=2,
    trains=True,
    hint="Scale inside the model: what it answers has the units of what it reads.",
)
@example(seed=2)
def predicts_in_the_series_own_units(student, seed):
    """model(x[b, s, 1]) is [b, 1] for one row or many, one step or many, near the last value."""
    series = 10 * momentum(32, 60, seed) + 1000  # levels near 2000, changes near 14
    model = trained(student, series, seed)
    for b, s in ((1, 1), (1, 7), (5, 1), (3, 60)):
        x = series[:b, :s, None]
        predicted = like(model(x), (b, 1), series.dtype)
        far = float((predicted - x[:, -1]).abs().max())
        expect(
            far < 200,
            f"for {s} values near {float(x.mean()):.0f}, with changes of about 14, a prediction"
            f" is {far:.0f} away from the last value",
            predicted,
        )


# --- quiz ----------------------------------------------------------------------------------------

QUESTIONS = ("gate", "learning_curve")


@check("quiz", points=2, hint="For example: quiz = {'gate': 'D', ...}.")
def has_a_letter_for_each_question(student):
    """quiz has the keys gate and learning_curve, each with one of the letters A to D."""
    expect_letters(student, QUESTIONS)
