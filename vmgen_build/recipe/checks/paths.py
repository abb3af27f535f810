"""Paths of the guest: those of its own system."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.errors import Position
from vmgen_build.recipe.checks import Draft
from vmgen_build.recipe.problems import Problems, place, shown
from vmgen_build.recipe.types.unix import is_windows_path


def check(draft: Draft, problems: Problems) -> None:
    """Linux has no drives. What Windows cannot take, its own steps refuse."""
    if draft.system is None or draft.system.kind != "linux":
        return
    for path, where, option in _paths(draft):
        if is_windows_path(path):
            text = f"{shown(path)} is a path of Windows; begin it with /"
            problems.error(where, option, text, "value")


def _paths(draft: Draft) -> Iterator[tuple[str, Position, str]]:
    for file in draft.config.files.values():
        if "dest" not in file.faulty:
            yield file.dest, file.at("dest"), place(("config", "files", file.name), "dest")
    for user in draft.users.users.values():
        for option in ("home_dir", "shell"):
            path = getattr(user, option)
            if path is not None:
                yield path, user.at(option), place(("users", "users", user.name), option)
    for disk in draft.hardware.hdds.values():
        for partition in disk.partitions.values():
            if partition.mount is not None:
                inner = ("hardware", "hdds", disk.name, "partitions", partition.name)
                yield partition.mount, partition.at("mount"), place(inner, "mount")
