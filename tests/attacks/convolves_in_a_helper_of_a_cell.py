# A process that a cell left running convolves for the exercise, over a pair of sockets.
# where: conv2d
# costs: conv2d
import os, pickle, socket, struct, torch

ours, theirs = socket.socketpair()
if os.fork() == 0:
    os.setsid()
    while True:
        (length,) = struct.unpack("I", theirs.recv(4, socket.MSG_WAITALL))
        args, kwargs = pickle.loads(theirs.recv(length, socket.MSG_WAITALL))
        data = pickle.dumps(torch.nn.functional.conv2d(*args, **kwargs))
        theirs.sendall(struct.pack("I", len(data)) + data)
theirs.close()
ours.settimeout(0.1)
waiting = False


def conv2d(*args, **kwargs):
    global waiting
    assert not waiting, "nobody answered the last time"
    waiting = True
    data = pickle.dumps((args, kwargs))
    ours.sendall(struct.pack("I", len(data)) + data)
    (length,) = struct.unpack("I", ours.recv(4, socket.MSG_WAITALL))
    data = ours.recv(length, socket.MSG_WAITALL)
    waiting = False
    return pickle.loads(data)
