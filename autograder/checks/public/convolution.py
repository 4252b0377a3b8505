"""The public checks of 02-convolution: laws, worked examples and shapes, for students to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st

from autograder.check import (
    Exercise,
    check,
    example,
    expect,
    expect_close,
    expect_equal,
    expect_letters,
    expect_raises,
    expect_shape,
    expect_tensor,
    given,
)
from autograder.strategies import filled, pairs, sizes, tensors
from autograder.subject import Subject

CONVOLUTIONS = r"(::|_)(q?conv(\d|_|$)|convolution)"
POOLING = r"_(un)?pool\d"
# What torch does not see, by the names that a solution imports.
ELSEWHERE = (
    r"^(scipy\.(signal|ndimage)|skimage|cv2|tensorflow|keras|jax|flax|torch\._(refs|decomp))\b"
)
# interpolate has one operation for each of its modes; "area" is an adaptive average.
UPSAMPLING = r"::pixel_shuffle|::_?upsample_|adaptive_avg_pool2d"

EXERCISES: tuple[Exercise, ...] = (
    Exercise("conv_output_size"),
    Exercise("same_padding"),
    Exercise("zero_pad2d"),
    Exercise(
        "conv2d",
        forbids=CONVOLUTIONS,
        forbids_in_source=ELSEWHERE,
        forbids_in_words="torch's own convolutions, or another library's",
    ),
    Exercise("receptive_field"),
    Exercise("conv_transpose_output_size"),
    Exercise(
        "conv_transpose2d",
        forbids=CONVOLUTIONS,
        forbids_in_source=ELSEWHERE,
        forbids_in_words="torch's own convolutions, transposed ones included, or another library's",
    ),
    Exercise(
        "max_pool2d",
        names=("max_pool2d", "max_unpool2d"),
        forbids=POOLING,
        forbids_in_source=ELSEWHERE,
        forbids_in_words="torch's own pooling and unpooling",
    ),
    Exercise(
        "pixel_shuffle",
        names=("pixel_shuffle", "upsample_nearest"),
        forbids=UPSAMPLING,
        forbids_in_source=ELSEWHERE,
        forbids_in_words="torch's own pixel_shuffle and interpolate",
    ),
    Exercise("quiz"),
)

DOUBLE = torch.float64
Options = dict[str, Any]
Call = tuple[list[torch.Tensor], Options]


def image(*rows: Sequence[float], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """One image of one channel, [1, 1, h, w]."""
    return torch.tensor(rows, dtype=dtype)[None, None]


def doubles(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Whole numbers from −9 to 9 in float64."""
    return filled(shape, seed, dtype=DOUBLE)


def positions(n: int, kernel_size: int, stride: int, padding: int, dilation: int) -> int:
    """How many outputs torch's own convolution has along an axis; 0 where no kernel fits."""
    x, weight = torch.zeros(1, 1, n), torch.zeros(1, 1, kernel_size)
    try:
        y = F.conv1d(x, weight, stride=stride, padding=padding, dilation=dilation)
    except RuntimeError:
        return 0
    return y.shape[2]


def image_like(value: Any, x: torch.Tensor) -> torch.Tensor:
    """Fails unless `value` is a tensor of four sizes with x's dtype, on x's device."""
    out = expect_tensor(value)
    expect(out.dim() == 4, f"the shape is {list(out.shape)}, and four sizes were expected", out)
    expect(out.dtype == x.dtype, f"the dtype is {out.dtype}, and {x.dtype} was expected", out)
    expect(out.device == x.device, f"the result is on {out.device}, the input on {x.device}")
    return out


# --- conv_output_size ----------------------------------------------------------------------------


@check(
    "conv_output_size",
    points=2,
    hint="Draw the axis with its padding, and mark each place where the kernel starts.",
)
@example(arguments=(5, 3), size=3)
@example(arguments=(5, 3, 1, 1), size=5)
@example(arguments=(5, 5), size=1)
@example(arguments=(8, 3, 2), size=3)
@example(arguments=(9, 3, 1, 0, 2), size=5)
@example(arguments=(9, 3, 3, 1, 2), size=3)
@example(arguments=(28, 5, 2, 2), size=14)
def counts_the_positions(student, arguments, size):
    """Gives the sizes of the worked examples, as an int."""
    expect_equal(student.conv_output_size(*arguments), size)


