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
# # 06 · The variational autoencoder
#
# **The goal:** you write a variational autoencoder from its formulas, train it on handwritten digits in seconds, and let it draw digits that nobody wrote.
#
# Run the next cell for the task in a picture.

# %% tags=["experiment"]
import torch

from gradus import plots
from gradus.data import digits

images, labels = digits()
order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
pixels = images[order].flatten(1)  # [1797, 64], in [0, 1], shuffled
labels = labels[order]
train, test = pixels[:1500], pixels[1500:]

mean = train.mean(dim=0)
each_pixel_alone = torch.stack([train[torch.randperm(1500)[:16], i] for i in range(64)], dim=1)
figure = plots.image_grids(
    {
        "real digits": train[:16].reshape(-1, 8, 8),
        "their mean": mean.expand(16, 64).reshape(-1, 8, 8),
        "each pixel drawn alone": each_pixel_alone.reshape(-1, 8, 8),
    },
    columns=4,
)

# %% [markdown]
# **You should see** three grids of sixteen pictures of 8×8 pixels. Left, digits that people wrote. In the middle sixteen times the same grey smudge: the mean of all digits. Right, noise in the shape of a smudge: each pixel has values that this pixel has in real digits, but no pixel knows of the others. A model that draws digits has to know which pixels go together. Sixty-four pixels, but far fewer than sixty-four decisions: which digit, how slanted, how wide, how bold. A VAE finds such decisions by itself and writes them into a short code z.
#
# ## What you will be able to do
#
# - **derive** the loss of a VAE as a bound on log p(x), and **compute** each of its parts in nats;
# - **explain** why noise has to be an input for a gradient to pass it, and **use** that;
# - **train** a VAE and **tell** from numbers whether its code is used;
# - **draw** new digits and **walk** between two digits through the latent space;
# - **measure** how loose the bound is.
#
# **What to know before:** tensors, broadcasting, `nn.Module`, a training loop with an optimiser. The normal distribution, logarithms, the mean of a random variable.
#
# ## What there is to do
#
# | | exercise | points | minutes |
# |---|---|---:|---:|
# | 1 | `reparameterize` | 10 | 10 |
# | 2 | `gaussian_kl` | 14 | 15 |
# | 3 | `bernoulli_nll`, `gaussian_nll` | 14 | 20 |
# | 4 | `negative_elbo` | 6 | 5 |
# | 5 | `VAE` | 14 | 20 |
# | 6 | `train_vae` | 16 | 25 |
# | 7 | `sample` | 6 | 5 |
# | 8 | `slerp`, `interpolate` | 10 | 20 |
# | 9 | `importance_weighted_bound` | 10 | 20 |
# | | **total** | **100** | **140** |
#
# Finished, the whole notebook runs offline on a laptop in about half a minute, or twice that on an old one. No GPU, no download.
#
# ## How it works
#
# Below each exercise a cell `check("...")` tells you at once which properties hold, and shows the smallest call where one does not. Grading runs those checks and more of the same kind. The docstring says everything that is asked for. Hints are folded: open one level at a time. Cells that only draw something are not graded.
#
# Rules for **every function here that takes tensors**:
#
# 1. It works in float32 and in float64 and on any device; what it returns follows its inputs. It takes strided inputs, and leaves its inputs as they were.
# 2. Gradients flow through it to every floating-point input (training and drawing excepted).
# 3. **Randomness comes from outside**: as noise `eps`, or as a `torch.Generator` that you pass on to `torch.randn` and `torch.randint`. Torch's global generator is neither used nor moved. Only the layers of a module start as torch lets them start.
#
# Shapes are written b batch, d pixels, z latent units, k draws. Log-variances lie within ±20. All losses are in **nats**: natural logarithms. An exercise may use the earlier ones: if an earlier one is still wrong, a correct one stands in for it when this one is graded.
#
# In counterexamples you meet `fixtures.vae(...)`: a small known VAE with `encode`, `decode`, `forward` and `latent_dim`, as in exercise 5. It stands in for a trained model, so that the right answer is known exactly.

# %%
import math

import torch
from torch import nn

from autograder.notebook import checks_of

check = checks_of("06-vae")

