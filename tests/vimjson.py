"""The vSphere API's JSON, read by pyvmomi's types: an unknown property, or a value of another type, is an error."""

from __future__ import annotations

from typing import Any

from pyVmomi import VmomiSupport

VIM25 = "urn:vim25"


def vim_object(data: Any) -> Any:
    """pyvmomi's object of parsed JSON. A value that names its own type stands for itself. Raises KeyError for unknown
    types, AttributeError, TypeError."""
    if isinstance(data, list):
        return [vim_object(one) for one in data]
    if not isinstance(data, dict):
        return data
    if "_value" in data:
        assert set(data) == {"_typeName", "_value"}
        return data["_value"]
    properties = dict(data)
    made = VmomiSupport.GetWsdlType(VIM25, properties.pop("_typeName"))()
    for name, value in properties.items():
        made._GetPropertyInfo(name)
        setattr(made, name, vim_object(value))
    return made


def lacking(made: Any, path: str = "spec") -> list[str]:
    """Paths of the properties that a type must have and an object in it has not."""
    found = []
    for info in made._GetPropertyList():
        value = getattr(made, info.name)
        if value is None and not info.flags & VmomiSupport.F_OPTIONAL:
            found.append(f"{path}.{info.name}")
        for number, one in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(one, VmomiSupport.DataObject):
                found += lacking(one, f"{path}.{info.name}[{number}]")
    return found
