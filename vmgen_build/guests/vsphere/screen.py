"""What a machine's screen shows, as a PNG (vSphere Web Services API Reference, CreateScreenshot_Task)."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from vmgen_build.errors import BuildError, HostError, VmgenError
from vmgen_build.guests.runners.answers import shown
from vmgen_build.guests.vsphere.making import Maker
from vmgen_build.guests.vsphere.tasks import wait_for
from vmgen_build.guests.vsphere.transfer import CHUNK, Transfers
from vmgen_build.host.files import whole_file
from vmgen_build.limits import VSPHERE_PICTURE

_PATH = re.compile(r"\[(?P<store>[^\]]+)\] (?P<file>[^\n]+)")
_PNG = b"\x89PNG\r\n\x1a\n"


def save_screen(maker: Maker, machine: Any, goal: Path) -> None:
    """The server makes a file of it, which is fetched and removed. Raises HostError, BuildError."""
    what = "taking a picture of the machine's screen"
    path = str(maker.done(what, machine.CreateScreenshot_Task))
    match = _PATH.fullmatch(path)
    if match is None:
        raise BuildError(f"{maker.session.where}: {what}: it names no file: {shown(path)}")
    try:
        _fetch(maker, match["store"], match["file"], goal)
    finally:
        _remove(maker, path)


def _fetch(maker: Maker, store: str, file: str, goal: Path) -> None:
    where = urlencode({"dcPath": maker.site.datacenter.name, "dsName": store})
    data = bytearray()
    with Transfers(maker.session).receive(f"https://*/folder/{quote(file)}?{where}", "fetching a picture") as answer:
        while chunk := answer.read(CHUNK):
            data += chunk
            if len(data) > VSPHERE_PICTURE.amount:
                raise HostError(f"a picture of a machine's screen: {VSPHERE_PICTURE.exceeded}")
    if not data.startswith(_PNG):
        raise HostError(f"{maker.session.where}: the picture of the machine's screen is no PNG")
    with whole_file(goal) as picture:
        picture.write(data)


def _remove(maker: Maker, path: str) -> None:
    """A picture that stays goes with the machine, in whose folder it lies."""
    manager: Any = maker.session.content.fileManager
    with suppress(VmgenError):
        task = maker.session.order(
            "removing a picture", lambda: manager.DeleteDatastoreFile_Task(path, maker.site.datacenter.ref)
        )
        wait_for(maker.session, task, "removing a picture")
