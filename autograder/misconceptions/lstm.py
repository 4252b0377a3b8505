"""The misconceptions of 03-lstm, the subtle ones of each exercise first."""

from __future__ import annotations

import inspect

from autograder.checks.hidden.lstm import QUIZ
from autograder.misconceptions import Mutant, edited
from gradus import lstm

# Hints that several exercises share.
GRAPH = (
    "The values are right, but some gradient does not get by: detach, .data, .item() and no_grad "
    "take a value out of the graph. Compute with the tensors themselves."
)
FLOAT32 = (
    "This looks like a tensor in float32 where the input is in another dtype. What is made on the "
    "way follows the input's dtype and device: x.new_zeros, torch.zeros_like, dtype=x.dtype."
)
IN_PLACE = (
    "This writes into the caller's tensors: an operation that ends in _, and +=, change the "
    "argument itself. Compute a new tensor."
)
OWN = (
    "This looks like the built-in LSTM. The exercise is to write it, from lstm_gates and a few "
    "products."
)

# --- lstm_gates ----------------------------------------------------------------------------------

STATE_TERM = " + nn.functional.linear(h, weight_hh, bias_hh)"
LAST = "return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()"


def gates(old: str, new: str) -> str:
    """lstm_gates with a part replaced."""
    return edited(lstm.lstm_gates, old, new)


GATES = tuple(
    Mutant("lstm_gates", *mutant)
    for mutant in (
        (
            "the gradient to h is cut",
            GRAPH,
            gates("linear(h, weight_hh", "linear(h.detach(), weight_hh"),
        ),
        (
            "a sigmoid that overflows",
            (
                "This looks like a sigmoid written out. exp(1000) is infinite, and so the "
                "gradient becomes nan; torch.sigmoid is written so that value and gradient stay "
                "finite."
            ),
            gates(
                LAST, "s = lambda a: 1 / (1 + (-a).exp())\n    return s(i), s(f), g.tanh(), s(o)"
            ),
        ),
        (
            "a tanh that overflows",
            (
                "This looks like a tanh written out. exp(1000) is infinite, and infinity over "
                "infinity is nan; torch.tanh is written so that value and gradient stay finite."
            ),
            gates("g.tanh()", "(g.exp() - (-g).exp()) / (g.exp() + (-g).exp())"),
        ),
        (
            "computed in float32",
            (
                "This looks like a detour through float32, which keeps seven digits of float64's "
                "sixteen. Stay in the dtype of the input."
            ),
            gates("    rows = ", "    dtype = x.dtype\n    rows = ")
            .replace("linear(x, weight_ih, bias_ih)", "linear(x, weight_ih, bias_ih).float()")
            .replace("linear(h, weight_hh, bias_hh)", "linear(h, weight_hh, bias_hh).float()")
            .replace("= rows.chunk", "= rows.to(dtype).chunk"),
        ),
        (
            "right up to three units",
            (
                "This is right for small layers alone. H is the size of h, or a quarter of the "
                "rows of weight_ih: take it from there."
            ),
            gates(
                "rows.chunk(4, dim=1)",
                "(rows[:, k * min(3, h.shape[1]) :][:, : min(3, h.shape[1])] for k in range(4))",
            ),
        ),
        (
            "squeezed",
            (
                "A batch of one row, or a layer of one unit, loses a dimension here: squeeze "
                "drops every dimension of size 1. The gates are [b, H], whatever b and H are."
            ),
            gates(
                LAST,
                "return [a.squeeze() for a in (i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid())]",
            ),
        ),
        (
            "sums are clamped",
            (
                "This looks like a clamp before the nonlinearities. Outside of it the gradient is "
                "cut, and a gate can't open or shut any further; sigmoid and tanh need no help "
                "with large sums."
            ),
            gates("i, f, g, o = rows", "i, f, g, o = rows.clamp(-2, 2)"),
        ),
        (
            "the bias of the state is left out",
            (
                "This looks like one bias where there are two: one comes with the input's "
                "weights, one with the state's. Both are added."
            ),
            gates("weight_hh, bias_hh)", "weight_hh)"),
        ),
        (
            "one bias counts twice",
            (
                "This looks like the same bias with both matrices. bias_ih goes with the input's "
                "weights, bias_hh with the state's."
            ),
            gates("weight_hh, bias_hh)", "weight_hh, bias_ih)"),
        ),
        (
            "the order i, f, o, g",
            (
                "This looks like the rows read in the order i, f, o, g. torch's order is i, f, g, "
                "o: the candidate comes third, the output gate last."
            ),
            gates("i, f, g, o = rows", "i, f, o, g = rows"),
        ),
        (
            "the order f, i, g, o",
            (
                "This looks like the rows read in the order f, i, g, o. torch's order is i, f, g, "
                "o: the input gate comes first."
            ),
            gates("i, f, g, o = rows", "f, i, g, o = rows"),
        ),
        (
            "gates are interleaved",
            (
                "This looks like every fourth row for a gate. The H rows of a gate stand "
                "together: cut the 4H sums into four blocks."
            ),
            gates("rows.chunk(4, dim=1)", "(rows[:, k::4] for k in range(4))"),
        ),
        (
            "g is a sigmoid",
            (
                "This looks like a sigmoid for g. The candidate may be negative, or the memory "
                "could only grow: g is a tanh."
            ),
            gates("g.tanh()", "g.sigmoid()"),
        ),
        (
            "before the nonlinearities",
            (
                "These are the sums. Gates are what comes after them: a sigmoid for i, f and o, a "
                "tanh for g."
            ),
            gates(LAST, "return i, f, g, o"),
        ),
        (
            "the state is not read",
            (
                "This looks like gates that see x alone. Each sees the state h, too, through its "
                "rows of weight_hh."
            ),
            gates(STATE_TERM, " + bias_hh"),
        ),
        (
            "always float32",
            FLOAT32,
            gates("rows.chunk", "rows.float().chunk"),
        ),
        (
            "writes into its argument",
            IN_PLACE,
            gates(
                "    rows = nn.functional.linear(x, weight_ih, bias_ih)",
                "    bias_ih += bias_hh\n    rows = nn.functional.linear(x, weight_ih, bias_ih)",
            ).replace("weight_hh, bias_hh)", "weight_hh)"),
        ),
    )
)

# --- lstm_cell -----------------------------------------------------------------------------------


def cell(old: str, new: str) -> str:
    """lstm_cell with a part replaced."""
    return edited(lstm.lstm_cell, old, new)


