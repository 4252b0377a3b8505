"""Forbidden operations: blocking them while a solution runs.

Forbidding by reading the source misses `getattr(F, "conv" + "2d")`; watching with a dispatch mode
misses threads, and built-ins that are decomposed before they reach it. So the operations are
replaced in torch's dispatcher itself: every way to them, from any thread, in the forward or the
backward pass, ends in ForbiddenOperation.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NoReturn

import torch

# The keys under which a tensor in main memory can reach an operation's own kernel, ...
CPU_KEYS = ("CPU", "MkldnnCPU", "QuantizedCPU")
# ... and those of kernels that work for every tensor, mostly by calling other operations.
COMPOSITE_KEYS = ("CompositeImplicitAutograd", "CompositeExplicitAutograd")
# Kernels of other devices' libraries: they can't run where no such device is visible.
OTHER_DEVICES = re.compile(r"cudnn|miopen|mps_|xpu|cuda")


class ForbiddenOperation(RuntimeError):
    """A solution called an operation that its exercise forbids."""


@cache
def matching(pattern: str) -> tuple[tuple[str, str], ...]:
    """All kernels that compute an operation whose name matches `pattern`: pairs of the operation,
    as `namespace::name.overload`, and a key of CPU_KEYS."""
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    kernels = []
    for name in sorted(torch._C._dispatch_get_all_op_names()):
        if not re.search(pattern, name) or OTHER_DEVICES.search(name):
            continue
        # A composite kernel that writes to `out` calls the one that doesn't.
        composite = name.startswith("aten::") and not name.endswith("out")
        composite = composite and any(has_kernel(name, key) for key in COMPOSITE_KEYS)
        for key in CPU_KEYS:
            if has_kernel(name, key) or (composite and key != "QuantizedCPU"):
                kernels.append((name, key))
    return tuple(kernels)


@contextmanager
def blocked(pattern: str) -> Iterator[list[str]]:
    """Blocks every operation that matches `pattern`, none where it is empty.

    Yields the list of the operations that were tried. A blocked operation raises
    ForbiddenOperation, and is listed even if that is caught.
    """
    tried: list[str] = []

    def refuse(name: str) -> Callable[..., NoReturn]:
        def kernel(*_: Any, **__: Any) -> NoReturn:
            tried.append(name)
            raise ForbiddenOperation(f"{name} is not allowed in this exercise")

        return kernel

    libraries: dict[str, Any] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of overridden kernels: that is the point
            for name, key in matching(pattern) if pattern else ():
                namespace, operation = name.split("::")
                if namespace not in libraries:
                    # torch.library.Library does the same, fifteen times slower.
                    libraries[namespace] = torch._C._dispatch_library(
                        "IMPL", namespace, "", __file__, 0
                    )
                libraries[namespace].impl(operation, key, refuse(name))
        yield tried
    finally:
        for library in libraries.values():
            library.reset()
