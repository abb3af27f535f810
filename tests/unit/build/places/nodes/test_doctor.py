"""doctor --host: what its findings are on hosts of all kinds."""

from __future__ import annotations

import subprocess

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
        ({"vzlist": None, "vzlist-error": "Unable to open /dev/vzctl"}, 0, "vzlist", "service vz start"),
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
