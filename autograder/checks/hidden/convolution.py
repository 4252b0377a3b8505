"""The hidden checks of 02-convolution: oracles, gradients, edges, and the quiz's answers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from autograder.check import (
    Failure,
    check,
    example,
    expect,
    expect_close,
    expect_equal,
    expect_raises,
    expect_shape,
    given,
)
from autograder.checks.hidden.laws import (
    DTYPE,
    GRAPH,
    LAYOUT,
    Oracle,
    expect_answer,
    expect_dtype_and_device,
    expect_gradients,
    expect_inputs_kept,
    in_both_dtypes,
    values_and_gradients,
)
from autograder.checks.public.convolution import (
    DOUBLE,
    PADDINGS,
    QUESTIONS,
    SAME,
    Call,
    Layers,
    as_pair,
    distinct,
    doubles,
    image,
    image_like,
    pooled,
    poolings,
    positions,
    shuffles,
    transposed_axes,
    without_defaults,
)
from autograder.strategies import filled, pairs, sizes, tensors
from gradus import convolution

QUIZ = {"zero_padding": "A", "dilation": "A", "stride": "B"}


def reference() -> dict[str, Any]:
    """A right solution: every name that the exercises ask for."""
    functions = (
        convolution.conv_output_size,
        convolution.same_padding,
        convolution.zero_pad2d,
        convolution.conv2d,
        convolution.receptive_field,
        convolution.conv_transpose_output_size,
        convolution.conv_transpose2d,
        convolution.max_pool2d,
        convolution.max_unpool2d,
        convolution.pixel_shuffle,
        convolution.upsample_nearest,
    )
    return {**{function.__name__: function for function in functions}, "quiz": QUIZ}


# --- conv_output_size ----------------------------------------------------------------------------


@check(
    "conv_output_size",
    points=2,
    oracle=positions,
    cases=40,
    hint="floor means: a position counts only where the whole kernel lies on the padded axis.",
)
@example(n=10, kernel_size=4, stride=3, padding=2, dilation=3)
@example(n=1, kernel_size=1, stride=3, padding=0, dilation=4)
@given(
    n=sizes(1, 20),
    kernel_size=sizes(1, 6),
    stride=sizes(1, 5),
    padding=sizes(0, 4),
    dilation=sizes(1, 4),
)
def agrees_for_small_axes(student, n, kernel_size, stride, padding, dilation, expected):
    """Equals the size of torch's own convolution, or raises ValueError where there is none."""
    if expected:
        size = student.conv_output_size(n, kernel_size, stride, padding, dilation)
        expect_equal(size, expected)
        return
    with expect_raises(ValueError, "the kernel does not fit"):
        student.conv_output_size(n, kernel_size, stride, padding, dilation)


@check("conv_output_size", points=2, hint="Look at every argument before you compute.")
@example(arguments={"n": 5, "kernel_size": 3, "stride": 0})
@example(arguments={"n": 5, "kernel_size": 3, "stride": -1})
@example(arguments={"n": 5, "kernel_size": 0})
@example(arguments={"n": 5, "kernel_size": 3, "dilation": 0})
@example(arguments={"n": 5, "kernel_size": 2, "dilation": -1})
@example(arguments={"n": 5, "kernel_size": 3, "padding": -1})
@example(arguments={"n": 0, "kernel_size": 1})
@example(arguments={"n": -3, "kernel_size": 1})
@example(arguments={"n": 0, "kernel_size": 1, "padding": 2})
def refuses_arguments_out_of_range(student, arguments):
    """Raises ValueError where a size, the stride or the dilation is below 1, or the padding below
    0."""
    with expect_raises(ValueError, "an argument is out of range"):
        student.conv_output_size(**arguments)


