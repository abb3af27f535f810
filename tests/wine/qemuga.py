"""QEMU's guest agent of a Windows, as far as a build asks it: JSON by its documented protocol (QEMU's
docs/interop/qemu-ga-ref), and as its source does it there (qga/commands-win32.c). Its Windows is Wine on this host.

guest-exec makes a command line of its words as glib quotes them, and a program of Windows starts that; guest-file-open
shares a file with readers alone; guest-shutdown has no answer.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from tests.wine.prefix import TIMEOUT, Windows

HOST_NAME = "lab-pc"

NAMED = ("unshare", "--uts", "sh", "-c", f'hostname {HOST_NAME}; exec "$@"', "named")
"""Starts a program that sees this as the machine's name. Wine takes it for the computer's."""

FOR_ADMINISTRATORS = r"HKU\S-1-5-19"
"""A key that only administrators can read. Wine has none, and keeps none of its kind beyond a boot."""


class Refused(Exception):
    """kind: the class of the error."""

    def __init__(self, text: str, kind: str = "GenericError") -> None:
        super().__init__(text)
        self.kind = kind


def by_glib(word: str) -> str:
    """glib's protect_argv_string (gspawn-win32.c)."""
    text = re.sub(r'(\\*)"', lambda found: found[1] * 2 + '\\"', word)
    if " " in text or "\t" in text:
        return '"' + re.sub(r"(\\+)\Z", r"\1\1", text) + '"'
    return text


class WineAgent:
    """Serves one machine after the other, each of which is a boot of the Windows, and connects to `port`. A connection
    that ends here is a machine that switches itself off. lines: what was started."""

    def __init__(self, windows: Windows, folder: Path) -> None:
        self._windows, self._folder = windows, folder
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.boots, self.shutdowns = 0, 0
        self.lines: list[str] = []
        self._wire: socket.socket | None = None
        self._numbers = itertools.count(1000, 4)
        self._codes: dict[int, Path] = {}
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._open: dict[int, BinaryIO] = {}
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.die()
        self._thread.join(TIMEOUT)

    def die(self) -> None:
        """The machine, at once."""
        if self._wire is not None:
            with suppress(OSError):
                self._wire.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                wire, _ = self._listener.accept()
                self._begin()
                with wire:
                    self._wire = wire
                    with suppress(OSError):
                        self._answer_all(wire)
                    self._wire = None
                self._end()

    def _begin(self) -> None:
        self.boots += 1
        self._wine("wineserver", "-p600")
        self._wine("wine", "reg", "add", FOR_ADMINISTRATORS, "/f")

    def _end(self) -> None:
        """As a shutdown does: the registry is written."""
        self._wine("wineserver", "-k")
        for process in self._running.values():
            process.wait(TIMEOUT)
        for file in self._open.values():
            file.close()
        self._running.clear()
        self._codes.clear()
        self._open.clear()

    def _wine(self, *command: str) -> None:
        self._started(command, self._windows.environment()).wait(TIMEOUT)

    @staticmethod
    def _started(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        null = subprocess.DEVNULL
        return subprocess.Popen([*NAMED, *command], env=environment, stdin=null, stdout=null, stderr=null)

    def _answer_all(self, wire: socket.socket) -> None:
        with wire.makefile("rb") as lines:
            for line in lines:
                request = json.loads(line.rpartition(b"\xff")[2])
                command, arguments = request["execute"], request.get("arguments", {})
                if command == "guest-shutdown":
                    assert arguments == {"mode": "powerdown"}
                    self.shutdowns += 1
                    return
                wire.sendall(self._answer(command, arguments))

    def _answer(self, command: str, arguments: dict[str, Any]) -> bytes:
        words = {name.replace("-", "_"): value for name, value in arguments.items()}
        try:
            method = getattr(self, command.replace("-", "_"), None)
            if method is None or not command.startswith("guest-"):
                raise Refused(f"The command {command} has not been found", "CommandNotFound")
            answer = {"return": method(**words)}
        except Refused as error:
            answer = {"error": {"class": error.kind, "desc": str(error)}}
        head = b"\xff" if command == "guest-sync-delimited" else b""
        return head + json.dumps(answer).encode() + b"\n"

    def guest_sync_delimited(self, id: int) -> int:
        return id

    def guest_exec(self, path: str, arg: list[str]) -> dict[str, int]:
        line = " ".join(by_glib(word) for word in (path, *arg))
        self.lines.append(line)
        number = next(self._numbers)
        files = {end: self._folder / f"{number}.{end}" for end in ("line", "code")}
        files["line"].write_text(line)
        seen = {end: "Z:" + str(file).replace("/", "\\") for end, file in files.items()}
        environment = self._windows.environment() | {
            "WINEPATH": "Z:" + str(self._windows.folder / "bin").replace("/", "\\"),
            "VMGEN_START": seen["line"],
            "VMGEN_CODE": seen["code"],
            "VMGEN_FOLDER": r"C:\Windows\System32",
        }
        command = ["wine", str(self._windows.folder / "start.exe")]
        self._running[number] = self._started(command, environment)
        self._codes[number] = files["code"]
        return {"pid": number}

    def guest_exec_status(self, pid: int) -> dict[str, Any]:
        """What has ended is forgotten once that was asked for."""
        if pid not in self._running:
            raise Refused(f"PID {pid} does not exist")
        if self._running[pid].poll() is None:
            return {"exited": False}
        del self._running[pid]
        code = self._codes.pop(pid)
        return {"exited": True, "exitcode": int(code.read_text()) if code.exists() else 1}

    def guest_file_open(self, path: str, mode: str) -> int:
        there = self._windows.path(path)
        if mode == "rb" and self._is_written(there):
            raise Refused(f"failed to open file '{path}': The process cannot access the file ...")
        try:
            file = there.open(mode)
        except OSError as error:
            raise Refused(f"failed to open file '{path}': {error.strerror}") from error
        self._open[file.fileno()] = file  # type: ignore[assignment]
        return file.fileno()

    def _is_written(self, path: Path) -> bool:
        """Whether a program has it open to write to it."""
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                for fd in (process / "fd").iterdir():
                    if fd.is_symlink() and os.readlink(fd) == str(path):
                        flags = re.search(r"^flags:\s+(\d+)", (process / "fdinfo" / fd.name).read_text(), re.MULTILINE)
                        if flags and int(flags[1], 8) & os.O_ACCMODE:
                            return True
        return False

    def guest_file_write(self, handle: int, buf_b64: str) -> dict[str, Any]:
        return {"count": self._open[handle].write(base64.b64decode(buf_b64)), "eof": False}

    def guest_file_read(self, handle: int, count: int) -> dict[str, Any]:
        data = self._open[handle].read(count)
        return {"count": len(data), "buf-b64": base64.b64encode(data).decode(), "eof": not data}

    def guest_file_close(self, handle: int) -> dict[str, Any]:
        self._open.pop(handle).close()
        return {}
