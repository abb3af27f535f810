"""What differs between recipes, manifests and images: small ones, made here."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.artifacts.test_contents import tar_of
from vmgen_build.artifacts.manifest import manifest_path
from vmgen_build.build.differences import Compared, Difference, compare
from vmgen_build.build.options import BuildOptions
from vmgen_build.build.sides import two_sides
from vmgen_build.errors import UsageError, VmgenError
from vmgen_build.host.files import Written

RECIPE = """\
[hardware]
    vm_id = lab
    os = debian-12-amd64
[users]
    [[users]]
        [[[ana]]]
            name = ana
            passwd_hash = $6$saltsalt$the-first-one
[config]
    hostname = lab
    packages = jq
[devel]
    vim = 1
"""
MANIFEST: dict[str, Any] = {
    "format": 1,
    "name": "lab",
    "os": "debian-12",
    "arch": "amd64",
    "backend": "lxc",
    "base": {"method": "mmdebstrap", "source": "debian bookworm"},
    "steps": [
        {"name": n, "title": n, "id": n, "seconds": 1, "outcome": "built"} for n in ("base", "users", "network", "pack")
    ],
    "packages": [{"name": "vim", "version": "1", "arch": "amd64"}, {"name": "old", "version": "1", "arch": "all"}],
    "files": [],
    "build_recipe": {"config": "lxc.arch = x86_64\nlxc.uts.name = lab\n"},
    "probes": [
        {"name": "hostname", "setting": "[config] hostname", "script": "", "expected": "lab"},
        {"name": "firewall-tcp-22", "setting": "[network] open_ports", "script": "", "expected": "loaded"},
        {"name": "firewall-tcp-80", "setting": "[network] open_ports", "script": "", "expected": "loaded"},
    ],
}
ROOT = {"etc/hostname": b"lab\n", "etc/mode": b"x", "usr/gone": b"1", "var/same": b"2"}
DPKG = "Package: {}\nStatus: install ok installed\nVersion: {}\nArchitecture: all\n\n"


def differing(a: Path, b: Path, *, files: bool = False) -> Compared:
    return compare(*two_sides((a, b), BuildOptions(cache=a.parent / "cache", offline=True), files=files))


def written(path: Path, data: dict[str, Any]) -> Path:
    path.write_text(json.dumps(data))
    return path


def image(path: Path, files: dict[str, bytes], manifest: dict[str, Any] | None = None) -> Path:
    path.write_bytes(tar_of({"etc": None, **files}))
    if manifest is not None:
        file = Written.of(path)
        entry = {"name": path.name, "size": file.size, "sha256": file.sha256}
        written(manifest_path(path), {**manifest, "files": [entry]})
    return path


def test_manifests(tmp_path: Path) -> None:
    other = copy.deepcopy(MANIFEST)
    other["os"] = "debian-13"
    other["packages"] = [
        {"name": "vim", "version": "2", "arch": "amd64"},
        {"name": "new", "version": "3", "arch": "all"},
    ]
    other["build_recipe"]["config"] = "lxc.arch = x86_64\nlxc.uts.name = hal\n"
    other["probes"][0]["expected"] = "hal"
    del other["probes"][2]
    other["steps"][1]["id"] = other["steps"][2]["id"] = "another"
    found = differing(written(tmp_path / "a.json", MANIFEST), written(tmp_path / "b.json", other))
    assert found.differences == (
        Difference("image", "~", "system", "debian-12 amd64", "debian-13 amd64"),
        Difference("settings", "~", "[config] hostname", "lab", "hal"),
        Difference("settings", "-", "[network] open_ports: firewall tcp-80", "loaded"),
        Difference("packages", "+", "new:all", "", "3"),
        Difference("packages", "-", "old:all", "1"),
        Difference("packages", "~", "vim:amd64", "1", "2"),
        Difference("configuration", "~", "config", lines=("-lxc.uts.name = lab", "+lxc.uts.name = hal")),
        Difference("steps", "~", "users", "users", "another"),
    )
    assert found.notes == ()


def test_the_same_manifest(tmp_path: Path) -> None:
    a = written(tmp_path / "a.json", MANIFEST)
    assert differing(a, a) == Compared(())


def test_recipes(tmp_path: Path) -> None:
    a, b = tmp_path / "a.ini", tmp_path / "b.ini"
    a.write_text(RECIPE)
    b.write_text(
        RECIPE.replace("hostname = lab", "hostname = hal")
        .replace("first-one", "second-one")
        .replace("vim = 1", "gcc = 1")
    )
    found = differing(a, b)
    settings = {(one.sign, one.name, one.old, one.new) for one in found.of("settings")}
    assert settings == {
        ("~", "config.hostname", "lab", "hal"),
        ("~", "users.users.ana.passwd_hash", "(secret)", "(secret)"),
        ("-", "devel.vim", "1", ""),
        ("+", "devel.gcc", "", "1"),
    }
    assert ("+", "gcc") in {(one.sign, one.name) for one in found.of("packages")}
    assert "$6$" not in repr(found) and differing(a, a).differences == ()


def test_a_recipe_beside_a_manifest(tmp_path: Path) -> None:
    recipe = tmp_path / "a.ini"
    recipe.write_text(RECIPE)
    found = differing(recipe, written(tmp_path / "b.json", MANIFEST))
    assert Difference("packages", "-", "jq", "asked for") in found.differences
    assert not any(one.name == "vim" for one in found.of("packages")), "it is there, whatever its version"
    assert Difference("settings", "-", "[users] ana", "/bin/bash") in found.differences
    assert not any(one.name == "[config] hostname" for one in found.differences)
    assert found.notes == ("of packages only those are compared that the recipe asks for by name",)


def test_files_of_two_images(tmp_path: Path) -> None:
    a = image(tmp_path / "a.tar", {**ROOT, "var/lib/dpkg/status": DPKG.format("vim", 1).encode()})
    b = image(
        tmp_path / "b.tar",
        {
            **{name: data for name, data in ROOT.items() if name != "usr/gone"},
            "etc/hostname": b"hal\n",
            "usr/come": b"1",
            "var/lib/dpkg/status": DPKG.format("vim", 2).encode(),
        },
    )
    found = differing(a, b, files=True)
    assert {(one.sign, one.name) for one in found.of("files")} == {
        ("~", "etc/hostname"),
        ("-", "usr/gone"),
        ("+", "usr/come"),
        ("~", "var/lib/dpkg/status"),
    }
    assert found.of("packages") == (Difference("packages", "~", "vim:all", "1", "2"),)
    assert Difference("image", "~", "host name", "lab", "hal") in found.differences
    assert not differing(a, b).of("files"), "they were not asked for"


def test_mode_owner_and_kind(tmp_path: Path) -> None:
    plain = tar_of({"etc/a": b"1", "etc/b": b"1", "etc/c": b"1"})
    first = plain.replace(b"0000640\x00", b"0000600\x00", 1)
    (tmp_path / "a.tar").write_bytes(plain)
    (tmp_path / "b.tar").write_bytes(_with_sum(first))
    found = differing(tmp_path / "a.tar", tmp_path / "b.tar", files=True)
    assert found.of("files") == (Difference("files", "~", "etc/a", "mode 0640", "mode 0600"),)


def _with_sum(tar: bytes) -> bytes:
    """The first header's sum made right (tar(5))."""
    head = tar[:148] + b" " * 8 + tar[156:512]
    return tar[:148] + f"{sum(head):06o}\0 ".encode() + tar[156:]


