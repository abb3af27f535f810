"""--host vsphere://...: what is taken, and what is refused without a password in the message."""

from __future__ import annotations

import pytest

from vmgen_build.errors import UsageError
from vmgen_build.guests.vsphere.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("vsphere://vcenter", Address("vcenter")),
        ("vsphere://VCenter.Example.org/", Address("vcenter.example.org")),
        ("vsphere://root@10.0.0.7:8443", Address("10.0.0.7", 8443, "root")),
        ("vsphere://ops%40vsphere.local@vcenter/DC%200", Address("vcenter", 443, "ops@vsphere.local", "DC 0")),
        ("vsphere://ops@vsphere.local@vcenter/Lab/DC0", Address("vcenter", 443, "ops@vsphere.local", "Lab/DC0")),
        (r"vsphere://CORP\ops@vcenter/a@b", Address("vcenter", 443, r"CORP\ops", "a@b")),
        ("vsphere://a%3Ab@vcenter", Address("vcenter", 443, "a:b")),
        ("vsphere://root@[fd00::7]:444/DC", Address("fd00::7", 444, "root", "DC")),
    ],
)
def test_what_names_a_server(text: str, address: Address) -> None:
    assert parse_address(text) == address


def test_it_is_shown_without_its_user() -> None:
    assert str(parse_address("vsphere://root@[fd00::7]:444/DC 0")) == "vsphere://[fd00::7]:444/DC%200"
    assert str(parse_address("vsphere://root@vcenter:443")) == "vsphere://vcenter"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("vsphere://root:canary@vcenter", "a password does not belong there.*VMGEN_VSPHERE_PASSWORD.*hosts.ini"),
        ("vsphere://ops:can@ary@vcenter/DC", "a password does not belong there"),
        ("vsphere://:canary@vcenter", "a password does not belong there"),
        ("vsphere:vcenter", "write it as vsphere://"),
        ("vsphere://", "names no vSphere server"),
        ("vsphere://@vcenter", "names no vSphere server"),
        ("vsphere://root@", "names no vSphere server"),
        ("vsphere://-x", "names no vSphere server"),
        ("vsphere://a b", "names no vSphere server"),
        ("vsphere://vcenter:0", "'0' is no port"),
        ("vsphere://vcenter:", "'' is no port"),
        ("vsphere://vcenter:99999", "'99999' is no port"),
        ("vsphere://vcenter/%ff", "is not UTF-8"),
        ("vsphere://vcenter/a%0ab", "holds what no name does"),
    ],
)
def test_what_names_none(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        parse_address(text)
    assert "canary" not in str(caught.value) and "ary@" not in str(caught.value)
