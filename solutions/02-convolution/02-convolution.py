# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · Convolution, down and up
#
# **The goal:** you write every operation that makes an image smaller or larger inside a convolutional network, from padding to pixel shuffle, and see what each one does to a handwritten digit.
#
# Run the next cell for a picture of where this goes. There torch does the work. The last cell of this notebook draws the same picture with your own functions.

# %% tags=["experiment"]
import torch
import torch.nn.functional as F

from gradus import plots
from gradus.data import digits

images, labels = digits()
# Handwritten digits of 8×8 pixels, with a margin, smoothly enlarged so that there is more to see.
large = F.pad(images[[13, 55, 42, 44]], (1, 1, 1, 1))
large = F.interpolate(large, scale_factor=4, mode="bicubic").clamp(0, 1)  # [4, 1, 40, 40]
digit = large[:1]

sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
sobel = torch.stack([sobel, sobel.T])[:, None]  # two kernels: [2, 1, 3, 3]
tent = torch.tensor([1.0, 3, 5, 7, 7, 5, 3, 1]) / 8
tent = tent.outer(tent)[None, None]  # [1, 1, 8, 8]

edges = F.conv2d(digit, sobel, padding=1).norm(dim=1, keepdim=True)
pooled, places = F.max_pool2d(edges, 4, return_indices=True)
figure = plots.images(
    {
        "a digit": digit,
        "its edges: conv2d": edges,
        "smaller: max_pool2d": pooled,
        "back: max_unpool2d": F.max_unpool2d(pooled, places, 4),
        "back: conv_transpose2d": F.conv_transpose2d(pooled, tent, stride=4, padding=2),
        "back: upsample_nearest": F.interpolate(pooled, scale_factor=4),
    },
    columns=3,
)

# %% [markdown]
# **You should see** six images, bright where the value is large. A three of 40×40 pixels; its outline, bright where the brightness of the digit changes; the outline at a quarter of the size, 10×10 pixels. Then three ways back to 40×40: single bright dots where the outline was strongest, a soft blur in the shape of the three, and blocks of 4×4 equal pixels.
#
# ## What you will be able to do
#
# - **compute** the output size of a convolution and of its transpose, and **choose** the padding for the size you want;
# - **implement** `conv2d` and `conv_transpose2d` from indexing and sums, with stride, padding and dilation;
# - **tell** how much of the input one output can see;
# - **explain** where checkerboard artefacts in generated images come from, and **avoid** them;
# - **choose** between max-unpooling, transposed convolution, pixel shuffle and nearest-neighbour upsampling.
#
# **What to know before:** Python functions and loops; tensors, shapes, slicing with a step (`x[..., 0:7:2]`), broadcasting. Sums with indices. No networks are trained here.
#
# ## What there is to do
#
# | | exercise | points | minutes |
# |---|---|---:|---:|
# | 1 | `conv_output_size` | 10 | 10 |
# | 2 | `same_padding` | 8 | 10 |
# | 3 | `zero_pad2d` | 6 | 5 |
# | 4 | `conv2d` | 20 | 30 |
# | 5 | `receptive_field` | 8 | 10 |
# | 6 | `conv_transpose_output_size` | 6 | 5 |
# | 7 | `conv_transpose2d` | 16 | 30 |
# | 8 | `max_pool2d`, `max_unpool2d` | 12 | 20 |
# | 9 | `pixel_shuffle`, `upsample_nearest` | 8 | 15 |
# | 10 | `quiz` | 6 | 5 |
# | | **total** | **100** | **140** |
#
# Finished, the whole notebook runs offline on a laptop in about 10 seconds. No GPU, no download.
#
# ## How it works
#
# Below each exercise a cell `check("...")` tells you at once which properties hold, and shows the smallest call where one does not. It runs some of the checks; grading runs those and more of the same kind. The docstring says everything that is asked for. Hints are folded: open one level at a time. Cells that only draw something are not graded; change them as you like.
#
# Four rules hold for **every function here that takes tensors**:
#
# 1. It works in float32 and in float64 and on any device. What it returns has the dtype and device of its input. So make new tensors with `x.new_zeros(...)` or `torch.arange(..., device=x.device)`, not on the default device.
# 2. It takes strided inputs, such as a transposed or sliced tensor. `reshape` copes with them where `view` raises an error.
# 3. It leaves its inputs as they were.
# 4. Gradients flow through it, to every floating-point input. (So no `.detach()`, `.item()` or numpy on the way. Writing into a slice of a new tensor is fine.)
#
# Sizes are at least 1, inputs are finite. Shapes are written b batch, c channels, h height, w width; i and o are input and output channels. An exercise may use the earlier ones: if an earlier one is still wrong, a correct one stands in for it when this one is graded.
#
# Run the next cell first. It gives you one small helper, because layers take a number or a pair: `pair(2)` is `(2, 2)`, `pair((1, 2))` is `(1, 2)`.

# %%
import math

import torch

from autograder.notebook import checks_of

check = checks_of("02-convolution")


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """(value, value) for an int; a pair (height, width), tuple or list, as a tuple."""
    return (value, value) if isinstance(value, int) else tuple(value)


# %% [markdown]
# ## 1. How many positions does a kernel take?
#
# A convolution lays a small **kernel** on the input, multiplies what lies on top of each other, adds up, and writes one number. Then it moves on. The size of the output is the number of positions that the kernel can take. So before any values: count positions. We do it along one axis; height and width are counted separately, in the same way.
#
# Four numbers decide. The **kernel size** k says how many input pixels are read. The **dilation** d is the distance between neighbouring pixels that are read: with d = 2 every second one is skipped, and the kernel spans more than k pixels. The **stride** s is how far the kernel moves from one position to the next. The **padding** p adds p zeros at both ends, so that the kernel can also sit at the border.
#
# This picture shows the first two positions along a row.

# %% tags=["experiment"]
figure = plots.sampling_patterns(
    7,
    {
        "kernel 3": {"kernel_size": 3},
        "kernel 3, padding 1": {"kernel_size": 3, "padding": 1},
        "kernel 3, stride 2": {"kernel_size": 3, "stride": 2},
        "kernel 3, dilation 2": {"kernel_size": 3, "dilation": 2},
    },
)

# %% [markdown]
# **You should see** four grids of 7×7 pixels. Orange discs: the nine pixels that the kernel reads first, at the top left. Blue squares: those that it reads next, one step to the right. Plain, the step is one pixel and six of nine pixels are read again. With padding, a grey ring of zeros surrounds the grid, and the kernel begins out there. With stride 2 the step is two pixels, and one column is read again. With dilation 2 the nine pixels spread over five by five, with gaps.
#
# ### The formula
#
# $$ m = \left\lfloor \frac{n + 2p - d\,(k-1) - 1}{s} \right\rfloor + 1 $$
#
# | symbol | meaning | range |
# |---|---|---|
# | n | size of the input along this axis | ≥ 1 |
# | k | kernel size | ≥ 1 |
# | s | stride | ≥ 1 |
# | p | padding, zeros at each of the two ends | ≥ 0 |
# | d | dilation, distance between pixels that are read | ≥ 1 |
# | m | size of the output | ≥ 1 |
#
# **In words:** a dilated kernel spans d(k − 1) + 1 pixels: its first, and d more for each of the others. Take the padded axis, n + 2p, and put the kernel at its left end. What is left over on the right is how far it can still travel. Each stride uses up s of that; a rest smaller than s is lost, so round down. The starting position makes one more.
#
# The lecture (exercise sheet of 2023-10-26, question 6) writes ⌊(n − k + 2p)/s⌋ + 1. It has no dilation. Put d = 1 into ours and you get the lecture's.
#
# **By hand.** The grids above, n = 7:
#
# | setting | span d(k − 1) + 1 | room n + 2p | (room − span)/s | m |
# |---|---:|---:|---:|---:|
# | k = 3 | 3 | 7 | 4 | 5 |
# | k = 3, p = 1 | 3 | 9 | 6 | 7 |
# | k = 3, s = 2 | 3 | 7 | 2 | 3 |
# | k = 3, d = 2 | 5 | 7 | 2 | 3 |
# | k = 4, s = 2 | 4 | 7 | 1.5, down to 1 | 2 |
#
# In the last row the kernel starts at pixels 0 and 2 and ends at pixel 5. Pixel 6 is never read.

