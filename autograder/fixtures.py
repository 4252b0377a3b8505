"""Small known things that checks hand to the student's code, made in the student's process.

A check calls them as `student.fixtures.name(...)`, with `.keep` for what must stay there. What they
say of the student's objects is no proof, since the student's code runs beside them: checks judge
by values that only a right solution can give.
"""

from __future__ import annotations

from itertools import pairwise

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
