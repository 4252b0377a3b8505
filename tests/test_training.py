"""What training loops share: draws that come from the given generator alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn
from torch.testing import assert_close

from gradus.training import random_rows, seeded, standard_normal
from tests import promises

seeds = st.integers(0, 2**63 - 1)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(n=st.integers(1, 9), count=st.integers(1, 20), seed=seeds)
def test_random_rows_are_rows_and_come_with_everything_in_them(
    n: int, count: int, seed: int
) -> None:
    data = torch.arange(n * 6).reshape(n, 2, 3)
    rows = random_rows(data, count, generator(seed))
    assert rows.shape == (count, 2, 3)
    which = rows[:, 0, 0] // 6
    assert_close(rows, data[which])


def test_random_rows_are_drawn_uniformly_and_with_replacement() -> None:
    rows = random_rows(torch.arange(10), 20_000, generator(0))
    assert stats.chisquare(rows.bincount(minlength=10)).pvalue > 0.001


def test_random_rows_are_copies() -> None:
    data = torch.zeros(3, 2)
    random_rows(data, 5, generator(0)).fill_(1)
    assert (data == 0).all()


@given(seed=seeds)
def test_the_same_generator_state_gives_the_same_draws_and_the_next_state_others(seed: int) -> None:
    data, g = torch.arange(1000), generator(seed)
    first, second = (random_rows(data, 20, g) for _ in range(2))
    assert_close(random_rows(data, 20, generator(seed)), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_is_drawn_follows_dtype_and_device_of_the_data(
    dtype: torch.dtype, device: str
) -> None:
    like = torch.zeros(7, 3, dtype=dtype, device=device)
    for drawn in (
        random_rows(like, 4, generator(0)),
        standard_normal((4, 3), generator(0), like),
    ):
        assert (drawn.dtype, drawn.device.type, drawn.shape) == (dtype, device, (4, 3))


def test_standard_normal_is_standard_normal() -> None:
    noise = standard_normal((100, 200), generator(0), like=torch.zeros(1, dtype=torch.float64))
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 0.001
    assert noise.unique().numel() == noise.numel()


def test_no_draw_reads_or_moves_the_global_generator() -> None:
    data = torch.zeros(5, 2)
    for draw in (
        lambda: random_rows(data, 3, generator(0)),
        lambda: standard_normal((3,), generator(0), data),
        lambda: make(generator(0)),
    ):
        promises.leaves_the_global_generator_alone(draw)


def make(g: torch.Generator) -> torch.Tensor:
    with seeded(g):
        return nn.Linear(3, 4).weight.detach()


@given(seed=seeds)
def test_a_module_made_in_the_block_starts_from_the_generator_alone(seed: int) -> None:
    g = generator(seed)
    torch.manual_seed(1)
    first, second = make(g), make(g)
    torch.manual_seed(2)
    assert_close(make(generator(seed)), first, rtol=0, atol=0)
    assert not torch.equal(first, second)
    assert first.std() > 0


def test_the_global_generator_is_put_back_after_an_error_too() -> None:
    def fail() -> None:
        with pytest.raises(ZeroDivisionError), seeded(generator(0)):
            _ = torch.rand(3).sum() / (1 // 0)

    promises.leaves_the_global_generator_alone(fail)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_generator_of_either_device_serves_data_on_either() -> None:
    data = torch.arange(100.0)[:, None]
    there = data.cuda()
    assert_close(random_rows(there, 9, generator(3)).cpu(), random_rows(data, 9, generator(3)))
    on_gpu = torch.Generator("cuda").manual_seed(3)
    state = torch.cuda.get_rng_state()
    for like in (data, there):
        assert random_rows(like, 9, on_gpu).device == like.device
        assert standard_normal((4,), on_gpu, like).device == like.device
        make(on_gpu)
    assert torch.equal(torch.cuda.get_rng_state(), state)
