"""What vzctl(8) says of a failure: its exit codes, and the lines that name a cause.

Errors go to standard error, progress to standard output (src/lib/logger.c of its source, 4.11.1); `destroy` of what is
mounted is refused on standard output.
"""

from __future__ import annotations

import re

from vmgen_build.guests.runners import Done, answers

LOCKED, SYSTEM_ERROR = 9, 3
QUOTA_OFF = (62, 63)

MEANS = {
    3: "the node's kernel or vzctl refused it",
    8: "the container is not running",
    9: "another vzctl holds the container's lock: wait until it is done, or end it if it hangs",
    10: "the node has no /etc/vz/vz.conf: install vzctl there",
    12: "vzctl needs root on the node",
    13: "vzctl lacks a capability: run it on the node itself, not in a container of it",
    14: "the container is gone: was it destroyed by somebody else, or the node set up anew?",
    28: "the sample configuration that the node's /etc/vz/vz.conf names (CONFIGFILE) lacks limits that a container must"
    " have: name a whole one there, as vswap-256m",
    29: "no OS template is named",
    31: "the container does not run: did the node go down, or somebody stop it?",
    32: "the container runs already",
    33: "it does not stop",
    34: "the node's kernel does not take its address: load its module vznetdev there, or give another address by"
    " --build-address",
    40: "its file system is not mounted",
    41: "its file system is mounted already",
    43: "its private area is gone",
    44: "its private area is there already, from a container that was half made: remove it, or give another vm_id",
    46: "the node's disk is full: make room under its VE_PRIVATE",
    47: "its template has no /sbin/init, or one of another owner than root: it is no OS template",
    48: "its private area cannot be made: look at VE_PRIVATE in the node's /etc/vz/vz.conf",
    50: "its file system cannot be mounted: is something mounted on its root (VE_ROOT) since an earlier container?"
    " unmount that there, or give another vm_id",
    51: "its file system cannot be unmounted: end what still uses its root (VE_ROOT) there; fuser -vm shows it",
    62: "the node's disk quotas are not to be had",
    63: "the node sets no DISKSPACE",
    71: "one of its addresses is none",
    78: "its address is used by another container of the node: give another by --build-address",
    79: "one of the node's action scripts failed",
    82: "the sample configuration that the node's /etc/vz/vz.conf names (CONFIGFILE) is not there",
    91: "the node has no such OS template",
    99: "the node's kernel has no ploop: set VE_LAYOUT=simfs in its /etc/vz/vz.conf",
    130: "its veth cannot be made",
}
"""vzctl(8), EXIT STATUS, and what to do."""

SHOWN = 3
"""Lines of a failure that are shown: the last ones with a cause."""

_NOISE = re.compile(r"Directory /proc/vz not found, assuming ")
_CONCLUSIONS = ("Creation of container private area failed", "Container already locked")
"""What stands behind the cause, and says no more than the exit code does."""

_PASSWORD = re.compile(r"(--userpasswd[ =][^:]*:).*")
"""Of the call that holds a lock, whose arguments vzctl shows."""


def causes(done: Done) -> str:
    """The lines with the cause of a failed call, printable and bounded; its exit code where it wrote nothing."""
    errors, progress = _lines(done.err), _lines(done.out)
    found = [line for line in errors if line not in _CONCLUSIONS][-SHOWN:] or progress[-1:] or errors[-1:]
    return "; ".join(answers.shown(line) for line in found) or f"exit code {done.code}"


def _lines(text: str) -> list[str]:
    lines = (_PASSWORD.sub(r"\1***", line.strip()) for line in text.splitlines())
    return [line for line in lines if line and _NOISE.match(line) is None]
