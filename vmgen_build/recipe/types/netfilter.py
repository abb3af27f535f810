"""Rules of iptables(8), as a recipe holds them: arguments of the command, with or without its name."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from vmgen_build.recipe.problems import shown
from vmgen_build.recipe.types.base import without_control

IPNetwork = IPv4Network | IPv6Network

CHAINS = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
"""Table -> its built-in chains, in the order in which iptables-save(8) writes them."""

_WITH_CHAIN = (
    *("-A", "--append", "-I", "--insert", "-P", "--policy", "-N", "--new-chain"),
    *("-D", "--delete", "-R", "--replace", "-E", "--rename-chain"),
)
_ALONE = ("-F", "--flush", "-X", "--delete-chain", "-Z", "--zero")
"""Commands that name a chain, and commands that mean every chain where they name none."""


@dataclass(frozen=True)
class Rule:
    """words: what iptables takes, without -t. version: 4 or 6."""

    table: str
    words: tuple[str, ...]
    version: int = 4

    @property
    def target(self) -> str:
        """What is done with a packet; for -P the new policy; "" where the rule does not decide."""
        if self.words[0] in ("-P", "--policy"):
            return self.words[-1]
        return self._value("-j", "--jump", "-g", "--goto")

    def concerns(self, port: int, neighbours: IPNetwork) -> bool:
        """Whether the rule may decide about a new TCP connection from a neighbour to this port of the guest."""
        chain = self.words[1] if len(self.words) > 1 else ""
        if chain in ("OUTPUT", "POSTROUTING", "FORWARD"):
            return False
        if "!" in self.words:
            return True
        ports = self._value("--dport", "--destination-port", "--dports", "--destination-ports")
        states = self._value("--ctstate", "--state")
        source = self._value("-s", "--source", "--src")
        return (
            (not ports or port in _ports(ports))
            and (not states or "NEW" in states.split(","))
            and (not source or _overlap(source, neighbours))
            and self._value("-p", "--protocol") in ("", "tcp", "6", "all")
            and self._value("-i", "--in-interface") != "lo"
        )

    def _value(self, *options: str) -> str:
        """The word after the first of these options, or ""."""
        pairs = zip(self.words, self.words[1:], strict=False)
        return next((value for word, value in pairs if word in options), "")


def parse_rule(text: str) -> Rule:
    """A rule as a user writes it at a shell, with or without the command's name.

    It is for IPv6 when the command is ip6tables or an address in it is one, else for IPv4. Raises ValueError.
    """
    text = without_control(text.strip())
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError("a quote of the rule is never closed; close it") from None
    command = words[0].rpartition("/")[2] if words else ""
    if command in ("iptables", "ip6tables"):
        words = words[1:]
    table, words = _without_table(words)
    if table not in CHAINS:
        raise ValueError(f"-t names no table; use one of {', '.join(CHAINS)}")
    if not words or words[0] not in (*_WITH_CHAIN, *_ALONE):
        raise ValueError(
            f"{shown(words[0] if words else text)} begins no rule; "
            "write iptables arguments, such as -A INPUT -s 10.0.0.0/8 -j ACCEPT"
        )
    if len(words) < 2 and words[0] in _WITH_CHAIN:
        raise ValueError(f"{words[0]} names no chain; write it after, such as {words[0]} INPUT")
    return Rule(table, tuple(words), 6 if command == "ip6tables" or any(map(_is_ipv6, words)) else 4)


def _without_table(words: list[str]) -> tuple[str, list[str]]:
    table, rest = "filter", []
    waiting = iter(words)
    for word in waiting:
        if word in ("-t", "--table"):
            table = next(waiting, "")
        elif word.startswith("--table="):
            table = word.partition("=")[2]
        else:
            rest.append(word)
    return table, rest


def _ports(text: str) -> set[int]:
    """All ports of "22", "8000:8080" or "22,80,8000:8080"; names stand for themselves and match nothing."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition(":")
        if first.isdigit() and (last or first).isdigit():
            found.update(range(int(first), int(last or first) + 1))
    return found


def _overlap(sources: str, neighbours: IPNetwork) -> bool:
    for source in sources.split(","):
        try:
            network = ip_network(source, strict=False)
        except ValueError:
            return True
        if network.version == neighbours.version and network.overlaps(neighbours):
            return True
    return False


def _is_ipv6(word: str) -> bool:
    try:
        return isinstance(ip_network(word, strict=False), IPv6Network)
    except ValueError:
        return False
