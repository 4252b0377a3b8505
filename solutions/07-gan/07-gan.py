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
# # 07 · Two networks play a game
#
# **The goal:** you write a generative adversarial network from its losses to its training loop, teach it to turn noise into points that lie like the data, and see the three ways in which this goes wrong.
#
# Run the next cell for a picture of where it starts and where it should end.

# %% tags=["experiment"]
import math

import torch

from gradus import plots

RADIUS, SPREAD = 2.0, 0.15
angles = torch.arange(8) * math.pi / 4
modes = RADIUS * torch.stack([angles.cos(), angles.sin()], dim=1)  # [8, 2]
draws = torch.Generator().manual_seed(0)
real = modes.repeat_interleave(512, dim=0) + SPREAD * torch.randn(4096, 2, generator=draws)
shown = real[::8]  # fewer points, for pictures

figure = plots.clouds(
    {"what goes in: noise": torch.randn(512, 2, generator=draws), "what should come out": shown},
    modes=modes,
)

# %% [markdown]
# **You should see** two panels. On the left one round cloud of green rings around the centre: noise. On the right eight small clouds on a circle, one around each black cross. The crosses are the **modes** of the data. The network that you train learns a map from the left to the right, and nobody ever tells it where the crosses are.
#
# ## What you will be able to do
#
# - **derive** the losses of both players from one cross-entropy, and **compute** them without ever losing a digit;
# - **say** what the game is worth, and why a perfect discriminator can teach nothing;
# - **implement** the two steps so that each moves one player only, and the loop around them;
# - **measure** mode collapse, and **explain** it with an experiment;
# - **use** two remedies: a buffer of old samples, and minibatch discrimination.
#
# **What to know before:** PyTorch modules, optimisers and `backward`; the cross-entropy; means and exponentials of random variables. No images, no convolutions: everything here can be drawn in the plane.
#
# ## What there is to do
#
# | | exercise | points | minutes |
# |---|---|---:|---:|
# | 1 | `discriminator_loss` | 10 | 10 |
# | 2 | `generator_loss` | 10 | 10 |
# | 3 | `optimal_discriminator`, `js_divergence` | 14 | 20 |
# | 4 | `Generator`, `Discriminator` | 8 | 10 |
# | 5 | `discriminator_step` | 12 | 15 |
# | 6 | `generator_step` | 12 | 15 |
# | 7 | `train_gan` | 14 | 20 |
# | 8 | `mode_coverage` | 6 | 10 |
# | 9 | `ReplayBuffer` | 6 | 10 |
# | 10 | `minibatch_discrimination` | 8 | 15 |
# | | **total** | **100** | **135** |
#
# Finished, the whole notebook runs offline on a laptop in about half a minute. No GPU, no download.
#
# ## How it works
#
# Below each exercise a cell `check("...")` tells you at once which properties hold, and shows the smallest call where one does not. It runs some of the checks; grading runs those and more of the same kind, and trains with your `train_gan`. The docstring says everything that is asked for. Hints are folded: open one level at a time. Cells that only draw something are not graded; change them as you like.
#
# Four rules hold for **every function here that takes tensors**, except for the two steps, the training and the counting, which say what they do:
#
# 1. It works in float32 and in float64 and on any device. What it returns has the dtype and device of its input, and is computed in that dtype: float64 keeps all its digits.
# 2. It takes strided inputs, such as a transposed or sliced tensor.
# 3. It leaves its inputs as they were.
# 4. Gradients flow through it, to every floating-point input. (So no `.detach()`, `.item()` or numpy on the way.)
#
# One rule holds for **everything random**: it is drawn with the `torch.Generator` that is handed in. torch's global generator is neither read nor seeded, so the same generator seed gives the same result. (Only the first weights of a new module come from the global one, as in torch.)
#
# Inputs are finite, and sizes are at least 1. Shapes are written b batch, d data, z latent, k cells, f features. An exercise may use the earlier ones: if an earlier one is still wrong, a correct one stands in for it when this one is graded.

# %%
import math

import torch
import torch.nn.functional as F
from torch import nn

from autograder.notebook import checks_of

check = checks_of("07-gan")

# %% [markdown]
# ## 1. The discriminator tells real from made
#
# A **discriminator** D looks at a row and answers with the probability D(x) that it is real. It is a classifier with two classes, so its loss is the one that every classifier has, the cross-entropy. Real rows have the label 1, and cost −log D(x). Rows that the **generator** G made from noise z have the label 0, and cost −log(1 − D(G(z))).
#
# The network itself gives a **logit** l, any real number, and D = σ(l) = 1/(1 + e^−l). Losses take logits. The reason is numbers: in float32, σ(−200) is 0 and its logarithm −∞, while log σ(−200) is simply −200.
#
# $$ L_D = -\frac{1}{b} \sum_{i=1}^{b} \log \sigma(l_i) \;-\; \frac{1}{b'} \sum_{j=1}^{b'} \log\bigl(1 - \sigma(l'_j)\bigr) $$
#
# | symbol | meaning | shape |
# |---|---|---|
# | l | logits of real rows | [b] |
# | l' | logits of generated rows | [b'], maybe another size |
# | σ | the logistic function, `torch.sigmoid` | |
#
# **In words:** two means, each over its own batch, added. Neither is halved. A discriminator that always says 1/2 pays log 2 twice: 2 log 2 ≈ 1.386. Remember this number. It is where a GAN ends if all goes well.
#
# **By hand.** With l = log 3 we have D = 3/4, so a real row costs log(4/3) ≈ 0.288. A generated row with the same logit costs log 4 ≈ 1.386: D took it for real.
#
# (One of the lecture's notes writes the cross-entropy as y log ŷ + (1 − y) log(1 − ŷ), without the minus. That is what D *maximises*. A loss is minimised, hence the minus here and on the slide "Training Dynamics – Loss Function".)

# %% [markdown]
# ### Exercise 1: `discriminator_loss`


# %% exercise="discriminator_loss"
def discriminator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """The cross-entropy of telling real from generated: −mean log D(x) − mean log(1 − D(G(z))).

    real_logits: [b], fake_logits: [b'], with D = σ(logit). Each mean is over its own batch; the
    sizes may differ. Returns a 0-dimensional tensor with the logits' dtype and device.

    Value and gradients are right for logits of ±10000, too.
    """
    ### BEGIN SOLUTION
    real_cost = F.softplus(-real_logits).mean()
    fake_cost = F.softplus(fake_logits).mean()
    return real_cost + fake_cost
    ### END SOLUTION


