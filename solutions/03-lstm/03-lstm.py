# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · A memory with gates: the LSTM
#
# **The goal:** you build a Long Short-Term Memory network from its four gates, write the loop that trains it, and let it forecast prices it has never seen.
#
# Run the next cell for a picture of the task. The last experiment of this notebook draws it again, with the forecast of your own model in it.

# %% tags=["experiment"]
import math

import torch

from gradus import plots


def seasonal_prices(count: int, length: int, seed: int) -> torch.Tensor:
    """Prices [count, length] that go up and down in 12 steps, each row with its own phase."""
    rng = torch.Generator().manual_seed(seed)
    phase = 12 * torch.rand(count, 1, generator=rng)
    noise = torch.randn(count, length, generator=rng)
    return 50 + 10 * (2 * math.pi / 12 * (torch.arange(length) + phase)).sin() + noise


prices = seasonal_prices(1, 72, seed=7)[0]
figure = plots.forecasts(prices, {"tomorrow is like today": prices[47].expand(24)}, start=48)

# %% [markdown]
# **You should see** a black line, a price that goes up and down six times between 40 and 60. In the grey part on the right, the last 24 steps, a flat line: the forecast that tomorrow will be like today. It is right on average and wrong nearly everywhere. Your model should follow the waves.
#
# ## What you will be able to do
#
# - **implement** the four gates and the cell of an LSTM, and **explain** what each gate is for;
# - **run** sequences of unequal length through it in one batch;
# - **write** a training loop with a validation curve, gradient clipping and early stopping, and **name** the mistakes that such loops hide;
# - **forecast** a series many steps ahead, and **compare** with the forecast that costs nothing.
#
# **What to know before:** matrix products, sigmoid and tanh; what a gradient and an optimizer step are; Python classes, and `nn.Module` with `nn.Parameter`.
#
# ## What there is to do
#
# | | exercise | points | minutes |
# |---|---|---:|---:|
# | 1 | `lstm_gates` | 14 | 15 |
# | 2 | `lstm_cell` | 16 | 15 |
# | 3 | `LSTM` | 20 | 30 |
# | 4 | `clip_grad_norm` | 8 | 10 |
# | 5 | `fit` | 14 | 25 |
# | 6 | `EarlyStopping` | 8 | 10 |
# | 7 | `forecast` | 8 | 10 |
# | 8 | `train_forecaster` | 8 | 25 |
# | 9 | `quiz` | 4 | 5 |
# | | **total** | **100** | **145** |
#
# Finished, the whole notebook runs offline on a laptop in about 30 seconds. No GPU, no download.
#
# ## How it works
#
# Below each exercise a cell `check("...")` tells you at once which properties hold, and shows the smallest call where one does not. It runs some of the checks; grading runs those and more of the same kind. The docstring says everything that is asked for. In the calls that a check shows, `fixtures.something(...)` makes a small known model, optimizer or generator; `from autograder import fixtures` gives them to you. Hints are folded: open one level at a time. Cells that only draw something are not graded.
#
# Four rules hold for **every function and module here that takes tensors**:
#
# 1. It works in float32 and in float64 and on any device. What it returns has the dtype and device of its input. So make new tensors with `x.new_zeros(...)`, not on the default device.
# 2. It takes strided inputs, such as a transposed or sliced tensor. `reshape` copes with them where `view` raises an error.
# 3. It leaves its inputs as they were.
# 4. Gradients flow through it, to every floating-point input and parameter (the two training loops are the exception).
#
# Randomness is explicit: a function that draws is given a `torch.Generator` and draws from nothing else. Only the first weights of a new module may come from torch's global generator, because torch's layers can't do otherwise.
#
# Sizes are at least 1, inputs are finite. Shapes are written b batch, s time steps, I inputs, H hidden units. An exercise may use the earlier ones: if an earlier one is still wrong, a correct one stands in for it when this one is graded.
#
# Run the next cell first.

# %%
import math
from collections.abc import Callable

import torch
from torch import nn

from autograder.notebook import checks_of
from gradus.training import random_rows, seeded

check = checks_of("03-lstm")

