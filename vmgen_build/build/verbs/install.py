"""Each target. Without its program here the commands are printed, for another host or for later."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.build.targets.registry import target_named, target_names
from vmgen_build.build.verbs.model import Row


def rows() -> Iterator[Row]:
    for name in target_names():
        yield Row(target_named(name).needs(), thing=name, extra=True)
