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

# The keys under which a tensor in main memory can reach an operation's kernel.
CPU_KEYS = ("CPU", "MkldnnCPU", "QuantizedCPU")
# Kernels of other devices' libraries: they can't run where no such device is visible.
OTHER_DEVICES = re.compile(r"cudnn|miopen|mps_|xpu|cuda")


class ForbiddenOperation(RuntimeError):
    """A solution called an operation that its exercise forbids."""


@cache
def matching(pattern: str) -> tuple[str, ...]:
    """All operations whose name matches `pattern`, as `namespace::name.overload`."""
    names = torch._C._dispatch_get_all_op_names()
    return tuple(sorted(n for n in names if re.search(pattern, n) and not OTHER_DEVICES.search(n)))


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
            for name in matching(pattern) if pattern else ():
                namespace, operation = name.split("::")
                if namespace not in libraries:
                    # torch.library.Library does the same, fifteen times slower.
                    libraries[namespace] = torch._C._dispatch_library(
                        "IMPL", namespace, "", __file__, 0
                    )
                for key in CPU_KEYS:
                    libraries[namespace].impl(operation, key, refuse(name))
        yield tried
    finally:
        for library in libraries.values():
            library.reset()