CELL = tuple(
    Mutant("lstm_cell", *mutant)
    for mutant in (
        (
            "the memory's gradient is cut",
            GRAPH,
            cell("c = f * c + i * g", "c = f * c.detach() + i * g"),
        ),
        (
            "the forget gate gets no gradient",
            GRAPH,
            cell("c = f * c + i * g", "c = f.detach() * c + i * g"),
        ),
        (
            "what is shown sends no gradient back",
            GRAPH,
            cell("o * c.tanh()", "o * c.detach().tanh()"),
        ),
        (
            "the output gate is asked twice",
            (
                "This looks like an output gate that has seen the new h. All four gates see the "
                "old h, once."
            ),
            cell(
                "return o * c.tanh(), c",
                "_, _, _, o = lstm_gates("
                "x, o * c.tanh(), weight_ih, weight_hh, bias_ih, bias_hh)\n"
                "    return o * c.tanh(), c",
            ),
        ),
        (
            "one is added to the forget gate's bias",
            (
                "Something is added to the forget gate's bias. That is a way to start training; "
                "the cell takes the biases as they are handed in."
            ),
            cell(
                "h, c = state",
                "h, c = state\n    n = h.shape[1]\n    bias_ih = torch.cat("
                "[bias_ih[:n], bias_ih[n : 2 * n] + 1, bias_ih[2 * n :]])",
            ),
        ),
        (
            "h shows the old memory",
            (
                "This looks like h made of the old c. First the memory changes, then the output "
                "gate shows some of the new one."
            ),
            cell(
                "c = f * c + i * g\n    return o * c.tanh(), c",
                "return o * c.tanh(), f * c + i * g",
            ),
        ),
        (
            "the memory is clipped",
            (
                "This looks like a memory kept within bounds. c may leave [−1, 1] and grow with "
                "every step; it is h that the tanh squeezes."
            ),
            cell("c = f * c + i * g", "c = (f * c + i * g).clamp(-3, 3)"),
        ),
        (
            "tanh of the memory is kept",
            (
                "This looks like a tanh on the memory itself. The tanh is for what is shown; c is "
                "carried on as it is, or it fades at every step."
            ),
            cell("c = f * c + i * g", "c = (f * c + i * g).tanh()"),
        ),
        (
            "no tanh on the way out",
            (
                "This looks like o times c. Between them stands a tanh, which keeps abs(h) ≤ 1 "
                "however large the memory has become."
            ),
            cell("o * c.tanh()", "o * c"),
        ),
        (
            "1 − f instead of f",
            (
                "This looks like f taken for the share that is forgotten. It is the share that is "
                "kept: f = 1 keeps everything."
            ),
            cell("f * c", "(1 - f) * c"),
        ),
        (
            "1 − i is kept",
            (
                "This looks like one gate for both, as in a GRU. An LSTM keeps as much as its "
                "forget gate says, whatever the input gate does."
            ),
            cell("f * c", "(1 - i) * c"),
        ),
        (
            "i and f exchanged",
            "This looks like i and f exchanged. f weighs the old memory, i what is new.",
            cell("f * c + i * g", "i * c + f * g"),
        ),
        (
            "c before h",
            (
                "This looks like (c, h). The state that comes back is (h, c), in the order in "
                "which it is handed in."
            ),
            cell("return o * c.tanh(), c", "return c, o * c.tanh()"),
        ),
        (
            "the state is read as (c, h)",
            (
                "This looks like a state read as (c, h). It is (h, c): the gates see the first of "
                "the two, the forget gate weighs the second."
            ),
            cell("h, c = state", "c, h = state"),
        ),
        (
            "g without its gate",
            (
                "This looks like a candidate that is stored whole. Only the share i of it is: "
                "with i = 0 nothing new gets in."
            ),
            cell("i * g", "g"),
        ),
        (
            "writes into the old memory",
            IN_PLACE,
            cell("c = f * c + i * g", "c.mul_(f).add_(i * g)"),
        ),
        (
            "torch's own cell",
            OWN,
            """def lstm_cell(x, state, weight_ih, weight_hh, bias_ih, bias_hh):
    return torch.lstm_cell(x, state, weight_ih, weight_hh, bias_ih, bias_hh)
""",
        ),
        (
            "torch's own layer, for one step",
            OWN,
            """def lstm_cell(x, state, weight_ih, weight_hh, bias_ih, bias_hh):
    h, c = state
    weights = [weight_ih, weight_hh, bias_ih, bias_hh]
    _, h, c = torch._VF.lstm(
        x[:, None], (h[None], c[None]), weights, True, 1, 0.0, False, False, True
    )
    return h[0], c[0]
""",
        ),
    )
)

# --- LSTM ----------------------------------------------------------------------------------------


def layer(old: str, new: str) -> str:
    """LSTM with a part replaced."""
    return edited(lstm.LSTM, old, new)


BUILT_IN = """
    def forward(self, x, state=None, lengths=None):
        h, c = state or [x.new_zeros(len(x), self.hidden_size)] * 2
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        output, h, c = torch._VF.lstm(
            x, (h[None], c[None]), weights, True, 1, 0.0, False, False, True
        )
        return output, (h[0], c[0])
"""

