"""The key that Administrator's password of what Setup makes is derived from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vmgen_build.errors import HostError
from vmgen_build.guests.vsphere.setupkey import known_setup_key, setup_key


def test_a_key_is_made_once_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert known_setup_key(cache) is None and not cache.exists()
    made = setup_key(cache)
    assert setup_key(cache) == made == known_setup_key(cache)
    assert (cache / "vsphere/setup-key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (cache / "vsphere").iterdir()] == ["setup-key"]
    assert setup_key(tmp_path / "other") != made


def test_a_password_is_that_of_one_state_and_says_nothing_of_the_key(tmp_path: Path) -> None:
    key = setup_key(tmp_path / "cache")
    first, second = key.password("a" * 64), key.password("b" * 64)
    assert first == key.password("a" * 64) != second
    assert all(re.fullmatch(r"Vm1-[A-Za-z0-9]{10}", one.reveal()) for one in (first, second))
    secret = key.secret.reveal()
    assert re.fullmatch(r"[0-9a-f]{16}", key.name) and key.name not in secret and secret not in repr(key)
    assert first.reveal().removeprefix("Vm1-") not in key.name


def test_no_two_states_of_many_have_one_password(tmp_path: Path) -> None:
    key = setup_key(tmp_path / "cache")
    found = {key.password(str(number)).reveal() for number in range(500)}
    assert len(found) == 500 and all(len(one) == 14 for one in found)


@pytest.mark.parametrize("text", ["", "no key\n", "ab" * 31, "\xff" * 64])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    cache = tmp_path / "cache"
    setup_key(cache)
    (cache / "vsphere/setup-key").write_text(text, "latin-1")
    with pytest.raises(HostError, match="holds no key"):
        setup_key(cache)


def test_a_link_in_its_place_is_none(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    setup_key(cache)
    (cache / "vsphere/setup-key").rename(tmp_path / "elsewhere")
    (cache / "vsphere/setup-key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="cannot read"):
        setup_key(cache)
