"""The wire format: what goes in comes out, and whatever else comes in is refused as data."""

import contextlib
import math
import socket
import struct
import threading
import time

import msgspec
import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.sandbox.messages import orders, results
from autograder.sandbox.wire import (
    DTYPES,
    AnswerTooLarge,
    Frames,
    Opaque,
    ProtocolError,
    pack,
    receive_frame,
    send_frame,
    unpack,
)
from autograder.subject import Call, LocalChannel, Raised, Value, answers, requests


def through(value):
    """What arrives where `value` is sent as an answer."""
    return answers.decode(answers.encode(Value(pack(value)))).value


def same(a, b) -> bool:
    """Equal in type and value, tensors in their layout too; NaN equals NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return (
            a.dtype == b.dtype
            and a.shape == b.shape
            and a.device == b.device
            and (a.device.type == "meta" or torch.equal(a.isnan(), b.isnan()))
            and (a.device.type == "meta" or torch.equal(a.nan_to_num(), b.nan_to_num()))
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


@st.composite
def tensor(draw) -> torch.Tensor:
    dtype = draw(st.sampled_from(list(DTYPES.values())))
    shape = draw(st.lists(st.integers(0, 4), max_size=5))
    x = torch.randint(
        0, 100, shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 99)))
    )
    x = x.to(dtype)
    if shape and draw(st.booleans()):
        x = x.transpose(0, -1)
    if shape and draw(st.booleans()):
        x = x[..., :: draw(st.integers(1, 3))]
    if x.numel() and x.is_floating_point() and draw(st.booleans()):
        x = x.clone()
        x[(0,) * x.dim()] = draw(st.sampled_from([math.nan, math.inf, -0.0]))
    return x.to("meta") if draw(st.booleans()) and draw(st.booleans()) else x


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(codec="utf-8"))
    | st.binary()
)
VALUES = st.recursive(
    SCALARS | tensor(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(st.characters(codec="utf-8")) | st.integers(0, 99), inner)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_values_arrive_as_they_left(value):
    assert same(through(value), value)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_every_dtype_and_the_odd_shapes_arrive(dtype, shape):
    x = (torch.arange(math.prod(shape)).reshape(shape) % 2).to(dtype)
    assert same(through(x), x)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.T,
        lambda x: x[:, ::2],
        lambda x: x[1:, 1:],
        lambda x: x.reshape(2, 2, 3, 2).permute(3, 1, 0, 2),
    ],
)
def test_strides_are_kept(make):
    x = make(torch.arange(24.0).reshape(4, 6))
    assert through(x).stride() == x.stride()
    assert same(through(x), x)


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(1).expand(3, 4),
        torch.arange(10_000.0).reshape(100, 100)[::25, ::25],
        torch.arange(10_000.0).reshape(100, 100).diagonal(),
        torch.arange(100_000.0)[:: 10**4],
        torch.ones(3, dtype=torch.complex64).conj().real,
        torch.arange(6.0).reshape(2, 3).requires_grad_(),
        torch.nn.Parameter(torch.ones(2)),
    ],
    ids=["expanded", "a coarse grid", "a diagonal", "far apart", "conjugate", "grad", "parameter"],
)
def test_a_right_value_in_an_odd_layout_arrives(x):
    assert same(through(x), x.detach().clone())


def test_meta_tensors_arrive_without_their_elements():
    x = torch.empty(2**20, 2**20, device="meta")
    assert len(answers.encode(Value(pack(x)))) < 100
    assert through(x).shape == x.shape


@pytest.mark.parametrize(
    ("value", "arrived"),
    [
        (np.int64(3), 3),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (torch.Size([2, 3]), (2, 3)),
    ],
)
def test_numpys_numbers_and_torchs_sizes_are_plain_ones(value, arrived):
    assert same(through(value), arrived)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "object"),
        ((i for i in range(3)), "generator"),
        ({1, 2}, "set"),
        (2**70, "int"),
        (1j, "complex"),
        ({(1, 2): 3}, "dict"),
        (torch.ones(2, 2).to_sparse(), "Tensor"),
        (torch.ones(2, dtype=torch.complex64), "Tensor"),
        (print, "builtin"),
    ],
)
def test_anything_else_arrives_as_its_types_name(value, name):
    arrived = through(value)
    assert isinstance(arrived, Opaque)
    assert name in arrived.type_name


def test_text_that_is_no_unicode_is_text_all_the_same():
    assert isinstance(through("\ud800"), str)
    assert isinstance(through(["\ud800", {"\ud800": 1}]), list)


def test_an_error_whose_text_is_no_unicode_is_an_error_all_the_same():
    def f():
        raise ValueError("\ud800")

    raised = LocalChannel({"f": f}).ask(requests.encode(Call("f", [], {})))
    assert isinstance(raised, Raised)
    assert raised.types[0] == "ValueError"


def test_a_list_that_contains_itself_ends():
    loop: list = []
    loop.append(loop)
    arrived = through(loop)
    while isinstance(arrived, list):
        (arrived,) = arrived
    assert isinstance(arrived, Opaque)


def test_the_size_of_an_answer_is_known_before_it_is_copied():
    huge = torch.zeros(1).expand(2**40)
    for value in (huge, [huge], {"a": (huge,)}, [torch.zeros(2**10)] * 3000):
        with pytest.raises(AnswerTooLarge, match="larger than"):
            pack(value, 8 * 2**20)


def test_the_arguments_of_a_request_arrive_as_what_they_were():
    call = Call("f", [torch.ones(2), (1, 2)], pack({"padding": (0, 1)}), echo=True)
    arrived = requests.decode(requests.encode(Call("f", pack(call.args), call.kwargs, echo=True)))
    assert same(arrived.args, call.args)
    assert arrived.kwargs == {"padding": (0, 1)}


# Hostile bytes.

EXTENSIONS = st.builds(
    lambda code, data: msgspec.msgpack.Ext(code, data), st.integers(-128, 127), st.binary()
)
HEADERS = st.builds(
    lambda header, data: msgspec.msgpack.Ext(
        1, struct.pack(">H", len(raw := msgspec.msgpack.encode(header))) + raw + data
    ),
    st.tuples(
        st.sampled_from([*DTYPES, "complex64", ""]),
        st.lists(st.integers(-2, 2**63 - 1) | st.integers(0, 3), max_size=6),
        st.lists(st.integers(-2, 2**63 - 1) | st.integers(0, 3), max_size=6),
        st.booleans(),
    ),
    st.binary(max_size=32),
)
FRAMES = st.binary() | st.recursive(
    SCALARS | EXTENSIONS | HEADERS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["type", "value", "types", "message", "x"]), inner)
    ),
).map(lambda value: msgspec.msgpack.encode({"type": "value", "value": value}))


@pytest.mark.parametrize("codec", [answers, results, requests, orders])
@settings(max_examples=300)
@given(frame=FRAMES)
def test_any_bytes_are_a_message_or_a_protocol_error(codec, frame):
    try:
        message = codec.decode(frame)
    except ProtocolError:
        return
    assert isinstance(message, msgspec.Struct)


@given(frame=VALUES.map(lambda value: answers.encode(Value(pack(value)))), data=st.data())
def test_damaged_frames_are_a_message_or_a_protocol_error(frame, data):
    cut = data.draw(st.integers(0, len(frame) - 1))
    byte = data.draw(st.integers(0, 255))
    for damaged in (frame[:cut], frame[:cut] + bytes([byte]) + frame[cut + 1 :], frame + b"x"):
        with contextlib.suppress(ProtocolError):
            answers.decode(damaged)


def value_frame(inner: bytes) -> bytes:
    return b"\x82\xa4type\xa5value\xa5value" + inner


MANY = 16 * 2**20
BOMBS = {
    "empty maps": b"\xdd" + struct.pack(">I", MANY) + b"\x80" * MANY,
    "empty lists": b"\xdd" + struct.pack(">I", MANY) + b"\x90" * MANY,
    "numbers": b"\xdd" + struct.pack(">I", MANY) + b"\x01" * MANY,
    "empty texts": b"\xdd" + struct.pack(">I", MANY) + b"\xa0" * MANY,
    "a list that promises more": b"\xdd\xff\xff\xff\xff" + b"\x90" * 1000,
    "a map that promises more": b"\xdf\xff\xff\xff\xff" + b"\x01\x90" * 1000,
    "a text that promises more": b"\xdb\xff\xff\xff\xff",
    "lists in lists": b"\x91" * MANY,
    "maps in maps": b"\x81\x01" * MANY,
    "many of 200 deep": b"\xdd" + struct.pack(">I", 1000) + (b"\x91" * 200 + b"\x01") * 1000,
    "maps in a tuple": b"\xc9"
    + struct.pack(">I", MANY + 5)
    + b"\x03\xdd"
    + struct.pack(">I", MANY)
    + b"\x80" * MANY,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_frame_grows_beyond_its_own_size(bomb):
    frame = value_frame(BOMBS[bomb])
    before = psutil.Process().memory_info().rss
    with pytest.raises(ProtocolError):
        answers.decode(frame)
    assert psutil.Process().memory_info().rss - before < 64 * 2**20


def test_tuples_in_tuples_without_end_are_refused():
    inner = b"\x90"
    for _ in range(2000):
        inner = b"\x91\xc9" + struct.pack(">I", len(inner)) + b"\x03" + inner
    with pytest.raises(ProtocolError):
        answers.decode(value_frame(inner))


@pytest.mark.parametrize(
    ("header", "raw"),
    [
        (("float32", [2], [], False), 4),  # too few bytes
        (("float32", [2], [], False), 12),  # too many
        (("float32", [-1], [], False), 0),
        (("float32", [2**62, 4], [], False), 0),
        (("float32", [1] * 65, [], False), 4),
        (("float32", [2], [2**50], False), 8),
        (("float32", [2], [0], False), 8),
        (("float32", [2], [-1], False), 8),
        (("float32", [2], [1, 1], False), 8),
        (("complex64", [1], [], False), 8),
        (("float32", [2**39, 2**39, 2**39], [], True), 0),
    ],
)
def test_a_tensor_whose_header_and_bytes_disagree_is_refused(header, raw):
    encoded = msgspec.msgpack.encode(header)
    data = struct.pack(">H", len(encoded)) + encoded + bytes(raw)
    frame = msgspec.msgpack.encode({"type": "value", "value": msgspec.msgpack.Ext(1, data)})
    with pytest.raises(ProtocolError):
        answers.decode(frame)


def test_bytes_that_are_no_booleans_are_made_some():
    encoded = msgspec.msgpack.encode(("bool", [3], [], False))
    data = struct.pack(">H", len(encoded)) + encoded + b"\x00\x01\x02"
    tensor = unpack(1, memoryview(data))
    assert torch.equal(tensor, torch.tensor([False, True, True]))


# Frames.


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def one_by_one(sock: socket.socket, deadline: float | None = None) -> bytes:
    return receive_frame(sock, 1000, deadline)


def many_at_once(sock: socket.socket, deadline: float | None = None) -> bytes:
    return Frames(sock, 1000).receive(time.monotonic() + 10 if deadline is None else deadline)


receiving = pytest.mark.parametrize("receive", [one_by_one, many_at_once])


@given(st.lists(st.binary(max_size=1000), min_size=1, max_size=4))
def test_frames_arrive_one_by_one(frames):
    a, b = pair()
    with a, b:
        for frame in frames:
            send_frame(a, frame)
        assert [receive_frame(b, 1000) for _ in frames] == frames


@receiving
def test_a_frame_over_the_limit_is_refused_before_it_is_read(receive):
    a, b = pair()
    with a, b:
        a.sendall(struct.pack(">I", 2**32 - 1))
        with pytest.raises(ProtocolError, match="over the limit"):
            receive(b)


@receiving
def test_a_frame_that_breaks_off_is_the_end(receive):
    a, b = pair()
    with b:
        a.sendall(struct.pack(">I", 100) + b"only this")
        a.close()
        with pytest.raises(EOFError):
            receive(b)


@given(st.lists(st.binary(max_size=1000), min_size=1, max_size=4), st.data())
def test_frames_that_come_in_any_pieces_are_the_same_frames(sent, data):
    a, b = pair()
    with a, b:
        frames, received = Frames(b, 1000), []
        stream = b"".join(struct.pack(">I", len(frame)) + frame for frame in sent)
        while stream:
            piece = data.draw(st.integers(1, len(stream)))
            a.sendall(stream[:piece])
            stream = stream[piece:]
            with contextlib.suppress(TimeoutError):
                while True:
                    received.append(frames.receive(time.monotonic()))
        assert received == sent


def test_a_frame_is_there_when_nothing_is_left_to_wait_for():
    a, b = pair()
    with a, b:
        frames = Frames(b, 1000)
        a.sendall(struct.pack(">I", 1) + b"1" + struct.pack(">I", 2) + b"2")
        assert not frames.is_there()
        assert frames.receive(time.monotonic() + 1) == b"1"
        assert not frames.is_there()
        a.sendall(b"2" + struct.pack(">I", 0) + struct.pack(">I", 1001))
        assert frames.receive(time.monotonic() + 1) == b"22"
        assert frames.is_there()
        assert frames.receive(time.monotonic()) == b""
        assert frames.is_there()  # to be refused
        with pytest.raises(ProtocolError, match="over the limit"):
            frames.receive(time.monotonic())


@receiving
def test_a_frame_that_drips_does_not_outlast_the_deadline(receive):
    a, b = pair()
    over = threading.Event()

    def drip() -> None:
        a.sendall(struct.pack(">I", 1000))
        while not over.wait(0.02):
            a.sendall(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with pytest.raises(TimeoutError):
            receive(b, time.monotonic() + 0.3)
    finally:
        over.set()
        thread.join()
        a.close()
        b.close()
