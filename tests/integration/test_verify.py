"""verify on real images: a good one holds, each damage done to it is found, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.artifacts.compression import Compression
from vmgen_build.artifacts.manifest import manifest_path
from vmgen_build.artifacts.tarball import TarContent, write_tarball
from vmgen_build.boots.tree import PLACE, Tree
from vmgen_build.events import Bus
from vmgen_build.host import memory
from vmgen_build.host.channel import WorkerBus
from vmgen_build.host.files import Written
from vmgen_build.host.namespaces import run_isolated

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Verdict = Callable[[Path], dict[str, tuple[str, str]]]

RECIPE = """
[hardware]
    vm_id = proven
    os = debian-12
    ram = 512
    [[eths]]
        [[[eth0]]]
            hw_addr = 00:16:3e:00:00:07
            type = bridged
        [[[eth1]]]
            type = hostonly
[network]
    gateway = 192.0.2.254
    [[eths]]
        [[[eth0]]]
            address = 192.0.2.7/24, 2001:db8::7/64
        [[[eth1]]]
            type = dhcp
    [[open_ports]]
        [[[ssh]]]
            port = 22
[users]
    [[users]]
        [[[user0]]]
            name = caesar
            passwd = alesia
[config]
    hostname = HAL-9000
[services]
    sshd = 1
"""
NAME = "proven-lxc-amd64.tar.zst"


@pytest.fixture(scope="module")
def image(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("proven")
    (folder / "proven.ini").write_text(RECIPE)
    done = vmgen(folder / "proven.ini", "-o", folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / NAME


@pytest.fixture
def opened(image: Path, tmp_path: Path) -> Path:
    """The image's content, to be damaged."""
    subprocess.run(["tar", "--zstd", "--xattrs", "--xattrs-include=*", "-xpf", image, "-C", tmp_path], check=True)
    return tmp_path


@pytest.fixture
def verdict(vmgen: Run) -> Verdict:
    """probe -> outcome, what was found."""

    def verify(artifact: Path) -> dict[str, tuple[str, str]]:
        done = vmgen("verify", artifact, "--json", "--timeout", 60)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        found = {e["probe"]: (e["outcome"], e["found"]) for e in events if e["event"] == "probe"}
        failed = any(outcome == "fails" for outcome, _ in found.values())
        assert done.returncode == (1 if failed else 0), done.stderr
        assert found, done.stderr
        return found

    return verify


@pytest.fixture(autouse=True)
def nothing_is_left(cache: Path) -> Iterator[None]:
    before = traces(cache)
    yield
    assert traces(cache) == before


def traces(cache: Path) -> tuple[object, ...]:
    """What stands in this test's cache alone, since tests with other caches may run meanwhile, and network devices but
    those of their nodes, lxc's among them: what verify makes lies in a network of its own."""
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(cache) in line]
    listed = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
    links = [line for line in listed.splitlines() if not line.startswith(("vb", "vn", "vt", "veth"))]
    return (mounts, links, processes_in(cache))


