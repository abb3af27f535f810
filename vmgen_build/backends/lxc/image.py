"""What an image for podman and docker says of itself (OCI image-spec, config.md), made of the recipe."""

from __future__ import annotations

import json
from typing import Any

from vmgen_build.recipe.recipe import Recipe

FILE = "image.json"
"""Its name in a plan's build recipe."""

ARCHITECTURES = {"i386": "386", "armhf": "arm", "ppc64el": "ppc64le"}
"""Debian's words -> Go's, GOARCH, where they differ."""

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RANGE = 64
"""Ports of a range that are named one by one; a larger one is not named at all."""


def image_config(recipe: Recipe) -> str:
    """An image is a whole machine: it starts by its init, which is stopped as systemd(1) is."""
    system = recipe.hardware.os
    config: dict[str, Any] = {"Env": [PATH, "container=oci"], "Cmd": ["/sbin/init"], "StopSignal": "SIGRTMIN+3"}
    if ports := _ports(recipe):
        config["ExposedPorts"] = {port: {} for port in ports}
    image = {"architecture": ARCHITECTURES.get(system.arch, system.arch), "os": "linux", "config": config}
    return json.dumps(image, indent=2, sort_keys=True) + "\n"


def _ports(recipe: Recipe) -> list[str]:
    """Those that the recipe opens, as "22/tcp"."""
    found: set[tuple[int, str]] = set()
    for opened in recipe.network.open_ports.values():
        first, last = opened.port
        if last - first < RANGE:
            kinds = ("tcp", "udp") if opened.proto == "all" else (opened.proto,)
            found |= {(port, kind) for port in range(first, last + 1) for kind in kinds}
    return [f"{port}/{kind}" for port, kind in sorted(found)]
