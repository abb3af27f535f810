"""Windows. Nothing of it is planned yet: such a recipe is checked."""

from __future__ import annotations

from vmgen_build.systems.model import Edition, Family

_EDITIONS = (
    ("winxp", "xp", "i386"),
    ("winxppro", "xp", "i386"),
    ("winvista", "vista", "amd64"),
    ("win7", "7", "amd64"),
    ("win8", "8", "amd64"),
    ("win8.1", "8.1", "amd64"),
    ("win10", "10", "amd64"),
    ("win11", "11", "amd64"),
    ("winsrv2003", "2003", "i386"),
    ("winsrv2008", "2008", "amd64"),
    ("winsrv2008r2", "2008r2", "amd64"),
    ("winsrv2012", "2012", "amd64"),
    ("winsrv2012r2", "2012r2", "amd64"),
    ("winsrv2016", "2016", "amd64"),
    ("winsrv2019", "2019", "amd64"),
    ("winsrv2022", "2022", "amd64"),
    ("winsrv2025", "2025", "amd64"),
)

FAMILY = Family(
    name="windows",
    rank=90,
    kind="windows",
    editions=tuple(Edition(name=name, version=version, arch=arch) for name, version, arch in _EDITIONS),
    dialect="batch",
    templates="windows",
    step_folder=r"C:\Windows\Temp\vmgen",
    groups=frozenset({"administrators", "users", "guests"}),
    admin_group="administrators",
    several_gateways=True,
    writers={"network": "netsh", "firewall": "windows_firewall"},
)
