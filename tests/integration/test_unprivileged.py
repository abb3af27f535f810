"""Issue 8, item 16: the DHCP server of a boot, which reads what a foreign machine sends, does not run as root."""

from __future__ import annotations

import pwd
import time
from pathlib import Path

from vmgen_build.artifacts.lxc import BridgedNic
from vmgen_build.boots.network import dhcp_server, make_bridges
from vmgen_build.events import Bus
from vmgen_build.host.namespaces import run_isolated

CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW = 10, 12, 13


def status_of(program: str) -> dict[str, str]:
    """Of the one process of that name in our PID namespace (proc(5))."""
    texts = [path.read_text() for path in Path("/proc").glob("[0-9]*/status")]
    found = [dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line) for text in texts]
    return next((status for status in found if status["Name"] == program[:15]), {})


def test_issue_8_16_the_dhcp_server_of_a_boot_is_nobody(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    nobody = pwd.getpwnam("nobody").pw_uid

    def work(_: Bus) -> dict[str, str]:
        with dhcp_server(make_bridges([BridgedNic(0, "eth0", "vmgenbr0")]), tmp_path):
            deadline = time.monotonic() + 30.0
            while status_of("dnsmasq").get("Uid", "").split() != [str(nobody)] * 4 and time.monotonic() < deadline:
                time.sleep(0.05)
            return status_of("dnsmasq")

    status = run_isolated(work, Bus(), net=True)
    assert {int(word) for word in status["Uid"].split()} == {nobody}
    network = 1 << CAP_NET_BIND_SERVICE | 1 << CAP_NET_ADMIN | 1 << CAP_NET_RAW
    assert int(status["CapEff"], 16) & ~network == 0
    assert "0" not in status["Groups"].split()
