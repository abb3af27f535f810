"""Landlock (landlock(7)): what of the file system and the network a program may reach, whoever it runs as.

Needs neither root nor a policy of the host. Linux has it since 5.13; of what a kernel does not know yet, nothing is
asked. Numbers: include/uapi/linux/landlock.h, the same system calls on every architecture.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Mapping

READ_FILE, READ_TREE = 1 << 2, 1 << 0 | 1 << 2 | 1 << 3
"""A file's content; that of a folder's files, which may be run, and their names."""

WRITE_FILE = 1 << 1 | 1 << 14
"""A file's content, and its length."""

DEVICE = 1 << 15
"""ioctl(2) on a device."""

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_ALL_TCP, _ALL_SCOPES, _ABSTRACT_SOCKETS = 0b11, 0b11, 0b01

_FILE_RIGHTS = ((1, 13), (2, 14), (3, 15), (5, 16))
"""From which version on there are how many rights in the file system."""

_TCP_SINCE, _SCOPES_SINCE = 4, 6

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Of this kernel's Landlock; 0 for none."""
    found: int = _libc.syscall(ctypes.c_long(_CREATE), None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    return max(found, 0)


def ruleset(allowed: Mapping[int, int], *, network: bool = False) -> int | None:
    """A descriptor of rules that allow these rights (of the constants above, by open descriptor of a file or folder),
    and nothing else: no other file, no TCP unless `network`, no signal to others. None where there is no Landlock.

    What is no file of a file system, such as a pipe or a memfd, needs no rule. Raises OSError.
    """
    known = version()
    if not known:
        return None
    rights = (1 << max(count for since, count in _FILE_RIGHTS if since <= known)) - 1
    tcp = 0 if network else _ALL_TCP
    parts = [rights, *([tcp] if known >= _TCP_SINCE else []), *([_ALL_SCOPES] if known >= _SCOPES_SINCE else [])]
    attributes = struct.pack(f"={len(parts)}Q", *parts)
    rules: int = _libc.syscall(ctypes.c_long(_CREATE), attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if rules < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    try:
        for fd, wanted in allowed.items():
            _allow(rules, fd, wanted & rights)
    except BaseException:
        os.close(rules)
        raise
    return rules


def keep_abstract_sockets_apart() -> bool:
    """From now on neither this thread nor what it starts connects to an abstract socket (unix(7)) that others made.

    Needs root, and Linux 6.12: whether the kernel does it. Raises OSError.
    """
    if version() < _SCOPES_SINCE:
        return False
    attributes = struct.pack("=3Q", 0, 0, _ABSTRACT_SOCKETS)
    rules: int = _libc.syscall(ctypes.c_long(_CREATE), attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if rules < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    try:
        restrict_self(rules)
    finally:
        os.close(rules)
    return True


def restrict_self(rules: int) -> None:
    """Bind this thread by the rules, for good. It must have no_new_privs, or be root. Raises OSError."""
    if _libc.syscall(ctypes.c_long(_RESTRICT), ctypes.c_int(rules), ctypes.c_uint32(0)) != 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")


def _allow(rules: int, fd: int, rights: int) -> None:
    rule = struct.pack("=Qi", rights, fd)
    done = _libc.syscall(
        ctypes.c_long(_ADD), ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0)
    )
    if done != 0:
        raise OSError(ctypes.get_errno(), f"landlock_add_rule for descriptor {fd}")
