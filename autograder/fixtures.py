"""Small known things that checks hand to the student's code, made in the student's process.

A check calls them as `student.fixtures.name(...)`, with `.keep` for what must stay there. What they
say of the student's objects is no proof, since the student's code runs beside them: checks judge
by values that only a right solution can give.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from gradus.training import seeded


def generator(seed: int) -> torch.Generator:
    """A generator on the CPU with this seed."""
    return torch.Generator().manual_seed(seed)


def random_state() -> torch.Tensor:
    """The state of torch's global generator, which a solution with a generator leaves alone."""
    return torch.get_rng_state()


def linear(weight: torch.Tensor, bias: torch.Tensor | None = None) -> nn.Linear:
    """The layer x ↦ x weightᵀ + bias, for weight [out, in]."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


def network(sizes: list[int], seed: int) -> nn.Sequential:
    """Linear layers of these sizes with tanh between them, from a seed."""
    layers: list[nn.Module] = []
    with seeded(generator(seed)):
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def sgd(module: nn.Module, lr: float) -> torch.optim.SGD:
    """Plain gradient descent on the module's parameters."""
    return torch.optim.SGD(module.parameters(), lr=lr)


def gradients(module: nn.Module) -> dict[str, torch.Tensor | None]:
    """Each parameter's `.grad`, by name."""
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def leave_gradients(module: nn.Module, value: float) -> None:
    """Fills each parameter's `.grad`, as an earlier backward would have left it."""
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, value)


def requires_grad(module: nn.Module) -> dict[str, bool]:
    """Each parameter's flag, by name."""
    return {name: parameter.requires_grad for name, parameter in module.named_parameters()}


def set_requires_grad(module: nn.Module, flags: dict[str, bool]) -> None:
    """Sets the flags of the parameters of these names."""
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(flags.get(name, parameter.requires_grad))


def adam(module: nn.Module, lr: float) -> torch.optim.Adam:
    """Adam on the module's parameters."""
    return torch.optim.Adam(module.parameters(), lr=lr)


def normalised(weight: torch.Tensor, bias: torch.Tensor) -> nn.Sequential:
    """Batch normalisation, then the layer x ↦ x weightᵀ + bias: its training and its evaluation
    differ, and training moves the averages that it keeps."""
    return nn.Sequential(nn.BatchNorm1d(weight.shape[1], dtype=weight.dtype), linear(weight, bias))


class Recorder(nn.Module):
    """Calls `model`, and keeps for each call whether it was in training mode, and its x."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.seen: list[tuple[bool, torch.Tensor]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append((self.training, x.detach().clone()))
        output: torch.Tensor = self.model(x)
        return output


def recorder(model: nn.Module) -> Recorder:
    """`model`, with a list `seen` of the calls: whether in training mode, and what of."""
    return Recorder(model)


def loss(name: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A loss of (prediction, target), the mean over all entries. For d = prediction − target:
    "square" is d², "difference" d itself, whose slope is 1 everywhere, and "lopsided"
    exp(d) − d − 1, which tells the prediction from the target."""
    losses: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "square": lambda d: d.square(),
        "difference": lambda d: d,
        "lopsided": lambda d: d.exp() - d - 1,
    }
    of = losses[name]
    return lambda prediction, target: of(prediction - target).mean()


