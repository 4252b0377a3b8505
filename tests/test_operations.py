"""Blocking operations: every way to them ends in ForbiddenOperation, and nothing else does."""

import contextlib
import gc
import os
import threading
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from autograder.checks.public.convolution import CONVOLUTIONS, EXERCISES, POOLING, UPSAMPLING
from autograder.checks.public.lstm import LSTMS
from autograder.operations import ForbiddenOperation, blocked, matching, remove

X = torch.arange(16.0).reshape(1, 1, 4, 4)
W = torch.ones(1, 1, 2, 2)


def through_autograd():
    y = torch.zeros(1, 1, 3, 3, requires_grad=True)
    return torch.autograd.grad(F.conv_transpose2d(y, W), y, X)


WAYS = {
    "conv2d": lambda: F.conv2d(X, W),
    "conv1d": lambda: F.conv1d(X[0], torch.ones(1, 4, 2)),
    "conv3d": lambda: F.conv3d(X[None], W[None]),
    "conv_transpose2d": lambda: F.conv_transpose2d(X, W),
    "by name": lambda: getattr(F, "conv" + "2d")(X, W),
    "grouped": lambda: F.conv2d(X.expand(1, 2, 4, 4), W.expand(2, 1, 2, 2), groups=2),
    "in float64": lambda: F.conv2d(X.double(), W.double()),
    "in bfloat16": lambda: F.conv2d(X.bfloat16(), W.bfloat16()),
    "of complex numbers": lambda: F.conv2d(X.cfloat(), W.cfloat()),
    "with a name for its padding": lambda: F.conv2d(X, W, padding="same"),
    "a layer": lambda: torch.nn.Conv2d(1, 1, 2)(X),
    "a lazy layer": lambda: torch.nn.LazyConv2d(1, 2)(X),
    "below torch's functions": lambda: torch.ops.aten.convolution(
        X, W, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1
    ),
    "another implementation": lambda: torch.ops.aten._slow_conv2d_forward(
        X, W, [2, 2], None, [1, 1], [0, 0]
    ),
    "mkldnn's": lambda: torch.ops.aten.mkldnn_convolution(X, W, None, [0, 0], [1, 1], [1, 1], 1),
    "conv_tbc": lambda: torch.conv_tbc(torch.ones(3, 1, 1), torch.ones(2, 1, 1), torch.ones(1)),
    "in a backward pass": through_autograd,
    "traced": lambda: torch.jit.trace(lambda x: F.conv2d(x, W), X, check_trace=False)(X),
    "mapped": lambda: torch.vmap(lambda x: F.conv2d(x, W))(X[None]),
    "differentiated forward": lambda: torch.func.jvp(lambda x: F.conv2d(x, W), (X,), (X,)),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_to_a_convolution_is_open(way):
    with blocked(CONVOLUTIONS) as tried, pytest.raises(ForbiddenOperation, match="not allowed"):
        WAYS[way]()
    assert any("conv" in name for name in tried)


def test_other_threads_are_blocked_too():
    errors = []

    def convolve() -> None:
        try:
            F.conv2d(X, W)
        except ForbiddenOperation as error:
            errors.append(error)

    with blocked(CONVOLUTIONS) as tried:
        thread = threading.Thread(target=convolve)
        thread.start()
        thread.join()
    assert errors
    assert tried


def test_what_was_tried_is_known_even_where_the_error_is_caught():
    with blocked(CONVOLUTIONS) as tried, contextlib.suppress(RuntimeError):
        F.conv2d(X, W)
    assert tried == ["aten::mkldnn_convolution"] or any("conv" in name for name in tried)


def test_a_backward_pass_of_an_earlier_convolution_is_blocked():
    x = X.clone().requires_grad_()
    y = F.conv2d(x, W).sum()
    with blocked(CONVOLUTIONS) as tried, pytest.raises(ForbiddenOperation):
        y.backward()
    assert any("backward" in name for name in tried)


@pytest.mark.parametrize(
    "allowed",
    [
        lambda: F.unfold(X, (2, 2)),
        lambda: F.fold(F.unfold(X, (2, 2)), (4, 4), (2, 2)),
        lambda: X.unfold(2, 2, 1),
        lambda: F.pad(X, (1, 1, 1, 1)),
        lambda: torch.einsum("bchw,ocij->bo", X, W),
        lambda: F.max_pool2d(X, 2),
        lambda: F.linear(X, X[0, 0]),
        lambda: torch.fft.fft2(X),
    ],
)
def test_nothing_else_is_blocked(allowed):
    expected = allowed()
    with blocked(CONVOLUTIONS) as tried:
        assert torch.equal(allowed(), expected)
    assert tried == []


@pytest.mark.parametrize(
    "pool",
    [
        lambda: F.max_pool2d(X, 2),
        lambda: F.max_pool2d(X, 2, return_indices=True),
        lambda: F.max_pool1d(X[0], 2),
        lambda: F.max_pool3d(X[None], (1, 2, 2)),
        lambda: F.adaptive_max_pool2d(X, 2),
        lambda: F.max_unpool2d(X[:, :, :1, :1], torch.zeros(1, 1, 1, 1, dtype=torch.int64), 2),
        lambda: torch.nn.MaxPool2d(2)(X),
        lambda: F.fractional_max_pool2d(X, 2, output_size=2),
    ],
)
def test_no_way_to_pooling_is_open(pool):
    with blocked(POOLING) as tried, pytest.raises(ForbiddenOperation):
        pool()
    assert tried


@pytest.mark.parametrize(
    "enlarge",
    [
        lambda: F.pixel_shuffle(X.expand(1, 4, 4, 4), 2),
        lambda: torch.nn.PixelShuffle(2)(X.expand(1, 4, 4, 4)),
        *(
            lambda mode=mode: F.interpolate(X, scale_factor=2, mode=mode)
            for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
        ),
        lambda: torch.nn.Upsample(scale_factor=2)(X),
    ],
)
def test_no_way_to_upsampling_is_open(enlarge):
    with blocked(UPSAMPLING) as tried, pytest.raises(ForbiddenOperation):
        enlarge()
    assert tried


def test_all_is_as_before_afterwards():
    expected = F.conv2d(X, W)
    for _ in range(2):
        with blocked(CONVOLUTIONS), pytest.raises(ForbiddenOperation):
            F.conv2d(X, W)
        assert torch.equal(F.conv2d(X, W), expected)
    with pytest.raises(ZeroDivisionError), blocked(CONVOLUTIONS):
        raise ZeroDivisionError
    assert torch.equal(F.conv2d(X, W), expected)


def redispatched(operation, *arguments, key: str):
    keys = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))
    return operation.default.redispatch(keys, *arguments)


