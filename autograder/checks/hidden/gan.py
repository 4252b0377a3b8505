"""The hidden checks of 07-gan: oracles, gradients, edges, and what training reaches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn

from autograder import fixtures
from autograder.calibration import Measurement, bound
from autograder.check import (
    check,
    example,
    expect,
    expect_close,
    expect_shape,
    expect_tensor,
    given,
)
from autograder.checks.hidden.laws import (
    DTYPE,
    GRAPH,
    LAYOUT,
    Call,
    expect_dtype_and_device,
    expect_gradients,
    expect_inputs_kept,
    in_both_dtypes,
    values_and_gradients,
)
from autograder.checks.public.gan import (
    DOUBLE,
    ROWS,
    batches,
    distributions,
    doubles,
    expect_coverage,
    expect_float,
    expect_no_gradient,
    lines,
    minibatches,
    networks,
    numbered,
    numbers,
    players,
    row,
    trained,
)
from autograder.strategies import filled, sizes, tensors
from autograder.subject import StudentObject, Subject
from gradus import gan

FLAGS = "Whoever switches requires_grad off has to leave each flag as it was, not all of them True."


def reference() -> dict[str, Any]:
    """A right solution: every name that the exercises ask for."""
    names = (
        gan.discriminator_loss,
        gan.generator_loss,
        gan.optimal_discriminator,
        gan.js_divergence,
        gan.Generator,
        gan.Discriminator,
        gan.discriminator_step,
        gan.generator_step,
        gan.train_gan,
        gan.mode_coverage,
        gan.ReplayBuffer,
        gan.minibatch_discrimination,
    )
    return {item.__name__: item for item in names}


# --- discriminator_loss --------------------------------------------------------------------------


def cross_entropies(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """torch's own cross-entropy, against labels of 1 for real rows and 0 for generated ones."""
    bce = F.binary_cross_entropy_with_logits
    real = bce(real_logits, torch.ones_like(real_logits))
    return real + bce(fake_logits, torch.zeros_like(fake_logits))


TWO_BATCHES: Call = ([doubles((5,), 1), doubles((3,), 2)], {})


@check(
    "discriminator_loss",
    points=2,
    oracle=lambda real, fake: values_and_gradients(cross_entropies)(([real, fake], {})),
    hint=GRAPH,
)
@example(real=doubles((5,), 1), fake=doubles((3,), 2))
@example(real=doubles((1,), 3), fake=doubles((4,), 4))
@example(real=row(-10.5), fake=row(10.5))
@given(real=batches(), fake=batches())
def discriminator_loss_agrees_with_the_cross_entropy(student, real, fake, expected):
    """Agrees with torch's own cross-entropies, gradients to both arguments too."""
    expect_gradients(
        student.discriminator_loss, ([real, fake], {}), expected, ["real_logits", "fake_logits"]
    )


@check(
    "discriminator_loss",
    points=1,
    oracle=lambda call: values_and_gradients(cross_entropies)(call),
    hint="A logit of ±10000 has the gradient 0 or ±1/b: clamping cuts it, and 0 · ∞ is nan.",
)
@example(call=([row(1e4, -1e4, 60), row(-1e4, 1e4)], {}))
@example(call=([row(-200), row(30, 200, -40)], {}))
def discriminator_loss_has_the_right_gradients_for_large_logits(student, call, expected):
    """The gradients are right for logits of ±10000, too."""
    expect_gradients(student.discriminator_loss, call, expected, ["real_logits", "fake_logits"])


@check("discriminator_loss", points=1, oracle=in_both_dtypes(cross_entropies), hint=DTYPE)
@example(call=TWO_BATCHES)
def discriminator_loss_keeps_dtype_and_device(student, call, expected):
    """The loss has the logits' dtype, with all its digits, and is on their device."""
    expect_dtype_and_device(student.discriminator_loss, call, expected)
    expect_digits(student.discriminator_loss(*call[0]), expected[1])


def expect_digits(value: Any, right: torch.Tensor) -> None:
    """Fails unless float64's digits are there: what went through float32 keeps seven."""
    expect_close(value, right, "the digits of float64 are lost on the way", tolerance=1e-10)


def every_second(x: torch.Tensor) -> torch.Tensor:
    """The same values [b], with gaps between them in memory."""
    return x.repeat_interleave(2)[::2]


@check(
    "discriminator_loss",
    points=1,
    oracle=lambda call: cross_entropies(*call[0]),
    hint=LAYOUT,
)
@example(call=([every_second(x) for x in TWO_BATCHES[0]], {}))
def discriminator_loss_leaves_its_inputs_unchanged(student, call, expected):
    """Takes non-contiguous logits, and leaves them as they were."""
    expect_inputs_kept(student.discriminator_loss, call, expected)


# --- generator_loss ------------------------------------------------------------------------------


def fooling(fake_logits: torch.Tensor, saturating: bool = False) -> torch.Tensor:
    """By torch's own cross-entropy."""
    if saturating:
        return -F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
    return F.binary_cross_entropy_with_logits(fake_logits, torch.ones_like(fake_logits))


@check(
    "generator_loss",
    points=2,
    oracle=lambda fake, options: values_and_gradients(fooling)(([fake], options)),
    hint=GRAPH,
)
@example(fake=doubles((5,), 1), options={"saturating": True})
@example(fake=doubles((4,), 2), options={"saturating": False})
@example(fake=doubles((1,), 3), options={})
@given(fake=batches(), options=st.sampled_from([{}, {"saturating": True}]))
def generator_loss_agrees_with_the_cross_entropy(student, fake, options, expected):
    """Agrees with torch's own cross-entropy, its gradient too."""
    expect_gradients(student.generator_loss, ([fake], options), expected, ["fake_logits"])


