"""The options of a program in a file of the catalogue, and what each takes.

    aliases     other names that mean it; packages of one program alone, of whatever system, mean it too
    choices     names of programs, itself among them, that a recipe may give as its value (mail_client = thunderbird).
                A program without packages of its own stands for the first choice that the system has.
    section     the recipe's section that it belongs into; in a file that is no category's own, devel by default
    packages    the system's packages; "-" where it has none. dnf groups are written @id, zypper patterns pattern:id;
                on Windows they are Chocolatey's ids, or feature:NAME or capability:NAME of dism; a feature comes
                after those that it stands under.
    parameters  words for the packages' own installers: Chocolatey's package parameters
    units       systemd units that run it, service:NAME on Windows; "-" where it runs none
    ports       number/tcp or number/udp
    commands    executables on PATH that prove that it is installed; "-" where it brings none
    debconf     answers for debconf-set-selections(1), one a line
    setup       lines of sh, run as root in the guest once its packages are there; of batch on Windows
    idle        why its units do not come up before somebody configures it
    machine     why its units come up in a whole machine and not in a container
    conflicts   programs that cannot be installed beside it
    needs       programs of which it wants one beside it; one that stands for several is there with each of them
    repository  address of the repository that its packages come from, or a whole line of apt's without options of
                how it is checked, or the name of the program whose repository it is; "-" where they are the
                distribution's own
    suite, components   of that repository, where it is one of apt's
    key, fingerprint    address of the key that signs it, and the 40 hex digits that it is known by
    source      addresses of an archive that it is built from where there are no packages, tried in order; "-" for none
    source_sha256, source_build    its sum, and its build system, as in [config] [[sources]]
    source_options, source_needs   words for the build system; tools and libraries, names of data/building.ini
    source_script      lines of sh that build it, in place of a build system; PREFIX is set, and what it installs keeps
                its debugging symbols
    source_packages    packages that it needs to run, beside the libraries that its files are linked with
    source_wants       programs that are built from their own source before it
    checked     year-month in which its names were compared with an index of the system's packages, or unchecked
    missing     what to do where there are no packages
    notes       what a user should know

An option may carry the system that it is for: packages.debian, packages.debian-13, packages.debian-11..12,
packages.fedora-41.., packages.debian-i386, packages.debian-13-i386; commands.linux is for every Linux system.
catalogue/places.py says which one counts. One without a system is for all. What a distribution lacks it takes from its
relatives (ubuntu from debian, rocky from rhel, rhel from fedora), unless it has its own; `checked` alone it does not.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

from vmgen_build.catalogue.building import BUILD_SYSTEMS, known_needs
from vmgen_build.catalogue.entries import NONE
from vmgen_build.catalogue.places import cut, parse_place

CATEGORIES = ("network", "devel", "services", "gui")

PROGRAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,63}")

_EVERYWHERE = frozenset({"aliases", "choices", "section"})
"""Options that carry no system."""

_ANSWERS = frozenset({"string", "boolean", "select", "multiselect", "note", "text", "password"})
"""Types of questions, of debconf-devel(7)."""

_SOURCE_LINE = re.compile(r'deb\s+(?:\[([^\]]*)\]\s*)?([^\s\["][^\s"]*)\s+[^\s"][^"]*')
"""sources.list(5); apt reads quotes, too, which nobody needs there."""

_TRUST = frozenset({"trusted", "allow-insecure", "allow-weak", "allow-downgrade-to-insecure", "signed-by"})
"""Its options by which apt takes what this key did not sign."""

_SEEN = "a user or password in the address would be seen in the plan; take it out"

_Check = Callable[[str], str]
"""What is wrong with a value, and what would be right; "" for nothing."""


def wrong_option(key: str) -> str:
    """What is wrong with an option's name, and what would be right; "" for nothing."""
    option, dot, place = key.partition(".")
    if option not in _CHECKS:
        from difflib import get_close_matches

        near = get_close_matches(option[:64], _CHECKS, n=1, cutoff=0.6)
        return "is not an option of a program" + (f"; did you mean '{near[0]}'?" if near else "")
    if not dot:
        return ""
    if option in _EVERYWHERE:
        return f"is for all systems; write {option} without one"
    try:
        parse_place(place)
    except ValueError as error:
        return str(error)
    return ""


def wrong_value(key: str, value: str) -> str:
    """What is wrong with the value of a known option, and what would be right; "" for nothing."""
    return _CHECKS[key.partition(".")[0]](value)


def _words(pattern: str, right: str, optional: bool = False) -> _Check:
    """Words that fit a pattern; optional: "-" alone may stand for none."""

    def check(value: str) -> str:
        words = value.split()
        if optional and words == [NONE]:
            return ""
        wrong = [word for word in words if not re.fullmatch(pattern, word)]
        return f"'{cut(wrong[0])}' is {right}" if wrong else ""

    return check


def _text(value: str) -> str:
    return "is more than one line; write it in one" if "\n" in value else _lines(value)


def _lines(value: str) -> str:
    odd = [char for char in value if not char.isprintable() and char not in "\n\t"]
    return "holds a control character; leave it out" if odd else ""


def _ports(value: str) -> str:
    for word in value.split():
        match = re.fullmatch(r"([0-9]{1,5})/(tcp|udp)", word)
        if not match or not 0 < int(match[1]) < 65536:
            return f"'{cut(word)}' is no port; write number/tcp or number/udp, such as 80/tcp"
    return ""


