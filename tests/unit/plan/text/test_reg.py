"""Files for `reg import`. That Wine's reads them back: tests/integration/wine."""

import pytest

from vmgen_build.plan.text.reg import Value, reg_file

KEY = r"HKEY_LOCAL_MACHINE\SOFTWARE\Vmgen"


def lines(values: dict[str, Value]) -> list[str]:
    data = reg_file({KEY: values})
    assert data[:2] == b"\xff\xfe"
    text = data[2:].decode("utf-16-le").split("\r\n")
    assert text[:3] == ["Windows Registry Editor Version 5.00", "", f"[{KEY}]"]
    assert text[-2:] == ["", ""]
    return text[3:-2]


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ({"a": 'C:\\x "y" é'}, ['"a"="C:\\\\x \\"y\\" é"']),
        ({'a"\\': ""}, ['"a\\"\\\\"=""']),
        ({"": "own"}, ['@="own"']),
        ({"n": 0xC0FFEE}, ['"n"=dword:00c0ffee']),
        ({"m": ["a", "é"]}, ['"m"=hex(7):61,00,00,00,e9,00,00,00,00,00']),
        ({"m": []}, ['"m"=hex(7):00,00']),
        ({"gone": None}, ['"gone"=-']),
        ({"m": ["x" * 12]}, ['"m"=hex(7):' + "78,00," * 12 + "00,\\", "  00,00,00"]),
    ],
)
def test_values(values: dict[str, Value], written: list[str]) -> None:
    assert lines(values) == written


@pytest.mark.parametrize(
    ("key", "values", "why"),
    [
        ("HKLM\\x", {}, "is no key of the registry"),
        ("HKEY_LOCAL_MACHINE", {}, "is no key of the registry"),
        ("-HKEY_LOCAL_MACHINE\\x", {}, "is no key of the registry"),
        (f"{KEY}\\\\x", {}, "1 to 255 characters"),
        (f"{KEY}\\{'x' * 256}", {}, "1 to 255 characters"),
        (f"{KEY}]\r\n[x", {}, "holds a control character"),
        (KEY, {"a\nb": "x"}, "holds a control character"),
        (KEY, {"a": "x\0y"}, "holds a control character"),
        (KEY, {"a": ["x\ny"]}, "holds a control character"),
        (KEY, {"a": "\udcff"}, "is not valid Unicode text"),
        (KEY, {"a": ["b", ""]}, "an empty string would end a list"),
        (KEY, {"a": -1}, "does not fit into 32 bits"),
        (KEY, {"a": 1 << 32}, "does not fit into 32 bits"),
        (KEY, {"a" * 16384: 1}, "is too long"),
    ],
)
def test_what_is_refused(key: str, values: dict[str, Value], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        reg_file({key: values})
