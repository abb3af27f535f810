"""What the tests of builds on a node share beside their fixtures."""

from __future__ import annotations

import http.server
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

QUICK = Path(__file__).parents[1] / "recipes/onnode.ini"
RECORDS = Path("/var/lib/vmgen-build/builds")

Build = Callable[..., "subprocess.CompletedProcess[str]"]


class OsTemplateServer(http.server.SimpleHTTPRequestHandler):
    requests: ClassVar[list[str]] = []
    """Every path that was asked for."""

    def send_response(self, code: int, message: str | None = None) -> None:
        self.requests.append(self.path)
        super().send_response(code, message)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def outcomes(text: str) -> dict[str, str]:
    return {e["step"]: e["outcome"] for e in events(text) if e["event"] == "step-finished"}