@check(
    "generator_loss",
    points=1,
    oracle=lambda call: values_and_gradients(fooling)(call),
    hint="Never take the log of a rounded probability, and don't clamp: that cuts the gradient.",
)
@example(call=([row(1e4, -1e4, 60)], {}))
@example(call=([row(1e4, -1e4, -60)], {"saturating": True}))
@example(call=([row(-200, -150)], {"saturating": False}))
@example(call=([row(200, 150)], {"saturating": True}))
def generator_loss_is_right_for_large_logits(student, call, expected):
    """Both losses and their gradients are right for logits of ±10000, too."""
    expect_gradients(student.generator_loss, call, expected, ["fake_logits"])


@check("generator_loss", points=1, oracle=in_both_dtypes(fooling), hint=DTYPE)
@example(call=([doubles((5,), 1)], {}))
@example(call=([doubles((5,), 2)], {"saturating": True}))
def generator_loss_keeps_dtype_and_device(student, call, expected):
    """The loss has the logits' dtype, with all its digits, and is on their device."""
    expect_dtype_and_device(student.generator_loss, call, expected)
    expect_digits(student.generator_loss(*call[0], **call[1]), expected[1])


@check(
    "generator_loss",
    points=1,
    oracle=lambda call: fooling(*call[0], **call[1]),
    hint=LAYOUT,
)
@example(call=([every_second(doubles((5,), 1))], {}))
@example(call=([every_second(doubles((5,), 2))], {"saturating": True}))
def generator_loss_leaves_its_input_unchanged(student, call, expected):
    """Takes non-contiguous logits, and leaves them as they were."""
    expect_inputs_kept(student.generator_loss, call, expected)


# --- optimal_discriminator, js_divergence --------------------------------------------------------


def best_share(p_data: torch.Tensor, p_g: torch.Tensor) -> torch.Tensor:
    """D* cell by cell, in Python."""
    cells = zip(p_data.tolist(), p_g.tolist(), strict=True)
    return p_data.new_tensor([p / (p + q) if p + q else 0.5 for p, q in cells])


