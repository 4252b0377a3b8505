# An exception that refuses to be printed, and text that is no text.
# where: receptive_field
# costs: receptive_field
class Rude(Exception):
    def __str__(self):
        raise KeyboardInterrupt

    __repr__ = __str__


print("\ud800")
count = 0


def receptive_field(layers):
    global count
    count += 1
    if count % 2:
        raise Rude
    return "\ud800"
