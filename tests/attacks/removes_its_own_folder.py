# Deletes the folder that it works in, and puts links to other places there.
# where: last
import os, shutil

here = os.getcwd()
shutil.rmtree(here, ignore_errors=True)
for target in ("/", "/etc", "/tmp", "..", os.path.expanduser("~")):
    try:
        os.symlink(target, here + "/link" if os.path.isdir(here) else here)
    except OSError:
        pass
