"""Rules as users write them."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from vmgen_build.recipe.types.netfilter import Rule, parse_rule


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
        ("-A INPUT 'x", "a quote of the rule is never closed; close it"),
        ("INPUT -j DROP", "'INPUT' begins no rule; write iptables arguments, such as -A INPUT"),
        ("iptables -L", "'-L' begins no rule"),
        ("", "'' begins no rule"),
        ("-A", "-A names no chain; write it after, such as -A INPUT"),
        ("-t nat -E", "-E names no chain"),
        ("-t natt -A INPUT", "-t names no table; use one of raw, mangle, nat, filter, security"),
        ("-A INPUT -j DROP --table=natt", "-t names no table"),
        ("-A INPUT -j DROP -t", "-t names no table"),
        ("-A INPUT -m comment --comment 'a\nCOMMIT'", "is more than one line; write it in one"),
        ("-A INPUT\0 -j DROP", "holds a control character; leave it out"),
    ],
)
def test_what_is_no_rule(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_rule(text)


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
