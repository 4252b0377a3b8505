# Starts as many processes as it can, in a cell, at most 200.
# where: last
import os, time

for _ in range(200):
    try:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
    except OSError:
        break
time.sleep(0.5)
