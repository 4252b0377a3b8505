"""The misconceptions of 02-convolution, the subtle ones of each exercise first."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from autograder.checks.hidden.convolution import QUIZ
from autograder.misconceptions import Mutant, edited
from gradus import convolution

# Hints that several exercises share.
GRAPH = "detach, .data, .item() and torch.tensor take values out of the graph: no gradient gets by."
FLOAT32 = "torch.zeros and .float() make float32: follow the dtype and the device of the input."
DETOUR = "A detour through float32 loses half of a float64's digits."
IN_PLACE = "The arguments are the caller's: an operation that ends in _ changes them."
VIEW = "view needs contiguous memory; reshape copies where it must."
SPAN = "Between k weights there are k − 1 steps of size d: a kernel spans d(k − 1) + 1."
PAIR = "A pair is (height, width)."
OWN = "This exercise is to write the operation itself."


def beside(function: Callable[..., Any], source: str) -> str:
    """A solution cell of two names: `source`, after the reference's `function` as it is."""
    return f"{inspect.getsource(function)}\n\n{source}"


# --- conv_output_size ----------------------------------------------------------------------------

STEPS = "(n + 2 * padding - dilation * (kernel_size - 1) - 1)"


def output_size(line: str, *, checked: bool = True) -> str:
    """conv_output_size that ends in this line, with its arguments checked first or not."""
    guard = f"""
    if min(n, kernel_size, stride, dilation) < 1 or padding < 0 or {STEPS} < 0:
        raise ValueError("an argument is out of range")"""
    return f"""def conv_output_size(n, kernel_size, stride=1, padding=0, dilation=1):
    "The number of positions of a kernel."{guard if checked else ""}
    {line}
"""


OUTPUT_SIZE = tuple(
    Mutant("conv_output_size", *mutant)
    for mutant in (
        (
            "a kernel that just fits is refused",
            "A kernel as wide as the padded axis has exactly one position.",
            edited(convolution.conv_output_size, "span > room", "span >= room"),
        ),
        (
            "the fit is judged without the padding",
            "The kernel has to fit into the axis with its padding, n + 2p.",
            edited(convolution.conv_output_size, "span > room", "span > n"),
        ),
        (
            "the fit is judged without the dilation",
            "A dilated kernel spans d(k − 1) + 1 positions: that is what has to fit.",
            edited(convolution.conv_output_size, "span > room", "kernel_size > room"),
        ),
        (
            "0 instead of an error",
            "A kernel that does not fit is a mistake of the caller, who should hear of it.",
            output_size(f"return max(0, {STEPS} // stride + 1)", checked=False),
        ),
        (
            "no argument is checked",
            "Before computing, look whether the arguments make sense.",
            output_size(f"return {STEPS} // stride + 1", checked=False),
        ),
        (
            "assert instead of ValueError",
            "assert raises AssertionError, and nothing at all under python -O.",
            output_size(
                f"assert min(n, kernel_size, stride, dilation) > 0 <= padding and {STEPS} >= 0\n"
                f"    return {STEPS} // stride + 1",
                checked=False,
            ),
        ),
        (
            "dilation 0 is let through",
            "With a dilation of 0 all weights lie on one position: that is no convolution.",
            edited(convolution.conv_output_size, "stride, dilation) <", "stride) <"),
        ),
        (
            "negative padding is let through",
            "A padding below 0 is out of range.",
            edited(convolution.conv_output_size, " or padding < 0", ""),
        ),
        (
            "a float",
            "A size is an int: divide with //.",
            output_size(f"return {STEPS} / stride // 1 + 1"),
        ),
        (
            "rounded up",
            "What is left over at the end is too short for another position: round down.",
            output_size(f"return -(-{STEPS} // stride) + 1"),
        ),
        (
            "rounded to the nearest",
            "What is left over at the end is too short for another position: round down.",
            output_size(f"return round({STEPS} / stride) + 1"),
        ),
        (
            "padding on one side",
            "Padding p adds p zeros before and p after.",
            output_size("return (n + padding - dilation * (kernel_size - 1) - 1) // stride + 1"),
        ),
        (
            "dilation ignored",
            SPAN,
            output_size("return (n + 2 * padding - kernel_size) // stride + 1"),
        ),
        (
            "dilation times the kernel size",
            SPAN,
            output_size("return (n + 2 * padding - dilation * kernel_size) // stride + 1"),
        ),
        (
            "the first position is not counted",
            "The kernel's place before its first step counts too.",
            output_size(f"return {STEPS} // stride"),
        ),
    )
)

# --- same_padding --------------------------------------------------------------------------------


def same(total: str, pair: str = "total // 2, total - total // 2") -> str:
    """same_padding with this total, shared out in this way."""
    return f"""def same_padding(n, kernel_size, stride=1, dilation=1):
    span = dilation * (kernel_size - 1) + 1
    total = {total}
    return {pair}
"""


LEAST = "max(0, (-(-n // stride) - 1) * stride + span - n)"