@check("conv_output_size", points=1, hint="A kernel as wide as the padded axis has one position.")
@example(arguments=(7, 7))
@example(arguments=(5, 3, 4, 0, 2))
@example(arguments=(1, 5, 1, 2))
@example(arguments=(3, 3, 2, 2, 3))
def gives_one_where_the_kernel_just_fits(student, arguments):
    """A kernel that just fits has one position; one step wider is a ValueError."""
    expect_equal(student.conv_output_size(*arguments), 1)
    n, kernel_size, *rest = arguments
    with expect_raises(ValueError, "the kernel does not fit"):
        student.conv_output_size(n, kernel_size + 1, *rest)


# --- same_padding --------------------------------------------------------------------------------


def smallest_padding(n: int, kernel_size: int, stride: int, dilation: int) -> tuple[int, int]:
    """By trial: no zeros, one, two, ..., until the output is as long as it should be."""
    wanted = len(range(0, n, stride))
    total = next(t for t in count() if positions(n + t, kernel_size, stride, 0, dilation) == wanted)
    return total // 2, total - total // 2


@check(
    "same_padding",
    points=3,
    oracle=smallest_padding,
    cases=30,
    hint="Where n is a multiple of the stride, and where it is not, the remainder matters.",
)
@example(n=6, kernel_size=2, stride=3, dilation=1)
@example(n=9, kernel_size=4, stride=3, dilation=2)
@example(n=8, kernel_size=3, stride=5, dilation=3)
@given(**SAME)
def adds_no_more_than_needed(student, n, kernel_size, stride, dilation, expected):
    """before + after is the smallest number of zeros that will do."""
    expect_equal(student.same_padding(n, kernel_size, stride, dilation), expected)


@check("same_padding", points=1, hint="Long axes, and axes shorter than the kernel or the stride.")
@example(arguments=(1, 7), pair=(3, 3))
@example(arguments=(4, 3), pair=(1, 1))
@example(arguments=(1, 4, 5), pair=(1, 2))
@example(arguments=(3, 3, 7), pair=(0, 0))
@example(arguments=(13, 2, 5), pair=(0, 0))
@example(arguments=(1_000_000, 3, 2), pair=(0, 1))
@example(arguments=(999_999, 5, 1, 3), pair=(6, 6))
def pads_very_short_and_very_long_axes(student, arguments, pair):
    """Is right for axes of size 1 and of a million."""
    expect_equal(student.same_padding(*arguments), pair)


# --- zero_pad2d ----------------------------------------------------------------------------------

PAD: Call = ([doubles((2, 3, 4, 5), 1)], {"padding": (1, 2, 3, 0)})


@check(
    "zero_pad2d",
    points=1,
    oracle=lambda x, padding: values_and_gradients(F.pad)(([x], {"pad": padding})),
    hint=GRAPH,
)
@example(x=PAD[0][0], padding=(1, 2, 3, 0))
@example(x=doubles((1, 2, 2, 3), 2), padding=(0, 0, 0, 0))
@given(x=tensors("b c h w", dtype=DOUBLE), padding=PADDINGS)
def agrees_with_pad(student, x, padding, expected):
    """Agrees with torch.nn.functional.pad, and lets gradients through to x."""
    expect_gradients(student.zero_pad2d, ([x], {"padding": padding}), expected)


@check(
    "zero_pad2d",
    points=1,
    oracle=in_both_dtypes(lambda x, padding: F.pad(x, padding)),
    hint=DTYPE,
)
@example(call=PAD)
def pad_keeps_dtype_and_device(student, call, expected):
    """The result has x's dtype and is on x's device."""
    expect_dtype_and_device(student.zero_pad2d, call, expected)


@check(
    "zero_pad2d",
    points=1,
    oracle=lambda call: F.pad(call[0][0], call[1]["padding"]),
    hint=LAYOUT,
)
@example(call=PAD)
def pad_leaves_its_input_unchanged(student, call, expected):
    """Takes a non-contiguous x, and leaves it as it was."""
    expect_inputs_kept(student.zero_pad2d, call, expected)


# --- conv2d --------------------------------------------------------------------------------------

