"""What a machine's firmware has kept, as a file beside disks that are packed without an OVA around them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from vmgen_build.artifacts.result import Disks, Result
from vmgen_build.errors import HostError
from vmgen_build.host.files import Written, whole_file


def nvram_name(artifact: Path) -> str:
    """The name that a .vmx of the machine has for it. artifact: the first disk."""
    return f"{artifact.stem}.nvram"


def nvram_beside(result: Result, artifact: Path) -> Iterator[Written]:
    """Nothing where none came home: then one of an earlier build goes, as a .vmx would take it for its machine's.
    Raises HostError."""
    goal = artifact.with_name(nvram_name(artifact))
    try:
        if not isinstance(result, Disks) or result.nvram is None:
            goal.unlink(missing_ok=True)
            return
        with result.nvram.open("rb") as source, whole_file(goal) as file:
            shutil.copyfileobj(source, file)
    except OSError as error:
        raise HostError(f"cannot write {goal}: {error.strerror}; make room there, or choose another folder") from error
    yield Written.of(goal)
