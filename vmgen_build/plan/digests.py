"""Ids: digests of all that a thing depends on."""

from __future__ import annotations

import hashlib
import json
from typing import Any

FORMAT = 2
"""Goes into every id: raise it when the meaning of a script's surroundings changes, and no old layer is taken."""


def digest_of(data: Any) -> str:
    """sha256 of the canonical JSON form: 64 hex digits."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
