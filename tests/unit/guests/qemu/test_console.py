"""Which last words of a machine are its last."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmgen_build.guests.qemu.console import Console
from vmgen_build.host.bounds import bounded
from vmgen_build.limits import CONSOLE, Limit


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (b"Booting from Hard Disk...\r\nBoot failed: not a bootable disk\r\n\r\nNo bootable device.\r\n", "firmware"),
        (b"BdsDxe: No bootable option or device was found.\r\n", "firmware"),
        (b"\x1b[2J\x1b[01;01HUEFI Interactive Shell v2.2\r\n", "firmware"),
        (b"error: no such device: 42df.\r\nEntering rescue mode...\r\n\x1b[24;1Hgrub rescue> ", "boot loader"),
        (b"\x1b[4;1H   Minimal BASH-like line editing is supported.\x1b[9;1Hgrub> ", "boot loader"),
        (b"\x1b[4;1H device or file completions.\x1b[9;1Hgru\x1b[9;4Hb> ", "boot loader"),
        (b"[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n", "kernel panicked"),
        (b"ALERT!  UUID=42df does not exist.  Dropping to a shell!\r\n", "root file system"),
        (b"You are in emergency mode. After logging in, type ...\r\n", "emergency"),
        (b"\x1b[0;1;31mYou are in rescue mode\x1b[0m\r\n", "emergency"),
    ],
)
def test_a_machine_that_will_never_be_up(tmp_path: Path, shown: bytes, why: str) -> None:
    console = Console(tmp_path / "console")
    (tmp_path / "console").write_bytes(shown)
    assert why in console.end()
    assert not console.asks_for_login()


@pytest.mark.parametrize(
    "shown",
    [
        b"",
        b"GRUB loading..\r\nWelcome to GRUB!\r\n",
        b"Loading Linux 6.1 ...\r\nbooting grub menu\r\n",
        b"[  OK  ] Reached target emergency.target\r\n",
    ],
)
def test_a_machine_on_its_way(tmp_path: Path, shown: bytes) -> None:
    (tmp_path / "console").write_bytes(shown)
    assert Console(tmp_path / "console").end() == ""


def test_boot_code_that_shows_nothing_is_waited_for_a_while(tmp_path: Path) -> None:
    file = tmp_path / "console"
    file.write_bytes(b"SeaBIOS\r\nBooting from Hard Disk...\r\n")
    assert Console(file).end() == ""
    os.utime(file, (0, file.stat().st_mtime - 61))
    assert Console(file).end() == "its disk has no boot loader, or one that shows nothing for 60 s"
    file.write_bytes(b"SeaBIOS\r\nBooting from Hard Disk...\r\nGRUB loading.\r\n")
    os.utime(file, (0, file.stat().st_mtime - 61))
    assert Console(file).end() == ""


def test_the_login_prompt(tmp_path: Path) -> None:
    console = Console(tmp_path / "console")
    assert not console.asks_for_login()
    (tmp_path / "console").write_bytes(b"Starting login: service\r\nReached target Login Prompts.\r\n")
    assert not console.asks_for_login()
    (tmp_path / "console").write_bytes(b"\r\nDebian GNU/Linux 12 lab ttyS0\r\n\r\nlab login: ")
    assert console.asks_for_login()


def test_what_is_shown_is_readable(tmp_path: Path) -> None:
    console = Console(tmp_path / "console")
    assert console.tail() == "its console showed nothing"
    (tmp_path / "console").write_bytes(
        b"\x1b[32mfirst\x1b[0m\r\n" + b"".join(b"%d\r\n" % n for n in range(20)) + b"\xff"
    )
    assert console.tail().splitlines()[0] == "the last lines of its console:"
    assert console.tail().splitlines()[1:] == [f"  {n}" for n in range(6, 20)] + ["  \ufffd"]


@pytest.mark.parametrize("piece", [b"\x1b[" + b"1" * 8_000_000, b"ALERT! " * 2_000_000, b"\x1b[1;" * 3_000_000])
def test_issue_8_12_a_console_is_read_in_time_whatever_it_shows(tmp_path: Path, piece: bytes) -> None:
    """Each took hours, the square of its size."""
    (tmp_path / "console").write_bytes(piece)
    console = Console(tmp_path / "console")
    with bounded("console", Limit("time", "", 5, "s"), Limit("memory", "", 1 << 30)):
        assert console.end() == "" and not console.asks_for_login()
        assert len(console.tail()) < 20_000


def test_issue_8_12_a_console_that_shows_too_much_ends_the_machine(tmp_path: Path) -> None:
    with (tmp_path / "console").open("wb") as file:
        file.truncate(CONSOLE.amount + 1)
    assert "limit 'console'" in Console(tmp_path / "console").end()


def test_issue_8_12_what_was_shown_last_counts(tmp_path: Path) -> None:
    console = Console(tmp_path / "console")
    rewritten = b"\r[***   ] A start job is running" * 500
    (tmp_path / "console").write_bytes(b"a line\r\n" * 100_000 + rewritten + b"\r\nlab login: ")
    assert console.asks_for_login()
    (tmp_path / "console").write_bytes(b"a line\r\n" * 100_000 + b"Kernel panic - not syncing\r\n")
    assert "panicked" in console.end()