# %% [markdown]
# ## 1. Four gates
#
# A plain recurrent network rewrites its whole memory at every step: h' = tanh(W x + U h + b). After twenty steps little of the first input is left, and the gradient that should teach the network about it has been multiplied by twenty matrices. It vanishes or explodes.
#
# An LSTM (Hochreiter and Schmidhuber, 1997) keeps a second memory, the **cell state** c, and changes it only by gates. A gate is a number between 0, shut, and 1, open, for each hidden unit. The **input gate** i says how much of the new is stored; the **forget gate** f how much of the old is kept; the **output gate** o how much of the memory is shown. What may be stored is the **cell candidate** g, between −1 and 1.
#
# $$ i = \sigma(W_i x + b_i + U_i h + b'_i) \qquad f = \sigma(W_f x + b_f + U_f h + b'_f) $$
# $$ g = \tanh(W_g x + b_g + U_g h + b'_g) \qquad o = \sigma(W_o x + b_o + U_o h + b'_o) $$
#
# | symbol | meaning | in the code |
# |---|---|---|
# | x | the input of this step | `x[b, I]` |
# | h | what the cell showed one step earlier | `h[b, H]` |
# | W_i, W_f, W_g, W_o | weights of the input, H rows each, one above the other | `weight_ih[4H, I]` |
# | U_i, U_f, U_g, U_o | weights of h, in the same order | `weight_hh[4H, H]` |
# | b, b' | two biases a gate, in the same order | `bias_ih[4H]`, `bias_hh[4H]` |
# | σ | the sigmoid, 1/(1 + exp(−a)) | `torch.sigmoid` |
#
# **In words:** all four are the same thing, a linear map of x and of h; only the last function differs. That is why the weights are stored in one piece, in the order **i, f, g, o**, as torch does. (Two biases are one too many; torch has them for the sake of a fast library, and so do we, so that weights can be exchanged.)
#
# **By hand:** one input, one unit, x = ln 3, all weights of h and all biases 0. Let the four rows of `weight_ih` be 1, 0, ½, −1. The sums are ln 3, 0, ½ ln 3, −ln 3, so i = ¾, f = ½, g = ½, o = ¼.
#
# ### Exercise 1: `lstm_gates`