SAME_PADDING = tuple(
    Mutant("same_padding", *mutant)
    for mutant in (
        (
            "a remainder of 0 taken for no stride at all",
            "Where n is a multiple of the stride, the last position starts one stride before.",
            same("max(0, span - n % stride)"),
        ),
        (
            "negative padding",
            "A stride wider than the kernel needs no zeros: the total is at least 0.",
            same("(-(-n // stride) - 1) * stride + span - n"),
        ),
        (
            "the odd zero before",
            "Where the total is odd, the extra zero goes after.",
            same(LEAST, "total - total // 2, total // 2"),
        ),
        (
            "stride ignored",
            "A stride leaves out positions at the end, so that fewer zeros are needed.",
            same("span - 1"),
        ),
        (
            "dilation ignored",
            SPAN,
            same("max(0, (-(-n // stride) - 1) * stride + kernel_size - n)"),
        ),
        (
            "n / stride rounded down",
            "The output should have ceil(n / stride) values.",
            same("max(0, (n // stride - 1) * stride + span - n)"),
        ),
        (
            "as long as the input, whatever the stride",
            "The output should have ceil(n / stride) values, not n.",
            same("max(0, (n - 1) * stride + span - n)"),
        ),
        (
            "half a kernel on both sides",
            "For an even kernel that is one zero too many.",
            same("0", "span // 2, span // 2"),
        ),
        (
            "one number for both sides",
            "The two sides can differ by one: return both.",
            same(LEAST, "(total + 1) // 2"),
        ),
    )
)

# --- zero_pad2d ----------------------------------------------------------------------------------

SIDES = "left, right, top, bottom = padding"

ZERO_PAD2D = tuple(
    Mutant("zero_pad2d", *mutant)
    for mutant in (
        ("gradient cut", GRAPH, edited(convolution.zero_pad2d, "= x\n", "= x.detach()\n")),
        (
            "a padding of 0 as a slice to -0",
            "out[top:-bottom] is empty where bottom is 0: count from the start, top : top + h.",
            edited(
                convolution.zero_pad2d,
                "out[:, :, top : top + h, left : left + w] = x",
                "if right and bottom:\n        out[:, :, top:-bottom, left:-right] = x",
            ),
        ),
        ("always float32", FLOAT32, edited(convolution.zero_pad2d, "x.new_zeros", "torch.zeros")),
        (
            "the input changed",
            IN_PLACE,
            edited(convolution.zero_pad2d, "= x\n", "= x.clone()\n    x.detach().zero_()\n"),
        ),
        (
            "only contiguous inputs",
            VIEW,
            edited(convolution.zero_pad2d, "= x\n", "= x.view(-1).view(b, c, h, w)\n"),
        ),
        (
            "height before width",
            "The order is (left, right, top, bottom).",
            edited(convolution.zero_pad2d, SIDES, "top, bottom, left, right = padding"),
        ),
        (
            "left and right confused",
            "left zeros come before the first column.",
            edited(convolution.zero_pad2d, "left : left + w", "right : right + w"),
        ),
        (
            "top and bottom confused",
            "top zeros come above the first row.",
            edited(convolution.zero_pad2d, "top : top + h", "bottom : bottom + h"),
        ),
        (
            "the first number on all sides",
            "Each side has its own number.",
            edited(convolution.zero_pad2d, SIDES, "left = right = top = bottom = padding[0]"),
        ),
        (
            "the border repeated",
            "The border is zero.",
            "def zero_pad2d(x, padding):\n"
            "    return torch.nn.functional.pad(x, padding, mode='replicate')\n",
        ),
        (
            "only the first image of the batch",
            "Copy all images: the batch is the first axis.",
            edited(convolution.zero_pad2d, "= x\n", "= x[:1]\n    out[1:] = 0\n"),
        ),
    )
)

# --- conv2d --------------------------------------------------------------------------------------

CONV2D_HEAD = """def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1):
    pair = lambda value: value if isinstance(value, (tuple, list)) else (value, value)
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    b, i, h, w = x.shape
    o, _, kh, kw = weight.shape
"""


def summing(
    *,
    before: str = "pass",
    pad: str = "(pw, pw, ph, ph)",
    row: str = "u * dh",
    column: str = "v * dw",
    term: str = "torch.einsum('bihw,oi->bohw', piece, weight[:, :, u, v])",
    after: str = "pass",
) -> str:
    """conv2d as a sum over the places of the kernel, with one of its parts changed."""
    return f"""{CONV2D_HEAD}    {before}
    x = torch.nn.functional.pad(x, {pad})
    height = (x.shape[2] - dh * (kh - 1) - 1) // sh + 1
    width = (x.shape[3] - dw * (kw - 1) - 1) // sw + 1
    out = x.new_zeros(b, o, height, width)
    for u in range(kh):
        for v in range(kw):
            row, column = {row}, {column}
            rows = slice(row, row + (height - 1) * sh + 1, sh)
            piece = x[:, :, rows, column : column + (width - 1) * sw + 1 : sw]
            out = out + {term}
    if bias is not None:
        out = out + bias[:, None, None]
    {after}
    return out
"""


