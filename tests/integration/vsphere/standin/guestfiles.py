"""Files and programs of a guest, as its Tools handle them for a user: the faults are those of the API reference."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any

from passlib.hash import sha512_crypt

from tests.integration.vsphere.standin.guest import Account, Guest


class GuestFault(Exception):
    """kind: the fault's name in the API. text: what it names."""

    def __init__(self, kind: str, text: str = "") -> None:
        super().__init__(f"{kind}: {text}")
        self.kind, self.text = kind, text


def login(guest: Guest, user: str, password: str) -> None:
    """Raises GuestFault where shadow(5) has no such user or another password."""
    account = guest.account(user)
    if account is None or not account.hash.startswith("$6$") or not sha512_crypt.verify(password, account.hash):
        raise GuestFault("InvalidGuestLogin")


class GuestFiles:
    """Each method is an order of the server's, by its name."""

    def __init__(self, guest: Guest, user: str) -> None:
        self._guest = guest
        found = guest.account(user)
        if found is None:
            raise GuestFault("InvalidGuestLogin")
        self._account: Account = found

    def validate(self, words: dict[str, Any]) -> None:
        """The login was checked before."""

    def start(self, words: dict[str, Any]) -> int:
        program = words["program"]
        if not self._is("-f", program):
            raise GuestFault("FileNotFound", program)
        if not self._is("-x", program):
            raise GuestFault("GuestPermissionDenied", program)
        line = f'"{program}" {words["arguments"]}'
        return self._guest.start(self._account, line, words["folder"], words["variables"])

    def list(self, words: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = words["pids"]
        return [
            {
                "Pid": one.pid,
                "Code": one.code,
                "Name": one.command.split()[0].strip('"').rpartition("/")[2],
                "Command": one.command,
                "User": one.user,
                "Began": one.began,
                "Ended": one.ended,
            }
            for one in self._guest.programs.values()
            if not wanted or one.pid in wanted
        ]

    def terminate(self, words: dict[str, Any]) -> None:
        if not self._run("kill", "-KILL", str(words["pid"])):
            raise GuestFault("GuestProcessNotFound")

    def temporary(self, words: dict[str, Any]) -> str:
        """mktemp(1) makes it for its owner alone."""
        name = f"{words['path'] or '/tmp'}/{words['prefix']}XXXXXX{words['suffix']}"
        made = self._inside(["mktemp", "-d", name])
        if made.returncode != 0:
            raise GuestFault("FileNotFound", words["path"])
        return made.stdout.decode().strip()

    def mkdir(self, words: dict[str, Any]) -> None:
        path = words["path"]
        if self._is("-e", path):
            raise GuestFault("FileAlreadyExists", path)
        if not self._run("mkdir", *(["-p"] if words["parents"] else []), "--", path):
            raise GuestFault("FileNotFound", path)

    def unlink(self, words: dict[str, Any]) -> None:
        path = words["path"]
        if self._is("-d", path) and not self._is("-h", path):
            raise GuestFault("NotAFile", path)
        if not self._run("rm", "--", path):
            raise GuestFault("FileNotFound", path)

    def rmdir(self, words: dict[str, Any]) -> None:
        path = words["path"]
        if not self._is("-e", path):
            raise GuestFault("FileNotFound", path)
        if not self._is("-d", path):
            raise GuestFault("NotADirectory", path)
        if not self._run(*(["rm", "-r"] if words["recursive"] else ["rmdir"]), "--", path):
            raise GuestFault("DirectoryNotEmpty", path)

    def move(self, words: dict[str, Any]) -> None:
        path, goal = words["path"], words["goal"]
        if not self._is("-e", path):
            raise GuestFault("FileNotFound", path)
        if self._is("-e", goal) and not words["overwrite"]:
            raise GuestFault("FileAlreadyExists", goal)
        if not self._run("mv", "-T", "--", path, goal):
            raise GuestFault("FileFault", goal)

    def files(self, words: dict[str, Any]) -> list[dict[str, Any]]:
        """Of a folder, with itself and the one above, or of a file itself."""
        path = words["path"]
        if not self._is("-e", path):
            raise GuestFault("FileNotFound", path)
        form = r"%f\t%y\t%s\t%m\n"
        listed = self._inside(["find", path, "-maxdepth", "1", "-printf", form]).stdout.decode().splitlines()
        kinds = {"d": "directory", "l": "symlink"}
        found = []
        for name, kind, size, mode in (line.split("\t") for line in listed):
            found.append({"Path": name, "Type": kinds.get(kind, "file"), "Size": int(size), "Mode": int(mode, 8)})
        return found

    def writable(self, words: dict[str, Any]) -> None:
        path = words["path"]
        if self._is("-e", path) and not words["overwrite"]:
            raise GuestFault("FileAlreadyExists", path)
        if not self._is("-d", path.rpartition("/")[0] or "/"):
            raise GuestFault("FileNotFound", path)

    def readable(self, words: dict[str, Any]) -> int:
        path = words["path"]
        if not self._is("-e", path):
            raise GuestFault("FileNotFound", path)
        if not self._is("-f", path):
            raise GuestFault("NotAFile", path)
        return int(self._inside(["stat", "-L", "-c", "%s", "--", path]).stdout)

    def read(self, path: str) -> bytes:
        return self._inside(["cat", "--", path]).stdout

    def write(self, path: str, mode: int, data: bytes) -> str:
        """What is wrong, or nothing. A new file is its owner's alone until it is whole."""
        script = 'umask 077; cat >"$1.vmware" && chmod "$2" "$1.vmware" && mv -T "$1.vmware" "$1"'
        done = self._inside(["sh", "-c", script, "sh", path, f"{mode or 0o644:o}"], data)
        return done.stderr.decode() if done.returncode else ""

    def _is(self, what: str, path: str) -> bool:
        return self._run("test", what, path)

    def _run(self, *command: str) -> bool:
        return self._inside(command).returncode == 0

    def _inside(self, command: Sequence[str], data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """What the user may do, and no more."""
        return self._guest.run([*self._account.words, *command], data)