# %% check="discriminator_loss"
check("discriminator_loss")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Turn −log σ(l) into an expression without a fraction: −log(1/(1 + e^−l)) = log(1 + e^−l). And 1 − σ(l) = σ(−l).
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# Torch has log(1 + e^x) as `F.softplus(x)`, log σ(x) as `F.logsigmoid(x)`, and the whole cross-entropy as `F.binary_cross_entropy_with_logits`. Each is right for any logit. `torch.log(torch.sigmoid(...))` is not.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# cost of the real rows      = mean of log(1 + e^(−logit))
# cost of the generated rows = mean of log(1 + e^(+logit))
# return their sum
# ```
#
# </details>
#
# **Something to look at:** what one row costs, for every logit.

# %% tags=["experiment"]
with plots.when_finished():
    logits = torch.linspace(-6, 6, 121)
    undecided = torch.zeros(1)
    figure = plots.curves(
        {
            "a real row": torch.stack([discriminator_loss(one[None], undecided) for one in logits]),
            "a generated row": torch.stack(
                [discriminator_loss(undecided, one[None]) for one in logits]
            ),
        },
        x=logits,
        xlabel="logit",
        ylabel="loss (the other logit is 0)",
    )

# %% [markdown]
# **You should see** two curves that are mirror images and cross at logit 0 at the height 1.39 = 2 log 2. The real row's falls from 6.7 on the left to 0.7 on the right; the generated row's rises. Far out, both are straight lines of slope 1: a confident mistake costs as much as it is confident.
#
# ## 2. What the generator wants
#
# G wants D to be wrong. The game of the original paper is a **minimax game**: what D maximises, G minimises.
#
# $$ \min_G \max_D V(D, G), \qquad V = \mathbb{E}_{x}\,\log D(x) + \mathbb{E}_{z}\,\log\bigl(1 - D(G(z))\bigr) $$
#
# The first term has no G in it. So G minimises mean log(1 − D(G(z))). This is the **saturating** loss. In practice everyone takes the other one, and so does the lecture: −mean log D(G(z)), the cost of generated rows *with the label real*. It is called **non-saturating**.
#
# $$ L_G = -\frac{1}{b} \sum_j \log \sigma(l'_j), \qquad L_G^{\text{sat}} = \frac{1}{b} \sum_j \log\bigl(1 - \sigma(l'_j)\bigr) $$
#
# | symbol | meaning | shape |
# |---|---|---|
# | l' | D's logits for generated rows | [b] |
# | L_G | ≥ 0, the default | scalar |
# | L_G^sat | ≤ 0, no minus in front | scalar |
#
# **By hand.** At l' = 0: L_G = log 2 and L_G^sat = −log 2. At l' = log 3: log(4/3) and −log 4. Both have fallen.
#
# ### Predict, then run
#
# At the start of training D wins with ease: its logits for generated rows are, say, −10. Both losses fall as the logit rises, so both push G in the same direction. With which one does G learn? Think of the *slope* at −10. Then do the exercise and run the picture below it.

# %% [markdown]
# ### Exercise 2: `generator_loss`


# %% exercise="generator_loss"
def generator_loss(fake_logits: torch.Tensor, saturating: bool = False) -> torch.Tensor:
    """What the generator minimises, given D's logits [b] for its samples.

    −mean log D(G(z)), or with saturating=True the minimax game's mean log(1 − D(G(z))).

    Returns a 0-dimensional tensor with the logits' dtype and device. Value and gradient are right
    for logits of ±10000, too.
    """
    ### BEGIN SOLUTION
    if saturating:
        return -F.softplus(fake_logits).mean()
    return F.softplus(-fake_logits).mean()
    ### END SOLUTION


# %% check="generator_loss"
check("generator_loss")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# You have both logarithms already: they are the two halves of `discriminator_loss`. Only labels and signs change.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# −log σ(l) = softplus(−l) and log(1 − σ(l)) = −softplus(l).
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# if saturating: minus the mean cost of a generated row with the label 0
# otherwise:     the mean cost of a generated row with the label 1
# ```
#
# </details>

# %% tags=["experiment"]
with plots.when_finished():
    logits = torch.linspace(-10, 6, 161)

    def slopes(saturating: bool) -> torch.Tensor:
        """The derivative of the loss of one row, at each of the logits."""
        one_row = logits.clone().requires_grad_()
        losses = torch.stack([generator_loss(one[None], saturating) for one in one_row])
        return torch.autograd.grad(losses.sum(), one_row)[0]

    figure = plots.curves(
        {"not saturating": slopes(False), "saturating": slopes(True)},
        x=logits,
        xlabel="logit of a generated row",
        ylabel="slope of G's loss",
    )

# %% [markdown]
# **You should see** two curves between −1 and 0. On the left, where D is sure that the row is made, the slope of the non-saturating loss is −1 and that of the saturating one 0. On the right it is the other way round. They cross at logit 0, at −1/2.
#
# <details><summary>Why</summary>
#
# d/dl of −log σ(l) is −(1 − σ(l)), and d/dl of log(1 − σ(l)) is −σ(l). The first is large where D says "made", which is where G has something to learn. The second is large where G has already won. At a logit of −10 the saturating slope is −0.00005: twenty thousand times too small to move. The lecture calls this *vanishing gradients*.
#
# </details>
#
# ## 3. What the game is worth
#
# Suppose D could be any function at all. What is its best answer at a point x? Take the plane in cells, with p_data[k] the share of real rows in cell k, and p_g[k] the share of generated ones. In one cell, D maximises p_data log D + p_g log(1 − D). Set the derivative to zero:
#
# $$ D^*_k = \frac{p_{\text{data}}[k]}{p_{\text{data}}[k] + p_g[k]} $$
#
# **In words:** of what lies in this cell, which share is real? In a cell where nothing lies the answer is never asked for; we say 1/2.
#
# Put D* into V, and the value of the game turns out to be a distance between the two distributions:
#
# $$ V(D^*, G) = -\log 4 + 2\,\mathrm{JS}(p_{\text{data}}, p_g), \qquad \mathrm{JS}(p, q) = \tfrac12 \mathrm{KL}(p \,\|\, m) + \tfrac12 \mathrm{KL}(q \,\|\, m), \quad m = \frac{p + q}{2} $$
#
# | symbol | meaning | range |
# |---|---|---|
# | p, q | two distributions over k cells, each sums to 1 | [k], ≥ 0 |
# | KL(p ‖ m) | Σ p log(p/m), natural logarithm, 0 log 0 = 0 | ≥ 0 |
# | JS | the Jensen–Shannon divergence, in nats | 0 to log 2 |
#
# JS is 0 where p = q, and log 2 where they never meet in any cell. So the best that G can do is p_g = p_data. Then D* is 1/2 everywhere, and D pays −V = log 4 = 2 log 2.
#
# **By hand.** p = (1, 0), q = (½, ½): m = (¾, ¼). KL(p ‖ m) = log(4/3). KL(q ‖ m) = ½ log(2/3) + ½ log 2. Half of both: JS ≈ 0.2158. And D* = (2/3, 0).

