"""NAME-openvz-ARCH.tar: the OS template and all that goes with it, as one file.

INSTALL, CTID.conf, CTID.mount (where there is a veth), SHA256SUMS over all others, and the OS template last.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from vmgen_build.artifacts.gzipped import gzip_content
from vmgen_build.artifacts.openvz.config import VEID, disk_size, parse_conf, parse_netif
from vmgen_build.artifacts.plaintar import write_files
from vmgen_build.artifacts.tarstream import TarEntry, TarStream
from vmgen_build.errors import BuildError
from vmgen_build.host.files import Written
from vmgen_build.host.regular import open_regular
from vmgen_build.limits import BUNDLE_TEXT

SUMS = "SHA256SUMS"
OS_TEMPLATE_SUFFIX = ".tar.gz"
_INITS = ("./sbin/init", "./usr/sbin/init")
_CHUNK = 1 << 20
_ODD = 3
"""Names that are shown."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What lies in a bundle. texts: name -> content of all but the OS template; os_template: its name."""

    texts: Mapping[str, str]
    os_template: str

    @property
    def conf(self) -> dict[str, str]:
        """Raises BuildError where there is none that can be read."""
        names = [name for name in self.texts if name.endswith(".conf")]
        if len(names) != 1:
            raise BuildError(f"the bundle holds {len(names)} configurations of a container, not 1; build it anew")
        try:
            return parse_conf(self.texts[names[0]])
        except ValueError as error:
            raise BuildError(f"{names[0]} is unusable: {error}; build the bundle anew") from error


def write_bundle(goal: Path, texts: Mapping[str, str], os_template: Written, *, epoch: int) -> Written:
    """Raises HostError; then there is no new file."""
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    sums[os_template.path.name] = os_template.sha256
    small = {**texts, SUMS: "".join(f"{digest}  {name}\n" for name, digest in sums.items())}
    data = {name: text.encode() for name, text in small.items()}
    programs = [name for name in small if name.endswith(".mount")]
    return write_files(goal, data, {os_template.path.name: os_template}, epoch=epoch, programs=programs)


def read_bundle(artifact: Path, os_template_to: Path | None = None) -> Bundle:
    """The bundle, each of its files checked against SHA256SUMS. os_template_to: a file for the
    OS template, None for none.

    Raises BuildError for what is no sound bundle.
    """
    texts: dict[str, str] = {}
    digests: dict[str, str] = {}
    os_template = ""
    try:
        with open_regular(artifact) as file:
            tar = TarStream(file)
            for entry in tar.entries():
                name = _checked(entry, digests)
                if name.endswith(OS_TEMPLATE_SUFFIX):
                    os_template = name
                    digests[name] = _copied(tar, os_template_to)
                else:
                    data = tar.readall()
                    digests[name] = hashlib.sha256(data).hexdigest()
                    texts[name] = data.decode()
    except ValueError as error:
        raise BuildError(f"{artifact} is no bundle for OpenVZ: {error}; build it anew") from error
    except OSError as error:
        raise BuildError(f"{artifact} cannot be read: {error.strerror}") from error
    _compare(artifact, digests, texts.get(SUMS, ""))
    if not os_template:
        raise BuildError(f"{artifact} holds no OS template; build it anew")
    return Bundle(texts, os_template)


def _checked(entry: TarEntry, others: Collection[str]) -> str:
    """Its name. Raises ValueError."""
    if not entry.is_file or "/" in entry.name:
        raise ValueError(f"{entry.name} is no file of a bundle")
    if entry.name in others:
        raise ValueError(f"{entry.name} is in it twice")
    if entry.size > BUNDLE_TEXT.amount and not entry.name.endswith(OS_TEMPLATE_SUFFIX):
        raise ValueError(f"{entry.name} is too large: {BUNDLE_TEXT.exceeded}")
    return entry.name


def _copied(source: TarStream, goal: Path | None) -> str:
    digest = hashlib.sha256()
    with (goal or Path(os.devnull)).open("wb") as file:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _compare(artifact: Path, digests: Mapping[str, str], sums: str) -> None:
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in sums.splitlines())}
    found = {name: digest for name, digest in digests.items() if name != SUMS}
    if wrong := sorted(name for name in {*listed, *found} if listed.get(name) != found.get(name)):
        raise BuildError(f"{artifact}: {', '.join(wrong)} is not what {SUMS} in it says; build it anew")


def conf_findings(conf: Mapping[str, str], os_template: str) -> list[str]:
    """What is wrong with a container's configuration."""
    found = []
    if conf.get("OSTEMPLATE") != os_template.removesuffix(OS_TEMPLATE_SUFFIX):
        found.append(f"OSTEMPLATE is {conf.get('OSTEMPLATE')}, and the OS template {os_template}")
    for key in ("VE_ROOT", "VE_PRIVATE"):
        if not conf.get(key, "").endswith(f"/{VEID}"):
            found.append(f"{key} lacks {VEID}")
    for key in ("PHYSPAGES", "SWAPPAGES", "DISKSPACE", "DISKINODES"):
        barrier, _, limit = conf.get(key, "").partition(":")
        if not (barrier.isdigit() and limit.isdigit()):
            found.append(f"{key} is not two integers")
    with suppress(ValueError):
        if disk_size(conf) == 0:
            found.append("DISKSPACE grants nothing")
    try:
        parse_netif(conf.get("NETIF", ""))
    except ValueError as error:
        found.append(str(error))
    return found


def bundled_os_template_findings(artifact: Path, os_template: str) -> list[str]:
    """os_template_findings of the OS template where it lies in the bundle."""
    try:
        with open_regular(artifact) as file:
            tar = TarStream(file)
            found = any(entry.name == os_template and entry.is_file for entry in tar.entries())
            return os_template_findings(cast(IO[bytes], tar), os_template) if found else ["it is not in the bundle"]
    except (OSError, ValueError) as error:
        return [str(error)]


def os_template_findings(source: Path | IO[bytes], name: str) -> list[str]:
    """What is wrong with an OS template: its gzip, its tar, its names, or that it lacks an init."""
    odd: list[str] = []
    init = False
    try:
        with gzip_content(source, name) as plain:
            for entry in TarStream(plain).entries():
                init = init or entry.name.rstrip("/") in _INITS
                if len(odd) < _ODD and entry.name.rstrip("/") != "." and not entry.name.startswith("./"):
                    odd.append(entry.name)
    except (BuildError, ValueError) as error:
        return [str(error)]
    found = [f"names that do not begin with ./: {', '.join(sorted(odd))}"] if odd else []
    return found if init else [*found, "no /sbin/init in it"]


def content_size(root: Path) -> int:
    """Bytes that the folder's content takes on a disk with blocks of 4096 bytes."""
    total = 0
    for folder, folders, names in os.walk(root):
        total += 4096 * len(folders)
        for name in names:
            status = Path(folder, name).lstat()
            if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                total += -(-status.st_size // 4096) * 4096
    return total
