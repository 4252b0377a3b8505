# Recurses in native code until the stack ends.
# where: receptive_field
# costs: receptive_field
# slow: a million lists; crashes_natively is of its kind
import sys

sys.setrecursionlimit(10**9)


def receptive_field(layers):
    nested = []
    for _ in range(10**6):
        nested = [nested]
    return repr(nested) or eval("(" * 10**5)
