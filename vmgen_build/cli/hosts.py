"""Options of the command line that say where plans run, and how that host is known."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, cast

import click

from vmgen_build.cli.common import Command, complain
from vmgen_build.errors import UsageError


def check_host(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """The value as given; raises UsageError for one that names no place."""
    if value:
        from vmgen_build.build.places.registry import place_class

        place_class(value)
    return value


def check_address(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """An IP address as given, or "". Raises UsageError."""
    import ipaddress

    try:
        return str(ipaddress.ip_address(value)) if value else ""
    except ValueError as error:
        raise UsageError(f"--build-address: {error}; write it as 192.168.1.20") from error


build_address_option = click.option(
    "--build-address",
    default="",
    metavar="ADDRESS",
    callback=check_address,
    help="IP address of the container on an OpenVZ node while it is built; that of the recipe's venet by default.",
)


def check_thumbprint(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """In the form that certificates' digests have here, or "". Raises UsageError."""
    from vmgen_build.host.tls import parse_thumbprint

    try:
        return parse_thumbprint(value) if value else ""
    except ValueError as error:
        raise UsageError(f"--thumbprint: {error}") from error


def warn_insecure(_context: click.Context, _option: click.Parameter, value: bool) -> bool:
    """Each time."""
    if value:
        complain(
            "warning: --insecure: the server's certificate is not checked; whoever stands between it and this host"
            " gets the password",
            fg="red",
            bold=True,
        )
    return value


def trust_options(command: Command) -> Command:
    """--cafile, --thumbprint and --insecure; the command gets a Trust as `trust`."""

    @functools.wraps(command)
    def wrapped(*args: Any, **values: Any) -> Any:
        from vmgen_build.host.tls import Trust

        trust = Trust(values.pop("cafile"), values.pop("thumbprint"), values.pop("insecure"))
        return command(*args, trust=trust, **values)

    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option(
            "--insecure",
            is_flag=True,
            callback=warn_insecure,
            help="Take any certificate of a vSphere server: for a network that nobody else is in.",
        ),
        click.option(
            "--thumbprint",
            default="",
            metavar="HEX",
            callback=check_thumbprint,
            help="The SHA-256 that a vSphere server's certificate must have; without --cafile it need not be signed.",
        ),
        click.option(
            "--cafile",
            type=file,
            metavar="FILE",
            help="The authorities that may have signed a vSphere server's certificate; this system's by default.",
        ),
    ):
        wrapped = option(wrapped)
    return cast(Command, wrapped)


_FOLDER = (
    "--folder",
    "NAME",
    "The folder of a vSphere server that machines lie in; by default the datacenter's own.",
)

_SERVER = (
    (
        "--datastore",
        "NAME",
        "The datastore, or cluster of them, of a vSphere server that disks lie on; by default the freest datastore.",
    ),
    (
        "--storage-policy",
        "NAME",
        "The storage policy of a vCenter that disks get, which must fit the datastore; by default none.",
    ),
    (
        "--pool",
        "NAME",
        "The resource pool, cluster or host of a vSphere server that runs machines; by default the only one.",
    ),
    (
        "--esxi",
        "NAME",
        "The host of a vCenter that runs machines; by default the cluster's own choice, or any that reaches the disks.",
    ),
    _FOLDER,
)


def placement_options(command: Command) -> Command:
    """Those of _SERVER and --map; the command gets a Placement as `placement`."""

    @functools.wraps(command)
    def wrapped(*args: Any, **values: Any) -> Any:
        from vmgen_build.guests.vsphere.placement import Placement, parse_maps

        fields = [name.removeprefix("--").replace("-", "_") for name, _, _ in _SERVER]
        names = {field: values.pop(field) for field in fields}
        placement = Placement(**names, networks=parse_maps(values.pop("maps")))
        return command(*args, placement=placement, **values)

    wrapped = click.option(
        "--map",
        "maps",
        multiple=True,
        metavar="TYPE=NETWORK",
        help="The network of a vSphere server that stands for adapters of the type nat, bridged or hostonly; may be"
        " repeated.",
    )(wrapped)
    for name, metavar, text in reversed(_SERVER):
        wrapped = click.option(name, default="", metavar=metavar, help=text)(wrapped)
    return cast(Command, wrapped)


GOAL = "[library:LIBRARY/]NAME"

keep_as_option = click.option(
    "--keep-as",
    default="",
    metavar=GOAL,
    help="Keep the finished machine on the vCenter too: as a template in the folder of machines, or in a content"
    " library.",
)


def kept_options(command: Command) -> Command:
    """--host, --folder and those of `trust_options`, for what a host keeps; the command gets them as the fields of
    BuildOptions are."""

    @functools.wraps(command)
    def wrapped(*args: Any, folder: str, **values: Any) -> Any:
        from vmgen_build.guests.vsphere.placement import Placement

        return command(*args, placement=Placement(folder=folder), **values)

    wrapped = trust_options(cast(Any, wrapped))
    name, metavar, text = _FOLDER
    wrapped = click.option(name, default="", metavar=metavar, help=text)(wrapped)
    return cast(
        Command,
        click.option(
            "--host",
            default="",
            metavar="HOST",
            callback=check_host,
            help="A vSphere server whose layers are meant: vsphere://[USER@]NAME[/DATACENTER]; by default this host's.",
        )(wrapped),
    )


def verify_options(command: Command) -> Command:
    """--host, those of `trust_options` and of `placement_options`, for where a Windows is booted."""
    return click.option(
        "--host",
        default="",
        metavar="HOST",
        callback=check_host,
        help="Boot a Windows on this vSphere server, and ask it by VMware Tools: vsphere://[USER@]NAME[/DATACENTER];"
        " takes --recipe.",
    )(trust_options(placement_options(command)))


def host_options(command: Command) -> Command:
    """--host, --accept-new-host-key and those of `trust_options`."""
    command = trust_options(command)
    command = click.option(
        "--accept-new-host-key",
        is_flag=True,
        help="Add the ssh key of an unknown host to the known ones; a changed key is refused all the same.",
    )(command)
    return click.option(
        "--host",
        default="",
        metavar="HOST",
        callback=check_host,
        help="A build host with OpenVZ or lxc: ssh://[USER@]NAME[:PORT], or local; qemu: for a whole machine here;"
        " vsphere://[USER@]NAME[/DATACENTER] for one on a vSphere server. 'vmgen-build doctor' lists all places.",
    )(command)
