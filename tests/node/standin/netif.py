"""The veth devices of a container: NETIF in CTID.conf, `ifname=eth1,bridge=vmbr0,mac=…,host_ifname=…,host_mac=…;…`."""

from __future__ import annotations

from standin.errors import BAD_VALUE, Refused
from standin.place import Values

Device = dict[str, str]

LONGEST_NAME = 15
"""Characters of a device's name: IFNAMSIZ less its end (netdevice(7))."""

ORDER = ("ifname", "bridge", "mac", "host_ifname", "host_mac")
GIVEN = ("ifname", "mac", "host_ifname", "host_mac", "bridge")


def read_netif(values: Values) -> list[Device]:
    devices = []
    for text in filter(None, values.get("NETIF", "").split(";")):
        devices.append(dict(part.split("=", 1) for part in text.split(",") if "=" in part))
    return devices


def write_netif(devices: list[Device]) -> Values:
    return {"NETIF": ";".join(",".join(f"{key}={d[key]}" for key in ORDER if d.get(key)) for d in devices)}


def add_netif(ctid: int, text: str, values: Values) -> Device:
    """`ifname[,mac,host_ifname,host_mac,bridge]` as a device. Raises Refused."""
    parts = text.split(",")
    if len(parts) > len(GIVEN) or not parts[0]:
        raise Refused(BAD_VALUE, f"Invalid value for --netif_add: {text}")
    device = dict(zip(GIVEN, parts, strict=False))
    present = [other for other in read_netif(values) if other["ifname"] != device["ifname"]]
    device["mac"] = device.get("mac") or _automatic()
    device["host_mac"] = device.get("host_mac") or (device["mac"] if len(parts) > 1 else _automatic())
    device["host_ifname"] = device.get("host_ifname") or _free_name(ctid, device["ifname"], present)
    for key in ("ifname", "host_ifname"):
        if len(device[key]) > LONGEST_NAME:
            raise Refused(BAD_VALUE, f"Bad parameter for --netif_add: {text}")
    for key in ("mac", "host_mac"):
        device[key] = _mac(device[key])
    return device


def _free_name(ctid: int, ifname: str, present: list[Device]) -> str:
    """It follows the guest's own: that of eth1 is veth310.1."""
    taken = {device.get("host_ifname") for device in present}
    number = int(ifname.removeprefix("eth")) if ifname.removeprefix("eth").isdigit() else 0
    while f"veth{ctid}.{number}" in taken:
        number += 1
    return f"veth{ctid}.{number}"


def _automatic() -> str:
    import os

    return "00:18:51:" + ":".join(f"{byte:02X}" for byte in os.urandom(3))


def _mac(text: str) -> str:
    """Multicast ones pass, as they do with vzctl."""
    bytes_ = text.split(":")
    if len(bytes_) != 6 or any(len(b) != 2 or not set(b) <= set("0123456789abcdefABCDEF") for b in bytes_):
        raise Refused(BAD_VALUE, f"Invalid MAC address: {text}")
    return text.upper()
