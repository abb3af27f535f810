"""How a Windows is spoken to: programs are started by their command lines, with no shell between, and files put at
paths of its own. What a batch file prints comes back as a file, in the code page of Windows' console (OEM)."""

from __future__ import annotations

import codecs
import re
import time
from abc import abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vmgen_build.errors import BuildError, VmgenError
from vmgen_build.guests.model import Communicator, Ran, no_answer
from vmgen_build.host.inmemory import in_memory
from vmgen_build.limits import MACHINE_LINE, Limit

SYSTEM = r"C:\Windows\System32"
CMD = rf"{SYSTEM}\cmd.exe"

TEMP = r"C:\Windows\Temp"

WORKING = r"C:\Windows"
"""The working directory of batch files: one that is nobody's to remove."""

PATIENCE = 300.0
"""Seconds for a batch file whose caller gives it no time."""

FIRST, LONGEST = 0.2, 2.0
"""Seconds between two questions whether a program has ended: the first, and the most after many."""

LOOK = r"""@echo off
ver
chcp
reg query HKU\S-1-5-19 >nul 2>&1
exit /b %errorlevel%
""".replace("\n", "\r\n")
"""Which Windows it is, its code page, and whether orders are an administrator's: nobody else reads that key."""


@dataclass(frozen=True, slots=True)
class WindowsFacts:
    """nt: first two parts of the kernel's version. encoding: Python's name of its OEM code page."""

    nt: tuple[int, int]
    encoding: str
    administrator: bool


class WindowsCommunicator(Communicator):
    """Scripts are batch files. Paths of files are whole, and of Windows."""

    _facts: WindowsFacts | None = None

    @abstractmethod
    def new_folder(self) -> str:
        """An empty one, with a name of its own."""

    @abstractmethod
    def make_folder(self, remote: str) -> None:
        """Raises BuildError where it is there."""

    @abstractmethod
    def send(self, file: IO[bytes], size: int, remote: str) -> None: ...

    @abstractmethod
    def read(self, remote: str, limit: Limit) -> bytes | None:
        """None where there is no such file. Raises BuildError for more than the limit."""

    @abstractmethod
    def start(self, program: str, *words: str) -> int:
        """Its number. words: its arguments, as a program gets them that takes its command line apart as those of
        Microsoft's C library do (cmd.exe does not)."""

    @abstractmethod
    def start_batch(self, script: str, argument: str, output: str) -> int:
        """Its number. script: of a batch file in a folder of its own; argument: without blanks, "" for none; output:
        of the file that takes what it prints. Without input, in WORKING."""

    @abstractmethod
    def code_of(self, number: int) -> int | None:
        """The exit code of a program that was started; None while it runs."""

    @abstractmethod
    def end(self, number: int) -> None:
        """With all that it has started."""

    @abstractmethod
    def delete(self, remote: str) -> None:
        """A folder with all in it. One that is not there is none to remove."""

    @property
    def facts(self) -> WindowsFacts:
        """Asked once. Raises BuildError."""
        if self._facts is None:
            self._facts = _facts_of(self.run(LOOK))
        return self._facts

    def run(self, script: str, timeout: float | None = None) -> Ran:
        """A batch file, in a folder of its own. It ends with code 124 where it takes longer."""
        folder = self.new_folder()
        try:
            self._put(script.encode("ascii"), rf"{folder}\script.bat")
            number = self.start_batch(rf"{folder}\script.bat", "", rf"{folder}\out.txt")
            code = self.wait(number, PATIENCE if timeout is None else timeout)
            out = self.read(rf"{folder}\out.txt", MACHINE_LINE) or b""
        finally:
            with suppress(VmgenError):
                self.delete(folder)
        return no_answer(timeout) if code is None else Ran(code, out.decode("ascii", "replace").replace("\r\n", "\n"))

    def put(self, local: Path, remote: str, mode: int = 0o644) -> None:
        """Windows has no modes."""
        with local.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            self.send(file, size, remote)

    def get(self, remote: str, local: Path) -> None:
        data = self.read(remote, MACHINE_LINE)
        if data is None:
            raise BuildError(f"there is no file {remote} in the machine")
        local.write_bytes(data)

    def _put(self, data: bytes, remote: str) -> None:
        with in_memory(data) as file:
            self.send(file, len(data), remote)

    def wait(self, number: int, seconds: float) -> int | None:
        """A program's exit code; None where it has not ended in time, and was ended."""
        began, pause = time.monotonic(), FIRST
        while (code := self.code_of(number)) is None:
            if time.monotonic() - began > seconds:
                self.end(number)
                return None
            time.sleep(pause)
            pause = min(LONGEST, pause * 1.5)
        return code


def batch_arguments(script: str, argument: str, output: str) -> str:
    """Of cmd.exe: /s takes the outer quotes off, whatever stands between them, and leaves the rest as it is."""
    call = f'"{script}" {argument}'.rstrip()
    return f'/d /s /c "{call} >"{output}" 2>&1 <nul"'


def console_text(data: bytes) -> bytes:
    """What wmic writes is UTF-16 amid a program's other output; its characters are those of ASCII."""
    return data.replace(b"\xff\xfe", b"").replace(b"\0", b"") if b"\0" in data else data


def _facts_of(ran: Ran) -> WindowsFacts:
    version, page = re.search(r"(\d+)\.(\d+)\.\d+", ran.out), re.findall(r"(\d+)\D*$", ran.out)
    if version is None:
        raise BuildError(f"the machine does not say which Windows it is: {ran.out.strip()[:200]!r}")
    return WindowsFacts((int(version[1]), int(version[2])), _encoding(page[0] if page else ""), ran.code == 0)


def _encoding(page: str) -> str:
    with suppress(LookupError):
        return codecs.lookup(f"cp{page}").name
    return "cp437"
