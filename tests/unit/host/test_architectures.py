"""Programs of other architectures on this host."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from vmgen_build.errors import HostError
from vmgen_build.host import architectures
from vmgen_build.host.architectures import (
    Emulation,
    able_to_run,
    emulation_of,
    kernel_runs,
    requirements_of,
    runs,
    why_not,
)

on_amd64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="speaks of a host of amd64")


class Uname:
    """Of a host that there is none of here."""

    def __init__(self, release: str, machine: str = "x86_64") -> None:
        self.release, self.machine = release, machine


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A host that runs programs of no other architecture by itself."""
    monkeypatch.setattr(architectures, "runs", lambda arch: arch == "amd64")
    return monkeypatch


def test_what_is_this_hosts_own_runs() -> None:
    own = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    assert runs(own) and why_not(own) == "" and emulation_of(own) is None and requirements_of(own) == ()
    with able_to_run(own) as words:
        assert words == []


def test_a_name_of_no_architecture_is_nobodys() -> None:
    assert emulation_of("vax") is None and why_not("") == "" and requirements_of("None") == ()


@pytest.mark.parametrize("arch", ["amd64", "i386", "arm64"])
def test_the_smallest_program_is_one_for_qemu_and_ends_with_0(arch: str, tmp_path: Path) -> None:
    kind = architectures._KINDS[arch]
    qemu = shutil.which(f"qemu-{kind.qemu}-static")
    if qemu is None:
        pytest.skip("needs qemu-user-static")
    program = tmp_path / "program"
    program.write_bytes(architectures._program(kind))
    program.chmod(0o755)
    assert subprocess.run([qemu, program]).returncode == 0
    program.write_bytes(program.read_bytes()[:-4] + b"\0\0\0\0")
    assert subprocess.run([qemu, program], capture_output=True).returncode != 0


def test_the_line_for_binfmt_misc_is_that_of_qemus_package(tmp_path: Path) -> None:
    """qemu-aarch64.conf of Debian's package, but for its name, interpreter and flags."""
    line = Emulation("arm64", Path("/usr/bin/qemu-aarch64-static")).registration()
    magic = r"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    mask = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
    assert line == f":vmgen-arm64:M::{magic}:{mask}:/usr/bin/qemu-aarch64-static:PCF"


@on_amd64
def test_without_qemu_its_package_is_named(foreign: pytest.MonkeyPatch) -> None:
    foreign.setattr(os, "uname", lambda: Uname("6.18.1"))
    foreign.setattr(architectures, "find_program", lambda name: None)
    assert why_not("arm64") == ""
    (wanted,) = requirements_of("arm64")
    assert (wanted.command, wanted.package) == ("qemu-aarch64-static", "qemu-user-static")
    with pytest.raises(HostError, match=r"runs no arm64 programs; get it with.*qemu-user-static"):
        emulation_of("arm64")


@on_amd64
def test_a_qemu_that_needs_libraries_is_none(foreign: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Debian 12 has one in its package qemu-user; from 13 on it is whole."""
    foreign.setattr(os, "uname", lambda: Uname("6.18.1"))
    program = tmp_path / "qemu-aarch64"
    program.touch()
    foreign.setattr(architectures, "find_program", lambda name: str(program) if name == program.name else None)
    assert emulation_of("arm64") == Emulation("arm64", program)
    program.write_bytes(b"\x7fELF" + bytes(600) + b"/lib64/ld-linux-x86-64.so.2")
    assert requirements_of("arm64")


@on_amd64
@pytest.mark.parametrize("release", ["6.6.63-1-lts", "5.10.0", "4.19"])
def test_an_older_kernel_is_refused_with_what_to_do(foreign: pytest.MonkeyPatch, release: str) -> None:
    foreign.setattr(os, "uname", lambda: Uname(release))
    assert requirements_of("arm64") == (), "no package makes the kernel newer"
    for part in (f"kernel {release}", "Linux 6.7", "qemu-user-static binfmt-support"):
        assert part in why_not("arm64")
    with pytest.raises(HostError, match=r"Linux 6\.7"):
        emulation_of("arm64")
    with pytest.raises(HostError), able_to_run("arm64"):
        pass


@on_amd64
def test_a_kernel_without_i386_is_refused(foreign: pytest.MonkeyPatch) -> None:
    assert "ia32_emulation=1" in why_not("i386")


@on_amd64
def test_i386_beside_amd64_says_its_own_name() -> None:
    if not runs("i386"):
        pytest.skip("this host's kernel runs no i386 programs")
    with able_to_run("i386") as words:
        assert subprocess.run([*words, "uname", "-m"], capture_output=True, text=True).stdout == "i686\n"


@on_amd64
@pytest.mark.skipif(os.geteuid() != 0, reason="only root maps all users")
def test_arm64_runs_in_a_namespace_of_its_own_and_the_host_learns_nothing(tmp_path: Path) -> None:
    if runs("arm64") or why_not("arm64") or requirements_of("arm64"):
        pytest.skip("this host has another way, or none")
    program = tmp_path / "program"
    program.write_bytes(architectures._program(architectures._KINDS["arm64"]))
    program.chmod(0o755)
    with able_to_run("arm64") as words:
        assert subprocess.run([*words, program]).returncode == 0
        seen = subprocess.run([*words, "stat", "-c", "%u %g", "/proc/self", tmp_path], capture_output=True, text=True)
        assert seen.stdout.splitlines() == ["0 0", "0 0"]
        assert not Path(architectures.BINFMT, "vmgen-arm64").exists()
        with pytest.raises(OSError, match="Exec format error"):
            subprocess.run([program])


@pytest.mark.parametrize(
    ("machine", "arch", "runs_it"),
    [
        ("x86_64", "amd64", True),
        ("x86_64", "i386", True),
        ("x86_64", "arm64", False),
        ("i686", "amd64", False),
        ("i586", "i386", True),
        ("aarch64", "arm64", True),
        ("aarch64", "i386", False),
        ("riscv64", "amd64", True),
        ("", "arm64", True),
    ],
)
def test_what_a_kernel_elsewhere_runs(machine: str, arch: str, runs_it: bool) -> None:
    """One of a word that nobody knows is left alone."""
    assert kernel_runs(machine, arch) is runs_it
