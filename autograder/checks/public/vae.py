"""The public checks of 06-vae: laws, worked examples and a short training, for students to run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import torch
from hypothesis import strategies as st

from autograder.check import (
    Exercise,
    Failure,
    check,
    example,
    expect,
    expect_close,
    expect_equal,
    expect_shape,
    expect_tensor,
    given,
)
from autograder.strategies import filled, sizes
from autograder.subject import StudentObject, Subject
from gradus.data import digits

EXERCISES: tuple[Exercise, ...] = (
    Exercise("reparameterize"),
    Exercise("gaussian_kl"),
    Exercise("bernoulli_nll", names=("bernoulli_nll", "gaussian_nll")),
    Exercise("negative_elbo"),
    Exercise("VAE"),
    Exercise("train_vae"),
    Exercise("sample"),
    Exercise("slerp", names=("slerp", "interpolate")),
    Exercise("importance_weighted_bound"),
)

DOUBLE = torch.float64


def row(*values: float) -> torch.Tensor:
    """One row, [1, n]."""
    return torch.tensor([values], dtype=torch.float32)


def tenths(shape: tuple[int, ...], seed: int, reach: int = 20) -> torch.Tensor:
    """Tenths in float64, from −reach/10 to reach/10."""
    return filled(shape, seed, -reach, reach, DOUBLE) / 10


def grey(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Grey values in float64: tenths from 0 to 1."""
    return filled(shape, seed, 0, 10, DOUBLE) / 10


@st.composite
def like(draw: st.DrawFn, count: int, reach: int = 20) -> tuple[torch.Tensor, ...]:
    """`count` tensors [b, z] of one shape, in tenths."""
    shape = (draw(sizes(1, 4)), draw(sizes(1, 5)))
    return tuple(tenths(shape, draw(st.integers(0, 2**16)), reach) for _ in range(count))


def per_example(value: Any, x: torch.Tensor) -> torch.Tensor:
    """Fails unless `value` is one number for each row of x, in x's dtype."""
    out = expect_tensor(value)
    expect_shape(out, (len(x),))
    expect(out.dtype == x.dtype, f"the dtype is {out.dtype}, and {x.dtype} was expected", out)
    return out


def gradient_reaches(gradient: Any, name: str) -> torch.Tensor:
    """Fails where no gradient came back."""
    if gradient is None:
        raise Failure(f"no gradient reaches the argument {name}")
    return expect_tensor(gradient)


# --- A model that both sides know ----------------------------------------------------------------


@dataclass(frozen=True)
class Linear:
    """A VAE of linear layers: its encoder's rows are mu's, then logvar's."""

    encoder: tuple[torch.Tensor, torch.Tensor]  # weight [2z, d], bias [2z]
    decoder: tuple[torch.Tensor, torch.Tensor]  # weight [d, z], bias [d]

    def there(self, student: Subject, records: bool = False) -> StudentObject:
        """The same model in the student's process."""
        encoder = student.fixtures.linear.keep(*self.encoder)
        decoder = student.fixtures.linear.keep(*self.decoder)
        return student.fixtures.vae.keep(encoder, decoder, **{"records": True} if records else {})

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(mu, logvar) of x[b, d]."""
        mu, logvar = (x @ self.encoder[0].T + self.encoder[1]).chunk(2, dim=1)
        return mu, logvar

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The logits of z[..., z]."""
        return z @ self.decoder[0].T + self.decoder[1]


def linear_model(d: int, z: int, seed: int, dtype: torch.dtype = DOUBLE) -> Linear:
    """A linear model with weights in tenths."""
    shapes = ((2 * z, d), (2 * z,), (d, z), (d,))
    parts = [tenths(shape, seed + i, 9).to(dtype) for i, shape in enumerate(shapes)]
    return Linear((parts[0], parts[1]), (parts[2], parts[3]))


# --- reparameterize ------------------------------------------------------------------------------


@check(
    "reparameterize",
    points=2,
    hint="logvar is the logarithm of the variance. What is the logarithm of its square root?",
)
@example(mu=row(1), logvar=row(0), eps=row(2), z=row(3))
@example(mu=row(1, -2), logvar=row(2 * math.log(3), 2 * math.log(0.5)), eps=row(2, 4), z=row(7, 0))
@example(mu=row(0), logvar=row(2 * math.log(10)), eps=row(-1), z=row(-10))
def draws_the_worked_examples(student, mu, logvar, eps, z):
    """Gives the worked examples: standard deviations 1, 3, ½ and 10."""
    expect_close(student.reparameterize(mu, logvar, eps), z)


