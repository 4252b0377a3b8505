# A cell that never ends takes the rest of the notebook with it.
# where: first
# fault: timeout cell 1
while True:
    pass
