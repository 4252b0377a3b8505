# Blocks when the process ends or an object is destroyed.
# where: first
import atexit, threading, signal, sys

lock = threading.Lock()
lock.acquire()
atexit.register(lock.acquire)


class Stays:
    def __del__(self):
        lock.acquire()


stays = Stays()
sys.excepthook = lambda *a: lock.acquire()
threading.Thread(target=lock.acquire).start()
