# Starts as many threads as it can, each with a stack of its own.
# where: last
# slow: bombs_with_forks is of its kind
import threading, time

threading.stack_size(64 * 2**20)
try:
    for _ in range(2000):
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
except RuntimeError:
    pass
