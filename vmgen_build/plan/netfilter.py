"""The file format of iptables-restore(8)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from vmgen_build.recipe.types.netfilter import CHAINS, Rule

COMMENT_BYTES = 255
"""XT_MAX_COMMENT_LEN of linux/netfilter/xt_comment.h, without its final NUL."""

_PLAIN = re.compile(r"[A-Za-z0-9_./:,+@%=!-]+")


def rules_text(rules: Iterable[Rule], policies: Mapping[str, str], version: int) -> str:
    """A file for iptables-restore with the rules of one IP version; policies: chain of the filter table -> target."""
    mine = [rule for rule in rules if rule.version == version]
    parts = ["# Written by vmgen-build; iptables-restore(8) says more.\n"]
    for table, chains in CHAINS.items():
        lines = [" ".join(map(quoted, rule.words)) for rule in mine if rule.table == table]
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
