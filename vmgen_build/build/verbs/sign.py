"""--sign, by each program that signs."""

from __future__ import annotations

from collections.abc import Iterator

from vmgen_build.build.signers.table import SIGNERS
from vmgen_build.build.verbs.model import Row
from vmgen_build.host.needs import programs


def rows() -> Iterator[Row]:
    for signer in SIGNERS:
        yield Row(programs(signer.program), thing=signer.scheme, extra=True)
