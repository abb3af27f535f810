"""A VMware machine's NVRAM: what its firmware keeps, above all what it boots. Nothing of it is interpreted here."""

from __future__ import annotations

from typing import IO

from vmgen_build.limits import NVRAM

_MARK = b"MRVN"
"""As file(1) knows it ("VMware nvram")."""


def check_nvram(file: IO[bytes], size: int) -> None:
    """file: stands at its beginning. size: of all of it, in bytes. Raises ValueError that says what is wrong."""
    if size > NVRAM.amount:
        raise ValueError(f"it has {size} bytes: {NVRAM.exceeded}")
    if file.read(len(_MARK)) != _MARK:
        raise ValueError("it is no nvram of a VMware machine")
