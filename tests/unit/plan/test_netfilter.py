"""Rules as users write them, and the lines that iptables-restore reads."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from vmgen_build.plan.netfilter import COMMENT_BYTES, Rule, comment, parse_rule, quoted, rules_text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("-A INPUT -j DROP", Rule("filter", ("-A", "INPUT", "-j", "DROP"))),
        ("iptables -A INPUT -j DROP", Rule("filter", ("-A", "INPUT", "-j", "DROP"))),
        ("/usr/sbin/iptables -t nat -F", Rule("nat", ("-F",))),
        ("-A OUTPUT -j DROP --table=mangle", Rule("mangle", ("-A", "OUTPUT", "-j", "DROP"))),
        ("ip6tables -A INPUT -j DROP", Rule("filter", ("-A", "INPUT", "-j", "DROP"), 6)),
        ("-A INPUT -s 2001:db8::/32 -j DROP", Rule("filter", ("-A", "INPUT", "-s", "2001:db8::/32", "-j", "DROP"), 6)),
        ("-A INPUT --dport 22:23 -j DROP", Rule("filter", ("-A", "INPUT", "--dport", "22:23", "-j", "DROP"))),
        ("-A X -m comment --comment 'a; $(b)'", Rule("filter", ("-A", "X", "-m", "comment", "--comment", "a; $(b)"))),
    ],
)
def test_rules_as_written(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-A INPUT 'x", "no closing quotation; close every quote"),
        ("INPUT -j DROP", "does not begin with what to do"),
        ("-A", "does not begin with what to do"),
        ("", "does not begin with what to do"),
        ("-t natt -A INPUT", "there is no table 'natt'; take one of raw, mangle, nat, filter, security"),
        ("-A INPUT -m comment --comment 'a\nCOMMIT'", "holds a line break; write one rule per line"),
    ],
)
def test_what_is_no_rule(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_rule(text)


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


NEAR = ip_network("192.168.1.0/24")


@pytest.mark.parametrize(
    ("rule", "concerned"),
    [
        ("-A INPUT -j DROP", True),
        ("-P INPUT ACCEPT", True),
        ("-A OUTPUT -j DROP", False),
        ("-A INPUT -s 10.0.0.0/8 -j ACCEPT", False),
        ("-A INPUT -s 10.0.0.0/8,192.168.0.0/16 -j ACCEPT", True),
        ("-A INPUT ! -s 10.0.0.0/8 -j ACCEPT", True),
        ("-A INPUT -s host.example.org -j ACCEPT", True),
        ("-A INPUT -p udp -j DROP", False),
        ("-A INPUT -p tcp --dport 23 -j DROP", False),
        ("-A INPUT -p tcp --dport 20:22 -j DROP", True),
        ("-A INPUT -p tcp -m multiport --dports 21,22 -j DROP", True),
        ("-A INPUT -i lo -j ACCEPT", False),
        ("-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", False),
    ],
)
def test_which_rules_may_decide_about_port_22(rule: str, concerned: bool) -> None:
    assert parse_rule(rule).concerns(22, NEAR) is concerned
