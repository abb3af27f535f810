"""A family "as Debian, but", and its one distribution: Debian 12 under another name."""

from __future__ import annotations

from dataclasses import replace

from vmgen_build.systems import debian

DEBIAN = debian.FAMILY.distributions[0]

TINYDEB = replace(
    DEBIAN,
    name="tinydeb",
    installer="marking",
    known={"1": "bookworm"},
    bases={"1": "mmdebstrap"},
    example="tinydeb-1",
    relative="debian",
    relative_versions={"1": "12"},
)

FAMILY = replace(
    debian.FAMILY,
    name="tinydeb",
    rank=11,
    distributions=(TINYDEB,),
    writers={**debian.FAMILY.writers, "timezone": "etc_zone"},
)
