# The right values with a backward pass of its own, which is wrong.
# where: zero_pad2d
# costs: -zero_pad2d
import torch


class Pad(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, left, right, top, bottom):
        b, c, h, w = x.shape
        out = x.new_zeros(b, c, top + h + bottom, left + w + right)
        out[:, :, top : top + h, left : left + w] = x
        ctx.shape = x.shape
        return out

    @staticmethod
    def backward(ctx, gradient):
        return gradient.new_ones(ctx.shape), None, None, None, None


def zero_pad2d(x, padding):
    return Pad.apply(x, *padding)
