"""doctor --host: what its findings are on hosts of all kinds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from vmgen_build.build.places.nodes.doctor import SCRIPT, TOOLS, Answers, findings
from vmgen_build.cli import main

DISK = "/dev/sda1 100000000 1 {free} 1% /"
COMMON = {"user": "0", "time": "0", "kernel": "2.6.32-042stab145.3"} | {f"tool {t}": f"/bin/{t}" for t in TOOLS}
ROOM = {"path temporary files": "/var/tmp", "room temporary files": DISK.format(free=9_000_000)}
OPENVZ = {
    "vzctl": "vzctl version 4.11.1",
    "vzconf": "/etc/vz/vz.conf",
    "layout": "ploop",
    "beancounters": "yes",
    "ploop": "yes",
    "libploop": "yes",
    "vzlist": "3",
    "path OS template cache": "/vz/template/cache",
    "room OS template cache": DISK.format(free=9_000_000),
    "path private area": "/vz/private",
    "room private area": DISK.format(free=9_000_000),
}


def look(values: dict[str, str], ahead: float = 0.0) -> dict[str, tuple[bool, str, str]]:
    return {f.what: (f.good, f.found, f.advice) for f in findings(Answers(values, ahead))}


def test_a_good_node() -> None:
    found = look(COMMON | ROOM | OPENVZ)
    assert all(good and not advice for good, _, advice in found.values())
    assert found["OpenVZ"][1] == "vzctl version 4.11.1"
    assert found["kernel"][1] == "2.6.32-042stab145.3, OpenVZ with beancounters and ploop"
    assert found["private area"][1] == "9.2 GB free in /vz/private"


@pytest.mark.parametrize(
    ("change", "ahead", "what", "message"),
    [
        ({"vzconf": None}, 0, "vz.conf", "exit code 10"),
        ({"vzlist": None, "vzlist-words": "Unable to open /dev/vzctl"}, 0, "vzlist", "service vz start"),
        ({"tool flock": None}, 0, "flock", "yum install util-linux"),
        ({"room private area": DISK.format(free=1000)}, 0, "private area", "4.0 GB are needed"),
        ({"room OS template cache": "df: nothing"}, 0, "OS template cache", "Look at /vz/template/cache"),
        ({}, 3600, "clock", "NTP"),
        ({}, -61, "clock", "NTP"),
        ({"vzctl": None}, 0, "containers", "Install vzctl"),
    ],
)
def test_what_is_missing(change: dict[str, str | None], ahead: float, what: str, message: str) -> None:
    facts = {k: v for k, v in {**COMMON, **ROOM, **OPENVZ, **change}.items() if v is not None}
    found = look(facts, ahead)
    assert [name for name, (good, *_) in found.items() if not good] == [what]
    assert message in found[what][2]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, "works, 3 containers"),
        ({"vzlist-words": "CT 7 is odd"}, "works, 3 containers; it says: CT 7 is odd"),
        ({"vzlist": "0"}, "works, 0 containers"),
        (
            {"vzlist": "0", "beancounters": None, "configured": "2"},
            "lists none, on a kernel without OpenVZ; 2 are configured in /etc/vz/conf",
        ),
    ],
)
def test_what_vzlist_lists(change: dict[str, str | None], found: str) -> None:
    """On a kernel without OpenVZ, vzlist -a ends with 0 and lists nothing, whatever runs."""
    facts = {k: v for k, v in {**COMMON, **ROOM, **OPENVZ, **change}.items() if v is not None}
    assert look(facts)["vzlist"][:2] == (True, found)


@pytest.mark.parametrize(
    ("layout", "there", "good", "found"),
    [
        ("ploop", ("ploop", "libploop"), True, "ploop"),
        ("ploop", ("libploop",), False, "ploop, which needs the kernel's module ploop"),
        ("ploop", (), False, "ploop, which needs the kernel's module ploop and the library libploop"),
        ("simfs", (), True, "simfs"),
        ("", (), True, "vzctl's own choice (VE_LAYOUT is not set)"),
    ],
)
def test_the_layout_ploop_needs_ploop(layout: str, there: tuple[str, ...], good: bool, found: str) -> None:
    facts = {k: v for k, v in {**COMMON, **ROOM, **OPENVZ}.items() if "ploop" not in k or k in there}
    is_good, text, advice = look(facts | {"layout": layout})["layout"]
    assert (is_good, text) == (good, found)
    assert good or ("VE_LAYOUT=simfs" in advice and "ends with 99" in advice)


VZLIST = """#!/bin/sh
echo "Directory /proc/vz 2.6 is not there" >&2
printf '%10s\\n' 101 9001
"""


def test_only_containers_are_counted_in_what_vzlist_writes(tmp_path: Path) -> None:
    for name, text in (("vzlist", VZLIST), ("vzctl", "#!/bin/sh\necho vzctl version 4.11.1\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    ran = subprocess.run(
        ["sh"], input=SCRIPT, capture_output=True, text=True, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    )
    values = dict(line.split("\t", 1) for line in ran.stdout.splitlines())
    assert values["vzlist"] == "2" and values["vzlist-words"] == "Directory /proc/vz 2.6 is not there"


def test_lxc_is_enough() -> None:
    found = look(COMMON | ROOM | {"lxc": "5.0.2"})
    assert all(good for good, *_ in found.values())
    assert "OpenVZ" not in found


def test_the_script_is_sound() -> None:
    command = ["shellcheck", "-s", "sh", "-e", "SC1091", "-"]
    ran = subprocess.run(command, input=SCRIPT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_a_wrong_host_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["doctor", "--host", "node"]) == 2
    assert "did you mean 'ssh://node'?" in capsys.readouterr().err
