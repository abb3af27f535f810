"""Compression methods: what --compression says, and the programs that do it.

The bytes that come out depend on the input and the program's version alone, never on the number of cores: zstd and xz
cut the input into jobs of a fixed size, pigz into blocks of 128 KiB (pigz and gzip differ from each other).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vmgen_build.errors import UsageError
from vmgen_build.host.programs import find_program

LEVELS = {"zstd": (1, 19, 3), "gzip": (1, 9, 6), "xz": (0, 9, 6), "none": (0, 0, 0)}
"""method -> lowest, highest and default level."""

SUFFIXES = {"zstd": ".zst", "gzip": ".gz", "xz": ".xz", "none": ""}

TAR_ENDINGS = tuple(f".tar{suffix}" for suffix in SUFFIXES.values())
"""What the name of a tar may end in."""

_XZ_BLOCK = "24MiB"

_MAGIC = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
}
"""First bytes of a file (RFC 8878, RFC 1952, the .xz format's specification, bzip2(1), the LZ4 frame format) -> method
and program."""


@dataclass(frozen=True, slots=True)
class Compression:
    method: str
    level: int

    @property
    def suffix(self) -> str:
        """What a file's name ends in: ".zst"; "" for none."""
        return SUFFIXES[self.method]

    def command(self) -> list[str] | None:
        """The program that compresses its standard input to its standard output; None for "none"."""
        if self.method == "none":
            return None
        if self.method == "zstd":
            return ["zstd", "-q", "-c", "-T0", f"-{self.level}"]
        if self.method == "xz":
            return ["xz", "-q", "-c", "-T0", f"--block-size={_XZ_BLOCK}", f"-{self.level}"]
        if find_program("pigz"):
            return ["pigz", "-c", "-n", "-p", str(max(2, os.cpu_count() or 1)), f"-{self.level}"]
        return ["gzip", "-c", "-n", f"-{self.level}"]


def parse_compression(text: str) -> Compression:
    """ "METHOD" or "METHOD:LEVEL". Raises UsageError."""
    method, colon, level = text.partition(":")
    if method not in LEVELS:
        raise UsageError(f"--compression {text}: unknown method '{method}'; take one of {', '.join(LEVELS)}")
    low, high, default = LEVELS[method]
    if not colon:
        return Compression(method, default)
    if not (high and level.isascii() and level.isdigit() and low <= int(level) <= high):
        wanted = f"a level from {low} to {high}, as in {method}:{default}" if high else "no level"
        raise UsageError(f"--compression {text}: {method} takes {wanted}")
    return Compression(method, int(level))


def decompressor(path: Path) -> list[str] | None:
    """The program that decompresses this file from its standard input, by the file's first bytes; None where it is not
    compressed. Raises OSError where the file cannot be read."""
    with path.open("rb") as file:
        head = file.read(6)
    method = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "none")
    return None if method == "none" else [method, "-q", "-d", "-c"]
