"""Issue 8, item 12: every field of a manifest of others has its type and its limit."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.artifacts.manifest import manifest_there, parse_manifest, read_manifest
from vmgen_build.errors import HostError
from vmgen_build.limits import MANIFEST

GOOD: dict[str, Any] = {
    "format": 1,
    "tool": {"name": "vmgen-build", "version": "0.1.0"},
    "name": "lab",
    "recipe": {"file": "lab.ini", "sha256": "d" * 64},
    "os": "debian-12",
    "arch": "amd64",
    "backend": "lxc",
    "packed_as": "tar",
    "plan": "e" * 64,
    "base": {"method": "tarball", "source": "/srv/root.tar", "sha256": "f" * 64},
    "epoch": 1700000000,
    "steps": [{"name": "base", "title": "base", "id": "f" * 64, "seconds": 1.5, "outcome": "built"}],
    "packages": [{"name": "vim", "version": "2:9", "arch": "amd64"}],
    "skipped": [{"section": "gui", "program": "chrome", "reason": "not in Debian"}],
    "warnings": ["lab.ini:3: warning: odd"],
    "files": [{"name": "lab.tar", "size": 8, "sha256": "a" * 64}],
    "build_recipe": {"config": "lxc.uts.name = lab\n", "scripts/4101.mount": "#!/bin/sh\n"},
    "probes": [
        {"name": "h", "setting": "s", "kind": "guest", "script": "true\n", "expected": "", "retry": 2.5},
        {"name": "p", "setting": "s", "kind": "tcp-open", "script": "192.0.2.1 22", "expected": "open", "retry": 10.0},
    ],
}


def with_field(path: list[str | int], value: Any) -> bytes:
    data = copy.deepcopy(GOOD)
    place: Any = data
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return json.dumps(data).encode()


def test_a_whole_manifest_comes_back_as_it_was() -> None:
    assert parse_manifest(json.dumps(GOOD).encode()) == GOOD


def test_unknown_fields_are_left_out() -> None:
    assert parse_manifest(with_field(["extra"], {"a": [1]})) == GOOD


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["format"], True, "its format is"),
        (["name"], 7, "name is not text"),
        (["name"], "a" * 300, "name is not text of up to 255 characters"),
        (["name"], "a\0b", "name is not text without NUL"),
        (["os"], "../x", "os is not the name of a system"),
        (["arch"], "", "arch is not"),
        (["backend"], ["lxc"], "backend is not the name of a backend"),
        (["packed_as"], "a" * 65, "packed_as is not text of up to 64 characters"),
        (["epoch"], -1, "epoch is not a whole number"),
        (["epoch"], 10**15, "epoch is not a whole number"),
        (["files", 0, "name"], "../etc/passwd", "files[0].name is not a plain file name"),
        (["files", 0, "name"], "..", "files[0].name is not a plain file name"),
        (["files", 0, "size"], -1, "files[0].size is not a whole number"),
        (["files", 0, "size"], True, "files[0].size is not a whole number"),
        (["files", 0, "sha256"], "A" * 64, "files[0].sha256 is not a sha256"),
        (["files"], {}, "files is not a list"),
        (["files"], [GOOD["files"][0]] * 300, "the limit 'manifest-files'"),
        (["packages"], [{}] * 50_001, "the limit 'manifest-entries'"),
        (["warnings"], [3], "warnings[0] is not text"),
        (["steps", 0, "outcome"], "odd", "steps[0].outcome is not one of built, cached"),
        (["steps", 0, "seconds"], "1", "steps[0].seconds is not a number"),
        (["build_recipe", "../config"], "x", "names of files"),
        (["build_recipe", "/config"], "x", "names of files"),
        (["build_recipe", "config"], 3, "a value of build_recipe is not text"),
        (["probes"], [GOOD["probes"][0]] * 5_001, "the limit 'probes'"),
        (["probes", 0, "retry"], 601, "probes[0].retry is 601 seconds: it is more than the limit 'probe-retry'"),
        (["probes", 0, "retry"], -1, "probes[0].retry is not a number"),
        (["probes", 0, "script"], "x" * 300_000, "probes[0].script is not text of up to"),
        (["probes", 0, "kind"], "telepathy", "probes[0].kind is not one of guest, tcp-open, tcp-closed"),
        (["probes", 1, "script"], "host 22", "probes[1].script is not an IP address and a port"),
        (["probes", 1, "script"], "192.0.2.1 99999", "probes[1].script is not an IP address and a port"),
    ],
)
def test_issue_8_12_each_field_has_its_limits(path: list[str | int], value: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_manifest(with_field(path, value))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 100_000, "the limit 'json-depth'"),
        (b'{"a":' * 100_000, "the limit 'json-depth'"),
        (json.dumps(GOOD).replace("2.5", "1e999").encode(), "a number in it is too large"),
        (json.dumps(GOOD).replace("2.5", "NaN").encode(), "a number in it is none"),
        (json.dumps(GOOD).replace("2.5", "9" * 5000).encode(), "the limit 'json-digits'"),
        (json.dumps(GOOD).replace('"epoch"', '"name": "x", "epoch"').encode(), "one name twice"),
        (b'"' + b'\\"' * 100_000, "Unterminated string"),
        (b"\xff{}", "not UTF-8"),
        (b" " * (MANIFEST.amount + 1), "the limit 'manifest'"),
        (json.dumps(GOOD).replace("odd", "\\ud800").encode(), "surrogates"),
    ],
)
def test_issue_8_12_the_text_itself_has_limits(text: bytes, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_manifest(text)
    assert message in str(caught.value)


def test_issue_8_12_brackets_in_strings_do_not_count() -> None:
    assert parse_manifest(with_field(["warnings"], ['[{"' * 1000 + "\\"]))["warnings"]


@pytest.mark.parametrize("content", [b"[" * 100_000, json.dumps(GOOD).replace("2.5", "1e999").encode()])
def test_issue_8_12_verify_refuses_it_by_a_message(tmp_path: Path, content: bytes) -> None:
    artifact = tmp_path / "lab.tar"
    artifact.write_bytes(b"an image")
    artifact.with_name("lab.tar.manifest.json").write_bytes(content)
    assert manifest_there(artifact) == {}
    command = [sys.executable, "-m", "vmgen_build", "verify", "--no-boot", str(artifact)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 1 and "is not a manifest to verify by" in ran.stderr and "bug" not in ran.stderr


def test_issue_8_12_a_manifest_that_is_no_file_is_not_read(tmp_path: Path) -> None:
    artifact = tmp_path / "lab.tar"
    artifact.write_bytes(b"an image")
    manifest = artifact.with_name("lab.tar.manifest.json")
    os.mkfifo(manifest)
    with pytest.raises(HostError, match="it is a pipe, not a file"):
        read_manifest(artifact)
    manifest.unlink()
    manifest.symlink_to("/dev/zero")
    with pytest.raises(HostError, match="it is a device, not a file"):
        read_manifest(artifact)
    manifest.unlink()
    manifest.symlink_to(manifest.name)
    with pytest.raises(HostError, match="Too many levels of symbolic links"):
        read_manifest(artifact)
