"""Licences in the words of Debian's copyright files and of rpm, as expressions of SPDX.

Words: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/#license-specification, and Fedora's before
it took SPDX's. A name that SPDX lacks becomes a LicenseRef, and stays known by its own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

_GNU = re.compile(r"([AL]?GPL|GFDL)(?:-?v?)(\d+(?:\.\d+)*)(\+|-or-later|-only)?", re.IGNORECASE)
_WORDS = {
    "apache": "Apache-2.0",
    "artistic": "Artistic-1.0",
    "artistic-1": "Artistic-1.0",
    "apache-2": "Apache-2.0",
    "asl 2.0": "Apache-2.0",
    "artistic-2": "Artistic-2.0",
    "boost-1.0": "BSL-1.0",
    "bsd-2-clauses": "BSD-2-Clause",
    "bsd-3-clauses": "BSD-3-Clause",
    "bsd-4-clause-uc": "BSD-4-Clause-UC",
    "cc0": "CC0-1.0",
    "expat": "MIT",
    "mplv2.0": "MPL-2.0",
    "mplv1.1": "MPL-1.1",
    "python": "PSF-2.0",
    "psf-2": "PSF-2.0",
    "sleepycat": "Sleepycat",
    "zlib": "Zlib",
}
"""What is no name of SPDX in other letters."""

_EXCEPTIONS = {
    "autoconf": "Autoconf-exception-3.0",
    "bison": "Bison-exception-2.2",
    "classpath": "Classpath-exception-2.0",
    "font": "Font-exception-2.0",
    "gcc": "GCC-exception-3.1",
    "libtool": "Libtool-exception",
}
_MOST = 400
"""Characters of what is read as an expression."""


@dataclass(frozen=True, slots=True)
class Licence:
    """expression: of SPDX. named: each LicenseRef in it -> the name that the system gives that licence."""

    expression: str
    named: tuple[tuple[str, str], ...] = ()


def licence_of(words: Iterable[str]) -> Licence | None:
    """Of a package whose parts are under these, each: all of them hold. None where none is known."""
    found = [_licence(word) for word in sorted({word.strip() for word in words} - {""})]
    parts = sorted({_bracketed(one.expression) for one in found})
    named = sorted({pair for one in found for pair in one.named})
    if not parts:
        return None
    return Licence(found[0].expression if len(parts) == 1 else " AND ".join(parts), tuple(named))


def parsed(licence: Licence) -> Any:
    """Its expression as the library has it."""
    return _licensing().parse(licence.expression)


@cache
def _licence(words: str) -> Licence:
    """SPDX's own, as Fedora has it today, or words of Debian and of the older rpm."""
    if name := _known(words):
        return Licence(name)
    if (found := _of_spdx(words)) is not None:
        return found
    if len(words) > _MOST or "(" in words:
        return _one(words)
    whole: list[str] = []
    named: list[tuple[str, str]] = []
    for part in re.split(r"\s*,\s*and\s+|\s*;\s*", words, flags=re.IGNORECASE):
        choices = []
        for choice in re.split(r"\s*,?\s+or\s+|\s+and/or\s+|\s*\|\s*|\s*/\s*", part, flags=re.IGNORECASE):
            each = [_one(name) for name in re.split(r"\s*,?\s+and\s+|\s*&\s*", choice, flags=re.IGNORECASE)]
            choices.append(" AND ".join(one.expression for one in each))
            named += [pair for one in each for pair in one.named]
        whole.append(" OR ".join(_bracketed(choice) if len(choices) > 1 else choice for choice in choices))
    return Licence(" AND ".join(_bracketed(part) if len(whole) > 1 else part for part in whole), tuple(named))


def _one(name: str) -> Licence:
    """Of a licence, with an exception maybe."""
    name = name.strip()
    base, _, exception = name.partition(" with ")
    known = _known(base.strip())
    if known and not exception:
        return Licence(known)
    kind = re.match(r"(?:the )?([a-z]+)[- ].*exception", exception, re.IGNORECASE)
    if known and kind and (found := _EXCEPTIONS.get(kind[1].lower())):
        return Licence(f"{known} WITH {found}")
    label = re.sub(r"[^A-Za-z0-9.-]+", "-", name.replace("+", "-or-later")).strip("-.")[:100] or "unnamed"
    return Licence(f"LicenseRef-{label}", ((f"LicenseRef-{label}", name),))


def _known(name: str) -> str:
    """SPDX's name; "" for none."""
    if match := _GNU.fullmatch(name):
        version = match[2] if "." in match[2] else f"{match[2]}.0"
        kind = "or-later" if match[3] in ("+", "-or-later") else "only"
        name = f"{match[1].upper()}-{version.removesuffix('.0.0')}-{kind}"
    name = _WORDS.get(name.lower(), name)
    return _ids().get(name.lower(), "")


def _of_spdx(words: str) -> Licence | None:
    """An expression of SPDX's names as it stands, in their letters; LicenseRefs of others keep their names."""
    if len(words) > _MOST * 4 or not re.search(r" (AND|OR|WITH) |^[A-Za-z0-9.+-]+$", words):
        return None
    try:
        expression = _licensing().parse(words)
        keys = [one.key for one in _licensing().license_symbols(expression, decompose=True)]
    except Exception:  # the library raises errors of many kinds for what is no expression
        return None
    own = [key for key in keys if re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", key)]
    if not keys or any(key not in own and _ids().get(key.lower()) != key and key not in _exceptions() for key in keys):
        return None
    return Licence(str(expression), tuple((key, key.removeprefix("LicenseRef-")) for key in own))


@cache
def _licensing() -> Any:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


@cache
def _ids() -> dict[str, str]:
    """SPDX's names by the same in small letters."""
    symbols = _licensing().known_symbols.items()
    return {key.lower(): key for key, one in symbols if not key.startswith("LicenseRef") and not one.is_exception}


@cache
def _exceptions() -> frozenset[str]:
    return frozenset(key for key, one in _licensing().known_symbols.items() if one.is_exception)


def _bracketed(expression: str) -> str:
    return f"({expression})" if " OR " in expression or " AND " in expression else expression
