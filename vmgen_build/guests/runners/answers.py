"""What a node answers, read strictly: it may be another than it seems. where: the node's name, for messages."""

from __future__ import annotations

import re

from vmgen_build.errors import HostError
from vmgen_build.limits import NODE_ANSWERS
from vmgen_build.text import clean

_SHOWN = 300
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")


def shown(text: str) -> str:
    """One printable line of what a node wrote, cut short; for messages."""
    line = " ".join(filter(None, (clean(line).strip() for line in text[: 8 * _SHOWN].splitlines())))
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."


def refused(where: str, what: str, text: str) -> HostError:
    return HostError(f"{where} gives '{shown(text)}' as {what}; is that host what it should be?")


def number(text: str, where: str, what: str) -> int:
    """A number from 0 on, of 18 digits at most. Raises HostError."""
    digits = text.strip()
    if re.fullmatch(r"[0-9]{1,18}", digits) is None:
        raise refused(where, what, text)
    return int(digits)


def path(text: str, where: str, what: str) -> str:
    """An absolute path on the first line. Raises HostError."""
    line = text.partition("\n")[0]
    if not line.startswith("/") or len(line) > 4095 or not line.isprintable() or ".." in line.split("/"):
        raise refused(where, what, text)
    return line


def digest(text: str, where: str, what: str) -> str:
    """A sha256, in front of a blank. Raises HostError."""
    found = text.partition(" ")[0]
    if re.fullmatch(r"[0-9a-f]{64}", found) is None:
        raise refused(where, what, text)
    return found


def names(text: str, where: str, what: str) -> list[str]:
    """The lines that are plain names; others are left out. Raises HostError for more than a node may have."""
    lines = text.splitlines()
    if len(lines) > NODE_ANSWERS.amount:
        raise HostError(f"{where}: {what}: {NODE_ANSWERS.exceeded}")
    return [line for line in lines if _NAME.fullmatch(line)]
