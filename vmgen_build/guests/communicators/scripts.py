"""What every communicator runs in a guest, to run a script or to take a file there."""

from __future__ import annotations

import shlex

from vmgen_build.plan.minimal import WORK

SCRIPT = (
    f"umask 077; if [ ! -d {WORK} ]; then mkdir -p {WORK}; fi && cat >{WORK}/script || exit 125;"
    f" exec sh {WORK}/script </dev/null 2>&1"
)
"""sh: takes the script from its standard input to a file in memory, since a command in it may read that input too."""


def putting(remote: str, mode: int) -> str:
    """sh: writes its standard input to a file, whose mode it has before anything is in it."""
    name = shlex.quote(remote)
    return f"umask 077; : >{name} && chmod {mode:04o} -- {name} && cat >{name}"
