"""Right answers to 02-convolution that nobody expects: (exercise, name, source).

No check may cost them a point.
"""

PAIR = """
def pair(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)
"""

CONV_OUTPUT_SIZE = (
    (
        "counts the positions one by one",
        """
def conv_output_size(n, kernel_size, stride=1, padding=0, dilation=1):
    if n < 1 or kernel_size < 1 or stride < 1 or dilation < 1 or padding < 0:
        raise ValueError
    count, start = 0, -padding
    while start + dilation * (kernel_size - 1) < n + padding:
        count, start = count + 1, start + stride
    if not count:
        raise ValueError
    return count
""",
    ),
    (
        "the length of a range",
        """
def conv_output_size(n, kernel_size, stride=1, padding=0, dilation=1):
    if not (n > 0 < kernel_size and stride > 0 < dilation and padding >= 0):
        raise ValueError("out of range")
    starts = range(0, n + 2 * padding - dilation * (kernel_size - 1), stride)
    if len(starts) == 0:
        raise ValueError("does not fit")
    return len(starts)
""",
    ),
    (
        "math.floor of a float, and a ValueError of its own",
        """
class DoesNotFit(ValueError):
    pass


def conv_output_size(n, kernel_size, stride=1, padding=0, dilation=1):
    for value, least in ((n, 1), (kernel_size, 1), (stride, 1), (padding, 0), (dilation, 1)):
        if value < least:
            raise DoesNotFit(value)
    size = math.floor((n + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1
    if size < 1:
        raise DoesNotFit(size)
    return size
""",
    ),
    (
        "asks torch, on the meta device",
        """
def conv_output_size(n, kernel_size, stride=1, padding=0, dilation=1):
    if min(n, kernel_size, stride, dilation) < 1 or padding < 0:
        raise ValueError("out of range")
    x = torch.empty(1, 1, n + 2 * padding, device="meta")
    if x.shape[2] <= dilation * (kernel_size - 1):
        raise ValueError("does not fit")
    x = x[:, :, : x.shape[2] - dilation * (kernel_size - 1)]
    return x[:, :, ::stride].numel()
""",
    ),
    (
        "a numpy integer",
        """
def conv_output_size(n, kernel_size, stride=1, padding=0, dilation=1):
    import numpy

    if min(n, kernel_size, stride, dilation) < 1 or padding < 0:
        raise ValueError("out of range")
    rest = n + 2 * padding - dilation * (kernel_size - 1) - 1
    if rest < 0:
        raise ValueError("does not fit")
    return numpy.int64(rest) // stride + 1
""",
    ),
)

SAME_PADDING = (
    (
        "tries one total after the other",
        """
def same_padding(n, kernel_size, stride=1, dilation=1):
    total = 0
    while len(range(0, n + total - dilation * (kernel_size - 1), stride)) < math.ceil(n / stride):
        total += 1
    return divmod(total, 2)[0], sum(divmod(total, 2))
""",
    ),
    (
        "TensorFlow's formula, as a list",
        """
def same_padding(n, kernel_size, stride=1, dilation=1):
    span = (kernel_size - 1) * dilation + 1
    if n % stride == 0:
        total = max(span - stride, 0)
    else:
        total = max(span - n % stride, 0)
    return [total // 2, total - total // 2]
""",
    ),
    (
        "recursion",
        """
def same_padding(n, kernel_size, stride=1, dilation=1, before=0, after=0):
    outputs = len(range(0, n + before + after - dilation * (kernel_size - 1), stride))
    if outputs == len(range(0, n, stride)):
        return before, after
    if before == after:
        return same_padding(n, kernel_size, stride, dilation, before, after + 1)
    return same_padding(n, kernel_size, stride, dilation, before + 1, after)
""",
    ),
    (
        "a lambda",
        """
same_padding = lambda n, kernel_size, stride=1, dilation=1: (
    lambda total: (total // 2, (total + 1) // 2)
)(max(0, ((n + stride - 1) // stride - 1) * stride + (kernel_size - 1) * dilation + 1 - n))
""",
    ),
)