# %% [markdown]
# ### Exercise 3: `optimal_discriminator` and `js_divergence`


# %% exercise="optimal_discriminator"
def optimal_discriminator(p_data: torch.Tensor, p_g: torch.Tensor) -> torch.Tensor:
    """The best answer D* in each of k cells: p_data / (p_data + p_g), and 1/2 where both are 0.

    p_data, p_g: [k], probabilities ≥ 0, some of them 0 or as small as 1e-300 in float64 (so add
    no small constant). Returns [k] with their dtype and device. Where both are positive, the
    gradients are right, also if other cells are empty.
    """
    ### BEGIN SOLUTION
    total = p_data + p_g
    nobody = total == 0
    safe_total = torch.where(nobody, torch.ones_like(total), total)
    return torch.where(nobody, torch.full_like(total, 0.5), p_data / safe_total)
    ### END SOLUTION


def js_divergence(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """The Jensen–Shannon divergence ½ KL(p ‖ m) + ½ KL(q ‖ m), m = (p + q)/2, in nats.

    p, q: [k], probabilities ≥ 0 that sum to 1, some of them 0 or as small as 1e-300 in float64.
    Returns a 0-dimensional tensor from 0 to log 2, with their dtype and device. Where both are
    positive, the gradients are right, also if other cells are empty.
    """
    ### BEGIN SOLUTION
    middle = (p + q) / 2
    terms = []
    for part in (p, q):
        there = part > 0
        terms.append((part[there] * (part[there] / middle[there]).log()).sum())
    return (terms[0] + terms[1]) / 2
    ### END SOLUTION


# %% check="optimal_discriminator"
check("optimal_discriminator")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Both are one line, but for empty cells. 0/0 is nan, and log 0 is −∞. Decide where the cells are empty *before* you divide or take a logarithm.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# `torch.where(condition, a, b)` computes both a and b. If b is nan where it isn't chosen, the value is fine but the gradient is nan. So choose twice: first a harmless number for the denominator, then the result. Or select the cells that count with a mask, `p[p > 0]`, and compute only there.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# D*: denominator = p_data + p_g, with 1 in place of 0
#     result      = p_data / denominator, with 1/2 where the sum was 0
#
# JS: m = half of the sum
#     for each of p and q: over its own non-empty cells, sum of p · log(p / m)
#     half of both
# ```
#
# </details>
#
# ### Predict, then run: two bumps drive apart
#
# Two Gaussian bumps with standard deviation 1, one for the data, one for G. Their centres are 0 apart, then 1, 2, ... 12. JS grows. How does it go on after 6, and what does that mean for a generator that starts far away from the data? Predict the curve.

# %% tags=["experiment"]
with plots.when_finished():
    line = torch.linspace(-20, 20, 2001, dtype=torch.float64)

    def bump(centre: float) -> torch.Tensor:
        """A Gaussian around centre, in cells of the line."""
        weights = torch.exp(-((line - centre) ** 2) / 2)
        return weights / weights.sum()

    apart = torch.arange(0, 12.5, 0.5)
    distances = torch.stack([js_divergence(bump(-a / 2), bump(a / 2)) for a in apart.tolist()])
    figure = plots.curves(
        {"JS": distances}, x=apart, xlabel="distance of the centres", ylabel="nats"
    )
    figure = plots.curves(
        {
            f"{a} apart": optimal_discriminator(bump(-a / 2), bump(a / 2))[600:1401]
            for a in (1, 3, 8)
        },
        x=line[600:1401],
        xlabel="x (data on the left, G on the right)",
        ylabel="D*",
    )

# %% [markdown]
# **You should see** in the first picture a curve that climbs from 0, bends, and is flat from about 6 on, at 0.693 = log 2. In the second three falling steps from 1 to 0 around x = 0: gentle for bumps 1 apart, steeper for 3, and almost a cliff for 8.
#
# <details><summary>Why</summary>
#
# Bumps that are far apart share no cell, and JS only looks at shares, not at how far. So the distance of 8 and that of 12 look the same, and the slope is 0: with a perfect D, G gets no hint where to go. D* says the same: away from its cliff it is flat at 0 or 1. This is why nobody trains D to the end before each step of G, and why assignment 08 changes the distance.
#
# </details>
#
# ## 4. The two networks
#
# Any two networks will do whose shapes fit. Ours are fully connected with two hidden layers. Three things matter.
#
# - **No activation at the end.** G has to reach data anywhere in the plane, and D gives logits, not probabilities.
# - **A leak in D.** `nn.LeakyReLU(0.2)` passes a fifth of the slope where `nn.ReLU` passes none. G learns only through D's slope, so D should have one everywhere.
# - **Rows stay alone.** What D says of a row may not depend on the other rows. (Batch normalisation breaks this; exercise 10 breaks it on purpose.)

# %% [markdown]
# ### Exercise 4: `Generator` and `Discriminator`


# %% exercise="Generator"
class Generator(nn.Module):
    """From noise z[b, z] to samples [b, d]: a network that is not linear, without bounds.

    latent_dim, hidden_dim, out_dim: sizes ≥ 1 of the noise, the hidden layers and the data; a
    larger hidden_dim makes a larger network. Keeps latent_dim as an attribute. Rows don't influence
    each other, the answer is the same in training and in evaluation (no batch normalisation, no
    dropout), every parameter gets a gradient, and after .double() it works in float64.
    """

    def __init__(self, latent_dim: int, hidden_dim: int, out_dim: int) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.latent_dim = latent_dim
        self.network = nn.Sequential(
            nn.Linear(latent_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, out_dim),
        )
        ### END SOLUTION

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Samples [b, d] for noise z[b, z]."""
        ### BEGIN SOLUTION
        return self.network(z)
        ### END SOLUTION


class Discriminator(nn.Module):
    """From rows x[b, d] to logits [b], not probabilities: a network that is not linear.

    in_dim, hidden_dim: sizes ≥ 1 of the data and the hidden layers. For the rest as Generator.
    """

    def __init__(self, in_dim: int, hidden_dim: int) -> None:
        super().__init__()
        ### BEGIN SOLUTION
        self.network = nn.Sequential(
            nn.Linear(in_dim, hidden_dim),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden_dim, hidden_dim),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden_dim, 1),
        )
        ### END SOLUTION

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [b] for rows x[b, d]: one dimension, also where b is 1."""
        ### BEGIN SOLUTION
        return self.network(x).squeeze(1)
        ### END SOLUTION


# %% check="Generator"
check("Generator")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# An `nn.Sequential` of linear layers with an activation between each two of them. Five layers in all.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# G: latent → hidden → hidden → out with ReLU between. D: in → hidden → hidden → 1 with LeakyReLU between, then [b, 1] to [b].
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# __init__: keep latent_dim; a Sequential: Linear, activation, Linear, activation, Linear
# forward:  apply it; for D, drop dimension 1 (not every dimension of size 1: a batch may be 1)
# ```
#
# </details>
#
# **Something to look at:** both before any training. The colour is D's logit: violet for "real", orange for "made", white for 0.

# %% tags=["experiment"]
with plots.when_finished():
    torch.manual_seed(0)
    g, d = Generator(4, 64, 2), Discriminator(2, 64)
    noise = torch.randn(512, 4, generator=torch.Generator().manual_seed(1))
    figure = plots.clouds(
        {"untrained": g(noise).detach()},
        real=shown,
        surfaces={"untrained": d},
    )

# %% [markdown]
# **You should see** the real points as eight grey clouds, all green samples in one small heap near the centre, and a smooth colour behind that has nothing to do with either.
#
# ## 5. One step of the discriminator
#
# A step of D: show it real rows and generated ones, take `discriminator_loss`, go down its gradient. Only D may move. G is used as a machine that makes rows, so no graph is needed through it. This also saves the way back through G.
#
# Who is moved is decided by the optimiser: it holds D's parameters. But `backward` fills the `.grad` of *every* parameter in the graph. If G is in the graph, then G is left with gradients of a loss that it should not minimise, and the next step of G may add them to its own. That is the most common mistake in GAN code, and the loss curves don't show it.
#
# **By hand.** D(x) has the logit w·x + c with w = c = 0, so every probability is ½. Real rows 2 and 4 (mean 3), generated rows 1, −3, −1 (mean −1). A row's slope in its logit is −½ if real and +½ if generated. So ∂L/∂w = −½·3 + ½·(−1) = −2, and ∂L/∂c = −½ + ½ = 0. A step of gradient descent with rate 0.5 gives w = 1, c = 0. The loss *before* the step, 2 log 2, is what is returned.

# %% [markdown]
# ### Exercise 5: `discriminator_step`


# %% exercise="discriminator_step"
def discriminator_step(
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer: torch.optim.Optimizer,
    real: torch.Tensor,
    z: torch.Tensor,
) -> float:
    """One step of the discriminator's optimizer on discriminator_loss, for real[b, d] and z[b', z].

    Returns the loss before the step, as a float. Gradients that were there before don't count.

    Only the discriminator moves. The generator's parameters stay, and so do its gradients: what
    was in a .grad before, None included, is there afterwards. Every requires_grad flag ends as it
    was (some layers may be frozen). real and z stay as they are.
    """
    ### BEGIN SOLUTION
    fake = generator(z).detach()
    optimizer.zero_grad()
    loss = discriminator_loss(discriminator(real), discriminator(fake))
    loss.backward()
    optimizer.step()
    return loss.item()
    ### END SOLUTION


# %% check="discriminator_step"
check("discriminator_step")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Four lines that every training step has: clear the gradients, compute the loss, go backward, step. The only question is how the generated rows come in without their graph.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# `generator(z).detach()`, or compute it inside `with torch.no_grad():`. No need to touch any `requires_grad`.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# fake = what the generator makes of z, cut off
# clear D's gradients
# loss of D's logits on real and on fake; backward; one step
# the loss as a Python number
# ```
#
# </details>
#
# **Something to look at.** G stays as it is, and D makes 300 steps. What does D's colour look like afterwards?

# %% tags=["experiment"]
with plots.when_finished():
    torch.manual_seed(0)
    g, d = Generator(4, 64, 2), Discriminator(2, 64)
    optimizer = torch.optim.Adam(d.parameters(), lr=2e-3, betas=(0.0, 0.9))
    rng = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(300):
        rows = real[torch.randint(len(real), (256,), generator=rng)]
        losses.append(discriminator_step(g, d, optimizer, rows, torch.randn(256, 4, generator=rng)))
    print(f"D's loss: {losses[0]:.3f} at first, {losses[-1]:.6f} after 300 steps")
    figure = plots.clouds({"D alone": g(noise).detach()}, real=shown, surfaces={"D alone": d})

# %% [markdown]
# **You should see** a loss of about 1.3 at first and nearly 0 at the end, and a picture with an orange spot in the middle, where the samples are, and violet all around: even far from all data, where D has never seen a row. D separates what it has seen. It does not know where the data are.
#
# ## 6. One step of the generator
#
# Now G moves, and D is the machine: it says how real each sample looks, and, through its gradient, in which direction it would look more real. So this time D must stay *in* the graph. Its parameters get gradients on the way, and those have to go.
#
# **By hand.** D's logit is 4·x, and G(z) = a·z + c with a = c = 0. So every sample is 0, every logit 0, L_G = log 2. Its slope in each sample is −½·4 = −2, averaged over the batch. For z = 1, −3, −1 with mean −1: ∂L/∂c = −2 and ∂L/∂a = −2·(−1) = 2. A step with rate 0.5 gives c = 1 and a = −1.

# %% [markdown]
# ### Exercise 6: `generator_step`


# %% exercise="generator_step"
def generator_step(
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer: torch.optim.Optimizer,
    z: torch.Tensor,
) -> float:
    """One step of the generator's optimizer on the non-saturating generator_loss, for z[b, z].

    Returns the loss before the step, as a float. Gradients that were there before don't count.

    Only the generator moves. Afterwards every gradient in the discriminator is None or zero,
    whatever was there before. Every requires_grad flag ends as it was (some or all of the
    discriminator's layers, and some of the generator's, may be frozen). z stays as it is.
    """
    ### BEGIN SOLUTION
    optimizer.zero_grad()
    loss = generator_loss(discriminator(generator(z)))
    loss.backward()
    optimizer.step()
    discriminator.zero_grad()
    return loss.item()
    ### END SOLUTION


# %% check="generator_step"
check("generator_step")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# The same four lines, with another loss, and something to tidy up at the end.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# The `zero_grad` of an optimiser clears the parameters that it holds, here G's. A module has a `zero_grad`, too: D's clears D.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# clear G's gradients
# z through G, through D, into the loss; backward; one step
# clear what that left in D
# the loss as a Python number
# ```
#
# </details>
#
# ### Predict, then run: G against a D that stands still
#
# Train both in turn for 100 steps. Then freeze D and let G make 12 steps alone. D's colour does not change any more. Where do the samples go? Will they spread over all eight modes?

# %% tags=["experiment"]
with plots.when_finished():
    torch.manual_seed(0)
    g, d = Generator(4, 64, 2), Discriminator(2, 64)
    of_d = torch.optim.Adam(d.parameters(), lr=2e-3, betas=(0.0, 0.9))
    of_g = torch.optim.Adam(g.parameters(), lr=2e-3, betas=(0.0, 0.9))
    rng = torch.Generator().manual_seed(1)
    for _ in range(100):
        rows = real[torch.randint(len(real), (256,), generator=rng)]
        discriminator_step(g, d, of_d, rows, torch.randn(256, 4, generator=rng))
        generator_step(g, d, of_g, torch.randn(256, 4, generator=rng))
    pictures = {"both, 100 steps": g(noise).detach()}
    for _ in range(12):
        generator_step(g, d, of_g, torch.randn(256, 4, generator=rng))
    pictures["then G alone, 12"] = g(noise).detach()
    figure = plots.clouds(pictures, real=shown, surfaces=dict.fromkeys(pictures, d), reach=5.0)

# %% [markdown]
# **You should see** on the left a cloud of samples over the whole ring, and a colour that is orange at the bottom and violet at the top. On the right the whole cloud has moved up, many samples past the top of the ring, where there are no data at all. (With 40 steps instead of 12 all of them have left the picture.)
#
# <details><summary>Why</summary>
#
# Against a fixed D there is one best answer for G: put *every* sample where D's logit is largest, even if that is far from all data. Nothing in G's loss asks for variety, and nothing in it knows the data. Where D's largest logit is in one mode, all samples end there: this is **mode collapse**. It is not a bug in your code but the solution of G's problem while D doesn't answer. Variety comes only from D moving on: it learns that this place is full of generated rows, the violet there fades, and G has to leave. So the two have to take turns, quickly.
#
# </details>
#
# ## 7. The loop
#
# The lecture's recipe ("How to Train a GAN"): a step is a few updates of D, each on new rows and new noise, then one update of G on new noise. Two optimisers, one for each player.
#
# Use **Adam with betas=(0.0, 0.9)** for both. Adam's default, (0.9, 0.999), averages the last ten gradients or so, but the other player has moved meanwhile: each goes on in a direction that is no longer right. Section 8 shows what becomes of the ring then. (0.5, 0.999), as in DCGAN, works with less margin.
#
# Grading trains with your loop: on a ring like ours (800 steps of one update of D), and on one Gaussian (400 steps of three). The docstring says what should come of it.
#
# (The lecture's Keras loop differs in one point: it makes *two* updates of D for each batch, one on real rows alone and one on generated rows alone. Ours makes one on both, as the loss says.)

# %% [markdown]
# ### Exercise 7: `train_gan`


# %% exercise="train_gan"
def train_gan(
    generator: nn.Module,
    discriminator: nn.Module,
    real: torch.Tensor,
    steps: int,
    discriminator_steps: int,
    batch_size: int,
    lr: float,
    generator_rng: torch.Generator,
) -> dict[str, list[float]]:
    """Trains both networks in place on real[n, d].

    Each of `steps` steps is `discriminator_steps` updates of the discriminator on
    discriminator_loss, then one update of the generator on the non-saturating generator_loss.

    Every update of the discriminator gets its own batch_size rows, drawn at random from all of
    real and shown as they are (n may be smaller than batch_size), and its own noise
    [batch_size, generator.latent_dim] from N(0, I) with real's dtype. Whatever is random is drawn
    with generator_rng, a generator on the CPU; torch's global one is not touched.

    Each network has its own torch.optim.Adam with rate lr and betas=(0.0, 0.9), made once.

    Trained on a ring of eight modes, the generator gives each at least 2 % of its samples, and at
    least half of all samples lie within 3 standard deviations of a mode. Trained on one Gaussian,
    its samples have nearly that mean and covariance.

    Returns {"d": [...], "g": [...]}, one float a step in each: the discriminator's loss in its
    last update of the step, and the generator's, both before the update.
    """
    ### BEGIN SOLUTION
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=lr, betas=(0.0, 0.9))
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=lr, betas=(0.0, 0.9))

    def fresh_noise() -> torch.Tensor:
        shape = (batch_size, generator.latent_dim)
        return torch.randn(shape, generator=generator_rng, dtype=real.dtype).to(real.device)

    history = {"d": [], "g": []}
    for _ in range(steps):
        for _ in range(discriminator_steps):
            chosen = torch.randint(len(real), (batch_size,), generator=generator_rng)
            batch = real[chosen.to(real.device)]
            d_loss = discriminator_step(generator, discriminator, d_optimizer, batch, fresh_noise())
        g_loss = generator_step(generator, discriminator, g_optimizer, fresh_noise())
        history["d"].append(d_loss)
        history["g"].append(g_loss)
    return history
    ### END SOLUTION


