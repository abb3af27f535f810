"""verify --key: everything that describes an image is covered by one signature, and what was changed is named."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmgen_build.artifacts.beside import CYCLONEDX, PROVENANCE, SPDX, beside
from vmgen_build.artifacts.manifest import manifest_path
from vmgen_build.artifacts.sums import NAME, update_sums
from vmgen_build.build import signed
from vmgen_build.build.keyed import also_signed, keyed_questions
from vmgen_build.build.questions import own_questions
from vmgen_build.errors import HostError
from vmgen_build.host.files import sha256_of


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ssh") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def artifact(tmp_path: Path, key: Path) -> Path:
    """With two files, a manifest, and all that describes it, signed."""
    path, more = tmp_path / "lab-lxc-amd64.tar.zst", tmp_path / "lab.img"
    path.write_bytes(b"an image")
    more.write_bytes(b"a disk")
    files = [{"name": one.name, "size": one.stat().st_size, "sha256": sha256_of(one)} for one in (path, more)]
    probes = [{"name": "p", "setting": "s", "script": "uname -n"}]
    machine = {"format": 1, "name": "lab", "os": "debian-12", "arch": "amd64", "backend": "lxc"}
    manifest_path(path).write_text(json.dumps(machine | {"files": files, "probes": probes}))
    for ending in (CYCLONEDX, SPDX, PROVENANCE):
        beside(path, ending).write_text("{}\n")
    resum(path)
    signed.sign(path.with_name(NAME), f"ssh:{key}")
    return path


def resum(artifact: Path) -> None:
    found = [one for one in artifact.parent.iterdir() if not one.name.startswith(NAME)]
    update_sums(artifact.parent, {one.name: sha256_of(one) for one in found})


def ask(artifact: Path, key: Path) -> object:
    return keyed_questions(key.with_suffix(".pub"))(artifact)


def test_issue_14_what_is_whole_and_signed_passes(artifact: Path, key: Path) -> None:
    questions = keyed_questions(key.with_suffix(".pub"))(artifact)
    rows = [(one.setting, one.outcome) for one in questions.looked]
    names = (NAME, *(beside(artifact, ending).name for ending in (CYCLONEDX, SPDX, PROVENANCE)))
    assert rows == [(name, "holds") for name in names]
    assert questions.signer.startswith("the key SHA256:") and questions.signer in questions.asked


def test_issue_14_what_was_not_fetched_is_skipped(artifact: Path, key: Path) -> None:
    beside(artifact, SPDX).unlink()
    looked = keyed_questions(key.with_suffix(".pub"))(artifact).looked
    assert [one.outcome for one in looked] == ["holds", "holds", "skipped", "holds"]


def the_artifact(path: Path) -> str:
    path.write_bytes(b"an imagE")
    return f"{path} is not the file that {path.name}.manifest.json describes"


def its_second_file(path: Path) -> str:
    """With a manifest that fits, by somebody who has no key."""
    other = path.with_name("lab.img")
    before = sha256_of(other)
    other.write_bytes(b"a dusk")
    manifest = manifest_path(path)
    manifest.write_text(manifest.read_text().replace(before, sha256_of(other)))
    return f"{manifest} is not the file that {path.with_name(NAME)} lists"


def the_manifest(path: Path) -> str:
    manifest_path(path).write_text(manifest_path(path).read_text().replace("uname -n", "exit 0  "))
    return f"{manifest_path(path)} is not the file that {path.with_name(NAME)} lists"


def the_manifest_and_the_list(path: Path) -> str:
    the_manifest(path)
    resum(path)
    return f"{path.with_name(NAME)} is not signed as"


def the_list(path: Path) -> str:
    sums = path.with_name(NAME)
    sums.write_text(sums.read_text() + "0" * 64 + "  other\n")
    return f"{sums} is not signed as"


def the_signature(path: Path) -> str:
    beside_it = signed.signature_path(path.with_name(NAME), ".sig")
    beside_it.write_text(beside_it.read_text().replace("SIGNATURE-----\nU1", "SIGNATURE-----\nU2"))
    return f"{path.with_name(NAME)} is not signed as"


def no_signature(path: Path) -> str:
    signed.signature_path(path.with_name(NAME), ".sig").unlink()
    return f"{path.with_name(NAME)} is not signed: cannot read"


def no_list(path: Path) -> str:
    path.with_name(NAME).unlink()
    return f"cannot read {path.with_name(NAME)}"


def _changed(ending: str) -> Callable[[Path], str]:
    def change(path: Path) -> str:
        beside(path, ending).write_text('{"components": []}\n')
        return f"{beside(path, ending)} is not the file that {path.with_name(NAME)} lists"

    return change


def another_s_artifact(path: Path) -> str:
    """One that was never signed, under the manifest's cover."""
    other = path.with_name("other-lxc-amd64.tar.zst")
    path.rename(other)
    text = manifest_path(path).read_text().replace(path.name, other.name)
    manifest_path(other).write_text(text)
    other.rename(path)
    path.write_bytes(b"another")
    manifest_path(other).replace(manifest_path(path))
    return f"{manifest_path(path)} is not the file that"


@pytest.mark.parametrize(
    "tamper",
    [
        *(the_artifact, its_second_file, the_manifest, the_manifest_and_the_list, the_list, the_signature),
        *(no_signature, no_list, another_s_artifact, _changed(CYCLONEDX), _changed(SPDX), _changed(PROVENANCE)),
    ],
)
def test_issue_14_what_was_tampered_with_is_refused_with_its_name(
    artifact: Path, key: Path, tamper: Callable[[Path], str]
) -> None:
    message = tamper(artifact)
    with pytest.raises(HostError) as caught:
        ask(artifact, key)
    assert str(caught.value).startswith(message)


def test_issue_14_a_file_that_nobody_listed_is_refused(artifact: Path, key: Path) -> None:
    sums = artifact.with_name(NAME)
    sums.write_text("".join(line for line in sums.read_text().splitlines(True) if "cdx" not in line))
    signed.sign(sums, f"ssh:{key}")
    with pytest.raises(HostError, match=r"\.cdx\.json is not listed in"):
        ask(artifact, key)


def test_issue_14_a_recipe_s_questions_ask_for_the_signature_too(artifact: Path, key: Path) -> None:
    asker = also_signed(own_questions, key.with_suffix(".pub"))
    assert [one.setting for one in asker(artifact).looked][:1] == [NAME]
    artifact.write_bytes(b"an imagE")
    with pytest.raises(HostError, match=f"{artifact} is not the file that .*{NAME} lists"):
        asker(artifact)
