"""Files that `reg import` reads: UTF-16 text, so that names and values may hold every character that Windows knows.

The format: Microsoft's "How to add, modify, or delete registry subkeys and values by using a .reg file" (310516).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vmgen_build.plan.text.quote import shown

HEADER = "Windows Registry Editor Version 5.00"
HIVES = ("HKEY_LOCAL_MACHINE", "HKEY_USERS", "HKEY_CURRENT_USER", "HKEY_CLASSES_ROOT", "HKEY_CURRENT_CONFIG")

LONGEST_KEY, LONGEST_NAME = 255, 16383
"""Characters of one part of a key's path, and of a value's name ("Registry element size limits")."""

_BYTES_OF_A_LINE = 25


Value = str | int | Sequence[str] | None
"""REG_SZ, REG_DWORD, REG_MULTI_SZ; None takes the value away."""


def reg_file(keys: Mapping[str, Mapping[str, Value]]) -> bytes:
    """The file: path of a key -> name of a value ("" for the key's own) -> value.

    Raises ValueError for what the format or the registry cannot carry.
    """
    lines = [HEADER, ""]
    for key, values in keys.items():
        lines.append(f"[{_path(key)}]")
        lines += [f"{_name(name)}={_data(value)}" for name, value in values.items()]
        lines.append("")
    text = "\r\n".join(lines) + "\r\n"
    return b"\xff\xfe" + text.encode("utf-16-le")


def _path(key: str) -> str:
    hive, *parts = key.split("\\")
    if hive not in HIVES or not parts:
        raise ValueError(f"{shown(key)} is no key of the registry; begin it with one of {', '.join(HIVES)}")
    for part in parts:
        _refuse_unsayable(part)
        if not part or len(part) > LONGEST_KEY:
            raise ValueError(f"{shown(key)}: a part of a key's path has 1 to {LONGEST_KEY} characters; change it")
    return key


def _name(name: str) -> str:
    if len(name) > LONGEST_NAME:
        raise ValueError(f"{shown(name)} is too long: a value's name has {LONGEST_NAME} characters; make it shorter")
    return _string(name) if name else "@"


def _data(value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return _dword(value)
    for item in value:
        _refuse_unsayable(item)
        if not item:
            raise ValueError("an empty string would end a list in the registry; leave it out")
    return _hex("".join(f"{item}\0" for item in value) + "\0")


def _string(text: str) -> str:
    _refuse_unsayable(text)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _dword(number: int) -> str:
    if not 0 <= number < 1 << 32:
        raise ValueError(f"{number} does not fit into 32 bits, which a number in the registry has; change it")
    return f"dword:{number:08x}"


def _hex(text: str) -> str:
    """The bytes of a REG_MULTI_SZ, 25 on a line."""
    data = [f"{byte:02x}" for byte in text.encode("utf-16-le")]
    rows = [",".join(data[at : at + _BYTES_OF_A_LINE]) for at in range(0, len(data), _BYTES_OF_A_LINE)]
    return "hex(7):" + ",\\\r\n  ".join(rows)


def _refuse_unsayable(text: str) -> None:
    try:
        text.encode("utf-16-le")
    except UnicodeEncodeError as error:
        raise ValueError(f"{shown(text)} is not valid Unicode text; write it as UTF-8") from error
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise ValueError(f"{shown(text)} holds a control character, which a .reg file cannot carry; remove it")
