"""What happens, as JSON: one object a line."""

from __future__ import annotations

import json
from typing import TextIO

from vmgen_build.events import Event


class JsonLines:
    """Writes to one stream (standard output), in ASCII; whoever closes the stream silences it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream

    def __call__(self, event: Event) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(json.dumps(event.as_dict(), default=str) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None
