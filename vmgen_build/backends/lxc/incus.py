"""What Incus and LXD read of an image: its metadata.yaml, and beside it an instance's own configuration.

Their documentation: "Image format"; "Instance options", as `incus launch IMAGE NAME < FILE` takes them. The texts are
YAML whose scalars are JSON's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from vmgen_build.artifacts.lxc import ARCHITECTURES
from vmgen_build.plan.text.quote import Dialect, Trusted, refuse_unsayable
from vmgen_build.plan.text.render import Renderer
from vmgen_build.systems.model import System

INSTANCE = "instance.yaml"
"""Its name in a plan's build recipe."""

TEMPLATES = {"/etc/hostname": "hostname.tpl", "/etc/hosts": "hosts.tpl"}
"""File of an instance -> its template below templates/ in the image."""

_MIB = 1 << 20


def _yaml_text(text: str) -> str:
    """A YAML double-quoted scalar: JSON's strings are among them (YAML 1.2, chapter 7.3.1)."""
    refuse_unsayable(text)
    return json.dumps(text)


YAML = Dialect("yaml", _yaml_text)


@dataclass(frozen=True, kw_only=True)
class Described:
    """epoch: of the build, seconds. limits: as limits_of gives them. requirements: of the host, by the names that both
    have for them ("secureboot": "false"). templates: some of TEMPLATES."""

    name: str
    system: System
    epoch: int
    limits: Mapping[str, str]
    requirements: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=lambda: TEMPLATES)


def limits_of(cpus: int | None, ram: int | None) -> dict[str, str]:
    """The options of an instance that has so many CPUs, and so much memory in bytes; None: whatever there is."""
    found = {"limits.cpu": str(cpus)} if cpus else {}
    if ram:
        found["limits.memory"] = f"{ram}B" if ram % _MIB else f"{ram // _MIB}MiB"
    return found


def metadata(image: Described, renderer: Renderer) -> str:
    """renderer: of YAML. Incus refuses an image whose creation date is 0. The limits among the properties are for
    people: no instance gets them by that."""
    system, created = image.system, max(image.epoch, 1)
    arch = ARCHITECTURES.get(system.arch, system.arch)
    return renderer.render(
        "lxc/metadata.yaml.j2",
        arch=arch,
        created=Trusted(str(created)),
        description=f"{image.name}: {system.distribution} {system.version} ({arch}) by vmgen-build",
        name=image.name,
        os=system.distribution.capitalize(),
        release=system.codename or system.version,
        serial=time.strftime("%Y%m%d_%H%M", time.gmtime(created)),
        variant="default",
        more={**image.limits, **{f"requirements.{key}": value for key, value in image.requirements.items()}},
        templates=image.templates,
    )


def instance(options: Mapping[str, str], renderer: Renderer) -> str:
    """renderer: of YAML."""
    return renderer.render("lxc/instance.yaml.j2", options=options)
