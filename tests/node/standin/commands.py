"""vzctl's commands, one function each: from a call to an exit code, or Refused."""

from __future__ import annotations

import os
import sys

from standin import containers, errors
from standin.errors import Refused
from standin.place import Lock, Place, Values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Call:
    """A command for one container."""

    def __init__(self, place: Place, ctid: int, words: list[str], quiet: bool) -> None:
        self.place, self.ctid, self.words, self._quiet = place, ctid, words, quiet

    def report(self, message: str) -> None:
        """On standard output, where vzctl's own messages go."""
        if not self._quiet:
            print(message, flush=True)

    def complain(self, message: str) -> None:
        if not self._quiet:
            print(message, file=sys.stderr, flush=True)

    def values(self) -> Values:
        return self.place.values(self.ctid)

    def pid(self) -> int:
        return containers.init_pid(self.place, self.ctid)

    def lock(self, doing: str) -> Lock:
        return Lock(self.place, self.ctid, doing)


def status(call: Call) -> int:
    if not call.place.known(call.ctid):
        print(f"CTID {call.ctid} deleted unmounted down")
        return 0
    mounted = containers.is_mounted(call.place.root(call.ctid, call.values()))
    running = call.pid() > 0
    print(f"CTID {call.ctid} exist {'mounted' if mounted else 'unmounted'} {'running' if running else 'down'}")
    return 0


def execute(call: Call) -> int:
    """exec: whatever fails inside, and a container that is down, is 8."""
    return 0 if _run(call, errors.EXEC_FAILED) == 0 else errors.EXEC_FAILED


def execute2(call: Call) -> int:
    """exec2: the command's own code; 3 where a signal ended it."""
    return _run(call, errors.NOT_RUNNING)


def _run(call: Call, when_down: int) -> int:
    """`-` is a script by standard input."""
    call.values()
    if not call.words:
        raise Refused(errors.BAD_COMMAND, "No command line given for exec")
    if call.pid() == 0:
        raise Refused(when_down, "Container is not running")
    words = [] if call.words == ["-"] else ["-c", " ".join(call.words)]
    code = containers.attach(call.place, call.ctid, ["/bin/bash", *words])
    return errors.SYSTEM_ERROR if code < 0 else code


def enter(call: Call) -> int:
    call.values()
    if call.pid() == 0:
        raise Refused(errors.NOT_RUNNING, "Container is not running")
    call.report(f"entered into CT {call.ctid}")
    environment = ("HOME=/root", f"TERM={os.environ.get('TERM', 'linux')}", containers.COMMAND_ENVIRONMENT[2])
    containers.attach(call.place, call.ctid, ["/bin/bash", "-i"], environment)
    call.report(f"exited from CT {call.ctid}")
    return 0


def runscript(call: Call) -> int:
    """A stopped container is started for it."""
    call.values()
    if not call.words or not os.path.exists(call.words[0]):
        raise Refused(errors.NO_SCRIPT, f"Script not found: {' '.join(call.words)}")
    started = call.pid() == 0
    if started:
        ALL["start"](Call(call.place, call.ctid, [], quiet=True))
    script = os.open(call.words[0], os.O_RDONLY)
    os.dup2(script, 0)
    code = containers.attach(call.place, call.ctid, ["/bin/bash"])
    if started:
        ALL["stop"](Call(call.place, call.ctid, [], quiet=True))
    return code


def _later(module: str, name: str) -> Callable[[Call], int]:
    def command(call: Call) -> int:
        import importlib

        return getattr(importlib.import_module(f"standin.{module}"), name)(call)  # type: ignore[no-any-return]

    return command


ALL: dict[str, Callable[[Call], int]] = {
    "status": status,
    "exec": execute,
    "exec2": execute2,
    "enter": enter,
    "runscript": runscript,
    "start": _later("power", "start"),
    "stop": _later("power", "stop"),
    "restart": _later("power", "restart"),
    "mount": _later("power", "mount"),
    "umount": _later("power", "umount"),
    "create": _later("area", "create"),
    "destroy": _later("area", "destroy"),
    "set": _later("area", "change"),
}
