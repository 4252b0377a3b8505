"""What Linux offers to isolate a process, called directly: nothing to install, no privileges.

Namespaces give a process its own file system, network, processes and users; Landlock limits the
paths that it may open and the processes that it may signal; seccomp limits its system calls;
capabilities and limits are dropped for good. Each function raises OSError where the kernel refuses.

Numbers are from the kernel's headers (man 2 unshare, landlock(7), seccomp(2), capset(2)).
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
from collections.abc import Iterable
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
ALL_NAMESPACES = NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
NOBODY = 65534
AT_FDCWD, AT_RECURSIVE = -100, 0x8000

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 36, 38, 47

# The same names for x86-64 and for 64-bit Arm; None where a machine lacks the call.
_NUMBERS: dict[str, tuple[int | None, int]] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "setns": (308, 268),
    "unshare": (272, 97),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "personality": (135, 92),
    "vhangup": (153, 58),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # memory that no limit counts
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    # the user's other processes, slowed down or moved
    "setpriority": (141, 140),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "process_madvise": (440, 440),
}
_SIGNALS = {
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
}
# What Landlock lets a process do to any file of its user, readable or not.
_ATTRIBUTES: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
}
_EXECS = {"execve": (59, 221), "execveat": (322, 281)}
_SPECIAL = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "ioctl": (16, 29),
    "fcntl": (72, 25),
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option: int, *arguments: int) -> None:
    """Changes a property of this process (man 2 prctl)."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    _check(_libc.prctl(option, *(ctypes.c_ulong(a) for a in padded)), f"prctl {option}")


# --- Namespaces and the file system --------------------------------------------------------------


def unshare(flags: int) -> None:
    """Enters new namespaces (man 2 unshare)."""
    _check(_libc.unshare(flags), "unshare")


def enter_user_namespace(flags: int) -> None:
    """New namespaces, in which this process may mount. It maps to user 1000 there; root stays
    root there, and has user 1000 beside it, which is nobody outside."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        _unshare_as_root(flags)
        return
    unshare(NEWUSER | flags)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"1000 {user} 1")
    Path("/proc/self/gid_map").write_text(f"1000 {group} 1")


def _unshare_as_root(flags: int) -> None:
    """The maps of two users can only be written from outside: by a child that stays there."""
    me = os.getpid()
    ready, go = os.pipe()
    writer = os.fork()
    if writer == 0:
        os.close(go)
        status = 1
        try:
            os.read(ready, 1)
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{me}/{name}").write_text(f"0 0 1\n1000 {NOBODY} 1\n")
            status = 0
        finally:
            os._exit(status)
    os.close(ready)
    try:
        unshare(NEWUSER | flags)
    finally:
        os.close(go)
        _, status = os.waitpid(writer, 0)
    if status:
        raise OSError("root may not map users here")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mounts a file system (man 2 mount)."""
    _check(
        _libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()),
        f"mount {target}",
    )


def make_read_only(target: str, recursive: bool) -> None:
    """Makes a mount read-only, with those below it where recursive (man 2 mount_setattr)."""
    attributes = struct.pack(
        "QQQQ", ATTR_RDONLY | ATTR_NOSUID | (ATTR_NODEV if recursive else 0), 0, 0, 0
    )
    flags = AT_RECURSIVE if recursive else 0
    result = _libc.syscall(442, AT_FDCWD, target.encode(), flags, attributes, len(attributes))
    _check(result, f"mount_setattr {target}")