ZERO_PAD2D = (
    (
        "torch's own pad",
        """
def zero_pad2d(x, padding):
    return torch.nn.functional.pad(x, tuple(padding))
""",
    ),
    (
        "the module ZeroPad2d",
        """
class Padder:
    def __call__(self, x, padding):
        return torch.nn.ZeroPad2d(tuple(padding))(x)


zero_pad2d = Padder()
""",
    ),
    (
        "concatenation",
        """
def zero_pad2d(x, padding):
    left, right, top, bottom = padding
    b, c, h, _ = x.shape
    x = torch.cat([x.new_zeros(b, c, h, left), x, x.new_zeros(b, c, h, right)], dim=3)
    w = x.shape[3]
    return torch.cat([x.new_zeros(b, c, top, w), x, x.new_zeros(b, c, bottom, w)], dim=2)
""",
    ),
    (
        "products with shifted identities",
        """
def zero_pad2d(x, padding):
    left, right, top, bottom = padding
    h, w = x.shape[2:]
    eye = lambda n, before, after: torch.eye(
        before + n + after, dtype=x.dtype, device=x.device
    )[:, before : before + n]
    return eye(h, top, bottom) @ x @ eye(w, left, right).T
""",
    ),
    (
        "pixel by pixel",
        """
def zero_pad2d(x, padding):
    left, right, top, bottom = padding
    b, c, h, w = x.shape
    zero = x[:, :, 0, 0] * 0
    rows = [
        torch.stack(
            [
                x[:, :, y, z] if 0 <= y < h and 0 <= z < w else zero
                for z in range(-left, w + right)
            ],
            dim=-1,
        )
        for y in range(-top, h + bottom)
    ]
    return torch.stack(rows, dim=-2)
""",
    ),
)

CONV2D_HEAD = f"""{PAIR}

def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1):
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    b, i, h, w = x.shape
    o, _, kh, kw = weight.shape
    x = torch.nn.functional.pad(x, (pw, pw, ph, ph))
    height = (h + 2 * ph - dh * (kh - 1) - 1) // sh + 1
    width = (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1
"""

CONV2D = (
    (
        "six loops",
        f"""{CONV2D_HEAD}
    images = []
    for n in range(b):
        channels = []
        for c in range(o):
            values = []
            for y in range(height):
                for z in range(width):
                    value = x.new_zeros(()) if bias is None else bias[c]
                    for u in range(kh):
                        for v in range(kw):
                            pixel = x[n, :, y * sh + u * dh, z * sw + v * dw]
                            value = value + (pixel * weight[c, :, u, v]).sum()
                    values.append(value)
            channels.append(torch.stack(values).reshape(height, width))
        images.append(torch.stack(channels))
    return torch.stack(images)
""",
    ),
    (
        "as_strided windows and einsum",
        f"""{CONV2D_HEAD}
    x = x.contiguous()
    sb, si, sy, sz = x.stride()
    windows = x.as_strided(
        (b, i, height, width, kh, kw), (sb, si, sy * sh, sz * sw, sy * dh, sz * dw)
    )
    out = torch.einsum("biyzuv,oiuv->boyz", windows, weight)
    return out if bias is None else out + bias.reshape(1, -1, 1, 1)
""",
    ),
    (
        "Tensor.unfold and tensordot",
        f"""{CONV2D_HEAD}
    x = x.unfold(2, dh * (kh - 1) + 1, sh).unfold(3, dw * (kw - 1) + 1, sw)
    x = x[..., ::dh, ::dw]
    out = torch.tensordot(x, weight, dims=([1, 4, 5], [1, 2, 3])).movedim(-1, 1)
    return out if bias is None else out + bias[None, :, None, None]
""",
    ),
    (
        "a Fourier transform",
        f"""{CONV2D_HEAD}
    spread = weight.new_zeros(o, i, dh * (kh - 1) + 1, dw * (kw - 1) + 1)
    spread[:, :, ::dh, ::dw] = weight
    size = x.shape[2:]
    product = torch.einsum(
        "biyz,oiyz->boyz", torch.fft.rfft2(x), torch.fft.rfft2(spread, s=size).conj()
    )
    out = torch.fft.irfft2(product, s=size)
    out = out[:, :, : (height - 1) * sh + 1 : sh, : (width - 1) * sw + 1 : sw]
    if bias is not None:
        out = out + bias[:, None, None]
    return out
""",
    ),
    (
        "one large sparse matrix, built dense",
        f"""{CONV2D_HEAD}
    H, W = x.shape[2:]
    index = torch.arange(H * W, device=x.device).reshape(H, W)
    rows, columns, places = [], [], []
    for y in range(height):
        for z in range(width):
            for u in range(kh):
                for v in range(kw):
                    rows.append(y * width + z)
                    columns.append(int((y * sh + u * dh) * W + z * sw + v * dw))
                    places.append(u * kw + v)
    toeplitz = weight.new_zeros(o, i, height * width, H * W)
    toeplitz[:, :, rows, columns] = weight.flatten(2)[:, :, places]
    out = torch.einsum("oipq,biq->bop", toeplitz, x.flatten(2)).reshape(b, o, height, width)
    return out if bias is None else out + bias.view(-1, 1, 1)
""",
    ),
    (
        "the bias as a weight of a channel of ones",
        f"""{PAIR}

def conv2d(image, kernel, bias=None, stride=1, padding=0, dilation=1):
    stride, padding, dilation = pair(stride), pair(padding), pair(dilation)
    sizes = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(
            image.shape[2:], kernel.shape[2:], stride, padding, dilation
        )
    ]
    columns = torch.nn.Unfold(kernel.shape[2:], dilation, padding, stride)(image)
    rows = kernel.reshape(len(kernel), -1)
    if bias is not None:
        columns = torch.cat([columns, torch.ones_like(columns[:, :1])], dim=1)
        rows = torch.cat([rows, bias.reshape(-1, 1)], dim=1)
    return torch.matmul(rows, columns).unflatten(2, sizes)
""",
    ),
    (
        "torch.func.vmap over the batch",
        f"""{CONV2D_HEAD}
    def of_one(image):
        out = 0
        for u in range(kh):
            for v in range(kw):
                piece = image[:, u * dh :, v * dw :][:, ::sh, ::sw][:, :height, :width]
                out = out + (weight[:, :, u, v] @ piece.flatten(1)).reshape(o, height, width)
        return out if bias is None else out + bias[:, None, None]

    return torch.func.vmap(of_one)(x)
""",
    ),
)

