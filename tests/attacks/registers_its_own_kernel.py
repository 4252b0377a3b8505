# Registers a kernel under a name of its own which calls the forbidden one.
# where: conv2d
# costs: conv2d
# fault: forbidden conv2d
# slow: convolves_in_aten is of its kind
import torch

library = torch.library.Library("mine", "DEF")
library.define("fold_up(Tensor x, Tensor w, int[] s, int[] p, int[] d) -> Tensor")
library.impl(
    "fold_up",
    lambda x, w, s, p, d: torch.convolution(x, w, None, s, p, d, False, [0, 0], 1),
    "CompositeImplicitAutograd",
)


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1):
    both = lambda v: list(v) if isinstance(v, (tuple, list)) else [v, v]
    out = torch.ops.mine.fold_up(x, weight, both(stride), both(padding), both(dilation))
    return out if bias is None else out + bias[:, None, None]
