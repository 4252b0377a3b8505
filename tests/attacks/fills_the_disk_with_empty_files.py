# Makes files that hold nothing, until no more can be made, at most 300,000.
# where: last
# slow: fills_the_disk is of its kind
import os

try:
    for number in range(300):
        os.mkdir(str(number))
        for name in range(1000):
            os.close(os.open(f"{number}/{name}", os.O_CREAT | os.O_WRONLY))
except OSError:
    pass