def processes_in(cache: Path) -> list[str]:
    """Those that have the cache's path among their words."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if command.startswith(("lxc-start", "dnsmasq")) and str(cache) in command:
            found.append(command)
    return sorted(found)


def repack(opened: Path, original: Path) -> Path:
    """The altered content under the manifest of the original, whose digest is made to fit."""
    out = opened / "out"
    out.mkdir()
    texts = {name: (opened / name).read_text() for name in ("metadata.yaml", "config")}
    content = TarContent(opened / "rootfs", "rootfs", 2**31, texts=texts)
    written: Written = write_tarball(out / NAME, content, Compression("zstd", 1))
    manifest: dict[str, Any] = json.loads(manifest_path(original).read_text())
    manifest["files"] = [{"name": NAME, "size": written.size, "sha256": written.sha256}]
    manifest_path(written.path).write_text(json.dumps(manifest))
    return written.path


def test_a_good_image_holds(image: Path, verdict: Verdict) -> None:
    found = verdict(image)
    assert {outcome for outcome, _ in found.values()} <= {"holds", "skipped"}, found
    assert {name for name, (outcome, _) in found.items() if outcome == "skipped"} <= {"ram"}
    assert found["system"] == ("holds", "running")
    assert found["digest"][0] == found["hostname"][0] == found["port-22-open"][0] == "holds"
    assert found["eth0-hw-addr"] == ("holds", "00:16:3e:00:00:07")


def test_each_damage_is_found(image: Path, opened: Path, verdict: Verdict) -> None:
    root = opened / "rootfs"
    (root / "etc/hostname").write_text("other\n")
    (root / "etc/iptables/rules.v4").write_text("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n")
    (root / "etc/systemd/system/multi-user.target.wants/ssh.service").unlink()
    shadow = (root / "etc/shadow").read_text().splitlines()
    (root / "etc/shadow").write_text(
        "".join((f"caesar:*{line[7:]}" if line.startswith("caesar:") else line) + "\n" for line in shadow)
    )
    interfaces = root / "etc/network/interfaces"
    interfaces.write_text(interfaces.read_text().replace("192.0.2.254", "192.0.2.253"))
    config = opened / "config"
    config.write_text(config.read_text().replace("00:16:3e:00:00:07", "00:16:3e:00:00:08"))
    found = verdict(repack(opened, image))
    failed = {name for name, (outcome, _) in found.items() if outcome == "fails"}
    assert failed >= {"hostname", "firewall-INPUT", "firewall-tcp-22", "port-9-closed", "eth0-hw-addr"}, found
    assert any("ssh" in name for name in failed) and any("caesar" in name for name in failed), found
    assert any("gateway" in name for name in failed), found
    assert found["hostname"] == ("fails", "other, not HAL-9000")
    assert found["system"][0] == "holds"


def test_an_address_that_nobody_has_is_not_a_closed_port(image: Path, opened: Path, verdict: Verdict) -> None:
    interfaces = opened / "rootfs/etc/network/interfaces"
    interfaces.write_text(interfaces.read_text().replace("192.0.2.7/24", "192.0.2.8/24"))
    found = verdict(repack(opened, image))
    assert found["port-9-closed"] == ("fails", "nobody has the address 192.0.2.7, not closed")
    assert found["port-22-open"][0] == "fails"


def test_a_machine_that_does_not_start_says_why(vmgen: Run, image: Path, opened: Path) -> None:
    (opened / "rootfs/sbin/init").unlink()
    done = vmgen("verify", repack(opened, image))
    assert done.returncode == 1
    assert "error: the machine does not start: its init ended" in done.stderr
    assert '"/sbin/init"' in done.stderr and "Traceback" not in done.stderr


def test_a_machine_that_never_comes_up_says_what_it_waits_for(vmgen: Run, image: Path, opened: Path) -> None:
    unit = opened / "rootfs/etc/systemd/system/stuck.service"
    unit.write_text("[Unit]\nBefore=multi-user.target\n[Service]\nType=oneshot\nExecStart=/bin/sleep 1000\n")
    (unit.parent / "multi-user.target.wants/stuck.service").symlink_to("../stuck.service")
    done = vmgen("verify", repack(opened, image), "--timeout", 5)
    assert done.returncode == 1
    assert "the machine did not come up within 5 s (starting)" in done.stderr
    assert "stuck.service" in done.stderr


def test_a_damaged_file_is_not_booted(vmgen: Run, image: Path, tmp_path: Path) -> None:
    copy = tmp_path / NAME
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    manifest_path(copy).write_text(manifest_path(image).read_text())
    done = vmgen("verify", copy)
    assert done.returncode == 1
    assert "is not the file that proven-lxc-amd64.tar.zst.manifest.json describes" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("moment", [0.3, 1.2, 2.0])
def test_ended_at_any_moment(image: Path, cache: Path, number: signal.Signals, moment: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "vmgen_build", "verify", image],
        env=os.environ | {"VMGEN_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    time.sleep(moment)
    process.send_signal(number)
    assert process.stderr is not None
    message = process.communicate(timeout=15)[1].decode()
    if number == signal.SIGINT and message.startswith("Fatal Python error"):
        return  # the interpreter had not begun yet
    assert "Traceback" not in message
    in_pythons_start = -signal.SIGINT
    assert process.returncode in ((130, 0, in_pythons_start) if number == signal.SIGINT else (-9, 0))
    deadline = time.monotonic() + 5
    while processes_in(cache) and time.monotonic() < deadline:
        time.sleep(0.05)


def test_an_image_that_outgrows_the_memory_is_unpacked_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/zeros").write_bytes(bytes(20 << 20))
    content = TarContent(tmp_path / "root", "rootfs", 0)
    packed = write_tarball(tmp_path / "x.tar.zst", content, Compression("zstd", 1))
    monkeypatch.setattr(memory, "available", lambda: 4 << 20)

    def work(_bus: WorkerBus) -> list[str]:
        with ExitStack() as undo:
            Tree(tmp_path / "out", (), undo).unpack(packed.path)
            return [
                line.split()[2] for line in Path("/proc/self/mounts").read_text().splitlines() if str(PLACE) in line
            ]

    assert run_isolated(work, Bus()) not in ([], ["tmpfs"])
    assert (tmp_path / "out/rootfs/zeros").stat().st_size == 20 << 20
