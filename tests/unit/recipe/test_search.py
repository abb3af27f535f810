"""Options and programs by what people call them."""

from __future__ import annotations

import pytest

from vmgen_build.catalogue.catalogue import known_programs
from vmgen_build.catalogue.search import nearest_programs
from vmgen_build.catalogue.search import search as search_programs
from vmgen_build.recipe.reference import options
from vmgen_build.recipe.search import names_of, nearest_options, search
from vmgen_build.systems.parse import parse_system

MAC = "hardware.eths.NAME.hw_addr"


@pytest.mark.parametrize(
    ("text", "path", "how"),
    [
        ("hw_addr", MAC, "exact"),
        ("hardware.eths.eth0.HW-ADDR", MAC, "exact"),
        ("hardware.eths.hw_adr", MAC, "near"),
        ("hw_adr", MAC, "near"),
        ("mac", MAC, "also"),
        ("hardware.eths.mac", MAC, "also"),
        ("ip", "network.eths.NAME.address", "also"),
        ("netmask", "network.eths.NAME.network", "also"),
        ("password", "users.users.NAME.passwd", "also"),
        ("users.password", "users.users.NAME.passwd", "also"),
        ("pasword", "users.users.NAME.passwd", "near"),
        ("ssh key", "users.users.NAME.ssh_keys", "also"),
        ("disk", "hardware.hdds.NAME.size", "also"),
        ("cpu", "hardware.num_cpu", "exact"),
        ("cpus", "hardware.num_cpu", "also"),
        ("memory", "hardware.ram", "also"),
        ("timezone", "config.timezone", "exact"),
        ("time zone", "config.timezone", "also"),
        ("keybord", "config.keyboard", "near"),
        ("keymap", "config.keyboard", "also"),
        ("language", "config.locale", "also"),
        ("firewall", "network.open_ports.NAME.port", "also"),
        ("eth", MAC, "near"),
        ("sysprep", "config.generalise", "text"),
        ("wpa", "", ""),
    ],
)
def test_what_a_word_means(text: str, path: str, how: str) -> None:
    found = {hit.option.path: hit.match.word for hit in search(text)}
    assert found.get(path, "") == how, found


def test_the_nearest_come_first_and_are_few() -> None:
    assert search("network.eths.gatewey")[0].option.path == "network.eths.NAME.gateway"
    kinds = [hit.match for hit in search("ip")]
    assert kinds == sorted(kinds) and len(set(kinds)) == 2
    assert len(nearest_options("zzz")) == 3
    assert nearest_options("gatxwxy")[0].endswith(".gateway")


@pytest.mark.parametrize("text", ["", ".", "...", "a" * 100_000, "(", "\\", "network..", "NAME"])
def test_odd_texts_are_no_error(text: str) -> None:
    search(text)
    assert len(nearest_options(text)) == 3


def test_no_other_word_is_a_name_of_its_own_path_already() -> None:
    for option in options():
        for name in names_of(option.path):
            assert name.text not in name.also and len(set(name.also)) == len(name.also), option.path


@pytest.mark.parametrize(
    ("text", "name", "how"),
    [
        ("vscode", "vscode", "exact"),
        ("Visual Studio Code", "vscode", "exact"),
        ("pythn", "python", "near"),
        ("openssh-server", "sshd", "exact"),
        ("firefox-esr", "firefox", "also"),
        ("fox-es", "firefox", "near"),
        ("Google's own build", "chrome", "text"),
    ],
)
def test_what_a_program_is_called(text: str, name: str, how: str) -> None:
    programs = known_programs().all_programs(parse_system("debian-12"))
    assert {one.name: kind.word for kind, one in search_programs(text, programs)}.get(name) == how


def test_three_programs_are_the_nearest() -> None:
    programs = known_programs().all_programs(parse_system("debian-12"))
    assert search_programs("zzqqyy", programs) == [] and len(nearest_programs("zzqqyy", programs)) == 3
    assert search_programs("", programs) == []