class Remembering(nn.Module):
    """x[b, s, 1] ↦ Σ_t x_t · decay^(s−1−t) + drift·s, [b, 1]: every value counts, and how many
    there are."""

    def __init__(self, decay: float, drift: float) -> None:
        super().__init__()
        self.decay = nn.Parameter(torch.tensor(decay, dtype=torch.float64))
        self.drift = nn.Parameter(torch.tensor(drift, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        s = x.shape[1]
        ages = torch.arange(s - 1, -1, -1, dtype=x.dtype, device=x.device)
        decay, drift = self.decay.to(x), self.drift.to(x)
        return (x * (decay**ages)[:, None]).sum(dim=1) + drift * s


def remembering(decay: float, drift: float) -> Remembering:
    """A model of x[b, s, 1] that answers Σ_t x_t · decay^(s−1−t) + drift·s, [b, 1]."""
    return Remembering(decay, drift)


def latent_network(sizes: list[int], seed: int, dtype: str = "float64") -> nn.Sequential:
    """A generator: network(sizes, seed) in this dtype, with its first size as latent_dim."""
    module = network(sizes, seed).to(getattr(torch, dtype))
    module.latent_dim = sizes[0]  # type: ignore[assignment]
    return module


def discriminator(sizes: list[int], seed: int, dtype: str = "float64") -> nn.Sequential:
    """A discriminator: network(sizes, seed) in this dtype, whose one output is a logit [b]."""
    return network(sizes, seed).append(nn.Flatten(0)).to(getattr(torch, dtype))


class Journal:
    """What a generator and a discriminator were given during training, and when they changed."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        self._players = {"generator": generator, "discriminator": discriminator}
        self._events: list[tuple[Any, ...]] = []
        self._seen = self._parameters()
        for name, player in self._players.items():
            player.register_forward_hook(partial(self._note_call, name))

    def __deepcopy__(self, memo: dict[int, Any]) -> Journal:
        return self  # a solution may work on a copy of a player: its calls belong here, too

    def _parameters(self) -> dict[str, torch.Tensor]:
        return {
            name: nn.utils.parameters_to_vector(player.parameters()).detach()
            for name, player in self._players.items()
        }

    def _note_changes(self) -> None:
        now = self._parameters()
        for name, parameters in now.items():
            if not torch.equal(parameters, self._seen[name]):
                self._events.append((name,))
        self._seen = now

    def _note_call(
        self, name: str, module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor
    ) -> None:
        self._note_changes()
        self._events.append((name, inputs[0].detach().clone(), output.detach().clone()))

    def events(self) -> list[tuple[Any, ...]]:
        """In order: (name, input, output) for a call, (name,) where its parameters changed."""
        self._note_changes()
        return self._events


def journal(generator: nn.Module, discriminator: nn.Module) -> Journal:
    """A Journal of these two, from now on."""
    return Journal(generator, discriminator)


def scale_parameters(module: nn.Module, factor: float) -> None:
    """Multiplies every parameter by `factor`."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(factor)


def tensor(value: torch.Tensor) -> torch.Tensor:
    """The tensor itself, to be kept."""
    return value


def length(value: Sized) -> int:
    """len(value)."""
    return len(value)


class Coder(nn.Module):
    """A variational autoencoder of two known networks, the encoder's output [b, 2z] being mu
    beside logvar. With `records`, it remembers what it was given to encode and to decode, and the
    2-norm of the encoder's gradients as each encode found them."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, records: bool) -> None:
        super().__init__()
        self.encoder, self.decoder, self.records = encoder, decoder, records
        first = next(decoder.parameters())  # of a linear layer: [out, in]
        self.latent_dim = first.shape[1]
        self.encoded: list[torch.Tensor] = []
        self.slopes: list[float] = []
        self.decoded: list[torch.Tensor] = []

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(mu, logvar), each [b, z], for x[b, d]."""
        if self.records:
            self.encoded.append(x.detach().clone())
            slopes = [
                p.grad.square().sum() for p in self.encoder.parameters() if p.grad is not None
            ]
            self.slopes.append(float(sum(slopes)) ** 0.5)
        both = self.encoder(self._rows(x))
        return both[:, : self.latent_dim], both[:, self.latent_dim :]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """The logits [b, d] for z[b, z]."""
        if self.records:
            self.decoded.append(z.detach().clone())
        return self.decoder(self._rows(z))  # type: ignore[no-any-return]

    def forward(
        self, x: torch.Tensor, eps: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(logits, mu, logvar), as every VAE of the notebook; no eps means no noise."""
        mu, logvar = self.encode(x)
        noise = 0.0 if eps is None else torch.exp(0.5 * logvar).mul(eps)
        return self.decode(mu + noise), mu, logvar

    def _rows(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() != 2:
            raise ValueError(f"a model takes rows, [b, ...] with two sizes, not {list(x.shape)}")
        return x


def vae(encoder: nn.Module, decoder: nn.Module, records: bool = False) -> Coder:
    """A variational autoencoder of these two networks, with encode, decode and latent_dim."""
    return Coder(encoder, decoder, records)