@check("reparameterize", points=1, hint="All randomness is in eps: draw no noise of your own.")
@example(arguments=(tenths((3, 4), 1), tenths((3, 4), 2), tenths((3, 4), 3)))
@given(arguments=like(3))
def moves_with_the_noise_alone(student, arguments):
    """With eps = 0 it is mu; twice the noise is twice as far from mu, and −eps as far below."""
    mu, logvar, eps = arguments
    eps = eps.abs() + 0.1
    expect_close(student.reparameterize(mu, logvar, torch.zeros_like(eps)), mu, "eps is 0")
    away = expect_tensor(student.reparameterize(mu, logvar, eps))
    expect_shape(away, mu.shape)
    expect(bool((away > mu).all()), "eps is positive everywhere, and z is not above mu", away)
    expect_close(student.reparameterize(mu, logvar, 2 * eps), mu + 2 * (away - mu), "twice eps")
    expect_close(student.reparameterize(mu, logvar, -eps), 2 * mu - away, "−eps")


@check(
    "reparameterize",
    points=2,
    hint="z = mu + sigma·eps is a formula: what cuts it (detach, .data, no_grad, torch.normal)?",
)
@example(arguments=(tenths((2, 3), 1), tenths((2, 3), 2), tenths((2, 3), 3)))
@given(arguments=like(3))
def lets_the_gradient_through(student, arguments):
    """dz/dmu = 1 and dz/dlogvar = (z − mu)/2."""
    mu, logvar, eps = arguments
    cotangent = tenths(tuple(mu.shape), 7)
    z, (of_mu, of_logvar, _) = student.reparameterize.gradients(
        mu, logvar, eps, cotangent=cotangent
    )
    expect_shape(z, mu.shape)
    expect_close(gradient_reaches(of_mu, "mu"), cotangent, "the gradient to mu")
    wanted = cotangent * (z - mu) / 2
    expect_close(gradient_reaches(of_logvar, "logvar"), wanted, "the gradient to logvar")


# --- gaussian_kl ---------------------------------------------------------------------------------


@check("gaussian_kl", points=2, hint="½ Σ (mu² + exp(logvar) − 1 − logvar), summed over z.")
@example(mu=row(0, 0), logvar=row(0, 0), kl=torch.tensor([0.0]))
@example(mu=torch.tensor([[1.0, 2], [0, 3]]), logvar=torch.zeros(2, 2), kl=torch.tensor([2.5, 4.5]))
@example(mu=row(0), logvar=row(math.log(4)), kl=torch.tensor([(3 - math.log(4)) / 2]))
@example(
    mu=row(2, 1, 0),
    logvar=row(0, -math.log(2), 0),
    kl=torch.tensor([2 + (0.5 + math.log(2)) / 2]),
)
def measures_the_worked_examples(student, mu, logvar, kl):
    """Gives the worked examples, one number for each row."""
    expect_close(student.gaussian_kl(mu, logvar), kl)


@check("gaussian_kl", points=2, hint="A divergence is never negative. Is a sign the wrong way?")
@example(arguments=(tenths((3, 4), 1), tenths((3, 4), 2)))
@given(arguments=like(2))
def is_zero_at_the_prior_alone(student, arguments):
    """It is 0 where mu = 0 and logvar = 0, and above 0 as soon as one of them differs."""
    mu, logvar = arguments
    zero = torch.zeros_like(mu)
    expect_close(student.gaussian_kl(zero, zero), mu.new_zeros(len(mu)), "at the prior")
    for name, pair in (
        ("mu differs", (mu.abs() + 0.1, zero)),
        ("the variance is larger", (zero, logvar.abs() + 0.1)),
        ("the variance is smaller", (zero, -logvar.abs() - 0.1)),
    ):
        kl = per_example(student.gaussian_kl(*pair), mu)
        expect(bool((kl > 1e-4).all()), f"{name}, and the divergence is not positive", kl)


@check("gaussian_kl", points=1, hint="Sum over the latent dimensions: no mean, and not the batch.")
@example(arguments=(tenths((3, 4), 1), tenths((3, 4), 2)), at=1)
@given(arguments=like(2), at=sizes(0, 4))
def adds_up_over_dimensions(student, arguments, at):
    """The divergence of some dimensions plus that of the others is that of all; the sign of mu
    does not matter."""
    mu, logvar = (torch.cat([part, part.flip(1) + 0.3], dim=1) for part in arguments)
    at = min(at, mu.shape[1] - 2) + 1
    whole = per_example(student.gaussian_kl(mu, logvar), mu)
    first = per_example(student.gaussian_kl(mu[:, :at], logvar[:, :at]), mu)
    second = per_example(student.gaussian_kl(mu[:, at:], logvar[:, at:]), mu)
    expect_close(whole, first + second)
    expect_close(student.gaussian_kl(-mu, logvar), whole, "with −mu")


