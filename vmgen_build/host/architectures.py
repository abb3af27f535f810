"""Programs of another architecture on this host: elf(5), setarch(8), and binfmt-misc.rst of the kernel's documentation.

Where the kernel does not run them, and nothing on this host has registered who does, qemu-user runs them for the build
alone: an instance of binfmt_misc belongs to one user namespace and those below it (since Linux 6.7), and goes with it.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vmgen_build.errors import HostError
from vmgen_build.host.programs import Requirement, find_program
from vmgen_build.host.run import run
from vmgen_build.host.system import how_to_get
from vmgen_build.host.usernamespace import everybody

OWN_INSTANCES = (6, 7)
"""The first Linux with an instance of binfmt_misc for each user namespace."""

BINFMT = "/proc/sys/fs/binfmt_misc"

_LOADER = b"ld-linux"
"""In the first page of a program that is not whole by itself: a guest has not its libraries."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Programs of an architecture. bits: 32 or 64; number: e_machine; ends: machine code that ends with 0; qemu: what
    qemu-user calls it; uname: what uname(2) does."""

    bits: int
    number: int
    ends: bytes
    qemu: str
    uname: tuple[str, ...]


_KINDS = {
    "amd64": _Kind(64, 62, bytes.fromhex("b83c000000 31ff 0f05"), "x86_64", ("x86_64",)),
    "i386": _Kind(32, 3, bytes.fromhex("b801000000 31db cd80"), "i386", ("i386", "i486", "i586", "i686")),
    "arm64": _Kind(64, 183, bytes.fromhex("a80b80d2 000080d2 010000d4"), "aarch64", ("aarch64",)),
}
"""By Debian's words. The code: exit(0), system calls 60, 1 and 93."""


@dataclass(frozen=True, slots=True)
class Emulation:
    """arch: in Debian's words; interpreter: the program of this host that runs those of the architecture."""

    arch: str
    interpreter: Path

    def registration(self) -> str:
        """The line for binfmt_misc. P, C and F: the program's own name is kept, set-user-id counts, and the interpreter
        is opened now, by its path on this host."""
        head = _header(_KINDS[self.arch], 0)[:20]
        mask = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + b"\xfe" + b"\xff" * 3
        return f":vmgen-{self.arch}:M::{_escaped(head)}:{_escaped(mask)}:{self.interpreter}:PCF"


def emulation_of(arch: str) -> Emulation | None:
    """What runs programs of the architecture in namespaces of the build's own; None where this host runs them already.

    Raises HostError where it cannot be, with what to do.
    """
    if arch not in _KINDS or runs(arch):
        return None
    if text := _why_not(arch):
        raise HostError(text)
    interpreter = _interpreter(arch)
    if interpreter is None:
        raise HostError(f"this host runs no {arch} programs; {how_to_get(['qemu-user-static'])}")
    return Emulation(arch, interpreter)


def requirements_of(arch: str) -> tuple[Requirement, ...]:
    """What running such programs needs of this host and is not there, as far as a package brings it."""
    if arch not in _KINDS or runs(arch) or _why_not(arch) or _interpreter(arch):
        return ()
    return (Requirement(_static(arch), "qemu-user-static", f"runs {arch} programs"),)


def why_not(arch: str) -> str:
    """What keeps this host from running such programs, whatever is installed; "" for nothing."""
    return "" if arch not in _KINDS or runs(arch) else _why_not(arch)


def kernel_runs(machine: str, arch: str) -> bool:
    """Whether a kernel that calls its machine so (uname(2)) runs such programs by itself. An unknown word is no
    obstacle."""
    if arch not in _KINDS or not any(machine in kind.uname for kind in _KINDS.values()):
        return True
    return machine in _KINDS[arch].uname or (arch == "i386" and machine == "x86_64")


@cache
def runs(arch: str) -> bool:
    """Whether this host runs programs of the architecture by itself: one is tried, the smallest that there is."""
    return os.uname().machine in _KINDS[arch].uname or _ends_well(_program(_KINDS[arch]))


@contextmanager
def able_to_run(arch: str) -> Iterator[list[str]]:
    """The words that stand before a command which runs programs of the architecture; uname(2) then names it. Needs
    root. Raises HostError as emulation_of."""
    emulation = emulation_of(arch)
    if emulation is None:
        foreign = arch in _KINDS and os.uname().machine not in _KINDS[arch].uname
        yield ["setarch", "i686", "--"] if foreign and arch == "i386" else []
        return
    with everybody(f"programs of {arch} run in one") as enter:
        register = f'mount -t binfmt_misc binfmt_misc {BINFMT}; printf %s "$1" >{BINFMT}/register; shift; exec "$@"'
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        yield [*enter, *apart, "sh", "-euc", register, "sh", emulation.registration()]


def _why_not(arch: str) -> str:
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if arch == "i386" and os.uname().machine == "x86_64":
        return "this host's kernel runs no i386 programs; start it with ia32_emulation=1, or take another host"
    if found and (int(found[1]), int(found[2])) >= OWN_INSTANCES:
        return ""
    wanted = ".".join(map(str, OWN_INSTANCES))
    return (
        f"this host runs no {arch} programs, and its kernel {os.uname().release} lets no build have interpreters of its"
        f" own, as Linux {wanted} does; take a newer kernel, or register qemu-user on this host"
        " (apt-get install qemu-user-static binfmt-support)"
    )


def _static(arch: str) -> str:
    return f"qemu-{_KINDS[arch].qemu}-static"


def _interpreter(arch: str) -> Path | None:
    """Debian 13 and later have no other than whole ones, under the name without an ending."""
    for name in (_static(arch), f"qemu-{_KINDS[arch].qemu}"):
        found = find_program(name)
        if found is not None and _is_whole(Path(found)):
            return Path(found).resolve()
    return None


def _is_whole(program: Path) -> bool:
    try:
        with program.open("rb") as file:
            return _LOADER not in file.read(4096)
    except OSError:
        return False


def _program(kind: _Kind) -> bytes:
    """It ends with 0, and does nothing else."""
    return _header(kind, len(kind.ends)) + kind.ends


def _header(kind: _Kind, code: int) -> bytes:
    """The ELF header and one program header that maps the whole file. code: bytes that follow."""
    address = 0x10000
    if kind.bits == 32:
        start, size = address + 84, 84 + code
        head = struct.pack("<HHIIIIIHHHHHH", 2, kind.number, 1, start, 52, 0, 0, 52, 32, 1, 0, 0, 0)
        segment = struct.pack("<IIIIIIII", 1, 0, address, address, size, size, 5, 0x1000)
        return b"\x7fELF\x01\x01\x01" + bytes(9) + head + segment
    start, size = address + 120, 120 + code
    head = struct.pack("<HHIQQQIHHHHHH", 2, kind.number, 1, start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, address, address, size, size, 0x1000)
    return b"\x7fELF\x02\x01\x01" + bytes(9) + head + segment


def _ends_well(program: bytes) -> bool:
    """From memory: no folder of this host must be there for it, and none is left."""
    fd = os.memfd_create("vmgen-arch", 0)
    try:
        os.write(fd, program)
        return run([f"/proc/self/fd/{fd}"], fds=[fd]).code == 0
    except OSError:
        return False
    finally:
        os.close(fd)


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)
