"""What a recipe names as its base, and what is said of a mistake, at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmgen_build.errors import RecipeError
from vmgen_build.recipe.load import load
from vmgen_build.recipe.sections.hardware import Hardware

LOGIN = "login = root\nlogin_password = x"
SUM = "0123456789abcdef" * 4


def hardware(folder: Path, lines: str) -> Hardware:
    """Of a recipe that has these lines from its fourth on."""
    (folder / "root.tar.xz").write_bytes(b"x")
    (folder / "key.asc").write_bytes(b"x")
    (folder / "layout").mkdir(exist_ok=True)
    path = folder / "lab.ini"
    path.write_text(f"[hardware]\nvm_id = lab\nos = debian-12-amd64\n{lines}\n")
    return load(path).hardware


@pytest.mark.parametrize(
    ("lines", "kind", "name"),
    [
        ("base = root.tar.xz", "file", "FOLDER/root.tar.xz"),
        ("base = layout", "file", "FOLDER/layout"),
        ("base = file://FOLDER/root.tar.xz", "file", "FOLDER/root.tar.xz"),
        (f"base = https://x.org/a.tar\nbase_sha256 = {SUM.upper()}", "url", "https://x.org/a.tar"),
        ("base = https://x.org/a.tar\nbase_key = key.asc", "url", "https://x.org/a.tar"),
        ("base = images:debian/12/cloud", "images", "debian/12/cloud"),
        ("base = images: fedora/42", "images", "fedora/42"),
        ("base = template:debian-12-x86_64", "template", "debian-12-x86_64"),
        (f"base = vm:Lab/My machine\n{LOGIN}", "vm", "Lab/My machine"),
        (f"base = vm:golden@as it was\n{LOGIN}\nclone = full", "vm", "golden@as it was"),
    ],
)
def test_each_kind_is_read(tmp_path: Path, lines: str, kind: str, name: str) -> None:
    found = hardware(tmp_path, lines.replace("FOLDER", str(tmp_path)))
    assert found.base is not None
    assert (found.base.kind, found.base.name) == (kind, name.replace("FOLDER", str(tmp_path)))
    assert found.base_sha256 in (None, SUM)


@pytest.mark.parametrize(
    ("lines", "line", "text"),
    [
        ("base = nowhere.tar", 4, "there is no file"),
        ("base = https://x.org/a.tar", 4, "write base_sha256 with its checksum, or base_key"),
        ("base = http://me:canary@x.org/a.tar", 4, "write base_sha256"),
        ("base = https://x.org/a.tar\nbase_sha256 = 12", 5, "'12' is no SHA-256"),
        ("base = https://x.org/a.tar\nbase_key = nokey", 5, "there is no file"),
        (f"base_sha256 = {SUM}", 4, "checks the base, and none is named"),
        ("base = root.tar.xz\nbase_key = key.asc", 5, "the base is a file of this host"),
        ("base = docker://debian:12", 4, "skopeo copy docker://NAME oci:FOLDER"),
        ("base = oci:layout", 4, "write the folder alone"),
        ("base = ftp://me:canary@x.org/a.tar", 4, "write a file or folder"),
        ("base = images:../x", 4, "does not name an alias"),
        ("base = template:a/b", 4, "does not name an OS template"),
        ("base = /proc/version", 4, "is of the kernel"),
        (f"base = vm:a@b@c\n{LOGIN}", 4, "does not name a machine, or one's snapshot"),
        ("base = vm:golden", 4, "vm:golden needs a user to log in as; write login = NAME"),
        (f"base = vm:golden\n{LOGIN}\ncommunicator = agent", 7, "which no vSphere server speaks to"),
        (f"base = vm:golden\n{LOGIN}\nclone = linked", 7, "write base = vm:NAME@SNAPSHOT, or clone = full"),
        ("base = root.tar.xz\nclone = full", 5, "write base = vm:NAME, or take this line out"),
        (f"base = vm:golden\n{LOGIN}\nbase_sha256 = {SUM}", 7, "the base is a machine of a server"),
    ],
)
def test_a_mistake_is_named_at_its_line(tmp_path: Path, lines: str, line: int, text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        hardware(tmp_path, lines)
    assert [(p.where.line, text in p.text) for p in caught.value.problems] == [(line, True)]
    assert "canary" not in str(caught.value)


def test_no_password_is_shown(tmp_path: Path) -> None:
    found = hardware(tmp_path, f"base = https://me:canary@x.org/a.tar\nbase_sha256 = {SUM}")
    assert found.base is not None
    assert "canary" not in repr(found) and "canary" not in str(found.base)


@pytest.mark.parametrize(
    ("lines", "machine", "snapshot", "linked"),
    [
        ("base = vm:Lab/golden", "Lab/golden", "", False),
        ("base = vm:golden@clean", "golden", "clean", True),
        ("base = vm:golden@clean\nclone = full", "golden", "clean", False),
    ],
)
def test_a_machine_of_a_server(tmp_path: Path, lines: str, machine: str, snapshot: str, linked: bool) -> None:
    found = hardware(tmp_path, f"{lines}\n{LOGIN}")
    assert found.base is not None and found.is_started
    assert (found.base.machine, found.base.snapshot, found.clones_linked) == (machine, snapshot, linked)
