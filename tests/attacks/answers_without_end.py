# A list that never ends when somebody walks through it.
# where: receptive_field
# costs: receptive_field
# slow: it outlasts the time of two calls
import itertools


class Endless(list):
    __iter__ = lambda self: itertools.repeat("x" * 1000)
    __len__ = lambda self: 1


def receptive_field(layers):
    return Endless()
