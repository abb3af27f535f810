"""What a machine in QEMU shows on its first serial port, and what of that tells that it will never be up."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from vmgen_build.limits import CONSOLE
from vmgen_build.text import clean

ENDS = (
    ("its firmware finds nothing to boot", r"No bootable (?:device|option)|UEFI Interactive Shell"),
    ("its boot loader does not find what to boot", r"grub(?: rescue)?>"),
    ("its kernel panicked", r"Kernel panic - not syncing"),
    (
        "its kernel does not find its root file system",
        r"ALERT! .* does not exist|\(initramfs\)|[Dd]ropping to (?:a|debug) shell",
    ),
    ("it stopped in emergency mode", r"You are in (?:emergency|rescue) mode|Entering emergency mode"),
)
"""What is wrong, and how firmware (SeaBIOS, OVMF), GRUB, Linux, initramfs-tools, dracut and systemd say it."""

_HANDED_OVER = "Booting from "
"""What SeaBIOS says before it runs a disk's boot code; without any, a disk with a boot signature runs its zeros."""

STALL = 60.0
"""Seconds after which boot code that has shown nothing is none."""

_LOGIN = re.compile(r"\S login: *$", re.MULTILINE)

_MOVED = re.compile(r"\x1b\[\d{0,4}(?:;\d{0,4})?[Hf]")
"""A movement of the cursor, as firmware and GRUB make them (ECMA-48, CUP and HVP)."""

TAIL = 15
RECENT = 1 << 16
"""Bytes of the console that are looked at: its end."""

LONGEST = 1000
"""Characters of a line that are looked at."""


class Console:
    def __init__(self, file: Path) -> None:
        self.file = file

    def lines(self) -> list[str]:
        """The last ones, as text for people. Cursor movements end a line here."""
        try:
            with self.file.open("rb") as file:
                file.seek(max(os.fstat(file.fileno()).st_size - RECENT, 0))
                text = file.read(RECENT).decode(errors="replace")
        except FileNotFoundError:
            return []
        return [line[:LONGEST].rstrip() for line in map(clean, _MOVED.sub("\n", text).split("\n")) if line.strip()]

    def end(self, *, silent: bool = False) -> str:
        """Why the machine will never be up; "" as long as it may. silent: as of Qemu.check_alive."""
        lines = self.lines()
        if self.file.exists() and self.file.stat().st_size > CONSOLE.amount:
            return f"of what it shows on its console {CONSOLE.exceeded}"
        handed_over = bool(lines) and not silent and lines[-1].startswith(_HANDED_OVER)
        if handed_over and time.time() - self.file.stat().st_mtime > STALL:
            return f"its disk has no boot loader, or one that shows nothing for {STALL:g} s"
        # GRUB moves the cursor in the midst of a word, too.
        texts = ("\n".join(lines), "".join(lines))
        return next((wrong for wrong, words in ENDS if any(re.search(words, text) for text in texts)), "")

    def asks_for_login(self) -> bool:
        return _LOGIN.search("\n".join(self.lines())) is not None

    def tail(self) -> str:
        """The last lines, to end a message with."""
        lines = self.lines()[-TAIL:]
        if not lines:
            return "its console showed nothing"
        return "\n".join(("the last lines of its console:", *(f"  {line}" for line in lines)))
