# Opens a socket of every family, and sends what it can to this machine.
# where: receptive_field
# costs: receptive_field
# harms: it sends to this machine's own addresses
import socket

won = []
for name in (
    "INET",
    "INET6",
    "NETLINK",
    "PACKET",
    "VSOCK",
    "ALG",
    "BLUETOOTH",
    "CAN",
    "TIPC",
    "QIPCRTR",
):
    family = getattr(socket, "AF_" + name, None)
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        try:
            socket.socket(family, kind)
            won.append((name, kind))
        except (OSError, TypeError):
            pass
for family in (44, 38, 40, 41, 43):  # XDP, ALG, VSOCK, KCM, SMC, by number
    try:
        socket.socket(family, socket.SOCK_RAW)
        won.append(family)
    except OSError:
        pass


def receptive_field(layers):
    if not won:
        return -1
    extent = 1
    for kernel, stride, dilation in reversed(layers):
        extent = (extent - 1) * stride + dilation * (kernel - 1) + 1
    return extent
