"""options, programs, and the page that is made from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmgen_build.cli import main
from vmgen_build.recipe.reference import options

ROOT = Path(__file__).resolve().parents[3]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main.run(words) == 0
    return capsys.readouterr().out


def test_the_reference_page_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs/reference.md").read_text()
    assert page == run(capsys, "options", "--markdown"), "run: vmgen-build options --markdown > docs/reference.md"


def test_the_text_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "options")
    assert [o.path for o in options() if f"\n  {o.name} = " not in text] == []


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("config.hostname", ["config.hostname"]),
        ("users.passwd_hash", ["users.users.NAME.passwd_hash"]),
        ("network.eths.eth0.gateway", ["network.eths.NAME.gateway"]),
        ("OPEN_PORTS.ssh.PROTO", ["network.open_ports.NAME.proto"]),
    ],
)
def test_options_by_name(name: str, paths: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    reported = [json.loads(line) for line in run(capsys, "options", name, "--json").splitlines()]
    assert [t["path"] for t in reported] == paths
    assert run(capsys, "options", name).splitlines()[0] == paths[0]


def test_how_it_was_found_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for words, how in ((["hw_addr"], "exact"), (["mac"], "also"), (["hw_adr"], "near"), (["sysprep"], "text")):
        assert main.run(["options", *words]) == 0
        shown = capsys.readouterr()
        assert shown.out.count("\n    takes") == 1
        assert bool(shown.err) == (how != "exact")
        assert [json.loads(line)["match"] for line in run(capsys, "options", *words, "--json").splitlines()] == [how]
    assert run(capsys, "options", "ssh", "key").startswith("users.users.NAME.ssh_keys\n")


def test_nothing_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["options", "gatxwxy"]) == 2
    assert "; the nearest are network.gateway, " in capsys.readouterr().err
    assert main.run(["options", "docker"]) == 2
    assert "no option, but a program: write docker = 1 in [services]" in capsys.readouterr().err
    assert main.run(["programs", "zzqqyy", "--os", "debian-13"]) == 2
    assert "no program of debian-13 is like 'zzqqyy'; the nearest are " in capsys.readouterr().err
    assert main.run(["programs", "mininet", "--os", "fedora-42"]) == 2
    assert "fedora-42 has no 'mininet': " in capsys.readouterr().err


def test_the_schema_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(run(capsys, "options", "--schema"))["$schema"].endswith("2020-12/schema")
    for more in ("--json", "--markdown", "network"):
        assert main.run(["options", "--schema", more]) == 2
        capsys.readouterr()


def test_all_options_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    reported = [json.loads(line) for line in run(capsys, "options", "--json").splitlines()]
    assert [t["path"] for t in reported] == [o.path for o in options()]


def test_programs_begin_with_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    names = [line.split()[0] for line in run(capsys, "programs").splitlines()]
    assert {"vim", "firefox", "sshd", "tcpdump"} <= set(names)
    assert len(names) == len(set(names))


def test_programs_by_alias_and_package(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("mozilla-firefox", "firefox-esr"):
        assert run(capsys, "programs", word).startswith("firefox ")


def test_programs_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    reported = {t["name"]: t for t in map(json.loads, run(capsys, "programs", "--json").splitlines())}
    assert reported["sshd"]["ports"] == ["22/tcp"]
    assert "openssh-server" in reported["sshd"]["packages"]


def test_programs_of_another_system(capsys: pytest.CaptureFixture[str]) -> None:
    reported = json.loads(run(capsys, "programs", "vim", "--os", "fedora-40", "--json").splitlines()[0])
    assert reported["packages"] == ["vim-enhanced"]


def test_what_is_missing_of_a_system(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, "programs", "--os", "fedora-42", "--missing").splitlines()
    (mininet,) = (line for line in lines if line.startswith("mininet "))
    assert mininet.split(maxsplit=3)[1:3] == ["network", "packages"] and "build it by [config] [[sources]]" in mininet
    reported = [json.loads(line) for line in run(capsys, "programs", "gns3", "--missing", "--json").splitlines()]
    assert [(hole["name"], hole["lacks"]) for hole in reported] == [("gns3", "packages")]
    assert run(capsys, "programs", "vim", "--missing") == ""


def test_programs_say_whether_they_were_checked_and_where_they_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "programs", "vim").split()[:3] == ["vim", "devel", "2026-11"]
    assert run(capsys, "programs", "vim", "--os", "ubuntu-24.04").split()[2] == "unchecked"
    chrome = run(capsys, "programs", "google-chrome-stable").splitlines()[-2]
    assert chrome.endswith("from https://dl.google.com/linux/chrome/deb/")


def test_programs_of_a_recipes_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.ini").write_text("[saluter]\npackages = hello\npackages.fedora = hello-fedora\n")
    recipe = tmp_path / "r.ini"
    recipe.write_text("[hardware]\nvm_id = a\nos = debian-13\n[config]\ncatalogue = mine.ini\n")
    assert run(capsys, "programs", "saluter", "--recipe", str(recipe)).split() == [
        "saluter",
        "devel",
        "unchecked",
        "hello",
    ]
    assert "hello-fedora" in run(capsys, "programs", "saluter", "--recipe", str(recipe), "--os", "fedora-42")
    assert "saluter" in run(capsys, "programs", "saluter", "--recipe", str(recipe), "--missing")
