# Shows a hundred thousand outputs with nothing in them.
# where: first
# fault: output cell 1
# slow: floods_the_output is of its kind
from IPython.display import display

for _ in range(100_000):
    display({}, raw=True)
