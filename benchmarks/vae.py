"""train_vae beside the loop of pytorch/examples: the same model, data, steps and loss.

The other loop is that of pytorch/examples' vae/main.py in our words: a DataLoader, sigmoids and
the cross-entropy of probabilities, Adam as it comes, and the loss read every step. (A later
version adds the constant of the continuous Bernoulli; it is left out, so that the losses are the
same.) The rows below ours show what each of its habits costs alone, put into our loop.

    .venv/bin/python benchmarks/vae.py [--steps 30] [--batch 128]
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path
from unittest import mock

import torch
from side_by_side import devices, side_by_side
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from gradus import vae
from gradus.vae import VAE, reparameterize, train_vae

LR = 1e-3


def examples_loop(model: VAE, loader: DataLoader[tuple[torch.Tensor, ...]]) -> list[float]:
    """One epoch in the manner of pytorch/examples; the losses per image."""
    device = next(model.parameters()).device
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    model.train()
    losses = []
    for (batch,) in loader:
        x = batch.to(device)
        optimizer.zero_grad()
        mu, logvar = model.encode(x)
        z = reparameterize(mu, logvar, torch.randn_like(mu))
        loss = bce_of_probabilities(model.decode(z), x).sum()
        loss = loss - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        loss.backward()
        losses.append(loss.item() / len(x))
        optimizer.step()
    return losses


def bce_of_probabilities(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The cross-entropy by way of probabilities, clamped against log 0: [b]."""
    probabilities = torch.sigmoid(logits).clamp(1e-4, 1 - 1e-4)
    each = nn.functional.binary_cross_entropy(probabilities, target, reduction="none")
    return each.sum(dim=1)


def main() -> None:
    """Prints a table for each device."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    for device in devices():
        compare(arguments.steps, arguments.batch, device)


def compare(steps: int, b: int, device: torch.device) -> None:
    """Checks that both learn alike, and times them."""
    start = VAE(784, 400, 20)
    pixels = torch.rand(steps * b, 784)  # what is in them makes no difference to the time
    data = pixels.to(device)
    loader = DataLoader(TensorDataset(pixels), batch_size=b, shuffle=True)
    rng = torch.Generator(device).manual_seed(0)

    def fresh() -> VAE:
        return copy.deepcopy(start).to(device)

    def ours() -> list[float]:
        return train_vae(fresh(), data, steps, b, LR, 1.0, rng)

    def theirs() -> list[float]:
        return examples_loop(fresh(), loader)

    def with_plain_adam() -> None:
        adam = torch.optim.Adam

        def plain(parameters: object, lr: float, fused: bool) -> torch.optim.Optimizer:
            return adam(parameters, lr=lr)  # type: ignore[arg-type]

        with mock.patch.object(torch.optim, "Adam", plain):
            ours()

    def with_probabilities() -> None:
        with mock.patch.object(vae, "bernoulli_nll", bce_of_probabilities):
            ours()

    def with_a_loader() -> None:
        batches = iter(loader)
        with mock.patch.object(
            vae, "random_rows", side_effect=lambda *_: next(batches)[0].to(device)
        ):
            ours()

    ends = [sum(losses[-5:]) / 5 for losses in (ours(), theirs())]
    torch.testing.assert_close(ends[0], ends[1], rtol=0.01, atol=0)
    side_by_side(
        f"VAE 784-400-20, b = {b}",
        {
            "gradus.vae.train_vae": ours,
            "  with Adam as it comes": with_plain_adam,
            "  with the cross-entropy of probabilities": with_probabilities,
            "  with a DataLoader": with_a_loader,
            "the loop of pytorch/examples": theirs,
        },
        device,
        steps,
    )


if __name__ == "__main__":
    main()
