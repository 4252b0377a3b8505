"""What training loops share: random rows, noise, and modules that start from a generator.

Whatever is random takes its torch.Generator, draws on the generator's device, and moves what it
drew to the data. So a generator on the CPU draws the same for a model on any device, and one on
the model's device saves the transfer. torch's global generator is neither read nor moved.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch


def random_rows(data: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """`count` rows of data[n, ...], each drawn uniformly from all n, with replacement.

    The data stay one tensor on one device, and a batch is one indexing of it: for small models a
    DataLoader, which collects a batch row by row, takes longer than the step that follows.
    """
    rows = torch.randint(len(data), (count,), generator=generator, device=generator.device)
    return data[rows.to(data.device)]


def standard_normal(
    shape: Sequence[int], generator: torch.Generator, like: torch.Tensor
) -> torch.Tensor:
    """Independent draws from N(0, 1) of this shape, with the dtype and device of `like`."""
    noise = torch.randn(
        tuple(shape), generator=generator, device=generator.device, dtype=like.dtype
    )
    return noise.to(like.device)


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Modules made in this block start from `generator`, not from torch's global generator.

    Layers draw their first weights from torch's global CPU generator and can't be given another.
    Here it is seeded with a number drawn from `generator`, and put back at the end:

        with seeded(torch.Generator().manual_seed(0)):
            model = VAE(64, 128, 8)
    """
    seed = torch.randint(2**63 - 1, (), generator=generator, device=generator.device)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(seed))
        yield