# %% [markdown]
# ## 1. Noise that lets the gradient pass
#
# An autoencoder squeezes an image through a short code and tries to draw it again. Ours gives for each image not a point but a **cloud** of codes: a normal distribution with mean mu and variance sigma² in each latent unit, q(z|x). In training a code is drawn from the cloud and decoded. So the decoder learns that nearby codes mean nearly the same.
#
# A drawn number has no derivative: `torch.normal(mu, sigma)` gives you 1.3, and nothing remembers how 1.3 would have changed with mu. The way out: draw noise that depends on nothing, and *make* the code from it.
#
# $$ z = \mu + \sigma \cdot \varepsilon, \qquad \varepsilon \sim N(0, 1), \qquad \sigma = e^{\text{logvar}/2} $$
#
# | symbol | meaning | shape |
# |---|---|---|
# | mu | the mean of the cloud | [b, z] |
# | logvar | the logarithm of its **variance** sigma² | [b, z] |
# | eps | noise from N(0, 1), given to you | [b, z] |
#
# **In words:** take standard noise, stretch it by sigma, shift it by mu. Now z is a formula of mu and logvar, and formulas have gradients: ∂z/∂mu = 1 and ∂z/∂logvar = (z − mu)/2.
#
# Why logvar and not sigma? A network's output may be any number, a sigma only a positive one. And why /2? log sigma² = 2 log sigma.
#
# **By hand:** mu = 1, logvar = 2 log 3, eps = 2. Then sigma = 3 and z = 1 + 3·2 = 7.

# %% [markdown]
# ### Exercise 1: `reparameterize`