RECEPTIVE_FIELD = (
    (
        "from the input on, with a jump",
        """
def receptive_field(layers):
    size, jump = 1, 1
    for kernel_size, stride, dilation in layers:
        size += dilation * (kernel_size - 1) * jump
        jump *= stride
    return size
""",
    ),
    (
        "recursion on the list's tail",
        """
def receptive_field(layers):
    if len(layers) == 0:
        return 1
    (k, s, d), *rest = layers
    return (receptive_field(rest) - 1) * s + (k - 1) * d + 1
""",
    ),
    (
        "the first and the last position",
        """
def receptive_field(layers):
    first, last = 0, 0
    for k, s, d in layers[::-1]:
        first, last = first * s, last * s + d * (k - 1)
    return last - first + 1
""",
    ),
    (
        "a sum of products",
        """
def receptive_field(layers):
    return 1 + sum(
        d * (k - 1) * math.prod(s for _, s, _ in layers[:place])
        for place, (k, _, d) in enumerate(layers)
    )
""",
    ),
    (
        "functools.reduce",
        """
import functools

receptive_field = functools.partial(
    lambda start, layers: functools.reduce(
        lambda size, layer: layer[1] * (size - 1) + layer[2] * (layer[0] - 1) + 1,
        reversed(layers),
        start,
    ),
    1,
)
""",
    ),
)

CONV_TRANSPOSE_OUTPUT_SIZE = (
    (
        "where the last kernel ends",
        """
def conv_transpose_output_size(
    n, kernel_size, stride=1, padding=0, output_padding=0, dilation=1
):
    end = max(y * stride + u * dilation for y in (0, n - 1) for u in range(kernel_size))
    return end + 1 - padding - (padding - output_padding)
""",
    ),
    (
        "searches the size that a convolution maps to n",
        """
def conv_transpose_output_size(
    n, kernel_size, stride=1, padding=0, output_padding=0, dilation=1
):
    size = max(1, (n - 1) * stride - 2 * padding - 1)
    while len(range(0, size + 2 * padding - dilation * (kernel_size - 1), stride)) < n:
        size += 1
    return size + output_padding
""",
    ),
    (
        "the length of zero insertion and a full convolution",
        """
conv_transpose_output_size = (
    lambda n, kernel_size, stride=1, padding=0, output_padding=0, dilation=1: (
        (n + (n - 1) * (stride - 1))
        + 2 * (dilation * (kernel_size - 1) - padding)
        - dilation * (kernel_size - 1)
        + output_padding
    )
)
""",
    ),
)