@check("gaussian_kl", points=2, hint="Does the gradient take the same way as the values?")
@example(arguments=(tenths((2, 3), 1), tenths((2, 3), 2)))
@given(arguments=like(2))
def pulls_towards_the_prior(student, arguments):
    """The gradient is mu to mu, and (exp(logvar) − 1)/2 to logvar."""
    mu, logvar = arguments
    cotangent = tenths((len(mu),), 7)
    _, (of_mu, of_logvar) = student.gaussian_kl.gradients(mu, logvar, cotangent=cotangent)
    weight = cotangent[:, None]
    expect_close(gradient_reaches(of_mu, "mu"), weight * mu, "the gradient to mu")
    wanted = weight * (logvar.exp() - 1) / 2
    expect_close(gradient_reaches(of_logvar, "logvar"), wanted, "the gradient to logvar")


# --- bernoulli_nll, gaussian_nll -----------------------------------------------------------------


@check("bernoulli_nll", points=1, hint="A logit of 0 is a probability of ½, and costs log 2.")
@example(logits=row(0, 0, 0), target=row(0, 1, 0.5), nll=torch.tensor([3 * math.log(2)]))
@example(
    logits=torch.tensor([[math.log(3)], [-math.log(3)]]),
    target=torch.tensor([[1.0], [1.0]]),
    nll=torch.tensor([math.log(4 / 3), math.log(4)]),
)
@example(logits=row(math.log(3)), target=row(0.5), nll=torch.tensor([math.log(16 / 3) / 2]))
def bernoulli_gives_the_worked_examples(student, logits, target, nll):
    """bernoulli_nll gives the worked examples, grey targets among them."""
    expect_close(student.bernoulli_nll(logits, target), nll)


@check(
    "bernoulli_nll",
    points=1,
    hint="exp(−nll) is a probability. Do you sum over the pixels, and only over them?",
)
@example(logits=tenths((1, 3), 1, 40))
@given(logits=sizes(1, 4).flatmap(lambda d: st.integers(0, 999).map(lambda s: tenths((1, d), s))))
def bernoulli_probabilities_sum_to_one(student, logits):
    """Over all black-and-white images of d pixels, exp(−bernoulli_nll) sums to 1."""
    targets = torch.tensor(list(product((0.0, 1.0), repeat=logits.shape[1])), dtype=DOUBLE)
    nll = per_example(student.bernoulli_nll(logits.repeat(len(targets), 1), targets), targets)
    expect_close((-nll).exp().sum(), torch.tensor(1.0, dtype=DOUBLE), "the sum of exp(−nll)")


LOG_2_PI = math.log(2 * math.pi)


@check("bernoulli_nll", points=1, hint="Where do log sigma and ½ log 2π come from, and how often?")
@example(arguments=(row(1, 2), row(1, 2)), sigma=1.0, nll=torch.tensor([LOG_2_PI]))
@example(
    arguments=(row(1, 2), row(3, 2)), sigma=2.0, nll=torch.tensor([0.5 + math.log(8 * math.pi)])
)
@example(arguments=(row(0), row(0)), sigma=0.1, nll=torch.tensor([math.log(0.1) + LOG_2_PI / 2]))
def gaussian_gives_the_worked_examples(student, arguments, sigma, nll):
    """gaussian_nll gives the worked examples; sigma is 1 where it is not given."""
    options = {} if sigma == 1 else {"sigma": sigma}
    expect_close(student.gaussian_nll(*arguments, **options), nll)


@check("bernoulli_nll", points=1, hint="A density has its constant: ½ log 2π for each pixel.")
@example(mean=0.3, sigma=0.5)
@example(mean=-2.0, sigma=1.0)
@example(mean=1.0, sigma=3.0)
def gaussian_densities_integrate_to_one(student, mean, sigma):
    """exp(−gaussian_nll) of one pixel integrates to 1 over all its values."""
    targets = torch.linspace(mean - 10 * sigma, mean + 10 * sigma, 401, dtype=DOUBLE)[:, None]
    nll = per_example(student.gaussian_nll(torch.full_like(targets, mean), targets, sigma), targets)
    integral = torch.trapezoid((-nll).exp(), targets[:, 0])
    expect_close(integral, torch.tensor(1.0, dtype=DOUBLE), "the integral of exp(−nll)")


