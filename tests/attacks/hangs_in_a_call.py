# A function that never returns.
# where: receptive_field
# costs: receptive_field
# fault: timeout receptive_field
def receptive_field(layers):
    while True:
        pass
