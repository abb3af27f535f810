"""vzctl's and vzlist's command lines."""

from __future__ import annotations

import os
import sys
from _signal import SIG_DFL, SIGINT, SIGPIPE, signal  # type: ignore[import-not-found]  # signal itself loads enum

from standin import commands, faults
from standin.errors import BAD_COMMAND, BAD_VALUE, NO_NODE, Refused
from standin.place import Place, read_values

VERSION = "vzctl version 4.11.1"
SHORT = {"-q": "--quiet", "-v": "--verbose"}


def vzctl(argv: list[str]) -> int:
    signal(SIGINT, SIG_DFL)
    signal(SIGPIPE, SIG_DFL)
    words = argv[1:]
    quiet = False
    while words and words[0].startswith("-"):
        flag = SHORT.get(words[0], words[0])
        if flag == "--version":
            print(VERSION)
            return 0
        if flag not in ("--quiet", "--verbose", "--skiplock"):
            print(f"Bad parameter {words[0]}", file=sys.stderr)
            return BAD_COMMAND
        quiet = quiet or flag == "--quiet"
        words = words[1:]
    try:
        return _command(_place(argv[0]), words, quiet)
    except Refused as refused:
        sys.stdout.flush()
        if not quiet:
            print(refused.message, file=sys.stdout if refused.out else sys.stderr)
        return refused.code
    finally:
        sys.stdout.flush()


def _command(place: Place, words: list[str], quiet: bool) -> int:
    if not words:
        raise Refused(BAD_COMMAND, "Usage: vzctl [options] <command> <ctid> [parameters]")
    if words[0] not in commands.ALL:
        raise Refused(BAD_COMMAND, f"Bad command: {words[0]}")
    if len(words) < 2:
        raise Refused(BAD_VALUE, "CT ID missing")
    name, who, rest = words[0], words[1], words[2:]
    ctid = place.number(who)
    if place.upstream and not quiet and name != "status":
        print("Directory /proc/vz not found, assuming non-OpenVZ kernel", flush=True)
    faults.meet(place, name, rest)
    return commands.ALL[name](commands.Call(place, ctid, rest, quiet))


def vzlist(argv: list[str]) -> int:
    from standin.listing import show

    try:
        return show(_place(argv[0]), argv[1:])
    except Refused as refused:
        print(refused.message, file=sys.stderr)
        return refused.code


def _place(program: str) -> Place:
    """The node of $VZ_NODE; else the one in whose folder `bin` the program was called; else the one at /etc/vz."""
    folder = os.environ.get("VZ_NODE") or os.path.dirname(os.path.dirname(os.path.abspath(program)))
    if not os.path.exists(f"{folder}/etc/vz/vz.conf"):
        if not os.path.exists("/etc/vz/vz.conf"):
            raise Refused(NO_NODE, "Global configuration file not found: /etc/vz/vz.conf")
        folder = read_values("/etc/vz/vz.conf").get("STANDIN", folder)
    return Place(folder)
