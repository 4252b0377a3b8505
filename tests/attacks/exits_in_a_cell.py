# sys.exit in a cell, so that nothing after it is looked at.
# where: first
import sys

sys.exit(0)
