# A function that never returns.
# where: receptive_field
# costs: receptive_field
# fault: timeout receptive_field
# slow: it outlasts the time of two calls; hangs_in_a_cell is of its kind
def receptive_field(layers):
    while True:
        pass
