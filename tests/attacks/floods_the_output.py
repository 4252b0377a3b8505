# Prints until the disk or the report is full.
# where: first
# fault: output cell 1
import sys

for _ in range(5000):
    print("x" * 10_000)
    sys.stderr.write("y" * 10_000)
