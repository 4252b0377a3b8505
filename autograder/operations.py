"""Forbidden operations: blocking them while a solution runs.

Forbidding by reading the source misses `getattr(F, "conv" + "2d")`; watching with a dispatch mode
misses threads, and built-ins that are decomposed before they reach it. So the operations are
replaced in torch's dispatcher itself: every way to them, from any thread, in the forward or the
backward pass, ends in ForbiddenOperation.

What a process blocks, Python in that process can undo. What it has removed stays away.
"""

from __future__ import annotations

import ctypes
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NoReturn

import torch

# The keys under which a tensor in main memory can reach an operation's own kernel (Meta's are
# Python, some of which computes), ...
CPU_KEYS = ("CPU", "MkldnnCPU", "QuantizedCPU", "Meta")
# ... and those of kernels that work for every tensor, mostly by calling other operations. They are
# blocked under their own keys too: `redispatch` would reach them as another device's.
COMPOSITE_KEYS = (
    "CompositeImplicitAutograd",
    "CompositeExplicitAutograd",
    "CompositeExplicitAutogradNonFunctional",
)
# Kernels of other devices' libraries: they can't run where no such device is visible.
OTHER_DEVICES = re.compile(r"cudnn|miopen|mps_|xpu|cuda")


# What stands in the place of a removed operation: a function of the interpreter, which Python can't
# change, and which has no arguments, so that it always fails; and what it says then.
REMOVED, SAYS_REMOVED = time.time, "time.time() takes no"


class ForbiddenOperation(RuntimeError):
    """A solution called an operation that its exercise forbids."""


@cache
def matching(pattern: str) -> tuple[tuple[str, str], ...]:
    """All kernels that compute an operation whose name matches `pattern`: pairs of the operation,
    as `namespace::name.overload`, and a key of CPU_KEYS or COMPOSITE_KEYS."""
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    kernels = []
    for name in sorted(torch._C._dispatch_get_all_op_names()):
        if not re.search(pattern, name) or OTHER_DEVICES.search(name):
            continue
        # A composite kernel that writes to `out` calls the one that doesn't.
        calls_others = name.startswith("aten::") and not name.endswith("out")
        composite = [key for key in COMPOSITE_KEYS if calls_others and has_kernel(name, key)]
        for key in CPU_KEYS:
            if has_kernel(name, key) or (composite and key in ("CPU", "MkldnnCPU")):
                kernels.append((name, key))
        kernels += [(name, key) for key in composite]
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

    libraries: list[Any] = []
    try:
        _replace(matching(pattern) if pattern else (), refuse, libraries)
        yield tried
    finally:
        for library in libraries:
            library.reset()


def remove(pattern: str) -> None:
    """Takes every operation that matches `pattern` away from this process, for good.

    Nothing that Python can find holds what would bring it back. Only native code could.
    """
    libraries: list[Any] = []
    _replace(matching(pattern), lambda _: REMOVED, libraries)
    for library in libraries:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))  # it lives on, and nobody knows it


def _replace(
    kernels: Iterable[tuple[str, str]],
    by: Callable[[str], Callable[..., Any]],
    libraries: list[Any],
) -> None:
    """Replaces kernels as long as the `libraries`, to which it adds, are not reset."""
    known: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of overridden kernels: that is the point
        for name, key in kernels:
            namespace, operation = name.split("::")
            if namespace not in known:
                # torch.library.Library does the same, fifteen times slower.
                known[namespace] = torch._C._dispatch_library("IMPL", namespace, "", __file__, 0)
                libraries.append(known[namespace])
            known[namespace].impl(operation, key, by(name))
