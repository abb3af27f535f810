"""What vzctl's distribution scripts write into a container at its start; Debian's alone are here.

The distribution is found in the template's name, of which parts are taken off from the right until
etc/vz/dists/NAME.conf exists.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from standin.place import Place, Values

LOOPBACK = "auto lo\niface lo inet loopback\n"

VENET = """
auto venet0
iface venet0 inet manual
\tup ifconfig venet0 up
\tup ifconfig venet0 127.0.0.2
\tup route add default dev venet0
\tdown route del default dev venet0
\tdown ifconfig venet0 down
"""

ALIAS = """
auto venet0:{number}
iface venet0:{number} inet static
\taddress {address}
\tnetmask 255.255.255.255
"""

VENET6 = "\niface venet0 inet6 manual\n"
"""Where vz.conf has IPV6=yes."""

HEAD = """\
# This file is written anew by the node at each start of the container.
# Do not edit it: what you change here is lost.
#
# Stanzas of your own belong in interfaces.head, which comes first, and in
# interfaces.tail, which comes last.
"""

TOOLS = ("ifconfig", "route")
"""By which the stanzas set a venet's address and its route, see sets_addresses."""


def configure(place: Place, values: Values, root: str, report: Callable[[str], None]) -> None:
    """Write host name, hosts, resolver and network of the container whose root is mounted at `root`."""
    wanted = [key for key in ("HOSTNAME", "NAMESERVER", "SEARCHDOMAIN", "IP_ADDRESS") if values.get(key)]
    if not wanted:
        return
    if not _distribution(place, values):
        report(
            f"Warning: unknown distribution of template '{values.get('OSTEMPLATE', '')}': nothing is configured inside"
        )
        return
    files = _files(values)
    inherited = _read("/etc/resolv.conf") if values.get("NAMESERVER") == "inherit" else ""
    if not _inside(root, lambda: _write_all(files, values, inherited)):
        report("Warning: the configuration of the distribution failed")


def sets_addresses(root: str) -> bool:
    """Whether the container's own scripts can set a venet's addresses and route: else it comes up without any."""
    folders = [f"{root}/{name}" for name in ("sbin", "usr/sbin", "bin", "usr/bin")]
    return all(any(os.path.lexists(f"{folder}/{tool}") for folder in folders) for tool in TOOLS)


def _distribution(place: Place, values: Values) -> str:
    name = values.get("DISTRIBUTION") or values.get("OSTEMPLATE", "")
    while name and not os.path.exists(f"{place.etc}/dists/{name}.conf"):
        name = name.rpartition("-")[0]
    return name


def _files(values: Values) -> dict[str, str]:
    files = {}
    if values.get("HOSTNAME"):
        files["/etc/hostname"] = values["HOSTNAME"].partition(".")[0] + "\n"
    servers = values.get("NAMESERVER", "")
    resolver = [f"nameserver {server}" for server in servers.split() if server != "inherit"]
    if values.get("SEARCHDOMAIN"):
        resolver.insert(0, f"search {values['SEARCHDOMAIN']}")
    if resolver:
        files["/etc/resolv.conf"] = "\n".join(resolver) + "\n"
    addresses = [a for a in values.get("IP_ADDRESS", "").split() if ":" not in a]
    if addresses:
        aliases = (ALIAS.format(number=i, address=a) for i, a in enumerate(addresses))
        sixth = VENET6 if values.get("IPV6") == "yes" else ""
        files["/etc/network/interfaces"] = HEAD + LOOPBACK + VENET + sixth + "".join(aliases)
    return files


def _write_all(files: dict[str, str], values: Values, inherited: str) -> None:
    """Runs with the container's root as /, so that none of its links leads out."""
    if inherited:
        files["/etc/resolv.conf"] = inherited
    if "/etc/network/interfaces" in files:
        files["/etc/network/interfaces"] += "\n" + _read("/etc/network/interfaces.tail")
    if values.get("HOSTNAME"):
        files["/etc/hosts"] = _hosts(values)
    for path, content in files.items():
        if os.path.islink(path) and not os.path.exists(path):
            os.unlink(path)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)


def _hosts(values: Values) -> str:
    name = values["HOSTNAME"]
    names = f"{name} {name.partition('.')[0]}" if "." in name else name
    address = (values.get("IP_ADDRESS", "").split() or ["127.0.0.1"])[0]
    kept = [line for line in _read("/etc/hosts").splitlines() if name not in line.split()]
    return "\n".join([f"{address} {names}", *kept]) + "\n"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _inside(root: str, work: Callable[[], None]) -> bool:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.chroot(root)
            os.chdir("/")
            work()
            code = 0
        except OSError as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0
