"""Values and calls as Python text: what a student reads in a counterexample, and can paste."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from autograder.sandbox.wire import Kept
from autograder.subject import Call, Read, Request

MAX_ELEMENTS = 100  # of a tensor that is read
MAX_PASTED = 2000


def show_call(request: Request) -> str:
    """The call that a request stands for, as a line of Python."""
    on = f"{request.on.name}." if request.on is not None else ""
    if isinstance(request, Read):
        return f"{on}{request.name}"
    if not isinstance(request, Call):
        raise TypeError(f"no request: {request!r}")
    arguments = [show(value, paste=True) for value in request.args]
    arguments += [f"{name}={show(value, paste=True)}" for name, value in request.kwargs.items()]
    function = f"{on}{request.function}".removesuffix(".__call__")
    kept = f"{request.keep.name} = " if request.keep is not None else ""
    return f"{kept}{function}({', '.join(arguments)})"


def show(value: Any, limit: int = 2000, paste: bool = False) -> str:
    """A value as Python text of at most about `limit` characters.

    With `paste`, small tensors are written as torch.tensor(...); otherwise as their values,
    shape and dtype, which is shorter to read.
    """
    text = _show(value, paste)
    return text if len(text) <= limit or paste else text[: limit - 1] + "…"


def _show(value: Any, paste: bool) -> str:
    if isinstance(value, torch.Tensor):
        return _paste_tensor(value) if paste else _read_tensor(value)
    if isinstance(value, Kept):
        return value.name
    if isinstance(value, tuple):
        inner = ", ".join(_show(item, paste) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, list):
        return "[" + ", ".join(_show(item, paste) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {_show(v, paste)}" for k, v in value.items()) + "}"
    return repr(value)


def _read_tensor(tensor: torch.Tensor) -> str:
    kind = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
    if tensor.device.type == "meta":
        return f"tensor on {tensor.device}, {kind}"
    if tensor.numel() > MAX_ELEMENTS:
        return f"tensor {kind}: {_elements(tensor.reshape(-1)[:12])[:-1]}, …]"
    return f"{_elements(tensor)}  ({kind})" if tensor.dim() else f"{_elements(tensor)} ({kind})"


def _paste_tensor(tensor: torch.Tensor) -> str:
    dtype = (
        ""
        if tensor.dtype in (torch.float32, torch.int64, torch.bool)
        else f", dtype={tensor.dtype}"
    )
    shape = tuple(tensor.shape)
    if tensor.device.type == "meta":
        return f"torch.empty({shape}{dtype}, device='meta')"
    if tensor.numel() == 0:
        return f"torch.empty({shape}{dtype})"
    if tensor.numel() > MAX_PASTED:
        return f"<{_read_tensor(tensor)}>"
    text = f"torch.tensor({_elements(tensor)}{dtype})"
    if not tensor.is_contiguous():
        return f"torch.empty_strided({shape}, {tensor.stride()}{dtype}).copy_({text})"
    return text


def _elements(tensor: torch.Tensor) -> str:
    """Nested lists, each number in the fewest digits that tell it from its neighbours."""
    if tensor.dim():
        return "[" + ", ".join(_elements(row) for row in tensor) + "]"
    item = tensor.item()
    if isinstance(item, float):
        if not math.isfinite(item):
            return f"float('{item}')"
        if tensor.dtype == torch.float32:
            text = np.format_float_positional(np.float32(item), unique=True)
            return (
                np.format_float_scientific(np.float32(item), unique=True)
                if len(text) > 14
                else text
            )
        return repr(item)
    return repr(item)
