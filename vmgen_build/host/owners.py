"""Who else can read a file, and who can change a folder: by its owner and mode, and by those of the folders above it.

Root, the caller, and the user who called sudo(8), who can become root anyway, count as the caller's own.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path


def own_users() -> frozenset[int]:
    """The uids whose files are as good as the caller's."""
    caller = os.geteuid()
    sudo = os.environ.get("SUDO_UID", "") if caller == 0 else ""
    return frozenset({0, caller, int(sudo)} if sudo.isdecimal() else {0, caller})


def others_write(info: os.stat_result) -> bool:
    """Whether users beside its owner can write to it. A group of the owner's own, named as its user is, is no other."""
    if info.st_mode & stat.S_IWOTH:
        return True
    return bool(info.st_mode & stat.S_IWGRP) and not _is_private(info.st_uid, info.st_gid)


def all_may_read(path: Path) -> bool:
    """Whether every user of this host can read a file: by its mode, and that of each folder on the way to it."""
    try:
        real = path.resolve(strict=True)
        return bool(real.stat().st_mode & 0o004) and all(folder.stat().st_mode & 0o001 for folder in real.parents)
    except (OSError, RuntimeError):
        return False


def changed_by_others(folder: Path, *, above: bool = False) -> str:
    """How others can change what a folder holds, or put another in its place; "" where they cannot.

    above: of the folder itself neither the owner nor the sticky bit (chmod +t) is looked at, as of an output folder.
    Where it is not there, those above it are looked at.
    """
    path = Path(os.path.realpath(folder))
    for each in (path, *path.parents):
        try:
            info = each.lstat()
        except FileNotFoundError:
            continue
        if info.st_uid not in own_users() and not above:
            return f"{each} belongs to {_user(info.st_uid)}"
        sticky = info.st_mode & stat.S_ISVTX and (each != path or above)
        if others_write(info) and not sticky:
            return f"others can write to {each} (its mode is {stat.S_IMODE(info.st_mode):04o})"
    return ""


def _user(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user {uid}"


def _is_private(uid: int, gid: int) -> bool:
    """User private groups: login.defs(5), USERGROUPS_ENAB."""
    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
