"""The LSTM written from cells beside torch's own: the same weights, the same sequences.

nn.LSTM runs a whole sequence in one call of a library (oneDNN on the CPU, cuDNN on a GPU), where
ours makes a dozen small calls a step. A loop over nn.LSTMCell, whose steps are fused, is between
the two. A step here is one batch: forward and backward, or forward alone.

    .venv/bin/python benchmarks/lstm.py [--batch 128] [--hidden 128] [--length 32]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from side_by_side import devices, side_by_side
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from gradus.lstm import LSTM


class LoopOfCells(nn.LSTMCell):
    """A sequence through torch's fused cell."""

    def sequence(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs [b, s, H] for x[b, s, I]."""
        state, outputs = None, []
        for x_t in x.unbind(dim=1):
            state = self(x_t, state)
            outputs.append(state[0])
        return torch.stack(outputs, dim=1)


def main() -> None:
    """Prints a table for each device."""
    parser = argparse.ArgumentParser()
    for name, size in (("batch", 128), ("hidden", 128), ("length", 32)):
        parser.add_argument(f"--{name}", type=int, default=size)
    sizes = parser.parse_args()
    for device in devices():
        compare(sizes.batch, sizes.hidden, sizes.length, device)


def compare(b: int, hidden: int, s: int, device: torch.device) -> None:
    """Checks that all agree, and times them."""
    ours = LSTM(hidden, hidden).to(device)
    loop, whole = LoopOfCells(hidden, hidden), nn.LSTM(hidden, hidden, batch_first=True)
    loop.load_state_dict(ours.state_dict())
    whole.load_state_dict({f"{name}_l0": value for name, value in ours.state_dict().items()})
    models: dict[str, tuple[nn.Module, Callable[[torch.Tensor], torch.Tensor]]] = {
        "nn.LSTM": (whole.to(device), lambda x: whole(x)[0]),
        "gradus.lstm.LSTM": (ours, lambda x: ours(x)[0]),
        "a loop over nn.LSTMCell": (loop.to(device), loop.sequence),
    }
    x = torch.randn(b, s, hidden, device=device)
    with torch.no_grad():
        first, *others = (outputs(x) for _, outputs in models.values())
    for other in others:
        torch.testing.assert_close(other, first, rtol=1e-3, atol=1e-4)

    def train(model: nn.Module, outputs: Callable[[torch.Tensor], torch.Tensor]) -> None:
        model.zero_grad()
        outputs(x).square().mean().backward()

    def infer(outputs: Callable[[torch.Tensor], torch.Tensor]) -> None:
        with torch.no_grad():
            outputs(x)

    size = f"b = {b}, H = I = {hidden}, s = {s}"
    side_by_side(
        f"LSTM, {size}: forward and backward",
        {name: (lambda pair=pair: train(*pair)) for name, pair in models.items()},
        device,
        steps=1,
    )
    side_by_side(
        f"LSTM, {size}: forward",
        {name: (lambda outputs=outputs: infer(outputs)) for name, (_, outputs) in models.items()},
        device,
        steps=1,
    )


if __name__ == "__main__":
    main()
