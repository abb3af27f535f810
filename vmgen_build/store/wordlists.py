"""Lists of words that take long to find, as the names of all formats: kept until the tool, or what is installed beside
it, has changed. A shell asks for them at each Tab."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vmgen_build import __version__
from vmgen_build.errors import VmgenError
from vmgen_build.host.files import write_whole
from vmgen_build.jsontext import parse_json
from vmgen_build.limits import CACHE_RECORD

_PACKAGE = Path(__file__).resolve().parents[1]


def word_lists(make: Callable[[], Mapping[str, Sequence[str]]]) -> Mapping[str, Sequence[str]]:
    """What `make` gives, of a file where it stands there and is current. Where nothing can be kept, it is made anew."""
    file, now = _file(), _state()
    kept = _read(file)
    if kept.get("state") == now:
        return {name: [str(word) for word in words] for name, words in kept.items() if name != "state"}
    made = {name: list(words) for name, words in make().items()}
    with contextlib.suppress(OSError, VmgenError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps({"state": now, **made}))
    return made


def _file() -> Path:
    """Not in the cache of builds, which takes no files of others."""
    folder = os.environ.get("XDG_CACHE_HOME")
    return (Path(folder) if folder else Path("~/.cache").expanduser()) / "vmgen-build-completion" / "words.json"


def _state() -> list[str]:
    """The version, and when the folders changed in which backends, formats and other packages lie."""
    folders = [path for path in (_PACKAGE / "backends").rglob("*") if path.is_dir() and path.name != "__pycache__"]
    places = sorted({str(path) for path in (_PACKAGE / "backends", *folders)} | set(filter(None, sys.path[1:])))
    return [__version__, *(f"{place} {_changed(place)}" for place in places)]


def _changed(place: str) -> int:
    try:
        return Path(place).stat().st_mtime_ns
    except OSError:
        return 0


def _read(file: Path) -> Mapping[str, list[object]]:
    try:
        with file.open("rb") as stream:
            found = parse_json(stream.read(CACHE_RECORD.amount + 1), CACHE_RECORD)
    except (OSError, ValueError, VmgenError):
        return {}
    whole = isinstance(found, dict) and all(isinstance(words, list) for words in found.values())
    return found if whole else {}