CONV2D = tuple(
    Mutant("conv2d", *mutant)
    for mutant in (
        (
            "the weight's gradient cut",
            GRAPH,
            edited(convolution.conv2d, "weight.flatten(1)", "weight.detach().flatten(1)"),
        ),
        ("the input's gradient cut", GRAPH, summing(before="x = x.detach()")),
        (
            "the bias's gradient cut",
            GRAPH,
            edited(convolution.conv2d, "out + bias", "out + bias.detach()"),
        ),
        ("the input changed", IN_PLACE, summing(before="x.detach().clamp_(min=-1)")),
        ("the weight changed", IN_PLACE, summing(after="weight.detach().neg_()")),
        ("the bias changed", IN_PLACE, summing(after="bias is None or bias.detach().mul_(0)")),
        ("computed in float32", FLOAT32, summing(after="out = out.float()")),
        (
            "made on the CPU",
            FLOAT32,
            summing()
            .replace(
                "x.new_zeros(b, o, height, width)",
                "torch.zeros(b, o, height, width, dtype=x.dtype)",
            )
            .replace("out = out + torch", "out += torch"),
        ),
        (
            "by way of float32",
            DETOUR,
            summing(
                before="kind, x, weight = x.dtype, x.float(), weight.float()",
                after="out = out.to(kind)",
            ),
        ),
        (
            "only contiguous inputs",
            VIEW,
            edited(convolution.conv2d, "weight.flatten(1)", "weight.view(o, -1)"),
        ),
        (
            "the kernel flipped",
            "In deep learning the kernel is laid on as it is: strictly, a cross-correlation.",
            edited(convolution.conv2d, "weight.flatten(1)", "weight.flip(2, 3).flatten(1)"),
        ),
        (
            "the kernel transposed, where it is square",
            "weight[o, i, u, v]: u goes with the rows, v with the columns.",
            summing(before="weight = weight.transpose(2, 3) if kh == kw else weight"),
        ),
        ("stride as (width, height)", PAIR, summing(before="sh, sw = sw, sh")),
        (
            "padding as (width, height)",
            f"{PAIR} torch.nn.functional.pad, however, begins with the width.",
            summing(pad="(ph, ph, pw, pw)"),
        ),
        ("dilation as (width, height)", PAIR, summing(before="dh, dw = dw, dh")),
        ("the first number of a pair for both", PAIR, summing(before="sw, pw, dw = sh, ph, dh")),
        (
            "padding on one side only",
            "Padding p adds p zeros on both sides.",
            summing(pad="(0, 2 * pw, 0, 2 * ph)"),
        ),
        (
            "padding with the border's values",
            "The border is zero.",
            summing(pad="(pw, pw, ph, ph), mode='replicate'"),
        ),
        (
            "dilation lost where there is a stride",
            "Dilation is the step inside the kernel, stride the step of the kernel.",
            summing(row="u * dh if sh == 1 else u", column="v * dw if sw == 1 else v"),
        ),
        (
            "dilation ignored inside the kernel",
            "The kernel's weights lie dilation apart.",
            summing(row="u", column="v"),
        ),
        (
            "the last position left out where the kernel just fits",
            "The last position may end where the image ends: round down, then add 1.",
            summing().replace(
                "(x.shape[2] - dh * (kh - 1) - 1) // sh + 1",
                "-(-(x.shape[2] - dh * (kh - 1) - 1) // sh)",
            ),
        ),
        (
            "bias ignored",
            "Add bias[o] to output channel o.",
            edited(convolution.conv2d, "out + bias[:, None]", "out"),
        ),
        (
            "bias added once for each input channel",
            "The bias is added once, after the sum over the input channels.",
            edited(convolution.conv2d, "bias[:, None]", "x.shape[1] * bias[:, None]"),
        ),
        (
            "one bias for all channels",
            "Each output channel has its own bias.",
            edited(convolution.conv2d, "out + bias[:, None]", "out + bias[0]"),
        ),
        (
            "bias along the width",
            "bias[o] goes with axis 1: give it two axes more, bias[:, None, None].",
            summing(after="out = out if bias is None else out - bias[:, None, None] + bias"),
        ),
        (
            "mean instead of sum",
            "A convolution sums over input channels and kernel places; it does not average.",
            summing(after="out = out / (i * kh * kw)"),
        ),
        (
            "only the first input channel",
            "Sum over all input channels.",
            summing(term="torch.einsum('bhw,o->bohw', piece[:, 0], weight[:, 0, u, v])"),
        ),
        (
            "only the first image of the batch",
            "Every image of the batch has its own output.",
            summing(after="out = out[:1].expand(b, -1, -1, -1)"),
        ),
        (
            "square kernels only",
            "A kernel has a height and a width: weight.shape[2] and weight.shape[3].",
            summing(before="kw = kh"),
        ),
        (
            "square images only",
            "An image has a height and a width: x.shape[2] and x.shape[3].",
            summing().replace("x.shape[3]", "x.shape[2]"),
        ),
        (
            "a ReLU after it",
            "A convolution is linear; the activation is another layer.",
            summing(after="out = out.relu()"),
        ),
        ("torch's own conv2d", OWN, "conv2d = torch.nn.functional.conv2d\n"),
        (
            "torch's own conv3d",
            OWN,
            f"""{CONV2D_HEAD}    out = torch.nn.functional.conv3d(
        x[:, :, None], weight[:, :, None], bias, (1, sh, sw), (0, ph, pw), (1, dh, dw)
    )
    return out[:, :, 0]
""",
        ),
    )
)