LAYER = tuple(
    Mutant("LSTM", *mutant)
    for mutant in (
        (
            "the state is detached between steps",
            (
                "This looks like a state that is detached at each step. Truncating the gradient "
                "saves memory; here it has to reach the first step."
            ),
            layer("h, c = new_h, new_c\n", "h, c = new_h.detach(), new_c\n"),
        ),
        (
            "the memory is detached between steps",
            (
                "This looks like a c that is detached at each step. c is the way on which the "
                "gradient reaches the first step: carry it on as it is."
            ),
            layer(
                "h, c = new_h, new_c\n            outputs.append(h)",
                "h, c = new_h, new_c.detach()\n            outputs.append(h)",
            ),
        ),
        (
            "the gradient stops every ten steps",
            (
                "This looks like truncated backpropagation, with a state that is detached every "
                "few steps. Here the gradient has to reach the first step."
            ),
            layer(
                "h, c = new_h, new_c\n",
                "h, c = (s.detach() if t % 10 == 9 else s for s in (new_h, new_c))\n",
            ),
        ),
        (
            "the state given gets no gradient",
            (
                "This looks like a state that is detached where the sequence begins. A gradient "
                "flows back into the state that was given, too."
            ),
            layer(
                "h, c = state or [x.new_zeros(len(x), self.hidden_size)] * 2",
                "h, c = state or [x.new_zeros(len(x), self.hidden_size)] * 2\n"
                "        h, c = h.detach(), c.detach()",
            ),
        ),
        (
            "with lengths it starts from zeros",
            (
                "This looks like a state that is ignored where there are lengths. Both may be "
                "given at once."
            ),
            layer(
                "if lengths is not None:\n            running",
                "if lengths is not None:\n            h = c = torch.zeros_like(h)\n"
                "            running",
            ),
        ),
        (
            "h of the last column",
            (
                "This looks like h taken from the last output, which is 0 for a row that has "
                "ended. h is what the row's own last step left."
            ),
            layer("return output, (h, c)", "return output, (output[:, -1], c)"),
        ),
        (
            "rows sorted by length",
            (
                "This looks like rows that are sorted by length and stay so. What comes back has "
                "the order of x."
            ),
            layer(
                "            running = torch",
                "            order = lengths.argsort(descending=True)\n"
                "            x, h, c, lengths = x[order], h[order], c[order], lengths[order]\n"
                "            running = torch",
            ),
        ),
        (
            "dropout inside",
            (
                "The same sequence gives two answers, as with dropout or noise inside. The layer "
                "has none, in train mode either."
            ),
            layer(
                "outputs.append(h)", "outputs.append(nn.functional.dropout(h, 0.5, self.training))"
            ),
        ),
        (
            "one tensor for both biases",
            (
                "This looks like one tensor under two names. bias_ih and bias_hh are two "
                "parameters, or loading one overwrites the other."
            ),
            layer("self.bias_hh = parameter(4 * hidden_size)", "self.bias_hh = self.bias_ih"),
        ),
        (
            "a start of its own",
            (
                "This looks like a sequence that starts from numbers of the module's own. Without "
                "a state h and c are zeros."
            ),
            layer(
                "[x.new_zeros(len(x), self.hidden_size)]",
                "[x.new_full((len(x), self.hidden_size), 0.01)]",
            ),
        ),
        (
            "the forget gate opens at each run",
            (
                "This looks like a forward that sets the forget gate's bias. Set it where the "
                "module is made, if at all: a state dict that was loaded has to stay."
            ),
            layer(
                "        h, c = state or",
                "        with torch.no_grad():\n"
                "            self.bias_ih[self.hidden_size : 2 * self.hidden_size] = 1.0\n"
                "        h, c = state or",
            ),
        ),
        (
            "the last twenty steps",
            (
                "This looks like a sequence that is cut to its last steps. All of them are read, "
                "however many there are."
            ),
            layer(
                "        outputs = []",
                "        x = x[:, -20:]\n        outputs = []",
            ),
        ),
        (
            "h stands still, c goes on",
            (
                "This looks like a row whose c goes on after its end. Both h and c stand still "
                "from there on."
            ),
            layer("torch.where(on, new_c, c)", "new_c"),
        ),
        (
            "the end comes one step early",
            (
                "This looks like rows that end one step early. A row of length n runs the steps 0 "
                "to n − 1, which are n steps."
            ),
            layer("device=x.device) < lengths[", "device=x.device) < (lengths - 1)["),
        ),
        (
            "the end comes one step late",
            (
                "This looks like rows that end one step late. A row of length n runs the steps 0 "
                "to n − 1; step n is the first that doesn't count."
            ),
            layer("device=x.device) < lengths", "device=x.device) <= lengths"),
        ),
        (
            "the output goes on showing h",
            (
                "This looks like an output that goes on showing h after a row's end. The state "
                "stands still there, but the output is 0."
            ),
            layer("output = torch.where(running[:, :, None], output, 0)", "pass"),
        ),
        (
            "lengths are ignored",
            (
                "This looks like lengths that are ignored. From step lengths[row] on, that row's "
                "state stands still and its output is 0."
            ),
            layer(
                "if lengths is not None:\n            running",
                "lengths = None\n        if lengths:\n            running",
            ),
        ),
        (
            "the state becomes zero at a row's end",
            (
                "This looks like a state that becomes 0 where its row ends. Only the output is 0 "
                "there; h and c stay what the row's last step left."
            ),
            layer("torch.where(on, new_h, h), torch.where(on, new_c, c)", "new_h * on, new_c * on"),
        ),
        (
            "all rows end with the longest",
            (
                "This looks like one end for all rows. Each row has its own: compare the step "
                "with each row's length, as a column [b, 1]."
            ),
            layer("< lengths[:, None]", "< lengths.max().expand(len(x))[:, None]"),
        ),
        (
            "the state given is ignored",
            (
                "This looks like a sequence that always starts from zeros. Where a state is "
                "given, it goes on from there."
            ),
            layer("h, c = state or", "h, c ="),
        ),
        (
            "only h of the state given is used",
            (
                "This looks like a start with the h that was given and a c of zeros. The state is "
                "both, and the memory is in c."
            ),
            layer(
                "        outputs = []",
                "        c = torch.zeros_like(c)\n        outputs = []",
            ),
        ),
        (
            "remembers its last sequence",
            (
                "This looks like a state that is kept from one call to the next. Without a state, "
                "each call starts from zeros."
            ),
            layer("h, c = state or", "h, c = state or getattr(self, 'last', None) or").replace(
                "        return output, (h, c)",
                "        self.last = (h.detach(), c.detach())\n        return output, (h, c)",
            ),
        ),
        (
            "the output is c",
            (
                "This looks like the memory c as the output. The output is h, what the cell shows "
                "of it."
            ),
            layer("outputs.append(h)", "outputs.append(c)"),
        ),
        (
            "time first",
            (
                "This looks like [s, b, H]. Here the batch comes first, and the steps are stacked "
                "along dim 1."
            ),
            layer("torch.stack(outputs, dim=1)", "torch.stack(outputs, dim=0)"),
        ),
        (
            "backwards in time",
            (
                "This looks like a sequence read from its end. The first step is read first, and "
                "each sees the state that the one before it left."
            ),
            layer("enumerate(x.unbind(dim=1))", "enumerate(x.flip(1).unbind(dim=1))"),
        ),
        (
            "names of its own",
            (
                "The four parameters have other names than nn.LSTMCell's: weight_ih, weight_hh, "
                "bias_ih and bias_hh, directly on the module, so that each loads the other's "
                "state dict."
            ),
            inspect.getsource(lstm.LSTM).replace("self.weight_ih", "self.w_ih"),
        ),
        (
            "biases start at zero as plain tensors",
            (
                "This looks like a bias that is a plain tensor. Only an nn.Parameter is in the "
                "state dict, moves with the module and is trained."
            ),
            layer(
                "self.bias_hh = parameter(4 * hidden_size)",
                "self.bias_hh = torch.zeros(4 * hidden_size)",
            ),
        ),
        (
            "zeros in float32",
            FLOAT32,
            layer(
                "[x.new_zeros(len(x), self.hidden_size)]", "[torch.zeros(len(x), self.hidden_size)]"
            ).replace("for t, x_t in enumerate(x.", "for t, x_t in enumerate(x.float()."),
        ),
        (
            "torch's own layer",
            OWN,
            inspect.getsource(lstm.LSTM).partition("    def forward(")[0].rstrip()
            + "\n"
            + BUILT_IN,
        ),
    )
)

