"""What an image holds, in words: from its manifest, or from the root file system itself where it has none.

What a manifest knows of settings stands in its probes: their names and the options that they are about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from vmgen_build.artifacts.contents import RootContent
from vmgen_build.artifacts.lxc import nics_of, parse_config
from vmgen_build.plan.machine import FILE as MACHINE
from vmgen_build.plan.machine import Machine
from vmgen_build.plan.readback import machine_read_back
from vmgen_build.text import size

Fact = tuple[str, tuple[str, ...]]
"""A word for it ("users"), and each that there is."""

_PERSON = range(1000, 60000)
"""Numbers of people's accounts (login.defs(5), UID_MIN and UID_MAX of Debian)."""

_MEMORY = ("lxc.cgroup2.memory.max", "lxc.cgroup.memory.limit_in_bytes")
_WANTS = re.compile(r"etc/systemd/system/[^/]+\.wants/([^/]+\.service)")


def of_manifest(data: Mapping[str, Any]) -> Iterator[Fact]:
    """data: in the form of artifacts.manifest, checked."""
    base = " ".join(filter(None, (data["base"]["method"], data["base"]["source"])))
    yield "name", (data["name"],)
    yield "system", (f"{data['os']} {data['arch']}",)
    yield "backend", (data["backend"],)
    yield "recipe", (data["recipe"]["file"],)
    yield "base", (base,)
    yield "dated", (_date(data["epoch"]),)
    yield "made by", (" ".join(filter(None, (data["tool"]["name"], data["tool"]["version"]))),)
    yield "steps", tuple(step["title"] for step in data["steps"])
    yield "users", tuple(_users(data["probes"]))
    yield "programs", _named(data["probes"], "program-")
    yield "services", _named(data["probes"], "unit-")
    yield "open ports", tuple(_ports(data["probes"]))
    yield from _machine(data["build_recipe"])
    yield "left out", tuple(f"[{one['section']}] {one['program']}: {one['reason']}" for one in data["skipped"])
    yield "warnings", tuple(data["warnings"])


def of_root(content: RootContent) -> Iterator[Fact]:
    """For an image without a manifest."""
    release = dict(_assignments(_text(content, "etc/os-release") or _text(content, "usr/lib/os-release")))
    yield "system", (release.get("PRETTY_NAME", ""),)
    yield "host name", (_text(content, "etc/hostname").strip(),)
    yield "users", tuple(_accounts(_text(content, "etc/passwd")))
    yield "services", tuple(sorted({found[1] for name in content.files if (found := _WANTS.fullmatch(name))}))
    yield from _container(content.outer.get("config", b"").decode("utf-8", "replace"))
    if content.files:
        total = sum(entry.size for entry in content.files.values())
        yield "content", (f"{len(content.files):,} files and folders with {size(total)}",)
    yield "packed of", tuple(f"{name} ({size(number)})" for name, number in content.members.items())


def _users(probes: list[dict[str, Any]]) -> Iterator[str]:
    settings = {probe["setting"]: probe["expected"] for probe in probes if probe["setting"].startswith("[users] ")}
    for probe in probes:
        setting = probe["setting"]
        if probe["name"].startswith("user-") and probe["name"] == f"user-{setting.removeprefix('[users] ')}":
            login = setting.removeprefix("[users] ")
            more = [probe["expected"]]
            more += [
                f"{word} {settings[key]}" for word in ("groups", "sudo") if (key := f"{setting}: {word}") in settings
            ]
            more += [f"password {settings[key]}" for key in (f"{setting}: passwd",) if key in settings]
            more += ["ssh key" for key in (f"{setting}: ssh_keys",) if key in settings]
            yield f"{login} ({'; '.join(filter(None, more))})"
    root = next((probe["expected"] for probe in probes if probe["name"] == "password-root"), "")
    if root:
        yield f"root (password {root})"


def _named(probes: list[dict[str, Any]], kind: str) -> tuple[str, ...]:
    found = [probe for probe in probes if probe["name"].startswith(kind)]
    return tuple(dict.fromkeys(probe["name"].removeprefix(kind) for probe in found))


def _ports(probes: list[dict[str, Any]]) -> Iterator[str]:
    for probe in probes:
        if found := re.fullmatch(r"firewall-(tcp|udp|sctp)-(.+)", probe["name"]):
            yield f"{found[2]}/{found[1]}"


def _machine(build_recipe: Mapping[str, str]) -> Iterator[Fact]:
    if MACHINE in build_recipe:
        try:
            machine = machine_read_back(build_recipe[MACHINE])
        except ValueError as error:
            yield "machine", (f"its description is unusable: {error}",)
            return
        yield from _whole(machine)
    else:
        yield from _container(build_recipe.get("config", ""))


def _whole(machine: Machine) -> Iterator[Fact]:
    yield "machine", (f"{machine.cpus} CPU, {_mib(machine.ram)} of memory, {machine.firmware}",)
    yield (
        "disks",
        tuple(
            f"{drive.name} ({size(drive.size) if drive.size else 'as large as its content'}, {drive.kind}):"
            f" {', '.join(f'{v.mount or v.kind} {v.fs or str()}'.strip() for v in drive.volumes) or 'empty'}"
            for drive in machine.drives
        ),
    )
    yield "adapters", tuple(f"{nic.name} ({nic.type}, {nic.adapter}, {nic.hw_addr})" for nic in machine.nics)


def _container(config: str) -> Iterator[Fact]:
    """Of LXC's configuration."""
    try:
        entries = parse_config(config)
    except ValueError as error:
        yield "container", (f"its configuration is unusable: {error}",)
        return
    memory = next((value for key, value in entries if key in _MEMORY and value.isdigit()), "")
    if memory:
        yield "container", (f"{_mib(int(memory[:20]))} of memory",)
    yield "adapters", tuple(f"{nic.name} (bridge {nic.bridge})" for nic in nics_of(entries))


def _mib(number: int) -> str:
    """As a recipe has memory."""
    return f"{number >> 20} MiB"


def _accounts(passwd: str) -> Iterator[str]:
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) == 7 and fields[2].isdigit() and (fields[2] == "0" or int(fields[2][:12]) in _PERSON):
            yield f"{fields[0]} (uid {fields[2]}, {fields[5]}, {fields[6]})"


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """os-release(5)."""
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            yield name.strip(), value.strip().strip("\"'")


def _text(content: RootContent, name: str) -> str:
    return content.texts.get(name, b"").decode("utf-8", "replace")


def _date(epoch: int) -> str:
    try:
        return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%d %H:%M UTC") if epoch else ""
    except (OverflowError, ValueError, OSError):
        return ""
