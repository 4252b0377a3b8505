"""The generative adversarial network: its losses, its two networks, its training and its ills.

Shapes: b batch, d data, z latent, k cells of a discrete distribution. The discriminator D answers
with logits, D(x) = σ(logit): the probability that x is real.

Every function follows its input's dtype and device, leaves its input unchanged and, but for the
training steps and the counting, is differentiable.
Source: Goodfellow et al., Generative adversarial nets (arXiv:1406.2661).
"""

import torch
from torch import nn

from gradus.training import random_rows, standard_normal


def discriminator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """The cross-entropy of telling real from generated, logits [b] and [b'] to a scalar.

    −mean log D(x) − mean log(1 − D(G(z)))

    each mean over its own batch. 2 log 2 where D is 1/2 everywhere.
    """
    log_d_real = nn.functional.logsigmoid(real_logits)
    log_not_d_fake = nn.functional.logsigmoid(-fake_logits)
    return -log_d_real.mean() - log_not_d_fake.mean()


def generator_loss(fake_logits: torch.Tensor, saturating: bool = False) -> torch.Tensor:
    """What the generator minimises, for D's logits [b] on its samples: a scalar.

    −mean log D(G(z)), or with saturating the minimax game's own mean log(1 − D(G(z)))

    Both want the same, but where D wins, with logits far below 0, the second is flat.
    Source: section 3.
    """
    if saturating:
        return nn.functional.logsigmoid(-fake_logits).mean()
    return -nn.functional.logsigmoid(fake_logits).mean()


def optimal_discriminator(p_data: torch.Tensor, p_g: torch.Tensor) -> torch.Tensor:
    """The best answer D* in each of k cells where data and generator have p_data[k] and p_g[k].

    D* = p_data / (p_data + p_g), and 1/2 in a cell that both leave empty

    Source: proposition 1.
    """
    total = p_data + p_g
    empty = total == 0
    return torch.where(empty, 0.5, p_data / torch.where(empty, 1, total))


