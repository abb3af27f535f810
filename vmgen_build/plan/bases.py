"""What a plan may start from, as data. Who makes each: bases/makers.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmgen_build.errors import Position
from vmgen_build.plan.bootstrapped import Bootstrapped as Bootstrapped
from vmgen_build.plan.bootstrapped import Identified

if TYPE_CHECKING:
    from vmgen_build.plan.model import Step


@dataclass(frozen=True)
class OsTemplate(Identified):
    """An OS template of others, brought to what a base of ours holds.

    os_template: its name, without .tar.gz; sha256: of the file. packages: what is installed where it lacks them; the
    others as in Bootstrapped.
    """

    os_template: str
    sha256: str
    distribution: str
    suite: str
    arch: str
    packages: tuple[str, ...]
    epoch: int

    def content(self) -> Mapping[str, Any]:
        """The keys are those that its id was always made of."""
        return {
            "method": "ostemplate",
            "distribution": self.distribution,
            "suite": self.suite,
            "arch": self.arch,
            "packages": list(self.packages),
            "release": self.sha256,
            "epoch": self.epoch,
            "template": self.os_template,
        }

    def origin(self) -> Mapping[str, str]:
        return {"method": "ostemplate", "source": f"template:{self.os_template}", "sha256": self.sha256}


@dataclass(frozen=True)
class Tarball(Identified):
    """A root file system as a tar of this host, compressed or not. The folder that it lies in is no part of its id.

    file: where it lies; sha256: of its bytes, hex.
    """

    file: Path
    sha256: str

    @property
    def title(self) -> str:
        return f"base system of {self.file.name}"

    def content(self) -> Mapping[str, Any]:
        return {"method": "tarball", "file": self.file.name, "sha256": self.sha256}


@dataclass(frozen=True)
class Squashfs(Identified):
    """A root file system as a squashfs image of this host. file, sha256: as in Tarball."""

    file: Path
    sha256: str

    def content(self) -> Mapping[str, Any]:
        return {"method": "squashfs", "file": self.file.name, "sha256": self.sha256}


@dataclass(frozen=True)
class OciImage(Identified):
    """A container's image as an OCI layout or an archive of one, docker save's among them.

    file: a folder, or an archive. sha256: of the archive; of a folder, that of the image's manifest. arch: in Debian's
    words, of an image for several.
    """

    file: Path
    sha256: str
    arch: str

    def content(self) -> Mapping[str, Any]:
        return {"method": "oci", "file": self.file.name, "sha256": self.sha256, "arch": self.arch}


@dataclass(frozen=True)
class Image(Identified):
    """A disk image of this host, with a root file system in one of its partitions.

    file: where it lies; format: "raw", "qcow2" or "vmdk", which is known and never guessed, or "ova", of a DiskMachine;
    sha256: of its bytes, hex.
    """

    file: Path
    format: str
    sha256: str

    @property
    def title(self) -> str:
        return f"disk image {self.file.name}"

    def content(self) -> Mapping[str, Any]:
        return {"method": "image", "file": self.file.name, "format": self.format, "sha256": self.sha256}


@dataclass(frozen=True)
class PlacedMachine(Identified):
    """A machine that a place has already: a container of this host, or a machine of a server.

    snapshot: one of its own; "" is the state that it is in. state: what tells this content of it from a later one.
    """

    machine: str
    snapshot: str = ""
    state: str = ""

    @property
    def title(self) -> str:
        return f"machine {self.machine}" + (f", snapshot {self.snapshot}" if self.snapshot else "")

    def content(self) -> Mapping[str, Any]:
        return {"method": "machine", "machine": self.machine, "snapshot": self.snapshot, "state": self.state}


Root = Tarball | Squashfs | OciImage | Image
"""What a file or folder of this host may hold a root file system as."""


@dataclass(frozen=True)
class Foreign(Identified):
    """A root of others that is brought to what a base of ours holds.

    root: as what it lies here. os, arch: as in Plan, what it must be. source: where it comes from, for people, without
    a password. where: the line of the recipe that names it. The others as in Bootstrapped.
    """

    root: Root
    os: str
    arch: str
    packages: tuple[str, ...]
    release: str
    epoch: int
    source: str = field(default="", compare=False)
    where: Position = field(default=Position("", 0), compare=False)

    @property
    def title(self) -> str:
        return f"base system of {self.source or self.root.file.name}"

    def content(self) -> Mapping[str, Any]:
        """Of the root the bytes count, and how a disk is read: not by which name or way they came."""
        form = {"format": self.root.format} if isinstance(self.root, Image) else {}
        return {
            "method": "foreign",
            "root": {"sha256": self.root.sha256, **form},
            "os": self.os,
            "arch": self.arch,
            "packages": list(self.packages),
            "release": self.release,
            "epoch": self.epoch,
        }

    def origin(self) -> Mapping[str, str]:
        method = str(self.root.content()["method"])
        return {"method": method, "source": self.source, "sha256": self.root.sha256}


@dataclass(frozen=True)
class MinimalMachine(Identified):
    """A whole machine that is made here, from a root: see plan.minimal.

    root: what it is made from. steps: what makes that bootable, and lets it be spoken to; they run where the root is
    made. machine: its description as JSON (plan.machine.Machine). login: as in Facts; the last step makes it.
    """

    root: Base
    steps: tuple[Step, ...]
    machine: str
    login: str = ""

    @property
    def title(self) -> str:
        return "minimal machine"

    def content(self) -> Mapping[str, Any]:
        """Of the machine its disks and its firmware count: all else is the hypervisor's."""
        data = json.loads(self.machine)
        disks = {name: data[name] for name in ("drives", "firmware")}
        return {"method": "minimal-machine", "root": self.root.id, "last": self.steps[-1].id, **disks}

    def origin(self) -> Mapping[str, str]:
        return self.root.origin()


