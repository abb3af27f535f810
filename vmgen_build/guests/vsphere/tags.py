"""How machines of ours are known on a server: by their names, and by a mark in their annotations.

vmgen-layer-STATE             a state that machines begin with; anybody's
vmgen-build-OWNER-TAG         the machine of a build; TAG is that of its lease (store.lease)
vmgen-build-OWNER-TAG-base    what becomes a state, and -layer; -template: what --keep-as gives another name
vmgen-kept-NAME               a machine that --on-error keep has left
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import socket
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vmgen_build.host.files import write_whole
from vmgen_build.host.regular import open_regular
from vmgen_build.jsontext import parse_json
from vmgen_build.limits import VSPHERE_MARK
from vmgen_build.store.cachedir import own_folder

PREFIX = "vmgen-"
BUILD, LAYER, KEPT, TEMPLATE = "build", "layer", "kept", "template"
"""Kinds."""

SNAPSHOT = "vmgen-build"
"""The one that machines begin with, of a state."""

LONGEST = 80
"""Characters of a machine's name (vSphere Web Services API Reference, VirtualMachineConfigSpec.name)."""

_BUILD = re.compile(rf"{PREFIX}{BUILD}-(?P<owner>[0-9a-f]{{12}})-(?P<tag>[0-9]+-[0-9a-f]{{8}})(?:-[a-z]+)?")
_STATE = 24

DISCS = 4
"""Of one machine, at most."""


@dataclass(frozen=True, slots=True)
class Mark:
    """kind: one of those above. owner: as `owner_of`. host: name of the one that builds. started: seconds since the
    epoch. tag: of the build. state: id of the layer, "" where it is none. title: of the layer, for people. below:
    those that it stands on, by `short_id`. discs: how many files of CD drives are in its folder at most;
    setup: whether those of a floppy drive and of a serial port may be."""

    kind: str
    owner: str
    host: str
    tag: str
    started: int = 0
    state: str = ""
    title: str = ""
    below: tuple[str, ...] = field(default=())
    discs: int = 0
    setup: bool = False

    def to_text(self) -> str:
        return json.dumps({"vmgen-build": asdict(self)}, sort_keys=True)


def mark_of(text: object) -> Mark | None:
    """What an annotation says; None where it is no mark of ours."""
    if not isinstance(text, str):
        return None
    try:
        data = parse_json(text, VSPHERE_MARK)["vmgen-build"]
        below = tuple(map(str, data.pop("below", ())))
        words = {name: str(data[name]) for name in ("kind", "owner", "host", "tag", "state", "title")}
        discs = min(DISCS, max(0, int(data.get("discs", 0))))
        setup = data.get("setup") is True
        return Mark(**words, started=int(data.get("started", 0)), below=below, discs=discs, setup=setup)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def short_id(state: str) -> str:
    """Of a layer, as names and marks have it."""
    return state[:_STATE]


def layer_name(state: str) -> str:
    return f"{PREFIX}{LAYER}-{short_id(state)}"


def build_name(owner: str, tag: str, part: str = "") -> str:
    """part: "" for the machine in which the plan runs."""
    return f"{PREFIX}{BUILD}-{owner}-{tag}{f'-{part}' if part else ''}"


def kept_name(name: str) -> str:
    return f"{PREFIX}{KEPT}-{name}"[:LONGEST]


def builder_of(name: str) -> tuple[str, str] | None:
    """Owner and tag of a build's machine by its name; None where it is none."""
    match = _BUILD.fullmatch(name)
    return (match["owner"], match["tag"]) if match else None


def new_mark(kind: str, owner: str, tag: str) -> Mark:
    return Mark(kind, owner, socket.gethostname(), tag, int(time.time()))


def owner_of(cache: Path) -> str:
    """Whoever builds with this cache on this host: 12 hexadecimal digits. A copy of the cache is another owner, so that
    no build takes the machines of one on another host for left ones."""
    folder = own_folder(cache, "vsphere")
    file = folder / "owner"
    place = folder.stat()
    try:
        with open_regular(file, follow=False) as opened:
            known = opened.read(200).decode("ascii", "replace").strip()
    except OSError:
        known = secrets.token_hex(16)
        write_whole(file, f"{known}\n")
    text = f"{known} {socket.gethostname()} {place.st_ino}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
