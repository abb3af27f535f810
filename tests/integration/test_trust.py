"""A real image with all that says what it is, signed; and the archive asked what has come since."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from tests.integration.conftest import Run

RECIPES = Path(__file__).parent / "recipes"
SECRET = "Canary-passphrase-9"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, vmgen: Run) -> Path:
    """The image's folder; a secret key with a passphrase beside it."""
    folder = tmp_path_factory.mktemp("trust")
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", SECRET, "-C", "lab", "-f", folder / "key"]
    subprocess.run(command, check=True)
    words = ("--sbom", "--provenance", "--sign", f"ssh:{folder}/key", "-v", "-o", folder / "out")
    env = {"VMGEN_SIGN_PASSPHRASE": SECRET}
    done = vmgen(RECIPES / "plain.ini", *words, env=env)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    return folder / "out"


def image(folder: Path) -> Path:
    return next(folder.glob("*.tar.zst"))


def test_issue_14_lists_of_a_real_image_are_valid_and_whole(built: Path) -> None:
    main = image(built)
    text = Path(f"{main}.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    spdx = json.loads(Path(f"{main}.spdx.json").read_text())
    assert validate_full_spdx_document(JsonLikeDictParser().parse(spdx)) == []
    packages = {one["name"]: one for one in json.loads(Path(f"{main}.manifest.json").read_text())["packages"]}
    listed = {one["name"]: one for one in json.loads(text)["components"]}
    assert packages.keys() <= listed.keys()
    bash = listed["bash"]
    assert bash["purl"] == f"pkg:deb/debian/bash@{quote(packages['bash']['version'])}?arch=amd64&distro=debian-12"
    assert listed["tar"]["licenses"] and listed["libc6"]["pedigree"]["ancestors"][0]["name"] == "glibc"
    assert sum("licenses" in one for one in listed.values()) > len(packages) / 2


def test_issue_14_it_is_verified_by_its_key_and_refused_once_changed(built: Path, vmgen: Run, tmp_path: Path) -> None:
    words = ("verify", "--no-boot", "--key", built.parent / "key.pub")
    assert vmgen(*words, image(built)).returncode == 0
    copy = tmp_path / "copy"
    for ending in ("", ".manifest.json", ".cdx.json", ".spdx.json", ".provenance.json"):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(built, copy)
        changed = Path(f"{image(copy)}{ending}")
        with changed.open("r+b") as file:
            file.seek(100)
            byte = file.read(1)
            file.seek(100)
            file.write(bytes([byte[0] ^ 1]))
        done = vmgen(*words, image(copy))
        assert done.returncode == 1 and f"error: {changed} is not the file that" in done.stderr, done.stderr


def test_issue_14_the_archive_says_what_is_newer(built: Path, vmgen: Run, tmp_path: Path) -> None:
    """Of the image itself, which the cache may hold for a while; and of one that holds a bash of old."""
    manifest = Path(f"{image(built)}.manifest.json")
    done = vmgen("audit", "--json", image(built))
    now = json.loads(done.stdout)
    assert (
        now["known"] > 50
        and now["elsewhere"] == []
        and done.returncode == (1 if any(one["security"] for one in now["findings"]) else 0)
    )
    data = json.loads(manifest.read_text())
    for package in data["packages"]:
        package["version"] = "0~" if package["name"] in ("bash", "libc6") else package["version"]
    old = tmp_path / manifest.name
    old.write_text(json.dumps(data))
    done = vmgen("audit", "--json", "--all", "--offline", old)
    assert done.returncode == 1
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert {"bash", "libc6"} <= found.keys() and found["libc6"]["security"], "glibc has had fixes in Debian 12"


def test_issue_14_an_unchanged_build_keeps_every_byte(built: Path, vmgen: Run) -> None:
    before = {path.name: path.read_bytes() for path in built.iterdir()}
    words = ("--sbom", "--provenance", "--sign", f"ssh:{built.parent}/key", "-o", built)
    done = vmgen(RECIPES / "plain.ini", *words, env={"VMGEN_SIGN_PASSPHRASE": SECRET})
    assert done.returncode == 0 and "unchanged since its last build" in done.stdout, done.stderr
    assert {path.name: path.read_bytes() for path in built.iterdir()} == before
