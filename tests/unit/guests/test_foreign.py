"""Containers of other architectures: their lines, and the script that has their programs run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from vmgen_build.errors import HostError
from vmgen_build.guests.lxc import container, foreign
from vmgen_build.guests.lxc.container import walled
from vmgen_build.host.architectures import Emulation

ARM64 = Emulation("arm64", Path("/usr/bin/qemu-aarch64-static"))


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that has qemu-user, and runs no arm64 by itself."""
    monkeypatch.setattr(container, "emulation_of", lambda arch: ARM64 if arch == "arm64" else None)


@pytest.mark.usefixtures("emulated")
def test_a_container_of_the_hosts_own_has_no_further_line(tmp_path: Path) -> None:
    lines = walled(tmp_path, "amd64", network=True)
    assert not [line for line in lines if line.startswith(("lxc.arch", "lxc.idmap", "lxc.hook"))]
    assert "lxc.mount.auto = proc:mixed sys:ro cgroup:ro" in lines and "lxc.cgroup2.devices.deny = a" in lines
    assert sorted(set(walled(tmp_path, "i386", network=True)) - set(lines)) == ["lxc.arch = i686"]


@pytest.mark.usefixtures("emulated")
def test_an_emulated_one_has_its_own_users_and_a_script(tmp_path: Path) -> None:
    lines = walled(tmp_path, "arm64", network=False)
    assert [line for line in lines if "idmap" in line] == [f"lxc.idmap = {kind} 0 0 4294967295" for kind in "ug"]
    assert f"lxc.hook.mount = {tmp_path}/binfmt" in lines
    assert not [line for line in lines if "devices" in line], "root of a user namespace sets no device filter"
    assert "lxc.mount.auto = proc:mixed" in lines
    script = tmp_path / "binfmt"
    assert script.stat().st_mode & 0o777 == 0o755
    assert f"'{ARM64.registration()}'" in script.read_text()
    subprocess.run(["shellcheck", "-s", "sh", script], check=True)


def test_what_this_host_cannot_run_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_way(arch: str) -> None:
        raise HostError(f"this host runs no {arch} programs")

    monkeypatch.setattr(container, "emulation_of", no_way)
    with pytest.raises(HostError, match="runs no arm64"):
        walled(tmp_path, "arm64", network=True)


def test_uname_is_that_of_i386_alone() -> None:
    assert foreign.personality("i386") == ["lxc.arch = i686"]
    assert foreign.personality("amd64") == foreign.personality("arm64") == []