def test_an_image_without_a_manifest_beside_one_with(tmp_path: Path) -> None:
    """Both by what they hold: two forms of the same knowledge are not compared."""
    with_one = image(tmp_path / "a.tar", ROOT, MANIFEST)
    bare = image(tmp_path / "b.tar", ROOT)
    assert differing(with_one, bare) == Compared(())
    assert differing(with_one, written(tmp_path / "c.json", MANIFEST)).of("settings") == ()
    notes = differing(bare, written(tmp_path / "c.json", MANIFEST)).notes
    assert [note.split(" are ")[0] for note in notes] == ["settings", "packages"]


def test_a_manifest_of_another_file_counts_for_nothing(tmp_path: Path) -> None:
    a = image(tmp_path / "a.tar", ROOT, MANIFEST)
    b = image(tmp_path / "b.tar", {**ROOT, "etc/hostname": b"hal\n"}, MANIFEST)
    b.write_bytes(a.read_bytes() + bytes(512))
    assert not differing(a, b).of("settings")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("none", None, "there is no file"),
        ("disk", b"QFI\xfb" + bytes(600), "is not read: .*; name two images whose root"),
        ("recipe", RECIPE.encode(), "is a recipe, and has none"),
    ],
)
def test_what_has_no_files(tmp_path: Path, name: str, data: bytes | None, message: str) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UsageError, match=message):
        differing(path, path, files=True)


@pytest.mark.parametrize("data", [b"", b"\0\1\2", b"{}", b'{"format": 9}'])
def test_what_cannot_be_compared(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "odd"
    path.write_bytes(data)
    with pytest.raises(VmgenError):
        differing(path, path)