def js_divergence(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """The Jensen–Shannon divergence of p[k] and q[k] in nats, a scalar from 0 to log 2.

    JS = ½ KL(p ‖ m) + ½ KL(q ‖ m) with m = (p + q) / 2

    The generator's loss against D* is 2 JS − log 4: where the supports are disjoint it is 0
    whatever the generator does. Source: theorem 1.
    """
    middle = (p + q) / 2

    def kl_to_middle(a: torch.Tensor) -> torch.Tensor:
        occupied = a > 0  # 0 log 0 = 0
        return (a * (torch.where(occupied, a, 1) / torch.where(occupied, middle, 1)).log()).sum()

    return (kl_to_middle(p) + kl_to_middle(q)) / 2


class Generator(nn.Module):
    """From noise z[b, z] to data [b, d], two hidden layers between, unbounded output.

    latent_dim is kept, for those who draw the noise.
    """

    def __init__(self, latent_dim: int, hidden_dim: int, out_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, out_dim),
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Samples [b, d] for noise z[b, z]."""
        x: torch.Tensor = self.layers(z)
        return x


class Discriminator(nn.Module):
    """From data x[b, d] to the logit [b] that each row is real, two hidden layers between.

    Leaky, so that a generator whose samples are all on the flat side still gets a gradient.
    """

    def __init__(self, in_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_dim, hidden_dim),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden_dim, hidden_dim),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden_dim, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [b] for x[b, d]."""
        logits: torch.Tensor = self.layers(x)
        return logits.squeeze(1)


def discriminator_step(
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer: torch.optim.Optimizer,
    real: torch.Tensor,
    z: torch.Tensor,
) -> float:
    """One step of the discriminator's optimizer on real[b, d] and noise z[b, z].

    Returns discriminator_loss before the step. The generator is used as it is: no graph is built
    through it, and its parameters and their gradients stay as they were.
    """
    with torch.no_grad():
        fake = generator(z)
    loss = discriminator_loss(discriminator(real), discriminator(fake))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def generator_step(
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer: torch.optim.Optimizer,
    z: torch.Tensor,
) -> float:
    """One step of the generator's optimizer on noise z[b, z].

    Returns the non-saturating generator_loss before the step. The gradient passes through the
    discriminator but is kept for the generator alone; the discriminator is left without any.
    """
    loss = generator_loss(discriminator(generator(z)))
    optimizer.zero_grad()
    discriminator.zero_grad()
    loss.backward(inputs=[p for p in generator.parameters() if p.requires_grad])
    optimizer.step()
    return loss.item()


def train_gan(
    generator: Generator,
    discriminator: Discriminator,
    real: torch.Tensor,
    steps: int,
    discriminator_steps: int,
    batch_size: int,
    lr: float,
    generator_rng: torch.Generator,
) -> dict[str, list[float]]:
    """Train both in place on real[n, d]; a step is `discriminator_steps` of D, then one of G.

    Rows of real and noise from N(0, I) are drawn with generator_rng. Returns the losses of each
    step: "d" the discriminator's in its last update, "g" the generator's.

    Adam with β₁ = 0 and β₂ = 0.9 instead of 0.9 and 0.999: momentum keeps a player on a course that
    the other has meanwhile made wrong. Source: Zhang et al., SAGAN (arXiv:1805.08318), section 5;
    the reason is in Gidel et al., Negative momentum for improved game dynamics (arXiv:1807.04740).
    """
    d_optimizer, g_optimizer = (
        torch.optim.Adam(player.parameters(), lr=lr, betas=(0.0, 0.9), fused=True)
        for player in (discriminator, generator)
    )
    shape = (batch_size, generator.latent_dim)
    history: dict[str, list[float]] = {"d": [], "g": []}
    for _ in range(steps):
        for _ in range(discriminator_steps):
            x = random_rows(real, batch_size, generator_rng)
            z = standard_normal(shape, generator_rng, like=real)
            d_loss = discriminator_step(generator, discriminator, d_optimizer, x, z)
        z = standard_normal(shape, generator_rng, like=real)
        history["d"].append(d_loss)
        history["g"].append(generator_step(generator, discriminator, g_optimizer, z))
    return history


def mode_coverage(samples: torch.Tensor, modes: torch.Tensor, radius: float) -> tuple[int, float]:
    """How many of modes[m, d] samples[n, d] reach, and the share of samples that are near one.

    Near is a Euclidean distance of at most radius. Returns (covered, quality): a count from 0 to m
    and a share from 0 to 1.
    """
    near = (samples[:, None] - modes).norm(dim=2) <= radius  # [n, m]
    return int(near.any(dim=0).sum()), int(near.any(dim=1).sum()) / len(samples)


class ReplayBuffer:
    """The newest `capacity` rows that were pushed.

    A discriminator that also sees old samples can't forget them, so a generator can't come back to
    them in turn. Source: Shrivastava et al., Learning from simulated and unsupervised images
    through adversarial training (arXiv:1612.07828), section 2.3.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._rows: torch.Tensor | None = None

    def __len__(self) -> int:
        return 0 if self._rows is None else len(self._rows)

    def push(self, batch: torch.Tensor) -> None:
        """Store a copy of batch[b, d], without its graph; the oldest rows make room."""
        older = [] if self._rows is None else [self._rows]
        self._rows = torch.cat([*older, batch.detach()])[-self.capacity :]

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """A copy of n rows [n, d], drawn uniformly with replacement. Raises ValueError if empty."""
        if self._rows is None:
            raise ValueError("the buffer is empty: push a batch before sampling")
        return random_rows(self._rows, n, generator)


def minibatch_discrimination(features: torch.Tensor, T: torch.Tensor) -> torch.Tensor:
    """features[b, f] with o columns that say how close each row is to the others: [b, f + o].

    M_i = features_i · T, with T[f, o, r], so M_i is [o, r]
    o(x_i) = Σ_{j ≠ i} exp(−‖M_i − M_j‖₁), the norm over r

    In a collapsed batch the columns are near b − 1, and a discriminator can see it.
    Source: Salimans et al., Improved techniques for training GANs (arXiv:1606.03498), section 3.2.
    """
    m = torch.einsum("bf,for->bor", features, T)
    distance = (m[:, None] - m).abs().sum(dim=3)  # [b, b, o]
    itself = torch.eye(len(m), dtype=torch.bool, device=m.device)[:, :, None]
    closeness = (-distance).exp().masked_fill(itself, 0).sum(dim=1)
    return torch.cat([features, closeness], dim=1)
