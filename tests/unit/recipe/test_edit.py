"""Edits of single settings: where something new is put, how it is written, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest

from vmgen_build.errors import UsageError
from vmgen_build.recipe.completing import complete_path
from vmgen_build.recipe.dotted import read_path, written_path
from vmgen_build.recipe.edit import Change, NotSet, edited, read_document
from vmgen_build.recipe.outline import is_several, leaf_of, nearest_path
from vmgen_build.recipe.schema import Section, recipe_sections, spec
from vmgen_build.recipe.settings import difference, settings
from vmgen_build.recipe.writing import written_value


def edit(text: str, *arguments: str) -> str:
    changes = []
    for argument in arguments:
        names, rest = read_path(argument)
        changes.append(Change(names, None if rest == "-" else rest[1:]))
    return edited(text, "t.ini", changes)


LAB = """\
# The lab's machine.

[hardware]
    vm_id = lab            # its name
    os = 'debian-12'

[network]
    tcpdump = 1
    # nmap = 1

# Who may log in.
[users]
    [[users]]
        [[[ana]]]
            name = ana

        [[[ben]]]
            name = ben
[devel]
    vim = 1
"""

EDITS = [
    ("hardware.vm_id=lab-7", "    vm_id = lab            #", "    vm_id = lab-7          #"),
    ("hardware.os=debian-13", "'debian-12'", "'debian-13'"),
    ("hardware.os=debian-12", "", ""),
    ("hardware.ram=2G", "    os = 'debian-12'\n", "    os = 'debian-12'\n    ram = 2G\n"),
    (
        "network.eths.eth0.address=192.168.1.23",
        "    # nmap = 1\n",
        "    # nmap = 1\n    [[eths]]\n        [[[eth0]]]\n            address = 192.168.1.23\n",
    ),
    (
        "config.hostname=lab",
        "            name = ben\n",
        "            name = ben\n\n[config]\n    hostname = lab\n",
    ),
    ("users.groups.g.name=g", "[users]\n", "[users]\n    [[groups]]\n        [[[g]]]\n            name = g\n"),
    (
        'users.users."c.d".name=cd',
        "            name = ben\n",
        "            name = ben\n\n        [[[c.d]]]\n            name = cd\n",
    ),
    ("users.users.ana-", "        [[[ana]]]\n            name = ana\n\n", ""),
    (
        "users.users-",
        "    [[users]]\n        [[[ana]]]\n            name = ana\n\n        [[[ben]]]\n            name = ben\n",
        "",
    ),
    ("network-", "[network]\n    tcpdump = 1\n    # nmap = 1\n\n", ""),
    ("network.tcpdump-", "    tcpdump = 1\n", ""),
    ("services.sshd=1", "    vim = 1\n", "    vim = 1\n\n[services]\n    sshd = 1\n"),
]


@pytest.mark.parametrize(("argument", "old", "new"), EDITS, ids=[argument for argument, _, _ in EDITS])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_edits(argument: str, old: str, new: str, newline: str) -> None:
    before, expected = (text.replace("\n", newline) for text in (LAB, LAB.replace(old, new, 1) if old else LAB))
    assert edit(before, argument) == expected


def test_a_file_without_indents_and_blanks_stays_so() -> None:
    text = "[hardware]\nvm_id=a\n[devel]\nvim=1"
    assert edit(text, "network.eths.eth0.type=dhcp", "devel.gdb=1") == (
        "[hardware]\nvm_id=a\n[network]\n[[eths]]\n[[[eth0]]]\ntype=dhcp\n[devel]\nvim=1\ngdb=1"
    )


def test_sections_that_stand_too_high_are_edited_where_they_stand() -> None:
    text = "[users]\n[[users]]\n[[ana]]\nname = ana\n[devel]\nvim = 1\n"
    assert edit(text, "users.users.ana.uid=1") == text.replace("ana\n[d", "ana\nuid = 1\n[d")
    assert "[[[ben]]]\nname = ben\n[[ana]]" in edit(text, "users.users.ben.name=ben")
    assert edit(text, "users.users-") == "[users]\n[devel]\nvim = 1\n"


WRITTEN = [
    ("abc", False, "abc"),
    ("a, b", False, '"a, b"'),
    ("a,b", True, "a, b"),
    ('"a, b",c', True, '"a, b", c'),
    ("a,", True, "a,"),
    (",", True, ""),
    ("a,,b", True, 'a, "", b'),
    ("", True, ""),
    ("a#b", False, '"a#b"'),
    (' "x" ', False, "' \"x\" '"),
    ('it\'s "so"', False, "'''it's \"so\"'''"),
    ("'''\"", False, None),
    ("'''\"x", False, '"""\'\'\'"x"""'),
    ("a\nb\n", True, "'''a\nb\n'''"),
    ("a\rb", False, None),
    ("\udcff", False, None),
    ('it\'s "so", x', True, None),
]


