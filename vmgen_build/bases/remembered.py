"""What was asked of archives, kept in a folder of the cache."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vmgen_build.errors import HostError
from vmgen_build.host.files import write_whole
from vmgen_build.host.owners import own_users
from vmgen_build.host.regular import open_regular
from vmgen_build.jsontext import parse_json
from vmgen_build.limits import CACHE_RECORD
from vmgen_build.store.cachedir import READABLE, is_own_folder, make_own

FACTS = "facts"
"""The folder of a cache."""

FRESH = 3600.0
"""Seconds for which a Release digest is taken as it is."""


def recall(cache: Path, name: str) -> Any:
    """What was remembered under that name; None for nothing, or where others can change it."""
    if not is_own_folder(cache, FACTS):
        return None
    try:
        with open_regular(cache / FACTS / name, follow=False) as file:
            known = os.fstat(file.fileno()).st_uid in own_users()
            return parse_json(file.read(CACHE_RECORD.amount + 1), CACHE_RECORD) if known else None
    except (OSError, ValueError):
        return None


def remember(cache: Path, name: str, data: Mapping[str, object]) -> None:
    """Best effort: a reader without the right to write asks again next time."""
    with suppress(HostError, OSError):
        cache.mkdir(parents=True, exist_ok=True)
        make_own(cache / FACTS, READABLE)
        write_whole(cache / FACTS / name, json.dumps(data) + "\n")
