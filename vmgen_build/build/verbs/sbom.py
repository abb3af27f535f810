"""--sbom, in each of its formats."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.build.sbom.table import SBOMS
from vmgen_build.build.verbs.model import Row
from vmgen_build.host.needs import NeededModules


def rows() -> Iterator[Row]:
    for name, form in SBOMS.items():
        yield Row((NeededModules(form.modules, "sbom"),), thing=name, extra=True)