CONVOLUTION: Call = (
    [
        doubles((2, 3, 5, 7), 1),
        doubles((4, 3, 2, 3), 2),
        doubles((4,), 3),
    ],
    {"stride": (2, 3), "padding": (1, 2), "dilation": (3, 2)},
)
# Small enough that sums in float32 stay near 1.
SMALL_CONVOLUTION: Call = (
    [
        filled((2, 3, 6, 5), 4, -2, 2, dtype=DOUBLE),
        filled((4, 3, 2, 3), 5, -2, 2, dtype=DOUBLE),
        filled((4,), 6, -2, 2, dtype=DOUBLE),
    ],
    {"stride": (1, 2), "padding": (1, 0)},
)


@st.composite
def convolutions(draw: st.DrawFn) -> Call:
    """([x, weight] or [x, weight, bias], options) of a convolution whose kernel fits."""
    b, i, o = draw(sizes(1, 3)), draw(sizes(1, 3)), draw(sizes(1, 3))
    kernel_size = draw(sizes(1, 3)), draw(sizes(1, 3))
    stride, padding, dilation = draw(pairs(1, 3)), draw(pairs(0, 2)), draw(pairs(1, 2))
    h, w = (
        max(1, d * (k - 1) + 1 - 2 * p) + draw(sizes(0, 4))
        for k, p, d in zip(kernel_size, as_pair(padding), as_pair(dilation), strict=True)
    )
    arguments = [
        draw(tensors((b, i, h, w), dtype=DOUBLE)),
        draw(tensors((o, i, *kernel_size), dtype=DOUBLE)),
    ]
    if draw(st.booleans()):
        arguments.append(draw(tensors((o,), dtype=DOUBLE)))
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    return arguments, without_defaults(options, {"stride": 1, "padding": 0, "dilation": 1})


def oracle_of(function: Oracle) -> Callable[[Call], torch.Tensor]:
    """A check's oracle: the function's answer to a call."""
    return lambda call: function(*call[0], **call[1])


@check(
    "conv2d",
    points=4,
    oracle=oracle_of(F.conv2d),
    hint="If the public checks pass, look at what two options do together.",
)
@example(call=CONVOLUTION)
@example(call=(CONVOLUTION[0][:2], {"stride": (3, 2), "padding": (2, 0), "dilation": (2, 1)}))
@example(call=(CONVOLUTION[0], {"stride": 2, "padding": 1, "dilation": 2}))
@given(call=convolutions())
def agrees_with_conv2d(student, call, expected):
    """Agrees with torch's own conv2d for all options together."""
    arguments, options = call
    expect_close(student.conv2d(*arguments, **options), expected)


@check(
    "conv2d",
    points=3,
    oracle=values_and_gradients(F.conv2d),
    cases=6,
    hint=GRAPH,
)
@example(call=CONVOLUTION)
@given(call=convolutions())
def conv2d_has_the_right_gradients(student, call, expected):
    """The gradients to x, weight and bias agree with torch's own."""
    expect_gradients(student.conv2d, call, expected)


@check(
    "conv2d",
    points=1,
    oracle=in_both_dtypes(F.conv2d),
    hint=DTYPE,
)
@example(call=SMALL_CONVOLUTION)
@example(call=(SMALL_CONVOLUTION[0][:2], {}))
def conv2d_keeps_dtype_and_device(student, call, expected):
    """The result has the inputs' dtype and is on their device."""
    expect_dtype_and_device(student.conv2d, call, expected)


@check(
    "conv2d",
    points=1,
    oracle=oracle_of(F.conv2d),
    hint=LAYOUT,
)
@example(call=CONVOLUTION)
@example(call=SMALL_CONVOLUTION)
@example(call=(SMALL_CONVOLUTION[0], {}))
def conv2d_leaves_its_inputs_unchanged(student, call, expected):
    """Takes non-contiguous inputs, and leaves x, weight and bias as they were."""
    expect_inputs_kept(student.conv2d, call, expected)


