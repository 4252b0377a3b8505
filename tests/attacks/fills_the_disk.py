# Writes files until the disk is full, open ones without a name too, at most 4 GB.
# where: last
import os

files = []
block = bytes(2**22)
try:
    for number in range(1000):
        files.append(open(f"block{number}", "wb", buffering=0))
        if number % 2:
            os.unlink(f"block{number}")
        files[-1].write(block)
except OSError:
    pass
