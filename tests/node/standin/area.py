"""create, destroy, set: what is on the disk."""

from __future__ import annotations

import os
import shutil
import sys
from _signal import SIGINT, SIGTERM, signal  # type: ignore[import-not-found]  # signal itself loads enum

from standin import containers, errors, netif, network
from standin.commands import Call
from standin.errors import Refused
from standin.faults import FAILED
from standin.options import BARE, CREATE, SET, apply, parse
from standin.place import Place, Values, read_values
from standin.power import addresses_of, tidy

SUFFIXES = ("tar", "tar.gz", "tar.bz2", "tar.xz")

MOVED = ("conf", "mount", "umount", "start", "stop")
"""What destroy renames to CTID.*.destroyed."""

TRASH = "vztmp"
"""Folder beside the private areas, of those that are being removed. It stays."""


def create(call: Call) -> int:
    """In the order of vzctl's own create: the sample as CTID.conf, the name's link, VE_PRIVATE as a lock, the template
    unpacked beside it, the root mounted for the distribution's script; last CTID.conf's own lines, with NAME=."""
    options = parse(call.words, CREATE)
    given = dict(options)
    with call.lock("creating"):
        try:
            _create(call, given, _changes(call, options))
        except Refused as refused:
            raise Refused(refused.code, f"{refused.message}\n{FAILED}") from None
        call.report(f"CT configuration saved to {call.place.path_of(call.ctid)}")
        call.report("Container private area was created")
    return 0


def _changes(call: Call, options: list[tuple[str, str]]) -> Values:
    """Of the options that CTID.conf keeps as they are."""
    changes: Values = {}
    for name, value in options:
        if name in ("private", "root"):
            changes[f"VE_{name.upper()}"] = value
        elif name not in ("ostemplate", "config", "name"):
            changes |= apply(name, value, call.place.settings | changes)
    return changes


def _create(call: Call, given: Values, changes: Values) -> None:
    place, ctid = call.place, call.ctid
    sample = _begin_conf(call, given)
    signal(SIGTERM, _end)
    signal(SIGINT, _end)
    try:
        values = call.values() | changes
        private, root = place.private(ctid, values), place.root(ctid, values)
        if os.path.isdir(private) and os.listdir(private):
            raise Refused(errors.PRIVATE_EXISTS, f"Private area already exists in {private}")
        if "name" in given:
            _name(place, ctid, given["name"])
            call.report(f"Name {given['name']} assigned")
        template = given.get("ostemplate") or values.get("OSTEMPLATE") or values.get("DEF_OSTEMPLATE", "")
        archive = _archive(place, template)
        call.report(f"Creating container private area ({template})")
        _fill(archive, private)
        _postcreate(call, private, root)
    except (Refused, SystemExit):
        if sample:
            os.unlink(place.path_of(ctid))
        raise
    own = {key: changes.get(key) or values[key] for key in ("VE_ROOT", "VE_PRIVATE", "VE_LAYOUT")}
    own |= {"OSTEMPLATE": template, **({"ORIGIN_SAMPLE": sample} if sample else {}), **changes}
    place.save(ctid, own | ({"NAME": given["name"]} if "name" in given else {}))


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _begin_conf(call: Call, given: Values) -> str:
    """Make CTID.conf of a sample, as it is; where there is a CTID.conf, warn. The sample's name, "" for none."""
    place = call.place
    name = given.get("config") or place.settings["CONFIGFILE"]
    path = f"{place.conf}/ve-{name}.conf-sample"
    if not os.path.exists(path):
        raise Refused(errors.NO_SAMPLE, f"Sample config {path} not found: No such file or directory")
    if place.known(call.ctid):
        call.report("Warning: CT config file already exists, not applying a default config sample.")
        return ""
    shutil.copyfile(path, place.path_of(call.ctid))
    return name


def _postcreate(call: Call, private: str, root: str) -> None:
    """Debian's script does nothing that is seen here; its root is mounted for it."""
    try:
        containers.bind(private, root)
    except Refused:
        shutil.rmtree(private)
        raise
    call.report("Performing postcreate actions")
    containers.unbind(root)


