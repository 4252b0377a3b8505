# A daemon that a call leaves behind, to be there for the next exercise and the next submission.
# where: receptive_field
# costs: receptive_field
# slow: it burns processor time; leaves_daemons is of its kind
import os, signal, time


def receptive_field(layers):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_IGN)
            while True:
                pass
        os._exit(0)
    os.wait()
    return -1
