"""A stand-in for Setup of Windows: a CD that starts a tiny Linux, and is no Windows. It does what Setup does around the
installing itself: it looks for its answers where Setup looks, puts a system on the first disk, and restarts; that
system runs the answers' command at its first logon.

The answers lie in the root of a CD (autounattend.xml) or of the floppy in A: (winnt.sif). The disk that it copies is
that of a tiny Linux too, whose Windows is Wine on this host: at its first start it hands the media in its drives over,
and what the command writes to COM1 comes back. Its own end is the command's: it switches itself off, or stays.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from xml.etree import ElementTree

from tests.integration.tinymachine import make_initramfs, unpacked
from tests.wine.prefix import TIMEOUT, Windows, _calls

BOOT_FILES = ("usr/lib/ISOLINUX/isolinux.bin", "usr/lib/syslinux/modules/bios/ldlinux.c32")
"""Of Debian's packages isolinux and syslinux-common."""

DRIVERS = (
    *("ata_piix", "ahci", "sr_mod", "sd_mod", "floppy", "isofs", "vfat", "ext4", "crc32c_generic"),
    *("nls_utf8", "nls_cp437", "nls_iso8859-1", "nls_ascii"),
)
PROGRAMS = ("umount", "blockdev", "sync", "grep")

MOUNTED = """\
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
mount -t sysfs sysfs /sys
for module in $(cat /modules/order); do insmod /modules/$module || true; done
"""

SETUP = (
    MOUNTED
    + """\
while [ ! -b /dev/sda ] || [ ! -b /dev/sr1 ]; do sleep 0.2; done
echo "stand-in for Setup: it begins"
answers= copied=
for drive in fd0 sr0 sr1 sr2 sr3; do
    how="-t iso9660 -o iocharset=utf8" name=autounattend.xml
    [ $drive != fd0 ] || { how="-t vfat"; name=winnt.sif; }
    mount -r $how /dev/$drive /mnt 2>/dev/null || continue
    [ ! -f /mnt/$name ] || answers=$drive
    if [ -f /mnt/install/disk.raw ]; then
        dd if=/mnt/install/disk.raw of=/dev/sda bs=1M conv=sparse && copied=$drive
    fi
    umount /mnt
done
if [ -z "$answers" ] || [ -z "$copied" ] || [ -f /endless ]; then
    echo "stand-in for Setup: it waits for a person ($answers, $copied)"
    while :; do sleep 60; done
fi
blockdev --rereadpt /dev/sda
while [ ! -b /dev/sda1 ]; do sleep 0.2; done
mount -t ext4 /dev/sda1 /mnt
echo "$answers" >/mnt/first-logon
umount /mnt
sync
echo "stand-in for Setup: it restarts"
echo b >/proc/sysrq-trigger
"""
)

FIRST_LOGON = """\
if [ -f /mnt/first-logon ]; then
    rm /mnt/first-logon
    for drive in fd0 sr1; do
        [ -b /dev/$drive ] || continue
        bash -c "
            exec 3<>/dev/tcp/10.0.2.2/LOGON
            echo $drive >&3
            cat /dev/$drive >&3
        "
    done
    end=$(bash -c '
        exec 3<>/dev/tcp/10.0.2.2/LOGON
        echo logon >&3
        cat <&3
    ')
    echo "$end" >/dev/ttyS0
    case "$end" in
    *switched-off*) umount /mnt; sync; echo o >/proc/sysrq-trigger ;;
    esac
    while :; do sleep 60; done
fi
"""
"""What the installed system does before all else, with its disk at /mnt."""


