# An answer of a megabyte, a byte at a time.
# where: receptive_field
# costs: receptive_field
# fault: timeout receptive_field
# slow: it outlasts the time of two calls
import os, time


def receptive_field(layers):
    fds = []
    for fd in range(3, 20):
        try:
            os.write(fd, b"\x00\x10\x00\x00")
            fds.append(fd)
        except OSError:
            pass
    while True:
        time.sleep(0.1)
        for fd in fds:
            os.write(fd, b"\xc0")
