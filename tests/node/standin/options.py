"""The options of vzctl's create and set: what each takes, and what it becomes in CTID.conf."""

from __future__ import annotations

from standin.errors import BAD_VALUE, NO_PLOOP, Refused
from standin.place import Values

PAGE = 4096

UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

_PAGES = "lockedpages privvmpages shmpages physpages vmguarpages oomguarpages swappages"
_OTHERS = (
    "kmemsize numproc numtcpsock numflock numpty numsiginfo tcpsndbuf tcprcvbuf othersockbuf dgramrcvbuf numothersock"
    " dcachesize numfile numiptent"
)
_WORDS = "hostname description searchdomain iptables devices devnodes features capability"
_CREATE = "ostemplate config layout diskspace diskinodes private root ipadd hostname name description"

IN_PAGES = frozenset(_PAGES.split())
BEANCOUNTERS = IN_PAGES | frozenset(_OTHERS.split())
PLAIN = frozenset(_WORDS.split())
NUMBERS = {"cpus": "CPUS", "cpuunits": "CPUUNITS", "cpulimit": "CPULIMIT", "ioprio": "IOPRIO"}
NUMBERS |= {"quotatime": "QUOTATIME", "stop-timeout": "STOP_TIMEOUT", "bootorder": "BOOTORDER"}
YES_NO = {"onboot": "ONBOOT", "disabled": "DISABLED"}

SET = PLAIN | BEANCOUNTERS | set(NUMBERS) | set(YES_NO) | {"ram", "swap", "diskspace", "diskinodes", "name"}
SET |= {"ipadd", "ipdel", "nameserver", "netif_add", "netif_del", "applyconfig"}
CREATE = frozenset(_CREATE.split())
BARE = frozenset(["save", "force", "setmode"])


def parse(argv: list[str], allowed: set[str] | frozenset[str], bare: bool = False) -> list[tuple[str, str]]:
    """`--name value` and `--name=value` in order; for those that take none the value is "". Raises Refused.

    bare: none of the allowed ones takes a value.
    """
    found = []
    words = iter(argv)
    for word in words:
        name, equals, value = word[2:].partition("=")
        if not word.startswith("--") or name not in allowed:
            raise Refused(BAD_VALUE, f"Invalid option: {word}")
        if not bare and name not in BARE and not equals:
            following = next(words, None)
            if following is None:
                raise Refused(BAD_VALUE, f"Option --{name} requires an argument")
            value = following
        found.append((name, value))
    return found


def apply(name: str, value: str, values: Values) -> Values:
    """The lines of CTID.conf that the option changes. Raises Refused."""
    key = name.replace("-", "_").upper()
    if name in PLAIN:
        return {key: value}
    if name in YES_NO:
        return {key: _one_of(name, value, "yes", "no")}
    if name in NUMBERS:
        return {NUMBERS[name]: str(_number(name, value))}
    if name in ("ram", "swap"):
        limit = _size(name, value, "") // PAGE
        return {"PHYSPAGES" if name == "ram" else "SWAPPAGES": f"0:{limit}"}
    if name in BEANCOUNTERS:
        scale = PAGE if name in IN_PAGES else 1
        return {key: _range(name, value, scale) if ":" in value else str(_limit(name, value, scale))}
    if name == "diskspace":
        return {key: _range(name, value, UNITS["K"])}
    if name == "diskinodes":
        return {key: _range(name, value, 1)}
    if name == "layout":
        return {"VE_LAYOUT": _layout(value)}
    if name == "nameserver":
        before = values.get("NAMESERVER", "").split() if values.get("NAMESERVER") != "inherit" else []
        return {key: value if value == "inherit" else " ".join([*before, *value.split()])}
    if name == "ipadd":
        before = values.get("IP_ADDRESS", "").split()
        return {"IP_ADDRESS": " ".join([*before, *(a for a in map(address, value.split()) if a not in before)])}
    if name == "ipdel":
        gone = value.split()
        kept = [a for a in values.get("IP_ADDRESS", "").split() if value != "all" and a not in gone]
        return {"IP_ADDRESS": " ".join(kept)}
    raise Refused(BAD_VALUE, f"Invalid option: --{name}")


def address(text: str) -> str:
    """The IPv4 or IPv6 address, without a prefix's length. Raises Refused."""
    import socket

    plain = text.partition("/")[0]
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, plain)
        except OSError:
            continue
        return plain
    raise Refused(BAD_VALUE, f"Bad parameter for --ipadd: {text}")


def _layout(value: str) -> str:
    if value.partition(":")[0] == "ploop":
        raise Refused(NO_PLOOP, "ploop is not supported by the running kernel")
    return _one_of("layout", value, "simfs")


def _one_of(name: str, value: str, *choices: str) -> str:
    if value not in choices:
        raise Refused(BAD_VALUE, f"Invalid value for --{name}: {value}")
    return value


def _number(name: str, value: str) -> int:
    if not value.rstrip("%").isdigit():
        raise Refused(BAD_VALUE, f"Invalid value for --{name}: {value}")
    return int(value.rstrip("%"))


def _size(name: str, text: str, unit: str) -> int:
    """Bytes; a number without a unit is in `unit`."""
    digits = text.rstrip("bBkKmMgGtT")
    suffix = text[len(digits) :].upper() or unit
    try:
        return int(float(digits) * UNITS[suffix])
    except (ValueError, KeyError):
        raise Refused(BAD_VALUE, f"Invalid value for --{name}: {text}") from None


def _range(name: str, value: str, scale: int) -> str:
    """BARRIER[:LIMIT] in units of `scale` bytes; "unlimited" is the greatest long (vzctl(8))."""
    parts = value.split(":")
    if len(parts) > 2:
        raise Refused(BAD_VALUE, f"Invalid value for --{name}: {value}")
    numbers = [_limit(name, part, scale) for part in parts]
    return f"{numbers[0]}:{numbers[-1]}"


def _limit(name: str, text: str, scale: int) -> int:
    if text == "unlimited":
        return 2**63 - 1
    return int(text) if text.isdigit() else _size(name, text, "") // scale
