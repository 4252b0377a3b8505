"""The reference for assignment 02 against torch's own operations, closed forms and laws."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from gradus import convolution
from gradus.convolution import (
    conv2d,
    conv_output_size,
    conv_transpose2d,
    conv_transpose_output_size,
    max_pool2d,
    max_unpool2d,
    pixel_shuffle,
    receptive_field,
    same_padding,
    upsample_nearest,
    zero_pad2d,
)

small = st.integers(1, 4)
seeds = st.integers(0, 2**32 - 1)


def normal(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def distinct(seed: int, *shape: int) -> torch.Tensor:
    """Values of both signs, no two alike: a maximum without ties."""
    count = math.prod(shape)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return (order - count // 2).double().reshape(shape)


# Sizes


@given(
    n=st.integers(1, 20),
    kernel_size=st.integers(1, 6),
    stride=st.integers(1, 5),
    padding=st.integers(0, 4),
    dilation=small,
)
@example(n=1, kernel_size=1, stride=3, padding=0, dilation=4)
@example(n=3, kernel_size=2, stride=1, padding=0, dilation=3)  # one too wide
def test_conv_output_size_is_that_of_the_real_convolution(
    n: int, kernel_size: int, stride: int, padding: int, dilation: int
) -> None:
    x = torch.empty(1, 1, n, device="meta")
    kernel = torch.empty(1, 1, kernel_size, device="meta")
    try:
        expected = F.conv1d(x, kernel, None, stride, padding, dilation).shape[2]
    except RuntimeError:
        with pytest.raises(ValueError, match="does not fit"):
            conv_output_size(n, kernel_size, stride, padding, dilation)
    else:
        assert conv_output_size(n, kernel_size, stride, padding, dilation) == expected


@pytest.mark.parametrize(
    "wrong",
    [{"n": 0}, {"kernel_size": 0}, {"stride": 0}, {"padding": -1}, {"dilation": 0}, {"n": -3}],
)
def test_conv_output_size_names_an_argument_that_is_out_of_range(wrong: dict[str, int]) -> None:
    right = {"n": 9, "kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2}
    (name, value) = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=f"{name}={value}"):
        conv_output_size(**(right | wrong))


def test_conv_output_size_is_exact_where_floats_are_not() -> None:
    assert conv_output_size(2**60 + 1, 1, 2) == 2**59 + 1


@given(
    n=st.integers(1, 30), kernel_size=st.integers(1, 7), stride=st.integers(1, 9), dilation=small
)
@example(n=5, kernel_size=1, stride=4, dilation=1)  # the kernel is narrower than the stride
def test_same_padding_is_the_least_that_gives_the_ceiling(
    n: int, kernel_size: int, stride: int, dilation: int
) -> None:
    span = dilation * (kernel_size - 1) + 1
    wanted = math.ceil(n / stride)
    # Counts the kernel's positions one by one.
    least = next(
        total for total in range(100) if len(range(0, n + total - span + 1, stride)) == wanted
    )
    before, after = same_padding(n, kernel_size, stride, dilation)
    assert before + after == least
    assert after - before in (0, 1)


@given(
    n=st.integers(1, 12),
    kernel_size=st.integers(1, 5),
    stride=st.integers(1, 4),
    padding=st.integers(0, 3),
    dilation=small,
    output_padding=st.integers(0, 3),
)
def test_conv_transpose_output_size_is_that_of_the_real_one_and_is_undone_by_conv_output_size(
    n: int, kernel_size: int, stride: int, padding: int, dilation: int, output_padding: int
) -> None:
    assume(output_padding < stride)
    size = conv_transpose_output_size(n, kernel_size, stride, padding, output_padding, dilation)
    assume(size >= 1)
    x = torch.empty(1, 1, n, device="meta")
    kernel = torch.empty(1, 1, kernel_size, device="meta")
    real = F.conv_transpose1d(x, kernel, None, stride, padding, output_padding, 1, dilation)
    assert size == real.shape[2]
    assert conv_output_size(size, kernel_size, stride, padding, dilation) == n


@given(st.lists(st.tuples(small, small, st.integers(1, 3)), max_size=3))
@example([(1, 4, 1), (2, 3, 1)])  # stride beyond the kernel: holes
@example([(3, 2, 1), (5, 1, 1)])
@example([(5, 1, 1), (3, 2, 1)])
def test_receptive_field_spans_the_inputs_that_move_one_output(
    layers: list[tuple[int, int, int]],
) -> None:
    x = torch.zeros(1, 1, 200, dtype=torch.float64, requires_grad=True)
    out = x
    for kernel_size, stride, dilation in layers:
        ones = torch.ones(1, 1, kernel_size, dtype=torch.float64)
        out = F.conv1d(out, ones, stride=stride, dilation=dilation)
    (grad,) = torch.autograd.grad(out[0, 0, 0], x)
    seen = grad[0, 0].nonzero()
    assert receptive_field(layers) == int(seen.max() - seen.min()) + 1


def test_receptive_field_of_no_layers_is_the_pixel_itself() -> None:
    assert receptive_field([]) == 1


# Padding and convolution


@given(
    shape=st.tuples(small, small, small, small),
    padding=st.tuples(*[st.integers(0, 3)] * 4),
    seed=seeds,
)
def test_zero_pad2d_agrees_with_torch(
    shape: tuple[int, ...], padding: tuple[int, int, int, int], seed: int
) -> None:
    x = normal(seed, *shape)
    assert_close(zero_pad2d(x, padding), F.pad(x, padding), rtol=0, atol=0)


LECTURE = torch.tensor(
    [[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 2, 5, 2, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]],
    dtype=torch.float64,
)


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (0, [[8, 5, 4], [5, 9, 5], [4, 5, 8]]),
        (
            1,
            [[3, 3, 3, 2, 1], [3, 8, 5, 4, 2], [3, 5, 9, 5, 3], [2, 4, 5, 8, 3], [1, 2, 3, 3, 3]],
        ),
    ],
)
def test_conv2d_gives_the_lectures_example(padding: int, expected: list[list[int]]) -> None:
    kernel = torch.eye(3, dtype=torch.float64)
    out = conv2d(LECTURE[None, None], kernel[None, None], padding=padding)
    assert out[0, 0].tolist() == expected


def either(elements: st.SearchStrategy[int]) -> st.SearchStrategy[Any]:
    """An int, or a pair (height, width) as a tuple or a list."""
    return elements | st.tuples(elements, elements) | st.lists(elements, min_size=2, max_size=2)


def grads(out: torch.Tensor, inputs: list[torch.Tensor], seed: int) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad((out * normal(seed, *out.shape)).sum(), inputs)


@given(
    b=st.integers(1, 3),
    i=small,
    o=small,
    h=st.integers(1, 8),
    w=st.integers(1, 8),
    kh=small,
    kw=small,
    with_bias=st.booleans(),
    stride=either(st.integers(1, 3)),
    padding=either(st.integers(0, 2)),
    dilation=either(st.integers(1, 2)),
    seed=seeds,
)
@example(2, 3, 4, 8, 7, 3, 2, True, (2, 3), [1, 0], (2, 1), 0)
def test_conv2d_and_its_gradients_agree_with_torch(
    b: int, i: int, o: int, h: int, w: int, kh: int, kw: int,
    with_bias: bool, stride: Any, padding: Any, dilation: Any, seed: int,
) -> None:  # fmt: skip
    x, weight = normal(seed, b, i, h, w), normal(seed + 1, o, i, kh, kw)
    bias = normal(seed + 2, o) if with_bias else None
    inputs = [t.requires_grad_() for t in (x, weight, bias) if t is not None]
    try:
        expected = F.conv2d(x, weight, bias, stride, padding, dilation)
    except RuntimeError:
        assume(False)  # the kernel does not fit
    out = conv2d(x, weight, bias, stride, padding, dilation)
    assert_close(out, expected)
    assert_close(grads(out, inputs, seed), grads(expected, inputs, seed))


@given(
    b=st.integers(1, 3),
    i=small,
    o=small,
    h=st.integers(1, 5),
    w=st.integers(1, 5),
    kh=small,
    kw=small,
    with_bias=st.booleans(),
    stride=either(st.integers(1, 3)),
    padding=either(st.integers(0, 2)),
    output_padding=either(st.integers(0, 2)),
    seed=seeds,
)
@example(2, 3, 4, 3, 2, 4, 3, True, (2, 3), (1, 0), [1, 2], 0)
def test_conv_transpose2d_and_its_gradients_agree_with_torch(
    b: int, i: int, o: int, h: int, w: int, kh: int, kw: int,
    with_bias: bool, stride: Any, padding: Any, output_padding: Any, seed: int,
) -> None:  # fmt: skip
    x, weight = normal(seed, b, i, h, w), normal(seed + 1, i, o, kh, kw)
    bias = normal(seed + 2, o) if with_bias else None
    inputs = [t.requires_grad_() for t in (x, weight, bias) if t is not None]
    try:
        expected = F.conv_transpose2d(x, weight, bias, stride, padding, output_padding)
    except RuntimeError:
        assume(False)  # no output left, or more output padding than stride
    out = conv_transpose2d(x, weight, bias, stride, padding, output_padding)
    assert_close(out, expected)
    assert_close(grads(out, inputs, seed), grads(expected, inputs, seed))


@given(
    h=st.integers(3, 9),
    w=st.integers(3, 9),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    seed=seeds,
)
def test_conv_transpose2d_is_the_adjoint_of_conv2d(
    h: int,
    w: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    seed: int,
) -> None:
    x, weight = normal(seed, 2, 3, h, w), normal(seed + 1, 4, 3, *kernel)
    forward = conv2d(x, weight, stride=stride, padding=padding)
    y = normal(seed + 2, *forward.shape)
    # What the stride left over at the far edge, output_padding gives back.
    rest = (
        (h + 2 * padding[0] - kernel[0]) % stride[0],
        (w + 2 * padding[1] - kernel[1]) % stride[1],
    )
    back = conv_transpose2d(y, weight, stride=stride, padding=padding, output_padding=rest)
    assert back.shape == x.shape
    assert_close((forward * y).sum(), (x * back).sum())


# Pooling


@given(b=small, c=small, rows=small, columns=small, kernel_size=small, seed=seeds)
def test_max_pool2d_and_its_gradient_agree_with_torch(
    b: int, c: int, rows: int, columns: int, kernel_size: int, seed: int
) -> None:
    x = distinct(seed, b, c, rows * kernel_size, columns * kernel_size).requires_grad_()
    values, indices = max_pool2d(x, kernel_size)
    expected, places = F.max_pool2d(x, kernel_size, return_indices=True)
    assert_close((values, indices), (expected, places), rtol=0, atol=0)
    assert_close(grads(values, [x], seed), grads(expected, [x], seed))


@given(b=small, c=small, rows=small, columns=small, kernel_size=small, seed=seeds)
def test_max_unpool2d_and_its_gradient_agree_with_torch(
    b: int, c: int, rows: int, columns: int, kernel_size: int, seed: int
) -> None:
    x = distinct(seed, b, c, rows * kernel_size, columns * kernel_size)
    values, indices = F.max_pool2d(x, kernel_size, return_indices=True)
    values.requires_grad_()
    out = max_unpool2d(values, indices, kernel_size)
    expected = F.max_unpool2d(values, indices, kernel_size)
    assert_close(out, expected, rtol=0, atol=0)
    assert_close(grads(out, [values], seed), grads(expected, [values], seed))


@given(
    st.lists(st.integers(-1, 1), min_size=24, max_size=24),
)
@example([-1] * 24)
def test_max_pool2d_points_at_a_maximum_of_the_right_tile_where_values_tie(
    pixels: list[int],
) -> None:
    x = torch.tensor(pixels, dtype=torch.float64).reshape(1, 1, 4, 6)
    values, indices = max_pool2d(x, 2)
    assert_close(x.flatten(2).gather(2, indices.flatten(2)), values.flatten(2), rtol=0, atol=0)
    assert ((indices // 6) // 2 == torch.arange(2)[:, None]).all()
    assert ((indices % 6) // 2 == torch.arange(3)).all()


@given(seed=seeds, kernel_size=small)
def test_pooling_what_was_unpooled_gives_values_from_zero_up_back(
    seed: int, kernel_size: int
) -> None:
    x = distinct(seed, 2, 3, 2 * kernel_size, 3 * kernel_size).abs()
    values, indices = max_pool2d(x, kernel_size)
    again, _ = max_pool2d(max_unpool2d(values, indices, kernel_size), kernel_size)
    assert_close(again, values, rtol=0, atol=0)


# Upsampling


@given(b=small, c=small, h=small, w=small, r=small, seed=seeds)
def test_pixel_shuffle_agrees_with_torch(b: int, c: int, h: int, w: int, r: int, seed: int) -> None:
    x = normal(seed, b, c * r * r, h, w)
    assert_close(pixel_shuffle(x, r), F.pixel_shuffle(x, r), rtol=0, atol=0)


@given(b=small, c=small, h=small, w=small, scale=small, seed=seeds)
def test_upsample_nearest_agrees_with_torch(
    b: int, c: int, h: int, w: int, scale: int, seed: int
) -> None:
    x = normal(seed, b, c, h, w)
    expected = F.interpolate(x, scale_factor=scale, mode="nearest")
    assert_close(upsample_nearest(x, scale), expected, rtol=0, atol=0)


# What every function promises

PLACES = torch.tensor([[0, 3], [13, 22]])

# Each function of tensors with the shapes of its floating-point arguments.
CALLS: dict[str, tuple[Callable[..., torch.Tensor], list[tuple[int, ...]]]] = {
    "zero_pad2d": (lambda x: zero_pad2d(x, (1, 0, 2, 3)), [(2, 3, 4, 5)]),
    "conv2d": (
        lambda x, weight, bias: conv2d(x, weight, bias, (2, 1), (1, 2), (1, 2)),
        [(2, 3, 4, 5), (2, 3, 3, 2), (2,)],
    ),
    "conv_transpose2d": (
        lambda x, weight, bias: conv_transpose2d(x, weight, bias, (3, 2), (1, 0), (2, 1)),
        [(2, 3, 2, 3), (3, 2, 3, 2), (2,)],
    ),
    "max_pool2d": (lambda x: max_pool2d(x, 2)[0], [(2, 3, 4, 6)]),
    "max_unpool2d": (
        lambda values: max_unpool2d(values, PLACES.to(values.device).expand(values.shape), 3),
        [(2, 3, 2, 2)],
    ),
    "pixel_shuffle": (lambda x: pixel_shuffle(x, 2), [(2, 8, 2, 3)]),
    "upsample_nearest": (lambda x: upsample_nearest(x, 3), [(2, 3, 2, 3)]),
}

every_function = pytest.mark.parametrize(("function", "shapes"), CALLS.values(), ids=CALLS.keys())


def arguments(shapes: list[tuple[int, ...]]) -> list[torch.Tensor]:
    return [distinct(seed, *shape) / 7 for seed, shape in enumerate(shapes)]


@every_function
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_output_follows_the_inputs_dtype_and_device(
    function: Callable[..., torch.Tensor],
    shapes: list[tuple[int, ...]],
    dtype: torch.dtype,
    device: str,
) -> None:
    inputs = [t.to(device, dtype).requires_grad_() for t in arguments(shapes)]
    out = function(*inputs)
    out.sum().backward()
    for tensor in [out, *(t.grad for t in inputs)]:
        assert tensor is not None
        assert (tensor.dtype, tensor.device.type) == (dtype, device)
    assert out.shape == function(*arguments(shapes)).shape


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_indices_of_a_maximum_are_int64_where_the_input_is(device: str) -> None:
    _, indices = max_pool2d(torch.zeros(1, 2, 4, 6, device=device), 2)
    assert (indices.dtype, indices.device.type) == (torch.int64, device)


@every_function
def test_inputs_may_be_strided_and_stay_as_they_were(
    function: Callable[..., torch.Tensor], shapes: list[tuple[int, ...]]
) -> None:
    inputs = arguments(shapes)
    # Every other element of a tensor twice as long, its axes in the opposite order.
    strided = [
        t.repeat_interleave(2, dim=0).mT.contiguous().mT[::2] if t.ndim > 1 else t for t in inputs
    ]
    before = [t.clone() for t in strided]
    assert not strided[0].is_contiguous()
    assert_close(function(*strided), function(*inputs))
    assert_close(strided, before, rtol=0, atol=0)


@every_function
def test_a_batch_is_treated_row_by_row(
    function: Callable[..., torch.Tensor], shapes: list[tuple[int, ...]]
) -> None:
    x, *rest = arguments(shapes)
    rows = [function(row[None], *rest) for row in x]
    assert_close(torch.cat(rows), function(x, *rest))


@every_function
def test_gradients_are_those_of_finite_differences(
    function: Callable[..., torch.Tensor], shapes: list[tuple[int, ...]]
) -> None:
    inputs = [t.requires_grad_() for t in arguments(shapes)]
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


class Recorder(TorchDispatchMode):
    """Notes the name of every operation that runs, those of the backward pass too."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


