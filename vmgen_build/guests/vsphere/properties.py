"""A few properties of objects whose references are known: one narrow question to the PropertyCollector.

A property that is read as an attribute is a question of its own, and may end the connection where it is not set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vmgen_build.guests.vsphere.session import Session

Values = Mapping[str, Any]
"""Path of a property -> its value; what is not set is not there."""


def values_of(session: Session, what: str, ref: object, paths: Sequence[str]) -> Values:
    """Of one object. what: is looked at, as the message's words. Raises HostError, BuildError."""
    return properties_of(session, what, [ref], paths).get(id_of(ref), {})


def properties_of(session: Session, what: str, refs: Sequence[object], paths: Sequence[str]) -> Mapping[str, Values]:
    """By the objects' ids. All are of one kind. Raises HostError, BuildError."""
    if not refs:
        return {}
    answer = session.read(what, lambda: _asked(session, refs, paths))
    return {id_of(each.obj): {one.name: one.val for one in each.propSet} for each in answer}


def devices_of(session: Session, machine: object) -> list[Any]:
    """The vim.vm.device.VirtualDevice of a machine. Raises HostError, BuildError."""
    path = "config.hardware.device"
    return list(values_of(session, "looking at the machine's devices", machine, [path]).get(path, ()))


def id_of(ref: object) -> str:
    """The server's own identifier, such as vm-42."""
    return str(ref._moId)  # type: ignore[attr-defined]


def _asked(session: Session, refs: Sequence[object], paths: Sequence[str]) -> list[Any]:
    from pyVmomi import vmodl

    kinds: Any = vmodl.query.PropertyCollector
    question = kinds.FilterSpec(
        propSet=[kinds.PropertySpec(type=type(refs[0]), all=False, pathSet=list(paths))],
        objectSet=[kinds.ObjectSpec(obj=ref, skip=False) for ref in refs],
    )
    collector: Any = session.content.propertyCollector
    found: list[Any] = []
    result = collector.RetrievePropertiesEx([question], kinds.RetrieveOptions())
    while result is not None:
        found += result.objects
        if not result.token or not result.objects:
            break
        result = collector.ContinueRetrievePropertiesEx(result.token)
    return found
