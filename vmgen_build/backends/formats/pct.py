"""pct: the plain root under the name that Proxmox VE gives to templates of containers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from vmgen_build.backends.format import shown
from vmgen_build.backends.lxc.root import PlainRoot
from vmgen_build.plan.model import Plan


class Pct(PlainRoot):
    name: ClassVar[str] = "pct"
    about: ClassVar[str] = "Proxmox VE: pct create"

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        how = "--net0 name=eth0,bridge=vmbr0,ip=dhcp --unprivileged 1 --features nesting=1"
        return (
            f"cp {shown(files[0])} /var/lib/vz/template/cache/",
            f"pct create 200 local:vztmpl/{shown(files[0].name)} {how}",
        )

    def stem(self, plan: Plan) -> str:
        """SYSTEM-VERSION-NAME_RELEASE_ARCH (pveam(1), PVE::APLInfo); the time of the build's sources is the release."""
        return f"{plan.os}-{plan.name}_{plan.epoch}-pct-1_{plan.arch}"


FORMAT = Pct()
