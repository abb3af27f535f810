"""What stands behind the stand-in's machines: roots of their disks, and programs that really run on them.

The server asks by HTTP over a socket: an order by POST, with words in JSON; a file by /put and /get.
"""

from __future__ import annotations

import json
import shutil
import socketserver
import subprocess
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.integration.vsphere.standin.guest import CGROUP, Guest
from tests.integration.vsphere.standin.guestfiles import GuestFault, GuestFiles, login
from tests.integration.vsphere.standin.setup import StandInSetup, starts_from_cd
from tests.integration.vsphere.standin.wineguest import WineFiles, WineGuest
from tests.wine.prefix import Windows
from vmgen_build.host.files import sha256_of
from vmgen_build.plan.machine import Machine

ROOT = Path(__file__).resolve().parents[4]


@dataclass
class Storage:
    """What a machine or a snapshot stands on: a disk, and layers above it, the lowest first. guest: while it runs.
    setup: while that does."""

    disk: Path
    layers: tuple[Path, ...]
    upper: Path
    guest: Guest | None = None
    setup: StandInSetup | None = None


class Ground:
    """folder: of its own. shared: where a root stays that was unpacked, for other tests. machine: whose disks an export
    writes, by its drives; None where disks go out as they came in. orders: all that came, in order.
    refuses_logins: of guests. windows: where its machines are Windows."""

    def __init__(self, folder: Path, shared: Path, machine: Machine | None, epoch: int) -> None:
        self.folder, self._shared, self.machine, self._epoch = folder, shared, machine, epoch
        self._storages: dict[str, Storage] = {}
        self._lock = threading.RLock()
        self.refuses_logins = False
        self.windows: Windows | None = None
        self.orders: list[tuple[str, dict[str, Any]]] = []

    def guest(self, vm: str) -> Guest:
        found = self._storages[vm].guest if vm in self._storages else None
        if found is None:
            raise GuestFault("SystemError", "the guest is off")
        return found

    def answer(self, name: str, words: dict[str, Any]) -> Any:
        if name != "watch":
            self.orders.append((name, {key: value for key, value in words.items() if key != "password"}))
        own: Callable[[dict[str, Any]], Any] | None = getattr(self, f"_do_{name}", None)
        if own is not None:
            return own(words)
        guest = self.guest(words["vm"])
        if name == "login" and self.refuses_logins:
            raise GuestFault("InvalidGuestLogin")
        if name == "login" and isinstance(guest, WineGuest):
            return guest.check_login(words["user"], words["password"])
        if name == "login":
            return login(guest, words["user"], words["password"])
        return getattr(self.files(words), name)(words)

    def files(self, words: dict[str, Any]) -> GuestFiles | WineFiles:
        guest = self.guest(words["vm"])
        return WineFiles(guest) if isinstance(guest, WineGuest) else GuestFiles(guest, words["user"])

    def _new(self, name: str) -> Path:
        made = self.folder / f"{name}-{uuid.uuid4().hex[:12]}"
        made.mkdir()
        return made

    def _do_import(self, words: dict[str, Any]) -> None:
        self._storages[words["vm"]] = Storage(Path(words["disks"][0]["file"]), (), self._new("upper"))

    def _stack(self, storage: Storage) -> tuple[Path, ...]:
        """The lowest first. A disk is unpacked when somebody wants it: that takes longer than an answer may."""
        return (self._unpacked(storage.disk), *storage.layers)

    def _unpacked(self, disk: Path) -> Path:
        root = self._shared / f"standin-{sha256_of(disk)[:24]}"
        with self._lock:
            if not root.exists():
                run_roots("unpack", disk, root)
        return root

    def _do_clone(self, words: dict[str, Any]) -> None:
        """Of a snapshot, or of a machine that is off."""
        source = self._storages.get(words["source"])
        if source is None:
            return
        upper, layers = self._new("upper"), source.layers
        if any(source.upper.iterdir()):
            layers = (*layers, self._frozen(source.upper))
        self._storages[words["vm"]] = Storage(source.disk, layers, upper)

    def _frozen(self, upper: Path) -> Path:
        """What was written as it is now: a layer for others."""
        layer = self._new("layer")
        subprocess.run(["cp", "-a", f"{upper}/.", layer], check=True)
        return layer

    def _do_snapshot(self, words: dict[str, Any]) -> None:
        source = self._storages.get(words["vm"])
        if source is None:
            return
        if isinstance(source.guest, WineGuest):
            self._do_stop(words)
        layers = source.layers
        if any(source.upper.iterdir()):
            layers = (*layers, self._frozen(source.upper))
        self._storages[words["snapshot"]] = Storage(source.disk, layers, self._new("upper"))

    def _do_boot(self, words: dict[str, Any]) -> dict[str, bool]:
        storage = self._storages.get(words["vm"])
        if storage is None or self.machine is None:
            return {"Tools": False}
        if self.windows is not None and starts_from_cd(storage.disk, storage.upper, words):
            storage.setup = StandInSetup(self._new("setup"), words, self._installing(words, storage))
            return {"Tools": False, "Watch": True}
        guest = self._new_guest(storage)
        if not self._booted(words, storage, guest):
            return {"Tools": False}
        has_tools = isinstance(guest, WineGuest) or guest.run(["test", "-x", "/usr/bin/vmtoolsd"]).returncode == 0
        return {"Tools": has_tools}

    def _booted(self, words: dict[str, Any], storage: Storage, guest: Guest) -> bool:
        """Whether the machine is still there then."""
        with self._lock:
            guest.boot(words["name"], words["extra"])
            storage.guest = guest
            if self._storages.get(words["vm"]) is storage:
                return True
            guest.stop()
            return False

    def _installing(self, words: dict[str, Any], storage: Storage) -> Callable[[Path], WineGuest | None]:
        """What gives the machine a disk, and starts it."""

        def installed(disk: Path) -> WineGuest | None:
            storage.disk = disk
            guest = self._new_guest(storage)
            assert isinstance(guest, WineGuest)
            return guest if self._booted(words, storage, guest) else None

        return installed

    def _do_keys(self, words: dict[str, Any]) -> None:
        storage = self._storages.get(words["vm"])
        if storage is not None and storage.setup is not None:
            storage.setup.pressed.set()

    def _new_guest(self, storage: Storage) -> Guest:
        folder, stack = self._new("guest"), self._stack(storage)
        if self.windows is not None:
            return WineGuest(folder, stack, storage.upper, self.windows)
        return Guest(folder, stack, storage.upper)

    def _do_watch(self, words: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            storage = self._storages.get(words["vm"])
            guest = storage.guest if storage is not None else None
            return {"Off": guest is not None and guest.is_off(), "Set": guest.guestinfo() if guest is not None else {}}

    def _do_stop(self, words: dict[str, Any]) -> None:
        storage = self._storages.get(words["vm"])
        with self._lock:
            if storage is not None and storage.setup is not None:
                storage.setup.stopped.set()
                storage.setup = None
            if storage is not None and storage.guest is not None:
                storage.guest.stop()
                storage.guest = None

    def _do_destroy(self, words: dict[str, Any]) -> None:
        """Layers stay: others may stand on them."""
        with self._lock:
            self._do_stop(words)
            self._storages.pop(words["vm"], None)

    def _do_export(self, words: dict[str, Any]) -> dict[str, list[str]]:
        """Files of the disks as they are now; none where they are as they came."""
        storage = self._storages.get(words["vm"])
        if storage is None or self.machine is None:
            return {"Files": []}
        if isinstance(storage.guest, WineGuest):
            self._do_stop(words)
        folder = self._new("export")
        description = folder / "machine.json"
        description.write_text(self.machine.to_json())
        run_roots("pack", description, self._epoch, folder, *self._stack(storage), storage.upper)
        return {"Files": [str(folder / f"{drive.name}.vmdk") for drive in self.machine.drives]}

    def close(self) -> None:
        for vm in list(self._storages):
            self._do_destroy({"vm": vm})
        shutil.rmtree(self.folder)
        with suppress(OSError):
            CGROUP.rmdir()


def run_roots(*words: object) -> None:
    command = [sys.executable, "-m", "tests.integration.vsphere.standin.roots", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ground: Ground

    def do_POST(self) -> None:
        path = urlsplit(self.path)
        if path.path == "/put":
            self._put(_words(path.query))
            return
        words = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer: dict[str, Any] = {}
        try:
            answer["Result"] = self.ground.answer(path.path.strip("/"), words)
        except GuestFault as fault:
            answer = {"Fault": fault.kind, "Text": fault.text}
        except Exception as error:
            traceback.print_exc()
            answer = {"Fault": "SystemError", "Text": repr(error)}
        self._send(200, json.dumps(answer).encode())

    def do_GET(self) -> None:
        words = _words(urlsplit(self.path).query)
        self._send(200, self.ground.files(words).read(words["path"]))

    def _put(self, words: dict[str, str]) -> None:
        data = b"".join(self._chunks())
        wrong = self.ground.files(words).write(words["path"], int(words["mode"]), data)
        self._send(500 if wrong else 200, wrong.encode())

    def _chunks(self) -> Iterator[bytes]:
        """The body, of known length or in chunks (RFC 9112, section 7.1)."""
        if "Content-Length" in self.headers:
            yield self.rfile.read(int(self.headers["Content-Length"]))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _send(self, code: int, data: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: Any) -> None:
        """Nothing."""

    def address_string(self) -> str:
        return "server"


def _words(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def served(ground: Ground, socket: Path) -> Iterator[None]:
    handler = type("Handler", (_Handler,), {"ground": ground})
    with _Server(str(socket), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            ground.close()


def orders_of(ground: Ground, names: Sequence[str]) -> list[str]:
    """Those of these names that came, in order."""
    return [name for name, _ in ground.orders if name in names]