# --- clip_grad_norm ------------------------------------------------------------------------------


def clip(old: str, new: str) -> str:
    """clip_grad_norm with a part replaced."""
    return edited(lstm.clip_grad_norm, old, new)


TOTAL = (
    "total = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in grads]))"
)
RESULT = "return [grad / divisor for grad in grads], total"

CLIP = tuple(
    Mutant("clip_grad_norm", *mutant)
    for mutant in (
        (
            "the factor is a constant of the graph",
            (
                "This looks like a factor that is cut from the graph. It depends on the "
                "gradients, too: no .item(), .detach() or float() on the way."
            ),
            clip("divisor = (total / max_norm)", "divisor = (total.detach() / max_norm)"),
        ),
        (
            "the norm after clipping",
            (
                "This looks like the norm after clipping. The one that is returned is the norm "
                "before, which says how far the gradients had exploded."
            ),
            clip("for grad in grads], total", "for grad in grads], total / divisor"),
        ),
        (
            "torch's own norm",
            GRAPH,
            clip(TOTAL, "total = nn.utils.get_total_norm(grads)"),
        ),
        (
            "the list is written to",
            "The caller's list holds other tensors now. Return a new list.",
            clip(RESULT, "grads[:] = [grad / divisor for grad in grads]\n    return grads, total"),
        ),
        (
            "each tensor by itself",
            (
                "This looks like each tensor clipped by itself, and that turns the direction of "
                "the step. One norm over all of them, one factor for all of them."
            ),
            clip(
                RESULT,
                "return [g / (g.norm() / max_norm).clamp(min=1) for g in grads], total",
            ),
        ),
        (
            "each number by itself",
            (
                "This looks like numbers clipped one by one, and that turns the direction of the "
                "step. It is the norm over all numbers that is bounded."
            ),
            clip(RESULT, "return [g.clamp(-max_norm, max_norm) for g in grads], total"),
        ),
        (
            "always scaled to the bound",
            (
                "This looks like gradients that are always scaled to max_norm. Those that are "
                "short enough stay as they are: the factor is never above 1."
            ),
            clip(".clamp(min=1)", ".clamp(min=1e-12)"),
        ),
        (
            "divided by zero",
            (
                "Where all gradients are 0, so is their norm, and 0/0 is nan. Compare the norm "
                "with the bound in a way that never divides by it."
            ),
            clip(
                "divisor = (total / max_norm).clamp(min=1)",
                "divisor = 1 / (max_norm / total).clamp(max=1) + 0 / total",
            ),
        ),
        (
            "the 1-norm",
            (
                "This looks like the sum of absolute values. The 2-norm is the root of the sum of "
                "squares: 3 and 4 make 5."
            ),
            clip(TOTAL, "total = sum(g.abs().sum() for g in grads)"),
        ),
        (
            "the sum of the norms",
            (
                "This looks like norms added up. Their squares add up, not they: the whole has "
                "the norm of the norms."
            ),
            clip(TOTAL, "total = sum(g.norm() for g in grads)"),
        ),
        (
            "the largest norm",
            (
                "This looks like the largest of the tensors' norms. All numbers of all tensors "
                "make one norm together."
            ),
            clip(TOTAL, "total = torch.stack([g.norm() for g in grads]).max()"),
        ),
        (
            "no root",
            "This looks like the sum of squares. The norm is its root.",
            clip(TOTAL, "total = sum(g.square().sum() for g in grads)"),
        ),
        (
            "in place",
            (
                "This writes into the gradients that were handed in: an operation that ends in _ "
                "changes its tensor. Return new ones."
            ),
            clip(RESULT, "return [grad.div_(divisor.detach()) for grad in grads], total"),
        ),
        (
            "the norm as a float",
            (
                "The norm came back as a float, and a tensor of no dimension was asked for: "
                ".item() and float() take it out of the graph."
            ),
            clip("for grad in grads], total", "for grad in grads], total.item()"),
        ),
        (
            "the norm in float32",
            FLOAT32,
            clip(TOTAL, TOTAL + ".float()"),
        ),
    )
)

# --- fit -----------------------------------------------------------------------------------------


def loop(old: str, new: str) -> str:
    """fit with a part replaced."""
    return edited(lstm.fit, old, new)


ORDER = "torch.randperm(len(x), generator=generator, device=generator.device)"
FIRST = "    for _ in range(epochs):\n        model.train()\n        losses = []\n"
EVALUATION = "        with torch.no_grad():\n            history["