@check(
    "conv2d",
    points=1,
    oracle=lambda arguments: F.conv2d(*arguments),
    hint="One pixel, a kernel as large as the image, a border wider than the kernel.",
)
@example(arguments=(filled((1, 1, 1, 1), 1), filled((1, 1, 1, 1), 2), None, 1, 0, 1))
@example(arguments=(filled((1, 2, 4, 3), 1), filled((3, 2, 4, 3), 2), None, 2, 0, 1))
@example(arguments=(filled((1, 2, 1, 5), 1), filled((1, 2, 3, 1), 2), filled((1,), 3), 3, 2, 2))
@example(arguments=(filled((3, 1, 2, 3), 1), filled((2, 1, 1, 1), 2), None, 1, (1, 3), (2, 4)))
@example(arguments=(filled((1, 5, 3, 4), 1), filled((1, 5, 2, 2), 2), None, 7, (0, 1), 1))
@example(arguments=(image((2**25 + 1, 2**25, -3), dtype=DOUBLE), image((1, -1), dtype=DOUBLE)))
def conv2d_is_right_at_the_edges(student, arguments, expected):
    """Is right for one pixel, for kernels as large as the image, for wide borders and strides,
    and for numbers that need all digits of float64."""
    doubled = [x.double() if isinstance(x, torch.Tensor) else x for x in arguments]
    expect_close(student.conv2d(*doubled), expected.double())


# --- receptive_field -----------------------------------------------------------------------------


def seen(layers: Layers) -> int:
    """By trial: the positions that output 0 sees, layer by layer back to the input."""
    reached = {0}
    for kernel_size, stride, dilation in reversed(layers):
        reached = {y * stride + u * dilation for y in reached for u in range(kernel_size)}
    return max(reached) - min(reached) + 1


@check(
    "receptive_field",
    points=3,
    oracle=seen,
    cases=25,
    hint="Mark on paper what one output sees through two layers, the first with stride 2.",
)
@example(layers=[(3, 2, 1), (2, 3, 3), (4, 1, 2)])
@example(layers=[(2, 3, 1), (1, 2, 3), (3, 2, 1)])
@example(layers=[(1, 2, 1), (3, 1, 1)])
@given(
    layers=st.lists(st.tuples(sizes(1, 5), sizes(1, 3), sizes(1, 3)), max_size=4),
)
def agrees_with_tracing_positions(student, layers, expected):
    """Equals what is found by tracing one output back, position by position."""
    expect_equal(student.receptive_field(layers), expected)


@check("receptive_field", points=1, hint="reverse and pop change the caller's list.")
@example(layers=[(3, 2, 1), (5, 1, 2), (2, 3, 1)], size=21)
@example(layers=[(3, 2, 1)] * 20, size=2**21 - 1)
def leaves_the_layers_unchanged(student, layers, size):
    """Leaves the list of layers as it was, and is right for twenty layers."""
    value, after = student.receptive_field.inputs_after(layers)
    expect_equal(value, size)
    if after[0] != layers:
        raise Failure("the call changed the list of layers", after[0], layers)


# --- conv_transpose_output_size ------------------------------------------------------------------


def transposed_positions(axis: tuple[int, int, int, int, int, int]) -> int:
    """How many outputs torch's own transposed convolution has along an axis."""
    n, kernel_size, stride, padding, output_padding, dilation = axis
    y = F.conv_transpose1d(
        torch.zeros(1, 1, n),
        torch.zeros(1, 1, kernel_size),
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
    )
    return y.shape[2]


@check(
    "conv_transpose_output_size",
    points=2,
    oracle=transposed_positions,
    cases=25,
    hint="The first kernel starts at 0, the last one (n − 1) strides further.",
)
@example(axis=(5, 4, 3, 2, 1, 2))
@example(axis=(2, 3, 4, 1, 3, 3))
@given(axis=transposed_axes())
def agrees_with_a_real_transposed_convolution(student, axis, expected):
    """Equals the size of what torch's own transposed convolution returns, an int."""
    expect_equal(student.conv_transpose_output_size(*axis), expected)


