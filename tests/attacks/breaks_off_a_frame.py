# Half of an answer, and then the end of the process.
# where: receptive_field
# costs: receptive_field
# fault: crash receptive_field
# slow: claims_a_giant_frame is of its kind
import os


def receptive_field(layers):
    for fd in range(3, 20):
        try:
            os.write(fd, b"\x00\x00\x10\x00\x82\xa4type\xa5value\xa5value")
        except OSError:
            pass
    os._exit(0)