def destroy(call: Call) -> int:
    """The private area is moved away, and removed in the background."""
    place, ctid = call.place, call.ctid
    with call.lock("destroying"):
        values = call.values()
        if call.pid():
            raise Refused(errors.RUNNING, "Container is currently running. Stop it first.", out=True)
        tidy(call, values)
        root, private = place.root(ctid, values), place.private(ctid, values)
        if containers.is_mounted(root):
            raise Refused(errors.MOUNTED, "Container is currently mounted (umount first)", out=True)
        call.report(f"Destroying container private area: {private}")
        _remove_later(private)
        if os.path.isdir(root):
            os.rmdir(root)
        for suffix in MOVED:
            if os.path.exists(place.path_of(ctid, suffix)):
                os.rename(place.path_of(ctid, suffix), place.path_of(ctid, f"{suffix}.destroyed"))
        if values.get("NAME"):
            _drop_name(place, values["NAME"])
        call.report("Container private area was destroyed")
    return 0


def _remove_later(private: str) -> None:
    if not os.path.exists(private):
        return
    folder = f"{os.path.dirname(private)}/{TRASH}"
    os.makedirs(folder, exist_ok=True)
    gone = f"{folder}/vzctl-rm-me.{os.getpid()}"
    os.rename(private, gone)
    if os.fork() == 0:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
        shutil.rmtree(gone, ignore_errors=True)
        os._exit(0)


def change(call: Call) -> int:
    """vzctl set. With --save it makes a CTID.conf where there is none. What --applyconfig brings wins over the other
    options of the call, in either order."""
    options = parse(call.words, SET | BARE)
    save = any(name == "save" for name, _ in options)
    with call.lock("setting"):
        before = call.values() if call.place.known(call.ctid) or not save else call.place.settings
        changes: Values = {}
        for name, value in options:
            if name not in (*BARE, "applyconfig"):
                changes |= _changed(call, name, value, before | changes)
        changes |= _applied(call.place, dict(options).get("applyconfig"))
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
        device = netif.add_netif(call.ctid, value, values)
        return netif.write_netif([*(d for d in devices if d["ifname"] != device["ifname"]), device])
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


def _applied(place: Place, name: str | None) -> Values:
    if name is None:
        return {}
    path = f"{place.conf}/ve-{name}.conf-sample"
    try:
        return read_values(path)
    except FileNotFoundError:
        raise Refused(errors.APPLY_FAILED, f"Sample config file not found: {path}") from None


def _archive(place: Place, name: str) -> str:
    if not name:
        raise Refused(errors.NO_TEMPLATE_NAMED, "OS template is not specified")
    for suffix in SUFFIXES:
        if os.path.exists(f"{place.templates}/{name}.{suffix}"):
            return f"{place.templates}/{name}.{suffix}"
    raise Refused(errors.TEMPLATE_MISSING, f"Cached OS template {place.templates}/{name}.tar[.gz|.bz2|.xz] not found")


def _fill(archive: str, private: str) -> None:
    """The private area is an empty folder meanwhile, which locks it."""
    import subprocess

    new = f"{private}.tmp"
    os.makedirs(private, exist_ok=True)
    if os.path.exists(new):
        print(f"Warning: Temp dir {new} already exists, deleting", file=sys.stderr)
        shutil.rmtree(new)
    os.makedirs(new)
    try:
        room = os.statvfs(new)
        if room.f_bavail * room.f_frsize < os.stat(archive).st_size:
            raise Refused(errors.NO_SPACE, f"vps-create ERROR: Insufficient disk space in {new}")
        command = ["tar", "--extract", "--file", archive, "--directory", new, "--numeric-owner", "--same-permissions"]
        environ = os.environ | {"VE_PRVT": new, "PRIVATE_TEMPLATE": archive}
        command += ["--xattrs", "--xattrs-include=*", "--acls"]
        if subprocess.run(command, stdin=subprocess.DEVNULL, env=environ).returncode != 0:
            raise Refused(errors.UNPACK_FAILED, f"vps-create ERROR: Unpack {archive} failed")
        os.rmdir(private)
        os.rename(new, private)
    except (Refused, SystemExit):
        shutil.rmtree(new, ignore_errors=True)
        os.rmdir(private)
        raise


def _name(place: Place, ctid: int, name: str) -> None:
    link = f"{place.names}/{name}"
    if not name or "/" in name or name.isdigit():
        raise Refused(errors.BAD_VALUE, f"Invalid name: {name}")
    if os.path.lexists(link) and place.known(place.number(name)):
        if place.number(name) == ctid:
            return
        raise Refused(errors.NAME, f"Conflict: name {name} already used by container {place.number(name)}")
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(f"/etc/vz/conf/{ctid}.conf", link)


def _drop_name(place: Place, name: str) -> None:
    if os.path.lexists(f"{place.names}/{name}"):
        os.unlink(f"{place.names}/{name}")
