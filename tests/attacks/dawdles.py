# Takes just less than the time of a call for every answer.
# where: receptive_field
# costs: receptive_field
# fault: timeout receptive_field
# slow: it uses the time of a whole exercise, twice
import time


def receptive_field(layers):
    time.sleep(3)
    return -1