@pytest.mark.parametrize("key", ["CUDA", "XLA", "Meta", "PrivateUse1", "Undefined"])
@pytest.mark.parametrize(
    ("operation", "arguments", "pattern"),
    [
        (torch.ops.aten.pixel_shuffle, (X.expand(1, 4, 4, 4), 2), UPSAMPLING),
        (torch.ops.aten.conv_tbc, (X[0], W[0], torch.ones(2)), CONVOLUTIONS),
        (
            torch.ops.aten.lstm_cell,
            (X[0, 0], [torch.zeros(4, 1)] * 2, torch.ones(4, 4), torch.ones(4, 1)),
            LSTMS,
        ),
    ],
    ids=["pixel_shuffle", "conv_tbc", "lstm_cell"],
)
def test_another_devices_kernel_is_no_way_round(operation, arguments, pattern, key):
    with blocked(pattern), pytest.raises((ForbiddenOperation, NotImplementedError)):
        redispatched(operation, *arguments, key=key)


def in_a_fork(holds: Callable[[], bool]) -> bool:
    """What a function answers in a process of its own: what is removed stays removed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if holds() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def fails(way: Callable[[], object]) -> bool:
    try:
        way()
    except (RuntimeError, TypeError):
        return True
    return False


@pytest.mark.parametrize("way", WAYS)
def test_what_is_removed_fails_in_every_way(way):
    def removed() -> bool:
        remove(CONVOLUTIONS)
        return fails(WAYS[way])

    assert not in_a_fork(lambda: fails(WAYS[way]))
    assert in_a_fork(removed)


def test_nothing_in_python_brings_back_what_is_removed():
    def still_removed() -> bool:
        before = {id(thing) for thing in gc.get_objects()}
        remove(CONVOLUTIONS)
        found = [thing for thing in gc.get_objects() if id(thing) not in before]
        assert not any("Library" in type(thing).__name__ for thing in found)
        # The block on top of it can be undone, and a kernel of one's own, which calls it.
        with blocked(CONVOLUTIONS):
            pass
        own = torch.library.Library("aten", "IMPL", "CPU")
        own.impl("mul.Tensor", lambda x, y: F.conv2d(X, W))
        assert fails(lambda: X * X)
        own._destroy()
        return fails(lambda: F.conv2d(X, W)) and torch.equal(F.unfold(X, 1), X.flatten(2))

    assert in_a_fork(still_removed)


def test_an_empty_pattern_blocks_nothing():
    with blocked("") as tried:
        F.conv2d(X, W)
    assert tried == []


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_each_pattern_names_operations_that_there_are(exercise):
    if exercise.forbids:
        assert matching(exercise.forbids)
        assert exercise.forbids_in_words


STEPS = torch.ones(2, 3, 4)  # [b, s, I]
STATE = torch.zeros(1, 2, 5), torch.zeros(1, 2, 5)
OF_LSTM = [torch.ones(20, 4), torch.ones(20, 5), torch.ones(20), torch.ones(20)]


def mkldnn_layer():
    options = (False, 2, 5, 1, True, False, True, False)
    return torch.ops.aten.mkldnn_rnn_layer(STEPS, *OF_LSTM, *STATE, options[0], [], *options[1:])


@pytest.mark.parametrize(
    "way",
    [
        lambda: torch.nn.LSTM(4, 5)(STEPS),
        lambda: torch.nn.LSTM(4, 5, num_layers=2, bidirectional=True, batch_first=True)(STEPS),
        lambda: torch.nn.LSTM(4, 5, proj_size=2)(STEPS),
        lambda: torch.nn.LSTM(4, 5).double()(STEPS.double()),
        lambda: torch.nn.LSTM(4, 5)(torch.nn.utils.rnn.pack_sequence([STEPS[0], STEPS[1]])),
        lambda: torch.nn.LSTMCell(4, 5)(STEPS[0]),
        lambda: torch.lstm(STEPS, STATE, OF_LSTM, True, 1, 0.0, False, False, True),
        lambda: torch._VF.lstm(STEPS, STATE, OF_LSTM, True, 1, 0.0, False, False, True),
        lambda: torch.lstm_cell(STEPS[:, 0], [s[0] for s in STATE], *OF_LSTM),
        lambda: torch.ops.aten.lstm_cell(STEPS[:, 0], [s[0] for s in STATE], *OF_LSTM),
        lambda: torch.jit.trace(torch.nn.LSTM(4, 5), STEPS, check_trace=False),
        lambda: torch.ao.nn.quantized.dynamic.LSTM(4, 5)(STEPS),
        lambda: torch.ao.nn.quantized.dynamic.LSTMCell(4, 5)(STEPS[0]),
        mkldnn_layer,
    ],
)
def test_no_way_to_an_lstm_is_open(way):
    with blocked(LSTMS) as tried, pytest.raises(ForbiddenOperation):
        way()
    assert tried


def test_other_recurrent_cells_are_no_lstms():
    with blocked(LSTMS) as tried:
        torch.nn.GRU(4, 5)(STEPS)
        torch.nn.RNNCell(4, 5)(STEPS[0])
    assert tried == []
