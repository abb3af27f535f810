"""A machine read back from a manifest, which anybody may have written: as strictly as a recipe's [hardware] is read.

Every field is there, of its type and one of what a recipe can give it; a field of another name is refused. The rules of
values are the recipe's own types, so that nothing reaches a program that no recipe could have said.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from vmgen_build.catalogue.hardware import BUSES
from vmgen_build.limits import DRIVES, MACHINE_TEXT, NICS, VOLUMES, Limit
from vmgen_build.plan.machine import CdDrive, Drive, Machine, Nic, Volume
from vmgen_build.recipe import types as t
from vmgen_build.recipe.ini import Value
from vmgen_build.recipe.schema import Section, spec
from vmgen_build.recipe.sections.hardware import Adapter, Cd, Disk, Hardware, Partition
from vmgen_build.recipe.types.base import Context, Type
from vmgen_build.recipe.types.basic import LARGEST
from vmgen_build.systems.parse import architectures, parse_system

T = TypeVar("T")
Read = Callable[[Any], Any]
"""Takes a value of JSON, and gives that of the field. Raises ValueError."""


def machine_read_back(text: str) -> Machine:
    """The machine of a manifest's machine.json (Machine.to_json). Raises ValueError that names the field."""
    if len(text) > MACHINE_TEXT.amount:
        raise ValueError(f"its machine has {len(text)} characters: {MACHINE_TEXT.exceeded}")
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError("its machine is nested too deeply") from None
    machine: Machine = _object(Machine, _MACHINE)(data)
    _check_places(machine)
    return machine


def _object(cls: type[T], rules: Mapping[str, Read]) -> Read:
    """An object of JSON with these fields and no others."""
    assert set(rules) == {field.name for field in fields(cls)}  # type: ignore[arg-type]

    def read(data: Any) -> T:
        if not isinstance(data, dict):
            raise ValueError("it is no object")
        if odd := sorted(data.keys() ^ rules.keys()):
            raise ValueError(f"{'it has no' if odd[0] in rules else 'there is no'} field {odd[0][:40]!r}")
        return cls(**{name: _named(name, rule, data[name]) for name, rule in rules.items()})

    return read


def _named(name: str, rule: Read, value: Any) -> Any:
    try:
        return rule(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _list_of(limit: Limit, one: Read) -> Read:
    def read(data: Any) -> tuple[Any, ...]:
        if not isinstance(data, list):
            raise ValueError("it is no list")
        if len(data) > limit.amount:
            raise ValueError(f"it has {len(data)} entries: {limit.exceeded}")
        return tuple(_named(str(number), one, value) for number, value in enumerate(data))

    return read


def _text(kind: Type[Any]) -> Read:
    """A text that a recipe's type gives back unchanged."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("it is no text")
        context = Context()
        if kind.read(Value("", value, (value,), "", 0), context) != value or context.warnings:
            raise ValueError(f"{value[:40]!r} is not written as this tool writes it")
        return value

    return read


def _option(section: type[Section], field: str) -> Read:
    """A text, as the recipe's option for this field is read."""
    return _text(next(option.type for name, option in spec(section).options.values() if name == field))


def _none_or(read: Read) -> Read:
    return lambda value: None if value is None else read(value)


def _number(low: int, high: int) -> Read:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"it is no whole number from {low} to {high}")
        return value

    return read


def _yes_or_no(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("it is neither true nor false")
    return value


def _of(*words: str) -> Read:
    return _text(t.choice(*words))


def _matching(pattern: str) -> Read:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"{str(value)[:40]!r} is not of the form that this tool writes")
        return value

    return read


def _system_name(value: Any) -> str:
    if not isinstance(value, str) or parse_system(value).name != value:
        raise ValueError("it is no system's name, such as debian-12")
    return value


_VOLUME: Mapping[str, Read] = {
    "option": _text(t.device_name),
    "number": _number(1, VOLUMES.amount),
    "kind": _of("primary", "extended", "logical", "esp"),
    "fs": _none_or(_option(Partition, "fs")),
    "size": _none_or(_number(1, LARGEST)),
    "mount": _none_or(_text(t.guest_path)),
    "label": _none_or(_text(t.text)),
    "uuid": _matching(r"[0-9A-Fa-f-]{0,36}"),
}

_DRIVE: Mapping[str, Read] = {
    "name": _text(t.device_name),
    "file": _text(t.file_name),
    "size": _none_or(_number(1, LARGEST)),
    "bus": _option(Disk, "type"),
    "controller": _option(Disk, "controller"),
    "index": _number(0, max(bus.controllers for bus in BUSES.values()) - 1),
    "unit": _number(0, max(bus.units for bus in BUSES.values()) - 1),
    "table": _of("dos", "gpt"),
    "boot": _yes_or_no,
    "volumes": _list_of(VOLUMES, _object(Volume, _VOLUME)),
}

_CD: Mapping[str, Read] = {
    "name": _text(t.device_name),
    "image": _none_or(_option(Cd, "image")),
    "connected": _yes_or_no,
}

_NIC: Mapping[str, Read] = {
    "name": _text(t.interface_name),
    "hw_addr": _option(Adapter, "hw_addr"),
    "type": _option(Adapter, "type"),
    "adapter": _option(Adapter, "adapter"),
    "bridge": _none_or(_option(Adapter, "bridge")),
    "connected": _yes_or_no,
}

_MACHINE: Mapping[str, Read] = {
    "name": _option(Hardware, "vm_id"),
    "os": _system_name,
    "arch": _of(*architectures()),
    "cpus": _number(1, 768),
    "ram": _number(1, LARGEST),
    "firmware": _option(Hardware, "firmware"),
    "hw_version": _number(4, 30),
    "drives": _list_of(DRIVES, _object(Drive, _DRIVE)),
    "cds": _list_of(DRIVES, _object(CdDrive, _CD)),
    "nics": _list_of(NICS, _object(Nic, _NIC)),
}


def _check_places(machine: Machine) -> None:
    """What no single field shows: recipe.checks.places and recipe.checks.disks, of a machine."""
    for drive in machine.drives:
        bus = BUSES[drive.bus]
        if not bus.holds((drive.index, drive.unit)) or drive.unit in bus.reserved:
            raise ValueError(f"disk '{drive.name}' hangs at no place of {drive.bus}: {drive.index}:{drive.unit}")
    _unique("disk", (drive.name for drive in machine.drives))
    _unique("disk's file", (drive.file for drive in machine.drives))
    _unique("place", (f"{drive.bus} {drive.index}:{drive.unit}" for drive in machine.drives))
    _unique("adapter", (nic.name for nic in machine.nics))
    for drive in machine.drives:
        _unique(f"partition of '{drive.name}'", (volume.option for volume in drive.volumes))
        _unique(f"partition number of '{drive.name}'", (str(volume.number) for volume in drive.volumes))
    if sum(drive.boot for drive in machine.drives) != 1:
        raise ValueError("it has not one disk to boot from")


def _unique(what: str, values: Iterable[str]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise ValueError(f"the {what} {twice[0]} is there twice")