FIT = tuple(
    Mutant("fit", *mutant)
    for mutant in (
        (
            "the mean of the batches' means",
            (
                "This looks like the mean of the batches' means. A short last batch then counts "
                "as much as a full one: weight each loss by its rows, and divide by all rows."
            ),
            loop(
                "torch.stack(losses).sum().item() / len(x)", "sum(losses).item() / len(losses)"
            ).replace("loss.detach() * len(rows)", "loss.detach()"),
        ),
        (
            "the loss after the step",
            (
                "This looks like the loss after the step. What counts is the loss that the batch "
                "had before it, the one that backward went through."
            ),
            loop(
                "losses.append(loss.detach() * len(rows))",
                "losses.append(loss_fn(model(x[rows]), y[rows]).detach() * len(rows))",
            ),
        ),
        (
            "validation by the mean of its batches",
            (
                "This looks like the mean of the batches' means, over the validation rows. A "
                "short last batch then counts as much as a full one: all rows at once, or "
                "weighted."
            ),
            loop(
                'history["valid"].append(loss_fn(model(valid[0]), valid[1]).item())',
                "parts = zip(*(t.split(batch_size) for t in valid))\n"
                "            parts = [loss_fn(model(a), b).item() for a, b in parts]\n"
                '            history["valid"].append(sum(parts) / len(parts))',
            ),
        ),
        (
            "the sum over all epochs",
            (
                "This looks like a sum that goes on from epoch to epoch. Each epoch has a mean of "
                "its own: start it at 0 inside of the loop."
            ),
            loop(FIRST, "    losses = []\n    for _ in range(epochs):\n        model.train()\n"),
        ),
        (
            "targets broadcast",
            (
                "This looks like predictions [b, 1] against targets [b], which broadcast to [b, "
                "b]: every prediction against every target. Leave y as it is."
            ),
            loop("y[rows])", "y[rows].flatten())"),
        ),
        (
            "rotated, not shuffled",
            (
                "The rows come beside their neighbours in the data, from another beginning each "
                "time. A random order is a permutation of all rows."
            ),
            loop(
                ORDER,
                "(torch.arange(len(x)) + torch.randint(len(x), (), generator=generator)) % len(x)",
            ),
        ),
        (
            "shuffled in two halves",
            (
                "The first half of the data always comes before the second, as with a shuffle of "
                "parts. Draw one order of all rows."
            ),
            loop(
                ORDER,
                "torch.cat([half[torch.randperm(len(half), generator=generator)]"
                " for half in torch.arange(len(x)).chunk(2)])",
            ),
        ),
        (
            "the best weights come back",
            (
                "This looks like the weights of the best epoch. That is the caller's decision: "
                "fit leaves the model as its last step left it."
            ),
            loop(
                "    model.train()\n    return history",
                "    model.load_state_dict(best)\n    model.train()\n    return history",
            ).replace(
                "        model.eval()\n",
                "        curve = history['valid']\n"
                "        if len(curve) < 2 or curve[-1] < min(curve[:-1]):\n"
                "            best = {k: v.clone() for k, v in model.state_dict().items()}\n"
                "        model.eval()\n",
            ),
        ),
        (
            "gradients are clipped",
            (
                "This looks like clipped gradients. fit takes the steps that the optimizer makes "
                "of the gradients as they are."
            ),
            loop(
                "            optimizer.step()\n",
                "            nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
                "            optimizer.step()\n",
            ),
        ),
        (
            "cleared once an epoch",
            (
                "This looks like gradients that are cleared once an epoch. backward adds to what "
                "is there: clear before each backward."
            ),
            loop("            optimizer.zero_grad()\n", "").replace(
                "        losses = []\n", "        losses = []\n        optimizer.zero_grad()\n"
            ),
        ),
        (
            "train mode only at the beginning",
            (
                "This looks like model.train() once, before the first epoch. Validation switches "
                "to eval mode, so each epoch has to switch back."
            ),
            loop(FIRST, "    model.train()\n    for _ in range(epochs):\n        losses = []\n"),
        ),
        (
            "validation in train mode",
            (
                "This looks like validation in train mode, where dropout drops and batch "
                "normalisation learns from what it sees. Switch to eval mode before it."
            ),
            loop("        model.eval()\n", ""),
        ),
        (
            "left in eval mode",
            (
                "The model is left in eval mode, where its caller goes on training it without "
                "dropout. Switch back to train mode at the end."
            ),
            loop("    model.train()\n    return history", "    return history"),
        ),
        (
            "validation before the epoch",
            (
                "This looks like validation before the epoch. Its loss belongs behind the epoch's "
                "last step: it says what the epoch has taught."
            ),
            loop(
                FIRST,
                """    for _ in range(epochs):
        model.eval()
        with torch.no_grad():
            history["valid"].append(loss_fn(model(valid[0]), valid[1]).item())
        model.train()
        losses = []
""",
            ).replace(
                """        model.eval()
        with torch.no_grad():
            history["valid"].append(loss_fn(model(valid[0]), valid[1]).item())
    model.train()""",
                "    model.train()",
            ),
        ),
        (
            "old gradients stay",
            (
                "This looks like gradients that pile up. backward adds to what is there: clear "
                "before each backward."
            ),
            loop("            optimizer.zero_grad()\n", ""),
        ),
        (
            "gradients are cleared after the step",
            (
                "This looks like gradients cleared after the step. What somebody left before the "
                "first one then counts: clear before backward."
            ),
            loop("            optimizer.zero_grad()\n", "").replace(
                "optimizer.step()\n", "optimizer.step()\n            optimizer.zero_grad()\n"
            ),
        ),
        (
            "one step an epoch",
            (
                "This looks like one step for all batches of an epoch. Each batch is followed by "
                "its own step."
            ),
            loop("            optimizer.step()\n", "").replace(
                "        model.eval()\n", "        optimizer.step()\n        model.eval()\n"
            ),
        ),
        (
            "the last short batch is dropped",
            (
                "This looks like a last batch that is dropped because it is short. Every row "
                "comes once an epoch."
            ),
            loop(
                "order.to(x.device).split(batch_size):",
                "order[: max(batch_size, len(x) // batch_size * batch_size)].split(batch_size):",
            ),
        ),
        (
            "never shuffled",
            (
                "The rows come in the order of the data. Each epoch draws a new random order with "
                "the generator."
            ),
            loop(ORDER, "torch.arange(len(x))"),
        ),
        (
            "shuffled once",
            (
                "This looks like one order for all epochs. Draw a new one in each: inside of the "
                "loop over the epochs."
            ),
            loop(
                FIRST,
                f"    once = {ORDER.replace('len(x)', 'len(train[0])')}\n{FIRST}",
            ).replace(f"order = {ORDER}", "order = once"),
        ),
        (
            "shuffled with the global generator",
            (
                "This looks like an order drawn from torch's global generator. Hand the generator "
                "on to what draws, or the same generator does not give the same result."
            ),
            loop(ORDER, "torch.randperm(len(x))"),
        ),
        (
            "the generator's seed, not its state",
            (
                "This looks like the generator's seed used to seed another. A generator that was "
                "used before has the same seed and another state: draw from it, and leave the "
                "global one alone."
            ),
            loop(FIRST, "    torch.manual_seed(generator.initial_seed())\n" + FIRST).replace(
                ORDER, "torch.randperm(len(x))"
            ),
        ),
        (
            "drawn with replacement",
            (
                "This looks like rows drawn with replacement: some come twice, others never. An "
                "epoch is a permutation of all rows."
            ),
            loop(ORDER, "torch.randint(len(x), (len(x),), generator=generator)"),
        ),
        (
            "the batches are shuffled, not the rows",
            (
                "This looks like fixed batches in a new order. Shuffle the rows, then cut batches "
                "out of that order."
            ),
            loop(
                "order.to(x.device).split(batch_size):",
                "[torch.arange(len(x)).split(batch_size)[k] for k in torch.randperm("
                "-(-len(x) // batch_size), generator=generator).tolist()]:",
            ),
        ),
        (
            "targets in another order",
            (
                "This looks like targets in another order than their rows. The same row numbers "
                "index x and y."
            ),
            loop(
                "loss_fn(model(x[rows]), y[rows])", "loss_fn(model(x[rows]), y[rows.sort().values])"
            ),
        ),
        (
            "prediction and target exchanged",
            (
                "This looks like the loss of (target, prediction). The prediction comes first, "
                "and not every loss is symmetric."
            ),
            loop("loss_fn(model(x[rows]), y[rows])", "loss_fn(y[rows], model(x[rows]))"),
        ),
        (
            "an optimizer of its own",
            (
                "This looks like an optimizer made inside. The one that is handed in has to step: "
                "Adam, for one, keeps averages and another step size."
            ),
            loop(
                FIRST,
                "    lr = optimizer.param_groups[0]['lr']\n"
                "    optimizer = torch.optim.SGD(model.parameters(), lr)\n" + FIRST,
            ),
        ),
        (
            "validation rows are trained on",
            (
                "This looks like a step on the validation rows. Nothing is learnt from them, or "
                "their loss says nothing about new data."
            ),
            loop(
                EVALUATION,
                "        loss_fn(model(valid[0]), valid[1]).backward()\n"
                "        optimizer.step()\n" + EVALUATION,
            ),
        ),
        (
            "losses as tensors",
            (
                "The losses came back as tensors, and floats were asked for: a tensor keeps its "
                "graph alive, a number doesn't."
            ),
            loop(".sum().item() / len(x)", ".sum() / len(x)"),
        ),
    )
)

