# The right values, in twice the precision that was asked for.
# where: zero_pad2d
# costs: -zero_pad2d
# slow: answers_the_wrong_dtype is of its kind
import torch


def zero_pad2d(x, padding):
    left, right, top, bottom = padding
    b, c, h, w = x.shape
    dtype = torch.float32 if x.dtype == torch.float64 else torch.float64
    out = x.new_zeros(b, c, top + h + bottom, left + w + right, dtype=dtype)
    out[:, :, top : top + h, left : left + w] = x
    return out