# %% check="train_gan"
check("train_gan")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Your two steps do the work. The loop hands them rows, noise and the right optimiser, and writes down what they return.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# Rows: `torch.randint(n, (batch_size,), generator=generator_rng)` as an index into `real`. Noise: `torch.randn(batch_size, latent_dim, generator=generator_rng, dtype=real.dtype)`. Make both optimisers once, before the loop: Adam remembers.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# an optimiser for D, an optimiser for G
# for each step:
#     discriminator_steps times: new rows, new noise, a step of D
#     new noise, a step of G
#     note the last loss of D, and the loss of G
# ```
#
# </details>
#
# ### Predict, then run: what do the losses tell?
#
# Now the ring. 1000 steps with one update of D each. Which of the curves of a good training do you expect: both losses falling, one falling and one rising, or neither? Predict, then run.

# %% tags=["experiment"]
with plots.when_finished():
    torch.manual_seed(0)
    g, d = Generator(4, 64, 2), Discriminator(2, 64)
    rng = torch.Generator().manual_seed(0)
    snapshots = {"0 steps": g(noise).detach()}
    losses = {"d": [], "g": []}
    for steps, name in ((50, "50"), (150, "200"), (800, "1000")):
        part = train_gan(g, d, real, steps, 1, 256, 2e-3, rng)
        for player in losses:
            losses[player] += part[player]
        snapshots[f"{name} steps"] = g(noise).detach()
    figure = plots.clouds(snapshots, modes=modes)
    figure = plots.curves({"D": losses["d"], "G": losses["g"]}, xlabel="step")

