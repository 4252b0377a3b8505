"""Values and frames on the wire between the grader and a sandboxed worker.

A frame is a four-byte length and that many bytes of MessagePack. A tensor travels as an
extension type: its dtype, shape, strides and device in a small header, then its raw bytes. Nothing
is pickled or evaluated; whatever does not fit the format raises ProtocolError, and whatever
a worker returns that is no plain data arrives as Opaque, which equals nothing.
"""

from __future__ import annotations

import math
import numbers
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import torch

TENSOR, OPAQUE, TUPLE, KEPT = 1, 2, 3, 4
DTYPES: dict[str, torch.dtype] = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
    )
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
CHUNK = 2**16
MAX_DIMENSIONS = 64
MAX_DEPTH = 32
MAX_ITEMS = 100_000  # of a frame: an empty map is one byte there, and a dict of 64 bytes here


class ProtocolError(Exception):
    """The other side sent something that is not in the protocol."""


class AnswerTooLarge(Exception):
    """A value is larger than one answer may be."""


class Opaque(msgspec.Struct, frozen=True):
    """Stands for a returned object that is no plain data: only its type's name travelled."""

    type_name: str

    def __repr__(self) -> str:
        return f"<{self.type_name}>"


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """Stands for an object that was kept in the student's process: its number there, and the
    name under which feedback shows it. Travels to that process, never from it."""

    number: int
    name: str


class TensorHeader(msgspec.Struct, array_like=True):
    """What stands before a tensor's bytes."""

    dtype: str
    shape: list[int]
    strides: list[int]  # empty where the tensor is contiguous
    meta: bool


_header_decoder = msgspec.msgpack.Decoder(TensorHeader)
_kept_decoder = msgspec.msgpack.Decoder(Kept)
_encoder = msgspec.msgpack.Encoder()


def plain_text(text: str) -> str:
    """`text`, with what UTF-8 can't hold (half of a surrogate pair) replaced by a question mark."""
    return text.encode("utf-8", "replace").decode()


def pack(value: Any, limit: int | None = None) -> Any:
    """`value` with every tensor and foreign object replaced by what MessagePack can carry.

    Raises AnswerTooLarge where the tensors' bytes exceed `limit`, before copying any of them.
    """
    if limit is not None and _tensor_bytes(value, MAX_DEPTH) > limit:
        raise AnswerTooLarge(f"the value is larger than {limit / 2**20:.0f} MiB")
    return _pack(value, MAX_DEPTH)


def _tensor_bytes(value: Any, depth: int) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if depth and isinstance(value, list | tuple):
        return sum(_tensor_bytes(item, depth - 1) for item in value)
    if depth and isinstance(value, dict):
        return sum(_tensor_bytes(item, depth - 1) for item in value.values())
    return 0