# %% exercise="lstm_gates"
def lstm_gates(
    x: torch.Tensor,
    h: torch.Tensor,
    weight_ih: torch.Tensor,
    weight_hh: torch.Tensor,
    bias_ih: torch.Tensor,
    bias_hh: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The input gate, forget gate, cell candidate and output gate, after their nonlinearities.

    x: [b, I]; h: [b, H]; weight_ih: [4H, I]; weight_hh: [4H, H]; bias_ih, bias_hh: [4H]. The rows
    of the weights and biases belong to i, f, g, o, H rows each.
    Returns (i, f, g, o), each [b, H]: i, f, o in [0, 1], g in [−1, 1]. Where the sums are as large
    as ±10,000 the gates are 0 or 1 (g −1 or 1), and their gradients are finite.
    """
    ### BEGIN SOLUTION
    rows = nn.functional.linear(x, weight_ih, bias_ih) + nn.functional.linear(h, weight_hh, bias_hh)
    i, f, g, o = rows.chunk(4, dim=1)
    return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    ### END SOLUTION


# %% check="lstm_gates"
check("lstm_gates")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Compute all 4H sums at once, [b, 4H], then cut them into four.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# x Wᵀ + b + h Uᵀ + b' has the shape [b, 4H]. Columns 0 to H − 1 belong to i.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# sums = linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh)
# cut sums into four blocks of H columns
# sigmoid of the first, second and fourth; tanh of the third
# ```
#
# </details>
#
# **Something to look at:** one unit whose four gates all see the same sum.

# %% tags=["experiment"]
with plots.when_finished():
    sums = torch.linspace(-6, 6, 61)[:, None]
    i, f, g, o = lstm_gates(
        sums,
        torch.zeros(61, 1),
        torch.ones(4, 1),
        torch.zeros(4, 1),
        torch.zeros(4),
        torch.zeros(4),
    )
    figure = plots.curves(
        {"i, f and o: sigmoid": i[:, 0], "g: tanh": g[:, 0]},
        x=sums[:, 0],
        xlabel="sum",
        ylabel="gate",
    )

# %% [markdown]
# **You should see** two S-shaped curves. The sigmoid climbs from 0 to 1 and is ½ at 0. The tanh climbs twice as steeply from −1 to 1 and is 0 at 0.
#
# ## 2. One step of the cell
#
# Now the gates do their work.
#
# $$ c' = f \circ c + i \circ g \qquad\qquad h' = o \circ \tanh(c') $$
#
# Here ∘ multiplies number by number; c and h are the old state, c' and h' the new one, all [b, H].
#
# **In words:** keep a share f of the old memory and add a share i of the candidate. Show a share o of the result, squeezed into [−1, 1]. Note what is missing: no matrix stands before c. Where f = 1 and i = 0 the memory passes unchanged, and so does the gradient on its way back. Hochreiter and Schmidhuber called this the constant error carousel.
#
# **By hand:** c = 4, f = ¼, i = ¾, g = ½, o = ½. Then c' = 1 + 0.375 = 1.375 and h' = ½ tanh(1.375) = 0.44.
#
# ### Exercise 2: `lstm_cell`
#
# From here to exercise 3, torch's own LSTM and LSTMCell are not allowed, under any name.


# %% exercise="lstm_cell"
def lstm_cell(
    x: torch.Tensor,
    state: tuple[torch.Tensor, torch.Tensor],
    weight_ih: torch.Tensor,
    weight_hh: torch.Tensor,
    bias_ih: torch.Tensor,
    bias_hh: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step in time: the next state (h, c), each [b, H].

    x: [b, I]; state: (h, c), each [b, H]; the weights and biases as in lstm_gates.
    """
    ### BEGIN SOLUTION
    h, c = state
    i, f, g, o = lstm_gates(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    c = f * c + i * g
    return o * c.tanh(), c
    ### END SOLUTION


# %% check="lstm_cell"
check("lstm_cell")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Unpack the state, ask `lstm_gates`, and write the two formulas down.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# The gates come from x and the old h. The new h comes from the new c.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# h, c = state
# i, f, g, o = the gates of x and h
# new c = f times c, plus i times g
# new h = o times tanh of the new c
# ```
#
# </details>
#
# **Something to look at:** one unit that is told what to do. x has three numbers: the first opens the input gate, the second the output gate, the third shuts the forget gate. It is told to store at step 5, to show at steps 20, 35 and 50, and to forget at step 45.

# %% tags=["experiment"]
with plots.when_finished():
    told = torch.zeros(60, 3)
    told[5, 0] = told[20, 1] = told[35, 1] = told[50, 1] = told[45, 2] = 1
    weight_ih = torch.tensor([[12.0, 0, 0], [0, 0, -12.0], [4.0, 0, 0], [0, 12.0, 0]])
    weights = [weight_ih, torch.zeros(4, 1), torch.tensor([-6.0, 6.0, 0.0, -6.0]), torch.zeros(4)]
    h, c = torch.zeros(1, 1), torch.zeros(1, 1)
    strips = {name: [] for name in ("input gate", "forget gate", "output gate", "c", "h")}
    for x in told[:, None]:
        i, f, _, o = lstm_gates(x, h, *weights)
        h, c = lstm_cell(x, (h, c), *weights)
        for strip, value in zip(strips.values(), (i, f, o, c, h), strict=True):
            strip.append(value.item())
    figure = plots.over_time({"x": told, **strips})

# %% [markdown]
# **You should see** six strips, dark for 0 and bright for 1. On top what the unit is told. The input gate opens once; the forget gate stays open but for one step. So c is bright from step 5 to 44, fading a little, while h lights up, to tanh c ≈ 0.7, at steps 20 and 35 alone: at step 50 the output gate opens again, and there is nothing left to show.
#
# ### Predict, then run: how long does it remember?
#
# One unit sees a single 1 at step 5 and zeros afterwards. Its input gate opens for that 1. In the three cells only the bias of the forget gate differs: 0, 2 and 6, so f = 0.5, 0.88 and 0.998. After how many steps is half of the memory gone? Predict, then run.

# %% tags=["experiment"]
with plots.when_finished():
    traces = {}
    for forget_bias in (0.0, 2.0, 6.0):
        weight_ih = torch.tensor([[12.0], [0.0], [4.0], [0.0]])
        biases = torch.tensor([-6.0, forget_bias, 0.0, 6.0])
        state, memory = (torch.zeros(1, 1), torch.zeros(1, 1)), []
        for t in range(60):
            x = torch.full((1, 1), float(t == 5))
            state = lstm_cell(x, state, weight_ih, torch.zeros(4, 1), biases, torch.zeros(4))
            memory.append(state[1].item())
        traces[f"forget bias {forget_bias:g}"] = torch.tensor(memory)
    figure = plots.curves(traces, x=torch.arange(60), xlabel="time", ylabel="cell state c")

# %% [markdown]
# **You should see** three curves that jump to 1 at the same step. With bias 0 the memory is halved at every step and gone after five. With bias 2 half of it is gone after five or six steps. With bias 6 it is still above 0.85 at the end.
#
# <details><summary>Why</summary>
#
# Without input, c' = f c: after k steps f^k is left. Half of it is gone after ln ½ / ln f steps: 1, 5.5, and 280. So a new LSTM forgets quickly, and many start the bias of the forget gate at 1 (Jozefowicz et al., 2015).
#
# </details>
#
# ## 3. A whole sequence
#
# The module keeps the four weights and carries the state from step to step. It should be possible to stop anywhere and go on later, which is why it takes a state and returns one.
#
# Rows of a batch may have different lengths: then the shorter ones are filled up with anything, and `lengths` says where each row ends. From there on its state **stands still**, its output is 0, and its inputs are not looked at. So h and c of each row are what its own sequence has left, and a longer neighbour changes nothing.
#
# | | shape | meaning |
# |---|---|---|
# | `x` | [b, s, I] | inputs, batch first |
# | `state` | ([b, H], [b, H]) or None | (h, c) before the first step; None means zeros |
# | `lengths` | int64 [b] or None | steps that count in each row, 1 to s; None means all |
# | output | [b, s, H] | h after each step |
# | (h, c) | ([b, H], [b, H]) | the state after each row's last step |
#
# ### Exercise 3: `LSTM`
#
# Which numbers the parameters start with is up to you; torch draws them uniformly from ±1/√H.


# %% exercise="LSTM"
class LSTM(nn.Module):
    """A sequence through an LSTM cell, step by step.

    Parameters: weight_ih[4H, I], weight_hh[4H, H], bias_ih[4H] and bias_hh[4H], and no others: the
    names and shapes of torch.nn.LSTMCell, so that each loads the other's state dict.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.hidden_size = hidden_size

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter((2 * torch.rand(shape) - 1) / math.sqrt(hidden_size))

        self.weight_ih = parameter(4 * hidden_size, input_size)
        self.weight_hh = parameter(4 * hidden_size, hidden_size)
        self.bias_ih = parameter(4 * hidden_size)
        self.bias_hh = parameter(4 * hidden_size)
        ### END SOLUTION

    def forward(
        self,
        x: torch.Tensor,
        state: tuple[torch.Tensor, torch.Tensor] | None = None,
        lengths: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """(output[b, s, H], (h[b, H], c[b, H])) for x[b, s, I].

        output holds h after each step. Without a state it starts from zeros, at every call. With
        lengths (int64 [b], each from 1 to s) the state of a row stands still after that many
        steps, its later outputs are 0, and its later inputs don't matter.
        """
        ### BEGIN SOLUTION
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
        ### END SOLUTION


# %% check="LSTM"
check("LSTM")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# A loop over the steps, with h and c as variables that change. Write it without `lengths` first: eight of the ten points of the check need no more.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# With m = 1 where step t < length and 0 elsewhere: h ← m·h' + (1 − m)·h, the same for c, and the output is m·h'. `torch.where` says it more plainly.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# h, c = state, or zeros [b, H] like x
# for t in 0 .. s-1:
#     new_h, new_c = one step of the cell from x[:, t] and (h, c)
#     if there are lengths:
#         on = (t < lengths) as a column [b, 1]
#         h, c = where(on, new_h, h), where(on, new_c, c)
#         output of step t = where(on, new_h, 0)
#     else:
#         h, c = new_h, new_c;  output of step t = h
# stack the outputs along dim 1
# ```
#
# </details>
#
# **Something to look at:** an untrained LSTM with eight units reads a wave. Two rows, the second of which ends after 20 of 40 steps.

# %% tags=["experiment"]
with plots.when_finished():
    with seeded(torch.Generator().manual_seed(0)):
        model = LSTM(1, 8)
    wave = torch.sin(torch.arange(40) / 3).expand(2, 40)[:, :, None]
    with torch.no_grad():
        output, _ = model(wave, lengths=torch.tensor([40, 20]))
    figure = plots.over_time({"x": wave[0, :, 0], "row 0": output[0], "row 1": output[1]})

# %% [markdown]
# **You should see** three strips. On top the wave. In the middle eight rows, the units of row 0, which follow the wave to the end, some with it and some against it, and one that hardly moves. At the bottom the same until step 19, then white: zeros.
#
# ### Predict, then run: how far back does the gradient reach?
#
# A loss looks at the last of 60 steps. How large is its gradient with respect to the input at each earlier step? Three LSTMs, with 0, 1 and 4 added to the bias of the forget gate. Predict the order of the three curves and their shape on a logarithmic axis. Then run.

# %% tags=["experiment"]
with plots.when_finished():
    lines = {}
    for extra in (0.0, 1.0, 4.0):
        with seeded(torch.Generator().manual_seed(1)):
            model = LSTM(1, 16)
        with torch.no_grad():
            model.bias_ih[16:32] += extra
        x = torch.randn(8, 60, 1, generator=torch.Generator().manual_seed(2)).requires_grad_()
        output, _ = model(x)
        output[:, -1].sum().backward()
        lines[f"forget bias + {extra:g}"] = x.grad[:, :, 0].abs().mean(dim=0)
    figure = plots.curves(
        lines,
        x=torch.arange(60),
        xlabel="step of the input",
        ylabel="size of the gradient",
        log=True,
    )

# %% [markdown]
# **You should see** three lines that are nearly straight. The first climbs by ten orders of magnitude or more from the first step to the last, the second by four, and the third is nearly flat.
#
# <details><summary>Why</summary>
#
# On its way back through c the gradient is multiplied by f at every step: 60 factors of ½ are 10⁻¹⁸, 60 factors of 0.98 are 0.3. (The way through h adds a little, so the first line is not quite that steep.) A straight line on a logarithmic axis is a constant factor a step.
#
# </details>
#
# ## 4. When the gradient explodes
#
# The way back through h has matrices in it, and their product can also grow. One such step throws the weights far away, and hours of training are lost. The cure is crude and works (Pascanu, Mikolov and Bengio, 2013): where the gradient is longer than a bound, shorten it to the bound.
#
# $$ \text{total} = \sqrt{\sum_k \lVert g_k \rVert^2} \qquad\qquad g_k \leftarrow g_k \cdot \min\left(1, \frac{\text{max\_norm}}{\text{total}}\right) $$
#
# The sum goes over all tensors g_k, so there is **one** norm and one factor. If each tensor were clipped by itself, the direction would change.
#
# **By hand:** the gradients [3] and [4] have the norm 5. With max_norm = 1 they become [0.6] and [0.8].
#
# ### Exercise 4: `clip_grad_norm`


# %% exercise="clip_grad_norm"
def clip_grad_norm(
    grads: list[torch.Tensor], max_norm: float
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Gradients scaled down together, so that their common 2-norm is at most max_norm.

    grads: tensors of any shapes and one dtype, at least one; max_norm > 0.
    Returns (clipped, total_norm): a list of tensors of the same shapes, and the norm before
    clipping, a tensor of no dimension. At or below the bound the gradients keep their values;
    zeros stay zeros. `grads` and its tensors stay as they were. Gradients flow through the clipped
    tensors and through the norm. (Adding 1e-6 to the norm that you divide by, as torch does, is
    fine.)
    """
    ### BEGIN SOLUTION
    total = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in grads]))
    divisor = (total / max_norm).clamp(min=1)
    return [grad / divisor for grad in grads], total
    ### END SOLUTION