# %% exercise="reparameterize"
def reparameterize(mu: torch.Tensor, logvar: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """A draw from N(mu, sigma²), made of the noise eps; all [b, z].

    mu + sigma · eps with sigma = exp(logvar / 2)

    eps is all the randomness there is: draw nothing here. logvar may be anything within ±20.
    """
    ### BEGIN SOLUTION
    sigma = torch.exp(logvar / 2)
    return mu + sigma * eps
    ### END SOLUTION


# %% check="reparameterize"
check("reparameterize")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# It is one line. What do you have to do to a log-variance to get a standard deviation?
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# sigma = √(exp(logvar)) = exp(logvar/2).
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# sigma = exponential of half of logvar
# return mu plus sigma times eps
# ```
#
# </details>
#
# **Predict, then run.** Below, mu and logvar of *one* number are trained by gradient descent, so that draws come near 3: the loss is the mean of (z − 3)². What will sigma become? What, if the noise had been drawn by `torch.normal(mu, sigma)`?

# %% tags=["experiment"]
with plots.when_finished():
    mu, logvar = torch.zeros(1, 1, requires_grad=True), torch.zeros(1, 1, requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    history: dict[str, list[float]] = {"mu": [], "sigma": []}
    for _ in range(200):
        z = reparameterize(mu, logvar, torch.randn(64, 1, generator=generator))
        of_mu, of_logvar = torch.autograd.grad((z - 3).square().mean(), (mu, logvar))
        with torch.no_grad():
            mu -= 0.05 * of_mu
            logvar -= 0.2 * of_logvar
        history["mu"].append(mu.item())
        history["sigma"].append(logvar.div(2).exp().item())
    figure = plots.curves(history, xlabel="step", ylabel="value")

# %% [markdown]
# **You should see** mu climb to 3 and sigma fall and keep falling: noise only costs here, so it is trained away. That is what a plain autoencoder would do to its cloud, too; the next section is about what keeps it open. With `torch.normal` neither would move: no gradient comes back.
#
# ## 2. What a cloud costs
#
# Nothing so far keeps the clouds together. The encoder could put each image far from all others, and a code between them would mean nothing. So a cloud pays for being unlike one fixed distribution, the **prior** p(z) = N(0, I). The price is the Kullback-Leibler divergence, the mean of log q(z|x) − log p(z) under q:
#
# $$ \mathrm{KL} = \tfrac12 \sum_{j=1}^{z} \left( \mu_j^2 + e^{\text{logvar}_j} - 1 - \text{logvar}_j \right) $$
#
# **In words:** for each latent unit pay ½mu² for being off centre, and ½(sigma² − 1 − log sigma²) for a wrong width, too narrow or too wide. Sum over the units. It is 0 for the prior itself and positive for everything else.
#
# **By hand:** mu = (1, 2), logvar = (0, 0): ½(1 + 4) = 2.5 nats. mu = 0, sigma² = 4: ½(4 − 1 − log 4) = 0.807 nats.

# %% [markdown]
# ### Exercise 2: `gaussian_kl`


# %% exercise="gaussian_kl"
def gaussian_kl(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """KL(N(mu, diag(exp(logvar))) ‖ N(0, I)) in nats, for mu and logvar [b, z]: [b].

    ½ Σ (mu² + exp(logvar) − 1 − logvar), summed over z: one number for each row, a batch of one
    too. No mean, no clipping.
    """
    ### BEGIN SOLUTION
    return (mu**2 + torch.exp(logvar) - 1 - logvar).sum(dim=1) / 2
    ### END SOLUTION


# %% check="gaussian_kl"
check("gaussian_kl")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Elementwise first, then one sum. Over which axis?
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# Half of the sum over axis 1 of mu² + exp(logvar) − 1 − logvar. Often it is written −½ Σ(1 + logvar − mu² − exp(logvar)): the same with the signs turned.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# each = mu squared, plus exp of logvar, minus one, minus logvar
# return half of the sum of each over the latent units
# ```
#
# </details>
#
# **Something to look at.** The price of one latent unit, by its mean and by its width.

# %% tags=["experiment"]
with plots.when_finished():
    x = torch.linspace(-3, 3, 121)[:, None]
    zero = torch.zeros_like(x)
    figure = plots.curves(
        {"mu = x, sigma = 1": gaussian_kl(x, zero), "mu = 0, logvar = x": gaussian_kl(zero, x)},
        x=x[:, 0],
        xlabel="x",
        ylabel="KL in nats",
    )

# %% [markdown]
# **You should see** two curves that touch 0 at x = 0 and nowhere else. The one for mu is a parabola. The one for logvar is lopsided: wide clouds soon cost much, since the variance grows exponentially, and narrow ones less and less steeply: halving a variance again and again costs ½ log 2 = 0.35 nats each time, one half bit. That is what precision costs.
#
# ## 3. What an image costs
#
# The decoder turns z into a distribution over images, p(x|z). An image costs −log p(x|z): nothing if it was certain, much if it came as a surprise. Two choices for a pixel.
#
# **Bernoulli:** the decoder gives a **logit** a, and the pixel is white with probability σ(a) = 1/(1 + e^(−a)).
#
# $$ -\log p(x \mid a) = -x \log \sigma(a) - (1 - x) \log \sigma(-a) $$
#
# For grey values x in [0, 1] the same formula is used: think of x as the share of white.
#
# **Gaussian:** the decoder gives a mean m, and the pixel is N(m, sigma²).
#
# $$ -\log p(x \mid m) = \frac{(x - m)^2}{2\sigma^2} + \log\sigma + \tfrac12 \log 2\pi $$
#
# Both are summed over **all pixels** of an image, and give one number for each image. Not the mean over pixels: the KL is a sum over latent units, in nats per image, and the two will be added. A mean over 64 pixels would make the KL count 64 times as much.
#
# **Careful with logits.** For a = −200, σ(a) is 0 in float32, and log 0 is −∞. The logarithm of a sigmoid has to be computed in one piece; torch has functions for that.
#
# **By hand:** three pixels, all logits 0: each costs log 2 whatever its value, together 2.079. A Gaussian pixel that is hit exactly with sigma = 1 costs ½ log 2π = 0.919; with sigma = 0.1 it *earns* 1.384: densities may be above 1.

# %% [markdown]
# ### Exercise 3: `bernoulli_nll`, `gaussian_nll`


# %% exercise="bernoulli_nll"
def bernoulli_nll(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """−log p(target) in nats, each pixel Bernoulli with its logit: [b, ...] to [b].

    Summed over all axes but the first; there may be none besides it. target lies in [0, 1]. Values
    and gradients are finite for logits of ±1e4.
    """
    ### BEGIN SOLUTION
    each = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return each.reshape(len(each), -1).sum(dim=1)
    ### END SOLUTION


def gaussian_nll(
    mean: torch.Tensor, target: torch.Tensor, sigma: float | torch.Tensor = 1.0
) -> torch.Tensor:
    """−log p(target) in nats, each pixel N(mean, sigma²), its constant included: [b, ...] to [b].

    Summed over all axes but the first; there may be none besides it. sigma is a number, or a tensor
    that broadcasts to mean.
    """
    ### BEGIN SOLUTION
    sigma = torch.as_tensor(sigma, dtype=mean.dtype, device=mean.device)
    each = ((target - mean) / sigma) ** 2 / 2 + torch.log(sigma) + math.log(2 * math.pi) / 2
    return each.reshape(len(each), -1).sum(dim=1)
    ### END SOLUTION


# %% check="bernoulli_nll"
check("bernoulli_nll")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Both: the cost of each pixel first, in the shape of the input; then flatten what follows the batch and sum. Let log sigma and the constant broadcast *before* the sum, so that each pixel pays them.
#
# </details>
# <details><summary>Hint 2: the tools</summary>
#
# `nn.functional.binary_cross_entropy_with_logits(..., reduction="none")`, or `nn.functional.softplus(logits) - target * logits`. `each.reshape(len(each), -1).sum(dim=1)` works for [b], too. `torch.as_tensor` makes a tensor of a number and leaves a tensor in its graph.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# each = what each pixel costs            # [b, ...]
# flat = each with all but the first axis made one
# return the sum of flat over that axis
# ```
#
# </details>
#
# **Something to look at.** What a wrong pixel costs, by the two likelihoods.

# %% tags=["experiment"]
with plots.when_finished():
    guess = torch.linspace(0.01, 0.99, 99)
    black = torch.zeros(99)
    figure = plots.curves(
        {
            "Bernoulli": bernoulli_nll(guess.logit(), black),
            "Gaussian, sigma 1": gaussian_nll(guess, black),
            "Gaussian, sigma ¼": gaussian_nll(guess, black, 0.25),
        },
        x=guess,
        xlabel="what the decoder expects of a pixel that is black (0)",
        ylabel="nats",
    )

# %% [markdown]
# **You should see** three rising curves. Bernoulli starts at 0 and shoots up at the right end: to be certain and wrong is the worst. The Gaussian of sigma 1 is nearly flat: it hardly minds. That of sigma ¼ begins *below* zero and ends high. Sigma decides how much a pixel's error weighs against the KL, and the mean squared error that is often written for this loss has chosen a sigma without saying so.
#
# ## 4. The bound
#
# How likely is an image x, all codes considered? log p(x) = log ∫ p(x|z) p(z) dz, which nobody can compute. But for any q, by Jensen's inequality,
#
# $$ -\log p(x) \;\le\; \underbrace{\mathbb E_{q}\left[-\log p(x \mid z)\right]}_{\text{nll}} + \underbrace{\mathrm{KL}\left(q(z \mid x) \,\|\, p(z)\right)}_{\text{kl}} $$
#
# The right side is the **negative ELBO** (evidence lower bound), and a VAE minimises its mean over the batch. Think of a message: the KL is the length of the code, the nll that of the corrections to the decoded image. The sum is what the image costs in all.
#
# A weight β on the KL gives the β-VAE: loss = mean(nll + β·kl). Only β = 1 bounds log p(x).
#
# **By hand:** nll = (3, 5), kl = (1, 3): the mean of (4, 8) is 6; with β = ½ it is 5.

# %% [markdown]
# ### Exercise 4: `negative_elbo`


# %% exercise="negative_elbo"
def negative_elbo(nll: torch.Tensor, kl: torch.Tensor, beta: float = 1.0) -> torch.Tensor:
    """The loss of a VAE, for nll[b] and kl[b]: the batch mean of nll + beta · kl, a scalar."""
    ### BEGIN SOLUTION
    return (nll + beta * kl).mean()
    ### END SOLUTION


# %% check="negative_elbo"
check("negative_elbo")

# %% [markdown]
# <details><summary>Hint</summary>
#
# One line. A scalar is a tensor with no axes: what `.mean()` gives.
#
# </details>
#
# ## 5. The model
#
# Two small networks. The **encoder** maps an image of d pixels to 2z numbers: mu and logvar. The **decoder** maps z numbers to d logits. Each has one hidden layer with a ReLU. The last layer of each stays linear: mu, logvar and logits may be any number.
#
# `forward(x, eps)` runs all of it: encode, reparameterize with the noise that it was given, decode. Without noise z is mu.
#
# The lecture's question on the middle of such a network (exercise sheet of 2023-10-26, question 7): *What is the role of the bottleneck layer in an autoencoder?*
#
# - A: to increase the dimensionality of data
# - B: to reduce the dimensionality of data
# - C: to perform classification
# - D: to act as a database
#
# <details><summary>Answer</summary>
#
# B. Eight numbers have to say what sixty-four pixels show. In a VAE the KL narrows the bottleneck further: a code may have many units and still carry few nats.
#
# </details>

# %% [markdown]
# ### Exercise 5: `VAE`


# %% exercise="VAE"
class VAE(nn.Module):
    """A variational autoencoder with one hidden layer of hidden_dim units on each side.

    `latent_dim` is kept as an attribute. Rows of a batch don't know of each other, in training mode
    as in evaluation mode: no batch normalisation, no dropout.
    """

    def __init__(self, input_dim: int, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.latent_dim = latent_dim
        self.encoder = nn.Sequential(
            nn.Linear(input_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, 2 * latent_dim)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, input_dim)
        )
        ### END SOLUTION

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(mu, logvar), each [b, z], for x[b, d]."""
        ### BEGIN SOLUTION
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar
        ### END SOLUTION

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The logits of the pixels, [b, d], for z[b, z]."""
        ### BEGIN SOLUTION
        return self.decoder(z)
        ### END SOLUTION

    def forward(
        self, x: torch.Tensor, eps: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(logits, mu, logvar) for x[b, d] and noise eps[b, z]; eps=None means no noise: z = mu."""
        ### BEGIN SOLUTION
        mu, logvar = self.encode(x)
        z = mu if eps is None else reparameterize(mu, logvar, eps)
        return self.decode(z), mu, logvar
        ### END SOLUTION


# %% check="VAE"
check("VAE")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# The layers are made once, in `__init__`, and stored in `self`. The encoder's last layer has 2z outputs, or there are two last layers of z each.
#
# </details>
# <details><summary>Hint 2: the tools</summary>
#
# `nn.Sequential(nn.Linear(...), nn.ReLU(), nn.Linear(...))`. `tensor.chunk(2, dim=1)` cuts [b, 2z] into two of [b, z].
#
# </details>
# <details><summary>Hint 3: pseudo-code of forward</summary>
#
# ```
# mu, logvar = encode x
# z = mu if there is no noise, else what exercise 1 makes of mu, logvar, eps
# return the decoded z, mu, logvar
# ```
#
# </details>
#
# ## 6. Training
#
# Draw a batch of rows, draw noise, compute the loss, step. Four habits keep such a loop honest:
#
# - rows are drawn from **all** of the data, anew in every step;
# - the noise is new in every step and for every row;
# - gradients are **zeroed** before backward, otherwise they add up;
# - the loss that is reported is that of the model **before** its step, on this batch.
#
# With the generator passed in, the same call gives the same result, today and tomorrow.
#
# The optimiser is Adam, which finds a step size for each parameter by itself. Plain gradient descent gets there, too, but takes many times the steps.

# %% [markdown]
# ### Exercise 6: `train_vae`


# %% exercise="train_vae"
def train_vae(
    model: nn.Module,
    data: torch.Tensor,
    steps: int,
    batch_size: int,
    lr: float,
    beta: float,
    generator: torch.Generator,
) -> list[float]:
    """Train model in place on random rows of data[n, d]; returns its loss before each step, floats.

    A step: batch_size rows of data drawn at random, noise eps[batch_size, model.latent_dim] from
    N(0, 1), both drawn with generator; the loss negative_elbo(bernoulli_nll, gaussian_kl, beta); one
    update of all parameters by Adam with learning rate lr, or by an optimiser that learns as fast:
    AdamW, NAdam, RMSprop. Gradients that were there before don't count. The model is a VAE as in
    exercise 5; 1 ≤ batch_size ≤ n; steps ≥ 1; data stay as they are.
    """
    ### BEGIN SOLUTION
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        x = data[torch.randint(len(data), (batch_size,), generator=generator)]
        eps = torch.randn(batch_size, model.latent_dim, generator=generator)
        logits, mu, logvar = model(x, eps)
        loss = negative_elbo(bernoulli_nll(logits, x), gaussian_kl(mu, logvar), beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
    ### END SOLUTION


# %% check="train_vae"
check("train_vae")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Make the optimiser once, before the loop. In the loop: rows, noise, model, loss, zero, backward, step, note the loss.
#
# </details>
# <details><summary>Hint 2: the tools</summary>
#
# `torch.randint(len(data), (batch_size,), generator=generator)` draws row numbers, and indexing with them gives the batch. `torch.randn(..., generator=generator)`. `torch.optim.Adam(model.parameters(), lr=lr)`. `loss.item()` is a float.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# optimiser of the model's parameters
# for each step:
#     x = randomly chosen rows of data
#     eps = noise, a row for each row of x
#     run the model on x and eps
#     loss = negative_elbo of the two exercises before it
#     zero the gradients, backward, step
#     keep the loss as a float
# ```
#
# </details>
#
# **Something to look at.** Three trainings of 1000 steps, with β = 0, 1 and 10; they take a few seconds.
#
# **Predict:** which of them draws the best *reconstructions* (decode mu)? Which has the most active units, whose mu differs between images? Which is best in nats per digit, nll + kl with β = 1, on digits that it has not seen? The mean image costs 27.1 nats, with no code at all.


# %% tags=["experiment"]
def nats(model: nn.Module, x: torch.Tensor) -> tuple[float, float]:
    """nll and kl in nats an image, with noise."""
    with torch.no_grad():
        eps = torch.randn(len(x), model.latent_dim, generator=torch.Generator().manual_seed(1))
        logits, *code = model(x, eps)
        return bernoulli_nll(logits, x).mean().item(), gaussian_kl(*code).mean().item()


with plots.when_finished():
    trained, rows = {}, []
    for beta in (0.0, 1.0, 10.0):
        trained[beta] = VAE(64, 128, 8)
        losses = train_vae(
            trained[beta], train, 1000, 128, 2e-3, beta, torch.Generator().manual_seed(0)
        )
        nll, kl = nats(trained[beta], test)
        active = int((trained[beta].encode(test)[0].var(dim=0) > 0.01).sum())
        rows.append(
            f"β = {beta:4}:  nll {nll:6.2f} + kl {kl:6.2f} = {nll + kl:6.2f} nats; {active} of 8 units active"
        )
        if beta == 1:
            figure = plots.curves({"loss of the batch": losses}, xlabel="step", ylabel="nats")
    models = trained
    print("\n".join(rows))

# %% tags=["experiment"]
with plots.when_finished():
    with torch.no_grad():
        redrawn = {
            f"decoded mu, β = {beta:g}": model(test[:16])[0].sigmoid().reshape(-1, 8, 8)
            for beta, model in models.items()
        }
    figure = plots.image_grids({"unseen digits": test[:16].reshape(-1, 8, 8), **redrawn}, columns=4)

# %% [markdown]
# **You should see** a loss that falls from 45 nats to below 30 within a hundred steps and then slowly on to about 24 (the batches are drawn from the training digits, so it is a little below what unseen ones cost). The three results: with β = 0 the nll is the lowest, the reconstructions are the sharpest, and the bound is terrible, over 100 nats. Nothing kept the clouds near the prior. With β = 1 the sum is best, below 25, with five or more active units; the reconstructions are softer. With β = 10 no unit is active, the KL is 0, and every digit is decoded to the same smudge, for a little over 27 nats, as the mean image: the **posterior collapsed**. Code is so dear that none is written.
#
# The two numbers tell what happened without any picture: look at kl and at the active units when a VAE misbehaves.
#
# ## 7. New digits
#
# The KL pulled the clouds of all images together until they cover the prior. So a code drawn from the prior lies in somebody's cloud, and decodes to something like an image.
#
# The decoder gives logits; for a picture take the probabilities.

# %% [markdown]
# ### Exercise 7: `sample`


# %% exercise="sample"
def sample(model: nn.Module, n: int, generator: torch.Generator) -> torch.Tensor:
    """Probabilities [n, d] of the pixels, for n codes z drawn from the prior N(0, I) with generator.

    model has decode(z) and latent_dim, as in exercise 5.
    """
    ### BEGIN SOLUTION
    z = torch.randn(n, model.latent_dim, generator=generator)
    return model.decode(z).sigmoid()
    ### END SOLUTION


# %% check="sample"
check("sample")

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two lines: noise of the shape [n, model.latent_dim], then decode it and squash the logits.
#
# </details>
#
# **Predict, then run:** samples of the three models from before. Which one draws digits?

# %% tags=["experiment"]
with plots.when_finished(), torch.no_grad():
    figure = plots.image_grids(
        {
            f"samples, β = {beta:g}": sample(model, 25, torch.Generator().manual_seed(3)).reshape(
                -1, 8, 8
            )
            for beta, model in models.items()
        },
        columns=5,
    )

# %% [markdown]
# **You should see** at β = 0 smudges and loose strokes: the codes of real images lie far outside of where the prior draws, and the decoder never learnt what to do here. At β = 10 the mean image, again and again. At β = 1 shapes that look handwritten: many are digits that you can name, and some can't decide. The model with the best reconstructions is useless for drawing. The lecture's note that VAEs are blurry shows, too: a probability of ½ for a pixel is drawn as grey.
#
# **The latent plane.** With two latent units the code can be drawn. Each unseen digit stands where its mu is.

# %% tags=["experiment"]
with plots.when_finished():
    plane = VAE(64, 128, 2)
    train_vae(plane, train, 1500, 128, 2e-3, 1.0, torch.Generator().manual_seed(0))
    with torch.no_grad():
        codes = plane.encode(test)[0]
        figure = plots.latent_plane(codes, labels[1500:])
        ticks = torch.linspace(2, -2, 12)
        grid = torch.stack(torch.meshgrid(-ticks, ticks, indexing="xy"), dim=-1).reshape(-1, 2)
        figure = plots.image_grids(
            {"what is decoded there": plane.decode(grid).sigmoid().reshape(-1, 8, 8)}, columns=12
        )

# %% [markdown]
# **You should see** first digits of one class in neighbourhoods, though nobody told the model about classes: zeros apart from ones, and classes of similar shape side by side or mixed. Then the same plane decoded, z₁ from −2 at the left to 2 at the right, z₂ from 2 at the top to −2 at the bottom: shapes that turn into each other without a jump.
#
# ## 8. From one digit to another
#
# Between two codes you can walk. The straight line (1 − t)z₀ + t z₁ has a flaw. In many dimensions nearly all of N(0, I) lies in a thin shell of radius √z; the middle of a line between two points of a sphere lies inside, where hardly any code is. So walk along the arc, with the **spherical interpolation**:
#
# $$ \mathrm{slerp}(z_0, z_1, t) = \frac{\sin((1-t)\,\omega)}{\sin \omega}\, z_0 + \frac{\sin(t\,\omega)}{\sin \omega}\, z_1 $$
#
# | symbol | meaning |
# |---|---|
# | ω | the angle between the directions of z₀ and z₁: cos ω = z₀·z₁ / (‖z₀‖ ‖z₁‖) |
# | t | 0 at z₀, 1 at z₁ |
#
# Where sin ω = 0 (same or opposite directions), or a vector is zero, there is no arc or no single one: take the straight line. On a computer "0" means up to rounding.
#
# **By hand:** from (1, 0) to (0, 1), ω = 90°. At t = ½ both weights are sin 45°/sin 90° = 0.707: the point (0.707, 0.707), still of length 1. The straight line has length 0.707 there.

# %% [markdown]
# ### Exercise 8: `slerp`, `interpolate`


# %% exercise="slerp"
def slerp(z0: torch.Tensor, z1: torch.Tensor, t: float) -> torch.Tensor:
    """From z0[..., z] at t = 0 to z1[..., z] at t = 1 along the arc between their directions.

    [sin((1 − t)ω) z0 + sin(tω) z1] / sin ω, with ω the angle between z0 and z1

    and the straight line (1 − t) z0 + t z1 where sin ω = 0 (up to rounding) or a vector is zero.
    Rows are treated by themselves; there may be any number of axes before the last. Gradients are
    finite in all rows.
    """
    ### BEGIN SOLUTION
    lengths = z0.norm(dim=-1, keepdim=True) * z1.norm(dim=-1, keepdim=True)
    cosine = (z0 * z1).sum(dim=-1, keepdim=True) / torch.where(lengths == 0, 1, lengths)
    straight = (lengths == 0) | (cosine.abs() > 1 - 8 * torch.finfo(z0.dtype).eps)
    omega = torch.acos(torch.where(straight, 0, cosine))  # there any angle will do: it isn't used
    weight0 = torch.where(straight, 1 - t, torch.sin((1 - t) * omega) / torch.sin(omega))
    weight1 = torch.where(straight, t, torch.sin(t * omega) / torch.sin(omega))
    return weight0 * z0 + weight1 * z1
    ### END SOLUTION


def interpolate(model: nn.Module, x0: torch.Tensor, x1: torch.Tensor, steps: int) -> torch.Tensor:
    """From image x0[d] to image x1[d] through the latent space: probabilities [steps, d], steps ≥ 2.

    Row i decodes slerp(mu0, mu1, t) for the i-th of `steps` equally spaced t from 0 to 1, where mu0
    and mu1 are what model.encode makes of the images.
    """
    ### BEGIN SOLUTION
    mu, _ = model.encode(torch.stack([x0, x1]))
    z = torch.stack([slerp(mu[0], mu[1], i / (steps - 1)) for i in range(steps)])
    return model.decode(z).sigmoid()
    ### END SOLUTION


# %% check="slerp"
check("slerp")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Compute the angle for each row, with `keepdim=True`, so that it broadcasts. Then find the rows without an arc, and choose for each row with `torch.where`.
#
# </details>
# <details><summary>Hint 2: dangers</summary>
#
# `torch.where` computes both sides: give the formula a harmless angle in the rows where it is not used, or a division by zero spoils the gradient. Rounding can make a cosine 1.0000001: `acos` of that is NaN.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# cosine = dot product / product of the lengths (1 where that is 0)
# straight = a length is 0, or the cosine is ±1 up to rounding
# omega = acos(cosine), some other angle where straight
# weights = the two sines over sin(omega), or 1 - t and t where straight
#
# interpolate: mu of both images; slerp for each t; decode; sigmoid
# ```
#
# </details>

# %% tags=["experiment"]
with plots.when_finished(), torch.no_grad():
    zero_, seven, three_, one = (test[(labels[1500:] == n).nonzero()[0, 0]] for n in (0, 7, 3, 1))
    walk = torch.cat(
        [
            interpolate(models[1.0], a, b, 10)
            for a, b in ((zero_, seven), (three_, one), (one, zero_))
        ]
    )
    pixelwise = torch.cat(
        [
            torch.stack([(1 - i / 9) * a + i / 9 * b for i in range(10)])
            for a, b in ((zero_, seven), (three_, one), (one, zero_))
        ]
    )
    figure = plots.image_grids(
        {
            "through the latent space": walk.reshape(-1, 8, 8),
            "pixel by pixel": pixelwise.reshape(-1, 8, 8),
        },
        columns=10,
    )

# %% [markdown]
# **You should see** three walks, each a row of ten: 0 to 7, 3 to 1, 1 to 0. Left, strokes bend and close, and what lies between still looks drawn with a pen. Right, one digit fades out while the other fades in, and in the middle both are there at once.
#
# ## 9. How loose is the bound?
#
# The ELBO is a lower bound of log p(x). A better one: draw k codes from q(z|x), and average what they say about p(x), each weighed by how likely it is under the prior rather than under q.
#
# $$ L_k(x) = \log \frac1k \sum_{i=1}^{k} \frac{p(x \mid z_i)\, p(z_i)}{q(z_i \mid x)}, \qquad z_i = \mu + \sigma \varepsilon_i $$
#
# For k = 1 it is the one-sample ELBO. In expectation it never falls as k grows, and tends to log p(x).
#
# In logarithms, per draw: log p(x|z) is −`bernoulli_nll`. log p(z) = −½ Σ(z² + log 2π). log q(z|x) = −½ Σ(eps² + logvar + log 2π), since (z − mu)/sigma is eps. The two constants cancel. Each logarithm may be −1000, whose exponential is 0 on a computer: so **log-sum-exp**, `torch.logsumexp`, which takes the largest out first.
#
# **By hand:** two draws with log-ratios −1 and −3. log((e⁻¹ + e⁻³)/2) = −1.566: above their mean, −2, and below their maximum, −1.

# %% [markdown]
# ### Exercise 9: `importance_weighted_bound`


# %% exercise="importance_weighted_bound"
def importance_weighted_bound(model: nn.Module, x: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """A lower bound of log p(x) in nats, for x[b, d], from k draws made of noise eps[k, b, z]: [b].

    log of the mean over k of p(x|z) p(z) / q(z|x), with Bernoulli pixels and z = mu + sigma · eps.
    Finite where p(x|z) is as small as exp(−1e4). Uses model.encode(x[b, d]) and model.decode, which
    takes z with exactly two axes.
    """
    ### BEGIN SOLUTION
    mu, logvar = model.encode(x)
    ratios = []
    for each in eps:
        z = reparameterize(mu, logvar, each)
        log_likelihood = -bernoulli_nll(model.decode(z), x)
        log_ratio = (each**2 + logvar - z**2).sum(dim=1) / 2
        ratios.append(log_likelihood + log_ratio)
    return torch.stack(ratios).logsumexp(dim=0) - math.log(len(eps))
    ### END SOLUTION


# %% check="importance_weighted_bound"
check("importance_weighted_bound")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Compute one number for each draw and row, [k, b]; then join the draws. A loop over k is fine.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# For each draw: −nll + ½ Σ(eps² + logvar − z²). Then logsumexp over k, minus log k.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# mu, logvar = encode x
# for each draw of noise:
#     z = reparameterize
#     ratio = minus bernoulli_nll of the decoded z, plus half the sum of (eps² + logvar − z²)
# stack the ratios, logsumexp over the draws, minus the logarithm of their number
# ```
#
# </details>
#
# **Predict, then run:** how many nats does a digit cost by the bound with 1, 10, 100 and 1000 draws? Does it level off?

# %% tags=["experiment"]
with plots.when_finished(), torch.no_grad():
    eps = torch.randn(1000, 100, 8, generator=torch.Generator().manual_seed(5))
    draws = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    costs = [-importance_weighted_bound(models[1.0], test[:100], eps[:k]).mean() for k in draws]
    figure = plots.curves(
        {"nats a digit": costs},
        x=torch.tensor(draws).log10(),
        xlabel="log10 of the number of draws",
        ylabel="nats",
    )

# %% [markdown]
# **You should see** a curve that falls by a third of a nat or so, nearly all of it within the first twenty draws, and then stays level. The distance from its first value to its level is how much the ELBO gives away, because the cloud q(z|x) is not exactly the true posterior.
#
# ## Questions to think about
#
# 1. The reference trains with one draw of the noise for each row. Why does that suffice? What would ten draws change, in the gradient and in the time?
# 2. A colleague divides the nll by the number of pixels, "so that the loss does not depend on the image size". What does that do to the KL's weight? Which β does it amount to?
# 3. With a Gaussian decoder of fixed sigma, which sigma makes the loss the plain squared error? What happens to the number of active units as sigma falls?
# 4. Why can a decoder that is very strong (say, one that models each pixel from those before it) make the code useless?
# 5. Eight units, five to eight of them active. What do the others do: what are their mu and logvar?
#
# ## If you want to go on
#
# - Train on MNIST with 784-400-20, if you have the files (`gradus.data.mnist`), and compare the samples.
# - Let β rise from 0 to 1 over the first steps (KL annealing). Does it change the number of active units?
# - Train with −`importance_weighted_bound` as the loss: the IWAE.
#
# ## References
#
# - D. Kingma, M. Welling: *Auto-encoding variational Bayes*, 2014, [arXiv:1312.6114](https://arxiv.org/abs/1312.6114). Section 2, and appendix B for the KL.
# - D. Rezende, S. Mohamed, D. Wierstra: *Stochastic backpropagation and approximate inference in deep generative models*, 2014, [arXiv:1401.4082](https://arxiv.org/abs/1401.4082).
# - I. Higgins et al.: *beta-VAE*, ICLR 2017, [openreview.net/forum?id=Sy2fzU9gl](https://openreview.net/forum?id=Sy2fzU9gl).
# - Y. Burda, R. Grosse, R. Salakhutdinov: *Importance weighted autoencoders*, 2016, [arXiv:1509.00519](https://arxiv.org/abs/1509.00519). Section 3; active units in section 5.2.
# - T. White: *Sampling generative networks*, 2016, [arXiv:1609.04468](https://arxiv.org/abs/1609.04468). On slerp.
# - C. Doersch: *Tutorial on variational autoencoders*, 2016, [arXiv:1606.05908](https://arxiv.org/abs/1606.05908).
# - C.-R. Chung, CE6146 Introduction to Deep Learning, National Central University: exercise sheet of 2023-10-26, question 7; lecture on generative models of 2023-11-02, "Variational Autoencoders".
