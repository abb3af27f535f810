"""apt's archives: Debian and its relatives."""

from vmgen_build.bases.apt.supply import AptSupply

SUPPLY = AptSupply