# --- receptive_field -----------------------------------------------------------------------------


def walk(*steps: str, end: str = "size") -> str:
    """receptive_field from the input on, with these steps for each layer."""
    body = "\n        ".join(steps)
    return f"""def receptive_field(layers):
    size, jump = 1, 1
    for k, s, d in layers:
        {body}
    return {end}
"""


RECEPTIVE_FIELD = tuple(
    Mutant("receptive_field", *mutant)
    for mutant in (
        (
            "the list is reversed in place",
            "layers.reverse() changes the caller's list; reversed(layers) does not.",
            edited(
                convolution.receptive_field,
                "in reversed(layers)",
                "in (layers.reverse() or layers)",
            ),
        ),
        (
            "the list is used up",
            "layers.pop() empties the caller's list.",
            edited(
                convolution.receptive_field,
                "in reversed(layers)",
                "in [layers.pop() for _ in range(len(layers))]",
            ),
        ),
        (
            "a layer's own stride applied too early",
            "A layer's kernel lies on its own input: its stride counts for the layers after it.",
            walk("jump *= s", "size += d * (k - 1) * jump"),
        ),
        (
            "from output to input",
            "The list goes from input to output; with strides the order matters.",
            edited(convolution.receptive_field, "reversed(layers)", "layers"),
        ),
        (
            "strides ignored",
            "After a layer with stride 2, one step is two positions of the input.",
            walk("size += d * (k - 1)"),
        ),
        (
            "only the stride of the layer before",
            "Strides multiply along the way from the input.",
            walk("size += d * (k - 1) * jump", "jump = s"),
        ),
        (
            "strides added instead of multiplied",
            "Two layers with stride 3 make a step of 9.",
            walk("size += d * (k - 1) * jump", "jump += s - 1"),
        ),
        ("dilation ignored", SPAN, walk("size += (k - 1) * jump", "jump *= s")),
        (
            "dilation times the kernel size",
            SPAN,
            edited(
                convolution.receptive_field,
                "dilation * (kernel_size - 1) + 1",
                "dilation * kernel_size",
            ),
        ),
        (
            "dilation carried into the next layers",
            "A dilation stays in its layer: only strides make the next layers' steps longer.",
            walk("jump *= d", "size += (k - 1) * jump", "jump *= s"),
        ),
        (
            "no layers see nothing",
            "Without layers the output is the input, and sees itself: 1.",
            edited(convolution.receptive_field, "return extent", "return extent if layers else 0"),
        ),
        (
            "one too few",
            "The size is last − first + 1.",
            walk("size += d * (k - 1) * jump", "jump *= s", end="size - 1"),
        ),
        (
            "positions counted, not the stretch",
            "Holes count: the size is last − first + 1, not the number of positions that are read.",
            """def receptive_field(layers):
    seen = {0}
    for k, s, d in reversed(layers):
        seen = {y * s + u * d for y in seen for u in range(k)}
    return len(seen)
""",
        ),
    )
)

# --- conv_transpose_output_size ------------------------------------------------------------------

TRANSPOSED_SIZE = tuple(
    Mutant(
        "conv_transpose_output_size",
        name,
        hint,
        f"""def conv_transpose_output_size(
    n, kernel_size, stride=1, padding=0, output_padding=0, dilation=1
):
    span = dilation * (kernel_size - 1) + 1
    return {formula}
""",
    )
    for name, hint, formula in (
        (
            "output_padding on both sides",
            "output_padding is added once, at the end.",
            "(n - 1) * stride - 2 * padding + span + 2 * output_padding",
        ),
        (
            "output_padding ignored",
            "output_padding says which of the possible sizes is meant.",
            "(n - 1) * stride - 2 * padding + span",
        ),
        (
            "output_padding times the stride",
            "output_padding counts positions of the output.",
            "(n - 1 + output_padding) * stride - 2 * padding + span",
        ),
        (
            "dilation ignored",
            SPAN,
            "(n - 1) * stride - 2 * padding + kernel_size + output_padding",
        ),
        (
            "dilation times the kernel size",
            SPAN,
            "(n - 1) * stride - 2 * padding + dilation * kernel_size + output_padding",
        ),
        (
            "a stride after the last kernel",
            "There are n − 1 strides between n kernels, not n.",
            "n * stride - 2 * padding + span + output_padding",
        ),
        (
            "padding on one side",
            "Padding p takes p positions away on each side.",
            "(n - 1) * stride - padding + span + output_padding",
        ),
        (
            "padding added",
            "Padding makes a transposed convolution's output smaller.",
            "(n - 1) * stride + 2 * padding + span + output_padding",
        ),
        (
            "the size of the convolution",
            "This is the way back: from the convolution's output to its input.",
            "(n + 2 * padding - span) // stride + 1 + output_padding",
        ),
        (
            "one too few",
            "One kernel alone covers d(k − 1) + 1 positions.",
            "(n - 1) * stride - 2 * padding + span - 1 + output_padding",
        ),
        (
            "a float",
            "A size is an int.",
            "float((n - 1) * stride - 2 * padding + span + output_padding)",
        ),
    )
)