def make_medium(folder: Path, kernel: Path, disk: Path, *, endless: bool = False) -> Path:
    """disk: a raw image, which the first disk becomes. endless: whether it never comes to its end."""
    tree = folder / "medium"
    for name in ("isolinux", "install"):
        (tree / name).mkdir(parents=True)
    work = folder / "initramfs-of-setup"
    work.mkdir()
    script = f": >/endless\n{SETUP}" if endless else SETUP
    shutil.copy(make_initramfs(work, kernel, script, DRIVERS, PROGRAMS), tree / "isolinux/initrd")
    (image,) = (kernel / "boot").glob("vmlinuz-*")
    shutil.copy(image, tree / "isolinux/vmlinuz")
    (folder / "packages").mkdir()
    unpacked(folder / "packages", "isolinux", "syslinux-common")
    for file in BOOT_FILES:
        shutil.copy(folder / "packages" / file, tree / "isolinux")
    lines = ("DEFAULT setup", "LABEL setup", "KERNEL vmlinuz", "APPEND initrd=initrd console=ttyS0 quiet")
    (tree / "isolinux/isolinux.cfg").write_text("\n".join((*lines, "")))
    (tree / "install/disk.raw").symlink_to(disk)
    goal = folder / "setup.iso"
    boot = ["-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4"]
    words: list[str | Path] = ["xorrisofs", "-quiet", "-J", "-f", "-iso-level", "3", *boot, "-boot-info-table"]
    subprocess.run([*words, "-eltorito-id", "Microsoft stand-in", "-o", goal, tree], check=True)
    return goal


class FirstLogon:
    """What runs at the first logon of the installed system, under Wine on this host: the answers' own command. logons:
    how many there were. answers: the text of the last answer file."""

    def __init__(self, windows: Windows, folder: Path, stubs: Sequence[str] = ()) -> None:
        self._windows, self._folder, self._stubs = windows, folder, stubs
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.logons, self.answers = 0, ""
        self._serial = folder / "com1"
        self._serial.write_text("")
        self._wine("wine", "reg", "add", r"HKLM\Software\Wine\Ports", "/v", "COM1", "/d", str(self._serial), "/f")
        self._wine("wineserver", "-k")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(TIMEOUT)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                wire, _ = self._listener.accept()
                with wire, wire.makefile("rb") as stream:
                    what = stream.readline().decode().strip()
                    if what == "logon":
                        wire.sendall(self._logon().encode())
                    else:
                        self._take(what, stream.read())

    def _take(self, drive: str, image: bytes) -> None:
        goal = self._folder / drive
        shutil.rmtree(goal, ignore_errors=True)
        goal.mkdir()
        (self._folder / f"{drive}.image").write_bytes(image)
        unpack: list[str | Path] = ["7z", "x", f"-o{goal}", self._folder / f"{drive}.image"]
        subprocess.run(unpack, check=True, capture_output=True)

    def _logon(self) -> str:
        """What it wrote to COM1, and whether it has switched the machine off."""
        self.logons += 1
        floppy, cd = self._folder / "fd0", self._folder / "sr1"
        self._serial.write_text("")
        self._wine("wineserver", "-p600")
        with ExitStack() as drives:
            drives.enter_context(self._windows.drive_letter("e", cd))
            if floppy.exists():
                drives.enter_context(self._windows.drive_letter("a", floppy))
            self._windows.start(self._command(floppy, cd), self._stubs)
        self._wine("wineserver", "-k")
        calls = list(_calls(self._windows.folder / "calls.jsonl"))
        off = any(call.program == "shutdown" and call.argv[0] in ("/s", "-s") for call in calls)
        return self._serial.read_text("latin-1") + ("switched-off\n" if off else "it stays\n")

    def _wine(self, *command: str) -> None:
        null = subprocess.DEVNULL
        environment = self._windows.environment()
        subprocess.run(command, env=environment, stdin=null, stdout=null, stderr=null, check=True, timeout=TIMEOUT)

    def _command(self, floppy: Path, cd: Path) -> str:
        if (floppy / "winnt.sif").exists():
            self.answers = (floppy / "winnt.sif").read_text()
            return str(re.findall(r'^Command0 = "(.*)"\s*$', self.answers, re.MULTILINE)[0])
        self.answers = (cd / "autounattend.xml").read_text()
        found = ElementTree.fromstring(self.answers).iter("{urn:schemas-microsoft-com:unattend}CommandLine")
        return next(found).text or ""