# %% check="clip_grad_norm"
check("clip_grad_norm")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# First the norm of everything, then one factor for everything.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# The norm of the norms is the norm of the whole. Dividing by max(1, total / max_norm) never divides by zero.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# total = norm of the stack of the norms of all grads
# divisor = total / max_norm, but at least 1
# clipped = each grad / divisor, a new tensor
# ```
#
# </details>
#
# **Something to look at:** gradients of growing length, and what is left of them.

# %% tags=["experiment"]
with plots.when_finished():
    lengths = torch.linspace(0, 4, 41)
    clipped = [clip_grad_norm([length * torch.tensor([0.6, 0.8])], 1.5)[0][0] for length in lengths]
    figure = plots.curves(
        {"before": lengths, "after, max_norm = 1.5": torch.stack(clipped).norm(dim=1)},
        x=lengths,
        xlabel="norm of the gradient",
        ylabel="norm",
    )

# %% [markdown]
# **You should see** a diagonal, and a second line that lies on it up to 1.5 and is flat from there on.
#
# ## 5. The training loop
#
# Every network of this course is trained by the same few lines. They are easy to get almost right: training then works, only worse, and nobody notices. So this loop is an exercise.
#
# One **epoch** shows the model every training row once. The rows come in a new random order, cut into **batches**. For each batch: predict, compute the loss, clear the old gradients, go backward, take one step. After the epoch the loss on **validation** rows, from which nothing is learnt, says how the model does on data it was not trained on. The two losses over the epochs are the **learning curve**.
#
# Three things go wrong most often:
#
# - **The mean of the batch losses is not the mean over the rows** where the last batch is short. Seven rows in batches of three: the last batch holds one row, and its loss must count one seventh, not one third.
# - **Modes.** Dropout and batch normalisation behave differently while training (`model.train()`) and while evaluating (`model.eval()`). Batch normalisation even learns from whatever it sees in train mode.
# - **Old gradients.** `backward` adds to what is there.
#
# | argument | |
# |---|---|
# | `model`, `optimizer` | the optimizer holds the model's parameters |
# | `train`, `valid` | pairs (x, y) of tensors with a row for each example |
# | `loss_fn` | `loss_fn(model(x), y)`: the mean over a batch, a scalar |
# | `generator` | the only source of randomness |
#
# ### Exercise 5: `fit`


