"""Which system this host runs, and how one gets packages on it: os-release(5)."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OS_RELEASE = (Path("/etc/os-release"), Path("/usr/lib/os-release"))
"""The first that can be read counts."""

DEBIAN_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Of Debian's package debian-archive-keyring, which other distributions have under the same or a similar name."""

USERNS_SWITCH = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
"""Of kernels with Ubuntu's patches, from 23.10 on: 1 where AppArmor keeps ordinary users from user namespaces."""


@dataclass(frozen=True, slots=True)
class HostSystem:
    """ids: its own, as "ubuntu", and then of those that it is like. name: as people know it."""

    ids: tuple[str, ...]
    version: str
    name: str

    @property
    def has_apt(self) -> bool:
        """Whether apt-get installs packages under Debian's names."""
        return "debian" in self.ids

    @property
    def is_debian(self) -> bool:
        """Debian itself: its apt trusts Debian's archive."""
        return self.ids[:1] == ("debian",)


def host_system() -> HostSystem:
    """Without an os-release it is a system of no name."""
    for path in OS_RELEASE:
        with suppress(OSError):
            return parse_os_release(path.read_text(errors="replace"))
    return HostSystem(("linux",), "", "a system without /etc/os-release")


def parse_os_release(text: str) -> HostSystem:
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        with suppress(ValueError):
            if equals and not name.startswith("#"):
                fields[name] = " ".join(shlex.split(value))
    ids = (fields.get("ID", "linux"), *fields.get("ID_LIKE", "").split())
    version = fields.get("VERSION_ID", "")
    return HostSystem(ids, version, fields.get("PRETTY_NAME") or f"{ids[0]} {version}".strip())


def how_to_get(packages: Iterable[str]) -> str:
    """The half sentence that ends a message about what is missing. packages: Debian's names."""
    names = " ".join(sorted(set(packages)))
    if host_system().has_apt:
        return f"get it with: apt-get install -y --no-install-recommends {names}"
    return f"install what Debian's packages of these names hold: {names}; docs/hosts.md says more"


def users_are_kept_from_namespaces() -> bool:
    """Whether AppArmor lets root alone, and programs with a profile that says so, make user namespaces."""
    with suppress(OSError):
        return USERNS_SWITCH.read_text().strip() == "1"
    return False