@check(
    "bernoulli_nll",
    points=2,
    hint="Flatten all that follows the batch, even where nothing does, then sum.",
)
@example(shape=(3,))
@example(shape=(2, 5))
@example(shape=(4, 2, 3, 5))
@given(shape=st.lists(sizes(1, 4), min_size=1, max_size=4).map(tuple))
def sums_over_all_but_the_batch(student, shape):
    """Both give [b] for [b], [b, d] and [b, c, h, w]: the sum of what each pixel gives alone."""
    x, target = tenths(shape, 1), grey(shape, 2)
    for function, options in ((student.bernoulli_nll, {}), (student.gaussian_nll, {"sigma": 0.5})):
        alone = function(x.reshape(-1, 1), target.reshape(-1, 1), **options)
        alone = per_example(alone, x.reshape(-1))
        expected = alone.reshape(len(x), -1).sum(dim=1)
        expect_close(function(x, target, **options), expected)


@check("bernoulli_nll", points=1, hint="Do the values and the gradient take the same way?")
@example(shape=(2, 3))
@given(shape=st.tuples(sizes(1, 3), sizes(1, 4)))
def pulls_towards_the_target(student, shape):
    """The gradient of bernoulli_nll to the logits is σ(logits) − target, and that of gaussian_nll
    to the mean (mean − target)/sigma²."""
    # No logit is 0: there formulas with max(logit, 0) or |logit| have a corner.
    x, target, cotangent = tenths(shape, 1) + 0.05, grey(shape, 2), tenths(shape[:1], 7)
    _, (gradient, _) = student.bernoulli_nll.gradients(x, target, cotangent=cotangent)
    wanted = cotangent[:, None] * (x.sigmoid() - target)
    expect_close(gradient_reaches(gradient, "logits"), wanted, "the gradient to the logits")
    _, (gradient, _) = student.gaussian_nll.gradients(x, target, cotangent=cotangent, sigma=0.5)
    wanted = cotangent[:, None] * (x - target) / 0.25
    expect_close(gradient_reaches(gradient, "mean"), wanted, "the gradient to the mean")


# --- negative_elbo -------------------------------------------------------------------------------


@check("negative_elbo", points=1, hint="The mean over the batch of nll + beta·kl.")
@example(arguments=([3.0, 5.0], [1.0, 3.0]), loss=6.0)
@example(arguments=([3.0, 5.0], [1.0, 3.0], 0.5), loss=5.0)
@example(arguments=([3.0, 5.0, 1.0], [1.0, 3.0, 2.0], 4.0), loss=11.0)
def weighs_the_worked_examples(student, arguments, loss):
    """Gives the worked examples, with beta = 1 where it is not given."""
    nll, kl, *beta = arguments
    result = student.negative_elbo(torch.tensor(nll), torch.tensor(kl), *beta)
    expect_close(result, torch.tensor(loss))


@check("negative_elbo", points=1, hint="beta multiplies kl alone, once.")
@example(arguments=(tenths((4,), 1), tenths((4,), 2).abs() + 0.5), beta=3)
@given(
    arguments=sizes(1, 5).flatmap(
        lambda b: st.integers(0, 999).map(lambda s: (tenths((b,), s), tenths((b,), s + 1) + 3))
    ),
    beta=sizes(0, 5),
)
def is_linear_in_beta(student, arguments, beta):
    """With beta = 0 it is the mean of nll; each unit of beta adds the mean of kl."""
    nll, kl = arguments
    expect_close(student.negative_elbo(nll, kl, beta=0.0), nll.mean(), "beta is 0")
    expect_close(student.negative_elbo(nll, kl, beta=float(beta)), nll.mean() + beta * kl.mean())


@check("negative_elbo", points=1, hint="A mean, not a sum: the loss must not grow with the batch.")
@example(nll=tenths((3,), 1), kl=tenths((3,), 2) + 3)
@given(nll=sizes(1, 4).map(lambda b: tenths((b,), b)), kl=st.just(None))
def does_not_grow_with_the_batch(student, nll, kl):
    """The same rows twice give the same scalar."""
    kl = nll.flip(0) + 3 if kl is None else kl
    once = expect_tensor(student.negative_elbo(nll, kl))
    expect_shape(once, ())
    expect(bool(once > nll.mean()), "kl is positive: the loss is above the mean of nll", once)
    expect_close(student.negative_elbo(nll.repeat(2), kl.repeat(2)), once)


# --- VAE -----------------------------------------------------------------------------------------


def three(value: Any) -> tuple[Any, Any, Any]:
    """Fails unless three things came back."""
    expect(
        isinstance(value, tuple | list) and len(value) == 3,
        "a tuple (logits, mu, logvar) was expected",
        value,
    )
    return value[0], value[1], value[2]


