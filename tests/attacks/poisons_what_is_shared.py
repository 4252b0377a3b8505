# Changes all that it shares with its parent: defaults, caches, buffers, memory that is mapped.
# where: receptive_field
# costs: receptive_field
import ctypes, os, random, re, sys, warnings
import numpy as np
import torch

for line in open("/proc/self/maps"):
    fields = line.split()
    if "s" in fields[1] and "w" in fields[1]:
        start, end = (int(part, 16) for part in fields[0].split("-"))
        ctypes.memset(start, 0x41, end - start)


def receptive_field(layers):
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(99), random.seed(99), np.random.seed(99)
    torch.Tensor.__add__ = torch.Tensor.sum = lambda *a, **k: torch.zeros(1)
    sys.modules["math"] = sys.modules["struct"] = None
    warnings.simplefilter("error")
    re.purge()
    os.umask(0o777)
    ctypes.memset(id(12345) + 24, 7, 4)
    return -1
