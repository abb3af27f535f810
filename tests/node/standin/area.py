"""create, destroy, set: what is on the disk."""

from __future__ import annotations

import os
import shutil

from standin import containers, errors, netif, network
from standin.commands import Call
from standin.errors import Refused
from standin.options import BARE, CREATE, SET, apply, parse
from standin.place import Place, Values, read_values
from standin.power import addresses_of, tidy

SUFFIXES = ("tar", "tar.gz", "tar.bz2", "tar.xz")

MOVED = ("conf", "mount", "umount", "start", "stop")
"""What destroy renames to CTID.*.destroyed."""


def create(call: Call) -> int:
    place, ctid = call.place, call.ctid
    options = parse(call.words, CREATE)
    given = dict(options)
    with call.lock("creating"):
        values = place.settings | _sample(place, given) | (call.values() if place.known(ctid) else {})
        values |= {f"VE_{key.upper()}": given[key] for key in ("private", "root") if key in given}
        for name, value in options:
            if name not in ("ostemplate", "config", "private", "root", "name"):
                values |= apply(name, value, values)
        private = place.private(ctid, values)
        if os.path.exists(private):
            raise Refused(errors.PRIVATE_EXISTS, f"Private area already exists in {private}\nCreation failed")
        values["OSTEMPLATE"] = given.get("ostemplate") or values.get("OSTEMPLATE") or values.get("DEF_OSTEMPLATE", "")
        archive = _archive(place, values["OSTEMPLATE"])
        if "name" in given:
            _name(place, ctid, given["name"])
        call.report(f"Creating container private area ({values['OSTEMPLATE']})")
        _unpack(archive, private)
        os.makedirs(place.root(ctid, values), exist_ok=True)
        call.report("Performing postcreate actions")
        place.save(ctid, _own(place, values) | {"ORIGIN_SAMPLE": given.get("config") or place.settings["CONFIGFILE"]})
        if "name" in given:
            place.save(ctid, {"NAME": given["name"]})
        call.report(f"CT configuration saved to {place.path_of(ctid)}")
        call.report("Container private area was created")
    return 0


def destroy(call: Call) -> int:
    place, ctid = call.place, call.ctid
    with call.lock("destroying"):
        values = call.values()
        if call.pid():
            raise Refused(errors.RUNNING, "Container is currently running. Stop it first.")
        tidy(call, values)
        root, private = place.root(ctid, values), place.private(ctid, values)
        if containers.is_mounted(root):
            raise Refused(errors.MOUNTED, "Container is currently mounted (umount first)")
        call.report(f"Destroying container private area: {private}")
        if os.path.exists(private):
            gone = f"{private}.deleted"
            os.rename(private, gone)
            shutil.rmtree(gone)
        if os.path.isdir(root):
            os.rmdir(root)
        for suffix in MOVED:
            if os.path.exists(place.path_of(ctid, suffix)):
                os.rename(place.path_of(ctid, suffix), place.path_of(ctid, f"{suffix}.destroyed"))
        if values.get("NAME"):
            _drop_name(place, values["NAME"])
        call.report("Container private area was destroyed")
    return 0


def change(call: Call) -> int:
    """vzctl set."""
    options = parse(call.words, SET | BARE)
    save = any(name == "save" for name, _ in options)
    with call.lock("setting"):
        before = call.values()
        changes: Values = {}
        for name, value in options:
            if name not in BARE:
                changes |= _changed(call, name, value, before | changes)
        pid = call.pid()
        if not save and not pid:
            raise Refused(errors.NOT_RUNNING, "Unable to apply new settings on a stopped container without --save")
        if pid:
            _apply_now(call, pid, before, before | changes)
        if save:
            call.place.save(call.ctid, changes)
            call.report(f"CT configuration saved to {call.place.path_of(call.ctid)}")
        elif changes:
            call.report("WARNING: Settings were not saved and will be lost (use --save)")
    return 0


def _changed(call: Call, name: str, value: str, values: Values) -> Values:
    if name == "name":
        if values.get("NAME"):
            _drop_name(call.place, values["NAME"])
        _name(call.place, call.ctid, value)
        return {"NAME": value}
    devices = netif.read_netif(values)
    if name == "netif_add":
        return netif.write_netif([*devices, netif.add_netif(call.ctid, value, values)])
    if name == "netif_del":
        return netif.write_netif([d for d in devices if d["ifname"] != value])
    return apply(name, value, values)


