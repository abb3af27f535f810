"""Disks that come home from the stand-in: large and slow, cut, refused, by leases that end."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.vsphere.standin.client import until
from tests.integration.vsphere.standin.process import StandIn
from tests.integration.vsphere.standin.there import There, session_on, trusted_stand_in
from vmgen_build.artifacts.vmdk import check_vmdk, write_vmdk
from vmgen_build.errors import VmgenError
from vmgen_build.guests.vsphere import leases
from vmgen_build.guests.vsphere.exporting import export_machine
from vmgen_build.guests.vsphere.inventory import inventory_of
from vmgen_build.guests.vsphere.session import Session
from vmgen_build.host.files import sha256_of

MB, GB = 1 << 20, 1 << 30

DROPPED = "the server has dropped the lease: no sign of life of this build came there for 1 s; look at the network"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 GB, 4 MB of which are there, in several places."""
    folder = tmp_path_factory.mktemp("disk")
    with (folder / "raw").open("wb") as file:
        for place in range(4):
            file.seek(place * 5 * GB)
            file.write(os.urandom(MB))
        file.truncate(20 * GB)
    return write_vmdk(folder / "raw", folder / "disk.vmdk").path


@pytest.fixture(scope="module")
def made(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    folder = tmp_path_factory.mktemp("s")
    with trusted_stand_in(program, folder, folder, None) as server:
        yield server


@pytest.fixture()
def session(made: StandIn) -> Iterator[Session]:
    made.settings.reset()
    with session_on(made) as session:
        yield session
        assert inventory_of(session).machines == ()


@pytest.fixture()
def there(session: Session, disk: Path, tmp_path: Path) -> Iterator[There]:
    """It can be destroyed at the end: no lease is open."""
    machine = There(session, disk, "20G", tmp_path)
    yield machine
    machine.maker.clear()


def test_a_large_disk_comes_over_a_slow_line(
    there: There, made: StandIn, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease outlives a time without a byte, and a transfer longer than its own time."""
    monkeypatch.setattr(leases, "BEAT", 0.3)
    made.settings.change(lease_timeout=3, stall=5, rate=MB, nvram=True)
    began = time.monotonic()
    home = there.exported()
    assert time.monotonic() - began > 8
    assert sha256_of(home) == sha256_of(disk)
    with home.open("rb") as file:
        assert check_vmdk(file).capacity == 20 * GB
    assert home.stat().st_blocks * 512 < 6 * MB


def test_a_transfer_that_is_cut_goes_on_where_it_was(there: There, made: StandIn, disk: Path) -> None:
    made.settings.change(ranges=True, cuts=2, cut_after=MB)
    assert sha256_of(there.exported()) == sha256_of(disk)
    begun = [int(number) for number in re.findall(r"nfc GET \S+ from (\d+)", made.server.log.read_text())]
    assert len([number for number in begun if number > 0]) >= 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cuts": 99, "cut_after": MB}, "cut after [0-9]+ bytes, and the server does not let it go on there"),
        ({"failures": 99}, "answers 500 .*the disk cannot be read"),
        ({"lease_error": "the host is down"}, "the host is down"),
        ({"lease_timeout": 1, "rate": 2 * MB}, DROPPED),
        ({"lease_timeout": 1, "rate": 2 * MB, "ranges": True}, DROPPED),
        ({"lease_timeout": 1, "stall": 2}, DROPPED),
    ],
)
def test_a_disk_that_does_not_come(there: There, made: StandIn, settings: dict[str, Any], message: str) -> None:
    made.settings.change(**settings)
    with pytest.raises(VmgenError, match=message):
        there.exported()


def test_a_lease_that_is_dropped_while_a_disk_goes_there(
    session: Session, made: StandIn, disk: Path, tmp_path: Path
) -> None:
    made.settings.change(lease_timeout=1, rate=MB)
    with pytest.raises(VmgenError, match=f"importing .*{DROPPED}"):
        There(session, disk, "20G", tmp_path)
    until(lambda: not inventory_of(session).machines)


def test_a_lease_that_somebody_cancels(there: There, made: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the server's console, say."""
    made.settings.change(rate=2 * MB)
    monkeypatch.setattr(leases, "BEAT", 0.2)

    def cancel(_came: int, _all: int) -> None:
        for lease in seen:
            lease.HttpNfcLeaseAbort()

    seen: list[Any] = []
    order = there.session.order

    def noted(what: str, call: Any) -> Any:
        seen.append(order(what, call))
        return seen[-1]

    monkeypatch.setattr(there.session, "order", noted)
    there.folder.mkdir()
    with pytest.raises(VmgenError, match="somebody has canceled it on the server: build again"):
        export_machine(there.session, there.made, there.machine, there.folder, cancel)


@pytest.fixture()
def with_efi(session: Session, disk: Path, tmp_path: Path) -> Iterator[There]:
    machine = There(session, disk, "20G", tmp_path, firmware="efi")
    yield machine
    machine.maker.clear()


def test_the_nvram_of_an_efi_machine_comes_along(with_efi: There, disk: Path) -> None:
    home = with_efi.taken()
    assert home.nvram is not None and home.nvram.read_bytes() == b"MRVN" + bytes(75_000)
    assert sha256_of(home.disks[0].path) == sha256_of(disk)


def test_the_nvram_of_a_machine_with_a_bios_stays(there: There, made: StandIn) -> None:
    made.settings.change(nvram=True)
    assert there.taken().nvram is None
    assert "from 0" in made.server.log.read_text().rpartition("GET disk-0.vmdk")[2]
    assert not list(there.folder.glob("*nvram*"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nvram_mark": "#!/bin/sh"}, "sent as the machine's nvram 75009 bytes that are none"),
        ({"nvram_size": 9 * MB}, "the machine's nvram that comes from the server: .*the limit 'nvram'"),
    ],
)
def test_an_nvram_that_is_none(with_efi: There, made: StandIn, settings: dict[str, Any], message: str) -> None:
    made.settings.change(**settings)
    with pytest.raises(VmgenError, match=message):
        with_efi.taken()