# --- conv_transpose2d ----------------------------------------------------------------------------

CONV_TRANSPOSE2D_HEAD = """def conv_transpose2d(
    x, weight, bias=None, stride=1, padding=0, output_padding=0
):
    pair = lambda value: value if isinstance(value, (tuple, list)) else (value, value)
    (sh, sw), (ph, pw), (oh, ow) = pair(stride), pair(padding), pair(output_padding)
    b, i, h, w = x.shape
    _, o, kh, kw = weight.shape
"""


def stamping(
    *,
    before: str = "pass",
    total: str = "out[place] + stamp",
    crop: str = "out[:, :, ph : ph + height, pw : pw + width]",
    after: str = "pass",
) -> str:
    """conv_transpose2d as stamps that add up, with one of its parts changed."""
    return f"""{CONV_TRANSPOSE2D_HEAD}    {before}
    height, width = (h - 1) * sh + kh - 2 * ph + oh, (w - 1) * sw + kw - 2 * pw + ow
    out = x.new_zeros(b, o, height + 2 * ph, width + 2 * pw)
    for u in range(kh):
        for v in range(kw):
            stamp = torch.einsum("bihw,io->bohw", x, weight[:, :, u, v])
            rows = slice(u, u + (h - 1) * sh + 1, sh)
            columns = slice(v, v + (w - 1) * sw + 1, sw)
            place = (slice(None), slice(None), rows, columns)
            out[place] = {total}
    out = {crop}
    if bias is not None:
        out = out + bias[:, None, None]
    {after}
    return out
"""


# The output without output_padding.
INNER = "out[:, :, ph : ph + height - oh, pw : pw + width - ow]"

