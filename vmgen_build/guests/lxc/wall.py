"""What a step of a build cannot do to this host, though its root is the host's: lines of lxc.container.conf(5).

A step keeps what package managers need: owners and modes of files, other users' ids, chroot, file capabilities, device
nodes (which it cannot open), and a network of its own. The rest goes: with CAP_SYS_ADMIN all mounting, so that what is
read-only stays so. capabilities(7), seccomp(2).
"""

from __future__ import annotations

from pathlib import Path

APART = ("unshare", "--net")
"""Stand before lxc-execute. lxc takes commands by an abstract socket of the network that it was started in, and gives
open folders of its host to root: no container may share that network, neither this one nor its neighbour."""

KEPT = (
    "chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service sys_chroot mknod audit_write setfcap"
    " linux_immutable"
)
"""Capabilities of every step."""

KEPT_ALONE = "net_admin net_raw"
"""Of one that has no other network than its own, which is empty."""

_NEW_USER_NAMESPACE = 0x10000000
_MASKED = f"[0,{_NEW_USER_NAMESPACE},SCMP_CMP_MASKED_EQ,{_NEW_USER_NAMESPACE}]"

SECCOMP = f"""\
2
denylist
reject_force_umount
[all]
kexec_load errno 1
kexec_file_load errno 1
open_by_handle_at errno 1
init_module errno 1
finit_module errno 1
delete_module errno 1
bpf errno 1
perf_event_open errno 1
userfaultfd errno 1
add_key errno 38
request_key errno 38
keyctl errno 38
io_uring_setup errno 38
unshare errno 1 {_MASKED}
clone errno 1 {_MASKED}
clone3 errno 38
"""
"""lxc's policy format 2. ENOSYS (38) where a program then takes another way: clone3 hides its flags from a filter, and
the C library falls back to clone. A new user namespace would give back all capabilities within it."""

OPENED = ("1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:1", "5:2", "136:*")
"""Character devices that may be used: null, zero, full, random, urandom, tty, console, ptmx, pts (devices.txt)."""

_DEVICES = ("c *:* m", "b *:* m", *(f"c {numbers} rwm" for numbers in OPENED))
_DEVICE_LINES = ("lxc.cgroup2.devices.deny = a", *(f"lxc.cgroup2.devices.allow = {device}" for device in _DEVICES))
"""Any device node can be made; those of OPENED alone can be used."""


def lines(seccomp: Path | str, *, network: bool, own_users: bool = False) -> list[str]:
    """Lines of a configuration for what is started APART. seccomp: a file on the host of the container that holds
    SECCOMP. network: it gets that of its host besides, by network_of. own_users: it has a user namespace of its own,
    whose root makes no device node, opens none but those that lxc gives it, and sees no /sys: the kernel shows that of
    a network to the network's own users alone."""
    return [
        "lxc.apparmor.profile = unconfined",
        "lxc.tty.max = 0",
        "lxc.pty.max = 1024",
        f"lxc.cap.keep = {KEPT}{'' if network else f' {KEPT_ALONE}'}",
        f"lxc.seccomp.profile = {seccomp}",
        *([] if network else ["lxc.net.0.type = empty", "lxc.net.0.flags = up"]),
        f"lxc.mount.auto = proc:mixed{'' if own_users else ' sys:ro cgroup:ro'}",
        *([] if own_users else _DEVICE_LINES),
        *(f"lxc.mount.entry = /dev/null {path} none bind,optional 0 0" for path in ("proc/kcore", "proc/keys")),
    ]


def network_of(namespace: Path | str) -> str:
    """The line that gives a container this network. namespace: a path, as /proc/PID/ns/net."""
    return f"lxc.namespace.share.net = {namespace}"
