"""A stand-in for a Windows with QEMU's guest agent, for machines that reach nothing but themselves: it runs in a tiny
Linux, knows the questions of a verification by their text, and gives the answers that were written down for them.

What a question means is not tried here (tests/integration/wine does that): the way to it is. Called as
`player.py PORT ANSWERS`: the agent's port, and a JSON file: text of a question -> lines of its answer.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

LOOK = b"Microsoft Windows [Version 6.1.7601]\r\n\r\nActive code page: 437\r\n"

_BLOCK = re.compile(r"echo (answer \w+ \d+) begin\n(.*?)\n:next\w+\n", re.DOTALL)
_BEGUN = re.compile(r'"(?P<script>[^"]+)" *>"(?P<output>[^"]+)"')


class Player:
    """files: path in lower letters -> content."""

    def __init__(self, answers: dict[str, list[str]]) -> None:
        self.answers = answers
        self.files: dict[str, bytearray] = {}
        self.handles: dict[int, tuple[bytearray, list[int]]] = {}
        self.codes: list[int] = []

    def answer(self, command: str, words: dict[str, Any]) -> Any:
        return getattr(self, command.replace("-", "_"))(**{name.replace("-", "_"): one for name, one in words.items()})

    def guest_sync_delimited(self, id: int) -> int:
        return id

    def guest_exec(self, path: str, arg: list[str]) -> dict[str, int]:
        self.codes.append(self._run(arg[2:]))
        return {"pid": len(self.codes)}

    def guest_exec_status(self, pid: int) -> dict[str, Any]:
        return {"exited": True, "exitcode": self.codes[pid - 1]}

    def guest_file_open(self, path: str, mode: str) -> int:
        if mode == "wb":
            self.files[path.lower()] = bytearray()
        number = len(self.handles) + 1
        self.handles[number] = self.files[path.lower()], [0]
        return number

    def guest_file_write(self, handle: int, buf_b64: str) -> dict[str, Any]:
        data = base64.b64decode(buf_b64)
        self.handles[handle][0].extend(data)
        return {"count": len(data), "eof": False}

    def guest_file_read(self, handle: int, count: int) -> dict[str, Any]:
        content, at = self.handles[handle]
        data = bytes(content[at[0] : at[0] + count])
        at[0] += len(data)
        return {"count": len(data), "buf-b64": base64.b64encode(data).decode(), "eof": not data}

    def guest_file_close(self, handle: int) -> dict[str, Any]:
        return {}

    def _run(self, words: list[str]) -> int:
        """Commands of cmd.exe: a folder is made, is there no more, or a batch file begins another."""
        if words[0] in ("mkdir", "rmdir"):
            self.files = {path: one for path, one in self.files.items() if not path.startswith(words[-1].lower())}
            return 0
        if words[0] == "if":
            return 0
        begun = _BEGUN.search(self.files[words[0].lower()].decode())
        assert begun, words
        script = self.files[begun["script"].lower()].decode()
        self.files[begun["output"].lower()] = bytearray(self._printed(script.replace("\r\n", "\n")))
        return 0

    def _printed(self, script: str) -> bytes:
        if "chcp" in script:
            return LOOK
        lines = []
        for mark, question in _BLOCK.findall(script):
            key = "\n".join(line.strip() for line in question.splitlines())
            lines += [f"{mark} begin", *self.answers.get(key, []), f"{mark} end"]
        return "".join(f"{line}\r\n" for line in lines).encode()


def main(port: str, answers: str) -> None:
    player = Player(json.loads(Path(answers).read_text()))
    with open(port, "r+b", buffering=0) as wire:
        rest = b""
        while True:
            rest += wire.read(65536) or b""
            *lines, rest = rest.split(b"\n")
            for line in lines:
                request = json.loads(line.rpartition(b"\xff")[2])
                if request["execute"] == "guest-shutdown":
                    return
                found = {"return": player.answer(request["execute"], request.get("arguments", {}))}
                head = b"\xff" if request["execute"] == "guest-sync-delimited" else b""
                wire.write(head + json.dumps(found).encode() + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