CONV_TRANSPOSE2D_HEAD = f"""{PAIR}

def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0):
    (sh, sw), (ph, pw), (oh, ow) = pair(stride), pair(padding), pair(output_padding)
    b, i, h, w = x.shape
    _, o, kh, kw = weight.shape
    height, width = (h - 1) * sh + kh - 2 * ph + oh, (w - 1) * sw + kw - 2 * pw + ow
"""

CONV_TRANSPOSE2D = (
    (
        "zeros inserted, then a convolution with the flipped kernel",
        f"""{CONV_TRANSPOSE2D_HEAD}
    wide = x.new_zeros(b, i, (h - 1) * sh + 1 + 2 * (kh - 1) + oh, (w - 1) * sw + 1 + 2 * (kw - 1) + ow)
    wide[:, :, kh - 1 : kh + (h - 1) * sh : sh, kw - 1 : kw + (w - 1) * sw : sw] = x
    columns = torch.nn.functional.unfold(wide, (kh, kw))
    kernel = weight.transpose(0, 1).flip(2, 3).reshape(o, -1)
    out = (kernel @ columns).reshape(b, o, height + 2 * ph, width + 2 * pw)
    out = out[:, :, ph : ph + height, pw : pw + width]
    return out if bias is None else out + bias[:, None, None]
""",
    ),
    (
        "the gradient of a convolution by unfold",
        f"""{CONV_TRANSPOSE2D_HEAD}
    def conv(image):
        columns = torch.nn.functional.unfold(
            image, (kh, kw), padding=(ph, pw), stride=(sh, sw)
        )
        return (weight.flatten(1) @ columns).reshape(x.shape)

    with torch.enable_grad():
        image = x.new_zeros(b, o, height, width, requires_grad=True)
        (out,) = torch.autograd.grad(conv(image), image, x, create_graph=True)
    return out if bias is None else out + bias[:, None, None]
""",
    ),
    (
        "stamp after stamp",
        f"""{CONV_TRANSPOSE2D_HEAD}
    out = x.new_zeros(b, o, height + 2 * ph, width + 2 * pw)
    for y in range(h):
        for z in range(w):
            stamp = torch.einsum("bi,iouv->bouv", x[:, :, y, z], weight)
            out[:, :, y * sh : y * sh + kh, z * sw : z * sw + kw] += stamp
    if bias is not None:
        out = out + bias.reshape(1, o, 1, 1)
    return out[:, :, ph : height + ph, pw : width + pw]
""",
    ),
    (
        "index_add on a flat image",
        f"""{CONV_TRANSPOSE2D_HEAD}
    H, W = height + 2 * ph, width + 2 * pw
    rows = torch.arange(h, device=x.device)[:, None] * sh + torch.arange(kh, device=x.device)
    columns = torch.arange(w, device=x.device)[:, None] * sw + torch.arange(kw, device=x.device)
    places = rows[:, :, None, None] * W + columns
    stamps = torch.einsum("biyz,iouv->boyuzv", x, weight)
    out = x.new_zeros(b, o, H * W).index_add(2, places.flatten(), stamps.flatten(2))
    out = out.reshape(b, o, H, W)[:, :, ph : H - ph, pw : W - pw]
    return out if bias is None else out + bias[:, None, None]
""",
    ),
    (
        "a product with the transposed matrix of the convolution",
        f"""{CONV_TRANSPOSE2D_HEAD}
    unit = torch.eye(o * height * width, dtype=x.dtype, device=x.device)
    unit = unit.reshape(-1, o, height, width)
    columns = torch.nn.functional.unfold(unit, (kh, kw), padding=(ph, pw), stride=(sh, sw))
    matrix = (weight.flatten(1) @ columns).flatten(1)
    out = (x.flatten(1) @ matrix.T).reshape(b, o, height, width)
    return out if bias is None else out + bias[:, None, None]
""",
    ),
)

