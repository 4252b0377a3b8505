# NaNs whose spare bits hold a message, and infinities beside them.
# where: zero_pad2d
# costs: -zero_pad2d
# slow: answers_nan is of its kind
import torch


def zero_pad2d(x, padding):
    left, right, top, bottom = padding
    b, c, h, w = x.shape
    out = torch.full((b, c, top + h + bottom, left + w + right), 0x7FC0DEAD, dtype=torch.int32)
    out[..., ::2] = 0x7F800000
    return out.view(torch.float32).to(x.dtype)
