"""What can be told of a boot in QEMU without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.boots.qemu.boot import SKIPPED, Mute
from vmgen_build.boots.qemu.net import joined
from vmgen_build.errors import BuildError
from vmgen_build.guests.qemu.host import _has_kvm
from vmgen_build.plan.machine import Nic


def nic(name: str, kind: str, bridge: str | None = None) -> Nic:
    return Nic(name=name, hw_addr="", type=kind, adapter="e1000", bridge=bridge, connected=True)


def test_interfaces_of_one_network_share_a_bridge() -> None:
    nics = [nic("a", "nat"), nic("b", "bridged"), nic("c", "nat"), nic("d", "nat", "br0"), nic("e", "bridged", "br0")]
    assert [j.bridge for j in joined(nics)] == ["vmgenbr0", "vmgenbr1", "vmgenbr0", "vmgenbr2", "vmgenbr2"]
    assert [j.name for j in joined(nics)] == list("abcde")


def test_a_kvm_without_the_processor_s_own_virtualisation_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("model name\t: vmx svm\nflags\t\t: fpu sse2 vmxfoo\n")
    assert not _has_kvm(tmp_path / "plain", Path("/dev/null"))
    (tmp_path / "vmx").write_text("flags\t\t: fpu vmx sse2\n")
    assert not _has_kvm(tmp_path / "vmx", tmp_path / "no-such-device")
    assert not _has_kvm(tmp_path / "vmx", Path("/dev/null"))


def test_a_machine_that_cannot_be_spoken_to_skips_every_question(tmp_path: Path) -> None:
    ran = Mute("its root is odd").run("true")
    assert (ran.code, ran.out) == (
        SKIPPED,
        "the machine booted to its login prompt, but cannot be asked: its root is odd",
    )
    with pytest.raises(BuildError, match=r"cannot read /etc/fstab .*: its root is odd"):
        Mute("its root is odd").get("/etc/fstab", tmp_path / "x")
