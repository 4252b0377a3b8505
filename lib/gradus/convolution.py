"""Convolution, its transpose, pooling and upsampling, built from matrix products and indexing.

Shapes: b batch, c, i and o channels (any, input, output), h and w height and width. In formulas n
is the size of one axis of the input and m that of the output; k, s, p, d are kernel size, stride,
padding and dilation along it. The arithmetic is that of Dumoulin and Visin, A guide to convolution
arithmetic for deep learning (arXiv:1603.07285).

Every function follows its input's dtype and device, leaves its input unchanged and is
differentiable.
"""

import torch


def conv_output_size(
    n: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    """The number of positions that a kernel takes along an axis of size n.

    m = floor((n + 2p − d(k − 1) − 1) / s) + 1

    Raises ValueError where n, kernel_size, stride or dilation is below 1, where padding is
    negative, and where the dilated kernel, d(k − 1) + 1 wide, does not fit into n + 2p.
    Source: exercise sheet 20231026, question 6; the dilation from Dumoulin and Visin, section 5.1.
    """
    if min(n, kernel_size, stride, dilation) < 1 or padding < 0:
        raise ValueError(
            "n, kernel_size, stride and dilation must be at least 1 and padding at least 0, got "
            f"{n=}, {kernel_size=}, {stride=}, {dilation=}, {padding=}"
        )
    span = dilation * (kernel_size - 1) + 1
    room = n + 2 * padding
    if span > room:
        raise ValueError(f"a kernel that spans {span} does not fit into {room} (n + 2 padding)")
    return (room - span) // stride + 1


def same_padding(n: int, kernel_size: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """The least zeros (before, after) an axis of size n that make the output ceil(n / s) long.

    before + after = max(0, (ceil(n / s) − 1)s + d(k − 1) + 1 − n)

    That is where the last position ends, less what is there already. The odd zero goes after. With
    stride 1 the output is as long as the input, which gave the scheme its name ("SAME" in
    TensorFlow).
    """
    size = -(-n // stride)  # ceil, without a detour through floats
    end = (size - 1) * stride + dilation * (kernel_size - 1) + 1
    total = max(0, end - n)
    return total // 2, total - total // 2


def zero_pad2d(x: torch.Tensor, padding: tuple[int, int, int, int]) -> torch.Tensor:
    """x[b, c, h, w] with zeros around it: [b, c, top + h + bottom, left + w + right].

    padding is (left, right, top, bottom), each at least 0, in the order of torch.nn.ZeroPad2d.
    """
    left, right, top, bottom = padding
    b, c, h, w = x.shape
    out = x.new_zeros(b, c, top + h + bottom, left + w + right)
    out[:, :, top : top + h, left : left + w] = x
    return out


def conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
) -> torch.Tensor:
    """The cross-correlation of x[b, i, h, w] with weight[o, i, kh, kw], plus bias[o].

    out[b, o, y, z] = bias[o] + Σ_{i,u,v} weight[o, i, u, v] · x[b, i, y·s + u·d − p, z·s + v·d − p]

    with x zero outside its borders. A pair is (height, width). Output: [b, o, h', w'] with sizes as
    in conv_output_size. The patches under the kernel become the columns of a matrix (im2col), so
    that one matrix product does all the sums.
    Source: Chellapilla, Puri and Simard, High performance convolutional neural networks for
    document processing (2006).
    """
    (sh, sw), (ph, pw), (dh, dw) = (
        pair if isinstance(pair, (tuple, list)) else (pair, pair)
        for pair in (stride, padding, dilation)
    )
    b, _, h, w = x.shape
    o, _, kh, kw = weight.shape
    size = (conv_output_size(h, kh, sh, ph, dh), conv_output_size(w, kw, sw, pw, dw))
    patches = torch.nn.functional.unfold(  # [b, i·kh·kw, h'·w']
        x, (kh, kw), dilation=(dh, dw), padding=(ph, pw), stride=(sh, sw)
    )
    out = weight.flatten(1) @ patches  # [b, o, h'·w']
    if bias is not None:
        out = out + bias[:, None]
    return out.reshape(b, o, *size)


def receptive_field(layers: list[tuple[int, int, int]]) -> int:
    """The stretch of the input that one output can see: last − first + 1 of its positions.

    layers are (kernel_size, stride, dilation), from input to output. m neighbouring outputs of a
    layer see a stretch of (m − 1)s + d(k − 1) + 1 of its inputs, holes included, so the walk goes
    from one output back to the input. No layers see 1.
    Source: Araujo, Norris and Sim, Computing receptive fields of convolutional neural networks
    (Distill, 2019).
    """
    extent = 1
    for kernel_size, stride, dilation in reversed(layers):
        extent = (extent - 1) * stride + dilation * (kernel_size - 1) + 1
    return extent


def conv_transpose_output_size(
    n: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> int:
    """The size of an axis after a transposed convolution of an axis of size n.

    m = (n − 1)s − 2p + d(k − 1) + output_padding + 1

    conv_output_size maps `stride` sizes to the same n; output_padding, from 0 to stride − 1, says
    which of them is meant. Source: Dumoulin and Visin, section 4.
    """
    span = dilation * (kernel_size - 1) + 1
    return (n - 1) * stride - 2 * padding + span + output_padding


def conv_transpose2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    output_padding: int | tuple[int, int] = 0,
) -> torch.Tensor:
    """The adjoint of conv2d for x[b, i, h, w] and weight[i, o, kh, kw], plus bias[o].

    ⟨conv2d(y, weight), x⟩ = ⟨y, conv_transpose2d(x, weight)⟩

    Each x[b, i, y, z] stamps weight[i] · x[b, i, y, z] on the output with its corner at
    (y·s − p, z·s − p); overlapping stamps add up. A pair is (height, width). Output: [b, o, h', w']
    with sizes as in conv_transpose_output_size. conv2d is a gather and a matrix product; this is
    the transposed product and then the scatter (col2im).
    Source: Dumoulin and Visin, section 4.
    """
    (sh, sw), (ph, pw), (oph, opw) = (
        pair if isinstance(pair, (tuple, list)) else (pair, pair)
        for pair in (stride, padding, output_padding)
    )
    h, w = x.shape[2:]
    kh, kw = weight.shape[2:]
    size = (
        conv_transpose_output_size(h, kh, sh, ph, oph),
        conv_transpose_output_size(w, kw, sw, pw, opw),
    )
    stamps = weight.flatten(1).T @ x.flatten(2)  # [b, o·kh·kw, h·w]
    out = torch.nn.functional.fold(stamps, size, (kh, kw), padding=(ph, pw), stride=(sh, sw))
    if bias is not None:
        out = out + bias[:, None, None]
    return out


def max_pool2d(x: torch.Tensor, kernel_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest value in each kernel_size × kernel_size tile of x[b, c, h, w], and where it was.

    h and w are multiples of kernel_size, which is the stride too. Output: values and int64 indices,
    both [b, c, h / kernel_size, w / kernel_size]; an index counts along h·w, row · w + column.
    """
    k = kernel_size
    b, c, h, w = x.shape
    tiles = (
        x.reshape(b, c, h // k, k, w // k, k).transpose(3, 4).flatten(4)
    )  # [b, c, h/k, w/k, k·k]
    values, place = tiles.max(dim=4)
    row = torch.arange(0, h, k, device=x.device)[:, None] + place // k
    column = torch.arange(0, w, k, device=x.device) + place % k
    return values, row * w + column


def max_unpool2d(values: torch.Tensor, indices: torch.Tensor, kernel_size: int) -> torch.Tensor:
    """Put each value back at its index, with zeros everywhere else: the way back from max_pool2d.

    values and indices [b, c, h, w] become [b, c, h · kernel_size, w · kernel_size].
    Source: Zeiler and Fergus, Visualizing and understanding convolutional networks
    (arXiv:1311.2901), section 2.1.
    """
    b, c, h, w = values.shape
    size = (h * kernel_size, w * kernel_size)
    zeros = values.new_zeros(b, c, size[0] * size[1])
    return zeros.scatter(2, indices.flatten(2), values.flatten(2)).reshape(b, c, *size)


def pixel_shuffle(x: torch.Tensor, r: int) -> torch.Tensor:
    """Trade channels for resolution: x[b, c·r·r, h, w] becomes [b, c, h·r, w·r].

    out[b, c, y·r + i, z·r + j] = x[b, c·r² + i·r + j, y, z]

    Source: Shi et al., Real-time single image and video super-resolution using an efficient
    sub-pixel convolutional neural network (arXiv:1609.05158), section 3.2, with the channels in
    torch's order.
    """
    b, _, h, w = x.shape
    x = x.reshape(b, -1, r, r, h, w)  # [b, c, i, j, y, z]
    return x.permute(0, 1, 4, 2, 5, 3).reshape(b, -1, h * r, w * r)  # [b, c, y·r + i, z·r + j]


def upsample_nearest(x: torch.Tensor, scale: int) -> torch.Tensor:
    """Repeat every pixel of x[b, c, h, w] scale × scale times: [b, c, h · scale, w · scale].

    out[b, c, y, z] = x[b, c, y // scale, z // scale]
    """
    return x.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
