"""Which version of the API is spoken; tests/integration/vsphere speaks it."""

from __future__ import annotations

import pytest

from vmgen_build.errors import HostError
from vmgen_build.guests.vsphere.session import _version


@pytest.mark.parametrize(
    ("api", "version"),
    [
        ("", "vim.version.version9"),
        ("5.5", "vim.version.version9"),
        ("6.5", "vim.version.version11"),
        ("6.7.3", "vim.version.version15"),
        ("8.0.2.0", "vim.version.v8_0_2_0"),
        ("8.0.2.7", "vim.version.v8_0_2_0"),
        ("odd", "vim.version.version9"),
    ],
)
def test_the_newest_that_both_speak(api: str, version: str) -> None:
    assert _version(api) == version


def test_a_server_that_is_too_old() -> None:
    with pytest.raises(HostError, match=r"with version 4.1 of the API is too old: 5.5 is the least"):
        _version("4.1")