@check("conv_transpose_output_size", points=1)
@example(options={"n": 1, "kernel_size": 1}, size=1)
@example(options={"n": 1, "kernel_size": 3, "padding": 1}, size=1)
@example(options={"n": 1_000_000, "kernel_size": 4, "stride": 2, "padding": 1}, size=2_000_000)
@example(
    options={"n": 7, "kernel_size": 2, "stride": 5, "output_padding": 4, "dilation": 9}, size=44
)
def sizes_very_short_and_very_long_axes(student, options, size):
    """Is right for axes of size 1 and of a million, and with its arguments by name."""
    expect_equal(student.conv_transpose_output_size(**options), size)


# --- conv_transpose2d ----------------------------------------------------------------------------

TRANSPOSED: Call = (
    [
        doubles((2, 3, 3, 4), 1),
        doubles((3, 2, 4, 3), 2),
        doubles((2,), 3),
    ],
    {"stride": (2, 3), "padding": (0, 1), "output_padding": (1, 2)},
)
SMALL_TRANSPOSED: Call = (
    [
        filled((2, 3, 3, 4), 4, -2, 2, dtype=DOUBLE),
        filled((3, 2, 3, 2), 5, -2, 2, dtype=DOUBLE),
        filled((2,), 6, -2, 2, dtype=DOUBLE),
    ],
    {"stride": (1, 2), "padding": (1, 0)},
)