@pytest.mark.parametrize(("text", "several", "written"), WRITTEN)
def test_how_values_are_written(text: str, several: bool, written: str | None) -> None:
    if written is None:
        with pytest.raises(ValueError):
            written_value(text, several)
    else:
        assert written_value(text, several) == written


REFUSED = [
    ("ram=1", "ram names no option; write SECTION.OPTION=VALUE"),
    ("hardware.vm_id.x=1", "hardware.vm_id is an option here and holds no others; delete it first, by hardware.vm_id-"),
    (
        "users.users=1",
        "users.users is a section here; set an option in it, as in users.users.NAME=VALUE, or delete it first",
    ),
    (".".join("a" * 18) + "=1", f"{'.'.join('a' * 18)} is too deep: it is more than the limit 'recipe-depth' allows"),
    ("hardware..x=1", "'hardware..x' is no path of a recipe; write SECTION.OPTION, as in network.gateway"),
    ("=1", "'' is no path of a recipe; write SECTION.OPTION, as in network.gateway"),
    ("config.locale=\x85", "config.locale: holds a character that no recipe can"),
    ('users.users."\'\\n".name=x\n', None),
    ("devel.gdb-", "devel.gdb is not set, so there is nothing to delete"),
    ("devl.vim-", "devl.vim is not set, so there is nothing to delete; did you mean devel.vim-?"),
]


@pytest.mark.parametrize(("argument", "message"), REFUSED)
def test_refused(argument: str, message: str | None) -> None:
    if message is None:
        assert "name = '''x\n'''" in edit(LAB, argument)
        return
    with pytest.raises((UsageError, NotSet)) as error:
        edit(LAB, argument)
    assert str(error.value).startswith(message)


def test_paths() -> None:
    assert read_path("a.b-c-") == (("a", "b-c"), "-")
    assert read_path('a."b.=@-"-') == (("a", "b.=@-"), "-")
    assert read_path("a.b==c@d") == (("a", "b"), "==c@d")
    assert read_path("a.b = c d ") == (("a", "b"), "=c d") and read_path("a.b= c") == (("a", "b"), "= c")
    assert read_path("a.b@-") == (("a", "b"), "@-")
    for names in (("a", "b-"), ("x y", "é"), ("a.b", "=", "@")):
        assert read_path(written_path(names)) == (names, "")


NEAREST = [
    ("network.gatway", "network.gateway"),
    ("netwrk.gateway", "network.gateway"),
    ("network.eths.eth0.adress", "network.eths.eth0.address"),
    ("network.hostname", "config.hostname"),
    ("passwd", "users.users.NAME.passwd"),
    ("xyzzy.y", ""),
    ("network.gateway", ""),
]


@pytest.mark.parametrize(("path", "near"), NEAREST)
def test_the_nearest_path(path: str, near: str) -> None:
    assert nearest_path(read_path(path)[0]) == near


def every_option() -> list[tuple[type[Section], str, str]]:
    """Class, the option's name in the file, and its field's annotation."""
    todo = [registered.cls for registered in recipe_sections().values()]
    found = []
    while todo:
        cls = todo.pop()
        types = {field.name: str(field.type) for field in dataclasses.fields(cls)}
        found += [(cls, key, types[name]) for key, (name, _) in spec(cls).options.items()]
        todo += [nested.cls for _, nested in spec(cls).named.values()]
    return found