# %% [markdown]
# **You should see** four panels: a heap at the centre, then samples sprayed over the whole plane, then an uneven ring, and after 1000 steps eight clouds around the eight crosses with a few stragglers between them. Below, two noisy curves. After a restless beginning, D's stays a little below 1.39 = 2 log 2 and G's a little above 0.69 = log 2, for hundreds of steps in which the samples still get better.
#
# <details><summary>Why</summary>
#
# Each loss is measured against an opponent that improves as well. 2 log 2 says: D can't tell them apart *at the moment*. It is the value of the game from section 3 with JS = 0, and a weak D reaches it, too. So a GAN's losses are no learning curve. Look at samples, and count.
#
# </details>
#
# ## 8. Counting modes
#
# On the ring we know the modes, so both ways to fail can be counted. **Covered**: how many modes have at least one sample within a radius? A collapsed generator covers one. **Quality**: which share of the samples is within the radius of some mode? A generator that sprays over the plane covers all, with a low quality.
#
# | symbol | meaning | shape |
# |---|---|---|
# | samples, modes | points | [n, d], [m, d] |
# | radius | Euclidean distance up to which a sample is near; exactly at it counts | float |
# | covered | modes with a near sample | int, 0 to m |
# | quality | share of samples near at least one mode | float, 0 to 1 |
#
# **By hand.** Modes (0, 0) and (10, 0), radius 5. The sample (3, 4) is exactly 5 away from the first: near. (5, 1) is √26 from both: near none. covered = 1, quality = 1/2.

