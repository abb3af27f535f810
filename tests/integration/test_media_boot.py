"""Media in a machine: a stand-in for Setup of Windows finds its answers where that looks for them.

The stand-in is a tiny Linux, and no Windows. What it follows: Setup of XP reads winnt.sif in the root of A:; that of
Vista and later reads autounattend.xml in the root of any drive with a removable medium
(https://learn.microsoft.com/windows-hardware/manufacture/desktop/windows-setup-automation-overview).
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.tinymachine import kernel_in, make_initramfs
from tests.unit.plan.answers.examples import FULL, OLD
from vmgen_build.artifacts.media import write_floppy, write_iso
from vmgen_build.guests.qemu.host import power
from vmgen_build.plan.answers import answer_files

EPOCH = 1700000000
DRIVERS = ("floppy", "sr_mod", "ata_piix", "isofs", "vfat", "nls_utf8", "nls_cp437", "nls_iso8859-1", "nls_ascii")

SETUP = """\
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
mount -t sysfs sysfs /sys
for module in $(cat /modules/order); do insmod /modules/$module || true; done
waited=0
while [ ! -b /dev/fd0 ] || [ ! -b /dev/sr1 ]; do
    waited=$((waited + 1))
    [ $waited -lt 20 ] || break
    sleep 1
done
for drive in fd0:vfat:utf8 sr0:iso9660:iocharset=utf8 sr1:iso9660:iocharset=utf8; do
    device=${drive%%:*} options=${drive##*:} type=${drive#*:}
    mount -r -t ${type%%:*} -o $options /dev/$device /mnt || continue
    for name in /mnt/*; do
        echo "found $device ${name#/mnt/}"
    done
    for name in winnt.sif autounattend.xml; do
        if [ -f /mnt/$name ]; then
            echo "begin $device $name"
            cat /mnt/$name
            echo "end $name"
        fi
    done
    umount /mnt
done
echo "no more drives"
echo o >/proc/sysrq-trigger
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kernel_in(tmp_path_factory.mktemp("kernel"))


def boot(kernel: Path, initrd: Path, floppy: Path, cds: tuple[Path, Path]) -> str:
    """What the machine writes until it is off."""
    (image,) = (kernel / "boot").glob("vmlinuz-*")
    drives = [f"if=ide,index={n},media=cdrom,format=raw,readonly=on,file={cd}" for n, cd in enumerate(cds, 2)]
    drives.append(f"if=floppy,index=0,format=raw,readonly=on,file={floppy}")
    command = ["qemu-system-x86_64", "-M", "pc", "-accel", power().accel, "-m", "256", "-nodefaults"]
    command += ["-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", str(image), "-initrd", str(initrd)]
    command += ["-append", "console=ttyS0 quiet panic=-1"]
    command += [word for drive in drives for word in ("-drive", drive)]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=180)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.decode().replace("\r", "")


def found(output: str, device: str, name: str) -> str:
    match = re.search(rf"^begin {device} {name}\n(.*?)\n?end {name}$", output, re.MULTILINE | re.DOTALL)
    assert match, output
    return match[1]


def test_setup_finds_its_answers(tmp_path: Path, kernel: Path) -> None:
    old, new = answer_files(OLD)["winnt.sif"].reveal(), answer_files(FULL)["autounattend.xml"].reveal()
    floppy, medium, answers = tmp_path / "answers.flp", tmp_path / "medium.iso", tmp_path / "answers.iso"
    write_floppy({"winnt.sif": old.encode(), "first.cmd": b"@echo off\r\n"}, floppy, epoch=EPOCH)
    write_iso({"setup.exe": b"MZ"}, medium, label="MEDIUM", folder=tmp_path, epoch=EPOCH)
    content: dict[str, bytes | Path] = {"autounattend.xml": new.encode(), "steps/über die.cmd": b"@echo off\r\n"}
    write_iso(content, answers, label="ANSWERS", folder=tmp_path, epoch=EPOCH)
    output = boot(kernel, make_initramfs(tmp_path, kernel, SETUP, DRIVERS, ["umount"]), floppy, (medium, answers))
    assert found(output, "fd0", "winnt.sif").rstrip() == old.replace("\r", "").rstrip()
    assert found(output, "sr1", "autounattend.xml").rstrip() == new.rstrip()
    listed = re.findall(r"^found (\S+) (.*)$", output, re.MULTILINE)
    assert sorted(listed) == [
        ("fd0", "first.cmd"),
        ("fd0", "winnt.sif"),
        ("sr0", "setup.exe"),
        ("sr1", "autounattend.xml"),
        ("sr1", "steps"),
    ]