def test_each_secret_of_a_recipe_is_known_as_private() -> None:
    options = every_option()
    private = {(cls, key) for cls, key, _ in options if spec(cls).options[key][1].type.private}
    secret = {(cls, key) for cls, key, annotation in options if "Secret" in annotation or key == "ssh_keys"}
    assert private == secret and len(private) > 5


def test_each_list_of_a_recipe_is_known_as_one() -> None:
    options = every_option()
    several = {(cls, key) for cls, key, _ in options if spec(cls).options[key][1].default == ()}
    assert several == {(cls, key) for cls, key, annotation in options if annotation.endswith(", ...]")}
    assert is_several(("config", "packages")) and is_several(("network", "nameservers"))
    assert not is_several(("network", "firewall_rules")) and not is_several(("network", "nameservers", "a"))


def test_no_secret_stands_in_a_difference() -> None:
    old = (
        "[users]\n[[users]]\n[[[a]]]\npasswd = cana1 #cana2\n# passwd = cana3\npaswd = cana4\nuid = 1\n"
        "[config]\nmirror = http://u:cana5@host/\nroot_passwd = '''cana6'''\n"
    )
    new = old.replace("cana1", "cana7").replace("uid = 1", "uid = 2")
    lines = difference(old, new, "t.ini")
    assert "cana" not in "\n".join(lines)
    assert [line for line in lines if line[:1] in "+-"][2:] == [
        "-passwd = ***",
        "+passwd = *** (new)",
        "-uid = 1",
        "+uid = 2",
    ]


def test_a_public_key_is_no_secret() -> None:
    key = f"ssh-ed25519 {'AAAAC3NzaC1lZDI1NTE5' + 'AAAAI' + 'A' * 43} ana@desk"
    text = f"[users]\n[[users]]\n[[[a]]]\nssh_keys = '''{key}\n{key}'''\n[[[b]]]\nssh_keys = -----BEGIN PRIVATE KEY\n"
    root = read_document(text, "t.ini").root
    assert [each.line(reveal=False) for each in settings(root)] == [
        f"users.users.a.ssh_keys = {key}\\n{key}",
        "users.users.b.ssh_keys = ***",
    ]


def test_completion() -> None:
    root = [each.text for each in complete_path("")]
    assert root[:3] == ["hardware.", "network.", "users."]
    assert [each.text for each in complete_path("network.eths.eth0.ty")] == ["network.eths.eth0.type"]
    assert [each.text for each in complete_path("network.eths.eth0.type=")] == [
        "network.eths.eth0.type=static",
        "network.eths.eth0.type=dhcp",
    ]
    assert complete_path("hardware.os=debian-12")[0].text == "hardware.os=debian-12"
    assert "config.profiles=development" in [each.text for each in complete_path("config.profiles=")]
    assert "devel.gdb" in [each.text for each in complete_path("devel.g")]
    assert complete_path("nothing.at.all.") == [] and complete_path("..") == [] and complete_path("a..=") == []


def test_the_names_of_the_file_are_completed_too(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "t.ini").write_text('[users]\n[[users]]\n[[["a.b"]]]\nname = ab\n[own]\nx = 1\n')
    found = {each.text: each.about for each in complete_path("users.users.", tmp_path / "t.ini")}
    assert list(found) == ['users.users."a.b".']
    names = [each.text for each in complete_path('users.users."a.b".', tmp_path / "t.ini")]
    assert 'users.users."a.b".name' in names
    assert [each.text for each in complete_path("own.", tmp_path / "t.ini")] == ["own.x"]
    assert complete_path("own.", tmp_path / "none.ini") == []


def test_each_option_has_its_leaf() -> None:
    assert leaf_of(("network", "eths", "any", "type")) is not None
    assert leaf_of(("devel", "any")) is not None and leaf_of(("config", "any")) is None
    assert read_document("[a]\n", "t.ini").root.sections["a"].depth == 1
