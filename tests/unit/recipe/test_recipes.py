"""The recipes and profiles that ship, and the reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build import resources
from vmgen_build.recipe import reference
from vmgen_build.recipe.load import load
from vmgen_build.recipe.recipe import Recipe

RECIPES = resources.recipes_dir()
ODD_IN_THESIS = ("multicast-mac", "slip")
PROFILES = sorted(path.stem for path in (RECIPES / "profiles").glob("*.ini"))


def warned(recipe: Recipe) -> list[str]:
    """Codes of the warnings. Who can read the file depends on where the checkout lies."""
    return [problem.code for problem in recipe.warnings if problem.code != "clear-password"]


def test_the_profiles_are_those_promised() -> None:
    assert PROFILES == ["desktop", "development", "networking", "server", "teaching"]


@pytest.mark.parametrize("system", ["debian-12", "debian-13"])
@pytest.mark.parametrize("profile", ["", *PROFILES, ",".join(PROFILES)])
def test_the_starter_passes_with_every_profile(system: str, profile: str) -> None:
    recipe = load(RECIPES / "lab.ini", [f"hardware.os={system}", f"config.profiles={profile}"], strict=True)
    assert recipe.warnings == ()


def test_the_one_with_a_program_from_its_source() -> None:
    recipe = load(RECIPES / "source.ini", strict=True)
    assert recipe.warnings == () and recipe.config.sources["hello"].build == "autotools"


def test_the_thesis_openvz_sample() -> None:
    recipe = load(RECIPES / "samples" / "thesis-openvz.ini")
    assert warned(recipe) == [*ODD_IN_THESIS, "weak-password", "weak-password", "needs-program", "needs-program"]
    caesar = recipe.users.users["user0"]
    assert (caesar.login, caesar.group, caesar.home_dir) == ("caesar", "julius", "/home/caesar")
    assert recipe.hardware.hdds["hdd0"].size == 2**30
    assert {w.name for w in recipe.wishes} >= {"netcat", "vim", "sshd", "chrome"}
    assert not {w.name for w in recipe.wishes} & {"emacs", "httpd", "firefox"}


def test_the_thesis_openvz_sample_can_be_built_on_debian() -> None:
    recipe = load(RECIPES / "samples" / "thesis-openvz.ini", ["hardware.os=debian-12"], strict=True)
    assert recipe.hardware.os.base
    assert warned(recipe) == [*ODD_IN_THESIS, "weak-password", "weak-password", "needs-program", "needs-program"]


def test_the_thesis_windows_sample() -> None:
    recipe = load(RECIPES / "samples" / "thesis-windows-xp.ini")
    assert warned(recipe) == ["not-built", "multicast-mac", "two-gateways"]
    partitions = recipe.hardware.hdds["hdd0"].partitions
    assert [(p.type, p.fs) for p in partitions.values()] == [
        ("primary", "ntfs"),
        ("extended", None),
        ("logical", "ntfs"),
        ("logical", "ntfs"),
    ]
    assert recipe.wishes[-1].choice == "mozilla-thunderbird"


def test_every_option_is_in_the_reference() -> None:
    paths = [option.path for option in reference.options()]
    assert len(paths) == len(set(paths)) > 60
    assert {"hardware.os", "network.eths.NAME.address", "users.users.NAME.name", "network.firewall_rules"} <= set(paths)
    text, markdown = reference.as_text(), reference.as_markdown()
    for option in reference.options():
        assert f"  {option.name} = " in text
        assert f"- **`{option.name}`**: " in markdown
        assert option.doc.endswith(".")
    assert all(len(line) <= 100 for line in text.split("\n"))
    assert all(len(line) <= 120 for line in markdown.split("\n"))


OF_WINDOWS = ("hardware.edition", "hardware.drivers", "hardware.tools", "config.product_key")


def test_every_example_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples of the reference give no warning: each alone, in a recipe that has what it hangs on."""
    monkeypatch.chdir(tmp_path)
    for name in ("motd.txt", "example.asc", "example.repo"):
        Path(name).write_text("x")
    Path("my-programs.ini").write_text("[greeter]\npackages = hello\n")
    Path("r.ini").write_text(
        "[hardware]\nvm_id = lab\nos = debian-12\n"
        "[[hdds]]\n[[[NAME]]]\n[[[[partitions]]]]\n[[[[[root]]]]]\nmount = /\nsize = 1G\n"
        "[network]\n[[eths]]\n[[[NAME]]]\naddress = 192.168.1.2\nnetwork = 24\n[[open_ports]]\n[[[NAME]]]\nport = 22\n"
        "[users]\n[[groups]]\n[[[NAME]]]\nname = students\n[[users]]\n[[[NAME]]]\nname = ana\npasswd = correct-horse\n"
        "[config]\n[[files]]\n[[[NAME]]]\nsource = motd.txt\ndest = /x\n"
        f"[[sources]]\n[[[NAME]]]\nurl = https://x.org/x.tgz\nsha256 = {'0' * 64}\nbuild = make\ncommands = x\n"
    )
    for name in ("windows.iso", "virtio-win.iso"):
        Path(name).write_bytes(bytes(16 * 2048 + 1) + b"CD001")
    Path("w.ini").write_text("[hardware]\nvm_id = lab\nos = win10\nbase = iso:windows.iso\n")
    monkeypatch.setenv("WINDOWS_KEY", "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE")
    for option in reference.options():
        if option.path in OF_WINDOWS:
            assert load(Path("w.ini"), [f"{option.path}={option.example}"]).warnings == (), option.path
        elif option.example:
            sets = [f"{option.path}={option.example}"]
            if option.path == "config.repos.NAME.key":
                sets.append("config.repos.NAME.url=https://x.org")
            if option.path.startswith("hardware.base_"):
                sets.append("hardware.base=https://x.org/root.tar.xz")
            if option.path == "config.sources.NAME.script":
                sets.append("config.sources.NAME.build=script")
            assert load(Path("r.ini"), sets).warnings == (), option.path
