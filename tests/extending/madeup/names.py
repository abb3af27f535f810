"""A format: the names of all files of a root file system, sorted, one a line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.format import Format, PackOptions
from vmgen_build.events import Bus
from vmgen_build.plan.model import Plan

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Result
    from vmgen_build.host.files import Written


class Names(Format):
    name: ClassVar[str] = "names"
    about: ClassVar[str] = "whoever wants to know what is in it"
    endings: ClassVar[tuple[str, ...]] = (".names",)
    backends: ClassVar[tuple[str, ...]] = ("plain",)

    def pack(self, plan: Plan, result: Result, out: Path, options: PackOptions, bus: Bus) -> tuple[Written, ...]:
        from vmgen_build.artifacts.result import tree_of
        from vmgen_build.host.files import Written, write_whole

        goal = out / f"{plan.name}-plain-{plan.arch}.names"
        write_whole(goal, "".join(f"{name}\n" for name in names_of(tree_of(result, "a list of names").root)))
        return (Written.of(goal),)


def names_of(root: Path) -> list[str]:
    return sorted(os.path.relpath(Path(folder, name), root) for folder, _, names in os.walk(root) for name in names)


FORMAT = Names()
