# Threads that write well-formed answers into the middle of each other's, and of the real ones.
# where: receptive_field
# costs: receptive_field
# slow: it writes for seconds; speaks_the_protocol is of its kind
import os, struct, threading

frame = b"\x82\xa4type\xa5value\xa5value\x01"
frame = struct.pack(">I", len(frame)) + frame


def write():
    for _ in range(40):
        for fd in range(3, 12):
            try:
                os.write(fd, frame[:7])
                os.write(fd, frame[7:])
            except OSError:
                pass


def receptive_field(layers):
    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return -1