# %% exercise="fit"
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
    """Trains the model; returns {"train": [...], "valid": [...]}, one float an epoch in each.

    An epoch takes one optimizer step for each batch of batch_size rows; the last batch may be
    short. Every row comes once an epoch, in train mode, in an order drawn anew with `generator`
    (and nothing else: the same generator state gives the same result). Gradients that are there
    before don't count.

    "train": the mean over the rows of the losses that the batches had before their step.
    "valid": the mean loss over the validation rows after the epoch, in eval mode. Validation
    changes nothing. The model is left in train mode, the data as they were.
    """
    ### BEGIN SOLUTION
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
        with torch.inference_mode():
            history["valid"].append(loss_fn(model(valid[0]), valid[1]).item())
    model.train()
    return history
    ### END SOLUTION


# %% check="fit"
check("fit")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Two loops: epochs, and inside them batches of a shuffled list of row numbers.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# `torch.randperm(n, generator=generator)` is a random order; its slices of batch_size are the batches. The mean over the rows is Σ (loss · rows of the batch) / n.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# for each epoch:
#     train mode
#     order = a new random order of the rows
#     for each slice of batch_size row numbers:
#         loss of these rows
#         clear gradients, backward, step
#         add loss × number of rows to a sum
#     append sum / n to history["train"]
#     eval mode, without gradients: append the loss on valid to history["valid"]
# train mode
# ```
#
# </details>
#
# ### Predict, then run: twenty examples and too many weights
#
# Twenty noisy points of a sine curve for training, two hundred others for validation, and a network of 64 hidden units. It is trained for 600 epochs. What will the two curves look like? Will both end at the same height? Predict, then run.

# %% tags=["experiment"]
with plots.when_finished():
    rng = torch.Generator().manual_seed(0)
    x = 6 * torch.rand(220, 1, generator=rng) - 3
    y = (2 * x).sin() + 0.3 * torch.randn(220, 1, generator=rng)
    with seeded(rng):
        model = nn.Sequential(
            nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
        )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    history = fit(model, (x[:20], y[:20]), (x[20:], y[20:]), optimizer, nn.MSELoss(), 600, 10, rng)
    figure = plots.curves(history, log=True)

