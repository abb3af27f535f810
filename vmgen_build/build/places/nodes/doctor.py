"""What a node is, and what it lacks for builds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vmgen_build.build.finding import Finding
from vmgen_build.errors import BuildError
from vmgen_build.guests.runners import Runner, answers, connect, parse_host
from vmgen_build.guests.runners.process import failure
from vmgen_build.limits import NODE_ANSWERS
from vmgen_build.text import duration, size

CLOCK = 60.0
"""Seconds that two clocks may differ: package indexes are signed for a time, and times end up in the image."""

TOOLS = {
    "bash": "bash",
    "tar": "tar",
    "gzip": "gzip",
    "flock": "util-linux",
    "unshare": "util-linux",
    "sha256sum": "coreutils",
    "timeout": "coreutils",
}
"""Each program that a build host must have, and the package of it, of one name in Debian and in Red Hat's family."""

ROOM = {"OS template cache": 2_000_000_000, "private area": 4_000_000_000, "temporary files": 1_000_000_000}
"""Free bytes that a build of a machine with the usual programs needs."""

PLOOP = {"ploop": "the kernel's module ploop", "libploop": "the library libploop"}
"""An answer of SCRIPT -> what of ploop, the layout of containers in image files, it finds."""

SCRIPT = r"""
put() { printf '%s\t%s\n' "$1" "$2"; }
version() { "$@" --version 2>&1 | head -n 1; }
room() {
    folder=$2
    while [ ! -d "$folder" ] && [ "${folder%/*}" != "$folder" ]; do folder=${folder%/*}; done
    put "path $1" "$2"
    put "room $1" "$(df -Pk "${folder:-/}" | tail -n 1)"
}
put user "$(id -u)"
put time "$(date +%s)"
put kernel "$(uname -r)"
for tool in TOOLS; do command -v "$tool" >/dev/null 2>&1 && put "tool $tool" "$(command -v "$tool")"; done
if command -v vzctl >/dev/null 2>&1; then
    put vzctl "$(version vzctl)"
    TEMPLATE=/vz/template VE_PRIVATE=/vz/private VE_LAYOUT=''
    export VEID=''
    if [ -r /etc/vz/vz.conf ]; then
        put vzconf /etc/vz/vz.conf
        . /etc/vz/vz.conf
    fi
    put layout "$VE_LAYOUT"
    [ -e /proc/user_beancounters ] && put beancounters yes
    for sign in /proc/vz/ploop_minor /sys/module/ploop /sys/module/dm_ploop; do [ -e "$sign" ] && put ploop yes; done
    ldconfig -p 2>/dev/null | grep -q 'libploop\.so' && put libploop yes
    if listed=$(vzlist -a -H -o ctid 2>/dev/null); then
        put vzlist "$(printf '%s\n' "$listed" | grep -c '^ *[0-9a-f-]\{1,\} *$')"
    fi
    put vzlist-words "$(vzlist -a -H -o ctid 2>&1 >/dev/null | tail -n 1)"
    put configured "$(find /etc/vz/conf -maxdepth 1 -name '[1-9]*.conf' 2>/dev/null | grep -c .)"
    room 'OS template cache' "$TEMPLATE/cache"
    room 'private area' "${VE_PRIVATE%/}"
fi
if command -v lxc-start >/dev/null 2>&1; then
    put lxc "$(version lxc-start)"
    command -v vzctl >/dev/null 2>&1 || room 'private area' "$(lxc-config lxc.lxcpath 2>/dev/null || echo /var/lib/lxc)"
fi
room 'temporary files' /var/tmp
""".replace("TOOLS", " ".join(TOOLS))
"""Run by sh on the host; prints "name TAB value" lines. vz.conf is shell by definition (vz.conf(5))."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What SCRIPT printed: name -> value. ahead: seconds that the host's clock is before ours. about: Runner.about."""

    values: Mapping[str, str]
    ahead: float
    about: str = ""


def look_at(host: str, *, accept_new: bool) -> list[Finding]:
    """Raises HostError where there is no connection, and BuildError where the host runs no sh."""
    with connect(parse_host(host), accept_new=accept_new, need_root=False) as runner:
        root, reason = _root(runner)
        answers = ask(runner)
    advice = "" if root else "Name root in --host, or allow that user sudo without a password (NOPASSWD in sudoers)."
    return [
        Finding("connection", True, f"{runner.name} ({answers.about})" if answers.about else runner.name),
        Finding("root", root, reason, advice=advice),
        *findings(answers),
    ]


def _root(runner: Runner) -> tuple[bool, str]:
    if runner.run(["id", "-u"], timeout=30).out.strip() == "0":
        return True, "commands run as root"
    if runner.run(["sudo", "-n", "id", "-u"], timeout=30).out.strip() == "0":
        return True, "by sudo without a password"
    return False, "not root, and sudo wants a password; a build makes containers there"


