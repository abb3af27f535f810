"""A stand-in for Setup of Windows in a machine of the stand-in's: it starts from a medium in a CD drive as the firmware
would, and is no Windows. It does what Setup does around the installing itself: it looks for its answers where Setup
looks, puts a system on the disk, and runs the answers' command at the first logon of that system, which is Wine.

The medium holds install/disk.vmdk, the disk that it puts in. One with install/endless waits for a person there. EFI's
loader on a medium waits for a key, and starts nothing without one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.integration.vsphere.standin.wineguest import ACCOUNT, WineGuest

EMPTY = 1 << 20
"""Bytes of a VMDK that nothing is on, at most."""

USUAL = ("Disk", "Cdrom")
"""What VMware's firmware starts from where it is told nothing."""

ASKING = 15.0
"""Seconds that the loader waits for a key; a real one waits for 5."""

SPACE = "{urn:schemas-microsoft-com:unattend}"


def starts_from_cd(disk: Path, upper: Path, words: Mapping[str, Any]) -> bool:
    """Whether the firmware of a machine with this disk comes to its CD drives, and finds something there."""
    is_empty = disk.stat().st_size < EMPTY and not any(upper.iterdir())
    for kind in [*words["order"], *USUAL]:
        if kind == "Disk" and not is_empty:
            return False
        if kind == "Cdrom" and words["cds"]:
            return True
    return False


@dataclass(frozen=True)
class Found:
    """Of an answer file. password: Administrator's. command: of the first logon."""

    password: str
    command: str


class StandInSetup:
    """folder: of its own. words: of the boot. installed: puts a disk into the machine, and starts it; None where that
    is gone."""

    def __init__(self, folder: Path, words: Mapping[str, Any], installed: Callable[[Path], WineGuest | None]) -> None:
        self._folder, self._words, self._installed = folder, words, installed
        self.pressed, self.stopped = threading.Event(), threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self._set_up()
        except Exception:
            if not self.stopped.is_set():
                traceback.print_exc()

    def _set_up(self) -> None:
        if self._words["firmware"] == "efi" and not self.pressed.wait(ASKING):
            return
        drives = {f"{letter}:": Path(image) for letter, image in zip("defg", self._words["cds"], strict=False)}
        if floppies := self._words["floppies"]:
            drives["a:"] = Path(floppies[0])
        trees = {letter: self._unpacked(letter[0], image) for letter, image in drives.items()}
        answers = next((found for tree in trees.values() if (found := answers_in(tree))), None)
        disk = trees["d:"] / "install/disk.vmdk"
        if answers is None or not disk.exists() or (trees["d:"] / "install/endless").exists():
            return
        guest = self._installed(disk.rename(self._folder / "disk.vmdk"))
        if guest is not None:
            self._first_logon(guest, answers, trees)

    def _unpacked(self, name: str, image: Path) -> Path:
        goal = self._folder / name
        goal.mkdir()
        subprocess.run(["7z", "x", f"-o{goal}", image], check=True, capture_output=True)
        return goal

    def _first_logon(self, guest: WineGuest, answers: Found, trees: Mapping[str, Path]) -> None:
        digest = hashlib.sha256(answers.password.encode()).hexdigest()
        (guest.seen / ACCOUNT).write_text(json.dumps({"name": "Administrator", "sha256": digest}))
        before = guest.count("shutdown")
        with ExitStack() as stack:
            for letter, tree in trees.items():
                stack.enter_context(_drive(guest.seen / "prefix/dosdevices" / letter, tree))
            for file in self._words["serials"]:
                stack.enter_context(guest.serial_port(Path(file)))
            program = guest.programs[guest.started(answers.command, r"C:\windows")]
            while program.ended is None and not self.stopped.is_set():
                time.sleep(0.1)
        guest.has_ended = guest.count("shutdown") > before
        for tree in trees.values():
            shutil.rmtree(tree)


@contextmanager
def _drive(link: Path, tree: Path) -> Iterator[None]:
    link.unlink(missing_ok=True)
    link.symlink_to(tree)
    try:
        yield
    finally:
        link.unlink(missing_ok=True)


def answers_in(tree: Path) -> Found | None:
    """In the root of a CD, or of a floppy."""
    if (tree / "winnt.sif").exists():
        text = (tree / "winnt.sif").read_text()
        return Found(_one(r'^AdminPassword = "?([^"\r\n]*)', text), _one(r'^Command0 = "(.*)"\s*$', text))
    if not (tree / "autounattend.xml").exists():
        return None
    root = ElementTree.fromstring((tree / "autounattend.xml").read_text())
    [value] = root.iterfind(f".//{SPACE}AdministratorPassword/{SPACE}Value")
    command = next(root.iter(f"{SPACE}CommandLine"))
    password = base64.b64decode(value.text or "").decode("utf-16-le").removesuffix("AdministratorPassword")
    return Found(password, command.text or "")


def _one(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    assert match is not None, text
    return match[1]
