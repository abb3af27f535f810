"""Programs that look up no user or group: what they write holds numbers, whatever this host's files of names hold."""

from __future__ import annotations

from pathlib import Path

NAMELESS = """\
mount --make-rprivate /
for file in /etc/passwd /etc/group /etc/nsswitch.conf; do
    [ ! -e $file ] || mount --bind /dev/null $file
done
[ ! -d /run/nscd ] || mount -t tmpfs none /run/nscd
exec "$@"
"""
"""sh -eu: the words behind it are run where all names are hidden; it needs a mount namespace of its own. An empty
nsswitch.conf(5) means files alone."""

_CAP_SYS_ADMIN = 21
"""capabilities(7): what mounting needs."""


def nameless(command: list[str]) -> list[str]:
    """The call that runs `command` without names. Needs root."""
    return ["unshare", "-m", "sh", "-euc", NAMELESS, "sh", *command]


def names_can_be_hidden() -> bool:
    """Whether this process may mount, as every build may: its capabilities, as proc(5) has them in its status."""
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return bool(int(status["CapEff"], 16) >> _CAP_SYS_ADMIN & 1)
