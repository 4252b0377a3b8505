"""The hidden checks of 06-vae: oracles, gradients, edges, and what training has to reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Normal, kl_divergence

from autograder import calibration
from autograder.calibration import Measurement
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
from autograder.checks.public.vae import (
    DOUBLE,
    EYE,
    SHORT_BOUND,
    SHORT_STEPS,
    SIZES,
    Linear,
    blind,
    codes_behind,
    expect_floats,
    gradient_reaches,
    grey,
    held_out,
    like,
    linear_model,
    negative_bound,
    per_example,
    tenths,
    three,
    train_on_digits,
    two,
)
from autograder.strategies import sizes, strided
from autograder.subject import LocalChannel, StudentObject, Subject
from gradus import vae

ASSIGNMENT = "06-vae"
LONG_STEPS = 600


def reference() -> dict[str, Any]:
    """A right solution: every name that the exercises ask for."""
    answers = (
        vae.reparameterize,
        vae.gaussian_kl,
        vae.bernoulli_nll,
        vae.gaussian_nll,
        vae.negative_elbo,
        vae.VAE,
        vae.train_vae,
        vae.sample,
        vae.slerp,
        vae.interpolate,
        vae.importance_weighted_bound,
    )
    return {answer.__name__: answer for answer in answers}


def nats_on_digits(steps: int) -> Callable[[Mapping[str, Any], int], float]:
    """A measurement: what held-out digits cost after so many steps of training."""

    def measure(names: Mapping[str, Any], seed: int) -> float:
        return held_out(train_on_digits(Subject(LocalChannel(names)), seed, steps))[0]

    return measure


LONG, SHORT = "held-out nats a digit", "held-out nats a digit, public check"
MEASUREMENTS = (
    Measurement(
        LONG,
        "above",
        nats_on_digits(LONG_STEPS),
        margin=0.08,
        because="other optimisers and ways to shuffle",
    ),
    Measurement(
        SHORT,
        "above",
        nats_on_digits(SHORT_STEPS),
        margin=0.2,
        because="in so few steps they differ by more",
    ),
)


assert calibration.bound(ASSIGNMENT, SHORT) <= SHORT_BOUND  # the public check has no file to ask


# --- reparameterize ------------------------------------------------------------------------------


def drawn(mu: torch.Tensor, logvar: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """By the standard deviation as the root of the variance."""
    return eps * logvar.exp().sqrt() + mu


DRAW: Call = ([tenths((3, 4), 1), tenths((3, 4), 2), tenths((3, 4), 3)], {})


@check("reparameterize", points=2, oracle=values_and_gradients(drawn), hint=GRAPH)
@example(call=DRAW)
@example(call=([tenths((1, 1), 1), tenths((1, 1), 2), tenths((1, 1), 3)], {}))
@given(call=like(3, 60).map(lambda parts: (list(parts), {})))
def draws_have_the_right_gradients(student, call, expected):
    """Agrees with mu + √exp(logvar)·eps in float64, gradients to all three too."""
    expect_gradients(student.reparameterize, call, expected, names=("mu", "logvar", "eps"))


@check("reparameterize", points=1, oracle=in_both_dtypes(drawn), hint=DTYPE)
@example(call=DRAW)
def draws_keep_dtype_and_device(student, call, expected):
    """The result follows the inputs' dtype and device."""
    expect_dtype_and_device(student.reparameterize, call, expected)


@check("reparameterize", points=1, oracle=lambda call: drawn(*call[0]), hint=LAYOUT)
@example(call=DRAW)
def draws_leave_their_inputs_unchanged(student, call, expected):
    """Takes non-contiguous inputs, and leaves them and torch's global generator as they were."""
    before = student.fixtures.random_state()
    expect_inputs_kept(student.reparameterize, call, expected)
    after = student.fixtures.random_state()
    expect(torch.equal(before, after), "torch's global generator was used: the noise is eps")


@check(
    "reparameterize",
    points=1,
    oracle=lambda mu, logvar, eps: drawn(mu, logvar, eps),
    hint="A log-variance may be 20 or −20: add nothing to it, and don't clip it.",
)
@example(mu=tenths((2, 3), 1), logvar=20 * tenths((2, 3), 2).sign(), eps=tenths((2, 3), 3))
@example(
    mu=tenths((1, 3), 1),
    logvar=torch.full((1, 3), -20.0, dtype=DOUBLE),
    eps=1e4 * tenths((1, 3), 3),
)
def draws_with_extreme_variances(student, mu, logvar, eps, expected):
    """Is right for log-variances of ±20."""
    expect_close(student.reparameterize(mu, logvar, eps), expected)


# --- gaussian_kl ---------------------------------------------------------------------------------