# %% [markdown]
# ### Exercise 1: `conv_output_size`


# %% exercise="conv_output_size"
def conv_output_size(
    n: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    """The number of positions that a kernel takes along an axis of size n.

    floor((n + 2·padding − dilation·(kernel_size − 1) − 1) / stride) + 1

    All arguments are ints, and so is what is returned (never a float: sizes of a million must be
    exact). It is the size that torch's convolutions give.

    Raises ValueError
    - where the dilated kernel does not fit: it spans more than n + 2·padding;
    - where an argument is out of range: n, kernel_size, stride or dilation below 1, padding below 0.
    """
    ### BEGIN SOLUTION
    if min(n, kernel_size, stride, dilation) < 1 or padding < 0:
        raise ValueError("n, kernel_size, stride, dilation must be ≥ 1 and padding ≥ 0")
    span = dilation * (kernel_size - 1) + 1
    room = n + 2 * padding
    if span > room:
        raise ValueError(f"the kernel spans {span}, the padded axis only {room}")
    return (room - span) // stride + 1
    ### END SOLUTION


# %% check="conv_output_size"
check("conv_output_size")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Name two things first: how many pixels the kernel spans, and how much room it has. Every case, the errors too, can be said with those two.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# span = d(k − 1) + 1 and room = n + 2p. Then m = ⌊(room − span)/s⌋ + 1, as long as span ≤ room. In Python `//` divides and rounds down, and the result stays an int. It rounds down for negative numbers too, so a kernel that does not fit can still give a harmless-looking number: test for it before you divide.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# if any argument is out of range: raise ValueError with a sentence
# span, room = ...
# if span is larger than room: raise ValueError with a sentence
# steps = how many whole strides fit into the rest
# return the first position and those steps
# ```
#
# </details>
#
# **Something to look at.** Your function follows an image of 224×224 through ResNet-18, a network that you will meet everywhere.

# %% tags=["experiment"]
with plots.when_finished():
    size, sizes = 224, [224]
    for kernel_size, stride, padding in [
        (7, 2, 3),
        (3, 2, 1),
        (3, 1, 1),
        (3, 2, 1),
        (3, 2, 1),
        (3, 2, 1),
    ]:
        size = conv_output_size(size, kernel_size, stride, padding)
        sizes.append(size)
    print(" → ".join(map(str, sizes)))

# %% [markdown]
# **You should see** 224 → 112 → 56 → 56 → 28 → 14 → 7: a layer of stride 2 halves the size, a layer of stride 1 with matching padding keeps it.
#
# ## 2. Padding that keeps the size
#
# Often you want the opposite direction: the output size is given, and the padding is asked for. With stride 1 the wish is "as large as the input". With stride s it is "one output for every s inputs, rounded up": ⌈n/s⌉. TensorFlow calls this padding **SAME**, and most networks are designed with it.
#
# One number p for both ends is not always enough. With a kernel of even size the total is odd, and one end must get one zero more. The convention: the **end** gets it.
#
# $$ t = \max\bigl(0,\; (\lceil n/s \rceil - 1)\,s + d\,(k-1) + 1 - n\bigr), \qquad \text{before} = \lfloor t/2 \rfloor, \quad \text{after} = t - \text{before} $$
#
# | symbol | meaning |
# |---|---|
# | n, k, s, d | as before |
# | ⌈n/s⌉ | the output size that we want |
# | t | zeros in total |
# | before, after | zeros at the start and at the end of the axis |
#
# **In words:** the last of ⌈n/s⌉ positions starts at (⌈n/s⌉ − 1)s and spans d(k − 1) + 1 pixels. Where that reaches beyond the input, zeros have to stand. Where the stride is larger than the kernel, the last position may end before the input does. Then nothing is missing, and t is 0, not negative.
#
# **By hand.**
# - n = 5, k = 4, s = 1: five positions, the last starts at 4 and ends after 4 + 4 = 8 pixels. t = 8 − 5 = 3, so (1, 2).
# - n = 6, k = 3, s = 2: three positions, the last starts at 4 and ends after 7. t = 1, so (0, 1).
# - n = 5, k = 1, s = 3: two positions, the last starts at 3 and ends after 4. Nothing is missing: (0, 0).

# %% [markdown]
# ### Exercise 2: `same_padding`


# %% exercise="same_padding"
def same_padding(n: int, kernel_size: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """The zeros (before, after) that make the output of an axis of size n ceil(n / stride) long.

    before + after is the smallest total ≥ 0 that does it. An odd zero goes after, so
    after − before is 0 or 1. All arguments are ints ≥ 1, up to millions; returns a tuple of two
    ints.
    """
    ### BEGIN SOLUTION
    size = -(-n // stride)
    end = (size - 1) * stride + dilation * (kernel_size - 1) + 1
    total = max(0, end - n)
    return total // 2, total - total // 2
    ### END SOLUTION


# %% check="same_padding"
check("same_padding")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Where does the last position start, and where does it end? Compare that end with n.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# ⌈n/s⌉ with whole numbers alone: (n + s − 1) // s. The total is what the end of the last position lies beyond n, and never below 0. Halve it, rounding down, for `before`; the rest is `after`.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# size  = n divided by stride, rounded up
# end   = start of position number size − 1, plus the span of the kernel
# total = end − n, or 0 if that is negative
# split total into halves; an odd one goes to the second
# ```
#
# </details>
#
# **Something to look at.** Zeros are drawn as ○, the input as ■.

# %% tags=["experiment"]
with plots.when_finished():
    for n, kernel_size, stride in [(5, 3, 1), (5, 4, 1), (6, 3, 2), (5, 5, 2), (5, 1, 3)]:
        before, after = same_padding(n, kernel_size, stride)
        axis = "○" * before + "■" * n + "○" * after
        outputs = conv_output_size(len(axis), kernel_size, stride)
        wanted = math.ceil(n / stride)
        print(
            f"kernel {kernel_size}, stride {stride}:  {axis:9}  {outputs} outputs, {wanted} wanted"
        )

# %% [markdown]
# **You should see** five rows:
#
# ```
# kernel 3, stride 1:  ○■■■■■○    5 outputs, 5 wanted
# kernel 4, stride 1:  ○■■■■■○○   5 outputs, 5 wanted
# kernel 3, stride 2:  ■■■■■■○    3 outputs, 3 wanted
# kernel 5, stride 2:  ○○■■■■■○○  3 outputs, 3 wanted
# kernel 1, stride 3:  ■■■■■      2 outputs, 2 wanted
# ```
#
# ## 3. Zeros around an image
#
# Now the padding itself. It is the smallest operation of this notebook, and the one where the order of the arguments goes wrong most often. Torch lists paddings from the **last** axis to the first: (left, right, top, bottom). Left and right are columns, so they change the width. Top and bottom are rows.
#
# $$ \text{out}[b, c, y, z] = \begin{cases} x[b, c,\; y - \text{top},\; z - \text{left}] & \text{if } 0 \le y - \text{top} < h \text{ and } 0 \le z - \text{left} < w \\ 0 & \text{otherwise} \end{cases} $$
#
# | symbol | meaning | shape |
# |---|---|---|
# | x | input | [b, c, h, w] |
# | left, right, top, bottom | numbers of zeros, each ≥ 0 | ints |
# | out | output | [b, c, h + top + bottom, w + left + right] |
#
# **In words:** make an image of zeros that is large enough, and lay x into it, `top` rows down and `left` columns to the right.
#
# **By hand:** padding (1, 0, 0, 2) puts one column on the left and two rows below.
#
# $$ \begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix} \;\to\; \begin{bmatrix} 0 & 1 & 2 \\ 0 & 3 & 4 \\ 0 & 0 & 0 \\ 0 & 0 & 0 \end{bmatrix} $$

# %% [markdown]
# ### Exercise 3: `zero_pad2d`


# %% exercise="zero_pad2d"
def zero_pad2d(x: torch.Tensor, padding: tuple[int, int, int, int]) -> torch.Tensor:
    """x with zeros around it.

    x: [b, c, h, w], float32 or float64, contiguous or not.
    padding: (left, right, top, bottom), a tuple or list of ints ≥ 0.
    Returns [b, c, h + top + bottom, w + left + right] with x's dtype and device: x in the middle,
    zero elsewhere. x itself stays as it is; gradients reach x.
    """
    ### BEGIN SOLUTION
    left, right, top, bottom = padding
    b, c, h, w = x.shape
    out = x.new_zeros(b, c, top + h + bottom, left + w + right)
    out[:, :, top : top + h, left : left + w] = x
    return out
    ### END SOLUTION


# %% check="zero_pad2d"
check("zero_pad2d")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Start with a tensor of zeros in its final size. Then one assignment to a slice does the rest.
#
# </details>
# <details><summary>Hint 2: the details</summary>
#
# `x.new_zeros(shape)` makes zeros with the dtype and device of x; `torch.zeros(shape)` doesn't. Rows of x go to the rows from `top` up to `top + h`. End the slice there, not at `-bottom`: for `bottom = 0` that would be an empty slice.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# take the four numbers and the four sizes apart
# out = zeros of the final size, like x
# out at (all, all, h rows from top, w columns from left) = x
# return out
# ```
#
# </details>
#
# **Something to look at.** A three, bright paper and dark ink, so that the zeros show.

# %% tags=["experiment"]
with plots.when_finished():
    figure = plots.images(
        {"x": 1 - digit, "padding (4, 8, 0, 16)": zero_pad2d(1 - digit, (4, 8, 0, 16))}
    )

# %% [markdown]
# **You should see** the same digit twice. In the second image there is a narrow dark strip on the left, one of twice the width on the right, none above, and the widest below.
#
# ## 4. Convolution
#
# Everything is in place. At each position, the kernel looks at a window of the input. It multiplies each pixel of the window with the weight that lies on it, and adds up all products. The same weights are used at every position. That is the point of it: an edge is an edge wherever it is, so one small set of weights looks for it everywhere. Shift the input and the output shifts with it.
#
# Images have channels, and a layer makes several outputs. So a weight has four axes: for each **output channel** o there is one kernel of size [i, kh, kw] that reads all **input channels** at once and adds over them. Each output channel also has one number of its own, the **bias**.
#
# $$ \text{out}[b, o, y, z] = \text{bias}[o] + \sum_{i} \sum_{u=0}^{k_h-1} \sum_{v=0}^{k_w-1} \text{weight}[o, i, u, v] \cdot \hat{x}[b, i,\; y\,s_h + u\,d_h,\; z\,s_w + v\,d_w] $$
#
# | symbol | meaning | shape or range |
# |---|---|---|
# | x | input | [b, i, h, w] |
# | x̂ | x with p_h rows of zeros above and below, p_w columns left and right | [b, i, h + 2p_h, w + 2p_w] |
# | weight | kernels | [o, i, k_h, k_w] |
# | bias | one number for each output channel, or none | [o] |
# | y, z | row and column of the output | 0 … h′ − 1, 0 … w′ − 1 |
# | u, v | row and column in the kernel | 0 … k_h − 1, 0 … k_w − 1 |
# | s, p, d | stride, padding, dilation, one for height and one for width | ints |
# | out | output, with h′ and w′ as in exercise 1 | [b, o, h′, w′] |
#
# **In words:** output (y, z) belongs to the window that starts at row y·s and column z·s of the padded input. Kernel entry (u, v) lies on the pixel u·d rows further down and v·d columns further right. Multiply, and add over the input channels and the whole kernel.
#
# In mathematics this is the **cross-correlation**. A convolution in the strict sense turns the kernel by 180° first. Deep learning leaves that out, because a learned kernel would learn to be turned; the name stayed. We do the same as torch: nothing is turned.
#
# ### The lecture's example, by hand
#
# The exercise sheet of 2023-10-26 (question 6) takes this input and the 3×3 identity matrix as the kernel, stride 1:
#
# $$ x = \begin{bmatrix} 1 & 1 & 1 & 1 & 1 \\ 1 & 2 & 2 & 2 & 1 \\ 1 & 2 & 5 & 2 & 1 \\ 1 & 2 & 2 & 2 & 1 \\ 1 & 1 & 1 & 1 & 1 \end{bmatrix}, \qquad \text{weight} = \begin{bmatrix} 1 & 0 & 0 \\ 0 & 1 & 0 \\ 0 & 0 & 1 \end{bmatrix} $$
#
# This kernel adds up the diagonal of each window. **Without padding** the output has ⌊(5 − 3)/1⌋ + 1 = 3 rows and columns. The window at the top left has the diagonal 1, 2, 5, which makes 8. One step to the right the diagonal is 1, 2, 2, which makes 5. One more step: 1, 2, 1, which makes 4. The middle window has 2, 5, 2: that is 9.
#
# $$ \text{no padding:} \begin{bmatrix} 8 & 5 & 4 \\ 5 & 9 & 5 \\ 4 & 5 & 8 \end{bmatrix} \qquad\qquad \text{padding 1:} \begin{bmatrix} 3 & 3 & 3 & 2 & 1 \\ 3 & 8 & 5 & 4 & 2 \\ 3 & 5 & 9 & 5 & 3 \\ 2 & 4 & 5 & 8 & 3 \\ 1 & 2 & 3 & 3 & 3 \end{bmatrix} $$
#
# **With padding 1** it has ⌊(5 − 3 + 2)/1⌋ + 1 = 5. At the top left the window starts in the ring of zeros; its diagonal is 0, 1, 2, which makes 3. The nine numbers from before are all there, in the middle. Padding changes none of them, it adds a border.

# %% tags=["experiment"]
x = torch.tensor(
    [[1.0, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 2, 5, 2, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]]
)
no_padding = torch.tensor([[8.0, 5, 4], [5, 9, 5], [4, 5, 8]])
figure = plots.convolution_step(x, torch.eye(3), no_padding, at=(0, 1))

# %% [markdown]
# **You should see** the input, the kernel and the output as tables of numbers. Nine pixels of the input are framed, rows 0 to 2 and columns 1 to 3. In the output the 5 in the middle of the first row is framed. Below it stands the sum 1·1 + 2·1 + 2·1 = 5. Change `at` to see another position.

# %% [markdown]
# ### Exercise 4: `conv2d`


# %% exercise="conv2d"
def conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
) -> torch.Tensor:
    """The cross-correlation of x with weight, plus bias, as torch.nn.functional.conv2d has it.

    out[b, o, y, z] = bias[o] + Σ_{i,u,v} weight[o, i, u, v] · x̂[b, i, y·s + u·d, z·s + v·d],
    where x̂ is x with `padding` zeros on each side. The kernel is not turned.

    x: [b, i, h, w]; weight: [o, i, kh, kw]; bias: [o] or None, which means no bias. One dtype for
    all, float32 or float64; contiguous or not. kh and kw may differ, and so may h and w.
    stride, padding, dilation: an int for both axes, or a pair (height, width), tuple or list.
    Returns [b, o, h', w'], sizes as in conv_output_size, with x's dtype and device. Inputs stay as
    they are; gradients reach x, weight and bias. A kernel that does not fit is not tested; padding
    wider than the kernel and strides wider than the input are.

    Forbidden, in the forward and the backward pass: every convolution operation of torch under any
    name (conv1d, conv2d, conv_transpose2d, nn.Conv2d ...). Allowed: slicing, einsum, matmul,
    unfold, fold, FFT and your functions from above.
    """
    ### BEGIN SOLUTION
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    x = zero_pad2d(x, (pw, pw, ph, ph))
    kh, kw = weight.shape[2:]
    rows = (conv_output_size(x.shape[2], kh, sh, 0, dh) - 1) * sh + 1
    columns = (conv_output_size(x.shape[3], kw, sw, 0, dw) - 1) * sw + 1
    out = 0.0
    for u in range(kh):
        for v in range(kw):
            # What kernel entry (u, v) lies on, for all positions at once: [b, i, h', w'].
            seen = x[:, :, u * dh : u * dh + rows : sh, v * dw : v * dw + columns : sw]
            out = out + torch.einsum("bihw,oi->bohw", seen, weight[:, :, u, v])
    return out if bias is None else out + bias[:, None, None]
    ### END SOLUTION


# %% check="conv2d"
check("conv2d")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Four loops over b, o, y, z are right and far too slow. Turn it round: loop over the few entries (u, v) of the kernel. One entry reads, for all output positions together, a picture of its own: the padded input, moved by (u·d, v·d), taking every s-th pixel. Add up these pictures, each multiplied with its weights.
#
# (Another good way: `torch.nn.functional.unfold` lays all windows into the columns of a matrix, and one matrix product does every sum. Look up the order of its rows.)
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# For kernel entry u, the rows that it reads are u·d, u·d + s, u·d + 2s, …, h′ of them. As a slice: start u·d, step s, and the last row is u·d + (h′ − 1)s, so stop one after that. Columns likewise. What comes out is [b, i, h′, w′]. Multiply it with weight[:, :, u, v], which is [o, i], and add over i: the result is [b, o, h′, w′]. `torch.einsum` does this in one line. Bias must become [o, 1, 1] to broadcast.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# stride, padding and dilation become pairs
# pad x on all four sides; mind the order left, right, top, bottom
# h', w' from conv_output_size, on the padded sizes with padding 0
# out = nothing yet
# for each kernel entry (u, v):
#     window picture = padded x: h' rows from u·d in steps of s, w' columns likewise
#     out += (sum over i of window picture × weights of this entry)   # [b, o, h', w']
# add the bias, if there is one
# ```
#
# </details>
#
# **Something to look at: the lecture's example, with your function.**

# %% tags=["experiment"]
with plots.when_finished():
    lecture = conv2d(x[None, None], torch.eye(3)[None, None], padding=1)
    figure = plots.convolution_step(x, torch.eye(3), lecture, at=(0, 0), padding=1)

# %% [markdown]
# **You should see** the input with a grey ring of zeros, and the 5×5 output from the lecture, first row 3 3 3 2 1. The nine framed pixels begin in the corner of the ring. Below: 0·1 + 1·1 + 2·1 = 3. If the number in your output is another one, the line says so.
#
# **Edges.** The kernel with rows −1 0 1 subtracts what is on the left from what is on the right. Where the image is even, that is zero. Its transpose does the same from top to bottom.

# %% tags=["experiment"]
with plots.when_finished():
    pictures = {}
    for name, image in zip(("three", "zero", "one"), large, strict=False):
        left_right, up_down = conv2d(image[None], sobel, padding=1)[0]
        pictures[name] = image
        pictures[f"{name}, left to right"] = left_right
        pictures[f"{name}, top to bottom"] = up_down
    figure = plots.images(pictures, columns=3, signed=True)

# %% [markdown]
# **You should see** three rows: a three, a zero and a one, and two edge images of each. White is no change. Violet: it gets brighter from left to right, or from top to bottom; orange: it gets darker. In the middle column each stroke has a violet left flank and an orange right flank. In the last column it is violet on top and orange below. Of the one it shows the slanted flag and the two ends of the upright stroke; its long flanks are missing.
#
# **What stride, padding and dilation do to a real image:**

# %% tags=["experiment"]
with plots.when_finished():
    pictures = {"digit: 40×40": digit}
    for setting in [{}, {"padding": 8}, {"stride": 3}, {"dilation": 5}]:
        out = conv2d(digit, sobel[:1], **setting)
        words = ", ".join(f"{name} {value}" for name, value in setting.items()) or "plain"
        pictures[f"{words}: {out.shape[2]}×{out.shape[3]}"] = out
    figure = plots.images(pictures, signed=True)

# %% [markdown]
# **You should see** five images: the three; its left-to-right edges, 38×38; with padding 8 the same picture, smaller, in a wide margin, 54×54; with stride 3 the same picture in coarse pixels, 13×13; with dilation 5 only 30×30 pixels, one broad violet and one broad orange band. There the compared pixels are ten apart instead of two, so the bends of the three are lost.
#
# ### Predict, then run: a kernel with a single one
#
# A kernel of 17×17, all zeros but for a single one at its **top right**. With padding 8 the output is as large as the input. Before you run the cell, write down what happens to the digit. Does it stay, move up and right, or move down and left?

# %% tags=["experiment"]
with plots.when_finished():
    corner = torch.zeros(1, 1, 17, 17)
    corner[0, 0, 0, 16] = 1
    figure = plots.images(
        {"kernel": corner, "digit": digit, "convolved": conv2d(digit, corner, padding=8)}
    )

# %% [markdown]
# <details><summary>What happens, and why</summary>
#
# The digit moves **down and left**, by eight pixels each, and part of it leaves the image. The output at (y, z) is the pixel that lies under the single one, and with padding 8 that is the pixel at (y − 8, z + 8), up and to the right of it. Each output fetches from the upper right, so the picture moves to the lower left. A strict convolution, with the kernel turned by 180°, would move it up and right. If yours does that, look for a flip.
#
# </details>
#
# ## 5. How far can one output see?
#
# One layer with kernel 3 sees three pixels along an axis. A second such layer sees three outputs of the first, and through them five pixels. The stretch of the input that can change one output is the **receptive field** of that output. An object that is larger cannot be recognised from that output alone, so it is worth knowing.
#
# Two things make it grow fast. Dilation spreads the kernel. Stride is stronger: after a layer with stride 2, neighbouring outputs are two input pixels apart, so each later step counts double.
#
# $$ R = 1 + \sum_{l=1}^{L} d_l\,(k_l - 1) \prod_{m=1}^{l-1} s_m $$
#
# | symbol | meaning |
# |---|---|
# | L | number of layers; layer 1 reads the input |
# | k_l, s_l, d_l | kernel size, stride, dilation of layer l |
# | ∏ s_m for m < l | the distance, in input pixels, of neighbouring inputs of layer l; 1 for the first layer |
# | R | last − first + 1 of the input positions that one output depends on |
#
# **In words:** start with one pixel. Each layer adds the reach of its kernel, d(k − 1) steps. A step of layer l is as long as the product of all strides **before** it. Its own stride only matters for the layers after it. R counts from the first position to the last, gaps that a dilated kernel leaves included.
#
# **By hand:** three layers (k, s, d) = (3, 1, 1), (3, 2, 1), (3, 1, 1). The first adds 2·1. The second adds 2·1, since the stride before it is 1. The third adds 2·(1·2) = 4. Together R = 1 + 2 + 2 + 4 = 9.

# %% [markdown]
# ### Exercise 5: `receptive_field`


# %% exercise="receptive_field"
def receptive_field(layers: list[tuple[int, int, int]]) -> int:
    """The stretch of the input that one output can see, along one axis, as an int.

    layers: (kernel_size, stride, dilation) of each layer, all ints ≥ 1, from input to output; a
    list or tuple, of lists or tuples.
    Returns last − first + 1 of the input positions that one output depends on, gaps between them
    included, on an input without borders. No layers: 1. `layers` stays as it is.
    """
    ### BEGIN SOLUTION
    extent, step = 1, 1
    for kernel_size, stride, dilation in layers:
        extent += dilation * (kernel_size - 1) * step
        step *= stride
    return extent
    ### END SOLUTION


# %% check="receptive_field"
check("receptive_field")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Walk from the input to the output and remember two numbers: how much is seen so far, and how far apart neighbours are by now, in input pixels.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# R starts at 1 and the distance at 1. Layer (k, s, d) adds d(k − 1) × distance to R. After that, and not before, the distance is multiplied by s.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# seen, distance = 1, 1
# for each layer, from the input on:
#     seen grows by the kernel's reach, in units of distance
#     distance grows by the layer's stride
# return seen
# ```
#
# </details>
#
# ### Predict, then run: the same two layers, swapped
#
# One layer has stride 2, the other stride 1; both have kernel 3. In the first network the strided layer comes first, in the second it comes last. Which output sees more of the input, or is there no difference? Decide, then run.

# %% tags=["experiment"]
with plots.when_finished():
    stacks = {
        "stride 2 first": [(3, 2, 1), (3, 1, 1)],
        "stride 2 last": [(3, 1, 1), (3, 2, 1)],
        "dilation 2 twice": [(3, 1, 2), (3, 1, 2)],
    }
    figure = plots.receptive_fields(
        {f"{name}: receptive_field = {receptive_field(s)}": s for name, s in stacks.items()}
    )

# %% [markdown]
# **You should see** three trees that grow down from one blue disc, the output, to orange discs on the input. The first reaches positions 0 to 6, the second only 0 to 4. The third reaches 0 to 8, but 1, 3, 5 and 7 are empty rings: they lie within the receptive field and are never read. The number in each title should be the count of discs and rings at the bottom.
#
# <details><summary>Why the order matters</summary>
#
# With the stride first, the second layer's inputs are two pixels apart, so its reach of 2 counts as 4: R = 1 + 2 + 4 = 7. With the stride last, nobody comes after it to profit: R = 1 + 2 + 2 = 5. This is one reason why networks shrink the image early. And the rings in the third tree are why stacks of equal dilations are avoided: they see far, with holes.
#
# </details>
#
# ## 6. The way up: how large?
#
# A generator turns a few numbers into an image, so it needs layers that make images larger. The **transposed convolution** does it with a kernel that is learned. It is the mirror image of `conv2d`: where a convolution leads from size n to size m, its transpose leads from m to n.
#
# There is one snag. With stride 2 a convolution rounds down, so two input sizes lead to the same output size. The way back cannot know which was meant. You say it, with **output padding**, between 0 and s − 1.
#
# $$ m = (n - 1)\,s - 2p + d\,(k - 1) + \text{output padding} + 1 $$
#
# | symbol | meaning | range |
# |---|---|---|
# | n | size of the small side, the input here | ≥ 1 |
# | k, s, d | as before | ≥ 1 |
# | p | padding **of the convolution that is mirrored**: here it cuts p off at each end | ≥ 0 |
# | output padding | how many positions more at the end | 0 … s − 1 |
# | m | size of the output | ≥ 1 |
#
# **In words:** the n inputs sit s apart, so first and last are (n − 1)s apart. Each covers a kernel's span, d(k − 1) + 1. Then p is cut off at both ends, and output padding is added at the end.
#
# **By hand:** k = 3, s = 2, p = 1 maps 7 to ⌊(7 + 2 − 3)/2⌋ + 1 = 4, and 8 to ⌊7/2⌋ + 1 = 4 too. Back from 4: 3·2 − 2 + 2 + 0 + 1 = 7, and with output padding 1 it is 8.

# %% [markdown]
# ### Exercise 6: `conv_transpose_output_size`


# %% exercise="conv_transpose_output_size"
def conv_transpose_output_size(
    n: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> int:
    """The size, an int, of an axis of size n after a transposed convolution.

    (n − 1)·stride − 2·padding + dilation·(kernel_size − 1) + output_padding + 1

    All arguments are ints in range, 0 ≤ output_padding < stride, and the result is at least 1;
    what happens elsewhere is up to you. conv_output_size of the result, with the same kernel_size,
    stride, padding and dilation, is n again.
    """
    ### BEGIN SOLUTION
    span = dilation * (kernel_size - 1) + 1
    return (n - 1) * stride + span - 2 * padding + output_padding
    ### END SOLUTION


# %% check="conv_transpose_output_size"
check("conv_transpose_output_size")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Lay n spans on an axis, each s further than the one before. How long is the whole?
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# (n − 1)s + span, with the span from exercise 1. Padding shortens both ends, output padding lengthens one.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# span  = as in exercise 1
# whole = start of the last span + span
# return whole, less what is cut off, plus what is added
# ```
#
# Mind the argument order: here `output_padding` comes before `dilation`.
#
# </details>
#
# **Something to look at:** there and back again.

# %% tags=["experiment"]
with plots.when_finished():
    for n in (7, 8, 9, 10):
        down = conv_output_size(n, 3, stride=2, padding=1)
        up = [conv_transpose_output_size(down, 3, 2, 1, output_padding=o) for o in (0, 1)]
        print(f"{n:2} → {down} → {up[0]} or, with output padding 1, {up[1]}")

# %% [markdown]
# **You should see** that 7 and 8 both go to 4, and from there back to 7 or 8; that 9 and 10 both go to 5, and from there back to 9 or 10.
#
# ## 7. Transposed convolution
#
# In `conv2d` an output **gathers**: it reads a window and adds up. Turn all arrows round. Now an input **scatters**: it takes the kernel, multiplies it with its own value and stamps it onto the output. The next input stamps s pixels further on. Where stamps overlap they add up.
#
# Why "transposed"? A convolution is linear. Write the image as one long vector, and the convolution is a matrix C, mostly zeros, with the kernel's weights in each row. The transposed convolution multiplies with Cᵀ. This is also exactly what the backward pass of a convolution does with gradients. It is **not** the inverse: it restores the shape, not the values. The old name "deconvolution" promises too much.
#
# $$ \text{out}[b, o, Y, Z] = \text{bias}[o] + \sum_{i}\; \sum_{\substack{y,\,u:\; y\,s_h + u - p_h = Y}}\;\; \sum_{\substack{z,\,v:\; z\,s_w + v - p_w = Z}} x[b, i, y, z] \cdot \text{weight}[i, o, u, v] $$
#
# | symbol | meaning | shape |
# |---|---|---|
# | x | input, the small side | [b, i, h, w] |
# | weight | the stamps; **input channels come first** | [i, o, k_h, k_w] |
# | bias | one number for each output channel, or none | [o] |
# | s, p | stride, padding, one for height and one for width | ints |
# | out | output, sizes as in exercise 6 | [b, o, h′, w′] |
#
# **In words:** input pixel (y, z) stamps its kernel with the upper left corner at (y·s − p, z·s − p). What falls outside the output is lost; that is the padding, cutting. Output padding makes the output longer at the bottom and on the right, so less is lost there. Where no stamp reaches, there is just the bias.
#
# The property that defines it is that of a transpose. For all x and y, with weight[o, i, kh, kw] and the same stride and padding in both,
#
# $$ \langle \text{conv2d}(x, \text{weight}),\; y \rangle = \langle x,\; \text{conv\_transpose2d}(y, \text{weight}) \rangle $$
#
# where ⟨a, b⟩ is the sum of all products of entries at the same place. The weight is used as it is: what `conv2d` calls output channels are the input channels on the way back.
#
# **By hand,** along one axis: x = [1, 2], kernel [1, 2, 3], stride 2. The output has (2 − 1)·2 + 3 = 5 entries.
#
# | | 0 | 1 | 2 | 3 | 4 |
# |---|---:|---:|---:|---:|---:|
# | stamp of the 1 | 1 | 2 | 3 | | |
# | stamp of the 2 | | | 2 | 4 | 6 |
# | sum | **1** | **2** | **5** | **4** | **6** |
#
# With padding 1, both ends are cut: [2, 5, 4]. With padding 1 and output padding 1, only one end is: [2, 5, 4, 6].

# %% [markdown]
# ### Exercise 7: `conv_transpose2d`


# %% exercise="conv_transpose2d"
def conv_transpose2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    output_padding: int | tuple[int, int] = 0,
) -> torch.Tensor:
    """The transpose (adjoint) of conv2d, plus bias, as torch.nn.functional.conv_transpose2d has it.

    ⟨conv2d(x, weight), y⟩ = ⟨x, conv_transpose2d(y, weight)⟩, with the same stride and padding:
    each x[b, i, y, z] adds x[b, i, y, z] · weight[i] with the upper left corner at row y·s − p and
    column z·s − p of the output. Overlaps add up, what falls outside is dropped, and where nothing
    lands the output is bias[o], or 0.

    x: [b, i, h, w]; weight: [i, o, kh, kw]; bias: [o] or None, which means no bias. One dtype for
    all, float32 or float64; contiguous or not. kh and kw may differ, and so may h and w.
    stride, padding, output_padding: an int for both axes, or a pair (height, width), tuple or list.
    0 ≤ output_padding < stride. It lengthens the output at the bottom and on the right.
    Returns [b, o, h', w'], sizes as in conv_transpose_output_size (at least 1), with x's dtype and
    device. Inputs stay as they are; gradients reach x, weight and bias.

    Forbidden, in the forward and the backward pass: every convolution operation of torch under any
    name (conv_transpose2d, conv2d, nn.ConvTranspose2d ...). Allowed: slicing, einsum, matmul,
    unfold, fold, FFT and your functions from above, conv2d too.
    """
    ### BEGIN SOLUTION
    (sh, sw), (ph, pw), (oh, ow) = pair(stride), pair(padding), pair(output_padding)
    b, _, h, w = x.shape
    _, o, kh, kw = weight.shape
    height = conv_transpose_output_size(h, kh, sh, 0, oh)
    width = conv_transpose_output_size(w, kw, sw, 0, ow)
    out = x.new_zeros(b, o, height, width)
    for u in range(kh):
        for v in range(kw):
            # Entry (u, v) of all stamps at once: they land s apart.
            landed = (slice(u, u + (h - 1) * sh + 1, sh), slice(v, v + (w - 1) * sw + 1, sw))
            out[:, :, *landed] += torch.einsum("bihw,io->bohw", x, weight[:, :, u, v])
    out = out[:, :, ph : height - ph, pw : width - pw]
    return out if bias is None else out + bias[:, None, None]
    ### END SOLUTION


# %% check="conv_transpose2d"
check("conv_transpose2d")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# The same trick as before: loop over the kernel's entries, not over pixels. Entry (u, v) of all stamps lands on pixels that are s apart. Make the output without cutting first, add everything, and cut at the end.
#
# (Two other good ways. Put s − 1 zeros between the pixels of x, pad with k − 1 − p, and use `conv2d` with the kernel turned by 180° and its channel axes swapped. Or multiply first and let `torch.nn.functional.fold` do the stamping.)
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# Without cutting the output has (h − 1)s + k + output padding rows. Entry u of the h stamps in a column lands on rows u, u + s, …, u + (h − 1)s: a slice with step s. What is added there is the sum over i of x[b, i] · weight[i, o, u, v], of shape [b, o, h, w]. At the end, drop the first p rows and the last p; likewise for columns. Count the stop of that slice from the front: `-p` is wrong for p = 0.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# stride, padding and output padding become pairs
# out = zeros of [b, o, uncut height, uncut width], like x
# for each kernel entry (u, v):
#     out at (rows from u in steps of s, columns from v in steps of s)
#         += x times the weights of this entry, summed over input channels
# cut the padding off on all four sides
# add the bias, if there is one
# ```
#
# </details>
#
# **Something to look at.** One bright pixel, then two neighbours, through a kernel that is a small pyramid, with stride 2.

# %% tags=["experiment"]
with plots.when_finished():
    pyramid = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    one, two = torch.zeros(2, 1, 1, 3, 3)
    one[0, 0, 1, 1] = 1
    two[0, 0, 1, 0:2] = 1
    figure = plots.images(
        {
            "one pixel": one,
            "its stamp": conv_transpose2d(one, pyramid[None, None], stride=2),
            "two pixels": two,
            "their stamps": conv_transpose2d(two, pyramid[None, None], stride=2),
        },
        numbers=True,
    )

# %% [markdown]
# **You should see** four tables of numbers. One pixel of 1 in the middle of 3×3 becomes the pyramid 1 2 1 / 2 4 2 / 1 2 1 in the middle of 7×7. The two pixels become two pyramids, two columns apart. They share one column, and there the values add up: the middle row reads 2 4 4 4 2 0 0.
#
# ### Predict, then run: is flat still flat?
#
# The input is all ones, and so is the kernel. Nothing in it has a pattern. Enlarge it with stride 2, once with kernel 3, once with kernel 4. Is the inside of the output flat, both times? Write down what you expect, then run.

# %% tags=["experiment"]
with plots.when_finished():
    ones = torch.ones(1, 1, 5, 5)
    figure = plots.images(
        {
            f"kernel {k}, stride 2": conv_transpose2d(ones, torch.ones(1, 1, k, k), stride=2)
            for k in (3, 4)
        },
        numbers=True,
        shared=True,
    )

# %% [markdown]
# **You should see** for kernel 3 a checkerboard: ones, twos and fours alternate all over the image. For kernel 4 there is a rim of ones and twos, and inside it all values are 4.
#
# <details><summary>Why</summary>
#
# Count the stamps that fall on one output, along one axis. The next cell draws it. With kernel 3 and stride 2, neighbouring stamps share one pixel, so outputs get one stamp and two stamps in turn. In two dimensions the counts multiply: 1, 2 and 4. With kernel 4 and stride 2 each output inside gets exactly two. The rule: **the overlap is even where the kernel size is divisible by the stride.** A network can learn weights that balance an uneven overlap, but it has to spend effort on it, and in generated images the pattern often shines through (Odena et al., 2016).
#
# </details>

# %% tags=["experiment"]
figure = plots.stamps(5, {"kernel 3, stride 2": (3, 2), "kernel 4, stride 2": (4, 2)})

# %% [markdown]
# **You should see** two staircases of five blue bars, one bar for each input, and below them the number of bars over each output. On the left the numbers are 1 1 2 1 2 1 2 1 2 1 1, on the right 1 1 2 2 2 2 2 2 2 2 1 1.
#
# ## 8. Max-pooling, and back
#
# Pooling makes an image smaller without any weights. Cut it into tiles of k×k pixels and keep the largest value of each. Whether an edge was found matters more than where exactly, and after pooling a shift by a pixel often changes nothing.
#
# What is lost is the place. But it can be kept: remember for each tile **where** its maximum was. **Unpooling** then puts each value back in its place, with zeros around. Decoders that must draw sharp borders do this (Zeiler and Fergus, 2014).
#
# $$ \text{values}[b, c, y, z] = \max_{0 \le u, v < k} x[b, c,\; y k + u,\; z k + v], \qquad \text{indices}[b, c, y, z] = Y\,w + Z $$
#
# | symbol | meaning | shape |
# |---|---|---|
# | x | input; h and w are multiples of k | [b, c, h, w] |
# | k | kernel size, and stride too: tiles don't overlap | int |
# | values | the largest value of each tile | [b, c, h/k, w/k] |
# | Y, Z | row and column of that value **in the whole image**, not in the tile | |
# | indices | its place as one number, counted along the rows, int64 | [b, c, h/k, w/k] |
#
# **In words:** number the pixels of each channel from 0 to h·w − 1, row after row. An index is the number of the pixel where the maximum was. Unpooling starts with zeros and writes values[b, c, y, z] to pixel indices[b, c, y, z] of its channel.
#
# **By hand:** k = 2, four columns, so index = 4·row + column.
#
# $$ x = \begin{bmatrix} 1 & 7 & 2 & 0 \\ 3 & 5 & 1 & 4 \\ -3 & -2 & 6 & 1 \\ -1 & -4 & 0 & 2 \end{bmatrix} \quad \text{values} = \begin{bmatrix} 7 & 4 \\ -1 & 6 \end{bmatrix} \quad \text{indices} = \begin{bmatrix} 1 & 7 \\ 12 & 10 \end{bmatrix} \quad \text{unpooled} = \begin{bmatrix} 0 & 7 & 0 & 0 \\ 0 & 0 & 0 & 4 \\ 0 & 0 & 6 & 0 \\ -1 & 0 & 0 & 0 \end{bmatrix} $$
#
# The lower left tile is all negative, and its maximum is −1. Zero is not in it.

# %% [markdown]
# ### Exercise 8: `max_pool2d` and `max_unpool2d`


# %% exercise="max_pool2d"
def max_pool2d(x: torch.Tensor, kernel_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest value of each kernel_size × kernel_size tile of x, and where it was.

    x: [b, c, h, w], float32 or float64, of either sign, contiguous or not; h and w are multiples
    of kernel_size, an int ≥ 1, which is the stride too.
    Returns (values, indices), both [b, c, h / kernel_size, w / kernel_size] on x's device. values
    has x's dtype. indices is int64: row · w + column of the maximum in its channel of x. Where
    several pixels of a tile share the maximum, any of them will do.
    x stays as it is; gradients reach x through values.

    Forbidden: every pooling operation of torch under any name (max_pool2d, adaptive_max_pool2d,
    nn.MaxPool2d ...). Allowed: reshape, permute, unfold, max, amax, argmax, gather ...
    """
    ### BEGIN SOLUTION
    k = kernel_size
    b, c, h, w = x.shape
    tiles = x.reshape(b, c, h // k, k, w // k, k).transpose(3, 4).flatten(4)
    values, place = tiles.max(dim=4)
    row = torch.arange(0, h, k, device=x.device)[:, None] + place // k
    column = torch.arange(0, w, k, device=x.device) + place % k
    return values, row * w + column
    ### END SOLUTION


def max_unpool2d(values: torch.Tensor, indices: torch.Tensor, kernel_size: int) -> torch.Tensor:
    """Each value back at its index, zero everywhere else: the way back from max_pool2d.

    values: [b, c, h, w], float32 or float64, of either sign; indices: int64 of the same shape, each
    from 0 to h·kernel_size·w·kernel_size − 1 and no two alike in one channel, as max_pool2d gives
    them. Contiguous or not. kernel_size: an int ≥ 1.
    Returns [b, c, h · kernel_size, w · kernel_size] with values' dtype and device. Inputs stay as
    they are; gradients reach values.

    Forbidden: every pooling and unpooling operation of torch under any name (max_unpool2d,
    nn.MaxUnpool2d ...). Allowed: scatter, indexing ...
    """
    ### BEGIN SOLUTION
    b, c, h, w = values.shape
    flat = values.new_zeros(b, c, h * kernel_size * w * kernel_size)
    flat = flat.scatter(2, indices.flatten(2), values.flatten(2))
    return flat.reshape(b, c, h * kernel_size, w * kernel_size)
    ### END SOLUTION


# %% check="max_pool2d"
check("max_pool2d")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Bring each tile's k·k pixels onto an axis of its own. Then one `max` along that axis gives the values and the place inside the tile, together. The place in the whole image follows by arithmetic. Unpooling is one `scatter` into a flat image of zeros.
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# Splitting h into (h/k, k) and w into (w/k, k) is a reshape to six axes: [b, c, h/k, k, w/k, k]. The two axes of length k must become neighbours before they are merged. A place q in the tile is row q // k, column q % k of the tile. Tile (y, z) starts at row y·k, column z·k. So the index is (y·k + q // k)·w + z·k + q % k, with `torch.arange` for y and z.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# pool:   tiles = x in six axes → tile rows next to tile columns → merged: [b, c, h/k, w/k, k·k]
#         values, place = max along the last axis
#         row, column = start of each tile + place, taken apart
#         return values, row · w + column
#
# unpool: flat = zeros [b, c, (h·k)·(w·k)], like values
#         flat = scatter along the last axis: the values, flat per channel, to their indices
#         return flat as an image
# ```
#
# `scatter` gives a new tensor and lets gradients through.
#
# </details>
#
# **Something to look at:** the example from above, then a digit's edges.

# %% tags=["experiment"]
with plots.when_finished():
    by_hand = torch.tensor([[1.0, 7, 2, 0], [3, 5, 1, 4], [-3, -2, 6, 1], [-1, -4, 0, 2]])[
        None, None
    ]
    values, indices = max_pool2d(by_hand, 2)
    pictures = {"x": by_hand, "values": values, "indices": indices}
    pictures["unpooled"] = max_unpool2d(values, indices, 2)
    figure = plots.images(pictures, numbers=True)

    edges = conv2d(digit, sobel, padding=1).norm(dim=1, keepdim=True)
    values, indices = max_pool2d(edges, 4)
    pictures = {"edges, 40×40": edges, "pooled, 10×10": values}
    pictures["unpooled, 40×40"] = max_unpool2d(values, indices, 4)
    figure = plots.images(pictures)

# %% [markdown]
# **You should see** first the four tables of the example by hand: values 7 4 / −1 6, indices 1 7 / 12 10. Then the edges of the three; the same at a quarter of the size; and single dots, one for each tile of 4×4, where the edge image is brightest in that tile. The dots follow the outline, not a grid.
#
# ## 9. Two ways to enlarge without overlap
#
# **Nearest-neighbour upsampling** repeats every pixel r×r times. It has no weights; let a `conv2d` follow and it becomes "resize, then convolve", the cure for checkerboards that Odena et al. recommend.
#
# **Pixel shuffle** (Shi et al., 2016) goes another way. A convolution at low resolution, where it is cheap, makes r² numbers for each pixel of the large image's coarse grid, in r² channels. Then these are laid out as tiles of r×r pixels. Nothing is computed, only moved: channels become resolution.
#
# $$ \text{shuffled}[b, c,\; y r + i,\; z r + j] = x[b,\; c\,r^2 + i\,r + j,\; y, z], \qquad \text{nearest}[b, c, Y, Z] = x[b, c,\; \lfloor Y / r \rfloor,\; \lfloor Z / r \rfloor] $$
#
# | symbol | meaning | shape |
# |---|---|---|
# | r | upscaling factor (`r` or `scale`) | int |
# | i, j | row and column in a tile (here not channels) | 0 … r − 1 |
# | x | input of pixel shuffle; of nearest | [b, c·r·r, h, w]; [b, c, h, w] |
# | shuffled, nearest | output | [b, c, h·r, w·r] |
#
# **In words:** channels come in groups of r². Group c makes output channel c. Within a group, channel number i·r + j provides the pixel in row i and column j of every tile.
#
# **By hand:** r = 2, four channels of one row and two columns each.
#
# $$ \text{channels}\;\; [a_0\; a_1],\;\; [b_0\; b_1],\;\; [c_0\; c_1],\;\; [d_0\; d_1] \quad\to\quad \begin{bmatrix} a_0 & b_0 & a_1 & b_1 \\ c_0 & d_0 & c_1 & d_1 \end{bmatrix} $$

# %% [markdown]
# ### Exercise 9: `pixel_shuffle` and `upsample_nearest`


# %% exercise="pixel_shuffle"
def pixel_shuffle(x: torch.Tensor, r: int) -> torch.Tensor:
    """Channels become resolution: out[b, c, y·r + i, z·r + j] = x[b, c·r² + i·r + j, y, z].

    x: [b, c·r·r, h, w], float32 or float64, contiguous or not; r: an int ≥ 1.
    Returns [b, c, h·r, w·r] with x's dtype and device. x stays as it is; gradients reach x.

    Forbidden: torch's pixel_shuffle and interpolate under any name (nn.PixelShuffle, nn.Upsample
    ...). Allowed: reshape, permute, indexing ...
    """
    ### BEGIN SOLUTION
    b, channels, h, w = x.shape
    c = channels // (r * r)
    tiles = x.reshape(b, c, r, r, h, w)  # b, c, i, j, y, z
    return tiles.permute(0, 1, 4, 2, 5, 3).reshape(b, c, h * r, w * r)
    ### END SOLUTION


def upsample_nearest(x: torch.Tensor, scale: int) -> torch.Tensor:
    """Every pixel scale × scale times: out[b, c, y, z] = x[b, c, y // scale, z // scale].

    x: [b, c, h, w], float32 or float64, contiguous or not; scale: an int ≥ 1.
    Returns [b, c, h·scale, w·scale] with x's dtype and device. x stays as it is; gradients reach x.

    Forbidden: torch's interpolate and pixel_shuffle under any name (nn.Upsample, nn.PixelShuffle
    ...). Allowed: repeat_interleave, kron, expand, indexing ...
    """
    ### BEGIN SOLUTION
    b, c, h, w = x.shape
    copies = x[:, :, :, None, :, None].expand(b, c, h, scale, w, scale)
    return copies.reshape(b, c, h * scale, w * scale)
    ### END SOLUTION


# %% check="pixel_shuffle"
check("pixel_shuffle")

# %% [markdown]
# <details><summary>Hint 1: the idea</summary>
#
# Pixel shuffle is one reshape, one permutation of axes, one more reshape. Nearest is "each row scale times, then each column scale times".
#
# </details>
# <details><summary>Hint 2: the formula</summary>
#
# Split the channel axis into (c, i, j), in this order, since i·r + j counts j fastest. The output's row is y·r + i: y must stand directly before i. Its column is z·r + j: z directly before j.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# shuffle: x as [b, c, i, j, y, z]
#          axes in the order b, c, y, i, z, j
#          merge y with i, and z with j
#
# nearest: repeat along the height, then along the width
#          (each entry scale times in a row: a b → a a b b, not a b a b)
# ```
#
# </details>
#
# **Something to look at:** four flat channels, shuffled; and six pixels, enlarged.

# %% tags=["experiment"]
with plots.when_finished():
    flat = torch.tensor([1.0, 2, 3, 4]).reshape(1, 4, 1, 1).expand(1, 4, 2, 3)
    shuffled = pixel_shuffle(flat, 2)
    tiny = torch.tensor([[[[1.0, 2, 3], [4, 5, 6]]]])
    figure = plots.images({f"channel {i}": flat[:, i] for i in range(4)}, numbers=True, shared=True)
    figure = plots.images(
        {
            "shuffled, r = 2": shuffled,
            "tiny": tiny,
            "nearest, scale 2": upsample_nearest(tiny, 2),
        },
        numbers=True,
    )

# %% [markdown]
# **You should see** four flat images of 2×3 pixels with the values 1 to 4. Then three tables. The shuffled one has 4×6 pixels and repeats one tile, 1 2 above 3 4. The tiny one holds 1 2 3 above 4 5 6; enlarged, its rows read 1 1 2 2 3 3, twice, and 4 4 5 5 6 6, twice.
#
# ### Predict, then run: is flat still flat, again?
#
# Pixel shuffle has no overlap, so does that cure the checkerboard? Take a flat grey image. A 1×1 convolution with random weights, as at the start of training, makes four channels of it, and pixel shuffle makes an image twice as large. Next to it: enlarge with nearest first, then a 3×3 convolution with random weights. Which of the two is flat inside? Predict, then run.

# %% tags=["experiment"]
with plots.when_finished():
    rng = torch.Generator().manual_seed(0)
    grey = torch.full((1, 1, 6, 6), 0.5)
    shuffled = pixel_shuffle(conv2d(grey, torch.randn(4, 1, 1, 1, generator=rng)), 2)
    resized = conv2d(upsample_nearest(grey, 2), torch.randn(1, 1, 3, 3, generator=rng), padding=1)
    figure = plots.images({"shuffled": shuffled, "resized, then convolved": resized}, signed=True)

# %% [markdown]
# **You should see** on the left a pattern of 2×2 tiles that repeats over the whole image. On the right the inside is flat, and only the outermost ring differs.
#
# <details><summary>Why</summary>
#
# The four channels have different weights, and each provides one corner of every tile. On a flat image each channel is flat, but at a different height. So the output repeats with period r. It is another cause than overlap, with the same look. Starting all r² channels of a group with equal weights makes the first output as smooth as nearest (Aitken et al., 2017, call it ICNR). On the right all pixels see the same surroundings and get the same value; at the rim the kernel reaches into the zeros of the padding.
#
# </details>
#
# ## 10. Quiz
#
# Three questions from the exercise sheet of 2023-10-26, in our own words. One letter each.
#
# **`zero_padding`** (question 6). Why do convolutional networks put zeros around an image or feature map before they convolve it?
#
# - A: so that height and width do not shrink from layer to layer
# - B: so that the network overfits less
# - C: so that the computation is faster
# - D: so that the feature map gets more channels
#
# **`dilation`** (question 15). Two species of sparrow differ in a thin stripe over the eye. A network shall tell them apart. Why can dilated kernels be a poor choice for such fine-grained classes?
#
# - A: they skip pixels, and so may miss the small differences that matter
# - B: they see too little of the surroundings
# - C: they need more computation than a kernel of the same size without dilation
# - D: they make the network less deep
#
# **`stride`** (question 18). With stride 1 a kernel of size three computes a weighted sum at every position along a row. At which of those positions does it compute one when the stride is two? (The question is where the windows start. That two neighbouring windows still share a pixel, since 3 is more than 2, is not what is asked.)
#
# - A: at every position
# - B: at every second position
# - C: at every third position
# - D: at every position, and twice where windows overlap

# %% [markdown]
# ### Exercise 10: `quiz`
#
# Write a letter in place of each `None`, in quotes, such as `"D"`. Delete what stands below the dict.

# %% exercise="quiz"
quiz = {
    "zero_padding": None,
    "dilation": None,
    "stride": None,
}
### BEGIN SOLUTION
quiz.update(zero_padding="A", dilation="A", stride="B")
### END SOLUTION

# %% check="quiz"
check("quiz")

# %% [markdown]
# ## The same picture, by your own code
#
# These are the lines of the first cell without the `F.` before them. Nothing of torch's convolutions is left.

# %% tags=["experiment"]
with plots.when_finished():
    edges = conv2d(digit, sobel, padding=1).norm(dim=1, keepdim=True)
    pooled, places = max_pool2d(edges, 4)
    figure = plots.images(
        {
            "a digit": digit,
            "its edges: conv2d": edges,
            "smaller: max_pool2d": pooled,
            "back: max_unpool2d": max_unpool2d(pooled, places, 4),
            "back: conv_transpose2d": conv_transpose2d(pooled, tent, stride=4, padding=2),
            "back: upsample_nearest": upsample_nearest(pooled, 4),
        },
        columns=3,
    )

# %% [markdown]
# **You should see** exactly the six images from the top of the notebook.
#
# ## Questions to think about
#
# 1. Two layers of 3×3 see as much as one layer of 5×5. How many weights does each need, for c channels in and out? What else do the two layers have that the one doesn't?
# 2. A network of `conv2d` layers with zero padding should treat all places alike. How could it still find out that a pixel is near the border?
# 3. Three layers of kernel 3 with dilations 1, 2, 4: how large is the receptive field, and are there holes? And with 2, 2, 2?
# 4. `same_padding` of an even kernel is lopsided. Stack ten such layers. What happens to the position of an edge?
# 5. Max-pooling by 2 forgets a shift by one pixel only sometimes. When does it, and when doesn't it?
# 6. `conv_transpose2d(conv2d(x))` has the shape of x. When does it have its values, too?
#
# ## If you want to go on
#
# - **The matrix itself.** Feed `conv2d` all images of size 4×4 that are 0 but for a single 1. Each output is one column of the matrix C. Draw it with `plots.images`, and check with it that your `conv_transpose2d` multiplies with Cᵀ.
# - **Learn a kernel.** Make pairs of digits and their Sobel edges. Start from a random 3×3 kernel and find the Sobel kernel by gradient descent through your `conv2d`. How many digits does it take at least?
# - **Separable kernels.** The pyramid of section 7 is an outer product. Do it with two one-dimensional convolutions and count the multiplications.
# - **Groups.** Add an argument `groups`, as torch has it. With as many groups as channels you have the depthwise convolution that mobile networks are made of.
# - **Fourier.** Do the convolution with `torch.fft.rfft2`. From what kernel size on is it faster?
#
# ## References
#
# - V. Dumoulin, F. Visin: *A guide to convolution arithmetic for deep learning*, 2016, [arXiv:1603.07285](https://arxiv.org/abs/1603.07285). Chapter 2 for sections 1 to 4 here, chapter 4 for sections 6 and 7, section 5.1 for dilation. All the pictures you could wish for.
# - A. Odena, V. Dumoulin, C. Olah: *Deconvolution and checkerboard artifacts*, Distill, 2016, [distill.pub/2016/deconv-checkerboard](https://distill.pub/2016/deconv-checkerboard/). Read "Deconvolution & Overlap".
# - W. Shi et al.: *Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural network*, CVPR 2016, [arXiv:1609.05158](https://arxiv.org/abs/1609.05158). Read the section on the efficient sub-pixel convolution layer.
# - F. Yu, V. Koltun: *Multi-scale context aggregation by dilated convolutions*, ICLR 2016, [arXiv:1511.07122](https://arxiv.org/abs/1511.07122). Section 2.
# - A. Araujo, W. Norris, J. Sim: *Computing receptive fields of convolutional neural networks*, Distill, 2019, [distill.pub/2019/computing-receptive-fields](https://distill.pub/2019/computing-receptive-fields/). Read "Single-path networks".
# - M. Zeiler, R. Fergus: *Visualizing and understanding convolutional networks*, ECCV 2014, [arXiv:1311.2901](https://arxiv.org/abs/1311.2901). Section 2.1, on unpooling.
# - A. Aitken et al.: *Checkerboard artifact free sub-pixel convolution*, 2017, [arXiv:1707.02937](https://arxiv.org/abs/1707.02937). On ICNR.
# - C.-R. Chung, CE6146 Introduction to Deep Learning, National Central University: exercise sheet of 2023-10-26, questions 6, 15 and 18; lecture of 2023-11-02, "Upsampling in Generator" and "Downsampling in Discriminator".
