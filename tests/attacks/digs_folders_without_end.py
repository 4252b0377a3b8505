# Folders in folders, deeper than any path can name.
# where: last
# slow: hides_its_files is of its kind
import os

try:
    for _ in range(3000):
        os.mkdir("d" * 50)
        os.chdir("d" * 50)
except OSError:
    pass