def _debconf(value: str) -> str:
    for line in filter(None, map(str.strip, value.splitlines())):
        words = line.split(None, 3)
        if len(words) < 3 or "/" not in words[1] or words[2] not in _ANSWERS:
            return "holds a line that is no answer; write package package/question type value"
    return _lines(value)


def _repository(value: str) -> str:
    if value.startswith("deb "):
        return _source_line(value)
    return "" if value == NONE or PROGRAM_NAME.fullmatch(value) else _address(value)


def _source_line(value: str) -> str:
    """Options in brackets are the address's alone: apt checks what comes by the program's key."""
    match = _SOURCE_LINE.fullmatch(value)
    if match is None:
        return "is no source line; write deb URL SUITE COMPONENT"
    for option in (match[1] or "").split():
        name = re.fullmatch(r"([A-Za-z-]+)[+-]?=[A-Za-z0-9,._:/+-]+", option)
        if name is None:
            return f"'{cut(option)}' is no option of a source line; write one such as arch=amd64"
        if name[1].lower().rstrip("-") in _TRUST:
            return f"'{cut(option)}' says how apt checks the repository, which key and fingerprint do; leave it out"
    return _SEEN if _names_a_user(match[2]) else _text(value)


def _address(value: str) -> str:
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        whole = False
    if _names_a_user(value):
        return _SEEN
    if not whole or re.search(r"\s", value):
        return f"'{cut(value)}' is no address; write one such as https://repo.example.org/stable"
    return _text(value)


def _names_a_user(address: str) -> bool:
    """Before its host, RFC 3986, 3.2.1; apt reads %40 as @."""
    host = re.search("//([^/?#]*)", unquote(address))
    return host is not None and "@" in host[1]


def _addresses(value: str) -> str:
    return "" if value == NONE else next(filter(None, map(_address, value.split())), "")


def _sum(value: str) -> str:
    return "" if re.fullmatch(r"[0-9A-Fa-f]{64}", value) else "is no SHA-256; write its 64 hex digits"


def _build(value: str) -> str:
    known = [name for name in BUILD_SYSTEMS if name != "script"]
    advice = "; lines of a script are source_script" if value == "script" else ""
    return "" if value in known else f"'{cut(value)}' is none of {', '.join(known)}{advice}"


def _arguments(value: str) -> str:
    try:
        shlex.split(value)
    except ValueError:
        return "has a quote without its partner; add it"
    return _text(value)


def _build_needs(value: str) -> str:
    unknown = [word for word in value.split() if word not in known_needs()]
    return f"'{cut(unknown[0])}' is no tool or library of data/building.ini" if unknown else ""


def _fingerprint(value: str) -> str:
    whole = re.fullmatch(r"[0-9A-Fa-f]{40}", value.replace(" ", ""))
    return "" if whole else "is no fingerprint; write its 40 hex digits"


def _checked(value: str) -> str:
    whole = re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])|unchecked", value)
    return "" if whole else f"'{cut(value)}' is no month; write one such as 2026-11, or unchecked"


def _section(value: str) -> str:
    return "" if value in CATEGORIES else f"'{cut(value)}' is none of {', '.join(CATEGORIES)}"


_NAMES = _words(PROGRAM_NAME.pattern, "no program's name; write letters, digits, + . _ and -")

_PACKAGES = _words(
    r"(@\^?|pattern:)?[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9]+)?|(feature|capability):[A-Za-z0-9][A-Za-z0-9._~-]*",
    "no package's name; write letters, digits, + . _ and -, @ before a group, pattern: before a pattern, feature: or"
    " capability: before one of Windows",
    optional=True,
)

_CHECKS: Mapping[str, _Check] = {
    "aliases": _NAMES,
    "choices": _NAMES,
    "section": _section,
    "packages": _PACKAGES,
    "parameters": _words(r"/[A-Za-z0-9][A-Za-z0-9:=._-]*", "no parameter of a package; write one such as /Feature"),
    "units": _words(
        r"[A-Za-z0-9][A-Za-z0-9:_.@-]*\.(service|socket|target|timer|path)|service:[A-Za-z0-9][A-Za-z0-9_.-]*",
        "no unit; write its whole name, such as nginx.service, or service:NAME of Windows",
        optional=True,
    ),
    "ports": _ports,
    "commands": _words(r"[A-Za-z0-9_][A-Za-z0-9+._-]*", "no command; write the name of an executable", optional=True),
    "debconf": _debconf,
    "setup": _lines,
    "idle": _text,
    "machine": _text,
    "conflicts": _NAMES,
    "needs": _NAMES,
    "repository": _repository,
    "suite": _words(r"[A-Za-z0-9][A-Za-z0-9._/-]*", "no suite; write one such as stable"),
    "components": _words(r"[A-Za-z0-9][A-Za-z0-9._/-]*", "no component; write one such as main"),
    "key": _address,
    "fingerprint": _fingerprint,
    "source": _addresses,
    "source_sha256": _sum,
    "source_build": _build,
    "source_options": _arguments,
    "source_script": _lines,
    "source_needs": _build_needs,
    "source_packages": _PACKAGES,
    "source_wants": _NAMES,
    "checked": _checked,
    "missing": _text,
    "notes": _text,
}
