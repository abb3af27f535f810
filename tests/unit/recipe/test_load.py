"""From a file to a Recipe: values, --set, profiles, secrets, slips."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmgen_build import plugins, resources
from vmgen_build.errors import Position, RecipeError
from vmgen_build.recipe import types as t
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe
from vmgen_build.recipe.schema import Section, free, option
from vmgen_build.recipe.types.netfilter import Rule

HEAD = "[hardware]\nvm_id = lab\nos = debian-12\n"
LAB = (resources.recipes_dir() / "lab.ini").read_text(encoding="utf-8")


def warned(recipe: Recipe) -> list[str]:
    """Codes of the warnings, but for the one that a recipe without users always has."""
    return [problem.code for problem in recipe.warnings if problem.code != "no-login"]


def made(folder: Path, text: str, *sets: str, strict: bool = False, environ: dict[str, str] | None = None) -> Recipe:
    path = folder / "r.ini"
    path.write_text(HEAD + text, encoding="utf-8")
    return load(path, sets, strict, environ)


def refused(folder: Path, text: str, *sets: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(RecipeError) as caught:
        made(folder, text, *sets, environ=environ)
    return str(caught.value).replace(str(folder / "r.ini"), "r.ini").replace(f"{folder}/", "")


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    recipe = made(tmp_path, "")
    assert (recipe.name, recipe.hardware.os.name) == ("lab", "debian-12")
    assert recipe.hardware.num_cpu is None
    assert recipe.users.users == {} and recipe.wishes == () and warned(recipe) == []
    assert recipe.config.at("hostname") == Position(str(tmp_path / "r.ini"), 0)


def test_an_empty_value_is_the_default(tmp_path: Path) -> None:
    recipe = made(tmp_path, "num_cpu =\n[[eths]]\n[[[eth0]]]\nhw_addr =\ntype = # nothing\n")
    assert recipe.hardware.num_cpu is None
    assert recipe.hardware.eths["eth0"].type == "nat"


def test_sections_keep_their_order_and_positions(tmp_path: Path) -> None:
    recipe = made(tmp_path, "[users]\n[[users]]\n[[[z]]]\nname = z\n[[[a]]]\nname = a\nuid = 1500\n")
    assert list(recipe.users.users) == ["z", "a"]
    user = recipe.users.users["a"]
    assert (user.where.line, user.at("uid").line, user.at("login").line, user.at("shell").line) == (8, 10, 9, 8)


def test_addresses_take_their_masks(tmp_path: Path) -> None:
    recipe = made(
        tmp_path,
        "[network]\n[[eths]]\n[[[eth0]]]\naddress = 192.168.1.2, 10.0.0.2/8, 2001:db8::2/64\nnetwork = 255.255.255.0\n"
        "gateway = 192.168.1.1, fe80::1\n[[[eth1]]]\n[[[eth2]]]\naddress = 172.16.0.2, 172.17.0.2\nnetwork = 24, /16\n",
    )
    eths = recipe.network.eths
    assert eths["eth0"].address == tuple(map(ip_interface, ("192.168.1.2/24", "10.0.0.2/8", "2001:db8::2/64")))
    assert eths["eth2"].address == tuple(map(ip_interface, ("172.16.0.2/24", "172.17.0.2/16")))
    assert [eth.type for eth in eths.values()] == ["static", "dhcp", "static"]


def test_a_global_gateway_of_one_interface(tmp_path: Path) -> None:
    recipe = made(tmp_path, "[network]\ngateway = 10.0.0.1\n[[eths]]\n[[[eth0]]]\naddress = 10.0.0.2/24\n")
    assert recipe.network.gateway == (ip_address("10.0.0.1"),)
    assert warned(recipe) == []


@pytest.mark.parametrize("form", ["nameservers = 1.1.1.1, 9.9.9.9", "[[nameservers]]\na = 1.1.1.1\nb = 9.9.9.9"])
def test_free_values_stand_in_an_option_or_a_section(tmp_path: Path, form: str) -> None:
    assert made(tmp_path, f"[network]\n{form}\n").network.nameservers == (ip_address("1.1.1.1"), ip_address("9.9.9.9"))


@pytest.mark.parametrize(
    "form",
    [
        "firewall_rules = -A INPUT -m multiport --dports 80,443 -j ACCEPT, ip6tables -P FORWARD DROP",
        "firewall_rules = -A INPUT -m multiport --dports 80,443 -j ACCEPT, /sbin/ip6tables -P FORWARD DROP",
        "firewall_rules = '''\n  -A INPUT -m multiport --dports 80,443 -j ACCEPT\nip6tables -P FORWARD DROP\n'''",
        "[[firewall_rules]]\na = -A INPUT -m multiport --dports 80,443 -j ACCEPT\nb = ip6tables -P FORWARD DROP",
    ],
)
def test_rules_keep_their_commas(tmp_path: Path, form: str) -> None:
    rules = made(tmp_path, f"[network]\n{form}\n").network.firewall_rules
    assert rules == (
        Rule("filter", ("-A", "INPUT", "-m", "multiport", "--dports", "80,443", "-j", "ACCEPT")),
        Rule("filter", ("-P", "FORWARD", "DROP"), 6),
    )


def test_wishes(tmp_path: Path) -> None:
    recipe = made(
        tmp_path, "[network]\nnmap = yes\nnetcat = no\n[devel]\nvim = ON\ngcc = 0\n[gui]\nmail_client = thunderbird\n"
    )
    assert [(w.section, w.name, w.choice, w.where.line) for w in recipe.wishes] == [
        ("network", "nmap", None, 5),
        ("devel", "vim", None, 8),
        ("gui", "mail_client", "thunderbird", 11),
    ]


def test_an_unusable_mac_is_replaced_and_stays_the_same(tmp_path: Path) -> None:
    text = "[[eths]]\n[[[eth0]]]\nhw_addr = 01:00:de:ad:be:ef\n[[[eth1]]]\nhw_addr = ff:ff:ff:ff:ff:ff\n[[[eth2]]]\n"
    first, second = made(tmp_path, text).hardware.eths, made(tmp_path, text).hardware.eths
    macs = [eth.hw_addr for eth in first.values()]
    assert macs == [eth.hw_addr for eth in second.values()]
    assert macs[0] != macs[1] and macs[2] is None
    assert all(mac and int(mac[:2], 16) & 3 == 2 for mac in macs[:2])
    other = made(tmp_path, text, "hardware.vm_id=other").hardware.eths
    assert other["eth0"].hw_addr != macs[0]


# --set


def test_set_changes_and_creates(tmp_path: Path) -> None:
    recipe = made(
        tmp_path,
        "[devel]\nvim = 1\n[config]\n[[files]]\n[[[a.b]]]\nsource = r.ini\ndest = /x\n",
        "hardware.os=debian-13",
        "network.eths.eth0.address=10.0.0.2/24",
        "devel.vim=0",
        'config.files."a.b".dest=/y',
        "network.nameservers=1.1.1.1, 9.9.9.9",
        "users.users.ana.name=ana",
        "users.users.ana.passwd='a,b' #c\"",
    )
    assert recipe.hardware.os.name == "debian-13"
    assert recipe.network.eths["eth0"].address == (ip_interface("10.0.0.2/24"),)
    assert recipe.wishes == ()
    assert recipe.config.files["a.b"].dest == "/y"
    assert len(recipe.network.nameservers) == 2
    passwd = recipe.users.users["ana"].passwd
    assert passwd is not None and passwd.reveal() == "'a,b' #c\""


def test_set_takes_the_place_of_a_section(tmp_path: Path) -> None:
    recipe = made(tmp_path, "[network]\n[[nameservers]]\na = 1.1.1.1\n", "network.nameservers=9.9.9.9")
    assert recipe.network.nameservers == (ip_address("9.9.9.9"),)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("hardware.ram", "--set hardware.ram: there is no '='; write --set SECTION.OPTION=VALUE"),
        ("ram=1", "--set ram: 'ram' names no option; write --set SECTION.OPTION=VALUE"),
        ("=1", "--set : '' names no option; write --set SECTION.OPTION=VALUE"),
        ("hardware..ram=1", "--set hardware..ram: 'hardware..ram' names no option; write --set SECTION.OPTION=VALUE"),
        ("hardware.ram.=1", "--set hardware.ram.: 'hardware.ram.' names no option; write --set SECTION.OPTION=VALUE"),
        ("hardware.os.x=1", "--set hardware.os.x: 'os' is an option, which holds no others"),
        (
            "hardware.num_cpu=0",
            "--set hardware.num_cpu: [hardware] num_cpu: '0' is out of range; give a number from 1 to 768",
        ),
    ],
)
def test_wrong_settings(tmp_path: Path, setting: str, message: str) -> None:
    assert refused(tmp_path, "", setting) == message


def test_an_unknown_setting_is_a_warning(tmp_path: Path) -> None:
    warnings = made(tmp_path, "", "hardware.rma=1").warnings
    assert [str(problem) for problem in warnings if problem.code != "no-login"] == [
        "--set hardware.rma: warning: [hardware] rma: is not an option and is ignored; did you mean 'ram'?"
    ]


# Profiles


def test_profiles_lie_under_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "own.ini").write_text(
        "[config]\nhostname = from-own\ntimezone = UTC\npackages = jq\nprofiles = ../deeper.ini\n"
        "[devel]\nvim = 1\nemacs = 1\n[[x]]\n[users]\n[[users]]\n[[[ana]]]\nname = ana\nshell = /bin/sh\n"
    )
    (tmp_path / "deeper.ini").write_text("[config]\ntimezone = Europe/Bucharest\nkeyboard = ro\n")
    recipe = made(
        tmp_path,
        "[config]\nprofiles = own\nhostname = mine\npackages = htop\n[devel]\nemacs = 0\ngcc = 1\n"
        "[users]\n[[users]]\n[[[ana]]]\nfull_name = Ana\n",
    )
    config = recipe.config
    assert (config.hostname, config.timezone, config.keyboard, config.packages) == ("mine", "UTC", "ro", ("htop",))
    assert [w.name for w in recipe.wishes] == ["vim", "gcc"]
    assert recipe.wishes[0].where == Position(str(tmp_path / "profiles" / "own.ini"), 7)
    ana = recipe.users.users["ana"]
    assert (ana.login, ana.shell, ana.full_name) == ("ana", "/bin/sh", "Ana")
    assert str(recipe.warnings[0]).startswith(f"{tmp_path}/profiles/own.ini:9: warning: [devel.x]")


def test_the_later_profile_wins(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.ini").write_text(f"[config]\nhostname = {name}\n[devel]\n{name} = 0\n")
    assert made(tmp_path, "[config]\nprofiles = one.ini, two.ini\n").config.hostname == "two"


def test_paths_in_a_profile_start_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "motd").write_text("hello")
    (tmp_path / "sub" / "p.ini").write_text("[config]\n[[files]]\n[[[motd]]]\nsource = motd\ndest = /etc/motd\n")
    recipe = made(tmp_path, "[config]\nprofiles = sub/p.ini\n")
    assert recipe.config.files["motd"].source.read_text() == "hello"


def test_wrong_profiles(tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text("[config]\nprofiles = b.ini\n")
    (tmp_path / "b.ini").write_text("[config]\nprofiles = a.ini\nkeyboard = -\n")
    assert refused(tmp_path, "[config]\nprofiles = a.ini, netwroking, r.ini\n").split("\n") == [
        "r.ini:5: [config] profiles: profile 'r.ini' takes in itself; take it out of one of the files",
        "r.ini:5: [config] profiles: there is no profile 'netwroking'; did you mean 'networking'?",
        "b.ini:2: [config] profiles: profile 'a.ini' takes in itself; take it out of one of the files",
        "b.ini:3: [config] keyboard: '-' is not a keyboard layout; write a layout such as us, or layout:variant",
    ]


def test_a_profile_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "p.ini").write_bytes(b"a\0")
    message = "p.ini:1: holds a NUL byte: it is binary; a recipe is plain text"
    assert refused(tmp_path, "[config]\nprofiles = p.ini\n") == message


def test_the_digest_covers_all_that_counts(tmp_path: Path) -> None:
    (tmp_path / "p.ini").write_text("[devel]\nvim = 1\n")
    alone = made(tmp_path, "")
    assert len(alone.digest) == 64
    text = "[config]\nprofiles = p.ini\n"
    digests = {alone.digest, made(tmp_path, "", "hardware.ram=1").digest, made(tmp_path, text).digest}
    (tmp_path / "p.ini").write_text("[devel]\nvim = 0\n")
    assert len(digests | {made(tmp_path, text).digest}) == 4


# Secrets


def password(recipe: Recipe) -> str:
    found = recipe.config.root_passwd
    assert found is not None
    return found.reveal()


@pytest.mark.parametrize("text", ["a,b", "$(reboot)", "a:b", "it's", "a#b", "%(x)s", "é ü", "\\n", ",", "`id`;"])
def test_passwords_arrive_whole(tmp_path: Path, text: str) -> None:
    assert password(made(tmp_path, f"[config]\nroot_passwd = {text}\n")) == text


@pytest.mark.parametrize("text", ["a # b", " spaces ", "#", "'", "a, b"])
def test_quoted_passwords_arrive_whole(tmp_path: Path, text: str) -> None:
    assert password(made(tmp_path, f'[config]\nroot_passwd = "{text}"\n')) == text


def test_passwords_from_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("one # two, 'three'\n")
    assert password(made(tmp_path, "[config]\nroot_passwd = file:secret\n")) == "one # two, 'three'"
    environ = {"ROOT": " x,y "}
    assert password(made(tmp_path, "[config]\nroot_passwd = env:ROOT\n", environ=environ)) == " x,y "


@pytest.mark.parametrize("content", [b"", b"\n", b"a\n\n", b"a\0", b"\xff", b"x" * 512, b"y" * 70000])
def test_files_that_hold_no_password(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    message = refused(tmp_path, "[config]\nroot_passwd = file:secret\n")
    assert message.startswith("r.ini:5: [config] root_passwd: ")
    assert "xx" not in message and "yy" not in message


def test_secrets_do_not_show(tmp_path: Path) -> None:
    recipe = made(
        tmp_path, "[config]\nroot_passwd = canary-1\n[users]\n[[users]]\n[[[a]]]\nname = a\npasswd = canary-2\n"
    )
    assert "canary" not in repr(recipe)


@pytest.mark.parametrize(
    "line", ["root_passwd = 'canary", 'root_passwd = "canary" x', "root_passwd canary", "root_passwd = \\\ncanary"]
)
def test_wrong_lines_are_not_repeated(tmp_path: Path, line: str) -> None:
    assert "canary" not in refused(tmp_path, f"[config]\n{line}\n")


# Any input


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"option_number_{i} = some value {i}\n" for i in range(45_000)),
        "[users]\n[[users]]\n" + "".join(f"[[[u{i}]]]\nname = u{i}\npasswd = x\n" for i in range(5_000)),
        "".join(f"[section{i}]\n" for i in range(49_000)),
        "".join(f"{'[' * i}x{']' * i}\n" for i in range(1, 1_000)),
        "[devel]\n" + "".join(f"vim{i} = 1\n" for i in range(49_000)),
        "[" * 1_900_000,
        "num_cpu = " + "' " * 900_000,
        "[config]\nhostname = " + "a-." * 600_000,
        '"' + '" ' * 900_000,
    ],
    ids=["options", "users", "sections", "levels", "programs", "brackets", "quotes", "name", "key"],
)
def test_large_files_are_dealt_with_in_seconds(tmp_path: Path, text: str) -> None:
    """Of the processor's time: what else the host does counts for nothing."""
    start = time.process_time()
    try:
        problems = made(tmp_path, text).warnings
    except RecipeError as error:
        problems = error.problems
    assert time.process_time() - start < 10
    assert len(problems) <= 51


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_recipe_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """Lines of the starter recipe, cut out, doubled, or with text put in: a Recipe or a RecipeError, nothing else."""
    lines = LAB.split("\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        junk = data.draw(st.text(alphabet="a1[]='\"#,.:- \t\x1b$", max_size=12))
        lines[at : at + 1] = data.draw(
            st.sampled_from([[], [lines[at]] * 2, [lines[at] + junk], [junk + lines[at]], [junk]])
        )
    path = tmp_path / "r.ini"
    path.write_text("\n".join(lines), encoding="utf-8")
    try:
        load(path)
    except RecipeError as error:
        assert error.problems
        assert all(p.text and p.where.file == str(path) for p in error.problems)


@dataclass(frozen=True, kw_only=True)
class Robots(Section):
    """A section that is none of the tool's own."""

    arms: int = option(t.integer(1, 9), default=2, doc="Arms.")
    names: tuple[str, ...] = free(t.text, doc="Names.")


@pytest.fixture
def _robots() -> Iterator[None]:
    plugins.register("vmgen_build.sections", "robots", Robots)
    yield
    plugins.unregister("vmgen_build.sections", "robots")


@pytest.mark.usefixtures("_robots")
def test_a_section_of_ones_own_is_read_and_checked(tmp_path: Path) -> None:
    recipe = made(tmp_path, "[robots]\narms = 3\n[[names]]\na = ana\nb = ion\n", strict=True)
    robots = recipe.others["robots"]
    assert isinstance(robots, Robots) and (robots.arms, robots.names) == (3, ("ana", "ion"))
    assert refused(tmp_path, "[robots]\narms = ten\n").startswith("r.ini:5: [robots] arms: 'ten' is not a whole number")


def test_a_section_that_nobody_registers_is_unknown(tmp_path: Path) -> None:
    assert "[robots]: is not a section" in str(made(tmp_path, "[robots]\narms = 3\n").warnings[-1])
