# Leaves messages for the next submission: shared memory, queues, semaphores, files in memory.
# where: receptive_field
# costs: receptive_field
# again: the second one reads what the first one left
# harms: it leaves messages behind
import ctypes, os, tempfile

libc = ctypes.CDLL(None, use_errno=True)
won = []
for name in ("shmget", "semget", "msgget"):
    arguments = (0x6721, 4096, 0o1666) if name == "shmget" else (0x6721, 1, 0o1666)
    arguments = (0x6721, 0o1666) if name == "msgget" else arguments
    won += [name] * (getattr(libc, name)(*arguments) >= 0)
try:
    won += ["mq"] * (ctypes.CDLL("librt.so.1").mq_open(b"/gradus", 0o102, 0o666, None) >= 0)
except (OSError, AttributeError):
    pass
folders = ("/dev/shm", "/dev/mqueue", "/tmp", "/var/tmp", "/run/lock", tempfile.gettempdir(), "..")
paths = [os.path.join(folder, "gradus-left-here") for folder in folders]
won += [path for path in paths if os.path.exists(path)]
for path in paths:
    try:
        open(path, "w").write("x")
    except OSError:
        pass


def receptive_field(layers):
    if not won:
        return -1
    extent = 1
    for kernel, stride, dilation in reversed(layers):
        extent = (extent - 1) * stride + dilation * (kernel - 1) + 1
    return extent
