"""Languages, keyboards and time zones of recipes as Windows calls them: data/windows.ini, and tzlocal's table of CLDR.

A name without an entry raises ValueError, which says what to write instead. nt: the version of Windows' kernel, as
(6, 1) for Windows 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

Version = tuple[int, int]

VISTA: Version = (6, 0)
WINDOWS_8: Version = (6, 2)


@dataclass(frozen=True, slots=True)
class Language:
    """tag: "ro-RO". lcid: "0418", four hexadecimal digits. group: of languages, as XP's Setup installs them; 0 where it
    does not know the language."""

    tag: str
    lcid: str
    group: int


def language(locale: str, nt: Version) -> Language:
    """The language of a locale, as "ro_RO.UTF-8"."""
    name, _, rest = locale.partition(".")
    _, at, modifier = (rest or name).partition("@")
    known = dict(_data()["locales"])
    if nt >= WINDOWS_8:
        known |= _data()["locales nt 6.2"]
    plain = name.partition("@")[0]
    found = known.get(plain + at + modifier) or known.get(plain)
    if found is None:
        near = _near(plain, known) or "; write the locale of a language that Windows has, such as en_US.UTF-8"
        raise ValueError(f"no language of Windows is known for the locale '{locale}'{near}")
    tag, lcid, group = found.split()
    if nt < VISTA and group == "0":
        raise ValueError(f"Windows XP and 2003 have no language for the locale '{locale}'; write another one")
    return Language(tag, lcid, int(group))


def keyboard(layout: str, nt: Version) -> str:
    """The input locale of a layout or layout:variant, as "0418:00020418": a language and a layout of its."""
    known = dict(_data()["keyboards"])
    if nt < VISTA:
        known |= _data()["keyboards xp"]
    if layout not in known:
        near = _near(layout, known) or f"; the known ones are {', '.join(sorted(known))}"
        raise ValueError(f"no keyboard layout of Windows is known for '{layout}'{near}")
    return known[layout]


def time_zone(name: str) -> str:
    """The time zone of a name of the tz database, as "GTB Standard Time" for Europe/Bucharest."""
    from tzlocal.windows_tz import tz_win

    found = tz_win.get(_data()["zones"].get(name, name))
    if found is None:
        raise ValueError(f"Windows has no time zone '{name}'; write one of a large city with the same time")
    return _data()["zones newer"].get(found, found)


def time_zone_index(name: str) -> str:
    """The number that the answer files of Windows XP and 2003 have in place of the time zone, as "130"."""
    zone = time_zone(name)
    index = _data()["zones xp"].get(zone)
    if index is None:
        raise ValueError(f"Windows XP and 2003 do not know '{zone}', the time of {name}; write one of the same time")
    return index


def _near(name: str, known: Mapping[str, str]) -> str:
    found = get_close_matches(name[:80], known, n=1)
    return f"; did you mean '{found[0]}'?" if found else ""


@cache
def _data() -> Mapping[str, Mapping[str, str]]:
    """Section -> its entries, in the case that they are written in."""
    from configparser import RawConfigParser

    parser = RawConfigParser(delimiters=(" = ",), interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read_string((Path(__file__).parent / "data" / "windows.ini").read_text("utf-8"))
    return {name: dict(parser[name]) for name in parser.sections()}
