"""Images of disks from one format to another, by qemu-img(1).

A format is known, never guessed from the content, which a guest has written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vmgen_build.artifacts.result import Disk
from vmgen_build.errors import BuildError
from vmgen_build.host.files import Written, whole_file
from vmgen_build.host.run import output, run

_PATIENCE = 60.0
"""Seconds that qemu-img may take to look at an image's head."""


def convert(disk: Disk, goal: Path, form: str) -> Written:
    """The disk as a new file of the format `form`, in which what is empty takes no room.

    Raises BuildError (the image is damaged, or not one file alone), HostError (no qemu-img, folder not writable); then
    there is no new file.
    """
    _check_alone(disk)
    with whole_file(goal) as file:
        _convert(disk, form, Path(file.name), f"cannot write {goal}")
    return Written.of(goal)


def to_raw(disk: Disk, raw: Path) -> None:
    """The disk as the new sparse image `raw`, for use on this host. Raises BuildError as `convert`, HostError."""
    _check_alone(disk)
    _convert(disk, "raw", raw, f"cannot read {disk.path}")


def _convert(disk: Disk, form: str, goal: Path, failure: str) -> None:
    output(["qemu-img", "convert", "-f", disk.format, "-O", form, "-S", "4k", disk.path, goal], failure)


def _check_alone(disk: Disk) -> None:
    """A foreign image may name other files of this host, as a backing file or as extents: such a one is not read."""
    if disk.format == "raw":
        return
    asked = run(["qemu-img", "info", "-f", disk.format, "--output=json", disk.path], timeout=_PATIENCE)
    if asked.code != 0:
        raise BuildError(f"cannot read {disk.path}: {asked.reason}")
    if others := [name for name in _files_of(json.loads(asked.text)) if Path(name) != disk.path]:
        raise BuildError(f"{disk.path} is not a disk of one file: it leads to {', '.join(others)}; it is not read")


def _files_of(info: Mapping[str, Any]) -> Iterator[str]:
    """The files that an image is made of, as `qemu-img info` lists them: qapi/block-core.json, ImageInfo."""
    details = info.get("format-specific", {}).get("data", {})
    for holder, key in ((info, "backing-filename"), (details, "data-file")):
        if key in holder:
            yield str(holder[key])
    for extent in details.get("extents", ()):
        yield str(extent["filename"])
