"""The network of running containers: venet0 as a routed pair of devices, veth pairs, and the node's masquerading.

On a real node venet is a point-to-point device without a link layer. Here it is one end of a veth pair whose other end
answers every ARP request (proxy_arp, ip-sysctl), so that the guest sees the same: one device, /32 addresses and no
gateway.
"""

from __future__ import annotations

import os
import subprocess

from standin.dists import sets_addresses
from standin.errors import ADDRESS_IN_USE, Refused
from standin.netif import Device
from standin.place import Place

FORWARDING = "/proc/sys/net/ipv4/ip_forward"


def run(*argv: str) -> bool:
    """Whether the command succeeded; what it says is dropped."""
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def host_device(place: Place, ctid: int) -> str:
    return f"vn{place.mark}.{ctid}"


def configuration(place: Place, ctid: int, addresses: list[str], devices: list[Device]) -> list[str]:
    """lxc.container.conf(5), NETWORK."""
    lines = ["type = veth", "name = venet0", f"veth.pair = {host_device(place, ctid)}"]
    if _default_mtu():
        lines.append(f"mtu = {_default_mtu()}")
    if addresses:
        lines += ["flags = up", *(f"ipv4.address = {address}/32" for address in addresses), "ipv4.gateway = dev"]
    lines = [f"lxc.net.0.{line}" for line in lines]
    for number, device in enumerate(devices, 1):
        head = f"lxc.net.{number}"
        lines += [f"{head}.type = veth", f"{head}.name = {device['ifname']}", f"{head}.hwaddr = {device['mac']}"]
        lines.append(f"{head}.veth.pair = {device['host_ifname']}")
    return lines


def refuse_used(place: Place, ctid: int, addresses: list[str]) -> None:
    for name in os.listdir(f"{place.state}/net"):
        for address in set(_noted(place, int(name))) & set(addresses):
            if int(name) != ctid:
                raise Refused(ADDRESS_IN_USE, f"Unable to add IP {address}: Address already in use")


def up(place: Place, ctid: int, addresses: list[str], devices: list[Device]) -> None:
    """The host's side, once the container's init runs."""
    own = host_device(place, ctid)
    _note(place, ctid, [])
    run("ip", "link", "set", own, "up")
    _write(f"/proc/sys/net/ipv4/conf/{own}/proxy_arp", "1")
    _write(f"/proc/sys/net/ipv4/neigh/{own}/proxy_delay", "0")
    for address in addresses:
        _route(place, ctid, address)
    for device in devices:
        veth_up(place, ctid, device)


def add_address(place: Place, ctid: int, pid: int, address: str) -> None:
    """To a running container, whose own scripts set it there."""
    if not place.upstream:
        refuse_used(place, ctid, [address])
    if sets_addresses(f"/proc/{pid}/root"):
        inside = ("nsenter", "--target", str(pid), "--net", "ip")
        run(*inside, "link", "set", "venet0", "up")
        run(*inside, "address", "add", f"{address}/32", "dev", "venet0")
        run(*inside, "route", "add", "default", "dev", "venet0")
    _route(place, ctid, address)


def drop_address(place: Place, ctid: int, pid: int, address: str) -> None:
    run("nsenter", "--target", str(pid), "--net", "ip", "address", "del", f"{address}/32", "dev", "venet0")
    run("ip", "route", "del", f"{address}/32", "dev", host_device(place, ctid))
    run("iptables", "-w", "-t", "nat", "-D", *_rule(place, ctid, address))
    _note(place, ctid, [a for a in _noted(place, ctid) if a != address])


def add_veth(place: Place, ctid: int, pid: int, device: Device) -> None:
    """To a running container."""
    host, guest = device["host_ifname"], device["ifname"]
    run("ip", "link", "add", host, "type", "veth", "peer", "name", guest, "address", device["mac"], "netns", str(pid))
    veth_up(place, ctid, device)


def drop_veth(device: Device) -> None:
    run("ip", "link", "del", device["host_ifname"])


def veth_up(place: Place, ctid: int, device: Device) -> None:
    """The host's end gets its MAC, joins its bridge where there is one, and is brought up; then the node's own script
    (EXTERNAL_SCRIPT of vznet.conf) has its turn."""
    host, bridge = device["host_ifname"], device.get("bridge", "")
    run("ip", "link", "set", host, "address", device["host_mac"])
    if bridge and os.path.isdir(f"/sys/class/net/{bridge}/bridge"):
        run("ip", "link", "set", host, "master", bridge)
    run("ip", "link", "set", host, "up")
    script = _external_script(place)
    if script and os.access(script, os.X_OK):
        environ = os.environ | {"VEID": str(ctid), "BRIDGE": bridge}
        subprocess.run([script, "init", "veth", host], stdin=subprocess.DEVNULL, env=environ)


def down(place: Place, ctid: int, devices: list[Device]) -> None:
    """What a stopped container may have left. Forwarding returns to what it was with the last of them."""
    for address in _noted(place, ctid):
        run("iptables", "-w", "-t", "nat", "-D", *_rule(place, ctid, address))
    for name in (host_device(place, ctid), *(device["host_ifname"] for device in devices)):
        if os.path.exists(f"/sys/class/net/{name}"):
            run("ip", "link", "del", name)
    if os.path.exists(_notes(place, ctid)):
        os.unlink(_notes(place, ctid))
    before = f"{place.state}/ip_forward"
    if not os.listdir(f"{place.state}/net") and os.path.exists(before):
        with open(before) as file:
            _write(FORWARDING, file.read())
        os.unlink(before)


def _route(place: Place, ctid: int, address: str) -> None:
    _note(place, ctid, [*_noted(place, ctid), address])
    before = f"{place.state}/ip_forward"
    if not os.path.exists(before):
        with open(FORWARDING) as now, open(before, "w") as file:
            file.write(now.read())
    _write(FORWARDING, "1")
    run("ip", "route", "replace", f"{address}/32", "dev", host_device(place, ctid))
    run("iptables", "-w", "-t", "nat", "-A", *_rule(place, ctid, address))


def _rule(place: Place, ctid: int, address: str) -> list[str]:
    comment = ["-m", "comment", "--comment", f"vz-standin:{place.mark}:{ctid}"]
    return ["POSTROUTING", "-s", f"{address}/32", "!", "-o", f"vn{place.mark}.+", *comment, "-j", "MASQUERADE"]


def _notes(place: Place, ctid: int) -> str:
    return f"{place.state}/net/{ctid}"


def _note(place: Place, ctid: int, addresses: list[str]) -> None:
    with open(_notes(place, ctid), "w") as file:
        file.write(" ".join(addresses))


def _noted(place: Place, ctid: int) -> list[str]:
    try:
        with open(_notes(place, ctid)) as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def _external_script(place: Place) -> str:
    from standin.place import read_values

    try:
        return read_values(f"{place.etc}/vznet.conf").get("EXTERNAL_SCRIPT", "")
    except FileNotFoundError:
        return ""


def _default_mtu() -> str:
    """Of the device that the default route leaves by (proc(5), /proc/net/route): a greater one would lose packets."""
    with open("/proc/net/route") as file:
        for line in file:
            fields = line.split()
            if fields[1] == "00000000" and fields[7] == "00000000":
                with open(f"/sys/class/net/{fields[0]}/mtu") as mtu:
                    return mtu.read().strip()
    return ""


def _write(path: str, text: str) -> None:
    if os.path.exists(path):
        with open(path, "w") as file:
            file.write(text)
