"""Hypothesis strategies for the field: sizes, tensors, and what makes their failures readable.

Tensors are drawn as a seed, not element by element: that is fast, and seed 0, to which a failure
shrinks, counts 1, 2, 3, ..., which a student can follow by hand.
"""

from __future__ import annotations

import torch
from hypothesis import strategies as st

SIZES = st.integers(1, 5)
FLOATS = st.sampled_from((torch.float32, torch.float64))


def sizes(low: int = 1, high: int = 5) -> st.SearchStrategy[int]:
    """An integer from low to high, small ones first."""
    return st.integers(low, high)


def pairs(low: int, high: int) -> st.SearchStrategy[int | tuple[int, int]]:
    """An option of a two-dimensional operation: an int, or a pair (height, width) of them."""
    return st.integers(low, high) | st.tuples(st.integers(low, high), st.integers(low, high))


def filled(
    shape: tuple[int, ...],
    seed: int,
    low: int = -9,
    high: int = 9,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """A tensor of whole numbers from low to high: for seed 0 the row 1, 2, 3, ... (wrapped at
    `high`), for others random. Whole numbers keep sums exact and counterexamples readable."""
    if seed == 0:
        start = max(low, 1)
        count = torch.arange(torch.Size(shape).numel())
        return (start + count % (high - start + 1)).reshape(shape).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high + 1, shape, generator=generator).to(dtype)


@st.composite
def tensors(
    draw: st.DrawFn,
    shape: str | tuple[int, ...] | st.SearchStrategy[tuple[int, ...]],
    *,
    low: int = -9,
    high: int = 9,
    dtype: torch.dtype | st.SearchStrategy[torch.dtype] = torch.float32,
) -> torch.Tensor:
    """A tensor with whole-number values from low to high.

    `shape` is a tuple, a strategy of tuples, or dimensions by name ("b c h w"), each drawn
    from 1 to 5. `dtype` may be a strategy too.
    """
    if isinstance(shape, str):
        dimensions = tuple(draw(SIZES) for _ in shape.split())
    else:
        dimensions = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    kind = draw(dtype) if isinstance(dtype, st.SearchStrategy) else dtype
    return filled(dimensions, draw(st.integers(0, 2**16)), low, high, kind)


def strided(x: torch.Tensor) -> torch.Tensor:
    """The same values in a non-contiguous layout: cut out of a wider tensor.

    Not with two dimensions stored swapped: torch.kron itself fails there.
    """
    return torch.nn.functional.pad(x, (0, 1))[..., :-1]
