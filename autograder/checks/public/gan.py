"""The public checks of 07-gan: laws, worked examples and shapes, for students to run."""

from __future__ import annotations

import math
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
    expect_shape,
    expect_tensor,
    given,
)
from autograder.strategies import filled, sizes, tensors
from autograder.subject import StudentObject, Subject

EXERCISES: tuple[Exercise, ...] = (
    Exercise("discriminator_loss"),
    Exercise("generator_loss"),
    Exercise("optimal_discriminator", names=("optimal_discriminator", "js_divergence")),
    Exercise("Generator", names=("Generator", "Discriminator")),
    Exercise("discriminator_step"),
    Exercise("generator_step"),
    Exercise("train_gan"),
    Exercise("mode_coverage"),
    Exercise("ReplayBuffer"),
    Exercise("minibatch_discrimination"),
)

DOUBLE = torch.float64
LOG2 = math.log(2)


def row(*values: float) -> torch.Tensor:
    """A vector in float64."""
    return torch.tensor(values, dtype=DOUBLE)


def doubles(shape: tuple[int, ...], seed: int, scale: float = 4.0) -> torch.Tensor:
    """Multiples of 1/scale, from −9/scale to 9/scale, in float64."""
    return filled(shape, seed, dtype=DOUBLE) / scale


def scalar(value: Any) -> torch.Tensor:
    """Fails unless `value` is a 0-dimensional tensor."""
    expect_shape(value, ())
    return expect_tensor(value)


def batches(low: int = -9, high: int = 9) -> st.SearchStrategy[torch.Tensor]:
    """Logits [b] in float64, b from 1 to 5."""
    return tensors("b", low=low, high=high, dtype=DOUBLE)