def js(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """The entropy of the middle less the middle of the entropies, in nats."""

    def entropy(x: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = torch.special.entr(x).sum()
        return total

    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


@check(
    "optimal_discriminator",
    points=2,
    oracle=lambda pair: (best_share(*pair), js(*pair)),
    hint="A cell may be empty for one, or for both: neither may turn the rest into nan.",
    cases=20,
)
@example(pair=(row(0.5, 0.5, 0, 0), row(0, 0.25, 0.75, 0)))
@example(pair=(row(1), row(1)))
@given(pair=distributions())
def agrees_with_both_definitions(student, pair, expected):
    """Both functions agree with their definitions, cell by cell."""
    expect_close(student.optimal_discriminator(*pair), expected[0])
    expect_close(student.js_divergence(*pair), expected[1])


@check(
    "optimal_discriminator",
    points=2,
    oracle=lambda pair: (
        values_and_gradients(lambda p, q: p / (p + q))((list(pair), {})),
        values_and_gradients(js)((list(pair), {})),
    ),
    hint=GRAPH,
)
@example(pair=(row(0.5, 0.25, 0.25), row(0.125, 0.125, 0.75)))
@given(
    pair=distributions().map(
        lambda pair: (pair[0] * 0.9 + 0.1 / len(pair[0]), pair[1] * 0.8 + 0.2 / len(pair[1]))
    )
)
def both_have_the_right_gradients(student, pair, expected):
    """Where p and q are positive, the gradients of both functions are right."""
    expect_gradients(
        student.optimal_discriminator, (list(pair), {}), expected[0], ["p_data", "p_g"]
    )
    value, cotangent, right = expected[1]
    js_value, gradients = student.js_divergence.gradients(*pair, cotangent=cotangent)
    expect_close(js_value, value)
    for name, gradient, wanted in zip(("p", "q"), gradients, right, strict=True):
        expect(gradient is not None, f"no gradient reaches the argument {name}")
        expect_shape(gradient, wanted.shape)
        expect_close(along(gradient), along(wanted), f"the gradient of js_divergence to {name}")


def along(gradient: torch.Tensor) -> torch.Tensor:
    """The gradient's part along the simplex: distributions sum to 1, so that what is added to
    every cell alike depends on how a formula goes on beyond them, and both are right."""
    return gradient - gradient.mean()


def positive_gradients(pair: tuple[torch.Tensor, torch.Tensor]) -> list[torch.Tensor]:
    """[dD*/dp, dD*/dq, dJS/dp, dJS/dq], right in cells where both are positive."""
    p, q = pair
    total: torch.Tensor = p + q
    return [q / total**2, -p / total**2, (2 * p / total).log() / 2, (2 * q / total).log() / 2]


@check(
    "optimal_discriminator",
    points=1,
    oracle=positive_gradients,
    hint="torch.where chooses values, but a nan on its other side spoils the gradient: mask first.",
)
@example(pair=(row(0.25, 0.75, 0, 0, 0), row(0.5, 0.125, 0.375, 0, 0)))
@example(pair=(row(0.125, 0.375, 0.5, 0), row(0.5, 0.25, 0, 0.25)))
def empty_cells_do_not_spoil_the_gradients(student, pair, expected):
    """Beside empty cells, the gradients in cells where both are positive are still right."""
    p, q = pair
    positive = (p > 0) & (q > 0)
    ones = torch.ones_like(p)
    _, of_best = student.optimal_discriminator.gradients(p, q, cotangent=ones)
    _, of_js = student.js_divergence.gradients(p, q, cotangent=torch.tensor(1.0, dtype=DOUBLE))
    for number, (gradient, right) in enumerate(zip([*of_best, *of_js], expected, strict=True)):
        expect(gradient is not None, "no gradient reaches an argument")
        expect_shape(gradient, p.shape)
        value, wanted = gradient[positive], right[positive]
        if number >= len(of_best):
            value, wanted = along(value), along(wanted)
        expect_close(value, wanted, "the gradient where both are positive")


TINY = 1e-12


@check(
    "optimal_discriminator",
    points=1,
    oracle=lambda pair: (best_share(*pair), js(*pair)),
    hint="A small constant in a denominator or a log is no cure: a rare cell is not an empty one.",
)
@example(pair=(row(1 - TINY, TINY, 0), row(1 - TINY, 0, TINY)))
@example(pair=(row(1 - TINY, TINY), row(1 - 3 * TINY, 3 * TINY)))
@example(pair=(row(1, 1e-300), row(1e-300, 1)))
def is_right_in_rare_cells(student, pair, expected):
    """Is right where a cell's probability is tiny: both functions look at proportions."""
    expect_close(student.optimal_discriminator(*pair), expected[0])
    expect_close(student.js_divergence(*pair), expected[1])


GAME: Call = ([row(0.5, 0.25, 0.25, 0), row(0.125, 0.375, 0.5, 0)], {})


@check(
    "optimal_discriminator",
    points=1,
    oracle=lambda call: (in_both_dtypes(best_share)(call), in_both_dtypes(js)(call)),
    hint=f"{DTYPE} {LAYOUT}",
)
@example(call=GAME)
def both_keep_dtype_device_and_inputs(student, call, expected):
    """Both functions keep the dtype and the device of the inputs, take non-contiguous ones, and
    leave them as they were."""
    functions = (student.optimal_discriminator, student.js_divergence)
    gaps: Call = ([every_second(x) for x in call[0]], {})
    for function, right in zip(functions, expected, strict=True):
        expect_dtype_and_device(function, call, right)
        expect_digits(function(*call[0]), right[1])
        expect_inputs_kept(function, gaps, right[1])


# --- Generator, Discriminator --------------------------------------------------------------------


@check("Generator", points=1, hint=LAYOUT)
@example(latent=3, hidden=8, d=2)
@example(latent=1, hidden=5, d=1)
def takes_one_row_and_strided_rows(student, latent, hidden, d):
    """A batch of one row, and rows that don't lie side by side in memory, are fine; both networks
    give the same answer twice, in training and in evaluation."""
    g, discriminator = networks(student, latent, hidden, d)
    for module, width, shape in ((g, latent, (4, d)), (discriminator, d, (4,))):
        x = doubles((4, width), 3)
        out = expect_tensor(module(x))
        expect_shape(out, shape)
        one = expect_tensor(module(x[2:3]))
        expect_shape(one, (1, *shape[1:]))
        expect_close(one, out[2:3], "one row alone")
        wide = torch.cat([x, x], dim=1)[:, :width]
        expect_close(module(wide), out, "strided rows")
        module.eval()
        expect_close(module(x), out, "the same rows after .eval()")


@check("Generator", points=1, hint="A network without a nonlinearity is one linear layer.", cases=4)
@example(latent=3, hidden=16, d=2)
@example(latent=2, hidden=9, d=4)
@given(latent=sizes(1, 5), hidden=sizes(8, 20), d=sizes(1, 4))
def networks_are_not_linear(student, latent, hidden, d):
    """Neither network is a linear map, and different inputs give different outputs."""
    g, discriminator = networks(student, latent, hidden, d)
    for module, width in ((g, latent), (discriminator, d)):
        x = 4 * doubles((16, width), 5)
        out = expect_tensor(module(torch.cat([x, -x, torch.zeros_like(x)])))
        plus, minus, zero = out[:16], out[16:32], out[32:]
        bent = (plus + minus - 2 * zero).abs().max()
        expect(bent > 1e-9, "f(x) + f(−x) = 2 f(0) for every x: the network is linear", out)


@check("Generator", points=1, hint="Each layer that __init__ makes should be used in forward.")
@example(latent=3, hidden=7, d=2)
def every_parameter_gets_a_gradient(student, latent, hidden, d):
    """Gradients reach the input and every parameter of both networks."""
    g, discriminator = networks(student, latent, hidden, d)
    for module, width, shape in ((g, latent, (32, d)), (discriminator, d, (32,))):
        x, cotangent = doubles((32, width), 7), doubles(shape, 8)
        _, (of_x,) = module.call.gradients(x, cotangent=cotangent)
        expect(of_x is not None and bool(of_x.any()), "no gradient reaches the input")
        _, named = module.call.parameter_gradients(x, cotangent=cotangent, of=module)
        expect(bool(named), "the network has no parameters")
        for name, gradient in named.items():
            reached = gradient is not None and bool(gradient.any())
            expect(reached, f"no gradient reaches the parameter {name}")


@check(
    "Generator", points=1, hint="hidden_dim, latent_dim and out_dim are arguments, not constants."
)
@example(latent=3, d=2)
@example(latent=5, d=1)
def hidden_dim_widens_the_networks(student, latent, d):
    """A larger hidden_dim makes both networks larger."""
    counts = []
    for hidden in (4, 9):
        for module in networks(student, latent, hidden, d):
            state = module.state_dict()
            expect(isinstance(state, dict), "a state dict was expected", state)
            counts.append(sum(expect_tensor(value).numel() for value in state.values()))
    expect(
        counts[0] < counts[2], "the generator has as many parameters with hidden_dim 4 as with 9"
    )
    expect(
        counts[1] < counts[3],
        "the discriminator has as many parameters with hidden_dim 4 as with 9",
    )


# --- discriminator_step, generator_step ----------------------------------------------------------

G_SIZES, D_SIZES = [3, 5, 2], [2, 6, 4, 1]
State = dict[str, torch.Tensor]


def right_step(who: str, seed: int, b: int, c: int, lr: float) -> tuple[float, State]:
    """(loss, state): of a plain step of the discriminator or the generator of this seed."""
    g = fixtures.latent_network(G_SIZES, seed)
    d = fixtures.discriminator(D_SIZES, seed + 1)
    real, z = batch_of(seed, b, c)
    loss = cross_entropies(d(real), d(g(z))) if who == "discriminator" else fooling(d(g(z)))
    mover: nn.Module = d if who == "discriminator" else g
    slopes = torch.autograd.grad(loss, list(mover.parameters()))
    named = zip(mover.named_parameters(), slopes, strict=True)
    return loss.item(), {name: (p - lr * slope).detach() for (name, p), slope in named}


def batch_of(seed: int, b: int, c: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(real[b, 2], z[c, 3])."""
    return doubles((b, 2), seed + 2), doubles((c, 3), seed + 3)


def both(student: Subject, seed: int) -> tuple[StudentObject, StudentObject]:
    """The generator and the discriminator of this seed."""
    return (
        student.fixtures.latent_network.keep(G_SIZES, seed=seed),
        student.fixtures.discriminator.keep(D_SIZES, seed=seed + 1),
    )


def step(
    student: Subject, who: str, g: StudentObject, d: StudentObject, sgd: StudentObject, data: Any
) -> Any:
    """A discriminator_step on (real, z), or a generator_step on z."""
    if who == "discriminator":
        return student.discriminator_step(g, d, sgd, *data)
    return student.generator_step(g, d, sgd, data[1])


def expect_step(student: Subject, who: str, seed: int, b: int, c: int, expected: Any) -> None:
    """Fails unless a step moves this player by its gradient, and the other not at all."""
    loss, moved = expected
    g, d = both(student, seed)
    mover, other = (d, g) if who == "discriminator" else (g, d)
    sgd = student.fixtures.sgd.keep(mover, lr=0.5)
    student.fixtures.leave_gradients(mover, 2.0)
    before = other.state_dict()
    value = step(student, who, g, d, sgd, batch_of(seed, b, c))
    for name, parameter in mover.state_dict().items():
        expect_close(parameter, moved[name], f"the {who}'s {name} after the step")
    for name, parameter in other.state_dict().items():
        expect_close(parameter, before[name], f"{name} of the network that should stay")
    expect_float(value, loss)


def expect_flags_kept(student: Subject, who: str, frozen: Mapping[str, list[str]]) -> None:
    """Fails unless flags end as they were, and frozen parameters stay where they were."""
    g, d = both(student, 7)
    modules = {"generator": g, "discriminator": d}
    for name, parameters in frozen.items():
        student.fixtures.set_requires_grad(modules[name], dict.fromkeys(parameters, False))
    sgd = student.fixtures.sgd.keep(modules[who], lr=0.5)
    before = modules[who].state_dict()
    step(student, who, g, d, sgd, batch_of(7, 4, 3))
    for name, module in modules.items():
        flags = student.fixtures.requires_grad(module)
        off = sorted(key for key, flag in flags.items() if not flag)
        expect(
            off == frozen[name], f"requires_grad is off for these of the {name}", off, frozen[name]
        )
    after = modules[who].state_dict()
    for name in before:
        same = torch.equal(after[name], before[name])
        expect(
            same == (name in frozen[who]),
            f"the {who}'s {name} {'stayed' if same else 'moved, though it was frozen'}",
            after[name],
        )


def expect_one_step_of_adam(student: Subject, who: str) -> None:
    """Fails unless each of two calls makes one step of the optimiser that was handed in."""
    g, d = both(student, 11)
    adam = student.fixtures.adam.keep(d if who == "discriminator" else g, lr=0.01)
    for count in (1, 2):
        step(student, who, g, d, adam, batch_of(11, 3, 5))
        state = adam.state_dict()["state"]
        steps = [float(each["step"]) for each in state.values()]
        expect(
            steps == [count] * (6 if who == "discriminator" else 4),
            f"after {count} calls, the optimiser's steps for each parameter are",
            steps,
        )


@check(
    "discriminator_step",
    points=3,
    oracle=lambda seed, b, c: right_step("discriminator", seed, b, c, 0.5),
    hint="With as many generated rows as real ones, and with more or fewer.",
    cases=5,
)
@example(seed=3, b=4, c=4)
@example(seed=5, b=1, c=3)
@given(seed=st.integers(0, 1000), b=sizes(1, 5), c=sizes(1, 5))
def moves_the_discriminator_by_its_gradient(student, seed, b, c, expected):
    """In deep networks, D moves by exactly its gradient times the rate, and G not at all."""
    expect_step(student, "discriminator", seed, b, c, expected)


@check("discriminator_step", points=1, hint=FLAGS)
@example(frozen={"generator": ["0.weight"], "discriminator": ["2.bias", "2.weight"]})
@example(frozen={"generator": [], "discriminator": []})
@example(
    frozen={"generator": ["0.bias", "0.weight", "2.bias", "2.weight"], "discriminator": ["0.bias"]}
)
def discriminator_step_keeps_the_flags(student, frozen):
    """Every requires_grad flag ends as it was, and a frozen layer of D does not move."""
    expect_flags_kept(student, "discriminator", frozen)


@check("discriminator_step", points=1, hint="optimizer.step() once, on the optimiser handed in.")
def discriminator_step_makes_one_step(student):
    """Makes exactly one step of the optimiser that is handed in."""
    expect_one_step_of_adam(student, "discriminator")


@check("discriminator_step", points=1, hint="x += noise writes into the caller's batch.")
def discriminator_step_keeps_its_batch(student):
    """Leaves real and z as they were, and a generator without gradients still has none."""
    g, d = both(student, 13)
    sgd = student.fixtures.sgd.keep(d, lr=0.5)
    real, z = batch_of(13, 4, 3)
    _, after = student.discriminator_step.inputs_after(g, d, sgd, real, z)
    expect_close(after[3], real, "the call changed real")
    expect_close(after[4], z, "the call changed z")
    for name, gradient in student.fixtures.gradients(g).items():
        expect(gradient is None, f"the generator was left with a gradient of {name}", gradient)


@check(
    "generator_step",
    points=3,
    oracle=lambda seed, b, c: right_step("generator", seed, b, c, 0.5),
    hint="The gradient has to pass through D, and every sample of the batch counts.",
    cases=5,
)
@example(seed=3, b=1, c=4)
@example(seed=5, b=1, c=1)
@given(seed=st.integers(0, 1000), b=st.just(1), c=sizes(1, 5))
def moves_the_generator_by_its_gradient(student, seed, b, c, expected):
    """In deep networks, G moves by exactly its gradient times the rate, and D not at all."""
    expect_step(student, "generator", seed, b, c, expected)


@check("generator_step", points=1, hint=FLAGS)
@example(frozen={"generator": ["0.weight"], "discriminator": ["2.bias", "2.weight"]})
@example(frozen={"generator": [], "discriminator": []})
@example(
    frozen={
        "generator": ["2.bias"],
        "discriminator": ["0.bias", "0.weight", "2.bias", "2.weight", "4.bias", "4.weight"],
    }
)
def generator_step_keeps_the_flags(student, frozen):
    """Every requires_grad flag ends as it was, also where all of D was frozen, and a frozen layer
    of G does not move."""
    expect_flags_kept(student, "generator", frozen)


@check("generator_step", points=1, hint="optimizer.step() once, on the optimiser handed in.")
def generator_step_makes_one_step(student):
    """Makes exactly one step of the optimiser that is handed in."""
    expect_one_step_of_adam(student, "generator")


@check("generator_step", points=1, hint="A step of D that comes next may not clear them first.")
@example(left_over=0.0, frozen=[])
@example(left_over=-3.0, frozen=[])
@example(left_over=2.0, frozen=["0.bias", "2.weight"])
def generator_step_keeps_its_batch(student, left_over, frozen):
    """Leaves z as it was, and no gradient in any layer of D, frozen or not, whatever was there
    before."""
    g, d = both(student, 13)
    sgd = student.fixtures.sgd.keep(g, lr=0.5)
    student.fixtures.set_requires_grad(d, dict.fromkeys(frozen, False))
    if left_over:
        student.fixtures.leave_gradients(d, left_over)
    _, z = batch_of(13, 4, 3)
    _, after = student.generator_step.inputs_after(g, d, sgd, z)
    expect_close(after[3], z, "the call changed z")
    expect_no_gradient(student, d)


# --- train_gan -----------------------------------------------------------------------------------

SMALL = {"steps": 3, "discriminator_steps": 2, "batch_size": 4, "lr": 1e-3}


@check(
    "train_gan",
    points=1,
    hint="Everything random comes from generator_rng: pass it to torch.randint and torch.randn.",
)
@example(seeds=(5, 5, 6))
def follows_its_generator_alone(student, seeds):
    """The same generator seed gives the same networks and losses, another seed other ones; the
    generator goes on, torch's global one is neither read nor moved, and real stays as it was."""
    before = student.fixtures.random_state()
    results = []
    for seed in seeds:
        pair = players(student, 3, 2, 9)
        rng = student.fixtures.generator.keep(seed)
        fresh = rng.get_state()
        history, after = student.train_gan.inputs_after(*pair, ROWS, *SMALL.values(), rng)
        expect_close(after[2], ROWS, "the call changed real")
        moved = not torch.equal(rng.get_state(), fresh)
        expect(moved, "generator_rng is where it was: the next training would draw the same")
        expect(isinstance(history, dict) and {"d", "g"} <= set(history), "no losses", history)
        state = [*pair[0].state_dict().values(), *pair[1].state_dict().values()]
        results.append((history["d"] + history["g"], torch.cat([x.flatten() for x in state])))
    same = results[0][0] == results[1][0] and torch.equal(results[0][1], results[1][1])
    expect(same, "the same seed gave something else", results[1][0], results[0][0])
    other = not torch.equal(results[0][1], results[2][1])
    expect(other, "another seed gave exactly the same", results[2][0])
    after_all = student.fixtures.random_state()
    expect(torch.equal(before, after_all), "torch's global generator was used or seeded")


def displacement(student: Subject, seed: int, lr: float, real: torch.Tensor, **loop: int) -> Any:
    """How far train_gan moves each parameter, in units of lr: a dict for each player."""
    pair = players(student, 3, 2, seed)
    before = [module.state_dict() for module in pair]
    trained(student, pair, real, 1, batch_size=4, lr=lr, **loop)
    return {
        who: {name: (value - old[name]) / lr for name, value in module.state_dict().items()}
        for who, module, old in zip(("generator", "discriminator"), pair, before, strict=True)
    }


@check(
    "train_gan",
    points=1,
    hint="Two optimisers, one for each network, both with the rate lr, made once before the loop.",
)
@example(lr=1e-7, real=ROWS)
@example(lr=1e-5, real=ROWS[:1])
def learns_at_the_given_rate(student, lr, real):
    """Every parameter of both networks moves, both networks at the rate lr, and the optimisers
    remember the steps before; one row of real is enough."""
    several = displacement(student, 21, lr, real, steps=3, discriminator_steps=2)
    for who, of in several.items():
        for name, moved in of.items():
            largest = moved.abs().max()
            expect(largest > 0.01, f"the {who}'s {name} has not moved enough for lr", largest * lr)
            expect(largest < 120, f"the {who}'s {name} has moved too far for lr", largest * lr)
        moved = torch.cat([each.flatten() for each in of.values()])
        anew = bool(((moved - moved.round()).abs() < 0.01).all())
        expect(not anew, f"the {who}'s Adam does not remember: it is made once, before the loop")
    once = displacement(student, 22, lr, real, steps=1, discriminator_steps=1)
    g, d = (max(float(moved.abs().max()) for moved in of.values()) for of in once.values())
    # Adam's first step is lr in every parameter.
    alike = d < 1.5 * g and g < 1.5 * d
    expect(alike, "in the first step, G's and D's largest moves in units of lr are", (g, d), (1, 1))


@check(
    "train_gan",
    points=1,
    hint="The losses are discriminator_loss and the non-saturating generator_loss, and no other.",
)
@example(player="generator", g=(1.0, 0.0), d=(1.0, 0.0), parameter="0.weight", sign=-1)
@example(player="generator", g=(1.0, 0.0), d=(-1.0, 0.0), parameter="0.weight", sign=-1)
@example(player="discriminator", g=(1.0, 0.0), d=(0.0, 0.02), parameter="0.bias", sign=-1)
@example(player="discriminator", g=(1.0, 0.0), d=(0.0, -0.02), parameter="0.bias", sign=1)
def goes_down_both_losses(student, player, g, d, parameter, sign):
    """The first update of each player goes down its own loss: where G(z) = z and D(x) = ±x, G
    shrinks, and a D that answers slightly more or less than 1/2 everywhere goes back to 1/2."""
    pair = lines(student, g, d)
    mover = pair[0] if player == "generator" else pair[1]
    before = mover.state_dict()[parameter]
    real = torch.linspace(-1, 1, 9, dtype=DOUBLE)[:, None]
    trained(
        student,
        pair,
        real,
        17,
        steps=1,
        discriminator_steps=1,
        batch_size=2048,
        lr=1e-4,
    )
    moved = float(mover.state_dict()[parameter] - before)
    expect(moved * sign > 0, f"the {player}'s {parameter} moved the wrong way, by", moved)


RING = 2 * torch.stack(
    [torch.cos(torch.arange(8) * math.pi / 4), torch.sin(torch.arange(8) * math.pi / 4)], dim=1
)
SPREAD = 0.15
SHARE, QUALITY = 0.02, 0.5  # what the exercise promises; calibration.json says what is reached
RING_TRAINING = {"steps": 800, "discriminator_steps": 1, "batch_size": 128, "lr": 2e-3}
RING_NETWORKS = [4, 64, 64, 2], [2, 64, 64, 1]

CENTRE = torch.tensor([2.0, -1.0])
MIXING = torch.tensor([[1.0, 0.0], [0.8, 0.5]])
GAUSSIAN_TRAINING = {"steps": 400, "discriminator_steps": 3, "batch_size": 128, "lr": 2e-3}
GAUSSIAN_NETWORKS = [4, 32, 32, 2], [2, 32, 32, 1]


def normal(seed: int, *shape: int) -> torch.Tensor:
    """Draws from N(0, 1) in float32."""
    return torch.randn(shape, generator=fixtures.generator(seed))


def ring(seed: int) -> torch.Tensor:
    """4096 points, sorted by their mode: a loop that takes them in order sees one mode at once."""
    return RING.repeat_interleave(512, dim=0) + SPREAD * normal(seed, 4096, 2)


def gaussian(seed: int) -> torch.Tensor:
    """4096 points of a Gaussian with a correlation, sorted by their first coordinate."""
    points = CENTRE + normal(seed, 4096, 2) @ MIXING.T
    return points[points[:, 0].argsort()]


def ring_shares(samples: torch.Tensor) -> tuple[float, float]:
    """(smallest share of a mode, share near any mode), near being within 3 standard deviations."""
    distance, mode = (samples[:, None] - RING).norm(dim=2).min(dim=1)
    near = distance <= 3 * SPREAD
    shares = torch.bincount(mode[near], minlength=8) / len(samples)
    return shares.min().item(), near.float().mean().item()


def squared_frechet(samples: torch.Tensor) -> float:
    """‖μ − μ'‖² + tr(Σ + Σ' − 2 (Σ Σ')^½) between samples[n, 2] and the Gaussian."""
    mean, covariance, target = samples.mean(dim=0), samples.T.cov(), MIXING @ MIXING.T
    product = covariance @ target  # of two variables: tr A^½ = (tr A + 2 √det A)^½
    root = (product.trace() + 2 * product.det().clamp(min=0).sqrt()).sqrt()
    distance = (mean - CENTRE).square().sum() + covariance.trace() + target.trace() - 2 * root
    return float(distance)


def samples_of_reference(
    reference: Mapping[str, Any],
    seed: int,
    real: torch.Tensor,
    sizes_of: tuple[list[int], list[int]],
    training: Mapping[str, Any],
) -> torch.Tensor:
    """What the reference's train_gan makes of fixtures' networks: 4000 samples."""
    g = fixtures.latent_network(sizes_of[0], 2 * seed + 1, "float32")
    d = fixtures.discriminator(sizes_of[1], 2 * seed + 2, "float32")
    reference["train_gan"](g, d, real, *training.values(), fixtures.generator(seed))
    with torch.no_grad():
        samples: torch.Tensor = g(normal(seed + 20_000, 4000, 4))
    return samples


def of_ring(reference: Mapping[str, Any], seed: int) -> float:
    """How many times over both promises of the ring are kept."""
    real = ring(seed + 10_000)
    share, quality = ring_shares(
        samples_of_reference(reference, seed, real, RING_NETWORKS, RING_TRAINING)
    )
    return min(share / SHARE, quality / QUALITY)


def of_gaussian(reference: Mapping[str, Any], seed: int) -> float:
    """The squared Fréchet distance to one Gaussian."""
    real = gaussian(seed + 10_000)
    samples = samples_of_reference(reference, seed, real, GAUSSIAN_NETWORKS, GAUSSIAN_TRAINING)
    return squared_frechet(samples)


MEASUREMENTS = (
    Measurement("ring", "below", of_ring),
    Measurement(
        "gaussian_frechet",
        "above",
        of_gaussian,
        margin=0.15,
        because="skewed: the worst of a hundred lies four deviations out; other betas are noisier",
    ),
)


def samples_of_student(
    student: Subject,
    seed: int,
    real: torch.Tensor,
    sizes_of: tuple[list[int], list[int]],
    training: dict[str, Any],
) -> torch.Tensor:
    """The same with the student's train_gan; the noise is the grader's."""
    g = student.fixtures.latent_network.keep(sizes_of[0], seed=2 * seed + 1, dtype="float32")
    d = student.fixtures.discriminator.keep(sizes_of[1], seed=2 * seed + 2, dtype="float32")
    trained(student, (g, d), real, seed, **training)
    samples = expect_tensor(g(normal(seed + 20_000, 4000, 4)))
    expect_shape(samples, (4000, 2))
    expect(
        bool(samples.isfinite().all()), "some samples are not finite: training diverged", samples
    )
    return samples


@check(
    "train_gan",
    points=2,
    hint="Both optimisers need betas=(0.0, 0.9), and every batch rows from all over real.",
    trains=True,
)
@example(seed=1000)
def covers_the_ring(student, seed):
    """Trained on a ring of eight modes, the generator gives each at least 2 % of its samples, and
    half of all samples lie within 3 standard deviations of a mode."""
    real = ring(seed + 10_000)
    samples = samples_of_student(student, seed, real, RING_NETWORKS, RING_TRAINING)
    share, quality = ring_shares(samples)
    part = min(1.0, bound("07-gan", "ring"))  # of the promise: never more than what is reached
    expect(
        share >= part * SHARE,
        "one of the eight modes has only this share of the samples",
        share,
        SHARE,
    )
    expect(
        quality >= part * QUALITY,
        "only this share of the samples lies near a mode",
        quality,
        QUALITY,
    )


@check(
    "train_gan",
    points=2,
    hint="Where coverage is right and this is not: are all updates of D made, with fresh batches?",
    trains=True,
)
@example(seed=1001)
def meets_one_gaussian(student, seed):
    """Trained on one correlated Gaussian, the samples have its mean and covariance: the squared
    Fréchet distance is small."""
    real = gaussian(seed + 10_000)
    samples = samples_of_student(student, seed, real, GAUSSIAN_NETWORKS, GAUSSIAN_TRAINING)
    limit = bound("07-gan", "gaussian_frechet")
    distance = squared_frechet(samples)
    expect(distance <= limit, "the squared Fréchet distance is too large", distance, limit)


# --- mode_coverage -------------------------------------------------------------------------------


def coverage(samples: torch.Tensor, modes: torch.Tensor, radius: float) -> tuple[int, float]:
    """By brute force, in Python."""
    near = [[math.dist(s, m) <= radius for m in modes.tolist()] for s in samples.tolist()]
    covered = sum(any(column) for column in zip(*near, strict=True))
    return covered, sum(any(line) for line in near) / len(near)


@check(
    "mode_coverage",
    points=1,
    oracle=coverage,
    hint="Several samples may be near one mode, and one sample near several.",
)
@example(samples=filled((9, 3), 1), modes=filled((5, 3), 2), radius=8.5)
@example(samples=filled((1, 2), 3), modes=filled((7, 2), 4), radius=11.5)
@example(samples=filled((70, 2), 5), modes=filled((40, 2), 6), radius=1.5)
@given(
    samples=sizes(1, 9).flatmap(lambda n: tensors((n, 2))),
    modes=sizes(1, 5).flatmap(lambda m: tensors((m, 2))),
    radius=st.sampled_from([0.5, 3.5, 6.5, 12.5]),
)
def agrees_with_counting(student, samples, modes, radius, expected):
    """Agrees with counting in Python, for any number of samples and modes."""
    expect_coverage(student.mode_coverage(samples, modes, radius), *expected)


@check(
    "mode_coverage",
    points=1,
    hint="Euclidean: (3, 4) is exactly 5 away, not 7 nor 4. At the radius still counts.",
)
@example(radius=5.0, result=(2, 2 / 3))
@example(radius=4.999, result=(0, 0.0))
@example(radius=12.5, result=(2, 2 / 3))
@example(radius=13.0, result=(2, 1.0))
def counts_what_is_exactly_at_the_radius(student, radius, result):
    """A sample at exactly the radius is near, by the Euclidean distance."""
    modes = torch.tensor([[0.0, 0.0], [100.0, 100.0]], dtype=DOUBLE)
    samples = torch.tensor([[3.0, 4.0], [96.0, 97.0], [5.0, -12.0]], dtype=DOUBLE)
    expect_coverage(student.mode_coverage(samples, modes, radius), *result)


@check("mode_coverage", points=1, hint="One sample, one mode, one coordinate; float64; strides.")
@example(samples=torch.tensor([[7.0]]), modes=torch.tensor([[8.0]]), radius=1.0, result=(1, 1.0))
@example(
    samples=torch.tensor([[1e8, 0.0, 0.0, 1.0]], dtype=DOUBLE),
    modes=torch.tensor([[1e8, 0.0, 0.0, 0.0], [1e8, 0.0, 0.0, 3.0]], dtype=DOUBLE),
    radius=1.5,
    result=(1, 1.0),
)
@example(
    samples=torch.tensor([[1e8 + 3]], dtype=DOUBLE),
    modes=torch.tensor([[1e8]], dtype=DOUBLE),
    radius=1.5,
    result=(0, 0.0),
)
@example(
    samples=torch.arange(24.0).reshape(2, 3, 4)[:, :, 1].T,
    modes=torch.arange(24.0).reshape(2, 3, 4)[:, 1:2, 1].T + 0.25,
    radius=0.5,
    result=(1, 1 / 3),
)
def mode_coverage_is_right_at_the_edges(student, samples, modes, radius, result):
    """Is right for a single sample, mode or coordinate, far from the origin in float64, and for
    strided inputs, which it leaves as they were."""
    value, after = student.mode_coverage.inputs_after(samples, modes, radius)
    expect_coverage(value, *result)
    expect_close(after[0], samples, "the call changed the samples")
    expect_close(after[1], modes, "the call changed the modes")


# --- ReplayBuffer --------------------------------------------------------------------------------


@check("ReplayBuffer", points=1, hint="torch.randint(len, (n,), generator=generator) for the rows.")
@example(count=4, n=2000)
def samples_uniformly_with_its_generator(student, count, n):
    """Each row is drawn equally often, whatever the batch it came with, with replacement and with
    the given generator alone."""
    buffer = student.ReplayBuffer.keep(count + 3)
    buffer.push(numbered(0, 1))
    buffer.push(numbered(1, count - 1))
    before = student.fixtures.random_state()
    draws = []
    for seed in (1, 1, 2):
        rng = student.fixtures.generator.keep(seed)
        draws.append(numbers(buffer.sample(n, rng), n))
    shares = torch.bincount(torch.tensor(draws[0] + draws[2]), minlength=count) / (2 * n)
    # 4000 draws of 4: 0.25 ± 0.007.
    expect(bool(((shares - 1 / count).abs() < 0.05).all()), "the shares of the rows", shares)
    rng = student.fixtures.generator.keep(5)
    few = [numbers(buffer.sample(count, rng), count) for _ in range(15)]
    repeats = any(len(set(each)) < count for each in few)
    expect(repeats, "in many samples no row comes twice: draw with replacement", few)
    expect(any(each != few[0] for each in few), "every sample of one generator is the same", few)
    expect(draws[0] == draws[1], "the same generator seed gave other rows")
    expect(draws[0] != draws[2], "another generator seed gave the same rows")
    after = student.fixtures.random_state()
    expect(torch.equal(before, after), "torch's global generator was used")
    buffer.push(numbered(0, 1))
    buffer.push(numbered(0, 1))
    share = numbers(buffer.sample(n, rng), n).count(0) / n
    # 2000 draws of 6 rows, 3 of them equal: 0.5 ± 0.011.
    expect(abs(share - 0.5) < 0.08, "of 6 rows, 3 are equal; their share of the draws", share)


@check("ReplayBuffer", points=1, hint="A batch larger than the capacity leaves its own last rows.")
@example(capacity=3, counts=[8], kept=[5, 6, 7], d=2)
@example(capacity=3, counts=[2, 7, 1], kept=[7, 8, 9], d=1)
@example(capacity=1, counts=[1, 1, 3], kept=[4], d=6)
@example(capacity=4, counts=[3, 3, 3, 3], kept=[8, 9, 10, 11], d=2)
@example(capacity=5, counts=[5, 1], kept=[1, 2, 3, 4, 5], d=2)
def keeps_the_newest_of_large_and_many_batches(student, capacity, counts, kept, d):
    """Keeps the newest rows of batches larger than the capacity, and of many small ones."""
    buffer = student.ReplayBuffer.keep(capacity)
    pushed = 0
    for count in counts:
        buffer.push(numbered(pushed, count).double().repeat(1, d)[:, :d])
        pushed += count
        expect(
            student.fixtures.length(buffer) == min(pushed, capacity), "len is wrong after a push"
        )
    rng = student.fixtures.generator.keep(1)
    rows = buffer.sample(200, rng)
    expect_shape(rows, (200, d))
    found = sorted({round(values[0] / 10) for values in rows.tolist()})
    expect(found == kept, "of the rows that were pushed, these numbers are there", found, kept)
    expect_close(rows, numbered(0, pushed).double().repeat(1, d)[:, :d][(rows[:, 0] / 10).long()])


@check("ReplayBuffer", points=1, hint="detach() what is pushed, and hand out copies.")
@example(capacity=4, count=4)
@example(capacity=4, count=1)
def hands_out_copies_without_a_graph(student, capacity, count):
    """What sample returns is a copy that needs no gradient; changing it changes no row. Two
    buffers share nothing."""
    buffer, other = student.ReplayBuffer.keep(capacity), student.ReplayBuffer.keep(capacity)
    batch = student.fixtures.tensor.keep(numbered(0, count))
    batch.requires_grad_()
    buffer.push(batch)
    rng = student.fixtures.generator.keep(3)
    for n in (count, 1, 12):
        sample = buffer.sample.keep(n, rng)
        expect(sample.value_of("requires_grad") is False, "the sample hangs on a graph")
        sample.fill_(-1.0)
    numbers(buffer.sample(40, rng), 40)
    expect(student.fixtures.length(other) == 0, "a push into one buffer filled another")


# --- minibatch_discrimination --------------------------------------------------------------------


def compared(features: torch.Tensor, T: torch.Tensor) -> torch.Tensor:
    """Row by row, as the formula says."""
    m = torch.tensordot(features, T, dims=1)
    rows = []
    for i in range(len(m)):
        others = [(-(m[i] - m[j]).abs().sum(dim=1)).exp() for j in range(len(m)) if j != i]
        rows.append(torch.stack(others).sum(dim=0) if others else 0 * m[i, :, 0])
    return torch.cat([features, torch.stack(rows)], dim=1)


def moved(call: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """A little beside it, where no two rows are at a distance of 0, which has no gradient."""
    return tuple(
        (x + normal(number, *x.shape).double() / 50).round(decimals=4)
        for number, x in enumerate(call)
    )


COMPARED: Call = ([normal(1, 4, 3).double() / 2, normal(2, 3, 5, 2).double() / 2], {})


@check(
    "minibatch_discrimination",
    points=2,
    oracle=lambda call: values_and_gradients(compared)((list(call), {})),
    hint=f"The L1 distance is over r, for each o alone. {GRAPH}",
)
@example(call=tuple(COMPARED[0]))
@example(call=(normal(3, 6, 2).double(), normal(4, 2, 1, 3).double()))
@example(call=(normal(5, 2, 1).double(), normal(6, 1, 4, 1).double()))
@given(call=minibatches().map(moved))
def agrees_with_comparing_row_by_row(student, call, expected):
    """Agrees with comparing every two rows one by one, gradients to features and T too."""
    expect_gradients(
        student.minibatch_discrimination, (list(call), {}), expected, ["features", "T"]
    )


@check("minibatch_discrimination", points=1, oracle=in_both_dtypes(compared), hint=DTYPE)
@example(call=COMPARED)
@example(call=([COMPARED[0][0][:1], COMPARED[0][1]], {}))
def minibatch_discrimination_keeps_dtype_and_device(student, call, expected):
    """The result has the features' dtype, with all its digits, and is on their device; a batch of
    one row gives 0."""
    expect_dtype_and_device(student.minibatch_discrimination, call, expected)
    expect_digits(student.minibatch_discrimination(*call[0]), expected[1])


@check("minibatch_discrimination", points=1, oracle=lambda call: compared(*call[0]), hint=LAYOUT)
@example(call=COMPARED)
@example(call=([1e3 * COMPARED[0][0], 1e3 * COMPARED[0][1]], {}))
def minibatch_discrimination_leaves_its_inputs_unchanged(student, call, expected):
    """Takes non-contiguous inputs and leaves them as they were; rows far apart add 0."""
    expect_inputs_kept(student.minibatch_discrimination, call, expected)
