"""apt-get with one option more: the image shows that it was this installer."""

from __future__ import annotations

from vmgen_build.installers.apt import Apt

MARK = "/var/lib/madeup-installed"


class MarkingApt(Apt):
    def command(self) -> list[str]:
        return [*super().command(), "-o", f"DPkg::Post-Invoke::=touch {MARK}"]


INSTALLER = MarkingApt()
