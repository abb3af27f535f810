"""Debian without its security and updates archives. Mirrors often lack theirs for i386."""

from __future__ import annotations

from dataclasses import replace

from vmgen_build.systems import debian
from vmgen_build.systems.model import Distribution

_DEBIAN = debian.FAMILY.distributions[0]
_MAIN = replace(_DEBIAN.archives[""][0], suites=("{codename}",))

PLAIN = Distribution(
    name="plaindeb",
    installer="apt",
    known=_DEBIAN.known,
    bases=_DEBIAN.bases,
    instead=_DEBIAN.instead,
    example="plaindeb-12",
    relative="debian",
    relative_versions={version: version for version in _DEBIAN.known},
    archives={"": (_MAIN,)},
)

FAMILY = replace(debian.FAMILY, name="plaindeb", rank=12, distributions=(PLAIN,))
