# Daemons in sessions of their own, which burn time and write files after the cell has ended.
# where: last
import os, time

for number in range(4):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setpgid(0, 0)
            for fd in range(256):
                try:
                    os.close(fd)
                except OSError:
                    pass
            while True:
                try:
                    open(f"daemon{number}", "a").write("x")
                except OSError:
                    pass
        os._exit(0)
    os.wait()