# %% [markdown]
# **You should see** both curves fall together for about twenty epochs. Then the training curve goes on falling, with jitter, to a tenth of the validation curve, which has turned and risen a little. The gap is what was learnt by heart.
#
# ## 6. Stop when it gets no better
#
# The best model of that run was an early one. **Early stopping** watches the validation loss and ends training when it has not improved for a while.
#
# - An **improvement** is a loss below best − min_delta. Then that loss becomes the best, and the waiting starts over. At first the best is infinity.
# - After `patience` losses in a row that were none, stop.
# - A loss of NaN never improves again: stop at once.
#
# **By hand:** patience 2, min_delta 0.5, losses 3, 2.75, 2.25, 2.0, 1.9. The first is an improvement (below infinity). 2.75 is not below 2.5: wait. 2.25 is: best = 2.25. 2.0 and 1.9 are not below 1.75: stop at 1.9. Small steps count once they add up, because best stays where the last improvement was.
#
# ### Exercise 6: `EarlyStopping`


# %% exercise="EarlyStopping"
class EarlyStopping:
    """Says when to stop: after `patience` ≥ 1 losses in a row without an improvement.

    An improvement is a loss below best − min_delta, where best is the last improvement (at first
    infinity).
    """

    def __init__(self, patience: int, min_delta: float = 0.0) -> None:
        ### BEGIN SOLUTION
        self.patience = patience
        self.min_delta = min_delta
        self.best = math.inf
        self.waited = 0
        ### END SOLUTION

    def step(self, loss: float) -> bool:
        """Takes the next loss, any float. True to stop, at once where the loss is NaN, else False."""
        ### BEGIN SOLUTION
        if loss < self.best - self.min_delta:
            self.best = loss
            self.waited = 0
        else:
            self.waited += 1
        return self.waited >= self.patience or math.isnan(loss)
        ### END SOLUTION


# %% check="EarlyStopping"
check("EarlyStopping")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Two numbers to remember: the best loss, and how many calls ago it was.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# waited = 0 after an improvement, else waited + 1. Stop where waited ≥ patience.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# if loss is below best − min_delta:  best = loss, waited = 0
# else:                               waited grows by 1
# return whether waited reached patience, or the loss is NaN
# ```
#
# </details>
#
# **Something to look at:** where it would have stopped the run above, with a patience of 60 epochs.

# %% tags=["experiment"]
with plots.when_finished():
    stopping = EarlyStopping(patience=60)
    stop = next((n for n, loss in enumerate(history["valid"], 1) if stopping.step(loss)), 600)
    figure = plots.curves(history, log=True, marks={"stop": stop})

# %% [markdown]
# **You should see** the same two curves with a vertical line near the left, 60 epochs after the lowest point that the validation curve had reached by then. In practice you also keep the weights of the best epoch.
#
# ## 7. Forecasting step by step
#
# A model that predicts one step can predict many: append its prediction to what it has read, and ask again. Such a forecast is called **autoregressive**. Errors add up, since each prediction rests on the ones before.
#
# $$ \hat x_{s+1} = m(x_1, …, x_s) \qquad \hat x_{s+2} = m(x_1, …, x_s, \hat x_{s+1}) \qquad … $$
#
# **By hand:** a model that answers with the sum of all it reads, and the history 1, 2. It predicts 3, then 1 + 2 + 3 = 6, then 12.
#
# ### Exercise 7: `forecast`


# %% exercise="forecast"
def forecast(
    model: Callable[[torch.Tensor], torch.Tensor], history: torch.Tensor, steps: int
) -> torch.Tensor:
    """The next `steps` values after history[b, s, 1], each predicted from all values so far.

    model maps [b, any length, 1] to the next value, [b, 1]; steps ≥ 1. The history grows by each
    prediction, and nothing is dropped at its beginning. Returns [b, steps, 1], the predictions
    alone. Gradients flow through all steps, to the history and to the model.
    """
    ### BEGIN SOLUTION
    series = history
    for _ in range(steps):
        series = torch.cat([series, model(series)[:, None]], dim=1)
    return series[:, history.shape[1] :]
    ### END SOLUTION


# %% check="forecast"
check("forecast")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# A loop that makes the series one value longer each time.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# The prediction has the shape [b, 1]; to be appended along dim 1 it needs the shape [b, 1, 1].
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# series = history
# repeat steps times:
#     series = series with model(series) appended along dim 1
# return what comes after the history
# ```
#
# </details>
#
# **Something to look at:** a model that needs no training. A wave follows its last two values: x' = 2 cos(ω) x − x_before. With ω a little wrong, what becomes of the forecast?