@dataclass(frozen=True)
class DiskMachine(Identified):
    """A whole machine of a user's, that is started as it is.

    image: its disk, or its disks as an OVA; or the machine as a server has it. communicator, login: how it is spoken
    to, and as whom ("" for the agent). machine: as of MinimalMachine. source: where the image comes from, for people,
    without a password.
    """

    image: Image | PlacedMachine
    communicator: str
    login: str
    machine: str
    source: str = field(default="", compare=False)

    @property
    def title(self) -> str:
        if isinstance(self.image, PlacedMachine):
            return self.image.title
        return f"machine of {self.source or self.image.file.name}"

    def content(self) -> Mapping[str, Any]:
        data = json.loads(self.machine)
        disks = [[drive["name"], drive["size"]] for drive in data["drives"]]
        return {
            "method": "disk-machine",
            "image": self._source_content(),
            "communicator": self.communicator,
            "login": self.login,
            "disks": disks,
            "firmware": data["firmware"],
        }

    def origin(self) -> Mapping[str, str]:
        digest = "" if isinstance(self.image, PlacedMachine) else self.image.sha256
        return {"method": "disk-machine", "source": self.source, "sha256": digest}

    def _source_content(self) -> Mapping[str, Any]:
        if isinstance(self.image, PlacedMachine):
            return self.image.content()
        return {"sha256": self.image.sha256, "format": self.image.format}


@dataclass(frozen=True)
class SetUp(Identified):
    """A machine that the system's own installation (Setup) makes, from the user's medium; or one that is there, and
    that only its place can look at. os, arch: as in Plan. source: the medium or the machine as a recipe names it; ""
    where it names none."""

    os: str
    arch: str
    source: str = field(default="", compare=False)

    @property
    def title(self) -> str:
        return f"Setup from {self.source or 'a medium of yours'}" if self._installs else f"machine of {self.source}"

    def content(self) -> Mapping[str, Any]:
        return {"method": "setup" if self._installs else "disk-machine", "os": self.os, "arch": self.arch}

    @property
    def _installs(self) -> bool:
        return not self.source or self.source.startswith("iso:")


@dataclass(frozen=True)
class Medium:
    """A file of this host that goes into a drive, or onto a CD. sha256: of its bytes, hex."""

    file: Path
    sha256: str


@dataclass(frozen=True)
class InstalledMachine(Identified):
    """A whole machine that Setup of Windows makes by itself in a build, from the user's medium.

    os, arch: as in Plan. media: the recipe's option ("base", "drivers", "tools") -> the file that it names.
    answers: digest of all that Setup is answered, and of what runs at the first logon. machine: as of MinimalMachine.
    source: the medium, for people. key: as Facts.setup_key.
    """

    os: str
    arch: str
    media: Mapping[str, Medium]
    answers: str
    machine: str
    source: str = field(default="", compare=False)
    key: str = ""

    @property
    def title(self) -> str:
        return f"Setup from {self.media['base'].file.name}"

    def content(self) -> Mapping[str, Any]:
        """Of the machine its disks, where they hang, and its firmware count: Setup puts in what starts from them. On a
        server, which keeps the machine itself, its hardware version does too."""
        data = json.loads(self.machine)
        names = ("name", "size", "bus", "controller", "index", "unit")
        return {
            "method": "setup",
            "os": self.os,
            "arch": self.arch,
            "media": {option: medium.sha256 for option, medium in sorted(self.media.items())},
            "answers": self.answers,
            "disks": [{name: drive[name] for name in names} for drive in data["drives"]],
            "firmware": data["firmware"],
            **({"key": self.key, "hw_version": data["hw_version"]} if self.key else {}),
        }

    def origin(self) -> Mapping[str, str]:
        return {"method": "setup", "source": self.source, "sha256": self.media["base"].sha256}


Base = (
    Bootstrapped | OsTemplate | Foreign | Root | PlacedMachine | MinimalMachine | DiskMachine | SetUp | InstalledMachine
)