CONV_TRANSPOSE2D = tuple(
    Mutant("conv_transpose2d", *mutant)
    for mutant in (
        (
            "output_padding's rows without the bias",
            "The bias is added to every place, those of output_padding included.",
            stamping(
                after="if bias is not None:\n"
                "        out[:, :, height - oh :] -= bias[:, None, None]\n"
                "        out[:, :, : height - oh, width - ow :] -= bias[:, None, None]"
            ),
        ),
        (
            "the weight's gradient cut",
            GRAPH,
            edited(convolution.conv_transpose2d, "weight.flatten(1)", "weight.data.flatten(1)"),
        ),
        (
            "the input's gradient cut",
            GRAPH,
            edited(convolution.conv_transpose2d, "@ x.flatten(2)", "@ x.detach().flatten(2)"),
        ),
        (
            "the bias's gradient cut",
            GRAPH,
            edited(convolution.conv_transpose2d, "out + bias", "out + bias.detach()"),
        ),
        ("computed in float32", FLOAT32, stamping(after="out = out.float()")),
        (
            "made on the CPU",
            FLOAT32,
            stamping()
            .replace("width + 2 * pw)", "width + 2 * pw, dtype=x.dtype)")
            .replace("x.new_zeros", "torch.zeros")
            .replace("out[place] = out[place] + stamp", "out[place] += stamp"),
        ),
        (
            "by way of float32",
            DETOUR,
            stamping(
                before="kind, x, weight = x.dtype, x.float(), weight.float()",
                after="out = out.to(kind)",
            ),
        ),
        ("the input changed", IN_PLACE, stamping(after="x.detach().zero_()")),
        ("the weight changed", IN_PLACE, stamping(after="weight.detach().neg_()")),
        (
            "only contiguous inputs",
            VIEW,
            edited(convolution.conv_transpose2d, "x.flatten(2)", "x.view(*x.shape[:2], -1)"),
        ),
        (
            "overlapping stamps overwrite each other",
            "Where stamps overlap, they add up.",
            stamping(total="stamp"),
        ),
        (
            "the kernel flipped",
            "The kernel is stamped as it is; it is flipped only for those who gather instead.",
            stamping(before="weight = weight.flip(2, 3)"),
        ),
        (
            "input and output channels confused, where they are as many",
            "The weight is [i, o, kh, kw] here: conv2d's weight, read the other way round.",
            stamping(before="weight = weight.transpose(0, 1) if i == o else weight"),
        ),
        (
            "output_padding at the beginning",
            "output_padding adds rows at the bottom and columns on the right.",
            stamping(crop=f"torch.nn.functional.pad({INNER}, (ow, 0, oh, 0))"),
        ),
        (
            "output_padding's rows always empty",
            "With padding, output_padding shows what the padding would have cut.",
            stamping(crop=f"torch.nn.functional.pad({INNER}, (0, ow, 0, oh))"),
        ),
        (
            "output_padding ignored",
            "output_padding makes the output longer at its end.",
            stamping(before="oh = ow = 0"),
        ),
        (
            "output_padding as (width, height)",
            PAIR,
            stamping(before="oh, ow = ow, oh"),
        ),
        (
            "padding ignored",
            "Padding cuts the border away.",
            stamping(before="ph = pw = 0"),
        ),
        (
            "padding added instead of cut",
            "Padding makes a transposed convolution's output smaller.",
            stamping(crop="torch.nn.functional.pad(out, (pw, pw, ph, ph))"),
        ),
        (
            "padding cut at the beginning only",
            "Padding p cuts p positions on each side.",
            stamping(crop="out[:, :, 2 * ph :, 2 * pw :]"),
        ),
        ("padding as (width, height)", PAIR, stamping(before="ph, pw = pw, ph")),
        ("stride as (width, height)", PAIR, stamping(before="sh, sw = sw, sh")),
        (
            "bias ignored",
            "Add bias[o] to output channel o.",
            edited(convolution.conv_transpose2d, "out + bias[:, None, None]", "out"),
        ),
        (
            "bias added with every stamp",
            "The bias is added once, after the stamps.",
            edited(convolution.conv_transpose2d, "out + bias", "out + kh * kw * bias"),
        ),
        (
            "only the first image of the batch",
            "Every image of the batch has its own output.",
            stamping(after="out = out[:1].expand(b, -1, -1, -1)"),
        ),
        (
            "an inverse instead of an adjoint",
            "A transposed convolution hands values back; it does not undo the sums.",
            stamping(after="out = out / (kh * kw)"),
        ),
        (
            "torch's own conv_transpose2d",
            OWN,
            "conv_transpose2d = torch.nn.functional.conv_transpose2d\n",
        ),
        (
            "the gradient of torch's own conv2d",
            "The backward pass of torch's conv2d is torch's own transposed convolution.",
            f"""{CONV_TRANSPOSE2D_HEAD}
    height, width = (h - 1) * sh + kh - 2 * ph + oh, (w - 1) * sw + kw - 2 * pw + ow
    y = x.new_zeros(b, o, height, width, requires_grad=True)
    z = torch.nn.functional.conv2d(y, weight, stride=stride, padding=padding)
    (out,) = torch.autograd.grad(z, y, x, create_graph=True)
    return out if bias is None else out + bias[:, None, None]
""",
        ),
    )
)

# --- max_pool2d, max_unpool2d --------------------------------------------------------------------


def pooling(old: str, new: str) -> str:
    """Both functions, with an edit in max_pool2d."""
    return beside(convolution.max_unpool2d, edited(convolution.max_pool2d, old, new))


def unpooling(old: str, new: str) -> str:
    """Both functions, with an edit in max_unpool2d."""
    return beside(convolution.max_pool2d, edited(convolution.max_unpool2d, old, new))


