"""Containers by lxc: mounted, started, stopped, entered. Their lxc folders lie under the node's `run`."""

from __future__ import annotations

import os

from standin.errors import (
    BAD_TEMPLATE,
    CANNOT_MOUNT,
    CANNOT_UNMOUNT,
    NO_PRIVATE,
    SCRIPT_FAILED,
    SYSTEM_ERROR,
    Refused,
)
from standin.place import Place, Values

COMMAND_ENVIRONMENT = (
    "HOME=/",
    "TERM=linux",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)
"""All that a command of exec, exec2 and runscript finds."""

UNCAPABLE = "-sys_module,-mac_admin,-mac_override,-sys_time"
"""What lxc's common.conf takes from a container."""

PURE_CGROUP2 = """
[ -e /sys/fs/cgroup/cgroup.controllers ] || mount -t cgroup2 none /sys/fs/cgroup
exec lxc-start "$@"
"""
"""Newer systemd insists on it, also where the machine still has a hybrid tree."""


def lxc_path(place: Place) -> str:
    return f"{place.state}/lxc"


def init_pid(place: Place, ctid: int) -> int:
    """0 where the container does not run."""
    if not os.path.exists(f"{lxc_path(place)}/{ctid}/config"):
        return 0
    reader, writer = os.pipe()
    quiet = [(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)]
    command = ["lxc-info", "-P", lxc_path(place), "-n", str(ctid), "-p", "-H"]
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=quiet)
    os.close(writer)
    with open(reader) as message:
        text = message.read().strip()
    os.waitpid(child, 0)
    return int(text) if text.isdigit() else 0


def is_mounted(root: str) -> bool:
    with open("/proc/self/mountinfo") as file:
        return any(line.split()[4] == root for line in file)


def mount(place: Place, ctid: int, values: Values) -> None:
    private, root = place.private(ctid, values), place.root(ctid, values)
    if not os.path.isdir(private):
        raise Refused(NO_PRIVATE, f"Container private area {private} does not exist")
    bind(private, root)
    try:
        for name in ("vps", str(ctid)):
            _action(place, ctid, f"{place.conf}/{name}.mount")
    except Refused:
        unbind(root)
        raise


def bind(private: str, root: str) -> None:
    """Raises Refused where something stale is mounted there."""
    os.makedirs(root, exist_ok=True)
    if not _system("mount", "--bind", private, root):
        raise Refused(CANNOT_MOUNT, f"Can't mount: {private} {root}: No such file or directory")


def unbind(root: str) -> None:
    """Raises Refused where it is in use."""
    if not _system("umount", root):
        raise Refused(CANNOT_UNMOUNT, f"Can't umount {root}: Device or resource busy")


def unmount(place: Place, ctid: int, values: Values) -> None:
    for name in (str(ctid), "vps"):
        _action(place, ctid, f"{place.conf}/{name}.umount")
    unbind(place.root(ctid, values))


def start(place: Place, ctid: int, values: Values, network: list[str]) -> None:
    """Returns when init runs. Raises Refused."""
    import subprocess

    private = place.private(ctid, values)
    try:
        sound = os.lstat(f"{private}/sbin/init").st_uid == 0
    except OSError:
        sound = False
    if not sound:
        raise Refused(BAD_TEMPLATE, "Unable to start init, probably incorrect template")
    folder = f"{lxc_path(place)}/{ctid}"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/config", "w") as file:
        file.write("".join(f"{line}\n" for line in [*_configuration(place, ctid, values), *network]))
    log = f"{folder}/log"
    command = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", PURE_CGROUP2, "sh"]
    command += ["-P", lxc_path(place), "-n", str(ctid), "-d", "-o", log, "-l", "ERROR"]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if ran.returncode != 0:
        with open(log, errors="replace") as file:
            raise Refused(SYSTEM_ERROR, f"Container start failed\n{file.read()}{ran.stderr}")


def is_systemd(private: str) -> bool:
    return os.path.basename(os.path.realpath(f"{private}/sbin/init")) == "systemd"


def stop(place: Place, ctid: int, seconds: int) -> None:
    """Halt it, and kill it when the seconds are over; at once where they are 0."""
    how = ["-t", str(seconds)] if seconds else ["-k"]
    _system("lxc-stop", "-P", lxc_path(place), "-n", str(ctid), *how)
    from contextlib import suppress

    groups = f"{_cgroup_root()}/{group(place)}/{ctid}"
    for folder, _, _ in os.walk(groups, topdown=False):
        with suppress(OSError):
            os.rmdir(folder)
    _forget(f"{lxc_path(place)}/{ctid}")


def group(place: Place) -> str:
    """The cgroup that all containers of the node are in."""
    return f"vz-standin-{place.mark}"


def attach(place: Place, ctid: int, command: list[str], environment: tuple[str, ...] = COMMAND_ENVIRONMENT) -> int:
    """Run it inside with this process's standard streams. Its exit status; less than 0 where a signal ended it.

    nsenter(1) ends as the command did, by a signal too, which lxc-attach does not.
    """
    init = init_pid(place, ctid)
    head = [
        "setpriv",
        "--bounding-set",
        UNCAPABLE,
        "nsenter",
        "--target",
        str(init),
        "--all",
        "--",
        "/usr/bin/env",
        "-i",
    ]
    pid = os.fork()
    if pid == 0:
        try:
            _join_cgroups(init)
            os.execvp(head[0], [*head, *environment, *command])
        finally:
            os._exit(SYSTEM_ERROR)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _join_cgroups(init: int) -> None:
    """This process goes to where the container's init is, in each tree of cgroups."""
    with open(f"/proc/{init}/cgroup") as file:
        rows = [line.rstrip("\n").split(":", 2) for line in file]
    for _, controllers, path in rows:
        name = controllers.removeprefix("name=")
        tops = [f"/sys/fs/cgroup/{name}"] if name else ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        for top in tops:
            if path != "/" and os.path.exists(f"{top}{path}/cgroup.procs"):
                with open(f"{top}{path}/cgroup.procs", "w") as group:
                    group.write("0")
                break


def _configuration(place: Place, ctid: int, values: Values) -> list[str]:
    lines = [
        "lxc.include = /usr/share/lxc/config/common.conf",
        f"lxc.uts.name = {values.get('HOSTNAME') or 'localhost'}",
        f"lxc.rootfs.path = dir:{place.root(ctid, values)}",
        "lxc.apparmor.profile = unconfined",
        f"lxc.console.logfile = {lxc_path(place)}/{ctid}/console",
        *(
            f"lxc.cgroup.dir.{part} = {group(place)}/{ctid}/{part.replace('.', '-')}"
            for part in ("container", "monitor", "monitor.pivot")
        ),
    ]
    if is_systemd(place.private(ctid, values)):
        lines.append("lxc.signal.halt = SIGRTMIN+3")
    return lines


def _cgroup_root() -> str:
    pure = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    return "/sys/fs/cgroup" if pure else "/sys/fs/cgroup/unified"


def _action(place: Place, ctid: int, path: str) -> None:
    """A mount or umount script, on the node (vzctl(8), ACTION SCRIPTS). Raises Refused."""
    import subprocess

    if not os.path.exists(path):
        return
    environ = os.environ | {"VEID": str(ctid), "VE_CONFFILE": place.path_of(ctid)}
    if subprocess.run([path], stdin=subprocess.DEVNULL, env=environ).returncode != 0:
        raise Refused(SCRIPT_FAILED, f"Error executing action script {path}")


def _system(*argv: str) -> bool:
    import subprocess

    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def _forget(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