# --- EarlyStopping -------------------------------------------------------------------------------


def stopping(old: str, new: str) -> str:
    """EarlyStopping with a part replaced."""
    return edited(lstm.EarlyStopping, old, new)


STEP = """            self.best = loss
            self.waited = 0
        else:
            self.waited += 1
"""

STOPPING = tuple(
    Mutant("EarlyStopping", *mutant)
    for mutant in (
        (
            "the best moves with every small step",
            (
                "This looks like a best that is the smallest loss so far. It is the last "
                "improvement: it stays where it is while small steps add up to more than "
                "min_delta."
            ),
            stopping(STEP, STEP + "        self.best = min(self.best, loss)\n"),
        ),
        (
            "the smallest of a window",
            (
                "This looks like the last losses compared with the smallest before them, less "
                "min_delta. best is the last improvement, and an improvement starts the waiting "
                "over."
            ),
            """class EarlyStopping:
    def __init__(self, patience, min_delta=0.0):
        self.patience, self.min_delta, self.losses = patience, min_delta, []

    def step(self, loss):
        self.losses.append(loss)
        if math.isnan(loss):
            return True
        before, last = self.losses[: -self.patience], self.losses[-self.patience :]
        return bool(before) and min(last) >= min(before) - self.min_delta
""",
        ),
        (
            "absolute values are compared",
            (
                "This looks like absolute values. A loss may be negative, as a log-likelihood is: "
                "−2 is better than −1."
            ),
            stopping("if loss < self.best", "if abs(loss) < abs(self.best)"),
        ),
        (
            "infinity ends it, too",
            (
                "This looks like stopping at infinity. Only NaN can't get better: infinity is a "
                "bad loss like any other."
            ),
            stopping("math.isnan(loss)", "not math.isfinite(loss)"),
        ),
        (
            "compared with the loss before",
            (
                "This looks like each loss compared with the one before it. It has to beat the "
                "best: 5, 3, 4, 3.5 has one improvement after the first loss, not two."
            ),
            stopping(STEP, STEP + "        self.best = loss\n"),
        ),
        (
            "counts all bad losses",
            (
                "This looks like a count of all bad losses. patience counts those in a row: an "
                "improvement starts the count over."
            ),
            stopping(
                "            self.best = loss\n            self.waited = 0\n",
                "            self.best = loss\n",
            ),
        ),
        (
            "one too late",
            (
                "This looks like stopping one loss late. With the loss that makes it `patience` "
                "bad ones in a row, say True."
            ),
            stopping("self.waited >= self.patience", "self.waited > self.patience"),
        ),
        (
            "one too early",
            (
                "This looks like stopping one loss early. The improvement itself doesn't count: "
                "`patience` losses in a row have to come after it."
            ),
            stopping("self.waited >= self.patience", "self.waited >= self.patience - 1"),
        ),
        (
            "an equal loss is an improvement",
            (
                "This looks like ≤ for <. A loss at best − min_delta is no improvement; it has to "
                "be below."
            ),
            stopping("if loss < self.best", "if loss <= self.best"),
        ),
        (
            "min_delta is ignored",
            (
                "This looks like min_delta left out. A loss that is lower by no more than "
                "min_delta is no improvement."
            ),
            stopping("self.best - self.min_delta:", "self.best:"),
        ),
        (
            "min_delta with the wrong sign",
            (
                "This looks like min_delta added to the best. It makes improving harder: the loss "
                "has to be below the best by more than min_delta."
            ),
            stopping("self.best - self.min_delta:", "self.best + self.min_delta:"),
        ),
        (
            "min_delta as a share",
            (
                "This looks like min_delta taken as a share of the best. It is a difference of "
                "losses, and is subtracted."
            ),
            stopping("self.best - self.min_delta:", "self.best * (1 - self.min_delta):"),
        ),
        (
            "NaN is waited for",
            (
                "A loss of NaN never gets better again, and each further epoch is wasted: say "
                "True at once, whatever the patience."
            ),
            stopping(" or math.isnan(loss)", ""),
        ),
        (
            "NaN is an improvement",
            (
                "This looks like NaN taken for an improvement. Every comparison with NaN is "
                "False, so `not loss >= ...` is True: ask whether it is NaN."
            ),
            stopping(
                "if loss < self.best - self.min_delta:",
                "if not loss >= self.best - self.min_delta:",
            ).replace(" or math.isnan(loss)", ""),
        ),
        (
            "the larger the better",
            (
                "This looks like larger being better. That holds for an accuracy; a loss improves "
                "by getting smaller."
            ),
            stopping(
                "if loss < self.best - self.min_delta:", "if loss > self.best + self.min_delta:"
            ).replace("self.best = math.inf", "self.best = -math.inf"),
        ),
        (
            "best starts at zero",
            (
                "This looks like a best of 0 at first, which no ordinary loss beats. The best is "
                "infinity at first."
            ),
            stopping("self.best = math.inf", "self.best = 0.0"),
        ),
        (
            "best starts at a thousand",
            (
                "This looks like a large number for the best at first, and a loss may be larger "
                "still. The best is infinity at first."
            ),
            stopping("self.best = math.inf", "self.best = 1e3"),
        ),
        (
            "one count for all objects",
            (
                "Two of them get into each other's way: this looks like state that belongs to the "
                "class. State belongs to the object, on self, from __init__ on."
            ),
            stopping("        self.waited = 0\n\n", "\n")
            .replace("    def __init__", "    count = [0]\n\n    def __init__", 1)
            .replace("self.waited += 1", "self.count[0] += 1")
            .replace("self.waited = 0", "self.count[0] = 0")
            .replace("self.waited", "self.count[0]"),
        ),
    )
)

# --- forecast ------------------------------------------------------------------------------------


def ahead(old: str, new: str) -> str:
    """forecast with a part replaced."""
    return edited(lstm.forecast, old, new)


CAT = "series = torch.cat([series, model(series)[:, None]], dim=1)"