MAX_POOL2D = tuple(
    Mutant("max_pool2d", *mutant)
    for mutant in (
        (
            "pooling cuts the gradient",
            GRAPH,
            pooling("return values, row", "return values.detach(), row"),
        ),
        (
            "unpooling cuts the gradient",
            GRAPH,
            unpooling("values.flatten(2)", "values.detach().flatten(2)"),
        ),
        (
            "pooling changes its input",
            IN_PLACE,
            pooling("    return values", "    x.detach().clamp_(max=0)\n    return values"),
        ),
        (
            "unpooling changes the indices",
            "indices += ... changes the caller's tensor; indices = indices + ... makes a new one.",
            beside(
                convolution.max_pool2d,
                """def max_unpool2d(values, indices, kernel_size):
    b, c, h, w = values.shape
    size = h * w * kernel_size**2
    indices += size * torch.arange(b * c, device=indices.device).reshape(b, c, 1, 1)
    out = values.new_zeros(b * c * size).index_put((indices.flatten(),), values.flatten())
    return out.reshape(b, c, h * kernel_size, w * kernel_size)
""",
            ),
        ),
        (
            "unpooling in float32",
            FLOAT32,
            unpooling("values.flatten(2)).reshape", "values.flatten(2)).float().reshape"),
        ),
        (
            "unpooling on the CPU",
            FLOAT32,
            unpooling(
                "values.new_zeros(b, c, size[0] * size[1])",
                "torch.zeros(b, c, size[0] * size[1], dtype=values.dtype)",
            ),
        ),
        (
            "indices as int32",
            "Indices are int64 in torch, so that gather and scatter take them.",
            pooling("row * w + column", "(row * w + column).int()"),
        ),
        (
            "indices with the height for the width",
            "A row of the image has w places: index = row · w + column.",
            pooling("row * w + column", "row * h + column"),
        ),
        (
            "indices within the tile",
            "An index counts along the rows of the whole image, not of its tile.",
            pooling("row * w + column", "place"),
        ),
        (
            "indices of the tiles",
            "The index is that of the maximum, not that of its tile.",
            pooling("row * w + column", "(row // k) * (w // k) + column // k"),
        ),
        (
            "indices across channels",
            "An index counts within the image of its own channel, from 0 to h·w − 1.",
            pooling(
                "row * w + column",
                "row * w + column + h * w * torch.arange(c, device=x.device)[:, None, None]",
            ),
        ),
        (
            "the maximum starts at 0",
            "Where all values are negative the largest is too: start from the first value.",
            pooling("    return values", "    values = values.clamp(min=0)\n    return values"),
        ),
        (
            "the largest absolute value",
            "−9 is less than 1: compare the values, not their sizes.",
            pooling(
                "values, place = tiles.max(dim=4)",
                "place = tiles.abs().argmax(4)\n"
                "    values = tiles.gather(4, place[..., None])[..., 0]",
            ),
        ),
        (
            "the mean",
            "This is max pooling: the largest value of a tile.",
            pooling("    return values", "    values = tiles.mean(dim=4)\n    return values"),
        ),
        (
            "tiles of consecutive values",
            "A tile has rows and columns: after the reshape its two axes have to come together.",
            pooling("h // k, k, w // k, k)", "h // k, w // k, k, k).transpose(3, 4)"),
        ),
        (
            "only the values",
            "Return a pair: values and indices.",
            pooling("return values, row * w + column", "return values"),
        ),
        (
            "unpooling fills the tile",
            "Only one place of a tile gets the value; the rest stays 0.",
            beside(
                convolution.max_pool2d,
                """def max_unpool2d(values, indices, kernel_size):
    return values.repeat_interleave(kernel_size, 2).repeat_interleave(kernel_size, 3)
""",
            ),
        ),
        (
            "unpooling loses negative values",
            "A maximum can be negative, and comes back as it was.",
            unpooling("values.flatten(2)", "values.relu().flatten(2)"),
        ),
        (
            "unpooling to the corners",
            "The value goes back to its index, not to the corner of its tile.",
            beside(
                convolution.max_pool2d,
                """def max_unpool2d(values, indices, kernel_size):
    b, c, h, w = values.shape
    out = values.new_zeros(b, c, h * kernel_size, w * kernel_size)
    out[..., ::kernel_size, ::kernel_size] = values
    return out
""",
            ),
        ),
        (
            "unpooling with height and width confused",
            "The result has h · kernel_size rows and w · kernel_size columns.",
            unpooling("reshape(b, c, *size)", "reshape(b, c, size[1], size[0])"),
        ),
        (
            "torch's own pooling",
            OWN,
            """def max_pool2d(x, kernel_size):
    return torch.nn.functional.max_pool2d(x, kernel_size, return_indices=True)


max_unpool2d = torch.nn.functional.max_unpool2d
""",
        ),
        (
            "torch's own adaptive pooling",
            OWN,
            beside(
                convolution.max_unpool2d,
                """def max_pool2d(x, kernel_size):
    size = x.shape[2] // kernel_size, x.shape[3] // kernel_size
    return torch.nn.functional.adaptive_max_pool2d(x, size, return_indices=True)
""",
            ),
        ),
    )
)

# --- pixel_shuffle, upsample_nearest -------------------------------------------------------------


def shuffling(old: str, new: str) -> str:
    """Both functions, with an edit in pixel_shuffle."""
    return beside(convolution.upsample_nearest, edited(convolution.pixel_shuffle, old, new))


def upsampling(body: str) -> str:
    """Both functions, upsample_nearest with this body."""
    return beside(convolution.pixel_shuffle, f"def upsample_nearest(x, scale):\n    {body}\n")


SCALED = "x.repeat_interleave(scale, 2).repeat_interleave(scale, 3)"
AXES = "x.permute(0, 1, 4, 2, 5, 3)"