# %% [markdown]
# ### Exercise 8: `mode_coverage`


# %% exercise="mode_coverage"
def mode_coverage(samples: torch.Tensor, modes: torch.Tensor, radius: float) -> tuple[int, float]:
    """(covered, quality): how many modes have a near sample, and the share of samples near a mode.

    samples: [n, d], modes: [m, d], of one dtype. Near: a Euclidean distance ≤ radius; a sample may
    be near several modes. Returns an int and a float, not tensors. No gradient is asked for.
    """
    ### BEGIN SOLUTION
    differences = samples.unsqueeze(1) - modes.unsqueeze(0)  # n, m, d
    near = differences.square().sum(dim=2).sqrt() <= radius
    covered = near.any(dim=0).sum().item()
    quality = near.any(dim=1).double().mean().item()
    return covered, quality
    ### END SOLUTION


# %% check="mode_coverage"
check("mode_coverage")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# A table of n × m answers: is sample i near mode j? Both numbers can be read off it.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# `samples[:, None] - modes` is [n, m, d]. Its 2-norm over the last dimension is the distance. `any` over samples says which modes are covered, `any` over modes which samples are near.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# near    = distances [n, m] at most radius
# covered = number of columns with a True, as an int
# quality = number of rows with a True, divided by n, as a float
# ```
#
# </details>
#
# **Something to look at:** the four snapshots from above, counted within three standard deviations.

# %% tags=["experiment"]
with plots.when_finished():
    for name, samples in {**snapshots, "the data": real}.items():
        covered, quality = mode_coverage(samples, modes, 3 * SPREAD)
        print(f"{name:>10}:  {covered} of 8 modes, quality {quality:.2f}")

# %% [markdown]
# **You should see** 0 of 8 modes at the start. After 50 steps all 8 are covered, but with a quality of 0.12: G sprays over the plane, and one sample out of 512 is enough for each mode. Neither number says much without the other. After 1000 steps it is 8 of 8 with a quality near 0.9. The data themselves reach 0.99, not 1: a Gaussian in the plane has 1.1 % outside of three standard deviations.
#
# ### Predict, then run: the same game, with momentum
#
# Play twice from the same first weights, at a rate of 0.005, with one difference: Adam's default betas of (0.9, 0.999), then (0.0, 0.9). How many modes will each G cover after 200, 400, 600 and 800 steps?

# %% tags=["experiment"]
with plots.when_finished():

    def play(betas: tuple[float, float]) -> dict[str, torch.Tensor]:
        """Samples after 200, 400, 600 and 800 steps, and how many modes they cover."""
        torch.manual_seed(1)
        g, d = Generator(4, 64, 2), Discriminator(2, 64)
        of_d = torch.optim.Adam(d.parameters(), lr=5e-3, betas=betas)
        of_g = torch.optim.Adam(g.parameters(), lr=5e-3, betas=betas)
        rng = torch.Generator().manual_seed(2)
        pictures = {}
        for step in range(1, 801):
            rows = real[torch.randint(len(real), (128,), generator=rng)]
            discriminator_step(g, d, of_d, rows, torch.randn(128, 4, generator=rng))
            generator_step(g, d, of_g, torch.randn(128, 4, generator=rng))
            if step % 200 == 0:
                samples = g(noise).detach()
                covered, _ = mode_coverage(samples, modes, 3 * SPREAD)
                pictures[f"betas {betas}\n{step} steps: {covered} of 8 modes"] = samples
        return pictures

    figure = plots.clouds(play((0.9, 0.999)), modes=modes)
    figure = plots.clouds(play((0.0, 0.9)), modes=modes)

