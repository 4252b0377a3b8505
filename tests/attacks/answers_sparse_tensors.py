# The right values in a sparse layout, which compares with nothing.
# where: zero_pad2d
# costs: zero_pad2d
def zero_pad2d(x, padding):
    left, right, top, bottom = padding
    b, c, h, w = x.shape
    out = x.new_zeros(b, c, top + h + bottom, left + w + right)
    out[:, :, top : top + h, left : left + w] = x
    return out.detach().to_sparse()
