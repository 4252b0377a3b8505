# An answer of 3 GB that is really there.
# where: zero_pad2d
# costs: zero_pad2d
import torch


def zero_pad2d(x, padding):
    return torch.ones(3, 2**14, 2**14, dtype=torch.float32).contiguous()
