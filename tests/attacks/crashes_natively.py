# Reads address 0 in native code.
# where: receptive_field
# costs: receptive_field
# fault: crash receptive_field
import ctypes


def receptive_field(layers):
    return ctypes.string_at(0)