@st.composite
def transposed_convolutions(draw: st.DrawFn) -> Call:
    """([x, weight] or [x, weight, bias], options) of a transposed convolution."""
    b, i, o = draw(sizes(1, 3)), draw(sizes(1, 3)), draw(sizes(1, 3))
    h, w, kh, kw = draw(sizes(1, 4)), draw(sizes(1, 4)), draw(sizes(1, 3)), draw(sizes(1, 3))
    stride = draw(pairs(1, 3))
    down, right = as_pair(stride)
    options = {
        "stride": stride,
        "padding": (draw(sizes(0, (kh - 1) // 2)), draw(sizes(0, (kw - 1) // 2))),
        "output_padding": (draw(sizes(0, down - 1)), draw(sizes(0, right - 1))),
    }
    arguments = [
        draw(tensors((b, i, h, w), dtype=DOUBLE)),
        draw(tensors((i, o, kh, kw), dtype=DOUBLE)),
    ]
    if draw(st.booleans()):
        arguments.append(draw(tensors((o,), dtype=DOUBLE)))
    defaults = {"stride": 1, "padding": (0, 0), "output_padding": (0, 0)}
    return arguments, without_defaults(options, defaults)


@check(
    "conv_transpose2d",
    points=3,
    oracle=oracle_of(F.conv_transpose2d),
    hint="If the public checks pass, look at what two options do together.",
)
@example(call=TRANSPOSED)
@example(call=(TRANSPOSED[0][:2], {"stride": (3, 2), "padding": (1, 0), "output_padding": (2, 1)}))
@example(call=(TRANSPOSED[0], {"stride": 2, "padding": 1, "output_padding": 1}))
@given(call=transposed_convolutions())
def agrees_with_conv_transpose2d(student, call, expected):
    """Agrees with torch's own conv_transpose2d for all options together."""
    arguments, options = call
    expect_close(student.conv_transpose2d(*arguments, **options), expected)


@check(
    "conv_transpose2d",
    points=2,
    oracle=values_and_gradients(F.conv_transpose2d),
    cases=6,
    hint=GRAPH,
)
@example(call=TRANSPOSED)
@given(call=transposed_convolutions())
def conv_transpose2d_has_the_right_gradients(student, call, expected):
    """The gradients to x, weight and bias agree with torch's own."""
    expect_gradients(student.conv_transpose2d, call, expected)


@check(
    "conv_transpose2d",
    points=1,
    oracle=in_both_dtypes(F.conv_transpose2d),
    hint=DTYPE,
)
@example(call=SMALL_TRANSPOSED)
@example(call=(SMALL_TRANSPOSED[0][:2], {}))
def conv_transpose2d_keeps_dtype_and_device(student, call, expected):
    """The result has the inputs' dtype and is on their device."""
    expect_dtype_and_device(student.conv_transpose2d, call, expected)


@check(
    "conv_transpose2d",
    points=1,
    oracle=oracle_of(F.conv_transpose2d),
    hint=LAYOUT,
)
@example(call=TRANSPOSED)
@example(call=SMALL_TRANSPOSED)
@example(call=(SMALL_TRANSPOSED[0], {}))
def conv_transpose2d_leaves_its_inputs_unchanged(student, call, expected):
    """Takes non-contiguous inputs, and leaves x, weight and bias as they were."""
    expect_inputs_kept(student.conv_transpose2d, call, expected)


@check(
    "conv_transpose2d",
    points=1,
    oracle=lambda arguments: F.conv_transpose2d(*arguments),
    hint="Gaps between stamps, and output_padding's rows, hold the bias alone.",
)
@example(arguments=(filled((1, 1, 1, 1), 1), filled((1, 1, 1, 1), 2), None, 1, 0, 0))
@example(arguments=(filled((1, 2, 1, 1), 1), filled((2, 3, 2, 4), 2), filled((3,), 3), 4, 0, 3))
@example(
    arguments=(filled((3, 1, 2, 3), 1), filled((1, 2, 1, 1), 2), filled((2,), 3), 3, 0, (2, 1))
)
@example(arguments=(filled((1, 2, 3, 1), 1), filled((2, 1, 3, 3), 2), None, 1, 1, 0))
@example(arguments=(image((2**25 + 1, -(2**25)), dtype=DOUBLE), image((1, 1), dtype=DOUBLE)))
def conv_transpose2d_is_right_at_the_edges(student, arguments, expected):
    """Is right for one pixel, for strides wider than the kernel, for wide output padding, and for
    numbers that need all digits of float64."""
    doubled = [x.double() if isinstance(x, torch.Tensor) else x for x in arguments]
    expect_close(student.conv_transpose2d(*doubled), expected.double())


# --- max_pool2d, max_unpool2d --------------------------------------------------------------------


def pool(x: torch.Tensor, kernel_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """torch's own pooling."""
    values, indices = F.max_pool2d(x, kernel_size, return_indices=True)
    return values, indices


def scattered(values: torch.Tensor, kernel_size: int, seed: int) -> torch.Tensor:
    """For each value a place in its own tile, drawn at random, as an index into h·w."""
    h, w = values.shape[2:]
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (
        torch.randint(0, kernel_size, tuple(values.shape), generator=generator) for _ in range(2)
    )
    rows += kernel_size * torch.arange(h)[:, None]
    columns += kernel_size * torch.arange(w)
    return rows * (w * kernel_size) + columns


@st.composite
def unpoolings(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, int]:
    """(values, indices, kernel_size) for max_unpool2d."""
    values, k = draw(tensors("b c h w", dtype=DOUBLE)), draw(sizes(1, 3))
    return values, scattered(values, k, draw(st.integers(0, 2**16))), k


UNPOOL_VALUES = filled((2, 3, 2, 4), 1, -9, -1, dtype=DOUBLE)
UNPOOL: Call = ([UNPOOL_VALUES, scattered(UNPOOL_VALUES, 3, 2)], {"kernel_size": 3})
POOL: Call = ([distinct((2, 3, 4, 6), 3)], {"kernel_size": 2})


@check(
    "max_pool2d",
    points=1,
    oracle=lambda call: pool(*call),
    hint="Try an image of negative values that is wider than high.",
)
@example(call=(distinct((2, 3, 6, 4), 1), 2))
@example(call=(distinct((3, 2, 3, 9), 2) - 1000, 3))
@example(call=(distinct((1, 1, 5, 5), 3), 5))
@given(call=poolings())
def agrees_with_max_pool2d(student, call, expected):
    """Agrees with torch's own pooling, values and indices, where no two values are equal."""
    values, indices = pooled(student.max_pool2d(*call), *call)
    expect_close(values, expected[0], "the values")
    expect_close(indices, expected[1], "the indices")


@check(
    "max_pool2d", points=1, hint="Equal values may be told apart as you like, within their tile."
)
@example(call=(filled((2, 2, 4, 6), 1, 0, 1, dtype=DOUBLE), 2))
@example(call=(torch.zeros(1, 2, 3, 6, dtype=DOUBLE), 3))
@given(call=poolings().map(lambda call: (call[0].abs() // 4, call[1])))
def pooling_undoes_unpooling(student, call):
    """Ties or not: each index lies in its tile, and pooling what max_unpool2d makes of values ≥ 0
    gives them back."""
    x, k = call
    w = x.shape[3]
    values, indices = pooled(student.max_pool2d(x, k), x, k)
    rows = indices // w // k == torch.arange(values.shape[2])[:, None]
    columns = indices % w // k == torch.arange(values.shape[3])
    expect(bool((rows & columns).all()), "an index lies outside its tile", indices)
    unpooled = image_like(student.max_unpool2d(values, indices, k), x)
    expect_shape(unpooled, x.shape)
    again, _ = pooled(student.max_pool2d(unpooled, k), x, k)
    expect_close(again, values, "the values after unpooling and pooling again")


@check(
    "max_pool2d",
    points=1,
    oracle=lambda call: F.max_unpool2d(call[0], call[1], call[2]),
    hint="The result is kernel_size times as high and as wide as the values.",
)
@example(call=(*UNPOOL[0], 3))
@given(call=unpoolings())
def agrees_with_max_unpool2d(student, call, expected):
    """max_unpool2d agrees with torch's own, negative values and zeros included."""
    expect_close(student.max_unpool2d(*call), expected)


@check(
    "max_pool2d",
    points=1,
    oracle=lambda pooling, unpooling: (
        values_and_gradients(F.max_pool2d)(pooling),
        values_and_gradients(F.max_unpool2d)(unpooling),
    ),
    hint=GRAPH,
)
@example(pooling=POOL, unpooling=UNPOOL)
def pooling_has_the_right_gradients(student, pooling, unpooling, expected):
    """Gradients flow through max_pool2d to each tile's largest value, and back through
    max_unpool2d."""
    expect_gradients(student.max_pool2d, pooling, expected[0], names=["x"])
    expect_gradients(student.max_unpool2d, unpooling, expected[1], names=["values"])


@check(
    "max_pool2d",
    points=1,
    oracle=lambda pooling, unpooling: (
        in_both_dtypes(pool)(pooling),
        in_both_dtypes(F.max_unpool2d)(unpooling),
    ),
    hint=DTYPE,
)
@example(pooling=POOL, unpooling=UNPOOL)
def pooling_keeps_dtype_and_device(student, pooling, unpooling, expected):
    """Both functions keep the dtype and the device of the values; indices stay int64."""
    expect_dtype_and_device(student.max_pool2d, pooling, expected[0])
    expect_dtype_and_device(student.max_unpool2d, unpooling, expected[1])


@check(
    "max_pool2d",
    points=1,
    oracle=lambda pooling, unpooling: (
        oracle_of(pool)(pooling),  # type: ignore[arg-type]
        oracle_of(F.max_unpool2d)(unpooling),
    ),
    hint=LAYOUT,
)
@example(pooling=POOL, unpooling=UNPOOL)
def pooling_leaves_its_inputs_unchanged(student, pooling, unpooling, expected):
    """Both functions take non-contiguous inputs, and leave them as they were."""
    expect_inputs_kept(student.max_pool2d, pooling, expected[0])
    expect_inputs_kept(student.max_unpool2d, unpooling, expected[1])


# --- pixel_shuffle, upsample_nearest -------------------------------------------------------------


def upsampled(x: torch.Tensor, scale: int) -> torch.Tensor:
    """torch's own upsampling."""
    return F.interpolate(x, scale_factor=scale, mode="nearest")


def shuffled(x: torch.Tensor, r: int) -> torch.Tensor:
    """torch's own pixel shuffle."""
    return F.pixel_shuffle(x, r)


SHUFFLE: Call = ([doubles((2, 8, 2, 3), 1)], {"r": 2})
UPSAMPLE: Call = ([doubles((2, 3, 2, 4), 2)], {"scale": 3})


@check(
    "pixel_shuffle",
    points=1,
    oracle=lambda call: (shuffled(*call), upsampled(*call)),
    hint="Try two output channels, and an image that is wider than high.",
)
@example(call=(doubles((2, 18, 2, 4), 1), 3))
@example(call=(doubles((3, 8, 3, 2), 3), 2))
@example(call=(doubles((1, 2, 1, 3), 4), 1))
@given(call=shuffles())
def agrees_with_pixel_shuffle_and_interpolate(student, call, expected):
    """Both functions agree with torch's own."""
    expect_close(student.pixel_shuffle(*call), expected[0])
    expect_close(student.upsample_nearest(*call), expected[1])


@check(
    "pixel_shuffle",
    points=1,
    oracle=lambda shuffling, upsampling: (
        values_and_gradients(shuffled)(shuffling),
        values_and_gradients(upsampled)(upsampling),
    ),
    hint=GRAPH,
)
@example(shuffling=SHUFFLE, upsampling=UPSAMPLE)
def upsampling_has_the_right_gradients(student, shuffling, upsampling, expected):
    """Gradients flow through both functions to x: in upsampling, the sum over each tile."""
    expect_gradients(student.pixel_shuffle, shuffling, expected[0])
    expect_gradients(student.upsample_nearest, upsampling, expected[1])


@check(
    "pixel_shuffle",
    points=1,
    oracle=lambda shuffling, upsampling: (
        in_both_dtypes(shuffled)(shuffling),
        in_both_dtypes(upsampled)(upsampling),
    ),
    hint=DTYPE,
)
@example(shuffling=SHUFFLE, upsampling=UPSAMPLE)
def upsampling_keeps_dtype_and_device(student, shuffling, upsampling, expected):
    """Both functions keep x's dtype and device."""
    expect_dtype_and_device(student.pixel_shuffle, shuffling, expected[0])
    expect_dtype_and_device(student.upsample_nearest, upsampling, expected[1])


@check(
    "pixel_shuffle",
    points=1,
    oracle=lambda shuffling, upsampling: (
        oracle_of(shuffled)(shuffling),
        oracle_of(upsampled)(upsampling),
    ),
    hint=LAYOUT,
)
@example(shuffling=SHUFFLE, upsampling=UPSAMPLE)
def upsampling_leaves_its_inputs_unchanged(student, shuffling, upsampling, expected):
    """Both functions take a non-contiguous x, and leave it as it was."""
    expect_inputs_kept(student.pixel_shuffle, shuffling, expected[0])
    expect_inputs_kept(student.upsample_nearest, upsampling, expected[1])


# --- quiz ----------------------------------------------------------------------------------------


@check("quiz", points=1, hint="What happens to an image without it, layer after layer?")
def knows_what_zero_padding_is_for(student):
    """Knows what zero-padding is used for."""
    expect_answer(student, QUESTIONS[0], QUIZ)


@check("quiz", points=1, hint="What lies in the holes of a dilated kernel, and who looks at it?")
def knows_the_price_of_dilation(student):
    """Knows why dilation may not suit fine-grained classification."""
    expect_answer(student, QUESTIONS[1], QUIZ)


@check("quiz", points=1, hint="Write down the positions where the kernel starts.")
def knows_what_a_stride_of_two_does(student):
    """Knows what a kernel of size three with a stride of two does."""
    expect_answer(student, QUESTIONS[2], QUIZ)
