# Writes files into folders that may not be listed, and a folder that may not be entered.
# where: last
# ends: without root or a file system of its own, nobody can look into its folders
import os

block = bytes(2**22)
try:
    os.mkdir("unlisted")
    for number in range(200):
        with open(f"unlisted/{number}", "wb") as file:
            file.write(block)
        if number == 1:
            os.mkdir("closed", 0)
            os.umask(0o777)
            os.mkdir("unlisted/closed", 0o300)
            os.rename("unlisted", "hidden")
            os.mkdir("unlisted", 0o300)
except OSError:
    pass
