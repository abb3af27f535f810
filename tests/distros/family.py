"""What a test distribution is: Debian's programs under another system's names, files and habits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.distros.content import Package
from tests.distros.debian import CURRENT, Bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One of them.

    name: "fedora"; system: as a recipe's `os` names it; format: of its packages, "rpm" or "pacman"; tag: of their
    releases. present: packages that the root holds already, as the family calls them -> what each provides beside its
    name. files: of the root, path -> text; those of a bin folder can be run. identity: lines of sh that run in the root
    once the files are there, with the distribution's key as /keys/public.asc and the present packages in /packages.
    names: program of the tests' content -> its name in the family, where that is another. group: id of the group of
    development tools. own: packages of its repository main beside those of the content. layout: path on a
    mirror -> the repository that lies there. bootstrap: what its root is made of; compression: of its tarball, "zstd"
    or "gzip".
    """

    name: str
    system: str
    format: str
    present: Mapping[str, tuple[str, ...]]
    files: Mapping[str, str]
    identity: str
    group: str
    layout: Mapping[str, str]
    own: tuple[Package, ...] = ()
    tag: str = ""
    bootstrap: Bootstrap = CURRENT
    compression: str = "zstd"
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked_group(self) -> str:
        """The group of development tools as a recipe's packages name it."""
        return {"opensuse": f"pattern:{self.group}", "arch": self.group}.get(self.name, f"@{self.group}")


def names(*words: str) -> dict[str, tuple[str, ...]]:
    """Packages that provide nothing but their name."""
    return {name: () for word in words for name in word.split()}


GROUPS = """
for group in {groups}; do getent group "$group" >/dev/null || groupadd -r "$group"; done
groupdel sudo
sed -i '/^%sudo/d' /etc/sudoers
"""
"""Debian's group sudo is wheel elsewhere."""

PRESETS = "disable *\n"
"""Fedora, openSUSE and Arch enable no service that nobody asked for."""

SSHD = """\
[Unit]
Description=OpenSSH server daemon
After=network.target {after}
Wants={after}
[Service]
Type=notify
RuntimeDirectory=sshd
RuntimeDirectoryMode=0755
{before}ExecStart=/usr/sbin/sshd -D
KillMode=process
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""


def sshd(after: str = "", before: str = "") -> str:
    """The service of the server. after: unit that makes host keys; before: command that does."""
    text = SSHD.format(after=after, before=f"ExecStartPre={before}\n" if before else "")
    return text.replace("Wants=\n", "")
