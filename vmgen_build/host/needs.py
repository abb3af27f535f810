"""What some work needs of this host beyond its being there, and what it means where that is lacking."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.host.programs import Requirement, find_program
from vmgen_build.host.run import run
from vmgen_build.host.system import DEBIAN_KEYS, host_system
from vmgen_build.host.usernamespace import user_namespace


class Readiness(Enum):
    WORKS = "works"
    DEGRADED = "degraded"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Lack:
    """What is not there. readiness: what that makes of the work. why: "lxc-start is missing: it boots the image".

    package: Debian's name of what mends it; advice: what to do where no package does, as a sentence.
    """

    readiness: Readiness
    why: str
    package: str = ""
    advice: str = ""


class Need(ABC):
    """Compared by value, so that each is looked at once."""

    @abstractmethod
    def lack(self) -> Lack | None:
        """None where it is there, or where that cannot be known."""


@dataclass(frozen=True, slots=True)
class NeededProgram(Need):
    requirement: Requirement
    without: Readiness = Readiness.NO

    def lack(self) -> Lack | None:
        one = self.requirement
        if find_program(one.command):
            return None
        return Lack(self.without, f"{one.command} is missing" + (f": it {one.why}" if one.why else ""), one.package)


def programs(*requirements: Requirement, without: Readiness = Readiness.NO) -> tuple[Need, ...]:
    return tuple(NeededProgram(one, without) for one in requirements)


@dataclass(frozen=True, slots=True)
class NeededRoot(Need):
    def lack(self) -> Lack | None:
        if os.geteuid() == 0:
            return None
        return Lack(Readiness.NO, "this is not root", advice="Run it by sudo, or as root.")


@dataclass(frozen=True, slots=True)
class Trial(Need):
    """Something of the kernel that root can try. what: as people call it."""

    what: str
    command: tuple[str, ...]

    def lack(self) -> Lack | None:
        if os.geteuid() != 0 or find_program(self.command[0]) is None:
            return None
        ran = run(self.command)
        if ran.code == 0:
            return None
        advice = f"The kernel, or the container that this runs in, does not allow {self.what}: use a host that does."
        return Lack(Readiness.NO, f"{self.what}: {ran.reason.splitlines()[-1]}", advice=advice)


@dataclass(frozen=True, slots=True)
class UserNamespaces(Need):
    def lack(self) -> Lack | None:
        if os.geteuid() != 0:
            return None
        try:
            with user_namespace():
                return None
        except HostError as error:
            return Lack(
                Readiness.DEGRADED,
                f"{re.split('; |, and |, as which', str(error))[0]}: containers are booted with --trusted alone, which"
                " is for images of your own",
                advice="Allow user namespaces (sysctl user.max_user_namespaces), and work outside of a container.",
            )


@dataclass(frozen=True, slots=True)
class ManyUsers(Need):
    """A root of a user namespace may have few (user_namespaces(7), uid_map), and files of an image belong to many."""

    def lack(self) -> Lack | None:
        count = sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())
        if count >= FEWEST_USERS or os.geteuid() != 0:
            return None
        advice = "It is a container, say: give it more users (/etc/subuid), or work outside of it."
        return Lack(Readiness.NO, f"this root has too few users: {count}, of {FEWEST_USERS}", advice=advice)


@dataclass(frozen=True, slots=True)
class ControlGroups(Need):
    def lack(self) -> Lack | None:
        if cgroup_version():
            return None
        return Lack(
            Readiness.NO,
            "no cgroup file system is mounted",
            advice="Mount the cgroup file system: mount -t cgroup2 none /sys/fs/cgroup",
        )


@dataclass(frozen=True, slots=True)
class DebianKeys(Need):
    """Debian itself has them."""

    def lack(self) -> Lack | None:
        if host_system().is_debian or DEBIAN_KEYS.exists():
            return None
        return Lack(
            Readiness.NO,
            "Debian's keys are missing: they check what a Debian base is made of",
            "debian-archive-keyring",
        )


@dataclass(frozen=True, slots=True)
class NeededModules(Need):
    """Python's. extra: of this package, by which pip installs them."""

    modules: tuple[str, ...]
    extra: str

    def lack(self) -> Lack | None:
        lacking = [name for name in self.modules if find_spec(name) is None]
        if not lacking:
            return None
        return Lack(
            Readiness.NO,
            f"Python packages are missing: {', '.join(lacking)}",
            advice=f"Install them where the tool is installed: pip install 'vmgen-build[{self.extra}]'",
        )


_OVERLAY = (
    "mount -t tmpfs none /mnt && cd /mnt && mkdir l u w m && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w none m"
)

FEWEST_USERS = 65536
"""As many as Debian numbers (Debian policy 9.2.2)."""

ROOT = NeededRoot()
NAMESPACES = Trial("namespaces", ("unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "true"))
OVERLAYFS = Trial("overlayfs", ("unshare", "--mount", "sh", "-c", _OVERLAY))
"""Tried in mount namespaces of their own."""


def cgroup_version() -> str:
    """ "version 2", "version 1", or "" where none is mounted (cgroups(7))."""
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return "version 2"
    return "version 1" if any(Path("/sys/fs/cgroup").glob("*/tasks")) else ""