def ask(runner: Runner) -> Answers:
    began = time.time()
    ran = runner.run(["sh"], data=SCRIPT.encode(), timeout=120)
    middle = (began + time.time()) / 2
    values = dict(line.split("\t", 1) for line in ran.out.splitlines()[: NODE_ANSWERS.amount] if "\t" in line)
    if "time" not in values:
        raise BuildError(failure(f"looking at {runner.name}", ran.code, ran.err or ran.out))
    now = answers.number(values["time"], runner.name, "its time")
    return Answers({key: answers.shown(value) for key, value in values.items()}, now - middle, runner.about)


def findings(answers: Answers) -> Iterator[Finding]:
    values = answers.values
    if "vzctl" not in values and "lxc" not in values:
        advice = "Install vzctl (OpenVZ) or lxc on that host: it needs one of them to make containers."
        yield Finding("containers", False, "neither vzctl nor lxc is there", advice=advice)
    if "vzctl" in values:
        yield from _openvz(values)
    if "lxc" in values:
        yield Finding("lxc", True, f"version {values['lxc']}")
    for tool, package in TOOLS.items():
        path = values.get(f"tool {tool}")
        advice = "" if path else f"On that host: yum install {package}, or apt-get install {package}."
        yield Finding(tool, path is not None, path or "a build runs it there", advice=advice)
    yield from _room(values)
    good = abs(answers.ahead) <= CLOCK
    direction = "before" if answers.ahead > 0 else "behind"
    far = f"{duration(abs(answers.ahead))} {direction} ours"
    close = "as ours" if abs(answers.ahead) < 2 else far
    yield Finding("clock", good, close if good else far, advice="" if good else "Set that host's clock, as by NTP.")


def _openvz(values: Mapping[str, str]) -> Iterator[Finding]:
    yield Finding("OpenVZ", True, values["vzctl"])
    there = "vzconf" in values
    advice = "" if there else "Install vzctl whole: without /etc/vz/vz.conf it does nothing (its exit code 10)."
    yield Finding("vz.conf", there, values.get("vzconf", "/etc/vz/vz.conf can't be read"), advice=advice)
    broken = "Make 'vzlist -a' work on that host; vzctl's service ('service vz start') may not run."
    works = "vzlist" in values
    yield Finding("vzlist", works, _listed(values), advice="" if works else broken)
    yield _layout(values)
    with_what = " and ".join(name for name in ("beancounters", "ploop") if name in values)
    yield Finding(
        "kernel", True, f"{values.get('kernel')}, {'OpenVZ with ' + with_what if with_what else 'not OpenVZ'}"
    )


def _listed(values: Mapping[str, str]) -> str:
    """What vzlist listed, and what it wrote beside that. It lists nothing on a kernel without OpenVZ, whatever runs."""
    words = values.get("vzlist-words", "")
    counted = values.get("vzlist")
    if counted is None:
        return words or "does not work"
    text = f"works, {counted} containers"
    if counted == "0" and "beancounters" not in values:
        configured = values.get("configured", "0")
        text = f"lists none, on a kernel without OpenVZ; {configured} are configured in /etc/vz/conf"
    return f"{text}; it says: {words}" if words else text


def _layout(values: Mapping[str, str]) -> Finding:
    """ploop is also what a vzctl that knows it takes where VE_LAYOUT is not set."""
    layout = values.get("layout", "")
    lacking = [what for name, what in PLOOP.items() if name not in values]
    if layout == "ploop" and lacking:
        advice = (
            "Set VE_LAYOUT=simfs in /etc/vz/vz.conf on that host, or install what ploop needs (an OpenVZ kernel and"
            " the package ploop-lib): without it 'vzctl create' ends with 99."
        )
        return Finding("layout", False, f"ploop, which needs {' and '.join(lacking)}", advice=advice)
    return Finding("layout", True, layout or "vzctl's own choice (VE_LAYOUT is not set)")


def _room(values: Mapping[str, str]) -> Iterator[Finding]:
    """From the last lines of df -Pk: file system, 1024-blocks, used, available, capacity, mount point."""
    for what, needed in ROOM.items():
        if f"path {what}" not in values:
            continue
        folder, words = values[f"path {what}"], values.get(f"room {what}", "").split()
        if len(words) < 4 or re.fullmatch(r"[0-9]{1,15}", words[3]) is None:
            yield Finding(what, False, f"df does not know {folder}", advice=f"Look at {folder} on that host.")
            continue
        free = int(words[3]) * 1024
        good = free >= needed
        advice = "" if good else f"Make room in {folder} on that host: {size(needed)} are needed."
        yield Finding(what, good, f"{size(free)} free in {folder}", advice=advice)
