"""A Windows that runs, as far as its Tools can tell: Wine in namespaces of its own, on a root of overlays.

Its drive C: and its registry are the folder prefix/ of its disk. Wine itself, and the stub programs in place of what
sets up a Windows (tests/wine), are this host's. What stubs were started with is written down on this host.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any

from tests.integration.vsphere.standin.guest import Account, Guest, Program
from tests.integration.vsphere.standin.guestfiles import GuestFault
from tests.integration.vsphere.standin.roots import overlay_options
from tests.wine.prefix import TIMEOUT, Windows

HOST_NAME = "lab-pc"

ACCOUNT = "account.json"
"""Of the disk: {"name", "sha256"}, the latter of the password."""

FOR_ADMINISTRATORS = r"HKU\S-1-5-19"
"""A key that only administrators can read. Wine has none, and keeps none of its kind beyond a boot."""

PORTS = r"HKLM\Software\Wine\Ports"

INIT = """\
set -eu
mount -t overlay overlay -o "$2" "$1"
mount -t proc proc /proc
mkdir -p -m 0700 /tmp/.wine-0
mount -t tmpfs -o mode=0700 tmpfs /tmp/.wine-0
hostname "$3"
echo up
while read -r _; do :; done
"""


class WineGuest(Guest):
    """windows: with the stubs and the programs that start others; its own prefix is none of this guest's. has_ended:
    whether it has switched itself off."""

    def __init__(self, folder: Path, layers: Sequence[Path], upper: Path, windows: Windows) -> None:
        super().__init__(folder, layers, upper)
        self._windows, self._numbers = windows, itertools.count(1000, 4)
        self._root = folder / "root"
        self.has_ended = False

    def boot(self, name: str, extra: Mapping[str, str]) -> None:
        work = self.folder / "work"
        for made in (self._root, work):
            made.mkdir(parents=True, exist_ok=True)
        self._cgroup.mkdir(parents=True)
        options = f"{overlay_options(self._layers)},upperdir={self._upper},workdir={work}"
        inside = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]
        inside += ["sh", "-c", INIT, "init", str(self._root), options, HOST_NAME]
        self._process = subprocess.Popen(self._joined(inside), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "up\n":
            raise RuntimeError("the guest does not boot")
        self._done("wineserver", "-p600")
        self._done("wine", "reg", "add", FOR_ADMINISTRATORS, "/f")

    def _done(self, *command: str) -> None:
        """Its output is nobody's: what Wine starts beside it would keep it open."""
        null = subprocess.DEVNULL
        subprocess.run(self.inside(command), stdin=null, stdout=null, stderr=null, timeout=TIMEOUT)

    def is_off(self) -> bool:
        return self.has_ended

    def guestinfo(self) -> dict[str, str]:
        return {}

    def inside(self, command: Sequence[str]) -> list[str]:
        own = self._windows.environment() | {
            "WINEPREFIX": str(self._root / "prefix"),
            "WINEPATH": f"Z:{self._windows.folder / 'bin'}".replace("/", "\\"),
        }
        words = [f"{name}={value}" for name, value in own.items()]
        namespaces = ["--mount", "--pid", "--uts", "--ipc", "--cgroup"]
        return self._joined(["nsenter", "--target", self._first, *namespaces, "env", "-i", *words, *command])

    @contextmanager
    def serial_port(self, goal: Path) -> Iterator[None]:
        """What is written to COM1 goes to a file of this host. Wine looks for that when its server starts."""
        goal.touch()
        for words in (["add", PORTS, "/v", "COM1", "/d", str(goal), "/f"], ["delete", PORTS, "/f"]):
            self._done("wine", "reg", *words)
            self.end_all()
            if words[0] == "add":
                yield

    @property
    def seen(self) -> Path:
        """Its root, as this host can look into it."""
        return Path(f"/proc/{self._first}/root{self._root}")

    def check_login(self, user: str, password: str) -> None:
        """The password of the disk, or the one that `net user` was last told. Raises GuestFault."""
        known = json.loads((self.seen / ACCOUNT).read_text())
        new = [hashlib.sha256(word.encode()).hexdigest() for word in self._set_passwords(known["name"])]
        wanted = new[-1] if new else known["sha256"]
        if user != known["name"] or hashlib.sha256(password.encode()).hexdigest() != wanted:
            raise GuestFault("InvalidGuestLogin")

    def count(self, program: str) -> int:
        """How often a stub was started by now."""
        return sum(entry["program"] == program for entry in self._calls())

    def _calls(self) -> Iterator[dict[str, Any]]:
        log = self._windows.folder / "calls.jsonl"
        yield from map(json.loads, log.read_text().splitlines() if log.exists() else [])

    def _set_passwords(self, name: str) -> Iterator[str]:
        for entry in self._calls():
            words = entry["argv"][1:]
            if entry["program"] == "net" and words[:2] == ["user", name] and not words[2].startswith("/"):
                yield words[2]

    def account(self, name: str) -> Account | None:
        return Account(name, 0, 0, "", "")

    def started(self, line: str, folder: str) -> int:
        """By CreateProcess, as Tools start programs; its number."""
        number = next(self._numbers)
        names = [self.folder / f"{number}.{end}" for end in ("line", "code")]
        names[0].write_text(line)
        own = {"VMGEN_START": names[0], "VMGEN_CODE": names[1]}
        words = [f"{name}=Z:{str(path).replace('/', chr(92))}" for name, path in own.items()]
        command = ["env", *words, f"VMGEN_FOLDER={folder}", "wine", str(self._windows.folder / "start.exe")]
        process = subprocess.Popen(
            self.inside(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        program = Program(number, line, "Administrator", time.time())
        self.programs[number] = program
        threading.Thread(target=self._until_ended, args=(process, program, names[1]), daemon=True).start()
        return number

    @staticmethod
    def _until_ended(process: subprocess.Popen[bytes], program: Program, code: Path) -> None:
        with process:
            process.wait()
        program.code = int(code.read_text()) if code.exists() else 1
        program.ended = time.time()

    def end_all(self) -> None:
        self._done("wineserver", "-k")
        self._done("wineserver", "-p600")

    def stop(self) -> None:
        """As its own shutdown: the registry is written."""
        if self._process is not None:
            self._done("wineserver", "-k")
        super().stop()


class WineFiles:
    """Each method is an order of the server's, by its name. Names of files are of any case."""

    def __init__(self, guest: WineGuest) -> None:
        self._guest = guest

    def validate(self, words: dict[str, Any]) -> None:
        """The login was checked before."""

    def start(self, words: dict[str, Any]) -> int:
        program = words["program"]
        if not self._at(program).is_file():
            raise GuestFault("FileNotFound", program)
        if words["variables"]:
            raise GuestFault("SystemError", "variables take the place of all that Windows has")
        if not self._at(words["folder"]).is_dir():
            raise GuestFault("FileNotFound", words["folder"])
        return self._guest.started(f'"{program}" {words["arguments"]}', words["folder"])

    def list(self, words: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = words["pids"]
        return [
            {
                "Pid": one.pid,
                "Code": one.code,
                "Name": PureWindowsPath(one.command.split('"')[1]).name,
                "Command": one.command,
                "User": one.user,
                "Began": one.began,
                "Ended": one.ended,
            }
            for one in list(self._guest.programs.values())
            if not wanted or one.pid in wanted
        ]

    def terminate(self, words: dict[str, Any]) -> None:
        self._guest.end_all()

    def temporary(self, words: dict[str, Any]) -> str:
        made = rf"{words['path']}\{words['prefix']}{uuid.uuid4().hex[:6]}{words['suffix']}"
        self.mkdir({"path": made, "parents": False})
        return made

    def mkdir(self, words: dict[str, Any]) -> None:
        path = self._at(words["path"])
        if path.exists():
            raise GuestFault("FileAlreadyExists", words["path"])
        if not words["parents"] and not path.parent.is_dir():
            raise GuestFault("FileNotFound", words["path"])
        path.mkdir(parents=words["parents"])

    def rmdir(self, words: dict[str, Any]) -> None:
        path = self._at(words["path"])
        if not path.exists():
            raise GuestFault("FileNotFound", words["path"])
        if not path.is_dir():
            raise GuestFault("NotADirectory", words["path"])
        if not words["recursive"] and any(path.iterdir()):
            raise GuestFault("DirectoryNotEmpty", words["path"])
        shutil.rmtree(path)

    def writable(self, words: dict[str, Any]) -> None:
        path = self._at(words["path"])
        if path.exists() and not words["overwrite"]:
            raise GuestFault("FileAlreadyExists", words["path"])
        if not path.parent.is_dir():
            raise GuestFault("FileNotFound", words["path"])

    def readable(self, words: dict[str, Any]) -> int:
        path = self._at(words["path"])
        if not path.exists():
            raise GuestFault("FileNotFound", words["path"])
        if not path.is_file():
            raise GuestFault("NotAFile", words["path"])
        return path.stat().st_size

    def read(self, path: str) -> bytes:
        return self._at(path).read_bytes()

    def write(self, path: str, mode: int, data: bytes) -> str:
        self._at(path).write_bytes(data)
        return ""

    def _at(self, path: str) -> Path:
        """Of this host. Raises GuestFault for what is no whole path of drive C:."""
        parts = PureWindowsPath(path).parts
        if not parts or parts[0].upper() != "C:\\" or "/" in path or ".." in parts:
            raise GuestFault("FileFault", path)
        found = self._guest.seen / "prefix" / "drive_c"
        for part in parts[1:]:
            there = [entry.name for entry in found.iterdir()] if found.is_dir() else []
            found /= next((name for name in there if name.lower() == part.lower()), part)
        return found