# %% tags=["experiment"]
with plots.when_finished():
    wave = torch.sin(2 * math.pi / 12 * torch.arange(60.0))

    def wave_model(period: float) -> Callable[[torch.Tensor], torch.Tensor]:
        """The next value of a wave of this period, from the last two."""
        return lambda x: 2 * math.cos(2 * math.pi / period) * x[:, -1] - x[:, -2]

    lines = {
        f"period {period:g}": forecast(wave_model(period), wave[None, :24, None], 36)[0, :, 0]
        for period in (12.0, 12.5)
    }
    figure = plots.forecasts(wave, lines, start=24, ylabel="x")

# %% [markdown]
# **You should see** a black wave. In the grey part the line of period 12 lies exactly on it; that of period 12.5 starts well and falls behind, a little more with every turn.
#
# ## 8. Train a forecaster
#
# Now all of it together. Given many series of one process, [b, t], make a model that predicts the next value of a series of the same kind that it has never seen, from however many values there are.
#
# The forecast to beat is "**tomorrow is like today**". It is hard to beat by much for real prices. Ours come from three processes where it can be done: **momentum** (changes tend to go on), **mean reversion** (prices tend to come back), and **season** (up and down in twelve steps, faster up than down).
#
# Two things decide, and neither is the network:
#
# - **Units.** A price of 2,000 that changes by 10 saturates every gate. Inside the model, subtract the series' centre and divide by its spread; what comes out must be in the series' own units again. A series in cents must be as easy as one in thousands. Take these numbers from the training series, once, and keep them in the model.
# - **What to predict.** If the network answers with the *change*, in units of a typical change, then an untrained network that answers 0 says "tomorrow is like today". It can only get better.
#
# There are also more lessons in a series than one: after every value stands the next one. An LSTM answers at each step, so a window of 25 values is 24 lessons, with histories of 1 to 24 values.
#
# You may use `nn.LSTM` (fast) or your own `LSTM` (slower). Helper classes go into the same cell. `random_rows(data, count, generator)` draws rows of a tensor. `seeded(generator)`, in a with statement, makes the layers built in its block start from your generator, so that training can be repeated exactly; that is good practice and not asked for. Aim at 5 seconds or less: 300 steps on batches of 32 windows are enough.
#
# ### Exercise 8: `train_forecaster`