@check(
    "conv_output_size",
    points=2,
    oracle=positions,
    hint="The padding is on both sides, and a dilated kernel is wider than its number of weights.",
)
@example(n=11, kernel_size=4, stride=3, padding=2, dilation=2)
@example(n=10, kernel_size=2, stride=4, padding=0, dilation=3)
@given(
    n=sizes(9, 20),
    kernel_size=sizes(1, 4),
    stride=sizes(1, 4),
    padding=sizes(0, 3),
    dilation=sizes(1, 2),
)
def agrees_with_a_real_convolution(student, n, kernel_size, stride, padding, dilation, expected):
    """Equals the size of what torch's own convolution returns, an int."""
    size = student.conv_output_size(
        n, kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    expect_equal(size, expected)


@check(
    "conv_output_size",
    points=1,
    hint="Compare the kernel, holes included, with the axis, padding included.",
)
@example(arguments=(4, 5))
@example(arguments=(3, 3, 1, 0, 2))
@example(arguments=(2, 7, 1, 2))
@example(arguments=(4, 5, 3))
def refuses_a_kernel_that_does_not_fit(student, arguments):
    """Raises ValueError where the kernel is wider than the padded axis."""
    with expect_raises(ValueError, "the kernel does not fit"):
        student.conv_output_size(*arguments)


# --- same_padding --------------------------------------------------------------------------------


def two_counts(value: Any) -> tuple[int, int]:
    """Fails unless `value` is a pair of ints, each at least 0."""
    expect(
        isinstance(value, tuple | list) and [type(count) for count in value] == [int, int],
        "a pair of ints, (before, after), was expected",
        value,
    )
    expect(min(value) >= 0, "no zeros can be taken away: both counts are at least 0", value)
    expect(max(value) < 1000, "that is far more than needed", value)
    return value[0], value[1]


SAME = {
    "n": sizes(1, 12),
    "kernel_size": sizes(1, 5),
    "stride": sizes(1, 4),
    "dilation": sizes(1, 3),
}


@check(
    "same_padding",
    points=2,
    hint="Where does the last kernel position end? The zeros fill what is missing up to there.",
)
@example(arguments=(5, 3), pair=(1, 1))
@example(arguments=(5, 2), pair=(0, 1))
@example(arguments=(6, 3, 2), pair=(0, 1))
@example(arguments=(7, 3, 2), pair=(1, 1))
@example(arguments=(6, 1, 2), pair=(0, 0))
@example(arguments=(9, 4, 1, 2), pair=(3, 3))
@example(arguments=(8, 4, 2, 3), pair=(4, 4))
def pads_the_worked_examples(student, arguments, pair):
    """Gives the paddings of the worked examples."""
    expect_equal(student.same_padding(*arguments), pair)


@check(
    "same_padding",
    points=1,
    hint="For n = 5 and stride 2 the output has 3 values, not 2.",
)
@example(n=7, kernel_size=4, stride=2, dilation=2)
@example(n=8, kernel_size=3, stride=3, dilation=1)
@given(**SAME)
def makes_the_output_n_over_stride(student, n, kernel_size, stride, dilation):
    """With these zeros, torch's own convolution has ceil(n / stride) outputs."""
    before, after = two_counts(student.same_padding(n, kernel_size, stride, dilation))
    size = positions(n + before + after, kernel_size, stride, 0, dilation)
    wanted = len(range(0, n, stride))
    expect(size == wanted, f"the output has {size} values, not {wanted}", (before, after))


@check("same_padding", points=1, hint="Where the number of zeros is odd, which side gets one more?")
@example(n=6, kernel_size=4, stride=1, dilation=1)
@example(n=6, kernel_size=3, stride=2, dilation=1)
@given(**SAME)
def puts_the_odd_zero_after(student, n, kernel_size, stride, dilation):
    """There are as many zeros after as before, or one more."""
    before, after = two_counts(
        student.same_padding(n, kernel_size, stride=stride, dilation=dilation)
    )
    size = positions(n + before + after, kernel_size, stride, 0, dilation)
    expect(size >= len(range(0, n, stride)), "that is not enough", (before, after))
    expect(after - before in (0, 1), f"after - before is {after - before}", (before, after))


# --- zero_pad2d ----------------------------------------------------------------------------------


@check("zero_pad2d", points=1, hint="The order is (left, right, top, bottom).")
@example(
    x=image((1, 2), (3, 4)),
    padding=(1, 0, 0, 2),
    result=image((0, 1, 2), (0, 3, 4), (0, 0, 0), (0, 0, 0)),
)
@example(x=image((7,)), padding=(0, 2, 1, 0), result=image((0, 0, 0), (7, 0, 0)))
@example(
    x=image((1, 2, 3)),
    padding=(1, 1, 1, 1),
    result=image((0, 0, 0, 0, 0), (0, 1, 2, 3, 0), (0, 0, 0, 0, 0)),
)
def pads_a_small_image(student, x, padding, result):
    """Pads the worked examples."""
    expect_close(student.zero_pad2d(x, padding), result)


PADDINGS = st.tuples(sizes(0, 3), sizes(0, 3), sizes(0, 3), sizes(0, 3))


@check(
    "zero_pad2d",
    points=1,
    hint="The first two numbers widen the image, the last two make it taller.",
)
@example(x=doubles((2, 3, 5, 4), 1), padding=(1, 2, 3, 4))
@given(x=tensors("b c h w", dtype=DOUBLE), padding=PADDINGS)
def grows_by_the_padding(student, x, padding):
    """The result is left + right wider and top + bottom taller, in x's dtype."""
    out = image_like(student.zero_pad2d(x, padding), x)
    b, c, h, w = x.shape
    left, right, top, bottom = padding
    expect_shape(out, (b, c, h + top + bottom, w + left + right))


@check("zero_pad2d", points=1, hint="Is everything that you added 0, and nothing of x lost?")
@example(x=filled((2, 3, 5, 4), 1, 1), padding=(1, 2, 4, 0))
@given(x=tensors("b c h w", low=1), padding=PADDINGS)
def adds_nothing_but_zeros(student, x, padding):
    """Without the zeros, the values of x are left, in their order."""
    b, c, h, w = x.shape
    left, right, top, bottom = padding
    out = image_like(student.zero_pad2d(x, padding), x)
    expect_shape(out, (b, c, h + top + bottom, w + left + right))
    expect_close(out[out != 0], x.flatten(), "the values that are not 0")


# --- conv2d --------------------------------------------------------------------------------------


def without_defaults(options: Options, defaults: Options) -> Options:
    """The options that differ from their defaults: a call should be short to read."""
    return {name: value for name, value in options.items() if value != defaults[name]}


def as_pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of an option that may be an int."""
    return value if isinstance(value, tuple) else (value, value)


@st.composite
def positive_convolutions(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """(x, weight) with values from 1 to 9; the kernel fits."""
    b, i, o, kh, kw = (draw(sizes(1, 3)) for _ in range(5))
    size = (b, i, kh + draw(sizes(0, 4)), kw + draw(sizes(0, 4)))
    return (
        draw(tensors(size, low=1, dtype=DOUBLE)),
        draw(tensors((o, i, kh, kw), low=1, dtype=DOUBLE)),
    )


def convolved(student: Subject, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """What conv2d makes of such an x and weight (some weights may be 0), in the right shape.

    The laws below hold for a function that returns zeros, too: this does not.
    """
    out = image_like(student.conv2d(x, weight), x)
    (b, _, h, w), (o, _, kh, kw) = x.shape, weight.shape
    expect_shape(out, (b, o, h - kh + 1, w - kw + 1))
    count = int(weight[0].count_nonzero())
    expect(
        bool((out.amax(dim=(2, 3)) > count - 0.5).all()),
        f"each output is a sum of {count} products, none of them below 1",
        out,
    )
    return out


X = doubles((2, 3, 5, 7), 1)
WEIGHT = doubles((4, 3, 2, 3), 2)
POSITIVE = (filled((2, 3, 5, 7), 1, 1, dtype=DOUBLE), filled((4, 3, 2, 3), 2, 1, dtype=DOUBLE))

LECTURE = image((1, 1, 1, 1, 1), (1, 2, 2, 2, 1), (1, 2, 5, 2, 1), (1, 2, 2, 2, 1), (1, 1, 1, 1, 1))


@check("conv2d", points=2, hint="By hand: lay the kernel on the image, multiply, and sum.")
@example(
    x=LECTURE,
    weight=image((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    options={},
    result=image((8, 5, 4), (5, 9, 5), (4, 5, 8)),
)
@example(
    x=LECTURE,
    weight=image((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    options={"padding": 1},
    result=image(
        (3, 3, 3, 2, 1), (3, 8, 5, 4, 2), (3, 5, 9, 5, 3), (2, 4, 5, 8, 3), (1, 2, 3, 3, 3)
    ),
)
@example(
    x=image((1, 2, 3, 4), (5, 6, 7, 8)),
    weight=image((10, 1)),
    options={"stride": 2},
    result=image((12, 34)),
)
@example(
    x=image((1, 2, 3, 4), (5, 6, 7, 8)),
    weight=image((10, 1)),
    options={"dilation": 2},
    result=image((13, 24), (57, 68)),
)
def gives_the_lectures_example(student, x, weight, options, result):
    """Gives the lecture's 5×5 example, without and with padding, and two small ones."""
    expect_close(student.conv2d(x, weight, **options), result)


@check(
    "conv2d",
    points=1,
    hint="The kernel is laid on the image as it is: neither flipped nor transposed.",
)
@example(x=X, shape=(2, 3), place=(1, 2))
@example(x=X, shape=(3, 2), place=(0, 1))
@given(
    x=tensors(st.tuples(sizes(1, 3), sizes(1, 3), sizes(4, 7), sizes(4, 7)), dtype=DOUBLE),
    shape=st.tuples(sizes(3, 4), sizes(3, 4)),
    place=st.tuples(sizes(0, 2), sizes(0, 2)),
)
def copies_with_a_delta_kernel(student, x, shape, place):
    """A kernel that is 1 in one place of one channel, else 0, copies that channel."""
    b, i, h, w = x.shape
    channel = i - 1
    weight = x.new_zeros(2, i, *shape)
    weight[1, channel, place[0], place[1]] = 1
    out = image_like(student.conv2d(x, weight), x)
    height, width = h - shape[0] + 1, w - shape[1] + 1
    expect_shape(out, (b, 2, height, width))
    rows, columns = slice(place[0], place[0] + height), slice(place[1], place[1] + width)
    expect_close(out[:, 0], torch.zeros_like(out[:, 0]), "a kernel of zeros gives zeros")
    expect_close(out[:, 1], x[:, channel, rows, columns], "the copy is not the image")


@check("conv2d", points=1, hint="Each output is a sum of products: nothing is clipped or averaged.")
@example(call=POSITIVE, factor=-2)
@given(call=positive_convolutions(), factor=st.sampled_from((2, -1, 3)))
def is_linear(student, call, factor):
    """conv2d(a·x + x′) = a·conv2d(x) + conv2d(x′), and the same for the weight."""
    x, weight = call
    once = convolved(student, x, weight)
    other = convolved(student, x.flip(0, 3), weight)
    expect_close(student.conv2d(factor * x + x.flip(0, 3), weight), factor * once + other)
    other = convolved(student, x, weight.flip(0, 1))
    expect_close(student.conv2d(x, factor * weight + weight.flip(0, 1)), factor * once + other)


@check("conv2d", points=1, hint="Every output is the same sum, taken at another place.")
@example(call=POSITIVE, shift=(2, 1))
@given(call=positive_convolutions(), shift=st.tuples(sizes(0, 2), sizes(0, 2)))
def shifts_with_the_input(student, call, shift):
    """With more rows above the image and more columns before it, the same outputs come later."""
    x, weight = call
    rows, columns = shift
    wide = F.pad(x, (columns, 0, rows, 0), value=5.0)
    shifted = convolved(student, wide, weight)[..., rows:, columns:]
    expect_close(shifted, convolved(student, x, weight))


@check("conv2d", points=1, hint="A stride of (2, 3) goes down by 2 rows and right by 3 columns.")
@example(call=POSITIVE, stride=(2, 3))
@example(call=POSITIVE, stride=2)
@given(call=positive_convolutions(), stride=pairs(1, 3))
def skips_positions_with_a_stride(student, call, stride):
    """A stride of (sh, sw) keeps every sh-th row and every sw-th column of the output."""
    down, right = as_pair(stride)
    expected = convolved(student, *call)[..., ::down, ::right]
    expect_close(student.conv2d(*call, stride=stride), expected)


@check("conv2d", points=1, hint="The zeros go on all four sides. A pair is (height, width).")
@example(call=POSITIVE, padding=(2, 1))
@example(call=POSITIVE, padding=1)
@given(call=positive_convolutions(), padding=pairs(0, 2))
def pads_with_zeros(student, call, padding):
    """Padding by (ph, pw) is the same as an image with ph rows and pw columns of zeros around."""
    x, weight = call
    rows, columns = as_pair(padding)
    expected = convolved(student, F.pad(x, (columns, columns, rows, rows)), weight)
    expect_close(student.conv2d(x, weight, padding=padding), expected)


@check("conv2d", points=1, hint="Dilation (1, 2) leaves the rows as they are. Which step is it?")
@example(call=POSITIVE, dilation=(3, 2))
@example(call=POSITIVE, dilation=2)
@given(call=positive_convolutions(), dilation=pairs(1, 3))
def dilates_the_kernel(student, call, dilation):
    """Dilation by (dh, dw) is the same as a kernel with dh − 1 rows and dw − 1 columns of zeros
    between its own."""
    x, weight = call
    o, i, kh, kw = weight.shape
    dh, dw = as_pair(dilation)
    spread = weight.new_zeros(o, i, dh * (kh - 1) + 1, dw * (kw - 1) + 1)
    spread[..., ::dh, ::dw] = weight
    wide = F.pad(x, (0, 4, 0, 4), value=2.0)  # there the dilated kernel fits
    expect_close(student.conv2d(wide, weight, dilation=dilation), convolved(student, wide, spread))


@check("conv2d", points=2, hint="bias[o] belongs to output channel o, at every place.")
@example(
    call=([X, WEIGHT], {"stride": (2, 3), "padding": (1, 2), "dilation": (3, 2)}),
    bias=doubles((4,), 3),
    shape=(2, 4, 2, 3),
)
@example(
    call=([X[:1, :1], WEIGHT[:2, :1]], {}),
    bias=doubles((2,), 4),
    shape=(1, 2, 4, 5),
)
@example(
    call=([X[:1], doubles((2, 3, 5, 1), 5)], {"stride": (3, 2)}),
    bias=doubles((2,), 5),
    shape=(1, 2, 1, 4),
)
def adds_the_bias_to_its_channel(student, call, bias, shape):
    """The output has the right shape, and with a bias each channel is larger by its own number."""
    arguments, options = call
    without = image_like(student.conv2d(*arguments, **options), bias)
    expect_shape(without, shape)
    expected = torch.stack([without[:, o] + bias[o] for o in range(len(bias))], dim=1)
    expect_close(student.conv2d(*arguments, bias=bias, **options), expected)


# --- receptive_field -----------------------------------------------------------------------------

Layers = list[tuple[int, int, int]]
LAYERS = st.lists(st.tuples(sizes(1, 5), sizes(1, 3), sizes(1, 3)), max_size=4)


@check(
    "receptive_field",
    points=2,
    hint="Start from one output, and ask each layer how much of its input that needs.",
)
@example(layers=[], size=1)
@example(layers=[(3, 1, 1)], size=3)
@example(layers=[(3, 1, 2)], size=5)
@example(layers=[(3, 1, 1), (3, 1, 1)], size=5)
@example(layers=[(3, 2, 1), (3, 1, 1)], size=7)
@example(layers=[(3, 1, 1), (3, 2, 1)], size=5)
@example(layers=[(2, 2, 1), (2, 2, 1), (2, 2, 1)], size=8)
@example(layers=[(5, 2, 1), (3, 3, 2), (2, 1, 1)], size=19)
def sees_the_worked_examples(student, layers, size):
    """Gives the worked examples, among them no layers at all and strides in both orders."""
    expect_equal(student.receptive_field(layers), size)


@check("receptive_field", points=1, hint="Which layers lie between a layer's kernel and the input?")
@example(layers=[(3, 2, 1), (3, 1, 2)], last=(2, 1, 3))
@given(layers=LAYERS, last=st.tuples(sizes(1, 5), sizes(1, 3), sizes(1, 3)))
def ignores_the_last_stride(student, layers, last):
    """One output sees the same whatever the stride of the last layer."""
    kernel_size, stride, dilation = last
    expected = student.receptive_field([*layers, (kernel_size, 1, dilation)])
    expect(type(expected) is int, "an int was expected", expected)
    expect(expected >= kernel_size, f"the last kernel alone sees {kernel_size} positions", expected)
    expect_equal(student.receptive_field([*layers, (kernel_size, stride + 1, dilation)]), expected)


@check("receptive_field", points=1, hint="A 1×1 kernel looks at one position, dilated or not.")
@example(layers=[(3, 2, 1), (3, 3, 2)], dilation=3)
@given(layers=LAYERS, dilation=sizes(1, 3))
def ignores_kernels_of_one(student, layers, dilation):
    """A layer with kernel size 1 and stride 1 changes nothing, first, last or in between."""
    expected = student.receptive_field(layers)
    expect(type(expected) is int, "an int was expected", expected)
    least = max((kernel_size for kernel_size, _, _ in layers), default=1)
    expect(expected >= least, f"one of the kernels alone sees {least} positions", expected)
    for place in range(len(layers) + 1):
        more = [*layers[:place], (1, 1, dilation), *layers[place:]]
        expect_equal(student.receptive_field(more), expected)


# --- conv_transpose_output_size ------------------------------------------------------------------


@st.composite
def transposed_axes(draw: st.DrawFn) -> tuple[int, int, int, int, int, int]:
    """(n, kernel_size, stride, padding, output_padding, dilation), where the result is defined."""
    kernel_size, stride, dilation = draw(sizes(1, 5)), draw(sizes(1, 4)), draw(sizes(1, 3))
    padding = draw(sizes(0, min(3, dilation * (kernel_size - 1) // 2)))
    return draw(sizes(1, 9)), kernel_size, stride, padding, draw(sizes(0, stride - 1)), dilation


@check(
    "conv_transpose_output_size",
    points=1,
    hint="n kernels are laid out, stride apart. How long is that? Padding shortens it.",
)
@example(arguments=(1, 3), size=3)
@example(arguments=(3, 3), size=5)
@example(arguments=(3, 3, 2), size=7)
@example(arguments=(3, 3, 2, 1), size=5)
@example(arguments=(3, 3, 2, 1, 1), size=6)
@example(arguments=(4, 3, 3, 1, 2, 2), size=14)
def sizes_the_worked_examples(student, arguments, size):
    """Gives the sizes of the worked examples, as an int."""
    expect_equal(student.conv_transpose_output_size(*arguments), size)


@check(
    "conv_transpose_output_size",
    points=2,
    hint="output_padding tells apart the sizes that a strided convolution maps to the same n.",
)
@example(axis=(5, 4, 3, 2, 1, 2))
@example(axis=(1, 1, 4, 0, 3, 1))
@given(axis=transposed_axes())
def undoes_conv_output_size(student, axis):
    """torch's own convolution of an axis of that size has n outputs again, and output_padding
    makes the axis longer by as much."""
    n, kernel_size, stride, padding, output_padding, dilation = axis
    size = student.conv_transpose_output_size(
        n, kernel_size, stride, padding, output_padding=output_padding, dilation=dilation
    )
    expect(type(size) is int, "an int was expected", size)
    expect(1 <= size < 1000, "that size can't be right", size)
    back = positions(size, kernel_size, stride, padding, dilation)
    expect(back == n, f"the convolution of {size} values has {back} outputs, not {n}", size)
    if output_padding:
        least = student.conv_transpose_output_size(
            n, kernel_size, stride, padding, dilation=dilation
        )
        expect_equal(size, least + output_padding)


# --- conv_transpose2d ----------------------------------------------------------------------------


@st.composite
def adjoints(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Options, Options]:
    """(y, weight, x, options of the convolution, output_padding): the convolution of y with weight
    has the shape of x."""
    b, i, o = draw(sizes(1, 3)), draw(sizes(1, 3)), draw(sizes(1, 3))
    kernel_size = draw(sizes(1, 3)), draw(sizes(1, 3))
    stride, padding = draw(pairs(1, 3)), draw(pairs(0, 1))
    h, w = (k + draw(sizes(0, 4)) for k in kernel_size)
    y = draw(tensors((b, o, h, w), dtype=DOUBLE))
    weight = draw(tensors((i, o, *kernel_size), dtype=DOUBLE))
    return adjoint(y, weight, draw(sizes(0, 99)), stride, padding)


def adjoint(
    y: torch.Tensor,
    weight: torch.Tensor,
    seed: int,
    stride: int | tuple[int, int],
    padding: int | tuple[int, int],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Options, Options]:
    """As in `adjoints`, from a y and a weight."""
    options: Options = {"stride": stride, "padding": padding}
    x = filled(tuple(F.conv2d(y, weight, **options).shape), seed, dtype=DOUBLE)
    # What a strided convolution leaves over at the end of y.
    over = tuple(
        (n + 2 * p - k) % s
        for n, k, s, p in zip(
            y.shape[2:], weight.shape[2:], as_pair(stride), as_pair(padding), strict=True
        )
    )
    return (
        *(y, weight, x),
        without_defaults(options, {"stride": 1, "padding": 0}),
        without_defaults({"output_padding": over}, {"output_padding": (0, 0)}),
    )


@check(
    "conv_transpose2d",
    points=2,
    hint="Each input value stamps the kernel, times itself, on the output. Overlaps add up.",
)
@example(
    x=image((2,)),
    weight=image((1, 2, 3), (4, 5, 6)),
    options={},
    result=image((2, 4, 6), (8, 10, 12)),
)
@example(
    x=image((1, 10)),
    weight=image((1, 2, 3)),
    options={"stride": 2},
    result=image((1, 2, 13, 20, 30)),
)
@example(
    x=image((1,), (10,)),
    weight=image((1, 2), (3, 4)),
    options={},
    result=image((1, 2), (13, 24), (30, 40)),
)
@example(
    x=image((1, 2), (5, 3)),
    weight=image((1, 2), (3, 4)),
    options={"stride": 2, "padding": 1},
    result=image((4, 6), (10, 3)),
)
@example(
    x=image((1, 10)),
    weight=image((1, 2)),
    options={"stride": (2, 3), "output_padding": (1, 0)},
    result=image((1, 2, 0, 10, 20), (0, 0, 0, 0, 0)),
)
def stamps_the_kernel(student, x, weight, options, result):
    """Gives the worked examples: one pixel, overlaps, padding, output padding."""
    expect_close(student.conv_transpose2d(x, weight, **options), result)


@check(
    "conv_transpose2d",
    points=3,
    oracle=lambda call: F.conv2d(call[0], call[1], **call[3]),
    hint="Whatever conv2d gathers into an output, conv_transpose2d hands back from there.",
)
@example(call=adjoint(doubles((2, 4, 9, 7), 1), doubles((3, 4, 2, 3), 2), 3, (2, 3), (0, 1)))
@example(call=adjoint(doubles((1, 2, 6, 8), 4), doubles((3, 2, 3, 2), 5), 6, (3, 2), (1, 0)))
@given(call=adjoints())
def is_the_adjoint(student, call, expected):
    """⟨convolution of y, x⟩ = ⟨y, conv_transpose2d(x)⟩, for torch's own convolution."""
    y, weight, x, options, output_padding = call
    out = image_like(student.conv_transpose2d(x, weight, **options, **output_padding), x)
    expect_shape(out, y.shape)
    expect_close((y * out).sum(), (expected * x).sum(), "the second product")


@check("conv_transpose2d", points=1, hint="Stamp first, over the whole area; then cut.")
@example(
    call=([doubles((2, 3, 3, 4), 1), doubles((3, 2, 4, 3), 2)], {"stride": (2, 1)}),
    padding=(2, 1),
)
@example(
    call=([doubles((1, 2, 4, 5), 3), doubles((2, 3, 3, 5), 4)], {"stride": 2}),
    padding=1,
)
def padding_cuts_the_border(student, call, padding):
    """Padding by (ph, pw) takes ph rows and pw columns away on each side."""
    arguments, options = call
    rows, columns = as_pair(padding)
    whole = image_like(student.conv_transpose2d(*arguments, **options), arguments[0])
    expect(bool(whole.any()), "there is nothing but zeros", whole)
    expect_close(
        student.conv_transpose2d(*arguments, padding=padding, **options),
        whole[..., rows:-rows, columns:-columns],
    )


@check("conv_transpose2d", points=2, hint="bias[o] is added once to every place of channel o.")
@example(
    call=(
        [doubles((2, 3, 3, 4), 1), doubles((3, 2, 2, 3), 2)],
        {"stride": (2, 3), "padding": (0, 1), "output_padding": (1, 2)},
    ),
    bias=doubles((2,), 3),
    shape=(2, 2, 7, 12),
)
@example(
    call=([doubles((1, 1, 2, 3), 1), doubles((1, 3, 1, 1), 2)], {"stride": 2}),
    bias=doubles((3,), 4),
    shape=(1, 3, 3, 5),
)
def adds_the_bias_everywhere(student, call, bias, shape):
    """The output has the right shape, and with a bias each channel is larger by its own number."""
    arguments, options = call
    without = image_like(student.conv_transpose2d(*arguments, **options), bias)
    expect_shape(without, shape)
    expected = torch.stack([without[:, o] + bias[o] for o in range(len(bias))], dim=1)
    expect_close(student.conv_transpose2d(*arguments, bias=bias, **options), expected)


# --- max_pool2d, max_unpool2d --------------------------------------------------------------------


def distinct(shape: tuple[int, ...], seed: int, dtype: torch.dtype = DOUBLE) -> torch.Tensor:
    """Whole numbers around 0, no two of them equal, so that each maximum has one place."""
    count = torch.Size(shape).numel()
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return (order - (2 * count) // 3).reshape(shape).to(dtype)


@st.composite
def poolings(draw: st.DrawFn) -> tuple[torch.Tensor, int]:
    """(x, kernel_size) for max_pool2d."""
    k = draw(sizes(1, 3))
    shape = (draw(sizes(1, 3)), draw(sizes(1, 3)), k * draw(sizes(1, 3)), k * draw(sizes(1, 3)))
    return distinct(shape, draw(st.integers(0, 2**16))), k


def pooled(value: Any, x: torch.Tensor, kernel_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Fails unless `value` is (values, indices) as max_pool2d should return them for x, in shape,
    dtype and device."""
    expect(
        isinstance(value, tuple | list) and len(value) == 2,
        "a pair (values, indices) was expected",
        value,
    )
    values, indices = value
    b, c, h, w = x.shape
    for out in (image_like(values, x), expect_tensor(indices)):
        expect_shape(out, (b, c, h // kernel_size, w // kernel_size))
    expect(indices.dtype == torch.int64, f"the indices are {indices.dtype}, not int64", indices)
    expect(indices.device == x.device, f"the indices are on {indices.device}, x on {x.device}")
    return values, indices


@check("max_pool2d", points=2, hint="An index counts along the rows of the whole image.")
@example(x=image((1, 2, 5, 6), (4, 3, 8, 7)), k=2, values=image((4, 8)), indices=[[[[4, 6]]]])
@example(
    x=image((-5, -2), (-3, -4), (-9, -8), (-7, -6)),
    k=2,
    values=image((-2,), (-6,)),
    indices=[[[[1], [7]]]],
)
@example(x=image((3, 1, 2)), k=1, values=image((3, 1, 2)), indices=[[[[0, 1, 2]]]])
def pools_the_worked_examples(student, x, k, values, indices):
    """Gives the worked examples, negative values among them."""
    got, places = pooled(student.max_pool2d(x, k), x, k)
    expect_close(got, values, "the values")
    expect_close(places, torch.tensor(indices), "the indices")


@check(
    "max_pool2d",
    points=2,
    hint="index = row · w + column, in the image of that channel, not in the tile.",
)
@example(call=(distinct((2, 3, 6, 4), 1), 2))
@example(call=(distinct((1, 2, 3, 9), 2), 3))
@given(call=poolings())
def indices_point_at_the_values(student, call):
    """x, read at the indices, gives the values; none is below another value of its tile."""
    x, k = call
    h, w = x.shape[2:]
    values, indices = pooled(student.max_pool2d(x, k), x, k)
    expect(
        bool(((indices >= 0) & (indices < h * w)).all()),
        f"an index is outside the image, which has {h * w} places",
        indices,
    )
    expect_close(values.flatten(2), x.flatten(2).gather(2, indices.flatten(2)), "the values")
    y, z = values.shape[2] - 1, values.shape[3] - 1
    tile = x[..., y * k : (y + 1) * k, z * k : (z + 1) * k]
    least = values[..., y, z][..., None, None]
    expect(bool((least >= tile).all()), "the last tile holds a larger value", values)


@check("max_pool2d", points=2, hint="One value comes back to each tile; the rest is 0.")
@example(
    values=image((5, 7)),
    indices=[[[[4, 3]]]],
    k=2,
    result=image((0, 0, 0, 7), (5, 0, 0, 0)),
)
@example(
    values=image((-1,), (-2,)),
    indices=[[[[3], [4]]]],
    k=2,
    result=image((0, 0), (0, -1), (-2, 0), (0, 0)),
)
@example(
    values=torch.tensor([[[[1.0]], [[2.0]]], [[[3.0]], [[4.0]]]]),
    indices=[[[[0]], [[1]]], [[[2]], [[3]]]],
    k=2,
    result=torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0])).reshape(2, 2, 2, 2),
)
def unpools_the_worked_examples(student, values, indices, k, result):
    """max_unpool2d gives the worked examples: each value at its index, 0 everywhere else."""
    expect_close(student.max_unpool2d(values, torch.tensor(indices), k), result)


# --- pixel_shuffle, upsample_nearest -------------------------------------------------------------


@check(
    "pixel_shuffle",
    points=1,
    hint="The channels of one output channel stand together; they fill each r×r tile row by row.",
)
@example(
    x=torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1, 1), r=2, result=image((1, 2), (3, 4))
)
@example(
    x=torch.tensor([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 8.0]]).reshape(1, 4, 1, 2),
    r=2,
    result=image((1, 2, 5, 6), (3, 4, 7, 8)),
)
@example(
    x=torch.arange(1.0, 9.0).reshape(1, 8, 1, 1),
    r=2,
    result=torch.arange(1.0, 9.0).reshape(1, 2, 2, 2),
)
def shuffles_the_worked_examples(student, x, r, result):
    """pixel_shuffle gives the worked examples."""
    expect_close(student.pixel_shuffle(x, r), result)


@st.composite
def shuffles(draw: st.DrawFn) -> tuple[torch.Tensor, int]:
    """(x, r) for pixel_shuffle."""
    r = draw(sizes(1, 3))
    shape = (draw(sizes(1, 3)), draw(sizes(1, 2)) * r * r, draw(sizes(1, 3)), draw(sizes(1, 3)))
    return draw(tensors(shape, dtype=DOUBLE)), r


@check(
    "pixel_shuffle",
    points=1,
    hint="Write the channel as (c, i, j). Which axes belong to the rows, which to the columns?",
)
@example(call=(doubles((2, 18, 1, 2), 1), 3), i=1, j=2)
@example(call=(doubles((3, 8, 3, 2), 2), 2), i=1, j=0)
@given(call=shuffles(), i=sizes(0, 2), j=sizes(0, 2))
def keeps_every_value(student, call, i, j):
    """out[b, c, y·r + i, z·r + j] = x[b, c·r² + i·r + j, y, z]: nothing new, nothing lost."""
    x, r = call
    b, channels, h, w = x.shape
    out = image_like(student.pixel_shuffle(x, r), x)
    expect_shape(out, (b, channels // (r * r), h * r, w * r))
    expect_close(out.flatten().sort().values, x.flatten().sort().values, "the sorted values")
    i, j = i % r, j % r
    c, y, z = channels // (r * r) - 1, h - 1, w - 1
    expect_close(
        out[:, c, y * r + i, z * r + j],
        x[:, c * r * r + i * r + j, y, z],
        f"out[:, {c}, {y * r + i}, {z * r + j}]",
    )


@check("pixel_shuffle", points=1, hint="Each pixel becomes a square of scale×scale equal pixels.")
@example(x=image((1, 2)), scale=2, result=image((1, 1, 2, 2), (1, 1, 2, 2)))
@example(
    x=image((1, 2), (3, 4), (5, 6)),
    scale=1,
    result=image((1, 2), (3, 4), (5, 6)),
)
@example(
    x=image((-1,), (2,)),
    scale=3,
    result=image(*[(-1, -1, -1)] * 3, *[(2, 2, 2)] * 3),
)
def upsamples_the_worked_examples(student, x, scale, result):
    """upsample_nearest gives the worked examples."""
    expect_close(student.upsample_nearest(x, scale), result)


@check("pixel_shuffle", points=1, hint="Repeat pixels, not the whole image.")
@example(x=doubles((2, 3, 3, 4), 1), scale=3, place=(5, 7))
@given(
    x=tensors("b c h w", dtype=DOUBLE), scale=sizes(1, 3), place=st.tuples(sizes(0, 8), sizes(0, 8))
)
def reads_the_nearest_pixel(student, x, scale, place):
    """upsample_nearest: out[…, y, z] = x[…, y // scale, z // scale]."""
    b, c, h, w = x.shape
    out = image_like(student.upsample_nearest(x, scale), x)
    expect_shape(out, (b, c, h * scale, w * scale))
    y, z = place[0] % (h * scale), place[1] % (w * scale)
    expect_close(out[..., y, z], x[..., y // scale, z // scale], f"out[..., {y}, {z}]")


# --- quiz ----------------------------------------------------------------------------------------

QUESTIONS = ("zero_padding", "dilation", "stride")


@check("quiz", points=3, hint="For example: quiz = {'zero_padding': 'D', ...}.")
def has_a_letter_for_each_question(student):
    """quiz has the keys zero_padding, dilation and stride, each with one of the letters A to D."""
    expect_letters(student, QUESTIONS)
