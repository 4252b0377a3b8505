# The solution's cell never ends, whatever signals it gets.
# where: conv2d
# costs: conv2d
# fault: timeout conv2d
import signal

for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
