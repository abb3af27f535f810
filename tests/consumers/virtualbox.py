"""VirtualBox of Debian sid: an import needs no kernel module."""

from __future__ import annotations

from collections.abc import Iterator

from tests.consumers.chroot import entered, made
from tests.consumers.model import Images, Try

PACKAGES = ("virtualbox", "iproute2")


def tries(images: Images) -> Iterator[Try]:
    with entered(made(images.chroots, "sid", PACKAGES, "main contrib")) as inside:
        version = inside.ask("VBoxManage", "--version").split()[-1].split("_")[0]
        yield Try(f"VirtualBox {version} (sid)", "starts")
