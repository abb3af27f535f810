"""The wall around a booted container: our own part of its configuration (lxc.container.conf(5))."""

from __future__ import annotations

from pathlib import Path

from vmgen_build.artifacts.lxc import ENTRY
from vmgen_build.boots.tree import ROOT
from vmgen_build.guests.lxc import wall
from vmgen_build.host.usernamespace import FIRST_ID, IDS
from vmgen_build.limits import GUEST_CONSOLE

DROPPED = "mac_admin mac_override sys_module sys_rawio sys_time syslog wake_alarm block_suspend"
"""Capabilities (capabilities(7)) that no machine needs in order to be looked at. In a user namespace the others count
for what belongs to the namespace alone."""

REFUSED = (
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"),
    *("open_by_handle_at", "bpf", "perf_event_open", "userfaultfd", "lookup_dcookie"),
    *("add_key", "request_key", "keyctl", "acct", "quotactl", "swapon", "swapoff"),
    *("iopl", "ioperm", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),
)
"""System calls that fail with EPERM: those to the kernel itself, and those known for holes."""

MASKED_FILES = ("proc/kcore", "proc/keys", "proc/key-users", "proc/timer_list", "proc/sched_debug")
MASKED_FOLDERS = ("proc/acpi", "proc/scsi", "sys/firmware", "sys/fs/bpf", "sys/kernel/security")


def entries(scratch: Path, group: str, *, trusted: bool) -> list[ENTRY]:
    """group: the cgroup above the container's, from the root of cgroup v2. Writes the policy of system calls."""
    policy = scratch / "seccomp"
    policy.write_text("2\ndenylist\n[all]\n" + "".join(f"{call} errno 1\n" for call in REFUSED))
    found = [
        ("lxc.rootfs.path", f"dir:{ROOT}"),
        ("lxc.apparmor.profile", "unconfined"),
        ("lxc.console.logfile", str(scratch / "console")),
        ("lxc.console.size", str(GUEST_CONSOLE.amount)),
        ("lxc.cgroup.dir.container", f"{group}/guest"),
        ("lxc.cgroup.dir.monitor", f"{group}/monitor"),
        ("lxc.cgroup.dir.monitor.pivot", f"{group}/pivot"),
        ("lxc.cap.drop", DROPPED),
        ("lxc.seccomp.profile", str(policy)),
        ("lxc.mount.auto", "cgroup:mixed proc:mixed sys:mixed"),
        ("lxc.tty.max", "4"),
        ("lxc.pty.max", "1024"),
    ]
    found += [("lxc.mount.entry", f"/dev/null {name} none bind,ro,optional 0 0") for name in MASKED_FILES]
    found += [("lxc.mount.entry", f"tmpfs {name} tmpfs ro,size=0,optional 0 0") for name in MASKED_FOLDERS]
    if trusted:
        devices = [f"c {numbers} rwm" for numbers in wall.OPENED]
        return [*found, ("lxc.cgroup2.devices.deny", "a"), *(("lxc.cgroup2.devices.allow", line) for line in devices)]
    return found + [("lxc.idmap", f"{kind} 0 {FIRST_ID} {IDS}") for kind in "ug"]
