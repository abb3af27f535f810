"""Issue 8, items 6, 11 and 14, in one real build: what its processes hold, what it leaves, and an odd cache.

The cache is called "a b'$(touch by-name)", and starts with the layers of the others.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SECRET = "canary-8-6"
RECIPE = """[hardware]
vm_id = secrets
os = debian-12
[config]
root_passwd = env:CANARY
[[scripts]]
[[[look]]]
run = '''
cat /proc/1/environ || echo refused
echo looked
sleep 2
printf 'it is canary-%s, in two lines canary-%s\n%s\n' 8-6 8 -6
getent shadow root
'''
"""
SURROUNDINGS = {
    "CANARY": SECRET,
    "VMGEN_SSH_PASSWORD": SECRET,
    "AWS_SECRET_ACCESS_KEY": "canary-aws",
    "no_proxy": "localhost",
}


@dataclass(frozen=True)
class Seen:
    """lines: that the script printed; holders: programs with a secret in their environment while it
    ran; names: of all that were looked at; variables: that those have which are not the tool itself. failed: what the
    tool says of a script that prints the password, and fails."""

    lines: list[str]
    holders: list[str]
    names: list[str]
    variables: set[str]
    failed: str
    out: Path
    cache: Path


@pytest.fixture(scope="module")
def seen(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("secrets")
    odd = cache.parent / f"a b'$(touch by-name)-{os.getpid()}"
    subprocess.run(["cp", "-al", cache, odd], check=True)
    try:
        recipe = folder / "secrets.ini"
        recipe.write_text(RECIPE)
        words = [sys.executable, "-m", "vmgen_build", recipe, "-o", folder / "out", "--cache", odd, "--json"]
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | SURROUNDINGS
        ) as tool:
            lines, holders, names, variables = watched(tool)
        assert tool.returncode == 0, lines[-20:]
        failing = [*words[:-1], "--set", "config.scripts.look.run=printf 'canary-%s\\n' 8-6; exit 3"]
        failed = subprocess.run(failing, capture_output=True, text=True, env=os.environ | SURROUNDINGS)
        yield Seen(lines, holders, names, variables, failed.stdout + failed.stderr, folder / "out", odd)
    finally:
        shutil.rmtree(odd)


def watched(tool: subprocess.Popen[str]) -> tuple[list[str], list[str], list[str], set[str]]:
    """As Seen has them. The processes are looked at when the script says that it is there."""
    assert tool.stdout is not None
    lines: list[str] = []
    holders: list[str] = []
    names: list[str] = []
    variables: set[str] = set()
    for text in tool.stdout:
        event: dict[str, Any] = json.loads(text)
        if event["event"] == "step-output" and event["step"] == "script-look":
            lines.append(event["line"])
            if event["line"] == "looked":
                for pid in descendants(tool.pid):
                    name, environ = asked(pid)
                    names.append(name)
                    if not name.startswith("python"):
                        variables |= {entry.partition(b"=")[0].decode() for entry in environ.split(b"\0")}
                    holders += [name] if SECRET.encode() in environ else []
    return lines, holders, names, variables


def descendants(pid: int) -> list[int]:
    """It, and all that it started."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def asked(pid: int) -> tuple[str, bytes]:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip(), Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return "", b""


def test_issue_8_6_no_process_of_a_build_has_a_secret_in_its_environment(seen: Seen) -> None:
    assert "lxc-execute" in seen.names and len([name for name in seen.names if name.startswith("python")]) >= 3
    assert seen.holders == []


def test_issue_8_6_every_program_has_a_small_environment(seen: Seen) -> None:
    """The first process of the container is among them; the step itself cannot even ask."""
    ours = {"PATH", "LC_ALL", "HOME", "TMPDIR"}
    guests = {"DEBIAN_FRONTEND", "APT_CONFIG", "SOURCE_DATE_EPOCH", "container", "container_ttys", "PWD", "OLDPWD", "_"}
    assert seen.variables - {""} <= ours | guests
    assert any(line == "refused" for line in seen.lines)


def test_what_a_step_prints_shows_no_secret(seen: Seen) -> None:
    """In its events, the log, and the message of one that fails."""
    assert seen.lines[-3:-1] == ["it is ***, in two lines ***", "***"]
    assert seen.lines[-1].startswith("root:***:")
    assert "step 'script-look' failed with exit code 3\nits last lines:\n  ***\n" in seen.failed
    logs = [log.read_text() for log in seen.cache.glob("logs/secrets-lxc-*.log")]
    assert len(logs) == 2 and all("***" in log for log in logs)
    assert not [text for text in (seen.failed, *logs) if SECRET in text or "$6$" in text]


def test_issue_8_11_modes_follow_content(seen: Seen) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in seen.out.iterdir()}
    assert modes == {
        "secrets-lxc-amd64.tar.zst": 0o600,
        "secrets-lxc-amd64.tar.zst.manifest.json": 0o644,
        "SHA256SUMS": 0o644,
    }
    for log in seen.cache.glob("logs/secrets-lxc-*.log"):
        assert (log.stat().st_mode & 0o777, log.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_issue_8_14_the_caches_name_is_data(seen: Seen) -> None:
    assert not Path("by-name").exists() and not list(seen.cache.rglob("by-name"))