def built_ins(function: Callable[..., torch.Tensor], inputs: list[torch.Tensor]) -> set[str]:
    with Recorder() as recorder:
        function(*inputs).sum().backward()
    forbidden = ("conv", "pool", "pixel_shuffle", "upsample")
    return {name for name in recorder.names if any(word in name for word in forbidden)}


@every_function
def test_no_built_in_of_its_kind_runs(
    function: Callable[..., torch.Tensor], shapes: list[tuple[int, ...]]
) -> None:
    inputs = [t.requires_grad_() for t in arguments(shapes)]
    assert built_ins(function, inputs) == set()


@pytest.mark.parametrize(
    "built_in",
    [
        lambda x: F.conv2d(x, x[:1]),
        lambda x: F.conv_transpose2d(x, x[:, :1]),
        lambda x: F.max_pool2d(x, 2),
        lambda x: F.pixel_shuffle(x, 2),
        lambda x: F.interpolate(x, scale_factor=2),
    ],
)
def test_the_recorder_would_see_a_built_in(
    built_in: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    assert built_ins(built_in, [normal(0, 4, 4, 4, 4).requires_grad_()])


def test_each_function_can_be_copied_into_a_notebook_that_holds_the_earlier_ones() -> None:
    functions = [
        f for _, f in inspect.getmembers(convolution, inspect.isfunction)
        if f.__module__ == convolution.__name__
    ]  # fmt: skip
    functions.sort(key=lambda f: f.__code__.co_firstlineno)
    known = {"torch", "math"}
    for function in functions:
        exec(inspect.getsource(function), {"torch": torch, "math": math})
        variables = inspect.getclosurevars(function)
        assert set(variables.globals) <= known, function.__name__
        assert not variables.unbound & set(vars(convolution)) - known, function.__name__
        known.add(function.__name__)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@every_function
def test_the_gpu_agrees_with_the_cpu(
    function: Callable[..., torch.Tensor], shapes: list[tuple[int, ...]]
) -> None:
    inputs = arguments(shapes)
    out = function(*(t.cuda() for t in inputs))
    assert out.device.type == "cuda"
    assert_close(out.cpu(), function(*inputs))