@st.composite
def distributions(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Two distributions over the same 2 to 6 cells, some of them empty."""
    k = draw(sizes(2, 6))

    def one() -> torch.Tensor:
        weights = filled((k,), draw(st.integers(0, 2**16)), -3, 6, DOUBLE).clamp(min=0)
        weights[draw(sizes(0, k - 1))] += 1
        return weights / weights.sum()

    return one(), one()


# --- discriminator_loss --------------------------------------------------------------------------


@check(
    "discriminator_loss",
    points=2,
    hint="With logit l, D = σ(l), and −log σ(l) = log(1 + e^−l). Add the two means.",
)
@example(real_logits=row(0, 0, 0), fake_logits=row(0, 0), loss=2 * LOG2)
@example(real_logits=row(math.log(3)), fake_logits=row(0), loss=math.log(4 / 3) + LOG2)
@example(real_logits=row(0), fake_logits=row(math.log(3)), loss=math.log(4) + LOG2)
@example(
    real_logits=row(math.log(3), -math.log(3), math.log(3), -math.log(3)),
    fake_logits=row(-math.log(7)),
    loss=(math.log(4 / 3) + math.log(4)) / 2 + math.log(8 / 7),
)
def discriminator_loss_gives_the_worked_examples(student, real_logits, fake_logits, loss):
    """Gives the worked examples: 2 log 2 where every logit is 0."""
    value = student.discriminator_loss(real_logits, fake_logits)
    expect_close(value, torch.tensor(loss, dtype=DOUBLE))


@check(
    "discriminator_loss",
    points=1,
    hint="Each term is a mean over its own batch: don't put both batches into one mean.",
)
@example(real_logits=row(1, -2, 3), fake_logits=row(2, 0.5))
@given(real_logits=batches(), fake_logits=batches())
def weighs_both_batches_alike(student, real_logits, fake_logits):
    """Repeating the rows of one batch changes nothing, and it is positive."""
    once = scalar(student.discriminator_loss(real_logits, fake_logits))
    expect(once > 0, "the loss is a sum of −log of probabilities: it is positive", once)
    expect_close(student.discriminator_loss(real_logits.repeat(3), fake_logits), once)
    expect_close(student.discriminator_loss(real_logits, fake_logits.repeat(2)), once)


@check(
    "discriminator_loss",
    points=1,
    hint="Real rows should get large logits, generated ones small: which of the terms has the −?",
)
@example(real_logits=row(1, -2, 3), fake_logits=row(2, 0.5))
@given(real_logits=batches(), fake_logits=batches())
def rewards_telling_them_apart(student, real_logits, fake_logits):
    """Falls when the logits of real rows rise or those of generated ones fall; swapping real and
    generated, with every logit's sign changed, changes nothing."""
    once = scalar(student.discriminator_loss(real_logits, fake_logits))
    better = scalar(student.discriminator_loss(real_logits + 0.5, fake_logits))
    expect(better < once, "larger logits on real rows should cost less", better, once)
    better = scalar(student.discriminator_loss(real_logits, fake_logits - 0.5))
    expect(better < once, "smaller logits on generated rows should cost less", better, once)
    expect_close(student.discriminator_loss(-fake_logits, -real_logits), once)


@check(
    "discriminator_loss",
    points=1,
    hint="σ(−10000) is 0, and log 0 is −∞: never take the log of a rounded probability.",
)
@example(real_logits=row(1e4, -1e4), fake_logits=row(-1e4, -1e4), loss=5e3)
@example(real_logits=row(50, 50), fake_logits=row(1e4, -1e4, 40, 0), loss=2510 + LOG2 / 4)
@example(real_logits=row(-200).float(), fake_logits=row(100, 300, -1e4, -100).float(), loss=300.0)
def discriminator_loss_is_finite_for_large_logits(student, real_logits, fake_logits, loss):
    """Is right for logits of ±10000, too."""
    value = student.discriminator_loss(real_logits, fake_logits)
    expect_close(value, torch.tensor(loss, dtype=real_logits.dtype))


# --- generator_loss ------------------------------------------------------------------------------


@check(
    "generator_loss",
    points=2,
    hint="Not saturating is the default: −log D. Saturating is log(1 − D), without a minus.",
)
@example(fake_logits=row(0, 0), arguments={}, loss=LOG2)
@example(fake_logits=row(0, 0), arguments={"saturating": True}, loss=-LOG2)
@example(fake_logits=row(math.log(3)), arguments={"saturating": False}, loss=math.log(4 / 3))
@example(fake_logits=row(math.log(3)), arguments={"saturating": True}, loss=-math.log(4))
@example(
    fake_logits=row(math.log(3), 0, -math.log(3)),
    arguments={},
    loss=(math.log(4 / 3) + LOG2 + math.log(4)) / 3,
)
def generator_loss_gives_the_worked_examples(student, fake_logits, arguments, loss):
    """Gives the worked examples, saturating and not."""
    value = student.generator_loss(fake_logits, **arguments)
    expect_close(value, torch.tensor(loss, dtype=DOUBLE))


@check(
    "generator_loss",
    points=1,
    hint="Compare with discriminator_loss: log(1 − D) is what D wants large, and G small.",
)
@example(fake_logits=row(1, -2, 3))
@given(fake_logits=batches())
def both_fall_when_d_is_fooled(student, fake_logits):
    """Both losses fall when the logits rise; the one is above 0, the saturating one below."""
    for saturating in (False, True):
        once = scalar(student.generator_loss(fake_logits, saturating=saturating))
        expect((once < 0) == saturating, "the sign is wrong", once)
        better = scalar(student.generator_loss(fake_logits + 0.5, saturating=saturating))
        expect(
            better < once, "larger logits mean that D is fooled: G should pay less", better, once
        )


@check(
    "generator_loss",
    points=2,
    hint="At a logit of −30, −log D has the slope −1, and log(1 − D) is flat. No clamping.",
)
@example(fake_logits=row(-30, -30, -30, -30))
@example(fake_logits=row(-45, -35))
def keeps_its_gradient_where_d_wins(student, fake_logits):
    """Where D is sure (logits of −30), each row's gradient is −1/b; of the saturating loss, 0."""
    one = torch.tensor(1.0, dtype=DOUBLE)
    _, (alive,) = student.generator_loss.gradients(fake_logits, cotangent=one)
    expect(alive is not None, "no gradient reaches the logits")
    expect_close(alive, torch.full_like(fake_logits, -1 / len(fake_logits)), "the gradient")
    _, (flat,) = student.generator_loss.gradients(fake_logits, cotangent=one, saturating=True)
    expect(flat is not None, "no gradient reaches the logits of the saturating loss")
    expect_close(flat, torch.zeros_like(fake_logits), "the gradient of the saturating loss")


# --- optimal_discriminator, js_divergence --------------------------------------------------------


@check(
    "optimal_discriminator", points=2, hint="In each cell: which share of what lies there is real?"
)
@example(p_data=row(0.5, 0.5), p_g=row(0.5, 0.5), best=row(0.5, 0.5))
@example(p_data=row(0.25, 0.75), p_g=row(0.75, 0.25), best=row(0.25, 0.75))
@example(p_data=row(0.2, 0.8, 0), p_g=row(0.6, 0, 0.4), best=row(0.25, 1, 0))
@example(p_data=row(0.5, 0.5, 0, 0), p_g=row(0.125, 0.25, 0.625, 0), best=row(0.8, 2 / 3, 0, 0.5))
def finds_the_best_answer_in_each_cell(student, p_data, p_g, best):
    """Gives the worked examples; where both are empty, 1/2."""
    expect_close(student.optimal_discriminator(p_data, p_g), best)


@check(
    "optimal_discriminator",
    points=2,
    hint="The middle is m = (p + q)/2. Half of each KL, natural logarithm, and 0 log 0 is 0.",
)
@example(p=row(0.5, 0.5), q=row(0.5, 0.5), js=0.0)
@example(p=row(1, 0), q=row(0, 1), js=LOG2)
@example(p=row(0.25, 0.75), q=row(0.75, 0.25), js=0.25 * math.log(0.5) + 0.75 * math.log(1.5))
@example(
    p=row(1, 0), q=row(0.5, 0.5), js=(math.log(4 / 3) + 0.5 * math.log(2 / 3) + 0.5 * LOG2) / 2
)
@example(p=row(0.25, 0.75, 0, 0, 0), q=row(0, 0, 0.5, 0, 0.5), js=LOG2)
def js_divergence_gives_the_worked_examples(student, p, q, js):
    """js_divergence gives the worked examples: 0 for equals, log 2 for disjoint supports."""
    expect_close(student.js_divergence(p, q), torch.tensor(js, dtype=DOUBLE))


@check(
    "optimal_discriminator",
    points=1,
    hint="Bounds and symmetry hold for JS, not for a KL alone.",
)
@example(pair=(row(0.5, 0.5, 0), row(0, 0.25, 0.75)))
@given(pair=distributions())
def js_divergence_is_symmetric_and_bounded(student, pair):
    """js_divergence(p, q) equals js_divergence(q, p), from 0 to log 2, and above 0 for unequals."""
    p, q = pair
    js = scalar(student.js_divergence(p, q))
    expect_close(student.js_divergence(q, p), js, "with p and q swapped")
    expect(-1e-9 <= js <= LOG2 + 1e-9, "it is not between 0 and log 2", js)
    apart = float((p - q).abs().sum())
    # Pinsker's inequality, for each half.
    expect(js >= apart**2 / 8 - 1e-9, "the two differ more than that", js)


@check(
    "optimal_discriminator",
    points=1,
    hint="D* lies in [0, 1] in every cell, and exchanging data and generator gives 1 − D*.",
)
@example(pair=(row(0.5, 0.5, 0, 0), row(0, 0.25, 0.75, 0)))
@given(pair=distributions())
def exchanging_the_two_gives_the_rest(student, pair):
    """D* for (p, q) and for (q, p) add up to 1 in every cell, empty ones too."""
    p, q = pair
    best = student.optimal_discriminator(p, q)
    expect_shape(best, p.shape)
    expect(bool(((best >= -1e-9) & (best <= 1 + 1e-9)).all()), "D* is a probability", best)
    alone = (p > 0) & (q == 0)
    expect(bool((best[alone] > 1 - 1e-9).all()), "where only data lie, D* is 1", best)
    expect_close(student.optimal_discriminator(q, p), 1 - best)


@check(
    "optimal_discriminator",
    points=1,
    hint="V is what D maximises: Σ p log D + q log(1 − D). Are your logarithms natural ones?",
)
@example(pair=(row(0.5, 0.5, 0), row(0, 0.25, 0.75)))
@given(pair=distributions())
def the_game_is_worth_twice_js_less_log_four(student, pair):
    """With D*, Σ p log D* + q log(1 − D*) equals 2 JS − log 4."""
    p, q = pair
    best = student.optimal_discriminator(p, q)
    expect_shape(best, p.shape)
    value = (torch.special.xlogy(p, best) + torch.special.xlogy(q, 1 - best)).sum()
    expect_close(student.js_divergence(p, q), (value + math.log(4)) / 2)


# --- Generator, Discriminator --------------------------------------------------------------------


def networks(student: Subject, latent: int, hidden: int, d: int) -> tuple[Any, Any]:
    """A Generator and a Discriminator of the student's, in float64."""
    return (
        student.Generator.keep(latent, hidden, d).double.keep(),
        student.Discriminator.keep(d, hidden).double.keep(),
    )


@check(
    "Generator",
    points=1,
    hint="z[b, z] to [b, d]; x[b, d] to [b], without a second dimension. Is latent_dim kept?",
)
@example(latent=3, hidden=7, d=2, b=5)
@example(latent=1, hidden=4, d=5, b=2)
@given(latent=sizes(1, 4), hidden=sizes(2, 6), d=sizes(1, 4), b=sizes(2, 5))
def has_the_promised_shapes(student, latent, hidden, d, b):
    """Noise [b, z] gives samples [b, d], they give logits [b], and latent_dim is kept."""
    g, discriminator = networks(student, latent, hidden, d)
    expect_equal(g.value_of("latent_dim"), latent)
    samples = g(doubles((b, latent), 1))
    expect_shape(samples, (b, d))
    expect(samples.dtype == DOUBLE, "after .double() the dtype is float64", samples)
    expect_shape(discriminator(doubles((b, d), 2)), (b,))


@check(
    "Generator",
    points=1,
    hint="No layer may look at the other rows: BatchNorm does, in training.",
)
@example(latent=3, hidden=8, d=2, b=5)
@given(latent=sizes(1, 4), hidden=sizes(4, 8), d=sizes(1, 4), b=sizes(2, 4))
def treats_each_row_alone(student, latent, hidden, d, b):
    """What comes of a row does not depend on the rows beside it."""
    g, discriminator = networks(student, latent, hidden, d)
    for module, x in ((g, doubles((b, latent), 1)), (discriminator, doubles((b, d), 2))):
        together = expect_tensor(module(x))
        expect(len(together) == b, "a row for each row was expected", together)
        expect_close(module(x[:1]), together[:1], "the first row alone")
        expect_close(module(x.flip(0)), together.flip(0), "the rows in reversed order")


@check(
    "Generator", points=2, hint="The last layer is linear: no tanh, no sigmoid, no ReLU after it."
)
@example(latent=4, hidden=8, d=3)
@example(latent=2, hidden=16, d=1)
def outputs_are_unbounded(student, latent, hidden, d):
    """With parameters a million times as large, both networks reach beyond 10,000, and logits are
    negative for some networks and positive for others."""
    logits = []
    for seed in range(1, 9):
        g, discriminator = networks(student, latent, hidden, d)
        student.fixtures.scale_parameters(g, 1e6)
        student.fixtures.scale_parameters(discriminator, 1e6)
        samples = expect_tensor(g(doubles((64, latent), seed)))
        expect(samples.abs().max() > 1e4, "the samples are bounded", samples)
        logits.append(expect_tensor(discriminator(doubles((64, d), seed))))
        expect(logits[-1].abs().max() > 1e4, "the logits are bounded", logits[-1])
    every = torch.cat(logits)
    expect(every.min() < 0 < every.max(), "logits of both signs were expected", every)


# --- discriminator_step --------------------------------------------------------------------------

# Small enough to work out by hand. D(x) = w·x + c starts at 0, so that every probability is 1/2.
REAL = torch.tensor([[2.0], [4.0]], dtype=DOUBLE)
NOISE = torch.tensor([[1.0], [-3.0], [-1.0]], dtype=DOUBLE)


def line(network: StudentObject, weight: float, bias: float) -> None:
    """Makes a network of one input and one output x ↦ weight·x + bias."""
    network.load_state_dict(
        {
            "0.weight": torch.tensor([[weight]], dtype=DOUBLE),
            "0.bias": torch.tensor([bias], dtype=DOUBLE),
        }
    )


def lines(student: Subject, g: tuple[float, float], d: tuple[float, float]) -> tuple[Any, Any]:
    """A generator and a discriminator that are straight lines: (weight, bias) of each."""
    generator = student.fixtures.latent_network.keep([1, 1], seed=1)
    discriminator = student.fixtures.discriminator.keep([1, 1], seed=2)
    line(generator, *g)
    line(discriminator, *d)
    return generator, discriminator


def expect_line(network: StudentObject, weight: float, bias: float, who: str) -> None:
    """Fails unless the network is x ↦ weight·x + bias."""
    state = network.state_dict()
    for name, value in (("0.weight", torch.tensor([[weight]])), ("0.bias", torch.tensor([bias]))):
        expect_close(state[name], value.double(), f"{who}'s parameter {name}")


def expect_gradient(network: StudentObject, student: Subject, value: float, who: str) -> None:
    """Fails unless every gradient that is left in the network is `value`."""
    for name, gradient in student.fixtures.gradients(network).items():
        expect(gradient is not None, f"{who}'s gradient of {name} is gone", gradient)
        expect_close(gradient, torch.full_like(gradient, value), f"{who}'s gradient of {name}")


@check(
    "discriminator_step",
    points=2,
    hint="Is the loss on real and on generated rows, are old gradients cleared, and is there one "
    "step?",
)
@example(left_over=0.0)
@example(left_over=10.0)
def steps_down_the_discriminators_loss(student, left_over):
    """D(x) = 0·x becomes D(x) = 1·x after one step of 0.5, whatever gradients were there before."""
    g, d = lines(student, (1, 0), (0, 0))
    sgd = student.fixtures.sgd.keep(d, lr=0.5)
    if left_over:
        student.fixtures.leave_gradients(d, left_over)
    student.discriminator_step(g, d, sgd, REAL, NOISE)
    expect_line(d, 1, 0, "the discriminator")


@check("discriminator_step", points=2, hint="A float: .item() of the loss before the step.")
@example(d=(0.0, 0.0), loss=2 * LOG2)
@example(d=(0.0, math.log(3)), loss=math.log(4 / 3) + math.log(4))
@example(d=(0.0, -math.log(7)), loss=math.log(8) + math.log(8 / 7))
def returns_the_discriminators_loss_before_the_step(student, d, loss):
    """Returns the loss before the step, as a float."""
    g, discriminator = lines(student, (1, 0), d)
    sgd = student.fixtures.sgd.keep(discriminator, lr=0.5)
    expect_float(student.discriminator_step(g, discriminator, sgd, REAL, NOISE), loss)


def expect_float(value: Any, expected: float) -> None:
    """Fails unless `value` is a float, nearly the expected one."""
    expect(type(value) is float, "a float was expected", value)
    expect(math.isclose(value, expected, rel_tol=1e-6, abs_tol=1e-9), "not that", value, expected)


@check(
    "discriminator_step",
    points=2,
    hint="Cut the generator out of the graph: torch.no_grad() or .detach() for its samples.",
)
@example(left_over=3.0)
@example(left_over=-7.0)
def leaves_the_generator_alone(student, left_over):
    """The generator's parameters and the gradients left in them are as before; D has moved."""
    g, d = lines(student, (1, 0.25), (0.5, 0))
    sgd = student.fixtures.sgd.keep(d, lr=0.5)
    student.fixtures.leave_gradients(g, left_over)
    student.discriminator_step(g, d, sgd, REAL, NOISE)
    expect_line(g, 1, 0.25, "the generator")
    expect_gradient(g, student, left_over, "the generator")
    moved = d.state_dict()["0.weight"]
    expect(bool((moved != 0.5).all()), "the discriminator has not moved", moved)


# --- generator_step ------------------------------------------------------------------------------


@check(
    "generator_step",
    points=2,
    hint="G should be judged as if its samples were real: −log D(G(z)). Clear old gradients first.",
)
@example(left_over=0.0)
@example(left_over=10.0)
def steps_down_the_generators_loss(student, left_over):
    """With D(x) = 4·x and z of mean −1, G(z) = 0·z becomes −1·z + 1 after one step of 0.5."""
    g, d = lines(student, (0, 0), (4, 0))
    sgd = student.fixtures.sgd.keep(g, lr=0.5)
    if left_over:
        student.fixtures.leave_gradients(g, left_over)
        student.fixtures.leave_gradients(d, left_over)
    student.generator_step(g, d, sgd, NOISE)
    expect_line(g, -1, 1, "the generator")


@check("generator_step", points=2, hint="A float, of the non-saturating loss before the step.")
@example(bias=0.0, loss=LOG2)
@example(bias=math.log(3), loss=math.log(4 / 3))
@example(bias=-math.log(7), loss=math.log(8))
def returns_the_generators_loss_before_the_step(student, bias, loss):
    """Returns the non-saturating loss before the step, as a float."""
    g, d = lines(student, (0, 0), (1, bias))
    sgd = student.fixtures.sgd.keep(g, lr=0.5)
    expect_float(student.generator_step(g, d, sgd, NOISE), loss)


@check(
    "generator_step",
    points=2,
    hint="loss.backward() reaches D's parameters too: what it leaves there must go.",
)
@example(left_over=0.0)
@example(left_over=5.0)
def leaves_the_discriminator_without_gradients(student, left_over):
    """The discriminator's parameters stay, and no gradient is left in them; G has moved."""
    g, d = lines(student, (0.5, 0), (4, 0.25))
    sgd = student.fixtures.sgd.keep(g, lr=0.5)
    if left_over:
        student.fixtures.leave_gradients(d, left_over)
    student.generator_step(g, d, sgd, NOISE)
    expect_line(d, 4, 0.25, "the discriminator")
    expect_no_gradient(student, d)
    moved = g.state_dict()["0.bias"]
    expect(bool((moved != 0).all()), "the generator has not moved", moved)


def expect_no_gradient(student: Subject, discriminator: StudentObject) -> None:
    """Fails unless each gradient in the discriminator is None or zero."""
    for name, gradient in student.fixtures.gradients(discriminator).items():
        left = gradient is not None and bool(gradient.any())
        expect(not left, f"the discriminator is left with a gradient of {name}", gradient)


# --- train_gan -----------------------------------------------------------------------------------


def players(student: Subject, latent: int, d: int, seed: int) -> tuple[Any, Any]:
    """A small generator and discriminator in float64."""
    return (
        student.fixtures.latent_network.keep([latent, 5, d], seed=seed),
        student.fixtures.discriminator.keep([d, 6, 1], seed=seed + 1),
    )


def trained(
    student: Subject,
    networks: tuple[Any, Any],
    real: torch.Tensor,
    rng: int,
    *,
    steps: int,
    discriminator_steps: int,
    batch_size: int,
    lr: float,
) -> Any:
    """What train_gan returns; it trains the networks."""
    generator = student.fixtures.generator.keep(rng)
    return student.train_gan(*networks, real, steps, discriminator_steps, batch_size, lr, generator)


@check(
    "train_gan",
    points=2,
    hint="One float a step in each list; a step with lr = 0 changes nothing, so all are equal.",
)
@example(steps=3, discriminator_steps=1, g=0.0, real=0.0)
@example(steps=2, discriminator_steps=3, g=math.log(3), real=math.log(7))
@example(steps=1, discriminator_steps=2, g=-2.0, real=1.0)
def returns_both_losses_of_each_step(student, steps, discriminator_steps, g, real):
    """Returns {"d": [...], "g": [...]} with one float a step: where lr is 0, all the same."""
    networks = lines(student, (0, g), (1, 0))
    history = trained(
        student,
        networks,
        torch.full((6, 1), real, dtype=DOUBLE),
        1,
        steps=steps,
        discriminator_steps=discriminator_steps,
        batch_size=4,
        lr=0.0,
    )
    expect(
        isinstance(history, dict) and sorted(history) == ["d", "g"],
        'a dict with the keys "d" and "g" was expected',
        history,
    )
    losses = {"d": math.log1p(math.exp(-real)) + math.log1p(math.exp(g))}
    losses["g"] = math.log1p(math.exp(-g))
    for name, loss in losses.items():
        values = history[name]
        expect(
            isinstance(values, list) and len(values) == steps,
            f'history["{name}"] should hold one float for each of {steps} steps',
            values,
        )
        for value in values:
            expect_float(value, loss)


ROWS = torch.arange(14, dtype=DOUBLE).reshape(7, 2) / 7 - 1


def events_of_training(
    student: Subject, seed: int, steps: int, discriminator_steps: int, batch_size: int
) -> list[Any]:
    """The journal of a training on ROWS."""
    networks = players(student, 3, 2, seed)
    journal = student.fixtures.journal.keep(*networks)
    trained(
        student,
        networks,
        ROWS,
        seed,
        steps=steps,
        discriminator_steps=discriminator_steps,
        batch_size=batch_size,
        lr=1e-3,
    )
    events = journal.events()
    expect(isinstance(events, list), "the journal was lost", events)
    return list(events)


@check(
    "train_gan",
    points=2,
    hint="Two loops, one in the other: discriminator_steps updates of D, then one of G.",
)
@example(steps=4, discriminator_steps=1)
@example(steps=3, discriminator_steps=3)
@example(steps=1, discriminator_steps=5)
def updates_both_in_turn(student, steps, discriminator_steps):
    """In each step D is updated discriminator_steps times, then G once."""
    events = events_of_training(student, 1, steps, discriminator_steps, 4)
    updates = [event[0] for event in events if len(event) == 1]
    wanted = (["discriminator"] * discriminator_steps + ["generator"]) * steps
    if updates != wanted:
        expect(
            updates.count("generator") == steps,
            "G was updated so often",
            updates.count("generator"),
            steps,
        )
        count = updates.count("discriminator")
        expect(
            count == steps * discriminator_steps,
            "D was updated so often",
            count,
            steps * discriminator_steps,
        )
        expect(False, "the updates came in another order", updates, wanted)


def shown_rows(event: Any, rows: torch.Tensor) -> torch.Tensor:
    """Which of the rows [n, d] each row of a call's input is: [b, n], exactly equal or not."""
    equal: torch.Tensor = (event[1][:, None] == rows).all(dim=2)
    return equal


@check(
    "train_gan",
    points=2,
    hint="A batch is batch_size rows drawn from all of real, and as much noise, for every update.",
)
@example(steps=60, discriminator_steps=2, batch_size=16)
@example(steps=120, discriminator_steps=1, batch_size=10)
def draws_rows_from_all_of_real(student, steps, discriminator_steps, batch_size):
    """Each update of D sees its own batch_size rows of real as they are, and generated ones; over
    time each row of real is drawn about equally often. (real has 7 rows, fewer than a batch.)"""
    events = events_of_training(student, 3, steps, discriminator_steps, batch_size)
    generated = torch.cat(
        [event[2] for event in events if len(event) == 3 and event[0] == "generator"]
    )
    drawn = torch.zeros(len(ROWS))
    shown: list[torch.Tensor] = []
    last = None
    for event in events:
        if len(event) == 3 and event[0] == "discriminator":
            which = shown_rows(event, ROWS)
            drawn += which.sum(dim=0)
            unknown = ~which.any(dim=1)
            shown.append(event[1][~unknown])
            made = (event[1][unknown][:, None] == generated).all(dim=2).any(dim=1)
            expect(
                bool(made.all()),
                "D was shown a row that is neither in real nor made by G",
                event[1][unknown][~made][:1],
            )
        elif event == ("discriminator",):
            rows = torch.cat(shown) if shown else ROWS[:0]
            expect(
                len(rows) > 0 and len(rows) % batch_size == 0,
                f"with batch_size {batch_size}, D was shown this many rows of real for an update",
                len(rows),
            )
            again = last is not None and torch.equal(rows, last)
            expect(not again, "two updates of D in a row were shown the same rows of real", rows)
            shown, last = [], rows
    share = drawn / drawn.sum()
    expect(
        bool((share > 0.5 / len(ROWS)).all() and (share < 2 / len(ROWS)).all()),
        f"each of the {len(ROWS)} rows of real should have about the same share of the draws",
        share,
    )


@check(
    "train_gan",
    points=1,
    hint="torch.randn of (batch_size, latent_dim), with generator=generator_rng, new every time.",
)
@example(steps=80, discriminator_steps=3, batch_size=8)
def draws_standard_normal_noise(student, steps, discriminator_steps, batch_size):
    """The generator's input is fresh noise from N(0, I), [batch_size, latent_dim], each time D is
    updated."""
    events = events_of_training(student, 5, steps, discriminator_steps, batch_size)
    inputs = [event[1] for event in events if len(event) == 3 and event[0] == "generator"]
    expect(
        all(z.dim() == 2 and z.shape[1] == 3 and len(z) % batch_size == 0 for z in inputs),
        f"[{batch_size}, 3] was expected of the noise",
        inputs[0] if inputs else None,
    )
    z = torch.cat(inputs).unique(dim=0)
    least = steps * discriminator_steps * batch_size
    expect(len(z) >= least, f"{least} different rows of noise were expected at least", len(z))
    # 1920 rows of 3: six standard deviations away from what N(0, I) gives.
    expect(
        z.mean(dim=0).abs().max() < 0.15, "the mean of the noise should be near 0", z.mean(dim=0)
    )
    covariance = z.T.cov()
    off = (covariance - torch.eye(3, dtype=DOUBLE)).abs().max()
    expect(off < 0.2, "the covariance of the noise should be near the identity", covariance)
    fourth = (z**4).mean()
    expect((fourth - 3).abs() < 0.9, "the fourth moment of a normal variable is 3", fourth)


# --- mode_coverage -------------------------------------------------------------------------------


def counted(value: Any) -> tuple[int, float]:
    """Fails unless `value` is a pair of an int and a float."""
    expect(
        isinstance(value, tuple | list) and [type(item) for item in value] == [int, float],
        "a pair (covered, quality) of an int and a float was expected",
        value,
    )
    return value[0], value[1]


def expect_coverage(value: Any, covered: int, quality: float) -> None:
    """Fails unless `value` is this pair."""
    count, share = counted(value)
    expect(
        count == covered and math.isclose(share, quality, abs_tol=1e-6),
        "not that",
        value,
        (covered, quality),
    )


CORNERS = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


@check("mode_coverage", points=1, hint="A sample is near where its Euclidean distance is ≤ radius.")
@example(
    samples=torch.tensor([[0.5, 0.0], [9.0, 0.0], [5.0, 5.0], [0.0, 0.25]]),
    radius=1.5,
    result=(2, 0.75),
)
@example(samples=torch.tensor([[5.0, 5.0], [1.2, 1.2]]), radius=1.5, result=(0, 0.0))
@example(
    samples=torch.tensor([[1.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 11.0], [4.0, 4.0]]),
    radius=1.0,
    result=(3, 0.8),
)
def mode_coverage_gives_the_worked_examples(student, samples, radius, result):
    """Gives the worked examples, as an int and a float."""
    expect_coverage(student.mode_coverage(samples, CORNERS, radius), *result)


@check("mode_coverage", points=1, hint="Modes are counted, not samples; and quality is a share.")
@example(n=5, mode=1)
@given(n=sizes(1, 9), mode=sizes(0, 2))
def a_collapsed_generator_covers_one_mode(student, n, mode):
    """Copies of one mode cover 1, with quality 1; with as many far away, the quality is 1/2."""
    samples = CORNERS[[mode]].repeat(n, 1)
    expect_coverage(student.mode_coverage(samples, CORNERS, 1.0), 1, 1.0)
    both = torch.cat([samples, samples + 100])
    expect_coverage(student.mode_coverage(both, CORNERS, 1.0), 1, 0.5)


@check("mode_coverage", points=1, hint="Neither the samples' order nor the modes' may matter.")
@example(samples=filled((5, 2), 1), modes=filled((4, 2), 2))
@given(samples=tensors("n", low=1).flatmap(lambda n: tensors((len(n), 3))), modes=tensors((4, 3)))
def mode_coverage_ignores_the_order(student, samples, modes):
    """In another order of the samples, the modes or the coordinates, the result is the same; and
    samples twice count as once."""
    covered, quality = counted(student.mode_coverage(samples, modes, 6.5))
    expect(0 <= covered <= len(modes) and 0 <= quality <= 1, "out of range", (covered, quality))
    for s, m in (
        (samples.flip(0), modes),
        (samples, modes.flip(0)),
        (samples.flip(1), modes.flip(1)),
        (samples.repeat(2, 1), modes),
    ):
        expect_coverage(student.mode_coverage(s, m, 6.5), covered, quality)


# --- ReplayBuffer --------------------------------------------------------------------------------


def numbered(first: int, count: int) -> torch.Tensor:
    """Rows [n, 2] that say their number: 10·n and 10·n + 1."""
    start = 10.0 * torch.arange(first, first + count)
    return torch.stack([start, start + 1], dim=1)


def numbers(rows: Any, n: int) -> list[int]:
    """Which of the numbered rows came back; fails unless they are n whole ones."""
    expect_shape(rows, (n, 2))
    which = (rows[:, 0] / 10).round().long()
    expect(
        torch.equal(rows, torch.stack([10.0 * which, 10.0 * which + 1], dim=1).to(rows.dtype)),
        "a row came back that was never pushed",
        rows,
    )
    return [int(number) for number in which]


@check(
    "ReplayBuffer", points=1, hint="Capacity is in rows, not in batches: the oldest rows go first."
)
@example(capacity=5, counts=[2, 2, 2], kept=[1, 2, 3, 4, 5])
@example(capacity=4, counts=[3], kept=[0, 1, 2])
@example(capacity=3, counts=[2, 1, 4, 1], kept=[5, 6, 7])
def keeps_the_newest_rows(student, capacity, counts, kept):
    """Holds at most capacity rows, and these are the newest."""
    buffer = student.ReplayBuffer.keep(capacity)
    expect_equal(student.fixtures.length(buffer), 0)
    pushed = 0
    for count in counts:
        buffer.push(numbered(pushed, count))
        pushed += count
        expect_equal(student.fixtures.length(buffer), min(pushed, capacity))
    rng = student.fixtures.generator.keep(1)
    found = sorted(set(numbers(buffer.sample(200, rng), 200)))
    expect(found == kept, "of the rows that were pushed, these numbers are there", found, kept)


@check(
    "ReplayBuffer", points=1, hint="Draw indices, with replacement: n may be more than there are."
)
@example(count=3, n=10)
@example(count=1, n=4)
@example(count=6, n=2)
def samples_whole_rows(student, count, n):
    """sample(n, generator) gives n of the stored rows, also where n is more than there are."""
    buffer = student.ReplayBuffer.keep(8)
    buffer.push(numbered(0, count))
    rng = student.fixtures.generator.keep(2)
    found = numbers(buffer.sample(n, rng), n)
    expect(max(found) < count, "a row came back that was never pushed", max(found))


@check("ReplayBuffer", points=1, hint="What is stored must be the buffer's own: .detach().clone().")
@example(count=3)
@example(count=5)
def stores_copies(student, count):
    """Changing a batch after it was pushed does not change what the buffer holds."""
    buffer = student.ReplayBuffer.keep(5)
    batch = student.fixtures.tensor.keep(numbered(0, count))
    buffer.push(batch)
    batch.fill_(-1.0)
    rng = student.fixtures.generator.keep(3)
    numbers(buffer.sample(20, rng), 20)


# --- minibatch_discrimination --------------------------------------------------------------------


@check(
    "minibatch_discrimination",
    points=1,
    hint="By hand: M = features · T, the L1 distance of each two rows' M, and exp(−distance).",
)
@example(
    features=torch.tensor([[0.0], [LOG2]], dtype=DOUBLE),
    T=torch.tensor([[[1.0]]], dtype=DOUBLE),
    result=torch.tensor([[0.0, 0.5], [LOG2, 0.5]], dtype=DOUBLE),
)
@example(
    features=torch.tensor([[0.0], [LOG2], [LOG2]], dtype=DOUBLE),
    T=torch.tensor([[[1.0, -1.0], [0.0, 0.0]]], dtype=DOUBLE),
    result=torch.tensor([[0, 0.5, 2], [LOG2, 1.25, 2], [LOG2, 1.25, 2]], dtype=DOUBLE),
)
def minibatch_discrimination_gives_the_worked_examples(student, features, T, result):
    """Gives the worked examples."""
    expect_close(student.minibatch_discrimination(features, T), result)


@st.composite
def minibatches(draw: st.DrawFn, least: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """(features[b, f], T[f, o, r]) with distances near 1."""
    b, f, o, r = draw(sizes(least, 5)), draw(sizes(1, 3)), draw(sizes(1, 4)), draw(sizes(1, 3))
    seed = draw(st.integers(0, 2**16))
    return doubles((b, f), seed, 10), doubles((f, o, r), seed + 1, 10)


@check("minibatch_discrimination", points=1, hint="A row is not compared with itself: j ≠ i.")
@example(call=(doubles((4, 3), 1), doubles((3, 5, 2), 2)), b=4)
@given(call=minibatches(), b=sizes(1, 6))
def identical_rows_give_b_minus_one(student, call, b):
    """In a batch of b equal rows every added column is b − 1: nothing at all for a batch of one."""
    features, T = call
    f, o, _ = T.shape
    same = features[:1].repeat(b, 1)
    out = student.minibatch_discrimination(same, T)
    expect_shape(out, (b, f + o))
    expect_close(out[:, f:], torch.full((b, o), b - 1, dtype=DOUBLE), "the added columns")


@check("minibatch_discrimination", points=2, hint="The features come first, then one column an o.")
@example(call=(doubles((4, 3), 1, 10), doubles((3, 5, 2), 2, 10)))
@given(call=minibatches())
def keeps_the_features_and_follows_the_rows(student, call):
    """The first f columns are the features; the added ones lie between 0 and b − 1, follow their
    rows into another order, and don't change when all rows are shifted alike."""
    features, T = call
    (b, f), o = features.shape, T.shape[1]
    out = student.minibatch_discrimination(features, T)
    expect_shape(out, (b, f + o))
    expect_close(out[:, :f], features, "the features")
    added = out[:, f:]
    expect(bool(((added >= 0) & (added <= b - 1 + 1e-9)).all()), "out of range", added)
    expect_close(student.minibatch_discrimination(features.flip(0), T), out.flip(0))
    shifted = student.minibatch_discrimination(features + 1, T)
    expect_shape(shifted, (b, f + o))
    expect_close(shifted[:, f:], added, "the added columns of shifted rows")