PIXEL_SHUFFLE = tuple(
    Mutant("pixel_shuffle", *mutant)
    for mutant in (
        (
            "the shuffle cuts the gradient",
            GRAPH,
            shuffling("x = x.reshape(", "x = x.detach().reshape("),
        ),
        (
            "upsampling cuts the gradient",
            GRAPH,
            upsampling(f"x = x.detach(); return {SCALED}"),
        ),
        (
            "upsampling in float32",
            FLOAT32,
            upsampling("return torch.kron(x.float(), torch.ones(scale, scale))"),
        ),
        ("only contiguous inputs", VIEW, shuffling("x = x.reshape(", "x = x.view(-1).reshape(")),
        (
            "upsampling changes its input",
            IN_PLACE,
            upsampling(f"out = {SCALED}\n    x.detach().neg_()\n    return out"),
        ),
        (
            "channels in TensorFlow's order",
            "The channel is c·r² + i·r + j: output channel first, then the place in the tile.",
            shuffling(
                "x.reshape(b, -1, r, r, h, w)",
                "x.reshape(b, r, r, -1, h, w).permute(0, 3, 1, 2, 4, 5)",
            ),
        ),
        (
            "i and j confused",
            "i counts the rows of a tile, j its columns.",
            shuffling(AXES, "x.permute(0, 1, 4, 3, 5, 2)"),
        ),
        (
            "blocks instead of interleaving",
            "A tile comes from one pixel: row y·r + i, not i·h + y.",
            shuffling(AXES, "x.permute(0, 1, 2, 4, 3, 5)"),
        ),
        (
            "a reshape without a permutation",
            "reshape keeps the order in memory; the axes have to be moved first.",
            shuffling(AXES, "x"),
        ),
        (
            "height and width confused",
            "The result has h·r rows and w·r columns.",
            shuffling("h * r, w * r)", "w * r, h * r)"),
        ),
        (
            "the image repeated",
            "Repeat each pixel, not the whole image: repeat_interleave, not repeat.",
            upsampling("return x.repeat(1, 1, scale, scale)"),
        ),
        (
            "upsampling of the width only",
            "Both axes grow.",
            upsampling("return x.repeat_interleave(scale, 3)"),
        ),
        (
            "upsampling with zeros between",
            "Nearest means that the gaps hold the nearest pixel, not 0.",
            upsampling(
                """out = x.new_zeros(*x.shape[:2], x.shape[2] * scale, x.shape[3] * scale)
    out[..., ::scale, ::scale] = x
    return out"""
            ),
        ),
        (
            "y / scale rounded to the nearest",
            "y // scale is rounded down: each pixel owns the square that begins with it.",
            upsampling(
                """h, w = x.shape[2:]
    rows = (torch.arange(h * scale, device=x.device) / scale).round().long().clamp(max=h - 1)
    columns = (torch.arange(w * scale, device=x.device) / scale).round().long().clamp(max=w - 1)
    return x[:, :, rows][:, :, :, columns]"""
            ),
        ),
        (
            "torch's own pixel_shuffle",
            OWN,
            beside(
                convolution.upsample_nearest, "pixel_shuffle = torch.nn.functional.pixel_shuffle\n"
            ),
        ),
        (
            "torch's own interpolate",
            OWN,
            upsampling("return torch.nn.functional.interpolate(x, scale_factor=scale)"),
        ),
        (
            "torch's own interpolate, by area",
            OWN,
            upsampling(
                "return torch.nn.functional.interpolate(x, scale_factor=scale, mode='area')"
            ),
        ),
    )
)

# --- quiz ----------------------------------------------------------------------------------------

LETTERS = tuple(
    Mutant("quiz", name, hint, f"quiz = {answers!r}\n")
    for name, hint, answers in (
        (
            "padding against overfitting",
            "Padding changes the size of the output; it regularises nothing.",
            QUIZ | {"zero_padding": "B"},
        ),
        (
            "padding for speed",
            "More positions are more work, not less.",
            QUIZ | {"zero_padding": "C"},
        ),
        (
            "padding for depth",
            "The number of channels is the number of kernels; padding is about height and width.",
            QUIZ | {"zero_padding": "D"},
        ),
        (
            "dilation sees too little",
            "Dilation widens what a kernel sees; it leaves out what lies between.",
            QUIZ | {"dilation": "B"},
        ),
        (
            "dilation costs more",
            "The number of weights, and of products, stays the same.",
            QUIZ | {"dilation": "C"},
        ),
        (
            "dilation makes a network shallow",
            "Depth is the number of layers; dilation does not change it.",
            QUIZ | {"dilation": "D"},
        ),
        (
            "a stride of two at every position",
            "At every position: that is a stride of one.",
            QUIZ | {"stride": "A"},
        ),
        (
            "the kernel's size taken for its step",
            "How far the kernel moves is the stride, not its size.",
            QUIZ | {"stride": "C"},
        ),
        (
            "overlap taken for the stride's effect",
            "The windows do overlap by one; what the stride does is to skip every other position.",
            QUIZ | {"stride": "D"},
        ),
        (
            "lower-case letters",
            "The letters are A, B, C and D.",
            {question: letter.lower() for question, letter in QUIZ.items()},
        ),
        ("nothing filled in", "Put a letter for each None.", dict.fromkeys(QUIZ)),
        (
            "a list of letters",
            "quiz is a dict: the question's name, and its letter.",
            list(QUIZ.values()),
        ),
        (
            "a question left out",
            "There are three questions.",
            {"zero_padding": "A", "dilation": "A"},
        ),
    )
)

MUTANTS: tuple[Mutant, ...] = (
    *OUTPUT_SIZE,
    *SAME_PADDING,
    *ZERO_PAD2D,
    *CONV2D,
    *RECEPTIVE_FIELD,
    *TRANSPOSED_SIZE,
    *CONV_TRANSPOSE2D,
    *MAX_POOL2D,
    *PIXEL_SHUFFLE,
    *LETTERS,
)
