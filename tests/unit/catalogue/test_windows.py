"""Names of regions as Windows has them."""

from __future__ import annotations

import locale
import re
from collections.abc import Callable

import pytest

from vmgen_build.catalogue import windows
from vmgen_build.catalogue.regions import known_locales, known_zones

XP, SEVEN, TEN = (5, 1), (6, 1), (10, 0)


def test_every_time_zone_that_a_recipe_may_name_has_one_of_windows() -> None:
    assert all(windows.time_zone(name) for name in known_zones())


@pytest.mark.parametrize(
    ("name", "zone", "index"),
    [
        ("Europe/Bucharest", "GTB Standard Time", "130"),
        ("UTC", "UTC", "090"),
        ("GMT", "UTC", "090"),
        ("Europe/Berlin", "W. Europe Standard Time", "110"),
        ("America/Edmonton", "Mountain Standard Time", "010"),
        ("Asia/Kolkata", "India Standard Time", "190"),
    ],
)
def test_time_zones(name: str, zone: str, index: str) -> None:
    assert (windows.time_zone(name), windows.time_zone_index(name)) == (zone, index)


def test_languages() -> None:
    assert windows.language("ro_RO.UTF-8", XP) == windows.Language("ro-RO", "0418", 2)
    assert windows.language("de_DE@euro", TEN).tag == "de-DE"
    assert windows.language("sr_RS@latin", SEVEN).tag == "sr-Latn-CS"
    assert windows.language("sr_RS.UTF-8@latin", TEN).tag == "sr-Latn-RS"
    assert windows.language("C.UTF-8", XP).tag == "en-US"


def test_keyboards() -> None:
    assert windows.keyboard("us", XP) == "0409:00000409"
    assert windows.keyboard("de:nodeadkeys", TEN) == "0407:00000407"
    assert (windows.keyboard("ro", XP), windows.keyboard("ro", SEVEN)) == ("0418:00000418", "0418:00020418")


@pytest.mark.parametrize(
    ("ask", "name", "text"),
    [
        (windows.language, "tlh_QO.UTF-8", "'tlh_QO.UTF-8'; write the locale"),
        (windows.language, "ro_RU.UTF-8", "did you mean"),
        (windows.language, "en_IN.UTF-8", "Windows XP and 2003"),
        (windows.keyboard, "xx", "the known ones are al, am,"),
        (windows.keyboard, "de:nodeadkey", "did you mean 'de:nodeadkeys'?"),
    ],
)
def test_a_name_without_an_entry_is_answered_with_what_to_do(
    ask: Callable[[str, tuple[int, int]], object], name: str, text: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        ask(name, XP)


def test_a_time_that_xp_does_not_know() -> None:
    with pytest.raises(ValueError, match="do not know 'Jordan Standard Time', the time of Asia/Amman"):
        windows.time_zone_index("Asia/Amman")


def test_the_data_hold_together() -> None:
    """Against Python's own table of languages, the tool's locales, and tzlocal's time zones."""
    from tzlocal.windows_tz import win_tz

    data = windows._data()
    plain = {name.partition(".")[0] for name in known_locales()} | {"C", "POSIX"}
    assert {name.partition("@")[0] for name in data["locales"]} <= plain
    differ = {"az_AZ", "en_IN", "uz_UZ"}
    numbers = {name: f"{number:04x}" for number, name in locale.windows_locale.items()}
    for name, entry in data["locales"].items():
        tag, lcid, group = entry.split()
        assert re.fullmatch("[0-9a-f]{4}", lcid) and 0 <= int(group) <= 17
        assert tag.split("-")[0] == name[:2].replace("C", "en").replace("PO", "en") or len(tag.split("-")[0]) == 3
        if name in numbers and name not in differ:
            assert numbers[name] == lcid, name
    assert data["zones xp"].keys() <= win_tz.keys()
    for section in ("keyboards", "keyboards xp"):
        for layout, value in data[section].items():
            assert re.fullmatch("[a-z]+(:[a-z0-9_-]+)?", layout)
            assert re.fullmatch("[0-9a-f]{4}:[0-9a-f]{8}", value)
    assert data["keyboards xp"].keys() <= data["keyboards"].keys()
