"""yum 3: Fedora until 21, Red Hat and its relatives until 7. Format: yum(8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from vmgen_build.installers import rpm
from vmgen_build.installers.base import PLAIN, Installer, Manner
from vmgen_build.installers.dnf import Dnf


class Yum(Dnf):
    """It knows no recommended packages, and calls its work done where one of several names is unknown, or is there in
    another version."""

    program: ClassVar[str] = "yum"
    conf: ClassVar[str] = "/etc/yum.conf"
    excluding: ClassVar[str] = "exclude"
    without_weak: ClassVar[tuple[str, ...]] = ()
    with_weak: ClassVar[tuple[str, ...]] = ()

    def install(self, packages: Sequence[str], manner: Manner = PLAIN) -> str:
        return super().install(packages, manner) + rpm.is_installed_as(packages)

    def mark_wanted(self) -> str:
        """It keeps no such marks by itself, and removes nothing unasked."""
        return Installer.mark_wanted(self)


INSTALLER = Yum()