# %% exercise="train_forecaster"
### BEGIN SOLUTION
class Forecaster(nn.Module):
    """Predicts the next value of a series from x[b, s, 1], in the series' own units: [b, 1]."""

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
        return x + self.change * self.head(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What follows x[b, s, 1]: [b, 1]."""
        return self.each_next(x)[:, -1]


### END SOLUTION
def train_forecaster(
    series: torch.Tensor, hidden_size: int, generator: torch.Generator
) -> nn.Module:
    """A trained model that predicts the next value of series like these.

    series: [b, t], float32, t ≥ 2, values of any size; it stays unchanged. hidden_size: of the
    LSTM. generator: draws the batches.
    Returns a model with model(x[b, s, 1]) -> [b, 1] for any b and s, in the series' own units,
    where the prediction for a row depends neither on the other rows nor on what was asked before.
    On new series of the same process its mean squared error is clearly below that of "tomorrow is
    like today". It is graded with 32 series of 80 values (or 60) and a hidden_size of 16 or 8, and
    asked from the 20th value on; the bounds leave room for smaller models and shorter training than
    suggested above.
    """
    ### BEGIN SOLUTION
    with seeded(generator):
        model = Forecaster(hidden_size, series)
    windows = series.unfold(1, min(25, series.shape[1]), 1).flatten(0, 1)  # [n, 25]
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(300):
        x = random_rows(windows, 32, generator)[:, :, None]
        error = (model.each_next(x[:, :-1]) - x[:, 1:]) / model.change
        loss = error.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model
    ### END SOLUTION


# %% check="train_forecaster"
check("train_forecaster")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# A module with an `nn.LSTM(1 or 2, hidden_size, batch_first=True)`, an `nn.Linear(hidden_size, 1)`, and three numbers kept from the series. Scale, run, predict a change, unscale, add it to the last value.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# Inputs: (x − centre) / spread, and the change from the value before divided by the typical change d. Prediction: x_s + d · head(LSTM output at s). Loss: the mean square of (prediction − next value) / d.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# windows = all stretches of 25 values of the series   (series.unfold(1, 25, 1).flatten(0, 1))
# repeat 300 times:
#     32 random windows
#     prediction after each of their first 24 values
#     loss against their last 24 values, in units of d
#     clear, backward, step (Adam, lr 0.005)
# ```
#
# </details>
#
# **Something to look at:** the picture from the top, with your forecast in it.

# %% tags=["experiment"]
with plots.when_finished():
    model = train_forecaster(seasonal_prices(32, 80, seed=1), 16, torch.Generator().manual_seed(0))
    with torch.no_grad():
        ahead = forecast(model, prices[None, :48, None], 24)[0, :, 0]
    figure = plots.forecasts(
        prices, {"tomorrow is like today": prices[47].expand(24), "your LSTM": ahead}, start=48
    )

# %% [markdown]
# **You should see** the wave from the top of the notebook. In the grey part the flat line is as bad as before, and your forecast goes up and down with the price, two full turns ahead.
#
# ### Predict, then run: a forecast for a random walk
#
# Train the same model on series whose changes are pure noise. What will its forecast look like, and how much better than "tomorrow is like today" can it be? Predict, then run.

# %% tags=["experiment"]
with plots.when_finished():
    walks = 100 + torch.randn(48, 80, generator=torch.Generator().manual_seed(5)).cumsum(dim=1)
    model = train_forecaster(walks[:32], 16, torch.Generator().manual_seed(0))
    with torch.no_grad():
        ahead = forecast(model, walks[40:41, :56, None], 24)[0, :, 0]
        predicted = torch.stack([model(walks[32:, :t, None])[:, 0] for t in range(20, 80)], dim=1)
    naive = (walks[32:, 19:79] - walks[32:, 20:]).square().mean()
    share = (predicted - walks[32:, 20:]).square().mean() / naive
    print(f"mean squared error: {share:.2f} of the naive one")
    figure = plots.forecasts(
        walks[40],
        {"tomorrow is like today": walks[40, 55].expand(24), "your LSTM": ahead},
        start=56,
    )

# %% [markdown]
# **You should see** a forecast that drifts slowly away from the flat line or stays near it, while the walk goes its own way, and an error of about 1 to 1.1 of the naive one.
#
# <details><summary>Why</summary>
#
# The changes can't be known in advance, so the best forecast is the last value. What the network finds on top is chance, learnt by heart from 32 walks, and costs a little on new ones. Real share prices are much closer to this than to the other three.
#
# </details>
#
# ## 9. Quiz
#
# Two questions from the lecture of 2023-11-02, in our own words. One letter each.
#
# **`gate`** (exercise sheet 20231026, question 20). Which part of an LSTM decides how much new information is stored in the cell state?
#
# - A: the input gate
# - B: the forget gate
# - C: the memory gate
# - D: the output gate
#
# **`learning_curve`** (the slides "Learning Curve for Deep Learning"). What does the learning curve of a network compare, as training goes on?
#
# - A: the learning rate and the size of the gradient
# - B: the loss on the training set and the loss on a validation set
# - C: the loss on the test set and the number of weights
# - D: the time of the forward pass and that of the backward pass

# %% [markdown]
# ### Exercise 9: `quiz`
#
# Write a letter in place of each `None`, in quotes, such as `"D"`. Delete what stands below the dict.

# %% exercise="quiz"
quiz = {
    "gate": None,
    "learning_curve": None,
}
### BEGIN SOLUTION
quiz.update(gate="A", learning_curve="B")
### END SOLUTION

# %% check="quiz"
check("quiz")

# %% [markdown]
# ## Questions to think about
#
# 1. Why is g a tanh and not a sigmoid? What could the cell state never do otherwise?
# 2. abs(h) ≤ 1. Is there a bound for abs(c) after s steps? Which gates must be how open to reach it?
# 3. Clipping keeps the direction of the gradient of one batch. Does it keep the direction of the mean over many batches?
# 4. In `fit` the training loss of an epoch is measured on the way, the validation loss at its end. Which curve does that flatter? How could validation be below training at first?
# 5. Early stopping chooses the epoch by the validation loss. Is the validation loss of that epoch a fair estimate for new data?
# 6. The forecaster saw windows of 25 values. Why can it be asked with 80? What could go wrong with 8,000?
#
# ## If you want to go on
#
# - **Peepholes.** Let the gates look at c (Gers and Schmidhuber, 2000). How many weights does that add?
# - **GRU.** Write the gated recurrent unit, which gets by with one state and two gates. Does it forecast as well?
# - **Teacher forcing.** Train through `forecast` itself, several steps ahead, instead of one. Compare the forecasts after 24 steps.
# - **Uncertainty.** Let the head answer with a mean and a spread, and train with the Gaussian likelihood. Draw the band.
#
# ## References
#
# - S. Hochreiter, J. Schmidhuber: *Long short-term memory*, Neural Computation 9(8), 1997. Sections 3 and 4.
# - F. Gers, J. Schmidhuber, F. Cummins: *Learning to forget: continual prediction with LSTM*, Neural Computation 12(10), 2000. The forget gate.
# - R. Pascanu, T. Mikolov, Y. Bengio: *On the difficulty of training recurrent neural networks*, ICML 2013, [arXiv:1211.5063](https://arxiv.org/abs/1211.5063). Section 3.2.
# - R. Jozefowicz, W. Zaremba, I. Sutskever: *An empirical exploration of recurrent network architectures*, ICML 2015. On the bias of the forget gate.
# - L. Prechelt: *Early stopping, but when?*, in: Neural Networks: Tricks of the Trade, 1998.
# - C. Olah: *Understanding LSTM networks*, 2015, [colah.github.io](https://colah.github.io/posts/2015-08-Understanding-LSTMs/). The pictures everybody knows.
# - C.-R. Chung, CE6146 Introduction to Deep Learning, National Central University: lecture of 2023-11-02, "Learning Curve for Deep Learning" and "LSTM"; exercise sheet of 2023-10-26, question 20.
