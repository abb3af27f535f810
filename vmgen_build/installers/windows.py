"""Installers of programs for Windows: of which kind a file is, and the words that each kind is silent by.

What an .exe is, its own bytes say: NSIS has a header of its own behind the program (Source/exehead/fileform.h), Inno
Setup the name and version of its data (Setup-0, as its Struct.pas has them). Reads the file, and runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vmgen_build.host.regular import open_regular

MARKS: Mapping[str, bytes] = {
    "nsis": b"\xef\xbe\xad\xdeNullsoftInst",
    "inno": b"Inno Setup Setup Data (",
}
"""Kind -> what a file of it holds."""

SILENT: Mapping[str, tuple[str, ...]] = {
    "nsis": ("/S",),
    "inno": ("/VERYSILENT", "/SUPPRESSMSGBOXES", "/NORESTART", "/SP-", "/RESTARTEXITCODE=3010"),
}
"""Kind of an .exe -> its words. NSIS: 3.2, "Installer Usage"; Inno Setup: "Setup Command Line Parameters"."""

ENDS: Mapping[str, str] = {".msi": "msi", ".msu": "msu", ".msix": "msix", ".msixbundle": "msix", ".appx": "msix"}
"""End of a name -> kind."""

SINCE: Mapping[str, tuple[int, int]] = {"msu": (6, 0), "msix": (10, 0)}
"""Kind -> the first version of Windows' kernel that installs it; the others any does."""

WINGET = frozenset({"10", "11", "2025"})
"""Versions of Windows that bring winget, in their App Installer ("Use WinGet to install and manage applications")."""

_CHUNK = 1 << 20


def kind_of(path: Path) -> str:
    """ "msi", "msu", "msix", "nsis" or "inno"; "" for what is none of them. Raises OSError."""
    end = path.suffix.lower()
    return _kind_of_program(path) if end == ".exe" else ENDS.get(end, "")


def _kind_of_program(path: Path) -> str:
    """The first mark that the file holds."""
    longest = max(map(len, MARKS.values()))
    with open_regular(path) as file:
        if file.read(2) != b"MZ":
            return ""
        before = b""
        while chunk := file.read(_CHUNK):
            text = before + chunk
            for kind, mark in MARKS.items():
                if mark in text:
                    return kind
            before = text[-longest:]
    return ""
