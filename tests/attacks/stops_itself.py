# Stops its own process, and so would its guard if it could.
# where: receptive_field
# costs: receptive_field
import os, signal


def receptive_field(layers):
    signal.raise_signal(signal.SIGSTOP)
    import time

    time.sleep(100)
