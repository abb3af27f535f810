"""The key that EFI's loader on a medium waits for, without a machine: when it is pressed, by what the console shows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from vmgen_build.guests.qemu import setup
from vmgen_build.guests.qemu.console import Console
from vmgen_build.guests.qemu.process import Qemu
from vmgen_build.guests.qemu.setup import LOADING, PRESSING, _Keys

DISK = 'BdsDxe: starting Boot0002 "UEFI QEMU HARDDISK QM00013 " from PciRoot(0x0)/Pci(0x2,0x0)\n'
DVD = 'BdsDxe: starting Boot0001 "UEFI QEMU DVD-ROM QM00001 " from PciRoot(0x0)/Pci(0x1F,0x2)\n'
QUESTION = "Press any key to boot from CD or DVD...\n"


class Machine:
    """Its console, its clock, and the keys that it gets."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, firmware: str = "efi") -> None:
        self.now, self.pressed = 1000.0, 0
        self.console = Console(folder / "console")
        monkeypatch.setattr(setup, "time", SimpleNamespace(monotonic=lambda: self.now))
        machine = SimpleNamespace(machine=SimpleNamespace(firmware=firmware))
        qemu = SimpleNamespace(parts=machine, console=self.console, control=self)
        self.keys = _Keys(cast(Qemu, qemu))

    def execute(self, command: str, **arguments: Any) -> None:
        assert (command, arguments) == ("send-key", {"keys": [{"type": "qcode", "data": "tab"}]})
        self.pressed += 1

    def shows(self, text: str) -> None:
        with self.console.file.open("a") as file:
            file.write(text)

    def pass_time(self, seconds: int) -> int:
        """The keys that it gets meanwhile, with a look in each second."""
        before = self.pressed
        for _ in range(seconds):
            self.keys.press()
            self.now += 1
        return self.pressed - before


def test_a_key_is_pressed_from_when_the_medium_starts_until_it_has_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path, monkeypatch)
    machine.shows(DISK)
    assert machine.pass_time(30) == 0
    machine.shows(DVD)
    assert machine.pass_time(20) == 20
    machine.shows(QUESTION)
    assert machine.pass_time(60) == PRESSING + 1
    machine.shows(DVD + QUESTION)
    assert machine.pass_time(60) == 0, "it was asked once"


def test_where_no_question_shows_it_ends_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path, monkeypatch)
    machine.shows(DVD)
    assert machine.pass_time(500) == LOADING + 1


def test_a_bios_asks_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path, monkeypatch, firmware="bios")
    machine.shows(DVD + QUESTION)
    assert machine.pass_time(60) == 0
