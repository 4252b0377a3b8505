"""The variational autoencoder: its bound, its model, its training and what it can draw.

Shapes: b batch, d input, z latent, k samples. The model is p(z) = N(0, I) and p(x given z), with
the approximate posterior q(z given x) = N(mu, diag(exp(logvar))). Targets are grey values in
[0, 1]; everything is in nats.

Every function follows its input's dtype and device, leaves its input unchanged and, but for the
training loop, is differentiable.
Source: Kingma and Welling, Auto-encoding variational Bayes (arXiv:1312.6114).
"""

import math

import torch
from torch import nn

from gradus.training import random_rows, standard_normal


def reparameterize(mu: torch.Tensor, logvar: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """A draw from N(mu, σ²) made of noise eps from N(0, 1), all [b, z].

    z = mu + σ · eps with σ = exp(logvar / 2)

    The randomness is in eps alone, so the gradient reaches mu and logvar.
    Source: section 2.4.
    """
    return mu + torch.exp(logvar / 2) * eps


def gaussian_kl(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """KL(N(mu, diag(exp(logvar))) ‖ N(0, I)) for mu and logvar [b, z], summed over z: [b].

    ½ Σ_z (mu² + exp(logvar) − 1 − logvar)

    Source: appendix B.
    """
    # expm1(x) is exp(x) − 1 without the rounding that, near the prior, would make it negative.
    return (mu.square() + torch.expm1(logvar) - logvar).sum(dim=1) / 2


def bernoulli_nll(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """−log p(target) where each pixel is Bernoulli with logit logits: [b, ...] to [b].

    Σ −target · log σ(logits) − (1 − target) · log σ(−logits)

    summed over all but the batch.
    """
    each = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return each.reshape(len(each), -1).sum(dim=1)


def gaussian_nll(
    mean: torch.Tensor, target: torch.Tensor, sigma: float | torch.Tensor = 1.0
) -> torch.Tensor:
    """−log p(target) where each pixel is N(mean, sigma²): [b, ...] to [b].

    Σ ½ ((target − mean) / sigma)² + log sigma + ½ log 2π

    summed over all but the batch. sigma is a number or a tensor that broadcasts to mean.
    """
    sigma = torch.as_tensor(sigma, dtype=mean.dtype, device=mean.device)
    each = ((target - mean) / sigma).square() / 2 + sigma.log() + math.log(2 * math.pi) / 2
    return each.reshape(len(each), -1).sum(dim=1)


def negative_elbo(nll: torch.Tensor, kl: torch.Tensor, beta: float = 1.0) -> torch.Tensor:
    """The loss of a VAE for nll[b] and kl[b]: the batch mean of nll + beta · kl, a scalar.

    With beta = 1 it bounds −log p(x) from above. Other weights: Higgins et al., beta-VAE (2017).
    """
    return (nll + beta * kl).mean()


class VAE(nn.Module):
    """One hidden layer on the way to the latent code and one on the way back.

    latent_dim is kept, for those who sample.
    """

    def __init__(self, input_dim: int, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.encoder = nn.Sequential(
            nn.Linear(input_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, 2 * latent_dim)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, input_dim)
        )

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(mu, logvar), each [b, z], of the posterior for x[b, d]."""
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The logits [b, d] of the pixels for z[b, z]."""
        logits: torch.Tensor = self.decoder(z)
        return logits

    def forward(
        self, x: torch.Tensor, eps: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(logits, mu, logvar) for x[b, d] and noise eps[b, z]; without noise z is mu."""
        mu, logvar = self.encode(x)
        z = mu if eps is None else reparameterize(mu, logvar, eps)
        return self.decode(z), mu, logvar


def train_vae(
    model: VAE,
    data: torch.Tensor,
    steps: int,
    batch_size: int,
    lr: float,
    beta: float,
    generator: torch.Generator,
) -> list[float]:
    """Train model in place on random rows of data[n, d]: its loss before each step of Adam.

    The loss is negative_elbo with one draw of the noise for each row. Rows and noise are drawn with
    generator.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    losses = []
    for _ in range(steps):
        x = random_rows(data, batch_size, generator)
        eps = standard_normal((batch_size, model.latent_dim), generator, like=data)
        logits, mu, logvar = model(x, eps)
        loss = negative_elbo(bernoulli_nll(logits, x), gaussian_kl(mu, logvar), beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses).tolist()  # read at the end, so that a GPU need not wait


def sample(model: VAE, n: int, generator: torch.Generator) -> torch.Tensor:
    """Probabilities [n, d] of the pixels for n draws of z from the prior N(0, I)."""
    like = next(model.parameters())
    return model.decode(standard_normal((n, model.latent_dim), generator, like)).sigmoid()


def slerp(z0: torch.Tensor, z1: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
    """From z0[..., z] at t = 0 to z1[..., z] at t = 1 along the arc between their directions.

    [sin((1 − t)ω) z0 + sin(tω) z1] / sin ω, with ω the angle between z0 and z1

    and the straight line (1 − t) z0 + t z1 where sin ω = 0 or one of them is zero. t is a number or
    a tensor that broadcasts, such as [steps, 1] for two vectors.

    In many dimensions N(0, I) lies near a sphere; the middle of a straight line is inside of it,
    where no code is. Source: Shoemake, Animating rotation with quaternion curves (1985); for latent
    spaces White, Sampling generative networks (arXiv:1609.04468).
    """
    length0, length1 = z0.norm(dim=-1, keepdim=True), z1.norm(dim=-1, keepdim=True)
    zero = (length0 == 0) | (length1 == 0)
    u, v = z0 / torch.where(zero, 1, length0), z1 / torch.where(zero, 1, length1)
    # Not acos(u·v): its rounding error is 1e-8 in float64 near 0 and π, and its gradient infinite.
    omega = 2 * torch.atan2((u - v).norm(dim=-1, keepdim=True), (u + v).norm(dim=-1, keepdim=True))
    straight = zero | (omega.sin() < 16 * torch.finfo(omega.dtype).eps)
    omega = torch.where(straight, 1, omega)  # any angle with a sine: no NaN reaches the gradient
    weight0 = torch.where(straight, 1 - t, ((1 - t) * omega).sin() / omega.sin())
    weight1 = torch.where(straight, t, (t * omega).sin() / omega.sin())
    return weight0 * z0 + weight1 * z1


def interpolate(model: VAE, x0: torch.Tensor, x1: torch.Tensor, steps: int) -> torch.Tensor:
    """From x0[d] to x1[d] through the latent space: probabilities [steps, d], steps ≥ 2.

    Row i decodes slerp(mu0, mu1, t) for the i-th of `steps` equally spaced t from 0 to 1.
    """
    mu, _ = model.encode(torch.stack([x0, x1]))
    t = torch.linspace(0, 1, steps, dtype=mu.dtype, device=mu.device)[:, None]
    return model.decode(slerp(mu[0], mu[1], t)).sigmoid()


def importance_weighted_bound(model: VAE, x: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """A lower bound of log p(x) for x[b, d] from k draws, made of noise eps[k, b, z]: [b].

    log (1/k) Σ_k p(x, z_k) / q(z_k given x), with z_k = mu + σ · eps_k

    For k = 1 it is the one-sample ELBO; in expectation it rises with k towards log p(x).
    Source: Burda, Grosse and Salakhutdinov, Importance weighted autoencoders (arXiv:1509.00519).
    """
    k = len(eps)
    mu, logvar = model.encode(x)
    z = reparameterize(mu, logvar, eps)  # [k, b, z]
    logits = model.decode(z.flatten(0, 1))  # [k·b, d]
    log_likelihood = -bernoulli_nll(logits, x.repeat(k, 1)).reshape(k, -1)
    # log p(z) − log q(z given x); the constants cancel, and (z − mu)/σ is eps.
    log_ratio = (eps.square() + logvar - z.square()).sum(dim=2) / 2
    return (log_likelihood + log_ratio).logsumexp(dim=0) - math.log(k)
