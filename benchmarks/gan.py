"""train_gan beside a common loop for fully connected GANs: the same networks, data and steps.

The other loop has the habits of most published ones (in our words after eriklindernoren's
PyTorch-GAN, implementations/gan): a DataLoader, the cross-entropy of probabilities against tensors
of ones and zeros, Adam as it comes, and a generator step that also computes gradients for the
discriminator, to throw them away. In its favour, it generates one batch a step for both networks,
where ours draws new noise for the generator.

    .venv/bin/python benchmarks/gan.py [--steps 30] [--batch 128]
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path

import torch
from side_by_side import devices, side_by_side
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from gradus.gan import Discriminator, Generator, train_gan

LR = 1e-3


def common_loop(
    generator: Generator,
    discriminator: Discriminator,
    loader: DataLoader[tuple[torch.Tensor, ...]],
) -> dict[str, list[float]]:
    """One epoch; the losses of each step."""
    device = next(generator.parameters()).device
    loss_fn = nn.BCELoss()
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=LR, betas=(0.0, 0.9))
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=LR, betas=(0.0, 0.9))
    history: dict[str, list[float]] = {"d": [], "g": []}
    for (batch,) in loader:
        real = batch.to(device)
        ones, zeros = torch.ones(len(real), device=device), torch.zeros(len(real), device=device)
        fake = generator(torch.randn(len(real), generator.latent_dim, device=device))

        d_optimizer.zero_grad()
        d_loss = loss_fn(torch.sigmoid(discriminator(real)), ones)
        d_loss = d_loss + loss_fn(torch.sigmoid(discriminator(fake.detach())), zeros)
        d_loss.backward()
        d_optimizer.step()

        g_optimizer.zero_grad()
        g_loss = loss_fn(torch.sigmoid(discriminator(fake)), ones)
        g_loss.backward()
        g_optimizer.step()

        history["d"].append(d_loss.item())
        history["g"].append(g_loss.item())
    return history


def main() -> None:
    """Prints two tables for each device: pictures, and points in the plane."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    for device in devices():
        compare("GAN 100-256-256-784", arguments.steps, arguments.batch, (100, 256, 784), device)
        compare("GAN 4-64-64-2", arguments.steps, arguments.batch, (4, 64, 2), device)


def compare(
    title: str, steps: int, b: int, sizes: tuple[int, int, int], device: torch.device
) -> None:
    """Times both from the same start."""
    latent, hidden, d = sizes
    start = Generator(latent, hidden, d), Discriminator(d, hidden)
    points = torch.rand(steps * b, d)
    data = points.to(device)
    loader = DataLoader(TensorDataset(points), batch_size=b, shuffle=True)
    rng = torch.Generator(device).manual_seed(0)

    def ours() -> dict[str, list[float]]:
        return train_gan(*(copy.deepcopy(m).to(device) for m in start), data, steps, 1, b, LR, rng)

    def theirs() -> dict[str, list[float]]:
        return common_loop(*(copy.deepcopy(m).to(device) for m in start), loader)

    for name in ("d", "g"):  # the first step of both is the same game
        torch.testing.assert_close(ours()[name][0], theirs()[name][0], rtol=0.05, atol=0)
    side_by_side(
        f"{title}, b = {b}",
        {"gradus.gan.train_gan": ours, "a common loop": theirs},
        device,
        steps,
    )


if __name__ == "__main__":
    main()
