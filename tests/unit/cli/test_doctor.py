"""doctor, on a host that lacks things."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from vmgen_build.build import doctor
from vmgen_build.build.requirements import other_base_requirements
from vmgen_build.cli import main
from vmgen_build.host import needs, system

EVERYTHING = {r.command: r.package for r in doctor.requirements()}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user without rights, on a host where no program is found."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    runs(monkeypatch, tmp_path, 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    return tmp_path


def runs(monkeypatch: pytest.MonkeyPatch, folder: Path, os_release: str) -> None:
    """The host is one of this os-release, without AppArmor and without Debian's keys."""
    (folder / "os-release").write_text(os_release)
    monkeypatch.setattr(system, "OS_RELEASE", (folder / "os-release",))
    monkeypatch.setattr(system, "USERNS_SWITCH", folder / "switch")
    monkeypatch.setattr(doctor, "DEBIAN_KEYS", folder / "keys.gpg")
    monkeypatch.setattr(needs, "DEBIAN_KEYS", folder / "keys.gpg")


def test_one_command_mends_it(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["doctor", "-v", "--cache", str(bare)]) == 1
    lines = capsys.readouterr().out.splitlines()
    commands = [line.strip() for line in lines if "apt-get install" in line]
    assert len(commands) == 1
    head = "sudo apt-get update && sudo apt-get install -y --no-install-recommends "
    assert commands[0].startswith(head)
    assert set(commands[0].removeprefix(head).split()) - {"ovmf"} == set(EVERYTHING.values())
    assert {"lxc", "mmdebstrap", "zstd"} <= set(EVERYTHING.values())
    missing = {line.split()[1] for line in lines if line.startswith("MISSING")}
    assert missing == {*EVERYTHING, "root"}
    (dnf,) = [line for line in lines if line.startswith("ok") and " dnf " in line]
    assert "not here; it makes a base of Fedora or a relative; else an image server gives one" in dnf
    assert lines[0].split(maxsplit=2)[2] == "Debian GNU/Linux 12 (bookworm)"
    assert "debian-archive-keyring" not in commands[0]


def test_every_finding_of_a_host_that_has_every_program(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(bare)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=50_000_000_000))
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    assert main.run(["doctor", "--cache", str(bare), "--json"]) == 1
    found = {f.pop("what"): f for f in map(json.loads, capsys.readouterr().out.splitlines()) if "what" in f}
    for command, package in EVERYTHING.items():
        expected = {"good": True, "found": f"/usr/bin/{command}", "package": package, "advice": ""}
        assert found.pop(command) == expected, command
    for requirement in other_base_requirements():
        expected = {"good": True, "found": f"/usr/bin/{requirement.command}", "package": "", "advice": ""}
        assert found.pop(requirement.command) == expected
    assert found.pop("root") == {
        "good": False,
        "found": "building and verifying need it",
        "package": "",
        "advice": "Build and verify by sudo, or as root.",
    }
    assert found.pop("host") == {
        "good": True,
        "found": "Debian GNU/Linux 12 (bookworm)",
        "package": "",
        "advice": "",
    }
    for what, folder in (("cache", bare), ("temporary files", "/var/tmp")):
        assert found.pop(f"disk space ({what})") == {
            "good": True,
            "found": f"50 GB free in {folder}",
            "package": "",
            "advice": "",
        }
    for what, listed in (("backends", "kvm, lxc, openvz, vmware"), ("places", "local, qemu, ssh, vsphere")):
        assert found.pop(what) == {"good": True, "found": listed, "package": "", "advice": ""}
    kernel = {what: (f["good"], f["found"], f["package"], f["advice"]) for what, f in found.items()}
    version = doctor.cgroup_version()
    overlay = "overlay" in Path("/proc/filesystems").read_text()
    assert version and overlay, "the tests run where containers can be made"
    assert kernel == {"overlayfs": (True, "known to the kernel", "", ""), "cgroup": (True, version, "", "")}


def test_a_host_without_apt_gets_a_list(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs(monkeypatch, bare, "ID=fedora\nVERSION_ID=42\n")
    assert main.run(["doctor", "-v", "--cache", str(bare)]) == 1
    out = capsys.readouterr().out
    assert "apt-get" not in out
    assert "fedora 42, which was not tried; Debian 12, Debian 13 and Ubuntu 24.04 were" in out.splitlines()[0]
    listed = out.split("Get what Debian's packages of these names hold")[1].split("\n  ", 1)[1].split()
    assert {"mmdebstrap", "dnsmasq-base", "debian-archive-keyring"} <= set(listed)
    lacking = " ".join(out.split())
    assert "dnsmasq is missing: it gives addresses to an image that is verified (verify kvm, lxc," in lacking
    assert "Debian's keys are missing: they check what a Debian base is made of (build kvm, lxc, openvz," in lacking
    assert main.run(["doctor", "--install", "--cache", str(bare)]) == 1
    assert "this host has no apt-get; install what Debian's packages of these names hold" in capsys.readouterr().err


def test_ubuntu_needs_debians_keys_and_apparmor_is_no_hindrance(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs(monkeypatch, bare, 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04.3 LTS"\n')
    (bare / "switch").write_text("1\n")
    main.run(["doctor", "--cache", str(bare), "--json"])
    found = {f["what"]: f for f in map(json.loads, capsys.readouterr().out.splitlines()) if "what" in f}
    assert found["host"]["found"] == "Ubuntu 24.04.3 LTS"
    assert not found["Debian's keys"]["good"] and found["Debian's keys"]["package"] == "debian-archive-keyring"
    assert found["user namespaces"]["good"] and "AppArmor" in found["user namespaces"]["found"]
    (bare / "keys.gpg").write_text("")
    main.run(["doctor", "--cache", str(bare)])
    assert "debian-archive-keyring" not in capsys.readouterr().out


def test_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    cache, temporary = doctor.room(tmp_path / "not" / "there" / "yet")
    assert not cache.good
    assert "1.0 MB free" in cache.found
    assert "4.0 GB are needed" in cache.advice
    assert not temporary.good
    assert "200 MB are needed" in temporary.advice