def divergence(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """By torch.distributions."""
    prior = Normal(torch.zeros_like(mu), torch.ones_like(mu))
    return kl_divergence(Normal(mu, (logvar / 2).exp()), prior).sum(dim=1)


PAIR: Call = ([tenths((3, 4), 1), tenths((3, 4), 2)], {})


@check("gaussian_kl", points=3, oracle=values_and_gradients(divergence), hint=GRAPH)
@example(call=PAIR)
@example(call=([tenths((5, 1), 3), tenths((5, 1), 4)], {}))
@given(call=like(2, 60).map(lambda parts: (list(parts), {})))
def agrees_with_torch_distributions(student, call, expected):
    """Agrees with torch.distributions in float64, gradients too."""
    expect_gradients(student.gaussian_kl, call, expected, names=("mu", "logvar"))


@check("gaussian_kl", points=1, oracle=in_both_dtypes(divergence), hint=DTYPE)
@example(call=PAIR)
def divergence_keeps_dtype_and_device(student, call, expected):
    """The result follows the inputs' dtype and device."""
    expect_dtype_and_device(student.gaussian_kl, call, expected)


@check("gaussian_kl", points=1, oracle=lambda call: divergence(*call[0]), hint=LAYOUT)
@example(call=PAIR)
def divergence_leaves_its_inputs_unchanged(student, call, expected):
    """Takes non-contiguous inputs, and leaves them as they were."""
    expect_inputs_kept(student.gaussian_kl, call, expected)


@check("gaussian_kl", points=1, oracle=divergence, hint="Don't clip, and don't add a small number.")
@example(mu=tenths((2, 3), 1), logvar=20 * tenths((2, 3), 2).sign())
@example(mu=100 * tenths((2, 3), 1), logvar=tenths((2, 3), 2))
@example(mu=tenths((2, 3), 1) / 100, logvar=tenths((2, 3), 2) / 100)
def divergence_of_extremes(student, mu, logvar, expected):
    """Is right for log-variances of ±20, for means of ±200, and near the prior."""
    expect_close(student.gaussian_kl(mu, logvar), expected)


@check("gaussian_kl", points=1, oracle=divergence, hint="Each row by itself, a batch of one too.")
@example(mu=tenths((1, 5), 1), logvar=tenths((1, 5), 2))
@example(mu=tenths((1, 1), 3), logvar=tenths((1, 1), 4))
@example(mu=tenths((6, 6), 3), logvar=tenths((6, 6), 4))
def divergence_of_one_row(student, mu, logvar, expected):
    """A batch of one gives [1], and a square one is summed along z."""
    expect_close(per_example(student.gaussian_kl(mu, logvar), mu), expected)


# --- bernoulli_nll, gaussian_nll -----------------------------------------------------------------


def bernoulli(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """By softplus: −target·logits + log(1 + exp(logits))."""
    return (F.softplus(logits, threshold=1e9) - target * logits).flatten(1).sum(dim=1)


def gaussian(
    mean: torch.Tensor, target: torch.Tensor, sigma: float | torch.Tensor = 1.0
) -> torch.Tensor:
    """By torch.distributions."""
    nll: torch.Tensor = -Normal(mean, sigma).log_prob(target).flatten(1).sum(dim=1)
    return nll


# No logit is 0: there formulas with max(logit, 0) or |logit| have a corner.
LOGITS: Call = ([tenths((3, 2, 4), 1, 40) + 0.05, grey((3, 2, 4), 2)], {})
MEANS: Call = ([tenths((3, 2, 4), 1), grey((3, 2, 4), 2)], {"sigma": 0.3})
SIGMAS: Call = ([*MEANS[0], grey((2, 1), 3) + 0.2], {})


@check("bernoulli_nll", points=2, oracle=values_and_gradients(bernoulli), hint=GRAPH)
@example(call=LOGITS)
@example(call=([tenths((1, 1), 1) + 0.05, grey((1, 1), 2)], {}))
@given(
    call=st.tuples(sizes(1, 4), sizes(1, 4)).map(
        lambda shape: ([tenths(shape, 3, 60) + 0.05, grey(shape, 4)], {})
    )
)
def bernoulli_has_the_right_gradients(student, call, expected):
    """bernoulli_nll agrees with Σ log(1 + exp(logit)) − target·logit in float64, gradients to
    logits and target too."""
    expect_gradients(student.bernoulli_nll, call, expected, names=("logits", "target"))


@check("bernoulli_nll", points=1, oracle=values_and_gradients(gaussian), hint=GRAPH)
@example(call=MEANS)
@example(call=([tenths((2, 5), 1), tenths((2, 5), 1) + grey((2, 5), 2) / 500], {"sigma": 1e-3}))
@example(call=SIGMAS)
@example(call=([*MEANS[0], torch.tensor(0.7, dtype=DOUBLE)], {}))
@example(call=([*MEANS[0], grey((3, 1, 1), 6) + 0.1], {}))
def gaussian_has_the_right_gradients(student, call, expected):
    """gaussian_nll agrees with torch.distributions in float64, gradients too, for a sigma that is
    a number, a tensor of one, or one for each row or pixel."""
    expect_gradients(student.gaussian_nll, call, expected, names=("mean", "target", "sigma"))


@check(
    "bernoulli_nll",
    points=2,
    hint="log(sigmoid(x)) is log 0 for x = −200. logsigmoid and softplus are not; clipping is "
    "another loss.",
)
@example(size=1e4, dtype="float64")
@example(size=1e3, dtype="float32")
@example(size=1e4, dtype="float32")
@example(size=50.0, dtype="float32")
def bernoulli_is_stable(student, size, dtype):
    """For logits of ±1e4 values and gradients are finite and right."""
    kind = getattr(torch, dtype)
    logits = torch.tensor([[size, -size, size, -size], [size, size, -size, 1]], dtype=kind)
    target = torch.tensor([[1, 0, 0.5, 0], [0, 1, 1, 0]], dtype=kind)
    expected = torch.tensor([size / 2, 2 * size + math.log(1 + math.e)], dtype=kind)
    nll, (gradient, _) = student.bernoulli_nll.gradients(
        logits, target, cotangent=torch.ones(2, dtype=kind)
    )
    expect_close(nll, expected)
    expect_close(gradient_reaches(gradient, "logits"), logits.sigmoid() - target, "the gradient")


@check(
    "bernoulli_nll",
    points=1,
    oracle=lambda first, second: (
        in_both_dtypes(bernoulli)(first),
        in_both_dtypes(gaussian)(second),
    ),
    hint=DTYPE,
)
@example(first=LOGITS, second=MEANS)
@example(first=LOGITS, second=SIGMAS)
def likelihoods_keep_dtype_and_device(student, first, second, expected):
    """Both follow their inputs' dtype and device."""
    expect_dtype_and_device(student.bernoulli_nll, first, expected[0])
    expect_dtype_and_device(student.gaussian_nll, second, expected[1])


@check(
    "bernoulli_nll",
    points=1,
    oracle=lambda first, second: (bernoulli(*first[0]), gaussian(*second[0], **second[1])),
    hint=LAYOUT,
)
@example(first=LOGITS, second=MEANS)
def likelihoods_leave_their_inputs_unchanged(student, first, second, expected):
    """Both take non-contiguous inputs, and leave them as they were."""
    expect_inputs_kept(student.bernoulli_nll, first, expected[0])
    expect_inputs_kept(student.gaussian_nll, second, expected[1])


# --- negative_elbo -------------------------------------------------------------------------------


def weighed(nll: torch.Tensor, kl: torch.Tensor, beta: float = 1.0) -> torch.Tensor:
    """The batch mean."""
    return (nll + beta * kl).sum() / len(nll)


LOSSES: Call = ([tenths((4,), 1), tenths((4,), 2)], {"beta": 0.3})


@check("negative_elbo", points=1, oracle=values_and_gradients(weighed), hint=GRAPH)
@example(call=LOSSES)
@example(call=([tenths((1,), 1), tenths((1,), 2)], {}))
@example(call=([tenths((3,), 5, 9000), tenths((3,), 6, 9000)], {"beta": 0.0}))
@example(call=([tenths((7,), 5), tenths((7,), 6)], {"beta": 10.0}))
def loss_has_the_right_gradients(student, call, expected):
    """Agrees with the mean of nll + beta·kl in float64, gradients to both too."""
    expect_gradients(student.negative_elbo, call, expected, names=("nll", "kl"))


@check("negative_elbo", points=1, oracle=in_both_dtypes(weighed), hint=DTYPE)
@example(call=LOSSES)
def loss_keeps_dtype_and_device(student, call, expected):
    """The scalar follows the inputs' dtype and device."""
    expect_dtype_and_device(student.negative_elbo, call, expected)


@check("negative_elbo", points=1, hint=LAYOUT)
@example(nll=tenths((6,), 1), kl=tenths((6,), 2))
def loss_leaves_its_inputs_unchanged(student, nll, kl):
    """Takes non-contiguous inputs, and leaves them as they were."""
    arguments = strided(nll[:, None])[:, 0], strided(kl[:, None])[:, 0]
    value, after = student.negative_elbo.inputs_after(*arguments, beta=2.0)
    expect_close(value, weighed(nll, kl, 2.0))
    for name, left, given_ in zip(("nll", "kl"), after, arguments, strict=False):
        expect_close(left, given_, f"the call changed {name}")


# --- VAE -----------------------------------------------------------------------------------------


@check(
    "VAE",
    points=2,
    ahead=False,
    hint="The last layer of the encoder and of the decoder is linear: no ReLU, tanh or sigmoid.",
)
@example(d=3, h=8, z=3)
@example(d=4, h=6, z=2)
def has_no_activation_on_its_heads(student, d, h, z):
    """With whatever parameters are loaded into it, mu, logvar and logits take either sign, and are
    not held within ±15; and between the inputs and them there is a hidden layer."""
    model = student.VAE.keep(d, h, z)
    state = model.state_dict()
    parameters = student.fixtures.gradients(model)  # by name: a buffer is no parameter
    expect(len(parameters) > 0, "the module has no parameters", state)
    generator = torch.Generator().manual_seed(d)
    x, code = grey((4, d), 1).float(), tenths((4, z), 2).float()
    x[0], code[0] = x[1:3].mean(dim=0), code[1:3].mean(dim=0)
    heads: list[list[torch.Tensor]] = [[], [], []]
    # Of so many parameters drawn alike, all heads have one sign with a chance below 1 in 10,000;
    # and as they follow from the seed and the shapes, a layout that passes once passes always.
    for _ in range(12):
        model.load_state_dict(
            {
                name: torch.randint(-20, 21, part.shape, generator=generator).to(part.dtype)
                if name in parameters
                else part
                for name, part in state.items()
            }
        )
        parts = (*two(model.encode(x)), model.decode(code))
        for kept, part in zip(heads, parts, strict=True):
            kept.append(expect_tensor(part))
    for name, head in zip(("mu", "logvar", "the logits"), map(torch.stack, heads), strict=True):
        expect(bool(head.isfinite().all()), f"{name} is not finite", head)
        signs = (("below 0", head < 0), ("above 0", head > 0), ("beyond ±15", head.abs() > 15))
        for sign, some in signs:
            expect(bool(some.any()), f"no value of {name} is ever {sign}", head)
        straight = torch.allclose(head[:, 0], head[:, 1:3].mean(dim=1), rtol=1e-3, atol=1e-3)
        expect(not straight, f"{name}: a linear function of the input, as without a hidden layer")


@check("VAE", points=1, hint="No batch normalisation: what a row becomes depends on it alone.")
@example(d=7, h=6, z=3)
@example(d=3, h=8, z=4)
def treats_rows_alone(student, d, h, z):
    """In training mode, too, each row of a batch gives what it gives in a batch of one."""
    model = student.VAE.keep(d, h, z)
    model.train()
    x, eps = grey((4, d), 1).float(), tenths((4, z), 2).float()
    together = three(model(x, eps))
    for index in range(4):
        alone = three(model(x[index : index + 1], eps[index : index + 1]))
        for whole, part in zip(together, alone, strict=True):
            expect_close(part, whole[index : index + 1], f"row {index} alone")


@check(
    "VAE", points=2, ahead=False, hint="Is every layer used, and is nothing detached on the way?"
)
@example(d=7, h=32, z=3)
@example(d=64, h=128, z=8)
def every_parameter_gets_a_gradient(student, d, h, z):
    """From (logits, mu, logvar) gradients reach every parameter, x and eps; from the logits alone,
    by way of z, logvar's too; and x from each of mu and logvar alone."""
    model = student.VAE.keep(d, h, z)
    x, eps = grey((5, d), 1).float() + 0.1, tenths((5, z), 2).float() + 0.05
    cotangents = [tenths((5, size), 7 + size).float() + 0.05 for size in (d, z, z)]
    _, gradients = model.call.parameter_gradients(x, eps, cotangent=cotangents, of=model)
    expect(len(gradients) > 0, "the module has no parameters")
    for name, gradient in gradients.items():
        some = isinstance(gradient, torch.Tensor) and bool((gradient != 0).any())
        expect(some, f"no gradient reaches the parameter {name}", gradient)
    # The gradient to eps is dlogits/dz · sigma: it is there only where z took the noise in.
    mu, logvar = two(model.encode(x))
    z_here = mu + eps * (logvar / 2).exp()
    _, (to_z,) = model.decode.gradients(z_here, cotangent=cotangents[0])
    _, (to_x, to_eps) = model.call.gradients(x, eps, cotangent=cotangents[0])
    wanted = gradient_reaches(to_z, "z of decode") * (logvar / 2).exp()
    expect_close(gradient_reaches(to_eps, "eps"), wanted, "the gradient to eps")
    _, (through,) = model.encode.gradients(x, cotangent=[to_z, to_z * eps * (logvar / 2).exp() / 2])
    expect_close(gradient_reaches(to_x, "x"), gradient_reaches(through, "x of encode"), "that to x")
    # What of mu or logvar is detached is still the same in forward and in encode.
    for number, name in enumerate(("mu", "logvar")):
        heads = [torch.zeros_like(mu), torch.zeros_like(mu)]
        heads[number] = cotangents[1]
        _, (alone,) = model.encode.gradients(x, cotangent=heads)
        some = bool((gradient_reaches(alone, "x of encode") != 0).any())
        expect(some, f"no gradient of {name} reaches x", alone)
        _, (to_x, _) = model.call.gradients(x, eps, cotangent=[torch.zeros_like(x), *heads])
        expect_close(gradient_reaches(to_x, "x"), alone, f"the gradient of {name} to x")
    _, (to_z,) = model.decode.gradients(mu, cotangent=cotangents[0])
    _, (to_x,) = model.call.gradients(x, cotangent=cotangents[0])
    _, (through,) = model.encode.gradients(x, cotangent=[to_z, torch.zeros_like(mu)])
    expect_close(gradient_reaches(to_x, "x"), through, "the gradient to x without eps")


@check("VAE", points=1, hint=DTYPE)
@example(d=7, h=6, z=3)
@given(**SIZES)
def model_works_in_float64(student, d, h, z):
    """After .double() it gives float64; it takes non-contiguous rows, and leaves them and torch's
    global generator as they were."""
    model = student.VAE.keep(d, h, z)
    model.double()
    x, eps = grey((3, d), 1), tenths((3, z), 2)
    before = student.fixtures.random_state()
    expected = three(model(x, eps))
    value, after = model.call.inputs_after(strided(x), strided(eps))
    for name, part, right in zip(("logits", "mu", "logvar"), three(value), expected, strict=True):
        expect(right.dtype == DOUBLE, f"the dtype of {name} is {right.dtype}", right)
        expect_close(part, right, f"{name} of a strided x")
    for left, given_ in zip(after, (x, eps), strict=True):
        expect_close(left, given_, "the call changed its argument")
    expect(torch.equal(before, student.fixtures.random_state()), "forward drew noise of its own")


@check(
    "VAE",
    points=1,
    ahead=False,
    hint="decode(z) knows nothing of x, and a batch of one has one row.",
)
@example(d=1, h=1, z=1)
@example(d=5, h=2, z=7)
@example(d=2, h=9, z=2)
def model_of_any_size(student, d, h, z):
    """A batch of one and sizes of one work, a larger hidden layer has more parameters, and decode
    depends on its z alone."""
    model = student.VAE.keep(d, h, z)
    larger = student.VAE.keep(d, h + 30, z).state_dict()
    grown = sum(p.numel() for p in larger.values()) > sum(
        p.numel() for p in model.state_dict().values()
    )
    expect(grown, f"with {h + 30} hidden units it has no more parameters than with {h}")
    x, eps = grey((1, d), 1).float(), tenths((1, z), 2).float()
    code = tenths((3, z), 3).float()
    first = model.decode(code)
    expect_shape(first, (3, d))
    logits, mu, logvar = three(model(x, eps))
    for part, size in ((logits, d), (mu, z), (logvar, z)):
        expect_shape(part, (1, size))
    expect_close(model.decode(mu + eps * (logvar / 2).exp()), logits, "decode of z and forward")
    expect_close(model.decode(code), first, "decode(z) after another forward")


# --- train_vae -----------------------------------------------------------------------------------


@check(
    "train_vae",
    points=3,
    ahead=False,
    trains=True,
    hint="Rows of all classes in every batch, new noise for every row, the sum over pixels and "
    "latent units, and gradients that start from zero in each step.",
)
@example(seed=1000)
def learns_as_well_as_the_reference(student, seed):
    """After 600 steps on sorted digits, held-out ones cost no more nats than the reference's
    hundred trainings allow, and at least two latent units are active."""
    bound = calibration.bound(ASSIGNMENT, LONG)
    nats, active = held_out(train_on_digits(student, seed, LONG_STEPS))
    expect(nats < bound, f"held-out digits cost {nats:.2f} nats, and {bound:.2f} were allowed")
    expect(active >= 2, f"{active} latent units are active: the posterior collapsed")


# Both code every x alike; the noise can be read off what the first is given to decode, and the loss
# of the second, which decodes every z alike, tells which rows it is of.
IDLE = Linear((torch.zeros(6, 5), torch.zeros(6)), (tenths((5, 3), 1).float(), torch.zeros(5)))
BLIND = Linear(
    (torch.zeros(6, 5), torch.tensor([1, 1, 1, 0.5, 0.5, 0.5])),
    (torch.zeros(5, 3), torch.full((5,), 4.0)),
)
ROWS = torch.arange(20.0)[:, None].repeat(1, 5) / 20
WATCHED_BATCH, WATCHED_STEPS = 12, 100


def watched(
    student: Subject, seed: int, model: Linear, beta: float = 1.0
) -> tuple[list[torch.Tensor], StudentObject, list[float]]:
    """(batches, the model, losses) of a training on ROWS, each batch as the numbers of its rows."""
    there = model.there(student, records=True)
    generator = student.fixtures.generator.keep(seed)
    # So small a rate that the model stays as it is.
    losses = student.train_vae(there, ROWS, WATCHED_STEPS, WATCHED_BATCH, 1e-9, beta, generator)
    expect_floats(losses, WATCHED_STEPS)
    batches = there.value_of("encoded")
    for x in batches:
        expect(x.dim() == 2 and x.shape[1] == 5, "a batch is rows of data", x)
        whole = (x[:, :1] * 20).round() / 20
        expect(bool(((x - whole).abs() < 1e-6).all()), "a batch is rows of data, unchanged", x)
    numbers = [(x[:, 0] * 20).round().long() for x in batches]
    count, due = sum(map(len, numbers)), WATCHED_STEPS * WATCHED_BATCH
    told = f"{WATCHED_STEPS} steps of {WATCHED_BATCH} rows encoded {count} rows"
    expect(due / 2 < count < 3 * due, told)
    if count == due:  # a batch may be encoded in parts
        numbers = list(torch.cat(numbers).split(WATCHED_BATCH))
    return numbers, there, losses


@check(
    "train_vae",
    points=2,
    hint="torch.randint(len(data), (batch_size,), generator=generator) for every step.",
)
@example(seed=1)
@example(seed=2)
def draws_its_batches_from_all_rows(student, seed):
    """Batches have batch_size rows, come from all rows of data, differ from step to step, and are
    others with another generator."""
    batches, _, _ = watched(student, seed, IDLE)
    largest = max(map(len, batches))
    expect(largest == WATCHED_BATCH, f"{WATCHED_BATCH} rows were asked for, not {largest}")
    seen = torch.cat(batches).unique()
    expect(len(seen) == len(ROWS), f"of {len(ROWS)} rows only {len(seen)} were ever used", seen)
    distinct = {tuple(sorted(rows.tolist())) for rows in batches}
    many = len(distinct) > WATCHED_STEPS // 2
    expect(many, f"{WATCHED_STEPS} steps used only {len(distinct)} different batches")
    others, _, _ = watched(student, seed + 10, IDLE)
    same = sum(torch.equal(a, b) for a, b in zip(batches, others, strict=False))
    expect(same < 5, f"with another generator {same} of the batches were the same, in their order")


@check(
    "train_vae", points=1, hint="eps has the shape [batch_size, latent_dim], drawn in each step."
)
@example(seed=3)
@example(seed=4)
def draws_new_noise_for_every_row(student, seed):
    """The noise is N(0, 1), other for every row, latent unit and step."""
    _, there, _ = watched(student, seed, IDLE)
    z = torch.cat(there.value_of("decoded"))
    expect_shape(z, (len(z), 3))
    z = z.unique(dim=0)  # a code may be decoded twice
    due = 0.9 * WATCHED_STEPS * WATCHED_BATCH / 2  # half: the last batch of an epoch may be short
    expect(len(z) > due, f"{WATCHED_STEPS} steps decoded only {len(z)} different codes", z)
    unique = len(z.flatten().unique())
    expect(unique > 0.95 * z.numel(), f"of {z.numel()} values of the noise {unique} differ", z)
    near = 6 / math.sqrt(z.numel())  # six standard deviations
    expect(abs(float(z.mean())) < near, f"the mean of the noise is {float(z.mean()):.3f}, not 0", z)
    expect(abs(float(z.var()) - 1) < 1.5 * near, f"its variance is {float(z.var()):.3f}, not 1", z)
    tails = float((z.abs() > 2).double().mean())
    expect(0.02 < tails < 0.08, f"{tails:.1%} of the noise is beyond ±2; of N(0, 1), 4.6 %", z)


@check(
    "train_vae",
    points=1,
    ahead=False,
    hint="zero_grad before backward; the loss is that before the step.",
)
@example(beta=1.0)
@example(beta=0.5)
def starts_each_step_afresh(student, beta):
    """A training goes on where the last one ended; gradients from before count for nothing, the
    data are left as they were, and each loss is that of its step's batch."""
    model, data = blind(linear_model(5, 3, 1, torch.float32)), grey((1, 5), 4).float().repeat(6, 1)
    clean, left = model.there(student), model.there(student)
    student.fixtures.leave_gradients(left, 1000.0)
    nothing = torch.zeros(6, 3)
    results = []
    for there in (clean, left):
        generator = student.fixtures.generator.keep(5)
        arguments = (there, data, 1, 4, 1e-3, beta, generator)
        _, after = student.train_vae.inputs_after(*arguments)
        expect_close(after[1], data, "the data after the training")
        results.append(negative_bound(there, data, nothing, beta))
    start = negative_bound(model, data, nothing, beta)
    expect(results[0] < start, f"one step took the loss from {start:.5f} to {results[0]:.5f}")
    expect(
        abs(results[0] - results[1]) < 1e-4 * abs(start - results[0]) + 1e-6,
        f"a step after other gradients were left ends at {results[1]:.5f}, not {results[0]:.5f}",
    )
    generator = student.fixtures.generator.keep(6)
    student.train_vae(clean, data, 100, 4, 0.05, beta, generator)
    again = expect_floats(student.train_vae(clean, data, 1, 4, 0.05, beta, generator), 1)[0]
    expect(
        again < (start + negative_bound(clean, data, nothing, beta)) / 2,
        f"a training from {start:.3f} goes on at {again:.3f}",
    )

    batches, there, losses = watched(student, 7, BLIND, beta)
    divergence_ = 1.5 + 1.5 * (math.exp(0.5) - 1.5)
    of_row = F.softplus(torch.tensor(4.0)) * 5 - 4 * ROWS.sum(dim=1) + beta * divergence_
    of_batch = iter([float(of_row[rows].mean()) for rows in batches])
    for number, loss in enumerate(losses):  # in this order; a batch may be encoded twice
        found = any(abs(loss - right) < 1e-3 for right in of_batch)
        expect(found, f"the loss number {number + 1}, {loss:.4f}, is that of no batch")
    # Of one step's loss: mu is 1 and its slope beta, times 1 for the bias and x < 1 for the weight.
    largest = beta * math.sqrt(3 + 3 * (math.expm1(0.5) / 2) ** 2) * math.sqrt(1 + 5)
    found_slope = max(there.value_of("slopes"))
    expect(
        found_slope < 1.05 * largest,
        f"the encoder's gradient is {found_slope:.2f}: one step's is {largest:.2f} at the most",
    )


@check("train_vae", points=1, hint="All the model's parameters belong to the optimiser.")
@example(seed=1)
def trains_both_parts_in_place(student, seed):
    """The encoder and the decoder of the model that was given both move, by more with a larger
    lr."""
    moved = []
    data = grey((30, 5), 3).float()
    for rate in (1e-4, 1e-2):
        model = linear_model(5, 3, seed, torch.float32)
        there = model.there(student)
        student.train_vae(there, data, 5, 8, rate, 1.0, student.fixtures.generator.keep(seed))
        mu, logvar = two(there.encode(data))
        before = model.encode(data)
        logits = there.decode(tenths((4, 3), 2).float())
        parts = zip(
            (mu, logvar, logits), (*before, model.decode(tenths((4, 3), 2).float())), strict=True
        )
        moved.append([float((now - then).abs().mean()) for now, then in parts])
    for name, small, large in zip(("mu", "logvar", "decode"), *moved, strict=True):
        expect(small > 0, f"{name} is the same after the training")
        expect(
            large > 30 * small,
            f"with lr 100 times larger, {name} moved by {large / small:.1f} times",
        )


# --- sample --------------------------------------------------------------------------------------


@check("sample", points=2, hint="torch.randn(n, model.latent_dim, generator=generator)")
@example(n=5)
def samples_follow_the_generator(student, n):
    """The same generator state gives the same samples, another others, and a second call goes on;
    torch's global generator is left alone."""
    model = EYE.there(student)
    before = student.fixtures.random_state()
    first, again, other = (student.fixtures.generator.keep(seed) for seed in (1, 1, 2))
    one = student.sample(model, n, first)
    codes_behind(one, EYE, n)
    expect_close(student.sample(model, n, again), one, "the same generator state")
    for name, generator in (("another seed", other), ("a second call", first)):
        drawn_ = student.sample(model, n, generator)
        codes_behind(drawn_, EYE, n)
        expect(not torch.allclose(drawn_, one), f"{name} gave the same samples", drawn_)
    expect(torch.equal(before, student.fixtures.random_state()), "the global generator was used")


@check("sample", points=1, hint="The shape of z is [n, model.latent_dim], for n = 1, too.")
@example(z=1, n=1)
@example(z=6, n=1)
@example(z=20, n=200)
def samples_of_other_models(student, z, n):
    """n = 1 and other numbers of latent units work, and each row has its own code."""
    weight = torch.cat([torch.eye(z), -torch.eye(z)]) / 2
    model = Linear((torch.zeros(2 * z, 2 * z), torch.zeros(2 * z)), (weight, torch.zeros(2 * z)))
    codes = codes_behind(
        student.sample(model.there(student), n, student.fixtures.generator.keep(z)), model, n
    )
    expect(bool((codes.abs() < 6).all()), "no draw of N(0, 1) is beyond ±6", codes)
    expect(len(codes.unique(dim=0)) == n, "rows share their code", codes)
    off = abs(float(codes.square().mean()) - 1)
    expect(n == 1 or off < 9 / math.sqrt(z * n), "the variance of the codes is not 1", codes)


# --- slerp, interpolate --------------------------------------------------------------------------


def arc(z0: torch.Tensor, z1: torch.Tensor, t: float) -> torch.Tensor:
    """The formula, with the angle's cosine and sine as they come: for vectors that have one."""
    cosine = (z0 * z1).sum(-1, keepdim=True) / (
        z0.norm(dim=-1, keepdim=True) * z1.norm(dim=-1, keepdim=True)
    )
    omega = cosine.acos()
    sines: torch.Tensor = ((1 - t) * omega).sin() * z0 + (t * omega).sin() * z1
    return sines.div(omega.sin())


DEGREE = torch.tensor([[100.0, 99.0], [99.0, 100.0]], dtype=DOUBLE)  # 0.6° apart
ARC: Call = ([tenths((3, 4), 1), tenths((3, 4), 2)], {"t": 0.3})


@check("slerp", points=2, oracle=values_and_gradients(arc), hint=GRAPH)
@example(call=ARC)
@example(call=([tenths((5,), 1), tenths((5,), 2)], {"t": 0.5}))
@example(call=([tenths((2, 3, 4), 1), tenths((2, 3, 4), 2)], {"t": 0.75}))
@example(call=([DEGREE, DEGREE.flip(0)], {"t": 0.5}))
@example(call=([DEGREE, -DEGREE.flip(0)], {"t": 0.25}))
@example(call=([tenths((1, 16), 5), tenths((1, 16), 6)], {"t": 0.0}))
@example(call=([tenths((2, 2), 6), tenths((2, 2), 11)], {"t": 1.0}))
def slerp_has_the_right_gradients(student, call, expected):
    """slerp agrees with the formula in float64 for any leading shape, gradients to both ends
    too."""
    expect_gradients(student.slerp, call, expected, names=("z0", "z1"))


@check(
    "slerp",
    points=1,
    hint="Decide for each row by itself whether it has an arc; a row without one must not divide.",
)
@example(t=0.25)
@example(t=0.5)
@given(t=st.sampled_from((0.1, 0.4, 0.9)))
def slerp_mixes_arcs_and_lines(student, t):
    """A batch may hold rows with an arc and rows without: same or opposite directions, zeros.
    Gradients are finite in all of them."""
    z0 = torch.tensor([[1, 2, 2], [1, 2, 2], [0, 0, 0], [3, 0, 4], [1, 0, 0]], dtype=DOUBLE)
    z1 = torch.tensor([[2, -1, 2], [3, 6, 6], [1, 2, 3], [0, 0, 0], [-2, 0, 0]], dtype=DOUBLE)
    expected = (1 - t) * z0 + t * z1
    expected[0] = arc(z0[:1], z1[:1], t)[0]
    value, gradients = student.slerp.gradients(z0, z1, t, cotangent=torch.ones_like(z0))
    expect_close(value, expected)
    for name, gradient in zip(("z0", "z1"), gradients, strict=True):
        finite = bool(gradient_reaches(gradient, name).isfinite().all())
        expect(finite, f"the gradient to {name} is not finite", gradient)


@check(
    "slerp",
    points=1,
    oracle=lambda call: (in_both_dtypes(arc)(call), arc(*call[0], **call[1])),
    hint=f"{DTYPE} {LAYOUT}",
)
@example(call=ARC)
def slerp_keeps_dtype_and_inputs(student, call, expected):
    """slerp follows its inputs' dtype and device, takes non-contiguous ones, and leaves them as
    they were."""
    expect_dtype_and_device(student.slerp, call, expected[0])
    expect_inputs_kept(student.slerp, call, expected[1])


@check(
    "slerp", points=1, hint="t = torch.linspace(0, 1, steps); row i decodes slerp(mu0, mu1, t[i])."
)
@example(d=5, z=3, steps=5, dtype="float64")
@example(d=3, z=4, steps=2, dtype="float32")
@example(d=6, z=2, steps=9, dtype="float32")
def interpolates_along_the_arc(student, d, z, steps, dtype):
    """Row i of interpolate is σ(decode(slerp(mu0, mu1, t_i))), in the model's dtype."""
    kind = getattr(torch, dtype)
    model, ends = linear_model(d, z, 7, kind), grey((2, d), 8).to(kind)
    mu = model.encode(ends)[0]
    codes = [arc(mu[0], mu[1], i / (steps - 1)) for i in range(steps)]
    expected = model.decode(torch.stack(codes)).sigmoid()
    expect_close(student.interpolate(model.there(student), ends[0], ends[1], steps), expected)


# --- importance_weighted_bound -------------------------------------------------------------------


def weighted_bound(model: Linear, x: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """By torch.distributions, draw by draw."""
    mu, logvar = model.encode(x)
    posterior, prior = Normal(mu, (logvar / 2).exp()), Normal(torch.zeros_like(mu), 1.0)
    ratios = []
    for each in eps:
        z = mu + (logvar / 2).exp() * each
        pixels = Bernoulli(logits=model.decode(z), validate_args=False).log_prob(x)
        ratios.append(pixels.sum(1) + (prior.log_prob(z) - posterior.log_prob(z)).sum(1))
    joined: torch.Tensor = torch.stack(ratios).logsumexp(dim=0)
    return joined - math.log(len(eps))


@check(
    "importance_weighted_bound",
    points=2,
    oracle=lambda b, k, d, z: weighted_bound(
        linear_model(d, z, 3), grey((b, d), 4), tenths((k, b, z), 5)
    ),
    hint="eps is [k, b, z]: which of k and b belongs to which axis, once they are one?",
)
@example(b=3, k=5, d=4, z=2)
@example(b=5, k=3, d=2, z=6)
@example(b=1, k=7, d=3, z=1)
@example(b=2, k=60, d=9, z=8)
@given(b=sizes(1, 4), k=sizes(1, 5), d=sizes(1, 4), z=sizes(1, 4))
def bound_agrees_with_torch_distributions(student, b, k, d, z, expected):
    """Agrees with torch.distributions in float64, for all b, k, d and z; decode is given z with
    two sizes."""
    model = linear_model(d, z, 3).there(student)
    value = student.importance_weighted_bound(model, grey((b, d), 4), tenths((k, b, z), 5))
    expect_close(value, expected)


@check("importance_weighted_bound", points=1, hint=GRAPH)
@example(b=3, k=4)
def bound_has_the_right_gradients(student, b, k):
    """Gradients reach eps and every parameter of the model."""
    model, x, eps = linear_model(4, 2, 3), grey((b, 4), 4), tenths((k, b, 2), 5)
    parts = [part.clone().requires_grad_() for part in (*model.encoder, *model.decoder, eps)]
    cotangent = tenths((b,), 7)
    here = Linear((parts[0], parts[1]), (parts[2], parts[3]))
    right = torch.autograd.grad(weighted_bound(here, x, parts[4]), parts, cotangent)
    there = model.there(student)
    call = student.importance_weighted_bound
    _, (_, to_eps) = call.gradients(there, x, eps, cotangent=cotangent)
    expect_close(gradient_reaches(to_eps, "eps"), right[4], "the gradient to eps")
    _, named = call.parameter_gradients(there, x, eps, cotangent=cotangent, of=there)
    expect(len(named) == 4, "the model has four parameters")
    for (name, gradient), wanted in zip(named.items(), right, strict=False):
        expect_close(gradient_reaches(gradient, name), wanted, f"the gradient to {name}")


@check(
    "importance_weighted_bound",
    points=1,
    oracle=lambda size, dtype: weighted_bound(*far_out(size, dtype)),
    hint="exp of −1e4 is 0, and log 0 is −inf: logsumexp subtracts the largest first.",
)
@example(size=1e3, dtype="float64")
@example(size=1e4, dtype="float64")
@example(size=300.0, dtype="float32")
def bound_is_stable(student, size, dtype, expected):
    """Is finite and right where log p(x|z) is −1e4 and below."""
    model, x, eps = far_out(size, dtype)
    value = student.importance_weighted_bound(model.there(student), x, eps)
    expect_close(value, expected)


def far_out(size: float, dtype: str) -> tuple[Linear, torch.Tensor, torch.Tensor]:
    """A model that is sure of itself and wrong, and its arguments."""
    kind = getattr(torch, dtype)
    model = linear_model(5, 3, 3, kind)
    decoder = (model.decoder[0], torch.full((5,), size, dtype=kind))
    return (
        Linear(model.encoder, decoder),
        grey((2, 5), 4).to(kind) / 2,
        tenths((4, 2, 3), 5).to(kind),
    )


@check("importance_weighted_bound", points=1, hint=f"{DTYPE} {LAYOUT}")
@example(b=3, k=2)
def bound_keeps_dtype_and_inputs(student, b, k):
    """Follows the dtype of x and the model, takes non-contiguous inputs, leaves them and the
    global generator as they were, and gives each row by itself."""
    for kind in (torch.float32, DOUBLE):
        model = linear_model(4, 2, 3, kind)
        there = model.there(student)
        before = student.fixtures.random_state()
        x, eps = grey((b, 4), 4).to(kind), tenths((k, b, 2), 5).to(kind)
        expected = weighted_bound(model, x, eps)
        value, after = student.importance_weighted_bound.inputs_after(
            there, strided(x), strided(eps)
        )
        expect_close(value, expected)
        for left, given_ in zip(after[1:], (x, eps), strict=True):
            expect_close(left, given_, "the call changed its argument")
        after_it = student.fixtures.random_state()
        expect(torch.equal(before, after_it), "the noise is eps: draw no other")