FORECAST = tuple(
    Mutant("forecast", *mutant)
    for mutant in (
        (
            "no gradient through the predictions",
            (
                "This looks like predictions that are detached. The gradient flows back through "
                "each of them, to the history and to the model: no detach, .data or .item()."
            ),
            ahead("model(series)[:, None]", "model(series)[:, None].detach()"),
        ),
        (
            "no gradient through the earlier steps",
            (
                "This looks like predictions that are detached before the model reads them again. "
                "The error of a later step flows back through all the earlier ones."
            ),
            ahead(CAT, "series = torch.cat([series, model(series)[:, None]], dim=1)").replace(
                "model(series)",
                "model(torch.cat([history, series[:, history.shape[1]:].detach()], 1))",
            ),
        ),
        (
            "under no_grad",
            (
                "This looks like no_grad around the loop. Without gradients no model can be "
                "trained through its own forecast; who wants none says so outside."
            ),
            ahead(CAT, f"with torch.no_grad():\n            {CAT}"),
        ),
        (
            "the last 24 values",
            (
                "This looks like a history that is cut to a number of values. Nothing is dropped "
                "at its beginning, however long it is."
            ),
            ahead("model(series)", "model(series[:, -24:])"),
        ),
        (
            "a window that slides",
            (
                "This looks like a window that slides along. The history grows by each "
                "prediction, and nothing is dropped at its beginning."
            ),
            ahead("model(series)", "model(series[:, -history.shape[1] :])"),
        ),
        (
            "the last value alone",
            (
                "This looks like a model that is shown the last value alone. It reads the whole "
                "history, and the predictions so far behind it."
            ),
            ahead("model(series)", "model(series[:, -1:])"),
        ),
        (
            "always from the same history",
            (
                "This looks like the same question asked again and again. Each prediction joins "
                "the history before the next is made."
            ),
            ahead("model(series)", "model(history)"),
        ),
        (
            "the history comes back too",
            "The history came back, too. Only what is new is returned, [b, steps, 1].",
            ahead("return series[:, history.shape[1] :]", "return series"),
        ),
        (
            "one step too few",
            (
                "This looks like one prediction too few. The first of the `steps` values is the "
                "model's answer to the history itself."
            ),
            ahead(
                "return series[:, history.shape[1] :]", "return series[:, history.shape[1] : -1]"
            ),
        ),
        (
            "the last steps of everything",
            (
                "This looks like one prediction too many, and the first one lost. The first value "
                "that is returned is the model's answer to the history itself."
            ),
            ahead("range(steps)", "range(steps + 1)").replace(
                "return series[:, history.shape[1] :]", "return series[:, -steps:]"
            ),
        ),
        (
            "new values in front",
            (
                "This looks like predictions put in front of the history. Time goes on along dim "
                "1: what comes later stands at the end."
            ),
            ahead("[series, model(series)[:, None]]", "[model(series)[:, None], series]").replace(
                "series[:, history.shape[1] :]", "series[:, :steps]"
            ),
        ),
        (
            "two dimensions",
            (
                "The last dimension is lost. The result has three, [b, steps, 1], so that it "
                "could go on as a history."
            ),
            ahead("history.shape[1] :]", "history.shape[1] :, 0]"),
        ),
        (
            "always float32",
            FLOAT32,
            ahead("series = history\n", "series = history.float()\n"),
        ),
        (
            "all rows predict as the first",
            "This looks like one prediction for all rows. Each row of the history gets its own.",
            ahead("model(series)[:, None]", "model(series)[:1, None].expand(len(series), 1, 1)"),
        ),
        (
            "overwrites the history",
            (
                "This writes into the history that was handed in. Make a new tensor, and leave "
                "the caller's as it is."
            ),
            ahead(
                "    return",
                "    history.copy_(series[:, -history.shape[1] :].detach())\n    return",
            ),
        ),
    )
)

# --- train_forecaster ----------------------------------------------------------------------------


def training(old: str, new: str) -> str:
    """train_forecaster, with its module, with a part replaced in one of them."""
    sources = [inspect.getsource(item) for item in (lstm.Forecaster, lstm.train_forecaster)]
    whole = "\n\n".join(sources)
    if whole.count(old) != 1:
        raise ValueError(f"{old!r} occurs {whole.count(old)} times")
    return whole.replace(old, new)


