# The right values in float64, whatever came in, and bools for ints.
# where: zero_pad2d
# costs: zero_pad2d
def zero_pad2d(x, padding):
    import torch

    left, right, top, bottom = padding
    b, c, h, w = x.shape
    out = torch.zeros(b, c, top + h + bottom, left + w + right, dtype=torch.complex64)
    out[:, :, top : top + h, left : left + w] = x
    return out