# %% [markdown]
# **You should see** in the upper row a generator that has **collapsed**: all 512 samples in one dot, which jitters around one mode. In the lower row a ring that gets sharper, with seven or eight modes in each panel. From another seed, or with other layers or another order of draws in your code, the upper row looks different, and no better: a heap or a streak that wanders from panel to panel and covers 0 to 5 modes.
#
# <details><summary>Why</summary>
#
# Section 6 said what G does against a D that stands still: everything to one place. With momentum, each player acts as if the other stood still for about ten steps. When D has noticed the heap, G is carried past the place where it should have stopped, and D's answer comes too late again: they chase each other in circles. Without momentum each answers what the other does *now*. And once all samples are one dot, D has the same slope for each of them, so they move together: nothing ever drives them apart.
#
# </details>
#
# ## 9. A memory for the discriminator
#
# D judges by what it saw last. If G leaves a place, D soon forgets it, and G can come back: the two run in circles. The remedy is to show D old samples as well. A **replay buffer** keeps the newest rows that were pushed, up to a capacity, and hands out random ones.
#
# Two details decide whether it works. What is pushed must be **detached**, or the buffer keeps the graph of every old step alive until memory is full. And it must be **copied**, both going in and coming out, or someone who changes their tensor changes your memory.
#
# **By hand.** Capacity 5. Push rows 0 1, then 2 3, then 4 5. Six were pushed, five are kept: 1 2 3 4 5. Push eight rows 6 … 13 at once: 9 … 13 are kept.

# %% [markdown]
# ### Exercise 9: `ReplayBuffer`


# %% exercise="ReplayBuffer"
class ReplayBuffer:
    """The newest `capacity` rows (not batches) that were pushed; len() says how many are there."""

    def __init__(self, capacity: int) -> None:
        ### BEGIN SOLUTION
        self.capacity = capacity
        self.rows = []
        ### END SOLUTION

    def __len__(self) -> int:
        ### BEGIN SOLUTION
        return len(self.rows)
        ### END SOLUTION

    def push(self, batch: torch.Tensor) -> None:
        """Stores the rows of batch[b, d], detached and copied; the oldest rows make room.

        A batch may be larger than the capacity: then its last rows are kept. Every batch has the
        same d and dtype.
        """
        ### BEGIN SOLUTION
        self.rows.extend(batch.detach().clone())
        self.rows = self.rows[-self.capacity :]
        ### END SOLUTION

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """n of the stored rows [n, d], a copy, drawn uniformly and with replacement.

        n may be more than there are. All randomness is from `generator`, on the CPU. The buffer is
        not empty.
        """
        ### BEGIN SOLUTION
        drawn = torch.randint(len(self.rows), (n,), generator=generator)
        return torch.stack([self.rows[index] for index in drawn.tolist()])
        ### END SOLUTION


# %% check="ReplayBuffer"
check("ReplayBuffer")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Keep one tensor, or a list, of rows. Push appends and cuts off the front. Sample draws indices.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# `torch.cat([old, new])[-capacity:]` keeps the newest. Indexing a tensor with a tensor of indices, `rows[indices]`, copies; a slice like `rows[:n]` does not.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# push:   own copy of the batch, without its graph, after what is there; keep the last `capacity`
# sample: n random whole numbers below the length, with the generator; those rows
# ```
#
# </details>
#
# **Something to look at:** how old are the rows that D would see? Each row says in which step it was pushed.

# %% tags=["experiment"]
with plots.when_finished():
    memory = ReplayBuffer(20)
    for step in range(1, 9):
        memory.push(torch.full((4, 1), float(step)))
        drawn = memory.sample(12, torch.Generator().manual_seed(step)).flatten().int().tolist()
        print(f"step {step}: {len(memory):2} rows, twelve of them from the steps {sorted(drawn)}")

# %% [markdown]
# **You should see** 4, 8, 12, 16 rows and then 20 in each line. The numbers are a mix of all steps so far at first, and from step 6 on of the last five steps only.
#
# ## 10. Let the discriminator see the batch
#
# A D that judges every row alone cannot see collapse: each of the copies looks real. **Minibatch discrimination** (Salimans et al., 2016) adds columns to the features that say how close the row is to the *others* of its batch.
#
# $$ M_i = \mathrm{features}_i \cdot T \in \mathbb{R}^{o \times r}, \qquad o_k(x_i) = \sum_{j \ne i} \exp\Bigl(-\sum_{r} \lvert M_{i k r} - M_{j k r} \rvert\Bigr) $$
#
# | symbol | meaning | shape |
# |---|---|---|
# | features | what D has computed of each row so far | [b, f] |
# | T | learned; o ways of comparing, each in r numbers | [f, o, r] |
# | M | the features, seen in these ways | [b, o, r] |
# | o_k(x_i) | closeness of row i to all others, in way k | 0 to b − 1 |
#
# **In words:** compare every two rows by the L1 distance of their M, for each of the o ways alone. Distance 0 counts 1, a large distance counts 0. Add up over the other rows, and not the row itself. The result is the features, with these o columns after them: [b, f + o].
#
# **By hand.** Two rows with features 0 and log 2, and T = 1. The distance is log 2, and exp(−log 2) = ½. The result: (0, ½) and (log 2, ½). With a third row equal to the second: 0 has ½ + ½ = 1, each of the others ½ + 1 = 1.5.

# %% [markdown]
# ### Exercise 10: `minibatch_discrimination`