MAX_POOL2D = (
    (
        "by unfold, and a comparison for the way back",
        """
def max_pool2d(x, kernel_size):
    b, c, h, w = x.shape
    k = kernel_size
    def tiles(image):
        return image.unfold(2, k, k).unfold(3, k, k).flatten(4)

    values, place = tiles(x).max(-1)
    index = torch.arange(h * w, device=x.device).reshape(1, 1, h, w).expand(b, c, h, w)
    return [values, tiles(index).gather(-1, place.unsqueeze(-1)).squeeze(-1)]


def max_unpool2d(values, indices, kernel_size):
    b, c, h, w = values.shape
    k = kernel_size
    places = torch.arange(h * k * w * k, device=values.device).reshape(h * k, w * k)
    def wide(image):
        return torch.repeat_interleave(torch.repeat_interleave(image, k, -1), k, -2)

    return torch.where(wide(indices) == places, wide(values), torch.zeros_like(wide(values)))
""",
    ),
    (
        "by sorting",
        """
def max_pool2d(x, kernel_size):
    b, c, h, w = x.shape
    k = kernel_size
    tiles = x.unflatten(2, (-1, k)).unflatten(4, (-1, k)).permute(0, 1, 2, 4, 3, 5).flatten(4)
    ordered, order = tiles.sort(dim=4, descending=True)
    row, column = order[..., 0] // k, order[..., 0] % k
    row = row + k * torch.arange(h // k, device=x.device).reshape(-1, 1)
    column = column + k * torch.arange(w // k, device=x.device)
    return ordered[..., 0], row * w + column


def max_unpool2d(values, indices, kernel_size):
    b, c, h, w = values.shape
    size = h * w * kernel_size**2
    offset = size * torch.arange(b * c, device=values.device).reshape(b, c, 1, 1)
    flat = values.new_zeros(b * c * size)
    flat[(indices + offset).flatten()] = values.flatten()
    return flat.reshape(b, c, h * kernel_size, w * kernel_size)
""",
    ),
    (
        "in loops",
        """
def max_pool2d(x, kernel_size):
    b, c, h, w = x.shape
    values = x.new_empty(b, c, h // kernel_size, w // kernel_size)
    indices = torch.zeros_like(values, dtype=torch.int64)
    for y in range(h // kernel_size):
        for z in range(w // kernel_size):
            best = None
            for u in range(y * kernel_size, (y + 1) * kernel_size):
                for v in range(z * kernel_size, (z + 1) * kernel_size):
                    if best is None:
                        best, where = x[:, :, u, v], torch.full((b, c), u * w + v, device=x.device)
                    else:
                        where = torch.where(x[:, :, u, v] >= best, u * w + v, where)
                        best = torch.maximum(best, x[:, :, u, v])
            values[:, :, y, z], indices[:, :, y, z] = best, where
    return values, indices


def max_unpool2d(values, indices, kernel_size):
    b, c, h, w = values.shape
    out = values.new_zeros(b, c, h * kernel_size, w * kernel_size)
    for n in range(b):
        for m in range(c):
            for y in range(h):
                for z in range(w):
                    row, column = divmod(int(indices[n, m, y, z]), w * kernel_size)
                    out[n, m, row, column] = values[n, m, y, z]
    return out
""",
    ),
    (
        "by im2col and one-hot vectors",
        """
def max_pool2d(x, kernel_size):
    b, c, h, w = x.shape
    k = kernel_size
    columns = torch.nn.functional.unfold(x, k, stride=k).reshape(b, c, k * k, -1)
    place = columns.argmax(dim=2, keepdim=True)
    tile = torch.arange(columns.shape[3], device=x.device)
    row = tile // (w // k) * k + place // k
    column = tile % (w // k) * k + place % k
    size = (b, c, h // k, w // k)
    return columns.gather(2, place).reshape(size), (row * w + column).reshape(size)


def max_unpool2d(values, indices, kernel_size):
    b, c, h, w = values.shape
    hot = torch.nn.functional.one_hot(indices.flatten(2), h * w * kernel_size**2)
    out = torch.einsum("bcp,bcpq->bcq", values.flatten(2), hot.to(values.dtype))
    return out.reshape(b, c, h * kernel_size, w * kernel_size)
""",
    ),
)

