"""What every differentiable function of the library promises, for the tests of its modules.

A call is a function and its floating-point arguments in float64.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close


@dataclass(frozen=True)
class Call:
    """A function of tensors and float64 arguments for it."""

    function: Callable[..., torch.Tensor | tuple[torch.Tensor, ...]]
    arguments: tuple[torch.Tensor, ...]

    def outputs(self, *arguments: torch.Tensor) -> tuple[torch.Tensor, ...]:
        out = self.function(*(arguments or self.arguments))
        return out if isinstance(out, tuple) else (out,)


def every(calls: Mapping[str, Call]) -> Any:
    """Runs a test for each of the calls, under its name."""
    return pytest.mark.parametrize("call", calls.values(), ids=calls.keys())


def normal(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def of_module(
    module: nn.Module, use: Callable[..., torch.Tensor | tuple[torch.Tensor, ...]], *x: torch.Tensor
) -> Call:
    """use(module, *x) as a function of x and of the module's parameters."""
    names = [name for name, _ in module.named_parameters()]
    parameters = [p.detach().double() for p in module.parameters()]

    def function(*arguments: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        given, values = arguments[: len(x)], arguments[len(x) :]

        class Caller(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.module = module

            def forward(self, *given: torch.Tensor) -> Any:
                return use(self.module, *given)

        state = {f"module.{name}": value for name, value in zip(names, values, strict=True)}
        return torch.func.functional_call(Caller(), state, given)

    return Call(function, (*x, *parameters))


def follows_dtype_and_device(call: Call, dtype: torch.dtype, device: str) -> None:
    inputs = [t.to(device, dtype, copy=True).requires_grad_() for t in call.arguments]
    outputs = call.outputs(*inputs)
    torch.autograd.backward(outputs, [torch.ones_like(out) for out in outputs])
    for tensor in [*outputs, *(t.grad for t in inputs)]:
        assert tensor is not None
        assert (tensor.dtype, tensor.device.type) == (dtype, device)
    assert [out.shape for out in outputs] == [out.shape for out in call.outputs()]


def takes_strided_inputs_and_leaves_them(call: Call) -> None:
    # Every other element of a tensor twice as long, its axes in the opposite order.
    strided = [
        t.repeat_interleave(2, dim=0).mT.contiguous().mT[::2]
        if t.ndim > 1
        else t.repeat_interleave(2)[::2]
        for t in call.arguments
    ]
    before = [t.clone() for t in strided]
    assert not all(t.is_contiguous() for t in strided)
    assert_close(call.outputs(*strided), call.outputs())
    assert_close(strided, before, rtol=0, atol=0)


def has_the_gradients_of_finite_differences(call: Call) -> None:
    inputs = [t.clone().requires_grad_() for t in call.arguments]
    assert torch.autograd.gradcheck(call.outputs, inputs)


def agrees_on_the_gpu(call: Call) -> None:
    outputs = call.outputs(*(t.cuda() for t in call.arguments))
    assert all(out.device.type == "cuda" for out in outputs)
    assert_close(tuple(out.cpu() for out in outputs), call.outputs())


def leaves_the_global_generator_alone(function: Callable[[], Any]) -> None:
    before = torch.get_rng_state()
    function()
    assert torch.equal(torch.get_rng_state(), before)


def definitions_can_be_copied_into_a_notebook(module: ModuleType, known: set[str]) -> None:
    """Each definition needs only those before it, and the names in `known`."""
    namespace = {name: vars(module)[name] for name in known}
    for name, value in list(vars(module).items()):  # in the order of the file
        if getattr(value, "__module__", "") != module.__name__:
            continue
        exec(inspect.getsource(value), namespace)
        made = namespace[name]
        for function in [made] if inspect.isfunction(made) else vars(made).values():
            if inspect.isfunction(function):
                missing = inspect.getclosurevars(function).unbound & vars(module).keys()
                assert not missing, f"{name} needs {missing}"