def two(value: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Fails unless two tensors came back."""
    expect(
        isinstance(value, tuple | list) and len(value) == 2,
        "a tuple (mu, logvar) was expected",
        value,
    )
    return expect_tensor(value[0]), expect_tensor(value[1])


SIZES = {"d": sizes(1, 5), "h": sizes(1, 5), "z": sizes(1, 4)}


@check("VAE", points=2, hint="The encoder ends in 2z numbers a row: z for mu, z for logvar.")
@example(d=7, h=5, z=3)
@example(d=4, h=6, z=2)
@example(d=2, h=3, z=5)
@given(**SIZES)
def has_the_right_shapes(student, d, h, z):
    """encode gives mu and logvar [b, z], decode logits [b, d], forward all three; latent_dim is
    z."""
    model = student.VAE.keep(d, h, z)
    x = torch.full((3, d), 0.5)
    expect_equal(model.value_of("latent_dim"), z)
    for part in two(model.encode(x)):
        expect_shape(part, (3, z))
    expect_shape(model.decode(torch.ones(2, z)), (2, d))
    for part, size in zip(three(model(x)), (d, z, z), strict=True):
        expect_shape(part, (3, size))


@check(
    "VAE",
    points=3,
    ahead=False,
    hint="forward: encode, then reparameterize with the noise that it was given, then decode.",
)
@example(d=7, h=5, z=3, mode="train")
@example(d=5, h=4, z=2, mode="eval")
@given(**SIZES, mode=st.sampled_from(("train", "eval")))
def forward_is_encode_reparameterize_decode(student, d, h, z, mode):
    """forward(x, eps) is exactly that, in training mode and in evaluation mode."""
    model = student.VAE.keep(d, h, z)
    getattr(model, mode)()
    x, eps = grey((4, d), 1).float(), 2 * filled((4, z), 2, -3, 3).float()
    mu, logvar = two(model.encode(x))
    drawn = mu + eps * (logvar / 2).exp()
    expected = expect_tensor(model.decode(drawn))
    logits, same_mu, same_logvar = three(model(x, eps))
    expect_close(same_mu, mu, "mu of forward and of encode")
    expect_close(same_logvar, logvar, "logvar of forward and of encode")
    expect_close(logits, expected, "the logits")


@check(
    "VAE",
    points=2,
    ahead=False,
    hint="Without noise z is mu: no dropout, and no noise of your own.",
)
@example(d=7, h=32, z=3)
@given(**SIZES)
def no_noise_means_zero_noise(student, d, h, z):
    """forward(x) decodes mu, the same each time; and mu is not logvar."""
    model = student.VAE.keep(d, h, z)
    x = grey((4, d), 1).float()
    mu, logvar = two(model.encode(x))
    logits, _, _ = three(model(x))
    expect_close(logits, expect_tensor(model.decode(mu)), "the logits of forward(x), and of mu")
    expect_close(three(model(x))[0], logits, "the logits of a second forward(x)")
    expect_close(three(model(x, torch.zeros(4, z)))[0], logits, "the logits with eps = 0")
    if h > 8:  # a few hidden units may all be off: then both may be 0
        expect(not torch.allclose(mu, logvar), "mu and logvar are the same", mu)


# --- train_vae -----------------------------------------------------------------------------------


def expect_floats(losses: Any, steps: int) -> list[float]:
    """Fails unless `losses` is a list of as many floats."""
    expect(isinstance(losses, list), f"a list of {steps} floats was expected", losses)
    expect(len(losses) == steps, f"{steps} losses were expected, and {len(losses)} came", losses)
    expect(all(type(loss) is float for loss in losses), "each loss is a Python float", losses)
    return list(losses)


def blind(model: Linear, at: float = 0.0) -> Linear:
    """The model with a decoder that does not look at z: then its loss is the same for any noise."""
    weight, bias = model.decoder
    return Linear(model.encoder, (torch.full_like(weight, at), bias))


def negative_bound(model: Any, x: torch.Tensor, eps: torch.Tensor, beta: float = 1.0) -> float:
    """The loss of a VAE for x[b, d] and noise eps[b, z], in nats a row. `model` may be anything
    that has encode and decode, such as a StudentObject."""
    mu, logvar = two(model.encode(x))
    logits = expect_tensor(model.decode(mu + eps * (logvar / 2).exp()))
    expect_shape(logits, x.shape)
    nll = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum()
    kl = (mu**2 + logvar.exp() - 1 - logvar).sum() / 2
    return float((nll + beta * kl) / len(x))


@check(
    "train_vae",
    points=2,
    hint="negative_elbo(bernoulli_nll(logits, x), gaussian_kl(mu, logvar), beta), as a float.",
)
@example(beta=1.0, batch_size=4)
@example(beta=0.0, batch_size=3)
@example(beta=3.0, batch_size=7)
def reports_the_loss_before_each_step(student, beta, batch_size):
    """The first loss is that of the model as it was given, and there is one for each step."""
    model = blind(linear_model(5, 3, 1, torch.float32))
    data = grey((1, 5), 4).float().repeat(8, 1)  # whichever rows are drawn, they are the same
    expected = negative_bound(model, data, torch.zeros(8, 3), beta)
    kept = model.there(student)
    losses = student.train_vae(
        kept, data, 3, batch_size, 0.1, beta, student.fixtures.generator.keep(5)
    )
    first = expect_floats(losses, 3)[0]
    expect(
        abs(first - expected) < 1e-3,
        f"the first loss is {first:.4f}: before any step, it is {expected:.4f}",
        losses,
    )


@check(
    "train_vae",
    points=2,
    hint="Rows and noise both come from `generator`: pass it to torch.randint and torch.randn.",
)
@example(seed=1)
def follows_the_generator_alone(student, seed):
    """The same generator state gives the same losses, another gives others, and torch's global
    generator is left alone."""
    model, data = linear_model(5, 3, 1, torch.float32), grey((20, 5), 4).float()
    models = [model.there(student) for _ in range(3)]
    before = student.fixtures.random_state()
    runs = []
    for there, number in zip(models, (seed, seed, seed + 1), strict=True):
        generator = student.fixtures.generator.keep(number)
        losses = student.train_vae(there, data, 4, 6, 0.01, 1.0, generator)
        runs.append(expect_floats(losses, 4))
    expect(
        all(abs(a - b) < 1e-5 for a, b in zip(runs[0], runs[1], strict=True)),
        "the same model, data and generator gave other losses the second time",
        runs[1],
        runs[0],
    )
    expect(runs[0] != runs[2], "another seed gave the same losses", runs[2])
    after = student.fixtures.random_state()
    expect(torch.equal(before, after), "torch's global generator was used")


LATENT, BATCH, RATE = 8, 128, 2e-3
# The mean image, with no code at all, costs 27.1 nats a digit, and the model as it starts 46. The
# hidden check trains longer, and asks for more.
SHORT_STEPS, SHORT_BOUND = 300, 26.0


@cache
def split_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """1500 digits to train on, sorted by their class, and 297 others, each [n, 64]: always the
    same, so that nothing but the training makes a difference."""
    pixels, labels = digits()
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    seen, unseen = order[:1500], order[1500:]
    seen = seen[labels[seen].argsort(stable=True)]
    return pixels[seen].flatten(1), pixels[unseen].flatten(1)


def train_on_digits(student: Subject, seed: int, steps: int) -> StudentObject:
    """A known model after train_vae on the digits: what it makes of others shows how good that
    was."""
    encoder = student.fixtures.network.keep([64, 128, 2 * LATENT], seed)
    decoder = student.fixtures.network.keep([LATENT, 128, 64], seed + 1)
    model = student.fixtures.vae.keep(encoder, decoder)
    generator = student.fixtures.generator.keep(seed)
    losses = student.train_vae(model, split_digits()[0], steps, BATCH, RATE, 1.0, generator)
    expect_floats(losses, steps)
    return model


def held_out(model: StudentObject) -> tuple[float, int]:
    """The negative ELBO in nats a digit, on digits that the training has not seen, and the number
    of latent units that are active there: whose mu varies by more than 0.01."""
    unseen = split_digits()[1].repeat(4, 1)
    eps = torch.randn(len(unseen), LATENT, generator=torch.Generator().manual_seed(1))
    mu, _ = two(model.encode(unseen))
    return negative_bound(model, unseen, eps), int((mu.var(dim=0) > 0.01).sum())


@check(
    "train_vae",
    points=4,
    ahead=False,
    trains=True,
    hint="Zero the gradients, backward, step, in this order; draw new rows and new noise for each "
    "step; nll is summed over the pixels and kl over the latent units.",
)
@example(seed=0)
def learns_real_digits(student, seed):
    """After 300 steps on sorted digits, the model given to it codes others in fewer than 26 nats,
    with at least two active units. (Without a code they cost 27.1.)"""
    nats, active = held_out(train_on_digits(student, seed, SHORT_STEPS))
    expect(nats < SHORT_BOUND, f"held-out digits cost {nats:.2f} nats, not below {SHORT_BOUND}")
    expect(active >= 2, f"{active} of {LATENT} latent units are active: the posterior collapsed")


# --- sample --------------------------------------------------------------------------------------

# A decoder that can be undone: each pixel reads one latent unit, and a pixel more.
EYE = Linear(
    (torch.zeros(8, 5), torch.zeros(8)),
    (torch.cat([torch.eye(4), torch.ones(1, 4)]) / 2, torch.tensor([0.5, -0.5, 1, 0, 0])),
)


def codes_behind(value: Any, model: Linear, n: int) -> torch.Tensor:
    """Fails unless `value` holds n rows of probabilities that the model's decoder can have given;
    returns the codes z[n, z] that it was given."""
    weight, bias = (part.double() for part in model.decoder)
    out = expect_tensor(value)
    expect_shape(out, (n, len(bias)))
    expect(
        bool((out > 0).all() and (out < 1).all()),
        "probabilities lie between 0 and 1: the decoder gives logits",
        out,
    )
    logits = out.double().logit() - bias
    z: torch.Tensor = logits @ torch.linalg.pinv(weight).T
    expect(
        torch.allclose(z @ weight.T, logits, atol=1e-2),
        "the decoder gives such probabilities for no code at all",
        out,
    )
    return z


@check("sample", points=1, hint="The decoder gives logits; what turns a logit into a probability?")
@example(n=6)
@given(n=sizes(2, 9))
def samples_are_probabilities(student, n):
    """sample gives n rows of probabilities that the decoder can give, no two of them the same."""
    drawn = student.sample(EYE.there(student), n, student.fixtures.generator.keep(n))
    z = codes_behind(drawn, EYE, n)
    expect(len(z.round(decimals=3).unique(dim=0)) == n, "some samples are the same", drawn)


@check("sample", points=2, hint="The prior is N(0, I): torch.randn, neither torch.rand nor scaled.")
@example(seed=1)
@example(seed=2)
def draws_from_the_prior(student, seed):
    """The codes behind 4000 samples have mean 0, variance 1, and do not depend on each other."""
    n = 4000
    drawn = student.sample(EYE.there(student), n, student.fixtures.generator.keep(seed))
    z = codes_behind(drawn, EYE, n)
    near = 6 / math.sqrt(n)  # six standard deviations
    expect(bool((z.mean(dim=0).abs() < near).all()), "the mean of the codes is not 0", z.mean(0))
    off = z.T.cov() - torch.eye(4, dtype=DOUBLE)
    expect(bool((off.abs() < 1.5 * near).all()), "their covariance is not the identity", z.T.cov())
    for step in (1, n // 2):
        together = float((z * z.roll(step, dims=0)).mean())
        expect(abs(together) < near / 2, f"samples {step} rows apart depend on each other")
    tails = float((z.abs() > 2).double().mean())
    expect(0.03 < tails < 0.065, f"{tails:.1%} of the codes are beyond ±2; of N(0, 1), 4.6 %")


# --- slerp, interpolate --------------------------------------------------------------------------


def on_circle(angle: float, length: float = 1.0) -> torch.Tensor:
    """A vector of this length at this angle, in degrees."""
    turn = math.radians(angle)
    return length * torch.tensor([math.cos(turn), math.sin(turn)], dtype=DOUBLE)


@check("slerp", points=1, hint="ω is the angle between the directions; divide by sin ω.")
@example(ends=(0, 90), t=0.5, angle=45)
@example(ends=(0, 90), t=1 / 3, angle=30)
@example(ends=(20, 140), t=0.25, angle=50)
@example(ends=(100, 10), t=0.1, angle=91)
@example(ends=(-60, 90), t=0.0, angle=-60)
@example(ends=(-60, 90), t=1.0, angle=90)
@given(
    ends=st.tuples(sizes(-60, 60), sizes(80, 110)),
    t=st.sampled_from((0.25, 0.5, 0.8)),
    angle=st.none(),
)
def turns_at_a_constant_pace(student, ends, t, angle):
    """Between two directions on the unit circle it stays on the circle, at angle t of the way."""
    angle = ends[0] + t * (ends[1] - ends[0]) if angle is None else angle
    expect_close(student.slerp(on_circle(ends[0]), on_circle(ends[1]), t), on_circle(angle))


@check("slerp", points=1, hint="The angle is between the directions; z0 and z1 keep their lengths.")
@example(lengths=(2.0, 3.0), t=0.5)
@example(lengths=(0.5, 4.0), t=0.25)
@example(lengths=(10.0, 1.0), t=0.9)
def keeps_both_lengths_in_the_sum(student, lengths, t):
    """At 90 degrees it is sin((1 − t)·90°)·z0 + sin(t·90°)·z1, whatever their lengths."""
    z0, z1 = on_circle(0, lengths[0]), on_circle(90, lengths[1])
    quarter = math.pi / 2
    expected = math.sin((1 - t) * quarter) * z0 + math.sin(t * quarter) * z1
    expect_close(student.slerp(z0, z1, t), expected)


@check("slerp", points=1, hint="sin ω = 0 there: take the straight line (1 − t)·z0 + t·z1.")
@example(z0=[3.0, 4.0], z1=[6.0, 8.0], t=0.25)
@example(z0=[3.0, 4.0], z1=[3.0, 4.0], t=0.5)
@example(z0=[0.0, 0.0], z1=[1.0, 2.0], t=0.25)
@example(z0=[1.0, 2.0], z1=[0.0, 0.0], t=0.75)
@example(z0=[0.0, 0.0], z1=[0.0, 0.0], t=0.5)
def is_straight_where_there_is_no_arc(student, z0, z1, t):
    """Where the directions are the same, or a vector is zero, it is the straight line."""
    start, end = torch.tensor(z0, dtype=DOUBLE), torch.tensor(z1, dtype=DOUBLE)
    expect_close(student.slerp(start, end, t), (1 - t) * start + t * end)


@check(
    "slerp",
    points=2,
    hint="encode both images, take their mu, and decode slerp(mu0, mu1, t) for t from 0 to 1.",
)
@example(d=5, z=3, steps=4)
@example(d=4, z=2, steps=2)
@given(d=sizes(2, 5), z=sizes(2, 4), steps=sizes(2, 6))
def interpolates_from_end_to_end(student, d, z, steps):
    """interpolate gives `steps` rows of probabilities; the first and the last decode the two
    images' own mu, and backwards the rows come in reverse."""
    model = linear_model(d, z, d + z)
    x0, x1 = grey((d,), 1), grey((d,), 2)
    there = model.there(student)
    path = expect_tensor(student.interpolate(there, x0, x1, steps))
    expect_shape(path, (steps, d))
    ends = model.decode(model.encode(torch.stack([x0, x1]))[0]).sigmoid()
    expect_close(path[0], ends[0], "the first row")
    expect_close(path[-1], ends[1], "the last row")
    expect_close(student.interpolate(there, x1, x0, steps), path.flip(0), "from x1 to x0")


# --- importance_weighted_bound -------------------------------------------------------------------


def bound_call(b: int, k: int, seed: int, d: int = 5, z: int = 3) -> tuple[Linear, Any, Any]:
    """(model, x[b, d], eps[k, b, z])."""
    return linear_model(d, z, seed), grey((b, d), seed), tenths((k, b, z), seed + 5)


@check(
    "importance_weighted_bound",
    points=2,
    hint="log p(x|z) + log p(z) − log q(z|x), where q has the mean mu and the variance "
    "exp(logvar), and (z − mu)/sigma is eps.",
)
@example(b=4, seed=1)
@example(b=1, seed=2)
@given(b=sizes(1, 4), seed=st.integers(1, 999))
def one_sample_gives_the_elbo(student, b, seed):
    """With k = 1 it is log p(x|z) + log p(z) − log q(z|x), as torch.distributions has them."""
    model, x, eps = bound_call(b, 1, seed)
    mu, logvar = model.encode(x)
    sigma = (logvar / 2).exp()
    z = mu + sigma * eps[0]
    normal = torch.distributions.Normal
    nll = torch.nn.functional.binary_cross_entropy_with_logits(
        model.decode(z), x, reduction="none"
    ).sum(dim=1)
    prior, posterior = normal(torch.zeros_like(mu), 1.0).log_prob(z), normal(mu, sigma).log_prob(z)
    expected = -nll + (prior - posterior).sum(dim=1)
    expect_close(student.importance_weighted_bound(model.there(student), x, eps), expected)


@check("importance_weighted_bound", points=1, hint="A mean over k, inside the logarithm.")
@example(b=3, k=2, times=3)
@given(b=sizes(1, 3), k=sizes(1, 4), times=sizes(2, 3))
def repeated_draws_change_nothing(student, b, k, times):
    """The same k draws several times, or in another order, give the same bound."""
    model, x, eps = bound_call(b, k, b + k)
    there = model.there(student)
    once = per_example(student.importance_weighted_bound(there, x, eps), x)
    expect(bool((once < 0).all()), "log p(x) of such images is negative", once)
    expect_close(student.importance_weighted_bound(there, x, eps.repeat(times, 1, 1)), once)
    expect_close(student.importance_weighted_bound(there, x, eps.flip(0)), once, "in reverse order")


@check(
    "importance_weighted_bound",
    points=2,
    hint="First the mean of the k ratios, then the logarithm: logsumexp over k, minus log k.",
)
@example(b=3, k=4)
@given(b=sizes(1, 3), k=sizes(2, 5))
def joins_draws_by_the_mean_of_their_ratios(student, b, k):
    """exp of the bound of k draws is the mean of exp of the bounds of each draw alone; so the
    bound lies above the mean of theirs."""
    model, x, eps = bound_call(b, k, b * k)
    there = model.there(student)
    alone = [
        per_example(student.importance_weighted_bound(there, x, each[None]), x) for each in eps
    ]
    together = per_example(student.importance_weighted_bound(there, x, eps), x)
    expect(bool((together < 0).all()), "log p(x) of such images is negative", together)
    expect_close(together, torch.stack(alone).exp().mean(dim=0).log())