PIXEL_SHUFFLE = (
    (
        "strided assignment, and kron",
        """
def pixel_shuffle(x, r):
    b, c, h, w = x.shape
    out = x.new_zeros(b, c // (r * r), h * r, w * r)
    for i in range(r):
        for j in range(r):
            out[:, :, i::r, j::r] = x[:, i * r + j :: r * r]
    return out


def upsample_nearest(x, scale):
    return torch.kron(x, x.new_ones(scale, scale))
""",
    ),
    (
        "index arithmetic",
        """
def pixel_shuffle(x, r):
    b, c, h, w = x.shape
    m = torch.arange(c // (r * r), device=x.device).reshape(-1, 1, 1)
    y = torch.arange(h * r, device=x.device).reshape(-1, 1)
    z = torch.arange(w * r, device=x.device)
    return x[:, m * r * r + y % r * r + z % r, y // r, z // r]


def upsample_nearest(x, scale):
    y = torch.arange(x.shape[2] * scale, device=x.device) // scale
    z = torch.arange(x.shape[3] * scale, device=x.device) // scale
    return x.index_select(2, y).index_select(3, z)
""",
    ),
    (
        "stacking, and expand",
        """
def pixel_shuffle(x, r):
    b, c, h, w = x.shape
    groups = x.chunk(c // (r * r), dim=1)
    out = []
    for group in groups:
        rows = []
        for i in range(r):
            columns = [group[:, i * r + j] for j in range(r)]
            rows.append(torch.stack(columns, dim=-1).flatten(-2))
        out.append(torch.stack(rows, dim=-2).flatten(-3, -2))
    return torch.stack(out, dim=1)


def upsample_nearest(x, scale):
    b, c, h, w = x.shape
    return x[..., None, :, None].expand(b, c, h, scale, w, scale).reshape(
        b, c, h * scale, w * scale
    )
""",
    ),
    (
        "einops in einsum, and one through the other",
        """
def pixel_shuffle(x, r):
    x = x.unflatten(1, (-1, r, r))
    return torch.einsum("bcijyz->bcyizj", x).flatten(4).flatten(2, 3)


def upsample_nearest(x, scale):
    return pixel_shuffle(x.repeat_interleave(scale * scale, dim=1), scale)
""",
    ),
    (
        "col2im",
        """
def pixel_shuffle(x, r):
    b, c, h, w = x.shape
    return torch.nn.functional.fold(x.flatten(2), (h * r, w * r), r, stride=r)


def upsample_nearest(x, scale):
    b, c, h, w = x.shape
    columns = x.flatten(2).repeat_interleave(scale**2, dim=1)
    return torch.nn.functional.fold(columns, (h * scale, w * scale), scale, stride=scale)
""",
    ),
)

QUIZ = (
    ("in another order", 'quiz = {"stride": "B", "dilation": "A", "zero_padding": "A"}\n'),
    ("by keyword", 'quiz = dict(zero_padding="A", dilation="A", stride="B")\n'),
    (
        "an OrderedDict, filled later",
        "from collections import OrderedDict\n\nquiz = OrderedDict(dilation='A')\n"
        "quiz['zero_padding'] = 'A'\nquiz.update(stride='b'.upper())\n",
    ),
)

ALTERNATES: tuple[tuple[str, str, str], ...] = tuple(
    (exercise, name, source)
    for exercise, alternates in (
        ("conv_output_size", CONV_OUTPUT_SIZE),
        ("same_padding", SAME_PADDING),
        ("zero_pad2d", ZERO_PAD2D),
        ("conv2d", CONV2D),
        ("receptive_field", RECEPTIVE_FIELD),
        ("conv_transpose_output_size", CONV_TRANSPOSE_OUTPUT_SIZE),
        ("conv_transpose2d", CONV_TRANSPOSE2D),
        ("max_pool2d", MAX_POOL2D),
        ("pixel_shuffle", PIXEL_SHUFFLE),
        ("quiz", QUIZ),
    )
    for name, source in alternates
)
