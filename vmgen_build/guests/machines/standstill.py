"""A running machine's file systems brought to a stand, so that its disks are whole at that moment (fsfreeze(8))."""

from __future__ import annotations

from vmgen_build.plan.minimal import WORK

VOLUMES = """\
#!/bin/sh
set -eu
places=$(findmnt -rnvo TARGET -t ext2,ext3,ext4,xfs,btrfs)
"""

FROZEN = f"""\
{VOLUMES}sync
printf '%s\\n' "$places" | sort -r | while read -r place; do fsfreeze --freeze "$place"; done
"""

THAWED = f"""\
{VOLUMES}printf '%s\\n' "$places" | sort | while read -r place; do fsfreeze --unfreeze "$place"; done
"""

GUARD_TIME = 120
"""Seconds after which a guard lets the file systems go on."""

_MARK = f"{WORK}/frozen"

GUARDED = f"""\
#!/bin/sh
set -eu
umask 077
mkdir -p {WORK}
echo frozen >{_MARK}
cat >{WORK}/thaw <<'END'
{THAWED}END
(
    # shellcheck disable=SC2016 # expanded by the shell that it is for
    setsid sh -c '
        count=0
        while [ -e "$1" ] && [ "$count" -lt "$3" ]; do
            sleep 1
            count=$((count + 1))
        done
        if [ -e "$1" ]; then
            rm -f "$1"
            sh "$2" || :
        fi
    ' sh {_MARK} {WORK}/thaw {GUARD_TIME} </dev/null >/dev/null 2>&1 &
)
{FROZEN.removeprefix("#!/bin/sh" + chr(10))}"""
"""FROZEN, for a machine whose communicator may stand still as well, writing to a log: a guard thaws them in time."""

RELEASED = f"""\
#!/bin/sh
set -eu
rm {_MARK}
sh {WORK}/thaw
"""
"""The end of GUARDED. It fails where the guard was quicker: what was kept meanwhile is not whole then."""
