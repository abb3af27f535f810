"""A manifest of others, checked field by field: what comes out holds known fields alone, each of its type and size."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, TypeVar

from vmgen_build.jsontext import Field
from vmgen_build.limits import MANIFEST_ENTRIES, MANIFEST_FILES, MB, PROBE_RETRY, PROBE_SCRIPT, PROBES, Limit
from vmgen_build.plan.model import PROBE_KINDS

T = TypeVar("T")

_WORD, _NAME, _SENTENCE, _TEXT = 64, 255, 10_000, 1 * MB
"""Characters of an identifier, of a name, of what is shown in a line, and of a build recipe."""

_LARGEST_FILE = 1 << 53
_LATEST = 1 << 40
"""Seconds since the epoch; far beyond any that a file system keeps."""

_SHA256 = r"[0-9a-f]{64}"


def checked_manifest(data: Any, format_wanted: int) -> dict[str, Any]:
    """The manifest in the form of artifacts.manifest. Raises ValueError that names the field which is wrong."""
    whole = Field(data)
    number = whole.value.get("format") if isinstance(data, dict) else "none"
    if isinstance(number, bool) or number != format_wanted:
        shown = number if isinstance(number, int) else "none"
        raise ValueError(f"its format is {shown}, and this version reads {format_wanted}")
    return {
        "format": format_wanted,
        "tool": _strings(whole.or_else("tool", {}), "name", "version"),
        "name": whole["name"].text(_NAME),
        "recipe": _strings(whole.or_else("recipe", {}), "file", "sha256"),
        "os": whole["os"].matching(r"[a-z0-9][a-z0-9.+_-]{0,63}", "the name of a system, as debian-12"),
        "arch": whole["arch"].matching(r"[a-z0-9_]{1,32}", "the name of an architecture, as amd64"),
        "backend": whole["backend"].matching(r"[a-z0-9_-]{1,32}", "the name of a backend, as lxc"),
        "packed_as": whole.or_else("packed_as", "").text(_WORD),
        "plan": whole.or_else("plan", "").text(_WORD),
        "base": _strings(whole.or_else("base", {}), "method", "source", "sha256"),
        "epoch": whole.or_else("epoch", 0).whole(0, _LATEST),
        "steps": _list(whole, "steps", _step),
        "packages": _list(whole, "packages", lambda one: _strings(one, "name", "version", "arch")),
        "skipped": _list(whole, "skipped", lambda one: _strings(one, "section", "program", "reason")),
        "warnings": _list(whole, "warnings", lambda one: one.text(_SENTENCE)),
        "files": [_file(file) for file in whole["files"].items(MANIFEST_FILES)],
        "build_recipe": _build_recipe(whole.or_else("build_recipe", {})),
        "probes": [_probe(probe) for probe in whole["probes"].items(PROBES)],
    }


def _list(whole: Field, name: str, one: Callable[[Field], T], limit: Limit = MANIFEST_ENTRIES) -> list[T]:
    return [one(field) for field in whole.or_else(name, []).items(limit)]


def _strings(one: Field, *names: str) -> dict[str, str]:
    """Those fields of an object, "" where one is missing."""
    return {name: one.or_else(name, "").text(_SENTENCE) for name in names}


def _step(step: Field) -> dict[str, Any]:
    return {
        **{name: step[name].text(_NAME) for name in ("name", "title", "id")},
        "seconds": step["seconds"].number(0, 1e9),
        "outcome": step["outcome"].one_of(("built", "cached")),
    }


def _file(file: Field) -> dict[str, Any]:
    name = file["name"].text(_NAME)
    if name in ("", ".", "..") or "/" in name or not name.isprintable():
        raise file["name"].wrong("a plain file name")
    return {
        "name": name,
        "size": file["size"].whole(0, _LARGEST_FILE),
        "sha256": file["sha256"].matching(_SHA256, "a sha256 of 64 hexadecimal digits"),
    }


def _build_recipe(recipe: Field) -> dict[str, str]:
    """Its names are paths below the folder that `compile` writes."""
    found: dict[str, str] = {}
    for name, value in recipe.members(MANIFEST_FILES):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*){0,7}", name):
            raise recipe.wrong("an object whose names are names of files")
        found[name] = value.text(_TEXT)
    return found


def _probe(probe: Field) -> dict[str, Any]:
    kind = probe.or_else("kind", "guest").one_of(PROBE_KINDS)
    script = probe["script"].text(PROBE_SCRIPT.amount)
    found = {
        "name": probe["name"].text(_NAME),
        "setting": probe["setting"].text(_SENTENCE),
        "kind": kind,
        "script": script,
        "expected": probe.or_else("expected", "").text(PROBE_SCRIPT.amount),
        "retry": _retry(probe.or_else("retry", 0.0)),
    }
    if kind in ("tcp-open", "tcp-closed") and not _is_goal(script):
        raise probe["script"].wrong("an IP address and a port, as of a probe from outside")
    return found


def _retry(retry: Field) -> float:
    seconds = retry.number(0, float("inf"))
    if seconds > PROBE_RETRY.amount:
        raise ValueError(f"{retry.path} is {seconds:g} seconds: {PROBE_RETRY.exceeded}")
    return seconds


def _is_goal(text: str) -> bool:
    """Whether it is "ADDRESS PORT"."""
    address, _, port = text.partition(" ")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return re.fullmatch(r"[1-9][0-9]{0,4}", port) is not None and int(port) < 1 << 16