def _apply_now(call: Call, pid: int, before: Values, after: Values) -> None:
    """To the running container: its addresses and devices, its host name and name servers."""
    from standin import dists

    place, ctid = call.place, call.ctid
    for address in addresses_of(after):
        if address not in addresses_of(before):
            network.add_address(place, ctid, pid, address)
            call.report(f"Adding IP address(es): {address}")
    for address in addresses_of(before):
        if address not in addresses_of(after):
            network.drop_address(place, ctid, pid, address)
            call.report(f"Deleting IP address(es): {address}")
    old, new = netif.read_netif(before), netif.read_netif(after)
    for device in new:
        if device["ifname"] not in {d["ifname"] for d in old}:
            network.add_veth(place, ctid, pid, device)
            call.report(f"Configure veth devices: {device['host_ifname']}")
    for device in old:
        if device["ifname"] not in {d["ifname"] for d in new}:
            network.drop_veth(device)
    keys = ("HOSTNAME", "NAMESERVER", "SEARCHDOMAIN", "IP_ADDRESS")
    if any(before.get(key) != after.get(key) for key in keys):
        dists.configure(place, after, place.root(ctid, after), call.report)
    if before.get("HOSTNAME") != after.get("HOSTNAME"):
        network.run("nsenter", "--target", str(pid), "--uts", "hostname", after["HOSTNAME"])


def _sample(place: Place, given: Values) -> Values:
    name = given.get("config") or place.settings["CONFIGFILE"]
    path = f"{place.conf}/ve-{name}.conf-sample"
    try:
        return read_values(path)
    except FileNotFoundError:
        raise Refused(errors.NO_SAMPLE, f"Sample config {path} is not found") from None


def _own(place: Place, values: Values) -> Values:
    """What CTID.conf says itself, beside the node's settings; where the container lies always."""
    always = ("VE_ROOT", "VE_PRIVATE", "VE_LAYOUT", "OSTEMPLATE")
    return {k: v for k, v in values.items() if k in always or place.settings.get(k) != v}


def _archive(place: Place, name: str) -> str:
    if not name:
        raise Refused(errors.NO_TEMPLATE_NAMED, "OS template is not specified")
    for suffix in SUFFIXES:
        if os.path.exists(f"{place.templates}/{name}.{suffix}"):
            return f"{place.templates}/{name}.{suffix}"
    raise Refused(errors.TEMPLATE_MISSING, f"Cached OS template {place.templates}/{name}.tar[.gz|.bz2|.xz] not found")


def _unpack(archive: str, private: str) -> None:
    """Beside its goal, which a failure never makes."""
    import subprocess

    new = f"{private}.tmp"
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new)
    room = os.statvfs(new)
    if room.f_bavail * room.f_frsize < os.stat(archive).st_size:
        os.rmdir(new)
        raise Refused(errors.NO_SPACE, f"Insufficient disk space in {os.path.dirname(private)}")
    command = ["tar", "--extract", "--file", archive, "--directory", new, "--numeric-owner", "--same-permissions"]
    if subprocess.run([*command, "--xattrs", "--xattrs-include=*", "--acls"], stdin=subprocess.DEVNULL).returncode != 0:
        shutil.rmtree(new)
        raise Refused(errors.UNPACK_FAILED, "Error in tar\nCreation of container private area failed")
    os.rename(new, private)


def _name(place: Place, ctid: int, name: str) -> None:
    link = f"{place.names}/{name}"
    if not name or "/" in name or name.isdigit():
        raise Refused(errors.BAD_VALUE, f"Invalid name: {name}")
    if os.path.lexists(link):
        if place.number(name) == ctid:
            return
        raise Refused(errors.NAME, f"Conflict: name {name} already used by container {place.number(name)}")
    os.symlink(f"../conf/{ctid}.conf", link)


def _drop_name(place: Place, name: str) -> None:
    if os.path.lexists(f"{place.names}/{name}"):
        os.unlink(f"{place.names}/{name}")