# %% exercise="minibatch_discrimination"
def minibatch_discrimination(features: torch.Tensor, T: torch.Tensor) -> torch.Tensor:
    """features[b, f], followed by o columns that say how close each row is to the others.

    T: [f, o, r]. Column k of row i is the sum over j ≠ i of exp(−L1), with L1 the sum over r of
    |M_i − M_j| for M = features · T [b, o, r]. Returns [b, f + o] with the features' dtype and
    device. A batch of one row gives 0, one of b equal rows b − 1. Gradients reach both arguments.
    """
    ### BEGIN SOLUTION
    b = len(features)
    m = torch.tensordot(features, T, dims=1)  # b, o, r
    closeness = torch.exp(-(m.unsqueeze(0) - m.unsqueeze(1)).abs().sum(dim=3))  # b, b, o
    others = 1 - torch.eye(b, dtype=features.dtype, device=features.device)
    return torch.cat([features, (closeness * others.unsqueeze(2)).sum(dim=1)], dim=1)
    ### END SOLUTION


# %% check="minibatch_discrimination"
check("minibatch_discrimination")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# All pairs at once: subtract [1, b, o, r] from [b, 1, o, r] by broadcasting.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# `torch.einsum("bf,for->bor", features, T)` is M. |difference| summed over the last axis is [b, b, o]. The row itself has distance 0 and counts exactly 1: leave it out, or take 1 away at the end.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# M         = features times T, [b, o, r]
# distance  = |M of row i − M of row j|, summed over r: [b, b, o]
# closeness = exp(−distance), without the pairs i = j, summed over j: [b, o]
# features and closeness side by side
# ```
#
# </details>
#
# **Something to look at:** a batch of the data, and one of a collapsed generator. The mean closeness of their rows, with T the identity.

# %% tags=["experiment"]
with plots.when_finished():
    T = torch.eye(2)[:, None]  # [2, 1, 2]: one way of comparing, by both coordinates
    varied = real[torch.randint(len(real), (64,), generator=torch.Generator().manual_seed(0))]
    collapsed = modes[:1] + SPREAD * torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    for name, batch in {"the data": varied, "a collapsed generator": collapsed}.items():
        column = minibatch_discrimination(batch, T)[:, -1]
        print(f"{name:>22}: {column.mean():5.1f} of at most 63")

# %% [markdown]
# **You should see** a closeness of about 10 for the data and about 45 for the collapsed batch. Every single row of the collapsed batch looks real, and yet one number tells the batches apart.
#
# ## The same picture, by your own code
#
# What goes in, and what your generator makes of it after 1000 steps. The colour is D's: after a good game it is nearly white where the data are.

# %% tags=["experiment"]
with plots.when_finished():
    figure = plots.clouds(
        {"what goes in: noise": noise[:, :2], "what comes out": g(noise).detach()},
        modes=modes,
        surfaces={"what comes out": d},
    )

# %% [markdown]
# **You should see** the round cloud from the top of the notebook, and eight clouds around the eight crosses.
#
# ## Questions to think about
#
# 1. The slides say that GAN training is a zero-sum game. With which of the two generator losses is that true?
# 2. The slides name the Nash equilibrium as the place where training should stop. What does D say there? How much does D learn from a gradient there?
# 3. `discriminator_step` on a G in the graph gives the right D all the same. Which lines of which function would then go wrong, and would you notice it on the loss curves?
# 4. D's accuracy is 100 %. Is that good? Answer with section 3, then with the experiment of section 5.
# 5. A generator covers all eight modes with quality 1. Can it still be wrong? (Compare the spread of the clouds.)
# 6. Why does nobody evaluate a GAN by the likelihood of held-out data?
# 7. The slide "How to Train a GAN (4/4)" checks convergence by the losses. Which of your pictures speaks against it, and what does the slide offer besides?
#
# ## If you want to go on
#
# - **Break it.** Take `saturating=True` in the steps of G, and draw ten snapshots of the ring. Then five updates of D a step. Then a ring of 25 modes.
# - **Use the memory.** Push G's samples into a `ReplayBuffer` after each step, and give D half new samples, half old ones. Does it help with the betas of section 8?
# - **Use the batch.** Build a discriminator with `minibatch_discrimination` before its last layer, and train on a ring of 25 modes.
# - **Digits.** The digits of `gradus.data` have 64 pixels. Take a larger hidden_dim. What would you count in place of the modes?
# - **Instance noise.** Add Gaussian noise to everything that D sees, and let it fade (Sønderby et al., 2016). What does it do to the curve of JS in section 3?
#
# ## References
#
# - I. Goodfellow et al.: *Generative adversarial nets*, NeurIPS 2014, [arXiv:1406.2661](https://arxiv.org/abs/1406.2661). Section 3 for the losses, section 4 for D*, JS and the value of the game.
# - T. Salimans et al.: *Improved techniques for training GANs*, NeurIPS 2016, [arXiv:1606.03498](https://arxiv.org/abs/1606.03498). Section 3.2, minibatch discrimination.
# - A. Shrivastava et al.: *Learning from simulated and unsupervised images through adversarial training*, CVPR 2017, [arXiv:1612.07828](https://arxiv.org/abs/1612.07828). Section 2.3, the buffer.
# - M. Arjovsky, L. Bottou: *Towards principled methods for training generative adversarial networks*, ICLR 2017, [arXiv:1701.04862](https://arxiv.org/abs/1701.04862). Section 2: why a perfect D teaches nothing.
# - A. Radford, L. Metz, S. Chintala: *Unsupervised representation learning with deep convolutional GANs*, ICLR 2016, [arXiv:1511.06434](https://arxiv.org/abs/1511.06434). Where betas of (0.5, 0.999) come from.
# - H. Zhang et al.: *Self-attention generative adversarial networks*, ICML 2019, [arXiv:1805.08318](https://arxiv.org/abs/1805.08318). Section 5, betas of (0, 0.9); and G. Gidel et al.: *Negative momentum for improved game dynamics*, 2019, [arXiv:1807.04740](https://arxiv.org/abs/1807.04740), for the reason.
# - C. K. Sønderby et al.: *Amortised MAP inference for image super-resolution*, ICLR 2017, [arXiv:1610.04490](https://arxiv.org/abs/1610.04490). On instance noise.
# - C.-R. Chung, CE6146 Introduction to Deep Learning, National Central University: lecture of 2023-11-02, "Training Dynamics", "Nash Equilibrium", "How to Train a GAN" and "A simple GAN using Keras".