def enter_root(root: str, readable: Iterable[str]) -> None:
    """Makes `root` (an empty folder) the whole file system: the readable paths, read-only, a
    few devices, /proc, and the mount point /scratch, with /tmp and /dev/shm leading to it."""
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    devices = [f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom")]
    for path in [*readable, *devices]:
        _bind(path, root + path, read_only=path not in devices)
    for folder in ("scratch", "proc"):
        os.mkdir(f"{root}/{folder}")
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for link in ("/tmp", "/dev/shm"):
        if not os.path.lexists(root + link):  # the Python installation may lie in /tmp
            os.symlink("/scratch", root + link)
    os.chdir(root)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", MNT_DETACH), "umount2")
    os.chdir("/")
    make_read_only("/", recursive=False)


def _bind(source: str, target: str, read_only: bool) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(source, target, "", MS_BIND | MS_REC)
    if read_only:
        make_read_only(target, recursive=True)


def mount_scratch(size: int) -> None:
    """A fresh /scratch of at most `size` bytes and a fresh /proc, for this mount namespace."""
    mount(
        "tmpfs",
        "/scratch",
        "tmpfs",
        MS_NOSUID | MS_NODEV,
        f"size={size},nr_inodes=4096,mode=700,uid=1000,gid=1000",
    )
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)


# --- Landlock ------------------------------------------------------------------------------------

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_BLOCK, _TRUNCATE, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV


def landlock_version() -> int:
    """The version of Landlock's interface, 0 where the kernel has none."""
    return max(int(_libc.syscall(444, None, 0, 1)), 0)


def landlock(readable: Iterable[str], writable: Iterable[str]) -> None:
    """Forbids this process and its descendants every path but these, TCP, and (from version 6)
    signals and abstract sockets to the outside. Needs no_new_privs."""
    version = landlock_version()
    if version == 0:
        raise OSError("the kernel has no Landlock")
    handled = (1 << (13 + (version >= 2) + (version >= 3) + (version >= 5))) - 1
    attributes = struct.pack("QQQ", handled, 3, 3)[
        : 8 if version < 4 else 16 if version < 6 else 24
    ]
    ruleset = _check(_libc.syscall(444, attributes, len(attributes), 0), "landlock_create_ruleset")
    read = _EXECUTE | _READ_FILE | _READ_DIR
    devices = [f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom")]
    write = handled & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV)
    rules = [*((path, read) for path in readable), *((path, write) for path in writable)]
    rules += [(path, _READ_FILE | _WRITE_FILE) for path in devices]
    try:
        for path, rights in rules:
            try:
                target = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue  # what isn't there can't be read
            allowed = rights if os.path.isdir(path) else rights & _FILE_RIGHTS
            rule = struct.pack("=Qi", allowed & handled, target)
            _check(_libc.syscall(445, ruleset, 1, rule, 0), f"landlock_add_rule {path}")
            os.close(target)
        _check(_libc.syscall(446, ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)


# --- seccomp -------------------------------------------------------------------------------------

_LOAD, _JUMP_EQ, _JUMP_GE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_AF_UNIX, _SOCK_DGRAM = 1, 2
_F_SETOWN, _F_SETOWN_EX, _F_SETLEASE = 8, 15, 1024
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_FS_SETFLAGS, _FS_SETFLAGS_32, _FS_SETXATTR = 0x40086602, 0x40046602, 0x401C5820


def seccomp_supported() -> bool:
    """True on the machines whose system call numbers are known here."""
    return platform.machine() in _MACHINES


def deny_system_calls(signals: bool, outside_files: bool) -> None:
    """Refuses system calls that reach other processes, the kernel's configuration, new
    namespaces, and every socket but Unix ones. With `signals`, sending signals too; with
    `outside_files`, what Landlock allows with files outside: connecting to their sockets, and
    changing their attributes, which only seems to work, because copying a file does that too."""
    column = _MACHINES[platform.machine()][0]
    denied = [row[column] for row in (_NUMBERS | (_SIGNALS if signals else {})).values()]
    number = {name: row[column] for name, row in _SPECIAL.items()}
    rules = [
        *(_refuse(n) for n in denied if n is not None),
        # glibc falls back to clone, whose flags can be seen
        _refuse(number["clone3"], _ENOSYS),
        _refuse_argument(number["clone"], 0, (_JUMP_SET, 0, 1, ALL_NAMESPACES)),
        _refuse_argument(number["socket"], 0, (_JUMP_EQ, 1, 0, _AF_UNIX)),
        _refuse_argument(number["ioctl"], 1, (_JUMP_EQ, 0, 1, _TIOCSTI)),
        _refuse_argument(number["ioctl"], 1, (_JUMP_EQ, 0, 1, _TIOCLINUX)),
        # who opens the file then waits, for up to 45 seconds
        _refuse_argument(number["fcntl"], 1, (_JUMP_EQ, 0, 1, _F_SETLEASE)),
        # 0 is the calling process itself
        _refuse_argument(number["prlimit64"], 0, (_JUMP_EQ, 1, 0, 0)),
        _refuse_argument(number["sched_setaffinity"], 0, (_JUMP_EQ, 1, 0, 0)),
    ]
    if signals:  # the kernel sends some to a file's owner
        rules += [
            _refuse_argument(number["fcntl"], 1, (_JUMP_EQ, 0, 1, option))
            for option in (_F_SETOWN, _F_SETOWN_EX)
        ]
    if outside_files:
        rules.append(_refuse(number["socket"]))
        # Pairs of streams have no address to send to; datagrams may go anywhere.
        rules.append(_refuse_argument(number["socketpair"], 1, (_JUMP_SET, 0, 1, _SOCK_DGRAM)))
        rules += [
            _refuse_argument(number["ioctl"], 1, (_JUMP_EQ, 0, 1, option))
            for option in (_FS_SETFLAGS, _FS_SETFLAGS_32, _FS_SETXATTR)
        ]
        attributes = [row[column] for row in _ATTRIBUTES.values()]
        rules += [_refuse(n, 0) for n in attributes if n is not None]
    _install(rules)


def deny_helpers() -> None:
    """Refuses to start programs and to signal processes: only this process's own code runs."""
    column = _MACHINES[platform.machine()][0]
    _install([_refuse(row[column]) for row in (_EXECS | _SIGNALS).values()])


Instruction = tuple[int, int, int, int]


def _refuse(number: int, error: int = _EPERM) -> list[Instruction]:
    return [(_JUMP_EQ, 0, 1, number), (_RETURN, 0, 0, _ERRNO | error)]


def _refuse_argument(number: int, index: int, test: Instruction) -> list[Instruction]:
    """Refuses a call whose argument passes the test; reloads the number for what follows."""
    return [
        (_JUMP_EQ, 0, 4, number),
        (_LOAD, 0, 0, 16 + 8 * index),
        test,
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_LOAD, 0, 0, 0),
    ]