def _pack(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        return plain_text(value)
    if kind in (int, float, bool, bytes, type(None)):
        if kind is int and not -(2**63) <= value < 2**64:
            return _opaque(value)
        return value
    if isinstance(value, torch.Tensor):
        return _pack_tensor(value)
    if depth and isinstance(value, list | tuple):
        items = [_pack(item, depth - 1) for item in value]
        if isinstance(value, tuple):  # a tuple arrives as a tuple: student code may look
            return msgspec.msgpack.Ext(TUPLE, _encoder.encode(items))
        return items
    if depth and isinstance(value, dict):
        if all(type(key) in (str, int) for key in value):
            return {_pack(key, 0): _pack(item, depth - 1) for key, item in value.items()}
        return _opaque(value)
    if isinstance(value, Kept):
        return msgspec.msgpack.Ext(KEPT, _encoder.encode(value))
    if isinstance(value, numbers.Integral):  # numpy's integers count as ints
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    return _opaque(value)


def _opaque(value: Any) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(OPAQUE, plain_text(type(value).__qualname__[:200]).encode())


def _pack_tensor(tensor: torch.Tensor) -> msgspec.msgpack.Ext:
    tensor = tensor.detach()
    if tensor.dtype not in NAMES or tensor.layout != torch.strided:
        return msgspec.msgpack.Ext(OPAQUE, f"Tensor of {tensor.dtype}, {tensor.layout}".encode())
    meta = tensor.device.type == "meta"
    if not meta and tensor.device.type != "cpu":
        tensor = tensor.cpu()
    strided = not tensor.is_contiguous() and _span(tensor.shape, tensor.stride()) is not None
    strides = list(tensor.stride()) if strided else []
    header = _encoder.encode(TensorHeader(NAMES[tensor.dtype], list(tensor.shape), strides, meta))
    data = b"" if meta else _raw(tensor)
    return msgspec.msgpack.Ext(TENSOR, struct.pack(">H", len(header)) + header + data)


def _raw(tensor: torch.Tensor) -> bytes:
    # A tensor of one element may count as contiguous with any stride: reshape keeps it, clone not.
    tensor = tensor.resolve_conj().resolve_neg().reshape(-1)
    if tensor.numel() and tensor.stride() != (1,):
        tensor = tensor.clone(memory_format=torch.contiguous_format)
    return tensor.view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def _span(shape: Sequence[int], strides: Sequence[int]) -> int | None:
    """How many elements of memory a layout spans; None where it can't be sent: a stride of 0 (a
    copy can't share memory with itself), or a small view of a large tensor."""
    span = sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1
    return span if all(s > 0 for s in strides) and span <= 16 * max(math.prod(shape), 1) else None


def unpack(code: int, data: memoryview) -> Any:
    """What an extension type stands for; raises ProtocolError where the bytes don't add up."""
    if code == TUPLE:
        return tuple(_tuple_decoder.decode(data))
    if code == OPAQUE:
        return Opaque(bytes(data[:200]).decode(errors="replace"))
    if code != TENSOR or len(data) < 2:
        raise ProtocolError(f"unknown extension type {code}")
    (length,) = struct.unpack(">H", data[:2])
    try:
        header = _header_decoder.decode(data[2 : 2 + length])
        dtype = DTYPES[header.dtype]
    except (msgspec.MsgspecError, KeyError) as error:
        raise ProtocolError(f"a tensor's header is malformed: {error}") from None
    raw = data[2 + length :]
    shape, strides = header.shape, header.strides
    if len(shape) > MAX_DIMENSIONS or any(not 0 <= n < 2**40 for n in shape):
        raise ProtocolError("a tensor's shape is out of range")
    if header.meta:
        return torch.empty(shape, dtype=dtype, device="meta")
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise ProtocolError(f"a tensor of shape {shape} came with {len(raw)} bytes")
    if raw:
        tensor = torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape)
    else:
        tensor = torch.empty(shape, dtype=dtype)
    if not strides:
        return tensor
    if len(strides) != len(shape) or _span(shape, strides) is None:
        raise ProtocolError("a tensor's strides are out of range")
    return torch.empty_strided(shape, strides, dtype=dtype).copy_(tensor)


_tuple_decoder = msgspec.msgpack.Decoder(list, ext_hook=unpack)


def unpack_request(code: int, data: memoryview) -> Any:
    """The same for what the grader sends, which may name kept objects."""
    if code == KEPT:
        return _kept_decoder.decode(data)
    if code == TUPLE:
        return tuple(_request_tuple_decoder.decode(data))
    return unpack(code, data)


_request_tuple_decoder = msgspec.msgpack.Decoder(list, ext_hook=unpack_request)


# MessagePack's first bytes: those followed by a number of so many bytes, and by how many others.
_FIXED = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_SIZED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_CONTAINERS = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}


def check_size(frame: bytes) -> None:
    """Raises ProtocolError where decoding a frame would make too many objects, or nest them too
    deep for those who walk through them. Looks at each object's first bytes only."""
    left = [1]  # of each open container, how many objects are still to come
    at, items = 0, 0
    while at < len(frame) and left:
        items += 1
        if items > MAX_ITEMS:
            raise ProtocolError(f"an answer of more than {MAX_ITEMS} items")
        if len(left) > 2 * MAX_DEPTH + 8:  # a tuple nests twice, and messages a little
            raise ProtocolError("an answer is nested too deep")
        left[-1] -= 1
        first, inside = frame[at], 0
        at += 1
        if 0x80 <= first <= 0x9F:
            inside = (first & 15) * (2 if first < 0x90 else 1)
        elif 0xA0 <= first <= 0xBF:
            at += first & 31
        elif first in _FIXED:
            at += _FIXED[first]
        elif first in _SIZED:
            at += _SIZED[first] + _number(frame, at, _SIZED[first])
        elif first in _CONTAINERS:
            inside = _number(frame, at, _CONTAINERS[first]) * (2 if first >= 0xDE else 1)
            at += _CONTAINERS[first]
        elif first in _EXTENSIONS or 0xD4 <= first <= 0xD8:
            length = _EXTENSIONS.get(first, 0)
            size = _number(frame, at, length) if length else 1 << (first - 0xD4)
            at += length + 1
            if frame[at - 1 : at] == bytes([TUPLE]):  # its bytes are a list
                inside = 1
            else:
                at += size
        if inside:
            left.append(inside)
        while left and left[-1] == 0:
            left.pop()