TRAINING = tuple(
    Mutant("train_forecaster", *mutant)
    for mutant in (
        (
            "not trained",
            "The model came back as it was made. Train it on windows of the series.",
            training("range(300)", "range(0)"),
        ),
        (
            "ten steps",
            (
                "This looks like too few steps. A few hundred batches of 32 windows are needed, "
                "and take a second or two."
            ),
            training("range(300)", "range(10)"),
        ),
        (
            "the head alone",
            (
                "This looks like an optimizer that holds the parameters of the last layer alone. "
                "Hand it those of the whole model."
            ),
            training("model.parameters()", "model.head.parameters()"),
        ),
        (
            "thirty steps",
            (
                "This looks like too few steps. A few hundred batches of 32 windows are needed, "
                "and take a second or two."
            ),
            training("range(300)", "range(30)"),
        ),
        (
            "one batch again and again",
            (
                "This looks like one batch for all steps, learnt by heart. Draw new windows for "
                "each step."
            ),
            training(
                "    for _ in range(300):\n"
                "        x = random_rows(windows, 32, generator)[:, :, None]",
                "    x = random_rows(windows, 32, generator)[:, :, None]\n    for _ in range(300):",
            ),
        ),
        (
            "backwards in time",
            (
                "This looks like windows that run backwards. A series that rises faster than it "
                "falls tells the difference: the targets are the later values."
            ),
            training(
                "random_rows(windows, 32, generator)[:, :, None]",
                "random_rows(windows, 32, generator)[:, :, None].flip(1)",
            ),
        ),
        (
            "two steps ahead",
            "This looks like a target two steps ahead. It is the very next value.",
            training(
                "model.each_next(x[:, :-1]) - x[:, 1:]", "model.each_next(x[:, :-2]) - x[:, 2:]"
            ),
        ),
        (
            "windows of two values",
            (
                "This looks like windows of two values, one lesson with a history of one. Longer "
                "windows teach to use what came before."
            ),
            training("min(25, series.shape[1])", "2"),
        ),
        (
            "nothing is learnt from the series",
            (
                "This looks like a fit to each row that is asked. What the training series have "
                "in common is learnt from them, and is there before the first question."
            ),
            """class Line(nn.Module):
    def forward(self, x):
        if x.shape[1] < 8:
            return x[:, -1]
        centre, spread = x.mean(1, keepdim=True), x.std(1, keepdim=True) + 1e-9
        z = ((x - centre) / spread)[:, :, 0]
        past = torch.stack([z[:, :-2], z[:, 1:-1], torch.ones_like(z[:, 2:])], dim=2)
        weight = torch.linalg.lstsq(past, z[:, 2:, None]).solution
        last = torch.stack([z[:, -2], z[:, -1], torch.ones_like(z[:, 0])], dim=1)
        return (last[:, None] @ weight)[:, 0] * spread[:, 0] + centre[:, 0]


def train_forecaster(series, hidden_size, generator):
    return Line()
""",
        ),
        (
            "writes into the series",
            IN_PLACE,
            training(
                "    windows = ",
                "    series -= 0.001 * series.mean()\n    windows = ",
            ),
        ),
        (
            "dropout goes on",
            (
                "The same question gets two answers, as with dropout that goes on. Switch the "
                "model to eval mode before it is returned."
            ),
            training(
                "self.head(features)",
                "self.head(nn.functional.dropout(features, 0.2, self.training))",
            ),
        ),
        (
            "tomorrow is like today",
            "This is the forecast to beat. In these series the changes can be foreseen in part.",
            """class Today(nn.Module):
    def forward(self, x):
        return x[:, -1]


def train_forecaster(series, hidden_size, generator):
    return Today()
""",
        ),
        (
            "the mean of the series",
            (
                "This looks like the mean as the answer. Prices wander: the last value is far "
                "nearer than any mean, and the change is what is left to predict."
            ),
            training(
                "return self.each_next(x)[:, -1]",
                "return x.mean(dim=1) + 0 * self.each_next(x)[:, -1]",
            ),
        ),
        (
            "no step is taken",
            (
                "This looks like backward without a step. backward computes gradients, and the "
                "optimizer's step uses them."
            ),
            training("        optimizer.step()\n", ""),
        ),
        (
            "gradients pile up",
            (
                "This looks like gradients that pile up, so that each step follows all the "
                "batches so far. Clear them before each backward."
            ),
            training("        optimizer.zero_grad()\n", ""),
        ),
        (
            "the loss against the same value",
            (
                "This looks like a target that is the value just read. It is the one after it: "
                "shift the targets by one step."
            ),
            training("- x[:, 1:])", "- x[:, :-1])"),
        ),
        (
            "in units of its own",
            (
                "This looks like an answer in scaled units. What comes out is in the units of "
                "what goes in: multiply by the spread and add the centre again."
            ),
            training(
                "return self.each_next(x)[:, -1]",
                "return (self.each_next(x)[:, -1] - self.centre) / self.spread",
            ),
        ),
        (
            "nothing is scaled",
            (
                "This looks like unscaled prices in the network. 2,000 saturates every gate: "
                "subtract the centre and divide by the spread of the training series."
            ),
            training("level = (x - self.centre) / self.spread", "level = x")
            .replace(
                "change = x.diff(dim=1, prepend=x[:, :1]) / self.change",
                "change = x.diff(dim=1, prepend=x[:, :1])",
            )
            .replace("x + self.change * self.head(features)", "self.head(features)")
            .replace("/ model.change", ""),
        ),
        (
            "scaled by the rows it is asked",
            (
                "This looks like a centre and a spread of the rows that are asked, all together. "
                "They are those of the training series, and stay in the model."
            ),
            training(
                "level = (x - self.centre) / self.spread",
                "level = (x - x.mean()) / (x.std(correction=0) + 1e-6)",
            ),
        ),
        (
            "sees the future",
            (
                "This looks like a model that was shown the next value while it learnt. When it "
                "is asked, that value is not there: each input may depend on the values up to it "
                "alone."
            ),
            training(
                "change = x.diff(dim=1, prepend=x[:, :1]) / self.change",
                "change = x.diff(dim=1, append=x[:, -1:]) / self.change",
            ),
        ),
        (
            "one answer for the whole window",
            (
                "This looks like one state for all steps of the window, and it has seen the "
                "targets of the earlier ones. What follows a value is predicted from the values "
                "up to it."
            ),
            training(
                "features, _ = self.lstm(torch.cat([level, change], dim=2))",
                "features, _ = self.lstm(torch.cat([level, change], dim=2))\n"
                "        features = features[:, -1:].expand(-1, x.shape[1], -1)",
            ),
        ),
        (
            "answers for each step",
            "This looks like an answer for each step. model(x) is the next value alone, [b, 1].",
            training("return self.each_next(x)[:, -1]", "return self.each_next(x)"),
        ),
        (
            "without the last dimension",
            "The last dimension is lost. model(x) is [b, 1], a column.",
            training("return self.each_next(x)[:, -1]", "return self.each_next(x)[:, -1, 0]"),
        ),
        (
            "for one length alone",
            (
                "This looks like a model for one length of history. It is asked with any number "
                "of values, one included."
            ),
            training(
                "return self.each_next(x)[:, -1]",
                "return self.each_next(x[:, -20:].reshape(-1, 20, 1))[:, -1]",
            ),
        ),
    )
)

# --- quiz ----------------------------------------------------------------------------------------

QUIZZES = tuple(
    Mutant("quiz", name, hint, f"quiz = {QUIZ | changed!r}")
    for name, hint, changed in (
        (
            "the forget gate stores",
            (
                "The forget gate decides how much of the old memory is kept. Which gate weighs "
                "the candidate, what is new?"
            ),
            {"gate": "B"},
        ),
        (
            "the memory gate",
            (
                "There is no gate of that name: the memory is c, and three gates look after it. "
                "Which of them weighs the candidate?"
            ),
            {"gate": "C"},
        ),
        (
            "the output gate stores",
            (
                "The output gate decides how much of the memory is shown, not what gets into it. "
                "Which gate weighs the candidate?"
            ),
            {"gate": "D"},
        ),
        (
            "a curve of the learning rate",
            (
                "A learning curve shows how well the network does as it learns, so it is a curve "
                "of losses; the learning rate is a setting."
            ),
            {"learning_curve": "A"},
        ),
        (
            "a curve of the test loss",
            (
                "The test set is looked at once, at the end, and the number of weights stays the "
                "same. Which two losses does `fit` return?"
            ),
            {"learning_curve": "C"},
        ),
        (
            "a curve of times",
            (
                "Times say how fast a network is, not how well it learns. Which two losses does "
                "`fit` return?"
            ),
            {"learning_curve": "D"},
        ),
        (
            "no answers",
            "Each of the two questions wants a letter from A to D.",
            {"gate": None, "learning_curve": None},
        ),
        (
            "words for letters",
            "The answer is the letter that stands before the words, in quotes.",
            {"gate": "input gate"},
        ),
    )
)

MUTANTS: tuple[Mutant, ...] = (
    *GATES,
    *CELL,
    *LAYER,
    *CLIP,
    *FIT,
    *STOPPING,
    *FORECAST,
    *TRAINING,
    *QUIZZES,
)