def _install(rules: list[list[Instruction]]) -> None:
    architecture = _MACHINES[platform.machine()][1]
    program: list[Instruction] = [
        (_LOAD, 0, 0, 4),
        (_JUMP_EQ, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
    ]
    if architecture == _MACHINES["x86_64"][1]:  # the x32 calls, under other numbers
        program += [(_JUMP_GE, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]
    program += [instruction for rule in rules for instruction in rule]
    program.append((_RETURN, 0, 0, _ALLOW))
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code)
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    pointer = ctypes.create_string_buffer(header)
    _check(
        _libc.prctl(PR_SET_SECCOMP, 2, ctypes.c_void_p(ctypes.addressof(pointer)), 0, 0), "seccomp"
    )


# --- Privileges and limits -----------------------------------------------------------------------


def drop_privileges(user: int | None) -> None:
    """No capabilities, now or after any exec; from root, become `user` where one is given."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_CAP_AMBIENT, 4)
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # past the last one, or not ours to drop
            break
    if user is not None:
        become(user)
    header = struct.pack("Ii", 0x20080522, 0)
    _check(_libc.capset(header, bytes(24)), "capset")
    prctl(PR_SET_DUMPABLE, 1)


def become(user: int) -> None:
    """From root, for good, another user, with the group of the same number and no others."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def limit(name: int, value: int) -> None:
    """Sets a resource limit for good, or to the present one where that is lower."""
    hard = resource.getrlimit(name)[1]
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(name, (bound, bound))
