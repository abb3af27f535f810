"""What each type of option takes, and what it makes of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from vmgen_build.recipe import types as t
from vmgen_build.recipe.ini import Value
from vmgen_build.recipe.scanning import parse_items
from vmgen_build.recipe.types.base import Context, Type
from vmgen_build.recipe.types.netfilter import Rule


def read(type_: Type[Any], text: str) -> Any:
    return type_.read(Value("", text, parse_items(text) if text else (), "t.ini", 1), Context())


def key_line(kind: str, inner: str = "") -> str:
    """A public key of the shape that ssh-keygen writes: length, type, length, 32 bytes of key."""
    name = (inner or kind).encode()
    blob = len(name).to_bytes(4, "big") + name + (32).to_bytes(4, "big") + bytes(32)
    return f"{kind} {base64.b64encode(blob).decode()} ana@lab"


GOOD: list[tuple[Type[Any], str, Any]] = [
    (t.size, "1024", 2**30),
    (t.size, "1G", 2**30),
    (t.size, "8GB", 2**33),
    (t.size, "8 GiB", 2**33),
    (t.size, "1.5g", 3 * 2**29),
    (t.size, "512k", 2**19),
    (t.size, "4096B", 4096),
    (t.size_or_rest, "rest", None),
    (t.boolean, "On", True),
    (t.boolean, "no", False),
    (t.integer(0, 3), "3", 3),
    (t.choice("tcp", "udp"), "TCP", "tcp"),
    (t.words, "main contrib, non-free", ("main", "contrib", "non-free")),
    (t.bus_position, "0:15", (0, 15)),
    (t.networks, "255.255.255.0", (24,)),
    (t.networks, "/64, 8", (64, 8)),
    (t.port_range, "22", (22, 22)),
    (t.port_range, "8000:8080", (8000, 8080)),
    (t.mac, "00-16-3E-12-34-56", "00:16:3e:12:34:56"),
    (t.hostname, "HAL-9000", "HAL-9000"),
    (t.hostname, "lab.example.org", "lab.example.org"),
    (t.unix_name, "_apt", "_apt"),
    (t.unix_name, "machine$", "machine$"),
    (t.owner, "ana:1000", "ana:1000"),
    (t.file_mode, "4755", 0o4755),
    (t.file_mode, "0o644", 0o644),
    (t.sudo, "1", "yes"),
    (t.sudo, "NOPASSWD", "nopasswd"),
    (t.timezone, "Etc/GMT+3", "Etc/GMT+3"),
    (t.locale, "C", "C"),
    (t.timezone, "US/Eastern", "US/Eastern"),
    (t.locale, "ro_RO.utf8", "ro_RO.UTF-8"),
    (t.locale, "de_DE@euro", "de_DE@euro"),
    (t.locale, "ltg_LV.UTF-8", "ltg_LV.UTF-8"),
    (t.keyboard, "ro:std", "ro:std"),
    (t.package_names, "g++, libstdc++-12-dev htop", ("g++", "libstdc++-12-dev", "htop")),
    (t.package_names, "libc6:i386", ("libc6:i386",)),
    (t.url, "https://example.org:8443/debian", "https://example.org:8443/debian"),
    (t.url, "file:///srv/debian", "file:///srv/debian"),
    (t.repo_line, "deb [arch=amd64 trusted=yes] https://x.org/ ./", "deb [arch=amd64 trusted=yes] https://x.org/ ./"),
    (t.iptables_rule, "iptables -t nat -P OUTPUT DROP", Rule("nat", ("-P", "OUTPUT", "DROP"))),
    (t.ssh_keys, key_line("ssh-ed25519"), (key_line("ssh-ed25519"),)),
    (t.ssh_keys, f'from="10.0.0.0/8" {key_line("ssh-rsa")}', (f'from="10.0.0.0/8" {key_line("ssh-rsa")}',)),
    (t.ssh_keys, f"{key_line('ssh-rsa')}\n# x\n\n{key_line('ssh-dss')}\n", (key_line("ssh-rsa"), key_line("ssh-dss"))),
    (t.text, "$(reboot) `x` {{ y }} 'ü'", "$(reboot) `x` {{ y }} 'ü'"),
    (t.gecos, "Ana Pop, room 3", "Ana Pop, room 3"),
    (t.text_lines, "a\n\tb\x1b", "a\n\tb\x1b"),
]

BAD: list[tuple[Type[Any], list[str]]] = [
    (t.size, ["", "G", "-1", "0", "1e3", "1X", "1.0000000001K", "9" * 30, "1048577T", "١"]),
    (t.integer(0, 3), ["4", "-1", "1.0", "0x1", "٣", "9" * 5000]),
    (t.boolean, ["2", "y", "nein"]),
    (t.networks, ["0", "129", "255.0.255.0", "0.0.0.255", "24,,8", "x"]),
    (t.ip_address, ["1.2.3", "01.2.3.4", "1.2.3.4/24", "::1%lo", "0.0.0.0", "::", "x"]),
    (t.addresses, ["127.0.0.1/8", "224.0.0.1/4", "1.2.3.4/0", "1.2.3.4/", "2001:db8::1/255.255.0.0"]),
    (t.port_range, ["0", "65536", "1-", "1-2-3", "80,443", "-5"]),
    (t.mac, ["00:16:3e:12:34", "00:16:3e:12:34:5g", "0:16:3e:12:34:56", "00163e123456"]),
    (t.interface_name, ["", "-x", "a b", "a/b", "abcdefghijklmnop"]),
    (t.machine_id, ["", "-lab", "a/b", "..", "lab\n", "x" * 64, "ü"]),
    (t.hostname, ["-a", "a-", "a_b", "a..b", ".a", "a" * 64, "a.", "a\n"]),
    (t.unix_name, ["", "-a", "Ana", "1a", "a b", "a:b", "a" * 33, "a\n", "ü"]),
    (t.guest_path, ["a", "/a/../b", "/a\nb", "/a\0", ""]),
    (t.account_path, ["/a:b"]),
    (t.gecos, ["a:b", "a\nb"]),
    (t.owner, ["a:b:c", ":", "-a"]),
    (t.file_mode, ["8", "10000", "rw", "-1"]),
    (t.file_name, ["a/b", "..", "a\\b"]),
    (t.timezone, ["Mars/Base", "../etc/passwd", "Europe", "a b", "localtime", "posix/UTC", "tzdata.zi"]),
    (t.locale, ["en_US", "english", "en_US.UTF-8\n", "en_US.UTF-8;x", "en_RO.UTF-8", "de_DE.EURO"]),
    (t.keyboard, ["", "US", "us;", "us:"]),
    (t.package_names, ["-y", "a b/c", "$(x)", "a=", "a=-1", "a=$x"]),
    (t.url, ["example.org", "gopher://x/", "http://", "http://x y/", "https://x:99999/", "https://[x/"]),
    (t.repo_line, ["deb", "rpm http://x y z", "deb http://x bookworm", "deb http://x a b\nrm"]),
    (
        t.iptables_rule,
        ["", "rm -rf /", "-A", "-t nat", "-t x -A INPUT", "COMMIT", "*filter", "-A INPUT\n-P INPUT DROP"],
    ),
    (t.ssh_keys, ["x", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-ed25519 AAAA", key_line("ssh-ed25519", "ssh-rsa")]),
    (t.ssh_keys, ["-----BEGIN OPENSSH PRIVATE KEY-----\nx"]),
    (
        t.crypt_hash,
        ["", "hunter2", "!", "*", "$6$short", "$9$abc$abcdefghijklmnopqrstuvwxyz", "$6$a b$aaaaaaaaaaaaaaaaaaaa"],
    ),
    (t.text, ["a\nb", "a\0", "\x1b[0m", "\x85"]),
    (t.text_lines, ["a\0b"]),
]


@pytest.mark.parametrize(("type_", "text", "expected"), GOOD, ids=[text[:30] for _, text, _ in GOOD])
def test_good(type_: Type[Any], text: str, expected: Any) -> None:
    assert read(type_, text) == expected


@pytest.mark.parametrize(("type_", "text"), [(type_, text) for type_, texts in BAD for text in texts])
def test_bad(type_: Type[Any], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(type_, text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("shown", ["512K", "1G", "3B"])
def test_sizes_show_as_they_can_be_written(shown: str) -> None:
    assert t.size.show(read(t.size, shown)) == shown
