"""wsl: a distribution for the Windows Subsystem for Linux, which Windows installs by a double click.

A tar of the root, gzipped, with two files of its own (Microsoft: "Build a custom Linux distribution for WSL" and
"Advanced settings configuration in WSL").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vmgen_build.backends.format import PackOptions, shown
from vmgen_build.backends.lxc.root import PlainRoot
from vmgen_build.host.beneath import text_beneath
from vmgen_build.host.programs import Requirement, needed
from vmgen_build.limits import TREE_FILE
from vmgen_build.plan.model import Plan

if TYPE_CHECKING:
    from vmgen_build.artifacts.result import Tree
    from vmgen_build.artifacts.tarball import Encode

FIRST_UID = 1000
"""Of the first account that is a person's (login.defs(5), UID_MIN)."""

NETWORKING = ("networking", "systemd-networkd", "systemd-resolved", "NetworkManager", "wicked")
"""Units that would set up what WSL sets up itself."""

_NOT_THERE = "# Written by vmgen-build: WSL sets up the network itself.\n[Unit]\nConditionVirtualization=!wsl\n"
_ACCOUNT = re.compile(r"(?P<name>[a-z_][a-z0-9_-]{0,31}):[^:]*:(?P<uid>\d{1,9}):")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


class Wsl(PlainRoot):
    name: ClassVar[str] = "wsl"
    about: ClassVar[str] = "Windows Subsystem for Linux"
    endings: ClassVar[tuple[str, ...]] = (".wsl",)
    requirements: ClassVar[tuple[Requirement, ...]] = (needed("tar", "packs the image"),)

    def use(self, machine: str, files: Sequence[Path]) -> tuple[str, ...]:
        return (f"wsl --install --from-file {shown(files[0])}",)

    def packing(self, options: PackOptions) -> tuple[str, Encode]:
        """Windows reads gzip alone, whatever --compression says."""
        from vmgen_build.artifacts.gzipped import gzip_members

        return "wsl", gzip_members

    def stem(self, plan: Plan) -> str:
        return plan.name

    def texts(self, plan: Plan, content: Tree) -> dict[str, str]:
        user, root = _person(content.root), content.root
        has_systemd = bool(text_beneath(root, "etc/systemd/system.conf", TREE_FILE))
        boot = "[boot]\nsystemd=true\n" if has_systemd else ""
        default = f"[user]\ndefault={user}\n" if user else ""
        host = text_beneath(root, "etc/hostname", TREE_FILE).strip()
        network = f"[network]\nhostname={host}\n" if _HOST.fullmatch(host) else ""
        uid = f"defaultUid = {FIRST_UID if user else 0}\n"
        found = {
            "etc/wsl.conf": boot + default + network,
            "etc/wsl-distribution.conf": f"[oobe]\n{uid}defaultName = {plan.name}\n\n[shortcut]\nenabled = true\n",
        }
        units = NETWORKING if has_systemd else ()
        return found | {f"etc/systemd/system/{unit}.service.d/wsl.conf": _NOT_THERE for unit in units}


def _person(root: Path) -> str:
    """The name of the account with the number FIRST_UID; "" where there is none."""
    accounts = filter(None, map(_ACCOUNT.match, text_beneath(root, "etc/passwd", TREE_FILE).splitlines()))
    return next((match["name"] for match in accounts if int(match["uid"]) == FIRST_UID), "")


FORMAT = Wsl()
