"""Setup on a server: keys for EFI's loader, and drives that come and go, by pyvmomi's types."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from pyVmomi import vim

from vmgen_build.errors import BuildError, HostError
from vmgen_build.guests.vsphere.discs import insert_floppy, serial_port, taken_out
from vmgen_build.guests.vsphere.setup import KEY, PRESSING, _BootKeys

device = vim.vm.device


class Keyboard:
    """A machine that takes keys, or refuses the first of them."""

    def __init__(self, refused: int = 0) -> None:
        self.codes: list[int] = []
        self._refused = refused

    def take(self, spec: Any) -> int:
        if self._refused:
            self._refused -= 1
            raise HostError("it starts yet")
        self.codes += [event.usbHidCode for event in spec.keyEvents]
        return 1


def keys(firmware: str, machine: Keyboard) -> _BootKeys:
    def order(what: str, ask: Callable[[], Any]) -> Any:
        return ask()

    session = SimpleNamespace(order=order)
    machines: Any = SimpleNamespace(machine=SimpleNamespace(firmware=firmware), maker=SimpleNamespace(session=session))
    return _BootKeys(machines, SimpleNamespace(PutUsbScanCodes=machine.take))


def test_only_the_loader_of_efi_gets_keys() -> None:
    bios, efi = Keyboard(), Keyboard()
    for machine, firmware in ((bios, "bios"), (efi, "efi")):
        pressed = keys(firmware, machine)
        for passed in (0.0, 1.0, PRESSING, PRESSING + 1, 2.0):
            pressed.press(passed)
    assert (bios.codes, efi.codes) == ([], [KEY] * 3), "none once their time is over"


def test_a_machine_may_refuse_some_keys_and_not_all() -> None:
    some, none = keys("efi", Keyboard(refused=2)), keys("efi", Keyboard(refused=9))
    for passed in (0.0, 1.0, 2.0):
        some.press(passed)
        none.press(passed)
    some.press(PRESSING + 1)
    with pytest.raises(HostError, match="it starts yet"):
        none.press(PRESSING + 1)


def test_keys_that_a_server_takes_and_does_not_press_are_none() -> None:
    pressed = keys("efi", Keyboard())
    pressed.machine = SimpleNamespace(PutUsbScanCodes=lambda spec: 0)
    pressed.press(0.0)
    with pytest.raises(BuildError, match="the server pressed no key"):
        pressed.press(PRESSING + 1)


def test_of_much_output_the_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from vmgen_build.guests.vsphere import discs

    text = b"noise\n" * 400_000 + b"VMware Tools have failed\n"
    made: Any = SimpleNamespace(receive=lambda *_: nullcontext(io.BytesIO(text)))
    monkeypatch.setattr(discs, "folder_of", lambda *_: "[store] made")
    monkeypatch.setattr(discs, "Transfers", lambda _session: made)
    session: Any = None
    found = discs.printed(session, None, "DC0")
    assert found is not None and found[-1] == "VMware Tools have failed"


def test_drives_and_ports_are_taken_out() -> None:
    disk = device.VirtualDisk(key=1)
    gone = [device.VirtualCdrom(key=2), device.VirtualFloppy(key=3), device.VirtualSerialPort(key=4)]
    found = taken_out([disk, *gone, device.VirtualE1000(key=5)])
    assert [(str(one.operation), one.device.key) for one in found] == [("remove", 2), ("remove", 3), ("remove", 4)]


def test_files_lie_in_the_machine_s_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from vmgen_build.guests.vsphere import discs

    sent: list[str] = []
    monkeypatch.setattr(discs, "folder_of", lambda *_: "[store] made")
    monkeypatch.setattr(discs, "_send", lambda _session, image, name, datacenter: sent.append(name))
    session: Any = None
    floppy = insert_floppy(session, None, tmp_path / "answers.img", "DC0")
    port = serial_port(session, None)
    assert sent == [floppy.device.backing.fileName] == ["[store] made/floppy.flp"]
    assert port.device.backing.fileName == "[store] made/com1.txt"
    assert floppy.device.connectable.startConnected and port.device.connectable.startConnected
    assert {one.device.controllerKey for one in (floppy, port)} == {400}
