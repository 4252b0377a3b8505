# A cell that kills the kernel's process.
# where: receptive_field
# costs: receptive_field
# fault: crash receptive_field
import os

os.kill(os.getpid(), 9)
