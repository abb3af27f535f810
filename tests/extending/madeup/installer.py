"""apt-get with one option more: the image shows that it was this installer."""

from __future__ import annotations

from collections.abc import Sequence

from vmgen_build.installers.apt import Apt

MARK = "/var/lib/madeup-installed"


class MarkingApt(Apt):
    def install(self, packages: Sequence[str], recommends: bool = False) -> list[str]:
        program, *words = super().install(packages, recommends)
        return [program, "-o", f"DPkg::Post-Invoke::=touch {MARK}", *words]


INSTALLER = MarkingApt()
