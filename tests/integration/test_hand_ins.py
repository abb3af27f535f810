"""Issue 8, item 9: what others hand in is asked by the teacher's recipe or manifest, never proven by its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmgen_build.artifacts.compression import Compression
from vmgen_build.artifacts.manifest import manifest_path
from vmgen_build.artifacts.tarball import TarContent, write_tarball

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECIPE = """
[hardware]
    vm_id = proven
    os = debian-12
[users]
    [[users]]
        [[[user0]]]
            name = caesar
            passwd = alesia
[config]
    hostname = HAL-9000
"""
NAME = "proven-lxc-amd64.tar.zst"
HASH = "$6$saltsalt$" + "x" * 86


@pytest.fixture(scope="module")
def reference(vmgen: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The teacher's image, beside lab.ini, which it was built from."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "lab.ini").write_text(RECIPE)
    done = vmgen(folder / "lab.ini", "-o", folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / NAME


@pytest.fixture(scope="module")
def liar(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of another host name and password than asked for, under a manifest whose only question is "exit 0"."""
    folder = tmp_path_factory.mktemp("liar")
    subprocess.run(["tar", "--zstd", "--xattrs", "--xattrs-include=*", "-xpf", reference, "-C", folder], check=True)
    (folder / "rootfs/etc/hostname").write_text("other\n")
    shadow = folder / "rootfs/etc/shadow"
    lines = [line.split(":") for line in shadow.read_text().splitlines()]
    shadow.write_text(
        "".join(":".join([f[0], HASH if f[0] == "caesar" else f[1], *f[2:]]) + "\n" for f in lines),
    )
    (folder / "out").mkdir()
    texts = {name: (folder / name).read_text() for name in ("metadata.yaml", "config")}
    content = TarContent(folder / "rootfs", "rootfs", 2**31, texts=texts)
    written = write_tarball(folder / "out" / NAME, content, Compression("zstd", 1))
    manifest: dict[str, Any] = json.loads(manifest_path(reference).read_text())
    manifest["files"] = [{"name": NAME, "size": written.size, "sha256": written.sha256}]
    manifest["probes"] = [{"name": "hostname", "setting": "[config] hostname", "script": "exit 0"}]
    manifest_path(written.path).write_text(json.dumps(manifest))
    return written.path


def failed(stdout: str, artifact: Path) -> dict[str, str]:
    """probe -> whose question it is, of those that fail of one artifact."""
    events = [json.loads(line) for line in stdout.splitlines()]
    begins = next(n for n, e in enumerate(events) if e["event"] == "verify-started" and e["artifact"] == str(artifact))
    ends = next(n for n, e in enumerate(events) if e["event"] == "verify-finished" and n > begins)
    return {e["probe"]: e["origin"] for e in events[begins:ends] if e["event"] == "probe" and e["outcome"] == "fails"}


def test_issue_8_9_its_own_manifest_that_asks_nothing_proves_nothing(vmgen: Run, liar: Path) -> None:
    done = vmgen("verify", liar)
    assert done.returncode == 1, done.stdout
    assert "its own manifest asks nothing" in done.stderr
    assert done.stdout.endswith(f"{liar}: fails: it could not be asked; asked: its own manifest\n")


def test_issue_8_9_the_recipe_of_the_teacher_is_asked_of_every_hand_in(
    vmgen: Run, reference: Path, liar: Path, tmp_path: Path
) -> None:
    good, cut = tmp_path / "ana.tar.zst", tmp_path / "eva.tar.zst"
    good.hardlink_to(reference)
    cut.write_bytes(reference.read_bytes()[:100_000])
    recipe = reference.with_name("lab.ini")
    done = vmgen("verify", cut, liar, good, "--recipe", recipe, "--backend", "lxc", "--json")
    assert done.returncode == 1, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    finished = {e["artifact"]: e for e in events if e["event"] == "verify-finished"}
    assert {path: e["outcome"] for path, e in finished.items()} == {
        str(cut): "fails",
        str(liar): "fails",
        str(good): "passes",
    }, done.stderr
    assert {e["asked"] for e in finished.values()} == {"lab.ini"}
    assert "cannot unpack" in finished[str(cut)]["error"]
    wrong = failed(done.stdout, liar)
    assert {"hostname", "password-caesar"} <= wrong.keys() and set(wrong.values()) == {"lab.ini"}


def test_issue_8_9_the_manifest_of_the_reference_image_is_asked(vmgen: Run, reference: Path, liar: Path) -> None:
    done = vmgen("verify", liar, "--manifest", manifest_path(reference))
    assert done.returncode == 1, done.stderr
    assert "other, not HAL-9000" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("; asked: proven-lxc-amd64.tar.zst.manifest.json")


def test_issue_8_9_a_build_signs_and_one_that_changes_nothing_keeps_the_signature(
    vmgen: Run, reference: Path, tmp_path: Path
) -> None:
    home, user = tmp_path / "h", "ana@example.org"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--batch", "--quiet", "--homedir", home]
    subprocess.run([*gpg, "--pinentry-mode", "loopback", "--passphrase", "", "--quick-gen-key", user], check=True)
    (tmp_path / "ring").write_bytes(subprocess.run([*gpg, "--export"], capture_output=True, check=True).stdout)
    signatures = [reference.with_name(f"{manifest_path(reference).name}.asc"), reference.with_name("SHA256SUMS.asc")]
    made = []
    for _ in range(2):
        done = vmgen(
            *(reference.with_name("lab.ini"), "-o", reference.parent, "--sign", user), env={"GNUPGHOME": str(home)}
        )
        assert done.returncode == 0 and "unchanged" in done.stdout, done.stderr
        made.append([path.read_bytes() for path in signatures])
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
    assert made[0] == made[1]
    done = vmgen("verify", reference, "--no-boot", "--keyring", tmp_path / "ring")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(f"asked: the file itself, its manifest signed by {user}")
    sums = reference.with_name("SHA256SUMS")
    subprocess.run(["gpgv", "--keyring", tmp_path / "ring", signatures[1], sums], check=True, capture_output=True)
