"""A disk that is made up of several qcow2 images of ours, each above the one before it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from vmgen_build.artifacts.disk.convert import check_form, new_image, opened
from vmgen_build.artifacts.result import Disk
from vmgen_build.host.confined import lent, output_confined
from vmgen_build.host.inmemory import name_of


def flattened(images: Sequence[Path], goal: Disk, folder: Path) -> None:
    """Write the disk as one new image in the goal's format. images: the lowest first; folder: that of the goal.

    Which image is below is what the list says; one whose header names a backing file is refused. Raises BuildError,
    HostError; then there is no new image.
    """
    with ExitStack() as undo:
        files = [undo.enter_context(opened(image)) for image in images]
        for image, file in zip(images, files, strict=True):
            check_form(Disk(goal.name, image, "qcow2"), file)
        made = undo.enter_context(new_image(goal.path))
        fds = [*(file.fileno() for file in files), made.fileno()]
        undo.enter_context(lent(*fds))
        source = f"json:{json.dumps(_node([name_of(file) for file in files]))}"
        command = ["qemu-img", "convert", "-O", goal.format, "-S", "4k", source, name_of(made)]
        output_confined(command, f"cannot read the machine's disk {goal.name}", fds, folder)


def _node(names: Sequence[str]) -> dict[str, object]:
    """The topmost image as QEMU takes it (qemu-qmp-ref(7), BlockdevOptionsQcow2)."""
    file = {"driver": "file", "filename": names[-1], "locking": "off"}
    below = _node(names[:-1]) if len(names) > 1 else None
    return {"driver": "qcow2", "file": file, "read-only": True} | ({"backing": below} if below else {})
