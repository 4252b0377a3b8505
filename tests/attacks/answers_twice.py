# Forks in the middle of a call, so that two processes answer.
# where: receptive_field
# costs: receptive_field
import os


def receptive_field(layers):
    os.fork()
    os.fork()
    return 1
