"""The lines that iptables-restore reads."""

from __future__ import annotations

import pytest

from vmgen_build.plan.netfilter import COMMENT_BYTES, comment, quoted, rules_text
from vmgen_build.recipe.types.netfilter import parse_rule


def test_a_file_for_each_ip_version() -> None:
    rules = [
        parse_rule(t) for t in ("-A INPUT -j LOG", "-t nat -A POSTROUTING -j MASQUERADE", "ip6tables -A INPUT -j DROP")
    ]
    assert rules_text(rules, {"INPUT": "DROP"}, 4) == (
        "# Written by vmgen-build; iptables-restore(8) says more.\n"
        "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
        "-A POSTROUTING -j MASQUERADE\nCOMMIT\n"
        "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -j LOG\nCOMMIT\n"
    )
    assert rules_text(rules, {}, 6) == (
        "# Written by vmgen-build; iptables-restore(8) says more.\n"
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -j DROP\nCOMMIT\n"
    )


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("22:23", "22:23"),
        ("a b", '"a b"'),
        ("", '""'),
        ('say "hi"', '"say \\"hi\\""'),
        ("a\\b", '"a\\\\b"'),
        ("#", '"#"'),
    ],
)
def test_words_of_a_line(word: str, text: str) -> None:
    assert quoted(word) == text


def test_a_comment_is_one_line_of_whole_characters() -> None:
    assert comment(" a\n-A INPUT -j ACCEPT\t\x1bb ") == "a -A INPUT -j ACCEPT b"
    assert comment("é" * 200) == "é" * (COMMENT_BYTES // 2)
