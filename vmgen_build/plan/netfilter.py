"""Rules of iptables, and the file format of iptables-restore(8)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

IPNetwork = IPv4Network | IPv6Network

CHAINS = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
"""Table -> its built-in chains, in the order in which a file holds them."""

COMMENT_BYTES = 255
"""XT_MAX_COMMENT_LEN of linux/netfilter/xt_comment.h, without its final NUL."""

_WITH_CHAIN = (
    "-A",
    "--append",
    "-I",
    "--insert",
    "-N",
    "--new-chain",
    "-P",
    "--policy",
    "-D",
    "--delete",
    "-R",
    "--replace",
)
_COMMANDS = (*_WITH_CHAIN, "-F", "--flush", "-X", "--delete-chain", "-Z", "--zero", "-E", "--rename-chain")
_PLAIN = re.compile(r"[A-Za-z0-9_./:,+@%=!-]+")
_EXAMPLE = "write it as -A INPUT -s 10.0.0.0/8 -j ACCEPT"


@dataclass(frozen=True)
class Rule:
    """words: what iptables takes, without -t. version: 4 or 6."""

    table: str
    words: tuple[str, ...]
    version: int = 4

    def line(self) -> str:
        return " ".join(quoted(word) for word in self.words)

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
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"firewall rule '{text}': {str(error).lower()}; close every quote") from None
    command = words[0].rpartition("/")[2] if words else ""
    if command in ("iptables", "ip6tables"):
        words = words[1:]
    table, words = _without_table(words)
    if table not in CHAINS:
        raise ValueError(f"firewall rule '{text}': there is no table '{table}'; take one of {', '.join(CHAINS)}")
    if not words or words[0] not in _COMMANDS or (words[0] in _WITH_CHAIN and not words[1:]):
        raise ValueError(f"firewall rule '{text}' does not begin with what to do; {_EXAMPLE}")
    if any(c in word for word in words for c in "\0\n\r"):
        raise ValueError(f"firewall rule {text!r} holds a line break; write one rule per line")
    return Rule(table, tuple(words), 6 if command == "ip6tables" or any(map(_is_ipv6, words)) else 4)


def rules_text(rules: Iterable[Rule], policies: Mapping[str, str], version: int) -> str:
    """A file for iptables-restore with the rules of one IP version; policies: chain of the filter table -> target."""
    mine = [rule for rule in rules if rule.version == version]
    parts = ["# Written by vmgen-build; iptables-restore(8) says more.\n"]
    for table, chains in CHAINS.items():
        lines = [rule.line() for rule in mine if rule.table == table]
        if lines or table == "filter":
            heads = [f":{c} {policies.get(c, 'ACCEPT') if table == 'filter' else 'ACCEPT'} [0:0]" for c in chains]
            parts += [f"{line}\n" for line in (f"*{table}", *heads, *lines, "COMMIT")]
    return "".join(parts)


def quoted(word: str) -> str:
    r"""A word of an iptables-restore line: there, double quotes hold a word together, and \ stands before " and \."""
    if _PLAIN.fullmatch(word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def comment(text: str) -> str:
    """What fits into a rule's comment: one line, as many whole characters as its bytes hold."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(line.split()).encode(errors="replace")[:COMMENT_BYTES].decode(errors="ignore").rstrip()


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
