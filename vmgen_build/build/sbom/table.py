"""The formats of lists of what an image holds, as --sbom names them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from vmgen_build.artifacts.beside import CYCLONEDX, SPDX
from vmgen_build.build.sbom.contents import Contents
from vmgen_build.build.sbom.cyclonedx import cyclonedx_text
from vmgen_build.build.sbom.spdx import spdx_text
from vmgen_build.errors import HostError


@dataclass(frozen=True, slots=True)
class SbomFormat:
    """ending: of the file beside the artifact. modules: that it is written by."""

    ending: str
    modules: tuple[str, ...]
    text: Callable[[Contents], str]


SBOMS: Mapping[str, SbomFormat] = {
    "cyclonedx": SbomFormat(CYCLONEDX, ("cyclonedx", "packageurl", "license_expression"), cyclonedx_text),
    "spdx": SbomFormat(SPDX, ("spdx_tools", "packageurl", "license_expression"), spdx_text),
}


def require_sbom(names: Collection[str]) -> None:
    """Raises HostError where the libraries of these formats are not installed."""
    lacking = sorted({module for name in names for module in SBOMS[name].modules if find_spec(module) is None})
    if lacking:
        raise HostError(
            f"--sbom {' and '.join(sorted(names))}: the Python packages that write it are not installed"
            f" ({', '.join(lacking)}): pip install 'vmgen-build[sbom]'"
        )