def _number(frame: bytes, at: int, length: int) -> int:
    return int.from_bytes(frame[at : at + length], "big")


class Codec:
    """Encodes and decodes the Structs of one tagged union; `from_student` where a student's
    process may have made what is decoded."""

    def __init__(self, union: Any, from_student: bool = False) -> None:
        self._from_student = from_student
        hook = unpack if from_student else unpack_request
        self._decoder = msgspec.msgpack.Decoder(union, ext_hook=hook)

    def encode(self, message: msgspec.Struct) -> bytes:
        return _encoder.encode(message)

    def decode(self, frame: bytes) -> Any:
        if self._from_student:
            check_size(frame)
        try:
            return self._decoder.decode(frame)
        except (ProtocolError, MemoryError):  # the latter is ours: the frame's size is bounded
            raise
        except Exception as error:  # a hostile frame may break the decoder in any way
            raise ProtocolError(f"a malformed answer: {str(error)[:200]}") from None


def send_frame(sock: socket.socket, frame: bytes) -> None:
    """Sends one frame; raises OSError (TimeoutError too) where the other side is gone."""
    sock.sendall(struct.pack(">I", len(frame)) + frame)


def receive_frame(
    sock: socket.socket, limit: int, deadline: float | None = None, begun: bytes = b""
) -> bytes:
    """Receives one frame of at most `limit` bytes, of whose length `begun` is already there.

    Raises EOFError where the other side is gone, TimeoutError past the deadline (of
    time.monotonic), ProtocolError where the frame is too large.
    """
    head = begun + _receive_exactly(sock, 4 - len(begun), deadline)
    (length,) = struct.unpack(">I", head)
    if length > limit:
        raise ProtocolError(f"an answer of {length / 2**20:.0f} MiB is over the limit")
    return _receive_exactly(sock, length, deadline)


def _receive_exactly(sock: socket.socket, length: int, deadline: float | None) -> bytes:
    buffer = bytearray(length)
    view = memoryview(buffer)
    received = 0
    while received < length:
        if deadline is not None:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
        count = sock.recv_into(view[received:])
        if count == 0:
            raise EOFError("the other side closed the connection")
        received += count
    return bytes(buffer)


class Frames:
    """The frames of at most `limit` bytes that come in on a socket, read in as few calls as can
    be."""

    def __init__(self, sock: socket.socket, limit: int) -> None:
        self._sock = sock
        self._limit = limit
        self._come = bytearray()
        self._chunk = memoryview(bytearray(CHUNK))

    def is_there(self) -> bool:
        """True where `receive` needs to wait for nothing."""
        if len(self._come) < 4:
            return False
        length = self._length()
        return length > self._limit or len(self._come) >= 4 + length

    def receive(self, deadline: float) -> bytes:
        """The next frame; raises as receive_frame does."""
        self._read(4, deadline)
        length = self._length()
        if length > self._limit:
            raise ProtocolError(f"an answer of {length / 2**20:.0f} MiB is over the limit")
        self._read(4 + length, deadline)
        frame = bytes(self._come[4 : 4 + length])
        del self._come[: 4 + length]
        return frame

    def _length(self) -> int:
        return int.from_bytes(self._come[:4], "big")

    def _read(self, length: int, deadline: float) -> None:
        while len(self._come) < length:
            self._sock.settimeout(max(deadline - time.monotonic(), 0.001))
            count = self._sock.recv_into(self._chunk)
            if count == 0:
                raise EOFError("the other side closed the connection")
            self._come += self._chunk[:count]
